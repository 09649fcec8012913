/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mpfr_layer -- what the two MPFR engines share: numbers in arrays, the gate, both norms, the two ends. The
 * recurrence itself, one value column over a span of tokens, is each engine's own.
 *
 * A gate is a function of one input and the head's parameters, and inputs repeat: bf16 has a few thousand
 * values that occur. So gates are remembered, to the bit; exp and log1p cost as much as everything else.
 */
#ifndef GDN_REFERENCE_MPFR_LAYER_H
#define GDN_REFERENCE_MPFR_LAYER_H

#include <mpfr.h>
#include <stddef.h>

#include "base/engine.h"

/* Tokens whose k^ and q^ are held at a time, so that a column's state stays in L1 while it passes over them.
 */
enum { GDN_MPFR_SPAN = 16 };

/* n numbers of one precision, zeroed, their limbs side by side. */
typedef struct gdn_mpfr_array {
    mpfr_t *x; /* [n] */
    void *limbs;
} gdn_mpfr_array;

/* Results of a function whose argument is a key; see mpfr_layer.c. */
typedef struct gdn_mpfr_memo {
    int each;           /* numbers a result has: 1 or 2 */
    uint64_t *key;      /* [slots]; 0: empty */
    gdn_mpfr_array x;   /* [slots][each] */
    double (*split)[2]; /* [slots][each]: hi and lo of x */
} gdn_mpfr_memo;

typedef struct gdn_mpfr_layer gdn_mpfr_layer;

/* q^, k^, state and o of head h over `span` tokens of a block from row `at` on; alpha and beta are there. */
typedef void gdn_mpfr_recurrence(gdn_mpfr_layer *e, const gdn_block *in, size_t h, size_t at, int span);

struct gdn_mpfr_layer {
    gdn_setup s;
    mpfr_prec_t p;
    int *columns;         /* [ncolumns] */
    gdn_mpfr_array state; /* [H][ncolumns][dk]: of the literal engine */
    gdn_mpfr_array q, k;  /* [GDN_MPFR_SPAN][dk]: scale q^ and k^, of the literal engine */
    gdn_mpfr_array alpha; /* [GDN_MPFR_SPAN] */
    gdn_mpfr_array beta;  /* [GDN_MPFR_SPAN] */
    gdn_mpfr_array rate;  /* [H]: A */
    gdn_mpfr_array o;     /* [GDN_MPFR_SPAN][ncolumns] */
    gdn_mpfr_array t;     /* [8] scratch */
    gdn_mpfr_memo decays; /* g and alpha */
    gdn_mpfr_memo betas;  /* beta */
    mpfr_t eps, scale;    /* 1e-6, and d_k^(-1/2) or the scale given */
    bool wants_o;         /* in this block somebody asks for o or what is made of it */
    gdn_mpfr_recurrence *recurrence;
};

gdn_status gdn_mpfr_array_new(gdn_mpfr_array *a, size_t n, mpfr_prec_t p, gdn_error *err);
void gdn_mpfr_array_free(gdn_mpfr_array *a);

/*
 * A layer in the caller's zeroed memory, without state, q and k: the start of an engine with its own ones.
 * clear frees what it points to, after a failed init too.
 */
gdn_status gdn_mpfr_layer_init(gdn_mpfr_layer *e, const gdn_setup *setup, gdn_mpfr_recurrence *recurrence,
                               gdn_error *err);
void gdn_mpfr_layer_clear(gdn_mpfr_layer *e);

/* The operations of gdn_engine on numbers of MPFR, but for the recurrence. */
gdn_status gdn_mpfr_layer_open(gdn_mpfr_layer **out, const gdn_setup *setup, gdn_mpfr_recurrence *recurrence,
                               gdn_error *err);
gdn_status gdn_mpfr_layer_advance(void *self, const gdn_block *in, const gdn_outputs *out, gdn_error *err);
gdn_status gdn_mpfr_layer_read_state(void *self, double *hi, double *lo, gdn_error *err);
void gdn_mpfr_layer_close(void *self);

/* The calling thread's exponent range at its widest (2^62), its flags cleared. */
void gdn_mpfr_range(void);

/*
 * Functions of any number that stay within the range: where exp x would leave it, it is 0 or infinite.
 *
 *     exp:        y <- exp x
 *     sigmoid:    r <- 1 / (1 + exp(-x)), r != x
 *     log_decay:  g <- -A softplus(g) of head h, g being a + dt_bias; rate: A, t: scratch
 */
void gdn_mpfr_exp(mpfr_t y, mpfr_t x);
void gdn_mpfr_sigmoid(mpfr_t r, mpfr_t x);
void gdn_mpfr_log_decay(mpfr_t g, mpfr_t rate, const gdn_params *p, size_t h, mpfr_t t);

/* y = x rsqrt(sum x^2 + eps), or x where the norm is off. x: [dk], y: [dk] */
void gdn_mpfr_l2_norm(gdn_mpfr_layer *e, const float *x, mpfr_t *y);

/* r <- x . y over [n], by products and sums; t is scratch. */
void gdn_mpfr_dot(mpfr_t r, mpfr_t *x, mpfr_t *y, int n, mpfr_t t);

/* x as hi + lo, into hi[at], lo[at]; t is scratch. A NULL hi is not wanted. */
void gdn_mpfr_split(mpfr_t x, double *hi, double *lo, size_t at, mpfr_t t);

#endif
