/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conv -- the short convolution, causal and depthwise, and its SiLU:
 *
 *     c[t] = sum_i w_i x[t - 3 + i], i = 0..3 in this order, in fp32 with fused multiply-adds
 *     y[t] = c[t] sigmoid(c[t]), evaluated in double
 *
 * Two formats: that of c, and that of y. Inputs before the first token of a call come from what the last call
 * kept, as they came; the layer rounds that at the end of its own call.
 */
#ifndef GDN_KERNELS_CONV_H
#define GDN_KERNELS_CONV_H

#include "base/layer.h"

typedef struct gdn_conv_call {
    int n, channels;
    const float *x;    /* [n][channels] */
    const float *w;    /* [channels][4] */
    float *kept;       /* [channels][3] inputs before the first token, oldest first; in and out */
    gdn_format_id sum; /* c */
    gdn_format_id result;
    float *y; /* [n][channels] */
} gdn_conv_call;

void gdn_conv_silu(const gdn_conv_call *c);

#endif
