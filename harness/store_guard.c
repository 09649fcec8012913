/* SPDX-License-Identifier: Apache-2.0 */
/* store_guard -- the schema of a store, and protection from one that is not; see store_parts.h. */
#include <stdio.h>
#include <string.h>

#include "harness/shown.h"
#include "harness/store_parts.h"

static const char *const column_types[] = {[GDN_COLUMN_ID] = "INTEGER",
                                           [GDN_COLUMN_TEXT] = "TEXT",
                                           [GDN_COLUMN_INT] = "INTEGER",
                                           [GDN_COLUMN_REAL] = "REAL"};

/* The first objects, as SQLite keeps them. NULL: the table of rows, of gdn_columns. */
static const char *const first[] = {
    "CREATE TABLE tasks (task TEXT PRIMARY KEY, population TEXT, seed INTEGER, rows INTEGER, checksum TEXT, "
    "seconds REAL)",
    NULL, "CREATE UNIQUE INDEX rows_cell ON rows (task, cell)"};
const struct gdn_store_table gdn_store_later[GDN_STORE_LATER] = {
    {"sums", "task TEXT, cover INTEGER, rows INTEGER, checksum TEXT, PRIMARY KEY (task, cover)"},
    {"origin", "task TEXT PRIMARY KEY, \"commit\" TEXT, dirty INTEGER, build TEXT, backend TEXT, device "
               "TEXT, shard TEXT"}};
enum { FIRST = sizeof first / sizeof first[0], OBJECTS = FIRST + GDN_STORE_LATER, SQL = 4096 };

/* out: [SQL] */
static const char *object_sql(int i, char *out)
{
    if (i < FIRST && first[i])
        return first[i];
    if (i >= FIRST) {
        snprintf(out, SQL, "CREATE TABLE %s (%s)", gdn_store_later[i - FIRST].name,
                 gdn_store_later[i - FIRST].columns);
        return out;
    }
    int n = snprintf(out, SQL, "CREATE TABLE rows (task TEXT NOT NULL");
    for (int c = 0; c < gdn_column_count; c++)
        n += snprintf(out + n, SQL - (size_t)n, ", \"%s\" %s", gdn_columns[c].name,
                      column_types[gdn_columns[c].type]);
    snprintf(out + n, SQL - (size_t)n, ")");
    return out;
}

int gdn_store_create(sqlite3 *db)
{
    char sql[SQL];
    int code = SQLITE_OK;
    for (int i = 0; i < FIRST && code == SQLITE_OK; i++)
        code = sqlite3_exec(db, object_sql(i, sql), NULL, NULL, NULL);
    return code;
}

gdn_status gdn_store_check_schema(sqlite3 *db, const char *path, gdn_error *err)
{
    char sql[SQL], name[GDN_SHOWN], shown[300];
    bool there[OBJECTS] = {false};
    sqlite3_stmt *q = NULL;
    int code = sqlite3_prepare_v2(db, "SELECT type, name, sql FROM main.sqlite_schema", -1, &q, NULL);
    gdn_status status = GDN_OK;
    gdn_shown_path(path, shown, sizeof shown);
    while (code == SQLITE_OK && !status && (code = sqlite3_step(q)) == SQLITE_ROW) {
        const char *word[3];
        int i = 0;
        code = SQLITE_OK;
        for (int c = 0; c < 3; c++)
            word[c] = (const char *)sqlite3_column_text(q, c) ? (const char *)sqlite3_column_text(q, c) : "";
        if (!*word[2] && strcmp(word[0], "index") == 0 && strncmp(word[1], "sqlite_autoindex_", 17) == 0)
            continue; /* of a primary key */
        while (i < OBJECTS && strcmp(word[2], object_sql(i, sql)) != 0)
            i++;
        if (i < OBJECTS)
            there[i] = true;
        else
            status =
                gdn_fail(err, GDN_BAD_INPUT, "%s: holds %s, which no store of gdnprec does; it is not used",
                         shown, gdn_quoted(word[1], name, sizeof name));
    }
    if (code == SQLITE_DONE)
        for (int i = 0; i < FIRST && !status; i++)
            if (!there[i])
                status = gdn_fail(err, GDN_BAD_INPUT, "%s: lacks '%.40s...', which a store of gdnprec has",
                                  shown, object_sql(i, sql));
    if (!status && code != SQLITE_DONE)
        status = gdn_fail(err, GDN_BAD_INPUT, "%s: the store's schema cannot be read: %s", shown,
                          gdn_shown(sqlite3_errmsg(db), name, sizeof name));
    sqlite3_finalize(q);
    return status;
}

int gdn_store_guard(sqlite3 *db)
{
    static const struct {
        int what, value;
    } settings[] = {{SQLITE_DBCONFIG_DEFENSIVE, 1},
                    {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                    {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
                    {SQLITE_DBCONFIG_ENABLE_VIEW, 0}},
      limits[] = {{SQLITE_LIMIT_LENGTH, GDN_STORE_LENGTH},
                  {SQLITE_LIMIT_SQL_LENGTH, GDN_STORE_LENGTH},
                  {SQLITE_LIMIT_COLUMN, 100},
                  {SQLITE_LIMIT_EXPR_DEPTH, 100},
                  {SQLITE_LIMIT_FUNCTION_ARG, 8},
                  {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 100},
                  {SQLITE_LIMIT_VARIABLE_NUMBER, 100}};
    int code = SQLITE_OK;
    for (size_t i = 0; i < sizeof settings / sizeof settings[0] && code == SQLITE_OK; i++)
        code = sqlite3_db_config(db, settings[i].what, settings[i].value, NULL);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        sqlite3_limit(db, limits[i].what, limits[i].value);
    return code != SQLITE_OK
               ? code
               : sqlite3_exec(db, "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0", NULL, NULL, NULL);
}
