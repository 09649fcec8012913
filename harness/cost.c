/* SPDX-License-Identifier: Apache-2.0 */
/* cost -- what a run will take; see cost.h. */
#include "harness/cost.h"

#include <malloc.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "harness/budget.h"
#include "harness/lockstep.h"
#include "harness/progress.h"

/* Bytes of a row without its texts: in store.db with its entry in the index, and in a line of a CSV file. */
enum { STORED = 203, WRITTEN = 280 };

/* ---- rows ---- */

static const gdn_quantity *quantities_of(const gdn_task *t, unsigned *n)
{
    const gdn_population *p = &t->experiment->file->populations[t->population];
    *n = p->quantities ? p->quantities_count : t->experiment->file->quantities_count;
    return p->quantities ? p->quantities : t->experiment->file->quantities;
}

/* What rows report: as lockstep_open has it. reported: [GDN_QUANTITIES] */
static void reported_by(const gdn_task *t, const gdn_source *s, bool *reported)
{
    unsigned n;
    const gdn_quantity *q = quantities_of(t, &n);
    for (int i = 0; i < GDN_QUANTITIES; i++)
        reported[i] = n == 0;
    for (unsigned i = 0; i < n; i++)
        reported[q[i]] = true;
    reported[GDN_Q_Y] &= s->has_z;
}

static char **profiles_of(const gdn_task *t, unsigned *n)
{
    const gdn_population *p = &t->experiment->file->populations[t->population];
    *n = p->profiles ? p->profiles_count : t->experiment->file->profiles_count;
    return p->profiles ? p->profiles : t->experiment->file->profiles;
}

/* Windows of one quantity and kind; a recorded state is known after the last token alone. */
static void count_windows(const gdn_plan *plan, const gdn_recorded *r, gdn_quantity q, int64_t *windows,
                          int64_t *last)
{
    for (int w = 0; w < plan->windows; w++) {
        const gdn_window *x = &plan->window[w];
        bool there = !r || q != GDN_Q_STATE || (x->whole && x->to == r->tokens);
        *windows += there;
        *last += there && x->whole && x->to == plan->last;
    }
}

/* One subject's part; the same rules as emit_subject() of task.c, which a test holds it to. */
static void add_subject(gdn_task_size *size, const gdn_task *t, const gdn_source *s, const gdn_plan *plan,
                        const bool *reported, const char *profile, const gdn_subject *subject)
{
    bool recorded = subject->recorded != NULL,
         split = s->has_parameters && (!recorded || subject->recorded->spec->storage),
         alone = gdn_subject_is_storage(subject);
    const char *recipe = subject->profile ? subject->profile->recipe.name : "recorded";
    double texts = (double)(strlen(profile) + strlen(recipe) + strlen(s->population->name) +
                            strlen(s->population->file ? "file" : gdn_keys_names[s->spec.keys]) +
                            strlen("portable") + strlen("fp64") + strlen("ok"));
    for (gdn_quantity q = 0; q < GDN_QUANTITIES; q++)
        for (gdn_kind kind = 0; kind < (split ? GDN_KINDS : 1); kind++) {
            int64_t windows = 0, last = 0;
            if (!reported[q] || !(alone ? kind == GDN_STORAGE : gdn_subject_has(subject, q)))
                continue;
            count_windows(plan, subject->recorded, q, &windows, &last);
            double words = texts + (double)(strlen(gdn_quantity_names[q]) + strlen(gdn_kind_names[kind]));
            int64_t rows = windows * t->shape.heads;
            bool inner = gdn_budget_inner(profile);
            size->rows += rows;
            size->last += inner ? 0 : last * t->shape.heads;
            size->groups += inner ? 0 : windows;
            size->stored += (double)rows * (STORED + words);
            size->written += (double)rows * (WRITTEN + words);
        }
}

gdn_status gdn_task_measure(const gdn_task *t, gdn_task_size *size, gdn_error *err)
{
    gdn_source *s = NULL;
    gdn_plan plan;
    bool reported[GDN_QUANTITIES];
    unsigned n;
    char **names = profiles_of(t, &n);
    *size = (gdn_task_size){0};
    gdn_status status = gdn_source_open(t->experiment, t->population, t->seed, 1, &s, err);
    if (!status)
        status = gdn_plan_make(s->lengths, s->length_count, &plan, err);
    if (!status)
        reported_by(t, s, reported);
    for (unsigned i = 0; i < n && !status; i++) {
        gdn_subject subject = {.profile =
                                   &t->experiment->profiles[gdn_experiment_profile(t->experiment, names[i])]};
        add_subject(size, t, s, &plan, reported, names[i], &subject);
    }
    for (int i = 0; !status && i < s->recorded_count; i++) {
        gdn_subject subject = {.recorded = &s->recorded[i]};
        add_subject(size, t, s, &plan, reported, s->recorded[i].spec->name, &subject);
    }
    gdn_source_close(s);
    return status;
}

