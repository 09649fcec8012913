/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_dd -- double-double arithmetic, its functions and the dd and fp64 engines, against GNU MPFR.
 *
 * Arithmetic and functions: random operands over the whole range, bounds in units of u^2 = 2^-106. Engines: a
 * table of small layers, each against the literal recurrence at 160 bits; and identities that must hold to
 * the bit (any split into blocks, any sample of columns, any instruction set).
 */
#include <check.h>
#include <math.h>
#include <mpfr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/engine.h"
#include "base/simd.h"
#include "reference/dd_math.h"
#include "reference/gdn_dd.h"
#include "reference/gdn_fp64.h"
#include "reference/gdn_mpfr.h"

static const mpfr_rnd_t RN = MPFR_RNDN;

/* ---- random numbers: splitmix64 ---- */

static uint64_t seed = 1;

static uint64_t random_bits(void)
{
    uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Uniform in [low, high). */
static double uniform(double low, double high)
{
    return low + (high - low) * ((double)(random_bits() >> 11) * 0x1p-53);
}

/* About normal: the sum of twelve uniform numbers. */
static float normal(void)
{
    double s = -6;
    for (int i = 0; i < 12; i++)
        s += uniform(0, 1);
    return (float)s;
}

/* A pair whose high part is x; the low part fills some or all of the room below. */
static gdn_dd pair_at(double x)
{
    double half_ulp = 0.5 * (nextafter(fabs(x), INFINITY) - fabs(x));
    double part = uniform(-1, 1);
    return gdn_dd_fast_two_sum(x, half_ulp * (random_bits() % 4 ? part : part * 0x1p-20));
}

static gdn_dd random_pair(int low_exponent, int high_exponent)
{
    double x = uniform(1, 2);
    int e = low_exponent + (int)(random_bits() % (uint64_t)(high_exponent - low_exponent));
    return pair_at(ldexp(random_bits() % 2 ? x : -x, e));
}

/* ---- arithmetic ---- */

enum { BITS = 500 };

/* log2 of |got - exact| / |scale|; an error of up to `slack` is no error. -999: none. */
static double error_bits(gdn_dd got, mpfr_t exact, mpfr_t scale, double slack)
{
    mpfr_t d, s;
    mpfr_inits2(BITS, d, s, (mpfr_ptr)0);
    mpfr_set_d(d, got.hi, RN);
    mpfr_add_d(d, d, got.lo, RN);
    mpfr_sub(d, d, exact, RN);
    mpfr_abs(d, d, RN);
    mpfr_sub_d(d, d, slack, RN);
    double bits = -999;
    if (mpfr_nan_p(d))
        bits = 999;
    else if (mpfr_sgn(d) > 0) {
        mpfr_abs(s, scale, RN);
        mpfr_div(d, d, s, RN);
        mpfr_log2(d, d, RN);
        bits = mpfr_get_d(d, RN);
    }
    mpfr_clears(d, s, (mpfr_ptr)0);
    return bits;
}

static void set_pair(mpfr_t x, gdn_dd a)
{
    mpfr_set_d(x, a.hi, RN);
    mpfr_add_d(x, x, a.lo, RN);
}

static void ck_pair_normal(gdn_dd x)
{
    ck_assert_msg(x.hi + x.lo == x.hi, "%a + %a is not normalised", x.hi, x.lo);
}

/* Bounds of dd_body.h in bits: log2 of 3, 3, 2, 5, 2, 11 u^2, and what was found for rsqrt. add_loose is
 * relative to |a| + |b|. */
typedef enum operation { ADD, ADD_LOOSE, ADD_REAL, MUL, MUL_REAL, DIV, RSQRT, OPERATIONS } operation;
static const char *const operation_names[] = {"add",      "add_loose", "add_real", "mul",
                                              "mul_real", "div",       "rsqrt"};
static const double operation_bounds[] = {-104.4, -104.4, -105, -103.6, -105, -102.5, -103.4};

static gdn_dd operate(operation op, gdn_dd a, gdn_dd b, mpfr_t exact, mpfr_t scale)
{
    mpfr_t x, y;
    mpfr_inits2(BITS, x, y, (mpfr_ptr)0);
    set_pair(x, a);
    if (op == ADD_REAL || op == MUL_REAL)
        b.lo = 0;
    set_pair(y, b);
    gdn_dd r = {0, 0};
    switch (op) {
    case ADD:
    case ADD_LOOSE:
    case ADD_REAL:
        r = op == ADD         ? gdn_dd_add(a, b)
            : op == ADD_LOOSE ? gdn_dd_add_loose(a, b)
                              : gdn_dd_add_real(a, b.hi);
        mpfr_add(exact, x, y, RN);
        break;
    case MUL:
    case MUL_REAL:
        r = op == MUL ? gdn_dd_mul(a, b) : gdn_dd_mul_real(a, b.hi);
        mpfr_mul(exact, x, y, RN);
        break;
    case DIV:
        r = gdn_dd_div(a, b);
        mpfr_div(exact, x, y, RN);
        break;
    default:
        r = gdn_dd_rsqrt(a.hi > 0 ? a : gdn_dd_neg(a));
        mpfr_abs(x, x, RN);
        mpfr_rec_sqrt(exact, x, RN);
    }
    mpfr_set(scale, exact, RN);
    if (op == ADD_LOOSE) {
        mpfr_abs(x, x, RN);
        mpfr_abs(y, y, RN);
        mpfr_add(scale, x, y, RN);
    }
    mpfr_clears(x, y, (mpfr_ptr)0);
    return r;
}

START_TEST(arithmetic_keeps_its_bounds)
{
    operation op = (operation)_i;
    seed = (uint64_t)_i + 1;
    mpfr_t exact, scale;
    mpfr_inits2(BITS, exact, scale, (mpfr_ptr)0);
    double worst = -999;
    for (int i = 0; i < 60000; i++) {
        gdn_dd a = random_pair(-60, 60), b = random_pair(-60, 60);
        if (i % 3 == 0)
            b = pair_at(-a.hi * (1 + ldexp(uniform(-1, 1), -(int)(random_bits() % 60)))); /* cancellation */
        gdn_dd r = operate(op, a, b, exact, scale);
        ck_pair_normal(r);
        if (!mpfr_zero_p(exact))
            worst = fmax(worst, error_bits(r, exact, scale, 0));
        else
            ck_assert(r.hi == 0 && r.lo == 0);
    }
    ck_assert_msg(worst <= operation_bounds[op], "%s: error 2^%.2f, bound 2^%.2f", operation_names[op], worst,
                  operation_bounds[op]);
    mpfr_clears(exact, scale, (mpfr_ptr)0);
}
END_TEST

START_TEST(error_free_transforms_are_exact)
{
    seed = 1;
    mpfr_t x, y;
    mpfr_inits2(BITS, x, y, (mpfr_ptr)0);
    for (int i = 0; i < 60000; i++) {
        double a = random_pair(-100, 100).hi, b = random_pair(-100, 100).hi;
        gdn_dd s = gdn_dd_two_sum(a, b), p = gdn_dd_two_prod(a, b);
        mpfr_set_d(x, a, RN);
        mpfr_add_d(x, x, b, RN);
        set_pair(y, s);
        ck_assert(mpfr_equal_p(x, y) && s.hi == a + b);
        mpfr_set_d(x, a, RN);
        mpfr_mul_d(x, x, b, RN);
        set_pair(y, p);
        ck_assert(mpfr_equal_p(x, y) && p.hi == a * b);
        gdn_dd j = gdn_dd_join(s, p), k = gdn_dd_join(p, s);
        ck_assert(memcmp(&j, &k, sizeof j) == 0);
    }
    mpfr_clears(x, y, (mpfr_ptr)0);
}
END_TEST

START_TEST(compensated_sums_keep_their_bound)
{
    seed = 1;
    mpfr_t sum, size, t;
    mpfr_inits2(BITS, sum, size, t, (mpfr_ptr)0);
    for (int round = 0; round < 300; round++) {
        int n = 1 + (int)(random_bits() % 64);
        gdn_dd s = {0, 0};
        mpfr_set_zero(sum, 1);
        mpfr_set_zero(size, 1);
        for (int i = 0; i < n; i++) {
            double a = random_pair(-10, 10).hi;
            gdn_dd b = random_pair(-30, 30);
            s = gdn_dd_accumulate(s, a, b);
            set_pair(t, b);
            mpfr_mul_d(t, t, a, RN);
            mpfr_add(sum, sum, t, RN);
            mpfr_abs(t, t, RN);
            mpfr_add(size, size, t, RN);
        }
        double bits = error_bits(gdn_dd_settle(s), sum, size, 0), bound = log2(n + 3) - 106;
        ck_assert_msg(bits <= bound, "%d terms: error 2^%.2f, bound 2^%.2f", n, bits, bound);
    }
    mpfr_clears(sum, size, t, (mpfr_ptr)0);
}
END_TEST

/* ---- functions ---- */

typedef enum function { EXP, LOG1P, SOFTPLUS, SIGMOID, SIGMOID_SHORT, FUNCTIONS } function;

/* Ranges of the argument: all of it by value, and near zero by exponent. Bound on the relative error in bits.
 */
static const struct {
    const char *name;
    double low, high;
    int low_exponent, high_exponent;
    double bound;
} functions[FUNCTIONS] = {
    [EXP] = {"exp", -745, 709.7, -120, 9, -101},
    [LOG1P] = {"log1p", -0.9999999, 10, -1000, 1000, -101},
    [SOFTPLUS] = {"softplus", -745, 745, -120, 9, -101},
    [SIGMOID] = {"sigmoid", -745, 745, -120, 9, -101},
    [SIGMOID_SHORT] = {"sigmoid_short", -745, 745, -120, 9, -51},
};

static gdn_dd evaluate(function f, gdn_dd x)
{
    switch (f) {
    case EXP:
        return gdn_dd_exp(x);
    case LOG1P:
        return gdn_dd_log1p(x);
    case SOFTPLUS:
        return gdn_dd_softplus(x);
    case SIGMOID:
        return gdn_dd_sigmoid(x);
    default:
        return gdn_dd_pair(gdn_dd_sigmoid_short(x.hi), 0);
    }
}

static void evaluate_exactly(function f, mpfr_t x, mpfr_t y)
{
    if (f == EXP) {
        mpfr_exp(y, x, RN);
    } else if (f == LOG1P) {
        mpfr_log1p(y, x, RN);
    } else if (f == SOFTPLUS) {
        mpfr_exp(y, x, RN);
        mpfr_log1p(y, y, RN);
    } else {
        mpfr_neg(y, x, RN);
        mpfr_exp(y, y, RN);
        mpfr_add_ui(y, y, 1, RN);
        mpfr_ui_div(y, 1, y, RN);
    }
}

static void ck_function_at(function f, gdn_dd x, double *worst, double *where)
{
    mpfr_t a, y;
    mpfr_init2(a, BITS);
    mpfr_init2(y, 3 * BITS); /* 1 + exp(745) keeps its 1 */
    if (f == SIGMOID_SHORT)
        x.lo = 0;
    set_pair(a, x);
    evaluate_exactly(f, a, y);
    gdn_dd r = evaluate(f, x);
    ck_pair_normal(r);
    double bits = error_bits(r, y, y, 3 * 0x1p-1074);
    if (bits > *worst) {
        *worst = bits;
        *where = x.hi;
    }
    mpfr_clears(a, y, (mpfr_ptr)0);
}

START_TEST(functions_keep_their_bounds)
{
    function f = (function)_i;
    seed = (uint64_t)_i + 1;
    double worst = -999, where = 0;
    for (int i = 0; i < 8000; i++) {
        ck_function_at(f, pair_at(uniform(functions[f].low, functions[f].high)), &worst, &where);
        gdn_dd x = random_pair(functions[f].low_exponent, functions[f].high_exponent);
        if (f == LOG1P && x.hi < -0.9)
            x = gdn_dd_neg(x);
        ck_function_at(f, x, &worst, &where);
    }
    /* the seams of the tables: half-way between entries */
    for (int j = -200; j < 200; j++) {
        double t = f == LOG1P ? (j + 0.5) / 128 : (j + 0.5) * 0.010830424696249145;
        if (t > -1)
            ck_function_at(f, pair_at(t * (1 + uniform(-1, 1) * 0x1p-40)), &worst, &where);
    }
    ck_assert_msg(worst <= functions[f].bound, "%s: error 2^%.2f at %.17g, bound 2^%.0f", functions[f].name,
                  worst, where, functions[f].bound);
    if (getenv("GDN_SHOW"))
        printf("%s: error 2^%.2f at %.17g\n", functions[f].name, worst, where);
}
END_TEST

static void ck_pair_is(gdn_dd x, double hi, double lo)
{
    ck_assert_msg(x.hi == hi && x.lo == lo, "%a + %a instead of %a + %a", x.hi, x.lo, hi, lo);
}

START_TEST(functions_have_sane_ends)
{
    const double inf = INFINITY;
    ck_pair_is(gdn_dd_exp(gdn_dd_pair(0, 0)), 1, 0);
    ck_pair_is(gdn_dd_exp(gdn_dd_pair(-0x1p-300, 0)), 1, -0x1p-300);
    ck_pair_is(gdn_dd_exp(gdn_dd_pair(-inf, 0)), 0, 0);
    ck_pair_is(gdn_dd_exp(gdn_dd_pair(inf, 0)), inf, 0);
    ck_pair_is(gdn_dd_exp(gdn_dd_pair(-1e300, 0)), 0, 0);
    ck_pair_is(gdn_dd_exp(gdn_dd_pair(710, 0)), inf, 0);
    ck_pair_is(gdn_dd_exp(gdn_dd_pair(-745, 0)), 0x1p-1074, 0);
    ck_pair_is(gdn_dd_exp(gdn_dd_pair(-746, 0)), 0, 0);
    ck_assert(isnan(gdn_dd_exp(gdn_dd_pair(NAN, 0)).hi));
    ck_pair_is(gdn_dd_log1p(gdn_dd_pair(0x1p-1074, 0)), 0x1p-1074, 0);
    ck_pair_is(gdn_dd_softplus(gdn_dd_pair(inf, 0)), inf, 0);
    ck_pair_is(gdn_dd_softplus(gdn_dd_pair(-inf, 0)), 0, 0);
    ck_pair_is(gdn_dd_softplus(gdn_dd_pair(1e30, 1)), 1e30, 1);
    ck_assert(isnan(gdn_dd_softplus(gdn_dd_pair(NAN, 0)).hi));
    ck_pair_is(gdn_dd_sigmoid(gdn_dd_pair(inf, 0)), 1, 0);
    ck_pair_is(gdn_dd_sigmoid(gdn_dd_pair(-inf, 0)), 0, 0);
    ck_pair_is(gdn_dd_sigmoid(gdn_dd_pair(0, 0)), 0.5, 0);
    ck_assert(isnan(gdn_dd_sigmoid(gdn_dd_pair(NAN, 0)).hi));
    ck_assert(gdn_dd_sigmoid_short(inf) == 1 && gdn_dd_sigmoid_short(-inf) == 0 &&
              isnan(gdn_dd_sigmoid_short(NAN)));
}
END_TEST

/* Every entry of a table, against MPFR: hi + lo within 2^-107 |entry|. */
static void ck_entry(double hi, double lo, mpfr_t exact)
{
    gdn_dd x = {hi, lo};
    ck_pair_normal(x);
    double bits = mpfr_zero_p(exact) ? (hi == 0 && lo == 0 ? -999 : 0) : error_bits(x, exact, exact, 0);
    ck_assert_msg(bits <= -107, "table entry %a + %a: error 2^%.2f", hi, lo, bits);
}

START_TEST(tables_are_correct)
{
    mpfr_t x;
    mpfr_init2(x, BITS);
    for (int j = 0; j < 64; j++) {
        mpfr_set_d(x, j / 64.0, RN);
        mpfr_exp2(x, x, RN);
        ck_entry(gdn_dd_exp2_hi[j], gdn_dd_exp2_lo[j], x);
    }
    for (int j = 0; j <= 64; j++) {
        mpfr_set_d(x, (1 + j / 64.0) * (j >= 27 ? 0.5 : 1), RN);
        mpfr_log(x, x, RN);
        ck_entry(gdn_dd_log_hi[j], gdn_dd_log_lo[j], x);
    }
    mpfr_clear(x);
}
END_TEST

/* ---- engines ---- */

typedef enum key_kind { ISOTROPIC, LOW_RANK, REPEATED, NEEDLE, WITH_ZEROS, TINY, HUGE_KEYS } key_kind;
typedef enum gate_kind {
    FROM_A,
    NO_DECAY,
    MODERATE,
    EXTREME,
    WIDE_A,
    STRONG_A,
    STORED_A,
    NEGATIVE_INFINITE_A_LOG
} gate_kind;
typedef enum beta_kind { FROM_B, ZERO_ONE_TWO } beta_kind;

/* A layer to try. State, o and y of dd agree with MPFR within 2^dd_bits (relative L2), those of fp64 within
 * fp64. */
typedef struct scenario {
    const char *name;
    gdn_shape shape;
    int tokens;
    key_kind keys;
    gate_kind gate;
    beta_kind beta;
    gdn_format_id alpha;
    bool state0;
    double dd_bits, fp64;
} scenario;

static const scenario scenarios[] = {
    {"isotropic", {2, 16, 8}, 200, ISOTROPIC, FROM_A, FROM_B, GDN_FP64, false, -100, 1e-14},
    {"released shape", {1, 128, 11}, 70, ISOTROPIC, FROM_A, FROM_B, GDN_FP64, true, -100, 1e-14},
    {"1 x 1", {3, 1, 1}, 150, ISOTROPIC, FROM_A, FROM_B, GDN_FP64, true, -98, 1e-13},
    {"3 x 5", {2, 3, 5}, 150, ISOTROPIC, FROM_A, FROM_B, GDN_FP64, false, -98, 1e-13},
    {"80 x 17", {1, 80, 17}, 70, ISOTROPIC, MODERATE, FROM_B, GDN_FP64, true, -100, 1e-14},
    {"low rank", {1, 16, 8}, 300, LOW_RANK, FROM_A, FROM_B, GDN_FP64, true, -100, 1e-14},
    {"repeated, nothing forgotten", {1, 16, 3}, 3000, REPEATED, NO_DECAY, FROM_B, GDN_FP64, true, -96, 1e-13},
    {"isotropic, nothing forgotten",
     {1, 16, 3},
     1000,
     ISOTROPIC,
     NO_DECAY,
     ZERO_ONE_TWO,
     GDN_FP64,
     true,
     -96,
     1e-13},
    {"needle", {1, 16, 3}, 1000, NEEDLE, NO_DECAY, FROM_B, GDN_FP64, false, -96, 1e-13},
    {"fading needle", {1, 16, 3}, 300, NEEDLE, MODERATE, FROM_B, GDN_FP64, false, -96, 1e-13},
    {"beta 0, 1, 2", {1, 16, 8}, 200, ISOTROPIC, MODERATE, ZERO_ONE_TWO, GDN_FP64, true, -98, 1e-13},
    {"zero keys and queries", {1, 16, 8}, 100, WITH_ZEROS, FROM_A, FROM_B, GDN_FP64, true, -100, 1e-14},
    {"subnormal inputs", {1, 16, 8}, 100, TINY, FROM_A, FROM_B, GDN_FP64, false, -100, 1e-14},
    {"huge inputs", {1, 16, 8}, 100, HUGE_KEYS, FROM_A, FROM_B, GDN_FP64, false, -100, 1e-14},
    {"extreme gates", {1, 16, 8}, 100, ISOTROPIC, EXTREME, FROM_B, GDN_FP64, true, -94, 1e-13},
    {"wide a", {2, 16, 8}, 100, ISOTROPIC, WIDE_A, FROM_B, GDN_FP64, true, -92, 1e-13},
    {"strong A", {3, 16, 8}, 100, ISOTROPIC, STRONG_A, FROM_B, GDN_FP64, true, -92, 1e-13},
    {"stored A", {2, 16, 8}, 100, ISOTROPIC, STORED_A, FROM_B, GDN_FP64, true, -98, 1e-13},
    {"A_log = -inf", {2, 16, 8}, 100, ISOTROPIC, NEGATIVE_INFINITE_A_LOG, FROM_B, GDN_FP64, true, -98, 1e-13},
    {"alpha in bf16", {1, 16, 8}, 200, ISOTROPIC, FROM_A, FROM_B, GDN_BF16, false, -98, 1e-13},
    {"alpha in fp32", {1, 16, 8}, 200, ISOTROPIC, FROM_A, FROM_B, GDN_FP32, false, -98, 1e-13},
    {"alpha in e4m3", {1, 16, 8}, 200, ISOTROPIC, WIDE_A, FROM_B, GDN_E4M3, false, -98, 1e-13},
};

enum { SCENARIOS = sizeof scenarios / sizeof *scenarios };

typedef struct inputs {
    float *q, *k, *v, *z, *a, *g, *b, *beta; /* as gdn_block; a or g, b or beta is NULL */
    double decay[4], dt_bias[4], *norm_weight, *state0;
    bool decay_is_a;
    int beta_shift;
    bool l2norm_off;
    double scale;
} inputs;

/* Outputs of a whole run, [H][T] and [H][T][columns], and the last state [H][dk][columns]. */
enum { G, ALPHA, MS, O, Y, STATE, OUTPUTS };
static const char *const output_names[] = {"g", "alpha", "ms", "o", "y", "state"};
typedef struct outputs {
    size_t n[OUTPUTS];
    double *hi[OUTPUTS], *lo[OUTPUTS];
} outputs;

static void *need(void *p)
{
    ck_assert_ptr_nonnull(p);
    return p;
}

static float *floats(size_t n, double scale)
{
    float *x = need(calloc(n, sizeof *x));
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(scale * (double)normal());
    return x;
}

static void make_keys(const scenario *s, inputs *in)
{
    size_t dk = (size_t)s->shape.dk, T = (size_t)s->tokens;
    for (size_t i = 0; i < (size_t)s->shape.heads * T * dk; i++) {
        size_t t = i / dk % T, row = i % dk;
        switch (s->keys) {
        case LOW_RANK:
            if (row >= 3)
                in->k[i] = in->q[i] = 0;
            break;
        case REPEATED:
            if (t > 0)
                in->k[i] = in->k[i - dk];
            break;
        case NEEDLE:
            in->q[i] = row == 0;
            if (t == 0 || row == 0)
                in->k[i] = t == 0 && row == 0;
            break;
        case WITH_ZEROS:
            if (t % 3 == 0)
                in->k[i] = 0;
            if (t % 4 == 0)
                in->q[i] = 0;
            break;
        default:
            break;
        }
    }
}

/* Gates that take alpha through underflow, zero and one. */
static float extreme_gate(size_t t)
{
    static const float g[] = {-0.01f,  -1e-30f, -0.0f,     -50.0f,  -0.5f, -700.0f,
                              -800.0f, -0.1f,   -INFINITY, -1e-42f, -2.0f};
    return g[t % (sizeof g / sizeof *g)];
}

static void make_gate(const scenario *s, inputs *in)
{
    size_t n = (size_t)s->shape.heads * (size_t)s->tokens;
    bool from_a = s->gate == FROM_A || s->gate >= WIDE_A;
    static const double strong[4] = {80, 400, 720, 720};
    for (size_t i = 0; i < 4; i++) {
        in->decay[i] = uniform(-3, 2);
        in->dt_bias[i] = uniform(-5, 1);
        if (s->gate == STRONG_A)
            in->decay[i] = strong[i];
        if (s->gate == NEGATIVE_INFINITE_A_LOG)
            in->decay[i] = -INFINITY;
    }
    in->decay_is_a = s->gate == STORED_A;
    if (in->decay_is_a)
        in->decay[0] = 0.7, in->decay[1] = 0;
    float *x = floats(n, s->gate == WIDE_A ? 300 : s->gate == STRONG_A ? 5 : 1);
    for (size_t i = 0; i < n; i++) {
        if (s->gate == STRONG_A)
            x[i] -= (float)strong[i / (size_t)s->tokens];
        if (!from_a)
            x[i] = s->gate == NO_DECAY ? 0 : s->gate == MODERATE ? -0.01f * fabsf(x[i]) : extreme_gate(i);
    }
    in->a = from_a ? x : NULL;
    in->g = from_a ? NULL : x;
}

static inputs make_inputs(const scenario *s)
{
    size_t H = (size_t)s->shape.heads, T = (size_t)s->tokens, dk = (size_t)s->shape.dk,
           dv = (size_t)s->shape.dv;
    double scale = s->keys == TINY ? 1e-42 : s->keys == HUGE_KEYS ? 3e37 : 1;
    seed = (uint64_t)(s - scenarios) + 1;
    inputs in = {
        .q = floats(H * T * dk, scale), .k = floats(H * T * dk, scale), .v = floats(H * T * dv, scale)};
    in.z = floats(H * T * dv, 3);
    in.b = floats(H * T, 1);
    if (s->beta == ZERO_ONE_TWO) {
        in.beta = in.b;
        in.b = NULL;
        for (size_t i = 0; i < H * T; i++)
            in.beta[i] = (float)(random_bits() % 3);
    }
    in.norm_weight = need(calloc(dv, sizeof(double)));
    for (size_t j = 0; j < dv; j++)
        in.norm_weight[j] = uniform(0.5, 1.5);
    in.state0 = s->state0 ? need(calloc(H * dk * dv, sizeof(double))) : NULL;
    for (size_t i = 0; in.state0 && i < H * dk * dv; i++)
        in.state0[i] = uniform(-1, 1);
    make_keys(s, &in);
    make_gate(s, &in);
    return in;
}

static void free_inputs(inputs *in)
{
    float *all[] = {in->q, in->k, in->v, in->z, in->a, in->g, in->b, in->beta};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    free(in->norm_weight);
    free(in->state0);
}

static outputs new_outputs(const scenario *s, size_t columns)
{
    size_t n = (size_t)s->shape.heads * (size_t)s->tokens;
    outputs r = {.n = {n, n, n, n * columns, n * columns, (size_t)(s->shape.heads * s->shape.dk) * columns}};
    for (int i = 0; i < OUTPUTS; i++) {
        r.hi[i] = need(calloc(r.n[i], sizeof(double)));
        r.lo[i] = need(calloc(r.n[i], sizeof(double)));
    }
    return r;
}

static void free_outputs(outputs *r)
{
    for (int i = 0; i < OUTPUTS; i++) {
        free(r->hi[i]);
        free(r->lo[i]);
    }
}

/* Tokens t .. t + n - 1 of x [H][T][width], gathered as [H][n][width]; size: bytes of an element. NULL stays.
 */
static void *cut(const scenario *s, const void *x, size_t width, size_t size, int t, int n)
{
    if (!x)
        return NULL;
    size_t bytes = width * size, T = (size_t)s->tokens;
    char *y = need(malloc((size_t)s->shape.heads * (size_t)n * bytes + 1));
    for (size_t h = 0; h < (size_t)s->shape.heads; h++)
        memcpy(y + h * (size_t)n * bytes, (const char *)x + (h * T + (size_t)t) * bytes, (size_t)n * bytes);
    return y;
}

/* The other way round. */
static void paste(const scenario *s, double *x, size_t width, double *part, int t, int n)
{
    for (size_t h = 0; h < (size_t)s->shape.heads; h++)
        memcpy(x + (h * (size_t)s->tokens + (size_t)t) * width, part + h * (size_t)n * width,
               (size_t)n * width * sizeof *x);
    free(part);
}

static void advance_part(const gdn_engine *e, void *self, const scenario *s, const inputs *in, outputs *r,
                         int t, int n)
{
    size_t dk = (size_t)s->shape.dk, dv = (size_t)s->shape.dv, m = r->n[O] / r->n[G];
    const float *src[] = {in->q, in->k, in->v, in->z, in->a, in->g, in->b, in->beta};
    const size_t width[] = {dk, dk, dv, dv, 1, 1, 1, 1}, out_width[] = {1, 1, 1, m, m};
    float *x[8];
    double *y[2 * STATE];
    for (int i = 0; i < 8; i++)
        x[i] = cut(s, src[i], width[i], sizeof(float), t, n);
    for (int i = 0; i < STATE; i++) {
        y[2 * i] = cut(s, r->hi[i], out_width[i], sizeof(double), t, n);
        y[2 * i + 1] = cut(s, r->lo[i], out_width[i], sizeof(double), t, n);
    }
    gdn_block block = {t + 1, n, x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]};
    gdn_outputs out = {y[0], y[1], y[2], y[3], y[6], y[7], y[8], y[9], y[4], y[5]};
    gdn_error err = {""};
    ck_assert_msg(e->advance(self, &block, &out, &err) == GDN_OK, "%s: %s: %s", s->name, e->name, err.text);
    for (int i = 0; i < 8; i++)
        free(x[i]);
    for (int i = 0; i < STATE; i++) {
        paste(s, r->hi[i], out_width[i], y[2 * i], t, n);
        paste(s, r->lo[i], out_width[i], y[2 * i + 1], t, n);
    }
}

