/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gpu_recurrent -- the recurrent recipes on the GPU give the bits of the CPU.
 *
 * Both engines run the same problem; every output and the state are compared bit for bit, NaN with any NaN:
 * every recipe of the table, recipes drawn at random, shapes around those of the fast kernel, few heads and
 * many (a head then lies in several blocks, or in one), uneven blocks, numbers at the ends of the range.
 * Recipes in native mathematics are held to the portable ones within their accuracy.
 */
#include "base/cuda.h"
#include "base/inputs.h"
#include "kernels/recurrent.h"
#include "tests/gpu_test.h"

static void must(gdn_status status, const gdn_error *err)
{
    GDN_CHECK(status == GDN_OK, "%s", err->text);
}

/* ---- comparing ---- */

/* Both engines over the problem, in blocks of these lengths. */
static void compare(const gdn_problem *p, const gdn_recipe *r, const int *lengths, int n, const char *what)
{
    char where[300];
    snprintf(where, sizeof where,
             "%s: recipe %s (op %d, beta %d << %d, qk %d %s, state %d %s, output %d, input %d, norm %d %d "
             "%d, %s), "
             "%d heads, %d tokens",
             what, r->name, r->op, r->beta, p->beta_shift, r->qk, gdn_l2norm_names[r->l2norm], r->state,
             gdn_rounding_names[r->state_rounding], r->output, r->input, r->norm_in, r->norm_hat, r->norm_out,
             gdn_carrier_names[r->carrier], p->shape.heads, p->tokens);
    gdn_result x = gdn_problem_run(p, &gdn_over, r, lengths, n);
    gdn_result want = gdn_problem_run(p, &gdn_recurrent_engine, r, lengths, n);
    gdn_check_results(p, &x, &want, where);
    gdn_result_free(&x);
    gdn_result_free(&want);
}

static int draw(uint64_t *seed, int n)
{
    return (int)(gdn_test_random(seed) % (uint64_t)n);
}

static gdn_format_id any_format(uint64_t *seed)
{
    return (gdn_format_id)draw(seed, GDN_FORMATS);
}

/* A recipe drawn from all that there are; half of them with formats the fast kernel takes. */
static gdn_recipe any_recipe(uint64_t *seed)
{
    static const gdn_format_id common[] = {GDN_FP32, GDN_BF16};
    bool any = draw(seed, 2);
#define DRAWN (any ? any_format(seed) : common[draw(seed, 2)])
    gdn_recipe r = *gdn_recipe_by_name("fp32");
    r.name = "drawn";
    r.op = common[draw(seed, 2)];
    r.exp_a = DRAWN;
    r.softplus = (gdn_softplus_variant)draw(seed, GDN_SOFTPLUS_VARIANTS);
    r.beta = any_format(seed);
    r.qk = DRAWN;
    r.state = r.op == GDN_BF16 && !any ? GDN_BF16 : DRAWN;
    r.state_rounding = (gdn_rounding)draw(seed, GDN_ROUNDINGS);
    r.output = DRAWN;
    r.input = DRAWN;
    if (draw(seed, 2)) {
        r.norm_in = any_format(seed);
        r.norm_hat = any_format(seed);
        r.norm_out = any_format(seed);
        r.l2norm = (gdn_l2norm)draw(seed, GDN_L2_NORMS);
        r.carrier = (gdn_carrier)draw(seed, GDN_CARRIERS);
    }
#undef DRAWN
    return r;
}

/* A recipe that both engines can run. */
static bool portable(const gdn_recipe *r)
{
    return r->algorithm == GDN_RECURRENT && r->math == GDN_MATH_PORTABLE;
}

