/* SPDX-License-Identifier: Apache-2.0 */
/* run -- an experiment from file to results; see run.h. */
#include "harness/run.h"

#include <inttypes.h>
#include <omp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/inputs.h"
#include "harness/backend.h"
#include "harness/budget.h"
#include "harness/experiment.h"
#include "harness/export.h"
#include "harness/outfile.h"
#include "harness/probe.h"
#include "harness/progress.h"
#include "harness/provenance.h"
#include "harness/store.h"
#include "harness/task.h"

/* ---- stopping ---- */

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
    interrupted = sig;
}

/* First SIGINT or SIGTERM: drop the tasks in hand and leave; the second one ends the process as usual. */
static void watch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* ---- tasks over threads ---- */

typedef struct pool {
    const gdn_task *tasks;
    const int *todo; /* [n] indices of tasks that are not in the store */
    int n;
    gdn_store *store;
    gdn_progress progress;
    double seconds, certify_seconds; /* of the tasks of this run */
    gdn_status status;
    gdn_error *err;
} pool;

typedef struct ticket {
    pool *p;
    double cost;
} ticket;

static int report(void *context, double share)
{
    ticket *t = context;
    int stop;
#pragma omp critical(gdn_pool)
    {
        gdn_progress_add(&t->p->progress, share * t->cost);
        stop = t->p->status != GDN_OK || interrupted;
    }
    return stop;
}

/* Say which task a failure of the machine ended. */
static void name_task(const gdn_task *task, gdn_error *err)
{
    gdn_error said = *err;
    gdn_fail(err, GDN_MACHINE, "%s, seed %" PRIu64 ": %s; finished tasks are kept, run again to resume",
             task->experiment->file->populations[task->population].name, task->seed, said.text);
}

static void run_one(pool *p, const gdn_task *task)
{
    gdn_rows rows;
    gdn_error err = {""};
    ticket t = {p, task->cost};
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    omp_set_num_threads(task->threads); /* of the parallel regions that this thread opens */
    gdn_status status = task->backend->enter(&err);
    rows = (gdn_rows){0};
    if (!status)
        status = gdn_task_run(task, report, &t, &rows, &err);
    if (status == GDN_MACHINE)
        name_task(task, &err);
#pragma omp critical(gdn_pool)
    {
        if (!status && !p->status) {
            const gdn_population *population = &task->experiment->file->populations[task->population];
            gdn_task_record record = {.task = task->id,
                                      .population = population->name,
                                      .seed = (int64_t)task->seed,
                                      .seconds = gdn_seconds_since(&start)};
            p->seconds += record.seconds;
            p->certify_seconds += rows.certify_seconds;
            status = gdn_store_commit(p->store, &record, rows.row, rows.count, &err);
        }
        if (status && !p->status) {
            p->status = status;
            *p->err = err;
        }
    }
    gdn_rows_free(&rows);
}

static gdn_status run_all(pool *p, int jobs)
{
#pragma omp parallel for num_threads(jobs < p->n ? jobs : p->n) schedule(dynamic, 1) if (p->n > 1)
    for (int i = 0; i < p->n; i++) {
        bool stop;
#pragma omp critical(gdn_pool)
        stop = p->status != GDN_OK || interrupted;
        if (!stop)
            run_one(p, &p->tasks[p->todo[i]]);
    }
    gdn_progress_end(&p->progress);
    return p->status;
}

/* ---- the experiment ---- */

/*
 * Make tasks fit the device: shorter blocks first, then fewer at a time. Returns how many run at once. A task
 * that does not fit alone is tried all the same, and its failure says so.
 */
static int plan_memory(gdn_task *tasks, const int *todo, int n, const gdn_backend *backend, bool fixed,
                       int jobs)
{
    const double room = 0.85 * (double)backend->memory();
    double largest = 0;
    jobs = n && n < jobs ? n : jobs;
    for (int i = 0; i < n; i++) {
        gdn_task *t = &tasks[todo[i]];
        while (!fixed && t->block > GDN_BLOCK_LEAST && gdn_task_bytes(t) * jobs > room)
            t->block /= 2;
        double bytes = gdn_task_bytes(t);
        largest = bytes > largest ? bytes : largest;
    }
    while (jobs > 1 && largest * jobs > room)
        jobs--;
    return jobs;
}

static int costlier(const void *a, const void *b, void *tasks)
{
    double x = ((const gdn_task *)tasks)[*(const int *)a].cost,
           y = ((const gdn_task *)tasks)[*(const int *)b].cost;
    return (x < y) - (x > y);
}

/* Which tasks are missing from the store, the costliest first. */
static gdn_status missing(pool *p, const gdn_task *tasks, int count, int *todo, double *work, gdn_error *err)
{
    *work = 0;
    for (int i = 0; i < count; i++) {
        bool found;
        gdn_status status = gdn_store_has(p->store, tasks[i].id, &found, err);
        if (status)
            return status;
        if (!found) {
            todo[p->n++] = i;
            *work += tasks[i].cost;
        }
    }
    p->tasks = tasks;
    p->todo = todo;
    qsort_r(todo, (size_t)p->n, sizeof *todo, costlier, (void *)(uintptr_t)tasks);
    return GDN_OK;
}

