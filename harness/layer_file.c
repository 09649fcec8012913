/* SPDX-License-Identifier: Apache-2.0 */
/* layer_file -- a layer in a safetensors file; see layer_file.h. */
#include "harness/layer_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/safetensors.h"

#define PREFIX "linear_attn."

/* The tensors that record the stages. */
static const char *const recorded_names[GDN_LAYER_STAGES] = {
    [GDN_LAYER_Q] = "chunk.query", [GDN_LAYER_K] = "chunk.key", [GDN_LAYER_V] = "chunk.value",
    [GDN_LAYER_Z] = "norm.gate",   [GDN_LAYER_G] = "chunk.g",   [GDN_LAYER_BETA] = "chunk.beta",
    [GDN_LAYER_O] = "chunk.out",   [GDN_LAYER_Y] = "norm.out",  [GDN_LAYER_OUTPUT] = "output"};

/* Numbers that a layer file owns. */
typedef struct owned {
    float *qkv, *z, *b, *a, *conv, *out, *hidden;
    double *decay, *dt_bias, *norm;
} owned;

typedef struct reader {
    const char *path;
    gdn_safetensors *f;
    gdn_layer_file *to;
    owned *own;
} reader;

void gdn_layer_file_free(gdn_layer_file *f)
{
    if (!f)
        return;
    if (f->owned) {
        owned *o = f->owned;
        void *all[] = {o->qkv, o->z, o->b, o->a, o->conv, o->out, o->hidden, o->decay, o->dt_bias, o->norm};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
            free(all[i]);
        free(o);
    }
    for (int i = 0; i < GDN_LAYER_STAGES; i++)
        free(f->recorded[i]);
    free(f);
}

/* "[3, 4]" */
static void shape_text(int rank, const int64_t *dim, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "[");
    for (int i = 0; i < rank && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%lld", i ? ", " : "", (long long)dim[i]);
    if (n < size)
        snprintf(out + n, size - n, "]");
}

/* The tensor, which must be there. */
static gdn_status find(const reader *r, const char *name, const gdn_tensor **t, gdn_error *err)
{
    *t = gdn_safetensors_find(r->f, name);
    if (*t)
        return GDN_OK;
    gdn_fail(err, GDN_BAD_INPUT, "%s: there is no tensor %s", r->path, name);
    return GDN_BAD_INPUT;
}

/* Sizes of a tensor are told by it: its rank must be right and each size fit. */
static gdn_status sized(const reader *r, const char *name, int rank, const char *want, const gdn_tensor **t,
                        gdn_error *err)
{
    gdn_status status = find(r, name, t, err);
    if (status)
        return status;
    bool good = (*t)->rank == rank;
    for (int i = 0; good && i < rank; i++)
        good = (*t)->dim[i] >= 1 && (*t)->dim[i] <= GDN_MAX_LENGTH;
    char found[256];
    shape_text((*t)->rank, (*t)->dim, found, sizeof found);
    return good ? GDN_OK
                : gdn_fail(err, GDN_BAD_INPUT, "%s: tensor %s: the shape is %s, expected is %s", r->path,
                           name, found, want);
}

/* The shape must be this one; sizes of 1 may come before it. */
static gdn_status expect(const reader *r, const gdn_tensor *t, int rank, const int64_t *dim, gdn_error *err)
{
    int skip = 0;
    while (skip < t->rank && t->rank - skip > rank && t->dim[skip] == 1)
        skip++;
    bool good = t->rank - skip == rank;
    for (int i = 0; good && i < rank; i++)
        good = t->dim[skip + i] == dim[i];
    if (good)
        return GDN_OK;
    char found[256], want[256];
    shape_text(t->rank, t->dim, found, sizeof found);
    shape_text(rank, dim, want, sizeof want);
    return gdn_fail(err, GDN_BAD_INPUT, "%s: tensor %s: the shape is %s, expected is %s", r->path, t->name,
                    found, want);
}

/* Its numbers. */
static gdn_status floats(const reader *r, const gdn_tensor *t, float **out, gdn_error *err)
{
    if (t->dtype != GDN_DTYPE_F32 && t->dtype != GDN_DTYPE_BF16)
        return gdn_fail(err, GDN_BAD_INPUT, "%s: tensor %s: %s numbers; F32 and BF16 are read", r->path,
                        t->name, gdn_dtype_name(t->dtype));
    free(*out);
    *out = gdn_calloc((size_t)gdn_tensor_elements(t), sizeof **out);
    if (*out)
        return gdn_tensor_floats(t, *out, err);
    gdn_no_memory(err, t->name);
    return GDN_MACHINE;
}

