/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_mpfr -- the reference itself: gdn_mpfr against a recurrence written again in binary128, against itself
 * at more bits, on sampled columns and in blocks; identities; and other people's outputs, whose errors are
 * known.
 */
#include "tests/gdn_test.h"

#include <unistd.h>

#include "harness/safetensors.h"
#include "reference/gdn_mpfr.h"

typedef gdn_problem problem;
typedef gdn_result result;

static const gdn_engine *const engine = &gdn_mpfr_engine;

static result run(const problem *p)
{
    return gdn_problem_run(p, engine, NULL, &p->tokens, 1);
}

/* ---------------------------------------------------------------- binary128, and three functions in it */

#if defined(__SIZEOF_FLOAT128__)
typedef __float128 quad;
#else
typedef long double quad;
_Static_assert(__LDBL_MANT_DIG__ == 113, "no binary128 here");
#endif

/* r^2 / 2! + r^3 / 3! + ..., |r| <= 1/2: 28 terms leave 2^-128. */
static quad exp_series(quad r)
{
    quad term = 1, sum = 0;
    for (int n = 1; n <= 30; n++) {
        term *= r / n;
        sum += n > 1 ? term : 0;
    }
    return sum;
}

static quad power_of_two(int n)
{
    quad x = 1;
    for (; n > 0; n--)
        x *= 2;
    for (; n < 0; n++)
        x /= 2;
    return x;
}

/* x = n ln 2 + r, ln 2 in three doubles. */
static quad quad_exp(quad x)
{
    int n = (int)rint((double)x / 0x1.62e42fefa39efp-1);
    quad r = ((x - n * (quad)0x1.62e42fefa39efp-1) - n * (quad)0x1.abc9e3b39803fp-56) -
             n * (quad)0x1.7b57a079a1934p-111;
    return (1 + (r + exp_series(r))) * power_of_two(n);
}

static quad quad_expm1(quad x)
{
    return x < 0.5 && x > -0.5 ? x + exp_series(x) : quad_exp(x) - 1;
}

/* Newton on e^y - 1 = u from the double on: 53, 106, 212 bits. */
static quad quad_log1p(quad u)
{
    quad y = log1p((double)u);
    for (int i = 0; i < 2; i++) {
        quad e = quad_expm1(y);
        y -= (e - u) / (1 + e);
    }
    return y;
}

static quad quad_rsqrt(quad x)
{
    quad y = sqrt((double)x);
    for (int i = 0; i < 2; i++)
        y = (y + x / y) / 2;
    return 1 / y;
}

static quad quad_sigmoid(quad x)
{
    return 1 / (1 + quad_exp(-x));
}

/* ---------------------------------------------------------------- the layer again */

typedef struct model {
    quad *g, *alpha, *o, *y, *ms, *state;
} model;

/* alpha of one token as the recurrence uses it. */
static quad model_alpha(const problem *p, quad g)
{
    quad alpha = quad_exp(g);
    return p->alpha == GDN_FP64 ? alpha : (quad)gdn_round(&gdn_formats[p->alpha], (double)alpha);
}

static quad model_gate(const problem *p, int h, size_t at)
{
    if (p->g)
        return p->g[at];
    quad rate = p->decay_is_a ? (quad)p->decay[h] : quad_exp(p->decay[h]);
    return -rate * quad_log1p(quad_exp((quad)p->a[at] + (quad)p->dt_bias[h]));
}

static void model_l2_norm(const float *x, int n, bool off, quad scale, quad *out)
{
    quad sum = (quad)1 / 1000000;
    for (int i = 0; i < n; i++)
        sum += (quad)x[i] * x[i];
    quad rstd = off ? 1 : quad_rsqrt(sum);
    for (int i = 0; i < n; i++)
        out[i] = x[i] * rstd * scale;
}

/* One token of one head, every column; S: [dk][dv], o: [dv]. */
static void model_step(const gdn_shape *s, quad *S, const quad *k, const quad *q, quad alpha, quad beta,
                       const float *v, quad *o)
{
    for (int j = 0; j < s->dv; j++) {
        quad recall = 0;
        for (int i = 0; i < s->dk; i++)
            recall += alpha * S[i * s->dv + j] * k[i];
        quad delta = beta * (v[j] - recall);
        o[j] = 0;
        for (int i = 0; i < s->dk; i++) {
            S[i * s->dv + j] = alpha * S[i * s->dv + j] + k[i] * delta;
            o[j] += S[i * s->dv + j] * q[i];
        }
    }
}

