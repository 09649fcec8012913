/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunked_blas -- the chunked form of any shape and recipe, a chunk at a time: matrix products by cuBLAS,
 * batched over heads, and small kernels between them; chunked.h has the formulas.
 *
 * Matrices are padded with zeros to 64 tokens and to multiples of 16 columns (kp, vp). Operands lie in bf16
 * where products are in bf16, else in fp32; tf32 operands are cut off to 11 bits before cuBLAS sees them.
 */
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "base/cuda.h"
#include "kernels/chunked_cuda.h"
#include "kernels/chunked_device.h"
#include "kernels/norm.h"

enum { C = GDN_CHUNK, BLOCK = GDN_CHUNK_BLOCK, THREADS = 256, WARPS = THREADS / 32, LD = C + 1 };

/* The scratch of a group of heads, an array each. `operand`: bf16 or float as the products want. */
typedef struct workspace {
    int kp, vp;
    gdn_format_id product;
    float *sum, *cleared, *decay, *after; /* [H][64]: G, how often it started again, exp(G), exp(G_C - G) */
    void *q, *k, *wb;                     /* [H][64][kp] operands q^, k^, beta exp(G) k^ */
    void *vb;                             /* [H][64][vp] beta v, operand of U */
    float *kk, *qk;                       /* [H][64][64] k^ k^T, q^ k^T */
    void *p, *mo;                         /* [H][64][64] operands P, M */
    float *m;                             /* [H][64][64] M */
    float *u, *ws;                        /* [H][64][vp] U; W S, then P V' */
    void *w;                              /* [H][64][kp] operand W */
    void *v, *va;                         /* [H][64][vp] operands V', V' exp(G_C - G) */
    float *qs;                            /* [H][64][vp] q^ S */
    void *s;                              /* [H][kp][vp] operand S */
    float *ks;                            /* [H][kp][vp] k^T V' exp(G_C - G) */
} workspace;

/* What a chunk of a group of heads is about. */
typedef struct chunk {
    gdn_chunk_run r; /* pointers stand at the group's first head and the chunk's first token */
    workspace w;
    int rows, skip; /* tokens in it; those whose outputs are known */
    bool first;     /* of the run: the state is not yet there as operand */
    bool plain;     /* the state is its own operand: fp32 and no padding */
} chunk;

/* Cut count elements off the scratch; 256 bytes aligned. */
static void *cut(char *from, size_t *used, size_t count, size_t size)
{
    void *p = from ? from + *used : NULL;
    *used += (count * size + 255) / 256 * 256;
    return p;
}

static size_t lay(workspace *w, gdn_format_id product, int dk, int dv, size_t H, void *scratch)
{
    size_t used = 0, operand = product == GDN_BF16 ? 2 : 4;
    char *at = (char *)scratch;
    w->kp = (dk + 15) / 16 * 16;
    w->vp = (dv + 15) / 16 * 16;
    w->product = product;
    size_t keys = H * C * w->kp, values = H * C * w->vp, square = H * C * C, state = H * w->kp * w->vp;
    w->sum = (float *)cut(at, &used, H * C, 4);
    w->cleared = (float *)cut(at, &used, H * C, 4);
    w->decay = (float *)cut(at, &used, H * C, 4);
    w->after = (float *)cut(at, &used, H * C, 4);
    w->q = cut(at, &used, keys, operand);
    w->k = cut(at, &used, keys, operand);
    w->wb = cut(at, &used, keys, operand);
    w->vb = cut(at, &used, values, operand);
    w->kk = (float *)cut(at, &used, square, 4);
    w->qk = (float *)cut(at, &used, square, 4);
    w->p = cut(at, &used, square, operand);
    w->mo = cut(at, &used, square, operand);
    w->m = (float *)cut(at, &used, square, 4);
    w->u = (float *)cut(at, &used, values, 4);
    w->ws = (float *)cut(at, &used, values, 4);
    w->w = cut(at, &used, keys, operand);
    w->v = cut(at, &used, values, operand);
    w->va = cut(at, &used, values, operand);
    w->qs = (float *)cut(at, &used, values, 4);
    w->s = cut(at, &used, state, operand);
    w->ks = (float *)cut(at, &used, state, 4);
    return used;
}

