/* SPDX-License-Identifier: Apache-2.0 */
/* lockstep -- engines over the same inputs, and the sums of their differences; see lockstep.h. */
#include "harness/lockstep.h"

#include <math.h>
#include <string.h>

#include "harness/progress.h"

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

/* Arrays of a trace that hold one number a token, or one row a token, or the state. */
enum { PER_TOKEN, PER_ROW, PER_STATE };

/* Bring what an engine put into `local` over to the backend, heads heads of columns columns over n tokens. */
static gdn_status bring(const gdn_lockstep *l, const gdn_trace *local, const gdn_trace *there, bool state,
                        int heads, int columns, int n, gdn_error *err)
{
    const struct {
        const double *from;
        double *to;
        int kind;
    } all[] = {{local->g, there->g, PER_TOKEN},         {local->g_lo, there->g_lo, PER_TOKEN},
               {local->alpha, there->alpha, PER_TOKEN}, {local->alpha_lo, there->alpha_lo, PER_TOKEN},
               {local->ms, there->ms, PER_TOKEN},       {local->ms_lo, there->ms_lo, PER_TOKEN},
               {local->o, there->o, PER_ROW},           {local->o_lo, there->o_lo, PER_ROW},
               {local->y, there->y, PER_ROW},           {local->y_lo, there->y_lo, PER_ROW},
               {local->state, there->state, PER_STATE}, {local->state_lo, there->state_lo, PER_STATE}};
    const size_t H = (size_t)heads,
                 size[] = {[PER_TOKEN] = H * (size_t)n,
                           [PER_ROW] = H * (size_t)n * (size_t)columns,
                           [PER_STATE] = H * (size_t)l->source->shape.dk * (size_t)columns};
    gdn_status status = GDN_OK;
    for (size_t i = 0; i < sizeof all / sizeof all[0] && !status; i++)
        if (all[i].from && all[i].to && (all[i].kind == PER_STATE) == state)
            status = l->backend->put(all[i].to, all[i].from, size[all[i].kind] * sizeof(double), err);
    return status;
}

/* Running decays over a block; heads head .. of the batch. */
static gdn_decays decays_of(const gdn_lockstep *l, const gdn_trace *t, int head, int heads, int n)
{
    return (gdn_decays){.alpha = t->alpha,
                        .alpha_lo = t->alpha_lo,
                        .decay = t->decay,
                        .decay_lo = t->decay_lo,
                        .product = t->product,
                        .scale = l->scale + head,
                        .heads = heads,
                        .n = n};
}

/* ---- differences ---- */

static size_t rows_of_sums(const gdn_lockstep *l)
{
    return (size_t)gdn_subject_series(l, l->subjects, 0) * heads_of(l);
}

/* The slots of a series, head and quantity. */
static gdn_sums *closed_at(const gdn_lockstep *l, size_t row, gdn_quantity q)
{
    return &l->closed[(row * GDN_QUANTITIES + q) * (size_t)l->slots];
}

/* Some columns of a trace. */
typedef struct view {
    const gdn_trace *t;
    const int *index; /* where the columns stand in the trace's rows; NULL: all, in order */
    int width;        /* of the trace's rows */
    int head;         /* of the batch that the trace's first head is */
} view;

static bool scalar(gdn_quantity q)
{
    return q == GDN_Q_G || q == GDN_Q_DECAY;
}

static gdn_operand operand(view x, gdn_quantity q)
{
    const gdn_trace *t = x.t;
    const double *const table[GDN_QUANTITIES][2] = {[GDN_Q_G] = {t->g, t->g_lo},
                                                    [GDN_Q_DECAY] = {t->decay, t->decay_lo},
                                                    [GDN_Q_STATE] = {t->state, t->state_lo},
                                                    [GDN_Q_O] = {t->o, t->o_lo},
                                                    [GDN_Q_Y] = {t->y, t->y_lo}};
    return (gdn_operand){table[q][0], table[q][1], scalar(q) ? NULL : x.index, scalar(q) ? 1 : x.width,
                         x.head};
}

