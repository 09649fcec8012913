/* SPDX-License-Identifier: Apache-2.0 */
/* lockstep_open -- which engines a task needs, and their memory; see lockstep.h. */
#include <stdlib.h>
#include <string.h>

#include "harness/lockstep.h"
#include "kernels/engines.h"

static size_t heads_of(const gdn_lockstep *l)
{
    return (size_t)l->source->shape.heads;
}

/* ---- traces ---- */

gdn_status gdn_lockstep_ones(const gdn_backend *b, gdn_product *product, size_t heads, gdn_error *err)
{
    gdn_product *one = gdn_calloc(heads, sizeof *one);
    if (!one)
        return gdn_no_memory(err, "running decays");
    for (size_t h = 0; h < heads; h++)
        one[h] = gdn_product_one;
    gdn_status status = b->put(product, one, heads * sizeof *one, err);
    free(one);
    return status;
}

/* Running decays that start at 1. product: [heads] */
static gdn_status products_open(const gdn_backend *b, gdn_product **product, size_t heads, gdn_error *err)
{
    gdn_status status = b->alloc((void **)product, heads, sizeof **product, "running decays", err);
    return status ? status : gdn_lockstep_ones(b, *product, heads, err);
}

static gdn_status trace_open(const gdn_lockstep *l, const gdn_backend *backend, gdn_trace *t, int heads,
                             int columns, bool pairs, gdn_error *err)
{
    size_t H = (size_t)heads, n = H * (size_t)l->block, m = l->recurrence ? n * (size_t)columns : 0;
    size_t state = l->recurrence ? H * (size_t)l->source->shape.dk * (size_t)columns : 0;
    struct {
        double **p;
        size_t n;
        bool wanted;
    } want[] = {{&t->g, n, true},
                {&t->alpha, n, true},
                {&t->decay, n, true},
                {&t->o, m, l->recurrence},
                {&t->y, m, l->wanted[GDN_Q_Y]},
                {&t->ms, n, l->wanted[GDN_Q_Y]},
                {&t->state, state, l->wanted[GDN_Q_STATE]},
                {&t->g_lo, n, pairs},
                {&t->alpha_lo, n, pairs},
                {&t->decay_lo, n, true},
                {&t->o_lo, m, pairs && l->recurrence},
                {&t->y_lo, m, pairs && l->wanted[GDN_Q_Y]},
                {&t->ms_lo, n, pairs && l->wanted[GDN_Q_Y]},
                {&t->state_lo, state, pairs && l->wanted[GDN_Q_STATE]}};
    gdn_status status = GDN_OK;
    for (size_t i = 0; i < sizeof want / sizeof want[0] && !status; i++)
        if (want[i].wanted)
            status = backend->alloc((void **)want[i].p, want[i].n, sizeof(double), "a block of outputs", err);
    return status;
}

static void trace_close(const gdn_backend *backend, gdn_trace *t)
{
    double *all[] = {t->g,    t->alpha,    t->decay,    t->o,    t->y,    t->ms,    t->state,
                     t->g_lo, t->alpha_lo, t->decay_lo, t->o_lo, t->y_lo, t->ms_lo, t->state_lo};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        backend->release(all[i]);
}

/* ---- sets, subjects, columns ---- */

/* Stored parameters of a profile, as a new set at the end of the list; returns its index, or that of an equal
 * one. */
