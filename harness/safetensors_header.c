/* SPDX-License-Identifier: Apache-2.0 */
/*
 * safetensors_header -- the JSON of a safetensors file, entry by entry; see safetensors.h.
 *
 * It is walked (json_walk.h), not loaded: a tree of 100 MB of JSON takes gigabytes, and has no byte offsets.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/json_walk.h"
#include "harness/safetensors_parts.h"
#include "harness/shown.h"

enum { MAX_METADATA = 100000 }; /* strings in __metadata__; those in use have a handful */

/* A tensor, and where in the header it is described. */
typedef struct entry {
    gdn_tensor t;
    size_t name, shape, offsets; /* of its name and of two of its values */
} entry;

typedef struct parsing {
    const gdn_safetensors_reading *r;
    gdn_json_walk w;
    char *text; /* [used] of the names so far; room for the rest of the header's strings behind it */
    size_t used;
    entry *entry; /* [count] */
    size_t count, room;
    const entry **by_name; /* [count] */
} parsing;

static const char allowed_entry[] = "allowed is an object of dtype, shape and data_offsets";

/* ---- Sentences ---- */

/* What is wrong stands at this place of the header. */
__attribute__((format(printf, 3, 4))) static gdn_status refuse_at(const parsing *p, size_t at,
                                                                  const char *format, ...)
{
    char sentence[sizeof p->r->err->text];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return gdn_safetensors_refuse(p->r, "byte offset %zu: %s", GDN_SAFETENSORS_LENGTH + at, sentence);
}

/* The same of a field of a tensor. */
__attribute__((format(printf, 5, 6))) static gdn_status
refuse_field(const parsing *p, size_t at, const entry *e, const char *field, const char *format, ...)
{
    char name[GDN_SHOWN], sentence[sizeof p->r->err->text];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return refuse_at(p, at, "tensor %s, %s: %s", gdn_quoted(e->t.name, name, sizeof name), field, sentence);
}

/* The walk stopped: why. GDN_OK when it only came to an end. */
static gdn_status walked(const parsing *p)
{
    if (p->w.no_memory)
        return gdn_no_memory(p->r->err, "the header of a safetensors file");
    if (p->w.problem[0])
        return refuse_at(p, p->w.at, "the header must be a JSON object: %s", p->w.problem);
    return GDN_OK;
}

/* ---- Fields of an entry; each is next when its function is called ---- */

static gdn_status read_dtype(parsing *p, entry *e)
{
    char found[GDN_SHOWN], allowed[256] = "";
    size_t used = 0, at = p->w.at;
    gdn_json_found(&p->w, found, sizeof found);
    if (gdn_json_peek(&p->w) == '"') {
        if (!gdn_json_string(&p->w, p->text + p->used))
            return walked(p);
        if (gdn_dtype_named(p->text + p->used, &e->t.dtype))
            return GDN_OK;
    }
    for (gdn_dtype d = 0; d < GDN_DTYPES; d++)
        used += (size_t)snprintf(allowed + used, sizeof allowed - used, " %s", gdn_dtype_name(d));
    return refuse_field(p, at, e, "dtype", "found %s, allowed are%s", found, allowed);
}

static gdn_status refuse_number(parsing *p, const entry *e, const char *field, int i)
{
    char found[GDN_SHOWN];
    gdn_json_found(&p->w, found, sizeof found);
    return refuse_field(p, p->w.at, e, field,
                        "found %s as number %d, allowed are integers from 0 to %" PRId64, found, i + 1,
                        INT64_MAX);
}

/* An array of at most `most` integers. out: [most]; *n: how many. */
static gdn_status read_numbers(parsing *p, const entry *e, const char *field, const char *allowed, int most,
                               int64_t *out, int *n)
{
    char found[GDN_SHOWN];
    size_t at = p->w.at;
    if (gdn_json_peek(&p->w) != '[')
        return refuse_field(p, at, e, field, "found %s, allowed is %s",
                            gdn_json_found(&p->w, found, sizeof found), allowed);
    for (*n = 0; gdn_json_next(&p->w, "[]", *n); ++*n) {
        if (*n == most)
            return refuse_field(p, p->w.at, e, field, "found a number %d, allowed is %s", most + 1, allowed);
        if (!gdn_json_count(&p->w, &out[*n]))
            return refuse_number(p, e, field, *n);
    }
    return walked(p);
}

