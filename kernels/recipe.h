/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recipe -- what is rounded on the way, as rows of data (spec section 3).
 *
 * A recipe says, for each step of the layer, in which format its result lies. Two formats of operation exist:
 * fp32, in which a dot product is a chain of fused multiply-adds, and bf16, in which every product and every
 * sum is rounded to bf16.
 */
#ifndef GDN_KERNELS_RECIPE_H
#define GDN_KERNELS_RECIPE_H

#include "base/format.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Ways to evaluate softplus: enumerator, function gdn_softplus_<name> of kernels/gate.h, word in files, and
 * what one evaluation counts as (pointwise operations, functions). A new one is a line here and its formula
 * there.
 *
 *     exact:   max(x, 0) + log1p(exp -|x|), rounded once
 *     torch:   x above 20, else log1p(exp x), each rounded
 *     log-exp: x above 20, else ln 2 log2(1 + exp2(x log2 e)), each rounded: kernels without log1p
 */
#define GDN_SOFTPLUS_TABLE(X)                                                                                \
    X(EXACT, exact, "exact", 1, 2)                                                                           \
    X(TORCH, torch, "torch", 0, 2)                                                                           \
    X(LOG_EXP, log_exp, "log-exp", 3, 2)

typedef enum gdn_softplus_variant {
#define GDN_ENUMERATOR(id, name, word, pointwise, functions) GDN_SOFTPLUS_##id,
    GDN_SOFTPLUS_TABLE(GDN_ENUMERATOR)
#undef GDN_ENUMERATOR
        GDN_SOFTPLUS_VARIANTS
} gdn_softplus_variant;

typedef enum gdn_rounding { GDN_NEAREST, GDN_STOCHASTIC, GDN_ROUNDINGS } gdn_rounding;

/* The order of the sums: a token after the other, or chunks of 64 in the WY form (spec section 1), or both.
 */
typedef enum gdn_algorithm {
    GDN_RECURRENT,
    GDN_CHUNKED,
    GDN_PREFILL_DECODE, /* chunked over the first `prefill` tokens, then token by token from the state cache
                         */
    GDN_ALGORITHMS
} gdn_algorithm;

/* Whose exp, log and rsqrt: ours (kernels/portable.h), CUDA's expf and log1pf, ex2.approx and its like. */
typedef enum gdn_math { GDN_MATH_PORTABLE, GDN_MATH_CUDA, GDN_MATH_APPROX, GDN_MATHS } gdn_math;

/* Where eps = 1e-6 goes in the L2 norm of q and k; spec section 1 has it in the sum. */
typedef enum gdn_l2norm {
    GDN_L2_SUM_EPS,  /* x rsqrt(sum x^2 + eps) */
    GDN_L2_MAX_EPS,  /* x / max(sqrt(sum x^2), eps) */
    GDN_L2_MEAN_EPS, /* d^(-1/2) x rsqrt(mean x^2 + eps) */
    GDN_L2_NONE,     /* q and k come normalised already: the explicit design */
    GDN_L2_NORMS
} gdn_l2norm;

/* What the gate hands to the recurrence: g, or alpha = exp(g) from which log2(alpha + 1e-10) is taken. */
typedef enum gdn_carrier { GDN_CARRIER_G, GDN_CARRIER_ALPHA, GDN_CARRIERS } gdn_carrier;

extern const char *const gdn_l2norm_names[GDN_L2_NORMS];
extern const char *const gdn_carrier_names[GDN_CARRIERS];
extern const char *const gdn_softplus_names[GDN_SOFTPLUS_VARIANTS];
extern const char *const gdn_rounding_names[GDN_ROUNDINGS];
extern const char *const gdn_algorithm_names[GDN_ALGORITHMS];
extern const char *const gdn_math_names[GDN_MATHS];

typedef struct gdn_recipe {
    const char *name;
    const char *summary;
    gdn_format_id op;    /* result of every operation: fp32 or bf16 */
    gdn_format_id exp_a; /* exp(A_log) */
    gdn_softplus_variant softplus;
    gdn_format_id beta;  /* beta = sigmoid(b) */
    gdn_format_id qk;    /* q^, k^ after the L2 norm */
    gdn_format_id state; /* the state as it rests between tokens */
    gdn_rounding state_rounding;
    gdn_format_id output; /* o and y, each rounded once where it leaves */
    gdn_format_id input;  /* q, k, v and z as they come in */
    gdn_algorithm algorithm;
    gdn_format_id product; /* chunked: operands of matrix products, fp32, tf32 or bf16 */
    gdn_math math;
    /* Fields whose zero is what recipes did before they came; GDN_FP64 rounds nothing beyond the operation.
     */
    gdn_format_id norm_in;  /* o as out_norm reads it: acts only where it is narrower than `output` */
    gdn_format_id norm_hat; /* o / rms(o), before the weight */
    gdn_format_id norm_out; /* w o / rms(o), before the gate z sigmoid(z) */
    gdn_l2norm l2norm;
    gdn_carrier carrier;
    gdn_format_id inverse; /* chunked: every number of M = (I + L)^-1; GDN_FP64: as `product` says */
    int64_t prefill;       /* prefill-decode: tokens that go through the chunked form */
} gdn_recipe;

extern const gdn_recipe gdn_recipes[];
extern const int gdn_recipe_count;

/* The recipe called `name`, or NULL. */
const gdn_recipe *gdn_recipe_by_name(const char *name);

#ifdef __cplusplus
}
#endif

#endif
