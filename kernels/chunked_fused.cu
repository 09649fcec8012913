/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunked_fused -- the chunked form at d_k = d_v = 128 with bf16 products, on tensor cores; chunked.h has the
 * formulas.
 *
 * prepare(): a block a chunk makes q^, k^, P, W and U (bf16), exp(G) and exp(G_C - G). walk(): a block a
 * head, or several where heads are few, walks over the chunks. It holds S^T: a warp has 16 value columns, as
 * accumulators of m16n8k16, so that
 *
 *     V'^T = U^T - S^T W^T,   O^T = (S^T q^T) exp(G) + V'^T P^T,
 *     S^T <- exp(G_C) S^T + (V' exp(G_C - G))^T k^
 *
 * take S^T and V'^T as left factors straight from the registers that hold them, and warps share only what
 * prepare() made. A tile in memory is its image in shared memory: rows of 16-byte pieces, piece p of row r at
 * place p xor (r mod 8), so that ldmatrix meets no bank twice. U is stored as the accumulators of walk().
 */
#include "kernels/chunked_cuda.h"

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "base/cuda.h"
#include "kernels/chunked_device.h"
#include "kernels/norm.h"

enum { C = GDN_CHUNK, D = 128, BLOCK = GDN_CHUNK_BLOCK, PREPARE = 128, TILES = D / 16 };
enum { TILE = C * D * 2, SQUARE = C * C * 2, LD = C + 4 }; /* bytes; LD in floats */

/* What prepare() leaves for walk(), an array each; sizes a head and chunk. */
typedef struct images {
    uint4 *q, *k, *w, *u; /* TILE bytes */
    uint4 *p;             /* SQUARE bytes */
    float *decay;         /* [2][C]: exp(G), exp(G_C - G) */
} images;

/* ---- the machine ---- */

typedef struct fragment {
    uint32_t x[4];
} fragment;

static __device__ __forceinline__ uint32_t shared_address(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}

/* Four 8 x 8 matrices of 16-bit numbers; lane l gives the address of row l mod 8 of matrix l / 8. */
static __device__ __forceinline__ fragment load_matrices(uint32_t address)
{
    fragment f;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(f.x[0]), "=r"(f.x[1]), "=r"(f.x[2]), "=r"(f.x[3])
                 : "r"(address));
    return f;
}

static __device__ __forceinline__ fragment load_transposed(uint32_t address)
{
    fragment f;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(f.x[0]), "=r"(f.x[1]), "=r"(f.x[2]), "=r"(f.x[3])
                 : "r"(address));
    return f;
}

/* d += a b; a: 16 x 16, b: 16 x 8. */
static __device__ __forceinline__ void multiply(float (&d)[4], const fragment &a, uint32_t b0, uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
                 "{%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a.x[0]), "r"(a.x[1]), "r"(a.x[2]), "r"(a.x[3]), "r"(b0), "r"(b1));
}

/* d += a b in tf32; a: 16 x 8, b: 8 x 8. The unit reads the upper 19 bits of each fp32 number. */
static __device__ __forceinline__ void multiply_tf32(float (&d)[4], const float (&a)[4], float b0, float b1)
{
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
                 "{%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
                   "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b0)), "r"(__float_as_uint(b1)));
}

/* Two floats as bf16, the first in the lower half. */
static __device__ __forceinline__ uint32_t pack(float lo, float hi)
{
    __nv_bfloat162 x = __floats2bfloat162_rn(lo, hi);
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* The same, computed again each time: the compiler would keep the bf16 state beside the state. */
static __device__ __forceinline__ uint32_t pack_again(float lo, float hi)
{
    uint32_t u;
    asm volatile("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(u) : "f"(hi), "f"(lo));
    return u;
}

static __device__ __forceinline__ float low(uint32_t x)
{
    return __uint_as_float(x << 16);
}

static __device__ __forceinline__ float high(uint32_t x)
{
    return __uint_as_float(x & 0xffff0000u);
}

/* An 8 x 8 matrix of 16-bit numbers, transposed. */
static __device__ __forceinline__ uint32_t transpose(uint32_t x)
{
    uint32_t y;
    asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(y) : "r"(x));
    return y;
}

static __device__ __forceinline__ void copy_async(void *to, const void *from)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from));
}

