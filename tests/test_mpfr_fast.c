/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_mpfr_fast -- the MPFR form with deferred decay equals the literal one to its certificate, on ordinary
 * inputs and at every edge; and fixed point keeps its promises against exact sums.
 */
#include "tests/gdn_test.h"

#include <omp.h>

#include "base/inputs.h"
#include "reference/fixed.h"
#include "reference/gdn_mpfr.h"
#include "reference/gdn_mpfr_fast.h"

typedef gdn_problem problem;
typedef gdn_result result;

static const gdn_engine *const fast = &gdn_mpfr_fast_engine, *const literal = &gdn_mpfr_engine;

static result run(const problem *p, const gdn_engine *engine, int block)
{
    return gdn_problem_run(p, engine, NULL, &block, 1);
}

/* ---------------------------------------------------------------- both forms */

/*
 * What the forms may part by, relative to the largest number: each rounds to p bits, in dot products of
 * length d_k and some 8 operations beside, over T tokens; hi + lo are cut at 2^-106.
 */
static double certificate(const problem *p)
{
    return ldexp((double)p->tokens * (p->shape.dk + 8), -p->precision) + 0x1p-104;
}

/* Largest |x - y| beside the largest |y| over n numbers; where one is not finite the other must not be
 * either.
 */
static double apart(const double *x, const double *x_lo, const double *y, const double *y_lo, size_t n,
                    const char *what)
{
    double off = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        GDN_CHECK(!isfinite(x[i]) == !isfinite(y[i]), "%s, element %zu: %a, literal %a", what, i, x[i], y[i]);
        if (!isfinite(y[i]))
            continue;
        off = fmax(off, fabs((x[i] - y[i]) + (x_lo[i] - y_lo[i])));
        most = fmax(most, fabs(y[i]));
    }
    return off == 0 ? 0 : off / most;
}

static void check_apart(const problem *p, const result *x, const result *y, const char *name)
{
    size_t heads = (size_t)p->shape.heads, rows = gdn_problem_rows(p), values = gdn_problem_values(p),
           state = gdn_problem_state(p);
    const struct {
        const char *name;
        const double *x, *x_lo, *y, *y_lo;
        size_t n;
    } all[] = {{"g", x->g, x->g_lo, y->g, y->g_lo, rows},
               {"alpha", x->alpha, x->alpha_lo, y->alpha, y->alpha_lo, rows},
               {"o", x->o, x->o_lo, y->o, y->o_lo, values},
               {"y", x->y, x->y_lo, y->y, y->y_lo, values},
               {"ms", x->ms, x->ms_lo, y->ms, y->ms_lo, rows},
               {"state", x->state, x->state_lo, y->state, y->state_lo, state}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        for (size_t h = 0; h < heads; h++) {
            size_t n = all[i].n / heads, at = h * n;
            char what[256];
            snprintf(what, sizeof what, "%s, %d bits, dk %d, head %zu: %s", name, p->precision, p->shape.dk,
                     h, all[i].name);
            double off = apart(all[i].x + at, all[i].x_lo + at, all[i].y + at, all[i].y_lo + at, n, what);
            GDN_CHECK(off <= certificate(p), "%s off by %a, %a allowed", what, off, certificate(p));
        }
}

/* Of two columns, one infinite, out_norm makes inf / inf and 0; where the infinite one is NaN, two NaN: not
 * compared. */
static void drop_infinite(const problem *p, result *x, result *y)
{
    size_t m = (size_t)gdn_problem_columns(p);
    for (size_t i = 0; i < gdn_problem_values(p); i++)
        if (isinf(y->ms[i / m]))
            x->y[i] = y->y[i] = NAN;
}

/* The two forms on a problem, the fast one in blocks of 7. */
static void agree(const problem *p, const char *name)
{
    result x = run(p, fast, 7), y = run(p, literal, p->tokens);
    drop_infinite(p, &x, &y);
    check_apart(p, &x, &y, name);
    gdn_result_free(&x);
    gdn_result_free(&y);
}

/* Keys, queries and values of the generator into a problem. */
static void fill(problem *p, gdn_keys keys)
{
    const gdn_input_spec spec = {.keys = keys, .rank = 3, .zipf_half_steps = 2, .a_scale = 1, .b_scale = 1};
    gdn_error err = {""};
    GDN_CHECK(gdn_inputs_init(&err) == GDN_OK, "%s", err.text);
    gdn_inputs_fill(&spec, &p->shape, 7, 0, 1, p->tokens, p->q, p->k, p->v, p->z, p->a, p->b);
}

/* The same g, and if not negative the same beta, at every token. */
static void set_gates(problem *p, float g, float beta)
{
    size_t rows = gdn_problem_rows(p);
    if (!p->g)
        p->g = gdn_test_alloc(rows, sizeof *p->g);
    if (!p->beta && beta >= 0)
        p->beta = gdn_test_alloc(rows, sizeof *p->beta);
    for (size_t i = 0; i < rows; i++) {
        p->g[i] = g;
        if (beta >= 0)
            p->beta[i] = beta;
    }
}

START_TEST(all_keys)
{
    for (gdn_keys keys = 0; keys < GDN_KEYS_KINDS; keys++)
        for (int rates = 0; rates < 2; rates++) {
            problem p = gdn_problem_new((gdn_shape){2, 16, 5}, 96, 7);
            fill(&p, keys);
            p.decay[0] = rates ? 4 : -6;
            p.decay[1] = rates ? 6 : -8;
            agree(&p, gdn_keys_names[keys]);
            gdn_problem_free(&p);
        }
}
END_TEST

/* Every count of limbs and digits near its edges, in several shapes, with an initial state. */
/* q and k as they come, of lengths below 1, and q scaled otherwise. */
START_TEST(norm_off_and_scaled)
{
    static const double scales[] = {0, 1, 0.5, -0.3};
    for (int off = 0; off < 2; off++)
        for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++) {
            problem p = gdn_problem_new((gdn_shape){2, 16, 5}, 96, 8 + i);
            p.l2norm_off = off;
            p.scale = scales[i];
            for (size_t j = 0; j < gdn_problem_rows(&p) * 16; j++)
                p.k[j] *= 0x1p-3f;
            agree(&p, off ? "the L2 norm off" : "another scale");
            gdn_problem_free(&p);
        }
}
END_TEST

