/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device -- memory, gate and row lengths of the CUDA twins; see device.h.
 *
 *     g = -exp(A_log) softplus(a + dt_bias)    alpha = exp(g)    beta = 2^shift sigmoid(b)
 *     1 / sqrt(sum k^2 + eps)
 *
 * The sum of squares has 16 partial sums over rows i, i + 16, ..., joined by a butterfly, one thread each.
 */
#include "reference/device.h"

#include <cuda_runtime.h>
#include <stdlib.h>

#include "base/cuda.h"
#include "reference/batch.h"
#include "reference/device_layer.h"
#include "reference/gate.h"

namespace
{

/* Shared memory that a block of the recurrence may ask for: 2048 + 1024 rows of k and of q at most, 12 bytes
 * each. */
enum { SHARED_MOST = 80 * 1024 };

struct device {
    gdn_setup setup;
    const gdn_device_code *code;
    const gdn_variant *variant;
    int columns, stride, rows; /* stride: columns, padded to whole blocks */
    int threads, strips, tile; /* of the recurrence: a block, blocks a head, tokens staged */
    gdn_dd scale;              /* d_k^(-1/2) */
    double *decay, *dt_bias;   /* [H] */
    gdn_dd *rate;              /* [H]: A */
    int *column;               /* [columns] */
    double *weight;            /* [columns] */
    double *hi, *lo;           /* [H][rows][stride]: the state */
    gdn_factors *factors;      /* [room_tokens] */
    double *o, *o_lo;          /* [room_o], [room_o_lo]: where the caller wants no o */
    size_t room_tokens, room_o, room_o_lo;
};

/* ---- gate ---- */

struct gate {
    const float *a, *g, *b, *beta;                       /* [H][n] */
    const double *decay, *dt_bias;                       /* [H] */
    const gdn_dd *rate;                                  /* [H] */
    double *g_out, *g_lo_out, *alpha_out, *alpha_lo_out; /* [H][n], or NULL */
    gdn_factors *factors;  /* [H][n]: alpha and sigma = beta; NULL: not wanted */
    int64_t tokens, total; /* n, H n */
    bool decay_is_a;
    int beta_shift;
    gdn_format_id format;
};

__device__ __forceinline__ void put(double *to, int64_t at, double x)
{
    if (to)
        to[at] = x;
}

__global__ void __launch_bounds__(GDN_THREADS) gate_kernel(const gate x)
{
    int64_t at = (int64_t)blockIdx.x * GDN_THREADS + threadIdx.x, head = at / x.tokens;
    if (at >= x.total)
        return;
    gdn_dd g;
    if (x.g)
        g = gdn_gate_whole((double)x.g[at]);
    else if (gdn_gate_near(x.rate[head].hi, x.dt_bias[head], (double)x.a[at]))
        g = gdn_dd_decay(x.rate[head], x.dt_bias[head], (double)x.a[at]);
    else
        g = gdn_gate_far(x.decay_is_a, x.decay[head], x.dt_bias[head], (double)x.a[at]);
    gdn_dd alpha = gdn_gate_round(x.format, gdn_dd_exp(g));
    put(x.g_out, at, g.hi);
    put(x.g_lo_out, at, g.lo);
    put(x.alpha_out, at, alpha.hi);
    put(x.alpha_lo_out, at, alpha.lo);
    if (!x.factors)
        return;
    x.factors[at].alpha = alpha;
    gdn_dd beta =
        x.beta ? gdn_gate_whole((double)x.beta[at]) : gdn_dd_sigmoid(gdn_gate_whole((double)x.b[at]));
    x.factors[at].sigma = gdn_gate_shift(x.beta_shift, beta);
}

/* ---- lengths of k and q ---- */

struct lengths {
    const float *k, *q;   /* [H][n][dk] */
    gdn_factors *factors; /* [H][n]: alpha and sigma = beta in, all out */
    gdn_dd scale;         /* d_k^(-1/2) */
    int64_t total;        /* H n */
    int dk, parts;
};

__global__ void __launch_bounds__(GDN_THREADS) lengths_kernel(const lengths x)
{
    const int64_t t = ((int64_t)blockIdx.x * GDN_THREADS + threadIdx.x) / GDN_ROW_PAD;
    const int p = (int)threadIdx.x % GDN_ROW_PAD;
    const bool live = t < x.total;
    const size_t row = (size_t)(live ? t : x.total - 1) * (size_t)x.dk;
    gdn_dd sums[2] = {{0.0, 0.0}, {0.0, 0.0}};
#pragma unroll 4
    for (int i = p; i < gdn_padded(x.dk, GDN_ROW_PAD); i += GDN_ROW_PAD) {
        sums[0] = gdn_dd_add_square(sums[0], i < x.dk ? (double)x.k[row + (size_t)i] : 0.0);
        sums[1] = gdn_dd_add_square(sums[1], i < x.dk ? (double)x.q[row + (size_t)i] : 0.0);
    }
    gdn_dd sum = gdn_reduce<2, GDN_ROW_PAD>(sums, p); /* even p: of k, odd p: of q */
    gdn_dd inverse = gdn_dd_rsqrt(gdn_dd_add(sum, gdn_dd_eps()));
    if (!live || p > 1)
        return;
    gdn_factors *f = x.factors + t;
    if (p == 1) {
        f->omega = gdn_dd_mul(x.scale, inverse);
    } else if (x.parts == 1) {
        f->rho = inverse;
    } else {
        f->rho = gdn_dd_mul(f->alpha, inverse);
        f->sigma = gdn_dd_mul(f->sigma, inverse);
    }
}

/* ---- launches ---- */

unsigned blocks_for(int64_t tokens, int threads)
{
    return (unsigned)((tokens * threads + GDN_THREADS - 1) / GDN_THREADS);
}

/* g, alpha and beta of a block, and the outputs g and alpha. */
gdn_status run_gate(const device *d, const gdn_block *in, const gdn_outputs *out, gdn_error *err)
{
    const bool pairs = d->code->parts == 2;
    gate x = {.a = in->a,
              .g = in->g,
              .b = in->b,
              .beta = in->beta,
              .decay = d->decay,
              .dt_bias = d->dt_bias,
              .rate = d->rate,
              .g_out = out->g,
              .g_lo_out = pairs ? out->g_lo : NULL,
              .alpha_out = out->alpha,
              .alpha_lo_out = pairs ? out->alpha_lo : NULL,
              .factors = d->factors,
              .tokens = in->tokens,
              .total = (int64_t)d->setup.shape.heads * in->tokens,
              .decay_is_a = d->setup.params.decay_is_a,
              .beta_shift = d->setup.params.beta_shift,
              .format = d->setup.params.alpha};
    gate_kernel<<<blocks_for(x.total, 1), GDN_THREADS, 0, cudaStreamPerThread>>>(x);
    return gdn_cuda_launched("the decay gate", err);
}

gdn_status run_lengths(const device *d, const gdn_block *in, gdn_error *err)
{
    lengths x = {.k = in->k,
                 .q = in->q,
                 .factors = d->factors,
                 .scale = d->scale,
                 .total = (int64_t)d->setup.shape.heads * in->tokens,
                 .dk = d->setup.shape.dk,
                 .parts = d->code->parts};
    lengths_kernel<<<blocks_for(x.total, GDN_ROW_PAD), GDN_THREADS, 0, cudaStreamPerThread>>>(x);
    return gdn_cuda_launched("the lengths of k and q", err);
}

gdn_status run_recurrence(const device *d, const gdn_block *in, double *o, double *o_lo, gdn_error *err)
{
    const gdn_shape shape = d->setup.shape;
    const bool aligned = ((uintptr_t)in->q | (uintptr_t)in->k) % sizeof(float4) == 0;
    gdn_recurrence x = {.q = in->q,
                        .k = in->k,
                        .v = in->v,
                        .factors = d->factors,
                        .column = d->column,
                        .hi = d->hi,
                        .lo = d->lo,
                        .o = o,
                        .o_lo = o_lo,
                        .tokens = in->tokens,
                        .dk = shape.dk,
                        .dv = shape.dv,
                        .rows = d->rows,
                        .columns = d->columns,
                        .stride = d->stride,
                        .tile = d->tile,
                        .strips = d->strips,
                        .solid = aligned && shape.dk == d->rows};
    unsigned blocks = (unsigned)shape.heads * (unsigned)d->strips;
    size_t shared = gdn_stage_bytes(d->tile, d->rows, d->stride / d->strips);
    d->variant->kernel<<<blocks, (unsigned)d->threads, shared, cudaStreamPerThread>>>(x);
    return gdn_cuda_launched("the recurrence", err);
}

/* The gated norm, and the mean of o^2 where all columns run. */
gdn_status run_norm(const device *d, const gdn_block *in, const gdn_outputs *out, const double *o,
                    const double *o_lo, gdn_error *err)
{
    const bool own = gdn_batch_own_mean(&d->setup, out);
    if (!own && !out->y)
        return GDN_OK;
    gdn_device_norm x = {.o = o,
                         .o_lo = o_lo,
                         .z = in->z,
                         .column = d->column,
                         .weight = d->weight,
                         .ms = out->ms,
                         .ms_lo = out->ms_lo,
                         .y = out->y,
                         .y_lo = out->y_lo,
                         .tokens = (size_t)d->setup.shape.heads * (size_t)in->tokens,
                         .columns = d->columns,
                         .dv = d->setup.shape.dv,
                         .own = own};
    d->code->norm<<<blocks_for((int64_t)x.tokens, GDN_NORM_LANES), GDN_THREADS, 0, cudaStreamPerThread>>>(x);
    return gdn_cuda_launched("the gated norm", err);
}

/* ---- memory ---- */

/* At least `want` elements at *p, whose `room` is known; what was there is lost. */
template <class type> gdn_status grow(type **p, size_t *room, size_t want, const char *what, gdn_error *err)
{
    if (*room >= want)
        return GDN_OK;
    gdn_cuda_free(*p);
    *room = 0;
    gdn_status status = gdn_cuda_calloc((void **)p, want, sizeof **p, what, err);
    if (!status)
        *room = want;
    return status;
}

template <class type>
gdn_status upload(type **p, const type *from, size_t n, const char *what, gdn_error *err)
{
    return from ? gdn_cuda_copy_of((void **)p, from, n, sizeof **p, what, err) : GDN_OK;
}

/* The parameters and what follows from them. */
gdn_status upload_constants(device *d, gdn_error *err)
{
    const gdn_setup *s = &d->setup;
    const size_t H = (size_t)s->shape.heads, m = (size_t)d->columns;
    gdn_dd *rate = (gdn_dd *)gdn_calloc(H, sizeof *rate);
    int *column = (int *)gdn_calloc(m, sizeof *column);
    double *weight = (double *)gdn_calloc(m, sizeof *weight);
    gdn_status status = rate && column && weight ? GDN_OK : gdn_no_memory(err, d->code->name);
    if (!status) {
        gdn_batch_constants(s, rate, column, weight);
        status = upload(&d->rate, rate, H, "decay rates", err);
    }
    if (!status)
        status = upload(&d->column, column, m, "columns", err);
    if (!status)
        status = upload(&d->weight, weight, m, "norm weights", err);
    if (!status)
        status = upload(&d->decay, s->params.decay, H, "decays", err);
    if (!status)
        status = upload(&d->dt_bias, s->params.dt_bias, H, "dt_bias", err);
    free(rate);
    free(column);
    free(weight);
    return status;
}

/* state0: [H][dk][dv] on the host -> [H][rows][stride], columns picked. */
gdn_status upload_state(device *d, gdn_error *err)
{
    const gdn_setup *s = &d->setup;
    const size_t H = (size_t)s->shape.heads, dk = (size_t)s->shape.dk, stride = (size_t)d->stride;
    const size_t head = (size_t)d->rows * stride;
    double *wide = (double *)gdn_calloc(H * head, sizeof *wide);
    if (!wide)
        return gdn_no_memory(err, "the initial state");
    for (size_t h = 0; h < H; h++)
        for (size_t i = 0; i < dk; i++)
            for (int j = 0; j < d->columns; j++)
                wide[h * head + i * stride + (size_t)j] =
                    s->state0[(h * dk + i) * (size_t)s->shape.dv + (size_t)(s->columns ? s->columns[j] : j)];
    gdn_status status = gdn_cuda_to_device(d->hi, wide, H * head * sizeof *wide, err);
    free(wide);
    return status;
}

/* How the recurrence is spread: the first variant that keeps the multiprocessors busy. */
gdn_status choose_variant(device *d, gdn_error *err)
{
    int index = 0, processors = 0;
    gdn_status status = gdn_cuda_status(cudaGetDevice(&index), "cudaGetDevice", err);
    if (!status)
        status = gdn_cuda_status(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, index),
                                 "cudaDeviceGetAttribute", err);
    if (status)
        return status;
    for (const gdn_variant *v = d->code->variants;; v++) {
        int groups = gdn_padded(d->columns, v->width) / v->width, warps = (groups * v->lanes + 31) / 32;
        int64_t all = (int64_t)d->setup.shape.heads * warps;
        d->variant = v;
        d->threads = warps * 32 < GDN_THREADS ? warps * 32 : GDN_THREADS;
        if (v->rows == 0 || (v->rows == d->rows && all >= (int64_t)v->warps * processors))
            break;
    }
    int width = d->threads / d->variant->lanes * d->variant->width;
    d->stride = gdn_padded(d->columns, width);
    d->strips = d->stride / width;
    d->tile = d->rows <= 128 ? 16 : 2048 / d->rows;
    return gdn_cuda_status(
        cudaFuncSetAttribute(d->variant->kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, SHARED_MOST),
        "cudaFuncSetAttribute", err);
}

