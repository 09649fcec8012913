/* SPDX-License-Identifier: Apache-2.0 */
/* recurrent -- the recurrent recipes as an engine; see recurrent.h. The arithmetic is in recurrent_tile.c. */
#include "kernels/recurrent.h"

#include <stdlib.h>

#include "base/simd.h"
#include "kernels/gate.h"
#include "kernels/norm.h"

/* Tokens that pass through the scratch at a time: k^ and q^ of 32 tokens at d_k = 128 are 32 KiB, half an L1
 * and L2. */
enum { SPAN = 32 };

typedef struct engine {
    gdn_setup s;
    gdn_recipe recipe; /* s.recipe points to it */
    double *rate;      /* [H] exp(A_log) */
    int rows, tiles;
    float *state;         /* [H][tiles][rows][16] */
    float *qn, *kn;       /* [SPAN][rows] */
    float *vtile, *otile; /* [SPAN][tiles * 16] */
    float *w;             /* [dv] */
    float *alpha, *beta;  /* [SPAN] */
} engine;

static void engine_close(void *self)
{
    engine *e = self;
    if (!e)
        return;
    free(e->rate);
    free(e->state);
    free(e->qn);
    free(e->kn);
    free(e->vtile);
    free(e->otile);
    free(e->w);
    free(e->alpha);
    free(e->beta);
    free(e);
}

static size_t state_index(const engine *e, int h, int i, int j)
{
    size_t tile = (size_t)h * (size_t)e->tiles + (size_t)(j / GDN_RECURRENT_TILE);
    return (tile * (size_t)e->rows + (size_t)i) * GDN_RECURRENT_TILE + (size_t)(j % GDN_RECURRENT_TILE);
}

static gdn_status engine_open(void **self, const gdn_setup *setup, gdn_error *err)
{
    gdn_shape shape = setup->shape;
    size_t H = (size_t)shape.heads;
    if (setup->columns)
        return gdn_fail(err, GDN_BAD_INPUT, "the recurrent engine runs all value columns, not a sample");
    const gdn_recipe *recipe = setup->recipe;
    if (recipe->math != GDN_MATH_PORTABLE)
        return gdn_fail(err, GDN_BAD_INPUT, "recipe %s is evaluated in %s mathematics, which only a GPU has",
                        recipe->name, gdn_math_names[recipe->math]);
    engine *e = gdn_calloc(1, sizeof *e);
    *self = e;
    if (!e)
        return gdn_no_memory(err, "a recurrent engine");
    e->s = *setup;
    e->recipe = gdn_recipe_on(recipe, &setup->params);
    e->s.recipe = &e->recipe;
    e->rows = (shape.dk + 15) / 16 * 16;
    e->tiles = (shape.dv + GDN_RECURRENT_TILE - 1) / GDN_RECURRENT_TILE;
    size_t tile = (size_t)e->rows * GDN_RECURRENT_TILE;
    e->rate = gdn_calloc(H, sizeof *e->rate);
    e->alpha = gdn_calloc(SPAN, sizeof *e->alpha);
    e->beta = gdn_calloc(SPAN, sizeof *e->beta);
    if (setup->recurrence) {
        e->state = gdn_calloc(H * (size_t)e->tiles * tile, sizeof *e->state);
        e->qn = gdn_calloc(SPAN * (size_t)e->rows, sizeof *e->qn);
        e->kn = gdn_calloc(SPAN * (size_t)e->rows, sizeof *e->kn);
        e->vtile = gdn_calloc(SPAN * (size_t)e->tiles * GDN_RECURRENT_TILE, sizeof *e->vtile);
        e->otile = gdn_calloc(SPAN * (size_t)e->tiles * GDN_RECURRENT_TILE, sizeof *e->otile);
        e->w = gdn_calloc((size_t)shape.dv, sizeof *e->w);
    }
    if (!e->rate || !e->alpha || !e->beta ||
        (setup->recurrence && (!e->state || !e->qn || !e->kn || !e->vtile || !e->otile || !e->w))) {
        engine_close(e);
        *self = NULL;
        return gdn_no_memory(err, "the state of a recurrent engine");
    }
    for (int j = 0; e->w && setup->params.norm_weight && j < shape.dv; j++)
        e->w[j] = (float)gdn_round(&gdn_formats[recipe->op], setup->params.norm_weight[j]);
    for (int h = 0; h < shape.heads; h++) {
        e->rate[h] =
            setup->params.decay ? gdn_gate_rate(recipe, setup->params.decay_is_a, setup->params.decay[h]) : 0;
        for (int i = 0; setup->state0 && setup->recurrence && i < shape.dk; i++)
            for (int j = 0; j < shape.dv; j++) {
                size_t at = ((size_t)h * (size_t)shape.dk + (size_t)i) * (size_t)shape.dv + (size_t)j;
                e->state[state_index(e, h, i, j)] =
                    gdn_plain_nan((float)gdn_round(&gdn_formats[recipe->state], setup->state0[at]));
            }
    }
    return GDN_OK;
}