/* Mean square of o, and y. */
static quad model_out_norm(const quad *o, const float *z, const double *w, int dv, quad *y)
{
    quad ms = 0;
    for (int j = 0; j < dv; j++)
        ms += o[j] * o[j] / dv;
    quad rstd = quad_rsqrt(ms + (quad)1 / 1000000);
    for (int j = 0; j < dv; j++)
        y[j] = w[j] * o[j] * rstd * z[j] * quad_sigmoid(z[j]);
    return ms;
}

static model model_run(const problem *p)
{
    const gdn_shape *s = &p->shape;
    size_t rows = gdn_problem_rows(p), size = sizeof(quad), dk = (size_t)s->dk, dv = (size_t)s->dv;
    model m = {gdn_test_alloc(rows, size),      gdn_test_alloc(rows, size),
               gdn_test_alloc(rows * dv, size), gdn_test_alloc(rows * dv, size),
               gdn_test_alloc(rows, size),      gdn_test_alloc(gdn_problem_state(p), size)};
    quad q[GDN_MAX_DIM], k[GDN_MAX_DIM];
    for (size_t i = 0; p->state0 && i < gdn_problem_state(p); i++)
        m.state[i] = p->state0[i];
    for (size_t at = 0; at < rows; at++) {
        int h = (int)(at / (size_t)p->tokens);
        m.g[at] = model_gate(p, h, at);
        m.alpha[at] = model_alpha(p, m.g[at]);
        quad beta = (p->beta ? (quad)p->beta[at] : quad_sigmoid(p->b[at])) * power_of_two(p->beta_shift);
        model_l2_norm(p->k + at * dk, s->dk, p->l2norm_off, 1, k);
        model_l2_norm(p->q + at * dk, s->dk, p->l2norm_off, p->scale != 0 ? p->scale : quad_rsqrt(s->dk), q);
        model_step(s, m.state + (size_t)h * dk * dv, k, q, m.alpha[at], beta, p->v + at * dv, m.o + at * dv);
        m.ms[at] = model_out_norm(m.o + at * dv, p->z + at * dv, p->w, s->dv, m.y + at * dv);
    }
    return m;
}

static void model_free(model *m)
{
    quad *all[] = {m->g, m->alpha, m->o, m->y, m->ms, m->state};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

/* Largest |hi + lo - want| beside the largest |want|. */
static double far_off(const double *hi, const double *lo, const quad *want, size_t n)
{
    double off = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        off = fmax(off, fabs((double)((quad)hi[i] + lo[i] - want[i])));
        most = fmax(most, fabs((double)want[i]));
    }
    return off == 0 ? 0 : off / most;
}

static void check_model(const problem *p, const char *name)
{
    result r = run(p);
    model m = model_run(p);
    size_t rows = gdn_problem_rows(p), values = gdn_problem_values(p);
    const struct {
        const char *name;
        const double *hi, *lo;
        const quad *want;
        size_t n;
    } all[] = {
        {"g", r.g, r.g_lo, m.g, rows},     {"alpha", r.alpha, r.alpha_lo, m.alpha, rows},
        {"o", r.o, r.o_lo, m.o, values},   {"y", r.y, r.y_lo, m.y, values},
        {"ms", r.ms, r.ms_lo, m.ms, rows}, {"state", r.state, r.state_lo, m.state, gdn_problem_state(p)}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        double off = far_off(all[i].hi, all[i].lo, all[i].want, all[i].n);
        GDN_CHECK(off <= gdn_tolerance.mpfr_quad, "%s, dk %d, dv %d: %s off by %a, %a allowed", name,
                  p->shape.dk, p->shape.dv, all[i].name, off, gdn_tolerance.mpfr_quad);
    }
    gdn_result_free(&r);
    model_free(&m);
}

/* Random inputs in several shapes; alpha stored, A instead of log A, an initial state, g and beta given, beta
 * doubled; q scaled otherwise, and q and k as they come. */
START_TEST(against_binary128)
{
    const gdn_shape shapes[] = {{2, 16, 16}, {1, 1, 3}, {1, 3, 1}, {2, 7, 5}, {1, 20, 2}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        problem p = gdn_problem_new(shapes[i], 64, 30 + i);
        uint64_t seed = 31;
        check_model(&p, "plain");
        p.state0 = gdn_test_doubles(&seed, gdn_problem_state(&p), -3, 3);
        check_model(&p, "state0");
        p.alpha = GDN_FP32;
        check_model(&p, "alpha in fp32");
        p.alpha = GDN_FP64;
        for (int h = 0; h < p.shape.heads; h++)
            p.decay[h] = 0.125 + 0.3 * h;
        p.decay_is_a = true;
        check_model(&p, "A given");
        p.g = gdn_test_floats(&seed, gdn_problem_rows(&p), -0.5, 0);
        p.beta = gdn_test_floats(&seed, gdn_problem_rows(&p), 0, 1);
        check_model(&p, "g and beta given");
        p.beta_shift = 1;
        check_model(&p, "g and beta given, beta doubled");
        free(p.beta);
        p.beta = NULL;
        check_model(&p, "beta doubled");
        p.beta_shift = 0;
        p.scale = 0.3;
        check_model(&p, "scale 0.3");
        for (size_t j = 0; j < gdn_problem_rows(&p) * (size_t)p.shape.dk; j++)
            p.k[j] *= 0x1p-3f; /* lengths below 1: longer ones grow without end */
        p.l2norm_off = true;
        check_model(&p, "the L2 norm off, scale 0.3");
        p.scale = 0;
        check_model(&p, "the L2 norm off");
        gdn_problem_free(&p);
    }
}
END_TEST

