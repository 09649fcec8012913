/* SPDX-License-Identifier: Apache-2.0 */
/*
 * experiment_checkpoint -- a population of a checkpoint becomes one population a GDN layer; see
 * experiment_parts.h.
 *
 * The new ones borrow from the YAML's own, which libcyaml frees: these are kept in experiment->given and put
 * back before.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "harness/experiment_parts.h"
#include "harness/shown.h"
#include "harness/source_checkpoint.h"

static gdn_status append(gdn_experiment_file *f, const gdn_population *p, gdn_error *err)
{
    gdn_population *grown = realloc(f->populations, (f->populations_count + 1) * sizeof *grown);
    if (!grown)
        return gdn_no_memory(err, "populations");
    grown[f->populations_count++] = *p;
    f->populations = grown;
    return GDN_OK;
}

/* A sentence about the checkpoint, at a field of the YAML. */
static gdn_status say(gdn_checker *c, gdn_status status, const char *path, const gdn_error *inner)
{
    if (status == GDN_BAD_INPUT)
        return gdn_bad(c, path, "%s", inner->text);
    *c->err = *inner;
    return status;
}

/* Does the layer fit what the YAML says? */
static gdn_status fits(gdn_checker *c, const gdn_population *p, const gdn_checkpoint_layer *l)
{
    double dv = c->e->file->dv;
    char module[GDN_SHOWN];
    gdn_quoted(l->module, module, sizeof module);
    if (l->dv != dv)
        return gdn_bad(
            c, gdn_at(c, "populations/%u/checkpoint", p->entry),
            "the norm weight of %s has %d channels and the experiment's dv is %.0f; dv: %d is wanted", module,
            l->dv, dv, l->dv);
    if (fmod(l->heads, p->group) != 0)
        return gdn_bad(c, gdn_at(c, "populations/%u/group", p->entry),
                       "a group of %.0f does not divide the %d heads of %s", p->group, l->heads, module);
    return GDN_OK;
}

/* The population of one layer. */
static gdn_status add_layer(gdn_experiment *e, gdn_checker *c, const gdn_population *whole,
                            const gdn_layer_place *place)
{
    gdn_error inner = {""};
    gdn_population p = *whole;
    gdn_checkpoint_spec *spec = gdn_calloc(1, sizeof *spec);
    char name[128];
    gdn_status status = GDN_OK;
    if (place->layer < 0)
        snprintf(name, sizeof name, "%s.layer", whole->name);
    else
        snprintf(name, sizeof name, "%s.layer-%d", whole->name, place->layer);
    p.name = strdup(name);
    p.checkpoint = spec;
    if (!spec || !p.name)
        status = gdn_no_memory(c->err, "populations");
    if (!status)
        *spec = *whole->checkpoint;
    if (!status && (status = gdn_checkpoint_layer_read(place, &spec->of, &inner)))
        say(c, status, gdn_at(c, "populations/%u/checkpoint/path", whole->entry), &inner);
    if (!status)
        status = fits(c, whole, spec->of);
    if (!status) {
        p.heads = spec->of->heads;
        status = append(e->file, &p, c->err);
    }
    if (status) {
        if (spec)
            gdn_checkpoint_layer_free(spec->of);
        free(spec);
        free(p.name);
    }
    return status;
}

