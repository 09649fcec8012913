/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_report_whole -- the report over all results has its parts; its sentences and numbers are those of the
 * ledgers, each linked to its rows; its page is sound HTML that stands alone and whose links lead somewhere.
 */
#include <ctype.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/report.h"
#include "harness/results_index.h"
#include "tests/gdn_test.h"

static gdn_error err;

/* ---- a folder of results with one experiment, and ledgers ---- */

static const char summary_header[] =
    "profile,recipe,mode,population,keys,dk,dv,length,quantity,kind,from,to,n,median,lo,hi,bias,bias_lo,bias_"
    "hi,max_ulp,predicted,ratio,ratio_lo,ratio_hi,gamma,gamma_eff,uncertainty,reference,n_below,n_zero,"
    "n_nonfinite\n";
static const char growth_header[] = "profile,recipe,mode,population,keys,quantity,kind,n,slope,slope_lo,"
                                    "slope_hi,plateau,plateau_lo,plateau_hi,n_plateau\n";
static const char manifest[] =
    "{\"schema\": 1, \"experiment\": {\"name\": \"tiny\", \"question\": \"Does it <matter>?\", \"file\": "
    "\"tiny.yaml\", \"text\": \"experiment: tiny\\n\"},\n"
    " \"program\": {\"version\": \"9.8.7\", \"commit\": \"0123456789abcdef\", \"dirty\": true},\n"
    " \"command\": \"gdnprec run tiny.yaml\", \"machine\": {\"cpu\": \"A CPU\"}, \"jobs\": 1,\n"
    " \"seeds\": [1, 2], \"files\": {}}\n";

/* Number v of the ledger is `scale` times the storage error of y. */
static const char result[] = "- id: R%d\n"
                             "  proposition: What scale %c costs\n"
                             "  headline: %s\n"
                             "  settles: [A1]\n"
                             "  figure: tiny/figures/storage_vs_arith.svg\n"
                             "  tier: minutes\n"
                             "  experiments: [%s]\n"
                             "  values:\n"
                             "    - name: cost\n"
                             "      sql: SELECT %d * median, %d * lo, %d * hi FROM summary WHERE whole AND\n"
                             "        profile = 'a_log-bf16' AND quantity = 'y' AND kind = 'storage'\n"
                             "  confirmed: cost < 1\n"
                             "  refuted: cost >= 1\n"
                             "  finding: bf16 costs y {cost:span}, at most {cost.hi:percent}.\n\n";
static const char claims[] =
    "- id: A1\n"
    "  proposition: storage matters\n"
    "  source: hearsay\n"
    "  experiments: [tiny]\n"
    "  values:\n"
    "    - name: cost\n"
    "      sql: SELECT median FROM summary WHERE whole AND profile = 'a_log-bf16' AND quantity = 'y' AND "
    "kind "
    "= 'storage'\n"
    "  confirmed: cost > 0.5\n"
    "  refuted: cost <= 0.5\n"
    "  finding: It costs {cost:percent}.\n\n"
    "- id: P1\n"
    "  proposition: storage costs what the formula says\n"
    "  source: prediction\n"
    "  experiments: [tiny]\n"
    "  values:\n"
    "    - name: predicted\n"
    "      sql: SELECT predicted FROM summary WHERE whole AND profile = 'a_log-bf16' AND quantity = 'y' AND "
    "kind = 'storage'\n"
    "    - name: measured\n"
    "      sql: SELECT median, lo, hi FROM summary WHERE whole AND profile = 'a_log-bf16' AND quantity = 'y' "
    "AND kind = 'storage'\n"
    "    - name: ratio\n"
    "      of: measured / predicted\n"
    "  confirmed: abs(ratio - 1) < 0.1\n"
    "  refuted: abs(ratio - 1) >= 0.1\n"
    "  finding: The ratio is {ratio}.\n";
