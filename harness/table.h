/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table -- reading CSV files (RFC 4180 with a header) into columns found by name.
 *
 * A field is text; asked for as a number it is a double, and the empty field is NaN. Every sentence names the
 * file, the line (1 is the header) and the field. Lines may end in LF or CRLF, and a leading UTF-8 byte order
 * mark is skipped. What is refused: no header, empty or repeated column names, a row with another number of
 * fields than the header, an unterminated quote, text after a closing quote, a quote inside a bare field, a
 * NUL byte, and files beyond the limits below.
 */
#ifndef GDN_HARNESS_TABLE_H
#define GDN_HARNESS_TABLE_H

#include <stddef.h>

#include "base/status.h"

enum {
    GDN_TABLE_MAX_BYTES = 1 << 30, /* of a file; memory is that and four bytes a field */
    GDN_TABLE_MAX_FIELDS = 1 << 28,
    GDN_TABLE_MAX_COLUMNS = 256
};

typedef struct gdn_table gdn_table;

/*
 * Read the file at `path`; *out is to be freed with gdn_table_free, and is NULL on failure. GDN_BAD_INPUT
 * when there is no such file or it is malformed, GDN_MACHINE when memory or the disk fails.
 */
gdn_status gdn_table_read(const char *path, gdn_table **out, gdn_error *err);

/* The same of bytes [n] in memory, as if the file at `path` held them. */
gdn_status gdn_table_read_memory(const void *bytes, size_t n, const char *path, gdn_table **out,
                                 gdn_error *err);

void gdn_table_free(gdn_table *t); /* NULL is fine */

size_t gdn_table_rows(const gdn_table *t); /* without the header */
size_t gdn_table_columns(const gdn_table *t);

/* The name of a column, column < gdn_table_columns. */
const char *gdn_table_name(const gdn_table *t, size_t column);

/* The place of the column called `name`; a sentence that lists the columns there are when it is missing. */
gdn_status gdn_table_find(const gdn_table *t, const char *name, size_t *column, gdn_error *err);

/* A field as text: "" when empty. row < gdn_table_rows, column < gdn_table_columns. */
const char *gdn_table_text(const gdn_table *t, size_t row, size_t column);

/* A field as a number: NaN when empty, GDN_BAD_INPUT when it is not a number. */
gdn_status gdn_table_number(const gdn_table *t, size_t row, size_t column, double *x, gdn_error *err);

/* A condition on a row: the text of `column` is `value`. */
typedef struct gdn_where {
    size_t column;
    const char *value;
} gdn_where;

/*
 * The first row from `row` on that meets all n conditions; gdn_table_rows(t) when there is none. So
 *     for (size_t r = gdn_table_next(t, 0, w, n); r < gdn_table_rows(t); r = gdn_table_next(t, r + 1, w, n))
 */
size_t gdn_table_next(const gdn_table *t, size_t row, const gdn_where *where, size_t n);

#endif
