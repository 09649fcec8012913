/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_contracts -- claims B3, B7, A6 and A11: what a checkpoint folder says about A_log, dt_bias and
 * norm.weight. Per kind: tensors by dtype, values that are bf16 values all the same, and which part of them
 * comes back from loading and saving in two settings,
 *
 *     kept in fp32       stored dtype -> fp32 -> stored dtype
 *     without the flag   stored dtype -> bf16 -> stored dtype
 *
 * The checkpoint is a file or folder that checkpoint.h opens, with its config.json.
 */
#include "harness/checkpoint.h"
#include "harness/contract.h"
#include "harness/probe.h"
#include "harness/shown.h"

#include <stdlib.h>
#include <string.h>

#define ARGUED GDN_PARAM_CONV /* those before it: the conv is under no contract */

/* What is stored under one kind of parameter. */
typedef struct holding {
    int64_t tensors, fp32, bf16, other; /* tensors by dtype */
    int64_t values, on_bf16_grid;
    int64_t same_kept, same_through_bf16; /* values that survive the round trip */
} holding;

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

static double share(int64_t part, int64_t whole)
{
    return whole ? (double)part / (double)whole : NAN;
}

/* The last component of a path, without slashes at its end. */
static void name_of(const char *path, char *out, size_t size)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    size_t from = n;
    while (from > 0 && path[from - 1] != '/')
        from--;
    gdn_shown_bytes(path + from, n - from, out, size);
}

gdn_status gdn_probe_contracts(const gdn_probe_sink *to, const char *file, gdn_error *err)
{
    holding of[GDN_PARAMS] = {0};
    char folder[256], path[256], architecture[GDN_SHOWN];
    gdn_checkpoint *c;
    gdn_status status = gdn_checkpoint_open(file, &c, err);
    if (status)
        return status;
    name_of(file, folder, sizeof folder);
    if (!c->architecture)
        status = gdn_fail(err, GDN_BAD_INPUT, "%s: %s", gdn_shown_path(file, path, sizeof path),
                          c->config ? "config.json: architectures names none"
                                    : "there is no config.json beside the weights");
    else
        gdn_probe_put(to, "under_contract", gdn_contract_covers(c->architecture), "1", "%s; %s", folder,
                      gdn_shown(c->architecture, architecture, sizeof architecture));
    for (size_t i = 0; i < c->tensors && !status; i++) {
        gdn_param p = gdn_key_param(c->tensor[i].tensor->name);
        if (p < ARGUED)
            status = take_tensor(&of[p], c->tensor[i].tensor, err);
    }
    gdn_checkpoint_close(c);
    for (gdn_param p = 0; p < ARGUED && !status; p++) {
        const holding *h = &of[p];
        const char *name = gdn_param_names[p];
        gdn_probe_put(to, "tensors", (double)h->tensors, "tensors", "%s; %s", folder, name);
        gdn_probe_put(to, "tensors_fp32", (double)h->fp32, "tensors", "%s; %s", folder, name);
        gdn_probe_put(to, "tensors_bf16", (double)h->bf16, "tensors", "%s; %s", folder, name);
        gdn_probe_put(to, "tensors_other", (double)h->other, "tensors", "%s; %s", folder, name);
        gdn_probe_put(to, "values", (double)h->values, "values", "%s; %s", folder, name);
        gdn_probe_put(to, "bf16_value_share", share(h->on_bf16_grid, h->values), "1", "%s; %s", folder, name);
        gdn_probe_put(to, "identical_share", share(h->same_kept, h->values), "1", "%s; %s; kept in fp32",
                      folder, name);
        gdn_probe_put(to, "identical_share", share(h->same_through_bf16, h->values), "1",
                      "%s; %s; without the flag", folder, name);
    }
    return status;
}
