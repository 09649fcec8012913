/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_stats -- the exact bootstrap interval against a simulated bootstrap, slopes of exact power laws, and
 * the predictions of theory against the check values of research/anchors.md section 5.9.
 */
#include "tests/gdn_test.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <gsl/gsl_sort.h>

#include "harness/predict.h"
#include "harness/profile.h"
#include "harness/stats.h"

/* ---- median and interval ---- */

/* Of doubles, each of a seed of its own. */
static gdn_interval interval_of(const double *x, size_t n)
{
    gdn_drawn *drawn = gdn_test_alloc(n, sizeof *drawn);
    gdn_interval i;
    gdn_error err;
    for (size_t k = 0; k < n; k++)
        drawn[k] = (gdn_drawn){x[k], (int64_t)(n - k)};
    ck_assert_msg(!gdn_median_interval(drawn, n, &i, &err), "%s", err.text);
    free(drawn);
    return i;
}

START_TEST(median_of_few)
{
    double none = 0;
    gdn_interval i = interval_of(&none, 0);
    GDN_CHECK(isnan(i.median) && isnan(i.lo) && isnan(i.hi), "of nothing: %a [%a, %a]", i.median, i.lo, i.hi);
    double one[] = {-3.5};
    i = interval_of(one, 1);
    GDN_CHECK(i.median == -3.5 && i.lo == -3.5 && i.hi == -3.5, "of one: %a [%a, %a]", i.median, i.lo, i.hi);
    double two[] = {8, 2}; /* the lower median of a resample is 2 with probability 3/4 */
    i = interval_of(two, 2);
    GDN_CHECK(i.median == 5 && i.lo == 2 && i.hi == 8, "of two: %a [%a, %a]", i.median, i.lo, i.hi);
    double three[] = {7, 1, 4};
    i = interval_of(three, 3);
    GDN_CHECK(i.median == 4 && i.lo == 1 && i.hi == 7, "of three: %a [%a, %a]", i.median, i.lo, i.hi);
    GDN_CHECK(gdn_median(two, 2) == 5 && gdn_median(three, 3) == 4 && isnan(gdn_median(three, 0)),
              "medians of two, three and none");
}
END_TEST

/* Equal values: no width. */
START_TEST(median_of_equals)
{
    double x[100];
    for (int i = 0; i < 100; i++)
        x[i] = 0.125;
    gdn_interval i = interval_of(x, 100);
    GDN_CHECK(i.median == 0.125 && i.lo == 0.125 && i.hi == 0.125, "%a [%a, %a]", i.median, i.lo, i.hi);
}
END_TEST

/* ---- seeds of several heads ---- */

/* Heads that say the same within their seed count once: the interval is that of the seeds. */
START_TEST(equal_heads_count_once)
{
    enum { SEEDS = 9, HEADS = 16 };
    double x[SEEDS] = {3, 1, 4, 1.5, 9, 2.6, 5, 3.5, 8};
    gdn_drawn all[SEEDS * HEADS];
    gdn_interval seeds = interval_of(x, SEEDS), heads;
    gdn_error err;
    for (int i = 0; i < SEEDS * HEADS; i++)
        all[i] = (gdn_drawn){x[i % SEEDS], 100 + i % SEEDS};
    ck_assert_msg(!gdn_median_interval(all, SEEDS * HEADS, &heads, &err), "%s", err.text);
    GDN_CHECK(heads.median == seeds.median && heads.lo == seeds.lo && heads.hi == seeds.hi,
              "%g [%g, %g], of seeds alone %g [%g, %g]", heads.median, heads.lo, heads.hi, seeds.median,
              seeds.lo, seeds.hi);
}
END_TEST

/* The heads of one seed are each drawn by themselves: there is nothing else to draw. */
START_TEST(one_seed_draws_heads)
{
    double x[] = {3, 1, 4, 1.5, 9, 2.6, 5, 3.5, 8};
    gdn_drawn one[9];
    gdn_interval heads = interval_of(x, 9), i;
    gdn_error err;
    for (int k = 0; k < 9; k++)
        one[k] = (gdn_drawn){x[k], 1};
    ck_assert_msg(!gdn_median_interval(one, 9, &i, &err), "%s", err.text);
    GDN_CHECK(i.median == heads.median && i.lo == heads.lo && i.hi == heads.hi && i.lo < i.hi, "%g [%g, %g]",
              i.median, i.lo, i.hi);
}
END_TEST

