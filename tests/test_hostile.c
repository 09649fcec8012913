/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_hostile -- numbers at their ends: NaN, infinities, subnormals, zeros, huge gates, beta outside [0, 2],
 * and shapes that are no multiple of anything.
 *
 * Every instruction set gives the same bits; every rung of the reference is finite where MPFR is, and as
 * near to it as it promises; what goes wrong in one head stays there. A row is a number with the flag ok, or
 * has another flag and no number, and no file has an infinity in it.
 */
#include <omp.h>
#include <strings.h>
#include <sys/wait.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/ieee.h"
#include "base/simd.h"
#include "harness/layer_measure.h"
#include "harness/table.h"
#include "kernels/engines.h"
#include "reference/gdn_dd.h"
#include "reference/gdn_fp64.h"
#include "reference/gdn_mpfr.h"
#include "reference/gdn_mpfr_fast.h"
#include "tests/task_test.h"

/* ---------------------------------------------------------------- the processor */

/* Subnormal numbers are kept, in threads too. */
START_TEST(subnormals_are_kept)
{
    int bad = 0;
    gdn_error err = {""};
    ck_assert_int_eq(gdn_ieee_check(&err), GDN_OK);
#pragma omp parallel num_threads(4) reduction(+ : bad)
    {
        gdn_error own = {""};
        volatile float x = 0x1p-126f;
        bad += gdn_ieee_check(&own) != GDN_OK || x * 0x1p-23f != 0x1p-149f;
    }
    ck_assert_int_eq(bad, 0);
}
END_TEST

/* A process that flushes them, or rounds otherwise, is told. */
START_TEST(other_modes_are_refused)
{
#if defined(__x86_64__)
    static const unsigned modes[] = {0x8000, 0x0040, 0x2000, 0x4000,
                                     0x6000}; /* FTZ, DAZ, down, up, to zero */
    unsigned before = _mm_getcsr();
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        gdn_error err = {""};
        _mm_setcsr(before | modes[i]);
        gdn_status status = gdn_ieee_check(&err);
        _mm_setcsr(before);
        GDN_CHECK(status == GDN_MACHINE && strstr(err.text, i < 2 ? "subnormal" : "nearest"), "mode %x: %s",
                  modes[i], err.text);
    }
#endif
}
END_TEST

/* ---------------------------------------------------------------- hostile problems */

enum { Q, K, V, Z, A, B, INPUTS };

typedef gdn_problem problem;
typedef gdn_result result;

/* Numbers a token of an input of a problem. */
static int width_of(const problem *p, int input)
{
    return input <= K ? p->shape.dk : input <= Z ? p->shape.dv : 1;
}

static float *input_of(const problem *p, int input)
{
    float *const all[] = {p->q, p->k, p->v, p->z, p->a, p->b};
    return all[input];
}

/* What is done to the first head of a problem: x everywhere in some inputs, or at one element only. */
typedef struct poke {
    const char *name;
    unsigned inputs; /* bits */
    float x;
    bool one; /* the last element of the middle token */
} poke;

#define BIT(i) (1U << (i))

static const poke pokes[] = {
    {"plain", 0, 0, false},
    {"zero k", BIT(K), 0, false},
    {"zero q", BIT(Q), 0, false},
    {"zero v", BIT(V), 0, false},
    {"zeros", BIT(Q) | BIT(K) | BIT(V) | BIT(Z), 0, false},
    {"minus zeros", BIT(Q) | BIT(K) | BIT(V) | BIT(Z) | BIT(A) | BIT(B), -0.0f, false},
    {"ones", BIT(Q) | BIT(K) | BIT(V) | BIT(Z) | BIT(A) | BIT(B), 1, false},
    {"least", BIT(Q) | BIT(K) | BIT(V) | BIT(Z), 0x1p-149f, false},
    {"subnormal", BIT(Q) | BIT(K) | BIT(V) | BIT(Z), -0x1.8p-130f, false},
    {"largest k", BIT(K), 0x1.fffffep127f, false},
    {"largest", BIT(Q) | BIT(K) | BIT(V), -0x1.fffffep127f, false},
    {"huge a", BIT(A), 3e38f, false},
    {"a of minus a lot", BIT(A), -3e38f, false},
    {"a that makes subnormal alphas", BIT(A), 95, false},
    {"huge b", BIT(B), 3e38f, false},
    {"b of minus a lot", BIT(B), -3e38f, false},
    {"NaN in q", BIT(Q), NAN, true},
    {"NaN in k", BIT(K), NAN, true},
    {"NaN in v", BIT(V), -NAN, true},
    {"NaN in z", BIT(Z), NAN, true},
    {"NaN in a", BIT(A), NAN, true},
    {"NaN in b", BIT(B), -NAN, true},
    {"infinite q", BIT(Q), INFINITY, true},
    {"infinite k", BIT(K), -INFINITY, true},
    {"infinite v", BIT(V), INFINITY, true},
    {"infinite z", BIT(Z), -INFINITY, true},
    {"infinite a", BIT(A), INFINITY, true},
    {"a of minus infinity", BIT(A), -INFINITY, true},
    {"infinite b", BIT(B), INFINITY, true},
    {"b of minus infinity", BIT(B), -INFINITY, true},
};

