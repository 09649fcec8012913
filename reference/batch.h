/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch -- what the double-double and fp64 engines share: columns in tiles, the state, the gate, the two
 * ends.
 *
 * A block is taken head by head in runs of GDN_RUN tokens, so that scratch memory is bounded by a run and a
 * tile's state stays in L1 over it. The gate and the norms of k and q are double-double in both engines:
 *
 *     g = -exp(A_log) softplus(a + dt_bias)    alpha = exp(g)    beta = 2^shift sigmoid(b)
 *     1 / |k| = 1 / sqrt(sum k^2 + eps), or 1 where the L2 norm is off
 *
 * gate.h says what happens at the ends of the range.
 */
#ifndef GDN_REFERENCE_BATCH_H
#define GDN_REFERENCE_BATCH_H

#include <stddef.h>

#include "base/engine.h"
#include "reference/tile.h"

typedef struct gdn_batch {
    gdn_setup setup;
    int parts;      /* doubles per state element: 2 in double-double, 1 in fp64 */
    int columns;    /* value columns that run */
    int stride;     /* columns, padded to a multiple of GDN_TILE */
    int rows;       /* dk, padded to a multiple of GDN_ROW_PAD */
    gdn_dd scale;   /* d_k^(-1/2), or the one given */
    int *column;    /* [columns]: which they are */
    gdn_dd *rate;   /* [H]: A */
    double *weight; /* [stride]: norm_weight */
    double *state;  /* [H][stride / 8][rows][parts][8] */
    const gdn_dd_code *code;
    /* scratch of one run */
    double *k, *q;            /* [GDN_RUN][rows] */
    double *v, *z, *o, *o_lo; /* [GDN_RUN][stride] */
    gdn_run_pairs *g, *alpha, *beta, *k_inverse, *q_inverse, *rho, *sigma, *omega, *ms;
} gdn_batch;

/* Tokens first .. first + n - 1 of a block for one head; at: where they start in arrays [H][tokens]. */
typedef struct gdn_run {
    const gdn_block *in;
    const gdn_outputs *out;
    int head, n;
    size_t at;
} gdn_run;

#ifdef __cplusplus
extern "C" {
#endif

/* Can an engine be opened on this? And has this call all that it needs? */
gdn_status gdn_batch_check(const gdn_setup *setup, gdn_error *err);
gdn_status gdn_batch_given(const gdn_setup *setup, const gdn_block *in, const gdn_outputs *out,
                           gdn_error *err);

/* What multiplies q^: d_k^(-1/2), or the scale given. */
gdn_dd gdn_batch_scale(const gdn_setup *setup);

/* What follows from the parameters: rate [H], column [columns], weight [columns] (where the recurrence runs).
 */
void gdn_batch_constants(const gdn_setup *setup, gdn_dd *rate, int *column, double *weight);

/* Zeroed batch -> open one. On failure it is closed again. */
gdn_status gdn_batch_open(gdn_batch *b, const gdn_setup *setup, int parts, gdn_error *err);
void gdn_batch_close(gdn_batch *b);

/* Is all there that this call needs? Chooses the instruction set, too. */
gdn_status gdn_batch_begin(gdn_batch *b, const gdn_block *in, const gdn_outputs *out, gdn_error *err);

/* g, alpha and beta of a run, and the outputs g and alpha. */
void gdn_batch_gate(gdn_batch *b, const gdn_run *run);

/* k, q, v, z of a run into scratch, with 1 / |k| and 1 / |q|, which are 1 where the norm is off. */
void gdn_batch_load(gdn_batch *b, const gdn_run *run);

/* The state of one tile. */
double *gdn_batch_state(const gdn_batch *b, int head, int tile);

/* One tile of the run: everything but rho, sigma and omega set. */
gdn_tile gdn_batch_tile(const gdn_batch *b, const gdn_run *run, int tile);

/* Padded scratch [n][stride] -> the output [H][tokens][columns]; a NULL output is not wanted. */
void gdn_batch_store(const gdn_batch *b, const gdn_run *run, const double *from, double *to);

/* The padding of o counts as zero in the mean, whatever infinite factors made of it. */
void gdn_batch_blank(gdn_batch *b, int n);

/* Does this run want the mean of o^2 worked out (true), or read from out->ms if at all? */
bool gdn_batch_own_mean(const gdn_setup *setup, const gdn_outputs *out);

gdn_status gdn_batch_read_state(const gdn_batch *b, double *hi, double *lo);

#ifdef __cplusplus
}
#endif

#endif
