/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dd -- double-double arithmetic: a number is an unevaluated sum hi + lo with |lo| <= ulp(hi) / 2, about 106
 * bits.
 *
 * Error-free transforms (Dekker 1971; Knuth, TAOCP 4.2.2): two_sum gives a + b and its rounding error
 * exactly, two_prod gives a b and fma(a, b, -ab). The bounds named below, with u = 2^-53, are those of
 * Joldes, Muller and Popescu, "Tight and rigorous error bounds for basic building blocks of double-word
 * arithmetic", ACM TOMS 44 (2017).
 *
 * The text is written once (dd_body.h) and compiled for two types:
 *
 *     gdn_dd_*   on gdn_dd,  a pair of doubles
 *     gdn_ddv_*  on gdn_ddv, a pair of gdn_lanes, a machine register of GDN_LANES doubles
 *
 * Only IEEE + - * / sqrt and explicit fma occur, and lanes never mix, so that with -ffp-contract=off the bits
 * are the same for both types, on every compiler and instruction set, and in CUDA (where gdn_dd_* are device
 * functions; compile with --fmad=false).
 */
#ifndef GDN_REFERENCE_DD_H
#define GDN_REFERENCE_DD_H

#include "base/round.h"

#if defined(__CUDACC__)
#define GDN_DD_FUNCTION static __device__ __forceinline__
#define GDN_DD_TABLE static __device__ const
#else
#include "base/simd.h"
#define GDN_DD_FUNCTION GDN_INLINE
#define GDN_DD_TABLE static const
#endif

typedef struct gdn_dd {
    double hi, lo;
} gdn_dd;

/*
 * Primitives of the scalar type. A mask is all ones or zero, as the comparison of vectors gives it, so that
 * the body can be free of branches.
 */
GDN_DD_FUNCTION double gdn_dd_splat(double x)
{
    return x;
}

#define gdn_dd_fma gdn_fma
#define gdn_dd_sqrt gdn_sqrt
#define gdn_dd_bits gdn_bits64
#define gdn_dd_real gdn_double_of

GDN_DD_FUNCTION uint64_t gdn_dd_greater(double a, double b)
{
    return a > b ? ~(uint64_t)0 : 0;
}

GDN_DD_FUNCTION double gdn_dd_lookup(const double *table, uint64_t i)
{
    return table[i];
}

#define DD(name) gdn_dd_##name
#define DD_REAL double
#define DD_BITS uint64_t
#define DD_PAIR gdn_dd
#include "reference/dd_body.h"
#undef DD
#undef DD_REAL
#undef DD_BITS
#undef DD_PAIR

#if !defined(__CUDACC__)

/*
 * The widest register of the instruction set that this file is compiled for. Vectors of eight doubles
 * everywhere would give the same bits, but gcc 12 keeps a vector wider than a register in memory: with them
 * the tile took 5.7 ns per state element and token on AVX2, with these 2.8.
 */
#if defined(__AVX512F__)
enum { GDN_LANES = 8 };
#elif defined(__AVX2__) && defined(__FMA__)
enum { GDN_LANES = 4 };
#else
enum { GDN_LANES = 1 };
#endif

#if defined(__AVX2__) && defined(__FMA__)
typedef double gdn_lanes __attribute__((vector_size(8 * GDN_LANES)));
typedef uint64_t gdn_lane_bits __attribute__((vector_size(8 * GDN_LANES)));
typedef float gdn_lane_floats __attribute__((vector_size(4 * GDN_LANES)));
#else
typedef double gdn_lanes;
typedef uint64_t gdn_lane_bits;
typedef float gdn_lane_floats;
#endif

typedef struct gdn_ddv {
    gdn_lanes hi, lo;
} gdn_ddv;

GDN_INLINE gdn_lanes gdn_lanes_load(const double *p)
{
    gdn_lanes x;
    memcpy(&x, p, sizeof x);
    return x;
}

GDN_INLINE void gdn_lanes_store(double *p, gdn_lanes x)
{
    memcpy(p, &x, sizeof x);
}

#if defined(__AVX512F__)

GDN_INLINE gdn_lanes gdn_ddv_splat(double x)
{
    return (gdn_lanes)_mm512_set1_pd(x);
}

GDN_INLINE gdn_lanes gdn_ddv_fma(gdn_lanes a, gdn_lanes b, gdn_lanes c)
{
    return (gdn_lanes)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
}

GDN_INLINE gdn_lanes gdn_ddv_sqrt(gdn_lanes x)
{
    return (gdn_lanes)_mm512_sqrt_pd((__m512d)x);
}

#elif defined(__AVX2__) && defined(__FMA__)

GDN_INLINE gdn_lanes gdn_ddv_splat(double x)
{
    return (gdn_lanes)_mm256_set1_pd(x);
}

GDN_INLINE gdn_lanes gdn_ddv_fma(gdn_lanes a, gdn_lanes b, gdn_lanes c)
{
    return (gdn_lanes)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
}

GDN_INLINE gdn_lanes gdn_ddv_sqrt(gdn_lanes x)
{
    return (gdn_lanes)_mm256_sqrt_pd((__m256d)x);
}

#else

#define gdn_ddv_splat gdn_dd_splat
#define gdn_ddv_fma gdn_dd_fma
#define gdn_ddv_sqrt gdn_dd_sqrt

#endif

#if defined(__AVX2__) && defined(__FMA__)

GDN_INLINE gdn_lane_bits gdn_ddv_bits(gdn_lanes x)
{
    return (gdn_lane_bits)x;
}

GDN_INLINE gdn_lanes gdn_ddv_real(gdn_lane_bits u)
{
    return (gdn_lanes)u;
}

GDN_INLINE gdn_lane_bits gdn_ddv_greater(gdn_lanes a, gdn_lanes b)
{
    return (gdn_lane_bits)(a > b);
}

GDN_INLINE gdn_lanes gdn_ddv_lookup(const double *table, gdn_lane_bits i)
{
    gdn_lanes x;
    for (int l = 0; l < GDN_LANES; l++)
        x[l] = table[i[l]];
    return x;
}

GDN_INLINE gdn_lanes gdn_lanes_widen(const float *p)
{
    gdn_lane_floats x;
    memcpy(&x, p, sizeof x);
    return __builtin_convertvector(x, gdn_lanes);
}

#else

#define gdn_ddv_bits gdn_dd_bits
#define gdn_ddv_real gdn_dd_real
#define gdn_ddv_greater gdn_dd_greater
#define gdn_ddv_lookup gdn_dd_lookup

GDN_INLINE gdn_lanes gdn_lanes_widen(const float *p)
{
    return (double)*p;
}

#endif

#define DD(name) gdn_ddv_##name
#define DD_REAL gdn_lanes
#define DD_BITS gdn_lane_bits
#define DD_PAIR gdn_ddv
#include "reference/dd_body.h"
#undef DD
#undef DD_REAL
#undef DD_BITS
#undef DD_PAIR

GDN_INLINE gdn_ddv gdn_ddv_load(const double *hi, const double *lo)
{
    return gdn_ddv_pair(gdn_lanes_load(hi), gdn_lanes_load(lo));
}

#endif /* CUDA */

#endif