/* alpha and beta of head h, tokens t .. t + n - 1 of the block; g and alpha are written where wanted. */
static void gates(engine *e, const gdn_block *in, const gdn_outputs *out, int h, int t, int n)
{
    gdn_gate gate[SPAN];
    gdn_gate_tokens(&e->s, e->rate[h], in, out, h, t, n, gate, e->beta);
    for (int x = 0; x < n; x++)
        e->alpha[x] = gdn_plain_nan((float)gate[x].alpha);
}

/*
 * What gdn_recurrent_head does over `tokens` tokens of one head. An element of the state: decay 1, recall 2,
 * write 2, read 2; a column beta (v - recall); then the norms.
 */
static void count(const engine *e, double tokens, bool normed, gdn_counts *c)
{
    int dk = e->s.shape.dk, dv = e->s.shape.dv;
    c->products += tokens * 7 * dk * dv;
    c->pointwise += tokens * 2 * dv;
    gdn_l2_norm_count(e->s.recipe, tokens, dk, false, c);
    gdn_l2_norm_count(e->s.recipe, tokens, dk, true, c);
    if (normed)
        gdn_out_norm_count(tokens, dv, c);
}

static gdn_status engine_advance(void *self, const gdn_block *in, const gdn_outputs *out, gdn_error *err)
{
    static void (*const run[GDN_ISAS])(const gdn_recurrent_head *) = {
        gdn_recurrent_head_scalar,
#if defined(__x86_64__)
        gdn_recurrent_head_avx2,
        gdn_recurrent_head_avx512,
#endif
    };
    (void)err;
    engine *e = self;
    size_t dk = (size_t)e->s.shape.dk, dv = (size_t)e->s.shape.dv;
    if (e->s.counts && e->s.recurrence)
        count(e, (double)e->s.shape.heads * in->tokens, out->y, e->s.counts);
    for (int h = 0; h < e->s.shape.heads; h++)
        for (int t = 0; t < in->tokens; t += SPAN) {
            int n = in->tokens - t < SPAN ? in->tokens - t : SPAN;
            gates(e, in, out, h, t, n);
            if (!e->s.recurrence)
                continue;
            size_t at = (size_t)h * (size_t)in->tokens + (size_t)t;
            run[gdn_isa_best()](&(gdn_recurrent_head){
                .recipe = e->s.recipe,
                .dk = (int)dk,
                .dv = (int)dv,
                .n = n,
                .scale = gdn_scale_of(&e->s.params, (int)dk),
                .q = in->q + at * dk,
                .k = in->k + at * dk,
                .v = in->v + at * dv,
                .z = in->z ? in->z + at * dv : NULL,
                .alpha = e->alpha,
                .beta = e->beta,
                .w = e->w,
                .state = e->state + state_index(e, h, 0, 0),
                .qn = e->qn,
                .kn = e->kn,
                .vtile = e->vtile,
                .otile = e->otile,
                .o = out->o ? out->o + at * dv : NULL,
                .y = out->y ? out->y + at * dv : NULL,
                .seed = e->s.seed,
                .head = (uint32_t)(e->s.head0 + h),
                .first = in->first + t,
            });
        }
    return GDN_OK;
}

static gdn_status engine_read_state(void *self, double *hi, double *lo, gdn_error *err)
{
    (void)err;
    (void)lo;
    const engine *e = self;
    for (int h = 0; h < e->s.shape.heads; h++)
        for (int i = 0; i < e->s.shape.dk; i++)
            for (int j = 0; j < e->s.shape.dv; j++)
                *hi++ = e->state[state_index(e, h, i, j)];
    return GDN_OK;
}

const gdn_engine gdn_recurrent_engine = {
    .name = "recurrent",
    .summary = "the recurrent recipes in portable arithmetic",
    .pairs = false,
    .open = engine_open,
    .advance = engine_advance,
    .read_state = engine_read_state,
    .close = engine_close,
};
