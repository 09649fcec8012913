/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool -- tasks over threads, and over ranks (harness/ranks.h): the costliest first, each to whoever is free.
 *
 * Rank 0 has the store, hands tasks out, works on some itself and commits what all have done; the others ask
 * for tasks and send rows. harness/pool_link.h says how.
 */
#ifndef GDN_HARNESS_POOL_H
#define GDN_HARNESS_POOL_H

#include <stdatomic.h>

#include "harness/progress.h"
#include "harness/store.h"
#include "harness/task.h"

typedef struct gdn_pool {
    gdn_task *tasks; /* [count] of the experiment, on every rank the same */
    int count;
    int *todo;     /* [n] indices of tasks that are to be run, the costliest first; rank 0 tells the others */
    int n, next;   /* todo[next] is handed out next */
    int committed; /* of todo, to the store of rank 0 */
    int jobs;      /* threads of this rank */
    int all_jobs;  /* of all ranks together */
    gdn_store *store;                /* of rank 0; elsewhere NULL */
    gdn_origin origin;               /* of what this rank computes */
    gdn_progress progress;           /* of all ranks, on rank 0 */
    double seconds, certify_seconds; /* of the tasks run now; on rank 0 of all of them */
    gdn_status status;               /* the first failure, and its sentence */
    gdn_error *err;
    atomic_bool stop;      /* tasks in hand are to be dropped */
    int running;           /* threads that have not run out of tasks */
    uint64_t place;        /* what this rank's tasks need memory of: a GPU's key, 0 */
    int sharing;           /* ranks of this host that say the same */
    struct gdn_link *link; /* to other ranks; NULL where there are none */
} gdn_pool;

/* First SIGINT or SIGTERM from here on: drop the tasks in hand and leave; the second one ends the process. */
void gdn_pool_watch(void);

/* They end the process again, or do what they did. */
void gdn_pool_unwatch(void);
bool gdn_pool_interrupted(void);

/*
 * All ranks meet, each with its own status so far: whether all can go on with the same tasks, and which of
 * them. Returns the same status everywhere; the sentence is rank 0's.
 */
gdn_status gdn_pool_meet(gdn_pool *p, gdn_status status, gdn_error *err);

/* Run what is to be run; `jobs` of them at a time on this rank. */
gdn_status gdn_pool_run(gdn_pool *p, int jobs);

/* Rank 0's status to all, when an experiment is through: everywhere the same. */
gdn_status gdn_pool_part(gdn_pool *p, gdn_status status, gdn_error *err);

#endif
