/* SPDX-License-Identifier: Apache-2.0 */
/* audit_findings -- what in a checkpoint calls for attention: rows of a table of rules over tensors, and dead
 * heads. */
#include "harness/audit.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "harness/shown.h"
#include "kernels/portable.h"

enum { RANGES = 5 };

/* ---- words ---- */

const char *gdn_audit_ranges(const int *numbers, int n, char *out, size_t size)
{
    size_t used = 0;
    int ranges = 0, left = 0;
    out[0] = 0;
    for (int i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && numbers[j] == numbers[j - 1] + 1; j++)
            ;
        if (ranges >= RANGES || used + 40 > size) {
            left += j - i;
            continue;
        }
        used += (size_t)snprintf(out + used, size - used, ranges++ ? ", %d" : "%d", numbers[i]);
        if (j - i > 1)
            used += (size_t)snprintf(out + used, size - used, "-%d", numbers[j - 1]);
    }
    if (left)
        snprintf(out + used, size - used, " and %d more", left);
    return out;
}

/* ---- findings ---- */

/* Add one of `kind`; layer, head, param: -1, -1, GDN_PARAMS where it has none. */
__attribute__((format(printf, 6, 7))) static json_t *add(gdn_audit *x, const char *kind,
                                                         const gdn_audit_layer *l, int head, gdn_param param,
                                                         const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_t *o = json_pack("{s:s, s:s}", "kind", kind, "text", text);
    if (param < GDN_PARAMS)
        json_object_set_new(o, "parameter", json_string(gdn_param_names[param]));
    if (l)
        json_object_set_new(o, "layer", l->key->layer < 0 ? json_null() : json_integer(l->key->layer));
    if (head >= 0)
        json_object_set_new(o, "head", json_integer(head));
    json_array_append_new(x->findings, o);
    return o;
}

const char *gdn_audit_layer_words(const gdn_audit *x, const gdn_audit_layer *l, char *out, size_t size)
{
    if (x->numbered)
        snprintf(out, size, "layer %d", l->key->layer);
    else
        gdn_shown_bytes(l->name, l->key->module - 1, out, size);
    return out;
}

/* ---- rules over the tensors of a parameter ---- */

/* May bf16 be wanted of the architecture, and what does the contract hold in fp32? */
static bool qwen35(const char *architecture)
{
    return architecture && strncmp(architecture, "Qwen3_5", 7) == 0;
}

static bool narrow(const gdn_audit_tensor *t)
{
    return t->verdict == GDN_AUDIT_NARROW;
}

static bool upcast(const gdn_audit_tensor *t)
{
    return t->verdict == GDN_AUDIT_UPCAST || t->verdict == GDN_AUDIT_UPCAST_FP16 ||
           t->verdict == GDN_AUDIT_UPCAST_PAIR;
}

static bool contract_breaks(const gdn_audit *x, const gdn_audit_tensor *t)
{
    const char *a = x->checkpoint->architecture;
    return t->key.param <= GDN_PARAM_DT_BIAS && a && gdn_contract_covers(a) && narrow(t);
}

static bool release_breaks(const gdn_audit *x, const gdn_audit_tensor *t)
{
    return t->key.param == GDN_PARAM_NORM_WEIGHT && qwen35(x->checkpoint->architecture) && narrow(t);
}

static bool upcast_only(const gdn_audit *x, const gdn_audit_tensor *t)
{
    (void)x;
    return t->key.param != GDN_PARAM_CONV && upcast(t);
}

/* config.json's dtype is what transformers casts parameters to on loading. */
static const char *config_dtype(const gdn_audit *x)
{
    static const char *const keys[] = {"dtype", "torch_dtype"};
    const json_t *config = x->checkpoint->config, *text = json_object_get(config, "text_config");
    for (int i = 0; i < 4; i++) {
        const char *s = json_string_value(json_object_get(i & 1 ? text : config, keys[i / 2]));
        if (s)
            return s;
    }
    return "";
}

static bool cast_on_load(const gdn_audit *x, const gdn_audit_tensor *t)
{
    return t->key.param != GDN_PARAM_CONV && t->key.naming == GDN_NAMING_HF &&
           t->verdict == GDN_AUDIT_GENUINE && strcmp(config_dtype(x), "bfloat16") == 0;
}

static bool not_floats(const gdn_audit *x, const gdn_audit_tensor *t)
{
    (void)x;
    return t->verdict == GDN_AUDIT_NO_FLOATS && t->count > 0;
}

