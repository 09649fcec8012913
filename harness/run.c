/* SPDX-License-Identifier: Apache-2.0 */
/* run -- an experiment from file to results; see run.h. */
#include "harness/run.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/inputs.h"
#include "harness/backend.h"
#include "harness/experiment.h"
#include "harness/finish.h"
#include "harness/lock.h"
#include "harness/origin.h"
#include "harness/outfile.h"
#include "harness/pool.h"
#include "harness/provenance.h"
#include "harness/ranks.h"
#include "harness/run_parts.h"
#include "harness/store.h"
#include "harness/store_mend.h"

/* ---- the experiment ---- */

/*
 * Make tasks fit the device: shorter blocks first, then fewer at a time. Returns how many run at once. A task
 * that does not fit alone is tried all the same, and its failure says so.
 */
static int plan_memory(const gdn_pool *p, const gdn_backend *backend, bool fixed, int jobs)
{
    const double room = 0.85 * (double)backend->memory() / p->sharing;
    double largest = 0;
    for (int i = 0; i < p->n; i++) {
        gdn_task *t = &p->tasks[p->todo[i]];
        while (!fixed && t->block > GDN_BLOCK_LEAST && gdn_task_bytes(t) * jobs > room)
            t->block /= 2;
        double bytes = gdn_task_bytes(t);
        largest = bytes > largest ? bytes : largest;
    }
    while (jobs > 1 && largest * jobs > room)
        jobs--;
    return jobs;
}

gdn_status gdn_run_missing(gdn_pool *p, gdn_strangers *others, gdn_error *err)
{
    *others = (gdn_strangers){.n = 0};
    for (int i = 0; i < p->count; i++) {
        gdn_task_record record;
        bool found = false;
        gdn_status status =
            p->store ? gdn_store_task(p->store, p->tasks[i].id, &record, &found, err) : GDN_OK;
        if (status)
            return status;
        if (!found)
            p->todo[p->n++] = i;
        else if (!gdn_origin_same(&record.origin, &p->origin) && others->n++ == 0)
            gdn_origin_text(&record.origin, others->program, sizeof others->program);
    }
    qsort_r(p->todo, (size_t)p->n, sizeof *p->todo, gdn_task_costlier, p->tasks);
    return GDN_OK;
}

int gdn_run_at_once(gdn_pool *p, const gdn_run_options *o, const gdn_backend *backend)
{
    int at_once = p->n < p->all_jobs ? (p->n * p->jobs + p->all_jobs - 1) / p->all_jobs : p->jobs;
    for (int i = 0; i < p->count; i++) {
        p->tasks[i].cost /= 1e6;
        p->tasks[i].block = o->block ? o->block : backend->block;
        p->tasks[i].threads = at_once > 0 ? (p->jobs + at_once - 1) / at_once : 1;
    }
    return backend->memory ? plan_memory(p, backend, o->block > 0, at_once) : at_once;
}

static gdn_status finish(const gdn_experiment *e, gdn_pool *p, const gdn_run_options *o, gdn_run_result *r,
                         gdn_error *err)
{
    int count = p->count;
    const char **ids = gdn_calloc((size_t)count, sizeof *ids);
    if (!ids)
        return gdn_no_memory(err, "the list of tasks");
    for (int i = 0; i < count; i++)
        ids[i] = p->tasks[i].id;
    r->certify_share = p->seconds > 0 ? p->certify_seconds / p->seconds : 0;
    gdn_run_facts facts = {.command = o->command,
                           .backend = r->backend,
                           .device = r->about,
                           .jobs = o->jobs,
                           .max_length = o->max_length,
                           .tasks_run = p->n,
                           .seconds = r->seconds,
                           .certify_share = r->certify_share,
                           .shard = o->shard,
                           .ranks = gdn_ranks_here()->size};
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    gdn_status status = gdn_finish(e, p->store, r->directory, ids, count, &facts, err);
    r->below = facts.below;
    r->export_seconds = facts.export_seconds = o->shard.count ? 0 : gdn_seconds_since(&start);
    if (!status)
        status = gdn_manifest_write(e, r->directory, &facts, err);
    json_decref(facts.origins);
    free(ids);
    return status;
}

/* DIR/<experiment>, and below it the shard's. */
static gdn_status name_directory(const gdn_experiment *e, const gdn_run_options *o, gdn_run_result *r,
                                 gdn_error *err)
{
    char below[64] = "";
    snprintf(r->name, sizeof r->name, "%s", e->file->experiment);
    if (o->shard.count)
        snprintf(below, sizeof below, "/shard-%d-of-%d", o->shard.index, o->shard.count);
    if (snprintf(r->directory, sizeof r->directory, "%s/%s%s", o->results, r->name, below) >=
        (int)sizeof r->directory)
        return gdn_fail(err, GDN_BAD_INPUT, "%.80s...: the path is too long", o->results);
    return GDN_OK;
}

gdn_status gdn_run_prepare(const char *path, const gdn_run_options *o, const gdn_backend **backend,
                           gdn_experiment **e, gdn_pool *p, gdn_run_result *r, gdn_error *err)
{
    const gdn_ranks *here = gdn_ranks_here();
    int devices = o->device < 0 && here->size > 1 ? gdn_backend_devices() : 0;
    int device = devices ? here->local % devices : o->device > 0 ? o->device : 0;
    gdn_status status = gdn_backend_choose(o->backend, device, backend, r->about, sizeof r->about, err);
    r->backend = (*backend)->name;
    p->place = gdn_backend_place(*backend);
    if (!status)
        status = gdn_inputs_init(err);
    if (!status)
        status = gdn_experiment_load(path, e, err);
    if (!status)
        status = gdn_experiment_limit(*e, o->first_seed, o->seeds, o->max_length, err);
    if (!status)
        status = gdn_tasks_make(*e, *backend, &p->tasks, &p->count, err);
    for (int i = 0; i < p->count && !status; i++)
        status = gdn_task_fits(&p->tasks[i], err);
    if (!status)
        status = name_directory(*e, o, r, err);
    if (!status)
        status = gdn_shard_keep(&o->shard, p->tasks, &p->count, err);
    if (!status && !(p->todo = gdn_calloc((size_t)p->count, sizeof *p->todo)))
        status = gdn_no_memory(err, "the list of tasks");
    return status;
}

