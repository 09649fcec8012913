/* SPDX-License-Identifier: Apache-2.0 */
/* store_mend -- damaged tasks out of a store; see store_mend.h. */
#include "harness/store_mend.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/store_parts.h"
#include "harness/store_seal.h"

typedef struct names {
    char **name; /* [n] ids of tasks */
    bool *bad;   /* [n] */
    int n;
} names;

static gdn_status complain(sqlite3 *db, const char *path, gdn_error *err)
{
    return gdn_store_complain(db, path, false, "check the store", err);
}

/* Pages, and indices against tables: what is kept twice is the same both times. */
static gdn_status check_pages(sqlite3 *db, const char *path, gdn_error *err)
{
    sqlite3_stmt *q = NULL;
    gdn_status status = GDN_OK;
    if (sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &q, NULL) != SQLITE_OK ||
        sqlite3_step(q) != SQLITE_ROW)
        status = complain(db, path, err);
    else {
        const char *said = (const char *)sqlite3_column_text(q, 0);
        if (!said || strcmp(said, "ok") != 0) {
            char text[101];
            snprintf(text, sizeof text, "%s", said ? said : "it cannot be read");
            for (char *c = text; *c; c++) /* SQLite heads its list with a line */
                *c = *c == '\n' ? ' ' : *c;
            status = gdn_fail(err, GDN_BAD_INPUT,
                              "%.500s: the store is damaged (%s); move it and its -wal file away and run "
                              "again, or put a copy of it back",
                              path, text);
        }
    }
    sqlite3_finalize(q);
    return status;
}

/*
 * The tasks, and those marked bad whose population or seed is not that of their rows. A population or seed
 * lies in no checksum of tasks; that of one row stands for all, whose checksum is looked at.
 */
static gdn_status list(sqlite3 *db, const char *path, names *out, gdn_error *err)
{
    static const char sql[] = "SELECT t.task, r.rowid IS NOT NULL AND (r.population IS NOT t.population OR "
                              "r.seed IS NOT t.seed) OR "
                              "t.population IS NULL FROM tasks t LEFT JOIN rows r ON r.rowid = (SELECT rowid "
                              "FROM rows WHERE task = "
                              "t.task LIMIT 1)";
    sqlite3_stmt *q = NULL;
    gdn_status status =
        sqlite3_prepare_v2(db, sql, -1, &q, NULL) == SQLITE_OK ? GDN_OK : complain(db, path, err);
    int code = SQLITE_DONE, room = 0;
    while (!status && (code = sqlite3_step(q)) == SQLITE_ROW) {
        if (out->n == room) {
            room = room ? 2 * room : 256;
            char **name = realloc(out->name, (size_t)room * sizeof *name);
            bool *bad = realloc(out->bad, (size_t)room * sizeof *bad);
            out->name = name ? name : out->name;
            out->bad = bad ? bad : out->bad;
            if (!name || !bad) {
                status = gdn_no_memory(err, "the list of tasks");
                break;
            }
        }
        const char *name = (const char *)sqlite3_column_text(q, 0);
        out->bad[out->n] = sqlite3_column_int(q, 1) != 0;
        if (!(out->name[out->n] = strdup(name ? name : "")))
            status = gdn_no_memory(err, "the list of tasks");
        else
            out->n++;
    }
    if (!status && code != SQLITE_DONE)
        status = complain(db, path, err);
    sqlite3_finalize(q);
    return status;
}

/* A connection; access: SQLITE_OPEN_READONLY or SQLITE_OPEN_READWRITE. */
static gdn_status open_db(const char *path, int access, sqlite3 **db, gdn_error *err)
{
    if (sqlite3_open_v2(path, db, access | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
        gdn_store_guard(*db) != SQLITE_OK || sqlite3_busy_timeout(*db, 5000) != SQLITE_OK)
        return *db ? complain(*db, path, err) : gdn_no_memory(err, "a store");
    return GDN_OK;
}

/* Is the task what was committed? The seal says so, and of older tasks, which have none, the checksums. */
static gdn_status check_task(sqlite3 *db, const char *path, const char *task, bool *bad, gdn_error *err)
{
    char kept[33], now[33];
    if (gdn_store_get_seal(db, task, kept) != SQLITE_OK ||
        (*kept && gdn_store_seal(db, task, now) != SQLITE_OK))
        return complain(db, path, err);
    if (*kept) {
        *bad = strcmp(kept, now) != 0;
        return GDN_OK;
    }
    gdn_store *s = NULL;
    gdn_error ignored;
    gdn_status status = gdn_store_read(path, &s, err);
    if (!status)
        status = gdn_store_check(s, task, err);
    *bad = status == GDN_DIFFERS;
    gdn_store_close(s, &ignored);
    return *bad ? GDN_OK : status;
}

/* Tasks over threads, each with a connection of its own. */
static gdn_status check_tasks(const char *path, names *tasks, gdn_error *err)
{
    gdn_status result = GDN_OK;
#pragma omp parallel if (tasks->n > 1)
    {
        sqlite3 *db = NULL;
        gdn_error own = {""};
        gdn_status status = open_db(path, SQLITE_OPEN_READONLY, &db, &own);
#pragma omp for schedule(dynamic, 1)
        for (int i = 0; i < tasks->n; i++)
            if (!status && !tasks->bad[i])
                status = check_task(db, path, tasks->name[i], &tasks->bad[i], &own);
#pragma omp critical(gdn_store_mend)
        if (status && !result) {
            result = status;
            *err = own;
        }
        sqlite3_close(db);
    }
    return result;
}

/* Take the bad tasks out, whole. */
static gdn_status take_out(sqlite3 *db, const char *path, const names *tasks, gdn_error *err)
{
    static const char *const tables[] = {"tasks", "rows", "sums", "origin"};
    enum { TABLES = sizeof tables / sizeof tables[0] };
    bool fine = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
    for (int t = 0; t < TABLES && fine; t++) {
        char sql[128];
        sqlite3_stmt *q = NULL;
        snprintf(sql, sizeof sql, "DELETE FROM %s WHERE task = ?", tables[t]);
        fine = sqlite3_prepare_v2(db, sql, -1, &q, NULL) == SQLITE_OK;
        for (int i = 0; i < tasks->n && fine; i++)
            if (tasks->bad[i]) {
                sqlite3_bind_text(q, 1, tasks->name[i], -1, SQLITE_STATIC);
                fine = sqlite3_step(q) == SQLITE_DONE;
                sqlite3_reset(q);
            }
        sqlite3_finalize(q);
    }
    fine = fine && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
    if (fine)
        return GDN_OK;
    gdn_status status = complain(db, path, err);
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

gdn_status gdn_store_mend(gdn_store *s, int *taken, gdn_error *err)
{
    const char *path = gdn_store_path(s);
    sqlite3 *db = NULL;
    names tasks = {NULL};
    *taken = 0;
    gdn_status status = open_db(path, SQLITE_OPEN_READWRITE, &db, err);
    if (!status)
        status = check_pages(db, path, err);
    if (!status)
        status = list(db, path, &tasks, err);
    if (!status)
        status = check_tasks(path, &tasks, err);
    for (int i = 0; i < tasks.n && !status; i++)
        *taken += tasks.bad[i];
    if (!status && *taken)
        status = take_out(db, path, &tasks, err);
    sqlite3_close(db);
    for (int i = 0; i < tasks.n; i++)
        free(tasks.name[i]);
    free(tasks.name);
    free(tasks.bad);
    return status;
}
