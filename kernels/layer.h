/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer -- the whole layer under test: projections, conv and SiLU, a core recipe (gate, recurrence, out_norm)
 * through its engine, out projection (base/layer.h has the formulas).
 *
 * The state of the recurrence and the last three conv inputs are carried from call to call, so that prefill
 * by chunks and then token by token gives what one call gives: to the bit where the core is recurrent and
 * conv inputs are kept in the format they come in.
 */
#ifndef GDN_KERNELS_LAYER_H
#define GDN_KERNELS_LAYER_H

#include "base/layer.h"
#include "kernels/recipe.h"

/* What is rounded around the core. Sums are fp32. */
typedef struct gdn_layer_recipe {
    const char *name;
    const char *summary;
    const char *core;         /* recipe of the core (kernels/recipe.h) */
    gdn_format_id input;      /* hidden states, weights of projections and conv, as they come in */
    gdn_format_id linear;     /* result of a projection */
    gdn_format_id conv_sum;   /* conv before SiLU */
    gdn_format_id conv;       /* after SiLU */
    gdn_format_id conv_state; /* conv inputs kept between calls */
    gdn_format_id output;     /* result of the out projection; of each rank's part and of each sum of parts */
} gdn_layer_recipe;

extern const gdn_layer_recipe gdn_layer_recipes[];
extern const int gdn_layer_recipe_count;

/* The layer recipe called `name`, or NULL. */
const gdn_layer_recipe *gdn_layer_recipe_by_name(const char *name);

/* What to open a layer on. Everything pointed to must outlive it. */
typedef struct gdn_layer_setup {
    gdn_layer_shape shape;
    gdn_layer_weights weights;
    const gdn_layer_recipe *recipe;
    int first, heads; /* value heads first .. first + heads - 1 run here, one rank's share; heads 0: all */
    const double *state0; /* [H_v][dk][dv] initial state, or NULL for zero */
    const float
        *conv_state0; /* [channels][3] conv inputs before the first token, oldest first, or NULL for zero */
    uint64_t seed;    /* of stochastic rounding */
} gdn_layer_setup;

typedef struct gdn_layer gdn_layer;

/* On failure *out is NULL. */
gdn_status gdn_layer_open(gdn_layer **out, const gdn_layer_setup *setup, gdn_error *err);

/*
 * Advance over n tokens. hidden: [n][D]. Stages of a rank have its own heads, [n][heads][d]; its output is
 * its part of the sum over the heads. lo is not written.
 */
gdn_status gdn_layer_advance(gdn_layer *l, int n, const float *hidden, const gdn_layer_outputs *out,
                             gdn_error *err);

/*
 * What the next token will meet. state: [heads][dk][dv]; conv: [channels of these heads][3], of q, of k, of
 * v. NULL: not wanted.
 */
gdn_status gdn_layer_read_state(gdn_layer *l, double *state, float *conv, gdn_error *err);

/* A new sequence begins: both states are zero, positions count from 1. */
gdn_status gdn_layer_reset(gdn_layer *l, gdn_error *err);

void gdn_layer_close(gdn_layer *l); /* NULL is fine */

/* Parts of the output, of `ranks` ranks, added in order of rank; each sum rounds. parts: [ranks] of [n]; sum:
 * [n] */
void gdn_layer_join(const gdn_layer_recipe *recipe, int ranks, const double *const *parts, size_t n,
                    double *sum);

#endif