static gdn_status read_shape(parsing *p, entry *e)
{
    e->shape = p->w.at;
    return read_numbers(p, e, "shape", "an array of at most 8 integers", GDN_MAX_RANK, e->t.dim, &e->t.rank);
}
_Static_assert(GDN_MAX_RANK == 8, "read_shape says it");

/* begin becomes an offset in the file. */
static gdn_status read_offsets(parsing *p, entry *e)
{
    const gdn_safetensors *f = p->r->f;
    const char *allowed = "an array of 2 integers";
    int64_t offset[2];
    int n = 0;
    size_t at = e->offsets = p->w.at;
    gdn_status status = read_numbers(p, e, "data_offsets", allowed, 2, offset, &n);
    if (status != GDN_OK)
        return status;
    if (n != 2)
        return refuse_field(p, at, e, "data_offsets", "found an array of %d, allowed is %s", n, allowed);
    if (offset[0] > offset[1])
        return refuse_field(p, at, e, "data_offsets",
                            "found begin %" PRId64 " > end %" PRId64 ", allowed is begin <= end", offset[0],
                            offset[1]);
    if ((uint64_t)offset[1] > f->size - f->data)
        return refuse_field(p, at, e, "data_offsets",
                            "found end %" PRId64 ", but the file has %" PRIu64
                            " bytes of data, from byte offset %" PRIu64 " on",
                            offset[1], f->size - f->data, f->data);
    e->t.begin = f->data + (uint64_t)offset[0];
    e->t.bytes = (uint64_t)(offset[1] - offset[0]);
    return GDN_OK;
}

/* The bytes between the offsets must be those of dtype x shape. */
static gdn_status check_bytes(const parsing *p, const entry *e)
{
    const gdn_tensor *t = &e->t;
    unsigned width = gdn_dtype_bits(t->dtype);
    int64_t n = 1;
    uint64_t bits;
    bool overflow = false;
    for (int i = 0; i < t->rank; i++)
        overflow |= __builtin_mul_overflow(n, t->dim[i], &n);
    overflow |= __builtin_mul_overflow((uint64_t)n, width, &bits);
    if (overflow)
        return refuse_field(p, e->shape, e, "shape",
                            "found more elements than can be counted, allowed are %" PRIu64 " bytes",
                            t->bytes);
    if (bits % 8 != 0)
        return refuse_field(p, e->shape, e, "shape",
                            "found %" PRId64 " elements of %u bits, allowed are whole bytes", n, width);
    if (bits / 8 != t->bytes)
        return refuse_field(p, e->offsets, e, "data_offsets",
                            "found %" PRIu64 " bytes, but the %" PRId64
                            " elements of %s in shape take %" PRIu64,
                            t->bytes, n, gdn_dtype_name(t->dtype), bits / 8);
    return GDN_OK;
}

static const struct field {
    const char *name;
    gdn_status (*read)(parsing *p, entry *e);
} fields[] = {{"dtype", read_dtype}, {"shape", read_shape}, {"data_offsets", read_offsets}};
enum { FIELDS = sizeof fields / sizeof *fields };

/* ---- Entries ---- */

/* The member that is next: its name, and its value into e. seen: fields that were there. */
static gdn_status read_field(parsing *p, entry *e, unsigned *seen)
{
    char name[GDN_SHOWN], *key = p->text + p->used;
    gdn_json_peek(&p->w);
    size_t at = p->w.at;
    int i = 0;
    if (!gdn_json_key(&p->w, key))
        return walked(p);
    while (i < FIELDS && strcmp(key, fields[i].name) != 0)
        i++;
    if (i == FIELDS)
        return refuse_field(p, at, e, gdn_quoted(key, name, sizeof name), "found an unknown field, %s",
                            allowed_entry);
    if (*seen & 1u << i)
        return refuse_field(p, at, e, fields[i].name, "found this field twice, allowed are unique keys");
    *seen |= 1u << i;
    gdn_json_peek(&p->w);
    return fields[i].read(p, e);
}

