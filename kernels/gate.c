/* SPDX-License-Identifier: Apache-2.0 */
/* gate -- the decay gate and beta over a run of tokens on the CPU; see gate.h. */
#include "kernels/gate.h"

#include "kernels/norm.h"

/*
 * What n tokens take: a + dt_bias, softplus, its product with -A; alpha's way there and back; exp(g);
 * beta = 1 / (1 + e^-b), and its factor 2. exp(A_log) is done once for a head and not counted.
 */
static void count(const gdn_setup *setup, const gdn_block *in, double n, gdn_counts *c)
{
    static const struct {
        int pointwise, functions;
#define COUNTS(id, name, word, pointwise, functions) {pointwise, functions},
    } softplus[GDN_SOFTPLUS_VARIANTS] = {GDN_SOFTPLUS_TABLE(COUNTS)};
#undef COUNTS
    const gdn_recipe *recipe = setup->recipe;
    const bool carried = recipe->carrier == GDN_CARRIER_ALPHA, beta = setup->recurrence;
    const bool sigmoid = beta && !in->beta, doubled = beta && setup->params.beta_shift != 0;
    c->pointwise +=
        n * ((in->g ? 0 : 2 + softplus[recipe->softplus].pointwise) + (carried ? 2 : 0) + sigmoid + doubled);
    c->functions +=
        n * ((in->g ? 0 : softplus[recipe->softplus].functions) + (carried ? 2 : 0) + 1 + (sigmoid ? 2 : 0));
}

void gdn_gate_tokens(const gdn_setup *setup, double rate, const gdn_block *in, const gdn_outputs *out, int h,
                     int t, int n, gdn_gate *gate, float *beta)
{
    const gdn_recipe *recipe = setup->recipe;
    const gdn_params *p = &setup->params;
    for (int x = 0; x < n; x++) {
        size_t at = (size_t)h * (size_t)in->tokens + (size_t)(t + x);
        gate[x] = in->g ? gdn_gate_given(recipe, p->alpha, in->g[at])
                        : gdn_gate_token(recipe, p->alpha, rate, p->dt_bias[h], in->a[at]);
        if (out->g)
            out->g[at] = gate[x].g;
        if (out->alpha)
            out->alpha[at] = gate[x].alpha;
        if (setup->recurrence)
            beta[x] =
                gdn_plain_nan((float)(in->beta ? gdn_gate_beta_given(recipe, p->beta_shift, in->beta[at])
                                               : gdn_gate_beta(recipe, p->beta_shift, in->b[at])));
    }
    if (setup->counts)
        count(setup, in, n, setup->counts);
}
