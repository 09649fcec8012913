/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_cuda -- what a token of a head costs on the device, beside the device's own limits; see bench.h.
 *
 * A head-token is one token of one head at d_k = d_v = 128. An engine advances over one block of device
 * memory far larger than the L2 cache; events around it give its time. Limits: independent chains of fused
 * multiply-adds in fp32 and fp64, and a copy. An engine that does n multiply-add slots an element of the
 * state is held against rate / (n 128 128), and one that moves b bytes a head-token against bandwidth / b;
 * the smaller is its limit.
 */
#include <cuda_runtime.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics.h>
#include <jansson.h>
#include <string.h>

#include "base/cuda.h"
#include "base/inputs.h"
#include "harness/bench_cuda.h"
#include "kernels/recipe.h"

static const int D = 128, MAX_REPEATS = 99;

/* ---- limits ---- */

static const int CHAINS = 8, ROUNDS = 4096;

template <typename T> __global__ static void fma_chains(T *out, T c, T d)
{
    T x[CHAINS];
    for (int i = 0; i < CHAINS; i++)
        x[i] = (T)((int)threadIdx.x + i);
    for (int r = 0; r < ROUNDS; r++)
#pragma unroll
        for (int i = 0; i < CHAINS; i++)
            x[i] = fma(x[i], c, d);
    T sum = 0;
    for (int i = 0; i < CHAINS; i++)
        sum += x[i];
    if (sum == (T)12345.678)
        *out = sum; /* never, but the compiler cannot know */
}

__global__ static void copy(const float4 *from, float4 *to, size_t n)
{
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += gridDim.x * (size_t)blockDim.x)
        to[i] = from[i];
}

typedef struct stopwatch {
    cudaEvent_t start, stop;
} stopwatch;

static gdn_status begin(stopwatch *w, gdn_error *err)
{
    return gdn_cuda_status(cudaEventRecord(w->start, cudaStreamPerThread), "cudaEventRecord", err);
}

/* Milliseconds since begin(), on the device. */
static gdn_status end(stopwatch *w, double *ms, gdn_error *err)
{
    float t = 0;
    gdn_status status =
        gdn_cuda_status(cudaEventRecord(w->stop, cudaStreamPerThread), "cudaEventRecord", err);
    if (!status)
        status = gdn_cuda_status(cudaEventSynchronize(w->stop), "cudaEventSynchronize", err);
    if (!status)
        status = gdn_cuda_status(cudaEventElapsedTime(&t, w->start, w->stop), "cudaEventElapsedTime", err);
    *ms = t;
    return status;
}

typedef struct limits {
    double fp32, fp64, bandwidth; /* fma/s, fma/s, bytes/s */
} limits;

/* The best of a few tries each. */
static gdn_status measure_limits(stopwatch *w, const gdn_cuda_info *info, limits *l, gdn_error *err)
{
    const int THREADS = 256, TRIES = 5;
    const size_t bytes = (size_t)1 << 30;
    const unsigned grid = 16u * (unsigned)info->multiprocessors;
    const double fmas = (double)grid * THREADS * CHAINS * ROUNDS;
    void *from = NULL, *to = NULL;
    *l = {0, 0, 0};
    gdn_status status = gdn_cuda_calloc(&from, bytes, 1, "a copy", err);
    if (!status)
        status = gdn_cuda_calloc(&to, bytes, 1, "a copy", err);
    for (int i = 0; i < TRIES && !status; i++) {
        double ms[3] = {0, 0, 0};
        status = begin(w, err);
        fma_chains<<<grid, THREADS, 0, cudaStreamPerThread>>>((float *)to, 0.999f, 1e-3f);
        if (!status)
            status = end(w, &ms[0], err);
        if (!status)
            status = begin(w, err);
        fma_chains<<<grid, THREADS, 0, cudaStreamPerThread>>>((double *)to, 0.999, 1e-3);
        if (!status)
            status = end(w, &ms[1], err);
        if (!status)
            status = begin(w, err);
        copy<<<grid, 1024, 0, cudaStreamPerThread>>>((const float4 *)from, (float4 *)to, bytes / 16);
        if (!status)
            status = end(w, &ms[2], err);
        if (!status)
            status = gdn_cuda_launched("measuring limits", err);
        l->fp32 = fmax(l->fp32, fmas / ms[0] * 1e3);
        l->fp64 = fmax(l->fp64, fmas / ms[1] * 1e3);
        l->bandwidth = fmax(l->bandwidth, 2 * (double)bytes / ms[2] * 1e3);
    }
    gdn_cuda_free(from);
    gdn_cuda_free(to);
    return status;
}

/* ---- cases ---- */

/* Multiply-add slots an element of the state and token, and what they run on. */
enum unit { FP32, FP64, TENSOR };
struct gdn_bench_cuda_case_ {
    const char *name;
    const gdn_engine *engine;
    const char *recipe;
    int heads, tokens, columns; /* columns: 0 for all */
    double slots;
    unit on;
};
typedef gdn_bench_cuda_case_ bench_case;

