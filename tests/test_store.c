/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_store -- rows come back from the store as they went in, a task is in it whole or not at all (killed
 * writers, full disks, second writers), what is not a store of ours is refused in a sentence, and the CSV
 * files made from it appear whole or not at all.
 */
#include "tests/gdn_test.h"

#include <errno.h>
#include <float.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/export.h"
#include "harness/outfile.h"
#include "harness/row.h"
#include "harness/store.h"

static char scratch[64]; /* a directory of this run's own */

/* scratch/name; lives until the eighth call after. */
static const char *path_of(const char *name)
{
    static char paths[8][256];
    static int next;
    char *p = paths[next++ % 8];
    snprintf(p, sizeof paths[0], "%s/%s", scratch, name);
    return p;
}

static gdn_store *open_store(const char *path)
{
    gdn_store *s = NULL;
    gdn_error err = {""};
    GDN_CHECK(gdn_store_open(path, &s, &err) == GDN_OK && s, "%s", err.text);
    return s;
}

static void close_store(gdn_store *s)
{
    gdn_error err = {""};
    GDN_CHECK(gdn_store_close(s, &err) == GDN_OK, "%s", err.text);
}

/* SQL behind the store's back. */
static void sql(const char *path, const char *text)
{
    sqlite3 *db = NULL;
    char *message = NULL;
    GDN_CHECK(sqlite3_open(path, &db) == SQLITE_OK, "cannot open %s", path);
    GDN_CHECK(sqlite3_exec(db, text, NULL, NULL, &message) == SQLITE_OK, "%s: %s", text, message);
    sqlite3_close(db);
}

static int64_t sql_number(const char *path, const char *text)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *q = NULL;
    GDN_CHECK(sqlite3_open(path, &db) == SQLITE_OK, "cannot open %s", path);
    GDN_CHECK(sqlite3_prepare_v2(db, text, -1, &q, NULL) == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW,
              "%s: %s", text, sqlite3_errmsg(db));
    int64_t x = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    sqlite3_close(db);
    return x;
}

/* ---- rows ---- */

enum { ROWS = 300 };

static const char *const odd_texts[] = {
    "fp32", "", "a,b", "say \"no\"", "tab\tand\nline", "Müller", "'; DROP TABLE rows"};
enum { ODD_TEXTS = sizeof odd_texts / sizeof odd_texts[0] };

/* A double of any kind but negative zero, which SQLite does not keep. */
static double any_double(uint64_t *seed)
{
    static const double odd[] = {NAN,    INFINITY, -INFINITY, 0,     1,         -3,
                                 0x1p62, 0x1p63,   -0x1p63,   1e300, 0x1p-1074, DBL_MAX};
    uint64_t u = gdn_test_random(seed);
    double x;
    if (u % 4 == 0)
        return odd[u / 4 % (sizeof odd / sizeof odd[0])];
    u = gdn_test_random(seed);
    memcpy(&x, &u, sizeof x);
    return x == 0 ? 0.1 : x;
}

/* A row whose every column is random; `cell` is its own. */
static gdn_row any_row(uint64_t *seed, uint64_t cell)
{
    gdn_row row;
    for (int i = 0; i < gdn_column_count; i++) {
        void *field = (char *)&row + gdn_columns[i].offset;
        switch (gdn_columns[i].type) {
        case GDN_COLUMN_ID:
            memcpy(field, &cell, sizeof cell);
            break;
        case GDN_COLUMN_TEXT:
            memcpy(field, &odd_texts[gdn_test_random(seed) % ODD_TEXTS], sizeof(char *));
            break;
        case GDN_COLUMN_INT: {
            uint64_t u = gdn_test_random(seed) >> (gdn_test_random(seed) % 64);
            memcpy(field, &u, sizeof u);
            break;
        }
        case GDN_COLUMN_REAL: {
            double x = any_double(seed);
            memcpy(field, &x, sizeof x);
            break;
        }
        }
    }
    return row;
}

/* n rows of any contents with cells of any bits. */
static gdn_row *any_rows(uint64_t seed, int n)
{
    gdn_row *rows = gdn_test_alloc((size_t)n, sizeof *rows);
    for (int i = 0; i < n; i++) {
        uint64_t cell = gdn_test_random(&seed);
        rows[i] = any_row(&seed, cell);
    }
    return rows;
}

/* Fails unless both rows hold the same, doubles bit for bit. */
static void same_row(const gdn_row *x, const gdn_row *y)
{
    for (int i = 0; i < gdn_column_count; i++) {
        const char *a = (const char *)x + gdn_columns[i].offset, *b = (const char *)y + gdn_columns[i].offset;
        const char *s, *t;
        double u, v;
        switch (gdn_columns[i].type) {
        case GDN_COLUMN_TEXT:
            memcpy(&s, a, sizeof s);
            memcpy(&t, b, sizeof t);
            GDN_CHECK(strcmp(s, t) == 0, "%s: '%s', not '%s'", gdn_columns[i].name, s, t);
            break;
        case GDN_COLUMN_REAL:
            memcpy(&u, a, sizeof u);
            memcpy(&v, b, sizeof v);
            GDN_CHECK(gdn_same(u, v), "%s: %a, not %a", gdn_columns[i].name, u, v);
            break;
        default:
            GDN_CHECK(memcmp(a, b, sizeof(int64_t)) == 0, "%s: other bits", gdn_columns[i].name);
        }
    }
}

static gdn_status commit(gdn_store *s, const char *task, const gdn_row *rows, int n, gdn_error *err)
{
    const gdn_task_record record = {
        .task = task, .population = "some population", .seed = 3, .seconds = 0.25};
    return gdn_store_commit(s, &record, rows, n, err);
}

static void commit_ok(gdn_store *s, const char *task, const gdn_row *rows, int n)
{
    gdn_error err = {""};
    GDN_CHECK(commit(s, task, rows, n, &err) == GDN_OK, "%s", err.text);
}

static bool has(gdn_store *s, const char *task)
{
    bool found = false;
    gdn_error err = {""};
    GDN_CHECK(gdn_store_has(s, task, &found, &err) == GDN_OK, "%s", err.text);
    return found;
}

/* Compares what is visited with what is expected, in order. */
typedef struct expectation {
    const gdn_row *const *rows;
    int n, seen, stop;
} expectation;

