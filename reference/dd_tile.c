/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dd_tile -- the double-double inner loops.
 *
 * With c = 1 / sqrt(sum k^2 + eps), k^ = c k and likewise for q, the layer of spec section 1 is (where the L2
 * norm is off, c = 1)
 *
 *     w = (beta c) (v - (alpha c) (k . S))        S <- alpha S + k w        o = (c_q scale) (q . S)
 *
 * where k, q and v are the floats that came in: exact, and without low parts. One pass over the state a token
 * updates S, sums q . S and already sums k . S for the next token: one load and one store per element.
 *
 * Order of operations, part of the definition of the result:
 *   - Lanes are value columns; they never mix.
 *   - A sum over rows has 16 partial sums; number p takes rows p, p + 16, p + 32, ... in this order, each as
 *     gdn_dd_accumulate() does (hi by two_sum, all lower parts in lo). A butterfly joins them: p with p ^ 1,
 *     then ^ 2, ^ 4, ^ 8, by gdn_dd_join(), which commutes, so that 16 GPU lanes get the same bits.
 *   - step_body.h says what happens to one element.
 *   - The mean of o^2 has 8 partial sums over columns j, j + 8, ..., joined in the same way.
 *
 * Errors: about 3 u^2 (|alpha S| + |k w|) per update and (rows / 16 + 7) u^2 sum |terms| per dot product,
 * u = 2^-53.
 */
#include "reference/tile.h"

enum { SUMS = GDN_ROW_PAD };

/* Partial sums of one reduction, joined pairwise: x[2p] and x[2p + 1] differ in the lowest bit still open. */
GDN_INLINE gdn_ddv butterfly(gdn_ddv *x)
{
    for (int width = SUMS / 2; width > 0; width /= 2)
        for (int p = 0; p < width; p++)
            x[p] = gdn_ddv_join(x[2 * p], x[2 * p + 1]);
    return gdn_ddv_settle(x[0]);
}

/* The same over `count` partial sums that lie in the lanes. */
GDN_INLINE gdn_dd butterfly_lanes(double *hi, double *lo, int count)
{
    for (int width = count / 2; width > 0; width /= 2)
        for (int p = 0; p < width; p++) {
            gdn_dd s =
                gdn_dd_join(gdn_dd_pair(hi[2 * p], lo[2 * p]), gdn_dd_pair(hi[2 * p + 1], lo[2 * p + 1]));
            hi[p] = s.hi;
            lo[p] = s.lo;
        }
    return gdn_dd_settle(gdn_dd_pair(hi[0], lo[0]));
}

GDN_INLINE gdn_ddv token_value(const gdn_run_pairs *x, int t)
{
    return gdn_ddv_set(x->hi[t], x->lo[t]);
}

/* Token t of the run: S <- alpha S + k w for the rows in flight, from s on; S: their new values. */
GDN_INLINE void update(double *s, const double *k, gdn_ddv alpha, gdn_ddv w, gdn_ddv *S)
{
    gdn_lanes x[GDN_FLIGHT];
    GDN_EACH S[f] = gdn_ddv_load(s + 2 * GDN_TILE * f, s + 2 * GDN_TILE * f + GDN_TILE);
    GDN_EACH x[f] = gdn_ddv_splat(k[f]);
    gdn_ddv_forget(S, alpha);
    gdn_ddv_add_product(S, x, w);
    GDN_EACH gdn_lanes_store(s + 2 * GDN_TILE * f, S[f].hi);
    GDN_EACH gdn_lanes_store(s + 2 * GDN_TILE * f + GDN_TILE, S[f].lo);
}

/* sum[f] += x[f] S[f] for the rows in flight. */
GDN_INLINE void accumulate(gdn_ddv *sum, const double *x, const gdn_ddv *S)
{
    gdn_lanes a[GDN_FLIGHT];
    GDN_EACH a[f] = gdn_ddv_splat(x[f]);
    gdn_ddv_dot(sum, a, S);
}

/* One pass: update S, *o <- q . S, *r <- next . S; next is NULL after the last token. state: at the first
 * lane. */