/*
 * Seeds of one to `most` values, whose level is the seed's and the head's: the limits are the values at which
 * a simulated distribution of the lower (upper) median crosses 2.5 % (97.5 %), to five standard deviations.
 */
static void against_simulation(int seeds, int most, double of_seed, gsl_rng *rng)
{
    enum { RESAMPLES = 20000, ROOM = 64 * 16 };
    static gdn_drawn x[ROOM], sorted[ROOM];
    static double draw[ROOM], lower[RESAMPLES], upper[RESAMPLES];
    int first[65] = {0}, n = 0;
    for (int s = 0; s < seeds; s++) {
        double level = gsl_ran_gaussian(rng, of_seed);
        for (int h = 1 + (int)gsl_rng_uniform_int(rng, (unsigned long)most); h > 0; h--)
            x[n++] = (gdn_drawn){level + gsl_ran_gaussian(rng, 1), s};
        first[s + 1] = n;
    }
    gdn_interval i;
    gdn_error err;
    memcpy(sorted, x, sizeof x);
    ck_assert_msg(!gdn_median_interval(sorted, (size_t)n, &i, &err), "%s", err.text);
    for (int r = 0; r < RESAMPLES; r++) {
        int m = 0;
        for (int k = 0; k < seeds; k++) {
            unsigned long s = gsl_rng_uniform_int(rng, (unsigned long)seeds);
            for (int j = first[s]; j < first[s + 1] && m < ROOM; j++)
                draw[m++] = x[j].x;
        }
        ck_assert_msg(m < ROOM, "the test's room");
        gsl_sort(draw, 1, (size_t)m);
        lower[r] = draw[(m - 1) / 2];
        upper[r] = draw[m / 2];
    }
    int lo_at = 0, lo_below = 0, hi_at = 0, hi_above = 0;
    for (int r = 0; r < RESAMPLES; r++) {
        lo_at += lower[r] <= i.lo;
        lo_below += lower[r] < i.lo;
        hi_at += upper[r] >= i.hi;
        hi_above += upper[r] > i.hi;
    }
    const double slack = gdn_tolerance.sigmas * sqrt(0.025 * 0.975 / RESAMPLES);
    GDN_CHECK(
        (double)lo_at / RESAMPLES >= 0.025 - slack && (double)lo_below / RESAMPLES < 0.025 + slack &&
            (double)hi_at / RESAMPLES >= 0.025 - slack && (double)hi_above / RESAMPLES < 0.025 + slack,
        "%d seeds of up to %d heads, spread %g: [%g, %g] is at or beyond %d and %d, beyond %d and %d of %d",
        seeds, most, of_seed, i.lo, i.hi, lo_at, hi_at, lo_below, hi_above, RESAMPLES);
}

START_TEST(clusters_against_simulation)
{
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    gsl_rng_set(rng, 20261122);
    static const struct {
        int seeds, most;
        double of_seed;
    } cases[] = {{2, 4, 1},  {3, 3, 0},  {5, 2, 3},  {8, 8, 0.3},
                 {8, 15, 2}, {30, 7, 0}, {30, 7, 1}, {30, 12, 5}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++)
        against_simulation(cases[c].seeds, cases[c].most, cases[c].of_seed, rng);
    gsl_rng_free(rng);
}
END_TEST

/* Above GDN_EXACT_SEEDS the limits move by the normal approximation's error only: a place or two in
 * thousands. */
START_TEST(many_seeds)
{
    enum { HEADS = 3 };
    const int few = GDN_EXACT_SEEDS, more = few + 1;
    gdn_interval i[2];
    gdn_error err;
    for (int which = 0; which < 2; which++) {
        const int seeds = which ? more : few, n = HEADS * seeds;
        gdn_drawn *x = gdn_test_alloc((size_t)n, sizeof *x);
        uint64_t random = 11;
        for (int k = 0; k < n; k++)
            x[k] = (gdn_drawn){gdn_test_uniform(&random, 0, 1), k / HEADS};
        ck_assert_msg(!gdn_median_interval(x, (size_t)n, &i[which], &err), "%s", err.text);
        free(x);
    }
    GDN_CHECK(fabs(i[0].lo - i[1].lo) < 2e-3 && fabs(i[0].hi - i[1].hi) < 2e-3 && i[0].lo < 0.495 &&
                  i[0].hi > 0.505,
              "%g [%g, %g], %g [%g, %g]", i[0].median, i[0].lo, i[0].hi, i[1].median, i[1].lo, i[1].hi);
}
END_TEST

