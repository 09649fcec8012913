/* SPDX-License-Identifier: Apache-2.0 */
/* store_seal -- all that is kept of a task under one checksum; see store_seal.h. */
#include "harness/store_seal.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <xxhash.h>

#include "harness/checksum.h"

_Static_assert((int)GDN_SEAL_COVER == (int)GDN_COVERS, "the seal's number is one of a cover");

/* One statement and its task. */
static int prepare(sqlite3 *db, const char *sql, const char *task, sqlite3_stmt **q)
{
    int code = sqlite3_prepare_v2(db, sql, -1, q, NULL);
    return code == SQLITE_OK ? sqlite3_bind_text(*q, 1, task, -1, SQLITE_STATIC) : code;
}

/* The type of a value, and its bits. */
static void add_value(XXH3_state_t *hash, sqlite3_stmt *q, int column)
{
    struct {
        int64_t type, size;
        union {
            int64_t whole;
            double real;
        } bits;
    } head = {.type = sqlite3_column_type(q, column)};
    const void *text = NULL;
    if (head.type == SQLITE_INTEGER)
        head.bits.whole = sqlite3_column_int64(q, column);
    else if (head.type == SQLITE_FLOAT)
        head.bits.real = sqlite3_column_double(q, column);
    else if (head.type != SQLITE_NULL) {
        text = sqlite3_column_blob(q, column);
        head.size = sqlite3_column_bytes(q, column);
    }
    XXH3_128bits_update(hash, &head, sizeof head);
    if (text && head.size > 0)
        XXH3_128bits_update(hash, text, (size_t)head.size);
}

int gdn_store_seal(sqlite3 *db, const char *task, char *sum)
{
    static const char *const queries[] = {"SELECT * FROM tasks WHERE task = ?",
                                          "SELECT * FROM sums WHERE task = ? AND cover < 3 ORDER BY cover",
                                          "SELECT * FROM origin WHERE task = ?",
                                          "SELECT * FROM rows WHERE task = ? ORDER BY cell"};
    XXH3_state_t *hash = XXH3_createState();
    int code = hash ? SQLITE_DONE : SQLITE_NOMEM;
    if (hash)
        XXH3_128bits_reset(hash);
    for (size_t i = 0; i < sizeof queries / sizeof queries[0] && code == SQLITE_DONE; i++) {
        sqlite3_stmt *q = NULL;
        code = prepare(db, queries[i], task, &q);
        int columns = code == SQLITE_OK ? sqlite3_column_count(q) : 0;
        while (columns && (code = sqlite3_step(q)) == SQLITE_ROW)
            for (int c = 0; c < columns; c++)
                add_value(hash, q, c);
        sqlite3_finalize(q);
    }
    if (code == SQLITE_DONE) {
        XXH128_hash_t h = XXH3_128bits_digest(hash);
        snprintf(sum, 33, "%016" PRIx64 "%016" PRIx64, (uint64_t)h.high64, (uint64_t)h.low64);
        code = SQLITE_OK;
    }
    XXH3_freeState(hash);
    return code;
}

int gdn_store_put_seal(sqlite3 *db, const char *task)
{
    char sum[33];
    sqlite3_stmt *q = NULL;
    int code = gdn_store_seal(db, task, sum);
    if (code == SQLITE_OK)
        code = prepare(db, "INSERT INTO sums SELECT task, 3, rows, ?2 FROM tasks WHERE task = ?1", task, &q);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(q, 2, sum, -1, SQLITE_STATIC);
    if (code == SQLITE_OK && (code = sqlite3_step(q)) == SQLITE_DONE)
        code = SQLITE_OK;
    sqlite3_finalize(q);
    return code;
}

int gdn_store_get_seal(sqlite3 *db, const char *task, char *sum)
{
    sqlite3_stmt *q = NULL;
    *sum = 0;
    int code = prepare(db, "SELECT checksum FROM sums WHERE task = ? AND cover = 3", task, &q);
    if (code == SQLITE_OK && (code = sqlite3_step(q)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(q, 0);
        snprintf(sum, 33, "%s", text ? text : "?");
    }
    sqlite3_finalize(q);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}
