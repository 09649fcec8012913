/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_profile -- storage chains, A instead of A_log, w - 1 instead of w, pairs of bf16; the table of
 * built-in profiles; and the canonical text that enters the identity of every cell.
 */
#include "tests/gdn_test.h"

#include "base/format.h"
#include "harness/profile.h"

static const double probes[] = {-3.3, 0.1, 1, -8, 2.718281828, 1e-30, -4.03, 0.9990234375, 80};
enum { PROBES = sizeof probes / sizeof probes[0] };

static double rounded(gdn_format_id format, double x)
{
    return gdn_round(&gdn_formats[format], x);
}

static gdn_profile named(const char *name)
{
    for (int i = 0; i < gdn_profile_count; i++)
        if (strcmp(gdn_profile_builtin(i).name, name) == 0)
            return gdn_profile_builtin(i);
    ck_abort_msg("there is no profile %s", name);
}

static void same(double x, double want, const char *what, double from)
{
    GDN_CHECK(gdn_same(x, want), "%s of %a: %a, not %a", what, from, x, want);
}

/* ---- chains ---- */

/* fp32 -> bf16 -> fp32 keeps the bf16 value: a chain is not its last format. */
START_TEST(wrapped_keeps_the_bf16_value)
{
    static const gdn_chain wrapped = {3, {GDN_FP32, GDN_BF16, GDN_FP32}}, upcast = {2, {GDN_BF16, GDN_FP32}},
                           single = {1, {GDN_FP32}};
    same(gdn_chain_apply(&wrapped, -3.3), -3.296875, "fp32 > bf16 > fp32", -3.3);
    same(gdn_chain_apply(&single, -3.3), -0x1.a66666p+1, "fp32", -3.3);
    uint64_t seed = 1;
    for (int i = 0; i < 20000; i++) {
        double x = (float)gdn_test_any(&seed, -120, 120);
        same(gdn_chain_apply(&wrapped, x), rounded(GDN_BF16, x), "fp32 > bf16 > fp32", x);
        same(gdn_chain_apply(&upcast, x), rounded(GDN_BF16, x), "bf16 > fp32", x);
        same(gdn_chain_apply(&single, x), x, "fp32", x);
    }
}
END_TEST

/* Links act in order: 1 + 2^-8 + 2^-24 lies above a bf16 tie, but on it once fp16 has rounded it. */
START_TEST(order_of_links)
{
    static const gdn_chain direct = {1, {GDN_BF16}}, twice = {2, {GDN_FP16, GDN_BF16}},
                           back = {2, {GDN_BF16, GDN_FP16}};
    double x = 1 + 0x1p-8 + 0x1p-24;
    same(gdn_chain_apply(&direct, x), 1 + 0x1p-7, "bf16", x);
    same(gdn_chain_apply(&twice, x), 1, "fp16 > bf16", x);
    same(gdn_chain_apply(&back, x), 1 + 0x1p-7, "bf16 > fp16", x);
    static const gdn_chain full = {GDN_CHAIN_MAX,
                                   {GDN_FP64, GDN_FP32, GDN_TF32, GDN_BF16, GDN_E5M2, GDN_E4M3}};
    same(gdn_chain_apply(&full, 1.3), 1.25, "all of them", 1.3);
    static const gdn_chain none = {0, {0}};
    same(gdn_chain_apply(&none, 0.1), 0.1, "no link", 0.1);
}
END_TEST

/* hi = RN(x), lo = RN(x - hi): |x - hi| <= 2^(e-8), so lo errs by at most 2^(e-17). */
START_TEST(pair_of_bf16)
{
    static const gdn_chain pair = {1, {GDN_LINK_BF16_PAIR}};
    uint64_t seed = 2;
    double worst = 0;
    for (int i = 0; i < 200000; i++) {
        double x = gdn_test_any(&seed, -100, 120), y = gdn_chain_apply(&pair, x), hi = rounded(GDN_BF16, x);
        GDN_CHECK(fabs(y - x) <= 0x1p-17 * fabs(x), "%a rests as %a", x, y);
        GDN_CHECK(rounded(GDN_BF16, y - hi) == y - hi, "%a: the low half of %a is no bf16 value", x, y);
        worst = fmax(worst, fabs(y / x - 1));
    }
    GDN_CHECK(worst > 0x1p-18, "a pair of bf16 that errs by %a at most is no pair of bf16", worst);
    same(gdn_chain_apply(&pair, INFINITY), INFINITY, "a pair", INFINITY);
    same(gdn_chain_apply(&pair, -0x1.ffffp127), -INFINITY, "a pair", -0x1.ffffp127);
    same(gdn_chain_apply(&pair, NAN), NAN, "a pair", NAN);
}
END_TEST

