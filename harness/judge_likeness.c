/* SPDX-License-Identifier: Apache-2.0 */
/* judge_likeness -- which recipe errs as a judged kernel does; see judge_parts.h. */
#include <stdlib.h>

#include "harness/judge_parts.h"

/* The stored parameters that the kernel ran on. Arrays: [H], [H], [dv] */
static void stored(const gdn_judge *j, const gdn_source *s, double *decay, double *dt_bias, double *weight,
                   gdn_params *out)
{
    const gdn_profile *p = &j->plan->e.profiles[gdn_experiment_profile(&j->plan->e, j->options.profile)];
    for (int h = 0; h < s->shape.heads; h++) {
        decay[h] = gdn_profile_decay(p, s->a_log[h]);
        dt_bias[h] = gdn_profile_dt_bias(p, s->dt_bias[h]);
    }
    for (int i = 0; i < s->shape.dv; i++)
        weight[i] = gdn_profile_norm_weight(p, s->norm_weight[i]);
    *out = (gdn_params){.decay_is_a = p->store_a,
                        .decay = decay,
                        .dt_bias = dt_bias,
                        .norm_weight = weight,
                        .alpha = p->alpha,
                        .beta_shift = s->beta_shift,
                        .l2norm_off = s->l2norm_off,
                        .scale = s->scale};
}

static gdn_status find(const gdn_judge *j, gdn_source *s, const gdn_recorded *kernel,
                       gdn_likeness out[GDN_QUANTITIES], gdn_error *err)
{
    if (!j->options.profile)
        return gdn_likeness_find(s, kernel, NULL, j->options.jobs, out, err);
    gdn_params params;
    size_t H = (size_t)s->shape.heads, dv = (size_t)s->shape.dv;
    double *room = gdn_calloc(2 * H + dv, sizeof *room);
    if (!room)
        return gdn_no_memory(err, "stored parameters");
    stored(j, s, room, room + H, room + 2 * H, &params);
    gdn_status status = gdn_likeness_find(s, kernel, &params, j->options.jobs, out, err);
    free(room);
    return status;
}

/* Outputs of the kernel of x that are looked at together: one of each quantity, finite, not looked at yet. */
static bool together(const gdn_judged *x, const gdn_judged *y, const gdn_judged *of[GDN_QUANTITIES])
{
    return y->run == x->run && strcmp(x->output->kernel, y->output->kernel) == 0 &&
           !of[y->output->quantity] && y->output->quantity != GDN_Q_G && y->total->sums.nonfinite == 0 &&
           !y->likeness.present;
}

gdn_status gdn_judge_likeness(gdn_judge *j, gdn_source *s, gdn_judged *x, gdn_error *err)
{
    const gdn_judged *of[GDN_QUANTITIES] = {NULL};
    if (x->run != GDN_JUDGE_OUTPUTS || !together(x, x, of))
        return GDN_OK;
    gdn_likeness *out = gdn_calloc(GDN_QUANTITIES, sizeof *out);
    if (!out)
        return gdn_no_memory(err, "likenesses");
    const gdn_recorded *own = &s->recorded[gdn_judge_recorded(j, x)];
    gdn_recorded kernel = {.spec = own->spec, .tokens = own->tokens, .state_layout = own->state_layout};
    for (int i = 0; i < j->count; i++) {
        const gdn_judged *y = &j->judged[i];
        if (y != x && (y < x || !together(x, y, of)))
            continue;
        const gdn_recorded *r = &s->recorded[gdn_judge_recorded(j, y)];
        kernel.o = r->o ? r->o : kernel.o;
        kernel.y = r->y ? r->y : kernel.y;
        kernel.state = r->state ? r->state : kernel.state;
        of[y->output->quantity] = y;
    }
    gdn_status status = find(j, s, &kernel, out, err);
    for (int i = 0; i < j->count && !status; i++)
        if (of[j->judged[i].output->quantity] == &j->judged[i])
            j->judged[i].likeness = out[j->judged[i].output->quantity];
    free(out);
    return status;
}
