/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_store -- any bytes as a store: refused in a sentence, or rows and records such as this program writes.
 * The low three bits of the first byte say how the rest becomes a database in memory:
 *
 *     0, 1  an SQLite file
 *     2, 3  a store of one task with bytes of its file changed: two bytes say where, one how many, then these
 *     4, 5  values of its tables changed: a byte for table and column, one for the type, then eight bytes of
 *           a number, or a length and so many bytes of a text
 *     6, 7  its schema changed: each byte is a statement
 *
 * where the odd ones open it for reading only.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "harness/store_parts.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/sqlite_arena.h"

size_t fuzz_accepted; /* opened */

static const char *const task_ids[] = {"0123456789abcdef", "t"};

/* ---- a store to begin with ---- */

/* Bytes of a store with one task of two rows. To be freed with sqlite3_free. */
static unsigned char *template_store(sqlite3_int64 *size)
{
    const gdn_row row = {.cell = 1,
                         .profile = "p",
                         .recipe = "r",
                         .mode = "portable",
                         .population = "q",
                         .keys = "k",
                         .dk = 4,
                         .dv = 4,
                         .length = 8,
                         .seed = 1,
                         .quantity = "o",
                         .kind = "total",
                         .from = 1,
                         .to = 8,
                         .rel_l2 = 0.5,
                         .reference = "dd",
                         .flag = "ok"};
    gdn_row rows[2] = {row, row};
    const gdn_task_record record = {
        .task = task_ids[0], .population = "q", .seed = 1, .origin = {.commit = "c"}};
    gdn_error err;
    gdn_store *s;
    sqlite3 *db = NULL;
    rows[1].cell = 2;
    FUZZ_CHECK(sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ==
               SQLITE_OK);
    FUZZ_CHECK(sqlite3_exec(db, "PRAGMA page_size = 512", NULL, NULL, NULL) == SQLITE_OK);
    FUZZ_CHECK(gdn_store_adopt(db, "fuzz", false, &s, &err) == GDN_OK);
    FUZZ_CHECK(gdn_store_commit(s, &record, rows, 2, &err) == GDN_OK);
    unsigned char *bytes = sqlite3_serialize(db, "main", size, 0);
    FUZZ_CHECK(bytes && gdn_store_close(s, &err) == GDN_OK);
    return bytes;
}

/* A connection to a database in memory of these bytes, which it takes over. */
static sqlite3 *connect(unsigned char *bytes, sqlite3_int64 n)
{
    sqlite3 *db = NULL;
    sqlite3_int64 most = 1 << 22;
    FUZZ_CHECK(sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ==
               SQLITE_OK);
    FUZZ_CHECK(sqlite3_deserialize(db, "main", bytes, n, n,
                                   SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE) ==
               SQLITE_OK);
    sqlite3_file_control(db, "main", SQLITE_FCNTL_SIZE_LIMIT, &most);
    return db;
}

/* Change one value as the input says; returns how much of it that took. */
static size_t change_value(sqlite3 *db, const uint8_t *input, size_t n)
{
    static const char *const tables[] = {"rows", "tasks", "sums", "origin"};
    static const char *const columns[][8] = {{"task"},
                                             {"task", "population", "seed", "rows", "checksum", "seconds"},
                                             {"task", "cover", "rows", "checksum"},
                                             {"task", "commit", "dirty", "backend", "device", "shard"}};
    char sql[128];
    int table = input[0] >> 6, at = input[0] & 63;
    size_t used = 2;
    if (n < 2)
        return n;
    const char *column = table                   ? columns[table][at % 8]
                         : at < gdn_column_count ? gdn_columns[at].name
                                                 : columns[0][0];
    if (!column)
        return used;
    sqlite3_stmt *q = NULL;
    snprintf(sql, sizeof sql, "UPDATE OR IGNORE %s SET \"%s\" = ?", tables[table], column);
    FUZZ_CHECK(sqlite3_prepare_v2(db, sql, -1, &q, NULL) == SQLITE_OK);
    uint64_t number = 0;
    double real;
    size_t length = 0;
    if (input[1] % 5 < 2) {
        length = n - used < 8 ? n - used : 8;
        memcpy(&number, input + used, length);
    } else if (input[1] % 5 < 4 && n > used) {
        length = input[used++] * ((input[1] >> 4) + 1u);
        length = n - used < length ? n - used : length;
    }
    memcpy(&real, &number, sizeof real);
    switch (input[1] % 5) {
    case 0:
        sqlite3_bind_int64(q, 1, (sqlite3_int64)number);
        break;
    case 1:
        sqlite3_bind_double(q, 1, real);
        break;
    case 2:
        sqlite3_bind_text(q, 1, (const char *)input + used, (int)length, SQLITE_STATIC);
        break;
    case 3:
        sqlite3_bind_blob(q, 1, input + used, (int)length, SQLITE_STATIC);
        break;
    default:
        sqlite3_bind_null(q, 1);
    }
    (void)sqlite3_step(q); /* a NOT NULL that fails is fine */
    sqlite3_finalize(q);
    return used + length;
}

/* Bytes of the file changed as the input says; returns how much of it that took. */
static size_t change_bytes(unsigned char *bytes, size_t size, const uint8_t *input, size_t n)
{
    if (n < 4)
        return n;
    size_t at = (input[0] + 256u * input[1]) % size, length = input[2] % 16 + 1u;
    length = length < n - 3 ? length : n - 3;
    length = length < size - at ? length : size - at;
    memcpy(bytes + at, input + 3, length);
    return 3 + length;
}

