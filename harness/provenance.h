/* SPDX-License-Identifier: Apache-2.0 */
/* provenance -- manifest.json: what was run, by what, on what, and the sha256 of each file that came of it.
 */
#ifndef GDN_HARNESS_PROVENANCE_H
#define GDN_HARNESS_PROVENANCE_H

#include <jansson.h>

#include "harness/experiment.h"
#include "harness/shard.h"

typedef struct gdn_run_facts {
    const char *command; /* as typed */
    const char *backend;
    const char *device; /* the GPU, or "" */
    int jobs;
    long max_length;       /* that the command line asked for; 0: none */
    int tasks, tasks_run;  /* in all; by this run, the rest was in the store */
    double seconds;        /* of this run, until its last task was done */
    double export_seconds; /* of the CSV files after that; 0: none were written, or that is in seconds */
    double task_seconds;   /* of all tasks, whenever they ran */
    double certify_share;  /* of the time of this run's tasks that went into checks and witnesses; 0 if none
                              ran */
    int64_t below;         /* rows that no rung could serve */
    gdn_task_shard shard;  /* count 0: these are whole results */
    int ranks;             /* processes that shared the tasks */
    json_t *origins;       /* which programs made the rows (harness/origin.h); the caller owns these two */
    json_t *merged;        /* NULL, or what was merged */
} gdn_run_facts;

/* "0.1.0", "0.1.0 (1a2b3c4, dirty)". */
const char *gdn_version(void);
const char *gdn_version_long(void);

/* The commit it was built from, "unknown" outside a repository; had the source changes of its own? */
const char *gdn_commit(void);
bool gdn_dirty(void);

/* Who measured: cpu, os, isa, compiler, flags, version, date. The caller owns it. */
json_t *gdn_bench_context(void);

/* Write directory/manifest.json. */
gdn_status gdn_manifest_write(const gdn_experiment *e, const char *directory, const gdn_run_facts *facts,
                              gdn_error *err);

#endif
