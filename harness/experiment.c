/* SPDX-License-Identifier: Apache-2.0 */
/* experiment -- loading and validation; see experiment.h. */
#include "harness/experiment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/budget.h"
#include "harness/experiment_parts.h"
#include "harness/probe.h"
#include "harness/yaml_file.h"

/* ---- validation ---- */

static gdn_status probes_ok(gdn_checker *c)
{
    const gdn_experiment_file *f = c->e->file;
    const char *all[64], *near;
    int n = 0;
    for (; n < gdn_probe_count && n < (int)(sizeof all / sizeof all[0]); n++)
        all[n] = gdn_probes[n].name;
    for (unsigned i = 0; i < f->probes_count; i++) {
        const gdn_probe *probe = gdn_probe_by_name(f->probes[i].name);
        if (probe && probe->needs_file != (f->probes[i].file != NULL))
            return gdn_bad(c, gdn_at(c, "probes/%u", i), "'%s' reads %s", probe->name,
                           probe->needs_file ? "a file or folder; 'file' is missing"
                                             : "no file, but 'file' is given");
        if (!probe) {
            near = gdn_nearest(f->probes[i].name, all, n);
            return gdn_bad(c, gdn_at(c, "probes/%u/name", i),
                           "'%s' is not a probe%s%s%s; `gdnprec list probes` shows them", f->probes[i].name,
                           near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
        }
    }
    return GDN_OK;
}

static gdn_status checked(gdn_experiment *e, gdn_checker checker)
{
    gdn_checker c = checker;
    gdn_experiment_file *f = e->file;
    gdn_error *err = c.err;
    gdn_reference_spec none = {0}, *r = f->reference ? f->reference : &none;
    gdn_check_default(&c, "seeds", &f->seeds, 1);
    gdn_check_default(&c, "dk", &f->dk, 128);
    gdn_check_default(&c, "dv", &f->dv, 128);
    gdn_check_default(&c, "reference/precision", &r->precision, 113);
    gdn_check_default(&c, "reference/check_precision", &r->check_precision, r->precision + 47);
    gdn_check_default(&c, "reference/check_columns", &r->check_columns, GDN_CHECK_COLUMNS);
    gdn_status status;
    if ((status = gdn_check_name(&c, "experiment", f->experiment)) ||
        (status = gdn_check_whole(&c, "seeds", f->seeds, 1, 100000)) ||
        (status = gdn_check_whole(&c, "dk", f->dk, 1, GDN_MAX_DIM)) ||
        (status = gdn_check_whole(&c, "dv", f->dv, 1, GDN_MAX_DIM)) ||
        (status = gdn_check_whole(&c, "reference/precision", r->precision, 80, 2000)) ||
        (status =
             gdn_check_whole(&c, "reference/check_precision", r->check_precision, r->precision + 47, 4000)) ||
        (status = gdn_check_whole(&c, "reference/check_columns", r->check_columns, 1, GDN_MAX_DIM)) ||
        (status = gdn_check_lengths(&c, "", "lengths", f->lengths, f->lengths_count)))
        return status;
    e->ladder = r->rung;
    e->precision = (int)r->precision;
    e->check_precision = (int)r->check_precision;
    e->check_columns = (int)r->check_columns;
    for (unsigned i = 0; i < f->define_count; i++) {
        if ((status = gdn_profile_define(&c, i, &e->profiles[e->profile_count])))
            return status;
        e->profile_count++;
    }
    if ((status = gdn_budget_define(e, err)) ||
        (status = gdn_check_profiles(&c, "", f->profiles, f->profiles_count)) || (status = probes_ok(&c)))
        return status;
    if (!f->populations && !f->probes)
        return gdn_bad(&c, "", "there is nothing to measure; populations or probes are wanted");
    for (unsigned i = 0; i < f->populations_count; i++)
        if ((status = gdn_check_population(&c, i)))
            return status;
    return gdn_checkpoints_expand(e, err);
}

static gdn_status validate(gdn_experiment *e, gdn_error *err)
{
    gdn_yaml_tree *tree = gdn_yaml_tree_open(e->text);
    if (!tree)
        return gdn_no_memory(err, "an experiment");
    gdn_status status = checked(e, (gdn_checker){.e = e, .err = err, .tree = tree});
    gdn_yaml_tree_close(tree);
    return status;
}

/* ---- loading ---- */

gdn_status gdn_experiment_load(const char *path, gdn_experiment **out, gdn_error *err)
{
    return gdn_experiment_load_text(path, NULL, out, err);
}

gdn_status gdn_experiment_load_text(const char *path, const char *text, gdn_experiment **out, gdn_error *err)
{
    *out = NULL;
    static const gdn_yaml_words words = {"the experiment file",
                                         "not an experiment file (a regular file of at most 1 MiB is)",
                                         "no experiment in it; it is empty"};
    gdn_experiment *e = gdn_calloc(1, sizeof *e);
    if (!e)
        return gdn_no_memory(err, "an experiment");
    gdn_yaml y = {.text = text ? strdup(text) : NULL};
    gdn_status status = text && !y.text ? gdn_no_memory(err, path)
                                        : gdn_yaml_open(&y, path, &words, &gdn_experiment_schema, err);
    e->path = y.path;
    e->text = y.text;
    e->file = y.data;
    if (!status &&
        !(e->profiles = gdn_calloc((size_t)gdn_profile_count + e->file->define_count, sizeof *e->profiles)))
        status = gdn_no_memory(err, "profiles");
    if (!status) {
        for (; e->profile_count < gdn_profile_count; e->profile_count++)
            e->profiles[e->profile_count] = gdn_profile_builtin(e->profile_count);
        status = validate(e, err);
    }
    if (status)
        gdn_experiment_free(e);
    else
        *out = e;
    return status;
}

void gdn_experiment_free(gdn_experiment *e)
{
    if (!e)
        return;
    gdn_checkpoints_close(e);
    gdn_yaml y = {
        .path = e->path, .text = e->text, .schema = &gdn_experiment_schema, .data = (cyaml_data_t *)e->file};
    gdn_yaml_close(&y);
    free(e->profiles);
    free(e);
}

gdn_status gdn_experiment_limit(gdn_experiment *e, int first_seed, int seeds, long max_length, gdn_error *err)
{
    e->seeds_before = first_seed ? first_seed - 1 : 0;
    if (seeds)
        e->file->seeds = seeds;
    if (!max_length)
        return GDN_OK;
    for (unsigned i = 0; i <= e->file->populations_count; i++) {
        bool top = i == e->file->populations_count;
        gdn_population *p = top ? NULL : &e->file->populations[i];
        double *x = top ? e->file->lengths : p->lengths;
        unsigned *n = top ? &e->file->lengths_count : &p->lengths_count, kept = 0;
        while (kept < *n && x[kept] <= (double)max_length)
            kept++;
        if (*n && !kept)
            return gdn_fail(err, GDN_BAD_INPUT, "%s: --max-length %ld leaves no length; the shortest is %g",
                            e->path, max_length, x[0]);
        *n = kept;
    }
    return GDN_OK;
}

int gdn_experiment_profile(const gdn_experiment *e, const char *name)
{
    for (int i = 0; i < e->profile_count; i++)
        if (strcmp(e->profiles[i].name, name) == 0)
            return i;
    return -1;
}
