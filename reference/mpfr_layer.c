/* SPDX-License-Identifier: Apache-2.0 */
/* mpfr_layer -- what the two MPFR engines share; see mpfr_layer.h. */
#include "reference/mpfr_layer.h"

#include <stdlib.h>

static const mpfr_rnd_t RN = MPFR_RNDN;

/* alpha = exp(g) is 0 below this g, and infinite above its negative: with alphas from e^VANISHED = 2^-3e9 to
 * 2^3e9 no product of a run leaves the range. */
static const double VANISHED = -0x1p31;

gdn_status gdn_mpfr_array_new(gdn_mpfr_array *a, size_t n, mpfr_prec_t p, gdn_error *err)
{
    size_t bytes = mpfr_custom_get_size(p);
    a->x = gdn_calloc(n, sizeof *a->x);
    a->limbs = gdn_calloc(n, bytes);
    if (!a->x || !a->limbs)
        return gdn_no_memory(err, "MPFR numbers");
    for (size_t i = 0; i < n; i++) {
        char *limb = (char *)a->limbs + i * bytes;
        mpfr_custom_init(limb, p);
        mpfr_custom_init_set(a->x[i], MPFR_ZERO_KIND, 0, p, limb);
    }
    return GDN_OK;
}

void gdn_mpfr_array_free(gdn_mpfr_array *a)
{
    free(a->x);
    free(a->limbs);
}

/* ---- results kept ---- */

/* Slots: a power of two above the bf16 values that occur twice in a long run; a key lives in one of PROBES
 * neighbours. */
enum { MEMO_BITS = 13, SLOTS = 1 << MEMO_BITS, PROBES = 4 };

static gdn_status memo_new(gdn_mpfr_memo *m, int each, mpfr_prec_t p, gdn_error *err)
{
    m->each = each;
    m->key = gdn_calloc(SLOTS, sizeof *m->key);
    m->split = gdn_calloc((size_t)SLOTS * (size_t)each, sizeof *m->split);
    if (!m->key || !m->split)
        return gdn_no_memory(err, "MPFR gates");
    return gdn_mpfr_array_new(&m->x, (size_t)SLOTS * (size_t)each, p, err);
}

static void memo_free(gdn_mpfr_memo *m)
{
    free(m->key);
    free(m->split);
    gdn_mpfr_array_free(&m->x);
}

/* What a value of head h is known by; `is_g` tells g from a. Never 0. */
static uint64_t memo_key(float x, size_t h, bool is_g)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return (uint64_t)1 << 63 | (uint64_t)is_g << 62 | (uint64_t)h << 32 | u;
}

/* The slot that holds `key`, or else one to put it into: an empty one, or the key's first. */
static size_t memo_slot(const gdn_mpfr_memo *m, uint64_t key)
{
    size_t first = (size_t)((key * 0x9e3779b97f4a7c15u) >> (64 - MEMO_BITS));
    for (size_t i = 0; i < PROBES; i++) {
        size_t slot = (first + i) % SLOTS;
        if (m->key[slot] == key || !m->key[slot])
            return slot;
    }
    return first;
}

/* A result now stands in the slot; one that left MPFR's range is not kept: it must be reported each time. */
static void memo_keep(gdn_mpfr_memo *m, size_t slot, uint64_t key, mpfr_t t)
{
    for (size_t i = slot * (size_t)m->each; i < (slot + 1) * (size_t)m->each; i++)
        gdn_mpfr_split(m->x.x[i], &m->split[i][0], &m->split[i][1], 0, t);
    m->key[slot] = mpfr_flags_test(MPFR_FLAGS_OVERFLOW | MPFR_FLAGS_UNDERFLOW) ? 0 : key;
}

/* ---- life ---- */

void gdn_mpfr_layer_clear(gdn_mpfr_layer *e)
{
    gdn_mpfr_array *all[] = {&e->state, &e->q, &e->k, &e->alpha, &e->beta, &e->rate, &e->o, &e->t};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        gdn_mpfr_array_free(all[i]);
    memo_free(&e->decays);
    memo_free(&e->betas);
    if (e->p)
        mpfr_clears(e->eps, e->scale, (mpfr_ptr)0);
    free(e->columns);
    mpfr_free_cache();
}

