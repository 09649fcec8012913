/* SPDX-License-Identifier: Apache-2.0 */
/* dry_run -- what a run would take; see dry_run.h. */
#include "harness/dry_run.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "harness/cost.h"
#include "harness/origin.h"
#include "harness/probe.h"
#include "harness/progress.h"
#include "harness/ranks.h"
#include "harness/run_parts.h"

/* Seconds that all calibrations together may take, and one of them at least and at most. */
static const double CALIBRATION = 8, LEAST = 0.1, MOST = 3;

/* Populations whose tasks cost alike are calibrated by the first of them. */
typedef struct kind {
    const gdn_task *task;
    gdn_rates rates;
} kind;

typedef struct estimate {
    gdn_dry_run *d;
    gdn_pool *p;
    kind *kinds; /* [count] */
    int count, workers;
    double *seconds; /* [p->n] of each task that is to be run */
    gdn_row_cost row;
} estimate;

static kind *kind_of(const estimate *x, const gdn_task *t)
{
    for (int i = 0; i < x->count; i++)
        if (gdn_task_alike(x->kinds[i].task, t))
            return &x->kinds[i];
    return NULL;
}

static double peak_memory(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return 1024.0 * (double)used.ru_maxrss;
}

/* The rates of all kinds of tasks. */
static gdn_status calibrate(estimate *x, int at_once, gdn_error *err)
{
    gdn_status status = GDN_OK;
    x->kinds = gdn_calloc((size_t)x->p->n, sizeof *x->kinds);
    if (!x->kinds)
        return gdn_no_memory(err, "kinds of tasks");
    for (int i = 0; i < x->p->n; i++) {
        const gdn_task *t = &x->p->tasks[x->p->todo[i]];
        if (!kind_of(x, t))
            x->kinds[x->count++].task = t;
    }
    double each = x->count ? fmin(fmax(CALIBRATION / x->count, LEAST), MOST) : 0;
    for (int i = 0; i < x->count && !status; i++)
        status = gdn_cost_calibrate(x->kinds[i].task, at_once, each, &x->kinds[i].rates, err);
    return status;
}

/* Sizes of all tasks; seeds of a population have equal ones. groups: lines of summary.csv. */
static gdn_status measure(const estimate *x, gdn_task_size *all, double *largest, double *groups,
                          gdn_error *err)
{
    gdn_status status = GDN_OK;
    gdn_task_size size = {0};
    *all = (gdn_task_size){0};
    *largest = *groups = 0;
    for (int i = 0; i < x->p->count && !status; i++) {
        const gdn_task *t = &x->p->tasks[i];
        if (i == 0 || t->population != t[-1].population) {
            status = gdn_task_measure(t, &size, err);
            *groups += (double)size.groups;
        }
        all->rows += size.rows;
        all->last += size.last;
        all->stored += size.stored;
        all->written += size.written;
        *largest = fmax(*largest, (double)size.rows);
    }
    return status;
}

/* Seconds of each task that is to be run, and of all on the threads there are. */
static gdn_status time_tasks(estimate *x, gdn_error *err)
{
    double commits = 0;
    gdn_status status = GDN_OK;
    gdn_task_size size = {0};
    x->seconds = gdn_calloc((size_t)x->p->n, sizeof *x->seconds);
    if (!x->seconds)
        return gdn_no_memory(err, "times of tasks");
    for (int i = 0; i < x->p->n && !status; i++) {
        const gdn_task *t = &x->p->tasks[x->p->todo[i]];
        gdn_lap work = {0};
        const kind *k = kind_of(x, t);
        if (i == 0 || t->population != x->p->tasks[x->p->todo[i - 1]].population)
            status = gdn_task_measure(t, &size, err);
        if (!status)
            status = gdn_task_work(t, &work, err);
        x->seconds[i] =
            gdn_rates_seconds(&k->rates, &work) + (double)size.rows * (x->row.made + x->row.committed);
        x->d->cpu_seconds += x->seconds[i] * k->rates.cpu;
        commits += (double)size.rows * x->row.committed;
    }
    x->d->task_seconds = fmax(gdn_cost_schedule(x->seconds, x->p->n, x->workers), commits);
    return status;
}