/* A drawn problem of about `work` element-tokens at most; inputs that no narrow format holds. */
static gdn_problem any_problem(gdn_shape shape, int tokens, double work, uint64_t *seed)
{
    double token = (double)shape.heads * shape.dk * shape.dv;
    int most = (int)(work / token);
    gdn_problem p = gdn_problem_new(shape,
                                    tokens < most ? tokens
                                    : most > 1    ? most
                                                  : 1,
                                    gdn_test_random(seed));
    size_t rows = gdn_problem_rows(&p);
    if (draw(seed, 2))
        for (size_t i = 0; i < rows * (size_t)shape.dk; i++)
            p.q[i] *= 1.001f, p.k[i] *= 1.003f;
    if (draw(seed, 2))
        for (size_t i = 0; i < rows * (size_t)shape.dv; i++)
            p.v[i] *= 1.001f, p.z[i] *= 1.003f;
    if (draw(seed, 3) == 0) {
        p.g = gdn_test_alloc(rows, sizeof *p.g);
        p.beta = gdn_test_alloc(rows, sizeof *p.beta);
        for (size_t i = 0; i < rows; i++) {
            p.g[i] = (float)gdn_test_uniform(seed, -1, 0);
            p.beta[i] = (float)gdn_test_uniform(seed, 0, 1);
        }
    }
    if (draw(seed, 2))
        p.state0 = gdn_test_doubles(seed, gdn_problem_state(&p), -1, 1);
    p.origin = draw(seed, 2) ? 0 : GDN_MAX_LENGTH - 400;
    p.decay_is_a = draw(seed, 4) == 0;
    p.alpha = draw(seed, 3) ? GDN_FP64 : any_format(seed);
    p.beta_shift = draw(seed, 4) == 0;
    return p;
}

/* Keys and queries of a recipe that does not normalise them: no longer than 1, or the state would explode. */
static void shorten(gdn_problem *p, const gdn_recipe *r)
{
    size_t n = gdn_problem_rows(p) * (size_t)p->shape.dk;
    for (size_t i = 0; i < n && r->l2norm == GDN_L2_NONE; i++)
        p->q[i] *= 0x1p-5f, p->k[i] *= 0x1p-5f;
}

static const int dims[] = {1, 3, 16, 80, 128, 130, 256}, blocks[] = {1, 15, 16, 17, 2, 64, 33};

enum { DIMS = sizeof dims / sizeof dims[0], BLOCKS = sizeof blocks / sizeof blocks[0] };

/* ---- tests ---- */

/* Every recipe at the shape of the fast kernel, its columns a lane chosen by the number of heads. */
START_TEST(every_recipe_fast)
{
    static const int heads[] = {1, 40, 80, 130, 270};
    uint64_t seed = 1;
    for (int r = 0; r < gdn_recipe_count; r++)
        for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
            for (int dv = 32; portable(&gdn_recipes[r]) && dv <= 128; dv *= 2) {
                gdn_problem p = any_problem((gdn_shape){heads[i], 128, dv}, 100, 4e7, &seed);
                compare(&p, &gdn_recipes[r], blocks + i, BLOCKS - (int)i, "fast shape");
                gdn_problem_free(&p);
            }
}
END_TEST

/* Drawn recipes at the shape of the fast kernel. */
START_TEST(drawn_recipes_fast)
{
    uint64_t seed = 2;
    for (int i = 0; i < 80; i++) {
        gdn_recipe r = any_recipe(&seed);
        gdn_problem p = any_problem((gdn_shape){1 + draw(&seed, i % 3 ? 70 : 300), 128, 128},
                                    1 + draw(&seed, 300), 1e7, &seed);
        shorten(&p, &r);
        int from = draw(&seed, BLOCKS);
        compare(&p, &r, blocks + from, BLOCKS - from, "drawn recipe");
        gdn_problem_free(&p);
    }
}
END_TEST

/* Each L2 norm, each cast of out_norm and the carrier at the shape of the fast kernel, in both arithmetics.
 */
START_TEST(designs_fast)
{
    uint64_t seed = 12;
    for (int i = 0; i < 2 * GDN_L2_NORMS * 8; i++) {
        gdn_recipe r = *gdn_recipe_by_name(i % 2 ? "bf16" : "bf16-io");
        r.l2norm = (gdn_l2norm)(i / 2 % GDN_L2_NORMS);
        r.norm_in = i & 8 ? GDN_BF16 : GDN_FP64;
        r.norm_hat = i & 16 ? GDN_BF16 : GDN_FP64;
        r.norm_out = i & 32 ? GDN_BF16 : GDN_FP64;
        r.carrier = i & 8 ? GDN_CARRIER_ALPHA : GDN_CARRIER_G;
        gdn_problem p = any_problem((gdn_shape){1 + draw(&seed, 70), 128, 128}, 100, 1e7, &seed);
        shorten(&p, &r);
        compare(&p, &r, blocks, BLOCKS, "design");
        gdn_problem_free(&p);
    }
}
END_TEST