static void change_schema(sqlite3 *db, const uint8_t *input, size_t n)
{
    static const char *const statements[] = {
        "DROP TABLE sums",
        "DROP TABLE origin",
        "DROP TABLE rows",
        "DROP INDEX rows_cell",
        "ALTER TABLE tasks ADD COLUMN more",
        "CREATE TABLE \"more\x1b[2J\" (x)",
        "CREATE TRIGGER t AFTER INSERT ON tasks BEGIN DELETE FROM rows; END",
        "CREATE VIEW sums AS SELECT task, 1 AS cover, 1 AS rows, '0' AS checksum FROM tasks",
        "CREATE TABLE sums (task, cover, rows, checksum AS (zeroblob(1000000000)))",
        "CREATE INDEX i ON rows (length(zeroblob(1000000000)))",
        "CREATE VIRTUAL TABLE v USING fts5(x)",
        "PRAGMA user_version = 7",
        "PRAGMA application_id = 7",
        "PRAGMA encoding = 'UTF-16'",
        "DELETE FROM tasks",
        "ANALYZE",
    };
    for (size_t i = 0; i < n && i < 8; i++)
        (void)sqlite3_exec(db, statements[input[i] % 16], NULL, NULL, NULL);
}

/* ---- what is read ---- */

static void check_text(const char *text)
{
    FUZZ_CHECK(text && strlen(text) <= GDN_STORE_TEXT);
}

static void check_printable(const char *text)
{
    check_text(text);
    for (; *text; text++)
        FUZZ_CHECK((unsigned char)*text >= 0x20 && (unsigned char)*text < 0x7f);
}

static gdn_status see(void *context, const gdn_row *row, gdn_error *err)
{
    int *rows = context;
    char line[16384];
    (void)err;
    ++*rows;
    for (int i = 0; i < gdn_column_count; i++) {
        const void *field = (const char *)row + gdn_columns[i].offset;
        if (gdn_columns[i].type == GDN_COLUMN_TEXT)
            check_text(*(const char *const *)field);
    }
    FUZZ_CHECK(gdn_row_csv(row, line, sizeof line) < (int)sizeof line);
    return GDN_OK;
}

static gdn_status see_part(void *context, const gdn_row *row, gdn_error *err)
{
    (void)context, (void)err;
    check_text(row->population);
    return GDN_OK;
}

/* Is a failure one of the input? A full disk is what the limit on the database looks like; sums may differ.
 */
static void check_answer(gdn_status status, const gdn_error *err)
{
    if (status != GDN_OK && !strstr(err->text, "is full"))
        fuzz_check_sentence(status == GDN_DIFFERS ? GDN_BAD_INPUT : status, err);
}

static void read_store(gdn_store *s)
{
    gdn_error err = {""};
    int rows = 0;
    int64_t count = 0;
    for (int i = 0; i < 2; i++) {
        gdn_task_record r;
        bool found;
        gdn_status status = gdn_store_task(s, task_ids[i], &r, &found, &err);
        check_answer(status, &err);
        if (status == GDN_OK && found) {
            check_printable(r.population);
            check_printable(r.origin.commit);
            for (int c = 0; c < GDN_COVERS; c++)
                FUZZ_CHECK(r.sum[c].rows >= 0 && r.sum[c].rows < 1 << 22);
        }
        check_answer(gdn_store_has(s, task_ids[i], &found, &err), &err);
    }
    check_answer(gdn_store_rows(s, task_ids, 2, "cell < 0, cell", see, &rows, &err), &err);
    check_answer(gdn_store_select(s, task_ids, 2, (gdn_store_part){",population,length,", "\"from\" = 1"},
                                  "population, length DESC", see_part, NULL, &err),
                 &err);
    check_answer(gdn_store_count(s, task_ids, 2, "ok", &count, &err), &err);
    check_answer(gdn_store_tasks(s, &count, &err), &err);
    check_answer(gdn_store_check(s, task_ids[0], &err), &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    static unsigned char *base;
    static sqlite3_int64 base_size;
    gdn_error err = {""};
    gdn_store *s;
    if (!base) {
        fuzz_sqlite_arena();
        base = template_store(&base_size);
    }
    if (n < 2)
        return 0;
    unsigned mode = input[0] / 2 % 4;
    size_t size = mode ? (size_t)base_size : n - 1;
    unsigned char *bytes = sqlite3_malloc64(size);
    FUZZ_CHECK(bytes);
    memcpy(bytes, mode ? base : input + 1, size);
    for (size_t at = 1; mode == 1 && at < n;)
        at += change_bytes(bytes, size, input + at, n - at);
    if (size > 20)
        bytes[18] = bytes[19] = 1; /* a database in memory has no write-ahead log */
    sqlite3 *db = connect(bytes, (sqlite3_int64)size);
    for (size_t at = 1; mode == 2 && at < n;)
        at += change_value(db, input + at, n - at);
    if (mode == 3)
        change_schema(db, input + 1, n - 1);
    (void)sqlite3_exec(db, "SELECT 1", NULL, NULL, NULL); /* what failed before is forgotten */
    gdn_status status = gdn_store_adopt(db, "fuzz", input[0] & 1, &s, &err);
    FUZZ_CHECK((status == GDN_OK) == (s != NULL));
    check_answer(status, &err);
    if (status == GDN_OK) {
        fuzz_accepted++;
        read_store(s);
        check_answer(gdn_store_close(s, &err), &err);
    }
    return 0;
}