enum { POKES = sizeof pokes / sizeof pokes[0] };

static void do_poke(problem *p, const poke *x)
{
    for (int i = 0; i < INPUTS; i++) {
        int width = width_of(p, i);
        for (int t = 0; t < p->tokens && (x->inputs & BIT(i)); t++)
            for (int j = 0; j < width; j++)
                if (!x->one || (t == p->tokens / 2 && j == width - 1))
                    input_of(p, i)[t * width + j] = x->x;
    }
}

/* Gates, betas, weights and states that no layer makes, of the first head. */
typedef struct setting {
    const char *name;
    double decay, dt_bias;
    bool decay_is_a;
    float g, beta; /* given, unless NaN */
    double state0, w;
} setting;

static const setting settings[] = {
    {"alpha = 0", 80, 3e38, false, NAN, NAN, 1, 1},
    {"alpha = 1", -80, -80, false, NAN, NAN, 1, 1},
    {"no decay", -INFINITY, 0, false, NAN, NAN, 1, 1},
    {"softplus in the subnormal numbers", 80, -745, false, NAN, NAN, 1, 1},
    {"a product of the largest and the least", 80, -3e38, false, NAN, NAN, 1, 1},
    {"A = 0", 0, 3e38, true, NAN, NAN, 1, 1},
    {"A infinite", INFINITY, -3e38, true, NAN, NAN, 1, 1},
    {"A_log of a thousand", 1000, -1100, false, NAN, NAN, 1, 1},
    {"dt_bias infinite", 0, INFINITY, false, NAN, NAN, 1, 1},
    {"g = 0", 0, 0, false, 0, NAN, 1, 1},
    {"g = -0", 0, 0, false, -0.0f, NAN, 1, 1},
    {"g = -inf", 0, 0, false, -INFINITY, NAN, 1, 1},
    {"g = -3e38", 0, 0, false, -3e38f, NAN, 1, 1},
    {"g subnormal", 0, 0, false, -0x1p-149f, NAN, 1, 1},
    {"g = 1: growth", 0, 0, false, 1, NAN, 1, 1},
    {"g = 700: more growth", 0, 0, false, 700, NAN, 1, 1},
    {"g = 3e38", 0, 0, false, 3e38f, NAN, 1, 1},
    {"g = inf", 0, 0, false, INFINITY, NAN, 1, 1},
    {"beta = -1", 0, 0, false, -0.1f, -1, 1, 1},
    {"beta = 3", 0, 0, false, -0.1f, 3, 1, 1},
    {"beta = 3e38", 0, 0, false, -0.1f, 3e38f, 1, 1},
    {"beta = -inf", 0, 0, false, -0.1f, -INFINITY, 1, 1},
    {"beta subnormal", 0, 0, false, -0.1f, 0x1p-149f, 1, 1},
    {"state0 subnormal", 0, 0, false, NAN, NAN, 0x1p-1074, 1},
    {"state0 huge", 0, 0, false, NAN, NAN, 1e300, 1},
    {"state0 infinite", 0, 0, false, NAN, NAN, -INFINITY, 1},
    {"state0 NaN", 0, 0, false, NAN, NAN, NAN, 1},
    {"w = 0", 0, 0, false, NAN, NAN, 1, 0},
    {"w = -1e-45", 0, 0, false, NAN, NAN, 1, -1e-45},
    {"w = 3e38", 0, 0, false, NAN, NAN, 1, 3e38},
    {"w infinite", 0, 0, false, NAN, NAN, 1, INFINITY},
};

enum { SETTINGS = sizeof settings / sizeof settings[0] };

static void apply(problem *p, const setting *x)
{
    size_t rows = gdn_problem_rows(p), tokens = (size_t)p->tokens, n = gdn_problem_state(p);
    uint64_t seed = 5;
    p->decay_is_a = x->decay_is_a;
    p->decay[0] = x->decay;
    p->dt_bias[0] = x->dt_bias;
    if (!isnan(x->g))
        p->g = gdn_test_floats(&seed, rows, -1, 0);
    if (!isnan(x->beta))
        p->beta = gdn_test_floats(&seed, rows, 0, 1);
    for (size_t t = 0; t < tokens; t++) {
        if (p->g)
            p->g[t] = x->g;
        if (p->beta)
            p->beta[t] = x->beta;
    }
    p->state0 = gdn_test_doubles(&seed, n, -1, 1);
    for (size_t i = 0; i < n / (size_t)p->shape.heads; i++)
        p->state0[i] *= x->state0;
    for (int j = 0; j < p->shape.dv; j++) /* the heads share it */
        p->w[j] *= x->w;
}

/* Problem number i of the pokes and then the settings; its name. */
static problem hostile(int i, gdn_shape shape, int tokens, const char **name)
{
    problem p = gdn_problem_new(shape, tokens, 11);
    if (i < POKES)
        do_poke(&p, &pokes[i]);
    else
        apply(&p, &settings[i - POKES]);
    *name = i < POKES ? pokes[i].name : settings[i - POKES].name;
    return p;
}

