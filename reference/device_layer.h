/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device_layer -- the recurrence and the gated norm on the GPU, for double and double-double alike.
 *
 * A is the arithmetic: A::number, a double or a gdn_dd; A::lanes, the partial sums of a sum over rows; and
 * what step_body.h says of one element. The order of operations is that of fp64_tile.c and dd_tile.c:
 *
 *   - A group of A::lanes threads holds C columns of one head, thread p the rows p, p + lanes, ... in
 *     registers over all tokens of a block: thread p has partial sum p.
 *   - The butterfly joins the partial sums of C sums at once: in each of its first steps a thread hands over
 *     half of its sums and joins the other half, which commutes. C - 1 + log2(lanes / C) joins do what takes
 *     C log2(lanes) otherwise.
 *   - The way from one token to the next is k . S, the butterfly, w, S. What is off that way fills the time
 *     in which it waits for shuffles: q . S of the token before, and S <- alpha S.
 */
#ifndef GDN_REFERENCE_DEVICE_LAYER_H
#define GDN_REFERENCE_DEVICE_LAYER_H

#include <cuda_pipeline.h>

#include "reference/device.h"

/* ---- partial sums ---- */

static __device__ __forceinline__ double gdn_join(double a, double b)
{
    return a + b;
}

static __device__ __forceinline__ gdn_dd gdn_join(gdn_dd a, gdn_dd b)
{
    return gdn_dd_join(a, b);
}

static __device__ __forceinline__ double gdn_settle(double sum)
{
    return sum;
}

static __device__ __forceinline__ gdn_dd gdn_settle(gdn_dd sum)
{
    return gdn_dd_settle(sum);
}

/* What thread lane ^ mask has, and what thread `lane` has. */
static __device__ __forceinline__ double gdn_exchange(double x, int mask)
{
    return __shfl_xor_sync(~0u, x, mask);
}

static __device__ __forceinline__ gdn_dd gdn_exchange(gdn_dd x, int mask)
{
    return gdn_dd_pair(gdn_exchange(x.hi, mask), gdn_exchange(x.lo, mask));
}

static __device__ __forceinline__ double gdn_ask(double x, int lane)
{
    return __shfl_sync(~0u, x, lane);
}

static __device__ __forceinline__ gdn_dd gdn_ask(gdn_dd x, int lane)
{
    return gdn_dd_pair(gdn_ask(x.hi, lane), gdn_ask(x.lo, lane));
}

/* Which of V sums thread p has after gdn_reduce(), and a thread that has sum i. */
template <int V> static __device__ __forceinline__ int gdn_sum_of(int p)
{
    int i = 0;
#pragma unroll
    for (int n = V / 2, bit = 0; n >= 1; n /= 2, bit++)
        i += (p >> bit & 1) * n;
    return i;
}

/* Join the partial sums of V sums over groups of LANES threads: p with p ^ 1, then ^ 2, ^ 4, ... */
template <int V, int LANES, class number>
static __device__ __forceinline__ number gdn_reduce(number (&x)[V], int p)
{
    int mask = 1;
#pragma unroll
    for (int n = V / 2; n >= 1; n /= 2, mask *= 2) {
        bool upper = p & mask;
#pragma unroll
        for (int i = 0; i < n; i++) {
            number give = upper ? x[i] : x[i + n], keep = upper ? x[i + n] : x[i];
            x[i] = gdn_join(keep, gdn_exchange(give, mask));
        }
    }
    number sum = x[0];
#pragma unroll
    for (; mask < LANES; mask *= 2)
        sum = gdn_join(sum, gdn_exchange(sum, mask));
    return gdn_settle(sum);
}

/* ---- tokens in shared memory ---- */

/*
 * A tile of tokens t0 .. t0 + tile - 1. k goes one token further, for k . S before the next tile is there; q
 * starts one token earlier, since q . S is summed while the next token waits. While one tile is computed the
 * next is on its way: factors and v alternate between two halves, k and q arrive as they are.
 */
typedef struct gdn_stage {
    gdn_factors *factors; /* [2][tile + 2], from t0 - 1 */
    double *k;            /* [tile + 1][rows], from t0 */
    double *q;            /* [tile + 1][rows], from t0 - 1 */
    float *next_k;        /* [tile + 1][rows], padded with zeros */
    float *next_q;        /* [tile + 1][rows], padded with zeros */
    float *v;             /* [2][tile][W], W columns a block */
    int tile, rows, width;
} gdn_stage;

