/* SPDX-License-Identifier: Apache-2.0 */
/* profile -- storage policies and recipes by name; see profile.h. */
#include "harness/profile.h"

#include <stdio.h>
#include <string.h>

#include "kernels/portable.h"

const char *const gdn_link_names[GDN_LINKS] = {"fp64", "fp32", "tf32", "fp16",
                                               "bf16", "e4m3", "e5m2", "bf16-pair"};

#define CHAIN(...)                                                                                           \
    {                                                                                                        \
        sizeof((int[]){__VA_ARGS__}) / sizeof(int),                                                          \
        {                                                                                                    \
            __VA_ARGS__                                                                                      \
        }                                                                                                    \
    }
#define FP32 CHAIN(GDN_FP32)
#define BF16 CHAIN(GDN_BF16)
#define PAIR CHAIN(GDN_LINK_BF16_PAIR)
#define GATHERED CHAIN(GDN_FP32, GDN_BF16)
#define WRAPPED CHAIN(GDN_FP32, GDN_BF16, GDN_FP32)

/* clang-format off */
static const struct {
    const char *name, *summary;
    bool store_a;
    gdn_chain a_log, dt_bias, norm_weight;
    bool zero_centred;
    gdn_format_id alpha;
    const char *recipe;
} rows[] = {
    /* all that is stored, then one stored tensor at a time, in fp32 arithmetic */
    {"fp32", "every parameter and every operation in fp32", false, FP32, FP32, FP32, false, GDN_FP64, "fp32"},
    {"a_log-bf16", "A_log alone rests in bf16", false, BF16, FP32, FP32, false, GDN_FP64, "fp32"},
    {"dt_bias-bf16", "dt_bias alone rests in bf16", false, FP32, BF16, FP32, false, GDN_FP64, "fp32"},
    {"norm-bf16", "the out_norm weight alone rests in bf16", false, FP32, FP32, BF16, false, GDN_FP64, "fp32"},
    {"all-bf16", "A_log, dt_bias and the out_norm weight rest in bf16", false, BF16, BF16, BF16, false, GDN_FP64, "fp32"},
    /* the same parameters kept in fp32, arithmetic varied */
    {"bf16-io", "fp32 parameters; bf16 tensors in and out, fp32 inside", false, FP32, FP32, FP32, false, GDN_FP64, "bf16-io"},
    {"bf16-state", "fp32 parameters; state cache in bf16, nearest", false, FP32, FP32, FP32, false, GDN_FP64, "bf16-state"},
    {"bf16-state-sr", "fp32 parameters; state cache in bf16, stochastic", false, FP32, FP32, FP32, false, GDN_FP64, "bf16-state-sr"},
    {"bf16", "everything bf16: parameters and every operation", false, BF16, BF16, BF16, false, GDN_FP64, "bf16"},
    {"chunk-fp32", "fp32 parameters; chunked form, fp32 throughout", false, FP32, FP32, FP32, false, GDN_FP64, "chunk-fp32"},
    {"chunk-tf32", "fp32 parameters; chunked form, fp32 tensors, products in tf32", false, FP32, FP32, FP32, false, GDN_FP64, "chunk-tf32"},
    {"chunk-bf16", "fp32 parameters; chunked form, bf16 tensors and products", false, FP32, FP32, FP32, false, GDN_FP64, "chunk-bf16"},
    /* alternatives to A_log in bf16 */
    {"a-bf16", "A = exp(A_log) rests in bf16 instead of A_log", true, BF16, FP32, FP32, false, GDN_FP64, "fp32"},
    {"a_log-bf16-pair", "A_log rests as a pair of bf16, hi + lo", false, PAIR, FP32, FP32, false, GDN_FP64, "fp32"},
    {"norm-bf16-centred", "the out_norm weight rests in bf16 as w - 1", false, FP32, FP32, BF16, true, GDN_FP64, "fp32"},
    {"alpha-bf16", "the decay rests as bf16 alpha: above 1 - 2^-9 it becomes 1", false, FP32, FP32, FP32, false, GDN_BF16, "fp32"},
    /* implementations: training and prefill, then decode */
    {"qwen3-next-release", "A_log, dt_bias and norm released in bf16; chunked form, bf16 tensors", false, BF16, BF16, BF16, false, GDN_FP64, "chunk-bf16"},
    {"qwen3.5-release", "A_log and norm released in fp32, dt_bias in bf16; chunked form, bf16 tensors", false, FP32, BF16, FP32, false, GDN_FP64, "chunk-bf16"},
    {"hf-load", "every parameter cast to bf16 on load, whatever the file holds; HF torch", false, BF16, BF16, BF16, false, GDN_FP64, "hf"},
    {"megatron", "all bf16, norm as w - 1; chunked form, bf16 tensors, norm output in bf16", false, BF16, BF16, BF16, true, GDN_FP64, "megatron"},
    {"megatron-eager", "megatron with exp(A_log) rounded to bf16: eager evaluation on a bf16 tensor", false, BF16, BF16, BF16, true, GDN_FP64, "megatron-eager"},
    {"megatron-pr3634", "A_log and norm (as w - 1) in fp32, norm output in fp32, dt_bias in bf16", false, FP32, BF16, FP32, true, GDN_FP64, "megatron-fp32-norm"},
    {"megatron-pr3634-wrapped", "the same behind Float16Module: fp32, cast to bf16, upcast again", false, WRAPPED, BF16, WRAPPED, true, GDN_FP64, "megatron-fp32-norm"},
    {"automodel", "A_log and dt_bias held in fp32, norm in bf16; chunked form, bf16 tensors", false, FP32, FP32, BF16, false, GDN_FP64, "chunk-bf16"},
    {"fsdp2-mixed", "fp32 masters, cast to bf16 at every all-gather; chunked form, bf16 tensors", false, GATHERED, GATHERED, GATHERED, false, GDN_FP64, "chunk-bf16"},
    {"llamacpp", "-exp(A_log) rounded once to fp32 at conversion; all fp32", true, FP32, FP32, FP32, false, GDN_FP64, "fp32"},
    {"vllm-decode", "A_log fp32, dt_bias and norm bf16; decode with an fp32 state cache", false, FP32, BF16, BF16, false, GDN_FP64, "vllm-decode"},
    {"vllm-decode-bf16-state", "the same with a bf16 state cache", false, FP32, BF16, BF16, false, GDN_FP64, "vllm-decode-bf16"},
    {"vllm", "A_log fp32, dt_bias and norm bf16; prefill of 2,048 tokens, then decode with an fp32 state cache", false, FP32, BF16, BF16, false, GDN_FP64, "vllm"},
    {"vllm-bf16-state", "the same with a bf16 state cache", false, FP32, BF16, BF16, false, GDN_FP64, "vllm-bf16-state"},
    {"float16-module", "fp32 parameters cast to bf16 by a module wrapper, then upcast: the bf16 values stay", false, WRAPPED, WRAPPED, WRAPPED, false, GDN_FP64, "bf16-io"},
};
/* clang-format on */

