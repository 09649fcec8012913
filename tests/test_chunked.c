/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_chunked -- the chunked engine on the CPU.
 *
 * Against fp64 on random shapes and lengths; the errors of other people's chunked kernels on their own inputs
 * (tests/golden); and identities: the same bits whatever the blocks and the instruction set, v scaled by 2^k,
 * linear in v, rows do not see later tokens, columns and heads are independent, beta = 0 is pure decay, a
 * cleared state is forgotten, the state resumes at a chunk's end.
 */
#include "tests/golden_test.h"

#include "base/simd.h"
#include "kernels/chunked.h"
#include "kernels/decode.h"
#include "kernels/engines.h"
#include "kernels/recurrent.h"
#include "reference/gdn_fp64.h"

typedef gdn_problem problem;
typedef gdn_result result;

static const gdn_engine *const engine = &gdn_chunked_engine;

/*
 * Relative L2 errors of o and of the state that a recipe may have on random inputs, from below too: a recipe
 * that rounds nothing must not pass for one that does.
 *
 *     fp32   chains of 128 to 256 sums, rms 0.4247 2^-24 each, two products deep: sqrt(256 2) 0.42 2^-24 =
 *            5.8e-7 at most, where terms do not shrink along the chain
 *     tf32   operands cut off: each is short by 0.35 2^-10 on the average, two to a product, and products
 *            are up to six deep (k k^T, X, M, W, W S, P V'): 6 2 0.35 2^-10 = 4.1e-3 at most
 *     bf16   thirteen roundings of rms 0.4247 2^-8 between input and output (q^, k^, beta v, beta exp(G) k^,
 *            M, U, W, S, V', V' exp, P, o, beta): sqrt(13) of it is 6.0e-3; twice that where they line up
 */
static const struct {
    const char *recipe;
    double least, most;
} recipes[] = {{"chunk-fp32", 2e-8, 5.8e-7}, {"chunk-tf32", 1e-4, 4.1e-3}, {"chunk-bf16", 1e-3, 1.2e-2}};

enum { RECIPES = sizeof recipes / sizeof recipes[0] };

static const gdn_recipe *recipe_at(int i)
{
    return gdn_recipe_by_name(recipes[i].recipe);
}

static result run(const problem *p, const gdn_recipe *r)
{
    return gdn_problem_run(p, engine, r, &p->tokens, 1);
}

/* Heads whose memory reaches from a token to far beyond a chunk. */
static problem make(gdn_shape s, int tokens, uint64_t seed)
{
    problem p = gdn_problem_new(s, tokens, seed);
    for (int h = 0; h < s.heads; h++)
        p.decay[h] = gdn_test_uniform(&seed, -8, 0);
    return p;
}

static void check_error(double e, int i, const problem *p, const char *what)
{
    if (getenv("GDN_SHOW"))
        printf("%s, %d x %d x %d, T = %d, %s: %.3e\n", recipes[i].recipe, p->shape.heads, p->shape.dk,
               p->shape.dv, p->tokens, what, e);
    GDN_CHECK(e <= recipes[i].most && e >= recipes[i].least,
              "%s, %d x %d x %d, T = %d: the error of %s is %.3e, not %.3e to %.3e", recipes[i].recipe,
              p->shape.heads, p->shape.dk, p->shape.dv, p->tokens, what, e, recipes[i].least,
              recipes[i].most);
}

static void check_truth(const problem *p, int i, const int *lengths, int n)
{
    result x = gdn_problem_run(p, engine, recipe_at(i), lengths, n);
    result truth = gdn_problem_run(p, &gdn_fp64_engine, NULL, lengths, n);
    size_t values = gdn_problem_values(p);
    check_error(gdn_relative(x.o, truth.o, values), i, p, "o");
    check_error(gdn_relative(x.y, truth.y, values), i, p, "y");
    check_error(gdn_relative(x.state, truth.state, gdn_problem_state(p)), i, p, "the state");
    gdn_result_free(&x);
    gdn_result_free(&truth);
}

START_TEST(against_fp64)
{
    static const struct {
        gdn_shape shape;
        int tokens;
    } cases[] = {{{2, 128, 128}, 200}, {{2, 64, 64}, 64},   {{2, 128, 64}, 65},  {{2, 16, 32}, 130},
                 {{2, 80, 48}, 63},    {{4, 24, 200}, 129}, {{2, 100, 40}, 192}, {{1, 256, 16}, 70}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++)
        for (int i = 0; i < RECIPES; i++) {
            problem p = make(cases[c].shape, cases[c].tokens, 11 * c + 1);
            check_truth(&p, i, &p.tokens, 1);
            gdn_problem_free(&p);
        }
}
END_TEST

/* An initial state, a sequence that begins in the middle of a chunk, uneven blocks. */
START_TEST(state_and_origin)
{
    static const int lengths[] = {5, 1, 100, 64, 3, 31};
    for (int i = 0; i < RECIPES; i++) {
        problem p = make((gdn_shape){2, 48, 64}, 300, 33);
        uint64_t seed = 5;
        p.origin = 70;
        p.state0 = gdn_test_doubles(&seed, gdn_problem_state(&p), -1, 1);
        check_truth(&p, i, lengths, 6);
        gdn_problem_free(&p);
    }
}
END_TEST

/* Keys of lengths below 1 as they come, and another scale: as near to fp64 as ever; o is linear in the scale,
 * and off is what the recipe without a norm does. */
