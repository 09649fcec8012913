/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_budget -- the Shapley value on games whose value is known; the profiles that a budget stands for; bad
 * budgets; budget.csv from rows with known errors, and from a run.
 */
#include "harness/budget.h"

#include <unistd.h>

#include "base/inputs.h"
#include "harness/outfile.h"
#include "harness/plot.h"
#include "harness/report.h"
#include "harness/run.h"
#include "harness/table.h"
#include "tests/gdn_test.h"

static char scratch[64]; /* a directory of this run's own */
static gdn_error err;

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    return path;
}

/* ---- the Shapley value ---- */

enum { PLAYERS = GDN_BUDGET_MEMBERS, GAME = 1 << PLAYERS };

static void is_near(double got, double want, double scale, const char *what, int n, int i)
{
    GDN_CHECK(fabs(got - want) <= gdn_tolerance.shapley * scale, "%s, %d players, player %d: %a, not %a",
              what, n, i, got, want);
}

/* v(S) = v(0) + sum over S of x: everyone gets their own x. */
START_TEST(additive_game)
{
    uint64_t seed = 1;
    for (int n = 1; n <= PLAYERS; n++) {
        double x[PLAYERS], v[GAME], phi[PLAYERS];
        for (int i = 0; i < n; i++)
            x[i] = gdn_test_uniform(&seed, -1, 1);
        for (unsigned S = 0; S < 1U << n; S++) {
            v[S] = 0.25;
            for (int i = 0; i < n; i++)
                v[S] += S >> i & 1 ? x[i] : 0;
        }
        gdn_budget_shapley(v, n, phi);
        for (int i = 0; i < n; i++)
            is_near(phi[i], x[i], PLAYERS, "additive", n, i);
    }
}
END_TEST

/*
 * What k players make only together falls to them in equal parts, on top of what each makes alone. One left
 * and two right gloves, a pair being worth 1: 2/3, 1/6, 1/6 (Shapley 1953).
 */
START_TEST(interactions)
{
    static const double own[4] = {1, 2, 4, 8};
    double v[16], phi[4];
    for (unsigned S = 0; S < 16; S++) {
        v[S] = (S & 3) == 3 ? 6 : 0;     /* players 0 and 1: 3 each */
        v[S] += (S & 14) == 14 ? -9 : 0; /* players 1, 2 and 3 cancel: -3 each */
        for (int i = 0; i < 4; i++)
            v[S] += S >> i & 1 ? own[i] : 0;
    }
    gdn_budget_shapley(v, 4, phi);
    static const double want[4] = {1 + 3, 2 + 3 - 3, 4 - 3, 8 - 3};
    for (int i = 0; i < 4; i++)
        is_near(phi[i], want[i], 16, "interaction", 4, i);
    for (unsigned S = 0; S < 8; S++)
        v[S] = S & 1 && S & 6 ? 1 : 0;
    gdn_budget_shapley(v, 3, phi);
    is_near(phi[0], 2.0 / 3, 1, "left glove", 3, 0);
    is_near(phi[1], 1.0 / 6, 1, "right glove", 3, 1);
    is_near(phi[2], 1.0 / 6, 1, "right glove", 3, 2);
}
END_TEST

/* Random games: the parts sum to v(N) - v(0); swapping two players swaps their parts; who adds nothing gets
 * nothing. */
