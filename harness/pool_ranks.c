/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_ranks -- tasks over ranks; see pool.h.
 *
 *     others              rank 0
 *     HELLO         ->                   status so far, a sum over the tasks, threads
 *                   <-    START          status of all, what is to be run
 *     WANT          ->                   so many threads are free
 *                   <-    TASK, END      one of them a thread
 *     ROWS, SHARE   ->                   a task is done; part of the work is (and: I am alive)
 *     FAIL          ->                   a sentence, or a signal has come
 *                   <-    STOP           drop what is in hand
 *     BYE           ->                   no thread has a task, all that was asked for has come
 *                   <-    PART           the status of the experiment
 *
 * On every rank one thread talks and sleeps, a millisecond at a time; the others compute.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "harness/pool_parts.h"
#include "harness/provenance.h"
#include "harness/ranks.h"

enum { HELLO, START, WANT, TASK, END, ROWS, SHARE, FAIL, STOP, BYE, PART };

static const double SHARE_SECONDS = 0.25, /* between two reports of work done */
    LOST_SECONDS = 60;                    /* without one, a rank is lost */

/* What computes on a rank, where it may differ from rank 0. */
typedef struct maker {
    char build[24], backend[16], device[400];
} maker;

typedef struct hello {
    int32_t status, jobs;
    uint64_t tasks; /* a sum over their ids, and the program */
    maker by;
    char text[sizeof(gdn_error)];
} hello;

typedef struct start {
    int32_t status, all_jobs, n, unused;
    int32_t todo[];
} start;

typedef struct failure {
    int32_t status, interrupted;
    char text[sizeof(gdn_error)];
} failure;

/* A message that waits for the thread that talks. */
typedef struct parcel {
    struct parcel *next;
    unsigned char *bytes;
    size_t size;
} parcel;

struct gdn_link {
    int size;
    /* of rank 0 */
    struct timespec *heard; /* [size] the last word of each */
    maker *by;              /* [size] what computes on each */
    bool *gone;             /* [size] it has said BYE, or is lost */
    int present;            /* ranks that have not */
    bool stopped;           /* they know */
    /* of the others */
    int wants, asked; /* threads that want a task and have not said so; that wait for an answer */
    int *given;       /* [jobs] tasks that no thread has taken yet */
    int n_given;
    bool ended, told; /* there are no more; rank 0 knows that something failed here */
    double shared;    /* work that rank 0 knows of */
    struct timespec said;
    parcel *first, **last; /* rows to be sent */
};

/* ---- messages ---- */

/* A failure to send or receive is the pool's. */
static void post(gdn_pool *p, int to, int tag, const void *bytes, size_t size)
{
    gdn_error err = {""};
    void *copy = malloc(size);
    gdn_status status = copy ? GDN_OK : gdn_no_memory(&err, "a message to another rank");
    if (!status) {
        memcpy(copy, bytes, size);
        status = gdn_ranks_send(to, tag, copy, size, &err);
    }
    if (status)
        gdn_pool_fail(p, status, err.text);
}

static void post_number(gdn_pool *p, int to, int tag, int32_t n)
{
    post(p, to, tag, &n, sizeof n);
}

static int32_t number_of(const gdn_message *m)
{
    int32_t n = -1;
    if (m->size == sizeof n)
        memcpy(&n, m->bytes, sizeof n);
    return n;
}

/* The next message of a tag, whenever it comes. */
static gdn_status wait_for(int tag, gdn_message *m, gdn_error *err)
{
    bool found = false;
    gdn_status status = GDN_OK;
    while (!status && !found) {
        status = gdn_ranks_receive(tag, m, &found, err);
        if (!status && !found)
            gdn_ranks_pause();
    }
    return status;
}

static void unlink_ranks(gdn_pool *p)
{
    struct gdn_link *l = p->link;
    if (!l)
        return;
    for (parcel *x; (x = l->first);) {
        l->first = x->next;
        free(x->bytes);
        free(x);
    }
    free(l->heard);
    free(l->gone);
    free(l->by);
    free(l->given);
    free(l);
    p->link = NULL;
}

/* The others wait for a word that this rank cannot give. */
static gdn_status give_up(gdn_pool *p, gdn_status status)
{
    gdn_ranks_break();
    unlink_ranks(p);
    return status;
}

/* ---- meeting and parting ---- */

static uint64_t sum_of(const gdn_pool *p)
{
    bool known = !p->origin.dirty && strcmp(p->origin.commit, "unknown") != 0;
    const char *program = known ? gdn_version_long() : p->origin.build;
    uint64_t sum = XXH3_64bits(program, strlen(program));
    for (int i = 0; i < p->count; i++)
        sum = XXH3_64bits_withSeed(p->tasks[i].id, strlen(p->tasks[i].id), sum);
    return sum;
}

