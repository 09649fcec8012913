/* SPDX-License-Identifier: Apache-2.0 */
/* source_file -- a population read from a safetensors file; see source_file.h. */
#include "harness/source_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "harness/safetensors.h"

enum { GDN_MAX_HIDDEN = 1 << 20 };

typedef struct reader {
    const gdn_safetensors *file;
    const char *path;
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

/* The dimensions of t without a leading 1, as text. */
static const char *shape_text(const gdn_tensor *t, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "[");
    for (int i = 0; i < t->rank && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%" PRId64, i ? ", " : "", t->dim[i]);
    snprintf(out + (n < size ? n : size), n < size ? size - n : 0, "]");
    return out;
}

/* A shape that is wanted: [n0, n1, n2], missing dimensions 1 at the front. */
typedef struct extent {
    int64_t n[3];
} extent;

/* Does t have this shape? Leading ones may be absent or present; [T, H, d] may come as [T H, d]. */
static bool fits(const gdn_tensor *t, extent want)
{
    int64_t have[GDN_MAX_RANK], need[3];
    int n = 0, m = 0;
    for (int i = 0; i < t->rank; i++)
        if (n || t->dim[i] != 1)
            have[n++] = t->dim[i];
    for (int i = 0; i < 3; i++)
        if (m || want.n[i] != 1)
            need[m++] = want.n[i];
    if (n == 2 && m == 3 && have[0] == need[0] * need[1] && have[1] == need[2])
        return true;
    return n == m && memcmp(have, need, (size_t)n * sizeof *have) == 0;
}

/* Floats of the tensor `name`, which must have the shape `want`. A NULL name leaves *x NULL. */
static gdn_status load(const reader *r, const char *role, const char *name, extent want, float **x)
{
    const gdn_tensor *t;
    char shape[160];
    gdn_error inner;
    if (!name)
        return GDN_OK;
    gdn_status status = find(r, role, name, &t);
    if (status)
        return status;
    if (!fits(t, want))
        return gdn_fail(r->err, GDN_BAD_INPUT,
                        "%s: tensor '%s' has shape %s; %s wants [%" PRId64 ", %" PRId64 ", %" PRId64
                        "] (leading ones may be left out)",
                        r->path, name, shape_text(t, shape, sizeof shape), role, want.n[0], want.n[1],
                        want.n[2]);
    *x = gdn_calloc((size_t)gdn_tensor_elements(t), sizeof **x);
    if (!*x)
        return gdn_no_memory(r->err, name);
    if ((status = gdn_tensor_floats(t, *x, &inner)))
        return gdn_fail(r->err, status, "%s: tensor '%s': %s", r->path, name, inner.text);
    return GDN_OK;
}

/* The last three dimensions T, H, d of a tensor [1, T, H, d] or [T, H, d]. */
static gdn_status dims3(const reader *r, const char *role, const char *name, int64_t dim[3])
{
    const gdn_tensor *t;
    char shape[160];
    gdn_status status = find(r, role, name, &t);
    if (status)
        return status;
    if ((t->rank != 3 && !(t->rank == 4 && t->dim[0] == 1)) || gdn_tensor_elements(t) == 0)
        return gdn_fail(r->err, GDN_BAD_INPUT,
                        "%s: tensor '%s' has shape %s; %s wants [1, T, H, d] or [T, H, d]", r->path, name,
                        shape_text(t, shape, sizeof shape), role);
    memcpy(dim, t->dim + t->rank - 3, 3 * sizeof *dim);
    return GDN_OK;
}

/* Repeat key heads for their group of value heads: head h takes floor(h / r). x: [T][Hk][d] becomes
 * [T][H][d]. */
static gdn_status repeat_heads(const reader *r, float **x, int64_t T, int64_t Hk, int64_t H, int64_t d)
{
    if (Hk == H)
        return GDN_OK;
    float *y = gdn_calloc((size_t)(T * H * d), sizeof *y);
    if (!y)
        return gdn_no_memory(r->err, "grouped heads");
    for (int64_t t = 0; t < T; t++)
        for (int64_t h = 0; h < H; h++)
            memcpy(y + (t * H + h) * d, *x + (t * Hk + h / (H / Hk)) * d, (size_t)d * sizeof *y);
    free(*x);
    *x = y;
    return GDN_OK;
}

/* a = input weight^T, summed in double and rounded once to the type of the input. a: [T][H]. */
static gdn_status project(const reader *r, const gdn_projection *p, int64_t T, int64_t H, float **a)
{
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
    *a = gdn_calloc((size_t)(T * H), sizeof **a);
    if (!*a)
        status = gdn_no_memory(r->err, "a projection");
    if (!status)
        status = load(r, "project_a.input", p->input, (extent){{1, T, D}}, &x);
    if (!status)
        status = load(r, "project_a.weight", p->weight, (extent){{1, H, D}}, &w);
    for (int64_t t = 0; !status && t < T; t++)
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

/* A parameter as doubles. */
static gdn_status parameter(const reader *r, const char *role, const char *name, int64_t n, double **out)
{
    float *x = NULL;
    *out = gdn_calloc((size_t)n, sizeof **out);
    if (!*out)
        return gdn_no_memory(r->err, role);
    gdn_status status = load(r, role, name, (extent){{1, 1, n}}, &x);
    for (int64_t i = 0; i < n; i++)
        (*out)[i] = x ? x[i] : 1;
    free(x);
    return status;
}

static gdn_status recorded(const reader *r, gdn_source *s, int64_t T)
{
    const gdn_population *p = s->population;
    int64_t H = s->shape.heads, dk = s->shape.dk, dv = s->shape.dv;
    gdn_status status = GDN_OK;
    s->recorded = gdn_calloc(p->recorded_count, sizeof *s->recorded);
    if (!s->recorded)
        return gdn_no_memory(r->err, "recorded outputs");
    s->recorded_count = (int)p->recorded_count;
    for (int i = 0; i < s->recorded_count && !status; i++) {
        const gdn_recorded_spec *spec = &p->recorded[i];
        gdn_recorded *out = &s->recorded[i];
        out->spec = spec;
        out->tokens = T;
        out->dv = (int)dv;
        if (spec->y && !s->z)
            status = gdn_fail(r->err, GDN_BAD_INPUT, "%s: recorded '%s' has y, but the file names no z",
                              r->path, spec->name);
        if (!status)
            status = load(r, "recorded g", spec->g, (extent){{1, T, H}}, &out->g);
        if (!status)
            status = load(r, "recorded o", spec->o, (extent){{T, H, dv}}, &out->o);
        if (!status)
            status = load(r, "recorded y", spec->y, (extent){{T, H, dv}}, &out->y);
        if (!status)
            status = load(r, "recorded state", spec->state, (extent){{H, dk, dv}}, &out->state);
    }
    return status;
}

static gdn_status all_finite(const reader *r, const char *role, const double *x, int n)
{
    for (int i = 0; x && i < n; i++)
        if (!(x[i] - x[i] == 0))
            return gdn_fail(r->err, GDN_BAD_INPUT, "%s: %s[%d] is %g; finite values are allowed", r->path,
                            role, i, x[i]);
    return GDN_OK;
}

static gdn_status fill(const reader *r, gdn_source *s)
{
    const gdn_file_spec *f = s->population->file;
    int64_t q[3] = {0}, k[3] = {0}, v[3] = {0};
    gdn_status status;
    if ((status = dims3(r, "q", f->q, q)) || (status = dims3(r, "k", f->k, k)) ||
        (status = dims3(r, "v", f->v, v)))
        return status;
    int64_t T = v[0], H = v[1], dk = k[2], dv = v[2];
    if (q[0] != T || k[0] != T || q[1] != k[1] || q[2] != dk || H % k[1] != 0)
        return gdn_fail(r->err, GDN_BAD_INPUT,
                        "%s: q is [%" PRId64 ", %" PRId64 ", %" PRId64 "], k [%" PRId64 ", %" PRId64
                        ", %" PRId64 "], v [%" PRId64 ", %" PRId64 ", %" PRId64
                        "]; q and k must agree, T must be one, and the key "
                        "heads must divide the value heads",
                        r->path, q[0], q[1], q[2], k[0], k[1], k[2], T, H, dv);
    if (dk > GDN_MAX_DIM || dv > GDN_MAX_DIM || H > GDN_MAX_HEADS || T > GDN_MAX_LENGTH)
        return gdn_fail(r->err, GDN_BAD_INPUT, "%s: dims beyond %d, heads beyond %d or tokens beyond %d",
                        r->path, GDN_MAX_DIM, GDN_MAX_HEADS, GDN_MAX_LENGTH);
    s->shape = (gdn_shape){(int)H, (int)dk, (int)dv};
    s->has_parameters = f->a_log && f->dt_bias && !f->g;
    s->has_z = f->z != NULL;
    s->has_state0 = f->initial_state != NULL;
    s->length_count = 1;
    if (!(s->lengths = gdn_calloc(1, sizeof *s->lengths)))
        return gdn_no_memory(r->err, "a population");
    s->lengths[0] = T;
    if ((status = load(r, "q", f->q, (extent){{T, q[1], dk}}, &s->q)) ||
        (status = load(r, "k", f->k, (extent){{T, k[1], dk}}, &s->k)) ||
        (status = load(r, "v", f->v, (extent){{T, H, dv}}, &s->v)) ||
        (status = load(r, "z", f->z, (extent){{T, H, dv}}, &s->z)) ||
        (status = load(r, "a", f->a, (extent){{1, T, H}}, &s->a)) ||
        (status = load(r, "g", f->g, (extent){{1, T, H}}, &s->g)) ||
        (status = load(r, "b", f->b, (extent){{1, T, H}}, &s->b)) ||
        (status = load(r, "beta", f->beta, (extent){{1, T, H}}, &s->beta)) ||
        (status = load(r, "initial_state", f->initial_state, (extent){{H, dk, dv}}, &s->state0)) ||
        (f->project_a && (status = project(r, f->project_a, T, H, &s->a))) ||
        (status = repeat_heads(r, &s->q, T, q[1], H, dk)) ||
        (status = repeat_heads(r, &s->k, T, k[1], H, dk)) ||
        (status = parameter(r, "norm_weight", f->norm_weight, dv, &s->norm_weight)) ||
        (status = all_finite(r, "norm_weight", s->norm_weight, (int)dv)))
        return status;
    if (s->has_parameters && ((status = parameter(r, "a_log", f->a_log, H, &s->a_log)) ||
                              (status = parameter(r, "dt_bias", f->dt_bias, H, &s->dt_bias)) ||
                              (status = all_finite(r, "A_log", s->a_log, (int)H)) ||
                              (status = all_finite(r, "dt_bias", s->dt_bias, (int)H))))
        return status;
    return recorded(r, s, T);
}

/* XXH3-64 of a file's bytes. */
static gdn_status digest_of(const char *path, uint64_t *digest, gdn_error *err)
{
    static _Thread_local char buffer[1 << 16];
    FILE *f = fopen(path, "rb");
    XXH3_state_t *state = XXH3_createState();
    if (!f || !state) {
        XXH3_freeState(state);
        if (f)
            fclose(f);
        return gdn_fail(err, GDN_BAD_INPUT, "%s: cannot open: %s", path, strerror(errno));
    }
    XXH3_64bits_reset(state);
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, f)) > 0;)
        XXH3_64bits_update(state, buffer, n);
    gdn_status status =
        ferror(f) ? gdn_fail(err, GDN_MACHINE, "%s: cannot read: %s", path, strerror(errno)) : GDN_OK;
    *digest = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    fclose(f);
    return status;
}

