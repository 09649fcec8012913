/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of harness/verify and harness/checksum: results made here verify; whatever is changed in them
 * afterwards is told.
 */
#include <dirent.h>
#include <sys/stat.h>

#include "harness/checksum.h"
#include "harness/outfile.h"
#include "harness/run.h"
#include "harness/verify_parts.h"
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

static gdn_error err;

/* Verify as these options say, of what is in `results`; what it says in *said (to be freed). */
static gdn_status verify_as(gdn_verify_options o, gdn_verify_counts *counts, char **said)
{
    static const char *const names[] = {"small"};
    size_t size;
    o.results = results;
    o.quiet = true;
    if (!o.experiment) {
        o.experiment = names;
        o.n = 1;
    }
    FILE *out = open_memstream(said, &size);
    err.text[0] = 0;
    gdn_status status = gdn_verify(&o, counts, out, &err);
    GDN_CHECK(fclose(out) == 0, "no memory");
    GDN_CHECK(status == GDN_OK || err.text[0], "no sentence");
    return status;
}

static gdn_status verify(gdn_extent extent, gdn_verify_counts *counts, char **said)
{
    return verify_as((gdn_verify_options){.extent = extent, .jobs = 2}, counts, said);
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

static void sum_of(const char *name, char sum[65])
{
    char path[200];
    snprintf(path, sizeof path, "%s/small/%s", results, name);
    GDN_CHECK(gdn_file_sha256(path, sum, &err) == GDN_OK, "%s", err.text);
}

/* Its sum in manifest.json, after a change: as if it had been so from the first. */
static void adopt(const char *name, const char *before)
{
    char now[65];
    sum_of(name, now);
    change("manifest.json", before, now);
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
        ck_assert_int_eq(c.summaries, extents[i] != GDN_EXTENT_SHORT);
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
        int elsewhere;
    } gone[] = {{"cells.csv", GDN_OK, 1}, {"heat.csv", GDN_OK, 2}, {"tasks.csv", GDN_DIFFERS, 2}};
    run("gone", small, 1500);
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        gdn_verify_counts c;
        char *said, path[200];
        snprintf(path, sizeof path, "%s/small/%s", results, gone[i].name);
        GDN_CHECK(unlink(path) == 0, "%s", path);
        gdn_status status = verify(GDN_EXTENT_SHORT, &c, &said);
        GDN_CHECK(status == gone[i].status && c.files_kept_elsewhere == gone[i].elsewhere &&
                      (status == GDN_OK) == !strstr(said, "tasks.csv: manifest.json names it"),
                  "%s: status %d:\n%s", path, (int)status, said);
        free(said);
    }
}
END_TEST

/* Another first digit of the checksum in this column of the first line with this word in tasks.csv. */
static void change_checksum(const char *word, int column)
{
    char path[200], line[512] = "", right[34], wrong[34];
    snprintf(path, sizeof path, "%s/small/tasks.csv", results);
    FILE *f = fopen(path, "r");
    GDN_CHECK(f, "%s", path);
    while (fgets(line, sizeof line, f) && !strstr(line, word))
        ;
    fclose(f);
    const char *at = line;
    for (int i = 0; i < column && at; i++)
        at = strchr(at + 1, ',');
    GDN_CHECK(at, "no %s in %s", word, path);
    snprintf(right, sizeof right, "%s", at);
    snprintf(wrong, sizeof wrong, ",%c%s", right[1] == '0' ? '1' : '0', right + 2);
    change("tasks.csv", right, wrong);
}

/* A checksum of tasks.csv: the file is another, and the task. A packed one, never cut, has all its rows
 * compared. */