static gdn_status allocate(gdn_mpfr_layer *e, size_t m, gdn_error *err)
{
    const struct {
        gdn_mpfr_array *a;
        size_t n;
    } want[] = {{&e->alpha, GDN_MPFR_SPAN},
                {&e->beta, GDN_MPFR_SPAN},
                {&e->rate, (size_t)e->s.shape.heads},
                {&e->o, GDN_MPFR_SPAN * m},
                {&e->t, 8}};
    e->columns = gdn_calloc(m, sizeof *e->columns);
    gdn_status status = e->columns ? GDN_OK : gdn_no_memory(err, "MPFR columns");
    for (size_t i = 0; !status && i < sizeof want / sizeof want[0]; i++)
        status = gdn_mpfr_array_new(want[i].a, want[i].n, e->p, err);
    if (!status)
        status = memo_new(&e->decays, 2, e->p, err);
    return status ? status : memo_new(&e->betas, 1, e->p, err);
}

gdn_status gdn_mpfr_layer_init(gdn_mpfr_layer *e, const gdn_setup *setup, gdn_mpfr_recurrence *recurrence,
                               gdn_error *err)
{
    if (setup->precision < 64 || setup->precision > 4096)
        return gdn_fail(err, GDN_BAD_INPUT, "MPFR precision %d: 64 to 4096 bits are allowed",
                        setup->precision);
    e->s = *setup;
    e->p = setup->precision;
    e->recurrence = recurrence;
    e->s.ncolumns = setup->columns ? setup->ncolumns : setup->shape.dv;
    mpfr_inits2(e->p, e->eps, e->scale, (mpfr_ptr)0);
    size_t m = setup->recurrence ? (size_t)e->s.ncolumns : 0;
    gdn_status status = allocate(e, m, err);
    if (status)
        return status;
    for (size_t j = 0; j < m; j++)
        e->columns[j] = setup->columns ? setup->columns[j] : (int)j;
    mpfr_set_str(e->eps, "1e-6", 10, RN);
    if (setup->params.scale != 0) {
        mpfr_set_d(e->scale, setup->params.scale, RN);
    } else {
        mpfr_set_si(e->scale, setup->shape.dk, RN);
        mpfr_rec_sqrt(e->scale, e->scale, RN);
    }
    for (size_t h = 0; h < (size_t)setup->shape.heads && setup->params.decay; h++) {
        mpfr_set_d(e->rate.x[h], setup->params.decay[h], RN);
        if (!setup->params.decay_is_a)
            gdn_mpfr_exp(e->rate.x[h], e->rate.x[h]);
    }
    return GDN_OK;
}

void gdn_mpfr_layer_close(void *self)
{
    if (!self)
        return;
    gdn_mpfr_layer_clear(self);
    free(self);
}

/* S <- state0 on the engine's columns. */
static void start(gdn_mpfr_layer *e)
{
    size_t dk = (size_t)e->s.shape.dk, dv = (size_t)e->s.shape.dv, m = (size_t)e->s.ncolumns;
    for (size_t h = 0; h < (size_t)e->s.shape.heads; h++)
        for (size_t j = 0; j < m; j++)
            for (size_t i = 0; i < dk; i++)
                mpfr_set_d(e->state.x[(h * m + j) * dk + i],
                           e->s.state0[(h * dk + i) * dv + (size_t)e->columns[j]], RN);
}

gdn_status gdn_mpfr_layer_open(gdn_mpfr_layer **out, const gdn_setup *setup, gdn_mpfr_recurrence *recurrence,
                               gdn_error *err)
{
    *out = NULL;
    gdn_mpfr_layer *e = gdn_calloc(1, sizeof *e);
    if (!e)
        return gdn_no_memory(err, "an MPFR engine");
    gdn_status status = gdn_mpfr_layer_init(e, setup, recurrence, err);
    size_t dk = (size_t)setup->shape.dk;
    size_t m = setup->recurrence ? (size_t)e->s.ncolumns : 0;
    if (!status)
        status = gdn_mpfr_array_new(&e->state, (size_t)setup->shape.heads * m * dk, e->p, err);
    if (!status)
        status = gdn_mpfr_array_new(&e->q, GDN_MPFR_SPAN * dk, e->p, err);
    if (!status)
        status = gdn_mpfr_array_new(&e->k, GDN_MPFR_SPAN * dk, e->p, err);
    if (status) {
        gdn_mpfr_layer_close(e);
        return status;
    }
    if (setup->state0 && setup->recurrence)
        start(e);
    *out = e;
    return GDN_OK;
}

/* ---- outputs ---- */

