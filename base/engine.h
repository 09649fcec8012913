/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine -- the one interface of everything that advances a batch of heads by a block of tokens: a recipe
 * under test, MPFR, double-double, fp64, outputs recorded from somebody else's kernel.
 *
 * Life: open, then advance block after block over consecutive tokens, read_state whenever wanted, close. What
 * an engine computes at a token depends only on the parameters and on earlier inputs, so blocks may have any
 * size. Engines share nothing: different ones may run in different threads.
 */
#ifndef GDN_BASE_ENGINE_H
#define GDN_BASE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/format.h"
#include "base/shape.h"
#include "base/status.h"

/*
 * The parameters of a batch as they are after storage. `decay` holds A_log, or A = exp(A_log) itself where
 * that is what rests. Values are doubles so that 1 + (stored w - 1) is exact.
 */
typedef struct gdn_params {
    bool decay_is_a;           /* decay holds A, not log A */
    const double *decay;       /* [H] */
    const double *dt_bias;     /* [H] */
    const double *norm_weight; /* [dv], effective: multiplies the normalised output; shared by the heads */
    gdn_format_id
        alpha; /* format in which alpha = exp(g) rests between gate and recurrence; GDN_FP64: not rounded */
    int beta_shift;  /* beta = 2^shift sigmoid(b), or 2^shift times the beta given: 0, or 1 where negative
                        eigenvalues are allowed */
    bool l2norm_off; /* q and k are used as they come, not q^ and k^ */
    double scale;    /* of q: o = scale S^T q^; 0: d_k^(-1/2) */
} gdn_params;

/* Inputs of n tokens. Exactly one of a, g and one of b, beta is given; z only where y is wanted. */
typedef struct gdn_block {
    int64_t first;     /* position of the first token, 1-based */
    int tokens;        /* n */
    const float *q;    /* [H][n][dk], before the L2 norm */
    const float *k;    /* [H][n][dk], before the L2 norm */
    const float *v;    /* [H][n][dv] */
    const float *z;    /* [H][n][dv], gate of out_norm, or NULL */
    const float *a;    /* [H][n], input of the decay gate, or NULL */
    const float *g;    /* [H][n], the log decay itself, or NULL */
    const float *b;    /* [H][n], beta = sigmoid(b), or NULL */
    const float *beta; /* [H][n], beta itself, or NULL */
} gdn_block;

/*
 * Where outputs go. A NULL pointer is not wanted and not computed. Each value is an unevaluated sum hi + lo;
 * engines with pairs == false leave lo untouched. `columns` counts the value columns that the engine was
 * opened on.
 */
typedef struct gdn_outputs {
    double *g, *g_lo;         /* [H][n] log decay */
    double *alpha, *alpha_lo; /* [H][n] decay as the recurrence uses it */
    double *o, *o_lo;         /* [H][n][columns] */
    double *y, *y_lo;         /* [H][n][columns] after out_norm */
    double *ms, *ms_lo; /* [H][n] mean of o^2 over all dv columns: written by an engine that runs them all,
                           read by one that runs a sample and is asked for y */
} gdn_outputs;

/* Operations on numbers that an engine has done: claim D1. A fused multiply-add is two. */
typedef struct gdn_counts {
    double products;  /* in matrix or vector products, decay and outer products included */
    double pointwise; /* in norms, gates and masks */
    double functions; /* exp, log, sqrt, division: each counted once */
} gdn_counts;

/* What to open an engine on. Everything pointed to must outlive the engine. */
typedef struct gdn_setup {
    gdn_shape shape;
    gdn_params params;
    const int *columns;   /* [ncolumns] the value columns to run, ascending; NULL: all */
    int ncolumns;         /* dv when columns is NULL */
    bool recurrence;      /* false: only g and alpha are wanted */
    uint64_t seed;        /* of stochastic rounding */
    int head0;            /* of the task's heads the first one here: stochastic rounding draws by head */
    const void *recipe;   /* engines under test: const gdn_recipe * (kernels/recipe.h) */
    int precision;        /* MPFR: significand bits */
    const double *state0; /* [H][dk][dv] initial state, or NULL for zero */
    gdn_counts
        *counts; /* engines under test on the CPU add to it: one engine, one thread; NULL: not wanted */
} gdn_setup;

typedef struct gdn_engine {
    const char *name;
    const char *summary;
    bool pairs; /* fills the lo halves */
    gdn_status (*open)(void **self, const gdn_setup *setup, gdn_error *err);
    gdn_status (*advance)(void *self, const gdn_block *in, const gdn_outputs *out, gdn_error *err);
    /* The state after the last token advanced over: hi, lo are [H][dk][ncolumns]; lo may be NULL. */
    gdn_status (*read_state)(void *self, double *hi, double *lo, gdn_error *err);
    void (*close)(void *self); /* NULL is allowed */
} gdn_engine;

#endif
