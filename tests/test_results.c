/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_results -- README.md and results/README.md say what the committed results say, number by number;
 * sentences follow their rows; ledgers and documents that do not do are refused with a sentence.
 */
#include "harness/results_index.h"

#include <ctype.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/commands.h"
#include "tests/gdn_test.h"

static gdn_error err;
static char dir[64];

/* ---- Results in a directory of their own ---- */

static const char *in_dir(const char *name)
{
    static char path[4][256];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(in_dir(name), "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    ck_assert_int_eq(fclose(f), 0);
}

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

static void write_summary(const char *median, const char *lo, const char *hi)
{
    char text[512];
    snprintf(text, sizeof text,
             "profile,population,quantity,kind,length,from,to,n,median,lo,hi\n"
             "a,p,o,storage,64,1,64,1234,%s,%s,%s\n",
             median, lo, hi);
    write_file("one/summary.csv", text);
}

/* One result: `head` holds its fields but those of the test, and the finding comes last. */
static void write_ledger(const char *head, const char *finding)
{
    char text[2048];
    snprintf(text, sizeof text,
             "- id: R1\n  proposition: What a costs\n%s  experiments: [one]\n"
             "  values:\n"
             "    - name: x\n      label: o; a|b\n      sql: SELECT median, lo, hi FROM summary WHERE whole\n"
             "    - name: n\n      sql: SELECT n FROM summary WHERE whole\n"
             "  confirmed: x.hi < 0.4\n  refuted: x.lo >= 0.4\n  finding: \"%s\"\n",
             head, finding);
    write_file("results.yaml", text);
}

static const char head[] = "  headline: true\n  settles: [A1]\n  figure: one/figure.svg\n  tier: hours\n",
                  finding[] = "It costs {x:span} (n = {n:count}).";

static const char manifest[] =
    "{\"experiment\": {\"name\": \"one\", \"question\": \"What?\", \"file\": \"experiments/one.yaml\"},"
    " \"program\": {\"commit\": \"c0ffee\", \"dirty\": false}, \"backend\": \"cuda\", \"jobs\": 12,"
    " \"command\": \"build/gdnprec run --quiet -b cuda --jobs 12 --seeds 8 --results=r experiments/one.yaml "
    "x.yaml -T 64\","
    " \"device\": \"A GPU, sm_90\", \"date\": \"2026-11-22T07:23:18Z\", \"tasks\": 2, \"tasks_run\": 2,"
    " \"seconds\": 12.3, \"ranks\": 3}";

static void make(void)
{
    ck_assert(gdn_test_scratch(dir, sizeof dir, "results"));
    ck_assert_int_eq(mkdir(in_dir("one"), 0755), 0);
    write_summary("0.25", "0.2", "0.3");
    write_file("one/manifest.json", manifest);
    write_file("one/figure.svg", "<svg/>");
    write_file("claims.yaml", "- {id: A1, proposition: p, source: s, untestable: u}\n");
    write_ledger(head, finding);
}

static void clean(void)
{
    gdn_test_remove(dir);
}

static gdn_status open_scratch(gdn_index *x)
{
    err.text[0] = 0;
    return gdn_index_open(x, in_dir("results.yaml"), in_dir("claims.yaml"), dir, &err);
}

/* A part as Markdown; to be freed. */
static char *part(const gdn_index *x, const char *name, const char *beside)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(f);
    GDN_CHECK(gdn_index_part_find(name)->put(x, beside, f, &err) == GDN_OK, "%s", err.text);
    ck_assert_int_eq(fclose(f), 0);
    return text;
}

/* ---- Sentences ---- */

