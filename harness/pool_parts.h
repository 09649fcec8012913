/* SPDX-License-Identifier: Apache-2.0 */
/* pool_parts -- what pool.c and pool_ranks.c share. */
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

/* ---- pool_ranks.c: on a thread that computes, and on the one that talks ---- */

/* The next task for this thread, from wherever tasks come; -1: no more. */
int gdn_link_take(gdn_pool *p);

/* Rows on their way to rank 0. */
void gdn_link_deliver(gdn_pool *p, const gdn_harvest *h);

/* Talk to the other ranks until no thread of any of them has a task. */
void gdn_link_serve(gdn_pool *p);

#endif
