/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cli -- the program as its user meets it: exit codes, one line of complaint, tables and gates as text
 * and JSON, and runs that are killed, interrupted, resumed, spread over threads and refused. The program is
 * $GDNPREC, by default build/gdnprec; it is started directly, without a shell, in a directory of this run's
 * own.
 */
#include "tests/gdn_test.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness/outfile.h"
#include "harness/profile.h"
#include "harness/row.h"

extern char **environ;

static char program[PATH_MAX];
static char repository[PATH_MAX];
static char scratch[64]; /* the working directory of what is started, empty when a test begins */
static char kept[80];    /* where the results of whole_run stay from test to test */

enum { NOT_FINISHED = -1000, SECONDS = 30 };

/* ---- starting the program ---- */

/* What a command left behind. */
typedef struct outcome {
    int status; /* exit code, or minus the signal */
    char out[1 << 16], err[2048];
} outcome;

static char *slurp(const char *path, char *text, size_t size)
{
    FILE *f = fopen(path, "rb");
    GDN_CHECK(f, "%s is not there", path);
    text[fread(text, 1, size - 1, f)] = 0;
    fclose(f);
    return text;
}

static const char *path_of(const char *name)
{
    static char paths[8][256];
    static int next;
    char *p = paths[next++ % 8];
    snprintf(p, sizeof paths[0], "%s/%s", scratch, name);
    return p;
}

/* Start the program with `words`, a NULL-terminated list; output to the file `out` of the scratch directory,
 * or to an absolute path. */
static pid_t start(const char *const *words, const char *out, const char *err)
{
    const char *argv[32] = {"gdnprec"};
    int n = 1;
    for (; words[n - 1]; n++) {
        GDN_CHECK(n < 31, "too many words");
        argv[n] = words[n - 1];
    }
    posix_spawn_file_actions_t actions;
    pid_t pid;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, scratch);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    posix_spawn_file_actions_addopen(&actions, 2, err, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    int code = posix_spawn(&pid, program, &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    GDN_CHECK(code == 0, "cannot start %s: %s", program, strerror(code));
    return pid;
}

/* Wait for it; it has half a minute. */
static int finish(pid_t pid)
{
    int how;
    for (int ms = 0; ms < SECONDS * 1000; ms += 2) {
        pid_t got = waitpid(pid, &how, WNOHANG);
        GDN_CHECK(got >= 0, "waitpid: %s", strerror(errno));
        if (got == pid)
            return WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
        usleep(2000);
    }
    kill(pid, SIGKILL);
    waitpid(pid, &how, 0);
    return NOT_FINISHED;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static const outcome *run(const char *const *words)
{
    static outcome o;
    o.status = finish(start(words, "out", "err"));
    slurp(path_of("out"), o.out, sizeof o.out);
    slurp(path_of("err"), o.err, sizeof o.err);
    return &o;
}

/* The words as they would be typed. */
static const char *typed(const char *const *words)
{
    static char text[1024];
    size_t n = (size_t)snprintf(text, sizeof text, "gdnprec");
    for (; *words && n < sizeof text; words++)
        n += (size_t)snprintf(text + n, sizeof text - n, " %s", *words);
    return text;
}

static const outcome *run_ok(const char *const *words)
{
    const outcome *o = run(words);
    GDN_CHECK(o->status == 0, "%s: status %d: %s", typed(words), o->status, o->err);
    return o;
}

/* It ends with this status and one line on stderr, which has these words in it. */
static void answers(const char *const *words, int status, const char *sentence)
{
    const outcome *o = run(words);
    const char *newline = strchr(o->err, '\n');
    GDN_CHECK(o->status == status, "%s: status %d: %s", typed(words), o->status, o->err);
    GDN_CHECK(strncmp(o->err, "gdnprec: ", 9) == 0 && newline && newline[1] == 0, "%s: not one line: %s",
              typed(words), o->err);
    GDN_CHECK(strstr(o->err, sentence), "%s: no '%s' in: %s", typed(words), sentence, o->err);
}

static void write_text(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "wb");
    GDN_CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0, "cannot write %s", name);
}

static bool exists(const char *name)
{
    return access(path_of(name), F_OK) == 0;
}

/* Bytes of a file, to be freed. */
static char *bytes_of(const char *path, size_t *n)
{
    struct stat st;
    FILE *f = fopen(path, "rb");
    GDN_CHECK(f && fstat(fileno(f), &st) == 0, "%s is not there", path);
    char *bytes = gdn_test_alloc((size_t)st.st_size + 1, 1);
    *n = fread(bytes, 1, (size_t)st.st_size, f);
    GDN_CHECK(*n == (size_t)st.st_size, "cannot read %s", path);
    fclose(f);
    return bytes;
}

/* The CSV files of a results directory are those of whole_run, byte for byte. */
static void as_whole(const char *results)
{
    static const char *const files[] = {"cells.csv",  "last.csv", "summary.csv",
                                        "growth.csv", "heat.csv", "tasks.csv"};
    for (int i = 0; i < 6; i++) {
        char x[128], y[128];
        size_t n, m, at = 0;
        snprintf(x, sizeof x, "%s/tiny/%s", path_of(results), files[i]);
        snprintf(y, sizeof y, "%s/tiny/%s", kept, files[i]);
        char *p = bytes_of(x, &n), *q = bytes_of(y, &m);
        while (at < n && at < m && p[at] == q[at])
            at++;
        GDN_CHECK(n > 0 && n == m && at == n, "%s and %s differ at byte %zu of %zu and %zu: ...%.60s", x, y,
                  at, n, m, p + (at > 30 ? at - 30 : 0));
        free(p);
        free(q);
    }
}

/* Ten tasks that take a tenth of a second each, by the slow ladder. */
static const char tiny[] =
    "experiment: tiny\nquestion: q\nseeds: 5\ndk: 16\ndv: 16\nlengths: [16, 32]\n"
    "profiles: [fp32, all-bf16, bf16-state-sr]\nreference: {rung: mpfr}\npopulations:\n"
    "  - {name: isotropic, heads: 1, a_log: {uniform: [-8, 2.8]}, dt_bias: {init: fla}}\n"
    "  - {name: needle, heads: 1, keys: needle, a_log: {uniform: [-8, 2.8]}, dt_bias: {init: fla}}\n";

