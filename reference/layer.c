/* SPDX-License-Identifier: Apache-2.0 */
/* layer -- the whole layer term by term in GNU MPFR; see layer.h. */
#include "reference/layer.h"

#include "reference/mpfr_layer.h"

static const mpfr_rnd_t RN = MPFR_RNDN;

enum { SCRATCH = 4 };

typedef struct truth {
    const gdn_layer_mpfr_call *c;
    size_t T, D, Hk, Hv, r, dk, dv, channels;
    gdn_mpfr_array x;           /* [T][D] hidden states */
    gdn_mpfr_array mixed, conv; /* [T][channels] before the conv; after conv and SiLU */
    gdn_mpfr_array z;           /* [T][Hv][dv] */
    gdn_mpfr_array b, a;        /* [T][Hv], then beta and g */
    gdn_mpfr_array q, k;        /* [dk] of one token and head: scale q^, k^ */
    gdn_mpfr_array S;           /* [Hv][dk][dv] */
    gdn_mpfr_array o, y;        /* [T][Hv][dv] */
    gdn_mpfr_array result;      /* [T][D] */
    gdn_mpfr_array row;         /* [max(D, Hv dv)] a row of weights */
    gdn_mpfr_array t;           /* [SCRATCH] */
    gdn_mpfr_array constants;   /* eps = 1e-6, scale: dk^(-1/2) unless given */
} truth;

/* y[t][i] = sum_j w[i][j] x[t][j]. w: [rows][n], x: [T][n], y: [T][rows] */
static void project(truth *m, const float *w, size_t rows, size_t n, mpfr_t *x, mpfr_t *y)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < n; j++)
            mpfr_set_d(m->row.x[j], w[i * n + j], RN);
        for (size_t t = 0; t < m->T; t++)
            gdn_mpfr_dot(y[t * rows + i], m->row.x, x + t * n, (int)n, m->t.x[0]);
    }
}

/* conv[t] = silu(sum_i w_i mixed[t - 3 + i]), what is before the first token being zero. */
static void conv_silu(truth *m)
{
    mpfr_t *s = &m->t.x[0], *term = &m->t.x[1];
    for (size_t c = 0; c < m->channels; c++)
        for (size_t t = 0; t < m->T; t++) {
            mpfr_set_zero(*s, 1);
            for (size_t i = 0; i < GDN_CONV_WIDTH; i++)
                if (t + i >= GDN_CONV_KEPT) {
                    mpfr_set_d(*term, m->c->weights.conv[c * GDN_CONV_WIDTH + i], RN);
                    mpfr_mul(*term, *term, m->mixed.x[(t + i - GDN_CONV_KEPT) * m->channels + c], RN);
                    mpfr_add(*s, *s, *term, RN);
                }
            gdn_mpfr_sigmoid(*term, *s);
            mpfr_mul(m->conv.x[t * m->channels + c], *s, *term, RN);
        }
}

/* b <- beta = 2^shift sigmoid(b); a <- g = -exp(A_log) log1p(exp(a + dt_bias)) */
static void gates(truth *m)
{
    const gdn_params *p = &m->c->weights.core;
    mpfr_t *rate = &m->t.x[0], *bias = &m->t.x[1];
    for (size_t h = 0; h < m->Hv; h++) {
        mpfr_set_d(*rate, p->decay[h], RN);
        if (!p->decay_is_a)
            gdn_mpfr_exp(*rate, *rate);
        mpfr_set_d(*bias, p->dt_bias[h], RN);
        for (size_t t = 0; t < m->T; t++) {
            mpfr_t *beta = &m->b.x[t * m->Hv + h], *g = &m->a.x[t * m->Hv + h];
            gdn_mpfr_sigmoid(m->t.x[2], *beta);
            mpfr_mul_2si(*beta, m->t.x[2], p->beta_shift, RN);
            mpfr_add(*g, *g, *bias, RN);
            gdn_mpfr_log_decay(*g, *rate, p, h, m->t.x[2]);
        }
    }
}

/* y = x rsqrt(sum x^2 + eps), or x where the norm is off. x, y: [dk] */
static void l2_norm(truth *m, mpfr_t *x, mpfr_t *y)
{
    mpfr_t *rstd = &m->t.x[0];
    gdn_mpfr_dot(*rstd, x, x, (int)m->dk, m->t.x[1]);
    mpfr_add(*rstd, *rstd, m->constants.x[0], RN);
    mpfr_rec_sqrt(*rstd, *rstd, RN);
    if (m->c->weights.core.l2norm_off)
        mpfr_set_ui(*rstd, 1, RN);
    for (size_t i = 0; i < m->dk; i++)
        mpfr_mul(y[i], x[i], *rstd, RN);
}

