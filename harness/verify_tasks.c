/* SPDX-License-Identifier: Apache-2.0 */
/* verify_tasks -- tasks of committed results, run again on this CPU; see verify.h. */
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/backend.h"
#include "harness/commands.h"
#include "harness/outfile.h"
#include "harness/probe.h"
#include "harness/stats.h"
#include "harness/table.h"
#include "harness/verify_parts.h"

/* Tasks of up to so many element-steps run over their whole length: 10 to 20 s on a core. */
static const double WHOLE = 4e10;

/*
 * Two arithmetics of the same formats agree where their intervals lie within this factor of each other: units
 * that cut a sum off instead of rounding it make errors uniform in [0, 2u] instead of [-u, u], whose root
 * mean square is twice as large (Fasi, Higham, Mikaitis and Pranesh 2021, on tensor cores).
 */
static const double NEAR = 2;

/* Medians of fewer values are not compared: their bootstrap interval is too narrow. */
enum { MEDIAN_OF = 6 };

/* A native row's number, and what its median is told apart by in summary.csv. */
typedef struct native {
    char key[400]; /* profile,population,quantity,kind,from,to */
    double rel_l2;
    int64_t seed;
} native;

/* One folder at work. */
typedef struct gdn_work {
    gdn_verifier *v;
    gdn_folder *f;
    bool cpu;                        /* the results are a CPU's: all rows are the same here */
    gdn_experiment *whole, *shorter; /* the experiment, and on its first GDN_SHORT tokens */
    gdn_task *whole_task, *short_task;
    int tasks;
    native *native; /* [natives] */
    size_t natives, room;
    gdn_again again; /* open where all tasks run whole */
} work;

/* ---- the experiment as it was ---- */

/* Where files that it names lie beside: the path it was run from, or else the one of this program's
 * experiments. */
static void home_of(const gdn_folder *f, char *path, size_t size)
{
    char share[4096];
    const char *given =
        json_string_value(json_object_get(json_object_get(f->manifest, "experiment"), "file"));
    given = given ? given : "experiment.yaml";
    snprintf(path, size, "%s", given);
    if (access(path, F_OK) != 0)
        snprintf(path, size, "%s/experiments/%s", gdn_share(share, sizeof share),
                 strrchr(given, '/') ? strrchr(given, '/') + 1 : given);
}

static gdn_status load(const gdn_folder *f, gdn_experiment **out, gdn_error *err)
{
    char path[4200];
    const char *text = json_string_value(json_object_get(json_object_get(f->manifest, "experiment"), "text"));
    if (!text)
        return gdn_fail(err, GDN_BAD_INPUT, "%.400s/manifest.json: experiment: text: there is none", f->path);
    home_of(f, path, sizeof path);
    long longest = (long)json_integer_value(json_object_get(f->manifest, "max_length"));
    const json_t *seeds = json_object_get(f->manifest, "seeds");
    json_int_t first = json_integer_value(json_array_get(seeds, 0));
    if (first < 1 || first > 1000000000 || json_array_size(seeds) > 100000)
        return gdn_fail(err, GDN_BAD_INPUT, "%.400s/manifest.json: seeds: they are no seeds of a run",
                        f->path);
    gdn_status status = gdn_experiment_load_text(path, text, out, err);
    if (!status)
        status = gdn_experiment_limit(*out, (int)first, (int)json_array_size(seeds), longest, err);
    return status;
}

/* Lengths up to GDN_SHORT, and that one. x: [*n] ascending */
static void cut(double *x, unsigned *n)
{
    for (unsigned i = 0; i < *n; i++)
        if (x[i] >= GDN_SHORT) {
            x[i] = GDN_SHORT;
            *n = i + 1;
        }
}

/* Packed sequences and files have a length of their own, and layers of a checkpoint the lengths of all. */
static bool can_be_cut(const gdn_population *p)
{
    return !p->file && !p->sequences_count && !p->checkpoint;
}

/* Populations get lengths of their own: packed ones and files among them stay as they are. */
static gdn_status shorten(gdn_experiment *e, gdn_error *err)
{
    for (unsigned i = 0; i < e->file->populations_count; i++) {
        gdn_population *p = &e->file->populations[i];
        if (!can_be_cut(p))
            continue;
        if (!p->lengths) {
            size_t bytes = e->file->lengths_count * sizeof *p->lengths;
            if (!(p->lengths = malloc(bytes)))
                return gdn_no_memory(err, "lengths");
            memcpy(p->lengths, e->file->lengths, bytes);
            p->lengths_count = e->file->lengths_count;
        }
        cut(p->lengths, &p->lengths_count);
    }
    return GDN_OK;
}

