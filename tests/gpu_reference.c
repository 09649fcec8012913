/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gpu_reference -- the CUDA twins of the double-double and fp64 engines give the bits of the CPU.
 *
 * Both engines run the same problem; every output and the state are compared bit for bit, NaN with any NaN.
 * Shapes around the registers of the fast kernels, samples of columns, uneven blocks, every kind of keys, and
 * the ends of the range.
 */
#include "base/cuda.h"
#include "base/inputs.h"
#include "reference/gdn_dd.h"
#include "reference/gdn_fp64.h"
#include "tests/gdn_test.h"

/* ---- a CUDA engine on host memory ---- */

typedef struct over {
    const gdn_engine *engine;
    void *self;
    gdn_shape shape;
    int columns;
} over;

static void must(gdn_status status, const gdn_error *err)
{
    GDN_CHECK(status == GDN_OK, "%s", err->text);
}

/* A copy of n x size host bytes on the device; NULL stays NULL. */
static void *there(const void *x, size_t n, size_t size)
{
    gdn_error err = {""};
    void *p = NULL;
    if (x)
        must(gdn_cuda_copy_of(&p, x, n, size, "a test", &err), &err);
    return p;
}

/* n doubles back, and the device memory freed. */
static void back(double *to, void *from, size_t n)
{
    gdn_error err = {""};
    if (from)
        must(gdn_cuda_to_host(to, from, n * sizeof *to, &err), &err);
    gdn_cuda_free(from);
}

static gdn_status over_open(void **self, const gdn_setup *setup, const gdn_engine *engine, gdn_error *err)
{
    over *o = gdn_test_alloc(1, sizeof *o);
    o->engine = engine;
    o->shape = setup->shape;
    o->columns = setup->columns ? setup->ncolumns : setup->shape.dv;
    gdn_status status = engine->open(&o->self, setup, err);
    if (status)
        free(o);
    *self = status ? NULL : o;
    return status;
}

static gdn_status over_advance(void *self, const gdn_block *in, const gdn_outputs *out, gdn_error *err)
{
    const over *o = self;
    size_t n = (size_t)o->shape.heads * (size_t)in->tokens, dk = (size_t)o->shape.dk,
           dv = (size_t)o->shape.dv;
    size_t m = n * (size_t)o->columns;
    const float *host[] = {in->q, in->k, in->v, in->z, in->a, in->g, in->b, in->beta};
    const size_t lengths[] = {n * dk, n * dk, n * dv, n * dv, n, n, n, n};
    double *results[] = {out->g,     out->g_lo, out->alpha, out->alpha_lo, out->ms,
                         out->ms_lo, out->o,    out->o_lo,  out->y,        out->y_lo};
    void *x[8], *y[10];
    for (int i = 0; i < 8; i++)
        x[i] = there(host[i], lengths[i], sizeof(float));
    for (int i = 0; i < 10; i++)
        y[i] = there(results[i], i < 6 ? n : m, sizeof(double));
    gdn_block block = {in->first, in->tokens, x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]};
    gdn_outputs outputs = {y[0], y[1], y[2], y[3], y[6], y[7], y[8], y[9], y[4], y[5]};
    gdn_status status = o->engine->advance(o->self, &block, &outputs, err);
    for (int i = 0; i < 10; i++)
        back(results[i], y[i], i < 6 ? n : m);
    for (int i = 0; i < 8; i++)
        gdn_cuda_free(x[i]);
    return status;
}

static gdn_status over_read_state(void *self, double *hi, double *lo, gdn_error *err)
{
    const over *o = self;
    size_t n = (size_t)o->shape.heads * (size_t)o->shape.dk * (size_t)o->columns;
    void *x = there(hi, n, sizeof *hi), *y = there(lo, n, sizeof *lo);
    gdn_status status = o->engine->read_state(o->self, x, y, err);
    back(hi, x, n);
    back(lo, y, n);
    return status;
}

static void over_close(void *self)
{
    over *o = self;
    o->engine->close(o->self);
    free(o);
}

static gdn_status open_dd(void **self, const gdn_setup *setup, gdn_error *err)
{
    return over_open(self, setup, &gdn_dd_cuda_engine, err);
}

static gdn_status open_fp64(void **self, const gdn_setup *setup, gdn_error *err)
{
    return over_open(self, setup, &gdn_fp64_cuda_engine, err);
}

static const gdn_engine over_dd = {"dd on the GPU", "",        true, open_dd, over_advance,
                                   over_read_state, over_close};
static const gdn_engine over_fp64 = {"fp64 on the GPU", "",        false, open_fp64, over_advance,
                                     over_read_state,   over_close};