static int stored_set(gdn_lockstep *l, const gdn_profile *p)
{
    const gdn_source *s = l->source;
    size_t H = heads_of(l), dv = (size_t)s->shape.dv;
    gdn_set *set = &l->set[l->sets];
    for (size_t h = 0; h < H; h++) {
        set->decay[h] = p ? gdn_profile_decay(p, s->a_log[h]) : s->a_log[h];
        set->dt_bias[h] = p ? gdn_profile_dt_bias(p, s->dt_bias[h]) : s->dt_bias[h];
    }
    for (size_t j = 0; j < dv; j++)
        set->norm_weight[j] = p ? gdn_profile_norm_weight(p, s->norm_weight[j]) : s->norm_weight[j];
    set->params = (gdn_params){.decay_is_a = p && p->store_a,
                               .decay = set->decay,
                               .dt_bias = set->dt_bias,
                               .norm_weight = set->norm_weight,
                               .beta_shift = s->beta_shift,
                               .l2norm_off = s->l2norm_off,
                               .scale = s->scale,
                               .alpha = p ? p->alpha : GDN_FP64};
    for (int i = 0; i < l->sets; i++) {
        const gdn_set *o = &l->set[i];
        if (o->params.decay_is_a == set->params.decay_is_a && o->params.alpha == set->params.alpha &&
            memcmp(o->decay, set->decay, H * sizeof *o->decay) == 0 &&
            memcmp(o->dt_bias, set->dt_bias, H * sizeof *o->dt_bias) == 0 &&
            memcmp(o->norm_weight, set->norm_weight, dv * sizeof *o->norm_weight) == 0)
            return i;
    }
    return l->sets++;
}

/* Sets and subjects: which profile runs on which parameters. */
static gdn_status choose(gdn_lockstep *l, gdn_error *err)
{
    const gdn_population *p = l->source->population;
    char **names = p->profiles ? p->profiles : l->e->file->profiles;
    int n = (int)(p->profiles ? p->profiles_count : l->e->file->profiles_count);
    int subjects = n + l->source->recorded_count;
    size_t H = heads_of(l), dv = (size_t)l->source->shape.dv;
    /* the true one, one a subject, a trial, an end mark */
    l->set = gdn_calloc((size_t)subjects + 3, sizeof *l->set);
    l->subject = gdn_calloc((size_t)subjects, sizeof *l->subject);
    if (!l->set || !l->subject)
        return gdn_no_memory(err, "profiles");
    for (int i = 0; i < subjects + 2; i++) {
        gdn_set *s = &l->set[i];
        s->decay = gdn_calloc(H, sizeof(double));
        s->dt_bias = gdn_calloc(H, sizeof(double));
        s->norm_weight = gdn_calloc(dv, sizeof(double));
        if (!s->decay || !s->dt_bias || !s->norm_weight)
            return gdn_no_memory(err, "stored parameters");
    }
    if (l->source->has_parameters) {
        stored_set(l, NULL);
    } else {
        memcpy(l->set[0].norm_weight, l->source->norm_weight, dv * sizeof(double));
        l->set[0].params = (gdn_params){.norm_weight = l->set[0].norm_weight,
                                        .beta_shift = l->source->beta_shift,
                                        .alpha = GDN_FP64,
                                        .l2norm_off = l->source->l2norm_off,
                                        .scale = l->source->scale};
        l->sets = 1;
    }
    for (int i = 0; i < n; i++) {
        gdn_subject *s = &l->subject[l->subjects++];
        s->profile = &l->e->profiles[gdn_experiment_profile(l->e, names[i])];
        s->own = *s->profile;
        s->engine = gdn_recipe_engine(&s->own.recipe);
        s->set = l->source->has_parameters ? stored_set(l, s->profile) : 0;
    }
    for (int i = 0; i < l->source->recorded_count; i++) {
        gdn_subject *s = &l->subject[l->subjects++];
        *s = (gdn_subject){.recorded = &l->source->recorded[i], .engine = &gdn_recorded_engine, .set = 0};
        const char *storage = s->recorded->spec->storage;
        if (storage && !l->source->has_parameters)
            return gdn_fail(
                err, GDN_BAD_INPUT,
                "recorded '%s': storage %s wants the parameters a_log and dt_bias; the population "
                "gives g itself",
                s->recorded->spec->name, storage);
        if (storage)
            s->set = stored_set(l, &l->e->profiles[gdn_experiment_profile(l->e, storage)]);
    }
    return GDN_OK;
}

