/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view -- tensors of a file as engines want them, [H][n][d], read where they lie: nothing is held twice.
 *
 * A batch of B sequences of H value heads is B H heads, the sequence slowest: head x is head x mod H of
 * sequence x / H.
 */
#ifndef GDN_HARNESS_VIEW_H
#define GDN_HARNESS_VIEW_H

#include "base/shape.h"
#include "harness/experiment.h"
#include "harness/safetensors.h"

/* Numbers of tokens and heads: head h of a sequence finds token t (0-based) at
 * sequence b + head floor(h / group) + token t. */
typedef struct gdn_view {
    const gdn_tensor *tensor;      /* NULL: not named, and nothing is read */
    int64_t heads, group;          /* value heads of a sequence, and how many of them share one here */
    int64_t sequence, head, token; /* elements from one to the next */
    int64_t width;                 /* d, or 1 */
} gdn_view;

/* Some tokens of some heads. */
typedef struct gdn_cut {
    int64_t first; /* 0-based */
    int n, head, heads;
} gdn_cut;

/* out: [heads][n][width]. GDN_BAD_INPUT as gdn_tensor_floats and gdn_tensor_doubles have it. */
gdn_status gdn_view_floats(const gdn_view *v, const gdn_cut *c, float *out, gdn_error *err);
gdn_status gdn_view_doubles(const gdn_view *v, const gdn_cut *c, double *out, gdn_error *err);

/* States of shape.heads heads. out: [H][dk][dv] */
gdn_status gdn_view_states(const gdn_tensor *t, gdn_state_layout layout, gdn_shape shape, double *out,
                           gdn_error *err);

#endif