START_TEST(precisions)
{
    static const int bits[] = {64, 65, 100, 113, 117, 118, 128, 129, 160, 177, 178, 300, 1000, 4096};
    static const gdn_shape shapes[] = {{2, 16, 4}, {1, 1, 2}, {1, 33, 1}};
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++)
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            uint64_t seed = 20 + i;
            problem p = gdn_problem_new(shapes[s], 40, seed);
            p.state0 = gdn_test_doubles(&seed, gdn_problem_state(&p), -3, 3);
            p.precision = bits[i];
            agree(&p, "random");
            p.beta_shift = 1;
            agree(&p, "beta doubled");
            gdn_problem_free(&p);
        }
}
END_TEST

/* ---------------------------------------------------------------- rows */

/* A float of random sign and significand, its exponent uniform in elo..ehi; denormal below -126. */
static float any_float(uint64_t *seed, int elo, int ehi)
{
    return (float)gdn_test_any(seed, elo, ehi);
}

/* Exponents of the elements of q and k, and of v. */
typedef struct spread {
    const char *name;
    int lo, hi, vlo, vhi;
} spread;

static const spread spreads[] = {
    {"24-bit significands", -3, 0, -3, 0},
    {"as far apart as one band holds", -31, 0, 0, 0},
    {"two bands", -45, 0, -20, 20},
    {"denormals", -149, -127, 0, 0},
    {"denormals and their neighbours", -140, -120, -149, -120},
    {"huge", 100, 126, 100, 126},
    {"all floats", -149, 126, 0, 0},
    {"all floats, all values", -149, 126, -149, 126},
};

