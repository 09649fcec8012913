/* SPDX-License-Identifier: Apache-2.0 */
/* source_file -- a population read from a safetensors file; see source_file.h. */
#include "harness/source_file.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/safetensors.h"

enum { GDN_MAX_HIDDEN = 1 << 20 };

typedef struct reader {
    const gdn_safetensors *file;
    const char *path;
    const gdn_file_spec *spec;
    int64_t B, T, H; /* sequences, tokens, value heads of a sequence */
    gdn_error *err;
} reader;

static gdn_status find(const reader *r, const char *role, const char *name, const gdn_tensor **t)
{
    *t = gdn_safetensors_find(r->file, name);
    if (!*t)
        return gdn_fail(r->err, GDN_BAD_INPUT,
                        "%s: there is no tensor '%s', wanted as %s; the file holds %zu tensors", r->path,
                        name, role, gdn_safetensors_count(r->file));
    return GDN_OK;
}

/* Dimensions as text. */
static const char *shape_text(const int64_t *dim, int rank, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "[");
    for (int i = 0; i < rank && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%" PRId64, i ? ", " : "", dim[i]);
    snprintf(out + (n < size ? n : size), n < size ? size - n : 0, "]");
    return out;
}

/* A shape that is wanted; leading ones may be absent or present, and all dimensions but the last may be one
 * where it is said so. */
typedef struct extent {
    int n;
    int64_t dim[4];
    bool flat;
} extent;

/* How a tensor comes. */
typedef enum fit { FITS_NOT, FITS, FITS_FLAT } fit;

static fit fits(const gdn_tensor *t, const extent *want)
{
    int64_t have[GDN_MAX_RANK], need[4], rows = 1;
    int n = 0, m = 0;
    for (int i = 0; i < t->rank; i++)
        if (n || t->dim[i] != 1)
            have[n++] = t->dim[i];
    for (int i = 0; i < want->n; i++)
        if (m || want->dim[i] != 1)
            need[m++] = want->dim[i];
    if (n == m && memcmp(have, need, (size_t)n * sizeof *have) == 0)
        return FITS;
    for (int i = 0; i + 1 < m; i++)
        rows *= need[i];
    return want->flat && n == 2 && m > 2 && have[0] == rows && have[1] == need[m - 1] ? FITS_FLAT : FITS_NOT;
}

/* Can the tensor be read, as floats or (outputs) as doubles? fp64 numbers are floats only if each of them is.
 */
static gdn_status readable(const reader *r, const gdn_tensor *t, bool floats)
{
    const bool all = floats && t->dtype == GDN_DTYPE_F64;
    const gdn_tensor none = {.name = t->name, .dtype = t->dtype, .rank = 1, .data = t->data};
    gdn_error inner;
    double *room = gdn_calloc(all ? (size_t)gdn_tensor_elements(t) : 1, sizeof *room);
    if (!room)
        return gdn_no_memory(r->err, t->name);
    gdn_status status = floats ? gdn_tensor_floats(all ? t : &none, (float *)room, &inner)
                               : gdn_tensor_doubles(&none, room, &inner);
    free(room);
    return status ? gdn_fail(r->err, status, "%s: %s", r->path, inner.text) : GDN_OK;
}

/* The tensor `name`, which must have the shape `want`. A NULL name leaves *t NULL. */
static gdn_status take(const reader *r, const char *role, const char *name, const extent *want, bool floats,
                       const gdn_tensor **t, fit *how)
{
    char shape[160], wanted[160];
    int first = 0;
    *t = NULL;
    if (!name)
        return GDN_OK;
    gdn_status status = find(r, role, name, t);
    if (status)
        return status;
    while (first + 1 < want->n && want->dim[first] == 1)
        first++;
    *how = fits(*t, want);
    if (*how == FITS_NOT)
        return gdn_fail(
            r->err, GDN_BAD_INPUT, "%s: tensor '%s' has shape %s; %s wants %s (ones may stand before it%s%s)",
            r->path, name, shape_text((*t)->dim, (*t)->rank, shape, sizeof shape), role,
            shape_text(want->dim + first, want->n - first, wanted, sizeof wanted),
            want->n > 2 ? "; layout is " : "", want->n > 2 ? gdn_layout_names[r->spec->layout] : "");
    return readable(r, *t, floats);
}

/* All of the tensor `name` as floats. */
static gdn_status load(const reader *r, const char *role, const char *name, extent want, float **x)
{
    const gdn_tensor *t;
    gdn_error inner;
    fit how;
    gdn_status status = take(r, role, name, &want, true, &t, &how);
    if (status || !t)
        return status;
    *x = gdn_calloc((size_t)gdn_tensor_elements(t), sizeof **x);
    if (!*x)
        return gdn_no_memory(r->err, name);
    if ((status = gdn_tensor_floats(t, *x, &inner)))
        return gdn_fail(r->err, status, "%s: %s", r->path, inner.text);
    return GDN_OK;
}

