/* SPDX-License-Identifier: Apache-2.0 */
/* run_parts -- what a run and its dry run share: the tasks, which of them are missing, how many go at a time.
 */
#ifndef GDN_HARNESS_RUN_PARTS_H
#define GDN_HARNESS_RUN_PARTS_H

#include "harness/backend.h"
#include "harness/pool.h"
#include "harness/run.h"

/* Tasks in the store that another program made, and one of these programs. */
typedef struct gdn_strangers {
    int n;
    char program[80];
} gdn_strangers;

/* The experiment's tasks, the same on every rank. */
gdn_status gdn_run_prepare(const char *path, const gdn_run_options *o, const gdn_backend **backend,
                           gdn_experiment **e, gdn_pool *p, gdn_run_result *r, gdn_error *err);

/* Which tasks are missing from the store (NULL: all), the costliest first. */
gdn_status gdn_run_missing(gdn_pool *p, gdn_strangers *others, gdn_error *err);

/* How many tasks run at a time on this rank, its share of them where threads are more; the rest of its
 * threads go to the heads of these. */
int gdn_run_at_once(gdn_pool *p, const gdn_run_options *o, const gdn_backend *backend);

#endif