START_TEST(row_spreads)
{
    for (size_t i = 0; i < sizeof spreads / sizeof spreads[0]; i++)
        for (int dk = 3; dk < 200; dk *= 7) {
            const spread *s = &spreads[i];
            uint64_t seed = 30 + i;
            problem p = gdn_problem_new((gdn_shape){1, dk, 2}, dk > 100 ? 20 : 60, seed);
            for (int x = 0; x < p.tokens * dk; x++) {
                p.k[x] = any_float(&seed, s->lo, s->hi);
                p.q[x] = any_float(&seed, s->lo, s->hi);
            }
            for (int x = 0; x < p.tokens * 2; x++)
                p.v[x] = any_float(&seed, s->vlo, s->vhi);
            agree(&p, s->name);
            gdn_problem_free(&p);
        }
}
END_TEST

/* 1e38 beside 1e-38, where elements of a column are as far apart. */
START_TEST(extreme_rows)
{
    enum { DK = 4, T = 40 };
    problem p = gdn_problem_new((gdn_shape){1, DK, 3}, T, 31);
    static const float rows[][DK] = {{1e38f, 1e-38f, 1, -1e20f},
                                     {3.4028235e38f, -3.4028235e38f, 1e-45f, 0},
                                     {1e-45f, 1e-45f, 0, -1e-45f},
                                     {0, 0, 0, 1e-38f},
                                     {1, -1e-38f, 1e38f, 0.5f}};
    for (int t = 0; t < T; t++) {
        memcpy(p.k + t * DK, rows[t % 5], sizeof rows[0]);
        memcpy(p.q + t * DK, rows[t % 3], sizeof rows[0]);
    }
    agree(&p, "extreme rows");
    gdn_problem_free(&p);
}
END_TEST

/* Zero keys, zero queries, zero values, at the start, at the end, always; the state begins late or never. */
START_TEST(zero_vectors)
{
    enum { DK = 5, DV = 3, T = 48 };
    for (int which = 0; which < 27; which++) {
        problem p = gdn_problem_new((gdn_shape){1, DK, DV}, T, 32);
        int part[] = {which % 3, which / 3 % 3, which / 9}; /* of k, q, v: first half, last half, all */
        float *x[] = {p.k, p.q, p.v};
        int width[] = {DK, DK, DV};
        for (int i = 0; i < 3; i++)
            memset(x[i] + (part[i] == 1 ? T / 2 * width[i] : 0), 0,
                   (size_t)(width[i] * (part[i] == 2 ? T : T / 2)) * sizeof(float));
        agree(&p, "zero vectors");
        gdn_problem_free(&p);
    }
}
END_TEST

/* ---------------------------------------------------------------- gates */

/* Decays from none to all at once, and mixtures of them; beta none, whole, more than whole. */
START_TEST(gates)
{
    static const float g[] = {0,     -0x1p-30f, -0.125f, -3,        -50,      -1e3f,
                              -1e9f, -2.2e9f,   -1e30f,  -INFINITY, 0.03125f, -1e3f};
    static const float beta[] = {0, 0.5f, 1, 2, -1};
    enum { G = sizeof g / sizeof g[0] };
    for (size_t b = 0; b < sizeof beta / sizeof beta[0]; b++)
        for (int i = 0; i < 2 * G; i++) {
            uint64_t seed = 40;
            problem p = gdn_problem_new((gdn_shape){1, 8, 3}, 96, seed);
            p.state0 = gdn_test_doubles(&seed, gdn_problem_state(&p), -3, 3);
            set_gates(&p, g[i % G], beta[b]);
            for (int t = 0; t < p.tokens && i >= G; t++)
                if (t % 5 == 2 || t % 7 == 3)
                    p.g[t] = t % 2 ? -0.25f : g[(i + t) % G];
            agree(&p, "gates");
            gdn_problem_free(&p);
        }
}
END_TEST

/* One key for thousands of tokens, no decay: nothing forgets the rounding of what was written first. */
START_TEST(repeated_key)
{
    static const float beta[] = {0.25f, 1, 2};
    for (size_t b = 0; b < sizeof beta / sizeof beta[0]; b++) {
        problem p = gdn_problem_new((gdn_shape){1, 8, 2}, 4096, 41);
        fill(&p, GDN_KEYS_REPEATED);
        set_gates(&p, 0, beta[b]);
        agree(&p, "repeated key");
        gdn_problem_free(&p);
    }
}
END_TEST

