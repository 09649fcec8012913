/* SPDX-License-Identifier: Apache-2.0 */
/* chunked -- the chunked recipes as an engine; see chunked.h. The arithmetic is in chunked_tile.c. */
#include "kernels/chunked.h"

#include <stdlib.h>
#include <string.h>

#include "base/simd.h"
#include "kernels/gate.h"
#include "kernels/norm.h"

typedef struct engine {
    gdn_setup s;
    gdn_recipe recipe; /* s.recipe points to it */
    double *rate;      /* [H] exp(A_log) */
    int rows, kstride, vstride;
    size_t state_floats, chunk_floats;
    float *state; /* [H][rows][vstride] at the start of the chunk in progress */
    float *open;  /* [H][chunk_floats] chunks that the last block left unfinished; NULL until there is one */
    float *whole; /* [chunk_floats] a chunk that begins and ends in the same block */
    float *scratch;  /* of gdn_chunk_scratch */
    float *w;        /* [dv] */
    float *g, *beta; /* [64] */
    int filled;      /* rows of the unfinished chunks */
} engine;

static void engine_close(void *self)
{
    engine *e = self;
    if (!e)
        return;
    void *all[] = {e->rate, e->state, e->open, e->whole, e->scratch, e->w, e->g, e->beta};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
    free(e);
}

/* The next rows x stride floats from `from` on, of which *used are taken; NULL when only counting. */
static float *cut(float *from, size_t *used, int rows, int stride)
{
    float *x = from ? from + *used : NULL;
    *used += (size_t)rows * (size_t)stride;
    return x;
}

/* The arrays of a chunk, one after the other from `at` (NULL: only count); returns how many floats they take.
 */
static size_t lay_chunk(const engine *e, float *at, gdn_chunk *c)
{
    size_t used = 0;
    int m = gdn_chunked_stride(GDN_CHUNK);
    c->kt = cut(at, &used, e->rows, m);
    c->wb = cut(at, &used, GDN_CHUNK, e->kstride);
    c->vb = cut(at, &used, GDN_CHUNK, e->vstride);
    c->vnew = cut(at, &used, GDN_CHUNK, e->vstride);
    c->voperand = cut(at, &used, GDN_CHUNK, e->vstride);
    c->m = cut(at, &used, GDN_CHUNK, m);
    c->mt = cut(at, &used, GDN_CHUNK, m);
    c->x = cut(at, &used, GDN_CHUNK, m);
    c->sum = cut(at, &used, 1, GDN_CHUNK);
    c->cleared = cut(at, &used, 1, GDN_CHUNK);
    return used;
}

static size_t lay_scratch(const engine *e, float *at, gdn_chunk_scratch *s)
{
    size_t used = 0;
    int m = gdn_chunked_stride(GDN_CHUNK);
    s->s = cut(at, &used, e->rows, e->vstride);
    s->k = cut(at, &used, GDN_CHUNK, e->kstride);
    s->q = cut(at, &used, GDN_CHUNK, e->kstride);
    s->l = cut(at, &used, GDN_CHUNK, m);
    s->p = cut(at, &used, GDN_CHUNK, m);
    s->mo = cut(at, &used, GDN_CHUNK, m);
    s->w = cut(at, &used, GDN_CHUNK, e->kstride);
    s->u = cut(at, &used, GDN_CHUNK, e->vstride);
    s->o = cut(at, &used, GDN_CHUNK, e->vstride);
    return used;
}

gdn_status gdn_chunked_check(const gdn_setup *setup, gdn_error *err)
{
    const gdn_recipe *r = setup->recipe;
    if (setup->columns)
        return gdn_fail(err, GDN_BAD_INPUT, "the chunked engine runs all value columns, not a sample");
    if (r->op != GDN_FP32)
        return gdn_fail(err, GDN_BAD_INPUT, "recipe %s: the chunked form has operations in fp32, not %s",
                        r->name, gdn_formats[r->op].name);
    if (r->product != GDN_FP32 && r->product != GDN_TF32 && r->product != GDN_BF16)
        return gdn_fail(err, GDN_BAD_INPUT,
                        "recipe %s: matrix products of the chunked form take fp32, tf32 or bf16, not %s",
                        r->name, gdn_formats[r->product].name);
    if (r->inverse == GDN_E4M3 || r->inverse == GDN_E5M2)
        return gdn_fail(
            err, GDN_BAD_INPUT,
            "recipe %s: the inverse of the chunked form rests in fp32, tf32, fp16 or bf16, not %s", r->name,
            gdn_formats[r->inverse].name);
    if (r->state_rounding != GDN_NEAREST)
        return gdn_fail(err, GDN_BAD_INPUT,
                        "recipe %s: the chunked form rounds its state to nearest, not stochastically",
                        r->name);
    return GDN_OK;
}

