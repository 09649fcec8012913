/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_portable -- exp, log, log1p, softplus, sigmoid and rsqrt of kernels/portable.h against MPFR.
 *
 * In fp32: all 65,536 bf16 arguments, error in ulps of fp32 (subnormals by their own ulp). In double: random
 * arguments, relative error in units of 2^-53. Then the ends, where results overflow, underflow or are NaN.
 */
#include "tests/gdn_test.h"

#include "kernels/portable.h"

/* The oracle's bits: 53 and enough that a correctly rounded fp32 cannot be mistaken. */
enum { PRECISION = 128, SAMPLES = 30000 };

/* r <- log(1 + e^x), which above 1000 is x to 1400 bits. */
static void mpfr_softplus(mpfr_t r, mpfr_t x)
{
    if (mpfr_cmp_ui(x, 1000) > 0) {
        mpfr_set(r, x, MPFR_RNDN);
        return;
    }
    mpfr_exp(r, x, MPFR_RNDN);
    mpfr_log1p(r, r, MPFR_RNDN);
}

/* r <- 1 / (1 + e^-x) */
static void mpfr_sigmoid(mpfr_t r, mpfr_t x)
{
    mpfr_neg(r, x, MPFR_RNDN);
    mpfr_exp(r, r, MPFR_RNDN);
    mpfr_add_ui(r, r, 1, MPFR_RNDN);
    mpfr_ui_div(r, 1, r, MPFR_RNDN);
}

static void mpfr_expo(mpfr_t r, mpfr_t x)
{
    mpfr_exp(r, x, MPFR_RNDN);
}

static void mpfr_loga(mpfr_t r, mpfr_t x)
{
    mpfr_log(r, x, MPFR_RNDN);
}

static void mpfr_loga1p(mpfr_t r, mpfr_t x)
{
    mpfr_log1p(r, x, MPFR_RNDN);
}

static void mpfr_rsqrt(mpfr_t r, mpfr_t x)
{
    mpfr_rec_sqrt(r, x, MPFR_RNDN);
}

/* Draws of an argument in double. */
static double draw_exp(uint64_t *seed)
{
    return gdn_test_random(seed) & 1 ? gdn_test_uniform(seed, -708, 709.7) : gdn_test_any(seed, -60, 8);
}

static double draw_log(uint64_t *seed)
{
    return gdn_test_random(seed) & 1 ? fabs(gdn_test_any(seed, -1022, 1023)) : gdn_test_uniform(seed, 0.5, 2);
}

static double draw_log1p(uint64_t *seed)
{
    return fabs(gdn_test_any(seed, gdn_test_random(seed) & 1 ? -1000 : -60, 51));
}

static double draw_softplus(uint64_t *seed)
{
    return gdn_test_random(seed) & 1 ? gdn_test_uniform(seed, -708, 60) : gdn_test_any(seed, -60, 8);
}

static double draw_rsqrt(uint64_t *seed)
{
    return fabs(gdn_test_any(seed, -1022, 1023));
}

typedef struct function {
    const char *name;
    double (*portable)(double);
    void (*oracle)(mpfr_t, mpfr_t);
    double lo, hi; /* the documented domain */
    double (*draw)(uint64_t *);
    const double *tolerance; /* units of 2^-53 */
} function;

static const function functions[] = {
    {"exp", gdn_exp, mpfr_expo, -INFINITY, INFINITY, draw_exp, &gdn_tolerance.portable_exp},
    {"log", gdn_log, mpfr_loga, 0x1p-1022, 0x1.fffffffffffffp1023, draw_log, &gdn_tolerance.portable_log},
    {"log1p", gdn_log1p, mpfr_loga1p, 0, 0x1p52, draw_log1p, &gdn_tolerance.portable_log1p},
    {"softplus", gdn_softplus, mpfr_softplus, -INFINITY, INFINITY, draw_softplus,
     &gdn_tolerance.portable_softplus},
    {"sigmoid", gdn_sigmoid, mpfr_sigmoid, -INFINITY, INFINITY, draw_softplus,
     &gdn_tolerance.portable_sigmoid},
    {"rsqrt", gdn_rsqrt, mpfr_rsqrt, 0, INFINITY, draw_rsqrt, &gdn_tolerance.portable_rsqrt},
};

enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

/* |y - exact| in ulps of fp32 at `exact`; a result that fp32 cannot hold counts as exact when it is infinite.
 */
static double fp32_error(float y, mpfr_t exact, mpfr_t scratch)
{
    double near = mpfr_get_d(exact, MPFR_RNDN);
    if (fabs(near) >= 0x1.ffffffp127)
        return isinf(y) && (y > 0) == (near > 0) ? 0 : INFINITY;
    if (isinf(y))
        return INFINITY;
    mpfr_sub_d(scratch, exact, y, MPFR_RNDN);
    return fabs(mpfr_get_d(scratch, MPFR_RNDN)) /
           gdn_ulp(&gdn_formats[GDN_FP32], mpfr_get_d(exact, MPFR_RNDZ));
}

static void fp32_sweep(const function *f)
{
    mpfr_t x, exact, scratch;
    mpfr_inits2(PRECISION, x, exact, scratch, (mpfr_ptr)0);
    int tested = 0;
    for (uint32_t h = 0; h < 65536; h++) {
        double arg = gdn_bf16_to_float((uint16_t)h), y = f->portable(arg);
        if (isnan(arg))
            GDN_CHECK(isnan(y), "%s(NaN 0x%04x) = %a", f->name, h, y);
        if (isnan(arg) || arg < f->lo || arg > f->hi || (f->lo == 0 && signbit(arg)))
            continue;
        mpfr_set_d(x, arg, MPFR_RNDN);
        f->oracle(exact, x);
        double error = fp32_error((float)y, exact, scratch);
        GDN_CHECK(error <= gdn_tolerance.portable_fp32, "fp32 %s(%a) = %a, MPFR %a: %g ulp", f->name, arg,
                  (double)(float)y, mpfr_get_d(exact, MPFR_RNDN), error);
        tested++;
    }
    ck_assert_int_gt(tested, f->hi == 0x1p52 ? 20000 : 32000);
    mpfr_clears(x, exact, scratch, (mpfr_ptr)0);
}

static void double_sweep(const function *f)
{
    mpfr_t x, exact, scratch;
    mpfr_inits2(PRECISION, x, exact, scratch, (mpfr_ptr)0);
    uint64_t seed = 11;
    double worst = 0;
    for (int i = 0; i < SAMPLES; i++) {
        double arg = f->draw(&seed), y = f->portable(arg);
        mpfr_set_d(x, arg, MPFR_RNDN);
        f->oracle(exact, x);
        mpfr_d_sub(scratch, y, exact, MPFR_RNDN);
        mpfr_div(scratch, scratch, exact, MPFR_RNDN);
        double error =
            mpfr_zero_p(exact) ? (y == 0 ? 0 : INFINITY) : fabs(mpfr_get_d(scratch, MPFR_RNDN)) * 0x1p53;
        GDN_CHECK(error <= *f->tolerance, "%s(%a) = %a, MPFR %a: %g x 2^-53", f->name, arg, y,
                  mpfr_get_d(exact, MPFR_RNDN), error);
        worst = error > worst ? error : worst;
    }
    /* An oracle that calls our own function would find nothing. */
    GDN_CHECK(worst > 0.5, "%s: worst error %g x 2^-53 is too good to be true", f->name, worst);
    mpfr_clears(x, exact, scratch, (mpfr_ptr)0);
}

START_TEST(fp32_all_bf16_arguments)
{
    for (int i = 0; i < FUNCTIONS; i++)
        fp32_sweep(&functions[i]);
}
END_TEST

START_TEST(double_random_arguments)
{
    for (int i = 0; i < FUNCTIONS; i++)
        double_sweep(&functions[i]);
}
END_TEST

typedef struct known {
    const char *name;
    double (*f)(double);
    double x, y;
} known;