static gdn_status compare(void *context, const gdn_row *row, gdn_error *err)
{
    expectation *e = context;
    GDN_CHECK(e->seen < e->n, "more than %d rows", e->n);
    same_row(row, e->rows[e->seen++]);
    return e->seen == e->stop ? gdn_fail(err, GDN_DIFFERS, "enough") : GDN_OK;
}

static int by_cell(const void *a, const void *b)
{
    uint64_t x = (*(const gdn_row *const *)a)->cell, y = (*(const gdn_row *const *)b)->cell;
    return (x > y) - (x < y);
}

static const gdn_row **sorted(const gdn_row *rows, int n)
{
    const gdn_row **order = gdn_test_alloc((size_t)n, sizeof *order);
    for (int i = 0; i < n; i++)
        order[i] = &rows[i];
    qsort(order, (size_t)n, sizeof *order, by_cell);
    return order;
}

/* How many rows the tasks have together. */
static gdn_status count_row(void *context, const gdn_row *row, gdn_error *err)
{
    (void)row;
    (void)err;
    ++*(int *)context;
    return GDN_OK;
}

static int count(gdn_store *s, const char *const *tasks, int n)
{
    int rows = 0;
    gdn_error err = {""};
    GDN_CHECK(gdn_store_rows(s, tasks, n, "cell", count_row, &rows, &err) == GDN_OK, "%s", err.text);
    return rows;
}

/* ---- there and back ---- */

START_TEST(columns_come_back)
{
    const char *path = path_of("back.db"), *tasks[] = {"t1"};
    gdn_row *rows = any_rows(1, ROWS);
    const gdn_row **order = sorted(rows, ROWS);
    gdn_store *s = open_store(path);
    commit_ok(s, "t1", rows, ROWS);
    for (int again = 0; again < 2; again++) { /* now, and after closing */
        expectation e = {order, ROWS, 0, -1};
        gdn_error err = {""};
        GDN_CHECK(gdn_store_rows(s, tasks, 1, "cell < 0, cell", compare, &e, &err) == GDN_OK, "%s", err.text);
        ck_assert_int_eq(e.seen, ROWS);
        close_store(s);
        s = open_store(path);
    }
    close_store(s);
    free(order);
    free(rows);
}
END_TEST

/* NaN rests as NULL and nothing else does. */
START_TEST(nan_is_null)
{
    const char *path = path_of("null.db");
    gdn_row *rows = any_rows(2, ROWS);
    gdn_store *s = open_store(path);
    commit_ok(s, "t", rows, ROWS);
    close_store(s);
    for (int i = 0; i < gdn_column_count; i++) {
        int nans = 0;
        char query[128];
        for (int r = 0; r < ROWS && gdn_columns[i].type == GDN_COLUMN_REAL; r++) {
            double x;
            memcpy(&x, (const char *)&rows[r] + gdn_columns[i].offset, sizeof x);
            nans += isnan(x);
        }
        snprintf(query, sizeof query, "SELECT count(*) FROM rows WHERE \"%s\" IS NULL", gdn_columns[i].name);
        GDN_CHECK(sql_number(path, query) == nans, "%s: %lld NULLs for %d NaNs", gdn_columns[i].name,
                  (long long)sql_number(path, query), nans);
    }
    free(rows);
}
END_TEST

