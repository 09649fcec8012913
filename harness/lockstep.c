/* SPDX-License-Identifier: Apache-2.0 */
/* lockstep -- engines over the same inputs, and the sums of their differences; see lockstep.h. */
#include "harness/lockstep.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/portable.h"
#include "kernels/recurrent.h"
#include "reference/gdn_mpfr.h"

static size_t heads_of(const gdn_lockstep *l)
{
    return (size_t)l->source->shape.heads;
}

/* ---- traces ---- */

static gdn_status trace_open(const gdn_lockstep *l, gdn_trace *t, int columns, bool pairs, gdn_error *err)
{
    size_t H = heads_of(l), n = H * (size_t)l->block, m = l->recurrence ? n * (size_t)columns : 0;
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
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        if (want[i].wanted && !(*want[i].p = gdn_calloc(want[i].n, sizeof(double))))
            return gdn_no_memory(err, "a block of outputs");
    if (!(t->product = gdn_calloc(H, sizeof *t->product)))
        return gdn_no_memory(err, "a block of outputs");
    for (size_t h = 0; h < H; h++)
        t->product[h] = gdn_product_one;
    return GDN_OK;
}

static void trace_close(gdn_trace *t)
{
    double *all[] = {t->g,    t->alpha,    t->decay,    t->o,    t->y,    t->ms,    t->state,
                     t->g_lo, t->alpha_lo, t->decay_lo, t->o_lo, t->y_lo, t->ms_lo, t->state_lo};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
    free(t->product);
}

static gdn_outputs outputs_of(const gdn_trace *t)
{
    return (gdn_outputs){.g = t->g,
                         .g_lo = t->g_lo,
                         .alpha = t->alpha,
                         .alpha_lo = t->alpha_lo,
                         .o = t->o,
                         .o_lo = t->o_lo,
                         .y = t->y,
                         .y_lo = t->y_lo,
                         .ms = t->ms,
                         .ms_lo = t->ms_lo};
}

/* Running products of alpha over a block, as values relative to 2^scale[h]; `starts` sets scale from this
 * trace. */
static void cumulate(gdn_lockstep *l, gdn_trace *t, int n, bool starts)
{
    for (size_t h = 0; h < heads_of(l); h++)
        for (size_t x = 0; x < (size_t)n; x++) {
            size_t at = h * (size_t)n + x;
            gdn_product_multiply(&t->product[h], t->alpha[at], t->alpha_lo ? t->alpha_lo[at] : 0);
            if (starts && x == 0)
                l->scale[h] = t->product[h].e;
            gdn_product_value(&t->product[h], l->scale[h], &t->decay[at], &t->decay_lo[at]);
        }
}

/* ---- differences ---- */

static gdn_accumulator *open_at(const gdn_lockstep *l, int series, size_t h, gdn_quantity q)
{
    return &l->open[((size_t)series * heads_of(l) + h) * GDN_QUANTITIES + q];
}

static gdn_sums *closed_at(const gdn_lockstep *l, int series, size_t h, gdn_quantity q, int slot)
{
    size_t row = ((size_t)series * heads_of(l) + h) * GDN_QUANTITIES + q;
    return &l->closed[row * (size_t)l->slots + (size_t)slot];
}

static gdn_pair at(const double *hi, const double *lo, size_t i)
{
    return (gdn_pair){hi + i, lo ? lo + i : NULL};
}

/* Which arrays of a trace hold a per-token scalar or row. */
static void arrays(const gdn_trace *t, gdn_quantity q, const double **hi, const double **lo)
{
    const double *const table[GDN_QUANTITIES][2] = {[GDN_Q_G] = {t->g, t->g_lo},
                                                    [GDN_Q_DECAY] = {t->decay, t->decay_lo},
                                                    [GDN_Q_STATE] = {t->state, t->state_lo},
                                                    [GDN_Q_O] = {t->o, t->o_lo},
                                                    [GDN_Q_Y] = {t->y, t->y_lo}};
    *hi = table[q][0];
    *lo = table[q][1];
}

/* Rows of a quantity per head: tokens, or rows of the state; and its width. */
static void extent(const gdn_lockstep *l, gdn_quantity q, int n, size_t *rows, int *width)
{
    *rows = q == GDN_Q_STATE ? (size_t)l->source->shape.dk : (size_t)n;
    *width = q == GDN_Q_G || q == GDN_Q_DECAY ? 1 : l->source->shape.dv;
}