START_TEST(sentence_follows_the_rows)
{
    gdn_index x;
    static const struct {
        const char *median, *lo, *hi, *verdict, *text;
    } cases[] = {
        {"0.25", "0.2", "0.3", "holds", "1. It costs 25.0 % [20.0, 30.0] (n = 1,234). [R-1](#r-1)\n"},
        {"0.5", "0.45", "0.6", "does not hold",
         "1. It costs 50.0 % [45.0, 60.0] (n = 1,234). **(does not hold)** [R-1](#r-1)\n"},
        {"0.42", "0.3", "0.6", "undecided",
         "1. It costs 42.0 % [30.0, 60.0] (n = 1,234). **(undecided)** [R-1](#r-1)\n"}};
    make();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_summary(cases[i].median, cases[i].lo, cases[i].hi);
        GDN_CHECK(open_scratch(&x) == GDN_OK, "%s", err.text);
        ck_assert_str_eq(gdn_result_verdict(&x.result[0]), cases[i].verdict);
        char *text = part(&x, "headlines", "");
        ck_assert_str_eq(text, cases[i].text);
        free(text);
        gdn_index_close(&x);
    }
    clean();
}
END_TEST

/* Everything that an entry of the index has to tell. */
START_TEST(index_tells_all)
{
    gdn_index x;
    static const char *const told[] = {
        "\n### R-1\n\n**What a costs.** It costs 25.0 % [20.0, 30.0] (n = 1,234).\n",
        "\n| o; a\\|b | 25.0 % [20.0, 30.0] |\n",
        "\n- settles: A1 not testable here\n",
        "\n- figure: [one/figure.svg](results/one/figure.svg)\n",
        "\n- again (hours of a laptop): `gdnprec run --seeds 8 -T 64 experiments/one.yaml`\n",
        "\n- made: one by commit c0ffee on A GPU, 3 ranks\n",
        "\n-- x: 0.25 [0.2, 0.3]\nSELECT median, lo, hi FROM summary WHERE whole\n",
    };
    make();
    GDN_CHECK(open_scratch(&x) == GDN_OK, "%s", err.text);
    char *text = part(&x, "index", "results/");
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
        GDN_CHECK(strstr(text, told[i]), "no '%s' in: %s", told[i], text);
    free(text);
    text = part(&x, "runs", "");
    GDN_CHECK(
        strstr(text,
               "| [one](one) | What? | 1 profile, 1 x 1,234 heads, T = 64 | "
               "`gdnprec run --backend cuda --seeds 8 -T 64 experiments/one.yaml` | 12 s | A GPU, 3 ranks | "
               "2026-11-22, c0ffee |\n"),
        "%s", text);
    free(text);
    gdn_index_close(&x);
    clean();
}
END_TEST

/* ---- Ledgers that do not do ---- */

START_TEST(bad_ledger)
{
    gdn_index x;
    static const struct {
        const char *head, *finding, *phrase;
    } cases[] = {
        {"  settles: [A1, B7]\n  tier: gpu\n", "f", "results.yaml:3: 0/settles: R1: "},
        {"  settles: [A1, B7]\n  tier: gpu\n", "f", "has no claim 'B7'"},
        {"  tier: gpu\n", "It costs 25 %.", "the number at '25 %.' has to come from a value"},
        {"  tier: gpu\n", "At 2^-9 in bf16 it costs {x:span}, 3 times w.", "the number at '3 times w.'"},
        {"  tier: days\n", "f", "'days' is not allowed; allowed: minutes hours gpu"},
        {"", "f", "the key 'tier' is missing"},
        {"  tier: gpu\n  source: s\n", "f", "unknown key"},
        {"  tier: gpu\n  figure: ../one/figure.svg\n", "f",
         "'../one/figure.svg' is no file below the results"},
        {"  tier: gpu\n", "{y}", "'{y}' cannot be filled"},
    };
    make();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_ledger(cases[i].head, cases[i].finding);
        GDN_CHECK(open_scratch(&x) == GDN_BAD_INPUT, "let through: %s%s", cases[i].head, cases[i].finding);
        GDN_CHECK(strstr(err.text, cases[i].phrase), "no '%s' in: %s", cases[i].phrase, err.text);
        gdn_index_close(&x);
    }
    write_file("results.yaml",
               "- {id: A1, proposition: p, tier: gpu, experiments: [one], values: [{name: x, sql: SELECT 1}],"
               " confirmed: x = 1, refuted: x > 1, finding: f}\n");
    GDN_CHECK(open_scratch(&x) == GDN_BAD_INPUT && strstr(err.text, "'A1' is no id of a result"), "%s",
              err.text);
    gdn_index_close(&x);
    clean();
}
END_TEST

