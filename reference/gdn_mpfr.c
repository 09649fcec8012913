/* SPDX-License-Identifier: Apache-2.0 */
/* gdn_mpfr -- the definition of truth in GNU MPFR, term by term; see gdn_mpfr.h. */
#include "reference/gdn_mpfr.h"

#include "reference/mpfr_layer.h"

static const mpfr_rnd_t RN = MPFR_RNDN;

/* One column over one token: S <- alpha S; delta = beta (v - S . k); S <- S + k delta; o = S . q. S, k, q:
 * [dk]. */
static void column(gdn_mpfr_layer *e, mpfr_t *S, mpfr_t *k, mpfr_t *q, int n, double v, mpfr_t o)
{
    int dk = e->s.shape.dk;
    mpfr_t *t = e->t.x;
    for (int i = 0; i < dk; i++)
        mpfr_mul(S[i], S[i], e->alpha.x[n], RN);
    gdn_mpfr_dot(t[0], S, k, dk, t[2]);
    mpfr_set_d(t[1], v, RN);
    mpfr_sub(t[0], t[1], t[0], RN);
    mpfr_mul(t[0], e->beta.x[n], t[0], RN);
    for (int i = 0; i < dk; i++) {
        mpfr_mul(t[2], k[i], t[0], RN);
        mpfr_add(S[i], S[i], t[2], RN);
    }
    gdn_mpfr_dot(o, S, q, dk, t[2]);
}

static void recurrence(gdn_mpfr_layer *e, const gdn_block *in, size_t h, size_t at, int span)
{
    size_t dk = (size_t)e->s.shape.dk, dv = (size_t)e->s.shape.dv, m = (size_t)e->s.ncolumns;
    for (size_t n = 0; n < (size_t)span; n++) {
        gdn_mpfr_l2_norm(e, in->k + (at + n) * dk, e->k.x + n * dk);
        gdn_mpfr_l2_norm(e, in->q + (at + n) * dk, e->q.x + n * dk);
        for (size_t i = 0; i < dk; i++)
            mpfr_mul(e->q.x[n * dk + i], e->q.x[n * dk + i], e->scale, RN);
    }
    for (size_t j = 0; j < m; j++)
        for (int n = 0; n < span; n++)
            column(e, e->state.x + (h * m + j) * dk, e->k.x + (size_t)n * dk, e->q.x + (size_t)n * dk, n,
                   in->v[(at + (size_t)n) * dv + (size_t)e->columns[j]], e->o.x[(size_t)n * m + j]);
}

static gdn_status engine_open(void **self, const gdn_setup *setup, gdn_error *err)
{
    return gdn_mpfr_layer_open((gdn_mpfr_layer **)self, setup, recurrence, err);
}

const gdn_engine gdn_mpfr_engine = {
    .name = "mpfr",
    .summary = "the layer term by term in GNU MPFR: the definition of truth",
    .pairs = true,
    .open = engine_open,
    .advance = gdn_mpfr_layer_advance,
    .read_state = gdn_mpfr_layer_read_state,
    .close = gdn_mpfr_layer_close,
};
