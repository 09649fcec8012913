/* SPDX-License-Identifier: Apache-2.0 */
/* metrics -- the sums that error measures come from; see metrics.h. */
#include "harness/metrics.h"

#include <math.h>

#include "base/simd.h"
#include "harness/metrics_step.h"
#include "kernels/portable.h"

void gdn_accumulate(gdn_accumulator *a, gdn_pair x, gdn_pair y, gdn_pair r, int n)
{
    static void (*const run[GDN_ISAS])(gdn_accumulator *, gdn_pair, gdn_pair, gdn_pair, int) = {
        gdn_accumulate_scalar,
#if defined(__x86_64__)
        gdn_accumulate_avx2,
        gdn_accumulate_avx512,
#endif
    };
    run[gdn_isa_best()](a, x, y, r, n);
}

gdn_sums gdn_accumulator_sums(const gdn_accumulator *a)
{
    return gdn_lanes_join(a);
}

gdn_sums gdn_sums_add(gdn_sums a, gdn_sums b)
{
    if (a.n == 0 || b.n == 0)
        return a.n == 0 ? b : a;
    if (a.scale != b.scale) {
        gdn_sums *lesser = a.scale < b.scale ? &a : &b;
        int scale = a.scale < b.scale ? b.scale : a.scale;
        int64_t apart = 2 * ((int64_t)lesser->scale - scale);
        int shift = apart < -10000 ? -10000 : (int)apart; /* nothing is left long before */
        lesser->dd = ldexp(lesser->dd, shift);
        lesser->dr = ldexp(lesser->dr, shift);
        lesser->rr = ldexp(lesser->rr, shift);
        a.scale = scale;
    }
    return (gdn_sums){
        .dd = a.dd + b.dd,
        .dr = a.dr + b.dr,
        .rr = a.rr + b.rr,
        .binades = fmax(a.binades, b.binades),
        .n = a.n + b.n,
        .nonfinite = a.nonfinite + b.nonfinite,
        .scale = a.scale,
    };
}

int gdn_sums_zero_reference(const gdn_sums *s)
{
    return s->rr < 0x1p-900;
}

int gdn_sums_finite(const gdn_sums *s)
{
    return s->dd - s->dd == 0 && s->dr - s->dr == 0 && s->rr - s->rr == 0;
}

gdn_measures gdn_sums_measures(const gdn_sums *s, int p)
{
    double nmse = s->dd / s->rr, rel = sqrt(nmse), bias = s->dr / s->rr;
    double cosine = (1 + bias) / sqrt(1 + 2 * bias + nmse);
    return (gdn_measures){
        .rel_l2 = rel,
        .nmse = nmse,
        .max_ulp = ldexp(s->binades, p - 1),
        .bias = bias,
        .bits = rel > 0 ? gdn_log(rel) / -0x1.62e42fefa39efp-1 : (double)INFINITY,
        /* of an x next to nothing beside r, the sum below the root is all rounding */
        .cosine = fabs(cosine) <= 1 + 0x1p-20 ? cosine : (double)NAN,
    };
}

void gdn_product_multiply(gdn_product *p, double hi, double lo)
{
    gdn_product_step(p, hi, lo);
}

void gdn_product_value(const gdn_product *p, int64_t scale, double *hi, double *lo)
{
    gdn_product_at(p, scale, hi, lo);
}
