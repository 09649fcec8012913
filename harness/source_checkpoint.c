/* SPDX-License-Identifier: Apache-2.0 */
/* source_checkpoint -- the GDN layers of a checkpoint; see source_checkpoint.h. */
#include "harness/source_checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/shape.h"
#include "harness/shown.h"

typedef char name[GDN_SHOWN];

enum { MOST_MODULES = 10000 };

/* ---- which layers there are ---- */

typedef struct places {
    gdn_layer_place *place; /* [n], room for more */
    int n, room;
} places;

/* The place of the module that the first `length` characters of `key` name; a new one where there is none. */
static gdn_layer_place *place_of(places *p, const char *key, const gdn_key *k)
{
    for (int i = p->n - 1; i >= 0; i--) /* keys are sorted: it is most often the last */
        if (p->place[i].module_length == k->module && memcmp(p->place[i].module, key, k->module) == 0)
            return &p->place[i];
    if (p->n == p->room) {
        int room = p->room ? 2 * p->room : 64;
        gdn_layer_place *grown = realloc(p->place, (size_t)room * sizeof *grown);
        if (!grown)
            return NULL;
        p->place = grown;
        p->room = room;
    }
    gdn_layer_place *place = &p->place[p->n++];
    *place = (gdn_layer_place){.layer = k->layer, .module = key, .module_length = k->module};
    return place;
}

static gdn_status collect(const gdn_checkpoint *c, places *p, gdn_error *err)
{
    for (size_t i = 0; i < c->tensors; i++) {
        const gdn_tensor *t = c->tensor[i].tensor;
        gdn_key k;
        if (!gdn_key_parse(t->name, &k) || k.param == GDN_PARAM_CONV)
            continue;
        gdn_layer_place *place = place_of(p, t->name, &k);
        if (!place)
            return gdn_no_memory(err, "the layers of a checkpoint");
        if (p->n > MOST_MODULES) /* place_of looks at each of them */
            return gdn_fail(err, GDN_BAD_INPUT,
                            "%s: found more than %d modules with parameters of a GDN layer", c->path,
                            MOST_MODULES);
        if (place->of[k.param]) {
            name x, y;
            return gdn_fail(err, GDN_BAD_INPUT, "both %s and %s give %s of one layer",
                            gdn_quoted(place->of[k.param]->name, x, sizeof x),
                            gdn_quoted(t->name, y, sizeof y), gdn_param_names[k.param]);
        }
        place->of[k.param] = t;
        if (k.param == GDN_PARAM_NORM_WEIGHT)
            place->zero_centred = k.naming == GDN_NAMING_MEGATRON;
    }
    return GDN_OK;
}

static int by_layer(const void *a, const void *b)
{
    int x = ((const gdn_layer_place *)a)->layer, y = ((const gdn_layer_place *)b)->layer;
    return (x > y) - (x < y);
}

gdn_status gdn_checkpoint_places(const gdn_checkpoint *c, gdn_layer_place **out, int *count, gdn_error *err)
{
    places p = {.n = 0};
    int kept = 0;
    *out = NULL;
    *count = 0;
    gdn_status status = collect(c, &p, err);
    for (int i = 0; i < p.n; i++) /* ordinary attention has norms too, and neither of these */
        if (p.place[i].of[GDN_PARAM_A_LOG] || p.place[i].of[GDN_PARAM_DT_BIAS])
            p.place[kept++] = p.place[i];
    if (!status && !kept)
        status =
            gdn_fail(err, GDN_BAD_INPUT,
                     "%s: none of its %zu tensors is A_log or dt_bias of a GDN layer (under linear_attn., "
                     "self_attention. or attn.)",
                     c->path, c->tensors);
    if (kept > 1)
        qsort(p.place, (size_t)kept, sizeof *p.place, by_layer);
    for (int i = 1; i < kept && !status; i++) {
        const gdn_layer_place *x = &p.place[i - 1], *y = &p.place[i];
        name m, n;
        char which[32] = "without a number";
        if (x->layer != y->layer)
            continue;
        if (x->layer >= 0)
            snprintf(which, sizeof which, "%d", x->layer);
        status = gdn_fail(err, GDN_BAD_INPUT,
                          "%s: both %s and %s are GDN layer %s; a checkpoint of one model is wanted", c->path,
                          gdn_quoted_bytes(x->module, x->module_length, m, sizeof m),
                          gdn_quoted_bytes(y->module, y->module_length, n, sizeof n), which);
    }
    if (status) {
        free(p.place);
        return status;
    }
    *out = p.place;
    *count = kept;
    return GDN_OK;
}

