/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint -- opening a model's weights; see checkpoint.h. */
#include "harness/checkpoint_parts.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/json_file.h"
#include "harness/shown.h"

#define INDEX_TAIL ".safetensors.index.json"
#define INDEX "model" INDEX_TAIL
#define WEIGHTS_TAIL ".safetensors"
#define WEIGHTS "model" WEIGHTS_TAIL

enum { SHOWN_PATH = 256 };

/* What every step of opening needs. */
typedef struct opening {
    gdn_checkpoint *c;
    char *folder; /* with its slash; "" is the working directory */
    gdn_error *err;
} opening;

static bool ends_in(const char *name, const char *tail)
{
    size_t n = strlen(name), m = strlen(tail);
    return n > m && strcmp(name + n - m, tail) == 0;
}

/* folder + name; to be freed. */
static char *path_in(const char *folder, const char *name)
{
    char *path;
    return asprintf(&path, "%s%s", folder, name) < 0 ? NULL : path;
}

static bool is_there(const char *folder, const char *name)
{
    char *path = path_in(folder, name);
    struct stat st;
    bool there = path && lstat(path, &st) == 0; /* a link to nowhere is there, and fails when it is opened */
    free(path);
    return there;
}

/* ---- What the folder holds ---- */

/* The file names in the folder that end in `tail`: how many, and in *name the first by name, to be freed. */
static gdn_status count_names(const opening *o, const char *tail, int *count, char **name)
{
    char shown[SHOWN_PATH];
    const struct dirent *entry;
    gdn_status status = GDN_OK;
    *count = 0;
    *name = NULL;
    DIR *d = opendir(*o->folder ? o->folder : ".");
    if (!d)
        return gdn_fail(o->err, GDN_BAD_INPUT, "%s: cannot be listed: %s",
                        gdn_shown_path(o->folder, shown, sizeof shown), strerror(errno));
    while (!status && (entry = readdir(d))) {
        if (!ends_in(entry->d_name, tail))
            continue;
        ++*count;
        if (*name && strcmp(*name, entry->d_name) < 0)
            continue;
        free(*name);
        *name = strdup(entry->d_name);
        if (!*name)
            status = gdn_no_memory(o->err, "the names of a folder");
    }
    closedir(d);
    return status;
}

/* The file to begin with: an index or weights. *name is to be freed. */
static gdn_status choose(const opening *o, char **name)
{
    static const struct {
        const char *name, *tail;
    } wanted[] = {{INDEX, INDEX_TAIL}, {WEIGHTS, WEIGHTS_TAIL}};
    char shown[SHOWN_PATH];
    int count[2] = {0};
    *name = NULL;
    for (int i = 0; i < 2; i++) {
        if (is_there(o->folder, wanted[i].name)) {
            *name = strdup(wanted[i].name);
            return *name ? GDN_OK : gdn_no_memory(o->err, "a file name");
        }
        gdn_status status = count_names(o, wanted[i].tail, &count[i], name);
        if (status || count[i] == 1)
            return status;
        free(*name);
        *name = NULL;
    }
    return gdn_fail(o->err, GDN_BAD_INPUT,
                    "%s: found no " INDEX ", %d other files *" INDEX_TAIL ", no " WEIGHTS
                    " and %d other files *" WEIGHTS_TAIL
                    "; allowed is one of those, or exactly one of the others",
                    gdn_shown_path(o->c->path, shown, sizeof shown), count[0], count[1]);
}

/* ---- Shards ---- */

static int compare_shards(const void *a, const void *b)
{
    const gdn_shard *s = a, *t = b;
    return gdn_natural_order(s->name, t->name);
}

static int compare_tensors(const void *a, const void *b)
{
    const gdn_checkpoint_tensor *s = a, *t = b;
    return gdn_natural_order(s->tensor->name, t->tensor->name);
}

