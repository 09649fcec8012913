/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gdn_dd -- the layer of spec section 1 in double-double: about 31 digits, a hundred times faster than MPFR.
 *
 * The arithmetic, its order and its errors stand in dd_tile.c; the same bits on every instruction set and
 * compiler. Agreement with MPFR, relative to the norm of the state: 2^-98 or better over 100,000 tokens in
 * every population of keys, with and without decay (the worst: one key repeated, nothing forgotten). It holds
 * while numbers stay above 2^-900: a low part needs room below its high part.
 */
#ifndef GDN_REFERENCE_GDN_DD_H
#define GDN_REFERENCE_GDN_DD_H

#include "base/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Outputs are hi + lo pairs; columns may be sampled; a gate of -inf or an alpha below 2^-1074 clears the
 * state. */
extern const gdn_engine gdn_dd_engine;

#if defined(GDN_CUDA) || defined(__CUDACC__)
/* The same bits on the GPU; in blocks, outputs and read_state pointers are to device memory. */
extern const gdn_engine gdn_dd_cuda_engine;
#endif

#ifdef __cplusplus
}
#endif

#endif
