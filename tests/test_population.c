/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_population -- what a population may say of its heads: groups that share keys, the factor of beta, and
 * initialisations of A_log, dead heads among them.
 */
#include "tests/task_test.h"

#include <omp.h>

#include "harness/source.h"

/* The source of the experiment's only population. */
static gdn_source *source_of(const gdn_experiment *e, uint64_t seed, int room)
{
    gdn_source *s = NULL;
    gdn_error err = {""};
    GDN_CHECK(gdn_source_open(e, 0, seed, room, &s, &err) == GDN_OK, "%s", err.text);
    return s;
}

/* ---- groups ---- */

/* Heads 2 .. 4 of six in groups of three take q and k of key heads 0, 1, 1, and the rest of their own. */
START_TEST(groups_from_any_head)
{
    enum { N = 5, D = 8 };
    const char *text =
        "experiment: t\nquestion: q\ndk: 8\ndv: 8\nlengths: [5]\nprofiles: [fp32]\npopulations:\n"
        "  - {name: p, heads: 6, %sa_log: {init: fla}, dt_bias: {init: fla}}\n";
    char grouped[512], alone[512];
    snprintf(grouped, sizeof grouped, text, "group: 3, ");
    snprintf(alone, sizeof alone, text, "");
    gdn_experiment *e = experiment("%s", grouped), *f = experiment("%s", alone);
    gdn_source *s = source_of(e, 4, N), *own = source_of(f, 4, N);
    gdn_block b, c;
    gdn_source_block(s, 1, N, 2, 3, &b);
    gdn_source_block(own, 1, N, 0, 6, &c);
    for (int h = 0; h < 3; h++) {
        const int key_head = (2 + h) / 3;
        GDN_CHECK(memcmp(b.q + h * N * D, c.q + key_head * N * D, N * D * sizeof *b.q) == 0, "q of head %d",
                  h);
        GDN_CHECK(memcmp(b.k + h * N * D, c.k + key_head * N * D, N * D * sizeof *b.k) == 0, "k of head %d",
                  h);
        GDN_CHECK(memcmp(b.v + h * N * D, c.v + (2 + h) * N * D, N * D * sizeof *b.v) == 0, "v of head %d",
                  h);
        GDN_CHECK(memcmp(b.a + h * N, c.a + (2 + h) * N, N * sizeof *b.a) == 0, "a of head %d", h);
    }
    GDN_CHECK(strstr(s->text, ";group=3") && strlen(s->text) == strlen(own->text) + 8, "%s", s->text);
    gdn_source_close(s);
    gdn_source_close(own);
    gdn_experiment_free(e);
    gdn_experiment_free(f);
}
END_TEST

/* ---- the factor of beta ---- */

static gdn_rows rows_of_beta(const char *rung, const char *words)
{
    gdn_experiment *e = experiment(
        "experiment: t\nquestion: q\ndk: 8\ndv: 8\nlengths: [24]\nreference: {rung: %s}\n"
        "profiles: [all-bf16, bf16, chunked]\ndefine: [{name: chunked, base: all-bf16, recipe: "
        "chunk-bf16}]\npopulations:\n  - {name: p, heads: 2, a_log: {values: [-1.3, -3.3]}, dt_bias: "
        "{init: fla}, b_scale: 0, %s}\n",
        rung, words);
    gdn_rows rows = rows_of(e, 0);
    gdn_experiment_free(e);
    return rows;
}

static void same_numbers(gdn_rows *x, gdn_rows *y, const char *what)
{
    ck_assert_int_eq(x->count, y->count);
    for (int64_t i = 0; i < x->count; i++) {
        GDN_CHECK(x->row[i].cell != y->row[i].cell, "%s: the same cell", what);
        y->row[i].cell = x->row[i].cell;
        same_row(&x->row[i], &y->row[i], true);
    }
    gdn_rows_free(x);
    gdn_rows_free(y);
}

/*
 * 2 sigmoid(0) is sigmoid(10,000) = 1 to the bit, in every engine and for theory; sigmoid(-10,000) is
 * nothing, doubled or not; 2 sigmoid(0) is not sigmoid(0).
 */
