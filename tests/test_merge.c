/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_merge -- stores of shards become the results of one run, byte for byte; tasks in two stores, in none,
 * with other rows, of other programs, experiments and schemas, and damaged ones are told apart, and then
 * nothing is written.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "harness/commands.h"
#include "harness/lock.h"
#include "harness/merge.h"
#include "harness/outfile.h"
#include "harness/run.h"
#include "harness/store.h"
#include "tests/task_test.h"

static gdn_error err;

/* scratch/name; lives until the eighth call after. */
static const char *path_of(const char *name)
{
    static char paths[8][256];
    static int next;
    char *p = paths[next++ % 8];
    snprintf(p, sizeof paths[0], "%s/%s", scratch, name);
    return p;
}

/* The same for the names of stores, which live longer: until the sixteenth after. */
static const char *store_of(const char *name)
{
    static char paths[16][256];
    static int next;
    return strcpy(paths[next++ % 16], path_of(name));
}

static const char text[] =
    "experiment: tiny\n"
    "question: Do shards join?\n"
    "seeds: 3\ndk: 8\ndv: 4\nlengths: [8, 32]\n"
    "profiles: [fp32, all-bf16, bf16-state-sr]\n"
    "budget: {base: fp32, format: bf16, members: [a_log, dt_bias]}\n"
    "populations:\n"
    "  - {name: one, heads: 2, keys: isotropic, a_log: {uniform: [-4, 0]}, dt_bias: {init: fla}}\n"
    "  - {name: needle, heads: 1, keys: needle, lengths: [16], a_log: {init: hf}, dt_bias: {init: fla}}\n";
enum { TASKS = 6 };

/* Run the experiment of this text, or what is left of it, into scratch/results. */
static gdn_run_result run_text(const char *words, const char *results, gdn_run_options o)
{
    gdn_run_result r;
    char where[256];
    const char *path = path_of("tiny.yaml");
    snprintf(where, sizeof where, "%s", path_of(results));
    o.results = where;
    o.command = o.command ? o.command : "test";
    o.backend = "cpu";
    o.jobs = 2;
    o.quiet = true;
    FILE *f = fopen(path, "w");
    GDN_CHECK(f && fputs(words, f) >= 0 && fclose(f) == 0, "cannot write %s", path);
    GDN_CHECK(gdn_run(path, &o, &r, &err) == GDN_OK, "%s", err.text);
    return r;
}

static gdn_run_result run_into(const char *results, gdn_run_options o)
{
    return run_text(text, results, o);
}

static void copy(const char *from, const char *to)
{
    static char bytes[1 << 22];
    FILE *f = fopen(from, "rb"), *g = fopen(to, "wb");
    GDN_CHECK(f && g, "cannot copy %s to %s", from, to);
    size_t n = fread(bytes, 1, sizeof bytes, f);
    GDN_CHECK(n < sizeof bytes && fwrite(bytes, 1, n, g) == n, "cannot copy %s", from);
    fclose(f);
    fclose(g);
}

/* What every test starts from: the whole in base/tiny, two shards in base/tiny/shard-I-of-2; made once. */
static void make_base(void)
{
    if (access(path_of("base/tiny/shard-2-of-2/manifest.json"), F_OK) == 0)
        return;
    for (int i = 1; i <= 2; i++)
        run_into("base", (gdn_run_options){.shard = {i, 2}});
    run_into("base", (gdn_run_options){.jobs = 2});
}

/* Copies of store and manifest of the shard (0: of the whole) in scratch/name, to be spoilt. */
static const char *take(int shard, const char *name)
{
    static const char *const files[] = {"store.db", "manifest.json"};
    make_base();
    GDN_CHECK(gdn_make_directory(path_of(name), &err) == GDN_OK, "%s", err.text);
    for (int i = 0; i < 2; i++) {
        char from[128], to[128];
        if (shard)
            snprintf(from, sizeof from, "base/tiny/shard-%d-of-2/%s", shard, files[i]);
        else
            snprintf(from, sizeof from, "base/tiny/%s", files[i]);
        snprintf(to, sizeof to, "%s/%s", name, files[i]);
        copy(path_of(from), path_of(to));
    }
    return store_of(name);
}

/* SQL behind the back of scratch/name/store.db. */
static void sql(const char *name, const char *statement)
{
    sqlite3 *db = NULL;
    char *message = NULL, store[128];
    snprintf(store, sizeof store, "%s/store.db", name);
    GDN_CHECK(sqlite3_open(path_of(store), &db) == SQLITE_OK, "cannot open %s", store);
    GDN_CHECK(sqlite3_exec(db, statement, NULL, NULL, &message) == SQLITE_OK, "%s: %s", statement, message);
    sqlite3_close(db);
}

