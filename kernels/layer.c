/* SPDX-License-Identifier: Apache-2.0 */
/* layer -- the whole layer under test; see layer.h. */
#include "kernels/layer.h"

#include <stdlib.h>

#include "kernels/conv.h"
#include "kernels/engines.h"
#include "kernels/gate.h"
#include "kernels/linear.h"
#include "kernels/norm.h"

/* Tokens that pass through the scratch at a time; the engines' results do not depend on it. */
enum { SPAN = 64 };

struct gdn_layer {
    gdn_layer_setup s;
    const gdn_recipe *core;
    const gdn_engine *engine;
    void *running; /* the engine's own */
    int64_t position;
    int heads, first_key, keys;       /* value heads; key heads that they use */
    int channels, width, gated, wide; /* of the conv; D padded; heads dv; that padded */
    float *qkv, *z, *b, *a;           /* [channels | gated | heads | heads][width] */
    float *conv;                      /* [channels][4] */
    float *out;                       /* [D][wide] */
    float *kept;                      /* [channels][3] */
    /* scratch of one span */
    float *x;                           /* [SPAN][width] hidden states */
    float *raw, *mixed;                 /* [SPAN][channels] before and after the conv */
    float *zs, *bs, *as;                /* [SPAN][gated | heads | heads] */
    float *y;                           /* [SPAN][wide] */
    float *result;                      /* [SPAN][D] */
    float *eq, *ek, *ev, *ez, *ea, *eb; /* [heads][SPAN][dk | dk | dv | dv | 1 | 1] what the engine reads */
    double *eg, *eo, *ey;               /* [heads][SPAN][1 | dv | dv] what it gives */
};

void gdn_layer_close(gdn_layer *l)
{
    if (!l)
        return;
    if (l->engine)
        l->engine->close(l->running);
    void *all[] = {l->qkv, l->z,     l->b,  l->a,  l->conv, l->out, l->kept,   l->x,
                   l->raw, l->mixed, l->zs, l->bs, l->as,   l->y,   l->result, l->eq,
                   l->ek,  l->ev,    l->ez, l->ea, l->eb,   l->eg,  l->eo,     l->ey};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
    free(l);
}

static gdn_status allocate(gdn_layer *l, gdn_error *err)
{
    const size_t D = (size_t)l->s.shape.hidden, width = (size_t)l->width, channels = (size_t)l->channels;
    const size_t heads = (size_t)l->heads, gated = (size_t)l->gated, wide = (size_t)l->wide;
    const size_t dk = (size_t)l->s.shape.dk;
    const struct {
        float **to;
        size_t n;
    } floats[] = {{&l->qkv, channels * width},
                  {&l->z, gated * width},
                  {&l->b, heads * width},
                  {&l->a, heads * width},
                  {&l->conv, channels * GDN_CONV_WIDTH},
                  {&l->out, D * wide},
                  {&l->kept, channels * GDN_CONV_KEPT},
                  {&l->x, SPAN * width},
                  {&l->raw, SPAN * channels},
                  {&l->mixed, SPAN * channels},
                  {&l->zs, SPAN * gated},
                  {&l->bs, SPAN * heads},
                  {&l->as, SPAN * heads},
                  {&l->y, SPAN * wide},
                  {&l->result, SPAN * D},
                  {&l->eq, SPAN * heads * dk},
                  {&l->ek, SPAN * heads * dk},
                  {&l->ev, SPAN * gated},
                  {&l->ez, SPAN * gated},
                  {&l->ea, SPAN * heads},
                  {&l->eb, SPAN * heads}};
    for (size_t i = 0; i < sizeof floats / sizeof floats[0]; i++)
        if (!(*floats[i].to = gdn_calloc(floats[i].n, sizeof(float))))
            return gdn_no_memory(err, "a layer");
    l->eg = gdn_calloc(SPAN * heads, sizeof *l->eg);
    l->eo = gdn_calloc(SPAN * gated, sizeof *l->eo);
    l->ey = gdn_calloc(SPAN * gated, sizeof *l->ey);
    return l->eg && l->eo && l->ey ? GDN_OK : gdn_no_memory(err, "a layer");
}