static result run(const problem *p, const gdn_engine *engine, const gdn_recipe *recipe, gdn_isa isa,
                  int block)
{
    gdn_isa_force(isa);
    return gdn_problem_run(p, engine, recipe, &block, 1);
}

/* ---------------------------------------------------------------- kernels */

/* One recipe on one problem: every instruction set, and blocks of another size, give the same bits. */
static void same_everywhere(const problem *p, const gdn_engine *engine, const gdn_recipe *recipe,
                            const char *name)
{
    char what[160];
    result scalar = run(p, engine, recipe, GDN_ISA_SCALAR, p->tokens);
    for (gdn_isa isa = GDN_ISA_SCALAR; isa < GDN_ISAS; isa++) {
        if (!gdn_isa_available(isa))
            continue;
        snprintf(what, sizeof what, "%s, %s, %s", recipe ? recipe->name : engine->name, gdn_isa_names[isa],
                 name);
        result other = run(p, engine, recipe, isa, isa ? p->tokens : 3);
        gdn_check_results(p, &scalar, &other, what);
        gdn_result_free(&other);
    }
    gdn_result_free(&scalar);
}

/* All recipes of the CPU on all problems; T = 1 too. */
START_TEST(kernels_give_the_same_bits)
{
    static const struct {
        gdn_shape shape;
        int tokens;
    } all[] = {{{2, 1, 1}, 7}, {{2, 3, 17}, 5}, {{2, 17, 3}, 6}, {{1, 16, 1}, 1}};
    for (int i = 0; i < POKES + SETTINGS; i++)
        for (size_t s = 0; s < sizeof all / sizeof all[0]; s++)
            for (int r = 0; r < gdn_recipe_count; r++) {
                const gdn_recipe *recipe = &gdn_recipes[r];
                const char *name;
                if (recipe->math != GDN_MATH_PORTABLE)
                    continue;
                problem p = hostile(i, all[s].shape, all[s].tokens, &name);
                same_everywhere(&p, gdn_recipe_engine(recipe), recipe, name);
                gdn_problem_free(&p);
            }
}
END_TEST

/* Every width around those of a register and a tile, chunks short and whole. */
START_TEST(shapes_give_the_same_bits)
{
    static const gdn_shape shapes[] = {{1, 1, 256}, {1, 256, 1}, {1, 80, 3},
                                       {1, 3, 80},  {3, 16, 16}, {64, 2, 1}};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (int r = 0; r < gdn_recipe_count; r++) {
            const char *name;
            const gdn_recipe *recipe = &gdn_recipes[r];
            if (recipe->math != GDN_MATH_PORTABLE)
                continue;
            problem p = hostile(0, shapes[s], 70, &name);
            same_everywhere(&p, gdn_recipe_engine(recipe), recipe, name);
            gdn_problem_free(&p);
        }
}
END_TEST

/* The second head of a result is that of another, and finite. */
static void second_head(const problem *p, const result *x, const result *y, const char *name)
{
    size_t rows = (size_t)p->tokens, values = rows * (size_t)p->shape.dv,
           state = (size_t)p->shape.dk * (size_t)p->shape.dv;
    gdn_check_bits(x->g + rows, y->g + rows, rows, name);
    gdn_check_bits(x->o + values, y->o + values, values, name);
    gdn_check_bits(x->y + values, y->y + values, values, name);
    gdn_check_bits(x->state + state, y->state + state, state, name);
    for (size_t i = 0; i < values; i++)
        GDN_CHECK(isfinite(x->y[values + i]), "%s: y[%zu] of the second head is %a", name, i,
                  x->y[values + i]);
}

/* What one head is given stays in it, in kernels and references. */
START_TEST(heads_keep_to_themselves)
{
    static const gdn_engine *const references[] = {&gdn_fp64_engine, &gdn_dd_engine, &gdn_mpfr_engine,
                                                   &gdn_mpfr_fast_engine};
    const gdn_isa best = gdn_isa_best();
    const char *name;
    for (int e = 0; e < 4 + gdn_recipe_count; e++) {
        const gdn_recipe *recipe = e < 4 ? NULL : &gdn_recipes[e - 4];
        if (recipe && recipe->math != GDN_MATH_PORTABLE)
            continue;
        const gdn_engine *engine = recipe ? gdn_recipe_engine(recipe) : references[e];
        problem plain = hostile(0, (gdn_shape){2, 5, 3}, 9, &name);
        result clean = run(&plain, engine, recipe, best, 9);
        for (int i = 1; i < POKES; i++) {
            problem p = hostile(i, (gdn_shape){2, 5, 3}, 9, &name);
            result x = run(&p, engine, recipe, best, 4);
            second_head(&p, &x, &clean, name);
            gdn_result_free(&x);
            gdn_problem_free(&p);
        }
        gdn_result_free(&clean);
        gdn_problem_free(&plain);
    }
}
END_TEST

/* ---------------------------------------------------------------- the reference */

/*
 * A rung against literal MPFR, head by head: finite where MPFR is and no square leaves the range of doubles,
 * and within `bound` of the largest number. lo: NULL where the rung has no low halves.
 */