static gdn_status doubles(const reader *r, const gdn_tensor *t, double **out, gdn_error *err)
{
    float *x = NULL;
    gdn_status status = floats(r, t, &x, err);
    size_t n = (size_t)gdn_tensor_elements(t);
    if (!x || status)
        goto done;
    *out = gdn_calloc(n, sizeof **out);
    if (!*out)
        status = gdn_no_memory(err, t->name);
    for (size_t i = 0; *out && i < n; i++)
        (*out)[i] = x[i];
done:
    free(x);
    return status;
}

/* A weight of two sizes. */
static gdn_status weight(const reader *r, const char *name, int64_t rows, int64_t width, float **out,
                         gdn_error *err)
{
    const gdn_tensor *t;
    gdn_status status = find(r, name, &t, err);
    if (!status)
        status = expect(r, t, 2, (const int64_t[]){rows, width}, err);
    return status ? status : floats(r, t, out, err);
}

/* ---- sizes ---- */

static gdn_status key_heads(reader *r, int64_t channels, gdn_error *err)
{
    gdn_layer_shape *s = &r->to->shape;
    const gdn_tensor *query = gdn_safetensors_find(r->f, "chunk.query");
    s->dk = s->dv;
    if (query && query->rank > 0 && query->dim[query->rank - 1] <= GDN_MAX_DIM)
        s->dk = (int)query->dim[query->rank - 1];
    int64_t both = channels - (int64_t)s->value_heads * s->dv;
    if (s->dk < 1 || both < 1 || both % (2 * s->dk) || both / (2 * s->dk) > GDN_LAYER_MAX_HEADS)
        return gdn_fail(
            err, GDN_BAD_INPUT,
            "%s: tensor " PREFIX
            "conv1d.weight: %lld channels, less %d x %d for v, are no two whole numbers of key heads "
            "of %d for q and k",
            r->path, (long long)channels, s->value_heads, s->dv, s->dk);
    s->key_heads = (int)(both / (2 * s->dk));
    return GDN_OK;
}

/* Rows of a projection, or 0 where it has not the D columns that it should have. */
static int64_t rows_of(const reader *r, const char *name)
{
    const gdn_tensor *t = gdn_safetensors_find(r->f, name);
    return t && t->rank == 2 && t->dim[1] == r->to->shape.hidden ? t->dim[0] : 0;
}

/*
 * H_v and d_v, which the other sizes follow from. Of A_log, dt_bias and in_proj_a the odd one out is wrong;
 * so is a norm.weight against which in_proj_z and out_proj agree.
 */
static gdn_status value_heads(reader *r, const gdn_tensor *decay, const gdn_tensor *dt_bias,
                              const gdn_tensor *norm, int64_t channels, gdn_error *err)
{
    gdn_layer_shape *s = &r->to->shape;
    bool fused = gdn_safetensors_find(r->f, PREFIX "in_proj_qkvz.weight") != NULL;
    int64_t a = fused ? rows_of(r, PREFIX "in_proj_ba.weight") / 2 : rows_of(r, PREFIX "in_proj_a.weight"),
            z = fused ? rows_of(r, PREFIX "in_proj_qkvz.weight") - channels
                      : rows_of(r, PREFIX "in_proj_z.weight");
    int64_t heads = decay->dim[0], width = norm->dim[0];
    if (a > 0 && gdn_tensor_elements(dt_bias) != heads)
        heads = a;
    gdn_status status = expect(r, decay, 1, &heads, err);
    if (!status)
        status = expect(r, dt_bias, 1, &heads, err);
    const gdn_tensor *out = gdn_safetensors_find(r->f, PREFIX "out_proj.weight");
    if (out && out->rank == 2 && out->dim[1] == z && z > 0 && z % heads == 0)
        width = z / heads;
    if (!status)
        status = expect(r, norm, 1, &width, err);
    s->value_heads = (int)heads;
    s->dv = (int)width;
    return status;
}

