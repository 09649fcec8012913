/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inputs -- synthetic tensors made on the device; base/inputs.h defines them, inputs.c is the twin.
 *
 * The elements of a block of one head and stream have consecutive indices, so a thread makes the eight that
 * share a draw.
 */
#include <Random123/philox.h>
#include <cuda_runtime.h>
#include <pthread.h>

#include "base/cuda.h"
#include "base/inputs_step.h"

/* What becomes of the normal values of a row. */
enum rule { AS_DRAWN, ZERO_FROM, ZERO_FIRST, AFFINE };

/* One tensor of a block, [heads][tokens][d]. */
struct drawn {
    float *out;
    int heads, tokens, d;
    int64_t first;
    uint64_t seed;
    gdn_stream stream;
    int group; /* head h draws what head h / group would draw */
    bool once; /* the same row at every token */
    rule how;
    int from; /* ZERO_FROM: components from here on are zero */
    double mean, scale;
    const uint16_t *quantiles; /* [65536] */
};

/* element: of the block of head h, token major */
__device__ static void put(const drawn &x, int h, uint64_t element, float value)
{
    int i = (int)(element % (uint64_t)x.d);
    if ((x.how == ZERO_FROM && i >= x.from) || (x.how == ZERO_FIRST && i == 0))
        value = 0;
    if (x.how == AFFINE)
        value = gdn_affine(x.mean, x.scale, value);
    x.out[(uint64_t)h * (uint64_t)x.tokens * (uint64_t)x.d + element] = value;
}

/* Eight elements a thread; block y walks over the heads. */
__global__ static void draw(drawn x)
{
    uint64_t n = (uint64_t)x.tokens * (uint64_t)x.d, start = (uint64_t)x.first * (uint64_t)x.d;
    uint64_t octet = start / 8 + blockIdx.x * (uint64_t)blockDim.x + threadIdx.x;
    if (octet > (start + n - 1) / 8)
        return;
    for (int h = (int)blockIdx.y; h < x.heads; h += (int)gridDim.y) {
        uint32_t r[4];
        gdn_random_words(x.seed, x.stream, (uint32_t)(h / x.group), octet, r);
        for (uint64_t e = 8 * octet; e < 8 * octet + 8; e++)
            if (e >= start && e < start + n)
                put(x, h, e - start, gdn_normal_of(r, e, x.quantiles));
    }
}

/* The same row at every token: element e of the stream is component e. */
__global__ static void draw_once(drawn x)
{
    uint64_t n = (uint64_t)x.tokens * (uint64_t)x.d;
    uint64_t element = blockIdx.x * (uint64_t)blockDim.x + threadIdx.x;
    for (int h = (int)blockIdx.y; h < x.heads && element < n; h += (int)gridDim.y) {
        uint32_t r[4];
        uint64_t e = element % (uint64_t)x.d;
        gdn_random_words(x.seed, x.stream, (uint32_t)(h / x.group), e / 8, r);
        put(x, h, element, gdn_normal_of(r, e, x.quantiles));
    }
}

/* Rows that are unit axes. */
enum axis { AXIS_FIRST, AXIS_FIRST_AT_1, AXIS_UNIFORM, AXIS_ZIPF };
struct axes {
    float *out; /* [heads][tokens][dk] */
    int heads, tokens, dk;
    int64_t first;
    uint64_t seed;
    gdn_stream stream;
    int group; /* as in drawn */
    axis which;
    double cdf[GDN_MAX_DIM];
};

/* A warp a row. */
__global__ static void unit_axes(const __grid_constant__ axes x)
{
    uint64_t row = (blockIdx.x * (uint64_t)blockDim.x + threadIdx.x) / 32;
    if (row >= (uint64_t)x.heads * (uint64_t)x.tokens)
        return;
    int64_t t = x.first + (int64_t)(row % (uint64_t)x.tokens);
    uint32_t h = (uint32_t)(row / (uint64_t)x.tokens);
    if (x.which == AXIS_FIRST_AT_1 && t != 1)
        return;
    int one = 0;
    if (x.which == AXIS_UNIFORM || x.which == AXIS_ZIPF) {
        double u = gdn_uniform_at(x.seed, x.stream, h / (uint32_t)x.group, (uint64_t)t);
        one = x.which == AXIS_UNIFORM ? (int)(u * x.dk) : gdn_zipf_axis(x.cdf, x.dk, u);
    }
    for (int i = (int)threadIdx.x % 32; i < x.dk; i += 32)
        x.out[row * (uint64_t)x.dk + (uint64_t)i] = i == one ? 1.0f : 0.0f;
}

enum { THREADS = 256 };

static unsigned blocks(uint64_t n)
{
    return (unsigned)((n + THREADS - 1) / THREADS);
}

