/* SPDX-License-Identifier: Apache-2.0 */
/* audit -- finding the GDN layers of a checkpoint, and what the values of their tensors say; see audit.h. */
#include "harness/audit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/round.h"
#include "harness/shown.h"

/* Values are read so many at a time; a layer has so many heads at most. */
enum { CHUNK = 1 << 14, MOST_HEADS = 1 << 14 };

/* Bits that fp32 has beyond bf16 and fp16: log2 of the share of its values that are theirs. */
enum { BEYOND_BF16 = 16, BEYOND_FP16 = 13 };

/* Significant bits of what initialisers write, and of values on a coarse grid. */
enum { INITIAL_BITS = 3, COARSE_BITS = 6 };

/* Values of bf16 and fp16 as floats differ in their upper 19 bits. */
enum { GRID_BITS = 19, GRID_SHIFT = 32 - GRID_BITS };

/* What is gathered while a tensor's values go by. */
typedef struct tally {
    gdn_audit_tensor *t;
    uint64_t seen[1 << (GRID_BITS - 6)]; /* values of the tensor on the grid; of the pair */
    uint64_t seen_pair[1 << (GRID_BITS - 6)];
    int64_t pair_exact;
    bool pair_fine;                              /* as gdn_audit_tensor's */
    double pair_chance;                          /* log2 */
    double error2[GDN_AUDIT_WAYS], lost2, size2; /* of a norm weight */
} tally;

/* ---- values ---- */

static bool reads(gdn_dtype d)
{
    return d == GDN_DTYPE_F64 || d == GDN_DTYPE_F32 || d == GDN_DTYPE_F16 || d == GDN_DTYPE_BF16 ||
           d == GDN_DTYPE_F8_E4M3 || d == GDN_DTYPE_F8_E5M2;
}

/* Elements from .. from + n - 1. out: [n] */
static gdn_status values(const gdn_tensor *t, int64_t from, int n, double *out, gdn_error *err)
{
    unsigned size = gdn_dtype_bits(t->dtype) / 8;
    gdn_tensor part = *t;
    part.rank = 1;
    part.dim[0] = n;
    part.bytes = (uint64_t)n * size;
    part.data = (const char *)t->data + (uint64_t)from * size;
    return gdn_tensor_doubles(&part, out, err);
}

static bool exact(gdn_format_id f, double x)
{
    return x != x || gdn_round(&gdn_formats[f], x) == x;
}

/* 0, and m 2^e with m < 2^bits. */
static bool fits_in(int bits, double x)
{
    return (gdn_bits64(x) & (((uint64_t)1 << (53 - bits)) - 1)) == 0;
}

/* Is the value on the grid a new one? */
static bool first_seen(uint64_t *seen, double x)
{
    uint32_t at = gdn_float_bits((float)x) >> GRID_SHIFT;
    uint64_t bit = (uint64_t)1 << (at & 63);
    bool is = !(seen[at >> 6] & bit);
    seen[at >> 6] |= bit;
    return is;
}

/* w and w - 1, whichever of them rests. */
static void both_ways(const gdn_audit_tensor *t, double x, double w[GDN_AUDIT_WAYS])
{
    bool less_1 = t->key.naming == GDN_NAMING_MEGATRON;
    w[GDN_AUDIT_W] = less_1 ? 1 + x : x;
    w[GDN_AUDIT_W_LESS_1] = less_1 ? x : x - 1;
}

/* One channel of a norm weight. */
static void weigh(tally *y, double x)
{
    const gdn_format *bf16 = &gdn_formats[GDN_BF16];
    bool less_1 = y->t->key.naming == GDN_NAMING_MEGATRON;
    double w[GDN_AUDIT_WAYS];
    both_ways(y->t, x, w);
    for (int way = 0; way < GDN_AUDIT_WAYS; way++) {
        double d = gdn_round(bf16, w[way]) - w[way];
        y->t->weight.changed[way] += d != 0;
        y->error2[way] += d * d;
    }
    y->size2 += w[GDN_AUDIT_W] * w[GDN_AUDIT_W];
    y->lost2 += 0.25 * gdn_ulp(bf16, x) * gdn_ulp(bf16, x);
    double other = w[less_1 ? GDN_AUDIT_W : GDN_AUDIT_W_LESS_1];
    if (!exact(GDN_BF16, other))
        return;
    y->pair_exact++;
    double share = gdn_ulp(&gdn_formats[GDN_FP32], x) / gdn_ulp(bf16, other);
    y->pair_fine |= !fits_in(COARSE_BITS, other);
    if (share < 1 && !fits_in(INITIAL_BITS, other) && first_seen(y->seen_pair, other))
        y->pair_chance += log2(share);
}

