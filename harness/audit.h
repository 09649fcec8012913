/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit -- what a checkpoint really stores for A_log, dt_bias, norm.weight and conv1d of its GDN layers, and
 * what bf16 storage would cost its heads.
 *
 * An fp32 tensor all of whose values are bf16 values is an upcast: a value that was fp32 once is one with
 * probability 2^-16, so n different ones by chance with 2^-16n. That holds for values that are random in
 * their last bits. Values that an initialiser writes (0, 1, 0.75: up to 3 significant bits) or that lie on a
 * coarse grid (-4 + k/8) are exact in any storage and tell nothing: it is called an upcast only where some
 * value needs more than 6 significant bits of bf16's 8. A bf16 value does so with probability 3/4, so an
 * upcast of n random ones is missed with 4^-n.
 *
 * Bf16 storage of A_log errs by expm1(RN(A_log) - A_log) in A, of dt_bias by softplus(a + RN(dt_bias)) /
 * softplus(a + dt_bias) - 1; harness/predict.h says what that does to o and y. What a bf16 tensor has already
 * lost nobody knows, but it is at most half an ulp: such figures are bounds, and say so.
 */
#ifndef GDN_HARNESS_AUDIT_H
#define GDN_HARNESS_AUDIT_H

#include <jansson.h>
#include <stdio.h>

#include "base/format.h"
#include "harness/checkpoint.h"
#include "harness/contract.h"

/* Chance is no explanation of what is less likely: log2. */
enum { GDN_AUDIT_UNLIKELY = -32 };

/* What a tensor's values say of where they have rested. */
typedef enum gdn_audit_verdict {
    GDN_AUDIT_GENUINE,     /* some value has bits that bf16 has not */
    GDN_AUDIT_UPCAST,      /* a wider tensor of bf16 values */
    GDN_AUDIT_UPCAST_FP16, /* of fp16 values */
    GDN_AUDIT_UPCAST_PAIR, /* norm.weight: w - 1 is bf16 in every channel, w is not (Megatron: w is) */
    GDN_AUDIT_NARROW,      /* stored in a format of 16 bits or fewer */
    GDN_AUDIT_UNKNOWN,     /* a wider tensor whose values are exact in any storage, or too few */
    GDN_AUDIT_NO_FLOATS,   /* empty, or not a type of floating-point numbers */
    GDN_AUDIT_VERDICTS
} gdn_audit_verdict;

/* How a norm weight may rest. */
typedef enum gdn_audit_way { GDN_AUDIT_W, GDN_AUDIT_W_LESS_1, GDN_AUDIT_WAYS } gdn_audit_way;

/* A norm weight stored in bf16 in one of the ways: channels that change, and sqrt(sum d^2 / sum w^2). */
typedef struct gdn_audit_weight {
    int64_t changed[GDN_AUDIT_WAYS];
    double rms[GDN_AUDIT_WAYS];
    double lost; /* bf16 already: what it may have lost at most; otherwise NaN */
} gdn_audit_weight;

typedef struct gdn_audit_tensor {
    const gdn_tensor *tensor;
    gdn_key key;
    int layer; /* index into layers */
    int64_t count;
    int64_t nonfinite, bf16_exact, fp16_exact, fp32_exact, zeros;
    int64_t distinct; /* different values of more than 3 significant bits on the grid of bf16 or fp16 */
    bool fine;        /* some value needs more than 6 significant bits */
    double min, max;  /* of the finite values; NaN where there are none */
    int64_t near;  /* values of more than 3 bits, and the sum of squares of their distances to bf16's grid */
    double near2;  /* in half ulps: near / 3 if they know nothing of it */
    double chance; /* log2 of the probability that it looks like an upcast by chance; NaN where it does not */
    gdn_audit_verdict verdict;
    double *value; /* [count] A_log and dt_bias of a layer's heads, else NULL */
    gdn_audit_weight weight;
} gdn_audit_tensor;

typedef struct gdn_audit_layer {
    const gdn_key *key;     /* of its first tensor */
    const char *name;       /* of that tensor: its first key->module characters name the module */
    int tensor[GDN_PARAMS]; /* index of the first of each parameter, or -1 */
    int heads;              /* 0 where A_log and dt_bias do not pair up */
} gdn_audit_layer;