static gdn_status open_work(work *w, gdn_error *err)
{
    int tasks;
    gdn_status status = load(w->f, &w->whole, err);
    if (!status)
        status = gdn_tasks_make(w->whole, &gdn_backend_cpu, &w->whole_task, &w->tasks, err);
    if (!status)
        status = load(w->f, &w->shorter, err);
    if (!status)
        status = shorten(w->shorter, err);
    if (!status)
        status = gdn_tasks_make(w->shorter, &gdn_backend_cpu, &w->short_task, &tasks, err);
    return status;
}

void gdn_verify_close(gdn_folder *f)
{
    work *w = f->work;
    if (!w)
        return;
    free(w->whole_task);
    free(w->short_task);
    gdn_experiment_free(w->whole);
    gdn_experiment_free(w->shorter);
    free(w->native);
    free(w);
    f->work = NULL;
}

/* ---- native rows ---- */

static gdn_status keep_native(work *w, const gdn_rows *rows, gdn_error *err)
{
    for (int64_t i = 0; !w->cpu && i < rows->count; i++) {
        const gdn_row *r = &rows->row[i];
        if (gdn_covered(GDN_COVER_PORTABLE, r) || !(r->rel_l2 > 0))
            continue;
        if (w->natives == w->room) {
            size_t room = w->room ? 2 * w->room : 4096;
            native *grown = realloc(w->native, room * sizeof *grown);
            if (!grown)
                return gdn_no_memory(err, "native rows");
            w->native = grown;
            w->room = room;
        }
        native *n = &w->native[w->natives++];
        snprintf(n->key, sizeof n->key, "%s,%s,%s,%s,%" PRId64 ",%" PRId64, r->profile, r->population,
                 r->quantity, r->kind, r->from, r->to);
        n->rel_l2 = r->rel_l2;
        n->seed = r->seed;
    }
    return GDN_OK;
}

static int by_key(const void *a, const void *b)
{
    const native *x = a, *y = b;
    int c = strcmp(x->key, y->key);
    return c ? c : (x->rel_l2 > y->rel_l2) - (x->rel_l2 < y->rel_l2);
}

bool gdn_verify_near(gdn_interval x, gdn_interval y)
{
    return x.lo <= NEAR * y.hi && y.lo <= NEAR * x.hi;
}

/* The interval of one line of summary.csv beside that of the rows here. */
static gdn_status compare_median(work *w, const char *key, gdn_interval there, gdn_error *err)
{
    size_t first = 0, last = w->natives, n = 0;
    while (first < last) { /* the first row with this key */
        size_t middle = (first + last) / 2;
        if (strcmp(w->native[middle].key, key) < 0)
            first = middle + 1;
        else
            last = middle;
    }
    while (first + n < w->natives && strcmp(w->native[first + n].key, key) == 0)
        n++;
    if (n < MEDIAN_OF || isnan(there.median))
        return GDN_OK;
    gdn_drawn *x = gdn_calloc(n, sizeof *x);
    if (!x)
        return gdn_no_memory(err, "a median");
    for (size_t i = 0; i < n; i++)
        x[i] = (gdn_drawn){w->native[first + i].rel_l2, w->native[first + i].seed};
    gdn_interval here;
    gdn_status status = gdn_median_interval(x, n, &here, err);
    free(x);
    if (status)
        return status;
    w->v->counts->medians++;
    w->v->counts->apart += here.lo > there.hi || here.hi < there.lo;
    if (!gdn_verify_near(here, there))
        gdn_verify_differs(w->v, w->f,
                           "summary.csv: %s: median %.4g [%.4g, %.4g], here %.4g [%.4g, %.4g] of %zu", key,
                           there.median, there.lo, there.hi, here.median, here.lo, here.hi, n);
    return GDN_OK;
}

