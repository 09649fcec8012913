/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of harness/verify and harness/checksum: results made here verify; whatever is changed in them
 * afterwards is told.
 */
#include "harness/checksum.h"
#include "harness/run.h"
#include "harness/verify.h"
#include "tests/task_test.h"

static char results[96];

/* Run the experiment of this text into a directory of the test's own, from a seed on. */
static void run_from(int first_seed, const char *test, const char *text, long max_length)
{
    char path[128];
    snprintf(results, sizeof results, "%s/%s", scratch, test);
    gdn_error err = {""};
    gdn_run_result r;
    gdn_run_options o = {.results = results,
                         .command = "test",
                         .backend = "cpu",
                         .jobs = 2,
                         .first_seed = first_seed,
                         .max_length = max_length,
                         .quiet = true};
    snprintf(path, sizeof path, "%s/x.yaml", scratch);
    FILE *f = fopen(path, "w");
    GDN_CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0, "cannot write %s", path);
    GDN_CHECK(gdn_run(path, &o, &r, &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(unlink(path) == 0, "the experiment's file stays"); /* verify takes the text of manifest.json */
}

static void run(const char *test, const char *text, long max_length)
{
    run_from(1, test, text, max_length);
}

/* Verify; what it says in *said (to be freed). */
static gdn_status verify(gdn_extent extent, gdn_verify_counts *counts, char **said)
{
    static const char *const names[] = {"small"};
    size_t size;
    gdn_error err = {""};
    gdn_verify_options o = {
        .results = results, .experiment = names, .n = 1, .extent = extent, .jobs = 2, .quiet = true};
    FILE *out = open_memstream(said, &size);
    gdn_status status = gdn_verify(&o, counts, out, &err);
    GDN_CHECK(fclose(out) == 0, "no memory");
    GDN_CHECK(status == GDN_OK || status == GDN_DIFFERS || err.text[0], "no sentence");
    return status;
}

/* Replace the first `from` in a file of the results by `to`, which is as long. */
static void change(const char *name, const char *from, const char *to)
{
    char path[200], text[1 << 16];
    snprintf(path, sizeof path, "%s/small/%s", results, name);
    FILE *f = fopen(path, "r+");
    GDN_CHECK(f, "%s", path);
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = 0;
    char *at = strstr(text, from);
    GDN_CHECK(at, "no '%s' in %s", from, path);
    memcpy(at, to, strlen(to));
    GDN_CHECK(fseek(f, 0, SEEK_SET) == 0 && fwrite(text, 1, n, f) == n && fclose(f) == 0, "%s", path);
}

static const char small[] =
    "experiment: small\n"
    "question: Does it come out again?\n"
    "seeds: 2\ndk: 16\ndv: 8\nlengths: [100, 1500, 3000]\n"
    "profiles: [fp32, all-bf16, bf16-state-sr, chunk-bf16]\n"
    "populations:\n"
    "  - {name: one, heads: 2, keys: isotropic, a_log: {uniform: [-4, 0]}, dt_bias: {init: fla}}\n"
    "  - {name: packed, heads: 1, keys: zipf, zipf_exponent: 1, sequences: [1200], a_log: {init: hf}, "
    "dt_bias: {init: fla}}\n"
    "  - {name: brief, heads: 1, keys: low-rank, rank: 4, lengths: [300], a_log: {init: hf}, dt_bias: {init: "
    "ones}}\n";

START_TEST(made_here_comes_out_again)
{
    static const gdn_extent extents[] = {GDN_EXTENT_WHOLE, GDN_EXTENT_SHORT, GDN_EXTENT_FITTING};
    run("again", small, 0);
    int64_t rows[3];
    for (int i = 0; i < 3; i++) {
        gdn_verify_counts c;
        char *said;
        GDN_CHECK(verify(extents[i], &c, &said) == GDN_OK, "%s", said);
        GDN_CHECK(c.tasks == 6 && c.differ == 0 && c.left == 0 && c.files >= 5, "%s", said);
        ck_assert_int_eq(c.whole, extents[i] == GDN_EXTENT_SHORT ? 2 : 6); /* packed sequences are not cut */
        rows[i] = c.rows;
        free(said);
    }
    GDN_CHECK(rows[0] == rows[2] && rows[1] < rows[0], "%lld, %lld, %lld rows", (long long)rows[0],
              (long long)rows[1], (long long)rows[2]);
}
END_TEST

START_TEST(max_length_is_known)
{
    gdn_verify_counts c;
    char *said;
    run("max_length", small, 1500);
    GDN_CHECK(verify(GDN_EXTENT_WHOLE, &c, &said) == GDN_OK && c.tasks == 6, "%s", said);
    free(said);
}
END_TEST

/* Other seeds are other tasks: none of theirs is among the first. */
START_TEST(seeds_from_another_on)
{
    gdn_verify_counts c;
    char *said, path[200], line[512];
    run_from(7, "seeds", small, 1500);
    GDN_CHECK(verify(GDN_EXTENT_SHORT, &c, &said) == GDN_OK && c.tasks == 6, "%s", said);
    free(said);
    snprintf(path, sizeof path, "%s/small/tasks.csv", results);
    FILE *f = fopen(path, "r");
    GDN_CHECK(f && fgets(line, sizeof line, f) && fgets(line, sizeof line, f) && fclose(f) == 0, "%s", path);
    GDN_CHECK(strstr(line, ",one,7,"), "%s", line);
}
END_TEST

/* What is changed in which file, and what is then said how often. */
static const struct {
    const char *name, *from, *to, *said;
    int differ;
} changes[] = {
    {"summary.csv", ",portable,brief,", ",portable,Brief,", "summary.csv: sha256", 1},
    {"last.csv", "cell,profile,", "cell,Profile,", "last.csv: its columns", 2},
    {"manifest.json", "\"schema\": 1", "\"schema\": 2", "schema version 2", 1},
    {"manifest.json", "uniform: [-4, 0]", "uniform: [-4, 1]", "task one, seed 1", 2},
    {"manifest.json", "name: brief", "name: other", "none such", 2},
};

START_TEST(changes_are_told)
{
    run("changes", small, 0);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        gdn_verify_counts c;
        char *said;
        change(changes[i].name, changes[i].from, changes[i].to);
        gdn_status status = verify(GDN_EXTENT_SHORT, &c, &said);
        GDN_CHECK(status == GDN_DIFFERS && c.differ == changes[i].differ && strstr(said, changes[i].said),
                  "change %zu: status %d, %lld differ:\n%s", i, (int)status, (long long)c.differ, said);
        change(changes[i].name, changes[i].to, changes[i].from);
        free(said);
    }
}
END_TEST