static void launch_draw(const drawn *x)
{
    uint64_t n = (uint64_t)x->tokens * (uint64_t)x->d;
    unsigned y = x->heads < 65535 ? (unsigned)x->heads : 65535u;
    if (!x->out)
        return;
    if (x->once)
        draw_once<<<dim3(blocks(n), y), THREADS, 0, cudaStreamPerThread>>>(*x);
    else
        draw<<<dim3(blocks(n / 8 + 2), y), THREADS, 0, cudaStreamPerThread>>>(*x);
}

static void launch_axes(const axes *x)
{
    if (x->out)
        unit_axes<<<blocks((uint64_t)x->heads * (uint64_t)x->tokens * 32), THREADS, 0, cudaStreamPerThread>>>(
            *x);
}

/* The quantile table in device memory, brought there once. */
static gdn_status table(const uint16_t **out, gdn_error *err)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static void *there = NULL;
    const size_t bytes = sizeof(uint16_t) << 16;
    gdn_status status = GDN_OK;
    pthread_mutex_lock(&lock);
    if (!there) { /* published only once its bytes are there: other threads have other streams */
        void *made = NULL;
        status = gdn_cuda_status(cudaMalloc(&made, bytes), "cudaMalloc of the quantile table", err);
        if (!status)
            status = gdn_cuda_to_device(made, gdn_quantile_table(), bytes, err);
        if (!status)
            status = gdn_cuda_finish(err);
        if (status)
            cudaFree(made);
        else
            there = made;
    }
    *out = (const uint16_t *)there;
    pthread_mutex_unlock(&lock);
    return status;
}

/* A row, a block: z in, its Walsh sums out. x: [rows][dk] */
__global__ void spread(float *x, int dk, int rank)
{
    __shared__ float z[GDN_MAX_DIM];
    x += (size_t)blockIdx.x * (size_t)dk;
    for (int i = (int)threadIdx.x; i < rank; i += (int)blockDim.x)
        z[i] = x[i];
    __syncthreads();
    for (int i = (int)threadIdx.x; i < dk; i += (int)blockDim.x)
        x[i] = gdn_walsh_sum(z, rank, dk, i);
}

/* Keys or queries. */
static void rows(const gdn_input_spec *spec, drawn x, bool query)
{
    x.group = spec->group > 1 ? spec->group : 1;
    axes u = {.out = x.out,
              .heads = x.heads,
              .tokens = x.tokens,
              .dk = x.d,
              .first = x.first,
              .seed = x.seed,
              .stream = query ? GDN_STREAM_QUERY_CHOICE : GDN_STREAM_KEY_CHOICE,
              .group = x.group,
              .which = AXIS_FIRST};
    switch (spec->keys) {
    case GDN_KEYS_ZIPF:
        u.which = query ? AXIS_UNIFORM : AXIS_ZIPF;
        gdn_zipf_weights(spec->zipf_half_steps, x.d, u.cdf);
        launch_axes(&u);
        return;
    case GDN_KEYS_NEEDLE:
        if (!query) {
            x.how = ZERO_FIRST;
            launch_draw(&x);
            u.which = AXIS_FIRST_AT_1;
        }
        launch_axes(&u);
        return;
    case GDN_KEYS_LOW_RANK:
        x.how = ZERO_FROM;
        x.from = spec->rank;
        break;
    case GDN_KEYS_SPREAD:
        launch_draw(&x);
        if (x.out)
            spread<<<(unsigned)x.heads *(unsigned)x.tokens, 128, 0, cudaStreamPerThread>>>(x.out, x.d,
                                                                                           spec->rank);
        return;
    default:
        x.once = spec->keys == GDN_KEYS_REPEATED && !query;
    }
    launch_draw(&x);
}

extern "C" gdn_status gdn_inputs_cuda_fill(const gdn_input_spec *spec, const gdn_shape *shape, uint64_t seed,
                                           int64_t first, int tokens, float *q, float *k, float *v, float *z,
                                           float *a, float *b, gdn_error *err)
{
    drawn x = {
        .heads = shape->heads, .tokens = tokens, .first = first, .seed = seed, .group = 1, .how = AS_DRAWN};
    gdn_status status = table(&x.quantiles, err);
    if (status)
        return status;
    x.d = shape->dk;
    x.out = q;
    x.stream = GDN_STREAM_Q;
    rows(spec, x, true);
    x.out = k;
    x.stream = GDN_STREAM_K;
    rows(spec, x, false);
    x.d = shape->dv;
    x.out = z;
    x.stream = GDN_STREAM_Z;
    launch_draw(&x);
    x.out = v;
    x.stream = GDN_STREAM_V;
    x.once = spec->values == GDN_VALUES_COHERENT;
    launch_draw(&x);
    x.once = false;
    x.d = 1;
    x.how = AFFINE;
    x.out = a;
    x.stream = GDN_STREAM_A;
    x.mean = spec->a_mean;
    x.scale = spec->a_scale;
    launch_draw(&x);
    x.out = b;
    x.stream = GDN_STREAM_B;
    x.mean = spec->b_mean;
    x.scale = spec->b_scale;
    launch_draw(&x);
    return gdn_cuda_launched("making inputs", err);
}