static void take(tally *y, double x)
{
    gdn_audit_tensor *t = y->t;
    bool finite = x - x == 0, bf16 = exact(GDN_BF16, x), fp16 = exact(GDN_FP16, x);
    t->bf16_exact += bf16;
    t->fp16_exact += fp16;
    t->fp32_exact += exact(GDN_FP32, x);
    t->nonfinite += !finite;
    t->zeros += x == 0;
    if (!finite)
        return;
    t->min = x < t->min || t->min != t->min ? x : t->min;
    t->max = x > t->max || t->max != t->max ? x : t->max;
    t->fine |= !fits_in(COARSE_BITS, x);
    if (!fits_in(INITIAL_BITS, x)) {
        double off = (gdn_round(&gdn_formats[GDN_BF16], x) - x) / (0.5 * gdn_ulp(&gdn_formats[GDN_BF16], x));
        t->near++;
        t->near2 += off * off;
        t->distinct += (bf16 || fp16) && first_seen(y->seen, x);
    }
    if (t->key.param == GDN_PARAM_NORM_WEIGHT)
        weigh(y, x);
}

/* ---- verdicts ---- */

static bool wide(const gdn_audit_tensor *t)
{
    return t->tensor->dtype == GDN_DTYPE_F32 || t->tensor->dtype == GDN_DTYPE_F64;
}

static void judge(gdn_audit_tensor *t, const tally *y)
{
    int64_t finite = t->count - t->nonfinite;
    double chance_bf16 = 0 - (double)BEYOND_BF16 * (double)t->distinct,
           chance_fp16 = 0 - (double)BEYOND_FP16 * (double)t->distinct;
    t->chance = NAN;
    if (!reads(t->tensor->dtype) || t->count == 0)
        t->verdict = GDN_AUDIT_NO_FLOATS;
    else if (!wide(t))
        t->verdict = GDN_AUDIT_NARROW;
    else if (t->bf16_exact == t->count)
        t->verdict = chance_bf16 <= GDN_AUDIT_UNLIKELY && t->fine ? GDN_AUDIT_UPCAST : GDN_AUDIT_UNKNOWN;
    else if (t->fp16_exact == t->count && chance_fp16 <= GDN_AUDIT_UNLIKELY)
        t->verdict = GDN_AUDIT_UPCAST_FP16;
    else if (t->key.param == GDN_PARAM_NORM_WEIGHT && y->pair_exact == finite && y->pair_fine &&
             y->pair_chance <= GDN_AUDIT_UNLIKELY)
        t->verdict = GDN_AUDIT_UPCAST_PAIR;
    else
        t->verdict = GDN_AUDIT_GENUINE;
    if (t->verdict == GDN_AUDIT_UPCAST ||
        (t->verdict == GDN_AUDIT_UNKNOWN && chance_bf16 > GDN_AUDIT_UNLIKELY))
        t->chance = chance_bf16;
    if (t->verdict == GDN_AUDIT_UPCAST_FP16)
        t->chance = chance_fp16;
    if (t->verdict == GDN_AUDIT_UPCAST_PAIR)
        t->chance = y->pair_chance;
}

static double relative(double error2, double size2)
{
    return error2 > 0 ? sqrt(error2 / size2) : 0;
}

static void finish_weight(gdn_audit_tensor *t, const tally *y)
{
    for (int way = 0; way < GDN_AUDIT_WAYS; way++)
        t->weight.rms[way] = relative(y->error2[way], y->size2);
    t->weight.lost = gdn_audit_lost(t) ? relative(y->lost2, y->size2) : (double)NAN;
}

static gdn_status read_tensor(gdn_audit_tensor *t, tally *y, gdn_error *err)
{
    double x[CHUNK];
    gdn_status status = GDN_OK;
    memset(y, 0, sizeof *y);
    y->t = t;
    t->min = t->max = NAN;
    t->count = gdn_tensor_elements(t->tensor);
    bool keep = t->key.param <= GDN_PARAM_DT_BIAS && t->count <= MOST_HEADS && reads(t->tensor->dtype);
    if (keep && !(t->value = gdn_calloc((size_t)t->count, sizeof *t->value)))
        return gdn_no_memory(err, "the audit");
    for (int64_t from = 0; from < t->count && reads(t->tensor->dtype) && !status; from += CHUNK) {
        int n = (int)(t->count - from < CHUNK ? t->count - from : CHUNK);
        status = values(t->tensor, from, n, x, err);
        for (int i = 0; i < n && !status; i++)
            take(y, x[i]);
        if (keep && !status)
            memcpy(t->value + from, x, (size_t)n * sizeof *x);
    }
    judge(t, y);
    finish_weight(t, y);
    return status;
}

