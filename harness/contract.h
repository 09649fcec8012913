/* SPDX-License-Identifier: Apache-2.0 */
/*
 * contract -- which parameters of a GDN layer a checkpoint holds under which keys, and the fp32 contract of
 * NeMo Automodel (components/models/common/gated_delta_net_fp32.py): A_log and dt_bias live in a submodule
 * `_fp32_params` of the layer, which saved checkpoints do not show.
 *
 *     route  model.layers.0.linear_attn.A_log  ->  model.layers.0.linear_attn._fp32_params.A_log
 *     strip  the inverse, of keys that come without the holder; a key that has it already is routed to
 * itself, and strip takes the holder away
 */
#ifndef GDN_HARNESS_CONTRACT_H
#define GDN_HARNESS_CONTRACT_H

#include <stdbool.h>
#include <stddef.h>

/* The parameters whose precision is argued about, and the short conv. */
typedef enum gdn_param {
    GDN_PARAM_A_LOG,
    GDN_PARAM_DT_BIAS,
    GDN_PARAM_NORM_WEIGHT,
    GDN_PARAM_CONV,
    GDN_PARAMS
} gdn_param;
extern const char *const gdn_param_names[GDN_PARAMS]; /* "A_log", "dt_bias", "norm.weight", "conv1d.weight" */

/* Whose names a key has. */
typedef enum gdn_naming {
    GDN_NAMING_HF,       /* [prefix.]layers.N.linear_attn.{A_log, dt_bias, norm.weight, conv1d.weight} */
    GDN_NAMING_MEGATRON, /* [prefix.]layers.N.self_attention.{A_log, dt_bias, out_norm.weight, conv1d.weight}:
                            w - 1 rests */
    GDN_NAMING_FLA,      /* [prefix.]layers.N.attn.{A_log, dt_bias, o_norm.weight, [qkv]_conv1d.weight} */
    GDN_NAMINGS
} gdn_naming;
extern const char *const gdn_naming_names[GDN_NAMINGS];

/* What a key says of itself. */
typedef struct gdn_key {
    gdn_param param;
    gdn_naming naming;
    int layer; /* N of the last `layers.N.` before the module; -1: it names none */
    bool held; /* under the holder _fp32_params. */
    size_t
        module; /* characters of the key up to and with the module's dot: two keys of one layer share them */
} gdn_key;

/*
 * Does the key name a parameter of a GDN layer? The parameter's name is the whole rest of the key after the
 * module (and the holder): foo_A_log is another parameter. `self_attention.` and `attn.` belong to ordinary
 * attention too: a norm or conv there counts only for a module that has an A_log, which is the caller's to
 * see.
 */
bool gdn_key_parse(const char *key, gdn_key *out);

/* Which of them a key of Hugging Face's naming names, with or without the holder; GDN_PARAMS: none. */
gdn_param gdn_key_param(const char *key);

/* Which keys are sent to the holder. */
typedef enum gdn_route_rule {
    GDN_ROUTE_EXACT,    /* those that name A_log or dt_bias */
    GDN_ROUTE_SUFFIX,   /* Automodel: those that hold `.linear_attn.` and end in A_log or dt_bias */
    GDN_ROUTE_ANYWHERE, /* those that end in A_log or dt_bias */
    GDN_ROUTE_RULES
} gdn_route_rule;
extern const char *const gdn_route_rule_names[GDN_ROUTE_RULES];

/* Does the rule send a key of a checkpoint (one without the holder) there? */
bool gdn_key_routed(gdn_route_rule rule, const char *key);

/* The key as the model has it, and as the checkpoint has it. False when `out` is too small. */
bool gdn_key_route(gdn_route_rule rule, const char *key, char *out, size_t size);
bool gdn_key_strip(const char *key, char *out, size_t size);

/* Is an architecture of config.json under the contract? */
bool gdn_contract_covers(const char *architecture);

#endif
