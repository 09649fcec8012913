/* SPDX-License-Identifier: Apache-2.0 */
/* decode -- prefill by chunks, then token by token; see decode.h. */
#include "kernels/decode.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/chunked.h"
#include "kernels/recurrent.h"

typedef struct engine {
    const gdn_decode_place *place;
    gdn_setup s;
    gdn_recipe prefill, decode; /* what the halves are opened on */
    double *cache;              /* [H][dk][dv] the state handed over, before its rounding */
    const gdn_engine *engine;   /* the half at work; with a self that is NULL where it failed to open */
    void *self;
} engine;

static gdn_status open_half(engine *e, const gdn_engine *half, const gdn_recipe *recipe, const double *state0,
                            gdn_error *err)
{
    gdn_setup setup = e->s;
    setup.recipe = recipe;
    setup.state0 = state0;
    e->engine = half;
    return half->open(&e->self, &setup, err);
}

gdn_status gdn_decode_open(void **self, const gdn_setup *setup, const gdn_decode_place *place, gdn_error *err)
{
    const gdn_recipe *r = setup->recipe;
    *self = NULL;
    if (setup->columns)
        return gdn_fail(err, GDN_BAD_INPUT, "the prefill-decode engine runs all value columns, not a sample");
    if (r->prefill < 0)
        return gdn_fail(err, GDN_BAD_INPUT, "recipe %s: prefill is %lld tokens; 0 is the least", r->name,
                        (long long)r->prefill);
    engine *e = gdn_calloc(1, sizeof *e);
    if (!e)
        return gdn_no_memory(err, "a prefill-decode engine");
    e->place = place;
    e->s = *setup;
    e->prefill = e->decode = *r;
    e->prefill.state = GDN_FP32;
    e->prefill.state_rounding = GDN_NEAREST;
    e->decode.qk = GDN_FP32;
    e->decode.softplus = GDN_SOFTPLUS_LOG_EXP;
    gdn_status status = open_half(e, place->prefill, &e->prefill, setup->state0, err);
    if (status)
        gdn_decode_close(e);
    else
        *self = e;
    return status;
}

/* The recurrent form takes over, from state0. */
static gdn_status reopen(engine *e, const double *state0, gdn_error *err)
{
    e->engine->close(e->self);
    e->self = NULL;
    return open_half(e, e->place->decode, &e->decode, state0, err);
}

/* The state moves over to the recurrent form, which rounds it into the cache. */
static gdn_status hand_over(engine *e, gdn_error *err)
{
    if (!e->s.recurrence) /* the decay gate alone has no state */
        return reopen(e, NULL, err);
    const gdn_decode_place *place = e->place;
    const gdn_shape *shape = &e->s.shape;
    size_t n = (size_t)shape->heads * (size_t)shape->dk * (size_t)shape->dv;
    void *state = NULL;
    e->cache = gdn_calloc(n, sizeof *e->cache);
    if (!e->cache)
        return gdn_no_memory(err, "the state at the hand-over");
    gdn_status status = place->alloc(&state, n, sizeof(double), "the state at the hand-over", err);
    if (!status)
        status = e->engine->read_state(e->self, state, NULL, err);
    if (!status)
        status = place->to_host(e->cache, state, n * sizeof(double), err);
    place->release(state);
    return status ? status : reopen(e, e->cache, err);
}

/* ---- halves of a block ---- */

enum { INPUTS = 8, OUTPUTS = 4 };

/* The arrays of a block and of its outputs, with so many numbers a token. */
typedef struct arrays {
    const float **in[INPUTS];
    double **out[OUTPUTS];
    size_t in_width[INPUTS], out_width[OUTPUTS];
} arrays;

static arrays arrays_of(gdn_block *b, gdn_outputs *o, const gdn_shape *shape)
{
    size_t dk = (size_t)shape->dk, dv = (size_t)shape->dv;
    return (arrays){.in = {&b->q, &b->k, &b->v, &b->z, &b->a, &b->g, &b->b, &b->beta},
                    .in_width = {dk, dk, dv, dv, 1, 1, 1, 1},
                    .out = {&o->g, &o->alpha, &o->o, &o->y},
                    .out_width = {1, 1, dv, dv}};
}