START_TEST(norm_off_and_scaled)
{
    for (int i = 0; i < RECIPES; i++) {
        problem p = make((gdn_shape){2, 48, 40}, 150, 35);
        gdn_recipe none = *recipe_at(i);
        none.l2norm = GDN_L2_NONE;
        for (size_t j = 0; j < gdn_problem_rows(&p) * 48; j++)
            p.k[j] *= 0.1f;
        p.scale = 0.3;
        check_truth(&p, i, &p.tokens, 1);
        result bare = run(&p, &none);
        p.l2norm_off = true;
        check_truth(&p, i, &p.tokens, 1);
        result one = run(&p, recipe_at(i));
        gdn_check_results(&p, &one, &bare, "the L2 norm off");
        p.scale = 0.6;
        result two = run(&p, recipe_at(i));
        for (size_t j = 0; j < gdn_problem_values(&p); j++)
            one.o[j] *= 2;
        gdn_check_bits(two.o, one.o, gdn_problem_values(&p), "o, scale doubled");
        gdn_check_bits(two.state, one.state, gdn_problem_state(&p), "state, scale doubled");
        gdn_result_free(&bare);
        gdn_result_free(&one);
        gdn_result_free(&two);
        gdn_problem_free(&p);
    }
}
END_TEST

/* The same bits whatever the blocks, the state in the middle of a chunk included. */
START_TEST(split_anywhere)
{
    static const int lengths[][3] = {{1, 1, 1}, {63, 1, 64}, {64, 64, 7}, {17, 30, 16}, {100, 9, 90}};
    for (int i = 0; i < RECIPES; i++) {
        problem p = make((gdn_shape){2, 40, 24}, 171, 91);
        p.origin = 9;
        result want = run(&p, recipe_at(i));
        for (size_t x = 0; x < sizeof lengths / sizeof lengths[0]; x++) {
            result got = gdn_problem_run(&p, engine, recipe_at(i), lengths[x], 3);
            gdn_check_results(&p, &got, &want, recipes[i].recipe);
            gdn_result_free(&got);
        }
        gdn_result_free(&want);
        gdn_problem_free(&p);
    }
}
END_TEST

/* The state read after every token is that of a sequence which ends there. */
START_TEST(state_at_every_token)
{
    problem p = make((gdn_shape){1, 20, 20}, 70, 17);
    void *self = gdn_problem_open(&p, engine, recipe_at(2));
    result r = gdn_result_new(&p);
    for (int t = 0; t < p.tokens; t++) {
        gdn_problem_advance(&p, engine, self, t, 1, &r);
        gdn_problem_read(engine, self, &r);
        problem shorter = p;
        shorter.tokens = t + 1;
        result want = run(&shorter, recipe_at(2));
        gdn_check_bits(r.state, want.state, gdn_problem_state(&p), "the state of a shorter sequence");
        gdn_result_free(&want);
    }
    engine->close(self);
    gdn_result_free(&r);
    gdn_problem_free(&p);
}
END_TEST

START_TEST(instruction_sets)
{
    static const gdn_shape shapes[] = {{2, 128, 128}, {1, 33, 17}, {2, 16, 48}, {1, 5, 3}};
    for (int i = 0; i < RECIPES; i++)
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            problem p = make(shapes[s], 100, 3);
            gdn_isa_force(GDN_ISA_SCALAR);
            result want = run(&p, recipe_at(i));
            for (int isa = GDN_ISA_AVX2; isa < GDN_ISAS; isa++)
                if (gdn_isa_available((gdn_isa)isa)) {
                    gdn_isa_force((gdn_isa)isa);
                    result got = run(&p, recipe_at(i));
                    gdn_check_results(&p, &got, &want, gdn_isa_names[isa]);
                    gdn_result_free(&got);
                }
            gdn_result_free(&want);
            gdn_problem_free(&p);
        }
}
END_TEST

/* ---- identities ---- */

/* v times 2^k: everything that depends on it is exact, and y does not see it but for eps. */
START_TEST(power_of_two)
{
    for (int i = 0; i < RECIPES; i++) {
        problem p = make((gdn_shape){2, 32, 16}, 90, 8);
        result x = run(&p, recipe_at(i));
        size_t values = gdn_problem_values(&p), state = gdn_problem_state(&p);
        for (size_t j = 0; j < values; j++)
            p.v[j] *= 0x1p20f;
        result y = run(&p, recipe_at(i));
        for (size_t j = 0; j < values; j++)
            x.o[j] *= 0x1p20;
        for (size_t j = 0; j < state; j++)
            x.state[j] *= 0x1p20;
        gdn_check_bits(y.o, x.o, values, "o of 2^20 v");
        gdn_check_bits(y.state, x.state, state, "the state of 2^20 v");
        gdn_result_free(&x);
        gdn_result_free(&y);
        gdn_problem_free(&p);
    }
}
END_TEST

/* o(v1) + o(v2) = o(v1 + v2) but for roundings: three errors of the recipe's size. */
START_TEST(linear_in_v)
{
    for (int i = 0; i < RECIPES; i++) {
        problem p = make((gdn_shape){2, 32, 32}, 150, 21);
        size_t values = gdn_problem_values(&p);
        uint64_t seed = 77;
        float *v1 = p.v, *v2 = gdn_test_floats(&seed, values, -2, 2),
              *sum = gdn_test_alloc(values, sizeof *sum);
        for (size_t j = 0; j < values; j++) { /* multiples of 2^-5 below 4: their sum is a bf16 value */
            v1[j] = roundf(v1[j] * 32) / 32;
            v2[j] = roundf(v2[j] * 32) / 32;
            sum[j] = v1[j] + v2[j];
        }
        result a = run(&p, recipe_at(i));
        p.v = v2;
        result b = run(&p, recipe_at(i));
        p.v = sum;
        result c = run(&p, recipe_at(i));
        for (size_t j = 0; j < values; j++)
            a.o[j] += b.o[j];
        double e = gdn_relative(a.o, c.o, values);
        GDN_CHECK(e <= sqrt(3) * recipes[i].most, "%s: o(v1) + o(v2) is off by %.3e", recipes[i].recipe, e);
        p.v = v1;
        gdn_result_free(&a);
        gdn_result_free(&b);
        gdn_result_free(&c);
        free(v2);
        free(sum);
        gdn_problem_free(&p);
    }
}
END_TEST

