/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recurrent_any -- the recurrence on the device for every shape and recipe; see recurrent.h.
 *
 * A block is one warp and runs eight value columns of one head: lane 8 p + c holds the rows of partial p
 * (recurrent_step.h) of column c, in shared memory. q^ and k^ of two tokens are normalised at a time, eight
 * lanes a row (norm.h).
 */
#include "kernels/recurrent_device.h"

#include <cuda_runtime.h>

#include "base/cuda.h"
#include "kernels/recurrent_cuda.h"

enum { LANES = 32, COLUMNS = 8, TOKENS = 2 };

/* What the warp shares; rows: d_k rounded up to 16. */
typedef struct shared_rows {
    float *s;         /* [rows / 4][32] row 16 (r / 4) + 4 p + r mod 4 of column c at [r][8 p + c] */
    float *k, *q;     /* [2][rows] k^, q^ */
    uint16_t *random; /* [rows][8] where rounding is stochastic */
} shared_rows;

static size_t shared_bytes(int rows, bool stochastic)
{
    return (size_t)rows * (COLUMNS + 2 * TOKENS) * sizeof(float) +
           (stochastic ? (size_t)rows * COLUMNS * sizeof(uint16_t) : 0);
}

static __device__ shared_rows share(void *memory, int rows)
{
    shared_rows m;
    m.s = (float *)memory;
    m.k = m.s + rows * COLUMNS;
    m.q = m.k + TOKENS * rows;
    m.random = (uint16_t *)(m.q + TOKENS * rows);
    return m;
}

/* q^ and k^ of tokens t and t + 1 where there are two: eight lanes for each of k, q, k, q. */
static __device__ void normalise(const gdn_recurrent_run *r, const shared_rows *m, int rows, int64_t token,
                                 bool two)
{
    const gdn_recipe *recipe = &r->recipe;
    int group = (int)threadIdx.x / 8, lane = 4 * ((int)threadIdx.x % 8);
    bool is_q = group % 2, live = group < 2 || two;
    int n = live ? r->dk : 0;
    const float *x = (const float *)(is_q ? r->q : r->k) + (token + group / 2) * r->dk;
    float *out = (is_q ? m->q : m->k) + group / 2 * rows;
    float p = 0;
    for (int i = lane; i < n; i += 32)
        for (int c = i; c < i + 4 && c < n; c++)
            p = gdn_add_square(recipe->op, p, gdn_device_round(recipe->input, x[c]));
    for (int step = 1; step < 8; step *= 2)
        p = gdn_op(recipe->op, p + __shfl_xor_sync(~0u, p, step));
    float rstd = gdn_l2_rstd(recipe->op, recipe->math, recipe->l2norm, r->dk, p);
    float scale = gdn_q_scale(recipe->op, r->dk);
    for (int i = lane; live && i < rows; i += 32)
        for (int c = i; c < i + 4 && c < rows; c++) {
            float y = c < n ? gdn_op(recipe->op, gdn_device_round(recipe->input, x[c]) * rstd) : 0;
            y = gdn_device_round(recipe->qk, y);
            out[c] = is_q ? gdn_op(recipe->op, y * scale) : y;
        }
}

/* The random halves of one token, a draw a row. */
static __device__ void draw(const gdn_recurrent_run *r, const shared_rows *m, int rows, int head, int octet,
                            int64_t t)
{
    for (int row = (int)threadIdx.x; row < rows; row += LANES)
        *(uint4 *)(m->random + row * COLUMNS) =
            gdn_device_draw(gdn_step_draw_index(t, r->dk, row, r->dv, octet), (uint32_t)head, r->seed);
}

/* The sum of the four partials, which lie eight lanes apart; every lane has it. */
static __device__ float total(int arith, float p)
{
    p = gdn_step_add(arith, p, __shfl_xor_sync(~0u, p, 8));
    return gdn_step_add(arith, p, __shfl_xor_sync(~0u, p, 16));
}