static char said[1 << 16]; /* by the last merge */

/* Merge n stores into scratch/results. */
static gdn_status merge_as(gdn_merge_options o, const char *results, const char *const *store, int n,
                           gdn_merge_result *r)
{
    FILE *out = fmemopen(said, sizeof said, "w");
    char where[256];
    snprintf(where, sizeof where, "%s", path_of(results));
    o.results = where;
    o.command = o.command ? o.command : "test";
    o.store = store;
    o.n = n;
    o.quiet = true;
    err.text[0] = 0;
    gdn_status status = gdn_merge(&o, r, out, &err);
    GDN_CHECK(fclose(out) == 0, "no memory");
    GDN_CHECK(status == GDN_OK || (err.text[0] && !strchr(err.text, '\n')), "no sentence: '%s'", err.text);
    return status;
}

static gdn_merge_result merged(const char *results, const char *const *store, int n)
{
    gdn_merge_result r;
    gdn_status status = merge_as((gdn_merge_options){.quiet = true}, results, store, n, &r);
    GDN_CHECK(status == GDN_OK, "%s", err.text);
    return r;
}

/* It ends so, in a sentence with these words, and writes nothing. */
static void refused(const char *const *store, int n, gdn_status status, const char *words)
{
    gdn_merge_result r;
    gdn_status got = merge_as((gdn_merge_options){.quiet = true}, "refused", store, n, &r);
    GDN_CHECK(got == status && strstr(err.text, words), "status %d, '%s'; %d and '%s' are wanted", got,
              err.text, status, words);
    GDN_CHECK(access(path_of("refused/tiny"), F_OK) != 0, "something was written");
}

static json_t *manifest_of(const char *directory)
{
    char path[4200];
    json_error_t why;
    snprintf(path, sizeof path, "%s/manifest.json", directory);
    json_t *o = json_load_file(path, 0, &why);
    GDN_CHECK(o, "%s: %s", path, why.text);
    return o;
}

static const char *const csv[] = {"cells.csv", "last.csv",  "summary.csv", "growth.csv",
                                  "heat.csv",  "tasks.csv", "budget.csv"};

/* The CSV files in a directory are those of the whole run. */
static void is_whole(const char *directory)
{
    for (size_t i = 0; i < sizeof csv / sizeof csv[0]; i++) {
        char ours[4200], whole[128], x[65], y[65];
        snprintf(ours, sizeof ours, "%s/%s", directory, csv[i]);
        snprintf(whole, sizeof whole, "base/tiny/%s", csv[i]);
        GDN_CHECK(gdn_file_sha256(ours, x, &err) == GDN_OK, "%s", err.text);
        GDN_CHECK(gdn_file_sha256(path_of(whole), y, &err) == GDN_OK, "%s", err.text);
        GDN_CHECK(strcmp(x, y) == 0, "%s is another", csv[i]);
    }
}

/* ---- what joins ---- */

START_TEST(shards_are_the_whole)
{
    char before[2][65], after[65];
    const char *const store[] = {take(1, "a"), take(2, "b")};
    for (int i = 0; i < 2; i++)
        GDN_CHECK(gdn_file_sha256(path_of(i ? "b/store.db" : "a/store.db"), before[i], &err) == GDN_OK, "%s",
                  err.text);
    gdn_merge_result r = merged("joined", store, 2);
    GDN_CHECK(r.tasks == TASKS && r.stores == 2 && !r.overlaps && !r.missing && !r.left_out && r.rows > 0,
              "%d tasks of %d stores", r.tasks, r.stores);
    is_whole(r.directory);
    for (int i = 0; i < 2; i++) {
        GDN_CHECK(gdn_file_sha256(path_of(i ? "b/store.db" : "a/store.db"), after, &err) == GDN_OK, "%s",
                  err.text);
        GDN_CHECK(strcmp(before[i], after) == 0, "a shard was changed");
    }
    json_t *m = manifest_of(r.directory), *origin = json_array_get(json_object_get(m, "origins"), 0);
    ck_assert_int_eq(json_integer_value(json_object_get(m, "tasks")), TASKS);
    ck_assert_uint_eq(json_array_size(json_object_get(m, "seeds")), 3);
    ck_assert_int_eq(json_integer_value(json_object_get(origin, "tasks")), TASKS);
    ck_assert_str_eq(json_string_value(json_object_get(m, "backend")), "cpu");
    GDN_CHECK(!json_object_get(m, "shard"), "the merged results call themselves a shard");
    json_decref(m);
    GDN_CHECK(access(path_of("joined/tiny/store.db.new"), F_OK) != 0, "the temporary store stays");
    ck_assert_int_eq(run_into("joined", (gdn_run_options){.jobs = 2}).tasks_run, 0); /* the store has all */
    is_whole(r.directory);
}
END_TEST

