/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify_summary -- what an experiment exports, made again from the rows of its tasks: medians, growth and
 * checksums are compared with what manifest.json says of the files; see verify.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/budget.h"
#include "harness/export.h"
#include "harness/outfile.h"
#include "harness/verify_parts.h"

gdn_status gdn_again_open(gdn_again *a, gdn_error *err)
{
    char path[4200];
    gdn_status status = gdn_verify_scratch(a->directory, sizeof a->directory, err);
    if (status) {
        *a = (gdn_again){.store = NULL};
        return status;
    }
    snprintf(path, sizeof path, "%s/store.db", a->directory);
    return gdn_store_open(path, &a->store, err);
}

gdn_status gdn_again_take(gdn_again *a, const gdn_task *task, const gdn_rows *rows, gdn_error *err)
{
    const gdn_task_record record = {.task = task->id,
                                    .population = task->experiment->file->populations[task->population].name,
                                    .seed = (int64_t)task->seed};
    return gdn_store_commit(a->store, &record, rows->row, rows->count, err);
}

/* The files that gdn_export and gdn_budget_export have made. */
static gdn_status compare_files(const gdn_again *a, gdn_verifier *v, const gdn_folder *f, gdn_error *err)
{
    const char *name;
    json_t *listed;
    json_object_foreach(json_object_get(f->manifest, "files"), name, listed)
    {
        char path[PATH_MAX], sum[65] = "none such";
        const char *want = json_string_value(listed);
        if (strcmp(name, "probes.csv") == 0 ||
            snprintf(path, sizeof path, "%s/%s", a->directory, name) >= (int)sizeof path)
            continue;
        gdn_status status = access(path, F_OK) == 0 ? gdn_file_sha256(path, sum, err) : GDN_OK;
        if (status)
            return status;
        if (!want || strcmp(want, sum) != 0)
            gdn_verify_differs(v, f, "%s: made again from the rows it is another", name);
    }
    v->counts->summaries++;
    return GDN_OK;
}

gdn_status gdn_again_compare(gdn_again *a, gdn_verifier *v, const gdn_folder *f, const gdn_task *tasks, int n,
                             gdn_error *err)
{
    const char **ids = gdn_calloc((size_t)n + 1, sizeof *ids);
    if (!ids)
        return gdn_no_memory(err, "a list of tasks");
    for (int i = 0; i < n; i++)
        ids[i] = tasks[i].id;
    gdn_status status = gdn_export(a->store, a->directory, ids, n, err);
    if (!status)
        status = gdn_budget_export(tasks[0].experiment, a->store, a->directory, ids, n, err);
    if (!status)
        status = compare_files(a, v, f, err);
    free(ids);
    return status;
}

void gdn_again_close(gdn_again *a)
{
    gdn_error ignored;
    if (a->store)
        gdn_store_close(a->store, &ignored); /* it is removed */
    if (*a->directory)
        gdn_verify_remove(a->directory);
    *a = (gdn_again){.store = NULL};
}