/* Every pair of dims, recipes of the table and drawn ones in turn. */
START_TEST(every_shape)
{
    uint64_t seed = 3;
    for (int i = 0; i < 4 * DIMS * DIMS; i++) {
        gdn_recipe r = i % 2 ? any_recipe(&seed) : gdn_recipes[i / 2 % gdn_recipe_count];
        gdn_shape shape = {1 + draw(&seed, 70), dims[i % DIMS], dims[i / DIMS % DIMS]};
        if (!portable(&r))
            continue;
        gdn_problem p = any_problem(shape, 1 + draw(&seed, 300), 3e6, &seed);
        shorten(&p, &r);
        int from = draw(&seed, BLOCKS);
        compare(&p, &r, blocks + from, BLOCKS - from, "drawn shape");
        gdn_problem_free(&p);
    }
}
END_TEST

/* Numbers at the ends of the range, one kind at a time, in one place of the inputs. */
START_TEST(ends_of_the_range)
{
    static const float odd[] = {NAN,    -NAN,    INFINITY, -INFINITY, -0.0f,
                                1e-40f, -1e-45f, 3e38f,    -3e38f,    1e-20f};
    uint64_t seed = 4;
    for (int i = 0; i < 400; i++) {
        gdn_recipe r = i % 2 ? any_recipe(&seed) : gdn_recipes[i / 2 % gdn_recipe_count];
        if (!portable(&r))
            continue;
        gdn_shape shape = {2, i % 4 < 3 ? 128 : dims[draw(&seed, DIMS)], 128};
        gdn_problem p = any_problem(shape, 20, 1e7, &seed);
        size_t rows = gdn_problem_rows(&p), dk = (size_t)shape.dk, dv = (size_t)shape.dv;
        float *all[] = {p.q, p.k, p.v, p.z, p.a, p.b, p.g, p.beta};
        const size_t lengths[] = {rows * dk, rows * dk, rows * dv, rows * dv, rows, rows, rows, rows};
        for (int times = draw(&seed, 4); times >= 0; times--) {
            int x = draw(&seed, 8);
            if (!all[x])
                continue;
            size_t at = gdn_test_random(&seed) % lengths[x], n = draw(&seed, 4) ? 1 : lengths[x] - at;
            float value = odd[draw(&seed, sizeof odd / sizeof odd[0])];
            for (size_t j = at; j < at + n; j++)
                all[x][j] = value;
        }
        if (p.state0 && i % 5 == 0)
            for (int j = 0; j < 10; j++)
                p.state0[gdn_test_random(&seed) % gdn_problem_state(&p)] = (double)odd[draw(&seed, 10)];
        compare(&p, &r, blocks + 2, 2, "ends of the range");
        gdn_problem_free(&p);
    }
}
END_TEST

/* Everything tiny: products and sums that are subnormal or vanish, with either sign of zero. */
START_TEST(subnormal_numbers)
{
    uint64_t seed = 5;
    for (int i = 0; i < 60; i++) {
        gdn_recipe r = i % 2 ? any_recipe(&seed) : gdn_recipes[i / 2 % gdn_recipe_count];
        if (!portable(&r))
            continue;
        gdn_problem p = any_problem((gdn_shape){3, 128, 128}, 40, 1e7, &seed);
        size_t values = gdn_problem_values(&p);
        for (size_t j = 0; j < values; j++)
            p.v[j] = (float)gdn_test_any(&seed, -149, -118);
        for (size_t j = 0; p.state0 && j < gdn_problem_state(&p); j++)
            p.state0[j] = (float)gdn_test_any(&seed, -149, -118);
        compare(&p, &r, blocks, BLOCKS, "subnormal");
        gdn_problem_free(&p);
    }
}
END_TEST