/* Unequal keys, no values: the state falls by 2^-300 and more, and is still known relative to itself. */
START_TEST(erasing)
{
    enum { DK = 4, DV = 2, T = 1200, WRITTEN = 8 };
    problem p = gdn_problem_new((gdn_shape){1, DK, DV}, T, 42);
    memset(p.v + WRITTEN * DV, 0, (T - WRITTEN) * DV * sizeof *p.v);
    set_gates(&p, 0, 1);
    result x = run(&p, fast, 100), y = run(&p, literal, T);
    GDN_CHECK(fabs(y.state[0]) < 0x1p-300, "the state is still %a", y.state[0]);
    check_apart(&p, &x, &y, "erasing");
    gdn_result_free(&x);
    gdn_result_free(&y);
    gdn_problem_free(&p);
}
END_TEST

/*
 * A needle: what later keys never visit fades below 2^-800 of its column and keeps its relative precision,
 * token by token; also where the key returns at last, and where every second query asks for the rest too.
 * Zipf keys leave every element a needle. Relative to each token's o, not to the largest.
 */
START_TEST(needle)
{
    enum { PLAIN, RETURNS, DENSE, ZIPF, KINDS, DK = 6, T = 1200 };
    for (int kind = 0; kind < KINDS; kind++) {
        problem p = gdn_problem_new((gdn_shape){1, DK, 1}, T, 43);
        fill(&p, kind == ZIPF ? GDN_KEYS_ZIPF : GDN_KEYS_NEEDLE);
        set_gates(&p, -0.5f, -1);
        if (kind == RETURNS)
            memcpy(p.k + (T - 100) * DK, p.k, DK * sizeof *p.k);
        for (int i = 0; i < T * DK && kind == DENSE; i++)
            p.q[i] = i / DK % 2 || i % DK == 0 ? p.q[i] : p.k[i];
        result x = run(&p, fast, 16), y = run(&p, literal, T);
        for (int t = 0; t < T; t++) {
            double off = apart(x.o + t, x.o_lo + t, y.o + t, y.o_lo + t, 1, "needle");
            GDN_CHECK(off <= certificate(&p), "needle %d, token %d: o %a off by %a", kind, t, y.o[t], off);
        }
        GDN_CHECK(kind != PLAIN || fabs(y.o[T - 1]) < 0x1p-800, "the needle is still %a", y.o[T - 1]);
        check_apart(&p, &x, &y, "needle");
        gdn_result_free(&x);
        gdn_result_free(&y);
        gdn_problem_free(&p);
    }
}
END_TEST

/* ---------------------------------------------------------------- what is no number */

static void poison(const char *name, float *(*where)(problem *), size_t at, float value)
{
    uint64_t seed = 50;
    problem p = gdn_problem_new((gdn_shape){2, 4, 3}, 40, seed);
    p.g = gdn_test_floats(&seed, gdn_problem_rows(&p), -1, 0);
    p.beta = gdn_test_floats(&seed, gdn_problem_rows(&p), 0, 1);
    p.g[25] = -INFINITY; /* clears numbers, not what is none */
    where(&p)[at] = value;
    agree(&p, name);
    gdn_problem_free(&p);
}

static float *of_q(problem *p)
{
    return p->q;
}

static float *of_k(problem *p)
{
    return p->k;
}

static float *of_v(problem *p)
{
    return p->v;
}

static float *of_g(problem *p)
{
    return p->g;
}

static float *of_beta(problem *p)
{
    return p->beta;
}

/* Infinities and NaN where both forms must stop giving numbers, and where they must not. */
START_TEST(poisoning)
{
    static const float values[] = {INFINITY, -INFINITY, NAN};
    for (int i = 0; i < 3; i++)
        for (size_t t = 3; t < 40; t += 9) { /* token 3 has zero q and k */
            poison("poisoned q", of_q, t * 4 + 1, values[i]);
            poison("poisoned k", of_k, t * 4 + 1, values[i]);
            poison("poisoned v", of_v, t * 3 + 1, values[i]);
            poison("poisoned beta", of_beta, t, values[i]);
            poison("poisoned g", of_g, t, values[i]); /* -infinity: forgotten, not poisoned */
        }
}
END_TEST

