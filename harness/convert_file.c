/* SPDX-License-Identifier: Apache-2.0 */
/* convert_file -- shards, indices and copies; see convert_file.h. */
#include "harness/convert_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/safetensors_write.h"
#include "harness/shown.h"

enum {
    PIECE = 1 << 26,    /* bytes between two looks at stop */
    BUFFER = 1 << 20,   /* bytes, where the kernel does not copy */
    ELEMENTS = 1 << 16, /* cast at a time */
    SHOWN_PATH = 256
};

gdn_status gdn_convert_failed(const char *path, const char *what, gdn_error *err)
{
    static const int mendable[] = {EACCES, ENOENT, ENOTDIR, EISDIR, EROFS,       EPERM,
                                   EEXIST, EBUSY,  ENXIO,   ELOOP,  ENAMETOOLONG};
    gdn_status status = GDN_MACHINE;
    char shown[SHOWN_PATH];
    for (size_t i = 0; i < sizeof mendable / sizeof mendable[0]; i++)
        if (errno == mendable[i])
            status = GDN_BAD_INPUT;
    const char *why = strerror(errno);
    return gdn_fail(err, status, "%s: cannot %s: %s", gdn_shown_path(path, shown, sizeof shown), what, why);
}

static gdn_status look_at_stop(const gdn_convert_file *to)
{
    return to->stop && *to->stop
               ? gdn_fail(to->err, GDN_MACHINE, "convert: interrupted; what was written is removed again")
               : GDN_OK;
}

gdn_status gdn_convert_put(const gdn_convert_file *to, const void *bytes, size_t n)
{
    for (const char *p = bytes; n > 0;) {
        ssize_t wrote = write(to->fd, p, n);
        if (wrote < 0 && errno != EINTR)
            return gdn_convert_failed(to->path, "be written", to->err);
        p += wrote > 0 ? wrote : 0;
        n -= wrote > 0 ? (size_t)wrote : 0;
    }
    return look_at_stop(to);
}

/* ---- copies ---- */

/* How many bytes from `begin` on, of n, are a hole; *data: how many after them are none. */
static uint64_t hole_at(int fd, uint64_t begin, uint64_t n, uint64_t *data)
{
    off_t first = lseek(fd, (off_t)begin, SEEK_DATA);
    uint64_t hole = first < 0 ? (errno == ENXIO ? n : 0) : (uint64_t)first - begin;
    hole = hole < n ? hole : n;
    off_t last = lseek(fd, (off_t)(begin + hole), SEEK_HOLE);
    *data = last > (off_t)(begin + hole) ? (uint64_t)last - begin - hole : n - hole;
    *data = *data < n - hole ? *data : n - hole;
    return hole;
}

/* At most n bytes through memory; how many, 0 at the end of the file, -1 on failure. */
static ssize_t copy_by_hand(const gdn_convert_file *to, int from, off_t begin, size_t n, gdn_status *status)
{
    char *buffer = malloc(BUFFER);
    if (!buffer) {
        *status = gdn_no_memory(to->err, "copying");
        return -1;
    }
    ssize_t got = pread(from, buffer, n < BUFFER ? n : BUFFER, begin);
    if (got > 0)
        *status = gdn_convert_put(to, buffer, (size_t)got);
    free(buffer);
    return got;
}

static gdn_status became_shorter(const gdn_convert_file *to, const char *path)
{
    return gdn_fail(to->err, GDN_MACHINE, "%.400s: became shorter while it was read", path);
}

/* At most n bytes by the kernel, which may share blocks; by hand where it cannot. */
static gdn_status copy_some(const gdn_convert_file *to, int from, const char *path, uint64_t begin,
                            uint64_t n, uint64_t *copied)
{
    static const int cannot[] = {EXDEV, EINVAL, ENOSYS, EOPNOTSUPP, EPERM, EBADF, ETXTBSY};
    off_t at = (off_t)begin;
    gdn_status status = GDN_OK;
    size_t some = n < PIECE ? (size_t)n : PIECE;
    ssize_t got = copy_file_range(from, &at, to->fd, NULL, some, 0);
    bool by_hand = got == 0;
    for (size_t i = 0; got < 0 && i < sizeof cannot / sizeof cannot[0]; i++)
        by_hand |= errno == cannot[i];
    if (by_hand)
        got = copy_by_hand(to, from, (off_t)begin, some, &status);
    *copied = got > 0 ? (uint64_t)got : 0;
    if (status)
        return status;
    if (got == 0)
        return became_shorter(to, path);
    if (got < 0 && errno != EINTR)
        return gdn_convert_failed(to->path, "be written", to->err);
    return look_at_stop(to);
}

