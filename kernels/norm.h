/* SPDX-License-Identifier: Apache-2.0 */
/*
 * norm -- the L2 norm of q and k and the gated RMS norm of the output, one row at a time.
 *
 *     x^ = x rsqrt(sum x^2 + eps)                    y = w (o rsqrt(mean o^2 + eps)) (z sigmoid(z))
 *
 * Other conventions of the L2 norm are with gdn_l2_rstd.
 *
 * A sum over a row has a fixed shape: term i goes to partial (i / 4) mod 8, each partial adds its terms in
 * order of i, and the partials are combined as a butterfly. Eight lanes of a warp that load four values at a
 * time do the same. In fp32 a term is added by fma; in bf16 the square and the sum are each rounded.
 *
 * What one number undergoes is shared by the CPU and the GPU and comes first; the rows below it are the
 * CPU's, included by files that are compiled per instruction set.
 */
#ifndef GDN_KERNELS_NORM_H
#define GDN_KERNELS_NORM_H

#include <string.h>

#include "base/engine.h"
#include "kernels/native.h"
#include "kernels/recipe.h"

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#else
#include "base/simd.h"
#endif

/* ---- shared: one number ---- */

/* A double rounded once to a format: for functions evaluated in double. */
GDN_SHARED float gdn_op_round(gdn_format_id op, double x)
{
#if defined(__CUDA_ARCH__)
    return op == GDN_FP32 ? (float)x : (float)gdn_round_to(gdn_format_row(op), x);
#else
    return op == GDN_FP32 ? (float)x : (float)gdn_round(&gdn_formats[op], x);
#endif
}

/* A float rounded to bf16, ties to even; NaN stays NaN. */
GDN_SHARED float gdn_bf16_round(float x)
{
#if defined(__CUDA_ARCH__)
    /* two at a time, one of them zero: the conversion of a single number is eight times slower */
    return __low2float(__floats2bfloat162_rn(x, 0.0f));
#else
    return gdn_bf16_to_float(gdn_float_to_bf16(x));
#endif
}

/*
 * A float sum or product of values of the format, rounded to it. In bf16 that is the bf16 operation: rounding
 * first to 24 bits changes nothing, since 24 >= 2 8 + 2.
 */
GDN_SHARED float gdn_op(gdn_format_id op, float x)
{
    return op == GDN_FP32 ? x : gdn_bf16_round(x);
}

/* x, a NaN without its payload. */
GDN_SHARED float gdn_plain_nan(float x)
{
    return x != x ? (float)gdn_nan() : x;
}

/* s + x^2 in the arithmetic of the recipe. */
GDN_SHARED float gdn_add_square(gdn_format_id op, float s, float x)
{
    return op == GDN_FP32 ? gdn_fmaf(x, x, s) : gdn_op(op, s + gdn_op(op, x * x));
}

/* d_k^(-1/2), which multiplies q^ where no scale is given. */
GDN_SHARED float gdn_q_scale(gdn_format_id op, int dk)
{
    return gdn_op_round(op, 1 / gdn_sqrt((double)dk));
}

/*
 * 1 / |x| of the L2 norm over a row of d. squares: the sum of x^2 over the row.
 *
 *     sum-eps: rsqrt(squares + eps)            max-eps: 1 / max(sqrt(squares), eps)
 *     mean-eps: d^(-1/2) rsqrt(squares / d + eps)            none: 1
 */
GDN_SHARED float gdn_l2_rstd(gdn_format_id op, gdn_math math, gdn_l2norm norm, int d, float squares)
{
    const float eps = gdn_op_round(op, GDN_NORM_EPS);
    if (norm == GDN_L2_NONE)
        return 1;
    if (norm == GDN_L2_MAX_EPS) {
        float root = gdn_op_round(op, gdn_sqrt((double)squares));
        return gdn_op_round(op, 1 / (double)(root < eps ? eps : root));
    }
    float sum = norm == GDN_L2_MEAN_EPS ? gdn_op_round(op, squares / (double)d) : squares;
    float rstd = gdn_op_round(op, gdn_math_rsqrt(math, gdn_op(op, sum + eps)));
    return norm == GDN_L2_MEAN_EPS ? gdn_op(op, gdn_q_scale(op, d) * rstd) : rstd;
}

/* 1 / the root mean square of out_norm. squares: the sum of o^2 over a row of dv. */
GDN_SHARED float gdn_rms_rstd(gdn_format_id op, gdn_math math, float squares, int dv)
{
    float mean = gdn_op_round(op, squares / (double)dv);
    return gdn_op_round(op, gdn_math_rsqrt(math, gdn_op(op, mean + gdn_op_round(op, GDN_NORM_EPS))));
}

/* The format of z sigmoid(z) and of its product with the norm: fp32 where the norm's result is cast. */
GDN_SHARED gdn_format_id gdn_out_gate_op(const gdn_recipe *recipe)
{
    return recipe->norm_out == GDN_FP64 ? recipe->op : GDN_FP32;
}