const char *gdn_audit_verdict_text(const gdn_audit_tensor *t)
{
    static const char *const names[GDN_AUDIT_VERDICTS] = {
        [GDN_AUDIT_GENUINE] = "genuine fp32",       [GDN_AUDIT_UPCAST] = "upcast of bf16",
        [GDN_AUDIT_UPCAST_FP16] = "upcast of fp16", [GDN_AUDIT_UPCAST_PAIR] = "upcast of w - 1 in bf16",
        [GDN_AUDIT_UNKNOWN] = "cannot tell",        [GDN_AUDIT_NO_FLOATS] = "no floats"};
    if (t->verdict == GDN_AUDIT_NARROW)
        return t->tensor->dtype == GDN_DTYPE_BF16      ? "stored in bf16"
               : t->tensor->dtype == GDN_DTYPE_F16     ? "stored in fp16"
               : t->tensor->dtype == GDN_DTYPE_F8_E4M3 ? "stored in e4m3"
                                                       : "stored in e5m2";
    if (t->count == 0)
        return "empty";
    if (t->verdict == GDN_AUDIT_GENUINE && t->fp32_exact < t->count)
        return "genuine fp64";
    if (t->verdict == GDN_AUDIT_UPCAST_PAIR && t->key.naming == GDN_NAMING_MEGATRON)
        return "upcast of w in bf16, less 1";
    return names[t->verdict];
}

/* What fp16 holds, bf16 storage would still round: its cost is known, not a bound. */
const gdn_format *gdn_audit_lost(const gdn_audit_tensor *t)
{
    if (t->verdict == GDN_AUDIT_UPCAST || t->tensor->dtype == GDN_DTYPE_BF16)
        return &gdn_formats[GDN_BF16];
    if (t->tensor->dtype == GDN_DTYPE_F8_E4M3)
        return &gdn_formats[GDN_E4M3];
    return t->tensor->dtype == GDN_DTYPE_F8_E5M2 ? &gdn_formats[GDN_E5M2] : NULL;
}

double gdn_audit_weight_error(const gdn_audit_tensor *t)
{
    bool less_1 = t->key.naming == GDN_NAMING_MEGATRON;
    return gdn_audit_lost(t) ? t->weight.lost : t->weight.rms[less_1 ? GDN_AUDIT_W_LESS_1 : GDN_AUDIT_W];
}

/* ---- layers ---- */

/* A key that names a parameter of a layer, and the module it belongs to. */
typedef struct candidate {
    const gdn_tensor *tensor;
    gdn_key key;
    size_t module; /* those of one module share it */
    bool layer;    /* the module is one of GDN */
    int number;    /* index into layers, of the first of its module: -1 while it has none */
} candidate;

/* By module; pointers into one array keep its order otherwise. */
static int by_module(const void *p, const void *q)
{
    const candidate *x = *(const candidate *const *)p, *y = *(const candidate *const *)q;
    size_t n = x->key.module, m = y->key.module;
    int order = strncmp(x->tensor->name, y->tensor->name, n < m ? n : m);
    if (order == 0)
        order = (n > m) - (n < m);
    return order ? order : (x > y) - (x < y);
}

/* Ordinary attention has norms too: a module under its names is a GDN layer if it has an A_log. */
static void group(candidate **sorted, size_t n)
{
    for (size_t i = 0, j; i < n; i = j) {
        bool layer = sorted[i]->key.naming == GDN_NAMING_HF;
        for (j = i; j < n; j++) {
            const candidate *x = sorted[i], *y = sorted[j];
            if (x->key.module != y->key.module ||
                strncmp(x->tensor->name, y->tensor->name, x->key.module) != 0)
                break;
            layer |= y->key.param == GDN_PARAM_A_LOG;
        }
        for (size_t k = i; k < j; k++) {
            sorted[k]->module = (size_t)i;
            sorted[k]->layer = layer;
        }
    }
}

static gdn_status no_layers(const gdn_checkpoint *c, gdn_error *err)
{
    char path[512];
    return gdn_fail(
        err, GDN_BAD_INPUT,
        "%s: no Gated DeltaNet layer among %zu tensors; A_log, dt_bias, norm.weight and "
        "conv1d.weight were looked for under layers.N.linear_attn. (Hugging Face, with or without "
        "_fp32_params.), and modules with an A_log under layers.N.self_attention. (Megatron) and "
        "layers.N.attn. (FLA)",
        gdn_shown_path(c->path, path, sizeof path), c->tensors);
}

