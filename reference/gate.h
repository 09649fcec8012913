/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate -- the decay gate of one token where the plain product of step_body.h will not do; what is done to
 * alpha and beta once they are there.
 *
 *     g = -exp(A_log) softplus(a + dt_bias)        alpha = exp(g)        beta = 2^shift sigmoid(b)
 *
 * Where factors leave the range of doubles but g does not (A > 2^500 or a + dt_bias < -600) the product is
 * taken in another order. alpha below 2^-1074 is 0 and clears the state; g = -inf gives alpha = 0, A = 0
 * gives g = -0.
 */
#ifndef GDN_REFERENCE_GATE_H
#define GDN_REFERENCE_GATE_H

#include "base/round.h"
#include "reference/step.h"

/* Beyond these, factors of g are multiplied in an order that keeps them within range. */
#define GDN_FAR_RATE 0x1p500
#define GDN_FAR_X (-600.0)

GDN_DD_FUNCTION bool gdn_gate_finite(double x)
{
    return x - x == 0.0;
}

/* Is gdn_dd_decay() good here? rate: A */
GDN_DD_FUNCTION bool gdn_gate_near(double rate, double dt_bias, double a)
{
    double sum = a + dt_bias;
    return rate < GDN_FAR_RATE && sum > GDN_FAR_X && gdn_gate_finite(sum);
}

GDN_DD_FUNCTION gdn_dd gdn_gate_whole(double x)
{
    return gdn_dd_pair(x, 0.0);
}

/* a b, a + b where an infinity is a result like any other. */
GDN_DD_FUNCTION gdn_dd gdn_gate_times(gdn_dd a, gdn_dd b)
{
    double p = a.hi * b.hi;
    return gdn_gate_finite(p) ? gdn_dd_mul(a, b) : gdn_gate_whole(p);
}

GDN_DD_FUNCTION gdn_dd gdn_gate_plus(double a, double b)
{
    return gdn_gate_finite(a + b) ? gdn_dd_two_sum(a, b) : gdn_gate_whole(a + b);
}

/* -A softplus(x) from A itself; below -600 softplus(x) = exp(x) to 2^-860, which enters as the square of its
 * root. */
GDN_DD_FUNCTION gdn_dd gdn_gate_far_rate(double rate, gdn_dd x)
{
    if (rate == 0.0)
        return gdn_gate_whole(-0.0);
    if (!(x.hi < GDN_FAR_X))
        return gdn_dd_neg(gdn_gate_times(gdn_gate_whole(rate), gdn_dd_softplus(x)));
    gdn_dd root = gdn_dd_exp(gdn_dd_pair(0.5 * x.hi, 0.5 * x.lo));
    return gdn_dd_neg(gdn_gate_finite(rate) ? gdn_gate_times(gdn_gate_times(gdn_gate_whole(rate), root), root)
                                            : gdn_gate_whole(rate));
}

/* -exp(A_log) softplus(x): below -600 the two exponentials become one; above, exp(A_log) enters as the square
 * of its root. */
GDN_DD_FUNCTION gdn_dd gdn_gate_far_log(double a_log, gdn_dd x)
{
    if (x.hi < GDN_FAR_X)
        return gdn_dd_neg(gdn_dd_exp(gdn_gate_finite(a_log) && gdn_gate_finite(x.hi)
                                         ? gdn_dd_add_real(x, a_log)
                                         : gdn_gate_plus(x.hi, a_log)));
    gdn_dd root = gdn_dd_exp(gdn_gate_whole(0.5 * a_log));
    return gdn_dd_neg(root.hi == 0.0 ? gdn_gate_whole(0.0)
                                     : gdn_gate_times(gdn_gate_times(root, gdn_dd_softplus(x)), root));
}

/* g of one token where a factor may overflow or underflow. decay: A, or log A */
GDN_DD_FUNCTION gdn_dd gdn_gate_far(bool decay_is_a, double decay, double dt_bias, double a)
{
    gdn_dd x = gdn_gate_plus(a, dt_bias);
    return decay_is_a ? gdn_gate_far_rate(decay, x) : gdn_gate_far_log(decay, x);
}

/* The exact hi + lo rounded to a format: cut to 53 bits with the last bit sticky (round to odd), then once
 * more. */
GDN_DD_FUNCTION gdn_dd gdn_gate_round(gdn_format_id format, gdn_dd x)
{
    if (format == GDN_FP64)
        return x;
    if (x.lo != 0.0 && gdn_gate_finite(x.hi)) {
        uint64_t u = gdn_dd_bits(x.hi);
        u -= (x.hi > 0.0) != (x.lo > 0.0); /* towards zero: one step down in magnitude */
        x.hi = gdn_dd_real(u | 1);
    }
    return gdn_gate_whole(gdn_round_to(gdn_format_row(format), x.hi));
}

/* 2^shift x, exactly. */
GDN_DD_FUNCTION gdn_dd gdn_gate_shift(int shift, gdn_dd x)
{
    const double factor = gdn_power_of_two(shift);
    return gdn_dd_pair(factor * x.hi, factor * x.lo);
}

#endif