/* Bytes of shared memory for tiles of so many tokens; width: W. */
static inline size_t gdn_stage_bytes(int tile, int rows, int width)
{
    return 2 * (size_t)(tile + 1) * (size_t)rows * (sizeof(double) + sizeof(float)) +
           2 * (size_t)(tile + 2) * sizeof(gdn_factors) + 2 * (size_t)tile * (size_t)width * sizeof(float);
}

static __device__ __forceinline__ gdn_stage gdn_stage_at(double *shared, int tile, int rows, int width)
{
    gdn_stage s;
    s.factors = (gdn_factors *)shared;
    s.k = (double *)(s.factors + 2 * (tile + 2));
    s.q = s.k + (tile + 1) * rows;
    s.next_k = (float *)(s.q + (tile + 1) * rows);
    s.next_q = s.next_k + (tile + 1) * rows;
    s.v = s.next_q + (tile + 1) * rows;
    s.tile = tile;
    s.rows = rows;
    s.width = width;
    return s;
}

/* The padding of rows is zero for good. */
static __device__ __forceinline__ void gdn_stage_clear(const gdn_stage &s)
{
    for (int e = (int)threadIdx.x; e < (s.tile + 1) * s.rows; e += (int)blockDim.x)
        s.next_k[e] = s.next_q[e] = 0.0f;
    __syncthreads();
}

/* Start to copy n words that lie side by side. */
template <class word> static __device__ __forceinline__ void gdn_stage_copy(word *to, const word *from, int n)
{
#pragma unroll 4
    for (int e = (int)threadIdx.x; e < n; e += (int)blockDim.x)
        __pipeline_memcpy_async(to + e, from + e, sizeof *to);
}

/* Start to copy n rows of floats from [n][dk] to [n][rows]. */
static __device__ __forceinline__ void gdn_stage_rows(const gdn_stage &s, const gdn_recurrence &x, float *to,
                                                      const float *from, int n)
{
    if (x.solid) {
        gdn_stage_copy((float4 *)to, (const float4 *)from, n * s.rows / 4);
        return;
    }
#pragma unroll 1
    for (int e = (int)threadIdx.x; e < n * s.rows; e += (int)blockDim.x)
        if (e % s.rows < x.dk)
            __pipeline_memcpy_async(to + e, from + (e / s.rows * x.dk + e % s.rows), sizeof *to);
}

/*
 * Start to copy the tile from token t0 on into half `half`, as far as there are tokens. at: the head's first
 * token; v: [tokens][dv], its column of this thread; every: tokens from one of this thread's to the next.
 */
static __device__ __forceinline__ void gdn_stage_fetch(const gdn_stage &s, const gdn_recurrence &x, size_t at,
                                                       const float *v, int every, int t0, int half)
{
    const int words = (int)(sizeof(gdn_factors) / sizeof(double2)), late = t0 == 0; /* no token before t0 */
    const int there = x.tokens - t0, n = there < s.tile ? there : s.tile, more = there > n ? n + 1 : n;
    const size_t now = at + (size_t)t0, before = now - 1 + (size_t)late;
    gdn_stage_copy((double2 *)(s.factors + half * (s.tile + 2) + late), (const double2 *)(x.factors + before),
                   (more + 1 - late) * words);
    gdn_stage_rows(s, x, s.next_k, x.k + now * (size_t)x.dk, more);
    gdn_stage_rows(s, x, s.next_q + late * s.rows, x.q + before * (size_t)x.dk, n + 1 - late);
    float *to = s.v + half * s.tile * s.width;
    v += (size_t)t0 * (size_t)x.dv;
    for (int t = (int)threadIdx.x / s.width, i = (int)threadIdx.x; t < n; t += every, i += (int)blockDim.x)
        __pipeline_memcpy_async(to + i, v + t * x.dv, sizeof *v);
    __pipeline_commit();
}

/* Four numbers as they came -> four doubles. */
template <class A>
static __device__ __forceinline__ void gdn_stage_widen_quad(double *to, const float *from, gdn_dd factor)
{
    float4 x = *(const float4 *)from;
    *(double2 *)to = make_double2(A::widen(factor, x.x), A::widen(factor, x.y));
    *(double2 *)(to + 2) = make_double2(A::widen(factor, x.z), A::widen(factor, x.w));
}

