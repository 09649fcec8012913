/* SPDX-License-Identifier: Apache-2.0 */
/* judge -- from a dump to judged outputs; see judge.h. */
#include "harness/judge.h"

#include <inttypes.h>
#include <math.h>
#include <omp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/judge_parts.h"
#include "harness/lockstep.h"
#include "harness/progress.h"
#include "harness/shown.h"
#include "reference/gdn_fp64.h"

const char *const gdn_judge_stored[GDN_JUDGE_STORED] = {"all-bf16", "a_log-bf16"};

void gdn_judge_note(gdn_judge *j, const char *format, ...)
{
    va_list args;
    if (j->notes == GDN_JUDGE_NOTES)
        return;
    va_start(args, format);
    vsnprintf(j->note[j->notes++], sizeof j->note[0], format, args);
    va_end(args);
}

/* ---- which inputs ---- */

static bool has(const gdn_judge *j, gdn_role role)
{
    return j->file.role[role] != NULL;
}

static bool has_parameters(const gdn_judge *j)
{
    return has(j, GDN_ROLE_A) && has(j, GDN_ROLE_A_LOG) && has(j, GDN_ROLE_DT_BIAS);
}

/* What the roles lack or have twice. */
static gdn_status inputs_ok(gdn_judge *j, gdn_error *err)
{
    static const gdn_role wanted[] = {GDN_ROLE_Q, GDN_ROLE_K, GDN_ROLE_V};
    const gdn_judge_options *o = &j->options;
    const char *path = j->file.path;
    char taken[2 * GDN_SHOWN];
    for (int i = 0; i < 3; i++)
        if (!has(j, wanted[i])) {
            const char *role = gdn_role_names[wanted[i]];
            return gdn_fail(err, GDN_BAD_INPUT,
                            "%s: no tensor is known to be %s%s; --map %s=NAME says which of the %zu it is",
                            path, role, gdn_judge_file_taken(&j->file, wanted[i], taken, sizeof taken), role,
                            gdn_safetensors_count(j->file.st));
        }
    if (!has(j, GDN_ROLE_BETA) && !has(j, GDN_ROLE_B))
        return gdn_fail(err, GDN_BAD_INPUT, "%s: neither beta nor b is there%s; --map beta=NAME or b=NAME",
                        path, gdn_judge_file_taken(&j->file, GDN_ROLE_BETA, taken, sizeof taken));
    bool given = has(j, GDN_ROLE_G), params = has_parameters(j);
    if (!given && !params)
        return gdn_fail(err, GDN_BAD_INPUT,
                        "%s: neither g nor all of a, A_log and dt_bias are there; --map g=NAME, or a=NAME "
                        "A_log=NAME dt_bias=NAME",
                        path);
    if (o->given && !given)
        return gdn_fail(err, GDN_BAD_INPUT, "%s: --gate given, but there is no g", path);
    if ((o->params || o->profile) && !params)
        return gdn_fail(err, GDN_BAD_INPUT, "%s: %s wants a, A_log and dt_bias; %s is not there", path,
                        o->params ? "--gate params" : "--profile",
                        !has(j, GDN_ROLE_A)       ? "a"
                        : !has(j, GDN_ROLE_A_LOG) ? "A_log"
                                                  : "dt_bias");
    if (o->given && o->profile)
        return gdn_fail(
            err, GDN_BAD_INPUT,
            "--profile splits off what storing the parameters costs, --gate given leaves them out: "
            "one of them is allowed");
    j->given = given && !o->params && !o->profile;
    if (given && o->profile && !o->params)
        gdn_judge_note(
            j, "with --profile the gate is computed from the parameters, and the g of the file is judged "
               "like the other outputs");
    if (!params && (has(j, GDN_ROLE_A_LOG) || has(j, GDN_ROLE_DT_BIAS)))
        gdn_judge_note(j, "%s: the parameters play no role and g is not judged",
                       !has(j, GDN_ROLE_A) ? "a, the input of the gate, "
                                             "is not there"
                                           : "A_log or dt_bias is missing");
    if (has(j, GDN_ROLE_BETA) && has(j, GDN_ROLE_B)) {
        gdn_judge_note(j, "both beta and b are there: beta is used, b is not");
        return gdn_judge_file_drop(&j->file, GDN_ROLE_B, err);
    }
    return GDN_OK;
}

