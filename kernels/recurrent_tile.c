/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recurrent_tile -- the recurrence of one head, sixteen value columns at a time; compiled per instruction
 * set.
 *
 * recurrent_step.h has the arithmetic and the order of the sums. Rows are padded with zero q^ and k^ to a
 * multiple of 16.
 */
#include "kernels/recurrent.h"

#include "base/simd.h"
#include "kernels/norm.h"

/* How the state of a tile rests (store); with arith a constant in each instance below. */
enum { TILE = GDN_RECURRENT_TILE };
enum { STORE_NONE, STORE_BF16, STORE_BF16_STOCHASTIC, STORE_ANY, STORE_ANY_STOCHASTIC };

/*
 * Floats rounded to bf16, nearest-even. The carry of a NaN's low bits could run into its sign; a NaN that
 * arithmetic made has none, and those that come in are replaced by such a one (gdn_plain_nan).
 */
GDN_INLINE gdn_vf round_bf16(gdn_vf x)
{
    gdn_vu u = (gdn_vu)x;
    return (gdn_vf)((u + 0x7fffu + ((u >> 16) & 1u)) & 0xffff0000u);
}

/* Floats rounded to bf16, up when the sixteen discarded bits plus r overflow. Infinity and NaN have none. */
GDN_INLINE gdn_vf round_bf16_stochastic(gdn_vf x, gdn_vu r)
{
    return (gdn_vf)(((gdn_vu)x + r) & 0xffff0000u);
}

typedef gdn_vf gdn_real;

/* x rounded in the arithmetic of the tile. */
GDN_INLINE gdn_real rnd(int arith, gdn_real x)
{
    return arith == GDN_ARITH_BF16 ? round_bf16(x) : x;
}

GDN_INLINE gdn_real gdn_step_mul(int arith, gdn_real a, gdn_real b)
{
    return rnd(arith, a * b);
}

GDN_INLINE gdn_real gdn_step_add(int arith, gdn_real a, gdn_real b)
{
    return rnd(arith, a + b);
}

GDN_INLINE gdn_real gdn_step_sub(int arith, gdn_real a, gdn_real b)
{
    return rnd(arith, a - b);
}

GDN_INLINE gdn_real gdn_step_muladd(int arith, gdn_real a, gdn_real b, gdn_real c)
{
    return arith == GDN_ARITH_BF16 ? round_bf16(round_bf16(a * b) + c) : gdn_vf_fma(a, b, c);
}

#include "kernels/recurrent_step.h"

/*
 * 16-bit random numbers for rows row0 .. row0 + 15 of a tile at position t, [16][16]. Written out lane by
 * lane, 32 draws at a time, so that compilers vectorise it.
 */
GDN_INLINE void random_rows(const gdn_recurrent_head *c, int64_t t, int row0, int tile,
                            uint16_t out[16][TILE])
{
    enum { DRAWS = 32 };
    uint32_t x0[DRAWS], x1[DRAWS], x2[DRAWS], x3[DRAWS];
    for (int l = 0; l < DRAWS; l++) {
        uint64_t index = gdn_step_draw_index(t, c->dk, row0 + l / 2, c->dv, 2 * tile + l % 2);
        x0[l] = (uint32_t)index;
        x1[l] = (uint32_t)(index >> 32);
        x2[l] = c->head;
        x3[l] = GDN_STREAM_STATE_ROUNDING;
    }
    uint32_t key0 = (uint32_t)c->seed, key1 = (uint32_t)(c->seed >> 32);
    for (int round = 0; round < GDN_PHILOX_ROUNDS; round++) {
        for (int l = 0; l < DRAWS; l++)
            gdn_philox_round(&x0[l], &x1[l], &x2[l], &x3[l], key0, key1);
        key0 += GDN_PHILOX_KEY0;
        key1 += GDN_PHILOX_KEY1;
    }
    for (int l = 0; l < DRAWS; l++) {
        const uint32_t w[4] = {x0[l], x1[l], x2[l], x3[l]};
        memcpy(out[l / 2] + l % 2 * 8, w, sizeof w); /* low half first: little-endian, as everything here */
    }
}

