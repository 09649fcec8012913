/* SPDX-License-Identifier: Apache-2.0 */
/*
 * likeness -- theirs, the truth and every candidate run side by side, and what their errors share; see
 * likeness.h. likeness_verdict.c decides what that means.
 */
#include "harness/likeness.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/likeness_parts.h"
#include "harness/team.h"
#include "kernels/engines.h"
#include "reference/gdn_fp64.h"

/*
 * Tokens advanced together; heads x tokens compared, at d = 128, where there are more (about 0.7 s a
 * candidate on two cores); tokens at least.
 */
enum { BLOCK = 256, HEAD_TOKENS = 1 << 18, LEAST_TOKENS = 256 };

static const gdn_quantity compared[] = {GDN_Q_O, GDN_Q_Y, GDN_Q_STATE};
enum { COMPARED = sizeof compared / sizeof compared[0] };

/* A candidate at work. */
typedef struct entry {
    const gdn_candidate *candidate;
    gdn_recipe recipe;
    gdn_team team; /* not opened where the truth is enough */
    bool for_quantity[GDN_QUANTITIES];
    gdn_likeness_sums *head[GDN_QUANTITIES]; /* [H] */
} entry;

typedef struct comparison {
    gdn_source *source;
    const gdn_recorded *recorded;
    gdn_params params;
    gdn_shape shape;
    int threads, block;
    int64_t tokens, total; /* compared, in the file */
    double *state0;
    bool wanted[GDN_QUANTITIES];
    gdn_format_id grid[GDN_QUANTITIES];
    gdn_team truth;
    void *theirs;
    entry entry[GDN_LIKENESS_ROWS];
    int entries;
    double *r[GDN_QUANTITIES], *x[GDN_QUANTITIES], *c[GDN_QUANTITIES]; /* [H][n][dv], state [H][dk][dv] */
    double *g;                                                         /* [H][n] of the truth */
    float *lower;                                                      /* [H][n] g - GDN_LIKENESS_DRIFT */
} comparison;

/* ---- one element ---- */

/* x towards zero. */
static double cut(const gdn_format *f, double x)
{
    double y = gdn_round(f, x);
    return fabs(y) > fabs(x) ? y - copysign(gdn_ulp(f, x), x) : y;
}

/* A value of somebody's on the grid of theirs. */
static double on_grid(gdn_format_id grid, double x)
{
    if (grid == GDN_FP32 || grid == GDN_FP64)
        return x; /* engines under test give fp32 values */
    return grid == GDN_BF16 ? gdn_bf16_to_float(gdn_float_to_bf16((float)x))
                            : gdn_round(&gdn_formats[grid], x);
}

/* A candidate's value. made: by its engine; r: the truth */
static double value_of(gdn_candidate_kind kind, gdn_format_id grid, double made, double r)
{
    switch (kind) {
    case GDN_CANDIDATE_ROUND:
        return gdn_round(&gdn_formats[grid], r);
    case GDN_CANDIDATE_CUT:
        return cut(&gdn_formats[grid], r);
    case GDN_CANDIDATE_EIGHTH:
        return on_grid(grid, r + (made - r) / 8);
    case GDN_CANDIDATE_DRIFT:
        return made;
    case GDN_CANDIDATE_FACTOR:
        return r * (1 - (double)GDN_LIKENESS_DRIFT);
    default:
        return on_grid(grid, made);
    }
}

/* ---- sums ---- */

/* Elements of a head in a block of n tokens, or in the state. */
static size_t head_size(const comparison *k, gdn_quantity q, int n)
{
    return (size_t)(q == GDN_Q_STATE ? k->shape.dk : n) * (size_t)k->shape.dv;
}

