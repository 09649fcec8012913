/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_task -- a task from experiment text to rows: what is exactly zero, what has a closed form, that total
 * is storage plus arith, that rows depend neither on longer runs nor on other heads, and that the outputs of
 * a real implementation are as far from the truth as another reference found.
 */
#include "tests/task_test.h"

#include "harness/lockstep.h"
#include "harness/metrics.h"
#include "kernels/recurrent.h"
#include "reference/gdn_mpfr.h"

static const char *const rungs[] = {"mpfr", "fp64"};

/* ---- exactly zero ---- */

static bool computed_in_fp32_parameters(const char *profile)
{
    return is(profile, "fp32") || is(profile, "bf16-io") || is(profile, "bf16-state") ||
           is(profile, "bf16-state-sr");
}

/* The first token is written into an empty state: no decay has touched what is there. */
static bool not_yet_decayed(const gdn_row *r)
{
    return r->to == 1 && (is(r->quantity, "state") || is(r->quantity, "o") || is(r->quantity, "y"));
}

/* Profiles that keep every parameter have no storage error, in any window of any quantity; nor has what a
 * stored parameter does not enter. */
START_TEST(storage_of_nothing)
{
    static const char *const keys[] = {"isotropic", "needle", "repeated", "low-rank, rank: 4"};
    for (int k = 0; k < 4; k++)
        for (int rung = 0; rung < 2; rung++) {
            gdn_experiment *e = experiment(
                "experiment: t\nquestion: q\ndk: 16\ndv: 16\nlengths: [16, 32]\nreference: {rung: %s}\n"
                "profiles: [fp32, bf16-io, bf16-state, bf16-state-sr, norm-bf16, a_log-bf16]\npopulations:\n"
                "  - {name: p, heads: 2, keys: %s, a_log: {uniform: [-6, 1]}, dt_bias: {init: fla}, "
                "norm_weight: {uniform: [0.5, 2]}}\n",
                rungs[rung], keys[k]);
            gdn_rows rows = rows_of(e, 0);
            int zeros = 0;
            for (int64_t i = 0; i < rows.count; i++) {
                const gdn_row *r = &rows.row[i];
                bool free_of_norm = is(r->profile, "norm-bf16") && !is(r->quantity, "y");
                if (!is(r->kind, "storage"))
                    continue;
                if (!computed_in_fp32_parameters(r->profile) && !free_of_norm) {
                    GDN_CHECK(r->rel_l2 > 0 || (is(r->flag, "below_reference") && not_yet_decayed(r)),
                              "nothing measured: %s", name_of(r));
                    continue;
                }
                zeros++;
                GDN_CHECK(r->rel_l2 == 0 && r->nmse == 0 && r->bias == 0 && r->max_ulp == 0 &&
                              r->cosine == 1 && isnan(r->bits) && r->uncertainty == 0 && is(r->flag, "ok"),
                          "%s", name_of(r));
            }
            /* 2 heads, windows 1, 2.., 4.., 8.., 16.. and two lengths; 4 profiles x 5 quantities and 1 x 4 */
            ck_assert_int_eq(zeros, 2 * 7 * (4 * 5 + 4));
            gdn_rows_free(&rows);
            gdn_experiment_free(e);
        }
}
END_TEST

/* A_log that bf16 holds exactly has no storage error either; its neighbour in the same batch has. */
START_TEST(storage_of_exact_values)
{
    gdn_experiment *e =
        experiment("experiment: t\nquestion: q\ndk: 16\ndv: 16\nlengths: [8]\nprofiles: [a_log-bf16]\n"
                   "populations:\n  - {name: p, heads: 6, a_log: {values: [0, -0.5, 1, 2, -3.296875, -3.3]}, "
                   "dt_bias: {init: ones}}\n");
    gdn_rows rows = rows_of(e, 0);
    for (int64_t i = 0; i < rows.count; i++) {
        const gdn_row *r = &rows.row[i];
        if (is(r->kind, "storage"))
            GDN_CHECK(r->head == 5 ? r->rel_l2 > 0 || not_yet_decayed(r)
                                   : r->rel_l2 == 0 && is(r->flag, "ok"),
                      "%s", name_of(r));
    }
    gdn_rows_free(&rows);
    gdn_experiment_free(e);
}
END_TEST

/* ---- closed forms ---- */

/* |expm1(RN_bf16(a) - a)| by MPFR. */
static double exact_storage_error(double a_log)
{
    mpfr_t t;
    mpfr_init2(t, 200);
    mpfr_set_d(t, gdn_round(&gdn_formats[GDN_BF16], a_log), MPFR_RNDN);
    mpfr_sub_d(t, t, a_log, MPFR_RNDN);
    mpfr_expm1(t, t, MPFR_RNDN);
    double x = fabs(mpfr_get_d(t, MPFR_RNDN));
    mpfr_clear(t);
    return x;
}

/* The storage error of g, over 1,000 random A_log, is expm1(RN(A_log) - A_log) to 1e-12; g is all that is
 * asked for. */
START_TEST(storage_of_a_log)
{
    for (int rung = 0; rung < 2; rung++) {
        gdn_experiment *e =
            experiment("experiment: t\nquestion: q\nlengths: [1]\nquantities: [g]\nprofiles: [a_log-bf16]\n"
                       "reference: {rung: %s}\npopulations:\n  - {name: p, heads: 1000, a_log: {uniform: "
                       "[-8, 2.8]}, dt_bias: {init: fla}}\n",
                       rungs[rung]);
        gdn_rows rows = rows_of(e, 0);
        int measured = 0;
        double worst = 0;
        ck_assert_int_eq(rows.count, 3000);
        for (int64_t i = 0; i < rows.count; i++) {
            const gdn_row *r = &rows.row[i];
            if (!is(r->kind, "storage"))
                continue;
            double want = exact_storage_error(r->a_log);
            GDN_CHECK(fabs(r->rel_l2 - want) <= 1e-12 * want, "A_log %a: %a, not %a in %s", r->a_log,
                      r->rel_l2, want, name_of(r));
            GDN_CHECK(fabs(r->predicted - want) <= 1e-12 * want, "A_log %a: predicted %a, not %a", r->a_log,
                      r->predicted, want);
            worst = fmax(worst, r->rel_l2);
            measured++;
        }
        ck_assert_int_eq(measured, 1000);
        GDN_CHECK(worst > 0.01 && worst < 0.0158, "the largest of them is %a",
                  worst); /* half an ulp at 4..8: 2^-6 */
        gdn_rows_free(&rows);
        gdn_experiment_free(e);
    }
}
END_TEST