/* The state of a row as it rests until the next token; r: random numbers where rounding is stochastic. */
GDN_INLINE gdn_vf rest(int store, const gdn_format *f, gdn_vf s, const uint16_t *r)
{
    gdn_vu random;
    uint16_t halves __attribute__((vector_size(2 * GDN_VF)));
    switch (store) {
    case STORE_BF16:
        return round_bf16(s);
    case STORE_BF16_STOCHASTIC:
        memcpy(&halves, r, sizeof halves);
        random = __builtin_convertvector(halves, gdn_vu);
        return round_bf16_stochastic(s, random);
    case STORE_ANY:
        for (int j = 0; j < GDN_VF; j++)
            s[j] = (float)gdn_round(f, s[j]);
        return s;
    case STORE_ANY_STOCHASTIC:
        for (int j = 0; j < GDN_VF; j++)
            s[j] = (float)gdn_round_stochastic(f, s[j], r[j]);
        return s;
    default:
        return s;
    }
}

GDN_INLINE gdn_vf load(const float *p)
{
    gdn_vf x;
    memcpy(&x, p, sizeof x);
    return x;
}

GDN_INLINE void store_to(float *p, gdn_vf x)
{
    memcpy(p, &x, sizeof x);
}

/* S: [rows][16] of one tile; v, out: [n][ld] from the tile's first column on. */
GDN_INLINE void tile_advance(int arith, int store, const gdn_recurrent_head *c, int tile, float *S, int rows,
                             const float *v, float *out, int ld)
{
    const gdn_format *f = &gdn_formats[c->recipe->state];
    bool stochastic = store == STORE_BF16_STOCHASTIC || store == STORE_ANY_STOCHASTIC;
    uint16_t random[16][TILE];
    for (int t = 0; t < c->n; t++) {
        const float *k = c->kn + (size_t)t * (size_t)rows, *q = c->qn + (size_t)t * (size_t)rows;
        gdn_vf delta[TILE / GDN_VF], o[TILE / GDN_VF][4];
        for (int y = 0; y < TILE / GDN_VF; y++) {
            gdn_vf alpha = gdn_vf_set(c->alpha[t]), p[4] = {{0}};
            for (int i = 0; i < rows; i += 16)
                for (int g = 0; g < 4; g++)
                    for (int x = 0; x < 4; x++) {
                        int row = i + 4 * g + x;
                        float *s = S + row * TILE + y * GDN_VF;
                        gdn_vf decayed = load(s);
                        gdn_step_decay(arith, alpha, &decayed);
                        gdn_step_recall(arith, gdn_vf_set(k[row]), decayed, &p[g]);
                        store_to(s, decayed);
                    }
            delta[y] = gdn_step_delta(arith, load(v + (size_t)t * (size_t)ld + y * GDN_VF),
                                      gdn_step_sum(arith, p[0], p[1], p[2], p[3]), gdn_vf_set(c->beta[t]));
            o[y][0] = o[y][1] = o[y][2] = o[y][3] = (gdn_vf){0};
        }
        for (int i = 0; i < rows; i += 16) {
            if (stochastic)
                random_rows(c, c->first + t, i, tile, random);
            for (int y = 0; y < TILE / GDN_VF; y++) {
                gdn_vf p[4] = {o[y][0], o[y][1], o[y][2], o[y][3]};
                for (int g = 0; g < 4; g++)
                    for (int x = 0; x < 4; x++) {
                        int row = i + 4 * g + x;
                        float *at = S + row * TILE + y * GDN_VF;
                        gdn_vf s = load(at);
                        gdn_step_write(arith, gdn_vf_set(k[row]), delta[y], gdn_vf_set(q[row]), &s, &p[g]);
                        store_to(at, rest(store, f, s, random[4 * g + x] + y * GDN_VF));
                    }
                for (int g = 0; g < 4; g++)
                    o[y][g] = p[g];
            }
        }
        for (int y = 0; y < TILE / GDN_VF; y++)
            store_to(out + (size_t)t * (size_t)ld + y * GDN_VF,
                     gdn_step_sum(arith, o[y][0], o[y][1], o[y][2], o[y][3]));
    }
}