/* `rows` rows of n numbers, `stride` apart, rounded to the format, into rows `width` apart, whose numbers
 * beyond n, zeros since they were allocated, stay. */
static void take(gdn_format_id format, const float *from, int rows, int n, size_t stride, float *to,
                 int width)
{
    for (int i = 0; i < rows; i++) {
        float *row = to + (size_t)i * (size_t)width;
        for (int j = 0; j < n; j++)
            row[j] =
                gdn_plain_nan((float)gdn_round(&gdn_formats[format], from[(size_t)i * stride + (size_t)j]));
    }
}

/* What of `channels` the heads here use: rows from .. from + n - 1 of the whole become rows `at` .. here. */
typedef struct share {
    int from, at, n;
} share;

static void shares(const gdn_layer *l, share out[3])
{
    const gdn_layer_shape *s = &l->s.shape;
    int mine = l->keys * s->dk, all = s->key_heads * s->dk, skipped = l->first_key * s->dk;
    out[0] = (share){skipped, 0, mine};
    out[1] = (share){all + skipped, mine, mine};
    out[2] = (share){2 * all + l->s.first * s->dv, 2 * mine, l->gated};
}

static void take_weights(gdn_layer *l)
{
    const gdn_layer_shape *s = &l->s.shape;
    const gdn_layer_weights *w = &l->s.weights;
    gdn_format_id f = l->s.recipe->input;
    size_t D = (size_t)s->hidden, first = (size_t)l->s.first, skipped = first * (size_t)s->dv;
    share part[3];
    shares(l, part);
    for (int i = 0; i < 3; i++) {
        size_t from = (size_t)part[i].from, at = (size_t)part[i].at;
        take(f, w->qkv + from * D, part[i].n, s->hidden, D, l->qkv + at * (size_t)l->width, l->width);
        take(f, w->conv + from * GDN_CONV_WIDTH, part[i].n, GDN_CONV_WIDTH, GDN_CONV_WIDTH,
             l->conv + at * GDN_CONV_WIDTH, GDN_CONV_WIDTH);
        if (l->s.conv_state0)
            take(l->s.recipe->conv_state, l->s.conv_state0 + from * GDN_CONV_KEPT, part[i].n, GDN_CONV_KEPT,
                 GDN_CONV_KEPT, l->kept + at * GDN_CONV_KEPT, GDN_CONV_KEPT);
    }
    take(f, w->z + skipped * D, l->gated, s->hidden, D, l->z, l->width);
    take(f, w->b + first * D, l->heads, s->hidden, D, l->b, l->width);
    take(f, w->a + first * D, l->heads, s->hidden, D, l->a, l->width);
    take(f, w->out + skipped, s->hidden, l->gated, (size_t)s->value_heads * (size_t)s->dv, l->out, l->wide);
}

/* The core on this layer's heads, from a state or from zero. */
static gdn_status start(gdn_layer *l, const double *state0, gdn_error *err)
{
    const gdn_layer_shape *s = &l->s.shape;
    size_t first = (size_t)l->s.first;
    gdn_setup setup = {.shape = {l->heads, s->dk, s->dv},
                       .params = l->s.weights.core,
                       .recurrence = true,
                       .seed = l->s.seed,
                       .head0 = l->s.first,
                       .recipe = l->core,
                       .state0 = state0 ? state0 + first * (size_t)s->dk * (size_t)s->dv : NULL};
    setup.params.decay += first;
    setup.params.dt_bias += first;
    l->position = 0;
    return l->engine->open(&l->running, &setup, err);
}

