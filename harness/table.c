/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table -- reading CSV files; see table.h.
 *
 * The file is read whole and cut up in place: every field becomes a NUL-terminated string inside the one
 * buffer, and a table of 32-bit offsets says where it begins.
 */
#include "harness/table.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHOWN = 60, /* characters of a path or field that a sentence shows */
    FIRST_CHUNK = 64 * 1024,
    FIRST_FIELDS = 1024
};

struct gdn_table {
    char *path; /* for sentences */
    char *text; /* [bytes + 1] the fields, each NUL-terminated */
    size_t bytes;
    uint32_t *field; /* [fields] offset in text; the header's columns first, then row by row */
    size_t fields, room;
    uint32_t *line; /* [rows] line on which the row begins */
    size_t rows, line_room;
    size_t columns;
};

/* Where the parser stands. */
typedef struct cursor {
    gdn_table *t;
    size_t at;     /* next byte to read */
    uint32_t line; /* its line, from 1 */
    gdn_error *err;
} cursor;

/* ---- Sentences ---- */

/* Of a long path the end. */
static const char *shown_path(const char *path)
{
    size_t n = strlen(path);
    return n > 3 * SHOWN ? path + (n - 3 * SHOWN) : path;
}

/* s with '?' for all but printable ASCII, cut where it is long. out: [SHOWN + 4]. */
static const char *shown_text(const char *s, char *out)
{
    size_t n = 0;
    for (; n < SHOWN && s[n]; n++)
        out[n] = s[n] < 0x20 || s[n] >= 0x7f ? '?' : s[n];
    snprintf(out + n, 4, "%s", s[n] ? "..." : "");
    return out;
}

static gdn_status refuse(const cursor *c, uint32_t line, const char *what)
{
    return gdn_fail(c->err, GDN_BAD_INPUT, "%s: line %u: %s", shown_path(c->t->path), line, what);
}

/* ---- Reading the file ---- */

static gdn_status open_failure(const char *path, gdn_error *err)
{
    int why = errno;
    bool path_is_wrong = why == ENOENT || why == EACCES || why == ENOTDIR || why == EISDIR || why == ELOOP ||
                         why == ENAMETOOLONG;
    return gdn_fail(err, path_is_wrong ? GDN_BAD_INPUT : GDN_MACHINE, "%s: cannot be read: %s",
                    shown_path(path), strerror(why));
}

/* Make room for `size` bytes and a NUL. */
static gdn_status grow_text(gdn_table *t, size_t size, gdn_error *err)
{
    char *p = realloc(t->text, size + 1);
    if (!p)
        return gdn_no_memory(err, "a CSV file");
    t->text = p;
    return GDN_OK;
}

/* The whole stream into t->text. */
static gdn_status slurp(FILE *f, gdn_table *t, gdn_error *err)
{
    size_t room = FIRST_CHUNK;
    gdn_status status = grow_text(t, room, err);
    while (status == GDN_OK) {
        size_t n = fread(t->text + t->bytes, 1, room - t->bytes, f);
        t->bytes += n;
        if (ferror(f))
            return open_failure(t->path, err);
        if (n == 0)
            break;
        if (t->bytes > GDN_TABLE_MAX_BYTES)
            return gdn_fail(err, GDN_BAD_INPUT, "%s: is larger than %d MiB, the most that is read as a table",
                            shown_path(t->path), GDN_TABLE_MAX_BYTES >> 20);
        if (t->bytes == room) {
            room *= 2;
            status = grow_text(t, room, err);
        }
    }
    if (status == GDN_OK)
        t->text[t->bytes] = '\0';
    return status;
}

static gdn_status read_file(gdn_table *t, gdn_error *err)
{
    FILE *f = fopen(t->path, "rb");
    if (!f)
        return open_failure(t->path, err);
    gdn_status status = slurp(f, t, err);
    fclose(f);
    return status;
}

/* ---- Cutting it up ---- */

/* Append x to the growing array *list of n entries with room for *room. */
static gdn_status append(uint32_t **list, size_t n, size_t *room, size_t x, gdn_error *err)
{
    if (n == *room) {
        size_t more = *room ? 2 * *room : FIRST_FIELDS;
        uint32_t *p = realloc(*list, more * sizeof *p);
        if (!p)
            return gdn_no_memory(err, "the fields of a CSV file");
        *list = p;
        *room = more;
    }
    (*list)[n] = (uint32_t)x;
    return GDN_OK;
}

