/* SPDX-License-Identifier: Apache-2.0 */
/* merge -- stores of shards into the results that one run would have written; see merge.h. */
#include "harness/merge.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/finish.h"
#include "harness/json_file.h"
#include "harness/lock.h"
#include "harness/merge_parts.h"
#include "harness/origin.h"
#include "harness/outfile.h"
#include "harness/progress.h"

/* A merge at work. */
typedef struct merge {
    const gdn_merge_options *o;
    gdn_merge_result *r;
    FILE *out;
    gdn_merge_plan plan;
    int *from;        /* [plan.tasks] the first source that has it, or -1 */
    bool *apart;      /* [plan.tasks] sources differ over it */
    const char **ids; /* [r->tasks] of the tasks that are there, in order */
    char first[640];  /* conflict, in words */
} merge;

static const char *population_of(const merge *m, const gdn_task *t)
{
    return m->plan.experiment->file->populations[t->population].name;
}

/* ---- looking through ---- */

/* Two stores have other rows of a task. */
static gdn_status conflict(merge *m, int task, int source, gdn_error *err)
{
    const gdn_task *t = &m->plan.task[task];
    const char *const store[2] = {m->plan.source[m->from[task]].store, m->plan.source[source].store};
    char where[512] = "", text[640];
    bool found;
    gdn_status status = gdn_merge_compare(store, t->id, &found, where, sizeof where, err);
    if (status)
        return status;
    if (!found)
        return gdn_fail(
            err, GDN_BAD_INPUT,
            "merge: %.250s and %.250s have equal rows of task %s under other checksums: one is damaged",
            store[0], store[1], t->id);
    snprintf(text, sizeof text,
             "%s, seed %" PRIu64 " (task %s) is another in %.100s than in %.100s, first in %.300s",
             population_of(m, t), t->seed, t->id, store[1], store[0], where);
    fprintf(m->out, "CONFLICT %s\n", text);
    if (m->r->conflicts == 0)
        snprintf(m->first, sizeof m->first, "%s", text);
    m->r->conflicts += !m->apart[task];
    m->apart[task] = true;
    return GDN_OK;
}

static bool same_sums(const gdn_checksum *x, const gdn_checksum *y)
{
    return x->rows == y->rows && strcmp(x->sum, y->sum) == 0;
}

/* A task that the source has: the first to have it, one more, or another. sums: [plan.tasks] of the first. */
static gdn_status meet(merge *m, int task, int source, const gdn_task_record *record, gdn_checksum *sums,
                       gdn_error *err)
{
    const gdn_task *t = &m->plan.task[task];
    if (strcmp(record->population, population_of(m, t)) != 0 || record->seed != (int64_t)t->seed)
        return gdn_fail(err, GDN_BAD_INPUT,
                        "%.300s: task %s should be %s, seed %" PRIu64 ": the store is damaged",
                        m->plan.source[source].store, t->id, population_of(m, t), t->seed);
    if (m->from[task] < 0) {
        m->from[task] = source;
        sums[task] = record->sum[GDN_COVER_ALL];
        m->r->rows += record->sum[GDN_COVER_ALL].rows;
        return GDN_OK;
    }
    if (!same_sums(&sums[task], &record->sum[GDN_COVER_ALL]))
        return conflict(m, task, source, err);
    m->r->overlaps++;
    return GDN_OK;
}

/* One store: whose tasks it has, and who made them. */
static gdn_status look(merge *m, int source, gdn_checksum *sums, gdn_error *err)
{
    const char *path = m->plan.source[source].store;
    const gdn_origin here = gdn_origin_here();
    gdn_store *s = NULL;
    int64_t all = 0;
    int known = 0, others = 0;
    char other[80], mine[80];
    gdn_error ignored;
    gdn_status status = gdn_store_read(path, &s, err);
    if (!status)
        status = gdn_store_tasks(s, &all, err);
    for (int i = 0; i < m->plan.tasks && !status; i++) {
        gdn_task_record record;
        bool found;
        status = gdn_store_task(s, m->plan.task[i].id, &record, &found, err);
        if (status || !found)
            continue;
        known++;
        if (!gdn_origin_same(&record.origin, &here) && others++ == 0)
            gdn_origin_text(&record.origin, other, sizeof other);
        status = meet(m, i, source, &record, sums, err);
    }
    if (!status && others && !m->o->any_commit)
        status = gdn_fail(
            err, GDN_BAD_INPUT,
            "%.300s: %d of its tasks were made by another gdnprec (%s; this is %s); --any-commit takes "
            "them all the same",
            path, others, other, gdn_origin_text(&here, mine, sizeof mine));
    if (!status && all && !known)
        status = gdn_fail(err, GDN_BAD_INPUT, "%.300s: none of its %" PRId64 " tasks is of the experiment %s",
                          path, all, m->r->name);
    m->r->left_out += (int)all - known;
    gdn_store_close(s, &ignored);
    return status;
}

