/* SPDX-License-Identifier: Apache-2.0 */
/* convert -- the contracts, and storage chains as words; see convert.h. */
#include "harness/convert.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "harness/experiment.h"

/* A_log, dt_bias, norm.weight, conv1d.weight. Automodel's: gated_delta_net_fp32.py, whose export names F32
 * for two. */
const gdn_contract gdn_contracts[] = {
    {"none", "keys and dtypes as they are", GDN_KEYS_KEPT, {false}, false},
    {"fp32",
     "A_log, dt_bias, norm.weight in F32, keys as they are",
     GDN_KEYS_KEPT,
     {true, true, true, false},
     false},
    {"automodel",
     "A_log, dt_bias in F32 under _fp32_params.: NeMo Automodel's model",
     GDN_KEYS_ROUTED,
     {true, true, false, false},
     false},
    {"automodel-saved",
     "A_log, dt_bias in F32, no holder: what NeMo Automodel saves",
     GDN_KEYS_STRIPPED,
     {true, true, false, false},
     false},
    {"hf", "no holder, widened dtypes as they were before: the way back", GDN_KEYS_STRIPPED, {false}, true},
};
const int gdn_contract_count = sizeof gdn_contracts / sizeof gdn_contracts[0];

const char gdn_convert_note[] = "gdnprec.dtypes";

/* "'word' is no WHAT (did you mean ...?); allowed: a, b, c". */
static gdn_status unknown(const char *where, const char *word, const char *what, const char *const *names,
                          int n, gdn_error *err)
{
    char all[256] = "";
    const char *near = gdn_nearest(word, names, n);
    for (int i = 0; i < n; i++) {
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", names[i]);
    }
    return gdn_fail(err, GDN_BAD_INPUT, "convert: %s: '%.100s' is no %s%s%s%s; allowed: %s", where, word,
                    what, near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "", all);
}

gdn_status gdn_contract_by_name(const char *name, const gdn_contract **out, gdn_error *err)
{
    const char *names[sizeof gdn_contracts / sizeof gdn_contracts[0]];
    *out = NULL;
    for (int i = 0; i < gdn_contract_count; i++) {
        names[i] = gdn_contracts[i].name;
        if (strcmp(name, names[i]) == 0)
            *out = &gdn_contracts[i];
    }
    return *out ? GDN_OK : unknown("--contract", name, "contract", names, gdn_contract_count, err);
}

bool gdn_convert_key(const gdn_contract *contract, const char *key, char *out, size_t size)
{
    return contract->keys == GDN_KEYS_ROUTED     ? gdn_key_route(GDN_ROUTE_EXACT, key, out, size)
           : contract->keys == GDN_KEYS_STRIPPED ? gdn_key_strip(key, out, size)
                                                 : snprintf(out, size, "%s", key) < (int)size;
}

/* word: [n], of which *index is found in names. */
static gdn_status look_up(const char *word, size_t n, const char *what, const char *const *names, int count,
                          int *index, gdn_error *err)
{
    char copy[64];
    snprintf(copy, sizeof copy, "%.*s", (int)n, word);
    for (*index = 0; *index < count; ++*index)
        if (strlen(names[*index]) == n && strncasecmp(word, names[*index], n) == 0)
            return GDN_OK;
    return unknown("--store", copy, what, names, count, err);
}

gdn_status gdn_convert_store(gdn_convert_request *r, const char *text, gdn_error *err)
{
    size_t n = strcspn(text, "=");
    int param, link = 0;
    if (!text[n])
        return gdn_fail(err, GDN_BAD_INPUT, "convert: --store: '%.100s' is not allowed; PARAM=FORMAT is",
                        text);
    gdn_status status = look_up(text, n, "parameter", gdn_param_names, GDN_PARAMS, &param, err);
    if (status)
        return status;
    gdn_chain *chain = &r->store[param];
    if (chain->n)
        return gdn_fail(err, GDN_BAD_INPUT, "convert: --store: %s is named twice", gdn_param_names[param]);
    for (const char *at = text + n; *at; at += n) {
        n = strcspn(++at, ",");
        if ((status = look_up(at, n, "format", gdn_link_names, GDN_LINKS, &link, err)))
            return status;
        if (chain->n == GDN_CHAIN_MAX)
            return gdn_fail(err, GDN_BAD_INPUT, "convert: --store: more than %d formats for %s",
                            GDN_CHAIN_MAX, gdn_param_names[param]);
        chain->link[chain->n++] = link;
    }
    if (gdn_cast_dtype(link) == GDN_DTYPES)
        return gdn_fail(
            err, GDN_BAD_INPUT,
            "convert: --store: safetensors has no dtype for %s; the last format of a chain may be "
            "fp64, fp32, fp16, bf16, e4m3 or e5m2",
            gdn_link_names[link]);
    return GDN_OK;
}