/* An uninterrupted run of it, made once; returns the seconds that it took. */
static double whole_run(void)
{
    char path[128], text[64];
    struct timespec a, b;
    write_text("tiny.yaml", tiny);
    snprintf(path, sizeof path, "%s/seconds", kept);
    if (access(path, F_OK) != 0) {
        clock_gettime(CLOCK_MONOTONIC, &a);
        run_ok(WORDS("run", "--quiet", "--jobs", "1", "--results", kept, "tiny.yaml"));
        clock_gettime(CLOCK_MONOTONIC, &b);
        FILE *f = fopen(path, "w");
        GDN_CHECK(f, "cannot write %s", path);
        fprintf(f, "%.6f\n", (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec));
        fclose(f);
    }
    return atof(slurp(path, text, sizeof text));
}

static void remove_tree(const char *path)
{
    gdn_test_remove(path);
}

/* Tasks in the store of a results directory; 0 while there is none. */
static int stored_tasks(const char *results)
{
    char path[128];
    sqlite3 *db = NULL;
    sqlite3_stmt *q = NULL;
    int n = 0;
    snprintf(path, sizeof path, "%s/tiny/store.db", path_of(results));
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "SELECT count(*) FROM tasks", -1, &q, NULL) == SQLITE_OK &&
        sqlite3_step(q) == SQLITE_ROW)
        n = sqlite3_column_int(q, 0);
    sqlite3_finalize(q);
    sqlite3_close(db);
    return n;
}

/* ---- words and options ---- */

static const char *const commands[] = {"run",   "merge",   "plot",  "report", "gate", "layer",
                                       "audit", "convert", "judge", "verify", "list"};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

START_TEST(help_and_version)
{
    const outcome *o = run_ok(WORDS("--version"));
    char version[256];
    snprintf(version, sizeof version, "%.200s", o->out);
    GDN_CHECK(strncmp(version, "gdnprec ", 8) == 0 && strchr(version, '\n'), "%s", version);
    static const char *const asks[] = {"--help", "-h", "help"};
    for (int i = 0; i < 3; i++) {
        o = run_ok(WORDS(asks[i]));
        GDN_CHECK(strncmp(o->out, "Usage: gdnprec COMMAND", 22) == 0 && !*o->err, "%s: %s%s", asks[i], o->out,
                  o->err);
        for (int c = 0; c < COMMANDS; c++) {
            char line[32];
            snprintf(line, sizeof line, "\n  %s ", commands[c]);
            GDN_CHECK(strstr(o->out, line), "%s does not name %s", asks[i], commands[c]);
        }
    }
    for (int c = 0; c < COMMANDS; c++) {
        char usage[64];
        snprintf(usage, sizeof usage, "Usage: gdnprec %s ", commands[c]);
        o = run_ok(WORDS(commands[c], "--help"));
        GDN_CHECK(strncmp(o->out, usage, strlen(usage)) == 0 && !*o->err, "%s --help: %s%s", commands[c],
                  o->out, o->err);
        o = run_ok(WORDS(commands[c], "--version"));
        GDN_CHECK(strcmp(o->out, version) == 0 && !*o->err, "%s --version: %s%s", commands[c], o->out,
                  o->err);
    }
}
END_TEST

START_TEST(wrong_words)
{
    answers((const char *const[]){NULL}, 2, "a command is wanted");
    answers(WORDS("dance"), 2, "'dance' is not a command; `gdnprec --help` lists them");
    answers(WORDS("--dance"), 2, "'--dance' is not a command");
    answers(WORDS("dan\nce\033[31m"), 2, "'dan?ce?[31m' is not a command");
    for (int c = 0; c < COMMANDS; c++) {
        char hint[64];
        snprintf(hint, sizeof hint, "`gdnprec %s --help` lists what is allowed", commands[c]);
        answers(WORDS(commands[c], "--dance"), 2, "unrecognized option '--dance'");
        answers(WORDS(commands[c], "--dance"), 2, hint);
        answers(WORDS(commands[c], "-Z"), 2, "invalid option -- 'Z'");
    }
    answers(WORDS("run"), 2, "name an experiment file");
    answers(WORDS("run", "--jobs"), 2, "option '--jobs' requires an argument");
    answers(WORDS("run", "--jobs", "0", "x.yaml"), 2,
            "--jobs: '0' is not allowed; a whole number from 1 to 1024 is");
    answers(WORDS("run", "--jobs", "2x", "x.yaml"), 2, "--jobs: '2x' is not allowed");
    answers(WORDS("run", "--seeds", "-1", "x.yaml"), 2,
            "--seeds: '-1' is not allowed; a whole number from 1 to 100000 is");
    answers(WORDS("run", "--max-length", "1e3", "x.yaml"), 2,
            "--max-length: '1e3' is not allowed; a whole number from 1 to 67108864 is");
    answers(WORDS("run", "--json=yes", "x.yaml"), 2, "option '--json' doesn't allow an argument");
    answers(WORDS("run", "no such.yaml"), 2, "no such.yaml: cannot open the experiment file: No such file");
    answers(WORDS("verify", "--tasks", "x"), 2,
            "--tasks: 'x' is not allowed; a whole number from 1 to 1000000 is");
    answers(WORDS("verify", "--jobs", "0"), 2, "--jobs: '0' is not allowed");
    answers(WORDS("verify", "--draw", "-1"), 2, "--draw: '-1' is not allowed");
    answers(WORDS("verify", "--results", "no such"), 2, "verify: no results below no such");
    answers(WORDS("merge"), 2, "merge: name the stores of shards");
    ck_assert_int_eq(mkdir(path_of("parted"), 0755) | mkdir(path_of("parted/shard-1-of-2"), 0755), 0);
    answers(WORDS("plot", "parted", "--results", "."), 2, "there is no such file; `gdnprec merge` makes it");
    answers(WORDS("report", "parted", "--results", "."), 2,
            "there is no such file; `gdnprec merge` makes it");
    answers(WORDS("merge", "no such"), 2, "merge: no such: there is no such file or directory");
    answers(WORDS("gate"), 2, "--a-log and --dt-bias are required");
    answers(WORDS("gate", "--a-log", "-3"), 2, "--a-log and --dt-bias are required");
    answers(WORDS("gate", "--a-log", "nan", "--dt-bias", "1"), 2,
            "--a-log: 'nan' is not allowed; a number from -80 to 80 is");
    answers(WORDS("gate", "--a-log", "-3", "--dt-bias", "inf"), 2,
            "--dt-bias: 'inf' is not allowed; a number from -10000 to 10000 is");
    answers(WORDS("gate", "--a-log", "-3", "--dt-bias", "1", "more"), 2, "Too many arguments");
    answers(WORDS("list"), 2,
            "nothing to list is named; formats, profiles, recipes, engines, experiments, columns, probes and "
            "layers are");
    answers(WORDS("list", "cats"), 2, "'cats' is not a table; formats, profiles");
    answers(WORDS("list", "formats", "recipes"), 2, "Too many arguments");
    answers(WORDS("plot", "--results", "nowhere", "tiny"), 2, "nowhere");
    answers(WORDS("report", "--results", "nowhere", "tiny"), 2, "nowhere");
}
END_TEST

