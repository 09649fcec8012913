/* SPDX-License-Identifier: Apache-2.0 */
/* contract -- keys of GDN parameters and Automodel's fp32 holder; see contract.h. */
#include "harness/contract.h"

#include <stdio.h>
#include <string.h>

#define LAYER "linear_attn."
#define HOLDER "_fp32_params."

const char *const gdn_param_names[GDN_PARAMS] = {"A_log", "dt_bias", "norm.weight"};
const char *const gdn_route_rule_names[GDN_ROUTE_RULES] = {"exact", "suffix under linear_attn",
                                                           "suffix anywhere"};

/* Those that the holder takes. */
enum { HELD = GDN_PARAM_DT_BIAS + 1 };

static const char *const architectures[] = {"Qwen3NextForCausalLM", "Qwen3_5ForCausalLM",
                                            "Qwen3_5ForConditionalGeneration",
                                            "Qwen3_5MoeForConditionalGeneration"};

/* What follows the last component `linear_attn` of the key, or NULL. */
static const char *rest_of(const char *key)
{
    const char *rest = NULL;
    for (const char *at = strstr(key, LAYER); at; at = strstr(at + 1, LAYER))
        if (at == key || at[-1] == '.')
            rest = at + strlen(LAYER);
    return rest;
}

static bool ends_in(const char *key, const char *tail)
{
    size_t n = strlen(key), m = strlen(tail);
    return n >= m && strcmp(key + n - m, tail) == 0;
}

gdn_param gdn_key_param(const char *key)
{
    const char *rest = rest_of(key);
    if (!rest)
        return GDN_PARAMS;
    if (strncmp(rest, HOLDER, strlen(HOLDER)) == 0)
        rest += strlen(HOLDER);
    for (gdn_param p = 0; p < GDN_PARAMS; p++)
        if (strcmp(rest, gdn_param_names[p]) == 0)
            return p;
    return GDN_PARAMS;
}

bool gdn_key_routed(gdn_route_rule rule, const char *key)
{
    if (strstr(key, "." HOLDER))
        return false;
    if (rule == GDN_ROUTE_EXACT)
        return (int)gdn_key_param(key) < HELD;
    bool suffix = false;
    for (int p = 0; p < HELD; p++)
        suffix |= ends_in(key, gdn_param_names[p]);
    return suffix && (rule == GDN_ROUTE_ANYWHERE || strstr(key, "." LAYER));
}

/* The holder goes behind the last `linear_attn.`; where there is none, before the last component. */
bool gdn_key_route(gdn_route_rule rule, const char *key, char *out, size_t size)
{
    if (!gdn_key_routed(rule, key))
        return snprintf(out, size, "%s", key) < (int)size;
    const char *rest = rest_of(key), *dot = strrchr(key, '.');
    if (!rest)
        rest = dot ? dot + 1 : key;
    return snprintf(out, size, "%.*s" HOLDER "%s", (int)(rest - key), key, rest) < (int)size;
}

bool gdn_key_strip(const char *key, char *out, size_t size)
{
    const char *rest = rest_of(key);
    if (!rest || strncmp(rest, HOLDER, strlen(HOLDER)) != 0)
        return snprintf(out, size, "%s", key) < (int)size;
    return snprintf(out, size, "%.*s%s", (int)(rest - key), key, rest + strlen(HOLDER)) < (int)size;
}

bool gdn_contract_covers(const char *architecture)
{
    for (size_t i = 0; i < sizeof architectures / sizeof architectures[0]; i++)
        if (strcmp(architecture, architectures[i]) == 0)
            return true;
    return false;
}