/* x - y against r for one quantity over the block (or the state), into a series. */
static void differ(gdn_lockstep *l, int series, gdn_quantity q, int n, const gdn_trace *x, const gdn_trace *y,
                   const gdn_trace *r)
{
    const double *xh, *xl, *yh, *yl, *rh, *rl;
    size_t rows;
    int width;
    arrays(x, q, &xh, &xl);
    arrays(y, q, &yh, &yl);
    arrays(r, q, &rh, &rl);
    extent(l, q, n, &rows, &width);
    for (size_t h = 0; h < heads_of(l); h++) {
        gdn_accumulator *a = open_at(l, series, h, q);
        a->scale = q == GDN_Q_DECAY ? (int)(l->scale[h] < -1000000000 ? -1000000000 : l->scale[h]) : 0;
        for (size_t row = 0; row < rows; row++) {
            size_t i = (h * rows + row) * (size_t)width;
            gdn_accumulate(a, at(xh, xl, i), at(yh, yl, i), at(rh, rl, i), width);
        }
    }
}

/* The same between a reference and its check, on the columns that the check ran. */
static void differ_checked(gdn_lockstep *l, int series, gdn_quantity q, int n, const gdn_trace *x,
                           const gdn_trace *c)
{
    const double *xh, *xl, *ch, *cl;
    double hi[GDN_MAX_DIM], lo[GDN_MAX_DIM];
    size_t rows;
    int width;
    arrays(x, q, &xh, &xl);
    arrays(c, q, &ch, &cl);
    extent(l, q, n, &rows, &width);
    int m = width == 1 ? 1 : l->ncolumns;
    for (size_t h = 0; h < heads_of(l); h++) {
        gdn_accumulator *a = open_at(l, series, h, q);
        a->scale = q == GDN_Q_DECAY ? (int)(l->scale[h] < -1000000000 ? -1000000000 : l->scale[h]) : 0;
        for (size_t row = 0; row < rows; row++) {
            for (int j = 0; j < m; j++) {
                size_t i = (h * rows + row) * (size_t)width + (size_t)(width == 1 ? 0 : l->columns[j]);
                hi[j] = xh[i];
                lo[j] = xl ? xl[i] : 0;
            }
            size_t i = (h * rows + row) * (size_t)m;
            gdn_accumulate(a, (gdn_pair){hi, lo}, at(ch, cl, i), at(ch, cl, i), m);
        }
    }
}

static bool per_token(const gdn_lockstep *l, gdn_quantity q)
{
    return l->wanted[q] && q != GDN_Q_STATE;
}

static void close_slot(gdn_lockstep *l, gdn_quantity q, int slot)
{
    int series = GDN_SERIES_PER * (l->sets + l->subjects);
    for (int s = 0; s < series; s++)
        for (size_t h = 0; h < heads_of(l); h++) {
            gdn_accumulator *a = open_at(l, s, h, q);
            *closed_at(l, s, h, q, slot) = gdn_accumulator_sums(a);
            memset(a, 0, sizeof *a);
        }
}

/* ---- one block ---- */

static gdn_status advance_sets(gdn_lockstep *l, const gdn_block *in, bool starts, gdn_error *err)
{
    for (int s = 0; s < l->sets; s++) {
        gdn_set *set = &l->set[s];
        gdn_outputs out = outputs_of(&set->trace), check = outputs_of(&set->checked);
        check.ms = out.ms;
        check.ms_lo = out.ms_lo;
        gdn_status status = gdn_mpfr_engine.advance(set->reference, in, &out, err);
        if (!status)
            status = gdn_mpfr_engine.advance(set->check, in, &check, err);
        if (status)
            return status;
        cumulate(l, &set->trace, in->tokens, starts && s == 0);
        cumulate(l, &set->checked, in->tokens, false);
        for (gdn_quantity q = 0; q < GDN_QUANTITIES; q++) {
            if (!per_token(l, q))
                continue;
            differ_checked(l, gdn_series_check(s), q, in->tokens, &set->trace, &set->checked);
            if (s)
                differ(l, gdn_series_storage(s), q, in->tokens, &set->trace, &l->set[0].trace,
                       &l->set[0].trace);
        }
    }
    return GDN_OK;
}

/* total and arith of one subject; on the true parameters they are one and the same. */
static void compare(gdn_lockstep *l, int p, gdn_quantity q, int n)
{
    const gdn_set *truth = &l->set[0], *stored = &l->set[l->subject[p].set];
    differ(l, gdn_series_total(l, p), q, n, &l->trace, &truth->trace, &truth->trace);
    if (stored != truth)
        differ(l, gdn_series_arith(l, p), q, n, &l->trace, &stored->trace, &truth->trace);
}