/* share[k]: how many of `resamples` bootstrap resamples of 0..n-1 have a lower median of at most k. */
static void simulate(int n, int resamples, gsl_rng *rng, double *share)
{
    size_t *draw = gdn_test_alloc((size_t)n, sizeof *draw);
    int *count = gdn_test_alloc((size_t)n, sizeof *count);
    for (int r = 0; r < resamples; r++) {
        memset(count, 0, (size_t)n * sizeof *count);
        for (int i = 0; i < n; i++)
            count[gsl_rng_uniform_int(rng, (unsigned long)n)]++;
        int k = 0;
        for (int below = count[0]; below < (n + 1) / 2; below += count[++k])
            ;
        for (; k < n; k++)
            share[k]++;
    }
    for (int k = 0; k < n; k++)
        share[k] /= resamples;
    free(draw);
    free(count);
}

/*
 * The limits of the interval are the order statistics at which the simulated distribution of the median
 * crosses 2.5 % and 97.5 %, to five standard deviations of the simulation. (For even n the lower median is
 * simulated, which gives the lower limit; the upper one mirrors it.)
 */
START_TEST(interval_against_simulation)
{
    static const int sizes[] = {2, 3, 4, 5, 8, 9, 20, 31, 100};
    enum { RESAMPLES = 100000, MOST = 100 };
    const double sigmas = gdn_tolerance.sigmas, slack = sigmas * sqrt(0.025 * 0.975 / RESAMPLES);
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    gsl_rng_set(rng, 20240601);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        int n = sizes[s];
        double x[MOST], share[MOST] = {0};
        simulate(n, n < 50 ? RESAMPLES : RESAMPLES / 4, rng, share);
        for (int i = 0; i < n; i++)
            x[i] = n - 1 - i; /* order statistic k is the number k; sorting is theirs */
        gdn_interval i = interval_of(x, (size_t)n);
        int lo = (int)i.lo, hi = (int)i.hi;
        double spread = n < 50 ? slack : 2 * slack;
        GDN_CHECK(share[lo] >= 0.025 - spread && (lo == 0 || share[lo - 1] < 0.025 + spread),
                  "n = %d: lower limit %d, where the median lies with probability %.5f (%.5f below)", n, lo,
                  share[lo], lo ? share[lo - 1] : 0);
        GDN_CHECK(hi == n - 1 - lo, "n = %d: limits %d and %d are not mirrored", n, lo, hi);
        GDN_CHECK(n % 2 == 0 || (share[hi] >= 0.975 - spread && (hi == 0 || share[hi - 1] < 0.975 + spread)),
                  "n = %d: upper limit %d, where the median lies with probability %.5f (%.5f below)", n, hi,
                  share[hi], hi ? share[hi - 1] : 0);
        GDN_CHECK(i.median == (n - 1) / 2.0, "n = %d: median %a", n, i.median);
    }
    gsl_rng_free(rng);
}
END_TEST

/* 95 % of intervals from normal samples hold the true median, less what the bootstrap of a median is known to
 * lack. */
START_TEST(interval_covers)
{
    enum { N = 25, TRIALS = 4000 };
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    gsl_rng_set(rng, 7);
    int held = 0;
    for (int t = 0; t < TRIALS; t++) {
        double x[N];
        for (int i = 0; i < N; i++)
            x[i] = gsl_ran_gaussian(rng, 1);
        gdn_interval i = interval_of(x, N);
        held += i.lo <= 0 && 0 <= i.hi;
    }
    gsl_rng_free(rng);
    /* limits at order statistics 8 and 18 of 25: coverage 1 - 2 P(Bin(25, 1/2) <= 7) = 0.9567 */
    double sigma = sqrt(0.9567 * 0.0433 / TRIALS);
    GDN_CHECK(fabs((double)held / TRIALS - 0.9567) <= gdn_tolerance.sigmas * sigma,
              "%d of %d intervals hold it", held, TRIALS);
}
END_TEST

