/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dd_body -- the text of double-double arithmetic; dd.h includes it once per type and says what it is.
 *
 * DD(name) names a function, DD_REAL is the real type, DD_BITS its bits and DD_PAIR the pair.
 * Primitives: splat fma sqrt bits real greater lookup.
 */

GDN_DD_FUNCTION DD_PAIR DD(pair)(DD_REAL hi, DD_REAL lo)
{
    DD_PAIR r;
    r.hi = hi;
    r.lo = lo;
    return r;
}

/* A constant, the same in every lane. */
GDN_DD_FUNCTION DD_PAIR DD(set)(double hi, double lo)
{
    return DD(pair)(DD(splat)(hi), DD(splat)(lo));
}

/* mask ? a : b, bit by bit. */
GDN_DD_FUNCTION DD_REAL DD(select)(DD_BITS mask, DD_REAL a, DD_REAL b)
{
    return DD(real)((DD(bits)(a) & mask) | (DD(bits)(b) & ~mask));
}

GDN_DD_FUNCTION DD_PAIR DD(choose)(DD_BITS mask, DD_PAIR a, DD_PAIR b)
{
    return DD(pair)(DD(select)(mask, a.hi, b.hi), DD(select)(mask, a.lo, b.lo));
}

/* a + b exactly, for any a and b whose sum is finite. */
GDN_DD_FUNCTION DD_PAIR DD(two_sum)(DD_REAL a, DD_REAL b)
{
    DD_REAL s = a + b, c = s - a;
    return DD(pair)(s, (a - (s - c)) + (b - c));
}

/* a + b exactly, where |a| >= |b| or a = 0. */
GDN_DD_FUNCTION DD_PAIR DD(fast_two_sum)(DD_REAL a, DD_REAL b)
{
    DD_REAL s = a + b;
    return DD(pair)(s, b - (s - a));
}

/* a b exactly, unless the product is below 2^-969 and its error leaves the range. */
GDN_DD_FUNCTION DD_PAIR DD(two_prod)(DD_REAL a, DD_REAL b)
{
    DD_REAL p = a * b;
    return DD(pair)(p, DD(fma)(a, b, -p));
}

GDN_DD_FUNCTION DD_PAIR DD(neg)(DD_PAIR a)
{
    return DD(pair)(-a.hi, -a.lo);
}

/* a + b within 3 u^2 |a + b| (their algorithm 6). */
GDN_DD_FUNCTION DD_PAIR DD(add)(DD_PAIR a, DD_PAIR b)
{
    DD_PAIR s = DD(two_sum)(a.hi, b.hi), t = DD(two_sum)(a.lo, b.lo);
    s = DD(fast_two_sum)(s.hi, s.lo + t.hi);
    return DD(fast_two_sum)(s.hi, t.lo + s.lo);
}

/* a + b within 3 u^2 (|a| + |b|): enough wherever a and b carry errors of that size anyway (algorithm 5). */
GDN_DD_FUNCTION DD_PAIR DD(add_loose)(DD_PAIR a, DD_PAIR b)
{
    DD_PAIR s = DD(two_sum)(a.hi, b.hi);
    return DD(fast_two_sum)(s.hi, s.lo + (a.lo + b.lo));
}

/* a + b, b a plain number, within 2 u^2 |a + b| (algorithm 4). */
GDN_DD_FUNCTION DD_PAIR DD(add_real)(DD_PAIR a, DD_REAL b)
{
    DD_PAIR s = DD(two_sum)(a.hi, b);
    return DD(fast_two_sum)(s.hi, s.lo + a.lo);
}

/* a b within 5 u^2 |a b| (algorithm 11). */
GDN_DD_FUNCTION DD_PAIR DD(mul)(DD_PAIR a, DD_PAIR b)
{
    DD_PAIR p = DD(two_prod)(a.hi, b.hi);
    return DD(fast_two_sum)(p.hi, DD(fma)(a.lo, b.hi, DD(fma)(a.hi, b.lo, p.lo)));
}

/* a b, b a plain number, within 2 u^2 |a b| (algorithm 9). */
GDN_DD_FUNCTION DD_PAIR DD(mul_real)(DD_PAIR a, DD_REAL b)
{
    DD_PAIR p = DD(two_prod)(a.hi, b);
    return DD(fast_two_sum)(p.hi, DD(fma)(a.lo, b, p.lo));
}

/* a / b within 11 u^2 |a / b| (6.2 found): one quotient, its exact remainder, and the quotient of that. */
GDN_DD_FUNCTION DD_PAIR DD(div)(DD_PAIR a, DD_PAIR b)
{
    DD_REAL q = a.hi / b.hi;
    DD_REAL rest = DD(fma)(-q, b.lo, DD(fma)(-q, b.hi, a.hi) + a.lo);
    return DD(fast_two_sum)(q, rest / b.hi);
}

/*
 * 1 / sqrt(x) within 12 u^2 (5.4 found), for 2^-900 < x < 2^900: y = 1 / sqrt(hi) in double, then the series
 * 1 / sqrt(x) = y (1 - e)^(-1/2) = y (1 + e / 2 + 3 e^2 / 8 + ...) in e = 1 - x y^2 < 2^-50.
 */
GDN_DD_FUNCTION DD_PAIR DD(rsqrt)(DD_PAIR x)
{
    DD_REAL one = DD(splat)(1.0), y = one / DD(sqrt)(x.hi);
    DD_PAIR square = DD(two_prod)(y, y);
    DD_REAL e = DD(fma)(-x.hi, square.hi, one);
    e = DD(fma)(-x.lo, square.hi, DD(fma)(-x.hi, square.lo, e));
    return DD(fast_two_sum)(y, y * (e * DD(fma)(e, DD(splat)(0.375), DD(splat)(0.5))));
}

/*
 * A running sum of products in the style of Dot2 (Ogita, Rump and Oishi 2005): hi by two_sum, everything
 * below in lo, which is not normalised. n terms leave an error below about (n + 3) u^2 sum |terms|.
 */
GDN_DD_FUNCTION DD_PAIR DD(accumulate)(DD_PAIR sum, DD_REAL a, DD_PAIR b)
{
    DD_PAIR p = DD(two_prod)(a, b.hi), s = DD(two_sum)(sum.hi, p.hi);
    return DD(pair)(s.hi, sum.lo + (s.lo + DD(fma)(a, b.lo, p.lo)));
}

/* Two such sums into one. Commutative to the bit, so that a butterfly leaves the same in all its lanes. */
GDN_DD_FUNCTION DD_PAIR DD(join)(DD_PAIR a, DD_PAIR b)
{
    DD_PAIR s = DD(two_sum)(a.hi, b.hi);
    return DD(pair)(s.hi, s.lo + (a.lo + b.lo));
}

/* Such a sum as a normalised pair; after cancellation lo may be the larger part. */
GDN_DD_FUNCTION DD_PAIR DD(settle)(DD_PAIR sum)
{
    return DD(two_sum)(sum.hi, sum.lo);
}
