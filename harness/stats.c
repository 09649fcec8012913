/* SPDX-License-Identifier: Apache-2.0 */
/* stats -- medians, intervals, slopes; see stats.h. */
#include "harness/stats.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_fit.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics.h>
#include <math.h>

enum { MAX_POINTS = 64 };

/* Rank, from below, of the smallest order statistic whose bootstrap probability reaches 2.5 %. */
static size_t lower_rank(size_t n)
{
    unsigned half = (unsigned)((n + 1) / 2);
    for (size_t k = 1; k < n; k++)
        if (gsl_cdf_binomial_Q(half - 1, (double)k / (double)n, (unsigned)n) >= 0.025)
            return k;
    return n;
}

gdn_interval gdn_median_interval(double *x, size_t n)
{
    if (n == 0)
        return (gdn_interval){NAN, NAN, NAN};
    gsl_sort(x, 1, n);
    double median = gsl_stats_median_from_sorted_data(x, 1, n);
    size_t rank = lower_rank(n);
    return (gdn_interval){median, fmin(median, x[rank - 1]), fmax(median, x[n - rank])};
}

double gdn_log_slope(const double *x, const double *y, size_t n)
{
    double lx[MAX_POINTS], ly[MAX_POINTS], c0, c1, cov00, cov01, cov11, sum;
    if (n < 3 || n > MAX_POINTS)
        return NAN;
    for (size_t i = 0; i < n; i++) {
        lx[i] = log(x[i]);
        ly[i] = log(y[i]);
    }
    gsl_fit_linear(lx, 1, ly, 1, n, &c0, &c1, &cov00, &cov01, &cov11, &sum);
    return c1;
}
