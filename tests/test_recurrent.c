/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_recurrent -- the recurrent engine, every recipe and some that no profile uses.
 *
 * Identities that need no reference: v scaled by 2^k, linear in v, columns and heads independent, cut at any
 * token, beta = 0 is pure decay, orthonormal keys with beta = 1 recall exactly, the state rests on its grid,
 * stochastic rounding is unbiased, all instruction sets agree to the bit. Closed forms: lengths of normalised
 * keys, the casts of out_norm in long double, operations counted by hand. And one model: the recurrence
 * written again, a number at a time, with gdn_round at each operation; engine and model give the same bits.
 */
#include "tests/gdn_test.h"

#include "base/inputs.h"
#include "base/simd.h"
#include "kernels/gate.h"
#include "kernels/portable.h"
#include "kernels/recurrent.h"

/* Recipes under test: the table, and copies of it with other state formats and roundings. */
enum { MOST_RECIPES = 64 };

static gdn_recipe recipes[MOST_RECIPES];
static int recipe_count;

static void add_variant(const char *base, const char *name, gdn_format_id qk, gdn_format_id state,
                        gdn_rounding rounding)
{
    gdn_recipe *r = &recipes[recipe_count++];
    *r = *gdn_recipe_by_name(base);
    r->name = name;
    r->qk = qk;
    r->state = state;
    r->state_rounding = rounding;
}

static void make_recipes(void)
{
    ck_assert_int_lt(gdn_recipe_count + 9, MOST_RECIPES);
    for (recipe_count = 0; recipe_count < gdn_recipe_count; recipe_count++)
        recipes[recipe_count] = gdn_recipes[recipe_count];
    add_variant("fp32", "fp32, state fp16", GDN_FP32, GDN_FP16, GDN_NEAREST);
    add_variant("fp32", "fp32, state e4m3", GDN_FP32, GDN_E4M3, GDN_NEAREST);
    add_variant("fp32", "fp32, state tf32 stochastic", GDN_FP32, GDN_TF32, GDN_STOCHASTIC);
    add_variant("fp32", "fp32, state e5m2 stochastic", GDN_FP32, GDN_E5M2, GDN_STOCHASTIC);
    add_variant("fp32", "fp32, state stochastic (nothing to round)", GDN_FP32, GDN_FP32, GDN_STOCHASTIC);
    add_variant("bf16-state", "bf16-state, q^ and k^ in bf16", GDN_BF16, GDN_BF16, GDN_NEAREST);
    add_variant("bf16", "bf16, state e4m3", GDN_BF16, GDN_E4M3, GDN_NEAREST);
    add_variant("bf16", "bf16, state e5m2 stochastic", GDN_BF16, GDN_E5M2, GDN_STOCHASTIC);
    add_variant("bf16", "bf16, state stochastic (nothing to round)", GDN_BF16, GDN_BF16, GDN_STOCHASTIC);
}

static const int dims[] = {1, 3, 16, 80, 128};

enum { DIMS = sizeof dims / sizeof dims[0], SHAPES = DIMS * DIMS };

static gdn_shape shape_at(int i, int heads)
{
    return (gdn_shape){heads, dims[i / DIMS], dims[i % DIMS]};
}

typedef gdn_problem problem;
typedef gdn_result result;

static const gdn_engine *const engine = &gdn_recurrent_engine;

/* The whole problem in one block. */
static result run(const problem *p, const gdn_recipe *recipe)
{
    return gdn_problem_run(p, engine, recipe, &p->tokens, 1);
}

static void read_state(void *self, double *state)
{
    gdn_error err = {""};
    GDN_CHECK(engine->read_state(self, state, NULL, &err) == GDN_OK, "%s", err.text);
}

/* Equal bits in n numbers; the message names the recipe and the shape. */
static void check_bits(const double *x, const double *y, size_t n, const gdn_recipe *recipe,
                       const gdn_shape *s, const char *what)
{
    char where[256];
    snprintf(where, sizeof where, "%s, dk %d, dv %d: %s", recipe->name, s->dk, s->dv, what);
    gdn_check_bits(x, y, n, where);
}

static void check_results(const problem *p, const gdn_recipe *recipe, const result *x, const result *y,
                          const char *what)
{
    char where[128];
    snprintf(where, sizeof where, "%s, %s", recipe->name, what);
    gdn_check_results(p, x, y, where);
}

/* ---------------------------------------------------------------- the model: one number at a time */

static double op(const gdn_recipe *r, double x)
{
    return gdn_round(&gdn_formats[r->op], x);
}

/* a b + c: fused in fp32, two roundings in bf16. */
static double muladd(const gdn_recipe *r, double a, double b, double c)
{
    return r->op == GDN_FP32 ? (double)fmaf((float)a, (float)b, (float)c) : op(r, op(r, a * b) + c);
}

/* sum x^2: term i to partial (i / 4) mod 8, partials combined in pairs. */
static double model_squares(const gdn_recipe *r, const double *x, int n)
{
    double p[8] = {0};
    for (int i = 0; i < n; i++)
        p[i / 4 % 8] = muladd(r, x[i], x[i], p[i / 4 % 8]);
    double pairs[4] = {op(r, p[0] + p[1]), op(r, p[2] + p[3]), op(r, p[4] + p[5]), op(r, p[6] + p[7])};
    return op(r, op(r, pairs[0] + pairs[1]) + op(r, pairs[2] + pairs[3]));
}

/* 1 / |x|, squares: sum x^2 over n numbers. */
static double model_l2_rstd(const gdn_recipe *r, double squares, int n)
{
    double eps = op(r, 1e-6);
    switch (r->l2norm) {
    case GDN_L2_MAX_EPS:
        return op(r, 1 / fmax(op(r, sqrt(squares)), eps));
    case GDN_L2_MEAN_EPS:
        return op(r, op(r, 1 / sqrt(n)) * op(r, 1 / sqrt(op(r, op(r, squares / n) + eps))));
    case GDN_L2_NONE:
        return 1;
    default:
        return op(r, 1 / sqrt(op(r, squares + eps)));
    }
}

/* The row normalised, rested in qk's format, times scale. */
static void model_l2_norm(const gdn_recipe *r, const float *x, int n, double scale, double *out)
{
    for (int i = 0; i < n; i++)
        out[i] = x[i];
    double rstd = model_l2_rstd(r, model_squares(r, out, n), n);
    for (int i = 0; i < n; i++) {
        out[i] = gdn_round(&gdn_formats[r->qk], op(r, x[i] * rstd));
        if (scale != 1)
            out[i] = op(r, out[i] * op(r, scale));
    }
}

/* sum x_i S_i: row i to partial (i / 4) mod 4, (p0 + p1) + (p2 + p3). S: column j of [dk][dv]. */
static double model_dot(const gdn_recipe *r, const double *x, const double *S, int dk, int dv)
{
    double p[4] = {0};
    for (int i = 0; i < dk; i++)
        p[i / 4 % 4] = muladd(r, x[i], S[(size_t)i * (size_t)dv], p[i / 4 % 4]);
    return op(r, op(r, p[0] + p[1]) + op(r, p[2] + p[3]));
}

/* The sixteen random bits of state element (i, j) after token t of the problem (1-based):
 * kernels/recurrent_tile.c. */
static uint32_t model_bits(const problem *p, int head, int t, int i, int j)
{
    uint64_t octets = (uint64_t)(p->shape.dv + 7) / 8,
             row = (uint64_t)(p->origin + t) * (uint64_t)p->shape.dk + (uint64_t)i;
    uint32_t w[4];
    gdn_random(p->seed, GDN_STREAM_STATE_ROUNDING, (uint32_t)head, row * octets + (uint64_t)(j / 8), w);
    return j % 2 ? w[j % 8 / 2] >> 16 : w[j % 8 / 2] & 0xffff;
}