/* Which columns are checked and witnessed; all of them where the run is short. */
static gdn_status choose_columns(gdn_lockstep *l, gdn_error *err)
{
    int dv = l->source->shape.dv, n = l->e->check_columns;
    bool all = l->plan.last <= GDN_CERTIFY_ALL && l->ladder->engine[GDN_WITNESS];
    l->nchecked = all || n > dv ? dv : n;
    l->nwitnessed = all ? dv : 1;
    l->witness_set = (int)(l->source->seed % (uint64_t)l->sets);
    l->checked = gdn_calloc((size_t)l->nchecked, sizeof *l->checked);
    l->witnessed = gdn_calloc((size_t)l->nwitnessed, sizeof *l->witnessed);
    l->witness_index = gdn_calloc((size_t)l->nwitnessed, sizeof *l->witness_index);
    if (!l->checked || !l->witnessed || !l->witness_index)
        return gdn_no_memory(err, "columns");
    gdn_certify_columns(dv, l->nchecked, l->checked);
    for (int j = 0; j < l->nwitnessed; j++) {
        l->witness_index[j] = all ? j : (int)(l->source->seed % (uint64_t)l->nchecked);
        l->witnessed[j] = l->checked[l->witness_index[j]];
    }
    const struct {
        int **there;
        const int *from;
        int n;
    } over[] = {{&l->checked_there, l->checked, l->nchecked},
                {&l->witness_index_there, l->witness_index, l->nwitnessed}};
    gdn_status status = GDN_OK;
    for (size_t i = 0; i < sizeof over / sizeof over[0] && !status; i++) {
        size_t count = (size_t)over[i].n;
        status = l->backend->alloc((void **)over[i].there, count, sizeof(int), "columns", err);
        if (!status)
            status = l->backend->put(*over[i].there, over[i].from, count * sizeof(int), err);
    }
    return status;
}

/* The backend's engine for one of the CPU, or that itself, visiting. */
static const gdn_engine *engine_on(gdn_lockstep *l, const gdn_engine *engine, bool *visiting)
{
    const gdn_engine *twin = l->backend->twin(engine);
    *visiting = !twin;
    l->any_visiting |= *visiting;
    return twin ? twin : engine;
}

/* In how many parts an engine runs: one on a GPU, which shares out heads itself. */
static int parts_of(const gdn_lockstep *l, bool visiting)
{
    return l->backend == &gdn_backend_cpu && !visiting ? l->threads : 1;
}

/* The engines of one set; the witness watches the true set only, over one head unless the run is short. */
static gdn_status open_levels(gdn_lockstep *l, int s, gdn_error *err)
{
    gdn_set *set = &l->set[s];
    const gdn_source *source = l->source;
    int H = source->shape.heads;
    bool all = l->nwitnessed == source->shape.dv && l->plan.last <= GDN_CERTIFY_ALL;
    gdn_status status = GDN_OK;
    for (int i = 0; i < GDN_LEVELS && !status; i++) {
        gdn_level *level = &set->level[i];
        const gdn_engine *engine = l->ladder->engine[i];
        if (!engine || (i == GDN_WITNESS && s != l->witness_set))
            continue;
        *level = (gdn_level){.ncolumns = source->shape.dv, .heads = H};
        level->engine = engine_on(l, engine, &level->visiting);
        if (i == GDN_CHECK) {
            level->columns = l->checked;
            level->ncolumns = l->nchecked;
        } else if (i == GDN_WITNESS) {
            level->columns = l->witnessed;
            level->ncolumns = l->nwitnessed;
            level->head = all ? 0 : (int)(source->seed % (uint64_t)H);
            level->heads = all ? H : 1;
        }
        gdn_setup setup = {.shape = {level->heads, source->shape.dk, source->shape.dv},
                           .params = set->params,
                           .columns = level->columns,
                           .ncolumns = level->ncolumns,
                           .recurrence = l->recurrence,
                           .precision = l->ladder->engine[GDN_WITNESS] || i == GDN_BASE
                                            ? l->e->precision
                                            : l->e->check_precision,
                           .state0 = l->state0 ? l->state0 + (size_t)level->head * (size_t)source->shape.dk *
                                                                 (size_t)source->shape.dv
                                               : NULL};
        if (setup.params.decay) {
            setup.params.decay += level->head;
            setup.params.dt_bias += level->head;
        }
        status = gdn_team_open(&level->team, level->engine, &setup, parts_of(l, level->visiting), err);
        if (!status)
            status =
                trace_open(l, l->backend, &level->trace, level->heads, level->ncolumns, engine->pairs, err);
        if (!status && level->visiting)
            status = trace_open(l, &gdn_backend_cpu, &level->local, level->heads, level->ncolumns,
                                engine->pairs, err);
        if (!status)
            status = products_open(l->backend, &level->trace.product, (size_t)level->heads, err);
    }
    return status;
}