/*
 * A constant gate (a_scale 0): gamma is A softplus(dt_bias), the decay at t is off by expm1(-eps gamma t),
 * and gamma_eff follows from beta = 1/2.
 */
START_TEST(constant_gate)
{
    gdn_experiment *e =
        experiment("experiment: t\nquestion: q\ndk: 16\ndv: 16\nlengths: [1, 64]\nprofiles: [a_log-bf16]\n"
                   "populations:\n  - {name: p, heads: 1, a_scale: 0, b_scale: 0, a_log: {values: [-3.3]}, "
                   "dt_bias: {values: [0.5]}}\n");
    gdn_rows rows = rows_of(e, 0);
    double a_log = (float)-3.3, gamma = exp(a_log) * log1p(exp(0.5)), eps = expm1(-3.296875 - a_log);
    for (int64_t t = 1; t <= 64; t *= 64) {
        const gdn_row *g = row_of(&rows, "a_log-bf16", "g", "storage", 1, t, 0),
                      *decay = row_of(&rows, "a_log-bf16", "decay", "storage", 1, t, 0);
        GDN_CHECK(fabs(g->gamma / gamma - 1) <= 1e-13, "gamma %a, not %a", g->gamma, gamma);
        GDN_CHECK(fabs(g->gamma_eff / (gamma + 0.75 / 32) - 1) <= 1e-13, "gamma_eff %a", g->gamma_eff);
        GDN_CHECK(fabs(g->bias / eps - 1) <= 1e-10, "bias of g %a, not %a", g->bias, eps);
        double d2 = 0, r2 = 0;
        for (int64_t s = 1; s <= t; s++) {
            double alpha = exp(-gamma * (double)s), d = alpha * expm1(-eps * gamma * (double)s);
            d2 += d * d;
            r2 += alpha * alpha;
        }
        GDN_CHECK(fabs(decay->rel_l2 / sqrt(d2 / r2) - 1) <= 1e-10, "decay to %lld: %a, not %a", (long long)t,
                  decay->rel_l2, sqrt(d2 / r2));
        GDN_CHECK(decay->bias < 0, "a larger rate makes a smaller decay: %s", name_of(decay));
    }
    gdn_rows_free(&rows);
    gdn_experiment_free(e);
}
END_TEST

/* The decay is measured where it is far below the smallest double: at 10 nats a token, e^-1240 and less. */
START_TEST(decay_out_of_range)
{
    gdn_experiment *e =
        experiment("experiment: t\nquestion: q\nlengths: [255]\nprofiles: [a_log-bf16]\nquantities: [decay]\n"
                   "populations:\n  - {name: p, heads: 1, a_scale: 0, a_log: {values: [2.3]}, dt_bias: "
                   "{values: [0.5]}}\n");
    gdn_rows rows = rows_of(e, 0);
    double a_log = (float)2.3, gamma = exp(a_log) * log1p(exp(0.5)), eps = expm1(2.296875 - a_log), d2 = 0,
           r2 = 0;
    const gdn_row *r = row_of(&rows, "a_log-bf16", "decay", "storage", 128, 255, 0);
    for (int t = 128; t < 256; t++) {
        double alpha = exp(-gamma * (t - 128)), d = alpha * expm1(-eps * gamma * t);
        d2 += d * d;
        r2 += alpha * alpha;
    }
    GDN_CHECK(is(r->flag, "ok") && fabs(r->rel_l2 / sqrt(d2 / r2) - 1) <= 1e-10, "%a expected of %s",
              sqrt(d2 / r2), name_of(r));
    const gdn_row *total = row_of(&rows, "a_log-bf16", "decay", "total", 128, 255, 0);
    GDN_CHECK(fabs(total->rel_l2 / r->rel_l2 - 1) < 1e-3, "%s",
              name_of(total)); /* fp32 alphas add 128 roundings */
    gdn_rows_free(&rows);
    gdn_experiment_free(e);
}
END_TEST

/*
 * A needle: the error of o is |expm1(-eps gamma t)|, slope 1 without a plateau. Decay begins after the first
 * token, so theory's t is t - 1: 1 in 128 of the window. Isotropic keys: a plateau far below. At d_k = 16 the
 * theory of random keys is no better than a fifth, over the median of 8 heads.
 */
START_TEST(needle_and_isotropic)
{
    gdn_experiment *e = experiment(
        "experiment: t\nquestion: q\ndk: 16\ndv: 16\nlengths: [256]\nprofiles: [a_log-bf16]\nquantities: [o, "
        "state]\n"
        "populations:\n"
        "  - {name: n, keys: needle, heads: 2, a_scale: 0, a_log: {values: [-4.3, -3.7]}, dt_bias: {values: "
        "[0]}}\n"
        "  - {name: i, keys: isotropic, heads: 9, a_log: {uniform: [-4, -3]}, dt_bias: {values: [0]}}\n");
    gdn_rows rows = rows_of(e, 0);
    for (int head = 0; head < 2; head++) {
        const gdn_row *late = row_of(&rows, "a_log-bf16", "o", "storage", 128, 255, head),
                      *early = row_of(&rows, "a_log-bf16", "o", "storage", 64, 127, head);
        double a_log = late->a_log, gamma = exp(a_log) * log(2),
               eps = expm1(gdn_round(&gdn_formats[GDN_BF16], a_log) - a_log);
        double d2 = 0, r2 = 0;
        for (int t = 128; t < 256; t++) {
            double value = exp(-gamma * (t - 1)), d = value * expm1(-eps * gamma * (t - 1));
            d2 += d * d;
            r2 += value * value;
        }
        GDN_CHECK(fabs(late->rel_l2 / sqrt(d2 / r2) - 1) <= 1e-9, "%a, exactly %a in %s", late->rel_l2,
                  sqrt(d2 / r2), name_of(late));
        GDN_CHECK(fabs(late->rel_l2 / late->predicted - 1) <= 0.02, "predicted %a in %s", late->predicted,
                  name_of(late));
        GDN_CHECK(fabs(late->rel_l2 / early->rel_l2 - 2) <= 0.25, "%a after %a: no slope of 1", late->rel_l2,
                  early->rel_l2);
        GDN_CHECK(late->rel_l2 > fabs(eps) * gamma * 127, "the error stays below: %s", name_of(late));
    }
    gdn_rows_free(&rows);
    rows = rows_of(e, 1);
    double ratio[9], grown[9];
    for (int head = 0; head < 9; head++) {
        const gdn_row *late = row_of(&rows, "a_log-bf16", "o", "storage", 128, 255, head),
                      *early = row_of(&rows, "a_log-bf16", "o", "storage", 64, 127, head);
        ratio[head] = late->rel_l2 / late->predicted;
        grown[head] = late->rel_l2 / early->rel_l2;
    }
    for (int i = 0; i < 9; i++) /* medians by insertion */
        for (int j = i; j > 0; j--) {
            double *all[] = {ratio, grown};
            for (int k = 0; k < 2; k++)
                if (all[k][j] < all[k][j - 1]) {
                    double swap = all[k][j];
                    all[k][j] = all[k][j - 1];
                    all[k][j - 1] = swap;
                }
        }
    GDN_CHECK(fabs(ratio[4] - 1) <= 0.2, "measured over predicted is %a", ratio[4]);
    GDN_CHECK(fabs(grown[4] - 1) <= 0.15, "no plateau: it grows by %a", grown[4]);
    gdn_rows_free(&rows);
    gdn_experiment_free(e);
}
END_TEST