/* e->t.name is set, the rest is read here. */
static gdn_status read_entry(parsing *p, entry *e)
{
    char found[GDN_SHOWN], name[GDN_SHOWN];
    unsigned seen = 0;
    char c = gdn_json_peek(&p->w);
    size_t at = p->w.at;
    if (c != '{')
        return refuse_at(p, at, "tensor %s: found %s, %s", gdn_quoted(e->t.name, name, sizeof name),
                         gdn_json_found(&p->w, found, sizeof found), allowed_entry);
    for (int i = 0; gdn_json_next(&p->w, "{}", i); i++) {
        gdn_status status = read_field(p, e, &seen);
        if (status != GDN_OK)
            return status;
    }
    gdn_status status = walked(p);
    if (status != GDN_OK)
        return status;
    for (int i = 0; i < FIELDS; i++)
        if (!(seen & 1u << i))
            return refuse_field(p, at, e, fields[i].name, "found no such field, %s", allowed_entry);
    return check_bytes(p, e);
}

/* The member of __metadata__ that is next. */
static gdn_status read_note(parsing *p, json_t *metadata, int i)
{
    char found[GDN_SHOWN], name[GDN_SHOWN], *key = p->text + p->used;
    gdn_json_peek(&p->w);
    size_t at = p->w.at;
    if (!gdn_json_key(&p->w, key))
        return walked(p);
    gdn_quoted(key, name, sizeof name);
    if (i == MAX_METADATA)
        return refuse_at(p, at, "__metadata__: found string number %d, allowed are no more than %d", i + 1,
                         i);
    if (json_object_get(metadata, key))
        return refuse_at(p, at, "__metadata__, %s: found this key twice, allowed are unique keys", name);
    char *value = key + strlen(key) + 1, c = gdn_json_peek(&p->w);
    if (c != '"')
        return refuse_at(p, p->w.at, "__metadata__, %s: found %s, allowed is a string", name,
                         gdn_json_found(&p->w, found, sizeof found));
    if (!gdn_json_string(&p->w, value))
        return walked(p);
    if (json_object_set_new(metadata, key, json_string(value)) != 0)
        return gdn_no_memory(p->r->err, "the metadata of a safetensors file");
    return GDN_OK;
}

static gdn_status read_metadata(parsing *p, size_t name)
{
    gdn_safetensors *f = p->r->f;
    char found[GDN_SHOWN];
    if (f->metadata)
        return refuse_at(p, name, "__metadata__: found this key twice, allowed are unique keys");
    if (gdn_json_peek(&p->w) != '{')
        return refuse_at(p, p->w.at, "__metadata__: found %s, allowed is an object of strings",
                         gdn_json_found(&p->w, found, sizeof found));
    f->metadata = json_object();
    if (!f->metadata)
        return gdn_no_memory(p->r->err, "the metadata of a safetensors file");
    for (int i = 0; gdn_json_next(&p->w, "{}", i); i++) {
        gdn_status status = read_note(p, f->metadata, i);
        if (status != GDN_OK)
            return status;
    }
    return walked(p);
}

/* One more entry; NULL where there is no memory. */
static entry *new_entry(parsing *p)
{
    if (p->count == p->room) {
        size_t room = p->room ? 2 * p->room : 64;
        entry *more = realloc(p->entry, room * sizeof *more);
        if (!more)
            return NULL;
        p->entry = more;
        p->room = room;
    }
    p->entry[p->count] = (entry){0};
    return &p->entry[p->count++];
}

static gdn_status read_member(parsing *p)
{
    char *name = p->text + p->used;
    gdn_json_peek(&p->w);
    size_t at = p->w.at;
    if (!gdn_json_key(&p->w, name))
        return walked(p);
    if (strcmp(name, "__metadata__") == 0)
        return read_metadata(p, at);
    entry *e = new_entry(p);
    if (!e)
        return gdn_no_memory(p->r->err, "the tensors of a safetensors file");
    e->t.name = name;
    e->name = at;
    p->used += strlen(name) + 1;
    return read_entry(p, e);
}