/* ---- list and gate ---- */

static json_t *json_of(const char *text)
{
    json_error_t e;
    json_t *j = json_loads(text, 0, &e);
    GDN_CHECK(j, "no JSON: line %d: %s in\n%.200s", e.line, e.text, text);
    return j;
}

static const char *string_at(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    GDN_CHECK(s, "no text '%s'", key);
    return s;
}

static double number_at(const json_t *o, const char *key)
{
    const json_t *n = json_object_get(o, key);
    GDN_CHECK(json_is_number(n), "no number '%s'", key);
    return json_number_value(n);
}

/* A table as text and as JSON: as many entries, in the same order, each name and summary on a line. */
static json_t *table(const char *name)
{
    json_t *all = json_of(run_ok(WORDS("list", "--json", name))->out), *o;
    GDN_CHECK(json_is_array(all) && json_array_size(all) > 0, "%s: nothing is listed", name);
    const outcome *text = run_ok(WORDS("list", name));
    const char *line = text->out;
    size_t i;
    json_array_foreach(all, i, o)
    {
        const char *entry = string_at(o, "name"), *summary = string_at(o, "summary"),
                   *end = strchr(line, '\n');
        GDN_CHECK(end && strncmp(line, entry, strlen(entry)) == 0 && line[strlen(entry)] == ' ', "%s: %s",
                  entry, line);
        GDN_CHECK((size_t)(end - line) > strlen(summary) &&
                      strncmp(end - strlen(summary), summary, strlen(summary)) == 0,
                  "%s: no summary in %.*s", entry, (int)(end - line), line);
        line = end + 1;
    }
    GDN_CHECK(*line == 0 && !*text->err, "%s: more lines than entries: %s%s", name, line, text->err);
    return all;
}

START_TEST(list_tables)
{
    setenv("GDNPREC_SHARE", repository, 1);
    json_t *columns = table("columns"), *formats = table("formats"), *profiles = table("profiles"), *o;
    size_t i;
    ck_assert_int_eq((int)json_array_size(columns), gdn_column_count);
    json_array_foreach(columns, i, o)
    {
        ck_assert_str_eq(string_at(o, "name"), gdn_columns[i].name);
        ck_assert_str_eq(string_at(o, "unit"), gdn_columns[i].unit);
    }
    ck_assert_int_eq((int)json_array_size(formats), GDN_FORMATS);
    json_array_foreach(formats, i, o)
    {
        ck_assert_str_eq(string_at(o, "name"), gdn_formats[i].name);
        GDN_CHECK(number_at(o, "p") == gdn_formats[i].p && number_at(o, "emin") == gdn_formats[i].emin &&
                      number_at(o, "emax") == gdn_formats[i].emax &&
                      number_at(o, "max") == gdn_formats[i].max,
                  "%s", gdn_formats[i].name);
    }
    ck_assert_int_eq((int)json_array_size(profiles), gdn_profile_count);
    json_array_foreach(profiles, i, o)
    {
        gdn_profile p = gdn_profile_builtin((int)i);
        char text[512];
        gdn_profile_text(&p, text, sizeof text);
        ck_assert_str_eq(string_at(o, "name"), p.name);
        ck_assert_str_eq(string_at(o, "definition"), text);
        ck_assert_str_eq(string_at(o, "recipe"), p.recipe.name);
    }
    json_t *others[] = {table("recipes"), table("engines"), table("experiments")};
    ck_assert_int_eq((int)json_array_size(others[0]), gdn_recipe_count);
    bool quick = false;
    json_array_foreach(others[2], i, o) quick |= strcmp(string_at(o, "name"), "quick") == 0;
    GDN_CHECK(quick, "the experiment quick is not listed");
    for (int k = 0; k < 3; k++)
        json_decref(others[k]);
    json_decref(columns);
    json_decref(formats);
    json_decref(profiles);
}
END_TEST

/* One row of the gate's JSON. */
static const json_t *gate_row(const json_t *gate, const char *format, const char *stored)
{
    size_t i;
    json_t *o;
    json_array_foreach(json_object_get(gate, "rows"), i,
                       o) if (strcmp(string_at(o, "format"), format) == 0 &&
                              strcmp(string_at(o, "stored"), stored) == 0) return o;
    ck_abort_msg("no row of %s, %s", format, stored);
}