/* x as hi + lo; t is scratch. A NULL hi is not wanted. */
void gdn_mpfr_split(mpfr_t x, double *hi, double *lo, size_t at, mpfr_t t)
{
    if (!hi)
        return;
    hi[at] = mpfr_get_d(x, RN);
    if (!lo)
        return;
    lo[at] = 0;
    if (mpfr_number_p(x) && hi[at] - hi[at] == 0) {
        mpfr_set_d(t, hi[at], RN);
        mpfr_sub(t, x, t, RN);
        lo[at] = mpfr_get_d(t, RN);
    }
}

/* Beyond this size of x, e^-|x| is below every precision in use: softplus(x) = x or 0, sigmoid(x) = 1 or 0.
 */
static const double SATURATED = 0x1p31;

void gdn_mpfr_sigmoid(mpfr_t r, mpfr_t x)
{
    if (!mpfr_nan_p(x) && (mpfr_cmp_d(x, SATURATED) > 0 || mpfr_cmp_d(x, -SATURATED) < 0)) {
        mpfr_set_si(r, mpfr_sgn(x) > 0, RN);
        return;
    }
    mpfr_neg(r, x, RN);
    mpfr_exp(r, r, RN);
    mpfr_add_ui(r, r, 1, RN);
    mpfr_ui_div(r, 1, r, RN);
}

void gdn_mpfr_exp(mpfr_t y, mpfr_t x)
{
    if (!mpfr_nan_p(x) && mpfr_cmp_d(x, VANISHED) < 0)
        mpfr_set_zero(y, 1);
    else if (!mpfr_nan_p(x) && mpfr_cmp_d(x, -VANISHED) > 0)
        mpfr_set_inf(y, 1);
    else
        mpfr_exp(y, x, RN);
}

/* x rounded to a storage format: cut to 53 bits with the last bit sticky (round to odd), then rounded once.
 */
static void store(mpfr_t x, gdn_format_id format)
{
    if (format == GDN_FP64 || mpfr_nan_p(x))
        return;
    double d = mpfr_get_d(x, MPFR_RNDZ);
    if (mpfr_cmp_d(x, d) != 0) {
        uint64_t u;
        memcpy(&u, &d, sizeof u);
        u |= 1;
        memcpy(&d, &u, sizeof d);
    }
    mpfr_set_d(x, gdn_round(&gdn_formats[format], d), RN);
}

/*
 * softplus(x) = log1p(exp x). Far below, where exp x leaves the range of MPFR, softplus x is exp x, and
 * A softplus x is exp(A_log + x).
 */
void gdn_mpfr_log_decay(mpfr_t g, mpfr_t rate, const gdn_params *p, size_t h, mpfr_t t)
{
    if (mpfr_nan_p(g) || mpfr_cmp_d(g, -SATURATED) >= 0) {
        if (mpfr_nan_p(g) || mpfr_cmp_d(g, SATURATED) <= 0) {
            mpfr_exp(g, g, RN);
            mpfr_log1p(g, g, RN);
        }
        mpfr_mul(g, g, rate, RN);
    } else if (p->decay_is_a) {
        mpfr_set_zero(g, 1);
        if (mpfr_inf_p(rate))
            mpfr_set_inf(g, 1);
    } else {
        mpfr_set_d(t, p->decay[h], RN);
        mpfr_add(g, g, t, RN);
        gdn_mpfr_exp(g, g);
    }
    mpfr_neg(g, g, RN);
    if (mpfr_zero_p(rate))
        mpfr_set_zero(g, -1);
}

/* g = -A softplus(a + dt_bias) */
static void log_decay(gdn_mpfr_layer *e, size_t h, double a, mpfr_t g)
{
    mpfr_set_d(g, a, RN);
    mpfr_set_d(e->t.x[1], e->s.params.dt_bias[h], RN);
    mpfr_add(g, g, e->t.x[1], RN);
    gdn_mpfr_log_decay(g, e->rate.x[h], &e->s.params, h, e->t.x[1]);
}

/* alpha = exp g, as it is stored. */
static void decay(gdn_mpfr_layer *e, mpfr_t g, mpfr_t alpha)
{
    gdn_mpfr_exp(alpha, g);
    store(alpha, e->s.params.alpha);
}

/* The slot of g and alpha for a (or g, where that is given) of head h. */
static size_t decay_slot(gdn_mpfr_layer *e, const gdn_block *in, size_t h, size_t at)
{
    gdn_mpfr_memo *m = &e->decays;
    uint64_t key = in->g ? memo_key(in->g[at], h, true) : memo_key(in->a[at], h, false);
    size_t slot = memo_slot(m, key);
    if (m->key[slot] == key)
        return slot;
    mpfr_t *x = m->x.x + 2 * slot;
    if (in->g)
        mpfr_set_d(x[0], in->g[at], RN);
    else
        log_decay(e, h, in->a[at], x[0]);
    decay(e, x[0], x[1]);
    memo_keep(m, slot, key, e->t.x[1]);
    return slot;
}

