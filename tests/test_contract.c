/* SPDX-License-Identifier: Apache-2.0 */
/* test_contract -- what keys say of themselves; routing and stripping are tested in test_probe.c. */
#include "tests/gdn_test.h"

#include "harness/contract.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { HF = GDN_NAMING_HF, MEGATRON = GDN_NAMING_MEGATRON, FLA = GDN_NAMING_FLA, HELD = true };
enum { A = GDN_PARAM_A_LOG, B = GDN_PARAM_DT_BIAS, W = GDN_PARAM_NORM_WEIGHT, C = GDN_PARAM_CONV };

START_TEST(keys_of_gdn_layers)
{
    static const struct {
        const char *module, *rest; /* the key is one behind the other */
        int param, naming, layer, held;
    } want[] = {
        /* Hugging Face, text and conditional generation, and what wraps them */
        {"model.layers.0.linear_attn.", "A_log", A, HF, 0, false},
        {"model.layers.46.linear_attn.", "dt_bias", B, HF, 46, false},
        {"model.language_model.layers.10.linear_attn.", "norm.weight", W, HF, 10, false},
        {"language_model.model.layers.2.linear_attn.", "conv1d.weight", C, HF, 2, false},
        {"base_model.model.model.layers.7.linear_attn.", "A_log", A, HF, 7, false},
        {"mtp.layers.0.linear_attn.", "A_log", A, HF, 0, false},
        {"layers.3.linear_attn.", "A_log", A, HF, 3, false},
        {"linear_attn.", "A_log", A, HF, -1, false},
        {"x.linear_attn.", "dt_bias", B, HF, -1, false},
        /* Automodel's holder */
        {"model.layers.4.linear_attn.", "_fp32_params.A_log", A, HF, 4, HELD},
        {"model.language_model.layers.4.linear_attn.", "_fp32_params.dt_bias", B, HF, 4, HELD},
        {"linear_attn.", "_fp32_params.A_log", A, HF, -1, HELD},
        /* Megatron */
        {"decoder.layers.0.self_attention.", "A_log", A, MEGATRON, 0, false},
        {"module.decoder.layers.12.self_attention.", "dt_bias", B, MEGATRON, 12, false},
        {"module.module.decoder.layers.12.self_attention.", "out_norm.weight", W, MEGATRON, 12, false},
        {"decoder.layers.1.self_attention.", "conv1d.weight", C, MEGATRON, 1, false},
        {"mtp.layers.0.transformer_layer.self_attention.", "A_log", A, MEGATRON, 0, false},
        /* FLA */
        {"model.layers.5.attn.", "A_log", A, FLA, 5, false},
        {"model.layers.5.attn.", "dt_bias", B, FLA, 5, false},
        {"model.layers.5.attn.", "o_norm.weight", W, FLA, 5, false},
        {"model.layers.5.attn.", "q_conv1d.weight", C, FLA, 5, false},
        {"model.layers.5.attn.", "k_conv1d.weight", C, FLA, 5, false},
        {"model.layers.5.attn.", "v_conv1d.weight", C, FLA, 5, false},
        /* which layer: the last that is named before the module, as a number that is one */
        {"blocks.layers.1.model.layers.23.linear_attn.", "A_log", A, HF, 23, false},
        {"stage.layers.1.inner.linear_attn.", "A_log", A, HF, 1, false},
        {"my_layers.1.linear_attn.", "A_log", A, HF, -1, false},
        {"layers.x.linear_attn.", "A_log", A, HF, -1, false},
        {"layers..linear_attn.", "A_log", A, HF, -1, false},
        {"layers.-1.linear_attn.", "A_log", A, HF, -1, false},
        {"layers.2147483647.linear_attn.", "A_log", A, HF, 2147483647, false},
        {"layers.2147483648.linear_attn.", "A_log", A, HF, -1, false},
        {"layers.99999999999999999999999999.linear_attn.", "A_log", A, HF, -1, false},
        {"layers.2.linear_attn.layers.3.linear_attn.", "A_log", A, HF, 3, false},
    };
    for (size_t i = 0; i < COUNT(want); i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", want[i].module, want[i].rest);
        gdn_key key = {.layer = -2};
        GDN_CHECK(gdn_key_parse(name, &key), "'%s' is none", name);
        GDN_CHECK((int)key.param == want[i].param && (int)key.naming == want[i].naming,
                  "'%s': parameter %d, naming %d", name, (int)key.param, (int)key.naming);
        GDN_CHECK(key.layer == want[i].layer, "'%s': layer %d", name, key.layer);
        GDN_CHECK(key.held == (want[i].held != 0), "'%s': held %d", name, key.held);
        GDN_CHECK(key.module == strlen(want[i].module), "'%s': module of %zu", name, key.module);
        GDN_CHECK((int)gdn_key_param(name) == (want[i].naming == HF ? want[i].param : GDN_PARAMS), "'%s'",
                  name);
    }
}
END_TEST

START_TEST(other_keys)
{
    static const char *const none[] = {
        "",
        "A_log",
        "model.layers.0.A_log",
        "linear_attn",
        "linear_attn.",
        "model.layers.0.linear_attn.foo_A_log",
        "model.layers.0.linear_attn.A_log.weight",
        "model.layers.0.linear_attn.A_logs",
        "model.layers.0.linear_attn.A_lo",
        "model.layers.0.linear_attn.inner.A_log",
        "model.layers.0.my_linear_attn.A_log",
        "model.layers.0.linear_attn.out_norm.weight", /* another naming's */
        "model.layers.0.linear_attn.o_norm.weight",
        "model.layers.0.linear_attn.norm.bias",
        "model.layers.0.linear_attn.conv1d.bias",
        "model.layers.0.linear_attn.q_conv1d.weight",
        "model.layers.0.linear_attn._fp32_params.",
        "model.layers.0.linear_attn._fp32_params.foo_A_log",
        "model.layers.0.linear_attn._fp32_params._fp32_params.A_log",
        "model.layers.0._fp32_params.A_log",
        "model.layers.0.self_attn.A_log",
        "model.layers.0.self_attn.q_norm.weight",
        "decoder.layers.0.self_attention.norm.weight",
        "decoder.layers.0.self_attention.in_proj.layer_norm_weight",
        "decoder.layers.0.cross_self_attention.A_log",
        "model.layers.0.attn.norm.weight",
        "model.layers.0.attn.qkv_conv1d.weight",
    };
    gdn_key key;
    for (size_t i = 0; i < COUNT(none); i++) {
        GDN_CHECK(!gdn_key_parse(none[i], &key), "'%s' is %s", none[i], gdn_param_names[key.param]);
        GDN_CHECK(gdn_key_param(none[i]) == GDN_PARAMS, "'%s'", none[i]);
    }
}
END_TEST

START_TEST(names)
{
    for (int i = 0; i < GDN_NAMINGS; i++)
        GDN_CHECK(gdn_naming_names[i] && *gdn_naming_names[i], "naming %d", i);
    ck_assert_str_eq(gdn_param_names[GDN_PARAM_CONV], "conv1d.weight");
}
END_TEST

GDN_TEST_MAIN("contract", keys_of_gdn_layers, other_keys, names)