/* The numbers of one gate against their closed forms in double; masters are fp32. */
START_TEST(gate)
{
    json_t *g =
        json_of(run_ok(WORDS("gate", "--a-log", "-3.3", "--dt-bias=-4.03", "--a", "0.5", "--json"))->out);
    double a_log = (float)-3.3, bias = (float)-4.03, truth = -exp(a_log) * log1p(exp(0.5 + bias));
    GDN_CHECK(number_at(g, "a_log") == a_log && number_at(g, "dt_bias") == bias && number_at(g, "a") == 0.5,
              "masters");
    GDN_CHECK(fabs(number_at(g, "g") / truth - 1) < 1e-14, "g = %a, not %a", number_at(g, "g"), truth);
    GDN_CHECK(fabs(number_at(g, "alpha") / exp(truth) - 1) < 1e-14, "alpha = %a", number_at(g, "alpha"));
    ck_assert_int_eq((int)json_array_size(json_object_get(g, "rows")), 5 * (GDN_FORMATS - GDN_FP32));
    const json_t *row = gate_row(g, "bf16", "A_log");
    GDN_CHECK(number_at(row, "decay") == -3.296875, "A_log rests as %a", number_at(row, "decay"));
    GDN_CHECK(fabs(number_at(row, "error") / expm1(-3.296875 - a_log) - 1) < 1e-12, "error %a, not %a",
              number_at(row, "error"), expm1(-3.296875 - a_log));
    row = gate_row(g, "bf16", "A");
    double a = gdn_round(&gdn_formats[GDN_BF16], exp(a_log));
    GDN_CHECK(fabs(number_at(row, "error") - (a * exp(-a_log) - 1)) < 1e-14, "error of A %a",
              number_at(row, "error"));
    row = gate_row(g, "bf16", "alpha");
    GDN_CHECK(number_at(row, "alpha") == 1 && number_at(row, "error") == -1,
              "above 1 - 2^-9 alpha becomes 1: %a", number_at(row, "alpha"));
    GDN_CHECK(number_at(gate_row(g, "fp32", "A_log, dt_bias"), "error") == 0,
              "fp32 masters rest as they are");
    json_decref(g);
    const outcome *o = run_ok(WORDS("gate", "--a-log", "-3.3", "--dt-bias=-4.03"));
    GDN_CHECK(strstr(o->out, "truth: g = -0.00") && strstr(o->out, "bf16") &&
                  strstr(o->out, "A_log, dt_bias") && !*o->err,
              "%s%s", o->out, o->err);
}
END_TEST

/* Extreme gates still make JSON, and text. */
START_TEST(extreme_gates)
{
    static const char *const a_log[] = {"-80", "80", "0"}, *const bias[] = {"-10000", "10000", "0"};
    for (int i = 0; i < 9; i++) {
        json_t *g =
            json_of(run_ok(WORDS("gate", "--json", "--a-log", a_log[i / 3], "--dt-bias", bias[i % 3]))->out);
        GDN_CHECK(json_array_size(json_object_get(g, "rows")) == 5 * (GDN_FORMATS - GDN_FP32), "rows");
        json_decref(g);
        GDN_CHECK(!*run_ok(WORDS("gate", "--a-log", a_log[i / 3], "--dt-bias", bias[i % 3]))->err,
                  "it complains");
    }
}
END_TEST

/* ---- runs ---- */

/* Everything a run leaves, and that a second one finds it all done and changes nothing. */
START_TEST(run_and_resume)
{
    write_text("tiny.yaml", tiny);
    const outcome *o = run_ok(WORDS("run", "--results", "first/deep", "tiny.yaml"));
    GDN_CHECK(strncmp(o->out, "tiny: 10 tasks (10 run now) in ", 31) == 0, "%s", o->out);
    GDN_CHECK(strncmp(o->err, "tiny: 10 tasks, 0 of them done already, ", 40) == 0, "%s", o->err);
    GDN_CHECK(!strchr(o->err, '\033') && !strchr(o->err, '\r'), "no terminal: %s", o->err);
    static const char *const files[] = {"cells.csv",  "last.csv", "summary.csv",
                                        "growth.csv", "heat.csv", "tasks.csv"};
    char *before[6], name[64], sum[65];
    size_t n[6], m;
    gdn_error err;
    static char text[1 << 16];
    json_t *manifest = json_of(slurp(path_of("first/deep/tiny/manifest.json"), text, sizeof text));
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "first/deep/tiny/%s", files[i]);
        before[i] = bytes_of(path_of(name), &n[i]);
        GDN_CHECK(gdn_file_sha256(path_of(name), sum, &err) == GDN_OK, "%s", err.text);
        ck_assert_str_eq(string_at(json_object_get(manifest, "files"), files[i]), sum);
    }
    ck_assert_str_eq(string_at(json_object_get(manifest, "experiment"), "text"), tiny);
    ck_assert_str_eq(string_at(manifest, "command"), "gdnprec run --results first/deep tiny.yaml");
    GDN_CHECK(number_at(manifest, "tasks") == 10 && number_at(manifest, "tasks_run") == 10,
              "tasks in the manifest");
    json_decref(manifest);
    o = run_ok(WORDS("run", "--results", "first/deep", "--quiet", "tiny.yaml"));
    GDN_CHECK(strncmp(o->out, "tiny: 10 tasks (0 run now) in ", 30) == 0 && !*o->err, "%s%s", o->out, o->err);
    json_t *j = json_of(run_ok(WORDS("run", "--results", "first/deep", "--json", "tiny.yaml"))->out);
    GDN_CHECK(number_at(j, "tasks") == 10 && number_at(j, "tasks_run") == 0, "tasks in the JSON");
    ck_assert_str_eq(string_at(j, "directory"), "first/deep/tiny");
    json_decref(j);
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "first/deep/tiny/%s", files[i]);
        char *now = bytes_of(path_of(name), &m);
        GDN_CHECK(m == n[i] && memcmp(now, before[i], m) == 0, "%s changed", files[i]);
        snprintf(name, sizeof name, "first/deep/tiny/%s.new", files[i]);
        GDN_CHECK(!exists(name), "%s stays", name);
        free(now);
        free(before[i]);
    }
}
END_TEST

/* cells.csv: a header, and as many lines of as many fields as it has; sorted by cell. */
START_TEST(cells)
{
    size_t n;
    char path[128], header[2048], last[17] = "";
    whole_run();
    snprintf(path, sizeof path, "%s/tiny/cells.csv", kept);
    char *text = bytes_of(path, &n);
    gdn_row_csv_header(header, sizeof header);
    GDN_CHECK(strncmp(text, header, strlen(header)) == 0 && text[strlen(header)] == '\n', "%.100s", text);
    int lines = 0;
    for (char *line = text + strlen(header) + 1; *line; lines++) {
        char *end = strchr(line, '\n');
        int commas = 0;
        GDN_CHECK(end, "no newline at the end");
        for (const char *c = line; c < end; c++)
            commas += *c == ',';
        GDN_CHECK(commas == gdn_column_count - 1, "%d commas in %.*s", commas, (int)(end - line), line);
        GDN_CHECK(strncmp(line, last, 16) > 0, "%.16s after %s", line, last);
        memcpy(last, line, 16);
        line = end + 1;
    }
    /* 10 tasks of 3 profiles, 5 quantities, 3 kinds; windows 1, 2.., 4.., 8.., 16.. and lengths 16, 32 */
    ck_assert_int_eq(lines, 10 * 3 * 5 * 3 * 7);
    free(text);
}
END_TEST

