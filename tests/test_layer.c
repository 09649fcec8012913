/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of the whole layer: kernels/layer and what it is made of, reference/layer, and harness/layer_file.
 * Against layers that transformers recorded (tests/golden, or $GDN_GOLDEN), against each other, and against a
 * third writing of the formulas in long double.
 */
#include "tests/gdn_test.h"

#include <jansson.h>
#include <unistd.h>

#include "base/simd.h"
#include "harness/commands.h"
#include "harness/layer_measure.h"
#include "harness/probe.h"
#include "kernels/layer.h"
#include "reference/layer.h"

/* ---- layers to test with ---- */

/* A layer of random bf16 numbers; weights points into it. */
typedef struct model {
    gdn_layer_file f;
    float *qkv, *z, *b, *a, *conv, *out, *hidden;
    double *decay, *dt_bias, *norm;
} model;

static model model_new(int D, int keys, int r, int dk, int dv, int tokens, uint64_t seed)
{
    model m = {.f = {.shape = {D, keys, keys * r, dk, dv}, .tokens = tokens, .hidden_format = GDN_BF16}};
    size_t channels = (size_t)gdn_layer_channels(&m.f.shape), heads = (size_t)(keys * r),
           wide = heads * (size_t)dv;
    size_t width = (size_t)D;
    double small = 2 / sqrt((double)D);
    m.qkv = gdn_test_floats(&seed, channels * width, -small, small);
    m.z = gdn_test_floats(&seed, wide * width, -small, small);
    m.b = gdn_test_floats(&seed, heads * width, -small, small);
    m.a = gdn_test_floats(&seed, heads * width, -small, small);
    m.conv = gdn_test_floats(&seed, channels * GDN_CONV_WIDTH, -1, 1);
    m.out = gdn_test_floats(&seed, width * wide, -small, small);
    m.hidden = gdn_test_floats(&seed, (size_t)tokens * width, -2, 2);
    m.decay = gdn_test_doubles(&seed, heads, -4, 0);
    m.dt_bias = gdn_test_doubles(&seed, heads, -4, 0);
    m.norm = gdn_test_doubles(&seed, (size_t)dv, 0.5, 1.5);
    m.f.weights = (gdn_layer_weights){
        m.qkv, m.z, m.b, m.a, m.conv, m.out, {.decay = m.decay, .dt_bias = m.dt_bias, .norm_weight = m.norm}};
    m.f.hidden = m.hidden;
    return m;
}