START_TEST(records)
{
    gdn_store *s = open_store(path_of("records.db"));
    gdn_row *rows = any_rows(3, 10);
    gdn_task_record r,
        put = {.task = "0123456789abcdef", .population = "needle-fla", .seed = 2, .seconds = 1.5};
    gdn_error err = {""};
    bool found = true;
    GDN_CHECK(!has(s, put.task), "an empty store has it");
    GDN_CHECK(gdn_store_task(s, put.task, &r, &found, &err) == GDN_OK && !found,
              "an empty store has its record");
    GDN_CHECK(gdn_store_commit(s, &put, rows, 10, &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(has(s, put.task) && !has(s, "0123456789abcdee"), "which tasks are there");
    GDN_CHECK(gdn_store_task(s, put.task, &r, &found, &err) == GDN_OK && found, "%s", err.text);
    ck_assert_str_eq(r.task, put.task);
    ck_assert_str_eq(r.population, put.population);
    GDN_CHECK(r.seed == 2 && r.sum[GDN_COVER_ALL].rows == 10 && r.seconds == 1.5, "%lld, %lld, %a",
              (long long)r.seed, (long long)r.sum[GDN_COVER_ALL].rows, r.seconds);
    gdn_checksum sum[GDN_COVERS];
    GDN_CHECK(gdn_rows_checksum(rows, 10, sum, &err) == GDN_OK, "%s", err.text);
    for (int c = 0; c < GDN_COVERS; c++) {
        GDN_CHECK(r.sum[c].rows == sum[c].rows && strcmp(r.sum[c].sum, sum[c].sum) == 0, "cover %d", c);
        GDN_CHECK(strlen(sum[c].sum) == 32 && strspn(sum[c].sum, "0123456789abcdef") == 32, "checksum '%s'",
                  sum[c].sum);
    }
    close_store(s);
    free(rows);
}
END_TEST

/* Only the tasks asked for, each once, in the order asked for; a visitor may stop. */
START_TEST(selection)
{
    gdn_store *s = open_store(path_of("selection.db"));
    gdn_row *rows = any_rows(4, 30);
    const gdn_row *want[20];
    gdn_error err = {""};
    for (int i = 0; i < 30; i++)
        rows[i].head = i;
    commit_ok(s, "a", rows, 10);
    commit_ok(s, "b", rows + 10, 10);
    commit_ok(s, "c", rows + 20, 10);
    for (int i = 0; i < 10; i++) {
        want[i] = &rows[29 - i];
        want[10 + i] = &rows[9 - i];
    }
    const char *tasks[] = {"a", "c", "nowhere", "a"};
    expectation e = {want, 20, 0, -1};
    GDN_CHECK(gdn_store_rows(s, tasks, 4, "head DESC", compare, &e, &err) == GDN_OK, "%s", err.text);
    ck_assert_int_eq(e.seen, 20);
    e = (expectation){want, 20, 0, 7};
    ck_assert_int_eq(gdn_store_rows(s, tasks, 4, "head DESC", compare, &e, &err), GDN_DIFFERS);
    ck_assert_str_eq(err.text, "enough");
    ck_assert_int_eq(e.seen, 7);
    ck_assert_int_eq(count(s, tasks, 0), 0);
    close_store(s);
    free(rows);
}
END_TEST

static void checksum_of(gdn_store *s, const char *task, char out[33])
{
    gdn_task_record r;
    bool found;
    gdn_error err = {""};
    GDN_CHECK(gdn_store_task(s, task, &r, &found, &err) == GDN_OK && found, "%s", err.text);
    snprintf(out, 33, "%s", r.sum[GDN_COVER_ALL].sum);
}

/* Of the rows, not of their order; the last bit of one number counts; minus zero is zero, as it is once
 * stored. */
START_TEST(checksums)
{
    enum { N = 50 };
    gdn_store *s = open_store(path_of("checksums.db"));
    gdn_row *rows = any_rows(5, N), other[N];
    char sum[4][33];
    rows[7].rel_l2 = 0.1;
    rows[8].bias = 0;
    commit_ok(s, "a", rows, N);
    for (int i = 0; i < N; i++)
        other[N - 1 - i] = rows[i];
    commit_ok(s, "b", other, N);
    rows[7].rel_l2 = nextafter(0.1, 1);
    commit_ok(s, "c", rows, N);
    rows[7].rel_l2 = 0.1;
    rows[8].bias = -0.0;
    commit_ok(s, "d", rows, N);
    for (int i = 0; i < 4; i++)
        checksum_of(s, (const char[2]){(char)('a' + i), 0}, sum[i]);
    ck_assert_str_eq(sum[0], sum[1]);
    ck_assert_str_ne(sum[0], sum[2]);
    ck_assert_str_eq(sum[0], sum[3]);
    close_store(s);
    free(rows);
}
END_TEST

/* ---- all or nothing ---- */

/* A writer that dies between BEGIN and COMMIT leaves nothing. */
START_TEST(writer_exits_midway)
{
    const char *path = path_of("exits.db");
    gdn_row *rows = any_rows(6, 20);
    gdn_store *s = open_store(path);
    commit_ok(s, "before", rows, 10);
    close_store(s);
    pid_t child = fork();
    if (child == 0) {
        sqlite3 *db;
        char *message;
        sqlite3_open(path, &db);
        int code = sqlite3_exec(
            db,
            "BEGIN IMMEDIATE;"
            "INSERT INTO rows SELECT 'half', * FROM (SELECT cell + 1, profile, recipe, mode, population,"
            " keys, dk, dv, length, seed, head, a_log, dt_bias, gamma, gamma_eff, quantity, kind,"
            " \"from\", \"to\", rel_l2, nmse, max_ulp, bias, bits, cosine, predicted, uncertainty,"
            " reference, certified, flag FROM rows);"
            "INSERT INTO tasks VALUES ('half', 'p', 1, 10, '', 0)",
            NULL, NULL, &message);
        _exit(code == SQLITE_OK ? 7 : 1);
    }
    int how;
    ck_assert_int_eq(waitpid(child, &how, 0), child);
    GDN_CHECK(WIFEXITED(how) && WEXITSTATUS(how) == 7, "the child could not write half a task");
    s = open_store(path);
    GDN_CHECK(has(s, "before") && !has(s, "half"), "which tasks are there");
    ck_assert_int_eq(count(s, (const char *const[]){"before", "half"}, 2), 10);
    commit_ok(s, "half", rows + 10, 10);
    ck_assert_int_eq(count(s, (const char *const[]){"before", "half"}, 2), 20);
    close_store(s);
    free(rows);
}
END_TEST

/* A writer killed at any moment: every task is there with all its rows, or not at all; and every one it
 * reported is. */
START_TEST(writer_is_killed)
{
    enum { N = 400, KILLS = 12 };
    const char *path = path_of("killed.db");
    gdn_row *rows = any_rows(8, N);
    uint64_t seed = 9, moments = 60000; /* microseconds, more where the first task takes longer */
    int done = 0;
    for (int kill_number = 0; kill_number < KILLS; kill_number++) {
        int news[2];
        ck_assert_int_eq(pipe(news), 0);
        pid_t child = fork();
        if (child == 0) {
            gdn_store *s;
            gdn_error err;
            bool fine = gdn_store_open(path, &s, &err) == GDN_OK;
            for (int i = done; fine; i++) {
                char task[32];
                snprintf(task, sizeof task, "task %d", i);
                fine = commit(s, task, rows, N, &err) == GDN_OK && write(news[1], "x", 1) == 1;
            }
            _exit(1);
        }
        usleep((useconds_t)(1000 + gdn_test_random(&seed) % moments));
        kill(child, SIGKILL);
        int how, told = 0;
        waitpid(child, &how, 0);
        GDN_CHECK(WIFSIGNALED(how), "the child ended by itself");
        close(news[1]);
        for (char c; read(news[0], &c, 1) == 1;)
            told++;
        close(news[0]);
        gdn_store *s = open_store(path);
        int there = 0;
        char task[32];
        for (;; there++) {
            snprintf(task, sizeof task, "task %d", done + there);
            if (!has(s, task))
                break;
            ck_assert_int_eq(count(s, (const char *const[]){task}, 1), N);
        }
        GDN_CHECK(there >= told && there <= told + 1, "%d tasks reported, %d there", told, there);
        done += there;
        moments *= done == 0 ? 2 : 1;
        close_store(s);
        GDN_CHECK(sql_number(path, "SELECT count(*) FROM rows") == (int64_t)done * N,
                  "%lld rows for %d tasks", (long long)sql_number(path, "SELECT count(*) FROM rows"), done);
    }
    GDN_CHECK(done > 0, "no task was ever committed; nothing was tested");
    free(rows);
}
END_TEST

/* A task that cannot be written leaves no row, and the store goes on. */
START_TEST(failed_commit)
{
    gdn_store *s = open_store(path_of("failed.db"));
    gdn_row *rows = any_rows(10, 20);
    gdn_error err = {""};
    rows[19].cell = rows[3].cell;
    ck_assert_int_ne(commit(s, "twice", rows, 20, &err), GDN_OK);
    GDN_CHECK(strstr(err.text, "cannot write to the store"), "%s", err.text);
    GDN_CHECK(!has(s, "twice"), "a failed task is there");
    ck_assert_int_eq(count(s, (const char *const[]){"twice"}, 1), 0);
    commit_ok(s, "twice", rows, 19);
    ck_assert_int_eq(count(s, (const char *const[]){"twice"}, 1), 19);
    close_store(s);
    free(rows);
}
END_TEST

/* Two runs of one experiment: the one that comes second with a task is told so. */
START_TEST(task_is_there_already)
{
    const char *path = path_of("already.db");
    gdn_store *s = open_store(path), *t = open_store(path);
    gdn_row *rows = any_rows(11, 5);
    gdn_error err = {""};
    commit_ok(s, "t", rows, 5);
    ck_assert_int_eq(commit(t, "t", rows, 5, &err), GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, path) && strstr(err.text, "another gdnprec"), "%s", err.text);
    ck_assert_int_eq(count(s, (const char *const[]){"t"}, 1), 5);
    close_store(s);
    close_store(t);
    free(rows);
}
END_TEST

/* Someone holds the write lock for longer than we wait. */
START_TEST(second_writer)
{
    const char *path = path_of("second.db");
    gdn_store *s = open_store(path);
    gdn_row *rows = any_rows(12, 5);
    sqlite3 *db = NULL;
    gdn_error err = {""};
    commit_ok(s, "before", rows, 5);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    ck_assert_int_eq(commit(s, "t", rows, 5, &err), GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, path) && strstr(err.text, "another gdnprec is writing to it"), "%s", err.text);
    GDN_CHECK(!strchr(err.text, '\n'), "more than a line: %s", err.text);
    sqlite3_close(db);
    commit_ok(s, "t", rows, 5);
    close_store(s);
    free(rows);
}
END_TEST

