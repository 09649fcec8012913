/* SPDX-License-Identifier: Apache-2.0 */
/* finish -- results from a store that has the tasks; see finish.h. */
#include "harness/finish.h"

#include "harness/budget.h"
#include "harness/export.h"
#include "harness/origin.h"
#include "harness/probe.h"

gdn_status gdn_finish(const gdn_experiment *e, gdn_store *store, const char *directory,
                      const char *const *ids, int n, gdn_run_facts *facts, gdn_error *err)
{
    bool whole = facts->shard.count == 0;
    gdn_status status = GDN_OK;
    facts->tasks = n;
    facts->task_seconds = 0;
    for (int i = 0; i < n && !status; i++) {
        gdn_task_record record;
        bool found;
        status = gdn_store_task(store, ids[i], &record, &found, err);
        facts->task_seconds += !status && found ? record.seconds : 0;
    }
    if (!status && whole)
        status = gdn_export(store, directory, ids, n, err);
    if (!status && whole)
        status = gdn_budget_export(e, store, directory, ids, n, err);
    if (!status && whole)
        status = gdn_probes_run(e, directory, err);
    if (!status)
        status = gdn_store_count(store, ids, n, gdn_flag_names[GDN_BELOW_REFERENCE], &facts->below, err);
    if (!status)
        status = gdn_origins_json(store, ids, n, &facts->origins, err);
    return status;
}
