/* SPDX-License-Identifier: Apache-2.0 */
/* convert_plan -- what becomes of every tensor; see convert.h. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/convert.h"
#include "harness/json_file.h"
#include "harness/safetensors_write.h"

/* What the steps of planning share. */
typedef struct planning {
    gdn_conversion *p;
    gdn_error *err;
} planning;

static gdn_status no_memory(const planning *x)
{
    return gdn_no_memory(x->err, "the plan of a conversion");
}

/* ---- one tensor ---- */

/*
 * The parameter that a key names. Outside Hugging Face's naming a norm or a conv is a GDN layer's only if the
 * module has an A_log. key_of: [strlen(key) + 32].
 */
static gdn_param param_of(const gdn_checkpoint *c, const char *key, char *key_of)
{
    gdn_key k;
    if (!gdn_key_parse(key, &k))
        return GDN_PARAMS;
    if (k.naming == GDN_NAMING_HF || k.param == GDN_PARAM_A_LOG || k.param == GDN_PARAM_DT_BIAS)
        return k.param;
    sprintf(key_of, "%.*s%s", (int)k.module, key, gdn_param_names[GDN_PARAM_A_LOG]);
    return gdn_checkpoint_find(c, key_of) ? k.param : GDN_PARAMS;
}

/* Of a cast: its counts. */
static void count(gdn_convert_tensor *t)
{
    t->counts = (gdn_cast_counts){0};
    gdn_cast(t->from->dtype, t->to.dtype, t->chain, t->from->data, gdn_tensor_elements(t->from), NULL,
             &t->counts);
}

/* The noted dtype, where every value fits it. */
static void restore(gdn_convert_tensor *t, const char *noted)
{
    gdn_dtype was = t->from->dtype, d;
    if (!noted || !gdn_dtype_named(noted, &d) || !gdn_cast_knows(d) || !gdn_cast_knows(was) || d == was)
        return;
    t->to.dtype = d;
    count(t);
    t->unfit = t->counts.changed > 0;
    if (t->unfit)
        t->to.dtype = was;
}

/* plain: the key without the holder, under which the note has the dtype. */
static gdn_status plan_dtype(const planning *x, gdn_convert_tensor *t, const char *plain, json_t *note)
{
    const gdn_convert_request *r = &x->p->request;
    const gdn_chain *chain = &r->store[t->param];
    if (chain->n && !gdn_cast_knows(t->from->dtype))
        return gdn_fail(x->err, GDN_BAD_INPUT, "%.200s: tensor %.200s: --store cannot cast %s",
                        x->p->source->path, t->from->name, gdn_dtype_name(t->from->dtype));
    if (chain->n) {
        t->chain = chain;
        t->to.dtype = gdn_cast_dtype(chain->link[chain->n - 1]);
        json_object_del(note, plain); /* what it was is no longer what it can go back to */
    } else if (r->contract->restored) {
        restore(t, json_string_value(json_object_get(note, plain)));
    }
    if (r->contract->widened[t->param] && t->to.dtype != GDN_DTYPE_F32) {
        t->unwidened = !gdn_cast_widens(t->to.dtype, GDN_DTYPE_F32);
        if (!t->unwidened && json_object_set_new(note, plain, json_string(gdn_dtype_name(t->to.dtype))))
            return no_memory(x);
        t->to.dtype = t->unwidened ? t->to.dtype : GDN_DTYPE_F32;
    }
    t->cast = t->chain || t->to.dtype != t->from->dtype;
    if (t->cast)
        count(t);
    return GDN_OK;
}

static gdn_status plan_tensor(const planning *x, const gdn_tensor *from, gdn_convert_tensor *t, json_t *note)
{
    size_t size = strlen(from->name) + 32; /* room for a holder or a parameter's name */
    char *key = malloc(size), *plain = malloc(size);
    gdn_status status = GDN_OK;
    t->from = from;
    t->to = *from;
    t->to.name = key;
    if (!key || !plain) {
        status = no_memory(x);
        goto done;
    }
    t->param = param_of(x->p->source, from->name, plain);
    if (!gdn_convert_key(x->p->request.contract, from->name, key, size) ||
        !gdn_key_strip(from->name, plain, size)) {
        status = gdn_fail(x->err, GDN_BAD_INPUT, "%.200s: tensor %.200s: the key is too long",
                          x->p->source->path, from->name);
        goto done;
    }
    t->renamed = strcmp(key, from->name) != 0;
    if (t->param != GDN_PARAMS)
        status = plan_dtype(x, t, plain, note);
done:
    free(plain);
    return status;
}

/* ---- one shard ---- */

/* *note: the object under gdn_convert_note, empty where there is none. */
static gdn_status read_note(const planning *x, const gdn_shard *s, json_t **note)
{
    const char *text = gdn_safetensors_metadata(s->file, gdn_convert_note);
    char where[512];
    if (!text)
        return (*note = json_object()) ? GDN_OK : no_memory(x);
    snprintf(where, sizeof where, "%.400s: __metadata__, %s", s->path, gdn_convert_note);
    return gdn_json_parse(text, strlen(text), where, note, x->err);
}

