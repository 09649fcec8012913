/* SPDX-License-Identifier: Apache-2.0 */
/* linear -- a projection without bias; see linear.h. The sums are in linear_tile.c. */
#include "kernels/linear.h"

#include <stddef.h>

#include "base/simd.h"
#include "kernels/norm.h"

void gdn_linear(const gdn_linear_call *c)
{
    static void (*const sums[GDN_ISAS])(const gdn_linear_call *) = {
        gdn_linear_sums_scalar,
#if defined(__x86_64__)
        gdn_linear_sums_avx2,
        gdn_linear_sums_avx512,
#endif
    };
    sums[gdn_isa_best()](c);
    size_t n = (size_t)c->n * (size_t)c->rows;
    for (size_t i = 0; i < n; i++)
        c->y[i] = gdn_plain_nan((float)gdn_round(&gdn_formats[c->result], c->y[i]));
}