static const struct {
    const gdn_engine *cpu, *gpu;
} twins[] = {{&gdn_dd_engine, &over_dd}, {&gdn_fp64_engine, &over_fp64}};
enum { TWINS = sizeof twins / sizeof twins[0] };

/* ---- problems ---- */

static const int whole_block[] = {GDN_MAX_LENGTH};
static const int uneven_blocks[] = {1, 7, 64, 100, 3};

/* Run both twins, the CPU in one block, and compare. */
static void ck_twins(const gdn_problem *p, const char *what, const int *blocks, int n)
{
    for (int i = 0; i < TWINS; i++) {
        char text[128];
        snprintf(text, sizeof text, "%s: %s, %d heads, %d columns", what, twins[i].gpu->name, p->shape.heads,
                 gdn_problem_columns(p));
        gdn_result cpu = gdn_problem_run(p, twins[i].cpu, NULL, whole_block, 1);
        gdn_result gpu = gdn_problem_run(p, twins[i].gpu, NULL, blocks, n);
        gdn_check_results(p, &gpu, &cpu, text);
        gdn_result_free(&cpu);
        gdn_result_free(&gpu);
    }
}

/* Every step-th column from `first` on; *n of them. The mean of o^2 is handed to the engines. */
static int *sample(gdn_problem *p, int first, int step, uint64_t *seed)
{
    size_t rows = gdn_problem_rows(p);
    int *columns = gdn_test_alloc((size_t)p->shape.dv, sizeof *columns);
    p->ncolumns = 0;
    for (int j = first; j < p->shape.dv; j += step)
        columns[p->ncolumns++] = j;
    p->columns = columns;
    p->ms = gdn_test_doubles(seed, rows, 0.1, 2);
    p->ms_lo = gdn_test_alloc(rows, sizeof *p->ms_lo);
    for (size_t t = 0; t < rows; t++)
        p->ms_lo[t] = p->ms[t] * gdn_test_uniform(seed, -0x1p-54, 0x1p-54);
    return columns;
}

static int pick(uint64_t *seed, const int *from, size_t n)
{
    return from[gdn_test_random(seed) % n];
}

/* ---- tests ---- */

/* Random shapes, at most this many state elements times tokens each: the CPU takes 1.5 ns for one. */
enum { WORK = 40000000, SHAPES = 60 };

START_TEST(shapes_give_the_same_bits)
{
    static const int dims[] = {1, 3, 16, 80, 128, 128, 128, 130, 256};
    const size_t n = sizeof dims / sizeof dims[0];
    uint64_t seed = 1;
    for (int i = 0; i < SHAPES; i++) {
        gdn_shape shape = {1 + (int)(gdn_test_random(&seed) % 70), pick(&seed, dims, n),
                           pick(&seed, dims, n)};
        int tokens = 1 + (int)(gdn_test_random(&seed) % 300),
            most = WORK / (shape.dk * shape.dv * shape.heads);
        gdn_problem p = gdn_problem_new(shape, tokens < most ? tokens : most + 1, seed);
        const gdn_input_spec spec = {.keys = (gdn_keys)(i % GDN_KEYS_KINDS),
                                     .rank = (shape.dk + 1) / 2,
                                     .zipf_half_steps = 2,
                                     .values = (gdn_values)(i % GDN_VALUES_KINDS),
                                     .a_scale = 1,
                                     .b_scale = 1};
        gdn_inputs_fill(&spec, &shape, seed, 0, 1, p.tokens, p.q, p.k, p.v, p.z, p.a, p.b);
        int *columns = i % 3 ? NULL : sample(&p, i % 2 ? 0 : shape.dv / 3, 1 + i % 16, &seed);
        ck_twins(&p, gdn_keys_names[spec.keys], uneven_blocks, 5);
        gdn_problem_free(&p);
        free(columns);
    }
}
END_TEST

/* Every kernel that a shape can choose: few and many heads, all columns and eight. */
START_TEST(kernels_give_the_same_bits)
{
    static const struct {
        int heads, columns, tokens;
    } cases[] = {{1, 128, 200}, {9, 128, 70}, {40, 128, 33}, {150, 128, 17},
                 {3, 8, 200},   {64, 8, 40},  {300, 8, 20}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t seed = 100 + i;
        gdn_problem p = gdn_problem_new((gdn_shape){cases[i].heads, 128, 128}, cases[i].tokens, seed);
        int *columns = cases[i].columns == 128 ? NULL : sample(&p, 5, 16, &seed);
        ck_twins(&p, "d_k = d_v = 128", uneven_blocks, 5);
        gdn_problem_free(&p);
        free(columns);
    }
}
END_TEST

/* What is set instead of computed: g, beta, the state, A instead of log A, the format of alpha; beta doubled.
 */
