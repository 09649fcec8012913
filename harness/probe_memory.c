/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_memory -- claims A8, C4 and C5: bytes of parameters, and of what the forward keeps for the backward,
 * per token and layer.
 *
 * Every tensor is a row of a table: so many numbers for each key head and each value head, of so many bytes.
 * What FLA's chunk_gated_delta_rule keeps was read in its save_for_backward (normalised q and k, the inverse
 * of a chunk, the sums of g); what the explicit norm keeps in L2NormFunction; what out_norm keeps in
 * Transformer Engine's RMSNorm, which casts its input to the dtype of the weight.
 */
#include "harness/probe.h"

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

enum { D = 128, CHUNK = 64, KEY_HEADS = 16, LONG = 131072 };

/* Where the L2 norm stands, and how q^ and k^ reach the value heads. */
enum {
    EXPLICIT = 1,    /* before the repeat, then the kernel without a norm */
    FOLDED = 2,      /* in the kernel, after the repeat */
    NATIVE = 4,      /* in the kernel, which takes unrepeated q and k */
    CLAIMED = 8,     /* as the claim has it: folded, and only 1 / |x| kept */
    NORM_BF16 = 16,  /* out_norm with a bf16 weight */
    NORM_FP32 = 32,  /* and with an fp32 one */
    PARAM_BF16 = 64, /* parameters of a layer */
    PARAM_FP32 = 128
};

static const struct {
    int design;
    const char *name;
} designs[] = {{EXPLICIT, "explicit L2 norm"},         {FOLDED, "folded L2 norm"},
               {NATIVE, "folded; q and k unrepeated"}, {CLAIMED, "folded; rstd alone as claimed"},
               {NORM_BF16, "out_norm; bf16 weight"},   {NORM_FP32, "out_norm; fp32 weight"},
               {PARAM_BF16, "parameters in bf16"},     {PARAM_FP32, "parameters in fp32"}};

static const struct {
    int designs;
    const char *name;
    int per_key_head, per_value_head, once; /* numbers */
    int bytes;
} tensors[] = {
    {EXPLICIT, "q^ and k^ before the repeat", 2 * D, 0, 0, 2},
    {EXPLICIT | NATIVE, "rstd of key heads", 2, 0, 0, 4},
    {FOLDED | CLAIMED, "rstd of value heads", 0, 2, 0, 4},
    {EXPLICIT | FOLDED, "q^ and k^ as the kernel keeps them", 0, 2 * D, 0, 2},
    {NATIVE, "q^ and k^ as the kernel keeps them", 2 * D, 0, 0, 2},
    {EXPLICIT | FOLDED | NATIVE | CLAIMED, "v", 0, D, 0, 2},
    {EXPLICIT | FOLDED | NATIVE | CLAIMED, "inverse of the chunk", 0, CHUNK, 0, 2},
    {EXPLICIT | FOLDED | NATIVE | CLAIMED, "sum of g", 0, 1, 0, 4},
    {EXPLICIT | FOLDED | NATIVE | CLAIMED, "beta", 0, 1, 0, 2},
    {NORM_BF16, "input", 0, D, 0, 2},
    {NORM_FP32, "input", 0, D, 0, 4},
    {NORM_BF16, "output", 0, D, 0, 2},
    {NORM_FP32, "output", 0, D, 0, 4},
    {NORM_BF16 | NORM_FP32, "rstd", 0, 1, 0, 4},
    {PARAM_BF16, "A_log", 0, 1, 0, 2},
    {PARAM_FP32, "A_log", 0, 1, 0, 4},
    {PARAM_BF16, "dt_bias", 0, 1, 0, 2},
    {PARAM_FP32, "dt_bias", 0, 1, 0, 4},
    {PARAM_BF16, "norm.weight", 0, 0, D, 2},
    {PARAM_FP32, "norm.weight", 0, 0, D, 4},
};

static void layer(const gdn_probe_sink *to, int d, int value_heads)
{
    const double gib = 1 << 30;
    bool parameters = designs[d].design & (PARAM_BF16 | PARAM_FP32);
    const char *measure = parameters ? "bytes_per_layer" : "bytes_per_token_and_layer";
    double sum = 0;
    for (int i = 0; i < COUNT(tensors); i++) {
        if (!(tensors[i].designs & designs[d].design))
            continue;
        int numbers =
            tensors[i].per_key_head * KEY_HEADS + tensors[i].per_value_head * value_heads + tensors[i].once;
        double bytes = (double)numbers * tensors[i].bytes;
        sum += bytes;
        gdn_probe_put(to, measure, bytes, "bytes", "%s; H_v = %d; %s", designs[d].name, value_heads,
                      tensors[i].name);
    }
    gdn_probe_put(to, measure, sum, "bytes", "%s; H_v = %d", designs[d].name, value_heads);
    if (!parameters)
        gdn_probe_put(to, "size_at_131072_tokens", sum * LONG / gib, "GiB", "%s; H_v = %d", designs[d].name,
                      value_heads);
}

gdn_status gdn_probe_memory(const gdn_probe_sink *to, const char *file, gdn_error *err)
{
    static const int value_heads[] = {16, 32, 48, 64};
    (void)file;
    (void)err;
    for (int d = 0; d < COUNT(designs); d++)
        for (int i = 0; i < COUNT(value_heads); i++)
            layer(to, d, value_heads[i]);
    return GDN_OK;
}
