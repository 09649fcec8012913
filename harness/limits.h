/* SPDX-License-Identifier: Apache-2.0 */
/* limits -- what this machine's core can do: fused multiply-adds a second, bytes a second from L1 and L2. */
#ifndef GDN_HARNESS_LIMITS_H
#define GDN_HARNESS_LIMITS_H

#include <stddef.h>

typedef struct gdn_limit_code {
    double (*fma)(long rounds);                            /* returns operations done */
    double (*update)(float *x, size_t bytes, long rounds); /* x <- x c + d; returns bytes read and written */
} gdn_limit_code;

extern const gdn_limit_code gdn_limit_code_scalar, gdn_limit_code_avx2, gdn_limit_code_avx512;

#endif
