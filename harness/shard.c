/* SPDX-License-Identifier: Apache-2.0 */
/* shard -- a part of an experiment's tasks; see shard.h. */
#include "harness/shard.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "harness/task.h"

/* Digits alone, and where they end. */
static int whole(const char *text, const char **end)
{
    char *stop = NULL;
    errno = 0;
    long n = *text >= '0' && *text <= '9' ? strtol(text, &stop, 10) : 0;
    *end = stop ? stop : text;
    return errno || n > GDN_SHARDS ? 0 : (int)n;
}

gdn_status gdn_shard_read(const char *what, const char *text, gdn_task_shard *shard, gdn_error *err)
{
    const char *slash, *end = "?";
    gdn_task_shard s = {.index = whole(text, &slash)};
    if (*slash == '/')
        s.count = whole(slash + 1, &end);
    if (*end || s.index < 1 || s.index > s.count)
        return gdn_fail(
            err, GDN_BAD_INPUT,
            "%s: '%s' is not allowed; I/N with I from 1 to N is, 2/8 for the second of eight (N up to %d)",
            what, text, GDN_SHARDS);
    *shard = s;
    return GDN_OK;
}

int gdn_task_costlier(const void *a, const void *b, void *all)
{
    const gdn_task *tasks = all;
    int i = *(const int *)a, j = *(const int *)b;
    double x = tasks[i].cost, y = tasks[j].cost;
    return x != y ? (x < y) - (x > y) : (i > j) - (i < j);
}

gdn_status gdn_shard_keep(const gdn_task_shard *shard, gdn_task *tasks, int *n, gdn_error *err)
{
    if (shard->count == 0)
        return GDN_OK;
    size_t count = (size_t)*n;
    int *order = gdn_calloc(count, sizeof *order);
    bool *mine = gdn_calloc(count, sizeof *mine);
    gdn_status status = order && mine ? GDN_OK : gdn_no_memory(err, "the tasks of a shard");
    if (!status) {
        for (int i = 0; i < *n; i++)
            order[i] = i;
        qsort_r(order, count, sizeof *order, gdn_task_costlier, tasks);
        for (int i = 0; i < *n; i++) {
            int round = i / shard->count, place = i % shard->count;
            int dealt = round % 2 ? shard->count - place : place + 1;
            mine[order[i]] = dealt == shard->index;
        }
        int kept = 0;
        for (int i = 0; i < *n; i++)
            if (mine[i])
                tasks[kept++] = tasks[i];
        *n = kept;
    }
    free(order);
    free(mine);
    return status;
}
