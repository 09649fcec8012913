/* SPDX-License-Identifier: Apache-2.0 */
/* format -- the format table and rounding into it; see format.h. */
#include "base/format.h"

const gdn_format gdn_formats[GDN_FORMATS] = {
    [GDN_FP64] = {"fp64", 64, 53, -1022, 1023, 0x1.fffffffffffffp1023, true},
    [GDN_FP32] = {"fp32", 32, 24, -126, 127, 0x1.fffffep127, true},
    [GDN_TF32] = {"tf32", 32, 11, -126, 127, 0x1.ffcp127, true},
    [GDN_FP16] = {"fp16", 16, 11, -14, 15, 65504.0, true},
    [GDN_BF16] = {"bf16", 16, 8, -126, 127, 0x1.fep127, true},
    [GDN_E4M3] = {"e4m3", 8, 4, -6, 8, 448.0, false},
    [GDN_E5M2] = {"e5m2", 8, 3, -14, 15, 57344.0, true},
};

const gdn_format *gdn_format_by_name(const char *name)
{
    for (int i = 0; i < GDN_FORMATS; i++)
        if (strcmp(gdn_formats[i].name, name) == 0)
            return &gdn_formats[i];
    return NULL;
}

static uint64_t double_bits(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* 2^e for a normal exponent. */
static double power_of_two(int e)
{
    uint64_t u = (uint64_t)(e + 1023) << 52;
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

double gdn_ulp(const gdn_format *f, double x)
{
    int e = (int)((double_bits(x) >> 52) & 0x7ff) - 1023;
    e = (e < f->emin ? f->emin : e) - f->p + 1;
    return e >= -1022 ? power_of_two(e) : power_of_two(e + 52) * 0x1p-52;
}

/* Overflow of a value that is already on the grid. */
static double saturate(const gdn_format *f, double y)
{
    if (y > f->max || y < -f->max)
        return !f->has_infinity ? __builtin_nan("") : y > 0 ? __builtin_inf() : -__builtin_inf();
    return y;
}

/*
 * Adding and subtracting 1.5 2^52 ulp leaves the multiple of the ulp nearest to x, ties to even: the double
 * addition itself rounds there, since |x| < 2^p ulp with p <= 24. The sign of zero is put back.
 */
double gdn_round(const gdn_format *f, double x)
{
    if (f->p == 53 || x != x)
        return x;
    if (x > 2 * f->max || x < -2 * f->max)
        return saturate(f, x);
    double big = 0x1.8p52 * gdn_ulp(f, x);
    double y = (x + big) - big;
    return saturate(f, __builtin_copysign(y, x));
}

double gdn_round_stochastic(const gdn_format *f, double x, uint32_t r)
{
    if (f->p == 53 || x != x || x > 2 * f->max || x < -2 * f->max)
        return gdn_round(f, x);
    double ulp = gdn_ulp(f, x), size = __builtin_fabs(x), big = 0x1p52 * ulp;
    double down = (size + big) - big;
    if (down > size)
        down -= ulp;
    double fraction = (size - down) / ulp;
    if (fraction + (double)(r & 0xffffu) * 0x1p-16 >= 1.0)
        down += ulp;
    return saturate(f, __builtin_copysign(down, x));
}

float gdn_fp16_to_float(uint16_t h)
{
    int e = (h >> 10) & 0x1f, m = h & 0x3ff;
    double size = e == 0    ? m * 0x1p-24
                  : e == 31 ? (m ? __builtin_nan("") : __builtin_inf())
                            : (1024 + m) * power_of_two(e - 25);
    return (float)(h & 0x8000 ? -size : size);
}
