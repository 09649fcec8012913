/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics -- differences, decays and averages of a block, accumulated on the device; harness/backend.h says
 * what each is, metrics.h in which order it is summed, and metrics_step.h what one element does.
 */
#include <cuda_runtime.h>

#include "base/cuda.h"
#include "harness/metrics_cuda.h"
#include "harness/metrics_step.h"
#include "harness/row.h"
#include "kernels/portable.h"

enum { WARP = GDN_METRIC_LANES };

/* ---- differences ---- */

struct differences {
    gdn_difference d[GDN_DIFFERENCES];
};

/* Element j of row `at` as a pair. */
__device__ static void fetch(const gdn_operand &x, uint64_t at, int j, double *hi, double *lo)
{
    uint64_t i = at * (uint64_t)x.width + (uint64_t)(x.index ? x.index[j] : j);
    *hi = x.hi[i];
    *lo = x.lo ? x.lo[i] : 0;
}

/* A warp per difference and head: lane l takes elements l, l + 32, ... of each row, rows in order. */
__global__ static void take_differences(const __grid_constant__ differences all)
{
    const gdn_difference &d = all.d[blockIdx.y];
    int lane = (int)threadIdx.x;
    for (int h = d.head + (int)blockIdx.x; h < d.head + d.heads; h += (int)gridDim.x) {
        gdn_accumulator *a = d.to + (uint64_t)h * GDN_QUANTITIES;
        gdn_lane sum = {a->dd[lane], a->dr[lane], a->rr[lane], a->binades[lane], a->nonfinite[lane]};
        uint64_t x0 = (uint64_t)(h - d.x.head) * (uint64_t)d.rows, y0 = (uint64_t)(h - d.y.head) * (uint64_t)d.rows,
                 r0 = (uint64_t)(h - d.r.head) * (uint64_t)d.rows;
        int pieces = (d.columns + WARP - 1) / WARP, steps = d.rows * pieces;
#pragma unroll 4
        for (int s = 0; s < steps; s++) {
            int row = s / pieces, j = s % pieces * WARP + lane;
            if (j >= d.columns)
                continue;
            double xh, xl, yh, yl, rh, rl;
            fetch(d.x, x0 + (uint64_t)row, j, &xh, &xl);
            fetch(d.y, y0 + (uint64_t)row, j, &yh, &yl);
            fetch(d.r, r0 + (uint64_t)row, j, &rh, &rl);
            gdn_lane_add(&sum, (xh - yh) + (xl - yl), rh);
        }
        a->dd[lane] = sum.dd;
        a->dr[lane] = sum.dr;
        a->rr[lane] = sum.rr;
        a->binades[lane] = sum.binades;
        a->nonfinite[lane] = sum.nonfinite;
        if (lane == 0) {
            a->n += (int64_t)d.rows * d.columns;
            a->scale = d.scale ? gdn_scale_kept(d.scale[h]) : 0;
        }
    }
}

extern "C" gdn_status gdn_metrics_cuda_differ(const gdn_difference *d, int n, gdn_error *err)
{
    differences all;
    int heads = 1;
    for (int i = 0; i < n; i++) {
        all.d[i] = d[i];
        heads = d[i].heads > heads ? d[i].heads : heads;
    }
    take_differences<<<dim3((unsigned)heads, (unsigned)n), WARP, 0, cudaStreamPerThread>>>(all);
    return gdn_cuda_launched("taking differences", err);
}

/* ---- sums of the lanes ---- */

__global__ static void join(gdn_accumulator *a, size_t rows, bool anew, gdn_sums *out)
{
    size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x;
    if (i >= rows)
        return;
    gdn_accumulator *at = a + i * GDN_QUANTITIES;
    out[i] = gdn_lanes_join(at);
    if (anew)
        *at = gdn_accumulator();
}

extern "C" gdn_status gdn_metrics_cuda_sums(gdn_accumulator *a, size_t rows, bool anew, gdn_sums *out,
                                            gdn_error *err)
{
    void *there = NULL;
    gdn_status status = gdn_cuda_calloc(&there, rows, sizeof *out, "the sums of a task", err);
    if (status)
        return status;
    join<<<(unsigned)((rows + 63) / 64), 64, 0, cudaStreamPerThread>>>(a, rows, anew, (gdn_sums *)there);
    status = gdn_cuda_launched("joining sums", err);
    if (!status)
        status = gdn_cuda_to_host(out, there, rows * sizeof *out, err);
    gdn_cuda_free(there);
    return status;
}