/* A state element as it rests. */
static double model_rest(const problem *p, const gdn_recipe *r, double s, int head, int t, int i, int j)
{
    const gdn_format *f = &gdn_formats[r->state];
    return r->state_rounding == GDN_STOCHASTIC ? gdn_round_stochastic(f, s, model_bits(p, head, t, i, j))
                                               : gdn_round(f, s);
}

/* Column j over one token; S: [dk][dv]. Returns o before the output rounding. */
static double model_column(const problem *p, const gdn_recipe *r, double *S, const double *k, const double *q,
                           double alpha, double beta, double v, int head, int t, int j)
{
    int dk = p->shape.dk, dv = p->shape.dv;
    double *column = S + j, o[4] = {0};
    for (int i = 0; i < dk; i++)
        column[i * dv] = op(r, alpha * column[i * dv]);
    double delta = op(r, beta * op(r, v - model_dot(r, k, column, dk, dv)));
    for (int i = 0; i < dk; i++) {
        double s = muladd(r, k[i], delta, column[i * dv]);
        o[i / 4 % 4] = muladd(r, q[i], s, o[i / 4 % 4]);
        column[i * dv] = model_rest(p, r, s, head, t, i, j);
    }
    return op(r, op(r, o[0] + o[1]) + op(r, o[2] + o[3]));
}

/*
 * y = w (o rsqrt(mean o^2 + eps)) (z sigmoid z), each product rounded, and cast where the recipe says so; the
 * gate is fp32 behind a cast. o, y: [dv].
 */
static void model_out_norm(const gdn_recipe *r, const double *o, const float *z, const double *w, int dv,
                           double *y)
{
    const gdn_format *gate = &gdn_formats[r->norm_out == GDN_FP64 ? r->op : GDN_FP32];
    double in[GDN_MAX_DIM];
    for (int j = 0; j < dv; j++)
        in[j] = gdn_round(&gdn_formats[r->norm_in], o[j]);
    double mean = op(r, model_squares(r, in, dv) / dv), rstd = op(r, 1 / sqrt(op(r, mean + op(r, 1e-6))));
    for (int j = 0; j < dv; j++) {
        double silu = gdn_round(gate, z[j] * gdn_round(gate, gdn_sigmoid(z[j])));
        double hat = gdn_round(&gdn_formats[r->norm_hat], op(r, in[j] * rstd));
        double normed = gdn_round(&gdn_formats[r->norm_out], op(r, hat * op(r, w[j])));
        y[j] = gdn_round(&gdn_formats[r->output], gdn_round(gate, normed * silu));
    }
}

/* g as a carrier of alpha gives it back: ln 2 log2(alpha + 1e-10). */
static double model_carried(const gdn_recipe *r, double g)
{
    const double ln2 = 0x1.62e42fefa39efp-1;
    double sum = op(r, op(r, gdn_exp(g)) + op(r, 1e-10));
    return r->carrier == GDN_CARRIER_G ? g : op(r, op(r, gdn_log(sum) / ln2) * op(r, ln2));
}

/* A row of q, k, v or z in the recipe's input format. x, out: [n] */
static const float *as_input(const gdn_recipe *r, const float *x, int n, float *out)
{
    for (int i = 0; i < n; i++)
        out[i] = (float)gdn_round(&gdn_formats[r->input], x[i]);
    return out;
}

static result model_run(const problem *p, const gdn_recipe *recipe)
{
    gdn_recipe own = *recipe, *r = &own;
    int dk = p->shape.dk, dv = p->shape.dv;
    if (p->l2norm_off)
        own.l2norm = GDN_L2_NONE;
    double q[GDN_MAX_DIM], k[GDN_MAX_DIM];
    float row_in[GDN_MAX_DIM];
    result x = gdn_result_new(p);
    for (int h = 0; h < p->shape.heads; h++) {
        double *S = x.state + (size_t)h * (size_t)dk * (size_t)dv;
        double rate = op(r, gdn_round(&gdn_formats[r->exp_a], gdn_exp(p->decay[h])));
        for (int t = 0; t < p->tokens; t++) {
            size_t at = (size_t)h * (size_t)p->tokens + (size_t)t, row = at * (size_t)dv;
            double arg = op(r, p->a[at] + op(r, p->dt_bias[h]));
            double softplus = gdn_gate_softplus(r->softplus, &gdn_formats[r->op], arg);
            x.g[at] = model_carried(r, op(r, p->g ? p->g[at] : -rate * softplus));
            x.alpha[at] = op(r, gdn_exp(x.g[at]));
            double beta = p->beta ? p->beta[at] : op(r, gdn_sigmoid(p->b[at]));
            beta = ldexp(gdn_round(&gdn_formats[r->beta], beta), p->beta_shift);
            model_l2_norm(r, as_input(r, p->k + at * (size_t)dk, dk, row_in), dk, 1, k);
            model_l2_norm(r, as_input(r, p->q + at * (size_t)dk, dk, row_in), dk,
                          p->scale != 0 ? p->scale : 1 / sqrt(dk), q);
            as_input(r, p->v + row, dv, row_in);
            for (int j = 0; j < dv; j++) {
                double o = model_column(p, r, S, k, q, x.alpha[at], beta, row_in[j], h, t + 1, j);
                x.o[row + (size_t)j] = gdn_round(&gdn_formats[r->output], o);
            }
            model_out_norm(r, x.o + row, as_input(r, p->z + row, dv, row_in), p->w, dv, x.y + row);
        }
    }
    return x;
}

/* g and beta given, and q, k, v, z, as fp32 numbers that no narrower format holds. */
static void give_gates(problem *p)
{
    size_t n = gdn_problem_rows(p);
    uint64_t seed = 50;
    p->g = gdn_test_alloc(n, sizeof *p->g);
    p->beta = gdn_test_alloc(n, sizeof *p->beta);
    for (size_t i = 0; i < n; i++) {
        p->g[i] = (float)gdn_test_uniform(&seed, -1, 0);
        p->beta[i] = (float)gdn_test_uniform(&seed, 0, 1);
    }
    const size_t k = n * (size_t)p->shape.dk, v = n * (size_t)p->shape.dv;
    for (size_t i = 0; i < k; i++) {
        p->q[i] *= 1.001f;
        p->k[i] *= 1.001f;
    }
    for (size_t i = 0; i < v; i++) {
        p->v[i] *= 1.001f;
        p->z[i] *= 1.001f;
    }
}

/* Engine and model agree to the bit: every recipe, every shape, also where positions and seeds pass 32 bits.
 */
START_TEST(bits_of_the_model)
{
    make_recipes();
    for (int i = 0; i < SHAPES; i++) {
        problem p = gdn_problem_new(shape_at(i, 1 + i % 2), i % 3 == 0 ? 33 : 5, (uint64_t)i);
        p.origin = i % 4 < 2 ? 0 : GDN_MAX_LENGTH - 50;
        p.seed |= i % 2 ? 0xfedcba9800000000 : 0;
        if (i % 5 == 1)
            give_gates(&p);
        for (int r = 0; r < recipe_count; r++) {
            result x = run(&p, &recipes[r]), want = model_run(&p, &recipes[r]);
            check_results(&p, &recipes[r], &x, &want, "engine against model");
            gdn_result_free(&x);
            gdn_result_free(&want);
        }
        gdn_problem_free(&p);
    }
}
END_TEST

/*
 * The same where implementations part: L2 norms, casts of out_norm, the carrier of the gate, beta doubled;
 * with every instruction set. Keys that come normalised already are given so.
 */
