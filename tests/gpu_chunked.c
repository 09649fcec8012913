/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gpu_chunked -- the chunked form on the GPU against the CPU's and against fp64.
 *
 * The two add in different orders and have exp and x^(-1/2) of their own, so they agree statistically. With
 * e the CPU's relative L2 error against fp64: the GPU's lies within [1 / agree, agree] e, and the two differ
 * by at most apart e; both numbers are of the recipe (below).
 */
#include "tests/golden_test.h"
#include "tests/gpu_test.h"

#include "kernels/chunked.h"
#include "kernels/chunked_cuda.h"
#include "kernels/decode.h"
#include "kernels/recurrent.h"
#include "reference/gdn_fp64.h"

typedef gdn_problem problem;
typedef gdn_result result;

/*
 * Where operands are rounded, the GPU rounds the same numbers but for the last bits of fp32 sums: few of them
 * lie near the middle of two operands and go the other way, and the error is that of the rest. In fp32
 * nothing else is rounded: two independent errors of about one size, of which one may be half the other where
 * chains of cuBLAS are shorter. Measured: errors within 27 % (0.56 at worst for a state), 1.6 %, 0.3 %;
 * apart 1.24, 0.21, 0.29 at most.
 */
static const struct {
    const char *recipe;
    double agree, apart;
} recipes[] = {{"chunk-fp32", 2, 1.5}, {"chunk-tf32", 1.05, 0.4}, {"chunk-bf16", 1.02, 0.5}};

enum { RECIPES = sizeof recipes / sizeof recipes[0] };

static void check_close(const char *what, double agree, double apart, const double *gpu, const double *cpu,
                        const double *truth, size_t n)
{
    double e = gdn_relative(cpu, truth, n), f = gdn_relative(gpu, truth, n), d = gdn_relative(gpu, cpu, n);
    if (getenv("GDN_SHOW"))
        printf("%-50s gpu %.3e cpu %.3e (%.3f) apart %.3e (%.2f)\n", what, f, e, f / e, d, d / e);
    GDN_CHECK(f <= agree * e && f >= e / agree, "%s: the GPU's error is %.4e, the CPU's %.4e", what, f, e);
    GDN_CHECK(d <= apart * e, "%s: GPU and CPU differ by %.4e, and the CPU's error is %.4e", what, d, e);
}

/* `same` has the recipe's numbers where fp64 cannot: conventions that it does not know; else it is p. */
static void check_against(const problem *p, const problem *same, const gdn_recipe *r, double agree,
                          double apart, const int *lengths, int n, const char *what)
{
    result gpu = gdn_problem_run(p, &gdn_over, r, lengths, n);
    result cpu = gdn_problem_run(p, &gdn_chunked_engine, r, lengths, n);
    result truth = gdn_problem_run(same, &gdn_fp64_engine, NULL, lengths, n);
    size_t rows = gdn_problem_rows(p), values = gdn_problem_values(p);
    gdn_check_bits(gpu.g, cpu.g, rows, "g");
    gdn_check_bits(gpu.alpha, cpu.alpha, rows, "alpha");
    char where[160];
    const struct {
        const char *name;
        const double *gpu, *cpu, *truth;
        size_t n;
    } all[] = {{"o", gpu.o, cpu.o, truth.o, values},
               {"y", gpu.y, cpu.y, truth.y, values},
               {"state", gpu.state, cpu.state, truth.state, gdn_problem_state(p)}};
    for (int x = 0; x < 3; x++) {
        snprintf(where, sizeof where, "%s, %s, %d x %d x %d, T = %d: %s", r->name, what, p->shape.heads,
                 p->shape.dk, p->shape.dv, p->tokens, all[x].name);
        check_close(where, agree, apart, all[x].gpu, all[x].cpu, all[x].truth, all[x].n);
    }
    gdn_result_free(&gpu);
    gdn_result_free(&cpu);
    gdn_result_free(&truth);
}

static void check_recipe(const problem *p, const gdn_recipe *r, double agree, double apart,
                         const int *lengths, int n, const char *what)
{
    check_against(p, p, r, agree, apart, lengths, n, what);
}

static void check_all(const problem *p, int i, const int *lengths, int n, const char *what)
{
    check_recipe(p, gdn_recipe_by_name(recipes[i].recipe), recipes[i].agree, recipes[i].apart, lengths, n,
                 what);
}