/* A store is read from end to end before the first line: say so where that takes a while. */
static void announce_check(const char *store, const gdn_run_options *o)
{
    struct stat st;
    double long_for = isatty(STDERR_FILENO) ? 1e7 : 1e8; /* bytes */
    if (!o->quiet && stat(store, &st) == 0 && (double)st.st_size > long_for)
        fprintf(stderr, "%s: checking the store (%.1f GB)\n", store, 1e-9 * (double)st.st_size);
}

/* On rank 0: the store, and what is missing from it. The lock comes first: a store that another one is about
 * to put there is not to be in its way. */
static gdn_status open_store(gdn_pool *p, const gdn_run_options *o, const gdn_run_result *r, gdn_lock *lock,
                             gdn_error *err)
{
    char store[4200];
    int taken = 0;
    gdn_strangers others;
    gdn_status status = gdn_make_directory(r->directory, err);
    snprintf(store, sizeof store, "%s/store.db", r->directory);
    if (!status)
        status = gdn_lock_take(lock, store, err);
    if (!status)
        status = gdn_store_open(store, &p->store, err);
    if (!status)
        announce_check(store, o);
    if (!status)
        status = gdn_store_mend(p->store, &taken, err);
    if (!status && taken)
        fprintf(stderr, "%s: %d task%s there no longer gave the checksum kept of it: run again\n", store,
                taken, taken == 1 ? "" : "s");
    if (!status)
        status = gdn_run_missing(p, &others, err);
    if (!status && others.n)
        fprintf(stderr,
                "%s: %d of the tasks done already were made by another gdnprec (%s); manifest.json tells\n",
                r->name, others.n, others.program);
    return status;
}

static void announce(const gdn_pool *p, const gdn_run_options *o, const gdn_run_result *r)
{
    int ranks = gdn_ranks_here()->size;
    char shared[48] = "";
    if (ranks > 1)
        snprintf(shared, sizeof shared, " on %d ranks", ranks);
    if (!o->quiet)
        fprintf(stderr, "%s: %d tasks, %d of them done already, %d thread%s%s%s%s\n", r->name, p->count,
                p->count - p->n, p->all_jobs, p->all_jobs == 1 ? "" : "s", shared, *r->about ? ", " : "",
                r->about);
}

static gdn_status run_tasks(gdn_pool *p, const gdn_backend *backend, const gdn_run_options *o,
                            const gdn_run_result *r, gdn_error *err)
{
    double work = 0;
    bool first = gdn_ranks_here()->rank == 0;
    gdn_pool_watch();
    if (first)
        announce(p, o, r);
    for (int i = 0; i < p->n; i++)
        work += p->tasks[p->todo[i]].cost;
    gdn_progress_start(&p->progress, r->name, work / 1e6, "M element-steps", o->quiet || !first);
    gdn_status status = gdn_pool_run(p, gdn_run_at_once(p, o, backend));
    gdn_pool_unwatch(); /* the store has all; of the files each appears whole or not at all */
    if (gdn_pool_interrupted())
        status = gdn_fail(err, GDN_MACHINE, "%s: interrupted; finished tasks are kept, run again to resume",
                          r->name);
    else if (!status && first && p->committed != p->n)
        status = gdn_fail(err, GDN_MACHINE, "%s: %d of %d tasks are missing; run again to resume", r->name,
                          p->n - p->committed, p->n);
    return status;
}

gdn_status gdn_run(const char *path, const gdn_run_options *o, gdn_run_result *r, gdn_error *err)
{
    const gdn_ranks *here = gdn_ranks_here();
    gdn_experiment *e = NULL;
    gdn_lock lock = {.fd = -1};
    gdn_pool p = {.jobs = o->jobs, .err = err, .origin = gdn_origin_here()};
    char shard[32] = "";
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    omp_set_max_active_levels(2); /* tasks, and where cores are left the witness of a task */
    omp_set_num_threads(o->jobs); /* engines that spread over threads take no more either */
    const gdn_backend *backend = &gdn_backend_cpu;
    gdn_status status = gdn_run_prepare(path, o, &backend, &e, &p, r, err);
    if (o->shard.count)
        snprintf(shard, sizeof shard, "%d/%d", o->shard.index, o->shard.count);
    p.origin.backend = r->backend;
    p.origin.device = r->about;
    p.origin.shard = shard;
    if (!status && here->rank == 0)
        status = open_store(&p, o, r, &lock, err);
    status = gdn_pool_meet(&p, status, err);
    if (!status) {
        status = run_tasks(&p, backend, o, r, err);
        omp_set_num_threads(o->jobs * here->local_size); /* the other ranks sleep */
    }
    r->tasks = p.count;
    r->tasks_run = p.n;
    r->seconds = gdn_seconds_since(&start);
    if (!status && here->rank == 0)
        status = finish(e, &p, o, r, err);
    gdn_error second;
    gdn_status closed = gdn_store_close(p.store, &second);
    if (!status && closed) {
        *err = second;
        status = closed;
    }
    gdn_lock_release(&lock);
    status = gdn_pool_part(&p, status, err);
    free(p.todo);
    free(p.tasks);
    gdn_experiment_free(e);
    return status;
}