static gdn_status read_members(parsing *p)
{
    for (int i = 0; gdn_json_next(&p->w, "{}", i); i++) {
        gdn_status status = read_member(p);
        if (status != GDN_OK)
            return status;
    }
    gdn_json_end(&p->w);
    return walked(p);
}

/* ---- All of them ---- */

static int compare_places(const void *a, const void *b)
{
    const gdn_tensor *s = &((const entry *)a)->t, *t = &((const entry *)b)->t;
    if (s->begin != t->begin)
        return s->begin < t->begin ? -1 : 1;
    if (s->bytes != t->bytes)
        return s->bytes < t->bytes ? -1 : 1;
    return strcmp(s->name, t->name);
}

static int compare_names(const void *a, const void *b)
{
    const entry *s = *(const entry *const *)a, *t = *(const entry *const *)b;
    int order = strcmp(s->t.name, t->t.name);
    return order ? order : s->name < t->name ? -1 : s->name > t->name;
}

/* Entries stand by place; no two may have one name. */
static gdn_status sort_names(parsing *p)
{
    p->by_name = gdn_calloc(p->count, sizeof *p->by_name);
    if (!p->by_name)
        return gdn_no_memory(p->r->err, "the tensors of a safetensors file");
    for (size_t i = 0; i < p->count; i++)
        p->by_name[i] = &p->entry[i];
    qsort(p->by_name, p->count, sizeof *p->by_name, compare_names);
    for (size_t i = 1; i < p->count; i++) {
        const entry *first = p->by_name[i - 1], *e = p->by_name[i];
        char name[GDN_SHOWN];
        if (strcmp(first->t.name, e->t.name) == 0)
            return refuse_at(
                p, e->name,
                "tensor %s: found this key twice, first at byte offset %zu; allowed are unique keys",
                gdn_quoted(e->t.name, name, sizeof name), GDN_SAFETENSORS_LENGTH + first->name);
    }
    return GDN_OK;
}

/* By offset, each tensor must begin where the one before it ends; the last ends with the file. */
static gdn_status check_layout(const parsing *p)
{
    const gdn_safetensors *f = p->r->f;
    uint64_t end = f->data;
    for (size_t i = 0; i < p->count; i++) {
        const entry *e = &p->entry[i];
        if (e->t.begin != end)
            return refuse_field(p, e->offsets, e, "data_offsets",
                                "found %s: it begins at byte offset %" PRIu64 ", allowed is %" PRIu64
                                ", where what lies before it ends",
                                e->t.begin < end ? "an overlap" : "a hole", e->t.begin, end);
        end += e->t.bytes;
    }
    if (end != f->size)
        return gdn_safetensors_refuse(
            p->r, "byte offset %" PRIu64 ": found %" PRIu64 " bytes that no tensor covers, allowed are none",
            end, f->size - end);
    return GDN_OK;
}

static gdn_status hand_over(parsing *p)
{
    gdn_safetensors *f = p->r->f;
    f->tensor = gdn_calloc(p->count, sizeof *f->tensor);
    f->by_name = gdn_calloc(p->count, sizeof *f->by_name);
    if (!f->tensor || !f->by_name)
        return gdn_no_memory(p->r->err, "the tensors of a safetensors file");
    f->count = p->count;
    for (size_t i = 0; i < p->count; i++) {
        f->tensor[i] = p->entry[i].t;
        f->by_name[i] = &f->tensor[p->by_name[i] - p->entry];
    }
    return GDN_OK;
}

gdn_status gdn_safetensors_entries(const gdn_safetensors_reading *r, const char *header, uint64_t length)
{
    parsing p = {.r = r, .w = {.text = header, .n = length}};
    p.text = r->f->names = malloc(length); /* a string takes its quotes' room less than the text */
    gdn_status status = p.text ? read_members(&p) : gdn_no_memory(r->err, "the header of a safetensors file");
    if (status == GDN_OK && p.count)
        qsort(p.entry, p.count, sizeof *p.entry, compare_places);
    if (status == GDN_OK)
        status = sort_names(&p);
    if (status == GDN_OK)
        status = check_layout(&p);
    if (status == GDN_OK)
        status = hand_over(&p);
    free(p.by_name);
    free(p.entry);
    return status;
}