static void model_free(model *m)
{
    void *all[] = {m->qkv, m->z, m->b, m->a, m->conv, m->out, m->hidden, m->decay, m->dt_bias, m->norm};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

static gdn_layer_file *golden(const char *name)
{
    char path[4096];
    const char *folder = getenv("GDN_GOLDEN");
    snprintf(path, sizeof path, "%s/%s.safetensors", folder ? folder : "tests/golden", name);
    gdn_layer_file *f = NULL;
    gdn_error err = {""};
    GDN_CHECK(gdn_layer_file_read(path, &f, &err) == GDN_OK, "%s", err.text);
    return f;
}

static size_t elements(const gdn_layer_file *f, gdn_layer_stage stage)
{
    return (size_t)f->tokens * (size_t)gdn_layer_width(&f->shape, stage, f->shape.value_heads);
}

static gdn_layer_outputs truth_of(const gdn_layer_file *f)
{
    gdn_layer_outputs out;
    gdn_error err = {""};
    GDN_CHECK(gdn_layer_file_truth(f, &out, &err) == GDN_OK, "%s", err.text);
    return out;
}

static const gdn_layer_recipe *recipe_of(const char *name)
{
    const gdn_layer_recipe *recipe = gdn_layer_recipe_by_name(name);
    GDN_CHECK(recipe, "no layer recipe %s", name);
    return recipe;
}

static gdn_layer_outputs run_of(const gdn_layer_file *f, const gdn_layer_recipe *recipe)
{
    gdn_layer_outputs out;
    gdn_error err = {""};
    GDN_CHECK(gdn_layer_file_run(f, recipe, &out, &err) == GDN_OK, "%s", err.text);
    return out;
}

/* Relative L2 error of every stage of x against y; stages that y has not are left out. */
static void check_close(const char *what, const gdn_layer_file *f, double *const *x, double *const *y,
                        double tolerance)
{
    for (gdn_layer_stage i = 0; i < GDN_LAYER_STAGES; i++) {
        if (!y[i])
            continue;
        double error = gdn_layer_error_of(x[i], y[i], NULL, elements(f, i), GDN_FP32).rel_l2;
        GDN_CHECK(error <= tolerance, "%s: %s is off by %.3e", what, gdn_layer_stage_names[i], error);
    }
}

/* Equal bits in the stages first .. last. */
static void check_same(const char *what, const gdn_layer_file *f, const gdn_layer_outputs *x,
                       const gdn_layer_outputs *y, gdn_layer_stage first, gdn_layer_stage last)
{
    for (gdn_layer_stage i = first; i <= last; i++) {
        char where[256];
        snprintf(where, sizeof where, "%s: %s", what, gdn_layer_stage_names[i]);
        gdn_check_bits(x->hi[i], y->hi[i], elements(f, i), where);
    }
}

/* ---- what transformers recorded ---- */

static void check_golden_fp32(const char *name)
{
    gdn_layer_file *f = golden(name);
    gdn_layer_outputs truth = truth_of(f), ours = run_of(f, recipe_of("hf-fp32")),
                      step = run_of(f, recipe_of("fp32"));
    for (gdn_layer_stage i = 0; i < GDN_LAYER_STAGES; i++)
        GDN_CHECK(f->recorded[i], "%s: %s is not recorded", name, gdn_layer_stage_names[i]);
    check_close("hf-fp32 against transformers", f, ours.hi, f->recorded, gdn_tolerance.layer_golden);
    check_close("MPFR against transformers", f, truth.hi, f->recorded, gdn_tolerance.layer_golden);
    check_close("hf-fp32 against MPFR", f, ours.hi, truth.hi, gdn_tolerance.layer_fp32);
    check_close("fp32 against MPFR", f, step.hi, truth.hi, gdn_tolerance.layer_fp32);
    gdn_layer_outputs_free(&truth);
    gdn_layer_outputs_free(&ours);
    gdn_layer_outputs_free(&step);
    gdn_layer_file_free(f);
}

START_TEST(golden_fp32)
{
    check_golden_fp32("hf_layer_fp32");
}
END_TEST

START_TEST(golden_fp32_d128)
{
    check_golden_fp32("hf_layer_fp32_d128");
}
END_TEST

/* transformers' cast points: every bf16 stage but a few elements, and those by one ulp. The out projection
 * alone may cancel: there an element near zero can be off by more. */
START_TEST(golden_bf16)
{
    gdn_layer_file *f = golden("hf_layer_bf16");
    gdn_layer_outputs ours = run_of(f, recipe_of("hf-bf16"));
    for (gdn_layer_stage i = 0; i < GDN_LAYER_STAGES; i++) {
        if (i == GDN_LAYER_G)
            continue;
        ck_assert_int_eq(f->recorded_format[i], GDN_BF16);
        gdn_layer_steps s = gdn_layer_steps_of(ours.hi[i], f->recorded[i], elements(f, i), GDN_BF16);
        GDN_CHECK((double)(s.one + s.more) <= gdn_tolerance.layer_off * (double)s.n,
                  "%s: of %lld elements %lld are off by one ulp, %lld by more", gdn_layer_stage_names[i],
                  (long long)s.n, (long long)s.one, (long long)s.more);
        GDN_CHECK(i == GDN_LAYER_OUTPUT || s.more == 0, "%s: %lld elements off by more than an ulp",
                  gdn_layer_stage_names[i], (long long)s.more);
    }
    double g = gdn_layer_error_of(ours.hi[GDN_LAYER_G], f->recorded[GDN_LAYER_G], NULL,
                                  elements(f, GDN_LAYER_G), GDN_FP32)
                   .rel_l2;
    GDN_CHECK(g <= gdn_tolerance.layer_golden, "g is off by %.3e", g);
    gdn_layer_outputs_free(&ours);
    gdn_layer_file_free(f);
}
END_TEST

/* ---- the truth ---- */

/* The layer in long double, written again: one token, one head at a time. x: every stage but the output. */
static void long_double_layer(const gdn_layer_file *f, double *const *x)
{
    typedef long double real;
    const gdn_layer_shape *s = &f->shape;
    const gdn_layer_weights *w = &f->weights;
    const int D = s->hidden, dk = s->dk, dv = s->dv, H = s->value_heads, r = H / s->key_heads, T = f->tokens;
    const int keys = s->key_heads * dk;
    const real scale = w->core.scale != 0 ? (real)w->core.scale : 1 / sqrtl(dk);
    real *S = gdn_test_alloc((size_t)(dk * dv), sizeof *S), *o = gdn_test_alloc((size_t)dv, sizeof *o);
    for (int h = 0; h < H; h++) {
        memset(S, 0, (size_t)(dk * dv) * sizeof *S);
        for (int t = 0; t < T; t++) {
            size_t at = (size_t)(t * H + h);
            for (int part = 0; part < 3; part++) { /* q, k, v */
                int d = part < 2 ? dk : dv, first = part < 2 ? part * keys + h / r * dk : 2 * keys + h * dv;
                for (int j = 0; j < d; j++) {
                    real c = 0;
                    for (int i = 0; i < 4; i++)
                        for (int e = 0; t - 3 + i >= 0 && e < D; e++)
                            c += (real)w->conv[(first + j) * 4 + i] * (real)w->qkv[(first + j) * D + e] *
                                 (real)f->hidden[(t - 3 + i) * D + e];
                    x[GDN_LAYER_Q + part][at * (size_t)d + (size_t)j] = (double)(c / (1 + expl(-c)));
                }
            }
            real a = (real)w->core.dt_bias[h], b = 0;
            for (int e = 0; e < D; e++) {
                a += (real)w->a[h * D + e] * (real)f->hidden[t * D + e];
                b += (real)w->b[h * D + e] * (real)f->hidden[t * D + e];
            }
            real A = w->core.decay_is_a ? (real)w->core.decay[h] : expl((real)w->core.decay[h]);
            real g = -A * log1pl(expl(a)), beta = ldexpl(1 / (1 + expl(-b)), w->core.beta_shift);
            x[GDN_LAYER_G][at] = (double)g;
            x[GDN_LAYER_BETA][at] = (double)beta;
            const double *q = x[GDN_LAYER_Q] + at * (size_t)dk, *k = x[GDN_LAYER_K] + at * (size_t)dk;
            real qq = 1e-6L, kk = 1e-6L, mean = 0;
            for (int i = 0; i < dk; i++) {
                qq += (real)q[i] * (real)q[i];
                kk += (real)k[i] * (real)k[i];
            }
            if (w->core.l2norm_off)
                qq = kk = 1;
            for (int j = 0; j < dv; j++) {
                real seen = 0;
                for (int i = 0; i < dk; i++)
                    seen += expl(g) * S[i * dv + j] * (real)k[i] / sqrtl(kk);
                real delta = beta * ((real)x[GDN_LAYER_V][at * (size_t)dv + (size_t)j] - seen);
                o[j] = 0;
                for (int i = 0; i < dk; i++) {
                    S[i * dv + j] = expl(g) * S[i * dv + j] + (real)k[i] / sqrtl(kk) * delta;
                    o[j] += S[i * dv + j] * (real)q[i] / sqrtl(qq) * scale;
                }
                mean += o[j] * o[j] / dv;
            }
            for (int j = 0; j < dv; j++) {
                real z = 0;
                for (int e = 0; e < D; e++)
                    z += (real)w->z[(h * dv + j) * D + e] * (real)f->hidden[t * D + e];
                size_t to = at * (size_t)dv + (size_t)j;
                x[GDN_LAYER_Z][to] = (double)z;
                x[GDN_LAYER_O][to] = (double)o[j];
                x[GDN_LAYER_Y][to] =
                    (double)((real)w->core.norm_weight[j] * o[j] / sqrtl(mean + 1e-6L) * z / (1 + expl(-z)));
            }
        }
    }
    free(S);
    free(o);
}
static void check_truth(const model *m)
{
    gdn_layer_outputs truth = truth_of(&m->f), again = truth_of(&m->f);
    for (gdn_layer_stage i = 0; i < GDN_LAYER_OUTPUT; i++)
        memset(again.hi[i], 0, elements(&m->f, i) * sizeof **again.hi);
    long_double_layer(&m->f, again.hi);
    for (gdn_layer_stage i = 0; i < GDN_LAYER_OUTPUT; i++) {
        double error =
            gdn_layer_error_of(again.hi[i], truth.hi[i], truth.lo[i], elements(&m->f, i), GDN_FP64).rel_l2;
        GDN_CHECK(error <= gdn_tolerance.layer_model, "%s is off by %.3e", gdn_layer_stage_names[i], error);
    }
    double *output = again.hi[GDN_LAYER_OUTPUT], *y = truth.hi[GDN_LAYER_Y];
    const int D = m->f.shape.hidden, wide = m->f.shape.value_heads * m->f.shape.dv;
    for (int t = 0; t < m->f.tokens; t++)
        for (int i = 0; i < D; i++) {
            output[t * D + i] = 0;
            for (int j = 0; j < wide; j++)
                output[t * D + i] += (double)m->out[i * wide + j] * y[t * wide + j];
        }
    double error = gdn_layer_error_of(output, truth.hi[GDN_LAYER_OUTPUT], NULL,
                                      elements(&m->f, GDN_LAYER_OUTPUT), GDN_FP64)
                       .rel_l2;
    GDN_CHECK(error <= gdn_tolerance.layer_model, "output is off by %.3e", error);
    gdn_layer_outputs_free(&truth);
    gdn_layer_outputs_free(&again);
}

START_TEST(truth_against_long_double)
{
    model m = model_new(24, 2, 2, 6, 5, 40, 1);
    m.f.weights.core.beta_shift = 1;
    check_truth(&m);
    m.f.weights.core.scale = 0.3;
    check_truth(&m);
    m.f.weights.core.beta_shift = 0;
    m.f.weights.core.l2norm_off = true;
    check_truth(&m);
    model_free(&m);
}
END_TEST

/* The certificate: 113 bits against 160. */
START_TEST(truth_certificate)
{
    model m = model_new(16, 1, 2, 8, 8, 30, 2);
    gdn_layer_outputs truth = truth_of(&m.f), finer;
    gdn_error err = {""};
    double state[2 * 8 * 8], state_lo[2 * 8 * 8];
    GDN_CHECK(!gdn_layer_outputs_new(&finer, &m.f.shape, 2, m.f.tokens, true, &err), "%s", err.text);
    gdn_layer_mpfr_call call = {m.f.shape, m.f.weights, 160, m.f.tokens, m.hidden, finer, state, state_lo};
    GDN_CHECK(!gdn_layer_mpfr(&call, &err), "%s", err.text);
    for (gdn_layer_stage i = 0; i < GDN_LAYER_STAGES; i++)
        for (size_t n = 0; n < elements(&m.f, i); n++) {
            double off = truth.hi[i][n] - finer.hi[i][n] + (truth.lo[i][n] - finer.lo[i][n]);
            GDN_CHECK(fabs(off) <= gdn_tolerance.mpfr_certificate * (1 + fabs(finer.hi[i][n])),
                      "%s %zu: %a and %a differ by %a", gdn_layer_stage_names[i], n, truth.hi[i][n],
                      finer.hi[i][n], off);
        }
    call.precision = 20;
    ck_assert_int_eq(gdn_layer_mpfr(&call, &err), GDN_BAD_INPUT);
    call.precision = 113;
    call.weights.core.alpha = GDN_BF16;
    ck_assert_int_eq(gdn_layer_mpfr(&call, &err), GDN_BAD_INPUT);
    gdn_layer_outputs_free(&truth);
    gdn_layer_outputs_free(&finer);
    model_free(&m);
}
END_TEST

/* r = 1..4 value heads a key head, sizes that are no multiple of anything. */
START_TEST(groups)
{
    for (int r = 1; r <= 4; r++) {
        model m = model_new(40, 2, r, 12, 20, 70, (uint64_t)(10 + r));
        m.f.weights.core.beta_shift = r & 1;
        m.f.weights.core.decay_is_a = r == 2;
        for (int h = 0; r == 2 && h < 4; h++)
            m.decay[h] = -m.decay[h];
        gdn_layer_outputs truth = truth_of(&m.f);
        const char *const names[] = {"fp32", "hf-fp32"};
        for (int i = 0; i < 2; i++) {
            gdn_layer_outputs ours = run_of(&m.f, recipe_of(names[i]));
            check_close(names[i], &m.f, ours.hi, truth.hi, gdn_tolerance.layer_fp32);
            gdn_layer_outputs_free(&ours);
        }
        gdn_layer_outputs_free(&truth);
        model_free(&m);
    }
}
END_TEST

/* ---- one call, many calls ---- */

static gdn_layer *open_layer(const model *m, const gdn_layer_recipe *recipe, const double *state0,
                             const float *conv0)
{
    gdn_layer *l = NULL;
    gdn_error err = {""};
    gdn_layer_setup setup = {.shape = m->f.shape,
                             .weights = m->f.weights,
                             .recipe = recipe,
                             .state0 = state0,
                             .conv_state0 = conv0};
    GDN_CHECK(gdn_layer_open(&l, &setup, &err) == GDN_OK, "%s", err.text);
    return l;
}

/* Tokens t .. t + n - 1 of the model into their place in out. */
static void advance(gdn_layer *l, const model *m, int t, int n, const gdn_layer_outputs *out)
{
    gdn_layer_outputs at = *out;
    gdn_error err = {""};
    for (gdn_layer_stage i = 0; i < GDN_LAYER_STAGES; i++)
        at.hi[i] += t * gdn_layer_width(&m->f.shape, i, m->f.shape.value_heads);
    GDN_CHECK(gdn_layer_advance(l, n, m->hidden + t * m->f.shape.hidden, &at, &err) == GDN_OK, "%s",
              err.text);
}

static void read_states(gdn_layer *l, double *state, float *conv)
{
    gdn_error err = {""};
    GDN_CHECK(gdn_layer_read_state(l, state, conv, &err) == GDN_OK, "%s", err.text);
}

enum { STATE = 4 * 16 * 12, CHANNELS = 2 * 2 * 16 + 4 * 12, KEPT = CHANNELS * GDN_CONV_KEPT };

static model small_model(int tokens, uint64_t seed)
{
    return model_new(32, 2, 2, 16, 12, tokens, seed);
}

static void check_states(const char *what, gdn_layer *x, gdn_layer *y)
{
    double s[2][STATE];
    float c[2][KEPT];
    read_states(x, s[0], c[0]);
    read_states(y, s[1], c[1]);
    gdn_check_bits(s[0], s[1], STATE, what);
    GDN_CHECK(memcmp(c[0], c[1], sizeof c[0]) == 0, "%s: conv states differ", what);
}

/* Prefill by chunks, then token by token, and one token after the other: what one call gives. */
START_TEST(decode_is_one_call)
{
    enum { T = 150 };
    model m = small_model(T, 20);
    static const int prefill[] = {0, 1, 37, 64, 128};
    for (int i = 0; i < gdn_layer_recipe_count; i++) {
        const gdn_layer_recipe *recipe = &gdn_layer_recipes[i];
        gdn_layer_outputs whole = run_of(&m.f, recipe), parts = run_of(&m.f, recipe);
        gdn_layer *one = open_layer(&m, recipe, NULL, NULL);
        advance(one, &m, 0, T, &whole);
        for (size_t p = 0; p < sizeof prefill / sizeof prefill[0]; p++) {
            gdn_layer *many = open_layer(&m, recipe, NULL, NULL);
            for (gdn_layer_stage stage = 0; stage < GDN_LAYER_STAGES; stage++)
                memset(parts.hi[stage], 0xff, elements(&m.f, stage) * sizeof **parts.hi);
            if (prefill[p])
                advance(many, &m, 0, prefill[p], &parts);
            for (int t = prefill[p]; t < T; t++)
                advance(many, &m, t, 1, &parts);
            check_same(recipe->name, &m.f, &parts, &whole, 0, GDN_LAYER_OUTPUT);
            check_states(recipe->name, many, one);
            gdn_layer_close(many);
        }
        gdn_layer_close(one);
        gdn_layer_outputs_free(&whole);
        gdn_layer_outputs_free(&parts);
    }
    model_free(&m);
}
END_TEST

/*
 * Conv inputs kept in a format narrower than they come in: rounded once, at the end of a call, however many
 * spans it has. Within the call nothing shows of it.
 */
START_TEST(conv_state_is_rounded_once)
{
    enum { T = 150 };
    model m = small_model(T, 27);
    gdn_layer_recipe narrow = *recipe_of("fp32");
    narrow.conv_state = GDN_BF16;
    gdn_layer_outputs x = run_of(&m.f, &narrow), y = run_of(&m.f, recipe_of("fp32"));
    gdn_layer *layers[] = {open_layer(&m, &narrow, NULL, NULL),
                           open_layer(&m, recipe_of("fp32"), NULL, NULL)};
    double state[2][STATE];
    float conv[2][KEPT];
    int rounded = 0;
    for (int i = 0; i < 2; i++) {
        advance(layers[i], &m, 0, T, i ? &y : &x);
        read_states(layers[i], state[i], conv[i]);
        gdn_layer_close(layers[i]);
    }
    check_same("conv state in bf16", &m.f, &x, &y, 0, GDN_LAYER_OUTPUT);
    gdn_check_bits(state[0], state[1], STATE, "conv state in bf16");
    for (int i = 0; i < KEPT; i++) {
        ck_assert(conv[0][i] == (float)gdn_round(&gdn_formats[GDN_BF16], conv[1][i]));
        rounded += conv[0][i] != conv[1][i];
    }
    GDN_CHECK(rounded > KEPT / 2, "%d of %d conv inputs were rounded", rounded, KEPT);
    gdn_layer_outputs_free(&x);
    gdn_layer_outputs_free(&y);
    model_free(&m);
}
END_TEST

/* The same across the end of vllm's prefill: 2,048 tokens, then from the state cache. */
START_TEST(prefill_then_decode)
{
    enum { T = 2060, PREFILL = 2048 };
    model m = model_new(8, 1, 2, 4, 4, T, 25);
    const gdn_layer_recipe *recipe = recipe_of("vllm");
    ck_assert_int_eq(gdn_recipe_by_name(recipe->core)->prefill, PREFILL);
    gdn_layer_outputs whole = run_of(&m.f, recipe), parts = run_of(&m.f, recipe);
    for (gdn_layer_stage stage = 0; stage < GDN_LAYER_STAGES; stage++)
        memset(parts.hi[stage], 0xff, elements(&m.f, stage) * sizeof **parts.hi);
    gdn_layer *l = open_layer(&m, recipe, NULL, NULL);
    advance(l, &m, 0, 1000, &parts);
    advance(l, &m, 1000, PREFILL - 1000, &parts);
    for (int t = PREFILL; t < T; t++)
        advance(l, &m, t, 1, &parts);
    check_same("vllm", &m.f, &parts, &whole, 0, GDN_LAYER_OUTPUT);
    gdn_layer_close(l);
    gdn_layer_outputs_free(&whole);
    gdn_layer_outputs_free(&parts);
    model_free(&m);
}
END_TEST

/* States read, and a layer opened on them: the run goes on as if nothing had been, where cores are recurrent.
 */
START_TEST(states_carry_over)
{
    enum { T = 90, CUT = 41 };
    model m = small_model(T, 21);
    static const char *const names[] = {"fp32", "decode"};
    for (int i = 0; i < 2; i++) {
        const gdn_layer_recipe *recipe = recipe_of(names[i]);
        gdn_layer_outputs whole = run_of(&m.f, recipe), parts = run_of(&m.f, recipe);
        gdn_layer *first = open_layer(&m, recipe, NULL, NULL);
        advance(first, &m, 0, CUT, &parts);
        double state[STATE];
        float conv[KEPT];
        read_states(first, state, conv);
        gdn_layer_close(first);
        gdn_layer *second = open_layer(&m, recipe, state, conv);
        advance(second, &m, CUT, T - CUT, &parts);
        check_same(names[i], &m.f, &parts, &whole, 0, GDN_LAYER_OUTPUT);
        gdn_layer_close(second);
        gdn_layer_outputs_free(&whole);
        gdn_layer_outputs_free(&parts);
    }
    model_free(&m);
}
END_TEST

/* The conv state is the last three projections, oldest first, in its format; before the first token zeros. */
START_TEST(conv_state)
{
    model m = small_model(2, 22);
    gdn_layer_recipe recipe = *recipe_of("fp32");
    gdn_layer_outputs out = run_of(&m.f, &recipe);
    double state[STATE];
    float exact[KEPT], rounded[KEPT];
    for (int pass = 0; pass < 2; pass++) {
        recipe.conv_state = pass ? GDN_BF16 : GDN_FP32;
        gdn_layer *l = open_layer(&m, &recipe, NULL, NULL);
        advance(l, &m, 0, 2, &out);
        read_states(l, state, pass ? rounded : exact);
        gdn_layer_close(l);
    }
    for (int c = 0; c < CHANNELS; c++) {
        double sum = 0;
        for (int e = 0; e < 32; e++)
            sum += (double)m.qkv[c * 32 + e] * (double)m.hidden[32 + e];
        const float *x = exact + c * GDN_CONV_KEPT, *y = rounded + c * GDN_CONV_KEPT;
        GDN_CHECK(x[0] == 0 && x[1] != 0, "channel %d: %a, %a kept", c, (double)x[0], (double)x[1]);
        GDN_CHECK(fabs(x[2] - sum) <= 1e-5, "channel %d keeps %a, its input is %a", c, (double)x[2], sum);
        for (int i = 0; i < GDN_CONV_KEPT; i++)
            GDN_CHECK(y[i] == gdn_bf16_to_float(gdn_float_to_bf16(x[i])), "channel %d: %a rests as %a", c,
                      (double)x[i], (double)y[i]);
    }
    gdn_layer_outputs_free(&out);
    model_free(&m);
}
END_TEST

/* Packed sequences: after a reset the next one is as if it stood alone. */
START_TEST(reset_starts_anew)
{
    enum { T = 100, CUT = 33 };
    model m = small_model(T, 23);
    gdn_error err = {""};
    for (int i = 0; i < gdn_layer_recipe_count; i++) {
        const gdn_layer_recipe *recipe = &gdn_layer_recipes[i];
        gdn_layer_outputs packed = run_of(&m.f, recipe), alone = run_of(&m.f, recipe);
        gdn_layer *l = open_layer(&m, recipe, NULL, NULL);
        advance(l, &m, 0, CUT, &packed);
        ck_assert_int_eq(gdn_layer_reset(l, &err), GDN_OK);
        advance(l, &m, CUT, T - CUT, &packed);
        gdn_layer *second = open_layer(&m, recipe, NULL, NULL);
        advance(second, &m, CUT, T - CUT, &alone);
        check_same(recipe->name, &m.f, &packed, &alone, 0, GDN_LAYER_OUTPUT);
        check_states(recipe->name, l, second);
        gdn_layer_close(l);
        gdn_layer_close(second);
        gdn_layer_outputs_free(&packed);
        gdn_layer_outputs_free(&alone);
    }
    model_free(&m);
}
END_TEST

/* Every instruction set gives the same bits. */
START_TEST(instruction_sets)
{
    model m = model_new(50, 1, 3, 20, 18, 70, 24);
    for (int i = 0; i < gdn_layer_recipe_count; i++) {
        gdn_isa_force(GDN_ISA_SCALAR);
        gdn_layer_outputs scalar = run_of(&m.f, &gdn_layer_recipes[i]);
        for (gdn_isa isa = GDN_ISA_AVX2; isa < GDN_ISAS; isa++) {
            if (!gdn_isa_available(isa))
                continue;
            gdn_isa_force(isa);
            gdn_layer_outputs other = run_of(&m.f, &gdn_layer_recipes[i]);
            check_same(gdn_isa_names[isa], &m.f, &other, &scalar, 0, GDN_LAYER_OUTPUT);
            gdn_layer_outputs_free(&other);
        }
        gdn_layer_outputs_free(&scalar);
    }
    model_free(&m);
}
END_TEST

/* ---- heads over ranks ---- */

/* o and y of every head to the bit; the output, whose sum is taken in parts, within roundings of the parts.
 */
START_TEST(ranks)
{
    model m = model_new(48, 2, 4, 16, 16, 70, 30);
    gdn_error err = {""};
    for (int i = 0; i < gdn_layer_recipe_count; i++) {
        const gdn_layer_recipe *recipe = &gdn_layer_recipes[i];
        gdn_layer_outputs one = run_of(&m.f, recipe), split;
        for (int n = 1; n <= 8; n *= 2) {
            GDN_CHECK(!gdn_layer_file_run_split(&m.f, recipe, n, &split, &err), "%s", err.text);
            check_same(recipe->name, &m.f, &split, &one, 0, n == 1 ? GDN_LAYER_OUTPUT : GDN_LAYER_Y);
            double error = gdn_layer_error_of(split.hi[GDN_LAYER_OUTPUT], one.hi[GDN_LAYER_OUTPUT], NULL,
                                              elements(&m.f, GDN_LAYER_OUTPUT), recipe->output)
                               .rel_l2;
            /* n parts and n - 1 sums, each rounded by u of what grows to the result: 2 n u */
            GDN_CHECK(error <= 2 * n * ldexp(1, -gdn_formats[recipe->output].p),
                      "%s on %d ranks: output off by %.3e", recipe->name, n, error);
            GDN_CHECK(n == 1 || error > 0, "%s on %d ranks: the sums of the parts are those of one",
                      recipe->name, n);
            gdn_layer_outputs_free(&split);
        }
        ck_assert_int_eq(gdn_layer_file_run_split(&m.f, recipe, 3, &split, &err), GDN_BAD_INPUT);
        gdn_layer_outputs_free(&one);
    }
    model_free(&m);
}
END_TEST

/* Any run of heads is theirs in the whole, across key heads too. */
START_TEST(share_of_heads)
{
    enum { FIRST = 1, HEADS = 4, DV = 12, T = 30 };
    model m = model_new(32, 2, 3, 16, DV, T, 31);
    const gdn_layer_recipe *recipe = recipe_of("decode");
    gdn_layer_outputs whole = run_of(&m.f, recipe), mine;
    gdn_error err = {""};
    gdn_layer *l = NULL;
    GDN_CHECK(!gdn_layer_outputs_new(&mine, &m.f.shape, HEADS, T, false, &err), "%s", err.text);
    gdn_layer_setup setup = {
        .shape = m.f.shape, .weights = m.f.weights, .recipe = recipe, .first = FIRST, .heads = HEADS};
    GDN_CHECK(!gdn_layer_open(&l, &setup, &err), "%s", err.text);
    GDN_CHECK(!gdn_layer_advance(l, T, m.hidden, &mine, &err), "%s", err.text);
    for (gdn_layer_stage stage = GDN_LAYER_Q; stage < GDN_LAYER_OUTPUT; stage++) {
        int d = gdn_layer_width(&m.f.shape, stage, 1);
        for (int t = 0; t < T; t++)
            gdn_check_bits(mine.hi[stage] + t * HEADS * d, whole.hi[stage] + (t * 6 + FIRST) * d,
                           (size_t)(HEADS * d), gdn_layer_stage_names[stage]);
    }
    gdn_layer_close(l);
    setup.first = 3;
    ck_assert_int_eq(gdn_layer_open(&l, &setup, &err), GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, "value heads 3 to 6") && !l, "%s", err.text);
    gdn_layer_outputs_free(&whole);
    gdn_layer_outputs_free(&mine);
    model_free(&m);
}
END_TEST
/* ---- layers in files ---- */

