/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer -- the definition of truth for the whole layer: spec section 1 from hidden states to output, term by
 * term, in GNU MPFR.
 *
 * Each line of the formula is one loop over the whole sequence, each operation is rounded once to `precision`
 * bits, nothing is rounded in between. Meant for small sizes: all intermediates of a sequence are in memory
 * at once.
 */
#ifndef GDN_REFERENCE_LAYER_H
#define GDN_REFERENCE_LAYER_H

#include "base/layer.h"

/* One sequence, from states that are zero. */
typedef struct gdn_layer_mpfr_call {
    gdn_layer_shape shape;
    gdn_layer_weights weights; /* exact as they are; core.alpha must be GDN_FP64 */
    int precision;             /* significand bits, 64 to 4096 */
    int tokens;
    const float *hidden;      /* [tokens][D], exact as they are */
    gdn_layer_outputs out;    /* [tokens][width] each */
    double *state, *state_lo; /* [H_v][dk][dv] after the last token; NULL: not wanted */
} gdn_layer_mpfr_call;

gdn_status gdn_layer_mpfr(const gdn_layer_mpfr_call *c, gdn_error *err);

#endif
