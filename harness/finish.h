/* SPDX-License-Identifier: Apache-2.0 */
/* finish -- results from a store that has the tasks: CSV files, error budget, probes. Runs and merges end
 * alike. */
#ifndef GDN_HARNESS_FINISH_H
#define GDN_HARNESS_FINISH_H

#include "harness/provenance.h"
#include "harness/store.h"

/*
 * Write the files of tasks ids[0..n) into `directory`; of a shard (facts->shard) none. Fills what the store
 * knows of the facts: tasks, task_seconds, below, origins.
 */
gdn_status gdn_finish(const gdn_experiment *e, gdn_store *store, const char *directory,
                      const char *const *ids, int n, gdn_run_facts *facts, gdn_error *err);

#endif
