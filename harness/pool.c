/* SPDX-License-Identifier: Apache-2.0 */
/* pool -- tasks over threads; see pool.h. */
#include "harness/pool.h"

#include <inttypes.h>
#include <omp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "harness/backend.h"
#include "harness/pool_parts.h"

/* ---- stopping ---- */

/* atomic, as the handler runs in one thread and the others read what it says */
static atomic_int interrupted;

static const int signals[] = {SIGINT, SIGTERM};
enum { SIGNALS = sizeof signals / sizeof signals[0] };
static struct sigaction before[SIGNALS];

static void on_signal(int sig)
{
    interrupted = sig;
}

void gdn_pool_watch(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &action, &before[i]);
}

void gdn_pool_unwatch(void)
{
    for (size_t i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &before[i], NULL);
}

bool gdn_pool_interrupted(void)
{
    return interrupted;
}

void gdn_pool_interrupt(void)
{
    interrupted = SIGINT;
}

bool gdn_pool_stopping(const gdn_pool *p)
{
    bool stop;
#pragma omp critical(gdn_pool)
    stop = p->stop || interrupted;
    return stop;
}

void gdn_pool_fail(gdn_pool *p, gdn_status status, const char *sentence)
{
#pragma omp critical(gdn_pool)
    {
        if (!p->status) {
            p->status = status;
            gdn_fail(p->err, status, "%s", sentence);
        }
        p->stop = true;
    }
}

/* ---- a task ---- */

typedef struct ticket {
    gdn_pool *p;
    double cost;
} ticket;

static int report(void *context, double share)
{
    ticket *t = context;
#pragma omp critical(gdn_pool)
    gdn_progress_add(&t->p->progress, share * t->cost);
    return gdn_pool_stopping(t->p);
}

/* Say which task a failure of the machine ended. */
static void name_task(const gdn_task *task, gdn_error *err)
{
    gdn_error said = *err;
    gdn_fail(err, GDN_MACHINE, "%s, seed %" PRIu64 ": %s; finished tasks are kept, run again to resume",
             task->experiment->file->populations[task->population].name, task->seed, said.text);
}

int gdn_pool_next(gdn_pool *p)
{
    int next = -1;
#pragma omp critical(gdn_pool)
    if (!p->stop && !interrupted && p->next < p->n)
        next = p->next++;
    return next;
}

/* The store is one thread's at a time, and the others go on meanwhile. */
void gdn_pool_commit(gdn_pool *p, const gdn_harvest *h, const gdn_origin *by)
{
    const gdn_task *task = &p->tasks[p->todo[h->task]];
    gdn_task_record record = {.task = task->id,
                              .population = task->experiment->file->populations[task->population].name,
                              .seed = (int64_t)task->seed,
                              .seconds = h->seconds,
                              .origin = *by};
    memcpy(record.sum, h->sum, sizeof record.sum);
    gdn_error err = {""};
    gdn_status status = GDN_OK;
#pragma omp critical(gdn_pool_store)
    {
        if (!p->stop) {
            p->seconds += h->seconds;
            p->certify_seconds += h->rows.certify_seconds;
            status = gdn_store_commit(p->store, &record, h->rows.row, h->rows.count, &err);
            p->committed += !status;
        }
    }
    if (status)
        gdn_pool_fail(p, status, err.text);
}

static void run_one(gdn_pool *p, int index)
{
    const gdn_task *task = &p->tasks[p->todo[index]];
    gdn_harvest h = {.task = index};
    gdn_error err = {""};
    ticket t = {p, task->cost};
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    omp_set_num_threads(task->threads); /* of the parallel regions that this thread opens */
    gdn_status status = task->backend->enter(&err);
    if (!status)
        status = gdn_task_run(task, report, &t, &h.rows, &err);
    if (!status)
        status =
            gdn_rows_checksum(h.rows.row, h.rows.count, h.sum, &err); /* here, as the store is everybody's */
    h.seconds = gdn_seconds_since(&start);
    if (status == GDN_MACHINE)
        name_task(task, &err);
    if (status && !(status == GDN_DIFFERS && gdn_pool_stopping(p))) /* else it was told to stop */
        gdn_pool_fail(p, status, err.text);
    if (!status && p->store)
        gdn_pool_commit(p, &h, &p->origin);
    else if (!status)
        gdn_link_deliver(p, &h);
    gdn_rows_free(&h.rows);
}

/* ---- all of them ---- */

int gdn_pool_running(const gdn_pool *p)
{
    int n;
#pragma omp atomic read
    n = p->running;
    return n;
}

static void work(gdn_pool *p)
{
    for (int i; (i = p->store ? gdn_pool_next(p) : gdn_link_take(p)) >= 0;)
        run_one(p, i);
#pragma omp atomic
    p->running--;
}

gdn_status gdn_pool_run(gdn_pool *p, int jobs)
{
    int talks = p->link != NULL, wanted = jobs < p->n ? jobs : p->n;
#pragma omp parallel num_threads(wanted + talks > 1 ? wanted + talks : 1)
    {
#pragma omp single
        {
            p->running = omp_get_num_threads() - talks;
            if (p->running == 0 && wanted > 0)
                gdn_pool_fail(p, GDN_MACHINE,
                              "OpenMP gives no thread for tasks beside the one that talks to other ranks");
        }
        if (!talks || omp_get_thread_num() > 0)
            work(p);
        else if (p->store)
            gdn_link_serve_others(p);
        else
            gdn_link_serve_rank0(p);
    }
    gdn_progress_end(&p->progress);
    return p->status;
}
