/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gdn_fp64 -- the layer of spec section 1 in double: about 1e-15 of the state, the workhorse.
 *
 * alpha, beta, k^ and q^ are the double-double values rounded once to double; the recurrence and out_norm are
 * double. The order of operations stands in fp64_tile.c; the same bits on every instruction set and compiler.
 */
#ifndef GDN_REFERENCE_GDN_FP64_H
#define GDN_REFERENCE_GDN_FP64_H

#include "base/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Outputs are hi only; columns may be sampled; a gate of -inf or an alpha below 2^-1074 clears the state. */
extern const gdn_engine gdn_fp64_engine;

#if defined(GDN_CUDA) || defined(__CUDACC__)
/* The same bits on the GPU; in blocks, outputs and read_state pointers are to device memory. */
extern const gdn_engine gdn_fp64_cuda_engine;
#endif

#ifdef __cplusplus
}
#endif

#endif