/* ---- work ---- */

/* The token up to which some profile is in its prefill; 0 where none has one. */
static int64_t prefill_of(const gdn_task *t)
{
    unsigned n;
    char **names = profiles_of(t, &n);
    int64_t most = 0;
    for (unsigned i = 0; i < n; i++) {
        const gdn_recipe *r =
            &t->experiment->profiles[gdn_experiment_profile(t->experiment, names[i])].recipe;
        if (r->algorithm == GDN_PREFILL_DECODE && r->prefill > most)
            most = r->prefill;
    }
    return most;
}

/* What lies between two positions of a task. */
static gdn_lap between(const gdn_plan *plan, int64_t prefill, bool states, int64_t from, int64_t to)
{
    int64_t early = prefill == 0 || to <= prefill ? to - from : from < prefill ? prefill - from : 0;
    gdn_lap lap = {.early = (double)early, .late = (double)(to - from - early)};
    const int64_t *stop = states ? plan->sample : plan->segment_end;
    for (int i = 0; i < (states ? plan->samples : plan->segments); i++)
        lap.stops += stop[i] > from && stop[i] <= to;
    return lap;
}

static gdn_status open_plan(const gdn_task *t, gdn_plan *plan, bool *states, gdn_error *err)
{
    gdn_source *s = NULL;
    bool reported[GDN_QUANTITIES];
    gdn_status status = gdn_source_open(t->experiment, t->population, t->seed, 1, &s, err);
    if (!status)
        status = gdn_plan_make(s->lengths, s->length_count, plan, err);
    if (!status) {
        gdn_plan_pack(plan, s->sequences, s->sequence_count);
        reported_by(t, s, reported);
        *states = reported[GDN_Q_STATE];
    }
    gdn_source_close(s);
    return status;
}

gdn_status gdn_task_work(const gdn_task *t, gdn_lap *work, gdn_error *err)
{
    gdn_plan plan;
    bool states;
    gdn_status status = open_plan(t, &plan, &states, err);
    if (!status)
        *work = between(&plan, prefill_of(t), states, 0, plan.last);
    return status;
}

double gdn_rates_seconds(const gdn_rates *r, const gdn_lap *w)
{
    return r->open + r->early * w->early + r->late * w->late + r->stop * w->stops;
}

/* ---- the fit ---- */

enum { EARLY, LATE, STOP, TERMS };

/* Least squares over the terms that `use` names, by Gauss-Jordan on the normal equations; false where
 * singular. */
static bool solve(const double a[TERMS][TERMS], const double b[TERMS], const bool *use, double *x)
{
    double m[TERMS][TERMS + 1];
    for (int i = 0; i < TERMS; i++) {
        for (int j = 0; j < TERMS; j++)
            m[i][j] = use[i] && use[j] ? a[i][j] : i == j;
        m[i][TERMS] = use[i] ? b[i] : 0;
    }
    for (int i = 0; i < TERMS; i++) {
        if (!(m[i][i] > 1e-9 * (use[i] ? a[i][i] : 1)))
            return false;
        for (int r = 0; r < TERMS; r++) {
            double f = r == i ? 0 : m[r][i] / m[i][i];
            for (int c = i; c <= TERMS; c++)
                m[r][c] -= f * m[i][c];
        }
    }
    for (int i = 0; i < TERMS; i++)
        x[i] = m[i][TERMS] / m[i][i];
    return true;
}

void gdn_rates_fit(const gdn_lap *laps, int n, gdn_rates *rates)
{
    double a[TERMS][TERMS] = {{0}}, b[TERMS] = {0}, x[TERMS] = {0}, total = 0, tokens = 0;
    for (int i = 0; i < n; i++) {
        const double have[TERMS] = {laps[i].early, laps[i].late, laps[i].stops};
        /* short laps and long ones count alike: each is as wrong as its square root */
        double weight = 1 / fmax(laps[i].early + laps[i].late, 1);
        for (int j = 0; j < TERMS; j++) {
            for (int k = 0; k < TERMS; k++)
                a[j][k] += weight * have[j] * have[k];
            b[j] += weight * have[j] * laps[i].seconds;
        }
        total += laps[i].seconds;
        tokens += laps[i].early + laps[i].late;
    }
    bool use[TERMS];
    for (int i = 0; i < TERMS; i++)
        use[i] = a[i][i] > 0;
    const bool seen[TERMS] = {use[EARLY], use[LATE], use[STOP]};
    for (bool good = false; !good;) {
        good = solve(a, b, use, x);
        int worst = STOP; /* of terms that laps do not tell apart, tokens count */
        for (int i = 0; i < TERMS && good; i++)
            worst = x[i] < x[worst] ? i : worst;
        good = good && x[worst] >= 0;
        if (!good && !use[worst]) { /* nothing is left to drop: everything by tokens */
            x[EARLY] = x[LATE] = tokens > 0 ? total / tokens : 0;
            x[STOP] = 0;
            good = true;
        }
        use[worst] = good && use[worst];
    }
    rates->early = seen[EARLY] ? x[EARLY] : x[LATE];
    rates->late = seen[LATE] ? x[LATE] : x[EARLY];
    rates->stop = x[STOP];
}

