/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors -- reading and checking safetensors files; see safetensors.h. */
#include "harness/safetensors_parts.h"

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/shown.h"

enum {
    MIN_HEADER = 2,         /* {} */
    MAX_HEADER = 100000000, /* the official reader's limit */
    HEAD = 24,              /* bytes enough to tell what a foreign file is */
    SHOWN_PATH = 192        /* of a path; sentence and path share gdn_error.text */
};

_Static_assert(sizeof(size_t) >= 8, "a file is mapped whole");

typedef gdn_safetensors_reading reading;

/* ---- Sentences ---- */

__attribute__((format(printf, 3, 0))) static gdn_status fail(const reading *r, gdn_status status,
                                                             const char *format, va_list args)
{
    char sentence[sizeof r->err->text], shown[SHOWN_PATH];
    vsnprintf(sentence, sizeof sentence, format, args);
    return gdn_fail(r->err, status, "%s: %s", gdn_shown_path(r->path, shown, sizeof shown), sentence);
}

gdn_status gdn_safetensors_refuse(const reading *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    gdn_status status = fail(r, GDN_BAD_INPUT, format, args);
    va_end(args);
    return status;
}

/* The failure of a system call: bad input where the path is at fault, else the machine's. */
__attribute__((format(printf, 2, 3))) static gdn_status system_failure(const reading *r, const char *format,
                                                                       ...)
{
    static const int path_errors[] = {ENOENT, EACCES, EISDIR, ENOTDIR, ELOOP, ENAMETOOLONG, EPERM, ENXIO};
    gdn_status status = GDN_MACHINE;
    for (size_t i = 0; i < sizeof path_errors / sizeof *path_errors; i++)
        if (errno == path_errors[i])
            status = GDN_BAD_INPUT;
    va_list args;
    va_start(args, format);
    status = fail(r, status, format, args);
    va_end(args);
    return status;
}

/* ---- The frame: the file, the header's length, its JSON ---- */

/* O_NONBLOCK, for opening a FIFO would wait for its writer. */
static gdn_status open_file(reading *r)
{
    struct stat s;
    r->fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (r->fd < 0 || fstat(r->fd, &s) != 0)
        return system_failure(r, "cannot be opened: %s", strerror(errno));
    if (!S_ISREG(s.st_mode))
        return gdn_safetensors_refuse(r, "not a safetensors file: it is %s; allowed is a regular file",
                                      S_ISDIR(s.st_mode) ? "a directory" : "a device, pipe or socket");
    r->f->size = (uint64_t)s.st_size;
    return GDN_OK;
}