/* ---- total = storage + arith ---- */

/* x - y as the harness forms it. */
static double difference(const double *xh, const double *xl, const double *yh, const double *yl)
{
    static const double one = 1;
    gdn_accumulator a = {.n = 0};
    gdn_accumulate(&a, (gdn_pair){xh, xl}, (gdn_pair){yh, yl}, (gdn_pair){&one, NULL}, 1);
    return gdn_accumulator_sums(&a).dr;
}

/*
 * Elements of K, R(true) and R(stored): (K - R0) = (R1 - R0) + (K - R1). A difference rounds the his', the
 * los' and their sum, each to 2^-53 of itself, and the los lie 2^-53 below the his: 2 ulps of each
 * difference, and 2^-104 of the values where his cancel.
 */
static void adds_up(const char *what, const double *k, const double *r0, const double *r0_lo,
                    const double *r1, const double *r1_lo, size_t n, bool *moved)
{
    for (size_t i = 0; i < n; i++) {
        double total = difference(k + i, NULL, r0 + i, r0_lo + i),
               storage = difference(r1 + i, r1_lo + i, r0 + i, r0_lo + i),
               arith = difference(k + i, NULL, r1 + i, r1_lo + i);
        double largest = fmax(fabs(total), fmax(fabs(storage), fabs(arith))),
               value = fmax(fabs(r0[i]), fabs(r1[i]));
        double bound = 8 * 0x1p-53 * largest + 0x1p-104 * value;
        GDN_CHECK(fabs(total - (storage + arith)) <= bound,
                  "%s, element %zu: total %a, storage %a, arith %a (K %a, R0 %a + %a, R1 %a + %a)", what, i,
                  total, storage, arith, k[i], r0[i], r0_lo[i], r1[i], r1_lo[i]);
        *moved |= storage != 0 && arith != 0;
    }
}

/* A problem with parameters as stored in bf16; `p` keeps the true ones. */
static gdn_problem stored_twin(const gdn_problem *p)
{
    gdn_problem s = *p;
    size_t H = (size_t)p->shape.heads, dv = (size_t)p->shape.dv;
    const gdn_format *bf16 = &gdn_formats[GDN_BF16];
    s.decay = gdn_test_alloc(H, sizeof *s.decay);
    s.dt_bias = gdn_test_alloc(H, sizeof *s.dt_bias);
    s.w = gdn_test_alloc(dv, sizeof *s.w);
    for (size_t h = 0; h < H; h++) {
        s.decay[h] = gdn_round(bf16, p->decay[h]);
        s.dt_bias[h] = gdn_round(bf16, p->dt_bias[h]);
    }
    for (size_t j = 0; j < dv; j++)
        s.w[j] = gdn_round(bf16, p->w[j]);
    return s;
}

START_TEST(total_is_storage_plus_arith)
{
    static const char *const recipes[] = {"fp32", "bf16", "bf16-state", "vllm-decode"};
    static const int blocks[] = {32};
    gdn_problem p = gdn_problem_new((gdn_shape){2, 16, 16}, 32, 4711), s = stored_twin(&p);
    gdn_result r0 = gdn_problem_run(&p, &gdn_mpfr_engine, NULL, blocks, 1),
               r1 = gdn_problem_run(&s, &gdn_mpfr_engine, NULL, blocks, 1);
    for (int i = 0; i < 4; i++) {
        gdn_result k = gdn_problem_run(&s, &gdn_recurrent_engine, gdn_recipe_by_name(recipes[i]), blocks, 1);
        bool moved[5] = {false};
        adds_up("g", k.g, r0.g, r0.g_lo, r1.g, r1.g_lo, gdn_problem_rows(&p), &moved[0]);
        adds_up("alpha", k.alpha, r0.alpha, r0.alpha_lo, r1.alpha, r1.alpha_lo, gdn_problem_rows(&p),
                &moved[1]);
        adds_up("o", k.o, r0.o, r0.o_lo, r1.o, r1.o_lo, gdn_problem_values(&p), &moved[2]);
        adds_up("y", k.y, r0.y, r0.y_lo, r1.y, r1.y_lo, gdn_problem_values(&p), &moved[3]);
        adds_up("state", k.state, r0.state, r0.state_lo, r1.state, r1.state_lo, gdn_problem_state(&p),
                &moved[4]);
        for (int q = 0; q < 5; q++)
            GDN_CHECK(moved[q], "%s, quantity %d: nothing was stored or computed", recipes[i], q);
        gdn_result_free(&k);
    }
    gdn_result_free(&r0);
    gdn_result_free(&r1);
    free(s.decay);
    free(s.dt_bias);
    free(s.w);
    gdn_problem_free(&p);
}
END_TEST

