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

struct gdn_summing {
    XXH3_state_t *hash[GDN_COVERS];
    int64_t rows[GDN_COVERS];
};

gdn_status gdn_summing_open(gdn_summing **out, gdn_error *err)
{
    gdn_summing *s = *out = gdn_calloc(1, sizeof *s);
    for (int c = 0; s && c < GDN_COVERS; c++) {
        if (!(s->hash[c] = XXH3_createState())) {
            gdn_summing_close(s, NULL);
            s = *out = NULL;
        } else
            XXH3_128bits_reset(s->hash[c]);
    }
    return s ? GDN_OK : gdn_no_memory(err, "a checksum");
}

void gdn_summing_add(gdn_summing *s, const gdn_row *row)
{
    char line[4096];
    int length = gdn_row_csv(row, line, sizeof line - 1);
    length = length < (int)sizeof line - 1 ? length : (int)sizeof line - 2;
    line[length] = '\n';
    for (gdn_cover c = 0; c < GDN_COVERS; c++)
        if (gdn_covered(c, row)) {
            XXH3_128bits_update(s->hash[c], line, (size_t)length + 1);
            s->rows[c]++;
        }
}

void gdn_summing_close(gdn_summing *s, gdn_checksum out[GDN_COVERS])
{
    for (int c = 0; s && c < GDN_COVERS; c++) {
        if (out) {
            XXH128_hash_t h = XXH3_128bits_digest(s->hash[c]);
            out[c].rows = s->rows[c];
            snprintf(out[c].sum, sizeof out[c].sum, "%016" PRIx64 "%016" PRIx64, (uint64_t)h.high64,
                     (uint64_t)h.low64);
        }
        XXH3_freeState(s->hash[c]);
    }
    free(s);
}

gdn_status gdn_rows_checksum(const gdn_row *rows, int64_t n, gdn_checksum out[GDN_COVERS], gdn_error *err)
{
    const gdn_row **order = gdn_calloc((size_t)n, sizeof *order);
    gdn_summing *s = NULL;
    gdn_status status = order ? gdn_summing_open(&s, err) : gdn_no_memory(err, "a checksum");
    memset(out, 0, GDN_COVERS * sizeof *out);
    if (!status) {
        for (int64_t i = 0; i < n; i++)
            order[i] = &rows[i];
        qsort(order, (size_t)n, sizeof *order, by_cell);
        for (int64_t i = 0; i < n; i++)
            gdn_summing_add(s, order[i]);
        gdn_summing_close(s, out);
    }
    free(order);
    return status;
}