static void add_head(const comparison *k, const entry *e, gdn_quantity q, int h, size_t size)
{
    const double *r = k->r[q] + (size_t)h * size, *x = k->x[q] + (size_t)h * size,
                 *c = k->c[q] + (size_t)h * size;
    gdn_likeness_sums s = e->head[q][h];
    for (size_t i = 0; i < size; i++) {
        double off = x[i] - r[i];
        if (!gdn_likeness_finite(off)) {
            s.left_out++;
            continue;
        }
        double ours = value_of(e->candidate->kind, k->grid[q], c[i], r[i]), own = ours - r[i];
        s.xx += off * off;
        s.rr += r[i] * r[i];
        s.cc += own * own;
        s.xc += off * own;
        s.dd += (x[i] - ours) * (x[i] - ours);
        s.n++;
    }
    e->head[q][h] = s;
}

static void add(const comparison *k, const entry *e, gdn_quantity q, int n)
{
    size_t size = head_size(k, q, n);
    if (!k->wanted[q] || !e->for_quantity[q])
        return;
#pragma omp parallel for num_threads(k->threads) schedule(static)
    for (int h = 0; h < k->shape.heads; h++)
        add_head(k, e, q, h, size);
}

static gdn_likeness_sums total(const comparison *k, const entry *e, gdn_quantity q)
{
    gdn_likeness_sums t = {0};
    for (int h = 0; h < k->shape.heads; h++) {
        const gdn_likeness_sums *s = &e->head[q][h];
        t = (gdn_likeness_sums){t.xx + s->xx,
                                t.rr + s->rr,
                                t.cc + s->cc,
                                t.xc + s->xc,
                                t.dd + s->dd,
                                t.n + s->n,
                                t.left_out + s->left_out};
    }
    return t;
}

/* ---- opening ---- */

static gdn_params own_params(const gdn_source *s)
{
    return (gdn_params){.decay = s->has_parameters ? s->a_log : NULL,
                        .dt_bias = s->has_parameters ? s->dt_bias : NULL,
                        .norm_weight = s->norm_weight,
                        .alpha = GDN_FP64,
                        .beta_shift = s->beta_shift,
                        .l2norm_off = s->l2norm_off,
                        .scale = s->scale};
}

/* How many tokens are compared. */
static int64_t tokens_of(const gdn_source *s)
{
    int64_t all = s->lengths[s->length_count - 1], per_head = (int64_t)s->shape.dk * s->shape.dv;
    int64_t most = HEAD_TOKENS / s->shape.heads;
    if (per_head > 128 * 128)
        most = most * (128 * 128) / per_head;
    if (most < LEAST_TOKENS)
        most = LEAST_TOKENS;
    return all < most ? all : most;
}

/* The longest sequence among the tokens compared. */
static int64_t longest(const comparison *k)
{
    int64_t begin = 0, longest = 0;
    for (int i = 0; i <= k->source->sequence_count && begin < k->tokens; i++) {
        int64_t end = i < k->source->sequence_count ? k->source->sequences[i] : k->tokens;
        end = end < k->tokens ? end : k->tokens;
        longest = end - begin > longest ? end - begin : longest;
        begin = end;
    }
    return longest;
}

/* Is the candidate worth comparing with this quantity? */
static bool says_something(const comparison *k, const gdn_candidate *c, gdn_quantity q)
{
    const gdn_format_id grid = k->grid[q];
    const gdn_recipe *recipe = c->recipe ? gdn_recipe_by_name(c->recipe) : NULL;
    if (!k->wanted[q] || ((c->when & GDN_WHEN_Y) && q != GDN_Q_Y) ||
        ((c->when & GDN_WHEN_GATE) && !k->source->has_parameters) ||
        ((c->when & GDN_WHEN_DECODES) && recipe && longest(k) <= recipe->prefill) ||
        ((c->when & GDN_WHEN_NARROW) && (grid == GDN_FP32 || grid == GDN_FP64)))
        return false;
    return c->kind != GDN_CANDIDATE_ROUND || grid != GDN_FP64;
}