/* After the quote that opens a field: unquote it in place; c->at ends behind the closing quote. */
static gdn_status quoted_field(cursor *c, size_t *end)
{
    char *s = c->t->text;
    uint32_t opened = c->line;
    size_t to = c->at;
    for (; c->at < c->t->bytes; c->at++) {
        if (s[c->at] == '"') {
            if (s[c->at + 1] != '"') { /* text[bytes] is NUL */
                c->at++;
                *end = to;
                return GDN_OK;
            }
            c->at++;
        }
        c->line += s[c->at] == '\n';
        s[to++] = s[c->at];
    }
    return refuse(c, opened, "a quoted field is never closed");
}

static gdn_status bare_field(cursor *c, size_t *end)
{
    const char *s = c->t->text;
    while (c->at < c->t->bytes && !strchr(",\r\n\"", s[c->at]))
        c->at++;
    if (s[c->at] == '"')
        return refuse(c, c->line, "a quote stands inside a field that does not begin with one");
    *end = c->at;
    return GDN_OK;
}

/* One field and the separator behind it; *last says whether the row ends here. */
static gdn_status next_field(cursor *c, bool *last)
{
    gdn_table *t = c->t;
    bool quoted = t->text[c->at] == '"';
    size_t begin = c->at += quoted, end = 0;
    gdn_status status = quoted ? quoted_field(c, &end) : bare_field(c, &end);
    if (status != GDN_OK)
        return status;
    char stop = t->text[c->at];
    if (stop == '\r' && t->text[c->at + 1] == '\n')
        stop = t->text[++c->at];
    if (c->at < t->bytes && stop != ',' && stop != '\n')
        return refuse(c, c->line,
                      quoted ? "text follows a closing quote" : "a carriage return without a line feed");
    *last = stop != ',';
    c->at += c->at < t->bytes;
    t->text[end] = '\0';
    if (t->fields == GDN_TABLE_MAX_FIELDS)
        return refuse(c, c->line, "has field number 268,435,457; no more than 2^28 are read as a table");
    status = append(&t->field, t->fields, &t->room, begin, c->err);
    t->fields += status == GDN_OK;
    return status;
}

/* One row. *count: its fields. */
static gdn_status next_row(cursor *c, size_t *count)
{
    bool last = false;
    gdn_status status = GDN_OK;
    uint32_t line = c->line;
    for (*count = 0; status == GDN_OK && !last; ++*count) {
        if (*count == GDN_TABLE_MAX_COLUMNS)
            return refuse(c, line, "has more than 256 fields");
        status = next_field(c, &last);
    }
    c->line++;
    return status;
}

_Static_assert(GDN_TABLE_MAX_COLUMNS == 256, "the sentence in next_row says so");
_Static_assert(GDN_TABLE_MAX_FIELDS == 1 << 28, "the sentence in next_field says so");

static gdn_status read_header(cursor *c)
{
    static const char mark[] = "\xef\xbb\xbf";
    gdn_table *t = c->t;
    if (t->bytes >= 3 && memcmp(t->text, mark, 3) == 0)
        c->at = 3;
    if (c->at == t->bytes)
        return refuse(c, 1, "is empty; a header with the names of the columns is expected");
    gdn_status status = next_row(c, &t->columns);
    char name[SHOWN + 4], what[SHOWN + 64];
    for (size_t i = 0; status == GDN_OK && i < t->columns; i++) {
        if (!*gdn_table_name(t, i)) {
            snprintf(what, sizeof what, "column %zu has no name", i + 1);
            status = refuse(c, 1, what);
        }
        for (size_t j = 0; status == GDN_OK && j < i; j++)
            if (strcmp(gdn_table_name(t, i), gdn_table_name(t, j)) == 0) {
                snprintf(what, sizeof what, "the column \"%s\" stands there twice",
                         shown_text(gdn_table_name(t, i), name));
                status = refuse(c, 1, what);
            }
    }
    return status;
}

static gdn_status read_rows(cursor *c)
{
    gdn_table *t = c->t;
    gdn_status status = GDN_OK;
    while (status == GDN_OK && c->at < t->bytes) {
        size_t count;
        uint32_t line = c->line;
        status = next_row(c, &count);
        if (status == GDN_OK && count != t->columns) {
            char what[80];
            snprintf(what, sizeof what, "has %zu fields; the header has %zu", count, t->columns);
            status = refuse(c, line, what);
        }
        if (status == GDN_OK)
            status = append(&t->line, t->rows, &t->line_room, line, c->err);
        t->rows += status == GDN_OK;
    }
    return status;
}