/* One token of the warp's columns; k, q: [rows]. Returns o before its rounding. */
static __device__ float step(const gdn_recurrent_run *r, const shared_rows *m, const float *k, const float *q,
                             int rows, float alpha, float beta, float v)
{
    const gdn_recipe *recipe = &r->recipe;
    const int arith = recipe->op == GDN_BF16 ? GDN_ARITH_BF16 : GDN_ARITH_FP32;
    const bool rests = recipe->state != GDN_FP64 && recipe->state != GDN_FP32;
    const int own = (int)threadIdx.x / 8 * 4;
    float *s = m->s + threadIdx.x, a = 0, o = 0;
    for (int i = 0; i < rows / 4; i++) {
        float x = s[i * LANES];
        gdn_step_decay(arith, alpha, &x);
        gdn_step_recall(arith, k[i / 4 * 16 + own + i % 4], x, &a);
        s[i * LANES] = x;
    }
    float delta = gdn_step_delta(arith, v, total(arith, a), beta);
    for (int i = 0; i < rows / 4; i++) {
        int row = i / 4 * 16 + own + i % 4;
        float x = s[i * LANES];
        gdn_step_write(arith, k[row], delta, q[row], &x, &o);
        if (rests && recipe->state_rounding == GDN_STOCHASTIC)
            x = gdn_device_round_stochastic(recipe->state, x,
                                            m->random[row * COLUMNS + threadIdx.x % COLUMNS]);
        else if (rests)
            x = gdn_device_round(recipe->state, x);
        s[i * LANES] = x;
    }
    return total(arith, o);
}

/* The state of the warp's columns between shared and device memory. state: [rows][dv] of the head */
static __device__ void move_state(const shared_rows *m, int rows, float *state, int dv, int column, bool load)
{
    int own = (int)threadIdx.x / 8 * 4;
    for (int i = 0; column < dv && i < rows / 4; i++) {
        float *at = state + (size_t)(i / 4 * 16 + own + i % 4) * (size_t)dv + column;
        float *here = m->s + i * LANES + threadIdx.x;
        *(load ? here : at) = *(load ? at : here);
    }
}

static __global__ void __launch_bounds__(LANES) any_shape(const __grid_constant__ gdn_recurrent_run r)
{
    extern __shared__ uint4 memory[];
    const int rows = (r.dk + 15) / 16 * 16, groups = (r.dv + COLUMNS - 1) / COLUMNS;
    const int head = (int)(blockIdx.x / (unsigned)groups), group = (int)(blockIdx.x % (unsigned)groups);
    const int column = group * COLUMNS + (int)threadIdx.x % COLUMNS;
    const bool live = column < r.dv, stochastic = r.recipe.state_rounding == GDN_STOCHASTIC;
    const shared_rows m = share(memory, rows);
    float *state = r.state + (size_t)head * (size_t)rows * (size_t)r.dv;
    for (int i = 0; i < rows / 4; i++)
        m.s[i * LANES + threadIdx.x] = 0;
    move_state(&m, rows, state, r.dv, column, true);
    const int64_t from = head * r.stride;
    for (int t = 0; t < r.n; t++) {
        if (t % TOKENS == 0) {
            __syncwarp();
            normalise(&r, &m, rows, from + t, t + 1 < r.n);
        }
        if (stochastic) {
            __syncwarp();
            draw(&r, &m, rows, head, group, r.first + t);
        }
        __syncwarp();
        const float *v = (const float *)r.v + (from + t) * r.dv + column;
        const float *k = m.k + t % TOKENS * rows, *q = m.q + t % TOKENS * rows;
        float o = step(&r, &m, k, q, rows, r.alpha[(int64_t)head * r.n + t], r.beta[(int64_t)head * r.n + t],
                       live ? gdn_device_round(r.recipe.input, *v) : 0);
        if (r.o && live && threadIdx.x < COLUMNS)
            ((double *)r.o)[(from + t) * r.dv + column] = gdn_device_round(r.recipe.output, o);
    }
    move_state(&m, rows, state, r.dv, column, false);
}

extern "C" gdn_status gdn_recurrent_any(const gdn_recurrent_run *r, gdn_error *err)
{
    int rows = (r->dk + 15) / 16 * 16, groups = (r->dv + COLUMNS - 1) / COLUMNS;
    size_t bytes = shared_bytes(rows, r->recipe.state_rounding == GDN_STOCHASTIC);
    /* the attribute is the kernel's, not the launch's: threads with other needs must find the same value */
    int device = 0, most = 0;
    gdn_status status = gdn_cuda_status(cudaGetDevice(&device), "cudaGetDevice", err);
    if (!status)
        status =
            gdn_cuda_status(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
                            "cudaDeviceGetAttribute", err);
    if (!status)
        status = gdn_cuda_status(
            cudaFuncSetAttribute(any_shape, cudaFuncAttributeMaxDynamicSharedMemorySize, most),
            "shared memory of the recurrence", err);
    if (status)
        return status;
    any_shape<<<(unsigned)r->heads *(unsigned)groups, LANES, bytes, cudaStreamPerThread>>>(*r);
    return gdn_cuda_launched("the recurrence", err);
}