/* ---- calibration ---- */

static bool same_list(const gdn_task *a, const gdn_task *b)
{
    unsigned n, m, i = 0;
    char **x = profiles_of(a, &n), **y = profiles_of(b, &m);
    while (n == m && i < n && strcmp(x[i], y[i]) == 0)
        i++;
    return n == m && i == n;
}

bool gdn_task_alike(const gdn_task *a, const gdn_task *b)
{
    const gdn_population *p = &a->experiment->file->populations[a->population],
                         *q = &b->experiment->file->populations[b->population];
    unsigned n, m;
    const gdn_quantity *x = quantities_of(a, &n), *y = quantities_of(b, &m);
    double longest[2];
    const gdn_population *both[2] = {p, q};
    for (int i = 0; i < 2; i++)
        longest[i] = both[i]->lengths ? both[i]->lengths[both[i]->lengths_count - 1]
                     : a->experiment->file->lengths_count
                         ? a->experiment->file->lengths[a->experiment->file->lengths_count - 1]
                         : 0;
    if (p == q)
        return true;
    return !p->file && !q->file && a->shape.heads == b->shape.heads && a->shape.dk == b->shape.dk &&
           a->shape.dv == b->shape.dv && same_list(a, b) && n == m &&
           (n == 0 || memcmp(x, y, n * sizeof *x) == 0) && p->keys == q->keys &&
           (longest[0] <= GDN_CERTIFY_ALL) == (longest[1] <= GDN_CERTIFY_ALL) &&
           p->recorded_count == q->recorded_count;
}

/* A thread's laps while it runs the first tokens of a task. */
typedef struct laps {
    const gdn_plan *plan;
    int64_t prefill, at;
    bool states, ended;
    double most, open, spent, told; /* told: by the laps' clock */
    clockid_t clock;                /* of laps */
    struct timespec start, since;
    gdn_lap *lap; /* [n] */
    int n, room;
} laps;

/* Laps kept; heads times engines that are run, where there are more. */
enum { LAPS = 4096, ENGINES = 32 };

static double seconds_between(const struct timespec *from, const struct timespec *to)
{
    return (double)(to->tv_sec - from->tv_sec) + 1e-9 * (double)(to->tv_nsec - from->tv_nsec);
}

static int look(void *context, double share)
{
    laps *l = context;
    int64_t to = l->at + (int64_t)llround(share * (double)l->plan->last);
    gdn_lap lap = between(l->plan, l->prefill, l->states, l->at, to);
    struct timespec now;
    clock_gettime(l->clock, &now);
    lap.seconds = seconds_between(&l->since, &now);
    l->since = now;
    l->told += lap.seconds;
    if (l->at == 0) /* opening is a part of it */
        l->open = lap.seconds;
    else if (l->n < l->room)
        l->lap[l->n++] = lap;
    l->at = to;
    l->spent = gdn_seconds_since(&l->start);
    l->ended = to >= l->plan->last;
    return !l->ended && l->n > 0 && (l->spent > l->most || l->n == l->room);
}

static gdn_status calibrate_one(const gdn_task *task, laps *l, double *whole, gdn_error *err)
{
    gdn_rows rows;
    l->room = LAPS;
    l->lap = gdn_calloc(LAPS, sizeof *l->lap);
    if (!l->lap)
        return gdn_no_memory(err, "a calibration");
    clock_gettime(CLOCK_MONOTONIC, &l->start);
    /* a task of one thread: what others do on its core disturbs no lap */
    l->clock =
        task->threads == 1 && task->backend == &gdn_backend_cpu ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
    clock_gettime(l->clock, &l->since);
    omp_set_num_threads(task->threads);
    gdn_status status = task->backend->enter(err);
    if (!status)
        status = gdn_task_run(task, look, l, &rows, err);
    if (!status)
        gdn_rows_free(&rows);
    *whole = l->ended ? l->spent : 0;
    return status == GDN_DIFFERS && l->n > 0 ? GDN_OK : status;
}

