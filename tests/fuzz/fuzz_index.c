/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_index -- any bytes as an index and as a config.json: refused in a sentence, or well formed. The names
 * in an index go through what is done with names: their order, what they say of themselves, routing and
 * stripping.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "harness/checkpoint_parts.h"
#include "harness/contract.h"
#include "harness/json_file.h"
#include "tests/fuzz/fuzz.h"

size_t fuzz_accepted;

static int sign(int x)
{
    return (x > 0) - (x < 0);
}

static void check_order(const char *const *name, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            int ij = sign(gdn_natural_order(name[i], name[j]));
            FUZZ_CHECK(ij == -sign(gdn_natural_order(name[j], name[i])) && (ij == 0) == (i == j));
            for (size_t k = 0; k < n && ij < 0; k++)
                FUZZ_CHECK(gdn_natural_order(name[j], name[k]) > 0 ||
                           gdn_natural_order(name[i], name[k]) < 0 || j == k);
        }
}

static void check_name(const char *name)
{
    gdn_key key;
    size_t n = strlen(name), size = n + 32;
    char *routed = malloc(size), *back = malloc(size);
    FUZZ_CHECK(routed && back);
    if (gdn_key_parse(name, &key))
        FUZZ_CHECK(key.param < GDN_PARAMS && key.naming < GDN_NAMINGS && key.layer >= -1 && key.module > 0 &&
                   key.module < n && name[key.module - 1] == '.');
    for (gdn_route_rule rule = 0; rule < GDN_ROUTE_RULES; rule++)
        FUZZ_CHECK(gdn_key_route(rule, name, routed, size));
    FUZZ_CHECK(gdn_key_route(GDN_ROUTE_EXACT, name, routed, size) && gdn_key_strip(routed, back, size));
    if (!strstr(name, "_fp32_params."))
        FUZZ_CHECK(strcmp(back, name) == 0);
    free(routed);
    free(back);
}

/* map: a well-formed weight_map. */
static void check_names(const json_t *map)
{
    enum { MOST = 8 };
    const char *name[MOST], *tensor;
    size_t n = 0;
    json_t *shard;
    json_object_foreach((json_t *)(uintptr_t)map, tensor, shard)
    {
        check_name(tensor);
        FUZZ_CHECK(!strpbrk(json_string_value(shard), "/\\") && strcmp(json_string_value(shard), "..") != 0);
        if (n < MOST)
            name[n++] = tensor;
    }
    check_order(name, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    gdn_error err = {""};
    json_t *root;
    const char *architecture;
    gdn_status status = gdn_json_parse((const char *)input, n, "fuzz", &root, &err);
    FUZZ_CHECK((status == GDN_OK) == (root != NULL));
    if (status != GDN_OK) {
        fuzz_check_sentence(status, &err);
        FUZZ_CHECK(strstr(err.text, "byte offset "));
        return 0;
    }
    status = gdn_checkpoint_check_index(root, "fuzz", &err);
    if (status == GDN_OK)
        check_names(json_object_get(root, "weight_map"));
    else
        fuzz_check_sentence(status, &err);
    fuzz_accepted += status == GDN_OK;
    status = gdn_checkpoint_architecture(root, "fuzz", &architecture, &err);
    if (status != GDN_OK)
        fuzz_check_sentence(status, &err);
    else if (architecture)
        (void)gdn_contract_covers(architecture);
    json_decref(root);
    return 0;
}