/* Advance over tokens t .. t + n - 1 of a block, by way of arrays of these tokens alone. */
static gdn_status advance_part(engine *e, const gdn_block *in, const gdn_outputs *out, int t, int n,
                               gdn_error *err)
{
    const gdn_decode_place *place = e->place;
    const size_t H = (size_t)e->s.shape.heads, all = (size_t)in->tokens, from = (size_t)t, some = (size_t)n;
    gdn_block whole_in = *in, part_in = {.first = in->first + t, .tokens = n};
    gdn_outputs whole_out = *out, part_out = {0};
    arrays whole = arrays_of(&whole_in, &whole_out, &e->s.shape),
           part = arrays_of(&part_in, &part_out, &e->s.shape);
    void *room[INPUTS + OUTPUTS] = {NULL};
    gdn_status status = GDN_OK;
    for (int i = 0; i < INPUTS && !status; i++) {
        size_t token = whole.in_width[i] * sizeof(float);
        if (!*whole.in[i])
            continue;
        status = place->alloc(&room[i], H * some, token, "half a block", err);
        if (!status)
            status = place->copy(room[i], some * token, *whole.in[i] + from * whole.in_width[i], all * token,
                                 some * token, H, err);
        *part.in[i] = room[i];
    }
    for (int i = 0; i < OUTPUTS && !status; i++)
        if (*whole.out[i]) {
            status = place->alloc(&room[INPUTS + i], H * some, whole.out_width[i] * sizeof(double),
                                  "half a block", err);
            *part.out[i] = room[INPUTS + i];
        }
    if (!status)
        status = e->engine->advance(e->self, &part_in, &part_out, err);
    for (int i = 0; i < OUTPUTS && !status; i++) {
        size_t token = whole.out_width[i] * sizeof(double);
        if (*whole.out[i])
            status = place->copy(*whole.out[i] + from * whole.out_width[i], all * token, *part.out[i],
                                 some * token, some * token, H, err);
    }
    for (int i = 0; i < INPUTS + OUTPUTS; i++)
        place->release(room[i]);
    return status;
}

gdn_status gdn_decode_advance(void *self, const gdn_block *in, const gdn_outputs *out, gdn_error *err)
{
    engine *e = self;
    if (e->engine == e->place->decode)
        return e->engine->advance(e->self, in, out, err);
    int64_t left = e->prefill.prefill - (in->first - 1);
    int n = left < 0 ? 0 : left < in->tokens ? (int)left : in->tokens; /* tokens that are still prefill */
    gdn_status status = GDN_OK;
    if (n == in->tokens)
        status = e->engine->advance(e->self, in, out, err);
    else if (n > 0)
        status = advance_part(e, in, out, 0, n, err);
    if (!status && left <= in->tokens)
        status = hand_over(e, err);
    if (!status && n == 0)
        status = e->engine->advance(e->self, in, out, err);
    else if (!status && n < in->tokens)
        status = advance_part(e, in, out, n, in->tokens - n, err);
    return status;
}

gdn_status gdn_decode_read_state(void *self, double *hi, double *lo, gdn_error *err)
{
    const engine *e = self;
    return e->engine->read_state(e->self, hi, lo, err);
}

void gdn_decode_close(void *self)
{
    engine *e = self;
    if (!e)
        return;
    e->engine->close(e->self);
    free(e->cache);
    free(e);
}

/* ---- on the CPU ---- */

static gdn_status cpu_alloc(void **p, size_t count, size_t size, const char *what, gdn_error *err)
{
    *p = gdn_calloc(count, size);
    return *p ? GDN_OK : gdn_no_memory(err, what);
}

static gdn_status cpu_copy(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t bytes,
                           size_t rows, gdn_error *err)
{
    (void)err;
    for (size_t r = 0; r < rows; r++)
        memcpy((char *)to + r * to_pitch, (const char *)from + r * from_pitch, bytes);
    return GDN_OK;
}

static gdn_status cpu_to_host(void *to, const void *from, size_t bytes, gdn_error *err)
{
    (void)err;
    memcpy(to, from, bytes);
    return GDN_OK;
}

static gdn_status cpu_open(void **self, const gdn_setup *setup, gdn_error *err)
{
    static const gdn_decode_place cpu = {
        &gdn_chunked_engine, &gdn_recurrent_engine, cpu_alloc, free, cpu_copy, cpu_to_host};
    return gdn_decode_open(self, setup, &cpu, err);
}

const gdn_engine gdn_decode_engine = {
    .name = "prefill-decode",
    .summary = "the chunked form, then the recurrent form from the state cache, in portable arithmetic",
    .pairs = false,
    .open = cpu_open,
    .advance = gdn_decode_advance,
    .read_state = gdn_decode_read_state,
    .close = gdn_decode_close,
};
