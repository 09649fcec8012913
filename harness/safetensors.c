/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors -- reading and checking safetensors files; see safetensors.h. */
#include "harness/safetensors.h"

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/format.h"

enum {
    LENGTH_BYTES = 8,       /* of the header's length, at byte offset 0 */
    MIN_HEADER = 2,         /* {} */
    MAX_HEADER = 100000000, /* the official reader's limit */
    HEAD = 24,              /* bytes enough to tell what a foreign file is */
    QUOTED = 112,           /* room for a quoted name */
    SHOWN_PATH = 192        /* of a path; sentence and path share gdn_error.text */
};

_Static_assert(sizeof(size_t) >= 8, "a file is mapped whole");

struct gdn_safetensors {
    uint64_t size;               /* of the file */
    uint64_t data;               /* byte offset at which the tensors begin */
    json_t *root;                /* owns all names and the metadata */
    size_t count;                /* of tensors */
    gdn_tensor *tensor;          /* [count], by offset */
    const gdn_tensor **by_name;  /* [count], by name */
    const unsigned char *mapped; /* [size] */
};

/* What every step of opening needs. */
typedef struct reading {
    gdn_safetensors *f;
    const char *path;
    int fd;
    gdn_error *err;
} reading;

/* ---- Sentences ---- */

/* The path, of a long one the end. */
static const char *shown_path(const char *path)
{
    size_t n = strlen(path);
    return n > SHOWN_PATH ? path + (n - SHOWN_PATH) : path;
}

__attribute__((format(printf, 3, 0))) static gdn_status fail(const reading *r, gdn_status status,
                                                             const char *format, va_list args)
{
    char sentence[sizeof r->err->text];
    vsnprintf(sentence, sizeof sentence, format, args);
    const char *shown = shown_path(r->path);
    return gdn_fail(r->err, status, "%s%s: %s", shown == r->path ? "" : "...", shown, sentence);
}

__attribute__((format(printf, 2, 3))) static gdn_status refuse(const reading *r, const char *format, ...)
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

/*
 * s without what could command a terminal, since it comes from the file: \xNN instead; cut where it is long.
 * s: [n]; out: [QUOTED], of which two are left for quotes.
 */
static void show_bytes(const unsigned char *s, size_t n, char *out)
{
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (used + sizeof "\"\\xNN...\"" > QUOTED) {
            used += (size_t)sprintf(out + used, "...");
            break;
        }
        if (s[i] >= 0x20 && s[i] < 0x7f)
            out[used++] = (char)s[i];
        else
            used += (size_t)sprintf(out + used, "\\x%02x", s[i]);
    }
    out[used] = '\0';
}

static const char *quoted_bytes(const unsigned char *s, size_t n, char *out)
{
    out[0] = '"';
    show_bytes(s, n, out + 1);
    return strcat(out, "\"");
}

static const char *quoted(const char *s, char *out)
{
    return quoted_bytes((const unsigned char *)s, strlen(s), out);
}

/* What a JSON value is, for "found ...". out: [QUOTED]. */
static const char *shown_value(const json_t *value, char *out)
{
    static const char *const words[] = {
        [JSON_OBJECT] = "an object", [JSON_TRUE] = "true", [JSON_FALSE] = "false", [JSON_NULL] = "null"};
    json_type type = json_typeof(value);
    if (type == JSON_STRING)
        return quoted(json_string_value(value), out);
    if (type == JSON_INTEGER)
        snprintf(out, QUOTED, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (type == JSON_REAL)
        snprintf(out, QUOTED, "the real number %.17g", json_real_value(value));
    else if (type == JSON_ARRAY)
        snprintf(out, QUOTED, "an array of %zu", json_array_size(value));
    else
        snprintf(out, QUOTED, "%s", words[type]);
    return out;
}

/* ---- Element types ---- */

static uint16_t load16(const unsigned char *p)
{
    uint16_t u;
    memcpy(&u, p, sizeof u);
    return le16toh(u);
}

/* In these, in: [n] elements, out: [n]. */
static void floats_of_f32(const unsigned char *in, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, in + 4 * i, sizeof u);
        u = le32toh(u);
        memcpy(&out[i], &u, sizeof u); /* not through a float, which may quieten a signalling NaN */
    }
}

