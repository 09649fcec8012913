/* SPDX-License-Identifier: Apache-2.0 */
/*
 * contract -- which parameters of a GDN layer a checkpoint holds under which keys, and the fp32 contract of
 * NeMo Automodel (components/models/common/gated_delta_net_fp32.py): A_log and dt_bias live in a submodule
 * `_fp32_params` of the layer, which saved checkpoints do not show.
 *
 *     route  model.layers.0.linear_attn.A_log  ->  model.layers.0.linear_attn._fp32_params.A_log
 *     strip  the inverse
 */
#ifndef GDN_HARNESS_CONTRACT_H
#define GDN_HARNESS_CONTRACT_H

#include <stdbool.h>
#include <stddef.h>

/* The parameters whose precision is argued about. */
typedef enum gdn_param { GDN_PARAM_A_LOG, GDN_PARAM_DT_BIAS, GDN_PARAM_NORM_WEIGHT, GDN_PARAMS } gdn_param;
extern const char *const gdn_param_names[GDN_PARAMS];

/* Which of them a key names, with or without the holder; GDN_PARAMS: none. The name is the whole rest of the
 * key after `linear_attn.`: foo_A_log is another parameter. */
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