/* What is wrong with a rank's first message, if anything. */
static gdn_status judge(gdn_pool *p, const gdn_message *m, uint64_t sum, gdn_error *err)
{
    hello h;
    if (m->size != sizeof h)
        return gdn_fail(err, GDN_MACHINE, "the first message of rank %d came broken", m->from);
    memcpy(&h, m->bytes, sizeof h);
    h.text[sizeof h.text - 1] = 0;
    h.by.build[sizeof h.by.build - 1] = h.by.backend[sizeof h.by.backend - 1] = 0;
    h.by.device[sizeof h.by.device - 1] = 0;
    p->link->by[m->from] = h.by;
    p->all_jobs += h.jobs;
    if (h.status)
        return gdn_fail(err, (gdn_status)h.status, "%s", h.text);
    if (h.tasks != sum)
        return gdn_fail(
            err, GDN_BAD_INPUT,
            "rank %d has other tasks than rank 0: all ranks want the same gdnprec, command, files and "
            "kind of backend",
            m->from);
    return GDN_OK;
}

/* Rank 0: what all say. Its own sentence counts first, then that of the lowest rank. */
static gdn_status hear_all(gdn_pool *p, gdn_status status, gdn_error *err)
{
    uint64_t sum = status ? 0 : sum_of(p);
    int lowest = status ? 0 : p->link->size;
    for (int i = 1; i < p->link->size; i++) {
        gdn_message m;
        gdn_error own = {""};
        gdn_status heard = wait_for(HELLO, &m, err);
        if (heard)
            return give_up(p, heard);
        heard = judge(p, &m, sum, &own);
        if (heard && m.from < lowest) {
            lowest = m.from;
            status = heard;
            *err = own;
        }
        free(m.bytes);
    }
    return status;
}

/* Rank 0: what is to be run. */
static gdn_status begin(gdn_pool *p, gdn_status status, gdn_error *err)
{
    int n = status ? 0 : p->n;
    size_t size = sizeof(start) + (size_t)n * sizeof(int32_t);
    start *s = calloc(1, size);
    if (!s)
        return give_up(p, gdn_no_memory(err, "the list of tasks"));
    *s = (start){.status = (int32_t)status, .all_jobs = p->all_jobs, .n = n};
    for (int i = 0; i < n; i++)
        s->todo[i] = p->todo[i];
    for (int r = 1; r < p->link->size; r++)
        post(p, r, START, s, size);
    free(s);
    return status;
}

/* The others: what rank 0 says is to be run. */
static gdn_status follow(gdn_pool *p, gdn_status status, gdn_error *err)
{
    hello h = {.status = (int32_t)status, .jobs = p->jobs, .tasks = status ? 0 : sum_of(p)};
    gdn_message m;
    start s;
    snprintf(h.by.build, sizeof h.by.build, "%s", p->origin.build);
    snprintf(h.by.backend, sizeof h.by.backend, "%s", p->origin.backend);
    snprintf(h.by.device, sizeof h.by.device, "%s", p->origin.device);
    if (status)
        snprintf(h.text, sizeof h.text, "%s", err->text);
    post(p, 0, HELLO, &h, sizeof h);
    if ((status = wait_for(START, &m, err)))
        return give_up(p, status);
    bool sound = m.size >= sizeof s;
    if (sound) {
        memcpy(&s, m.bytes, sizeof s);
        status = (gdn_status)s.status;
        sound = status || (s.n >= 0 && s.n <= p->count && m.size == sizeof s + (size_t)s.n * sizeof(int32_t));
    }
    if (sound && !status) {
        p->n = s.n;
        p->all_jobs = s.all_jobs;
        for (int i = 0; i < s.n && sound; i++) {
            int32_t index;
            memcpy(&index, m.bytes + sizeof s + (size_t)i * sizeof index, sizeof index);
            p->todo[i] = index;
            sound = index >= 0 && index < p->count;
        }
    }
    free(m.bytes);
    return sound ? status : give_up(p, gdn_fail(err, GDN_MACHINE, "rank 0's list of tasks came broken"));
}

