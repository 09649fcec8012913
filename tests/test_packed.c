/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_packed -- packed sequences and initial states: what is packed is what separate runs give, every
 * sequence starts from the initial state, and what follows a sequence changes nothing in it.
 */
#include "tests/task_test.h"

#include <omp.h>

#include "harness/lockstep.h"
#include "kernels/engines.h"

static const char *const rungs[] = {"mpfr", "fp64"};

/* ---- packed sequences are runs of their own ---- */

enum { H = 2, D = 4, LENGTH = 127, THIRD = 63 }; /* sequences of 37, 26 and 64 tokens */

/* Recipes to which the position matters: stochastic rounding draws by it, chunks and a prefill count it. */
#define PROFILES "profiles: [all-bf16, sr, chunked, decoding]\n"
#define DEFINITIONS                                                                                          \
    "define:\n  - {name: sr, base: bf16-state-sr, a_log: [bf16]}\n"                                          \
    "  - {name: chunked, base: all-bf16, recipe: chunk-bf16}\n"                                              \
    "  - {name: decoding, base: all-bf16, recipe: chunk-bf16, prefill: 40}\n"
#define FILE_KEYS                                                                                            \
    "q: q, k: k, v: v, z: z, a: a, b: b, a_log: A_log, dt_bias: dt, norm_weight: w, initial_state: S"

/* Random tensors of LENGTH tokens, and the last of them from `from` on as a file of their own. */
typedef struct layer {
    float q[LENGTH * H * D], k[LENGTH * H * D], v[LENGTH * H * D], z[LENGTH * H * D], a[LENGTH * H],
        b[LENGTH * H], state[H * D * D], w[D];
} layer;

static const float a_log[H] = {2.3f, -3.3f}, dt_bias[H] = {0.5f, 0.1f}; /* head 0 forgets 10 nats a token */

static void draw(float *x, int n, uint64_t *seed)
{
    for (int i = 0; i < n; i++)
        x[i] = (float)gdn_test_uniform(seed, -2, 2);
}

static layer *random_layer(void)
{
    layer *l = gdn_test_alloc(1, sizeof *l);
    uint64_t seed = 77;
    draw(l->q, LENGTH * H * D, &seed);
    draw(l->k, LENGTH * H * D, &seed);
    draw(l->v, LENGTH * H * D, &seed);
    draw(l->z, LENGTH * H * D, &seed);
    draw(l->a, LENGTH * H, &seed);
    draw(l->b, LENGTH * H, &seed);
    draw(l->state, H * D * D, &seed);
    draw(l->w, D, &seed);
    return l;
}

static void write_from(const char *name, const layer *l, int from)
{
    const int n = LENGTH - from;
    const tensor all[] = {{"q", 3, {n, H, D}, l->q + from * H * D},
                          {"k", 3, {n, H, D}, l->k + from * H * D},
                          {"v", 3, {n, H, D}, l->v + from * H * D},
                          {"z", 3, {n, H, D}, l->z + from * H * D},
                          {"a", 2, {n, H}, l->a + from * H},
                          {"b", 2, {n, H}, l->b + from * H},
                          {"A_log", 1, {H}, a_log},
                          {"dt", 1, {H}, dt_bias},
                          {"w", 1, {D}, l->w},
                          {"S", 3, {H, D, D}, l->state}};
    write_tensors(name, all, 10);
}

static gdn_rows rows_of_file(const char *name, const char *rung, const char *more)
{
    gdn_experiment *e = experiment("experiment: t\nquestion: q\nreference: {rung: %s}\n" PROFILES DEFINITIONS
                                   "populations:\n  - name: p\n    file: {path: %s, " FILE_KEYS "}\n%s",
                                   rung, name, more);
    gdn_rows rows = rows_of(e, 0);
    gdn_experiment_free(e);
    return rows;
}

