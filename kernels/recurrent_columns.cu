/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recurrent_columns -- the recurrence on the device at d_k = 128, state in registers; see recurrent.h.
 *
 * Four lanes share C value columns (C = 4, 2, 1): lane p holds the rows of partial p (recurrent_step.h), 32
 * of them, in each. A block of 128 threads runs 32 C columns of one head.
 *
 * Steps. Writing and reading with token t - 1 and decay and recall with token t are one pass over the rows: a
 * multiplication and three fused multiply-adds an element, with one load of k^_t and one of q^_(t-1) a row,
 * since k^ of the pass before is still in registers. Between passes the partials are summed over the four
 * lanes. Slot t of a tile therefore holds k^_t, alpha_t, q^_(t-1), v_(t-1), beta_(t-1); a span of n tokens
 * has n + 1 slots. The first writes k^ delta = 0 (-0) = -0, which changes no number; the last decays by 1.
 *
 * Tiles. Tile i + 2 (16 slots) is on its way from device memory (cp.async; a thread copies what it will read
 * itself), tile i + 1 is normalised, eight lanes a row (norm.h), tile i is run: one barrier a tile.
 *
 * Sums. Slot j of lane p holds column j xor p, so that each exchange of a sum is one shuffle without a
 * choice: what lane p receives from lane p xor 1 in slot j xor 1 belongs to its own column of slot j.
 */
#include "kernels/recurrent_device.h"

#include <cuda_runtime.h>
#include <limits.h>
#include <stdint.h>

#include "base/cuda.h"
#include "kernels/recurrent_cuda.h"

enum { DK = 128, ROWS = DK / 4, TILE = 16, THREADS = 128, QUADS = THREADS / 4 };

/* How a kernel computes and how its state rests. */
enum { FP32, FP32_BF16, FP32_BF16_STOCHASTIC, BF16 };

/* ---- what lies in shared memory ---- */

/* Words of k^ and q^: the bits of a float, or of a bf16 number twice. */
template <int C> struct tile {
    uint32_t k[TILE][DK], q[TILE][DK];
    float v[TILE][QUADS * C];
    float alpha[TILE], beta[TILE];
};

/* A tile as it comes. */
template <int C, typename In> struct raw_tile {
    In k[TILE][DK], q[TILE][DK], v[TILE][QUADS * C];
    float alpha[TILE], beta[TILE];
};

/* Random halves of one token: of each warp [32 r + 8 p + quad][C], in order of slots. */
template <int C> struct random_halves {
    uint4 draws[THREADS / 32][ROWS * 4 * C];
};

struct nothing {
};

template <int kind, int C> struct random_type {
    typedef nothing type;
};

template <int C> struct random_type<FP32_BF16_STOCHASTIC, C> {
    typedef random_halves<C> type;
};

template <int kind, int C, typename In> struct block_memory {
    tile<C> ready[2];
    raw_tile<C, In> raw;
    typename random_type<kind, C>::type random;
};

/* ---- tiles ---- */

/* `bytes` (4, 8, 16) bytes to shared memory, zeros where there is nothing. */
template <int bytes> static __device__ void copy(void *to, const void *from, bool there)
{
    uint32_t at = (uint32_t)__cvta_generic_to_shared(to);
    if (bytes == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(there ? 16 : 0)
                     : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(at), "l"(from), "n"(bytes),
                     "r"(there ? bytes : 0)
                     : "memory");
}

/* Where this block reads and writes. */
template <typename In, typename Out> struct block_view {
    const In *q, *k, *v;       /* token 0 of the span; v from the block's first column on */
    const float *alpha, *beta; /* [n] */
    Out *o;                    /* this lane's column */
    int n, dv;
};

