/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunked -- the chunked recipes as an engine on a GPU; see chunked.h and chunked_cuda.h.
 *
 * Tokens of a block that make whole chunks are computed where they lie. An unfinished chunk is kept as it
 * came, q, k, v, g and beta, and computed again from its first token with every block that adds to it; only
 * the rows that are new are written out.
 */
#include "kernels/chunked.h"

#include <cuda_runtime.h>
#include <stdlib.h>

#include "base/cuda.h"
#include "kernels/chunked_cuda.h"
#include "kernels/gate.h"
#include "kernels/layer_cuda.h"
#include "kernels/norm.h"

enum { C = GDN_CHUNK, THREADS = 256, MOST_CHUNKS = 64 };

/* Bytes of scratch that engines are content with; they take a quarter of what is free at most. */
static const size_t scratch_budget = (size_t)512 << 20;

/*
 * What the engines of a thread share: they run one after another, on its stream. An engine is opened, used
 * and closed by one thread, as its memory is in the order of that stream too.
 */
typedef struct shared {
    int engines;
    void *scratch;
    size_t bytes;
    gdn_cublas *blas; /* NULL until an engine needs it */
} shared;

static thread_local shared here;

typedef struct engine {
    gdn_setup s;
    gdn_recipe recipe;
    bool fused;
    int panel;                   /* chunks computed at a time */
    int group;                   /* heads computed at a time, through cuBLAS */
    double *rate, *bias;         /* [H] exp(A_log), dt_bias */
    float *w;                    /* [dv] */
    float *state;                /* [H][dk][dv] at the start of the chunk in progress */
    float *q, *k, *v;            /* [H][64][dk or dv] the tokens of the unfinished chunk */
    float *g, *beta;             /* [H][64] theirs */
    float *panel_g, *panel_beta; /* [H][64 panel] */
    bool shares;                 /* counts among the thread's engines */
    int filled;                  /* tokens of the unfinished chunk */
} engine;

/* ---- device ---- */

/* g and beta of n tokens of every head, as the chunked form uses them, `to` rows `to_stride` apart. */
typedef struct gates {
    gdn_recipe recipe;
    gdn_format_id alpha;
    int beta_shift;
    int heads, n;
    int64_t stride; /* between heads of the block */
    const double *rate, *bias;
    const float *a, *g, *b, *beta; /* from the first of the n tokens on, as in gdn_block */
    double *g_out, *alpha_out;
    int64_t to_stride;
    float *to_g, *to_beta; /* NULL: not wanted */
} gates;

static __global__ void __launch_bounds__(THREADS) take_gates(const __grid_constant__ gates c)
{
    int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x, h = i / c.n, t = i % c.n, at = h * c.stride + t;
    if (h >= c.heads)
        return;
    gdn_gate gate = c.g ? gdn_gate_given(&c.recipe, c.alpha, c.g[at])
                        : gdn_gate_token(&c.recipe, c.alpha, c.rate[h], c.bias[h], c.a[at]);
    if (c.g_out)
        c.g_out[at] = gate.g;
    if (c.alpha_out)
        c.alpha_out[at] = gate.alpha;
    if (!c.to_g)
        return;
    c.to_g[h * c.to_stride + t] = gdn_chunked_log_decay(c.alpha, &gate);
    c.to_beta[h * c.to_stride + t] = (float)(c.beta ? gdn_gate_beta_given(&c.recipe, c.beta_shift, c.beta[at])
                                                    : gdn_gate_beta(&c.recipe, c.beta_shift, c.b[at]));
}

/* n rows of d numbers of every head; `from` rows lie from_stride apart between heads, `to` rows 64. */
static __global__ void keep_rows(float *to, const float *from, int heads, int n, int d, int64_t from_stride)
{
    int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x, of = (int64_t)n * d, h = i / of;
    if (h < heads)
        to[h * C * d + i % of] = from[h * from_stride * d + i % of];
}

