/* SPDX-License-Identifier: Apache-2.0 */
/* batch -- what the double-double and fp64 engines share; see batch.h. */
#include "reference/batch.h"

#include <stdlib.h>

#include "reference/gate.h"

static const gdn_dd_code *const codes[GDN_ISAS] = {
    [GDN_ISA_SCALAR] = &gdn_dd_code_scalar,
#if defined(__x86_64__)
    [GDN_ISA_AVX2] = &gdn_dd_code_avx2,
    [GDN_ISA_AVX512] = &gdn_dd_code_avx512,
#endif
};

/* Copy n values into scratch and fill up to the next whole register. */
static void fetch(int n, const float *from, double *to)
{
    for (int t = 0; t < n; t++)
        to[t] = (double)from[t];
    for (int t = n; t % GDN_TILE != 0; t++)
        to[t] = 0.0;
}

static void decay(gdn_batch *b, const gdn_run *run)
{
    const gdn_params *p = &b->setup.params;
    const float *a = run->in->a + run->at;
    double x[GDN_RUN], bias = p->dt_bias[run->head];
    gdn_dd rate = b->rate[run->head];
    fetch(run->n, a, x);
    b->code->decay(run->n, rate, bias, x, b->g);
    for (int t = 0; t < run->n; t++) {
        if (gdn_gate_near(rate.hi, bias, (double)a[t]))
            continue;
        gdn_dd g = gdn_gate_far(p->decay_is_a, p->decay[run->head], bias, (double)a[t]);
        b->g->hi[t] = g.hi;
        b->g->lo[t] = g.lo;
    }
}

static void copy(int n, const double *from, double *to, size_t at)
{
    for (int t = 0; to && t < n; t++)
        to[at + (size_t)t] = from[t];
}

void gdn_batch_gate(gdn_batch *b, const gdn_run *run)
{
    const gdn_block *in = run->in;
    const gdn_outputs *out = run->out;
    if (in->g) {
        fetch(run->n, in->g + run->at, b->g->hi);
        memset(b->g->lo, 0, sizeof b->g->lo);
    } else {
        decay(b, run);
    }
    b->code->exp(run->n, b->g, b->alpha);
    for (int t = 0; t < run->n; t++)
        gdn_run_put(b->alpha, t, gdn_gate_round(b->setup.params.alpha, gdn_run_token(b->alpha, t)));
    copy(run->n, b->g->hi, out->g, run->at);
    copy(run->n, b->alpha->hi, out->alpha, run->at);
    if (b->parts == 2) {
        copy(run->n, b->g->lo, out->g_lo, run->at);
        copy(run->n, b->alpha->lo, out->alpha_lo, run->at);
    }
    if (!b->setup.recurrence)
        return;
    if (in->beta) {
        fetch(run->n, in->beta + run->at, b->beta->hi);
        memset(b->beta->lo, 0, sizeof b->beta->lo);
    } else {
        double x[GDN_RUN];
        fetch(run->n, in->b + run->at, x);
        b->code->sigmoid(run->n, x, b->beta);
    }
    for (int t = 0; t < run->n; t++)
        gdn_run_put(b->beta, t, gdn_gate_shift(b->setup.params.beta_shift, gdn_run_token(b->beta, t)));
}

/* The columns that run, from [H][tokens][dv] into [n][stride]; the padding stays zero. */
static void gather(const gdn_batch *b, const gdn_run *run, const float *from, double *to)
{
    size_t dv = (size_t)b->setup.shape.dv;
    from += run->at * dv;
    for (int t = 0; t < run->n; t++, from += dv, to += b->stride) {
        if (b->setup.columns)
            for (int j = 0; j < b->columns; j++)
                to[j] = (double)from[b->column[j]];
        else
            for (int j = 0; j < b->columns; j++)
                to[j] = (double)from[j];
    }
}

/* Ones, for k and q that are used as they come. */
static void no_norm(int n, gdn_run_pairs *inverse)
{
    for (int t = 0; t < n; t++)
        gdn_run_put(inverse, t, gdn_gate_whole(1.0));
}

void gdn_batch_load(gdn_batch *b, const gdn_run *run)
{
    int dk = b->setup.shape.dk;
    size_t at = run->at * (size_t)dk;
    b->code->rows(run->n, dk, b->rows, run->in->k + at, b->k, b->k_inverse);
    b->code->rows(run->n, dk, b->rows, run->in->q + at, b->q, b->q_inverse);
    if (b->setup.params.l2norm_off) {
        no_norm(run->n, b->k_inverse);
        no_norm(run->n, b->q_inverse);
    }
    gather(b, run, run->in->v, b->v);
    if (run->out->y)
        gather(b, run, run->in->z, b->z);
}