static void floats_of_bf16(const unsigned char *in, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = gdn_bf16_to_float(load16(in + 2 * i));
}

static void floats_of_f16(const unsigned char *in, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = gdn_fp16_to_float(load16(in + 2 * i));
}

/* e5m2 is the upper half of an fp16. */
static void floats_of_e5m2(const unsigned char *in, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = gdn_fp16_to_float((uint16_t)(in[i] << 8));
}

/*
 * e4m3 with its exponent field put into fp16's is 2^(7 - 15) of its value, subnormals included. The all-ones
 * pattern, where OCP has its NaN, would become a number there.
 */
static void floats_of_e4m3(const unsigned char *in, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) {
        unsigned sign = in[i] & 0x80u, size = in[i] & 0x7fu;
        float x = 256.0f * gdn_fp16_to_float((uint16_t)(sign << 8 | size << 7));
        out[i] = size == 0x7f ? copysignf(NAN, x) : x;
    }
}

static const struct {
    const char *name;
    unsigned bits;
    void (*floats)(const unsigned char *in, int64_t n, float *out); /* NULL: no exact float, or never met */
} dtypes[GDN_DTYPES] = {
    [GDN_DTYPE_BOOL] = {"BOOL", 8, NULL},
    [GDN_DTYPE_F4] = {"F4", 4, NULL},
    [GDN_DTYPE_F6_E2M3] = {"F6_E2M3", 6, NULL},
    [GDN_DTYPE_F6_E3M2] = {"F6_E3M2", 6, NULL},
    [GDN_DTYPE_U8] = {"U8", 8, NULL},
    [GDN_DTYPE_I8] = {"I8", 8, NULL},
    [GDN_DTYPE_F8_E5M2] = {"F8_E5M2", 8, floats_of_e5m2},
    [GDN_DTYPE_F8_E4M3] = {"F8_E4M3", 8, floats_of_e4m3},
    [GDN_DTYPE_F8_E8M0] = {"F8_E8M0", 8, NULL},
    [GDN_DTYPE_F8_E4M3FNUZ] = {"F8_E4M3FNUZ", 8, NULL},
    [GDN_DTYPE_F8_E5M2FNUZ] = {"F8_E5M2FNUZ", 8, NULL},
    [GDN_DTYPE_I16] = {"I16", 16, NULL},
    [GDN_DTYPE_U16] = {"U16", 16, NULL},
    [GDN_DTYPE_F16] = {"F16", 16, floats_of_f16},
    [GDN_DTYPE_BF16] = {"BF16", 16, floats_of_bf16},
    [GDN_DTYPE_I32] = {"I32", 32, NULL},
    [GDN_DTYPE_U32] = {"U32", 32, NULL},
    [GDN_DTYPE_F32] = {"F32", 32, floats_of_f32},
    [GDN_DTYPE_C64] = {"C64", 64, NULL},
    [GDN_DTYPE_F64] = {"F64", 64, NULL},
    [GDN_DTYPE_I64] = {"I64", 64, NULL},
    [GDN_DTYPE_U64] = {"U64", 64, NULL},
};

const char *gdn_dtype_name(gdn_dtype dtype)
{
    return dtypes[dtype].name;
}

unsigned gdn_dtype_bits(gdn_dtype dtype)
{
    return dtypes[dtype].bits;
}

int64_t gdn_tensor_elements(const gdn_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= t->dim[i];
    return n;
}

