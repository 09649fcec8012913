/* SPDX-License-Identifier: Apache-2.0 */
/* task -- one population at one seed: running it and making its rows; see task.h. */
#include "harness/task.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "harness/lockstep.h"
#include "harness/predict.h"

/* Longer than five names of tensors, 400 characters each. */
enum { TEXT = 2048 };

/* An error below this many uncertainties of its reference is not reported as a number. */
static const double BELOW = 1000;

/* Products of alphas are kept in double-double; each multiplication may lose this much. */
static const double PRODUCT_LOSS = 0x1p-102;

/* A reference is handed over as hi + lo: 106 bits. */
static const double PAIR_LOSS = 0x1p-104;

/*
 * Floor of what double-double may be off, however well its witness agrees: some 2^-100 at once, and with the
 * rounding of alpha to 2^-106 up to 2^-105 a token. Measured at T = 100,000: 2^-94 for a needle, 2^-98
 * elsewhere.
 */
static const double DD_LOSS = 0x1p-100, DD_LOSS_A_TOKEN = 0x1p-105;

/* ---- rows ---- */

static gdn_row *rows_add(gdn_rows *rows)
{
    if (rows->count == rows->room) {
        int64_t room = rows->room ? 2 * rows->room : 1024;
        gdn_row *grown = realloc(rows->row, (size_t)room * sizeof *grown);
        if (!grown)
            return NULL;
        rows->row = grown;
        rows->room = room;
    }
    return &rows->row[rows->count++];
}

static gdn_pooled *rows_pool(gdn_rows *rows)
{
    if (rows->pools == rows->pool_room) {
        int64_t room = rows->pool_room ? 2 * rows->pool_room : 64;
        gdn_pooled *grown = realloc(rows->pooled, (size_t)room * sizeof *grown);
        if (!grown)
            return NULL;
        rows->pooled = grown;
        rows->pool_room = room;
    }
    return &rows->pooled[rows->pools++];
}

/* A text that lives as long as the rows; NULL when memory is out. */
static const char *rows_keep(gdn_rows *rows, const char *text)
{
    for (int i = 0; i < rows->texts; i++)
        if (strcmp(rows->text[i], text) == 0)
            return rows->text[i];
    if (rows->texts == rows->text_room) {
        int room = rows->text_room ? 2 * rows->text_room : 16;
        char **grown = realloc(rows->text, (size_t)room * sizeof *grown);
        if (!grown)
            return NULL;
        rows->text = grown;
        rows->text_room = room;
    }
    char *copy = strdup(text);
    if (copy)
        rows->text[rows->texts++] = copy;
    return copy;
}

void gdn_rows_free(gdn_rows *rows)
{
    for (int i = 0; i < rows->texts; i++)
        free(rows->text[i]);
    free(rows->text);
    free(rows->pooled);
    free(rows->row);
    *rows = (gdn_rows){0};
}

/* ---- from sums to rows ---- */

/* Everything that the rows of one subject share. */
typedef struct context {
    const gdn_lockstep *l;
    const gdn_subject *subject;
    int index;           /* of the subject */
    const char *profile; /* name */
    const char *recipe, *mode, *population;
    bool pool;
    char identity[2 * TEXT]; /* of the profile */
} context;

static bool same_gate(const context *c, int h)
{
    const gdn_set *set = &c->l->set[c->subject->set], *truth = &c->l->set[0];
    if (h == GDN_ALL_HEADS) {
        bool all = true;
        for (h = 0; h < c->l->source->shape.heads; h++)
            all &= same_gate(c, h);
        return all;
    }
    return set == truth ||
           (set->params.decay_is_a == truth->params.decay_is_a && set->decay[h] == truth->decay[h] &&
            set->dt_bias[h] == truth->dt_bias[h] && set->params.alpha == truth->params.alpha);
}

static bool same_norm(const context *c)
{
    const gdn_set *set = &c->l->set[c->subject->set], *truth = &c->l->set[0];
    size_t bytes = (size_t)c->l->source->shape.dv * sizeof *truth->norm_weight;
    return set == truth || memcmp(set->norm_weight, truth->norm_weight, bytes) == 0;
}

/* rms of the relative error of the stored weight. */
static double norm_error(const context *c)
{
    const double *w = c->l->set[c->subject->set].norm_weight, *t = c->l->set[0].norm_weight;
    double d2 = 0, t2 = 0;
    for (int j = 0; j < c->l->source->shape.dv; j++) {
        d2 += (w[j] - t[j]) * (w[j] - t[j]);
        t2 += t[j] * t[j];
    }
    return sqrt(d2 / t2);
}

