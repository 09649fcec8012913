/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_plot -- figures of a small made experiment: which are drawn and which are not, the same bytes each
 * time, as wide as a column, and with labels that do not lie on each other.
 */
#include "harness/plot.h"

#include <fcntl.h>
#include <glob.h>
#include <math.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/outfile.h"
#include "tests/gdn_test.h"

static gdn_error err;
static char dir[64];

/* ---- A made experiment ---- */

static const char summary_header[] = "profile,recipe,mode,population,keys,dk,dv,length,quantity,kind,from,to,"
                                     "n,median,lo,hi,bias,bias_lo,bias_hi,"
                                     "max_ulp,predicted,ratio,ratio_lo,ratio_hi,gamma,gamma_eff,uncertainty,"
                                     "reference,n_below,n_zero,n_nonfinite\n";
static const char cells_header[] =
    "cell,profile,recipe,mode,population,keys,dk,dv,length,seed,head,a_log,dt_bias,gamma,gamma_eff,quantity,"
    "kind,from,"
    "to,rel_l2,nmse,max_ulp,bias,bits,cosine,predicted,uncertainty,reference,certified,flag\n";
static const char heat_header[] =
    "profile,mode,population,keys,quantity,kind,from,a_log,n,median,gamma_eff\n";
static const char budget_header[] = "population,keys,length,quantity,group,gamma,base,format,member,single,"
                                    "single_lo,single_hi,shapley,shapley_lo,"
                                    "shapley_hi,relief,relief_lo,relief_hi,none,none_lo,none_hi,rss,rss_lo,"
                                    "rss_hi,all,all_lo,all_hi,n,n_shapley,"
                                    "left_out,best,sure\n";

static FILE *create(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    GDN_CHECK(f, "%s cannot be written", path);
    return f;
}

/* Profile p-1 errs the most; the others by a part in a hundred less each, which no axis tells apart. */
enum { PROFILES = 6, TOP = 4096 };

static double error_of(int profile, int kind, double t)
{
    return (kind ? 1e-6 : 1e-3) * (1 - 0.01 * profile) * fmin(1, t / 200);
}

static const char *const kinds[] = {"storage", "arith"}, *const quantities[] = {"o", "y"},
                         *const populations[] = {"first", "second"};

static void write_summary(void)
{
    FILE *f = create("summary.csv");
    fputs(summary_header, f);
    for (int i = 0; i < PROFILES * 8; i++) {
        int p = i / 8, k = i % 2;
        const char *quantity = quantities[i / 2 % 2], *population = populations[i / 4 % 2];
        for (int from = 1; from <= TOP; from *= 2) {
            int to = from == TOP ? TOP : 2 * from - 1; /* the last one: [1, T] */
            double x = error_of(p, k, from);
            fprintf(f,
                    "p-%d,r%d,portable,%s,isotropic,16,16,%d,%s,%s,%d,%d,24,%.17g,%.17g,%.17g,%.17g,%.17g,%."
                    "17g,3,%.17g,"
                    "1,1,1,0.01,0.02,1e-30,mpfr,0,0,0\n",
                    p + 1, p + 1, population, to, quantity, kinds[k], from == TOP ? 1 : from, to, x, 0.9 * x,
                    1.1 * x, x, 0.9 * x, 1.1 * x, x);
        }
    }
    fclose(f);
}

static void write_last(void)
{
    FILE *f = create("last.csv");
    fputs(cells_header, f);
    for (int i = 0; i < PROFILES * 8 * 24; i++) {
        int head = i / (PROFILES * 8), p = i / 8 % PROFILES, k = i % 2;
        double x = error_of(p, k, TOP) * (1 + 0.01 * head);
        fprintf(f,
                "%016x,p-%d,r,portable,%s,isotropic,16,16,%d,1,%d,%.17g,-3,0.01,0.02,%s,%s,1,%d,%.17g,%.17g,"
                "3,%.17g,8,1,,"
                "1e-30,mpfr,4,ok\n",
                (unsigned)i, p + 1, populations[i / 4 % 2], TOP, head, -6 + 0.25 * head,
                quantities[i / 2 % 2], kinds[k], TOP, x, x * x, x / 2);
    }
    fclose(f);
}

/* Heads in so many bins of A_log. */
static void write_heat(int bins)
{
    FILE *f = create("heat.csv");
    fputs(heat_header, f);
    for (int bin = 0; bin < bins; bin++)
        for (int from = 8; from <= TOP / 2; from *= 2)
            for (int q = 0; q < 2; q++)
                fprintf(f, "p-1,portable,first,isotropic,%s,storage,%d,%d,4,%.4g,%.4g\n", quantities[q], from,
                        bin - 6, error_of(0, 0, from) * (1 + bin), 0.001 * (1 + bin));
    fclose(f);
}

