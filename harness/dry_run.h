/* SPDX-License-Identifier: Apache-2.0 */
/* dry_run -- what a run would take, without running it: tasks, rows, time, memory, disk. Nothing is written
 * to the directory of results. */
#ifndef GDN_HARNESS_DRY_RUN_H
#define GDN_HARNESS_DRY_RUN_H

#include <stdio.h>

#include "harness/run.h"

typedef struct gdn_dry_run {
    char name[128];
    const char *backend;
    int ranks, threads;                         /* threads: of all ranks together */
    int tasks, done;                            /* of the experiment or shard; of them, in the store */
    int64_t rows;                               /* when all tasks are done */
    double seconds, task_seconds, file_seconds; /* of the run: until it ends; tasks; CSV files and probes */
    double cpu_seconds;                         /* processor time of the tasks */
    double host, device;                        /* bytes of memory at most; of one process, of the GPU */
    double store, files, temporary;             /* bytes: store.db, CSV files, others while it lasts */
    double calibration;                         /* seconds that finding this out took */
} gdn_dry_run;

/* GDN_BAD_INPUT and GDN_MACHINE as gdn_run(). */
gdn_status gdn_run_dry(const char *path, const gdn_run_options *options, gdn_dry_run *d, gdn_error *err);

/* For people, or as one line of JSON. */
gdn_status gdn_dry_run_print(const gdn_dry_run *d, bool json, FILE *to, gdn_error *err);

#endif