gdn_status gdn_tensor_floats(const gdn_tensor *t, float *out, gdn_error *err)
{
    if (dtypes[t->dtype].floats) {
        dtypes[t->dtype].floats(t->data, gdn_tensor_elements(t), out);
        return GDN_OK;
    }
    char name[QUOTED];
    return gdn_fail(err, GDN_BAD_INPUT,
                    "tensor %s, dtype: found %s, %s; allowed are F32, F16, BF16, F8_E4M3 and F8_E5M2",
                    quoted(t->name, name), dtypes[t->dtype].name,
                    t->dtype == GDN_DTYPE_F64 ? "and fp64 tensors do not fit in fp32 exactly"
                                              : "which is not read as floating-point numbers");
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
        return refuse(r, "not a safetensors file: it is %s; allowed is a regular file",
                      S_ISDIR(s.st_mode) ? "a directory" : "a device, pipe or socket");
    r->f->size = (uint64_t)s.st_size;
    return GDN_OK;
}

/* bytes: [n], from byte offset `from` of the file on. */
static gdn_status read_bytes(const reading *r, void *bytes, uint64_t n, uint64_t from)
{
    for (uint64_t done = 0; done < n;) {
        ssize_t got = pread(r->fd, (char *)bytes + done, n - done, (off_t)(from + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return system_failure(r, "cannot be read at byte offset %" PRIu64 ": %s", from + done,
                                  strerror(errno));
        if (got == 0)
            return refuse(r, "was cut short to %" PRIu64 " bytes while it was read", from + done);
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
    char begin[QUOTED];
    const char *kind = foreign_kind(head, n);
    return refuse(r, "not a safetensors file: %s; it begins with %s%s%s", problem,
                  quoted_bytes(head, n, begin), kind ? ", like " : "", kind ? kind : "");
}

/* Whatever is wrong: where a '{' follows the length, the file is a damaged one, else a foreign one. */
static gdn_status check_length(const reading *r, const unsigned char *head, size_t n, uint64_t length)
{
    char problem[128];
    uint64_t room = r->f->size - LENGTH_BYTES;
    bool header_follows = n > LENGTH_BYTES && head[LENGTH_BYTES] == '{';
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
                 head[LENGTH_BYTES]);
    else
        return GDN_OK;
    return header_follows ? refuse(r, "%s%s", problem, length > room ? "; the file may be cut short" : "")
                          : refuse_foreign(r, head, n, problem);
}

/* *length: of the header. */
static gdn_status read_length(const reading *r, uint64_t *length)
{
    unsigned char head[HEAD];
    size_t n = r->f->size < HEAD ? (size_t)r->f->size : HEAD;
    if (n == 0)
        return refuse(r, "not a safetensors file: it is empty");
    gdn_status status = read_bytes(r, head, n, 0);
    if (status != GDN_OK)
        return status;
    if (n < LENGTH_BYTES + MIN_HEADER)
        return refuse_foreign(r, head, n, "found fewer than the 10 bytes of an empty one");
    memcpy(length, head, sizeof *length);
    *length = le64toh(*length);
    return check_length(r, head, n, *length);
}

/* header: [length]. */
static gdn_status parse_header(const reading *r, const char *header, uint64_t length)
{
    json_error_t error;
    char text[QUOTED];
    errno = 0;
    r->f->root = json_loadb(header, length, JSON_REJECT_DUPLICATES, &error);
    if (r->f->root)
        return GDN_OK;
    /* Where jansson finds no memory it may blame the token at hand, but malloc has left its mark. */
    if (errno == ENOMEM || json_error_code(&error) == json_error_out_of_memory)
        return gdn_no_memory(r->err, "the header of a safetensors file");
    /* It stops before a byte that is not UTF-8, and else behind the byte at which it saw the error. */
    uint64_t at = LENGTH_BYTES + (uint64_t)error.position;
    if (error.position > 0 && json_error_code(&error) != json_error_invalid_utf8)
        at--;
    show_bytes((const unsigned char *)error.text, strlen(error.text), text);
    return refuse(r, "byte offset %" PRIu64 ": the header must be a JSON object with unique keys, found: %s",
                  at, text);
}

static gdn_status read_header(const reading *r)
{
    uint64_t length = 0;
    char *header = NULL;
    gdn_status status = read_length(r, &length);
    if (status != GDN_OK)
        goto done;
    header = malloc(length); /* bounded by the file's size */
    if (!header) {
        status = gdn_no_memory(r->err, "the header of a safetensors file");
        goto done;
    }
    status = read_bytes(r, header, length, LENGTH_BYTES);
    if (status == GDN_OK)
        status = parse_header(r, header, length);
    r->f->data = LENGTH_BYTES + length;
done:
    free(header);
    return status;
}

/* ---- The header's entries ---- */

/* Refuse a field of a tensor: what was found there, and what is allowed. */
__attribute__((format(printf, 4, 5))) static gdn_status
refuse_field(const reading *r, const gdn_tensor *t, const char *field, const char *format, ...)
{
    char name[QUOTED], sentence[sizeof r->err->text];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return refuse(r, "tensor %s, %s: %s", quoted(t->name, name), field, sentence);
}

static gdn_status read_dtype(const reading *r, const json_t *value, gdn_tensor *t)
{
    char found[QUOTED], allowed[256] = "";
    size_t used = 0;
    for (int i = 0; i < GDN_DTYPES; i++) {
        if (json_is_string(value) && strcmp(json_string_value(value), dtypes[i].name) == 0) {
            t->dtype = (gdn_dtype)i;
            return GDN_OK;
        }
        used += (size_t)snprintf(allowed + used, sizeof allowed - used, " %s", dtypes[i].name);
    }
    return refuse_field(r, t, "dtype", "found %s, allowed are%s", shown_value(value, found), allowed);
}

static gdn_status read_shape(const reading *r, const json_t *value, gdn_tensor *t)
{
    char found[QUOTED];
    if (!json_is_array(value) || json_array_size(value) > GDN_MAX_RANK)
        return refuse_field(r, t, "shape", "found %s, allowed is an array of at most %d integers",
                            shown_value(value, found), GDN_MAX_RANK);
    t->rank = (int)json_array_size(value);
    for (int i = 0; i < t->rank; i++) {
        const json_t *dim = json_array_get(value, (size_t)i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return refuse_field(r, t, "shape", "found %s as number %d, allowed are integers >= 0",
                                shown_value(dim, found), i + 1);
        t->dim[i] = json_integer_value(dim);
    }
    return GDN_OK;
}

/* begin becomes an offset in the file. */
static gdn_status read_offsets(const reading *r, const json_t *value, gdn_tensor *t)
{
    char found[QUOTED];
    uint64_t offset[2], room = r->f->size - r->f->data;
    if (!json_is_array(value) || json_array_size(value) != 2)
        return refuse_field(r, t, "data_offsets", "found %s, allowed is an array of 2 integers",
                            shown_value(value, found));
    for (size_t i = 0; i < 2; i++) {
        const json_t *number = json_array_get(value, i);
        if (!json_is_integer(number) || json_integer_value(number) < 0)
            return refuse_field(r, t, "data_offsets", "found %s as number %zu, allowed are integers >= 0",
                                shown_value(number, found), i + 1);
        offset[i] = (uint64_t)json_integer_value(number);
    }
    if (offset[0] > offset[1])
        return refuse_field(r, t, "data_offsets",
                            "found begin %" PRIu64 " > end %" PRIu64 ", allowed is begin <= end", offset[0],
                            offset[1]);
    if (offset[1] > room)
        return refuse_field(r, t, "data_offsets",
                            "found end %" PRIu64 ", but the file has %" PRIu64
                            " bytes of data, from byte offset %" PRIu64 " on",
                            offset[1], room, r->f->data);
    t->begin = r->f->data + offset[0];
    t->bytes = offset[1] - offset[0];
    return GDN_OK;
}

/* The bytes between the offsets must be those of dtype x shape. */
static gdn_status check_bytes(const reading *r, const gdn_tensor *t)
{
    int64_t n = 1;
    uint64_t bits;
    bool overflow = false;
    for (int i = 0; i < t->rank; i++)
        overflow |= __builtin_mul_overflow(n, t->dim[i], &n);
    overflow |= __builtin_mul_overflow((uint64_t)n, dtypes[t->dtype].bits, &bits);
    if (overflow)
        return refuse_field(r, t, "shape",
                            "found more elements than can be counted, allowed are %" PRIu64 " bytes",
                            t->bytes);
    if (bits % 8 != 0)
        return refuse_field(r, t, "shape", "found %" PRId64 " elements of %u bits, allowed are whole bytes",
                            n, dtypes[t->dtype].bits);
    if (bits / 8 != t->bytes)
        return refuse_field(r, t, "data_offsets",
                            "found %" PRIu64 " bytes, but the %" PRId64
                            " elements of %s in shape take %" PRIu64,
                            t->bytes, n, dtypes[t->dtype].name, bits / 8);
    return GDN_OK;
}

static const struct field {
    const char *name;
    gdn_status (*read)(const reading *r, const json_t *value, gdn_tensor *t);
} fields[] = {{"dtype", read_dtype}, {"shape", read_shape}, {"data_offsets", read_offsets}};
enum { FIELDS = sizeof fields / sizeof *fields };

static bool is_field(const char *key)
{
    for (int i = 0; i < FIELDS; i++)
        if (strcmp(key, fields[i].name) == 0)
            return true;
    return false;
}

/* t->name is set, the rest is read here. */
static gdn_status read_entry(const reading *r, json_t *entry, gdn_tensor *t)
{
    const char *allowed = "allowed is an object of dtype, shape and data_offsets";
    char found[QUOTED], name[QUOTED];
    const char *key;
    json_t *value;
    if (!json_is_object(entry))
        return refuse(r, "tensor %s: found %s, %s", quoted(t->name, name), shown_value(entry, found),
                      allowed);
    json_object_foreach(entry, key, value)
    {
        if (!is_field(key))
            return refuse_field(r, t, quoted(key, found), "found an unknown field, %s", allowed);
    }
    for (int i = 0; i < FIELDS; i++) {
        value = json_object_get(entry, fields[i].name);
        gdn_status status = value ? fields[i].read(r, value, t)
                                  : refuse_field(r, t, fields[i].name, "found no such field, %s", allowed);
        if (status != GDN_OK)
            return status;
    }
    return check_bytes(r, t);
}

static gdn_status check_metadata(const reading *r, json_t *metadata)
{
    char found[QUOTED], name[QUOTED];
    const char *key;
    json_t *value;
    if (!json_is_object(metadata))
        return refuse(r, "__metadata__: found %s, allowed is an object of strings",
                      shown_value(metadata, found));
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value))
            return refuse(r, "__metadata__, %s: found %s, allowed is a string", quoted(key, name),
                          shown_value(value, found));
    }
    return GDN_OK;
}