static void near_truth(const problem *p, const result *x, const result *truth, bool pairs, double bound,
                       const char *what)
{
    size_t H = (size_t)p->shape.heads;
    const struct {
        const char *name;
        const double *x, *x_lo, *y, *y_lo;
        size_t n;
    } all[] = {{"g", x->g, x->g_lo, truth->g, truth->g_lo, gdn_problem_rows(p)},
               {"alpha", x->alpha, x->alpha_lo, truth->alpha, truth->alpha_lo, gdn_problem_rows(p)},
               {"o", x->o, x->o_lo, truth->o, truth->o_lo, gdn_problem_values(p)},
               {"state", x->state, x->state_lo, truth->state, truth->state_lo, gdn_problem_state(p)},
               {"y", x->y, x->y_lo, truth->y, truth->y_lo, gdn_problem_values(p)}};
    for (size_t h = 0; h < H; h++) {
        bool whole = true; /* nothing of the head so far that overflows */
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
            size_t n = all[i].n / H, at = h * n;
            double most = 0x1p-1000;
            for (size_t j = at; j < at + n; j++)
                most = isfinite(all[i].y[j]) ? fmax(most, fabs(all[i].y[j])) : INFINITY;
            whole = whole && most < 0x1p500;
            for (size_t j = at; j < at + n; j++) {
                const double *y = all[i].y, *z = all[i].x;
                GDN_CHECK(!isfinite(z[j]) || isfinite(y[j]), "%s, head %zu: %s[%zu] is %a, MPFR has %a", what,
                          h, all[i].name, j - at, z[j], y[j]);
                if (!whole)
                    continue;
                double d = (z[j] - y[j]) + ((pairs ? all[i].x_lo[j] : 0) - all[i].y_lo[j]);
                GDN_CHECK(fabs(d) <= bound * most,
                          "%s, head %zu: %s[%zu] is %a, MPFR has %a; off by %a of %a", what, h, all[i].name,
                          j - at, z[j], y[j], d, most);
            }
        }
    }
}

/*
 * Every rung on every problem. Over 9 tokens of d_k = 5 errors of u are enlarged by the growth of g = 1 and
 * beta = 3 at most, as the state is; by cancellation against the largest number of the head 2^10 at most.
 */
START_TEST(rungs_agree)
{
    const gdn_shape shape = {2, 5, 3};
    const gdn_isa best = gdn_isa_best();
    for (int i = 0; i < POKES + SETTINGS; i++) {
        const char *name;
        char what[160];
        problem p = hostile(i, shape, 9, &name);
        result truth = run(&p, &gdn_mpfr_engine, NULL, best, 4),
               fast = run(&p, &gdn_mpfr_fast_engine, NULL, best, 9),
               dd = run(&p, &gdn_dd_engine, NULL, best, 9), fp64 = run(&p, &gdn_fp64_engine, NULL, best, 9);
        snprintf(what, sizeof what, "mpfr-fast, %s", name);
        near_truth(&p, &fast, &truth, true, 0x1p-95, what);
        snprintf(what, sizeof what, "dd, %s", name);
        near_truth(&p, &dd, &truth, true, 0x1p-90, what);
        snprintf(what, sizeof what, "fp64, %s", name);
        near_truth(&p, &fp64, &truth, false, 0x1p-40, what);
        same_everywhere(&p, &gdn_dd_engine, NULL, name);
        same_everywhere(&p, &gdn_fp64_engine, NULL, name);
        gdn_result_free(&truth);
        gdn_result_free(&fast);
        gdn_result_free(&dd);
        gdn_result_free(&fp64);
        gdn_problem_free(&p);
    }
}
END_TEST

/* ---------------------------------------------------------------- rows */

/* The text of tests/hostile.yaml for other dimensions, with `more` at the end of its list of profiles. */
static gdn_experiment *hostile_experiment(int dk, int dv, const char *more)
{
    static char text[1 << 14], *at;
    gdn_error err = {""};
    gdn_experiment *e = NULL;
    FILE *f = fopen("tests/hostile.yaml", "r");
    GDN_CHECK(f, "cannot read tests/hostile.yaml");
    char line[1024];
    for (at = text; fgets(line, sizeof line, f);) {
        size_t room = sizeof text - (size_t)(at - text);
        if (strncmp(line, "dk: ", 4) == 0)
            at += snprintf(at, room, "dk: %d\n", dk);
        else if (strncmp(line, "dv: ", 4) == 0)
            at += snprintf(at, room, "dv: %d\n", dv);
        else if (strncmp(line, "profiles: [", 11) == 0)
            at += snprintf(at, room, "profiles: [%s%s", more, line + 11);
        else
            at += snprintf(at, room, "%s", line);
    }
    fclose(f);
    GDN_CHECK(gdn_inputs_init(&err) == GDN_OK, "%s", err.text);
    GDN_CHECK(gdn_experiment_load_text("hostile.yaml", text, &e, &err) == GDN_OK, "%s", err.text);
    return e;
}

static double real(const gdn_row *r, const gdn_column *c)
{
    double x;
    memcpy(&x, (const char *)r + c->offset, sizeof x);
    return x;
}

