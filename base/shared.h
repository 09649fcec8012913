/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shared -- how one source serves the CPU and the GPU.
 *
 * A GDN_SHARED function is compiled for both; inside it only IEEE + - * /, gdn_fma and gdn_sqrt occur. nvcc
 * contracts a * b + c unless told otherwise, so device code is built with --fmad=false (Makefile).
 */
#ifndef GDN_BASE_SHARED_H
#define GDN_BASE_SHARED_H

#if defined(__CUDACC__)
#define GDN_SHARED static __host__ __device__ __forceinline__
#else
#define GDN_SHARED static inline __attribute__((unused))
#endif

/* a b + c, rounded once. */
GDN_SHARED double gdn_fma(double a, double b, double c)
{
#if defined(__CUDA_ARCH__)
    return __fma_rn(a, b, c);
#else
    return __builtin_fma(a, b, c);
#endif
}

GDN_SHARED float gdn_fmaf(float a, float b, float c)
{
#if defined(__CUDA_ARCH__)
    return __fmaf_rn(a, b, c);
#else
    return __builtin_fmaf(a, b, c);
#endif
}

/* The square root, rounded once. */
GDN_SHARED double gdn_sqrt(double x)
{
#if defined(__CUDA_ARCH__)
    return __dsqrt_rn(x);
#else
    return __builtin_sqrt(x);
#endif
}

#endif