/*
 * Run an engine over a scenario in blocks of at most `block` tokens, on `columns` (NULL: all). ms: mean of
 * o^2 to read when columns are sampled.
 */
static outputs run_blocks(const gdn_engine *e, const scenario *s, const inputs *in, int block,
                          const int *columns, int ncolumns, const outputs *full)
{
    gdn_setup setup = {.shape = s->shape,
                       .params = {in->decay_is_a, in->decay, in->dt_bias, in->norm_weight, s->alpha,
                                  in->beta_shift, in->l2norm_off, in->scale},
                       .columns = columns,
                       .ncolumns = columns ? ncolumns : s->shape.dv,
                       .recurrence = true,
                       .precision = 160,
                       .state0 = in->state0};
    outputs r = new_outputs(s, (size_t)setup.ncolumns);
    if (full) {
        memcpy(r.hi[MS], full->hi[MS], r.n[MS] * sizeof(double));
        memcpy(r.lo[MS], full->lo[MS], r.n[MS] * sizeof(double));
    }
    void *self;
    gdn_error err = {""};
    ck_assert_msg(e->open(&self, &setup, &err) == GDN_OK, "%s: %s", s->name, err.text);
    for (int t = 0, n; t < s->tokens; t += n) {
        n = block > 0 ? block : 1 + (int)(random_bits() % 90);
        n = n < s->tokens - t ? n : s->tokens - t;
        advance_part(e, self, s, in, &r, t, n);
    }
    ck_assert(e->read_state(self, r.hi[STATE], r.lo[STATE], &err) == GDN_OK);
    e->close(self);
    return r;
}