/* ---- what rests ---- */

/* exp(x) rounded to a format by MPFR. */
static double exact_exp(const gdn_format *f, double x)
{
    mpfr_t y;
    mpfr_init2(y, f->p); /* the exponents met here are normal in every format tested */
    mpfr_set_d(y, 0, MPFR_RNDN);
    mpfr_t t;
    mpfr_init2(t, 53);
    mpfr_set_d(t, x, MPFR_RNDN);
    mpfr_exp(y, t, MPFR_RNDN);
    double r = mpfr_get_d(y, MPFR_RNDN);
    mpfr_clears(y, t, (mpfr_ptr)0);
    return r;
}

/* Profiles that rest A hold RN(exp A_log), the others RN(A_log). */
START_TEST(store_a)
{
    gdn_profile a = named("a-bf16"), llama = named("llamacpp"), log = named("a_log-bf16");
    uint64_t seed = 3;
    for (int i = 0; i < 20000; i++) {
        double x = (float)gdn_test_uniform(&seed, -8, 4.3);
        same(gdn_profile_decay(&a, x), exact_exp(&gdn_formats[GDN_BF16], x), "A in bf16", x);
        same(gdn_profile_decay(&llama, x), exact_exp(&gdn_formats[GDN_FP32], x), "A in fp32", x);
        same(gdn_profile_decay(&log, x), rounded(GDN_BF16, x), "A_log in bf16", x);
    }
}
END_TEST

/* w - 1 is exact in double, and so is 1 + RN(w - 1): the stored offset itself is what is added. */
START_TEST(zero_centred)
{
    gdn_profile p = named("norm-bf16-centred"), plain = named("norm-bf16");
    uint64_t seed = 4;
    for (int i = 0; i < 50000; i++) {
        double w = (float)(i % 2 ? gdn_test_uniform(&seed, 0.25, 4) : 1 + gdn_test_any(&seed, -23, -1));
        double got = gdn_profile_norm_weight(&p, w);
        long double want = 1.0L + (long double)rounded(GDN_BF16, w - 1);
        GDN_CHECK((long double)got == want, "w = %a rests as 1 + (%a)", w, got - 1);
        GDN_CHECK(fabs(got - w) <= 0x1p-8 * fabs(w - 1), "w = %a comes back as %a", w, got);
    }
    same(gdn_profile_norm_weight(&p, 1 + 0x1p-20), 1 + 0x1p-20, "w - 1", 1 + 0x1p-20);
    same(gdn_profile_norm_weight(&plain, 1 + 0x1p-20), 1, "w", 1 + 0x1p-20);
}
END_TEST

