/* SPDX-License-Identifier: Apache-2.0 */
/* simd -- which instruction set to run; see simd.h. */
#include "base/simd.h"

const char *const gdn_isa_names[GDN_ISAS] = {"scalar", "avx2", "avx512"};

static int forced = -1;
static _Atomic int widest = -1;

int gdn_isa_available(gdn_isa isa)
{
#if defined(__x86_64__)
    switch (isa) {
    case GDN_ISA_AVX512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
    case GDN_ISA_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    default:
        return 1;
    }
#else
    return isa == GDN_ISA_SCALAR;
#endif
}

gdn_isa gdn_isa_best(void)
{
    if (forced >= 0)
        return (gdn_isa)forced;
    if (widest < 0) { /* a race would only find the same answer twice */
        gdn_isa isa = GDN_ISAS - 1;
        while (!gdn_isa_available(isa))
            isa--;
        widest = (int)isa;
    }
    return (gdn_isa)widest;
}

void gdn_isa_force(gdn_isa isa)
{
    forced = (int)isa;
}