static outputs run_whole(const gdn_engine *e, const scenario *s, const inputs *in)
{
    return run_blocks(e, s, in, s->tokens, NULL, 0, NULL);
}

/* |x - ref| / |ref| in L2 for ms, o, y and state; for g and alpha the largest relative error of an element.
 */
static double distance(const outputs *x, const outputs *ref, int which, bool pairs)
{
    double up = 0, down = 0, worst = 0;
    for (size_t i = 0; i < ref->n[which]; i++) {
        double a = x->hi[which][i], b = ref->hi[which][i];
        double d = a == b ? 0 : a - b;
        d = pairs ? d + (x->lo[which][i] - ref->lo[which][i]) : d - ref->lo[which][i];
        if (fabs(b) <= 0x1p-1000)
            d = fabs(a) <= 0x1p-1000 ? 0 : INFINITY;
        if (isinf(b) || isnan(b) || isnan(a))
            d = a == b ? 0 : INFINITY;
        else
            down += b * b;
        up += d * d;
        worst = fmax(worst, d == 0 ? 0 : fabs(d / b));
    }
    return which < MS ? worst : up == 0 ? 0 : sqrt(up / down);
}

static void ck_near(const scenario *s, const char *engine, const outputs *x, const outputs *ref, bool pairs,
                    double bound)
{
    for (int i = 0; i < OUTPUTS; i++) {
        double d = distance(x, ref, i, pairs);
        ck_assert_msg(d <= bound, "%s: %s: %s differs by 2^%.2f = %.3g, bound %.3g", s->name, engine,
                      output_names[i], log2(d), d, bound);
        if (getenv("GDN_SHOW"))
            printf("%-30s %-5s %-6s 2^%.2f = %.3g\n", s->name, engine, output_names[i], log2(d), d);
    }
}