/* ---------------------------------------------------------------- the engine against itself */

/* |(xhi + xlo) - (yhi + ylo)| / |y|, L2. */
static double apart(const double *xhi, const double *xlo, const double *yhi, const double *ylo, size_t n)
{
    double off = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (xhi[i] - yhi[i]) + (xlo[i] - ylo[i]);
        off += d * d;
        size += yhi[i] * yhi[i];
    }
    return sqrt(off / size);
}

/* 113 against 160 bits, T = 64, d = 16. */
START_TEST(precision_certificate)
{
    problem p = gdn_problem_new((gdn_shape){2, 16, 16}, 64, 40);
    result low = run(&p);
    p.precision = GDN_MPFR_CHECK_PRECISION;
    result high = run(&p);
    double state = apart(low.state, low.state_lo, high.state, high.state_lo, gdn_problem_state(&p));
    double o = apart(low.o, low.o_lo, high.o, high.o_lo, gdn_problem_values(&p));
    double y = apart(low.y, low.y_lo, high.y, high.y_lo, gdn_problem_values(&p));
    GDN_CHECK(state <= gdn_tolerance.mpfr_certificate, "state differs by %a", state);
    GDN_CHECK(o <= gdn_tolerance.mpfr_certificate, "o differs by %a", o);
    GDN_CHECK(y <= gdn_tolerance.mpfr_certificate, "y differs by %a", y);
    /* a lower precision must be seen: otherwise nothing was certified */
    p.precision = 64;
    result coarse = run(&p);
    double seen = apart(coarse.state, coarse.state_lo, high.state, high.state_lo, gdn_problem_state(&p));
    GDN_CHECK(seen > 0x1p-70 && seen < 0x1p-50, "64 bits differ by %a", seen);
    gdn_result_free(&low);
    gdn_result_free(&high);
    gdn_result_free(&coarse);
    gdn_problem_free(&p);
}
END_TEST

START_TEST(precision_limits)
{
    const int refused[] = {0, 63, 4097};
    for (int i = 0; i < 3; i++) {
        gdn_setup setup = {.shape = {1, 1, 1}, .precision = refused[i]};
        gdn_error err = {""};
        void *self = NULL;
        ck_assert_int_eq(engine->open(&self, &setup, &err), GDN_BAD_INPUT);
        ck_assert_ptr_null(self);
        ck_assert_ptr_nonnull(strstr(err.text, "precision"));
    }
    engine->close(NULL);
}
END_TEST

/* Column c of [n][from] beside column i of [n][m]. */
static void check_column(const double *x, int from, int c, const double *y, int m, int i, size_t n,
                         const char *what)
{
    for (size_t t = 0; t < n; t++) {
        double a = x[t * (size_t)from + (size_t)c], b = y[t * (size_t)m + (size_t)i];
        GDN_CHECK(gdn_same(a, b), "%s, column %d, row %zu: %a, sampled %a", what, c, t, a, b);
    }
}

