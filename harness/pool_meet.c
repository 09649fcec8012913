/* SPDX-License-Identifier: Apache-2.0 */
/* pool_meet -- ranks that share tasks meet before them and part after them; see pool.h and pool_link.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "harness/pool_link.h"
#include "harness/provenance.h"

/* ---- messages ---- */

void gdn_link_post(gdn_pool *p, int to, int tag, const void *bytes, size_t size)
{
    gdn_error err = {""};
    gdn_status status = gdn_ranks_post(to, tag, bytes, size, &err);
    if (status) {
        gdn_ranks_break();
        gdn_pool_fail(p, status, err.text);
    }
}

void gdn_link_post_number(gdn_pool *p, int to, int tag, int32_t n)
{
    gdn_link_post(p, to, tag, &n, sizeof n);
}

int32_t gdn_link_number(const gdn_message *m)
{
    int32_t n = -1;
    if (m->size == sizeof n)
        memcpy(&n, m->bytes, sizeof n);
    return n;
}

gdn_status gdn_link_blame(const gdn_pool *p, int rank, gdn_status status, const char *why, gdn_error *err)
{
    return gdn_fail(err, status, "rank %d on %s: %s", rank, p->link->first.rank[rank].by.host, why);
}

static void unlink_ranks(gdn_pool *p)
{
    struct gdn_link *l = p->link;
    if (!l)
        return;
    for (gdn_parcel *x; (x = l->other.rows);) {
        l->other.rows = x->next;
        free(x->bytes);
        free(x);
    }
    free(l->first.rank);
    free(l->other.given);
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

/* ---- meeting ---- */

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
    gdn_hello h;
    if (m->size != sizeof h)
        return gdn_fail(err, GDN_MACHINE, "the first message of rank %d came broken", m->from);
    memcpy(&h, m->bytes, sizeof h);
    h.said.text[sizeof h.said.text - 1] = 0;
    h.by.build[sizeof h.by.build - 1] = h.by.backend[sizeof h.by.backend - 1] = 0;
    h.by.device[sizeof h.by.device - 1] = h.by.host[sizeof h.by.host - 1] = 0;
    p->link->first.rank[m->from].by = h.by;
    p->all_jobs += h.jobs;
    if (h.status)
        return gdn_link_blame(p, m->from, (gdn_status)h.status, h.said.text, err);
    if (h.tasks != sum)
        return gdn_link_blame(p, m->from, GDN_BAD_INPUT,
                              "other tasks than rank 0 has: all ranks want the same gdnprec, command, files "
                              "and kind of backend",
                              err);
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
        gdn_status heard = gdn_ranks_wait(HELLO, &m, err);
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
    size_t size = sizeof(gdn_start) + (size_t)n * sizeof(int32_t);
    gdn_start *s = calloc(1, size);
    if (!s)
        return give_up(p, gdn_no_memory(err, "the list of tasks"));
    *s = (gdn_start){.status = (int32_t)status, .all_jobs = p->all_jobs, .n = n};
    for (int i = 0; i < n; i++)
        s->todo[i] = p->todo[i];
    for (int r = 1; r < p->link->size; r++)
        gdn_link_post(p, r, START, s, size);
    free(s);
    return status;
}

/* The others: what rank 0 says is to be run. */
static gdn_status follow(gdn_pool *p, gdn_status status, gdn_error *err)
{
    gdn_hello h = {.status = (int32_t)status, .jobs = p->jobs, .tasks = status ? 0 : sum_of(p)};
    gdn_message m;
    gdn_start s;
    snprintf(h.by.build, sizeof h.by.build, "%s", p->origin.build);
    snprintf(h.by.backend, sizeof h.by.backend, "%s", p->origin.backend);
    snprintf(h.by.device, sizeof h.by.device, "%s", p->origin.device);
    snprintf(h.by.host, sizeof h.by.host, "%s", gdn_ranks_here()->host);
    if (status)
        h.said = *err;
    gdn_link_post(p, 0, HELLO, &h, sizeof h);
    if ((status = p->status) || (status = gdn_ranks_wait(START, &m, err)))
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
        l->other.last = &l->other.rows;
        l->first.rank = calloc((size_t)l->size, sizeof *l->first.rank);
        l->other.given = calloc((size_t)p->jobs, sizeof *l->other.given);
    }
    if (!l || !l->first.rank || !l->other.given)
        return give_up(p, gdn_no_memory(err, "ranks"));
    p->sharing = gdn_ranks_alike(p->place);
    if (here->rank)
        return follow(p, status, err);
    status = hear_all(p, status, err);
    return p->link ? begin(p, status, err) : status;
}

/* ---- parting ---- */

gdn_status gdn_pool_part(gdn_pool *p, gdn_status status, gdn_error *err)
{
    if (!p->link)
        return status;
    if (gdn_ranks_here()->rank == 0) {
        for (int r = 1; r < p->link->size; r++)
            gdn_link_post_number(p, r, PART, (int32_t)status);
    } else if (!gdn_ranks_broken()) {
        gdn_message m = {.tag = STOP};
        gdn_status heard = GDN_OK;
        while (!heard && m.tag != PART) { /* a STOP may have crossed our BYE */
            free(m.bytes);
            heard = gdn_ranks_wait(-1, &m, err);
        }
        if (heard)
            return give_up(p, heard);
        status = (gdn_status)gdn_link_number(&m);
        free(m.bytes);
    }
    unlink_ranks(p);
    return status;
}