START_TEST(engines_agree_with_mpfr)
{
    const scenario *s = &scenarios[_i];
    inputs in = make_inputs(s);
    outputs truth = run_whole(&gdn_mpfr_engine, s, &in), dd = run_whole(&gdn_dd_engine, s, &in);
    outputs fp64 = run_whole(&gdn_fp64_engine, s, &in);
    ck_near(s, "dd", &dd, &truth, true, exp2(s->dd_bits));
    ck_near(s, "fp64", &fp64, &truth, false, s->fp64);
    free_outputs(&truth);
    free_outputs(&dd);
    free_outputs(&fp64);
    free_inputs(&in);
}
END_TEST

/* beta doubled, from b and given: as near to MPFR as ever, and another layer. */
START_TEST(doubled_beta_agrees_with_mpfr)
{
    static const int which[] = {0, 3, 10};
    for (size_t i = 0; i < sizeof which / sizeof which[0]; i++) {
        const scenario *s = &scenarios[which[i]];
        inputs in = make_inputs(s);
        for (size_t t = 0; in.beta && t < (size_t)(s->shape.heads * s->tokens); t++)
            in.beta[t] *= 0.5f;
        outputs once = run_whole(&gdn_dd_engine, s, &in);
        in.beta_shift = 1;
        outputs truth = run_whole(&gdn_mpfr_engine, s, &in), dd = run_whole(&gdn_dd_engine, s, &in);
        outputs fp64 = run_whole(&gdn_fp64_engine, s, &in);
        ck_near(s, "dd", &dd, &truth, true, exp2(s->dd_bits));
        ck_near(s, "fp64", &fp64, &truth, false, s->fp64);
        ck_assert_msg(distance(&once, &truth, O, true) > 0.1, "%s: beta was not doubled", s->name);
        free_outputs(&once);
        free_outputs(&truth);
        free_outputs(&dd);
        free_outputs(&fp64);
        free_inputs(&in);
    }
}
END_TEST