/* c->shard holds names; open them. */
static gdn_status open_shards(const opening *o)
{
    for (int i = 0; i < o->c->shards; i++) {
        gdn_shard *s = &o->c->shard[i];
        s->path = path_in(o->folder, s->name); /* the name in it outlives the one in the index */
        if (!s->path)
            return gdn_no_memory(o->err, "the path of a shard");
        gdn_safetensors *file;
        gdn_status status = gdn_safetensors_open(s->path, &file, o->err);
        if (status)
            return status;
        s->file = file;
        s->name = s->path + strlen(o->folder);
    }
    return GDN_OK;
}

/* Names of shards by name, each once. shard: [n]; the number left. */
static int unique_shards(gdn_shard *shard, size_t n)
{
    size_t left = 0;
    qsort(shard, n, sizeof *shard, compare_shards);
    for (size_t i = 0; i < n; i++)
        if (left == 0 || strcmp(shard[left - 1].name, shard[i].name) != 0)
            shard[left++] = shard[i];
    return (int)left;
}

/* Every tensor that the index lists, where it says. A shard's other tensors are not part of the checkpoint.
 */
static gdn_status take_indexed(const opening *o)
{
    gdn_checkpoint *c = o->c;
    json_t *map = json_object_get(c->index, "weight_map"), *shard;
    size_t n = json_object_size(map), i = 0;
    const char *name;
    c->shard = gdn_calloc(n, sizeof *c->shard);
    c->tensor = gdn_calloc(n, sizeof *c->tensor);
    if (!c->shard || !c->tensor)
        return gdn_no_memory(o->err, "the tensors of a checkpoint");
    json_object_foreach(map, name, shard) c->shard[i++].name = json_string_value(shard);
    c->shards = unique_shards(c->shard, n);
    gdn_status status = open_shards(o);
    if (status)
        return status;
    json_object_foreach(map, name, shard)
    {
        gdn_shard key = {.name = json_string_value(shard)};
        const gdn_shard *s = bsearch(&key, c->shard, (size_t)c->shards, sizeof *c->shard, compare_shards);
        const gdn_tensor *t = gdn_safetensors_find(s->file, name);
        char shown[SHOWN_PATH], quoted[GDN_SHOWN], file[GDN_SHOWN];
        if (!t)
            return gdn_fail(o->err, GDN_BAD_INPUT, "%s%s: weight_map, %s: found %s, which has no such tensor",
                            gdn_shown_path(o->folder, shown, sizeof shown), c->index_name,
                            gdn_quoted(name, quoted, sizeof quoted), gdn_quoted(s->name, file, sizeof file));
        c->tensor[c->tensors++] = (gdn_checkpoint_tensor){t, (int)(s - c->shard)};
    }
    return GDN_OK;
}

static gdn_status take_file(const opening *o, const char *name)
{
    gdn_checkpoint *c = o->c;
    c->shard = gdn_calloc(1, sizeof *c->shard);
    if (!c->shard)
        return gdn_no_memory(o->err, "a checkpoint");
    c->shard->name = name;
    c->shards = 1;
    gdn_status status = open_shards(o);
    if (status)
        return status;
    size_t n = gdn_safetensors_count(c->shard->file);
    c->tensor = gdn_calloc(n, sizeof *c->tensor);
    if (!c->tensor)
        return gdn_no_memory(o->err, "the tensors of a checkpoint");
    for (; c->tensors < n; c->tensors++)
        c->tensor[c->tensors].tensor = gdn_safetensors_at(c->shard->file, c->tensors);
    return GDN_OK;
}

/* ---- Public ---- */

static gdn_status read_config(const opening *o)
{
    if (!is_there(o->folder, "config.json"))
        return GDN_OK;
    char *path = path_in(o->folder, "config.json");
    gdn_status status = path ? gdn_json_read(path, &o->c->config, o->err) : gdn_no_memory(o->err, "a path");
    if (!status)
        status = gdn_checkpoint_architecture(o->c->config, path, &o->c->architecture, o->err);
    free(path);
    return status;
}