/* A sample of columns gives the bits of the full run; y, for which it is handed ms, the same to 2^-100. */
START_TEST(sampled_columns)
{
    static const int columns[] = {0, 3, 4, 11};
    enum { M = 4, DV = 12 };
    uint64_t seed = 50;
    problem p = gdn_problem_new((gdn_shape){2, 10, DV}, 40, 50);
    p.state0 = gdn_test_doubles(&seed, gdn_problem_state(&p), -1, 1);
    result all = run(&p);
    size_t rows = gdn_problem_rows(&p), height = 20;
    p.ms = gdn_test_alloc(rows, sizeof *p.ms);
    p.ms_lo = gdn_test_alloc(rows, sizeof *p.ms_lo);
    memcpy(p.ms, all.ms, rows * sizeof *p.ms);
    memcpy(p.ms_lo, all.ms_lo, rows * sizeof *p.ms_lo);
    p.columns = columns;
    p.ncolumns = M;
    result some = run(&p);
    gdn_check_bits(some.g, all.g, rows, "g");
    gdn_check_bits(some.alpha_lo, all.alpha_lo, rows, "alpha lo");
    gdn_check_bits(some.ms, all.ms, rows, "ms");
    double off = 0, most = 0;
    for (int c = 0; c < M; c++) {
        check_column(all.o, DV, columns[c], some.o, M, c, rows, "o");
        check_column(all.o_lo, DV, columns[c], some.o_lo, M, c, rows, "o lo");
        check_column(all.state, DV, columns[c], some.state, M, c, height, "state");
        check_column(all.state_lo, DV, columns[c], some.state_lo, M, c, height, "state lo");
        for (size_t t = 0; t < rows; t++) {
            size_t x = t * DV + (size_t)columns[c], y = t * M + (size_t)c;
            off = fmax(off, fabs((all.y[x] - some.y[y]) + (all.y_lo[x] - some.y_lo[y])));
            most = fmax(most, fabs(all.y[x]));
        }
    }
    GDN_CHECK(off <= gdn_tolerance.mpfr_sampled * most, "y on sampled columns off by %a of %a", off, most);
    gdn_result_free(&all);
    gdn_result_free(&some);
    gdn_problem_free(&p);
}
END_TEST

START_TEST(sampled_y_needs_ms)
{
    static const int columns[] = {1};
    problem p = gdn_problem_new((gdn_shape){1, 2, 3}, 2, 51);
    p.columns = columns;
    p.ncolumns = 1;
    void *self = gdn_problem_open(&p, engine, NULL);
    double y[2];
    gdn_block in = {.first = 1, .tokens = 2, .q = p.q, .k = p.k, .v = p.v, .z = p.z, .a = p.a, .b = p.b};
    gdn_error err = {""};
    ck_assert_int_eq(engine->advance(self, &in, &(gdn_outputs){.y = y}, &err), GDN_BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "mean square"));
    engine->close(self);
    gdn_problem_free(&p);
}
END_TEST

/* Every cut of 37 tokens (the engine's own span is 16), token by token, and uneven blocks. */
START_TEST(split_anywhere)
{
    problem p = gdn_problem_new((gdn_shape){2, 4, 3}, 37, 60);
    result whole = run(&p);
    for (int t = 1; t <= 40; t++) {
        result x = t < 37 ? gdn_problem_run(&p, engine, NULL, (int[]){t, 37}, 2)
                          : gdn_problem_run(&p, engine, NULL, (int[]){t - 36, 5, 1}, 3);
        gdn_check_results(&p, &x, &whole, "split");
        gdn_result_free(&x);
    }
    gdn_result_free(&whole);
    gdn_problem_free(&p);
}
END_TEST

/* Outputs that are not wanted change nothing; gates come without the recurrence. */
START_TEST(outputs_on_demand)
{
    problem p = gdn_problem_new((gdn_shape){2, 4, 3}, 20, 61);
    result all = run(&p), x = gdn_result_new(&p);
    gdn_block in = {.first = 1, .tokens = 20, .q = p.q, .k = p.k, .v = p.v, .z = p.z, .a = p.a, .b = p.b};
    const gdn_outputs wanted[] = {
        {.o = x.o, .o_lo = x.o_lo}, {.y = x.y, .y_lo = x.y_lo}, {.ms = x.ms, .ms_lo = x.ms_lo}};
    gdn_error err = {""};
    for (int i = 0; i < 3; i++) {
        void *self = gdn_problem_open(&p, engine, NULL);
        ck_assert_int_eq(engine->advance(self, &in, &wanted[i], &err), GDN_OK);
        gdn_problem_read(engine, self, &x);
        engine->close(self);
    }
    gdn_setup gates = {
        .shape = p.shape, .params = {false, p.decay, p.dt_bias, NULL, GDN_FP64}, .precision = 113};
    gdn_block only = {.first = 1, .tokens = 20, .a = p.a};
    void *self = NULL;
    ck_assert_int_eq(engine->open(&self, &gates, &err), GDN_OK);
    gdn_outputs out = {.g = x.g, .g_lo = x.g_lo, .alpha = x.alpha, .alpha_lo = x.alpha_lo};
    ck_assert_int_eq(engine->advance(self, &only, &out, &err), GDN_OK);
    engine->close(self);
    gdn_check_results(&p, &x, &all, "one output at a time");
    gdn_result_free(&all);
    gdn_result_free(&x);
    gdn_problem_free(&p);
}
END_TEST

