/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task -- the unit of work and of durability: one population at one seed, with every profile that uses it.
 *
 * All engines advance in lock-step, block by block, over the same inputs; differences are accumulated and the
 * block is dropped. REF(true parameters) runs once, REF(stored parameters) once per distinct set of stored
 * parameters, each beside its check at a higher precision on sampled columns. Then
 *
 *     total = KERNEL(stored) - REF(true),   storage = REF(stored) - REF(true),   arith = KERNEL(stored) -
 * REF(stored).
 */
#ifndef GDN_HARNESS_TASK_H
#define GDN_HARNESS_TASK_H

#include "harness/experiment.h"
#include "harness/metrics.h"
#include "harness/row.h"

/* Tokens advanced at a time: traces of 256 tokens keep a head's outputs in L2 (128 columns x 4 doubles: 1
 * MiB). */
enum { GDN_BLOCK = 256, GDN_BLOCK_LEAST = 32, GDN_BLOCK_MAX = 1 << 16 };

enum { GDN_MOST_TASKS = 1000000 }; /* of one experiment */

typedef struct gdn_task {
    const gdn_experiment *experiment;
    int population;
    uint64_t seed;
    const struct gdn_backend *backend; /* where it runs */
    int block;                         /* tokens advanced at a time; changes no result */
    int threads; /* that may share the task's heads: more than one where tasks are few; changes no result */
    gdn_shape shape;
    int64_t tokens; /* of its longest length */
    int stops;      /* positions at which sums are kept, or states compared */
    char id[17];    /* hash of all that determines its rows */
    double cost;    /* head-tokens times engines, for progress */
    bool pool;      /* rows over all heads together are wanted too */
} gdn_task;

/* Called with the share of the task done since the last call (they sum to 1); returns nonzero to stop the
 * task. */
typedef int (*gdn_task_progress)(void *context, double share);

/* A row over all heads together (head -1), and what it comes from. */
typedef struct gdn_pooled {
    gdn_row row;
    gdn_sums sums;
} gdn_pooled;

/* Rows of a task and the texts they borrow. */
typedef struct gdn_rows {
    gdn_row *row; /* [count] */
    int64_t count, room;
    gdn_pooled *pooled; /* [pools] where the task asked for them */
    int64_t pools, pool_room;
    char **text; /* [texts] */
    int texts, text_room;
    double certify_seconds; /* of the task's time that went into checks and witnesses */
} gdn_rows;

/*
 * The tasks of an experiment on a backend, in order. *tasks: [*count], to be freed with free(). GDN_BAD_INPUT
 * where the backend cannot run a profile.
 */
gdn_status gdn_tasks_make(const gdn_experiment *e, const struct gdn_backend *backend, gdn_task **tasks,
                          int *count, gdn_error *err);

/* Memory of the backend that the task needs at most, in bytes; the block counts. */
double gdn_task_bytes(const gdn_task *task);

/* Can the backend run all profiles of the population, and this machine hold its states? */
gdn_status gdn_task_runnable(const gdn_task *task, gdn_error *err);

/* Can this machine hold the sums at every stop too, which this process keeps whatever the backend? */
gdn_status gdn_task_fits(const gdn_task *task, gdn_error *err);

/* Run one. GDN_DIFFERS when `progress` asked to stop. */
gdn_status gdn_task_run(const gdn_task *task, gdn_task_progress progress, void *context, gdn_rows *rows,
                        gdn_error *err);

void gdn_rows_free(gdn_rows *rows);

#endif
