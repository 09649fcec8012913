/* SPDX-License-Identifier: Apache-2.0 */
/* command_list -- gdnprec list WHAT: the tables that the program is made of. */
#include <glob.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/inputs.h"
#include "harness/commands.h"
#include "harness/experiment.h"
#include "harness/probe.h"
#include "harness/source.h"
#include "kernels/layer.h"
#include "kernels/recurrent.h"
#include "reference/gdn_dd.h"
#include "reference/gdn_fp64.h"
#include "reference/gdn_mpfr.h"
#include "reference/gdn_mpfr_fast.h"

/* One entry: name, summary and whatever else a machine would read. */
static json_t *entry(const char *name, const char *summary)
{
    return json_pack("{s:s, s:s}", "name", name, "summary", summary);
}

static void add_number(json_t *o, const char *key, double x)
{
    json_object_set_new(o, key, json_real(x));
}

static void add_text(json_t *o, const char *key, const char *text)
{
    json_object_set_new(o, key, json_string(text));
}

static void list_formats(json_t *all)
{
    for (int i = 0; i < GDN_FORMATS; i++) {
        const gdn_format *f = &gdn_formats[i];
        char text[160];
        snprintf(text, sizeof text, "%2d bits, p = %2d, u = 2^-%-2d, exponents %d..%d, max %.6g%s", f->bits,
                 f->p, f->p, f->emin, f->emax, f->max, f->has_infinity ? "" : ", no infinity");
        json_t *o = entry(f->name, text);
        add_number(o, "p", f->p);
        add_number(o, "emin", f->emin);
        add_number(o, "emax", f->emax);
        add_number(o, "max", f->max);
        json_array_append_new(all, o);
    }
}

static void list_recipes(json_t *all)
{
    for (int i = 0; i < gdn_recipe_count; i++) {
        const gdn_recipe *r = &gdn_recipes[i];
        json_t *o = entry(r->name, r->summary);
        add_text(o, "op", gdn_formats[r->op].name);
        add_text(o, "exp_a", gdn_formats[r->exp_a].name);
        add_text(o, "softplus", gdn_softplus_names[r->softplus]);
        add_text(o, "beta", gdn_formats[r->beta].name);
        add_text(o, "qk", gdn_formats[r->qk].name);
        add_text(o, "state", gdn_formats[r->state].name);
        add_text(o, "state_rounding", gdn_rounding_names[r->state_rounding]);
        add_text(o, "output", gdn_formats[r->output].name);
        add_text(o, "input", gdn_formats[r->input].name);
        add_text(o, "algorithm", gdn_algorithm_names[r->algorithm]);
        if (r->algorithm == GDN_CHUNKED)
            add_text(o, "product", gdn_formats[r->product].name);
        add_text(o, "math", gdn_math_names[r->math]);
        json_array_append_new(all, o);
    }
}

static void list_profiles(json_t *all)
{
    for (int i = 0; i < gdn_profile_count; i++) {
        gdn_profile p = gdn_profile_builtin(i);
        char text[512];
        json_t *o = entry(p.name, p.summary);
        gdn_profile_text(&p, text, sizeof text);
        add_text(o, "recipe", p.recipe.name);
        add_text(o, "definition", text);
        json_array_append_new(all, o);
    }
}

static void list_engines(json_t *all)
{
    static const gdn_engine *const engines[] = {&gdn_fp64_engine,      &gdn_dd_engine,
                                                &gdn_mpfr_engine,      &gdn_mpfr_fast_engine,
                                                &gdn_recurrent_engine, &gdn_recorded_engine};
    for (size_t i = 0; i < sizeof engines / sizeof engines[0]; i++)
        json_array_append_new(all, entry(engines[i]->name, engines[i]->summary));
}

static void list_columns(json_t *all)
{
    static const char *const types[] = {"id", "text", "int", "real"};
    for (int i = 0; i < gdn_column_count; i++) {
        json_t *o = entry(gdn_columns[i].name, gdn_columns[i].meaning);
        add_text(o, "type", types[gdn_columns[i].type]);
        add_text(o, "unit", gdn_columns[i].unit);
        json_array_append_new(all, o);
    }
}