/* q and k of a scenario normalised to the nearest float: k / sqrt(sum k^2 + eps) in MPFR. */
static void normalise(const scenario *s, inputs *in)
{
    size_t dk = (size_t)s->shape.dk, rows = (size_t)(s->shape.heads * s->tokens);
    float *const both[] = {in->q, in->k};
    mpfr_t sum, x;
    mpfr_inits2(BITS, sum, x, (mpfr_ptr)0);
    for (size_t row = 0; row < 2 * rows; row++) {
        float *k = both[row / rows] + row % rows * dk;
        mpfr_set_str(sum, "1e-6", 10, RN);
        for (size_t i = 0; i < dk; i++) {
            mpfr_set_d(x, (double)k[i], RN);
            mpfr_sqr(x, x, RN);
            mpfr_add(sum, sum, x, RN);
        }
        mpfr_rec_sqrt(sum, sum, RN);
        for (size_t i = 0; i < dk; i++) {
            mpfr_mul_d(x, sum, (double)k[i], RN);
            k[i] = mpfr_get_flt(x, RN);
        }
    }
    mpfr_clears(sum, x, (mpfr_ptr)0);
}

/* Every number of y is that of x times `factor`, to the last bit of the pair. */
static void ck_times(const scenario *s, const outputs *x, const outputs *y, int which, double factor)
{
    for (size_t i = 0; i < x->n[which]; i++)
        ck_assert_msg(y->hi[which][i] == factor * x->hi[which][i] &&
                          y->lo[which][i] == factor * x->lo[which][i],
                      "%s: %s %zu: %a + %a, not %g times %a + %a", s->name, output_names[which], i,
                      y->hi[which][i], y->lo[which][i], factor, x->hi[which][i], x->lo[which][i]);
}