static __device__ __forceinline__ void commit_copies(void)
{
    asm volatile("cp.async.commit_group;");
}

template <int N> static __device__ __forceinline__ void wait_copies(void)
{
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

/* e^x = ex2.approx(x log2 e) */
static __device__ __forceinline__ float exp_approx(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x * 0x1.715476p0f));
    return y;
}

/* ---- prepare: the matrices of a chunk ---- */

/* Where things lie in prepare's shared memory; M takes the place of q^, beta exp(G) k^ that of L. */
typedef struct prepare_memory {
    uint4 k[C][16], v[C][16];
    union {
        uint4 q[C][16];
        float m[C][LD];
    };
    union {
        float l[C][LD];
        uint4 wb[C][16];
    };
    float sum[C], cleared[C], beta[C];
} prepare_memory;

/* Eight numbers of a row as floats in the recipe's bf16. */
static __device__ __forceinline__ void take_eight(const float *from, float (&x)[8])
{
    float4 a = __ldg((const float4 *)from), b = __ldg((const float4 *)from + 1);
    const float y[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
#pragma unroll
    for (int i = 0; i < 8; i += 2) {
        uint32_t p = pack(y[i], y[i + 1]);
        x[i] = low(p);
        x[i + 1] = high(p);
    }
}

static __device__ __forceinline__ void unpack_eight(uint4 a, float (&x)[8])
{
    const uint32_t y[4] = {a.x, a.y, a.z, a.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        x[2 * i] = low(y[i]);
        x[2 * i + 1] = high(y[i]);
    }
}

static __device__ __forceinline__ void take_eight(const __nv_bfloat16 *from, float (&x)[8])
{
    unpack_eight(__ldg((const uint4 *)from), x);
}

static __device__ __forceinline__ uint4 pack_eight(const float (&x)[8], float by)
{
    return make_uint4(pack(x[0] * by, x[1] * by), pack(x[2] * by, x[3] * by), pack(x[4] * by, x[5] * by),
                      pack(x[6] * by, x[7] * by));
}

/* 1 / |x| of a row that 16 lanes hold. */
static __device__ __forceinline__ float row_rstd(const float (&x)[8])
{
    float s = 0;
#pragma unroll
    for (int i = 0; i < 8; i++)
        s = fmaf(x[i], x[i], s);
#pragma unroll
    for (int m = 8; m > 0; m /= 2)
        s += __shfl_xor_sync(~0u, s, m);
    return rsqrtf(s + (float)GDN_NORM_EPS);
}

/* G, how often it started again, and beta, by one warp. exp(G) and exp(G_C - G) go to memory. */
static __device__ void take_gates(const gdn_chunk_run &r, prepare_memory &s, size_t at, int rows,
                                  float *decay)
{
    int lane = (int)threadIdx.x, t = 2 * lane;
    float g[2];
#pragma unroll
    for (int x = 0; x < 2; x++) {
        bool there = t + x < rows;
        g[x] = there ? r.g[at + t + x] : 0;
        s.beta[t + x] = there ? r.beta[at + t + x] : 0;
    }
    gdn_chunk_sums sums = gdn_chunk_scan(lane, g[0], g[1]);
#pragma unroll
    for (int x = 0; x < 2; x++) {
        float sum = sums.sum[x], cleared = sums.cleared[x];
        s.sum[t + x] = sum;
        s.cleared[t + x] = cleared;
        decay[t + x] = cleared > 0 ? 0 : exp_approx(sum);
        decay[C + t + x] = cleared < sums.last_cleared ? 0 : exp_approx(sums.last - sum);
    }
}

/* q^, k^ and v into shared memory, q^ and k^ into their images; 16 lanes a row. */
template <typename In>
static __device__ void take_rows(const gdn_chunk_run &r, prepare_memory &s, size_t at, int rows,
                                 uint4 *q_image, uint4 *k_image)
{
    const In *q = (const In *)r.q + at * D, *k = (const In *)r.k + at * D, *v = (const In *)r.v + at * D;
    int piece = (int)threadIdx.x % 16;
#pragma unroll 4
    for (int row = (int)threadIdx.x / 16; row < C; row += PREPARE / 16) {
        float x[8] = {}, y[8] = {}, z[8] = {};
        if (row < rows) {
            size_t from = (size_t)row * D + 8 * piece;
            take_eight(q + from, x);
            take_eight(k + from, y);
            take_eight(v + from, z);
        }
        int place = piece ^ (row & 7);
        uint4 qn = pack_eight(x, row_rstd(x)), kn = pack_eight(y, row_rstd(y));
        s.q[row][place] = q_image[row * 16 + place] = qn;
        s.k[row][place] = k_image[row * 16 + place] = kn;
        s.v[row][place] = pack_eight(z, 1);
    }
}

/* v <- beta v, rounded. */
static __device__ void scale_values(prepare_memory &s)
{
    int piece = (int)threadIdx.x % 16;
#pragma unroll
    for (int row = (int)threadIdx.x / 16; row < C; row += PREPARE / 16) {
        float x[8];
        uint4 *at = &s.v[row][piece];
        unpack_eight(*at, x);
        *at = pack_eight(x, s.beta[row]);
    }
}

/* exp(G_i - G_j), 0 across a token that clears. */
static __device__ __forceinline__ float decay_between(float sum_i, float sum_j, float cleared_i,
                                                      float cleared_j)
{
    return cleared_i > cleared_j ? 0 : exp_approx(sum_i - sum_j);
}

/* Rows 16 w .. of L into shared memory and of P into its image, w the warp; columns up to the diagonal block.
 */
static __device__ void make_products(prepare_memory &s, uint4 *p_image)
{
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32, seven = lane & 7, matrix = lane / 8;
    uint32_t left = (uint32_t)(BLOCK * warp + seven + (matrix & 1) * 8) * 256, right;
    uint32_t left_piece = (uint32_t)((matrix >> 1) ^ seven) << 4,
             right_piece = (uint32_t)((matrix & 1) ^ seven) << 4;
    uint32_t q = shared_address(s.q) + left, k = shared_address(s.k) + left;
    right = shared_address(s.k) + (uint32_t)((matrix >> 1) * 8 + seven) * 256;
    float l[8][4] = {}, p[8][4] = {};
#pragma unroll
    for (int x = 0; x < D / 16; x++) {
        fragment a = load_matrices(k + (left_piece ^ (x << 5))),
                 b = load_matrices(q + (left_piece ^ (x << 5)));
#pragma unroll
        for (int j = 0; j < C / BLOCK; j++)
            if (j <= warp) {
                fragment c = load_matrices(right + j * BLOCK * 256 + (right_piece ^ (x << 5)));
                multiply(l[2 * j], a, c.x[0], c.x[1]);
                multiply(l[2 * j + 1], a, c.x[2], c.x[3]);
                multiply(p[2 * j], b, c.x[0], c.x[1]);
                multiply(p[2 * j + 1], b, c.x[2], c.x[3]);
            }
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int i = BLOCK * warp + lane / 4 + 8 * half;
        float sum = s.sum[i], cleared = s.cleared[i], beta = s.beta[i];
#pragma unroll
        for (int n = 0; n < 8; n++)
            if (n / 2 <= warp) {
                int j = 8 * n + 2 * (lane % 4);
                float d0 = decay_between(sum, s.sum[j], cleared, s.cleared[j]);
                float d1 = decay_between(sum, s.sum[j + 1], cleared, s.cleared[j + 1]);
                float2 row = {j < i ? l[n][2 * half] * d0 * beta : 0,
                              j + 1 < i ? l[n][2 * half + 1] * d1 * beta : 0};
                *(float2 *)&s.l[i][j] = row;
                ((uint32_t *)p_image)[(i * 8 + (n ^ (i & 7))) * 4 + lane % 4] =
                    pack(j <= i ? p[n][2 * half] * d0 : 0, j + 1 <= i ? p[n][2 * half + 1] * d1 : 0);
            }
    }
}

/* The inverse of a warp's own diagonal block of I + L, by forward substitution; lane j < 16 has column j. */
static __device__ void invert_diagonal(prepare_memory &s)
{
    int first = BLOCK * ((int)threadIdx.x / 32), lane = (int)threadIdx.x % 32;
    if (lane >= BLOCK)
        return;
    float x[BLOCK];
#pragma unroll
    for (int i = 0; i < BLOCK; i++) {
        float sum = 0;
#pragma unroll
        for (int m = 0; m < i; m++)
            sum = fmaf(s.l[first + i][first + m], x[m], sum);
        x[i] = (i == lane ? 1.0f : 0.0f) - sum;
        s.m[first + i][first + lane] = x[i];
    }
}

/* d += a b of two 16 x 16 blocks in tf32. */
static __device__ __forceinline__ void multiply_blocks(float (&d)[2][4], const float *a, const float *b)
{
    int lane = (int)threadIdx.x % 32, group = lane / 4, inner = lane % 4;
#pragma unroll
    for (int k = 0; k < BLOCK; k += 8) {
        float left[4] = {a[group * LD + k + inner], a[(group + 8) * LD + k + inner],
                         a[group * LD + k + inner + 4], a[(group + 8) * LD + k + inner + 4]};
#pragma unroll
        for (int n = 0; n < 2; n++)
            multiply_tf32(d[n], left, b[(k + inner) * LD + 8 * n + group],
                          b[(k + inner + 4) * LD + 8 * n + group]);
    }
}

static __device__ __forceinline__ void put_block(const float (&d)[2][4], float sign, float *to)
{
    int lane = (int)threadIdx.x % 32;
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
        for (int half = 0; half < 2; half++)
            *(float2 *)&to[(lane / 4 + 8 * half) * LD + 8 * n + 2 * (lane % 4)] =
                make_float2(sign * d[n][2 * half], sign * d[n][2 * half + 1]);
}

/* The blocks below the diagonal: warp c has block column c. M_rc = -M_rr (sum over m of L_rm M_mc). */
static __device__ void invert_rest(prepare_memory &s)
{
    int column = (int)threadIdx.x / 32;
    for (int r = column + 1; r < C / BLOCK; r++) {
        float *to = &s.m[BLOCK * r][BLOCK * column];
        float x[2][4] = {}, y[2][4] = {};
        for (int m = column; m < r; m++)
            multiply_blocks(x, &s.l[BLOCK * r][BLOCK * m], &s.m[BLOCK * m][BLOCK * column]);
        put_block(x, 1, to);
        __syncwarp();
        multiply_blocks(y, &s.m[BLOCK * r][BLOCK * r], to);
        __syncwarp();
        put_block(y, -1, to);
        __syncwarp();
    }
}

/* beta exp(G) k^, rounded, in the place of L. */
static __device__ void scale_keys(prepare_memory &s)
{
    int piece = (int)threadIdx.x % 16;
#pragma unroll
    for (int row = (int)threadIdx.x / 16; row < C; row += PREPARE / 16) {
        float x[8], decay = s.cleared[row] > 0 ? 0 : exp_approx(s.sum[row]);
        unpack_eight(s.k[row][piece], x);
#pragma unroll
        for (int i = 0; i < 8; i++)
            x[i] *= s.beta[row];
        s.wb[row][piece] = pack_eight(x, decay);
    }
}

/* U^T = (beta v)^T M^T: a warp has 32 value columns. Stored as accumulators of walk(). */
static __device__ void make_values(prepare_memory &s, uint4 *u_image)
{
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32, seven = lane & 7, matrix = lane / 8;
    uint32_t left = shared_address(s.v) + (uint32_t)((matrix >> 1) * 8 + seven) * 256;
    float u[2][8][4] = {};
#pragma unroll
    for (int t = 0; t < C / BLOCK; t++) {
        fragment a[2];
#pragma unroll
        for (int d = 0; d < 2; d++)
            a[d] = load_transposed(left + t * BLOCK * 256 +
                                   (uint32_t)(((2 * (2 * warp + d) + (matrix & 1)) ^ seven) << 4));
#pragma unroll
        for (int n = 2 * t; n < 8; n++) {
            const float *m = &s.m[8 * n + lane / 4][BLOCK * t + 2 * (lane % 4)];
            float2 b0 = *(const float2 *)m, b1 = *(const float2 *)(m + 8);
#pragma unroll
            for (int d = 0; d < 2; d++)
                multiply(u[d][n], a[d], pack(b0.x, b0.y), pack(b1.x, b1.y));
        }
    }
#pragma unroll
    for (int d = 0; d < 2; d++)
#pragma unroll
        for (int x = 0; x < 4; x++)
            u_image[((2 * warp + d) * 4 + x) * 32 + lane] = make_uint4(
                pack(u[d][2 * x][0], u[d][2 * x][1]), pack(u[d][2 * x][2], u[d][2 * x][3]),
                pack(u[d][2 * x + 1][0], u[d][2 * x + 1][1]), pack(u[d][2 * x + 1][2], u[d][2 * x + 1][3]));
}

/* W = M (beta exp(G) k^): a warp has 16 rows, which pass through the place of k^ on their way out. */
static __device__ void make_weights(prepare_memory &s, uint4 *w_image)
{
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32, seven = lane & 7, matrix = lane / 8;
    uint32_t right = shared_address(s.wb) + (uint32_t)((matrix & 1) * 8 + seven) * 256;
    uint32_t right_piece = (uint32_t)((matrix >> 1) ^ seven) << 4;
    float w[16][4] = {};
#pragma unroll
    for (int t = 0; t < C / BLOCK; t++)
        if (t <= warp) {
            const float *m = &s.m[BLOCK * warp + lane / 4][BLOCK * t + 2 * (lane % 4)];
            float2 x0 = *(const float2 *)m, x1 = *(const float2 *)(m + 8 * LD);
            float2 x2 = *(const float2 *)(m + 8), x3 = *(const float2 *)(m + 8 * LD + 8);
            fragment a = {pack(x0.x, x0.y), pack(x1.x, x1.y), pack(x2.x, x2.y), pack(x3.x, x3.y)};
#pragma unroll
            for (int n = 0; n < 8; n++) {
                fragment b = load_transposed(right + t * BLOCK * 256 + (right_piece ^ (n << 5)));
                multiply(w[2 * n], a, b.x[0], b.x[1]);
                multiply(w[2 * n + 1], a, b.x[2], b.x[3]);
            }
        }
    uint4 *own = s.k[BLOCK * warp];
#pragma unroll
    for (int n = 0; n < 16; n++)
#pragma unroll
        for (int half = 0; half < 2; half++)
            ((uint32_t *)own)[((lane / 4 + 8 * half) * 16 + (n ^ (lane / 4 & 7))) * 4 + lane % 4] =
                pack(w[n][2 * half], w[n][2 * half + 1]);
    __syncwarp();
#pragma unroll
    for (int x = 0; x < 8; x++)
        w_image[BLOCK * warp * 16 + 32 * x + lane] = own[32 * x + lane];
}

template <typename In>
static __global__ void __launch_bounds__(PREPARE, 3)
    prepare(const __grid_constant__ gdn_chunk_run r, images to)
{
    extern __shared__ uint4 raw[];
    prepare_memory &s = *(prepare_memory *)raw;
    size_t at = blockIdx.x, h = at / r.chunks, c = at % r.chunks;
    int rows = (int)c + 1 < r.chunks ? C : r.rows;
    if (threadIdx.x < 32)
        take_gates(r, s, h * r.gate_stride + c * C, rows, to.decay + at * 2 * C);
    take_rows<In>(r, s, h * r.stride + c * C, rows, to.q + at * (TILE / 16), to.k + at * (TILE / 16));
    __syncthreads();
    scale_values(s);
    make_products(s, to.p + at * (SQUARE / 16));
    __syncthreads();
    invert_diagonal(s);
    __syncthreads();
    invert_rest(s);
    __syncthreads();
    scale_keys(s);
    __syncthreads();
    make_values(s, to.u + at * (TILE / 16));
    make_weights(s, to.w + at * (TILE / 16));
}

/* ---- walk: the chunks of a head ---- */

template <int WARPS> struct walk_memory {
    uint4 w[C * 16], q[C * 16], k[C * 16], p[C * 8];
    uint4 u[WARPS][4][32]; /* U^T, a lane's own */
    float decay[2 * C];
};

/* Start loading W, q^, U and the decays of a chunk: what its first half needs. */
template <int WARPS>
static __device__ __forceinline__ void load_first(walk_memory<WARPS> &s, const images &from, size_t at,
                                                  int tile)
{
    enum { THREADS = 32 * WARPS };
    int x = (int)threadIdx.x;
    const uint4 *w = from.w + at * (TILE / 16), *q = from.q + at * (TILE / 16);
#pragma unroll
    for (int i = 0; i < TILE / 16; i += THREADS) {
        copy_async(s.w + i + x, w + i + x);
        copy_async(s.q + i + x, q + i + x);
    }
    const uint4 *u = from.u + at * (TILE / 16) + tile * 128 + x % 32;
#pragma unroll
    for (int i = 0; i < 4; i++)
        copy_async(&s.u[x / 32][i][x % 32], u + 32 * i);
    if (x < 2 * C / 4)
        copy_async(s.decay + 4 * x, from.decay + at * 2 * C + 4 * x);
}

template <int WARPS>
static __device__ __forceinline__ void load_second(walk_memory<WARPS> &s, const images &from, size_t at)
{
    enum { THREADS = 32 * WARPS };
    int x = (int)threadIdx.x;
    const uint4 *k = from.k + at * (TILE / 16), *p = from.p + at * (SQUARE / 16);
#pragma unroll
    for (int i = 0; i < TILE / 16; i += THREADS)
        copy_async(s.k + i + x, k + i + x);
#pragma unroll
    for (int i = 0; i < SQUARE / 16; i += THREADS)
        copy_async(s.p + i + x, p + i + x);
}

/* x as if it were new: what follows from it is computed again rather than kept in registers. */
static __device__ __forceinline__ uint32_t anew(uint32_t x)
{
    asm volatile("" : "+r"(x));
    return x;
}

/* d^T += S^T X^T over 64 tokens; x: [64][128] at this lane's row, S^T as accumulators. */
static __device__ __forceinline__ void times_state(float (&d)[8][4], const float (&s)[16][4], uint32_t x,
                                                   uint32_t piece)
{
#pragma unroll
    for (int k = 0; k < D / 16; k++) {
        fragment a = {pack_again(s[2 * k][0], s[2 * k][1]), pack_again(s[2 * k][2], s[2 * k][3]),
                      pack_again(s[2 * k + 1][0], s[2 * k + 1][1]),
                      pack_again(s[2 * k + 1][2], s[2 * k + 1][3])};
#pragma unroll
        for (int b = 0; b < C / BLOCK; b++) {
            fragment y = load_matrices(x + b * BLOCK * 256 + (piece ^ (k << 5)));
            multiply(d[2 * b], a, y.x[0], y.x[1]);
            multiply(d[2 * b + 1], a, y.x[2], y.x[3]);
        }
    }
}

/* Rows first .. last - 1 of o, 16 columns; o: at row 0, column 0 of them. Accumulators of O^T. */
static __device__ __forceinline__ void put_rows(__nv_bfloat16 *o, const float (&x)[8][4], int first, int last,
                                                bool)
{
    int lane = (int)threadIdx.x % 32;
#pragma unroll
    for (int n = 0; n < 8; n++) {
        int row = 8 * n + lane / 4;
        uint32_t left = transpose(pack(x[n][0], x[n][1])), right = transpose(pack(x[n][2], x[n][3]));
        if (row >= first && row < last) {
            uint32_t *to = (uint32_t *)(o + (int64_t)row * D) + lane % 4;
            to[0] = left;
            to[4] = right;
        }
    }
}

template <typename Out>
static __device__ __forceinline__ void put_rows(Out *o, const float (&x)[8][4], int first, int last,
                                                bool rounds)
{
    int lane = (int)threadIdx.x % 32;
#pragma unroll
    for (int n = 0; n < 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int row = 8 * n + 2 * (lane % 4) + i % 2;
            if (row >= first && row < last)
                o[(int64_t)row * D + lane / 4 + i / 2 * 8] = rounds ? gdn_bf16_round(x[n][i]) : x[n][i];
        }
}

template <typename Out, int WARPS>
static __global__ void __launch_bounds__(32 * WARPS, TILES / WARPS)
    walk(const __grid_constant__ gdn_chunk_run r, images from)
{
    extern __shared__ uint4 raw[];
    walk_memory<WARPS> &m = *(walk_memory<WARPS> *)raw;
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, seven = lane & 7, matrix = lane / 8;
    const int tile = (int)blockIdx.x % (TILES / WARPS) * WARPS + warp; /* of 16 value columns */
    const size_t h = blockIdx.x / (TILES / WARPS);
    const float scale = 0x1.6a09e6p-4f; /* 128^(-1/2) */

    /* this lane's row of the right factors: rows of X^T, of P^T, and of k^ */
    const uint32_t rows_x = (uint32_t)((matrix >> 1) * 8 + seven),
                   rows_k = (uint32_t)((matrix & 1) * 8 + seven);
    const uint32_t piece_x = (uint32_t)((matrix & 1) ^ seven) << 4,
                   piece_k = (uint32_t)((matrix >> 1) ^ seven) << 4;
    const uint32_t w = shared_address(m.w) + rows_x * 256, q = shared_address(m.q) + rows_x * 256;
    const uint32_t p = shared_address(m.p) + rows_x * 128, k = shared_address(m.k) + rows_k * 256;
    const uint4 *u = &m.u[warp][0][lane];

    /* S^T: tile j has rows d_v = 16 tile + lane / 4 (+ 8) and columns d_k = 8 j + 2 (lane mod 4) (+ 1) */
    float s[16][4];
    const size_t state_at = h * D * D + (size_t)(2 * (lane % 4)) * D + 16 * tile + lane / 4;
#pragma unroll
    for (int j = 0; j < 16; j++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            s[j][i] = r.state[state_at + (size_t)(8 * j + i % 2) * D + i / 2 * 8];

    load_first(m, from, h * r.chunks, tile);
    commit_copies();
    load_second(m, from, h * r.chunks);
    commit_copies();
    for (int c = 0; c < r.chunks; c++) {
        size_t next = h * r.chunks + c + 1;
        wait_copies<1>();
        __syncthreads();

        /* V'^T: accumulators become left factors: V', and V' exp(G_C - G) */
        fragment v[4], after[4];
        {
            float d[8][4] = {};
            times_state(d, s, anew(w), anew(piece_x));
#pragma unroll
            for (int t = 0; t < 4; t++) {
                uint4 x = u[32 * t];
                float2 decay0 = *(const float2 *)&m.decay[C + 16 * t + 2 * (lane % 4)];
                float2 decay1 = *(const float2 *)&m.decay[C + 16 * t + 8 + 2 * (lane % 4)];
                float *a = d[2 * t], *b = d[2 * t + 1];
                a[0] = low(x.x) - a[0], a[1] = high(x.x) - a[1], a[2] = low(x.y) - a[2],
                a[3] = high(x.y) - a[3];
                b[0] = low(x.z) - b[0], b[1] = high(x.z) - b[1], b[2] = low(x.w) - b[2],
                b[3] = high(x.w) - b[3];
                v[t] = {pack(a[0], a[1]), pack(a[2], a[3]), pack(b[0], b[1]), pack(b[2], b[3])};
                after[t] = {pack(a[0] * decay0.x, a[1] * decay0.y), pack(a[2] * decay0.x, a[3] * decay0.y),
                            pack(b[0] * decay1.x, b[1] * decay1.y), pack(b[2] * decay1.x, b[3] * decay1.y)};
            }
        }
        float o[8][4] = {};
        if (r.o) {
            times_state(o, s, anew(q), anew(piece_x));
#pragma unroll
            for (int n = 0; n < 8; n++) {
                float2 decay = *(const float2 *)&m.decay[8 * n + 2 * (lane % 4)];
                o[n][0] *= decay.x;
                o[n][1] *= decay.y;
                o[n][2] *= decay.x;
                o[n][3] *= decay.y;
            }
        }
        float whole = m.decay[C - 1];
        wait_copies<0>();
        __syncthreads(); /* all have read W, q^ and the decays; k^ and P are there */
        if (c + 1 < r.chunks)
            load_first(m, from, next, tile);
        commit_copies();

        if (r.o) {
            const uint32_t right = anew(p), piece = anew(piece_x);
#pragma unroll
            for (int t = 0; t < 4; t++) {
#pragma unroll
                for (int b = t; b < 4; b++) {
                    fragment y = load_matrices(right + b * BLOCK * 128 + (piece ^ (t << 5)));
                    multiply(o[2 * b], v[t], y.x[0], y.x[1]);
                    multiply(o[2 * b + 1], v[t], y.x[2], y.x[3]);
                }
            }
#pragma unroll
            for (int n = 0; n < 8; n++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    o[n][i] *= scale;
            int rows = c + 1 < r.chunks ? C : r.rows;
            Out *to = (Out *)r.o + ((int64_t)h * r.o_stride + (int64_t)c * C) * D + 16 * tile;
            put_rows(to, o, c == 0 ? r.skip : 0, rows, r.recipe.output == GDN_BF16);
        }
#pragma unroll
        for (int j = 0; j < 16; j++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                s[j][i] *= whole;
        const uint32_t right = anew(k), piece = anew(piece_k);
#pragma unroll
        for (int t = 0; t < 4; t++) {
#pragma unroll
            for (int n = 0; n < 8; n++) {
                fragment y = load_transposed(right + t * BLOCK * 256 + (piece ^ (n << 5)));
                multiply(s[2 * n], after[t], y.x[0], y.x[1]);
                multiply(s[2 * n + 1], after[t], y.x[2], y.x[3]);
            }
        }
        __syncthreads(); /* all have read k^ and P */
        if (c + 1 < r.chunks)
            load_second(m, from, next);
        commit_copies();
    }
    if (r.state_out)
#pragma unroll
        for (int j = 0; j < 16; j++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                r.state_out[state_at + (size_t)(8 * j + i % 2) * D + i / 2 * 8] = s[j][i];
}

/* ---- launching ---- */

extern "C" bool gdn_chunked_fused_fit(const gdn_recipe *r, int dk, int dv)
{
    return dk == D && dv == D && r->product == GDN_BF16 && r->qk == GDN_BF16 && r->input == GDN_BF16 &&
           r->state == GDN_FP32 && (r->output == GDN_BF16 || r->output == GDN_FP32) &&
           r->l2norm == GDN_L2_SUM_EPS && r->inverse == GDN_FP64;
}

extern "C" size_t gdn_chunked_fused_bytes(void)
{
    return 4 * TILE + SQUARE + 2 * C * sizeof(float);
}

/* Launch with the shared memory that the kernel's block wants. */
static gdn_status launch(void (*kernel)(gdn_chunk_run, images), const gdn_chunk_run *r, const images *at,
                         int64_t blocks, int threads, size_t shared, const char *name, gdn_error *err)
{
    gdn_status status = gdn_cuda_status(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared), name, err);
    if (status)
        return status;
    kernel<<<(unsigned)blocks, (unsigned)threads, shared, cudaStreamPerThread>>>(*r, *at);
    return gdn_cuda_launched(name, err);
}

template <typename Out, int WARPS>
static gdn_status launch_walk(const gdn_chunk_run *r, const images *at, gdn_error *err)
{
    return launch(walk<Out, WARPS>, r, at, (int64_t)r->heads * (TILES / WARPS), 32 * WARPS,
                  sizeof(walk_memory<WARPS>), "the walk over chunks", err);
}

/* A head's value columns go to more than one block while there are two multiprocessors for each block. */
template <typename Out>
static gdn_status walk_chunks(const gdn_chunk_run *r, const images *at, int multiprocessors, gdn_error *err)
{
    if (2 * (int64_t)r->heads > multiprocessors)
        return launch_walk<Out, TILES>(r, at, err);
    return 4 * r->heads > multiprocessors ? launch_walk<Out, TILES / 2>(r, at, err)
                                          : launch_walk<Out, TILES / 4>(r, at, err);
}

extern "C" gdn_status gdn_chunked_fused(const gdn_chunk_run *r, void *scratch, gdn_error *err)
{
    int64_t blocks = (int64_t)r->heads * r->chunks;
    images at;
    at.q = (uint4 *)scratch;
    at.k = at.q + blocks * (TILE / 16);
    at.w = at.k + blocks * (TILE / 16);
    at.u = at.w + blocks * (TILE / 16);
    at.p = at.u + blocks * (TILE / 16);
    at.decay = (float *)(at.p + blocks * (SQUARE / 16));
    int device = 0, multiprocessors = 0;
    gdn_status status = gdn_cuda_status(cudaGetDevice(&device), "cudaGetDevice", err);
    if (!status)
        status =
            gdn_cuda_status(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device),
                            "cudaDeviceGetAttribute", err);
    if (!status)
        status = launch(r->in == GDN_BF16 ? prepare<__nv_bfloat16> : prepare<float>, r, &at, blocks, PREPARE,
                        sizeof(prepare_memory), "matrices of the chunks", err);
    if (!status)
        status = r->out == GDN_BF16   ? walk_chunks<__nv_bfloat16>(r, &at, multiprocessors, err)
                 : r->out == GDN_FP32 ? walk_chunks<float>(r, &at, multiprocessors, err)
                                      : walk_chunks<double>(r, &at, multiprocessors, err);
    return status;
}
