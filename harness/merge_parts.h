/* SPDX-License-Identifier: Apache-2.0 */
/* merge_parts -- private to harness/merge*.c. */
#ifndef GDN_HARNESS_MERGE_PARTS_H
#define GDN_HARNESS_MERGE_PARTS_H

#include <jansson.h>

#include "harness/merge.h"
#include "harness/store.h"
#include "harness/task.h"

/* A store to be merged. */
typedef struct gdn_merge_source {
    char *store;      /* path of the database */
    json_t *manifest; /* NULL: the run that wrote it has not ended */
    int tasks;        /* that were taken from it */
} gdn_merge_source;

typedef struct gdn_merge_plan {
    gdn_merge_source *source; /* [sources] */
    int sources, room;
    gdn_experiment *experiment;
    long max_length;
    const char *backend, *device; /* of the manifests */
    int jobs;                     /* of all of them */
    int first_seed, last_seed;    /* of the manifests */
    gdn_task *task;               /* [tasks] that there may be; see gdn_merge_plan_settle */
    int tasks;
} gdn_merge_plan;

/* Find the stores, read their manifests, and make the list of tasks (merge_plan.c). */
gdn_status gdn_merge_plan_make(const gdn_merge_options *o, gdn_merge_plan *p, gdn_error *err);

/*
 * Seeds beyond the manifests' are the experiment's as far as a store has a task of them: others leave the
 * list. from: [tasks], below 0 where no store has it; it is shortened with the list.
 */
gdn_status gdn_merge_plan_settle(gdn_merge_plan *p, int *from, gdn_error *err);
void gdn_merge_plan_free(gdn_merge_plan *p);

/*
 * The first cell in which a task's rows differ between two stores, in words (merge_compare.c). *found = false
 * where none does.
 */
gdn_status gdn_merge_compare(const char *const store[2], const char *task, bool *found, char *text,
                             size_t size, gdn_error *err);

#endif