static gdn_status measure_rates(const gdn_task *task, int threads, double seconds, gdn_rates *rates,
                                double *cpu, gdn_error *err)
{
    gdn_plan plan;
    struct timespec start, end;
    bool states, ended = true;
    gdn_status status = open_plan(task, &plan, &states, err);
    laps *all = status ? NULL : calloc((size_t)threads, sizeof *all);
    gdn_lap *together = NULL;
    int n = 0;
    double open = 0, whole = 0, spent = 0, told = 0;
    if (status || !all)
        return status ? status : gdn_no_memory(err, "a calibration");
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1)
    for (int i = 0; i < threads; i++) {
        gdn_error own = {""};
        double took = 0;
        all[i] = (laps){.plan = &plan, .prefill = prefill_of(task), .states = states, .most = seconds};
        gdn_status mine = calibrate_one(task, &all[i], &took, &own);
#pragma omp critical(gdn_calibrate)
        {
            if (mine && !status) {
                status = mine;
                *err = own;
            }
            ended = ended && took > 0;
            whole += took / threads;
            open += all[i].open / threads;
            spent += all[i].spent;
            told += all[i].told;
            n += all[i].n;
        }
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    *cpu = seconds_between(&start, &end) / fmax(spent, 1e-9);
    together = gdn_calloc((size_t)n, sizeof *together);
    if (!together && !status)
        status = gdn_no_memory(err, "a calibration");
    n = 0;
    for (int i = 0; i < threads; i++) {
        if (!status)
            memcpy(together + n, all[i].lap, (size_t)all[i].n * sizeof *together);
        n += all[i].n;
        free(all[i].lap);
    }
    *rates = (gdn_rates){.open = open};
    if (!status && ended)
        rates->open = whole; /* all of it was run */
    else if (!status)
        gdn_rates_fit(together, n, rates);
    double slower = told > 0 && !ended ? spent / told : 1;
    rates->open *= slower;
    rates->early *= slower;
    rates->late *= slower;
    rates->stop *= slower;
    free(together);
    free(all);
    return status;
}

/* Bytes that a task's engines and sums take of this process. */
static gdn_status measure_memory(const gdn_task *task, double *bytes, gdn_error *err)
{
    gdn_lockstep *l = NULL;
    struct mallinfo2 before = mallinfo2();
    gdn_status status = task->backend->enter(err);
    if (!status)
        status = gdn_lockstep_open(task, &l, err);
    struct mallinfo2 after = mallinfo2();
    *bytes = (double)(after.uordblks + after.hblkhd) - (double)(before.uordblks + before.hblkhd);
    gdn_lockstep_close(l);
    return status;
}

gdn_status gdn_cost_calibrate(const gdn_task *task, int threads, double seconds, gdn_rates *rates,
                              gdn_error *err)
{
    gdn_population *p = &task->experiment->file->populations[task->population];
    gdn_task few = *task;
    unsigned profiles;
    profiles_of(task, &profiles);
    double heads = p->heads, group = p->group > 1 ? p->group : 1,
           least =
               task->threads > 1 ? 2 * task->threads : 1, /* of one head the witness runs beside the rest */
        enough = group * ceil(fmax(least, ENGINES / (1.0 + profiles)) / group), share = 1;
    /* heads cost alike; not on a GPU, which runs them side by side */
    if (!p->file && !p->checkpoint && heads > enough && !task->backend->memory) {
        share = enough / heads;
        p->heads = enough;
        few.shape.heads = (int)enough;
    }
    double bytes = 0, more = 0, cpu = 0;
    gdn_status status = measure_memory(&few, &bytes, err);
    if (!status && share < 1) { /* some of it does not go with the heads */
        p->heads = 2 * enough;
        few.shape.heads = (int)p->heads;
        status = measure_memory(&few, &more, err);
        p->heads = enough;
        few.shape.heads = (int)enough;
        bytes += (more - bytes) * (heads - enough) / enough;
    }
    if (!status)
        status = measure_rates(&few, threads, seconds, rates, &cpu, err);
    p->heads = heads;
    *rates = (gdn_rates){
        rates->open / share, rates->early / share, rates->late / share, rates->stop / share, bytes, cpu};
    return status;
}

/* ---- all tasks ---- */

double gdn_cost_schedule(const double *seconds, int n, int workers)
{
    double *until = calloc((size_t)(workers > 0 ? workers : 1), sizeof *until), end = 0;
    for (int i = 0; i < n && until; i++) {
        int first = 0;
        for (int w = 1; w < workers; w++)
            first = until[w] < until[first] ? w : first;
        until[first] += seconds[i];
        end = until[first] > end ? until[first] : end;
    }
    free(until);
    return end;
}