/* The same measurement, its sums in another order of segments; `exactly`: of one segment. */
static void same_measures(const gdn_row *x, const gdn_row *y, bool exactly)
{
    double slack = exactly || !(y->rel_l2 == y->rel_l2) ? 0 : 1e-12 * y->rel_l2;
    GDN_CHECK(is(x->flag, y->flag), "%s, not %s in %s", x->flag, y->flag, name_of(x));
    GDN_CHECK(gdn_same(x->rel_l2, y->rel_l2) || fabs(x->rel_l2 - y->rel_l2) <= slack, "%a, not %s", x->rel_l2,
              name_of(y));
    GDN_CHECK(gdn_same(x->bias, y->bias) || fabs(x->bias - y->bias) <= slack, "bias %a, not %s", x->bias,
              name_of(y));
    GDN_CHECK(gdn_same(x->max_ulp, y->max_ulp) || is(y->quantity, "decay"), "max_ulp %a, not %a in %s",
              x->max_ulp, y->max_ulp, name_of(y)); /* a decay's is in units of its segment's beginning */
}

/* The third of three packed sequences, window [64, 127], is a run of 64 tokens, by every recipe and
 * reference. */
START_TEST(sequences_are_runs)
{
    layer *l = random_layer();
    write_from("whole.safetensors", l, 0);
    write_from("third.safetensors", l, THIRD);
    for (int rung = 0; rung < 2; rung++) {
        gdn_rows packed = rows_of_file("whole.safetensors", rungs[rung], "    sequences: [37, 63]\n"),
                 alone = rows_of_file("third.safetensors", rungs[rung], "");
        int compared = 0, measured = 0;
        for (int64_t i = 0; i < alone.count; i++) {
            const gdn_row *y = &alone.row[i];
            bool state = is(y->quantity, "state");
            if (y->to != LENGTH - THIRD || y->from != (state ? y->to : 1))
                continue;
            const gdn_row *x = row_of(&packed, y->profile, y->quantity, y->kind, state ? LENGTH : THIRD + 1,
                                      LENGTH, y->head);
            same_measures(x, y, state);
            compared++;
            measured += is(y->flag, "ok") && y->rel_l2 > 0;
        }
        ck_assert_int_eq(compared, 4 * 5 * 3 * H);
        GDN_CHECK(measured > compared / 2, "only %d of %d were measured", measured, compared);
        gdn_rows_free(&packed);
        gdn_rows_free(&alone);
    }
    free(l);
}
END_TEST

/* ---- what sequences do not change ---- */

static gdn_rows rows_of_drawn(const char *lengths, const char *more, int block)
{
    gdn_rows rows;
    gdn_error err = {""};
    int count;
    gdn_experiment *e = experiment(
        "experiment: t\nquestion: q\ndk: 4\ndv: 4\nlengths: [%s]\n" PROFILES DEFINITIONS
        "populations:\n  - {name: p, heads: 2, a_log: {values: [2.3, -3.3]}, dt_bias: {init: fla}%s}\n",
        lengths, more);
    gdn_task *tasks = tasks_of(e, &count);
    tasks[0].block = block;
    GDN_CHECK(gdn_task_run(&tasks[0], NULL, NULL, &rows, &err) == GDN_OK, "%s", err.text);
    free(tasks);
    gdn_experiment_free(e);
    return rows;
}

/* Rows of x that end at `to` or before are rows of y, bit for bit; returns how many. */
static int same_until(const gdn_rows *x, const gdn_rows *y, int64_t to, bool cells)
{
    int n = 0;
    for (int64_t i = 0; i < x->count; i++) {
        gdn_row r = x->row[i];
        if (r.to > to)
            continue;
        gdn_row other = *row_of(y, r.profile, r.quantity, r.kind, r.from, r.to, r.head);
        if (!cells) { /* theory knows one sequence only */
            GDN_CHECK(isnan(r.predicted), "predicted: %s", name_of(&r));
            GDN_CHECK(r.cell != other.cell, "the same cell: %s", name_of(&r));
            other.cell = r.cell;
            other.predicted = r.predicted;
        }
        same_row(&r, &other, true);
        n++;
    }
    return n;
}