static gdn_status sizes(reader *r, gdn_error *err)
{
    gdn_layer_shape *s = &r->to->shape;
    const gdn_tensor *decay, *dt_bias, *norm, *conv, *hidden;
    gdn_status status = sized(r, PREFIX "A_log", 1, "[H_v]", &decay, err);
    if (!status)
        status = find(r, PREFIX "dt_bias", &dt_bias, err);
    if (!status)
        status = sized(r, PREFIX "norm.weight", 1, "[d_v]", &norm, err);
    if (!status)
        status = sized(r, PREFIX "conv1d.weight", 3, "[channels, 1, 4]", &conv, err);
    if (!status)
        status = find(r, "hidden_states", &hidden, err);
    if (status)
        return status;
    int rank = hidden->rank;
    if (rank < 2 || rank > 3 || (rank == 3 && hidden->dim[0] != 1) || hidden->dim[rank - 2] < 1 ||
        hidden->dim[rank - 2] > GDN_MAX_LENGTH || hidden->dim[rank - 1] < 1 ||
        hidden->dim[rank - 1] > GDN_LAYER_MAX_HIDDEN) {
        char found[256];
        shape_text(rank, hidden->dim, found, sizeof found);
        return gdn_fail(err, GDN_BAD_INPUT,
                        "%s: tensor hidden_states: the shape is %s, expected is [T, D] or [1, T, D]", r->path,
                        found);
    }
    r->to->tokens = (int)hidden->dim[rank - 2];
    r->to->hidden_format = hidden->dtype == GDN_DTYPE_BF16 ? GDN_BF16 : GDN_FP32;
    s->hidden = (int)hidden->dim[rank - 1];
    status = value_heads(r, decay, dt_bias, norm, conv->dim[0], err);
    if (!status)
        status = expect(r, conv, 3, (const int64_t[]){conv->dim[0], 1, GDN_CONV_WIDTH}, err);
    if (!status)
        status = key_heads(r, conv->dim[0], err);
    gdn_error why = {""};
    if (!status && (status = gdn_layer_check(s, &why)))
        gdn_fail(err, status, "%s: %s", r->path, why.text);
    return status;
}

/* ---- weights ---- */

/* n rows of D numbers. */
static float *rows(float *to, const float *from, size_t n, size_t D)
{
    memcpy(to, from, n * D * sizeof *to);
    return to + n * D;
}

/* Fused rows, key head by key head, into the rows of q, k, v, z and of b, a. */
static gdn_status unfuse(reader *r, const float *qkvz, const float *ba, gdn_error *err)
{
    const gdn_layer_shape *s = &r->to->shape;
    owned *o = r->own;
    size_t D = (size_t)s->hidden, dk = (size_t)s->dk, keys = (size_t)s->key_heads;
    size_t group = (size_t)(s->value_heads / s->key_heads), values = group * (size_t)s->dv;
    o->qkv = gdn_calloc((size_t)gdn_layer_channels(s) * D, sizeof *o->qkv);
    o->z = gdn_calloc(keys * values * D, sizeof *o->z);
    o->b = gdn_calloc(keys * group * D, sizeof *o->b);
    o->a = gdn_calloc(keys * group * D, sizeof *o->a);
    if (!o->qkv || !o->z || !o->b || !o->a)
        return gdn_no_memory(err, "projections");
    float *q = o->qkv, *k = q + keys * dk * D, *v = k + keys * dk * D, *z = o->z, *b = o->b, *a = o->a;
    for (size_t i = 0; i < keys; i++) {
        q = rows(q, qkvz, dk, D);
        k = rows(k, qkvz + dk * D, dk, D);
        v = rows(v, qkvz + 2 * dk * D, values, D);
        z = rows(z, qkvz + (2 * dk + values) * D, values, D);
        qkvz += 2 * (dk + values) * D;
        b = rows(b, ba, group, D);
        a = rows(a, ba + group * D, group, D);
        ba += 2 * group * D;
    }
    return GDN_OK;
}