static gdn_status open_team(comparison *k, gdn_team *team, const gdn_engine *engine, const gdn_recipe *recipe,
                            gdn_error *err)
{
    const gdn_setup setup = {
        .shape = k->shape, .params = k->params, .recurrence = true, .recipe = recipe, .state0 = k->state0};
    return gdn_team_open(team, engine, &setup, k->threads, err);
}

static gdn_status open_entry(comparison *k, const gdn_candidate *c, gdn_error *err)
{
    entry *e = &k->entry[k->entries];
    bool any = false;
    *e = (entry){.candidate = c};
    for (int i = 0; i < COMPARED; i++)
        any |= e->for_quantity[compared[i]] = says_something(k, c, compared[i]);
    if (!any)
        return GDN_OK;
    k->entries++;
    for (int i = 0; i < COMPARED; i++) {
        e->head[compared[i]] = gdn_calloc((size_t)k->shape.heads, sizeof(gdn_likeness_sums));
        if (!e->head[compared[i]])
            return gdn_no_memory(err, "a comparison");
    }
    if (c->kind == GDN_CANDIDATE_DRIFT)
        return open_team(k, &e->team, &gdn_fp64_engine, NULL, err);
    if (!c->recipe)
        return GDN_OK;
    e->recipe = *gdn_recipe_by_name(c->recipe);
    e->recipe.output = GDN_FP32; /* the grid of theirs decides; out_norm reads o as norm_in says */
    if (c->inverse != GDN_FP64)
        e->recipe.inverse = c->inverse;
    return open_team(k, &e->team, gdn_recipe_engine(&e->recipe), &e->recipe, err);
}

static gdn_status open_buffers(comparison *k, gdn_error *err)
{
    size_t H = (size_t)k->shape.heads, n = H * (size_t)k->block;
    for (int i = 0; i < COMPARED; i++) {
        gdn_quantity q = compared[i];
        size_t size = H * head_size(k, q, k->block);
        double **all[] = {&k->r[q], &k->x[q], &k->c[q]};
        for (int j = 0; j < 3 && k->wanted[q]; j++)
            if (!(*all[j] = gdn_calloc(size, sizeof(double))))
                return gdn_no_memory(err, "a block of outputs");
    }
    k->g = gdn_calloc(n, sizeof *k->g);
    k->lower = gdn_calloc(n, sizeof *k->lower);
    return k->g && k->lower ? GDN_OK : gdn_no_memory(err, "a block of gates");
}

static gdn_status open_comparison(comparison *k, gdn_error *err)
{
    gdn_source *s = k->source;
    k->shape = s->shape;
    k->total = s->lengths[s->length_count - 1];
    k->tokens = tokens_of(s);
    k->block = s->room < BLOCK ? s->room : BLOCK;
    k->wanted[GDN_Q_O] = k->recorded->o != NULL;
    k->wanted[GDN_Q_Y] = k->recorded->y != NULL;
    k->wanted[GDN_Q_STATE] = k->recorded->state != NULL && k->tokens == k->total;
    if (s->has_state0) {
        size_t n = (size_t)k->shape.heads * (size_t)k->shape.dk * (size_t)k->shape.dv;
        if (!(k->state0 = gdn_calloc(n, sizeof *k->state0)))
            return gdn_no_memory(err, "the initial state");
        gdn_source_initial_state(s, k->state0);
    }
    return open_buffers(k, err);
}

static void close_comparison(comparison *k)
{
    for (int i = 0; i < k->entries; i++) {
        gdn_team_close(&k->entry[i].team);
        for (int q = 0; q < GDN_QUANTITIES; q++)
            free(k->entry[i].head[q]);
    }
    gdn_team_close(&k->truth);
    gdn_recorded_engine.close(k->theirs);
    for (int q = 0; q < GDN_QUANTITIES; q++) {
        free(k->r[q]);
        free(k->x[q]);
        free(k->c[q]);
    }
    free(k->state0);
    free(k->g);
    free(k->lower);
}

