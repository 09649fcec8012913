/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan -- which positions a task stops at, and which windows its rows report.
 *
 * Windows are [2^i, 2^(i+1)) as far as they are complete within the longest length, and [1, T] for every
 * length T. The former are the segments of accumulation; a length in the middle of one only looks at its open
 * sums, so that no row depends on which other lengths are asked for. The state is compared at the quarters of
 * each window, at every position of the first two, and at every T.
 */
#ifndef GDN_HARNESS_PLAN_H
#define GDN_HARNESS_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* Most lengths a plan takes, and positions or windows it then has at most. */
enum { GDN_PLAN_LENGTHS = 1000, GDN_PLAN_MAX = 4096 };

typedef struct gdn_window {
    int64_t from, to;
    bool whole; /* [1, T]: the state is reported at T alone */
} gdn_window;

typedef struct gdn_plan {
    int64_t last; /* the longest length */
    int segments, samples, windows;
    int64_t segment_end[GDN_PLAN_MAX]; /* [segments] ascending, inclusive: ends of windows, and lengths */
    bool edge[GDN_PLAN_MAX];         /* [segments]: it ends a window; else the open sums are only looked at */
    int64_t sample[GDN_PLAN_MAX];    /* [samples] ascending: positions of state comparisons */
    bool quarter[GDN_PLAN_MAX];      /* [samples]: it belongs to its window, not only to a length */
    gdn_window window[GDN_PLAN_MAX]; /* [windows] */
} gdn_plan;

/* lengths: [n] ascending. */
gdn_status gdn_plan_make(const int64_t *lengths, int n, gdn_plan *plan, gdn_error *err);

/* Let segments end at these positions too, and sums start over there: the ends of packed sequences.
 * ends: [n] ascending, n <= GDN_PLAN_LENGTHS, below plan->last. */
void gdn_plan_pack(gdn_plan *plan, const int64_t *ends, int n);

#endif