static const char decisions[] = "- id: T1\n"
                                "  tensor: A_log\n"
                                "  advice: keep\n"
                                "  proposition: A_log has to stay\n"
                                "  experiments: [tiny]\n"
                                "  values:\n"
                                "    - name: cost\n"
                                "      sql: SELECT median, lo, hi FROM summary WHERE whole AND profile = "
                                "'a_log-bf16' AND quantity = 'y' AND kind = 'storage'\n"
                                "  confirmed: cost > 0\n"
                                "  refuted: cost <= 0\n"
                                "  finding: it costs {cost:span}.\n\n"
                                "- id: T2\n"
                                "  tensor: A_log\n"
                                "  advice: fine\n"
                                "  proposition: A_log may rest in bf16\n"
                                "  experiments: [tiny]\n"
                                "  values:\n"
                                "    - name: cost\n"
                                "      sql: SELECT median FROM summary WHERE whole AND profile = "
                                "'a_log-bf16' AND quantity = 'y' AND kind = 'storage'\n"
                                "  confirmed: cost < 0\n"
                                "  refuted: cost >= 0\n"
                                "  finding: nobody looks at {cost:percent}.\n";

typedef struct fixture {
    char root[64];
} fixture;

static void write_file(const fixture *x, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void write_file(const fixture *x, const char *name, const char *format, ...)
{
    char path[256];
    va_list args;
    snprintf(path, sizeof path, "%s/%s", x->root, name);
    FILE *f = fopen(path, "w");
    GDN_CHECK(f, "%s cannot be written", path);
    va_start(args, format);
    vfprintf(f, format, args);
    va_end(args);
    ck_assert_int_eq(fclose(f), 0);
}

static char *row(char *out, const char *profile, const char *quantity, const char *kind, double x)
{
    return out +
           sprintf(out,
                   "%s,fp32,portable,iso-1,isotropic,128,128,64,%s,%s,%d,64,24,%.17g,%.17g,%.17g,0,0,0,3,"
                   "%.17g,1,0.98,1.02,0.01,0.02,1e-30,mpfr,0,0,0\n",
                   profile, quantity, kind, strcmp(quantity, "state") ? 1 : 64, x, 0.9 * x, 1.1 * x, x);
}

static void make_dir(const fixture *x, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", x->root, name);
    ck_assert_int_eq(mkdir(path, 0777), 0);
}

static void write_ledgers(const fixture *x)
{
    char all[8192] = "", *s = all;
    for (int i = 1; i <= 5; i++)
        s += sprintf(s, result, i, 'a' + i - 1, "true", "tiny", i, i, i);
    s += sprintf(s, result, 6, 'f', "true", "absent", 6, 6, 6);
    sprintf(s, result, 7, 'g', "false", "tiny", 7, 7, 7);
    write_file(x, "results.yaml", "%s", all);
    write_file(x, "claims.yaml", "%s", claims);
    write_file(x, "decisions.yaml", "%s", decisions);
}

/* storage: of y and o under a_log-bf16. */
static fixture make(double storage)
{
    static const char *const profiles[] = {"a_log-bf16", "fp32"}, *const quantities[] = {"y", "o", "state"},
                             *const kinds[] = {"arith", "storage", "total"};
    static char summary[65536];
    char *s = summary;
    fixture x;
    ck_assert(gdn_test_scratch(x.root, sizeof x.root, "whole"));
    make_dir(&x, "tiny");
    make_dir(&x, "tiny/figures");
    for (int i = 0; i < 18; i++)
        s = row(s, profiles[i / 9], quantities[i / 3 % 3], kinds[i % 3],
                i % 3 == 1 ? (i / 9 ? 0 : storage) : 3e-7);
    write_file(&x, "tiny/summary.csv", "%s%s", summary_header, summary);
    write_file(&x, "tiny/growth.csv", "%s", growth_header);
    write_file(&x, "tiny/manifest.json", "%s", manifest);
    write_file(&x, "tiny/figures/storage_vs_arith.svg",
               "<?xml version=\"1.0\"?>\n<svg width='9' xmlns=\"http://www.w3.org/2000/svg\"><defs><circle "
               "id='dot'/></defs><g><use href='#dot'/></g></svg>\n");
    write_ledgers(&x);
    return x;
}

static void unmake(const fixture *x)
{
    gdn_test_remove(x->root);
}

static char *text_of(const fixture *x, const char *name)
{
    char path[256];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", x->root, name);
    FILE *f = fopen(path, "r");
    GDN_CHECK(f, "%s is not there", path);
    ck_assert_int_eq(fstat(fileno(f), &st), 0);
    char *s = gdn_test_alloc((size_t)st.st_size + 1, 1);
    ck_assert_uint_eq(fread(s, 1, (size_t)st.st_size, f), (size_t)st.st_size);
    fclose(f);
    return s;
}

static char *report_of(const fixture *x, const char *ledgers, const char *name)
{
    GDN_CHECK(gdn_report_whole(x->root, ledgers, NULL, &err) == GDN_OK, "%s", err.text);
    return text_of(x, name);
}

static const char *expect(const char *text, const char *phrase)
{
    const char *at = strstr(text, phrase);
    GDN_CHECK(at, "\"%s\" is not in the report", phrase);
    return at;
}

static void expect_not(const char *text, const char *phrase)
{
    GDN_CHECK(!strstr(text, phrase), "\"%s\" is in the report", phrase);
}

/* ---- the parts ---- */

START_TEST(parts_stand_in_order)
{
    static const char *const parts[] = {
        "\n## Answer\n",
        "\n![Figure 1: What scale a costs](tiny/figures/storage_vs_arith.svg)",
        "\n## Decisions\n",
        "\n### A_log\n",
        "\n## Claims\n",
        "\n## Predictions\n",
        "\n## Profiles side by side\n",
        "\n## Experiments\n",
        "\n### tiny\n",
        "**Question.** Does it \\<matter\\>?",
        "\n**Method.** 2 profiles",
        "\n**Answer.**\n",
        "| profile | storage | arithmetic | total |",
        "\n**Threats to validity.**\n",
        "\n**Provenance.** gdnprec 9.8.7",
        "\n## Threats to validity\n",
        "\n## How to read it\n",
        "\n## Provenance\n",
        "\n## Rows behind the numbers\n",
        "\n### R-1\n",
        "\n### T-1\n",
        "\n### A1\n"};
    fixture x = make(0.00123);
    char *md = report_of(&x, x.root, "report.md");
    const char *at = md;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        at = expect(at, parts[i]);
    free(md);
    unmake(&x);
}
END_TEST

START_TEST(numbers_lead_to_their_rows)
{
    fixture x = make(0.00123);
    char *md = report_of(&x, x.root, "report.md"), *html = text_of(&x, "report.html");
    expect(md,
           "1. bf16 costs y [0.123 % [0.111, 0.135]](#r-1 \"rows: cost\"), at most [0.135 %](#r-1 \"rows: "
           "cost\"). [R-1](#r-1)\n2. bf16 costs y [0.246 % ");
    expect(md, "\n5. ");
    expect_not(md, "\n6. "); /* no results of it */
    expect(html, "<a href=\"#r-1\" class=\"n\" title=\"rows: cost\">0.123 % [0.111, 0.135]</a>");
    expect(html, "<h3 id=\"r-1\">R-1</h3>");
    expect(html, "-- cost: 1.23e-3 [1.11e-3, 1.35e-3]\nSELECT 1 * median");
    expect(html, "<a href=\"tiny/summary.csv\">tiny/summary.csv</a>");
    expect(html, "<a href=\"#fig-tiny-figures-storage_vs_arith-svg\">tiny/figures/storage_vs_arith.svg</a>");
    expect(md, "- **Keep in fp32** when it costs [0.123 % [0.111, 0.135]](#t-1 \"rows: cost\"). [T-1](#t-1)");
    expect(md, "- **bf16 is fine** when nobody looks at [0.123 %](#t-2 \"rows: cost\"). **(does not hold)**");
    expect(md, "| [A1](#a1) | storage matters | **refuted** | It costs [0.123 %](#a1 \"rows: cost\"). |");
    expect(md, "| [P1](#p1) | storage costs what the formula says | **confirmed** | 0.123 % |");
    expect(md, "| [tiny](#tiny) | 12 | 12 | 12 | 1.00 [0.98, 1.02] | storage error of y, `a_log-bf16` on "
               "`iso-1` |");
    expect(md, "| `a_log-bf16` | bf16 | fp32 | fp32 | fp32 | [0.123 % [0.111, 0.135]](tiny/summary.csv#L");
    expect(md, "| [3.00e-7 [2.70e-7, 3.30e-7]](tiny/summary.csv#L");
    free(md);
    free(html);
    unmake(&x);
}
END_TEST

START_TEST(another_run_changes_the_numbers)
{
    fixture x = make(0.8);
    char *md = report_of(&x, x.root, "report.md");
    expect(md, "1. bf16 costs y [80.0 % [72.0, 88.0]](#r-1 \"rows: cost\")");
    expect(md,
           "2. bf16 costs y [160 % [144, 176]](#r-2 \"rows: cost\"), at most [176 %](#r-2 \"rows: cost\"). "
           "**(does not hold)**");
    expect(md, "| storage matters | **confirmed** |");
    expect_not(md, "0.123 %");
    free(md);
    unmake(&x);
}
END_TEST

START_TEST(bad_input_gets_a_sentence)
{
    fixture x = make(0.00123);
    write_file(&x, "decisions.yaml", "%.*s  finding: it costs 3 times as much as {cost}.\n",
               (int)(strstr(decisions, "  finding") - decisions), decisions);
    ck_assert_int_eq(gdn_report_whole(x.root, x.root, NULL, &err), GDN_BAD_INPUT);
    expect(err.text, "decisions.yaml");
    expect(err.text, "T1: the number at '3 times as much as {' has to come from a value");
    write_file(&x, "decisions.yaml", "- id: X1%s", decisions + strlen("- id: T1"));
    ck_assert_int_eq(gdn_report_whole(x.root, x.root, NULL, &err), GDN_BAD_INPUT);
    expect(err.text, "'X1' is no id of an advice; T1, T2 and so on are");
    write_ledgers(&x);
    ck_assert_int_eq(remove(strcat(strcpy((char[256]){""}, x.root), "/tiny/manifest.json")), 0);
    ck_assert_int_eq(gdn_report_whole(x.root, x.root, NULL, &err), GDN_BAD_INPUT);
    expect(err.text, "no results below");
    unmake(&x);
}
END_TEST

/* ---- the page ---- */

/* Fails unless every tag that is opened is closed, in order. */
static void check_tags(const char *html)
{
    static const char *const empty[] = {"meta", "br", "hr", "img", "input", "link"};
    enum { DEEPEST = 256 };
    char name[32], stack[DEEPEST][32];
    int depth = 0;
    for (const char *p = html; (p = strchr(p, '<')) != NULL;) {
        size_t n = 0;
        bool close = p[1] == '/', alone = p[1] == '!';
        const char *end = strchr(p, '>');
        GDN_CHECK(end, "a tag without an end: %.40s", p);
        for (p += close ? 2 : 1; (isalnum((unsigned char)*p) || *p == '-') && n + 1 < sizeof name; p++)
            name[n++] = *p;
        name[n] = 0;
        for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++)
            alone = alone || strcmp(name, empty[i]) == 0;
        GDN_CHECK(n > 0 || alone, "a bare '<': %.40s", p - 1);
        if (close) {
            GDN_CHECK(depth > 0 && strcmp(stack[depth - 1], name) == 0, "</%s> closes <%s>", name,
                      depth ? stack[depth - 1] : "");
            depth--;
        } else if (!alone && end[-1] != '/') {
            GDN_CHECK(depth < DEEPEST, "tags nest too deeply");
            strcpy(stack[depth++], name);
        }
        p = end;
    }
    GDN_CHECK(depth == 0, "<%s> is not closed", depth ? stack[depth - 1] : "");
}

