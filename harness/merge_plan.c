/* SPDX-License-Identifier: Apache-2.0 */
/* merge_plan -- which stores are merged, and which tasks they should have; see merge_parts.h. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/backend.h"
#include "harness/commands.h"
#include "harness/json_file.h"
#include "harness/merge_parts.h"

enum { MOST_JOBS = 1000000000 }; /* of all manifests */

/* ---- the stores ---- */

static gdn_status add_source(gdn_merge_plan *p, const char *store, gdn_error *err)
{
    if (p->sources == p->room) {
        int room = p->room ? 2 * p->room : 16;
        gdn_merge_source *grown = realloc(p->source, (size_t)room * sizeof *grown);
        if (!grown)
            return gdn_no_memory(err, "a list of stores");
        p->source = grown;
        p->room = room;
    }
    gdn_merge_source *s = &p->source[p->sources++];
    *s = (gdn_merge_source){.store = strdup(store)};
    return s->store ? GDN_OK : gdn_no_memory(err, "a list of stores");
}

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int is_shard(const struct dirent *d)
{
    int i, n;
    char more;
    return sscanf(d->d_name, "shard-%d-of-%d%c", &i, &n, &more) == 2;
}

/* The stores of the shards below a directory. */
static gdn_status find_shards(gdn_merge_plan *p, const char *given, gdn_error *err)
{
    char path[PATH_MAX];
    struct dirent **name = NULL;
    int n = scandir(given, &name, is_shard, alphasort);
    gdn_status status = n >= 0 ? GDN_OK
                               : gdn_fail(err, GDN_BAD_INPUT, "merge: %.400s: cannot read the directory: %s",
                                          given, strerror(errno));
    for (int i = 0; i < n; i++) {
        if (snprintf(path, sizeof path, "%s/%s/store.db", given, name[i]->d_name) >= (int)sizeof path)
            status = gdn_fail(err, GDN_BAD_INPUT, "%.80s...: the path is too long", given);
        else if (!status && access(path, F_OK) == 0)
            status = add_source(p, path, err);
        free(name[i]);
    }
    free(name);
    return status;
}

/* A store, or DIR/store.db and DIR/shard-I-of-N/store.db, as far as they are there. */
static gdn_status find_stores(gdn_merge_plan *p, const char *given, gdn_error *err)
{
    char path[PATH_MAX];
    if (!is_directory(given))
        return access(given, F_OK) == 0
                   ? add_source(p, given, err)
                   : gdn_fail(err, GDN_BAD_INPUT, "merge: %.400s: there is no such file or directory", given);
    if (snprintf(path, sizeof path, "%s/store.db", given) >= (int)sizeof path - 32)
        return gdn_fail(err, GDN_BAD_INPUT, "%.80s...: the path is too long", given);
    int before = p->sources;
    gdn_status status = access(path, F_OK) == 0 ? add_source(p, path, err) : GDN_OK;
    if (!status)
        status = find_shards(p, given, err);
    if (!status && p->sources == before)
        status = gdn_fail(err, GDN_BAD_INPUT,
                          "merge: %.400s: there is no store.db in it, nor a shard-I-of-N with one", given);
    return status;
}

/* Seeds from low to high join those from *first to *last; 0: none. */
static void join(int *first, int *last, int low, int high)
{
    if (low && (!*first || low < *first))
        *first = low;
    if (high > *last)
        *last = high;
}

/* Open the store once: it is one, and the seeds of its tasks join those from *first to *last. Populations
 * from files have none; e: NULL where it is not known. */
static gdn_status read_seeds(const char *store, const gdn_experiment *e, int *first, int *last,
                             gdn_error *err)
{
    gdn_store *s = NULL;
    gdn_error ignored;
    gdn_status status = gdn_store_read(store, &s, err);
    for (unsigned i = 0; e && i < e->file->populations_count && !status; i++) {
        int low = 0, high = 0;
        if (!e->file->populations[i].file)
            status = gdn_store_seeds(s, e->file->populations[i].name, &low, &high, err);
        join(first, last, low, high);
    }
    gdn_store_close(s, &ignored);
    return status;
}

