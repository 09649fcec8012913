/* SPDX-License-Identifier: Apache-2.0 */
/* likeness_candidates -- what somebody else's output is compared with, as rows of data; see likeness_parts.h.
 */
#include "harness/likeness_parts.h"

/*
 * Left out: bf16-state-sr, whose draws nobody shares, and vllm-decode with bf16-io's inputs, of which it
 * differs in the gate alone. `megatron` and its kin are chunk-bf16 up to out_norm.
 */
const gdn_candidate gdn_candidates[] = {
    {.kind = GDN_CANDIDATE_ROUND},
    {.kind = GDN_CANDIDATE_CUT, .when = GDN_WHEN_NARROW},
    {.name = "fp32",
     .phrase = "fp32 throughout, token by token",
     .kind = GDN_CANDIDATE_RECIPE,
     .recipe = "fp32",
     .noise = true},
    {.name = "chunk-fp32",
     .phrase = "fp32 throughout, chunked",
     .kind = GDN_CANDIDATE_RECIPE,
     .recipe = "chunk-fp32",
     .noise = true},
    {.name = "fp32-drift",
     .phrase = "fp32, its decay exp(g) off by a constant factor, as its own rounding or an approximate exp2 "
               "leaves it",
     .kind = GDN_CANDIDATE_DRIFT},
    {.name = "vllm-decode",
     .phrase = "fp32 inside, softplus as log(1 + exp x)",
     .kind = GDN_CANDIDATE_RECIPE,
     .recipe = "vllm-decode",
     .when = GDN_WHEN_GATE},
    {.name = "chunk-tf32",
     .phrase = "products in TF32, chunked",
     .kind = GDN_CANDIDATE_RECIPE,
     .recipe = "chunk-tf32"},
    {.name = "chunk-tf32-nearest",
     .phrase = "products of 11-bit numbers rounded to nearest (TF32, fp16), chunked",
     .kind = GDN_CANDIDATE_EIGHTH,
     .recipe = "chunk-bf16"},
    {.name = "chunk-bf16",
     .phrase = "FLA's bf16 cast points, chunked",
     .kind = GDN_CANDIDATE_RECIPE,
     .recipe = "chunk-bf16"},
    {.name = "chunk-bf16 with an fp16 inverse",
     .phrase = "FLA's bf16 cast points, chunked, the inverse in fp16",
     .kind = GDN_CANDIDATE_RECIPE,
     .recipe = "chunk-bf16",
     .inverse = GDN_FP16},
    {.name = "bf16-io",
     .phrase = "bf16 q, k, v and beta, fp32 inside, token by token",
     .kind = GDN_CANDIDATE_RECIPE,
     .recipe = "bf16-io"},
    {.name = "hf",
     .phrase = "bf16 q, k, v and beta, fp32 inside, chunked; HF's norm",
     .kind = GDN_CANDIDATE_RECIPE,
     .recipe = "hf"},
    {.name = "bf16-state",
     .phrase = "a state rounded to bf16 at every token",
     .kind = GDN_CANDIDATE_RECIPE,
     .recipe = "bf16-state"},
    {.name = "vllm-decode-bf16",
     .phrase = "a state rounded to bf16 at every token, beta in fp32",
     .kind = GDN_CANDIDATE_RECIPE,
     .recipe = "vllm-decode-bf16"},
    {.name = "vllm",
     .phrase = "2,048 tokens of prefill with FLA's bf16 cast points, then token by token in fp32",
     .kind = GDN_CANDIDATE_RECIPE,
     .recipe = "vllm",
     .when = GDN_WHEN_DECODES},
    {.name = "vllm-bf16-state",
     .phrase =
         "2,048 tokens of prefill with FLA's bf16 cast points, then a state rounded to bf16 at every token",
     .kind = GDN_CANDIDATE_RECIPE,
     .recipe = "vllm-bf16-state",
     .when = GDN_WHEN_DECODES},
    {.name = "bf16",
     .phrase = "every operation rounded to bf16",
     .kind = GDN_CANDIDATE_RECIPE,
     .recipe = "bf16"},
    {.name = "megatron",
     .phrase = "FLA's bf16 cast points, chunked, and a bf16 out_norm",
     .kind = GDN_CANDIDATE_RECIPE,
     .recipe = "megatron",
     .when = GDN_WHEN_Y},
    {.name = "megatron-fp32-norm",
     .phrase = "FLA's bf16 cast points, chunked, and an fp32 out_norm on the rounded output",
     .kind = GDN_CANDIDATE_RECIPE,
     .recipe = "megatron-fp32-norm",
     .when = GDN_WHEN_Y},
    {.name = "megatron-eager",
     .phrase = "FLA's bf16 cast points, chunked, exp(A_log) rounded to bf16",
     .kind = GDN_CANDIDATE_RECIPE,
     .recipe = "megatron-eager",
     .when = GDN_WHEN_GATE},
    {.name = "factor", .phrase = "everything off by a constant factor", .kind = GDN_CANDIDATE_FACTOR},
};

const int gdn_candidate_count = sizeof gdn_candidates / sizeof gdn_candidates[0];

_Static_assert(sizeof gdn_candidates / sizeof gdn_candidates[0] <= GDN_LIKENESS_ROWS, "room for all rows");

#define GRID(word, title)                                                                                    \
    {                                                                                                        \
        {{"round-" word, title " output rounding, fp32 inside"},                                             \
         {"cut-" word, title " output cut off, not rounded, fp32 inside"}},                                  \
        {                                                                                                    \
            {"round-" word, title " rounding of the last state, fp32 inside"},                               \
            {                                                                                                \
                "cut-" word, title " last state cut off, not rounded, fp32 inside"                           \
            }                                                                                                \
        }                                                                                                    \
    }

const gdn_grid_words gdn_grid_candidates[GDN_FORMATS][2][2] = {
    [GDN_FP32] = {{{"round-fp32", "fp32 output rounding, wider inside"}, {NULL, NULL}},
                  {{"round-fp32", "fp32 rounding of the last state, wider inside"}, {NULL, NULL}}},
    [GDN_TF32] = GRID("tf32", "TF32"),
    [GDN_FP16] = GRID("fp16", "fp16"),
    [GDN_BF16] = GRID("bf16", "bf16"),
};
