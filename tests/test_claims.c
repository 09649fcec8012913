/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_claims -- verdicts follow the numbers of the CSV files, each kind of them is reached, and ledgers that
 * are wrong or want more than reading are refused with a sentence.
 */
#include "harness/claims.h"

#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/commands.h"
#include "harness/report.h"
#include "tests/gdn_test.h"

static gdn_error err;
static char dir[64];

/* ---- A ledger and results in a directory of their own ---- */

static void write_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    ck_assert_int_eq(fclose(f), 0);
}

/* summary.csv with a storage error of the median head and its interval, over a window and over [1, 64]. */
static void write_summary(const char *median, const char *lo, const char *hi)
{
    char text[512];
    snprintf(text, sizeof text,
             "profile,population,quantity,kind,from,to,median,lo,hi,note\n"
             "a,p,o,storage,32,63,0.5,0.5,0.5,x\n"
             "a,p,o,storage,1,32,0.7,0.7,0.7,x\n"
             "a,p,o,storage,1,64,%s,%s,%s,3\n",
             median, lo, hi);
    write_file("one/summary.csv", text);
}

static void make(void)
{
    char path[128];
    ck_assert(gdn_test_scratch(dir, sizeof dir, "claims"));
    snprintf(path, sizeof path, "%s/one", dir);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    snprintf(path, sizeof path, "%s/two", dir);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    write_summary("0.25", "0.2", "0.3");
    write_file("two/probes.csv", "probe,case_name,measure,value,unit\nfold,1e-4,bits,0,\nfold,none,bits,,\n");
}

static void clean(void)
{
    gdn_test_remove(dir);
}

/* A claim called A1 over `experiments`, x by `sql`; further lines as they are. */
static void write_claim(const char *experiments, const char *sql, const char *rest)
{
    char text[4096];
    snprintf(text, sizeof text,
             "- id: A1\n  proposition: it holds\n  source: a test\n  experiments: [%s]\n"
             "  values:\n    - name: x\n      sql: \"%s\"\n%s",
             experiments, sql, rest);
    write_file("claims.yaml", text);
}

static const char whole[] = "SELECT median, lo, hi FROM summary WHERE whole AND profile = 'a'",
                  conditions[] = "  confirmed: x < 0.1\n  limits: x.hi < 0.4\n  refuted: x.lo > 0.4\n"
                                 "  finding: \"x is {x:span}, {{x}} at most {x.hi}\"\n";

/* What comes of the ledger, the first claim in *j; freed with forget_answer. */
typedef struct answer {
    gdn_status status;
    gdn_ledger l;
    gdn_judgement *j;
    size_t n;
} answer;

static answer judge(void)
{
    char path[128];
    const char *const roots[] = {"/nowhere", dir};
    answer a = {.status = GDN_OK};
    err.text[0] = 0;
    snprintf(path, sizeof path, "%s/claims.yaml", dir);
    a.status = gdn_ledger_load(path, &a.l, &err);
    if (!a.status)
        a.status = gdn_claims_judge(&a.l, NULL, NULL, roots, 2, &a.j, &a.n, &err);
    return a;
}

static void forget_answer(answer *a)
{
    gdn_judgements_free(a->j, a->n);
    gdn_ledger_free(&a->l);
}

static void expect(gdn_verdict verdict, const char *phrase)
{
    answer a = judge();
    GDN_CHECK(a.status == GDN_OK, "%s", err.text);
    GDN_CHECK(a.j[0].verdict == verdict, "%s, not %s: %s", gdn_verdict_names[a.j[0].verdict],
              gdn_verdict_names[verdict], a.j[0].finding);
    GDN_CHECK(strstr(a.j[0].finding, phrase), "no '%s' in: %s", phrase, a.j[0].finding);
    forget_answer(&a);
}

static void expect_refusal(const char *phrase)
{
    answer a = judge();
    GDN_CHECK(a.status == GDN_BAD_INPUT, "status %d: %s", (int)a.status, err.text);
    GDN_CHECK(strstr(err.text, phrase), "no '%s' in: %s", phrase, err.text);
    GDN_CHECK(strstr(err.text, "claims.yaml:"), "no file and line in: %s", err.text);
    forget_answer(&a);
}

/* ---- Verdicts ---- */

START_TEST(verdict_follows_the_numbers)
{
    make();
    write_claim("one", whole, conditions);
    expect(GDN_WITHIN_LIMITS, "x is 25.0 % [20.0, 30.0], {x}} at most 0.3");
    write_summary("0.05", "0.01", "0.09");
    expect(GDN_CONFIRMED, "x is 5.00 %");
    write_summary("0.5", "0.45", "0.6");
    expect(GDN_REFUTED, "x is 50.0 %");
    write_summary("0.42", "0.3", "0.6");
    expect(GDN_UNDECIDED, "x is 42.0 %");
    clean();
}
END_TEST