/* Few inputs that repeat, in every head, and of b what there is of a: each gate is still its own. */
START_TEST(repeated_inputs)
{
    problem p = gdn_problem_new((gdn_shape){3, 4, 2}, 64, 62);
    for (size_t i = 0; i < gdn_problem_rows(&p); i++)
        p.a[i] = p.b[i] = p.b[i % 5];
    check_model(&p, "repeated inputs");
    gdn_problem_free(&p);
}
END_TEST

/* g and alpha of n inputs, as a or as g. */
static void gates_of(void *self, const float *x, bool is_g, int n, double *g, double *alpha)
{
    gdn_error err = {""};
    gdn_block in = {.first = 1, .tokens = n, .a = is_g ? NULL : x, .g = is_g ? x : NULL};
    ck_assert_int_eq(engine->advance(self, &in, &(gdn_outputs){.g = g, .alpha = alpha}, &err), GDN_OK);
}

/* What an engine has met before changes no gate: more inputs than it can remember, forwards and backwards,
 * and the same numbers as a and as g. */
START_TEST(gates_forget_nothing)
{
    enum { N = 12000 };
    uint64_t seed = 63;
    static const double decay = -1, dt_bias = -0.5;
    gdn_setup setup = {.shape = {1, 1, 1},
                       .params = {.decay = &decay, .dt_bias = &dt_bias, .alpha = GDN_FP64},
                       .precision = 64};
    float *x = gdn_test_alloc(N, sizeof *x);
    double *out = gdn_test_alloc(6 * N, sizeof *out), *g[3] = {out, out + N, out + 2 * N},
           *alpha[3] = {out + 3 * N, out + 4 * N, out + 5 * N};
    for (int i = 0; i < N; i++)
        x[i] = (float)gdn_test_uniform(&seed, -4, 0);
    gdn_error err = {""};
    void *self = NULL, *other = NULL;
    ck_assert_int_eq(engine->open(&self, &setup, &err), GDN_OK);
    ck_assert_int_eq(engine->open(&other, &setup, &err), GDN_OK);
    gates_of(self, x, false, N, g[0], alpha[0]);
    for (int i = N - 1; i >= 0; i--)
        gates_of(self, x + i, false, 1, g[1] + i, alpha[1] + i);
    gdn_check_bits(g[1], g[0], N, "g backwards");
    gdn_check_bits(alpha[1], alpha[0], N, "alpha backwards");
    gates_of(self, x, true, N, g[1], alpha[1]);
    gates_of(other, x, true, N, g[2], alpha[2]);
    gdn_check_bits(g[1], g[2], N, "g that was a before");
    gdn_check_bits(alpha[1], alpha[2], N, "alpha of g that was a before");
    engine->close(self);
    engine->close(other);
    free(x);
    free(out);
}
END_TEST

/* ---------------------------------------------------------------- identities */

/* beta = 0 and g = 0: the state stays to the bit. beta = 0, g = -ln 2 roughly: it is state0 times the product
 * of alphas. */
START_TEST(beta_zero)
{
    uint64_t seed = 70;
    problem p = gdn_problem_new((gdn_shape){1, 3, 5}, 20, 70);
    p.beta = gdn_test_alloc(20, sizeof *p.beta);
    p.g = gdn_test_alloc(20, sizeof *p.g);
    p.state0 = gdn_test_doubles(&seed, 15, -1, 1);
    double zero[15] = {0};
    result still = run(&p);
    gdn_check_bits(still.state, p.state0, 15, "state, nothing written, nothing forgotten");
    gdn_check_bits(still.state_lo, zero, 15, "its low half");
    for (int t = 0; t < 20; t++) {
        p.g[t] = -0.6931f;
        GDN_CHECK(still.alpha[t] == 1 && still.alpha_lo[t] == 0, "alpha(g = 0) = %a", still.alpha[t]);
    }
    result fading = run(&p);
    quad left = quad_exp(20 * (quad)-0.6931f);
    for (int i = 0; i < 15; i++) {
        quad want = left * p.state0[i], got = (quad)fading.state[i] + fading.state_lo[i];
        double off = fabs((double)((got - want) / want));
        GDN_CHECK(off <= gdn_tolerance.mpfr_quad, "state %a fades to %a, off by %a", p.state0[i],
                  fading.state[i], off);
    }
    gdn_result_free(&still);
    gdn_result_free(&fading);
    gdn_problem_free(&p);
}
END_TEST

