/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cost -- what a run will take, before it starts: docs/scale.md says how well this holds.
 *
 *     seconds of a task = open + tokens x per token + stops x per stop + rows x per row
 *
 * Stops are the positions at which states are compared and sums are closed. All but the last figure are
 * measured by running the first tokens of one task of each kind on as many threads as the run will have.
 */
#ifndef GDN_HARNESS_COST_H
#define GDN_HARNESS_COST_H

#include "harness/task.h"

/* ---- rows ---- */

/* What a task's rows come to: exactly how many, and about how many bytes in store.db and in cells.csv. */
typedef struct gdn_task_size {
    int64_t rows, last;     /* last: of them those that last.csv has as well */
    int64_t groups;         /* lines of summary.csv that they go into */
    double stored, written; /* bytes of all of them */
} gdn_task_size;

gdn_status gdn_task_measure(const gdn_task *task, gdn_task_size *size, gdn_error *err);

/* ---- time ---- */

/* Work between two looks at the clock. */
typedef struct gdn_lap {
    double early, late; /* tokens before and after a prefill goes over into decoding */
    double stops;
    double seconds;
} gdn_lap;

/* Seconds per early token, late token and stop that laps[0..n) fit best, by least squares and none negative;
 * where no lap has late tokens they cost what early ones do. `open` stays as it is. */
typedef struct gdn_rates {
    double open, early, late, stop;
    double bytes; /* of this process's memory while the task runs */
    double cpu;   /* seconds of processor time a second: less than 1 where others want the cores too */
} gdn_rates;

void gdn_rates_fit(const gdn_lap *laps, int n, gdn_rates *rates);

/* What a whole task has of each. */
gdn_status gdn_task_work(const gdn_task *task, gdn_lap *work, gdn_error *err);
double gdn_rates_seconds(const gdn_rates *rates, const gdn_lap *work);

/* Do two tasks cost the same per token? Shape, profiles, quantities, kind of inputs and certification are
 * alike. */
bool gdn_task_alike(const gdn_task *a, const gdn_task *b);

/*
 * Run the first tokens of a task on `threads` threads at once, each for about `seconds` or to its end, and
 * fit the rates to what all have seen. Of many heads some are run, and the rates are for all. Changes the
 * experiment while it lasts: nobody else may look at it.
 */
gdn_status gdn_cost_calibrate(const gdn_task *task, int threads, double seconds, gdn_rates *rates,
                              gdn_error *err);

/* When the last of n tasks ends that `workers` take in this order, each as it becomes free. */
double gdn_cost_schedule(const double *seconds, int n, int workers);

/* Seconds of one thread a row. */
typedef struct gdn_row_cost {
    double made, committed; /* of sums; into the store, which one thread does at a time */
    double exported;        /* into all files together */
    double bootstrap;       /* more, for each seed beyond thirty */
} gdn_row_cost;

/* By how long this machine takes over some lines of CSV. */
gdn_row_cost gdn_cost_rows(void);

/* What writing the files of an experiment takes. */
typedef struct gdn_export_cost {
    double seconds;
    double host;  /* bytes of memory */
    double files; /* bytes of all files together */
    double spill; /* bytes of temporary files while it lasts */
} gdn_export_cost;

/* all: of all tasks; groups: lines of summary.csv. */
gdn_export_cost gdn_cost_export(const gdn_task_size *all, double groups, double seeds, int threads,
                                const gdn_row_cost *row);

#endif