/* Rows before token t do not change when everything from t on becomes NaN, t in the middle of a chunk. */
START_TEST(later_tokens_do_not_matter)
{
    enum { T = 110, AT = 85 };
    for (int i = 0; i < RECIPES; i++) {
        problem p = make((gdn_shape){1, 24, 20}, T, 6);
        result want = run(&p, recipe_at(i));
        float *all[] = {p.q, p.k, p.v, p.a, p.b};
        const int width[] = {24, 24, 20, 1, 1};
        for (int x = 0; x < 5; x++)
            for (int j = AT * width[x]; j < T * width[x]; j++)
                all[x][j] = NAN;
        result got = run(&p, recipe_at(i));
        gdn_check_bits(got.o, want.o, AT * 20, "o before the NaN");
        gdn_check_bits(got.y, want.y, AT * 20, "y before the NaN");
        for (int j = AT * 20; j < T * 20; j++)
            GDN_CHECK(got.o[j] != got.o[j], "o after a NaN is %a", got.o[j]);
        gdn_result_free(&want);
        gdn_result_free(&got);
        gdn_problem_free(&p);
    }
}
END_TEST

/* A head alone, and its first columns alone, give the bits they give beside others. */
START_TEST(heads_and_columns)
{
    for (int i = 0; i < RECIPES; i++) {
        problem p = make((gdn_shape){3, 32, 48}, 130, 14);
        result whole = run(&p, recipe_at(i));
        problem last = p;
        last.shape.heads = 1;
        last.q += 2 * 130 * 32;
        last.k += 2 * 130 * 32;
        last.v += 2 * 130 * 48;
        last.z += 2 * 130 * 48;
        last.a += 2 * 130;
        last.b += 2 * 130;
        last.decay += 2;
        last.dt_bias += 2;
        result alone = run(&last, recipe_at(i));
        gdn_check_bits(alone.o, whole.o + 2 * 130 * 48, 130 * 48, "o of a head alone");
        gdn_check_bits(alone.state, whole.state + 2 * 32 * 48, 32 * 48, "the state of a head alone");

        problem narrow = last;
        narrow.shape.dv = 17;
        narrow.v = gdn_test_alloc(130 * 17, sizeof *narrow.v);
        for (int t = 0; t < 130; t++)
            memcpy(narrow.v + t * 17, last.v + t * 48, 17 * sizeof *narrow.v);
        result few = run(&narrow, recipe_at(i));
        for (int t = 0; t < 130; t++)
            gdn_check_bits(few.o + t * 17, alone.o + t * 48, 17, "o of some columns");
        free(narrow.v);
        gdn_result_free(&few);
        gdn_result_free(&alone);
        gdn_result_free(&whole);
        gdn_problem_free(&p);
    }
}
END_TEST

/* beta = 0: S_T = exp(sum g) S_0, chunk by chunk in fp32. */
START_TEST(beta_zero)
{
    problem p = make((gdn_shape){1, 16, 16}, 256, 9);
    uint64_t seed = 3;
    p.state0 = gdn_test_doubles(&seed, 256, -1, 1);
    p.g = gdn_test_floats(&seed, 256, -0.02, 0);
    p.beta = gdn_test_alloc(256, sizeof *p.beta);
    for (int i = 0; i < RECIPES; i++) {
        result r = run(&p, recipe_at(i));
        double sum = 0;
        for (int t = 0; t < 256; t++)
            sum += p.g[t];
        /* four chunks: each a sum of 64 g (64 2^-25 of |G| <= 1.3), an exp and a product of 2^-24 */
        for (int j = 0; j < 256; j++)
            GDN_CHECK(fabs(r.state[j] / (p.state0[j] * exp(sum)) - 1) < 4 * (64 * 1.3 / 2 + 2) * 0x1p-24,
                      "%s: state %a after pure decay of %a", recipes[i].recipe, r.state[j], p.state0[j]);
        gdn_result_free(&r);
    }
    gdn_problem_free(&p);
}
END_TEST

/*
 * g of -inf and of -3e38 clear the state: what follows has the bits of a sequence that begins with
 * the clearing token, from nothing. Positions stay, so that chunks are cut alike.
 */