/* Nothing before the first boundary, whatever the block; nothing by longer runs. */
START_TEST(sequences_change_nothing_else)
{
    gdn_rows packed = rows_of_drawn("37, 100, 127", ", sequences: [37, 63]", 256),
             blocks = rows_of_drawn("37, 100, 127", ", sequences: [37, 63]", 5),
             shorter = rows_of_drawn("37, 100", ", sequences: [37, 63]", 256),
             plain = rows_of_drawn("37, 100, 127", "", 256);
    ck_assert_int_eq(same_until(&packed, &blocks, LENGTH, true), packed.count);
    ck_assert_int_eq(same_until(&shorter, &packed, 100, true), shorter.count);
    GDN_CHECK(same_until(&packed, &plain, 37, false) > 4 * 5 * 3 * H * 5, "few rows");
    const gdn_row *x = row_of(&packed, "all-bf16", "o", "storage", 64, 127, 1),
                  *y = row_of(&plain, "all-bf16", "o", "storage", 64, 127, 1);
    GDN_CHECK(x->rel_l2 != y->rel_l2, "sequences change nothing");
    gdn_rows *all[] = {&packed, &blocks, &shorter, &plain};
    for (int i = 0; i < 4; i++)
        gdn_rows_free(all[i]);
}
END_TEST

/* In the middle of a window, e^-1900 below 1, a decay that starts anew is measured as one that did so at t
 * = 1. */
START_TEST(decay_starts_anew)
{
    enum { END = 191 };
    gdn_experiment *e = experiment(
        "experiment: t\nquestion: q\nlengths: [255]\nprofiles: [a_log-bf16]\nquantities: [decay]\n"
        "populations:\n  - {name: p, heads: 1, a_scale: 0, a_log: {values: [2.3]}, dt_bias: {values: "
        "[0.5]}, sequences: [%d]}\n",
        END);
    gdn_rows rows = rows_of(e, 0);
    double a = (float)2.3, gamma = exp(a) * log1p(exp(0.5)), eps = expm1(2.296875 - a), d2 = 0, r2 = 0;
    const gdn_row *r = row_of(&rows, "a_log-bf16", "decay", "storage", 128, 255, 0);
    for (int t = 1; t <= 255 - END; t++) {
        double alpha = exp(-gamma * t), d = alpha * expm1(-eps * gamma * t);
        d2 += d * d;
        r2 += alpha * alpha;
    }
    GDN_CHECK(is(r->flag, "ok") && fabs(r->rel_l2 / sqrt(d2 / r2) - 1) <= 1e-10, "%a expected of %s",
              sqrt(d2 / r2), name_of(r));
    gdn_rows_free(&rows);
    gdn_experiment_free(e);
}
END_TEST

/* A file says how long it is only when it is opened. */
START_TEST(overrun_of_a_file)
{
    layer *l = random_layer();
    gdn_task *tasks;
    gdn_error err = {""};
    int count;
    write_from("whole.safetensors", l, 0);
    gdn_experiment *e =
        experiment("experiment: t\nquestion: q\nprofiles: [fp32]\npopulations:\n  - name: p\n"
                   "    file: {path: whole.safetensors, " FILE_KEYS "}\n    sequences: [5, 127]\n");
    ck_assert_int_eq(gdn_tasks_make(e, &gdn_backend_cpu, &tasks, &count, &err), GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text,
                     "x.yaml:7: populations/0/sequences/1: 127 is not inside the 127 tokens of the file; "
                     "sequences end before the last token"),
              "%s", err.text);
    gdn_experiment_free(e);
    free(l);
}
END_TEST

/* ---- the initial state ---- */

/*
 * Keys of zero write nothing: S after T tokens is e^(g_1 + .. + g_T) S0, of packed sequences with the g of
 * the last. The file's recorded state is that, rounded to fp32; the profile fp32 starts from S0 too.
 */