gdn_status gdn_layer_open(gdn_layer **out, const gdn_layer_setup *setup, gdn_error *err)
{
    *out = NULL;
    const gdn_layer_shape *s = &setup->shape;
    gdn_status status = gdn_layer_check(s, err);
    if (status)
        return status;
    int heads = setup->heads ? setup->heads : s->value_heads;
    if (setup->first < 0 || heads < 1 || setup->first > s->value_heads - heads)
        return gdn_fail(err, GDN_BAD_INPUT, "value heads %d to %d of a layer that has %d", setup->first,
                        setup->first + heads - 1, s->value_heads);
    const gdn_recipe *core = gdn_recipe_by_name(setup->recipe->core);
    if (!core)
        return gdn_fail(err, GDN_BAD_INPUT, "layer recipe %s: there is no recipe %s for its core",
                        setup->recipe->name, setup->recipe->core);
    gdn_layer *l = gdn_calloc(1, sizeof *l);
    if (!l)
        return gdn_no_memory(err, "a layer");
    int r = s->value_heads / s->key_heads;
    l->s = *setup;
    l->core = core;
    l->heads = heads;
    l->first_key = setup->first / r;
    l->keys = (setup->first + heads - 1) / r - l->first_key + 1;
    l->gated = heads * s->dv;
    l->channels = 2 * l->keys * s->dk + l->gated;
    l->width = gdn_linear_padded(s->hidden);
    l->wide = gdn_linear_padded(l->gated);
    status = allocate(l, err);
    if (!status) {
        take_weights(l);
        l->engine = gdn_recipe_engine(core);
        status = start(l, setup->state0, err);
    }
    if (status) {
        gdn_layer_close(l);
        return status;
    }
    *out = l;
    return GDN_OK;
}

gdn_status gdn_layer_reset(gdn_layer *l, gdn_error *err)
{
    l->engine->close(l->running);
    l->running = NULL;
    memset(l->kept, 0, (size_t)l->channels * GDN_CONV_KEPT * sizeof *l->kept);
    return start(l, NULL, err);
}

gdn_status gdn_layer_read_state(gdn_layer *l, double *state, float *conv, gdn_error *err)
{
    if (conv)
        memcpy(conv, l->kept, (size_t)l->channels * GDN_CONV_KEPT * sizeof *conv);
    return state ? l->engine->read_state(l->running, state, NULL, err) : GDN_OK;
}

/* x <- the n hidden states, then what is linear in them, and the conv. */
static void project(gdn_layer *l, int n, const float *hidden)
{
    const gdn_layer_recipe *recipe = l->s.recipe;
    take(recipe->input, hidden, n, l->s.shape.hidden, (size_t)l->s.shape.hidden, l->x, l->width);
    const struct {
        int rows;
        const float *w;
        float *y;
    } to[] = {{l->channels, l->qkv, l->raw},
              {l->gated, l->z, l->zs},
              {l->heads, l->b, l->bs},
              {l->heads, l->a, l->as}};
    for (size_t i = 0; i < sizeof to / sizeof to[0]; i++)
        gdn_linear(&(gdn_linear_call){n, l->width, to[i].rows, l->x, to[i].w, recipe->linear, to[i].y});
    gdn_conv_silu(
        &(gdn_conv_call){n, l->channels, l->raw, l->conv, l->kept, recipe->conv_sum, recipe->conv, l->mixed});
}

/* Token-major rows of one head, [n] of d numbers `stride` apart, as the engine wants them: side by side. */
static void gather(const float *from, int n, int d, int stride, float *to)
{
    for (int t = 0; t < n; t++)
        memcpy(to + (size_t)t * (size_t)d, from + (size_t)t * (size_t)stride, (size_t)d * sizeof *to);
}

/* The span head by head: head h takes q and k of key head floor(h / r). */
static gdn_block arrange(gdn_layer *l, int n)
{
    const gdn_layer_shape *s = &l->s.shape;
    int r = s->value_heads / s->key_heads;
    for (int h = 0; h < l->heads; h++) {
        int key = (l->s.first + h) / r - l->first_key, value = 2 * l->keys * s->dk + h * s->dv;
        size_t at = (size_t)h * (size_t)n;
        gather(l->mixed + key * s->dk, n, s->dk, l->channels, l->eq + at * (size_t)s->dk);
        gather(l->mixed + (l->keys + key) * s->dk, n, s->dk, l->channels, l->ek + at * (size_t)s->dk);
        gather(l->mixed + value, n, s->dv, l->channels, l->ev + at * (size_t)s->dv);
        gather(l->zs + h * s->dv, n, s->dv, l->gated, l->ez + at * (size_t)s->dv);
        gather(l->as + h, n, 1, l->heads, l->ea + at);
        gather(l->bs + h, n, 1, l->heads, l->eb + at);
    }
    return (gdn_block){.first = l->position + 1,
                       .tokens = n,
                       .q = l->eq,
                       .k = l->ek,
                       .v = l->ev,
                       .z = l->ez,
                       .a = l->ea,
                       .b = l->eb};
}