/* Rows arrive in any order; order must not matter, and a large sample must not be slow. */
START_TEST(interval_of_any_order)
{
    enum { N = 3001 };
    static double x[N], y[N];
    uint64_t seed = 5;
    for (int i = 0; i < N; i++)
        x[i] = y[N - 1 - i] = gdn_test_uniform(&seed, -1, 1);
    gdn_interval a = interval_of(x, N), b = interval_of(y, N);
    GDN_CHECK(a.median == b.median && a.lo == b.lo && a.hi == b.hi, "%a [%a, %a], %a [%a, %a]", a.median,
              a.lo, a.hi, b.median, b.lo, b.hi);
    /* 1.96 sqrt(n)/2 places either side of the middle: 53.7 */
    double lo = 0, hi = 0;
    gsl_sort(x, 1, N);
    for (int i = 0; i < N; i++) {
        lo = x[i] == a.lo ? i : lo;
        hi = x[i] == a.hi ? i : hi;
    }
    GDN_CHECK(fabs(lo - 1446.3) <= 1.5 && fabs(hi - 1553.7) <= 1.5, "limits at places %g and %g", lo, hi);
}
END_TEST

/* ---- slopes ---- */

START_TEST(slope_of_power_laws)
{
    static const double powers[] = {-2, -0.5, 0, 0.5, 1, 3};
    for (size_t p = 0; p < sizeof powers / sizeof powers[0]; p++) {
        double x[20], y[20];
        for (int i = 0; i < 20; i++) {
            x[i] = ldexp(1.5, i);
            y[i] = 3e-9 * pow(x[i], powers[p]);
        }
        for (size_t n = 3; n <= 20; n++) {
            double slope = gdn_log_slope(x, y, n);
            /* logs err by 2^-53 of their size (20), over a lever of log 2 and more */
            GDN_CHECK(fabs(slope - powers[p]) <= 40 * 0x1p-53 * 20, "%zu points of x^%g: slope %a", n,
                      powers[p], slope);
        }
    }
}
END_TEST

START_TEST(slope_of_too_few)
{
    double x[] = {1, 2, 3}, y[] = {1, 2, 3};
    for (size_t n = 0; n < 3; n++)
        GDN_CHECK(isnan(gdn_log_slope(x, y, n)), "%zu points have the slope %a", n, gdn_log_slope(x, y, n));
    GDN_CHECK(!isnan(gdn_log_slope(x, y, 3)), "three points have none");
}
END_TEST

/* ---- predictions ---- */

static gdn_profile profile_named(const char *name)
{
    for (int i = 0; i < gdn_profile_count; i++)
        if (strcmp(gdn_profile_builtin(i).name, name) == 0)
            return gdn_profile_builtin(i);
    ck_abort_msg("there is no profile %s", name);
}

/* An error eps = 1 of a gate whose memory is all decay, at position x / gamma. */
static double fixed_error(gdn_quantity q, gdn_keys keys, double gamma, int64_t t)
{
    gdn_profile p = profile_named("fp32");
    gdn_regime r = {.keys = keys,
                    .gamma = gamma,
                    .gamma_eff = gamma,
                    .eps = 1,
                    .eps_a_log = 1,
                    .profile = &p,
                    .from = t,
                    .to = t};
    return gdn_predict(&r, q, GDN_STORAGE);
}

/* A state rounded at each of T tokens, beta and the rest in fp32. */
static double rounded_state(double gamma_eff, int64_t t, const char *profile)
{
    gdn_profile p = profile_named(profile);
    gdn_regime r = {.keys = GDN_KEYS_ISOTROPIC,
                    .gamma = gamma_eff,
                    .gamma_eff = gamma_eff,
                    .eps_a_log = NAN,
                    .profile = &p,
                    .from = t,
                    .to = t};
    return gdn_predict(&r, GDN_Q_STATE, GDN_ARITH);
}

static void digits(double x, double want, double last, const char *what)
{
    GDN_CHECK(fabs(x - want) <= last, "%s = %.8g, not %.8g", what, x, want);
}