static gdn_status compare_medians(work *w, gdn_error *err)
{
    enum { PROFILE, MODE, POPULATION, QUANTITY, KIND, FROM, TO, MEDIAN, LO, HI, FIELDS };
    static const char *const names[FIELDS] = {"profile", "mode", "population", "quantity", "kind",
                                              "from",    "to",   "median",     "lo",       "hi"};
    char path[4200];
    size_t column[FIELDS];
    gdn_table *t = NULL;
    if (!w->natives)
        return GDN_OK;
    qsort(w->native, w->natives, sizeof *w->native, by_key);
    snprintf(path, sizeof path, "%s/summary.csv", w->f->path);
    gdn_status status = gdn_table_read(path, &t, err);
    for (int i = 0; i < FIELDS && !status; i++)
        status = gdn_table_find(t, names[i], &column[i], err);
    for (size_t r = 0; !status && r < gdn_table_rows(t); r++) {
        char key[400];
        gdn_interval there;
        if (strcmp(gdn_table_text(t, r, column[MODE]), "native-cuda") != 0)
            continue;
        snprintf(key, sizeof key, "%s,%s,%s,%s,%s,%s", gdn_table_text(t, r, column[PROFILE]),
                 gdn_table_text(t, r, column[POPULATION]), gdn_table_text(t, r, column[QUANTITY]),
                 gdn_table_text(t, r, column[KIND]), gdn_table_text(t, r, column[FROM]),
                 gdn_table_text(t, r, column[TO]));
        if ((status = gdn_table_number(t, r, column[MEDIAN], &there.median, err)) ||
            (status = gdn_table_number(t, r, column[LO], &there.lo, err)) ||
            (status = gdn_table_number(t, r, column[HI], &there.hi, err)))
            break;
        status = compare_median(w, key, there, err);
    }
    gdn_table_free(t);
    return status;
}

/* ---- tasks ---- */

/* The committed task among those that the experiment makes; -1: none. */
static int find(const work *w, const gdn_committed *c)
{
    for (int i = 0; i < w->tasks; i++)
        if ((int64_t)w->whole_task[i].seed == c->seed &&
            strcmp(w->whole->file->populations[w->whole_task[i].population].name, c->population) == 0)
            return i;
    return -1;
}

/* One chosen task: which of the two, and what of its rows is compared. */
typedef struct job {
    const gdn_committed *committed;
    gdn_task task;
    gdn_cover cover;
    bool whole;
} job;

/* The job of a committed task; false: the experiment has none such. */
static bool plan(const work *w, const gdn_committed *c, job *j)
{
    int i = find(w, c);
    if (i < 0)
        return false;
    const gdn_task *whole = &w->whole_task[i];
    gdn_extent extent = w->v->o->extent;
    j->committed = c;
    j->whole = extent == GDN_EXTENT_WHOLE || (extent == GDN_EXTENT_FITTING && whole->cost <= WHOLE) ||
               !can_be_cut(&w->whole->file->populations[whole->population]);
    j->task = j->whole ? *whole : w->short_task[i];
    j->cover = !j->whole ? GDN_COVER_SHORT : w->cpu ? GDN_COVER_ALL : GDN_COVER_PORTABLE;
    return true;
}

bool gdn_verify_can(gdn_folder *f, int64_t i, const char **why)
{
    static const char *const old[GDN_COVERS] = {
        [GDN_COVER_ALL] = "tasks.csv has no checksum",
        [GDN_COVER_PORTABLE] = "tasks.csv has no portable_checksum: an older program wrote it",
        [GDN_COVER_SHORT] = "tasks.csv has no short_checksum: an older program wrote it"};
    job j;
    *why = f->why.text;
    if (!f->work)
        return false;
    if (!plan(f->work, &f->task[i], &j)) /* a difference, which is told when its turn comes */
        return true;
    *why = old[j.cover];
    return f->task[i].sum[j.cover].sum[0];
}

static gdn_status compare(work *w, const job *j, const gdn_rows *rows, gdn_error *err)
{
    gdn_checksum here[GDN_COVERS];
    const gdn_checksum *there = &j->committed->sum[j->cover], *x = &here[j->cover];
    gdn_status status = gdn_rows_checksum(rows->row, rows->count, here, err);
    if (status)
        return status;
    w->v->counts->tasks++;
    w->v->counts->whole += j->whole;
    w->v->counts->rows += x->rows;
    if (x->rows != there->rows || strcmp(x->sum, there->sum) != 0)
        gdn_verify_differs(
            w->v, w->f, "task %s, seed %" PRId64 "%s: %" PRId64 "%s rows, checksum %s; here %" PRId64 ", %s",
            j->committed->population, j->committed->seed, j->whole ? "" : ", to token 1,023", there->rows,
            j->cover == GDN_COVER_ALL ? "" : " portable", there->sum, x->rows, x->sum);
    return keep_native(w, rows, err);
}

static int go_on(void *context, double share)
{
    (void)context;
    (void)share;
    return 0;
}