/* The bias is linear in the difference: biases of one window add up as errors do. */
START_TEST(biases_add_up)
{
    for (int rung = 0; rung < 2; rung++) {
        gdn_experiment *e =
            experiment("experiment: t\nquestion: q\ndk: 16\ndv: 16\nlengths: [16, 32]\n"
                       "profiles: [all-bf16, bf16, float16-module, vllm-decode-bf16-state, llamacpp]\n"
                       "reference: {rung: %s}\npopulations:\n  - {name: p, heads: 2, a_log: {uniform: "
                       "[-6, 1]}, dt_bias: {init: fla}, norm_weight: {uniform: [0.5, 2]}}\n",
                       rungs[rung]);
        gdn_rows rows = rows_of(e, 0);
        int seen = 0;
        for (int64_t i = 0; i < rows.count; i++) {
            const gdn_row *t = &rows.row[i];
            if (!is(t->kind, "total") || !is(t->flag, "ok"))
                continue;
            const gdn_row *s = row_of(&rows, t->profile, t->quantity, "storage", t->from, t->to, t->head),
                          *a = row_of(&rows, t->profile, t->quantity, "arith", t->from, t->to, t->head);
            if (!is(s->flag, "ok") || !is(a->flag, "ok") || !is(s->reference, t->reference) ||
                !is(a->reference, t->reference))
                continue; /* measured on other columns */
            double largest = fmax(fabs(t->bias), fmax(fabs(s->bias), fabs(a->bias)));
            GDN_CHECK(fabs(t->bias - (s->bias + a->bias)) <= 1e-9 * largest, "storage %a + arith %a in %s",
                      s->bias, a->bias, name_of(t));
            seen++;
        }
        GDN_CHECK(seen > 5 * 5 * 7, "only %d windows had all three", seen);
        gdn_rows_free(&rows);
        gdn_experiment_free(e);
    }
}
END_TEST

/* ---- what rows do not depend on ---- */

static const char prefix_text[] = "experiment: %s\nquestion: q\nseeds: 1\ndk: %d\ndv: %d\nlengths: "
                                  "%s\nprofiles: [fp32, all-bf16, bf16-state-sr, "
                                  "alpha-bf16]\nreference: {rung: %s}\npopulations:\n  - {name: p, heads: "
                                  "%d, keys: %s, a_log: {uniform: [-6, 1]}, "
                                  "dt_bias: {init: fla}, norm_weight: {uniform: [0.5, 2]}}\n";

/* Rows of `x` up to position `last` and head `heads` are rows of `y`; nothing else of y is. Returns their
 * number. */
static int contained(const gdn_rows *x, const gdn_rows *y, int64_t last, int64_t heads, bool all)
{
    int common = 0, in_y = 0;
    for (int64_t i = 0; i < x->count; i++) {
        const gdn_row *r = &x->row[i];
        if (r->to > last || r->head >= heads)
            continue;
        same_row(r, row_of(y, r->profile, r->quantity, r->kind, r->from, r->to, r->head), all);
        common++;
    }
    for (int64_t i = 0; i < y->count; i++)
        in_y += y->row[i].to <= last && y->row[i].head < heads;
    GDN_CHECK(common == in_y, "%d rows in one, %d in the other", common, in_y);
    return common;
}

/* A longer run leaves the rows of a shorter one as they are, identity and all; also across blocks of tokens.
 */
START_TEST(longer_runs)
{
    static const struct {
        int d;
        const char *shorter, *longer;
        int64_t last;
    } cases[] = {{16, "[16]", "[16, 32]", 16}, {16, "[24]", "[24, 27]", 24}, {4, "[300]", "[300, 600]", 300}};
    for (int rung = 0; rung < 2; rung++)
        for (int i = 0; i < 3; i++) {
            gdn_experiment *a = experiment(prefix_text, "a", cases[i].d, cases[i].d, cases[i].shorter,
                                           rungs[rung], 2, "isotropic");
            gdn_rows x = rows_of(a, 0);
            gdn_experiment *b = experiment(prefix_text, "b", cases[i].d, cases[i].d, cases[i].longer,
                                           rungs[rung], 2, "isotropic");
            gdn_rows y = rows_of(b, 0);
            GDN_CHECK(contained(&x, &y, cases[i].last, 2, true) == x.count, "rows beyond %lld",
                      (long long)cases[i].last);
            GDN_CHECK(y.count > x.count, "the longer run has no more rows");
            gdn_rows_free(&x);
            gdn_rows_free(&y);
            gdn_experiment_free(a);
            gdn_experiment_free(b);
        }
}
END_TEST

/* More heads leave the rows of the first as they are; only the witness of the fp64 ladder may be another. */
START_TEST(more_heads)
{
    for (int rung = 0; rung < 2; rung++) {
        gdn_experiment *a = experiment(prefix_text, "a", 16, 16, "[32]", rungs[rung], 1, "needle");
        gdn_rows x = rows_of(a, 0);
        gdn_experiment *b = experiment(prefix_text, "b", 16, 16, "[32]", rungs[rung], 2, "needle");
        gdn_rows y = rows_of(b, 0);
        GDN_CHECK(contained(&x, &y, 32, 1, rung == 0) == x.count, "rows of other heads");
        ck_assert_int_eq(y.count, 2 * x.count);
        gdn_rows_free(&x);
        gdn_rows_free(&y);
        gdn_experiment_free(a);
        gdn_experiment_free(b);
    }
}
END_TEST

/* Other profiles beside it, in another order, leave a profile's rows as they are, but for the witness. */
START_TEST(other_profiles)
{
    static const char text[] = "experiment: t\nquestion: q\ndk: 16\ndv: 16\nlengths: [16]\nreference: {rung: "
                               "%s}\nprofiles: [%s]\npopulations:\n"
                               "  - {name: p, heads: 2, a_log: {uniform: [-6, 1]}, dt_bias: {init: fla}}\n";
    for (int rung = 0; rung < 2; rung++) {
        gdn_experiment *a = experiment(text, rungs[rung], "bf16");
        gdn_rows x = rows_of(a, 0);
        gdn_experiment *b =
            experiment(text, rungs[rung], "norm-bf16, a_log-bf16, bf16, fp32, dt_bias-bf16, all-bf16");
        gdn_rows y = rows_of(b, 0);
        for (int64_t i = 0; i < x.count; i++) {
            const gdn_row *r = &x.row[i];
            same_row(r, row_of(&y, "bf16", r->quantity, r->kind, r->from, r->to, r->head), rung == 0);
        }
        gdn_rows_free(&x);
        gdn_rows_free(&y);
        gdn_experiment_free(a);
        gdn_experiment_free(b);
    }
}
END_TEST