/* S <- alpha S; delta = beta (v - S^T k^); S <- S + k^ delta^T; o = S^T q^. S: [dk][dv]; v, o: [dv] */
static void step(truth *m, mpfr_t *S, mpfr_t g, mpfr_t beta, mpfr_t *v, mpfr_t *o)
{
    mpfr_t *alpha = &m->t.x[0], *delta = &m->t.x[1], *term = &m->t.x[2];
    gdn_mpfr_exp(*alpha, g);
    for (size_t i = 0; i < m->dk * m->dv; i++)
        mpfr_mul(S[i], S[i], *alpha, RN);
    for (size_t j = 0; j < m->dv; j++) {
        mpfr_set_zero(*delta, 1);
        for (size_t i = 0; i < m->dk; i++) {
            mpfr_mul(*term, S[i * m->dv + j], m->k.x[i], RN);
            mpfr_add(*delta, *delta, *term, RN);
        }
        mpfr_sub(*delta, v[j], *delta, RN);
        mpfr_mul(*delta, *delta, beta, RN);
        mpfr_set_zero(o[j], 1);
        for (size_t i = 0; i < m->dk; i++) {
            mpfr_mul(*term, m->k.x[i], *delta, RN);
            mpfr_add(S[i * m->dv + j], S[i * m->dv + j], *term, RN);
            mpfr_mul(*term, S[i * m->dv + j], m->q.x[i], RN);
            mpfr_add(o[j], o[j], *term, RN);
        }
    }
}

/* Value head h over the sequence; it uses key head floor(h / r). */
static void recurrence(truth *m, size_t h)
{
    for (size_t t = 0; t < m->T; t++) {
        mpfr_t *conv = m->conv.x + t * m->channels, *v = conv + 2 * m->Hk * m->dk + h * m->dv;
        size_t scalar = t * m->Hv + h;
        l2_norm(m, conv + h / m->r * m->dk, m->q.x);
        l2_norm(m, conv + (m->Hk + h / m->r) * m->dk, m->k.x);
        for (size_t i = 0; i < m->dk; i++)
            mpfr_mul(m->q.x[i], m->q.x[i], m->constants.x[1], RN);
        step(m, m->S.x + h * m->dk * m->dv, m->a.x[scalar], m->b.x[scalar], v, m->o.x + scalar * m->dv);
    }
}

/* y = w (o rsqrt(mean o^2 + eps)) (z sigmoid(z)) for every token and head */
static void out_norm(truth *m)
{
    mpfr_t *rstd = &m->t.x[0], *factor = &m->t.x[1];
    for (size_t row = 0; row < m->T * m->Hv; row++) {
        mpfr_t *o = m->o.x + row * m->dv, *z = m->z.x + row * m->dv, *y = m->y.x + row * m->dv;
        gdn_mpfr_dot(*rstd, o, o, (int)m->dv, *factor);
        mpfr_div_ui(*rstd, *rstd, (unsigned long)m->dv, RN);
        mpfr_add(*rstd, *rstd, m->constants.x[0], RN);
        mpfr_rec_sqrt(*rstd, *rstd, RN);
        for (size_t j = 0; j < m->dv; j++) {
            mpfr_mul(y[j], o[j], *rstd, RN);
            mpfr_set_d(*factor, m->c->weights.core.norm_weight[j], RN);
            mpfr_mul(y[j], y[j], *factor, RN);
            gdn_mpfr_sigmoid(*factor, z[j]);
            mpfr_mul(*factor, *factor, z[j], RN);
            mpfr_mul(y[j], y[j], *factor, RN);
        }
    }
}

/* n numbers as hi + lo, where they are wanted. */
static void put(truth *m, mpfr_t *x, size_t n, double *hi, double *lo, size_t at)
{
    for (size_t i = 0; i < n; i++)
        gdn_mpfr_split(x[i], hi, lo, at + i, m->t.x[0]);
}

static void put_stages(truth *m)
{
    const gdn_layer_outputs *out = &m->c->out;
    const struct {
        gdn_layer_stage stage;
        gdn_mpfr_array *x;
        size_t width;
    } whole[] = {{GDN_LAYER_Z, &m->z, m->Hv * m->dv}, {GDN_LAYER_G, &m->a, m->Hv},
                 {GDN_LAYER_BETA, &m->b, m->Hv},      {GDN_LAYER_O, &m->o, m->Hv * m->dv},
                 {GDN_LAYER_Y, &m->y, m->Hv * m->dv}, {GDN_LAYER_OUTPUT, &m->result, m->D}};
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++)
        put(m, whole[i].x->x, m->T * whole[i].width, out->hi[whole[i].stage], out->lo[whole[i].stage], 0);
    for (size_t row = 0; row < m->T * m->Hv; row++) {
        mpfr_t *conv = m->conv.x + row / m->Hv * m->channels;
        size_t h = row % m->Hv;
        put(m, conv + h / m->r * m->dk, m->dk, out->hi[GDN_LAYER_Q], out->lo[GDN_LAYER_Q], row * m->dk);
        put(m, conv + (m->Hk + h / m->r) * m->dk, m->dk, out->hi[GDN_LAYER_K], out->lo[GDN_LAYER_K],
            row * m->dk);
        put(m, conv + 2 * m->Hk * m->dk + h * m->dv, m->dv, out->hi[GDN_LAYER_V], out->lo[GDN_LAYER_V],
            row * m->dv);
    }
    put(m, m->S.x, m->Hv * m->dk * m->dv, m->c->state, m->c->state_lo, 0);
}

