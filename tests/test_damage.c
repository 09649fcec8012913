/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_damage -- a store cut off or changed on the disk, at random places: it opens with the first of the
 * tasks that were committed, or what is damaged is taken out, or a sentence says that it is damaged; never a
 * wrong row. And one writer at a time.
 */
#include "tests/gdn_test.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/lock.h"
#include "harness/store.h"
#include "harness/store_mend.h"

enum { TASKS = 12, EARLY = 4, ROWS = 40, BYTES = 1 << 21 };

static char scratch[64];

/* What was committed. */
static gdn_row rows[TASKS][ROWS];
static gdn_checksum sums[TASKS][GDN_COVERS];
static char names[TASKS][17], populations[TASKS][20];
static gdn_task_record records[TASKS];

/* The files of the store: while it was written to, and closed. */
typedef struct image {
    unsigned char *byte; /* [BYTES] */
    size_t n;
} image;
static image early_db, wal, whole_db;

static const char *path_of(const char *name)
{
    static char paths[4][256];
    static int next;
    char *p = paths[next++ % 4];
    snprintf(p, sizeof paths[0], "%s/%s", scratch, name);
    return p;
}

static void make_tasks(void)
{
    uint64_t seed = 21;
    for (int t = 0; t < TASKS; t++) {
        snprintf(names[t], sizeof names[t], "%016llx", (unsigned long long)gdn_test_random(&seed));
        snprintf(populations[t], sizeof populations[t], "population %d", t % 3);
        for (int i = 0; i < ROWS; i++)
            rows[t][i] = (gdn_row){.cell = gdn_test_random(&seed),
                                   .profile = "all-bf16",
                                   .recipe = "fla",
                                   .mode = "portable",
                                   .population = populations[t],
                                   .keys = "isotropic",
                                   .dk = 16,
                                   .dv = 16,
                                   .length = 16,
                                   .seed = t + 1,
                                   .head = i,
                                   .quantity = "o",
                                   .kind = "total",
                                   .from = 1,
                                   .to = 16,
                                   .rel_l2 = gdn_test_uniform(&seed, 0, 1),
                                   .bias = gdn_test_uniform(&seed, -1, 1),
                                   .predicted = NAN,
                                   .reference = "mpfr",
                                   .flag = "ok"};
        records[t] = (gdn_task_record){
            .task = names[t], .population = populations[t], .seed = t + 1, .seconds = 0.5 + t};
        gdn_error err;
        ck_assert_int_eq(gdn_rows_checksum(rows[t], ROWS, sums[t], &err), GDN_OK);
    }
}

static image read_image(const char *path)
{
    image m = {gdn_test_alloc(BYTES, 1), 0};
    FILE *f = fopen(path, "rb");
    GDN_CHECK(f, "%s is not there", path);
    m.n = fread(m.byte, 1, BYTES, f);
    fclose(f);
    GDN_CHECK(m.n > 8192 && m.n < BYTES, "%s: %zu bytes", path, m.n);
    return m;
}

static void write_image(const char *path, const image *m, size_t n)
{
    FILE *f = fopen(path, "wb");
    GDN_CHECK(f && fwrite(m->byte, 1, n, f) == n && fclose(f) == 0, "cannot write %s", path);
}

static gdn_store *open_store(const char *path)
{
    gdn_store *s = NULL;
    gdn_error err = {""};
    GDN_CHECK(gdn_store_open(path, &s, &err) == GDN_OK, "%s", err.text);
    return s;
}

static void close_store(gdn_store *s)
{
    gdn_error err = {""};
    GDN_CHECK(gdn_store_close(s, &err) == GDN_OK, "%s", err.text);
}

static void commit(gdn_store *s, int t)
{
    gdn_error err = {""};
    GDN_CHECK(gdn_store_commit(s, &records[t], rows[t], ROWS, &err) == GDN_OK, "%s", err.text);
}

