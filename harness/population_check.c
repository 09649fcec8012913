/* SPDX-License-Identifier: Apache-2.0 */
/* population_check -- is a population of an experiment file one that can be drawn or read? See
 * experiment_parts.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "harness/experiment_parts.h"

static gdn_status draw_ok(gdn_checker *c, unsigned i, const char *key, const gdn_draw *d)
{
    const char *path = gdn_at(c, "populations/%u/%s", i, key);
    bool log = strcmp(key, "a_log") == 0, bias = strcmp(key, "dt_bias") == 0;
    if (!d)
        return GDN_OK;
    if ((d->uniform != NULL) + (d->init != NULL) + (d->values != NULL) != 1)
        return gdn_bad(c, path, "exactly one of uniform, init, values is wanted");
    gdn_status status = gdn_check_bounded(c, path, d->values, d->values_count, log ? 80 : 3e38);
    if (!status)
        status = gdn_check_bounded(c, path, d->uniform, d->uniform_count, log ? 80 : 3e38);
    if (!status && d->uniform && (d->uniform_count != 2 || !(d->uniform[0] < d->uniform[1])))
        status = gdn_bad(c, path, "uniform wants [lo, hi] with lo < hi");
    if (!status && d->init) {
        bool fits =
            log ? *d->init != GDN_INIT_ONES : *d->init == GDN_INIT_ONES || (bias && *d->init == GDN_INIT_FLA);
        if (!fits)
            status = gdn_bad(c, path, "init %s is not defined for it; allowed: %s", gdn_init_names[*d->init],
                             log    ? "fla hf megatron tau fla-bf16 hf-bf16 megatron-bf16"
                             : bias ? "fla ones"
                                    : "ones");
    }
    return status;
}

static gdn_status recorded_ok(gdn_checker *c, unsigned i, const gdn_population *p)
{
    gdn_status status = GDN_OK;
    for (unsigned j = 0; j < p->recorded_count && !status; j++) {
        const gdn_recorded_spec *r = &p->recorded[j];
        const char *path = gdn_at(c, "populations/%u/recorded/%u/name", i, j);
        status = gdn_check_name(c, path, r->name);
        for (unsigned k = 0; k < j && !status; k++)
            if (strcmp(r->name, p->recorded[k].name) == 0)
                status = gdn_bad(c, path, "'%s' is recorded already", r->name);
        if (!status && !r->g && !r->o && !r->state && !r->y)
            status =
                gdn_bad(c, path, "'%s' names no tensor; at least one of g, o, state, y is wanted", r->name);
        if (!status && r->storage)
            status = gdn_check_profile(c, gdn_at(c, "populations/%u/recorded/%u/storage", i, j), r->storage);
        if (!status && r->storage && p->file->g)
            status =
                gdn_bad(c, c->path, "where g is given nothing is stored; storage wants a_log and dt_bias");
    }
    return status;
}

bool gdn_scale_ok(double scale)
{
    return fabs(scale) >= GDN_LEAST_SCALE && fabs(scale) <= GDN_MOST_SCALE;
}

static gdn_status file_ok(gdn_checker *c, unsigned i, const gdn_population *p)
{
    const gdn_file_spec *f = p->file;
    if (f->scale && !gdn_scale_ok(*f->scale))
        return gdn_bad(c, gdn_at(c, "populations/%u/file/scale", i),
                       "%g is not allowed; a finite number other than 0, of size %g to %g, is", *f->scale,
                       GDN_LEAST_SCALE, GDN_MOST_SCALE);
    const char *path = gdn_at(c, "populations/%u/file", i);
    if (!f->q || !f->k || !f->v)
        return gdn_bad(c, path, "q, k and v must name tensors");
    if ((f->a != NULL) + (f->g != NULL) + (f->project_a != NULL) != 1)
        return gdn_bad(c, path, "exactly one of a, project_a, g is wanted");
    if ((f->b != NULL) + (f->beta != NULL) != 1)
        return gdn_bad(c, path, "exactly one of b, beta is wanted");
    if (!f->g && (!f->a_log || !f->dt_bias))
        return gdn_bad(c, path, "a_log and dt_bias must name tensors unless g is given");
    if (f->g && (f->a_log || f->dt_bias))
        return gdn_bad(c, path, "a_log and dt_bias make g; where g is given they are not allowed");
    if (p->a_log || p->dt_bias || p->norm_weight || p->heads != 0 || p->lengths)
        return gdn_bad(c, path, "a population read from a file takes heads, lengths and parameters from it");
    if (p->rank != 0 || p->zipf_exponent != 0 || p->a_mean || p->a_scale || p->b_mean || p->b_scale)
        return gdn_bad(c, path,
                       "a population read from a file draws no inputs; rank, exponent, means and scales "
                       "are not allowed");
    if (p->group != 1)
        return gdn_bad(c, gdn_at(c, "populations/%u/group", i),
                       "the shapes in a file say which heads share a key head; group is not allowed");
    if (p->initial_scale != 0)
        return gdn_bad(c, gdn_at(c, "populations/%u/initial_scale", i),
                       "a file gives the initial state as initial_state; initial_scale is not allowed");
    return recorded_ok(c, i, p);
}

static gdn_status checkpoint_ok(gdn_checker *c, unsigned i, const gdn_population *p)
{
    const gdn_checkpoint_spec *spec = p->checkpoint;
    gdn_status status = GDN_OK;
    if (p->file)
        return gdn_bad(c, gdn_at(c, "populations/%u/checkpoint", i),
                       "a file gives all of its population; a checkpoint beside it is not allowed");
    if (gdn_yaml_has(c->tree, gdn_at(c, "populations/%u/heads", i)))
        return gdn_bad(c, c->path,
                       "a checkpoint says how many value heads a layer has; heads is not allowed");
    if (p->a_log || p->dt_bias || p->norm_weight)
        return gdn_bad(c, gdn_at(c, "populations/%u/checkpoint", i),
                       "a checkpoint gives the parameters; a_log, dt_bias and norm_weight are not allowed");
    for (unsigned j = 0; j < spec->layers_count && !status; j++) {
        status = gdn_check_whole(c, gdn_at(c, "populations/%u/checkpoint/layers/%u", i, j), spec->layers[j],
                                 0, 1e6);
        for (unsigned k = 0; k < j && !status; k++)
            if (spec->layers[k] == spec->layers[j])
                status = gdn_bad(c, c->path, "layer %.0f is named twice", spec->layers[j]);
    }
    return status;
}

/* Fields that drawn populations and those of files share, and their defaults. */
static gdn_status common_ok(gdn_checker *c, unsigned i, gdn_population *p)
{
    char where[64];
    snprintf(where, sizeof where, "populations/%u/", i);
    gdn_check_default(c, gdn_at(c, "%sgroup", where), &p->group, 1);
    gdn_check_default(c, gdn_at(c, "%sbeta_factor", where), &p->beta_factor, 1);
    gdn_status status;
    if ((status = gdn_check_profiles(c, where, p->profiles, p->profiles_count)) ||
        (status = gdn_check_lengths(c, where, "lengths", p->lengths, p->lengths_count)) ||
        (status = gdn_check_lengths(c, where, "sequences", p->sequences, p->sequences_count)) ||
        (status = gdn_check_whole(c, gdn_at(c, "%sgroup", where), p->group, 1, GDN_MAX_HEADS)) ||
        (status = gdn_check_whole(c, gdn_at(c, "%sbeta_factor", where), p->beta_factor, 1, 2)) ||
        (status = draw_ok(c, i, "a_log", p->a_log)) || (status = draw_ok(c, i, "dt_bias", p->dt_bias)) ||
        (status = draw_ok(c, i, "norm_weight", p->norm_weight)))
        return status;
    gdn_at(c, "%sinitial_scale", where);
    if (!(p->initial_scale > 0 && p->initial_scale <= 1e4) &&
        (p->initial_scale != 0 || gdn_yaml_has(c->tree, c->path)))
        return gdn_bad(c, c->path, "%g is not allowed; a number above 0 and at most 10000 is",
                       p->initial_scale);
    return GDN_OK;
}