/* manifest.json beside the store; none where the shard has not run to its end. threads: of those before. */
static gdn_status read_manifest(gdn_merge_source *s, int threads, gdn_error *err)
{
    char path[PATH_MAX];
    const char *slash = strrchr(s->store, '/');
    int length = slash ? (int)(slash - s->store) + 1 : 0;
    if (snprintf(path, sizeof path, "%.*smanifest.json", length, s->store) >= (int)sizeof path)
        return gdn_fail(err, GDN_BAD_INPUT, "%.80s...: the path is too long", s->store);
    if (access(path, F_OK) != 0)
        return GDN_OK;
    gdn_status status = gdn_json_read(path, &s->manifest, err);
    if (status)
        return status;
    const json_t *e = json_object_get(s->manifest, "experiment"),
                 *seeds = json_object_get(s->manifest, "seeds");
    json_int_t first = json_integer_value(json_array_get(seeds, 0)),
               jobs = json_integer_value(json_object_get(s->manifest, "jobs"));
    if (!json_is_string(json_object_get(e, "text")) || !json_is_string(json_object_get(e, "file")))
        return gdn_fail(err, GDN_BAD_INPUT, "%.400s: experiment: a text and a file are wanted", path);
    if (first < 1 || first > 1000000000 || json_array_size(seeds) > 100000)
        return gdn_fail(err, GDN_BAD_INPUT, "%.400s: seeds: they are no seeds of a run", path);
    if (jobs < 1 || jobs > MOST_JOBS - threads)
        return gdn_fail(err, GDN_BAD_INPUT, "%.400s: jobs: they are no threads of a run", path);
    return GDN_OK;
}

/* ---- the experiment ---- */

static const char *text_of(const gdn_merge_source *s, const char *name)
{
    return json_string_value(json_object_get(json_object_get(s->manifest, "experiment"), name));
}

/* The first line in which two texts differ. */
static int line_apart(const char *x, const char *y)
{
    int line = 1;
    for (; *x && *x == *y; x++, y++)
        line += *x == '\n';
    return line;
}

/* One experiment, as far as the manifests tell. */
static gdn_status same_experiment(const gdn_merge_source *first, const gdn_merge_source *s, gdn_error *err)
{
    const char *x = text_of(first, "text"), *y = text_of(s, "text");
    if (strcmp(x, y) != 0)
        return gdn_fail(err, GDN_BAD_INPUT,
                        "merge: %.250s is of another experiment than %.250s: line %d of its text is another",
                        s->store, first->store, line_apart(x, y));
    long a = (long)json_integer_value(json_object_get(first->manifest, "max_length")),
         b = (long)json_integer_value(json_object_get(s->manifest, "max_length"));
    if (a != b)
        return gdn_fail(err, GDN_BAD_INPUT,
                        "merge: %.250s ran with --max-length %ld, %.250s with %ld (0: without)", s->store, b,
                        first->store, a);
    return GDN_OK;
}

/* Where files that the experiment names lie beside: the path it was run from, or else the one of this
 * program's experiments. */
static void home_of(const char *given, char *path, size_t size)
{
    char share[PATH_MAX];
    snprintf(path, size, "%s", given);
    if (access(path, F_OK) != 0)
        snprintf(path, size, "%s/experiments/%s", gdn_share(share, sizeof share),
                 strrchr(given, '/') ? strrchr(given, '/') + 1 : given);
}

static gdn_status load(gdn_merge_plan *p, const gdn_merge_source *first, gdn_error *err)
{
    char path[2 * PATH_MAX];
    home_of(text_of(first, "file"), path, sizeof path);
    return gdn_experiment_load_text(path, text_of(first, "text"), &p->experiment, err);
}