/* A NUL byte would end a field early. */
static gdn_status refuse_nul(const cursor *c)
{
    const gdn_table *t = c->t;
    const char *nul = memchr(t->text, '\0', t->bytes);
    uint32_t line = 1;
    for (const char *p = t->text; nul && p < nul; p++)
        line += *p == '\n';
    return nul ? refuse(c, line, "holds a NUL byte; this is not a text file") : GDN_OK;
}

/* ---- Public ---- */

static gdn_status open_table(const char *path, gdn_table **out, gdn_error *err)
{
    gdn_table *t = *out = calloc(1, sizeof *t);
    if (t && (t->path = strdup(path)))
        return GDN_OK;
    free(t);
    *out = NULL;
    return gdn_no_memory(err, "a table");
}

/* Cut up t->text, which is *out, or freed. */
static gdn_status cut_up(gdn_table *t, gdn_status status, gdn_table **out, gdn_error *err)
{
    cursor c = {.t = t, .line = 1, .err = err};
    if (status == GDN_OK)
        status = refuse_nul(&c);
    if (status == GDN_OK)
        status = read_header(&c);
    if (status == GDN_OK)
        status = read_rows(&c);
    *out = status == GDN_OK ? t : NULL;
    if (status != GDN_OK)
        gdn_table_free(t);
    return status;
}

gdn_status gdn_table_read(const char *path, gdn_table **out, gdn_error *err)
{
    gdn_table *t;
    *out = NULL;
    gdn_status status = open_table(path, &t, err);
    return status == GDN_OK ? cut_up(t, read_file(t, err), out, err) : status;
}

gdn_status gdn_table_read_memory(const void *bytes, size_t n, const char *path, gdn_table **out,
                                 gdn_error *err)
{
    gdn_table *t;
    *out = NULL;
    gdn_status status = open_table(path, &t, err);
    if (status != GDN_OK)
        return status;
    status = grow_text(t, n, err);
    if (status == GDN_OK) {
        t->bytes = n;
        memcpy(t->text, bytes, n);
        t->text[n] = '\0';
    }
    return cut_up(t, status, out, err);
}

void gdn_table_free(gdn_table *t)
{
    if (!t)
        return;
    free(t->path);
    free(t->text);
    free(t->field);
    free(t->line);
    free(t);
}

size_t gdn_table_rows(const gdn_table *t)
{
    return t->rows;
}

size_t gdn_table_columns(const gdn_table *t)
{
    return t->columns;
}

const char *gdn_table_name(const gdn_table *t, size_t column)
{
    return t->text + t->field[column];
}

gdn_status gdn_table_find(const gdn_table *t, const char *name, size_t *column, gdn_error *err)
{
    char have[512] = "";
    size_t used = 0;
    for (size_t i = 0; i < t->columns; i++)
        if (strcmp(gdn_table_name(t, i), name) == 0) {
            *column = i;
            return GDN_OK;
        }
    for (size_t i = 0; i < t->columns; i++) {
        char shown[SHOWN + 4];
        shown_text(gdn_table_name(t, i), shown);
        if (used + strlen(shown) + 8 < sizeof have)
            used += (size_t)snprintf(have + used, sizeof have - used, "%s%s", i ? ", " : "", shown);
    }
    return gdn_fail(err, GDN_BAD_INPUT, "%s: line 1: there is no column \"%s\"; the columns are %s",
                    shown_path(t->path), name, have);
}

const char *gdn_table_text(const gdn_table *t, size_t row, size_t column)
{
    return t->text + t->field[(row + 1) * t->columns + column];
}

gdn_status gdn_table_number(const gdn_table *t, size_t row, size_t column, double *x, gdn_error *err)
{
    const char *s = gdn_table_text(t, row, column);
    char *end = NULL;
    *x = NAN;
    if (!*s)
        return GDN_OK;
    double value = strtod(s, &end);
    if (*end || end == s || *s == ' ' || *s == '\t') {
        char shown[SHOWN + 4], name[SHOWN + 4];
        return gdn_fail(err, GDN_BAD_INPUT,
                        "%s: line %u: the field \"%s\" is \"%s\"; a number or nothing is expected",
                        shown_path(t->path), t->line[row], shown_text(gdn_table_name(t, column), name),
                        shown_text(s, shown));
    }
    *x = value;
    return GDN_OK;
}

size_t gdn_table_next(const gdn_table *t, size_t row, const gdn_where *where, size_t n)
{
    for (; row < t->rows; row++) {
        size_t met = 0;
        while (met < n && strcmp(gdn_table_text(t, row, where[met].column), where[met].value) == 0)
            met++;
        if (met == n)
            break;
    }
    return row;
}
