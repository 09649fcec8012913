/* SPDX-License-Identifier: Apache-2.0 */
/* fixed -- columns of integers under one exponent, and rows of floats as integers; see fixed.h. */
#include "reference/fixed.h"

#include <gmp.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/shape.h"

_Static_assert(GMP_NUMB_BITS == 64, "significands are read as 64-bit limbs");

typedef __int128 wide;

/* Bits of a digit: few enough that a digit and a carry, up to 2^62, add up in a word. */
enum { DIGIT = 60 };
static const uint64_t MASK = ((uint64_t)1 << DIGIT) - 1;

/* Digits that 4096 bits take (gdn_fixed_new has the formula); and those of every precision up to 117 bits. */
enum { MAX_DIGITS = 71, USUAL_DIGITS = 4 };

/* Bits of the largest top digit after a change of E: few, as S~ mostly grows. */
enum { TARGET = 8 };

/* An integer in two's complement, on its way from digits or to them. */
typedef struct number {
    uint64_t limb[(MAX_DIGITS + 2) * DIGIT / 64 + 2];
    int n;           /* limbs in use */
    uint64_t beyond; /* those above: all zeros or all ones */
} number;

/* ---- numbers ---- */

/* x <- sum_j s_j 2^(60 j), |s_j| < 2^126. s: [n] */
static void carry(number *x, const wide *s, int n)
{
    wide c = 0;
    x->n = ((n + 2) * DIGIT + 63) / 64;
    memset(x->limb, 0, (size_t)x->n * sizeof *x->limb);
    for (int j = 0; j < n + 2; j++) {
        c += j < n ? s[j] : 0;
        int at = j * DIGIT / 64, bits = j * DIGIT % 64;
        wide v = (wide)((uint64_t)c & MASK) << bits;
        x->limb[at] |= (uint64_t)v;
        if (bits > 64 - DIGIT)
            x->limb[at + 1] |= (uint64_t)(v >> 64);
        c >>= DIGIT;
    }
    x->beyond = c < 0 ? UINT64_MAX : 0;
    if ((n + 2) * DIGIT % 64)
        x->limb[x->n - 1] |= x->beyond << (n + 2) * DIGIT % 64;
}

static void negate(number *x)
{
    uint64_t c = 1;
    for (int j = 0; j < x->n; j++) {
        x->limb[j] = ~x->limb[j] + c;
        c = c && !x->limb[j];
    }
    x->beyond = c ? 0 : ~x->beyond;
}

static inline uint64_t limb(const number *x, int64_t j)
{
    return j < 0 ? 0 : j < x->n ? x->limb[j] : x->beyond;
}

/* floor(x 2^-at) modulo 2^64. */
static inline uint64_t window(const number *x, int64_t at)
{
    int64_t first = at >> 6;
    int bits = (int)(at & 63);
    uint64_t low = limb(x, first) >> bits;
    return bits ? low | limb(x, first + 1) << (64 - bits) : low;
}

/* d <- floor(x 2^-shift), which fits. d: [n] */
static void digits(const number *x, int64_t shift, int64_t *d, int n)
{
    for (int j = 0; j < n - 1; j++)
        d[j] = (int64_t)(window(x, shift + j * DIGIT) & MASK);
    d[n - 1] = (int64_t)window(x, shift + (n - 1) * DIGIT);
}

/* x <- d. d: [n] */
static void gather(number *x, const int64_t *d, int n)
{
    wide s[MAX_DIGITS];
    for (int j = 0; j < n; j++)
        s[j] = d[j];
    carry(x, s, n);
}

/* r <- 2^exponent sum_j s_j 2^(60 j), rounded once. s: [n] */
static void set_sum(mpfr_t r, const wide *s, int n, mpfr_exp_t exponent)
{
    number x;
    mpz_t z;
    carry(&x, s, n);
    bool negative = x.beyond;
    if (negative)
        negate(&x);
    mpz_roinit_n(z, x.limb, negative ? -x.n : x.n);
    mpfr_set_z_2exp(r, z, exponent, MPFR_RNDN);
}

static inline int bit_length(uint64_t x)
{
    return x ? 64 - __builtin_clzll(x) : 0;
}

/* The least b with -2^b <= d < 2^b, or 1 for -1; so 0 is for zero only. d: [n] */
static int bits_of(const int64_t *d, int n)
{
    int64_t sign = d[n - 1] >> 63;
    if (d[n - 1] != sign)
        return (n - 1) * DIGIT + bit_length((uint64_t)(d[n - 1] ^ sign));
    for (int j = n - 2; j >= 0; j--) {
        uint64_t u = (uint64_t)(d[j] ^ sign) & MASK;
        if (u)
            return j * DIGIT + bit_length(u);
    }
    return sign ? 1 : 0;
}

