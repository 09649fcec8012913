/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linear -- a projection without bias: y[t][i] = sum_j x[t][j] w[i][j], summed in fp32, rounded once.
 *
 * Both rows are padded with zeros to a multiple of 16. Partial sum l = 0..15 takes the terms j = l mod 16 in
 * order of j, each by a fused multiply-add, and the sixteen are joined as a butterfly, l with l + 8, then 4,
 * 2, 1.
 */
#ifndef GDN_KERNELS_LINEAR_H
#define GDN_KERNELS_LINEAR_H

#include "base/format.h"

enum { GDN_LINEAR_LANES = 16 };

/* Numbers a row of n takes with its padding. */
static inline int gdn_linear_padded(int n)
{
    return (n + GDN_LINEAR_LANES - 1) / GDN_LINEAR_LANES * GDN_LINEAR_LANES;
}

typedef struct gdn_linear_call {
    int n, width, rows; /* tokens; numbers a token, padded; outputs a token */
    const float *x;     /* [n][width] */
    const float *w;     /* [rows][width] */
    gdn_format_id result;
    float *y; /* [n][rows] */
} gdn_linear_call;

void gdn_linear(const gdn_linear_call *c);

/* The sums, by instruction set (linear_tile.c). */
void gdn_linear_sums_scalar(const gdn_linear_call *c);
void gdn_linear_sums_avx2(const gdn_linear_call *c);
void gdn_linear_sums_avx512(const gdn_linear_call *c);

#endif
