/* SPDX-License-Identifier: Apache-2.0 */
/* gdn_dd -- the layer in double-double on the GPU; see gdn_dd.h, dd_tile.c for the order, device_layer.h. */
#include "reference/device_layer.h"

#include "reference/gdn_dd.h"

namespace
{

struct dd {
    typedef gdn_dd number;
    static constexpr int lanes = 16;
    static constexpr bool hold = false;

    static __device__ __forceinline__ gdn_dd zero()
    {
        return gdn_dd_pair(0.0, 0.0);
    }

    static __device__ __forceinline__ gdn_dd load(const double *hi, const double *lo, size_t at)
    {
        return gdn_dd_pair(hi[at], lo[at]);
    }

    static __device__ __forceinline__ gdn_dd load_given(const double *hi, const double *lo, size_t at)
    {
        return gdn_dd_pair(hi ? hi[at] : 0.0, lo ? lo[at] : 0.0);
    }

    static __device__ __forceinline__ void store(double *hi, double *lo, size_t at, gdn_dd x)
    {
        hi[at] = x.hi;
        lo[at] = x.lo;
    }

    static __device__ __forceinline__ void store_wanted(double *hi, double *lo, size_t at, gdn_dd x)
    {
        if (hi)
            hi[at] = x.hi;
        if (lo)
            lo[at] = x.lo;
    }

    /* k and q as they came */
    static __device__ __forceinline__ double widen(gdn_dd, float x)
    {
        return (double)x;
    }

    static __device__ __forceinline__ gdn_dd alpha(const gdn_factors &f)
    {
        return f.alpha;
    }

    static __device__ __forceinline__ void forget(gdn_dd &S, gdn_dd alpha)
    {
        gdn_dd_forget(&S, alpha);
    }

    static __device__ __forceinline__ void add_product(gdn_dd &S, double k, gdn_dd w)
    {
        gdn_dd_add_product(&S, &k, w);
    }

    static __device__ __forceinline__ void dot(gdn_dd &sum, double x, gdn_dd S)
    {
        gdn_dd_dot(&sum, &x, &S);
    }

    static __device__ __forceinline__ gdn_dd delta(const gdn_factors &f, gdn_dd r, double v)
    {
        return gdn_dd_delta(f.rho, f.sigma, r, v);
    }

    static __device__ __forceinline__ gdn_dd output(gdn_dd omega, gdn_dd o)
    {
        return gdn_dd_mul(omega, o);
    }

    static __device__ __forceinline__ gdn_dd add_square(gdn_dd sum, gdn_dd x)
    {
        return gdn_dd_add_square_pair(sum, x);
    }

    static __device__ __forceinline__ gdn_dd mean(gdn_dd sum, double n)
    {
        return gdn_dd_div(sum, gdn_dd_pair(n, 0.0));
    }

    static __device__ __forceinline__ gdn_dd inverse_root(gdn_dd ms)
    {
        return gdn_dd_rsqrt(gdn_dd_add(ms, gdn_dd_eps()));
    }

    static __device__ __forceinline__ gdn_dd norm(gdn_dd o, double weight, gdn_dd size, double z)
    {
        return gdn_dd_norm(o, weight, size, z);
    }
};

/* Two columns a thread share the joins; few columns need the shortest way from token to token. */
const gdn_variant variants[] = {{gdn_recurrence_kernel<dd, 2, 8, 2>, 128, dd::lanes, 2, 3},
                                {gdn_recurrence_kernel<dd, 1, 8, 2>, 128, dd::lanes, 1, 0},
                                {gdn_recurrence_kernel<dd, 2, 0, 3>, 0, dd::lanes, 2, 0}};

const gdn_device_code code = {"a double-double engine", 2, variants, gdn_norm_kernel<dd>};

gdn_status engine_open(void **self, const gdn_setup *setup, gdn_error *err)
{
    return gdn_device_open(self, setup, &code, err);
}

} // namespace

extern "C" const gdn_engine gdn_dd_cuda_engine = {
    .name = "dd",
    .summary = "the layer in double-double on the GPU, bit for bit that of the CPU",
    .pairs = true,
    .open = engine_open,
    .advance = gdn_device_advance,
    .read_state = gdn_device_read_state,
    .close = gdn_device_close,
};
