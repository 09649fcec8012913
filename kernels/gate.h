/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate -- the decay gate and beta as a recipe computes them.
 *
 *     g = -exp(A_log) softplus(a + dt_bias),  alpha = exp(g),  beta = sigmoid(b)
 *
 * Every named step is evaluated in double (kernels/portable.h; kernels/native.h where the recipe asks for it)
 * and rounded once to the recipe's format. That equals the format's own operation: a sum, product, quotient
 * or root computed in double and rounded to p <= 24 bits is correctly rounded, since 53 >= 2 p + 2.
 */
#ifndef GDN_KERNELS_GATE_H
#define GDN_KERNELS_GATE_H

#include "base/engine.h"
#include "kernels/native.h"
#include "kernels/recipe.h"

typedef struct gdn_gate {
    double g;     /* log decay */
    double alpha; /* as the recurrence uses it */
} gdn_gate;

GDN_SHARED double gdn_softplus_exact(const gdn_format *f, double x)
{
    return gdn_round_to(f, gdn_softplus(x));
}

/* torch.nn.functional.softplus: the identity above 20. */
GDN_SHARED double gdn_softplus_torch(const gdn_format *f, double x)
{
    return x > 20 ? x : gdn_round_to(f, gdn_log1p(gdn_round_to(f, gdn_exp(x))));
}

/* ln 2 log2(1 + exp2(x log2 e)): loses e^x against 1, and all of it below x = -16.6 in fp32. */
GDN_SHARED double gdn_softplus_log_exp(const gdn_format *f, double x)
{
    const double ln2 = 0x1.62e42fefa39efp-1, log2e = 0x1.71547652b82fep0;
    if (x > 20)
        return x;
    double power = gdn_round_to(f, gdn_exp(gdn_round_to(f, x * gdn_round_to(f, log2e)) * ln2));
    double sum = gdn_round_to(f, 1.0 + power);
    return gdn_round_to(f, gdn_round_to(f, gdn_log(sum) / ln2) * gdn_round_to(f, ln2));
}

/* softplus(x) in a variant; each step lies in format f. */
GDN_SHARED double gdn_gate_softplus(gdn_softplus_variant variant, const gdn_format *f, double x)
{
    if (x != x)
        return x;
    switch (variant) {
#define GDN_CASE(id, name, word, pointwise, functions)                                                       \
    case GDN_SOFTPLUS_##id:                                                                                  \
        return gdn_softplus_##name(f, x);
        GDN_SOFTPLUS_TABLE(GDN_CASE)
#undef GDN_CASE
    default:
        return x;
    }
}

/* softplus(x) as a recipe evaluates it. */
GDN_SHARED double gdn_gate_recipe_softplus(const gdn_recipe *recipe, const gdn_format *f, double x)
{
#if defined(__CUDA_ARCH__)
    if (recipe->math == GDN_MATH_CUDA)
        return gdn_round_to(f, gdn_cuda_softplus(recipe->softplus, (float)x));
    if (recipe->math == GDN_MATH_APPROX)
        return gdn_round_to(f, gdn_approx_softplus((float)x));
#endif
    return gdn_gate_softplus(recipe->softplus, f, x);
}

/* The rate A = exp(A_log) as the recipe holds it. stored: A_log, or A itself. */
GDN_SHARED double gdn_gate_rate(const gdn_recipe *recipe, bool stored_is_a, double stored)
{
    double rate = stored;
    if (!stored_is_a)
        rate = gdn_round_to(gdn_format_row(recipe->exp_a), gdn_math_exp(recipe->math, stored));
    return gdn_round_to(gdn_format_row(recipe->op), rate);
}

/*
 * g as it comes back from alpha = exp(g): ln 2 log2(alpha + 1e-10), each step rounded. Small |g| come back
 * with an ulp of alpha, and nothing comes back below ln 1e-10 (claims X3).
 */
GDN_SHARED double gdn_gate_carried(const gdn_recipe *recipe, const gdn_format *f, double g)
{
    const double ln2 = 0x1.62e42fefa39efp-1, floor = 1e-10;
    double alpha = gdn_round_to(f, gdn_math_exp(recipe->math, g));
    double sum = gdn_round_to(f, alpha + gdn_round_to(f, floor));
    if (sum - sum != 0)
        return sum;
    return gdn_round_to(f, gdn_round_to(f, gdn_math_log2(recipe->math, sum)) * gdn_round_to(f, ln2));
}

/* The gate where g itself is given. */
GDN_SHARED gdn_gate gdn_gate_given(const gdn_recipe *recipe, gdn_format_id alpha_store, double g)
{
    const gdn_format *f = gdn_format_row(recipe->op);
    gdn_gate gate;
    gate.g = gdn_round_to(f, g);
    if (recipe->carrier == GDN_CARRIER_ALPHA)
        gate.g = gdn_gate_carried(recipe, f, gate.g);
    gate.alpha =
        gdn_round_to(gdn_format_row(alpha_store), gdn_round_to(f, gdn_math_exp(recipe->math, gate.g)));
    return gate;
}

/* The gate of one token. a: the gate's input; dt_bias: as stored; rate: gdn_gate_rate. */
GDN_SHARED gdn_gate gdn_gate_token(const gdn_recipe *recipe, gdn_format_id alpha_store, double rate,
                                   double dt_bias, double a)
{
    const gdn_format *f = gdn_format_row(recipe->op);
    double x = gdn_round_to(f, a + gdn_round_to(f, dt_bias));
    double g = gdn_round_to(f, -rate * gdn_gate_recipe_softplus(recipe, f, x));
    return gdn_gate_given(recipe, alpha_store, rate == 0 ? -0.0 : g);
}

/* 2^shift beta where beta is given, in the recipe's format. */
GDN_SHARED double gdn_gate_beta_given(const gdn_recipe *recipe, int shift, double beta)
{
    return gdn_power_of_two(shift) * gdn_round_to(gdn_format_row(recipe->beta), beta);
}

/* beta = 2^shift sigmoid(b); the sigmoid is in the recipe's format. */
GDN_SHARED double gdn_gate_beta(const gdn_recipe *recipe, int shift, double b)
{
    return gdn_gate_beta_given(recipe, shift,
                               gdn_round_to(gdn_format_row(recipe->op), gdn_math_sigmoid(recipe->math, b)));
}

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Gates of head h, tokens t .. t + n - 1 of a block, into gate: [n]; g and alpha are written where wanted;
 * where the recurrence runs, beta: [n]. rate: gdn_gate_rate of the head. What it does is added to the
 * setup's counts.
 */
void gdn_gate_tokens(const gdn_setup *setup, double rate, const gdn_block *in, const gdn_outputs *out, int h,
                     int t, int n, gdn_gate *gate, float *beta);

#ifdef __cplusplus
}
#endif

#endif
