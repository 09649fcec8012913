/* SPDX-License-Identifier: Apache-2.0 */
/* stats -- median and its bootstrap interval, and the log-log slope of a growth curve. */
#ifndef GDN_HARNESS_STATS_H
#define GDN_HARNESS_STATS_H

#include <stddef.h>

typedef struct gdn_interval {
    double median, lo, hi;
} gdn_interval;

/*
 * Median and 95 % percentile-bootstrap interval of x[0..n), which is sorted in place; NaN for n = 0.
 *
 * The bootstrap is exact, not simulated: a resample's lower median is at most the k-th smallest value when at
 * least ceil(n/2) of its n draws are, so P(median* <= x_(k)) = P(Bin(n, k/n) >= ceil(n/2)). (The limit of
 * infinitely many resamples; Efron 1979, section 3.) The upper end mirrors the lower one in rank, so that
 * negated data give the negated interval also where n is even.
 */
gdn_interval gdn_median_interval(double *x, size_t n);

/* Least-squares slope of log y against log x; NaN for fewer than three points. */
double gdn_log_slope(const double *x, const double *y, size_t n);

#endif
