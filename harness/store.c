/* SPDX-License-Identifier: Apache-2.0 */
/* store -- rows at rest in SQLite; see store.h. */
#include "harness/store.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/lock.h"
#include "harness/store_parts.h"
#include "harness/store_seal.h"

/* First column of a task's origin in the query for its record, how many there are, and texts of a record. */
enum { ORIGIN = 4 + 2 * GDN_COVERS, ORIGIN_COLUMNS = 6, RECORD_TEXTS = 2 + ORIGIN_COLUMNS };

struct gdn_store {
    sqlite3 *db;
    char *path;
    bool read_only;
    int64_t patience; /* steps of SQLite's that a walk over rows may still take */
    sqlite3_stmt *insert, *find, *record;
    char text[RECORD_TEXTS][GDN_STORE_TEXT + 1]; /* of the record last read */
    gdn_lock lock;
};

/* "GDNP": marks a database as ours. */
enum { APPLICATION_ID = 0x47444e50 };

/*
 * Pages that point to each other can hold rows without end. A row takes some 100 steps of SQLite's and more
 * than 100 bytes; a walk may take STEPS for every GDN_STORE_ROW bytes of the file.
 */
enum { PATIENCE_STEP = 10000, PATIENCE_LEAST = 1000000, STEPS = 200 };

static int impatient(void *context)
{
    gdn_store *s = context;
    s->patience -= s->patience == INT64_MAX ? 0 : PATIENCE_STEP;
    return s->patience < 0;
}

/* SQLite's complaint as ours. */
static gdn_status complain(const gdn_store *s, const char *what, gdn_error *err)
{
    return gdn_store_complain(s->db, s->path, s->read_only, what, err);
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
    char sql[80];
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION_ID,
             GDN_SCHEMA);
    return gdn_store_create(s->db) == SQLITE_OK ? execute(s, sql, "create the tables of the store", err)
                                                : complain(s, "create the tables of the store", err);
}

/* A database of ours at this schema version, a new one, or neither. One transaction: of two that find an
 * empty file, one makes it a store; of a reader, it lasts. */