static gdn_status read_index(const opening *o)
{
    char *path = path_in(o->folder, o->c->index_name);
    gdn_status status = path ? gdn_json_read(path, &o->c->index, o->err) : gdn_no_memory(o->err, "a path");
    if (!status)
        status = gdn_checkpoint_check_index(o->c->index, path, o->err);
    free(path);
    return status;
}

/* The folder with its slash; *name: the file in it that the path names, or NULL. */
static gdn_status find(opening *o, char **name)
{
    const char *path = o->c->path;
    size_t n = strlen(path);
    char shown[SHOWN_PATH];
    struct stat s;
    *name = NULL;
    if (stat(path, &s) != 0)
        return gdn_fail(o->err, GDN_BAD_INPUT, "%s: cannot be opened: %s",
                        gdn_shown_path(path, shown, sizeof shown), strerror(errno));
    bool is_folder = S_ISDIR(s.st_mode);
    while (!is_folder && n > 0 && path[n - 1] != '/')
        n--;
    o->folder = path_in(path, is_folder && path[n - 1] != '/' ? "/" : "");
    if (!o->folder)
        return gdn_no_memory(o->err, "the path of a checkpoint");
    if (is_folder)
        return GDN_OK;
    o->folder[n] = 0;
    *name = strdup(path + n);
    return *name ? GDN_OK : gdn_no_memory(o->err, "the path of a checkpoint");
}

static gdn_status take_weights(const opening *o, const char *name)
{
    gdn_checkpoint *c = o->c;
    if (!ends_in(name, INDEX_TAIL))
        return take_file(o, name);
    c->index_name = strdup(name);
    gdn_status status = c->index_name ? read_index(o) : gdn_no_memory(o->err, "the name of an index");
    return status ? status : take_indexed(o);
}

/* All steps. *name: the file to begin with, to be freed. */
static gdn_status open_all(opening *o, char **name)
{
    gdn_checkpoint *c = o->c;
    gdn_status status = find(o, name);
    if (!status)
        status = read_config(o);
    if (!status && !*name)
        status = choose(o, name);
    if (!status && *name)
        status = take_weights(o, *name);
    if (!status && c->tensors)
        qsort(c->tensor, c->tensors, sizeof *c->tensor, compare_tensors);
    return status;
}

gdn_status gdn_checkpoint_open(const char *path, gdn_checkpoint **out, gdn_error *err)
{
    opening o = {.c = calloc(1, sizeof *o.c), .err = err};
    char *name = NULL;
    *out = NULL;
    if (!o.c)
        return gdn_no_memory(err, "a checkpoint");
    o.c->path = strdup(path);
    gdn_status status = o.c->path ? open_all(&o, &name) : gdn_no_memory(err, "a checkpoint");
    free(name);
    free(o.folder);
    if (status)
        gdn_checkpoint_close(o.c);
    else
        *out = o.c;
    return status;
}

/* The fields are const for readers only. */
static void release(const void *owned)
{
    free((void *)(uintptr_t)owned);
}

void gdn_checkpoint_close(gdn_checkpoint *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->shards; i++) {
        gdn_safetensors_close((gdn_safetensors *)(uintptr_t)c->shard[i].file);
        release(c->shard[i].path);
    }
    free(c->shard);
    free(c->tensor);
    json_decref(c->index);
    json_decref(c->config);
    release(c->index_name);
    release(c->path);
    free(c);
}

const gdn_checkpoint_tensor *gdn_checkpoint_find(const gdn_checkpoint *c, const char *name)
{
    gdn_tensor tensor = {.name = name};
    gdn_checkpoint_tensor key = {.tensor = &tensor};
    return bsearch(&key, c->tensor, c->tensors, sizeof *c->tensor, compare_tensors);
}