START_TEST(cleared)
{
    enum { T = 150, D = 16, AT = 90 };
    static const struct {
        float before, at;
    } cases[] = {{-0.1f, -INFINITY}, {-3e38f, -3e38f}};
    for (int i = 0; i < RECIPES; i++)
        for (int x = 0; x < 2; x++) {
            problem p = make((gdn_shape){1, D, D}, T, 15);
            uint64_t seed = 8;
            p.g = gdn_test_floats(&seed, T, -0.1, 0);
            p.g[AT - 1] = cases[x].before;
            p.g[AT] = cases[x].at;
            result whole = run(&p, recipe_at(i));
            problem rest = p;
            rest.origin = AT;
            rest.tokens = T - AT;
            rest.q += AT * D;
            rest.k += AT * D;
            rest.v += AT * D;
            rest.z += AT * D;
            rest.b += AT;
            rest.g = gdn_test_alloc(T - AT, sizeof *rest.g);
            memcpy(rest.g, p.g + AT, (T - AT) * sizeof *rest.g);
            rest.g[0] = 0;
            result want = run(&rest, recipe_at(i));
            for (int j = 0; j < (T - AT) * D; j++)
                GDN_CHECK(fabs(whole.o[AT * D + j] - want.o[j]) <= recipes[i].most * 2,
                          "%s, case %d: o[%d] is %a after clearing, %a from nothing", recipes[i].recipe, x, j,
                          whole.o[AT * D + j], want.o[j]);
            GDN_CHECK(gdn_relative(whole.state, want.state, D * D) <= recipes[i].most,
                      "%s, case %d: the state after clearing", recipes[i].recipe, x);
            for (int j = 0; j < T * D; j++)
                GDN_CHECK(isfinite(whole.o[j]), "%s, case %d: o[%d] is %a", recipes[i].recipe, x, j,
                          whole.o[j]);
            free(rest.g);
            gdn_result_free(&whole);
            gdn_result_free(&want);
            gdn_problem_free(&p);
        }
}
END_TEST

/* beta of 2 reflects: with g = 0 and the state rests bounded; fp64 agrees. */
START_TEST(beta_two)
{
    for (int i = 0; i < RECIPES; i++) {
        problem p = make((gdn_shape){1, 64, 16}, 130, 41);
        p.beta = gdn_test_alloc(130, sizeof *p.beta);
        for (int t = 0; t < 130; t++)
            p.beta[t] = t % 3 == 0 ? 2 : t % 3 == 1 ? 0 : 1;
        result x = run(&p, recipe_at(i)), truth = gdn_problem_run(&p, &gdn_fp64_engine, NULL, &p.tokens, 1);
        double e = gdn_relative(x.o, truth.o, gdn_problem_values(&p));
        GDN_CHECK(e < 2 * recipes[i].most, "%s: beta of 0, 1 and 2: o is off by %.3e", recipes[i].recipe, e);
        gdn_result_free(&x);
        gdn_result_free(&truth);
        gdn_problem_free(&p);
    }
}
END_TEST

/* alpha that rests in bf16: 1 above 1 - 2^-9, so that nothing decays; its logarithm elsewhere. */
START_TEST(alpha_in_bf16)
{
    problem p = make((gdn_shape){1, 16, 16}, 100, 2);
    p.alpha = GDN_BF16;
    for (int rate = 0; rate < 2; rate++) {
        float g = rate ? -0.3f : -0.001f;
        p.g = gdn_test_alloc(100, sizeof *p.g);
        for (int t = 0; t < 100; t++)
            p.g[t] = g;
        result x = run(&p, recipe_at(0)), truth = gdn_problem_run(&p, &gdn_fp64_engine, NULL, &p.tokens, 1);
        GDN_CHECK(x.alpha[5] == (rate ? 0.7421875 : 1), "alpha of %g is %a", g, x.alpha[5]);
        double e = gdn_relative(x.o, truth.o, gdn_problem_values(&p));
        GDN_CHECK(e < recipes[0].most, "o with alpha in bf16 is off by %.3e", e);
        gdn_result_free(&x);
        gdn_result_free(&truth);
        free(p.g);
        p.g = NULL;
    }
    gdn_problem_free(&p);
}
END_TEST

/* From the state at the end of a chunk on: the same bits. */
START_TEST(resume_at_a_chunk)
{
    enum { T = 200, AT = 128, D = 16 };
    for (int i = 0; i < RECIPES; i++) {
        problem p = make((gdn_shape){1, D, D}, T, 19), first = p, rest = p;
        result whole = run(&p, recipe_at(i));
        first.tokens = AT;
        result half = run(&first, recipe_at(i));
        rest.tokens = T - AT;
        rest.origin = AT;
        rest.state0 = half.state;
        rest.q += AT * D;
        rest.k += AT * D;
        rest.v += AT * D;
        rest.z += AT * D;
        rest.a += AT;
        rest.b += AT;
        result end = run(&rest, recipe_at(i));
        gdn_check_bits(end.o, whole.o + AT * D, (T - AT) * D, "o after resuming");
        gdn_check_bits(end.state, whole.state, D * D, "the state after resuming");
        gdn_result_free(&whole);
        gdn_result_free(&half);
        gdn_result_free(&end);
        gdn_problem_free(&p);
    }
}
END_TEST

/* The state rests in the recipe's format at the end of a chunk, and the recipe's beta and q^ are bf16. */
START_TEST(formats)
{
    gdn_recipe r = *recipe_at(2);
    r.state = GDN_BF16;
    problem p = make((gdn_shape){2, 32, 32}, 192, 23);
    result x = run(&p, &r), y = run(&p, recipe_at(2));
    for (size_t j = 0; j < gdn_problem_state(&p); j++)
        GDN_CHECK(gdn_round(&gdn_formats[GDN_BF16], x.state[j]) == x.state[j], "a bf16 state holds %a",
                  x.state[j]);
    for (size_t j = 0; j < gdn_problem_values(&p); j++)
        GDN_CHECK(gdn_round(&gdn_formats[GDN_BF16], y.o[j]) == y.o[j], "a bf16 output is %a", y.o[j]);
    ck_assert(gdn_relative(x.o, y.o, gdn_problem_values(&p)) > 1e-4);
    gdn_result_free(&x);
    gdn_result_free(&y);
    gdn_problem_free(&p);
}
END_TEST

/* ---- the inverse in a format ---- */

static const gdn_format_id inverses[] = {GDN_FP32, GDN_TF32, GDN_FP16, GDN_BF16};

enum { INVERSES = sizeof inverses / sizeof inverses[0] };