/* Send for the 16 slots from `slot` on. Eight lanes a slot, four neighbouring numbers at a time. */
template <int C, typename In, typename Out>
static __device__ __forceinline__ void fetch(const block_view<In, Out> &b, raw_tile<C, In> &raw, int slot)
{
    const int row = (int)threadIdx.x / 8, lane = 4 * ((int)threadIdx.x % 8);
    const int t = slot + row;
    const bool now = t < b.n, before = t >= 1 && t <= b.n;
    const In *k = b.k + (now ? (int64_t)t * DK : 0) + lane;
    const In *q = b.q + (before ? (int64_t)(t - 1) * DK : 0) + lane;
    const In *v = b.v + (before ? (int64_t)(t - 1) * b.dv : 0) + lane;
#pragma unroll
    for (int x = 0; x < DK; x += 32) {
        copy<4 * sizeof(In)>(&raw.k[row][lane + x], k + x, now);
        copy<4 * sizeof(In)>(&raw.q[row][lane + x], q + x, before);
    }
#pragma unroll
    for (int x = 0; x < QUADS * C; x += 32)
        copy<4 * sizeof(In)>(&raw.v[row][lane + x], v + x, before);
    if (threadIdx.x < TILE) {
        int a = slot + (int)threadIdx.x;
        copy<4>(&raw.alpha[threadIdx.x], b.alpha + (a < b.n ? a : 0), a < b.n);
    } else if (threadIdx.x < 2 * TILE) {
        int a = slot + (int)threadIdx.x - TILE - 1;
        bool there = a >= 0 && a < b.n;
        copy<4>(&raw.beta[threadIdx.x - TILE], b.beta + (there ? a : 0), there);
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
}

static __device__ __forceinline__ void numbers(const float *from, float x[4])
{
    float4 y = *(const float4 *)from;
    x[0] = y.x;
    x[1] = y.y;
    x[2] = y.z;
    x[3] = y.w;
}

static __device__ __forceinline__ void unpack(uint32_t u, float x[2])
{
    x[0] = __uint_as_float(u << 16);
    x[1] = __uint_as_float(u & 0xffff0000u);
}

static __device__ __forceinline__ void numbers(const __nv_bfloat16 *from, float x[4])
{
    uint2 u = *(const uint2 *)from;
    unpack(u.x, x);
    unpack(u.y, x + 2);
}

/* Two floats rounded to bf16. */
static __device__ __forceinline__ void round_two(float &x, float &y)
{
    __nv_bfloat162 h = __floats2bfloat162_rn(x, y);
    uint32_t u;
    memcpy(&u, &h, sizeof u);
    x = __uint_as_float(u << 16);
    y = __uint_as_float(u & 0xffff0000u);
}

static __device__ __forceinline__ void round_four(bool round, float x[4])
{
    if (round) {
        round_two(x[0], x[1]);
        round_two(x[2], x[3]);
    }
}

/* How a number of k^ or q^ lies in shared memory. */
template <int kind> static __device__ __forceinline__ uint32_t word(float x)
{
    uint32_t u = __float_as_uint(x);
    return kind == BF16 ? (u & 0xffff0000u) | u >> 16 : u;
}

/* A row of q or k: this lane's sixteen numbers, and their share of the sum of squares. */
template <int kind, typename In>
static __device__ __forceinline__ float read_row(const In *from, bool round, float x[4][4])
{
    const gdn_format_id op = kind == BF16 ? GDN_BF16 : GDN_FP32;
    float p = 0;
#pragma unroll
    for (int g = 0; g < 4; g++) {
        numbers(from + 32 * g, x[g]);
        round_four(round, x[g]);
#pragma unroll
        for (int y = 0; y < 4; y++)
            p = gdn_add_square(op, p, x[g][y]);
    }
    return p;
}

template <int kind>
static __device__ __forceinline__ void write_row(uint32_t *to, float x[4][4], float rstd, bool round_qk,
                                                 bool scaled, float scale)
{
    const gdn_format_id op = kind == BF16 ? GDN_BF16 : GDN_FP32;
#pragma unroll
    for (int g = 0; g < 4; g++) {
#pragma unroll
        for (int y = 0; y < 4; y++)
            x[g][y] = gdn_op(op, x[g][y] * rstd);
        round_four(round_qk, x[g]);
        if (scaled)
#pragma unroll
            for (int y = 0; y < 4; y++)
                x[g][y] = gdn_op(op, x[g][y] * scale);
        *(uint4 *)(to + 32 * g) =
            make_uint4(word<kind>(x[g][0]), word<kind>(x[g][1]), word<kind>(x[g][2]), word<kind>(x[g][3]));
    }
}

/* What arrived, normalised and rounded, in the order of fetch(). */
template <int kind, int C, typename In>
static __device__ __forceinline__ void prepare(const gdn_recipe &recipe, const raw_tile<C, In> &raw, int slot,
                                               int n, tile<C> &ready)
{
    const gdn_format_id op = kind == BF16 ? GDN_BF16 : GDN_FP32;
    const int row = (int)threadIdx.x / 8, lane = 4 * ((int)threadIdx.x % 8);
    const bool round = sizeof(In) == 4 && recipe.input == GDN_BF16, round_qk = recipe.qk == GDN_BF16;
    float k[4][4], q[4][4];
    float pk = read_row<kind>(&raw.k[row][lane], round, k), pq = read_row<kind>(&raw.q[row][lane], round, q);
#pragma unroll
    for (int m = 1; m < 8; m *= 2) {
        pk = gdn_op(op, pk + __shfl_xor_sync(~0u, pk, m));
        pq = gdn_op(op, pq + __shfl_xor_sync(~0u, pq, m));
    }
    /* even lanes take k's root, odd lanes q's */
    float rstd = gdn_l2_rstd(op, recipe.math, recipe.l2norm, DK, threadIdx.x % 2 ? pq : pk);
    float other = __shfl_xor_sync(~0u, rstd, 1);
    write_row<kind>(&ready.k[row][lane], k, threadIdx.x % 2 ? other : rstd, round_qk, false, 1);
    write_row<kind>(&ready.q[row][lane], q, threadIdx.x % 2 ? rstd : other, round_qk, true,
                    gdn_q_scale(op, DK));
#pragma unroll
    for (int x = 0; x < QUADS * C; x += 32) {
        float v[4];
        numbers(&raw.v[row][lane + x], v);
        round_four(round, v);
        *(float4 *)&ready.v[row][lane + x] = make_float4(v[0], v[1], v[2], v[3]);
    }
    const int t = slot + (int)threadIdx.x % TILE;
    if (threadIdx.x < TILE)
        ready.alpha[threadIdx.x] = t < n ? raw.alpha[threadIdx.x] : 1;
    else if (threadIdx.x < 2 * TILE)
        ready.beta[threadIdx.x - TILE] = t > 0 ? raw.beta[threadIdx.x - TILE] : -0.0f;
}

/* ---- a lane ---- */

/* What a lane computes with: a column, or two of them. */
template <int kind> struct number {
    typedef float type;
    enum { columns = 1 };
};

template <> struct number<BF16> {
    typedef __nv_bfloat162 type;
    enum { columns = 2 };
};

static __device__ __forceinline__ void from_word(uint32_t u, float &x)
{
    x = __uint_as_float(u);
}

static __device__ __forceinline__ void from_word(uint32_t u, __nv_bfloat162 &x)
{
    memcpy(&x, &u, sizeof x);
}

static __device__ __forceinline__ void from_float(float x, float &y)
{
    y = x;
}

static __device__ __forceinline__ void from_float(float x, __nv_bfloat162 &y)
{
    y = __float2bfloat162_rn(x);
}

template <int kind, int C> struct lane_state {
    typedef typename number<kind>::type real;
    enum { V = C / number<kind>::columns, arith = kind == BF16 ? GDN_ARITH_BF16 : GDN_ARITH_FP32 };
    real s[V][ROWS];
    real k[ROWS];    /* k^ of the pass before */
    real a[V], o[V]; /* partials of the recall and of the output before */
};

/* The columns of a lane's partials. */
template <int C> static __device__ __forceinline__ void columns_of(const float (&p)[C], float (&x)[C])
{
#pragma unroll
    for (int j = 0; j < C; j++)
        x[j] = p[j];
}

template <int C>
static __device__ __forceinline__ void columns_of(const __nv_bfloat162 (&p)[C / 2], float (&x)[C])
{
#pragma unroll
    for (int j = 0; j < C; j += 2) {
        x[j] = __low2float(p[j / 2]);
        x[j + 1] = __high2float(p[j / 2]);
    }
}

/* And back. */
template <int C> static __device__ __forceinline__ void columns_to(const float (&x)[C], float (&p)[C])
{
#pragma unroll
    for (int j = 0; j < C; j++)
        p[j] = x[j];
}

template <int C>
static __device__ __forceinline__ void columns_to(const float (&x)[C], __nv_bfloat162 (&p)[C / 2])
{
#pragma unroll
    for (int j = 0; j < C; j += 2)
        p[j / 2] = __floats2bfloat162_rn(x[j], x[j + 1]);
}

/* The column, of its quad's C, whose sum a lane gets. */
template <int C> static __device__ __forceinline__ int own_column()
{
    return (int)threadIdx.x % C;
}

static __device__ __forceinline__ float from_lane(float x, int distance)
{
    return __shfl_xor_sync(~0u, x, distance);
}

/* (p0 + p1) + (p2 + p3) of the lane's own column. */
template <int C> static __device__ __forceinline__ float total(int arith, const float (&p)[C])
{
    if (C == 4) {
        float x = gdn_step_add(arith, p[0], from_lane(p[1 % C], 1));
        float y = gdn_step_add(arith, p[2 % C], from_lane(p[3 % C], 1));
        return gdn_step_add(arith, x, from_lane(y, 2));
    }
    float x = gdn_step_add(arith, p[0], from_lane(p[C - 1], 1));
    return gdn_step_add(arith, x, from_lane(x, 2));
}

/* Each lane's number, to the slots of its column. */
template <int C> static __device__ __forceinline__ void spread(float x, float (&y)[C])
{
    y[0] = x;
#pragma unroll
    for (int j = 1; j < C; j++)
        y[j] = from_lane(x, j);
}

/* A float rounded to bf16 by 16 random bits; NaN stays. */
static __device__ __forceinline__ float round_stochastic(float x, uint32_t random)
{
    return x != x ? x : __uint_as_float((__float_as_uint(x) + random) & 0xffff0000u);
}

/* Row r of the lane as it rests; random: this lane's C halves of the row. */
template <int kind, int C>
static __device__ __forceinline__ void rest(lane_state<kind, C> &x, int r, const void *random)
{
    if constexpr (kind == FP32_BF16) {
        if constexpr (C == 1)
            x.s[0][r] = gdn_bf16_round(x.s[0][r]);
        else
#pragma unroll
            for (int j = 0; j < C; j += 2)
                round_two(x.s[j][r], x.s[j + 1][r]);
    }
    if constexpr (kind == FP32_BF16_STOCHASTIC) {
        if constexpr (C == 1)
            x.s[0][r] = round_stochastic(x.s[0][r], *(const uint16_t *)random);
        else
#pragma unroll
            for (int j = 0; j < C; j += 2) {
                uint32_t two = ((const uint32_t *)random)[j / 2];
                x.s[j][r] = round_stochastic(x.s[j][r], two & 0xffffu);
                x.s[j + 1][r] = round_stochastic(x.s[j + 1][r], two >> 16);
            }
    }
}

/* The random halves of the warp's columns after the token at position t. column: the warp's first */
template <int C>
static __device__ __forceinline__ void draw(const gdn_recurrent_run &r, uint4 *draws, int head, int column,
                                            int64_t t)
{
    const int lane = (int)threadIdx.x % 32;
#pragma unroll 2
    for (int d = lane; d < ROWS * 4 * C; d += 32) {
        int octet = d % C, p = d / C % 4, i = d / (4 * C);
        uint64_t index = gdn_step_draw_index(t, DK, i / 4 * 16 + 4 * p + i % 4, r.dv, column / 8 + octet);
        uint4 x = gdn_device_draw(index, (uint32_t)head, r.seed);
        if (C == 4 && p & 2)
            x = make_uint4(x.y, x.x, x.w, x.z);
        if (C > 1 && p & 1)
            x = make_uint4(__funnelshift_l(x.x, x.x, 16), __funnelshift_l(x.y, x.y, 16),
                           __funnelshift_l(x.z, x.z, 16), __funnelshift_l(x.w, x.w, 16));
        draws[d] = x;
    }
}

/*
 * One pass over the rows: write and read with the token before, decay and recall with this one. k, q: this
 * lane's words of the slot; random: its halves, a row every 32 C.
 */
template <int kind, int C>
static __device__ __forceinline__ void pass(lane_state<kind, C> &x, const uint32_t *k, const uint32_t *q,
                                            float alpha, const typename number<kind>::type *delta,
                                            const uint16_t *random)
{
    typedef lane_state<kind, C> lane;
    typename lane::real decay;
    from_float(alpha, decay);
#pragma unroll
    for (int j = 0; j < lane::V; j++) {
        from_word(0, x.a[j]);
        from_word(0, x.o[j]);
    }
#pragma unroll
    for (int i = 0; i < ROWS; i += 4) {
        const uint4 ku = *(const uint4 *)(k + 4 * i), qu = *(const uint4 *)(q + 4 * i);
        const uint32_t kw[4] = {ku.x, ku.y, ku.z, ku.w}, qw[4] = {qu.x, qu.y, qu.z, qu.w};
        typename lane::real kn[4], qn[4];
#pragma unroll
        for (int y = 0; y < 4; y++) {
            from_word(kw[y], kn[y]);
            from_word(qw[y], qn[y]);
        }
#pragma unroll
        for (int j = 0; j < lane::V; j++)
#pragma unroll
            for (int y = 0; y < 4; y++)
                gdn_step_write(lane::arith, x.k[i + y], delta[j], qn[y], &x.s[j][i + y], &x.o[j]);
#pragma unroll
        for (int y = 0; y < 4; y++)
            rest(x, i + y, random + (i + y) * 32 * C);
#pragma unroll
        for (int j = 0; j < lane::V; j++)
#pragma unroll
            for (int y = 0; y < 4; y++)
                gdn_step_decay(lane::arith, decay, &x.s[j][i + y]);
#pragma unroll
        for (int y = 0; y < 4; y++) {
#pragma unroll
            for (int j = 0; j < lane::V; j++)
                gdn_step_recall(lane::arith, kn[y], x.s[j][i + y], &x.a[j]);
            x.k[i + y] = kn[y];
        }
    }
}

static __device__ __forceinline__ void put(double *to, float x)
{
    *to = x;
}

static __device__ __forceinline__ void put(float *to, float x)
{
    *to = x;
}

static __device__ __forceinline__ void put(__nv_bfloat16 *to, float x)
{
    *to = __low2bfloat16(__floats2bfloat162_rn(x, 0.0f));
}

/* o of a token from the lane's partials, in the recipe's format. */
template <int kind, int C>
static __device__ __forceinline__ float output(const lane_state<kind, C> &x, bool round)
{
    float p[C];
    columns_of(x.o, p);
    float o = total(lane_state<kind, C>::arith, p);
    return round ? gdn_bf16_round(o) : o;
}

/* delta from the partials of the recall, in the slots of its columns. v: of the lane's own column */
template <int kind, int C>
static __device__ __forceinline__ void missing(const lane_state<kind, C> &x, float v, float beta,
                                               typename number<kind>::type *delta)
{
    typedef lane_state<kind, C> lane;
    float p[C], d[C];
    columns_of(x.a, p);
    spread(gdn_step_delta(lane::arith, v, total(lane::arith, p), beta), d);
    columns_to(d, *(typename number<kind>::type(*)[lane::V])delta);
}

/* ---- state between device memory and registers ---- */

/* Four columns in order of columns from order of slots and back: the exchange is its own inverse. */
template <int C> static __device__ __forceinline__ void reorder(float (&x)[C])
{
    float y[C];
    if (C > 1 && threadIdx.x & 1) {
#pragma unroll
        for (int j = 0; j < C; j++)
            y[j] = x[j ^ (C > 1)];
    } else {
#pragma unroll
        for (int j = 0; j < C; j++)
            y[j] = x[j];
    }
    bool far = C == 4 && threadIdx.x & 2;
#pragma unroll
    for (int j = 0; j < C; j++)
        x[j] = far ? y[j ^ (C == 4 ? 2 : 0)] : y[j];
}

/* state: [128][dv] from the quad's first column on. */
template <int kind, int C>
static __device__ __forceinline__ void load_state(lane_state<kind, C> &x, const float *state, int dv)
{
#pragma unroll
    for (int j = 0; j < lane_state<kind, C>::V; j++) {
        from_word(0, x.a[j]);
        from_word(0, x.o[j]);
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        from_word(0, x.k[r]);
        const float *from = state + (int64_t)(r / 4 * 16 + (int)threadIdx.x % 4 * 4 + r % 4) * dv;
        float y[C];
        typename number<kind>::type z[lane_state<kind, C>::V];
#pragma unroll
        for (int j = 0; j < C; j++)
            y[j] = from[j];
        reorder<C>(y);
        columns_to(y, z);
#pragma unroll
        for (int j = 0; j < lane_state<kind, C>::V; j++)
            x.s[j][r] = z[j];
    }
}

template <int kind, int C>
static __device__ __forceinline__ void store_state(const lane_state<kind, C> &x, float *state, int dv)
{
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        float *to = state + (int64_t)(r / 4 * 16 + (int)threadIdx.x % 4 * 4 + r % 4) * dv;
        float y[C];
        typename number<kind>::type z[lane_state<kind, C>::V];
#pragma unroll
        for (int j = 0; j < lane_state<kind, C>::V; j++)
            z[j] = x.s[j][r];
        columns_of(z, y);
        reorder<C>(y);
#pragma unroll
        for (int j = 0; j < C; j++)
            to[j] = y[j];
    }
}