START_TEST(poisoned_state0)
{
    uint64_t seed = 51;
    problem p = gdn_problem_new((gdn_shape){1, 4, 3}, 20, seed);
    p.state0 = gdn_test_doubles(&seed, gdn_problem_state(&p), -1, 1);
    p.state0[1] = INFINITY;
    p.state0[5] = NAN;
    agree(&p, "poisoned state0");
    gdn_problem_free(&p);
}
END_TEST

/* Decays beyond even MPFR's exponents are 0 or infinite, each time they occur; the state is then no number.
 */
START_TEST(out_of_range)
{
    problem p = gdn_problem_new((gdn_shape){1, 2, 1}, 3, 52);
    for (int i = 0; i < 4; i++) {
        set_gates(&p, i / 2 ? 0x1p100f : -0x1p100f, -1);
        result x = run(&p, i % 2 ? literal : fast, 1);
        for (int t = 0; t < p.tokens; t++)
            GDN_CHECK(x.alpha[t] == (i / 2 ? (double)INFINITY : 0) && isfinite(x.o[t]) == (i < 2),
                      "token %d: alpha %a, o %a", t, x.alpha[t], x.o[t]);
        gdn_result_free(&x);
    }
    gdn_problem_free(&p);
}
END_TEST

/* ---------------------------------------------------------------- the engine's interface */

/* Initial states, small, large and with elements that have nothing in common. */
START_TEST(initial_state)
{
    static const int exponents[][2] = {{0, 0}, {-1022, -1000}, {1000, 1020}, {-300, 300}, {-1060, 1000}};
    for (size_t i = 0; i < sizeof exponents / sizeof exponents[0]; i++) {
        uint64_t seed = 60 + i;
        problem p = gdn_problem_new((gdn_shape){2, 6, 4}, 40, seed);
        p.state0 = gdn_test_alloc(gdn_problem_state(&p), sizeof *p.state0);
        for (size_t x = 0; x < gdn_problem_state(&p); x++)
            p.state0[x] = x % 5 == 4 ? 0 : gdn_test_any(&seed, exponents[i][0], exponents[i][1]);
        agree(&p, "initial state");
        p.tokens = 0;
        void *self = gdn_problem_open(&p, fast, NULL);
        result r = gdn_result_new(&p);
        gdn_problem_read(fast, self, &r);
        fast->close(self);
        gdn_check_bits(r.state, p.state0, gdn_problem_state(&p), "the state before the first token");
        gdn_result_free(&r);
        gdn_problem_free(&p);
    }
}
END_TEST

/* read_state wherever one likes: it is the literal form's, and changes nothing. */
START_TEST(read_in_the_middle)
{
    enum { T = 50 };
    problem p = gdn_problem_new((gdn_shape){2, 6, 4}, T, 61);
    result x = gdn_result_new(&p), y = gdn_result_new(&p);
    void *a = gdn_problem_open(&p, fast, NULL), *b = gdn_problem_open(&p, literal, NULL);
    for (int t = 0; t < T; t++) {
        gdn_problem_advance(&p, fast, a, t, 1, &x);
        gdn_problem_advance(&p, literal, b, t, 1, &y);
        gdn_problem_read(fast, a, &x);
        gdn_problem_read(literal, b, &y);
        check_apart(&p, &x, &y, "read in the middle");
    }
    fast->close(a);
    literal->close(b);
    result whole = run(&p, fast, T);
    gdn_check_results(&p, &x, &whole, "read in the middle");
    gdn_result_free(&whole);
    gdn_result_free(&x);
    gdn_result_free(&y);
    gdn_problem_free(&p);
}
END_TEST

/* Blocks of any size and any number of threads give the same bits, at scales that ordinary exponents do not
 * reach too. */
