/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd -- one 64-byte vector, written once for scalar code, AVX2 and AVX-512.
 *
 * Lanes are value columns, which never mix, so the width of the machine's registers cannot change a result:
 * the compiler splits a vector into two, four or sixteen registers and the bits stay. Arithmetic uses the
 * operators of the GNU vector extension; only the fused multiply-add needs a name. A file that includes this
 * is compiled once per instruction set with GDN_ISA set (Makefile), and gdn_isa_best() chooses at run time.
 */
#ifndef GDN_BASE_SIMD_H
#define GDN_BASE_SIMD_H

#include <stdint.h>

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

#define GDN_INLINE static inline __attribute__((always_inline, unused))

typedef float gdn_vf __attribute__((vector_size(64)));     /* 16 floats */
typedef uint32_t gdn_vu __attribute__((vector_size(64)));  /* 16 words */
typedef double gdn_vd __attribute__((vector_size(64)));    /* 8 doubles */
typedef uint64_t gdn_vul __attribute__((vector_size(64))); /* 8 long words */

enum { GDN_VF = 16, GDN_VD = 8 };

GDN_INLINE gdn_vf gdn_vf_set(float x)
{
    return (gdn_vf){0} + x;
}

GDN_INLINE gdn_vd gdn_vd_set(double x)
{
    return (gdn_vd){0} + x;
}

/* a b + c, rounded once. */
GDN_INLINE gdn_vf gdn_vf_fma(gdn_vf a, gdn_vf b, gdn_vf c)
{
#if defined(__AVX512F__)
    return (gdn_vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__) && defined(__FMA__)
    union {
        gdn_vf v;
        __m256 h[2];
    } x = {a}, y = {b}, z = {c};
    z.h[0] = _mm256_fmadd_ps(x.h[0], y.h[0], z.h[0]);
    z.h[1] = _mm256_fmadd_ps(x.h[1], y.h[1], z.h[1]);
    return z.v;
#else
    for (int i = 0; i < GDN_VF; i++)
        c[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return c;
#endif
}

GDN_INLINE gdn_vd gdn_vd_fma(gdn_vd a, gdn_vd b, gdn_vd c)
{
#if defined(__AVX512F__)
    return (gdn_vd)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__AVX2__) && defined(__FMA__)
    union {
        gdn_vd v;
        __m256d h[2];
    } x = {a}, y = {b}, z = {c};
    z.h[0] = _mm256_fmadd_pd(x.h[0], y.h[0], z.h[0]);
    z.h[1] = _mm256_fmadd_pd(x.h[1], y.h[1], z.h[1]);
    return z.v;
#else
    for (int i = 0; i < GDN_VD; i++)
        c[i] = __builtin_fma(a[i], b[i], c[i]);
    return c;
#endif
}

/* Name of a function in the object of one instruction set: GDN_ISA_NAME(f) is f_scalar, f_avx2 or f_avx512.
 */
#define GDN_PASTE_(a, b) a##_##b
#define GDN_PASTE(a, b) GDN_PASTE_(a, b)
#define GDN_ISA_NAME(f) GDN_PASTE(f, GDN_ISA)

typedef enum gdn_isa { GDN_ISA_SCALAR, GDN_ISA_AVX2, GDN_ISA_AVX512, GDN_ISAS } gdn_isa;

extern const char *const gdn_isa_names[GDN_ISAS];

/* Does this CPU have it? */
int gdn_isa_available(gdn_isa isa);

/* The widest that this CPU has, or what gdn_isa_force() chose. */
gdn_isa gdn_isa_best(void);
void gdn_isa_force(gdn_isa isa);

#endif
