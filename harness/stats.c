/* SPDX-License-Identifier: Apache-2.0 */
/* stats -- medians, intervals, slopes; see stats.h. */
#include "harness/stats.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_fit.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const double TAIL = 0.025;

enum { MAX_POINTS = 64 };

double gdn_median(double *x, size_t n)
{
    if (n == 0)
        return NAN;
    gsl_sort(x, 1, n);
    return gsl_stats_median_from_sorted_data(x, 1, n);
}

static int by_value(const void *a, const void *b)
{
    double x = ((const gdn_drawn *)a)->x, y = ((const gdn_drawn *)b)->x;
    return (x > y) - (x < y);
}

double gdn_drawn_median(gdn_drawn *x, size_t n)
{
    if (n == 0)
        return NAN;
    qsort(x, n, sizeof *x, by_value);
    return (x[(n - 1) / 2].x + x[n / 2].x) / 2;
}

/* ---- the cluster bootstrap ---- */

/* The seeds of a sample; heads, where it has one seed only. */
typedef struct clusters {
    int count;
    int64_t *seed;     /* [count] */
    int *of;           /* [n] whose the i-th smallest value is */
    int *size, *below; /* [count] values of each; those among the smallest (or the largest) k */
    double *weight;    /* [2 widest + 1] probability of a step */
    double *sum[2];    /* [count widest] probability of a sum, before and after a draw */
} clusters;

static int common_divisor(int a, int b)
{
    return b ? common_divisor(b, a % b) : a;
}

/*
 * P(sum of K draws of d >= 0), where d = 2 below - size of a cluster, each drawn with probability 1/K. In
 * steps e = (d - min d) / unit the sum has to reach goal = ceil(-K min d / unit); only what lies below is
 * convolved.
 */
static double reaches(const clusters *c)
{
    const int K = c->count;
    int least = INT_MAX, most = INT_MIN, unit = 0;
    double mean = 0, square = 0;
    for (int i = 0; i < K; i++) {
        int d = 2 * c->below[i] - c->size[i];
        least = d < least ? d : least;
        most = d > most ? d : most;
        mean += (double)d / K;
        square += (double)d * d / K;
    }
    if (least >= 0 || most < 0)
        return least >= 0;
    for (int i = 0; i < K; i++)
        unit = common_divisor(2 * c->below[i] - c->size[i] - least, unit);
    const int goal = (int)(((int64_t)K * -least + unit - 1) / unit), widest = (most - least) / unit;
    if (K > GDN_EXACT_SEEDS && widest > 1)
        return gsl_cdf_ugaussian_P(mean / sqrt((square - mean * mean) / K));
    memset(c->weight, 0, ((size_t)widest + 1) * sizeof *c->weight);
    for (int i = 0; i < K; i++)
        c->weight[(2 * c->below[i] - c->size[i] - least) / unit] += 1.0 / K;
    if (widest == 1) /* two values only */
        return gsl_cdf_binomial_Q((unsigned)goal - 1, c->weight[1], (unsigned)K);
    double *now = c->sum[0], *next = c->sum[1], less = 0;
    int reach = 0; /* the largest sum below the goal so far */
    now[0] = 1;
    for (int draw = 0; draw < K; draw++) {
        int further = reach + widest < goal ? reach + widest : goal - 1;
        memset(next, 0, ((size_t)further + 1) * sizeof *next);
        for (int e = 0; e <= widest; e++) {
            const double p = c->weight[e];
            const int end = reach + e <= further ? reach : further - e;
            for (int s = 0; p > 0 && s <= end; s++)
                next[e + s] += p * now[s];
        }
        double *swap = now;
        now = next;
        next = swap;
        reach = further;
    }
    for (int s = 0; s <= reach; s++)
        less += now[s];
    return 1 - less;
}

/* Let c->below count the smallest k values, or the largest. */
static void take(const clusters *c, size_t n, size_t k, bool above)
{
    memset(c->below, 0, (size_t)c->count * sizeof *c->below);
    for (size_t i = 0; i < k; i++)
        c->below[c->of[above ? n - 1 - i : i]]++;
}