START_TEST(bits_of_the_model_in_designs)
{
    static const struct {
        const char *recipe;
        gdn_l2norm l2norm;
        gdn_carrier carrier;
        gdn_format_id norm_in, norm_hat, norm_out;
        int beta_shift;
    } designs[] = {
        {"fp32", GDN_L2_MAX_EPS, GDN_CARRIER_G, GDN_FP64, GDN_FP64, GDN_FP64, 0},
        {"fp32", GDN_L2_MEAN_EPS, GDN_CARRIER_ALPHA, GDN_BF16, GDN_FP64, GDN_FP64, 1},
        {"fp32", GDN_L2_NONE, GDN_CARRIER_G, GDN_FP16, GDN_E4M3, GDN_BF16, 0},
        {"bf16", GDN_L2_MAX_EPS, GDN_CARRIER_ALPHA, GDN_FP64, GDN_FP64, GDN_BF16, 0},
        {"bf16", GDN_L2_MEAN_EPS, GDN_CARRIER_G, GDN_E5M2, GDN_FP64, GDN_FP32, 1},
        {"bf16", GDN_L2_NONE, GDN_CARRIER_G, GDN_FP64, GDN_FP16, GDN_FP64, 0},
        {"bf16-io", GDN_L2_MEAN_EPS, GDN_CARRIER_G, GDN_FP64, GDN_BF16, GDN_BF16, 1},
        {"bf16-io", GDN_L2_SUM_EPS, GDN_CARRIER_ALPHA, GDN_FP64, GDN_BF16, GDN_FP32, 0},
        {"vllm-decode", GDN_L2_NONE, GDN_CARRIER_ALPHA, GDN_FP32, GDN_FP32, GDN_TF32, 1},
    };
    gdn_isa best = gdn_isa_best();
    for (size_t d = 0; d < sizeof designs / sizeof designs[0]; d++)
        for (int i = 0; i < SHAPES; i += 3) {
            gdn_recipe r = *gdn_recipe_by_name(designs[d].recipe);
            problem p = gdn_problem_new(shape_at(i, 2), 9, 60 + (uint64_t)i);
            r.l2norm = designs[d].l2norm;
            r.carrier = designs[d].carrier;
            r.norm_in = designs[d].norm_in;
            r.norm_hat = designs[d].norm_hat;
            r.norm_out = designs[d].norm_out;
            p.beta_shift = designs[d].beta_shift;
            for (size_t j = 0; j < 18 * (size_t)p.shape.dk && r.l2norm == GDN_L2_NONE; j++) {
                p.q[j] *= 0x1p-4f;
                p.k[j] *= 0x1p-4f;
            }
            if (i % 2)
                give_gates(&p);
            result want = model_run(&p, &r);
            for (gdn_isa isa = GDN_ISA_SCALAR; isa < GDN_ISAS; isa++) {
                if (!gdn_isa_available(isa))
                    continue;
                gdn_isa_force(isa);
                result x = run(&p, &r);
                char what[64];
                snprintf(what, sizeof what, "design %zu, %s", d, gdn_isa_names[isa]);
                check_results(&p, &r, &x, &want, what);
                gdn_result_free(&x);
            }
            gdn_result_free(&want);
            gdn_problem_free(&p);
        }
    gdn_isa_force(best);
}
END_TEST

/* The same with the L2 norm off, whatever the recipe says of it, and with other scales; o is linear in the
 * scale. */
START_TEST(norm_off_and_scaled)
{
    static const double scales[] = {0, 1, 0.5, -0.3};
    make_recipes();
    for (int i = 0; i < SHAPES; i += 3)
        for (int r = 0; r < recipe_count; r++) {
            problem p = gdn_problem_new(shape_at(i, 2), 9, 70 + (uint64_t)i);
            for (size_t j = 0; j < 18 * (size_t)p.shape.dk; j++) {
                p.q[j] *= 0x1p-4f;
                p.k[j] *= 0x1p-4f;
            }
            p.l2norm_off = (i + r) % 4 != 0;
            p.scale = scales[(i / 3 + r) % 4];
            result x = run(&p, &recipes[r]), want = model_run(&p, &recipes[r]);
            check_results(&p, &recipes[r], &x, &want, "L2 norm off or scaled");
            gdn_result_free(&x);
            gdn_result_free(&want);
            gdn_problem_free(&p);
        }
}
END_TEST

START_TEST(linear_in_the_scale)
{
    for (int i = 0; i < SHAPES; i += 2)
        for (int r = 0; r < gdn_recipe_count; r++) {
            problem p = gdn_problem_new(shape_at(i, 1), 20, 120 + (uint64_t)i);
            p.scale = 0.3;
            result one = run(&p, &gdn_recipes[r]);
            p.scale = 0.6;
            result two = run(&p, &gdn_recipes[r]);
            for (size_t j = 0; j < gdn_problem_values(&p); j++)
                one.o[j] *= 2;
            check_bits(two.o, one.o, gdn_problem_values(&p), &gdn_recipes[r], &p.shape, "o, scale doubled");
            check_bits(two.state, one.state, gdn_problem_state(&p), &gdn_recipes[r], &p.shape,
                       "state, scale doubled");
            gdn_result_free(&one);
            gdn_result_free(&two);
            gdn_problem_free(&p);
        }
}
END_TEST

/* ---------------------------------------------------------------- closed forms */

/*
 * k^ of a key of length r, from the state that one write with beta = 1 and v = 1 leaves. At r = 1e-3 and d =
 * 128 the conventions give 0.707, 1 and 0.088. fp32: the sum of 128 squares, its root and three products err
 * by less than 2^-19.
 */
START_TEST(lengths_of_normalised_keys)
{
    enum { DK = 128 };
    static const double at_thousandth[GDN_L2_NORMS] = {0.7071, 1.0, 0.0880, 1e-3};
    for (gdn_l2norm norm = 0; norm < GDN_L2_NORMS; norm++)
        for (double length = 1; length > 0.5e-8; length /= 10) {
            const double want[GDN_L2_NORMS] = {
                [GDN_L2_SUM_EPS] = length / sqrt(length * length + 1e-6),
                [GDN_L2_MAX_EPS] = length / fmax(length, 1e-6),
                [GDN_L2_MEAN_EPS] = length / sqrt(length * length + DK * 1e-6),
                [GDN_L2_NONE] = length,
            };
            gdn_recipe r = *gdn_recipe_by_name("fp32");
            r.l2norm = norm;
            problem p = gdn_problem_new((gdn_shape){1, DK, 1}, 1, 650);
            p.beta = gdn_test_alloc(1, sizeof *p.beta);
            p.beta[0] = p.v[0] = 1;
            for (int i = 0; i < DK; i++)
                p.k[i] = (float)(length * (i % 3 ? 1 : -1) / sqrt(DK));
            result x = run(&p, &r);
            double got = 0;
            for (int i = 0; i < DK; i++)
                got += x.state[i] * x.state[i];
            got = sqrt(got);
            GDN_CHECK(fabs(got / want[norm] - 1) < 0x1p-19, "%s: |k| = %g becomes %.9g, not %.9g",
                      gdn_l2norm_names[norm], length, got, want[norm]);
            if (fabs(length - 1e-3) < 1e-9)
                GDN_CHECK(fabs(got - at_thousandth[norm]) < 1e-4, "%s: |k| = 1e-3 becomes %g",
                          gdn_l2norm_names[norm], got);
            gdn_result_free(&x);
            gdn_problem_free(&p);
        }
}
END_TEST