static __global__ void widen(double *to, const float *from, size_t n)
{
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < n)
        to[i] = from[i];
}

/* ---- host ---- */

static unsigned blocks_for(int64_t threads)
{
    return (unsigned)((threads + THREADS - 1) / THREADS);
}

static void engine_close(void *self)
{
    engine *e = (engine *)self;
    if (!e)
        return;
    void *all[] = {e->rate, e->bias, e->w,    e->state,   e->q,         e->k,
                   e->v,    e->g,    e->beta, e->panel_g, e->panel_beta};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        gdn_cuda_free(all[i]);
    if (e->shares && --here.engines == 0) {
        gdn_cuda_free(here.scratch);
        gdn_cublas_close(here.blas);
        here = {};
    }
    free(e);
}

/* Room for at least so many bytes. What still runs in the old scratch comes before its end on the stream. */
static gdn_status grow_scratch(size_t bytes, gdn_error *err)
{
    if (bytes <= here.bytes)
        return GDN_OK;
    void *more = NULL;
    gdn_status status = gdn_cuda_calloc(&more, bytes, 1, "scratch of the chunked form", err);
    if (status)
        return status; /* engines that are open keep what they have */
    gdn_cuda_free(here.scratch);
    here.scratch = more;
    here.bytes = bytes;
    return GDN_OK;
}

/* How many chunks and heads at a time the scratch is for, and the scratch. */
static gdn_status allocate_scratch(engine *e, gdn_error *err)
{
    size_t H = (size_t)e->s.shape.heads, bytes, quarter = (gdn_cuda_free_memory() + here.bytes) / 4;
    size_t budget = quarter > 0 && quarter < scratch_budget ? quarter : scratch_budget;
    e->shares = true;
    here.engines++;
    if (e->fused) {
        bytes = H * gdn_chunked_fused_bytes();
        size_t fit = budget / bytes;
        e->panel = fit < 1 ? 1 : fit > MOST_CHUNKS ? MOST_CHUNKS : (int)fit;
        bytes *= (size_t)e->panel;
    } else {
        size_t head = gdn_chunked_blas_bytes(&e->recipe, e->s.shape.dk, e->s.shape.dv);
        size_t fit = budget / head;
        e->panel = MOST_CHUNKS;
        e->group = (int)(fit < 1 ? 1 : fit > H ? H : fit > 32768 ? 32768 : fit);
        bytes = head * (size_t)e->group;
    }
    gdn_status status = grow_scratch(bytes, err);
    if (!status && !e->fused && !here.blas)
        status = gdn_cublas_open(&here.blas, err);
    return status;
}

static gdn_status allocate(engine *e, gdn_error *err)
{
    const gdn_setup *s = &e->s;
    size_t H = (size_t)s->shape.heads, keys = H * C * (size_t)s->shape.dk,
           values = H * C * (size_t)s->shape.dv;
    const char *what = "unfinished chunks";
    gdn_status status = GDN_OK;
    if (s->params.decay) {
        status = gdn_cuda_copy_of((void **)&e->bias, s->params.dt_bias, H, sizeof(double), "dt_bias", err);
        if (!status)
            status = gdn_cuda_calloc((void **)&e->rate, H, sizeof(double), "exp(A_log)", err);
    }
    if (!s->recurrence)
        return status;
    struct {
        float **p;
        size_t n;
        const char *what;
    } all[] = {{&e->state, H * (size_t)s->shape.dk * (size_t)s->shape.dv, "the state"},
               {&e->q, keys, what},
               {&e->k, keys, what},
               {&e->v, values, what},
               {&e->g, H * C, what},
               {&e->beta, H * C, what}};
    for (size_t i = 0; i < sizeof all / sizeof all[0] && !status; i++)
        status = gdn_cuda_calloc((void **)all[i].p, all[i].n, sizeof(float), all[i].what, err);
    if (!status)
        status = allocate_scratch(e, err);
    if (!status)
        status = gdn_cuda_calloc((void **)&e->panel_g, H * C * (size_t)e->panel, sizeof(float), "g", err);
    if (!status)
        status =
            gdn_cuda_calloc((void **)&e->panel_beta, H * C * (size_t)e->panel, sizeof(float), "beta", err);
    return status;
}