/* Its tasks of the seeds from..to. */
static gdn_status make_tasks(gdn_merge_plan *p, const gdn_merge_source *first, int from, int to,
                             gdn_error *err)
{
    if (to - from >= 100000)
        return gdn_fail(err, GDN_BAD_INPUT,
                        "merge: the stores and their manifests name seeds from %d to %d; at most 100000 are "
                        "allowed",
                        from, to);
    const gdn_backend *backend = gdn_backend_named(p->backend);
    if (!backend)
        return gdn_fail(err, GDN_BAD_INPUT, "merge: %.400s: its manifest.json names no backend",
                        first->store);
    gdn_status status = gdn_experiment_limit(p->experiment, from, to - from + 1, p->max_length, err);
    if (!status)
        status = gdn_tasks_make(p->experiment, backend, &p->task, &p->tasks, err);
    return status;
}

gdn_status gdn_merge_plan_make(const gdn_merge_options *o, gdn_merge_plan *p, gdn_error *err)
{
    const gdn_merge_source *first = NULL;
    int from = 0, to = 0; /* seeds of the stores, then of manifests too */
    gdn_status status = gdn_inputs_init(err);
    p->backend = p->device = "";
    for (int i = 0; i < o->n && !status; i++)
        status = find_stores(p, o->store[i], err);
    for (int i = 0; i < p->sources && !status; i++) {
        gdn_merge_source *s = &p->source[i];
        if ((status = read_manifest(s, p->jobs, err)) || !s->manifest)
            continue;
        first = first ? first : s;
        const json_t *seeds = json_object_get(s->manifest, "seeds");
        const char *backend = json_string_value(json_object_get(s->manifest, "backend")),
                   *device = json_string_value(json_object_get(s->manifest, "device"));
        int low = (int)json_integer_value(json_array_get(seeds, 0));
        join(&p->first_seed, &p->last_seed, low, low + (int)json_array_size(seeds) - 1);
        p->jobs += (int)json_integer_value(json_object_get(s->manifest, "jobs"));
        p->backend = backend && (!*p->backend || strcmp(backend, "cuda") == 0) ? backend : p->backend;
        p->device = device && !*p->device ? device : p->device;
        status = same_experiment(first, s, err);
    }
    if (!status && first)
        status = load(p, first, err);
    for (int i = 0; i < p->sources && !status; i++)
        status = read_seeds(p->source[i].store, p->experiment, &from, &to, err);
    if (!status && !first)
        return gdn_fail(
            err, GDN_BAD_INPUT,
            "merge: none of the stores has a manifest.json beside it; run one of them to its end");
    p->max_length = status ? 0 : (long)json_integer_value(json_object_get(first->manifest, "max_length"));
    join(&from, &to, p->first_seed, p->last_seed);
    return status ? status : make_tasks(p, first, from, to, err);
}

gdn_status gdn_merge_plan_settle(gdn_merge_plan *p, int *from, gdn_error *err)
{
    const gdn_population *populations = p->experiment->file->populations;
    int first = p->first_seed, last = p->last_seed, kept = 0;
    for (int i = 0; i < p->tasks; i++) {
        int seed = (int)p->task[i].seed;
        if (from[i] >= 0 && !populations[p->task[i].population].file) /* one from a file has no seeds */
            join(&first, &last, seed, seed);
    }
    for (int i = 0; i < p->tasks; i++) {
        int seed = (int)p->task[i].seed;
        if (!populations[p->task[i].population].file && (seed < first || seed > last))
            continue;
        from[kept] = from[i];
        p->task[kept++] = p->task[i];
    }
    p->tasks = kept;
    return gdn_experiment_limit(p->experiment, first, last - first + 1, p->max_length, err);
}

void gdn_merge_plan_free(gdn_merge_plan *p)
{
    for (int i = 0; i < p->sources; i++) {
        free(p->source[i].store);
        json_decref(p->source[i].manifest);
    }
    free(p->source);
    free(p->task);
    gdn_experiment_free(p->experiment);
}