START_TEST(blocks_and_threads)
{
    for (int far = 0; far < 2; far++) {
        problem p = gdn_problem_new((gdn_shape){1, 128, 24}, 70, 62); /* large enough for threads */
        set_gates(&p, far ? -1e9f : -0.5f, -1);
        result whole = run(&p, fast, 70);
        int before = omp_get_max_threads();
        for (int block = 1; block <= 35; block += block < 20 ? 3 : 5) {
            omp_set_num_threads(1 + block % 4);
            result x = run(&p, fast, block);
            gdn_check_results(&p, &x, &whole, "blocks");
            gdn_result_free(&x);
        }
        omp_set_num_threads(before);
        gdn_result_free(&whole);
        gdn_problem_free(&p);
    }
}
END_TEST

/* A sample of columns gives the bits of the full run, and outputs that are not wanted change nothing. */
START_TEST(sampled_columns)
{
    static const int columns[] = {0, 3, 4, 11};
    enum { M = 4, DV = 12, DK = 10, T = 40 };
    uint64_t seed = 63;
    problem p = gdn_problem_new((gdn_shape){2, DK, DV}, T, seed);
    p.state0 = gdn_test_doubles(&seed, gdn_problem_state(&p), -1, 1);
    result all = run(&p, fast, T);
    p.columns = columns;
    p.ncolumns = M;
    p.ms = gdn_test_alloc(2 * T, sizeof *p.ms);
    p.ms_lo = gdn_test_alloc(2 * T, sizeof *p.ms_lo);
    result some = run(&p, fast, T);
    for (size_t t = 0; t < 2 * T; t++)
        for (size_t c = 0; c < M; c++) {
            size_t x = t * DV + (size_t)columns[c], y = t * M + c;
            GDN_CHECK(all.o[x] == some.o[y] && all.o_lo[x] == some.o_lo[y], "o %zu, column %zu", t, c);
            if (t < 2 * DK)
                GDN_CHECK(all.state[x] == some.state[y] && all.state_lo[x] == some.state_lo[y],
                          "state %zu, column %zu", t, c);
        }
    void *self = gdn_problem_open(&p, fast, NULL);
    gdn_block in = {.first = 1, .tokens = T, .q = p.q, .k = p.k, .v = p.v, .a = p.a, .b = p.b};
    gdn_error err = {""};
    result state = gdn_result_new(&p);
    ck_assert_int_eq(fast->advance(self, &in, &(gdn_outputs){0}, &err), GDN_OK);
    gdn_problem_read(fast, self, &state);
    fast->close(self);
    gdn_check_bits(state.state, some.state, gdn_problem_state(&p), "state alone");
    gdn_result_free(&state);
    gdn_result_free(&all);
    gdn_result_free(&some);
    gdn_problem_free(&p);
}
END_TEST

/* ---------------------------------------------------------------- fixed point by itself */

enum { EXACT = 3000, LONGEST = 64 }; /* bits in which every sum below is exact; elements of a row */

/* A column in fixed point beside the exact one. */
typedef struct shadow {
    gdn_fixed f;
    float row[LONGEST];
    mpfr_t x[LONGEST]; /* X */
    mpfr_t s, t;       /* exact scratch */
    mpfr_t r, u;       /* of precision p */
    mpfr_t allowed;    /* what the errors may have summed up to */
} shadow;

static void shadow_open(shadow *s, int dk, mpfr_prec_t p)
{
    gdn_error err = {""};
    memset(&s->f, 0, sizeof s->f);
    GDN_CHECK(gdn_fixed_new(&s->f, 1, 1, dk, p, &err) == GDN_OK, "%s", err.text);
    for (int i = 0; i < dk; i++) {
        mpfr_init2(s->x[i], EXACT);
        mpfr_set_zero(s->x[i], 1);
    }
    mpfr_inits2(EXACT, s->s, s->t, s->allowed, (mpfr_ptr)0);
    mpfr_inits2(p, s->r, s->u, (mpfr_ptr)0);
    mpfr_set_zero(s->allowed, 1);
}

static void shadow_close(shadow *s)
{
    for (int i = 0; i < s->f.dk; i++)
        mpfr_clear(s->x[i]);
    mpfr_clears(s->s, s->t, s->r, s->u, s->allowed, (mpfr_ptr)0);
    gdn_fixed_clear(&s->f);
}