/* The source's __metadata__ with the note as it is now; none where only the note was in it. */
static gdn_status plan_metadata(const planning *x, gdn_convert_shard *s, const json_t *note)
{
    const json_t *old = gdn_safetensors_metadata_object(s->from->file);
    s->metadata = old ? json_deep_copy(old) : json_object();
    if (!s->metadata)
        return no_memory(x);
    int had = json_object_del(s->metadata, gdn_convert_note) == 0;
    if (json_object_size(note) && !x->p->request.contract->restored) {
        char *text = json_dumps(note, JSON_COMPACT);
        json_t *value = text ? json_string(text) : NULL;
        free(text);
        if (json_object_set_new(s->metadata, gdn_convert_note, value))
            return no_memory(x);
    }
    if (json_object_size(s->metadata) == 0 && (had || !old)) {
        json_decref(s->metadata);
        s->metadata = NULL;
    }
    s->changed |= (old && s->metadata) ? !json_equal(old, s->metadata) : old || s->metadata;
    return GDN_OK;
}

/* Does an element of the tensors, in this order, lie off a multiple of its size? of: 0 the source, 1 the
 * result. */
static bool misaligned(const gdn_convert_shard *s, int of)
{
    uint64_t begin = 0, off = 0;
    for (size_t i = 0; i < s->tensors; i++) {
        const gdn_tensor *t = of ? &s->tensor[i].to : s->tensor[i].from;
        unsigned bytes = gdn_dtype_bits(t->dtype) / 8;
        off |= bytes > 1 ? begin % bytes : 0;
        begin += gdn_tensor_bytes(t);
    }
    return off != 0;
}

static int compare(const void *a, const void *b)
{
    const gdn_convert_tensor *s = a, *t = b;
    return gdn_safetensors_compare(&s->to, &t->to);
}

/*
 * A shard in the reference order is written in it again. Any other keeps its own order, unless that would
 * leave elements misaligned that were not.
 */
static void plan_order(gdn_convert_shard *s)
{
    bool in_order = true;
    for (size_t i = 1; i < s->tensors; i++)
        in_order &= gdn_safetensors_compare(s->tensor[i - 1].from, s->tensor[i].from) < 0;
    if (s->tensors && (in_order || (misaligned(s, 1) && !misaligned(s, 0))))
        qsort(s->tensor, s->tensors, sizeof *s->tensor, compare);
}

static gdn_status plan_shard(const planning *x, const gdn_shard *from, gdn_convert_shard *s)
{
    json_t *note = NULL;
    gdn_status status = read_note(x, from, &note);
    s->from = from;
    if (status)
        goto done;
    size_t n = gdn_safetensors_count(from->file);
    s->tensor = gdn_calloc(n ? n : 1, sizeof *s->tensor);
    if (!s->tensor)
        status = no_memory(x);
    for (; !status && s->tensors < n; s->tensors++) {
        gdn_convert_tensor *t = &s->tensor[s->tensors];
        status = plan_tensor(x, gdn_safetensors_at(from->file, s->tensors), t, note);
        s->changed |= t->renamed || (t->cast && (t->to.dtype != t->from->dtype || t->counts.changed));
        x->p->parameters += t->param != GDN_PARAMS;
        x->p->renamed += t->renamed;
        x->p->cast += t->cast;
    }
    x->p->tensors += n;
    if (!status && !(status = plan_metadata(x, s, note)) && s->changed)
        plan_order(s);
done:
    json_decref(note);
    return status;
}

/* ---- the checkpoint ---- */

static int compare_keys(const void *a, const void *b)
{
    const gdn_convert_tensor *const *s = a, *const *t = b;
    int order = strcmp((*s)->to.name, (*t)->to.name);
    return order ? order : strcmp((*s)->from->name, (*t)->from->name);
}

/* No two keys become one. (A tensor may lie in two shards, of which the index names one.) */
static gdn_status check_keys(const planning *x)
{
    const gdn_convert_tensor **all = gdn_calloc(x->p->tensors + 1, sizeof(*all));
    size_t n = 0;
    gdn_status status = all ? GDN_OK : no_memory(x);
    for (int i = 0; i < x->p->shards && !status; i++)
        for (size_t j = 0; j < x->p->shard[i].tensors; j++)
            all[n++] = &x->p->shard[i].tensor[j];
    if (n)
        qsort(all, n, sizeof(*all), compare_keys);
    for (size_t i = 1; i < n && !status; i++)
        if (strcmp(all[i - 1]->to.name, all[i]->to.name) == 0 &&
            strcmp(all[i - 1]->from->name, all[i]->from->name) != 0)
            status = gdn_fail(
                x->err, GDN_BAD_INPUT, "%.150s: the tensors %.150s and %.150s would both be called %.150s",
                x->p->source->path, all[i - 1]->from->name, all[i]->from->name, all[i]->to.name);
    free(all);
    return status;
}

gdn_status gdn_convert_plan(const gdn_checkpoint *c, const gdn_convert_request *r, gdn_conversion **out,
                            gdn_error *err)
{
    planning x = {calloc(1, sizeof *x.p), err};
    *out = NULL;
    if (!x.p)
        return no_memory(&x);
    x.p->source = c;
    x.p->request = *r;
    x.p->shard = gdn_calloc((unsigned long)c->shards + 1, sizeof *x.p->shard);
    gdn_status status = x.p->shard ? GDN_OK : no_memory(&x);
    for (; !status && x.p->shards < c->shards; x.p->shards++)
        status = plan_shard(&x, &c->shard[x.p->shards], &x.p->shard[x.p->shards]);
    if (!status)
        status = check_keys(&x);
    if (status)
        gdn_conversion_free(x.p);
    else
        *out = x.p;
    return status;
}

void gdn_conversion_free(gdn_conversion *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->shards; i++) {
        for (size_t j = 0; j < p->shard[i].tensors; j++)
            free((char *)(uintptr_t)p->shard[i].tensor[j].to.name);
        free(p->shard[i].tensor);
        json_decref(p->shard[i].metadata);
    }
    free(p->shard);
    free(p);
}
