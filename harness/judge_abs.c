/* SPDX-License-Identifier: Apache-2.0 */
/* judge_abs -- the largest error of an output in absolute terms, which the sums of a task do not keep. */
#include <math.h>
#include <stdlib.h>

#include "harness/judge.h"
#include "harness/team.h"
#include "reference/gdn_fp64.h"

/* x: theirs, r: the truth, n numbers. */
static double largest_of(const double *x, const double *r, size_t n, double worst)
{
    for (size_t i = 0; i < n; i++)
        worst = fmax(worst, fabs(x[i] - r[i]));
    return worst;
}

typedef struct arrays {
    double *theirs, *truth; /* of a block, or the state */
    double *ms, *state0;
} arrays;

static gdn_status run(gdn_source *s, const gdn_recorded *r, gdn_quantity q, int threads, const arrays *x,
                      double *largest, gdn_error *err)
{
    size_t H = (size_t)s->shape.heads, width = q == GDN_Q_G ? 1 : (size_t)s->shape.dv;
    const gdn_view *const views[GDN_QUANTITIES] = {[GDN_Q_G] = r->g, [GDN_Q_O] = r->o, [GDN_Q_Y] = r->y};
    gdn_team team = {.engine = NULL};
    gdn_setup setup = {.shape = s->shape,
                       .params = {.decay = s->a_log,
                                  .dt_bias = s->dt_bias,
                                  .norm_weight = s->norm_weight,
                                  .alpha = GDN_FP64,
                                  .beta_shift = s->beta_shift,
                                  .l2norm_off = s->l2norm_off,
                                  .scale = s->scale},
                       .recurrence = q != GDN_Q_G,
                       .state0 = s->has_state0 ? x->state0 : NULL};
    gdn_outputs out = {.g = q == GDN_Q_G ? x->truth : NULL,
                       .o = q == GDN_Q_O ? x->truth : NULL,
                       .y = q == GDN_Q_Y ? x->truth : NULL,
                       .ms = q == GDN_Q_Y ? x->ms : NULL};
    if (s->has_state0)
        gdn_source_initial_state(s, x->state0);
    gdn_status status = gdn_team_open(&team, &gdn_fp64_engine, &setup, threads, err);
    for (int64_t t = 0; t < r->tokens && !status; t += s->room) {
        gdn_cut cut = {t, (int)(r->tokens - t < s->room ? r->tokens - t : s->room), 0, s->shape.heads};
        gdn_block block;
        gdn_source_block(s, t + 1, cut.n, 0, s->shape.heads, &block);
        status = gdn_team_advance(&team, &block, &out, err);
        if (!status && views[q])
            status = gdn_view_doubles(views[q], &cut, x->theirs, err);
        if (!status && views[q])
            *largest = largest_of(x->theirs, x->truth, H * (size_t)cut.n * width, *largest);
    }
    if (!status && q == GDN_Q_STATE)
        status = gdn_team_read_state(&team, x->truth, NULL, err);
    if (!status && q == GDN_Q_STATE)
        status = gdn_view_states(r->state, r->state_layout, s->shape, x->theirs, err);
    if (!status && q == GDN_Q_STATE)
        *largest = largest_of(x->theirs, x->truth, H * (size_t)s->shape.dk * width, 0);
    gdn_team_close(&team);
    return status;
}

gdn_status gdn_judge_largest(const gdn_experiment *e, int index, int recorded, gdn_quantity q, int threads,
                             double *largest, gdn_error *err)
{
    gdn_source *s = NULL;
    gdn_status status = gdn_source_open(e, index, 1, GDN_BLOCK, &s, err);
    *largest = 0;
    if (status)
        return status;
    size_t H = (size_t)s->shape.heads, dv = (size_t)s->shape.dv, state = H * (size_t)s->shape.dk * dv,
           block = H * (size_t)s->room * dv, n = block > state ? block : state;
    arrays x = {gdn_calloc(n, sizeof(double)), gdn_calloc(n, sizeof(double)),
                gdn_calloc(H * (size_t)s->room, sizeof(double)),
                gdn_calloc(s->has_state0 ? state : 1, sizeof(double))};
    status = x.theirs && x.truth && x.ms && x.state0
                 ? run(s, &s->recorded[recorded], q, threads, &x, largest, err)
                 : gdn_no_memory(err, "a block of outputs");
    free(x.theirs);
    free(x.truth);
    free(x.ms);
    free(x.state0);
    gdn_source_close(s);
    return status;
}
