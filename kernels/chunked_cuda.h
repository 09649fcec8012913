/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunked_cuda -- the chunked form on a GPU: what the engine (chunked.cu) asks of its two ways to compute it.
 *
 * chunked_fused.cu: d_k = d_v = 128, bf16 products, eps in the L2 norm's sum, no format for the inverse. A
 * kernel makes the matrices of all chunks side by side, another walks the chunks of a head with its state in
 * registers; both on tensor cores.
 * chunked_blas.cu: every shape and recipe, a chunk at a time, matrix products by cuBLAS. It chooses its
 * kernels by the number of heads side by side among others, which follows the free memory: last bits can vary
 * with it.
 *
 * Sums have the order of the tensor cores or of cuBLAS, and exp and x^(-1/2) are CUDA's, so results agree
 * with the CPU's statistically (tests/gpu_chunked.c). Operands are rounded where the CPU rounds them. A NaN
 * or an infinity may spoil every row of its chunk, earlier ones too.
 */
#ifndef GDN_KERNELS_CHUNKED_CUDA_H
#define GDN_KERNELS_CHUNKED_CUDA_H

#include "base/engine.h"
#include "kernels/cublas.h"
#include "kernels/recipe.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Consecutive chunks of every head, whole but for the last. Device memory; heads lie `stride` tokens apart.
 */
typedef struct gdn_chunk_run {
    gdn_recipe recipe;
    int heads, dk, dv, chunks;
    int rows;              /* tokens of the last chunk */
    int skip;              /* tokens of the first chunk whose outputs are known already */
    gdn_format_id in, out; /* of q, k, v (fp32, bf16) and o (fp64, fp32, bf16) as they lie in memory */
    int64_t stride;
    const void *q, *k, *v; /* [H][stride][dk or dv] */
    int64_t gate_stride;
    const float *g, *beta; /* [H][gate_stride] */
    int64_t o_stride;
    void *o;            /* [H][o_stride][dv], NULL: not wanted */
    const float *state; /* [H][dk][dv] before the first token */
    float *state_out;   /* [H][dk][dv] after the last, NULL: not wanted; may be `state` */
} gdn_chunk_run;

/* Whether the fused kernels take it; bytes of scratch they want a head and chunk; and they themselves. */
bool gdn_chunked_fused_fit(const gdn_recipe *recipe, int dk, int dv);
size_t gdn_chunked_fused_bytes(void);
gdn_status gdn_chunked_fused(const gdn_chunk_run *run, void *scratch, gdn_error *err);

/* Scratch for one chunk of one head, and the run through cuBLAS on scratch for `group` heads. */
size_t gdn_chunked_blas_bytes(const gdn_recipe *recipe, int dk, int dv);
gdn_status gdn_chunked_blas(const gdn_chunk_run *run, gdn_cublas *cublas, int group, void *scratch,
                            gdn_error *err);

/*
 * The recurrence alone over n tokens, for the bench: `self` is an open engine, n and the tokens before are
 * multiples of 64. q, k: [H][n][128..] and v in format `in`, o in format `out` (both fp32 or bf16), g, beta:
 * [H][n]; device memory. The state moves on.
 */
gdn_status gdn_chunked_cuda_tokens(void *self, int n, gdn_format_id in, const void *q, const void *k,
                                   const void *v, const float *g, const float *beta, gdn_format_id out,
                                   void *o, gdn_error *err);

#ifdef __cplusplus
}
#endif

#endif