/* The files as a loss of power would leave them, and as closing does. */
static void make_images(void)
{
    const char *db = path_of("store.db");
    make_tasks();
    unlink(db); /* of the test before */
    gdn_store *s = open_store(db);
    for (int t = 0; t < EARLY; t++)
        commit(s, t);
    close_store(s);
    s = open_store(db);
    for (int t = EARLY; t < TASKS; t++)
        commit(s, t);
    early_db = read_image(db);
    wal = read_image(path_of("store.db-wal"));
    close_store(s);
    whole_db = read_image(db);
}

static void free_images(void)
{
    free(early_db.byte);
    free(wal.byte);
    free(whole_db.byte);
}

/* Is the task there? If so it is what was committed, to the last bit. */
static bool as_committed(gdn_store *s, int t)
{
    gdn_task_record r;
    gdn_error err = {""};
    bool found = false;
    GDN_CHECK(gdn_store_task(s, names[t], &r, &found, &err) == GDN_OK, "%s", err.text);
    if (!found)
        return false;
    GDN_CHECK(strcmp(r.population, populations[t]) == 0 && r.seed == t + 1 && r.seconds == 0.5 + t,
              "task %d: another record: %s, %lld, %g", t, r.population, (long long)r.seed, r.seconds);
    for (int c = 0; c < GDN_COVERS; c++)
        GDN_CHECK(r.sum[c].rows == sums[t][c].rows && strcmp(r.sum[c].sum, sums[t][c].sum) == 0,
                  "task %d: another checksum", t);
    GDN_CHECK(gdn_store_check(s, names[t], &err) == GDN_OK, "%s", err.text);
    return true;
}

/* A sentence: the file's name first, one line. */
static void is_sentence(const char *path, gdn_status status, const gdn_error *err)
{
    GDN_CHECK(status == GDN_BAD_INPUT, "status %d: %s", status, err->text);
    GDN_CHECK(strncmp(err->text, path, strlen(path)) == 0 && !strchr(err->text, '\n'), "%s", err->text);
}

/* What a run does with the store on `path` before it goes on; how many tasks are there then, -1: refused. */
static int survivors(const char *path, int *taken)
{
    gdn_store *s = NULL;
    gdn_error err = {""}, ignored;
    int there = 0;
    *taken = 0;
    gdn_status status = gdn_store_open(path, &s, &err);
    if (!status)
        status = gdn_store_mend(s, taken, &err);
    if (status) {
        is_sentence(path, status, &err);
        gdn_store_close(s, &ignored);
        return -1;
    }
    for (int t = 0; t < TASKS; t++)
        there += as_committed(s, t);
    close_store(s);
    return there;
}

/* A file that is cut off, or a byte of it changed: the tasks of its whole part are there. */
START_TEST(damaged_wal)
{
    enum { TRIALS = 120 };
    uint64_t seed = 31;
    int lost = 0;
    make_images();
    for (int i = 0; i < TRIALS; i++) {
        const char *db = path_of("cut.db"), *log = path_of("cut.db-wal");
        size_t at = (size_t)(gdn_test_random(&seed) % wal.n);
        unsigned char old = wal.byte[at];
        if (i % 2)
            wal.byte[at] ^= (unsigned char)(1 + gdn_test_random(&seed) % 255);
        unlink(path_of("cut.db-shm"));
        write_image(db, &early_db, early_db.n);
        write_image(log, &wal, i % 2 ? wal.n : at);
        wal.byte[at] = old;
        int taken, there = survivors(db, &taken);
        GDN_CHECK(there >= EARLY && taken == 0, "byte %zu: %d tasks, %d taken out", at, there, taken);
        gdn_store *s = open_store(db);
        for (int t = 0; t < TASKS; t++)
            GDN_CHECK(as_committed(s, t) == (t < there), "byte %zu: task %d of the first %d", at, t, there);
        close_store(s);
        lost += there < TASKS;
    }
    GDN_CHECK(lost > TRIALS / 2, "%d of %d changes lost a task", lost, TRIALS);
    free_images();
}
END_TEST