/* ---- identities ---- */

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* No two rows of an experiment share a cell, across profiles, populations, seeds, heads, windows and kinds.
 */
START_TEST(cells_are_unique)
{
    gdn_experiment *e = experiment(
        "experiment: t\nquestion: q\nseeds: 3\ndk: 4\ndv: 4\nlengths: [1, 5, 8]\nprofiles: [fp32, twin, "
        "all-bf16, bf16]\n"
        "define: [{name: twin}]\npopulations:\n"
        "  - {name: a, heads: 2, a_log: {uniform: [-6, 1]}, dt_bias: {init: fla}}\n"
        "  - {name: b, heads: 2, a_log: {uniform: [-6, 1]}, dt_bias: {init: fla}}\n"
        "  - {name: c, heads: 2, keys: needle, a_log: {uniform: [-6, 1]}, dt_bias: {init: fla}}\n");
    int count;
    gdn_task *tasks = tasks_of(e, &count);
    ck_assert_int_eq(count, 9);
    uint64_t *cells = NULL;
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        gdn_rows rows = rows_of(e, i);
        cells = realloc(cells, (n + (size_t)rows.count) * sizeof *cells);
        for (int64_t r = 0; r < rows.count; r++)
            cells[n++] = rows.row[r].cell;
        gdn_rows_free(&rows);
        for (int j = 0; j < i; j++)
            ck_assert_str_ne(tasks[i].id, tasks[j].id);
    }
    qsort(cells, n, sizeof *cells, by_number);
    for (size_t i = 1; i < n; i++)
        GDN_CHECK(cells[i] != cells[i - 1], "two rows are cell %016llx", (unsigned long long)cells[i]);
    /* 9 tasks of 4 profiles, 5 quantities, 3 kinds, 2 heads; windows 2.., 4.. and lengths 1, 5, 8 */
    ck_assert_int_eq((int)n, 9 * 4 * 5 * 3 * 2 * 5);
    free(cells);
    free(tasks);
    gdn_experiment_free(e);
}
END_TEST

static const char identity_text[] =
    "experiment: t\nquestion: q\nseeds: 1\ndk: 8\ndv: 8\nlengths: [4, 8]\nquantities: [g, o]\n"
    "profiles: [fp32, mine]\nreference: {precision: 113, check_columns: 4}\n"
    "define:\n  - {name: mine, a_log: [bf16]}\n"
    "populations:\n  - {name: p, heads: 2, a_mean: 0, a_log: {values: [-1, -2]}, dt_bias: "
    "{init: fla}}\n";

/* The id of the only task of the text with `old` replaced. */
static void id_with(const char *old, const char *new, char out[17])
{
    char text[4096];
    const char *at = strstr(identity_text, old);
    GDN_CHECK(at, "'%s' is not there", old);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - identity_text), identity_text, new, at + strlen(old));
    gdn_experiment *e = experiment("%s", text);
    int count;
    gdn_task *tasks = tasks_of(e, &count);
    ck_assert_int_eq(count, 1);
    memcpy(out, tasks[0].id, 17);
    free(tasks);
    gdn_experiment_free(e);
}

/* A task's id changes with all that its rows depend on, and with nothing else: results are resumed by it. */
START_TEST(task_ids)
{
    static const char *const matters[][2] = {{"dk: 8", "dk: 16"},
                                             {"dv: 8", "dv: 9"},
                                             {"[4, 8]", "[4, 9]"},
                                             {"[4, 8]", "[8]"},
                                             {"[g, o]", "[g]"},
                                             {"[g, o]", "[g, o, y]"},
                                             {"[fp32, mine]", "[fp32]"},
                                             {"[fp32, mine]", "[fp32, mine, bf16]"},
                                             {"[bf16]", "[fp16]"},
                                             {"[bf16]", "[bf16, fp16]"},
                                             {"name: p", "name: r"},
                                             {"heads: 2", "heads: 3"},
                                             {"a_mean: 0", "a_mean: 1"},
                                             {"a_mean: 0", "b_scale: 2"},
                                             {"[-1, -2]", "[-1, -3]"},
                                             {"[-1, -2]", "[-1]"},
                                             {"init: fla", "init: ones"},
                                             {"113", "114"},
                                             {"columns: 4", "columns: 5"},
                                             {"precision: 113", "rung: mpfr"},
                                             {"heads: 2", "heads: 2, keys: repeated"},
                                             {"heads: 2", "heads: 2, values: coherent"}};
    static const char *const does_not[][2] = {{"question: q", "question: another"},
                                              {"experiment: t", "experiment: u"},
                                              {"[-1, -2]", "[-1.0, -2e0]"},
                                              {"a_mean: 0, ", ""},
                                              {"name: mine,", "name: mine, summary: words,"},
                                              {"seeds: 1", "# a comment"}};
    enum { MATTERS = sizeof matters / sizeof matters[0] };
    char id[MATTERS + 1][17], other[17];
    id_with("", "", id[MATTERS]);
    for (int i = 0; i < MATTERS; i++) {
        id_with(matters[i][0], matters[i][1], id[i]);
        GDN_CHECK(!is(id[i], id[MATTERS]), "%s for %s is not noticed", matters[i][1], matters[i][0]);
        for (int j = 0; j < i; j++)
            GDN_CHECK(!is(id[i], id[j]), "%s and %s are one", matters[i][1], matters[j][1]);
    }
    for (size_t i = 0; i < sizeof does_not / sizeof does_not[0]; i++) {
        id_with(does_not[i][0], does_not[i][1], other);
        GDN_CHECK(is(other, id[MATTERS]), "%s for %s makes another task", does_not[i][1], does_not[i][0]);
    }
}
END_TEST