/* The slot of beta = sigmoid b. */
static size_t beta_slot(gdn_mpfr_layer *e, float b)
{
    gdn_mpfr_memo *m = &e->betas;
    uint64_t key = memo_key(b, 0, false);
    size_t slot = memo_slot(m, key);
    if (m->key[slot] == key)
        return slot;
    mpfr_set_d(e->t.x[0], b, RN);
    gdn_mpfr_sigmoid(m->x.x[slot], e->t.x[0]);
    memo_keep(m, slot, key, e->t.x[1]);
    return slot;
}

/* g, alpha and beta of the token at row `at`, which goes into slot n of the span. */
static void gate(gdn_mpfr_layer *e, const gdn_block *in, const gdn_outputs *out, size_t h, size_t at, int n)
{
    size_t slot = decay_slot(e, in, h, at);
    double(*split)[2] = e->decays.split + 2 * slot;
    const struct {
        double *to, x;
    } outputs[] = {{out->g, split[0][0]},
                   {out->g_lo, split[0][1]},
                   {out->alpha, split[1][0]},
                   {out->alpha_lo, split[1][1]}};
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++)
        if (outputs[i].to)
            outputs[i].to[at] = outputs[i].x;
    if (!e->s.recurrence)
        return;
    mpfr_set(e->alpha.x[n], e->decays.x.x[2 * slot + 1], RN);
    if (in->beta)
        mpfr_set_d(e->beta.x[n], in->beta[at], RN);
    else
        mpfr_set(e->beta.x[n], e->betas.x.x[beta_slot(e, in->b[at])], RN);
    mpfr_mul_2si(e->beta.x[n], e->beta.x[n], e->s.params.beta_shift, RN);
}

/* y = x rsqrt(sum x^2 + eps), or x where the norm is off. x: [dk], y: [dk]. */
void gdn_mpfr_l2_norm(gdn_mpfr_layer *e, const float *x, mpfr_t *y)
{
    mpfr_t *t = e->t.x;
    if (e->s.params.l2norm_off) {
        for (int i = 0; i < e->s.shape.dk; i++)
            mpfr_set_d(y[i], x[i], RN);
        return;
    }
    mpfr_set_zero(t[0], 1);
    for (int i = 0; i < e->s.shape.dk; i++) {
        mpfr_set_d(y[i], x[i], RN);
        mpfr_mul(t[1], y[i], y[i], RN);
        mpfr_add(t[0], t[0], t[1], RN);
    }
    mpfr_add(t[0], t[0], e->eps, RN);
    mpfr_rec_sqrt(t[0], t[0], RN);
    for (int i = 0; i < e->s.shape.dk; i++)
        mpfr_mul(y[i], y[i], t[0], RN);
}

/* r <- x . y over [dk]; t is scratch. */
void gdn_mpfr_dot(mpfr_t r, mpfr_t *x, mpfr_t *y, int dk, mpfr_t t)
{
    mpfr_set_zero(r, 1);
    for (int i = 0; i < dk; i++) {
        mpfr_mul(t, x[i], y[i], RN);
        mpfr_add(r, r, t, RN);
    }
}

/* y = w (o rsqrt(mean o^2 + eps)) (z sigmoid z) for the token in slot n; the mean is our own when all columns
 * run. */
static void out_norm(gdn_mpfr_layer *e, const gdn_block *in, const gdn_outputs *out, size_t at, int n)
{
    int m = e->s.ncolumns;
    size_t dv = (size_t)e->s.shape.dv;
    mpfr_t *o = e->o.x + (size_t)n * (size_t)m, *t = e->t.x;
    if (e->s.columns) {
        mpfr_set_d(t[0], out->ms[at], RN);
        mpfr_set_d(t[1], out->ms_lo ? out->ms_lo[at] : 0, RN);
        mpfr_add(t[0], t[0], t[1], RN);
    } else {
        gdn_mpfr_dot(t[0], o, o, m, t[2]);
        mpfr_div_ui(t[0], t[0], (unsigned long)dv, RN);
        gdn_mpfr_split(t[0], out->ms, out->ms_lo, at, t[1]);
    }
    if (!out->y)
        return;
    mpfr_add(t[0], t[0], e->eps, RN);
    mpfr_rec_sqrt(t[0], t[0], RN);
    for (int j = 0; j < m; j++) {
        mpfr_mul(t[1], o[j], t[0], RN);
        mpfr_set_d(t[2], e->s.params.norm_weight[e->columns[j]], RN);
        mpfr_mul(t[1], t[1], t[2], RN);
        mpfr_set_d(t[2], in->z[at * dv + (size_t)e->columns[j]], RN);
        gdn_mpfr_sigmoid(t[3], t[2]);
        mpfr_mul(t[2], t[2], t[3], RN);
        mpfr_mul(t[1], t[1], t[2], RN);
        gdn_mpfr_split(t[1], out->y, out->y_lo, at * (size_t)m + (size_t)j, t[4]);
    }
}