static gdn_status finish(const gdn_experiment *e, pool *p, int count, const gdn_run_options *o,
                         gdn_run_result *r, gdn_error *err)
{
    const char **ids = gdn_calloc((size_t)count, sizeof *ids);
    if (!ids)
        return gdn_no_memory(err, "the list of tasks");
    double task_seconds = 0;
    gdn_status status = GDN_OK;
    for (int i = 0; i < count && !status; i++) {
        gdn_task_record record;
        bool found;
        ids[i] = p->tasks[i].id;
        status = gdn_store_task(p->store, ids[i], &record, &found, err);
        task_seconds += !status && found ? record.seconds : 0;
    }
    if (!status)
        status = gdn_export(p->store, r->directory, ids, count, err);
    if (!status)
        status = gdn_budget_export(e, p->store, r->directory, ids, count, err);
    if (!status)
        status = gdn_probes_run(e, r->directory, err);
    if (!status)
        status = gdn_store_count(p->store, ids, count, gdn_flag_names[GDN_BELOW_REFERENCE], &r->below, err);
    free(ids);
    r->certify_share = p->seconds > 0 ? p->certify_seconds / p->seconds : 0;
    if (!status)
        status = gdn_manifest_write(e, r->directory,
                                    &(gdn_run_facts){o->command, r->backend, r->about, o->jobs, o->max_length,
                                                     count, p->n, r->seconds, task_seconds,
                                                     r->certify_share, r->below},
                                    err);
    return status;
}

gdn_status gdn_run(const char *path, const gdn_run_options *o, gdn_run_result *r, gdn_error *err)
{
    gdn_experiment *e = NULL;
    gdn_task *tasks = NULL;
    int count = 0, *todo = NULL;
    double work = 0;
    pool p = {.err = err};
    struct timespec start;
    char store[4200];
    int jobs = o->jobs;
    clock_gettime(CLOCK_MONOTONIC, &start);
    omp_set_max_active_levels(2); /* tasks, and where cores are left the witness of a task */
    omp_set_num_threads(o->jobs); /* engines that spread over threads take no more either */
    const gdn_backend *backend = &gdn_backend_cpu;
    gdn_status status = gdn_backend_choose(o->backend, o->device, &backend, r->about, sizeof r->about, err);
    r->backend = backend->name;
    if (!status)
        status = gdn_inputs_init(err);
    if (!status)
        status = gdn_experiment_load(path, &e, err);
    if (!status)
        status = gdn_experiment_limit(e, o->first_seed, o->seeds, o->max_length, err);
    if (!status)
        status = gdn_tasks_make(e, backend, &tasks, &count, err);
    if (!status) {
        snprintf(r->name, sizeof r->name, "%s", e->file->experiment);
        if (snprintf(r->directory, sizeof r->directory, "%s/%s", o->results, r->name) >=
            (int)sizeof r->directory)
            status = gdn_fail(err, GDN_BAD_INPUT, "%.80s...: the path is too long", o->results);
    }
    if (!status)
        status = gdn_make_directory(r->directory, err);
    if (!status) {
        snprintf(store, sizeof store, "%s/store.db", r->directory);
        status = gdn_store_open(store, &p.store, err);
    }
    if (!status && !(todo = gdn_calloc((size_t)count, sizeof *todo)))
        status = gdn_no_memory(err, "the list of tasks");
    if (!status)
        status = missing(&p, tasks, count, todo, &work, err);
    if (!status) {
        watch_signals();
        if (!o->quiet)
            fprintf(stderr, "%s: %d tasks, %d of them done already, %d thread%s%s%s\n", r->name, count,
                    count - p.n, jobs, jobs == 1 ? "" : "s", *r->about ? ", " : "", r->about);
        gdn_progress_start(&p.progress, r->name, work / 1e6, "M element-steps", o->quiet);
        for (int i = 0; i < count; i++) {
            tasks[i].cost /= 1e6;
            tasks[i].block = o->block ? o->block : backend->block;
            tasks[i].threads = p.n < jobs && p.n ? (jobs + p.n - 1) / p.n : 1;
        }
        if (backend->memory)
            jobs = plan_memory(tasks, todo, p.n, backend, o->block > 0, jobs);
        status = run_all(&p, jobs);
        omp_set_num_threads(o->jobs);
        if (interrupted)
            status = gdn_fail(err, GDN_MACHINE,
                              "%s: interrupted; finished tasks are kept, run again to resume", r->name);
    }
    r->tasks = count;
    r->tasks_run = p.n;
    r->seconds = gdn_seconds_since(&start);
    if (!status)
        status = finish(e, &p, count, o, r, err);
    gdn_error second;
    gdn_status closed = gdn_store_close(p.store, &second);
    if (!status && closed) {
        *err = second;
        status = closed;
    }
    free(todo);
    free(tasks);
    gdn_experiment_free(e);
    return status;
}