const int gdn_profile_count = sizeof rows / sizeof rows[0];

gdn_profile gdn_profile_builtin(int i)
{
    return (gdn_profile){
        .name = rows[i].name,
        .summary = rows[i].summary,
        .store_a = rows[i].store_a,
        .a_log = rows[i].a_log,
        .dt_bias = rows[i].dt_bias,
        .norm_weight = rows[i].norm_weight,
        .zero_centred = rows[i].zero_centred,
        .alpha = rows[i].alpha,
        .recipe = *gdn_recipe_by_name(rows[i].recipe),
    };
}

double gdn_chain_apply(const gdn_chain *chain, double x)
{
    for (int i = 0; i < chain->n; i++) {
        int link = chain->link[i];
        const gdn_format *bf16 = &gdn_formats[GDN_BF16];
        double hi = gdn_round(bf16, x);
        x = link != GDN_LINK_BF16_PAIR ? gdn_round(&gdn_formats[link], x)
            : hi - hi == 0             ? hi + gdn_round(bf16, x - hi)
                                       : hi;
    }
    return x;
}

double gdn_profile_decay(const gdn_profile *p, double a_log)
{
    return gdn_chain_apply(&p->a_log, p->store_a ? gdn_exp(a_log) : a_log);
}

double gdn_profile_dt_bias(const gdn_profile *p, double dt_bias)
{
    return gdn_chain_apply(&p->dt_bias, dt_bias);
}