/* How often id="..." stands in the page. */
static int ids(const char *html, const char *id, size_t n)
{
    int count = 0;
    for (const char *p = html; (p = strstr(p, " id=\"")) != NULL;) {
        p += 5;
        count += strncmp(p, id, n) == 0 && p[n] == '"';
    }
    return count;
}

/* Fails unless each link leads to one place of the page, or to a file below the root. */
static void check_links(const fixture *x, const char *html)
{
    int n = 0;
    for (const char *p = html; (p = strstr(p, "<a href=\"")) != NULL; n++) {
        p += strlen("<a href=\"");
        size_t length = strcspn(p, "\"");
        char path[4096];
        int file = (int)strcspn(p, "#\""); /* a line of a file is given behind it */
        snprintf(path, sizeof path, "%s/%.*s", x->root, file, p);
        if (*p == '#')
            GDN_CHECK(ids(html, p + 1, length - 1) == 1, "%.*s is %d places", (int)length, p,
                      ids(html, p + 1, length - 1));
        else
            GDN_CHECK(access(path, R_OK) == 0, "a link to %s, which is not there", path);
    }
    GDN_CHECK(n > 20, "%d links", n);
}

static void check_alone(const char *html)
{
    static const char *const outward[] = {
        "http:", "https:", "file:/", " src=", "@import", "url(h", "<script", "<link"};
    for (size_t i = 0; i < sizeof outward / sizeof outward[0]; i++)
        expect_not(html, outward[i]);
}