static gdn_status recognise(gdn_store *s, gdn_error *err)
{
    gdn_status status =
        execute(s, s->read_only ? "BEGIN; SELECT count(*) FROM sqlite_master" : "BEGIN IMMEDIATE",
                "open the store", err);
    if (status)
        return status;
    int64_t id = pragma(s, "PRAGMA application_id"), version = pragma(s, "PRAGMA user_version");
    if (!s->read_only && id == 0 && pragma(s, "SELECT count(*) FROM sqlite_master") == 0)
        status = create(s, err);
    else if (id != APPLICATION_ID)
        status = gdn_fail(err, GDN_BAD_INPUT, "%s: an SQLite database, but not a store of gdnprec", s->path);
    else if (version != GDN_SCHEMA)
        status = gdn_fail(err, GDN_BAD_INPUT,
                          "%s: a store of schema version %" PRId64 "; this gdnprec writes version %d%s",
                          s->path, version, GDN_SCHEMA,
                          s->read_only ? "" : "; move the store away or choose another --results directory");
    else
        status = gdn_store_check_schema(s->db, s->path, err);
    if (!status && !s->read_only)
        status = execute(s, "COMMIT", "create the tables of the store", err);
    if (status)
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

const char *gdn_store_path(const gdn_store *s)
{
    return s->path;
}

/* Tables that came after the first stores. A reader of an older store has empty ones of its own. */
static gdn_status later_tables(gdn_store *s, gdn_error *err)
{
    gdn_status status = GDN_OK;
    for (int i = 0; i < GDN_STORE_LATER && !status; i++) {
        const struct gdn_store_table *t = &gdn_store_later[i];
        char sql[256];
        snprintf(sql, sizeof sql, "SELECT count(*) FROM main.sqlite_master WHERE name = '%s'", t->name);
        if (s->read_only && pragma(s, sql) > 0)
            continue;
        snprintf(sql, sizeof sql, "CREATE %sTABLE IF NOT EXISTS %s (%s)", s->read_only ? "TEMP " : "",
                 t->name, t->columns);
        status = execute(s, sql, "write to the store", err);
    }
    return status;
}

gdn_status gdn_store_adopt(sqlite3 *db, const char *path, bool read_only, gdn_store **out, gdn_error *err)
{
    gdn_store *s = *out = calloc(1, sizeof *s);
    if (!s || !(s->path = strdup(path))) {
        free(s);
        sqlite3_close(db);
        *out = NULL;
        return gdn_no_memory(err, "a store");
    }
    gdn_status status = GDN_OK;
    s->db = db;
    s->read_only = read_only;
    s->patience = INT64_MAX;
    if (sqlite3_errcode(db) != SQLITE_OK || gdn_store_guard(db) != SQLITE_OK)
        status = complain(s, "open the store", err);
    else
        sqlite3_progress_handler(db, PATIENCE_STEP, impatient, s);
    if (!status && !read_only && sqlite3_db_readonly(s->db, "main") == 1)
        status = gdn_store_writable(path)
                     ? gdn_fail(err, GDN_MACHINE,
                                "%s: the disk does not let it be opened for writing (committed "
                                "tasks are safe, run again to resume)",
                                path)
                     : gdn_fail(err, GDN_BAD_INPUT, "%s: the store is read-only", path);
    if (!status)
        sqlite3_busy_timeout(s->db, 5000);
    if (!status)
        status = recognise(s, err);
    if (!status && !read_only)
        status =
            execute(s, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", "write to the store", err);
    if (!status) /* 8 MiB: what each thread of a sort holds at a time; an export has a dozen stores open */
        status = execute(s, "PRAGMA cache_size = -8192; PRAGMA threads = 2", "open the store", err);
    if (!status)
        status = later_tables(s, err);
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
                         "h.rows, h.checksum, o.\"commit\", o.dirty, o.build, o.backend, o.device, o.shard"
                         " FROM tasks t LEFT JOIN sums p ON p.task = t.task AND p.cover = 1"
                         " LEFT JOIN sums h ON h.task = t.task AND h.cover = 2"
                         " LEFT JOIN origin o ON o.task = t.task WHERE t.task = ?",
                         &s->record, err);
    if (status) {
        gdn_error ignored;
        gdn_store_close(s, &ignored);
        *out = NULL;
    }
    return status;
}

/*
 * To read, SQLite makes a file beside the store. Where it cannot, and no -wal file shows that someone writes
 * or that there is more to read, the store is read as a file that nobody changes: uri is its name then.
 */
static bool lies_still(const char *path, char *uri, size_t size)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = (size_t)snprintf(uri, size, "%s-wal", path), length = strlen(path);
    if (n >= size || 3 * length + 32 > size || access(uri, F_OK) == 0 || gdn_store_room_beside(path))
        return false;
    n = (size_t)snprintf(uri, size, "file:");
    for (size_t i = 0; i < length; i++) /* "file://" would begin the name of a host */
        n += (size_t)snprintf(
            uri + n, size - n,
            strchr(plain, path[i]) || (path[i] == '/' && (!i || path[i - 1] != '/')) ? "%c" : "%%%02X",
            (unsigned char)path[i]);
    snprintf(uri + n, size - n, "?immutable=1");
    return true;
}

static gdn_status open_store(const char *path, bool read_only, gdn_store **out, gdn_error *err)
{
    sqlite3 *db = NULL; /* that could not be opened says why */
    /* no locks of SQLite's own: a connection is used by one thread at a time */
    int flags = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    char uri[3 * 4200];
    bool still = read_only && lies_still(path, uri, sizeof uri);
    sqlite3_open_v2(still ? uri : path, &db, flags | SQLITE_OPEN_NOMUTEX | (still ? SQLITE_OPEN_URI : 0),
                    NULL);
    return gdn_store_adopt(db, path, read_only, out, err);
}

gdn_status gdn_store_open(const char *path, gdn_store **out, gdn_error *err)
{
    return open_store(path, false, out, err);
}

gdn_status gdn_store_read(const char *path, gdn_store **out, gdn_error *err)
{
    return open_store(path, true, out, err);
}

gdn_status gdn_store_claim(gdn_store *s, gdn_error *err)
{
    return gdn_lock_take(&s->lock, s->path, err);
}