/* Relative L2 of a series over a window; 0 where its reference has vanished, NaN where squares overflow. */
static double relative(const context *c, int series, int h, gdn_quantity q, const gdn_window *w)
{
    gdn_sums s = gdn_lockstep_sums(c->l, series, h, q, w);
    return !gdn_sums_finite(&s) ? (double)NAN : gdn_sums_zero_reference(&s) ? 0 : sqrt(s.dd / s.rr);
}

/* The larger one; NaN where one of them is. */
static double larger(double x, double y)
{
    return x > y || x != x ? x : y;
}

/* Elements that the two of a series do not both have as finite numbers. */
static int64_t nonfinite(const context *c, int series, int h, gdn_quantity q, const gdn_window *w)
{
    return gdn_lockstep_sums(c->l, series, h, q, w).nonfinite;
}

/* What handing over hi + lo, and for the decay multiplying them up, may lose by the end of a window. */
static double handing_over(gdn_quantity q, const gdn_window *w)
{
    return PAIR_LOSS + (q == GDN_Q_DECAY ? (double)w->to * PRODUCT_LOSS : 0);
}

/*
 * Uncertainty of the check: the largest relative difference to the witness, over the heads that it ran. Where
 * both overflow there is nothing to compare; NaN where the witness alone is not finite.
 */
static double witnessed(const context *c, gdn_quantity q, const gdn_window *w)
{
    const gdn_level *witness = &c->l->set[c->l->witness_set].level[GDN_WITNESS];
    const int against = gdn_set_series(c->l->witness_set, GDN_SET_WITNESS),
              check = gdn_set_series(c->l->witness_set, GDN_SET_CHECK);
    double worst = 0;
    for (int h = witness->head; witness->engine && h < witness->head + witness->heads; h++) {
        bool alone = nonfinite(c, against, h, q, w) > 0 && nonfinite(c, check, h, q, w) == 0;
        worst = larger(worst, alone ? (double)NAN : relative(c, against, h, q, w));
    }
    return worst + (witness->engine ? DD_LOSS + (double)w->to * DD_LOSS_A_TOKEN : 0) + handing_over(q, w);
}

/* Uncertainty of one set's reference at the level that serves: the base, or the check. */
static double uncertainty_of(const context *c, bool fine, int set, int h, gdn_quantity q, const gdn_window *w)
{
    double u = witnessed(c, q, w);
    if (!fine)
        u += relative(c, gdn_set_series(set, GDN_SET_CHECK), h, q, w);
    double o = 0;
    if (q == GDN_Q_Y) /* the mean of o^2 comes from the base; y weighs fading tokens like others: take the
                         worst window */
        for (int i = 0; i < c->l->plan.windows; i++)
            if (c->l->plan.window[i].to <= w->to)
                o = larger(
                    o, relative(c, gdn_set_series(set, GDN_SET_CHECK), h, GDN_Q_O, &c->l->plan.window[i]));
    return u + o;
}

static double uncertainty(const context *c, bool fine, gdn_kind kind, int h, gdn_quantity q,
                          const gdn_window *w)
{
    return (kind != GDN_ARITH ? uncertainty_of(c, fine, 0, h, q, w) : 0) +
           (kind != GDN_TOTAL ? uncertainty_of(c, fine, c->subject->set, h, q, w) : 0);
}

static gdn_format_id output_format(const context *c, gdn_quantity q)
{
    if (c->subject->recorded)
        return gdn_recorded_format(c->subject->recorded, q);
    const gdn_recipe *r = &c->subject->own.recipe;
    const gdn_format_id table[GDN_QUANTITIES] = {[GDN_Q_G] = r->op,
                                                 [GDN_Q_DECAY] = r->op,
                                                 [GDN_Q_STATE] = r->state,
                                                 [GDN_Q_O] = r->output,
                                                 [GDN_Q_Y] = r->output};
    return table[q];
}

