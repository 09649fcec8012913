/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_decode -- prefill by chunks, then token by token, on the CPU.
 *
 * The engine is made of two others, so its bits are theirs: the chunked form's up to the hand-over, and from
 * there those of the recurrent form started on the chunked state; wherever the hand-over falls and whatever
 * the blocks. What the format of the cache does shows on a needle: a bf16 cache that rounds to nearest stops
 * fading.
 */
#include "tests/gdn_test.h"

#include "kernels/chunked.h"
#include "kernels/decode.h"
#include "kernels/engines.h"
#include "kernels/recurrent.h"

typedef gdn_problem problem;
typedef gdn_result result;

static const gdn_engine *const engine = &gdn_decode_engine;

enum { T = 150, DK = 24, DV = 20 };

/* Prefill lengths: none, within a chunk, whole chunks, all but one token, all, more than there is. */
static const int prefills[] = {0, 1, 37, 64, 100, 128, T - 1, T, 1000};

enum { PREFILLS = sizeof prefills / sizeof prefills[0] };

/* The rules of a state cache. */
static const struct {
    gdn_format_id state;
    gdn_rounding rounding;
} caches[] = {{GDN_FP32, GDN_NEAREST}, {GDN_BF16, GDN_NEAREST}, {GDN_BF16, GDN_STOCHASTIC}};

enum { CACHES = sizeof caches / sizeof caches[0] };

static gdn_recipe recipe(int prefill, int cache)
{
    gdn_recipe r = *gdn_recipe_by_name("vllm");
    r.prefill = prefill;
    r.state = caches[cache].state;
    r.state_rounding = caches[cache].rounding;
    return r;
}

/* What the halves are said to compute (decode.h): vLLM's gate is stable in prefill, log(1 + exp x) in decode.
 */
static gdn_recipe prefill_of(const gdn_recipe *r)
{
    gdn_recipe half = *r;
    half.softplus = GDN_SOFTPLUS_TORCH;
    half.state = GDN_FP32;
    half.state_rounding = GDN_NEAREST;
    return half;
}

static gdn_recipe decode_of(const gdn_recipe *r)
{
    gdn_recipe half = *r;
    half.qk = GDN_FP32;
    half.softplus = GDN_SOFTPLUS_LOG_EXP;
    return half;
}

static problem make(int heads, uint64_t seed)
{
    problem p = gdn_problem_new((gdn_shape){heads, DK, DV}, T, seed);
    for (int h = 0; h < heads; h++)
        p.decay[h] = gdn_test_uniform(&seed, -8, 0);
    p.state0 = gdn_test_doubles(&seed, gdn_problem_state(&p), -1, 1);
    return p;
}

static result run(const problem *p, const gdn_recipe *r)
{
    return gdn_problem_run(p, engine, r, &p->tokens, 1);
}

/* ---- made of two engines ---- */

/* Tokens 0 .. n - 1 by the chunked engine, the rest by the recurrent one on its state. */
static result by_halves(const problem *p, const gdn_recipe *r, int n)
{
    const gdn_recipe first = prefill_of(r), second = decode_of(r);
    result whole = gdn_result_new(p);
    problem rest = *p;
    n = n < p->tokens ? n : p->tokens;
    if (n > 0) {
        void *self = gdn_problem_open(p, &gdn_chunked_engine, &first);
        gdn_problem_advance(p, &gdn_chunked_engine, self, 0, n, &whole);
        gdn_problem_read(&gdn_chunked_engine, self, &whole);
        gdn_chunked_engine.close(self);
        rest.state0 = gdn_test_alloc(gdn_problem_state(p), sizeof *rest.state0);
        memcpy(rest.state0, whole.state, gdn_problem_state(p) * sizeof *rest.state0);
    }
    if (n < p->tokens || r->prefill == n) {
        void *self = gdn_problem_open(&rest, &gdn_recurrent_engine, &second);
        if (n < p->tokens)
            gdn_problem_advance(&rest, &gdn_recurrent_engine, self, n, p->tokens - n, &whole);
        gdn_problem_read(&gdn_recurrent_engine, self, &whole);
        gdn_recurrent_engine.close(self);
    }
    if (rest.state0 != p->state0)
        free(rest.state0);
    return whole;
}