/* Without tasks.csv nothing would be run again: that is no agreement. Rows may be kept elsewhere. */
START_TEST(files_that_are_gone)
{
    static const struct {
        const char *name;
        gdn_status status;
    } gone[] = {{"cells.csv", GDN_OK}, {"tasks.csv", GDN_DIFFERS}};
    run("gone", small, 1500);
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        gdn_verify_counts c;
        char *said, path[200];
        snprintf(path, sizeof path, "%s/small/%s", results, gone[i].name);
        GDN_CHECK(unlink(path) == 0, "%s", path);
        gdn_status status = verify(GDN_EXTENT_SHORT, &c, &said);
        GDN_CHECK(status == gone[i].status && c.files_kept_elsewhere == 1 &&
                      (status == GDN_OK) == !strstr(said, "tasks.csv: manifest.json names it"),
                  "%s: status %d:\n%s", path, (int)status, said);
        free(said);
    }
}
END_TEST

/* The first digit of a checksum of tasks.csv: the file is another, and the task. */
START_TEST(checksums_count)
{
    gdn_verify_counts c;
    char *said, path[200], line[512], other[] = ",?";
    run("checksum", small, 0);
    snprintf(path, sizeof path, "%s/small/tasks.csv", results);
    FILE *f = fopen(path, "r");
    GDN_CHECK(f && fgets(line, sizeof line, f) && fgets(line, sizeof line, f) && fclose(f) == 0, "%s", path);
    char *last = strrchr(line, ',');
    other[1] = last[1] == '0' ? '1' : '0';
    last[33] = 0;
    char wrong[64];
    snprintf(wrong, sizeof wrong, "%s%s", other, last + 2);
    change("tasks.csv", last, wrong);
    ck_assert_int_eq(verify(GDN_EXTENT_SHORT, &c, &said), GDN_DIFFERS);
    GDN_CHECK(c.differ == 2 && strstr(said, "tasks.csv: sha256") && strstr(said, "portable rows, checksum"),
              "%s", said);
    free(said);
}
END_TEST

/* What each checksum covers. */
START_TEST(covers)
{
    static const struct {
        gdn_row row;
        int portable, within;
    } rows[] = {
        {{.recipe = "fp32", .mode = "portable", .quantity = "o", .from = 512, .to = 1023}, 1, 1},
        {{.recipe = "fp32", .mode = "portable", .quantity = "o", .from = 1, .to = 1023}, 1, 0},
        {{.recipe = "fp32", .mode = "portable", .quantity = "o", .from = 1, .to = 1000}, 1, 1},
        {{.recipe = "fp32", .mode = "portable", .quantity = "state", .from = 512, .to = 1023}, 1, 1},
        {{.recipe = "fp32", .mode = "portable", .quantity = "state", .from = 1023, .to = 1023}, 1, 0},
        {{.recipe = "fp32", .mode = "portable", .quantity = "o", .from = 1024, .to = 2047}, 1, 0},
        {{.recipe = "chunk-bf16", .mode = "portable", .quantity = "o", .from = 1, .to = 100}, 0, 0},
        {{.recipe = "fp32", .mode = "native-cuda", .quantity = "o", .from = 1, .to = 100}, 0, 0},
        {{.recipe = "recorded", .mode = "recorded", .quantity = "o", .from = 1, .to = 100}, 1, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        GDN_CHECK(gdn_covered(GDN_COVER_ALL, &rows[i].row), "row %zu", i);
        GDN_CHECK(gdn_covered(GDN_COVER_PORTABLE, &rows[i].row) == rows[i].portable, "row %zu", i);
        GDN_CHECK(gdn_covered(GDN_COVER_SHORT, &rows[i].row) == rows[i].within, "row %zu", i);
    }
}
END_TEST

GDN_TASK_TEST_MAIN("verify", made_here_comes_out_again, max_length_is_known, seeds_from_another_on,
                   changes_are_told, files_that_are_gone, checksums_count, covers)