static gdn_status allocate(truth *m, gdn_error *err)
{
    size_t gated = m->Hv * m->dv;
    const struct {
        gdn_mpfr_array *a;
        size_t n;
    } want[] = {{&m->x, m->T * m->D},
                {&m->mixed, m->T * m->channels},
                {&m->conv, m->T * m->channels},
                {&m->z, m->T * gated},
                {&m->b, m->T * m->Hv},
                {&m->a, m->T * m->Hv},
                {&m->q, m->dk},
                {&m->k, m->dk},
                {&m->S, gated * m->dk},
                {&m->o, m->T * gated},
                {&m->y, m->T * gated},
                {&m->result, m->T * m->D},
                {&m->row, m->D > gated ? m->D : gated},
                {&m->t, SCRATCH},
                {&m->constants, 2}};
    gdn_status status = GDN_OK;
    for (size_t i = 0; !status && i < sizeof want / sizeof want[0]; i++)
        status = gdn_mpfr_array_new(want[i].a, want[i].n, m->c->precision, err);
    return status;
}

static void release(truth *m)
{
    gdn_mpfr_array *all[] = {&m->x, &m->mixed, &m->conv, &m->z,      &m->b,   &m->a, &m->q,        &m->k,
                             &m->S, &m->o,     &m->y,    &m->result, &m->row, &m->t, &m->constants};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        gdn_mpfr_array_free(all[i]);
    mpfr_free_cache();
}

/* The layer, line by line. */
static void run(truth *m)
{
    const gdn_layer_weights *w = &m->c->weights;
    mpfr_set_str(m->constants.x[0], "1e-6", 10, RN);
    mpfr_set_ui(m->constants.x[1], m->dk, RN);
    mpfr_rec_sqrt(m->constants.x[1], m->constants.x[1], RN);
    if (w->core.scale != 0)
        mpfr_set_d(m->constants.x[1], w->core.scale, RN);
    for (size_t i = 0; i < m->T * m->D; i++)
        mpfr_set_d(m->x.x[i], m->c->hidden[i], RN);
    project(m, w->qkv, m->channels, m->D, m->x.x, m->mixed.x);
    project(m, w->z, m->Hv * m->dv, m->D, m->x.x, m->z.x);
    project(m, w->b, m->Hv, m->D, m->x.x, m->b.x);
    project(m, w->a, m->Hv, m->D, m->x.x, m->a.x);
    conv_silu(m);
    gates(m);
    for (size_t h = 0; h < m->Hv; h++)
        recurrence(m, h);
    out_norm(m);
    project(m, w->out, m->D, m->Hv * m->dv, m->y.x, m->result.x);
}

gdn_status gdn_layer_mpfr(const gdn_layer_mpfr_call *c, gdn_error *err)
{
    gdn_status status = gdn_layer_check(&c->shape, err);
    if (status)
        return status;
    if (c->precision < 64 || c->precision > 4096)
        return gdn_fail(err, GDN_BAD_INPUT, "MPFR precision %d: 64 to 4096 bits are allowed", c->precision);
    if (c->weights.core.alpha != GDN_FP64)
        return gdn_fail(err, GDN_BAD_INPUT, "the layer in MPFR rounds nothing: alpha cannot rest in %s",
                        gdn_formats[c->weights.core.alpha].name);
    truth m = {.c = c,
               .T = (size_t)c->tokens,
               .D = (size_t)c->shape.hidden,
               .Hk = (size_t)c->shape.key_heads,
               .Hv = (size_t)c->shape.value_heads,
               .r = (size_t)(c->shape.value_heads / c->shape.key_heads),
               .dk = (size_t)c->shape.dk,
               .dv = (size_t)c->shape.dv,
               .channels = (size_t)gdn_layer_channels(&c->shape)};
    gdn_mpfr_range();
    status = allocate(&m, err);
    if (!status) {
        run(&m);
        put_stages(&m);
        if (mpfr_flags_test(MPFR_FLAGS_OVERFLOW | MPFR_FLAGS_UNDERFLOW | MPFR_FLAGS_ERANGE))
            status = gdn_fail(err, GDN_MACHINE, "the layer left MPFR's exponent range");
    }
    release(&m);
    return status;
}
