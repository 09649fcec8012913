/* SPDX-License-Identifier: Apache-2.0 */
/* pool_rank0 -- hands tasks out to the other ranks and commits what they send; see pool_link.h. */
#include <stdlib.h>
#include <string.h>

#include "harness/pool_link.h"

static const double LOST_SECONDS = 60, /* of silence: a rank is lost */
    DEAF_SECONDS = 1;                  /* between two looks at what has come: this rank was not listening */

/* ---- what the others say ---- */

/* A failure of another rank is the pool's. */
static void fail_for(gdn_pool *p, int rank, gdn_status status, const char *why)
{
    gdn_error err = {""};
    gdn_link_blame(p, rank, status, why, &err);
    gdn_pool_fail(p, status, err.text);
}

static void take_rows(gdn_pool *p, const gdn_message *m)
{
    gdn_harvest h;
    gdn_error err = {""};
    gdn_status status = gdn_harvest_unpack(m->bytes, m->size, &h, &err);
    if (status) {
        fail_for(p, m->from, status, err.text);
        return;
    }
    const gdn_maker *by = &p->link->first.rank[m->from].by;
    gdn_origin origin = p->origin;
    origin.build = by->build;
    origin.backend = by->backend;
    origin.device = by->device;
    if (h.task >= 0 && h.task < p->n)
        gdn_pool_commit(p, &h, &origin);
    else
        fail_for(p, m->from, GDN_MACHINE, "rows came of a task that there is not");
    gdn_rows_free(&h.rows);
}

static void take_failure(gdn_pool *p, const gdn_message *m)
{
    gdn_failure f;
    if (m->size != sizeof f)
        return;
    memcpy(&f, m->bytes, sizeof f);
    f.said.text[sizeof f.said.text - 1] = 0;
    if (f.status)
        fail_for(p, m->from, (gdn_status)f.status, f.said.text);
    else
        gdn_pool_interrupt();
}

static void answer(gdn_pool *p, const gdn_message *m)
{
    struct gdn_link *l = p->link;
    gdn_known *from = &l->first.rank[m->from];
    double news;
    from->heard = l->first.now;
    switch (m->tag) {
    case WANT:
        for (int32_t n = gdn_link_number(m); n > 0; n--) {
            int next = gdn_pool_next(p);
            gdn_link_post_number(p, m->from, next >= 0 ? TASK : END, next);
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
        l->first.present -= !from->gone;
        from->gone = true;
        break;
    default:
        break;
    }
}

/* ---- what they do not say ---- */

/*
 * The time of this look. Where the last one was long ago, as the job was paused or the disk is slow, nobody
 * has been silent: this rank was not listening.
 */
static void look_at_clock(struct gdn_link *l)
{
    double last = l->first.now;
    l->first.now = gdn_seconds_since(&l->first.began);
    for (int r = 1; r < l->size && l->first.now - last > DEAF_SECONDS; r++)
        l->first.rank[r].heard = l->first.now;
}

/* Ranks that have been silent for too long, after all that has come was read. */
static void miss(gdn_pool *p)
{
    struct gdn_link *l = p->link;
    for (int r = 1; r < l->size; r++) {
        gdn_known *other = &l->first.rank[r];
        if (other->gone || l->first.now - other->heard < LOST_SECONDS)
            continue;
        fail_for(p, r, GDN_MACHINE,
                 "not heard of for a minute; finished tasks are kept, run again to resume");
        gdn_ranks_break();
        other->gone = true;
        l->first.present--;
    }
}

/* One message, if there is any. */
static bool hear(gdn_pool *p)
{
    gdn_message m;
    bool found;
    gdn_error err = {""};
    gdn_status status = gdn_ranks_receive(WANT, &m, &found, &err); /* idle threads before rows */
    if (!status && !found)
        status = gdn_ranks_receive(-1, &m, &found, &err);
    if (status) { /* nothing more can be heard */
        gdn_pool_fail(p, status, err.text);
        gdn_ranks_break();
        p->link->first.present = 0;
    } else if (found) {
        answer(p, &m);
        free(m.bytes);
    } else {
        miss(p);
    }
    return found;
}

void gdn_link_serve_others(gdn_pool *p)
{
    struct gdn_link *l = p->link;
    l->first.present = l->size - 1;
    clock_gettime(CLOCK_MONOTONIC, &l->first.began);
    while (gdn_pool_running(p) > 0 || l->first.present > 0) {
        look_at_clock(l);
        bool found = hear(p);
        if (!l->first.stopped && gdn_pool_stopping(p)) {
            l->first.stopped = true;
            for (int r = 1; r < l->size; r++)
                if (!l->first.rank[r].gone)
                    gdn_link_post_number(p, r, STOP, 0);
        }
        if (!found)
            gdn_ranks_pause();
    }
}
