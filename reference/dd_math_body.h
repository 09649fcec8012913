/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dd_math_body -- the text of the functions; dd_math.h includes it once per type (see dd_body.h for the
 * names).
 */

/* a + b where |a| >= |b|, within 3 u^2 (|a| + |b|). */
GDN_DD_FUNCTION DD_PAIR DD(add_small)(DD_PAIR a, DD_PAIR b)
{
    DD_PAIR s = DD(fast_two_sum)(a.hi, b.hi);
    return DD(fast_two_sum)(s.hi, s.lo + (a.lo + b.lo));
}

/* 2^e for e = -1022..1023, in two's complement. */
GDN_DD_FUNCTION DD_REAL DD(power)(DD_BITS e)
{
    return DD(real)((e + 1023) << 52);
}

/* x 2^e for e = -2000..2000: two factors, so that the first product is exact and only the second may round.
 */
GDN_DD_FUNCTION DD_REAL DD(scale)(DD_REAL x, DD_BITS e)
{
    DD_BITS half = ((e + 4096) >> 1) - 2048;
    return x * DD(power)(half) * DD(power)(e - half);
}

/* The multiple of log(2) / 64 nearest to x: n log(2) / 64, n in two's complement; returns n as a real number.
 */
GDN_DD_FUNCTION DD_REAL DD(exp_steps)(DD_REAL x, DD_BITS *n)
{
    DD_REAL magic = DD(splat)(0x1.8p52), shifted = DD(fma)(x, DD(splat)(0x1.71547652b82fep+6), magic);
    *n = DD(bits)(shifted) - DD(bits)(magic);
    return shifted - magic;
}

/*
 * exp(x) - 1 for |x| <= log(2) / 128 < 2^-7.5: the Taylor sum to x^11 / 11!, whose rest is below 2^-119.
 * Terms from x^6 on are below 2^-54 and need no low part.
 */
GDN_DD_FUNCTION DD_PAIR DD(expm1_core)(DD_PAIR x)
{
    DD_REAL c[] = {
        DD(splat)(0x1.6c16c16c16c17p-10), DD(splat)(0x1.a01a01a01a01ap-13),
        DD(splat)(0x1.a01a01a01a01ap-16), DD(splat)(0x1.71de3a556c734p-19),
        DD(splat)(0x1.27e4fb7789f5cp-22), DD(splat)(0x1.ae64567f544e4p-26)}; /* 1 / 6! ... 1 / 11! */
    DD_REAL tail = c[5];
    for (int i = 4; i >= 0; i--)
        tail = DD(fma)(x.hi, tail, c[i]);
    DD_REAL small = DD(fma)(x.hi, tail, DD(splat)(0x1.1111111111111p-63));
    DD_PAIR sum = DD(fast_two_sum)(DD(splat)(0x1.1111111111111p-7), small);                     /* 1 / 5! */
    sum = DD(add_small)(DD(set)(0x1.5555555555555p-5, 0x1.5555555555555p-59), DD(mul)(x, sum)); /* 1 / 4! */
    sum = DD(add_small)(DD(set)(0x1.5555555555555p-3, 0x1.5555555555555p-57), DD(mul)(x, sum)); /* 1 / 3! */
    sum = DD(add_small)(DD(set)(0.5, 0.0), DD(mul)(x, sum));
    return DD(add_small)(x, DD(mul)(DD(mul)(x, x), sum));
}

/*
 * exp(x) = 2^e 2^(j/64) exp(r), x = (64 e + j) log(2) / 64 + r. log(2) / 64 is cut into 36 + 32 + 53 bits, so
 * that its first two multiples and the first difference are exact. Beyond -760 and 720 the result is 0 and
 * infinity (with a low part of 0), from infinite x too.
 */
