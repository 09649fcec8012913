/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recurrent_device -- the numbers that kernels/recurrent_step.h works on, in a lane of a GPU.
 *
 *     float              one column; in bf16 arithmetic rounded after each operation
 *     __nv_bfloat162     two columns in bf16 arithmetic, an instruction for both
 *
 * The processor's bf16 products and sums are the exact ones rounded once, subnormals included, so both give
 * the same bits.
 */
#ifndef GDN_KERNELS_RECURRENT_DEVICE_H
#define GDN_KERNELS_RECURRENT_DEVICE_H

#include <cuda_bf16.h>

#include "kernels/norm.h"
#include "kernels/recurrent.h"

static __device__ __forceinline__ float gdn_step_round(int arith, float x)
{
    return arith == GDN_ARITH_BF16 ? gdn_bf16_round(x) : x;
}

static __device__ __forceinline__ float gdn_step_mul(int arith, float a, float b)
{
    return gdn_step_round(arith, a * b);
}

static __device__ __forceinline__ float gdn_step_add(int arith, float a, float b)
{
    return gdn_step_round(arith, a + b);
}

static __device__ __forceinline__ float gdn_step_sub(int arith, float a, float b)
{
    return gdn_step_round(arith, a - b);
}

static __device__ __forceinline__ float gdn_step_muladd(int arith, float a, float b, float c)
{
    return arith == GDN_ARITH_BF16 ? gdn_bf16_round(gdn_bf16_round(a * b) + c) : gdn_fmaf(a, b, c);
}

static __device__ __forceinline__ __nv_bfloat162 gdn_step_mul(int, __nv_bfloat162 a, __nv_bfloat162 b)
{
    return __hmul2_rn(a, b);
}

static __device__ __forceinline__ __nv_bfloat162 gdn_step_muladd(int, __nv_bfloat162 a, __nv_bfloat162 b,
                                                                 __nv_bfloat162 c)
{
    return __hadd2_rn(__hmul2_rn(a, b), c);
}

#include "kernels/recurrent_step.h"

/* The four words of a draw of the state's rounding. */
static __device__ __forceinline__ uint4 gdn_device_draw(uint64_t index, uint32_t head, uint64_t seed)
{
    uint32_t x0 = (uint32_t)index, x1 = (uint32_t)(index >> 32), x2 = head, x3 = GDN_STREAM_STATE_ROUNDING;
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
#pragma unroll
    for (int round = 0; round < GDN_PHILOX_ROUNDS; round++) {
        gdn_philox_round(&x0, &x1, &x2, &x3, key0, key1);
        key0 += GDN_PHILOX_KEY0;
        key1 += GDN_PHILOX_KEY1;
    }
    return make_uint4(x0, x1, x2, x3);
}

#endif