bool gdn_subject_has(const gdn_subject *s, gdn_quantity q)
{
    const gdn_recorded *r = s->recorded;
    const bool has[GDN_QUANTITIES] = {
        [GDN_Q_G] = r && r->g, [GDN_Q_O] = r && r->o, [GDN_Q_Y] = r && r->y, [GDN_Q_STATE] = r && r->state};
    return !r || has[q];
}

static gdn_status advance_subjects(gdn_lockstep *l, const gdn_block *in, gdn_product *products,
                                   gdn_error *err)
{
    size_t H = heads_of(l);
    for (int p = 0; p < l->subjects; p++) {
        gdn_subject *s = &l->subject[p];
        gdn_outputs out = outputs_of(&l->trace);
        gdn_status status = s->engine->advance(s->self, in, &out, err);
        if (status)
            return status;
        memcpy(l->trace.product, products + (size_t)p * H, H * sizeof *products);
        if (gdn_subject_has(s, GDN_Q_DECAY))
            cumulate(l, &l->trace, in->tokens, false);
        memcpy(products + (size_t)p * H, l->trace.product, H * sizeof *products);
        for (gdn_quantity q = 0; q < GDN_QUANTITIES; q++)
            if (per_token(l, q) && gdn_subject_has(s, q))
                compare(l, p, q, in->tokens);
    }
    return GDN_OK;
}

static gdn_status compare_states(gdn_lockstep *l, int64_t position, int slot, gdn_error *err)
{
    gdn_status status = GDN_OK;
    for (int s = 0; s < l->sets && !status; s++) {
        gdn_set *set = &l->set[s];
        status = gdn_mpfr_engine.read_state(set->reference, set->trace.state, set->trace.state_lo, err);
        if (!status)
            status = gdn_mpfr_engine.read_state(set->check, set->checked.state, set->checked.state_lo, err);
        if (status)
            break;
        differ_checked(l, gdn_series_check(s), GDN_Q_STATE, 0, &set->trace, &set->checked);
        if (s)
            differ(l, gdn_series_storage(s), GDN_Q_STATE, 0, &set->trace, &l->set[0].trace, &l->set[0].trace);
    }
    for (int p = 0; p < l->subjects && !status; p++) {
        const gdn_subject *s = &l->subject[p];
        if (!gdn_subject_has(s, GDN_Q_STATE) || (s->recorded && position != s->recorded->tokens))
            continue;
        status = s->engine->read_state(s->self, l->trace.state, NULL, err);
        if (!status)
            compare(l, p, GDN_Q_STATE, 0);
    }
    close_slot(l, GDN_Q_STATE, slot);
    return status;
}

/* Sums of |g|, beta and beta^2 of the truth over a block, into segment `slot`. */
static void average(gdn_lockstep *l, const gdn_block *in, int slot)
{
    for (size_t h = 0; h < heads_of(l); h++)
        for (size_t t = 0; t < (size_t)in->tokens; t++) {
            size_t i = h * (size_t)in->tokens + t, to = h * (size_t)l->plan.segments + (size_t)slot;
            double beta = in->beta ? in->beta[i] : gdn_sigmoid(in->b[i]);
            l->abs_g[to] += __builtin_fabs(l->set[0].trace.g[i]);
            l->beta[to] += beta;
            l->beta2[to] += beta * beta;
        }
}

gdn_status gdn_lockstep_run(gdn_lockstep *l, gdn_task_progress progress, void *context, gdn_error *err)
{
    gdn_product *products = gdn_calloc((size_t)l->subjects * heads_of(l), sizeof *products);
    if (!products)
        return gdn_no_memory(err, "running decays");
    for (size_t i = 0; i < (size_t)l->subjects * heads_of(l); i++)
        products[i] = gdn_product_one;
    gdn_status status = GDN_OK;
    int segment = 0, sample = 0;
    bool starts = true;
    for (int64_t done = 0; done < l->plan.last && !status;) {
        int64_t stop = l->plan.segment_end[segment];
        if (sample < l->plan.samples && l->plan.sample[sample] < stop)
            stop = l->plan.sample[sample];
        int n = stop - done < l->block ? (int)(stop - done) : l->block;
        gdn_block in;
        gdn_source_block(l->source, done + 1, n, &in);
        status = advance_sets(l, &in, starts, err);
        if (!status)
            status = advance_subjects(l, &in, products, err);
        if (status)
            break;
        average(l, &in, segment);
        done += n;
        starts = false;
        if (sample < l->plan.samples && done == l->plan.sample[sample]) {
            if (l->wanted[GDN_Q_STATE])
                status = compare_states(l, done, sample, err);
            sample++;
        }
        if (done == l->plan.segment_end[segment]) {
            for (gdn_quantity q = 0; q < GDN_QUANTITIES; q++)
                if (per_token(l, q))
                    close_slot(l, q, segment);
            segment++;
            starts = true;
        }
        if (!status && progress && progress(context, (double)n / (double)l->plan.last))
            status = gdn_fail(err, GDN_DIFFERS, "stopped");
    }
    free(products);
    return status;
}