/* A line a population with seeds that are in no store: "needle: seeds 2, 5-8". */
static void tell_gaps(const merge *m)
{
    const gdn_task *t = m->plan.task;
    int told = -1; /* population */
    for (int i = 0; i < m->plan.tasks; i++) {
        if (m->from[i] >= 0)
            continue;
        int last = i;
        while (last + 1 < m->plan.tasks && m->from[last + 1] < 0 && t[last + 1].population == t[i].population)
            last++;
        if (told == t[i].population)
            fprintf(m->out, ", %" PRIu64, t[i].seed);
        else
            fprintf(m->out, "%sMISSING  %s: seeds %" PRIu64, told < 0 ? "" : "\n", population_of(m, &t[i]),
                    t[i].seed);
        if (last > i)
            fprintf(m->out, "-%" PRIu64, t[last].seed);
        told = t[i].population;
        i = last;
    }
    if (told >= 0)
        fputc('\n', m->out);
}

static gdn_status survey(merge *m, gdn_error *err)
{
    gdn_merge_result *r = m->r;
    gdn_checksum *sums = gdn_calloc((size_t)m->plan.tasks, sizeof *sums);
    m->from = gdn_calloc((size_t)m->plan.tasks, sizeof *m->from);
    m->apart = gdn_calloc((size_t)m->plan.tasks, sizeof *m->apart);
    m->ids = gdn_calloc((size_t)m->plan.tasks, sizeof *m->ids);
    gdn_status status =
        sums && m->from && m->apart && m->ids ? GDN_OK : gdn_no_memory(err, "the list of tasks");
    for (int i = 0; i < m->plan.tasks && !status; i++)
        m->from[i] = -1;
    for (int i = 0; i < m->plan.sources && !status; i++)
        status = look(m, i, sums, err);
    free(sums);
    if (!status)
        status = gdn_merge_plan_settle(&m->plan, m->from, err);
    if (status)
        return status;
    for (int i = 0; i < m->plan.tasks; i++)
        if (m->from[i] >= 0)
            m->ids[r->tasks++] = m->plan.task[i].id;
    r->missing = m->plan.tasks - r->tasks;
    tell_gaps(m);
    if (r->conflicts == 1)
        return gdn_fail(err, GDN_DIFFERS, "merge: %s; nothing was written", m->first);
    if (r->conflicts)
        return gdn_fail(err, GDN_DIFFERS, "merge: %d tasks differ; %s; nothing was written", r->conflicts,
                        m->first);
    if (r->missing && !m->o->partial)
        return gdn_fail(
            err, GDN_DIFFERS,
            "merge: %d of %d tasks are in none of the stores; run them, or take --partial; nothing was "
            "written",
            r->missing, m->plan.tasks);
    return GDN_OK;
}

/* ---- taking over ---- */

/* All tasks of the sources into the new store; those that it has already are checked alone. */
static gdn_status take_all(merge *m, gdn_store *to, gdn_error *err)
{
    gdn_progress progress;
    gdn_status status = GDN_OK;
    gdn_progress_start(&progress, m->r->name, (double)m->r->rows / 1e6, "M rows", m->o->quiet);
    for (int i = 0; i < m->plan.sources && !status; i++) {
        gdn_store *s = NULL;
        gdn_error ignored;
        status = gdn_store_read(m->plan.source[i].store, &s, err);
        for (int t = 0; t < m->plan.tasks && !status; t++) {
            const char *id = m->plan.task[t].id;
            gdn_task_record record;
            bool found, first = m->from[t] == i;
            if ((status = gdn_store_task(s, id, &record, &found, err)))
                continue;
            if (!found && first)
                status = gdn_fail(err, GDN_BAD_INPUT,
                                  "%.400s: task %s is no longer there: another gdnprec is at work on it; "
                                  "merge when it is done",
                                  m->plan.source[i].store, id);
            if (!found)
                continue;
            double rows = (double)record.sum[GDN_COVER_ALL].rows;
            status = first ? gdn_store_take(to, s, id, err) : gdn_store_check(s, id, err);
            status = status == GDN_DIFFERS ? GDN_BAD_INPUT : status;
            m->plan.source[i].tasks += first;
            gdn_progress_add(&progress, first ? rows / 1e6 : 0);
        }
        gdn_store_close(s, &ignored);
    }
    gdn_progress_end(&progress);
    return status;
}

static json_t *what_was_merged(const merge *m)
{
    json_t *stores = json_array();
    for (int i = 0; i < m->plan.sources; i++)
        json_array_append_new(stores, json_pack("{s:o, s:i}", "store", gdn_json_text(m->plan.source[i].store),
                                                "tasks", m->plan.source[i].tasks));
    return json_pack("{s:o, s:i, s:i}", "stores", stores, "overlaps", m->r->overlaps, "missing",
                     m->r->missing);
}

