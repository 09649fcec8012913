/* SPDX-License-Identifier: Apache-2.0 */
/* layer -- sizes and stages of the whole layer; see layer.h. */
#include "base/layer.h"

#include <stdlib.h>

const char *const gdn_layer_stage_names[GDN_LAYER_STAGES] = {"q",    "k", "v", "z",     "g",
                                                             "beta", "o", "y", "output"};

int gdn_layer_width(const gdn_layer_shape *s, gdn_layer_stage stage, int heads)
{
    const int width[GDN_LAYER_STAGES] = {
        [GDN_LAYER_Q] = heads * s->dk, [GDN_LAYER_K] = heads * s->dk, [GDN_LAYER_V] = heads * s->dv,
        [GDN_LAYER_Z] = heads * s->dv, [GDN_LAYER_G] = heads,         [GDN_LAYER_BETA] = heads,
        [GDN_LAYER_O] = heads * s->dv, [GDN_LAYER_Y] = heads * s->dv, [GDN_LAYER_OUTPUT] = s->hidden};
    return width[stage];
}

void gdn_layer_outputs_free(gdn_layer_outputs *out)
{
    for (int i = 0; i < GDN_LAYER_STAGES; i++) {
        free(out->hi[i]);
        free(out->lo[i]);
    }
    *out = (gdn_layer_outputs){0};
}

gdn_status gdn_layer_outputs_new(gdn_layer_outputs *out, const gdn_layer_shape *s, int heads, int tokens,
                                 bool pairs, gdn_error *err)
{
    *out = (gdn_layer_outputs){0};
    for (gdn_layer_stage i = 0; i < GDN_LAYER_STAGES; i++) {
        size_t n = (size_t)tokens * (size_t)gdn_layer_width(s, i, heads);
        out->hi[i] = gdn_calloc(n, sizeof **out->hi);
        out->lo[i] = pairs ? gdn_calloc(n, sizeof **out->lo) : NULL;
        if (!out->hi[i] || (pairs && !out->lo[i])) {
            gdn_layer_outputs_free(out);
            return gdn_no_memory(err, "the stages of a layer");
        }
    }
    return GDN_OK;
}

int gdn_layer_channels(const gdn_layer_shape *s)
{
    return 2 * s->key_heads * s->dk + s->value_heads * s->dv;
}

gdn_status gdn_layer_check(const gdn_layer_shape *s, gdn_error *err)
{
    const struct {
        const char *what;
        int size, most;
    } sizes[] = {{"hidden size", s->hidden, GDN_LAYER_MAX_HIDDEN},
                 {"number of key heads", s->key_heads, GDN_LAYER_MAX_HEADS},
                 {"number of value heads", s->value_heads, GDN_LAYER_MAX_HEADS},
                 {"key head dimension", s->dk, GDN_MAX_DIM},
                 {"value head dimension", s->dv, GDN_MAX_DIM}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i].size < 1 || sizes[i].size > sizes[i].most)
            return gdn_fail(err, GDN_BAD_INPUT, "a layer with a %s of %d: 1 to %d is allowed", sizes[i].what,
                            sizes[i].size, sizes[i].most);
    if (s->value_heads % s->key_heads)
        return gdn_fail(err, GDN_BAD_INPUT,
                        "%d value heads over %d key heads: each key head must serve the same number",
                        s->value_heads, s->key_heads);
    return GDN_OK;
}
