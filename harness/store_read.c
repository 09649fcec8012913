/* SPDX-License-Identifier: Apache-2.0 */
/* store_read -- rows and records of tasks out of the store; see store.h. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "harness/store_parts.h"

/* A text as this program writes it: of a length that rows have, of printable ASCII. */
static bool is_text(sqlite3_stmt *q, int index, size_t most)
{
    const unsigned char *text = sqlite3_column_text(q, index);
    size_t n = (size_t)sqlite3_column_bytes(q, index);
    if (!text || n > most)
        return false;
    for (size_t i = 0; i < n; i++)
        if (text[i] < 0x20 || text[i] >= 0x7f)
            return false;
    return true;
}

/* A whole number that a double holds, as CSV files have them. */
static bool is_count(sqlite3_stmt *q, int index)
{
    int64_t x = sqlite3_column_int64(q, index), most = (int64_t)1 << 53;
    return sqlite3_column_type(q, index) == SQLITE_INTEGER && x >= -most && x <= most;
}

/* A text of a length that rows have. */
static bool fits(sqlite3_stmt *q, int index)
{
    const char *text = (const char *)sqlite3_column_text(q, index);
    return text && strlen(text) <= GDN_STORE_TEXT && strlen(text) == (size_t)sqlite3_column_bytes(q, index);
}

/* Column `index` of the query into its field of the row; false where it holds what no row does. */
static bool fetch(sqlite3_stmt *q, int index, const gdn_column *column, gdn_row *row)
{
    void *field = (char *)row + column->offset;
    int type = sqlite3_column_type(q, index);
    switch (column->type) {
    case GDN_COLUMN_ID:
    case GDN_COLUMN_INT:
        if (type != SQLITE_INTEGER)
            return false;
        *(int64_t *)field = sqlite3_column_int64(q, index);
        return true;
    case GDN_COLUMN_TEXT:
        if (!fits(q, index))
            return false;
        *(const char **)field = (const char *)sqlite3_column_text(q, index);
        return true;
    case GDN_COLUMN_REAL:
        if (type != SQLITE_NULL && type != SQLITE_FLOAT && type != SQLITE_INTEGER)
            return false;
        *(double *)field = type == SQLITE_NULL ? (double)NAN : sqlite3_column_double(q, index);
        return true;
    }
    return false;
}

/* What a walk over the rows may take from now on. */
static void be_patient(gdn_store *s)
{
    int64_t bytes = gdn_store_pragma(s, "PRAGMA page_count") * gdn_store_pragma(s, "PRAGMA page_size");
    s->patience = PATIENCE_LEAST + bytes / GDN_STORE_ROW * STEPS;
}

/* The tasks wanted, as a temporary table, so that any number of them can be joined. */
static gdn_status choose(gdn_store *s, const char *const *tasks, int n, gdn_error *err)
{
    sqlite3_stmt *q = NULL;
    gdn_status status = gdn_store_execute(s,
                                          "CREATE TEMP TABLE IF NOT EXISTS wanted (task TEXT PRIMARY KEY);"
                                          "DELETE FROM temp.wanted",
                                          "read the store", err);
    if (!status)
        status = gdn_store_prepare(s, "INSERT OR IGNORE INTO temp.wanted VALUES (?)", &q, err);
    for (int i = 0; i < n && !status; i++) {
        sqlite3_bind_text(q, 1, tasks[i], -1, SQLITE_STATIC);
        if (sqlite3_step(q) != SQLITE_DONE)
            status = gdn_store_failed(s, "read the store", err);
        sqlite3_reset(q);
    }
    sqlite3_finalize(q);
    return status;
}

/* Is the column among those of ",a,b,"? */
static bool listed(const char *columns, const char *name)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, ",%s,", name);
    return !columns || strstr(columns, quoted);
}