START_TEST(checksums_count)
{
    static const struct {
        const char *word;
        int column;
        const char *rows;
    } cases[] = {{"one", 8, " portable rows, checksum"}, {"packed", 4, " rows, checksum"}};
    for (size_t i = 0; i < 2; i++) {
        gdn_verify_counts c;
        char *said;
        run("checksum", small, 0);
        change_checksum(cases[i].word, cases[i].column);
        ck_assert_int_eq(verify(GDN_EXTENT_SHORT, &c, &said), GDN_DIFFERS);
        GDN_CHECK(c.differ == 2 && strstr(said, "tasks.csv: sha256") && strstr(said, cases[i].rows) &&
                      !strstr(said, "portable") == (i == 1),
                  "%s", said);
        free(said);
        gdn_test_remove(results);
    }
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

/* Two arithmetics: intervals within a factor of 2, on either side. */
START_TEST(near_medians)
{
    static const struct {
        gdn_interval x;
        bool near;
    } cases[] = {{{1, 0.9, 1.1}, true},     {{2.2, 2.15, 2.4}, true},   {{2.3, 2.25, 2.4}, false},
                 {{0.45, 0.4, 0.46}, true}, {{0.4, 0.39, 0.44}, false}, {{1, 0.1, 9}, true}};
    const gdn_interval there = {1, 0.9, 1.1};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        GDN_CHECK(gdn_verify_near(cases[i].x, there) == cases[i].near, "case %zu", i);
}
END_TEST

/* Medians that the rows do not have, with a manifest that agrees to them. */
START_TEST(summaries_come_from_rows)
{
    gdn_verify_counts c;
    char *said, before[65];
    run("summaries", small, 0);
    sum_of("growth.csv", before);
    change("growth.csv", "portable,", "Portable,");
    adopt("growth.csv", before);
    ck_assert_int_eq(verify(GDN_EXTENT_WHOLE, &c, &said), GDN_DIFFERS);
    GDN_CHECK(c.differ == 1 && strstr(said, "growth.csv: made again"), "%s", said);
    free(said);
    ck_assert_int_eq(verify(GDN_EXTENT_SHORT, &c, &said), GDN_OK); /* not all rows are there */
    ck_assert_int_eq(c.summaries, 0);
    free(said);
    gdn_verify_options some = {.tasks = 5, .jobs = 2};
    ck_assert_int_eq(verify_as(some, &c, &said), GDN_OK);
    ck_assert_int_eq(c.summaries, 0);
    free(said);
}
END_TEST

/* Blank column `column` of tasks.csv. */
static void blank(int column)
{
    char path[200], before[65], text[1 << 14];
    sum_of("tasks.csv", before);
    snprintf(path, sizeof path, "%s/small/tasks.csv", results);
    FILE *f = fopen(path, "r");
    GDN_CHECK(f, "%s", path);
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = 0;
    GDN_CHECK(fclose(f) == 0 && (f = fopen(path, "w")), "%s", path);
    int line = 0, at = 0;
    for (const char *s = text; *s; s++) {
        at = *s == ',' || *s == '\n' ? at + 1 : at;
        if (line == 0 || at != column || *s == ',' || *s == '\n')
            fputc(*s, f);
        if (*s == '\n') {
            line++;
            at = 0;
        }
    }
    GDN_CHECK(fclose(f) == 0, "%s", path);
    adopt("tasks.csv", before);
}

/* Those of one population alone have sums that can be compared: they take the place of any other. */
START_TEST(another_takes_the_place)
{
    enum { CHECKSUM = 4, SHORT_CHECKSUM = 8 };
    gdn_verify_counts c;
    char *said;
    run("place", small, 0);
    blank(SHORT_CHECKSUM);
    int64_t left = 0;
    for (uint64_t draw = 0; draw < 4; draw++) {
        gdn_verify_options o = {.tasks = 2, .extent = GDN_EXTENT_SHORT, .draw = draw, .jobs = 2};
        GDN_CHECK(verify_as(o, &c, &said) == GDN_OK && c.tasks == 2 && c.whole == 2 && c.left <= 4, "%s",
                  said);
        GDN_CHECK(!c.left == !strstr(said, "tasks.csv has no short_checksum"), "%s", said);
        left += c.left;
        free(said);
    }
    GDN_CHECK(left > 0, "none was passed over");
    blank(CHECKSUM);
    ck_assert_int_eq(verify(GDN_EXTENT_SHORT, &c, &said), GDN_BAD_INPUT);
    GDN_CHECK(c.left == 6 && strstr(err.text, "not one of 6 tasks can be compared"), "%s: %s", err.text,
              said);
    free(said);
}
END_TEST

/* Twice the same experiment, and no number of threads at all. */
START_TEST(named_twice)
{
    static const char *const names[] = {"small", "./small/", "small"};
    gdn_verify_counts c;
    char *said;
    run("twice", small, 0);
    gdn_verify_options o = {.experiment = names, .n = 3, .extent = GDN_EXTENT_SHORT, .jobs = 0};
    GDN_CHECK(verify_as(o, &c, &said) == GDN_OK && c.tasks == 6, "%s", said);
    free(said);
}
END_TEST

/* All that is there, below a directory whose name is a pattern, beside what are no results. */
START_TEST(none_named)
{
    gdn_verify_counts c;
    char *said, path[200];
    run("all[1]", small, 0);
    snprintf(path, sizeof path, "%s/empty", results);
    GDN_CHECK(gdn_make_directory(path, &err) == GDN_OK, "%s", err.text);
    gdn_verify_options o = {.results = results, .extent = GDN_EXTENT_SHORT, .jobs = 2, .quiet = true};
    size_t size;
    FILE *out = open_memstream(&said, &size);
    gdn_status status = gdn_verify(&o, &c, out, &err);
    GDN_CHECK(fclose(out) == 0 && status == GDN_OK && c.tasks == 6, "%s: %s", err.text, said);
    free(said);
    o.results = path;
    GDN_CHECK(gdn_verify(&o, &c, stderr, &err) == GDN_BAD_INPUT && strstr(err.text, "no results below"), "%s",
              err.text);
}
END_TEST

static int entries(const char *path)
{
    int n = 0;
    DIR *d = opendir(path);
    GDN_CHECK(d, "%s", path);
    for (const struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* Probes are no tasks; what they are measured in is a directory in $TMPDIR. */
START_TEST(probes_apart)
{
    gdn_verify_counts c;
    char *said, place[128];
    run("probes",
        "experiment: small\nquestion: Only a probe?\nseeds: 1\ndk: 128\ndv: 128\nprobes:\n  - name: "
        "rate-error\n",
        0);
    GDN_CHECK(verify(GDN_EXTENT_SHORT, &c, &said) == GDN_OK && c.probes == 1 && c.tasks == 0, "%s", said);
    free(said);
    snprintf(place, sizeof place, "%s/tmp", scratch);
    setenv("TMPDIR", place, 1);
    ck_assert_int_eq(verify(GDN_EXTENT_SHORT, &c, &said), GDN_MACHINE);
    GDN_CHECK(strstr(err.text, place), "%s", err.text);
    free(said);
    ck_assert_int_eq(mkdir(place, 0777), 0);
    ck_assert_int_eq(verify(GDN_EXTENT_SHORT, &c, &said), GDN_OK);
    ck_assert_int_eq(entries(place), 0);
    free(said);
    run("both", small, 0);
    ck_assert_int_eq(verify(GDN_EXTENT_WHOLE, &c, &said), GDN_OK);
    ck_assert_int_eq(entries(place), 0);
    free(said);
    unsetenv("TMPDIR");
}
END_TEST

static void put(const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "%s/small/%s", results, name);
    FILE *f = fopen(path, "w");
    GDN_CHECK(f && fclose(f) == 0, "%s", path);
}

/* What plots/ do not draw: of results that have no budget.csv that cannot be said, of others it can. */
START_TEST(figures_of_old)
{
    gdn_verify_counts c;
    char *said, path[200];
    setenv("GDNPREC_SHARE", ".", 1);
    run("figures", small, 1500);
    snprintf(path, sizeof path, "%s/small/figures", results);
    ck_assert_int_eq(mkdir(path, 0777), 0);
    put("figures/budget_o.svg");
    gdn_verify_options o = {.tasks = 1, .extent = GDN_EXTENT_SHORT, .jobs = 2, .figures = true};
    GDN_CHECK(verify_as(o, &c, &said) == GDN_OK && c.figures == 0 && c.figures_left == 1, "%s", said);
    free(said);
    put("figures/layers_y.svg");
    put("figures/of_old.svg");
    GDN_CHECK(verify_as(o, &c, &said) == GDN_DIFFERS && c.differ == 2 &&
                  strstr(said, "figures/layers_y.svg: what") && strstr(said, "figures/of_old.svg: what"),
              "%s", said);
    free(said);
}
END_TEST

GDN_TASK_TEST_MAIN("verify", made_here_comes_out_again, max_length_is_known, seeds_from_another_on,
                   changes_are_told, files_that_are_gone, checksums_count, covers, near_medians,
                   summaries_come_from_rows, another_takes_the_place, named_twice, none_named, probes_apart,
                   figures_of_old)