/* However long a list of values, its last one is part of the identity of tasks and cells. */
START_TEST(long_lists_of_values)
{
    enum { N = 2000 };
    static char list[2][16 * N];
    char ids[2][17];
    uint64_t cells[2];
    for (int i = 0; i < 2; i++) {
        size_t n = 0;
        for (int v = 0; v < N; v++)
            n += (size_t)sprintf(list[i] + n, "%s%.8f", v ? "," : "",
                                 -1 - v / 1e4 - (v == N - 1 ? i / 1e3 : 0));
        gdn_experiment *e =
            experiment("experiment: t\nquestion: q\nlengths: [1]\nquantities: [g]\nprofiles: [fp32]\n"
                       "populations: [{name: p, heads: %d, a_log: {values: [%s]}, dt_bias: {init: ones}}]\n",
                       N, list[i]);
        int count;
        gdn_task *tasks = tasks_of(e, &count);
        memcpy(ids[i], tasks[0].id, 17);
        free(tasks);
        gdn_rows rows = rows_of(e, 0);
        cells[i] = row_of(&rows, "fp32", "g", "total", 1, 1, N - 1)->cell;
        gdn_rows_free(&rows);
        gdn_experiment_free(e);
    }
    ck_assert_str_ne(ids[0], ids[1]);
    GDN_CHECK(cells[0] != cells[1], "cell %016llx has two values", (unsigned long long)cells[0]);
}
END_TEST

/* ---- certificates ---- */

/* Every number says which rung served it, on how many columns that was certified, and to what: with MPFR to
 * 1e-28. */
START_TEST(certificates)
{
    static const struct {
        int d;
        const char *lengths;
    } cases[] = {{16, "[16, 32]"},
                 {4, "[300]"}}; /* witnessed everywhere, and on a column of the second head */
    for (int which = 0; which < 4; which++) {
        int rung = which % 2, d = cases[which / 2].d;
        gdn_experiment *e =
            experiment(prefix_text, "t", d, d, cases[which / 2].lengths, rungs[rung], 2, "isotropic");
        gdn_rows rows = rows_of(e, 0);
        for (int64_t i = 0; i < rows.count; i++) {
            const gdn_row *r = &rows.row[i];
            bool ok = is(r->flag, "ok"), below = is(r->flag, "below_reference"), exact = r->rel_l2 == 0;
            GDN_CHECK(ok || below, "%s", name_of(r));
            GDN_CHECK(exact ? is(r->kind, "storage") && r->uncertainty == 0 : r->uncertainty > 0, "%s",
                      name_of(r));
            bool elsewhere = is(r->reference, "dd"); /* the witness may have watched another head */
            GDN_CHECK(r->certified > 0 || elsewhere, "certified on %lld columns: %s", (long long)r->certified,
                      name_of(r));
            GDN_CHECK(isnan(r->rel_l2) == below && isnan(r->bias) == below && isnan(r->cosine) == below, "%s",
                      name_of(r));
            GDN_CHECK(!ok || exact || r->rel_l2 >= 1000 * r->uncertainty, "%s", name_of(r));
            if (rung == 0)
                GDN_CHECK(is(r->reference, "mpfr") && r->uncertainty < (d == 16 ? 1e-28 : 1e-27), "%s",
                          name_of(r));
            else
                GDN_CHECK((is(r->reference, "dd") || is(r->reference, "fp64")) && r->uncertainty < 1e-12,
                          "%s", name_of(r));
            GDN_CHECK(!ok || exact ||
                          (fabs(r->nmse - r->rel_l2 * r->rel_l2) <= 1e-15 * r->nmse &&
                           fabs(exp2(-r->bits) / r->rel_l2 - 1) <= 1e-13 &&
                           fabs(r->bias) <= r->rel_l2 * (1 + 1e-15)),
                      "bits %a, nmse %a: %s", r->bits, r->nmse, name_of(r));
        }
        gdn_rows_free(&rows);
        gdn_experiment_free(e);
    }
}
END_TEST

/* An error is a number from 1,000 uncertainties on: a needle's is 3e-30 at A_log = -66 and 3e-23 at -50. */
START_TEST(too_small_to_report)
{
    gdn_experiment *e = experiment(
        "experiment: t\nquestion: q\ndk: 4\ndv: 4\nlengths: [8]\nprofiles: [a_log-bf16]\nquantities: [o]\n"
        "reference: {rung: mpfr}\npopulations:\n  - {name: p, heads: 2, keys: needle, a_scale: 0, a_log: "
        "{values: [-66.1, "
        "-50.1]}, dt_bias: {values: [0]}}\n");
    gdn_rows rows = rows_of(e, 0);
    const gdn_row *small = row_of(&rows, "a_log-bf16", "o", "storage", 1, 8, 0),
                  *large = row_of(&rows, "a_log-bf16", "o", "storage", 1, 8, 1);
    GDN_CHECK(is(small->flag, "below_reference") && isnan(small->rel_l2), "%s", name_of(small));
    GDN_CHECK(small->predicted > 2 * small->uncertainty && small->predicted < 500 * small->uncertainty,
              "predicted %a: the case is not the one it should be; %s", small->predicted, name_of(small));
    GDN_CHECK(is(large->flag, "ok") && large->rel_l2 > 1e-24 && large->rel_l2 < 1e-21, "%s", name_of(large));
    gdn_rows_free(&rows);
    gdn_experiment_free(e);
}
END_TEST

/* Both ladders measure the same errors, within what they are certified to; fine rows see fewer columns, which
 * shows. */
START_TEST(ladders_agree)
{
    gdn_experiment *a = experiment(prefix_text, "t", 16, 16, "[16, 32]", "mpfr", 2, "isotropic");
    gdn_rows x = rows_of(a, 0);
    gdn_experiment *b = experiment(prefix_text, "t", 16, 16, "[16, 32]", "fp64", 2, "isotropic");
    gdn_rows y = rows_of(b, 0);
    ck_assert_int_eq(x.count, y.count);
    int base = 0;
    for (int64_t i = 0; i < x.count; i++) {
        const gdn_row *r = &x.row[i], *s = &y.row[i];
        GDN_CHECK(r->cell == s->cell, "another cell: %s", name_of(s));
        if (!is(r->flag, "ok") || !is(s->flag, "ok") || (is(s->reference, "dd") && !is(s->quantity, "g")))
            continue;
        base += is(s->reference, "fp64");
        double slack = r->uncertainty + s->uncertainty + 4e-16 * r->rel_l2;
        GDN_CHECK(fabs(r->rel_l2 - s->rel_l2) <= slack, "%a by MPFR, %s", r->rel_l2, name_of(s));
        GDN_CHECK(fabs(r->bias - s->bias) <= slack, "bias %a by MPFR, %s", r->bias, name_of(s));
    }
    GDN_CHECK(base > 100, "only %d rows were served by fp64", base);
    gdn_rows_free(&x);
    gdn_rows_free(&y);
    gdn_experiment_free(a);
    gdn_experiment_free(b);
}
END_TEST