/* ---- what they hold ---- */

/* The elements of a vector; 0 where more than one dimension is not 1, or there are none. */
static int64_t vector_length(const gdn_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++) {
        if (n != 1 && t->dim[i] != 1)
            return 0;
        n *= t->dim[i];
    }
    return n;
}

/* The parameter as doubles; of a norm weight that rests as w - 1, w. */
static gdn_status read_one(const gdn_layer_place *place, gdn_param param, int most, double **out, int *count,
                           gdn_error *err)
{
    const gdn_tensor *t = place->of[param];
    name shown;
    bool less_one = param == GDN_PARAM_NORM_WEIGHT && place->zero_centred;
    if (!t)
        return gdn_fail(err, GDN_BAD_INPUT, "the GDN layer %s has no %s",
                        gdn_quoted_bytes(place->module, place->module_length, shown, sizeof shown),
                        gdn_param_names[param]);
    gdn_quoted(t->name, shown, sizeof shown);
    int64_t n = vector_length(t);
    if (n < 1 || n > most)
        return gdn_fail(err, GDN_BAD_INPUT, "%s is not a vector of 1 to %d elements", shown, most);
    gdn_error inner = {""};
    gdn_status status = GDN_OK;
    float *x = gdn_calloc((size_t)n, sizeof *x);
    *out = gdn_calloc((size_t)n, sizeof **out);
    *count = (int)n;
    if (!x || !*out)
        status = gdn_no_memory(err, "parameters of a checkpoint");
    if (!status && (status = gdn_tensor_floats(t, x, &inner)))
        gdn_fail(err, status, "%s: %s", shown, inner.text);
    for (int i = 0; i < n && !status; i++) {
        bool dead = param == GDN_PARAM_A_LOG && isinf(x[i]) && x[i] < 0;
        if (!isfinite(x[i]) && !dead)
            status = gdn_fail(err, GDN_BAD_INPUT, "%s, element %d is %g; finite values%s are allowed", shown,
                              i, (double)x[i], param == GDN_PARAM_A_LOG ? " and -inf" : "");
        (*out)[i] = less_one ? 1 + (double)x[i] : (double)x[i];
    }
    free(x);
    return status;
}

gdn_status gdn_checkpoint_layer_read(const gdn_layer_place *place, gdn_checkpoint_layer **out, gdn_error *err)
{
    gdn_checkpoint_layer *l = *out = gdn_calloc(1, sizeof *l);
    if (!l || !(l->module = strndup(place->module, place->module_length))) {
        free(l);
        *out = NULL;
        return gdn_no_memory(err, "a layer of a checkpoint");
    }
    int biases = 0;
    l->layer = place->layer;
    l->zero_centred = place->zero_centred;
    gdn_status status = read_one(place, GDN_PARAM_A_LOG, GDN_MAX_HEADS, &l->a_log, &l->heads, err);
    if (!status)
        status = read_one(place, GDN_PARAM_DT_BIAS, GDN_MAX_HEADS, &l->dt_bias, &biases, err);
    if (!status)
        status = read_one(place, GDN_PARAM_NORM_WEIGHT, GDN_MAX_DIM, &l->norm_weight, &l->dv, err);
    if (!status && biases != l->heads) {
        name a, b;
        status = gdn_fail(err, GDN_BAD_INPUT, "%s has %d elements, but %s has %d; both have one a value head",
                          gdn_quoted(place->of[GDN_PARAM_A_LOG]->name, a, sizeof a), l->heads,
                          gdn_quoted(place->of[GDN_PARAM_DT_BIAS]->name, b, sizeof b), biases);
    }
    if (status) {
        gdn_checkpoint_layer_free(l);
        *out = NULL;
    }
    return status;
}

void gdn_checkpoint_layer_free(gdn_checkpoint_layer *l)
{
    if (!l)
        return;
    free(l->module);
    free(l->a_log);
    free(l->dt_bias);
    free(l->norm_weight);
    free(l);
}