gdn_status gdn_store_select(gdn_store *s, const char *const *tasks, int n, gdn_store_part part,
                            const char *order, gdn_store_visit visit, void *context, gdn_error *err)
{
    char sql[4096];
    sqlite3_stmt *q = NULL;
    int length = snprintf(sql, sizeof sql, "SELECT "), wanted[64], count = 0;
    for (int i = 0; i < gdn_column_count; i++) {
        if (!listed(part.columns, gdn_columns[i].name))
            continue;
        length += snprintf(sql + length, sizeof sql - (size_t)length, "%s\"%s\"", count ? "," : "",
                           gdn_columns[i].name);
        wanted[count++] = i;
    }
    /* CROSS: task by task; else each part of cells.csv, and each task by itself, reads all rows. In any
     * order: all rows as they lie, which is several times as fast. */
    snprintf(sql + length, sizeof sql - (size_t)length, " FROM %s WHERE %s%s%s",
             order ? "temp.wanted CROSS JOIN rows USING (task)"
                   : "rows NOT INDEXED CROSS JOIN temp.wanted USING (task)",
             part.where ? part.where : "1", order ? " ORDER BY " : "", order ? order : "");
    gdn_status status = choose(s, tasks, n, err);
    if (!status)
        status = gdn_store_prepare(s, sql, &q, err);
    int code = SQLITE_DONE;
    gdn_row row = {0};
    be_patient(s);
    while (!status && (code = sqlite3_step(q)) == SQLITE_ROW) {
        for (int i = 0; i < count && !status; i++)
            if (!fetch(q, i, &gdn_columns[wanted[i]], &row))
                status =
                    gdn_fail(err, GDN_BAD_INPUT,
                             "%s: a row has in column '%s' what no row of gdnprec has; the store is damaged",
                             s->path, gdn_columns[wanted[i]].name);
        if (!status)
            status = visit(context, &row, err);
    }
    s->patience = INT64_MAX;
    if (!status && code != SQLITE_DONE)
        status = gdn_store_failed(s, "read the store", err);
    sqlite3_finalize(q);
    return status;
}

gdn_status gdn_store_rows(gdn_store *s, const char *const *tasks, int n, const char *order,
                          gdn_store_visit visit, void *context, gdn_error *err)
{
    return gdn_store_select(s, tasks, n, (gdn_store_part){NULL, NULL}, order, visit, context, err);
}

gdn_status gdn_store_count(gdn_store *s, const char *const *tasks, int n, const char *flag, int64_t *count,
                           gdn_error *err)
{
    sqlite3_stmt *q = NULL;
    gdn_status status = choose(s, tasks, n, err);
    if (!status)
        status = gdn_store_prepare(
            s, "SELECT count(*) FROM temp.wanted CROSS JOIN rows USING (task) WHERE flag = ?", &q, err);
    if (!status) {
        sqlite3_bind_text(q, 1, flag, -1, SQLITE_STATIC);
        be_patient(s);
        if (sqlite3_step(q) == SQLITE_ROW)
            *count = sqlite3_column_int64(q, 0);
        else
            status = gdn_store_failed(s, "read the store", err);
        s->patience = INT64_MAX;
    }
    sqlite3_finalize(q);
    return status;
}

/* No more rows than the file has room for. */
static bool rows_fit(gdn_store *s, int64_t rows)
{
    return rows >= 0 && (rows < 10000 || rows <= gdn_store_pragma(s, "PRAGMA page_count") *
                                                     gdn_store_pragma(s, "PRAGMA page_size") / GDN_STORE_ROW);
}

/* Is the record one that was committed here? Texts that may be NULL come from tables that came later. */
static bool record_ok(gdn_store *s, sqlite3_stmt *q)
{
    bool ok = is_text(q, 0, GDN_STORE_TEXT) && is_text(q, 1, GDN_STORE_TEXT) && is_count(q, 2);
    for (int c = 0; c < GDN_COVERS && ok; c++) {
        int rows = 4 + 2 * c, sum = rows + 1;
        if (c && sqlite3_column_type(q, rows) == SQLITE_NULL)
            continue;
        ok = is_count(q, rows) && rows_fit(s, sqlite3_column_int64(q, rows)) && is_text(q, sum, 32) &&
             (int)strspn((const char *)sqlite3_column_text(q, sum), "0123456789abcdef") ==
                 sqlite3_column_bytes(q, sum);
    }
    for (int i = ORIGIN; i < ORIGIN + ORIGIN_COLUMNS; i++)
        ok = ok &&
             (i == ORIGIN + 1 || sqlite3_column_type(q, i) == SQLITE_NULL || is_text(q, i, GDN_STORE_TEXT));
    return ok;
}