void gdn_batch_store(const gdn_batch *b, const gdn_run *run, const double *from, double *to)
{
    size_t m = (size_t)b->columns;
    if (!to)
        return;
    for (int t = 0; t < run->n; t++)
        memcpy(to + (run->at + (size_t)t) * m, from + t * b->stride, m * sizeof *to);
}

double *gdn_batch_state(const gdn_batch *b, int head, int tile)
{
    size_t tiles = (size_t)(b->stride / GDN_TILE), size = (size_t)b->rows * (size_t)b->parts * GDN_TILE;
    return b->state + ((size_t)head * tiles + (size_t)tile) * size;
}

gdn_tile gdn_batch_tile(const gdn_batch *b, const gdn_run *run, int tile)
{
    return (gdn_tile){.state = gdn_batch_state(b, run->head, tile),
                      .k = b->k,
                      .q = b->q,
                      .v = b->v + tile * GDN_TILE,
                      .o = b->o + tile * GDN_TILE,
                      .o_lo = b->o_lo ? b->o_lo + tile * GDN_TILE : NULL,
                      .tokens = run->n,
                      .rows = b->rows,
                      .stride = b->stride,
                      .alpha = b->alpha};
}

void gdn_batch_blank(gdn_batch *b, int n)
{
    for (int t = 0; t < n; t++)
        for (int j = b->columns; j < b->stride; j++) {
            b->o[t * b->stride + j] = 0;
            if (b->o_lo)
                b->o_lo[t * b->stride + j] = 0;
        }
}

bool gdn_batch_own_mean(const gdn_setup *s, const gdn_outputs *out)
{
    return !s->columns && (out->ms || out->y);
}

/* One element of the state: hi at the pointer, lo GDN_TILE further. */
static double *element(const gdn_batch *b, int head, int row, int column)
{
    return gdn_batch_state(b, head, column / GDN_TILE) + row * b->parts * GDN_TILE + column % GDN_TILE;
}

gdn_status gdn_batch_read_state(const gdn_batch *b, double *hi, double *lo)
{
    gdn_shape shape = b->setup.shape;
    size_t at = 0;
    for (int h = 0; h < shape.heads; h++)
        for (int i = 0; i < shape.dk; i++)
            for (int j = 0; j < b->columns; j++, at++) {
                const double *x = element(b, h, i, j);
                hi[at] = x[0];
                if (lo && b->parts == 2)
                    lo[at] = x[GDN_TILE];
            }
    return GDN_OK;
}

static void set_state(gdn_batch *b, const double *state0)
{
    gdn_shape shape = b->setup.shape;
    for (int h = 0; h < shape.heads; h++)
        for (int i = 0; i < shape.dk; i++, state0 += shape.dv)
            for (int j = 0; j < b->columns; j++)
                *element(b, h, i, j) = state0[b->column[j]];
}

static gdn_status allocate(gdn_batch *b, gdn_error *err)
{
    size_t H = (size_t)b->setup.shape.heads, stride = (size_t)b->stride, rows = (size_t)b->rows;
    bool all = b->setup.recurrence;
    const struct {
        double **x;
        size_t n;
    } wanted[] = {{&b->state, H * stride * rows * (size_t)b->parts},
                  {&b->weight, stride},
                  {&b->k, GDN_RUN * rows},
                  {&b->q, GDN_RUN * rows},
                  {&b->v, GDN_RUN * stride},
                  {&b->z, GDN_RUN * stride},
                  {&b->o, GDN_RUN * stride},
                  {&b->o_lo, b->parts == 2 ? GDN_RUN * stride : 0}};
    for (size_t i = 0; all && i < sizeof wanted / sizeof *wanted; i++)
        if (wanted[i].n && !(*wanted[i].x = gdn_calloc(wanted[i].n, sizeof(double))))
            return gdn_no_memory(err, "the state of a batch");
    gdn_run_pairs **pairs[] = {&b->g,   &b->alpha, &b->beta,  &b->k_inverse, &b->q_inverse,
                               &b->rho, &b->sigma, &b->omega, &b->ms};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (!(*pairs[i] = gdn_calloc(1, sizeof **pairs[i])))
            return gdn_no_memory(err, "a run of tokens");
    b->rate = gdn_calloc(H, sizeof *b->rate);
    b->column = gdn_calloc((size_t)b->columns, sizeof *b->column);
    return b->rate && b->column ? GDN_OK : gdn_no_memory(err, "a batch");
}