/*
 * The L2 norm off, for keys normalised beforehand: as near to MPFR as ever, whatever the scale, and o is
 * linear in it. Of the layer that normalises itself o and state differ by what the keys lost on their way
 * through fp32: a token's q and k err by 2^-24 at most, what it recalls, writes and reads by 4 times that,
 * and independent errors add up in squares.
 */
START_TEST(norm_off_agrees_with_mpfr)
{
    static const gdn_engine *const engines[] = {&gdn_mpfr_engine, &gdn_dd_engine, &gdn_fp64_engine};
    static const int which[] = {0, 1, 4, 10};
    for (size_t i = 0; i < sizeof which / sizeof which[0]; i++) {
        const scenario *s = &scenarios[which[i]];
        inputs in = make_inputs(s);
        outputs own = run_whole(&gdn_dd_engine, s, &in);
        normalise(s, &in);
        in.l2norm_off = true;
        for (double scale = 0; scale <= 1; scale += 0.5) {
            in.scale = scale;
            outputs x[] = {run_whole(engines[0], s, &in), run_whole(engines[1], s, &in),
                           run_whole(engines[2], s, &in)};
            ck_near(s, "dd", &x[1], &x[0], true, exp2(s->dd_bits));
            ck_near(s, "fp64", &x[2], &x[0], false, s->fp64);
            double off = distance(&own, &x[1], STATE, true);
            ck_assert_msg(off > 0 && off <= 4 * 0x1p-24 * sqrt(s->tokens), "%s: off by %g", s->name, off);
            if (scale == 0) {
                off = distance(&own, &x[1], O, true);
                ck_assert_msg(off > 0 && off <= 4 * 0x1p-24 * sqrt(s->tokens), "%s: o off by %g", s->name,
                              off);
            }
            in.scale = 2 * scale;
            for (int e = 0; e < 3; e++) {
                outputs twice = run_whole(engines[e], s, &in);
                ck_times(s, &x[e], &twice, STATE, 1);
                ck_times(s, &x[e], &twice, O, scale == 0 ? 1 : 2);
                free_outputs(&twice);
                free_outputs(&x[e]);
            }
        }
        free_outputs(&own);
        free_inputs(&in);
    }
}
END_TEST

static void ck_same_bits(const scenario *s, const char *what, const outputs *x, const outputs *y)
{
    for (int i = 0; i < OUTPUTS; i++)
        ck_assert_msg(memcmp(x->hi[i], y->hi[i], x->n[i] * sizeof(double)) == 0 &&
                          memcmp(x->lo[i], y->lo[i], x->n[i] * sizeof(double)) == 0,
                      "%s: %s changes %s", s->name, what, output_names[i]);
}

static const gdn_engine *const engines[] = {&gdn_dd_engine, &gdn_fp64_engine};

START_TEST(blocks_change_no_bit)
{
    const scenario *s = &scenarios[_i];
    inputs in = make_inputs(s);
    for (int e = 0; e < 2; e++) {
        outputs whole = run_whole(engines[e], s, &in);
        static const int sizes[] = {1, 63, 65, 0, 0};
        for (size_t b = 0; b < sizeof sizes / sizeof *sizes; b++) {
            outputs split = run_blocks(engines[e], s, &in, sizes[b], NULL, 0, NULL);
            ck_same_bits(s, "a split into blocks", &whole, &split);
            free_outputs(&split);
        }
        free_outputs(&whole);
    }
    free_inputs(&in);
}
END_TEST

START_TEST(instruction_sets_change_no_bit)
{
    const scenario *s = &scenarios[_i];
    inputs in = make_inputs(s);
    for (int e = 0; e < 2; e++) {
        gdn_isa_force(GDN_ISA_SCALAR);
        outputs scalar = run_whole(engines[e], s, &in);
        for (int isa = GDN_ISA_AVX2; isa < GDN_ISAS; isa++) {
            if (!gdn_isa_available((gdn_isa)isa))
                continue;
            gdn_isa_force((gdn_isa)isa);
            outputs wide = run_whole(engines[e], s, &in);
            ck_same_bits(s, gdn_isa_names[isa], &scalar, &wide);
            free_outputs(&wide);
        }
        free_outputs(&scalar);
    }
    free_inputs(&in);
}
END_TEST

/* A sample of columns gives what the full run gives in these columns: o, y (with the full run's mean) and the
 * state. */