extern "C" size_t gdn_chunked_blas_bytes(const gdn_recipe *recipe, int dk, int dv)
{
    workspace w;
    return lay(&w, recipe->product, dk, dv, 1, NULL);
}

/* ---- device ---- */

static __device__ __forceinline__ float cut_tf32(float x)
{
    return __uint_as_float(__float_as_uint(x) & 0xffffe000u);
}

/* Element i of an array of operands becomes x. */
static __device__ __forceinline__ void put(gdn_format_id product, void *to, size_t i, float x)
{
    if (product == GDN_BF16)
        ((__nv_bfloat16 *)to)[i] = __float2bfloat16_rn(x);
    else
        ((float *)to)[i] = product == GDN_TF32 ? cut_tf32(x) : x;
}

/* A float in a recipe's format. */
static __device__ __forceinline__ float rested(gdn_format_id f, float x)
{
    return f == GDN_FP32 ? x : f == GDN_BF16 ? gdn_bf16_round(x) : gdn_op_round(f, x);
}

/* Element i of q, k or v, in the recipe's input format. */
static __device__ __forceinline__ float taken(const gdn_chunk_run &r, const void *from, size_t i)
{
    float x =
        r.in == GDN_BF16 ? __bfloat162float(((const __nv_bfloat16 *)from)[i]) : ((const float *)from)[i];
    return rested(r.recipe.input, x);
}

static __device__ __forceinline__ void put_output(const gdn_chunk_run &r, size_t i, float x)
{
    x = rested(r.recipe.output, x);
    if (r.out == GDN_FP64)
        ((double *)r.o)[i] = x;
    else if (r.out == GDN_FP32)
        ((float *)r.o)[i] = x;
    else
        ((__nv_bfloat16 *)r.o)[i] = __float2bfloat16_rn(x);
}

/* G of a head, how often it started again, exp(G) and exp(G_C - G); a warp a head. */
static __global__ void sums(const __grid_constant__ chunk c)
{
    size_t h = (size_t)blockIdx.x * WARPS + threadIdx.x / 32;
    int lane = (int)threadIdx.x % 32, t = 2 * lane;
    if (h >= (size_t)c.r.heads)
        return;
    const float *g = c.r.g + h * c.r.gate_stride;
    gdn_chunk_sums s = gdn_chunk_scan(lane, t < c.rows ? g[t] : 0, t + 1 < c.rows ? g[t + 1] : 0);
    for (int x = 0; x < 2; x++) {
        size_t at = h * C + t + x;
        c.w.sum[at] = s.sum[x];
        c.w.cleared[at] = s.cleared[x];
        c.w.decay[at] = s.cleared[x] > 0 ? 0 : expf(s.sum[x]);
        c.w.after[at] = s.cleared[x] < s.last_cleared ? 0 : expf(s.last - s.sum[x]);
    }
}

static __device__ float warp_sum(float x)
{
    for (int m = 16; m > 0; m /= 2)
        x += __shfl_xor_sync(~0u, x, m);
    return x;
}

/* 1 / |x| of a row of q or k */
static __device__ __forceinline__ float l2_rstd(const gdn_recipe &r, int dk, float squares)
{
    return r.l2norm == GDN_L2_SUM_EPS ? 1 / sqrtf(squares + (float)GDN_NORM_EPS)
                                      : gdn_l2_rstd(r.op, r.math, r.l2norm, dk, squares);
}