/* A gate of -4 .. 0 in A_log leaves nothing of a chunk ago; here memories reach over chunks. */
static problem make(gdn_shape s, int tokens, uint64_t seed)
{
    problem p = gdn_problem_new(s, tokens, seed);
    for (int h = 0; h < s.heads; h++) {
        p.decay[h] = gdn_test_uniform(&seed, -8, 0);
        p.dt_bias[h] = gdn_test_uniform(&seed, -4, 0);
    }
    return p;
}

START_TEST(shapes_and_lengths)
{
    static const struct {
        gdn_shape shape;
        int tokens;
    } cases[] = {{{3, 128, 128}, 320}, {{2, 128, 128}, 77},  {{2, 128, 128}, 1}, {{2, 128, 64}, 130},
                 {{50, 128, 128}, 65}, {{3, 16, 32}, 200},   {{2, 80, 48}, 65},  {{4, 5, 3}, 190},
                 {{1, 256, 200}, 70},  {{300, 128, 128}, 64}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++)
        for (int i = 0; i < RECIPES; i++) {
            problem p = make(cases[c].shape, cases[c].tokens, 7 * c + 1);
            check_all(&p, i, &p.tokens, 1, "one block");
            gdn_problem_free(&p);
        }
}
END_TEST

/* A sequence that begins in the middle of a chunk, with a state, in uneven blocks. */
START_TEST(state_and_blocks)
{
    static const int lengths[] = {5, 1, 100, 64, 3, 131};
    for (int i = 0; i < RECIPES; i++)
        for (int d = 96; d <= 128; d += 32) {
            problem p = make((gdn_shape){2, d, d}, 400, 33);
            uint64_t seed = 5;
            p.origin = 70;
            p.state0 = gdn_test_doubles(&seed, gdn_problem_state(&p), -1, 1);
            check_all(&p, i, lengths, 6, "state, blocks");
            gdn_problem_free(&p);
        }
}
END_TEST

/* The same bits whatever the blocks. */
START_TEST(split_anywhere)
{
    static const int lengths[][3] = {{1, 1, 1}, {63, 1, 64}, {64, 128, 7}, {33, 33, 33}, {150, 9, 90}};
    for (int i = 0; i < RECIPES; i++)
        for (int d = 80; d <= 128; d += 48) {
            const gdn_recipe *r = gdn_recipe_by_name(recipes[i].recipe);
            problem p = make((gdn_shape){2, d, d}, 259, 91);
            result want = gdn_problem_run(&p, &gdn_over, r, &p.tokens, 1);
            for (size_t x = i == 2 ? 0 : 1; x < sizeof lengths / sizeof lengths[0]; x++) {
                result got = gdn_problem_run(&p, &gdn_over, r, lengths[x], 3);
                gdn_check_results(&p, &got, &want, r->name);
                gdn_result_free(&got);
            }
            gdn_result_free(&want);
            gdn_problem_free(&p);
        }
}
END_TEST

/* beta of 0 and 2, g of 0, -inf and what overflows when summed, g and beta given. */
START_TEST(ends_of_the_range)
{
    for (int i = 0; i < RECIPES; i++)
        for (int d = 64; d <= 128; d += 64) {
            problem p = make((gdn_shape){2, d, d}, 150, 12);
            size_t rows = gdn_problem_rows(&p);
            p.g = gdn_test_alloc(rows, sizeof *p.g);
            p.beta = gdn_test_alloc(rows, sizeof *p.beta);
            for (size_t t = 0; t < rows; t++) {
                p.g[t] = t % 50 == 20                   ? -INFINITY
                         : t % 50 == 40 || t % 50 == 41 ? -3e38f
                         : t % 3                        ? -0.01f
                                                        : 0;
                p.beta[t] = t % 7 == 2 ? 2 : t % 7 == 4 ? 0 : 0.25f;
            }
            check_all(&p, i, &p.tokens, 1, "ends");
            gdn_problem_free(&p);
        }
}
END_TEST