/* ---- life ---- */

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
    set->params =
        (gdn_params){p && p->store_a, set->decay, set->dt_bias, set->norm_weight, p ? p->alpha : GDN_FP64};
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
static gdn_status choose(gdn_lockstep *l, const gdn_task *task, gdn_error *err)
{
    const gdn_population *p = l->source->population;
    char **names = p->profiles ? p->profiles : l->e->file->profiles;
    int n = (int)(p->profiles ? p->profiles_count : l->e->file->profiles_count);
    size_t H = heads_of(l), dv = (size_t)l->source->shape.dv;
    (void)task;
    l->set =
        gdn_calloc((size_t)n + 3, sizeof *l->set); /* the true one, one a profile, a trial, an end mark */
    l->subject = gdn_calloc((size_t)(n + l->source->recorded_count), sizeof *l->subject);
    if (!l->set || !l->subject)
        return gdn_no_memory(err, "profiles");
    for (int i = 0; i < n + 2; i++) {
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
        l->set[0].params = (gdn_params){.norm_weight = l->set[0].norm_weight, .alpha = GDN_FP64};
        l->sets = 1;
    }
    for (int i = 0; i < n; i++) {
        gdn_subject *s = &l->subject[l->subjects++];
        s->profile = &l->e->profiles[gdn_experiment_profile(l->e, names[i])];
        s->own = *s->profile;
        s->engine = &gdn_recurrent_engine;
        s->set = l->source->has_parameters ? stored_set(l, s->profile) : 0;
    }
    for (int i = 0; i < l->source->recorded_count; i++)
        l->subject[l->subjects++] =
            (gdn_subject){.recorded = &l->source->recorded[i], .engine = &gdn_recorded_engine, .set = 0};
    return GDN_OK;
}

/* The checked columns: spread evenly over d_v, so that the choice depends on nothing else. */
static gdn_status choose_columns(gdn_lockstep *l, gdn_error *err)
{
    int dv = l->source->shape.dv;
    l->ncolumns = l->e->check_columns < dv ? l->e->check_columns : dv;
    l->columns = gdn_calloc((size_t)l->ncolumns, sizeof *l->columns);
    if (!l->columns)
        return gdn_no_memory(err, "columns");
    for (int j = 0; j < l->ncolumns; j++)
        l->columns[j] = (int)((2 * (int64_t)j + 1) * dv / (2 * l->ncolumns));
    return GDN_OK;
}

static gdn_status open_engines(gdn_lockstep *l, gdn_error *err)
{
    const gdn_source *s = l->source;
    gdn_setup setup = {.shape = s->shape, .recurrence = l->recurrence, .seed = s->seed};
    gdn_status status = trace_open(l, &l->trace, s->shape.dv, false, err);
    for (int i = 0; i < l->sets && !status; i++) {
        gdn_set *set = &l->set[i];
        setup.params = set->params;
        setup.columns = NULL;
        setup.precision = l->e->precision;
        status = gdn_mpfr_engine.open(&set->reference, &setup, err);
        if (!status)
            status = trace_open(l, &set->trace, s->shape.dv, true, err);
        setup.columns = l->columns;
        setup.ncolumns = l->ncolumns;
        setup.precision = l->e->check_precision;
        if (!status)
            status = gdn_mpfr_engine.open(&set->check, &setup, err);
        if (!status)
            status = trace_open(l, &set->checked, l->ncolumns, true, err);
    }
    setup.columns = NULL;
    for (int p = 0; p < l->subjects && !status; p++) {
        gdn_subject *sub = &l->subject[p];
        setup.params = l->set[sub->set].params;
        if (!s->has_parameters && sub->profile)
            setup.params.alpha = sub->profile->alpha;
        setup.recipe = sub->recorded ? (const void *)sub->recorded : (const void *)&sub->own.recipe;
        status = sub->engine->open(&sub->self, &setup, err);
    }
    return status;
}