/*
 * M of one chunk in double, its numbers rounded where the definition rounds them: L; then, a block of 16 rows
 * after the other, the diagonal block by forward substitution, X_rc = sum_m L_rm M_mc, M_rc = -M_rr X_rc.
 * l, m: [64][64]
 */
static void inverse_in(const gdn_format *f, double l[64][64], double m[64][64])
{
    double x[64][64];
    for (int i = 0; i < 64; i++)
        for (int j = 0; j < 64; j++) {
            l[i][j] = j < i ? gdn_round(f, l[i][j]) : 0;
            m[i][j] = 0;
        }
    for (int first = 0; first < 64; first += 16) {
        for (int i = first; i < first + 16; i++)
            for (int j = first; j <= i; j++) {
                double sum = 0;
                for (int n = j; n < i; n++)
                    sum += l[i][n] * m[n][j];
                m[i][j] = gdn_round(f, (i == j) - sum);
            }
        for (int i = first; i < first + 16; i++)
            for (int j = 0; j < first; j++) {
                double sum = 0;
                for (int n = 0; n < first; n++)
                    sum += l[i][n] * m[n][j];
                x[i][j] = gdn_round(f, sum);
            }
        for (int i = first; i < first + 16; i++)
            for (int j = 0; j < first; j++) {
                double sum = 0;
                for (int n = first; n < first + 16; n++)
                    sum += m[i][n] * x[n][j];
                m[i][j] = gdn_round(f, -sum);
            }
    }
}

