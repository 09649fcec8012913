/* SPDX-License-Identifier: Apache-2.0 */
/* pool_parts -- what harness/pool*.c share. */
#ifndef GDN_HARNESS_POOL_PARTS_H
#define GDN_HARNESS_POOL_PARTS_H

#include "harness/pool.h"
#include "harness/row_pack.h"

/* ---- pool.c ---- */

/* Are tasks in hand to be dropped? */
bool gdn_pool_stopping(const gdn_pool *p);

/* Drop them here, as SIGINT does. */
void gdn_pool_interrupt(void);

/* The first failure stays. */
void gdn_pool_fail(gdn_pool *p, gdn_status status, const char *sentence);

/* On rank 0: the next of todo to be run, or -1. */
int gdn_pool_next(gdn_pool *p);

/* On rank 0: a task's rows to the store; by: what computed them. */
void gdn_pool_commit(gdn_pool *p, const gdn_harvest *h, const gdn_origin *by);

/* Threads that have not run out of tasks. */
int gdn_pool_running(const gdn_pool *p);

/* ---- pool_worker.c: on other ranks than 0 ---- */

/* The next task for this thread; -1: no more. */
int gdn_link_take(gdn_pool *p);

/* Rows on their way to rank 0. */
void gdn_link_deliver(gdn_pool *p, const gdn_harvest *h);

/* The thread that talks: until no thread here has a task and all is said. */
void gdn_link_serve_rank0(gdn_pool *p);

/* ---- pool_rank0.c ---- */

/* The thread that talks: until no thread of any rank has a task. */
void gdn_link_serve_others(gdn_pool *p);

#endif