/* A row with the flag ok has numbers, another none; nothing is infinite. */
static void row_is_sane(const gdn_row *r)
{
    bool ok = is(r->flag, "ok");
    const double numbers[] = {r->rel_l2, r->nmse, r->bias};
    for (int i = 0; i < gdn_column_count; i++)
        GDN_CHECK(gdn_columns[i].type != GDN_COLUMN_REAL || !isinf(real(r, &gdn_columns[i])),
                  "%s is infinite in %s", gdn_columns[i].name, name_of(r));
    for (int i = 0; i < 3; i++)
        GDN_CHECK(isfinite(numbers[i]) == ok, "number %d is %a in %s", i, numbers[i], name_of(r));
    GDN_CHECK(isnan(r->cosine) || fabs(r->cosine) <= 1.00001, "a cosine of %a in %s", r->cosine, name_of(r));
    GDN_CHECK(!ok || r->uncertainty >= 0, "an uncertainty of %a in %s", r->uncertainty, name_of(r));
    GDN_CHECK(ok || (isnan(r->max_ulp) && isnan(r->bits) && isnan(r->cosine)), "%s", name_of(r));
}

/* How many rows of a population and quantity there are, and how many of them carry the flag. */
static void count(const gdn_rows *rows, const char *quantity, const char *flag, int64_t *all,
                  int64_t *flagged)
{
    *all = *flagged = 0;
    for (int64_t i = 0; i < rows->count; i++)
        if (is(rows->row[i].quantity, quantity)) {
            ++*all;
            *flagged += is(rows->row[i].flag, flag);
        }
}

/* Rows of tests/hostile.yaml: sane in every shape, for chunked recipes too. */
START_TEST(rows_are_sane)
{
    static const int dims[][2] = {{1, 1}, {3, 16}, {80, 3}};
    for (size_t d = 0; d < sizeof dims / sizeof dims[0]; d++) {
        gdn_experiment *e = hostile_experiment(dims[d][0], dims[d][1], "chunk-bf16, ");
        for (unsigned p = 0; p < e->file->populations_count; p++) {
            gdn_rows rows = rows_of(e, (int)p);
            int64_t all, flagged;
            for (int64_t i = 0; i < rows.count; i++)
                row_is_sane(&rows.row[i]);
            bool nothing = is(rows.row[0].population, "nothing");
            static const char *const quantities[] = {"o", "state", "y"};
            for (int q = 0; q < 3; q++) { /* where nothing is written, there is nothing to measure by */
                count(&rows, quantities[q], "zero_reference", &all, &flagged);
                GDN_CHECK(!nothing || all == flagged, "%lld of %lld rows of %s", (long long)flagged,
                          (long long)all, quantities[q]);
            }
            count(&rows, "y", "nonfinite", &all, &flagged);
            GDN_CHECK(!is(rows.row[0].population, "weights") || flagged > 0,
                      "a weight of 3e38 overflows nowhere");
            gdn_rows_free(&rows);
        }
        gdn_experiment_free(e);
    }
}
END_TEST

/* The same rows by another instruction set, in other blocks, on two threads. */
START_TEST(rows_are_the_same_bits)
{
    gdn_experiment *e = hostile_experiment(3, 16, "chunk-bf16, ");
    gdn_error err = {""};
    int n;
    gdn_task *tasks = tasks_of(e, &n);
    for (int i = 0; i < n; i++) {
        gdn_rows x, y;
        GDN_CHECK(gdn_task_run(&tasks[i], NULL, NULL, &x, &err) == GDN_OK, "%s", err.text);
        gdn_isa best = gdn_isa_best();
        gdn_isa_force(GDN_ISA_SCALAR);
        tasks[i].block = 37;
        tasks[i].threads = 2;
        GDN_CHECK(gdn_task_run(&tasks[i], NULL, NULL, &y, &err) == GDN_OK, "%s", err.text);
        gdn_isa_force(best);
        ck_assert_int_eq(x.count, y.count);
        for (int64_t r = 0; r < x.count; r++)
            same_row(&x.row[r], &y.row[r], true);
        gdn_rows_free(&x);
        gdn_rows_free(&y);
    }
    free(tasks);
    gdn_experiment_free(e);
}
END_TEST

/* ---------------------------------------------------------------- files */

enum { T = 300, H = 2, DK = 4, DV = 6 };