/* Having read a record keeps nobody from emptying the -wal file into the store, and its texts stay. */
START_TEST(record_is_let_go)
{
    const char *path = path_of("let-go.db");
    gdn_store *s = open_store(path);
    gdn_row *rows = any_rows(16, 5);
    gdn_task_record r;
    gdn_error err = {""};
    bool found;
    commit_ok(s, "t", rows, 5);
    GDN_CHECK(gdn_store_task(s, "t", &r, &found, &err) == GDN_OK && found, "%s", err.text);
    commit_ok(s, "u", rows, 5);
    GDN_CHECK(sql_number(path, "PRAGMA wal_checkpoint(TRUNCATE)") == 0, "a read transaction is open");
    ck_assert_str_eq(r.task, "t");
    close_store(s);
    free(rows);
}
END_TEST

/* ---- what is no store of ours ---- */

/* Opening fails with this status and a sentence that begins with the path and has these words. */
static void refused(const char *path, gdn_status want, const char *words)
{
    gdn_store *s = (gdn_store *)1;
    gdn_error err = {""};
    gdn_status status = gdn_store_open(path, &s, &err);
    GDN_CHECK(status == want && !s, "%s: status %d: %s", path, status, err.text);
    GDN_CHECK(strncmp(err.text, path, strlen(path)) == 0 && strstr(err.text, words) &&
                  !strchr(err.text, '\n'),
              "'%s' in: %s", words, err.text);
}

static void write_file(const char *path, const char *text, size_t n)
{
    FILE *f = fopen(path, "wb");
    GDN_CHECK(f && fwrite(text, 1, n, f) == n && fclose(f) == 0, "cannot write %s", path);
}

START_TEST(other_schema_version)
{
    const char *path = path_of("version.db");
    char words[128], change[64];
    close_store(open_store(path));
    snprintf(change, sizeof change, "PRAGMA user_version = %d", GDN_SCHEMA + 1);
    sql(path, change);
    snprintf(words, sizeof words, "a store of schema version %d; this gdnprec writes version %d",
             GDN_SCHEMA + 1, GDN_SCHEMA);
    refused(path, GDN_BAD_INPUT, words);
    refused(path, GDN_BAD_INPUT, "another --results directory");
    GDN_CHECK(sql_number(path, "PRAGMA user_version") == GDN_SCHEMA + 1, "it was changed");
}
END_TEST

START_TEST(foreign_files)
{
    const char *foreign = path_of("foreign.db"), *text = path_of("text.db"),
               *directory = path_of("directory.db"), *below = path_of("text.db/store.db"),
               *nowhere = path_of("nowhere/store.db");
    char page[8192];
    sql(foreign, "CREATE TABLE cats (name TEXT)");
    refused(foreign, GDN_BAD_INPUT, "an SQLite database, but not a store of gdnprec");
    GDN_CHECK(sql_number(foreign, "SELECT count(*) FROM sqlite_master") == 1, "it was changed");
    memset(page, 'x', sizeof page);
    write_file(text, page, sizeof page);
    refused(text, GDN_BAD_INPUT, "file is not a database (move the file away");
    refused(below, GDN_BAD_INPUT, "cannot open the store");
    refused(nowhere, GDN_BAD_INPUT, "cannot open the store");
    ck_assert_int_eq(mkdir(directory, 0777), 0);
    refused(directory, GDN_BAD_INPUT, "cannot open the store");
}
END_TEST

/* An empty file is a database without tables: it becomes a store. */
START_TEST(empty_file)
{
    const char *path = path_of("empty.db");
    write_file(path, "", 0);
    gdn_store *s = open_store(path);
    GDN_CHECK(!has(s, "t"), "a task in an empty store");
    close_store(s);
    GDN_CHECK(sql_number(path, "PRAGMA user_version") == GDN_SCHEMA, "it has no schema version");
}
END_TEST