START_TEST(every_sequence_starts_from_it)
{
    enum { TOKENS = 5 };
    float zero[TOKENS * H * D] = {0}, ones[TOKENS * H * D], g[TOKENS * H], beta[TOKENS * H] = {0},
                            S[H * D * D], end[H * D * D];
    uint64_t seed = 5;
    draw(S, H * D * D, &seed);
    for (int i = 0; i < TOKENS * H * D; i++)
        ones[i] = 1;
    for (int packed = 0; packed < 2; packed++)
        for (int rung = 0; rung < 2; rung++) {
            for (int h = 0; h < H; h++) {
                double sum = 0;
                for (int t = 0; t < TOKENS; t++) {
                    g[t * H + h] = -0.125f * (float)(1 + t + 2 * h);
                    sum += packed && t < 3 ? 0 : g[t * H + h];
                }
                for (int i = 0; i < D * D; i++)
                    end[h * D * D + i] = (float)(S[h * D * D + i] * exp(sum));
            }
            const tensor all[] = {{"q", 3, {TOKENS, H, D}, ones}, {"k", 3, {TOKENS, H, D}, zero},
                                  {"v", 3, {TOKENS, H, D}, ones}, {"g", 2, {TOKENS, H}, g},
                                  {"beta", 2, {TOKENS, H}, beta}, {"S", 3, {H, D, D}, S},
                                  {"end", 3, {H, D, D}, end}};
            write_tensors("state.safetensors", all, 7);
            gdn_experiment *e = experiment(
                "experiment: t\nquestion: q\nprofiles: [fp32]\nreference: {rung: %s}\npopulations:\n  - "
                "name: p\n"
                "    file: {path: state.safetensors, q: q, k: k, v: v, g: g, beta: beta, initial_state: S}\n"
                "    recorded: [{name: formula, state: end}]\n%s",
                rungs[rung], packed ? "    sequences: [3]\n" : "");
            gdn_rows rows = rows_of(e, 0);
            for (int h = 0; h < H; h++) {
                const gdn_row *formula = row_of(&rows, "formula", "state", "total", TOKENS, TOKENS, h),
                              *fp32 = row_of(&rows, "fp32", "state", "total", TOKENS, TOKENS, h),
                              *o = row_of(&rows, "fp32", "o", "total", 1, TOKENS, h);
                GDN_CHECK(is(formula->flag, "ok") && formula->rel_l2 <= 0x1p-24, "%s", name_of(formula));
                GDN_CHECK(is(fp32->flag, "ok") && fp32->rel_l2 <= TOKENS * 0x1p-22, "%s", name_of(fp32));
                GDN_CHECK(is(o->flag, "ok") && o->rel_l2 <= TOKENS * 0x1p-21, "%s", name_of(o));
            }
            gdn_rows_free(&rows);
            gdn_experiment_free(e);
        }
}
END_TEST

/* A drawn one: with beta = e^-10000 and alpha = 1 - e^-80 it is there after 7 tokens as before, in every head
 * of every engine. */