START_TEST(sampled_columns_change_no_bit)
{
    const scenario *s = &scenarios[_i];
    inputs in = make_inputs(s);
    int columns[8], m = 0;
    size_t dv = (size_t)s->shape.dv;
    for (int j = s->shape.dv > 1; j < s->shape.dv && m < 8; j += 2)
        columns[m++] = j;
    for (int e = 0; e < 2; e++) {
        outputs full = run_whole(engines[e], s, &in);
        outputs some = run_blocks(engines[e], s, &in, 64, columns, m, &full);
        for (int which = O; which < OUTPUTS; which++)
            for (size_t i = 0; i < some.n[which]; i++) {
                size_t at = i / (size_t)m * dv + (size_t)columns[i % (size_t)m];
                ck_assert_msg(memcmp(&some.hi[which][i], &full.hi[which][at], sizeof(double)) == 0 &&
                                  memcmp(&some.lo[which][i], &full.lo[which][at], sizeof(double)) == 0,
                              "%s: %s: sampling changes %s", s->name, engines[e]->name, output_names[which]);
            }
        free_outputs(&full);
        free_outputs(&some);
    }
    free_inputs(&in);
}
END_TEST

/* One token of a 4 x 2 layer with the given gate and beta = 0, from the state 1, 2, ... 8; a or g is NULL. */
static void run_gates(const gdn_engine *e, const gdn_params *p, const float *a, const float *g,
                      double *alpha_out, double *g_out, double *state)
{
    static const float x[4] = {1, -2, 3, 4}, beta = 0;
    static const double state0[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    gdn_setup setup = {.shape = {1, 4, 2}, .params = *p, .ncolumns = 2, .recurrence = true, .state0 = state0};
    gdn_block block = {.first = 1, .tokens = 1, .q = x, .k = x, .v = x, .a = a, .g = g, .beta = &beta};
    gdn_outputs out = {.g = g_out, .alpha = alpha_out};
    gdn_error err = {""};
    void *self;
    ck_assert(e->open(&self, &setup, &err) == GDN_OK);
    ck_assert(e->advance(self, &block, &out, &err) == GDN_OK);
    ck_assert(e->read_state(self, state, NULL, &err) == GDN_OK);
    e->close(self);
}

/* g and alpha where factors of g are infinite or zero. nan: no value is defined. */
START_TEST(gates_have_sane_ends)
{
    static const struct {
        bool is_a;
        double decay, bias;
        float a;
        double g, alpha;
    } ends[] = {{false, 0, 0, INFINITY, -INFINITY, 0},
                {false, 0, 0, -INFINITY, -0.0, 1},
                {false, -INFINITY, 0, 1, -0.0, 1},
                {false, INFINITY, 0, 1, -INFINITY, 0},
                {false, INFINITY, -1000, 1, -INFINITY, 0},
                {false, 800, -800, 0, -1, 0.36787944117144233},
                {false, 1000, -1000, 0, -1, 0.36787944117144233},
                {false, 800, 0, 0, -INFINITY, 0},
                {false, 300, -1000, 0, -9.859676543759770e-305, 1},
                {false, 700, 0, 3e38f, -INFINITY, 0},
                {false, 0, 0, 3e38f, -3e38f, 0},
                {true, 0, 0, 3e38f, -0.0, 1},
                {true, 0, -1000, 0, -0.0, 1},
                {true, INFINITY, -1000, 0, -INFINITY, 0},
                {true, 1e300, -1e30, 0, -0.0, 1}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        for (int e = 0; e < 2; e++) {
            gdn_params p = {.decay_is_a = ends[i].is_a,
                            .decay = &ends[i].decay,
                            .dt_bias = &ends[i].bias,
                            .alpha = GDN_FP64};
            double g = 7, alpha = 7, state[8];
            run_gates(engines[e], &p, &ends[i].a, NULL, &alpha, &g, state);
            ck_assert_msg((g == ends[i].g || fabs(g - ends[i].g) <= 1e-14 * fabs(g)) &&
                              alpha == ends[i].alpha,
                          "%s: line %zu: g %g, alpha %.17g", engines[e]->name, i, g, alpha);
        }
}
END_TEST

/* With beta = 0, alpha = 0 leaves a state of zeros and alpha = 1 the state as it was. */
START_TEST(gates_clear_and_keep_the_state)
{
    static const float gates[] = {-INFINITY, -3e38f, -800, 0, -0.0f};
    for (size_t i = 0; i < sizeof gates / sizeof *gates; i++)
        for (int e = 0; e < 2; e++) {
            gdn_params p = {.alpha = GDN_FP64};
            double g, alpha, state[8];
            run_gates(engines[e], &p, NULL, &gates[i], &alpha, &g, state);
            for (int j = 0; j < 8; j++)
                ck_assert_msg(state[j] == (i < 3 ? 0 : j + 1), "g = %g: state %g", (double)gates[i],
                              state[j]);
        }
}
END_TEST

/*
 * alpha within 2^-58 of a middle between two bf16 values: its high part is that middle itself and only the
 * low part says on which side it lies. A stored A gives the steps: g = -A log 2. Ties would go up at one
 * middle, down at the other.
 */
START_TEST(alpha_is_rounded_once)
{
    double middle = 1 - (_i ? 3 : 1) * 0x1p-9, A = -log1p(middle - 1) / log(2);
    int sides[2] = {0, 0};
    mpfr_t exact;
    mpfr_init2(exact, BITS);
    for (int i = 0; i < 20; i++)
        A = nextafter(A, 0);
    for (int i = 0; i < 40; i++, A = nextafter(A, 1)) {
        mpfr_const_log2(exact, RN);
        mpfr_mul_d(exact, exact, -A, RN);
        mpfr_exp(exact, exact, RN);
        int above = mpfr_cmp_d(exact, middle) > 0;
        sides[above] += mpfr_get_d(exact, RN) == middle;
        for (int e = 0; e < 2; e++) {
            double bias = 0, g, alpha, state[8];
            float a = 0;
            gdn_params p = {.decay_is_a = true, .decay = &A, .dt_bias = &bias, .alpha = GDN_BF16};
            run_gates(engines[e], &p, &a, NULL, &alpha, &g, state);
            ck_assert_msg(alpha == middle + (above ? 0x1p-9 : -0x1p-9), "step %d: alpha %a", i, alpha);
        }
    }
    mpfr_clear(exact);
    ck_assert(sides[0] > 0 && sides[1] > 0);
}
END_TEST

/* Gate only: no recurrence, no q, k, v; the same g and alpha. */
START_TEST(gate_alone_is_the_same_gate)
{
    const scenario *s = &scenarios[0];
    inputs in = make_inputs(s);
    for (int e = 0; e < 2; e++) {
        outputs full = run_whole(engines[e], s, &in), r = new_outputs(s, 1);
        gdn_setup setup = {
            .shape = s->shape, .params = {false, in.decay, in.dt_bias, NULL, GDN_FP64}, .ncolumns = 8};
        gdn_block block = {.first = 1, .tokens = s->tokens, .a = in.a};
        gdn_outputs out = {.g = r.hi[G], .g_lo = r.lo[G], .alpha = r.hi[ALPHA], .alpha_lo = r.lo[ALPHA]};
        gdn_error err = {""};
        void *self;
        ck_assert(engines[e]->open(&self, &setup, &err) == GDN_OK);
        ck_assert(engines[e]->advance(self, &block, &out, &err) == GDN_OK);
        engines[e]->close(self);
        for (int i = G; i <= ALPHA; i++)
            ck_assert(memcmp(full.hi[i], r.hi[i], r.n[i] * sizeof(double)) == 0 &&
                      memcmp(full.lo[i], r.lo[i], r.n[i] * sizeof(double)) == 0);
        free_outputs(&full);
        free_outputs(&r);
    }
    free_inputs(&in);
}
END_TEST

/* A block may give g after one that gave a: nothing of the earlier gate stays. */
START_TEST(gate_inputs_may_change)
{
    double decay = 0.3, bias = -2, g, g_lo = 7, alpha;
    float a = 0.7f, given = -0.25f;
    gdn_params p = {.decay = &decay, .dt_bias = &bias, .alpha = GDN_FP64};
    gdn_setup setup = {.shape = {1, 1, 1}, .params = p, .ncolumns = 1};
    gdn_block blocks[2] = {{.first = 1, .tokens = 1, .a = &a}, {.first = 2, .tokens = 1, .g = &given}};
    gdn_outputs out = {.g = &g, .g_lo = &g_lo, .alpha = &alpha};
    gdn_error err = {""};
    void *self;
    ck_assert(gdn_dd_engine.open(&self, &setup, &err) == GDN_OK);
    ck_assert(gdn_dd_engine.advance(self, &blocks[0], &out, &err) == GDN_OK && g_lo != 0);
    ck_assert(gdn_dd_engine.advance(self, &blocks[1], &out, &err) == GDN_OK);
    ck_assert(g == -0.25 && g_lo == 0 && alpha == 0.77880078307140487);
    gdn_dd_engine.close(self);
}
END_TEST

/*
 * The bits of all short scenarios, by FNV-1a: the order of operations is part of the definition, and a change
 * of it is a new definition. The same on every machine and compiler.
 */
START_TEST(results_are_pinned)
{
    static const uint64_t pinned[2] = {UINT64_C(0x0ba58041f7f7a5ec), UINT64_C(0xad502cf50c83bb0c)};
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (int i = 0; i < SCENARIOS; i++) {
        if (scenarios[i].tokens > 200)
            continue;
        inputs in = make_inputs(&scenarios[i]);
        outputs r = run_whole(engines[_i], &scenarios[i], &in);
        for (int which = 0; which < OUTPUTS; which++)
            for (size_t j = 0; j < 2 * r.n[which]; j++) {
                uint64_t u;
                memcpy(&u, (j & 1 ? r.lo : r.hi)[which] + j / 2, sizeof u);
                for (int byte = 0; byte < 8; byte++)
                    hash = (hash ^ ((u >> (8 * byte)) & 0xff)) * UINT64_C(0x100000001b3);
            }
        free_outputs(&r);
        free_inputs(&in);
    }
    ck_assert_msg(hash == pinned[_i], "%s: 0x%016llx", engines[_i]->name, (unsigned long long)hash);
}
END_TEST

START_TEST(missing_inputs_are_named)
{
    double decay = 0, bias = 0, y[2], weight[2] = {1, 1};
    float x[2] = {1, 1};
    int column = 0;
    const gdn_block full = {1, 1, x, x, x, x, x, NULL, x, NULL};
    gdn_block bad[] = {full, full, full, full};
    bad[0].a = NULL;
    bad[1].k = NULL;
    bad[2].b = NULL;
    bad[3].z = NULL;
    for (int e = 0; e < 2; e++) {
        gdn_setup setup = {
            .shape = {1, 2, 2},
            .params = {.decay = &decay, .dt_bias = &bias, .norm_weight = weight, .alpha = GDN_FP64},
            .ncolumns = 2};
        setup.recurrence = true;
        gdn_error err = {""};
        void *self;
        ck_assert(engines[e]->open(&self, &setup, &err) == GDN_OK);
        gdn_outputs out = {.y = y};
        for (int i = 0; i < 4; i++) {
            err.text[0] = 0;
            ck_assert(engines[e]->advance(self, &bad[i], &out, &err) == GDN_BAD_INPUT && err.text[0]);
        }
        ck_assert(engines[e]->advance(self, &full, &out, &err) == GDN_OK);
        engines[e]->close(self);
        setup.columns = &column;
        setup.ncolumns = 1;
        ck_assert(engines[e]->open(&self, &setup, &err) == GDN_OK);
        ck_assert(engines[e]->advance(self, &full, &out, &err) == GDN_BAD_INPUT);
        engines[e]->close(self);
        column = 2;
        ck_assert(engines[e]->open(&self, &setup, &err) == GDN_BAD_INPUT);
        column = 0;
        setup.shape.dk = GDN_MAX_DIM + 1;
        ck_assert(engines[e]->open(&self, &setup, &err) == GDN_BAD_INPUT);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dd");
    TCase *c = tcase_create("arithmetic");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, arithmetic_keeps_its_bounds, 0, OPERATIONS);
    tcase_add_test(c, error_free_transforms_are_exact);
    tcase_add_test(c, compensated_sums_keep_their_bound);
    tcase_add_loop_test(c, functions_keep_their_bounds, 0, FUNCTIONS);
    tcase_add_test(c, functions_have_sane_ends);
    tcase_add_test(c, tables_are_correct);
    suite_add_tcase(suite, c);
    c = tcase_create("engines");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, engines_agree_with_mpfr, 0, SCENARIOS);
    tcase_add_test(c, doubled_beta_agrees_with_mpfr);
    tcase_add_test(c, norm_off_agrees_with_mpfr);
    tcase_add_loop_test(c, blocks_change_no_bit, 0, SCENARIOS);
    tcase_add_loop_test(c, instruction_sets_change_no_bit, 0, SCENARIOS);
    tcase_add_loop_test(c, sampled_columns_change_no_bit, 0, SCENARIOS);
    tcase_add_test(c, gates_have_sane_ends);
    tcase_add_test(c, gates_clear_and_keep_the_state);
    tcase_add_loop_test(c, alpha_is_rounded_once, 0, 2);
    tcase_add_test(c, gate_alone_is_the_same_gate);
    tcase_add_test(c, gate_inputs_may_change);
    tcase_add_loop_test(c, results_are_pinned, 0, 2);
    tcase_add_test(c, missing_inputs_are_named);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
