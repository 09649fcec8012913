/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunked_device -- the running sum of g in a chunk, by a warp: lane l has tokens 2 l and 2 l + 1.
 *
 * A g that clears starts the sum again from 0 (chunked.h): of two neighbouring runs of tokens with sums a, b
 * and clearing tokens m, n, the whole has m + n of them and the sum b, or a + b where n = 0.
 */
#ifndef GDN_KERNELS_CHUNKED_DEVICE_H
#define GDN_KERNELS_CHUNKED_DEVICE_H

#include "kernels/chunked.h"

typedef struct gdn_chunk_sums {
    float sum[2], cleared[2]; /* G at the lane's tokens, and how often it started again */
    float last, last_cleared; /* at the end of the chunk */
} gdn_chunk_sums;

static __device__ __forceinline__ gdn_chunk_sums gdn_chunk_scan(int lane, float g0, float g1)
{
    float n0 = g0 < GDN_CHUNK_CLEARS, n1 = g1 < GDN_CHUNK_CLEARS;
    g0 = n0 > 0 ? 0 : g0;
    float sum = n1 > 0 ? 0 : g0 + g1, cleared = n0 + n1;
#pragma unroll
    for (int m = 1; m < 32; m *= 2) {
        float before = __shfl_up_sync(~0u, sum, m), before_cleared = __shfl_up_sync(~0u, cleared, m);
        if (lane >= m) {
            sum = cleared > 0 ? sum : before + sum;
            cleared += before_cleared;
        }
    }
    float before = __shfl_up_sync(~0u, sum, 1), before_cleared = __shfl_up_sync(~0u, cleared, 1);
    gdn_chunk_sums s;
    s.sum[0] = n0 > 0 || lane == 0 ? g0 : before + g0;
    s.cleared[0] = n0 + (lane == 0 ? 0 : before_cleared);
    s.sum[1] = sum;
    s.cleared[1] = cleared;
    s.last = __shfl_sync(~0u, sum, 31);
    s.last_cleared = __shfl_sync(~0u, cleared, 31);
    return s;
}

#endif
