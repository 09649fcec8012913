/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shard -- a part of an experiment's tasks, to be run where nothing is shared with the other parts.
 *
 * Which part a task belongs to depends on the experiment alone: tasks in order of cost, the costliest first
 * (of equal ones, the first in the file), are dealt out to shards 1 .. n, then n .. 1, and so on. A shard
 * keeps its store and a manifest that names it in DIR/<experiment>/shard-<i>-of-<n>; it writes no CSV files,
 * which whole results have.
 */
#ifndef GDN_HARNESS_SHARD_H
#define GDN_HARNESS_SHARD_H

#include "base/status.h"

struct gdn_task;

typedef struct gdn_task_shard {
    int index, count; /* 1 .. count; count 0: no shard, all tasks */
} gdn_task_shard;

/* Most shards that a run can be cut into. */
enum { GDN_SHARDS = 1 << 20 };

/* "2/8". GDN_BAD_INPUT with a sentence that begins with `what` for anything else. */
gdn_status gdn_shard_read(const char *what, const char *text, gdn_task_shard *shard, gdn_error *err);

/* For qsort_r() of indices into tasks: the costliest first, equal ones in their order. */
int gdn_task_costlier(const void *a, const void *b, void *tasks);

/* Keep the shard's tasks of tasks[0..*n), in the order that they have. */
gdn_status gdn_shard_keep(const gdn_task_shard *shard, struct gdn_task *tasks, int *n, gdn_error *err);

#endif