static const bench_case cases[] = {
    {"recurrent fp32", &gdn_recurrent_cuda_engine, "fp32", 2048, 2048, 0, 4, FP32},
    {"recurrent fp32", &gdn_recurrent_cuda_engine, "fp32", 32, 32768, 0, 4, FP32},
    {"recurrent fp32", &gdn_recurrent_cuda_engine, "fp32", 64, 8192, 0, 4, FP32},
    {"recurrent bf16-io", &gdn_recurrent_cuda_engine, "bf16-io", 2048, 2048, 0, 4, FP32},
    {"recurrent bf16-io", &gdn_recurrent_cuda_engine, "bf16-io", 32, 32768, 0, 4, FP32},
    {"recurrent bf16-state", &gdn_recurrent_cuda_engine, "bf16-state", 1024, 1024, 0, 4, FP32},
    {"recurrent bf16-state-sr", &gdn_recurrent_cuda_engine, "bf16-state-sr", 1024, 1024, 0, 4, FP32},
    {"recurrent bf16", &gdn_recurrent_cuda_engine, "bf16", 1024, 1024, 0, 4, FP32},
    {"fp64", &gdn_fp64_cuda_engine, NULL, 1024, 1024, 0, 4, FP64},
    {"fp64", &gdn_fp64_cuda_engine, NULL, 64, 4096, 0, 4, FP64},
    {"double-double", &gdn_dd_cuda_engine, NULL, 1024, 256, 0, 55, FP64},
    {"double-double, 8 columns", &gdn_dd_cuda_engine, NULL, 1024, 1024, 8, 55, FP64},
    {"double-double, 8 columns", &gdn_dd_cuda_engine, NULL, 64, 4096, 8, 55, FP64},
    {"chunk-fp32", &gdn_chunked_cuda_engine, "chunk-fp32", 512, 2048, 0, 0, TENSOR},
    {"chunk-tf32", &gdn_chunked_cuda_engine, "chunk-tf32", 512, 2048, 0, 0, TENSOR},
    {"chunk-bf16", &gdn_chunked_cuda_engine, "chunk-bf16", 512, 4096, 0, 0, TENSOR},
};

/* Device memory of one case. */
typedef struct memory {
    void *q, *k, *v, *a, *b, *o, *o_lo;
} memory;

static void release(memory *m)
{
    void *all[] = {m->q, m->k, m->v, m->a, m->b, m->o, m->o_lo};
    for (void *p : all)
        gdn_cuda_free(p);
}

static gdn_status make(const bench_case *c, memory *m, gdn_error *err)
{
    const gdn_input_spec spec = {.keys = GDN_KEYS_ISOTROPIC, .a_scale = 1, .b_scale = 1};
    const gdn_shape shape = {c->heads, D, D};
    size_t n = (size_t)c->heads * (size_t)c->tokens;
    size_t columns = c->columns ? (size_t)c->columns : (size_t)D;
    struct {
        void **p;
        size_t count, size;
    } want[] = {{&m->q, n * D, 4},
                {&m->k, n * D, 4},
                {&m->v, n * D, 4},
                {&m->a, n, 4},
                {&m->b, n, 4},
                {&m->o, n * columns, 8},
                {&m->o_lo, c->engine->pairs ? n * columns : 1, 8}};
    gdn_status status = GDN_OK;
    for (auto &w : want)
        if (!status)
            status = gdn_cuda_calloc(w.p, w.count, w.size, "a benchmark", err);
    return status ? status
                  : gdn_inputs_cuda_fill(&spec, &shape, 1, 1, c->tokens, (float *)m->q, (float *)m->k,
                                         (float *)m->v, NULL, (float *)m->a, (float *)m->b, err);
}

static gdn_status open_engine(const bench_case *c, double *parameters, int *columns, void **self,
                              gdn_error *err)
{
    for (int h = 0; h < c->heads; h++) {
        parameters[h] = -1.3;
        parameters[c->heads + h] = -4;
    }
    for (int j = 0; j < c->columns; j++)
        columns[j] = (2 * j + 1) * D / (2 * c->columns);
    gdn_setup setup = {.shape = {c->heads, D, D},
                       .params = {.decay = parameters, .dt_bias = parameters + c->heads, .alpha = GDN_FP64},
                       .columns = c->columns ? columns : NULL,
                       .ncolumns = c->columns ? c->columns : D,
                       .recurrence = true,
                       .seed = 1,
                       .recipe = c->recipe ? gdn_recipe_by_name(c->recipe) : NULL};
    return c->engine->open(self, &setup, err);
}