/* A tensor to write; its numbers are fp32. */
typedef struct tensor {
    const char *name;
    int rank;
    int dim[4];
    const float *x;
} tensor;

static size_t count(const tensor *t)
{
    size_t n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= (size_t)t->dim[i];
    return n;
}

static char path[] = "/tmp/gdn_layer_XXXXXX";

/* A safetensors file at `path`. */
static void write_file(const tensor *t, size_t n, const char *dtype)
{
    char header[4096] = "{";
    size_t used = 1, begin = 0, bytes = strcmp(dtype, "F32") == 0 ? 4 : 8;
    for (size_t i = 0; i < n; i++) {
        used += (size_t)snprintf(header + used, sizeof header - used,
                                 "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", i ? "," : "", t[i].name, dtype);
        for (int d = 0; d < t[i].rank; d++)
            used += (size_t)snprintf(header + used, sizeof header - used, "%s%d", d ? "," : "", t[i].dim[d]);
        used += (size_t)snprintf(header + used, sizeof header - used, "],\"data_offsets\":[%zu,%zu]}", begin,
                                 begin + bytes * count(&t[i]));
        begin += bytes * count(&t[i]);
    }
    used += (size_t)snprintf(header + used, sizeof header - used, "}");
    GDN_CHECK(used < sizeof header, "a header of %zu bytes", used);
    strcpy(path + strlen(path) - 6, "XXXXXX");
    int fd = mkstemp(path);
    GDN_CHECK(fd >= 0, "no file %s", path);
    FILE *f = fdopen(fd, "wb");
    uint64_t length = used;
    GDN_CHECK(f && fwrite(&length, 8, 1, f) == 1 && fwrite(header, used, 1, f) == 1, "cannot write %s", path);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < count(&t[i]); j++) {
            double wide = t[i].x[j];
            GDN_CHECK(fwrite(bytes == 4 ? (const void *)&t[i].x[j] : &wide, bytes, 1, f) == 1,
                      "cannot write");
        }
    GDN_CHECK(fclose(f) == 0, "cannot write %s", path);
}

