/* SPDX-License-Identifier: Apache-2.0 */
/* lockstep -- the inside of a task: engines over the same inputs, and the sums of their differences. */
#ifndef GDN_HARNESS_LOCKSTEP_H
#define GDN_HARNESS_LOCKSTEP_H

#include "harness/metrics.h"
#include "harness/plan.h"
#include "harness/source.h"
#include "harness/task.h"

/* Tokens advanced at a time: traces of 256 tokens keep a head's outputs in L2 (128 columns x 4 doubles: 1
 * MiB). */
enum { GDN_BLOCK = 256 };

/* What an engine produced over one block, [H][n] or [H][n][columns]; decay is the running product of alpha.
 */
typedef struct gdn_trace {
    double *g, *g_lo, *alpha, *alpha_lo, *decay, *decay_lo, *o, *o_lo, *y, *y_lo, *ms, *ms_lo;
    double *state, *state_lo; /* [H][dk][columns] */
    gdn_product *product;     /* [H] */
} gdn_trace;

/* One set of stored parameters with its reference and the check of that reference; set 0 is the true one. */
typedef struct gdn_set {
    gdn_params params;
    double *decay, *dt_bias, *norm_weight;
    void *reference, *check;
    gdn_trace trace, checked;
} gdn_set;

/* A profile under test: a recipe, or outputs recorded elsewhere. */
typedef struct gdn_subject {
    const gdn_profile *profile; /* NULL for recorded outputs */
    gdn_profile own;            /* with the recipe that the engine points to */
    const gdn_recorded *recorded;
    const gdn_engine *engine;
    void *self;
    int set; /* the parameters it runs on */
} gdn_subject;

enum { GDN_SERIES_PER = 2 }; /* set: check, storage; subject: total, arith */

typedef struct gdn_lockstep {
    const gdn_experiment *e;
    gdn_source *source;
    gdn_plan plan;
    int block; /* tokens advanced at a time: GDN_BLOCK, or the whole plan when it is shorter */
    bool wanted[GDN_QUANTITIES];
    bool recurrence;
    int *columns; /* [ncolumns] value columns that are checked */
    int ncolumns;
    gdn_set *set;
    int sets;
    gdn_subject *subject;
    int subjects;
    gdn_trace trace;              /* of the subject at work */
    gdn_accumulator *open;        /* [series][H][GDN_QUANTITIES] */
    gdn_sums *closed;             /* [series][H][GDN_QUANTITIES][segments or samples] */
    int slots;                    /* max(segments, samples) */
    double *abs_g, *beta, *beta2; /* [H][segments]: sums of |g|, beta, beta^2 of the truth */
    int64_t *scale;               /* [H] exponent of the true decay where the segment began */
} gdn_lockstep;

/* Does the subject produce this quantity? Recorded outputs may lack some. */
bool gdn_subject_has(const gdn_subject *s, gdn_quantity q);

/* Index of a series. */
static inline int gdn_series_check(int set)
{
    return GDN_SERIES_PER * set;
}

static inline int gdn_series_storage(int set)
{
    return GDN_SERIES_PER * set + 1;
}

static inline int gdn_series_total(const gdn_lockstep *l, int subject)
{
    return GDN_SERIES_PER * (l->sets + subject);
}

static inline int gdn_series_arith(const gdn_lockstep *l, int subject)
{
    return GDN_SERIES_PER * (l->sets + subject) + 1;
}

gdn_status gdn_lockstep_open(const gdn_task *task, gdn_lockstep **out, gdn_error *err);

/* Advance to the end of the plan. */
gdn_status gdn_lockstep_run(gdn_lockstep *l, gdn_task_progress progress, void *context, gdn_error *err);

void gdn_lockstep_close(gdn_lockstep *l);

/* The sums of a series over a window: its segments, or for the state its samples. */
gdn_sums gdn_lockstep_sums(const gdn_lockstep *l, int series, int h, gdn_quantity q, const gdn_window *w);

/* Sum of one of abs_g, beta, beta2 over positions 1..to. */
double gdn_lockstep_mean(const gdn_lockstep *l, const double *sums, int h, int64_t to);

#endif