/* q^, k^, beta exp(G) k^ and beta v of a token a warp; zeros beyond the chunk's tokens. */
static __global__ void __launch_bounds__(THREADS) take_rows(const __grid_constant__ chunk c)
{
    size_t at = (size_t)blockIdx.x * WARPS + threadIdx.x / 32;
    int lane = (int)threadIdx.x % 32, row = (int)(at % C), dk = c.r.dk, dv = c.r.dv;
    size_t h = at / C;
    if (h >= (size_t)c.r.heads)
        return;
    bool there = row < c.rows;
    size_t from = there ? h * c.r.stride + row : 0;
    const gdn_recipe &recipe = c.r.recipe;
    float qq = 0, kk = 0, beta = there ? c.r.beta[h * c.r.gate_stride + row] : 0, decay = c.w.decay[at];
    for (int i = lane; there && i < dk; i += 32) {
        float q = taken(c.r, c.r.q, from * dk + i), k = taken(c.r, c.r.k, from * dk + i);
        qq = fmaf(q, q, qq);
        kk = fmaf(k, k, kk);
    }
    float q_rstd = l2_rstd(recipe, dk, warp_sum(qq)), k_rstd = l2_rstd(recipe, dk, warp_sum(kk));
    for (int i = lane; i < c.w.kp; i += 32) {
        bool live = there && i < dk;
        float q = live ? rested(recipe.qk, taken(c.r, c.r.q, from * dk + i) * q_rstd) : 0;
        float k = live ? rested(recipe.qk, taken(c.r, c.r.k, from * dk + i) * k_rstd) : 0;
        size_t to = at * c.w.kp + i;
        put(c.w.product, c.w.q, to, q);
        put(c.w.product, c.w.k, to, k);
        put(c.w.product, c.w.wb, to, k * beta * decay);
    }
    for (int j = lane; j < c.w.vp; j += 32) {
        float v = there && j < dv ? taken(c.r, c.r.v, from * dv + j) * beta : 0;
        put(c.w.product == GDN_BF16 ? GDN_BF16 : GDN_FP32, c.w.vb, at * c.w.vp + j, v);
    }
}

/* x as operand of the inverse's own products: tf32, unless all is fp32 or the inverse has a format. */
static __device__ __forceinline__ float inner(bool whole, float x)
{
    return whole ? x : cut_tf32(x);
}

/*
 * P and M of a head: L in shared memory becomes M in place, a block of 16 rows after the other. In block row
 * r the diagonal block is inverted by forward substitution, X_rc = sum over m of L_rm M_mc takes the place of
 * L_rc, and M_rc = -M_rr X_rc that of X.
 */