/* sigmoid(z) of out_norm. */
GDN_SHARED float gdn_out_gate(gdn_format_id op, gdn_math math, float z)
{
    return gdn_op_round(op, gdn_math_sigmoid(math, z));
}

/* ---- the GPU: a float in any format ---- */

#if defined(__CUDACC__)

/* How far apart the numbers of a format of at most 5 exponent bits lie around x: fp16, e4m3, e5m2. */
static __device__ __forceinline__ float gdn_device_ulp(const gdn_format *f, float x)
{
    int e = (int)((__float_as_uint(x) >> 23) & 0xff) - 127;
    return __uint_as_float((uint32_t)(max(e, f->emin) - f->p + 1 + 127) << 23);
}

/* Its overflow, of a number that is on the grid. */
static __device__ __forceinline__ float gdn_device_saturate(const gdn_format *f, float y)
{
    if (fabsf(y) <= (float)f->max)
        return y;
    return f->has_infinity ? copysignf(INFINITY, y) : NAN;
}

/* gdn_round_to() of a float in float arithmetic, which is quicker. */
static __device__ __forceinline__ float gdn_device_round(gdn_format_id id, float x)
{
    if (id == GDN_FP32 || id == GDN_FP64 || x != x)
        return x;
    if (id == GDN_BF16)
        return gdn_bf16_round(x);
    const uint32_t u = __float_as_uint(x);
    if (id == GDN_TF32)
        return __uint_as_float((u + 0xfffu + ((u >> 13) & 1u)) & 0xffffe000u);
    const gdn_format *f = gdn_format_row(id);
    if (fabsf(x) > 2 * (float)f->max)
        return gdn_device_saturate(f, x);
    const float big = 0x1.8p23f * gdn_device_ulp(f, x);
    return gdn_device_saturate(f, copysignf((x + big) - big, x));
}

/* gdn_round_stochastic_to() of a float. r: 16 random bits */
static __device__ __forceinline__ float gdn_device_round_stochastic(gdn_format_id id, float x, uint32_t r)
{
    if (id == GDN_FP32 || id == GDN_FP64 || x != x)
        return x;
    const uint32_t u = __float_as_uint(x);
    if (id == GDN_BF16)
        return __uint_as_float((u + r) & 0xffff0000u);
    if (id == GDN_TF32)
        return __uint_as_float((u & 0xffffe000u) + (((u & 0x1fffu) << 3) + r >> 16 << 13));
    const gdn_format *f = gdn_format_row(id);
    if (fabsf(x) > 2 * (float)f->max)
        return gdn_device_saturate(f, x);
    const float size = fabsf(x), ulp = gdn_device_ulp(f, x), big = 0x1p23f * ulp;
    float down = (size + big) - big;
    if (down > size)
        down -= ulp;
    if ((size - down) / ulp >= 1 - (float)r * 0x1p-16f)
        down += ulp;
    return gdn_device_saturate(f, copysignf(down, x));
}

#endif

/* ---- the CPU's rows ---- */

#if !defined(__CUDACC__)

/* What multiplies q^, in double. */
GDN_INLINE double gdn_scale_of(const gdn_params *p, int dk)
{
    return p->scale != 0 ? p->scale : 1 / __builtin_sqrt((double)dk);
}

/* The recipe as an engine runs it on these parameters: where the L2 norm is off, it is for every recipe. */
GDN_INLINE gdn_recipe gdn_recipe_on(const gdn_recipe *recipe, const gdn_params *p)
{
    gdn_recipe r = *recipe;
    if (p->l2norm_off)
        r.l2norm = GDN_L2_NONE;
    return r;
}

/* sum of x_i^2 over a row; x: [n]. The eight partials advance side by side: their chains are independent. */
GDN_INLINE float gdn_row_squares(gdn_format_id op, const float *x, int n)
{
    float p[8] = {0};
    int i = 0;
    for (; i + 32 <= n; i += 32)
        for (int y = 0; y < 4; y++)
            for (int l = 0; l < 8; l++)
                p[l] = gdn_add_square(op, p[l], x[i + 4 * l + y]);
    for (; i < n; i++)
        p[i / 4 % 8] = gdn_add_square(op, p[i / 4 % 8], x[i]);
    for (int m = 1; m < 8; m *= 2)
        for (int l = 0; l < 8; l += 2 * m)
            p[l] = gdn_op(op, p[l] + p[l + m]);
    return p[0];
}

/* A row rounded to a format in place. x: [n] */
GDN_INLINE void gdn_row_round(gdn_format_id format, float *x, int n)
{
    if (format == GDN_BF16)
        for (int i = 0; i < n; i++)
            x[i] = gdn_bf16_round(x[i]);
    else if (format != GDN_FP32 && format != GDN_FP64)
        for (int i = 0; i < n; i++)
            x[i] = (float)gdn_round(&gdn_formats[format], x[i]);
}

