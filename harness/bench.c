/* SPDX-License-Identifier: Apache-2.0 */
/* bench -- nanoseconds per state element and token; see bench.h. */
#include "harness/bench.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics.h>
#include <jansson.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/inputs.h"
#include "base/simd.h"
#include "harness/bench_cuda.h"
#include "harness/limits.h"
#include "harness/provenance.h"
#include "kernels/recurrent.h"
#include "reference/gdn_dd.h"
#include "reference/gdn_fp64.h"
#include "reference/gdn_mpfr.h"
#include "reference/gdn_mpfr_fast.h"

enum { D = 128, TOKENS = 1024, HEADS = 16, MAX_REPEATS = 99 };

/* Above this spread of median over minimum a figure is called noisy. */
static const double NOISE = 0.1;

/* Engines that run one after the other on the first `heads` heads and the first `columns` columns. */
typedef struct part {
    const gdn_engine *engine; /* NULL: no such part */
    int heads, columns, precision;
} part;

enum { PARTS = 3 };

/* What is timed, per element of the first part. */
typedef struct subject {
    const char *name;
    const char *recipe;
    part part[PARTS];
    bool isas;   /* has a variant per instruction set */
    int threads; /* 1: timed by its processor time; more: by the wall clock */
} subject;

#define RECURRENT(recipe) "recurrent " recipe, recipe, {{&gdn_recurrent_engine, 1, D, 0}}, true, 1
/* fp64, double-double on one column in 16, MPFR on one column of one head: what a task runs for one set of
 * parameters */
#define CERTIFIED(heads)                                                                                     \
    NULL,                                                                                                    \
        {{&gdn_fp64_engine, heads, D, 0},                                                                    \
         {&gdn_dd_engine, heads, D / 16, 0},                                                                 \
         {&gdn_mpfr_fast_engine, 1, 1, 113}},                                                                \
        true, 1

static const subject subjects[] = {
    {RECURRENT("fp32")},
    {RECURRENT("bf16-io")},
    {RECURRENT("bf16-state")},
    {RECURRENT("bf16-state-sr")},
    {RECURRENT("bf16")},
    {"fp64", NULL, {{&gdn_fp64_engine, 1, D, 0}}, true, 1},
    {"certified fp64, 16 heads", CERTIFIED(HEADS)},
    {"certified fp64, 1 head", CERTIFIED(1)},
    {"dd", NULL, {{&gdn_dd_engine, 1, D, 0}}, true, 1},
    {"mpfr fast, 113 bits", NULL, {{&gdn_mpfr_fast_engine, 1, D, 113}}, false, 1},
    {"mpfr fast, 2 threads", NULL, {{&gdn_mpfr_fast_engine, 1, D, 113}}, false, 2},
    {"mpfr literal, 113 bits", NULL, {{&gdn_mpfr_engine, 1, D, 113}}, false, 1},
    {"mpfr literal, 160 bits", NULL, {{&gdn_mpfr_engine, 1, D, 160}}, false, 1},
};

enum {
    SUBJECTS = sizeof subjects / sizeof subjects[0],
    LITERAL = SUBJECTS - 2
}; /* what the last column divides by */

