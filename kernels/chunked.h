/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunked -- the chunked (WY) recipes as an engine. Within a chunk of C = 64 tokens, G the running sum of g:
 *
 *     L_ij = beta_i exp(G_i - G_j) (k^_i . k^_j)  (i > j),  M = (I + L)^-1
 *     U = M (beta v),  W = M (beta exp(G) k^),  V' = U - W S
 *     o = scale (exp(G) q^ S + P V'),  P_ij = exp(G_i - G_j) (q^_i . k^_j)  (i >= j)
 *     S <- exp(G_C) S + sum_j k^_j (exp(G_C - G_j) V'_j)^T
 *
 * Chunks are tokens 1..64, 65..128 and so on, whatever the blocks handed to advance. Row i of every matrix
 * but S depends on tokens <= i alone, so a chunk is computed row by row as its tokens come and what later
 * rows need is kept: outputs do not depend on block sizes. The state moves on at the end of a chunk; asked
 * for in the middle of one, it is the state that would follow if the chunk ended there.
 *
 * Rounding. The recipe's `product` is the format of the operands of matrix products: q^, k^, beta v,
 * beta exp(G) k^, M, W, S, P, V' and exp(G_C - G) V' (each from its fp32 value; S itself is carried in the
 * recipe's state format). Sums are fp32. bf16 operands are rounded to nearest, and U rests in bf16 too, as in
 * FLA's kernels. tf32 operands are cut off after 11 bits, which is how tensor cores read fp32 numbers; U
 * alone has a product in fp32 then, as in FLA (tests/test_chunked.c: so its error on fp32 tensors, 1.46e-3,
 * comes out to 0.2 %; rounding to nearest would make it 5e-4). The inverse is by 16 x 16 blocks: forward
 * substitution in fp32 on the diagonal, M_rc = -M_rr (sum_m L_rm M_mc) left of it, operands in fp32 (product
 * fp32) or tf32 (product tf32, bf16).
 *
 * With a format as `inverse`, every number of that solve rests in it, rounded to nearest once its sum in fp32
 * is done: L, X_rc = sum_m L_rm M_mc, M. Its products then take them as they rest.
 *
 * Operations are counted (gdn_setup.counts) as the matrix form of spec section 1 does them: a row of a
 * product has all its 64 columns or terms, also those that a triangle leaves 0; the inverse has its 16 x 16
 * blocks on and below the diagonal. Per row, so that an unfinished chunk counts its tokens.
 *
 * A g below -2^100, -inf (alpha = 0) above all, clears what came before: G starts again from 0 there, and a
 * decay across such a token is 0. No difference of infinities arises. Where alpha is rounded as it rests, g
 * is its logarithm.
 */
#ifndef GDN_KERNELS_CHUNKED_H
#define GDN_KERNELS_CHUNKED_H

#include "base/engine.h"
#include "kernels/gate.h"
#include "kernels/recipe.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { GDN_CHUNK = 64, GDN_CHUNK_BLOCK = 16 };

/* A log decay below this clears the state. */
#define GDN_CHUNK_CLEARS (-0x1p100f)

/* Portable arithmetic on the CPU. The recipe's op is fp32 and its state is rounded to nearest. */
extern const gdn_engine gdn_chunked_engine;

#ifdef GDN_CUDA
/* The same on a GPU, in the GPU's own arithmetic: it agrees statistically (chunked_cuda.h). */
extern const gdn_engine gdn_chunked_cuda_engine;
#endif

/* Floats between rows of n numbers: whole vectors, and off the multiples of 4 KiB that share a cache line. */
static inline int gdn_chunked_stride(int n)
{
    return (n + 15) / 16 * 16 + 16;
}

/*
 * What a chunk in progress keeps of its rows. kstride, vstride: gdn_chunked_stride of dk and dv; mstride:
 * of 64.
 */
typedef struct gdn_chunk {
    float *kt;       /* [dk rounded up to 16][mstride] k^, transposed, as operand */
    float *wb;       /* [64][kstride] beta exp(G) k^ as operand */
    float *vb;       /* [64][vstride] beta v as operand of U */
    float *vnew;     /* [64][vstride] V' */
    float *voperand; /* [64][vstride] V' as operand */
    float *m, *mt;   /* [64][mstride] M; M as operand of the inverse's own products */
    float *x;        /* [64][mstride] sum_m L_rm M_mc, likewise */
    float *sum;      /* [64] G */
    float *cleared;  /* [64] how often G has started again */
} gdn_chunk;

/* Scratch of one call. */
typedef struct gdn_chunk_scratch {
    float *s;     /* [dk rounded up to 16][vstride] the state as operand */
    float *k, *q; /* [64][kstride] k^; q^ as operand */
    float *l, *p; /* [64][mstride] k^ k^T, then L; q^ k^T, then P */
    float *mo;    /* [64][mstride] M as operand of W */
    float *w;     /* [64][kstride] */
    float *u, *o; /* [64][vstride] */
} gdn_chunk_scratch;

/* Refuses, in a sentence, a setup that the chunked form does not cover. */
gdn_status gdn_chunked_check(const gdn_setup *setup, gdn_error *err);

/* g as the chunked form uses it: the logarithm of alpha where alpha is rounded as it rests. */
GDN_SHARED float gdn_chunked_log_decay(gdn_format_id alpha_store, const gdn_gate *gate)
{
    if (alpha_store == GDN_FP64)
        return (float)gate->g;
    return gate->alpha > 0 && gate->alpha < gdn_infinity() ? (float)gdn_log(gate->alpha)
           : gate->alpha == 0                              ? (float)-gdn_infinity()
                                                           : (float)gate->alpha;
}

/* Rows from .. from + n - 1 of a chunk of one head; what kernels/chunked_tile.c exports per instruction set.
 */
typedef struct gdn_chunked_head {
    const gdn_recipe *recipe;
    int dk, dv, from, n;
    double scale;          /* of o: multiplies q^ */
    const float *q, *k;    /* [n][dk] before the L2 norm */
    const float *v, *z;    /* [n][dv]; z may be NULL */
    const float *g, *beta; /* [n] */
    const float *w;        /* [dv] */
    const float *state;    /* [dk rounded up to 16][vstride] at the start of the chunk */
    gdn_chunk chunk;
    gdn_chunk_scratch scratch;
    double *o, *y;      /* [n][dv], NULL: not wanted */
    gdn_counts *counts; /* NULL: not wanted */
} gdn_chunked_head;

/* The rows. */
void gdn_chunked_rows_scalar(const gdn_chunked_head *c);
void gdn_chunked_rows_avx2(const gdn_chunked_head *c);
void gdn_chunked_rows_avx512(const gdn_chunked_head *c);

/* The state after the chunk's first c->from rows; out: [dk rounded up to 16][vstride], may be c->state. */
void gdn_chunked_state_scalar(const gdn_chunked_head *c, float *out);
void gdn_chunked_state_avx2(const gdn_chunked_head *c, float *out);
void gdn_chunked_state_avx512(const gdn_chunked_head *c, float *out);

#ifdef __cplusplus
}
#endif

#endif
