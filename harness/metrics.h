/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics -- the sums that every error measure of spec section 6 comes from.
 *
 * For a difference d = x - y and a reference r, element by element: sum d^2, sum d r, sum r^2, the largest
 * |d| in units of r's binade, and how many elements were not finite. Values come as unevaluated sums hi + lo;
 * d is formed from the his and then the los, so that an error of 1e-16 is measured as well as one of 1e-2.
 *
 * The order of summation is part of the definition: element j of a row goes to lane j mod 32, lanes live
 * through a segment of positions, and at its end are added as a butterfly. Segments are added in order of
 * position.
 */
#ifndef GDN_HARNESS_METRICS_H
#define GDN_HARNESS_METRICS_H

#include <stdint.h>

#include "base/format.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { GDN_METRIC_LANES = 32 };

/* Values as hi + lo; lo may be NULL. */
typedef struct gdn_pair {
    const double *hi, *lo;
} gdn_pair;

/* Open sums of one segment. Zero it to start; `scale` is set by whoever scales the values. */
typedef struct gdn_accumulator {
    double dd[GDN_METRIC_LANES], dr[GDN_METRIC_LANES], rr[GDN_METRIC_LANES], binades[GDN_METRIC_LANES];
    double nonfinite[GDN_METRIC_LANES]; /* counts */
    int64_t n;
    int scale; /* the values added are 2^-scale times the true ones */
} gdn_accumulator;

/* Closed sums. */
typedef struct gdn_sums {
    double dd, dr, rr;
    double binades; /* max |d| / 2^floor(log2 |r|), the exponent no less than -126 */
    int64_t n, nonfinite;
    int scale;
} gdn_sums;

/* Add one row: d = x - y against r, n elements. */
void gdn_accumulate(gdn_accumulator *a, gdn_pair x, gdn_pair y, gdn_pair r, int n);

/* The same, by instruction set (metrics_tile.c). */
void gdn_accumulate_scalar(gdn_accumulator *a, gdn_pair x, gdn_pair y, gdn_pair r, int n);
void gdn_accumulate_avx2(gdn_accumulator *a, gdn_pair x, gdn_pair y, gdn_pair r, int n);
void gdn_accumulate_avx512(gdn_accumulator *a, gdn_pair x, gdn_pair y, gdn_pair r, int n);

gdn_sums gdn_accumulator_sums(const gdn_accumulator *a);
gdn_sums gdn_sums_add(gdn_sums a, gdn_sums b);

/* Are the sums numbers? False too where squares have left the range of doubles: above 2^512 in norm. */
int gdn_sums_finite(const gdn_sums *s);

/* What a row reports. `p` is the significand length of the output format. */
typedef struct gdn_measures {
    double rel_l2, nmse, max_ulp, bias, bits, cosine;
} gdn_measures;

gdn_measures gdn_sums_measures(const gdn_sums *s, int p);

/* Did the reference vanish? True below 2^-450 in norm, where squares leave the range of doubles. */
int gdn_sums_zero_reference(const gdn_sums *s);

/* A running product of alphas, kept as (hi + lo) 2^e with hi in [1, 2), so that it never underflows. */
typedef struct gdn_product {
    double hi, lo;
    int64_t e;
} gdn_product;

static const gdn_product gdn_product_one = {1, 0, 0};

void gdn_product_multiply(gdn_product *p, double hi, double lo);

/* (hi + lo) 2^(e - scale) as a pair of doubles; 0 when that underflows. */
void gdn_product_value(const gdn_product *p, int64_t scale, double *hi, double *lo);

#ifdef __cplusplus
}
#endif

#endif