/* Take the differences noted so far. */
static gdn_status flush(gdn_lockstep *l, gdn_error *err)
{
    int n = l->npending;
    l->npending = 0;
    return n ? l->backend->differ(l->pending, n, err) : GDN_OK;
}

/* Note x - y against r on m columns of `heads` heads, for one quantity over the block (or the state), for a
 * series. */
static void differ(gdn_lockstep *l, int series, gdn_quantity q, int n, int head, int heads, int m, view x,
                   view y, view r)
{
    l->pending[l->npending++] = (gdn_difference){
        .x = operand(x, q),
        .y = operand(y, q),
        .r = operand(r, q),
        .to = l->open + (size_t)series * heads_of(l) * GDN_QUANTITIES + q,
        .scale = q == GDN_Q_DECAY ? l->scale : NULL,
        .head = head,
        .heads = heads,
        .rows = q == GDN_Q_STATE ? l->source->shape.dk : n,
        .columns = scalar(q) ? 1 : m,
    };
}

static view all_of(const gdn_lockstep *l, const gdn_trace *t)
{
    return (view){t, NULL, l->source->shape.dv, 0};
}

/* The checked columns of a trace that holds all. */
static view sample_of(const gdn_lockstep *l, const gdn_trace *t)
{
    return (view){t, l->checked_there, l->source->shape.dv, 0};
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
    view check = check_of(l, set), true_check = check_of(l, truth);
    differ(l, gdn_set_series(s, GDN_SET_CHECK), q, n, 0, H, l->nchecked, sample_of(l, &base->trace), check,
           check);
    if (witness->engine) {
        view w = {&witness->trace, NULL, l->nwitnessed, witness->head};
        view seen = {check.t, l->witness_index_there, l->nchecked, 0};
        differ(l, gdn_set_series(s, GDN_SET_WITNESS), q, n, witness->head, witness->heads, l->nwitnessed,
               seen, w, w);
    }
    if (s > 0) {
        differ(l, gdn_set_series(s, GDN_SET_STORAGE), q, n, 0, H, dv, reference_of(l, set, q),
               reference_of(l, truth, q), reference_of(l, truth, q));
        differ(l, gdn_set_series(s, GDN_SET_STORAGE_FINE), q, n, 0, H, l->nchecked, check, true_check,
               true_check);
    }
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
    if (stored != truth) {
        differ(l, gdn_subject_series(l, p, GDN_SUBJECT_ARITH), q, n, 0, H, dv, x, reference_of(l, stored, q),
               r);
        differ(l, gdn_subject_series(l, p, GDN_SUBJECT_ARITH_FINE), q, n, 0, H, l->nchecked, fine,
               check_of(l, stored), true_check);
    }
}

static bool per_token(const gdn_lockstep *l, gdn_quantity q)
{
    return l->wanted[q] && q != GDN_Q_STATE;
}

/* Keep the open sums of a quantity in a slot; `anew`: and start over. */
static gdn_status keep_sums(gdn_lockstep *l, gdn_quantity q, int slot, bool anew, gdn_error *err)
{
    gdn_status status = l->backend->sums(l->open + q, rows_of_sums(l), anew, l->joined, err);
    for (size_t row = 0; row < rows_of_sums(l) && !status; row++)
        closed_at(l, row, q)[slot] = l->joined[row];
    return status;
}

/* ---- one block ---- */

/* The inputs of a block where the backend has them, and in this process where an engine needs them here. */
typedef struct inputs {
    gdn_block there, here;
    int head; /* of the batch that the first head of `here` is */
} inputs;

/* One array of a block carried over; moves *room on. */
static gdn_status carry(const gdn_lockstep *l, const float *from, size_t n, float **room, const float **to,
                        gdn_error *err)
{
    *to = NULL;
    if (!from)
        return GDN_OK;
    *to = *room;
    *room += n;
    return l->backend->put((void *)(uintptr_t)*to, from, n * sizeof *from, err);
}