/* What each built-in profile makes of A_log, dt_bias and w, as a table; a new profile must be added here. */
START_TEST(builtin_policies)
{
    enum { PAIR = GDN_LINK_BF16_PAIR };
    static const struct {
        const char *name;
        int a_log, dt_bias, norm_weight;
        bool store_a, zero_centred;
        gdn_format_id alpha;
        const char *recipe;
    } want[] = {
        {"fp32", GDN_FP32, GDN_FP32, GDN_FP32, false, false, GDN_FP64, "fp32"},
        {"a_log-bf16", GDN_BF16, GDN_FP32, GDN_FP32, false, false, GDN_FP64, "fp32"},
        {"dt_bias-bf16", GDN_FP32, GDN_BF16, GDN_FP32, false, false, GDN_FP64, "fp32"},
        {"norm-bf16", GDN_FP32, GDN_FP32, GDN_BF16, false, false, GDN_FP64, "fp32"},
        {"all-bf16", GDN_BF16, GDN_BF16, GDN_BF16, false, false, GDN_FP64, "fp32"},
        {"bf16-io", GDN_FP32, GDN_FP32, GDN_FP32, false, false, GDN_FP64, "bf16-io"},
        {"bf16-state", GDN_FP32, GDN_FP32, GDN_FP32, false, false, GDN_FP64, "bf16-state"},
        {"bf16-state-sr", GDN_FP32, GDN_FP32, GDN_FP32, false, false, GDN_FP64, "bf16-state-sr"},
        {"bf16", GDN_BF16, GDN_BF16, GDN_BF16, false, false, GDN_FP64, "bf16"},
        {"chunk-fp32", GDN_FP32, GDN_FP32, GDN_FP32, false, false, GDN_FP64, "chunk-fp32"},
        {"chunk-tf32", GDN_FP32, GDN_FP32, GDN_FP32, false, false, GDN_FP64, "chunk-tf32"},
        {"chunk-bf16", GDN_FP32, GDN_FP32, GDN_FP32, false, false, GDN_FP64, "chunk-bf16"},
        {"a-bf16", GDN_BF16, GDN_FP32, GDN_FP32, true, false, GDN_FP64, "fp32"},
        {"a_log-bf16-pair", PAIR, GDN_FP32, GDN_FP32, false, false, GDN_FP64, "fp32"},
        {"norm-bf16-centred", GDN_FP32, GDN_FP32, GDN_BF16, false, true, GDN_FP64, "fp32"},
        {"alpha-bf16", GDN_FP32, GDN_FP32, GDN_FP32, false, false, GDN_BF16, "fp32"},
        {"qwen3-next-release", GDN_BF16, GDN_BF16, GDN_BF16, false, false, GDN_FP64, "chunk-bf16"},
        {"qwen3.5-release", GDN_FP32, GDN_BF16, GDN_FP32, false, false, GDN_FP64, "chunk-bf16"},
        {"hf-load", GDN_BF16, GDN_BF16, GDN_BF16, false, false, GDN_FP64, "hf"},
        {"megatron", GDN_BF16, GDN_BF16, GDN_BF16, false, true, GDN_FP64, "megatron"},
        {"megatron-eager", GDN_BF16, GDN_BF16, GDN_BF16, false, true, GDN_FP64, "megatron-eager"},
        {"megatron-pr3634", GDN_FP32, GDN_BF16, GDN_FP32, false, true, GDN_FP64, "megatron-fp32-norm"},
        {"megatron-pr3634-wrapped", GDN_BF16, GDN_BF16, GDN_BF16, false, true, GDN_FP64,
         "megatron-fp32-norm"},
        {"automodel", GDN_FP32, GDN_FP32, GDN_BF16, false, false, GDN_FP64, "chunk-bf16"},
        {"fsdp2-mixed", GDN_BF16, GDN_BF16, GDN_BF16, false, false, GDN_FP64, "chunk-bf16"},
        {"llamacpp", GDN_FP32, GDN_FP32, GDN_FP32, true, false, GDN_FP64, "fp32"},
        {"vllm-decode", GDN_FP32, GDN_BF16, GDN_BF16, false, false, GDN_FP64, "vllm-decode"},
        {"vllm-decode-bf16-state", GDN_FP32, GDN_BF16, GDN_BF16, false, false, GDN_FP64, "vllm-decode-bf16"},
        {"vllm", GDN_FP32, GDN_BF16, GDN_BF16, false, false, GDN_FP64, "vllm"},
        {"vllm-bf16-state", GDN_FP32, GDN_BF16, GDN_BF16, false, false, GDN_FP64, "vllm-bf16-state"},
        {"float16-module", GDN_BF16, GDN_BF16, GDN_BF16, false, false, GDN_FP64, "bf16-io"},
    };
    ck_assert_int_eq(gdn_profile_count, sizeof want / sizeof want[0]);
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        gdn_profile p = named(want[i].name);
        gdn_chain a = {1, {want[i].a_log}}, b = {1, {want[i].dt_bias}}, w = {1, {want[i].norm_weight}};
        GDN_CHECK(p.store_a == want[i].store_a && p.zero_centred == want[i].zero_centred &&
                      p.alpha == want[i].alpha,
                  "%s: store_a %d, zero_centred %d, alpha %s", p.name, p.store_a, p.zero_centred,
                  gdn_formats[p.alpha].name);
        ck_assert_str_eq(p.recipe.name, want[i].recipe);
        for (int j = 0; j < PROBES; j++) {
            double x = (float)probes[j], c = want[i].zero_centred ? 1 : 0;
            same(gdn_profile_dt_bias(&p, x), gdn_chain_apply(&b, x), p.name, x);
            same(gdn_profile_norm_weight(&p, x), c + gdn_chain_apply(&w, x - c), p.name, x);
            if (!p.store_a)
                same(gdn_profile_decay(&p, x), gdn_chain_apply(&a, x), p.name, x);
        }
    }
}
END_TEST