gdn_status gdn_convert_copy(const gdn_convert_file *to, int from, const char *path, uint64_t begin,
                            uint64_t n)
{
    gdn_status status = GDN_OK;
    struct stat st;
    if (fstat(from, &st))
        return gdn_convert_failed(path, "be read", to->err);
    if ((uint64_t)st.st_size < begin + n) /* what lies behind its end would pass for a hole */
        return became_shorter(to, path);
    while (n > 0 && !status) {
        uint64_t data, hole = hole_at(from, begin, n, &data);
        if (hole && lseek(to->fd, (off_t)hole, SEEK_CUR) < 0)
            return gdn_convert_failed(to->path, "be written", to->err);
        begin += hole;
        n -= hole;
        for (uint64_t copied; data > 0 && !status; data -= copied, begin += copied, n -= copied)
            status = copy_some(to, from, path, begin, data, &copied);
    }
    /* A hole at the end is only there once the file is that long. */
    off_t end = lseek(to->fd, 0, SEEK_CUR);
    if (!status && (end < 0 || ftruncate(to->fd, end)))
        status = gdn_convert_failed(to->path, "be written", to->err);
    return status;
}

gdn_status gdn_convert_copy_file(const gdn_convert_file *to, const char *path)
{
    struct stat st;
    int from = open(path, O_RDONLY | O_CLOEXEC);
    gdn_status status = from < 0 || fstat(from, &st)
                            ? gdn_convert_failed(path, "be read", to->err)
                            : gdn_convert_copy(to, from, path, 0, (uint64_t)st.st_size);
    if (from >= 0)
        close(from);
    return status;
}

/* ---- shards ---- */

static gdn_status put_cast(const gdn_convert_file *to, const gdn_convert_tensor *t)
{
    size_t width = gdn_dtype_bits(t->from->dtype) / 8, result = gdn_dtype_bits(t->to.dtype) / 8;
    int64_t n = gdn_tensor_elements(t->from);
    const unsigned char *in = t->from->data;
    unsigned char *out = malloc(ELEMENTS * result);
    gdn_status status = out ? GDN_OK : gdn_no_memory(to->err, "casting");
    for (int64_t i = 0; i < n && !status; i += ELEMENTS) {
        int64_t some = n - i < ELEMENTS ? n - i : ELEMENTS;
        gdn_cast_counts counts = {0};
        gdn_cast(t->from->dtype, t->to.dtype, t->chain, in + (size_t)i * width, some, out, &counts);
        status = gdn_convert_put(to, out, (size_t)some * result);
    }
    free(out);
    return status;
}

static gdn_status put_header(const gdn_convert_file *to, const gdn_convert_shard *s)
{
    gdn_tensor *t = gdn_calloc(s->tensors + 1, sizeof *t);
    unsigned char *header = NULL;
    size_t size;
    if (!t)
        return gdn_no_memory(to->err, "a header");
    for (size_t i = 0; i < s->tensors; i++)
        t[i] = s->tensor[i].to;
    gdn_status status = gdn_safetensors_header(t, s->tensors, s->metadata, &header, &size, to->err);
    if (!status)
        status = gdn_convert_put(to, header, size);
    free(header);
    free(t);
    return status;
}