START_TEST(made_of_two)
{
    for (int i = 0; i < PREFILLS; i++)
        for (int c = 0; c < CACHES; c++) {
            problem p = make(2, 40 + (uint64_t)i);
            gdn_recipe r = recipe(prefills[i], c);
            p.l2norm_off = i % 2; /* of keys below 1 in length */
            p.scale = i % 3 ? 0.3 : 0;
            for (size_t j = 0; p.l2norm_off && j < gdn_problem_rows(&p) * DK; j++)
                p.k[j] *= 0.1f;
            result got = run(&p, &r), want = by_halves(&p, &r, prefills[i]);
            gdn_check_results(&p, &got, &want, "both halves");
            gdn_result_free(&got);
            gdn_result_free(&want);
            gdn_problem_free(&p);
        }
}
END_TEST

/* Prefill counts positions: of a sequence that begins at position 31, 30 tokens fewer are left of it. */
START_TEST(positions)
{
    for (int i = 0; i < PREFILLS; i++) {
        problem p = make(2, 7);
        p.origin = 30;
        gdn_recipe r = recipe(prefills[i], 1);
        result got = run(&p, &r), want = by_halves(&p, &r, prefills[i] > 30 ? prefills[i] - 30 : 0);
        gdn_check_bits(got.o, want.o, gdn_problem_values(&p), "o from position 31 on");
        gdn_result_free(&got);
        gdn_result_free(&want);
        gdn_problem_free(&p);
    }
}
END_TEST

/* The same bits whatever the blocks, those that straddle the hand-over included. */
START_TEST(split_anywhere)
{
    static const int lengths[][3] = {{1, 1, 1}, {63, 1, 64}, {17, 30, 16}, {100, 9, 90}, {36, 2, 60}};
    for (int i = 0; i < PREFILLS; i++)
        for (int c = 0; c < CACHES; c++) {
            problem p = make(2, 90 + (uint64_t)i);
            gdn_recipe r = recipe(prefills[i], c);
            result want = run(&p, &r);
            for (size_t x = 0; x < sizeof lengths / sizeof lengths[0]; x++) {
                result got = gdn_problem_run(&p, engine, &r, lengths[x], 3);
                gdn_check_results(&p, &got, &want, "blocks");
                gdn_result_free(&got);
            }
            gdn_result_free(&want);
            gdn_problem_free(&p);
        }
}
END_TEST

/* The second of two heads, opened as head 1 of the task, draws what it draws beside the first. */
START_TEST(heads_draw_alike)
{
    problem p = make(2, 3), alone = p;
    gdn_recipe r = recipe(50, 2);
    result want = run(&p, &r);
    gdn_setup setup = {.shape = {1, DK, DV},
                       .params = {.decay = p.decay + 1, .dt_bias = p.dt_bias + 1, .norm_weight = p.w},
                       .recurrence = true,
                       .seed = p.seed,
                       .head0 = 1,
                       .recipe = &r,
                       .state0 = p.state0 + DK * DV};
    alone.shape.heads = 1;
    alone.q += T * DK;
    alone.k += T * DK;
    alone.v += T * DV;
    alone.z += T * DV;
    alone.a += T;
    alone.b += T;
    result got = gdn_result_new(&alone);
    gdn_error err = {""};
    void *self = NULL;
    GDN_CHECK(engine->open(&self, &setup, &err) == GDN_OK, "%s", err.text);
    gdn_problem_advance(&alone, engine, self, 0, T, &got);
    gdn_problem_read(engine, self, &got);
    engine->close(self);
    gdn_check_bits(got.o, want.o + T * DV, T * DV, "o of head 1 alone");
    gdn_check_bits(got.state, want.state + DK * DV, DK * DV, "the state of head 1 alone");
    gdn_result_free(&got);
    gdn_result_free(&want);
    gdn_problem_free(&p);
}
END_TEST

/* ---- the cache ---- */