GDN_INLINE void pass(double *state, int rows, const double *k, const double *q, const double *next,
                     gdn_ddv alpha, gdn_ddv w, gdn_ddv *o, gdn_ddv *r)
{
    gdn_ddv os[SUMS], rs[SUMS];
    for (int p = 0; p < SUMS; p += GDN_FLIGHT) {
        gdn_ddv osum[GDN_FLIGHT], rsum[GDN_FLIGHT], S[GDN_FLIGHT];
        GDN_EACH osum[f] = rsum[f] = gdn_ddv_set(0.0, 0.0);
        for (int i = p; i < rows; i += SUMS) {
            update(state + 2 * GDN_TILE * i, k + i, alpha, w, S);
            accumulate(osum, q + i, S);
            if (next)
                accumulate(rsum, next + i, S);
        }
        GDN_EACH os[p + f] = osum[f];
        GDN_EACH rs[p + f] = rsum[f];
    }
    *o = butterfly(os);
    if (next)
        *r = butterfly(rs);
}

/* k . S of the first token of a run: as within a pass. */
GDN_INLINE gdn_ddv first_dot(const double *state, int rows, const double *k)
{
    gdn_ddv sums[SUMS];
    for (int p = 0; p < SUMS; p += GDN_FLIGHT) {
        gdn_ddv sum[GDN_FLIGHT], S[GDN_FLIGHT];
        GDN_EACH sum[f] = gdn_ddv_set(0.0, 0.0);
        for (int i = p; i < rows; i += SUMS) {
            const double *s = state + 2 * GDN_TILE * i;
            GDN_EACH S[f] = gdn_ddv_load(s + 2 * GDN_TILE * f, s + 2 * GDN_TILE * f + GDN_TILE);
            accumulate(sum, k + i, S);
        }
        GDN_EACH sums[p + f] = sum[f];
    }
    return butterfly(sums);
}

static void tile(const gdn_tile *x)
{
    for (int c = 0; c < GDN_TILE; c += GDN_LANES) {
        gdn_ddv o, r = first_dot(x->state + c, x->rows, x->k);
        for (int t = 0; t < x->tokens; t++) {
            const double *k = x->k + t * x->rows, *q = x->q + t * x->rows;
            gdn_ddv alpha = token_value(x->alpha, t);
            gdn_ddv w = gdn_ddv_delta(token_value(x->rho, t), token_value(x->sigma, t), r,
                                      gdn_lanes_load(x->v + t * x->stride + c));
            if (t + 1 < x->tokens)
                pass(x->state + c, x->rows, k, q, k + x->rows, alpha, w, &o, &r);
            else
                pass(x->state + c, x->rows, k, q, NULL, alpha, w, &o, &r);
            o = gdn_ddv_mul(token_value(x->omega, t), o);
            gdn_lanes_store(x->o + t * x->stride + c, o.hi);
            gdn_lanes_store(x->o_lo + t * x->stride + c, o.lo);
        }
    }
}

static void store_pairs(gdn_run_pairs *x, int t, gdn_ddv y)
{
    gdn_lanes_store(x->hi + t, y.hi);
    gdn_lanes_store(x->lo + t, y.lo);
}

static void decay(int n, gdn_dd rate, double dt_bias, const double *a, gdn_run_pairs *g)
{
    gdn_ddv A = gdn_ddv_set(rate.hi, rate.lo);
    for (int t = 0; t < n; t += GDN_LANES)
        store_pairs(g, t, gdn_ddv_decay(A, gdn_ddv_splat(dt_bias), gdn_lanes_load(a + t)));
}

static void exp_run(int n, const gdn_run_pairs *x, gdn_run_pairs *y)
{
    for (int t = 0; t < n; t += GDN_LANES)
        store_pairs(y, t, gdn_ddv_exp(gdn_ddv_load(x->hi + t, x->lo + t)));
}

static void sigmoid_run(int n, const double *x, gdn_run_pairs *y)
{
    for (int t = 0; t < n; t += GDN_LANES)
        store_pairs(y, t, gdn_ddv_sigmoid(gdn_ddv_pair(gdn_lanes_load(x + t), gdn_ddv_splat(0.0))));
}

