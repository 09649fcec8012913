/* SPDX-License-Identifier: Apache-2.0 */
/* limits_tile -- loops that run into a core's limits and into nothing else; compiled per instruction set. */
#include <string.h>

#include "base/simd.h"
#include "harness/limits.h"

enum { CHAINS = 12 }; /* independent sums: more than latency times units of any core so far */

/* One fma per lane, chain and round. */
static double fma_rate(long rounds)
{
    gdn_vf x[CHAINS], c = gdn_vf_set(0.999f), d = gdn_vf_set(1e-3f);
    for (int i = 0; i < CHAINS; i++)
        x[i] = gdn_vf_set((float)i);
    for (long r = 0; r < rounds; r++)
        for (int i = 0; i < CHAINS; i++)
            x[i] = gdn_vf_fma(x[i], c, d);
    for (int i = 0; i < CHAINS; i++)
        __asm__ volatile("" : : "m"(x[i])); /* the results are wanted */
    return (double)rounds * CHAINS * GDN_VF;
}

/* Read, one fma, write back: what a state update must do at the least. */
static double update_rate(float *x, size_t bytes, long rounds)
{
    gdn_vf c = gdn_vf_set(0.999f), d = gdn_vf_set(1e-3f);
    size_t n = bytes / sizeof *x;
    for (long r = 0; r < rounds; r++) {
        for (size_t i = 0; i + GDN_VF <= n; i += GDN_VF) {
            gdn_vf v;
            memcpy(&v, x + i, sizeof v);
            v = gdn_vf_fma(v, c, d);
            memcpy(x + i, &v, sizeof v);
        }
        __asm__ volatile("" : : "r"(x) : "memory");
    }
    return (double)rounds * 2 * (double)bytes;
}

const gdn_limit_code GDN_ISA_NAME(gdn_limit_code) = {fma_rate, update_rate};
