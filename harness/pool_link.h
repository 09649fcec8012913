/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_link -- what ranks that share tasks say to each other. Private to harness/pool_meet.c (the first and
 * the last words), pool_worker.c and pool_rank0.c.
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
#ifndef GDN_HARNESS_POOL_LINK_H
#define GDN_HARNESS_POOL_LINK_H

#include "harness/pool_parts.h"
#include "harness/ranks.h"

enum { HELLO, START, WANT, TASK, END, ROWS, SHARE, FAIL, STOP, BYE, PART };

/* What computes on a rank, where it may differ from rank 0. */
typedef struct gdn_maker {
    char build[24], backend[16], device[400], host[65];
} gdn_maker;

typedef struct gdn_hello {
    int32_t status, jobs;
    uint64_t tasks; /* a sum over their ids, and the program */
    gdn_maker by;
    gdn_error said;
} gdn_hello;

typedef struct gdn_start {
    int32_t status, all_jobs, n;
    int32_t todo[];
} gdn_start;

typedef struct gdn_failure {
    int32_t status, interrupted;
    gdn_error said;
} gdn_failure;

/* Rows that wait for the thread that talks. */
typedef struct gdn_parcel {
    struct gdn_parcel *next;
    unsigned char *bytes;
    size_t size;
} gdn_parcel;

/* What rank 0 knows of another rank. */
typedef struct gdn_known {
    gdn_maker by;
    double heard; /* when it last said something */
    bool gone;    /* it has said BYE, or is lost */
} gdn_known;

struct gdn_link {
    int size;
    struct {
        gdn_known *rank;       /* [size] */
        int present;           /* ranks that are not gone */
        bool stopped;          /* they know */
        struct timespec began; /* seconds count from here */
        double now;            /* of this look at what has come */
    } first;                   /* rank 0's part */
    struct {
        int wants, asked; /* threads that want a task and have not said so; that wait for an answer */
        int *given;       /* [jobs] tasks that no thread has taken yet */
        int n_given;
        bool ended, told; /* there are no more; rank 0 knows that something failed here */
        double shared;    /* work that rank 0 knows of */
        struct timespec said;
        gdn_parcel *rows, **last; /* to be sent */
    } other;                      /* the others' part */
};

/* ---- pool_meet.c ---- */

/* Send a copy. What cannot be sent somebody may wait for: the job ends. */
void gdn_link_post(gdn_pool *p, int to, int tag, const void *bytes, size_t size);
void gdn_link_post_number(gdn_pool *p, int to, int tag, int32_t n);

/* -1 where it is none. */
int32_t gdn_link_number(const gdn_message *m);

/* "rank 3 on node17: why": what is wrong with another rank, on rank 0. */
gdn_status gdn_link_blame(const gdn_pool *p, int rank, gdn_status status, const char *why, gdn_error *err);

#endif
