/* SPDX-License-Identifier: Apache-2.0 */
/* run -- an experiment from file to results: its tasks over threads, the store, the CSV files, the manifest.
 */
#ifndef GDN_HARNESS_RUN_H
#define GDN_HARNESS_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "harness/shard.h"

typedef struct gdn_run_options {
    const char *results;  /* directory; the experiment's name is appended */
    const char *command;  /* as typed, for the manifest */
    const char *backend;  /* auto, cpu or cuda */
    int device;           /* which GPU; -1: the first, or on several ranks each its own */
    int jobs;             /* threads */
    int first_seed;       /* 0: 1 */
    int seeds;            /* 0: as the file says */
    long max_length;      /* 0: as the file says */
    gdn_task_shard shard; /* of the tasks */
    int block;            /* tokens advanced at a time; 0: the backend's. Changes no result */
    bool quiet;
} gdn_run_options;

typedef struct gdn_run_result {
    char directory[4096];
    char name[128];
    int tasks, tasks_run;
    const char *backend;   /* that ran them */
    char about[400];       /* the GPU */
    double seconds;        /* until the last task was done */
    double export_seconds; /* of the files after that; 0 for a shard */
    double certify_share;  /* of the time of the tasks run now that went into checking the reference */
    int64_t below;         /* rows without a number because no rung of the reference can serve them */
} gdn_run_result;

/* Run or resume the experiment in the YAML file `path`; of a shard, its tasks, without CSV files. */
gdn_status gdn_run(const char *path, const gdn_run_options *options, gdn_run_result *result, gdn_error *err);

#endif
