/* SPDX-License-Identifier: Apache-2.0 */
/* plan -- positions and windows of a task; see plan.h. */
#include "harness/plan.h"

#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Sort x[0..n) and drop repeats and what lies outside 1..last; returns the new count. */
static int tidy(int64_t *x, int n, int64_t last)
{
    int kept = 0;
    qsort(x, (size_t)n, sizeof *x, ascending);
    for (int i = 0; i < n; i++)
        if (x[i] >= 1 && x[i] <= last && (kept == 0 || x[i] != x[kept - 1]))
            x[kept++] = x[i];
    return kept;
}

/* Does the quarter grid of the windows hold position t? */
static bool on_grid(int64_t t)
{
    int64_t start = 1;
    while (2 * start <= t)
        start *= 2;
    for (int64_t quarter = 1; quarter <= 4; quarter++)
        if (t == start + (quarter * start + 3) / 4 - 1)
            return true;
    return false;
}

gdn_status gdn_plan_make(const int64_t *lengths, int n, gdn_plan *plan, gdn_error *err)
{
    *plan = (gdn_plan){.last = lengths[n - 1]};
    if (n > GDN_PLAN_LENGTHS)
        return gdn_fail(err, GDN_BAD_INPUT, "%d lengths; at most %d are allowed", n, GDN_PLAN_LENGTHS);
    for (int64_t start = 1; 2 * start - 1 <= plan->last; start *= 2) {
        if (lengths[0] > 1 || start > 1) /* [1, 1] is a whole run already where a length is 1 */
            plan->window[plan->windows++] = (gdn_window){start, 2 * start - 1, false};
        plan->segment_end[plan->segments++] = 2 * start - 1;
        for (int64_t quarter = 1; quarter <= 4; quarter++)
            plan->sample[plan->samples++] = start + (quarter * start + 3) / 4 - 1;
    }
    for (int i = 0; i < n; i++) {
        plan->window[plan->windows++] = (gdn_window){1, lengths[i], true};
        plan->segment_end[plan->segments++] = lengths[i];
        plan->sample[plan->samples++] = lengths[i];
    }
    plan->segments = tidy(plan->segment_end, plan->segments, plan->last);
    plan->samples = tidy(plan->sample, plan->samples, plan->last);
    for (int i = 0; i < plan->segments; i++)
        plan->edge[i] = ((plan->segment_end[i] + 1) & plan->segment_end[i]) == 0;
    for (int i = 0; i < plan->samples; i++)
        plan->quarter[i] = on_grid(plan->sample[i]);
    return GDN_OK;
}

void gdn_plan_pack(gdn_plan *plan, const int64_t *ends, int n)
{
    for (int i = 0, at = 0; i < n; i++) {
        while (plan->segment_end[at] < ends[i])
            at++;
        if (plan->segment_end[at] > ends[i]) {
            size_t rest = (size_t)(plan->segments++ - at);
            memmove(plan->segment_end + at + 1, plan->segment_end + at, rest * sizeof *plan->segment_end);
            memmove(plan->edge + at + 1, plan->edge + at, rest * sizeof *plan->edge);
            plan->segment_end[at] = ends[i];
        }
        plan->edge[at] = true;
    }
}