/* ---- the kernel ---- */

template <int kind, int C, typename In, typename Out>
static __device__ __forceinline__ block_view<In, Out> view(const gdn_recurrent_run &r, int head, int column)
{
    const int64_t token = head * r.stride, span = (int64_t)head * r.n;
    block_view<In, Out> b;
    b.q = (const In *)r.q + token * DK;
    b.k = (const In *)r.k + token * DK;
    b.v = (const In *)r.v + token * r.dv + column;
    b.alpha = r.alpha + span;
    b.beta = r.beta + span;
    b.o = r.o ? (Out *)r.o + token * r.dv + column + (int)threadIdx.x / 4 * C + own_column<C>() : NULL;
    b.n = r.n;
    b.dv = r.dv;
    return b;
}

/* Blocks that share a multiprocessor: as many as their registers allow. */
template <int kind, int C> struct residents {
    enum { value = kind == BF16 ? 3 : C == 4 ? 2 : C == 2 ? 3 : 4 };
};

template <int kind, int C, typename In, typename Out>
static __global__ void __launch_bounds__(THREADS, residents<kind, C>::value)
    columns(const __grid_constant__ gdn_recurrent_run r)
{
    typedef lane_state<kind, C> lane;
    extern __shared__ uint4 memory[];
    block_memory<kind, C, In> &m = *(block_memory<kind, C, In> *)memory;
    const int parts = r.dv / (QUADS * C);
    const int head = (int)(blockIdx.x / (unsigned)parts),
              column = (int)(blockIdx.x % (unsigned)parts) * QUADS * C;
    const block_view<In, Out> b = view<kind, C, In, Out>(r, head, column);
    const bool round = r.recipe.output == GDN_BF16;
    const int p = (int)threadIdx.x % 4, warp = (int)threadIdx.x / 32;
    float *state = r.state + (int64_t)head * DK * r.dv + column + (int)threadIdx.x / 4 * C;
    const uint16_t *random = NULL;
    if constexpr (kind == FP32_BF16_STOCHASTIC)
        random = (const uint16_t *)m.random.draws[warp] + (p * 8 + (int)threadIdx.x % 32 / 4) * C;

    lane x;
    typename lane::real delta[lane::V];
    fetch(b, m.raw, 0);
    load_state(x, state, r.dv);
    asm volatile("cp.async.wait_all;" ::: "memory");
    prepare<kind>(r.recipe, m.raw, 0, r.n, m.ready[0]);
    fetch(b, m.raw, TILE);
    __syncthreads();

    Out *to = b.o;
    const int outputs = to && threadIdx.x % 4 < C ? 2 : INT_MAX; /* the first slot that has an o */
    for (int first = 0; first <= r.n; first += TILE) {
        const tile<C> &now = m.ready[first / TILE % 2];
        if (first + TILE <= r.n) {
            asm volatile("cp.async.wait_all;" ::: "memory");
            prepare<kind>(r.recipe, m.raw, first + TILE, r.n, m.ready[(first / TILE + 1) % 2]);
            fetch(b, m.raw, first + 2 * TILE);
        }
        const int end = min(first + TILE, r.n + 1);
        const uint32_t *k = now.k[0] + 4 * p, *q = now.q[0] + 4 * p;
        const float *v = now.v[0] + (int)threadIdx.x / 4 * C + own_column<C>();
        const float *alpha = now.alpha, *beta = now.beta;
#pragma unroll 1
        for (int t = first; t < end; t++) {
            missing(x, *v, *beta, delta);
            float o = output(x, round);
            if (t >= outputs) {
                put(to, o);
                to += r.dv;
            }
            if constexpr (kind == FP32_BF16_STOCHASTIC) {
                __syncwarp();
                draw<C>(r, m.random.draws[warp], head, column + warp * 8 * C, r.first + t - 1);
                __syncwarp();
            }
            pass<kind, C>(x, k, q, *alpha, delta, random);
            k += DK;
            q += DK;
            v += QUADS * C;
            alpha++;
            beta++;
        }
        __syncthreads();
    }
    float o = output(x, round);
    if (outputs == 2)
        put(to, o);
    store_state(x, state, r.dv);
}