/* Tokens first .. first + n - 1 of a file's inputs brought over to the backend. */
static gdn_status bring_inputs(const gdn_lockstep *l, const gdn_block *here, gdn_block *there, gdn_error *err)
{
    size_t tokens = heads_of(l) * (size_t)here->tokens, dk = (size_t)l->source->shape.dk,
           dv = (size_t)l->source->shape.dv;
    float *room = l->inputs;
    *there = (gdn_block){.first = here->first, .tokens = here->tokens};
    struct {
        const float *from, **to;
        size_t n;
    } all[] = {{here->q, &there->q, tokens * dk}, {here->k, &there->k, tokens * dk},
               {here->v, &there->v, tokens * dv}, {here->z, &there->z, tokens * dv},
               {here->a, &there->a, tokens},      {here->g, &there->g, tokens},
               {here->b, &there->b, tokens},      {here->beta, &there->beta, tokens}};
    gdn_status status = GDN_OK;
    for (size_t i = 0; i < sizeof all / sizeof all[0] && !status; i++)
        status = carry(l, all[i].from, all[i].n, &room, all[i].to, err);
    return status;
}

/* The one level that runs here while the backend is elsewhere needs its own heads only. */
static void here_for(const gdn_lockstep *l, int *head, int *heads)
{
    const gdn_level *witness = &l->set[l->witness_set].level[GDN_WITNESS];
    bool others = l->source->population->file != NULL;
    for (int p = 0; p < l->subjects; p++)
        others |= l->subject[p].visiting;
    for (int s = 0; s < l->sets; s++)
        others |= l->set[s].level[GDN_BASE].visiting || l->set[s].level[GDN_CHECK].visiting;
    *head = others || !witness->engine ? 0 : witness->head;
    *heads = others || !witness->engine ? l->source->shape.heads : witness->heads;
}

static gdn_status make_inputs(gdn_lockstep *l, int64_t first, int n, inputs *in, gdn_error *err)
{
    gdn_source *s = l->source;
    int heads = s->shape.heads;
    in->head = 0;
    if (!l->backend->inputs) {
        gdn_source_block(s, first, n, 0, heads, &in->there);
        in->here = in->there;
        return GDN_OK;
    }
    if (l->any_visiting || s->population->file) {
        here_for(l, &in->head, &heads);
        gdn_source_block(s, first, n, in->head, heads, &in->here);
    }
    if (s->population->file)
        return bring_inputs(l, &in->here, &in->there, err);
    size_t tokens = heads_of(l) * (size_t)n, dk = (size_t)s->shape.dk, dv = (size_t)s->shape.dv;
    float *q = l->inputs, *k = q + tokens * dk, *v = k + tokens * dk, *z = v + tokens * dv,
          *a = z + tokens * dv, *b = a + tokens;
    in->there = (gdn_block){.first = first, .tokens = n, .q = q, .k = k, .v = v, .z = z, .a = a, .b = b};
    return l->backend->inputs(&s->spec, &s->shape, s->seed, first, n, q, k, v, z, a, b, err);
}

/* A level that runs here: the mean of o^2 is fetched from the base, its outputs are brought over. */
static gdn_status advance_visiting(gdn_lockstep *l, const gdn_set *set, gdn_level *level, const inputs *in,
                                   gdn_error *err)
{
    const gdn_trace *base = &set->level[GDN_BASE].trace;
    gdn_block block = gdn_block_from(&in->here, l->source->shape, level->head - in->head);
    gdn_outputs out = outputs_of(&level->local);
    size_t at = (size_t)level->head * (size_t)block.tokens,
           bytes = (size_t)level->heads * (size_t)block.tokens * sizeof(double);
    gdn_status status = GDN_OK;
    if (level != &set->level[GDN_BASE] && base->ms) {
        status = l->backend->get(out.ms, base->ms + at, bytes, err);
        if (!base->ms_lo)
            out.ms_lo = NULL;
        else if (!status)
            status = l->backend->get(out.ms_lo, base->ms_lo + at, bytes, err);
    }
    if (!status)
        status = gdn_team_advance(&level->team, &block, &out, err);
    if (!status)
        status =
            bring(l, &level->local, &level->trace, false, level->heads, level->ncolumns, block.tokens, err);
    return status;
}