/* The store under its name, for good; whoever was faster has it. */
static gdn_status settle(const char *from, const char *to, gdn_error *err)
{
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    bool fine = fd >= 0 && fsync(fd) == 0;
    if (fine &&
        renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE)) /* not on this file system or kernel */
        fine = (errno == EINVAL || errno == ENOSYS) && access(to, F_OK) != 0 && rename(from, to) == 0;
    int why = errno;
    if (fine && !gdn_keep_name(to)) {
        fine = false;
        why = errno;
        unlink(to);
    }
    if (fd >= 0)
        close(fd);
    return fine ? GDN_OK
                : gdn_fail(err, why == EEXIST ? GDN_BAD_INPUT : GDN_MACHINE, "%.400s: cannot be made: %s%s",
                           to, strerror(why),
                           why == EEXIST ? "" : " (mend that and run the same command again)");
}

static void discard(const char *store)
{
    static const char *const parts[] = {"", "-wal", "-shm", "-journal"};
    char path[PATH_MAX + 16];
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        snprintf(path, sizeof path, "%s%s", store, parts[i]);
        unlink(path);
    }
}

/* Store, CSV files and manifest. `store` is the name that the store has in the end. */
static gdn_status write_results(merge *m, const char *store, const struct timespec *start, gdn_error *err)
{
    gdn_merge_result *r = m->r;
    char temporary[PATH_MAX + 8];
    gdn_store *s = NULL;
    gdn_error second;
    gdn_run_facts facts = {.command = m->o->command,
                           .backend = m->plan.backend,
                           .device = m->plan.device,
                           .jobs = m->plan.jobs,
                           .max_length = m->plan.max_length,
                           .ranks = 1};
    snprintf(temporary, sizeof temporary, "%s.new", store);
    discard(temporary); /* of a merge that was killed */
    gdn_status status = gdn_store_open(temporary, &s, err);
    if (!status)
        status = take_all(m, s, err);
    if (!status)
        status = gdn_finish(m->plan.experiment, s, r->directory, m->ids, r->tasks, &facts, err);
    if (!status)
        status = gdn_store_checkpoint(s, err);
    gdn_status closed = gdn_store_close(s, &second);
    if (!status && closed) {
        *err = second;
        status = closed;
    }
    if (!status)
        status = settle(temporary, store, err);
    bool settled = !status;
    r->seconds = facts.seconds = gdn_seconds_since(start);
    facts.merged = what_was_merged(m);
    if (!status)
        status = gdn_manifest_write(m->plan.experiment, r->directory, &facts, err);
    if (status)
        discard(settled ? store : temporary);
    if (status && settled) { /* nor what says that there are results */
        char manifest[sizeof r->directory + 16];
        snprintf(manifest, sizeof manifest, "%s/manifest.json", r->directory);
        unlink(manifest);
    }
    json_decref(facts.merged);
    json_decref(facts.origins);
    return status;
}

static gdn_status new_store(const merge *m, char *store, size_t size, gdn_error *err)
{
    if (snprintf(m->r->directory, sizeof m->r->directory, "%s/%s", m->o->results, m->r->name) >=
            (int)sizeof m->r->directory ||
        snprintf(store, size, "%s/store.db", m->r->directory) >= (int)size - 16)
        return gdn_fail(err, GDN_BAD_INPUT, "%.80s...: the path is too long", m->o->results);
    if (access(store, F_OK) == 0)
        return gdn_fail(
            err, GDN_BAD_INPUT,
            "%.400s: it is there already; merge into another --results directory, with this store among "
            "the others where its tasks are wanted",
            store);
    return GDN_OK;
}

gdn_status gdn_merge(const gdn_merge_options *o, gdn_merge_result *r, FILE *out, gdn_error *err)
{
    merge m = {.o = o, .r = r, .out = out};
    char store[PATH_MAX];
    struct timespec start;
    gdn_lock lock = {.fd = -1};
    clock_gettime(CLOCK_MONOTONIC, &start);
    *r = (gdn_merge_result){.tasks = 0};
    gdn_status status = gdn_merge_plan_make(o, &m.plan, err);
    r->stores = m.plan.sources;
    if (!status) {
        snprintf(r->name, sizeof r->name, "%s", m.plan.experiment->file->experiment);
        status = new_store(&m, store, sizeof store, err);
    }
    if (!status)
        status = survey(&m, err);
    bool there = status || access(r->directory, F_OK) == 0;
    if (!status)
        status = gdn_make_directory(r->directory, err);
    if (!status)
        status = gdn_lock_take(&lock, store, err);
    if (!status)
        status = new_store(&m, store, sizeof store, err); /* still */
    if (!status)
        status = write_results(&m, store, &start, err);
    gdn_lock_release(&lock);
    if (status && r->directory[0] && !there)
        rmdir(r->directory); /* if nothing is in it */
    free(m.from);
    free(m.apart);
    free(m.ids);
    gdn_merge_plan_free(&m.plan);
    return status;
}
