/* SPDX-License-Identifier: Apache-2.0 */
/* row_pack -- a task's rows as bytes; see row_pack.h. */
#include "harness/row_pack.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

typedef struct head {
    uint64_t magic, size, rows, texts, text_bytes;
    int64_t task;
    double seconds, certify_seconds;
    gdn_checksum sum[GDN_COVERS];
} head;

enum { FIELD = 8, TAIL = sizeof(uint64_t) };

/* Of ranks with other columns, or bytes in another order, another number. */
static uint64_t magic(void)
{
    uint64_t hash = GDN_SCHEMA;
    for (int c = 0; c < gdn_column_count; c++) {
        const gdn_column *column = &gdn_columns[c];
        hash = XXH3_64bits_withSeed(column->name, strlen(column->name), hash + (uint64_t)column->type);
    }
    return hash;
}

/* ---- to bytes ---- */

/* The texts of rows: many rows share few. Most share the pointer too. */
typedef struct texts {
    const char **text; /* [count] */
    uint64_t count, room;
    size_t bytes;
    const char *last[64]; /* [columns] what the row before had, and its index */
    uint64_t last_index[64];
} texts;

static const uint64_t NO_TEXT = UINT64_MAX;

static bool index_of(texts *t, const char *text, uint64_t *index)
{
    for (*index = 0; *index < t->count; ++*index)
        if (strcmp(t->text[*index], text) == 0)
            return true;
    if (t->count == t->room) {
        uint64_t room = t->room ? 2 * t->room : 64;
        const char **grown = realloc(t->text, room * sizeof *grown);
        if (!grown)
            return false;
        t->text = grown;
        t->room = room;
    }
    t->text[t->count++] = text;
    t->bytes += strlen(text) + 1;
    return true;
}

/* One row's columns to `to`: [columns][FIELD]. */
static bool pack_row(texts *t, const gdn_row *row, unsigned char *to)
{
    for (int c = 0; c < gdn_column_count; c++, to += FIELD) {
        const char *field = (const char *)row + gdn_columns[c].offset;
        if (gdn_columns[c].type != GDN_COLUMN_TEXT) {
            memcpy(to, field, FIELD);
            continue;
        }
        const char *text = *(const char *const *)(const void *)field;
        uint64_t index = NO_TEXT;
        if (text && text == t->last[c])
            index = t->last_index[c];
        else if (text && !index_of(t, text, &index))
            return false;
        t->last[c] = text;
        t->last_index[c] = index;
        memcpy(to, &index, sizeof index);
    }
    return true;
}

gdn_status gdn_harvest_pack(const gdn_harvest *harvest, unsigned char **out, size_t *size, gdn_error *err)
{
    const gdn_rows *rows = &harvest->rows;
    texts t = {0};
    size_t width = (size_t)gdn_column_count * FIELD, body = (size_t)rows->count * width;
    unsigned char *packed = malloc(body + 1), *all = NULL;
    bool room = packed != NULL;
    for (int64_t i = 0; i < rows->count && room; i++)
        room = pack_row(&t, &rows->row[i], packed + (size_t)i * width);
    head h;
    memset(&h, 0, sizeof h); /* what pads it is sent too */
    h.magic = magic();
    h.size = sizeof h + t.bytes + body + TAIL;
    h.rows = (uint64_t)rows->count;
    h.texts = t.count;
    h.text_bytes = t.bytes;
    h.task = harvest->task;
    h.seconds = harvest->seconds;
    h.certify_seconds = rows->certify_seconds;
    memcpy(h.sum, harvest->sum, sizeof h.sum);
    if (room && (all = malloc(h.size))) {
        unsigned char *at = all;
        memcpy(at, &h, sizeof h);
        at += sizeof h;
        for (uint64_t i = 0; i < t.count; i++) {
            size_t n = strlen(t.text[i]) + 1;
            memcpy(at, t.text[i], n);
            at += n;
        }
        memcpy(at, packed, body);
        uint64_t sum = XXH3_64bits(all, h.size - TAIL);
        memcpy(at + body, &sum, TAIL);
    }
    free(packed);
    free(t.text);
    *out = all;
    *size = h.size;
    return all ? GDN_OK : gdn_no_memory(err, "rows on their way to rank 0");
}

/* ---- and back ---- */

/* Copies of the head's texts; false where they do not fill text_bytes exactly, or memory is out. */
static bool take_texts(const head *h, const unsigned char *at, gdn_rows *rows)
{
    const unsigned char *end = at + h->text_bytes;
    rows->text = calloc(h->texts + 1, sizeof *rows->text);
    for (uint64_t i = 0; rows->text && i < h->texts; i++) {
        const unsigned char *zero = memchr(at, 0, (size_t)(end - at));
        if (!zero || !(rows->text[i] = strdup((const char *)at)))
            return false;
        rows->texts++;
        at = zero + 1;
    }
    return rows->text && at == end;
}

static bool take_row(const gdn_rows *rows, const unsigned char *at, gdn_row *row)
{
    for (int c = 0; c < gdn_column_count; c++, at += FIELD) {
        char *field = (char *)row + gdn_columns[c].offset;
        uint64_t index;
        const char *text = NULL;
        if (gdn_columns[c].type != GDN_COLUMN_TEXT) {
            memcpy(field, at, FIELD);
            continue;
        }
        memcpy(&index, at, sizeof index);
        if (index != NO_TEXT && index >= (uint64_t)rows->texts)
            return false;
        if (index != NO_TEXT)
            text = rows->text[index];
        memcpy(field, &text, sizeof text);
    }
    return true;
}

/* Does the head describe `size` bytes whose sum is right? */
static bool sound(const unsigned char *bytes, size_t size, head *h)
{
    size_t width = (size_t)gdn_column_count * FIELD;
    uint64_t sum;
    if (size < sizeof *h + TAIL)
        return false;
    memcpy(h, bytes, sizeof *h);
    memcpy(&sum, bytes + size - TAIL, TAIL);
    size_t body = size - sizeof *h - TAIL;
    for (int c = 0; c < GDN_COVERS; c++)
        if (!memchr(h->sum[c].sum, 0, sizeof h->sum[c].sum))
            return false;
    return h->magic == magic() && h->size == size && h->text_bytes <= body && h->texts <= h->text_bytes &&
           (body - h->text_bytes) % width == 0 && (body - h->text_bytes) / width == h->rows &&
           sum == XXH3_64bits(bytes, size - TAIL);
}

gdn_status gdn_harvest_unpack(const unsigned char *bytes, size_t size, gdn_harvest *harvest, gdn_error *err)
{
    head h;
    gdn_rows rows = {0};
    size_t width = (size_t)gdn_column_count * FIELD;
    bool good = sound(bytes, size, &h) && take_texts(&h, bytes + sizeof h, &rows);
    if (good && !(rows.row = calloc(h.rows + 1, sizeof *rows.row)))
        good = false;
    for (uint64_t i = 0; good && i < h.rows; i++)
        good = take_row(&rows, bytes + sizeof h + h.text_bytes + i * width, &rows.row[i]);
    if (!good) {
        gdn_rows_free(&rows);
        return gdn_fail(err, GDN_MACHINE,
                        "the rows of a task came broken from another rank, or memory is out");
    }
    rows.count = rows.room = (int64_t)h.rows;
    rows.certify_seconds = h.certify_seconds;
    *harvest = (gdn_harvest){.task = h.task, .seconds = h.seconds, .rows = rows};
    memcpy(harvest->sum, h.sum, sizeof h.sum);
    return GDN_OK;
}