static bool empty(const gdn_audit *x, const gdn_audit_tensor *t)
{
    (void)x;
    return t->count == 0;
}

static bool not_finite(const gdn_audit *x, const gdn_audit_tensor *t)
{
    (void)x;
    return t->nonfinite > 0 && (t->key.param > GDN_PARAM_DT_BIAS || x->layer[t->layer].heads == 0);
}

static bool zero_channels(const gdn_audit *x, const gdn_audit_tensor *t)
{
    (void)x;
    return t->key.param == GDN_PARAM_NORM_WEIGHT && t->key.naming != GDN_NAMING_MEGATRON && t->zeros > 0;
}

static bool repeated(const gdn_audit *x, const gdn_audit_tensor *t)
{
    return t->key.param != GDN_PARAM_CONV && x->layer[t->layer].tensor[t->key.param] != (int)(t - x->tensor);
}

/* One finding a parameter and dtype, with the layers in which the rule holds. */
static const struct {
    const char *kind;
    bool (*holds)(const gdn_audit *, const gdn_audit_tensor *);
    const char *text; /* after "A_log is BF16 in layers 0-2" or the like */
} rules[] = {
    {"contract", contract_breaks, "the fp32 contract of NeMo Automodel keeps it in fp32"},
    {"release", release_breaks, "Qwen3.5's own releases hold it in fp32"},
    {"upcast", upcast_only, "fp32 in name only: the bits below were lost before it was written"},
    {"load", cast_on_load,
     "genuine, but config.json says bfloat16, to which transformers casts it on loading"},
    {"dtype", not_floats, "nothing that this program can read as numbers"},
    {"empty", empty, "without a value"},
    {"nonfinite", not_finite, "with values that are infinite or not a number"},
    {"zero", zero_channels, "with weights of 0: these channels of every head are silent"},
    {"duplicate", repeated,
     "there a second time under another name: which of them is loaded depends on the reader"},
};

static int by_number(const void *p, const void *q)
{
    const int *x = p, *y = q;
    return (*x > *y) - (*x < *y);
}

/* numbers: room for one of every layer. */
static void apply(gdn_audit *x, size_t rule, gdn_param param, gdn_dtype dtype, int *numbers)
{
    char words[256], said[300];
    int n = 0, last = -1; /* a layer may have several tensors of a parameter: FLA has three convs */
    for (size_t i = 0; i < x->tensors; i++) {
        const gdn_audit_tensor *t = &x->tensor[i];
        if (t->layer == last || t->key.param != param || t->tensor->dtype != dtype ||
            !rules[rule].holds(x, t))
            continue;
        last = t->layer;
        numbers[n++] = t->key.layer;
    }
    if (n == 0)
        return;
    qsort(numbers, (size_t)n, sizeof *numbers, by_number);
    gdn_audit_ranges(numbers, n, words, sizeof words);
    if (numbers[0] < 0)
        snprintf(said, sizeof said, "%d layer%s", n, n > 1 ? "s" : "");
    else
        snprintf(said, sizeof said, "layer%s %s", n > 1 ? "s" : "", words);
    json_t *o = add(x, rules[rule].kind, NULL, -1, param, "%s is %s in %s: %s", gdn_param_names[param],
                    gdn_dtype_name(dtype), said, rules[rule].text);
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, numbers[i] < 0 ? json_null() : json_integer(numbers[i]));
    json_object_set_new(o, "layers", list);
}

/*
 * Genuine values that lie too close to bf16's grid: an upcast that has moved a little since. Of n distances
 * of numbers that know nothing of the grid, in half ulps, the sum of squares is below r^2 with probability at
 * most pi^(n/2) / Gamma(n/2 + 1) (r/2)^n, the part of a ball in the unit cube.
 */
static void near_grid(gdn_audit *x, gdn_param param)
{
    double n = 0, r2 = 0;
    for (size_t i = 0; i < x->tensors; i++) {
        const gdn_audit_tensor *t = &x->tensor[i];
        if (t->key.param != param || t->verdict != GDN_AUDIT_GENUINE)
            continue;
        n += (double)t->near;
        r2 += t->near2;
    }
    double chance = n / 2 * log2(M_PI) - lgamma(n / 2 + 1) / M_LN2 + n / 2 * log2(r2) - n;
    if (n > 0 && r2 > 0 && chance < GDN_AUDIT_UNLIKELY)
        add(x, "near bf16", NULL, -1, param,
            "%s has genuine fp32 values, but they lie closer to bf16 values than chance would put them "
            "(2^%.0f): "
            "rms %.2g half ulps instead of 0.58, as of bf16 values, or an initial 1, that have moved a "
            "little since",
            gdn_param_names[param], chance, sqrt(r2 / n));
}