/* g = -infinity forgets everything: from that token on the run is that of an engine that starts there. */
START_TEST(gate_minus_infinity)
{
    enum { T = 20, CUT = 7, DV = 5 };
    uint64_t seed = 71;
    problem p = gdn_problem_new((gdn_shape){1, 3, DV}, T, 71);
    p.g = gdn_test_floats(&seed, T, -1, 0);
    p.state0 = gdn_test_doubles(&seed, gdn_problem_state(&p), -1, 1);
    p.g[CUT] = -INFINITY;
    result whole = run(&p), late = gdn_result_new(&p);
    free(p.state0);
    p.state0 = NULL;
    p.g[CUT] = -1;
    void *self = gdn_problem_open(&p, engine, NULL);
    gdn_problem_advance(&p, engine, self, CUT, T - CUT, &late);
    gdn_problem_read(engine, self, &late);
    engine->close(self);
    GDN_CHECK(whole.g[CUT] == -INFINITY && whole.alpha[CUT] == 0, "g %a, alpha %a", whole.g[CUT],
              whole.alpha[CUT]);
    for (size_t i = CUT * DV; i < T * DV; i++)
        GDN_CHECK(whole.o[i] == late.o[i] && whole.o_lo[i] == late.o_lo[i] && whole.y[i] == late.y[i],
                  "o %zu: %a after forgetting, %a from there", i, whole.o[i], late.o[i]);
    for (size_t i = 0; i < gdn_problem_state(&p); i++)
        GDN_CHECK(whole.state[i] == late.state[i] && whole.state_lo[i] == late.state_lo[i],
                  "state %zu: %a, %a", i, whole.state[i], late.state[i]);
    gdn_result_free(&whole);
    gdn_result_free(&late);
    gdn_problem_free(&p);
}
END_TEST

/* params.alpha = bf16 gives the run whose decays are those bf16 numbers; and they are exp(g), rounded once.
 */
START_TEST(alpha_in_bf16)
{
    enum { T = 64 };
    problem p = gdn_problem_new((gdn_shape){1, 6, 4}, T, 72);
    p.alpha = GDN_BF16;
    check_model(&p, "alpha in bf16");
    result r = run(&p);
    for (int t = 0; t < T; t++) {
        mpfr_t x;
        mpfr_init2(x, 200);
        mpfr_set_d(x, r.g[t], MPFR_RNDN);
        mpfr_add_d(x, x, r.g_lo[t], MPFR_RNDN);
        mpfr_exp(x, x, MPFR_RNDN);
        mpfr_prec_round(x, gdn_formats[GDN_BF16].p, MPFR_RNDN);
        double want = mpfr_get_d(x, MPFR_RNDN);
        mpfr_clear(x);
        GDN_CHECK(r.alpha[t] == want && r.alpha_lo[t] == 0, "exp(%a) rests as %a + %a, not %a", r.g[t],
                  r.alpha[t], r.alpha_lo[t], want);
    }
    gdn_result_free(&r);
    gdn_problem_free(&p);
}
END_TEST

/* A = 2^n given and A_log with exp(A_log) = 1: the same bits at n = 0, and g in proportion to A. */
START_TEST(decay_is_a)
{
    problem p = gdn_problem_new((gdn_shape){1, 4, 4}, 20, 73);
    p.decay[0] = 0;
    result log_a = run(&p);
    p.decay_is_a = true;
    p.decay[0] = 1;
    result a = run(&p);
    gdn_check_results(&p, &a, &log_a, "A = 1 beside A_log = 0");
    p.decay[0] = 0.25;
    result quarter = run(&p);
    for (int t = 0; t < 20; t++)
        GDN_CHECK(quarter.g[t] == a.g[t] / 4 && quarter.g_lo[t] == a.g_lo[t] / 4, "A = 1/4: g %a, A = 1: %a",
                  quarter.g[t], a.g[t]);
    gdn_result_free(&log_a);
    gdn_result_free(&a);
    gdn_result_free(&quarter);
    gdn_problem_free(&p);
}
END_TEST

/* A zero key has a zero k^ (eps under the root): nothing is written. A zero query reads zeros, and y is zero.
 */
START_TEST(zero_vectors)
{
    enum { T = 10, DK = 4, DV = 3 };
    problem p = gdn_problem_new((gdn_shape){1, DK, DV}, T, 74);
    memset(p.k, 0, T * DK * sizeof *p.k);
    result r = run(&p);
    for (int i = 0; i < DK * DV; i++)
        GDN_CHECK(r.state[i] == 0, "a zero key wrote %a", r.state[i]);
    gdn_result_free(&r);
    gdn_problem_free(&p);
    p = gdn_problem_new((gdn_shape){1, DK, DV}, T, 74);
    memset(p.q, 0, T * DK * sizeof *p.q);
    r = run(&p);
    for (int i = 0; i < T * DV; i++)
        GDN_CHECK(r.o[i] == 0 && r.o_lo[i] == 0 && r.y[i] == 0, "a zero query read %a, y %a", r.o[i], r.y[i]);
    GDN_CHECK(r.ms[T - 1] == 0 && r.state[0] != 0, "ms %a, state %a", r.ms[T - 1], r.state[0]);
    gdn_result_free(&r);
    gdn_problem_free(&p);
}
END_TEST