/* Milliseconds of advancing over all tokens, sorted. ms: [repeats] */
static gdn_status time_case(const bench_case *c, stopwatch *w, int repeats, double *ms, gdn_error *err)
{
    memory m = {0};
    void *self = NULL;
    int columns[D];
    double *parameters = (double *)gdn_calloc(2ul * (unsigned long)c->heads, sizeof *parameters);
    gdn_status status = parameters ? make(c, &m, err) : gdn_no_memory(err, "a benchmark");
    if (!status)
        status = open_engine(c, parameters, columns, &self, err);
    gdn_block in = {.first = 1,
                    .tokens = c->tokens,
                    .q = (float *)m.q,
                    .k = (float *)m.k,
                    .v = (float *)m.v,
                    .a = (float *)m.a,
                    .b = (float *)m.b};
    gdn_outputs out = {.o = (double *)m.o, .o_lo = c->engine->pairs ? (double *)m.o_lo : NULL};
    for (int r = -2; r < repeats && !status; r++) { /* the first two warm up */
        double t = 0;
        status = begin(w, err);
        if (!status)
            status = c->engine->advance(self, &in, &out, err);
        if (!status)
            status = end(w, &t, err);
        if (r >= 0)
            ms[r] = t;
        in.first += c->tokens;
    }
    c->engine->close(self);
    release(&m);
    free(parameters);
    if (!status)
        gsl_sort(ms, 1, (size_t)repeats);
    return status;
}

/* Head-tokens a second that the device's limits allow. */
static double limit_of(const bench_case *c, const limits *l)
{
    double columns = c->columns ? c->columns : D;
    double bytes = 4 * (2 * D + columns) + 8 * columns * (c->engine->pairs ? 2 : 1);
    double memory = l->bandwidth / bytes;
    double arithmetic =
        c->on == TENSOR ? memory : (c->on == FP32 ? l->fp32 : l->fp64) / (c->slots * D * columns);
    return memory < arithmetic ? memory : arithmetic;
}

static gdn_status run_cases(const gdn_bench_options *o, stopwatch *w, const limits *l, json_t *results,
                            FILE *text, gdn_error *err)
{
    double ms[MAX_REPEATS];
    gdn_status status = GDN_OK;
    if (text)
        fprintf(text, "%-26s %6s %7s %10s %22s %10s\n", "engine", "heads", "T", "median ms",
                "M head-tokens/s", "of limit");
    for (const bench_case &c : cases) {
        if (status || (o->filter && !strstr(c.name, o->filter)))
            continue;
        status = time_case(&c, w, o->repeats, ms, err);
        if (status)
            break;
        double median = gsl_stats_median_from_sorted_data(ms, 1, (size_t)o->repeats);
        double rate = (double)c.heads * c.tokens / median * 1e3, share = rate / limit_of(&c, l);
        if (text)
            fprintf(text, "%-26s %6d %7d %10.3f %22.1f %8.0f %%\n", c.name, c.heads, c.tokens, median,
                    rate / 1e6, 100 * share);
        json_array_append_new(results, json_pack("{s:s, s:i, s:i, s:i, s:f, s:f, s:f, s:f}", "name", c.name,
                                                 "heads", c.heads, "tokens", c.tokens, "columns",
                                                 c.columns ? c.columns : D, "ms", median, "ms_minimum", ms[0],
                                                 "head_tokens_per_s", rate, "share_of_limit", share));
    }
    return status;
}

extern "C" gdn_status gdn_bench_cuda(const gdn_bench_options *o, int device, json_t *results,
                                     json_t *limits_out, FILE *text, gdn_error *err)
{
    gdn_cuda_info info;
    stopwatch w = {0};
    limits l = {0, 0, 0};
    gdn_status status = gdn_cuda_open(device, &info, err);
    if (!status)
        status = gdn_cuda_status(cudaEventCreate(&w.start), "cudaEventCreate", err);
    if (!status)
        status = gdn_cuda_status(cudaEventCreate(&w.stop), "cudaEventCreate", err);
    if (!status)
        status = measure_limits(&w, &info, &l, err);
    if (!status && text)
        fprintf(text,
                "%s, %d multiprocessors; limits measured now: %.1f T fma/s fp32, %.1f T fma/s fp64, "
                "%.0f GB/s read + written\n"
                "a head-token is one token of one head at d_k = d_v = 128; medians of %d\n\n",
                info.name, info.multiprocessors, l.fp32 / 1e12, l.fp64 / 1e12, l.bandwidth / 1e9, o->repeats);
    if (!status)
        json_array_append_new(limits_out,
                              json_pack("{s:s, s:f, s:f, s:f}", "device", info.name, "fp32_fma_per_s", l.fp32,
                                        "fp64_fma_per_s", l.fp64, "bytes_per_s", l.bandwidth));
    if (!status)
        status = run_cases(o, &w, &l, results, text, err);
    if (w.start)
        cudaEventDestroy(w.start);
    if (w.stop)
        cudaEventDestroy(w.stop);
    return status;
}