/* Threads and blocks of tokens change no byte. */
START_TEST(jobs_and_blocks)
{
    whole_run();
    run_ok(WORDS("run", "--quiet", "--jobs", "2", "--results", "two", "tiny.yaml"));
    as_whole("two");
    run_ok(WORDS("run", "--quiet", "--jobs", "2", "--block", "7", "--results", "seven", "tiny.yaml"));
    as_whole("seven");
    run_ok(WORDS("run", "--quiet", "--jobs", "2", "--isa", "scalar", "--results", "scalar", "tiny.yaml"));
    as_whole("scalar");
    /* one task of five heads over one thread and over three */
    write_text("heads.yaml", "experiment: heads\nquestion: q\ndk: 16\ndv: 16\nlengths: [40]\n"
                             "profiles: [fp32, all-bf16, bf16-state-sr]\npopulations:\n"
                             "  - {name: p, heads: 5, a_log: {uniform: [-8, 2.8]}, dt_bias: {init: fla}}\n");
    size_t n, m;
    run_ok(WORDS("run", "--quiet", "--jobs", "1", "--results", "one", "heads.yaml"));
    run_ok(WORDS("run", "--quiet", "--jobs", "3", "--results", "three", "heads.yaml"));
    char *one = bytes_of(path_of("one/heads/cells.csv"), &n),
         *three = bytes_of(path_of("three/heads/cells.csv"), &m);
    GDN_CHECK(n == m && memcmp(one, three, n) == 0, "rows depend on the threads that share a task");
    free(one);
    free(three);
}
END_TEST

/* Fewer seeds, then all: what is there is kept; a shorter run has its own rows. */
START_TEST(overrides)
{
    whole_run();
    const outcome *o = run_ok(WORDS("run", "--quiet", "--seeds", "2", "--results", "grow", "tiny.yaml"));
    GDN_CHECK(strstr(o->out, "tiny: 4 tasks (4 run now)"), "%s", o->out);
    o = run_ok(WORDS("run", "--quiet", "--results", "grow", "tiny.yaml"));
    GDN_CHECK(strstr(o->out, "tiny: 10 tasks (6 run now)"), "%s", o->out);
    as_whole("grow");
    run_ok(WORDS("run", "--quiet", "--max-length", "31", "--seeds", "1", "--results", "short", "tiny.yaml"));
    size_t n;
    char *text = bytes_of(path_of("short/tiny/summary.csv"), &n);
    GDN_CHECK(strstr(text, ",1,16,") && !strstr(text, ",1,32,"), "lengths beyond 31");
    free(text);
    answers(WORDS("run", "--quiet", "--max-length", "15", "--results", "none", "tiny.yaml"), 2,
            "tiny.yaml: --max-length 15 leaves no length; the shortest is 16");
    GDN_CHECK(!exists("none"), "a directory for nothing");
}
END_TEST

/*
 * kill -9 at any moment, then the same command again: byte for byte what an uninterrupted run gives. At least
 * five kills, and more until two have fallen between the first task and the last; tests/slow_crash.sh
 * does two hundred, to one run.
 */
START_TEST(killed_and_resumed)
{
    enum { KILLS = 5, BETWEEN = 2, MOST = 20 };
    double seconds = whole_run();
    uint64_t seed = (uint64_t)time(NULL);
    int between = 0;
    printf("killed_and_resumed: seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < KILLS || (between < BETWEEN && i < MOST); i++) {
        remove_tree(path_of("killed"));
        pid_t pid =
            start(WORDS("run", "--quiet", "--jobs", i % 2 ? "2" : "1", "--results", "killed", "tiny.yaml"),
                  "out", "err");
        double moment = seconds * gdn_test_uniform(&seed, 0.02, i % 2 ? 0.6 : 0.95);
        usleep((useconds_t)(1e6 * moment));
        kill(pid, SIGKILL);
        int status = finish(pid), there = stored_tasks("killed");
        GDN_CHECK(status == -SIGKILL || status == 0, "status %d", status);
        printf("  killed after %.3f of %.3f s, %d of 10 tasks in the store\n", moment, seconds, there);
        between += there > 0 && there < 10;
        const outcome *o = run_ok(WORDS("run", "--quiet", "--jobs", "2", "--results", "killed", "tiny.yaml"));
        char said[64];
        snprintf(said, sizeof said, "tiny: 10 tasks (%d run now)", 10 - there);
        GDN_CHECK(strncmp(o->out, said, strlen(said)) == 0, "%d in the store, then %s", there, o->out);
        as_whole("killed");
    }
    GDN_CHECK(between > 0, "no kill fell between two tasks");
}
END_TEST

/* Read from fd until `what` has come. */
static void wait_for(int fd, const char *what)
{
    char seen[1024] = "";
    size_t n = 0;
    while (n < sizeof seen - 1 && read(fd, seen + n, 1) == 1) {
        n++;
        if (strstr(seen, what))
            return;
    }
    ck_abort_msg("no '%s' in: %s", what, seen);
}

/* Whether a process runs under this environment variable: "NAME=VALUE". */
static bool has_variable(pid_t pid, const char *variable)
{
    char path[64], text[1 << 16];
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    FILE *f = fopen(path, "rb");
    GDN_CHECK(f, "cannot read %s", path);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    for (const char *v = text; v < text + n; v += strlen(v) + 1)
        if (strcmp(v, variable) == 0)
            return true;
    return false;
}

/* SIGINT and SIGTERM: status 3 and a sentence that says how to go on; the same command goes on. Its threads
 * sleep while they wait: it has started itself anew for that, as the process that the signal is for. */