gdn_status gdn_store_tasks(gdn_store *s, int64_t *count, gdn_error *err)
{
    sqlite3_stmt *q = NULL;
    gdn_status status = gdn_store_prepare(s, "SELECT count(*) FROM tasks", &q, err);
    be_patient(s);
    if (!status && sqlite3_step(q) == SQLITE_ROW)
        *count = sqlite3_column_int64(q, 0);
    else if (!status)
        status = gdn_store_failed(s, "read the store", err);
    s->patience = INT64_MAX;
    sqlite3_finalize(q);
    return status;
}

gdn_status gdn_store_seeds(gdn_store *s, const char *population, int *first, int *last, gdn_error *err)
{
    sqlite3_stmt *q = NULL;
    gdn_status status =
        gdn_store_prepare(s, "SELECT min(seed), max(seed) FROM tasks WHERE population = ?", &q, err);
    sqlite3_bind_text(q, 1, population, -1, SQLITE_STATIC);
    *first = *last = 0;
    be_patient(s);
    if (!status && sqlite3_step(q) != SQLITE_ROW)
        status = gdn_store_failed(s, "read the store", err);
    if (!status && sqlite3_column_type(q, 0) != SQLITE_NULL) {
        int64_t low = sqlite3_column_int64(q, 0), high = sqlite3_column_int64(q, 1);
        if (is_count(q, 0) && is_count(q, 1) && low >= 1 && high <= GDN_LAST_SEED) {
            *first = (int)low;
            *last = (int)high;
        } else
            status =
                gdn_fail(err, GDN_BAD_INPUT,
                         "%s: the seeds of its tasks are none of gdnprec's; the store is damaged", s->path);
    }
    s->patience = INT64_MAX;
    sqlite3_finalize(q);
    return status;
}

/* The text in column `index`, which record_ok has seen, kept as the record's text `i`; NULL where there is
 * none. */
static const char *keep_text(gdn_store *s, int i, int index)
{
    const unsigned char *text = sqlite3_column_text(s->record, index);
    snprintf(s->text[i], sizeof s->text[i], "%s", text ? (const char *)text : "");
    return text ? s->text[i] : NULL;
}

static gdn_origin keep_origin(gdn_store *s)
{
    const char *text[ORIGIN_COLUMNS];
    for (int i = 0; i < ORIGIN_COLUMNS; i++) {
        const char *kept = keep_text(s, 2 + i, ORIGIN + i);
        text[i] = kept ? kept : i ? "" : "unknown";
    }
    return (gdn_origin){.commit = text[0],
                        .dirty = sqlite3_column_int(s->record, ORIGIN + 1) != 0,
                        .build = text[2],
                        .backend = text[3],
                        .device = text[4],
                        .shard = text[5]};
}

/* The record that the query is at. */
static gdn_task_record keep_record(gdn_store *s)
{
    gdn_task_record record = {.task = keep_text(s, 0, 0),
                              .population = keep_text(s, 1, 1),
                              .seed = sqlite3_column_int64(s->record, 2),
                              .seconds = sqlite3_column_double(s->record, 3),
                              .origin = keep_origin(s)};
    for (int c = 0; c < GDN_COVERS; c++) {
        const unsigned char *sum = sqlite3_column_text(s->record, 5 + 2 * c);
        record.sum[c].rows = sqlite3_column_int64(s->record, 4 + 2 * c);
        snprintf(record.sum[c].sum, sizeof record.sum[c].sum, "%s", sum ? (const char *)sum : "");
    }
    return record;
}

gdn_status gdn_store_task(gdn_store *s, const char *task, gdn_task_record *record, bool *found,
                          gdn_error *err)
{
    sqlite3_bind_text(s->record, 1, task, -1, SQLITE_TRANSIENT);
    int code = sqlite3_step(s->record);
    gdn_status status =
        code == SQLITE_ROW || code == SQLITE_DONE ? GDN_OK : gdn_store_failed(s, "read the store", err);
    *found = code == SQLITE_ROW;
    if (*found && !record_ok(s, s->record)) {
        *found = false;
        status =
            gdn_fail(err, GDN_BAD_INPUT,
                     "%s: the record of task %s is none of gdnprec's; the store is damaged", s->path, task);
    }
    if (*found)
        *record = keep_record(s);
    sqlite3_reset(s->record); /* a query that is not over keeps the -wal file from being emptied */
    return status;
}