static __global__ void __launch_bounds__(THREADS) invert(const __grid_constant__ chunk c)
{
    __shared__ float l[C][LD], x[BLOCK][LD], sum[C], cleared[C];
    const gdn_format_id product = c.w.product, rest = c.r.recipe.inverse;
    const bool whole = product == GDN_FP32 || rest != GDN_FP64;
    size_t h = blockIdx.x;
    int t = (int)threadIdx.x;
    if (t < C) {
        sum[t] = c.w.sum[h * C + t];
        cleared[t] = c.w.cleared[h * C + t];
    }
    __syncthreads();
    for (int e = t; e < C * C; e += THREADS) {
        int i = e / C, j = e % C;
        float decay = cleared[i] > cleared[j] ? 0 : expf(sum[i] - sum[j]);
        float beta = i < c.rows ? c.r.beta[h * c.r.gate_stride + i] : 0;
        l[i][j] = j < i ? gdn_device_round(rest, c.w.kk[h * C * C + e] * decay * beta) : 0;
        put(product, c.w.p, h * C * C + e, j <= i ? c.w.qk[h * C * C + e] * decay : 0);
    }
    __syncthreads();
    for (int first = 0; first < C; first += BLOCK) {
        for (int e = t; e < BLOCK * first; e += THREADS) {
            int i = first + e / first, j = e % first;
            float y = 0;
            for (int m = j / BLOCK * BLOCK; m < first; m++)
                y = fmaf(inner(whole, l[i][m]), inner(whole, l[m][j]), y);
            x[e / first][j] = gdn_device_round(rest, y);
        }
        __syncthreads();
        if (t < BLOCK) { /* column t of the diagonal block */
            float y[BLOCK];
#pragma unroll
            for (int i = 0; i < BLOCK; i++) {
                float s = 0;
#pragma unroll
                for (int m = 0; m < i; m++)
                    s = fmaf(l[first + i][first + m], y[m], s);
                y[i] = gdn_device_round(rest, (i == t ? 1.0f : 0.0f) - s);
            }
            __syncwarp((1u << BLOCK) - 1);
#pragma unroll
            for (int i = 0; i < BLOCK; i++)
                l[first + i][first + t] = y[i];
        }
        __syncthreads();
        for (int e = t; e < BLOCK * first; e += THREADS) {
            int i = e / first, j = e % first;
            float y = 0;
            for (int m = 0; m <= i; m++)
                y = fmaf(inner(whole, l[first + i][first + m]), inner(whole, x[m][j]), y);
            l[first + i][j] = gdn_device_round(rest, -y);
        }
        __syncthreads();
    }
    for (int e = t; e < C * C; e += THREADS) {
        float y = l[e / C][e % C];
        c.w.m[h * C * C + e] = y;
        put(product, c.w.mo, h * C * C + e, y);
    }
}

/* The state as operand, padded. Here and below: a head a row of the grid, an element a thread. */
static __global__ void take_state(const __grid_constant__ chunk c)
{
    int i = (int)(blockIdx.x * THREADS + threadIdx.x), row = i / c.w.vp, column = i % c.w.vp;
    size_t h = blockIdx.y;
    if (row >= c.w.kp)
        return;
    bool live = row < c.r.dk && column < c.r.dv;
    float x = live ? c.r.state[(h * c.r.dk + row) * c.r.dv + column] : 0;
    put(c.w.product, c.w.s, h * c.w.kp * c.w.vp + i, x);
}

/* W as operand: only tf32 has anything left to do. */
static __global__ void cut_weights(const __grid_constant__ chunk c)
{
    int i = (int)(blockIdx.x * THREADS + threadIdx.x), of = C * c.w.kp;
    float *w = (float *)c.w.w + (size_t)blockIdx.y * of;
    if (i < of)
        w[i] = cut_tf32(w[i]);
}

/* V' = U - W S, and V' exp(G_C - G). */
static __global__ void new_values(const __grid_constant__ chunk c)
{
    int i = (int)(blockIdx.x * THREADS + threadIdx.x), row = i / c.w.vp;
    size_t h = blockIdx.y, at = h * C * c.w.vp + i;
    if (row >= C)
        return;
    float u = c.w.product == GDN_BF16 ? gdn_bf16_round(c.w.u[at]) : c.w.u[at], v = u - c.w.ws[at];
    put(c.w.product, c.w.v, at, v);
    put(c.w.product, c.w.va, at, v * c.w.after[h * C + row]);
}

/* o = d_k^(-1/2) (exp(G) q^ S + P V') */
static __global__ void outputs(const __grid_constant__ chunk c, float scale)
{
    int i = (int)(blockIdx.x * THREADS + threadIdx.x), row = i / c.r.dv, column = i % c.r.dv;
    size_t h = blockIdx.y, at = (h * C + row) * c.w.vp + column;
    if (row < c.skip || row >= c.rows)
        return;
    float o = c.w.qs[at] * c.w.decay[h * C + row] * scale + c.w.ws[at] * scale;
    put_output(c.r, (h * c.r.o_stride + row) * c.r.dv + column, o);
}

