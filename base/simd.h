/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd -- vectors of floats, written once for scalar code, AVX2 and AVX-512.
 *
 * Lanes are value columns, which never mix, so the width of the machine's registers cannot change a result. A
 * vector is one register of the instruction set that the file is compiled for: gcc keeps wider ones in
 * memory. Arithmetic uses the operators of the GNU vector extension; only the fused multiply-add needs a
 * name. A file that includes this is compiled once per instruction set with GDN_ISA set (Makefile), and
 * gdn_isa_best() chooses at run time.
 */
#ifndef GDN_BASE_SIMD_H
#define GDN_BASE_SIMD_H

#include <stdint.h>

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

#ifdef __FAST_MATH__
#error "results would depend on the compiler: build without -ffast-math"
#endif

#define GDN_INLINE static inline __attribute__((always_inline, unused))

#if defined(__AVX512F__)
enum { GDN_VF = 16 };
#elif defined(__AVX2__) && defined(__FMA__)
enum { GDN_VF = 8 };
#else
enum { GDN_VF = 4 };
#endif

typedef float gdn_vf __attribute__((vector_size(4 * GDN_VF)));
typedef uint32_t gdn_vu __attribute__((vector_size(4 * GDN_VF)));

GDN_INLINE gdn_vf gdn_vf_set(float x)
{
    return x - (gdn_vf){0}; /* x + 0 would cost an addition: it turns -0 into 0 */
}

/* a b + c, rounded once. */
GDN_INLINE gdn_vf gdn_vf_fma(gdn_vf a, gdn_vf b, gdn_vf c)
{
#if defined(__AVX512F__)
    return (gdn_vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__) && defined(__FMA__)
    return (gdn_vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    for (int i = 0; i < GDN_VF; i++)
        c[i] = __builtin_fmaf(a[i], b[i], c[i]);
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