START_TEST(factor_of_beta)
{
    static const char *const rungs[] = {"mpfr", "fp64"};
    for (int r = 0; r < 2; r++) {
        gdn_rows x = rows_of_beta(rungs[r], "b_mean: 0, beta_factor: 2"),
                 y = rows_of_beta(rungs[r], "b_mean: 1e4"), half = rows_of_beta(rungs[r], "b_mean: 0");
        const gdn_row *one = row_of(&x, "bf16", "o", "total", 1, 24, 0);
        GDN_CHECK(one->rel_l2 != row_of(&half, "bf16", "o", "total", 1, 24, 0)->rel_l2,
                  "the factor does nothing");
        /* 2 E beta - E beta^2 = 1 of d_k = 8 */
        GDN_CHECK(fabs(one->gamma_eff - one->gamma - 1.0 / 16) < 1e-15, "gamma_eff %a", one->gamma_eff);
        same_numbers(&x, &y, "1");
        gdn_rows none = rows_of_beta(rungs[r], "b_mean: -1e4, beta_factor: 2"),
                 none1 = rows_of_beta(rungs[r], "b_mean: -1e4");
        same_numbers(&none, &none1, "0");
        gdn_rows_free(&half);
    }
}
END_TEST

/* A reflection: beta = 2 turns the state's component along the key around, and keeps its size; in the file
 * beta is 1. */
START_TEST(reflection)
{
    const float q[2] = {1, 0}, k[2] = {1, 0}, v[2] = {0, 0}, g[1] = {-0x1p-40f}, beta[1] = {1},
                state[4] = {3, 5, 7, 11}, end[4] = {-3, -5, 7, 11};
    const tensor all[] = {{"q", 3, {1, 1, 2}, q},    {"k", 3, {1, 1, 2}, k},    {"v", 3, {1, 1, 2}, v},
                          {"g", 2, {1, 1}, g},       {"beta", 2, {1, 1}, beta}, {"S", 3, {1, 2, 2}, state},
                          {"end", 3, {1, 2, 2}, end}};
    write_tensors("reflection.safetensors", all, 7);
    gdn_experiment *e = experiment(
        "experiment: t\nquestion: q\nprofiles: [fp32]\npopulations:\n  - name: p\n    beta_factor: 2\n"
        "    file: {path: reflection.safetensors, q: q, k: k, v: v, g: g, beta: beta, initial_state: S}\n"
        "    recorded: [{name: formula, state: end}]\n");
    gdn_rows rows = rows_of(e, 0);
    const gdn_row *formula = row_of(&rows, "formula", "state", "total", 1, 1, 0),
                  *fp32 = row_of(&rows, "fp32", "state", "total", 1, 1, 0);
    GDN_CHECK(formula->rel_l2 < 2e-6, "%s", name_of(formula)); /* eps of the L2 norm */
    GDN_CHECK(fp32->rel_l2 < 1e-6, "%s", name_of(fp32));
    gdn_rows_free(&rows);
    gdn_experiment_free(e);
}
END_TEST

/* ---- initialisations ---- */

static gdn_experiment *initialised(int heads, const char *init, const char *dt_bias)
{
    return experiment(
        "experiment: t\nquestion: q\ndk: 4\ndv: 4\nlengths: [1]\nprofiles: [fp32]\npopulations:\n"
        "  - {name: p, heads: %d, a_log: {init: %s}, dt_bias: %s}\n",
        heads, init, dt_bias);
}

/* So many heads of 2304 have tau = 1 / (A softplus(dt_bias)) at most this, whatever dt_bias. */
START_TEST(time_constants)
{
    enum { N = 100000 };
    static const struct {
        double tau, heads;
    } published[] = {{0.25, 14}, {0.5, 48}, {1, 118}, {8, 610}, {32, 1113}, {64, 1304}, {128, 1460}};
    static const char *const biases[] = {"{init: fla}", "{init: ones}", "{values: [-60, 800]}"};
    for (int i = 0; i < 3; i++) {
        gdn_experiment *e = initialised(N, "tau", biases[i]);
        gdn_source *s = source_of(e, 1, 1);
        for (size_t c = 0; c < sizeof published / sizeof published[0]; c++) {
            double p = published[c].heads / 2304, seen = 0;
            for (int h = 0; h < N; h++) {
                double x = s->dt_bias[h], log_softplus = log(x > 40 ? x : log1p(exp(x))),
                       tau = exp(-s->a_log[h] - log_softplus);
                GDN_CHECK(tau > 0.0499 && tau < 4097, "tau = %g at dt_bias %g", tau, x);
                seen += tau <= published[c].tau;
            }
            GDN_CHECK(fabs(seen / N - p) < gdn_tolerance.sigmas * sqrt(p * (1 - p) / N),
                      "%g of heads have tau <= %g, not %g", seen / N, published[c].tau, p);
        }
        gdn_source_close(s);
        gdn_experiment_free(e);
    }
}
END_TEST

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/*
 * U(1, 16) drawn and logged in bf16 takes 352 values; U(0, 16) rounds up to 16 from 16 - 1/32 on, which
 * becomes 0: one head in 512 is dead, and none else.
 */