/* o is affine in the initial state: o(-3 S) - o(0) = -3 (o(S) - o(0)). |o| stays below 16. */
START_TEST(linear_in_state0)
{
    enum { T = 12 };
    uint64_t seed = 75;
    problem p = gdn_problem_new((gdn_shape){2, 4, 3}, T, 75);
    result zero = run(&p);
    p.state0 = gdn_test_doubles(&seed, gdn_problem_state(&p), -1, 1);
    result one = run(&p);
    for (size_t i = 0; i < gdn_problem_state(&p); i++)
        p.state0[i] *= -3;
    result three = run(&p);
    for (size_t i = 0; i < gdn_problem_values(&p); i++) {
        quad f0 = (quad)zero.o[i] + zero.o_lo[i], f1 = (quad)one.o[i] + one.o_lo[i];
        quad off = (quad)three.o[i] + three.o_lo[i] - f0 + 3 * (f1 - f0);
        GDN_CHECK(fabs((double)off) <= 16 * gdn_tolerance.mpfr_quad, "o %zu: %a, %a, %a not in line, by %a",
                  i, zero.o[i], one.o[i], three.o[i], (double)off);
    }
    gdn_result_free(&zero);
    gdn_result_free(&one);
    gdn_result_free(&three);
    gdn_problem_free(&p);
}
END_TEST

/* ---------------------------------------------------------------- other people's outputs */

/* The error figures of golden/README.md. */
typedef struct fixture {
    const char *file;
    double chunk_out, chunk_state, recurrent_out, recurrent_state,
        g; /* g: 0 where the gate's inputs are not in it */
} fixture;

static const fixture fixtures[] = {
    {"hf_layer_bf16", 1.617936e-03, 1.333418e-07, 1.617936e-03, 1.305901e-07, 0},
    {"hf_layer_fp32", 2.507377e-07, 1.842186e-07, 1.521206e-07, 1.858400e-07, 0},
    {"hf_layer_fp32_d128", 2.659979e-07, 2.054627e-07, 1.535973e-07, 2.104048e-07, 0},
    {"fla_bf16", 4.695837e-03, 3.856464e-03, 1.659865e-03, 1.582989e-06, 4.5215e-08},
    {"fla_fp32", 1.459133e-03, 9.719247e-04, 5.798948e-07, 5.905916e-07, 6.1654e-08},
};

/* Tensor `name` of a file as floats, shape [1][n][H][width] turned into [H][n][width]; a state is left as it
 * is. */
static float *golden(const gdn_safetensors *f, const char *name, const problem *p, bool by_token, int width)
{
    gdn_error err = {""};
    const gdn_tensor *t = gdn_safetensors_find(f, name);
    GDN_CHECK(t != NULL, "no tensor %s", name);
    size_t n = (size_t)gdn_tensor_elements(t), H = (size_t)p->shape.heads, w = (size_t)width;
    float *x = gdn_test_alloc(n, sizeof *x), *y = gdn_test_alloc(n, sizeof *y);
    GDN_CHECK(gdn_tensor_floats(t, x, &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(!by_token || n == gdn_problem_rows(p) * w, "%s has %zu elements", name, n);
    for (size_t i = 0; i < n / w; i++) {
        size_t to = by_token ? i % H * (size_t)p->tokens + i / H : i;
        memcpy(y + to * w, x + i * w, w * sizeof *y);
    }
    free(x);
    return y;
}

/* Relative L2 error of a tensor against the engine, and the figure it must reproduce. */
static void check_figure(const gdn_safetensors *f, const char *file, const char *name, const problem *p,
                         bool by_token, int width, const double *truth, double figure)
{
    float *x = golden(f, name, p, by_token, width);
    size_t n = (size_t)gdn_tensor_elements(gdn_safetensors_find(f, name));
    double off = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        off += (x[i] - truth[i]) * (x[i] - truth[i]);
        size += truth[i] * truth[i];
    }
    free(x);
    double error = sqrt(off / size);
    GDN_CHECK(fabs(error / figure - 1) <= gdn_tolerance.golden,
              "%s: error of %s is %.6e (%a), README says %.6e", file, name, error, error, figure);
}

static void free_inputs(problem *p)
{
    float **all[] = {&p->q, &p->k, &p->v, &p->a, &p->b, &p->g, &p->beta};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        free(*all[i]);
        *all[i] = NULL;
    }
}