/* ---- the grid of theirs ---- */

/* From the narrowest on. */
static const gdn_format_id grids[] = {GDN_BF16, GDN_FP16, GDN_TF32, GDN_FP32, GDN_FP64};
enum { GRIDS = sizeof grids / sizeof grids[0] };

/* The first of grids[*at ..] that holds every value; *at is moved to it. */
static void narrow(const double *x, size_t n, int *at)
{
    for (size_t i = 0; i < n; i++)
        while (*at < GRIDS - 1 && gdn_likeness_finite(x[i]) &&
               gdn_round(&gdn_formats[grids[*at]], x[i]) != x[i])
            (*at)++;
}

static gdn_status open_theirs(comparison *k, gdn_error *err)
{
    gdn_recorded_engine.close(k->theirs);
    k->theirs = NULL;
    return gdn_recorded_engine.open(&k->theirs, &(gdn_setup){.shape = k->shape, .recipe = k->recorded}, err);
}

/* Theirs, n tokens on. */
static gdn_status read_theirs(comparison *k, int n, gdn_error *err)
{
    return gdn_recorded_engine.advance(k->theirs, &(gdn_block){.tokens = n},
                                       &(gdn_outputs){.o = k->x[GDN_Q_O], .y = k->x[GDN_Q_Y]}, err);
}

static gdn_status find_grids(comparison *k, gdn_error *err)
{
    int at[GDN_QUANTITIES] = {0};
    gdn_status status = open_theirs(k, err);
    for (int64_t done = 0; done < k->tokens && !status;) {
        int n = k->tokens - done < k->block ? (int)(k->tokens - done) : k->block;
        status = read_theirs(k, n, err);
        for (int i = 0; i < COMPARED && !status; i++)
            if (k->wanted[compared[i]] && compared[i] != GDN_Q_STATE)
                narrow(k->x[compared[i]], (size_t)k->shape.heads * head_size(k, compared[i], n),
                       &at[compared[i]]);
        done += n;
    }
    if (k->wanted[GDN_Q_STATE] && !status) {
        status = gdn_recorded_engine.read_state(k->theirs, k->x[GDN_Q_STATE], NULL, err);
        narrow(k->x[GDN_Q_STATE], (size_t)k->shape.heads * head_size(k, GDN_Q_STATE, 0), &at[GDN_Q_STATE]);
    }
    for (int q = 0; q < GDN_QUANTITIES; q++)
        k->grid[q] = grids[at[q]];
    return status ? status : open_theirs(k, err);
}

/* ---- the run ---- */

/* A block with a g that is lower by GDN_LIKENESS_DRIFT. */
static gdn_block lowered(const comparison *k, const gdn_block *in)
{
    gdn_block out = *in;
    size_t n = (size_t)k->shape.heads * (size_t)in->tokens;
    for (size_t i = 0; i < n; i++)
        k->lower[i] = (float)k->g[i] - GDN_LIKENESS_DRIFT;
    out.a = NULL;
    out.g = k->lower;
    return out;
}

/* One block through the truth and every candidate. */
static gdn_status advance(comparison *k, const gdn_block *in, gdn_error *err)
{
    const gdn_outputs true_out = {.g = k->g, .o = k->r[GDN_Q_O], .y = k->r[GDN_Q_Y]},
                      out = {.o = k->c[GDN_Q_O], .y = k->c[GDN_Q_Y]};
    gdn_status status = gdn_team_advance(&k->truth, in, &true_out, err);
    if (!status)
        status = read_theirs(k, in->tokens, err);
    for (int i = 0; i < k->entries && !status; i++) {
        const entry *e = &k->entry[i];
        const gdn_block block = e->candidate->kind == GDN_CANDIDATE_DRIFT ? lowered(k, in) : *in;
        if (e->team.engine)
            status = gdn_team_advance(&e->team, &block, &out, err);
        if (!status) {
            add(k, e, GDN_Q_O, in->tokens);
            add(k, e, GDN_Q_Y, in->tokens);
        }
    }
    return status;
}

