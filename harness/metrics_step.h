/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics_step -- what the CPU and the GPU do with one element of a difference, one factor of a decay and the
 * lanes of an accumulator; harness/metrics.h says what for.
 */
#ifndef GDN_HARNESS_METRICS_STEP_H
#define GDN_HARNESS_METRICS_STEP_H

#include "base/round.h"
#include "harness/metrics.h"

/* 2^-max(floor(log2 |r|), -126). */
GDN_SHARED double gdn_inverse_binade(double r)
{
    const uint64_t least = (uint64_t)(1023 - 126) << 52, most = (uint64_t)2045 << 52;
    uint64_t e = gdn_bits64(r) & ((uint64_t)0x7ff << 52);
    e = e < least ? least : e > most ? most : e;
    return gdn_double_of(((uint64_t)2046 << 52) - e);
}

/* Sums of one lane. */
typedef struct gdn_lane {
    double dd, dr, rr, binades, nonfinite;
} gdn_lane;

/* What d against r adds to a lane. */
GDN_SHARED gdn_lane gdn_lane_terms(double d, double r)
{
    double finite = ((d - d == 0) & (r - r == 0)) ? 1.0 : 0.0;
    double df = finite != 0 ? d : 0, rf = finite != 0 ? r : 0;
    gdn_lane t;
    t.dd = df * df;
    t.dr = df * rf;
    t.rr = rf * rf;
    t.binades = gdn_with_sign(df, 1.0) * gdn_inverse_binade(rf);
    t.nonfinite = 1 - finite;
    return t;
}

/* The lanes of an accumulator joined as a butterfly. */
GDN_SHARED gdn_sums gdn_lanes_join(const gdn_accumulator *a)
{
    gdn_accumulator b = *a;
    for (int m = 1; m < GDN_METRIC_LANES; m *= 2)
        for (int i = 0; i < GDN_METRIC_LANES; i += 2 * m) {
            b.dd[i] += b.dd[i + m];
            b.dr[i] += b.dr[i + m];
            b.rr[i] += b.rr[i + m];
            b.nonfinite[i] += b.nonfinite[i + m];
            b.binades[i] = b.binades[i] > b.binades[i + m] ? b.binades[i] : b.binades[i + m];
        }
    gdn_sums s;
    s.dd = b.dd[0];
    s.dr = b.dr[0];
    s.rr = b.rr[0];
    s.binades = b.binades[0];
    s.n = b.n;
    s.nonfinite = (int64_t)b.nonfinite[0];
    s.scale = b.scale;
    return s;
}

/* The exponent of a decay as an accumulator keeps it. */
GDN_SHARED int gdn_scale_kept(int64_t scale)
{
    const int64_t most = 1000000000;
    return (int)(scale < -most ? -most : scale > most ? most : scale);
}

/* x 2^k, rounded once. */
GDN_SHARED double gdn_scaled(double x, int64_t k)
{
    int64_t e = (int64_t)((gdn_bits64(x) >> 52) & 0x7ff);
    if (x == 0 || e == 0x7ff)
        return x;
    if (e == 0) { /* subnormal: exact in the normal range */
        x *= 0x1p54;
        k -= 54;
        e = (int64_t)((gdn_bits64(x) >> 52) & 0x7ff);
    }
    double m = gdn_double_of((gdn_bits64(x) & ~((uint64_t)0x7ff << 52)) | (uint64_t)1023 << 52);
    int64_t to = e - 1023 + k;
    if (to > 1023)
        return gdn_with_sign(gdn_infinity(), x);
    if (to >= -1022)
        return m * gdn_power_of_two((int)to);
    if (to < -1080)
        return gdn_with_sign(0.0, x);
    return m * 0x1p-1022 * gdn_power_of_two((int)to + 1022);
}

/* p <- p (hi + lo), by error-free transforms; then the binade moves into e. */
GDN_SHARED void gdn_product_step(gdn_product *p, double hi, double lo)
{
    double h = p->hi * hi, l = gdn_fma(p->hi, hi, -h);
    l = gdn_fma(p->hi, lo, l);
    l = gdn_fma(p->lo, hi, l);
    double s = h + l;
    l -= s - h;
    if (s == 0 || !(s - s == 0)) {
        p->hi = s;
        p->lo = 0;
        p->e = 0;
        return;
    }
    int64_t e = (int64_t)((gdn_bits64(s) >> 52) & 0x7ff) - 1023;
    if (e == -1023) /* subnormal */
        e = (int64_t)((gdn_bits64(s * 0x1p54) >> 52) & 0x7ff) - 1023 - 54;
    p->hi = gdn_scaled(s, -e);
    p->lo = gdn_scaled(l, -e);
    p->e += e;
}

/* (hi + lo) 2^(e - scale) */
GDN_SHARED void gdn_product_at(const gdn_product *p, int64_t scale, double *hi, double *lo)
{
    *hi = gdn_scaled(p->hi, p->e - scale);
    *lo = gdn_scaled(p->lo, p->e - scale);
}

#endif