/* "0, 1, 2" */
static const char *numbers(const gdn_layer_place *place, int n, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (int i = 0; i < n && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%d", i ? ", " : "", place[i].layer);
    return out;
}

static bool wanted(const gdn_checkpoint_spec *spec, int layer)
{
    bool named = spec->layers_count == 0;
    for (unsigned i = 0; i < spec->layers_count; i++)
        named |= spec->layers[i] == layer;
    return named;
}

/* Are the layers that the YAML names there? */
static gdn_status there(gdn_checker *c, const gdn_population *p, const gdn_layer_place *place, int n)
{
    const gdn_checkpoint_spec *spec = p->checkpoint;
    char all[300];
    for (unsigned i = 0; i < spec->layers_count; i++) {
        int j = 0;
        while (j < n && place[j].layer != spec->layers[i])
            j++;
        if (j == n)
            return gdn_bad(c, gdn_at(c, "populations/%u/checkpoint/layers/%u", p->entry, i),
                           "layer %.0f is no GDN layer of %s; these are: %s", spec->layers[i], spec->path,
                           numbers(place, n, all, sizeof all));
    }
    return GDN_OK;
}

static gdn_status expand(gdn_experiment *e, gdn_checker *c, const gdn_population *p)
{
    gdn_checkpoint *checkpoint = NULL;
    gdn_layer_place *place = NULL;
    gdn_error inner = {""};
    char path[4200];
    const char *given = p->checkpoint->path, *slash = strrchr(e->path, '/');
    int n = 0;
    if (given[0] == '/' || !slash)
        snprintf(path, sizeof path, "%s", given);
    else
        snprintf(path, sizeof path, "%.*s%s", (int)(slash - e->path + 1), e->path, given);
    gdn_status status = gdn_checkpoint_open(path, &checkpoint, &inner);
    if (!status)
        status = gdn_checkpoint_places(checkpoint, &place, &n, &inner);
    if (status)
        say(c, status, gdn_at(c, "populations/%u/checkpoint/path", p->entry), &inner);
    else
        status = there(c, p, place, n);
    for (int i = 0; i < n && !status; i++)
        if (wanted(p->checkpoint, place[i].layer))
            status = add_layer(e, c, p, &place[i]);
    free(place);
    gdn_checkpoint_close(checkpoint);
    return status;
}

/* A layer's population may not take the name of another one. */
static gdn_status names_differ(gdn_checker *c)
{
    const gdn_experiment_file *f = c->e->file;
    for (unsigned i = 0; i < f->populations_count; i++)
        for (unsigned j = 0; j < i; j++)
            if (strcmp(f->populations[i].name, f->populations[j].name) == 0)
                return gdn_bad(
                    c, gdn_at(c, "populations/%u/name", f->populations[i].entry),
                    "the population '%s' exists already; layers of a checkpoint are called NAME.layer-N",
                    f->populations[i].name);
    return GDN_OK;
}

gdn_status gdn_checkpoints_expand(gdn_experiment *e, gdn_error *err)
{
    gdn_experiment_file *f = e->file;
    gdn_checker c = {.e = e, .err = err};
    bool any = false;
    for (unsigned i = 0; i < f->populations_count; i++)
        any |= f->populations[i].checkpoint != NULL;
    if (!any)
        return GDN_OK;
    e->given = f->populations;
    e->given_count = f->populations_count;
    f->populations = NULL;
    f->populations_count = 0;
    gdn_status status = GDN_OK;
    for (unsigned i = 0; i < e->given_count && !status; i++)
        status = e->given[i].checkpoint ? expand(e, &c, &e->given[i]) : append(f, &e->given[i], err);
    return status ? status : names_differ(&c);
}

void gdn_checkpoints_close(gdn_experiment *e)
{
    if (!e->given)
        return;
    gdn_experiment_file *f = e->file;
    for (unsigned i = 0; i < f->populations_count; i++) {
        gdn_checkpoint_spec *spec = f->populations[i].checkpoint;
        if (!spec)
            continue;
        gdn_checkpoint_layer_free(spec->of);
        free(spec);
        free(f->populations[i].name);
    }
    free(f->populations);
    f->populations = e->given;
    f->populations_count = e->given_count;
    e->given = NULL;
}

/* XXH3-64 of the parameters, in hexadecimal. */
static json_t *digest(const gdn_checkpoint_layer *l)
{
    uint64_t part[] = {XXH3_64bits(l->a_log, (size_t)l->heads * sizeof *l->a_log),
                       XXH3_64bits(l->dt_bias, (size_t)l->heads * sizeof *l->dt_bias),
                       XXH3_64bits(l->norm_weight, (size_t)l->dv * sizeof *l->norm_weight)};
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, (uint64_t)XXH3_64bits(part, sizeof part));
    return json_string(text);
}

json_t *gdn_checkpoints_json(const gdn_experiment *e)
{
    json_t *all = NULL;
    for (unsigned i = 0; i < e->file->populations_count; i++) {
        const gdn_population *p = &e->file->populations[i];
        const gdn_checkpoint_layer *l = p->checkpoint ? p->checkpoint->of : NULL;
        char module[GDN_SHOWN];
        if (!l)
            continue;
        if (!all)
            all = json_object();
        json_object_set_new(all, p->name,
                            json_pack("{s:s, s:s, s:s, s:o}", "path", p->checkpoint->path, "module",
                                      gdn_shown(l->module, module, sizeof module), "weight",
                                      l->zero_centred ? GDN_RESTS_LESS_ONE : "w", "values", digest(l)));
    }
    return all;
}
