/* SPDX-License-Identifier: Apache-2.0 */
/* merge_compare -- where the rows of a task differ between two stores; see merge_parts.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "harness/merge_parts.h"

typedef struct line {
    uint64_t cell, hash; /* of its CSV line */
} line;

/* The lines of one store, and how far the other's agree with them. */
typedef struct walk {
    line *line; /* [n] */
    int64_t n, room, at;
    uint64_t cell; /* the first that differs, or is in one store only */
    bool apart;
} walk;

static line line_of(const gdn_row *row)
{
    char text[4096];
    int n = gdn_row_csv(row, text, sizeof text);
    return (line){row->cell, XXH3_64bits(text, (size_t)(n < (int)sizeof text ? n : (int)sizeof text - 1))};
}

static gdn_status keep(void *context, const gdn_row *row, gdn_error *err)
{
    walk *w = context;
    if (w->n == w->room) {
        int64_t room = w->room ? 2 * w->room : 4096;
        line *grown = realloc(w->line, (size_t)room * sizeof *grown);
        if (!grown)
            return gdn_no_memory(err, "the rows of a task");
        w->line = grown;
        w->room = room;
    }
    w->line[w->n++] = line_of(row);
    return GDN_OK;
}

static gdn_status check(void *context, const gdn_row *row, gdn_error *err)
{
    (void)err;
    walk *w = context;
    line x = line_of(row);
    if (w->apart)
        return GDN_OK;
    const line *y = w->at < w->n ? &w->line[w->at++] : NULL;
    w->apart = !y || y->cell != x.cell || y->hash != x.hash;
    if (w->apart)
        w->cell = y && y->cell < x.cell ? y->cell : x.cell;
    return GDN_OK;
}

/* ---- in words ---- */

/* A row's CSV line, and what it measures. */
typedef struct shown {
    char csv[4096], what[256];
} shown;

static gdn_status show(void *context, const gdn_row *row, gdn_error *err)
{
    (void)err;
    shown *s = context;
    gdn_row_csv(row, s->csv, sizeof s->csv);
    snprintf(s->what, sizeof s->what, "%.80s, %.20s of %.20s, head %" PRId64 ", [%" PRId64 ", %" PRId64 "]",
             row->profile, row->kind, row->quantity, row->head, row->from, row->to);
    return GDN_OK;
}

/* Column and values of the first field in which two CSV lines differ; names have no commas. */
static void tell(const shown *x, const shown *y, uint64_t cell, char *text, size_t size)
{
    size_t at = 0, field = 0;
    int column = 0;
    for (; x->csv[at] && x->csv[at] == y->csv[at]; at++)
        if (x->csv[at] == ',') {
            column++;
            field = at + 1;
        }
    const char *a = x->csv + field, *b = y->csv + field;
    snprintf(text, size, "cell %016" PRIx64 " (%s): %s is %.*s and %.*s", cell, x->what,
             column < gdn_column_count ? gdn_columns[column].name : "?", (int)strcspn(a, ","), a,
             (int)strcspn(b, ","), b);
}

gdn_status gdn_merge_compare(const char *const store[2], const char *task, bool *found, char *text,
                             size_t size, gdn_error *err)
{
    gdn_store *s[2] = {NULL, NULL};
    walk w = {.n = 0};
    shown row[2] = {{"", ""}, {"", ""}};
    gdn_error ignored;
    gdn_status status = GDN_OK;
    for (int i = 0; i < 2 && !status; i++)
        status = gdn_store_read(store[i], &s[i], err);
    if (!status)
        status = gdn_store_rows(s[0], &task, 1, GDN_STORE_BY_CELL, keep, &w, err);
    if (!status)
        status = gdn_store_rows(s[1], &task, 1, GDN_STORE_BY_CELL, check, &w, err);
    if (!w.apart && w.at < w.n) {
        w.apart = true;
        w.cell = w.line[w.at].cell;
    }
    *found = !status && w.apart;
    for (int i = 0; i < 2 && *found && !status; i++) {
        char where[64];
        snprintf(where, sizeof where, "cell = %" PRId64, (int64_t)w.cell);
        status = gdn_store_select(s[i], &task, 1, (gdn_store_part){NULL, where}, "cell", show, &row[i], err);
    }
    if (*found && row[0].csv[0] && row[1].csv[0])
        tell(&row[0], &row[1], w.cell, text, size);
    else if (*found)
        snprintf(text, size, "cell %016" PRIx64 " (%s): only the %s has it", w.cell,
                 row[0].csv[0] ? row[0].what : row[1].what, row[0].csv[0] ? "first" : "second");
    for (int i = 0; i < 2; i++)
        gdn_store_close(s[i], &ignored);
    free(w.line);
    return status;
}