gdn_status prepare(device *d, gdn_error *err)
{
    gdn_status status = choose_variant(d, err);
    if (!status)
        status = upload_constants(d, err);
    if (status || !d->setup.recurrence)
        return status;
    size_t n = (size_t)d->setup.shape.heads * (size_t)d->rows * (size_t)d->stride;
    status = gdn_cuda_calloc((void **)&d->hi, n, sizeof *d->hi, "the state of a batch", err);
    if (!status && d->code->parts == 2)
        status = gdn_cuda_calloc((void **)&d->lo, n, sizeof *d->lo, "the state of a batch", err);
    if (!status && d->setup.state0)
        status = upload_state(d, err);
    return status;
}

/* One half of the state without its padding, to [H][dk][columns]. */
gdn_status read_half(const device *d, double *to, double *from, gdn_error *err)
{
    const size_t wide = sizeof *to * (size_t)d->stride, narrow = sizeof *to * (size_t)d->columns;
    const size_t dk = (size_t)d->setup.shape.dk, H = (size_t)d->setup.shape.heads;
    cudaMemcpy3DParms copy = {};
    copy.srcPtr = make_cudaPitchedPtr(from, wide, narrow, (size_t)d->rows);
    copy.dstPtr = make_cudaPitchedPtr(to, narrow, narrow, dk);
    copy.extent = make_cudaExtent(narrow, dk, H);
    copy.kind = cudaMemcpyDeviceToDevice;
    return gdn_cuda_status(cudaMemcpy3DAsync(&copy, cudaStreamPerThread), "cudaMemcpy3D of the state", err);
}

} // namespace

