/* SPDX-License-Identifier: Apache-2.0 */
/* layer_recipe -- the table of layer recipes; see layer.h. */
#include "kernels/layer.h"

const gdn_layer_recipe gdn_layer_recipes[] = {
    {.name = "fp32",
     .summary = "all in fp32, token by token",
     .core = "fp32",
     .input = GDN_FP32,
     .linear = GDN_FP32,
     .conv_sum = GDN_FP32,
     .conv = GDN_FP32,
     .conv_state = GDN_FP32,
     .output = GDN_FP32},
    {.name = "hf-fp32",
     .summary = "transformers on fp32 tensors: all in fp32, chunked",
     .core = "chunk-fp32",
     .input = GDN_FP32,
     .linear = GDN_FP32,
     .conv_sum = GDN_FP32,
     .conv = GDN_FP32,
     .conv_state = GDN_FP32,
     .output = GDN_FP32},
    {.name = "hf-bf16",
     .summary = "transformers on bf16 tensors: conv rounded before and after SiLU, core hf",
     .core = "hf",
     .input = GDN_BF16,
     .linear = GDN_BF16,
     .conv_sum = GDN_BF16,
     .conv = GDN_BF16,
     .conv_state = GDN_BF16,
     .output = GDN_BF16},
    {.name = "fla-bf16",
     .summary =
         "transformers with FLA's kernels on bf16 tensors: conv and SiLU in fp32, rounded once; bf16 beta, "
         "exact softplus: core chunk-bf16",
     .core = "chunk-bf16",
     .input = GDN_BF16,
     .linear = GDN_BF16,
     .conv_sum = GDN_FP32,
     .conv = GDN_BF16,
     .conv_state = GDN_BF16,
     .output = GDN_BF16},
    {.name = "decode",
     .summary =
         "fla-bf16 token by token: conv state in bf16; bf16 beta, exact softplus: core bf16-io with an fp32 "
         "state",
     .core = "bf16-io",
     .input = GDN_BF16,
     .linear = GDN_BF16,
     .conv_sum = GDN_FP32,
     .conv = GDN_BF16,
     .conv_state = GDN_BF16,
     .output = GDN_BF16},
    {.name = "vllm",
     .summary =
         "fla-bf16 around core vllm: prefill in the chunked form, then token by token; vLLM's conv products "
         "in bf16 are not modelled",
     .core = "vllm",
     .input = GDN_BF16,
     .linear = GDN_BF16,
     .conv_sum = GDN_FP32,
     .conv = GDN_BF16,
     .conv_state = GDN_BF16,
     .output = GDN_BF16},
};

const int gdn_layer_recipe_count = sizeof gdn_layer_recipes / sizeof gdn_layer_recipes[0];

const gdn_layer_recipe *gdn_layer_recipe_by_name(const char *name)
{
    for (int i = 0; i < gdn_layer_recipe_count; i++)
        if (strcmp(gdn_layer_recipes[i].name, name) == 0)
            return &gdn_layer_recipes[i];
    return NULL;
}