enum { WEIGHTS = 11, A_LOG = 0, DT_BIAS, NORM, CONV, HIDDEN, OUT, QKV, Z, B, A, RECORDED };

/* The model's tensors under the names of Qwen3.5, and two recorded ones; decay, dt_bias and norm are ones. */
static void tensors_of(const model *m, const float *ones, tensor t[WEIGHTS])
{
    const gdn_layer_shape *s = &m->f.shape;
    const int channels = gdn_layer_channels(s), H = s->value_heads, wide = H * s->dv, D = s->hidden;
    const tensor all[WEIGHTS] = {{"linear_attn.A_log", 1, {H}, ones},
                                 {"linear_attn.dt_bias", 1, {H}, ones},
                                 {"linear_attn.norm.weight", 1, {s->dv}, ones},
                                 {"linear_attn.conv1d.weight", 3, {channels, 1, 4}, m->conv},
                                 {"hidden_states", 3, {1, m->f.tokens, D}, m->hidden},
                                 {"linear_attn.out_proj.weight", 2, {D, wide}, m->out},
                                 {"linear_attn.in_proj_qkv.weight", 2, {channels, D}, m->qkv},
                                 {"linear_attn.in_proj_z.weight", 2, {wide, D}, m->z},
                                 {"linear_attn.in_proj_b.weight", 2, {H, D}, m->b},
                                 {"linear_attn.in_proj_a.weight", 2, {H, D}, m->a},
                                 {"norm.out", 2, {m->f.tokens * H, s->dv}, ones}};
    memcpy(t, all, sizeof all);
}