/* x / sqrt(sum x^2 + eps); x: [n] */
static void unit_row(const float *x, int n, double *out)
{
    double sum = 1e-6;
    for (int i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    for (int i = 0; i < n; i++)
        out[i] = x[i] / sqrt(sum);
}

/*
 * The chunked form of one head of whole chunks in double, but for the numbers of its inverse, as chunked.h
 * writes it: o: [T][dv]. g and beta are given.
 */
static void evaluate(const problem *p, const gdn_format *f, double *o)
{
    enum { MOST = 32 };
    static double l[64][64], m[64][64], k[64][MOST], q[64][MOST], s[MOST][MOST], v[64][MOST], sum[64];
    int dk = p->shape.dk, dv = p->shape.dv;
    memset(s, 0, sizeof s);
    for (int t = 0; t < p->tokens; t += 64) {
        const float *g = p->g + t, *beta = p->beta + t;
        for (int i = 0; i < 64; i++) {
            unit_row(p->k + (t + i) * dk, dk, k[i]);
            unit_row(p->q + (t + i) * dk, dk, q[i]);
            sum[i] = (i > 0 ? sum[i - 1] : 0) + g[i];
        }
        for (int i = 0; i < 64; i++)
            for (int j = 0; j < i; j++) {
                l[i][j] = 0;
                for (int d = 0; d < dk; d++)
                    l[i][j] += beta[i] * exp(sum[i] - sum[j]) * k[i][d] * k[j][d];
            }
        inverse_in(f, l, m);
        for (int i = 0; i < 64; i++) /* V' = M (beta v - beta exp(G) k^ S) */
            for (int c = 0; c < dv; c++) {
                v[i][c] = 0;
                for (int j = 0; j <= i; j++) {
                    double x = p->v[(t + j) * dv + c];
                    for (int d = 0; d < dk; d++)
                        x -= exp(sum[j]) * k[j][d] * s[d][c];
                    v[i][c] += m[i][j] * beta[j] * x;
                }
            }
        for (int i = 0; i < 64; i++)
            for (int c = 0; c < dv; c++) {
                double x = 0;
                for (int d = 0; d < dk; d++)
                    x += exp(sum[i]) * q[i][d] * s[d][c];
                for (int j = 0; j <= i; j++)
                    for (int d = 0; d < dk; d++)
                        x += exp(sum[i] - sum[j]) * q[i][d] * k[j][d] * v[j][c];
                o[(t + i) * dv + c] = x / sqrt(dk);
            }
        for (int d = 0; d < dk; d++)
            for (int c = 0; c < dv; c++) {
                s[d][c] *= exp(sum[63]);
                for (int j = 0; j < 64; j++)
                    s[d][c] += exp(sum[63] - sum[j]) * k[j][d] * v[j][c];
            }
    }
}

/* One head with g and beta given. */
static problem given(int d, int tokens, uint64_t seed)
{
    problem p = make((gdn_shape){1, d, d}, tokens, seed);
    p.g = gdn_test_floats(&seed, (size_t)tokens, -0.05, 0);
    p.beta = gdn_test_floats(&seed, (size_t)tokens, 0, 1);
    return p;
}

static gdn_recipe with_inverse(int recipe, gdn_format_id inverse)
{
    gdn_recipe r = *recipe_at(recipe);
    r.inverse = inverse;
    return r;
}

static int ascending(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/*
 * Sums in fp32 put a number on the other side of a tie than sums in double where they err by more than the
 * distance to it: 4 2^-25 of a spacing of 2^-p, so 2^-12 of all numbers at p = 11, each then off by sqrt(12)
 * rms errors: sqrt(12 2^-12) = 5 % of the error of rounding the inverse, 2 % at p = 8. One of the few large
 * numbers weighs more, so the median of several problems is held to twice that. With fp32 the inverse rests
 * as it does without a format.
 */
START_TEST(inverse_against_double)
{
    enum { D = 32, T = 128, PROBLEMS = 15 };
    static double rounded[T * D], exact[T * D];
    for (int i = 0; i < INVERSES; i++) {
        gdn_recipe r = with_inverse(0, inverses[i]);
        const gdn_format *f = &gdn_formats[r.inverse];
        double ratio[PROBLEMS];
        for (int n = 0; n < PROBLEMS; n++) {
            problem p = given(D, T, (uint64_t)n + 1);
            result x = run(&p, &r), plain = run(&p, recipe_at(0));
            evaluate(&p, f, rounded);
            evaluate(&p, &gdn_formats[GDN_FP64], exact);
            double error = gdn_relative(rounded, exact, T * D);
            ratio[n] = gdn_relative(x.o, rounded, T * D) / error;
            if (r.inverse == GDN_FP32) {
                gdn_check_bits(x.o, plain.o, T * D, "o with the inverse in fp32");
                gdn_check_bits(x.state, plain.state, D * D, "the state with the inverse in fp32");
            }
            GDN_CHECK(error > 0.1 * ldexp(1, -f->p), "an inverse in %s is off by %.3e only", f->name, error);
            gdn_result_free(&x);
            gdn_result_free(&plain);
            gdn_problem_free(&p);
        }
        qsort(ratio, PROBLEMS, sizeof *ratio, ascending);
        if (getenv("GDN_SHOW"))
            printf("inverse in %s: apart by %.4f of the error, %.4f at most\n", f->name, ratio[PROBLEMS / 2],
                   ratio[PROBLEMS - 1]);
        GDN_CHECK(r.inverse == GDN_FP32 || ratio[PROBLEMS / 2] < 0.1,
                  "inverse in %s: %.3f of its error away from the evaluation in double", f->name,
                  ratio[PROBLEMS / 2]);
    }
}
END_TEST

/* Products in tf32 cut the operands of the inverse's own products, unless it has a format: then not. */
START_TEST(inverse_is_not_cut)
{
    double cut = 0, whole = 0;
    for (uint64_t seed = 1; seed < 5; seed++) {
        problem p = make((gdn_shape){2, 64, 64}, 256, seed);
        gdn_recipe r = with_inverse(1, GDN_FP32);
        result truth = gdn_problem_run(&p, &gdn_fp64_engine, NULL, &p.tokens, 1);
        result x = run(&p, recipe_at(1)), y = run(&p, &r);
        cut += gdn_relative(x.o, truth.o, gdn_problem_values(&p)) / 4;
        whole += gdn_relative(y.o, truth.o, gdn_problem_values(&p)) / 4;
        gdn_result_free(&truth);
        gdn_result_free(&x);
        gdn_result_free(&y);
        gdn_problem_free(&p);
    }
    if (getenv("GDN_SHOW"))
        printf("chunk-tf32: %.4e, with an inverse in fp32 %.4e\n", cut, whole);
    GDN_CHECK(whole < cut, "chunk-tf32 errs by %.4e, with an inverse in fp32 by %.4e", cut, whole);
}
END_TEST

/* The same bits whatever the blocks and the instruction set. */
START_TEST(inverse_anywhere)
{
    static const int lengths[][3] = {{1, 1, 1}, {17, 30, 16}, {100, 9, 90}};
    for (int i = 0; i < RECIPES; i++)
        for (int f = 0; f < INVERSES; f++) {
            gdn_recipe r = with_inverse(i, inverses[f]);
            problem p = make((gdn_shape){2, 40, 24}, 171, 91);
            p.origin = 9;
            result want = run(&p, &r);
            for (size_t x = 0; x < sizeof lengths / sizeof lengths[0]; x++) {
                result got = gdn_problem_run(&p, engine, &r, lengths[x], 3);
                gdn_check_results(&p, &got, &want, "inverse in a format, blocks");
                gdn_result_free(&got);
            }
            for (int isa = 0; isa < GDN_ISAS; isa++)
                if (gdn_isa_available((gdn_isa)isa)) {
                    gdn_isa_force((gdn_isa)isa);
                    result got = run(&p, &r);
                    gdn_check_results(&p, &got, &want, gdn_isa_names[isa]);
                    gdn_result_free(&got);
                }
            gdn_result_free(&want);
            gdn_problem_free(&p);
        }
}
END_TEST

/* Four keys in turn, all near one direction; beta towards 1; hardly any decay. */
static problem ill_conditioned(double spread, double beta, int tokens, uint64_t seed)
{
    enum { D = 32 };
    problem p = given(D, tokens, seed);
    for (int t = 0; t < tokens; t++) {
        p.g[t] = -0x1p-12f;
        p.beta[t] = (float)beta;
        for (int d = 0; d < D; d++)
            p.k[t * D + d] = (float)((d == 0 ? 1 : 0) + spread * p.k[(t % 4) * D + d]);
    }
    return p;
}

static double error_with(const problem *p, gdn_format_id inverse)
{
    gdn_recipe r = with_inverse(0, inverse);
    result x = run(p, &r), truth = gdn_problem_run(p, &gdn_fp64_engine, NULL, &p->tokens, 1);
    double e = gdn_relative(x.o, truth.o, gdn_problem_values(p));
    gdn_result_free(&x);
    gdn_result_free(&truth);
    return e;
}

/*
 * Repeated keys, beta towards 1 and no decay: numbers of M come out of sums that cancel. The error of an
 * inverse in 8 bits is then several times that on random keys, and far above that of one in 24 (2^16 by the
 * formats alone; o has other roundings in fp32 too).
 */
START_TEST(repeated_keys)
{
    for (uint64_t seed = 1; seed < 4; seed++) {
        problem random = given(32, 256, seed), repeated = ill_conditioned(0.25, 0.99, 256, seed);
        double e[INVERSES], before = error_with(&random, GDN_BF16);
        for (int i = 0; i < INVERSES; i++)
            e[i] = error_with(&repeated, inverses[i]);
        if (getenv("GDN_SHOW"))
            printf("repeated keys: fp32 %.2e tf32 %.2e fp16 %.2e bf16 %.2e (random %.2e)\n", e[0], e[1], e[2],
                   e[3], before);
        GDN_CHECK(e[3] > 3 * before, "bf16: %.2e on repeated keys, %.2e on random ones", e[3], before);
        GDN_CHECK(e[3] > 1024 * e[0] && e[1] > 128 * e[0] && e[3] > 3 * e[1] && e[3] < 20 * e[1],
                  "repeated keys: errors of %.2e in fp32, %.2e in tf32, %.2e in bf16", e[0], e[1], e[3]);
        GDN_CHECK(fabs(e[2] / e[1] - 1) < 0.1, "%.2e in fp16, and in tf32, as precise, %.2e", e[2], e[1]);
        gdn_problem_free(&random);
        gdn_problem_free(&repeated);
    }
}
END_TEST

/* One key for ever and beta near 2, a reflection: numbers of M stay near 2 and nothing damps their errors. */
START_TEST(repeated_reflections)
{
    problem p = ill_conditioned(0, 1.99, 256, 3);
    double narrow = error_with(&p, GDN_BF16), wide = error_with(&p, GDN_FP32);
    if (getenv("GDN_SHOW"))
        printf("reflections: fp32 %.2e bf16 %.2e\n", wide, narrow);
    GDN_CHECK(narrow > 0.05 && wide < 1e-3, "reflections: %.2e with bf16, %.2e with fp32", narrow, wide);
    gdn_problem_free(&p);
}
END_TEST

/* ---- operations ---- */

static gdn_counts counted(const problem *p, const int *lengths, int n)
{
    gdn_counts counts = {0};
    gdn_setup setup = {.shape = p->shape,
                       .params = {.decay = p->decay, .dt_bias = p->dt_bias, .norm_weight = p->w},
                       .recurrence = true,
                       .recipe = recipe_at(0),
                       .counts = &counts};
    gdn_result r = gdn_result_new(p);
    gdn_error err = {""};
    void *self = NULL;
    GDN_CHECK(engine->open(&self, &setup, &err) == GDN_OK, "%s", err.text);
    for (int t = 0, i = 0; t < p->tokens; i++) {
        int length = lengths[i < n ? i : n - 1];
        length = length < p->tokens - t ? length : p->tokens - t;
        gdn_problem_advance(p, engine, self, t, length, &r);
        t += length;
    }
    gdn_counts before = counts;
    gdn_problem_read(engine, self, &r);
    ck_assert_mem_eq(&before, &counts, sizeof counts);
    engine->close(self);
    gdn_result_free(&r);
    return counts;
}

/*
 * The formulas of spec section 1, a chunk of 64 at a time, a multiply-add as two. The 16 x 16 inverse: four
 * diagonal blocks of sum_(r < 16) 16 r, and for the block rows c = 1, 2, 3 blocks wide c^2 and c products of
 * 16 x 16 x 16 for X and M.
 */
static gdn_counts formula(const problem *p)
{
    double C = 64, dk = p->shape.dk, dv = p->shape.dv, chunks = p->shape.heads * (p->tokens / C);
    double scores = 2 * C * C * dk, u = C * C * dv, w = C * C * dk, pv = C * C * dv, state = C * dk * dv;
    double inverse = 4 * 16 * 120 + 4096 * (1 + 4 + 9) + 4096 * (1 + 2 + 3);
    double negated = 4 * 16 * 16 + 256 * (1 + 2 + 3); /* numbers of M that are e - sum or -sum */
    double gate = 4, l2 = 2 * (3 * dk + 1), norm = 7 * dv + 1;
    double scaling = 1 + 2 * dk + dv + 4 * C, values = dv, outputs = 4 * dv, after = 1 + dv;
    gdn_counts x = {
        .products = chunks * 2 * (scores + inverse + u + w + state + state + pv + state + dk * dv),
        .pointwise = chunks * (negated + C * (gate + l2 + norm + scaling + values + outputs + after)),
        /* softplus 2, alpha 1, sigmoid 2; norms 2 2 and 2 dv + 3; exp(G) twice, G_i - G_j, G_C - G, G_C */
        .functions = chunks * (C * (5 + 4 + 2 * dv + 3 + 2 + C + 1) + 1)};
    return x;
}

static void check_counts(const gdn_counts *x, const gdn_counts *y)
{
    const double *a = &x->products, *b = &y->products;
    for (int i = 0; i < 3; i++)
        GDN_CHECK(a[i] == b[i], "%s: %.0f, not %.0f",
                  i == 0   ? "products"
                  : i == 1 ? "pointwise"
                           : "functions",
                  a[i], b[i]);
}

/* Whatever the blocks; claim D1's 1.40 of 4 d_v^2 multiply-adds a token at d = 128. */
START_TEST(operations)
{
    static const gdn_shape shapes[] = {{1, 128, 128}, {3, 40, 24}, {2, 17, 5}};
    static const int lengths[][3] = {{192, 192, 192}, {1, 1, 1}, {17, 30, 100}};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        problem p = make(shapes[s], 192, 4);
        gdn_counts want = formula(&p);
        for (size_t x = 0; x < sizeof lengths / sizeof lengths[0]; x++) {
            gdn_counts got = counted(&p, lengths[x], 3);
            check_counts(&got, &want);
        }
        gdn_problem_free(&p);
        if (s == 0)
            ck_assert_double_eq_tol(want.products / 192 / (8.0 * 128 * 128), 1.40, 0.005);
    }
}
END_TEST

/* ---- other people's kernels ---- */

/* Relative L2 errors of their chunk.out and chunk.state (golden/README.md), and how near ours must come. */
static const struct {
    const char *file, *recipe;
    double o, state, within;
} goldens[] = {
    {"hf_layer_fp32", "chunk-fp32", 2.507377e-07, 1.842186e-07, 0.3},
    {"hf_layer_fp32_d128", "chunk-fp32", 2.659979e-07, 2.054627e-07, 0.3},
    {"fla_bf16", "chunk-bf16", 4.695837e-03, 3.856464e-03, 0.1},
    {"fla_fp32", "chunk-tf32", 1.459133e-03, 9.719247e-04, 0.02},
};

START_TEST(golden)
{
    for (size_t i = 0; i < sizeof goldens / sizeof goldens[0]; i++) {
        if (!gdn_fixture_there(goldens[i].file)) {
            fprintf(stderr, "test_chunked: no %s; not tested\n", goldens[i].file);
            continue;
        }
        gdn_fixture f = gdn_fixture_load(goldens[i].file);
        result x = run(&f.p, gdn_recipe_by_name(goldens[i].recipe));
        result truth = gdn_problem_run(&f.p, &gdn_fp64_engine, NULL, &f.p.tokens, 1);
        double o = gdn_relative(x.o, truth.o, gdn_problem_values(&f.p));
        double state = gdn_relative(x.state, truth.state, gdn_problem_state(&f.p));
        GDN_CHECK(fabs(o / goldens[i].o - 1) <= goldens[i].within,
                  "%s with %s: o errs by %.4e, theirs by %.4e", goldens[i].file, goldens[i].recipe, o,
                  goldens[i].o);
        GDN_CHECK(fabs(state / goldens[i].state - 1) <= goldens[i].within,
                  "%s with %s: the state errs by %.4e, theirs by %.4e", goldens[i].file, goldens[i].recipe,
                  state, goldens[i].state);
        gdn_result_free(&x);
        gdn_result_free(&truth);
        gdn_fixture_free(&f);
    }
}
END_TEST

/* ---- what is refused; who runs what ---- */

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
    gdn_recipe r = *recipe_at(2);
    refused(r, column, "the chunked engine runs all value columns, not a sample");
    r.op = GDN_BF16;
    refused(r, NULL, "recipe chunk-bf16: the chunked form has operations in fp32, not bf16");
    r = *recipe_at(2);
    r.product = GDN_FP16;
    refused(r, NULL,
            "recipe chunk-bf16: matrix products of the chunked form take fp32, tf32 or bf16, not fp16");
    r = *recipe_at(2);
    r.state_rounding = GDN_STOCHASTIC;
    refused(r, NULL, "recipe chunk-bf16: the chunked form rounds its state to nearest, not stochastically");
    r = *recipe_at(2);
    r.math = GDN_MATH_APPROX;
    refused(r, NULL, "recipe chunk-bf16: math approx runs on a GPU only");
    r = with_inverse(2, GDN_E4M3);
    refused(r, NULL,
            "recipe chunk-bf16: the inverse of the chunked form rests in fp32, tf32, fp16 or bf16, not e4m3");
}
END_TEST

