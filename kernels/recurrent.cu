/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recurrent -- the recurrent recipes on the device as an engine; see recurrent.h.
 *
 * A block of tokens goes span by span: gate and beta of the span (gate.cu), the recurrence over it
 * (recurrent_columns.cu, or recurrent_any.cu for what that does not take); then out_norm of the block
 * (out_norm.cu). Only the state, alpha and beta of a span, and the parameters are held.
 */
#include "kernels/recurrent.h"

#include <cuda_runtime.h>
#include <stdlib.h>

#include "base/cuda.h"
#include "kernels/layer_cuda.h"
#include "kernels/norm.h"
#include "kernels/recurrent_cuda.h"

/* Tokens of all heads in a span, about; alpha and beta of one take 8 bytes a token. */
enum { SPAN_TOKENS = 1 << 23, LEAST_SPAN = 16, MOST_SPAN = 1 << 16, THREADS = 256 };

typedef struct engine {
    gdn_recipe recipe;
    gdn_format_id alpha_store;
    int beta_shift;
    gdn_shape shape;
    bool recurrence;
    uint64_t seed;
    gdn_recurrent_device device;
    int rows, span;
    void *rate, *dt_bias; /* double [H] */
    void *w;              /* float [dv] */
    void *state;          /* float [H][rows][dv] */
    void *alpha, *beta;   /* float [H][span] */
} engine;

static void engine_close(void *self)
{
    engine *e = (engine *)self;
    if (!e)
        return;
    void *all[] = {e->rate, e->dt_bias, e->w, e->state, e->alpha, e->beta};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        gdn_cuda_free(all[i]);
    free(e);
}

extern "C" gdn_status gdn_recurrent_device_open(gdn_recurrent_device *device, gdn_error *err)
{
    int index = 0, bytes = 0;
    cudaError_t e = cudaGetDevice(&index);
    if (!e)
        e = cudaDeviceGetAttribute(&device->multiprocessors, cudaDevAttrMultiProcessorCount, index);
    if (!e)
        e = cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, index);
    device->shared_bytes = (size_t)bytes;
    return gdn_cuda_status(e, "cudaDeviceGetAttribute", err);
}

/* exp(A_log) of every head; A_log passes through e->alpha's place. */
static gdn_status open_gate(engine *e, const gdn_params *p, gdn_error *err)
{
    size_t H = (size_t)e->shape.heads;
    void *decay = NULL;
    gdn_status status = gdn_cuda_calloc(&e->rate, H, sizeof(double), "exp(A_log)", err);
    if (!status && p->dt_bias)
        status = gdn_cuda_copy_of(&e->dt_bias, p->dt_bias, H, sizeof(double), "dt_bias", err);
    if (!status && p->decay)
        status = gdn_cuda_copy_of(&decay, p->decay, H, sizeof(double), "A_log", err);
    if (!status && p->decay)
        status = gdn_cuda_rates(&e->recipe, p->decay_is_a, (const double *)decay, e->shape.heads,
                                (double *)e->rate, err);
    gdn_cuda_free(decay);
    return status;
}

/* The weight of out_norm in the format of the operations. */
static gdn_status open_weight(engine *e, const double *weight, gdn_error *err)
{
    float w[GDN_MAX_DIM];
    if (!weight)
        return GDN_OK;
    for (int j = 0; j < e->shape.dv; j++)
        w[j] = (float)gdn_round(&gdn_formats[e->recipe.op], weight[j]);
    return gdn_cuda_copy_of(&e->w, w, (size_t)e->shape.dv, sizeof *w, "the weight of out_norm", err);
}