static const float *ones(void)
{
    static float x[4096];
    for (size_t i = 0; i < sizeof x / sizeof x[0]; i++)
        x[i] = 1;
    return x;
}

/* Both namings hold the same layer. The fused rows are put together the other way round: by row of the fused
 * one. */
START_TEST(fused_names)
{
    enum { D = 8, KEYS = 2, R = 3, DK = 4, DV = 4, H = KEYS * R, EACH = 2 * DK + 2 * R * DV };
    model m = model_new(D, KEYS, R, DK, DV, 5, 40);
    tensor t[WEIGHTS];
    tensors_of(&m, ones(), t);
    write_file(t, WEIGHTS, "F32");
    gdn_error err = {""};
    gdn_layer_file *plain = NULL, *fused = NULL;
    GDN_CHECK(!gdn_layer_file_read(path, &plain, &err), "%s", err.text);
    unlink(path);
    float qkvz[KEYS * EACH * D], ba[2 * H * D];
    for (int i = 0; i < KEYS * EACH; i++) {
        int key = i / EACH, j = i % EACH, value = j - 2 * DK;
        const float *row = j < DK           ? m.qkv + (key * DK + j) * D
                           : j < 2 * DK     ? m.qkv + (KEYS * DK + key * DK + j - DK) * D
                           : value < R * DV ? m.qkv + (2 * KEYS * DK + key * R * DV + value) * D
                                            : m.z + (key * R * DV + value - R * DV) * D;
        memcpy(qkvz + i * D, row, D * sizeof *row);
    }
    for (int i = 0; i < 2 * H; i++) {
        int key = i / (2 * R), j = i % (2 * R);
        memcpy(ba + i * D, j < R ? m.b + (key * R + j) * D : m.a + (key * R + j - R) * D, D * sizeof *ba);
    }
    t[QKV] = (tensor){"linear_attn.in_proj_qkvz.weight", 2, {KEYS * EACH, D}, qkvz};
    t[Z] = (tensor){"linear_attn.in_proj_ba.weight", 2, {2 * H, D}, ba};
    t[B] = t[RECORDED];
    write_file(t, B + 1, "F32");
    GDN_CHECK(!gdn_layer_file_read(path, &fused, &err), "%s", err.text);
    unlink(path);
    ck_assert_int_eq(memcmp(&plain->shape, &m.f.shape, sizeof m.f.shape), 0);
    ck_assert_int_eq(memcmp(&fused->shape, &m.f.shape, sizeof m.f.shape), 0);
    const struct {
        const float *made, *plain, *fused;
        size_t n;
    } same[] = {{m.qkv, plain->weights.qkv, fused->weights.qkv, (2 * KEYS * DK + H * DV) * D},
                {m.z, plain->weights.z, fused->weights.z, H * DV * D},
                {m.b, plain->weights.b, fused->weights.b, H * D},
                {m.a, plain->weights.a, fused->weights.a, H * D},
                {m.conv, plain->weights.conv, fused->weights.conv, (2 * KEYS * DK + H * DV) * 4},
                {m.out, plain->weights.out, fused->weights.out, D * H * DV},
                {m.hidden, plain->hidden, fused->hidden, 5 * D}};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        GDN_CHECK(memcmp(same[i].made, same[i].plain, same[i].n * sizeof(float)) == 0, "weight %zu, plain",
                  i);
        GDN_CHECK(memcmp(same[i].made, same[i].fused, same[i].n * sizeof(float)) == 0, "weight %zu, fused",
                  i);
    }
    GDN_CHECK(fused->recorded[GDN_LAYER_Y] && fused->recorded[GDN_LAYER_Y][5 * H * DV - 1] == 1, "norm.out");
    GDN_CHECK(!fused->recorded[GDN_LAYER_O], "o was not recorded");
    gdn_layer_file_free(plain);
    gdn_layer_file_free(fused);
    model_free(&m);
}
END_TEST

