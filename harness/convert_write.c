/* SPDX-License-Identifier: Apache-2.0 */
/* convert_write -- the folder of the result: all files or none; see convert.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/convert_file.h"
#include "harness/outfile.h"
#include "harness/shown.h"

enum { SHOWN_PATH = 256, PATH = 4096 };

typedef enum kind { SHARD, OTHER, INDEX } kind;

/* A file of the result. */
typedef struct item {
    kind kind;
    int shard;    /* of SHARD */
    char *name;   /* within either folder */
    bool renamed; /* it has its place */
} item;

/* What the steps share. */
typedef struct writing {
    const gdn_conversion *p;
    char source[PATH]; /* the folder with its slash, or "" for a lone file */
    char out[PATH];
    char made[PATH + 24]; /* the folder within `out` where files are made; "" while there is none */
    size_t there;         /* characters of `out` that name a folder which was there before */
    item *item;           /* [items] in the order in which they get their places */
    size_t items;
    gdn_convert_files *files;
    const volatile sig_atomic_t *stop;
    gdn_error *err;
} writing;

static bool path_of(char *path, const char *folder, const char *name)
{
    size_t n = strlen(folder);
    return snprintf(path, PATH, "%s%s%s", folder, n && folder[n - 1] != '/' ? "/" : "", name) < PATH;
}

/* ---- what there is ---- */

/* The source's folder; a lone .safetensors file has none. */
static gdn_status find_source(writing *w)
{
    const gdn_checkpoint *c = w->p->source;
    struct stat st;
    const char *slash = strrchr(c->path, '/');
    if (strlen(c->path) + 2 > PATH)
        return gdn_fail(w->err, GDN_BAD_INPUT, "%.80s...: the path is too long", c->path);
    if (stat(c->path, &st))
        return gdn_convert_failed(c->path, "be read", w->err);
    if (S_ISDIR(st.st_mode))
        path_of(w->source, c->path, "");
    else if (c->index_name)
        snprintf(w->source, PATH, "%.*s", slash ? (int)(slash - c->path) + 1 : 2, slash ? c->path : "./");
    return GDN_OK;
}

/* Is the open folder `fd` the source's, or within it? Closes fd. */
static bool within_source(const writing *w, int fd)
{
    struct stat source, here, last = {0};
    bool within = false;
    if (stat(w->source, &source))
        return false;
    while (fd >= 0 && !within && !fstat(fd, &here) &&
           !(here.st_ino == last.st_ino && here.st_dev == last.st_dev)) {
        within = here.st_ino == source.st_ino && here.st_dev == source.st_dev;
        last = here;
        int up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        close(fd);
        fd = up;
    }
    if (fd >= 0)
        close(fd);
    return within;
}

/* Cut the last component off; false when none is left. */
static bool cut(char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    while (n > 0 && path[n - 1] != '/')
        n--;
    while (n > 1 && path[n - 1] == '/')
        n--;
    path[n] = 0;
    return n > 0;
}

/* Is '..' a component of the path? */
static bool steps_back(const char *path)
{
    for (const char *at = strstr(path, ".."); at; at = strstr(at + 1, ".."))
        if ((at == path || at[-1] == '/') && (at[2] == '/' || at[2] == 0))
            return true;
    return false;
}

