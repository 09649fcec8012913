/* SPDX-License-Identifier: Apache-2.0 */
/* source_identity -- what a file's population is known by in the ids of cells; see source_file.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "harness/source_file.h"

gdn_status gdn_source_file_digest(const char *path, uint64_t *digest, gdn_error *err)
{
    static _Thread_local char buffer[1 << 16];
    FILE *f = fopen(path, "rb");
    XXH3_state_t *state = XXH3_createState();
    if (!f || !state) {
        XXH3_freeState(state);
        if (f)
            fclose(f);
        return gdn_fail(err, GDN_BAD_INPUT, "%s: cannot open: %s", path, strerror(errno));
    }
    XXH3_64bits_reset(state);
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, f)) > 0;)
        XXH3_64bits_update(state, buffer, n);
    gdn_status status =
        ferror(f) ? gdn_fail(err, GDN_MACHINE, "%s: cannot read: %s", path, strerror(errno)) : GDN_OK;
    *digest = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    fclose(f);
    return status;
}

void gdn_source_file_text(const gdn_source *s, uint64_t digest, char *out, size_t size)
{
    const gdn_file_spec *f = s->population->file;
    const char *names[] = {f->q,
                           f->k,
                           f->v,
                           f->a,
                           f->project_a ? f->project_a->input : NULL,
                           f->project_a ? f->project_a->weight : NULL,
                           f->g,
                           f->b,
                           f->beta,
                           f->a_log,
                           f->dt_bias,
                           f->norm_weight,
                           f->z};
    size_t n = (size_t)snprintf(out, size, ";file=%016" PRIx64, digest);
    for (size_t i = 0; i < sizeof names / sizeof names[0] && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, ";%s", names[i] ? names[i] : "");
    /* said only where given, so that cell ids stay */
    if (f->initial_state && n < size)
        n += (size_t)snprintf(out + n, size - n, ";initial_state=%s", f->initial_state);
    if (f->layout && n < size)
        n += (size_t)snprintf(out + n, size - n, ";layout=%s", gdn_layout_names[f->layout]);
    if (f->state_layout && n < size)
        n += (size_t)snprintf(out + n, size - n, ";state_layout=%s", gdn_state_layout_names[f->state_layout]);
    if (s->l2norm_off && n < size)
        n += (size_t)snprintf(out + n, size - n, ";l2norm=false");
    if (s->scale != 0 && n < size)
        snprintf(out + n, size - n, ";scale=%.17g", s->scale);
}
