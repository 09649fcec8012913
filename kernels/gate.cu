/* SPDX-License-Identifier: Apache-2.0 */
/* gate -- the decay gate and beta on the device, a token a thread; see gate.h and layer_cuda.h. */
#include "kernels/gate.h"

#include <cuda_runtime.h>

#include "base/cuda.h"
#include "kernels/layer_cuda.h"
#include "kernels/norm.h"

enum { THREADS = 256 };

static __global__ void rates(gdn_recipe recipe, bool decay_is_a, const double *decay, int heads, double *rate)
{
    int h = (int)(blockIdx.x * THREADS + threadIdx.x);
    if (h < heads)
        rate[h] = gdn_gate_rate(&recipe, decay_is_a, decay[h]);
}

static __global__ void __launch_bounds__(THREADS) gates(const __grid_constant__ gdn_cuda_gates c)
{
    int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= (int64_t)c.heads * c.n)
        return;
    int64_t h = i / c.n, at = h * c.stride + i % c.n;
    gdn_gate gate = c.g ? gdn_gate_given(&c.recipe, c.alpha_store, c.g[at])
                        : gdn_gate_token(&c.recipe, c.alpha_store, c.rate[h], c.dt_bias[h], c.a[at]);
    if (c.g_out)
        c.g_out[at] = gate.g;
    if (c.alpha_out)
        c.alpha_out[at] = gate.alpha;
    if (c.alpha_used)
        c.alpha_used[i] = (float)gate.alpha;
    if (c.beta_used)
        c.beta_used[i] = (float)(c.beta ? gdn_gate_beta_given(&c.recipe, c.beta_shift, c.beta[at])
                                        : gdn_gate_beta(&c.recipe, c.beta_shift, c.b[at]));
}

extern "C" gdn_status gdn_cuda_rates(const gdn_recipe *recipe, bool decay_is_a, const double *decay,
                                     int heads, double *rate, gdn_error *err)
{
    rates<<<(unsigned)((heads + THREADS - 1) / THREADS), THREADS, 0, cudaStreamPerThread>>>(
        *recipe, decay_is_a, decay, heads, rate);
    return gdn_cuda_launched("exp(A_log)", err);
}

extern "C" gdn_status gdn_cuda_gates_run(const gdn_cuda_gates *c, gdn_error *err)
{
    int64_t tokens = (int64_t)c->heads * c->n;
    if (tokens > 0)
        gates<<<(unsigned)((tokens + THREADS - 1) / THREADS), THREADS, 0, cudaStreamPerThread>>>(*c);
    return gdn_cuda_launched("the decay gate", err);
}
