/* SPDX-License-Identifier: Apache-2.0 */
/* store -- rows at rest in SQLite; see store.h. */
#include "harness/store.h"

#include <inttypes.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct gdn_store {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *insert, *find, *record;
};

/* "GDNP": marks a database as ours. */
enum { APPLICATION_ID = 0x47444e50 };

static const char *const column_types[] = {[GDN_COLUMN_ID] = "INTEGER",
                                           [GDN_COLUMN_TEXT] = "TEXT",
                                           [GDN_COLUMN_INT] = "INTEGER",
                                           [GDN_COLUMN_REAL] = "REAL"};

/* SQLite's complaint as ours: what the user can mend is bad input, the rest is the machine. */
static gdn_status complain(const gdn_store *s, const char *what, gdn_error *err)
{
    int code = s->db ? sqlite3_errcode(s->db) & 0xff : SQLITE_NOMEM;
    bool input = code == SQLITE_CANTOPEN || code == SQLITE_READONLY || code == SQLITE_NOTADB ||
                 code == SQLITE_PERM || code == SQLITE_BUSY || code == SQLITE_LOCKED || code == SQLITE_AUTH;
    const char *hint = code == SQLITE_NOTADB ? " (move the file away, or choose another --results directory)"
                       : code == SQLITE_BUSY ? " (another gdnprec is writing to it)"
                       : code == SQLITE_FULL
                           ? " (the disk is full; committed tasks are safe, run again to resume)"
                       : code == SQLITE_IOERR ? " (committed tasks are safe, run again to resume)"
                                              : "";
    return gdn_fail(err, input ? GDN_BAD_INPUT : GDN_MACHINE, "%s: cannot %s: %s%s", s->path, what,
                    s->db ? sqlite3_errmsg(s->db) : "out of memory", hint);
}

static gdn_status execute(gdn_store *s, const char *sql, const char *what, gdn_error *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? GDN_OK : complain(s, what, err);
}

static gdn_status prepare(gdn_store *s, const char *sql, sqlite3_stmt **out, gdn_error *err)
{
    return sqlite3_prepare_v2(s->db, sql, -1, out, NULL) == SQLITE_OK ? GDN_OK
                                                                      : complain(s, "read the store", err);
}

/* The value of a pragma; -1 when there is none. */
static int64_t pragma(gdn_store *s, const char *sql)
{
    sqlite3_stmt *q = NULL;
    int64_t value = -1;
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW)
        value = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return value;
}

static gdn_status create(gdn_store *s, gdn_error *err)
{
    char sql[4096];
    int n = snprintf(sql, sizeof sql,
                     "CREATE TABLE tasks (task TEXT PRIMARY KEY, population TEXT, seed INTEGER, rows INTEGER,"
                     " checksum TEXT, seconds REAL);"
                     "CREATE TABLE rows (task TEXT NOT NULL");
    for (int i = 0; i < gdn_column_count; i++)
        n += snprintf(sql + n, sizeof sql - (size_t)n, ", \"%s\" %s", gdn_columns[i].name,
                      column_types[gdn_columns[i].type]);
    snprintf(sql + n, sizeof sql - (size_t)n,
             ");CREATE UNIQUE INDEX rows_cell ON rows (task, cell);"
             "PRAGMA application_id = %d; PRAGMA user_version = %d",
             APPLICATION_ID, GDN_SCHEMA);
    return execute(s, sql, "create the tables of the store", err);
}

/* A database of ours at this schema version, a new one, or neither. One transaction: of two that find an
 * empty file, one makes it a store. */