/* r <- |X|, or the distance of what the column holds from X. */
static void shadow_norm(shadow *s, bool distance, mpfr_t r)
{
    mpfr_set_zero(r, 1);
    for (int i = 0; i < s->f.dk; i++) {
        mpfr_set_zero(s->s, 1);
        if (distance)
            gdn_fixed_get(&s->f, s->f.column, i, s->s);
        mpfr_sub(s->s, s->s, s->x[i], MPFR_RNDA);
        mpfr_mul(s->s, s->s, s->s, MPFR_RNDU);
        mpfr_add(r, r, s->s, MPFR_RNDU);
    }
    mpfr_sqrt(r, r, MPFR_RNDU);
}

/* X <- X + x u; what it may err by is the bound of reference/fixed.h. */
static void shadow_add(shadow *s)
{
    mpfr_t before, after;
    mpfr_inits2(EXACT, before, after, (mpfr_ptr)0);
    shadow_norm(s, false, before);
    for (int i = 0; i < s->f.dk; i++) {
        mpfr_set(s->t, s->u, MPFR_RNDN);
        mpfr_mul_d(s->t, s->t, s->row[i], MPFR_RNDN);
        mpfr_add(s->x[i], s->x[i], s->t, MPFR_RNDN);
    }
    shadow_norm(s, false, after);
    mpfr_max(before, before, after, MPFR_RNDN);
    mpfr_div_2ui(before, before, (unsigned long)mpfr_get_prec(s->r) + 1, MPFR_RNDN);
    mpfr_div_d(before, before, sqrt(s->f.dk), MPFR_RNDU);
    mpfr_add(s->allowed, s->allowed, before, MPFR_RNDU);
    gdn_fixed_add(&s->f, s->f.column, s->f.row, s->u);
    shadow_norm(s, true, after);
    GDN_CHECK(mpfr_lessequal_p(after, s->allowed), "dk %d: %g off, %g allowed", s->f.dk,
              mpfr_get_d(after, MPFR_RNDN), mpfr_get_d(s->allowed, MPFR_RNDN));
    mpfr_clears(before, after, (mpfr_ptr)0);
}

/* x . X of what the column holds: rounded once where there is one band and nothing lags, else once for each.
 */
static void shadow_dot(shadow *s)
{
    mpfr_t size;
    mpfr_init2(size, EXACT);
    mpfr_set_zero(size, 1);
    mpfr_set_zero(s->s, 1);
    for (int i = 0; i < s->f.dk; i++) {
        gdn_fixed_get(&s->f, s->f.column, i, s->t);
        mpfr_mul_d(s->t, s->t, s->row[i], MPFR_RNDN);
        mpfr_add(s->s, s->s, s->t, MPFR_RNDN);
        mpfr_abs(s->t, s->t, MPFR_RNDN);
        mpfr_add(size, size, s->t, MPFR_RNDN);
    }
    gdn_fixed_dot(&s->f, s->f.column, s->f.row, s->r, s->u);
    if (s->f.row->bands == 1 && !s->f.column->lagging) {
        mpfr_set(s->u, s->s, MPFR_RNDN);
        GDN_CHECK(mpfr_equal_p(s->r, s->u), "dot %g, not %g", mpfr_get_d(s->r, MPFR_RNDN),
                  mpfr_get_d(s->u, MPFR_RNDN));
    }
    mpfr_sub(s->t, s->r, s->s, MPFR_RNDN);
    mpfr_mul_ui(size, size, (unsigned long)(s->f.row->bands + s->f.column->lagging), MPFR_RNDN);
    mpfr_div_2ui(size, size, (unsigned long)mpfr_get_prec(s->r), MPFR_RNDN);
    GDN_CHECK(mpfr_cmpabs(s->t, size) <= 0, "dot off by %g, %g allowed", mpfr_get_d(s->t, MPFR_RNDN),
              mpfr_get_d(size, MPFR_RNDN));
    mpfr_clear(size);
}