/* exp(A_log), the norm weight and the initial state, as the recipe holds them. */
static gdn_status fill(engine *e, gdn_error *err)
{
    const gdn_setup *s = &e->s;
    const gdn_recipe *recipe = &e->recipe;
    size_t H = (size_t)s->shape.heads, of = (size_t)s->shape.dk * (size_t)s->shape.dv,
           dv = (size_t)s->shape.dv;
    gdn_status status = GDN_OK;
    double *decay = NULL;
    float *x = (float *)gdn_calloc(of > dv ? of : dv, sizeof *x);
    if (!x)
        return gdn_no_memory(err, "a state");
    if (s->params.decay) {
        status = gdn_cuda_copy_of((void **)&decay, s->params.decay, H, sizeof *decay, "A_log", err);
        if (!status)
            status = gdn_cuda_rates(recipe, s->params.decay_is_a, decay, (int)H, e->rate, err);
    }
    if (!status && s->params.norm_weight && s->recurrence) {
        for (size_t j = 0; j < dv; j++)
            x[j] = (float)gdn_round(&gdn_formats[recipe->op], s->params.norm_weight[j]);
        status = gdn_cuda_copy_of((void **)&e->w, x, dv, sizeof *x, "the norm weight", err);
        if (!status)
            status = gdn_cuda_finish(err); /* x is used again */
    }
    for (size_t h = 0; s->state0 && s->recurrence && h < H && !status; h++) {
        for (size_t i = 0; i < of; i++)
            x[i] = (float)gdn_round(&gdn_formats[recipe->state], s->state0[h * of + i]);
        status = gdn_cuda_to_device(e->state + h * of, x, of * sizeof *x, err);
        if (!status)
            status = gdn_cuda_finish(err);
    }
    gdn_cuda_free(decay);
    free(x);
    return status;
}

static gdn_status engine_open(void **self, const gdn_setup *setup, gdn_error *err)
{
    *self = NULL;
    gdn_status status = gdn_chunked_check(setup, err);
    if (!status)
        status = gdn_cuda_takes(&setup->params, err);
    if (status)
        return status;
    engine *e = (engine *)gdn_calloc(1, sizeof *e);
    if (!e)
        return gdn_no_memory(err, "a chunked engine");
    e->s = *setup;
    e->recipe = *(const gdn_recipe *)setup->recipe;
    e->fused = gdn_chunked_fused_fit(&e->recipe, setup->shape.dk, setup->shape.dv);
    status = allocate(e, err);
    if (!status)
        status = fill(e, err);
    if (status)
        engine_close(e);
    else
        *self = e;
    return status;
}

static gdn_status compute(const engine *e, const gdn_chunk_run *run, gdn_error *err)
{
    return e->fused ? gdn_chunked_fused(run, here.scratch, err)
                    : gdn_chunked_blas(run, here.blas, e->group, here.scratch, err);
}

/* What a run is about but for where its tokens lie. */
static gdn_chunk_run run_of(const engine *e)
{
    gdn_chunk_run r = {.recipe = e->recipe,
                       .heads = e->s.shape.heads,
                       .dk = e->s.shape.dk,
                       .dv = e->s.shape.dv,
                       .chunks = 1,
                       .rows = C,
                       .in = GDN_FP32,
                       .out = GDN_FP64,
                       .state = e->state};
    return r;
}