/* research/anchors.md 5.9, to the digits given there. */
START_TEST(check_values)
{
    digits(fixed_error(GDN_Q_STATE, GDN_KEYS_ISOTROPIC, 1e-3, 100), 0.0563, 0.00005, "RA(0.1)");
    digits(fixed_error(GDN_Q_STATE, GDN_KEYS_ISOTROPIC, 1e-3, 1000), 0.4324, 0.00005, "RA(1)");
    digits(fixed_error(GDN_Q_O, GDN_KEYS_ISOTROPIC, 1e-3, 1000), 0.4324, 0.00005, "RA(1) of o");
    digits(fixed_error(GDN_Q_Y, GDN_KEYS_ISOTROPIC, 1e-3, 10000), 0.5, 0.00005, "PA(10)");
    digits(rounded_state(1e-3, 100, "vllm-decode-bf16-state"), 0.01153, 0.000005, "RS(100, 1e-3, 8)");
    digits(rounded_state(3.57e-3, 1000000, "vllm-decode-bf16-state"), 0.01963, 0.000005,
           "RS(1e6, 3.57e-3, 8)");
}
END_TEST

/* The limits named there: x/sqrt 3 and 1/sqrt 2 (state), x/sqrt 12 (after out_norm), c u sqrt(T/2) (rounded
 * state). */
START_TEST(limits)
{
    for (int k = 1; k <= 12; k++) {
        double gamma = pow(10, -k) * 1e-3, x = 10 * gamma;
        double state = fixed_error(GDN_Q_STATE, GDN_KEYS_ISOTROPIC, gamma, 10),
               y = fixed_error(GDN_Q_Y, GDN_KEYS_ISOTROPIC, gamma, 10);
        /* the next term of the series is x / 4, of relative size */
        GDN_CHECK(fabs(state * sqrt(3) / x - 1) <= x, "RA(%g) = %.17g", x, state);
        GDN_CHECK(fabs(y * sqrt(12) / x - 1) <= x, "PA(%g) = %.17g", x, y);
        double s = rounded_state(gamma, 10, "vllm-decode-bf16-state"), want = 0.42466 * 0x1p-8 * sqrt(5);
        GDN_CHECK(fabs(s / want - 1) <= x, "RS(10, %g, 8) = %.17g, not %.17g", gamma, s, want);
    }
    digits(fixed_error(GDN_Q_STATE, GDN_KEYS_ISOTROPIC, 0.1, 10000), sqrt(0.5), 1e-12, "RA(1000)");
}
END_TEST

/* Series and closed form meet at x = 1e-3, where the closed form has lost nine of its sixteen digits. */
START_TEST(series_meets_closed_form)
{
    static const gdn_quantity q[] = {GDN_Q_STATE, GDN_Q_Y};
    for (int i = 0; i < 2; i++) {
        double below = fixed_error(q[i], GDN_KEYS_ISOTROPIC, 0.999999e-3, 1),
               above = fixed_error(q[i], GDN_KEYS_ISOTROPIC, 1.000001e-3, 1);
        GDN_CHECK(fabs(above / below - 1 - 2e-6) <= 3e-5, "%s: %.17g below, %.17g above",
                  gdn_quantity_names[q[i]], below, above);
    }
    double below = rounded_state(0.999999e-3, 1, "vllm-decode-bf16-state"),
           above = rounded_state(1.000001e-3, 1, "vllm-decode-bf16-state");
    GDN_CHECK(fabs(above / below - 1) <= 1e-3, "rounded state: %.17g below, %.17g above", below, above);
}
END_TEST

/* eps (gamma / gamma_eff) scales the curve; a window pools its positions and lies between their values. */
START_TEST(scaling_and_windows)
{
    gdn_profile p = profile_named("a_log-bf16");
    gdn_regime r = {.keys = GDN_KEYS_ISOTROPIC,
                    .gamma = 0.01,
                    .gamma_eff = 0.02,
                    .eps = -0.004,
                    .eps_a_log = -0.004,
                    .profile = &p,
                    .from = 50,
                    .to = 50};
    double want = 0.004 * 0.5 * fixed_error(GDN_Q_STATE, GDN_KEYS_ISOTROPIC, 0.02, 50);
    digits(gdn_predict(&r, GDN_Q_STATE, GDN_STORAGE), want, 1e-15, "state at x = 1");
    digits(gdn_predict(&r, GDN_Q_G, GDN_STORAGE), 0.004, 0, "g");
    r.from = 32;
    r.to = 63;
    double pooled = gdn_predict(&r, GDN_Q_O, GDN_STORAGE);
    GDN_CHECK(pooled > 0.002 * fixed_error(GDN_Q_O, GDN_KEYS_ISOTROPIC, 0.02, 32) &&
                  pooled < 0.002 * fixed_error(GDN_Q_O, GDN_KEYS_ISOTROPIC, 0.02, 63),
              "the window [32, 63]: %.17g", pooled);
    r.norm = 0.003;
    r.from = r.to = 50;
    double y = 0.002 * fixed_error(GDN_Q_Y, GDN_KEYS_ISOTROPIC, 0.02, 50);
    digits(gdn_predict(&r, GDN_Q_Y, GDN_STORAGE), hypot(y, 0.003), 1e-15, "y with a stored weight");
}
END_TEST

