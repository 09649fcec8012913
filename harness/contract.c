/* SPDX-License-Identifier: Apache-2.0 */
/* contract -- keys of GDN parameters and Automodel's fp32 holder; see contract.h. */
#include "harness/contract.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define LAYER "linear_attn."
#define HOLDER "_fp32_params."

const char *const gdn_param_names[GDN_PARAMS] = {"A_log", "dt_bias", "norm.weight", "conv1d.weight"};
const char *const gdn_naming_names[GDN_NAMINGS] = {"Hugging Face", "Megatron", "FLA"};
const char *const gdn_route_rule_names[GDN_ROUTE_RULES] = {"exact", "suffix under linear_attn",
                                                           "suffix anywhere"};

/* Those that the holder takes. */
enum { HELD = GDN_PARAM_DT_BIAS + 1 };

static const char *const architectures[] = {"Qwen3NextForCausalLM", "Qwen3_5ForCausalLM",
                                            "Qwen3_5ForConditionalGeneration",
                                            "Qwen3_5MoeForConditionalGeneration"};

enum { SPELLINGS = 3 };

/* How each naming calls the module of a layer, and the parameters in it. */
static const struct naming {
    const char *module;
    const char *names[GDN_PARAMS][SPELLINGS];
} namings[GDN_NAMINGS] = {
    [GDN_NAMING_HF] = {LAYER, {{"A_log"}, {"dt_bias"}, {"norm.weight"}, {"conv1d.weight"}}},
    [GDN_NAMING_MEGATRON] = {"self_attention.",
                             {{"A_log"}, {"dt_bias"}, {"out_norm.weight"}, {"conv1d.weight"}}},
    [GDN_NAMING_FLA] = {"attn.",
                        {{"A_log"},
                         {"dt_bias"},
                         {"o_norm.weight"},
                         {"q_conv1d.weight", "k_conv1d.weight", "v_conv1d.weight"}}},
};

/* What follows the last component `module` (with its dot) of the key, or NULL. */
static const char *after(const char *key, const char *module)
{
    const char *rest = NULL;
    for (const char *at = strstr(key, module); at; at = strstr(at + 1, module))
        if (at == key || at[-1] == '.')
            rest = at + strlen(module);
    return rest;
}

static const char *rest_of(const char *key)
{
    return after(key, LAYER);
}

static bool ends_in(const char *key, const char *tail)
{
    size_t n = strlen(key), m = strlen(tail);
    return n >= m && strcmp(key + n - m, tail) == 0;
}

/* N of the last component pair `layers.N.` that begins before `end`; -1: none that is an int. */
static int layer_of(const char *key, const char *end)
{
    static const char layers[] = "layers.";
    int layer = -1;
    for (const char *at = strstr(key, layers); at && at < end; at = strstr(at + 1, layers)) {
        const char *s = at + strlen(layers);
        long long n = *s == '.' ? -1 : 0;
        for (; *s >= '0' && *s <= '9' && n <= INT_MAX; s++)
            n = 10 * n + (*s - '0');
        if ((at == key || at[-1] == '.') && *s == '.' && n >= 0 && n <= INT_MAX)
            layer = (int)n;
    }
    return layer;
}

static gdn_param param_of(const struct naming *naming, const char *name)
{
    for (gdn_param p = 0; p < GDN_PARAMS; p++)
        for (int i = 0; i < SPELLINGS && naming->names[p][i]; i++)
            if (strcmp(name, naming->names[p][i]) == 0)
                return p;
    return GDN_PARAMS;
}

bool gdn_key_parse(const char *key, gdn_key *out)
{
    for (gdn_naming i = 0; i < GDN_NAMINGS; i++) {
        const char *rest = after(key, namings[i].module);
        if (!rest)
            continue;
        bool held = strncmp(rest, HOLDER, strlen(HOLDER)) == 0;
        gdn_param param = param_of(&namings[i], held ? rest + strlen(HOLDER) : rest);
        if (param == GDN_PARAMS)
            continue;
        size_t module = (size_t)(rest - key);
        const char *begin = rest - strlen(namings[i].module);
        *out = (gdn_key){param, i, layer_of(key, begin), held, module};
        return true;
    }
    return false;
}

gdn_param gdn_key_param(const char *key)
{
    gdn_key k;
    return gdn_key_parse(key, &k) && k.naming == GDN_NAMING_HF ? k.param : GDN_PARAMS;
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
