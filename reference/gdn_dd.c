/* SPDX-License-Identifier: Apache-2.0 */
/* gdn_dd -- the layer in double-double; see gdn_dd.h, and dd_tile.c for the arithmetic. */
#include "reference/gdn_dd.h"

#include <stdlib.h>

#include "reference/batch.h"

/* rho = alpha / |k|, sigma = beta / |k|, omega = scale / |q| */
static void factors(gdn_batch *b, int n)
{
    for (int t = 0; t < n; t++) {
        gdn_run_put(b->rho, t, gdn_dd_mul(gdn_run_token(b->alpha, t), gdn_run_token(b->k_inverse, t)));
        gdn_run_put(b->sigma, t, gdn_dd_mul(gdn_run_token(b->beta, t), gdn_run_token(b->k_inverse, t)));
        gdn_run_put(b->omega, t, gdn_dd_mul(b->scale, gdn_run_token(b->q_inverse, t)));
    }
}

/* The gated norm, with the mean of o^2 from here or from the base. */
static void out_norm(gdn_batch *b, const gdn_run *run)
{
    const gdn_outputs *out = run->out;
    gdn_norm x = {b->o, b->o_lo, b->z, b->weight, run->n, b->stride};
    for (int t = 0; t < run->n && out->y && b->setup.columns; t++)
        gdn_run_put(
            b->ms, t,
            gdn_dd_pair(out->ms[run->at + (size_t)t], out->ms_lo ? out->ms_lo[run->at + (size_t)t] : 0.0));
    bool own = gdn_batch_own_mean(&b->setup, out);
    if (own)
        gdn_batch_blank(b, run->n);
    if (own)
        b->code->mean_square(&x, b->setup.shape.dv, b->ms);
    for (int t = 0; t < run->n && own; t++) {
        if (out->ms)
            out->ms[run->at + (size_t)t] = b->ms->hi[t];
        if (out->ms_lo)
            out->ms_lo[run->at + (size_t)t] = b->ms->lo[t];
    }
    if (!out->y)
        return;
    b->code->norm(&x, b->ms);
    gdn_batch_store(b, run, b->o, out->y);
    gdn_batch_store(b, run, b->o_lo, out->y_lo);
}

static void advance_run(gdn_batch *b, const gdn_run *run)
{
    gdn_batch_gate(b, run);
    if (!b->setup.recurrence)
        return;
    gdn_batch_load(b, run);
    factors(b, run->n);
    for (int j = 0; j < b->stride / GDN_TILE; j++) {
        gdn_tile tile = gdn_batch_tile(b, run, j);
        tile.rho = b->rho;
        tile.sigma = b->sigma;
        tile.omega = b->omega;
        b->code->tile(&tile);
    }
    gdn_batch_store(b, run, b->o, run->out->o);
    gdn_batch_store(b, run, b->o_lo, run->out->o_lo);
    out_norm(b, run);
}

static gdn_status engine_advance(void *self, const gdn_block *in, const gdn_outputs *out, gdn_error *err)
{
    gdn_batch *b = self;
    gdn_status status = gdn_batch_begin(b, in, out, err);
    for (int h = 0; !status && h < b->setup.shape.heads; h++)
        for (int t = 0; t < in->tokens; t += GDN_RUN) {
            int n = in->tokens - t < GDN_RUN ? in->tokens - t : GDN_RUN;
            gdn_run run = {in, out, h, n, (size_t)h * (size_t)in->tokens + (size_t)t};
            advance_run(b, &run);
        }
    return status;
}

static gdn_status engine_open(void **self, const gdn_setup *setup, gdn_error *err)
{
    *self = NULL;
    gdn_batch *b = gdn_calloc(1, sizeof *b);
    if (!b)
        return gdn_no_memory(err, "a double-double engine");
    gdn_status status = gdn_batch_open(b, setup, 2, err);
    if (status)
        free(b);
    else
        *self = b;
    return status;
}

static gdn_status engine_read_state(void *self, double *hi, double *lo, gdn_error *err)
{
    (void)err;
    return gdn_batch_read_state(self, hi, lo);
}

static void engine_close(void *self)
{
    if (!self)
        return;
    gdn_batch_close(self);
    free(self);
}

const gdn_engine gdn_dd_engine = {
    .name = "dd",
    .summary = "the layer in double-double, about 31 digits; certified against MPFR",
    .pairs = true,
    .open = engine_open,
    .advance = engine_advance,
    .read_state = engine_read_state,
    .close = engine_close,
};