/* Gates of n tokens from t on; g and beta go to to_g and to_beta. */
static gdn_status gates_of(const engine *e, const gdn_block *in, const gdn_outputs *out, int t, int n,
                           float *to_g, float *to_beta, int64_t to_stride, gdn_error *err)
{
    gates c = {.recipe = e->recipe,
               .alpha = e->s.params.alpha,
               .beta_shift = e->s.params.beta_shift,
               .heads = e->s.shape.heads,
               .n = n,
               .stride = in->tokens,
               .rate = e->rate,
               .bias = e->bias,
               .a = in->a ? in->a + t : NULL,
               .g = in->g ? in->g + t : NULL,
               .b = in->b ? in->b + t : NULL,
               .beta = in->beta ? in->beta + t : NULL,
               .g_out = out->g ? out->g + t : NULL,
               .alpha_out = out->alpha ? out->alpha + t : NULL,
               .to_stride = to_stride,
               .to_g = to_g,
               .to_beta = to_beta};
    take_gates<<<blocks_for((int64_t)c.heads * n), THREADS, 0, cudaStreamPerThread>>>(c);
    return gdn_cuda_launched("gates of the chunked form", err);
}

static gdn_status keep(const engine *e, float *to, const float *from, int t, int n, int d, int tokens,
                       gdn_error *err)
{
    int heads = e->s.shape.heads;
    keep_rows<<<blocks_for((int64_t)heads * n * d), THREADS, 0, cudaStreamPerThread>>>(
        to + (int64_t)e->filled * d, from + (int64_t)t * d, heads, n, d, tokens);
    return gdn_cuda_launched("keeping an unfinished chunk", err);
}

/* Tokens t .. t + n - 1 join the unfinished chunk, which ends with them when `ends`. */
static gdn_status add_tokens(engine *e, const gdn_block *in, const gdn_outputs *out, double *o, int t, int n,
                             bool ends, gdn_error *err)
{
    int dk = e->s.shape.dk, dv = e->s.shape.dv;
    gdn_status status = gates_of(e, in, out, t, n, e->g + e->filled, e->beta + e->filled, C, err);
    if (!status)
        status = keep(e, e->q, in->q, t, n, dk, in->tokens, err);
    if (!status)
        status = keep(e, e->k, in->k, t, n, dk, in->tokens, err);
    if (!status)
        status = keep(e, e->v, in->v, t, n, dv, in->tokens, err);
    if (status)
        return status;
    gdn_chunk_run r = run_of(e);
    r.rows = e->filled + n;
    r.skip = e->filled;
    r.stride = r.gate_stride = C;
    r.q = e->q, r.k = e->k, r.v = e->v, r.g = e->g, r.beta = e->beta;
    r.o_stride = in->tokens;
    r.o = o ? o + (int64_t)(t - e->filled) * dv : NULL;
    r.state_out = ends ? e->state : NULL;
    e->filled = ends ? 0 : e->filled + n;
    return r.o || r.state_out ? compute(e, &r, err) : GDN_OK;
}

/* Whole chunks from token t on. */
static gdn_status whole_chunks(engine *e, const gdn_block *in, const gdn_outputs *out, double *o, int t,
                               int chunks, gdn_error *err)
{
    int64_t dk = e->s.shape.dk, dv = e->s.shape.dv;
    gdn_status status =
        gates_of(e, in, out, t, chunks * C, e->panel_g, e->panel_beta, (int64_t)chunks * C, err);
    if (status)
        return status;
    gdn_chunk_run r = run_of(e);
    r.chunks = chunks;
    r.stride = r.o_stride = in->tokens;
    r.gate_stride = (int64_t)chunks * C;
    r.q = in->q + t * dk, r.k = in->k + t * dk, r.v = in->v + t * dv;
    r.g = e->panel_g, r.beta = e->panel_beta;
    r.o = o ? o + t * dv : NULL;
    r.state_out = e->state;
    return compute(e, &r, err);
}