/* ---- layers and heads ---- */

/* A_log and dt_bias that do not make heads. */
static void incomplete(gdn_audit *x, const gdn_audit_layer *l)
{
    char where[200];
    int a = l->tensor[GDN_PARAM_A_LOG], b = l->tensor[GDN_PARAM_DT_BIAS];
    gdn_audit_layer_words(x, l, where, sizeof where);
    if (a < 0 || b < 0)
        add(x, "incomplete", l, -1, a < 0 ? GDN_PARAM_A_LOG : GDN_PARAM_DT_BIAS,
            "%s: there is no %s, so that nothing "
            "is said of its heads",
            where, a < 0 ? "A_log" : "dt_bias");
    else if (x->tensor[a].count != x->tensor[b].count)
        add(x, "incomplete", l, -1, GDN_PARAMS,
            "%s: %lld values of A_log and %lld of dt_bias do not make heads", where,
            (long long)x->tensor[a].count, (long long)x->tensor[b].count);
    else if (l->heads == 0)
        add(x, "incomplete", l, -1, GDN_PARAMS, "%s: %lld values of A_log are not the heads of a layer",
            where, (long long)x->tensor[a].count);
}

static const char *death(const gdn_audit_head *h)
{
    double softplus = gdn_softplus(h->dt_bias);
    if (h->a_log != h->a_log || h->dt_bias != h->dt_bias)
        return "g is NaN, and so is everything after it";
    if (h->rate > (double)FLT_MAX || softplus > (double)FLT_MAX)
        return "g = -inf: the state is wiped at every token";
    return h->rate < (double)FLT_MIN ? "A = 0 in fp32: it never forgets, and A_log gets no gradient"
                                     : "softplus(dt_bias) = 0 in fp32: it forgets only where a is large";
}

static int in_order(const void *p, const void *q)
{
    const gdn_audit_head *x = *(const gdn_audit_head *const *)p, *y = *(const gdn_audit_head *const *)q;
    return x->layer != y->layer ? x->layer - y->layer : x->head - y->head;
}

static gdn_status dead_heads(gdn_audit *x, gdn_error *err)
{
    const gdn_audit_head **dead = gdn_calloc(x->heads + 1, sizeof *dead);
    size_t n = 0;
    char where[200];
    if (!dead)
        return gdn_no_memory(err, "the findings");
    for (size_t i = 0; i < x->heads; i++)
        if (x->head[i].dead)
            dead[n++] = &x->head[i];
    qsort(dead, n, sizeof *dead, in_order);
    for (size_t i = 0; i < n; i++) {
        const gdn_audit_layer *l = &x->layer[dead[i]->layer];
        add(x, "dead head", l, dead[i]->head, GDN_PARAMS, "%s, head %d: A_log = %g, dt_bias = %g: %s",
            gdn_audit_layer_words(x, l, where, sizeof where), dead[i]->head, dead[i]->a_log, dead[i]->dt_bias,
            death(dead[i]));
    }
    free(dead);
    return GDN_OK;
}

gdn_status gdn_audit_find(gdn_audit *x, gdn_error *err)
{
    int *numbers = gdn_calloc(x->tensors + 1, sizeof *numbers);
    gdn_status status = GDN_OK;
    x->findings = json_array();
    if (!numbers || !x->findings) {
        status = gdn_no_memory(err, "the findings");
        goto done;
    }
    if ((status = dead_heads(x, err)))
        goto done;
    for (int i = 0; i < x->layers; i++)
        incomplete(x, &x->layer[i]);
    for (size_t rule = 0; rule < sizeof rules / sizeof rules[0]; rule++)
        for (gdn_param p = 0; p < GDN_PARAMS; p++)
            for (int d = 0; d < GDN_DTYPES; d++)
                apply(x, rule, p, (gdn_dtype)d, numbers);
    for (gdn_param p = 0; p < GDN_PARAMS; p++)
        near_grid(x, p);
done:
    free(numbers);
    return status;
}