/*
 * The L2-normalised row, resting in the recipe's qk format, times `scale` (1 for k).
 * x, out: [n]; out has room for n rounded up to 16 and is padded with zeros.
 */
GDN_INLINE void gdn_l2_norm(const gdn_recipe *recipe, const float *x, int n, double scale, float *out)
{
    gdn_format_id op = recipe->op;
    float row[GDN_MAX_DIM];
    memcpy(row, x, (size_t)n * sizeof *x);
    gdn_row_round(recipe->input, row, n);
    x = row;
    float squares = recipe->l2norm == GDN_L2_NONE ? 0 : gdn_row_squares(op, x, n);
    float rstd = gdn_l2_rstd(op, recipe->math, recipe->l2norm, n, squares), factor = gdn_op_round(op, scale);
    int i = 0;
    for (; i < n; i++)
        out[i] = gdn_op(op, x[i] * rstd);
    if (recipe->qk != op)
        gdn_row_round(recipe->qk, out, n);
    if (scale != 1)
        for (i = 0; i < n; i++)
            out[i] = gdn_op(op, out[i] * factor);
    for (i = 0; i < n; i++)
        out[i] = gdn_plain_nan(out[i]);
    for (; i % 16; i++)
        out[i] = 0;
}

/*
 * The gated RMS norm of one row. Each product of ((o rstd) w) (z sigmoid(z)) is a float operation, rounded
 * again where the recipe's format is bf16: that is the bf16 operation, since 24 >= 2 8 + 2. o is cast to
 * norm_in, o rstd to norm_hat, w o rstd to norm_out, y to output. o, z, w: [dv]; y: [dv].
 */
GDN_INLINE void gdn_out_norm(const gdn_recipe *recipe, const float *o, const float *z, const float *w, int dv,
                             double *y)
{
    gdn_format_id op = recipe->op, gate_op = gdn_out_gate_op(recipe);
    float row[GDN_MAX_DIM];
    memcpy(row, o, (size_t)dv * sizeof *o);
    gdn_row_round(recipe->norm_in, row, dv);
    float rstd = gdn_rms_rstd(op, recipe->math, gdn_row_squares(op, row, dv), dv);
    enum { STRIP = 64 };
    for (int from = 0; from < dv; from += STRIP) {
        int n = dv - from < STRIP ? dv - from : STRIP;
        float gate[STRIP], normed[STRIP], zs[STRIP];
        memcpy(zs, z + from, (size_t)n * sizeof *z);
        gdn_row_round(recipe->input, zs, n);
        for (int j = 0; j < n; j++)
            gate[j] = gdn_out_gate(gate_op, recipe->math, zs[j]);
        for (int j = 0; j < n; j++) {
            gate[j] *= zs[j];
            normed[j] = row[from + j] * rstd;
        }
        gdn_row_round(gate_op, gate, n);
        gdn_row_round(op, normed, n);
        gdn_row_round(recipe->norm_hat, normed, n);
        for (int j = 0; j < n; j++)
            normed[j] *= w[from + j];
        gdn_row_round(op, normed, n);
        gdn_row_round(recipe->norm_out, normed, n);
        for (int j = 0; j < n; j++)
            normed[j] *= gate[j];
        gdn_row_round(gate_op, normed, n);
        gdn_row_round(recipe->output, normed, n);
        for (int j = 0; j < n; j++)
            y[from + j] = normed[j];
    }
}

/*
 * What the rows above do; a sum of n products counts 2 n. L2 norm: squares, eps and its root, the product
 * with 1 / |x| and, for q^, with the scale; the conventions differ by a quotient and a product. rows: so
 * many rows of n.
 */
GDN_INLINE void gdn_l2_norm_count(const gdn_recipe *recipe, double rows, int n, bool scaled, gdn_counts *c)
{
    static const struct {
        int each, once, functions; /* each: a number; once: a row */
    } of[GDN_L2_NORMS] = {
        [GDN_L2_SUM_EPS] = {3, 1, 2},  /* x^2 and its sum, x rstd; + eps; 1 / sqrt */
        [GDN_L2_MAX_EPS] = {3, 1, 2},  /* the same; max; 1 / sqrt */
        [GDN_L2_MEAN_EPS] = {3, 2, 3}, /* the same; + eps, d^(-1/2); 1 / sqrt and / d */
        [GDN_L2_NONE] = {0, 0, 0},
    };
    c->pointwise += rows * (n * (of[recipe->l2norm].each + scaled) + of[recipe->l2norm].once);
    c->functions += rows * of[recipe->l2norm].functions;
}

/*
 * out_norm: squares, / dv, + eps, 1 / sqrt; a column o rstd, w, z sigmoid(z), their product, and the sum,
 * exp and quotient of the sigmoid.
 */
GDN_INLINE void gdn_out_norm_count(double rows, int dv, gdn_counts *c)
{
    c->pointwise += rows * (7.0 * dv + 1);
    c->functions += rows * (2.0 * dv + 3);
}

#endif

#endif