static gdn_status projections(reader *r, gdn_error *err)
{
    const gdn_layer_shape *s = &r->to->shape;
    owned *o = r->own;
    int64_t D = s->hidden, channels = gdn_layer_channels(s), gated = (int64_t)s->value_heads * s->dv;
    gdn_status status = weight(r, PREFIX "out_proj.weight", D, gated, &o->out, err);
    if (status)
        return status;
    if (!gdn_safetensors_find(r->f, PREFIX "in_proj_qkvz.weight")) {
        status = weight(r, PREFIX "in_proj_qkv.weight", channels, D, &o->qkv, err);
        if (!status)
            status = weight(r, PREFIX "in_proj_z.weight", gated, D, &o->z, err);
        if (!status)
            status = weight(r, PREFIX "in_proj_b.weight", s->value_heads, D, &o->b, err);
        return status ? status : weight(r, PREFIX "in_proj_a.weight", s->value_heads, D, &o->a, err);
    }
    float *qkvz = NULL, *ba = NULL;
    status = weight(r, PREFIX "in_proj_qkvz.weight", channels + gated, D, &qkvz, err);
    if (!status)
        status = weight(r, PREFIX "in_proj_ba.weight", 2 * (int64_t)s->value_heads, D, &ba, err);
    if (!status)
        status = unfuse(r, qkvz, ba, err);
    free(qkvz);
    free(ba);
    return status;
}

static gdn_status parameters(reader *r, gdn_error *err)
{
    owned *o = r->own;
    gdn_status status = doubles(r, gdn_safetensors_find(r->f, PREFIX "dt_bias"), &o->dt_bias, err);
    if (!status)
        status = doubles(r, gdn_safetensors_find(r->f, PREFIX "A_log"), &o->decay, err);
    if (!status)
        status = doubles(r, gdn_safetensors_find(r->f, PREFIX "norm.weight"), &o->norm, err);
    if (!status)
        status = floats(r, gdn_safetensors_find(r->f, PREFIX "conv1d.weight"), &o->conv, err);
    return status ? status : floats(r, gdn_safetensors_find(r->f, "hidden_states"), &o->hidden, err);
}

/* ---- what was recorded ---- */

static gdn_status recorded(reader *r, gdn_error *err)
{
    const gdn_layer_shape *s = &r->to->shape;
    gdn_status status = GDN_OK;
    for (gdn_layer_stage i = 0; i < GDN_LAYER_STAGES && !status; i++) {
        const gdn_tensor *t = gdn_safetensors_find(r->f, recorded_names[i]);
        if (!t)
            continue;
        int64_t heads = s->value_heads, T = r->to->tokens, width = gdn_layer_width(s, i, s->value_heads);
        if (i == GDN_LAYER_OUTPUT || i == GDN_LAYER_G || i == GDN_LAYER_BETA) /* [T, D], [T, H] */
            status = expect(r, t, 2, (const int64_t[]){T, width}, err);
        else if (t->rank == 2) /* [T H, d] */
            status = expect(r, t, 2, (const int64_t[]){T * heads, width / heads}, err);
        else
            status = expect(r, t, 3, (const int64_t[]){T, heads, width / heads}, err);
        if (!status)
            status = doubles(r, t, &r->to->recorded[i], err);
        r->to->recorded_format[i] = t->dtype == GDN_DTYPE_BF16 ? GDN_BF16 : GDN_FP32;
    }
    return status;
}

static gdn_status read_all(reader *r, gdn_error *err)
{
    gdn_status status = sizes(r, err);
    if (!status)
        status = projections(r, err);
    if (!status)
        status = parameters(r, err);
    if (!status)
        status = recorded(r, err);
    if (status)
        return status;
    const owned *o = r->own;
    r->to->weights = (gdn_layer_weights){
        .qkv = o->qkv,
        .z = o->z,
        .b = o->b,
        .a = o->a,
        .conv = o->conv,
        .out = o->out,
        .core = {.decay = o->decay, .dt_bias = o->dt_bias, .norm_weight = o->norm, .alpha = GDN_FP64}};
    r->to->hidden = o->hidden;
    return GDN_OK;
}

gdn_status gdn_layer_file_read(const char *path, gdn_layer_file **out, gdn_error *err)
{
    *out = NULL;
    reader r = {.path = path};
    gdn_status status = gdn_safetensors_open(path, &r.f, err);
    if (status)
        return status;
    r.to = gdn_calloc(1, sizeof *r.to);
    r.own = gdn_calloc(1, sizeof *r.own);
    if (!r.to || !r.own) {
        free(r.own);
        status = gdn_no_memory(err, "a layer file");
    } else {
        r.to->owned = r.own;
        status = read_all(&r, err);
    }
    gdn_safetensors_close(r.f);
    if (status)
        gdn_layer_file_free(r.to);
    else
        *out = r.to;
    return status;
}
