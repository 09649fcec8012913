/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_report -- the report says what the CSV files say, in sentences that follow the numbers; its HTML
 * stands alone; figures are drawn, or the reason why not is given.
 */
#include "harness/report.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/outfile.h"
#include "harness/plot.h"
#include "tests/gdn_test.h"

static gdn_error err;

/* ---- A small results directory ---- */

static const char summary_header[] =
    "profile,recipe,mode,population,keys,dk,dv,length,quantity,kind,from,to,n,median,lo,hi,bias,bias_lo,bias_"
    "hi,max_ulp,"
    "predicted,ratio,ratio_lo,ratio_hi,gamma,gamma_eff,uncertainty,reference,n_below,n_zero,n_nonfinite\n";
static const char growth_header[] = "profile,recipe,mode,population,keys,quantity,kind,n,slope,slope_lo,"
                                    "slope_hi,plateau,plateau_lo,plateau_hi,n_plateau\n";
static const char cells_header[] =
    "cell,profile,recipe,mode,population,keys,dk,dv,length,seed,head,a_log,dt_bias,gamma,gamma_eff,quantity,"
    "kind,from,to,rel_l2,"
    "nmse,max_ulp,bias,bits,cosine,predicted,uncertainty,reference,certified,flag\n";
static const char manifest[] =
    "{\"schema\": 1, \"experiment\": {\"name\": \"tiny\", \"question\": \"Does it <matter>?\", \"text\": "
    "\"experiment: tiny\\n\"},\n"
    " \"program\": {\"version\": \"9.8.7\", \"commit\": \"0123456789abcdef\", \"dirty\": true},\n"
    " \"command\": \"gdnprec run tiny.yaml\", \"machine\": {\"cpu\": \"A CPU\"},\n"
    " \"files\": {\"summary.csv\": \"00\"}}\n";

typedef struct results {
    char dir[64];
    double storage; /* median of a_log-bf16's storage error of y over [1, T] */
    double control; /* storage error of fp32 */
    double slope;   /* of a_log-bf16's storage error of o; its interval is +- 0.05 */
    const char *population;
} results;

