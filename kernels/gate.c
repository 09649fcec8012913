/* SPDX-License-Identifier: Apache-2.0 */
/* gate -- the decay gate and beta as a recipe computes them; see gate.h. */
#include "kernels/gate.h"

#include "kernels/portable.h"

static double softplus_exact(const gdn_format *f, double x)
{
    return gdn_round(f, gdn_softplus(x));
}

/* torch.nn.functional.softplus: the identity above 20. */
static double softplus_torch(const gdn_format *f, double x)
{
    return x > 20 ? x : gdn_round(f, gdn_log1p(gdn_round(f, gdn_exp(x))));
}

/* ln 2 log2(1 + exp2(x log2 e)): loses e^x against 1, and all of it below x = -16.6 in fp32. */
static double softplus_log_exp(const gdn_format *f, double x)
{
    const double ln2 = 0x1.62e42fefa39efp-1, log2e = 0x1.71547652b82fep0;
    if (x > 20)
        return x;
    double power = gdn_round(f, gdn_exp(gdn_round(f, x * gdn_round(f, log2e)) * ln2));
    double sum = gdn_round(f, 1.0 + power);
    return gdn_round(f, gdn_round(f, gdn_log(sum) / ln2) * gdn_round(f, ln2));
}

static double (*const softplus_table[GDN_SOFTPLUS_VARIANTS])(const gdn_format *, double) = {
    [GDN_SOFTPLUS_EXACT] = softplus_exact,
    [GDN_SOFTPLUS_TORCH] = softplus_torch,
    [GDN_SOFTPLUS_LOG_EXP] = softplus_log_exp,
};

double gdn_gate_softplus(gdn_softplus_variant variant, const gdn_format *f, double x)
{
    return x != x ? x : softplus_table[variant](f, x);
}

double gdn_gate_rate(const gdn_recipe *recipe, const gdn_params *params, int h)
{
    double stored = params->decay[h];
    return gdn_round(&gdn_formats[recipe->op],
                     params->decay_is_a ? stored : gdn_round(&gdn_formats[recipe->exp_a], gdn_exp(stored)));
}

gdn_gate gdn_gate_given(const gdn_recipe *recipe, gdn_format_id alpha_store, double g)
{
    g = gdn_round(&gdn_formats[recipe->op], g);
    gdn_gate gate = {.g = g, .alpha = gdn_round(&gdn_formats[recipe->op], gdn_exp(g))};
    gate.alpha = gdn_round(&gdn_formats[alpha_store], gate.alpha);
    return gate;
}

gdn_gate gdn_gate_token(const gdn_recipe *recipe, gdn_format_id alpha_store, double rate, double dt_bias,
                        double a)
{
    const gdn_format *f = &gdn_formats[recipe->op];
    double x = gdn_round(f, a + gdn_round(f, dt_bias));
    double g = gdn_round(f, -rate * gdn_gate_softplus(recipe->softplus, f, x));
    return gdn_gate_given(recipe, alpha_store, rate == 0 ? -0.0 : g);
}

double gdn_gate_beta(const gdn_recipe *recipe, double b)
{
    return gdn_round(&gdn_formats[recipe->beta], gdn_round(&gdn_formats[recipe->op], gdn_sigmoid(b)));
}