/* S <- exp(G_C) S + k^T (V' exp(G_C - G)), and that as operand of the next chunk. */
static __global__ void next_state(const __grid_constant__ chunk c)
{
    int i = (int)(blockIdx.x * THREADS + threadIdx.x), row = i / c.r.dv, column = i % c.r.dv;
    size_t h = blockIdx.y, at = h * c.r.dk * c.r.dv + i, padded = (h * c.w.kp + row) * c.w.vp + column;
    if (row >= c.r.dk)
        return;
    float x = fmaf(c.r.state[at], c.w.decay[h * C + C - 1], c.w.ks[padded]);
    x = rested(c.r.recipe.state, x);
    c.r.state_out[at] = x;
    if (!c.plain)
        put(c.w.product, c.w.s, padded, x);
}

/* ---- host ---- */

static unsigned blocks_for(size_t threads)
{
    return (unsigned)((threads + THREADS - 1) / THREADS);
}

/* A grid with `elements` threads a head. */
static dim3 grid_of(const chunk *c, int elements)
{
    return dim3(blocks_for((size_t)elements), (unsigned)c->r.heads);
}

static gdn_matrix matrix(void *x, int rows, int ld, bool transposed)
{
    gdn_matrix m = {x, ld, (int64_t)rows * ld, transposed};
    return m;
}

/* What does not depend on the state: q^, k^, P, M, U, W. */
static gdn_status chunk_matrices(const chunk *c, gdn_cublas *blas, gdn_error *err)
{
    const workspace *w = &c->w;
    const int H = c->r.heads, kp = w->kp, vp = w->vp;
    const gdn_format_id f = w->product, uf = f == GDN_BF16 ? GDN_BF16 : GDN_FP32;
    const gdn_matrix k = matrix(w->k, C, kp, false), kt = matrix(w->k, C, kp, true);
    sums<<<blocks_for((size_t)H * 32), THREADS, 0, cudaStreamPerThread>>>(*c);
    gdn_status status = gdn_cuda_launched("sums of g", err);
    if (!status) {
        take_rows<<<blocks_for((size_t)H * C * 32), THREADS, 0, cudaStreamPerThread>>>(*c);
        status = gdn_cuda_launched("rows of a chunk", err);
    }
    if (!status)
        status = gdn_cublas_product(blas, f, GDN_FP32, H, C, C, kp, k, kt, matrix(w->kk, C, C, false), err);
    if (!status)
        status = gdn_cublas_product(blas, f, GDN_FP32, H, C, C, kp, matrix(w->q, C, kp, false), kt,
                                    matrix(w->qk, C, C, false), err);
    if (!status) {
        invert<<<(unsigned)H, THREADS, 0, cudaStreamPerThread>>>(*c);
        status = gdn_cuda_launched("inverse of a chunk", err);
    }
    if (!status)
        status = gdn_cublas_product(blas, uf, GDN_FP32, H, C, vp, C,
                                    matrix(f == GDN_BF16 ? w->mo : w->m, C, C, false),
                                    matrix(w->vb, C, vp, false), matrix(w->u, C, vp, false), err);
    if (!status)
        status = gdn_cublas_product(blas, f, uf, H, C, kp, C, matrix(w->mo, C, C, false),
                                    matrix(w->wb, C, kp, false), matrix(w->w, C, kp, false), err);
    if (!status && f == GDN_TF32) {
        cut_weights<<<grid_of(c, C * kp), THREADS, 0, cudaStreamPerThread>>>(*c);
        status = gdn_cuda_launched("W of a chunk", err);
    }
    return status;
}