gdn_status gdn_pool_meet(gdn_pool *p, gdn_status status, gdn_error *err)
{
    const gdn_ranks *here = gdn_ranks_here();
    p->all_jobs = p->jobs;
    p->sharing = 1;
    if (here->size == 1)
        return status;
    struct gdn_link *l = p->link = calloc(1, sizeof *l);
    if (l) {
        l->size = here->size;
        l->last = &l->first;
        l->heard = calloc((size_t)l->size, sizeof *l->heard);
        l->gone = calloc((size_t)l->size, sizeof *l->gone);
        l->by = calloc((size_t)l->size, sizeof *l->by);
        l->given = calloc((size_t)p->jobs, sizeof *l->given);
    }
    if (!l || !l->heard || !l->gone || !l->by || !l->given)
        return give_up(p, gdn_no_memory(err, "ranks"));
    p->sharing = gdn_ranks_alike(p->place);
    if (here->rank)
        return follow(p, status, err);
    status = hear_all(p, status, err);
    return p->link ? begin(p, status, err) : status;
}

gdn_status gdn_pool_part(gdn_pool *p, gdn_status status, gdn_error *err)
{
    if (!p->link)
        return status;
    if (gdn_ranks_here()->rank == 0) {
        for (int r = 1; r < p->link->size; r++)
            post_number(p, r, PART, (int32_t)status);
    } else {
        gdn_message m = {0};
        gdn_status heard = wait_for(PART, &m, err);
        status = heard ? heard : (gdn_status)number_of(&m);
        free(m.bytes);
    }
    unlink_ranks(p);
    return status;
}

/* ---- threads that compute ---- */

int gdn_link_take(gdn_pool *p)
{
    struct gdn_link *l = p->link;
    if (p->store)
        return gdn_pool_next(p);
#pragma omp critical(gdn_pool)
    l->wants++;
    for (;;) {
        int task = -1;
        bool over;
#pragma omp critical(gdn_pool)
        {
            if (l->n_given > 0)
                task = l->given[--l->n_given];
            over = l->ended;
        }
        if (gdn_pool_stopping(p))
            return -1;
        if (task >= 0 || over)
            return task;
        gdn_ranks_pause();
    }
}

void gdn_link_deliver(gdn_pool *p, const gdn_harvest *h)
{
    struct gdn_link *l = p->link;
    gdn_error err = {""};
    parcel *x = calloc(1, sizeof *x);
    gdn_status status = x ? gdn_harvest_pack(h, &x->bytes, &x->size, &err) : gdn_no_memory(&err, "rows");
    if (status) {
        free(x);
        gdn_pool_fail(p, status, err.text);
        return;
    }
#pragma omp critical(gdn_pool)
    {
        *l->last = x;
        l->last = &x->next;
    }
}

/* ---- the thread that talks, on the other ranks ---- */

static void send_rows(gdn_pool *p)
{
    struct gdn_link *l = p->link;
    parcel *x;
#pragma omp critical(gdn_pool)
    {
        x = l->first;
        l->first = NULL;
        l->last = &l->first;
    }
    while (x) {
        parcel *next = x->next;
        gdn_error err = {""};
        gdn_status status = gdn_ranks_send(0, ROWS, x->bytes, x->size, &err);
        if (status)
            gdn_pool_fail(p, status, err.text);
        free(x);
        x = next;
    }
}

static void send_share(gdn_pool *p, bool now)
{
    struct gdn_link *l = p->link;
    double done;
    if (!now && gdn_seconds_since(&l->said) < SHARE_SECONDS)
        return;
#pragma omp critical(gdn_pool)
    done = p->progress.done;
    double news = done - l->shared;
    post(p, 0, SHARE, &news, sizeof news);
    l->shared = done;
    clock_gettime(CLOCK_MONOTONIC, &l->said);
}

/* What failed here, once. */
static void send_failure(gdn_pool *p)
{
    failure f = {.interrupted = gdn_pool_interrupted()};
#pragma omp critical(gdn_pool)
    if (p->status) {
        f.status = (int32_t)p->status;
        snprintf(f.text, sizeof f.text, "%s", p->err->text);
    }
    if (p->link->told || (!f.status && !f.interrupted))
        return;
    p->link->told = true;
    post(p, 0, FAIL, &f, sizeof f);
}

static void obey(gdn_pool *p, const gdn_message *m)
{
    struct gdn_link *l = p->link;
    int32_t task = number_of(m);
#pragma omp critical(gdn_pool)
    switch (m->tag) {
    case TASK:
        l->asked--;
        if (task >= 0 && task < p->n && l->n_given < p->jobs)
            l->given[l->n_given++] = task;
        break;
    case END:
        l->asked--;
        l->ended = true;
        break;
    case STOP:
        p->stop = true;
        break;
    default:
        break;
    }
}

static int threads_running(const gdn_pool *p)
{
    int n;
#pragma omp atomic read
    n = p->running;
    return n;
}