START_TEST(figure_that_is_not_there)
{
    gdn_index x;
    make();
    ck_assert_int_eq(unlink(in_dir("one/figure.svg")), 0);
    GDN_CHECK(open_scratch(&x) == GDN_OK, "%s", err.text);
    ck_assert_int_eq(gdn_index_figures(&x, &err), GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, "results.yaml:5: 0/figure: R1: there is no ") &&
                  strstr(err.text, "/one/figure.svg"),
              "%s", err.text);
    gdn_index_close(&x);
    clean();
}
END_TEST

/* ---- Documents ---- */

START_TEST(document_is_renewed)
{
    gdn_index x;
    make();
    write_file("page.md",
               "# Mine 50 %\n\n<!-- gdnprec results: headlines -->\nold\n<!-- gdnprec results end -->\nlast");
    GDN_CHECK(open_scratch(&x) == GDN_OK, "%s", err.text);
    ck_assert_int_eq(gdn_index_check(&x, in_dir("page.md"), &err), GDN_DIFFERS);
    GDN_CHECK(strstr(err.text, "page.md:4: says \"old\", the results say \"1. It costs 25.0 %"), "%s",
              err.text);
    GDN_CHECK(gdn_index_write(&x, in_dir("page.md"), &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(gdn_index_check(&x, in_dir("page.md"), &err) == GDN_OK, "%s", err.text);
    char *text = text_of(in_dir("page.md"));
    ck_assert_str_eq(text, "# Mine 50 %\n\n<!-- gdnprec results: headlines -->\n"
                           "1. It costs 25.0 % [20.0, 30.0] (n = 1,234). [R-1](#r-1)\n"
                           "<!-- gdnprec results end -->\nlast");
    free(text);
    gdn_index_close(&x);
    write_summary("0.26", "0.2", "0.3"); /* other rows: stale */
    GDN_CHECK(open_scratch(&x) == GDN_OK, "%s", err.text);
    ck_assert_int_eq(gdn_index_check(&x, in_dir("page.md"), &err), GDN_DIFFERS);
    gdn_index_close(&x);
    clean();
}
END_TEST

START_TEST(bad_document)
{
    gdn_index x;
    static const char *const cases[][2] = {
        {"text\n", "has no line such as '<!-- gdnprec results: index -->'"},
        {"\n<!-- gdnprec results: all -->\n<!-- gdnprec results end -->\n",
         "page.md:2: the mark names no part of the results; allowed: headlines costs index"},
        {"<!-- gdnprec results: index -->\n", "page.md:1: no line '<!-- gdnprec results end -->' follows"},
        {"<!-- gdnprec results: cite -->\n<!-- gdnprec results: index -->\n<!-- gdnprec results end -->\n",
         "page.md:1: no line '<!-- gdnprec results end -->' follows"},
    };
    make();
    GDN_CHECK(open_scratch(&x) == GDN_OK, "%s", err.text);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file("page.md", cases[i][0]);
        ck_assert_int_eq(gdn_index_write(&x, in_dir("page.md"), &err), GDN_BAD_INPUT);
        GDN_CHECK(strstr(err.text, cases[i][1]), "no '%s' in: %s", cases[i][1], err.text);
        char *text = text_of(in_dir("page.md"));
        ck_assert_str_eq(text, cases[i][0]);
        free(text);
    }
    ck_assert_int_eq(gdn_index_check(&x, in_dir("none.md"), &err), GDN_BAD_INPUT);
    gdn_index_close(&x);
    clean();
}
END_TEST

/* ---- The command ---- */

/* What it prints with these words behind -r, -l and --claims; to be freed. */
static char *output_of(const char *word, gdn_status *status)
{
    char name[] = "gdnprec results", r[] = "-r", l[] = "-l", c[] = "--claims", ledger[128], claims[128],
         last[64];
    char *argv[] = {name, r, dir, l, ledger, c, claims, last, NULL};
    char *text = NULL;
    size_t size = 0;
    FILE *real = stdout;
    snprintf(ledger, sizeof ledger, "%s/results.yaml", dir);
    snprintf(claims, sizeof claims, "%s/claims.yaml", dir);
    snprintf(last, sizeof last, "%s", word);
    stdout = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(stdout);
    err.text[0] = 0;
    *status = gdn_command_results(8, argv, &err);
    ck_assert_int_eq(fclose(stdout), 0);
    stdout = real;
    return text;
}

START_TEST(other_results_are_asked)
{
    gdn_status status;
    make();
    char *text = output_of("--headlines", &status);
    GDN_CHECK(status == GDN_OK, "%s", err.text);
    ck_assert_str_eq(text, "R-1   holds: It costs 25.0 % [20.0, 30.0] (n = 1,234).\n");
    free(text);
    write_summary("0.5", "0.45", "0.6");
    free(output_of("--headlines", &status));
    ck_assert_int_eq(status, GDN_DIFFERS);
    GDN_CHECK(strstr(err.text, "R-1 does not hold: It costs 50.0 %"), "%s", err.text);
    text = output_of("--json", &status);
    json_t *all = json_loads(text, 0, NULL), *first = json_array_get(all, 0);
    GDN_CHECK(status == GDN_OK && json_array_size(all) == 1, "%s", text);
    ck_assert_str_eq(json_string_value(json_object_get(first, "id")), "R-1");
    ck_assert_str_eq(json_string_value(json_object_get(first, "verdict")), "does not hold");
    ck_assert(json_real_value(json_object_get(json_array_get(json_object_get(first, "values"), 0), "hi")) ==
              0.6);
    json_decref(all);
    free(text);
    free(output_of("R-2", &status));
    ck_assert_int_eq(status, GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, "has no result 'R-2'; R-1 to R-1"), "%s", err.text);
    clean();
}
END_TEST

