/* SPDX-License-Identifier: Apache-2.0 */
/* gdn_mpfr_fast -- MPFR with the decay deferred into a scale; see gdn_mpfr_fast.h. */
#include "reference/gdn_mpfr_fast.h"

#include <stdlib.h>

#include "reference/fixed.h"
#include "reference/mpfr_layer.h"

static const mpfr_rnd_t RN = MPFR_RNDN;

/* Elements times tokens of a span from which on threads are worth waking: half a millisecond. */
enum { THREADS_FROM = 1 << 15 };

/* Factors of a token. */
enum { READ, WRITE, QUERY, FACTORS };

typedef struct fast {
    gdn_mpfr_layer layer;       /* first: the layer hands it to the recurrence */
    gdn_fixed fixed;            /* columns [H][ncolumns]: S~; rows: k of the span, then q */
    gdn_mpfr_array c;           /* [H] */
    gdn_mpfr_array factor;      /* [FACTORS][GDN_MPFR_SPAN] */
    bool broken[GDN_MPFR_SPAN]; /* the token makes NaN of every column */
} fast;

static mpfr_ptr factor(const fast *f, int which, int n)
{
    return f->factor.x[GDN_MPFR_SPAN * which + n];
}

/* row <- x; s <- |x|^2 = sum x^2 + eps, or 1 where the norm is off. x: [dk]; t: scratch */
static void take_row(fast *f, const float *x, gdn_fixed_row *row, mpfr_ptr s, mpfr_t t)
{
    gdn_fixed_set_row(&f->fixed, row, x);
    if (f->layer.s.params.l2norm_off) {
        mpfr_set_ui(s, 1, RN);
        return;
    }
    gdn_fixed_square(&f->fixed, row, s, t);
    mpfr_add(s, s, f->layer.eps, RN);
}

/* Rows of a token, and |k|^2 and |q|^2 where its factors WRITE and QUERY are going to be. */
static void take_rows(fast *f, const float *k, const float *q, int n, mpfr_t t)
{
    gdn_fixed_row *row = f->fixed.row + n;
    take_row(f, k, row, factor(f, WRITE, n), t);
    if (f->layer.wants_o)
        take_row(f, q, row + GDN_MPFR_SPAN, factor(f, QUERY, n), t);
}

/*
 * Factors of a token: |k| / c, by which v is read; beta / |k|^2, by which k is written; c / sqrt(d_k |q|^2),
 * or scale c / |q|, by which q is read. c starts over at 1 where alpha = 0 clears the state.
 */
static void take_factors(fast *f, size_t h, int n)
{
    gdn_mpfr_layer *e = &f->layer;
    mpfr_ptr c = f->c.x[h], s = e->t.x[1], alpha = e->alpha.x[n], beta = e->beta.x[n];
    mpfr_ptr read = factor(f, READ, n), write = factor(f, WRITE, n), query = factor(f, QUERY, n);
    f->broken[n] = !f->fixed.row[n].finite || !mpfr_number_p(alpha) || !mpfr_number_p(beta);
    if (mpfr_zero_p(alpha) || f->broken[n])
        mpfr_set_ui(c, 1, RN);
    else
        mpfr_mul(c, c, alpha, RN);
    mpfr_sqrt(s, write, RN);
    mpfr_div(write, beta, write, RN);
    mpfr_div(read, s, c, RN);
    if (!e->wants_o)
        return;
    if (e->s.params.scale == 0)
        mpfr_mul_ui(query, query, (unsigned long)e->s.shape.dk, RN);
    mpfr_sqrt(query, query, RN);
    mpfr_div(query, c, query, RN);
    if (e->s.params.scale != 0)
        mpfr_mul(query, query, e->scale, RN);
}

/* One column over the token in slot n. t: two numbers of scratch. */
static void column(const fast *f, gdn_fixed_column *S, int n, double v, mpfr_t o, mpfr_t *t)
{
    const gdn_fixed *x = &f->fixed;
    const gdn_fixed_row *k = x->row + n, *q = k + GDN_MPFR_SPAN;
    if (mpfr_zero_p(f->layer.alpha.x[n]))
        gdn_fixed_zero(x, S);
    S->nan = S->nan || f->broken[n] || v - v != 0;
    if (S->nan) {
        mpfr_set_nan(o);
        return;
    }
    gdn_fixed_dot(x, S, k, t[0], t[1]);
    mpfr_set_d(t[1], v, RN);
    mpfr_mul(t[1], t[1], factor(f, READ, n), RN);
    mpfr_sub(t[0], t[1], t[0], RN);
    mpfr_mul(t[0], t[0], factor(f, WRITE, n), RN);
    gdn_fixed_add(x, S, k, t[0]);
    if (!f->layer.wants_o)
        return;
    gdn_fixed_dot(x, S, q, o, t[1]);
    mpfr_mul(o, o, factor(f, QUERY, n), RN);
    if (!q->finite)
        mpfr_set_nan(o);
}