static gdn_status read_entries(const reading *r)
{
    gdn_safetensors *f = r->f;
    size_t entries = json_object_size(f->root); /* bounded by the header's length */
    const char *key;
    json_t *value;
    f->tensor = gdn_calloc(entries, sizeof *f->tensor);
    f->by_name = gdn_calloc(entries, sizeof *f->by_name);
    if (!f->tensor || !f->by_name)
        return gdn_no_memory(r->err, "the tensors of a safetensors file");
    json_object_foreach(f->root, key, value)
    {
        gdn_status status;
        if (strcmp(key, "__metadata__") == 0) {
            status = check_metadata(r, value);
        } else {
            gdn_tensor *t = &f->tensor[f->count++];
            t->name = key;
            status = read_entry(r, value, t);
        }
        if (status != GDN_OK)
            return status;
    }
    return GDN_OK;
}

/* ---- The data ---- */

static int compare_places(const void *a, const void *b)
{
    const gdn_tensor *s = a, *t = b;
    if (s->begin != t->begin)
        return s->begin < t->begin ? -1 : 1;
    if (s->bytes != t->bytes)
        return s->bytes < t->bytes ? -1 : 1;
    return strcmp(s->name, t->name);
}

static int compare_names(const void *a, const void *b)
{
    const gdn_tensor *const *s = a, *const *t = b;
    return strcmp((*s)->name, (*t)->name);
}