/* What is known of a tensor of tokens before it is found. */
typedef struct token_role {
    const char *name; /* of the role */
    const char *tensor;
    int64_t heads; /* heads of it in a sequence: H, or those of the keys */
    int64_t width; /* d; 0: a number a token, [B, T, H] */
    bool floats;
} token_role;

/* The strides of a layout; flat: [B T H, d], whatever the layout. */
static gdn_view strides(const reader *r, const token_role *x, bool flat)
{
    const int64_t d = x->width ? x->width : 1;
    const bool heads_first = r->spec->layout == GDN_LAYOUT_BHTD && !flat;
    return (gdn_view){.heads = r->H,
                      .group = r->H / x->heads,
                      .sequence = r->T * x->heads * d,
                      .head = heads_first ? r->T * d : d,
                      .token = heads_first ? d : x->heads * d,
                      .width = d};
}

/* A view of a tensor of tokens; one without a tensor where none is named. */
static gdn_status view(const reader *r, token_role x, gdn_view *v)
{
    const bool heads_first = r->spec->layout == GDN_LAYOUT_BHTD;
    const extent want = {x.width ? 4 : 3,
                         {r->B, heads_first ? x.heads : r->T, heads_first ? r->T : x.heads, x.width},
                         x.width > 0};
    const gdn_tensor *t;
    fit how = FITS;
    gdn_status status = take(r, x.name, x.tensor, &want, x.floats, &t, &how);
    if (status)
        return status;
    *v = strides(r, &x, how == FITS_FLAT);
    v->tensor = t;
    return GDN_OK;
}

/* States [B, H, dk, dv], or [B, H, dv, dk]. */
static gdn_status states(const reader *r, const char *role, const char *name, gdn_shape shape,
                         const gdn_tensor **t)
{
    const bool vk = r->spec->state_layout == GDN_STATE_VK;
    const extent want = {4, {r->B, r->H, vk ? shape.dv : shape.dk, vk ? shape.dk : shape.dv}, true};
    fit how;
    return take(r, role, name, &want, false, t, &how);
}

/* B, T, H and d of a tensor [B, T, H, d] or [T, H, d], or as the layout has them. */
typedef struct dims {
    int64_t B, T, H, d;
} dims;

static gdn_status dims_of(const reader *r, const char *role, const char *name, dims *x)
{
    static const char *const wanted[GDN_LAYOUTS] = {"[B, T, H, d] or [T, H, d]", "[B, H, T, d] or [H, T, d]"};
    const gdn_layout layout = r->spec->layout;
    const bool heads_first = layout == GDN_LAYOUT_BHTD;
    const gdn_tensor *t;
    char shape[160];
    gdn_status status = find(r, role, name, &t);
    if (status)
        return status;
    if (t->rank != 3 && t->rank != 4)
        return gdn_fail(r->err, GDN_BAD_INPUT, "%s: tensor '%s' has shape %s; %s wants %s", r->path, name,
                        shape_text(t->dim, t->rank, shape, sizeof shape), role, wanted[layout]);
    const int64_t *last = t->dim + t->rank - 3;
    *x = (dims){t->rank == 4 ? t->dim[0] : 1, last[heads_first], last[!heads_first], last[2]};
    const char *zero = x->B == 0 ? "B" : x->T == 0 ? "T" : x->H == 0 ? "H" : x->d == 0 ? "d" : NULL;
    if (zero)
        return gdn_fail(r->err, GDN_BAD_INPUT, "%s: tensor '%s' has shape %s: %s = 0, there is nothing in it",
                        r->path, name, shape_text(t->dim, t->rank, shape, sizeof shape), zero);
    return GDN_OK;
}