/* k and q of the tile that has arrived in half `half`. */
template <class A> static __device__ __forceinline__ void gdn_stage_widen(const gdn_stage &s, int half)
{
    const gdn_factors *f = s.factors + half * (s.tile + 2);
#pragma unroll 2
    for (int e = 4 * (int)threadIdx.x; e < (s.tile + 1) * s.rows; e += 4 * (int)blockDim.x) {
        int t = e / s.rows;
        gdn_stage_widen_quad<A>(s.k + e, s.next_k + e, f[t + 1].rho);
        gdn_stage_widen_quad<A>(s.q + e, s.next_q + e, f[t].omega);
    }
}

/* ---- the recurrence ---- */

/* The rows and columns of one thread; R = 0: their number is known at run time and they stay in memory. */
template <class A, int C, int R> struct gdn_patch {
    typedef typename A::number number;
    number S[C][R ? R : 1];
    double held[A::hold && R ? R : 1]; /* k of this token */
    double *hi, *lo;                   /* the first row and column in memory */
    size_t step;                       /* from one row to the next */
    int rows;

    __device__ __forceinline__ number get(int i, int j) const
    {
        return R ? S[j][R ? i : 0] : A::load(hi, lo, (size_t)i * step + (size_t)j);
    }

    __device__ __forceinline__ void set(int i, int j, number s)
    {
        if (R)
            S[j][R ? i : 0] = s;
        else
            A::store(hi, lo, (size_t)i * step + (size_t)j, s);
    }

    __device__ __forceinline__ void load()
    {
#pragma unroll
        for (int i = 0; i < R; i++)
#pragma unroll
            for (int j = 0; j < C; j++)
                S[j][i] = A::load(hi, lo, (size_t)i * step + (size_t)j);
    }

    __device__ __forceinline__ void store() const
    {
#pragma unroll
        for (int i = 0; i < R; i++)
#pragma unroll
            for (int j = 0; j < C; j++)
                A::store(hi, lo, (size_t)i * step + (size_t)j, S[j][i]);
    }

    /* sums <- x . S; x: at the thread's first row. */
    __device__ __forceinline__ void dot(const double *x, number (&sums)[C])
    {
#pragma unroll
        for (int j = 0; j < C; j++)
            sums[j] = A::zero();
#pragma unroll
        for (int i = 0; i < (R ? R : rows); i++)
#pragma unroll
            for (int j = 0; j < C; j++)
                A::dot(sums[j], x[i * A::lanes], get(i, j));
    }

    /* sums <- k . S of the first token */
    __device__ __forceinline__ void first(const double *k, number (&sums)[C])
    {
#pragma unroll
        for (int i = 0; A::hold && i < R; i++)
            held[A::hold ? i : 0] = k[i * A::lanes];
        dot(k, sums);
    }

    /* sums <- q . S, then S <- alpha S */
    __device__ __forceinline__ void leave(const double *q, const gdn_factors &f, number (&sums)[C])
    {
#pragma unroll
        for (int j = 0; j < C; j++)
            sums[j] = A::zero();
#pragma unroll
        for (int i = 0; i < (R ? R : rows); i++)
#pragma unroll
            for (int j = 0; j < C; j++) {
                number s = get(i, j);
                A::dot(sums[j], q[i * A::lanes], s);
                A::forget(s, A::alpha(f));
                set(i, j, s);
            }
    }

    /* S <- S + k w, sums <- next . S */
    __device__ __forceinline__ void enter(const double *k, const double *next, const number (&w)[C],
                                          number (&sums)[C])
    {
#pragma unroll
        for (int j = 0; j < C; j++)
            sums[j] = A::zero();
#pragma unroll
        for (int i = 0; i < (R ? R : rows); i++) {
            const bool keep = A::hold && R;
            double ki = keep ? held[A::hold && R ? i : 0] : k[i * A::lanes], ni = next[i * A::lanes];
            if (keep)
                held[A::hold && R ? i : 0] = ni;
#pragma unroll
            for (int j = 0; j < C; j++) {
                number s = get(i, j);
                A::add_product(s, ki, w[j]);
                A::dot(sums[j], ni, s);
                set(i, j, s);
            }
        }
    }
};