START_TEST(null_is_undecided_and_named)
{
    make();
    write_claim("one", whole, conditions);
    write_summary("", "", "");
    expect(GDN_UNDECIDED, "(No value: x.)");
    write_summary("0.5", "0.45", ""); /* limits is NULL, so that refuted is not asked */
    expect(GDN_UNDECIDED, "x is 50.0 %");
    clean();
}
END_TEST

START_TEST(no_data)
{
    make();
    write_claim("one, missing", whole, conditions);
    expect(GDN_NO_DATA, "there are no results of missing");
    write_claim("one", "SELECT median FROM summary WHERE profile = 'b'", conditions);
    expect(GDN_NO_DATA, "the results hold no row for 'x'");
    clean();
}
END_TEST

START_TEST(untestable)
{
    make();
    write_file("claims.yaml", "- {id: C6, proposition: p, source: s, untestable: needs more}\n");
    expect(GDN_NOT_TESTABLE, "needs more");
    clean();
}
END_TEST

/* A claim sees the experiments it names, by any column; a case that looks like a number stays text. */
START_TEST(sees_its_experiments_only)
{
    static const char zero[] = "  confirmed: x = 0\n  refuted: x > 0\n  finding: \"{x}\"\n";
    make();
    write_claim("one", "SELECT count(*) FROM probes", zero);
    expect(GDN_CONFIRMED, "0");
    write_claim("two", "SELECT value FROM probes WHERE case_name = '1e-4'", zero);
    expect(GDN_CONFIRMED, "0");
    write_claim("two, one", "SELECT count(*) - 3 FROM summary WHERE experiment = 'one' AND note IS NOT NULL",
                zero);
    expect(GDN_CONFIRMED, "0");
    clean();
}
END_TEST

START_TEST(values_of_values)
{
    make();
    write_claim("one", whole,
                "    - {name: w, sql: SELECT median(median) FROM summary}\n"
                "    - {name: r, of: w.value / x.lo}\n"
                "    - {name: t, sql: SELECT profile FROM summary WHERE whole}\n"
                "  confirmed: r = 2.5 AND t = 'a'\n  refuted: r <> 2.5\n  finding: \"{t} {r:interval}\"\n");
    expect(GDN_CONFIRMED, "a 2.5");
    answer a = judge();
    ck_assert(gdn_judgement_number(&a.j[0], "r")->value == 2.5);
    ck_assert_uint_eq(a.j[0].n_files, 1);
    ck_assert_ptr_nonnull(strstr(a.j[0].files[0], "/one/summary.csv"));
    forget_answer(&a);
    clean();
}
END_TEST

/* ---- Refusals ---- */

START_TEST(bad_sql)
{
    static const char *const cases[][2] = {
        {"SELECT absent FROM summary", "claims.yaml:6: 0/values/0: A1: no such column: absent"},
        {"SELECT median FROM cells", "no such table: cells"},
        {"SELEC 1", "syntax error"},
        {"SELECT 1; SELECT 2", "more than one statement"},
        {"-- nothing", "there is no query"},
        {"SELECT 1, 2, 3, 4", "more than three columns"},
        {"SELECT median FROM summary", "more than one row"},
    };
    make();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_claim("one", cases[i][0], conditions);
        expect_refusal(cases[i][1]);
    }
    /* told where there are no data as well */
    write_claim("missing", "SELECT absent FROM summary", conditions);
    expect_refusal("no such column: absent");
    write_claim("one", whole, "  confirmed: x, 1\n  refuted: x > 1\n  finding: f\n");
    expect_refusal("0/confirmed: A1: more than one expression");
    write_claim("one", whole, "  confirmed: x <\n  refuted: x > 1\n  finding: f\n");
    expect_refusal("0/confirmed: A1: ");
    clean();
}
END_TEST

/* Ledgers may come from others. */
START_TEST(only_reading)
{
    static const char *const cases[] = {
        "DELETE FROM summary",
        "DELETE FROM all_summary",
        "INSERT INTO shown VALUES ('two')",
        "CREATE TABLE t (x)",
        "DROP TABLE all_summary",
        "ATTACH ':memory:' AS f",
        "PRAGMA writable_schema = 1",
        "SELECT * FROM pragma_database_list",
        "SELECT count(*) FROM all_summary",
        "SELECT count(*) FROM sqlite_schema",
        "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT max(i) FROM r",
        "UPDATE summary SET median = 0 RETURNING median",
    };
    make();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_claim("one", cases[i], conditions);
        answer a = judge();
        GDN_CHECK(a.status == GDN_BAD_INPUT, "%s is let through", cases[i]);
        GDN_CHECK(strstr(err.text, "claims.yaml:6: 0/values/0: A1: "), "%s", err.text);
        forget_answer(&a);
    }
    write_claim("one", "SELECT load_extension('/tmp/x')", conditions);
    expect_refusal("not authorized");
    clean();
}
END_TEST

