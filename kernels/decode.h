/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode -- prefill, then decode, as an engine: the chunked form over tokens 1 .. prefill, then the
 * recurrent form, token by token, from the state cache.
 *
 * During prefill the state is carried in fp32, as FLA's kernels do, and q^ and k^ rest in the recipe's qk. At
 * the hand-over, after token `prefill`, it is rounded to the recipe's state, the format of the cache, to
 * nearest, and stays in it after every token, rounded as the recipe says. The decode kernels of vLLM and FLA
 * keep q^ and k^ in fp32 and take log(1 + exp x) in the gate: from there on qk is fp32 and softplus log-exp,
 * whatever the recipe has for prefill. A sequence that begins beyond prefill starts from
 * state0, rounded likewise.
 *
 * Blocks may straddle the hand-over: the one that does is advanced in two parts.
 */
#ifndef GDN_KERNELS_DECODE_H
#define GDN_KERNELS_DECODE_H

#include <stddef.h>

#include "base/engine.h"
#include "kernels/recipe.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Portable arithmetic on the CPU. The chunked form's limits hold, but for stochastic rounding of the state.
 */
extern const gdn_engine gdn_decode_engine;

#ifdef GDN_CUDA
/* The same on a GPU, made of its chunked and recurrent engines. */
extern const gdn_engine gdn_decode_cuda_engine;
#endif

/* Where an engine of this kind runs: its two halves, and the memory that blocks and states are in. */
typedef struct gdn_decode_place {
    const gdn_engine *prefill, *decode;
    gdn_status (*alloc)(void **p, size_t count, size_t size, const char *what, gdn_error *err);
    void (*release)(void *p);
    /* `rows` rows of `bytes` bytes, which lie so many bytes apart */
    gdn_status (*copy)(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t bytes,
                       size_t rows, gdn_error *err);
    gdn_status (*to_host)(void *to, const void *from, size_t bytes, gdn_error *err);
} gdn_decode_place;

/* The engine's functions, for both places. */
gdn_status gdn_decode_open(void **self, const gdn_setup *setup, const gdn_decode_place *place,
                           gdn_error *err);
gdn_status gdn_decode_advance(void *self, const gdn_block *in, const gdn_outputs *out, gdn_error *err);
gdn_status gdn_decode_read_state(void *self, double *hi, double *lo, gdn_error *err);
void gdn_decode_close(void *self);

#ifdef __cplusplus
}
#endif

#endif