START_TEST(engine_of_a_recipe)
{
    for (int i = 0; i < gdn_recipe_count; i++) {
        const gdn_recipe *r = &gdn_recipes[i];
        ck_assert(strncmp(r->name, "chunk", 5) != 0 || r->algorithm == GDN_CHUNKED);
        ck_assert(strstr(r->name, "decode") == NULL || r->algorithm == GDN_RECURRENT);
        ck_assert_ptr_eq(gdn_recipe_engine(r), r->algorithm == GDN_CHUNKED          ? &gdn_chunked_engine
                                               : r->algorithm == GDN_PREFILL_DECODE ? &gdn_decode_engine
                                                                                    : &gdn_recurrent_engine);
    }
}
END_TEST

/* Only g and alpha are wanted: nothing else is touched. */
START_TEST(gate_alone)
{
    problem p = make((gdn_shape){2, 8, 8}, 70, 5);
    result want = run(&p, recipe_at(1));
    gdn_setup setup = {.shape = p.shape,
                       .params = {.decay = p.decay, .dt_bias = p.dt_bias, .alpha = GDN_FP64},
                       .recipe = recipe_at(1)};
    double *g = gdn_test_alloc(140, sizeof *g), *alpha = gdn_test_alloc(140, sizeof *alpha);
    gdn_block in = {.first = 1, .tokens = 70, .a = p.a};
    gdn_error err = {""};
    void *self = NULL;
    GDN_CHECK(engine->open(&self, &setup, &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(engine->advance(self, &in, &(gdn_outputs){.g = g, .alpha = alpha}, &err) == GDN_OK, "%s",
              err.text);
    engine->close(self);
    engine->close(NULL);
    gdn_check_bits(g, want.g, 140, "g alone");
    gdn_check_bits(alpha, want.alpha, 140, "alpha alone");
    free(g);
    free(alpha);
    gdn_result_free(&want);
    gdn_problem_free(&p);
}
END_TEST

GDN_TEST_MAIN("chunked", against_fp64, state_and_origin, norm_off_and_scaled, split_anywhere,
              state_at_every_token, instruction_sets, power_of_two, linear_in_v, later_tokens_do_not_matter,
              heads_and_columns, beta_zero, cleared, beta_two, alpha_in_bf16, resume_at_a_chunk, formats,
              inverse_against_double, inverse_is_not_cut, inverse_anywhere, repeated_keys,
              repeated_reflections, operations, golden, refusals, engine_of_a_recipe, gate_alone)
