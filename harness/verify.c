/* SPDX-License-Identifier: Apache-2.0 */
/* verify -- committed results made again here; see verify.h. */
#include "harness/verify.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/inputs.h"
#include "harness/json_file.h"
#include "harness/plot.h"
#include "harness/table.h"
#include "harness/verify_parts.h"

/* ---- telling ---- */

__attribute__((format(printf, 3, 0))) static void tell(const gdn_verifier *v, const gdn_folder *f,
                                                       const char *format, va_list args)
{
    fprintf(v->out, "%s: ", f->name);
    vfprintf(v->out, format, args);
    fputc('\n', v->out);
}

void gdn_verify_differs(gdn_verifier *v, const gdn_folder *f, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("DIFFERS  ", v->out);
    tell(v, f, format, args);
    va_end(args);
    v->counts->differ++;
}

void gdn_verify_says(gdn_verifier *v, const gdn_folder *f, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("left     ", v->out);
    tell(v, f, format, args);
    va_end(args);
}

/* ---- folders ---- */

static void folder_free(gdn_folder *f)
{
    gdn_verify_close(f);
    json_decref(f->manifest);
    free(f->task);
}

/* The columns of tasks.csv, in the order of gdn_committed; those that came later may be missing. */
static const struct {
    const char *rows, *checksum;
} sum_columns[GDN_COVERS] = {
    {"rows", "checksum"}, {"portable_rows", "portable_checksum"}, {"short_rows", "short_checksum"}};

static gdn_status take_sums(const gdn_table *t, size_t row, gdn_committed *c, gdn_error *err)
{
    gdn_status status = GDN_OK;
    for (int i = 0; i < GDN_COVERS && !status; i++) {
        size_t rows, sum;
        double n = 0;
        gdn_error ignored;
        if (i > 0 && gdn_table_find(t, sum_columns[i].rows, &rows, &ignored) != GDN_OK)
            return GDN_OK;
        if ((status = gdn_table_find(t, sum_columns[i].rows, &rows, err)) ||
            (status = gdn_table_find(t, sum_columns[i].checksum, &sum, err)) ||
            (status = gdn_table_number(t, row, rows, &n, err)))
            return status;
        c->sum[i].rows = n >= 0 && n < 0x1p53 ? (int64_t)n : -1;
        snprintf(c->sum[i].sum, sizeof c->sum[i].sum, "%s", gdn_table_text(t, row, sum));
    }
    return status;
}

gdn_status gdn_verify_take_tasks(gdn_folder *f, gdn_error *err)
{
    char path[4200];
    gdn_table *t = NULL;
    size_t population, seed;
    snprintf(path, sizeof path, "%s/tasks.csv", f->path);
    if (access(path, R_OK) != 0)
        return GDN_OK;
    gdn_status status = gdn_table_read(path, &t, err);
    if (!status)
        status = gdn_table_find(t, "population", &population, err);
    if (!status)
        status = gdn_table_find(t, "seed", &seed, err);
    if (!status && !(f->task = gdn_calloc(gdn_table_rows(t) + 1, sizeof *f->task)))
        status = gdn_no_memory(err, "tasks.csv");
    for (size_t i = 0; !status && i < gdn_table_rows(t); i++) {
        gdn_committed *c = &f->task[f->tasks++];
        double x = 0;
        snprintf(c->population, sizeof c->population, "%s", gdn_table_text(t, i, population));
        status = gdn_table_number(t, i, seed, &x, err);
        if (!status)
            status = take_sums(t, i, c, err);
        c->seed = x >= 1 && x <= 0x1p31 ? (int64_t)x : 0;
    }
    gdn_table_free(t);
    return status;
}

static gdn_status open_folder(gdn_folder *f, const char *path, gdn_error *err)
{
    char manifest[4200];
    const char *name = strrchr(path, '/');
    struct stat st;
    if (stat(path, &st) == 0) {
        f->device = st.st_dev;
        f->inode = st.st_ino;
    }
    if (snprintf(f->path, sizeof f->path, "%s", path) >= (int)sizeof f->path ||
        snprintf(f->name, sizeof f->name, "%s", name ? name + 1 : path) >= (int)sizeof f->name)
        return gdn_fail(err, GDN_BAD_INPUT, "%.80s...: the path is too long", path);
    gdn_status status = gdn_results_file(f->path, "manifest.json", err);
    if (status)
        return status;
    snprintf(manifest, sizeof manifest, "%s/manifest.json", f->path);
    status = gdn_json_read(manifest, &f->manifest, err);
    if (status)
        return status;
    const char *shard = json_string_value(json_object_get(f->manifest, "shard"));
    if (shard)
        return gdn_fail(err, GDN_BAD_INPUT, "%.400s: this is shard %.20s, not whole results", manifest,
                        shard);
    return gdn_verify_take_tasks(f, err);
}

/* Is a directory among the folders? */
static bool open_already(const gdn_verifier *v, const char *path)
{
    struct stat st;
    bool same = false;
    if (stat(path, &st) == 0)
        for (int i = 0; i < v->folders; i++)
            same |= v->folder[i].device == st.st_dev && v->folder[i].inode == st.st_ino;
    return same;
}