double gdn_profile_norm_weight(const gdn_profile *p, double w)
{
    return p->zero_centred ? 1 + gdn_chain_apply(&p->norm_weight, w - 1)
                           : gdn_chain_apply(&p->norm_weight, w);
}

static int chain_text(const char *key, const gdn_chain *c, char *out, size_t size)
{
    int n = snprintf(out, size, "%s=", key);
    for (int i = 0; i < c->n; i++) {
        size_t at = (size_t)n < size ? (size_t)n : size;
        n += snprintf(out + at, size - at, "%s%s", i ? ">" : "", gdn_link_names[c->link[i]]);
    }
    return n;
}

/*
 * A field that came after rows had been published: left out where it has its first value (NULL here), so that
 * their cell ids stay. n: characters so far.
 */
static int later_text(const char *key, const char *value, int n, char *out, size_t size)
{
    size_t at = (size_t)n < size ? (size_t)n : size;
    return value ? snprintf(out + at, size - at, ";%s=%s", key, value) : 0;
}

int gdn_profile_text(const gdn_profile *p, char *out, size_t size)
{
    const gdn_recipe *r = &p->recipe;
    char a[96], b[96], w[96];
    chain_text(p->store_a ? "A" : "A_log", &p->a_log, a, sizeof a);
    chain_text("dt_bias", &p->dt_bias, b, sizeof b);
    chain_text(p->zero_centred ? "w-1" : "w", &p->norm_weight, w, sizeof w);
    int n = snprintf(
        out, size,
        "%s;%s;%s;alpha=%s;op=%s;exp_a=%s;softplus=%s;beta=%s;qk=%s;state=%s;rounding=%s;out=%s;in=%s", a, b,
        w, gdn_formats[p->alpha].name, gdn_formats[r->op].name, gdn_formats[r->exp_a].name,
        gdn_softplus_names[r->softplus], gdn_formats[r->beta].name, gdn_formats[r->qk].name,
        gdn_formats[r->state].name, gdn_rounding_names[r->state_rounding], gdn_formats[r->output].name,
        gdn_formats[r->input].name);
    n += later_text("algorithm", r->algorithm ? gdn_algorithm_names[r->algorithm] : NULL, n, out, size);
    n += later_text("product", r->product ? gdn_formats[r->product].name : NULL, n, out, size);
    n += later_text("math", r->math ? gdn_math_names[r->math] : NULL, n, out, size);
    n += later_text("norm_in", r->norm_in ? gdn_formats[r->norm_in].name : NULL, n, out, size);
    n += later_text("norm_hat", r->norm_hat ? gdn_formats[r->norm_hat].name : NULL, n, out, size);
    n += later_text("norm_out", r->norm_out ? gdn_formats[r->norm_out].name : NULL, n, out, size);
    n += later_text("l2norm", r->l2norm ? gdn_l2norm_names[r->l2norm] : NULL, n, out, size);
    n += later_text("carrier", r->carrier ? gdn_carrier_names[r->carrier] : NULL, n, out, size);
    n += later_text("inverse", r->inverse ? gdn_formats[r->inverse].name : NULL, n, out, size);
    char prefill[32];
    snprintf(prefill, sizeof prefill, "%lld", (long long)r->prefill);
    return n + later_text("prefill", r->prefill ? prefill : NULL, n, out, size);
}