/* Every bad tensor: one sentence that names file and tensor, what was found and what is expected. */
START_TEST(bad_files)
{
    model m = model_new(8, 2, 2, 4, 4, 5, 41);
    static const struct {
        int tensor, rank, dim[4];
        const char *says[3];
    } bad[] = {
        {QKV, 2, {31, 8}, {"in_proj_qkv.weight", "[31, 8]", "[32, 8]"}},
        {QKV, 2, {32, 7}, {"in_proj_qkv.weight", "[32, 7]", "[32, 8]"}},
        {Z, 2, {8, 16}, {"in_proj_z.weight", "[8, 16]", "[16, 8]"}},
        {B, 2, {3, 8}, {"in_proj_b.weight", "[3, 8]", "[4, 8]"}},
        {A, 1, {32}, {"in_proj_a.weight", "[32]", "[4, 8]"}},
        {OUT, 2, {16, 8}, {"out_proj.weight", "[16, 8]", "[8, 16]"}},
        {DT_BIAS, 1, {5}, {"dt_bias", "[5]", "[4]"}},
        {CONV, 3, {32, 1, 3}, {"conv1d.weight", "[32, 1, 3]", "[32, 1, 4]"}},
        {CONV, 2, {32, 4}, {"conv1d.weight", "[32, 4]", "[channels, 1, 4]"}},
        {CONV, 3, {30, 1, 4}, {"conv1d.weight", "30 channels", "key heads of 4"}},
        {CONV, 3, {16, 1, 4}, {"conv1d.weight", "16 channels", "key heads of 4"}},
        {CONV, 3, {40, 1, 4}, {"4 value heads over 3 key heads", "the same number", ""}},
        {HIDDEN, 3, {2, 5, 4}, {"hidden_states", "[2, 5, 4]", "[1, T, D]"}},
        {HIDDEN, 1, {8}, {"hidden_states", "[8]", "[T, D]"}},
        {A_LOG, 2, {2, 2}, {"A_log", "[2, 2]", "[H_v]"}},
        {NORM, 0, {0}, {"norm.weight", "[]", "[d_v]"}},
        {A_LOG, 1, {6}, {"A_log", "[6]", "[4]"}},
        {NORM, 1, {8}, {"norm.weight", "[8]", "[4]"}},
        {NORM, 1, {3}, {"norm.weight", "[3]", "[4]"}},
        {A, 2, {5, 8}, {"in_proj_a.weight", "[5, 8]", "[4, 8]"}},
        {Z, 2, {20, 8}, {"in_proj_z.weight", "[20, 8]", "[16, 8]"}},
        {OUT, 2, {8, 20}, {"out_proj.weight", "[8, 20]", "[8, 16]"}},
        {RECORDED, 2, {20, 3}, {"norm.out", "[20, 3]", "[20, 4]"}},
    };
    tensor t[WEIGHTS];
    gdn_error err;
    gdn_layer_file *f = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tensors_of(&m, ones(), t);
        t[bad[i].tensor].rank = bad[i].rank;
        memcpy(t[bad[i].tensor].dim, bad[i].dim, sizeof bad[i].dim);
        t[bad[i].tensor].x = ones();
        write_file(t, WEIGHTS, "F32");
        err.text[0] = 0;
        gdn_status status = gdn_layer_file_read(path, &f, &err);
        GDN_CHECK(status == GDN_BAD_INPUT && !f, "status %d for %s: %s", (int)status, bad[i].says[0],
                  err.text);
        GDN_CHECK(strncmp(err.text, path, strlen(path)) == 0, "no path: %s", err.text);
        for (int s = 0; s < 3; s++)
            GDN_CHECK(strstr(err.text, bad[i].says[s]), "no '%s': %s", bad[i].says[s], err.text);
        unlink(path);
    }
    tensors_of(&m, ones(), t);
    write_file(t, WEIGHTS, "F64");
    ck_assert_int_eq(gdn_layer_file_read(path, &f, &err), GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, "F64") && strstr(err.text, "F32 and BF16"), "%s", err.text);
    unlink(path);
    for (int missing = 0; missing < RECORDED; missing++) {
        tensors_of(&m, ones(), t);
        const char *name = t[missing].name;
        t[missing] = t[RECORDED];
        write_file(t, WEIGHTS - 1, "F32");
        ck_assert_int_eq(gdn_layer_file_read(path, &f, &err), GDN_BAD_INPUT);
        GDN_CHECK(strstr(err.text, name), "no '%s': %s", name, err.text);
        unlink(path);
    }
    ck_assert_int_eq(gdn_layer_file_read("/tmp/gdn_layer_is_not_there", &f, &err), GDN_BAD_INPUT);
    model_free(&m);
}
END_TEST