/* Cut off anywhere it is refused, or opens and answers in a sentence: it never ends the program. */
START_TEST(truncated_store)
{
    const char *whole = path_of("whole.db"), *cut = path_of("cut.db");
    gdn_row *rows = any_rows(13, 200);
    gdn_store *s = open_store(whole);
    commit_ok(s, "t", rows, 200);
    close_store(s);
    FILE *f = fopen(whole, "rb");
    static char bytes[1 << 20];
    size_t size = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    GDN_CHECK(size > 20000 && size < sizeof bytes, "a store of %zu bytes", size);
    for (size_t n = 50; n < size; n += size / 23) {
        gdn_error err = {""};
        int visited = 0;
        write_file(cut, bytes, n);
        if (gdn_store_open(cut, &s, &err) == GDN_OK) {
            if (gdn_store_rows(s, (const char *const[]){"t"}, 1, "cell", count_row, &visited, &err) == GDN_OK)
                GDN_CHECK(visited == 0 || visited == 200, "%zu bytes: %d of 200 rows and no complaint", n,
                          visited);
            gdn_store_close(s, &err);
        }
        GDN_CHECK(!strchr(err.text, '\n'), "%s", err.text);
    }
    free(rows);
}
END_TEST

START_TEST(read_only_store)
{
    const char *path = path_of("readonly.db");
    close_store(open_store(path));
    ck_assert_int_eq(chmod(path, 0444), 0);
    if (access(path, W_OK) != 0) /* root may write anyway */
        refused(path, GDN_BAD_INPUT, "read");
}
END_TEST

/* A store in a directory that cannot be written can be read; as root that takes a file system of our own. */
START_TEST(directory_read_only)
{
    const char *where = path_of("still ?%23 ü");
    char path[256];
    gdn_error err = {""};
    gdn_row *rows = any_rows(18, 5);
    gdn_store *s = NULL;
    ck_assert_int_eq(mkdir(where, 0777), 0);
    bool mounted = unshare(CLONE_NEWNS) == 0 && mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
                   mount("gdn", where, "tmpfs", 0, "size=4m") == 0;
    snprintf(path, sizeof path, "%s/store.db", where);
    s = open_store(path);
    commit_ok(s, "t", rows, 5);
    close_store(s);
    if (mounted)
        ck_assert_int_eq(mount("gdn", where, "tmpfs", MS_REMOUNT | MS_RDONLY, "size=4m"), 0);
    else
        ck_assert_int_eq(chmod(where, 0555), 0);
    GDN_CHECK(gdn_store_read(path, &s, &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(has(s, "t") && count(s, (const char *const[]){"t"}, 1) == 5, "the task is not there");
    close_store(s);
    if (mounted)
        umount(where);
    else
        chmod(where, 0777);
    free(rows);
}
END_TEST

/* ---- a full disk ---- */

/*
 * Commit tasks until one fails; it fails as the machine's, in a sentence that says that the rest is safe, and
 * the tasks before it are there. Returns their number.
 */
static int fill(const char *path, const gdn_row *rows, int n)
{
    gdn_store *s = NULL;
    gdn_error err = {""};
    GDN_CHECK(gdn_store_open(path, &s, &err) == GDN_OK, "%s", err.text);
    gdn_status status = GDN_OK;
    char task[32];
    int done = -1;
    while (!status && done < 1000) {
        snprintf(task, sizeof task, "task %d", ++done);
        status = commit(s, task, rows, n, &err);
    }
    GDN_CHECK(status == GDN_MACHINE, "status %d after %d tasks: %s", status, done, err.text);
    GDN_CHECK(strstr(err.text, path) && strstr(err.text, "committed tasks are safe, run again to resume") &&
                  !strchr(err.text, '\n'),
              "%s", err.text);
    for (int i = 0; i < done; i++) {
        snprintf(task, sizeof task, "task %d", i);
        GDN_CHECK(has(s, task) && count(s, (const char *const[]){task}, 1) == n, "%s is not whole", task);
    }
    snprintf(task, sizeof task, "task %d", done);
    GDN_CHECK(!has(s, task) && count(s, (const char *const[]){task}, 1) == 0, "the failed %s is there", task);
    gdn_store_close(s, &err);
    return done;
}

/* With room again, the failed task and the others go in. */
static void go_on(const char *path, int done, const gdn_row *rows, int n)
{
    gdn_store *s = open_store(path);
    char task[32];
    for (int i = 0; i < done + 3; i++) {
        snprintf(task, sizeof task, "task %d", i);
        GDN_CHECK(has(s, task) == (i < done), "%s: %d", task, has(s, task));
        if (i >= done)
            commit_ok(s, task, rows, n);
        ck_assert_int_eq(count(s, (const char *const[]){task}, 1), n);
    }
    close_store(s);
}

/* The file may not grow beyond 256 KiB: writes fail with EFBIG where a full disk gives ENOSPC. */
START_TEST(file_size_limit)
{
    enum { N = 100 };
    const char *path = path_of("limit.db");
    gdn_row *rows = any_rows(14, N);
    struct rlimit old, small;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_IGN);
    small = old;
    small.rlim_cur = 256 << 10;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    int done = fill(path, rows, N);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    GDN_CHECK(done > 0, "no task went in before the limit");
    go_on(path, done, rows, N);
    free(rows);
}
END_TEST

/* A file system of 1 MiB, where root may have one; the test process is in a mount namespace of its own. */
START_TEST(full_file_system)
{
    enum { N = 100 };
    const char *where = path_of("small");
    char path[256];
    ck_assert_int_eq(mkdir(where, 0777), 0);
    if (unshare(CLONE_NEWNS) || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) ||
        mount("gdn", where, "tmpfs", 0, "size=1m")) {
        printf("full_file_system: no file system of our own (%s); left out\n", strerror(errno));
        return;
    }
    snprintf(path, sizeof path, "%s/store.db", where);
    gdn_row *rows = any_rows(15, N);
    int done = fill(path, rows, N);
    GDN_CHECK(done > 0, "no task went in before the disk was full");
    ck_assert_int_eq(mount("gdn", where, "tmpfs", MS_REMOUNT, "size=8m"), 0);
    go_on(path, done, rows, N);
    umount(where);
    free(rows);
}
END_TEST

/* ---- files that appear whole or not at all ---- */

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static void holds(const char *path, const char *want)
{
    char text[256] = "";
    FILE *f = fopen(path, "rb");
    GDN_CHECK(f, "%s is not there", path);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    ck_assert_str_eq(text, want);
}