/* A population from a file whose tensors are the problem's, and a recorded o that is k; [T][H][d]. */
static gdn_rows rows_of_problem(const problem *p, bool given)
{
    const struct {
        const char *name;
        const float *x;
        int d;
    } all[] = {{"q", p->q, DK}, {"k", p->k, DK}, {"v", p->v, DV}, {"z", p->z, DV},
               {"a", p->a, 1},  {"b", p->b, 1},  {"g", p->g, 1},  {"beta", p->beta, 1}};
    float *turned[8] = {NULL}, a_log[H], dt_bias[H];
    tensor t[10];
    int n = 0;
    for (int i = 0; i < 8; i++) {
        if (!all[i].x)
            continue;
        turned[i] = gdn_test_alloc((size_t)(T * H * all[i].d), sizeof(float));
        for (int h = 0; h < H; h++)
            for (int s = 0; s < T; s++)
                memcpy(turned[i] + (s * H + h) * all[i].d, all[i].x + (h * T + s) * all[i].d,
                       (size_t)all[i].d * sizeof(float));
        t[n++] = (tensor){all[i].name, all[i].d > 1 ? 3 : 2, {T, H, all[i].d}, turned[i]};
    }
    for (int h = 0; h < H; h++) {
        a_log[h] = (float)p->decay[h];
        dt_bias[h] = (float)p->dt_bias[h];
    }
    t[n++] = (tensor){"A_log", 1, {H}, a_log};
    t[n++] = (tensor){"dt", 1, {H}, dt_bias};
    write_tensors("p.safetensors", t, n);
    gdn_experiment *e =
        experiment("experiment: t\nquestion: q\nprofiles: [fp32, all-bf16, bf16, chunk-bf16]\npopulations:\n"
                   "  - name: p\n    file: {path: p.safetensors, q: q, k: k, v: v, z: z, %s}\n",
                   given ? "g: g, beta: beta" : "a: a, b: b, a_log: A_log, dt_bias: dt");
    gdn_rows rows = rows_of(e, 0);
    gdn_experiment_free(e);
    for (int i = 0; i < 8; i++)
        free(turned[i]);
    return rows;
}

/* Rows of a problem are sane; `before` the middle of the first head and in the second they are those of
 * another. */
static void poisoned(const gdn_rows *x, const gdn_rows *clean, bool before, const char *name)
{
    int64_t nonfinite = 0;
    ck_assert_int_eq(x->count, clean->count);
    for (int64_t i = 0; i < x->count; i++) {
        const gdn_row *r = &x->row[i], *s = &clean->row[i];
        row_is_sane(r);
        nonfinite += is(r->flag, "nonfinite");
        bool same = r->head == 1 || (before && r->to < T / 2);
        GDN_CHECK(!same ||
                      (is(r->flag, s->flag) && gdn_same(r->rel_l2, s->rel_l2) && gdn_same(r->bias, s->bias)),
                  "%s: %s", name, name_of(r));
        bool after = r->head == 0 && r->to > T / 2 && (is(r->quantity, "o") || is(r->quantity, "state"));
        GDN_CHECK(!after || !before || is(r->flag, "nonfinite"), "%s: %s", name, name_of(r));
    }
    GDN_CHECK(nonfinite > 0, "%s: every row is finite", name);
}

/* NaN and infinities in a file: from the token on rows are flagged, before it and in the other head they
 * stay. */
START_TEST(files_with_other_numbers)
{
    static const struct {
        int input;
        float x;
    } all[] = {{Q, NAN}, {K, INFINITY}, {V, -INFINITY}, {A, NAN}, {B, -NAN}};
    problem plain = gdn_problem_new((gdn_shape){H, DK, DV}, T, 3);
    gdn_rows clean = rows_of_problem(&plain, false);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const poke x = {"poisoned", BIT(all[i].input), all[i].x, true};
        problem p = gdn_problem_new((gdn_shape){H, DK, DV}, T, 3);
        do_poke(&p, &x);
        gdn_rows rows = rows_of_problem(&p, false);
        if (all[i].input == Q) /* the state does not read q, and o only there */
            for (int64_t r = 0; r < rows.count; r++)
                row_is_sane(&rows.row[r]);
        else
            poisoned(&rows, &clean, true, i == 1 ? "k" : i == 2 ? "v" : i == 3 ? "a" : "b");
        gdn_rows_free(&rows);
        gdn_problem_free(&p);
    }
    gdn_rows_free(&clean);
    gdn_problem_free(&plain);
}
END_TEST

/*
 * g and beta given, under which the state grows: past the largest fp32 the kernel is infinite, past 2^512 the
 * squares of the reference are, past 2^1024 the reference is. None of it is a number, none an error of 0.
 */
START_TEST(growth_is_flagged)
{
    static const struct {
        float g, beta;
    } all[] = {{0, 8}, {3, 0.5f}, {700, 0.5f}, {3e38f, 0.5f}, {-0.01f, -3e38f}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        problem p = gdn_problem_new((gdn_shape){H, DK, DV}, T, 3);
        uint64_t seed = 4;
        p.g = gdn_test_floats(&seed, H * T, -1, 0);
        p.beta = gdn_test_floats(&seed, H * T, 0, 1);
        gdn_rows clean = rows_of_problem(&p, true);
        for (int t = 0; t < T; t++) {
            p.g[t] = all[i].g;
            p.beta[t] = all[i].beta;
        }
        gdn_rows rows = rows_of_problem(&p, true);
        poisoned(&rows, &clean, false, "growth");
        for (int64_t r = 0; r < rows.count; r++) {
            const gdn_row *x = &rows.row[r];
            bool late = x->head == 0 && x->to == T && (is(x->quantity, "o") || is(x->quantity, "state"));
            GDN_CHECK(!late || is(x->flag, "nonfinite"), "g = %a, beta = %a: %s", all[i].g, all[i].beta,
                      name_of(x));
        }
        gdn_rows_free(&rows);
        gdn_rows_free(&clean);
        gdn_problem_free(&p);
    }
}
END_TEST

