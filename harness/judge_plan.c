/* SPDX-License-Identifier: Apache-2.0 */
/* judge_plan -- the experiment that a dump becomes; see judge_parts.h. */
#include <stdlib.h>
#include <string.h>

#include "harness/judge_parts.h"
#include "harness/shown.h"

static char nothing[] = "";

static bool has(const gdn_judge *j, gdn_role role)
{
    return j->file.role[role] != NULL;
}

/* ---- the parts of a population ---- */

/* The file's tensors by role; g or its parameters. */
static gdn_file_spec file_spec(const gdn_judge *j, gdn_judge_plan *p, bool given)
{
    char *const *role = j->file.role;
    return (gdn_file_spec){
        .path = (char *)(uintptr_t)j->file.path,
        .layout = j->options.layout,
        .state_layout = j->options.state_layout,
        .l2norm = j->options.no_l2norm ? &p->l2norm : NULL,
        .scale = j->options.scale != 0 ? &p->scale : NULL,
        .q = role[GDN_ROLE_Q],
        .k = role[GDN_ROLE_K],
        .v = role[GDN_ROLE_V],
        .a = given ? NULL : role[GDN_ROLE_A],
        .g = given ? role[GDN_ROLE_G] : NULL,
        .b = role[GDN_ROLE_B],
        .beta = role[GDN_ROLE_BETA],
        .a_log = given ? NULL : role[GDN_ROLE_A_LOG],
        .dt_bias = given ? NULL : role[GDN_ROLE_DT_BIAS],
        .norm_weight = role[GDN_ROLE_NORM_WEIGHT],
        .z = role[GDN_ROLE_Z],
        .initial_state = role[GDN_ROLE_INITIAL_STATE],
    };
}

static void want(gdn_population *p, gdn_quantity q)
{
    for (unsigned i = 0; i < p->quantities_count; i++)
        if (p->quantities[i] == q)
            return;
    p->quantities[p->quantities_count++] = q;
}

static void record(gdn_population *p, const gdn_judge_output *o, const char *profile)
{
    gdn_recorded_spec *r = &p->recorded[p->recorded_count++];
    *r = (gdn_recorded_spec){.name = o->tensor, .storage = (char *)(uintptr_t)profile};
    char **const where[GDN_QUANTITIES] = {
        [GDN_Q_G] = &r->g, [GDN_Q_O] = &r->o, [GDN_Q_STATE] = &r->state, [GDN_Q_Y] = &r->y};
    *where[o->quantity] = o->tensor;
    want(p, o->quantity);
}

/* Recordings without tensors: what storing the parameters so would cost. */
static void store(gdn_population *p)
{
    for (int i = 0; i < GDN_JUDGE_STORED; i++) {
        char *name = (char *)(uintptr_t)gdn_judge_stored[i];
        p->recorded[p->recorded_count++] = (gdn_recorded_spec){.name = name, .storage = name};
    }
}

/* ---- the experiment ---- */

