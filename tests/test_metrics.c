/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_metrics -- the sums behind every error measure, worked out by hand; the running product of decays
 * against MPFR; and the positions and windows of a plan.
 */
#include "tests/gdn_test.h"

#include "base/format.h"
#include "base/simd.h"
#include "harness/metrics.h"
#include "harness/plan.h"

/* Sums of one row without low halves. */
static gdn_sums row_sums(const double *x, const double *y, const double *r, int n)
{
    gdn_accumulator a = {.n = 0};
    gdn_accumulate(&a, (gdn_pair){x, NULL}, (gdn_pair){y, NULL}, (gdn_pair){r, NULL}, n);
    return gdn_accumulator_sums(&a);
}

static void near(double x, double want, double relative, const char *what)
{
    GDN_CHECK(fabs(x - want) <= relative * fabs(want), "%s: %a (%.17g), not %a (%.17g)", what, x, x, want,
              want);
}

/* ---- measures ---- */

/* d = (1/2, 0) on (3, 4): |d|^2 = 1/4, d.r = 3/2, |r|^2 = 25. */
START_TEST(small_vectors)
{
    const double r[] = {3, 4}, x[] = {3.5, 4};
    gdn_sums s = row_sums(x, r, r, 2);
    GDN_CHECK(s.dd == 0.25 && s.dr == 1.5 && s.rr == 25, "sums %a %a %a", s.dd, s.dr, s.rr);
    GDN_CHECK(s.n == 2 && s.nonfinite == 0, "%lld values, %lld of them not finite", (long long)s.n,
              (long long)s.nonfinite);
    gdn_measures m = gdn_sums_measures(&s, 8);
    near(m.rel_l2, 0.1, 4e-16, "relative L2");
    near(m.nmse, 0.01, 4e-16, "NMSE");
    near(m.bias, 0.06, 4e-16, "bias");
    near(m.bits, log2(10), 1e-15, "bits");
    near(m.cosine, 26.5 / (5 * sqrt(28.25)), 1e-15, "cosine");
    GDN_CHECK(m.max_ulp == 32, "1/2 at 3 is 32 ulps of bf16, not %a", m.max_ulp);
    GDN_CHECK(gdn_sums_measures(&s, 24).max_ulp == 0x1p21, "1/2 at 3 is 2^21 ulps of fp32, not %a",
              gdn_sums_measures(&s, 24).max_ulp);
}
END_TEST

/* The bias carries the sign of the error along the reference, whatever the sign of the reference. */
START_TEST(bias_is_signed)
{
    const double r[] = {-2, 1, -4}, grown[] = {-2.5, 1.25, -5}, shrunk[] = {-1.5, 0.75, -3},
                 turned[] = {-1, 3, -4};
    gdn_sums s = row_sums(grown, r, r, 3);
    near(gdn_sums_measures(&s, 24).bias, 0.25, 4e-16, "a quarter too large");
    near(gdn_sums_measures(&s, 24).cosine, 1, 4e-16, "cosine of a multiple");
    s = row_sums(shrunk, r, r, 3);
    near(gdn_sums_measures(&s, 24).bias, -0.25, 4e-16, "a quarter too small");
    s = row_sums(turned, r, r, 3); /* d = (1, 2, 0) is orthogonal to r */
    GDN_CHECK(gdn_sums_measures(&s, 24).bias == 0, "bias of an orthogonal error: %a",
              gdn_sums_measures(&s, 24).bias);
    near(gdn_sums_measures(&s, 24).rel_l2, sqrt(5.0 / 21), 4e-16, "size of an orthogonal error");
}
END_TEST

START_TEST(no_error)
{
    const double r[] = {1, -2, 3};
    gdn_sums s = row_sums(r, r, r, 3);
    gdn_measures m = gdn_sums_measures(&s, 24);
    GDN_CHECK(m.rel_l2 == 0 && m.nmse == 0 && m.bias == 0 && m.max_ulp == 0 && m.cosine == 1,
              "%a %a %a %a %a", m.rel_l2, m.nmse, m.bias, m.max_ulp, m.cosine);
    GDN_CHECK(m.bits == INFINITY, "bits of no error: %a", m.bits);
}
END_TEST

/* Error d at reference r, in ulps of bf16 and fp32: a binade begins at its power of two and ends before the
 * next. */
