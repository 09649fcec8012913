/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recurrent_tile -- the recurrence of one head, sixteen value columns at a time; compiled per instruction
 * set.
 *
 * Order of operations (part of the definition; the same on a GPU): row i of the state belongs to partial
 * (i / 4) mod 4; each partial adds its rows in order of i; a dot product is (p0 + p1) + (p2 + p3). Rows are
 * padded with zero q^ and k^ to a multiple of 16, which adds exact zeros. In fp32 products are fused into the
 * sums; in bf16 every product and sum is rounded.
 */
#include "kernels/recurrent.h"

#include "base/inputs.h"
#include "base/simd.h"
#include "kernels/norm.h"

/* How a tile computes (arith) and how its state rests (store); constants in each instance below. */
enum { ARITH_FP32, ARITH_BF16 };
enum { STORE_NONE, STORE_BF16, STORE_BF16_STOCHASTIC, STORE_ANY, STORE_ANY_STOCHASTIC };

/* Sixteen floats rounded to bf16, nearest-even; NaN stays NaN. */
GDN_INLINE gdn_vf round_bf16(gdn_vf x)
{
    gdn_vu u = (gdn_vu)x, nan = (gdn_vu)(x != x);
    gdn_vu r = (u + 0x7fffu + ((u >> 16) & 1u)) & 0xffff0000u;
    return (gdn_vf)((r & ~nan) | ((u | 0x400000u) & 0xffff0000u & nan));
}

/* Sixteen floats rounded to bf16, up when the sixteen discarded bits plus r overflow. Infinity and NaN stay.
 */
GDN_INLINE gdn_vf round_bf16_stochastic(gdn_vf x, gdn_vu r)
{
    gdn_vu u = (gdn_vu)x, special = (gdn_vu)((u & 0x7f800000u) == 0x7f800000u),
           low = (gdn_vu)((u & 0xffffu) != 0);
    gdn_vu up = (u + r) & 0xffff0000u;
    return (gdn_vf)((up & ~special) | ((u | (low & 0x400000u)) & 0xffff0000u & special));
}

GDN_INLINE gdn_vf rnd(int arith, gdn_vf x)
{
    return arith == ARITH_BF16 ? round_bf16(x) : x;
}

/* a b + c in the arithmetic of the tile. */
GDN_INLINE gdn_vf muladd(int arith, gdn_vf a, gdn_vf b, gdn_vf c)
{
    return arith == ARITH_BF16 ? round_bf16(round_bf16(a * b) + c) : gdn_vf_fma(a, b, c);
}

/* Sixteen 16-bit random numbers for row i of token t: a function of (seed, head, t, i, column). */
GDN_INLINE gdn_vu random_row(const gdn_recurrent_head *c, int64_t t, int i, int tile)
{
    uint64_t octets = (uint64_t)(c->dv + 7) / 8, row = (uint64_t)t * (uint64_t)c->dk + (uint64_t)i;
    gdn_vu r;
    for (int half = 0; half < 2; half++) {
        uint32_t w[4];
        gdn_random(c->seed, GDN_STREAM_STATE_ROUNDING, c->head, row * octets + (uint64_t)(2 * tile + half),
                   w);
        for (int j = 0; j < 4; j++) {
            r[8 * half + 2 * j] = w[j] & 0xffffu;
            r[8 * half + 2 * j + 1] = w[j] >> 16;
        }
    }
    return r;
}