/* The inputs of a fixture: HF gives g, FLA also what makes it. */
static problem golden_problem(const gdn_safetensors *f, bool hf)
{
    const gdn_tensor *v = gdn_safetensors_find(f, hf ? "chunk.value" : "v");
    GDN_CHECK(v != NULL && v->rank == 4, "no value tensor of rank 4");
    int d = (int)v->dim[3];
    problem p = gdn_problem_new((gdn_shape){(int)v->dim[2], d, d}, (int)v->dim[1], 80);
    free_inputs(&p);
    p.q = golden(f, hf ? "chunk.query" : "q", &p, true, d);
    p.k = golden(f, hf ? "chunk.key" : "k", &p, true, d);
    p.v = golden(f, hf ? "chunk.value" : "v", &p, true, d);
    p.beta = golden(f, hf ? "chunk.beta" : "beta", &p, true, 1);
    p.g = golden(f, hf ? "chunk.g" : "g", &p, true, 1);
    return p;
}

/* FLA's g against the exact gate. */
static void check_gate(const gdn_safetensors *f, const fixture *x, problem *p)
{
    float *a_log = golden(f, "A_log", p, false, 1), *dt_bias = golden(f, "dt_bias", p, false, 1);
    size_t rows = gdn_problem_rows(p);
    double *g = gdn_test_alloc(rows, sizeof *g);
    p->a = golden(f, "a", p, true, 1);
    for (int h = 0; h < p->shape.heads; h++) {
        p->decay[h] = a_log[h];
        p->dt_bias[h] = dt_bias[h];
    }
    gdn_setup setup = {.shape = p->shape,
                       .params = {.decay = p->decay, .dt_bias = p->dt_bias, .alpha = GDN_FP64},
                       .precision = 113};
    gdn_block in = {.first = 1, .tokens = p->tokens, .a = p->a};
    gdn_error err = {""};
    void *self = NULL;
    GDN_CHECK(engine->open(&self, &setup, &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(engine->advance(self, &in, &(gdn_outputs){.g = g}, &err) == GDN_OK, "%s", err.text);
    engine->close(self);
    check_figure(f, x->file, "g", p, true, 1, g, x->g);
    free(a_log);
    free(dt_bias);
    free(g);
}

static void golden_path(const fixture *x, char *path, size_t size)
{
    const char *folder = getenv("GDN_GOLDEN");
    snprintf(path, size, "%s/%s.safetensors", folder ? folder : "tests/golden", x->file);
}

static void check_fixture(const fixture *x)
{
    char path[4096];
    golden_path(x, path, sizeof path);
    gdn_safetensors *f = NULL;
    gdn_error err = {""};
    GDN_CHECK(gdn_safetensors_open(path, &f, &err) == GDN_OK, "%s", err.text);
    problem p = golden_problem(f, x->g == 0);
    gdn_block in = {.first = 1, .tokens = p.tokens, .q = p.q, .k = p.k, .v = p.v, .g = p.g, .beta = p.beta};
    result r = gdn_result_new(&p);
    void *self = gdn_problem_open(&p, engine, NULL);
    GDN_CHECK(engine->advance(self, &in, &(gdn_outputs){.o = r.o}, &err) == GDN_OK, "%s", err.text);
    gdn_problem_read(engine, self, &r);
    engine->close(self);
    check_figure(f, x->file, "chunk.out", &p, true, p.shape.dv, r.o, x->chunk_out);
    check_figure(f, x->file, "recurrent.out", &p, true, p.shape.dv, r.o, x->recurrent_out);
    check_figure(f, x->file, "chunk.state", &p, false, p.shape.dv, r.state, x->chunk_state);
    check_figure(f, x->file, "recurrent.state", &p, false, p.shape.dv, r.state, x->recurrent_state);
    if (x->g != 0)
        check_gate(f, x, &p);
    gdn_result_free(&r);
    gdn_problem_free(&p);
    gdn_safetensors_close(f);
}

START_TEST(golden_hf_layer)
{
    for (int i = 0; i < 3; i++)
        check_fixture(&fixtures[i]);
}
END_TEST

/* 3 MB more, and seconds: tested where the files are. */
START_TEST(golden_fla)
{
    for (int i = 3; i < 5; i++) {
        char path[4096];
        golden_path(&fixtures[i], path, sizeof path);
        if (access(path, F_OK) == 0)
            check_fixture(&fixtures[i]);
        else
            fprintf(stderr, "test_mpfr: no %s; not tested\n", path);
    }
}
END_TEST

GDN_TEST_MAIN("mpfr", against_binary128, precision_certificate, precision_limits, sampled_columns,
              sampled_y_needs_ms, split_anywhere, outputs_on_demand, repeated_inputs, gates_forget_nothing,
              beta_zero, gate_minus_infinity, alpha_in_bf16, decay_is_a, zero_vectors, linear_in_state0,
              golden_hf_layer, golden_fla)
