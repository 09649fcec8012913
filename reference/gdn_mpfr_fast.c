/* SPDX-License-Identifier: Apache-2.0 */
/* gdn_mpfr_fast -- MPFR with the decay deferred into a scale; see gdn_mpfr_fast.h. */
#include "reference/gdn_mpfr_fast.h"

#include <gmp.h>
#include <stdlib.h>

#include "reference/mpfr_layer.h"

static const mpfr_rnd_t RN = MPFR_RNDN;

_Static_assert(GMP_NUMB_BITS == 64, "significands are read as 64-bit limbs");

typedef unsigned __int128 wide;

/* A sum in fixed point: 256 bits in two's complement, least significant first, times 2^(exponent - 192). */
typedef struct fixed {
    uint64_t limb[4];
    mpfr_exp_t exponent;
} fixed;

/* mpfr_regular_p and mpfr_number_p without the call. */
static inline bool regular(mpfr_srcptr x)
{
    return abs(mpfr_custom_get_kind(x)) == MPFR_REGULAR_KIND;
}

static inline bool number(mpfr_srcptr x)
{
    return regular(x) || abs(mpfr_custom_get_kind(x)) == MPFR_ZERO_KIND;
}

/* The significand of a regular number of two limbs: an integer in [2^127, 2^128), times 2^(exponent - 128).
 */
static inline wide significand(mpfr_srcptr x)
{
    const mp_limb_t *d = mpfr_custom_get_significand(x);
    return (wide)d[1] << 64 | d[0];
}

/* sum <- sum + x y, cut below 2^(exponent - 192). x, y are regular and their exponents sum to no more than
 * sum's. */
static inline void add_product(fixed *sum, mpfr_srcptr x, mpfr_srcptr y)
{
    mpfr_exp_t shift = sum->exponent - mpfr_custom_get_exp(x) - mpfr_custom_get_exp(y);
    if (shift >= 192)
        return;
    wide a = significand(x), b = significand(y);
    uint64_t a1 = (uint64_t)(a >> 64), a0 = (uint64_t)a, b1 = (uint64_t)(b >> 64), b0 = (uint64_t)b;
    wide low = (wide)a0 * b0, m1 = (wide)a1 * b0, m2 = (wide)a0 * b1, high = (wide)a1 * b1;
    wide middle = (low >> 64) + (uint64_t)m1 + (uint64_t)m2;
    high += (m1 >> 64) + (m2 >> 64) + (middle >> 64);
    uint64_t t2 = (uint64_t)(high >> 64), t1 = (uint64_t)high, t0 = (uint64_t)middle;
    for (; shift >= 64; shift -= 64) {
        t0 = t1;
        t1 = t2;
        t2 = 0;
    }
    if (shift) {
        t0 = t0 >> shift | t1 << (64 - shift);
        t1 = t1 >> shift | t2 << (64 - shift);
        t2 >>= shift;
    }
    /* two's complement: flip and add one where the product is negative */
    uint64_t flip = (mpfr_custom_get_kind(x) < 0) != (mpfr_custom_get_kind(y) < 0) ? UINT64_MAX : 0;
    wide c = (wide)sum->limb[0] + (t0 ^ flip) + (flip & 1);
    sum->limb[0] = (uint64_t)c;
    c = (wide)sum->limb[1] + (t1 ^ flip) + (c >> 64);
    sum->limb[1] = (uint64_t)c;
    c = (wide)sum->limb[2] + (t2 ^ flip) + (c >> 64);
    sum->limb[2] = (uint64_t)c;
    sum->limb[3] += flip + (uint64_t)(c >> 64);
}

/* r <- sum, rounded once. */
static void set_fixed(mpfr_t r, fixed *sum)
{
    bool negative = sum->limb[3] >> 63;
    if (negative) {
        wide c = 1;
        for (int i = 0; i < 4; i++) {
            c += (uint64_t)~sum->limb[i];
            sum->limb[i] = (uint64_t)c;
            c >>= 64;
        }
    }
    mpz_t z;
    mp_limb_t limb[4] = {sum->limb[0], sum->limb[1], sum->limb[2], sum->limb[3]};
    mpz_roinit_n(z, limb, negative ? -4 : 4);
    mpfr_set_z_2exp(r, z, sum->exponent - 192, RN);
}