static gdn_status engine_advance(void *self, const gdn_block *in, const gdn_outputs *out, gdn_error *err)
{
    engine *e = (engine *)self;
    if (!e->s.recurrence)
        return gates_of(e, in, out, 0, in->tokens, NULL, NULL, 0, err);
    double *o = out->o ? out->o : out->y; /* y is made of o, in place where o is not wanted */
    gdn_status status = GDN_OK;
    for (int t = 0, n; t < in->tokens && !status; t += n) {
        int left = in->tokens - t, to_end = C - (int)((in->first + t - 1) % C);
        if (to_end == C && left >= C) {
            int chunks = left / C < e->panel ? left / C : e->panel;
            n = chunks * C;
            status = whole_chunks(e, in, out, o, t, chunks, err);
        } else {
            n = left < to_end ? left : to_end;
            status = add_tokens(e, in, out, o, t, n, n == to_end, err);
        }
    }
    if (!status && out->y)
        status = gdn_cuda_out_norm(&e->recipe, o, in->z, e->w, (int64_t)e->s.shape.heads * in->tokens,
                                   e->s.shape.dv, out->y, err);
    return status;
}

static gdn_status engine_read_state(void *self, double *hi, double *lo, gdn_error *err)
{
    (void)lo;
    engine *e = (engine *)self;
    size_t n = (size_t)e->s.shape.heads * (size_t)e->s.shape.dk * (size_t)e->s.shape.dv;
    float *state = e->state, *copy = NULL;
    gdn_status status = GDN_OK;
    if (e->filled > 0) {
        status = gdn_cuda_calloc((void **)&copy, n, sizeof *copy, "the state in a chunk", err);
        gdn_chunk_run r = run_of(e);
        r.rows = e->filled;
        r.stride = r.gate_stride = C;
        r.q = e->q, r.k = e->k, r.v = e->v, r.g = e->g, r.beta = e->beta;
        r.state_out = state = copy;
        if (!status)
            status = compute(e, &r, err);
    }
    if (!status) {
        widen<<<blocks_for((int64_t)n), THREADS, 0, cudaStreamPerThread>>>(hi, state, n);
        status = gdn_cuda_launched("reading the state", err);
    }
    gdn_cuda_free(copy);
    return status;
}

extern "C" gdn_status gdn_chunked_cuda_tokens(void *self, int n, gdn_format_id in, const void *q,
                                              const void *k, const void *v, const float *g, const float *beta,
                                              gdn_format_id out, void *o, gdn_error *err)
{
    engine *e = (engine *)self;
    if (n % C != 0 || e->filled > 0)
        return gdn_fail(err, GDN_BAD_INPUT, "%d tokens: whole chunks of %d are wanted here", n, C);
    int64_t dk = e->s.shape.dk, dv = e->s.shape.dv, size_in = in == GDN_BF16 ? 2 : 4,
            size_out = out == GDN_BF16 ? 2 : 4;
    gdn_status status = GDN_OK;
    for (int64_t t = 0; t < n && !status; t += (int64_t)e->panel * C) {
        gdn_chunk_run r = run_of(e);
        r.chunks = (n - t) / C < e->panel ? (int)((n - t) / C) : e->panel;
        r.in = in, r.out = out;
        r.stride = r.gate_stride = r.o_stride = n;
        r.q = (const char *)q + t * dk * size_in;
        r.k = (const char *)k + t * dk * size_in;
        r.v = (const char *)v + t * dv * size_in;
        r.g = g + t, r.beta = beta + t;
        r.o = o ? (char *)o + t * dv * size_out : NULL;
        r.state_out = e->state;
        status = compute(e, &r, err);
    }
    return status;
}

extern const gdn_engine gdn_chunked_cuda_engine = {
    .name = "chunked-cuda",
    .summary = "the chunked recipes on a GPU, in its own arithmetic",
    .pairs = false,
    .open = engine_open,
    .advance = engine_advance,
    .read_state = engine_read_state,
    .close = engine_close,
};