/* ---- choosing and launching ---- */

typedef struct variant {
    const void *kernel; /* NULL: there is none */
    size_t bytes;       /* of shared memory */
} variant;

enum { WIDTHS = 3 };

static const int widths[WIDTHS] = {4, 2, 1};

#define VARIANT(kind, C, In, Out)                                                                            \
    {                                                                                                        \
        (const void *)columns<kind, C, In, Out>, sizeof(block_memory<kind, C, In>)                           \
    }
#define VARIANTS(kind, In, Out)                                                                              \
    {                                                                                                        \
        VARIANT(kind, 4, In, Out), VARIANT(kind, 2, In, Out), VARIANT(kind, 1, In, Out)                      \
    }

static const variant *variants_of(int kind, gdn_recurrent_storage storage)
{
    static const variant engine[][WIDTHS] = {
        VARIANTS(FP32, float, double),
        VARIANTS(FP32_BF16, float, double),
        VARIANTS(FP32_BF16_STOCHASTIC, float, double),
        /* a pair of columns is the least of bf16 arithmetic */
        {VARIANT(BF16, 4, float, double), VARIANT(BF16, 2, float, double), {NULL, 0}}};
    static const variant fp32[WIDTHS] = VARIANTS(FP32, float, float),
                         bf16[WIDTHS] = VARIANTS(FP32, __nv_bfloat16, __nv_bfloat16);
    return storage == GDN_STORAGE_ENGINE ? engine[kind] : storage == GDN_STORAGE_FP32 ? fp32 : bf16;
}