/*
 * A rate of 150 stored 1.5 % too low: at t = 384 the decay is e^860 times the true one. Squares of that leave
 * the range of doubles before the decay itself does: no number either way, and a number where it can be one.
 */
START_TEST(ratios_out_of_range)
{
    gdn_experiment *e =
        experiment("experiment: t\nquestion: q\nlengths: [1023]\nprofiles: [a_log-bf16, fp32]\n"
                   "quantities: [decay]\npopulations:\n  - {name: p, heads: 1, a_scale: 0, "
                   "a_log: {values: [5.015]}, dt_bias: {values: [0.5413]}}\n");
    gdn_rows rows = rows_of(e, 0);
    for (int64_t i = 0; i < rows.count; i++)
        row_is_sane(&rows.row[i]);
    for (int64_t t = 8; t <= 512; t *= 2) {
        const gdn_row *r = row_of(&rows, "a_log-bf16", "decay", "storage", t, 2 * t - 1, 0),
                      *s = row_of(&rows, "fp32", "decay", "storage", t, 2 * t - 1, 0);
        double nats = 150.6 * 0.0149 * (double)t; /* of the ratio at t; squares sum up to e^709 */
        GDN_CHECK(is(r->flag, nats < 340 ? "ok" : "nonfinite"), "%s", name_of(r));
        GDN_CHECK(is(s->flag, "ok") && s->rel_l2 == 0, "%s", name_of(s));
    }
    gdn_rows_free(&rows);
    gdn_experiment_free(e);
}
END_TEST

/* ---------------------------------------------------------------- what is refused, and what a user sees */

/* Populations of nothing, and numbers that no parameter is: one sentence with file and line. */
START_TEST(nothing_is_refused)
{
    static const struct {
        const char *key, *population, *words;
    } all[] = {{"lengths: [4]", "heads: 0", "heads: 0 is not allowed"},
               {"lengths: [4]", "heads: 2, lengths: []", "lengths: the list is empty"},
               {"seeds: 1", "heads: 2", "no lengths"},
               {"lengths: [0]", "heads: 2", "lengths/0: 0 is not allowed"},
               {"lengths: [4]\nseeds: 0", "heads: 2", "seeds: 0 is not allowed"},
               {"lengths: [4]\ndk: 0", "heads: 2", "dk: 0 is not allowed"},
               {"lengths: [4]\ndv: -1", "heads: 2", "dv: -1 is not allowed"},
               {"lengths: [4]\ndk: .nan", "heads: 2", "dk: "},
               {"lengths: [4]", "heads: 2, group: 3", "a group of 3 does not divide 2 heads"},
               {"lengths: [4]", "heads: 2, b_scale: .inf", "b_scale: "},
               {"lengths: [4]", "heads: 2, initial_scale: .nan", "initial_scale: "},
               {"lengths: [4]", "heads: 2, norm_weight: {values: [.inf]}", "norm_weight/values"},
               {"lengths: [4]", "heads: 2, norm_weight: {uniform: [.nan, 1]}", "norm_weight/uniform"},
               {"lengths: [4]", "heads: 2, sequences: [4]", "sequences/0: 4 is not inside"}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        char text[1024];
        gdn_error err = {""};
        gdn_experiment *e = NULL;
        snprintf(text, sizeof text,
                 "experiment: t\nquestion: q\n%s\nprofiles: [fp32]\npopulations:\n"
                 "  - {name: p, %s, a_log: {values: [0]}, dt_bias: {values: [0]}}\n",
                 all[i].key, all[i].population);
        gdn_status status = gdn_experiment_load_text("x.yaml", text, &e, &err);
        GDN_CHECK(status == GDN_BAD_INPUT && strncmp(err.text, "x.yaml:", 7) == 0 &&
                      strstr(err.text, all[i].words),
                  "%s, %s: %s", all[i].key, all[i].population, err.text);
    }
}
END_TEST