/* ---- files ---- */

enum { T = 12, HK = 2, HV = 6, D = 8, HIDDEN = 5 };

/* x: [T][HK][D] with head h of HV taking floor(h / (HV / HK)). */
static void repeat(const float *x, float *y)
{
    for (int t = 0; t < T; t++)
        for (int h = 0; h < HV; h++)
            memcpy(y + (t * HV + h) * D, x + (t * HK + h / (HV / HK)) * D, D * sizeof *y);
}

static gdn_rows rows_of_file(const char *name, const char *gate)
{
    gdn_experiment *e =
        experiment("experiment: t\nquestion: q\nprofiles: [all-bf16, bf16]\npopulations:\n"
                   "  - name: p\n    file: {path: %s, q: q, k: k, v: v, b: b, z: z, a_log: A_log, dt_bias: "
                   "dt, norm_weight: w, %s}\n",
                   name, gate);
    gdn_rows rows = rows_of(e, 0);
    gdn_experiment_free(e);
    return rows;
}

/* Same numbers from both, whatever the cells' ids, which carry the file. */
static void same_numbers(gdn_rows *x, gdn_rows *y)
{
    ck_assert_int_eq(x->count, y->count);
    for (int64_t i = 0; i < x->count; i++) {
        y->row[i].cell = x->row[i].cell;
        same_row(&x->row[i], &y->row[i], true);
    }
    gdn_rows_free(x);
    gdn_rows_free(y);
}

/*
 * Key heads serve groups of neighbouring value heads; a leading dimension of 1 means nothing; a may come as
 * input and projection, here exact in fp32.
 */
START_TEST(roles_of_tensors)
{
    uint64_t seed = 21;
    float *q = gdn_test_floats(&seed, T * HK * D, -2, 2), *k = gdn_test_floats(&seed, T * HK * D, -2, 2),
          *v = gdn_test_floats(&seed, T * HV * D, -2, 2), *z = gdn_test_floats(&seed, T * HV * D, -2, 2),
          *b = gdn_test_floats(&seed, T * HV, -2, 2), *a_log = gdn_test_floats(&seed, HV, -4, 1),
          *dt = gdn_test_floats(&seed, HV, -4, 1), *w = gdn_test_floats(&seed, D, 0.5, 2), qr[T * HV * D],
          kr[T * HV * D], hidden[T * HIDDEN], weight[HV * HIDDEN], a[T * HV];
    for (int h = 0; h < HV; h++)
        a_log[h] += 0x1p-12f; /* else bf16 holds it */
    for (int i = 0; i < T * HIDDEN; i++)
        hidden[i] = (float)(int)(gdn_test_random(&seed) % 32) / 16 - 1;
    for (int i = 0; i < HV * HIDDEN; i++)
        weight[i] = (float)(int)(gdn_test_random(&seed) % 32) / 16 - 1;
    for (int t = 0; t < T; t++)
        for (int h = 0; h < HV; h++) {
            a[t * HV + h] = 0;
            for (int i = 0; i < HIDDEN; i++)
                a[t * HV + h] += hidden[t * HIDDEN + i] * weight[h * HIDDEN + i];
        }
    repeat(q, qr);
    repeat(k, kr);
    const tensor grouped[] = {
        {"q", 4, {1, T, HK, D}, q},    {"k", 4, {1, T, HK, D}, k}, {"v", 4, {1, T, HV, D}, v},
        {"z", 4, {1, T, HV, D}, z},    {"b", 3, {1, T, HV}, b},    {"A_log", 1, {HV}, a_log},
        {"dt", 1, {HV}, dt},           {"w", 1, {D}, w},           {"x", 3, {1, T, HIDDEN}, hidden},
        {"W", 2, {HV, HIDDEN}, weight}};
    const tensor repeated[] = {{"q", 3, {T, HV, D}, qr}, {"k", 3, {T, HV, D}, kr}, {"v", 3, {T, HV, D}, v},
                               {"z", 3, {T, HV, D}, z},  {"b", 2, {T, HV}, b},     {"A_log", 1, {HV}, a_log},
                               {"dt", 1, {HV}, dt},      {"w", 1, {D}, w},         {"a", 2, {T, HV}, a}};
    write_tensors("grouped.safetensors", grouped, 10);
    write_tensors("repeated.safetensors", repeated, 9);
    gdn_rows x = rows_of_file("grouped.safetensors", "project_a: {input: x, weight: W}"),
             y = rows_of_file("repeated.safetensors", "a: a");
    GDN_CHECK(x.row[0].cell != y.row[0].cell, "two files make one cell");
    GDN_CHECK(row_of(&x, "all-bf16", "o", "storage", 1, T, HV - 1)->rel_l2 > 0, "nothing was measured");
    same_numbers(&x, &y);
    void *all[] = {q, k, v, z, b, a_log, dt, w};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}
END_TEST

/* ---- golden ---- */

typedef struct golden {
    const char *population, *recorded;
    double o, state;
} golden;

/* Relative L2 over all heads. */
static double pooled(const gdn_lockstep *l, int subject, gdn_quantity q)
{
    gdn_window all = {1, l->plan.last, true};
    gdn_sums total = {0};
    for (int h = 0; h < l->source->shape.heads; h++)
        total = gdn_sums_add(
            total, gdn_lockstep_sums(l, gdn_subject_series(l, subject, GDN_SUBJECT_TOTAL), h, q, &all));
    return sqrt(total.dd / total.rr);
}

static void is_golden(double x, double want, const golden *g, const char *what)
{
    GDN_CHECK(fabs(x - want) <= gdn_tolerance.golden * want, "%s, %s: %s is off by %.6e, not %.6e",
              g->population, g->recorded, what, x, want);
}

