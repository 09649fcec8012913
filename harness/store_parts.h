/* SPDX-License-Identifier: Apache-2.0 */
/* store_parts -- what a store has to be, and what keeps a file made to harm from doing so. Private to
 * harness/store*.c and its fuzz target. */
#ifndef GDN_HARNESS_STORE_PARTS_H
#define GDN_HARNESS_STORE_PARTS_H

#include <sqlite3.h>

#include "harness/store.h"

enum {
    GDN_STORE_LENGTH = 64 * 1024, /* bytes of a value or a row of SQLite's */
    GDN_STORE_TEXT = 400,         /* bytes of a text in a row */
    GDN_STORE_ROW = 32            /* bytes that a row of the store takes at least */
};

/* First column of a task's origin in the query for its record, how many there are, and texts of a record. */
enum { ORIGIN = 4 + 2 * GDN_COVERS, ORIGIN_COLUMNS = 6, RECORD_TEXTS = 2 + ORIGIN_COLUMNS };

struct gdn_store {
    sqlite3 *db;
    char *path;
    bool read_only;
    int64_t patience; /* steps of SQLite's that a walk over rows may still take */
    sqlite3_stmt *insert, *find, *record;
    char text[RECORD_TEXTS][GDN_STORE_TEXT + 1]; /* of the record last read */
};

/*
 * Pages that point to each other can hold rows without end. A row takes some 100 steps of SQLite's and more
 * than 100 bytes; a walk may take STEPS for every GDN_STORE_ROW bytes of the file.
 */
enum { PATIENCE_STEP = 10000, PATIENCE_LEAST = 1000000, STEPS = 200 };

/* One statement; a statement to be stepped through; the value of a pragma or of a query, -1 when there is
 * none; SQLite's complaint as ours. what: "write to the store". */
gdn_status gdn_store_execute(gdn_store *s, const char *sql, const char *what, gdn_error *err);
gdn_status gdn_store_prepare(gdn_store *s, const char *sql, sqlite3_stmt **out, gdn_error *err);
int64_t gdn_store_pragma(gdn_store *s, const char *sql);
gdn_status gdn_store_failed(const gdn_store *s, const char *what, gdn_error *err);

/* May files be made in the directory of it? */
bool gdn_store_room_beside(const char *path);

/* May a regular file, or one that is not there yet, and its directory be written to? */
bool gdn_store_writable(const char *path);

/* SQLite's last complaint: "path: cannot `what`: ..", and whose fault that is. db NULL: out of memory. */
gdn_status gdn_store_complain(sqlite3 *db, const char *path, bool read_only, const char *what,
                              gdn_error *err);

/* gdn_store_open on a connection, open or not, which is taken over; path: for sentences. */
gdn_status gdn_store_adopt(sqlite3 *db, const char *path, bool read_only, gdn_store **out, gdn_error *err);

/*
 * Before a file is looked at: its schema is not trusted, triggers and views do not run, pages are checked,
 * lengths and counts are limited. SQLite's code.
 */
int gdn_store_guard(sqlite3 *db);

/* Create the first tables and the index of a new store. SQLite's code. */
int gdn_store_create(sqlite3 *db);

/* Tables that came after the first stores: "CREATE TABLE name (columns)". */
enum { GDN_STORE_LATER = 2 };
extern const struct gdn_store_table {
    const char *name, *columns;
} gdn_store_later[GDN_STORE_LATER];

/* The schema is what gdn_store_create makes, tables of gdn_store_later, and nothing else. */
gdn_status gdn_store_check_schema(sqlite3 *db, const char *path, gdn_error *err);

#endif