/* Only g and alpha wanted; only y; nothing but the state. */
START_TEST(parts_of_the_outputs)
{
    uint64_t seed = 6;
    const gdn_recipe *recipe = gdn_recipe_by_name("bf16-io");
    gdn_problem p = any_problem((gdn_shape){5, 128, 128}, 50, 1e8, &seed);
    const int whole = p.tokens;
    gdn_result want = gdn_problem_run(&p, &gdn_recurrent_engine, recipe, &whole, 1), x = gdn_result_new(&p);
    gdn_setup setup = {.shape = p.shape,
                       .params = {p.decay_is_a, p.decay, p.dt_bias, p.w, p.alpha, p.beta_shift},
                       .seed = p.seed,
                       .recipe = recipe,
                       .state0 = p.state0};
    gdn_block in = {.first = p.origin + 1, .tokens = p.tokens, .q = p.q, .k = p.k, .v = p.v, .z = p.z};
    in.a = p.g ? NULL : p.a;
    in.g = p.g;
    in.b = p.beta ? NULL : p.b;
    in.beta = p.beta;
    const gdn_outputs some[] = {{.g = x.g, .alpha = x.alpha}, {.y = x.y}, {.g = NULL}, {.o = x.o}};
    for (int i = 0; i < 4; i++) {
        gdn_error err = {""};
        void *self = NULL;
        setup.recurrence = i > 0;
        must(gdn_over.open(&self, &setup, &err), &err);
        must(gdn_over.advance(self, &in, &some[i], &err), &err);
        if (i > 0)
            must(gdn_over.read_state(self, x.state, NULL, &err), &err);
        gdn_over.close(self);
    }
    gdn_check_results(&p, &x, &want, "parts of the outputs");
    gdn_result_free(&x);
    gdn_result_free(&want);
    gdn_problem_free(&p);
}
END_TEST

/* Where alpha is 0 (g far below fp32's range) and where it is 1; spans that a block is cut into. */
START_TEST(long_blocks_and_dead_gates)
{
    uint64_t seed = 7;
    const int length = 70000;
    const gdn_recipe *recipe = gdn_recipe_by_name("fp32");
    gdn_problem p = gdn_problem_new((gdn_shape){2, 128, 32}, length, 7);
    for (int t = 0; t < length; t += 977)
        p.a[t] = t % 2 ? 3e4f : -3e4f;
    compare(&p, recipe, &length, 1, "long block");
    gdn_problem_free(&p);
    p = any_problem((gdn_shape){4000, 3, 5}, 40, 1e7, &seed);
    compare(&p, recipe, &length, 1, "many heads");
    gdn_problem_free(&p);
}
END_TEST

/* Arrays of floats and of bf16 numbers give the engine's numbers, at every number of columns a lane. */
START_TEST(bench_arrays)
{
    enum { H = 3, T = 70, D = 128 };
    gdn_problem p = gdn_problem_new((gdn_shape){H, D, D}, T, 8);
    size_t rows = gdn_problem_rows(&p), values = gdn_problem_values(&p);
    p.beta = gdn_test_floats(&(uint64_t){9}, rows, 0, 1);
    const int whole = T;
    gdn_result want = gdn_problem_run(&p, &gdn_recurrent_engine, gdn_recipe_by_name("fp32"), &whole, 1);
    float *alpha = gdn_test_alloc(rows, sizeof *alpha), *got = gdn_test_alloc(values, sizeof *got);
    uint16_t *half = gdn_test_alloc(3 * values, sizeof *half);
    for (size_t i = 0; i < rows; i++)
        alpha[i] = (float)want.alpha[i];
    const float *host[] = {p.q, p.k, p.v};
    for (size_t i = 0; i < 3 * values; i++)
        half[i] = gdn_float_to_bf16(host[i / values][i % values]);
    for (int i = 0; i < 6; i++) {
        gdn_error err = {""};
        bool bf16 = i % 2;
        size_t size = bf16 ? sizeof *half : sizeof *got;
        void *x[3], *a = gdn_there(alpha, rows, sizeof *alpha), *b = gdn_there(p.beta, rows, sizeof *p.beta),
                    *o, *s;
        for (int j = 0; j < 3; j++)
            x[j] = gdn_there(bf16 ? (const void *)(half + (size_t)j * values) : host[j], values, size);
        must(gdn_cuda_calloc(&o, values, size, "o", &err), &err);
        must(gdn_cuda_calloc(&s, H * D * D, sizeof(float), "a state", &err), &err);
        gdn_recurrent_bench bench = {bf16, H, T, D, 4 >> i / 2, x[0], x[1], x[2], a, b, o, s};
        must(gdn_recurrent_cuda_bench_launch(&bench, &err), &err);
        gdn_back(got, o, values, size);
        for (size_t j = 0; j < values; j++) {
            double y = bf16 ? gdn_bf16_to_float(((uint16_t *)got)[j]) : got[j];
            double w = bf16 ? gdn_round(&gdn_formats[GDN_BF16], want.o[j]) : want.o[j];
            GDN_CHECK(gdn_same(y, w), "%s, %d columns a lane, element %zu: %a, not %a",
                      bf16 ? "bf16" : "fp32", bench.columns, j, y, w);
        }
        void *all[] = {x[0], x[1], x[2], a, b, s};
        for (int j = 0; j < 6; j++)
            gdn_cuda_free(all[j]);
    }
    free(alpha);
    free(got);
    free(half);
    gdn_result_free(&want);
    gdn_problem_free(&p);
}
END_TEST