static gdn_status compare_states(comparison *k, gdn_error *err)
{
    if (!k->wanted[GDN_Q_STATE])
        return GDN_OK;
    gdn_status status = gdn_team_read_state(&k->truth, k->r[GDN_Q_STATE], NULL, err);
    if (!status)
        status = gdn_recorded_engine.read_state(k->theirs, k->x[GDN_Q_STATE], NULL, err);
    for (int i = 0; i < k->entries && !status; i++) {
        const entry *e = &k->entry[i];
        if (e->team.engine)
            status = gdn_team_read_state(&e->team, k->c[GDN_Q_STATE], NULL, err);
        if (!status)
            add(k, e, GDN_Q_STATE, 0);
    }
    return status;
}

/* A packed sequence begins. */
static gdn_status restart(comparison *k, gdn_error *err)
{
    gdn_status status = gdn_team_restart(&k->truth, err);
    for (int i = 0; i < k->entries && !status; i++)
        if (k->entry[i].team.engine)
            status = gdn_team_restart(&k->entry[i].team, err);
    return status;
}

static gdn_status run(comparison *k, gdn_error *err)
{
    const gdn_source *s = k->source;
    int64_t begin = 0;
    int sequence = 0;
    gdn_status status = GDN_OK;
    for (int64_t done = 0; done < k->tokens && !status;) {
        int64_t stop = sequence < s->sequence_count ? s->sequences[sequence] : k->tokens;
        stop = stop < k->tokens ? stop : k->tokens;
        int n = stop - done < k->block ? (int)(stop - done) : k->block;
        gdn_block in;
        gdn_source_block(k->source, done + 1, n, 0, k->shape.heads, &in);
        in.first -= begin; /* engines count the tokens of their sequence */
        status = advance(k, &in, err);
        done += n;
        if (!status && done == stop && done < k->tokens) {
            begin = done;
            sequence++;
            status = restart(k, err);
        }
    }
    return status ? status : compare_states(k, err);
}

/* ---- the whole ---- */

static void conclude(const comparison *k, gdn_quantity q, gdn_likeness *out)
{
    gdn_likeness_shared all[GDN_LIKENESS_ROWS];
    int n = 0;
    for (int i = 0; i < k->entries; i++)
        if (k->entry[i].for_quantity[q])
            all[n++] = (gdn_likeness_shared){k->entry[i].candidate, total(k, &k->entry[i], q)};
    *out = (gdn_likeness){.present = true, .tokens = k->tokens, .grid = k->grid[q]};
    gdn_likeness_conclude(all, n, q, k->total, out);
}

gdn_status gdn_likeness_find(gdn_source *source, const gdn_recorded *recorded, const gdn_params *params,
                             int threads, gdn_likeness out[GDN_QUANTITIES], gdn_error *err)
{
    comparison k = {.source = source,
                    .recorded = recorded,
                    .params = params ? *params : own_params(source),
                    .threads = threads > 1 ? threads : 1};
    for (int q = 0; q < GDN_QUANTITIES; q++)
        out[q] = (gdn_likeness){.present = false, .best = -1};
    gdn_status status = open_comparison(&k, err);
    if (!status)
        status = find_grids(&k, err);
    if (!status)
        status = open_team(&k, &k.truth, &gdn_fp64_engine, NULL, err);
    for (int i = 0; i < gdn_candidate_count && !status; i++)
        status = open_entry(&k, &gdn_candidates[i], err);
    if (!status)
        status = run(&k, err);
    for (int i = 0; i < COMPARED && !status; i++)
        if (k.wanted[compared[i]])
            conclude(&k, compared[i], &out[compared[i]]);
    close_comparison(&k);
    return status;
}