/* The folder of all shards, and files themselves, are understood too; so are shards cut by seeds. */
START_TEST(ways_to_name_them)
{
    char folder[256], file[2][300];
    take(1, "all/shard-1-of-2");
    take(2, "all/shard-2-of-2");
    snprintf(folder, sizeof folder, "%s", path_of("all"));
    is_whole(merged("by-folder", (const char *const[]){folder}, 1).directory);
    for (int i = 0; i < 2; i++)
        snprintf(file[i], sizeof file[i], "%s/shard-%d-of-2/store.db", folder, i + 1);
    is_whole(merged("by-file", (const char *const[]){file[1], file[0]}, 2).directory);
    take(1, "both"); /* a store and shards below it */
    take(2, "both/shard-2-of-2");
    gdn_merge_result r = merged("by-both", (const char *const[]){path_of("both")}, 1);
    ck_assert_int_eq(r.stores, 2);
    is_whole(r.directory);
    run_into("low", (gdn_run_options){.seeds = 1});
    run_into("high", (gdn_run_options){.first_seed = 2, .seeds = 2});
    const char *const seeds[] = {store_of("high/tiny"), store_of("low/tiny"), store_of("high/tiny")};
    is_whole(merged("by-seed", seeds, 2).directory);
    is_whole(merged("by-seed-again", seeds + 1, 2).directory);
    take(1, "g[1]/shard-1-of-2"); /* a name is no pattern */
    take(2, "g[1]/shard-2-of-2");
    take(0, "g[1]/shard-3-of-2-copy");
    r = merged("by-pattern", (const char *const[]){path_of("g[1]")}, 1);
    ck_assert_int_eq(r.stores, 2);
    is_whole(r.directory);
    refused((const char *const[]){path_of("low")}, 1, GDN_BAD_INPUT, "there is no store.db in it");
    refused((const char *const[]){path_of("nowhere")}, 1, GDN_BAD_INPUT, "no such file or directory");
}
END_TEST

/* A run with other --seeds that has not ended: it has no manifest, and its tasks are the experiment's all the
 * same. */
START_TEST(seeds_of_no_manifest)
{
    run_into("first", (gdn_run_options){.seeds = 1});
    run_into("rest", (gdn_run_options){.first_seed = 2, .seeds = 2});
    const char *const store[] = {store_of("first/tiny"), store_of("rest/tiny")};
    unlink(path_of("rest/tiny/manifest.json"));
    gdn_merge_result r = merged("no-manifest", store, 2);
    GDN_CHECK(r.tasks == TASKS && !r.left_out, "%d tasks, %d left out", r.tasks, r.left_out);
    is_whole(r.directory);
    json_t *m = manifest_of(r.directory);
    ck_assert_uint_eq(json_array_size(json_object_get(m, "seeds")), 3);
    json_decref(m);
    sql("rest/tiny", "DELETE FROM tasks WHERE population = 'one' AND seed = 3");
    refused(store, 2, GDN_DIFFERS, "1 of 6 tasks");
    ck_assert_str_eq(said, "MISSING  one: seeds 3\n");
    sql("rest/tiny", "UPDATE tasks SET seed = 0 WHERE seed = 2");
    refused(store, 2, GDN_BAD_INPUT, "the seeds of its tasks are none of gdnprec's");
}
END_TEST