START_TEST(bad_ledger)
{
    static const struct {
        const char *text, *phrase;
    } cases[] = {
        {"- {id: A1, proposition: p}\n", "the key 'source' is missing"},
        {"- {id: A1, proposition: p, source: s, verdict: confirmed}\n",
         "unknown key; allowed: id proposition source"},
        {"- {id: one, proposition: p, source: s, untestable: u}\n", "'one' is no id"},
        {"- {id: A1, proposition: p, source: s, untestable: u}\n"
         "- {id: A1, proposition: p, source: s, untestable: u}\n",
         ":2: 1/id: A1 is there already"},
        {"- {id: A1, proposition: p, source: s, untestable: u, finding: f}\n", "what is untestable has no"},
        {"- {id: A1, proposition: p, source: s}\n", "experiments, values and finding are wanted"},
        {"id: A1\n", "a mapping is not allowed; a list is"},
        {"- {id: A1\n", "not YAML"},
    };
    static const struct {
        const char *rest, *phrase;
    } tails[] = {
        {"  confirmed: x < 1\n  finding: f\n", "a test that can come out either way"},
        {"  confirmed: 1 = 1\n  refuted: x > 1\n  finding: f\n", "0/confirmed: A1: names none of the values"},
        {"  confirmed: x < 1\n  refuted: x > 1\n  finding: \"{y}\"\n", "'{y}' cannot be filled"},
        {"  confirmed: x < 1\n  refuted: x > 1\n  finding: \"{x.mid}\"\n", "'{x.mid}' cannot be filled"},
        {"  confirmed: x < 1\n  refuted: x > 1\n  finding: \"{x:per}\"\n", "'{x:per}' cannot be filled"},
        {"  confirmed: x < 1\n  refuted: x > 1\n  finding: \"{x\"\n", "'{x}' cannot be filled"},
        {"    - {name: x, of: x + 1}\n  confirmed: x < 1\n  refuted: x > 1\n  finding: f\n",
         "0/values/1: A1: the value 'x' is there twice"},
        {"    - {name: lo, of: x + 1}\n  confirmed: x < 1\n  refuted: x > 1\n  finding: f\n",
         "'lo' is no name"},
        {"    - {name: z, of: y + 1}\n  confirmed: x < 1\n  refuted: x > 1\n  finding: f\n",
         "`of` names none of the values"},
        {"    - {name: z}\n  confirmed: x < 1\n  refuted: x > 1\n  finding: f\n",
         "exactly one of sql and of"},
    };
    make();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file("claims.yaml", cases[i].text);
        expect_refusal(cases[i].phrase);
    }
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        write_claim("one", whole, tails[i].rest);
        expect_refusal(tails[i].phrase);
    }
    write_claim("../one", whole, conditions);
    expect_refusal("'../one' is not the name of an experiment");
    clean();
}
END_TEST

START_TEST(malformed_csv)
{
    make();
    write_claim("one", whole, conditions);
    write_summary("0.1", "much", "0.2");
    answer a = judge();
    ck_assert_int_eq(a.status, GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, "one/summary.csv: line 4: the field \"lo\" is \"much\""), "%s", err.text);
    forget_answer(&a);
    write_file("one/summary.csv", "profile,\"a\"\"b\"\nx,1\n");
    a = judge();
    ck_assert_int_eq(a.status, GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, "cannot be the name of a column"), "%s", err.text);
    forget_answer(&a);
    clean();
}
END_TEST

/* ---- Outputs ---- */

/* What the command prints on stdout, given these words; to be freed. */
static char *output_of(const char *option, const char *id, gdn_status *status)
{
    char ledger[128], name[] = "gdnprec claims", l[] = "-l", r[] = "-r", words[2][32];
    char *argv[] = {name, l, ledger, r, dir, words[0], words[1], NULL};
    char *text = NULL;
    size_t size = 0;
    FILE *real = stdout;
    snprintf(ledger, sizeof ledger, "%s/claims.yaml", dir);
    snprintf(words[0], sizeof words[0], "%s", option ? option : id);
    snprintf(words[1], sizeof words[1], "%s", id);
    stdout = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(stdout);
    err.text[0] = 0;
    *status = gdn_command_claims(option ? 7 : 6, argv, &err);
    ck_assert_int_eq(fclose(stdout), 0);
    stdout = real;
    return text;
}

