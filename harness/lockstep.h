/* SPDX-License-Identifier: Apache-2.0 */
/* lockstep -- the inside of a task: engines over the same inputs, and the sums of their differences. */
#ifndef GDN_HARNESS_LOCKSTEP_H
#define GDN_HARNESS_LOCKSTEP_H

#include "harness/backend.h"
#include "harness/metrics.h"
#include "harness/plan.h"
#include "harness/source.h"
#include "harness/task.h"
#include "harness/team.h"
#include "reference/certify.h"

/*
 * What an engine produced over one block, [H][n] or [H][n][columns], in the backend's memory; decay is the
 * running product of alpha.
 */
typedef struct gdn_trace {
    double *g, *g_lo, *alpha, *alpha_lo, *decay, *decay_lo, *o, *o_lo, *y, *y_lo, *ms, *ms_lo;
    double *state, *state_lo; /* [H][dk][columns] */
    gdn_product *product;     /* [H] running decays */
} gdn_trace;

/* One engine of a reference: some columns of some heads of the batch. */
typedef struct gdn_level {
    const gdn_engine *engine; /* NULL: this level does not run */
    gdn_team team;
    gdn_trace trace;
    bool visiting;      /* runs in this process though the backend is elsewhere: */
    gdn_trace local;    /* its outputs before they are brought over */
    const int *columns; /* [ncolumns]; NULL: all */
    int ncolumns;
    int head, heads; /* heads head .. head + heads - 1 of the batch */
} gdn_level;

/* One set of stored parameters with its reference; set 0 is the true one. */
typedef struct gdn_set {
    gdn_params params;
    double *decay, *dt_bias, *norm_weight;
    gdn_level level[GDN_LEVELS];
} gdn_set;

/* A profile under test: a recipe, or outputs recorded elsewhere. */
typedef struct gdn_subject {
    const gdn_profile *profile; /* NULL for recorded outputs */
    gdn_profile own;            /* with the recipe that the engine points to */
    const gdn_recorded *recorded;
    const gdn_engine *engine;
    gdn_team team;
    bool visiting; /* as in gdn_level */
    int set;       /* the parameters it runs on */
} gdn_subject;

/* Sums kept per set, then per subject. "Fine" ones are against the check, on its columns. */
typedef enum gdn_series {
    GDN_SET_CHECK,   /* base - check */
    GDN_SET_WITNESS, /* check - witness */
    GDN_SET_STORAGE, /* base - base of the true set */
    GDN_SET_STORAGE_FINE,
    GDN_SERIES_PER_SET
} gdn_series;

enum {
    GDN_SUBJECT_TOTAL,
    GDN_SUBJECT_ARITH,
    GDN_SUBJECT_TOTAL_FINE,
    GDN_SUBJECT_ARITH_FINE,
    GDN_SERIES_PER_SUBJECT
};

typedef struct gdn_lockstep {
    const gdn_experiment *e;
    const gdn_backend *backend;
    gdn_source *source;
    gdn_plan plan;
    int block;                     /* tokens advanced at a time */
    int sequence;                  /* packed: the one at work */
    int64_t begin;                 /* tokens before it */
    double *state0;                /* [H][dk][dv] that every sequence starts from; NULL: zero */
    bool reported[GDN_QUANTITIES]; /* asked for */
    bool wanted[GDN_QUANTITIES];   /* accumulated: also what the uncertainty of another rests on */
    bool recurrence;
    int threads; /* that may work on this task */
    const gdn_ladder *ladder;
    int *checked, *witnessed; /* [nchecked], [nwitnessed] value columns that these levels run */
    int *witness_index;       /* [nwitnessed] where the witnessed columns stand among the checked */
    int *checked_there, *witness_index_there; /* the same in the backend's memory */
    int nchecked, nwitnessed;
    int witness_set;        /* the set that is witnessed: seeds take turns */
    double certify_seconds; /* spent in check and witness */
    gdn_set *set;
    int sets;
    gdn_subject *subject;
    int subjects;
    gdn_trace trace, local; /* of the subject at work; local as in gdn_level */
    bool any_visiting;      /* some engine needs the inputs in this process */
    float *inputs;          /* a block of inputs in the backend's memory, where it is not this process's */
    gdn_product *products;  /* [subjects][H] running decays, in the backend's memory */
    gdn_accumulator *open;  /* [series][H][GDN_QUANTITIES], in the backend's memory */
    gdn_sums *closed;       /* [series][H][GDN_QUANTITIES][slots], by segment or sample */
    gdn_sums *joined;       /* [series][H] of one quantity, on their way there */
    int slots;              /* max(segments, samples) */
    double *running;  /* [3][H] sums of |g|, beta, beta^2 of the truth so far, in the backend's memory */
    double *averages; /* [segments][3][H] the same at each segment's end */
    int64_t *scale;   /* [H] exponent of the true decay where the segment began; the backend's memory */
    gdn_difference pending[GDN_DIFFERENCES]; /* differences to be taken, [npending] */
    int npending;
} gdn_lockstep;

/* Which of the sums over tokens. */
enum { GDN_SUM_ABS_G, GDN_SUM_BETA, GDN_SUM_BETA2, GDN_SUMS_OVER_TOKENS };

/* Does the subject produce this quantity? Recorded outputs may lack some. */
bool gdn_subject_has(const gdn_subject *s, gdn_quantity q);

/* A recording without tensors stands for the parameters it names: it has a storage error and no other. */
bool gdn_subject_is_storage(const gdn_subject *s);

/* Index of a series of a set or a subject. */
static inline int gdn_set_series(int set, int which)
{
    return GDN_SERIES_PER_SET * set + which;
}

static inline int gdn_subject_series(const gdn_lockstep *l, int subject, int which)
{
    return GDN_SERIES_PER_SET * l->sets + GDN_SERIES_PER_SUBJECT * subject + which;
}

gdn_status gdn_lockstep_open(const gdn_task *task, gdn_lockstep **out, gdn_error *err);

/* Running decays that start at 1. product: [heads] in the backend's memory */
gdn_status gdn_lockstep_ones(const gdn_backend *b, gdn_product *product, size_t heads, gdn_error *err);

/* Where `done` tokens end a packed sequence: every engine and running decay starts anew
 * (lockstep_sequence.c). */
gdn_status gdn_lockstep_next_sequence(gdn_lockstep *l, int64_t done, gdn_error *err);

/* Advance to the end of the plan. */
gdn_status gdn_lockstep_run(gdn_lockstep *l, gdn_task_progress progress, void *context, gdn_error *err);

void gdn_lockstep_close(gdn_lockstep *l);

/* Stands for a head where all of them are meant together. */
enum { GDN_ALL_HEADS = -1 };

/* The sums of a series over a window: its segments, or for the state its samples. h may be GDN_ALL_HEADS. */
gdn_sums gdn_lockstep_sums(const gdn_lockstep *l, int series, int h, gdn_quantity q, const gdn_window *w);

/* Mean of |g|, beta or beta^2 over positions 1..to of head h, or of all; `to` ends a segment. */
double gdn_lockstep_mean(const gdn_lockstep *l, int which, int h, int64_t to);

#endif
