/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixed -- columns of integers under one exponent, and rows of floats as integers: inner products and
 * rank-one updates at MPFR's precision in which nothing is normalised. (Johansson, "Faster
 * arbitrary-precision dot product and matrix multiplication", 2019, has the idea.)
 *
 * A row of floats x is exact: x_i = 2^e K_i with |K_i| < 2^62 / dk where exponents spread over no more than
 * that, which they nearly always do; else it is cut by exponent into bands, each a row of that kind with
 * zeros elsewhere. A column is X_i 2^E in two's complement, X_i = sum_j d_ij 2^(60 j) with digits
 * 0 <= d < 2^60 but for the top one, which has the sign and stands for multiples of 2^B: |X_i| < 2^(B + 62).
 * So
 *
 *     x . X = 2^(e + E) sum_i K_i X_i    and    X <- X + x u:    X_i <- X_i + K_i U, U = [u 2^(e - E)]
 *
 * are multiplications of signed words. The first is exact until it is rounded once to the precision p of the
 * result. The second errs only in U, by less than 1, so in X by less than |K| units. E follows the largest
 * element, which is kept above 2^B units: what an update adds to the column's relative error (L2; of the
 * larger of its norms before and after) is below
 *
 *     |K| 2^-B <= 2^(62 - B) / sqrt dk <= 2^-(p + 1) / sqrt dk,    B >= p + 63,
 *
 * a fraction of what the same update does when it is rounded element by element to p bits. (p = 113, dk =
 * 128: 2^-121.) A new E costs each element less than one unit more.
 *
 * An element that a larger E would leave fewer than p + 8 bits lags: it keeps its own exponent until an
 * update touches it. So what no key visits any more keeps its relative precision however small it has become
 * beside its column, as it does in floating point.
 */
#ifndef GDN_REFERENCE_FIXED_H
#define GDN_REFERENCE_FIXED_H

#include <mpfr.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { GDN_FIXED_BANDS = 9 }; /* at d_k = 1024: 255 exponents in strides of 29 */

typedef struct gdn_fixed_row {
    bool finite;
    int bands;                      /* 0: nothing but zeros */
    int exponent, stride;           /* e of the first band; from band to band */
    int top;                        /* |x_i| < 2^top */
    int64_t *band[GDN_FIXED_BANDS]; /* [dk] each: K */
} gdn_fixed_row;

typedef struct gdn_fixed_column {
    int64_t *digit;      /* [dk][digits], least significant first */
    mpfr_exp_t *own;     /* [dk]: E, but for elements that lag */
    mpfr_exp_t exponent; /* E */
    int top;             /* bits of the largest top digit among those under E */
    int lagging;         /* how many elements lag */
    bool nan;            /* a number that is none has entered; for ever */
} gdn_fixed_column;

/* A room for columns and rows of one length. */
typedef struct gdn_fixed {
    int dk, digits;
    int keep;                 /* bits below which an element lags */
    gdn_fixed_column *column; /* [columns] */
    gdn_fixed_row *row;       /* [rows] */
    int64_t *digit;           /* [columns][dk][digits] */
    mpfr_exp_t *own;          /* [columns][dk] */
    int64_t *bands;           /* [GDN_FIXED_BANDS][rows][dk] */
} gdn_fixed;

/* Columns of zeros for precision p, and rows; into zeroed memory. clear serves after a failed new too. */
gdn_status gdn_fixed_new(gdn_fixed *f, size_t columns, size_t rows, int dk, mpfr_prec_t p, gdn_error *err);
void gdn_fixed_clear(gdn_fixed *f);

/* row <- x. x: [dk] */
void gdn_fixed_set_row(const gdn_fixed *f, gdn_fixed_row *row, const float *x);

/* r <- x . x, rounded once for each band. t: scratch. */
void gdn_fixed_square(const gdn_fixed *f, const gdn_fixed_row *row, mpfr_t r, mpfr_t t);

/* X <- x, exactly. x: dk values, `step` apart. */
void gdn_fixed_set_column(const gdn_fixed *f, gdn_fixed_column *c, const double *x, size_t step);

/* X <- 0. */
void gdn_fixed_zero(const gdn_fixed *f, gdn_fixed_column *c);

/* r <- X_i, rounded once. */
void gdn_fixed_get(const gdn_fixed *f, const gdn_fixed_column *c, int i, mpfr_t r);

/* r <- x . X, rounded once for each band and each element that lags. t: scratch. */
void gdn_fixed_dot(const gdn_fixed *f, const gdn_fixed_column *c, const gdn_fixed_row *row, mpfr_t r,
                   mpfr_t t);

/* X <- X + x u. */
void gdn_fixed_add(const gdn_fixed *f, gdn_fixed_column *c, const gdn_fixed_row *row, mpfr_srcptr u);

#endif