/* a = input weight^T, summed in double and rounded once to the type of the input. a: [B][T][H]. */
static gdn_status project(const reader *r, const gdn_projection *p, float **a)
{
    const int64_t rows = r->B * r->T, H = r->H;
    const gdn_tensor *input;
    float *x = NULL, *w = NULL;
    gdn_status status = find(r, "project_a.input", p->input, &input);
    if (status)
        return status;
    int64_t D = input->rank ? input->dim[input->rank - 1] : 0;
    if (D < 1 || D > GDN_MAX_HIDDEN)
        return gdn_fail(r->err, GDN_BAD_INPUT,
                        "%s: tensor '%s': a hidden dimension of %" PRId64 "; 1 to %d are allowed", r->path,
                        p->input, D, GDN_MAX_HIDDEN);
    gdn_format_id format = input->dtype == GDN_DTYPE_BF16 ? GDN_BF16 : GDN_FP32;
    *a = gdn_calloc((size_t)(rows * H), sizeof **a);
    if (!*a)
        status = gdn_no_memory(r->err, "a projection");
    if (!status)
        status = load(r, "project_a.input", p->input, (extent){3, {r->B, r->T, D}, false}, &x);
    if (!status)
        status = load(r, "project_a.weight", p->weight, (extent){2, {H, D}, false}, &w);
    for (int64_t t = 0; !status && x && w && t < rows; t++)
        for (int64_t h = 0; h < H; h++) {
            double sum = 0;
            for (int64_t i = 0; i < D; i++)
                sum += (double)x[t * D + i] * w[h * D + i];
            (*a)[t * H + h] = (float)gdn_round(&gdn_formats[format], sum);
        }
    free(x);
    free(w);
    return status;
}

/* What was projected, as a tensor [B, T, H]. */
static gdn_status project_a(const reader *r, gdn_source *s)
{
    gdn_status status = project(r, r->spec->project_a, &s->projected);
    if (status)
        return status;
    const token_role a = {"a", NULL, r->H, 0, true};
    s->projection = (gdn_tensor){.name = "a projection",
                                 .dtype = GDN_DTYPE_F32,
                                 .rank = 3,
                                 .dim = {r->B, r->T, r->H},
                                 .data = s->projected,
                                 .bytes = (uint64_t)(r->B * r->T * r->H) * sizeof *s->projected};
    s->a = strides(r, &a, true);
    s->a.tensor = &s->projection;
    return GDN_OK;
}

/* A parameter as doubles, [times][n], the same every time; ones where none is named. */
static gdn_status parameter(const reader *r, const char *role, const char *name, int64_t n, int64_t times,
                            double **out)
{
    float *x = NULL;
    *out = gdn_calloc((size_t)(n * times), sizeof **out);
    if (!*out)
        return gdn_no_memory(r->err, role);
    gdn_status status = load(r, role, name, (extent){1, {n}, false}, &x);
    for (int64_t i = 0; i < n * times; i++)
        (*out)[i] = x ? x[i % n] : 1;
    for (int64_t i = 0; i < n && !status; i++)
        if (!((*out)[i] - (*out)[i] == 0))
            status = gdn_fail(r->err, GDN_BAD_INPUT, "%s: %s[%d] is %g; finite values are allowed", r->path,
                              role, (int)i, (*out)[i]);
    free(x);
    return status;
}

static gdn_status recorded_one(const reader *r, const gdn_source *s, gdn_recorded *out)
{
    const gdn_recorded_spec *spec = out->spec;
    const token_role g = {"recorded g", spec->g, r->H, 0, false},
                     o = {"recorded o", spec->o, r->H, s->shape.dv, false},
                     y = {"recorded y", spec->y, r->H, s->shape.dv, false};
    gdn_status status;
    if (spec->y && !s->has_z)
        return gdn_fail(r->err, GDN_BAD_INPUT, "%s: recorded '%s' has y, but the file names no z", r->path,
                        spec->name);
    if ((status = view(r, g, &out->views[0])) || (status = view(r, o, &out->views[1])) ||
        (status = view(r, y, &out->views[2])) ||
        (status = states(r, "recorded state", spec->state, s->shape, &out->state)))
        return status;
    const gdn_view **const to[] = {&out->g, &out->o, &out->y};
    for (int i = 0; i < 3; i++)
        *to[i] = out->views[i].tensor ? &out->views[i] : NULL;
    return GDN_OK;
}

static gdn_status recorded(const reader *r, gdn_source *s)
{
    const gdn_population *p = s->population;
    gdn_status status = GDN_OK;
    s->recorded = gdn_calloc(p->recorded_count, sizeof *s->recorded);
    if (!s->recorded)
        return gdn_no_memory(r->err, "recorded outputs");
    s->recorded_count = (int)p->recorded_count;
    for (int i = 0; i < s->recorded_count && !status; i++) {
        gdn_recorded *out = &s->recorded[i];
        out->spec = &p->recorded[i];
        out->tokens = r->T;
        out->state_layout = r->spec->state_layout;
        status = recorded_one(r, s, out);
    }
    return status;
}