static void write_budget(void)
{
    static const char *const groups[] = {"all", "long", "middle", "short"}, *const members[] = {"dt_bias",
                                                                                                "state"};
    FILE *f = create("budget.csv");
    fputs(budget_header, f);
    for (int i = 0; i < 8; i++) {
        double share = i % 2 ? 0.75 : 0.25;
        fprintf(f,
                "first,isotropic,%d,y,%s,0.01,fp32,bf16,%s,0.001,0.0009,0.0011,%g,%g,%g,0.3,0.2,0.4,1e-07,1e-"
                "07,1e-07,"
                "0.002,0.002,0.002,0.002,0.002,0.002,24,24,0,0,0\n",
                TOP, groups[i / 2], members[i % 2], share, share - 0.1, share + 0.1);
    }
    fclose(f);
}

static void write_manifest(void)
{
    FILE *f = create("manifest.json");
    fputs("{\"experiment\": {\"name\": \"made\"}, \"program\": {\"version\": \"9.8.7\", \"commit\": "
          "\"0123456789abcdef\"},\n"
          " \"machine\": {\"cpu\": \"A CPU\"}}\n",
          f);
    fclose(f);
}

static void make(void)
{
    ck_assert(gdn_test_scratch(dir, sizeof dir, "plot"));
    write_summary();
    write_last();
    write_heat(5);
    write_budget();
    write_manifest();
}

static void unmake(void)
{
    gdn_test_remove(dir);
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

/* The tests run from the root of the repository. */
static bool can_draw(void)
{
    return access("plots/style.gp", R_OK) == 0 && system("gnuplot --version >/dev/null 2>&1") == 0;
}

static char *svg_of(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s.svg", dir, name);
    return text_of(path);
}

static void draw(void)
{
    GDN_CHECK(gdn_plot_into(dir, "plots", dir, &err) == GDN_OK, "%s", err.text);
}

/* What gdn_plot says on stderr; to be freed. */
static char *said(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/said", dir);
    int to = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600), kept = dup(2);
    dup2(to, 2);
    gdn_status status = gdn_plot(dir, "plots", &err);
    dup2(kept, 2);
    close(to);
    close(kept);
    GDN_CHECK(status == GDN_OK, "%s", err.text);
    return text_of(path);
}

/* ---- Tests ---- */

static const char *const names[] = {
    "storage_vs_arith",    "error_vs_length_o",   "error_vs_length_y", "heat_o",  "heat_y",
    "bias_vs_magnitude_o", "bias_vs_magnitude_y", "budget_stack_y",    "budget_y"};
enum { NAMES = sizeof names / sizeof names[0] };

/* Twice the same bytes, one column wide, with the line of provenance. */
START_TEST(same_bytes)
{
    char first[NAMES][65], second[65], path[128];
    if (!can_draw())
        return;
    make();
    for (int run = 0; run < 2; run++) {
        draw();
        for (int i = 0; i < NAMES; i++) {
            snprintf(path, sizeof path, "%s/%s.svg", dir, names[i]);
            GDN_CHECK(gdn_file_sha256(path, run ? second : first[i], &err) == GDN_OK, "%s", err.text);
            GDN_CHECK(run == 0 || strcmp(first[i], second) == 0, "%s differs from run to run", names[i]);
            char *svg = text_of(path);
            GDN_CHECK(strstr(svg, " width=\"480\" "), "%s is not as wide as a column", names[i]);
            GDN_CHECK(strstr(svg, "gdnprec 9.8.7 0123456789ab"), "%s does not say where it comes from",
                      names[i]);
            free(svg);
        }
    }
    unmake();
}
END_TEST

/* One look: every script begins with the style. */
START_TEST(one_style)
{
    glob_t g;
    if (access("plots/style.gp", R_OK))
        return;
    ck_assert_int_eq(glob("plots/*.gp", 0, NULL, &g), 0);
    GDN_CHECK(g.gl_pathc > 8, "%zu scripts", g.gl_pathc);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        char *text = text_of(g.gl_pathv[i]);
        bool part = strstr(g.gl_pathv[i], "/style.gp") || strstr(g.gl_pathv[i], "/theory.gp");
        GDN_CHECK(part || strstr(text, "\nload (ARG0["), "%s does not load style.gp", g.gl_pathv[i]);
        GDN_CHECK(part || strstr(text, ".'style.gp'\n"), "%s does not load style.gp", g.gl_pathv[i]);
        GDN_CHECK(part || !strstr(text, "set term "), "%s has a terminal of its own", g.gl_pathv[i]);
        free(text);
    }
    globfree(&g);
}
END_TEST