/* A population from a file is of seed 1, whatever seeds the others are drawn from. */
START_TEST(seeds_of_no_file)
{
    static const float zero[24] = {0}, beta[6] = {0.5F, 0.5F, 0.5F, 0.5F, 0.5F, 0.5F};
    static const tensor t[] = {{"q", 3, {6, 1, 4}, zero},
                               {"k", 3, {6, 1, 4}, zero},
                               {"v", 3, {6, 1, 4}, zero},
                               {"g", 2, {6, 1}, zero},
                               {"beta", 2, {6, 1}, beta}};
    static const char words[] =
        "experiment: tiny\nquestion: Do shards join?\nseeds: 2\ndk: 4\ndv: 4\nlengths: [8]\nprofiles: "
        "[fp32]\n"
        "populations:\n"
        "  - {name: drawn, heads: 1, keys: isotropic, a_log: {init: hf}, dt_bias: {init: fla}}\n"
        "  - {name: dump, file: {path: t.safetensors, q: q, k: k, v: v, g: g, beta: beta}}\n";
    write_tensors("t.safetensors", t, 5);
    for (int i = 1; i <= 2; i++)
        run_text(words, "far", (gdn_run_options){.first_seed = 200000, .shard = {i, 2}});
    gdn_merge_result r = merged("far-merged", (const char *const[]){path_of("far/tiny")}, 1);
    ck_assert_int_eq(r.tasks, 3);
    json_t *m = manifest_of(r.directory), *seeds = json_object_get(m, "seeds");
    GDN_CHECK(json_array_size(seeds) == 2 && json_integer_value(json_array_get(seeds, 0)) == 200000,
              "%zu seeds", json_array_size(seeds));
    json_decref(m);
}
END_TEST

/* What a manifest holds is UTF-8, whatever the names are. */
START_TEST(names_that_are_no_utf8)
{
    static char words[5000];
    char *argv[] = {words, words, words};
    run_into("r\351sultats", (gdn_run_options){.command = "run --results r\351sultats"});
    gdn_merge_result r;
    ck_assert_int_eq(merge_as((gdn_merge_options){.command = "merge r\351sultats/tiny"}, "joint",
                              (const char *const[]){path_of("r\351sultats/tiny")}, 1, &r),
                     GDN_OK);
    json_t *m = manifest_of(r.directory), *stores = json_object_get(json_object_get(m, "merged"), "stores");
    const char *store = json_string_value(json_object_get(json_array_get(stores, 0), "store"));
    ck_assert_str_eq(json_string_value(json_object_get(m, "command")), "merge r\\xe9sultats/tiny");
    GDN_CHECK(store && strstr(store, "/r\\xe9sultats/tiny/store.db"), "%s", store);
    json_decref(m);
    for (int shift = 0; shift < 2; shift++) { /* cut between its characters */
        for (size_t i = 0; i < sizeof words - 1; i++)
            words[i] = i <= (size_t)shift ? 'x' : "\xc3\xa9"[(i - 1 - (size_t)shift) % 2];
        gdn_command_line_keep(3, argv);
        json_t *line = json_string(gdn_command_line());
        GDN_CHECK(line && json_string_length(line) >= 4090, "a character is cut in two");
        ck_assert_str_eq(json_string_value(line) + json_string_length(line) - 3, "...");
        json_decref(line);
    }
}
END_TEST

/* ---- locks ---- */

static int flock_fails; /* errno of flock below; 0: none */

/* Stands before the C library's. */
int flock(int fd, int operation)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    (void)operation;
    if (flock_fails) {
        errno = flock_fails;
        return -1;
    }
    return fcntl(fd, F_OFD_SETLK, &whole);
}

/* A file system without locks: a line says so, and a lock's file that may be another's stays. */
START_TEST(no_locks)
{
    char said_there[512] = "";
    const char *const store[] = {take(1, "a"), take(2, "b")};
    GDN_CHECK(gdn_make_directory(path_of("unlocked/tiny"), &err) == GDN_OK, "%s", err.text);
    copy(path_of("tiny.yaml"), path_of("unlocked/tiny/store.db-lock"));
    int terminal = dup(2), file = open(path_of("line"), O_RDWR | O_CREAT | O_TRUNC, 0666);
    GDN_CHECK(terminal >= 0 && file >= 0 && dup2(file, 2) == 2, "cannot catch stderr");
    flock_fails = ENOLCK;
    gdn_merge_result r = merged("unlocked", store, 2);
    flock_fails = 0;
    GDN_CHECK(dup2(terminal, 2) == 2 && pread(file, said_there, sizeof said_there - 1, 0) > 0, "not a word");
    close(file);
    close(terminal);
    GDN_CHECK(strstr(said_there, "unlocked/tiny/store.db: no lock on it (No locks available)"), "%s",
              said_there);
    is_whole(r.directory);
    GDN_CHECK(access(path_of("unlocked/tiny/store.db-lock"), F_OK) == 0, "the lock of another is gone");
}
END_TEST