/* Value heads of a drawn population: their number, and their sharing of key heads. */
static gdn_status heads_ok(gdn_checker *c, unsigned i, const gdn_population *p)
{
    gdn_status status = gdn_check_whole(c, gdn_at(c, "populations/%u/heads", i), p->heads, 1, GDN_MAX_HEADS);
    if (!status && fmod(p->heads, p->group) != 0)
        status = gdn_bad(c, gdn_at(c, "populations/%u/group", i),
                         "a group of %.0f does not divide %.0f heads", p->group, p->heads);
    return status;
}

/* Packed sequences of a drawn population end before its last token. */
static gdn_status sequences_ok(gdn_checker *c, unsigned i, const gdn_population *p)
{
    const gdn_experiment_file *f = c->e->file;
    double last = p->lengths ? p->lengths[p->lengths_count - 1] : f->lengths[f->lengths_count - 1];
    unsigned n = p->sequences_count;
    if (n == 0 || p->sequences[n - 1] < last)
        return GDN_OK;
    return gdn_bad(c, gdn_at(c, "populations/%u/sequences/%u", i, n - 1),
                   "%.0f is not inside the %.0f tokens; sequences end before the last token",
                   p->sequences[n - 1], last);
}

gdn_status gdn_check_population(gdn_checker *c, unsigned i)
{
    gdn_population *p = &c->e->file->populations[i];
    p->entry = i;
    gdn_status status = gdn_check_name(c, gdn_at(c, "populations/%u/name", i), p->name);
    for (unsigned j = 0; j < i && !status; j++)
        if (strcmp(p->name, c->e->file->populations[j].name) == 0)
            status = gdn_bad(c, gdn_at(c, "populations/%u/name", i), "the population '%s' exists already",
                             p->name);
    if (status || (status = common_ok(c, i, p)))
        return status;
    if (!p->profiles && !c->e->file->profiles)
        return gdn_bad(c, gdn_at(c, "populations/%u", i), "no profiles, neither here nor for the experiment");
    if (p->checkpoint && (status = checkpoint_ok(c, i, p)))
        return status;
    if (p->file)
        return file_ok(c, i, p);
    if (p->recorded)
        return gdn_bad(c, gdn_at(c, "populations/%u/recorded", i), "recorded outputs need a file");
    if (!p->checkpoint && (!p->a_log || !p->dt_bias))
        return gdn_bad(c, gdn_at(c, "populations/%u", i),
                       "a_log and dt_bias are wanted, each as uniform, init or values");
    if (!p->lengths && !c->e->file->lengths)
        return gdn_bad(c, gdn_at(c, "populations/%u", i), "no lengths, neither here nor for the experiment");
    if ((!p->checkpoint && (status = heads_ok(c, i, p))) || (status = sequences_ok(c, i, p)))
        return status;
    if (p->keys == GDN_KEYS_LOW_RANK || p->keys == GDN_KEYS_SPREAD)
        status = gdn_check_whole(c, gdn_at(c, "populations/%u/rank", i), p->rank, 1, c->e->file->dk);
    else if (p->rank != 0)
        status = gdn_bad(c, gdn_at(c, "populations/%u/rank", i), "only low-rank keys have a rank");
    if (!status && p->keys == GDN_KEYS_ZIPF &&
        !(p->zipf_exponent > 0 && p->zipf_exponent <= 8 &&
          2 * p->zipf_exponent == floor(2 * p->zipf_exponent)))
        status = gdn_bad(c, gdn_at(c, "populations/%u/zipf_exponent", i),
                         "%g is not allowed; 0.5, 1, 1.5 .. 8 are", p->zipf_exponent);
    else if (!status && p->keys != GDN_KEYS_ZIPF && p->zipf_exponent != 0)
        status = gdn_bad(c, gdn_at(c, "populations/%u/zipf_exponent", i), "only zipf keys have an exponent");
    const double *scales[] = {p->a_mean, p->a_scale, p->b_mean, p->b_scale};
    static const char *const names[] = {"a_mean", "a_scale", "b_mean", "b_scale"};
    for (int s = 0; s < 4 && !status; s++)
        if (scales[s])
            status = gdn_check_bounded(c, gdn_at(c, "populations/%u/%s", i, names[s]), scales[s], 1, 1e4);
    return status;
}