START_TEST(outfile_whole_or_not)
{
    const char *path = path_of("out.csv"), *temporary = path_of("out.csv.new");
    gdn_outfile o;
    gdn_error err = {""};
    GDN_CHECK(gdn_outfile_open(&o, path, &err) == GDN_OK, "%s", err.text);
    fprintf(o.f, "one\n");
    GDN_CHECK(!exists(path), "it is there before it is whole");
    GDN_CHECK(gdn_outfile_close(&o, GDN_OK, &err) == GDN_OK, "%s", err.text);
    holds(path, "one\n");
    GDN_CHECK(gdn_outfile_open(&o, path, &err) == GDN_OK, "%s", err.text);
    fprintf(o.f, "two\n");
    holds(path, "one\n");
    ck_assert_int_eq(gdn_outfile_close(&o, GDN_BAD_INPUT, &err), GDN_BAD_INPUT);
    holds(path, "one\n");
    GDN_CHECK(!exists(temporary), "the temporary file stays");
}
END_TEST

START_TEST(outfile_without_room)
{
    const char *path = path_of("big.csv"), *temporary = path_of("big.csv.new");
    gdn_outfile o;
    gdn_error err = {""};
    struct rlimit old, small;
    GDN_CHECK(gdn_outfile_open(&o, path, &err) == GDN_OK, "%s", err.text);
    fprintf(o.f, "old\n");
    GDN_CHECK(gdn_outfile_close(&o, GDN_OK, &err) == GDN_OK, "%s", err.text);
    getrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_IGN);
    small = old;
    small.rlim_cur = 64 << 10;
    setrlimit(RLIMIT_FSIZE, &small);
    for (int lines = 100; lines <= 100000;
         lines *= 100) { /* within a buffer's reach of the limit, and beyond */
        GDN_CHECK(gdn_outfile_open(&o, path, &err) == GDN_OK, "%s", err.text);
        for (int i = 0; i < lines; i++)
            fprintf(o.f, "a line of some length, number %d\n", i);
        errno = EEXIST; /* whatever a library call left there since */
        gdn_status status = gdn_outfile_close(&o, GDN_OK, &err);
        if (lines == 100) {
            ck_assert_int_eq(status, GDN_OK);
            continue;
        }
        GDN_CHECK(status == GDN_MACHINE, "%s", err.text);
        GDN_CHECK(strncmp(err.text, path, strlen(path)) == 0 && strstr(err.text, "cannot write"), "%s",
                  err.text);
        GDN_CHECK(!exists(temporary), "the temporary file stays");
        struct stat st;
        GDN_CHECK(stat(path, &st) == 0 && st.st_size > 3000 && st.st_size < 4000, "the old file is gone");
    }
    setrlimit(RLIMIT_FSIZE, &old);
}
END_TEST

START_TEST(outfile_refused)
{
    const char *file = path_of("a file"), *below = path_of("a file/x.csv"),
               *nowhere = path_of("no/where.csv");
    gdn_outfile o;
    gdn_error err = {""};
    write_file(file, "x", 1);
    ck_assert_int_eq(gdn_outfile_open(&o, below, &err), GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, below), "%s", err.text);
    ck_assert_int_eq(gdn_outfile_open(&o, nowhere, &err), GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, nowhere), "%s", err.text);
    char lengthy[5000];
    memset(lengthy, 'x', sizeof lengthy - 1);
    lengthy[sizeof lengthy - 1] = 0;
    ck_assert_int_eq(gdn_outfile_open(&o, lengthy, &err), GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, "too long"), "%s", err.text);
}
END_TEST

START_TEST(directories)
{
    gdn_error err = {""};
    struct stat st;
    for (int again = 0; again < 2; again++)
        GDN_CHECK(gdn_make_directory(path_of("one/two/three"), &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(stat(path_of("one/two/three"), &st) == 0 && S_ISDIR(st.st_mode), "it is not there");
    GDN_CHECK(gdn_make_directory(path_of("one/four/"), &err) == GDN_OK, "%s", err.text);
    write_file(path_of("one/file"), "x", 1);
    ck_assert_int_eq(gdn_make_directory(path_of("one/file"), &err), GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, "one/file"), "%s", err.text);
    ck_assert_int_eq(gdn_make_directory(path_of("one/file/below"), &err), GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, "one/file/below"), "%s", err.text);
    ck_assert_int_eq(gdn_make_directory("/proc/gdnprec", &err), GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, "/proc/gdnprec"), "%s", err.text);
}
END_TEST

START_TEST(sha256)
{
    char sum[65];
    gdn_error err = {""};
    write_file(path_of("abc"), "abc", 3);
    GDN_CHECK(gdn_file_sha256(path_of("abc"), sum, &err) == GDN_OK, "%s", err.text);
    ck_assert_str_eq(sum,
                     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); /* FIPS 180-4 */
    ck_assert_int_eq(gdn_file_sha256(path_of("not there"), sum, &err), GDN_BAD_INPUT);
}
END_TEST

/* ---- CSV ---- */

/* A measurement of one group: what differs is the head, the window and the error. */
static gdn_row measured(int64_t head, int64_t from, int64_t to, double rel_l2)
{
    static uint64_t cell = 0x8000000000000000; /* ids sort as unsigned: half of these would be negative */
    gdn_row r = {.cell = cell += 0x4000000000000001,
                 .profile = "p",
                 .recipe = "fp32",
                 .mode = "portable",
                 .population = "pop",
                 .keys = "isotropic",
                 .dk = 16,
                 .dv = 16,
                 .length = to,
                 .seed = 1,
                 .head = head,
                 .a_log = -3,
                 .dt_bias = 1,
                 .gamma = 0.001,
                 .gamma_eff = 0.01,
                 .quantity = "o",
                 .kind = "storage",
                 .from = from,
                 .to = to,
                 .rel_l2 = rel_l2,
                 .nmse = rel_l2 * rel_l2,
                 .max_ulp = 8 * rel_l2,
                 .bias = -rel_l2,
                 .bits = -log2(rel_l2),
                 .cosine = 1,
                 .predicted = 2 * rel_l2,
                 .uncertainty = 1e-30,
                 .reference = "mpfr",
                 .certified = 4,
                 .flag = "ok"};
    return r;
}

/* The file scratch/directory/name, whole. */
static const char *text_of(const char *directory, const char *name)
{
    static char text[1 << 16];
    char path[256];
    snprintf(path, sizeof path, "%s/%s/%s", scratch, directory, name);
    FILE *f = fopen(path, "rb");
    GDN_CHECK(f, "%s is not there", path);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    return text;
}

