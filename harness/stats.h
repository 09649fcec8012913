/* SPDX-License-Identifier: Apache-2.0 */
/* stats -- median and its bootstrap interval, and the log-log slope of a growth curve. */
#ifndef GDN_HARNESS_STATS_H
#define GDN_HARNESS_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct gdn_interval {
    double median, lo, hi;
} gdn_interval;

/* A number and the seed that it was drawn under. */
typedef struct gdn_drawn {
    double x;
    int64_t seed;
} gdn_drawn;

/* Of x[0..n), which is sorted in place; NaN for n = 0. */
double gdn_median(double *x, size_t n);
double gdn_drawn_median(gdn_drawn *x, size_t n);

/*
 * Median of x[0..n), which is sorted in place, and its 95 % percentile-bootstrap interval; NaN for n = 0.
 * Whole seeds are resampled, since the heads of a seed share keys, weights and draws (the cluster bootstrap;
 * Davison and Hinkley 1997, section 3.8); heads, where all are of one seed, as those of a file are.
 *
 * It is exact, not simulated. K draws among K seeds have a lower median of at most the k-th smallest value
 * where at least half of the values drawn are that small: where the draws' sum of
 *
 *     d = 2 #(values of the seed <= x_(k)) - #(values of the seed)
 *
 * is not negative. The distribution of this sum is that of one draw convolved K times (above GDN_EXACT_SEEDS
 * seeds: its normal limit); lo is the smallest x_(k) that the median stays at or below with probability 2.5
 * %. hi is the same from above, so that negated data give the negated interval also where n is even.
 */
enum { GDN_EXACT_SEEDS = 1000 };
gdn_status gdn_median_interval(gdn_drawn *x, size_t n, gdn_interval *out, gdn_error *err);

/* Least-squares slope of log y against log x; NaN for fewer than three points. */
double gdn_log_slope(const double *x, const double *y, size_t n);

#endif