/* Tensors in the checkpoint's order, layers in that of their first ones. sorted: [n], all: [n] room */
static gdn_status find_tensors(gdn_audit *x, candidate *all, candidate **sorted, gdn_error *err)
{
    const gdn_checkpoint *c = x->checkpoint;
    size_t n = 0;
    for (size_t i = 0; i < c->tensors; i++) {
        all[n] = (candidate){.tensor = c->tensor[i].tensor, .number = -1};
        n += gdn_key_parse(all[n].tensor->name, &all[n].key);
    }
    for (size_t i = 0; i < n; i++)
        sorted[i] = &all[i];
    qsort(sorted, n, sizeof *sorted, by_module);
    group(sorted, n);
    x->tensor = gdn_calloc(n + 1, sizeof *x->tensor);
    x->layer = gdn_calloc(n + 1, sizeof *x->layer);
    if (!x->tensor || !x->layer)
        return gdn_no_memory(err, "the audit");
    for (size_t i = 0; i < n; i++) {
        if (!all[i].layer)
            continue;
        gdn_audit_tensor *t = &x->tensor[x->tensors];
        int *number = &sorted[all[i].module]->number;
        *t = (gdn_audit_tensor){.tensor = all[i].tensor, .key = all[i].key};
        if (*number < 0) {
            *number = x->layers++;
            x->layer[*number] =
                (gdn_audit_layer){.key = &t->key, .name = t->tensor->name, .tensor = {-1, -1, -1, -1}};
        }
        t->layer = *number;
        int *first = &x->layer[t->layer].tensor[t->key.param];
        *first = *first < 0 ? (int)x->tensors : *first;
        x->tensors++;
    }
    x->numbered = true;
    for (int i = 0, last = -1; i < x->layers; last = x->layer[i++].key->layer)
        x->numbered &= x->layer[i].key->layer > last;
    return x->tensors ? GDN_OK : no_layers(c, err);
}

static gdn_status find_layers(gdn_audit *x, gdn_error *err)
{
    size_t n = x->checkpoint->tensors + 1;
    candidate *all = gdn_calloc(n, sizeof *all), **sorted = gdn_calloc(n, sizeof *sorted);
    gdn_status status = all && sorted ? find_tensors(x, all, sorted, err) : gdn_no_memory(err, "the audit");
    free(all);
    free(sorted);
    return status;
}

/* Whole positive number `key` of config.json or of its text_config; 0 where there is none. */
static int config_number(const json_t *config, const char *key)
{
    const json_t *text = json_object_get(config, "text_config"), *n = json_object_get(text, key);
    json_int_t x = json_integer_value(n ? n : json_object_get(config, key));
    return x > 0 && x <= 1 << 20 ? (int)x : 0;
}

static void find_dk(gdn_audit *x)
{
    x->dk = config_number(x->checkpoint->config, "linear_key_head_dim");
    for (size_t i = 0; i < x->tensors && !x->dk; i++)
        if (x->tensor[i].key.param == GDN_PARAM_NORM_WEIGHT && x->tensor[i].count <= 1 << 20)
            x->dk = (int)x->tensor[i].count; /* d_v; in released models d_k is the same */
    x->dk = x->dk ? x->dk : 128;
}

gdn_status gdn_audit_open(const char *path, const gdn_audit_settings *settings, gdn_audit **out,
                          gdn_error *err)
{
    gdn_status status = GDN_MACHINE;
    tally *y = malloc(sizeof *y);
    gdn_audit *x = gdn_calloc(1, sizeof *x);
    *out = NULL;
    if (!y || !x) {
        gdn_no_memory(err, "the audit");
        goto done;
    }
    x->settings = *settings;
    status = gdn_checkpoint_open(path, &x->checkpoint, err);
    if (!status)
        status = find_layers(x, err);
    for (size_t i = 0; i < x->tensors && !status; i++)
        status = read_tensor(&x->tensor[i], y, err);
    if (!status)
        find_dk(x);
    if (!status)
        status = gdn_audit_heads(x, err);
    if (!status)
        status = gdn_audit_find(x, err);
done:
    free(y);
    if (status)
        gdn_audit_close(x);
    else
        *out = x;
    return status;
}

void gdn_audit_close(gdn_audit *x)
{
    if (!x)
        return;
    for (size_t i = 0; i < x->tensors; i++)
        free(x->tensor[i].value);
    json_decref(x->findings);
    free(x->tensor);
    free(x->layer);
    free(x->head);
    gdn_checkpoint_close(x->checkpoint);
    free(x);
}
