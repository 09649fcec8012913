/* SPDX-License-Identifier: Apache-2.0 */
/*
 * step_body -- the text of the layer's arithmetic; step.h includes it once per type. Names that end in _short
 * are double throughout. S, k, x and sum are arrays of GDN_FLIGHT rows.
 */

/* g = -rate softplus(a + dt_bias) */
GDN_DD_FUNCTION DD_PAIR DD(decay)(DD_PAIR rate, DD_REAL dt_bias, DD_REAL a)
{
    return DD(neg)(DD(mul)(rate, DD(softplus)(DD(two_sum)(a, dt_bias))));
}

/* sum += x^2 where the square is exact, as that of a float is. */
GDN_DD_FUNCTION DD_PAIR DD(add_square)(DD_PAIR sum, DD_REAL x)
{
    DD_PAIR s = DD(two_sum)(sum.hi, x * x);
    return DD(pair)(s.hi, sum.lo + s.lo);
}

/* sum += x^2; (hi + lo)^2 = hi (hi + 2 lo), but for lo^2. */
GDN_DD_FUNCTION DD_PAIR DD(add_square_pair)(DD_PAIR sum, DD_PAIR x)
{
    return DD(accumulate)(sum, x.hi, DD(pair)(x.hi, x.lo + x.lo));
}

/* w = sigma (v - rho r), where r = k . S, rho = alpha / |k|, sigma = beta / |k| */
GDN_DD_FUNCTION DD_PAIR DD(delta)(DD_PAIR rho, DD_PAIR sigma, DD_PAIR r, DD_REAL v)
{
    return DD(mul)(sigma, DD(add_real)(DD(neg)(DD(mul)(rho, r)), v));
}

/* S <- alpha S, the low part in double and the pair not normalised: add_product() does that. */
GDN_DD_FUNCTION void DD(forget)(DD_PAIR *S, DD_PAIR alpha)
{
    DD_PAIR a[GDN_FLIGHT];
    GDN_EACH a[f] = DD(two_prod)(alpha.hi, S[f].hi);
    GDN_EACH a[f].lo = DD(fma)(alpha.lo, S[f].hi, DD(fma)(alpha.hi, S[f].lo, a[f].lo));
    GDN_EACH S[f] = a[f];
}

/* S <- S + k w: the high parts by two_sum, the low ones in double, one normalisation. */
GDN_DD_FUNCTION void DD(add_product)(DD_PAIR *S, const DD_REAL *k, DD_PAIR w)
{
    DD_PAIR b[GDN_FLIGHT], sum[GDN_FLIGHT];
    GDN_EACH b[f] = DD(two_prod)(k[f], w.hi);
    GDN_EACH sum[f] = DD(two_sum)(S[f].hi, b[f].hi);
    GDN_EACH b[f].lo = DD(fma)(k[f], w.lo, b[f].lo);
    GDN_EACH S[f] = DD(fast_two_sum)(sum[f].hi, sum[f].lo + (S[f].lo + b[f].lo));
}

/* sum += x S, as accumulate() does. */
GDN_DD_FUNCTION void DD(dot)(DD_PAIR *sum, const DD_REAL *x, const DD_PAIR *S)
{
    DD_PAIR p[GDN_FLIGHT], s[GDN_FLIGHT];
    GDN_EACH p[f] = DD(two_prod)(x[f], S[f].hi);
    GDN_EACH s[f] = DD(two_sum)(sum[f].hi, p[f].hi);
    GDN_EACH p[f].lo = DD(fma)(x[f], S[f].lo, p[f].lo);
    GDN_EACH sum[f] = DD(pair)(s[f].hi, sum[f].lo + (s[f].lo + p[f].lo));
}

/* y = w o size z sigmoid(z), size = 1 / sqrt(mean o^2 + eps) */
GDN_DD_FUNCTION DD_PAIR DD(norm)(DD_PAIR o, DD_REAL weight, DD_PAIR size, DD_REAL z)
{
    DD_PAIR silu = DD(mul_real)(DD(sigmoid)(DD(pair)(z, DD(splat)(0.0))), z);
    return DD(mul)(DD(mul)(DD(mul_real)(o, weight), size), silu);
}

/* d = beta (v - alpha r), where r = k^ . S */
GDN_DD_FUNCTION DD_REAL DD(delta_short)(DD_REAL alpha, DD_REAL beta, DD_REAL r, DD_REAL v)
{
    return beta * DD(fma)(-alpha, r, v);
}

/* S <- alpha S */
GDN_DD_FUNCTION void DD(forget_short)(DD_REAL *S, DD_REAL alpha)
{
    GDN_EACH S[f] = alpha * S[f];
}

/* S <- S + k^ d */
GDN_DD_FUNCTION void DD(add_product_short)(DD_REAL *S, const DD_REAL *k, DD_REAL d)
{
    GDN_EACH S[f] = DD(fma)(k[f], d, S[f]);
}

/* sum += x S */
GDN_DD_FUNCTION void DD(dot_short)(DD_REAL *sum, const DD_REAL *x, const DD_REAL *S)
{
    GDN_EACH sum[f] = DD(fma)(x[f], S[f], sum[f]);
}

/* y = ((w o) size) (z sigmoid(z)), every step rounded: a few ulp of a double. */
GDN_DD_FUNCTION DD_REAL DD(norm_short)(DD_REAL o, DD_REAL weight, DD_REAL size, DD_REAL z)
{
    return o * weight * size * (z * DD(sigmoid_short)(z));
}