/* What is stored of the gate is predicted for gamma up to 0.3; g, a stored weight and a needle for any. */
START_TEST(stated_regime)
{
    static const gdn_quantity pooled[] = {GDN_Q_STATE, GDN_Q_O, GDN_Q_Y};
    gdn_profile p = profile_named("a_log-bf16");
    gdn_regime r = {.keys = GDN_KEYS_ISOTROPIC,
                    .gamma = 12,
                    .gamma_eff = 12,
                    .eps = 0.004,
                    .eps_a_log = 0.004,
                    .norm = 0.003,
                    .profile = &p,
                    .from = 50,
                    .to = 50};
    for (int i = 0; i < 3; i++) {
        GDN_CHECK(isnan(gdn_predict(&r, pooled[i], GDN_STORAGE)), "%s is predicted at gamma = 12",
                  gdn_quantity_names[pooled[i]]);
        GDN_CHECK(fixed_error(pooled[i], GDN_KEYS_LOW_RANK, 0.3, 50) > 0, "%s is not at 0.3",
                  gdn_quantity_names[pooled[i]]);
    }
    digits(gdn_predict(&r, GDN_Q_G, GDN_STORAGE), 0.004, 0, "g");
    r.eps = 0;
    digits(gdn_predict(&r, GDN_Q_Y, GDN_STORAGE), 0.003, 1e-15, "y with a stored weight alone");
    digits(fixed_error(GDN_Q_O, GDN_KEYS_NEEDLE, 12, 1), 1 - exp(-12), 1e-12, "a needle");
}
END_TEST

/* A needle read at t: |expm1(-eps gamma t)|, without a plateau. */
START_TEST(needle)
{
    gdn_profile p = profile_named("a_log-bf16");
    static const double eps[] = {0.004, -0.004, 1e-9, 0.5};
    for (int e = 0; e < 4; e++)
        for (int64_t t = 1; t <= 1000000; t *= 10) {
            gdn_regime r = {.keys = GDN_KEYS_NEEDLE,
                            .gamma = 1e-4,
                            .gamma_eff = NAN,
                            .eps = eps[e],
                            .eps_a_log = eps[e],
                            .profile = &p,
                            .from = t,
                            .to = t};
            double want = fabs(expm1(-eps[e] * 1e-4 * (double)t)),
                   got = gdn_predict(&r, GDN_Q_O, GDN_STORAGE);
            /* the series of e^x - 1 ends within 0.3^13 / 14! = 2e-18; beyond, e^x - 1 loses two bits; exp,
             * sqrt a few */
            GDN_CHECK(fabs(got / want - 1) <= 1e-14, "eps %g, t %lld: %.17g, not %.17g", eps[e], (long long)t,
                      got, want);
        }
}
END_TEST

