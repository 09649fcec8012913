/* SPDX-License-Identifier: Apache-2.0 */
/* checksum -- of a task's rows; see checksum.h. */
#include "harness/checksum.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "kernels/recipe.h"

/* The row that a run of GDN_SHORT tokens adds for its own length. */
static int of_the_end(const gdn_row *row)
{
    int state = strcmp(row->quantity, gdn_quantity_names[GDN_Q_STATE]) == 0;
    return row->to == GDN_SHORT && row->from == (state ? GDN_SHORT : 1);
}

int gdn_covered(gdn_cover cover, const gdn_row *row)
{
    if (cover == GDN_COVER_ALL)
        return 1;
    const gdn_recipe *recipe = gdn_recipe_by_name(row->recipe);
    int native = strcmp(row->mode, "portable") != 0 && strcmp(row->mode, "recorded") != 0;
    if (native || (recipe && recipe->algorithm != GDN_RECURRENT))
        return 0;
    return cover == GDN_COVER_PORTABLE || (row->to <= GDN_SHORT && !of_the_end(row));
}

static int by_cell(const void *a, const void *b)
{
    uint64_t x = (*(const gdn_row *const *)a)->cell, y = (*(const gdn_row *const *)b)->cell;
    return (x > y) - (x < y);
}

/* order: [n] the rows in order of cell; hash: [GDN_COVERS] */
static void add_lines(const gdn_row *const *order, int64_t n, XXH3_state_t *const *hash, gdn_checksum *out)
{
    char line[4096];
    for (int i = 0; i < GDN_COVERS; i++)
        XXH3_128bits_reset(hash[i]);
    for (int64_t i = 0; i < n; i++) {
        int length = gdn_row_csv(order[i], line, sizeof line - 1);
        length = length < (int)sizeof line - 1 ? length : (int)sizeof line - 2;
        line[length] = '\n';
        for (gdn_cover c = 0; c < GDN_COVERS; c++)
            if (gdn_covered(c, order[i])) {
                XXH3_128bits_update(hash[c], line, (size_t)length + 1);
                out[c].rows++;
            }
    }
    for (int i = 0; i < GDN_COVERS; i++) {
        XXH128_hash_t h = XXH3_128bits_digest(hash[i]);
        snprintf(out[i].sum, sizeof out[i].sum, "%016" PRIx64 "%016" PRIx64, (uint64_t)h.high64,
                 (uint64_t)h.low64);
    }
}

gdn_status gdn_rows_checksum(const gdn_row *rows, int64_t n, gdn_checksum out[GDN_COVERS], gdn_error *err)
{
    const gdn_row **order = gdn_calloc((size_t)n, sizeof *order);
    XXH3_state_t *hash[GDN_COVERS];
    int made = 0;
    while (made < GDN_COVERS && (hash[made] = XXH3_createState()))
        made++;
    gdn_status status = order && made == GDN_COVERS ? GDN_OK : gdn_no_memory(err, "a checksum");
    memset(out, 0, GDN_COVERS * sizeof *out);
    if (!status) {
        for (int64_t i = 0; i < n; i++)
            order[i] = &rows[i];
        qsort(order, (size_t)n, sizeof *order, by_cell);
        add_lines(order, n, hash, out);
    }
    while (made > 0)
        XXH3_freeState(hash[--made]);
    free(order);
    return status;
}