/* ---- The committed results ---- */

/* A number that stands in a text: digits that are no part of a word or a power. */
typedef struct figure {
    double x, half; /* half a unit of its last digit */
    const char *at, *end;
} figure;

static bool in_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* The first number at or behind s; false where there is none. */
static bool next_number(const char *s, figure *n)
{
    const char *first = s;
    for (; *s; s++) {
        if (in_word(*s) && !isdigit((unsigned char)*s)) {
            while (in_word(s[1]) || s[1] == '^' || (s[0] == '^' && s[1] == '-'))
                s++;
            continue;
        }
        if (!isdigit((unsigned char)*s))
            continue;
        char digits[64];
        size_t k = 0;
        const char *p = s;
        int decimals = 0, exponent = 0;
        bool point = false;
        for (;
             k < 40 && (isdigit((unsigned char)*p) || (*p == ',' && isdigit((unsigned char)p[1]) && !point) ||
                        (*p == '.' && isdigit((unsigned char)p[1]) && !point));
             p++) {
            if (*p == ',')
                continue;
            point = point || *p == '.';
            decimals += point && *p != '.';
            digits[k++] = *p;
        }
        digits[k] = 0;
        if (*p == 'e' && (p[1] == '-' || isdigit((unsigned char)p[1]))) {
            char *end;
            exponent = (int)strtol(p + 1, &end, 10);
            p = end;
        }
        if (in_word(*p) || *p == '^') { /* 2^-9, 4k */
            while (in_word(*p) || *p == '^' || *p == '-')
                p++;
            s = p - 1;
            continue;
        }
        bool minus = s > first && s[-1] == '-' && (s - 1 == first || !in_word(s[-2]));
        n->x = (minus ? -1 : 1) * strtod(digits, NULL) * pow(10, exponent);
        n->half = 0.5 * pow(10, exponent - decimals);
        n->at = s;
        n->end = p;
        return true;
    }
    return false;
}

/* Is it that number, or that many per cent, as far as it is written out? */
static bool is_shown(const figure *n, double x)
{
    double slack = n->half * 1.000001;
    return fabs(n->x - x) <= slack || fabs(n->x - 100 * x) <= slack;
}