START_TEST(interrupted)
{
    static const int signals[] = {SIGINT, SIGTERM};
    whole_run();
    unsetenv("OMP_WAIT_POLICY");
    unsetenv("GOMP_SPINCOUNT");
    for (int i = 0; i < 2; i++) {
        char fifo[16], rest[1024] = "";
        if (i) /* whoever binds threads to cores is left alone: a program started anew would keep to one */
            setenv("OMP_PROC_BIND", "true", 1);
        snprintf(fifo, sizeof fifo, "fifo%d", i);
        ck_assert_int_eq(mkfifo(path_of(fifo), 0600), 0);
        int fd = open(path_of(fifo), O_RDONLY | O_NONBLOCK); /* else each end waits for the other */
        fcntl(fd, F_SETFL, 0);
        pid_t pid = start(WORDS("run", "--jobs", "2", "--results", fifo + 3, "tiny.yaml"), "out", fifo);
        wait_for(fd, "done already, 2 threads\n");
        GDN_CHECK(has_variable(pid, "GOMP_SPINCOUNT=20000") == !i, i ? "threads were moved" : "threads spin");
        usleep(20000); /* into the first tasks */
        kill(pid, signals[i]);
        int status = finish(pid);
        GDN_CHECK(read(fd, rest, sizeof rest - 1) > 0, "it says nothing");
        close(fd);
        GDN_CHECK(status == 3, "signal %d: status %d: %s", signals[i], status, rest);
        ck_assert_str_eq(rest, "gdnprec: tiny: interrupted; finished tasks are kept, run again to resume\n");
        int there = stored_tasks(fifo + 3);
        GDN_CHECK(there < 10, "it went on to the end");
        run_ok(WORDS("run", "--quiet", "--results", fifo + 3, "tiny.yaml"));
        as_whole(fifo + 3);
    }
}
END_TEST

/* Two at once on one store: whichever meets the other's task says so; nothing is lost, and a third run ends
 * it. */
START_TEST(two_at_once)
{
    whole_run();
    pid_t a = start(WORDS("run", "--quiet", "--jobs", "1", "--results", "both", "tiny.yaml"), "out1", "err1"),
          b = start(WORDS("run", "--quiet", "--jobs", "1", "--results", "both", "tiny.yaml"), "out2", "err2");
    int x = finish(a), y = finish(b);
    char e[2][1024];
    slurp(path_of("err1"), e[0], sizeof e[0]);
    slurp(path_of("err2"), e[1], sizeof e[1]);
    GDN_CHECK((x == 0 || x == 2) && (y == 0 || y == 2), "status %d and %d: %s%s", x, y, e[0], e[1]);
    for (int i = 0; i < 2; i++)
        GDN_CHECK((i ? y : x) == 0 || strstr(e[i], "another gdnprec"), "%s", e[i]);
    run_ok(WORDS("run", "--quiet", "--results", "both", "tiny.yaml"));
    as_whole("both");
}
END_TEST

/* ---- what cannot be ---- */

START_TEST(bad_results_directory)
{
    write_text("tiny.yaml", tiny);
    write_text("file", "x");
    answers(WORDS("run", "--quiet", "--results", "file", "tiny.yaml"), 2,
            "file/tiny: cannot make the directory: Not a directory");
    answers(WORDS("run", "--quiet", "--results", "file/below", "tiny.yaml"), 2,
            "file/below/tiny: cannot make the directory");
    answers(WORDS("run", "--quiet", "--results", "/proc/gdnprec", "tiny.yaml"), 2,
            "/proc/gdnprec/tiny: cannot make the directory");
    char lengthy[5000];
    memset(lengthy, 'x', sizeof lengthy - 1);
    lengthy[sizeof lengthy - 1] = 0;
    answers(WORDS("run", "--quiet", "--results", lengthy, "tiny.yaml"), 2, "the path is too long");
    ck_assert_int_eq(mkdir(path_of("odd"), 0777), 0);
    write_text("odd/tiny", "x");
    answers(WORDS("run", "--quiet", "--results", "odd", "tiny.yaml"), 2, "odd/tiny: is not a directory");
}
END_TEST

