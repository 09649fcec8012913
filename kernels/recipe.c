/* SPDX-License-Identifier: Apache-2.0 */
/* recipe -- the table of compute recipes; see recipe.h. */
#include "kernels/recipe.h"

#include <string.h>

const char *const gdn_softplus_names[GDN_SOFTPLUS_VARIANTS] = {"exact", "torch", "log-exp"};
const char *const gdn_rounding_names[GDN_ROUNDINGS] = {"nearest", "stochastic"};
const char *const gdn_algorithm_names[GDN_ALGORITHMS] = {"recurrent", "chunked"};
const char *const gdn_math_names[GDN_MATHS] = {"portable", "cuda", "approx"};

/* A token after the other: there are no matrix products. */
#define SEQUENTIAL GDN_RECURRENT, GDN_FP64, GDN_MATH_PORTABLE

const gdn_recipe gdn_recipes[] = {
    {"fp32", "all in fp32, state in fp32", GDN_FP32, GDN_FP32, GDN_SOFTPLUS_EXACT, GDN_FP32, GDN_FP32,
     GDN_FP32, GDN_NEAREST, GDN_FP32, GDN_FP32, SEQUENTIAL},
    {"bf16", "every result of every operation rounded to bf16, state in bf16", GDN_BF16, GDN_BF16,
     GDN_SOFTPLUS_EXACT, GDN_BF16, GDN_BF16, GDN_BF16, GDN_NEAREST, GDN_BF16, GDN_BF16, SEQUENTIAL},
    {"bf16-io", "bf16 q, k, v, beta in; fp32 gate, accumulation and state; output rounded once", GDN_FP32,
     GDN_FP32, GDN_SOFTPLUS_EXACT, GDN_BF16, GDN_FP32, GDN_FP32, GDN_NEAREST, GDN_BF16, GDN_BF16, SEQUENTIAL},
    {"bf16-state", "bf16-io with the state rounded to bf16 at every token, to nearest", GDN_FP32, GDN_FP32,
     GDN_SOFTPLUS_EXACT, GDN_BF16, GDN_FP32, GDN_BF16, GDN_NEAREST, GDN_BF16, GDN_BF16, SEQUENTIAL},
    {"bf16-state-sr", "bf16-io with the state rounded to bf16 at every token, stochastically", GDN_FP32,
     GDN_FP32, GDN_SOFTPLUS_EXACT, GDN_BF16, GDN_FP32, GDN_BF16, GDN_STOCHASTIC, GDN_BF16, GDN_BF16,
     SEQUENTIAL},
    {"vllm-decode",
     "decode kernel: beta and everything inside fp32, log(1 + exp x) softplus, fp32 state cache", GDN_FP32,
     GDN_FP32, GDN_SOFTPLUS_LOG_EXP, GDN_FP32, GDN_FP32, GDN_FP32, GDN_NEAREST, GDN_BF16, GDN_BF16,
     SEQUENTIAL},
    {"vllm-decode-bf16", "vllm-decode with a bf16 state cache", GDN_FP32, GDN_FP32, GDN_SOFTPLUS_LOG_EXP,
     GDN_FP32, GDN_FP32, GDN_BF16, GDN_NEAREST, GDN_BF16, GDN_BF16, SEQUENTIAL},
    {"chunk-fp32", "chunked form, fp32 throughout", GDN_FP32, GDN_FP32, GDN_SOFTPLUS_EXACT, GDN_FP32,
     GDN_FP32, GDN_FP32, GDN_NEAREST, GDN_FP32, GDN_FP32, GDN_CHUNKED, GDN_FP32, GDN_MATH_PORTABLE},
    {"chunk-tf32", "chunk-fp32 with matrix products in tf32: FLA on fp32 tensors", GDN_FP32, GDN_FP32,
     GDN_SOFTPLUS_EXACT, GDN_FP32, GDN_FP32, GDN_FP32, GDN_NEAREST, GDN_FP32, GDN_FP32, GDN_CHUNKED, GDN_TF32,
     GDN_MATH_PORTABLE},
    {"chunk-bf16",
     "chunked form as in FLA: bf16 tensors, matrix products in bf16, fp32 gate, sums and carried state",
     GDN_FP32, GDN_FP32, GDN_SOFTPLUS_EXACT, GDN_BF16, GDN_BF16, GDN_FP32, GDN_NEAREST, GDN_BF16, GDN_BF16,
     GDN_CHUNKED, GDN_BF16, GDN_MATH_PORTABLE},
    {"chunk-bf16-eager-gate", "chunk-bf16 with exp(A_log) rounded to bf16: eager evaluation on a bf16 tensor",
     GDN_FP32, GDN_BF16, GDN_SOFTPLUS_EXACT, GDN_BF16, GDN_BF16, GDN_FP32, GDN_NEAREST, GDN_BF16, GDN_BF16,
     GDN_CHUNKED, GDN_BF16, GDN_MATH_PORTABLE},
};

const int gdn_recipe_count = sizeof gdn_recipes / sizeof gdn_recipes[0];

const gdn_recipe *gdn_recipe_by_name(const char *name)
{
    for (int i = 0; i < gdn_recipe_count; i++)
        if (strcmp(gdn_recipes[i].name, name) == 0)
            return &gdn_recipes[i];
    return NULL;
}