/* The bench's function gives the engine's numbers. */
START_TEST(bench_arrays)
{
    const gdn_recipe *r = gdn_recipe_by_name("chunk-bf16");
    problem p = make((gdn_shape){3, 128, 128}, 192, 4);
    size_t rows = gdn_problem_rows(&p), values = gdn_problem_values(&p);
    gdn_error err = {""};
    p.g = gdn_test_alloc(rows, sizeof *p.g);
    p.beta = gdn_test_alloc(rows, sizeof *p.beta);
    for (size_t t = 0; t < rows; t++) {
        p.g[t] = -0.02f;
        p.beta[t] = 0.5f;
    }
    result want = gdn_problem_run(&p, &gdn_over, r, &p.tokens, 1);
    uint16_t *half[3], *o16 = gdn_test_alloc(values, sizeof *o16);
    const float *in[3] = {p.q, p.k, p.v};
    void *x16[3], *x32[3];
    for (int i = 0; i < 3; i++) {
        half[i] = gdn_test_alloc(values, sizeof *half[i]);
        for (size_t j = 0; j < values; j++)
            half[i][j] = gdn_float_to_bf16(in[i][j]);
        x16[i] = gdn_there(half[i], values, sizeof *half[i]);
        x32[i] = gdn_there(in[i], values, sizeof *in[i]);
        free(half[i]);
    }
    float *o32 = gdn_test_alloc(values, sizeof *o32);
    float *g = gdn_there(p.g, rows, sizeof *g), *beta = gdn_there(p.beta, rows, sizeof *beta);
    for (int wide = 0; wide < 2; wide++) {
        void *self = gdn_problem_open(&p, &gdn_over, r);
        void *o = wide ? gdn_there(o32, values, sizeof *o32) : gdn_there(o16, values, sizeof *o16);
        void **x = wide ? x32 : x16;
        gdn_format_id f = wide ? GDN_FP32 : GDN_BF16;
        gdn_status status = gdn_chunked_cuda_tokens(((gdn_over_state *)self)->self, p.tokens, f, x[0], x[1],
                                                    x[2], g, beta, f, o, &err);
        GDN_CHECK(status == GDN_OK, "%s", err.text);
        if (wide)
            gdn_back(o32, o, values, sizeof *o32);
        else
            gdn_back(o16, o, values, sizeof *o16);
        for (size_t j = 0; j < values; j++) {
            double got = wide ? o32[j] : gdn_bf16_to_float(o16[j]);
            GDN_CHECK(gdn_same(got, want.o[j]), "o of the bench, element %zu: %a, not %a", j, got, want.o[j]);
        }
        gdn_over.close(self);
    }
    for (int i = 0; i < 3; i++) {
        gdn_cuda_free(x16[i]);
        gdn_cuda_free(x32[i]);
    }
    gdn_cuda_free(g);
    gdn_cuda_free(beta);
    free(o16);
    free(o32);
    gdn_result_free(&want);
    gdn_problem_free(&p);
}
END_TEST

/*
 * The inverse in a format: as on the CPU but for numbers whose sums fall on the other side of a tie, which
 * tests/test_chunked.c finds to make up 15 % of its error at most on one problem.
 */
START_TEST(inverse_formats)
{
    static const gdn_format_id formats[] = {GDN_TF32, GDN_FP16, GDN_BF16};
    static const int lengths[] = {100, 31, 5};
    for (int i = 0; i < 3; i++)
        for (int d = 80; d <= 128; d += 48) {
            problem p = make((gdn_shape){3, d, d}, 200, 61);
            gdn_recipe r = *gdn_recipe_by_name("chunk-fp32");
            r.inverse = formats[i];
            check_recipe(&p, &r, 1.2, 0.5, lengths, 3, gdn_formats[formats[i]].name);
            gdn_problem_free(&p);
        }
}
END_TEST

/* Rows such that sum-eps, the convention of fp64, gives them the length that x has under another. */
static float *as_sum_eps(const float *x, int rows, int d, gdn_l2norm norm)
{
    float *y = gdn_test_alloc((size_t)rows * (size_t)d, sizeof *y);
    for (int r = 0; r < rows; r++) {
        double sum = 0, eps = 1e-6;
        for (int i = 0; i < d; i++)
            sum += (double)x[r * d + i] * x[r * d + i];
        double length = norm == GDN_L2_SUM_EPS   ? sqrt(sum / (sum + eps))
                        : norm == GDN_L2_MAX_EPS ? sqrt(sum) / fmax(sqrt(sum), eps)
                        : norm == GDN_L2_NONE    ? sqrt(sum)
                                                 : sqrt(sum / d / (sum / d + eps));
        /* y / sqrt(y^2 + eps) = length; a length of 1 is that of a large y */
        double to = length < 1 - 1e-9 ? length * sqrt(eps / (1 - length * length)) : 1024;
        for (int i = 0; i < d; i++)
            y[r * d + i] = sum > 0 ? (float)(x[r * d + i] * (to / sqrt(sum))) : 0;
    }
    return y;
}