static void serve_rank0(gdn_pool *p)
{
    struct gdn_link *l = p->link;
    for (;;) {
        int running = threads_running(p), wants; /* before looking for what they have left */
        gdn_message m;
        bool found = true;
        while (found) {
            gdn_error err = {""};
            gdn_status status = gdn_ranks_receive(-1, &m, &found, &err);
            if (status) {
                gdn_pool_fail(p, status, err.text);
                break;
            }
            if (found) {
                obey(p, &m);
                free(m.bytes);
            }
        }
#pragma omp critical(gdn_pool)
        {
            wants = l->wants;
            l->wants = 0;
            l->asked += wants;
        }
        if (wants)
            post_number(p, 0, WANT, wants);
        send_rows(p);
        send_share(p, running == 0);
        send_failure(p);
        if (running == 0 && l->asked == 0)
            break;
        gdn_ranks_pause();
    }
    post_number(p, 0, BYE, 0);
}

/* ---- and on rank 0 ---- */

static void take_rows(gdn_pool *p, const gdn_message *m)
{
    gdn_harvest h;
    gdn_error err = {""};
    gdn_status status = gdn_harvest_unpack(m->bytes, m->size, &h, &err);
    if (status) {
        gdn_pool_fail(p, status, err.text);
        return;
    }
    const maker *by = &p->link->by[m->from];
    gdn_origin origin = p->origin;
    origin.build = by->build;
    origin.backend = by->backend;
    origin.device = by->device;
    if (h.task >= 0 && h.task < p->n)
        gdn_pool_commit(p, &h, &origin);
    gdn_rows_free(&h.rows);
}

static void take_failure(gdn_pool *p, const gdn_message *m)
{
    failure f;
    if (m->size != sizeof f)
        return;
    memcpy(&f, m->bytes, sizeof f);
    f.text[sizeof f.text - 1] = 0;
    if (f.status)
        gdn_pool_fail(p, (gdn_status)f.status, f.text);
    else
        gdn_pool_interrupt();
}

static void answer(gdn_pool *p, const gdn_message *m)
{
    struct gdn_link *l = p->link;
    double news;
    clock_gettime(CLOCK_MONOTONIC, &l->heard[m->from]);
    switch (m->tag) {
    case WANT:
        for (int32_t n = number_of(m); n > 0; n--) {
            int next = gdn_pool_next(p);
            post_number(p, m->from, next >= 0 ? TASK : END, next);
        }
        break;
    case ROWS:
        take_rows(p, m);
        break;
    case SHARE:
        if (m->size == sizeof news) {
            memcpy(&news, m->bytes, sizeof news);
#pragma omp critical(gdn_pool)
            gdn_progress_add(&p->progress, news);
        }
        break;
    case FAIL:
        take_failure(p, m);
        break;
    case BYE:
        l->present -= !l->gone[m->from];
        l->gone[m->from] = true;
        break;
    default:
        break;
    }
}

/* Ranks that have been silent for too long, after all that has come was read. */
static void miss(gdn_pool *p)
{
    struct gdn_link *l = p->link;
    for (int r = 1; r < l->size; r++) {
        if (l->gone[r] || gdn_seconds_since(&l->heard[r]) < LOST_SECONDS)
            continue;
        char said[160];
        snprintf(said, sizeof said,
                 "rank %d has not been heard of for %.0f s; finished tasks are kept, run again to resume", r,
                 LOST_SECONDS);
        gdn_pool_fail(p, GDN_MACHINE, said);
        gdn_ranks_break();
        l->gone[r] = true;
        l->present--;
    }
}

static void serve_others(gdn_pool *p)
{
    struct gdn_link *l = p->link;
    l->present = l->size - 1;
    for (int r = 1; r < l->size; r++)
        clock_gettime(CLOCK_MONOTONIC, &l->heard[r]);
    while (threads_running(p) > 0 || l->present > 0) {
        gdn_message m;
        bool found;
        gdn_error err = {""};
        gdn_status status = gdn_ranks_receive(WANT, &m, &found, &err); /* idle threads before rows */
        if (!status && !found)
            status = gdn_ranks_receive(-1, &m, &found, &err);
        if (status) {
            gdn_pool_fail(p, status, err.text);
        } else if (found) {
            answer(p, &m);
            free(m.bytes);
        } else {
            miss(p);
        }
        if (!l->stopped && gdn_pool_stopping(p)) {
            l->stopped = true;
            for (int r = 1; r < l->size; r++)
                if (!l->gone[r])
                    post_number(p, r, STOP, 0);
        }
        if (!found)
            gdn_ranks_pause();
    }
}

void gdn_link_serve(gdn_pool *p)
{
    if (p->store)
        serve_others(p);
    else
        serve_rank0(p);
}