/* Roles without a use here are dropped, and outputs that cannot be judged said. */
static gdn_status trim(gdn_judge *j, gdn_error *err)
{
    bool y = false;
    char shown[GDN_SHOWN];
    gdn_status status = GDN_OK;
    for (int i = 0; i < j->file.outputs; i++)
        y |= j->file.output[i].quantity == GDN_Q_Y;
    if (y && !has(j, GDN_ROLE_Z))
        for (int i = 0; i < j->file.outputs; i++)
            if (j->file.output[i].quantity == GDN_Q_Y)
                gdn_judge_note(j, "'%s' is not judged: y takes z, the gate of out_norm, and it is not there",
                               gdn_shown(j->file.output[i].tensor, shown, sizeof shown));
    y = y && has(j, GDN_ROLE_Z);
    if (y && !has(j, GDN_ROLE_NORM_WEIGHT))
        gdn_judge_note(j, "norm_weight is not there: ones are taken");
    const gdn_role gate[] = {GDN_ROLE_A, GDN_ROLE_A_LOG, GDN_ROLE_DT_BIAS};
    for (int i = 0; i < 3 && !has_parameters(j) && !status; i++)
        if (has(j, gate[i]))
            status = gdn_judge_file_drop(&j->file, gate[i], err);
    for (gdn_role r = GDN_ROLE_Z; r <= GDN_ROLE_NORM_WEIGHT && !y && !status; r++)
        if (has(j, r))
            status = gdn_judge_file_drop(&j->file, r, err);
    return status;
}

/* ---- running ---- */

static int tick(void *bar, double share)
{
    gdn_progress_add(bar, share);
    return 0;
}

static gdn_status run_population(gdn_judge *j, int index, gdn_progress *bar, gdn_rows *rows, gdn_error *err)
{
    const gdn_task task = {.experiment = &j->plan->e,
                           .population = index,
                           .seed = 1,
                           .backend = &gdn_backend_cpu,
                           .block = GDN_BLOCK,
                           .threads = j->options.jobs,
                           .pool = true};
    return gdn_task_run(&task, tick, bar, rows, err);
}

/* ---- from rows to verdicts ---- */

static bool is(const char *x, const char *y)
{
    return strcmp(x, y) == 0;
}

/* [1, T], or for the state T alone. */
static bool whole(const gdn_judge *j, const gdn_row *r)
{
    bool state = is(r->quantity, gdn_quantity_names[GDN_Q_STATE]);
    return r->to == j->tokens && (r->from == 1 || state) && (!state || r->from == r->to);
}

/* The pooled row over the whole length. */
static const gdn_pooled *pooled_row(const gdn_judge *j, int run, const char *profile, gdn_quantity q,
                                    gdn_kind kind)
{
    const gdn_rows *rows = &j->run[run];
    for (int64_t i = 0; i < rows->pools; i++) {
        const gdn_row *r = &rows->pooled[i].row;
        if (whole(j, r) && is(r->profile, profile) && is(r->quantity, gdn_quantity_names[q]) &&
            is(r->kind, gdn_kind_names[kind]))
            return &rows->pooled[i];
    }
    return NULL;
}

static bool row_of(const gdn_judged *x, const gdn_row *r)
{
    return is(r->profile, x->output->tensor) && is(r->quantity, gdn_quantity_names[x->output->quantity]) &&
           is(r->kind, gdn_kind_names[GDN_TOTAL]);
}

const gdn_row *gdn_judge_window(const gdn_judge *j, const gdn_judged *x, int64_t *at)
{
    const gdn_rows *rows = &j->run[x->run];
    bool all = j->options.head == GDN_ALL_HEADS;
    while (*at < (all ? rows->pools : rows->count)) {
        const gdn_row *r = all ? &rows->pooled[*at].row : &rows->row[*at];
        ++*at;
        if (row_of(x, r) && !whole(j, r) && r->head == j->options.head)
            return r;
    }
    return NULL;
}

const gdn_row *gdn_judge_head(const gdn_judge *j, const gdn_judged *x, int64_t *at)
{
    const gdn_rows *rows = &j->run[x->run];
    while (*at < rows->count) {
        const gdn_row *r = &rows->row[(*at)++];
        if (row_of(x, r) && whole(j, r))
            return r;
    }
    return NULL;
}

const gdn_judged *gdn_judge_first(const gdn_judge *j)
{
    for (int i = 0; i < j->count; i++)
        if (j->judged[i].output->quantity == GDN_Q_O)
            return &j->judged[i];
    return &j->judged[0];
}