static gdn_status recognise(gdn_store *s, gdn_error *err)
{
    gdn_status status = execute(s, "BEGIN IMMEDIATE", "open the store", err);
    if (status)
        return status;
    int64_t id = pragma(s, "PRAGMA application_id"), version = pragma(s, "PRAGMA user_version");
    if (id == 0 && pragma(s, "SELECT count(*) FROM sqlite_master") == 0)
        status = create(s, err);
    else if (id != APPLICATION_ID)
        status = gdn_fail(err, GDN_BAD_INPUT, "%s: an SQLite database, but not a store of gdnprec", s->path);
    else if (version != GDN_SCHEMA)
        status = gdn_fail(err, GDN_BAD_INPUT,
                          "%s: a store of schema version %" PRId64
                          "; this gdnprec writes version %d; move the store away "
                          "or choose another --results directory",
                          s->path, version, GDN_SCHEMA);
    if (!status)
        status = execute(s, "COMMIT", "create the tables of the store", err);
    if (status)
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

const char *gdn_store_path(const gdn_store *s)
{
    return s->path;
}

gdn_status gdn_store_open(const char *path, gdn_store **out, gdn_error *err)
{
    gdn_store *s = *out = calloc(1, sizeof *s);
    if (!s || !(s->path = strdup(path))) {
        free(s);
        *out = NULL;
        return gdn_no_memory(err, "a store");
    }
    gdn_status status = GDN_OK;
    /* no locks of SQLite's own: a connection is used by one thread at a time */
    if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        status = complain(s, "open the store", err);
    if (!status && sqlite3_db_readonly(s->db, "main") == 1)
        status = gdn_fail(err, GDN_BAD_INPUT, "%s: the store is read-only", path);
    if (!status)
        sqlite3_busy_timeout(s->db, 5000);
    if (!status)
        status = recognise(s, err);
    if (!status)
        status = execute(
            s,
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
            "PRAGMA cache_size = -65536; PRAGMA threads = 2;" /* 64 MiB: what a sort holds at a time */
            "CREATE TABLE IF NOT EXISTS sums (task TEXT, cover INTEGER, rows INTEGER, checksum TEXT,"
            " PRIMARY KEY (task, cover))",
            "write to the store", err);
    char sql[1024];
    int n = snprintf(sql, sizeof sql, "INSERT INTO rows VALUES (?");
    for (int i = 0; i < gdn_column_count; i++)
        n += snprintf(sql + n, sizeof sql - (size_t)n, ",?");
    snprintf(sql + n, sizeof sql - (size_t)n, ")");
    if (!status)
        status = prepare(s, sql, &s->insert, err);
    if (!status)
        status = prepare(s, "SELECT 1 FROM tasks WHERE task = ?", &s->find, err);
    if (!status)
        status = prepare(s,
                         "SELECT t.task, population, seed, seconds, t.rows, t.checksum, p.rows, p.checksum, "
                         "h.rows, h.checksum"
                         " FROM tasks t LEFT JOIN sums p ON p.task = t.task AND p.cover = 1"
                         " LEFT JOIN sums h ON h.task = t.task AND h.cover = 2 WHERE t.task = ?",
                         &s->record, err);
    if (status) {
        gdn_error ignored;
        gdn_store_close(s, &ignored);
        *out = NULL;
    }
    return status;
}

gdn_status gdn_store_close(gdn_store *s, gdn_error *err)
{
    if (!s)
        return GDN_OK;
    sqlite3_finalize(s->insert);
    sqlite3_finalize(s->find);
    sqlite3_finalize(s->record);
    gdn_status status = sqlite3_close(s->db) == SQLITE_OK ? GDN_OK : complain(s, "close the store", err);
    free(s->path);
    free(s);
    return status;
}

gdn_status gdn_store_has(gdn_store *s, const char *task, bool *found, gdn_error *err)
{
    sqlite3_bind_text(s->find, 1, task, -1, SQLITE_TRANSIENT);
    int code = sqlite3_step(s->find);
    *found = code == SQLITE_ROW;
    gdn_status status =
        code == SQLITE_ROW || code == SQLITE_DONE ? GDN_OK : complain(s, "read the store", err);
    sqlite3_reset(s->find);
    return status;
}

/* ---- writing ---- */

static void bind(sqlite3_stmt *q, int index, const gdn_column *column, const gdn_row *row)
{
    const void *field = (const char *)row + column->offset;
    switch (column->type) {
    case GDN_COLUMN_ID:
    case GDN_COLUMN_INT:
        sqlite3_bind_int64(q, index, *(const int64_t *)field);
        break;
    case GDN_COLUMN_TEXT:
        sqlite3_bind_text(q, index, *(const char *const *)field, -1, SQLITE_STATIC);
        break;
    case GDN_COLUMN_REAL:
        if (isnan(*(const double *)field))
            sqlite3_bind_null(q, index);
        else
            sqlite3_bind_double(q, index, *(const double *)field);
        break;
    }
}

/* What one of the further checksums covers: 1 and 2 of gdn_cover. */
static gdn_status insert_sum(gdn_store *s, const char *task, int cover, const gdn_checksum *sum,
                             gdn_error *err)
{
    sqlite3_stmt *q = NULL;
    gdn_status status = prepare(s, "INSERT INTO sums VALUES (?,?,?,?)", &q, err);
    if (status)
        return status;
    sqlite3_bind_text(q, 1, task, -1, SQLITE_STATIC);
    sqlite3_bind_int(q, 2, cover);
    sqlite3_bind_int64(q, 3, sum->rows);
    sqlite3_bind_text(q, 4, sum->sum, -1, SQLITE_STATIC);
    if (sqlite3_step(q) != SQLITE_DONE)
        status = complain(s, "write to the store", err);
    sqlite3_finalize(q);
    return status;
}

static gdn_status insert_all(gdn_store *s, const gdn_task_record *record, const gdn_checksum *sum,
                             const gdn_row *rows, int64_t n, gdn_error *err)
{
    gdn_status status = GDN_OK;
    for (int64_t i = 0; i < n && !status; i++) {
        sqlite3_bind_text(s->insert, 1, record->task, -1, SQLITE_STATIC);
        for (int c = 0; c < gdn_column_count; c++)
            bind(s->insert, c + 2, &gdn_columns[c], &rows[i]);
        if (sqlite3_step(s->insert) != SQLITE_DONE)
            status = complain(s, "write to the store", err);
        sqlite3_reset(s->insert);
    }
    if (status)
        return status;
    sqlite3_stmt *q = NULL;
    if ((status = prepare(s, "INSERT INTO tasks VALUES (?,?,?,?,?,?)", &q, err)))
        return status;
    sqlite3_bind_text(q, 1, record->task, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 2, record->population, -1, SQLITE_STATIC);
    sqlite3_bind_int64(q, 3, record->seed);
    sqlite3_bind_int64(q, 4, n);
    sqlite3_bind_text(q, 5, sum[GDN_COVER_ALL].sum, -1, SQLITE_STATIC);
    sqlite3_bind_double(q, 6, record->seconds);
    if (sqlite3_step(q) != SQLITE_DONE)
        status = complain(s, "write to the store", err);
    sqlite3_finalize(q);
    for (int c = GDN_COVER_ALL + 1; c < GDN_COVERS && !status; c++)
        status = insert_sum(s, record->task, c, &sum[c], err);
    return status;
}

gdn_status gdn_store_commit(gdn_store *s, const gdn_task_record *record, const gdn_row *rows, int64_t n,
                            gdn_error *err)
{
    gdn_checksum sum[GDN_COVERS];
    gdn_status status = gdn_rows_checksum(rows, n, sum, err);
    if (!status)
        status = execute(s, "BEGIN IMMEDIATE", "write to the store", err);
    if (status)
        return status;
    bool found = false;
    status = gdn_store_has(s, record->task, &found, err);
    if (!status && found)
        status = gdn_fail(err, GDN_BAD_INPUT,
                          "%s: another gdnprec has written task %s in the meantime; run again to go on",
                          s->path, record->task);
    if (!status)
        status = insert_all(s, record, sum, rows, n, err);
    if (!status)
        status = execute(s, "COMMIT", "commit to the store", err);
    if (status)
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

/* ---- reading ---- */

static void fetch(sqlite3_stmt *q, int index, const gdn_column *column, gdn_row *row)
{
    void *field = (char *)row + column->offset;
    switch (column->type) {
    case GDN_COLUMN_ID:
    case GDN_COLUMN_INT:
        *(int64_t *)field = sqlite3_column_int64(q, index);
        break;
    case GDN_COLUMN_TEXT:
        *(const char **)field = (const char *)sqlite3_column_text(q, index);
        break;
    case GDN_COLUMN_REAL:
        *(double *)field =
            sqlite3_column_type(q, index) == SQLITE_NULL ? (double)NAN : sqlite3_column_double(q, index);
        break;
    }
}

/* The tasks wanted, as a temporary table, so that any number of them can be joined. */
static gdn_status choose(gdn_store *s, const char *const *tasks, int n, gdn_error *err)
{
    sqlite3_stmt *q = NULL;
    gdn_status status = execute(s,
                                "CREATE TEMP TABLE IF NOT EXISTS wanted (task TEXT PRIMARY KEY);"
                                "DELETE FROM temp.wanted",
                                "read the store", err);
    if (!status)
        status = prepare(s, "INSERT OR IGNORE INTO temp.wanted VALUES (?)", &q, err);
    for (int i = 0; i < n && !status; i++) {
        sqlite3_bind_text(q, 1, tasks[i], -1, SQLITE_STATIC);
        if (sqlite3_step(q) != SQLITE_DONE)
            status = complain(s, "read the store", err);
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
    snprintf(sql + length, sizeof sql - (size_t)length,
             " FROM rows JOIN temp.wanted USING (task) WHERE %s ORDER BY %s", part.where ? part.where : "1",
             order);
    gdn_status status = choose(s, tasks, n, err);
    if (!status)
        status = prepare(s, sql, &q, err);
    int code = SQLITE_DONE;
    gdn_row row = {0};
    while (!status && (code = sqlite3_step(q)) == SQLITE_ROW) {
        for (int i = 0; i < count; i++)
            fetch(q, i, &gdn_columns[wanted[i]], &row);
        status = visit(context, &row, err);
    }
    if (!status && code != SQLITE_DONE)
        status = complain(s, "read the store", err);
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
        status =
            prepare(s, "SELECT count(*) FROM rows JOIN temp.wanted USING (task) WHERE flag = ?", &q, err);
    if (!status) {
        sqlite3_bind_text(q, 1, flag, -1, SQLITE_STATIC);
        if (sqlite3_step(q) == SQLITE_ROW)
            *count = sqlite3_column_int64(q, 0);
        else
            status = complain(s, "read the store", err);
    }
    sqlite3_finalize(q);
    return status;
}

gdn_status gdn_store_task(gdn_store *s, const char *task, gdn_task_record *record, bool *found,
                          gdn_error *err)
{
    sqlite3_reset(s->record);
    sqlite3_bind_text(s->record, 1, task, -1, SQLITE_TRANSIENT);
    int code = sqlite3_step(s->record);
    *found = code == SQLITE_ROW;
    if (*found)
        *record = (gdn_task_record){.task = (const char *)sqlite3_column_text(s->record, 0),
                                    .population = (const char *)sqlite3_column_text(s->record, 1),
                                    .seed = sqlite3_column_int64(s->record, 2),
                                    .seconds = sqlite3_column_double(s->record, 3)};
    for (int c = 0; *found && c < GDN_COVERS; c++) {
        const unsigned char *sum = sqlite3_column_text(s->record, 5 + 2 * c);
        record->sum[c].rows = sqlite3_column_int64(s->record, 4 + 2 * c);
        snprintf(record->sum[c].sum, sizeof record->sum[c].sum, "%s", sum ? (const char *)sum : "");
    }
    return code == SQLITE_ROW || code == SQLITE_DONE ? GDN_OK : complain(s, "read the store", err);
}