static int off_grid(const double *x, int n)
{
    int off = 0;
    for (int i = 0; i < n; i++)
        off += gdn_round(&gdn_formats[GDN_BF16], x[i]) != x[i];
    return off;
}

/* A bf16 cache: fp32 numbers until token `prefill` is in, bf16 numbers from then on. */
START_TEST(state_rests_in_the_cache)
{
    enum { PREFILL = 70 };
    problem p = make(1, 12);
    for (int c = 1; c < CACHES; c++) {
        gdn_recipe r = recipe(PREFILL, c);
        void *self = gdn_problem_open(&p, engine, &r);
        result x = gdn_result_new(&p);
        for (int t = 0; t < T; t++) {
            gdn_problem_advance(&p, engine, self, t, 1, &x);
            gdn_problem_read(engine, self, &x);
            int off = off_grid(x.state, DK * DV);
            GDN_CHECK(t + 1 < PREFILL ? off > DK * DV / 2 : off == 0,
                      "after token %d, %d of %d numbers of the state are not in bf16", t + 1, off, DK * DV);
        }
        engine->close(self);
        gdn_result_free(&x);
    }
    gdn_problem_free(&p);
}
END_TEST

/*
 * A needle: one pair written at t = 1 on the first axis, later keys on others with nothing to write, read at
 * every token. |g| = 2^-10 is less than half an ulp of bf16, so an fp32 cache fades as exp(sum g), 11 % over
 * the 120 tokens of decoding, and a bf16 one stays where the hand-over found it. Rounded at random it fades
 * on, by steps of an ulp, 2^-7 at most, at odds of 1/8 to 1/4: 4.7 ulps rms, 0.01 in the mean of 16 columns;
 * five of these.
 */
START_TEST(needle)
{
    enum { D = 16, N = 200, PREFILL = 80 };
    problem p = gdn_problem_new((gdn_shape){1, D, D}, N, 5);
    const float g = -0x1p-10f;
    p.g = gdn_test_alloc(N, sizeof *p.g);
    p.beta = gdn_test_alloc(N, sizeof *p.beta);
    for (int t = 0; t < N; t++) {
        p.g[t] = g;
        p.beta[t] = 1;
        for (int d = 0; d < D; d++) {
            p.k[t * D + d] = d == (t == 0 ? 0 : 1 + t % (D - 1));
            p.q[t * D + d] = d == 0;
            p.v[t * D + d] = t == 0 ? 1 + (float)d / 16 : 0;
        }
    }
    for (int c = 0; c < CACHES; c++) {
        gdn_recipe r = recipe(PREFILL, c);
        r.output = GDN_FP32;
        result x = run(&p, &r);
        double mean = 0;
        for (int t = 1; t < N; t++)
            for (int d = 0; d < D; d++) {
                double faded = exp(t * (double)g), got = x.o[t * D + d] / x.o[d];
                if (t < PREFILL || c == 0) /* half an ulp of S as a bf16 operand */
                    GDN_CHECK(fabs(got / faded - 1) < 0x1p-8,
                              "cache %d, token %d: %.5f of the needle is left, not %.5f", c, t + 1, got,
                              faded);
                else if (c == 1)
                    GDN_CHECK(x.o[t * D + d] == x.o[PREFILL * D + d],
                              "token %d: a bf16 cache moves below its dead band: %a, was %a", t + 1,
                              x.o[t * D + d], x.o[PREFILL * D + d]);
                mean += t == N - 1 ? got / faded / D : 0;
            }
        GDN_CHECK(c == 1 ? mean > 1.1 : fabs(mean - 1) < 0.05, "cache %d: %.4f of what should be left", c,
                  mean);
        gdn_result_free(&x);
    }
    gdn_problem_free(&p);
}
END_TEST

/* ---- counts; what is refused; the gate alone ---- */

static gdn_counts counted(const problem *p, const gdn_engine *of, const gdn_recipe *r, int first, int n)
{
    gdn_counts counts = {0};
    gdn_setup setup = {.shape = p->shape,
                       .params = {.decay = p->decay, .dt_bias = p->dt_bias, .norm_weight = p->w},
                       .recurrence = true,
                       .recipe = r,
                       .counts = &counts};
    result x = gdn_result_new(p);
    gdn_error err = {""};
    void *self = NULL;
    GDN_CHECK(of->open(&self, &setup, &err) == GDN_OK, "%s", err.text);
    gdn_problem_advance(p, of, self, first, n, &x);
    of->close(self);
    gdn_result_free(&x);
    return counts;
}

