/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_contracts -- claims B3, B7, A6 and A11: what a checkpoint folder says about A_log, dt_bias and
 * norm.weight. Per kind: tensors by dtype, values that are bf16 values all the same, and which part of them
 * comes back from loading and saving in two settings,
 *
 *     kept in fp32       stored dtype -> fp32 -> stored dtype
 *     without the flag   stored dtype -> bf16 -> stored dtype
 *
 * The folder is one as transformers saves it: config.json, and model.safetensors or shards with an index.
 */
#include "harness/contract.h"
#include "harness/probe.h"
#include "harness/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* What is stored under one kind of parameter. */
typedef struct holding {
    int64_t tensors, fp32, bf16, other; /* tensors by dtype */
    int64_t values, on_bf16_grid;
    int64_t same_kept, same_through_bf16; /* values that survive the round trip */
} holding;

typedef struct checkpoint {
    char folder[4096];
    const char *name; /* of the folder, without its parents */
    holding of[GDN_PARAMS];
} checkpoint;

static gdn_status load_json(const char *path, json_t **out, gdn_error *err)
{
    json_error_t why;
    *out = json_load_file(path, 0, &why);
    if (*out)
        return GDN_OK;
    if (why.line <= 0)
        return gdn_fail(err, GDN_BAD_INPUT, "%s: cannot read it: %s", path, why.text);
    return gdn_fail(err, GDN_BAD_INPUT, "%s:%d: is not JSON: %s", path, why.line, why.text);
}

/* x as a tensor of this dtype holds it. */
static float in_dtype(gdn_dtype dtype, float x)
{
    return dtype == GDN_DTYPE_F32 ? x : gdn_bf16_to_float(gdn_float_to_bf16(x));
}

static gdn_status take_tensor(holding *h, const gdn_tensor *t, gdn_error *err)
{
    int64_t n = gdn_tensor_elements(t);
    h->tensors++;
    h->fp32 += t->dtype == GDN_DTYPE_F32;
    h->bf16 += t->dtype == GDN_DTYPE_BF16;
    h->other += t->dtype != GDN_DTYPE_F32 && t->dtype != GDN_DTYPE_BF16;
    if (t->dtype != GDN_DTYPE_F32 && t->dtype != GDN_DTYPE_BF16)
        return GDN_OK;
    float *x = gdn_calloc((unsigned long)n, sizeof *x);
    if (!x)
        return gdn_no_memory(err, t->name);
    gdn_status status = gdn_tensor_floats(t, x, err);
    for (int64_t i = 0; i < n && !status; i++) {
        float coarse = gdn_bf16_to_float(gdn_float_to_bf16(x[i]));
        h->values++;
        h->on_bf16_grid += coarse == x[i];
        h->same_kept += gdn_float_bits(in_dtype(t->dtype, x[i])) == gdn_float_bits(x[i]);
        h->same_through_bf16 += gdn_float_bits(in_dtype(t->dtype, coarse)) == gdn_float_bits(x[i]);
    }
    free(x);
    return status;
}

static gdn_status take_file(checkpoint *c, const char *name, gdn_error *err)
{
    char path[8200];
    gdn_safetensors *f = NULL;
    snprintf(path, sizeof path, "%s/%s", c->folder, name);
    gdn_status status = gdn_safetensors_open(path, &f, err);
    for (size_t i = 0; !status && i < gdn_safetensors_count(f); i++) {
        const gdn_tensor *t = gdn_safetensors_at(f, i);
        gdn_param p = gdn_key_param(t->name);
        if (p < GDN_PARAMS)
            status = take_tensor(&c->of[p], t, err);
    }
    gdn_safetensors_close(f);
    return status;
}

/* Every shard that the index names, once. */
static gdn_status take_shards(checkpoint *c, const char *path, const json_t *index, gdn_error *err)
{
    json_t *map = json_object_get(index, "weight_map"), *seen = json_object(), *shard;
    const char *tensor;
    gdn_status status = GDN_OK;
    if (!json_is_object(map))
        status = gdn_fail(err, GDN_BAD_INPUT, "%s: weight_map is missing or is no object", path);
    json_object_foreach(map, tensor, shard)
    {
        const char *name = json_string_value(shard);
        if (!name || strchr(name, '/'))
            status = gdn_fail(err, GDN_BAD_INPUT, "%s: weight_map: '%.200s' names no file of the folder",
                              path, tensor);
        else if (!json_object_get(seen, name)) {
            json_object_set_new(seen, name, json_true());
            status = take_file(c, name, err);
        }
        if (status)
            break;
    }
    json_decref(seen);
    return status;
}

static gdn_status take_weights(checkpoint *c, gdn_error *err)
{
    char path[4200];
    json_t *index = NULL;
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", c->folder);
    FILE *f = fopen(path, "rb");
    if (!f)
        return take_file(c, "model.safetensors", err);
    fclose(f);
    gdn_status status = load_json(path, &index, err);
    if (!status)
        status = take_shards(c, path, index, err);
    json_decref(index);
    return status;
}

static gdn_status put_architecture(const gdn_probe_sink *to, const checkpoint *c, gdn_error *err)
{
    char path[4200];
    json_t *config = NULL;
    snprintf(path, sizeof path, "%s/config.json", c->folder);
    gdn_status status = load_json(path, &config, err);
    if (status)
        return status;
    const char *name = json_string_value(json_array_get(json_object_get(config, "architectures"), 0));
    if (!name)
        status = gdn_fail(err, GDN_BAD_INPUT, "%s: architectures names none", path);
    else
        gdn_probe_put(to, "under_contract", gdn_contract_covers(name), "1", "%s; %s", c->name, name);
    json_decref(config);
    return status;
}

static double share(int64_t part, int64_t whole)
{
    return whole ? (double)part / (double)whole : NAN;
}

gdn_status gdn_probe_contracts(const gdn_probe_sink *to, const char *file, gdn_error *err)
{
    checkpoint c = {0};
    snprintf(c.folder, sizeof c.folder, "%s", file);
    for (size_t n = strlen(c.folder); n > 1 && c.folder[n - 1] == '/'; n--)
        c.folder[n - 1] = 0;
    c.name = strrchr(c.folder, '/') ? strrchr(c.folder, '/') + 1 : c.folder;
    gdn_status status = put_architecture(to, &c, err);
    if (!status)
        status = take_weights(&c, err);
    for (gdn_param p = 0; p < GDN_PARAMS && !status; p++) {
        const holding *h = &c.of[p];
        const char *name = gdn_param_names[p];
        gdn_probe_put(to, "tensors", (double)h->tensors, "tensors", "%s; %s", c.name, name);
        gdn_probe_put(to, "tensors_fp32", (double)h->fp32, "tensors", "%s; %s", c.name, name);
        gdn_probe_put(to, "tensors_bf16", (double)h->bf16, "tensors", "%s; %s", c.name, name);
        gdn_probe_put(to, "tensors_other", (double)h->other, "tensors", "%s; %s", c.name, name);
        gdn_probe_put(to, "values", (double)h->values, "values", "%s; %s", c.name, name);
        gdn_probe_put(to, "bf16_value_share", share(h->on_bf16_grid, h->values), "1", "%s; %s", c.name, name);
        gdn_probe_put(to, "identical_share", share(h->same_kept, h->values), "1", "%s; %s; kept in fp32",
                      c.name, name);
        gdn_probe_put(to, "identical_share", share(h->same_through_bf16, h->values), "1",
                      "%s; %s; without the flag", c.name, name);
    }
    return status;
}