/* The state of one row as it rests until the next token. */
GDN_INLINE gdn_vf rest(int store, const gdn_recurrent_head *c, gdn_vf s, int64_t t, int i, int tile)
{
    const gdn_format *f = &gdn_formats[c->recipe->state];
    gdn_vu r = {0};
    if (store == STORE_BF16_STOCHASTIC || store == STORE_ANY_STOCHASTIC)
        r = random_row(c, t, i, tile);
    switch (store) {
    case STORE_BF16:
        return round_bf16(s);
    case STORE_BF16_STOCHASTIC:
        return round_bf16_stochastic(s, r);
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

/* S: [rows][16] of one tile; qn, kn: [n][rows]; vt: [n][dv] from the tile's first column on; out: [n][ldo].
 */
GDN_INLINE void tile_advance(int arith, int store, const gdn_recurrent_head *c, int tile, gdn_vf *S, int rows,
                             float *out, int ldo)
{
    int left = c->dv - GDN_VF * tile, width = left < GDN_VF ? left : GDN_VF;
    for (int t = 0; t < c->n; t++) {
        const float *k = c->kn + (size_t)t * (size_t)rows, *q = c->qn + (size_t)t * (size_t)rows;
        gdn_vf alpha = gdn_vf_set(c->alpha[t]), p[4] = {{0}};
        for (int i = 0; i < rows; i += 16)
            for (int g = 0; g < 4; g++)
                for (int x = 0; x < 4; x++) {
                    int row = i + 4 * g + x;
                    S[row] = rnd(arith, alpha * S[row]);
                    p[g] = muladd(arith, gdn_vf_set(k[row]), S[row], p[g]);
                }
        gdn_vf recall = rnd(arith, rnd(arith, p[0] + p[1]) + rnd(arith, p[2] + p[3]));
        gdn_vf v = {0};
        for (int j = 0; j < width; j++)
            v[j] = c->v[(size_t)t * (size_t)c->dv + (size_t)(GDN_VF * tile + j)];
        gdn_vf delta = rnd(arith, gdn_vf_set(c->beta[t]) * rnd(arith, v - recall));
        p[0] = p[1] = p[2] = p[3] = (gdn_vf){0};
        for (int i = 0; i < rows; i += 16)
            for (int g = 0; g < 4; g++)
                for (int x = 0; x < 4; x++) {
                    int row = i + 4 * g + x;
                    gdn_vf s = muladd(arith, gdn_vf_set(k[row]), delta, S[row]);
                    p[g] = muladd(arith, gdn_vf_set(q[row]), s, p[g]);
                    S[row] = rest(store, c, s, c->first + t, row, tile);
                }
        gdn_vf o = rnd(arith, rnd(arith, p[0] + p[1]) + rnd(arith, p[2] + p[3]));
        memcpy(out + (size_t)t * (size_t)ldo, &o, sizeof o);
    }
}

/* One function per (arith, store) in use; the table below picks it. */
#define INSTANCE(name, arith, store)                                                                         \
    static void name(const gdn_recurrent_head *c, int tile, gdn_vf *S, int rows, float *out, int ldo)        \
    {                                                                                                        \
        tile_advance(arith, store, c, tile, S, rows, out, ldo);                                              \
    }

INSTANCE(fp32_plain, ARITH_FP32, STORE_NONE)
INSTANCE(fp32_bf16, ARITH_FP32, STORE_BF16)
INSTANCE(fp32_bf16_stochastic, ARITH_FP32, STORE_BF16_STOCHASTIC)
INSTANCE(fp32_any, ARITH_FP32, STORE_ANY)
INSTANCE(fp32_any_stochastic, ARITH_FP32, STORE_ANY_STOCHASTIC)
INSTANCE(bf16_plain, ARITH_BF16, STORE_NONE)
INSTANCE(bf16_any, ARITH_BF16, STORE_ANY)
INSTANCE(bf16_any_stochastic, ARITH_BF16, STORE_ANY_STOCHASTIC)

typedef void (*tile_function)(const gdn_recurrent_head *, int, gdn_vf *, int, float *, int);

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

void GDN_ISA_NAME(gdn_recurrent_head)(const gdn_recurrent_head *c)
{
    int rows = (c->dk + 15) / 16 * 16, tiles = (c->dv + GDN_VF - 1) / GDN_VF, ldo = tiles * GDN_VF;
    for (int t = 0; t < c->n; t++) {
        size_t from = (size_t)t * (size_t)c->dk, to = (size_t)t * (size_t)rows;
        gdn_l2_norm(c->recipe, c->k + from, c->dk, 1, c->kn + to);
        gdn_l2_norm(c->recipe, c->q + from, c->dk, 1 / __builtin_sqrt((double)c->dk), c->qn + to);
    }
    tile_function run = choose(c->recipe);
    for (int j = 0; j < tiles; j++)
        run(c, j, (gdn_vf *)(void *)c->state + (size_t)j * (size_t)rows, rows, c->otile + GDN_VF * j, ldo);

    const gdn_format *f = &gdn_formats[c->recipe->output];
    for (int t = 0; t < c->n; t++) {
        float *row = c->otile + (size_t)t * (size_t)ldo;
        size_t at = (size_t)t * (size_t)c->dv;
        for (int j = 0; j < c->dv; j++) {
            row[j] = (float)gdn_round(f, row[j]);
            if (c->o)
                c->o[at + (size_t)j] = row[j];
        }
        if (c->y)
            gdn_out_norm(c->recipe, row, c->z + at, c->w, c->dv, c->y + at);
    }
}
