/* SPDX-License-Identifier: Apache-2.0 */
/* convert_cast -- elements from dtype to dtype; see convert_cast.h. */
#include "harness/convert_cast.h"

#include <endian.h>
#include <math.h>

/* The format of a dtype. */
static const struct {
    gdn_dtype dtype;
    gdn_format_id format;
} pairs[] = {
    {GDN_DTYPE_F64, GDN_FP64},  {GDN_DTYPE_F32, GDN_FP32},     {GDN_DTYPE_F16, GDN_FP16},
    {GDN_DTYPE_BF16, GDN_BF16}, {GDN_DTYPE_F8_E4M3, GDN_E4M3}, {GDN_DTYPE_F8_E5M2, GDN_E5M2},
};
enum { PAIRS = sizeof pairs / sizeof pairs[0] };

gdn_dtype gdn_cast_dtype(int link)
{
    for (int i = 0; i < PAIRS; i++)
        if ((int)pairs[i].format == link)
            return pairs[i].dtype;
    return GDN_DTYPES;
}

static const gdn_format *format_of(gdn_dtype dtype)
{
    for (int i = 0; i < PAIRS; i++)
        if (pairs[i].dtype == dtype)
            return &gdn_formats[pairs[i].format];
    return NULL;
}

bool gdn_cast_knows(gdn_dtype dtype)
{
    return format_of(dtype) != NULL;
}

bool gdn_cast_widens(gdn_dtype from, gdn_dtype to)
{
    const gdn_format *f = format_of(from), *t = format_of(to);
    return f && t && t->p >= f->p && t->max >= f->max && t->emin - t->p <= f->emin - f->p &&
           t->has_infinity >= f->has_infinity;
}

/*
 * An element is a sign, w = bits - p bits of exponent field E, and p - 1 bits of fraction F: the value is
 * (2^(p-1) + F) 2^(E + emin - p), of E = 0 it is F 2^(emin - p + 1). E all ones: infinity for F = 0, else
 * NaN; without infinities only F all ones is NaN.
 */
static uint64_t fraction_mask(const gdn_format *f)
{
    return (UINT64_C(1) << (f->p - 1)) - 1;
}

static uint64_t field_mask(const gdn_format *f)
{
    return (UINT64_C(1) << (f->bits - f->p)) - 1;
}

static bool is_nan(const gdn_format *f, uint64_t bits)
{
    uint64_t fraction = bits & fraction_mask(f), field = bits >> (f->p - 1) & field_mask(f);
    return field == field_mask(f) && (f->has_infinity ? fraction != 0 : fraction == fraction_mask(f));
}

/* The value of an element that is no NaN. */
static double decoded(const gdn_format *f, uint64_t bits)
{
    uint64_t fraction = bits & fraction_mask(f), field = bits >> (f->p - 1) & field_mask(f);
    double size = field == 0 ? ldexp((double)fraction, f->emin - f->p + 1)
                  : f->has_infinity && field == field_mask(f)
                      ? INFINITY
                      : ldexp((double)(fraction_mask(f) + 1 + fraction), (int)field + f->emin - f->p);
    return bits >> (f->bits - 1) ? -size : size;
}

/* The element of a NaN with this sign and these leading bits behind the quiet one; an empty fraction is made
 * quiet. */
static uint64_t nan_bits(const gdn_format *f, bool negative, uint64_t fraction)
{
    if (!f->has_infinity)
        fraction = fraction_mask(f);
    else if (fraction == 0)
        fraction = UINT64_C(1) << (f->p - 2);
    return (uint64_t)negative << (f->bits - 1) | field_mask(f) << (f->p - 1) | fraction;
}

/* The element of x, which is a value of the format. */
static uint64_t encoded(const gdn_format *f, double x)
{
    bool negative = signbit(x);
    double size = fabs(x);
    uint64_t field = 0, fraction;
    int e;
    if (isnan(x))
        return nan_bits(f, negative, 0);
    if (isinf(x)) {
        field = field_mask(f);
        fraction = 0;
    } else if (frexp(size, &e) == 0 || e - 1 < f->emin) {
        fraction = (uint64_t)ldexp(size, f->p - 1 - f->emin);
    } else {
        field = (uint64_t)(e - f->emin);
        fraction = (uint64_t)ldexp(size, f->p - e) & fraction_mask(f);
    }
    return (uint64_t)negative << (f->bits - 1) | field << (f->p - 1) | fraction;
}

/* A NaN does not go through floating-point registers, some of which make it quiet. */
static uint64_t nan_cast(const gdn_format *from, const gdn_format *to, uint64_t bits)
{
    uint64_t fraction = from->has_infinity ? bits & fraction_mask(from) : 0;
    int wider = to->p - from->p;
    return nan_bits(to, bits >> (from->bits - 1), wider >= 0 ? fraction << wider : fraction >> -wider);
}

static uint64_t cast_one(const gdn_format *from, const gdn_format *to, const gdn_chain *chain, uint64_t bits,
                         gdn_cast_counts *counts)
{
    counts->elements++;
    if (is_nan(from, bits)) {
        counts->nan++;
        return nan_cast(from, to, bits);
    }
    double x = decoded(from, bits), y = gdn_round(to, chain ? gdn_chain_apply(chain, x) : x);
    counts->infinite += isinf(x) != 0;
    counts->changed += !(x == y && signbit(x) == signbit(y));
    counts->overflow += isfinite(x) && !isfinite(y);
    return encoded(to, isnan(y) ? copysign(y, x) : y);
}

/* p: [bytes], little endian. */
static uint64_t load(const unsigned char *p, size_t bytes)
{
    uint64_t u = 0;
    memcpy(&u, p, bytes);
    return le64toh(u);
}

static void store(unsigned char *p, size_t bytes, uint64_t u)
{
    u = htole64(u);
    memcpy(p, &u, bytes);
}

void gdn_cast(gdn_dtype from, gdn_dtype to, const gdn_chain *chain, const void *in, int64_t n, void *out,
              gdn_cast_counts *counts)
{
    const gdn_format *f = format_of(from), *t = format_of(to);
    size_t width = gdn_dtype_bits(from) / 8, result = gdn_dtype_bits(to) / 8;
    const unsigned char *p = in;
    unsigned char *q = out;
    for (int64_t i = 0; i < n; i++, p += width) {
        uint64_t bits = cast_one(f, t, chain, load(p, width), counts);
        if (q) {
            store(q, result, bits);
            q += result;
        }
    }
}