/* Without a standard input the lock may be descriptor 0. */
START_TEST(locked_by_0)
{
    gdn_lock lock;
    int input = dup(0);
    close(0);
    gdn_status status = gdn_lock_take(&lock, path_of("zero"), &err);
    int fd = lock.fd;
    gdn_lock_release(&lock);
    GDN_CHECK(status == GDN_OK && fd == 0, "%d: %s", fd, err.text);
    GDN_CHECK(access(path_of("zero-lock"), F_OK) != 0, "the lock's file stays");
    GDN_CHECK(fcntl(0, F_GETFD) < 0, "it is still held");
    if (input >= 0)
        dup2(input, 0);
}
END_TEST

START_TEST(equal_overlaps_are_counted)
{
    gdn_merge_result r =
        merged("overlaps", (const char *const[]){take(1, "a"), take(0, "w"), take(2, "b")}, 3);
    GDN_CHECK(r.tasks == TASKS && r.overlaps == TASKS, "%d tasks, %d overlaps", r.tasks, r.overlaps);
    is_whole(r.directory);
}
END_TEST

/* A merge that was killed has left something; a shard that was killed has left no manifest. */
START_TEST(after_a_kill)
{
    const char *const store[] = {take(1, "a"), take(2, "b")};
    GDN_CHECK(gdn_make_directory(path_of("killed/tiny"), &err) == GDN_OK, "%s", err.text);
    copy(path_of("tiny.yaml"), path_of("killed/tiny/store.db.new"));
    copy(path_of("tiny.yaml"), path_of("killed/tiny/store.db.new-wal"));
    unlink(path_of("a/manifest.json"));
    is_whole(merged("killed", store, 2).directory);
    unlink(path_of("b/manifest.json"));
    refused(store, 2, GDN_BAD_INPUT, "none of the stores has a manifest.json");
}
END_TEST

START_TEST(there_already)
{
    char before[65], after[65];
    const char *const store[] = {take(1, "a"), take(2, "b")};
    take(0, "there/tiny");
    gdn_merge_result r;
    GDN_CHECK(gdn_file_sha256(path_of("there/tiny/store.db"), before, &err) == GDN_OK, "%s", err.text);
    ck_assert_int_eq(merge_as((gdn_merge_options){.partial = true}, "there", store, 2, &r), GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, "is there already"), "%s", err.text);
    GDN_CHECK(gdn_file_sha256(path_of("there/tiny/store.db"), after, &err) == GDN_OK, "%s", err.text);
    ck_assert_str_eq(before, after);
}
END_TEST

/* ---- what does not ---- */

START_TEST(gaps)
{
    const char *const store[] = {take(0, "a")};
    gdn_merge_result r;
    sql("a",
        "DELETE FROM tasks WHERE (population = 'one' AND seed <> 2) OR (population = 'needle' AND seed < 3)");
    refused(store, 1, GDN_DIFFERS, "4 of 6 tasks are in none of the stores");
    ck_assert_str_eq(said, "MISSING  one: seeds 1, 3\nMISSING  needle: seeds 1-2\n");
    ck_assert_int_eq(merge_as((gdn_merge_options){.partial = true}, "part", store, 1, &r), GDN_OK);
    GDN_CHECK(r.tasks == 2 && r.missing == 4, "%d tasks, %d missing", r.tasks, r.missing);
    json_t *m = manifest_of(r.directory);
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(m, "merged"), "missing")), 4);
    json_decref(m);
    ck_assert_int_eq(run_into("part", (gdn_run_options){.jobs = 2}).tasks_run,
                     4); /* what is missing can be run */
    is_whole(r.directory);
}
END_TEST

/* Takes a task out of scratch/a/store.db when the merge says what is missing, as a run that mends would. */
static ssize_t mend_away(void *context, const char *bytes, size_t n)
{
    (void)context;
    (void)bytes;
    sql("a", "DELETE FROM tasks WHERE population = 'needle' AND seed = 3");
    return (ssize_t)n;
}

START_TEST(gone_in_the_meantime)
{
    const char *const store[] = {take(0, "a")};
    gdn_merge_result r;
    sql("a", "DELETE FROM tasks WHERE population = 'one' AND seed = 1");
    FILE *out = fopencookie(NULL, "w", (cookie_io_functions_t){.write = mend_away});
    GDN_CHECK(out && setvbuf(out, NULL, _IONBF, 0) == 0, "no memory");
    char where[256];
    snprintf(where, sizeof where, "%s", path_of("refused"));
    gdn_merge_options o = {
        .results = where, .command = "test", .store = store, .n = 1, .partial = true, .quiet = true};
    ck_assert_int_eq(gdn_merge(&o, &r, out, &err), GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, "is no longer there"), "%s", err.text);
    GDN_CHECK(access(path_of("refused/tiny"), F_OK) != 0, "something was written");
    fclose(out);
}
END_TEST