START_TEST(table_and_json)
{
    gdn_status status;
    make();
    write_claim("one", whole, conditions);
    char *table = output_of(NULL, "A", &status);
    ck_assert_int_eq(status, GDN_OK);
    GDN_CHECK(strstr(table, "A\nA1   confirmed within limits  it holds\n"), "%s", table);
    GDN_CHECK(strstr(table, "x is 25.0 % [20.0, 30.0], {x}} at most 0.3"), "%s", table);
    GDN_CHECK(strstr(table, "1 claim: 1 confirmed within limits\n"), "%s", table);
    free(table);
    char *text = output_of("--json", "A1", &status);
    json_t *all = json_loads(text, 0, NULL), *first = json_array_get(all, 0),
           *x = json_array_get(json_object_get(first, "values"), 0);
    GDN_CHECK(json_array_size(all) == 1, "%s", text);
    ck_assert_str_eq(json_string_value(json_object_get(first, "verdict")), "confirmed within limits");
    ck_assert(json_real_value(json_object_get(x, "lo")) == 0.2);
    ck_assert_uint_eq(json_array_size(json_object_get(first, "files")), 1);
    json_decref(all);
    free(text);
    free(output_of(NULL, "B", &status));
    ck_assert_int_eq(status, GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, "has no claim 'B'"), "%s", err.text);
    clean();
}
END_TEST

/* A file as a string; to be freed. */
static char *text_of(const char *path)
{
    FILE *f = fopen(path, "r");
    GDN_CHECK(f, "%s is not there", path);
    struct stat st;
    ck_assert_int_eq(fstat(fileno(f), &st), 0);
    char *s = gdn_test_alloc((size_t)st.st_size + 1, 1);
    ck_assert_uint_eq(fread(s, 1, (size_t)st.st_size, f), (size_t)st.st_size);
    fclose(f);
    return s;
}

static void copy(const char *from, const char *to)
{
    char *text = text_of(from);
    FILE *f = fopen(to, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    ck_assert_int_eq(fclose(f), 0);
    free(text);
}

/* Committed results, reported with the ledger that comes with the program. */
START_TEST(section_of_the_report)
{
    char results[128], from[64], to[256];
    static const char *const files[] = {"summary.csv", "growth.csv", "manifest.json", "report.md"};
    make();
    snprintf(results, sizeof results, "%s/storage", dir);
    ck_assert_int_eq(mkdir(results, 0755), 0);
    for (int i = 0; i < 3; i++) {
        snprintf(from, sizeof from, "results/storage/%s", files[i]);
        snprintf(to, sizeof to, "%s/%s", results, files[i]);
        copy(from, to);
    }
    ck_assert_int_eq(setenv("GDNPREC_SHARE", ".", 1), 0);
    GDN_CHECK(gdn_report(results, NULL, &err) == GDN_OK, "%s", err.text);
    snprintf(to, sizeof to, "%s/%s", results, files[3]);
    char *md = text_of(to);
    GDN_CHECK(strstr(md, "\n## Claims\n"), "no section");
    GDN_CHECK(strstr(md, "\n| B6 | "), "no claim that rests on storage");
    GDN_CHECK(strstr(md, "| id | prediction | verdict | predicted | measured | ratio | finding |"),
              "no predictions");
    GDN_CHECK(!strstr(md, "\n| C1 | "), "a claim that rests on other results");
    free(md);
    clean();
}
END_TEST

/* The ledger that comes with the program is sound; what it says is decided by results, not here. */
START_TEST(our_own_ledger)
{
    const char *const roots[] = {"/nowhere"};
    gdn_ledger l;
    gdn_judgement *j = NULL;
    size_t n = 0;
    GDN_CHECK(gdn_ledger_load("claims.yaml", &l, &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(gdn_claims_judge(&l, NULL, NULL, roots, 1, &j, &n, &err) == GDN_OK, "%s", err.text);
    ck_assert_uint_eq(n, l.n);
    for (size_t i = 0; i < n; i++)
        GDN_CHECK(j[i].verdict == GDN_NO_DATA || j[i].verdict == GDN_NOT_TESTABLE, "%s is %s without data",
                  j[i].claim->id, gdn_verdict_names[j[i].verdict]);
    gdn_judgements_free(j, n);
    gdn_ledger_free(&l);
}
END_TEST

GDN_TEST_MAIN("claims", verdict_follows_the_numbers, null_is_undecided_and_named, no_data, untestable,
              sees_its_experiments_only, values_of_values, bad_sql, only_reading, bad_ledger, malformed_csv,
              table_and_json, section_of_the_report, our_own_ledger)