static void list_experiments(json_t *all)
{
    char share[4096], pattern[4200];
    glob_t g = {0};
    snprintf(pattern, sizeof pattern, "%s/experiments/*.yaml", gdn_share(share, sizeof share));
    if (glob(pattern, 0, NULL, &g) == 0)
        for (size_t i = 0; i < g.gl_pathc; i++) {
            gdn_experiment *e = NULL;
            gdn_error why;
            gdn_status status = gdn_experiment_load(g.gl_pathv[i], &e, &why);
            json_t *o =
                entry(status ? g.gl_pathv[i] : e->file->experiment, status ? why.text : e->file->question);
            add_text(o, "file", g.gl_pathv[i]);
            json_array_append_new(all, o);
            gdn_experiment_free(e);
        }
    globfree(&g);
}

static void list_probes(json_t *all)
{
    for (int i = 0; i < gdn_probe_count; i++) {
        json_t *o = entry(gdn_probes[i].name, gdn_probes[i].summary);
        json_object_set_new(o, "needs_file", json_boolean(gdn_probes[i].needs_file));
        json_array_append_new(all, o);
    }
}

static void list_layers(json_t *all)
{
    for (int i = 0; i < gdn_layer_recipe_count; i++) {
        const gdn_layer_recipe *r = &gdn_layer_recipes[i];
        json_t *o = entry(r->name, r->summary);
        add_text(o, "core", r->core);
        add_text(o, "input", gdn_formats[r->input].name);
        add_text(o, "linear", gdn_formats[r->linear].name);
        add_text(o, "conv_sum", gdn_formats[r->conv_sum].name);
        add_text(o, "conv", gdn_formats[r->conv].name);
        add_text(o, "conv_state", gdn_formats[r->conv_state].name);
        add_text(o, "output", gdn_formats[r->output].name);
        json_array_append_new(all, o);
    }
}

static const struct {
    const char *name;
    void (*list)(json_t *);
} tables[] = {{"formats", list_formats},         {"profiles", list_profiles},
              {"recipes", list_recipes},         {"engines", list_engines},
              {"experiments", list_experiments}, {"columns", list_columns},
              {"probes", list_probes},           {"layers", list_layers}};

enum { TABLES = sizeof tables / sizeof tables[0] };

typedef struct arguments {
    const char *what;
    bool json;
} arguments;

static const struct argp_option options[] = {{"json", 'J', 0, 0, "as JSON, with every field", 0}, {0}};

static error_t option(int key, char *text, struct argp_state *state)
{
    arguments *a = state->input;
    if (key == 'J')
        a->json = true;
    else if (key == ARGP_KEY_ARG && !a->what)
        a->what = text;
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static void print(const json_t *all)
{
    size_t i;
    const json_t *o;
    int width = 4;
    json_array_foreach(all, i, o)
    {
        int n = (int)strlen(json_string_value(json_object_get(o, "name")));
        width = n > width ? n : width;
    }
    json_array_foreach(all, i, o) printf("%-*s  %s\n", width, json_string_value(json_object_get(o, "name")),
                                         json_string_value(json_object_get(o, "summary")));
}

gdn_status gdn_command_list(int argc, char **argv, gdn_error *err)
{
    static const struct argp argp = {options,
                                     option,
                                     "formats|profiles|recipes|engines|experiments|columns|probes|layers",
                                     "List what experiments can name.",
                                     NULL,
                                     NULL,
                                     NULL};
    arguments a = {NULL, false};
    int done;
    gdn_status status = gdn_parse(&argp, argc, argv, &a, &done, err);
    if (status || done)
        return status;
    for (int i = 0; a.what && i < TABLES; i++)
        if (strcmp(a.what, tables[i].name) == 0) {
            json_t *all = json_array();
            tables[i].list(all);
            if (a.json) {
                json_dumpf(all, stdout, JSON_INDENT(2));
                printf("\n");
            } else {
                print(all);
            }
            json_decref(all);
            return GDN_OK;
        }
    return gdn_fail(
        err, GDN_BAD_INPUT,
        "list: %s%s%s; formats, profiles, recipes, engines, experiments, columns, probes and layers are",
        a.what ? "'" : "", a.what ? a.what : "nothing to list is named", a.what ? "' is not a table" : "");
}