START_TEST(page_is_sound_and_alone)
{
    fixture x = make(0.00123);
    char *html = report_of(&x, x.root, "report.html");
    check_tags(html);
    check_links(&x, html);
    check_alone(html);
    expect(html, "<!DOCTYPE html>");
    expect(html, "prefers-color-scheme:dark");
    expect(html, "@media print");
    expect(html, "<nav aria-label=\"Contents\">");
    expect(html, "<li><a href=\"#answer\">Answer</a></li>");
    expect(html, "<figure id=\"fig-tiny-figures-storage_vs_arith-svg\"");
    expect(html, "<details><summary>queries and what they gave</summary>");
    expect_not(html, " align=");
    expect_not(html, "omitted"); /* what cmark makes of HTML in Markdown */
    free(html);
    unmake(&x);
}
END_TEST

/* ---- the committed results ---- */

/* Folders that the headlines rest on, and what is small. */
static fixture committed(void)
{
    static const char *const folders[] = {"storage", "compounding", "state_cache", "storage_alternatives",
                                          "budget",  "probes",      "out_norm"};
    fixture x;
    ck_assert(gdn_test_scratch(x.root, sizeof x.root, "whole"));
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char from[64], path[512], to[256];
        snprintf(from, sizeof from, "results/%s", folders[i]);
        GDN_CHECK(realpath(from, path), "%s is not there", from);
        snprintf(to, sizeof to, "%s/%s", x.root, folders[i]);
        ck_assert_int_eq(symlink(path, to), 0);
    }
    return x;
}