START_TEST(foreign_store)
{
    write_text("tiny.yaml", tiny);
    ck_assert_int_eq(mkdir(path_of("foreign"), 0777), 0);
    ck_assert_int_eq(mkdir(path_of("foreign/tiny"), 0777), 0);
    char text[600];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    write_text("foreign/tiny/store.db", text);
    answers(WORDS("run", "--quiet", "--results", "foreign", "tiny.yaml"), 2,
            "foreign/tiny/store.db: cannot open the store: file is not a database");
    write_text("foreign/tiny/store.db", "");
    run_ok(WORDS("run", "--quiet", "--seeds", "1", "--results", "foreign", "tiny.yaml"));
    sqlite3 *db = NULL;
    ck_assert_int_eq(sqlite3_open(path_of("foreign/tiny/store.db"), &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "PRAGMA user_version = 1000", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    answers(WORDS("run", "--quiet", "--results", "foreign", "tiny.yaml"), 2,
            "foreign/tiny/store.db: a store of schema version 1000; this gdnprec writes version");
}
END_TEST

static const char file_text[] =
    "experiment: tiny\nquestion: q\nprofiles: [fp32]\npopulations:\n"
    "  - name: f\n    file: {path: x.safetensors, q: %s, k: chunk.key, v: chunk.value, g: chunk.g, "
    "beta: %s}\n";

/* A population whose file is missing, cut off, something else, or lacks what is asked of it. */
START_TEST(bad_tensor_files)
{
    char text[1024], golden[PATH_MAX + 64];
    snprintf(text, sizeof text, file_text, "chunk.query", "chunk.beta");
    write_text("file.yaml", text);
    answers(WORDS("run", "--quiet", "--results", "f", "file.yaml"), 2,
            "x.safetensors: cannot be opened: No such file");
    ck_assert_int_eq(mkdir(path_of("x.safetensors"), 0777), 0);
    answers(WORDS("run", "--quiet", "--results", "f", "file.yaml"), 2, "x.safetensors: ");
    ck_assert_int_eq(rmdir(path_of("x.safetensors")), 0);
    snprintf(golden, sizeof golden, "%s/tests/golden/hf_layer_fp32.safetensors", repository);
    FILE *f = fopen(golden, "rb");
    GDN_CHECK(f, "%s is not there", golden);
    static char bytes[1 << 20];
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    const size_t cuts[] = {0, 4, 8, 100, n / 2, n - 1};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        f = fopen(path_of("x.safetensors"), "wb");
        GDN_CHECK(f && fwrite(bytes, 1, cuts[i], f) == cuts[i] && fclose(f) == 0,
                  "cannot write x.safetensors");
        answers(WORDS("run", "--quiet", "--results", "f", "file.yaml"), 2, "x.safetensors: ");
    }
    write_text("x.safetensors", tiny); /* some text */
    answers(WORDS("run", "--quiet", "--results", "f", "file.yaml"), 2, "x.safetensors: ");
    f = fopen(path_of("x.safetensors"), "wb");
    GDN_CHECK(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0, "cannot write x.safetensors");
    snprintf(text, sizeof text, file_text, "chunk.quarry", "chunk.beta");
    write_text("file.yaml", text);
    answers(WORDS("run", "--quiet", "--results", "f", "file.yaml"), 2,
            "x.safetensors: there is no tensor 'chunk.quarry', wanted as q");
    snprintf(text, sizeof text, file_text, "chunk.query", "chunk.value");
    write_text("file.yaml", text);
    answers(WORDS("run", "--quiet", "--results", "f", "file.yaml"), 2,
            "x.safetensors: tensor 'chunk.value' has shape [1, 80, 4, 16]; beta wants [");
    snprintf(text, sizeof text, file_text, "hidden_states", "chunk.beta");
    write_text("file.yaml", text);
    answers(WORDS("run", "--quiet", "--results", "f", "file.yaml"), 2, "x.safetensors: ");
    GDN_CHECK(!exists("f"), "results of nothing");
    snprintf(text, sizeof text, file_text, "chunk.query", "chunk.beta");
    write_text("file.yaml", text);
    run_ok(WORDS("run", "--quiet", "--results", "f", "file.yaml"));
}
END_TEST

/* The golden layer has 80 tokens. */
START_TEST(layer_of_too_many_tokens)
{
    char golden[PATH_MAX + 64];
    snprintf(golden, sizeof golden, "%s/tests/golden/hf_layer_fp32.safetensors", repository);
    answers(WORDS("layer", "-T", "81", golden), 2, "hf_layer_fp32.safetensors has 80 tokens; --tokens: 81");
    run_ok(WORDS("layer", "-T", "1", golden));
}
END_TEST

START_TEST(claims_of_no_results)
{
    answers(WORDS("claims", "-r", "not-there", "A1"), 2, "--results: not-there: No such file or directory");
}
END_TEST

START_TEST(bad_experiments)
{
    char text[2048];
    write_text("tiny.yaml", tiny);
    snprintf(text, sizeof text, "%s    surprise: 1\n", tiny);
    write_text("bad.yaml", text);
    answers(WORDS("run", "--quiet", "--results", "b", "bad.yaml"), 2, "bad.yaml:12: ");
    GDN_CHECK(!exists("b"), "results of nothing");
    write_text(
        "worse.yaml",
        "experiment: tiny\nquestion: q\nprofiles: [\"fp\\n32\"]\nlengths: [1]\npopulations: [{name: p, "
        "heads: 1, a_log: {init: fla}, dt_bias: {init: fla}}]\n");
    answers(WORDS("run", "--quiet", "--results", "b", "worse.yaml"), 2,
            "worse.yaml:3: profiles/0: 'fp\\x0a32' is not a profile");
    /* the second is looked at before the first is run */
    answers(WORDS("run", "--quiet", "--seeds", "1", "--results", "b", "tiny.yaml", "bad.yaml"), 2,
            "bad.yaml:12: ");
    GDN_CHECK(!exists("b"), "the first was run");
}
END_TEST

/* One engine, one short repeat: a time and its machine's limits for each instruction set; how fast is not
 * asked. */
START_TEST(bench)
{
    static const char *const limits[] = {"fma_per_s", "l1_bytes_per_s", "l2_bytes_per_s"};
    json_t *all = json_of(
        run_ok(WORDS("bench", "--json", "--repeats", "1", "--seconds", "0.001", "--filter", "recurrent fp32"))
            ->out);
    const json_t *engines = json_object_get(all, "benchmarks"), *machine = json_object_get(all, "limits");
    size_t n = json_array_size(engines);
    GDN_CHECK(n >= 1 && n == json_array_size(machine), "%zu times", n);
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_array_get(engines, i), *y = json_array_get(machine, i);
        ck_assert_str_eq(string_at(x, "name"), "recurrent fp32");
        ck_assert_str_eq(string_at(x, "isa"), string_at(y, "isa"));
        double ns = number_at(x, "ns_per_element_token");
        GDN_CHECK(ns > 0 && ns == number_at(x, "ns_minimum") && number_at(x, "times_literal_mpfr") > 0,
                  "%g ns", ns);
        for (size_t j = 0; j < sizeof limits / sizeof limits[0]; j++)
            GDN_CHECK(number_at(y, limits[j]) > 0, "%s", limits[j]);
    }
    json_decref(all);
}
END_TEST

/* What a run would take, the run, and what verify says of it: as committed, and after a digit is another. */
START_TEST(foretold_and_verified)
{
    write_text("tiny.yaml", tiny);
    const char *words = run_ok(WORDS("run", "--dry-run", "--results", "d", "tiny.yaml"))->out;
    GDN_CHECK(strstr(words, "0 of them done already") && strstr(words, "memory"), "%s", words);
    GDN_CHECK(!exists("d"), "a dry run made results");
    run_ok(WORDS("run", "--quiet", "--results", "d", "tiny.yaml"));
    words = run_ok(WORDS("verify", "--quiet", "--all", "--results", "d", "tiny"))->out;
    GDN_CHECK(strstr(words, "all as committed"), "%s", words);
    json_t *counts = json_of(run_ok(WORDS("verify", "--quiet", "--json", "--results", "d", "tiny"))->out);
    GDN_CHECK(number_at(counts, "portable_rows") > 0 && number_at(counts, "differ") == 0, "verify's counts");
    json_decref(counts);
    FILE *f = fopen(path_of("d/tiny/cells.csv"), "r+");
    GDN_CHECK(f && fseek(f, -2, SEEK_END) == 0 && fputc('7', f) == '7' && fclose(f) == 0, "cells.csv");
    const outcome *o = run(WORDS("verify", "--quiet", "--results", "d", "tiny"));
    GDN_CHECK(o->status != 0 && strstr(o->out, "THEY DIFFER"), "status %d: %s", o->status, o->out);
}
END_TEST