/* Places, down the page, of the labels "p-1" to "p-6" that begin at the same x as the first; returns how
 * many. */
static int places_of(const char *svg, double y[PROFILES])
{
    int n = 0;
    double left = NAN;
    for (const char *at = svg; n < PROFILES && (at = strstr(at, "<g transform=\"translate("));) {
        double x, down;
        at += strlen("<g transform=\"translate(");
        const char *text = strstr(at, "<text>");
        if (text && text - at < 250 && sscanf(at, "%lf,%lf", &x, &down) == 2 &&
            strncmp(text + 6, "p-", 2) == 0 && (isnan(left) || fabs(x - left) < 0.01)) {
            left = x;
            y[n++] = down;
        }
    }
    return n;
}

/* Six curves end within a twentieth of each other: their names stand apart all the same, inside the figure.
 */
START_TEST(labels_apart)
{
    double y[PROFILES];
    if (!can_draw())
        return;
    make();
    draw();
    char *svg = svg_of("error_vs_length_y");
    ck_assert_int_eq(places_of(svg, y), PROFILES);
    for (int i = 0; i < PROFILES; i++) {
        GDN_CHECK(y[i] > 20, "a label lies outside");
        for (int j = 0; j < i; j++)
            GDN_CHECK(fabs(y[i] - y[j]) > 10, "labels at %g and %g", y[i], y[j]);
    }
    free(svg);
    unmake();
}
END_TEST

/* Scales for the reader: unit roundoffs by name, the memory 1 / 0.02, slopes, shares, and the prediction. */
START_TEST(scales_are_named)
{
    static const struct {
        const char *figure, *phrase;
    } wanted[] = {
        {"error_vs_length_y", ">u bf16<"},
        {"error_vs_length_y", ">u fp16<"},
        {"error_vs_length_y", ">u fp32<"},
        {"error_vs_length_y", "= 50<"},
        {"error_vs_length_y", "slopes 1"},
        {"error_vs_length_y", ">first<"},
        {"error_vs_length_y", ">second<"},
        {"error_vs_length_y", "storage, n = 24"},
        {"storage_vs_arith", ">fp16<"},
        {"heat_y", ">first<"},
        {"heat_y", ">storage<"},
        {"budget_stack_y", ">dt_bias<"},
        {"budget_stack_y", "short memory"},
        {"bias_vs_magnitude_y", ">u bf16<"},
    };
    if (!can_draw())
        return;
    make();
    draw();
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        char *svg = svg_of(wanted[i].figure);
        GDN_CHECK(strstr(svg, wanted[i].phrase), "%s does not say \"%s\"", wanted[i].figure,
                  wanted[i].phrase);
        free(svg);
    }
    unmake();
}
END_TEST

/* Without data there is a line and no file; without the file it is drawn from, another line. */
START_TEST(skipped_with_a_line)
{
    char path[128], heat[128];
    if (!can_draw())
        return;
    make();
    snprintf(path, sizeof path, "%s/figures/heat_y.svg", dir);
    snprintf(heat, sizeof heat, "%s/heat.csv", dir);
    char *text = said();
    GDN_CHECK(!strstr(text, "heat_y") && access(path, F_OK) == 0, "not drawn: %s", text);
    GDN_CHECK(strstr(text, "error_vs_length_state: no data for this figure; skipped\n"), "%s", text);
    GDN_CHECK(!strstr(text, "layers_y"), "nobody asked for layers: %s", text);
    free(text);
    write_heat(2); /* too few bins */
    text = said();
    GDN_CHECK(strstr(text, "heat_y: no data for this figure; skipped\n"), "%s", text);
    GDN_CHECK(access(path, F_OK) != 0, "the figure of an earlier run stayed");
    free(text);
    ck_assert_int_eq(unlink(heat), 0);
    text = said();
    GDN_CHECK(strstr(text, "heat_y: needs heat.csv, which is not here; left as it is\n"), "%s", text);
    free(text);
    unmake();
}
END_TEST

GDN_TEST_MAIN("plot", same_bytes, one_style, labels_apart, scales_are_named, skipped_with_a_line)