/*
 * The conventions of the L2 norm, told apart: at |x| = 8e-4 results have length 0.62 (sum-eps), 1 (max-eps)
 * and 0.07 (mean-eps). Without a norm they keep theirs, 0.4.
 */
START_TEST(l2_norms)
{
    for (int i = 0; i < RECIPES; i++)
        for (int n = 0; n < GDN_L2_NORMS; n++) {
            problem p = make((gdn_shape){2, 128, 128}, 150, 62), same;
            gdn_recipe r = *gdn_recipe_by_name(recipes[i].recipe);
            r.l2norm = (gdn_l2norm)n;
            for (int x = 0; x < 2 * 150 * 128; x++) {
                p.k[x] *= n == GDN_L2_NONE ? 0x1p-5f : 0x1p-14f;
                p.q[x] *= n == GDN_L2_NONE ? 0x1p-5f : 0x1p-14f;
            }
            same = p;
            same.k = as_sum_eps(p.k, 2 * 150, 128, r.l2norm);
            same.q = as_sum_eps(p.q, 2 * 150, 128, r.l2norm);
            check_against(&p, &same, &r, recipes[i].agree, recipes[i].apart, &p.tokens, 1,
                          gdn_l2norm_names[n]);
            free(same.k);
            free(same.q);
            gdn_problem_free(&p);
        }
}
END_TEST

/* beta up to 2, and the log decay by way of alpha. */
START_TEST(beta_and_carrier)
{
    for (int i = 0; i < RECIPES; i++) {
        problem p = make((gdn_shape){2, 128, 128}, 150, 63);
        gdn_recipe r = *gdn_recipe_by_name(recipes[i].recipe);
        p.beta_shift = 1;
        r.carrier = GDN_CARRIER_ALPHA;
        check_recipe(&p, &r, recipes[i].agree, recipes[i].apart, &p.tokens, 1, "2 sigmoid(b), alpha-log2");
        gdn_problem_free(&p);
    }
}
END_TEST

/* Engines of a thread share their scratch: opened one after the other, of several sizes, they take turns. */
START_TEST(shared_scratch)
{
    enum { ENGINES = 4, T = 300, STEP = 100 };
    static const struct {
        gdn_shape shape;
        const char *recipe;
    } of[ENGINES] = {{{2, 128, 128}, "chunk-bf16"},
                     {{3, 80, 48}, "chunk-bf16"},
                     {{40, 128, 128}, "chunk-tf32"},
                     {{9, 128, 128}, "chunk-bf16"}};
    problem p[ENGINES];
    result want[ENGINES], got[ENGINES];
    void *self[ENGINES];
    for (int i = 0; i < ENGINES; i++) {
        p[i] = make(of[i].shape, T, 71 + (uint64_t)i);
        want[i] = gdn_problem_run(&p[i], &gdn_over, gdn_recipe_by_name(of[i].recipe), (int[]){STEP}, 1);
        got[i] = gdn_result_new(&p[i]);
    }
    for (int i = 0; i < ENGINES; i++)
        self[i] = gdn_problem_open(&p[i], &gdn_over, gdn_recipe_by_name(of[i].recipe));
    for (int t = 0; t < T; t += STEP)
        for (int i = 0; i < ENGINES; i++)
            gdn_problem_advance(&p[i], &gdn_over, self[i], t, STEP, &got[i]);
    for (int i = 0; i < ENGINES; i++) {
        gdn_problem_read(&gdn_over, self[i], &got[i]);
        gdn_over.close(self[i]);
        gdn_check_results(&p[i], &got[i], &want[i], of[i].recipe);
        gdn_result_free(&want[i]);
        gdn_result_free(&got[i]);
        gdn_problem_free(&p[i]);
    }
}
END_TEST

/* ---- prefill, then decode ---- */

static void advance_with(const gdn_engine *engine, const problem *p, const gdn_recipe *r, int first, int n,
                         result *to)
{
    gdn_gpu_engine = engine;
    void *self = gdn_problem_open(p, &gdn_over, r);
    gdn_problem_advance(p, &gdn_over, self, first, n, to);
    gdn_problem_read(&gdn_over, self, to);
    gdn_over.close(self);
}

