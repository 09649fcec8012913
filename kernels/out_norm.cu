/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out_norm -- the gated RMS norm of the output on the device; see norm.h and layer_cuda.h.
 *
 *     y = w (o rsqrt(mean o^2 + eps)) (z sigmoid(z))
 *
 * Eight lanes a row, four neighbouring columns a lane at a time: lane l holds partial l of the sum of
 * squares.
 */
#include "kernels/norm.h"

#include <cuda_runtime.h>

#include "base/cuda.h"
#include "kernels/layer_cuda.h"

enum { THREADS = 256, LANES = 8, STEP = 4 * LANES };

/* The eight partials of a row, combined as a butterfly; every lane has the sum. */
static __device__ float row_sum(gdn_format_id op, float p)
{
    for (int m = 1; m < LANES; m *= 2)
        p = gdn_op(op, p + __shfl_xor_sync(~0u, p, m));
    return p;
}

/* x in the recipe's format `f`. */
static __device__ float rounded(gdn_format_id f, float x)
{
    return f == GDN_FP32 ? x : f == GDN_BF16 ? gdn_bf16_round(x) : gdn_op_round(f, x);
}

static __global__ void __launch_bounds__(THREADS) out_norm(gdn_recipe recipe, const double *o, const float *z,
                                                           const float *w, int64_t rows, int dv, double *y)
{
    const gdn_format_id op = recipe.op;
    int64_t row = (int64_t)blockIdx.x * (THREADS / LANES) + threadIdx.x / LANES;
    bool live = row < rows;
    int lane = 4 * (int)(threadIdx.x % LANES), n = live ? dv : 0;
    int64_t at = live ? row * dv : 0;
    float p = 0;
    for (int i = lane; i < n; i += STEP)
        for (int c = i; c < i + 4 && c < n; c++)
            p = gdn_add_square(op, p, (float)o[at + c]);
    float rstd = gdn_rms_rstd(op, recipe.math, row_sum(op, p), dv);
    for (int i = lane; i < n; i += STEP)
#pragma unroll
        for (int x = 0; x < 4; x++) {
            int c = i + x;
            if (c >= n)
                break;
            float zc = rounded(recipe.input, z[at + c]);
            float gate = gdn_op(op, gdn_out_gate(op, recipe.math, zc) * zc);
            float normed = gdn_op(op, gdn_op(op, (float)o[at + c] * rstd) * w[c]);
            y[at + c] = rounded(recipe.output, gdn_op(op, normed * gate));
        }
}

extern "C" gdn_status gdn_cuda_out_norm(const gdn_recipe *recipe, const double *o, const float *z,
                                        const float *w, int64_t rows, int dv, double *y, gdn_error *err)
{
    int64_t blocks = (rows + THREADS / LANES - 1) / (THREADS / LANES);
    if (blocks > 0)
        out_norm<<<(unsigned)blocks, THREADS, 0, cudaStreamPerThread>>>(*recipe, o, z, w, rows, dv, y);
    return gdn_cuda_launched("out_norm", err);
}
