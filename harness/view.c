/* SPDX-License-Identifier: Apache-2.0 */
/* view -- tensors of a file as engines want them; see view.h. */
#include "harness/view.h"

/* Elements from .. from + n - 1 as a tensor. */
static gdn_tensor part(const gdn_tensor *t, int64_t from, int64_t n)
{
    const int64_t bytes = gdn_dtype_bits(t->dtype) / 8;
    gdn_tensor x = {.name = t->name,
                    .dtype = t->dtype,
                    .rank = 1,
                    .dim = {n},
                    .data = (const char *)t->data + from * bytes,
                    .bytes = (uint64_t)(n * bytes),
                    .begin = t->begin + (uint64_t)(from * bytes)};
    return x;
}

/* Elements from .. from + n - 1 to one of the two. */
static gdn_status read_some(const gdn_view *v, int64_t from, int64_t n, float *floats, double *doubles,
                            gdn_error *err)
{
    const gdn_tensor x = part(v->tensor, from, n);
    return floats ? gdn_tensor_floats(&x, floats, err) : gdn_tensor_doubles(&x, doubles, err);
}

/* The cut, a head after the other; tokens that follow one another are read at once. */
static gdn_status read_cut(const gdn_view *v, const gdn_cut *c, float *floats, double *doubles,
                           gdn_error *err)
{
    const int64_t runs = v->token == v->width ? 1 : c->n, run = c->n / runs * v->width;
    gdn_status status = GDN_OK;
    for (int x = c->head; x < c->head + c->heads && !status; x++) {
        int64_t from = x / v->heads * v->sequence + x % v->heads / v->group * v->head + c->first * v->token;
        for (int64_t i = 0; i < runs && !status; i++, from += v->token) {
            status = read_some(v, from, run, floats, doubles, err);
            floats = floats ? floats + run : NULL;
            doubles = doubles ? doubles + run : NULL;
        }
    }
    return status;
}

gdn_status gdn_view_floats(const gdn_view *v, const gdn_cut *c, float *out, gdn_error *err)
{
    return read_cut(v, c, out, NULL, err);
}

gdn_status gdn_view_doubles(const gdn_view *v, const gdn_cut *c, double *out, gdn_error *err)
{
    return read_cut(v, c, NULL, out, err);
}

gdn_status gdn_view_states(const gdn_tensor *t, gdn_state_layout layout, gdn_shape shape, double *out,
                           gdn_error *err)
{
    const int64_t columns = (int64_t)shape.heads * shape.dv, dk = shape.dk, dv = shape.dv;
    double column[GDN_MAX_DIM];
    gdn_status status = GDN_OK;
    if (layout == GDN_STATE_KV) {
        const gdn_tensor all = part(t, 0, columns * dk);
        return gdn_tensor_doubles(&all, out, err);
    }
    for (int64_t x = 0; x < columns && !status; x++) {
        const gdn_tensor one = part(t, x * dk, dk);
        status = gdn_tensor_doubles(&one, column, err);
        for (int64_t i = 0; i < dk && !status; i++)
            out[(x / dv * dk + i) * dv + x % dv] = column[i];
    }
    return status;
}