START_TEST(drawn_in_bf16)
{
    enum { N = 200000 };
    static const struct {
        const char *init;
        double dead;
        int distinct;
    } all[] = {{"megatron-bf16", 0, 352}, {"fla-bf16", 1.0 / 512, 0}, {"hf-bf16", 0, 0}, {"hf", 0, 0}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        gdn_experiment *e = initialised(N, all[i].init, "{init: ones}");
        gdn_source *s = source_of(e, 1, 1);
        int dead = 0, distinct = 1, in_bf16 = 0;
        for (int h = 0; h < N; h++) {
            dead += s->a_log[h] == -INFINITY;
            in_bf16 += s->a_log[h] == gdn_round(&gdn_formats[GDN_BF16], s->a_log[h]);
            GDN_CHECK(s->a_log[h] < 2.79, "A_log = %g", s->a_log[h]); /* log 16 = 2.77; bf16 has 2.78125 */
        }
        qsort(s->a_log, N, sizeof *s->a_log, ascending);
        for (int h = 1; h < N; h++)
            distinct += s->a_log[h] != s->a_log[h - 1];
        GDN_CHECK(fabs(dead - N * all[i].dead) <= gdn_tolerance.sigmas * sqrt(N * all[i].dead),
                  "%s: %d dead heads of %d", all[i].init, dead, N);
        GDN_CHECK(!all[i].distinct || distinct == all[i].distinct, "%s: %d values", all[i].init, distinct);
        GDN_CHECK((in_bf16 == N) == (strstr(all[i].init, "bf16") != NULL), "%s: %d of %d are bf16",
                  all[i].init, in_bf16, N);
        gdn_source_close(s);
        gdn_experiment_free(e);
    }
}
END_TEST

/* A dead head, A = 0, forgets nothing: g is 0, the decay 1 and nothing is lost by storing it, in every
 * profile. */
START_TEST(dead_head)
{
    char names[4096] = "";
    for (int i = 0; i < gdn_profile_count; i++) {
        gdn_profile p = gdn_profile_builtin(i);
        if (gdn_backend_cpu.mode(&p.recipe))
            snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", *names ? ", " : "", p.name);
    }
    gdn_experiment *e =
        experiment("experiment: t\nquestion: q\ndk: 8\ndv: 8\nlengths: [12]\nseeds: 400\nprofiles: [%s]\n"
                   "populations:\n  - {name: p, heads: 4, a_log: {init: fla-bf16}, dt_bias: {init: fla}}\n",
                   names);
    gdn_rows rows = {0};
    int dead = -1;
    for (uint64_t seed = 1; seed <= 400 && dead < 0; seed++) {
        gdn_source *s = source_of(e, seed, 1);
        for (int h = 0; h < 4; h++)
            if (s->a_log[h] == -INFINITY)
                dead = h;
        gdn_source_close(s);
        if (dead >= 0)
            rows = rows_of(e, (int)seed - 1);
    }
    GDN_CHECK(dead >= 0, "no dead head in 400 seeds");
    for (int64_t i = 0; i < rows.count; i++) {
        const gdn_row *r = &rows.row[i];
        if (r->head != dead)
            continue;
        GDN_CHECK(r->a_log == -INFINITY && r->gamma == 0 && !is(r->flag, "nonfinite") &&
                      r->uncertainty < 1e-9,
                  "%s", name_of(r));
        if (is(r->quantity, "g") || (is(r->kind, "storage") && !is(r->quantity, "y")))
            GDN_CHECK(is(r->flag, "zero_reference") || r->rel_l2 == 0 || is(r->flag, "below_reference"), "%s",
                      name_of(r));
        else if (is(r->quantity, "o") && is(r->kind, "total") && is(r->profile, "bf16-io"))
            GDN_CHECK(is(r->flag, "ok") && r->rel_l2 > 0 && r->rel_l2 < 0.02, "%s", name_of(r));
    }
    gdn_rows_free(&rows);
    gdn_experiment_free(e);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {groups_from_any_head, factor_of_beta, reflection,
                                  time_constants,       drawn_in_bf16,  dead_head};
    omp_set_num_threads(1); /* blocks are tiny: on a busy machine threads would only wait for each other */
    return gdn_task_test_run("population", tests, sizeof tests / sizeof tests[0]);
}
