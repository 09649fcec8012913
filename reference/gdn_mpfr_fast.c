/* SPDX-License-Identifier: Apache-2.0 */
/* gdn_mpfr_fast -- MPFR with the decay deferred into a scale; see gdn_mpfr_fast.h. */
#include "reference/gdn_mpfr_fast.h"

#include "reference/mpfr_layer.h"

static const mpfr_rnd_t RN = MPFR_RNDN;

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
    gdn_mpfr_dot(t[0], S, k, dk, t[1]);
    mpfr_mul(t[0], t[0], c, RN);
    mpfr_d_sub(t[0], v, t[0], RN);
    mpfr_mul(t[0], e->beta.x[n], t[0], RN);
    mpfr_div(t[0], t[0], c, RN);
    for (int i = 0; i < dk; i++) {
        mpfr_mul(t[1], k[i], t[0], RN);
        mpfr_add(S[i], S[i], t[1], RN);
    }
    gdn_mpfr_dot(o, S, q, dk, t[1]);
    mpfr_mul(o, o, c, RN);
}

static void recurrence(gdn_mpfr_layer *e, const gdn_block *in, size_t h, size_t at, int span)
{
    size_t dk = (size_t)e->s.shape.dk, dv = (size_t)e->s.shape.dv, m = (size_t)e->s.ncolumns;
    advance_scale(e, h, span);
    mpfr_flags_t raised = 0;
#pragma omp parallel reduction(| : raised)
    {
        mpfr_t t[2];
        mpfr_inits2(e->p, t[0], t[1], (mpfr_ptr)0);
        mpfr_clear_flags();
#pragma omp for
        for (size_t j = 0; j < m; j++)
            for (int n = 0; n < span; n++)
                column(e, e->state.x + (h * m + j) * dk, e->k.x + (size_t)n * dk, e->q.x + (size_t)n * dk, n,
                       in->v[(at + (size_t)n) * dv + (size_t)e->columns[j]], e->o.x[(size_t)n * m + j], t);
        raised = mpfr_flags_save();
        mpfr_clears(t[0], t[1], (mpfr_ptr)0);
    }
    mpfr_flags_set(raised); /* flags are the thread's own: hand them to the caller's */
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
