/* SPDX-License-Identifier: Apache-2.0 */
/* gdn_mpfr_fast -- MPFR with the decay deferred into a scale; see gdn_mpfr_fast.h. */
#include "reference/gdn_mpfr_fast.h"

#include <gmp.h>

#include "reference/mpfr_layer.h"

static const mpfr_rnd_t RN = MPFR_RNDN;

_Static_assert(GMP_NUMB_BITS == 64, "significands are read as 64-bit limbs");

typedef unsigned __int128 wide;

/* A sum in fixed point: 256 bits in two's complement, least significant first, times 2^(exponent - 192). */
typedef struct fixed {
    uint64_t limb[4];
    mpfr_exp_t exponent;
} fixed;

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
        if (mpfr_regular_p(x[i]) && mpfr_regular_p(y[i])) {
            mpfr_exp_t e = mpfr_custom_get_exp(x[i]) + mpfr_custom_get_exp(y[i]);
            sum.exponent = zero || e > sum.exponent ? e : sum.exponent;
            zero = false;
        }
        plain = !mpfr_number_p(x[i]) || !mpfr_number_p(y[i]);
    }
    if (plain) {
        gdn_mpfr_dot(r, x, y, n, t);
        return;
    }
    for (int i = 0; i < n; i++)
        if (mpfr_regular_p(x[i]) && mpfr_regular_p(y[i]))
            add_product(&sum, x[i], y[i]);
    if (zero)
        mpfr_set_zero(r, 1);
    else
        set_fixed(r, &sum);
}

/*
 * own: c of every head, then c of every token of the span.
 */
static mpfr_t *scales(gdn_mpfr_layer *e)
{
    return e->own.x + e->s.shape.heads;
}

/* c over the span; a token with alpha = 0 starts over at 1. */
static void advance_scale(gdn_mpfr_layer *e, size_t h, int span)
{
    mpfr_t *c = scales(e);
    for (int n = 0; n < span; n++) {
        mpfr_mul(c[n], n ? c[n - 1] : e->own.x[h], e->alpha.x[n], RN);
        if (mpfr_zero_p(e->alpha.x[n]))
            mpfr_set_ui(c[n], 1, RN);
    }
    mpfr_set(e->own.x[h], c[span - 1], RN);
}

/* One column over one token. S, k, q: [dk]; t: two numbers of scratch, one of them for delta. */
static void column(gdn_mpfr_layer *e, mpfr_t *S, mpfr_t *k, mpfr_t *q, int n, double v, mpfr_t o, mpfr_t *t)
{
    int dk = e->s.shape.dk;
    mpfr_ptr c = scales(e)[n];
    if (mpfr_zero_p(e->alpha.x[n]))
        for (int i = 0; i < dk; i++)
            mpfr_set_zero(S[i], 1);
    dot(t[0], S, k, dk, t[1]);
    mpfr_mul(t[0], t[0], c, RN);
    mpfr_d_sub(t[0], v, t[0], RN);
    mpfr_mul(t[0], e->beta.x[n], t[0], RN);
    mpfr_div(t[0], t[0], c, RN);
    for (int i = 0; i < dk; i++) {
        mpfr_mul(t[1], k[i], t[0], RN);
        mpfr_add(S[i], S[i], t[1], RN);
    }
    dot(o, S, q, dk, t[1]);
    mpfr_mul(o, o, c, RN);
}

static void recurrence(gdn_mpfr_layer *e, const gdn_block *in, size_t h, size_t at, int span)
{
    size_t dk = (size_t)e->s.shape.dk, dv = (size_t)e->s.shape.dv, m = (size_t)e->s.ncolumns;
    advance_scale(e, h, span);
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
    status = gdn_mpfr_array_new(&e->own, (size_t)setup->shape.heads + GDN_MPFR_SPAN, e->p, err);
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