/* out_norm of a row in long double, cast to bf16 at the places given; the weight's product too. */
static void exact_out_norm(const double *o, const float *z, const double *w, int dv, const bool cast[3],
                           double *y)
{
    const gdn_format *bf16 = &gdn_formats[GDN_BF16];
    long double squares = 0;
    double in[GDN_MAX_DIM];
    for (int j = 0; j < dv; j++) {
        in[j] = cast[0] ? gdn_round(bf16, o[j]) : o[j];
        squares += (long double)in[j] * in[j];
    }
    for (int j = 0; j < dv; j++) {
        long double hat = in[j] / sqrtl(squares / dv + 1e-6L);
        hat = cast[1] ? (long double)gdn_round(bf16, (double)hat) : hat;
        long double out = w[j] * hat;
        out = cast[2] ? (long double)gdn_round(bf16, (double)out) : out;
        y[j] = gdn_round(bf16, (double)(out * z[j] / (1 + expl(-(long double)z[j]))));
    }
}

/*
 * The casts of out_norm against long double. Steps in fp32 (relative error below 2^-21 all together) fall on
 * the other side of a bf16 middle once in 2^12 numbers or less at each of four roundings, and then y is a
 * neighbour. Any other set of casts differs in one number out of twenty at least.
 */
START_TEST(casts_of_out_norm)
{
    enum { DV = 128, T = 200 };
    problem p = gdn_problem_new((gdn_shape){1, 16, DV}, T, 660);
    for (int j = 0; j < DV; j++)
        p.w[j] = gdn_round(&gdn_formats[GDN_BF16], p.w[j]);
    double *y = gdn_test_alloc(T * DV, sizeof *y);
    for (int casts = 0; casts < 8; casts++) {
        gdn_recipe r = *gdn_recipe_by_name("fp32");
        r.norm_in = casts & 1 ? GDN_BF16 : GDN_FP64;
        r.norm_hat = casts & 2 ? GDN_BF16 : GDN_FP64;
        r.norm_out = casts & 4 ? GDN_BF16 : GDN_FP32;
        result plain = run(&p, gdn_recipe_by_name("fp32")), x = run(&p, &r);
        gdn_check_bits(x.o, plain.o, T * DV, "o beside casts of out_norm");
        for (int other = 0; other < 8; other++) {
            const bool cast[3] = {other & 1, other & 2, other & 4};
            int off = 0, far = 0;
            for (int t = 0; t < T; t++)
                exact_out_norm(x.o + t * DV, p.z + t * DV, p.w, DV, cast, y + t * DV);
            for (int i = 0; i < T * DV; i++) {
                double got = gdn_round(&gdn_formats[GDN_BF16], x.y[i]);
                off += got != y[i];
                far += fabs(got - y[i]) > 1.01 * gdn_ulp(&gdn_formats[GDN_BF16], y[i]);
            }
            if (other == casts)
                GDN_CHECK(off <= T * DV / 1024 && far == 0,
                          "casts %d: %d numbers of %d off, %d by more than"
                          " an ulp",
                          casts, off, T * DV, far);
            else
                GDN_CHECK(off > T * DV / 20, "casts %d: casts %d differ in %d numbers of %d only", casts,
                          other, off, T * DV);
        }
        gdn_result_free(&plain);
        gdn_result_free(&x);
    }
    free(y);
    gdn_problem_free(&p);
}
END_TEST

/* beta = 1 doubled, g = 0: a key reflects the state, S <- S - 2 k^ k^T S, so that twice is once nothing. */
START_TEST(beta_of_two_reflects)
{
    enum { DK = 16, DV = 5 };
    uint64_t seed = 670;
    problem p = gdn_problem_new((gdn_shape){1, DK, DV}, 2, 670);
    p.g = gdn_test_alloc(2, sizeof *p.g);
    p.beta = gdn_test_alloc(2, sizeof *p.beta);
    p.beta[0] = p.beta[1] = 1;
    p.state0 = gdn_test_doubles(&seed, DK * DV, -2, 2);
    p.beta_shift = 1;
    memset(p.v, 0, 2 * DV * sizeof *p.v);
    for (int i = 0; i < 2 * DK; i++)
        p.k[i] = i % DK == 3 ? 0x1p12f : 0;
    for (p.tokens = 1; p.tokens <= 2; p.tokens++) {
        result x = run(&p, gdn_recipe_by_name("fp32"));
        for (int i = 0; i < DK * DV; i++) {
            double want = p.tokens == 1 && i / DV == 3 ? -p.state0[i] : p.state0[i];
            GDN_CHECK(x.state[i] == want, "after %d tokens: state %d = %a, not %a", p.tokens, i, x.state[i],
                      want);
        }
        gdn_result_free(&x);
    }
    gdn_problem_free(&p);
}
END_TEST

/* ---------------------------------------------------------------- identities */

/* v times 2^n: o and the state times 2^n, exactly; in recipes whose formats have fp32's exponents.
 */
START_TEST(scaling_of_v_is_exact)
{
    const int powers[] = {-20, 7};
    for (int i = 0; i < SHAPES; i++)
        for (int r = 0; r < gdn_recipe_count; r++) {
            problem p = gdn_problem_new(shape_at(i, 1), 20, 100 + (uint64_t)i);
            size_t values = 20 * (size_t)p.shape.dv;
            result one = run(&p, &gdn_recipes[r]);
            for (int n = 0; n < 2; n++) {
                for (size_t j = 0; j < values; j++)
                    p.v[j] = ldexpf(p.v[j], powers[n]);
                result x = run(&p, &gdn_recipes[r]);
                for (size_t j = 0; j < values; j++) {
                    p.v[j] = ldexpf(p.v[j], -powers[n]);
                    x.o[j] = ldexp(x.o[j], -powers[n]);
                }
                for (size_t j = 0; j < gdn_problem_state(&p); j++)
                    x.state[j] = ldexp(x.state[j], -powers[n]);
                check_bits(x.o, one.o, values, &gdn_recipes[r], &p.shape, "o, v scaled");
                check_bits(x.state, one.state, gdn_problem_state(&p), &gdn_recipes[r], &p.shape,
                           "state, v scaled");
                gdn_result_free(&x);
            }
            gdn_result_free(&one);
            gdn_problem_free(&p);
        }
}
END_TEST

static double norm2(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sqrt(sum);
}

/* max over t of |S_t| + |v_t|, Frobenius. One head. */
static double peak(const problem *p, const gdn_recipe *recipe)
{
    result r = gdn_result_new(p);
    void *self = gdn_problem_open(p, engine, recipe);
    double most = 0;
    for (int t = 0; t < p->tokens; t++) {
        gdn_problem_advance(p, engine, self, t, 1, &r);
        read_state(self, r.state);
        double v = 0;
        for (int j = 0; j < p->shape.dv; j++)
            v += (double)p->v[t * p->shape.dv + j] * p->v[t * p->shape.dv + j];
        most = fmax(most, norm2(r.state, gdn_problem_state(p)) + sqrt(v));
    }
    engine->close(self);
    gdn_result_free(&r);
    return most;
}

/* The bound of gdn_test.h, of the state relative to its peak; a stochastic rounding has sqrt 2 the noise. */
static double linear_bound(const gdn_recipe *r, int tokens, int dk)
{
    double op_u = ldexp(1, -gdn_formats[r->op].p), state_u = ldexp(1, -gdn_formats[r->state].p);
    double local = op_u * sqrt(dk / 4.0 + 10) + state_u * (r->state_rounding == GDN_STOCHASTIC ? sqrt(2) : 1);
    return gdn_tolerance.linear_margin * 0.4247 * sqrt(3.0 * tokens) * local;
}

/* S(v1) + S(v2) = S(v1 + v2) and the same for o, but for rounding; v multiples of 1/8 so that v1 + v2 is
 * exact. */