GDN_DD_FUNCTION DD_PAIR DD(exp)(DD_PAIR x)
{
    x = DD(choose)(DD(greater)(x.hi, DD(splat)(720.0)), DD(set)(720.0, 0.0), x);
    x = DD(choose)(DD(greater)(DD(splat)(-760.0), x.hi), DD(set)(-760.0, 0.0), x);
    DD_BITS n;
    DD_REAL k = DD(exp_steps)(x.hi, &n), c = DD(splat)(0x1.cf79abcap-46);
    DD_PAIR a = DD(two_sum)(DD(fma)(-k, DD(splat)(0x1.62e42fefap-7), x.hi), -(k * c));
    DD_PAIR b = DD(two_sum)(a.hi, x.lo);
    DD_PAIR r = DD(two_sum)(b.hi, a.lo + DD(fma)(k, DD(splat)(0x1.c4c67fc0d0951p-82), b.lo));
    n += UINT64_C(1) << 20;
    DD_BITS j = n & 63, e = (n >> 6) - (UINT64_C(1) << 14);
    DD_PAIR power = DD(pair)(DD(lookup)(gdn_dd_exp2_hi, j), DD(lookup)(gdn_dd_exp2_lo, j));
    DD_PAIR y = DD(add_small)(power, DD(mul)(power, DD(expm1_core)(r)));
    y = DD(fast_two_sum)(DD(scale)(y.hi, e), DD(scale)(y.lo, e)); /* again, for a low part that has rounded */
    y.lo = DD(select)(DD(greater)(y.hi, DD(splat)(0x1.fffffffffffffp1023)), DD(splat)(0.0), y.lo);
    return y;
}

/* 2 atanh(s / 2) = s (1 + w / 3 + w^2 / 5 + ...), w = s^2 / 4 <= 2^-16, to w^7 / 15; the rest is below
 * 2^-131. */
GDN_DD_FUNCTION DD_PAIR DD(log_core)(DD_PAIR s)
{
    DD_PAIR w = DD(mul)(s, s);
    w = DD(pair)(0.25 * w.hi, 0.25 * w.lo);
    DD_REAL tail = DD(fma)(w.hi, DD(splat)(0x1.1111111111111p-4), DD(splat)(0x1.3b13b13b13b14p-4));
    tail = DD(fma)(w.hi, tail, DD(splat)(0x1.745d1745d1746p-4));
    tail = DD(fma)(w.hi, tail, DD(splat)(0x1.c71c71c71c71cp-4));
    DD_REAL small = DD(fma)(w.hi, tail, DD(splat)(0x1.2492492492492p-57));
    DD_PAIR sum = DD(fast_two_sum)(DD(splat)(0x1.2492492492492p-3), small);                      /* 1 / 7 */
    sum = DD(add_small)(DD(set)(0x1.999999999999ap-3, -0x1.999999999999ap-57), DD(mul)(w, sum)); /* 1 / 5 */
    sum = DD(add_small)(DD(set)(0x1.5555555555555p-2, 0x1.5555555555555p-56), DD(mul)(w, sum));  /* 1 / 3 */
    return DD(add_small)(s, DD(mul)(s, DD(mul)(w, sum)));
}

/*
 * log(1 + x) for x > -1 = e log 2 + log F + 2 atanh(s / 2), s = d / (F + d / 2), where 1 + x = 2^e (F + d), F
 * = 1 + j / 64 or half of it, so that F runs from 0.71 to 1.41 and F = 1 on either side of 1: a small x loses
 * nothing. d = 2^-e + 2^-e x - F is found without an error above u^2 |d|.
 */
