/* SPDX-License-Identifier: Apache-2.0 */
/*
 * round -- rounding into a format, for the CPU and the GPU alike; base/format.h says what it does.
 */
#ifndef GDN_BASE_ROUND_H
#define GDN_BASE_ROUND_H

#include "base/format.h"
#include "base/shared.h"

/* One row a format, in the order of gdn_format_id. */
#define GDN_FORMAT_ROWS                                                                                      \
    {"fp64", 64, 53, -1022, 1023, 0x1.fffffffffffffp1023, true},                                             \
        {"fp32", 32, 24, -126, 127, 0x1.fffffep127, true}, {"tf32", 32, 11, -126, 127, 0x1.ffcp127, true},   \
        {"fp16", 16, 11, -14, 15, 65504.0, true}, {"bf16", 16, 8, -126, 127, 0x1.fep127, true},              \
        {"e4m3", 8, 4, -6, 8, 448.0, false},                                                                 \
    {                                                                                                        \
        "e5m2", 8, 3, -14, 15, 57344.0, true                                                                 \
    }

#if defined(__CUDACC__)
static __device__ const gdn_format gdn_device_formats[GDN_FORMATS] = {GDN_FORMAT_ROWS};
#endif

/* The row of a format where this code runs. */
GDN_SHARED const gdn_format *gdn_format_row(gdn_format_id id)
{
#if defined(__CUDA_ARCH__)
    return &gdn_device_formats[id];
#else
    return &gdn_formats[id];
#endif
}

GDN_SHARED uint64_t gdn_bits64(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

GDN_SHARED double gdn_double_of(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* NaN and infinity of either sign, without payload. */
GDN_SHARED double gdn_nan(void)
{
    return gdn_double_of((uint64_t)0x7ff8 << 48);
}

GDN_SHARED double gdn_infinity(void)
{
    return gdn_double_of((uint64_t)0x7ff << 52);
}

/* |size| with the sign of `sign`. */
GDN_SHARED double gdn_with_sign(double size, double sign)
{
    const uint64_t top = (uint64_t)1 << 63;
    return gdn_double_of((gdn_bits64(size) & ~top) | (gdn_bits64(sign) & top));
}

/* 2^e for a normal exponent. */
GDN_SHARED double gdn_power_of_two(int e)
{
    return gdn_double_of((uint64_t)(e + 1023) << 52);
}

GDN_SHARED double gdn_ulp_of(const gdn_format *f, double x)
{
    int e = (int)((gdn_bits64(x) >> 52) & 0x7ff) - 1023;
    e = (e < f->emin ? f->emin : e) - f->p + 1;
    return e >= -1022 ? gdn_power_of_two(e) : gdn_power_of_two(e + 52) * 0x1p-52;
}

/* Overflow of a value that is already on the grid. */
GDN_SHARED double gdn_saturate(const gdn_format *f, double y)
{
    if (y > f->max || y < -f->max)
        return f->has_infinity ? gdn_with_sign(gdn_infinity(), y) : gdn_nan();
    return y;
}

/*
 * Adding and subtracting 1.5 2^52 ulp leaves the multiple of the ulp nearest to x, ties to even: the double
 * addition itself rounds there, since |x| < 2^p ulp with p <= 24. The sign of zero is put back.
 */
GDN_SHARED double gdn_round_to(const gdn_format *f, double x)
{
    if (f->p == 53 || x != x)
        return x;
    if (x > 2 * f->max || x < -2 * f->max)
        return gdn_saturate(f, x);
    double big = 0x1.8p52 * gdn_ulp_of(f, x);
    double y = (x + big) - big;
    return gdn_saturate(f, gdn_with_sign(y, x));
}

GDN_SHARED double gdn_round_stochastic_to(const gdn_format *f, double x, uint32_t r)
{
    if (f->p == 53 || x != x || x > 2 * f->max || x < -2 * f->max)
        return gdn_round_to(f, x);
    double ulp = gdn_ulp_of(f, x), size = gdn_with_sign(x, 1.0), big = 0x1p52 * ulp;
    double down = (size + big) - big;
    if (down > size)
        down -= ulp;
    double fraction = (size - down) / ulp;
    if (fraction + (double)(r & 0xffffu) * 0x1p-16 >= 1.0)
        down += ulp;
    return gdn_saturate(f, gdn_with_sign(down, x));
}

#endif