START_TEST(axioms)
{
    uint64_t seed = 2;
    for (int n = 2; n <= PLAYERS; n++) {
        double v[GAME], w[GAME], phi[PLAYERS], psi[PLAYERS], sum = 0;
        unsigned all = (1U << n) - 1;
        for (unsigned S = 0; S <= all; S++)
            v[S] = gdn_test_uniform(&seed, 0, 1);
        gdn_budget_shapley(v, n, phi);
        for (int i = 0; i < n; i++)
            sum += phi[i];
        is_near(sum, v[all] - v[0], PLAYERS, "sum", n, n);
        for (unsigned S = 0; S <= all; S++) {
            unsigned first = S & 1, last = S >> (n - 1) & 1;
            w[(S & ~(1U | 1U << (n - 1))) | last | first << (n - 1)] = v[S];
        }
        gdn_budget_shapley(w, n, psi);
        for (int i = 0; i < n; i++)
            is_near(psi[i], phi[i == 0 ? n - 1 : i == n - 1 ? 0 : i], PLAYERS, "swapped", n, i);
        for (unsigned S = 0; S <= all; S++)
            w[S] = v[S & ~2U];
        gdn_budget_shapley(w, n, psi);
        GDN_CHECK(psi[1] == 0, "%d players: one who adds nothing gets %a", n, psi[1]);
    }
}
END_TEST

/* ---- profiles ---- */

static const char *write_yaml(const char *text)
{
    const char *path = path_of("x.yaml");
    FILE *f = fopen(path, "w");
    GDN_CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0, "cannot write %s", path);
    return path;
}

#define TOP "experiment: t\nquestion: q?\nseeds: 1\ndk: 8\ndv: 8\nlengths: [32]\nquantities: [o, y]\n"
#define PEOPLE                                                                                               \
    "populations:\n"                                                                                         \
    "  - {name: p, heads: 2, a_log: {uniform: [-2, 1]}, dt_bias: {uniform: [-4, -1]}, "                      \
    "norm_weight: {uniform: [0.5, 1.5]}}\n"

static gdn_experiment *load(const char *text)
{
    gdn_experiment *e = NULL;
    GDN_CHECK(gdn_experiment_load(write_yaml(text), &e, &err) == GDN_OK, "%s", err.text);
    return e;
}

static const gdn_profile *profile(const gdn_experiment *e, const char *name)
{
    int i = gdn_experiment_profile(e, name);
    GDN_CHECK(i >= 0, "there is no profile %s", name);
    return &e->profiles[i];
}

static void rests_in(const gdn_chain *c, int format, const char *what)
{
    GDN_CHECK(c->n == 1 && c->link[0] == format, "%s: a chain of %d, first %d", what, c->n, c->link[0]);
}

START_TEST(expansion)
{
    gdn_experiment *e =
        load(TOP "profiles: [bf16-io, fp32]\n"
                 "budget: {base: fp32, format: fp16, members: [a_log, qk, norm_weight]}\n" PEOPLE
                 "  - {name: own, heads: 1, profiles: [fp32, 'fp16:all'], "
                 "a_log: {values: [0.3]}, dt_bias: {values: [-3]}}\n");
    static const char *const names[] = {"bf16-io",
                                        "fp32",
                                        "fp16:a_log",
                                        "fp16:qk",
                                        "fp16:a_log+qk",
                                        "fp16:norm_weight",
                                        "fp16:a_log+norm_weight",
                                        "fp16:qk+norm_weight",
                                        "fp16:all"};
    ck_assert_uint_eq(e->file->profiles_count, 9);
    for (int i = 0; i < 9; i++)
        ck_assert_str_eq(e->file->profiles[i], names[i]);
    ck_assert_int_eq(e->profile_count, gdn_profile_count + 7);
    ck_assert_uint_eq(e->file->populations[1].profiles_count, 2);
    const gdn_profile *fp32 = profile(e, "fp32");
    for (unsigned S = 1; S < 8; S++) {
        char name[128];
        gdn_budget_name(e->file->budget, S, name, sizeof name);
        const gdn_profile *p = profile(e, name);
        rests_in(&p->a_log, S & 1 ? GDN_FP16 : GDN_FP32, name);
        rests_in(&p->norm_weight, S & 4 ? GDN_FP16 : GDN_FP32, name);
        rests_in(&p->dt_bias, GDN_FP32, name);
        ck_assert_int_eq(p->recipe.qk, S & 2 ? GDN_FP16 : fp32->recipe.qk);
        ck_assert_int_eq(p->recipe.state, fp32->recipe.state);
        ck_assert_int_eq(p->recipe.output, fp32->recipe.output);
        ck_assert_str_eq(p->name, name);
        ck_assert_int_eq(gdn_budget_inner(name), S == 3 || S == 5 || S == 6);
    }
    gdn_experiment_free(e);
}
END_TEST