static void check_linear(gdn_shape s, const gdn_recipe *recipe)
{
    enum { T = 24 };
    problem p[3];
    result r[3];
    uint64_t seed = 200;
    size_t values = T * (size_t)s.dv;
    for (int i = 0; i < 3; i++)
        p[i] = gdn_problem_new(s, T, 7);
    for (size_t j = 0; j < values; j++) {
        p[0].v[j] = rintf((float)gdn_test_uniform(&seed, -15, 15)) / 8;
        p[1].v[j] = rintf((float)gdn_test_uniform(&seed, -15, 15)) / 8;
        p[2].v[j] = p[0].v[j] + p[1].v[j];
    }
    double most = 0;
    for (int i = 0; i < 3; i++) {
        r[i] = run(&p[i], recipe);
        most = fmax(most, peak(&p[i], recipe));
    }
    for (size_t j = 0; j < values; j++)
        r[2].o[j] -= r[0].o[j] + r[1].o[j];
    for (size_t j = 0; j < gdn_problem_state(p); j++)
        r[2].state[j] -= r[0].state[j] + r[1].state[j];
    double off = norm2(r[2].state, gdn_problem_state(p)) / most, allowed = linear_bound(recipe, T, s.dk);
    GDN_CHECK(off <= allowed, "%s, dk %d, dv %d: state not linear in v by %a, %a allowed", recipe->name, s.dk,
              s.dv, off, allowed);
    /* |q^| <= dk^(-1/2): an error of the state is no larger in o; o itself is rounded three times more */
    allowed =
        (allowed + 3 * sqrt(3) * 0.4247 * ldexp(1, -gdn_formats[recipe->output].p)) * sqrt((double)T / s.dk);
    off = norm2(r[2].o, values) / most;
    GDN_CHECK(off <= allowed, "%s, dk %d, dv %d: o not linear in v by %a, %a allowed", recipe->name, s.dk,
              s.dv, off, allowed);
    for (int i = 0; i < 3; i++) {
        gdn_problem_free(&p[i]);
        gdn_result_free(&r[i]);
    }
}

START_TEST(linear_in_v)
{
    for (int i = 0; i < SHAPES; i++)
        for (int r = 0; r < gdn_recipe_count; r++)
            check_linear(shape_at(i, 1), &gdn_recipes[r]);
}
END_TEST

/* Column j of [n][width] against column i of [n][narrow]. */
static void check_column(const double *x, int width, int j, const double *y, int narrow, int i, size_t n,
                         const gdn_recipe *recipe, const char *what)
{
    for (size_t t = 0; t < n; t++) {
        double a = x[t * (size_t)width + (size_t)j], b = y[t * (size_t)narrow + (size_t)i];
        GDN_CHECK(gdn_same(a, b), "%s, dv %d: %s, column %d, row %zu: %a, not %a", recipe->name, width, what,
                  j, t, a, b);
    }
}

/* A column keeps its bits whatever the other columns hold, and (stochastic draws apart) whatever their
 * number. */
static void check_columns(gdn_shape s, const gdn_recipe *recipe)
{
    enum { T = 12 };
    const int which[] = {0, s.dv / 2, s.dv - 1};
    problem p = gdn_problem_new(s, T, 300), one = gdn_problem_new((gdn_shape){1, s.dk, 1}, T, 300);
    result all = run(&p, recipe);
    memcpy(one.q, p.q, T * (size_t)s.dk * sizeof *p.q);
    memcpy(one.k, p.k, T * (size_t)s.dk * sizeof *p.k);
    memcpy(one.a, p.a, T * sizeof *p.a);
    memcpy(one.b, p.b, T * sizeof *p.b);
    one.decay[0] = p.decay[0];
    one.dt_bias[0] = p.dt_bias[0];
    for (int c = 0; c < 3; c++) {
        problem other = gdn_problem_new(s, T, 300);
        for (int t = 0; t < T; t++) {
            one.v[t] = p.v[t * s.dv + which[c]];
            for (int j = 0; j < s.dv; j++)
                other.v[t * s.dv + j] = j == which[c] ? one.v[t] : -3 * p.v[t * s.dv + j] + 1;
        }
        result changed = run(&other, recipe), alone = run(&one, recipe);
        check_column(all.o, s.dv, which[c], changed.o, s.dv, which[c], T, recipe, "o beside other columns");
        check_column(all.state, s.dv, which[c], changed.state, s.dv, which[c], (size_t)s.dk, recipe, "state");
        if (recipe->state_rounding == GDN_NEAREST) {
            check_column(all.o, s.dv, which[c], alone.o, 1, 0, T, recipe, "o alone");
            check_column(all.state, s.dv, which[c], alone.state, 1, 0, (size_t)s.dk, recipe, "state alone");
        }
        gdn_result_free(&changed);
        gdn_result_free(&alone);
        gdn_problem_free(&other);
    }
    gdn_result_free(&all);
    gdn_problem_free(&p);
    gdn_problem_free(&one);
}

START_TEST(columns_are_independent)
{
    make_recipes();
    for (int i = 0; i < SHAPES; i++)
        for (int r = 0; r < recipe_count; r++)
            check_columns(shape_at(i, 1), &recipes[r]);
}
END_TEST

/* Blocks of these lengths (the last repeats) give the bits of one block. */
static void check_split(const problem *p, const gdn_recipe *recipe, const result *whole, const int *lengths,
                        int n)
{
    result x = gdn_problem_run(p, engine, recipe, lengths, n);
    check_results(p, recipe, &x, whole, "split into blocks");
    gdn_result_free(&x);
}

/* Every cut of 70 tokens (the engine's own span is 32), then uneven blocks in every third shape. */
START_TEST(split_anywhere)
{
    make_recipes();
    for (int r = 0; r < recipe_count; r++) {
        problem p = gdn_problem_new((gdn_shape){2, 3, 5}, 70, 400);
        result whole = run(&p, &recipes[r]);
        for (int t = 1; t < 70; t++)
            check_split(&p, &recipes[r], &whole, (int[]){t, 70}, 2);
        check_split(&p, &recipes[r], &whole, (int[]){1}, 1);
        gdn_result_free(&whole);
        gdn_problem_free(&p);
    }
    for (int i = 0; i < SHAPES; i += 3) {
        problem p = gdn_problem_new(shape_at(i, 2), 45, 401 + (uint64_t)i);
        for (int r = 0; r < recipe_count; r++) {
            result whole = run(&p, &recipes[r]);
            check_split(&p, &recipes[r], &whole, (int[]){33, 1, 7, 4}, 4);
            gdn_result_free(&whole);
        }
        gdn_problem_free(&p);
    }
}
END_TEST

/* A state read out and given to another engine as its initial state goes on with the same bits. */
START_TEST(resume_from_state)
{
    make_recipes();
    for (int r = 0; r < recipe_count; r++) {
        problem p = gdn_problem_new((gdn_shape){2, 16, 19}, 40, 450);
        result whole = run(&p, &recipes[r]), x = gdn_result_new(&p);
        void *first = gdn_problem_open(&p, engine, &recipes[r]);
        gdn_problem_advance(&p, engine, first, 0, 17, &x);
        p.state0 = gdn_test_alloc(gdn_problem_state(&p), sizeof *p.state0);
        read_state(first, p.state0);
        void *second = gdn_problem_open(&p, engine, &recipes[r]);
        gdn_problem_advance(&p, engine, second, 17, 23, &x);
        read_state(second, x.state);
        check_results(&p, &recipes[r], &x, &whole, "resumed");
        engine->close(first);
        engine->close(second);
        gdn_result_free(&whole);
        gdn_result_free(&x);
        gdn_problem_free(&p);
    }
}
END_TEST