/* Exact results and ends. */
static const known ends[] = {
    {"exp", gdn_exp, 0.0, 1},
    {"exp", gdn_exp, -0.0, 1},
    {"exp", gdn_exp, INFINITY, INFINITY},
    {"exp", gdn_exp, -INFINITY, 0},
    {"exp", gdn_exp, 1e300, INFINITY},
    {"exp", gdn_exp, -1e300, 0},
    {"exp", gdn_exp, 0x1.62e42fefa39f0p9, INFINITY},   /* the first above 1024 ln 2 */
    {"exp", gdn_exp, -0x1.74910d52d3051p9, 0x1p-1074}, /* the last that rounds to the smallest double */
    {"exp", gdn_exp, -0x1.74910d52d3053p9, 0},
    {"exp", gdn_exp, NAN, NAN},
    {"log", gdn_log, 1, 0},
    {"log1p", gdn_log1p, 0, 0},
    {"log1p", gdn_log1p, 0x1p-1074, 0x1p-1074},
    {"log1p", gdn_log1p, 0x1p-60, 0x1p-60},
    {"softplus", gdn_softplus, INFINITY, INFINITY},
    {"softplus", gdn_softplus, -INFINITY, 0},
    {"softplus", gdn_softplus, -1000, 0},
    {"softplus", gdn_softplus, 1000, 1000},
    {"softplus", gdn_softplus, 1e300, 1e300},
    {"softplus", gdn_softplus, NAN, NAN},
    {"sigmoid", gdn_sigmoid, 0, 0.5},
    {"sigmoid", gdn_sigmoid, INFINITY, 1},
    {"sigmoid", gdn_sigmoid, -INFINITY, 0},
    {"sigmoid", gdn_sigmoid, 1e300, 1},
    {"sigmoid", gdn_sigmoid, -1e300, 0},
    {"sigmoid", gdn_sigmoid, NAN, NAN},
    {"rsqrt", gdn_rsqrt, 4, 0.5},
    {"rsqrt", gdn_rsqrt, 0, INFINITY},
    {"rsqrt", gdn_rsqrt, INFINITY, 0},
    {"rsqrt", gdn_rsqrt, 0x1p-1074, 0x1p537},
    {"rsqrt", gdn_rsqrt, -1, NAN},
    {"rsqrt", gdn_rsqrt, NAN, NAN},
};

START_TEST(known_values)
{
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        double y = ends[i].f(ends[i].x);
        GDN_CHECK(gdn_same(y, ends[i].y), "%s(%a) = %a, not %a", ends[i].name, ends[i].x, y, ends[i].y);
    }
    double top = gdn_exp(0x1.62e42fefa39efp9), log2 = gdn_log(2), most = gdn_log(0x1.fffffffffffffp1023);
    GDN_CHECK(top > 0x1.fp1023 && top < INFINITY, "exp(1024 ln 2 - ) = %a", top);
    GDN_CHECK(log2 == 0x1.62e42fefa39efp-1, "log 2 = %a", log2);
    GDN_CHECK(most == 0x1.62e42fefa39efp9, "log of the largest = %a", most);
}
END_TEST

/* Subnormal results round once: half an ulp of 2^-1074 and what the significand was off before, |y| 2 2^-53.
 */
START_TEST(exp_gradual_underflow)
{
    mpfr_t x, exact;
    mpfr_inits2(PRECISION, x, exact, (mpfr_ptr)0);
    uint64_t seed = 12;
    for (int i = 0; i < SAMPLES; i++) {
        double arg = gdn_test_uniform(&seed, -745.2, -708), y = gdn_exp(arg);
        mpfr_set_d(x, arg, MPFR_RNDN);
        mpfr_exp(exact, x, MPFR_RNDN);
        mpfr_d_sub(exact, y, exact, MPFR_RNDN);
        mpfr_mul_2si(exact, exact, 1074, MPFR_RNDN);
        double error = fabs(mpfr_get_d(exact, MPFR_RNDN));
        double allowed = 0.5 + gdn_tolerance.portable_exp * 0x1p-53 * ldexp(y + 0x1p-1074, 1074);
        GDN_CHECK(error <= allowed, "exp(%a) = %a: %g subnormal ulps, %g allowed", arg, y, error, allowed);
    }
    mpfr_clears(x, exact, (mpfr_ptr)0);
}
END_TEST

GDN_TEST_MAIN("portable", fp32_all_bf16_arguments, double_random_arguments, known_values,
              exp_gradual_underflow)