/* Not within the source; w->there is set. */
static gdn_status check_place(writing *w)
{
    char path[PATH], shown[SHOWN_PATH];
    int fd;
    snprintf(path, sizeof path, "%s", w->out);
    while ((fd = open(*path ? path : ".", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0 && errno == ENOENT && *path)
        cut(path);
    if (fd < 0)
        return gdn_convert_failed(w->out, "be made", w->err);
    w->there = strlen(path);
    if (steps_back(w->out + w->there)) {
        close(fd);
        return gdn_fail(w->err, GDN_BAD_INPUT, "%s: has '..' behind a folder that is not there yet",
                        gdn_shown_path(w->out, shown, sizeof shown));
    }
    if (!*w->source)
        close(fd);
    else if (within_source(w, fd))
        return gdn_fail(w->err, GDN_BAD_INPUT,
                        "%s: lies in the source's folder, into which nothing is written",
                        gdn_shown_path(w->out, shown, sizeof shown));
    return GDN_OK;
}

static gdn_status check_empty(const writing *w)
{
    char shown[SHOWN_PATH];
    int entries = 0;
    DIR *d = opendir(w->out);
    if (!d)
        return errno == ENOENT ? GDN_OK : gdn_convert_failed(w->out, "be written", w->err);
    for (const struct dirent *e = readdir(d); e; e = readdir(d))
        entries += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return entries == 0 ? GDN_OK
                        : gdn_fail(w->err, GDN_BAD_INPUT,
                                   "%s: is not empty; a folder that is empty or not there yet is wanted",
                                   gdn_shown_path(w->out, shown, sizeof shown));
}

static gdn_status add(writing *w, kind k, int shard, const char *name)
{
    item *grown = realloc(w->item, (w->items + 1) * sizeof *grown);
    char *copy = strdup(name);
    if (grown)
        w->item = grown;
    if (!grown || !copy) {
        free(copy);
        return gdn_no_memory(w->err, "the files of a conversion");
    }
    w->item[w->items++] = (item){k, shard, copy, false};
    return GDN_OK;
}

static bool is_shard(const gdn_checkpoint *c, const char *name)
{
    for (int i = 0; i < c->shards; i++)
        if (strcmp(c->shard[i].name, name) == 0)
            return true;
    return false;
}

/* A file beside the shards: links are followed, since caches keep their files behind links. */
static gdn_status add_other(writing *w, const char *name)
{
    const gdn_checkpoint *c = w->p->source;
    char path[PATH];
    struct stat st;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || is_shard(c, name) ||
        (c->index_name && strcmp(name, c->index_name) == 0))
        return GDN_OK;
    if (path_of(path, w->source, name) && !stat(path, &st) && S_ISREG(st.st_mode)) {
        w->files->copied++;
        return add(w, OTHER, 0, name);
    }
    if (w->files->skipped++ == 0)
        snprintf(w->files->first, sizeof w->files->first, "%s", name);
    return GDN_OK;
}

/* Shards, then what lies beside them, then the index: it is the last to get its place. */
static gdn_status list_files(writing *w)
{
    const gdn_checkpoint *c = w->p->source;
    struct dirent **entry;
    gdn_status status = GDN_OK;
    for (int i = 0; i < c->shards && !status; i++)
        status = add(w, SHARD, i, c->shard[i].name);
    if (status || !*w->source)
        return status;
    int n = scandir(w->source, &entry, NULL, alphasort);
    if (n < 0)
        return gdn_convert_failed(w->source, "be listed", w->err);
    for (int i = 0; i < n; i++) {
        if (!status)
            status = add_other(w, entry[i]->d_name);
        free(entry[i]);
    }
    free(entry);
    return !status && c->index_name ? add(w, INDEX, 0, c->index_name) : status;
}

/* ---- writing ---- */

static gdn_status make_folders(writing *w)
{
    gdn_status status = gdn_make_directory(w->out, w->err);
    if (status)
        return status;
    snprintf(w->made, sizeof w->made, "%s/.gdnprec.XXXXXX", w->out);
    if (!mkdtemp(w->made)) {
        *w->made = 0;
        status = gdn_convert_failed(w->out, "be written", w->err);
    }
    return status;
}

static gdn_status write_item(const writing *w, const item *x)
{
    char path[PATH], shown[PATH], source[PATH];
    if (!path_of(path, w->made, x->name) || !path_of(shown, w->out, x->name) ||
        !path_of(source, w->source, x->name))
        return gdn_fail(w->err, GDN_BAD_INPUT, "%.80s...: the path is too long", w->out);
    gdn_convert_file to = {open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666), shown, w->stop, w->err};
    if (to.fd < 0)
        return gdn_convert_failed(shown, "be written", w->err);
    gdn_status status = x->kind == SHARD   ? gdn_convert_put_shard(&to, &w->p->shard[x->shard])
                        : x->kind == INDEX ? gdn_convert_put_index(&to, w->p, source)
                                           : gdn_convert_copy_file(&to, source);
    if (!status && fsync(to.fd))
        status = gdn_convert_failed(shown, "be written", w->err);
    if (close(to.fd) && !status)
        status = gdn_convert_failed(shown, "be written", w->err);
    return status;
}

/* A name lasts once its folder is on disk. */
static gdn_status sync_folder(const writing *w)
{
    int fd = open(w->out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    gdn_status status =
        fd < 0 || (fsync(fd) && errno != EINVAL) ? gdn_convert_failed(w->out, "be written", w->err) : GDN_OK;
    if (fd >= 0)
        close(fd);
    return status;
}

static gdn_status give_places(const writing *w)
{
    char from[PATH], to[PATH];
    for (size_t i = 0; i < w->items; i++) {
        item *x = &w->item[i];
        if (!path_of(from, w->made, x->name) || !path_of(to, w->out, x->name) || rename(from, to))
            return gdn_convert_failed(w->out, "be written", w->err);
        x->renamed = true;
    }
    return sync_folder(w);
}

/* The folder where files were made goes; with `all`, so does everything else that was not there before. */
static void clear(writing *w, bool all)
{
    char path[PATH];
    for (size_t i = 0; i < w->items && *w->made; i++) {
        const item *x = &w->item[i];
        if (!x->renamed && path_of(path, w->made, x->name))
            unlink(path);
        if (x->renamed && all && path_of(path, w->out, x->name))
            unlink(path);
    }
    if (*w->made)
        rmdir(w->made);
    snprintf(path, sizeof path, "%s", w->out);
    while (all && strlen(path) > w->there && !rmdir(path))
        cut(path);
}

gdn_status gdn_convert_write(const gdn_conversion *p, const char *out, bool dry,
                             const volatile sig_atomic_t *stop, gdn_convert_files *files, gdn_error *err)
{
    writing w = {.p = p, .files = files, .stop = stop, .err = err};
    *files = (gdn_convert_files){0};
    if (!*out || snprintf(w.out, sizeof w.out, "%s", out) >= (int)sizeof w.out)
        return gdn_fail(err, GDN_BAD_INPUT, "convert: '%.80s' is not allowed as a folder", out);
    gdn_status status = find_source(&w);
    if (!status)
        status = check_place(&w);
    if (!status)
        status = check_empty(&w);
    if (!status)
        status = list_files(&w);
    if (status || dry)
        goto done;
    status = make_folders(&w);
    for (size_t i = 0; i < w.items && !status; i++)
        status = write_item(&w, &w.item[i]);
    if (!status)
        status = give_places(&w);
    clear(&w, status != GDN_OK);
done:
    for (size_t i = 0; i < w.items; i++)
        free(w.item[i].name);
    free(w.item);
    return status;
}