/* The initial state as it rests, one head after the other. state0: [H][dk][dv] */
static gdn_status open_state(engine *e, const double *state0, gdn_error *err)
{
    size_t dv = (size_t)e->shape.dv, head = (size_t)e->rows * dv, given = (size_t)e->shape.dk * dv;
    gdn_status status =
        gdn_cuda_calloc(&e->state, (size_t)e->shape.heads * head, sizeof(float), "the state", err);
    if (status || !state0)
        return status;
    float *rounded = (float *)gdn_calloc(given, sizeof *rounded);
    if (!rounded)
        return gdn_no_memory(err, "an initial state");
    for (int h = 0; h < e->shape.heads && !status; h++, state0 += given) {
        for (size_t i = 0; i < given; i++)
            rounded[i] = (float)gdn_round(&gdn_formats[e->recipe.state], state0[i]);
        status =
            gdn_cuda_to_device((float *)e->state + (size_t)h * head, rounded, given * sizeof *rounded, err);
        if (!status)
            status = gdn_cuda_finish(err);
    }
    free(rounded);
    return status;
}

static gdn_status open_recurrence(engine *e, const gdn_setup *setup, gdn_error *err)
{
    size_t tokens = (size_t)e->shape.heads * (size_t)e->span;
    gdn_status status = gdn_recurrent_device_open(&e->device, err);
    if (!status)
        status = open_weight(e, setup->params.norm_weight, err);
    if (!status)
        status = open_state(e, setup->state0, err);
    if (!status)
        status = gdn_cuda_calloc(&e->alpha, tokens, sizeof(float), "the decays of a span", err);
    if (!status)
        status = gdn_cuda_calloc(&e->beta, tokens, sizeof(float), "the betas of a span", err);
    return status;
}

static gdn_status engine_open(void **self, const gdn_setup *setup, gdn_error *err)
{
    *self = NULL;
    if (setup->columns)
        return gdn_fail(err, GDN_BAD_INPUT, "the recurrent engine runs all value columns, not a sample");
    if (setup->head0)
        return gdn_fail(err, GDN_BAD_INPUT, "on a GPU an engine runs all heads of a task");
    gdn_status status = gdn_cuda_takes(&setup->params, err);
    if (status)
        return status;
    engine *e = (engine *)gdn_calloc(1, sizeof *e);
    if (!e)
        return gdn_no_memory(err, "a recurrent engine");
    e->recipe = *(const gdn_recipe *)setup->recipe;
    e->alpha_store = setup->params.alpha;
    e->beta_shift = setup->params.beta_shift;
    e->shape = setup->shape;
    e->recurrence = setup->recurrence;
    e->seed = setup->seed;
    e->rows = (setup->shape.dk + 15) / 16 * 16;
    e->span = SPAN_TOKENS / setup->shape.heads;
    e->span = e->span < LEAST_SPAN ? LEAST_SPAN : e->span > MOST_SPAN ? MOST_SPAN : e->span;
    status = open_gate(e, &setup->params, err);
    if (!status && e->recurrence)
        status = open_recurrence(e, setup, err);
    if (!status)
        *self = e;
    else
        engine_close(e);
    return status;
}

/* x: [H][stride][width] from token t on, or NULL. */
static const float *from(const float *x, int t, int width)
{
    return x ? x + (int64_t)t * width : NULL;
}

static double *from(double *x, int t, int width)
{
    return x ? x + (int64_t)t * width : NULL;
}

