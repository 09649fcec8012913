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

static const int WARP = GDN_METRIC_LANES;

/* Blocks for the heads of a batch. */
static unsigned grid_of(int heads)
{
    return heads < 65535 ? (unsigned)heads : 65535u;
}

/* ---- differences ---- */

struct differences {
    gdn_difference d[GDN_DIFFERENCES];
};

/* Steps of 32 elements that a block prepares before their sums are taken, and its warps. */
static const int STEPS = 32, WARPS = 8, STEPS_A_WARP = STEPS / WARPS;

/* Values of one element of a step, as they lie in memory. */
struct element {
    double xh, xl, yh, yl, r;
    bool there; /* false beyond the last step or column */
};

/* What a step adds to the lanes. */
struct terms {
    double dd[STEPS][WARP], dr[STEPS][WARP], rr[STEPS][WARP], binades[STEPS][WARP];
    float nonfinite[STEPS][WARP];
};

/* An operand of one head; `lo` points to hi where there is none, so that fetching needs no branch. */
struct rows_of {
    const double *hi, *lo;
    const int *index;
    int width;
    bool pairs;
};

__device__ static rows_of head_of(const gdn_operand &x, int h, int rows)
{
    size_t skip = (size_t)(h - x.head) * (size_t)rows * (size_t)x.width;
    return {x.hi + skip, (x.lo ? x.lo : x.hi) + skip, x.index, x.width, x.lo != NULL};
}

/* Where element (t, j) lies. */
__device__ static unsigned at(const rows_of &x, unsigned t, unsigned j)
{
    return t * (unsigned)x.width + (x.index ? (unsigned)x.index[j] : j);
}

/* Element `lane` of step s; of the last one where there is none. */
__device__ static element fetch(const rows_of &x, const rows_of &y, const rows_of &r, int rows, int columns,
                                int s, int pieces, int lane)
{
    unsigned t = (unsigned)s / (unsigned)pieces, j = (unsigned)s % (unsigned)pieces * WARP + (unsigned)lane;
    bool there = t < (unsigned)rows && j < (unsigned)columns;
    t = min(t, (unsigned)rows - 1);
    j = min(j, (unsigned)columns - 1);
    unsigned ix = at(x, t, j), iy = at(y, t, j), ir = at(r, t, j);
    return {x.hi[ix], x.lo[ix], y.hi[iy], y.lo[iy], r.hi[ir], there};
}

/* x - y against r; nothing where there is no element. */
__device__ static gdn_lane terms_of(const element &e, bool xpairs, bool ypairs)
{
    double d = (e.xh - e.yh) + ((xpairs ? e.xl : 0) - (ypairs ? e.yl : 0));
    return gdn_lane_terms(e.there ? d : 0, e.there ? e.r : 0);
}

/* One warp adds the steps of its sum, in order. */
__device__ static void add_steps(const terms &t, int warp, int lane, double *sum)
{
    if (warp < 3) {
        const double(*const x)[WARP] = warp == 0 ? t.dd : warp == 1 ? t.dr : t.rr;
#pragma unroll
        for (int s = 0; s < STEPS; s++)
            *sum += x[s][lane];
    } else if (warp == 3) {
#pragma unroll
        for (int s = 0; s < STEPS; s++)
            *sum = t.binades[s][lane] > *sum ? t.binades[s][lane] : *sum;
    } else if (warp == 4) {
#pragma unroll
        for (int s = 0; s < STEPS; s++)
            *sum += t.nonfinite[s][lane];
    }
}

/*
 * A block per difference and head. Lane l takes elements l, l + 32, ... of each row, rows in order: all warps
 * fetch and multiply the elements of the next steps, then a warp a sum adds them up, while the values of the
 * steps after these are on their way.
 */
__global__ static void __launch_bounds__(WARP *WARPS, 3)
    take_differences(const __grid_constant__ differences all)
{
    __shared__ terms t;
    const gdn_difference &d = all.d[blockIdx.y];
    int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP;
    int pieces = (d.columns + WARP - 1) / WARP, steps = d.rows * pieces;
    for (int h = d.head + (int)blockIdx.x; h < d.head + d.heads; h += (int)gridDim.x) {
        gdn_accumulator *a = d.to + (uint64_t)h * GDN_QUANTITIES;
        double *const sums[5] = {a->dd, a->dr, a->rr, a->binades, a->nonfinite};
        double sum = warp < 5 ? sums[warp][lane] : 0;
        const rows_of x = head_of(d.x, h, d.rows), y = head_of(d.y, h, d.rows), r = head_of(d.r, h, d.rows);
        element e[STEPS_A_WARP];
#pragma unroll
        for (int i = 0; i < STEPS_A_WARP; i++)
            e[i] = fetch(x, y, r, d.rows, d.columns, warp + i * WARPS, pieces, lane);
        for (int s = 0; s < steps; s += STEPS) {
#pragma unroll
            for (int i = 0; i < STEPS_A_WARP; i++) {
                gdn_lane term = terms_of(e[i], x.pairs, y.pairs);
                t.dd[warp + i * WARPS][lane] = term.dd;
                t.dr[warp + i * WARPS][lane] = term.dr;
                t.rr[warp + i * WARPS][lane] = term.rr;
                t.binades[warp + i * WARPS][lane] = term.binades;
                t.nonfinite[warp + i * WARPS][lane] = (float)term.nonfinite;
            }
            __syncthreads();
#pragma unroll
            for (int i = 0; i < STEPS_A_WARP; i++)
                e[i] = fetch(x, y, r, d.rows, d.columns, s + STEPS + warp + i * WARPS, pieces, lane);
            add_steps(t, warp, lane, &sum);
            __syncthreads();
        }
        if (warp < 5)
            sums[warp][lane] = sum;
        if (threadIdx.x == 0) {
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
    take_differences<<<dim3(grid_of(heads), (unsigned)n), WARP * WARPS, 0, cudaStreamPerThread>>>(all);
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

static const int CUT = 256;

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
