/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device -- what the CUDA twins of the double-double and fp64 engines share: batch.h for the GPU.
 *
 * A block of tokens goes through four kernels: the gate and the lengths of k and q, parallel over tokens,
 * leave what one token multiplies by (gdn_factors); the recurrence runs over the tokens in order, columns in
 * parallel; the gated norm is parallel over tokens again. The first two stand in device.cu and are
 * double-double for both engines; device_layer.h has the others as templates, which gdn_fp64.cu and gdn_dd.cu
 * fill in. For CUDA sources only.
 */
#ifndef GDN_REFERENCE_DEVICE_H
#define GDN_REFERENCE_DEVICE_H

#include <stddef.h>

#include "base/engine.h"
#include "reference/step.h"

/* What one token of one head multiplies by. */
typedef struct gdn_factors {
    gdn_dd alpha; /* decay */
    gdn_dd rho;   /* dd: alpha / |k|; fp64: 1 / |k| */
    gdn_dd sigma; /* dd: beta / |k|; fp64: beta */
    gdn_dd omega; /* d_k^(-1/2) / |q| */
} gdn_factors;

/* A call of the recurrence over n tokens. lo and o_lo: double-double only. */
typedef struct gdn_recurrence {
    const float *q, *k;         /* [H][n][dk] */
    const float *v;             /* [H][n][dv] */
    const gdn_factors *factors; /* [H][n] */
    const int *column;          /* [columns] */
    double *hi, *lo;            /* [H][rows][stride]: the state */
    double *o, *o_lo;           /* [H][n][columns] */
    int tokens, dk, dv, rows, columns, stride;
    int tile;   /* tokens that a block stages at a time */
    int strips; /* blocks a head */
    bool solid; /* rows of q and k have no padding and may be read four floats at a time */
} gdn_recurrence;

/* A call of the gated norm. */
typedef struct gdn_device_norm {
    const double *o, *o_lo; /* [tokens][columns] */
    const float *z;         /* [tokens][dv] */
    const int *column;      /* [columns] */
    const double *weight;   /* [columns] */
    double *ms, *ms_lo;     /* [tokens], or NULL */
    double *y, *y_lo;       /* [tokens][columns], or NULL */
    size_t tokens;          /* of all heads */
    int columns, dv;
    bool own; /* the mean of o^2 is worked out here, not read */
} gdn_device_norm;

/* One way to spread the recurrence over threads: `lanes` threads hold `width` columns. */
typedef struct gdn_variant {
    void (*kernel)(gdn_recurrence);
    int rows;  /* the padded d_k that it was compiled for; 0: any */
    int lanes; /* threads that share columns */
    int width; /* columns that they hold */
    int warps; /* a multiprocessor must have this many to make it worth while */
} gdn_variant;

/* What an engine adds: variants, best first, the last fits all. */
typedef struct gdn_device_code {
    const char *name;
    int parts; /* doubles per state element: 2 in double-double, 1 in fp64 */
    const gdn_variant *variants;
    void (*norm)(gdn_device_norm); /* kernel: GDN_NORM_LANES threads a token */
} gdn_device_code;

enum { GDN_THREADS = 128, GDN_NORM_LANES = 8 };

/* open, advance, read_state and close of an engine; see base/engine.h. */
gdn_status gdn_device_open(void **self, const gdn_setup *setup, const gdn_device_code *code, gdn_error *err);
gdn_status gdn_device_advance(void *self, const gdn_block *in, const gdn_outputs *out, gdn_error *err);
gdn_status gdn_device_read_state(void *self, double *hi, double *lo, gdn_error *err);
void gdn_device_close(void *self);

#endif