START_TEST(bad_shapes)
{
    static const struct {
        gdn_layer_shape shape;
        const char *says;
    } bad[] = {{{8, 3, 4, 4, 4}, "4 value heads over 3 key heads"},
               {{8, 4, 2, 4, 4}, "2 value heads over 4 key heads"},
               {{0, 2, 4, 4, 4}, "hidden size of 0"},
               {{8, 0, 4, 4, 4}, "key heads of 0"},
               {{8, 2, 4, 2000, 4}, "key head dimension of 2000"}};
    gdn_error err = {""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        gdn_layer *l = NULL;
        gdn_layer_setup setup = {.shape = bad[i].shape, .recipe = &gdn_layer_recipes[0]};
        ck_assert_int_eq(gdn_layer_open(&l, &setup, &err), GDN_BAD_INPUT);
        GDN_CHECK(!l && strstr(err.text, bad[i].says), "no '%s': %s", bad[i].says, err.text);
    }
}
END_TEST

/* ---- the command ---- */

static gdn_status command(gdn_error *err, const char *a, const char *b, const char *c, const char *d)
{
    char name[] = "gdnprec layer", words[4][4096], *argv[6] = {name};
    const char *const given[4] = {a, b, c, d};
    int argc = 1;
    for (int i = 0; i < 4 && given[i]; i++) {
        snprintf(words[i], sizeof words[i], "%s", given[i]);
        argv[argc++] = words[i];
    }
    err->text[0] = 0;
    return gdn_command_layer(argc, argv, err);
}