/* Probes are quick, and nothing tells their time but running them: elsewhere, and what they write is removed.
 */
static gdn_status time_probes(const gdn_experiment *e, double *seconds, gdn_error *err)
{
    char directory[256], file[300];
    const char *tmp = getenv("TMPDIR");
    struct timespec start;
    *seconds = 0;
    if (!e->file->probes_count)
        return GDN_OK;
    snprintf(directory, sizeof directory, "%.200s/gdnprec_dry_XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(directory))
        return gdn_fail(err, GDN_MACHINE, "%s: cannot make the directory: %s (TMPDIR names another place)",
                        directory, strerror(errno));
    clock_gettime(CLOCK_MONOTONIC, &start);
    gdn_status status = gdn_probes_run(e, directory, err);
    *seconds = gdn_seconds_since(&start);
    snprintf(file, sizeof file, "%s/probes.csv", directory);
    unlink(file);
    rmdir(directory);
    return status;
}

/* The store of an earlier run, where there is one. */
static gdn_status open_store(gdn_pool *p, const gdn_run_result *r, gdn_error *err)
{
    char store[4200];
    snprintf(store, sizeof store, "%s/store.db", r->directory);
    return access(store, F_OK) == 0 ? gdn_store_read(store, &p->store, err) : GDN_OK;
}

static gdn_status estimate_all(estimate *x, const gdn_experiment *e, const gdn_run_options *o,
                               const gdn_backend *backend, gdn_error *err)
{
    gdn_dry_run *d = x->d;
    gdn_pool *p = x->p;
    gdn_task_size all;
    double largest, groups, probes = 0, gpu = 0, memory = 0, base = peak_memory();
    int at_once = gdn_run_at_once(p, o, backend);
    x->row = gdn_cost_rows();
    x->workers = at_once * d->ranks < p->n ? at_once * d->ranks : p->n;
    gdn_status status = calibrate(x, at_once < p->n ? at_once : p->n, err);
    for (int i = 0; i < x->count; i++)
        memory = fmax(memory, x->kinds[i].rates.bytes);
    d->host = base + memory * x->workers / d->ranks;
    if (!status)
        status = measure(x, &all, &largest, &groups, err);
    if (!status)
        status = time_tasks(x, err);
    if (!status && !o->shard.count)
        status = time_probes(e, &probes, err);
    if (status)
        return status;
    for (int i = 0; i < p->n && backend->memory; i++)
        gpu = fmax(gpu, gdn_task_bytes(&p->tasks[p->todo[i]]));
    d->device = gpu * at_once;
    d->rows = all.rows;
    d->store = all.stored + 40960;
    /* a task's rows wait in memory until they are committed, in a file beside the store until that is closed
     */
    d->host += p->n ? largest * (double)sizeof(gdn_row) * (at_once < p->n ? at_once : p->n) : 0;
    d->temporary = p->n ? fmax(largest / fmax((double)all.rows, 1) * all.stored, 4e6) : 0;
    if (o->shard.count)
        return GDN_OK;
    gdn_export_cost files =
        gdn_cost_export(&all, groups, e->file->seeds, o->jobs * gdn_ranks_here()->local_size, &x->row);
    d->file_seconds = files.seconds + probes;
    d->files = files.files;
    d->host = fmax(d->host, files.host + 12e6);
    d->temporary = fmax(d->temporary, files.spill);
    return GDN_OK;
}

gdn_status gdn_run_dry(const char *path, const gdn_run_options *o, gdn_dry_run *d, gdn_error *err)
{
    const gdn_ranks *here = gdn_ranks_here();
    gdn_experiment *e = NULL;
    gdn_run_result r = {.tasks = 0};
    gdn_pool p = {.jobs = o->jobs, .all_jobs = o->jobs * here->size, .err = err, .origin = gdn_origin_here()};
    gdn_strangers others;
    estimate x = {.d = d, .p = &p};
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    omp_set_max_active_levels(2);
    omp_set_num_threads(o->jobs);
    *d = (gdn_dry_run){.ranks = here->size, .threads = p.all_jobs};
    const gdn_backend *backend = &gdn_backend_cpu;
    gdn_status status = gdn_run_prepare(path, o, &backend, &e, &p, &r, err);
    p.sharing = gdn_ranks_alike(p.place); /* all ranks, whatever their status */
    double prepared = gdn_seconds_since(&start);
    if (!status)
        status = open_store(&p, &r, err);
    if (!status)
        status = gdn_run_missing(&p, &others, err);
    status = gdn_ranks_agree(status, true,
                             err); /* all ranks measure at once, as they will run: they share cores */
    if (!status)
        status = estimate_all(&x, e, o, backend, err);
    snprintf(d->name, sizeof d->name, "%s", r.name);
    d->backend = r.backend;
    d->tasks = p.count;
    d->done = p.count - p.n;
    d->seconds = prepared + d->task_seconds + d->file_seconds;
    d->calibration = gdn_seconds_since(&start);
    gdn_error ignored;
    gdn_store_close(p.store, &ignored);
    free(x.kinds);
    free(x.seconds);
    free(p.todo);
    free(p.tasks);
    gdn_experiment_free(e);
    return status;
}

/* ---- printing ---- */

static const char *bytes(double x, char *out, size_t size)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB"};
    int u = 0;
    for (x /= 1e3; x >= 999.5 && u < 3; u++)
        x /= 1e3;
    snprintf(out, size, x < 9.95 ? "%.1f %s" : "%.0f %s", x, units[u]);
    return out;
}