/* beta = 0: S_t = rest(op(alpha_t S_{t-1})), a given state fading and nothing else. */
static void check_decay(gdn_shape s, const gdn_recipe *recipe)
{
    enum { T = 12 };
    uint64_t seed = 500;
    problem p = gdn_problem_new(s, T, 500);
    p.beta = gdn_test_alloc((size_t)s.heads * T, sizeof *p.beta);
    p.state0 = gdn_test_doubles(&seed, gdn_problem_state(&p), -100, 100);
    result x = run(&p, recipe);
    for (size_t e = 0; e < gdn_problem_state(&p); e++) {
        int j = (int)(e % (size_t)s.dv), i = (int)(e / (size_t)s.dv % (size_t)s.dk);
        int h = (int)(e / (size_t)s.dv / (size_t)s.dk);
        double S = gdn_round(&gdn_formats[recipe->state], p.state0[e]);
        for (int t = 0; t < T; t++)
            S = model_rest(&p, recipe, op(recipe, x.alpha[h * T + t] * S), h, t + 1, i, j);
        GDN_CHECK(x.state[e] == S, "%s, dk %d, dv %d: state (%d, %d) from %a decays to %a, not %a",
                  recipe->name, s.dk, s.dv, i, j, p.state0[e], x.state[e], S);
    }
    gdn_result_free(&x);
    gdn_problem_free(&p);
}

START_TEST(beta_zero_is_pure_decay)
{
    make_recipes();
    for (int i = 0; i < SHAPES; i++)
        for (int r = 0; r < recipe_count; r++)
            check_decay(shape_at(i, 2), &recipes[r]);
}
END_TEST

/*
 * Keys along the axes, 2^12 long: the sum of squares 2^24 swallows eps in every format of operation, so k^ is
 * the axis itself. With beta = 1 and g = 0 each write replaces one row of the state by v, and a query along
 * an axis reads that row times op(dk^(-1/2)). v are small multiples of 1/8, so v - S^T k is exact even in
 * e4m3.
 */
static void check_recall(int dk, int dv, const gdn_recipe *recipe)
{
    int T = 3 * dk;
    problem p = gdn_problem_new((gdn_shape){1, dk, dv}, T, 600);
    uint64_t seed = 600;
    size_t rows = (size_t)T, width = (size_t)dv;
    p.g = gdn_test_alloc(rows, sizeof *p.g);
    p.beta = gdn_test_alloc(rows, sizeof *p.beta);
    double *row = gdn_test_alloc(gdn_problem_state(&p), sizeof *row),
           *o = gdn_test_alloc(rows * width, sizeof *o);
    double scale = op(recipe, 1 / sqrt(dk));
    for (int t = 0; t < T; t++) {
        int write = t < dk ? t : (int)(gdn_test_random(&seed) % (uint64_t)dk);
        int read = t % 2 ? write : (int)(gdn_test_random(&seed) % (uint64_t)dk);
        p.beta[t] = 1;
        for (int i = 0; i < dk; i++) {
            p.k[t * dk + i] = i == write ? 0x1p12f : 0;
            p.q[t * dk + i] = i == read ? -0x1p12f : 0;
        }
        for (int j = 0; j < dv; j++) {
            p.v[t * dv + j] = rintf((float)gdn_test_uniform(&seed, -7, 7)) / 8;
            row[write * dv + j] = p.v[t * dv + j];
        }
        for (int j = 0; j < dv; j++)
            o[t * dv + j] = gdn_round(&gdn_formats[recipe->output], op(recipe, -scale * row[read * dv + j]));
    }
    result x = run(&p, recipe);
    for (size_t i = 0; i < rows * width; i++)
        GDN_CHECK(x.o[i] == o[i], "%s, dk %d: o %zu is %a, written %a", recipe->name, dk, i, x.o[i], o[i]);
    for (size_t i = 0; i < gdn_problem_state(&p); i++)
        GDN_CHECK(x.state[i] == row[i], "%s, dk %d: state %zu is %a, written %a", recipe->name, dk, i,
                  x.state[i], row[i]);
    gdn_result_free(&x);
    gdn_problem_free(&p);
    free(row);
    free(o);
}

START_TEST(orthonormal_keys_recall_exactly)
{
    make_recipes();
    for (int i = 0; i < DIMS; i++)
        for (int r = 0; r < recipe_count; r++) {
            check_recall(dims[i], 19, &recipes[r]);
            check_recall(dims[i], 1, &recipes[r]);
        }
}
END_TEST

/*
 * Keys of length 1: eps shortens k^ to kappa = (1 + 1e-6)^(-1/2). A write puts kappa v there, reading it
 * gives kappa^2 v, short by 1e-6; a second write leaves 1 - kappa^2 = 1e-6 of the first beside kappa v2.
 * fp32, u = 2^-24, |v| <= 2: three roundings in S, three more in o.
 */
START_TEST(unit_keys_miss_by_eps)
{
    const double u = 0x1p-24, kappa2 = 1 / (1 + 1e-6), kappa = sqrt(kappa2);
    const gdn_recipe *fp32 = gdn_recipe_by_name("fp32");
    problem p = gdn_problem_new((gdn_shape){1, 16, 5}, 2, 700);
    p.g = gdn_test_alloc(2, sizeof *p.g);
    p.beta = gdn_test_alloc(2, sizeof *p.beta);
    p.beta[0] = p.beta[1] = 1;
    for (int i = 0; i < 32; i++)
        p.k[i] = p.q[i] = i % 16 == 3;
    result x = run(&p, fp32);
    for (int j = 0; j < 5; j++) {
        double v1 = p.v[j], v2 = p.v[5 + j], S2 = kappa * v2 + (1 - kappa2) * kappa * v1;
        GDN_CHECK(fabs(x.o[j] * 4 - kappa2 * v1) <= 6 * u * fabs(v1), "v %a read as %a / 4", v1, x.o[j] * 4);
        GDN_CHECK(fabs(x.o[j] * 4 - v1) >= 0.5e-6 * fabs(v1), "v %a read as %a / 4: no eps in it", v1,
                  x.o[j] * 4);
        double S = x.state[3 * 5 + j], allowed = 6 * u * (fabs(v1) + fabs(v2));
        GDN_CHECK(fabs(S - S2) <= allowed, "v %a then %a leave %a, not %a", v1, v2, S, S2);
    }
    gdn_result_free(&x);
    gdn_problem_free(&p);
}
END_TEST

/* Whatever a recipe stores the state in, every element rests on that grid, a given initial state included. */
START_TEST(state_rests_on_its_grid)
{
    make_recipes();
    for (int r = 0; r < recipe_count; r++)
        for (int tokens = 0; tokens <= 20; tokens += 10) {
            uint64_t seed = 800;
            problem p = gdn_problem_new((gdn_shape){2, 80, 19}, tokens, 800);
            p.state0 = gdn_test_doubles(&seed, gdn_problem_state(&p), -2, 2);
            result x = run(&p, &recipes[r]);
            int off_bf16 = 0;
            for (size_t i = 0; i < gdn_problem_state(&p); i++) {
                double s = x.state[i], rested = gdn_round(&gdn_formats[recipes[r].state], s);
                GDN_CHECK(gdn_same(s, rested), "%s: state %zu = %a, on the grid %a", recipes[r].name, i, s,
                          rested);
                off_bf16 += s != gdn_round(&gdn_formats[GDN_BF16], s);
            }
            bool finer = gdn_formats[recipes[r].state].p > 8 && recipes[r].op != GDN_BF16;
            ck_assert_int_eq(finer, off_bf16 > 0);
            gdn_result_free(&x);
            gdn_problem_free(&p);
        }
}
END_TEST

/* ---------------------------------------------------------------- stochastic rounding */