/* What an implementation's recipe rounds, field by field: cast points of out_norm, beta, state, algorithm. */
START_TEST(implementations)
{
    static const struct {
        const char *recipe;
        gdn_algorithm algorithm;
        gdn_format_id product, beta, qk, state, norm_in, norm_hat, norm_out, exp_a;
        gdn_softplus_variant softplus;
        int64_t prefill;
    } want[] = {
        {"hf", GDN_CHUNKED, GDN_FP32, GDN_BF16, GDN_FP32, GDN_FP32, GDN_BF16, GDN_BF16, GDN_BF16, GDN_FP32,
         GDN_SOFTPLUS_TORCH, 0},
        {"megatron", GDN_CHUNKED, GDN_BF16, GDN_BF16, GDN_BF16, GDN_FP32, GDN_BF16, GDN_FP64, GDN_BF16,
         GDN_FP32, GDN_SOFTPLUS_TORCH, 0},
        {"megatron-eager", GDN_CHUNKED, GDN_BF16, GDN_BF16, GDN_BF16, GDN_FP32, GDN_BF16, GDN_FP64, GDN_BF16,
         GDN_BF16, GDN_SOFTPLUS_TORCH, 0},
        {"megatron-fp32-norm", GDN_CHUNKED, GDN_BF16, GDN_BF16, GDN_BF16, GDN_FP32, GDN_BF16, GDN_FP64,
         GDN_FP32, GDN_FP32, GDN_SOFTPLUS_TORCH, 0},
        {"vllm", GDN_PREFILL_DECODE, GDN_BF16, GDN_FP32, GDN_BF16, GDN_FP32, GDN_BF16, GDN_FP64, GDN_FP64,
         GDN_FP32, GDN_SOFTPLUS_TORCH, 2048},
        {"vllm-bf16-state", GDN_PREFILL_DECODE, GDN_BF16, GDN_FP32, GDN_BF16, GDN_BF16, GDN_BF16, GDN_FP64,
         GDN_FP64, GDN_FP32, GDN_SOFTPLUS_TORCH, 2048},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        const gdn_recipe *r = gdn_recipe_by_name(want[i].recipe);
        GDN_CHECK(r, "there is no recipe %s", want[i].recipe);
        GDN_CHECK(r->algorithm == want[i].algorithm && r->product == want[i].product &&
                      r->prefill == want[i].prefill && r->softplus == want[i].softplus,
                  "%s: %s, product %s, softplus %s, prefill %lld", r->name, gdn_algorithm_names[r->algorithm],
                  gdn_formats[r->product].name, gdn_softplus_names[r->softplus], (long long)r->prefill);
        const gdn_format_id got[] = {r->beta,     r->qk,       r->state, r->norm_in,
                                     r->norm_hat, r->norm_out, r->exp_a};
        const gdn_format_id formats[] = {want[i].beta,     want[i].qk,       want[i].state, want[i].norm_in,
                                         want[i].norm_hat, want[i].norm_out, want[i].exp_a};
        for (int f = 0; f < 7; f++)
            GDN_CHECK(got[f] == formats[f], "%s: format %d is %s, not %s", r->name, f,
                      gdn_formats[got[f]].name, gdn_formats[formats[f]].name);
        GDN_CHECK(r->op == GDN_FP32 && r->input == GDN_BF16 && r->output == GDN_BF16,
                  "%s: bf16 tensors, fp32 inside", r->name);
        GDN_CHECK(r->l2norm == GDN_L2_SUM_EPS && r->carrier == GDN_CARRIER_G && r->inverse == GDN_FP64,
                  "%s: %s, carrier %s", r->name, gdn_l2norm_names[r->l2norm], gdn_carrier_names[r->carrier]);
    }
    /* before these fields came, no recipe had them */
    static const char *const before[] = {
        "fp32",       "bf16",       "bf16-io",    "bf16-state",  "bf16-state-sr",
        "chunk-fp32", "chunk-tf32", "chunk-bf16", "vllm-decode", "vllm-decode-bf16"};
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        const gdn_recipe *r = gdn_recipe_by_name(before[i]);
        GDN_CHECK(r && !r->norm_in && !r->norm_hat && !r->norm_out && !r->l2norm && !r->carrier &&
                      !r->inverse && !r->prefill,
                  "%s has fields that came later", before[i]);
    }
}
END_TEST

