/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recurrent -- the recurrent recipes as an engine:
 *
 *     S <- alpha S;  delta = beta (v - S^T k^);  S <- S + k^ delta^T;  o = S^T q^;  y = out_norm(o)
 *
 * in portable arithmetic, one head and sixteen value columns at a time, columns in vector lanes.
 */
#ifndef GDN_KERNELS_RECURRENT_H
#define GDN_KERNELS_RECURRENT_H

#include "base/engine.h"
#include "kernels/recipe.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const gdn_engine gdn_recurrent_engine;

/* How a recurrence computes: fp32 with fused multiply-adds, or every result rounded to bf16. */
enum { GDN_ARITH_FP32, GDN_ARITH_BF16 };

/* Value columns that share a tile of the state's layout; the same on every machine. */
enum { GDN_RECURRENT_TILE = 16 };

/* One head over n tokens; what kernels/recurrent_tile.c exports per instruction set. */
typedef struct gdn_recurrent_head {
    const gdn_recipe *recipe;
    int dk, dv, n;
    double scale;              /* multiplies q^ */
    const float *q, *k;        /* [n][dk] before the L2 norm */
    const float *v, *z;        /* [n][dv]; z may be NULL */
    const float *alpha, *beta; /* [n] */
    const float *w;            /* [dv] */
    float *state;              /* [ceil(dv / 16)][dk rounded up to 16][16] */
    float *qn, *kn;            /* [n][dk rounded up to 16] scratch */
    float *vtile, *otile;      /* [n][dv rounded up to 16] scratch */
    double *o, *y;             /* [n][dv], NULL: not wanted */
    uint64_t seed;             /* stochastic rounding: seed, head, and position of the first token */
    uint32_t head;
    int64_t first;
} gdn_recurrent_head;

void gdn_recurrent_head_scalar(const gdn_recurrent_head *c);
void gdn_recurrent_head_avx2(const gdn_recurrent_head *c);
void gdn_recurrent_head_avx512(const gdn_recurrent_head *c);

#if defined(GDN_CUDA) || defined(__CUDACC__)

/* The same bits on the device, for recipes in portable arithmetic; those in native mathematics run here only.
 */
extern const gdn_engine gdn_recurrent_cuda_engine;

/* The fp32 recurrence (L2 norm included) alone, over arrays as other implementations have them. Device
 * memory. */
typedef struct gdn_recurrent_bench {
    bool bf16;                 /* q, k, v, o are bf16 numbers; otherwise floats */
    int heads, tokens, dim;    /* dim: d_k = d_v */
    int columns;               /* columns a lane: 4, 2, 1, or 0 to choose */
    const void *q, *k, *v;     /* [H][tokens][dim] */
    const float *alpha, *beta; /* [H][tokens] */
    void *o;                   /* [H][tokens][dim] */
    float *state;              /* [H][dim][dim], in and out */
} gdn_recurrent_bench;

gdn_status gdn_recurrent_cuda_bench_launch(const gdn_recurrent_bench *b, gdn_error *err);

#endif

#ifdef __cplusplus
}
#endif

#endif
