/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fp64_tile -- the double inner loops.
 *
 *     d = beta (v - alpha (k^ . S))        S <- alpha S + k^ d        o = q^ . S
 *
 * k^ and q^ are the double-double values rounded once. One pass over the state a token updates S, sums q^ . S
 * and already sums k^ . S for the next token.
 *
 * Order of operations, part of the definition of the result:
 *   - Lanes are value columns; they never mix.
 *   - A sum over rows has 8 partial sums; number p takes rows p, p + 8, p + 16, ... in this order by fma. A
 *     butterfly adds them: p with p ^ 1, then ^ 2, ^ 4.
 *   - d = beta fma(-alpha, k^ . S, v); S <- fma(k^, d, alpha S).
 *   - The mean of o^2 has 8 partial sums over columns j, j + 8, ... by fma, added in the same way.
 */
#include "reference/tile.h"

enum { SUMS = 8 };

GDN_INLINE gdn_lanes butterfly(const gdn_lanes *x)
{
    return ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
}

/* One pass: update S, *o <- q . S, *r <- next . S; next is NULL after the last token. state: at the first
 * lane. */
GDN_INLINE void pass(double *state, int rows, const double *k, const double *q, const double *next,
                     gdn_lanes alpha, gdn_lanes d, gdn_lanes *o, gdn_lanes *r)
{
    gdn_lanes os[SUMS], rs[SUMS];
    for (int p = 0; p < SUMS; p += GDN_FLIGHT) {
        gdn_lanes osum[GDN_FLIGHT], rsum[GDN_FLIGHT], S[GDN_FLIGHT], x[GDN_FLIGHT];
        GDN_EACH osum[f] = rsum[f] = gdn_ddv_splat(0.0);
        for (int i = p; i < rows; i += SUMS) {
            double *s = state + GDN_TILE * i;
            GDN_EACH S[f] = gdn_lanes_load(s + GDN_TILE * f);
            GDN_EACH x[f] = gdn_ddv_splat(k[i + f]);
            gdn_ddv_forget_short(S, alpha);
            gdn_ddv_add_product_short(S, x, d);
            GDN_EACH gdn_lanes_store(s + GDN_TILE * f, S[f]);
            GDN_EACH x[f] = gdn_ddv_splat(q[i + f]);
            gdn_ddv_dot_short(osum, x, S);
            if (!next)
                continue;
            GDN_EACH x[f] = gdn_ddv_splat(next[i + f]);
            gdn_ddv_dot_short(rsum, x, S);
        }
        GDN_EACH os[p + f] = osum[f];
        GDN_EACH rs[p + f] = rsum[f];
    }
    *o = butterfly(os);
    if (next)
        *r = butterfly(rs);
}

/* k . S of the first token of a run: as within a pass. */
GDN_INLINE gdn_lanes first_dot(const double *state, int rows, const double *k)
{
    gdn_lanes sums[SUMS];
    for (int p = 0; p < SUMS; p++) {
        sums[p] = gdn_ddv_splat(0.0);
        for (int i = p; i < rows; i += SUMS)
            sums[p] = gdn_ddv_fma(gdn_ddv_splat(k[i]), gdn_lanes_load(state + GDN_TILE * i), sums[p]);
    }
    return butterfly(sums);
}

static void tile(const gdn_tile *x)
{
    for (int c = 0; c < GDN_TILE; c += GDN_LANES) {
        gdn_lanes o, r = first_dot(x->state + c, x->rows, x->k);
        for (int t = 0; t < x->tokens; t++) {
            const double *k = x->k + t * x->rows, *q = x->q + t * x->rows;
            gdn_lanes alpha = gdn_ddv_splat(x->alpha->hi[t]), v = gdn_lanes_load(x->v + t * x->stride + c);
            gdn_lanes d = gdn_ddv_delta_short(alpha, gdn_ddv_splat(x->sigma->hi[t]), r, v);
            if (t + 1 < x->tokens)
                pass(x->state + c, x->rows, k, q, k + x->rows, alpha, d, &o, &r);
            else
                pass(x->state + c, x->rows, k, q, NULL, alpha, d, &o, &r);
            gdn_lanes_store(x->o + t * x->stride + c, o);
        }
    }
}

static void scale(int n, int rows, double *wide, const gdn_run_pairs *factor)
{
    for (int t = 0; t < n; t++, wide += rows) {
        gdn_ddv c = gdn_ddv_set(factor->hi[t], factor->lo[t]);
        for (int i = 0; i < rows; i += GDN_LANES)
            gdn_lanes_store(wide + i, gdn_ddv_mul_real(c, gdn_lanes_load(wide + i)).hi);
    }
}

static void mean_square(const gdn_norm *x, int dv, double *ms)
{
    for (int t = 0; t < x->tokens; t++) {
        double s[GDN_TILE];
        for (int c = 0; c < GDN_TILE; c += GDN_LANES) {
            gdn_lanes sum = gdn_ddv_splat(0.0);
            for (int j = c; j < x->columns; j += GDN_TILE) {
                gdn_lanes o = gdn_lanes_load(x->o + t * x->columns + j);
                sum = gdn_ddv_fma(o, o, sum);
            }
            gdn_lanes_store(s + c, sum);
        }
        ms[t] = (((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]))) / (double)dv;
    }
}

static void norm(const gdn_norm *x, const double *ms)
{
    for (int t = 0; t < x->tokens; t++) {
        double size = 1.0 / __builtin_sqrt(ms[t] + GDN_NORM_EPS);
        for (int j = 0; j < x->columns; j += GDN_LANES) {
            double *o = x->o + t * x->columns + j;
            gdn_lanes z = gdn_lanes_load(x->z + t * x->columns + j);
            gdn_lanes_store(o, gdn_ddv_norm_short(gdn_lanes_load(o), gdn_lanes_load(x->weight + j),
                                                  gdn_ddv_splat(size), z));
        }
    }
}

const gdn_fp64_code GDN_ISA_NAME(gdn_fp64_code) = {
    .scale = scale, .tile = tile, .mean_square = mean_square, .norm = norm};