/* The bits of the chunked engine, then of the recurrent one on its state; whatever the blocks. */
START_TEST(prefill_then_decode)
{
    enum { T = 260 };
    static const int prefills[] = {1, 37, 64, 200}, lengths[][3] = {{T, T, T}, {17, 130, 40}, {100, 9, 90}};
    for (int i = 0; i < 4; i++)
        for (int d = 80; d <= 128; d += 48) {
            gdn_recipe r = *gdn_recipe_by_name("vllm-bf16-state"), first, second;
            r.state_rounding = i == 0 ? GDN_STOCHASTIC : GDN_NEAREST;
            r.prefill = prefills[i];
            first = second = r;
            first.state = GDN_FP32;
            first.state_rounding = GDN_NEAREST;
            second.qk = GDN_FP32;
            first.softplus = GDN_SOFTPLUS_TORCH;
            second.softplus = GDN_SOFTPLUS_LOG_EXP;
            problem p = make((gdn_shape){3, d, d}, T, 81), rest = p;
            result want = gdn_result_new(&p);
            advance_with(&gdn_chunked_cuda_engine, &p, &first, 0, prefills[i], &want);
            rest.state0 = gdn_test_alloc(gdn_problem_state(&p), sizeof *rest.state0);
            memcpy(rest.state0, want.state, gdn_problem_state(&p) * sizeof *rest.state0);
            advance_with(&gdn_recurrent_cuda_engine, &rest, &second, prefills[i], T - prefills[i], &want);
            gdn_gpu_engine = &gdn_decode_cuda_engine;
            for (int x = 0; x < 3; x++) {
                result got = gdn_problem_run(&p, &gdn_over, &r, lengths[x], 3);
                gdn_check_results(&p, &got, &want, "prefill, then decode");
                gdn_result_free(&got);
            }
            gdn_gpu_engine = &gdn_chunked_cuda_engine;
            free(rest.state0);
            gdn_result_free(&want);
            gdn_problem_free(&p);
        }
}
END_TEST

/* The bars of golden/README.md on their own inputs: errors within so much of FLA's. */
START_TEST(golden)
{
    static const struct {
        const char *file, *recipe;
        double o, state, within;
    } goldens[] = {{"fla_bf16", "chunk-bf16", 4.695837e-03, 3.856464e-03, 0.1},
                   {"fla_fp32", "chunk-tf32", 1.459133e-03, 9.719247e-04, 0.02}};
    for (size_t i = 0; i < sizeof goldens / sizeof goldens[0]; i++) {
        if (!gdn_fixture_there(goldens[i].file)) {
            fprintf(stderr, "gpu_chunked: no %s; not tested\n", goldens[i].file);
            continue;
        }
        gdn_fixture f = gdn_fixture_load(goldens[i].file);
        result x = gdn_problem_run(&f.p, &gdn_over, gdn_recipe_by_name(goldens[i].recipe), &f.p.tokens, 1);
        result truth = gdn_problem_run(&f.p, &gdn_fp64_engine, NULL, &f.p.tokens, 1);
        double o = gdn_relative(x.o, truth.o, gdn_problem_values(&f.p));
        double state = gdn_relative(x.state, truth.state, gdn_problem_state(&f.p));
        if (getenv("GDN_SHOW"))
            printf("golden %s: o %.4e (%.4e) state %.4e (%.4e)\n", goldens[i].file, o, goldens[i].o, state,
                   goldens[i].state);
        GDN_CHECK(fabs(o / goldens[i].o - 1) <= goldens[i].within, "%s: o errs by %.4e, theirs by %.4e",
                  goldens[i].file, o, goldens[i].o);
        GDN_CHECK(fabs(state / goldens[i].state - 1) <= goldens[i].within,
                  "%s: the state errs by %.4e, theirs by %.4e", goldens[i].file, state, goldens[i].state);
        gdn_result_free(&x);
        gdn_result_free(&truth);
        gdn_fixture_free(&f);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {shapes_and_lengths, state_and_blocks, split_anywhere,     ends_of_the_range,
                                  bench_arrays,       golden,           inverse_formats,    l2_norms,
                                  beta_and_carrier,   shared_scratch,   prefill_then_decode};
    gdn_gpu_begin();
    gdn_gpu_engine = &gdn_chunked_cuda_engine;
    setenv("CK_FORK", "no", 0);
    return gdn_test_run("gpu_chunked", tests, sizeof tests / sizeof tests[0]);
}
