/* SPDX-License-Identifier: Apache-2.0 */
/* pool_worker -- ranks that ask rank 0 for tasks and send it rows; see pool_link.h. */
#include <stdlib.h>

#include "harness/pool_link.h"

static const double SHARE_SECONDS = 0.25; /* between two reports of work done */

/* ---- threads that compute ---- */

int gdn_link_take(gdn_pool *p)
{
    struct gdn_link *l = p->link;
#pragma omp critical(gdn_pool)
    l->other.wants++;
    for (;;) {
        int task = -1;
        bool over;
#pragma omp critical(gdn_pool)
        {
            if (l->other.n_given > 0)
                task = l->other.given[--l->other.n_given];
            over = l->other.ended;
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
    gdn_parcel *x = calloc(1, sizeof *x);
    gdn_status status = x ? gdn_harvest_pack(h, &x->bytes, &x->size, &err) : gdn_no_memory(&err, "rows");
    if (status) {
        free(x);
        gdn_pool_fail(p, status, err.text);
        return;
    }
#pragma omp critical(gdn_pool)
    {
        *l->other.last = x;
        l->other.last = &x->next;
    }
}

/* ---- the thread that talks ---- */

static void obey(gdn_pool *p, const gdn_message *m)
{
    struct gdn_link *l = p->link;
    int32_t task = gdn_link_number(m);
#pragma omp critical(gdn_pool)
    switch (m->tag) {
    case TASK:
        l->other.asked--;
        if (task >= 0 && task < p->n && l->other.n_given < p->jobs)
            l->other.given[l->other.n_given++] = task;
        break;
    case END:
        l->other.asked--;
        l->other.ended = true;
        break;
    case STOP:
        p->stop = true;
        break;
    default:
        break;
    }
}

/* All that has come from rank 0. */
static void hear(gdn_pool *p)
{
    bool found = true;
    while (found) {
        gdn_message m;
        gdn_error err = {""};
        gdn_status status = gdn_ranks_receive(-1, &m, &found, &err);
        if (status) { /* nothing more can be heard */
            gdn_ranks_break();
            gdn_pool_fail(p, status, err.text);
        } else if (found) {
            obey(p, &m);
            free(m.bytes);
        }
    }
}

/* For the threads that are free, as long as rank 0 keeps up with what this rank sends. */
static void ask(gdn_pool *p)
{
    struct gdn_link *l = p->link;
    int wants;
    if (gdn_ranks_under_way(ROWS) > p->jobs)
        return;
#pragma omp critical(gdn_pool)
    {
        wants = l->other.wants;
        l->other.wants = 0;
        l->other.asked += wants;
    }
    if (wants)
        gdn_link_post_number(p, 0, WANT, wants);
}

static void send_rows(gdn_pool *p)
{
    struct gdn_link *l = p->link;
    gdn_parcel *x;
#pragma omp critical(gdn_pool)
    {
        x = l->other.rows;
        l->other.rows = NULL;
        l->other.last = &l->other.rows;
    }
    while (x) {
        gdn_parcel *next = x->next;
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
    if (!now && gdn_seconds_since(&l->other.said) < SHARE_SECONDS)
        return;
#pragma omp critical(gdn_pool)
    done = p->progress.done;
    double news = done - l->other.shared;
    gdn_link_post(p, 0, SHARE, &news, sizeof news);
    l->other.shared = done;
    clock_gettime(CLOCK_MONOTONIC, &l->other.said);
}

/* What failed here, once. */
static void send_failure(gdn_pool *p)
{
    gdn_failure f = {.interrupted = gdn_pool_interrupted()};
#pragma omp critical(gdn_pool)
    if (p->status) {
        f.status = (int32_t)p->status;
        f.said = *p->err;
    }
    if (p->link->other.told || (!f.status && !f.interrupted))
        return;
    p->link->other.told = true;
    gdn_link_post(p, 0, FAIL, &f, sizeof f);
}

void gdn_link_serve_rank0(gdn_pool *p)
{
    for (;;) {
        int running = gdn_pool_running(p); /* before looking for what they have left */
        hear(p);
        ask(p);
        send_rows(p);
        send_share(p, running == 0);
        send_failure(p);
        if (running == 0 && (p->link->other.asked == 0 || gdn_ranks_broken()))
            break;
        gdn_ranks_pause();
    }
    gdn_link_post_number(p, 0, BYE, 0);
}