/* By offset, each tensor must begin where the one before it ends; the last ends with the file. */
static gdn_status check_layout(const reading *r)
{
    gdn_safetensors *f = r->f;
    uint64_t end = f->data;
    qsort(f->tensor, f->count, sizeof *f->tensor, compare_places);
    for (size_t i = 0; i < f->count; i++) {
        const gdn_tensor *t = &f->tensor[i];
        if (t->begin != end)
            return refuse_field(r, t, "data_offsets",
                                "found %s: it begins at byte offset %" PRIu64 ", allowed is %" PRIu64
                                ", where what lies before it ends",
                                t->begin < end ? "an overlap" : "a hole", t->begin, end);
        end += t->bytes;
    }
    if (end != f->size)
        return refuse(
            r, "byte offset %" PRIu64 ": found %" PRIu64 " bytes that no tensor covers, allowed are none",
            end, f->size - end);
    return GDN_OK;
}

static gdn_status map_data(const reading *r)
{
    gdn_safetensors *f = r->f;
    void *mapped = mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, r->fd, 0);
    if (mapped == MAP_FAILED)
        return system_failure(r, "its %" PRIu64 " bytes cannot be mapped: %s", f->size, strerror(errno));
    f->mapped = mapped;
    for (size_t i = 0; i < f->count; i++) {
        f->tensor[i].data = f->mapped + f->tensor[i].begin;
        f->by_name[i] = &f->tensor[i];
    }
    qsort(f->by_name, f->count, sizeof *f->by_name, compare_names);
    return GDN_OK;
}

