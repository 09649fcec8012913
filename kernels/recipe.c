/* SPDX-License-Identifier: Apache-2.0 */
/* recipe -- the table of compute recipes; see recipe.h. */
#include "kernels/recipe.h"

#include <string.h>

#define WORD(id, name, word, pointwise, functions) word,
const char *const gdn_softplus_names[GDN_SOFTPLUS_VARIANTS] = {GDN_SOFTPLUS_TABLE(WORD)};
#undef WORD
const char *const gdn_rounding_names[GDN_ROUNDINGS] = {"nearest", "stochastic"};
const char *const gdn_algorithm_names[GDN_ALGORITHMS] = {"recurrent", "chunked", "prefill-decode"};
const char *const gdn_math_names[GDN_MATHS] = {"portable", "cuda", "approx"};

const char *const gdn_l2norm_names[GDN_L2_NORMS] = {"sum-eps", "max-eps", "mean-eps", "none"};
const char *const gdn_carrier_names[GDN_CARRIERS] = {"g", "alpha-log2"};

/* Families whose rows vary a field or two. */
#define MEGATRON(exp_a_format, norm_out_format)                                                              \
    .op = GDN_FP32, .exp_a = (exp_a_format), .softplus = GDN_SOFTPLUS_TORCH, .beta = GDN_BF16,               \
    .qk = GDN_BF16, .state = GDN_FP32, .output = GDN_BF16, .input = GDN_BF16, .algorithm = GDN_CHUNKED,      \
    .product = GDN_BF16, .norm_in = GDN_BF16, .norm_out = (norm_out_format)
#define VLLM(state_format)                                                                                   \
    .op = GDN_FP32, .exp_a = GDN_FP32, .softplus = GDN_SOFTPLUS_TORCH, .beta = GDN_FP32, .qk = GDN_BF16,     \
    .state = (state_format), .output = GDN_BF16, .input = GDN_BF16, .algorithm = GDN_PREFILL_DECODE,         \
    .product = GDN_BF16, .norm_in = GDN_BF16, .prefill = 2048
#define VLLM_DECODE(state_format)                                                                            \
    .op = GDN_FP32, .exp_a = GDN_FP32, .softplus = GDN_SOFTPLUS_LOG_EXP, .beta = GDN_FP32, .qk = GDN_FP32,   \
    .state = (state_format), .output = GDN_BF16, .input = GDN_BF16
#define BF16_IO(state_format, rounding)                                                                      \
    .op = GDN_FP32, .exp_a = GDN_FP32, .beta = GDN_BF16, .qk = GDN_FP32, .state = (state_format),            \
    .output = GDN_BF16, .input = GDN_BF16, .state_rounding = (rounding)

