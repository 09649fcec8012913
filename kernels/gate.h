/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate -- the decay gate and beta as a recipe computes them.
 *
 *     g = -exp(A_log) softplus(a + dt_bias),  alpha = exp(g),  beta = sigmoid(b)
 *
 * Every named step is evaluated in double (kernels/portable.h) and rounded once to the recipe's format. That
 * equals the format's own operation: a sum, product, quotient or root computed in double and rounded to p <=
 * 24 bits is correctly rounded, since 53 >= 2 p + 2.
 */
#ifndef GDN_KERNELS_GATE_H
#define GDN_KERNELS_GATE_H

#include "base/engine.h"
#include "kernels/recipe.h"

typedef struct gdn_gate {
    double g;     /* log decay */
    double alpha; /* as the recurrence uses it */
} gdn_gate;

/* softplus(x) in a variant; each step lies in format f. */
double gdn_gate_softplus(gdn_softplus_variant variant, const gdn_format *f, double x);

/* The rate A = exp(A_log) of head h as the recipe holds it. */
double gdn_gate_rate(const gdn_recipe *recipe, const gdn_params *params, int h);

/* The gate of one token. a: the gate's input; dt_bias: as stored; rate: gdn_gate_rate. */
gdn_gate gdn_gate_token(const gdn_recipe *recipe, gdn_format_id alpha_store, double rate, double dt_bias,
                        double a);

/* The gate where g itself is given. */
gdn_gate gdn_gate_given(const gdn_recipe *recipe, gdn_format_id alpha_store, double g);

/* beta = sigmoid(b), or beta where it is given, in the recipe's format. */
double gdn_gate_beta(const gdn_recipe *recipe, double b);

#endif