/* ---- Public ---- */

gdn_status gdn_safetensors_open(const char *path, gdn_safetensors **out, gdn_error *err)
{
    static gdn_status (*const steps[])(const reading *r) = {read_header, read_entries, check_layout,
                                                            map_data};
    reading r = {.f = calloc(1, sizeof *r.f), .path = path, .fd = -1, .err = err};
    gdn_status status = r.f ? open_file(&r) : gdn_no_memory(err, "a safetensors file");
    for (size_t i = 0; status == GDN_OK && i < sizeof steps / sizeof *steps; i++)
        status = steps[i](&r);
    if (r.fd >= 0)
        close(r.fd); /* a file that was only read has nothing to lose here */
    if (status != GDN_OK) {
        gdn_safetensors_close(r.f);
        r.f = NULL;
    }
    *out = r.f;
    return status;
}

void gdn_safetensors_close(gdn_safetensors *f)
{
    if (!f)
        return;
    if (f->mapped)
        munmap((void *)(uintptr_t)f->mapped, f->size);
    free(f->by_name);
    free(f->tensor);
    json_decref(f->root);
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

const gdn_tensor *gdn_safetensors_find(const gdn_safetensors *f, const char *name)
{
    const gdn_tensor key = {.name = name}, *wanted = &key;
    const gdn_tensor *const *found =
        bsearch(&wanted, f->by_name, f->count, sizeof *f->by_name, compare_names);
    return found ? *found : NULL;
}

const char *gdn_safetensors_metadata(const gdn_safetensors *f, const char *key)
{
    return json_string_value(json_object_get(json_object_get(f->root, "__metadata__"), key));
}