/* Fields that are not named are zero: softplus exact, nearest, recurrent, portable, no further rounding. */
const gdn_recipe gdn_recipes[] = {
    {.name = "fp32",
     .summary = "all in fp32, state in fp32",
     .op = GDN_FP32,
     .exp_a = GDN_FP32,
     .beta = GDN_FP32,
     .qk = GDN_FP32,
     .state = GDN_FP32,
     .output = GDN_FP32,
     .input = GDN_FP32},
    {.name = "bf16",
     .summary = "every result of every operation rounded to bf16, state in bf16",
     .op = GDN_BF16,
     .exp_a = GDN_BF16,
     .beta = GDN_BF16,
     .qk = GDN_BF16,
     .state = GDN_BF16,
     .output = GDN_BF16,
     .input = GDN_BF16},
    {.name = "bf16-io",
     .summary = "bf16 q, k, v, beta in; fp32 gate, accumulation and state; output rounded once",
     BF16_IO(GDN_FP32, GDN_NEAREST)},
    {.name = "bf16-state",
     .summary = "bf16-io with the state rounded to bf16 at every token, to nearest",
     BF16_IO(GDN_BF16, GDN_NEAREST)},
    {.name = "bf16-state-sr",
     .summary = "bf16-io with the state rounded to bf16 at every token, stochastically",
     BF16_IO(GDN_BF16, GDN_STOCHASTIC)},
    {.name = "vllm-decode",
     .summary = "decode kernel: beta and everything inside fp32, log(1 + exp x) softplus, fp32 state cache",
     VLLM_DECODE(GDN_FP32)},
    {.name = "vllm-decode-bf16", .summary = "vllm-decode with a bf16 state cache", VLLM_DECODE(GDN_BF16)},
    {.name = "chunk-fp32",
     .summary = "chunked form, fp32 throughout",
     .op = GDN_FP32,
     .exp_a = GDN_FP32,
     .beta = GDN_FP32,
     .qk = GDN_FP32,
     .state = GDN_FP32,
     .output = GDN_FP32,
     .input = GDN_FP32,
     .algorithm = GDN_CHUNKED,
     .product = GDN_FP32},
    {.name = "chunk-tf32",
     .summary = "chunk-fp32 with matrix products in tf32: FLA on fp32 tensors",
     .op = GDN_FP32,
     .exp_a = GDN_FP32,
     .beta = GDN_FP32,
     .qk = GDN_FP32,
     .state = GDN_FP32,
     .output = GDN_FP32,
     .input = GDN_FP32,
     .algorithm = GDN_CHUNKED,
     .product = GDN_TF32},
    {.name = "chunk-bf16",
     .summary =
         "chunked form as in FLA: bf16 tensors, matrix products in bf16, fp32 gate, sums and carried state",
     .op = GDN_FP32,
     .exp_a = GDN_FP32,
     .beta = GDN_BF16,
     .qk = GDN_BF16,
     .state = GDN_FP32,
     .output = GDN_BF16,
     .input = GDN_BF16,
     .algorithm = GDN_CHUNKED,
     .product = GDN_BF16},
    {.name = "hf",
     .summary = "HF torch: bf16 tensors, fp32 gate, q^ and k^, chunked form in fp32; beta bf16; norm rounded "
                "before the weight",
     .op = GDN_FP32,
     .exp_a = GDN_FP32,
     .softplus = GDN_SOFTPLUS_TORCH,
     .beta = GDN_BF16,
     .qk = GDN_FP32,
     .state = GDN_FP32,
     .output = GDN_BF16,
     .input = GDN_BF16,
     .algorithm = GDN_CHUNKED,
     .product = GDN_FP32,
     .norm_in = GDN_BF16,
     .norm_hat = GDN_BF16,
     .norm_out = GDN_BF16},
    {.name = "megatron",
     .summary = "chunk-bf16 and an out_norm whose output rests in bf16, the dtype of its weight",
     MEGATRON(GDN_FP32, GDN_BF16)},
    {.name = "megatron-eager",
     .summary = "megatron with exp(A_log) rounded to bf16: eager evaluation on a bf16 tensor",
     MEGATRON(GDN_BF16, GDN_BF16)},
    {.name = "megatron-fp32-norm",
     .summary = "megatron with an fp32 out_norm weight, whose output rests in fp32",
     MEGATRON(GDN_FP32, GDN_FP32)},
    {.name = "vllm",
     .summary =
         "2,048 tokens of prefill in the chunked form, beta fp32; then vllm-decode with an fp32 state cache",
     VLLM(GDN_FP32)},
    {.name = "vllm-bf16-state", .summary = "vllm with a bf16 state cache", VLLM(GDN_BF16)},
};

const int gdn_recipe_count = sizeof gdn_recipes / sizeof gdn_recipes[0];

const gdn_recipe *gdn_recipe_by_name(const char *name)
{
    for (int i = 0; i < gdn_recipe_count; i++)
        if (strcmp(gdn_recipes[i].name, name) == 0)
            return &gdn_recipes[i];
    return NULL;
}