/* Both halves add to the same counts. */
START_TEST(operations)
{
    enum { PREFILL = 64 };
    problem p = make(2, 8);
    gdn_recipe r = recipe(PREFILL, 0), first = prefill_of(&r), second = decode_of(&r);
    gdn_counts a = counted(&p, &gdn_chunked_engine, &first, 0, PREFILL),
               b = counted(&p, &gdn_recurrent_engine, &second, PREFILL, T - PREFILL),
               all = counted(&p, engine, &r, 0, T);
    ck_assert(a.products > 0 && b.products > 0);
    ck_assert(all.products == a.products + b.products);
    ck_assert(all.pointwise == a.pointwise + b.pointwise);
    ck_assert(all.functions == a.functions + b.functions);
    gdn_problem_free(&p);
}
END_TEST

static void refused(gdn_recipe r, const int *columns, const char *sentence)
{
    gdn_setup setup = {
        .shape = {1, 8, 8}, .recipe = &r, .columns = columns, .ncolumns = 1, .recurrence = true};
    void *self = &r;
    gdn_error err = {""};
    ck_assert_int_eq(engine->open(&self, &setup, &err), GDN_BAD_INPUT);
    ck_assert_ptr_null(self);
    ck_assert_str_eq(err.text, sentence);
}

START_TEST(refusals)
{
    static const int column[] = {0};
    gdn_recipe r = recipe(8, 0);
    refused(r, column, "the prefill-decode engine runs all value columns, not a sample");
    r.prefill = -1;
    refused(r, NULL, "recipe vllm: prefill is -1 tokens; 0 is the least");
    r = recipe(8, 0);
    r.op = GDN_BF16;
    refused(r, NULL, "recipe vllm: the chunked form has operations in fp32, not bf16");
    r = recipe(8, 0);
    r.math = GDN_MATH_CUDA;
    refused(r, NULL, "recipe vllm: math cuda runs on a GPU only");
    engine->close(NULL);
}
END_TEST

START_TEST(engine_of_a_recipe)
{
    ck_assert_ptr_eq(gdn_recipe_engine(gdn_recipe_by_name("vllm")), engine);
    ck_assert_ptr_eq(gdn_recipe_engine(gdn_recipe_by_name("vllm-bf16-state")), engine);
    ck_assert_str_eq(engine->name, gdn_algorithm_names[GDN_PREFILL_DECODE]);
}
END_TEST

/* Only g and alpha are wanted: through the hand-over and beyond, without a state. */
START_TEST(gate_alone)
{
    problem p = make(2, 5);
    gdn_recipe r = recipe(40, 1);
    result want = run(&p, &r);
    gdn_setup setup = {.shape = p.shape, .params = {.decay = p.decay, .dt_bias = p.dt_bias}, .recipe = &r};
    double *g = gdn_test_alloc(2 * T, sizeof *g), *alpha = gdn_test_alloc(2 * T, sizeof *alpha);
    gdn_block in = {.first = 1, .tokens = T, .a = p.a};
    gdn_error err = {""};
    void *self = NULL;
    GDN_CHECK(engine->open(&self, &setup, &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(engine->advance(self, &in, &(gdn_outputs){.g = g, .alpha = alpha}, &err) == GDN_OK, "%s",
              err.text);
    engine->close(self);
    gdn_check_bits(g, want.g, 2 * T, "g alone");
    gdn_check_bits(alpha, want.alpha, 2 * T, "alpha alone");
    free(g);
    free(alpha);
    gdn_result_free(&want);
    gdn_problem_free(&p);
}
END_TEST

GDN_TEST_MAIN("decode", made_of_two, positions, split_anywhere, heads_draw_alike, state_rests_in_the_cache,
              needle, operations, refusals, engine_of_a_recipe, gate_alone)