/* The sums of one kind against the base, or against the check on its columns. */
static gdn_sums sums_of(const context *c, bool fine, gdn_kind kind, int h, gdn_quantity q,
                        const gdn_window *w)
{
    const gdn_lockstep *l = c->l;
    int set = c->subject->set, total = fine ? GDN_SUBJECT_TOTAL_FINE : GDN_SUBJECT_TOTAL,
        arith = fine ? GDN_SUBJECT_ARITH_FINE : GDN_SUBJECT_ARITH,
        storage = fine ? GDN_SET_STORAGE_FINE : GDN_SET_STORAGE;
    /* on the true parameters arith is total, and storage is zero: only the reference's norm is wanted of it
     */
    int series = set == 0 && gdn_subject_is_storage(c->subject) ? gdn_set_series(set, GDN_SET_CHECK)
                 : set == 0 || kind == GDN_TOTAL                ? gdn_subject_series(l, c->index, total)
                 : kind == GDN_ARITH                            ? gdn_subject_series(l, c->index, arith)
                                                                : gdn_set_series(set, storage);
    return gdn_lockstep_sums(l, series, h, q, w);
}

/* Is the storage error zero because nothing that the quantity depends on was changed? */
static bool exactly_zero(const context *c, gdn_kind kind, int h, gdn_quantity q)
{
    return kind == GDN_STORAGE && same_gate(c, h) && (q != GDN_Q_Y || same_norm(c));
}

/* Are the references of the truth and of the subject's set, and what certifies them, finite? */
static bool reference_finite(const context *c, int h, gdn_quantity q, const gdn_window *w)
{
    return nonfinite(c, gdn_set_series(0, GDN_SET_CHECK), h, q, w) == 0 &&
           nonfinite(c, gdn_set_series(c->subject->set, GDN_SET_CHECK), h, q, w) == 0;
}

/*
 * Fill the row from one level of the reference; returns its flag. Nothing of a row is a number where an
 * element, a sum of squares or the uncertainty of the reference is none.
 */
static gdn_flag measure_at(const context *c, bool fine, gdn_kind kind, int h, gdn_quantity q,
                           const gdn_window *w, gdn_row *row)
{
    bool exact = exactly_zero(c, kind, h, q);
    gdn_sums s = sums_of(c, fine, kind, h, q, w);
    if (exact && s.nonfinite) /* the kernel's, or the reference's: only the latter counts here */
        s = gdn_lockstep_sums(c->l, gdn_set_series(c->subject->set, GDN_SET_CHECK), h, q, w);
    if (exact)
        s.dd = s.dr = s.binades = 0;
    double u = exact ? 0 : uncertainty(c, fine, kind, h, q, w);
    row->uncertainty = u - u == 0 ? u : (double)NAN;
    gdn_measures m = gdn_sums_measures(&s, gdn_formats[output_format(c, q)].p);
    gdn_flag flag = s.nonfinite || !gdn_sums_finite(&s) || u - u != 0 || !reference_finite(c, h, q, w)
                        ? GDN_NONFINITE
                    : gdn_sums_zero_reference(&s) ? GDN_ZERO_REFERENCE
                    : exact                       ? GDN_FLAG_OK
                    : !(m.nmse - m.nmse == 0)     ? GDN_NONFINITE
                    : m.rel_l2 < BELOW * u        ? GDN_BELOW_REFERENCE
                                                  : GDN_FLAG_OK;
    if (flag != GDN_FLAG_OK)
        m = (gdn_measures){NAN, NAN, NAN, NAN, NAN, NAN};
    row->flag = gdn_flag_names[flag];
    row->rel_l2 = m.rel_l2;
    row->nmse = m.nmse;
    /* binades are counted down to 2^-126: right for formats that reach as far */
    bool reaches = gdn_formats[output_format(c, q)].emin <= -126 && m.max_ulp - m.max_ulp == 0;
    row->max_ulp = reaches ? m.max_ulp : (double)NAN;
    row->bias = m.bias;
    row->bits = m.rel_l2 > 0 ? m.bits : (double)NAN;
    row->cosine = m.cosine;
    return flag;
}

/* Measure at the cheapest rung that is certified well enough; say which, and on how many columns. Was it the
 * check? */
static bool measure(const context *c, gdn_kind kind, int h, gdn_quantity q, const gdn_window *w, gdn_row *row)
{
    const gdn_lockstep *l = c->l;
    const gdn_level *witness = &l->set[l->witness_set].level[GDN_WITNESS];
    bool scalar = (q == GDN_Q_G || q == GDN_Q_DECAY) && l->ladder->scalars_from_check, fine = scalar;
    if (measure_at(c, fine, kind, h, q, w, row) == GDN_BELOW_REFERENCE && !fine && witness->engine) {
        gdn_row base = *row;
        fine = measure_at(c, true, kind, h, q, w, row) == GDN_FLAG_OK;
        if (!fine)
            *row = base;
    }
    row->reference = l->ladder->engine[fine ? GDN_CHECK : GDN_BASE]->name;
    bool seen = h == GDN_ALL_HEADS ? witness->heads == l->source->shape.heads
                                   : h >= witness->head && h < witness->head + witness->heads;
    row->certified = !fine ? l->nchecked : !seen ? 0 : scalar ? 1 : witness->ncolumns;
    return fine;
}