/* ---- decays ---- */

enum { CUT = 256 };

/* A block a head: alphas are fetched by all, multiplied by one thread, and given their scale by all. */
__global__ static void cumulate(gdn_decays d)
{
    __shared__ double hi[CUT], lo[CUT];
    __shared__ gdn_product p[CUT];
    for (int h = (int)blockIdx.x; h < d.heads; h += (int)gridDim.x)
        for (int t0 = 0; t0 < d.n; t0 += CUT) {
            int n = d.n - t0 < CUT ? d.n - t0 : CUT;
            uint64_t at = (uint64_t)h * (uint64_t)d.n + (uint64_t)t0;
            for (int t = (int)threadIdx.x; t < n; t += (int)blockDim.x) {
                hi[t] = d.alpha[at + (uint64_t)t];
                lo[t] = d.alpha_lo ? d.alpha_lo[at + (uint64_t)t] : 0;
            }
            __syncthreads();
            if (threadIdx.x == 0) {
                gdn_product x = d.product[h];
                for (int t = 0; t < n; t++) {
                    gdn_product_step(&x, hi[t], lo[t]);
                    p[t] = x;
                }
                d.product[h] = x;
            }
            __syncthreads();
            for (int t = (int)threadIdx.x; t < n; t += (int)blockDim.x)
                gdn_product_at(&p[t], d.scale[h], &d.decay[at + (uint64_t)t], &d.decay_lo[at + (uint64_t)t]);
            __syncthreads();
        }
}

static unsigned grid_of(int heads)
{
    return heads < 65535 ? (unsigned)heads : 65535u;
}

extern "C" gdn_status gdn_metrics_cuda_cumulate(const gdn_decays *d, gdn_error *err)
{
    cumulate<<<grid_of(d->heads), 64, 0, cudaStreamPerThread>>>(*d);
    return gdn_cuda_launched("running decays", err);
}

__global__ static void rescale(gdn_decays d, int64_t *scale)
{
    int h = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (h >= d.heads)
        return;
    gdn_product p = d.product[h];
    uint64_t at = (uint64_t)h * (uint64_t)d.n;
    gdn_product_step(&p, d.alpha[at], d.alpha_lo ? d.alpha_lo[at] : 0);
    scale[h] = p.e;
}

extern "C" gdn_status gdn_metrics_cuda_rescale(const gdn_decays *d, int64_t *scale, gdn_error *err)
{
    rescale<<<(unsigned)(d->heads + 63) / 64, 64, 0, cudaStreamPerThread>>>(*d, scale);
    return gdn_cuda_launched("scales of decays", err);
}

/* ---- averages ---- */

/* A block a head: terms are made by all, and added in order by one thread a sum. */
__global__ static void average(gdn_averages a)
{
    __shared__ double term[3][CUT];
    for (int h = (int)blockIdx.x; h < a.heads; h += (int)gridDim.x) {
        double sum = threadIdx.x < 3 ? a.sums[(uint64_t)threadIdx.x * (uint64_t)a.heads + (uint64_t)h] : 0;
        for (int t0 = 0; t0 < a.n; t0 += CUT) {
            int n = a.n - t0 < CUT ? a.n - t0 : CUT;
            for (int t = (int)threadIdx.x; t < n; t += (int)blockDim.x) {
                uint64_t i = (uint64_t)h * (uint64_t)a.n + (uint64_t)(t0 + t);
                double beta = a.beta ? (double)a.beta[i] : gdn_sigmoid(a.b[i]);
                term[0][t] = gdn_with_sign(a.g[i], 1.0);
                term[1][t] = beta;
                term[2][t] = beta * beta;
            }
            __syncthreads();
            for (int t = 0; t < n && threadIdx.x < 3; t++)
                sum += term[threadIdx.x][t];
            __syncthreads();
        }
        if (threadIdx.x < 3)
            a.sums[(uint64_t)threadIdx.x * (uint64_t)a.heads + (uint64_t)h] = sum;
    }
}

extern "C" gdn_status gdn_metrics_cuda_average(const gdn_averages *a, gdn_error *err)
{
    average<<<grid_of(a->heads), 64, 0, cudaStreamPerThread>>>(*a);
    return gdn_cuda_launched("averages", err);
}