/* A sentence without what makes links of its numbers, and without brackets. */
static void plain(const char *s, size_t n, char *out, size_t size)
{
    size_t k = 0;
    for (const char *p = s; p < s + n && k + 1 < size; p++) {
        if (strncmp(p, "](#", 3) == 0)
            p = strchr(p, ')');
        else if (!strchr("[]\\", *p))
            out[k++] = *p;
    }
    out[k] = 0;
}

START_TEST(headlines_are_the_ledgers)
{
    fixture x = committed();
    gdn_index index;
    char *md = report_of(&x, ".", "report.md"), *html = text_of(&x, "report.html");
    GDN_CHECK(gdn_index_open(&index, "results.yaml", "claims.yaml", x.root, &err) == GDN_OK, "%s", err.text);
    const char *at = expect(md, "\n## Answer\n");
    int n = 0;
    for (size_t i = 0; i < index.n_results; i++) {
        const gdn_judgement *j = &index.result[i];
        char said[4096], told[4096], id[16];
        for (unsigned v = 0; v < j->claim->values_count; v++) { /* no placeholder is left */
            char open[48];
            snprintf(open, sizeof open, "{%s", j->claim->values[v].name);
            for (const char *p = md; (p = strstr(p, open)) != NULL; p++)
                GDN_CHECK(!strchr("}:.", p[strlen(open)]), "%.40s", p);
        }
        if (!j->claim->headline)
            continue;
        char number[16];
        snprintf(number, sizeof number, "\n%d. ", ++n);
        at = expect(at, number) + strlen(number);
        plain(at, strcspn(at, "\n"), said, sizeof said);
        plain(j->finding, strlen(j->finding), told, sizeof told);
        snprintf(told + strlen(told), sizeof told - strlen(told), "%s R-%s",
                 j->verdict == GDN_CONFIRMED ? "" : " **(holds within limits)**",
                 gdn_result_id(j->claim, id) + 2);
        ck_assert_str_eq(said, told);
    }
    ck_assert_int_eq(n, 5);
    check_tags(html);
    check_links(&x, html);
    check_alone(html);
    GDN_CHECK(strlen(html) < (8 << 20), "%zu bytes", strlen(html));
    for (const char *p = expect(md, "\n## Decisions\n"); p < strstr(md, "\n## Error budget\n"); p++)
        GDN_CHECK(strncmp(p, "does not hold", 13) != 0, "an advice fails");
    gdn_index_close(&index);
    free(md);
    free(html);
    unmake(&x);
}
END_TEST

GDN_TEST_MAIN("report_whole", parts_stand_in_order, numbers_lead_to_their_rows,
              another_run_changes_the_numbers, bad_input_gets_a_sentence, page_is_sound_and_alone,
              headlines_are_the_ledgers)
