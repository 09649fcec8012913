/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tile -- the inner loops of the double-double and fp64 engines, compiled once per instruction set.
 *
 * A tile is eight value columns of one head over a run of at most GDN_RUN tokens; its state stays in L1
 * meanwhile. What a loop computes, and in which order, stands above it in dd_tile.c and fp64_tile.c. Arrays
 * over tokens have room for GDN_RUN entries, rows are padded with zeros to a multiple of 16 and columns to a
 * multiple of 8, which changes no result: a zero term leaves a sum as it is, and columns never mix.
 */
#ifndef GDN_REFERENCE_TILE_H
#define GDN_REFERENCE_TILE_H

#include "reference/step.h"

enum { GDN_RUN = 64, GDN_TILE = 8 };

/* Numbers of a run: one pair per token, halves apart. */
typedef struct gdn_run_pairs {
    double hi[GDN_RUN], lo[GDN_RUN];
} gdn_run_pairs;

GDN_DD_FUNCTION gdn_dd gdn_run_token(const gdn_run_pairs *x, int t)
{
    return gdn_dd_pair(x->hi[t], x->lo[t]);
}

GDN_DD_FUNCTION void gdn_run_put(gdn_run_pairs *x, int t, gdn_dd y)
{
    x->hi[t] = y.hi;
    x->lo[t] = y.lo;
}

/* One tile over one run. lo halves are NULL in fp64. */
typedef struct gdn_tile {
    double *state;       /* dd: [rows][2][8], hi then lo; fp64: [rows][8] */
    const double *k, *q; /* [tokens][rows]; dd: as they came; fp64: k^ and scale q^ */
    const double *v;     /* [tokens][stride] */
    double *o, *o_lo;    /* [tokens][stride] */
    int tokens, rows, stride;
    const gdn_run_pairs *alpha; /* decay */
    const gdn_run_pairs *rho;   /* alpha / |k|: what k . S is multiplied by */
    const gdn_run_pairs *sigma; /* beta / |k|: what v - k^ . alpha S is multiplied by; fp64: beta */
    const gdn_run_pairs *omega; /* scale / |q|: what q . S is multiplied by */
} gdn_tile;

/* The gated norm of a run: o becomes y in place. */
typedef struct gdn_norm {
    double *o, *o_lo;     /* [tokens][columns] */
    const double *z;      /* [tokens][columns] */
    const double *weight; /* [columns] */
    int tokens, columns;  /* columns: padded to a multiple of 8 */
} gdn_norm;

/* Double-double, and what both engines take from it. n: tokens, 1..GDN_RUN; outputs are written up to the
 * next 8. */
typedef struct gdn_dd_code {
    /* g = -rate softplus(a + dt_bias) */
    void (*decay)(int n, gdn_dd rate, double dt_bias, const double *a, gdn_run_pairs *g);
    /* y = exp(x) */
    void (*exp)(int n, const gdn_run_pairs *x, gdn_run_pairs *y);
    /* y = sigmoid(x) */
    void (*sigmoid)(int n, const double *x, gdn_run_pairs *y);
    /* wide [n][rows] <- x [n][dk] and padding; inverse <- 1 / sqrt(sum x^2 + eps) */
    void (*rows)(int n, int dk, int rows, const float *x, double *wide, gdn_run_pairs *inverse);
    void (*tile)(const gdn_tile *);
    /* ms <- sum o^2 / dv */
    void (*mean_square)(const gdn_norm *, int dv, gdn_run_pairs *ms);
    void (*norm)(const gdn_norm *, const gdn_run_pairs *ms);
} gdn_dd_code;

typedef struct gdn_fp64_code {
    /* wide [n][rows] <- wide x factor, rounded once */
    void (*scale)(int n, int rows, double *wide, const gdn_run_pairs *factor);
    void (*tile)(const gdn_tile *);
    void (*mean_square)(const gdn_norm *, int dv, double *ms);
    void (*norm)(const gdn_norm *, const double *ms);
} gdn_fp64_code;

extern const gdn_dd_code gdn_dd_code_scalar, gdn_dd_code_avx2, gdn_dd_code_avx512;
extern const gdn_fp64_code gdn_fp64_code_scalar, gdn_fp64_code_avx2, gdn_fp64_code_avx512;

#endif