static gdn_status profile_ok(const gdn_judge *j, gdn_error *err)
{
    const gdn_experiment *e = &j->plan->e;
    const char *name = j->options.profile, *all[256];
    int n = e->profile_count < 256 ? e->profile_count : 256;
    if (!name || gdn_experiment_profile(e, name) >= 0)
        return GDN_OK;
    for (int i = 0; i < n; i++)
        all[i] = e->profiles[i].name;
    const char *near = gdn_nearest(name, all, n);
    return gdn_fail(err, GDN_BAD_INPUT,
                    "--profile: '%.80s' is not a profile%s%s%s; `gdnprec list profiles` shows them", name,
                    near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

static gdn_status allocate(gdn_judge *j, gdn_error *err)
{
    gdn_judge_plan *p = j->plan = gdn_calloc(1, sizeof *p);
    if (!p)
        return gdn_no_memory(err, "an experiment");
    p->e = (gdn_experiment){.file = &p->file,
                            .path = nothing,
                            .text = nothing,
                            .ladder = GDN_LADDER_FP64,
                            .precision = GDN_JUDGE_PRECISION,
                            .check_precision = GDN_JUDGE_PRECISION + 47,
                            .check_columns = GDN_CHECK_COLUMNS};
    p->file = (gdn_experiment_file){.experiment = nothing, .seeds = 1, .populations = p->population};
    p->scale = j->options.scale;
    size_t room = (size_t)j->file.outputs + 1 + GDN_JUDGE_STORED;
    bool there = true;
    for (int i = 0; i < GDN_JUDGE_POPULATIONS; i++)
        there &= (p->recorded[i] = gdn_calloc(room, sizeof *p->recorded[i])) != NULL;
    p->e.profiles = gdn_calloc((size_t)gdn_profile_count, sizeof *p->e.profiles);
    j->judged = gdn_calloc(room, sizeof *j->judged);
    if (!there || !p->e.profiles || !j->judged)
        return gdn_no_memory(err, "an experiment");
    for (; p->e.profile_count < gdn_profile_count; p->e.profile_count++)
        p->e.profiles[p->e.profile_count] = gdn_profile_builtin(p->e.profile_count);
    return profile_ok(j, err);
}

static gdn_population *open_population(gdn_judge *j, int i, char *name, bool given)
{
    gdn_judge_plan *p = j->plan;
    gdn_population *x = &p->population[i];
    p->spec[i] = file_spec(j, p, given);
    *x = (gdn_population){.name = name,
                          .group = 1,
                          .beta_factor = (double)j->options.beta_factor,
                          .file = &p->spec[i],
                          .recorded = p->recorded[i],
                          .quantities = p->quantities[i]};
    p->populations = i + 1;
    p->file.populations_count = GDN_JUDGE_POPULATIONS;
    return x;
}

static void judge_in(gdn_judge *j, int run, const gdn_judge_output *o)
{
    record(&j->plan->population[run], o, j->options.profile);
    j->judged[j->count++] = (gdn_judged){.output = o, .run = run};
}

/* Can the output be judged: y takes z, g its parameters. */
static bool judgeable(const gdn_judge *j, const gdn_judge_output *o)
{
    return o->quantity == GDN_Q_G ? has(j, GDN_ROLE_A) : o->quantity != GDN_Q_Y || has(j, GDN_ROLE_Z);
}

gdn_status gdn_judge_plan_make(gdn_judge *j, gdn_error *err)
{
    static char given[] = "given", params[] = "params";
    bool outputs = false, parameters = has(j, GDN_ROLE_A);
    gdn_status status = allocate(j, err);
    if (!status && parameters && has(j, GDN_ROLE_G))
        status = gdn_judge_file_judge_g(&j->file, err);
    if (status)
        return status;
    for (int i = 0; i < j->file.outputs; i++)
        outputs |= j->file.output[i].quantity != GDN_Q_G && judgeable(j, &j->file.output[i]);
    j->given = j->given && outputs; /* else g alone is judged, against its parameters */
    open_population(j, GDN_JUDGE_OUTPUTS, j->given ? given : params, j->given);
    int gate = GDN_JUDGE_OUTPUTS;
    if (j->given && parameters)
        open_population(j, gate = GDN_JUDGE_GATE, params, false);
    for (int i = 0; i < j->file.outputs; i++) {
        const gdn_judge_output *o = &j->file.output[i];
        char shown[GDN_SHOWN];
        if (judgeable(j, o))
            judge_in(j, o->quantity == GDN_Q_G ? gate : GDN_JUDGE_OUTPUTS, o);
        else if (o->quantity == GDN_Q_G)
            gdn_judge_note(j, "'%s' is not judged: g takes a, A_log and dt_bias",
                           gdn_shown(o->tensor, shown, sizeof shown));
    }
    if (j->count == 0)
        return gdn_fail(
            err, GDN_BAD_INPUT,
            "%s: there is no output to judge; o, state and y are, alone or as KERNEL.out and so on, or by "
            "--map o=NAME",
            j->file.path);
    if (parameters && !j->options.profile) {
        gdn_population *p = &j->plan->population[gate];
        store(p);
        for (int i = 0; i < j->count; i++)
            want(p, j->judged[i].output->quantity);
    }
    return GDN_OK;
}

void gdn_judge_plan_free(gdn_judge_plan *p)
{
    if (!p)
        return;
    for (int i = 0; i < GDN_JUDGE_POPULATIONS; i++)
        free(p->recorded[i]);
    free(p->e.profiles);
    free(p);
}

gdn_status gdn_judge_plan_turn(gdn_judge_plan *p, int population, int recorded, gdn_error *err)
{
    gdn_population *x = &p->population[GDN_JUDGE_TURNED];
    (void)err;
    p->spec[GDN_JUDGE_TURNED] = p->spec[population];
    p->spec[GDN_JUDGE_TURNED].state_layout =
        p->spec[population].state_layout == GDN_STATE_KV ? GDN_STATE_VK : GDN_STATE_KV;
    *x = p->population[population];
    x->file = &p->spec[GDN_JUDGE_TURNED];
    x->recorded = p->recorded[GDN_JUDGE_TURNED];
    x->recorded[0] = p->population[population].recorded[recorded];
    x->recorded[0].storage = NULL;
    x->recorded_count = 1;
    x->quantities = p->quantities[GDN_JUDGE_TURNED];
    x->quantities[0] = GDN_Q_STATE;
    x->quantities_count = 1;
    return GDN_OK;
}

int gdn_judge_recorded(const gdn_judge *j, const gdn_judged *x)
{
    const gdn_population *p = &j->plan->population[x->run];
    int i = 0;
    while (p->recorded[i].name != x->output->tensor)
        i++;
    return i;
}