START_TEST(stochastic_seeds)
{
    make_recipes();
    for (int r = 0; r < recipe_count; r++) {
        problem p = gdn_problem_new((gdn_shape){2, 16, 19}, 20, 900);
        result one = run(&p, &recipes[r]), again = run(&p, &recipes[r]);
        check_results(&p, &recipes[r], &one, &again, "same seed");
        p.seed++;
        result other = run(&p, &recipes[r]);
        bool rounds = recipes[r].state_rounding == GDN_STOCHASTIC && recipes[r].state != recipes[r].op;
        bool equal = memcmp(one.state, other.state, gdn_problem_state(&p) * sizeof(double)) == 0;
        GDN_CHECK(equal == !rounds, "%s: another seed gives %s bits", recipes[r].name,
                  equal ? "the same" : "other");
        gdn_result_free(&one);
        gdn_result_free(&again);
        gdn_result_free(&other);
        gdn_problem_free(&p);
    }
}
END_TEST

/*
 * The state after T tokens is linear in each rounding error, so its mean over seeds is the state that is not
 * rounded (fp32; 2^-24 is invisible here). Per element: within 5 standard errors of it.
 */
static void check_unbiased(const char *name, gdn_format_id state)
{
    enum { T = 8, DK = 8, DV = 9, SEEDS = 2000 };
    gdn_recipe rounded = *gdn_recipe_by_name(name), plain = rounded;
    rounded.state = state;
    plain.state = GDN_FP32;
    problem p = gdn_problem_new((gdn_shape){1, DK, DV}, T, 1000);
    double sum[DK * DV] = {0}, squares[DK * DV] = {0};
    result exact = run(&p, &plain);
    for (p.seed = 1; p.seed <= SEEDS; p.seed++) {
        result x = run(&p, &rounded);
        for (int i = 0; i < DK * DV; i++) {
            double e = x.state[i] - exact.state[i];
            sum[i] += e;
            squares[i] += e * e;
        }
        gdn_result_free(&x);
    }
    for (int i = 0; i < DK * DV; i++) {
        double mean = sum[i] / SEEDS, error = sqrt((squares[i] / SEEDS - mean * mean) / SEEDS);
        GDN_CHECK(error > 0 && fabs(mean) <= gdn_tolerance.sigmas * error,
                  "%s: state %d = %a: mean error %a, its sigma %a", gdn_formats[state].name, i,
                  exact.state[i], mean, error);
    }
    gdn_result_free(&exact);
    gdn_problem_free(&p);
}

START_TEST(stochastic_is_unbiased)
{
    check_unbiased("bf16-state-sr", GDN_BF16);
    check_unbiased("bf16-state-sr", GDN_FP16);
}
END_TEST

/* Independent numbers: no two elements, tokens or heads share their draws (correlation of 2,000 pairs each).
 */
START_TEST(stochastic_draws_are_independent)
{
    problem p = {.shape = {2, 16, 19}, .seed = 5};
    const int step[][4] = {{0, 0, 0, 1}, {0, 0, 1, 0}, {0, 1, 0, 0},
                           {1, 0, 0, 0}, {0, 0, 0, 8}, {0, 1, -1, 0}};
    for (size_t s = 0; s < sizeof step / sizeof step[0]; s++) {
        double dot = 0;
        int n = 0;
        for (int t = 1; t <= 20; t++)
            for (int i = 1; i < 15; i++)
                for (int j = 0; j < 8; j++, n++) {
                    double x = model_bits(&p, 0, t, i, j);
                    double y = model_bits(&p, step[s][0], t + step[s][1], i + step[s][2], j + step[s][3]);
                    dot += (x - 32767.5) * (y - 32767.5);
                }
        double r = dot / n / (65536.0 * 65536 / 12);
        GDN_CHECK(fabs(r) < gdn_tolerance.sigmas / sqrt(n), "step %zu: correlation %a over %d pairs", s, r,
                  n);
    }
}
END_TEST

/* ---------------------------------------------------------------- machines, heads, the interface */

/* Scalar, AVX2 and AVX-512 give the same bits. What this CPU lacks is named and skipped. */
START_TEST(instruction_sets_agree)
{
    make_recipes();
    gdn_isa best = gdn_isa_best();
    for (int i = 0; i < SHAPES; i++) {
        problem p = gdn_problem_new(shape_at(i, 2), 6, 1100 + (uint64_t)i);
        for (int r = 0; r < recipe_count; r++) {
            gdn_isa_force(GDN_ISA_SCALAR);
            ck_assert_int_eq(gdn_isa_best(), GDN_ISA_SCALAR);
            result scalar = run(&p, &recipes[r]);
            for (gdn_isa isa = GDN_ISA_AVX2; isa < GDN_ISAS; isa++) {
                if (!gdn_isa_available(isa)) {
                    if (i == 0 && r == 0)
                        fprintf(stderr, "test_recurrent: this CPU has no %s; not tested\n",
                                gdn_isa_names[isa]);
                    continue;
                }
                gdn_isa_force(isa);
                result x = run(&p, &recipes[r]);
                check_results(&p, &recipes[r], &x, &scalar, gdn_isa_names[isa]);
                gdn_result_free(&x);
            }
            gdn_result_free(&scalar);
        }
        gdn_problem_free(&p);
    }
    gdn_isa_force(best);
}
END_TEST

/* Head h of a problem as a problem of one head. */
static problem only_head(const problem *p, int h)
{
    problem one = gdn_problem_new((gdn_shape){1, p->shape.dk, p->shape.dv}, p->tokens, p->seed);
    size_t n = (size_t)p->tokens, dk = (size_t)p->shape.dk, dv = (size_t)p->shape.dv, from = (size_t)h * n;
    memcpy(one.q, p->q + from * dk, n * dk * sizeof *one.q);
    memcpy(one.k, p->k + from * dk, n * dk * sizeof *one.k);
    memcpy(one.v, p->v + from * dv, n * dv * sizeof *one.v);
    memcpy(one.z, p->z + from * dv, n * dv * sizeof *one.z);
    memcpy(one.a, p->a + from, n * sizeof *one.a);
    memcpy(one.b, p->b + from, n * sizeof *one.b);
    memcpy(one.w, p->w, dv * sizeof *one.w);
    one.decay[0] = p->decay[h];
    one.dt_bias[0] = p->dt_bias[h];
    return one;
}

/* A head gives the same bits alone as in a batch. Stochastic draws depend on the head's number: there, only
 * head 0. */
START_TEST(heads_are_independent)
{
    make_recipes();
    for (int i = 0; i < SHAPES; i++)
        for (int r = 0; r < recipe_count; r++) {
            problem p = gdn_problem_new(shape_at(i, 3), 9, 1200 + (uint64_t)i);
            result all = run(&p, &recipes[r]);
            int heads = recipes[r].state_rounding == GDN_STOCHASTIC ? 1 : 3;
            for (int h = 0; h < heads; h++) {
                problem one = only_head(&p, h);
                result x = run(&one, &recipes[r]);
                size_t rows = (size_t)h * 9, values = rows * (size_t)p.shape.dv;
                result part = x;
                part.g = all.g + rows;
                part.alpha = all.alpha + rows;
                part.o = all.o + values;
                part.y = all.y + values;
                part.state = all.state + (size_t)h * gdn_problem_state(&one);
                check_results(&one, &recipes[r], &x, &part, "a head alone");
                gdn_result_free(&x);
                gdn_problem_free(&one);
            }
            gdn_result_free(&all);
            gdn_problem_free(&p);
        }
}
END_TEST

