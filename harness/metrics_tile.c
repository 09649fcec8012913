/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_tile -- one row of differences into the lanes of an accumulator (metrics.h); compiled per
 * instruction set. */
#include "base/simd.h"
#include "harness/metrics_step.h"

/* d, r: [m], m <= GDN_METRIC_LANES, into lanes 0 .. m - 1. */
static inline void lanes(gdn_accumulator *restrict a, const double *restrict d, const double *restrict r,
                         int m)
{
    for (int j = 0; j < m; j++) {
        gdn_lane t = gdn_lane_terms(d[j], r[j]);
        a->dd[j] += t.dd;
        a->dr[j] += t.dr;
        a->rr[j] += t.rr;
        a->binades[j] = t.binades > a->binades[j] ? t.binades : a->binades[j];
        a->nonfinite[j] += t.nonfinite;
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
