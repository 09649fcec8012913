/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out_norm -- the gated RMS norm of the output on the device; see norm.h and layer_cuda.h.
 *
 *     y = w (o rsqrt(mean o^2 + eps)) (z sigmoid(z))
 *
 * Eight lanes a row, four neighbouring columns a lane at a time: lane l holds partial l of the sum of
 * squares. Rows of 128 columns stay in registers between the sum and the product.
 */
#include "kernels/norm.h"

#include <cuda_runtime.h>
#include <stdint.h>

#include "base/cuda.h"
#include "kernels/layer_cuda.h"

enum { THREADS = 256, LANES = 8, STEP = 4 * LANES, WIDE = 128 };

typedef struct job {
    gdn_recipe recipe;
    const double *o; /* [rows][dv] */
    const float *z;  /* [rows][dv] */
    const float *w;  /* [dv] */
    double *y;       /* [rows][dv] */
    int64_t rows;
    int dv;
} job;

/* The eight partials of a row, combined as a butterfly; every lane has the sum. */
static __device__ float row_sum(gdn_format_id op, float p)
{
    for (int m = 1; m < LANES; m *= 2)
        p = gdn_op(op, p + __shfl_xor_sync(~0u, p, m));
    return p;
}

/* o as out_norm reads it. */
static __device__ float taken(const gdn_recipe *r, double o)
{
    return gdn_device_round(r->norm_in, (float)o);
}

static __device__ double normed(const gdn_recipe *r, float o, float rstd, float w, float z)
{
    const gdn_format_id op = r->op, gate_op = gdn_out_gate_op(r);
    z = gdn_device_round(r->input, z);
    float gate = gdn_op(gate_op, gdn_out_gate(gate_op, r->math, z) * z);
    float hat = gdn_device_round(r->norm_hat, gdn_op(op, o * rstd));
    float out = gdn_device_round(r->norm_out, gdn_op(op, hat * w));
    return gdn_device_round(r->output, gdn_op(gate_op, out * gate));
}

/* Any dv. */
static __global__ void __launch_bounds__(THREADS) out_norm(const __grid_constant__ job c)
{
    const gdn_format_id op = c.recipe.op;
    int64_t row = (int64_t)blockIdx.x * (THREADS / LANES) + threadIdx.x / LANES;
    bool live = row < c.rows;
    int lane = 4 * (int)(threadIdx.x % LANES), n = live ? c.dv : 0;
    int64_t at = live ? row * c.dv : 0;
    float p = 0;
    for (int i = lane; i < n; i += STEP)
        for (int j = i; j < i + 4 && j < n; j++)
            p = gdn_add_square(op, p, taken(&c.recipe, c.o[at + j]));
    float rstd = gdn_rms_rstd(op, c.recipe.math, row_sum(op, p), c.dv);
    for (int i = lane; i < n; i += STEP)
        for (int j = i; j < i + 4 && j < n; j++)
            c.y[at + j] = normed(&c.recipe, taken(&c.recipe, c.o[at + j]), rstd, c.w[j], c.z[at + j]);
}

/* dv = 128, rows aligned to 16 bytes. */
static __global__ void __launch_bounds__(THREADS) out_norm_wide(const __grid_constant__ job c)
{
    const gdn_format_id op = c.recipe.op;
    int64_t row = (int64_t)blockIdx.x * (THREADS / LANES) + threadIdx.x / LANES;
    bool live = row < c.rows;
    int64_t at = (live ? row : c.rows - 1) * WIDE + 4 * (threadIdx.x % LANES);
    float o[WIDE / STEP][4], p = 0;
    float4 z[WIDE / STEP];
#pragma unroll
    for (int i = 0; i < WIDE / STEP; i++) {
        const double2 *from = (const double2 *)(c.o + at + STEP * i);
        double2 a = from[0], b = from[1];
        z[i] = *(const float4 *)(c.z + at + STEP * i);
        o[i][0] = taken(&c.recipe, a.x);
        o[i][1] = taken(&c.recipe, a.y);
        o[i][2] = taken(&c.recipe, b.x);
        o[i][3] = taken(&c.recipe, b.y);
    }
#pragma unroll
    for (int i = 0; i < WIDE / STEP; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
            p = gdn_add_square(op, p, o[i][j]);
    float rstd = gdn_rms_rstd(op, c.recipe.math, row_sum(op, p), WIDE);
#pragma unroll
    for (int i = 0; i < WIDE / STEP; i++) {
        const float4 w = *(const float4 *)(c.w + 4 * (threadIdx.x % LANES) + STEP * i);
        double2 a = make_double2(normed(&c.recipe, o[i][0], rstd, w.x, z[i].x),
                                 normed(&c.recipe, o[i][1], rstd, w.y, z[i].y));
        double2 b = make_double2(normed(&c.recipe, o[i][2], rstd, w.z, z[i].z),
                                 normed(&c.recipe, o[i][3], rstd, w.w, z[i].w));
        if (live) {
            ((double2 *)(c.y + at + STEP * i))[0] = a;
            ((double2 *)(c.y + at + STEP * i))[1] = b;
        }
    }
}

extern "C" gdn_status gdn_cuda_out_norm(const gdn_recipe *recipe, const double *o, const float *z,
                                        const float *w, int64_t rows, int dv, double *y, gdn_error *err)
{
    const job c = {*recipe, o, z, w, y, rows, dv};
    const bool wide = dv == WIDE && ((uintptr_t)o | (uintptr_t)z | (uintptr_t)w | (uintptr_t)y) % 16 == 0;
    const unsigned blocks = (unsigned)((rows + THREADS / LANES - 1) / (THREADS / LANES));
    if (blocks > 0 && wide)
        out_norm_wide<<<blocks, THREADS, 0, cudaStreamPerThread>>>(c);
    else if (blocks > 0)
        out_norm<<<blocks, THREADS, 0, cudaStreamPerThread>>>(c);
    return gdn_cuda_launched("out_norm", err);
}