gdn_dd gdn_batch_scale(const gdn_setup *s)
{
    return s->params.scale != 0 ? gdn_gate_whole(s->params.scale)
                                : gdn_dd_rsqrt(gdn_gate_whole((double)s->shape.dk));
}

void gdn_batch_constants(const gdn_setup *s, gdn_dd *rate, int *column, double *weight)
{
    int columns = s->columns ? s->ncolumns : s->shape.dv;
    for (int h = 0; s->params.decay && h < s->shape.heads; h++)
        rate[h] = s->params.decay_is_a ? gdn_gate_whole(s->params.decay[h])
                                       : gdn_dd_exp(gdn_gate_whole(s->params.decay[h]));
    for (int j = 0; j < columns; j++)
        column[j] = s->columns ? s->columns[j] : j;
    for (int j = 0; s->recurrence && s->params.norm_weight && j < columns; j++)
        weight[j] = s->params.norm_weight[column[j]];
}

gdn_status gdn_batch_check(const gdn_setup *s, gdn_error *err)
{
    gdn_shape shape = s->shape;
    if (shape.heads < 1 || shape.dk < 1 || shape.dv < 1 || shape.dk > GDN_MAX_DIM || shape.dv > GDN_MAX_DIM)
        return gdn_fail(err, GDN_BAD_INPUT,
                        "%d heads of %d x %d: 1 to %d heads of 1 to %d rows and columns run", shape.heads,
                        shape.dk, shape.dv, GDN_MAX_HEADS, GDN_MAX_DIM);
    for (int j = 0; s->columns && j < s->ncolumns; j++)
        if (s->columns[j] < 0 || s->columns[j] >= shape.dv)
            return gdn_fail(err, GDN_BAD_INPUT, "value column %d: there are columns 0 to %d", s->columns[j],
                            shape.dv - 1);
    return GDN_OK;
}

gdn_status gdn_batch_open(gdn_batch *b, const gdn_setup *setup, int parts, gdn_error *err)
{
    gdn_status status = gdn_batch_check(setup, err);
    if (status)
        return status;
    b->setup = *setup;
    b->parts = parts;
    b->columns = setup->columns ? setup->ncolumns : setup->shape.dv;
    b->stride = gdn_padded(b->columns, GDN_TILE);
    b->rows = gdn_padded(setup->shape.dk, GDN_ROW_PAD);
    b->scale = gdn_batch_scale(setup);
    status = allocate(b, err);
    if (status) {
        gdn_batch_close(b);
        return status;
    }
    gdn_batch_constants(setup, b->rate, b->column, b->weight);
    if (b->state && setup->state0)
        set_state(b, setup->state0);
    return GDN_OK;
}

void gdn_batch_close(gdn_batch *b)
{
    void *all[] = {b->state, b->weight, b->k,     b->q,    b->v,         b->z,         b->o,
                   b->o_lo,  b->g,      b->alpha, b->beta, b->k_inverse, b->q_inverse, b->rho,
                   b->sigma, b->omega,  b->ms,    b->rate, b->column};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

gdn_status gdn_batch_given(const gdn_setup *s, const gdn_block *in, const gdn_outputs *out, gdn_error *err)
{
    const gdn_params *p = &s->params;
    const char *missing = NULL;
    if (!in->g && !(in->a && p->decay && p->dt_bias))
        missing = "the gate needs g, or a with decay and dt_bias";
    else if (s->recurrence && !(in->q && in->k && in->v && (in->b || in->beta)))
        missing = "the recurrence needs q, k, v and b or beta";
    else if (s->recurrence && out->y && !(in->z && p->norm_weight))
        missing = "y needs z and norm_weight";
    else if (s->recurrence && out->y && s->columns && !out->ms)
        missing = "y on sampled columns needs the mean of o^2 over all columns";
    return missing ? gdn_fail(err, GDN_BAD_INPUT, "%s", missing) : GDN_OK;
}

gdn_status gdn_batch_begin(gdn_batch *b, const gdn_block *in, const gdn_outputs *out, gdn_error *err)
{
    b->code = codes[gdn_isa_best()];
    return gdn_batch_given(&b->setup, in, out, err);
}