START_TEST(settings_give_the_same_bits)
{
    static const int dims[] = {20, 128};
    uint64_t seed = 7;
    for (int i = 0; i < 2 * GDN_FORMATS; i++) {
        gdn_shape shape = {5, dims[i % 2], 24};
        gdn_problem p = gdn_problem_new(shape, 50, seed + (uint64_t)i);
        size_t rows = gdn_problem_rows(&p), state = (size_t)(5 * shape.dk * 24);
        p.alpha = (gdn_format_id)(i / 2);
        p.decay_is_a = i % 4 > 1;
        for (int h = 0; p.decay_is_a && h < shape.heads; h++)
            p.decay[h] = exp(p.decay[h]);
        if (i % 3 == 0)
            p.g = gdn_test_floats(&seed, rows, -2, 0);
        if (i % 3 == 1)
            p.beta = gdn_test_floats(&seed, rows, 0, 1);
        if (i % 5 == 0)
            p.state0 = gdn_test_doubles(&seed, state, -1, 1);
        p.beta_shift = i % 7 == 0;
        int *columns = i % 4 == 0 ? sample(&p, 1, 3, &seed) : NULL;
        ck_twins(&p, "settings", uneven_blocks, 5);
        gdn_problem_free(&p);
        free(columns);
    }
}
END_TEST

/* Non-finite, denormal and huge numbers in one input of each head. */
START_TEST(ends_of_the_range_give_the_same_bits)
{
    static const float ends[] = {INFINITY, -INFINITY, NAN,   1e-40f, -1e-44f, 3e38f,
                                 -3e38f,   0,         -0.0f, 700,    -700,    1e-20f};
    static const gdn_shape shapes[] = {{24, 16, 8}, {24, 20, 5}, {24, 128, 24}, {24, 130, 128}};
    uint64_t seed = 11;
    for (int i = 0; i < 12; i++) {
        gdn_problem p = gdn_problem_new(shapes[i % 4], 40, seed + (uint64_t)i);
        size_t rows = gdn_problem_rows(&p), dk = (size_t)p.shape.dk, dv = (size_t)p.shape.dv;
        p.decay_is_a = i % 3 == 1;
        for (int h = 0; h < p.shape.heads; h += 3)
            p.decay[h] = gdn_test_uniform(&seed, -1000, 1000);
        for (int h = 1; h < p.shape.heads; h += 5)
            p.dt_bias[h] = gdn_test_uniform(&seed, -1000, 1000);
        if (i % 3 == 2)
            p.g = gdn_test_floats(&seed, rows, -2, 0);
        if (i % 4 == 3)
            p.beta = gdn_test_floats(&seed, rows, 0, 1);
        float *x[] = {p.q, p.k, p.v, p.z, p.g ? p.g : p.a, p.beta ? p.beta : p.b};
        const size_t width[] = {dk, dk, dv, dv, 1, 1};
        for (size_t h = 0; h < (size_t)p.shape.heads; h++) {
            size_t which = h % 6, n = width[which] * (size_t)p.tokens;
            for (int e = 0; e < 2; e++)
                x[which][h * n + gdn_test_random(&seed) % n] =
                    ends[gdn_test_random(&seed) % (sizeof ends / sizeof ends[0])];
        }
        ck_twins(&p, "ends", uneven_blocks, 5);
        gdn_problem_free(&p);
    }
}
END_TEST

/* The gate alone, over more heads than a grid has rows. */
START_TEST(gate_alone_gives_the_same_bits)
{
    const gdn_shape shape = {70000, 4, 4};
    gdn_problem p = gdn_problem_new(shape, 3, 13);
    for (int i = 0; i < TWINS; i++) {
        const gdn_engine *engines[] = {twins[i].cpu, twins[i].gpu};
        gdn_result r[2];
        for (int e = 0; e < 2; e++) {
            gdn_setup setup = {.shape = shape, .params = {false, p.decay, p.dt_bias, NULL, GDN_BF16}};
            gdn_block in = {.first = 1, .tokens = 3, .a = p.a};
            gdn_error err = {""};
            void *self = NULL;
            r[e] = gdn_result_new(&p);
            gdn_outputs out = {
                .g = r[e].g, .g_lo = r[e].g_lo, .alpha = r[e].alpha, .alpha_lo = r[e].alpha_lo};
            must(engines[e]->open(&self, &setup, &err), &err);
            must(engines[e]->advance(self, &in, &out, &err), &err);
            engines[e]->close(self);
        }
        gdn_check_results(&p, &r[1], &r[0], twins[i].gpu->name);
        gdn_result_free(&r[0]);
        gdn_result_free(&r[1]);
    }
    gdn_problem_free(&p);
}
END_TEST