static gdn_status run_jobs(work *w, job *jobs, int n, gdn_error *err)
{
    int threads = w->v->o->jobs > 1 ? w->v->o->jobs : 1;
    gdn_status status = GDN_OK;
#pragma omp parallel for num_threads(n > threads ? threads : n > 1 ? n : 1) schedule(dynamic, 1) if (n > 1)
    for (int i = 0; i < n; i++) {
        gdn_rows rows = {0};
        gdn_error own = {""};
        bool stop;
#pragma omp critical(gdn_verify)
        stop = status != GDN_OK;
        if (stop)
            continue;
        jobs[i].task.threads = n < threads ? (threads + n - 1) / n : 1;
        omp_set_num_threads(jobs[i].task.threads);
        gdn_status mine = gdn_task_run(&jobs[i].task, go_on, NULL, &rows, &own);
#pragma omp critical(gdn_verify)
        {
            if (!mine)
                mine = compare(w, &jobs[i], &rows, &own);
            if (!mine && w->again.store)
                mine = gdn_again_take(&w->again, &jobs[i].task, &rows, &own);
            if (!mine && !w->v->o->quiet)
                fprintf(stderr, "%s: %s, seed %" PRId64 "%s\n", w->f->name, jobs[i].committed->population,
                        jobs[i].committed->seed, jobs[i].whole ? "" : ", its first 1,023 tokens");
            if (mine && !status) {
                status = mine;
                *err = own;
            }
        }
        gdn_rows_free(&rows);
    }
    omp_set_num_threads(threads);
    return status;
}

static gdn_status run_chosen(work *w, gdn_error *err)
{
    job *jobs = gdn_calloc((size_t)w->f->tasks + 1, sizeof *jobs);
    int n = 0;
    bool complete = w->cpu && w->f->tasks == w->tasks;
    if (!jobs)
        return gdn_no_memory(err, "a list of tasks");
    for (int64_t i = 0; i < w->f->tasks; i++) {
        const gdn_committed *c = &w->f->task[i];
        if (c->chosen && !plan(w, c, &jobs[n]))
            gdn_verify_differs(w->v, w->f,
                               "task %s, seed %" PRId64 ": the experiment in manifest.json has none such",
                               c->population, c->seed);
        else
            n += c->chosen;
    }
    for (int i = 0; i < n; i++)
        complete &= jobs[i].whole;
    gdn_status status = complete && n == w->tasks ? gdn_again_open(&w->again, err) : GDN_OK;
    if (!status)
        status = run_jobs(w, jobs, n, err);
    if (!status && w->again.store)
        status = gdn_again_compare(&w->again, w->v, w->f, w->whole_task, w->tasks, err);
    gdn_again_close(&w->again);
    free(jobs);
    return status ? status : compare_medians(w, err);
}

/* ---- probes ---- */

static gdn_status run_probes(gdn_verifier *v, const gdn_folder *f, const gdn_experiment *e, gdn_error *err)
{
    char directory[4096], path[PATH_MAX + 16], sum[65] = "";
    const char *want =
        json_string_value(json_object_get(json_object_get(f->manifest, "files"), "probes.csv"));
    if (!want || !e->file->probes_count)
        return GDN_OK;
    gdn_status status = gdn_verify_scratch(directory, sizeof directory, err);
    if (status)
        return status;
    status = gdn_probes_run(e, directory, err);
    snprintf(path, sizeof path, "%s/probes.csv", directory);
    if (!status)
        status = gdn_file_sha256(path, sum, err);
    if (!status) {
        v->counts->probes++;
        if (strcmp(sum, want) != 0)
            gdn_verify_differs(v, f, "probes.csv: measured again it is another");
    }
    gdn_verify_remove(directory);
    return status;
}

/* ---- a folder ---- */

gdn_status gdn_verify_open(gdn_verifier *v, gdn_folder *f, gdn_error *err)
{
    const char *backend = json_string_value(json_object_get(f->manifest, "backend"));
    if (!(f->work = gdn_calloc(1, sizeof *f->work)))
        return gdn_no_memory(err, "an experiment");
    *f->work = (work){.v = v, .f = f, .cpu = backend && strcmp(backend, "cpu") == 0};
    gdn_status status = open_work(f->work, err);
    if (status != GDN_BAD_INPUT)
        return status;
    f->why = *err; /* arithmetic that only a GPU has, or a file that is not here */
    gdn_verify_close(f);
    return GDN_OK;
}

gdn_status gdn_verify_tasks(gdn_verifier *v, gdn_folder *f, gdn_error *err)
{
    bool chosen = false;
    for (int64_t i = 0; i < f->tasks; i++)
        chosen |= f->task[i].chosen;
    gdn_status status = f->work ? run_probes(v, f, f->work->whole, err) : GDN_OK;
    if (!status && chosen && f->work)
        status = run_chosen(f->work, err);
    gdn_verify_close(f);
    return status;
}
