/* SPDX-License-Identifier: Apache-2.0 */
/* lockstep -- engines over the same inputs, and the sums of their differences; see lockstep.h. */
#include "harness/lockstep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/progress.h"
#include "kernels/portable.h"

static size_t heads_of(const gdn_lockstep *l)
{
    return (size_t)l->source->shape.heads;
}

/* ---- traces ---- */

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

/* Running products of alpha over a block, relative to 2^scale; heads head .. of the batch. */
static void cumulate(const gdn_lockstep *l, gdn_trace *t, int head, int heads, int n)
{
    for (size_t h = 0; h < (size_t)heads; h++)
        for (size_t x = 0; x < (size_t)n; x++) {
            size_t at = h * (size_t)n + x;
            gdn_product_multiply(&t->product[h], t->alpha[at], t->alpha_lo ? t->alpha_lo[at] : 0);
            gdn_product_value(&t->product[h], l->scale[(size_t)head + h], &t->decay[at], &t->decay_lo[at]);
        }
}

/* Where a segment begins: the exponent of the true decay there becomes the scale of the segment's decays. */
static void rescale(gdn_lockstep *l, const gdn_trace *truth, int n)
{
    for (size_t h = 0; h < heads_of(l); h++) {
        gdn_product p = truth->product[h];
        size_t at = h * (size_t)n;
        gdn_product_multiply(&p, truth->alpha[at], truth->alpha_lo ? truth->alpha_lo[at] : 0);
        l->scale[h] = p.e;
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

/* Some columns of a trace. */
typedef struct view {
    const gdn_trace *t;
    const int *index; /* where the columns stand in the trace's rows; NULL: all, in order */
    int width;        /* of the trace's rows */
    int head;         /* of the batch that the trace's first head is */
} view;

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

static bool scalar(gdn_quantity q)
{
    return q == GDN_Q_G || q == GDN_Q_DECAY;
}

/* m columns of one row of a view; gathered into room[2][m] where they do not stand side by side. */
static gdn_pair row_of(view x, gdn_quantity q, size_t head, size_t rows, size_t row, int m,
                       double room[2][GDN_MAX_DIM])
{
    const double *hi, *lo;
    arrays(x.t, q, &hi, &lo);
    size_t at = ((head - (size_t)x.head) * rows + row) * (size_t)(scalar(q) ? 1 : x.width);
    hi += at;
    lo = lo ? lo + at : NULL;
    if (scalar(q) || !x.index)
        return (gdn_pair){hi, lo};
    for (int j = 0; j < m; j++) {
        room[0][j] = hi[x.index[j]];
        room[1][j] = lo ? lo[x.index[j]] : 0;
    }
    return (gdn_pair){room[0], lo ? room[1] : NULL};
}

/* x - y against r on m columns of `heads` heads, for one quantity over the block (or the state), into a
 * series. */
static void differ(gdn_lockstep *l, int series, gdn_quantity q, int n, int head, int heads, int m, view x,
                   view y, view r)
{
    double room[3][2][GDN_MAX_DIM];
    size_t rows = q == GDN_Q_STATE ? (size_t)l->source->shape.dk : (size_t)n;
    int width = scalar(q) ? 1 : m;
    for (size_t h = (size_t)head; h < (size_t)(head + heads); h++) {
        gdn_accumulator *a = open_at(l, series, h, q);
        a->scale = q != GDN_Q_DECAY ? 0 : l->scale[h] < -1000000000 ? -1000000000 : (int)l->scale[h];
        for (size_t row = 0; row < rows; row++)
            gdn_accumulate(a, row_of(x, q, h, rows, row, m, room[0]), row_of(y, q, h, rows, row, m, room[1]),
                           row_of(r, q, h, rows, row, m, room[2]), width);
    }
}

static view all_of(const gdn_lockstep *l, const gdn_trace *t)
{
    return (view){t, NULL, l->source->shape.dv, 0};
}

/* The checked columns of a trace that holds all. */
static view sample_of(const gdn_lockstep *l, const gdn_trace *t)
{
    return (view){t, l->checked, l->source->shape.dv, 0};
}

static view check_of(const gdn_lockstep *l, const gdn_set *s)
{
    return (view){&s->level[GDN_CHECK].trace, NULL, l->nchecked, 0};
}

/* The trace that a quantity's errors are taken against. */
static view reference_of(const gdn_lockstep *l, const gdn_set *s, gdn_quantity q)
{
    bool check = scalar(q) && l->ladder->scalars_from_check;
    return all_of(l, &s->level[check ? GDN_CHECK : GDN_BASE].trace);
}

/* Sums of one set: is its reference right, and how far is it from the true set's? */
static void compare_set(gdn_lockstep *l, int s, gdn_quantity q, int n)
{
    gdn_set *set = &l->set[s], *truth = &l->set[0];
    const gdn_level *base = &set->level[GDN_BASE], *witness = &set->level[GDN_WITNESS];
    int H = l->source->shape.heads, dv = l->source->shape.dv;
    view check = check_of(l, set);
    differ(l, gdn_set_series(s, GDN_SET_CHECK), q, n, 0, H, l->nchecked, sample_of(l, &base->trace), check,
           check);
    if (witness->engine) {
        view w = {&witness->trace, NULL, l->nwitnessed, witness->head};
        view seen = {check.t, l->witness_index, l->nchecked, 0};
        differ(l, gdn_set_series(s, GDN_SET_WITNESS), q, n, witness->head, witness->heads, l->nwitnessed,
               seen, w, w);
    }
    if (s == 0)
        return;
    view true_check = check_of(l, truth);
    differ(l, gdn_set_series(s, GDN_SET_STORAGE), q, n, 0, H, dv, reference_of(l, set, q),
           reference_of(l, truth, q), reference_of(l, truth, q));
    differ(l, gdn_set_series(s, GDN_SET_STORAGE_FINE), q, n, 0, H, l->nchecked, check, true_check,
           true_check);
}

/* total and arith of one subject; on the true parameters they are one and the same. */
static void compare_subject(gdn_lockstep *l, int p, gdn_quantity q, int n)
{
    const gdn_set *truth = &l->set[0], *stored = &l->set[l->subject[p].set];
    int H = l->source->shape.heads, dv = l->source->shape.dv;
    view x = all_of(l, &l->trace), fine = sample_of(l, &l->trace), r = reference_of(l, truth, q);
    view true_check = check_of(l, truth);
    differ(l, gdn_subject_series(l, p, GDN_SUBJECT_TOTAL), q, n, 0, H, dv, x, r, r);
    differ(l, gdn_subject_series(l, p, GDN_SUBJECT_TOTAL_FINE), q, n, 0, H, l->nchecked, fine, true_check,
           true_check);
    if (stored == truth)
        return;
    differ(l, gdn_subject_series(l, p, GDN_SUBJECT_ARITH), q, n, 0, H, dv, x, reference_of(l, stored, q), r);
    differ(l, gdn_subject_series(l, p, GDN_SUBJECT_ARITH_FINE), q, n, 0, H, l->nchecked, fine,
           check_of(l, stored), true_check);
}

static bool per_token(const gdn_lockstep *l, gdn_quantity q)
{
    return l->wanted[q] && q != GDN_Q_STATE;
}

/* Keep the open sums of a quantity in a slot; `anew`: and start over. */
static void keep_sums(gdn_lockstep *l, gdn_quantity q, int slot, bool anew)
{
    int series = gdn_subject_series(l, l->subjects, 0);
    for (int s = 0; s < series; s++)
        for (size_t h = 0; h < heads_of(l); h++) {
            gdn_accumulator *a = open_at(l, s, h, q);
            *closed_at(l, s, h, q, slot) = gdn_accumulator_sums(a);
            if (anew)
                memset(a, 0, sizeof *a);
        }
}

/* ---- one block ---- */

/* The heads of a block that a level runs. */
static gdn_block block_of(const gdn_lockstep *l, const gdn_level *level, const gdn_block *in)
{
    size_t n = (size_t)level->head * (size_t)in->tokens, dk = (size_t)l->source->shape.dk,
           dv = (size_t)l->source->shape.dv;
    return (gdn_block){.first = in->first,
                       .tokens = in->tokens,
                       .q = in->q + n * dk,
                       .k = in->k + n * dk,
                       .v = in->v + n * dv,
                       .z = in->z ? in->z + n * dv : NULL,
                       .a = in->a ? in->a + n : NULL,
                       .g = in->g ? in->g + n : NULL,
                       .b = in->b ? in->b + n : NULL,
                       .beta = in->beta ? in->beta + n : NULL};
}

static gdn_status advance_level(gdn_lockstep *l, gdn_set *set, int i, const gdn_block *in, double *seconds,
                                gdn_error *err)
{
    gdn_level *level = &set->level[i];
    const gdn_trace *base = &set->level[GDN_BASE].trace;
    struct timespec start;
    if (!level->engine)
        return GDN_OK;
    gdn_block block = block_of(l, level, in);
    gdn_outputs out = outputs_of(&level->trace);
    size_t at = (size_t)level->head * (size_t)in->tokens;
    if (i > GDN_BASE) { /* a sample of columns takes the mean of o^2 from the base */
        out.ms = base->ms ? base->ms + at : NULL;
        out.ms_lo = base->ms_lo ? base->ms_lo + at : NULL;
    }
    clock_gettime(CLOCK_MONOTONIC, &start);
    gdn_status status = level->engine->advance(level->self, &block, &out, err);
    *seconds = gdn_seconds_since(&start);
    return status;
}

/* All levels of a set; with a core to spare the witness runs beside the others, unless it needs the base's
 * mean. */
static gdn_status advance_levels(gdn_lockstep *l, gdn_set *set, const gdn_block *in, gdn_error *err)
{
    gdn_status status[GDN_LEVELS] = {GDN_OK};
    gdn_error own[GDN_LEVELS] = {{""}};
    double seconds[GDN_LEVELS] = {0};
    bool beside = l->spare && set->level[GDN_WITNESS].engine && !l->wanted[GDN_Q_Y];
#pragma omp parallel for num_threads(2) schedule(static, 1) if (beside)
    for (int part = 0; part < 2; part++)
        for (int i = part ? GDN_WITNESS : GDN_BASE; i < (part ? GDN_LEVELS : GDN_WITNESS); i++)
            status[i] = advance_level(l, set, i, in, &seconds[i], &own[i]);
    for (int i = 0; i < GDN_LEVELS; i++) {
        l->certify_seconds += i > GDN_BASE ? seconds[i] : 0;
        if (status[i]) {
            *err = own[i];
            return status[i];
        }
    }
    return GDN_OK;
}

static gdn_status advance_sets(gdn_lockstep *l, const gdn_block *in, bool starts, gdn_error *err)
{
    for (int s = 0; s < l->sets; s++) {
        gdn_set *set = &l->set[s];
        gdn_status status = advance_levels(l, set, in, err);
        if (status)
            return status;
        if (starts && s == 0)
            rescale(l, reference_of(l, set, GDN_Q_DECAY).t, in->tokens);
        for (int i = 0; i < GDN_LEVELS; i++)
            if (set->level[i].engine)
                cumulate(l, &set->level[i].trace, set->level[i].head, set->level[i].heads, in->tokens);
        for (gdn_quantity q = 0; q < GDN_QUANTITIES; q++)
            if (per_token(l, q))
                compare_set(l, s, q, in->tokens);
    }
    return GDN_OK;
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
            cumulate(l, &l->trace, 0, l->source->shape.heads, in->tokens);
        memcpy(products + (size_t)p * H, l->trace.product, H * sizeof *products);
        for (gdn_quantity q = 0; q < GDN_QUANTITIES; q++)
            if (per_token(l, q) && gdn_subject_has(s, q))
                compare_subject(l, p, q, in->tokens);
    }
    return GDN_OK;
}

static gdn_status compare_states(gdn_lockstep *l, int64_t position, int slot, gdn_error *err)
{
    gdn_status status = GDN_OK;
    for (int s = 0; s < l->sets && !status; s++) {
        for (int i = 0; i < GDN_LEVELS && !status; i++) {
            gdn_level *level = &l->set[s].level[i];
            if (level->engine)
                status =
                    level->engine->read_state(level->self, level->trace.state, level->trace.state_lo, err);
        }
        if (!status)
            compare_set(l, s, GDN_Q_STATE, 0);
    }
    for (int p = 0; p < l->subjects && !status; p++) {
        const gdn_subject *s = &l->subject[p];
        if (!gdn_subject_has(s, GDN_Q_STATE) || (s->recorded && position != s->recorded->tokens))
            continue;
        status = s->engine->read_state(s->self, l->trace.state, NULL, err);
        if (!status)
            compare_subject(l, p, GDN_Q_STATE, 0);
    }
    keep_sums(l, GDN_Q_STATE, slot, true);
    return status;
}

/* Add a block to the running sums of |g|, beta and beta^2 of the truth, [H][segments]: the sum up to a
 * segment's end. */
static void average(gdn_lockstep *l, const gdn_block *in, int segment)
{
    for (size_t h = 0; h < heads_of(l); h++) {
        size_t to = h * (size_t)l->plan.segments + (size_t)segment;
        for (size_t t = 0; t < (size_t)in->tokens; t++) {
            size_t i = h * (size_t)in->tokens + t;
            double beta = in->beta ? in->beta[i] : gdn_sigmoid(in->b[i]);
            l->abs_g[to] += __builtin_fabs(l->set[0].level[GDN_BASE].trace.g[i]);
            l->beta[to] += beta;
            l->beta2[to] += beta * beta;
        }
    }
}

/* Where a segment ends, the next one's running sums go on from there. */
static void carry_averages(gdn_lockstep *l, int segment)
{
    double *all[] = {l->abs_g, l->beta, l->beta2};
    for (size_t h = 0; h < heads_of(l) && segment + 1 < l->plan.segments; h++)
        for (int i = 0; i < 3; i++) {
            double *at = all[i] + h * (size_t)l->plan.segments + (size_t)segment;
            at[1] = at[0];
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
                    keep_sums(l, q, segment, l->plan.edge[segment]);
            carry_averages(l, segment);
            starts = l->plan.edge[segment++];
        }
        if (!status && progress && progress(context, (double)n / (double)l->plan.last))
            status = gdn_fail(err, GDN_DIFFERS, "stopped");
    }
    free(products);
    return status;
}

/* ---- results ---- */

gdn_sums gdn_lockstep_sums(const gdn_lockstep *l, int series, int h, gdn_quantity q, const gdn_window *w)
{
    gdn_sums total = {0};
    bool state = q == GDN_Q_STATE;
    int n = state ? l->plan.samples : l->plan.segments;
    const int64_t *end = state ? l->plan.sample : l->plan.segment_end;
    const bool *regular =
        state ? l->plan.quarter : l->plan.edge; /* others count only where a length asks for them */
    int64_t from = state && w->whole ? w->to : w->from;
    for (int i = 0; i < n; i++)
        if (end[i] >= from && end[i] <= w->to && (regular[i] || (w->whole && end[i] == w->to)))
            total = gdn_sums_add(total, *closed_at(l, series, (size_t)h, q, i));
    return total;
}

double gdn_lockstep_mean(const gdn_lockstep *l, const double *sums, int h, int64_t to)
{
    for (int i = 0; i < l->plan.segments; i++)
        if (l->plan.segment_end[i] == to)
            return sums[(size_t)h * (size_t)l->plan.segments + (size_t)i] / (double)to;
    return NAN;
}