/* Outputs that are not wanted change nothing in those that are; gates come without the recurrence, too. */
START_TEST(outputs_on_demand)
{
    make_recipes();
    problem p = gdn_problem_new((gdn_shape){2, 16, 19}, 40, 1300);
    gdn_block in = {.first = 1, .tokens = 40, .q = p.q, .k = p.k, .v = p.v, .z = p.z, .a = p.a, .b = p.b};
    for (int r = 0; r < recipe_count; r++) {
        result all = run(&p, &recipes[r]), x = gdn_result_new(&p);
        const gdn_outputs wanted[] = {{.o = x.o}, {.y = x.y}, {.g = x.g}, {.alpha = x.alpha}, {0}};
        gdn_error err = {""};
        for (int i = 0; i < 5; i++) {
            void *self = gdn_problem_open(&p, engine, &recipes[r]);
            ck_assert_int_eq(engine->advance(self, &in, &wanted[i], &err), GDN_OK);
            read_state(self, x.state);
            engine->close(self);
            check_bits(x.state, all.state, gdn_problem_state(&p), &recipes[r], &p.shape,
                       "state, few outputs wanted");
        }
        check_results(&p, &recipes[r], &x, &all, "one output at a time");
        gdn_setup gates = {
            .shape = p.shape, .params = {false, p.decay, p.dt_bias, NULL, GDN_FP64}, .recipe = &recipes[r]};
        gdn_block only = {.first = 1, .tokens = 40, .a = p.a};
        void *self = NULL;
        memset(x.g, 0, 80 * sizeof *x.g);
        ck_assert_int_eq(engine->open(&self, &gates, &err), GDN_OK);
        ck_assert_int_eq(engine->advance(self, &only, &(gdn_outputs){.g = x.g, .alpha = x.alpha}, &err),
                         GDN_OK);
        engine->close(self);
        check_results(&p, &recipes[r], &x, &all, "gates only");
        gdn_result_free(&all);
        gdn_result_free(&x);
    }
    gdn_problem_free(&p);
}
END_TEST

/* The engine's counts over the problem, y wanted or not, in blocks of n. */
static gdn_counts counted(const problem *p, const gdn_recipe *recipe, bool recurrence, bool y, int n)
{
    gdn_counts c = {0, 0, 0};
    gdn_setup setup = {.shape = p->shape,
                       .params = {false, p->decay, p->dt_bias, p->w, GDN_FP64, p->beta_shift},
                       .recurrence = recurrence,
                       .recipe = recipe,
                       .counts = &c};
    gdn_error err = {""};
    void *self = NULL;
    ck_assert_int_eq(engine->open(&self, &setup, &err), GDN_OK);
    result r = gdn_result_new(p);
    for (int t = 0; t < p->tokens; t += n) {
        int length = p->tokens - t < n ? p->tokens - t : n;
        size_t dk = (size_t)p->shape.dk, dv = (size_t)p->shape.dv, at = (size_t)t;
        gdn_block in = {.first = t + 1, .tokens = length, .q = p->q + at * dk, .k = p->k + at * dk};
        in.v = p->v + at * dv;
        in.z = p->z + at * dv;
        in.a = p->g ? NULL : p->a + at;
        in.g = p->g ? p->g + at : NULL;
        in.b = p->beta ? NULL : p->b + at;
        in.beta = p->beta ? p->beta + at : NULL;
        ck_assert_int_eq(engine->advance(self, &in, &(gdn_outputs){.o = r.o, .y = y ? r.y : NULL}, &err),
                         GDN_OK);
    }
    engine->close(self);
    gdn_result_free(&r);
    return c;
}

/*
 * Operations of one head of 3 x 5 over 70 tokens, added up by hand. State: 7 an element. A token's vectors:
 * beta (v - recall) 2 x 5; k^ 3 x 3 + 1, q^ 4 x 3 + 1; out_norm 2 x 5 for the sum of squares, 1 for eps, 5 x
 * 5 for o rstd, w, 1 + e^-z, z sigmoid(z) and their product. Functions: two a norm and one for the mean, exp
 * and quotient of 5 + 1 sigmoids, exp and log of softplus, exp of g.
 */
START_TEST(operations_are_counted)
{
    enum { T = 70 };
    problem p = gdn_problem_new((gdn_shape){1, 3, 5}, T, 1350);
    gdn_recipe r = *gdn_recipe_by_name("fp32");
    const double products = 7 * 15 * T, vectors = (10 + 10 + 13) * T, norm = (10 + 1 + 25) * T;
    const double gate = (1 + 1 + 1 + 1) * T; /* a + dt_bias, softplus, A, the sigmoid of b */
    for (int n = 1; n <= T; n = 3 * n + 1) {
        gdn_counts c = counted(&p, &r, true, true, n);
        GDN_CHECK(c.products == products && c.pointwise == vectors + norm + gate &&
                      c.functions == (2 + 2 + 3 + 10 + 2 + 2 + 1) * T,
                  "blocks of %d: %g, %g, %g", n, c.products, c.pointwise, c.functions);
    }
    gdn_counts c = counted(&p, &r, true, false, T);
    GDN_CHECK(c.products == products && c.pointwise == vectors + gate &&
                  c.functions == (2 + 2 + 2 + 2 + 1) * T,
              "without y: %g, %g, %g", c.products, c.pointwise, c.functions);
    c = counted(&p, &r, false, false, T);
    GDN_CHECK(c.products == 0 && c.pointwise == 3 * T && c.functions == 3 * T, "gates: %g, %g, %g",
              c.products, c.pointwise, c.functions);
    /* no norm but d_k^(-1/2) q; log-exp has three products and sums; log2(alpha + 1e-10) and back; twice beta
     */
    r.l2norm = GDN_L2_NONE;
    r.softplus = GDN_SOFTPLUS_LOG_EXP;
    r.carrier = GDN_CARRIER_ALPHA;
    p.beta_shift = 1;
    c = counted(&p, &r, true, false, T);
    GDN_CHECK(c.pointwise == (10 + 3 + 5 + 2 + 2) * T && c.functions == (2 + 2 + 1 + 2) * T,
              "another design: %g, %g", c.pointwise, c.functions);
    p.g = gdn_test_alloc(T, sizeof *p.g);
    p.beta = gdn_test_alloc(T, sizeof *p.beta);
    p.beta_shift = 0;
    r.l2norm = GDN_L2_MEAN_EPS;
    r.carrier = GDN_CARRIER_G;
    c = counted(&p, &r, true, false, T);
    GDN_CHECK(c.pointwise == (10 + 11 + 14) * T && c.functions == (3 + 3 + 1) * T, "given gates: %g, %g",
              c.pointwise, c.functions);
    gdn_problem_free(&p);
}
END_TEST

START_TEST(sampled_columns_are_refused)
{
    const int column = 0;
    gdn_setup setup = {.shape = {1, 4, 4}, .columns = &column, .ncolumns = 1, .recipe = &gdn_recipes[0]};
    gdn_error err = {""};
    void *self = NULL;
    ck_assert_int_eq(engine->open(&self, &setup, &err), GDN_BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "columns"));
    engine->close(NULL);
}
END_TEST

GDN_TEST_MAIN("recurrent", bits_of_the_model, bits_of_the_model_in_designs, norm_off_and_scaled,
              linear_in_the_scale, lengths_of_normalised_keys, casts_of_out_norm, beta_of_two_reflects,
              operations_are_counted, scaling_of_v_is_exact, linear_in_v, columns_are_independent,
              split_anywhere, resume_from_state, beta_zero_is_pure_decay, orthonormal_keys_recall_exactly,
              unit_keys_miss_by_eps, state_rests_on_its_grid, stochastic_seeds, stochastic_is_unbiased,
              stochastic_draws_are_independent, instruction_sets_agree, heads_are_independent,
              outputs_on_demand, sampled_columns_are_refused)
