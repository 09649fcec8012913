/* SPDX-License-Identifier: Apache-2.0 */
/* gdn_fp64 -- the layer in double; see gdn_fp64.h, and fp64_tile.c for the arithmetic. */
#include "reference/gdn_fp64.h"

#include <stdlib.h>

#include "reference/batch.h"

typedef struct engine {
    gdn_batch b;
    const gdn_fp64_code *code;
} engine;

static const gdn_fp64_code *const codes[GDN_ISAS] = {
    [GDN_ISA_SCALAR] = &gdn_fp64_code_scalar,
#if defined(__x86_64__)
    [GDN_ISA_AVX2] = &gdn_fp64_code_avx2,
    [GDN_ISA_AVX512] = &gdn_fp64_code_avx512,
#endif
};

/* k <- k^ and q <- scale q^, rounded once. */
static void normalise(engine *e, int n)
{
    gdn_batch *b = &e->b;
    for (int t = 0; t < n; t++)
        gdn_run_put(b->omega, t, gdn_dd_mul(b->scale, gdn_run_token(b->q_inverse, t)));
    e->code->scale(n, b->rows, b->k, b->k_inverse);
    e->code->scale(n, b->rows, b->q, b->omega);
}

static void out_norm(engine *e, const gdn_run *run)
{
    gdn_batch *b = &e->b;
    const gdn_outputs *out = run->out;
    gdn_norm x = {b->o, NULL, b->z, b->weight, run->n, b->stride};
    double *ms = b->ms->hi;
    for (int t = 0; t < run->n && out->y && b->setup.columns; t++)
        ms[t] = out->ms[run->at + (size_t)t];
    bool own = gdn_batch_own_mean(&b->setup, out);
    if (own)
        gdn_batch_blank(b, run->n);
    if (own)
        e->code->mean_square(&x, b->setup.shape.dv, ms);
    for (int t = 0; t < run->n && own && out->ms; t++)
        out->ms[run->at + (size_t)t] = ms[t];
    if (!out->y)
        return;
    e->code->norm(&x, ms);
    gdn_batch_store(b, run, b->o, out->y);
}

static void advance_run(engine *e, const gdn_run *run)
{
    gdn_batch *b = &e->b;
    gdn_batch_gate(b, run);
    if (!b->setup.recurrence)
        return;
    gdn_batch_load(b, run);
    normalise(e, run->n);
    for (int j = 0; j < b->stride / GDN_TILE; j++) {
        gdn_tile tile = gdn_batch_tile(b, run, j);
        tile.sigma = b->beta;
        e->code->tile(&tile);
    }
    gdn_batch_store(b, run, b->o, run->out->o);
    out_norm(e, run);
}

static gdn_status engine_advance(void *self, const gdn_block *in, const gdn_outputs *out, gdn_error *err)
{
    engine *e = self;
    gdn_status status = gdn_batch_begin(&e->b, in, out, err);
    e->code = codes[gdn_isa_best()];
    for (int h = 0; !status && h < e->b.setup.shape.heads; h++)
        for (int t = 0; t < in->tokens; t += GDN_RUN) {
            int n = in->tokens - t < GDN_RUN ? in->tokens - t : GDN_RUN;
            gdn_run run = {in, out, h, n, (size_t)h * (size_t)in->tokens + (size_t)t};
            advance_run(e, &run);
        }
    return status;
}

static gdn_status engine_open(void **self, const gdn_setup *setup, gdn_error *err)
{
    *self = NULL;
    engine *e = gdn_calloc(1, sizeof *e);
    if (!e)
        return gdn_no_memory(err, "an fp64 engine");
    gdn_status status = gdn_batch_open(&e->b, setup, 1, err);
    if (status) {
        free(e);
        return status;
    }
    *self = e;
    return GDN_OK;
}

static gdn_status engine_read_state(void *self, double *hi, double *lo, gdn_error *err)
{
    (void)lo;
    (void)err;
    engine *e = self;
    return gdn_batch_read_state(&e->b, hi, NULL);
}

static void engine_close(void *self)
{
    engine *e = self;
    if (!e)
        return;
    gdn_batch_close(&e->b);
    free(e);
}

const gdn_engine gdn_fp64_engine = {
    .name = "fp64",
    .summary = "the layer in double, about 1e-15; certified against double-double",
    .pairs = false,
    .open = engine_open,
    .advance = engine_advance,
    .read_state = engine_read_state,
    .close = engine_close,
};
