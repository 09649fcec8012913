/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recurrent_step -- the arithmetic of the recurrence, element by element; both twins include it.
 *
 *     s <- alpha s,  p <- p + k s                                      (decay and recall)
 *     delta = beta (v - (p0 + p1) - (p2 + p3))
 *     s <- s + k delta,  o <- o + q s                                  (write and read)
 *
 * Order of operations (part of the definition): row i of the state belongs to partial (i / 4) mod 4; each
 * partial adds its rows in order of i, from 0; a dot product is (p0 + p1) + (p2 + p3). Rows are padded with
 * zero q^ and k^ to a multiple of 16. In fp32 products are fused into the sums; in bf16 every product and
 * every sum is rounded.
 *
 * The includer says what a number is: before this header it defines gdn_step_mul, gdn_step_add, gdn_step_sub
 * and gdn_step_muladd (a b + c) of an `arith` and gdn_real: a vector of value columns on the CPU, one column
 * or a pair of them in a lane of a GPU.
 */
#ifndef GDN_KERNELS_RECURRENT_STEP_H
#define GDN_KERNELS_RECURRENT_STEP_H

#include "base/inputs.h"
#include "base/shared.h"

#if defined(__CUDACC__)
#define GDN_STEP template <typename gdn_real> static __device__ __forceinline__
#else
#define GDN_STEP GDN_INLINE
#endif

/* One element of a row, decayed. */
GDN_STEP void gdn_step_decay(int arith, gdn_real alpha, gdn_real *s)
{
    *s = gdn_step_mul(arith, alpha, *s);
}

/* Its share of the recall. */
GDN_STEP void gdn_step_recall(int arith, gdn_real k, gdn_real s, gdn_real *p)
{
    *p = gdn_step_muladd(arith, k, s, *p);
}

/* One element of a row: delta written into it, and its share of the output. */
GDN_STEP void gdn_step_write(int arith, gdn_real k, gdn_real delta, gdn_real q, gdn_real *s, gdn_real *o)
{
    *s = gdn_step_muladd(arith, k, delta, *s);
    *o = gdn_step_muladd(arith, q, *s, *o);
}

/* The four partials of a dot product. */
GDN_STEP gdn_real gdn_step_sum(int arith, gdn_real p0, gdn_real p1, gdn_real p2, gdn_real p3)
{
    return gdn_step_add(arith, gdn_step_add(arith, p0, p1), gdn_step_add(arith, p2, p3));
}

/* What the state lacks of v, times beta. */
GDN_STEP gdn_real gdn_step_delta(int arith, gdn_real v, gdn_real recall, gdn_real beta)
{
    return gdn_step_mul(arith, beta, gdn_step_sub(arith, v, recall));
}

/*
 * The 16 random bits that round element (row, column) of the state after the token at position t: of the
 * Philox draw with counter (index, head, GDN_STREAM_STATE_ROUNDING) and key seed, index =
 * (t d_k + row) ceil(d_v / 8) + column / 8, the half number column mod 8 (base/inputs.h). Written out so
 * that compilers vectorise it; tests hold it to Random123's own.
 */
GDN_SHARED uint64_t gdn_step_draw_index(int64_t t, int dk, int row, int dv, int octet)
{
    return ((uint64_t)t * (uint64_t)dk + (uint64_t)row) * ((uint64_t)(dv + 7) / 8) + (uint64_t)octet;
}

/* One of Philox's ten rounds; the key of round r is seed + r times these. */
enum { GDN_PHILOX_ROUNDS = 10 };

#define GDN_PHILOX_KEY0 0x9E3779B9u
#define GDN_PHILOX_KEY1 0xBB67AE85u

GDN_SHARED void gdn_philox_round(uint32_t *x0, uint32_t *x1, uint32_t *x2, uint32_t *x3, uint32_t key0,
                                 uint32_t key1)
{
    uint64_t p0 = (uint64_t)0xD2511F53u * *x0, p1 = (uint64_t)0xCD9E8D57u * *x2;
    *x0 = (uint32_t)(p1 >> 32) ^ *x1 ^ key0;
    *x1 = (uint32_t)p1;
    *x2 = (uint32_t)(p0 >> 32) ^ *x3 ^ key1;
    *x3 = (uint32_t)p0;
}

#endif