static bool is_value_of(const figure *n, const gdn_judgement *j)
{
    bool is = false;
    for (unsigned v = 0; j->number && v < j->claim->values_count; v++)
        is = is || is_shown(n, j->number[v].value) || is_shown(n, j->number[v].lo) ||
             is_shown(n, j->number[v].hi);
    return is;
}

/* All numbers of a text are values of one of the results; how many there are. */
static int compare(const char *text, const char *where, const gdn_judgement *j, size_t n)
{
    figure x;
    int count = 0;
    for (const char *s = text; next_number(s, &x); s = x.end, count++) {
        bool is = false;
        for (size_t i = 0; i < n; i++)
            is = is || is_value_of(&x, &j[i]);
        GDN_CHECK(is, "%s: no value is '%.*s' in: %.80s", where, (int)(x.end - x.at), x.at,
                  x.at - (x.at - text > 40 ? 40 : x.at - text));
    }
    return count;
}

static void open_committed(gdn_index *x)
{
    GDN_CHECK(gdn_index_open(x, "results.yaml", "claims.yaml", "results", &err) == GDN_OK, "%s", err.text);
}

/* What lies between the marks of a part; to be freed. */
static char *marked(const char *document, const char *name)
{
    char mark[80];
    char *text = text_of(document);
    snprintf(mark, sizeof mark, "<!-- gdnprec results: %s -->\n", name);
    char *at = strstr(text, mark);
    GDN_CHECK(at, "%s has no part %s", document, name);
    at += strlen(mark);
    char *end = strstr(at, "<!-- gdnprec results end -->");
    char *out = end ? strndup(at, (size_t)(end - at)) : NULL;
    ck_assert_ptr_nonnull(out);
    free(text);
    return out;
}

/* Links and names of profiles are no numbers: R-1, qwen3.5-release, (#r-1). */
static void without_links(char *s)
{
    for (char *p = s; (p = strstr(p, "[R-")); p++) {
        char *end = strchr(p, ')');
        ck_assert_ptr_nonnull(end);
        memset(p, ' ', (size_t)(end + 1 - p));
    }
}