static gdn_status allocate(engine *e, gdn_error *err)
{
    const gdn_shape *shape = &e->s.shape;
    size_t H = (size_t)shape->heads;
    gdn_chunk chunk;
    gdn_chunk_scratch scratch;
    e->rate = gdn_calloc(H, sizeof *e->rate);
    e->g = gdn_calloc(GDN_CHUNK, sizeof *e->g);
    e->beta = gdn_calloc(GDN_CHUNK, sizeof *e->beta);
    if (e->s.recurrence) {
        e->state_floats = (size_t)e->rows * (size_t)e->vstride;
        e->chunk_floats = lay_chunk(e, NULL, &chunk);
        e->state = gdn_calloc(H * e->state_floats, sizeof *e->state);
        e->whole = gdn_calloc(e->chunk_floats, sizeof *e->whole);
        e->scratch = gdn_calloc(lay_scratch(e, NULL, &scratch), sizeof *e->scratch);
        e->w = gdn_calloc((size_t)shape->dv, sizeof *e->w);
    }
    if (!e->rate || !e->g || !e->beta ||
        (e->s.recurrence && (!e->state || !e->whole || !e->scratch || !e->w)))
        return gdn_no_memory(err, "the state of a chunked engine");
    return GDN_OK;
}

/* What rests: rates, norm weight and the initial state. */
static void fill(engine *e)
{
    const gdn_recipe *recipe = e->s.recipe;
    const gdn_params *p = &e->s.params;
    int dk = e->s.shape.dk, dv = e->s.shape.dv;
    for (int h = 0; p->decay && h < e->s.shape.heads; h++)
        e->rate[h] = gdn_gate_rate(recipe, p->decay_is_a, p->decay[h]);
    for (int j = 0; e->w && p->norm_weight && j < dv; j++)
        e->w[j] = (float)gdn_round(&gdn_formats[recipe->op], p->norm_weight[j]);
    const double *from = e->s.state0;
    for (int h = 0; from && e->state && h < e->s.shape.heads; h++)
        for (int i = 0; i < dk; i++)
            for (int j = 0; j < dv; j++)
                e->state[(size_t)h * e->state_floats + (size_t)i * (size_t)e->vstride + (size_t)j] =
                    gdn_plain_nan((float)gdn_round(&gdn_formats[recipe->state], *from++));
}

static gdn_status engine_open(void **self, const gdn_setup *setup, gdn_error *err)
{
    const gdn_recipe *recipe = setup->recipe;
    *self = NULL;
    gdn_status status = gdn_chunked_check(setup, err);
    if (!status && recipe->math != GDN_MATH_PORTABLE)
        status = gdn_fail(err, GDN_BAD_INPUT, "recipe %s: math %s runs on a GPU only", recipe->name,
                          gdn_math_names[recipe->math]);
    if (status)
        return status;
    engine *e = gdn_calloc(1, sizeof *e);
    if (!e)
        return gdn_no_memory(err, "a chunked engine");
    e->s = *setup;
    e->recipe = gdn_recipe_on(recipe, &setup->params);
    e->s.recipe = &e->recipe;
    e->rows = (setup->shape.dk + 15) / 16 * 16;
    e->kstride = gdn_chunked_stride(setup->shape.dk);
    e->vstride = gdn_chunked_stride(setup->shape.dv);
    status = allocate(e, err);
    if (status) {
        engine_close(e);
        return status;
    }
    fill(e);
    *self = e;
    return GDN_OK;
}

/* g and beta of head h, tokens t .. t + n - 1 of the block; g and alpha are written where wanted. */
static void gates(engine *e, const gdn_block *in, const gdn_outputs *out, int h, int t, int n)
{
    gdn_gate gate[GDN_CHUNK];
    gdn_gate_tokens(&e->s, e->rate[h], in, out, h, t, n, gate, e->beta);
    for (int x = 0; x < n; x++)
        e->g[x] = gdn_plain_nan(gdn_chunked_log_decay(e->s.params.alpha, &gate[x]));
}

