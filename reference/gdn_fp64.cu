/* SPDX-License-Identifier: Apache-2.0 */
/* gdn_fp64 -- the layer in double on the GPU; see gdn_fp64.h, fp64_tile.c for the order, device_layer.h. */
#include "reference/device_layer.h"

#include "reference/gdn_fp64.h"

namespace
{

struct fp64 {
    typedef double number;
    static constexpr int lanes = 8;
    static constexpr bool hold =
        true; /* k stays in registers for the next token: shared memory is busy enough */

    static __device__ __forceinline__ double zero()
    {
        return 0.0;
    }

    static __device__ __forceinline__ double load(const double *x, const double *, size_t at)
    {
        return x[at];
    }

    static __device__ __forceinline__ double load_given(const double *x, const double *, size_t at)
    {
        return x ? x[at] : 0.0;
    }

    static __device__ __forceinline__ void store(double *to, double *, size_t at, double x)
    {
        to[at] = x;
    }

    static __device__ __forceinline__ void store_wanted(double *to, double *, size_t at, double x)
    {
        if (to)
            to[at] = x;
    }

    /* k^ and q^ d_k^(-1/2), rounded once */
    static __device__ __forceinline__ double widen(gdn_dd factor, float x)
    {
        return gdn_dd_mul_real(factor, (double)x).hi;
    }

    static __device__ __forceinline__ double alpha(const gdn_factors &f)
    {
        return f.alpha.hi;
    }

    static __device__ __forceinline__ void forget(double &S, double alpha)
    {
        gdn_dd_forget_short(&S, alpha);
    }

    static __device__ __forceinline__ void add_product(double &S, double k, double d)
    {
        gdn_dd_add_product_short(&S, &k, d);
    }

    static __device__ __forceinline__ void dot(double &sum, double x, double S)
    {
        gdn_dd_dot_short(&sum, &x, &S);
    }

    static __device__ __forceinline__ double delta(const gdn_factors &f, double r, double v)
    {
        return gdn_dd_delta_short(f.alpha.hi, f.sigma.hi, r, v);
    }

    static __device__ __forceinline__ double output(gdn_dd, double o)
    {
        return o;
    }

    static __device__ __forceinline__ double add_square(double sum, double x)
    {
        return gdn_fma(x, x, sum);
    }

    static __device__ __forceinline__ double mean(double sum, double n)
    {
        return sum / n;
    }

    static __device__ __forceinline__ double inverse_root(double ms)
    {
        return 1.0 / gdn_sqrt(ms + GDN_NORM_EPS);
    }

    static __device__ __forceinline__ double norm(double o, double weight, double size, double z)
    {
        return gdn_dd_norm_short(o, weight, size, z);
    }
};

/* Four columns a thread need the fewest loads; fewer heads leave more threads free (16, 32 and 64 heads
 * measured). */
const gdn_variant variants[] = {{gdn_recurrence_kernel<fp64, 4, 16, 2>, 128, fp64::lanes, 4, 3},
                                {gdn_recurrence_kernel<fp64, 2, 16, 3>, 128, fp64::lanes, 2, 3},
                                {gdn_recurrence_kernel<fp64, 1, 16, 4>, 128, fp64::lanes, 1, 0},
                                {gdn_recurrence_kernel<fp64, 2, 0, 3>, 0, fp64::lanes, 2, 0}};

const gdn_device_code code = {"an fp64 engine", 1, variants, gdn_norm_kernel<fp64>};

gdn_status engine_open(void **self, const gdn_setup *setup, gdn_error *err)
{
    return gdn_device_open(self, setup, &code, err);
}

} // namespace

extern "C" const gdn_engine gdn_fp64_cuda_engine = {
    .name = "fp64",
    .summary = "the layer in double on the GPU, bit for bit that of the CPU",
    .pairs = false,
    .open = engine_open,
    .advance = gdn_device_advance,
    .read_state = gdn_device_read_state,
    .close = gdn_device_close,
};