START_TEST(ulps_at_binade_edges)
{
    static const struct {
        double r, d, bf16, fp32;
    } cases[] = {
        {1, 0x1p-7, 1, 0x1p16},
        {1, -0x1p-23, 0x1p-16, 1},
        {-1, 0x1p-23, 0x1p-16, 1},
        {0x1.fffffep-1, 0x1p-24, 0x1p-16, 1}, /* the fp32 value below 1 */
        {0x1.fep-1, 0x1p-8, 1, 0x1p16},       /* the bf16 value below 1 */
        {0x1.fffffffffffffp0, 0x1p-23, 0x1p-16, 1},
        {2, 0x1p-22, 0x1p-16, 1},
        {2, 0x1p-23, 0x1p-17, 0.5},
        {0x1p-126, 0x1p-149, 0x1p-16, 1},
        {0x1p-130, 0x1p-149, 0x1p-16, 1}, /* subnormal: the spacing stays */
        {0, 0x1p-149, 0x1p-16, 1},
        {0x1p127, 0x1p104, 0x1p-16, 1},
        {0x1p127, -0x1p120, 1, 0x1p16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double x = cases[i].r + cases[i].d, lo = cases[i].d - (x - cases[i].r), zero = 0;
        gdn_accumulator a = {.n = 0};
        gdn_accumulate(&a, (gdn_pair){&x, &lo}, (gdn_pair){&cases[i].r, &zero}, (gdn_pair){&cases[i].r, NULL},
                       1);
        gdn_sums s = gdn_accumulator_sums(&a);
        double bf16 = gdn_sums_measures(&s, 8).max_ulp, fp32 = gdn_sums_measures(&s, 24).max_ulp;
        GDN_CHECK(bf16 == cases[i].bf16 && fp32 == cases[i].fp32,
                  "error %a at %a: %a ulps of bf16 and %a of fp32, not %a and %a", cases[i].d, cases[i].r,
                  bf16, fp32, cases[i].bf16, cases[i].fp32);
    }
}
END_TEST

/* max_ulp times the format's own spacing is the error: exact, both are scalings by powers of two. */
START_TEST(ulps_agree_with_the_format)
{
    static const gdn_format_id ids[] = {GDN_BF16, GDN_FP32};
    uint64_t seed = 1;
    for (int i = 0; i < 100000; i++) {
        const gdn_format *f = &gdn_formats[ids[i % 2]];
        double r = gdn_test_any(&seed, -140, 127), d = gdn_test_any(&seed, -140, 127), zero = 0;
        gdn_sums s = row_sums(&d, &zero, &r, 1);
        double got = gdn_sums_measures(&s, f->p).max_ulp * gdn_ulp(f, r);
        GDN_CHECK(got == fabs(d), "%s: error %a at %a comes to %a", f->name, d, r, got);
    }
}
END_TEST

/* The largest of many, whatever its lane. */
START_TEST(largest_error_of_a_row)
{
    enum { N = 70 };
    double x[N], r[N];
    for (int at = 0; at < N; at++) {
        for (int j = 0; j < N; j++) {
            r[j] = 1 + j % 3;
            x[j] = r[j] + (j == at ? -0x1p-10 : 0x1p-14);
        }
        gdn_sums s = row_sums(x, r, r, N);
        double want = ldexp(1, (at % 3 > 0 ? -1 : 0) - 10 + 23), got = gdn_sums_measures(&s, 24).max_ulp;
        GDN_CHECK(got == want, "element %d: %a ulps, not %a", at, got, want);
    }
}
END_TEST

START_TEST(nonfinite_values)
{
    enum { N = 100 };
    static const double odd[] = {NAN, INFINITY, -INFINITY};
    double x[N], y[N], r[N];
    for (int kind = 0; kind < 3; kind++)
        for (int in_reference = 0; in_reference < 2; in_reference++) {
            for (int j = 0; j < N; j++)
                x[j] = y[j] = r[j] = 1;
            x[0] = 1.5;
            for (int j = 3; j < N; j += 32) /* 3, 35, 67, 99: one lane */
                (in_reference ? r : x)[j] = odd[kind];
            (in_reference ? r : x)[4] = odd[kind]; /* and another */
            gdn_sums s = row_sums(x, y, r, N);
            GDN_CHECK(s.n == N && s.nonfinite == 5, "%lld of %lld not finite, 5 were", (long long)s.nonfinite,
                      (long long)s.n);
            GDN_CHECK(s.dd == 0.25 && s.rr == N - 5, "the finite rest: %a %a", s.dd, s.rr);
        }
}
END_TEST

START_TEST(zero_reference)
{
    static const struct {
        double r;
        int zero;
    } cases[] = {{0, 1}, {0x1p-600, 1}, {0x1p-451, 1}, {0x1p-450, 0}, {1, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double x = 1;
        gdn_sums s = row_sums(&x, &cases[i].r, &cases[i].r, 1);
        GDN_CHECK(gdn_sums_zero_reference(&s) == cases[i].zero, "a reference of %a, rr = %a", cases[i].r,
                  s.rr);
    }
}
END_TEST

/* ---- pairs ---- */

/* An error of 1e-25 beside 1 is seen when both come as pairs, in all four mixtures of pair and double. */
START_TEST(pairs)
{
    double one = 1, e = 1e-25, zero = 0;
    static const double want[2][2] = {{0, -1e-25}, {1e-25, 0}};
    for (int xl = 0; xl < 2; xl++)
        for (int yl = 0; yl < 2; yl++) {
            gdn_accumulator a = {.n = 0};
            gdn_accumulate(&a, (gdn_pair){&one, xl ? &e : NULL}, (gdn_pair){&one, yl ? &e : NULL},
                           (gdn_pair){&one, &zero}, 1);
            gdn_sums s = gdn_accumulator_sums(&a);
            near(s.dr, want[xl][yl], 2e-16, "error of a pair");
            near(gdn_sums_measures(&s, 24).rel_l2, fabs(want[xl][yl]), 4e-16, "relative L2 of a pair");
        }
}
END_TEST

/* The his may differ and the los make it up: (1 + u) + (-u + e) - 1 = e. */
START_TEST(pairs_that_cancel)
{
    double hi = 1 + 0x1p-52, lo = -0x1p-52 + 0x1p-90, one = 1, zero = 0;
    gdn_accumulator a = {.n = 0};
    gdn_accumulate(&a, (gdn_pair){&hi, &lo}, (gdn_pair){&one, &zero}, (gdn_pair){&one, NULL}, 1);
    gdn_sums s = gdn_accumulator_sums(&a);
    GDN_CHECK(s.dr == 0x1p-90, "2^-90 measured as %a", s.dr);
}
END_TEST

/* ---- order ---- */

enum { ROWS = 24, WIDTH = 50 };

typedef struct matrix {
    double x[ROWS * WIDTH], r[ROWS * WIDTH];
} matrix;

/* Small whole numbers, whose sums are exact, or random ones. */
static void fill(matrix *m, bool whole, uint64_t seed)
{
    for (int i = 0; i < ROWS * WIDTH; i++) {
        m->r[i] = whole ? (double)(gdn_test_random(&seed) % 64) - 32 : gdn_test_uniform(&seed, -1, 1);
        m->x[i] = m->r[i] +
                  (whole ? (double)(gdn_test_random(&seed) % 16) - 8 : gdn_test_uniform(&seed, -1e-3, 1e-3));
    }
}

/* Sums over rows [from, to), in calls of at most `step` rows. */
static gdn_sums sums_of_rows(const matrix *m, int from, int to, int step)
{
    gdn_accumulator a = {.n = 0};
    for (int row = from; row < to; row += step)
        for (int k = row; k < row + step && k < to; k++)
            gdn_accumulate(&a, (gdn_pair){m->x + k * WIDTH, NULL}, (gdn_pair){m->r + k * WIDTH, NULL},
                           (gdn_pair){m->r + k * WIDTH, NULL}, WIDTH);
    return gdn_accumulator_sums(&a);
}

/* A segment cut anywhere and put together: the same numbers where sums are exact, the same up to rounding
 * elsewhere. */
START_TEST(cutting_a_segment)
{
    static matrix m;
    for (int whole = 0; whole < 2; whole++) {
        fill(&m, whole, 7);
        gdn_sums all = sums_of_rows(&m, 0, ROWS, ROWS);
        double bound = whole ? 0
                             : ROWS * WIDTH * 0x1p-53 *
                                   2; /* n roundings of either order, relative to sums of one sign */
        for (int cut = 0; cut <= ROWS; cut++) {
            gdn_sums s = gdn_sums_add(sums_of_rows(&m, 0, cut, ROWS), sums_of_rows(&m, cut, ROWS, ROWS));
            near(s.dd, all.dd, bound, "sum d^2");
            near(s.rr, all.rr, bound, "sum r^2");
            GDN_CHECK(fabs(s.dr - all.dr) <= bound * sqrt(all.dd * all.rr), "cut at %d: sum d r %a, not %a",
                      cut, s.dr, all.dr);
            GDN_CHECK(s.binades == all.binades && s.n == all.n && s.nonfinite == all.nonfinite,
                      "cut at %d: %a, %lld, %lld, not %a, %lld, %lld", cut, s.binades, (long long)s.n,
                      (long long)s.nonfinite, all.binades, (long long)all.n, (long long)all.nonfinite);
        }
    }
}
END_TEST

/* Rows that arrive in blocks of any size give the same bits: the lane of an element is its place in its row.
 */
START_TEST(blocks_of_rows)
{
    static matrix m;
    fill(&m, false, 11);
    gdn_sums all = sums_of_rows(&m, 0, ROWS, ROWS);
    for (int step = 1; step < ROWS; step++) {
        gdn_sums s = sums_of_rows(&m, 0, ROWS, step);
        GDN_CHECK(s.dd == all.dd && s.dr == all.dr && s.rr == all.rr, "blocks of %d: %a %a %a, not %a %a %a",
                  step, s.dd, s.dr, s.rr, all.dd, all.dr, all.rr);
    }
}
END_TEST

/* The order that metrics.h defines, spelt out: lanes j mod 32, then a butterfly. */
START_TEST(order_of_summation)
{
    static matrix m;
    fill(&m, false, 13);
    double lane[GDN_METRIC_LANES] = {0};
    for (int row = 0; row < ROWS; row++)
        for (int j = 0; j < WIDTH; j++) {
            double d = m.x[row * WIDTH + j] - m.r[row * WIDTH + j];
            lane[j % GDN_METRIC_LANES] += d * d;
        }
    for (int half = 1; half < GDN_METRIC_LANES; half *= 2)
        for (int i = 0; i + half < GDN_METRIC_LANES; i += 2 * half)
            lane[i] += lane[i + half];
    gdn_sums s = sums_of_rows(&m, 0, ROWS, ROWS);
    GDN_CHECK(s.dd == lane[0], "sum d^2 is %a, by definition %a", s.dd, lane[0]);
}
END_TEST

/* Scalar code, AVX2 and AVX-512 give the same bits, for rows of any width and for values of any kind. */
START_TEST(instruction_sets)
{
    static void (*const accumulate[GDN_ISAS])(gdn_accumulator *, gdn_pair, gdn_pair, gdn_pair, int) = {
        gdn_accumulate_scalar,
#ifdef __x86_64__
        gdn_accumulate_avx2,
        gdn_accumulate_avx512,
#endif
    };
    enum { WIDEST = 100 };
    uint64_t seed = 19;
    for (int n = 1; n <= WIDEST; n++)
        for (int round = 0; round < 8; round++) {
            double v[6][WIDEST];
            for (int i = 0; i < 6; i++)
                for (int j = 0; j < n; j++)
                    v[i][j] = gdn_test_random(&seed) % 50 ? gdn_test_any(&seed, -200, 200)
                                                          : (const double[]){NAN, INFINITY, 0, -0.0}[j % 4];
            gdn_pair x = {v[0], round & 1 ? v[1] : NULL}, y = {v[2], round & 2 ? v[3] : NULL},
                     r = {v[4], round & 4 ? v[5] : NULL};
            gdn_accumulator scalar = {.n = 0};
            gdn_accumulate_scalar(&scalar, x, y, r, n);
            for (int isa = 0; isa < GDN_ISAS; isa++) {
                gdn_accumulator a = {.n = 0};
                if (!accumulate[isa] || !gdn_isa_available((gdn_isa)isa))
                    continue;
                accumulate[isa](&a, x, y, r, n);
                GDN_CHECK(memcmp(&a, &scalar, sizeof a) == 0, "%s, %d wide, round %d: other bits",
                          gdn_isa_names[isa], n, round);
            }
        }
}
END_TEST

START_TEST(adding_nothing)
{
    static matrix m;
    fill(&m, false, 17);
    gdn_sums s = sums_of_rows(&m, 0, ROWS, ROWS), none = {.dd = 0};
    s.scale = -3000;
    gdn_sums left = gdn_sums_add(none, s), right = gdn_sums_add(s, none);
    ck_assert_mem_eq(&left, &s, sizeof s);
    ck_assert_mem_eq(&right, &s, sizeof s);
}
END_TEST

/* Segments whose values are scaled by 2^-scale: 3 2^-2000 and 4 2^-2010 with errors of 1 and 2 in those
 * units. */
START_TEST(scaled_segments)
{
    double r1 = 3, x1 = 4, r2 = 4, x2 = 6;
    gdn_sums a = row_sums(&x1, &r1, &r1, 1), b = row_sums(&x2, &r2, &r2, 1);
    a.scale = -2000;
    b.scale = -2010;
    for (int swap = 0; swap < 2; swap++) {
        gdn_sums s = swap ? gdn_sums_add(b, a) : gdn_sums_add(a, b);
        GDN_CHECK(s.scale == -2000, "scale %d", s.scale);
        GDN_CHECK(s.dd == 1 + 4 * 0x1p-20 && s.dr == 3 + 8 * 0x1p-20 && s.rr == 9 + 16 * 0x1p-20, "%a %a %a",
                  s.dd, s.dr, s.rr);
        GDN_CHECK(s.binades == 0.5 && s.n == 2, "%a, %lld", s.binades, (long long)s.n);
    }
    b.scale = -1000000000; /* so far below that nothing of it is left */
    gdn_sums s = gdn_sums_add(a, b);
    GDN_CHECK(s.dd == 1 && s.dr == 3 && s.rr == 9 && s.n == 2, "%a %a %a", s.dd, s.dr, s.rr);
}
END_TEST

/* ---- the running product ---- */

/* |p / exact - 1| */
static double product_error(const gdn_product *p, mpfr_t exact, mpfr_t t)
{
    mpfr_set_d(t, p->hi, MPFR_RNDN);
    mpfr_add_d(t, t, p->lo, MPFR_RNDN);
    mpfr_mul_2si(t, t, p->e, MPFR_RNDN);
    mpfr_div(t, t, exact, MPFR_RNDN);
    mpfr_sub_ui(t, t, 1, MPFR_RNDN);
    return fabs(mpfr_get_d(t, MPFR_RNDN));
}

/*
 * Products of 1e5 factors exp(-x), given as pairs, against the exact product of the same pairs. A
 * multiplication rounds thrice at 2^-106 and hi, lo, renormalised, overlap by a bit: 2^-103 covers it (the
 * harness allows 2^-102). Factors stay above 2^-900, where their low halves are whole.
 */
START_TEST(product_against_mpfr)
{
    static const double rate[] = {1e-7, 1e-3, 0.3, 300}; /* the last two end at 2^-43000 and 2^-43 million */
    enum { FACTORS = 100000 };
    mpfr_t exact, factor, t;
    mpfr_inits2(200, exact, factor, t, (mpfr_ptr)0);
    for (size_t i = 0; i < sizeof rate / sizeof rate[0]; i++) {
        uint64_t seed = i;
        gdn_product p = gdn_product_one;
        mpfr_set_ui(exact, 1, MPFR_RNDN);
        for (int n = 1; n <= FACTORS; n++) {
            mpfr_set_d(factor, -gdn_test_uniform(&seed, 0, 2 * rate[i]), MPFR_RNDN);
            mpfr_exp(factor, factor, MPFR_RNDN);
            double hi = mpfr_get_d(factor, MPFR_RNDN);
            mpfr_sub_d(t, factor, hi, MPFR_RNDN);
            double lo = mpfr_get_d(t, MPFR_RNDN);
            mpfr_set_d(factor, hi, MPFR_RNDN);
            mpfr_add_d(factor, factor, lo, MPFR_RNDN);
            mpfr_mul(exact, exact, factor, MPFR_RNDN);
            gdn_product_multiply(&p, hi, lo);
            if (n % 1000 && n > 10)
                continue;
            double error = product_error(&p, exact, t);
            GDN_CHECK(error <= n * 0x1p-103, "rate %g, %d factors: %a 2^%lld is off by %a", rate[i], n, p.hi,
                      (long long)p.e, error);
            GDN_CHECK(p.hi >= 1 && p.hi < 2, "rate %g, %d factors: hi = %a", rate[i], n, p.hi);
        }
    }
    mpfr_clears(exact, factor, t, (mpfr_ptr)0);
}
END_TEST

/* The value relative to 2^scale: exact while it is in range, zero far below. */
START_TEST(product_value)
{
    gdn_product p = {1.5, 0x1p-60, -5000};
    double hi, lo;
    gdn_product_value(&p, -5000, &hi, &lo);
    GDN_CHECK(hi == 1.5 && lo == 0x1p-60, "%a + %a", hi, lo);
    gdn_product_value(&p, -4990, &hi, &lo);
    GDN_CHECK(hi == 1.5 * 0x1p-10 && lo == 0x1p-70, "%a + %a", hi, lo);
    gdn_product_value(&p, 0, &hi, &lo);
    GDN_CHECK(hi == 0 && lo == 0, "%a + %a", hi, lo);
    p.e = INT64_MIN / 2;
    gdn_product_value(&p, 0, &hi, &lo);
    GDN_CHECK(hi == 0 && lo == 0, "%a + %a", hi, lo);
}
END_TEST

START_TEST(product_zero_and_nan)
{
    double hi, lo;
    gdn_product p = gdn_product_one;
    gdn_product_multiply(&p, 0.5, 0);
    gdn_product_multiply(&p, 0, 0);
    gdn_product_value(&p, p.e, &hi, &lo);
    GDN_CHECK(hi == 0 && lo == 0, "after a zero: %a + %a", hi, lo);
    gdn_product_multiply(&p, 0.5, 0);
    gdn_product_value(&p, -700, &hi, &lo);
    GDN_CHECK(hi == 0 && lo == 0, "zero stays: %a + %a", hi, lo);
    p = gdn_product_one;
    gdn_product_multiply(&p, NAN, 0);
    gdn_product_multiply(&p, 0.5, 0);
    gdn_product_value(&p, 0, &hi, &lo);
    GDN_CHECK(hi != hi, "NaN became %a", hi);
}
END_TEST

/* ---- plans ---- */

static void positions(const int64_t *got, int n, const int64_t *want, int wanted, const char *what)
{
    GDN_CHECK(n == wanted, "%d %s, not %d", n, what, wanted);
    for (int i = 0; i < n; i++)
        GDN_CHECK(got[i] == want[i], "%s %d: %lld, not %lld", what, i, (long long)got[i], (long long)want[i]);
}

#define POSITIONS(got, n, what, ...)                                                                         \
    do {                                                                                                     \
        const int64_t want_[] = {__VA_ARGS__};                                                               \
        positions(got, n, want_, sizeof want_ / sizeof want_[0], what);                                      \
    } while (0)

/* Windows flattened: from, to, whole. */
#define WINDOWS(plan, ...)                                                                                   \
    do {                                                                                                     \
        const int64_t want_[][3] = {__VA_ARGS__};                                                            \
        int n_ = sizeof want_ / sizeof want_[0];                                                             \
        GDN_CHECK((plan)->windows == n_, "%d windows, not %d", (plan)->windows, n_);                         \
        for (int i_ = 0; i_ < n_; i_++) {                                                                    \
            const gdn_window *w_ = &(plan)->window[i_];                                                      \
            GDN_CHECK(                                                                                       \
                w_->from == want_[i_][0] && w_->to == want_[i_][1] && w_->whole == (want_[i_][2] != 0),      \
                "window %d: [%lld, %lld], whole %d", i_, (long long)w_->from, (long long)w_->to, w_->whole); \
        }                                                                                                    \
    } while (0)

static const gdn_plan *make(const int64_t *lengths, int n)
{
    static gdn_plan plan;
    gdn_error err = {""};
    GDN_CHECK(gdn_plan_make(lengths, n, &plan, &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(plan.last == lengths[n - 1], "the plan ends at %lld", (long long)plan.last);
    return &plan;
}

START_TEST(plan_1)
{
    const gdn_plan *p = make((int64_t[]){1}, 1);
    WINDOWS(p, {1, 1, 1});
    POSITIONS(p->segment_end, p->segments, "segments", 1);
    POSITIONS(p->sample, p->samples, "samples", 1);
}
END_TEST

START_TEST(plan_80)
{
    const gdn_plan *p = make((int64_t[]){80}, 1);
    WINDOWS(p, {1, 1, 0}, {2, 3, 0}, {4, 7, 0}, {8, 15, 0}, {16, 31, 0}, {32, 63, 0}, {1, 80, 1});
    POSITIONS(p->segment_end, p->segments, "segments", 1, 3, 7, 15, 31, 63, 80);
    POSITIONS(p->sample, p->samples, "samples", 1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15, 19, 23, 27, 31, 39, 47,
              55, 63, 80);
}
END_TEST

START_TEST(plan_64_128)
{
    const gdn_plan *p = make((int64_t[]){64, 128}, 2);
    WINDOWS(p, {1, 1, 0}, {2, 3, 0}, {4, 7, 0}, {8, 15, 0}, {16, 31, 0}, {32, 63, 0}, {64, 127, 0},
            {1, 64, 1}, {1, 128, 1});
    POSITIONS(p->segment_end, p->segments, "segments", 1, 3, 7, 15, 31, 63, 64, 127, 128);
    POSITIONS(p->sample, p->samples, "samples", 1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15, 19, 23, 27, 31, 39, 47,
              55, 63, 64, 79, 95, 111, 127, 128);
}
END_TEST

/* [1, 1] is there once, as a whole run. */
START_TEST(plan_1_2_3_1000)
{
    const gdn_plan *p = make((int64_t[]){1, 2, 3, 1000}, 4);
    WINDOWS(p, {2, 3, 0}, {4, 7, 0}, {8, 15, 0}, {16, 31, 0}, {32, 63, 0}, {64, 127, 0}, {128, 255, 0},
            {256, 511, 0}, {1, 1, 1}, {1, 2, 1}, {1, 3, 1}, {1, 1000, 1});
    POSITIONS(p->segment_end, p->segments, "segments", 1, 2, 3, 7, 15, 31, 63, 127, 255, 511, 1000);
}
END_TEST

static bool is_end(const gdn_plan *p, int64_t position)
{
    for (int i = 0; i < p->segments; i++)
        if (p->segment_end[i] == position)
            return true;
    return position == 0;
}

/* Whatever the lengths: a window is a sum of whole segments and holds a sample; no window is there twice. */
START_TEST(plan_is_consistent)
{
    uint64_t seed = 3;
    for (int round = 0; round < 300; round++) {
        int64_t lengths[GDN_PLAN_LENGTHS], last = 0;
        int n = 1 + (int)(gdn_test_random(&seed) % (round < 290 ? 8 : GDN_PLAN_LENGTHS));
        for (int i = 0; i < n; i++)
            lengths[i] = last += 1 + (int64_t)(gdn_test_random(&seed) % (round % 2 ? 5 : 60000));
        const gdn_plan *p = make(lengths, n);
        for (int i = 0; i < p->windows; i++) {
            const gdn_window *w = &p->window[i];
            GDN_CHECK(is_end(p, w->from - 1) && is_end(p, w->to), "[%lld, %lld] cuts a segment",
                      (long long)w->from, (long long)w->to);
            int samples = 0;
            for (int s = 0; s < p->samples; s++)
                samples += p->sample[s] >= w->from && p->sample[s] <= w->to;
            GDN_CHECK(samples > 0, "[%lld, %lld] has no sample", (long long)w->from, (long long)w->to);
            for (int j = 0; j < i; j++)
                GDN_CHECK(w->from != p->window[j].from || w->to != p->window[j].to,
                          "[%lld, %lld] is there twice", (long long)w->from, (long long)w->to);
        }
    }
}
END_TEST

START_TEST(plan_too_long)
{
    static int64_t lengths[GDN_PLAN_LENGTHS + 1];
    static gdn_plan plan;
    gdn_error err = {""};
    for (int i = 0; i <= GDN_PLAN_LENGTHS; i++)
        lengths[i] = i + 1;
    ck_assert_int_eq(gdn_plan_make(lengths, GDN_PLAN_LENGTHS, &plan, &err), GDN_OK);
    ck_assert_int_eq(gdn_plan_make(lengths, GDN_PLAN_LENGTHS + 1, &plan, &err), GDN_BAD_INPUT);
    ck_assert_str_eq(err.text, "1001 lengths; at most 1000 are allowed");
}
END_TEST

GDN_TEST_MAIN("metrics", small_vectors, bias_is_signed, no_error, ulps_at_binade_edges,
              ulps_agree_with_the_format, largest_error_of_a_row, nonfinite_values, zero_reference, pairs,
              pairs_that_cancel, cutting_a_segment, blocks_of_rows, order_of_summation, instruction_sets,
              adding_nothing, scaled_segments, product_against_mpfr, product_value, product_zero_and_nan,
              plan_1, plan_80, plan_64_128, plan_1_2_3_1000, plan_is_consistent, plan_too_long)