GDN_DD_FUNCTION DD_PAIR DD(log1p)(DD_PAIR x)
{
    DD_REAL one = DD(splat)(1.0), magic = DD(splat)(0x1.8p52);
    DD_BITS u = DD(bits)(DD(add_real)(x, one).hi);
    DD_BITS j = ((u & UINT64_C(0xfffffffffffff)) + (UINT64_C(1) << 45)) >> 46;
    DD_BITS halve = (j + 37) >> 6; /* 1 from j = 27 on */
    DD_BITS e = (u >> 52) - 1023 + halve;
    DD_REAL F = DD(real)((UINT64_C(1023) << 52) + (j << 46) - (halve << 52));
    DD_REAL unit = DD(scale)(one, -e);
    DD_PAIR a = DD(two_sum)(DD(scale)(x.hi, -e), -F), b = DD(two_sum)(a.hi, unit);
    DD_PAIR d = DD(two_sum)(b.hi, a.lo);
    d = DD(two_sum)(d.hi, d.lo + (b.lo + DD(scale)(x.lo, -e)));
    DD_PAIR part = DD(log_core)(DD(div)(d, DD(add_real)(DD(pair)(0.5 * d.hi, 0.5 * d.lo), F)));
    DD_REAL twos = DD(real)(DD(bits)(magic) + e) - magic;
    DD_PAIR whole = DD(mul_real)(DD(set)(0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56), twos);
    whole = DD(add)(whole, DD(pair)(DD(lookup)(gdn_dd_log_hi, j), DD(lookup)(gdn_dd_log_lo, j)));
    return DD(add)(whole, part);
}

/* exp(-|x|), the argument that neither softplus nor sigmoid can overflow on. */
GDN_DD_FUNCTION DD_PAIR DD(exp_minus)(DD_PAIR x)
{
    return DD(exp)(DD(choose)(DD(greater)(x.hi, DD(splat)(0.0)), DD(neg)(x), x));
}

/* softplus(x) = log(1 + exp x) = max(x, 0) + log1p(exp(-|x|)); both terms are >= 0. */
GDN_DD_FUNCTION DD_PAIR DD(softplus)(DD_PAIR x)
{
    DD_PAIR zero = DD(set)(0.0, 0.0), up = DD(choose)(DD(greater)(x.hi, zero.hi), x, zero);
    DD_PAIR y = DD(add)(up, DD(log1p)(DD(exp_minus)(x)));
    return DD(choose)(DD(greater)(x.hi, DD(splat)(1e300)), x, y);
}

/* sigmoid(x) = 1 / (1 + t) or t / (1 + t), t = exp(-|x|). */
GDN_DD_FUNCTION DD_PAIR DD(sigmoid)(DD_PAIR x)
{
    DD_PAIR t = DD(exp_minus)(x), one = DD(set)(1.0, 0.0);
    DD_PAIR top = DD(choose)(DD(greater)(x.hi, DD(splat)(0.0)), one, t);
    return DD(div)(top, DD(add_real)(t, one.hi));
}

/* sigmoid(x) to about 2 ulp of a double, for results that are doubles: the same steps without low parts. */
GDN_DD_FUNCTION DD_REAL DD(sigmoid_short)(DD_REAL x)
{
    DD_BITS up = DD(greater)(x, DD(splat)(0.0));
    DD_REAL y = DD(select)(up, -x, x), one = DD(splat)(1.0);
    y = DD(select)(DD(greater)(DD(splat)(-760.0), y), DD(splat)(-760.0), y);
    DD_BITS n;
    DD_REAL k = DD(exp_steps)(y, &n);
    DD_REAL r = DD(fma)(-k, DD(splat)(0x1.cf79abc9e3b3ap-46), DD(fma)(-k, DD(splat)(0x1.62e42fefap-7), y));
    DD_REAL c[] = {DD(splat)(0.5), DD(splat)(0x1.5555555555555p-3), DD(splat)(0x1.5555555555555p-5),
                   DD(splat)(0x1.1111111111111p-7), DD(splat)(0x1.6c16c16c16c17p-10)}; /* 1 / 2! ... 1 / 6! */
    DD_REAL sum = c[4];
    for (int i = 3; i >= 0; i--)
        sum = DD(fma)(r, sum, c[i]);
    sum = DD(fma)(r * r, sum, r);
    n += UINT64_C(1) << 20;
    DD_BITS j = n & 63;
    DD_REAL power = DD(lookup)(gdn_dd_exp2_hi, j);
    DD_REAL t =
        DD(scale)(power + DD(fma)(power, sum, DD(lookup)(gdn_dd_exp2_lo, j)), (n >> 6) - (UINT64_C(1) << 14));
    return DD(select)(up, one, t) / (one + t);
}