/* The shape of the batch; *keys: key heads of a sequence. */
static gdn_status shape_of(reader *r, gdn_source *s, int64_t *keys)
{
    const gdn_file_spec *f = r->spec;
    dims q = {0}, k = {0}, v = {0};
    gdn_status status;
    if ((status = dims_of(r, "q", f->q, &q)) || (status = dims_of(r, "k", f->k, &k)) ||
        (status = dims_of(r, "v", f->v, &v)))
        return status;
    if (q.B != v.B || k.B != v.B || q.T != v.T || k.T != v.T || q.H != k.H || q.d != k.d || v.H % k.H != 0) {
        const dims *const all[] = {&q, &k, &v};
        char text[3][160];
        for (int i = 0; i < 3; i++)
            shape_text((const int64_t[]){all[i]->B, all[i]->T, all[i]->H, all[i]->d}, 4, text[i],
                       sizeof text[i]);
        return gdn_fail(
            r->err, GDN_BAD_INPUT,
            "%s: q is %s, k %s, v %s as [B, T, H, d]; q and k must agree, B and T must be one, and "
            "the key heads must divide the value heads (layout is %s)",
            r->path, text[0], text[1], text[2], gdn_layout_names[f->layout]);
    }
    if (q.d > GDN_MAX_DIM || v.d > GDN_MAX_DIM || v.B > GDN_MAX_HEADS || v.H > GDN_MAX_HEADS ||
        v.B * v.H > GDN_MAX_HEADS || v.T > GDN_MAX_LENGTH)
        return gdn_fail(r->err, GDN_BAD_INPUT, "%s: dims beyond %d, heads beyond %d or tokens beyond %d",
                        r->path, GDN_MAX_DIM, GDN_MAX_HEADS, GDN_MAX_LENGTH);
    r->B = v.B;
    r->T = v.T;
    r->H = v.H;
    *keys = k.H;
    s->shape = (gdn_shape){(int)(v.B * v.H), (int)q.d, (int)v.d};
    return GDN_OK;
}

static gdn_status fill(reader *r, gdn_source *s)
{
    const gdn_file_spec *f = r->spec;
    int64_t keys = 0;
    gdn_status status = shape_of(r, s, &keys);
    if (status)
        return status;
    const int64_t H = r->H, dk = s->shape.dk, dv = s->shape.dv;
    s->has_parameters = f->a_log && f->dt_bias && !f->g;
    s->has_z = f->z != NULL;
    s->has_state0 = f->initial_state != NULL;
    s->l2norm_off = f->l2norm && !*f->l2norm;
    s->scale = f->scale ? *f->scale : 0;
    s->length_count = 1;
    if (!(s->lengths = gdn_calloc(1, sizeof *s->lengths)))
        return gdn_no_memory(r->err, "a population");
    s->lengths[0] = r->T;
    const struct {
        token_role role;
        gdn_view *to;
    } all[] = {{{"q", f->q, keys, dk, true}, &s->q}, {{"k", f->k, keys, dk, true}, &s->k},
               {{"v", f->v, H, dv, true}, &s->v},    {{"z", f->z, H, dv, true}, &s->z},
               {{"a", f->a, H, 0, true}, &s->a},     {{"g", f->g, H, 0, true}, &s->g},
               {{"b", f->b, H, 0, true}, &s->b},     {{"beta", f->beta, H, 0, true}, &s->beta}};
    for (size_t i = 0; i < sizeof all / sizeof all[0] && !status; i++)
        status = view(r, all[i].role, all[i].to);
    if (!status && f->project_a)
        status = project_a(r, s);
    if (!status)
        status = states(r, "initial_state", f->initial_state, s->shape, &s->state0);
    if (!status)
        status = parameter(r, "norm_weight", f->norm_weight, dv, 1, &s->norm_weight);
    if (!status && s->has_parameters)
        status = parameter(r, "A_log", f->a_log, H, r->B, &s->a_log);
    if (!status && s->has_parameters)
        status = parameter(r, "dt_bias", f->dt_bias, H, r->B, &s->dt_bias);
    return status ? status : recorded(r, s);
}

gdn_status gdn_source_open_file(const gdn_experiment *e, gdn_source *s, uint64_t *digest, gdn_error *err)
{
    const char *given = s->population->file->path, *slash = strrchr(e->path, '/');
    char path[4096];
    if (given[0] == '/' || !slash)
        snprintf(path, sizeof path, "%s", given);
    else
        snprintf(path, sizeof path, "%.*s%s", (int)(slash - e->path + 1), e->path, given);
    gdn_status status = gdn_safetensors_open(path, &s->file, err);
    if (!status)
        status = gdn_source_file_digest(path, digest, err);
    if (!status)
        status = fill(&(reader){.file = s->file, .path = path, .spec = s->population->file, .err = err}, s);
    return status;
}