/* Commit the rows as one task and write the files to scratch/name. */
static void export_rows(const char *name, const gdn_row *rows, int n)
{
    char store[64];
    gdn_error err = {""};
    snprintf(store, sizeof store, "%s.store", name);
    gdn_store *s = open_store(path_of(store));
    commit_ok(s, "task", rows, n);
    GDN_CHECK(gdn_make_directory(path_of(name), &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(gdn_export(s, path_of(name), (const char *const[]){"task"}, 1, &err) == GDN_OK, "%s", err.text);
    close_store(s);
}

/* cells.csv: the header from the table of columns, then every row as gdn_row_csv writes it, by cell. */
START_TEST(cells_csv)
{
    enum { N = 40 };
    static char want[1 << 16];
    gdn_row *rows = any_rows(16, N);
    for (int i = 0; i < N; i++)
        rows[i].to = 1 + (rows[i].from = 1 + i); /* positions, whatever the rest */
    const gdn_row **order = sorted(rows, N);
    export_rows("cells", rows, N);
    size_t n = 0;
    for (int i = 0; i < gdn_column_count; i++)
        n += (size_t)sprintf(want + n, "%s%s", i ? "," : "", gdn_columns[i].name);
    for (int i = 0; i < N; i++) {
        n += (size_t)sprintf(want + n, "\n");
        n += (size_t)gdn_row_csv(order[i], want + n, sizeof want - n);
    }
    sprintf(want + n, "\n");
    ck_assert_str_eq(text_of("cells", "cells.csv"), want);
    free(order);
    free(rows);
}
END_TEST

/* %.17g brings every double back; text is quoted where RFC 4180 asks for it; NaN is empty. */
START_TEST(row_csv)
{
    char line[4096];
    gdn_row r = measured(0, 1, 8, 0.1);
    r.cell = 0xab;
    r.population = "a \"b\", c";
    r.predicted = NAN;
    r.bits = -0.0;
    gdn_row_csv(&r, line, sizeof line);
    ck_assert_str_eq(
        line, "00000000000000ab,p,fp32,portable,\"a \"\"b\"\", c\",isotropic,16,16,8,1,0,-3,1,0.001,0.01,o,"
              "storage,1,8,0.10000000000000001,0.010000000000000002,0.80000000000000004,-0.10000000000000001,"
              "0,1,,1.0000000000000001e-30,mpfr,4,ok");
}
END_TEST

/* Five heads: numbers of three, one below its reference, one nonfinite. Median and limits by hand. */
START_TEST(summary_csv)
{
    gdn_row rows[6];
    static const double errors[] = {0.25, 0.0625, 0.125};
    for (int i = 0; i < 3; i++)
        rows[i] = measured(i, 1, 8, errors[i]);
    for (int i = 3; i < 5; i++) {
        rows[i] = measured(i, 1, 8, NAN);
        rows[i].predicted = NAN;
        rows[i].flag = i == 3 ? "below_reference" : "nonfinite";
    }
    rows[4].uncertainty = 1e-20;
    rows[5] = measured(0, 1, 16, 0.03125); /* another group, smaller throughout */
    export_rows("summary", rows, 6);
    ck_assert_str_eq(
        text_of("summary", "summary.csv"),
        "profile,recipe,mode,population,keys,dk,dv,length,quantity,kind,from,to,n,seeds,median,lo,hi,bias,"
        "bias_lo,bias_hi,max_ulp,predicted,ratio,ratio_lo,ratio_hi,gamma,gamma_eff,uncertainty,reference,"
        "n_below,n_zero,n_nonfinite\n"
        "p,fp32,portable,pop,isotropic,16,16,8,o,storage,1,8,3,1,0.125,0.0625,0.25,-0.125,-0.25,-0.0625,2,"
        "0.25,0.5,0.5,0.5,0.001,0.01,9.9999999999999995e-21,mpfr,1,0,1\n"
        "p,fp32,portable,pop,isotropic,16,16,16,o,storage,1,16,1,1,0.03125,0.03125,0.03125,-0.03125,-0.03125,"
        "-0.03125,0.25,0.0625,0.5,0.5,0.5,0.001,0.01,1.0000000000000001e-30,mpfr,0,0,0\n");
}
END_TEST

/*
 * Errors that grow as T^(1/2) up to the memory of 100 tokens and stand at 0.25 from 300 on: slope 1/2 over
 * the windows that end before 100 (8, 16 and 32), plateau over those that begin after 300 (512 and 1024).
 */
START_TEST(growth_csv)
{
    gdn_row rows[24];
    int n = 0;
    for (int64_t head = 0; head < 2; head++)
        for (int64_t from = 1; from <= 1024; from *= 2) {
            double middle = sqrt((double)from * (double)(2 * from - 1));
            double error = from >= 300 ? 0.25 : from < 8 || from >= 64 ? 77 : sqrt(middle) * 1e-6;
            rows[n++] = measured(head, from, 2 * from - 1, error);
        }
    rows[n++] = measured(0, 1, 2047, 99); /* [1, T] and [T, T] are no windows of growth */
    rows[n++] = measured(0, 100, 100, 99);
    export_rows("growth", rows, n);
    double slope, lo, hi, plateau;
    int heads;
    const char *line = strchr(text_of("growth", "growth.csv"), '\n') + 1;
    GDN_CHECK(sscanf(line, "p,fp32,portable,pop,isotropic,o,storage,%d,%lf,%lf,%lf,%lf,", &heads, &slope, &lo,
                     &hi, &plateau) == 5,
              "%s", line);
    GDN_CHECK(heads == 2 && fabs(slope - 0.5) < 1e-12 && fabs(lo - 0.5) < 1e-12 && fabs(hi - 0.5) < 1e-12 &&
                  plateau == 0.25,
              "%s", line);
}
END_TEST

/*
 * Bins of A_log: two heads and seeds between -3 and -2, others at -2, -0.0 and 0.5, by hand. Totals, other
 * windows and quantities, errors of zero, and rows without a number or without an A_log have no part.
 */
START_TEST(heat_csv)
{
    static const struct {
        double a_log, rel_l2, gamma_eff;
        int64_t from, to;
        const char *profile, *quantity, *kind;
    } given[] = {
        {-2.5, 0.25, 0.125, 8, 15, "p", "o", "storage"},
        {-3.0, 0.5, 0.25, 8, 15, "p", "o", "storage"},
        {-2.0, 1.0 / 3, 0.5, 8, 15, "p", "o", "storage"},
        {-0.0, 2, NAN, 8, 15, "p", "o", "storage"},
        {0.5, 4, NAN, 8, 15, "p", "o", "storage"},
        {-2.5, 1e-9, 0.125, 131072, 262143, "p", "o", "storage"},
        {-2.5, 3, 0.125, 8, 15, "p", "o", "arith"},
        {-2.5, 5, 0.125, 8, 15, "p", "y", "storage"},
        {-2.5, 6, 0.125, 8, 15, "a", "y", "storage"},
        {4.25, NAN, 0.125, 8, 15, "p", "o", "storage"},
        {NAN, 7, 0.125, 8, 15, "p", "o", "storage"},
        {3.25, 0, 0.125, 8, 15, "p", "o", "storage"},
        {-2.5, 7, 0.125, 8, 15, "p", "o", "total"},
        {-2.5, 7, 0.125, 8, 15, "p", "state", "storage"},
        {-2.5, 7, 0.125, 4, 7, "p", "o", "storage"},
        {-2.5, 7, 0.125, 1, 15, "p", "o", "storage"},
        {-2.5, 7, 0.125, 15, 15, "p", "o", "storage"},
    };
    enum { N = sizeof given / sizeof given[0] };
    gdn_row rows[N];
    for (int i = 0; i < N; i++) {
        rows[i] = measured(i, given[i].from, given[i].to, given[i].rel_l2);
        rows[i].a_log = given[i].a_log;
        rows[i].gamma_eff = given[i].gamma_eff;
        rows[i].profile = given[i].profile;
        rows[i].quantity = given[i].quantity;
        rows[i].kind = given[i].kind;
    }
    export_rows("heat", rows, N);
    ck_assert_str_eq(text_of("heat", "heat.csv"),
                     "profile,mode,population,keys,quantity,kind,from,a_log,n,median,gamma_eff\n"
                     "a,portable,pop,isotropic,y,storage,8,-3,1,6,0.125\n"
                     "p,portable,pop,isotropic,o,arith,8,-3,1,3,0.125\n"
                     "p,portable,pop,isotropic,o,storage,8,-3,2,0.375,0.1875\n"
                     "p,portable,pop,isotropic,o,storage,8,-2,1,0.3333,0.5\n"
                     "p,portable,pop,isotropic,o,storage,8,0,2,3,\n"
                     "p,portable,pop,isotropic,o,storage,131072,-3,1,1e-09,0.125\n"
                     "p,portable,pop,isotropic,y,storage,8,-3,1,5,0.125\n");
}
END_TEST

/* Who only reads waits for nobody who writes. */
START_TEST(export_beside_a_writer)
{
    const char *path = path_of("beside.db");
    gdn_store *s = open_store(path);
    gdn_row *rows = any_rows(17, 5);
    sqlite3 *db = NULL;
    gdn_error err = {""};
    for (int i = 0; i < 5; i++)
        rows[i].to = 1 + (rows[i].from = 1 + i);
    commit_ok(s, "task", rows, 5);
    GDN_CHECK(gdn_make_directory(path_of("beside"), &err) == GDN_OK, "%s", err.text);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    GDN_CHECK(gdn_export(s, path_of("beside"), (const char *const[]){"task"}, 1, &err) == GDN_OK, "%s",
              err.text);
    sqlite3_close(db);
    close_store(s);
    free(rows);
}
END_TEST

/* Without room for the CSV files nothing half-written stays. */
START_TEST(export_without_room)
{
    enum { N = 400 };
    gdn_row *rows = any_rows(17, N);
    gdn_store *s = open_store(path_of("room.store"));
    gdn_error err = {""};
    struct rlimit old, small;
    for (int i = 0; i < N; i++)
        rows[i].to = 1 + (rows[i].from = 1 + i); /* positions, whatever the rest */
    commit_ok(s, "task", rows, N);
    GDN_CHECK(gdn_make_directory(path_of("room"), &err) == GDN_OK, "%s", err.text);
    getrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_IGN);
    small = old;
    small.rlim_cur = 32 << 10;
    setrlimit(RLIMIT_FSIZE, &small);
    gdn_status status = gdn_export(s, path_of("room"), (const char *const[]){"task"}, 1, &err);
    setrlimit(RLIMIT_FSIZE, &old);
    GDN_CHECK(status == GDN_MACHINE, "%s", err.text);
    GDN_CHECK(strstr(err.text, "cells.csv: cannot write"), "%s", err.text);
    GDN_CHECK(!exists(path_of("room/cells.csv")) && !exists(path_of("room/cells.csv.new")), "half a file");
    GDN_CHECK(gdn_export(s, path_of("room"), (const char *const[]){"task"}, 1, &err) == GDN_OK, "%s",
              err.text);
    GDN_CHECK(exists(path_of("room/cells.csv")), "no file");
    close_store(s);
    free(rows);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {columns_come_back,
                                  nan_is_null,
                                  records,
                                  selection,
                                  checksums,
                                  writer_exits_midway,
                                  writer_is_killed,
                                  failed_commit,
                                  task_is_there_already,
                                  second_writer,
                                  record_is_let_go,
                                  other_schema_version,
                                  foreign_files,
                                  empty_file,
                                  truncated_store,
                                  read_only_store,
                                  directory_read_only,
                                  file_size_limit,
                                  full_file_system,
                                  outfile_whole_or_not,
                                  outfile_without_room,
                                  outfile_refused,
                                  directories,
                                  sha256,
                                  cells_csv,
                                  row_csv,
                                  summary_csv,
                                  growth_csv,
                                  heat_csv,
                                  export_beside_a_writer,
                                  export_without_room};
    if (!gdn_test_scratch(scratch, sizeof scratch, "store"))
        return EXIT_FAILURE;
    int status = gdn_test_run("store", tests, sizeof tests / sizeof tests[0]);
    gdn_test_remove(scratch);
    return status;
}