gdn_status gdn_device_open(void **self, const gdn_setup *setup, const gdn_device_code *code, gdn_error *err)
{
    *self = NULL;
    gdn_status status = gdn_batch_check(setup, err);
    if (!status)
        status = gdn_cuda_takes(&setup->params, err);
    if (status)
        return status;
    device *d = (device *)gdn_calloc(1, sizeof *d);
    if (!d)
        return gdn_no_memory(err, code->name);
    d->setup = *setup;
    d->code = code;
    d->columns = setup->columns ? setup->ncolumns : setup->shape.dv;
    d->rows = gdn_padded(setup->shape.dk, GDN_ROW_PAD);
    d->scale = gdn_batch_scale(setup);
    status = prepare(d, err);
    if (status)
        gdn_device_close(d);
    else
        *self = d;
    return status;
}

gdn_status gdn_device_advance(void *self, const gdn_block *in, const gdn_outputs *out, gdn_error *err)
{
    device *d = (device *)self;
    gdn_status status = gdn_batch_given(&d->setup, in, out, err);
    if (status || in->tokens < 1)
        return status;
    const size_t tokens = (size_t)d->setup.shape.heads * (size_t)in->tokens, n = tokens * (size_t)d->columns;
    const bool recurrence = d->setup.recurrence, pairs = d->code->parts == 2;
    if (recurrence)
        status = grow(&d->factors, &d->room_tokens, tokens, "the factors of a block", err);
    if (!status && recurrence && !out->o)
        status = grow(&d->o, &d->room_o, n, "the outputs of a block", err);
    if (!status && recurrence && pairs && !out->o_lo)
        status = grow(&d->o_lo, &d->room_o_lo, n, "the outputs of a block", err);
    if (!status)
        status = run_gate(d, in, out, err);
    if (status || !recurrence)
        return status;
    double *o = out->o ? out->o : d->o, *o_lo = out->o_lo ? out->o_lo : d->o_lo;
    status = run_lengths(d, in, err);
    if (!status)
        status = run_recurrence(d, in, o, o_lo, err);
    return status ? status : run_norm(d, in, out, o, o_lo, err);
}

gdn_status gdn_device_read_state(void *self, double *hi, double *lo, gdn_error *err)
{
    const device *d = (const device *)self;
    gdn_status status = read_half(d, hi, d->hi, err);
    return !status && lo && d->lo ? read_half(d, lo, d->lo, err) : status;
}

void gdn_device_close(void *self)
{
    device *d = (device *)self;
    if (!d)
        return;
    void *all[] = {d->decay, d->dt_bias, d->rate,    d->column, d->weight,
                   d->hi,    d->lo,      d->factors, d->o,      d->o_lo};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        gdn_cuda_free(all[i]);
    free(d);
}