/* Roundings of fresh values: c u for each, flat; and nothing where theory is silent. */
START_TEST(fresh_roundings)
{
    gdn_profile io = profile_named("bf16-io"), fp32 = profile_named("fp32"), bf16 = profile_named("bf16"),
                nearest = profile_named("bf16-state"), stochastic = profile_named("bf16-state-sr");
    gdn_regime r = {.keys = GDN_KEYS_ISOTROPIC, .gamma = 1e-2, .gamma_eff = 1e-2, .from = 100, .to = 100};
    const double cu = 0.42466 * 0x1p-8;
    r.profile = &io;
    digits(gdn_predict(&r, GDN_Q_STATE, GDN_ARITH), cu, 1e-15, "beta into the state");
    digits(gdn_predict(&r, GDN_Q_O, GDN_ARITH), cu * sqrt(2), 1e-15, "beta and o into o");
    digits(gdn_predict(&r, GDN_Q_Y, GDN_ARITH), cu * sqrt(3), 1e-15, "beta, o and y into y");
    r.profile = &nearest;
    double rn = gdn_predict(&r, GDN_Q_STATE, GDN_ARITH);
    digits(rn, hypot(cu, rounded_state(1e-2, 100, "vllm-decode-bf16-state")), 1e-15, "state to nearest");
    r.profile = &stochastic;
    double sr = gdn_predict(&r, GDN_Q_STATE, GDN_ARITH);
    digits((sr * sr - cu * cu) / (rn * rn - cu * cu), 2, 1e-12, "stochastic over nearest, squared");
    const gdn_profile *silent[] = {&fp32, &bf16};
    for (int i = 0; i < 2; i++) {
        r.profile = silent[i];
        GDN_CHECK(isnan(gdn_predict(&r, GDN_Q_STATE, GDN_ARITH)), "%s: %a", silent[i]->name,
                  gdn_predict(&r, GDN_Q_STATE, GDN_ARITH));
    }
    r.profile = &io;
    GDN_CHECK(isnan(gdn_predict(&r, GDN_Q_STATE, GDN_TOTAL)), "a total is predicted");
    r.keys = GDN_KEYS_ZIPF;
    GDN_CHECK(isnan(gdn_predict(&r, GDN_Q_STATE, GDN_ARITH)), "zipf keys are predicted");
}
END_TEST

/* gamma_eff = gamma + (2 E beta - E beta^2) / (2 r). */
START_TEST(effective_memory)
{
    digits(gdn_gamma_eff(GDN_KEYS_ISOTROPIC, 128, 0, 6.4e-4, 0.5, 0.25), 3.57e-3, 5e-6, "5.8's example");
    digits(gdn_gamma_eff(GDN_KEYS_ISOTROPIC, 128, 0, 0, 0.5, 0.25), 1 / 341.0, 1e-5, "at most 341 tokens");
    digits(gdn_gamma_eff(GDN_KEYS_LOW_RANK, 128, 4, 0.001, 0.5, 0.25), 0.001 + 0.75 / 8, 1e-15, "rank 4");
    digits(gdn_gamma_eff(GDN_KEYS_REPEATED, 128, 0, 0.001, 0.5, 0.25), 0.001 + 0.75 / 2, 1e-15, "repeated");
    digits(gdn_gamma_eff(GDN_KEYS_NEEDLE, 128, 0, 0.001, 0.5, 0.25), 0.001 + 0.75 / 254, 1e-15,
           "beside a needle");
    GDN_CHECK(isnan(gdn_gamma_eff(GDN_KEYS_ZIPF, 128, 0, 0.001, 0.5, 0.25)), "zipf keys have one");
}
END_TEST

/* A stored / A - 1, whether A or log A rests; near zero it keeps its relative accuracy. */
START_TEST(rate_error)
{
    uint64_t seed = 9;
    for (int i = 0; i < 10000; i++) {
        double a = gdn_test_uniform(&seed, -8, 4), d = gdn_test_any(&seed, -30, -2), stored = a + d;
        d = stored - a;
        double log_rests = gdn_rate_error(false, stored, a), a_rests = gdn_rate_error(true, exp(stored), a);
        /* |d| up to 0.5: beyond 0.3 the difference e^d - 1 loses two bits of e^d's 2 ulps */
        GDN_CHECK(fabs(log_rests / expm1(d) - 1) <= 0x1p-49, "A_log %a for %a: %a, not %a", stored, a,
                  log_rests, expm1(d));
        /* A itself: exp(stored) exp(-a) errs by a few ulps of 1 */
        GDN_CHECK(fabs(a_rests - expm1(d)) <= 8 * 0x1p-52, "A of %a for %a: %a, not %a", stored, a, a_rests,
                  expm1(d));
    }
    GDN_CHECK(gdn_rate_error(false, -3.25, -3.25) == 0, "no error: %a", gdn_rate_error(false, -3.25, -3.25));
}
END_TEST

GDN_TEST_MAIN("stats", median_of_few, median_of_equals, interval_against_simulation, interval_covers,
              interval_of_any_order, equal_heads_count_once, one_seed_draws_heads,
              clusters_against_simulation, many_seeds, slope_of_power_laws, slope_of_too_few, check_values,
              limits, series_meets_closed_form, scaling_and_windows, stated_regime, needle, fresh_roundings,
              effective_memory, rate_error)