/* sqrt(sum (x - y)^2 / sum y^2). */
static double distance(const double *x, const double *y, size_t n)
{
    double off = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        off += (x[i] - y[i]) * (x[i] - y[i]);
        size += y[i] * y[i];
    }
    return sqrt(off / size);
}

/*
 * Native mathematics: functions good to a few ulps of fp32 (2^-24) in gate, norms and out_norm. The state's
 * memory of a gate that errs by e is e / (1 - alpha) at most, here some 100 e: 1e-4 leaves room for both. The
 * CPU refuses.
 */
START_TEST(native_mathematics)
{
    gdn_problem p = gdn_problem_new((gdn_shape){4, 128, 128}, 200, 11);
    gdn_recipe recipe = *gdn_recipe_by_name("fp32");
    const int whole = p.tokens;
    gdn_result want = gdn_problem_run(&p, &gdn_recurrent_engine, &recipe, &whole, 1);
    size_t rows = gdn_problem_rows(&p), values = gdn_problem_values(&p), state = gdn_problem_state(&p);
    for (int variant = 0; variant < GDN_SOFTPLUS_VARIANTS; variant++)
        for (int math = GDN_MATH_CUDA; math < GDN_MATHS; math++) {
            recipe.math = (gdn_math)math;
            recipe.softplus = (gdn_softplus_variant)variant;
            gdn_result x = gdn_problem_run(&p, &gdn_over, &recipe, &whole, 1);
            double off[] = {distance(x.g, want.g, rows), distance(x.o, want.o, values),
                            distance(x.y, want.y, values), distance(x.state, want.state, state)};
            for (int i = 0; i < 4; i++)
                GDN_CHECK(off[i] > 0 && off[i] < 1e-4, "%s mathematics, %s softplus: %s off by %g",
                          gdn_math_names[math], gdn_softplus_names[variant],
                          (const char *[]){"g", "o", "y", "the state"}[i], off[i]);
            gdn_result_free(&x);
        }
    void *self = NULL;
    gdn_error err = {""};
    gdn_setup setup = {.shape = p.shape, .recipe = &recipe};
    ck_assert_int_eq(gdn_recurrent_engine.open(&self, &setup, &err), GDN_BAD_INPUT);
    gdn_result_free(&want);
    gdn_problem_free(&p);
}
END_TEST

int main(void)
{
    gdn_gpu_engine = &gdn_recurrent_cuda_engine;
    gdn_error err = {""};
    gdn_cuda_info info;
    if (gdn_inputs_init(&err) || gdn_cuda_open(0, &info, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return EXIT_FAILURE;
    }
    const TTest *const tests[] = {every_recipe_fast,    drawn_recipes_fast,         designs_fast,
                                  every_shape,          ends_of_the_range,          subnormal_numbers,
                                  parts_of_the_outputs, long_blocks_and_dead_gates, bench_arrays,
                                  native_mathematics};
    setenv("CK_FORK", "no", 0);
    return gdn_test_run("gpu_recurrent", tests, sizeof tests / sizeof tests[0]);
}