static gdn_status print_json(const gdn_dry_run *d, FILE *to, gdn_error *err)
{
    json_t *o = json_pack("{s:s, s:b, s:s, s:i, s:i, s:i, s:i, s:I, s:f, s:f, s:f, s:f}", "experiment",
                          d->name, "dry_run", 1, "backend", d->backend, "ranks", d->ranks, "threads",
                          d->threads, "tasks", d->tasks, "tasks_done", d->done, "rows", (json_int_t)d->rows,
                          "seconds", d->seconds, "task_seconds", d->task_seconds, "file_seconds",
                          d->file_seconds, "cpu_seconds", d->cpu_seconds);
    const struct {
        const char *name;
        double x;
    } sizes[] = {{"host_bytes", d->host}, {"device_bytes", d->device},       {"store_bytes", d->store},
                 {"csv_bytes", d->files}, {"temporary_bytes", d->temporary}, {NULL, 0}};
    int failed = !o;
    for (int i = 0; sizes[i].name && !failed; i++)
        failed = json_object_set_new(o, sizes[i].name, json_integer((json_int_t)sizes[i].x));
    failed = failed || json_object_set_new(o, "calibration_seconds", json_real(d->calibration)) ||
             json_dumpf(o, to, JSON_COMPACT);
    fprintf(to, "\n");
    json_decref(o);
    return failed ? gdn_no_memory(err, "the forecast as JSON") : GDN_OK;
}

gdn_status gdn_dry_run_print(const gdn_dry_run *d, bool json, FILE *to, gdn_error *err)
{
    char a[32], b[32], c[32];
    if (json)
        return print_json(d, to, err);
    fprintf(to, "%s, if it were run on %d thread%s", d->name, d->threads, d->threads == 1 ? "" : "s");
    if (d->ranks > 1)
        fprintf(to, " of %d ranks", d->ranks);
    fprintf(to, " (%s):\n", d->backend);
    fprintf(to, "  tasks   %d, %d of them done already\n", d->tasks, d->done);
    fprintf(to, "  rows    %" PRId64 "\n", d->rows);
    fprintf(to, "  time    %s: tasks %s, files %s\n", gdn_duration(d->seconds, a, sizeof a),
            gdn_duration(d->task_seconds, b, sizeof b), gdn_duration(d->file_seconds, c, sizeof c));
    const double machine = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    fprintf(to, "  memory  %s%s of this machine's %s", bytes(d->host, a, sizeof a),
            d->ranks > 1 ? " a rank" : "", bytes(machine, b, sizeof b));
    if (d->device > 0)
        fprintf(to, ", %s of the GPU's", bytes(d->device, b, sizeof b));
    fprintf(to, "\n  disk    store.db %s, CSV files %s, temporary files %s\n", bytes(d->store, a, sizeof a),
            bytes(d->files, b, sizeof b), bytes(d->temporary, c, sizeof c));
    return GDN_OK;
}