/* A format of at least fp32's numbers, which rounds no float; or bf16. */
static bool keeps(gdn_format_id f)
{
    return f == GDN_FP64 || f == GDN_FP32;
}

static bool fast(gdn_format_id f)
{
    return keeps(f) || f == GDN_BF16;
}

/* The kind of a recipe, or -1. Rounding a bf16 number to bf16 changes nothing, stochastically or not. */
static int kind_of(const gdn_recipe *r)
{
    if (!fast(r->input) || !fast(r->qk) || !fast(r->output) || !fast(r->state))
        return -1;
    if (r->op == GDN_BF16)
        return r->state == GDN_BF16 ? BF16 : -1;
    return keeps(r->state) ? FP32 : r->state_rounding == GDN_STOCHASTIC ? FP32_BF16_STOCHASTIC : FP32_BF16;
}

static bool aligned(const void *p)
{
    return (uintptr_t)p % 16 == 0;
}

/*
 * The width that finishes first: a block of fewer columns is done sooner, as long as every block has a
 * multiprocessor of its own.
 */
static int width_of(const gdn_recurrent_run *r, const variant *v, const gdn_recurrent_device *device,
                    int wanted)
{
    int best = -1;
    for (int i = 0; i < WIDTHS; i++) {
        int per_block = QUADS * widths[i];
        if (!v[i].kernel || v[i].bytes > device->shared_bytes || r->dv % per_block ||
            (wanted && wanted != widths[i]))
            continue;
        int64_t blocks = (int64_t)r->heads * (r->dv / per_block);
        if (best < 0 || blocks <= device->multiprocessors)
            best = i;
    }
    return best;
}