/* Rows of a task, kept. */
typedef struct kept {
    gdn_row row[4096];
    int n;
} kept;

static gdn_status keep(void *context, const gdn_row *row, gdn_error *e)
{
    (void)e;
    kept *k = context;
    gdn_row *r = &k->row[k->n++];
    *r = *row;
    for (int i = 0; i < gdn_column_count; i++)
        if (gdn_columns[i].type == GDN_COLUMN_TEXT) {
            char **field = (char **)(void *)((char *)r + gdn_columns[i].offset);
            *field = strdup(*field);
        }
    return GDN_OK;
}

/* The first task of shard 1 again in scratch/name/store.db, committed with one bit of one row changed. */
static void commit_other(const char *name, char task[64], uint64_t *cell)
{
    static kept k;
    char store[128];
    gdn_store *s;
    gdn_task_record record;
    bool found;
    sqlite3 *db;
    sqlite3_stmt *q;
    snprintf(store, sizeof store, "%s/store.db", name);
    GDN_CHECK(sqlite3_open(path_of("base/tiny/shard-1-of-2/store.db"), &db) == SQLITE_OK &&
                  sqlite3_prepare_v2(db, "SELECT task FROM tasks ORDER BY task", -1, &q, NULL) == SQLITE_OK &&
                  sqlite3_step(q) == SQLITE_ROW,
              "no task");
    snprintf(task, 64, "%s", (const char *)sqlite3_column_text(q, 0));
    sqlite3_finalize(q);
    sqlite3_close(db);
    const char *const wanted[] = {task};
    GDN_CHECK(gdn_store_read(path_of("base/tiny/shard-1-of-2/store.db"), &s, &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(gdn_store_rows(s, wanted, 1, "cell < 0, cell", keep, &k, &err) == GDN_OK && k.n > 10, "%s",
              err.text);
    GDN_CHECK(gdn_store_task(s, task, &record, &found, &err) == GDN_OK && found, "%s", err.text);
    int changed = k.n / 2;
    while (!(k.row[changed].rel_l2 > 0))
        changed++;
    k.row[changed].rel_l2 = nextafter(k.row[changed].rel_l2, 1);
    *cell = k.row[changed].cell;
    gdn_store *to;
    GDN_CHECK(gdn_make_directory(path_of(name), &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(gdn_store_open(path_of(store), &to, &err) == GDN_OK, "%s", err.text);
    memset(record.sum, 0, sizeof record.sum); /* other rows, other sums */
    GDN_CHECK(gdn_store_commit(to, &record, k.row, k.n, &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(gdn_store_close(to, &err) == GDN_OK && gdn_store_close(s, &err) == GDN_OK, "%s", err.text);
}

START_TEST(other_rows)
{
    char task[64], words[128];
    uint64_t cell;
    const char *const store[] = {take(1, "a"), take(2, "b"), store_of("c")};
    commit_other("c", task, &cell);
    snprintf(words, sizeof words, "(task %s) is another in ", task);
    refused(store, 3, GDN_DIFFERS, words);
    snprintf(words, sizeof words, "first in cell %016llx (", (unsigned long long)cell);
    refused(store, 3, GDN_DIFFERS, words);
    refused(store, 3, GDN_DIFFERS, "): rel_l2 is ");
    GDN_CHECK(strncmp(said, "CONFLICT ", 9) == 0 && strstr(said, task), "%s", said);
    gdn_merge_result r; /* nothing that can be told makes it right */
    ck_assert_int_eq(
        merge_as((gdn_merge_options){.partial = true, .any_commit = true}, "refused", store, 3, &r),
        GDN_DIFFERS);
    ck_assert_int_eq(r.conflicts, 1);
    const char *const more[] = {store[2], store[0], take(0, "w"),
                                store[1]}; /* against two: one task all the same */
    ck_assert_int_eq(merge_as((gdn_merge_options){.quiet = true}, "refused", more, 4, &r), GDN_DIFFERS);
    ck_assert_int_eq(r.conflicts, 1);
    GDN_CHECK(strstr(strstr(said, "CONFLICT ") + 1, "CONFLICT "), "%s", said); /* a line a store */
}
END_TEST

START_TEST(other_programs)
{
    static const struct {
        const char *change, *words;
    } cases[] = {
        {"UPDATE origin SET \"commit\" = 'feedfacefeed', dirty = 0, build = '0123456789abcdef'",
         "(commit feedfacefeed; "},
        {"UPDATE origin SET dirty = 1, build = '0123456789abcdef'", ", with changes; this is "},
        {"UPDATE origin SET \"commit\" = 'unknown', dirty = 0, build = ''", "(an unknown commit; "},
        {"DELETE FROM origin", "(an unknown commit; "},
        {"DROP TABLE origin", "(an unknown commit; "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char results[32];
        const char *const store[] = {take(1, "a"), take(2, "b")};
        gdn_merge_result r;
        sql("b", cases[i].change);
        refused(store, 2, GDN_BAD_INPUT, cases[i].words);
        refused(store, 2, GDN_BAD_INPUT, "--any-commit takes them");
        snprintf(results, sizeof results, "any%zu", i);
        GDN_CHECK(merge_as((gdn_merge_options){.any_commit = true}, results, store, 2, &r) == GDN_OK, "%s",
                  err.text);
        is_whole(r.directory);
        json_t *m = manifest_of(r.directory);
        ck_assert_uint_eq(json_array_size(json_object_get(m, "origins")), 2);
        json_decref(m);
    }
}
END_TEST

/* Going on with a store that another program began says so in a line, and so does the manifest. */
START_TEST(resumed_by_another)
{
    char line[512] = "";
    take(0, "on/tiny");
    sql("on/tiny",
        "UPDATE origin SET \"commit\" = 'feedfacefeed', dirty = 0, build = '0' WHERE task IN (SELECT "
        "task FROM tasks WHERE seed = 1); DELETE FROM sums WHERE cover = 3"); /* the seal, which would tell */
    int terminal = dup(2), file = open(path_of("line"), O_RDWR | O_CREAT | O_TRUNC, 0666);
    GDN_CHECK(terminal >= 0 && file >= 0 && dup2(file, 2) == 2, "cannot catch stderr");
    gdn_run_result r = run_into("on", (gdn_run_options){.jobs = 2});
    GDN_CHECK(dup2(terminal, 2) == 2 && pread(file, line, sizeof line - 1, 0) > 0, "not a word");
    close(file);
    close(terminal);
    GDN_CHECK(
        strstr(line, "2 of the tasks done already were made by another gdnprec (commit feedfacefeed)") &&
            strchr(line, '\n') == line + strlen(line) - 1,
        "%s", line);
    json_t *m = manifest_of(r.directory), *origins = json_object_get(m, "origins");
    ck_assert_int_eq(r.tasks_run, 0);
    ck_assert_uint_eq(json_array_size(origins), 2);
    json_decref(m);
}
END_TEST

START_TEST(other_schema)
{
    const char *const store[] = {take(1, "a"), take(2, "b")};
    char change[64];
    snprintf(change, sizeof change, "PRAGMA user_version = %d", GDN_SCHEMA + 1);
    sql("b", change);
    refused(store, 2, GDN_BAD_INPUT, "b/store.db: a store of schema version ");
}
END_TEST

/* The first `from` in scratch/name becomes `to`, as long. */
static void change(const char *name, const char *from, const char *to)
{
    static char bytes[1 << 16];
    FILE *f = fopen(path_of(name), "r+");
    GDN_CHECK(f, "%s", name);
    size_t n = fread(bytes, 1, sizeof bytes - 1, f);
    bytes[n] = 0;
    char *at = strstr(bytes, from);
    GDN_CHECK(at && strlen(from) == strlen(to), "no '%s' in %s", from, name);
    memcpy(at, to, strlen(to));
    GDN_CHECK(fseek(f, 0, SEEK_SET) == 0 && fwrite(bytes, 1, n, f) == n && fclose(f) == 0, "%s", name);
}

START_TEST(other_experiments)
{
    const char *const store[] = {take(1, "a"), take(2, "b")};
    change("b/manifest.json", "question: Do shards join?\\n", "question: Do shards part?\\n");
    refused(store, 2, GDN_BAD_INPUT, "line 2 of its text is another");
    take(2, "b");
    change("b/manifest.json", "\"seeds\": [\n    1,", "\"seeds\": [\n    0,");
    refused(store, 2, GDN_BAD_INPUT, "they are no seeds of a run");
    take(2, "b");
    change("b/manifest.json", "\"jobs\": 2", "\"jobs\": 0");
    refused(store, 2, GDN_BAD_INPUT, "they are no threads of a run");
    FILE *f = fopen(path_of("b/manifest.json"), "w");
    GDN_CHECK(f && fputs("{\"jobs\": 1, \"jobs\": 2}\n", f) >= 0 && fclose(f) == 0, "b/manifest.json");
    refused(store, 2, GDN_BAD_INPUT, "b/manifest.json:1: is not JSON: ");
    take(2, "b"); /* without a manifest its tasks tell */
    unlink(path_of("b/manifest.json"));
    sql("b", "UPDATE tasks SET task = 'x' || task; UPDATE rows SET task = 'x' || task");
    refused(store, 2, GDN_BAD_INPUT, "tasks is of the experiment tiny");
    take(2, "b"); /* some that are not the experiment's are left out */
    sql("b",
        "INSERT INTO tasks SELECT 'x' || task, population, seed, rows, checksum, seconds FROM tasks LIMIT 1");
    ck_assert_int_eq(merged("left-out", store, 2).left_out, 1);
}
END_TEST

/* ---- damage ---- */

START_TEST(changed_rows)
{
    static const char *const damage[] = {
        "UPDATE rows SET rel_l2 = rel_l2 * 2 WHERE cell = (SELECT max(cell) FROM rows WHERE rel_l2 > 0)",
        "DELETE FROM rows WHERE cell = (SELECT min(cell) FROM rows)",
        "UPDATE rows SET flag = 'nonfinite' WHERE cell = (SELECT max(cell) FROM rows)",
        "UPDATE sums SET checksum = '0123456789abcdef0123456789abcdef' WHERE cover = 1"};
    for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
        const char *const store[] = {take(1, "a"), take(2, "b"), take(0, "w")};
        sql("b", damage[i]);
        refused(store, 2, GDN_BAD_INPUT, "b/store.db: ");
        refused(store, 2, GDN_BAD_INPUT, "its rows do not give the checksum");
        const char *const first[] = {store[2], store[1]}; /* as one that would not be taken */
        refused(first, 2, GDN_BAD_INPUT, "b/store.db: ");
    }
    const char *const store[] = {take(1, "a"), take(2, "b")};
    sql("b", "UPDATE tasks SET seed = seed + 1");
    refused(store, 2, GDN_BAD_INPUT, "the store is damaged");
    take(2, "b");
    sql("b", "UPDATE tasks SET checksum = '0123456789abcdef0123456789abcdef'");
    refused(store, 2, GDN_BAD_INPUT, "its rows do not give the checksum");
}
END_TEST

/* That it is no store comes before that it has no manifest. */
START_TEST(no_store)
{
    make_base();
    copy(path_of("tiny.yaml"), path_of("text"));
    refused((const char *const[]){path_of("text")}, 1, GDN_BAD_INPUT, "text: cannot open the store");
}
END_TEST

/* Cut off anywhere, or with a page of other bytes, it is refused, or what is gone is missing. */
START_TEST(damaged_files)
{
    static char whole[1 << 20];
    const char *const store[] = {take(1, "a"), take(2, "b")};
    FILE *f = fopen(path_of("b/store.db"), "rb");
    size_t size = fread(whole, 1, sizeof whole, f);
    fclose(f);
    GDN_CHECK(size > 20000 && size < sizeof whole, "a store of %zu bytes", size);
    for (int way = 0; way < 2; way++)
        for (size_t n = 50; n < size; n += size / 11) {
            gdn_merge_result r;
            f = fopen(path_of("b/store.db"), "wb");
            fwrite(whole, 1, n, f);
            for (size_t i = n; way && i < size; i++)
                putc(i < n + 4096 ? 0x5a : whole[i], f);
            fclose(f);
            gdn_status status = merge_as((gdn_merge_options){.quiet = true}, "refused", store, 2, &r);
            GDN_CHECK(status != GDN_OK, "cut off at %zu of %zu bytes it merges", n, size);
            GDN_CHECK(access(path_of("refused/tiny"), F_OK) != 0, "%zu bytes: something was written", n);
        }
}
END_TEST

GDN_TASK_TEST_MAIN("merge", shards_are_the_whole, ways_to_name_them, equal_overlaps_are_counted, after_a_kill,
                   there_already, gaps, other_rows, other_programs, resumed_by_another, other_schema,
                   other_experiments, changed_rows, damaged_files, seeds_of_no_manifest, seeds_of_no_file,
                   names_that_are_no_utf8, no_locks, locked_by_0, gone_in_the_meantime, no_store)
