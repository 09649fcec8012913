/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_gate -- the decay gate: storage error against its closed form, softplus variants and roundings step by
 * step against MPFR, the cliff of alpha stored in bf16, alpha as the carrier of g, and the ends.
 *
 *     g = -exp(A_log) softplus(a + dt_bias), alpha = exp(g)
 */
#include "tests/gdn_test.h"

#include "kernels/gate.h"
#include "kernels/recurrent.h"
#include "reference/gdn_mpfr.h"

/* Gates of H heads at one token each. */
typedef struct gates {
    int heads;
    double *decay, *dt_bias; /* [H] */
    float *a, *given;        /* [H]; given: g itself, used where it is not NULL */
    double *g, *g_lo;        /* [H] out */
    double *alpha, *alpha_lo;
} gates;

static gates gates_new(int heads)
{
    size_t n = (size_t)heads;
    gates x = {.heads = heads};
    double **arrays[] = {&x.decay, &x.dt_bias, &x.g, &x.g_lo, &x.alpha, &x.alpha_lo};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        *arrays[i] = gdn_test_alloc(n, sizeof(double));
    x.a = gdn_test_alloc(n, sizeof(float));
    return x;
}

static void gates_free(gates *x)
{
    void *all[] = {x->decay, x->dt_bias, x->g, x->g_lo, x->alpha, x->alpha_lo, x->a, x->given};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

/* Run one engine over the gates; recipe NULL: MPFR. decay_is_a and alpha as in gdn_params. */
static gdn_status run_gates(gates *x, const gdn_recipe *recipe, bool decay_is_a, gdn_format_id alpha,
                            gdn_error *err)
{
    const gdn_engine *engine = recipe ? &gdn_recurrent_engine : &gdn_mpfr_engine;
    gdn_setup setup = {
        .shape = {x->heads, 1, 1},
        .params = {.decay_is_a = decay_is_a, .decay = x->decay, .dt_bias = x->dt_bias, .alpha = alpha},
        .recipe = recipe,
        .precision = GDN_MPFR_PRECISION};
    gdn_block in = {.first = 1, .tokens = 1, .a = x->given ? NULL : x->a, .g = x->given};
    gdn_outputs out = {.g = x->g, .g_lo = x->g_lo, .alpha = x->alpha, .alpha_lo = x->alpha_lo};
    void *self = NULL;
    gdn_status status = engine->open(&self, &setup, err);
    if (!status)
        status = engine->advance(self, &in, &out, err);
    engine->close(self);
    return status;
}

static void must_run(gates *x, const gdn_recipe *recipe, bool decay_is_a, gdn_format_id alpha)
{
    gdn_error err = {""};
    GDN_CHECK(run_gates(x, recipe, decay_is_a, alpha, &err) == GDN_OK, "%s: %s",
              recipe ? recipe->name : "MPFR", err.text);
}

static double to_bf16(double x)
{
    return gdn_round(&gdn_formats[GDN_BF16], x);
}

/* expm1(x) to double. */
static double exact_expm1(double x)
{
    mpfr_t t;
    mpfr_init2(t, 113);
    mpfr_set_d(t, x, MPFR_RNDN);
    mpfr_expm1(t, t, MPFR_RNDN);
    x = mpfr_get_d(t, MPFR_RNDN);
    mpfr_clear(t);
    return x;
}

/* Random a in bf16, dt_bias in bf16. */
static void draw_inputs(gates *x, uint64_t *seed)
{
    for (int h = 0; h < x->heads; h++) {
        x->a[h] = (float)to_bf16(gdn_test_uniform(seed, -6, 6));
        x->dt_bias[h] = to_bf16(gdn_test_uniform(seed, -8, 3));
    }
}

/* (stored - truth) / truth of g, from the pairs. */
static double storage_error(const gates *stored, const gates *truth, int h)
{
    return ((stored->g[h] - truth->g[h]) + (stored->g_lo[h] - truth->g_lo[h])) / truth->g[h];
}

/* A_log rounded to bf16 multiplies g by exp(RN(A_log) - A_log), whatever a and dt_bias are: 1,000 draws in
 * [-8, 2.8]. */
START_TEST(storage_closed_form)
{
    enum { N = 1000 };
    uint64_t seed = 21;
    gates truth = gates_new(N), stored = gates_new(N);
    draw_inputs(&truth, &seed);
    int off = 0;
    for (int h = 0; h < N; h++) {
        truth.decay[h] = (float)gdn_test_uniform(&seed, -8, 2.8);
        stored.decay[h] = to_bf16(truth.decay[h]);
        stored.a[h] = truth.a[h];
        stored.dt_bias[h] = truth.dt_bias[h];
    }
    must_run(&truth, NULL, false, GDN_FP64);
    must_run(&stored, NULL, false, GDN_FP64);
    for (int h = 0; h < N; h++) {
        double want = exact_expm1(stored.decay[h] - truth.decay[h]), got = storage_error(&stored, &truth, h);
        GDN_CHECK(fabs(got - want) <= gdn_tolerance.gate_storage * fabs(want),
                  "A_log %a, stored %a, a %a, dt_bias %a: error of g %a, closed form %a", truth.decay[h],
                  stored.decay[h], (double)truth.a[h], truth.dt_bias[h], got, want);
        off += want != 0;
    }
    ck_assert_int_gt(off, N * 9 / 10);
    gates_free(&truth);
    gates_free(&stored);
}
END_TEST

/* A itself stored: the error is that of the rounding, (RN(A) - A) / A. */
START_TEST(storage_of_a_closed_form)
{
    enum { N = 500 };
    uint64_t seed = 22;
    gates truth = gates_new(N), stored = gates_new(N);
    draw_inputs(&truth, &seed);
    memcpy(stored.a, truth.a, N * sizeof *truth.a);
    memcpy(stored.dt_bias, truth.dt_bias, N * sizeof *truth.dt_bias);
    for (int h = 0; h < N; h++) {
        truth.decay[h] = (float)exp(gdn_test_uniform(&seed, -8, 2.8));
        stored.decay[h] = to_bf16(truth.decay[h]);
    }
    must_run(&truth, NULL, true, GDN_FP64);
    must_run(&stored, NULL, true, GDN_FP64);
    for (int h = 0; h < N; h++) {
        double want = (stored.decay[h] - truth.decay[h]) / truth.decay[h],
               got = storage_error(&stored, &truth, h);
        GDN_CHECK(fabs(got - want) <= gdn_tolerance.gate_storage * fabs(want),
                  "A %a, stored %a: error of g %a, not %a", truth.decay[h], stored.decay[h], got, want);
    }
    gates_free(&truth);
    gates_free(&stored);
}
END_TEST

/* The oracle's number after an operation in its format: gradual underflow applied, as a double. */
static double settle(gdn_oracle *o, int ternary)
{
    mpfr_subnormalize(o->y, ternary, MPFR_RNDN);
    return mpfr_get_d(o->y, MPFR_RNDN);
}

typedef int (*operation)(mpfr_t, const mpfr_t, mpfr_rnd_t);

/* One function, correctly rounded in the oracle's format. */
static double apply(gdn_oracle *o, operation f, double x)
{
    mpfr_t arg;
    mpfr_init2(arg, 53);
    mpfr_set_d(arg, x, MPFR_RNDN);
    double y = settle(o, f(o->y, arg, MPFR_RNDN));
    mpfr_clear(arg);
    return y;
}

static double oracle_torch(gdn_oracle *o, double x)
{
    return x > 20 ? x : apply(o, mpfr_log1p, apply(o, mpfr_exp, x));
}

static double oracle_log_exp(gdn_oracle *o, double x)
{
    double log2e = gdn_oracle_round(o, 0x1.71547652b82fep0, MPFR_RNDN);
    double ln2 = gdn_oracle_round(o, 0x1.62e42fefa39efp-1, MPFR_RNDN);
    if (x > 20)
        return x;
    double power = apply(o, mpfr_exp2, gdn_oracle_round(o, x * log2e, MPFR_RNDN));
    double log2_sum = apply(o, mpfr_log2, gdn_oracle_round(o, 1 + power, MPFR_RNDN));
    return gdn_oracle_round(o, log2_sum * ln2, MPFR_RNDN);
}

/* Each step of the two approximate variants, rounded to fp32 and to bf16, on every bf16 argument of size
 * below 128. */
START_TEST(softplus_variants_step_by_step)
{
    const gdn_format_id formats[] = {GDN_FP32, GDN_BF16};
    for (int i = 0; i < 2; i++) {
        gdn_oracle o;
        gdn_oracle_open(&o, &gdn_formats[formats[i]]);
        for (uint32_t h = 0; h < 65536; h++) {
            double x = gdn_bf16_to_float((uint16_t)h);
            if (!(fabs(x) < 128))
                continue;
            double torch = gdn_gate_softplus(GDN_SOFTPLUS_TORCH, o.f, x), want = oracle_torch(&o, x);
            GDN_CHECK(torch == want, "%s torch softplus(%a) = %a, MPFR %a", o.f->name, x, torch, want);
            double log_exp = gdn_gate_softplus(GDN_SOFTPLUS_LOG_EXP, o.f, x);
            want = oracle_log_exp(&o, x);
            GDN_CHECK(log_exp == want, "%s log-exp softplus(%a) = %a, MPFR %a", o.f->name, x, log_exp, want);
        }
        gdn_oracle_close(&o);
    }
}
END_TEST

/* |approximate / exact - 1| of the log-exp variant in fp32. */
static double log_exp_error(float x)
{
    double exact = log1p(exp(x));
    return fabs(gdn_gate_softplus(GDN_SOFTPLUS_LOG_EXP, &gdn_formats[GDN_FP32], x) / exact - 1);
}

/* claims.md X2: the largest error within 1/2 of each argument; and nothing is left below -24 ln 2 = -16.6355.
 */
START_TEST(softplus_log_exp_fails_for_negative)
{
    static const double x2[][2] = {{-6, 1e-5}, {-8, 2e-4}, {-10, 2e-3}, {-12, 2e-2}, {-14, 9e-2}, {-16, 0.7}};
    const gdn_format *fp32 = &gdn_formats[GDN_FP32];
    for (size_t i = 0; i < sizeof x2 / sizeof x2[0]; i++) {
        double worst = 0;
        for (int n = -500; n <= 500; n++) {
            double error = log_exp_error((float)(x2[i][0] + n * 1e-3));
            worst = error > worst ? error : worst;
        }
        double ratio = worst / x2[i][1], most = gdn_tolerance.softplus_x2;
        GDN_CHECK(ratio < most && ratio > 1 / most, "softplus near %a: error %g, X2 says %g", x2[i][0], worst,
                  x2[i][1]);
    }
    for (float x = -16.5f; x > -60; x -= 0x1p-10f) {
        double y = gdn_gate_softplus(GDN_SOFTPLUS_LOG_EXP, fp32, x);
        if (x < -16.64f || x > -16.63f)
            GDN_CHECK((y == 0) == (x < -16.63f), "log-exp softplus(%a) = %a", (double)x, y);
        GDN_CHECK(gdn_gate_softplus(GDN_SOFTPLUS_TORCH, fp32, x) > 0, "torch softplus(%a) is 0", (double)x);
    }
}
END_TEST

/* Threshold 20: the identity above, log(1 + e^x) at and below. */
START_TEST(softplus_threshold)
{
    for (int i = 0; i < 2; i++) {
        const gdn_format *f = &gdn_formats[i ? GDN_BF16 : GDN_FP32];
        double above = 20 + gdn_ulp(f, 20);
        for (gdn_softplus_variant v = 0; v < GDN_SOFTPLUS_VARIANTS; v++) {
            GDN_CHECK(gdn_gate_softplus(v, f, above) == above, "%s %s: softplus(%a)", f->name,
                      gdn_softplus_names[v], above);
            GDN_CHECK(gdn_gate_softplus(v, f, INFINITY) == INFINITY, "%s: infinity", gdn_softplus_names[v]);
            GDN_CHECK(gdn_gate_softplus(v, f, -INFINITY) == 0, "%s: -infinity", gdn_softplus_names[v]);
            GDN_CHECK(isnan(gdn_gate_softplus(v, f, NAN)), "%s: NaN", gdn_softplus_names[v]);
        }
    }
}
END_TEST

static double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

/*
 * g of a recipe (exact softplus) against MPFR's, by monotony: x = a + dt_bias carries one rounding (dt_bias
 * rests in bf16 here), exp(A_log) one in its own format, softplus one, the product one. u' = u (1 + 2^-20)
 * pays for the double evaluation of the bounds themselves.
 */
static void check_g(const gdn_recipe *recipe, const gates *x, const gates *truth, int h)
{
    double u = ldexp(1 + 0x1p-20, -gdn_formats[recipe->op].p), sum = x->a[h] + x->dt_bias[h],
           exact = softplus(sum), rate = ldexp(1 + 0x1p-20, -gdn_formats[recipe->exp_a].p);
    double least = truth->g[h] * softplus(sum - u * fabs(sum)) / exact * (1 - rate) * pow(1 - u, 2);
    double most = truth->g[h] * softplus(sum + u * fabs(sum)) / exact * (1 + rate) * pow(1 + u, 2);
    GDN_CHECK(x->g[h] <= least && x->g[h] >= most,
              "%s: A_log %a, a %a, dt_bias %a: g %a, MPFR %a, bounds %a %a", recipe->name, x->decay[h],
              (double)x->a[h], x->dt_bias[h], x->g[h], truth->g[h], least, most);
}

START_TEST(recipes_within_derived_bound)
{
    enum { N = 5000 };
    uint64_t seed = 23;
    gates x = gates_new(N), truth = gates_new(N);
    for (int r = 0; r < gdn_recipe_count; r++) {
        const gdn_recipe *recipe = &gdn_recipes[r];
        if (recipe->softplus != GDN_SOFTPLUS_EXACT)
            continue;
        draw_inputs(&x, &seed);
        for (int h = 0; h < N; h++)
            x.decay[h] = to_bf16(gdn_test_uniform(&seed, -8, 4.3));
        memcpy(truth.decay, x.decay, N * sizeof *x.decay);
        memcpy(truth.dt_bias, x.dt_bias, N * sizeof *x.dt_bias);
        memcpy(truth.a, x.a, N * sizeof *x.a);
        must_run(&truth, NULL, false, GDN_FP64);
        must_run(&x, recipe, false, GDN_FP64);
        gdn_oracle o;
        gdn_oracle_open(&o, &gdn_formats[recipe->op]);
        for (int h = 0; h < N; h++) {
            check_g(recipe, &x, &truth, h);
            double alpha = apply(&o, mpfr_exp, x.g[h]);
            GDN_CHECK(x.alpha[h] == alpha, "%s: exp(%a) = %a, MPFR %a", recipe->name, x.g[h], x.alpha[h],
                      alpha);
        }
        gdn_oracle_close(&o);
    }
    gates_free(&x);
    gates_free(&truth);
}
END_TEST

/* exp(A_log) held in a format of its own (eager evaluation on bf16), and A given instead of A_log. */
START_TEST(rate_formats)
{
    uint64_t seed = 24;
    gdn_recipe eager = *gdn_recipe_by_name("fp32");
    eager.exp_a = GDN_BF16;
    for (int i = 0; i < 2000; i++) {
        double a_log = (float)gdn_test_uniform(&seed, -8, 4.3), a = (float)exp(a_log);
        gdn_oracle o;
        gdn_oracle_open(&o, &gdn_formats[GDN_BF16]);
        double want = apply(&o, mpfr_exp, a_log), got = gdn_gate_rate(&eager, false, a_log);
        gdn_oracle_close(&o);
        GDN_CHECK(got == want, "bf16 exp(%a) = %a, MPFR %a", a_log, got, want);
        GDN_CHECK(gdn_gate_rate(&eager, true, a) == a, "A = %a becomes %a", a,
                  gdn_gate_rate(&eager, true, a));
    }
}
END_TEST

/* 1 / (1 + e^-b) to double. */
static double exact_sigmoid(double b)
{
    mpfr_t t;
    mpfr_init2(t, 113);
    mpfr_set_d(t, -b, MPFR_RNDN);
    mpfr_exp(t, t, MPFR_RNDN);
    mpfr_add_ui(t, t, 1, MPFR_RNDN);
    mpfr_ui_div(t, 1, t, MPFR_RNDN);
    b = mpfr_get_d(t, MPFR_RNDN);
    mpfr_clear(t);
    return b;
}

/*
 * beta = sigmoid(b), rounded to the operation's format and then to beta's. Near b = 0 the exact sigmoid lies
 * within b^3 / 48 of a tie, which no evaluation in double can tell from the tie: both ends of the double's
 * error are allowed.
 */
START_TEST(beta_formats)
{
    const double e = gdn_tolerance.portable_sigmoid * 0x1p-53;
    int sharp = 0;
    for (int r = 0; r < gdn_recipe_count; r++) {
        const gdn_recipe *recipe = &gdn_recipes[r];
        const gdn_format *op = &gdn_formats[recipe->op], *rest = &gdn_formats[recipe->beta];
        for (uint32_t h = 0; h < 65536; h += 7) {
            double b = gdn_bf16_to_float((uint16_t)h);
            if (!(fabs(b) < 80))
                continue;
            double exact = exact_sigmoid(b), got = gdn_gate_beta(recipe, 0, b);
            double low = gdn_round(rest, gdn_round(op, exact * (1 - e)));
            double high = gdn_round(rest, gdn_round(op, exact * (1 + e)));
            GDN_CHECK(got == low || got == high, "%s: beta(%a) = %a, MPFR %a", recipe->name, b, got, exact);
            sharp += low == high;
        }
    }
    ck_assert_int_gt(sharp, 4800 * gdn_recipe_count);
}
END_TEST

/* The same with beta doubled: exactly twice what it was, given or not. */
START_TEST(beta_shift_doubles)
{
    for (int r = 0; r < gdn_recipe_count; r++)
        for (uint32_t h = 0; h < 65536; h += 7) {
            double b = gdn_bf16_to_float((uint16_t)h), once = gdn_gate_beta(&gdn_recipes[r], 0, b);
            double given = gdn_gate_beta_given(&gdn_recipes[r], 0, 0.3 * b);
            GDN_CHECK(gdn_same(gdn_gate_beta(&gdn_recipes[r], 1, b), 2 * once), "%s: beta(%a) is %a once",
                      gdn_recipes[r].name, b, once);
            GDN_CHECK(gdn_same(gdn_gate_beta_given(&gdn_recipes[r], 1, 0.3 * b), 2 * given),
                      "%s: a given beta of %a is %a once", gdn_recipes[r].name, 0.3 * b, given);
        }
}
END_TEST

/* ln 2 log2(exp(g) + 1e-10), every step in the oracle's format. */
static double oracle_carried(gdn_oracle *o, double g)
{
    double alpha = apply(o, mpfr_exp, g), least = gdn_oracle_round(o, 1e-10, MPFR_RNDN);
    mpfr_t t;
    mpfr_init2(t, 53);
    mpfr_set_d(t, alpha, MPFR_RNDN);
    double sum = settle(o, mpfr_add_d(o->y, t, least, MPFR_RNDN));
    mpfr_clear(t);
    return gdn_oracle_round(
        o, apply(o, mpfr_log2, sum) * gdn_oracle_round(o, 0x1.62e42fefa39efp-1, MPFR_RNDN), MPFR_RNDN);
}

/* Each step of the carrier in fp32 and in bf16: g and alpha as the recurrence gets them. */
START_TEST(carrier_step_by_step)
{
    enum { N = 20000 };
    const char *const names[] = {"fp32", "bf16"};
    uint64_t seed = 26;
    gates x = gates_new(N);
    x.given = gdn_test_alloc(N, sizeof(float));
    for (int h = 0; h < N; h++) /* from nothing at all to far below the floor */
        x.given[h] = (float)-exp(gdn_test_uniform(&seed, -20, 5));
    for (int i = 0; i < 2; i++) {
        gdn_recipe r = *gdn_recipe_by_name(names[i]);
        r.carrier = GDN_CARRIER_ALPHA;
        must_run(&x, &r, false, GDN_FP64);
        gdn_oracle o;
        gdn_oracle_open(&o, &gdn_formats[r.op]);
        for (int h = 0; h < N; h++) {
            double want = oracle_carried(&o, gdn_oracle_round(&o, x.given[h], MPFR_RNDN));
            GDN_CHECK(x.g[h] == want, "%s: g %a comes back as %a, MPFR %a", r.name, (double)x.given[h],
                      x.g[h], want);
            want = apply(&o, mpfr_exp, want);
            GDN_CHECK(x.alpha[h] == want, "%s: g %a: alpha %a, MPFR %a", r.name, (double)x.given[h],
                      x.alpha[h], want);
        }
        gdn_oracle_close(&o);
    }
    gates_free(&x);
}
END_TEST

/*
 * claims.md X3, from a and A_log on: alpha lies on a grid of 2^-24 below 1, so that g around -1e-4 comes back
 * with an error of 2^-25 / 1e-4 = 3.0e-4 at most and 1.7e-4 rms; 1e-10 is lost against it. g = -inf and -50
 * come back as ln 1e-10.
 */
START_TEST(carrier_loses_small_g)
{
    enum { N = 2000 };
    gates x = gates_new(N), plain = gates_new(N);
    gdn_recipe r = *gdn_recipe_by_name("fp32");
    for (int h = 0; h < N; h++) {
        x.decay[h] = plain.decay[h] = log(1e-4 * (0.98 + 0.04 * h / N) / log(2)); /* softplus(0) = ln 2 */
    }
    must_run(&plain, &r, false, GDN_FP64);
    r.carrier = GDN_CARRIER_ALPHA;
    must_run(&x, &r, false, GDN_FP64);
    double squares = 0, worst = 0;
    for (int h = 0; h < N; h++) {
        double error = x.g[h] / plain.g[h] - 1;
        squares += error * error / N;
        worst = fmax(worst, fabs(error));
    }
    GDN_CHECK(sqrt(squares) > 1.6e-4 && sqrt(squares) < 1.8e-4 && worst > 2.8e-4 && worst < 3.1e-4,
              "g near -1e-4 comes back with %g rms, %g at most", sqrt(squares), worst);
    const float ends[] = {-INFINITY, -50, -3e38f, 0, NAN, INFINITY};
    const double floor = (float)log(1e-10);
    for (int i = 0; i < 6; i++) {
        gdn_gate gate = gdn_gate_given(&r, GDN_FP64, ends[i]);
        double want = i < 3 ? floor : ends[i];
        GDN_CHECK(gate.g == want || fabs(gate.g / want - 1) < 0x1p-22 || (isnan(gate.g) && isnan(want)),
                  "g %g comes back as %.9g, not %.9g", (double)ends[i], gate.g, want);
        GDN_CHECK(i >= 3 || fabs(gate.alpha / 1e-10 - 1) < 1e-5, "g %g: alpha %g", (double)ends[i],
                  gate.alpha);
    }
    gates_free(&x);
    gates_free(&plain);
}
END_TEST

/* g around log(1 - 2^-9), where alpha tips from 1 - 2^-8 to 1, then any g. */
static void cliff_inputs(gates *x)
{
    uint64_t seed = 25;
    float g = (float)log1p(-0x1p-9);
    for (int i = 0; i < 20; i++)
        g = nextafterf(g, -1);
    for (int h = 0; h < x->heads; h++) {
        if (h == 60)
            g = 0;
        x->given[h] = h < 60    ? (g = nextafterf(g, 0))
                      : h < 200 ? (float)-ldexp(gdn_test_uniform(&seed, 1, 2), -h / 4)
                                : (float)gdn_test_uniform(&seed, -6, 0);
    }
}

START_TEST(alpha_stored_in_bf16)
{
    enum { N = 1000 };
    gates x = gates_new(N);
    x.given = gdn_test_alloc(N, sizeof(float));
    cliff_inputs(&x);
    int ones = 0;
    for (int r = -1; r < gdn_recipe_count; r++) {
        const gdn_recipe *recipe = r < 0 ? NULL : &gdn_recipes[r];
        must_run(&x, recipe, false, GDN_BF16);
        for (int h = 0; h < N; h++) {
            mpfr_t t;
            mpfr_init2(t, 200);
            mpfr_set_d(t, x.given[h], MPFR_RNDN);
            if (recipe) /* a given g is rounded to the format of the operations first */
                mpfr_prec_round(t, gdn_formats[recipe->op].p, MPFR_RNDN);
            mpfr_exp(t, t, MPFR_RNDN);
            bool above = mpfr_cmp_d(t, 1 - 0x1p-9) > 0;
            if (recipe)
                mpfr_prec_round(t, gdn_formats[recipe->op].p, MPFR_RNDN);
            mpfr_prec_round(t, 8, MPFR_RNDN);
            double want = mpfr_get_d(t, MPFR_RNDN);
            mpfr_clear(t);
            GDN_CHECK(x.alpha[h] == want, "%s: g %a gives alpha %a, not %a", recipe ? recipe->name : "MPFR",
                      (double)x.given[h], x.alpha[h], want);
            GDN_CHECK(!above || want == 1, "g %a: exp g above 1 - 2^-9 must become 1", (double)x.given[h]);
            ones += above && x.given[h] < 0;
        }
    }
    ck_assert_int_gt(ones, 100);
    gates_free(&x);
}
END_TEST

/* A with exp(-A ln 2) = alpha, to the last bit of a double in the direction given. */
static double decay_for(double alpha, mpfr_rnd_t rounding)
{
    mpfr_t t, ln2;
    mpfr_inits2(200, t, ln2, (mpfr_ptr)0);
    mpfr_set_d(t, alpha, MPFR_RNDN);
    mpfr_log(t, t, MPFR_RNDN);
    mpfr_const_log2(ln2, MPFR_RNDN);
    mpfr_div(t, t, ln2, MPFR_RNDN);
    mpfr_neg(t, t, MPFR_RNDN);
    double a = mpfr_get_d(t, rounding);
    mpfr_clears(t, ln2, (mpfr_ptr)0);
    return a;
}

/*
 * MPFR's alpha is rounded to bf16 once, not by way of a double: 1 - 3 2^-9 is a tie whose even side is below.
 * An alpha nearer to it than the doubles are (2^-60 beside 2^-54) still goes to its own side.
 */
START_TEST(alpha_is_rounded_once)
{
    gates x = gates_new(2);
    x.decay[0] = decay_for(1 - 3 * 0x1p-9, MPFR_RNDD);
    x.decay[1] = decay_for(1 - 3 * 0x1p-9, MPFR_RNDU);
    must_run(&x, NULL, true, GDN_BF16);
    GDN_CHECK(x.alpha[0] == 1 - 0x1p-8, "A %a: alpha just above the tie rests as %a", x.decay[0], x.alpha[0]);
    GDN_CHECK(x.alpha[1] == 1 - 0x1p-7, "A %a: alpha just below the tie rests as %a", x.decay[1], x.alpha[1]);
    gates_free(&x);
}
END_TEST

/* One gate at an end: engine and storage by name in the message. */
static void check_end(const gdn_recipe *recipe, bool decay_is_a, gdn_format_id store, double decay,
                      double alpha)
{
    gates x = gates_new(1);
    x.decay[0] = decay;
    x.a[0] = alpha == 1 ? INFINITY : 0.5f; /* A = 0 wins against any softplus */
    must_run(&x, recipe, decay_is_a, store);
    GDN_CHECK(gdn_same(x.alpha[0], alpha), "%s: %s = %a gives alpha %a, not %a",
              recipe ? recipe->name : "MPFR", decay_is_a ? "A" : "A_log", decay, x.alpha[0], alpha);
    gates_free(&x);
}

START_TEST(ends)
{
    const gdn_format_id stores[] = {GDN_FP64, GDN_FP32, GDN_BF16};
    for (int r = -1; r < gdn_recipe_count; r++)
        for (int s = 0; s < 3; s++) {
            const gdn_recipe *recipe = r < 0 ? NULL : &gdn_recipes[r];
            check_end(recipe, false, stores[s], -INFINITY, 1);
            check_end(recipe, true, stores[s], 0, 1);
            check_end(recipe, false, stores[s], 20, 0); /* exp(-4.7e8) */
            check_end(recipe, false, stores[s], 7, 0);  /* exp(-1068): below the doubles */
            check_end(recipe, true, stores[s], INFINITY, 0);
            if (recipe)
                check_end(recipe, false, stores[s], 1000, 0);
        }
    /* exp(-exp(1000)) is below every exponent of MPFR: alpha is 0, and no flag is raised */
    gates x = gates_new(1);
    gdn_error err = {""};
    x.decay[0] = 1000;
    ck_assert_int_eq(run_gates(&x, NULL, false, GDN_FP64, &err), GDN_OK);
    GDN_CHECK(x.alpha[0] == 0 && x.g[0] < -1e300, "g %a, alpha %a", x.g[0], x.alpha[0]);
    gates_free(&x);
}
END_TEST

START_TEST(nan_in_nan_out)
{
    const gdn_format_id stores[] = {GDN_FP64, GDN_BF16};
    for (int r = -1; r < gdn_recipe_count; r++)
        for (int s = 0; s < 2; s++) {
            const gdn_recipe *recipe = r < 0 ? NULL : &gdn_recipes[r];
            gates x = gates_new(4);
            x.a[0] = NAN;
            x.dt_bias[1] = NAN;
            x.decay[2] = NAN;
            must_run(&x, recipe, false, stores[s]);
            for (int h = 0; h < 4; h++)
                GDN_CHECK((h < 3) == isnan(x.g[h]) && (h < 3) == isnan(x.alpha[h]),
                          "%s, head %d: a %a, dt_bias %a, A_log %a give g %a, alpha %a",
                          recipe ? recipe->name : "MPFR", h, (double)x.a[h], x.dt_bias[h], x.decay[h], x.g[h],
                          x.alpha[h]);
            gates_free(&x);
        }
}
END_TEST

GDN_TEST_MAIN("gate", storage_closed_form, storage_of_a_closed_form, softplus_variants_step_by_step,
              softplus_log_exp_fails_for_negative, softplus_threshold, recipes_within_derived_bound,
              rate_formats, beta_formats, beta_shift_doubles, carrier_step_by_step, carrier_loses_small_g,
              alpha_stored_in_bf16, alpha_is_rounded_once, ends, nan_in_nan_out)