static void write_file(const results *r, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void write_file(const results *r, const char *name, const char *format, ...)
{
    char path[128];
    va_list args;
    snprintf(path, sizeof path, "%s/%s", r->dir, name);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    va_start(args, format);
    vfprintf(f, format, args);
    va_end(args);
    ck_assert_int_eq(fclose(f), 0);
}

/* One line of summary.csv or last.csv into out; returns the end. */
static char *summary_line(char *out, const results *r, const char *profile, const char *quantity,
                          const char *kind, int from, int to, double x)
{
    return out + sprintf(out,
                         "%s,fp32,portable,%s,isotropic,128,128,%d,%s,%s,%d,%d,24,%.17g,%.17g,%.17g,%.17g,%."
                         "17g,%.17g,3,%.17g,1,"
                         "0.98,1.02,0.01,0.02,1e-30,mpfr,0,0,0\n",
                         profile, r->population, to, quantity, kind, from, to, x, 0.9 * x, 1.1 * x, -x,
                         -1.1 * x, -0.9 * x, x);
}

static char *cell_line(char *out, const results *r, const char *profile, const char *quantity,
                       const char *kind, int head, double x)
{
    return out + sprintf(out,
                         "%016x,%s,fp32,portable,%s,isotropic,128,128,64,1,%d,%.17g,-3.3,0.01,0.02,%s,%s,1,"
                         "64,%.17g,%.17g,3,%.17g,8,"
                         "1,,1e-30,mpfr,4,ok\n",
                         head, profile, r->population, head, -2.0 - head, quantity, kind, x, x * x, -x);
}

/* Fill the directory. */
static void write_results(const results *r)
{
    static const char *const profiles[] = {"a_log-bf16", "fp32"}, *const quantities[] = {"y", "o"},
                             *const kinds[] = {"arith", "storage", "total"};
    static char summary[65536], cells[65536];
    char *s = summary, *c = cells;
    for (int i = 0; i < 12; i++) {
        const char *profile = profiles[i / 6], *quantity = quantities[i / 3 % 2], *kind = kinds[i % 3];
        double x = i % 3 == 1 ? (i / 6 ? r->control : r->storage) : 3e-7;
        for (int from = 1; from < 64; from *= 2)
            s = summary_line(s, r, profile, quantity, kind, from, 2 * from - 1, x * from / 64);
        s = summary_line(s, r, profile, quantity, kind, 1, 64, x);
        for (int head = 0; head < 4; head++)
            c = cell_line(c, r, profile, quantity, kind, head, x * (1 + 0.1 * head));
    }
    write_file(r, "summary.csv", "%s%s", summary_header, summary);
    write_file(r, "last.csv", "%s%s", cells_header, cells);
    write_file(r, "growth.csv",
               "%sa_log-bf16,fp32,portable,%s,isotropic,o,storage,24,%g,%g,%g,0.0021,0.002,0.0022,24\n",
               growth_header, r->population, r->slope, r->slope - 0.05, r->slope + 0.05);
    write_file(r, "manifest.json", "%s", manifest);
}

static results make_results(void)
{
    results r = {.storage = 0.00123, .control = 0, .slope = 1.01, .population = "iso-1"};
    ck_assert(gdn_test_scratch(r.dir, sizeof r.dir, "report"));
    write_results(&r);
    return r;
}

static void remove_results(const results *r)
{
    gdn_test_remove(r->dir);
}

/* A file of the directory as a string; to be freed. */
static char *text_of(const results *r, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", r->dir, name);
    FILE *f = fopen(path, "r");
    GDN_CHECK(f, "%s is not there", path);
    struct stat st;
    ck_assert_int_eq(fstat(fileno(f), &st), 0);
    char *s = gdn_test_alloc((size_t)st.st_size + 1, 1);
    ck_assert_uint_eq(fread(s, 1, (size_t)st.st_size, f), (size_t)st.st_size);
    fclose(f);
    return s;
}

static char *report_of(const results *r, const char *name)
{
    GDN_CHECK(gdn_report(r->dir, NULL, &err) == GDN_OK, "%s", err.text);
    return text_of(r, name);
}

static void expect(const char *text, const char *phrase)
{
    GDN_CHECK(strstr(text, phrase), "\"%s\" is not in the report", phrase);
}

/* A table's number and the line of summary.csv that it is a link to: this begins with `from` and has
 * `within`. */
static void expect_linked(const results *r, const char *md, const char *cell, const char *from,
                          const char *within)
{
    char *csv = text_of(r, "summary.csv"), *line = csv;
    const char *at = strstr(md, cell);
    GDN_CHECK(at, "\"%s\" is not in the report", cell);
    for (long n = strtol(at + strlen(cell), NULL, 10); n > 1 && line; n--)
        line = strchr(line + 1, '\n');
    GDN_CHECK(line && strncmp(line + 1, from, strlen(from)) == 0, "%s leads to %.40s", cell,
              line ? line : "nothing");
    char *end = strchr(line + 1, '\n');
    *end = 0;
    GDN_CHECK(strstr(line, within), "%s leads to %s", cell, line);
    free(csv);
}

static void expect_not(const char *text, const char *phrase)
{
    GDN_CHECK(!strstr(text, phrase), "\"%s\" is in the report", phrase);
}

/* ---- Tests ---- */

START_TEST(numbers_come_from_the_csv)
{
    results r = make_results();
    char *md = report_of(&r, "report.md");
    expect(md, "Does it \\<matter\\>?");
    expect(md, "0.123 % [0.111, 0.135] under `a_log-bf16` (`iso-1`, T = 64, n = 24)");
    expect_linked(&r, md, "| `a_log-bf16` | [0.123 % [0.111, 0.135]](summary.csv#L", "a_log-bf16,",
                  ",y,storage,1,64,");
    expect(md, "9.8.7");
    expect(md, "gdnprec run tiny.yaml");
    free(md);
    r.storage = 0.00456;
    write_results(&r);
    md = report_of(&r, "report.md");
    expect(md, "0.456 % [0.410, 0.502] under `a_log-bf16`");
    expect_not(md, "0.123 %");
    free(md);
    remove_results(&r);
}
END_TEST

START_TEST(method_and_threats_follow_the_rows)
{
    results r = make_results();
    char *md = report_of(&r, "report.md");
    expect(
        md,
        "## Method\n\n2 profiles (`fp32`, `a_log-bf16`) on 1 population (`iso-1`), d\\_k = 128, d\\_v = 128, "
        "to 64 tokens, 0 seeds: up to 24 heads x seeds a number.");
    expect(md, "## Threats to validity\n\n- The inputs of 1 of 1 population are drawn, not recorded");
    expect(md, "- The program had changes that its commit does not hold.\n");
    expect_not(md, "THE CONTROL FAILS");
    expect_not(md, "native");
    free(md);
    r.control = 1e-9;
    write_results(&r);
    md = report_of(&r, "report.md");
    expect(md,
           "- THE CONTROL FAILS: `fp32`, which rounds nothing it stores, has a storage error in 14 rows.\n");
    free(md);
    remove_results(&r);
}
END_TEST

START_TEST(sentences_follow_the_numbers)
{
    results r = make_results();
    char *md = report_of(&r, "report.md");
    expect(md, "The control holds");
    expect(md, "grows in proportion to position (slope 1.01 [0.96, 1.06], n = 24) and then stays at 0.210 % "
               "[0.200, 0.220] (n = 24) beyond three memory lengths");
    free(md);
    /* the widest of the three numbers chooses the unit */
    write_file(&r, "growth.csv",
               "%sa_log-bf16,fp32,portable,%s,isotropic,o,storage,24,1,0.9,1.1,1.8e-6,-9.76e-5,0.0199,24\n",
               growth_header, r.population);
    md = report_of(&r, "report.md");
    expect(md, "then stays at 0.0002 % [-0.0098, 1.9900] (n = 24)");
    free(md);
    r.slope = 0.01;
    r.control = 1e-9;
    write_results(&r);
    md = report_of(&r, "report.md");
    expect(md, "THE CONTROL FAILS");
    expect(md, "grows not at all (slope 0.01 [-0.04, 0.06], n = 24) and lies at");
    free(md);
    r.slope = 0.5;
    r.storage = r.control = 0;
    write_results(&r);
    md = report_of(&r, "report.md");
    expect(md, "No profile here has a storage error of the layer output y above zero.");
    expect(md, "grows as the square root of position");
    free(md);
    remove_results(&r);
}
END_TEST

/* Of two infinite errors none is so many times the other. */
START_TEST(infinite_errors_have_no_ratio)
{
    results r = make_results();
    char rows[4096], *end = summary_line(rows, &r, "bf16", "y", "storage", 1, 64, INFINITY);
    summary_line(end, &r, "bf16", "y", "arith", 1, 64, INFINITY);
    write_file(&r, "summary.csv", "%s%s", summary_header, rows);
    char *md = report_of(&r, "report.md");
    expect(md, "in 1 of 1 pair of population and profile.");
    free(md);
    remove_results(&r);
}
END_TEST

START_TEST(without_growth_or_yardstick)
{
    results r = make_results();
    write_file(&r, "growth.csv", "%s", growth_header);
    char *md = report_of(&r, "report.md");
    expect(md, "cannot be said");
    expect(md, "Beside the arithmetic error of the same profile");
    expect(md, "None are drawn yet");
    expect(md, "CHANGED since"); /* the manifest's sum is not that of the file */
    free(md);
    remove_results(&r);
}
END_TEST

/* Two layers of one checkpoint and one of another; head h of a layer is off by scale (1 + 0.1 h) times the
 * storage error. */
static void write_layers(results *r, double first, double second, double third)
{
    static const char *const names[] = {"mine.layer-10", "mine.layer-2", "other.layer-0"};
    const double scale[] = {second, first, third}; /* rows are sorted by name, as text */
    static char summary[65536], cells[65536];
    char *s = summary, *c = cells;
    for (int i = 0; i < 3; i++)
        for (int kind = 0; kind < 2; kind++) {
            const char *const word = kind ? "total" : "storage";
            double x = kind ? 0.01 : r->storage * scale[i];
            r->population = names[i];
            s = summary_line(s, r, "a_log-bf16", "y", word, 1, 64, 1.15 * x);
            s = summary_line(s, r, "fp32", "y", word, 1, 64, kind ? 0.002 : 0);
            for (int head = 0; head < 4; head++) {
                c = cell_line(c, r, "a_log-bf16", "y", word, head, x * (1 + 0.1 * head));
                c = cell_line(c, r, "fp32", "y", word, head, kind ? 0.002 : 0);
            }
        }
    write_file(r, "summary.csv", "%s%s", summary_header, summary);
    write_file(r, "last.csv", "%s%s", cells_header, cells);
}

/* Where `phrase` stands in the text. */
static const char *place_of(const char *text, const char *phrase)
{
    expect(text, phrase);
    return strstr(text, phrase);
}

START_TEST(layers_and_heads_are_ranked)
{
    results r = make_results();
    char *md = report_of(&r, "report.md");
    expect_not(md, "## Layers and heads"); /* no population is a layer */
    free(md);
    write_layers(&r, 1, 2, 0);
    md = report_of(&r, "report.md");
    expect(md,
           "- `mine`: Storage costs layer 10, head 3 most: it changes the layer output y by 0.320 % under "
           "`a_log-bf16` (T = 64; memory by decay alone 100 tokens).\n");
    expect(md, "- `other`: storage costs nothing in any head, exactly");
    expect(
        md,
        "Arithmetic costs layer 0, head 3 most: it changes the layer output y by 1.30 % under `a_log-bf16`");
    expect(md, "| 1 | `mine.layer-10` | 3 | `a_log-bf16` | -5 | -3.3 | 0.01 | 100 | 0.320 % | – | 1.30 % |");
    expect(md, "| 8 | `mine.layer-2` | 0 | `a_log-bf16` | -2 |");
    expect_not(md, "| 9 | `"); /* the rest loses nothing */
    const char *layers = place_of(md, "### Layers\n"),
               *worst = place_of(
                   layers,
                   "| `a_log-bf16` | `mine.layer-10` | 0.283 % | 0.320 % (3) | 1.15 % | 1.30 % (3) |"),
               *next = place_of(layers, "| `a_log-bf16` | `mine.layer-2` | 0.141 % | 0.160 % (3) |");
    GDN_CHECK(worst < next, "the layers stand the wrong way round");
    free(md);
    write_layers(&r, 3, 2, 0);
    md = report_of(&r, "report.md");
    expect(md, "- `mine`: Storage costs layer 2, head 3 most");
    free(md);
    write_layers(&r, 0, 0, 0);
    md = report_of(&r, "report.md");
    expect(md, "| 12 | `"); /* none loses by storage: by total */
    free(md);
    remove_results(&r);
}
END_TEST

/* Profile fp32 rounds w of a checkpoint that holds w - 1: that is no failure of the control. */
START_TEST(control_of_weight_less_one)
{
    results r = make_results();
    r.control = 1e-9;
    write_results(&r);
    char *md = report_of(&r, "report.md");
    expect(md, "THE CONTROL FAILS");
    free(md);
    write_file(&r, "manifest.json",
               "{\"experiment\": {\"name\": \"tiny\", \"question\": \"?\", \"text\": \"\"}, \"checkpoints\": "
               "{\"iso-1\": {\"weight\": \"w - 1\"}}}");
    md = report_of(&r, "report.md");
    expect(md, "THE CONTROL FAILS"); /* o has no weight */
    free(md);
    write_file(&r, "manifest.json",
               "{\"experiment\": {\"name\": \"tiny\", \"question\": \"?\", \"text\": \"\"}, \"checkpoints\": "
               "{\"iso-1\": {\"weight\": \"w\"}}}");
    md = report_of(&r, "report.md");
    expect(md, "is above zero in 14 of 14 rows");
    free(md);
    remove_results(&r);
}
END_TEST

START_TEST(html_stands_alone)
{
    static const char *const outward[] = {
        "http:", "https:", "file://", " src=", "@import", "<script", "<link"};
    results r = make_results();
    char path[128];
    snprintf(path, sizeof path, "%s/figures", r.dir);
    ck_assert_int_eq(mkdir(path, 0777), 0);
    for (int i = 0; i < gdn_figure_count; i++) {
        snprintf(path, sizeof path, "figures/%s.svg", gdn_figures[i].name);
        write_file(&r, path,
                   "<?xml version=\"1.0\"?>\n<svg width='9' xmlns=\"http://www.w3.org/2000/svg\"\n"
                   " xmlns:xlink=\"http://www.w3.org/1999/xlink\"><defs><circle id='dot'/></defs><use "
                   "xlink:href='#dot'/></svg>\n");
    }
    char *html = report_of(&r, "report.html");
    for (size_t i = 0; i < sizeof outward / sizeof outward[0]; i++)
        expect_not(html, outward[i]);
    expect(html, "<circle id='f1-dot'/>");
    expect(html, "<use xlink:href='#f1-dot'/>");
    expect(html, "<circle id='f2-dot'/>");
    expect(html, "<table>");
    expect(html, "Does it &lt;matter&gt;?");
    expect(html, "prefers-color-scheme:dark");
    expect(html, "@media print");
    free(html);
    remove_results(&r);
}
END_TEST

START_TEST(names_are_not_markup)
{
    results r = make_results();
    r.population = "a|b <i>*x*";
    write_results(&r);
    char *html = report_of(&r, "report.html");
    expect(html, "a|b &lt;i&gt;*x*");
    expect_not(html, "<i>");
    free(html);
    remove_results(&r);
}
END_TEST

START_TEST(summary_is_short)
{
    results r = make_results();
    char *text = NULL;
    size_t size = 0, lines = 0;
    FILE *f = open_memstream(&text, &size);
    GDN_CHECK(gdn_report(r.dir, f, &err) == GDN_OK, "%s", err.text);
    fclose(f);
    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    ck_assert_uint_le(lines, 10);
    expect(text, "tiny: Does it <matter>?\n");
    expect(text, "a_log-bf16: 0.123 % [0.111, 0.135], n = 24 (iso-1, T = 64)");
    expect(text, "/report.html");
    expect_not(text, "`");
    free(text);
    remove_results(&r);
}
END_TEST

START_TEST(bad_input_gets_a_sentence)
{
    results r = make_results();
    write_file(&r, "summary.csv", "profile,recipe\nfp32,fp32\n");
    ck_assert_int_eq(gdn_report(r.dir, NULL, &err), GDN_BAD_INPUT);
    expect(err.text, "summary.csv: line 1: there is no column \"mode\"; the columns are profile, recipe");
    ck_assert_int_eq(gdn_plot(r.dir, "plots", &err), GDN_BAD_INPUT);
    expect(err.text, "there is no column \"quantity\"");
    write_results(&r);
    write_file(&r, "manifest.json", "{\"a\": ");
    ck_assert_int_eq(gdn_report(r.dir, NULL, &err), GDN_BAD_INPUT);
    expect(err.text, "manifest.json:1: is not JSON: ");
    write_results(&r);
    char path[128];
    snprintf(path, sizeof path, "%s/growth.csv", r.dir);
    unlink(path);
    ck_assert_int_eq(gdn_report(r.dir, NULL, &err), GDN_BAD_INPUT);
    expect(err.text, "growth.csv: there is no such file; `gdnprec run` makes it");
    write_file(&r, "growth.csv", "%sa,b,c,d,e,o,storage,many,1,1,1,,,,\n", growth_header);
    ck_assert_int_eq(gdn_report(r.dir, NULL, &err), GDN_BAD_INPUT);
    expect(err.text, "growth.csv: line 2: the field \"n\" is \"many\"");
    remove_results(&r);
}
END_TEST

/* ---- Figures; gnuplot draws them ---- */

/* The tests run from the root of the repository. */
static bool can_draw(void)
{
    return access("plots/style.gp", R_OK) == 0 && system("gnuplot --version >/dev/null 2>&1") == 0;
}

START_TEST(figures_are_the_same_twice)
{
    static const char *const drawn[] = {"figures/storage_vs_arith.svg", "figures/error_vs_length_o.svg",
                                        "figures/bias_vs_magnitude_y.pdf"};
    enum { DRAWN = sizeof drawn / sizeof drawn[0] };
    if (!can_draw())
        return;
    results r = make_results();
    char first[DRAWN][65], second[65], path[128];
    for (int run = 0; run < 2; run++) {
        GDN_CHECK(gdn_plot(r.dir, "plots", &err) == GDN_OK, "%s", err.text);
        for (int i = 0; i < DRAWN; i++) {
            snprintf(path, sizeof path, "%s/%s", r.dir, drawn[i]);
            GDN_CHECK(gdn_file_sha256(path, run ? second : first[i], &err) == GDN_OK, "%s", err.text);
            GDN_CHECK(run == 0 || strcmp(first[i], second) == 0, "%s differs from run to run", drawn[i]);
        }
        sleep(run == 0); /* a PDF would hold the time, to the second */
    }
    char *svg = text_of(&r, drawn[0]);
    expect(svg, "gdnprec 9.8.7 0123456789ab+dirty · tiny · A CPU · n = 24 heads x seeds · reference mpfr");
    free(svg);
    char *html = report_of(&r, "report.html");
    expect(html, "<figure");
    expect_not(html, "http:");
    free(html);
    remove_results(&r);
}
END_TEST

/* The map of layers is drawn where there are layers, and taken away where there are none. */
START_TEST(layers_are_drawn)
{
    if (!can_draw())
        return;
    results r = make_results();
    char path[128];
    snprintf(path, sizeof path, "%s/figures/layers_y.svg", r.dir);
    for (int layers = 1; layers >= 0; layers--) {
        r.population = "iso-1";
        if (layers)
            write_layers(&r, 1, 2, 0);
        else
            write_results(&r);
        GDN_CHECK(gdn_plot(r.dir, "plots", &err) == GDN_OK, "%s", err.text);
        GDN_CHECK((access(path, R_OK) == 0) == layers, "drawn where layers are %d", layers);
    }
    write_layers(&r, 1, 2, 0);
    GDN_CHECK(gdn_plot(r.dir, "plots", &err) == GDN_OK, "%s", err.text);
    char *svg = text_of(&r, "figures/layers_y.svg");
    GDN_CHECK(place_of(svg, "mine.layer-2") < place_of(svg, "mine.layer-10"),
              "layers in the order of the file");
    free(svg);
    remove_results(&r);
}
END_TEST

START_TEST(no_gnuplot_or_no_script)
{
    results r = make_results();
    ck_assert_int_eq(gdn_plot(r.dir, "/nonexistent", &err), GDN_BAD_INPUT);
    expect(err.text, "/nonexistent/storage_vs_arith.gp: cannot be read");
    if (can_draw()) {
        setenv("PATH", "/nonexistent", 1); /* check runs this test in a process of its own */
        ck_assert_int_eq(gdn_plot(r.dir, "plots", &err), GDN_MACHINE);
        expect(err.text, "gnuplot is not installed");
    }
    remove_results(&r);
}
END_TEST

GDN_TEST_MAIN("report", numbers_come_from_the_csv, method_and_threats_follow_the_rows,
              sentences_follow_the_numbers, infinite_errors_have_no_ratio, without_growth_or_yardstick,
              layers_and_heads_are_ranked, control_of_weight_less_one, html_stands_alone,
              names_are_not_markup, summary_is_short, bad_input_gets_a_sentence, figures_are_the_same_twice,
              layers_are_drawn, no_gnuplot_or_no_script)