/* Some bytes anywhere: refused in a sentence, or whatever is left is what was committed. */
START_TEST(damaged_store)
{
    enum { TRIALS = 250 };
    uint64_t seed = 32;
    int refused = 0, mended = 0;
    make_images();
    for (int i = 0; i < TRIALS; i++) {
        const char *db = path_of("flip.db");
        size_t at[4], bytes = 1 + gdn_test_random(&seed) % 4, n = whole_db.n;
        image m = {gdn_test_alloc(BYTES, 1), n};
        memcpy(m.byte, whole_db.byte, n);
        for (size_t b = 0; b < bytes; b++) {
            at[b] = (size_t)(gdn_test_random(&seed) % n);
            m.byte[at[b]] ^= (unsigned char)(1 << gdn_test_random(&seed) % 8);
        }
        unlink(path_of("flip.db-wal"));
        unlink(path_of("flip.db-shm"));
        write_image(db, &m, i % 10 == 9 ? at[0] : n);
        free(m.byte);
        int taken, there = survivors(db, &taken);
        refused += there < 0;
        mended += taken > 0;
        GDN_CHECK(there < 0 || there + taken == TASKS || (i % 10 == 9 && at[0] == 0),
                  "trial %d: %d tasks and %d taken out", i, there, taken);
    }
    printf("%d of %d damaged stores refused, %d mended\n", refused, TRIALS, mended);
    GDN_CHECK(refused > 0 && mended > 0, "%d refused, %d mended", refused, mended);
    free_images();
}
END_TEST

/* The last bit of one number of one row, which no page shows: that task goes, and comes again. */
START_TEST(last_bit)
{
    const char *db = path_of("bit.db");
    unsigned char value[8];
    make_images();
    uint64_t bits;
    memcpy(&bits, &rows[5][7].rel_l2, sizeof bits);
    for (int i = 0; i < 8; i++) /* SQLite's numbers have their first byte first */
        value[i] = (unsigned char)(bits >> (56 - 8 * i));
    unsigned char *at = memmem(whole_db.byte, whole_db.n, value, sizeof value);
    GDN_CHECK(at, "the number is not in the file");
    at[7] ^= 1;
    write_image(db, &whole_db, whole_db.n);
    int taken, there = survivors(db, &taken);
    GDN_CHECK(taken == 1 && there == TASKS - 1, "%d taken out, %d there", taken, there);
    gdn_store *s = open_store(db);
    GDN_CHECK(!as_committed(s, 5), "the damaged task is there");
    commit(s, 5);
    close_store(s);
    there = survivors(db, &taken);
    GDN_CHECK(taken == 0 && there == TASKS, "then %d taken out, %d there", taken, there);
    free_images();
}
END_TEST

/* A second writer is told who the first one is; however that one ends, the store is free. A reader is not
 * concerned.
 */
START_TEST(one_writer)
{
    const char *db = path_of("claim.db");
    int news[2];
    char said[64], c;
    ck_assert_int_eq(pipe(news), 0);
    close_store(open_store(db));
    pid_t child = fork();
    if (child == 0) {
        gdn_error err;
        gdn_lock held;
        if (gdn_lock_take(&held, db, &err) == GDN_OK && write(news[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    ck_assert_int_eq(read(news[0], &c, 1), 1);
    gdn_store *reader = NULL;
    gdn_lock lock;
    gdn_error err = {""};
    ck_assert_int_eq(gdn_lock_take(&lock, db, &err), GDN_BAD_INPUT);
    snprintf(said, sizeof said, "another gdnprec (process %d on ", (int)child);
    GDN_CHECK(strstr(err.text, db) && strstr(err.text, said), "%s", err.text);
    GDN_CHECK(gdn_store_read(db, &reader, &err) == GDN_OK, "%s", err.text);
    close_store(reader);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    GDN_CHECK(gdn_lock_take(&lock, db, &err) == GDN_OK, "%s", err.text);
    gdn_lock_release(&lock);
    GDN_CHECK(access(path_of("claim.db-lock"), F_OK) != 0, "the lock's file stays");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {damaged_wal, damaged_store, last_bit, one_writer};
    if (!gdn_test_scratch(scratch, sizeof scratch, "damage"))
        return EXIT_FAILURE;
    int status = gdn_test_run("damage", tests, sizeof tests / sizeof tests[0]);
    gdn_test_remove(scratch);
    return status;
}