static double seconds_on(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Times of repeats, as median and minimum of a unit cost. */
typedef struct timing {
    double median, minimum;
} timing;

static timing summarise(double *x, int n)
{
    gsl_sort(x, 1, (size_t)n);
    return (timing){gsl_stats_median_from_sorted_data(x, 1, (size_t)n), x[0]};
}

/* ---- inputs ---- */

typedef struct inputs {
    float *q, *k, *v, *a, *b;
    double *o;
} inputs;

static gdn_status inputs_make(inputs *in, gdn_error *err)
{
    static const gdn_input_spec spec = {.keys = GDN_KEYS_ISOTROPIC, .a_scale = 1, .b_scale = 1};
    const gdn_shape shape = {HEADS, D, D};
    enum { N = HEADS * TOKENS };
    in->q = gdn_calloc(N * D, sizeof(float));
    in->k = gdn_calloc(N * D, sizeof(float));
    in->v = gdn_calloc(N * D, sizeof(float));
    in->a = gdn_calloc(N, sizeof(float));
    in->b = gdn_calloc(N, sizeof(float));
    in->o = gdn_calloc(N * D * 2, sizeof(double));
    if (!in->q || !in->k || !in->v || !in->a || !in->b || !in->o)
        return gdn_no_memory(err, "the inputs of a benchmark");
    gdn_inputs_fill(&spec, &shape, 1, 0, 1, TOKENS, in->q, in->k, in->v, NULL, in->a, in->b);
    return GDN_OK;
}

static void inputs_free(inputs *in)
{
    free(in->q);
    free(in->k);
    free(in->v);
    free(in->a);
    free(in->b);
    free(in->o);
}

/* ---- engines ---- */

typedef struct running {
    void *engine[PARTS];
    gdn_setup setup[PARTS];
    double decay[HEADS], dt_bias[HEADS];
    int columns[D];
} running;

static gdn_status open_parts(running *r, const subject *s, gdn_error *err)
{
    gdn_status status = GDN_OK;
    for (int h = 0; h < HEADS; h++) {
        r->decay[h] = -1.3;
        r->dt_bias[h] = -4;
    }
    for (int j = 0; j < D; j++)
        r->columns[j] = j;
    for (int i = 0; i < PARTS && s->part[i].engine && !status; i++) {
        const part *p = &s->part[i];
        r->setup[i] = (gdn_setup){.shape = {p->heads, D, D},
                                  .params = {.decay = r->decay, .dt_bias = r->dt_bias, .alpha = GDN_FP64},
                                  .columns = p->columns < D ? r->columns : NULL,
                                  .ncolumns = p->columns,
                                  .recurrence = true,
                                  .seed = 1,
                                  .recipe = s->recipe ? gdn_recipe_by_name(s->recipe) : NULL,
                                  .precision = p->precision};
        status = p->engine->open(&r->engine[i], &r->setup[i], err);
    }
    return status;
}

static gdn_status advance_parts(const running *r, const subject *s, const inputs *in, int64_t first,
                                int tokens, gdn_error *err)
{
    const gdn_block block = {
        .first = first, .tokens = tokens, .q = in->q, .k = in->k, .v = in->v, .a = in->a, .b = in->b};
    gdn_status status = GDN_OK;
    for (int i = 0; i < PARTS && s->part[i].engine && !status; i++) {
        const gdn_engine *e = s->part[i].engine;
        gdn_outputs out = {.o = in->o, .o_lo = e->pairs ? in->o + HEADS * TOKENS * D : NULL};
        status = e->advance(r->engine[i], &block, &out, err);
    }
    return status;
}

/* ns per state element and token of one subject on the forced instruction set. */
static gdn_status time_engine(const subject *s, const inputs *in, const gdn_bench_options *options, timing *t,
                              gdn_error *err)
{
    double x[MAX_REPEATS], elements = (double)s->part[0].heads * D * s->part[0].columns;
    running r = {{NULL}};
    gdn_status status = open_parts(&r, s, err);
    clockid_t clock = s->threads > 1 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;
    int before = omp_get_max_threads();
    omp_set_num_threads(s->threads);
    int64_t first = 1;
    int tokens = s->part[0].precision ? 16 : TOKENS;
    for (int i = -1; i < options->repeats && !status; i++) { /* the first warms up */
        long done = 0;
        double start = seconds_on(clock), spent = 0;
        do {
            status = advance_parts(&r, s, in, first, tokens, err);
            first += tokens;
            done += tokens;
            spent = seconds_on(clock) - start;
        } while (!status && spent < options->seconds);
        if (i >= 0)
            x[i] = spent / ((double)done * elements) * 1e9;
    }
    omp_set_num_threads(before);
    for (int i = 0; i < PARTS && s->part[i].engine; i++)
        s->part[i].engine->close(r.engine[i]);
    if (!status)
        *t = summarise(x, options->repeats);
    return status;
}

/* ---- limits ---- */

static const gdn_limit_code *const limit_codes[GDN_ISAS] = {
    &gdn_limit_code_scalar,
#if defined(__x86_64__)
    &gdn_limit_code_avx2,
    &gdn_limit_code_avx512,
#endif
};

typedef struct limits {
    double fma, l1, l2; /* 1/s, bytes/s */
} limits;

/* The best rate of a few tries. */
static double rate(double (*work)(const gdn_limit_code *, void *), const gdn_limit_code *code, void *buffer)
{
    double best = 0;
    for (int i = 0; i < 5; i++) {
        double start = seconds_on(CLOCK_THREAD_CPUTIME_ID), done = work(code, buffer),
               r = done / (seconds_on(CLOCK_THREAD_CPUTIME_ID) - start);
        best = r > best ? r : best;
    }
    return best;
}

static double work_fma(const gdn_limit_code *code, void *buffer)
{
    (void)buffer;
    return code->fma(400000);
}

static double work_l1(const gdn_limit_code *code, void *buffer)
{
    return code->update(buffer, 16 << 10, 4000);
}

static double work_l2(const gdn_limit_code *code, void *buffer)
{
    return code->update(buffer, 256 << 10, 250);
}

static gdn_status measure_limits(gdn_isa isa, limits *l, gdn_error *err)
{
    float *buffer = gdn_calloc(256 << 10, 1);
    if (!buffer)
        return gdn_no_memory(err, "a benchmark");
    *l = (limits){rate(work_fma, limit_codes[isa], buffer), rate(work_l1, limit_codes[isa], buffer),
                  rate(work_l2, limit_codes[isa], buffer)};
    free(buffer);
    return GDN_OK;
}

/* ---- report ---- */

static void add(json_t *results, const char *name, gdn_isa isa, bool isas, timing t, double literal,
                FILE *text)
{
    double noise = t.median / t.minimum - 1;
    const char *isa_name = isas ? gdn_isa_names[isa] : "-";
    if (text)
        fprintf(text, "%-26s %-7s %10.3f %10.3f %6.1f %%%s %9.1f x\n", name, isa_name, t.median, t.minimum,
                100 * noise, noise > NOISE ? " !" : "  ", literal / t.median);
    json_array_append_new(results, json_pack("{s:s, s:s, s:f, s:f, s:f, s:f}", "name", name, "isa", isa_name,
                                             "ns_per_element_token", t.median, "ns_minimum", t.minimum,
                                             "noise", noise, "times_literal_mpfr", literal / t.median));
}

static gdn_status run_cpu(const gdn_bench_options *options, json_t *results, json_t *limits_out, FILE *text,
                          gdn_error *err)
{
    timing literal = {0, 0}, t;
    inputs made = {0}, *in = &made;
    gdn_status status = inputs_make(in, err);
    if (!status)
        status = time_engine(&subjects[LITERAL], in, options, &literal, err);
    if (!status && text)
        fprintf(text,
                "ns per state element and token; one head, d_k = d_v = 128, one core unless threads are "
                "named; %d repeats of %.2g s\n\n",
                options->repeats, options->seconds);
    if (!status && text)
        fprintf(text, "%-26s %-7s %10s %10s %8s %13s\n", "engine", "isa", "median ns", "least ns", "noise",
                "literal MPFR /");
    for (int i = 0; i < SUBJECTS && !status; i++)
        for (gdn_isa isa = 0; isa < (subjects[i].isas ? GDN_ISAS : 1) && !status; isa++) {
            if (!gdn_isa_available(isa) || (options->filter && !strstr(subjects[i].name, options->filter)))
                continue;
            gdn_isa_force(isa);
            status = time_engine(&subjects[i], in, options, &t, err);
            if (!status)
                add(results, subjects[i].name, isa, subjects[i].isas, t, literal.median, text);
        }
    if (!status && text)
        fprintf(text, "\n%-7s %14s %16s %16s %22s\n", "limits", "G fma/s", "L1 r+w GB/s", "L2 r+w GB/s",
                "4 fp32 fma, ns/element");
    for (gdn_isa isa = 0; isa < GDN_ISAS && !status; isa++) {
        limits l = {0};
        if (!gdn_isa_available(isa))
            continue;
        if ((status = measure_limits(isa, &l, err)))
            break;
        if (text)
            fprintf(text, "%-7s %14.2f %16.1f %16.1f %22.3f\n", gdn_isa_names[isa], l.fma / 1e9, l.l1 / 1e9,
                    l.l2 / 1e9, 4e9 / l.fma);
        json_array_append_new(limits_out,
                              json_pack("{s:s, s:f, s:f, s:f}", "isa", gdn_isa_names[isa], "fma_per_s", l.fma,
                                        "l1_bytes_per_s", l.l1, "l2_bytes_per_s", l.l2));
    }
    inputs_free(in);
    return status;
}

#ifndef GDN_CUDA
gdn_status gdn_bench_cuda(const gdn_bench_options *options, int device, json_t *results, json_t *limits_out,
                          FILE *text, gdn_error *err)
{
    (void)options;
    (void)device;
    (void)results;
    (void)limits_out;
    (void)text;
    return gdn_fail(err, GDN_MACHINE, "this gdnprec was built without CUDA: nvcc was not found");
}
#endif

gdn_status gdn_bench(const gdn_bench_options *options, FILE *out, gdn_error *err)
{
    gdn_isa isa = gdn_isa_best();
    bool cuda = strcmp(options->backend, "cuda") == 0;
    FILE *text = options->json ? NULL : out;
    json_t *context = gdn_bench_context(), *results = json_array(), *limits_out = json_array();
    gdn_status status = gdn_inputs_init(err);
    if (!status && !cuda && strcmp(options->backend, "cpu") != 0)
        status = gdn_fail(err, GDN_BAD_INPUT, "--backend: '%s' is not allowed; cpu and cuda are",
                          options->backend);
    if (!status && text)
        fprintf(text, "gdnprec %s, %s, %s\n", gdn_version_long(),
                json_string_value(json_object_get(context, "cpu")),
                json_string_value(json_object_get(context, "compiler")));
    if (!status)
        status = cuda ? gdn_bench_cuda(options, options->device, results, limits_out, text, err)
                      : run_cpu(options, results, limits_out, text, err);
    gdn_isa_force(isa);
    size_t i, noisy = 0;
    json_t *o;
    json_array_foreach(results, i, o) noisy += json_real_value(json_object_get(o, "noise")) > NOISE;
    if (!status && options->json) {
        json_t *root = json_pack("{s:i, s:O, s:O, s:O}", "json_schema_version", 1, "context", context,
                                 "benchmarks", results, "limits", limits_out);
        json_dumpf(root, out, JSON_INDENT(2));
        fprintf(out, "\n");
        json_decref(root);
    }
    if (!status && noisy)
        fprintf(stderr,
                "gdnprec: warning: %zu figures vary by more than %.0f %% between repeats; the machine is "
                "busy, quote "
                "ratios only\n",
                noisy, 100 * NOISE);
    json_decref(context);
    json_decref(results);
    json_decref(limits_out);
    return status;
}