/* Numbers from which on threads are worth waking for: a fifth of a millisecond. */
enum { HANDED_FROM = 2048 };

/* o of the span as hi + lo. Splitting is a fourteenth of the fast engine's work: worth its threads. */
static void hand_over(const gdn_mpfr_layer *e, const gdn_outputs *out, size_t at, int span)
{
    const size_t m = (size_t)e->s.ncolumns, n = (size_t)span * m;
    mpfr_flags_t before = mpfr_flags_save(), raised = 0; /* the region's first thread is this one */
#pragma omp parallel reduction(| : raised) if (n >= HANDED_FROM)
    {
        mpfr_t t;
        mpfr_init2(t, e->p);
        gdn_mpfr_range();
#pragma omp for
        for (size_t i = 0; i < n; i++)
            gdn_mpfr_split(e->o.x[i], out->o, out->o_lo, at * m + i, t);
        raised = mpfr_flags_save();
        mpfr_clear(t);
    }
    mpfr_flags_set(before | raised);
}

void gdn_mpfr_range(void)
{
    mpfr_set_emin(mpfr_get_emin_min());
    mpfr_set_emax(mpfr_get_emax_max());
    mpfr_clear_flags();
}

gdn_status gdn_mpfr_layer_advance(void *self, const gdn_block *in, const gdn_outputs *out, gdn_error *err)
{
    gdn_mpfr_layer *e = self;
    if (out->y && e->s.columns && !out->ms)
        return gdn_fail(err, GDN_BAD_INPUT, "y on sampled columns needs the mean square of all columns");
    bool norm = out->y || (out->ms && !e->s.columns);
    e->wants_o = out->o || norm;
    gdn_mpfr_range();
    for (size_t h = 0; h < (size_t)e->s.shape.heads; h++)
        for (int t = 0; t < in->tokens; t += GDN_MPFR_SPAN) {
            int span = in->tokens - t < GDN_MPFR_SPAN ? in->tokens - t : GDN_MPFR_SPAN;
            size_t at = h * (size_t)in->tokens + (size_t)t;
            for (int n = 0; n < span; n++)
                gate(e, in, out, h, at + (size_t)n, n);
            if (!e->s.recurrence)
                continue;
            e->recurrence(e, in, h, at, span);
            if (out->o)
                hand_over(e, out, at, span);
            for (int n = 0; n < span && norm; n++)
                out_norm(e, in, out, at + (size_t)n, n);
        }
    mpfr_free_cache2(MPFR_FREE_LOCAL_CACHE); /* the calling thread may not live on */
    if (mpfr_flags_test(MPFR_FLAGS_OVERFLOW | MPFR_FLAGS_UNDERFLOW | MPFR_FLAGS_ERANGE))
        return gdn_fail(err, GDN_MACHINE, "MPFR left its exponent range within tokens %lld to %lld",
                        (long long)in->first, (long long)(in->first + in->tokens - 1));
    return GDN_OK;
}

gdn_status gdn_mpfr_layer_read_state(void *self, double *hi, double *lo, gdn_error *err)
{
    (void)err;
    gdn_mpfr_layer *e = self;
    size_t dk = (size_t)e->s.shape.dk, m = (size_t)e->s.ncolumns;
    gdn_mpfr_range(); /* of this thread, which need not be the one that advanced */
    for (size_t h = 0; h < (size_t)e->s.shape.heads; h++)
        for (size_t j = 0; j < m; j++)
            for (size_t i = 0; i < dk; i++)
                gdn_mpfr_split(e->state.x[(h * m + j) * dk + i], hi, lo, (h * dk + i) * m + j, e->t.x[0]);
    return GDN_OK;
}