/* Threads share the rows of a span, then its columns; the factors between hang on each other by c. */
static void recurrence(gdn_mpfr_layer *e, const gdn_block *in, size_t h, size_t at, int span)
{
    fast *f = (fast *)e;
    size_t dk = (size_t)e->s.shape.dk, dv = (size_t)e->s.shape.dv, m = (size_t)e->s.ncolumns;
    mpfr_flags_t before = mpfr_flags_save(), raised = 0; /* the region's first thread is this one */
#pragma omp parallel reduction(| : raised) if (m > 1 && m * dk * (size_t)span >= THREADS_FROM)
    {
        mpfr_t t[2];
        mpfr_inits2(e->p, t[0], t[1], (mpfr_ptr)0);
        gdn_mpfr_range();
#pragma omp for schedule(dynamic)
        for (int n = 0; n < span; n++)
            take_rows(f, in->k + (at + (size_t)n) * dk, in->q + (at + (size_t)n) * dk, n, t[0]);
#pragma omp single
        for (int n = 0; n < span; n++)
            take_factors(f, h, n);
#pragma omp for schedule(dynamic) /* cores of a shared machine differ by up to two in speed */
        for (size_t j = 0; j < m; j++)
            for (int n = 0; n < span; n++)
                column(f, f->fixed.column + h * m + j, n,
                       in->v[(at + (size_t)n) * dv + (size_t)e->columns[j]], e->o.x[(size_t)n * m + j], t);
        raised = mpfr_flags_save();
        mpfr_clears(t[0], t[1], (mpfr_ptr)0);
    }
    mpfr_flags_set(before | raised);
}

static void engine_close(void *self)
{
    fast *f = self;
    if (!f)
        return;
    gdn_fixed_clear(&f->fixed);
    gdn_mpfr_array_free(&f->c);
    gdn_mpfr_array_free(&f->factor);
    gdn_mpfr_layer_clear(&f->layer);
    free(f);
}

/* c = 1, S~ = state0. */
static void start(fast *f)
{
    const gdn_setup *s = &f->layer.s;
    size_t m = (size_t)s->ncolumns, dk = (size_t)s->shape.dk, dv = (size_t)s->shape.dv;
    for (size_t h = 0; h < (size_t)s->shape.heads; h++) {
        mpfr_set_ui(f->c.x[h], 1, RN);
        for (size_t j = 0; j < m && s->state0; j++)
            gdn_fixed_set_column(&f->fixed, f->fixed.column + h * m + j,
                                 s->state0 + h * dk * dv + (size_t)f->layer.columns[j], dv);
    }
}

static gdn_status engine_open(void **self, const gdn_setup *setup, gdn_error *err)
{
    *self = NULL;
    fast *f = gdn_calloc(1, sizeof *f);
    if (!f)
        return gdn_no_memory(err, "an MPFR engine");
    size_t heads = (size_t)setup->shape.heads;
    gdn_status status = gdn_mpfr_layer_init(&f->layer, setup, recurrence, err);
    mpfr_prec_t p = f->layer.p;
    if (!status)
        status = gdn_mpfr_array_new(&f->c, heads, p, err);
    if (!status)
        status = gdn_mpfr_array_new(&f->factor, GDN_MPFR_SPAN * FACTORS, p, err);
    if (!status && setup->recurrence)
        status = gdn_fixed_new(&f->fixed, heads * (size_t)f->layer.s.ncolumns, 2 * (size_t)GDN_MPFR_SPAN,
                               setup->shape.dk, p, err);
    if (status) {
        engine_close(f);
        return status;
    }
    if (setup->recurrence)
        start(f);
    *self = f;
    return GDN_OK;
}

/* S = c S~. */
static gdn_status engine_read_state(void *self, double *hi, double *lo, gdn_error *err)
{
    fast *f = self;
    size_t m = (size_t)f->layer.s.ncolumns, dk = (size_t)f->layer.s.shape.dk;
    mpfr_t *t = f->layer.t.x;
    (void)err;
    gdn_mpfr_range(); /* of this thread, which need not be the one that advanced */
    for (size_t h = 0; h < (size_t)f->layer.s.shape.heads; h++)
        for (size_t j = 0; j < m; j++)
            for (size_t i = 0; i < dk; i++) {
                const gdn_fixed_column *S = f->fixed.column + h * m + j;
                gdn_fixed_get(&f->fixed, S, (int)i, t[0]);
                mpfr_mul(t[0], t[0], f->c.x[h], RN);
                if (S->nan)
                    mpfr_set_nan(t[0]);
                gdn_mpfr_split(t[0], hi, lo, (h * dk + i) * m + j, t[1]);
            }
    return GDN_OK;
}

const gdn_engine gdn_mpfr_fast_engine = {
    .name = "mpfr-fast",
    .summary = "MPFR with the decay deferred into a scale, the state in fixed point, columns over threads",
    .pairs = true,
    .open = engine_open,
    .advance = gdn_mpfr_layer_advance,
    .read_state = engine_read_state,
    .close = engine_close,
};
