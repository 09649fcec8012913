/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer -- the whole layer from hidden states to output: its sizes, weights and stages (spec section 1).
 *
 *     q, k, v, z, b, a = W x            projections, no bias
 *     q, k, v = silu(conv(q, k, v))     causal, depthwise, width 4: sum over i of w_i x[t - 3 + i]
 *     o = the recurrence of value head h on the q and k of key head floor(h / r), r = H_v / H_k
 *     y = out_norm(o, z),  output = W_out y
 *
 * Tensors of a layer are token-major, as implementations have them: [n][H][d].
 */
#ifndef GDN_BASE_LAYER_H
#define GDN_BASE_LAYER_H

#include "base/engine.h"

enum { GDN_CONV_WIDTH = 4, GDN_CONV_KEPT = GDN_CONV_WIDTH - 1 };

/* Limits beside those of base/shape.h. Numbers a token, channels above all, fit an int; those of a weight,
 * [H dv][D], need not. */
enum { GDN_LAYER_MAX_HEADS = 1 << 10, GDN_LAYER_MAX_HIDDEN = 1 << 16 };

typedef struct gdn_layer_shape {
    int hidden;      /* D */
    int key_heads;   /* H_k */
    int value_heads; /* H_v = r H_k */
    int dk, dv;
} gdn_layer_shape;

/* Weights as they rest; channels = 2 H_k dk + H_v dv: of q, of k, of v, head by head. */
typedef struct gdn_layer_weights {
    const float *qkv;  /* [channels][D] */
    const float *z;    /* [H_v dv][D] */
    const float *b;    /* [H_v][D] */
    const float *a;    /* [H_v][D] */
    const float *conv; /* [channels][4], the weight of the newest input last */
    const float *out;  /* [D][H_v dv] */
    gdn_params core;
} gdn_layer_weights;

/* What can be looked at on the way, in this order. */
typedef enum gdn_layer_stage {
    GDN_LAYER_Q,      /* [H_v][dk] after conv and SiLU, the key head of each value head */
    GDN_LAYER_K,      /* [H_v][dk] */
    GDN_LAYER_V,      /* [H_v][dv] after conv and SiLU */
    GDN_LAYER_Z,      /* [H_v][dv] */
    GDN_LAYER_G,      /* [H_v] */
    GDN_LAYER_BETA,   /* [H_v] */
    GDN_LAYER_O,      /* [H_v][dv] what out_norm reads */
    GDN_LAYER_Y,      /* [H_v][dv] what out_norm gives */
    GDN_LAYER_OUTPUT, /* [D] */
    GDN_LAYER_STAGES
} gdn_layer_stage;

extern const char *const gdn_layer_stage_names[GDN_LAYER_STAGES];

/* Where stages go, each [n][width]: an unevaluated sum hi + lo. NULL: not wanted. */
typedef struct gdn_layer_outputs {
    double *hi[GDN_LAYER_STAGES], *lo[GDN_LAYER_STAGES];
} gdn_layer_outputs;

/* Numbers a token that a stage of `heads` value heads has. */
int gdn_layer_width(const gdn_layer_shape *s, gdn_layer_stage stage, int heads);

/* Room for every stage of `heads` value heads over `tokens` tokens, with lo halves where `pairs`; on failure
 * nothing is left. */
gdn_status gdn_layer_outputs_new(gdn_layer_outputs *out, const gdn_layer_shape *s, int heads, int tokens,
                                 bool pairs, gdn_error *err);
void gdn_layer_outputs_free(gdn_layer_outputs *out);

/* Channels of the conv. */
int gdn_layer_channels(const gdn_layer_shape *s);

/* GDN_BAD_INPUT, in a sentence, for sizes that make no layer: r that is not whole above all. */
gdn_status gdn_layer_check(const gdn_layer_shape *s, gdn_error *err);

#endif