/* gamma, gamma_eff and what theory says of this row. */
static void theory(const context *c, gdn_kind kind, int h, gdn_quantity q, const gdn_window *w, gdn_row *row)
{
    const gdn_lockstep *l = c->l;
    const gdn_source *s = l->source;
    double gamma = gdn_lockstep_mean(l, GDN_SUM_ABS_G, h, w->to),
           beta = gdn_lockstep_mean(l, GDN_SUM_BETA, h, w->to),
           beta2 = gdn_lockstep_mean(l, GDN_SUM_BETA2, h, w->to);
    gdn_keys keys = s->spec.keys;
    row->gamma = gamma - gamma == 0 ? gamma : (double)NAN; /* g = -inf: alpha = 0 */
    row->gamma_eff = s->population->file
                         ? (double)NAN
                         : gdn_gamma_eff(keys, s->shape.dk, s->spec.rank, row->gamma, beta, beta2);
    row->predicted = NAN;
    if (s->population->file || c->subject->recorded || !s->has_parameters || s->has_state0 ||
        s->sequence_count)
        return; /* theory starts one sequence from an empty state */
    const gdn_set *set = &l->set[c->subject->set], *truth = &l->set[0];
    gdn_window upto = {1, w->to, true};
    gdn_sums g = gdn_lockstep_sums(l, gdn_set_series(c->subject->set, GDN_SET_STORAGE), h, GDN_Q_G, &upto);
    bool gate_kept = same_gate(c, h);
    gdn_regime r = {
        .keys = keys,
        .gamma = row->gamma,
        .gamma_eff = row->gamma_eff,
        .eps = gate_kept ? 0
               : g.n     ? g.dr / g.rr
                         : (double)NAN,
        .eps_a_log = set->dt_bias[h] == truth->dt_bias[h]
                         ? gdn_rate_error(set->params.decay_is_a, set->decay[h], truth->decay[h])
                         : (double)NAN,
        .norm = norm_error(c),
        .profile = &c->subject->own,
        .from = w->whole && q == GDN_Q_STATE ? w->to : w->from,
        .to = w->to,
    };
    row->predicted =
        set->params.alpha != GDN_FP64 && kind == GDN_STORAGE ? (double)NAN : gdn_predict(&r, q, kind);
}