/*
 * r <- x . y over [n]: the products exact to 2^-192 of the largest one that could occur, summed in fixed
 * point and rounded once. No intermediate is normalised, which is what a sum of mpfr_mul and mpfr_add spends
 * its time on. (Johansson, "Faster arbitrary-precision dot product and matrix multiplication", 2019.) Numbers
 * that are not of two limbs, and sums in which one is infinite or NaN, take the plain way.
 */
static void dot(mpfr_t r, mpfr_t *x, mpfr_t *y, int n, mpfr_t t)
{
    fixed sum = {.exponent = 0};
    bool plain = mpfr_get_prec(r) <= 64 || mpfr_get_prec(r) > 128, zero = true;
    for (int i = 0; i < n && !plain; i++) {
        plain = !number(x[i]) || !number(y[i]);
        if (regular(x[i]) && regular(y[i])) {
            mpfr_exp_t e = mpfr_custom_get_exp(x[i]) + mpfr_custom_get_exp(y[i]);
            sum.exponent = zero || e > sum.exponent ? e : sum.exponent;
            zero = false;
        }
    }
    if (plain) {
        gdn_mpfr_dot(r, x, y, n, t);
        return;
    }
    for (int i = 0; i < n; i++)
        if (regular(x[i]) && regular(y[i]))
            add_product(&sum, x[i], y[i]);
    if (zero)
        mpfr_set_zero(r, 1);
    else
        set_fixed(r, &sum);
}

/* layer.own: c of every head, then four factors of every token of the span. */
enum { SCALE, READ, WRITE, QUERY, FACTORS };

static mpfr_ptr factor(gdn_mpfr_layer *e, int which, int n)
{
    return e->own.x[e->s.shape.heads + GDN_MPFR_SPAN * which + n];
}

/* x as numbers, and r <- rsqrt(sum x^2 + eps). x: [dk], y: [dk]; t: scratch. */
static void row(gdn_mpfr_layer *e, const float *x, mpfr_t *y, mpfr_t r, mpfr_t t)
{
    for (int i = 0; i < e->s.shape.dk; i++)
        mpfr_set_d(y[i], x[i], RN);
    dot(r, y, y, e->s.shape.dk, t);
    mpfr_add(r, r, e->eps, RN);
    mpfr_rec_sqrt(r, r, RN);
}

/*
 * Rows and factors of the span: c, the product of alphas, which starts over at 1 where alpha = 0 clears the
 * state; c / |k|, by which S~ . k is read; beta / (|k| c), by which k is written; c d_k^(-1/2) / |q|.
 */
static void prepare(gdn_mpfr_layer *e, const gdn_block *in, size_t h, size_t at, int span)
{
    size_t dk = (size_t)e->s.shape.dk;
    for (int n = 0; n < span; n++) {
        mpfr_ptr c = factor(e, SCALE, n), read = factor(e, READ, n), write = factor(e, WRITE, n),
                 query = factor(e, QUERY, n);
        mpfr_mul(c, n ? factor(e, SCALE, n - 1) : e->own.x[h], e->alpha.x[n], RN);
        if (mpfr_zero_p(e->alpha.x[n]))
            mpfr_set_ui(c, 1, RN);
        row(e, in->k + (at + (size_t)n) * dk, e->k.x + (size_t)n * dk, read, e->t.x[0]);
        row(e, in->q + (at + (size_t)n) * dk, e->q.x + (size_t)n * dk, query, e->t.x[0]);
        mpfr_mul(write, e->beta.x[n], read, RN);
        mpfr_div(write, write, c, RN);
        mpfr_mul(read, read, c, RN);
        mpfr_mul(query, query, e->scale, RN);
        mpfr_mul(query, query, c, RN);
    }
    mpfr_set(e->own.x[h], factor(e, SCALE, span - 1), RN);
}