gdn_status gdn_source_open_file(const gdn_experiment *e, gdn_source *s, uint64_t *digest, gdn_error *err)
{
    const char *given = s->population->file->path, *slash = strrchr(e->path, '/');
    char path[4096];
    gdn_safetensors *file = NULL;
    if (given[0] == '/' || !slash)
        snprintf(path, sizeof path, "%s", given);
    else
        snprintf(path, sizeof path, "%.*s%s", (int)(slash - e->path + 1), e->path, given);
    gdn_status status = gdn_safetensors_open(path, &file, err);
    if (!status)
        status = digest_of(path, digest, err);
    if (!status)
        status = fill(&(reader){file, path, err}, s);
    gdn_safetensors_close(file);
    return status;
}

void gdn_source_file_text(const gdn_source *s, uint64_t digest, char *out, size_t size)
{
    const gdn_file_spec *f = s->population->file;
    const char *names[] = {f->q,
                           f->k,
                           f->v,
                           f->a,
                           f->project_a ? f->project_a->input : NULL,
                           f->project_a ? f->project_a->weight : NULL,
                           f->g,
                           f->b,
                           f->beta,
                           f->a_log,
                           f->dt_bias,
                           f->norm_weight,
                           f->z};
    size_t n = (size_t)snprintf(out, size, ";file=%016" PRIx64, digest);
    for (size_t i = 0; i < sizeof names / sizeof names[0] && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, ";%s", names[i] ? names[i] : "");
    if (f->initial_state && n < size)
        snprintf(out + n, size - n, ";initial_state=%s", f->initial_state);
}