bool gdn_judge_by_check(const gdn_judge *j)
{
    return !is(gdn_judge_first(j)->total->row.reference, gdn_fp64_engine.name);
}

double gdn_judge_uncertainty(const gdn_judge *j)
{
    double worst = 0;
    for (int i = 0; i < j->count; i++)
        worst = fmax(worst, j->judged[i].total->row.uncertainty);
    return worst;
}

/* ---- hints ---- */

/* Inputs of the wrong kind: alpha or a for g, the logit b for beta. */
static gdn_status outside(gdn_judge *j, gdn_role role, double least, double most, const char *what,
                          gdn_error *err)
{
    const gdn_tensor *t = has(j, role) ? gdn_safetensors_find(j->file.st, j->file.role[role]) : NULL;
    char shown[GDN_SHOWN];
    int64_t n = t ? gdn_tensor_elements(t) : 0, found = 0;
    double *x = gdn_calloc((size_t)n, sizeof *x);
    gdn_status status = !x ? gdn_no_memory(err, "an input") : t ? gdn_tensor_doubles(t, x, err) : GDN_OK;
    for (int64_t i = 0; i < n && !status; i++)
        found += x[i] < least || x[i] > most;
    if (found)
        gdn_judge_note(j, "%" PRId64 " of %" PRId64 " elements of %s, the tensor '%s', are %s", found, n,
                       gdn_role_names[role], gdn_shown(t->name, shown, sizeof shown), what);
    free(x);
    return status;
}

/* A state that is far off as it lies and right when turned. */
static gdn_status turned(gdn_judge *j, const gdn_judged *x, gdn_error *err)
{
    gdn_rows rows = {0};
    gdn_progress bar = {.quiet = true};
    char shown[GDN_SHOWN];
    gdn_status status = gdn_judge_plan_turn(j->plan, x->run, gdn_judge_recorded(j, x), err);
    if (!status)
        status = run_population(j, GDN_JUDGE_TURNED, &bar, &rows, err);
    for (int64_t i = 0; i < rows.pools && !status; i++)
        if (rows.pooled[i].row.rel_l2 < 0.1)
            gdn_judge_note(j, "'%s' looks transposed: with --state-layout %s its rel L2 is %.3g",
                           gdn_shown(x->output->tensor, shown, sizeof shown),
                           gdn_state_layout_names[!j->options.state_layout], rows.pooled[i].row.rel_l2);
    gdn_rows_free(&rows);
    return status;
}

/* An error far below what the storage costs: the kernel cannot have paid that. */
static bool never_stored(const gdn_judged *x)
{
    const double times = 10;
    return x->storage && x->storage->row.rel_l2 > times * x->total->row.rel_l2;
}

static gdn_status hints(gdn_judge *j, gdn_error *err)
{
    gdn_status status =
        outside(j, GDN_ROLE_G, -INFINITY, 0, "above 0: g is a log decay, is it alpha or a?", err);
    char shown[GDN_SHOWN];
    if (!status)
        status = outside(j, GDN_ROLE_BETA, 0, 2, "outside 0..2: is it b, the logit of beta?", err);
    for (int i = 0; i < j->count && !status; i++)
        if (never_stored(&j->judged[i])) {
            gdn_judge_note(j,
                           "'%s' errs far less than parameters stored as %s cost: the kernel did not run on "
                           "such, and its arith undoes their storage",
                           gdn_shown(j->judged[i].output->tensor, shown, sizeof shown), j->options.profile);
            break;
        }
    if (j->options.layout == GDN_LAYOUT_BTHD && j->shape.heads / j->batch > j->tokens && j->tokens < 64)
        gdn_judge_note(j, "more heads than tokens: if the tensors are [B, H, T, d], say --layout bhtd");
    for (int i = 0; i < j->count && !status; i++)
        if (j->judged[i].output->quantity == GDN_Q_STATE && j->judged[i].total->row.rel_l2 > 1 &&
            j->shape.dk == j->shape.dv)
            status = turned(j, &j->judged[i], err);
    return status;
}

/* ---- the whole ---- */

/* Facts that only the open file tells; and what each kernel's errors look like. */
static gdn_status look(gdn_judge *j, gdn_error *err)
{
    gdn_source *s = NULL;
    gdn_status status = gdn_source_open(&j->plan->e, 0, 1, GDN_BLOCK, &s, err);
    for (int i = 0; i < j->count && !status; i++)
        status = gdn_judge_likeness(j, s, &j->judged[i], err);
    gdn_source_close(s);
    return status;
}

