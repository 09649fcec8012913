/* SPDX-License-Identifier: Apache-2.0 */
/* audit_json -- an audit for machines; see audit.h. JSON has no NaN and no infinity: null stands for them. */
#include "harness/json_file.h"
#include "harness/audit.h"

#include <math.h>
#include <string.h>

#include "harness/shown.h"

static void set_count(json_t *o, const char *key, int64_t n)
{
    json_object_set_new(o, key, json_integer((json_int_t)n));
}

static json_t *layer_number(int layer)
{
    return layer < 0 ? json_null() : json_integer(layer);
}

static json_t *weight_json(const gdn_audit_tensor *t)
{
    static const char *const keys[GDN_AUDIT_WAYS] = {"w", "w_minus_1"};
    json_t *o = json_object();
    for (int way = 0; way < GDN_AUDIT_WAYS; way++) {
        json_t *w = json_object();
        set_count(w, "changed", t->weight.changed[way]);
        json_object_set_new(w, "rms", gdn_json_number(t->weight.rms[way]));
        json_object_set_new(o, keys[way], w);
    }
    json_object_set_new(o, "lost_at_most", gdn_json_number(t->weight.lost));
    return o;
}

static json_t *tensor_json(const gdn_audit_tensor *t)
{
    json_t *shape = json_array();
    for (int i = 0; i < t->tensor->rank; i++)
        json_array_append_new(shape, json_integer((json_int_t)t->tensor->dim[i]));
    json_t *o = json_pack("{s:s, s:s, s:o, s:s, s:o}", "name", t->tensor->name, "kind",
                          gdn_param_names[t->key.param], "layer", layer_number(t->key.layer), "dtype",
                          gdn_dtype_name(t->tensor->dtype), "shape", shape);
    set_count(o, "count", t->count);
    set_count(o, "bf16_exact", t->bf16_exact);
    set_count(o, "fp16_exact", t->fp16_exact);
    set_count(o, "nonfinite", t->nonfinite);
    json_object_set_new(o, "min", gdn_json_number(t->min));
    json_object_set_new(o, "max", gdn_json_number(t->max));
    json_object_set_new(o, "verdict", json_string(gdn_audit_verdict_text(t)));
    json_object_set_new(o, "chance_log2", gdn_json_number(t->chance));
    if (t->key.param == GDN_PARAM_NORM_WEIGHT)
        json_object_set_new(o, "bf16", weight_json(t));
    return o;
}

/* {"A_log": {"genuine fp32": 3}, ...}: tensors by verdict. */
static json_t *verdicts_json(const gdn_audit *x)
{
    json_t *all = json_object();
    for (size_t i = 0; i < x->tensors; i++) {
        const gdn_audit_tensor *t = &x->tensor[i];
        const char *param = gdn_param_names[t->key.param], *verdict = gdn_audit_verdict_text(t);
        json_t *o = json_object_get(all, param);
        if (!o) {
            o = json_object();
            json_object_set_new(all, param, o);
        }
        set_count(o, verdict, json_integer_value(json_object_get(o, verdict)) + 1);
    }
    return all;
}

static json_t *cost_json(const gdn_audit_cost *c)
{
    json_t *o = json_object();
    json_object_set_new(o, "predicted", gdn_json_number(c->predicted));
    json_object_set_new(o, "at_most", gdn_json_number(c->at_most));
    return o;
}

static json_t *head_json(const gdn_audit *x, const gdn_audit_head *h)
{
    const gdn_audit_layer *l = &x->layer[h->layer];
    json_t *o = json_pack("{s:o, s:s%, s:i, s:b, s:b, s:b}", "layer", layer_number(l->key->layer), "module",
                          l->name, l->key->module - 1, "head", h->head, "dead", h->dead, "a_log_is_bound",
                          h->a_log_lost, "dt_bias_is_bound", h->dt_bias_lost);
    const struct {
        const char *key;
        double value;
    } numbers[] = {{"a_log", h->a_log},
                   {"dt_bias", h->dt_bias},
                   {"a", h->rate},
                   {"tau", h->tau},
                   {"gamma", h->gamma},
                   {"gamma_eff", h->gamma_eff},
                   {"a_error", h->rate_error},
                   {"softplus_error", h->softplus_error},
                   {"softplus_error_rms", h->softplus_rms}};
    const struct {
        const char *key;
        const gdn_audit_cost *cost;
    } costs[] = {{"o_a_log", &h->o_a_log}, {"o_dt_bias", &h->o_dt_bias}, {"o", &h->o}, {"y", &h->y}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        json_object_set_new(o, numbers[i].key, gdn_json_number(numbers[i].value));
    for (size_t i = 0; i < sizeof costs / sizeof costs[0]; i++)
        json_object_set_new(o, costs[i].key, cost_json(costs[i].cost));
    return o;
}

json_t *gdn_audit_json(const gdn_audit *x)
{
    const gdn_checkpoint *c = x->checkpoint;
    json_t *tensors = json_array(), *heads = json_array();
    for (size_t i = 0; i < x->tensors; i++)
        json_array_append_new(tensors, tensor_json(&x->tensor[i]));
    for (size_t i = 0; i < x->heads; i++)
        json_array_append_new(heads, head_json(x, &x->head[i]));
    bool whole = json_array_size(tensors) == x->tensors && json_array_size(heads) == x->heads;
    char path[4096];
    json_t *given = json_string(c->path); /* NULL where it is not UTF-8 */
    if (!given)
        given = json_string(gdn_shown_path(c->path, path, sizeof path));
    json_t *covered = c->architecture ? json_boolean(gdn_contract_covers(c->architecture)) : json_null();
    json_t *o =
        json_pack("{s:o, s:s?, s:i, s:i, s:o, s:o, s:o, s:O, s:o, s:{s:I, s:f, s:f, s:i}}", "checkpoint",
                  given, "architecture", c->architecture, "shards", c->shards, "layers", x->layers, "tensors",
                  tensors, "heads", heads, "verdicts", verdicts_json(x), "findings", x->findings,
                  "fp32_contract", covered, "settings", "length", (json_int_t)x->settings.length, "a_mean",
                  x->settings.a_mean, "a_scale", x->settings.a_scale, "dk", x->dk);
    if (whole)
        return o;
    json_decref(o);
    return NULL;
}