static gdn_status advance_level(gdn_lockstep *l, gdn_set *set, int i, const inputs *in, double *seconds,
                                gdn_error *err)
{
    gdn_level *level = &set->level[i];
    const gdn_trace *base = &set->level[GDN_BASE].trace;
    struct timespec start;
    if (!level->engine)
        return GDN_OK;
    clock_gettime(CLOCK_MONOTONIC, &start);
    gdn_status status;
    if (level->visiting) {
        status = advance_visiting(l, set, level, in, err);
    } else {
        gdn_block block = gdn_block_from(&in->there, l->source->shape, level->head);
        gdn_outputs out = outputs_of(&level->trace);
        size_t at = (size_t)level->head * (size_t)block.tokens;
        if (i > GDN_BASE) { /* a sample of columns takes the mean of o^2 from the base */
            out.ms = base->ms ? base->ms + at : NULL;
            out.ms_lo = base->ms_lo ? base->ms_lo + at : NULL;
        }
        status = gdn_team_advance(&level->team, &block, &out, err);
    }
    *seconds = gdn_seconds_since(&start);
    return status;
}

/*
 * All levels of a set; where one head leaves a thread idle the witness runs beside the others, unless it
 * needs the base's mean.
 */
static gdn_status advance_levels(gdn_lockstep *l, gdn_set *set, const inputs *in, gdn_error *err)
{
    gdn_status status[GDN_LEVELS] = {GDN_OK};
    gdn_error own[GDN_LEVELS] = {{""}};
    double seconds[GDN_LEVELS] = {0};
    bool beside = l->backend == &gdn_backend_cpu && l->threads > 1 && l->source->shape.heads == 1 &&
                  set->level[GDN_WITNESS].engine && !l->wanted[GDN_Q_Y];
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

/* One set over a block: its engines, its decays, and how it compares. */
static gdn_status advance_set(gdn_lockstep *l, int s, const inputs *in, bool starts, gdn_error *err)
{
    gdn_set *set = &l->set[s];
    int n = in->there.tokens;
    gdn_status status = advance_levels(l, set, in, err);
    if (!status && starts && s == 0 && l->wanted[GDN_Q_DECAY]) {
        gdn_decays d = decays_of(l, reference_of(l, set, GDN_Q_DECAY).t, 0, l->source->shape.heads, n);
        status = l->backend->rescale(&d, l->scale, err);
    }
    for (int i = 0; i < GDN_LEVELS && !status; i++) {
        const gdn_level *level = &set->level[i];
        gdn_decays d = decays_of(l, &level->trace, level->head, level->heads, n);
        if (level->engine && l->wanted[GDN_Q_DECAY])
            status = l->backend->cumulate(&d, err);
    }
    for (gdn_quantity q = 0; q < GDN_QUANTITIES && !status; q++)
        if (per_token(l, q))
            compare_set(l, s, q, n);
    return status ? status : flush(l, err);
}

bool gdn_subject_has(const gdn_subject *s, gdn_quantity q)
{
    const gdn_recorded *r = s->recorded;
    const bool has[GDN_QUANTITIES] = {
        [GDN_Q_G] = r && r->g, [GDN_Q_O] = r && r->o, [GDN_Q_Y] = r && r->y, [GDN_Q_STATE] = r && r->state};
    return !r || has[q];
}

bool gdn_subject_is_storage(const gdn_subject *s)
{
    const gdn_recorded *r = s->recorded;
    return r && r->spec->storage && !r->g && !r->o && !r->y && !r->state;
}

static gdn_status advance_subject(gdn_lockstep *l, int p, const inputs *in, gdn_error *err)
{
    gdn_subject *s = &l->subject[p];
    const gdn_trace *to = s->visiting ? &l->local : &l->trace;
    gdn_outputs out = outputs_of(to);
    int H = l->source->shape.heads, n = in->there.tokens;
    l->trace.product = l->products + (size_t)p * (size_t)H;
    gdn_status status = gdn_team_advance(&s->team, s->visiting ? &in->here : &in->there, &out, err);
    if (!status && s->visiting)
        status = bring(l, &l->local, &l->trace, false, H, l->source->shape.dv, n, err);
    if (!status && gdn_subject_has(s, GDN_Q_DECAY) && l->wanted[GDN_Q_DECAY]) {
        gdn_decays d = decays_of(l, &l->trace, 0, H, n);
        status = l->backend->cumulate(&d, err);
    }
    for (gdn_quantity q = 0; q < GDN_QUANTITIES && !status; q++)
        if (per_token(l, q) && gdn_subject_has(s, q))
            compare_subject(l, p, q, n);
    return status ? status : flush(l, err);
}

/* The state of an engine, brought over where it runs here. */
static gdn_status read_state(gdn_lockstep *l, const gdn_team *team, bool visiting, const gdn_trace *local,
                             const gdn_trace *there, int heads, int columns, gdn_error *err)
{
    const gdn_trace *to = visiting ? local : there;
    gdn_status status = gdn_team_read_state(team, to->state, to->state_lo, err);
    return !status && visiting ? bring(l, local, there, true, heads, columns, 0, err) : status;
}

static gdn_status compare_states(gdn_lockstep *l, int64_t position, int slot, gdn_error *err)
{
    gdn_status status = GDN_OK;
    for (int s = 0; s < l->sets && !status; s++) {
        for (int i = 0; i < GDN_LEVELS && !status; i++) {
            gdn_level *level = &l->set[s].level[i];
            if (level->engine)
                status = read_state(l, &level->team, level->visiting, &level->local, &level->trace,
                                    level->heads, level->ncolumns, err);
        }
        if (!status) {
            compare_set(l, s, GDN_Q_STATE, 0);
            status = flush(l, err);
        }
    }
    for (int p = 0; p < l->subjects && !status; p++) {
        const gdn_subject *s = &l->subject[p];
        if (!gdn_subject_has(s, GDN_Q_STATE) || (s->recorded && position != s->recorded->tokens))
            continue;
        status = read_state(l, &s->team, s->visiting, &l->local, &l->trace, l->source->shape.heads,
                            l->source->shape.dv, err);
        if (!status) {
            compare_subject(l, p, GDN_Q_STATE, 0);
            status = flush(l, err);
        }
    }
    return status ? status : keep_sums(l, GDN_Q_STATE, slot, true, err);
}

/* Add a block to the sums over tokens of the truth. */
static gdn_status average(const gdn_lockstep *l, const gdn_block *in, gdn_error *err)
{
    const gdn_averages a = {
        l->set[0].level[GDN_BASE].trace.g, in->b, in->beta, l->running, l->source->shape.heads, in->tokens};
    return l->backend->average(&a, err);
}

/* One block through all engines. */
static gdn_status advance(gdn_lockstep *l, int64_t first, int n, bool starts, gdn_error *err)
{
    inputs in;
    gdn_status status = make_inputs(l, first, n, &in, err);
    in.there.first = in.here.first = first - l->begin; /* engines count the tokens of their sequence */
    for (int s = 0; s < l->sets && !status; s++)
        status = advance_set(l, s, &in, starts, err);
    for (int p = 0; p < l->subjects && !status; p++)
        status = advance_subject(l, p, &in, err);
    return status ? status : average(l, &in.there, err);
}

/* Where a segment ends: its sums are kept, and start over where a window ends too. */
static gdn_status end_segment(gdn_lockstep *l, int segment, gdn_error *err)
{
    size_t n = GDN_SUMS_OVER_TOKENS * heads_of(l);
    gdn_status status = GDN_OK;
    for (gdn_quantity q = 0; q < GDN_QUANTITIES && !status; q++)
        if (per_token(l, q))
            status = keep_sums(l, q, segment, l->plan.edge[segment], err);
    return status ? status
                  : l->backend->get(l->averages + (size_t)segment * n, l->running, n * sizeof(double), err);
}

gdn_status gdn_lockstep_run(gdn_lockstep *l, gdn_task_progress progress, void *context, gdn_error *err)
{
    gdn_status status = GDN_OK;
    int segment = 0, sample = 0;
    bool starts = true;
    for (int64_t done = 0; done < l->plan.last && !status;) {
        int64_t stop = l->plan.segment_end[segment];
        if (sample < l->plan.samples && l->plan.sample[sample] < stop)
            stop = l->plan.sample[sample];
        int n = stop - done < l->block ? (int)(stop - done) : l->block;
        status = advance(l, done + 1, n, starts, err);
        if (status)
            break;
        done += n;
        starts = false;
        if (sample < l->plan.samples && done == l->plan.sample[sample]) {
            if (l->wanted[GDN_Q_STATE])
                status = compare_states(l, done, sample, err);
            sample++;
        }
        if (!status && done == l->plan.segment_end[segment]) {
            status = end_segment(l, segment, err);
            starts = l->plan.edge[segment++];
        }
        if (!status)
            status = gdn_lockstep_next_sequence(l, done, err);
        if (!status && progress && progress(context, (double)n / (double)l->plan.last))
            status = gdn_fail(err, GDN_DIFFERS, "stopped");
    }
    return status;
}

/* ---- results ---- */

gdn_sums gdn_lockstep_sums(const gdn_lockstep *l, int series, int h, gdn_quantity q, const gdn_window *w)
{
    gdn_sums total = {0};
    if (h == GDN_ALL_HEADS) {
        for (h = 0; h < l->source->shape.heads; h++)
            total = gdn_sums_add(total, gdn_lockstep_sums(l, series, h, q, w));
        return total;
    }
    bool state = q == GDN_Q_STATE;
    int n = state ? l->plan.samples : l->plan.segments;
    const int64_t *end = state ? l->plan.sample : l->plan.segment_end;
    const bool *regular =
        state ? l->plan.quarter : l->plan.edge; /* others count only where a length asks for them */
    int64_t from = state && w->whole ? w->to : w->from;
    const gdn_sums *closed = closed_at(l, (size_t)series * heads_of(l) + (size_t)h, q);
    for (int i = 0; i < n; i++)
        if (end[i] >= from && end[i] <= w->to && (regular[i] || (w->whole && end[i] == w->to)))
            total = gdn_sums_add(total, closed[i]);
    return total;
}

double gdn_lockstep_mean(const gdn_lockstep *l, int which, int h, int64_t to)
{
    size_t H = heads_of(l);
    if (h == GDN_ALL_HEADS) {
        double mean = 0;
        for (h = 0; h < (int)H; h++)
            mean += gdn_lockstep_mean(l, which, h, to) / (double)H;
        return mean;
    }
    const int power[GDN_SUMS_OVER_TOKENS] = {[GDN_SUM_BETA] = 1, [GDN_SUM_BETA2] = 2};
    double factor = 1 << power[which] * l->source->beta_shift; /* the sums are of sigmoid(b) */
    for (int i = 0; i < l->plan.segments; i++)
        if (l->plan.segment_end[i] == to)
            return factor * l->averages[((size_t)i * GDN_SUMS_OVER_TOKENS + (size_t)which) * H + (size_t)h] /
                   (double)to;
    return NAN;
}
