/* SPDX-License-Identifier: Apache-2.0 */
/*
 * portable -- exp, log, softplus, sigmoid and rsqrt with the same bits on every machine.
 *
 * Evaluated in double with IEEE +, -, *, /, sqrt and explicit fma only, so that gcc, clang, any vector width
 * and a GPU agree; the caller rounds the double once to the format of the step. The error is a few 2^-53,
 * relative, which after rounding to fp32 is at most 0.5000001 ulp (tests/test_portable.c: all 65,536 bf16
 * arguments against MPFR).
 */
#ifndef GDN_KERNELS_PORTABLE_H
#define GDN_KERNELS_PORTABLE_H

#include "base/round.h"

/*
 * exp x = 2^n exp r, n = round(x / ln 2), r = x - n ln 2 in [-0.347, 0.347]; exp r by its Taylor sum to r^13
 * (remainder 4e-18). No branch: x is clamped where the result is 0 or infinite, and 2^n is applied in two
 * halves so that gradual underflow rounds once.
 */
GDN_SHARED double gdn_exp(double x)
{
    const double magic = 0x1.8p52, log2e = 0x1.71547652b82fep0;
    const double ln2_hi = 0x1.62e42fefa39efp-1, ln2_lo = 0x1.abc9e3b39803fp-56;
    double c = x < -760.0 ? -760.0 : x;
    c = c > 720.0 ? 720.0 : c;
    double shifted = gdn_fma(c, log2e, magic), n = shifted - magic;
    double r = gdn_fma(-n, ln2_lo, gdn_fma(-n, ln2_hi, c));
    double p = 1.0 / 6227020800.0;
    p = gdn_fma(p, r, 1.0 / 479001600.0);
    p = gdn_fma(p, r, 1.0 / 39916800.0);
    p = gdn_fma(p, r, 1.0 / 3628800.0);
    p = gdn_fma(p, r, 1.0 / 362880.0);
    p = gdn_fma(p, r, 1.0 / 40320.0);
    p = gdn_fma(p, r, 1.0 / 5040.0);
    p = gdn_fma(p, r, 1.0 / 720.0);
    p = gdn_fma(p, r, 1.0 / 120.0);
    p = gdn_fma(p, r, 1.0 / 24.0);
    p = gdn_fma(p, r, 1.0 / 6.0);
    p = gdn_fma(p, r, 0.5);
    p = gdn_fma(p, r, 1.0);
    p = gdn_fma(p, r, 1.0);
    int32_t k = (int32_t)gdn_bits64(shifted), half = k / 2,
            rest = k - half; /* the low bits of 1.5 2^52 + n are n */
    p *= gdn_double_of((uint64_t)(half + 1023) << 52);
    return p * gdn_double_of((uint64_t)(rest + 1023) << 52);
}

/*
 * log(y + c) for y in [2^-1022, inf), |c| below half an ulp of y: y = 2^k m with m in [sqrt(1/2), sqrt 2),
 * log m = 2 atanh s, s = (m - 1) / (m + 1), |s| <= 0.1716, by its series to s^21 (remainder 2e-19).
 */
GDN_SHARED double gdn_log_sum(double y, double c)
{
    const double ln2_hi = 0x1.62e42fefa39efp-1, ln2_lo = 0x1.abc9e3b39803fp-56;
    uint64_t u = gdn_bits64(y);
    int64_t k = (int64_t)(u - 0x3fe6a09e667f3bcdULL) >> 52; /* subtracts the bits of sqrt(1/2) */
    double m = gdn_double_of(u - ((uint64_t)k << 52)), f = m - 1.0, s = f / (2.0 + f), z = s * s;
    double p = 1.0 / 21.0;
    p = gdn_fma(p, z, 1.0 / 19.0);
    p = gdn_fma(p, z, 1.0 / 17.0);
    p = gdn_fma(p, z, 1.0 / 15.0);
    p = gdn_fma(p, z, 1.0 / 13.0);
    p = gdn_fma(p, z, 1.0 / 11.0);
    p = gdn_fma(p, z, 1.0 / 9.0);
    p = gdn_fma(p, z, 1.0 / 7.0);
    p = gdn_fma(p, z, 1.0 / 5.0);
    p = gdn_fma(p, z, 1.0 / 3.0);
    /* 2 atanh s = f - s (f - 2 s^2 p): the leading f is exact, which keeps small arguments relative */
    double tail = gdn_fma(-s, f - 2.0 * (z * p), c / y);
    double n = (double)k;
    return gdn_fma(n, ln2_hi, f + gdn_fma(n, ln2_lo, tail));
}

/* log x, x normal and positive. */
GDN_SHARED double gdn_log(double x)
{
    return gdn_log_sum(x, 0.0);
}

/* log(1 + u), 0 <= u <= 2^52; what 1 + u loses is handed on as c. */
GDN_SHARED double gdn_log1p(double u)
{
    double y = 1.0 + u;
    return gdn_log_sum(y, u - (y - 1.0));
}

/* log(1 + e^x) = max(x, 0) + log1p(e^-|x|): relative accuracy on the whole line, no threshold. */
GDN_SHARED double gdn_softplus(double x)
{
    if (x != x)
        return x;
    double tail = gdn_log1p(gdn_exp(x > 0 ? -x : x));
    return x > 0 ? x + tail : tail;
}

/* 1 / (1 + e^-x), both tails relative. */
GDN_SHARED double gdn_sigmoid(double x)
{
    double e = gdn_exp(x > 0 ? -x : x);
    return (x > 0 ? 1.0 : e) / (1.0 + e);
}

/* x^(-1/2). */
GDN_SHARED double gdn_rsqrt(double x)
{
    return 1.0 / gdn_sqrt(x);
}

#endif