gdn_status gdn_store_close(gdn_store *s, gdn_error *err)
{
    if (!s)
        return GDN_OK;
    sqlite3_finalize(s->insert);
    sqlite3_finalize(s->find);
    sqlite3_finalize(s->record);
    gdn_status status = sqlite3_close(s->db) == SQLITE_OK ? GDN_OK : complain(s, "close the store", err);
    gdn_lock_release(&s->lock);
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

static gdn_status insert_origin(gdn_store *s, const char *task, const gdn_origin *o, gdn_error *err)
{
    const char *const texts[] = {o->build, o->backend, o->device, o->shard};
    sqlite3_stmt *q = NULL;
    gdn_status status = prepare(s, "INSERT INTO origin VALUES (?,?,?,?,?,?,?)", &q, err);
    if (status)
        return status;
    sqlite3_bind_text(q, 1, task, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 2, o->commit, -1, SQLITE_STATIC);
    sqlite3_bind_int(q, 3, o->dirty);
    for (int i = 0; i < 4; i++)
        sqlite3_bind_text(q, 4 + i, texts[i] ? texts[i] : "", -1, SQLITE_STATIC);
    if (sqlite3_step(q) != SQLITE_DONE)
        status = complain(s, "write to the store", err);
    sqlite3_finalize(q);
    return status;
}

static gdn_status insert_row(gdn_store *s, const char *task, const gdn_row *row, gdn_error *err)
{
    gdn_status status = GDN_OK;
    sqlite3_bind_text(s->insert, 1, task, -1, SQLITE_STATIC);
    for (int c = 0; c < gdn_column_count; c++)
        bind(s->insert, c + 2, &gdn_columns[c], row);
    if (sqlite3_step(s->insert) != SQLITE_DONE)
        status = complain(s, "write to the store", err);
    sqlite3_reset(s->insert);
    return status;
}

/* What is kept of a task beside its rows. */
static gdn_status insert_record(gdn_store *s, const gdn_task_record *record, const gdn_checksum *sum,
                                gdn_error *err)
{
    sqlite3_stmt *q = NULL;
    gdn_status status = prepare(s, "INSERT INTO tasks VALUES (?,?,?,?,?,?)", &q, err);
    if (status)
        return status;
    sqlite3_bind_text(q, 1, record->task, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 2, record->population, -1, SQLITE_STATIC);
    sqlite3_bind_int64(q, 3, record->seed);
    sqlite3_bind_int64(q, 4, sum[GDN_COVER_ALL].rows);
    sqlite3_bind_text(q, 5, sum[GDN_COVER_ALL].sum, -1, SQLITE_STATIC);
    sqlite3_bind_double(q, 6, record->seconds);
    if (sqlite3_step(q) != SQLITE_DONE)
        status = complain(s, "write to the store", err);
    sqlite3_finalize(q);
    for (int c = GDN_COVER_ALL + 1; c < GDN_COVERS && !status; c++)
        status = insert_sum(s, record->task, c, &sum[c], err);
    if (!status && record->origin.commit)
        status = insert_origin(s, record->task, &record->origin, err);
    if (!status && gdn_store_put_seal(s->db, record->task) != SQLITE_OK)
        status = complain(s, "write to the store", err);
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
    for (int64_t i = 0; i < n && !status; i++)
        status = insert_row(s, record->task, &rows[i], err);
    if (!status)
        status = insert_record(s, record, sum, err);
    if (!status)
        status = execute(s, "COMMIT", "commit to the store", err);
    if (status)
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

/* ---- reading ---- */

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
    int64_t bytes = pragma(s, "PRAGMA page_count") * pragma(s, "PRAGMA page_size");
    s->patience = PATIENCE_LEAST + bytes / GDN_STORE_ROW * STEPS;
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
    /* CROSS: task by task; else each part of cells.csv, and each task by itself, reads all rows. In any
     * order: all rows as they lie, which is several times as fast. */
    snprintf(sql + length, sizeof sql - (size_t)length, " FROM %s WHERE %s%s%s",
             order ? "temp.wanted CROSS JOIN rows USING (task)"
                   : "rows NOT INDEXED CROSS JOIN temp.wanted USING (task)",
             part.where ? part.where : "1", order ? " ORDER BY " : "", order ? order : "");
    gdn_status status = choose(s, tasks, n, err);
    if (!status)
        status = prepare(s, sql, &q, err);
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
        status = prepare(s, "SELECT count(*) FROM temp.wanted CROSS JOIN rows USING (task) WHERE flag = ?",
                         &q, err);
    if (!status) {
        sqlite3_bind_text(q, 1, flag, -1, SQLITE_STATIC);
        be_patient(s);
        if (sqlite3_step(q) == SQLITE_ROW)
            *count = sqlite3_column_int64(q, 0);
        else
            status = complain(s, "read the store", err);
        s->patience = INT64_MAX;
    }
    sqlite3_finalize(q);
    return status;
}

/* No more rows than the file has room for. */
static bool rows_fit(gdn_store *s, int64_t rows)
{
    return rows >= 0 && (rows < 10000 || rows <= pragma(s, "PRAGMA page_count") *
                                                     pragma(s, "PRAGMA page_size") / GDN_STORE_ROW);
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
    gdn_status status = prepare(s, "SELECT count(*) FROM tasks", &q, err);
    be_patient(s);
    if (!status && sqlite3_step(q) == SQLITE_ROW)
        *count = sqlite3_column_int64(q, 0);
    else if (!status)
        status = complain(s, "read the store", err);
    s->patience = INT64_MAX;
    sqlite3_finalize(q);
    return status;
}

gdn_status gdn_store_seeds(gdn_store *s, int *first, int *last, gdn_error *err)
{
    sqlite3_stmt *q = NULL;
    gdn_status status = prepare(s, "SELECT min(seed), max(seed) FROM tasks", &q, err);
    *first = *last = 0;
    be_patient(s);
    if (!status && sqlite3_step(q) != SQLITE_ROW)
        status = complain(s, "read the store", err);
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
        code == SQLITE_ROW || code == SQLITE_DONE ? GDN_OK : complain(s, "read the store", err);
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

/* ---- from store to store ---- */

/* Rows on their way: summed, and written to `to` where there is one. */
typedef struct passage {
    gdn_store *to;
    const char *task;
    gdn_summing *sum;
} passage;

static gdn_status pass(void *context, const gdn_row *row, gdn_error *err)
{
    passage *p = context;
    gdn_summing_add(p->sum, row);
    return p->to ? insert_row(p->to, p->task, row, err) : GDN_OK;
}

/* All rows of a task through the passage; GDN_DIFFERS where they do not give the checksums of the record.
 * sum: what they give. */
static gdn_status pass_all(passage *p, gdn_store *from, const gdn_task_record *record, gdn_checksum *sum,
                           gdn_error *err)
{
    gdn_status status = gdn_summing_open(&p->sum, err);
    if (status)
        return status;
    status = gdn_store_rows(from, &p->task, 1, "cell < 0, cell", pass, p, err); /* as numbers without sign */
    gdn_summing_close(p->sum, sum);
    for (int c = 0; c < GDN_COVERS && !status; c++)
        if ((c == GDN_COVER_ALL || record->sum[c].sum[0]) &&
            (record->sum[c].rows != sum[c].rows || strcmp(record->sum[c].sum, sum[c].sum) != 0))
            status =
                gdn_fail(err, GDN_DIFFERS,
                         "%.300s: %s, seed %" PRId64 " (task %s): its rows do not give the checksum that was "
                         "kept of them: the store is damaged",
                         from->path, record->population, record->seed, p->task);
    return status;
}

/* The record of a task that must be there. */
static gdn_status wanted_record(gdn_store *s, const char *task, gdn_task_record *record, gdn_error *err)
{
    bool found;
    gdn_status status = gdn_store_task(s, task, record, &found, err);
    return status || found ? status : gdn_fail(err, GDN_BAD_INPUT, "%s: there is no task %s", s->path, task);
}

gdn_status gdn_store_check(gdn_store *s, const char *task, gdn_error *err)
{
    gdn_task_record record;
    gdn_checksum sum[GDN_COVERS];
    passage p = {.task = task};
    gdn_status status = wanted_record(s, task, &record, err);
    return status ? status : pass_all(&p, s, &record, sum, err);
}

gdn_status gdn_store_take(gdn_store *s, gdn_store *from, const char *task, gdn_error *err)
{
    gdn_task_record record;
    gdn_checksum sum[GDN_COVERS];
    passage p = {.to = s, .task = task};
    gdn_status status = wanted_record(from, task, &record, err);
    if (!status)
        status = execute(s, "BEGIN IMMEDIATE", "write to the store", err);
    if (status)
        return status;
    status = pass_all(&p, from, &record, sum, err);
    if (!status)
        status = insert_record(s, &record, sum, err);
    if (!status)
        status = execute(s, "COMMIT", "commit to the store", err);
    if (status)
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return status == GDN_DIFFERS ? GDN_BAD_INPUT : status;
}