/* ---- the two loops. The number of digits is a constant where it is the usual one. ---- */

/* s_j <- sum_i K_i d_ij. d: [dk][n], k: [dk], s: [n] */
static inline __attribute__((always_inline)) void
multiply(const int64_t *restrict d, const int64_t *restrict k, int dk, int n, wide *restrict s)
{
    for (int j = 0; j < n; j++)
        s[j] = 0;
    for (int i = 0; i < dk; i++, d += n)
        for (int j = 0; j < n; j++)
            s[j] += (wide)d[j] * k[i];
}

/* d_i <- d_i + K_i U; returns the bits that the top digits have, one's complement. d: [dk][n], k: [dk], u:
 * [n] */
static inline __attribute__((always_inline)) uint64_t update(int64_t *restrict d, const int64_t *restrict k,
                                                             const int64_t *restrict u, int dk, int n)
{
    uint64_t tops = 0;
    for (int i = 0; i < dk; i++, d += n) {
        int64_t c = 0;
        for (int j = 0; j < n - 1; j++) {
            wide t = (wide)u[j] * k[i] + (d[j] + c);
            d[j] = (int64_t)((uint64_t)t & MASK);
            c = (int64_t)(t >> DIGIT);
        }
        int64_t top = (int64_t)((uint64_t)d[n - 1] + (uint64_t)u[n - 1] * (uint64_t)k[i] + (uint64_t)c);
        d[n - 1] = top;
        tops |= (uint64_t)(top ^ (top >> 63));
    }
    return tops;
}

static void multiply_any(const gdn_fixed *f, const int64_t *d, const int64_t *k, wide *s)
{
    if (f->digits == USUAL_DIGITS)
        multiply(d, k, f->dk, USUAL_DIGITS, s);
    else
        multiply(d, k, f->dk, f->digits, s);
}

static uint64_t update_any(const gdn_fixed *f, int64_t *d, const int64_t *k, const int64_t *u)
{
    if (f->digits == USUAL_DIGITS)
        return update(d, k, u, f->dk, USUAL_DIGITS);
    return update(d, k, u, f->dk, f->digits);
}

/* ---- rows ---- */

/* The exponent of a float's last bit, from its bits without the sign; one less where it is denormal. */
static int last_bit(uint32_t magnitude)
{
    return (int)(magnitude >> 23) - 150;
}

static uint32_t magnitude(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u & 0x7fffffff;
}

/* Exponents to a band: 24 bits and those of its spread and of dk make 62. */
static int stride(int dk)
{
    return 62 - 24 - bit_length((uint64_t)dk - 1) + 1;
}

/* K of a row whose exponents spread too far for one band. */
static void cut(const gdn_fixed *f, gdn_fixed_row *row, const float *x, int spread)
{
    row->bands = spread / row->stride + 1;
    for (int b = 0; b < row->bands; b++)
        memset(row->band[b], 0, (size_t)f->dk * sizeof *row->band[b]);
    for (int i = 0; i < f->dk; i++) {
        uint32_t m = magnitude(x[i]);
        int e = last_bit(m), b = (e - row->exponent) / row->stride;
        if (m)
            row->band[b][i] = (int64_t)ldexp(x[i], -(row->exponent + b * row->stride));
    }
}

void gdn_fixed_set_row(const gdn_fixed *f, gdn_fixed_row *row, const float *x)
{
    uint32_t least = UINT32_MAX, most = 0;
    for (int i = 0; i < f->dk; i++) {
        uint32_t m = magnitude(x[i]);
        most = m > most ? m : most;
        least = m - 1 < least ? m - 1 : least; /* zero goes past all */
    }
    row->finite = most < 0x7f800000;
    row->bands = 0;
    if (!most || !row->finite)
        return;
    row->stride = stride(f->dk);
    row->exponent = last_bit(least + 1);
    row->top = last_bit(most) + 24;
    int spread = last_bit(most) - row->exponent;
    if (spread >= row->stride) {
        cut(f, row, x, spread);
        return;
    }
    row->bands = 1;
    double scale = ldexp(1, -row->exponent);
    for (int i = 0; i < f->dk; i++)
        row->band[0][i] = (int64_t)(x[i] * scale);
}

