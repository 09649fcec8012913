/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer_cuda -- the parts of the layer around the recurrence, on the device: decay gate, beta, out_norm.
 *
 * Launches on this thread's stream; nothing waits. All pointers are device memory. What each number undergoes
 * is in kernels/gate.h and kernels/norm.h, which the CPU uses too.
 */
#ifndef GDN_KERNELS_LAYER_CUDA_H
#define GDN_KERNELS_LAYER_CUDA_H

#include "base/engine.h"
#include "kernels/recipe.h"

#ifdef __cplusplus
extern "C" {
#endif

/* rate[h] = exp(A_log) as the recipe holds it (kernels/gate.h). decay, rate: [heads] */
gdn_status gdn_cuda_rates(const gdn_recipe *recipe, bool decay_is_a, const double *decay, int heads,
                          double *rate, gdn_error *err);

/*
 * Gate and beta of n tokens of every head. The inputs' and outputs' first token is the span's; their heads
 * lie `stride` tokens apart, those of alpha_used and beta_used n.
 */
typedef struct gdn_cuda_gates {
    gdn_recipe recipe;
    gdn_format_id alpha_store;
    int beta_shift;
    int heads, n;
    int64_t stride;
    const double *rate, *dt_bias;  /* [H] */
    const float *a, *g;            /* [H][stride], exactly one */
    const float *b, *beta;         /* [H][stride], exactly one where beta_used is given */
    double *g_out, *alpha_out;     /* [H][stride], NULL: not wanted */
    float *alpha_used, *beta_used; /* [H][n] as the recurrence uses them, NULL: not wanted */
} gdn_cuda_gates;

gdn_status gdn_cuda_gates_run(const gdn_cuda_gates *gates, gdn_error *err);

/*
 * y = w (o rsqrt(mean o^2 + eps)) (z sigmoid(z)) over `rows` rows of dv columns, with the recipe's casts and
 * rounded into its output format. o, y: [rows][dv], may be the same; z: [rows][dv]; w: [dv] in the recipe's
 * op format.
 */
gdn_status gdn_cuda_out_norm(const gdn_recipe *recipe, const double *o, const float *z, const float *w,
                             int64_t rows, int dv, double *y, gdn_error *err);

#ifdef __cplusplus
}
#endif

#endif
