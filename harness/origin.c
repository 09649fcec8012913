/* SPDX-License-Identifier: Apache-2.0 */
/* origin -- which program made the rows of a store; see origin.h. */
#include "harness/origin.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "harness/provenance.h"

/* XXH3-64 of the program's file: it tells builds apart where the commit does not. */
static void sum_program(char out[17])
{
    static char block[1 << 16];
    size_t n;
    FILE *f = fopen("/proc/self/exe", "rb");
    XXH3_state_t *hash = f ? XXH3_createState() : NULL;
    out[0] = 0;
    if (hash) {
        XXH3_64bits_reset(hash);
        while ((n = fread(block, 1, sizeof block, f)) > 0)
            XXH3_64bits_update(hash, block, n);
        if (!ferror(f))
            snprintf(out, 17, "%016" PRIx64, (uint64_t)XXH3_64bits_digest(hash));
    }
    XXH3_freeState(hash);
    if (f)
        fclose(f);
}

gdn_origin gdn_origin_here(void)
{
    static char build[17];
    if (!build[0])
        sum_program(build);
    return (gdn_origin){gdn_commit(), gdn_dirty(), build, "", "", ""};
}

bool gdn_origin_same(const gdn_origin *x, const gdn_origin *y)
{
    bool clean = !x->dirty && !y->dirty && strcmp(x->commit, "unknown") != 0;
    return (x->build[0] && strcmp(x->build, y->build) == 0) || (clean && strcmp(x->commit, y->commit) == 0);
}

const char *gdn_origin_text(const gdn_origin *o, char *out, size_t size)
{
    bool unknown = strcmp(o->commit, "unknown") == 0;
    snprintf(out, size, "%s%.40s%s", unknown ? "an unknown commit" : "commit ", unknown ? "" : o->commit,
             o->dirty ? ", with changes" : "");
    return out;
}

/* The element of the array that has these words, or a new one. */
static json_t *place(json_t *array, const gdn_origin *o)
{
    static const char *const names[] = {"commit", "build", "backend", "device"};
    const char *const words[] = {o->commit, o->build, o->backend, o->device};
    json_t *at;
    size_t i;
    json_array_foreach(array, i, at)
    {
        bool same = json_boolean_value(json_object_get(at, "dirty")) == o->dirty;
        for (size_t w = 0; w < sizeof words / sizeof words[0]; w++)
            same &= strcmp(json_string_value(json_object_get(at, names[w])), words[w]) == 0;
        if (same)
            return at;
    }
    at = json_pack("{s:s, s:b, s:s, s:s, s:s, s:i}", "commit", o->commit, "dirty", o->dirty, "build",
                   o->build, "backend", o->backend, "device", o->device, "tasks", 0);
    return at && json_array_append_new(array, at) == 0 ? at : NULL;
}

gdn_status gdn_origins_json(gdn_store *s, const char *const *ids, int n, json_t **out, gdn_error *err)
{
    gdn_status status = (*out = json_array()) ? GDN_OK : gdn_no_memory(err, "the manifest");
    for (int i = 0; i < n && !status; i++) {
        gdn_task_record record;
        bool found;
        status = gdn_store_task(s, ids[i], &record, &found, err);
        if (status || !found)
            continue;
        json_t *at = place(*out, &record.origin), *tasks = at ? json_object_get(at, "tasks") : NULL;
        if (!tasks || json_integer_set(tasks, json_integer_value(tasks) + 1))
            status = gdn_fail(err, GDN_BAD_INPUT, "%.400s: the origin of task %s is no text",
                              gdn_store_path(s), ids[i]);
    }
    if (status) {
        json_decref(*out);
        *out = NULL;
    }
    return status;
}
