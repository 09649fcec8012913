/* SPDX-License-Identifier: Apache-2.0 */
/*
 * format -- the storage formats and the rounding of a real number into each of them.
 *
 * A format has p significand bits (the hidden one included) and normal exponents emin..emax, so its values
 * are m 2^(e-p+1) with |m| < 2^p and e >= emin; below 2^emin the spacing stays (subnormals). The unit
 * roundoff is u = 2^-p. Rounding is to nearest, ties to even, or stochastic with 16 random bits. Overflow
 * gives infinity, or NaN in a format without infinities (OCP e4m3).
 */
#ifndef GDN_BASE_FORMAT_H
#define GDN_BASE_FORMAT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/shared.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum gdn_format_id {
    GDN_FP64,
    GDN_FP32,
    GDN_TF32,
    GDN_FP16,
    GDN_BF16,
    GDN_E4M3,
    GDN_E5M2,
    GDN_FORMATS
} gdn_format_id;

typedef struct gdn_format {
    const char *name;
    int bits;          /* of storage; tf32 rests in 32 */
    int p;             /* significand bits, hidden one included */
    int emin, emax;    /* exponents of the smallest and largest normal number */
    double max;        /* largest finite value */
    bool has_infinity; /* false: overflow gives NaN */
} gdn_format;

extern const gdn_format gdn_formats[GDN_FORMATS];

/* The format called `name`, or NULL. */
const gdn_format *gdn_format_by_name(const char *name);

/* x rounded to nearest, ties to even. NaN and infinities pass (an infinity becomes NaN where there is none).
 */
double gdn_round(const gdn_format *f, double x);

/*
 * x rounded up in magnitude with probability equal to the discarded fraction of an ulp, to 16 bits: up when
 * fraction + r / 2^16 >= 1. r: 16 random bits. Representable values stay.
 */
double gdn_round_stochastic(const gdn_format *f, double x, uint32_t r);

/* Spacing of the format's values just above |x|: 2^(max(floor(log2 |x|), emin) - p + 1). */
double gdn_ulp(const gdn_format *f, double x);

/* The bits of a float, and back. */
GDN_SHARED uint32_t gdn_float_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

GDN_SHARED float gdn_bits_float(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* A bf16 value from its 16 bits; exact. */
GDN_SHARED float gdn_bf16_to_float(uint16_t h)
{
    return gdn_bits_float((uint32_t)h << 16);
}

/* The 16 bits of the bf16 value nearest to x, ties to even; NaN stays NaN (quiet, sign kept). */
GDN_SHARED uint16_t gdn_float_to_bf16(float x)
{
    uint32_t u = gdn_float_bits(x);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((u >> 16) | 0x40u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

/* An IEEE binary16 value from its bits; exact. */
float gdn_fp16_to_float(uint16_t h);

#ifdef __cplusplus
}
#endif

#endif