/* Where a run may go: a GPU that is not there, profiles that need one, more heads than memory. */
START_TEST(backends)
{
    GDN_CHECK(setenv("CUDA_VISIBLE_DEVICES", "", 1) == 0, "setenv");
    write_text("tiny.yaml", tiny);
    answers(WORDS("run", "--backend", "gpu", "tiny.yaml"), 2,
            "--backend: 'gpu' is not allowed; auto, cpu and cuda are");
    answers(WORDS("run", "--backend", "cuda", "--quiet", "--results", "c", "tiny.yaml"), 3, "CUDA");
    answers(WORDS("bench", "--backend", "cuda"), 3, "CUDA");
    answers(WORDS("bench", "--backend", "auto"), 2, "--backend: 'auto' is not allowed; cpu and cuda are");
    GDN_CHECK(!exists("c"), "results of nothing");
    run_ok(WORDS("run", "--backend", "auto", "--quiet", "--seeds", "1", "--results", "a", "tiny.yaml"));
    write_text("native.yaml", "experiment: native\nquestion: q\nprofiles: [mine]\nlengths: [1]\n"
                              "define: [{name: mine, base: bf16-io, math: cuda}]\npopulations:\n"
                              "  - {name: p, heads: 1, a_log: {init: fla}, dt_bias: {init: fla}}\n");
    answers(WORDS("run", "--backend", "cpu", "--quiet", "--results", "n", "native.yaml"), 2,
            "native.yaml: profile 'mine' computes with CUDA's own functions and needs --backend cuda");
    write_text("many.yaml", "experiment: many\nquestion: q\nprofiles: [fp32]\nlengths: [1]\npopulations:\n"
                            "  - name: p\n    heads: 1000000\n    a_log: {init: fla}\n"
                            "    dt_bias: {init: fla}\n");
    answers(WORDS("run", "--quiet", "--results", "m", "many.yaml"), 2,
            "many.yaml:7: populations/0/heads: 1000000 heads of 128 x 128 with 1 profiles take "
            "more than");
    write_text("sums.yaml",
               "experiment: sums\nquestion: q\nprofiles: [fp32]\nlengths: [1048576]\ndk: 1\ndv: 1\n"
               "populations:\n  - name: p\n    heads: 1000000\n    a_log: {init: fla}\n"
               "    dt_bias: {init: fla}\n");
    answers(
        WORDS("run", "--dry-run", "--results", "m", "sums.yaml"), 2,
        "sums.yaml:9: populations/0/heads: 1000000 heads of 1 x 1 over 1048576 tokens with 1 profiles take "
        "more than");
    GDN_CHECK(!exists("n") && !exists("m"), "results of nothing");
}
END_TEST

/* stdout goes nowhere: status 3, a sentence; what was computed is there. */
START_TEST(full_standard_output)
{
    static const char *const cases[][6] = {{"--help"},
                                           {"--version"},
                                           {"list", "profiles"},
                                           {"list", "--json", "columns"},
                                           {"gate", "--a-log", "1", "--dt-bias", "1"},
                                           {"run", "--help"},
                                           {"run", "--version"}};
    char err[1024];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int status = finish(start(cases[i], "/dev/full", "err"));
        slurp(path_of("err"), err, sizeof err);
        GDN_CHECK(status == 3, "%s: status %d: %s", typed(cases[i]), status, err);
        ck_assert_str_eq(err, "gdnprec: cannot write to standard output: No space left on device\n");
    }
    write_text("tiny.yaml", tiny);
    int status = finish(
        start(WORDS("run", "--quiet", "--seeds", "1", "--results", "o", "tiny.yaml"), "/dev/full", "err"));
    slurp(path_of("err"), err, sizeof err);
    GDN_CHECK(status == 3 && strstr(err, "cannot write to standard output"), "status %d: %s", status, err);
    GDN_CHECK(exists("o/tiny/cells.csv"), "the results are lost");
}
END_TEST

/* No file may grow beyond 100 KiB: the store is full before the tasks end. Status 3; with room again it goes
 * on. */
START_TEST(no_room)
{
    struct rlimit old, small;
    whole_run();
    getrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_IGN);
    small = old;
    small.rlim_cur = 100 << 10;
    setrlimit(RLIMIT_FSIZE, &small);
    answers(WORDS("run", "--quiet", "--jobs", "1", "--results", "room", "tiny.yaml"), 3,
            "run again to resume");
    setrlimit(RLIMIT_FSIZE, &old);
    int there = stored_tasks("room");
    GDN_CHECK(there < 10, "everything fitted");
    run_ok(WORDS("run", "--quiet", "--results", "room", "tiny.yaml"));
    as_whole("room");
}
END_TEST

/* Every test starts in an empty directory. */
static void empty_scratch(void)
{
    remove_tree(scratch);
    if (mkdir(scratch, 0777))
        ck_abort_msg("cannot make %s", scratch);
}

int main(void)
{
    const TTest *const tests[] = {help_and_version,
                                  wrong_words,
                                  list_tables,
                                  gate,
                                  extreme_gates,
                                  run_and_resume,
                                  cells,
                                  jobs_and_blocks,
                                  overrides,
                                  killed_and_resumed,
                                  interrupted,
                                  two_at_once,
                                  bad_results_directory,
                                  foreign_store,
                                  bad_tensor_files,
                                  layer_of_too_many_tokens,
                                  claims_of_no_results,
                                  bad_experiments,
                                  bench,
                                  foretold_and_verified,
                                  backends,
                                  full_standard_output,
                                  no_room};
    const char *tmp = getenv("TMPDIR"), *given = getenv("GDNPREC");
    snprintf(scratch, sizeof scratch, "%.40s/gdn_cli_XXXXXX", tmp ? tmp : "/tmp");
    if (!realpath(given ? given : "build/gdnprec", program) || !realpath(".", repository) ||
        !mkdtemp(scratch)) {
        perror(given ? given : "build/gdnprec");
        return EXIT_FAILURE;
    }
    snprintf(kept, sizeof kept, "%s_kept", scratch);
    Suite *suite = suite_create("cli");
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        TCase *one = tcase_create(tests[i]->name);
        tcase_set_timeout(one, GDN_TEST_SECONDS);
        tcase_add_checked_fixture(one, empty_scratch, NULL);
        tcase_add_test(one, tests[i]);
        suite_add_tcase(suite, one);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    remove_tree(scratch);
    remove_tree(kept);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
