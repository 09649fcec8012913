/* SPDX-License-Identifier: Apache-2.0 */
/* conv -- the short convolution and its SiLU; see conv.h. */
#include "kernels/conv.h"

#include "kernels/norm.h"
#include "kernels/portable.h"

/* The newest three of what was kept and the n inputs, kept for the next call. */
static void keep(const gdn_conv_call *c, size_t channel)
{
    float *kept = c->kept + channel * GDN_CONV_KEPT, next[GDN_CONV_KEPT];
    for (int i = 0; i < GDN_CONV_KEPT; i++) {
        int t = c->n - GDN_CONV_KEPT + i;
        next[i] = t < 0 ? kept[t + GDN_CONV_KEPT] : c->x[(size_t)t * (size_t)c->channels + channel];
    }
    memcpy(kept, next, sizeof next);
}

void gdn_conv_silu(const gdn_conv_call *c)
{
    const gdn_format *sum = &gdn_formats[c->sum], *result = &gdn_formats[c->result];
    size_t channels = (size_t)c->channels;
    for (size_t channel = 0; channel < channels; channel++) {
        const float *w = c->w + channel * GDN_CONV_WIDTH, *kept = c->kept + channel * GDN_CONV_KEPT;
        float window[GDN_CONV_WIDTH] = {0, kept[0], kept[1], kept[2]};
        for (size_t t = 0; t < (size_t)c->n; t++) {
            memmove(window, window + 1, GDN_CONV_KEPT * sizeof *window);
            window[GDN_CONV_KEPT] = c->x[t * channels + channel];
            float s = 0;
            for (int i = 0; i < GDN_CONV_WIDTH; i++)
                s = gdn_fmaf(w[i], window[i], s);
            double x = gdn_round(sum, s);
            c->y[t * channels + channel] = gdn_plain_nan((float)gdn_round(result, x * gdn_sigmoid(x)));
        }
        keep(c, channel);
    }
}