START_TEST(builtin_table)
{
    char text[1024], other[1024];
    for (int i = 0; i < gdn_profile_count; i++) {
        gdn_profile p = gdn_profile_builtin(i);
        GDN_CHECK(p.name && *p.name && p.summary && *p.summary, "profile %d has no name or summary", i);
        GDN_CHECK(strspn(p.name, "abcdefghijklmnopqrstuvwxyz0123456789_-.") == strlen(p.name),
                  "'%s' is no name", p.name);
        const gdn_recipe *r = gdn_recipe_by_name(p.recipe.name);
        GDN_CHECK(r && memcmp(r, &p.recipe, sizeof *r) == 0, "%s: not the recipe '%s' of the table", p.name,
                  p.recipe.name);
        gdn_profile_text(&p, text, sizeof text);
        for (int j = 0; j < i; j++) {
            gdn_profile q = gdn_profile_builtin(j);
            ck_assert_str_ne(p.name, q.name);
            gdn_profile_text(&q, other, sizeof other);
            GDN_CHECK(strcmp(text, other) != 0, "%s and %s are one and the same: %s", p.name, q.name, text);
        }
    }
}
END_TEST

/* ---- canonical text ---- */

enum { VARIANTS = 4096, TEXT = 512 };
static char texts[VARIANTS][TEXT];
static int variants;

/* One more profile; its text must be new. */
static void add_variant(const gdn_profile *p)
{
    char *text = texts[variants];
    int n = gdn_profile_text(p, text, TEXT);
    GDN_CHECK(n > 0 && n < TEXT && (size_t)n == strlen(text), "a text of %d characters: %s", n, text);
    for (int i = 0; i < variants; i++)
        GDN_CHECK(strcmp(texts[i], text) != 0, "variants %d and %d have one text: %s", i, variants, text);
    GDN_CHECK(++variants < VARIANTS, "too many variants");
}

/* Every chain of one or two links and of six at one place of p. */
static void chain_variants(gdn_profile *p, gdn_chain *place)
{
    const gdn_chain kept = *place;
    for (int i = 0; i < GDN_LINKS; i++) {
        *place = (gdn_chain){1, {i}};
        if (i != kept.link[0])
            add_variant(p);
        for (int j = 0; j < GDN_LINKS; j++) {
            *place = (gdn_chain){2, {i, j}};
            add_variant(p);
            *place = (gdn_chain){GDN_CHAIN_MAX, {i, i, i, i, i, j}};
            add_variant(p);
        }
    }
    *place = kept;
}

/* Every value of one field but the one it has; all fields tried here are enumerations of one size. */
#define FIELD_VARIANTS(p, field, end)                                                                        \
    for (int kept_ = (int)(p).field, i_ = 0; i_ <= (end); i_++) {                                            \
        if (i_ == (end)) {                                                                                   \
            memcpy(&(p).field, &kept_, sizeof kept_);                                                        \
        } else if (i_ != kept_) {                                                                            \
            memcpy(&(p).field, &i_, sizeof i_);                                                              \
            add_variant(&(p));                                                                               \
        }                                                                                                    \
    }

START_TEST(text_tells_profiles_apart)
{
    gdn_profile q = named("fp32");
    add_variant(&q);
    chain_variants(&q, &q.a_log);
    chain_variants(&q, &q.dt_bias);
    chain_variants(&q, &q.norm_weight);
    q.store_a = true;
    add_variant(&q);
    q.zero_centred = true;
    add_variant(&q);
    q.store_a = false;
    add_variant(&q);
    q.zero_centred = false;
    FIELD_VARIANTS(q, alpha, GDN_FORMATS)
    FIELD_VARIANTS(q, recipe.op, GDN_FORMATS)
    FIELD_VARIANTS(q, recipe.exp_a, GDN_FORMATS)
    FIELD_VARIANTS(q, recipe.softplus, GDN_SOFTPLUS_VARIANTS)
    FIELD_VARIANTS(q, recipe.beta, GDN_FORMATS)
    FIELD_VARIANTS(q, recipe.qk, GDN_FORMATS)
    FIELD_VARIANTS(q, recipe.state, GDN_FORMATS)
    FIELD_VARIANTS(q, recipe.state_rounding, GDN_ROUNDINGS)
    FIELD_VARIANTS(q, recipe.output, GDN_FORMATS)
    FIELD_VARIANTS(q, recipe.input, GDN_FORMATS)
    FIELD_VARIANTS(q, recipe.algorithm, GDN_ALGORITHMS)
    FIELD_VARIANTS(q, recipe.product, GDN_FORMATS)
    FIELD_VARIANTS(q, recipe.math, GDN_MATHS)
    FIELD_VARIANTS(q, recipe.norm_in, GDN_FORMATS)
    FIELD_VARIANTS(q, recipe.norm_hat, GDN_FORMATS)
    FIELD_VARIANTS(q, recipe.norm_out, GDN_FORMATS)
    FIELD_VARIANTS(q, recipe.l2norm, GDN_L2_NORMS)
    FIELD_VARIANTS(q, recipe.carrier, GDN_CARRIERS)
    FIELD_VARIANTS(q, recipe.inverse, GDN_FORMATS)
    for (q.recipe.prefill = 1; q.recipe.prefill < INT64_C(1) << 40; q.recipe.prefill *= 1024)
        add_variant(&q);
}
END_TEST