static uint64_t cell_of(const context *c, const gdn_row *row)
{
    char text[16 * TEXT];
    int n = snprintf(text, sizeof text, "gdnprec %d|%s|%s|%" PRId64 "|%" PRId64 "|%s|%s|%" PRId64 "|%" PRId64,
                     GDN_SCHEMA, c->l->source->text, c->identity, row->seed, row->head, row->quantity,
                     row->kind, row->from, row->to);
    return XXH3_64bits(text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

/* The row of one head, or of all; was it measured against the check? */
static bool fill(const context *c, gdn_quantity q, gdn_kind kind, const gdn_window *w, int h, gdn_row *row)
{
    const gdn_source *s = c->l->source;
    bool state = q == GDN_Q_STATE, own = s->has_parameters && h != GDN_ALL_HEADS;
    *row = (gdn_row){
        .profile = c->profile,
        .recipe = c->recipe,
        .mode = c->mode,
        .population = c->population,
        .keys = s->population->file ? "file" : gdn_keys_names[s->spec.keys],
        .dk = s->shape.dk,
        .dv = s->shape.dv,
        .length = w->to,
        .seed = (int64_t)s->seed,
        .head = h,
        .a_log = own ? s->a_log[h] : (double)NAN,
        .dt_bias = own ? s->dt_bias[h] : (double)NAN,
        .quantity = gdn_quantity_names[q],
        .kind = gdn_kind_names[kind],
        .from = state && w->whole ? w->to : w->from,
        .to = w->to,
    };
    row->cell = cell_of(c, row);
    bool fine = measure(c, kind, h, q, w, row);
    theory(c, kind, h, q, w, row);
    return fine;
}

static gdn_status emit(const context *c, gdn_quantity q, gdn_kind kind, const gdn_window *w, gdn_rows *rows,
                       gdn_error *err)
{
    bool last_only = c->subject->recorded && q == GDN_Q_STATE;
    if (last_only && !(w->whole && w->to == c->subject->recorded->tokens))
        return GDN_OK;
    for (int h = 0; h < c->l->source->shape.heads; h++) {
        gdn_row *row = rows_add(rows);
        if (!row)
            return gdn_no_memory(err, "rows");
        fill(c, q, kind, w, h, row);
    }
    if (c->pool) {
        gdn_pooled *p = rows_pool(rows);
        if (!p)
            return gdn_no_memory(err, "rows");
        bool fine = fill(c, q, kind, w, GDN_ALL_HEADS, &p->row);
        p->sums = sums_of(c, fine, kind, GDN_ALL_HEADS, q, w);
    }
    return GDN_OK;
}

/* What a mode adds to identities: nothing where results are the same everywhere. */
static const char *mode_text(const char *mode)
{
    return strcmp(mode, "portable") == 0 ? "" : mode;
}

static gdn_status emit_subject(context *c, int index, gdn_rows *rows, gdn_error *err)
{
    const gdn_lockstep *l = c->l;
    const gdn_subject *s = c->subject = &l->subject[index];
    c->index = index;
    char text[TEXT] = "recorded";
    if (s->recorded)
        snprintf(text, sizeof text, "recorded;%s;%s;%s;%s", s->recorded->spec->g ? s->recorded->spec->g : "",
                 s->recorded->spec->o ? s->recorded->spec->o : "",
                 s->recorded->spec->state ? s->recorded->spec->state : "",
                 s->recorded->spec->y ? s->recorded->spec->y : "");
    else
        gdn_profile_text(&s->own, text, sizeof text);
    if (s->recorded && s->recorded->spec->storage) {
        size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, ";storage=%s", s->recorded->spec->storage);
    }
    c->profile = rows_keep(rows, s->recorded ? s->recorded->spec->name : s->profile->name);
    c->recipe = rows_keep(rows, s->recorded ? "recorded" : s->own.recipe.name);
    c->mode = s->recorded ? "recorded" : l->backend->mode(&s->own.recipe);
    snprintf(c->identity, sizeof c->identity, "%s;%s%s", c->profile ? c->profile : "", text,
             s->recorded ? "" : mode_text(c->mode));
    if (!c->profile || !c->recipe || !c->population)
        return gdn_no_memory(err, "rows");
    bool split = l->source->has_parameters && /* else there are no stored parameters to speak of */
                 (!s->recorded || s->recorded->spec->storage),
         alone = gdn_subject_is_storage(s);
    gdn_status status = GDN_OK;
    for (gdn_quantity q = 0; q < GDN_QUANTITIES; q++)
        for (gdn_kind kind = 0; kind < (split ? GDN_KINDS : 1); kind++)
            for (int w = 0; w < l->plan.windows && l->reported[q] && !status; w++)
                if (alone ? kind == GDN_STORAGE : gdn_subject_has(s, q))
                    status = emit(c, q, kind, &l->plan.window[w], rows, err);
    return status;
}

gdn_status gdn_task_run(const gdn_task *task, gdn_task_progress progress, void *progress_context,
                        gdn_rows *rows, gdn_error *err)
{
    gdn_lockstep *l = NULL;
    *rows = (gdn_rows){0};
    gdn_status status = gdn_lockstep_open(task, &l, err);
    if (!status)
        status = gdn_lockstep_run(l, progress, progress_context, err);
    if (!status) {
        rows->certify_seconds = l->certify_seconds;
        context c = {.l = l, .population = rows_keep(rows, l->source->population->name), .pool = task->pool};
        for (int p = 0; p < l->subjects && !status; p++)
            status = emit_subject(&c, p, rows, err);
    }
    gdn_lockstep_close(l);
    if (status)
        gdn_rows_free(rows);
    return status;
}

/* ---- the list of tasks ---- */

/* Everything that determines the rows of a task, hashed. */
static gdn_status identify(gdn_task *task, gdn_error *err)
{
    const gdn_experiment *e = task->experiment;
    gdn_source *s = NULL;
    char text[TEXT];
    gdn_status status = gdn_source_open(e, task->population, task->seed, 1, &s, err);
    if (status)
        return status;
    XXH3_state_t *hash = XXH3_createState();
    gdn_plan plan;
    status = hash ? gdn_plan_make(s->lengths, s->length_count, &plan, err) : gdn_no_memory(err, "a hash");
    if (status) {
        XXH3_freeState(hash);
        gdn_source_close(s);
        return status;
    }
    gdn_plan_pack(&plan, s->sequences, s->sequence_count);
    task->shape = s->shape;
    task->tokens = plan.last;
    task->stops = plan.segments > plan.samples ? plan.segments : plan.samples;
    XXH3_64bits_reset(hash);
    int n = snprintf(text, sizeof text, "%d|%d|%d|%d|%d|%d|%" PRIu64 "|", GDN_SCHEMA, (int)e->ladder,
                     e->precision, e->check_precision, e->check_columns, s->shape.heads, task->seed);
    XXH3_64bits_update(hash, text, (size_t)n);
    XXH3_64bits_update(hash, s->text, strlen(s->text));
    XXH3_64bits_update(hash, s->lengths, (size_t)s->length_count * sizeof *s->lengths);
    const gdn_population *p = s->population;
    char **names = p->profiles ? p->profiles : e->file->profiles;
    unsigned profiles = p->profiles ? p->profiles_count : e->file->profiles_count;
    for (unsigned i = 0; i < profiles; i++) {
        const gdn_profile *profile = &e->profiles[gdn_experiment_profile(e, names[i])];
        XXH3_64bits_update(hash, profile->name, strlen(profile->name) + 1);
        gdn_profile_text(profile, text, sizeof text);
        XXH3_64bits_update(hash, text, strlen(text) + 1);
        const char *mode = mode_text(task->backend->mode(&profile->recipe));
        XXH3_64bits_update(hash, mode, strlen(mode));
    }
    const gdn_quantity *q = p->quantities ? p->quantities : e->file->quantities;
    unsigned quantities = p->quantities ? p->quantities_count : e->file->quantities_count;
    if (quantities)
        XXH3_64bits_update(hash, q, quantities * sizeof *q);
    for (unsigned i = 0; i < p->recorded_count; i++) {
        const gdn_recorded_spec *r = &p->recorded[i];
        n = snprintf(text, sizeof text, "%s|%s|%s|%s|%s|%d;", r->name, r->g ? r->g : "", r->o ? r->o : "",
                     r->state ? r->state : "", r->y ? r->y : "", r->output);
        XXH3_64bits_update(hash, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
        if (r->storage)
            XXH3_64bits_update(hash, r->storage, strlen(r->storage) + 1);
    }
    snprintf(task->id, sizeof task->id, "%016" PRIx64, (uint64_t)XXH3_64bits_digest(hash));
    bool gate_only = true;
    for (unsigned i = 0; i < quantities; i++)
        gate_only &= q[i] == GDN_Q_G || q[i] == GDN_Q_DECAY;
    double width = quantities && gate_only ? 1 : (double)s->shape.dk * s->shape.dv;
    task->cost = width * s->shape.heads * (double)s->lengths[s->length_count - 1] * (1 + profiles);
    XXH3_freeState(hash);
    gdn_source_close(s);
    return GDN_OK;
}

gdn_status gdn_tasks_make(const gdn_experiment *e, const gdn_backend *backend, gdn_task **tasks, int *count,
                          gdn_error *err)
{
    size_t room = 0;
    for (unsigned i = 0; i < e->file->populations_count; i++)
        room += e->file->populations[i].file ? 1 : (size_t)e->file->seeds;
    *count = 0;
    *tasks = NULL;
    if (room > GDN_MOST_TASKS)
        return gdn_fail(err, GDN_BAD_INPUT,
                        "%s:%d: seeds: populations and seeds make %zu tasks; at most %d are allowed", e->path,
                        gdn_yaml_line(e->text, "seeds"), room, GDN_MOST_TASKS);
    *tasks = gdn_calloc(room, sizeof **tasks);
    if (!*tasks)
        return gdn_no_memory(err, "tasks");
    gdn_status status = GDN_OK;
    for (unsigned i = 0; i < e->file->populations_count && !status; i++) {
        bool drawn = !e->file->populations[i].file;
        int first = drawn ? e->seeds_before + 1 : 1, seeds = drawn ? (int)e->file->seeds : 1;
        for (int seed = first; seed < first + seeds && !status; seed++) {
            gdn_task *t = &(*tasks)[(*count)++];
            *t = (gdn_task){.experiment = e,
                            .population = (int)i,
                            .seed = (uint64_t)seed,
                            .backend = backend,
                            .block = GDN_BLOCK,
                            .threads = 1};
            status = gdn_task_runnable(t, err);
            if (!status)
                status = identify(t, err);
        }
    }
    if (status) {
        free(*tasks);
        *tasks = NULL;
    }
    return status;
}