/* Each member changes what it names: the texts of the eight singles differ from the base's and each other. */
START_TEST(every_member)
{
    static const char *const fields[] = {"A_log=bf16", "dt_bias=bf16", ";w=bf16",  "beta=bf16",
                                         "qk=bf16",    "state=bf16",   "out=bf16", "in=bf16"};
    static const char *const members[] = {"a_log", "dt_bias", "norm_weight", "beta",
                                          "qk",    "state",   "output",      "input"};
    gdn_experiment *e =
        load(TOP "budget: {members: [a_log, dt_bias, norm_weight, beta, qk, state, output, input]}\n" PEOPLE);
    ck_assert_uint_eq(e->file->profiles_count, 256);
    for (int i = 0; i < 8; i++) {
        char name[64], text[2048];
        snprintf(name, sizeof name, "bf16:%s", members[i]);
        gdn_profile_text(profile(e, name), text, sizeof text);
        for (int j = 0; j < 8; j++)
            GDN_CHECK((strstr(text, fields[j]) != NULL) == (i == j), "%s: %s", name, text);
        ck_assert_str_ne(gdn_budget_words(members[i]), "");
    }
    char text[2048];
    gdn_profile_text(profile(e, "bf16:all"), text, sizeof text);
    for (int j = 0; j < 8; j++)
        GDN_CHECK(strstr(text, fields[j]), "bf16:all: %s", text);
    gdn_experiment_free(e);
}
END_TEST

START_TEST(base_is_kept)
{
    gdn_experiment *e = load(TOP "define:\n  - {name: mine, base: bf16-state, exp_a: bf16}\n"
                                 "budget: {base: mine, members: [a_log]}\n" PEOPLE);
    ck_assert_uint_eq(e->file->profiles_count, 2);
    ck_assert_str_eq(e->file->profiles[0], "mine");
    const gdn_profile *p = profile(e, "bf16:a_log");
    rests_in(&p->a_log, GDN_BF16, "a_log");
    ck_assert_int_eq(p->recipe.state, GDN_BF16);
    ck_assert_int_eq(p->recipe.exp_a, GDN_BF16);
    gdn_experiment_free(e);
}
END_TEST