START_TEST(drawn_state)
{
    gdn_error err = {""};
    int count;
    gdn_experiment *e = experiment(
        "experiment: t\nquestion: q\ndk: 8\ndv: 6\nlengths: [7]\nprofiles: [fp32]\npopulations:\n"
        "  - {name: p, heads: 3, initial_scale: 0.3, b_mean: -1e4, a_log: {values: [-80]}, dt_bias: "
        "{init: ones}}\n");
    gdn_task *tasks = tasks_of(e, &count);
    gdn_lockstep *l = NULL;
    double want[3 * 8 * 6];
    GDN_CHECK(gdn_lockstep_open(&tasks[0], &l, &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(gdn_lockstep_run(l, NULL, NULL, &err) == GDN_OK, "%s", err.text);
    gdn_initial_state(0.3, &l->source->shape, tasks[0].seed, 0, want);
    const gdn_level *base = &l->set[0].level[GDN_BASE], *witness = &l->set[0].level[GDN_WITNESS];
    for (int i = 0; i < 3 * 8 * 6; i++) {
        GDN_CHECK(base->trace.state[i] == want[i], "element %d: %a, not %a", i, base->trace.state[i],
                  want[i]);
        GDN_CHECK(l->trace.state[i] == want[i], "element %d by fp32: %a, not %a", i, l->trace.state[i],
                  want[i]);
    }
    for (int i = 0; i < witness->heads * 8 * 6; i++)
        GDN_CHECK(witness->trace.state[i] == want[witness->head * 8 * 6 + i], "witness: %a, not %a",
                  witness->trace.state[i], want[witness->head * 8 * 6 + i]);
    gdn_lockstep_close(l);
    free(tasks);
    gdn_experiment_free(e);
}
END_TEST

/* Tokens first .. of two heads through an engine, from a state and to a state. o: [H][n][D] */
static void run(const gdn_engine *engine, gdn_setup setup, int first, int n, int restart, double *o,
                double *state)
{
    gdn_error err = {""};
    gdn_team team;
    gdn_input_spec spec = {.a_scale = 1, .b_scale = 1};
    float q[H * 16 * D], k[H * 16 * D], v[H * 16 * D], z[H * 16 * D], a[H * 16], b[H * 16];
    gdn_inputs_fill(&spec, &setup.shape, 9, 0, first, n, q, k, v, z, a, b);
    const gdn_block in = {.first = first, .tokens = n, .q = q, .k = k, .v = v, .a = a, .b = b};
    GDN_CHECK(gdn_team_open(&team, engine, &setup, 2, &err) == GDN_OK, "%s", err.text);
    for (int i = 0; i <= restart; i++) {
        GDN_CHECK(i == 0 || gdn_team_restart(&team, &err) == GDN_OK, "%s", err.text);
        GDN_CHECK(gdn_team_advance(&team, &in, &(gdn_outputs){.o = o}, &err) == GDN_OK, "%s", err.text);
    }
    GDN_CHECK(gdn_team_read_state(&team, state, NULL, &err) == GDN_OK, "%s", err.text);
    gdn_team_close(&team);
}

/* Eleven tokens at once, and five after the state of six; an engine that starts anew forgets what it saw. */
START_TEST(handing_over)
{
    gdn_error err = {""};
    GDN_CHECK(gdn_inputs_init(&err) == GDN_OK, "%s", err.text);
    const double decay[H] = {-1, 0.5}, dt[H] = {0.5, -1}, w[D] = {1, 1, 1, 1};
    const gdn_recipe *fp32 = gdn_recipe_by_name("fp32"), *bf16 = gdn_recipe_by_name("bf16");
    const struct {
        const gdn_engine *engine;
        const gdn_recipe *recipe;
    } all[] = {{gdn_recipe_engine(fp32), fp32},
               {gdn_recipe_engine(bf16), bf16},
               {gdn_ladders[GDN_LADDER_FP64].engine[GDN_BASE], NULL}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        gdn_setup setup = {.shape = {H, D, D},
                           .params = {.decay = decay, .dt_bias = dt, .norm_weight = w, .alpha = GDN_FP64},
                           .ncolumns = D,
                           .recurrence = true,
                           .recipe = all[i].recipe};
        double o[H * 11 * D], first[H * 6 * D], second[H * 5 * D], end[H * D * D], middle[H * D * D],
            end2[H * D * D];
        run(all[i].engine, setup, 1, 11, 0, o, end);
        run(all[i].engine, setup, 1, 6, 1, first, middle);
        setup.state0 = middle;
        run(all[i].engine, setup, 7, 5, 1, second, end2);
        GDN_CHECK(memcmp(end, end2, sizeof end) == 0, "%s: another state", all[i].engine->name);
        for (int h = 0; h < H; h++) {
            GDN_CHECK(memcmp(o + h * 11 * D, first + h * 6 * D, 6 * D * sizeof *o) == 0, "%s: head %d before",
                      all[i].engine->name, h);
            GDN_CHECK(memcmp(o + (h * 11 + 6) * D, second + h * 5 * D, 5 * D * sizeof *o) == 0,
                      "%s: head %d after", all[i].engine->name, h);
        }
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {sequences_are_runs, sequences_change_nothing_else, decay_starts_anew,
                                  overrun_of_a_file,  every_sequence_starts_from_it, drawn_state,
                                  handing_over};
    omp_set_num_threads(1); /* blocks are tiny: on a busy machine threads would only wait for each other */
    return gdn_task_test_run("packed", tests, sizeof tests / sizeof tests[0]);
}