/* Texts that published rows rest on: fields that came later show only where they are used. */
START_TEST(text_stays)
{
    static const struct {
        const char *profile, *text;
    } pinned[] = {
        {"fp32", "A_log=fp32;dt_bias=fp32;w=fp32;alpha=fp64;op=fp32;exp_a=fp32;softplus=exact;beta=fp32;"
                 "qk=fp32;state=fp32;rounding=nearest;out=fp32;in=fp32"},
        {"float16-module", "A_log=fp32>bf16>fp32;dt_bias=fp32>bf16>fp32;w=fp32>bf16>fp32;alpha=fp64;op=fp32;"
                           "exp_a=fp32;softplus=exact;beta=bf16;qk=fp32;state=fp32;rounding=nearest;"
                           "out=bf16;in=bf16"},
        {"vllm-decode-bf16-state", "A_log=fp32;dt_bias=bf16;w=bf16;alpha=fp64;op=fp32;exp_a=fp32;"
                                   "softplus=log-exp;beta=fp32;qk=fp32;state=bf16;rounding=nearest;"
                                   "out=bf16;in=bf16"},
        {"chunk-bf16", "A_log=fp32;dt_bias=fp32;w=fp32;alpha=fp64;op=fp32;exp_a=fp32;softplus=exact;"
                       "beta=bf16;qk=bf16;state=fp32;rounding=nearest;out=bf16;in=bf16;"
                       "algorithm=chunked;product=bf16"},
        {"hf-load", "A_log=bf16;dt_bias=bf16;w=bf16;alpha=fp64;op=fp32;exp_a=fp32;softplus=torch;beta=bf16;"
                    "qk=fp32;state=fp32;rounding=nearest;out=bf16;in=bf16;algorithm=chunked;product=fp32;"
                    "norm_in=bf16;norm_hat=bf16;norm_out=bf16"},
        {"vllm", "A_log=fp32;dt_bias=bf16;w=bf16;alpha=fp64;op=fp32;exp_a=fp32;softplus=torch;beta=fp32;"
                 "qk=bf16;state=fp32;rounding=nearest;out=bf16;in=bf16;algorithm=prefill-decode;product=bf16;"
                 "norm_in=bf16;prefill=2048"},
    };
    for (size_t i = 0; i < sizeof pinned / sizeof pinned[0]; i++) {
        char text[TEXT];
        gdn_profile p = named(pinned[i].profile);
        gdn_profile_text(&p, text, sizeof text);
        ck_assert_str_eq(text, pinned[i].text);
    }
}
END_TEST

/* What changes no result is not in it. */
START_TEST(text_ignores_names)
{
    char x[TEXT], y[TEXT];
    gdn_profile p = named("bf16-state");
    gdn_profile_text(&p, x, sizeof x);
    p.name = "another";
    p.summary = "nothing";
    p.recipe.name = "yet another";
    p.recipe.summary = "nothing";
    gdn_profile_text(&p, y, sizeof y);
    ck_assert_str_eq(x, y);
}
END_TEST

/* A buffer that is too small is cut, closed, and the length says so. */
START_TEST(text_in_a_small_buffer)
{
    char whole[TEXT], part[TEXT];
    gdn_profile p = named("float16-module");
    int n = gdn_profile_text(&p, whole, sizeof whole);
    for (size_t size = 1; size < (size_t)n; size++) {
        memset(part, 'x', sizeof part);
        ck_assert_int_eq(gdn_profile_text(&p, part, size), n);
        GDN_CHECK(strlen(part) == size - 1 && strncmp(part, whole, size - 1) == 0 && part[size] == 'x',
                  "%zu bytes: %s", size, part);
    }
}
END_TEST

GDN_TEST_MAIN("profile", wrapped_keeps_the_bf16_value, order_of_links, pair_of_bf16, store_a, zero_centred,
              builtin_policies, implementations, builtin_table, text_tells_profiles_apart, text_stays,
              text_ignores_names, text_in_a_small_buffer)