/* bytes: [n], from byte offset `from` of the file on. */
static gdn_status read_bytes(const reading *r, void *bytes, uint64_t n, uint64_t from)
{
    if (r->bytes) {
        memcpy(bytes, r->bytes + from, n);
        return GDN_OK;
    }
    for (uint64_t done = 0; done < n;) {
        ssize_t got = pread(r->fd, (char *)bytes + done, n - done, (off_t)(from + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return system_failure(r, "cannot be read at byte offset %" PRIu64 ": %s", from + done,
                                  strerror(errno));
        if (got == 0)
            return gdn_safetensors_refuse(r, "was cut short to %" PRIu64 " bytes while it was read",
                                          from + done);
        done += (uint64_t)got;
    }
    return GDN_OK;
}

/* What begins like a file of another kind, or NULL. head: [n]. */
static const char *foreign_kind(const unsigned char *head, size_t n)
{
    static const struct {
        const char *begin, *kind;
    } kinds[] = {
        {"\177ELF", "an ELF program or library"},
        {"PK\3\4", "a zip archive, as PyTorch's .bin and .pt are"},
        {"\200\2", "a Python pickle"},
        {"version https://git-lfs", "a Git LFS pointer; \"git lfs pull\" fetches the file itself"},
        {"GGUF", "a GGUF file"},
        {"\211HDF", "an HDF5 file"},
        {"\223NUMPY", "a NumPy array"},
        {"\37\213", "a gzip file"},
        {"{", "JSON; an index names safetensors files but is none"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t length = strlen(kinds[i].begin);
        if (n >= length && memcmp(head, kinds[i].begin, length) == 0)
            return kinds[i].kind;
    }
    for (size_t i = 0; i < n; i++)
        if (!isprint(head[i]) && !isspace(head[i]))
            return NULL;
    return "text";
}

/* A file whose header is not where it must be. head: [n]; problem: what is wrong with it. */
static gdn_status refuse_foreign(const reading *r, const unsigned char *head, size_t n, const char *problem)
{
    char begin[GDN_SHOWN];
    const char *kind = foreign_kind(head, n);
    return gdn_safetensors_refuse(r, "not a safetensors file: %s; it begins with %s%s%s", problem,
                                  gdn_quoted_bytes(head, n, begin, sizeof begin), kind ? ", like " : "",
                                  kind ? kind : "");
}

/* Whatever is wrong: where a '{' follows the length, the file is a damaged one, else a foreign one. */
static gdn_status check_length(const reading *r, const unsigned char *head, size_t n, uint64_t length)
{
    char problem[128];
    uint64_t room = r->f->size - GDN_SAFETENSORS_LENGTH;
    bool header_follows = n > GDN_SAFETENSORS_LENGTH && head[GDN_SAFETENSORS_LENGTH] == '{';
    if (length > MAX_HEADER)
        snprintf(problem, sizeof problem,
                 "byte offset 0: header length: found %" PRIu64 ", allowed are %d to %d bytes", length,
                 MIN_HEADER, MAX_HEADER);
    else if (length > room)
        snprintf(problem, sizeof problem,
                 "byte offset 0: header length: found %" PRIu64 ", but only %" PRIu64 " bytes follow it",
                 length, room);
    else if (length < MIN_HEADER)
        snprintf(problem, sizeof problem,
                 "byte offset 0: header length: found %" PRIu64 ", allowed are %d to %d bytes", length,
                 MIN_HEADER, MAX_HEADER);
    else if (!header_follows)
        snprintf(problem, sizeof problem, "byte offset 8: the header must start with '{', found byte 0x%02x",
                 head[GDN_SAFETENSORS_LENGTH]);
    else
        return GDN_OK;
    return header_follows ? gdn_safetensors_refuse(r, "%s%s", problem,
                                                   length > room ? "; the file may be cut short" : "")
                          : refuse_foreign(r, head, n, problem);
}

/* *length: of the header. */
static gdn_status read_length(const reading *r, uint64_t *length)
{
    unsigned char head[HEAD];
    size_t n = r->f->size < HEAD ? (size_t)r->f->size : HEAD;
    if (n == 0)
        return gdn_safetensors_refuse(r, "not a safetensors file: byte offset 0: it is empty");
    gdn_status status = read_bytes(r, head, n, 0);
    if (status != GDN_OK)
        return status;
    if (n < GDN_SAFETENSORS_LENGTH + MIN_HEADER)
        return refuse_foreign(r, head, n, "byte offset 0: found fewer than the 10 bytes of an empty one");
    memcpy(length, head, sizeof *length);
    *length = le64toh(*length);
    return check_length(r, head, n, *length);
}

static gdn_status read_header(const reading *r)
{
    uint64_t length = 0;
    char *header = NULL;
    gdn_status status = read_length(r, &length);
    if (status != GDN_OK)
        goto done;
    header = malloc(length + 1); /* bounded by the file's size; never of 0 bytes */
    if (!header) {
        status = gdn_no_memory(r->err, "the header of a safetensors file");
        goto done;
    }
    r->f->data = GDN_SAFETENSORS_LENGTH + length;
    status = read_bytes(r, header, length, GDN_SAFETENSORS_LENGTH);
    if (status == GDN_OK)
        status = gdn_safetensors_entries(r, header, length);
done:
    free(header);
    return status;
}

/* ---- The data ---- */

static gdn_status map_data(const reading *r)
{
    gdn_safetensors *f = r->f;
    void *mapped = mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, r->fd, 0);
    if (mapped == MAP_FAILED)
        return system_failure(r, "its %" PRIu64 " bytes cannot be mapped: %s", f->size, strerror(errno));
    f->mapped = mapped;
    return GDN_OK;
}

/* ---- Public ---- */

/* The steps of opening a file on the disk or in memory; r->f is the result. */
static gdn_status open_any(reading *r, gdn_safetensors **out)
{
    *out = NULL;
    if (!r->f)
        return gdn_no_memory(r->err, "a safetensors file");
    gdn_status status = r->bytes ? GDN_OK : open_file(r);
    if (status == GDN_OK)
        status = read_header(r);
    if (status == GDN_OK && !r->bytes)
        status = map_data(r);
    if (r->fd >= 0)
        close(r->fd); /* a file that was only read has nothing to lose here */
    if (status != GDN_OK) {
        gdn_safetensors_close(r->f);
        r->f = NULL;
    }
    for (size_t i = 0; r->f && i < r->f->count; i++)
        r->f->tensor[i].data = r->f->mapped + r->f->tensor[i].begin;
    *out = r->f;
    return status;
}

gdn_status gdn_safetensors_open(const char *path, gdn_safetensors **out, gdn_error *err)
{
    reading r = {.f = calloc(1, sizeof *r.f), .path = path, .fd = -1, .err = err};
    return open_any(&r, out);
}

gdn_status gdn_safetensors_open_memory(const void *bytes, size_t n, const char *name, gdn_safetensors **out,
                                       gdn_error *err)
{
    reading r = {
        .f = calloc(1, sizeof *r.f), .path = name, .bytes = bytes ? bytes : "", .fd = -1, .err = err};
    if (r.f) {
        r.f->size = n;
        r.f->mapped = bytes;
        r.f->in_memory = true;
    }
    return open_any(&r, out);
}

void gdn_safetensors_close(gdn_safetensors *f)
{
    if (!f)
        return;
    if (f->mapped && !f->in_memory)
        munmap((void *)(uintptr_t)f->mapped, f->size);
    free(f->by_name);
    free(f->tensor);
    json_decref(f->metadata);
    free(f->names);
    free(f);
}

size_t gdn_safetensors_count(const gdn_safetensors *f)
{
    return f->count;
}

const gdn_tensor *gdn_safetensors_at(const gdn_safetensors *f, size_t i)
{
    return &f->tensor[i];
}

static int compare_names(const void *a, const void *b)
{
    const gdn_tensor *const *s = a, *const *t = b;
    return strcmp((*s)->name, (*t)->name);
}

const gdn_tensor *gdn_safetensors_find(const gdn_safetensors *f, const char *name)
{
    const gdn_tensor key = {.name = name}, *wanted = &key;
    const gdn_tensor *const *found =
        bsearch(&wanted, f->by_name, f->count, sizeof *f->by_name, compare_names);
    return found ? *found : NULL;
}

const char *gdn_safetensors_metadata(const gdn_safetensors *f, const char *key)
{
    return json_string_value(json_object_get(f->metadata, key));
}

const json_t *gdn_safetensors_metadata_object(const gdn_safetensors *f)
{
    return f->metadata;
}