void gdn_fixed_square(const gdn_fixed *f, const gdn_fixed_row *row, mpfr_t r, mpfr_t t)
{
    mpfr_set_zero(r, 1);
    for (int b = 0; b < row->bands; b++) {
        wide s = 0;
        for (int i = 0; i < f->dk; i++)
            s += (wide)row->band[b][i] * row->band[b][i];
        set_sum(t, &s, 1, 2 * (row->exponent + b * row->stride));
        mpfr_add(r, r, t, MPFR_RNDN);
    }
}

/* ---- columns ---- */

static int64_t *element(const gdn_fixed *f, const gdn_fixed_column *c, int i)
{
    return c->digit + (size_t)i * (size_t)f->digits;
}

/* Element i in units of 2^E. */
static void align(const gdn_fixed *f, gdn_fixed_column *c, int i)
{
    number x;
    gather(&x, element(f, c, i), f->digits);
    digits(&x, c->exponent - c->own[i], element(f, c, i), f->digits);
    c->own[i] = c->exponent;
}

/*
 * A new E, by which the largest element, or what will be no larger than 2^*least, gets TARGET bits of its top
 * digit. Elements that it would leave too few bits lag. least: NULL for none
 */
static void settle(const gdn_fixed *f, gdn_fixed_column *c, const mpfr_exp_t *least)
{
    bool any = least != NULL;
    mpfr_exp_t top = least ? *least : 0;
    for (int i = 0; i < f->dk; i++) {
        int bits = bits_of(element(f, c, i), f->digits);
        if (bits && (!any || bits + c->own[i] > top)) {
            top = bits + c->own[i];
            any = true;
        }
    }
    if (!any)
        return;
    uint64_t tops = 0;
    c->exponent = top - ((f->digits - 1) * DIGIT + TARGET);
    c->lagging = 0;
    for (int i = 0; i < f->dk; i++) {
        int64_t *d = element(f, c, i);
        int bits = bits_of(d, f->digits);
        if (bits && c->own[i] < c->exponent && bits - (c->exponent - c->own[i]) < f->keep) {
            c->lagging++;
            continue;
        }
        align(f, c, i);
        tops |= (uint64_t)(d[f->digits - 1] ^ (d[f->digits - 1] >> 63));
    }
    c->top = bit_length(tops);
}

static bool lags(const gdn_fixed_column *c, int i)
{
    return c->own[i] != c->exponent;
}

/* The top digits of the elements that stand under E, or-ed together without their signs. */
static uint64_t tops_of(const gdn_fixed *f, const gdn_fixed_column *c)
{
    uint64_t tops = 0;
    for (int i = 0; i < f->dk; i++) {
        int64_t d = element(f, c, i)[f->digits - 1];
        tops |= lags(c, i) ? 0 : (uint64_t)(d ^ (d >> 63));
    }
    return tops;
}

void gdn_fixed_zero(const gdn_fixed *f, gdn_fixed_column *c)
{
    memset(c->digit, 0, (size_t)f->dk * (size_t)f->digits * sizeof *c->digit);
    for (int i = 0; i < f->dk; i++)
        c->own[i] = c->exponent;
    c->top = c->lagging = 0;
}

void gdn_fixed_set_column(const gdn_fixed *f, gdn_fixed_column *c, const double *x, size_t step)
{
    gdn_fixed_zero(f, c);
    for (int i = 0; i < f->dk; i++) {
        double value = x[(size_t)i * step];
        c->nan = c->nan || value - value != 0;
        if (c->nan || value == 0)
            continue;
        int e = 0;
        wide s = (wide)ldexp(frexp(value, &e), 53);
        number whole;
        carry(&whole, &s, 1);
        digits(&whole, 0, element(f, c, i), f->digits);
        c->own[i] = e - 53;
    }
    settle(f, c, NULL);
}

void gdn_fixed_get(const gdn_fixed *f, const gdn_fixed_column *c, int i, mpfr_t r)
{
    wide s[MAX_DIGITS];
    for (int j = 0; j < f->digits; j++)
        s[j] = element(f, c, i)[j];
    set_sum(r, s, f->digits, c->own[i]);
}

/* r <- r + the share of the elements that lag in x . X. */
static void add_lagging(const gdn_fixed *f, const gdn_fixed_column *c, const gdn_fixed_row *row, mpfr_t r,
                        mpfr_t t)
{
    wide s[MAX_DIGITS];
    for (int i = 0; i < f->dk; i++)
        for (int b = 0; b < row->bands && lags(c, i); b++) {
            int64_t k = row->band[b][i];
            if (!k)
                continue;
            for (int j = 0; j < f->digits; j++)
                s[j] = (wide)element(f, c, i)[j] * k;
            set_sum(t, s, f->digits, c->own[i] + row->exponent + b * row->stride);
            mpfr_add(r, r, t, MPFR_RNDN);
        }
}