/* sum x^2 over one row of a run: squares of floats are exact. x: [rows]. */
GDN_INLINE gdn_dd sum_of_squares(const double *x, int rows)
{
    double hi[SUMS], lo[SUMS];
    for (int p = 0; p < SUMS; p += GDN_LANES) {
        gdn_ddv sum = gdn_ddv_set(0.0, 0.0);
        for (int i = p; i < rows; i += SUMS)
            sum = gdn_ddv_add_square(sum, gdn_lanes_load(x + i));
        gdn_lanes_store(hi + p, sum.hi);
        gdn_lanes_store(lo + p, sum.lo);
    }
    return butterfly_lanes(hi, lo, SUMS);
}

static void rows_run(int n, int dk, int rows, const float *x, double *wide, gdn_run_pairs *inverse)
{
    for (int t = 0; t < n; t++, x += dk, wide += rows) {
        int i = 0;
        for (; i + GDN_LANES <= dk; i += GDN_LANES)
            gdn_lanes_store(wide + i, gdn_lanes_widen(x + i));
        for (; i < rows; i++)
            wide[i] = i < dk ? (double)x[i] : 0.0;
        gdn_dd sum = gdn_dd_add(sum_of_squares(wide, rows), gdn_dd_eps());
        inverse->hi[t] = sum.hi;
        inverse->lo[t] = sum.lo;
    }
    for (int t = n; t % GDN_LANES != 0; t++) {
        inverse->hi[t] = 1.0;
        inverse->lo[t] = 0.0;
    }
    for (int t = 0; t < n; t += GDN_LANES)
        store_pairs(inverse, t, gdn_ddv_rsqrt(gdn_ddv_load(inverse->hi + t, inverse->lo + t)));
}

static void mean_square(const gdn_norm *x, int dv, gdn_run_pairs *ms)
{
    for (int t = 0; t < x->tokens; t++) {
        const double *o = x->o + t * x->columns, *o_lo = x->o_lo + t * x->columns;
        double hi[GDN_TILE], lo[GDN_TILE];
        for (int c = 0; c < GDN_TILE; c += GDN_LANES) {
            gdn_ddv sum = gdn_ddv_set(0.0, 0.0);
            for (int j = c; j < x->columns; j += GDN_TILE)
                sum = gdn_ddv_add_square_pair(sum, gdn_ddv_load(o + j, o_lo + j));
            gdn_lanes_store(hi + c, sum.hi);
            gdn_lanes_store(lo + c, sum.lo);
        }
        gdn_dd mean = gdn_dd_div(butterfly_lanes(hi, lo, GDN_TILE), gdn_dd_set((double)dv, 0.0));
        ms->hi[t] = mean.hi;
        ms->lo[t] = mean.lo;
    }
}

/* y = w o rsqrt(ms + eps) z sigmoid(z) */
static void norm(const gdn_norm *x, const gdn_run_pairs *ms)
{
    for (int t = 0; t < x->tokens; t++) {
        gdn_dd r = gdn_dd_rsqrt(gdn_dd_add(gdn_dd_pair(ms->hi[t], ms->lo[t]), gdn_dd_eps()));
        gdn_ddv size = gdn_ddv_set(r.hi, r.lo);
        for (int j = 0; j < x->columns; j += GDN_LANES) {
            int at = t * x->columns + j;
            gdn_ddv y = gdn_ddv_norm(gdn_ddv_load(x->o + at, x->o_lo + at), gdn_lanes_load(x->weight + j),
                                     size, gdn_lanes_load(x->z + at));
            gdn_lanes_store(x->o + at, y.hi);
            gdn_lanes_store(x->o_lo + at, y.lo);
        }
    }
}

const gdn_dd_code GDN_ISA_NAME(gdn_dd_code) = {.decay = decay,
                                               .exp = exp_run,
                                               .sigmoid = sigmoid_run,
                                               .rows = rows_run,
                                               .tile = tile,
                                               .mean_square = mean_square,
                                               .norm = norm};