template <class A, int C, int R, int BLOCKS>
static __global__ void __launch_bounds__(GDN_THREADS, BLOCKS) gdn_recurrence_kernel(const gdn_recurrence x)
{
    typedef typename A::number number;
    extern __shared__ double shared[];
    const int tid = (int)threadIdx.x, p = tid % A::lanes, width = (int)blockDim.x / A::lanes * C;
    const int head = (int)(blockIdx.x / (unsigned)x.strips);
    const int start = (int)(blockIdx.x % (unsigned)x.strips) * width, group = tid / A::lanes * C;
    const int own = group + gdn_sum_of<C>(p), rows = R ? R * A::lanes : x.rows;
    const size_t at = (size_t)head * (size_t)x.tokens, m = (size_t)x.columns;
    const bool writes = p < C && start + own < x.columns;
    const int fetched = start + tid % width < x.columns ? start + tid % width : x.columns - 1;
    const float *v0 = x.v + at * (size_t)x.dv + x.column[fetched];
    const gdn_stage s = gdn_stage_at(shared, x.tile, rows, width);
    size_t corner = ((size_t)head * (size_t)rows + (size_t)p) * (size_t)x.stride + (size_t)(start + group);
    size_t to = at * m + (size_t)(start + own) - m; /* where o of the token before goes */
    gdn_patch<A, C, R> S;
    number r[C], o[C], w[C];

    S.hi = x.hi + corner;
    S.lo = x.lo + corner;
    S.step = (size_t)A::lanes * (size_t)x.stride;
    S.rows = rows / A::lanes;
    S.load();
    gdn_stage_clear(s);
    gdn_stage_fetch(s, x, at, v0, A::lanes / C, 0, 0);
    for (int t0 = 0, half = 0; t0 < x.tokens; t0 += x.tile, half ^= 1) {
        __pipeline_wait_prior(0);
        __syncthreads();
        gdn_stage_widen<A>(s, half);
        __syncthreads();
        if (t0 + x.tile < x.tokens)
            gdn_stage_fetch(s, x, at, v0, A::lanes / C, t0 + x.tile, half ^ 1);
        const int n = x.tokens - t0 < x.tile ? x.tokens - t0 : x.tile;
        const double *k = s.k + p, *q = s.q + p;
        const gdn_factors *f = s.factors + half * (x.tile + 2);
        const float *v = s.v + half * x.tile * width + own;
        if (t0 == 0)
            S.first(k, r);
#pragma unroll 1
        for (int t = 0; t < n; t++, k += rows, q += rows, f++, v += width, to += m) {
            number sum = gdn_reduce<C, A::lanes>(r, p);
            S.leave(q, f[1], o);
            number delta = A::delta(f[1], sum, (double)*v);
#pragma unroll
            for (int j = 0; j < C; j++)
                w[j] = C > 1 ? gdn_ask(delta, (tid & 31 & ~(A::lanes - 1)) + gdn_sum_of<C>(j)) : delta;
            S.enter(k, k + rows, w, r);
            sum = gdn_reduce<C, A::lanes>(o, p);
            if (writes && t0 + t > 0)
                A::store(x.o, x.o_lo, to, A::output(f->omega, sum));
        }
        if (t0 + n == x.tokens) {
            S.dot(q, o);
            number sum = gdn_reduce<C, A::lanes>(o, p);
            if (writes)
                A::store(x.o, x.o_lo, to, A::output(f->omega, sum));
        }
    }
    S.store();
}

/* ---- the gated norm ---- */

/* The mean of o^2 has GDN_NORM_LANES partial sums over columns; one thread each. */
template <class A> static __global__ void __launch_bounds__(GDN_THREADS) gdn_norm_kernel(gdn_device_norm x)
{
    typedef typename A::number number;
    size_t thread = (size_t)blockIdx.x * blockDim.x + threadIdx.x, t = thread / GDN_NORM_LANES;
    const int p = (int)(thread % GDN_NORM_LANES);
    const bool live = t < x.tokens;
    t = live ? t : x.tokens - 1;
    const size_t at = t * (size_t)x.columns;
    number ms = A::zero();
    if (x.own) {
        number sum[1] = {A::zero()};
        for (int j = p; j < gdn_padded(x.columns, GDN_NORM_LANES); j += GDN_NORM_LANES)
            sum[0] = A::add_square(sum[0], j < x.columns ? A::load(x.o, x.o_lo, at + (size_t)j) : A::zero());
        ms = A::mean(gdn_reduce<1, GDN_NORM_LANES>(sum, p), (double)x.dv);
        if (live && p == 0)
            A::store_wanted(x.ms, x.ms_lo, t, ms);
    } else {
        ms = A::load_given(x.ms, x.ms_lo, t);
    }
    if (!x.y || !live)
        return;
    number size = A::inverse_root(ms);
    for (int j = p; j < x.columns; j += GDN_NORM_LANES)
        A::store_wanted(x.y, x.y_lo, at + (size_t)j,
                        A::norm(A::load(x.o, x.o_lo, at + (size_t)j), x.weight[j], size,
                                (double)x.z[t * (size_t)x.dv + (size_t)x.column[j]]));
}

#endif