/* One column over one token. S, k, q: [dk]; t: two numbers of scratch. */
static void column(gdn_mpfr_layer *e, mpfr_t *S, mpfr_t *k, mpfr_t *q, int n, double v, mpfr_t o, mpfr_t *t)
{
    int dk = e->s.shape.dk;
    if (mpfr_zero_p(e->alpha.x[n]))
        for (int i = 0; i < dk; i++)
            mpfr_set_zero(S[i], 1);
    dot(t[0], S, k, dk, t[1]);
    mpfr_mul(t[0], t[0], factor(e, READ, n), RN);
    mpfr_d_sub(t[0], v, t[0], RN);
    mpfr_mul(t[0], t[0], factor(e, WRITE, n), RN);
    for (int i = 0; i < dk; i++) {
        mpfr_mul(t[1], k[i], t[0], RN);
        mpfr_add(S[i], S[i], t[1], RN);
    }
    dot(o, S, q, dk, t[1]);
    mpfr_mul(o, o, factor(e, QUERY, n), RN);
}

static void recurrence(gdn_mpfr_layer *e, const gdn_block *in, size_t h, size_t at, int span)
{
    size_t dk = (size_t)e->s.shape.dk, dv = (size_t)e->s.shape.dv, m = (size_t)e->s.ncolumns;
    prepare(e, in, h, at, span);
    mpfr_flags_t before = mpfr_flags_save(), raised = 0; /* the region's first thread is this one */
#pragma omp parallel reduction(| : raised) if (m > 1)
    {
        mpfr_t t[2];
        mpfr_inits2(e->p, t[0], t[1], (mpfr_ptr)0);
        gdn_mpfr_range();
#pragma omp for
        for (size_t j = 0; j < m; j++)
            for (int n = 0; n < span; n++)
                column(e, e->state.x + (h * m + j) * dk, e->k.x + (size_t)n * dk, e->q.x + (size_t)n * dk, n,
                       in->v[(at + (size_t)n) * dv + (size_t)e->columns[j]], e->o.x[(size_t)n * m + j], t);
        raised = mpfr_flags_save();
        mpfr_clears(t[0], t[1], (mpfr_ptr)0);
    }
    mpfr_flags_set(before | raised);
}

static gdn_status engine_open(void **self, const gdn_setup *setup, gdn_error *err)
{
    gdn_mpfr_layer *e = NULL;
    gdn_status status = gdn_mpfr_layer_open(&e, setup, recurrence, err);
    *self = NULL;
    if (status)
        return status;
    status = gdn_mpfr_array_new(&e->own, (size_t)setup->shape.heads + GDN_MPFR_SPAN * FACTORS, e->p, err);
    if (status) {
        gdn_mpfr_layer_close(e);
        return status;
    }
    for (int h = 0; h < setup->shape.heads; h++)
        mpfr_set_ui(e->own.x[h], 1, RN);
    *self = e;
    return GDN_OK;
}

/* S = c S~. */
static gdn_status engine_read_state(void *self, double *hi, double *lo, gdn_error *err)
{
    gdn_mpfr_layer *e = self;
    size_t each = (size_t)e->s.ncolumns * (size_t)e->s.shape.dk;
    (void)err;
    for (size_t h = 0; h < (size_t)e->s.shape.heads; h++)
        for (size_t x = 0; x < each; x++) {
            size_t i = x % (size_t)e->s.shape.dk, j = x / (size_t)e->s.shape.dk;
            mpfr_mul(e->t.x[0], e->state.x[h * each + x], e->own.x[h], RN);
            gdn_mpfr_split(e->t.x[0], hi, lo, (h * (size_t)e->s.shape.dk + i) * (size_t)e->s.ncolumns + j,
                           e->t.x[1]);
        }
    return GDN_OK;
}

const gdn_engine gdn_mpfr_fast_engine = {
    .name = "mpfr-fast",
    .summary = "MPFR with the decay deferred into a scale, columns over threads",
    .pairs = true,
    .open = engine_open,
    .advance = gdn_mpfr_layer_advance,
    .read_state = engine_read_state,
    .close = gdn_mpfr_layer_close,
};