/* What one way of storing does to o or y: relative L2. */
typedef struct gdn_audit_cost {
    double predicted; /* at T, isotropic keys; NaN where theory is silent */
    double at_most;   /* of o, against the largest state: E[|dg| alpha] / (1 - E alpha) <= max |dg / g| */
} gdn_audit_cost;

typedef struct gdn_audit_head {
    int layer, head; /* index into layers; 0-based */
    double a_log, dt_bias;
    double rate;                       /* A */
    double tau;                        /* 1 / (A softplus(dt_bias)), tokens */
    double gamma, gamma_eff;           /* E|g| over a */
    double rate_error;                 /* of A, with A_log in bf16 */
    double softplus_error;             /* of softplus(dt_bias), with dt_bias in bf16 */
    double softplus_rms;               /* of softplus(a + dt_bias), rms over a */
    bool a_log_lost, dt_bias_lost;     /* the error is the most that bf16 storage can have lost */
    bool dead;                         /* the rest is NaN */
    gdn_audit_cost o_a_log, o_dt_bias; /* each alone */
    gdn_audit_cost o, y;               /* both; both and norm.weight */
} gdn_audit_head;

typedef struct gdn_audit_settings {
    double a_mean, a_scale; /* a ~ N(mean, scale); beta = sigmoid(N(0, 1)) */
    int64_t length;         /* T */
} gdn_audit_settings;

typedef struct gdn_audit {
    gdn_checkpoint *checkpoint;
    gdn_audit_settings settings;
    int dk;                   /* of config.json, or the width of norm.weight, or 128 */
    gdn_audit_tensor *tensor; /* [tensors] in the checkpoint's order */
    size_t tensors;
    gdn_audit_layer *layer; /* [layers] */
    int layers;
    bool numbered;        /* each layer has a number of its own; otherwise its module's name tells it apart */
    gdn_audit_head *head; /* [heads] worst o first, dead ones last */
    size_t heads;
    json_t *findings; /* objects with kind and text, and layer, head, layers, parameter where they apply */
} gdn_audit;

/*
 * Audit the checkpoint at `path`; gdn_inputs_init() has been called. *out is to be closed, and is NULL on
 * failure. GDN_BAD_INPUT for a checkpoint that is not well formed or has no GDN layer.
 */
gdn_status gdn_audit_open(const char *path, const gdn_audit_settings *settings, gdn_audit **out,
                          gdn_error *err);
void gdn_audit_close(gdn_audit *x); /* NULL is fine */

/* "genuine fp32", "upcast of bf16", "stored in bf16" and so on. */
const char *gdn_audit_verdict_text(const gdn_audit_tensor *t);

/* The format to which the value was rounded for good: the true one is unknown. NULL: none. */
const gdn_format *gdn_audit_lost(const gdn_audit_tensor *t);

/* rms relative error of a norm weight in bf16, as w or Megatron's w - 1; the bound where it is lost. */
double gdn_audit_weight_error(const gdn_audit_tensor *t);

/* Parts of gdn_audit_open: costs of every head; findings. */
gdn_status gdn_audit_heads(gdn_audit *x, gdn_error *err);
gdn_status gdn_audit_find(gdn_audit *x, gdn_error *err);

/* Everything as JSON, which the caller owns; NULL when memory is out. */
json_t *gdn_audit_json(const gdn_audit *x);

/* As text: of the heads the first `heads` (-1: all), and each tensor on a line however many there are. */
void gdn_audit_print(const gdn_audit *x, long heads, bool every_tensor, FILE *out);

/* Its parts; a sentence wrapped, its further lines indented. */
void gdn_audit_tensor_table(const gdn_audit *x, bool every, FILE *out);
void gdn_audit_head_table(const gdn_audit *x, long most, FILE *out);
void gdn_audit_wrapped(const char *sentence, int indent, FILE *out);

/* The worst head by |error|, of those whose error is, or is not, a bound; NULL where there is none. */
const gdn_audit_head *gdn_audit_worst(const gdn_audit *x, gdn_param param, bool lost);

/* "layer 3", or the name of its module. */
const char *gdn_audit_layer_words(const gdn_audit *x, const gdn_audit_layer *l, char *out, size_t size);

/* "0-2, 4-6, 8": ascending numbers [n] in words; beyond five ranges " and 7 more". */
const char *gdn_audit_ranges(const int *numbers, int n, char *out, size_t size);

#endif