static void wanted(gdn_lockstep *l)
{
    const gdn_population *p = l->source->population;
    const gdn_quantity *q = p->quantities ? p->quantities : l->e->file->quantities;
    unsigned n = p->quantities ? p->quantities_count : l->e->file->quantities_count;
    for (unsigned i = 0; i < n; i++)
        l->wanted[q[i]] = true;
    for (int i = 0; i < GDN_QUANTITIES && n == 0; i++)
        l->wanted[i] = true;
    l->wanted[GDN_Q_Y] &= l->source->has_z;
    l->recurrence = l->wanted[GDN_Q_STATE] || l->wanted[GDN_Q_O] || l->wanted[GDN_Q_Y];
}

gdn_status gdn_lockstep_open(const gdn_task *task, gdn_lockstep **out, gdn_error *err)
{
    gdn_lockstep *l = *out = gdn_calloc(1, sizeof *l);
    if (!l)
        return gdn_no_memory(err, "a task");
    l->e = task->experiment;
    gdn_status status = gdn_source_open(l->e, task->population, task->seed, GDN_BLOCK, &l->source, err);
    if (!status)
        status = gdn_plan_make(l->source->lengths, l->source->length_count, &l->plan, err);
    if (!status) {
        l->block = l->plan.last < GDN_BLOCK ? (int)l->plan.last : GDN_BLOCK;
        wanted(l);
        status = choose(l, task, err);
    }
    if (!status)
        status = choose_columns(l, err);
    if (!status)
        status = open_engines(l, err);
    if (!status) {
        size_t H = heads_of(l), segments = (size_t)l->plan.segments;
        size_t rows = (size_t)(GDN_SERIES_PER * (l->sets + l->subjects)) * H * GDN_QUANTITIES;
        l->slots = l->plan.segments > l->plan.samples ? l->plan.segments : l->plan.samples;
        l->open = gdn_calloc(rows, sizeof *l->open);
        l->closed = gdn_calloc(rows * (size_t)l->slots, sizeof *l->closed);
        l->abs_g = gdn_calloc(H * segments, sizeof(double));
        l->beta = gdn_calloc(H * segments, sizeof(double));
        l->beta2 = gdn_calloc(H * segments, sizeof(double));
        l->scale = gdn_calloc(H, sizeof *l->scale);
        if (!l->open || !l->closed || !l->abs_g || !l->beta || !l->beta2 || !l->scale)
            status = gdn_no_memory(err, "the sums of a task");
    }
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
    for (int p = 0; p < l->subjects; p++)
        l->subject[p].engine->close(l->subject[p].self);
    for (int i = 0; l->set && l->set[i].decay; i++) {
        gdn_set *s = &l->set[i];
        gdn_mpfr_engine.close(s->reference);
        gdn_mpfr_engine.close(s->check);
        trace_close(&s->trace);
        trace_close(&s->checked);
        free(s->decay);
        free(s->dt_bias);
        free(s->norm_weight);
    }
    trace_close(&l->trace);
    gdn_source_close(l->source);
    void *all[] = {l->set, l->subject, l->columns, l->open, l->closed, l->abs_g, l->beta, l->beta2, l->scale};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
    free(l);
}

/* ---- results ---- */

gdn_sums gdn_lockstep_sums(const gdn_lockstep *l, int series, int h, gdn_quantity q, const gdn_window *w)
{
    gdn_sums total = {0};
    bool state = q == GDN_Q_STATE;
    int n = state ? l->plan.samples : l->plan.segments;
    const int64_t *end = state ? l->plan.sample : l->plan.segment_end;
    int64_t from = state && w->whole ? w->to : w->from;
    for (int i = 0; i < n; i++)
        if (end[i] >= from && end[i] <= w->to)
            total = gdn_sums_add(total, *closed_at(l, series, (size_t)h, q, i));
    return total;
}

double gdn_lockstep_mean(const gdn_lockstep *l, const double *sums, int h, int64_t to)
{
    double total = 0;
    for (int i = 0; i < l->plan.segments && l->plan.segment_end[i] <= to; i++)
        total += sums[(size_t)h * (size_t)l->plan.segments + (size_t)i];
    return total / (double)to;
}