START_TEST(many_heads_give_the_same_bits)
{
    gdn_problem p = gdn_problem_new((gdn_shape){70000, 1, 1}, 2, 17);
    ck_twins(&p, "many heads", whole_block, 1);
    gdn_problem_free(&p);
}
END_TEST

/* An output that is not wanted changes none of the others. */
START_TEST(outputs_may_be_left_out)
{
    gdn_problem p = gdn_problem_new((gdn_shape){6, 128, 40}, 30, 19);
    gdn_block in = {1, p.tokens, p.q, p.k, p.v, p.z, p.a, NULL, p.b, NULL};
    for (int i = 0; i < TWINS; i++) {
        gdn_result all = gdn_problem_run(&p, twins[i].cpu, NULL, whole_block, 1);
        for (int wanted = 0; wanted < 32; wanted++) {
            gdn_result r = gdn_result_new(&p);
            gdn_outputs out = {.g = wanted & 1 ? r.g : NULL,
                               .ms = wanted & 2 ? r.ms : NULL,
                               .o = wanted & 4 ? r.o : NULL,
                               .y = wanted & 8 ? r.y : NULL,
                               .o_lo = wanted & 16 ? r.o_lo : NULL};
            gdn_error err = {""};
            void *self = gdn_problem_open(&p, twins[i].gpu, NULL);
            must(twins[i].gpu->advance(self, &in, &out, &err), &err);
            if (out.g)
                gdn_check_bits(r.g, all.g, gdn_problem_rows(&p), "g alone");
            if (out.ms)
                gdn_check_bits(r.ms, all.ms, gdn_problem_rows(&p), "ms alone");
            if (out.o)
                gdn_check_bits(r.o, all.o, gdn_problem_values(&p), "o alone");
            if (out.o_lo)
                gdn_check_bits(r.o_lo, all.o_lo, gdn_problem_values(&p), "low o alone");
            if (out.y)
                gdn_check_bits(r.y, all.y, gdn_problem_values(&p), "y alone");
            twins[i].gpu->close(self);
            gdn_result_free(&r);
        }
        gdn_result_free(&all);
    }
    gdn_problem_free(&p);
}
END_TEST

/* What the CPU refuses the GPU refuses in the same words. */
START_TEST(refusals_are_the_same)
{
    static const int columns[] = {0, 9};
    gdn_problem p = gdn_problem_new((gdn_shape){1, 4, 4}, 2, 23);
    const gdn_block blocks[] = {{.first = 1, .tokens = 2},
                                {.first = 1, .tokens = 2, .a = p.a},
                                {.first = 1, .tokens = 2, .q = p.q, .k = p.k, .v = p.v, .a = p.a, .b = p.b}};
    double y[8];
    gdn_outputs out = {.y = y};
    for (int i = 0; i < TWINS; i++) {
        gdn_error cpu, gpu;
        void *x = gdn_problem_open(&p, twins[i].cpu, NULL),
             *device = gdn_problem_open(&p, twins[i].gpu, NULL);
        for (size_t b = 0; b < sizeof blocks / sizeof blocks[0]; b++) {
            ck_assert_int_eq(twins[i].cpu->advance(x, &blocks[b], &out, &cpu), GDN_BAD_INPUT);
            ck_assert_int_eq(twins[i].gpu->advance(device, &blocks[b], &out, &gpu), GDN_BAD_INPUT);
            ck_assert_str_eq(gpu.text, cpu.text);
        }
        twins[i].cpu->close(x);
        twins[i].gpu->close(device);
        gdn_setup setup = {.shape = {1, 4, 4}, .columns = columns, .ncolumns = 2, .recurrence = true};
        ck_assert_int_eq(twins[i].cpu->open(&x, &setup, &cpu), GDN_BAD_INPUT);
        ck_assert_int_eq(twins[i].gpu->open(&device, &setup, &gpu), GDN_BAD_INPUT);
        ck_assert_str_eq(gpu.text, cpu.text);
    }
    gdn_problem_free(&p);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {shapes_give_the_same_bits,      kernels_give_the_same_bits,
                                  settings_give_the_same_bits,    ends_of_the_range_give_the_same_bits,
                                  gate_alone_gives_the_same_bits, many_heads_give_the_same_bits,
                                  outputs_may_be_left_out,        refusals_are_the_same};
    gdn_error err = {""};
    gdn_cuda_info info;
    if (gdn_cuda_open(0, &info, &err) || gdn_inputs_init(&err)) {
        fprintf(stderr, "%s\n", err.text);
        return EXIT_FAILURE;
    }
    setenv("CK_FORK", "no", 1); /* a CUDA context does not survive a fork */
    return gdn_test_run("gpu_reference", tests, sizeof tests / sizeof tests[0]);
}