/* The stages of the span, head-major [heads][n][d] in floats or doubles, into token-major outputs from token
 * t on. */
static void look(const gdn_layer *l, int n, int t, const gdn_layer_outputs *out)
{
    const gdn_layer_shape *s = &l->s.shape;
    const struct {
        const float *x;
        const double *y;
        int d;
    } from[GDN_LAYER_STAGES] = {[GDN_LAYER_Q] = {l->eq, NULL, s->dk}, [GDN_LAYER_K] = {l->ek, NULL, s->dk},
                                [GDN_LAYER_V] = {l->ev, NULL, s->dv}, [GDN_LAYER_Z] = {l->ez, NULL, s->dv},
                                [GDN_LAYER_G] = {NULL, l->eg, 1},     [GDN_LAYER_O] = {NULL, l->eo, s->dv},
                                [GDN_LAYER_Y] = {NULL, l->ey, s->dv}};
    for (int stage = 0; stage < GDN_LAYER_STAGES; stage++) {
        size_t d = (size_t)from[stage].d, heads = (size_t)l->heads;
        if (!out->hi[stage] || (!from[stage].x && !from[stage].y))
            continue;
        double *to = out->hi[stage] + (size_t)t * heads * d;
        for (size_t h = 0; h < heads; h++)
            for (size_t i = 0; i < (size_t)n; i++)
                for (size_t j = 0; j < d; j++) {
                    size_t at = (h * (size_t)n + i) * d + j;
                    to[(i * heads + h) * d + j] = from[stage].x ? from[stage].x[at] : from[stage].y[at];
                }
    }
    size_t rows = (size_t)n * (size_t)l->heads, from_t = (size_t)t * (size_t)l->heads;
    for (size_t i = 0; out->hi[GDN_LAYER_BETA] && i < rows; i++)
        out->hi[GDN_LAYER_BETA][from_t + i] = gdn_gate_beta(l->core, l->s.weights.core.beta_shift, l->bs[i]);
}

/* The out projection of y: [heads][n][dv]. */
static void project_out(gdn_layer *l, int n, double *output)
{
    const int dv = l->s.shape.dv;
    for (int h = 0; h < l->heads; h++)
        for (int t = 0; t < n; t++)
            for (int j = 0; j < dv; j++)
                l->y[t * l->wide + h * dv + j] = (float)l->ey[(h * n + t) * dv + j];
    gdn_linear(
        &(gdn_linear_call){n, l->wide, l->s.shape.hidden, l->y, l->out, l->s.recipe->output, l->result});
    for (int i = 0; i < n * l->s.shape.hidden; i++)
        output[i] = l->result[i];
}

gdn_status gdn_layer_advance(gdn_layer *l, int n, const float *hidden, const gdn_layer_outputs *out,
                             gdn_error *err)
{
    size_t D = (size_t)l->s.shape.hidden;
    for (int t = 0; t < n; t += SPAN) {
        int span = n - t < SPAN ? n - t : SPAN;
        project(l, span, hidden + (size_t)t * D);
        gdn_block in = arrange(l, span);
        gdn_status status =
            l->engine->advance(l->running, &in, &(gdn_outputs){.g = l->eg, .o = l->eo, .y = l->ey}, err);
        if (status)
            return status;
        l->position += span;
        look(l, span, t, out);
        if (out->hi[GDN_LAYER_OUTPUT])
            project_out(l, span, out->hi[GDN_LAYER_OUTPUT] + (size_t)t * D);
    }
    /* once a call, so that spans do not show */
    take(l->s.recipe->conv_state, l->kept, l->channels, GDN_CONV_KEPT, GDN_CONV_KEPT, l->kept, GDN_CONV_KEPT);
    return GDN_OK;
}

void gdn_layer_join(const gdn_layer_recipe *recipe, int ranks, const double *const *parts, size_t n,
                    double *sum)
{
    const gdn_format *f = &gdn_formats[recipe->output];
    for (size_t i = 0; i < n; i++) {
        sum[i] = parts[0][i];
        for (int rank = 1; rank < ranks; rank++)
            sum[i] = gdn_round(f, sum[i] + parts[rank][i]);
    }
}