START_TEST(bad_budgets)
{
    static const struct {
        const char *budget, *populations, *sentence;
    } cases[] = {
        {"budget: {base: fp23, members: [a_log]}\n", PEOPLE,
         "x.yaml:8: budget/base: 'fp23' is not a profile"},
        {"budget:\n  format: bf61\n  members: [a_log]\n", PEOPLE,
         "x.yaml:9: budget/format: 'bf61' is not a format; allowed: fp32 tf32 fp16 bf16 e4m3 e5m2"},
        {"budget: {format: fp64, members: [a_log]}\n", PEOPLE, "budget/format: 'fp64' is not a format"},
        {"budget:\n  members:\n    - a_log\n    - dt_bais\n", PEOPLE,
         "x.yaml:11: budget/members/1: 'dt_bais' cannot be a member (did you mean 'dt_bias'?); allowed: "
         "a_log "
         "dt_bias norm_weight beta qk state output input"},
        {"budget: {members: [beta, qk, beta]}\n", PEOPLE,
         "x.yaml:8: budget/members/2: the member 'beta' is named twice"},
        {"budget: {members: [a_log, dt_bias, norm_weight, beta, qk, state, output, input, alpha]}\n", PEOPLE,
         "x.yaml:8: budget/members: 9 members have 2^9 subsets; at most 8 members are allowed"},
        {"budget: {members: []}\n", PEOPLE, "x.yaml:8: budget/members: the list is empty"},
        {"budget: {base: fp32}\n", PEOPLE, "x.yaml:8: budget: the key 'members' is missing"},
        {"budget: {members: [a_log]}\n",
         "populations:\n  - {name: p, heads: 1, profiles: [fp32], a_log: {values: [0.3]}, dt_bias: {values: "
         "[-3]}}\n",
         "x.yaml:8: budget: every population names profiles of its own"},
        {"profiles: ['bf16:beta+a_log']\nbudget: {members: [a_log, beta]}\n", PEOPLE,
         "'bf16:beta+a_log' is not a profile"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[2048];
        gdn_experiment *e = NULL;
        snprintf(text, sizeof text, "%s%s%s", TOP, cases[i].budget, cases[i].populations);
        gdn_status status = gdn_experiment_load(write_yaml(text), &e, &err);
        GDN_CHECK(status == GDN_BAD_INPUT && !e, "%s: status %d", cases[i].budget, status);
        GDN_CHECK(strstr(err.text, cases[i].sentence), "%s, not\n%s", err.text, cases[i].sentence);
    }
}
END_TEST

/* ---- budget.csv from rows ---- */

enum { HEADS = 9 };

/* NMSE of a subset of {a_log, beta, state} in head h; a and b are what the first two are worth, 4 the third.
 */
static double error_of(unsigned S, int h, double a, double b, double pair)
{
    return (h + 1) * 1e-6 *
           (1e-3 + (S & 1 ? a : 0) + (S & 2 ? b : 0) + (S & 4 ? 4 : 0) + ((S & 3) == 3 ? pair : 0));
}

/* The rows of a budget of three members for nine heads, committed as one task; in head 8 one row has a flag.
 */
static gdn_store *store_of(const gdn_experiment *e, double a, double b, double pair, bool flagged)
{
    static gdn_row rows[2 * 8 * HEADS];
    static char name[8][128];
    gdn_store *s = NULL;
    int n = 0;
    unlink(path_of("rows.db"));
    GDN_CHECK(gdn_store_open(path_of("rows.db"), &s, &err) == GDN_OK, "%s", err.text);
    for (unsigned S = 0; S < 8; S++) {
        gdn_budget_name(e->file->budget, S, name[S], sizeof name[S]);
        for (int h = 0; h < HEADS; h++)
            for (int kind = 0; kind < 2; kind++) {
                bool bad = flagged && S == 3 && h == 8;
                double v = bad ? (double)NAN : error_of(S, h, a, b, pair) * (kind ? 100 : 1);
                rows[n] = (gdn_row){.cell = (uint64_t)n,
                                    .profile = name[S],
                                    .recipe = "fp32",
                                    .mode = "portable",
                                    .population = "p",
                                    .keys = "isotropic",
                                    .dk = 8,
                                    .dv = 8,
                                    .length = 64,
                                    .seed = 1,
                                    .head = h,
                                    .gamma = 0.5 - 0.01 * h, /* head 8 has the longest memory */
                                    .quantity = "o",
                                    .kind = kind ? "storage" : "total",
                                    .from = 1,
                                    .to = 64,
                                    .rel_l2 = sqrt(v),
                                    .nmse = v,
                                    .reference = "fp64",
                                    .flag = bad ? "below_reference" : "ok"};
                n++;
            }
    }
    gdn_task_record record = {.task = "task", .population = "p", .seed = 1};
    GDN_CHECK(gdn_store_commit(s, &record, rows, n, &err) == GDN_OK, "%s", err.text);
    return s;
}

static gdn_table *exported(const gdn_experiment *e, gdn_store *s)
{
    gdn_table *t = NULL;
    GDN_CHECK(gdn_budget_export(e, s, scratch, (const char *const[]){"task"}, 1, &err) == GDN_OK, "%s",
              err.text);
    GDN_CHECK(gdn_store_close(s, &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(gdn_table_read(path_of("budget.csv"), &t, &err) == GDN_OK, "%s", err.text);
    return t;
}

static double number(const gdn_table *t, size_t row, const char *name)
{
    size_t column;
    double x = 0;
    GDN_CHECK(gdn_table_find(t, name, &column, &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(gdn_table_number(t, row, column, &x, &err) == GDN_OK, "%s", err.text);
    return x;
}

static void has(const gdn_table *t, size_t row, const char *name, double want)
{
    double got = number(t, row, name);
    GDN_CHECK(fabs(got - want) <= gdn_tolerance.shapley * fabs(want), "row %zu, %s: %.17g, not %.17g", row,
              name, got, want);
}

static const char *text_at(const gdn_table *t, size_t row, const char *name)
{
    size_t column;
    GDN_CHECK(gdn_table_find(t, name, &column, &err) == GDN_OK, "%s", err.text);
    return gdn_table_text(t, row, column);
}

static gdn_experiment *three(void)
{
    return load(TOP "budget: {members: [a_log, beta, state]}\n" PEOPLE);
}

/* Nine heads in proportion 1 .. 9; shares and reliefs are the same in each. */
START_TEST(csv_of_known_errors)
{
    gdn_experiment *e = three();
    gdn_table *t = exported(e, store_of(e, 1, 2, 0.5, false));
    static const char *const groups[] = {"all", "long", "middle", "short"}, *const members[] = {
                                                                                "a_log", "beta", "state"};
    static const double middle[] = {5, 8, 5, 2}, alone[] = {1, 2, 4}, part[] = {1.25, 2.25, 4},
                        without[] = {6, 5, 3.5}, count[] = {9, 3, 3, 3};
    ck_assert_uint_eq(gdn_table_rows(t), 12);
    for (size_t r = 0; r < 12; r++) {
        size_t g = r / 3, i = r % 3;
        double scale = middle[g] * 1e-6;
        ck_assert_str_eq(text_at(t, r, "group"), groups[g]);
        ck_assert_str_eq(text_at(t, r, "member"), members[i]);
        ck_assert_str_eq(text_at(t, r, "base"), "fp32");
        ck_assert_str_eq(text_at(t, r, "format"), "bf16");
        has(t, r, "length", 64);
        has(t, r, "gamma", 0.51 - 0.01 * middle[g]);
        has(t, r, "single", sqrt(scale * (1e-3 + alone[i])));
        has(t, r, "shapley", part[i] / 7.5);
        has(t, r, "shapley_lo", part[i] / 7.5);
        has(t, r, "relief", 1 - sqrt((1e-3 + without[i]) / (1e-3 + 7.5)));
        has(t, r, "none", sqrt(scale * 1e-3));
        has(t, r, "rss", sqrt(scale * (1e-3 + 7)));
        has(t, r, "all", sqrt(scale * (1e-3 + 7.5)));
        has(t, r, "n", count[g]);
        has(t, r, "n_shapley", count[g]);
        has(t, r, "left_out", 0);
        has(t, r, "best", i == 2);
        has(t, r, "sure", i == 2);
    }
    gdn_table_free(t);
    gdn_experiment_free(e);
}
END_TEST

/* Two members worth the same: one is best, none for sure. A head with a flag is counted and not used. */
START_TEST(csv_of_ties_and_flags)
{
    gdn_experiment *e = three();
    gdn_table *t = exported(e, store_of(e, 4, 2, 0, true));
    static const double best[] = {1, 0, 0};
    for (size_t r = 0; r < 3; r++) {
        has(t, r, "n", 8);
        has(t, r, "left_out", 1);
        ck_assert_double_gt(number(t, r, "relief"), 0);
        has(t, r, "sure", 0);
        has(t, r, "best", best[r]);
    }
    gdn_table_free(t);
    gdn_experiment_free(e);
}
END_TEST

/* Nothing is worth keeping where the error does not grow: no best, and no shares of nothing. */
START_TEST(csv_of_no_errors)
{
    gdn_experiment *e = three();
    gdn_store *s = NULL;
    gdn_row rows[8];
    char name[8][128];
    unlink(path_of("rows.db"));
    GDN_CHECK(gdn_store_open(path_of("rows.db"), &s, &err) == GDN_OK, "%s", err.text);
    for (unsigned S = 0; S < 8; S++) {
        gdn_budget_name(e->file->budget, S, name[S], sizeof name[S]);
        rows[S] = (gdn_row){.cell = S,
                            .profile = name[S],
                            .recipe = "fp32",
                            .mode = "portable",
                            .population = "p",
                            .keys = "isotropic",
                            .seed = 1,
                            .length = 64,
                            .quantity = "state",
                            .kind = "total",
                            .from = 64,
                            .to = 64,
                            .rel_l2 = 1e-7,
                            .nmse = 1e-14,
                            .reference = "fp64",
                            .flag = "ok"};
    }
    gdn_task_record record = {.task = "task", .population = "p", .seed = 1};
    GDN_CHECK(gdn_store_commit(s, &record, rows, 8, &err) == GDN_OK, "%s", err.text);
    gdn_table *t = exported(e, s);
    ck_assert_uint_eq(gdn_table_rows(t), 3); /* one head makes no thirds */
    for (size_t r = 0; r < 3; r++) {
        ck_assert_str_eq(text_at(t, r, "shapley"), "");
        has(t, r, "n_shapley", 0);
        has(t, r, "relief", 0);
        has(t, r, "best", 0);
        has(t, r, "n", 1);
    }
    gdn_table_free(t);
    gdn_experiment_free(e);
}
END_TEST

/* ---- a run ---- */

static gdn_table *table(const char *name)
{
    gdn_table *t = NULL;
    GDN_CHECK(gdn_table_read(path_of(name), &t, &err) == GDN_OK, "%s", err.text);
    return t;
}

static void run(const char *text)
{
    gdn_run_options o = {.results = scratch, .command = "test", .backend = "cpu", .jobs = 1, .quiet = true};
    static gdn_run_result r;
    GDN_CHECK(gdn_run(write_yaml(text), &o, &r, &err) == GDN_OK, "%s", err.text);
}

/* Median of the total error of o over [1, 32] in summary.csv. */
static double in_summary(const gdn_table *t, const char *name)
{
    for (size_t i = 0; i < gdn_table_rows(t); i++)
        if (strcmp(text_at(t, i, "profile"), name) == 0 && strcmp(text_at(t, i, "quantity"), "o") == 0 &&
            strcmp(text_at(t, i, "kind"), "total") == 0 && number(t, i, "from") == 1 &&
            number(t, i, "to") == 32)
            return number(t, i, "median");
    ck_abort_msg("summary.csv has no row of %s", name);
}

static size_t rows_of(const gdn_table *t, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < gdn_table_rows(t); i++)
        n += strcmp(text_at(t, i, "profile"), name) == 0;
    return n;
}

START_TEST(small_run)
{
    static const char *const members[] = {"a_log", "qk", "output"};
    char name[64];
    run(TOP "budget: {members: [a_log, qk, output]}\n" PEOPLE);
    gdn_table *summary = table("t/summary.csv"), *cells = table("t/cells.csv"), *b = table("t/budget.csv");
    ck_assert_uint_eq(gdn_table_rows(b), 6); /* o and y, two heads */
    for (size_t r = 0; r < 3; r++) {
        snprintf(name, sizeof name, "bf16:%s", members[r]);
        ck_assert_str_eq(text_at(b, r, "quantity"), "o");
        ck_assert_str_eq(text_at(b, r, "member"), members[r]);
        has(b, r, "single", in_summary(summary, name));
        has(b, r, "all", in_summary(summary, "bf16:all"));
        has(b, r, "none", in_summary(summary, "fp32"));
        has(b, r, "n", 2);
        GDN_CHECK(number(b, r, "single") > 10 * number(b, r, "none"), "%s costs nothing", name);
    }
    ck_assert_uint_eq(rows_of(summary, "bf16:a_log+qk"), 0);
    ck_assert_uint_gt(rows_of(cells, "bf16:a_log+qk"), 0);
    ck_assert_uint_eq(rows_of(cells, "bf16:a_log+qk"), rows_of(cells, "bf16:all"));
    gdn_table_free(summary);
    gdn_table_free(cells);
    gdn_table_free(b);
    run(TOP "profiles: [fp32]\n" PEOPLE); /* the same directory, no budget any more */
    GDN_CHECK(access(path_of("t/budget.csv"), F_OK) != 0, "budget.csv stayed");
}
END_TEST

/* The file, whole; to be freed. */
static char *text_of(const char *name)
{
    char *text = gdn_test_alloc(1 << 20, 1);
    FILE *f = fopen(path_of(name), "rb");
    GDN_CHECK(f, "%s is not there", path_of(name));
    GDN_CHECK(fread(text, 1, (1 << 20) - 1, f) > 0, "%s is empty", name);
    fclose(f);
    return text;
}

static bool can_draw(void)
{
    return access("plots/style.gp", R_OK) == 0 && system("gnuplot --version >/dev/null 2>&1") == 0;
}

/* Both tensors in e4m3: the report says which to keep, the figure is
 * drawn, and both are gone with the budget. */
START_TEST(report_and_figures)
{
    static const char with[] = TOP "define:\n  - {name: coarse, base: fp32, norm_weight: [fp16]}\n"
                                   "budget: {base: coarse, format: e4m3, members: [dt_bias, state]}\n" PEOPLE;
    char directory[128];
    run(with);
    snprintf(directory, sizeof directory, "%s/t", scratch);
    if (can_draw()) {
        GDN_CHECK(gdn_plot(directory, "plots", &err) == GDN_OK, "%s", err.text);
        char *svg = text_of("t/figures/budget_y.svg");
        GDN_CHECK(strstr(svg, "state") && strstr(svg, "dt_bias"), "budget_y.svg names no members");
        free(svg);
        GDN_CHECK(access(path_of("t/figures/budget_state.svg"), F_OK) != 0, "a figure without data");
    }
    GDN_CHECK(gdn_report(directory, NULL, &err) == GDN_OK, "%s", err.text);
    gdn_table *b = table("t/budget.csv");
    char *md = text_of("t/report.md"), best[200];
    size_t at = gdn_table_rows(b) - 2; /* of y: dt_bias, state */
    ck_assert_str_eq(text_at(b, at + 1, "quantity"), "y");
    size_t winner = number(b, at, "best") > 0 ? at : at + 1;
    ck_assert_int_eq((int)number(b, winner, "best"), 1);
    snprintf(best, sizeof best, "For the layer output y: **%s %s**.",
             number(b, winner, "sure") > 0 ? "keep" : "perhaps",
             gdn_budget_words(text_at(b, winner, "member")));
    GDN_CHECK(strstr(md, "## Error budget") && strstr(md, "`coarse`"), "no section");
    GDN_CHECK(strstr(md, best), "not said: %s", best);
    snprintf(best, sizeof best, "**%.1f %% [", 100 * number(b, winner, "relief"));
    GDN_CHECK(strstr(md, best), "not in the table: %s", best);
    free(md);
    gdn_table_free(b);
    run(TOP "profiles: [fp32, bf16]\n" PEOPLE);
    if (can_draw())
        GDN_CHECK(gdn_plot(directory, "plots", &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(gdn_report(directory, NULL, &err) == GDN_OK, "%s", err.text);
    md = text_of("t/report.md");
    GDN_CHECK(!strstr(md, "## Error budget") && !strstr(md, "budget_y"), "the budget stayed");
    free(md);
}
END_TEST

/* ---- all ---- */

int main(void)
{
    const TTest *const tests[] = {additive_game,         interactions,     axioms,      expansion,
                                  every_member,          base_is_kept,     bad_budgets, csv_of_known_errors,
                                  csv_of_ties_and_flags, csv_of_no_errors, small_run,   report_and_figures};
    if (!gdn_test_scratch(scratch, sizeof scratch, "budget"))
        return EXIT_FAILURE;
    int status = gdn_test_run("budget", tests, sizeof tests / sizeof tests[0]);
    gdn_test_remove(scratch);
    return status;
}