gdn_status gdn_convert_put_shard(const gdn_convert_file *to, const gdn_convert_shard *s)
{
    if (!s->changed)
        return gdn_convert_copy_file(to, s->from->path);
    int from = open(s->from->path, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return gdn_convert_failed(s->from->path, "be read", to->err);
    gdn_status status = put_header(to, s);
    for (size_t i = 0; i < s->tensors && !status; i++) {
        const gdn_convert_tensor *t = &s->tensor[i];
        status = t->cast ? put_cast(to, t)
                         : gdn_convert_copy(to, from, s->from->path, t->from->begin, t->from->bytes);
    }
    close(from);
    return status;
}

/* ---- the index ---- */

/* The layouts that are met: json.dumps with indent 2 (Hugging Face), 4, none; and without blanks. */
static const size_t layouts[] = {JSON_INDENT(2), JSON_INDENT(4), 0, JSON_COMPACT};
enum { LAYOUTS = sizeof layouts / sizeof layouts[0] };

/* The jansson flags that give the source's text again; *newline: whether it ends in one. */
static size_t layout_of(const char *path, const json_t *index, bool *newline)
{
    size_t flags = layouts[0], size = 0;
    char *text = NULL;
    FILE *f = fopen(path, "rb");
    ssize_t got = f ? getdelim(&text, &size, 0, f) : -1;
    *newline = got > 0 && text[got - 1] == '\n';
    if (*newline)
        text[got - 1] = 0;
    for (int i = 2 * LAYOUTS - 1; i >= 0 && got > 0; i--) {
        size_t tried = layouts[i % LAYOUTS] | (i < LAYOUTS ? 0 : JSON_ENSURE_ASCII);
        char *again = json_dumps(index, tried);
        if (again && strcasecmp(again, text) == 0) /* Python writes \u00e9, jansson \u00E9 */
            flags = tried;
        free(again);
    }
    free(text);
    if (f)
        fclose(f); /* a file that was only read has nothing to lose here */
    return flags;
}

/* A weight_map with the new keys, in order; NULL where memory fails. */
static json_t *new_map(const gdn_conversion *p, const json_t *old)
{
    json_t *map = json_object(), *shard;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)old, name, shard)
    {
        size_t size = strlen(name) + 32;
        char *key = malloc(size);
        int bad = !key || !gdn_convert_key(p->request.contract, name, key, size) ||
                  json_object_set(map, key, shard);
        free(key);
        if (bad) {
            json_decref(map);
            return NULL;
        }
    }
    return map;
}

/* Bytes of all tensors: of the source, of the result. */
static void total(const gdn_conversion *p, uint64_t *before, uint64_t *after)
{
    *before = *after = 0;
    for (int i = 0; i < p->shards; i++)
        for (size_t j = 0; j < p->shard[i].tensors; j++) {
            *before += p->shard[i].tensor[j].from->bytes;
            *after += gdn_tensor_bytes(&p->shard[i].tensor[j].to);
        }
}

gdn_status gdn_convert_put_index(const gdn_convert_file *to, const gdn_conversion *p, const char *path)
{
    uint64_t before, after;
    bool newline;
    total(p, &before, &after);
    if (p->renamed == 0 && before == after)
        return gdn_convert_copy_file(to, path);
    size_t flags = layout_of(path, p->source->index, &newline);
    json_t *index = json_copy(p->source->index), *metadata = json_copy(json_object_get(index, "metadata"));
    json_t *map = new_map(p, json_object_get(index, "weight_map"));
    char *text = NULL;
    int bad = !index || !map || json_object_set(index, "weight_map", map);
    const json_t *size = json_object_get(metadata, "total_size");
    if (metadata && before != after && json_is_integer(size)) /* what else it counts is its writer's matter */
        bad |= json_object_set_new(metadata, "total_size",
                                   json_integer(json_integer_value(size) + (json_int_t)(after - before))) ||
               json_object_set(index, "metadata", metadata);
    gdn_status status = GDN_OK;
    if (bad || !(text = json_dumps(index, flags)))
        status = gdn_no_memory(to->err, "an index");
    if (!status)
        status = gdn_convert_put(to, text, strlen(text));
    if (!status && newline)
        status = gdn_convert_put(to, "\n", 1);
    free(text);
    json_decref(map);
    json_decref(metadata);
    json_decref(index);
    return status;
}