/* x . x */
static void shadow_square(shadow *s)
{
    mpfr_set_zero(s->s, 1);
    for (int i = 0; i < s->f.dk; i++) {
        mpfr_set_d(s->t, s->row[i], MPFR_RNDN);
        mpfr_mul(s->t, s->t, s->t, MPFR_RNDN);
        mpfr_add(s->s, s->s, s->t, MPFR_RNDN);
    }
    gdn_fixed_square(&s->f, s->f.row, s->r, s->u);
    mpfr_set(s->u, s->s, MPFR_RNDN);
    GDN_CHECK(s->f.row->bands > 1 || mpfr_equal_p(s->r, s->u), "square %g, not %g",
              mpfr_get_d(s->r, MPFR_RNDN), mpfr_get_d(s->u, MPFR_RNDN));
}

/* Elements whose exponents spread over so many; `sparse`: three of four are zero. */
static void shadow_row(shadow *s, uint64_t *seed, int apart_by, bool sparse)
{
    for (int i = 0; i < s->f.dk; i++)
        s->row[i] = sparse && gdn_test_random(seed) % 4 ? 0 : (float)gdn_test_any(seed, -apart_by, 0);
    gdn_fixed_set_row(&s->f, s->f.row, s->row);
    GDN_CHECK(s->f.row->bands < 2 || apart_by > 8, "%d bands for %d exponents", s->f.row->bands, apart_by);
}

/* Rows of every spread and updates of every size, some of which undo the one before; at last one update after
 * the other a little larger. */
START_TEST(fixed_point)
{
    static const int lengths[] = {1, 2, 5, 33, LONGEST}, bits[] = {64, 113, 117, 118, 128, 300};
    for (int i = 0; i < 30; i++) {
        shadow s;
        uint64_t seed = 70 + (uint64_t)i;
        shadow_open(&s, lengths[i % 5], bits[i / 5]);
        for (int t = 0; t < 150; t++) {
            shadow_row(&s, &seed, t % 11 == 3 ? 140 : t % 7 == 2 ? 40 : t % 5, t % 4 == 1);
            shadow_square(&s);
            shadow_dot(&s);
            mpfr_set_d(s.u, gdn_test_any(&seed, t % 6 ? -4 : -300, t % 13 ? 4 : 300), MPFR_RNDN);
            mpfr_div_ui(s.u, s.u, 3, MPFR_RNDN);
            for (int undo = 0; undo < (t % 9 == 4 ? 2 : 1); undo++, mpfr_neg(s.u, s.u, MPFR_RNDN))
                shadow_add(&s);
            shadow_dot(&s);
        }
        shadow_row(&s, &seed, 3, false);
        for (int t = 0; t < 600; t++) {
            mpfr_mul_d(s.u, s.u, 1.15, MPFR_RNDN);
            shadow_add(&s);
        }
        shadow_close(&s);
    }
}
END_TEST

/* What a huge update left lagging must not hold the exponent up once that update is erased. */
START_TEST(erased_beside_a_lagging_element)
{
    static const struct {
        int axis;
        double u;
    } steps[] = {{0, 1},       {1, 0x1p100}, {1, -0x1p100}, {1, 0x1.5555555555555p-40},
                 {0, 0x1p-30}, {1, -0x1p-41}};
    shadow s;
    shadow_open(&s, 2, 113);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        s.row[0] = steps[i].axis == 0 ? 1.0f : 0.0f;
        s.row[1] = steps[i].axis == 1 ? 1.0f : 0.0f;
        gdn_fixed_set_row(&s.f, s.f.row, s.row);
        mpfr_set_d(s.u, steps[i].u, MPFR_RNDN);
        shadow_add(&s);
    }
    gdn_fixed_get(&s.f, s.f.column, 1, s.t);
    double got = mpfr_get_d(s.t, MPFR_RNDN), want = 0x1.5555555555555p-40 - 0x1p-41;
    GDN_CHECK(got == want, "%a, not %a", got, want);
    shadow_close(&s);
}
END_TEST

GDN_TEST_MAIN("mpfr_fast", all_keys, norm_off_and_scaled, precisions, row_spreads, extreme_rows, zero_vectors,
              gates, repeated_key, erasing, needle, poisoning, poisoned_state0, out_of_range, initial_state,
              read_in_the_middle, blocks_and_threads, sampled_columns, fixed_point,
              erased_beside_a_lagging_element)
