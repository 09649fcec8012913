/* SPDX-License-Identifier: Apache-2.0 */
/*
 * native -- exp, log2, softplus, sigmoid and x^(-1/2) in the mathematics that a recipe names
 * (kernels/recipe.h).
 *
 * portable: kernels/portable.h, the same bits everywhere. On a GPU two more, in fp32:
 *
 *     cuda:    expf, log1pf, exp2f, log2f and rsqrtf of CUDA, sigmoid as 1 / (1 + e^-x)
 *     approx:  e^x = ex2.approx(x log2 e), softplus x = ln 2 lg2.approx(1 + ex2.approx(x log2 e)) and x
 *              above 20 whatever the softplus variant, rsqrt.approx, division div.full: as kernels written
 *              in Triton evaluate them
 *
 * On the CPU every recipe is portable; engines refuse the others.
 */
#ifndef GDN_KERNELS_NATIVE_H
#define GDN_KERNELS_NATIVE_H

#include "kernels/portable.h"
#include "kernels/recipe.h"

#if defined(__CUDA_ARCH__)

#define GDN_LN2F 0x1.62e430p-1f
#define GDN_LOG2EF 0x1.715476p0f

static __device__ __forceinline__ float gdn_approx_exp2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

static __device__ __forceinline__ float gdn_approx_log2(float x)
{
    float y;
    asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

static __device__ __forceinline__ float gdn_approx_rsqrt(float x)
{
    float y;
    asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

static __device__ __forceinline__ float gdn_approx_divide(float x, float by)
{
    float y;
    asm("div.full.ftz.f32 %0, %1, %2;" : "=f"(y) : "f"(x), "f"(by));
    return y;
}

static __device__ __forceinline__ float gdn_approx_softplus(float x)
{
    return x > 20.0f ? x : GDN_LN2F * gdn_approx_log2(1.0f + gdn_approx_exp2(x * GDN_LOG2EF));
}

static __device__ __forceinline__ float gdn_cuda_softplus(gdn_softplus_variant variant, float x)
{
    if (variant == GDN_SOFTPLUS_EXACT)
        return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x)));
    if (x > 20.0f)
        return x;
    return variant == GDN_SOFTPLUS_TORCH ? log1pf(expf(x)) : GDN_LN2F * log2f(1.0f + exp2f(x * GDN_LOG2EF));
}

#endif

GDN_SHARED double gdn_math_exp(gdn_math math, double x)
{
#if defined(__CUDA_ARCH__)
    if (math != GDN_MATH_PORTABLE)
        return math == GDN_MATH_CUDA ? expf((float)x) : gdn_approx_exp2((float)x * GDN_LOG2EF);
#endif
    (void)math;
    return gdn_exp(x);
}

/* log2 x, x normal and positive. */
GDN_SHARED double gdn_math_log2(gdn_math math, double x)
{
#if defined(__CUDA_ARCH__)
    if (math != GDN_MATH_PORTABLE)
        return math == GDN_MATH_CUDA ? log2f((float)x) : gdn_approx_log2((float)x);
#endif
    (void)math;
    return gdn_log(x) / 0x1.62e42fefa39efp-1;
}

GDN_SHARED double gdn_math_sigmoid(gdn_math math, double x)
{
#if defined(__CUDA_ARCH__)
    if (math == GDN_MATH_CUDA)
        return 1.0f / (1.0f + expf(-(float)x));
    if (math == GDN_MATH_APPROX)
        return gdn_approx_divide(1.0f, 1.0f + gdn_approx_exp2(-(float)x * GDN_LOG2EF));
#endif
    (void)math;
    return gdn_sigmoid(x);
}

GDN_SHARED double gdn_math_rsqrt(gdn_math math, double x)
{
#if defined(__CUDA_ARCH__)
    if (math != GDN_MATH_PORTABLE)
        return math == GDN_MATH_CUDA ? rsqrtf((float)x) : gdn_approx_rsqrt((float)x);
#endif
    (void)math;
    return gdn_rsqrt(x);
}

#endif