START_TEST(command_says_what_is_there)
{
    char file[4096], *said = NULL;
    size_t size = 0;
    const char *folder = getenv("GDN_GOLDEN");
    snprintf(file, sizeof file, "%s/hf_layer_bf16.safetensors", folder ? folder : "tests/golden");
    gdn_error err;
    ck_assert_int_eq(command(&err, NULL, NULL, NULL, NULL), GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, "a safetensors file is wanted"), "%s", err.text);
    ck_assert_int_eq(command(&err, file, "--recipe", "hf", NULL), GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, "'hf'") && strstr(err.text, "hf-bf16, fla-bf16, decode, vllm"), "%s",
              err.text);
    ck_assert_int_eq(command(&err, "/tmp/gdn_layer_is_not_there", NULL, NULL, NULL), GDN_BAD_INPUT);
    FILE *real = stdout, *standin = open_memstream(&said, &size);
    GDN_CHECK(standin, "no stream");
    stdout = standin;
    gdn_status status = command(&err, file, "--json", "--recipe=hf-bf16", "--tokens=20");
    stdout = real;
    fclose(standin);
    GDN_CHECK(status == GDN_OK, "%s", err.text);
    json_error_t why;
    json_t *o = json_loads(said, 0, &why), *rows = json_object_get(o, "rows");
    GDN_CHECK(o, "%s: %s", why.text, said);
    ck_assert_int_eq(json_integer_value(json_object_get(o, "tokens")), 20);
    ck_assert_uint_eq(json_array_size(rows), GDN_LAYER_STAGES);
    json_t *y = json_array_get(rows, GDN_LAYER_Y), *recorded = json_object_get(y, "recorded");
    ck_assert_str_eq(json_string_value(json_object_get(y, "stage")), "y");
    ck_assert_int_eq(json_integer_value(json_object_get(y, "elements")), 20 * 4 * 16);
    double error = json_number_value(json_object_get(y, "rel_l2"));
    GDN_CHECK(error > 1e-3 && error < 2e-2, "rel_l2 %g", error);
    ck_assert_int_eq(json_integer_value(json_object_get(recorded, "same")) +
                         json_integer_value(json_object_get(recorded, "one_ulp")) +
                         json_integer_value(json_object_get(recorded, "more")),
                     20 * 4 * 16);
    json_decref(o);
    free(said);
}
END_TEST

/* ---- the probes ---- */

/* The sum of a measure over the cases whose name contains `part`; how many there are. */
static double sum_of(const char *csv, const char *part, const char *measure, int *n)
{
    double sum = 0;
    *n = 0;
    char name[64];
    snprintf(name, sizeof name, ",%s,", measure);
    for (const char *line = csv; *line; line = strchr(line, '\n') + 1) {
        const char *end = strchr(line, '\n'), *at = strstr(line, name), *where = strstr(line, part);
        if (at && at < end && where && where < at) {
            sum += strtod(at + strlen(name), NULL);
            ++*n;
        }
    }
    return sum;
}

START_TEST(probes)
{
    char file[4096], *csv = NULL;
    size_t size = 0;
    const char *folder = getenv("GDN_GOLDEN");
    snprintf(file, sizeof file, "%s/hf_layer_bf16.safetensors", folder ? folder : "tests/golden");
    FILE *f = open_memstream(&csv, &size);
    GDN_CHECK(f, "no stream");
    gdn_error err = {""};
    GDN_CHECK(!gdn_probe_layer(&(gdn_probe_sink){f, "layer"}, file, &err), "%s", err.text);
    GDN_CHECK(!gdn_probe_tensor_parallel(&(gdn_probe_sink){f, "tensor-parallel"}, file, &err), "%s",
              err.text);
    ck_assert_int_eq(gdn_probe_layer(&(gdn_probe_sink){f, "layer"}, "/tmp/gdn_layer_is_not_there", &err),
                     GDN_BAD_INPUT);
    fclose(f);
    int n;
    double off = sum_of(csv, "hf_layer_bf16 hf-bf16 y", "share_off_by_one", &n);
    GDN_CHECK(n == 1 && off <= gdn_tolerance.layer_off, "%d cases, %g of y off by one", n, off);
    off = sum_of(csv, "hf_layer_bf16 hf-bf16 y", "share_off_by_more", &n);
    GDN_CHECK(n == 1 && off == 0, "%d cases, %g of y off by more", n, off);
    sum_of(csv, "hf-bf16", "recorded_rel_l2", &n);
    ck_assert_int_eq(n, GDN_LAYER_STAGES);
    const int bf16_recipes = gdn_layer_recipe_count - 2;
    off =
        sum_of(csv, " ranks", "o_elements_differing", &n) + sum_of(csv, " ranks", "y_elements_differing", &n);
    GDN_CHECK(n == 2 * bf16_recipes && off == 0, "%d cases, %g elements of o and y differ", n, off);
    off = sum_of(csv, " 4 ranks", "output_elements_differing", &n);
    GDN_CHECK(n == bf16_recipes && off > 0, "%d cases, %g elements of the output differ", n, off);
    free(csv);
}
END_TEST

/* Neighbours are a step apart on both sides of a power of two and across zero. */
START_TEST(steps)
{
    const double x[] = {1, 1, 1, 0x1p-133, -0x1p-133, 2, 1.5},
                 y[] = {1, 1 + 0x1p-7, 1 - 0x1p-8, 0, 0, 1, 1.503};
    gdn_layer_steps s = gdn_layer_steps_of(x, y, 7, GDN_BF16);
    GDN_CHECK(s.n == 7 && s.same == 2 && s.one == 4 && s.more == 1, "%lld same, %lld one, %lld more",
              (long long)s.same, (long long)s.one, (long long)s.more);
}
END_TEST

GDN_TEST_MAIN("layer", golden_fp32, golden_fp32_d128, golden_bf16, truth_against_long_double,
              truth_certificate, groups, decode_is_one_call, conv_state_is_rounded_once, prefill_then_decode,
              states_carry_over, conv_state, reset_starts_anew, instruction_sets, ranks, share_of_heads,
              fused_names, bad_files, bad_shapes, command_says_what_is_there, probes, steps)