/* One function per (arith, store) in use; the table below picks it. */
#define INSTANCE(name, arith, store)                                                                         \
    static void name(const gdn_recurrent_head *c, int tile, float *S, int rows, const float *v, float *out,  \
                     int ld)                                                                                 \
    {                                                                                                        \
        tile_advance(arith, store, c, tile, S, rows, v, out, ld);                                            \
    }

INSTANCE(fp32_plain, GDN_ARITH_FP32, STORE_NONE)
INSTANCE(fp32_bf16, GDN_ARITH_FP32, STORE_BF16)
INSTANCE(fp32_bf16_stochastic, GDN_ARITH_FP32, STORE_BF16_STOCHASTIC)
INSTANCE(fp32_any, GDN_ARITH_FP32, STORE_ANY)
INSTANCE(fp32_any_stochastic, GDN_ARITH_FP32, STORE_ANY_STOCHASTIC)
INSTANCE(bf16_plain, GDN_ARITH_BF16, STORE_NONE)
INSTANCE(bf16_any, GDN_ARITH_BF16, STORE_ANY)
INSTANCE(bf16_any_stochastic, GDN_ARITH_BF16, STORE_ANY_STOCHASTIC)

typedef void (*tile_function)(const gdn_recurrent_head *, int, float *, int, const float *, float *, int);

static const struct {
    gdn_format_id op, state;
    gdn_rounding rounding;
    tile_function run;
} special[] = {
    {GDN_FP32, GDN_FP32, GDN_NEAREST, fp32_plain}, {GDN_FP32, GDN_FP32, GDN_STOCHASTIC, fp32_plain},
    {GDN_FP32, GDN_BF16, GDN_NEAREST, fp32_bf16},  {GDN_FP32, GDN_BF16, GDN_STOCHASTIC, fp32_bf16_stochastic},
    {GDN_BF16, GDN_BF16, GDN_NEAREST, bf16_plain}, {GDN_BF16, GDN_BF16, GDN_STOCHASTIC, bf16_plain},
};

static tile_function choose(const gdn_recipe *r)
{
    static const tile_function any[2][GDN_ROUNDINGS] = {{fp32_any, fp32_any_stochastic},
                                                        {bf16_any, bf16_any_stochastic}};
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++)
        if (special[i].op == r->op && special[i].state == r->state &&
            special[i].rounding == r->state_rounding)
            return special[i].run;
    return any[r->op == GDN_BF16][r->state_rounding];
}

/* Rows of v in the recipe's input format, padded to whole tiles. v: [n][dv], out: [n][ld]. */
static void pad_values(const gdn_recurrent_head *c, float *out, int ld)
{
    for (int t = 0; t < c->n; t++, out += ld) {
        for (int j = 0; j < ld; j++)
            out[j] = j < c->dv ? gdn_plain_nan(c->v[(size_t)t * (size_t)c->dv + (size_t)j]) : 0;
        gdn_row_round(c->recipe->input, out, c->dv);
    }
}

void GDN_ISA_NAME(gdn_recurrent_head)(const gdn_recurrent_head *c)
{
    int rows = (c->dk + 15) / 16 * 16, tiles = (c->dv + TILE - 1) / TILE, ld = tiles * TILE;
    for (int t = 0; t < c->n; t++) {
        size_t from = (size_t)t * (size_t)c->dk, to = (size_t)t * (size_t)rows;
        gdn_l2_norm(c->recipe, c->k + from, c->dk, 1, c->kn + to);
        gdn_l2_norm(c->recipe, c->q + from, c->dk, c->scale, c->qn + to);
    }
    pad_values(c, c->vtile, ld);
    tile_function run = choose(c->recipe);
    for (int j = 0; j < tiles; j++)
        run(c, j, c->state + (size_t)j * (size_t)(rows * TILE), rows, c->vtile + TILE * j,
            c->otile + TILE * j, ld);

    for (int t = 0; t < c->n; t++) {
        float *row = c->otile + t * ld;
        size_t at = (size_t)t * (size_t)c->dv;
        gdn_row_round(c->recipe->output, row, c->dv);
        for (int j = 0; c->o && j < c->dv; j++)
            c->o[at + (size_t)j] = row[j];
        if (c->y)
            gdn_out_norm(c->recipe, row, c->z + at, c->w, c->dv, c->y + at);
    }
}
