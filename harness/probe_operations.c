/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_operations -- claim D1: what the layer's arithmetic amounts to, counted by the engines, beside the
 * published formula per token
 *
 *     2 [D in_proj + K (2 qk + v) + 4 H_v d_v^2 + D v], forward; three times that with the backward
 *     qk = 16 d, v = H_v d, in_proj = 2 qk + 2 v + 2 H_v, K = 4
 *
 * whose third term, 8 H_v d^2, is the rule.
 */
#include "base/engine.h"
#include "base/inputs.h"
#include "harness/probe.h"
#include "kernels/engines.h"

#include <stdlib.h>

enum { HEAD = 128, KEY_HEADS = 16, KERNEL = 4, TOKENS = 256 };

static const struct {
    const char *name;
    int hidden, value_heads;
} models[] = {{"Qwen3.5-0.8B", 1024, 16}, {"Qwen3-Next-80B", 2048, 32}, {"Qwen3.5-9B", 4096, 32}};

static const struct {
    const char *name, *recipe;
} forms[] = {{"recurrent", "bf16-io"}, {"chunked", "chunk-bf16"}};

/* What an engine counts over TOKENS tokens of one head, out_norm left out. */
static gdn_status count(const gdn_recipe *recipe, gdn_counts *counts, gdn_error *err)
{
    const double a_log = 0, dt_bias = 0;
    double weight[HEAD];
    const gdn_engine *engine = gdn_recipe_engine(recipe);
    void *self = NULL;
    float *x = gdn_calloc(TOKENS * (3 * HEAD + 2), sizeof *x);
    double *o = gdn_calloc(TOKENS * HEAD, sizeof *o);
    for (int i = 0; i < HEAD; i++)
        weight[i] = 1;
    gdn_setup setup = {.shape = {1, HEAD, HEAD},
                       .params = {.decay = &a_log, .dt_bias = &dt_bias, .norm_weight = weight},
                       .ncolumns = HEAD,
                       .recurrence = true,
                       .recipe = recipe,
                       .counts = counts};
    gdn_status status = x && o ? GDN_OK : gdn_no_memory(err, "a block of tokens");
    if (!status) {
        gdn_normals(8, GDN_STREAM_Q, 0, 0, TOKENS * (3 * HEAD + 2), x);
        status = engine->open(&self, &setup, err);
    }
    if (!status) {
        gdn_block in = {.first = 1,
                        .tokens = TOKENS,
                        .q = x,
                        .k = x + TOKENS * HEAD,
                        .v = x + 2 * TOKENS * HEAD,
                        .a = x + 3 * TOKENS * HEAD,
                        .b = x + 3 * TOKENS * HEAD + TOKENS};
        status = engine->advance(self, &in, &(gdn_outputs){.o = o}, err);
    }
    if (self)
        engine->close(self);
    free(x);
    free(o);
    return status;
}

static void put(const gdn_probe_sink *to, int f, int m, const gdn_counts *head)
{
    double qk = KEY_HEADS * HEAD, v = models[m].value_heads * HEAD, D = models[m].hidden;
    double in_proj = 2 * qk + 2 * v + 2 * models[m].value_heads;
    double rule = 8.0 * models[m].value_heads * HEAD * HEAD;
    double formula = 2 * (D * in_proj + KERNEL * (2 * qk + v) + D * v) + rule;
    double heads = models[m].value_heads / (double)TOKENS, products = heads * head->products;
    const char *form = forms[f].name, *model = models[m].name;
    gdn_probe_put(to, "products", products, "operations", "%s; %s", form, model);
    gdn_probe_put(to, "pointwise", heads * head->pointwise, "operations", "%s; %s", form, model);
    gdn_probe_put(to, "functions", heads * head->functions, "operations", "%s; %s", form, model);
    gdn_probe_put(to, "formula_rule", rule, "operations", "%s; %s", form, model);
    gdn_probe_put(to, "formula_layer_forward", formula, "operations", "%s; %s", form, model);
    gdn_probe_put(to, "formula_layer_forward_and_backward", 3 * formula, "operations", "%s; %s", form, model);
    gdn_probe_put(to, "rule_ratio", products / rule, "1", "%s; %s", form, model);
    gdn_probe_put(to, "layer_ratio", (formula - rule + products) / formula, "1", "%s; %s", form, model);
}

gdn_status gdn_probe_operations(const gdn_probe_sink *to, const char *file, gdn_error *err)
{
    (void)file;
    gdn_status status = gdn_inputs_init(err);
    for (int f = 0; f < (int)(sizeof forms / sizeof forms[0]) && !status; f++) {
        gdn_counts head = {0};
        status = count(gdn_recipe_by_name(forms[f].recipe), &head, err);
        for (int m = 0; m < (int)(sizeof models / sizeof models[0]) && !status; m++)
            put(to, f, m, &head);
    }
    return status;
}
