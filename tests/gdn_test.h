/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gdn_test -- what the test programs share: the runner, a random source of their own, MPFR as an oracle of
 * rounding, and the one table of tolerances.
 *
 * A test program is one suite: GDN_TEST_MAIN("format", test_a, test_b). Exit status 0 when every test passed.
 */
#ifndef GDN_TESTS_GDN_TEST_H
#define GDN_TESTS_GDN_TEST_H

#include <check.h>
#include <ftw.h>
#include <math.h>
#include <mpfr.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/engine.h"

/* Tolerances, all of them, each with its derivation; none is raised to get green. u: unit roundoff. */
static const struct gdn_tolerances {
    double portable_exp, portable_log, portable_log1p, portable_softplus, portable_sigmoid, portable_rsqrt;
    double portable_fp32;
    double gate_storage, softplus_x2;
    double linear_margin, sigmas;
    double mpfr_quad, mpfr_certificate, mpfr_sampled;
    double golden;
    double shapley;
    double layer_golden, layer_fp32, layer_off, layer_model;
} gdn_tolerance __attribute__((unused)) = {
    /* portable_*: relative error of kernels/portable.h in units of e = 2^-53, a sum of roundings. */

    /*
     * r carries two roundings of 2^-55: 0.5. The outer fma adds 1 at most (0.71 where exp r < 1), the one
     * below it |r| / exp r <= 0.49, the rest 0.1. Largest together where exp r < 1: 1.8 (measured 1.2).
     */
    .portable_exp = 2,
    /*
     * k = 0: outer sum 1, tail (|f| / 2 <= 0.21 of the result) 4.5 of its own: 1.95. k != 0: outer fma 1,
     * inner sum 2^-55 / 0.3466 = 0.72, tail 0.0675 x 4.5 / 0.3466 = 0.88: 2.6 (measured 1.3).
     */
    .portable_log = 3,
    /* As log: what 1 + u loses is handed on exactly (measured 1.2). */
    .portable_log1p = 3,
    /* x <= 0: log1p 3 and exp 2, whose share is at most 1. x > 0: that and one more sum (measured 1.9). */
    .portable_softplus = 6,
    /* exp 2, sum 1, quotient 1 (measured 2.5). */
    .portable_sigmoid = 4,
    /* Root 1, quotient 1 (measured 1.5). */
    .portable_rsqrt = 2,

    /* Rounded to fp32, in ulps: 1/2, and 6 e is at most 6 2^-29 = 1.1e-8 ulp. */
    .portable_fp32 = 0.5000001,

    /*
     * Closed form of the storage error against the difference of two MPFR runs, relative: hi + lo are good to
     * 2^-106, the difference is at least 2^-24 of them; quotient and sum in double cost 2^-52.
     */
    .gate_storage = 1e-12,
    /* Factor either way: claims.md X2 gives one digit of an error that varies as much with x. */
    .softplus_x2 = 4,

    /*
     * v enters three runs whose local errors are independent. A local error comes from dk / 4 + 10 roundings
     * of quantities no larger than M = max over t of |S| + |v|, rms 0.4247 u each (spec section 7); delta
     * rule and decay never enlarge what is there. Root sum of squares over T tokens and 3 runs, times this
     * margin for the scatter: margin x 0.4247 u sqrt(3 T (dk / 4 + 10)) M, and u of the state's format once a
     * token.
     */
    .linear_margin = 3,
    /* Standard deviations that a test on random numbers (of pinned seeds) may lie off. */
    .sigmas = 5,

    /*
     * Two recurrences in 113 bits over T = 64 tokens, d = 16: local errors of d + 8 roundings add up to
     * 64 x 24 x 2^-113 < 2^-102 of the largest state; hi + lo are cut at 2^-106.
     */
    .mpfr_quad = 0x1p-100,
    /* 113 against 160 bits: the same count gives 2^-102; 2^-90 is what the reference promises. */
    .mpfr_certificate = 0x1p-90,
    /* ms passes through hi + lo (2^-106), enters y with weight 1/2, and y is cut at 2^-106 too. */
    .mpfr_sampled = 0x1p-100,

    /* Relative, of the figures of golden/README.md, which another reference measured. */
    .golden = 0.01,

    /*
     * On the scale of the largest v: 2^7 differences of two values, each times a weight of 8 roundings, whose
     * weights sum to 1, added up in 2^7 sums: (8 + 128) 2^-52. Square roots and quotients cost 2^-51 more.
     */
    .shapley = 0x1p-44,

    /* Relative L2 of each stage of a whole fp32 layer against what transformers recorded (issue 5). */
    .layer_golden = 1e-6,
    /*
     * The same of ours against the truth: sums of D = 64 terms in 16 parts, a conv, two norms and 80 tokens
     * of a recurrence, a few u each where they add up; measured 3e-7.
     */
    .layer_fp32 = 1e-6,
    /* Elements of a bf16 stage off by one ulp: where fp32 sums in another order straddle a tie (issue 5). */
    .layer_off = 0.01,
    /* MPFR against long double with q, k and v in double: the same count as layer_fp32, which is 16 u. */
    .layer_model = 16 * 0x1p-53,
};