START_TEST(documents_are_up_to_date)
{
    static const char *const parts[][2] = {{"README.md", "headlines"},     {"README.md", "costs"},
                                           {"README.md", "speed"},         {"results/README.md", "headlines"},
                                           {"results/README.md", "index"}, {"results/README.md", "runs"},
                                           {"results/README.md", "cite"},  {"results/README.md", "speed"}};
    gdn_index x;
    open_committed(&x);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        free(marked(parts[i][0], parts[i][1]));
    GDN_CHECK(gdn_index_check(&x, "README.md", &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(gdn_index_check(&x, "results/README.md", &err) == GDN_OK, "%s", err.text);
    gdn_index_close(&x);
}
END_TEST

/* Each number of the sentences is one that a query gave, whatever wrote the sentence. */
START_TEST(numbers_are_values)
{
    gdn_index x;
    int count = 0, headlines = 0;
    open_committed(&x);
    for (size_t i = 0; i < x.n_results; i++) {
        const gdn_judgement *j = &x.result[i];
        count += compare(j->finding, j->claim->id, j, 1);
        headlines += j->claim->headline;
        GDN_CHECK(j->verdict != GDN_NO_DATA && j->verdict != GDN_UNDECIDED, "%s: %s", j->claim->id,
                  j->finding);
        GDN_CHECK(!j->claim->headline || j->verdict == GDN_CONFIRMED, "%s: %s", j->claim->id, j->finding);
    }
    GDN_CHECK(count >= 3 * (int)x.n_results, "%d numbers in all", count);
    ck_assert_int_eq(headlines, 5);
    static const char *const parts[] = {"headlines", "costs"};
    for (size_t p = 0; p < 2; p++) {
        char *text = marked("README.md", parts[p]);
        without_links(text);
        count = 0;
        char *save = NULL;
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
            char *cell = p == 0 ? strchr(line, ' ') : strrchr(line, '|'); /* behind "1."; the last column */
            while (p == 1 && cell > line && (*--cell != '|'))
                continue;
            count += compare(cell, parts[p], x.result, x.n_results);
        }
        GDN_CHECK(count >= 30, "%d numbers of %s", count, parts[p]);
        free(text);
    }
    gdn_index_close(&x);
}
END_TEST

/* The table of speeds has the numbers of the bench's own file: the largest of each engine. */
START_TEST(speeds_are_the_bench_s)
{
    char *table = marked("README.md", "speed"), *bench = text_of("results/bench-h100.txt"), *save = NULL;
    int rows = 0;
    for (char *line = strtok_r(table, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char engine[64], shape[64];
        double shown, best = 0;
        if (sscanf(line, "| %63[^|]| %63[^|]| %lf", engine, shape, &shown) != 3)
            continue;
        while (*engine && engine[strlen(engine) - 1] == ' ')
            engine[strlen(engine) - 1] = 0;
        for (char *at = bench; (at = strstr(at, engine)); at += strlen(engine)) {
            double x[4];
            if ((at == bench || at[-1] == '\n') && strncmp(at + strlen(engine), "  ", 2) == 0 &&
                sscanf(at + strlen(engine), "%lf %lf %lf %lf", &x[0], &x[1], &x[2], &x[3]) == 4)
                best = fmax(best, x[3]);
        }
        GDN_CHECK(best > 0 && fabs(shown - best) <= 0.5 * pow(10, floor(log10(best)) - 2),
                  "%s: %g in the table, %g in bench-h100.txt", engine, shown, best);
        rows++;
    }
    ck_assert_int_ge(rows, 5);
    free(table);
    free(bench);
}
END_TEST

/* What is said by hand of commits is of those that made the results. */
START_TEST(commits_are_those_of_the_runs)
{
    static const char digits[] = "0123456789abcdef";
    gdn_index x;
    open_committed(&x);
    char *text = text_of("results/README.md");
    for (const char *s = text; *s; s++) {
        size_t n = strspn(s, digits), known = 0;
        if (n == 12 && (s == text || !in_word(s[-1])) && !in_word(s[n]))
            for (size_t i = 0; i < x.n_made; i++) {
                char commit[64];
                gdn_made_commit(&x.made[i], commit, sizeof commit);
                known += strncmp(commit, s, n) == 0;
            }
        GDN_CHECK(n != 12 || in_word(s[n]) || known || (s > text && in_word(s[-1])),
                  "no manifest names the commit %.12s", s);
        s += n ? n - 1 : 0;
    }
    free(text);
    gdn_index_close(&x);
}
END_TEST

/* Outside of the marked parts no number has a unit that would make it a result. */
START_TEST(no_numbers_elsewhere)
{
    static const char *const documents[] = {"README.md", "results/README.md"};
    static const char *const units[] = {" %", "%", " times", " s ", " ms", " GB", " M head"};
    for (size_t d = 0; d < 2; d++) {
        char *text = text_of(documents[d]), *at = text;
        while ((at = strstr(at, "<!-- gdnprec results: "))) {
            char *end = strstr(at, "<!-- gdnprec results end -->");
            ck_assert_ptr_nonnull(end);
            memset(at, ' ', (size_t)(end - at));
        }
        figure n;
        for (const char *s = text; next_number(s, &n); s = n.end) {
            bool level = strncmp(n.end, " % interval", 11) == 0; /* how sure, not what */
            for (size_t u = 0; u < sizeof units / sizeof units[0] && !level; u++)
                GDN_CHECK(strncmp(n.end, units[u], strlen(units[u])) != 0,
                          "%s: '%.20s' stands outside of what the results say", documents[d], n.at);
        }
        free(text);
    }
}
END_TEST

GDN_TEST_MAIN("results", sentence_follows_the_rows, index_tells_all, bad_ledger, figure_that_is_not_there,
              document_is_renewed, bad_document, other_results_are_asked, documents_are_up_to_date,
              numbers_are_values, speeds_are_the_bench_s, commits_are_those_of_the_runs, no_numbers_elsewhere)
