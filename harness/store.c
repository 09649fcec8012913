/* SPDX-License-Identifier: Apache-2.0 */
/* store -- rows at rest in SQLite; see store.h. */
#include "harness/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/store_parts.h"

/* "GDNP": marks a database as ours. */
enum { APPLICATION_ID = 0x47444e50 };

static int impatient(void *context)
{
    gdn_store *s = context;
    s->patience -= s->patience == INT64_MAX ? 0 : PATIENCE_STEP;
    return s->patience < 0;
}

/* SQLite's complaint as ours. */
gdn_status gdn_store_failed(const gdn_store *s, const char *what, gdn_error *err)
{
    return gdn_store_complain(s->db, s->path, s->read_only, what, err);
}

gdn_status gdn_store_execute(gdn_store *s, const char *sql, const char *what, gdn_error *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? GDN_OK : gdn_store_failed(s, what, err);
}

gdn_status gdn_store_prepare(gdn_store *s, const char *sql, sqlite3_stmt **out, gdn_error *err)
{
    return sqlite3_prepare_v2(s->db, sql, -1, out, NULL) == SQLITE_OK
               ? GDN_OK
               : gdn_store_failed(s, "read the store", err);
}

/* The value of a pragma; -1 when there is none. */
int64_t gdn_store_pragma(gdn_store *s, const char *sql)
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
    return gdn_store_create(s->db) == SQLITE_OK
               ? gdn_store_execute(s, sql, "create the tables of the store", err)
               : gdn_store_failed(s, "create the tables of the store", err);
}

/* A database of ours at this schema version, a new one, or neither. One transaction: of two that find an
 * empty file, one makes it a store; of a reader, it lasts. */
static gdn_status recognise(gdn_store *s, gdn_error *err)
{
    gdn_status status =
        gdn_store_execute(s, s->read_only ? "BEGIN; SELECT count(*) FROM sqlite_master" : "BEGIN IMMEDIATE",
                          "open the store", err);
    if (status)
        return status;
    int64_t id = gdn_store_pragma(s, "PRAGMA application_id"),
            version = gdn_store_pragma(s, "PRAGMA user_version");
    if (!s->read_only && id == 0 && gdn_store_pragma(s, "SELECT count(*) FROM sqlite_master") == 0)
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
        status = gdn_store_execute(s, "COMMIT", "create the tables of the store", err);
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
        if (s->read_only && gdn_store_pragma(s, sql) > 0)
            continue;
        snprintf(sql, sizeof sql, "CREATE %sTABLE IF NOT EXISTS %s (%s)", s->read_only ? "TEMP " : "",
                 t->name, t->columns);
        status = gdn_store_execute(s, sql, "write to the store", err);
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
        status = gdn_store_failed(s, "open the store", err);
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
        status = gdn_store_execute(s, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL",
                                   "write to the store", err);
    if (!status) /* 8 MiB: what each thread of a sort holds at a time; an export has a dozen stores open */
        status = gdn_store_execute(s, "PRAGMA cache_size = -8192; PRAGMA threads = 2", "open the store", err);
    if (!status)
        status = later_tables(s, err);
    char sql[1024];
    int n = snprintf(sql, sizeof sql, "INSERT INTO rows VALUES (?");
    for (int i = 0; i < gdn_column_count; i++)
        n += snprintf(sql + n, sizeof sql - (size_t)n, ",?");
    snprintf(sql + n, sizeof sql - (size_t)n, ")");
    if (!status)
        status = gdn_store_prepare(s, sql, &s->insert, err);
    if (!status)
        status = gdn_store_prepare(s, "SELECT 1 FROM tasks WHERE task = ?", &s->find, err);
    if (!status)
        status = gdn_store_prepare(
            s,
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

gdn_status gdn_store_close(gdn_store *s, gdn_error *err)
{
    if (!s)
        return GDN_OK;
    sqlite3_finalize(s->insert);
    sqlite3_finalize(s->find);
    sqlite3_finalize(s->record);
    gdn_status status =
        sqlite3_close(s->db) == SQLITE_OK ? GDN_OK : gdn_store_failed(s, "close the store", err);
    free(s->path);
    free(s);
    return status;
}

gdn_status gdn_store_checkpoint(gdn_store *s, gdn_error *err)
{
    return sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK
               ? GDN_OK
               : gdn_store_failed(s, "write to the store", err);
}

gdn_status gdn_store_has(gdn_store *s, const char *task, bool *found, gdn_error *err)
{
    sqlite3_bind_text(s->find, 1, task, -1, SQLITE_TRANSIENT);
    int code = sqlite3_step(s->find);
    *found = code == SQLITE_ROW;
    gdn_status status =
        code == SQLITE_ROW || code == SQLITE_DONE ? GDN_OK : gdn_store_failed(s, "read the store", err);
    sqlite3_reset(s->find);
    return status;
}