/* V', outputs and the next state. */
static gdn_status chunk_step(const chunk *c, gdn_cublas *blas, gdn_error *err)
{
    const workspace *w = &c->w;
    const int H = c->r.heads, kp = w->kp, vp = w->vp;
    const gdn_format_id f = w->product;
    const gdn_matrix s = matrix(c->plain ? (void *)c->r.state : w->s, kp, vp, false);
    const gdn_matrix v = matrix(w->v, C, vp, false);
    const gdn_matrix ws = matrix(w->ws, C, vp, false);
    gdn_status status = GDN_OK;
    if (c->first && !c->plain) {
        take_state<<<grid_of(c, kp * vp), THREADS, 0, cudaStreamPerThread>>>(*c);
        status = gdn_cuda_launched("the state as operand", err);
    }
    if (!status)
        status = gdn_cublas_product(blas, f, GDN_FP32, H, C, vp, kp, matrix(w->w, C, kp, false), s, ws, err);
    if (!status) {
        new_values<<<grid_of(c, C * vp), THREADS, 0, cudaStreamPerThread>>>(*c);
        status = gdn_cuda_launched("V' of a chunk", err);
    }
    if (!status && c->r.o) {
        status = gdn_cublas_product(blas, f, GDN_FP32, H, C, vp, kp, matrix(w->q, C, kp, false), s,
                                    matrix(w->qs, C, vp, false), err);
        if (!status)
            status =
                gdn_cublas_product(blas, f, GDN_FP32, H, C, vp, C, matrix(w->p, C, C, false), v, ws, err);
        if (!status) {
            outputs<<<grid_of(c, C * c->r.dv), THREADS, 0, cudaStreamPerThread>>>(
                *c, (float)(1 / sqrt((double)c->r.dk)));
            status = gdn_cuda_launched("outputs of a chunk", err);
        }
    }
    if (!status && c->r.state_out) {
        status = gdn_cublas_product(blas, f, GDN_FP32, H, kp, vp, C, matrix(w->k, C, kp, true),
                                    matrix(w->va, C, vp, false), matrix(w->ks, kp, vp, false), err);
        if (!status) {
            next_state<<<grid_of(c, c->r.dk * c->r.dv), THREADS, 0, cudaStreamPerThread>>>(*c);
            status = gdn_cuda_launched("the state after a chunk", err);
        }
    }
    return status;
}

/* x moved on by n elements of a format; NULL stays NULL. */
static void *moved(const void *x, int64_t n, gdn_format_id f)
{
    int64_t size = f == GDN_FP64 ? 8 : f == GDN_FP32 ? 4 : 2;
    return x ? (char *)x + n * size : NULL;
}

extern "C" gdn_status gdn_chunked_blas(const gdn_chunk_run *run, gdn_cublas *blas, int group, void *scratch,
                                       gdn_error *err)
{
    gdn_status status = GDN_OK;
    for (int h = 0; h < run->heads && !status; h += group)
        for (int x = 0; x < run->chunks && !status; x++) {
            bool last = x + 1 == run->chunks;
            chunk c = {
                .r = *run, .rows = last ? run->rows : C, .skip = x == 0 ? run->skip : 0, .first = x == 0};
            gdn_chunk_run *r = &c.r;
            int64_t token = (int64_t)h * run->stride + (int64_t)x * C, of = (int64_t)run->dk * run->dv;
            r->heads = run->heads - h < group ? run->heads - h : group;
            r->q = moved(run->q, token * run->dk, run->in);
            r->k = moved(run->k, token * run->dk, run->in);
            r->v = moved(run->v, token * run->dv, run->in);
            r->g += h * run->gate_stride + (int64_t)x * C;
            r->beta += h * run->gate_stride + (int64_t)x * C;
            r->o = moved(run->o, (h * run->o_stride + (int64_t)x * C) * run->dv, run->out);
            r->state += h * of;
            if (run->state_out) {
                r->state_out += h * of;
                if (x > 0)
                    r->state = r->state_out;
            }
            lay(&c.w, run->recipe.product, run->dk, run->dv, (size_t)r->heads, scratch);
            c.plain = c.w.product == GDN_FP32 && c.w.kp == r->dk && c.w.vp == r->dv;
            status = chunk_matrices(&c, blas, err);
            if (!status)
                status = chunk_step(&c, blas, err);
        }
    return status;
}