void gdn_fixed_dot(const gdn_fixed *f, const gdn_fixed_column *c, const gdn_fixed_row *row, mpfr_t r,
                   mpfr_t t)
{
    wide s[MAX_DIGITS];
    int64_t some[GDN_MAX_DIM];
    mpfr_set_zero(r, 1);
    for (int b = 0; b < row->bands; b++) {
        const int64_t *k = row->band[b];
        for (int i = 0; i < f->dk && c->lagging; i++)
            some[i] = lags(c, i) ? 0 : k[i];
        multiply_any(f, c->digit, c->lagging ? some : k, s);
        set_sum(b ? t : r, s, f->digits, c->exponent + row->exponent + b * row->stride);
        if (b)
            mpfr_add(r, r, t, MPFR_RNDN);
    }
    if (c->lagging)
        add_lagging(f, c, row, r, t);
}

/* Elements that x touches catch up with E. */
static void catch_up(const gdn_fixed *f, gdn_fixed_column *c, const gdn_fixed_row *row)
{
    for (int i = 0; i < f->dk; i++)
        for (int b = 0; b < row->bands && lags(c, i); b++)
            if (row->band[b][i]) {
                align(f, c, i);
                c->lagging--;
            }
}

/* x <- |u|'s significand; returns the exponent of its last bit. */
static mpfr_exp_t from_mpfr(number *x, mpfr_srcptr u)
{
    const mp_limb_t *d = mpfr_custom_get_significand(u);
    x->n = (int)((mpfr_get_prec(u) + 63) / 64);
    x->beyond = 0;
    for (int j = 0; j < x->n; j++)
        x->limb[j] = d[j];
    return mpfr_custom_get_exp(u) - 64 * x->n;
}

void gdn_fixed_add(const gdn_fixed *f, gdn_fixed_column *c, const gdn_fixed_row *row, mpfr_srcptr u)
{
    if (!row->bands || mpfr_zero_p(u))
        return;
    mpfr_exp_t least = row->top + mpfr_custom_get_exp(u);
    if (!c->top || c->top > 60 || least - c->exponent > (f->digits - 1) * DIGIT + 61)
        settle(f, c, &least);
    if (c->lagging)
        catch_up(f, c, row);
    number x;
    mpfr_exp_t last = from_mpfr(&x, u);
    x.limb[x.n++] = 0; /* room for a sign */
    if (mpfr_signbit(u))
        negate(&x);
    uint64_t tops = 0;
    int64_t digit[MAX_DIGITS];
    for (int b = 0; b < row->bands; b++) {
        digits(&x, c->exponent - row->exponent - b * row->stride - last, digit, f->digits);
        tops = update_any(f, c->digit, row->band[b], digit);
    }
    c->top = bit_length(c->lagging ? tops_of(f, c) : tops);
}

/* ---- life ---- */

gdn_status gdn_fixed_new(gdn_fixed *f, size_t columns, size_t rows, int dk, mpfr_prec_t p, gdn_error *err)
{
    size_t n = (size_t)dk;
    f->dk = dk;
    f->digits = (int)((p + 63 + DIGIT - 1) / DIGIT) + 1;
    f->keep = (int)p + 8;
    f->column = gdn_calloc(columns, sizeof *f->column);
    f->row = gdn_calloc(rows, sizeof *f->row);
    f->digit = gdn_calloc(columns * n * (size_t)f->digits, sizeof *f->digit);
    f->own = gdn_calloc(columns * n, sizeof *f->own);
    f->bands = gdn_calloc(GDN_FIXED_BANDS * rows * n, sizeof *f->bands);
    if (!f->column || !f->row || !f->digit || !f->own || !f->bands)
        return gdn_no_memory(err, "fixed-point columns");
    for (size_t i = 0; i < columns; i++) {
        f->column[i].digit = f->digit + i * n * (size_t)f->digits;
        f->column[i].own = f->own + i * n;
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t b = 0; b < GDN_FIXED_BANDS; b++)
            f->row[i].band[b] = f->bands + (b * rows + i) * n;
    return GDN_OK;
}

void gdn_fixed_clear(gdn_fixed *f)
{
    free(f->column);
    free(f->row);
    free(f->digit);
    free(f->own);
    free(f->bands);
}