/* Rank whose draws' sum has its mean, 2 k - n, 1.96 standard deviations below 0, by the spread of d at the
 * median. */
static size_t normal_rank(const clusters *c, size_t n)
{
    double square = 0;
    take(c, n, n / 2, false);
    for (int i = 0; i < c->count; i++) {
        double d = 2 * c->below[i] - c->size[i];
        square += d * d;
    }
    double k = (double)n / 2 - 0.98 * sqrt(square);
    return k > 1 ? (size_t)k : 1;
}

/*
 * The smallest rank, from below or from above, that the median reaches with probability TAIL: between one
 * that it does not reach and one that it does, which are sought in growing steps from the normal limit's,
 * then by halving.
 */
static size_t limit(const clusters *c, size_t n, bool above)
{
    size_t low = 0, high = n, step = 1 + n / 512;
    for (size_t k = normal_rank(c, n); high - low > 1; step *= 2) {
        take(c, n, k, above);
        if (reaches(c) >= TAIL)
            high = k;
        else
            low = k;
        if (low == 0)
            k = high > step ? high - step : 1;
        else if (high == n)
            k = low + step < n ? low + step : n - 1;
        else
            k = (low + high) / 2;
    }
    return high;
}

static int by_seed(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* x: [n] sorted by value; c: zero, with room for n in seed, of, size and below. Returns the largest cluster's
 * size. */
static int divide(const gdn_drawn *x, size_t n, clusters *c)
{
    int widest = 0;
    for (size_t i = 0; i < n; i++)
        c->seed[i] = x[i].seed;
    qsort(c->seed, n, sizeof *c->seed, by_seed);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || c->seed[i] != c->seed[c->count - 1])
            c->seed[c->count++] = c->seed[i];
    const bool heads = c->count == 1;
    for (size_t i = 0; i < n; i++) {
        const int64_t *found = bsearch(&x[i].seed, c->seed, (size_t)c->count, sizeof *c->seed, by_seed);
        c->of[i] = heads ? (int)i : (int)(found - c->seed);
        widest = ++c->size[c->of[i]] > widest ? c->size[c->of[i]] : widest;
    }
    c->count = heads ? (int)n : c->count;
    return widest;
}

gdn_status gdn_median_interval(gdn_drawn *x, size_t n, gdn_interval *out, gdn_error *err)
{
    *out = (gdn_interval){NAN, NAN, NAN};
    if (n == 0)
        return GDN_OK;
    clusters c = {.seed = gdn_calloc(n, sizeof *c.seed),
                  .of = gdn_calloc(n, sizeof *c.of),
                  .size = gdn_calloc(n, sizeof *c.size),
                  .below = gdn_calloc(n, sizeof *c.below)};
    gdn_status status = GDN_OK;
    if (!c.seed || !c.of || !c.size || !c.below)
        status = gdn_no_memory(err, "a bootstrap");
    if (!status) {
        out->median = gdn_drawn_median(x, n);
        size_t widest = (size_t)divide(x, n, &c), sums = widest * (size_t)c.count;
        c.weight = gdn_calloc(2 * widest + 1, sizeof *c.weight);
        c.sum[0] = gdn_calloc(sums, sizeof **c.sum);
        c.sum[1] = gdn_calloc(sums, sizeof **c.sum);
        if (!c.weight || !c.sum[0] || !c.sum[1])
            status = gdn_no_memory(err, "a bootstrap");
    }
    if (!status) {
        out->lo = fmin(out->median, x[limit(&c, n, false) - 1].x);
        out->hi = fmax(out->median, x[n - limit(&c, n, true)].x);
    }
    free(c.seed);
    free(c.of);
    free(c.size);
    free(c.below);
    free(c.weight);
    free(c.sum[0]);
    free(c.sum[1]);
    return status;
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