static gdn_status open_engines(gdn_lockstep *l, gdn_error *err)
{
    const gdn_source *s = l->source;
    bool visitors = false;
    gdn_status status = trace_open(l, l->backend, &l->trace, s->shape.heads, s->shape.dv, false, err);
    if (!status)
        status = products_open(l->backend, &l->products, (size_t)l->subjects * heads_of(l), err);
    for (int i = 0; i < l->sets && !status; i++)
        status = open_levels(l, i, err);
    for (int p = 0; p < l->subjects && !status; p++) {
        gdn_subject *sub = &l->subject[p];
        sub->engine = engine_on(l, sub->engine, &sub->visiting);
        visitors |= sub->visiting;
        gdn_setup setup = {.shape = s->shape,
                           .params = l->set[sub->set].params,
                           .recurrence = l->recurrence,
                           .seed = s->seed,
                           .state0 = l->state0,
                           .recipe =
                               sub->recorded ? (const void *)sub->recorded : (const void *)&sub->own.recipe};
        if (!s->has_parameters && sub->profile)
            setup.params.alpha = sub->profile->alpha;
        status = gdn_team_open(&sub->team, sub->engine, &setup,
                               sub->recorded ? 1 : parts_of(l, sub->visiting), err);
    }
    if (!status && visitors)
        status = trace_open(l, &gdn_backend_cpu, &l->local, s->shape.heads, s->shape.dv, false, err);
    return status;
}

/* The initial state, where there is one. */
static gdn_status open_state0(gdn_lockstep *l, gdn_error *err)
{
    gdn_shape shape = l->source->shape;
    if (!l->source->has_state0 || !l->recurrence)
        return GDN_OK;
    l->state0 = gdn_calloc((size_t)shape.heads * (size_t)shape.dk * (size_t)shape.dv, sizeof *l->state0);
    if (!l->state0)
        return gdn_no_memory(err, "the initial state");
    gdn_source_initial_state(l->source, l->state0);
    return GDN_OK;
}

/* Room for inputs and sums. */
static gdn_status open_sums(gdn_lockstep *l, gdn_error *err)
{
    const gdn_backend *b = l->backend;
    gdn_shape shape = l->source->shape;
    size_t H = heads_of(l), rows = (size_t)gdn_subject_series(l, l->subjects, 0) * H * GDN_QUANTITIES;
    size_t floats = H * (size_t)l->block * (2 * (size_t)shape.dk + 2 * (size_t)shape.dv + 4);
    l->slots = l->plan.segments > l->plan.samples ? l->plan.segments : l->plan.samples;
    l->closed = gdn_calloc(rows * (size_t)l->slots, sizeof *l->closed);
    l->joined = gdn_calloc(rows / GDN_QUANTITIES, sizeof *l->joined);
    l->averages = gdn_calloc(GDN_SUMS_OVER_TOKENS * H * (size_t)l->plan.segments, sizeof *l->averages);
    if (!l->closed || !l->joined || !l->averages)
        return gdn_no_memory(err, "the sums of a task");
    const struct {
        void **p;
        size_t n, size;
    } want[] = {{(void **)&l->open, rows, sizeof *l->open},
                {(void **)&l->running, GDN_SUMS_OVER_TOKENS * H, sizeof *l->running},
                {(void **)&l->scale, H, sizeof *l->scale},
                {(void **)&l->inputs, b->inputs ? floats : 1, sizeof *l->inputs}};
    gdn_status status = GDN_OK;
    for (size_t i = 0; i < sizeof want / sizeof want[0] && !status; i++)
        status = b->alloc(want[i].p, want[i].n, want[i].size, "the sums of a task", err);
    return status;
}