/* Start the program with these words; its exit code. What it says is in scratch/said. */
__attribute__((format(printf, 1, 2))) static int program(const char *format, ...)
{
    char words[512], line[1200];
    const char *given = getenv("GDNPREC");
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    snprintf(line, sizeof line, "'%s' %s >%s/said 2>&1", given ? given : "build/gdnprec", words, scratch);
    int status = system(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *said(void)
{
    static char text[1 << 14];
    char path[128];
    snprintf(path, sizeof path, "%s/said", scratch);
    FILE *f = fopen(path, "r");
    text[f ? fread(text, 1, sizeof text - 1, f) : 0] = 0;
    if (f)
        fclose(f);
    return text;
}

static gdn_table *csv(const char *name)
{
    char path[256];
    gdn_table *t = NULL;
    gdn_error err = {""};
    snprintf(path, sizeof path, "%s/results/hostile/%s", scratch, name);
    GDN_CHECK(gdn_table_read(path, &t, &err) == GDN_OK, "%s", err.text);
    return t;
}

static double number(const gdn_table *t, size_t row, const char *name)
{
    size_t column;
    double x;
    gdn_error err = {""};
    GDN_CHECK(gdn_table_find(t, name, &column, &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(gdn_table_number(t, row, column, &x, &err) == GDN_OK, "%s", err.text);
    return x;
}

/* Files of a run: no field is infinite or a NaN spelt out, and rows without a number are counted, not
 * averaged. */
START_TEST(files_of_a_run)
{
    static const char *const names[] = {"cells.csv", "summary.csv", "growth.csv", "heat.csv"};
    int status = program("run -q --backend cpu --results %s/results tests/hostile.yaml", scratch);
    GDN_CHECK(status == 0, "exit %d: %s", status, said());
    for (int i = 0; i < 4; i++) {
        gdn_table *t = csv(names[i]);
        ck_assert_uint_gt(gdn_table_rows(t), 0);
        for (size_t r = 0; r < gdn_table_rows(t); r++)
            for (size_t c = 0; c < gdn_table_columns(t); c++) {
                const char *x = gdn_table_text(t, r, c);
                GDN_CHECK(!strstr(x, "nan") && (strcasecmp(x, "inf") && strcasecmp(x, "-inf")),
                          "%s, line %zu: %s is %s", names[i], r + 2, gdn_table_name(t, c), x);
            }
        gdn_table_free(t);
    }
    static const char *const flags[] = {"ok", "below_reference", "zero_reference", "nonfinite"};
    static const char *const counts[] = {"n", "n_below", "n_zero", "n_nonfinite"};
    gdn_table *cells = csv("cells.csv"), *summary = csv("summary.csv");
    size_t flag;
    gdn_error err = {""};
    GDN_CHECK(gdn_table_find(cells, "flag", &flag, &err) == GDN_OK, "%s", err.text);
    for (int i = 0; i < 4; i++) {
        double is_so = 0, counted = 0;
        for (size_t r = 0; r < gdn_table_rows(cells); r++)
            is_so += is(gdn_table_text(cells, r, flag), flags[i]);
        for (size_t r = 0; r < gdn_table_rows(summary); r++)
            counted += number(summary, r, counts[i]);
        GDN_CHECK(is_so == counted && is_so > 0, "%.0f rows are %s, the summary counts %.0f", is_so, flags[i],
                  counted);
    }
    int none = 0; /* groups without a row that is a number */
    for (size_t r = 0; r < gdn_table_rows(summary); r++) {
        GDN_CHECK(isnan(number(summary, r, "median")) == (number(summary, r, "n") == 0),
                  "summary.csv, line %zu", r + 2);
        bool some =
            number(summary, r, "n") + number(summary, r, "n_below") + number(summary, r, "n_zero") > 0;
        GDN_CHECK(some || (isnan(number(summary, r, "gamma")) && isnan(number(summary, r, "predicted"))),
                  "summary.csv, line %zu: medians of rows that are no numbers", r + 2);
        none += !some;
    }
    ck_assert_int_gt(none, 0);
    gdn_table_free(cells);
    gdn_table_free(summary);
}
END_TEST

/* judge has no truth where the squares of the recurrence overflow, and says so; exit 2. */
START_TEST(judge_of_growth)
{
    problem p = gdn_problem_new((gdn_shape){1, DK, DV}, 260, 3);
    float g[260], beta[260];
    for (int t = 0; t < 260; t++) {
        g[t] = 0.9f;
        beta[t] = 9;
    }
    const tensor t[] = {{"q", 3, {260, 1, DK}, p.q}, {"k", 3, {260, 1, DK}, p.k},
                        {"v", 3, {260, 1, DV}, p.v}, {"g", 2, {260, 1}, g},
                        {"beta", 2, {260, 1}, beta}, {"o", 3, {260, 1, DV}, p.z}};
    write_tensors("growth.safetensors", t, 6);
    int status = program("judge -q %s/growth.safetensors --max-rel-l2 2", scratch);
    GDN_CHECK(status == 2 && strstr(said(), "there is no truth"), "exit %d: %s", status, said());
    gdn_problem_free(&p);
}
END_TEST

/* An error of a stage with a NaN in it is none, not that of the rest. */
START_TEST(stages_with_other_numbers)
{
    const double hi[] = {1, 2, 3}, x[] = {1, 2.5, 3};
    static const double odd[] = {NAN, INFINITY, -INFINITY, 1e300};
    ck_assert(gdn_layer_error_of(x, hi, NULL, 3, GDN_FP32).rel_l2 > 0.1);
    for (int i = 0; i < 4; i++) {
        double y[] = {1, 2.5, odd[i]};
        GDN_CHECK(isnan(gdn_layer_error_of(y, hi, NULL, 3, GDN_FP32).rel_l2), "%a among the kernel's",
                  odd[i]);
        GDN_CHECK(isnan(gdn_layer_error_of(hi, y, NULL, 3, GDN_FP32).rel_l2), "%a among the truth's", odd[i]);
    }
}
END_TEST

GDN_TASK_TEST_MAIN("hostile", subnormals_are_kept, other_modes_are_refused, kernels_give_the_same_bits,
                   shapes_give_the_same_bits, heads_keep_to_themselves, rungs_agree, rows_are_sane,
                   rows_are_the_same_bits, files_with_other_numbers, growth_is_flagged, ratios_out_of_range,
                   nothing_is_refused, files_of_a_run, judge_of_growth, stages_with_other_numbers)