/* The truth, with the recorded gate, against the recorded outputs: golden/README.md's figures within 1 %. */
START_TEST(golden_figures)
{
    static const golden figures[] = {
        {"hf-fp32-recorded", "hf-chunk", 2.507377e-07, 1.842186e-07},
        {"hf-fp32-recorded", "hf-recurrent", 1.521206e-07, 1.858400e-07},
        {"hf-fp32-d128-recorded", "hf-chunk", 2.659979e-07, 2.054627e-07},
        {"hf-fp32-d128-recorded", "hf-recurrent", 1.535973e-07, 2.104048e-07},
        {"hf-bf16-recorded", "hf-chunk", 1.617936e-03, 1.333418e-07},
        {"hf-bf16-recorded", "hf-recurrent", 1.617936e-03, 1.305901e-07},
    };
    gdn_experiment *e = NULL;
    gdn_error err = {""};
    int count, seen = 0;
    GDN_CHECK(gdn_inputs_init(&err) == GDN_OK &&
                  gdn_experiment_load("experiments/golden.yaml", &e, &err) == GDN_OK,
              "%s", err.text);
    gdn_task *tasks = tasks_of(e, &count);
    for (int t = 0; t < count; t++) {
        const char *population = e->file->populations[tasks[t].population].name;
        if (!strstr(population, "recorded"))
            continue;
        gdn_lockstep *l = NULL;
        GDN_CHECK(gdn_lockstep_open(&tasks[t], &l, &err) == GDN_OK, "%s", err.text);
        GDN_CHECK(gdn_lockstep_run(l, NULL, NULL, &err) == GDN_OK, "%s", err.text);
        for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
            for (int p = 0; p < l->subjects && is(population, figures[i].population); p++)
                if (l->subject[p].recorded && is(l->subject[p].recorded->spec->name, figures[i].recorded)) {
                    is_golden(pooled(l, p, GDN_Q_O), figures[i].o, &figures[i], "o");
                    is_golden(pooled(l, p, GDN_Q_STATE), figures[i].state, &figures[i], "state");
                    seen++;
                }
        gdn_lockstep_close(l);
    }
    ck_assert_int_eq(seen, 6);
    free(tasks);
    gdn_experiment_free(e);
}
END_TEST

/* Rows of recorded outputs: total alone, o and y in every window, the state at its one position; heads pool
 * to the figures. */
START_TEST(golden_rows)
{
    gdn_experiment *e = NULL;
    gdn_error err = {""};
    GDN_CHECK(gdn_inputs_init(&err) == GDN_OK &&
                  gdn_experiment_load("experiments/golden.yaml", &e, &err) == GDN_OK,
              "%s", err.text);
    ck_assert_str_eq(e->file->populations[0].name, "hf-fp32-recorded");
    gdn_rows rows = rows_of(e, 0);
    double least = INFINITY, most = 0;
    for (int h = 0; h < 4; h++) {
        const gdn_row *o = row_of(&rows, "hf-chunk", "o", "total", 1, 80, h),
                      *state = row_of(&rows, "hf-chunk", "state", "total", 80, 80, h),
                      *y = row_of(&rows, "hf-chunk", "y", "total", 32, 63, h);
        const gdn_row *all[] = {o, state, y};
        for (int i = 0; i < 3; i++)
            GDN_CHECK(is(all[i]->flag, "ok") && is(all[i]->mode, "recorded") &&
                          is(all[i]->recipe, "recorded") && is(all[i]->keys, "file") &&
                          isnan(all[i]->a_log) && isnan(all[i]->predicted) && all[i]->rel_l2 > 1e-8 &&
                          all[i]->rel_l2 < 1e-5,
                      "%s", name_of(all[i]));
        least = fmin(least, o->rel_l2);
        most = fmax(most, o->rel_l2);
    }
    GDN_CHECK(least <= 2.507377e-07 && most >= 2.507377e-07, "heads from %a to %a", least, most);
    for (int64_t i = 0; i < rows.count; i++) {
        const gdn_row *r = &rows.row[i];
        GDN_CHECK(is(r->kind, "total"), "the gate is given, nothing is stored: %s", name_of(r));
        GDN_CHECK(!is(r->mode, "recorded") || !is(r->quantity, "state") || r->from == 80, "%s", name_of(r));
        GDN_CHECK(!is(r->mode, "recorded") || is(r->quantity, "o") || is(r->quantity, "y") ||
                      is(r->quantity, "state"),
                  "%s", name_of(r));
    }
    gdn_rows_free(&rows);
    gdn_experiment_free(e);
}
END_TEST

/* ---- stopping ---- */

typedef struct watch {
    double share;
    int calls, stop_at;
} watch;

static int on_progress(void *context, double share)
{
    watch *w = context;
    w->share += share;
    return ++w->calls == w->stop_at;
}

/* Progress adds up to the whole; a task that is told to stop has no rows. */
START_TEST(progress_and_stopping)
{
    gdn_experiment *e = experiment(prefix_text, "t", 4, 4, "[16, 700]", "fp64", 1, "isotropic");
    int count;
    gdn_task *tasks = tasks_of(e, &count);
    gdn_rows rows;
    gdn_error err = {""};
    watch w = {0};
    GDN_CHECK(gdn_task_run(&tasks[0], on_progress, &w, &rows, &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(fabs(w.share - 1) < 1e-12 && w.calls > 5, "%d calls, shares of %a", w.calls, w.share);
    gdn_rows_free(&rows);
    w = (watch){.stop_at = 4};
    ck_assert_int_eq(gdn_task_run(&tasks[0], on_progress, &w, &rows, &err), GDN_DIFFERS);
    GDN_CHECK(w.calls == 4 && rows.count == 0 && !rows.row, "%d calls, %lld rows", w.calls,
              (long long)rows.count);
    free(tasks);
    gdn_experiment_free(e);
}
END_TEST

GDN_TASK_TEST_MAIN("task", storage_of_nothing, storage_of_exact_values, storage_of_a_log, constant_gate,
                   decay_out_of_range, needle_and_isotropic, total_is_storage_plus_arith, biases_add_up,
                   longer_runs, more_heads, other_profiles, cells_are_unique, task_ids, long_lists_of_values,
                   certificates, too_small_to_report, roles_of_tensors, ladders_agree, golden_figures,
                   golden_rows, progress_and_stopping)