static void wanted(gdn_lockstep *l)
{
    const gdn_population *p = l->source->population;
    const gdn_quantity *q = p->quantities ? p->quantities : l->e->file->quantities;
    unsigned n = p->quantities ? p->quantities_count : l->e->file->quantities_count;
    for (unsigned i = 0; i < n; i++)
        l->reported[q[i]] = true;
    for (int i = 0; i < GDN_QUANTITIES && n == 0; i++)
        l->reported[i] = true;
    l->reported[GDN_Q_Y] &= l->source->has_z;
    memcpy(l->wanted, l->reported, sizeof l->wanted);
    l->wanted[GDN_Q_G] = true;                /* what theory predicts rests on the error of g */
    l->wanted[GDN_Q_O] |= l->wanted[GDN_Q_Y]; /* the uncertainty of y rests on that of o */
    l->recurrence = l->wanted[GDN_Q_STATE] || l->wanted[GDN_Q_O] || l->wanted[GDN_Q_Y];
}

gdn_status gdn_lockstep_open(const gdn_task *task, gdn_lockstep **out, gdn_error *err)
{
    gdn_lockstep *l = *out = gdn_calloc(1, sizeof *l);
    if (!l)
        return gdn_no_memory(err, "a task");
    l->e = task->experiment;
    l->backend = task->backend;
    l->threads = task->threads;
    l->ladder = &gdn_ladders[l->e->ladder];
    gdn_status status = gdn_source_open(l->e, task->population, task->seed, task->block, &l->source, err);
    if (!status)
        status = gdn_plan_make(l->source->lengths, l->source->length_count, &l->plan, err);
    if (!status) {
        gdn_plan_pack(&l->plan, l->source->sequences, l->source->sequence_count);
        l->block = l->plan.last < task->block ? (int)l->plan.last : task->block;
        wanted(l);
        status = choose(l, err);
    }
    if (!status)
        status = choose_columns(l, err);
    if (!status)
        status = open_state0(l, err);
    if (!status)
        status = open_engines(l, err);
    if (!status)
        status = open_sums(l, err);
    if (status) {
        gdn_lockstep_close(l);
        *out = NULL;
    }
    return status;
}

void gdn_lockstep_close(gdn_lockstep *l)
{
    if (!l)
        return;
    const gdn_backend *b = l->backend;
    for (int p = 0; p < l->subjects; p++)
        gdn_team_close(&l->subject[p].team);
    for (int i = 0; l->set && l->set[i].decay; i++) {
        gdn_set *s = &l->set[i];
        for (int x = 0; x < GDN_LEVELS; x++) {
            gdn_level *level = &s->level[x];
            gdn_team_close(&level->team);
            trace_close(b, &level->trace);
            trace_close(&gdn_backend_cpu, &level->local);
            b->release(level->trace.product);
        }
        free(s->decay);
        free(s->dt_bias);
        free(s->norm_weight);
    }
    trace_close(b, &l->trace);
    trace_close(&gdn_backend_cpu, &l->local);
    void *there[] = {l->checked_there, l->witness_index_there, l->products, l->open, l->running, l->scale,
                     l->inputs};
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
        b->release(there[i]);
    void *here[] = {l->set,    l->subject, l->checked,  l->witnessed, l->witness_index,
                    l->closed, l->joined,  l->averages, l->state0};
    for (size_t i = 0; i < sizeof here / sizeof here[0]; i++)
        free(here[i]);
    gdn_source_close(l->source);
    free(l);
}