/* Tokens t .. t + n - 1 of a block; o: [H][tokens][dv], or NULL. */
static gdn_status run_span(engine *e, const gdn_block *in, const gdn_outputs *out, double *o, int t, int n,
                           gdn_error *err)
{
    int dk = e->shape.dk, dv = e->shape.dv;
    gdn_cuda_gates gates = {};
    gates.recipe = e->recipe;
    gates.alpha_store = e->alpha_store;
    gates.beta_shift = e->beta_shift;
    gates.heads = e->shape.heads;
    gates.n = n;
    gates.stride = in->tokens;
    gates.rate = (const double *)e->rate;
    gates.dt_bias = (const double *)e->dt_bias;
    gates.a = in->g ? NULL : from(in->a, t, 1);
    gates.g = from(in->g, t, 1);
    gates.b = from(in->b, t, 1);
    gates.beta = from(in->beta, t, 1);
    gates.g_out = from(out->g, t, 1);
    gates.alpha_out = from(out->alpha, t, 1);
    gates.alpha_used = (float *)e->alpha;
    gates.beta_used = (float *)e->beta;
    gdn_status status = gdn_cuda_gates_run(&gates, err);
    if (status || !e->recurrence)
        return status;
    gdn_recurrent_run run = {};
    run.recipe = e->recipe;
    run.heads = e->shape.heads;
    run.dk = dk;
    run.dv = dv;
    run.n = n;
    run.stride = in->tokens;
    run.q = from(in->q, t, dk);
    run.k = from(in->k, t, dk);
    run.v = from(in->v, t, dv);
    run.alpha = (const float *)e->alpha;
    run.beta = (const float *)e->beta;
    run.o = from(o, t, dv);
    run.state = (float *)e->state;
    run.seed = e->seed;
    run.first = in->first + t;
    return gdn_recurrent_columns_fit(&run, GDN_STORAGE_ENGINE, &e->device)
               ? gdn_recurrent_columns(&run, GDN_STORAGE_ENGINE, &e->device, 0, err)
               : gdn_recurrent_any(&run, err);
}

static gdn_status engine_advance(void *self, const gdn_block *in, const gdn_outputs *out, gdn_error *err)
{
    engine *e = (engine *)self;
    double *o = out->o ? out->o : out->y; /* out_norm may work in place */
    gdn_status status = GDN_OK;
    for (int t = 0; t < in->tokens && !status; t += e->span)
        status = run_span(e, in, out, o, t, in->tokens - t < e->span ? in->tokens - t : e->span, err);
    if (!status && e->recurrence && out->y)
        status = gdn_cuda_out_norm(&e->recipe, o, in->z, (const float *)e->w,
                                   (int64_t)e->shape.heads * in->tokens, e->shape.dv, out->y, err);
    return status;
}

/* state: [H][rows][dv]; out: [H][dk][dv] */
static __global__ void copy_state(const float *state, int64_t n, int rows, int dk, int dv, double *out)
{
    int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < n) {
        int64_t row = i / dv, head = row / dk;
        out[i] = state[(head * rows + row % dk) * dv + i % dv];
    }
}

static gdn_status engine_read_state(void *self, double *hi, double *lo, gdn_error *err)
{
    (void)lo;
    const engine *e = (const engine *)self;
    int64_t n = (int64_t)e->shape.heads * e->shape.dk * e->shape.dv;
    copy_state<<<(unsigned)((n + THREADS - 1) / THREADS), THREADS, 0, cudaStreamPerThread>>>(
        (const float *)e->state, n, e->rows, e->shape.dk, e->shape.dv, hi);
    return gdn_cuda_launched("reading the state", err);
}

extern "C" const gdn_engine gdn_recurrent_cuda_engine = {
    "recurrent", "the recurrent recipes on a GPU", false, engine_open, engine_advance, engine_read_state,
    engine_close};

extern "C" gdn_status gdn_recurrent_cuda_bench_launch(const gdn_recurrent_bench *b, gdn_error *err)
{
    gdn_recurrent_run run = {};
    gdn_recurrent_device device;
    run.recipe = *gdn_recipe_by_name("fp32");
    run.heads = b->heads;
    run.dk = run.dv = b->dim;
    run.n = b->tokens;
    run.stride = b->tokens;
    run.q = b->q;
    run.k = b->k;
    run.v = b->v;
    run.alpha = b->alpha;
    run.beta = b->beta;
    run.o = b->o;
    run.state = b->state;
    gdn_status status = gdn_recurrent_device_open(&device, err);
    gdn_recurrent_storage storage = b->bf16 ? GDN_STORAGE_BF16 : GDN_STORAGE_FP32;
    if (!status && !gdn_recurrent_columns_fit(&run, storage, &device))
        status = gdn_fail(err, GDN_BAD_INPUT, "the bench of the recurrence takes d_k = d_v = 128");
    return status ? status : gdn_recurrent_columns(&run, storage, &device, b->columns, err);
}