/* A check cheap enough for inner loops: nothing happens until it fails. Give operands as %a. */
#define GDN_CHECK(condition, ...)                                                                            \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            ck_abort_msg(__VA_ARGS__);                                                                       \
    } while (0)

/* Seconds a test may take before check ends it; a whole program takes a few. */
enum { GDN_TEST_SECONDS = 60 };

/* Run tests as one suite, each a case of its own name (CK_RUN_CASE chooses); the exit status of the program.
 */
static inline int gdn_test_run(const char *name, const TTest *const *tests, size_t n)
{
    Suite *suite = suite_create(name);
    for (size_t i = 0; i < n; i++) {
        TCase *one = tcase_create(tests[i]->name);
        tcase_set_timeout(one, GDN_TEST_SECONDS);
        tcase_add_test(one, tests[i]);
        suite_add_tcase(suite, one);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#define GDN_TEST_MAIN(name, ...)                                                                             \
    int main(void)                                                                                           \
    {                                                                                                        \
        const TTest *const tests[] = {__VA_ARGS__};                                                          \
        return gdn_test_run(name, tests, sizeof tests / sizeof tests[0]);                                    \
    }

/* A new directory under TMPDIR for the files of test program `name`; false, said on stderr, where none can be
 * made. */
static inline bool gdn_test_scratch(char *path, size_t size, const char *name)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(path, size, "%.40s/gdn_%.10s_XXXXXX", tmp ? tmp : "/tmp", name);
    if (mkdtemp(path))
        return true;
    perror(path);
    return false;
}

static inline int gdn_test_remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st, (void)type, (void)where;
    return remove(path);
}