/* Threads that are worth their coming and going. Short runs are witnessed by MPFR in every column. */
static int worthwhile(const gdn_judge *j)
{
    double work = (double)j->shape.heads * (double)j->tokens * j->shape.dk * j->shape.dv;
    return work * (j->tokens <= GDN_CERTIFY_ALL ? 16 : 1) < 0x1p28 ? 1 : j->options.jobs;
}

static gdn_status facts(gdn_judge *j, gdn_error *err)
{
    gdn_source *s = NULL;
    gdn_status status = gdn_source_open(&j->plan->e, 0, 1, 1, &s, err);
    if (status)
        return status;
    j->shape = s->shape;
    j->tokens = s->lengths[s->length_count - 1];
    j->batch = s->v.heads > 0 ? s->shape.heads / s->v.heads : 1;
    j->key_heads = s->k.heads / (s->k.group > 0 ? s->k.group : 1);
    gdn_source_close(s);
    j->options.jobs = worthwhile(j);
    if (j->options.head >= j->shape.heads)
        return gdn_fail(err, GDN_BAD_INPUT, "--head: %ld is not allowed; 0 to %d are", j->options.head,
                        j->shape.heads - 1);
    return GDN_OK;
}

static gdn_status judge_one(gdn_judge *j, gdn_judged *x, gdn_error *err)
{
    const char *name = x->output->tensor;
    gdn_quantity q = x->output->quantity;
    gdn_status status = GDN_OK;
    x->total = pooled_row(j, x->run, name, q, GDN_TOTAL);
    if (!x->total)
        return gdn_fail(err, GDN_MACHINE, "judge: there are no rows of an output");
    if (j->options.profile) {
        x->storage = pooled_row(j, x->run, name, q, GDN_STORAGE);
        x->arith = pooled_row(j, x->run, name, q, GDN_ARITH);
    }
    for (int run = 0; run < 2; run++)
        for (int i = 0; i < GDN_JUDGE_STORED; i++)
            if (!x->stored[i])
                x->stored[i] = pooled_row(j, run, gdn_judge_stored[i], q, GDN_STORAGE);
    const gdn_row *r;
    for (int64_t at = 0; (r = gdn_judge_head(j, x, &at));)
        if (!x->worst || r->rel_l2 > x->worst->rel_l2 || !(x->worst->rel_l2 >= 0))
            x->worst = r;
    if (x->total->sums.nonfinite || !isfinite(x->total->sums.rr))
        status = gdn_judge_explain_nonfinite(j, x, err);
    return status ? status : gdn_judge_pass_or_fail(j, x, err);
}

static gdn_status run_all(gdn_judge *j, gdn_error *err)
{
    gdn_progress bar = {.quiet = true};
    int runs = j->plan->populations;
    gdn_status status = GDN_OK;
    gdn_progress_start(&bar, "judge", runs, "runs", j->options.quiet);
    for (int i = 0; i < runs && !status; i++)
        status = run_population(j, i, &bar, &j->run[i], err);
    gdn_progress_end(&bar);
    return status;
}

gdn_status gdn_judge_run(gdn_judge *j, const gdn_judge_options *options, gdn_error *err)
{
    *j = (gdn_judge){.options = *options};
    omp_set_max_active_levels(2); /* heads over threads, and the witness beside them */
    omp_set_num_threads(options->jobs);
    gdn_status status = options->criterion ? gdn_criterion_check(options->criterion, err) : GDN_OK;
    if (!status)
        status = gdn_judge_file_open(&j->file, options->path, options->pair, options->pairs, err);
    if (!status)
        status = inputs_ok(j, err);
    if (!status)
        status = trim(j, err);
    if (!status)
        status = gdn_judge_plan_make(j, err);
    if (!status)
        status = facts(j, err);
    if (!status)
        status = run_all(j, err);
    for (int i = 0; i < j->count && !status; i++)
        status = judge_one(j, &j->judged[i], err);
    if (!status)
        status = hints(j, err);
    return status || options->no_likeness ? status : look(j, err);
}

void gdn_judge_close(gdn_judge *j)
{
    for (int i = 0; i < 2; i++)
        gdn_rows_free(&j->run[i]);
    gdn_judge_plan_free(j->plan);
    free(j->judged);
    gdn_judge_file_close(&j->file);
    *j = (gdn_judge){.count = 0};
}