/* Tokens t .. t + n - 1 of the block for head h: rows of one chunk, which ends with them when `ends`. */
static void chunk_rows(engine *e, const gdn_block *in, const gdn_outputs *out, int h, int t, int row, int n,
                       bool ends)
{
    static void (*const run[GDN_ISAS])(const gdn_chunked_head *) = {
        gdn_chunked_rows_scalar,
#if defined(__x86_64__)
        gdn_chunked_rows_avx2,
        gdn_chunked_rows_avx512,
#endif
    };
    static void (*const close[GDN_ISAS])(const gdn_chunked_head *, float *) = {
        gdn_chunked_state_scalar,
#if defined(__x86_64__)
        gdn_chunked_state_avx2,
        gdn_chunked_state_avx512,
#endif
    };
    size_t dk = (size_t)e->s.shape.dk, dv = (size_t)e->s.shape.dv;
    size_t at = (size_t)h * (size_t)in->tokens + (size_t)t;
    float *state = e->state + (size_t)h * e->state_floats;
    gdn_chunked_head c = {.recipe = e->s.recipe,
                          .dk = (int)dk,
                          .dv = (int)dv,
                          .from = row,
                          .n = n,
                          .scale = gdn_scale_of(&e->s.params, (int)dk),
                          .q = in->q + at * dk,
                          .k = in->k + at * dk,
                          .v = in->v + at * dv,
                          .z = in->z ? in->z + at * dv : NULL,
                          .g = e->g,
                          .beta = e->beta,
                          .w = e->w,
                          .state = state,
                          .o = out->o ? out->o + at * dv : NULL,
                          .y = out->y ? out->y + at * dv : NULL,
                          .counts = e->s.counts};
    lay_chunk(e, row == 0 && ends ? e->whole : e->open + (size_t)h * e->chunk_floats, &c.chunk);
    lay_scratch(e, e->scratch, &c.scratch);
    run[gdn_isa_best()](&c);
    c.from += n;
    if (ends)
        close[gdn_isa_best()](&c, state);
}

/* The norms; kernels/chunked_tile.c counts the rest. */
static void count_norms(const engine *e, double tokens, bool normed, gdn_counts *counts)
{
    gdn_l2_norm_count(e->s.recipe, 2 * tokens, e->s.shape.dk, false, counts);
    if (normed)
        gdn_out_norm_count(tokens, e->s.shape.dv, counts);
}

static gdn_status engine_advance(void *self, const gdn_block *in, const gdn_outputs *out, gdn_error *err)
{
    engine *e = self;
    size_t H = (size_t)e->s.shape.heads;
    int left = (int)((in->first + in->tokens - 1) % GDN_CHUNK); /* rows of the chunk that stays unfinished */
    if (e->s.recurrence && !e->open && left > 0) {
        e->open = gdn_calloc(H * e->chunk_floats, sizeof *e->open);
        if (!e->open)
            return gdn_no_memory(err, "unfinished chunks");
    }
    int row = 0;
    for (int h = 0; h < e->s.shape.heads; h++) {
        row = e->filled;
        for (int t = 0; t < in->tokens;) {
            int to_end = GDN_CHUNK - (int)((in->first + t - 1) % GDN_CHUNK);
            int n = in->tokens - t < to_end ? in->tokens - t : to_end;
            gates(e, in, out, h, t, n);
            if (e->s.recurrence)
                chunk_rows(e, in, out, h, t, row, n, n == to_end);
            row = n == to_end ? 0 : row + n;
            t += n;
        }
    }
    e->filled = row;
    if (e->s.counts && e->s.recurrence)
        count_norms(e, (double)H * in->tokens, out->y, e->s.counts);
    return GDN_OK;
}

static gdn_status engine_read_state(void *self, double *hi, double *lo, gdn_error *err)
{
    static void (*const close[GDN_ISAS])(const gdn_chunked_head *, float *) = {
        gdn_chunked_state_scalar,
#if defined(__x86_64__)
        gdn_chunked_state_avx2,
        gdn_chunked_state_avx512,
#endif
    };
    (void)lo;
    engine *e = self;
    float *copy = gdn_calloc(e->state_floats, sizeof *copy);
    if (!copy)
        return gdn_no_memory(err, "a state");
    gdn_chunked_head c = {.recipe = e->s.recipe, .dk = e->s.shape.dk, .dv = e->s.shape.dv, .from = e->filled};
    for (int h = 0; h < e->s.shape.heads; h++) {
        const float *state = c.state = e->state + (size_t)h * e->state_floats;
        if (e->filled > 0) {
            lay_chunk(e, e->open + (size_t)h * e->chunk_floats, &c.chunk);
            lay_scratch(e, e->scratch, &c.scratch);
            close[gdn_isa_best()](&c, copy);
            state = copy;
        }
        for (int i = 0; i < e->s.shape.dk; i++)
            for (int j = 0; j < e->s.shape.dv; j++)
                *hi++ = state[(size_t)i * (size_t)e->vstride + (size_t)j];
    }
    free(copy);
    return GDN_OK;
}

const gdn_engine gdn_chunked_engine = {
    .name = "chunked",
    .summary = "the chunked recipes in portable arithmetic",
    .pairs = false,
    .open = engine_open,
    .advance = engine_advance,
    .read_state = engine_read_state,
    .close = engine_close,
};