/* Remove a directory with all that is in it; links are removed, not followed. 0 when all is gone. */
static inline int gdn_test_remove(const char *path)
{
    return nftw(path, gdn_test_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Sixty-four random bits (splitmix64); *state is the seed and moves on. */
static inline uint64_t gdn_test_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/* A uniform double in [lo, hi). */
static inline double gdn_test_uniform(uint64_t *state, double lo, double hi)
{
    return lo + (hi - lo) * ((double)(gdn_test_random(state) >> 11) * 0x1p-53);
}

/* A double of random sign and significand, its exponent uniform in elo..ehi. */
static inline double gdn_test_any(uint64_t *state, int elo, int ehi)
{
    int e = elo + (int)(gdn_test_random(state) % (uint64_t)(ehi - elo + 1));
    double m = gdn_test_uniform(state, 1, 2);
    return ldexp(gdn_test_random(state) & 1 ? -m : m, e);
}

/* Zeroed memory for a test; no test goes on without. */
static inline void *gdn_test_alloc(size_t n, size_t size)
{
    void *p = gdn_calloc(n, size);
    if (!p)
        ck_abort_msg("out of memory for %zu x %zu bytes", n, size);
    return p;
}

/* Equal values and equal signs of zero, or both NaN. */
static inline bool gdn_same(double x, double y)
{
    return x != x ? y != y : x == y && signbit(x) == signbit(y);
}

/*
 * MPFR rounding into a format: the number of p bits in the format's exponent range, subnormals by
 * mpfr_subnormalize. open narrows MPFR's exponent range for the process until close.
 */
typedef struct gdn_oracle {
    const gdn_format *f;
    mpfr_t y;
    mpfr_exp_t emin, emax; /* what close restores */
} gdn_oracle;

static inline void gdn_oracle_open(gdn_oracle *o, const gdn_format *f)
{
    o->f = f;
    o->emin = mpfr_get_emin();
    o->emax = mpfr_get_emax();
    mpfr_init2(o->y, f->p);
    mpfr_set_emin(f->emin - f->p + 2); /* MPFR significands lie in [1/2, 1) */
    mpfr_set_emax(f->emax + 1);
}

static inline void gdn_oracle_close(gdn_oracle *o)
{
    mpfr_clear(o->y);
    mpfr_set_emin(o->emin);
    mpfr_set_emax(o->emax);
}

static inline double gdn_oracle_round(gdn_oracle *o, double x, mpfr_rnd_t rounding)
{
    int ternary = mpfr_set_d(o->y, x, rounding);
    mpfr_subnormalize(o->y, ternary, rounding);
    double y = mpfr_get_d(o->y, MPFR_RNDN);
    if (fabs(y) > o->f->max)
        return o->f->has_infinity ? copysign(INFINITY, y) : NAN;
    return y;
}

/*
 * A problem: what an engine is opened on and fed. problem_new fills inputs and parameters with random bf16
 * values; what starts NULL or zero may be set by the test. problem_free frees all but columns.
 */
typedef struct gdn_problem {
    gdn_shape shape;
    int tokens;
    int64_t origin;               /* the first token stands at position origin + 1 */
    float *q, *k, *v, *z, *a, *b; /* as in gdn_block, [H][tokens][.] */
    float *g, *beta;              /* [H][tokens]; where given, a or b is not used */
    double *decay, *dt_bias, *w;  /* [H], [H], [dv] */
    bool decay_is_a;
    gdn_format_id alpha;
    int beta_shift;
    bool l2norm_off;
    double scale;
    double *state0;     /* [H][dk][dv] */
    double *ms, *ms_lo; /* [H][tokens]: handed to an engine on sampled columns */
    const int *columns; /* [ncolumns] */
    int ncolumns;
    int precision;
    uint64_t seed; /* of stochastic rounding */
} gdn_problem;

/* Everything an engine has to say; arrays as in gdn_outputs, m columns. */
typedef struct gdn_result {
    double *g, *g_lo, *alpha, *alpha_lo; /* [H][tokens] */
    double *o, *o_lo, *y, *y_lo;         /* [H][tokens][m] */
    double *ms, *ms_lo;                  /* [H][tokens] */
    double *state, *state_lo;            /* [H][dk][m] */
} gdn_result;

static inline int gdn_problem_columns(const gdn_problem *p)
{
    return p->columns ? p->ncolumns : p->shape.dv;
}

/* Numbers in the per-token scalars, the outputs and the state of a problem. */
static inline size_t gdn_problem_rows(const gdn_problem *p)
{
    return (size_t)p->shape.heads * (size_t)p->tokens;
}

static inline size_t gdn_problem_values(const gdn_problem *p)
{
    return gdn_problem_rows(p) * (size_t)gdn_problem_columns(p);
}

static inline size_t gdn_problem_state(const gdn_problem *p)
{
    return (size_t)p->shape.heads * (size_t)p->shape.dk * (size_t)gdn_problem_columns(p);
}

/* n random bf16 values in [lo, hi]. */
static inline float *gdn_test_floats(uint64_t *seed, size_t n, double lo, double hi)
{
    float *x = gdn_test_alloc(n, sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = gdn_bf16_to_float(gdn_float_to_bf16((float)gdn_test_uniform(seed, lo, hi)));
    return x;
}

/* n random fp32 values in [lo, hi]. */
static inline double *gdn_test_doubles(uint64_t *seed, size_t n, double lo, double hi)
{
    double *x = gdn_test_alloc(n, sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)gdn_test_uniform(seed, lo, hi);
    return x;
}

/* A random problem; the fourth token of the first head has zero q and k. */
static inline gdn_problem gdn_problem_new(gdn_shape s, int tokens, uint64_t seed)
{
    size_t H = (size_t)s.heads, rows = H * (size_t)tokens, dk = (size_t)s.dk, dv = (size_t)s.dv;
    gdn_problem p = {.shape = s, .tokens = tokens, .seed = seed, .precision = 113};
    p.q = gdn_test_floats(&seed, rows * dk, -2, 2);
    p.k = gdn_test_floats(&seed, rows * dk, -2, 2);
    p.v = gdn_test_floats(&seed, rows * dv, -2, 2);
    p.z = gdn_test_floats(&seed, rows * dv, -2, 2);
    p.a = gdn_test_floats(&seed, rows, -3, 3);
    p.b = gdn_test_floats(&seed, rows, -3, 3);
    p.decay = gdn_test_doubles(&seed, H, -4, 0);
    p.dt_bias = gdn_test_doubles(&seed, H, -4, 0);
    p.w = gdn_test_doubles(&seed, dv, 0.5, 1.5);
    if (tokens > 3) {
        memset(p.q + 3 * dk, 0, dk * sizeof *p.q);
        memset(p.k + 3 * dk, 0, dk * sizeof *p.k);
    }
    return p;
}

static inline void gdn_problem_free(gdn_problem *p)
{
    void *all[] = {p->q,    p->k,     p->v,       p->z, p->a,      p->b,  p->g,
                   p->beta, p->decay, p->dt_bias, p->w, p->state0, p->ms, p->ms_lo};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

static inline gdn_result gdn_result_new(const gdn_problem *p)
{
    size_t rows = gdn_problem_rows(p), values = gdn_problem_values(p), state = gdn_problem_state(p);
    gdn_result r;
    const struct {
        double **x;
        size_t n;
    } all[] = {{&r.g, rows},   {&r.g_lo, rows},   {&r.alpha, rows},  {&r.alpha_lo, rows},
               {&r.o, values}, {&r.o_lo, values}, {&r.y, values},    {&r.y_lo, values},
               {&r.ms, rows},  {&r.ms_lo, rows},  {&r.state, state}, {&r.state_lo, state}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        *all[i].x = gdn_test_alloc(all[i].n, sizeof(double));
    return r;
}

static inline void gdn_result_free(gdn_result *r)
{
    void *all[] = {r->g, r->g_lo, r->alpha, r->alpha_lo, r->o,     r->o_lo,
                   r->y, r->y_lo, r->ms,    r->ms_lo,    r->state, r->state_lo};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

/* Copy tokens first .. first + n - 1 between whole: [H][tokens][bytes] and part: [H][n][bytes]; bytes a
 * token. */
static inline void gdn_test_copy(const gdn_problem *p, void *whole, void *part, int first, int n,
                                 size_t bytes, bool out)
{
    for (size_t h = 0; h < (size_t)p->shape.heads; h++) {
        char *w = (char *)whole + (h * (size_t)p->tokens + (size_t)first) * bytes;
        char *x = (char *)part + h * (size_t)n * bytes;
        memcpy(out ? w : x, out ? x : w, (size_t)n * bytes);
    }
}

/* Those tokens of x: [H][tokens][width] as an array of their own; NULL stays NULL. */
static inline float *gdn_test_cut(const gdn_problem *p, float *x, int first, int n, int width)
{
    if (!x)
        return NULL;
    float *y = gdn_test_alloc((size_t)p->shape.heads * (size_t)n * (size_t)width, sizeof *y);
    gdn_test_copy(p, x, y, first, n, (size_t)width * sizeof *y, false);
    return y;
}

/* Open an engine on the problem. */
static inline void *gdn_problem_open(const gdn_problem *p, const gdn_engine *engine, const void *recipe)
{
    gdn_setup setup = {.shape = p->shape,
                       .params = {p->decay_is_a, p->decay, p->dt_bias, p->w, p->alpha, p->beta_shift,
                                  p->l2norm_off, p->scale},
                       .columns = p->columns,
                       .ncolumns = p->ncolumns,
                       .recurrence = true,
                       .seed = p->seed,
                       .recipe = recipe,
                       .precision = p->precision,
                       .state0 = p->state0};
    gdn_error err = {""};
    void *self = NULL;
    GDN_CHECK(engine->open(&self, &setup, &err) == GDN_OK, "%s", err.text);
    return self;
}

/* Advance over n tokens from `first` on (0-based); their outputs go where they belong in r. */
static inline void gdn_problem_advance(const gdn_problem *p, const gdn_engine *engine, void *self, int first,
                                       int n, const gdn_result *r)
{
    int dk = p->shape.dk, dv = p->shape.dv;
    float *x[] = {gdn_test_cut(p, p->q, first, n, dk),
                  gdn_test_cut(p, p->k, first, n, dk),
                  gdn_test_cut(p, p->v, first, n, dv),
                  gdn_test_cut(p, p->z, first, n, dv),
                  gdn_test_cut(p, p->g ? NULL : p->a, first, n, 1),
                  gdn_test_cut(p, p->g, first, n, 1),
                  gdn_test_cut(p, p->beta ? NULL : p->b, first, n, 1),
                  gdn_test_cut(p, p->beta, first, n, 1)};
    gdn_block in = {p->origin + first + 1, n, x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]};
    gdn_problem part = *p;
    part.tokens = n;
    gdn_result s = gdn_result_new(&part);
    gdn_outputs out = {s.g, s.g_lo, s.alpha, s.alpha_lo, s.o, s.o_lo, s.y, s.y_lo, s.ms, s.ms_lo};
    if (p->columns) {
        gdn_test_copy(p, p->ms, s.ms, first, n, sizeof(double), false);
        gdn_test_copy(p, p->ms_lo, s.ms_lo, first, n, sizeof(double), false);
    }
    gdn_error err = {""};
    GDN_CHECK(engine->advance(self, &in, &out, &err) == GDN_OK, "%s", err.text);
    double *whole[] = {r->g, r->g_lo, r->alpha, r->alpha_lo, r->ms, r->ms_lo, r->o, r->o_lo, r->y, r->y_lo};
    double *some[] = {s.g, s.g_lo, s.alpha, s.alpha_lo, s.ms, s.ms_lo, s.o, s.o_lo, s.y, s.y_lo};
    for (int i = 0; i < 10; i++)
        gdn_test_copy(p, whole[i], some[i], first, n,
                      (i < 6 ? 1 : (size_t)gdn_problem_columns(p)) * sizeof(double), true);
    gdn_result_free(&s);
    for (size_t i = 0; i < sizeof x / sizeof x[0]; i++)
        free(x[i]);
}

static inline void gdn_problem_read(const gdn_engine *engine, void *self, const gdn_result *r)
{
    gdn_error err = {""};
    GDN_CHECK(engine->read_state(self, r->state, r->state_lo, &err) == GDN_OK, "%s", err.text);
}

/* The whole problem in blocks of these lengths, of which the last repeats. */
static inline gdn_result gdn_problem_run(const gdn_problem *p, const gdn_engine *engine, const void *recipe,
                                         const int *lengths, int n)
{
    gdn_result r = gdn_result_new(p);
    void *self = gdn_problem_open(p, engine, recipe);
    for (int t = 0, i = 0; t < p->tokens; i++) {
        int length = lengths[i < n ? i : n - 1];
        length = length < p->tokens - t ? length : p->tokens - t;
        gdn_problem_advance(p, engine, self, t, length, &r);
        t += length;
    }
    gdn_problem_read(engine, self, &r);
    engine->close(self);
    return r;
}

/* Equal bits in n numbers; `where` says what was compared. */
static inline void gdn_check_bits(const double *x, const double *y, size_t n, const char *where)
{
    for (size_t i = 0; i < n; i++)
        GDN_CHECK(gdn_same(x[i], y[i]), "%s, element %zu: %a, not %a", where, i, x[i], y[i]);
}

/* Equal bits in everything two runs of a problem gave. */
static inline void gdn_check_results(const gdn_problem *p, const gdn_result *x, const gdn_result *y,
                                     const char *what)
{
    size_t rows = gdn_problem_rows(p), values = gdn_problem_values(p), state = gdn_problem_state(p);
    const struct {
        const char *name;
        const double *x, *y;
        size_t n;
    } all[] = {{"g", x->g, y->g, rows},
               {"g lo", x->g_lo, y->g_lo, rows},
               {"alpha", x->alpha, y->alpha, rows},
               {"alpha lo", x->alpha_lo, y->alpha_lo, rows},
               {"o", x->o, y->o, values},
               {"o lo", x->o_lo, y->o_lo, values},
               {"y", x->y, y->y, values},
               {"y lo", x->y_lo, y->y_lo, values},
               {"ms", x->ms, y->ms, rows},
               {"ms lo", x->ms_lo, y->ms_lo, rows},
               {"state", x->state, y->state, state},
               {"state lo", x->state_lo, y->state_lo, state}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        char where[256];
        snprintf(where, sizeof where, "%s, dk %d, dv %d: %s", what, p->shape.dk, p->shape.dv, all[i].name);
        gdn_check_bits(all[i].x, all[i].y, all[i].n, where);
    }
}

#endif