extern "C" bool gdn_recurrent_columns_fit(const gdn_recurrent_run *r, gdn_recurrent_storage storage,
                                          const gdn_recurrent_device *device)
{
    int kind = kind_of(&r->recipe);
    return kind >= 0 && r->dk == DK && aligned(r->q) && aligned(r->k) && aligned(r->v) &&
           width_of(r, variants_of(kind, storage), device, 0) >= 0;
}

extern "C" gdn_status gdn_recurrent_columns(const gdn_recurrent_run *r, gdn_recurrent_storage storage,
                                            const gdn_recurrent_device *device, int columns, gdn_error *err)
{
    const variant *v = variants_of(kind_of(&r->recipe), storage);
    int width = width_of(r, v, device, columns);
    if (width < 0)
        return gdn_fail(err, GDN_BAD_INPUT, "the recurrence cannot run %d columns a lane in this shape",
                        columns);
    v += width;
    gdn_status status = gdn_cuda_status(
        cudaFuncSetAttribute(v->kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)v->bytes),
        "shared memory of the recurrence", err);
    if (status)
        return status;
    unsigned blocks = (unsigned)r->heads * (unsigned)(r->dv / (QUADS * widths[width]));
    void *arguments[] = {(void *)r};
    cudaError_t e =
        cudaLaunchKernel(v->kernel, dim3(blocks), dim3(THREADS), arguments, v->bytes, cudaStreamPerThread);
    return gdn_cuda_status(e, "the recurrence", err);
}