static int is_seen(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

/* Those that are named, or all below --results that have a manifest.json. */
static gdn_status open_folders(gdn_verifier *v, gdn_error *err)
{
    const gdn_verify_options *o = v->o;
    char path[4096], manifest[4200];
    struct dirent **entry = NULL;
    int below = o->n ? 0 : scandir(o->results, &entry, is_seen, alphasort), n = o->n ? o->n : below;
    gdn_status status = GDN_OK;
    if (n > 0 && !(v->folder = gdn_calloc((size_t)n, sizeof *v->folder)))
        status = gdn_no_memory(err, "a list of results");
    for (int i = 0; i < n && !status; i++) {
        const char *name = o->n ? o->experiment[i] : entry[i]->d_name;
        if (snprintf(path, sizeof path, "%s/%s", o->results, name) >= (int)sizeof path) {
            status = gdn_fail(err, GDN_BAD_INPUT, "%.80s...: the path is too long", o->results);
            break;
        }
        snprintf(manifest, sizeof manifest, "%s/manifest.json", path);
        if (!o->n && access(manifest, F_OK) != 0)
            continue;
        for (size_t end = strlen(path); end > 1 && path[end - 1] == '/'; end--)
            path[end - 1] = 0;
        if (!open_already(v, path))
            status = open_folder(&v->folder[v->folders++], path, err);
    }
    for (int i = 0; i < below; i++)
        free(entry[i]);
    free(entry);
    if (!status && v->folders == 0)
        status = gdn_fail(err, GDN_BAD_INPUT, "verify: no results below %.400s; `gdnprec run` makes them",
                          o->results);
    return status;
}

/* ---- the sample ---- */

/* The i-th of the tasks of all folders in one row: in which folder, and there. */
static gdn_folder *folder_of(const gdn_verifier *v, int64_t i, int64_t *there)
{
    int f = 0;
    while (i >= v->folder[f].tasks)
        i -= v->folder[f++].tasks;
    *there = i;
    return &v->folder[f];
}

static int64_t all_tasks(const gdn_verifier *v)
{
    int64_t all = 0;
    for (int f = 0; f < v->folders; f++)
        all += v->folder[f].tasks;
    return all;
}

/* Those that were drawn and cannot be compared, a line a reason and folder. */
static void say_left(gdn_verifier *v, gdn_folder *f)
{
    for (int64_t i = 0, n; i < f->tasks; i += n) {
        const char *why, *other;
        n = 1;
        if (!f->task[i].left || gdn_verify_can(f, i, &why))
            continue;
        while (i + n < f->tasks && f->task[i + n].left && !gdn_verify_can(f, i + n, &other) &&
               strcmp(why, other) == 0)
            n++;
        gdn_verify_says(v, f, "%" PRId64 " task%s: %s", n, n == 1 ? "" : "s", why);
        v->counts->left += n;
    }
}

/*
 * Choose o->tasks of them, each as likely as any other (the first of a shuffle); the next takes the place of
 * one that cannot be compared here.
 */
static gdn_status choose(gdn_verifier *v, gdn_error *err)
{
    int64_t all = all_tasks(v), wanted = v->o->tasks;
    if (wanted == 0 || wanted > all)
        wanted = all;
    int64_t *order = gdn_calloc((size_t)all + 1, sizeof *order);
    if (!order)
        return gdn_no_memory(err, "a sample");
    for (int64_t i = 0; i < all; i++)
        order[i] = i;
    for (int64_t i = 0, chosen = 0; i < all && chosen < wanted; i++) {
        const char *why;
        double u = gdn_uniform(v->o->draw, GDN_STREAM_A_LOG, 0, (uint64_t)i);
        int64_t j = i + (int64_t)(u * (double)(all - i)), taken = order[j < all ? j : all - 1], there;
        order[j < all ? j : all - 1] = order[i];
        gdn_folder *f = folder_of(v, taken, &there);
        bool can = gdn_verify_can(f, there, &why);
        *(can ? &f->task[there].chosen : &f->task[there].left) = true;
        chosen += can;
    }
    free(order);
    for (int f = 0; f < v->folders; f++)
        say_left(v, &v->folder[f]);
    return GDN_OK;
}

gdn_status gdn_verify(const gdn_verify_options *o, gdn_verify_counts *counts, FILE *out, gdn_error *err)
{
    gdn_verifier v = {.o = o, .counts = counts, .out = out};
    *counts = (gdn_verify_counts){0};
    gdn_status status = gdn_inputs_init(err);
    if (!status)
        status = open_folders(&v, err);
    for (int i = 0; i < v.folders && !status; i++)
        status = gdn_verify_files(&v, &v.folder[i], err);
    for (int i = 0; i < v.folders && !status; i++)
        status = gdn_verify_open(&v, &v.folder[i], err);
    if (!status)
        status = choose(&v, err);
    for (int i = 0; i < v.folders && !status; i++)
        status = gdn_verify_tasks(&v, &v.folder[i], err);
    int64_t all = all_tasks(&v);
    for (int i = 0; i < v.folders; i++)
        folder_free(&v.folder[i]);
    free(v.folder);
    if (!status && counts->differ)
        status =
            gdn_fail(err, GDN_DIFFERS, "verify: %" PRId64 " of what is committed %s not what comes out here",
                     counts->differ, counts->differ == 1 ? "is" : "are");
    else if (!status && all && counts->tasks == 0)
        status =
            gdn_fail(err, GDN_BAD_INPUT, "verify: not one of %" PRId64 " tasks can be compared here", all);
    return status;
}
