/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_tile -- one row of differences into the lanes of an accumulator (metrics.h); compiled per
 * instruction set. */
#include "base/simd.h"
#include "harness/metrics.h"

static inline uint64_t bits_of(double x)
{
    union {
        double d;
        uint64_t u;
    } v = {x};
    return v.u;
}

static inline double double_of(uint64_t u)
{
    union {
        uint64_t u;
        double d;
    } v = {u};
    return v.d;
}

/* 2^-max(floor(log2 |r|), -126). */
static inline double inverse_binade(double r)
{
    const uint64_t least = (uint64_t)(1023 - 126) << 52, most = (uint64_t)2045 << 52;
    uint64_t e = bits_of(r) & ((uint64_t)0x7ff << 52);
    e = e < least ? least : e > most ? most : e;
    return double_of(((uint64_t)2046 << 52) - e);
}

/* d, r: [m], m <= GDN_METRIC_LANES, into lanes 0 .. m - 1. */
static inline void lanes(gdn_accumulator *restrict a, const double *restrict d, const double *restrict r,
                         int m)
{
    for (int j = 0; j < m; j++) {
        double finite = ((d[j] - d[j] == 0) & (r[j] - r[j] == 0)) ? 1.0 : 0.0;
        double dj = finite != 0 ? d[j] : 0, rj = finite != 0 ? r[j] : 0;
        double size = __builtin_fabs(dj) * inverse_binade(rj);
        a->nonfinite[j] += 1 - finite;
        a->dd[j] += dj * dj;
        a->dr[j] += dj * rj;
        a->rr[j] += rj * rj;
        a->binades[j] = size > a->binades[j] ? size : a->binades[j];
    }
}

/* d = x - y: the his, then the los. */
static inline void difference(gdn_pair x, gdn_pair y, int from, int m, double *restrict d)
{
    for (int j = 0; j < m; j++)
        d[j] = x.hi[from + j] - y.hi[from + j];
    if (x.lo && y.lo)
        for (int j = 0; j < m; j++)
            d[j] += x.lo[from + j] - y.lo[from + j];
    else if (y.lo)
        for (int j = 0; j < m; j++)
            d[j] -= y.lo[from + j];
    else if (x.lo)
        for (int j = 0; j < m; j++)
            d[j] += x.lo[from + j];
}

void GDN_ISA_NAME(gdn_accumulate)(gdn_accumulator *a, gdn_pair x, gdn_pair y, gdn_pair r, int n)
{
    double d[GDN_METRIC_LANES];
    int from = 0;
    a->n += n;
    for (; from + GDN_METRIC_LANES <= n; from += GDN_METRIC_LANES) {
        difference(x, y, from, GDN_METRIC_LANES, d);
        lanes(a, d, r.hi + from, GDN_METRIC_LANES);
    }
    difference(x, y, from, n - from, d);
    lanes(a, d, r.hi + from, n - from);
}
