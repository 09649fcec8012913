/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report -- findings, tables, figures and provenance of an experiment; see report.h.
 *
 * The Markdown is composed in memory section by section, then rendered by cmark-gfm with every figure put in
 * as SVG. A "whole" row is over positions [1, T] at the largest T of its population (the state: at T); all
 * findings and tables but growth rest on these.
 */
#include "harness/report.h"

#include <cmark-gfm-core-extensions.h>
#include <cmark-gfm-extension_api.h>
#include <cmark-gfm.h>
#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/outfile.h"
#include "harness/plot.h"
#include "harness/profile.h"
#include "harness/table.h"

/* ---- Rows ---- */

/* A line of summary.csv or of growth.csv; what the file has no column for is 0 or NULL, and nobody asks. */
typedef struct row {
    const char *profile, *recipe, *mode, *population, *keys, *quantity, *kind, *reference;
    double dk, dv, from, to, n;
    double median, lo, hi;
    double bias, bias_lo, bias_hi;
    double max_ulp, predicted, ratio, ratio_lo, ratio_hi;
    double gamma_eff, uncertainty, n_below, n_zero, n_nonfinite;
    double slope, slope_lo, slope_hi, plateau, plateau_lo, plateau_hi;
} row;

typedef struct field {
    const char *name;
    size_t offset;
    bool text;
} field;

#define TEXT(f)                                                                                              \
    {                                                                                                        \
#f, offsetof(row, f), true                                                                           \
    }
#define REAL(f)                                                                                              \
    {                                                                                                        \
#f, offsetof(row, f), false                                                                          \
    }

static const field summary_fields[] = {
    TEXT(profile),   TEXT(recipe),      TEXT(mode),      TEXT(population), TEXT(keys),        TEXT(quantity),
    TEXT(kind),      TEXT(reference),   REAL(dk),        REAL(dv),         REAL(from),        REAL(to),
    REAL(n),         REAL(median),      REAL(lo),        REAL(hi),         REAL(bias),        REAL(bias_lo),
    REAL(bias_hi),   REAL(max_ulp),     REAL(predicted), REAL(ratio),      REAL(ratio_lo),    REAL(ratio_hi),
    REAL(gamma_eff), REAL(uncertainty), REAL(n_below),   REAL(n_zero),     REAL(n_nonfinite),
};
static const field growth_fields[] = {
    TEXT(profile),  TEXT(recipe),  TEXT(mode),       TEXT(population), TEXT(keys),
    TEXT(quantity), TEXT(kind),    REAL(n),          REAL(slope),      REAL(slope_lo),
    REAL(slope_hi), REAL(plateau), REAL(plateau_lo), REAL(plateau_hi),
};

typedef struct rows {
    gdn_table *table; /* owns the texts */
    row *row;         /* [n] */
    size_t n;
} rows;

typedef struct names {
    const char **name; /* [n] */
    size_t n;
} names;

typedef struct report {
    const char *dir;
    rows summary, growth;
    names profiles, populations, quantities;
    double *longest;   /* [populations][quantities] the largest T, 0 where not measured */
    const row **whole; /* [n_whole] the whole rows, in the order of the file */
    size_t n_whole;
    json_t *manifest;
    char *provenance;
    FILE *md;
} report;

static gdn_status read_rows(const char *dir, const char *name, const field *fields, size_t n_fields,
                            rows *out, gdn_error *err)
{
    char path[PATH_MAX];
    size_t column[64];
    gdn_status status = gdn_results_file(dir, name, err);
    if (status)
        return status;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    status = gdn_table_read(path, &out->table, err);
    for (size_t f = 0; f < n_fields && !status; f++)
        status = gdn_table_find(out->table, fields[f].name, &column[f], err);
    if (status)
        return status;
    out->n = gdn_table_rows(out->table);
    out->row = calloc(out->n + 1, sizeof *out->row);
    if (!out->row)
        return gdn_no_memory(err, "the rows of a report");
    for (size_t i = 0; i < out->n; i++) {
        for (size_t f = 0; f < n_fields && !status; f++) {
            void *to = (char *)&out->row[i] + fields[f].offset;
            if (fields[f].text)
                *(const char **)to = gdn_table_text(out->table, i, column[f]);
            else
                status = gdn_table_number(out->table, i, column[f], to, err);
        }
    }
    return status;
}

static void free_rows(rows *r)
{
    gdn_table_free(r->table);
    free(r->row);
}

static bool same(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static bool has(const names *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (same(list->name[i], name))
            return true;
    return false;
}

static void add(names *list, const char *name)
{
    if (!has(list, name))
        list->name[list->n++] = name;
}

static bool mentions(const rows *r, const char *profile)
{
    for (size_t i = 0; i < r->n; i++)
        if (same(r->row[i].profile, profile))
            return true;
    return false;
}

/* Profiles in the order of harness/profile.c, then as they come; populations as they come, those of the gate
 * alone last. */
static gdn_status collect_names(report *r, gdn_error *err)
{
    r->profiles.name = calloc(r->summary.n + (size_t)gdn_profile_count + 1, sizeof *r->profiles.name);
    r->populations.name = calloc(r->summary.n + 1, sizeof *r->populations.name);
    r->quantities.name = calloc(r->summary.n + 1, sizeof *r->quantities.name);
    if (!r->profiles.name || !r->populations.name || !r->quantities.name)
        return gdn_no_memory(err, "the names in a report");
    for (int i = 0; i < gdn_profile_count; i++)
        if (mentions(&r->summary, gdn_profile_builtin(i).name))
            add(&r->profiles, gdn_profile_builtin(i).name);
    for (size_t i = 0; i < r->summary.n; i++) {
        add(&r->profiles, r->summary.row[i].profile);
        add(&r->quantities, r->summary.row[i].quantity);
    }
    for (int gate = 0; gate < 2; gate++)
        for (size_t i = 0; i < r->summary.n; i++)
            if (gate || !same(r->summary.row[i].quantity, "g"))
                add(&r->populations, r->summary.row[i].population);
    return GDN_OK;
}

/* Whether the row ends a whole [1, T]; of the state, whether it is at one position. */
static bool spans_from_start(const row *x)
{
    return same(x->quantity, "state") ? x->from == x->to : x->from == 1;
}

static size_t place(const names *list, const char *name)
{
    size_t i = 0;
    while (i < list->n && !same(list->name[i], name))
        i++;
    return i;
}

/* The largest T of a quantity in a population; 0 when it was not measured there. */
static double longest(const report *r, const char *population, const char *quantity)
{
    size_t p = place(&r->populations, population), q = place(&r->quantities, quantity);
    return q < r->quantities.n ? r->longest[p * r->quantities.n + q] : 0;
}

/* Find the largest lengths, then the whole rows. */
static gdn_status collect_whole(report *r, gdn_error *err)
{
    size_t n = r->summary.n, quantities = r->quantities.n;
    r->longest = calloc(r->populations.n * quantities + 1, sizeof *r->longest);
    r->whole = calloc(n + 1, sizeof *r->whole);
    if (!r->longest || !r->whole)
        return gdn_no_memory(err, "the rows of a report");
    for (size_t i = 0; i < n; i++) {
        const row *x = &r->summary.row[i];
        double *T = &r->longest[place(&r->populations, x->population) * quantities +
                                place(&r->quantities, x->quantity)];
        if (spans_from_start(x) && x->to > *T)
            *T = x->to;
    }
    for (size_t i = 0; i < n; i++) {
        const row *x = &r->summary.row[i];
        if (spans_from_start(x) && x->to == longest(r, x->population, x->quantity))
            r->whole[r->n_whole++] = x;
    }
    return GDN_OK;
}

/* The whole row, or NULL. */
static const row *whole(const report *r, const char *population, const char *profile, const char *quantity,
                        const char *kind)
{
    for (size_t i = 0; i < r->n_whole; i++) {
        const row *x = r->whole[i];
        if (same(x->population, population) && same(x->profile, profile) && same(x->quantity, quantity) &&
            same(x->kind, kind))
            return x;
    }
    return NULL;
}

/* The first row of a population and quantity at the largest T, for what all of them share. */
static const row *any_whole(const report *r, const char *population, const char *quantity)
{
    for (size_t i = 0; i < r->profiles.n; i++)
        for (int k = 0; k < 3; k++) {
            static const char *const kinds[] = {"storage", "arith", "total"};
            const row *x = whole(r, population, r->profiles.name[i], quantity, kinds[k]);
            if (x)
                return x;
        }
    return NULL;
}

static const row *grown(const report *r, const char *population, const char *profile, const char *quantity,
                        const char *kind)
{
    for (size_t i = 0; i < r->growth.n; i++) {
        const row *x = &r->growth.row[i];
        if (same(x->population, population) && same(x->profile, profile) && same(x->quantity, quantity) &&
            same(x->kind, kind))
            return x;
    }
    return NULL;
}

static bool measured(const row *x)
{
    return x && x->n > 0;
}

static bool nonzero(const row *x)
{
    return measured(x) && x->median > 0;
}

/* ---- Numbers and names as text ---- */

typedef struct text {
    char s[256];
} text;

/* x with three digits, and where it needs an exponent, without printf's padding of it: "2.50e-7". */
static text scientific(double x)
{
    text t;
    bool near_one = x == 0 || (fabs(x) >= 1e-2 && fabs(x) < 1e4);
    if (near_one)
        snprintf(t.s, sizeof t.s, fabs(x) < 1000 ? "%.3g" : "%.0f", x);
    else
        snprintf(t.s, sizeof t.s, "%.2e", x);
    char *e = strchr(t.s, 'e');
    if (e) {
        char *digits = e + 2 + strspn(e + 2, "0");
        e += 1 + (e[1] == '-');
        memmove(e, digits, strlen(digits) + 1);
    }
    return t;
}

/* Whether numbers of size x read well in per cent. */
static bool in_percent(double x)
{
    return fabs(x) >= 1e-5 && fabs(x) < 10;
}

/* Decimals that show three digits of x. */
static int decimals(double x)
{
    if (x == 0)
        return 0;
    int d = 2 - (int)floor(log10(fabs(x)));
    return d > 0 ? d : 0;
}

/* A number of the size of an error. */
static text amount(double x)
{
    text t;
    if (isnan(x))
        snprintf(t.s, sizeof t.s, "–");
    else if (x == 0)
        snprintf(t.s, sizeof t.s, "0");
    else if (in_percent(x))
        snprintf(t.s, sizeof t.s, "%.*f %%", decimals(100 * x), 100 * x);
    else
        t = scientific(x);
    return t;
}

/* x with d decimals; with one digit and an exponent where that would show a zero that it is not. */
static text fixed(double x, int d)
{
    text t;
    if (x != 0 && fabs(x) < 0.5 * pow(10, -d))
        snprintf(t.s, sizeof t.s, "%.0e", x);
    else
        snprintf(t.s, sizeof t.s, "%.*f", d, x);
    return t;
}

/* "0.132 % [0.080, 0.170]": a number and its 95 % interval in one unit; an interval without width is left
 * out. */
static text span(double x, double lo, double hi)
{
    text t = amount(x);
    double widest = fmax(fabs(lo), fabs(hi));
    if (isnan(x) || lo == hi)
        return t;
    int d = decimals(100 * x);
    if (in_percent(x) && fabs(x) >= 0.005 * widest && widest < 1e3)
        snprintf(t.s, sizeof t.s, "%.*f %% [%.30s, %.30s]", d, 100 * x, fixed(100 * lo, d).s,
                 fixed(100 * hi, d).s);
    else
        snprintf(t.s, sizeof t.s, "%.30s [%.30s, %.30s]", scientific(x).s, scientific(lo).s,
                 scientific(hi).s);
    return t;
}

/* A plain number with its interval. */
static text plain(double x, double lo, double hi)
{
    text t;
    if (isnan(x))
        snprintf(t.s, sizeof t.s, "–");
    else
        snprintf(t.s, sizeof t.s, "%.2f [%.2f, %.2f]", x, lo, hi);
    return t;
}

/* 16384 as 16,384. */
static text count(double x)
{
    text digits, t;
    snprintf(digits.s, sizeof digits.s, "%.0f", x);
    size_t n = strlen(digits.s), k = 0;
    for (size_t i = 0; i < n && k + 2 < sizeof t.s; i++) {
        if (i && (n - i) % 3 == 0 && isdigit((unsigned char)digits.s[i - 1]))
            t.s[k++] = ',';
        t.s[k++] = digits.s[i];
    }
    t.s[k] = '\0';
    return t;
}

/* "1 row", "2 rows". */
static text counted(double n, const char *one, const char *many)
{
    text t;
    snprintf(t.s, sizeof t.s, "%.40s %s", count(n).s, n == 1 ? one : many);
    return t;
}

/* A name from the data as Markdown: code where it is plain, else with every mark escaped that could mean
 * something. */
static text name(const char *s)
{
    text t;
    bool simple = *s != '\0';
    for (const char *p = s; *p; p++)
        simple = simple && (isalnum((unsigned char)*p) || strchr("._+-", *p));
    if (simple) {
        snprintf(t.s, sizeof t.s, "`%.250s`", s);
        return t;
    }
    size_t k = 0;
    for (; *s && k + 3 < sizeof t.s; s++) {
        if (strchr("\\`*_[]<>|~&!#", *s))
            t.s[k++] = '\\';
        t.s[k++] = iscntrl((unsigned char)*s) ? ' ' : *s;
    }
    t.s[k] = '\0';
    return t;
}

/* A sentence from the data as Markdown; an underscore inside a word means nothing there. */
static void put_sentence(FILE *f, const char *s)
{
    for (; *s; s++) {
        if (strchr("\\`*[]<>|~&", *s))
            fputc('\\', f);
        fputc(*s == '\n' ? ' ' : *s, f);
    }
}

static const char *quantity_words(const char *quantity)
{
    static const char *const words[][2] = {{"y", "the layer output y"},
                                           {"o", "the recurrence output o"},
                                           {"state", "the state S"},
                                           {"g", "the gate g"},
                                           {"decay", "the cumulative decay"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (same(words[i][0], quantity))
            return words[i][1];
    return quantity;
}

static const char *kind_words(const char *kind)
{
    return same(kind, "arith") ? "arithmetic" : kind;
}

/* What a whole row says, for a table: the number, or why there is none. */
static text entry(const row *x)
{
    text t;
    if (!x)
        snprintf(t.s, sizeof t.s, "–");
    else if (measured(x) && x->median == 0)
        snprintf(t.s, sizeof t.s, "%s", x->hi > 0 ? span(x->median, x->lo, x->hi).s : "exactly 0");
    else if (measured(x))
        t = span(x->median, x->lo, x->hi);
    else if (x->n_below > 0)
        snprintf(t.s, sizeof t.s, "below reference");
    else if (x->n_nonfinite > 0)
        snprintf(t.s, sizeof t.s, "not finite");
    else if (x->n_zero > 0)
        snprintf(t.s, sizeof t.s, "reference is 0");
    else
        snprintf(t.s, sizeof t.s, "–");
    return t;
}

/* ---- Findings ---- */

/*
 * Every finding is one paragraph of Markdown, written to `f`. Code marks are all the markup they hold, so the
 * plain summary takes the same text without them.
 */

/* Quantities that show the effect on outputs, the best first. */
static const char *const outputs[] = {"y", "o", "state"};
enum { OUTPUTS = sizeof outputs / sizeof outputs[0], LISTED = 6 };

static bool has_quantity(const report *r, const char *quantity)
{
    for (size_t p = 0; p < r->populations.n; p++)
        if (longest(r, r->populations.name[p], quantity) > 0)
            return true;
    return false;
}

/* The quantity that findings are told by: y, else o, else the state; NULL when none was measured. */
static const char *main_quantity(const report *r)
{
    for (int i = 0; i < OUTPUTS; i++)
        if (has_quantity(r, outputs[i]))
            return outputs[i];
    return NULL;
}

/* The profile whose arithmetic error serves as a yardstick, or NULL. */
static const char *yardstick(const report *r)
{
    return has(&r->profiles, "bf16-io") ? "bf16-io" : NULL;
}

/* The largest nonzero error of a kind among the profiles of a population, or NULL. */
static const row *largest(const report *r, const char *population, const char *quantity, const char *kind)
{
    const row *most = NULL;
    for (size_t i = 0; i < r->profiles.n; i++) {
        const row *x = whole(r, population, r->profiles.name[i], quantity, kind);
        if (nonzero(x) && (!most || x->median > most->median))
            most = x;
    }
    return most;
}

/* The row of the population in which a profile's storage error is largest; NULL when it is zero everywhere.
 */
static const row *worst_storage(const report *r, const char *profile, const char *quantity)
{
    const row *worst = NULL;
    for (size_t p = 0; p < r->populations.n; p++) {
        const row *x = whole(r, r->populations.name[p], profile, quantity, "storage");
        if (nonzero(x) && (!worst || x->median > worst->median))
            worst = x;
    }
    return worst;
}

/* Whether two profiles have the same storage error in every population. */
static bool stores_alike(const report *r, const char *a, const char *b, const char *quantity)
{
    for (size_t p = 0; p < r->populations.n; p++) {
        const row *x = whole(r, r->populations.name[p], a, quantity, "storage"),
                  *y = whole(r, r->populations.name[p], b, quantity, "storage");
        if (measured(x) != measured(y) || (measured(x) && x->median != y->median))
            return false;
    }
    return true;
}

/* What storage costs in a quantity: per profile, where it costs most. Profiles that store the same are told
 * once. */
static void finding_cost(const report *r, const char *quantity, FILE *f)
{
    const row *told[LISTED];
    size_t n = 0, left = 0;
    for (size_t i = 0; i < r->profiles.n; i++) {
        const row *x = worst_storage(r, r->profiles.name[i], quantity);
        bool again = !x;
        for (size_t k = 0; k < n && x; k++)
            again = again || stores_alike(r, told[k]->profile, x->profile, quantity);
        left += !again && n == LISTED;
        if (!again && n < LISTED)
            told[n++] = x;
    }
    if (n == 0) {
        fprintf(f, "No profile here has a storage error of %s above zero.", quantity_words(quantity));
        return;
    }
    fprintf(f, "Rounding what is stored changes %s, where it costs most, by ", quantity_words(quantity));
    for (size_t k = 0; k < n; k++)
        fprintf(f, "%s%s under %s (%s, T = %s, n = %s)", k ? "; " : "",
                span(told[k]->median, told[k]->lo, told[k]->hi).s, name(told[k]->profile).s,
                name(told[k]->population).s, count(told[k]->to).s, count(told[k]->n).s);
    if (left > 0)
        fprintf(f, "; %s more in the tables", counted((double)left, "profile", "profiles").s);
    fprintf(f, ". (Relative L2 error, median over heads and seeds [95 %% interval].)");
}

/* How often storage stands above, below or level with the arithmetic error set against it. */
typedef struct contest {
    size_t above, below, level;
    double most; /* largest ratio storage / arithmetic, and where */
    const row *at;
} contest;

static contest compare(const report *r, const char *quantity, const char *against)
{
    contest c = {0, 0, 0, 0, NULL};
    for (size_t p = 0; p < r->populations.n; p++)
        for (size_t i = 0; i < r->profiles.n; i++) {
            const char *population = r->populations.name[p], *profile = r->profiles.name[i];
            const row *s = whole(r, population, profile, quantity, "storage");
            const row *a = whole(r, population, against ? against : profile, quantity, "arith");
            if (!nonzero(s) || !nonzero(a))
                continue;
            c.above += s->lo > a->hi;
            c.below += s->hi < a->lo;
            c.level += s->lo <= a->hi && s->hi >= a->lo;
            if (s->median / a->median > c.most) {
                c.most = s->median / a->median;
                c.at = s;
            }
        }
    return c;
}

/* Storage beside arithmetic. */
static void finding_contest(const report *r, const char *quantity, FILE *f)
{
    const char *against = yardstick(r);
    contest c = compare(r, quantity, against);
    size_t n = c.above + c.below + c.level;
    if (n == 0) {
        fprintf(f, "There is no pair of a storage and an arithmetic error of %s to compare.",
                quantity_words(quantity));
        return;
    }
    fprintf(f, "Beside the arithmetic error of ");
    if (against)
        fprintf(f, "%s", name(against).s);
    else
        fprintf(f, "the same profile");
    fprintf(f,
            ", the storage error of %s is larger in %zu, smaller in %zu and not told apart (intervals "
            "overlap) in %zu of %s; ",
            quantity_words(quantity), c.above, c.below, c.level,
            counted((double)n, "pair of population and profile", "pairs of population and profile").s);
    fprintf(f, "at most it is %s times as large (%s on %s).", scientific(c.most).s, name(c.at->profile).s,
            name(c.at->population).s);
}

/* ---- Growth in words ---- */

static bool holds(double lo, double hi, double x)
{
    return lo <= x && x <= hi;
}

/* What a slope with its interval says: for sentences ("grows ...") and for tables. */
typedef struct reading {
    const char *words, *brief;
} reading;

static reading read_slope(const row *g)
{
    if (isnan(g->slope))
        return (reading){"over too few positions to tell", "flat part only"};
    if (g->slope_hi - g->slope_lo > 0.5)
        return (reading){"at a rate too uncertain to name", "uncertain"};
    if (holds(g->slope_lo, g->slope_hi, 1))
        return (reading){"in proportion to position", "proportional"};
    if (holds(g->slope_lo, g->slope_hi, 0.5))
        return (reading){"as the square root of position", "square root"};
    if (holds(g->slope_lo, g->slope_hi, 0) || fabs(g->slope) < 0.05)
        return (reading){"not at all", "flat"};
    if (g->slope_hi < 0)
        return (reading){"downwards", "falls"};
    return g->slope_lo > 1
               ? (reading){"faster than in proportion to position", "faster than proportional"}
               : (reading){"more slowly than in proportion to position", "slower than proportional"};
}

/* Whether the summary knows gamma_eff where this growth was measured. */
static bool memory_known(const report *r, const row *g)
{
    const row *x = whole(r, g->population, g->profile, g->quantity, g->kind);
    return x && x->gamma_eff > 0;
}

/* The last window of positions in which the error of this row was measured, or NULL. */
static const row *last_window(const report *r, const row *g)
{
    const row *last = NULL;
    for (size_t i = 0; i < r->summary.n; i++) {
        const row *x = &r->summary.row[i];
        if (measured(x) && x->from > 1 && x->from < x->to && (!last || x->to > last->to) &&
            same(x->kind, g->kind) && same(x->quantity, g->quantity) && same(x->profile, g->profile) &&
            same(x->population, g->population))
            last = x;
    }
    return last;
}

/* One clause: does the error of this row compound? */
static void say_growth(const report *r, const row *g, FILE *f)
{
    bool slope = !isnan(g->slope), plateau = !isnan(g->plateau);
    bool rises = slope && g->slope > 0.05 && g->slope_lo > 0;
    if (slope)
        fprintf(f, "the error under %s grows %s (slope %s, n = %s)", name(g->profile).s, read_slope(g).words,
                plain(g->slope, g->slope_lo, g->slope_hi).s, count(g->n).s);
    else
        fprintf(f, "the error under %s has too few positions within the memory for a slope",
                name(g->profile).s);
    if (plateau)
        fprintf(f, " and %s at %s beyond three memory lengths%s", rises ? "then stays" : "lies",
                span(g->plateau, g->plateau_lo, g->plateau_hi).s,
                g->plateau_lo == g->plateau_hi ? " (one head)" : "");
    else if (rises)
        fprintf(f, "%s",
                memory_known(r, g) ? ", and no plateau was reached in the lengths measured"
                                   : "; the memory is not known, so that no plateau can be told");
    const row *x = plateau ? NULL : last_window(r, g);
    if (x)
        fprintf(f, "; at positions %s to %s it is %s, n = %s", count(x->from).s, count(x->to).s,
                span(x->median, x->lo, x->hi).s, count(x->n).s);
}

/* The storage profile that tells the growth of a population: the first with a slope and plateau, else with
 * either. */
static const row *telling(const report *r, const char *population, const char *quantity)
{
    const row *best = NULL;
    int most = 0;
    for (size_t i = 0; i < r->profiles.n; i++) {
        const row *g = grown(r, population, r->profiles.name[i], quantity, "storage");
        int score = g ? !isnan(g->slope) + !isnan(g->plateau) : 0;
        if (score > most) {
            most = score;
            best = g;
        }
    }
    return best;
}

/* Does storage error compound with length? By o, which shows the recurrence; else by what there is. */
static void finding_growth(const report *r, FILE *f)
{
    static const char *const by[] = {"o", "state", "y"};
    for (int q = 0; q < OUTPUTS; q++) {
        size_t said = 0;
        for (size_t p = 0; p < r->populations.n && said < LISTED; p++) {
            const row *g = telling(r, r->populations.name[p], by[q]);
            if (!g)
                continue;
            if (said++ == 0)
                fprintf(f, "With length, the storage error of %s behaves so: ", quantity_words(by[q]));
            else
                fprintf(f, "; ");
            fprintf(f, "on %s (%s keys) ", name(g->population).s, *g->keys ? g->keys : "unnamed");
            say_growth(r, g, f);
        }
        if (said > 0) {
            fprintf(f, ".");
            return;
        }
    }
    fprintf(f, "Whether storage error grows with length cannot be said: too few windows of positions have an "
               "error above zero.");
}

/* The largest total error of each population. */
static void finding_worst(const report *r, const char *quantity, FILE *f)
{
    size_t said = 0;
    for (size_t p = 0; p < r->populations.n && said < LISTED; p++) {
        const row *x = largest(r, r->populations.name[p], quantity, "total");
        if (!x)
            continue;
        if (said++ == 0)
            fprintf(f, "The largest total error of %s is", quantity_words(quantity));
        fprintf(f, "%s %s under %s on %s (n = %s)", said > 1 ? ";" : "", span(x->median, x->lo, x->hi).s,
                name(x->profile).s, name(x->population).s, count(x->n).s);
    }
    if (said > 0)
        fprintf(f, ".");
    else
        fprintf(f, "There is no total error of %s to rank.", quantity_words(quantity));
}

/* The profile that rounds nothing it stores must have no storage error at all. */
static void finding_control(const report *r, FILE *f)
{
    size_t n = 0, broken = 0;
    double cells = 0;
    for (size_t i = 0; i < r->summary.n; i++) {
        const row *x = &r->summary.row[i];
        if (!same(x->profile, "fp32") || !same(x->kind, "storage") || !measured(x))
            continue;
        n++;
        cells += x->n;
        broken += x->median != 0 || x->lo != 0 || x->hi != 0;
    }
    if (n == 0)
        fprintf(f, "There is no profile `fp32` here, which would be the control.");
    else if (broken == 0)
        fprintf(f,
                "The control holds: the storage error of `fp32`, which rounds nothing it stores, is exactly "
                "zero in all %s (%s "
                "measurements).",
                counted((double)n, "row", "rows").s, count(cells).s);
    else
        fprintf(f,
                "THE CONTROL FAILS: the storage error of `fp32`, which rounds nothing it stores, is above "
                "zero in %zu of %s.",
                broken, counted((double)n, "row", "rows").s);
}

/* ---- Theory ---- */

static bool near_one(double ratio)
{
    return ratio >= 0.9 && ratio <= 1.1;
}

/* Whether an earlier row is the same measurement under another profile's name, as two profiles that store the
 * same. */
static bool repeated(const report *r, const row *x)
{
    for (size_t i = 0; i < r->profiles.n && !same(r->profiles.name[i], x->profile); i++) {
        const row *y = whole(r, x->population, r->profiles.name[i], x->quantity, x->kind);
        if (measured(y) && y->median == x->median && y->predicted == x->predicted)
            return true;
    }
    return false;
}

/* Rows at the largest T that have a prediction. */
static const row *next_predicted(const report *r, size_t *at)
{
    while (*at < r->n_whole) {
        const row *x = r->whole[(*at)++];
        if (measured(x) && !isnan(x->ratio) && !repeated(r, x))
            return x;
    }
    return NULL;
}

static text factor(double ratio)
{
    text t;
    snprintf(t.s, sizeof t.s, ratio >= 1 ? "%.30s times the prediction" : "the prediction divided by %.30s",
             scientific(ratio >= 1 ? ratio : 1 / ratio).s);
    return t;
}

static void finding_theory(const report *r, FILE *f)
{
    size_t n = 0, good = 0, sure = 0, at = 0;
    const row *worst = NULL;
    for (const row *x; (x = next_predicted(r, &at)) != NULL; n++) {
        good += near_one(x->ratio);
        sure += near_one(x->ratio_lo) && near_one(x->ratio_hi);
        if (!worst || fabs(log(x->ratio)) > fabs(log(worst->ratio)))
            worst = x;
    }
    if (n == 0) {
        fprintf(f, "Theory predicts none of the errors measured here.");
        return;
    }
    fprintf(f,
            "Of %s that theory predicts at the largest lengths, %zu lie within 10 %% of it by the median "
            "ratio of measured to "
            "predicted, %zu by its whole interval",
            counted((double)n, "error", "errors").s, good, sure);
    if (!near_one(worst->ratio))
        fprintf(f, "; the farthest off is the %s error of %s under %s on %s, with a ratio of %s",
                kind_words(worst->kind), quantity_words(worst->quantity), name(worst->profile).s,
                name(worst->population).s, plain(worst->ratio, worst->ratio_lo, worst->ratio_hi).s);
    fprintf(f, ".");
}

/* What could not be given as a number; small samples. */
static void finding_quality(const report *r, FILE *f)
{
    double n = 0, below = 0, zero = 0, infinite = 0, least = INFINITY;
    for (size_t i = 0; i < r->summary.n; i++) {
        const row *x = &r->summary.row[i];
        n += x->n;
        below += x->n_below;
        zero += x->n_zero;
        infinite += x->n_nonfinite;
        if (x->n > 0)
            least = fmin(least, x->n);
    }
    fprintf(f,
            "Of %s measurements %s lie below what the reference can tell from zero, %s had a reference of "
            "zero, %s were not finite",
            count(n + below + zero + infinite).s, count(below).s, count(zero).s, count(infinite).s);
    if (least < 20)
        fprintf(f, "; the smallest sample is n = %s, so that intervals there are rough", count(least).s);
    fprintf(f, ".");
}

/* ---- Outputs of others, read from files ---- */

static bool is_recorded(const row *x)
{
    return measured(x) && same(x->mode, "recorded");
}

static size_t recorded_in(const report *r, const char *population, const char *quantity)
{
    size_t n = 0;
    for (size_t i = 0; i < r->profiles.n; i++)
        n += is_recorded(whole(r, population, r->profiles.name[i], quantity, "total"));
    return n;
}

/* The quantity in which most was recorded, or NULL. */
static const char *recorded_quantity(const report *r)
{
    const char *best = NULL;
    size_t most = 0;
    for (int q = 0; q < OUTPUTS; q++) {
        size_t n = 0;
        for (size_t p = 0; p < r->populations.n; p++)
            n += recorded_in(r, r->populations.name[p], outputs[q]);
        if (n > most) {
            most = n;
            best = outputs[q];
        }
    }
    return best;
}

/* "`a` 0.1 % [..], `b` 0.2 % [..]": totals of the profiles whose outputs were recorded, or of the others. */
static size_t say_totals(const report *r, const char *population, const char *quantity, bool recorded,
                         FILE *f)
{
    size_t n = 0;
    for (size_t i = 0; i < r->profiles.n; i++) {
        const row *x = whole(r, population, r->profiles.name[i], quantity, "total");
        if (!measured(x) || is_recorded(x) != recorded)
            continue;
        fprintf(f, "%s%s %s", n++ ? ", " : "", name(x->profile).s, entry(x).s);
    }
    return n;
}

static void finding_recorded(const report *r, FILE *f)
{
    const char *quantity = recorded_quantity(r);
    size_t said = 0;
    fprintf(f, "Recorded outputs differ from the truth in %s by", quantity_words(quantity));
    for (size_t p = 0; p < r->populations.n && said < LISTED; p++) {
        const char *population = r->populations.name[p];
        if (recorded_in(r, population, quantity) == 0)
            continue;
        fprintf(f, "%s ", said++ ? ";" : "");
        say_totals(r, population, quantity, true, f);
        fprintf(f, " on %s (the profiles computed here: ", name(population).s);
        fprintf(f, "%sn = %s)", say_totals(r, population, quantity, false, f) ? ", " : "none, ",
                count(any_whole(r, population, quantity)->n).s);
    }
    fprintf(f, ".");
}

/* ---- All findings, in order ---- */

enum { RECORDED, COST_MAIN, COST_O, CONTEST, GROWTH, WORST, THEORY, CONTROL, QUALITY, FINDINGS };

/* Whether finding i applies. */
static bool applies(const report *r, int i)
{
    const char *quantity = main_quantity(r);
    if (i == RECORDED)
        return recorded_quantity(r) != NULL;
    if (i == COST_MAIN || i == CONTEST || i == WORST)
        return quantity != NULL;
    return i != COST_O || (has_quantity(r, "o") && !same(quantity, "o"));
}

static void put_finding(const report *r, int i, FILE *f)
{
    const char *quantity = main_quantity(r);
    if (i == RECORDED)
        finding_recorded(r, f);
    else if (i == COST_MAIN || i == COST_O)
        finding_cost(r, i == COST_O ? "o" : quantity, f);
    else if (i == CONTEST)
        finding_contest(r, quantity, f);
    else if (i == GROWTH)
        finding_growth(r, f);
    else if (i == WORST)
        finding_worst(r, quantity, f);
    else if (i == THEORY)
        finding_theory(r, f);
    else if (i == CONTROL)
        finding_control(r, f);
    else
        finding_quality(r, f);
}

/* ---- Manifest ---- */

static const char *manifest_text(const report *r, const char *section, const char *key)
{
    const json_t *x = section ? json_object_get(r->manifest, section) : r->manifest;
    const char *s = json_string_value(json_object_get(x, key));
    return s ? s : "";
}

static gdn_status read_manifest(report *r, gdn_error *err)
{
    char path[PATH_MAX];
    json_error_t problem;
    gdn_status status = gdn_results_file(r->dir, "manifest.json", err);
    if (status)
        return status;
    snprintf(path, sizeof path, "%s/manifest.json", r->dir);
    r->manifest = json_load_file(path, 0, &problem);
    if (!r->manifest)
        return gdn_fail(err, GDN_BAD_INPUT, "%.400s: line %d: %s", path, problem.line, problem.text);
    if (!json_is_object(r->manifest))
        return gdn_fail(err, GDN_BAD_INPUT, "%.400s: line 1: an object is expected", path);
    return GDN_OK;
}

/* A JSON value on one line; to be freed. */
static char *shown(const json_t *x)
{
    if (json_is_string(x))
        return strdup(json_string_value(x));
    return json_dumps(x, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6) | JSON_COMPACT);
}

/* ---- Sections ---- */

__attribute__((format(printf, 2, 3))) static void put(const report *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(r->md, format, args);
    va_end(args);
}

static void section_head(const report *r)
{
    const char *question = manifest_text(r, "experiment", "question");
    put(r, "# %s\n\n", name(manifest_text(r, "experiment", "name")).s);
    put(r, "**Question.** ");
    put_sentence(r->md, *question ? question : "The experiment file states none.");
    put(r, "\n\n## Answer\n\n");
    for (int i = 0; i < FINDINGS; i++)
        if (applies(r, i)) {
            put(r, "- ");
            put_finding(r, i, r->md);
            put(r, "\n");
        }
    put(r, "\n");
}

static void section_terms(const report *r)
{
    put(r, "## How to read it\n\n"
           "| term | meaning |\n|:--|:--|\n"
           "| storage | error of exact arithmetic on the parameters as stored, against exact arithmetic on "
           "the true ones |\n"
           "| arithmetic | error of the computation as it is done, against exact arithmetic on the same "
           "stored parameters |\n"
           "| total | storage and arithmetic together, exactly their sum |\n"
           "| relative L2 | norm of the error over norm of the truth, over the positions and channels of one "
           "head |\n"
           "| bias | the part of the error that follows the truth, with its sign; below zero the result is "
           "too small |\n"
           "| n, interval | heads x seeds; every number is their median, in brackets its 95 %% bootstrap "
           "interval |\n"
           "| o, y, state, g | output of the recurrence, of the layer after out_norm, the recurrent state, "
           "the log decay of one "
           "step |\n"
           "| memory | 1 / gamma_eff tokens: how long the recurrence remembers, by decay and by the delta "
           "rule |\n\n");
}

static const char *summary_of(const char *profile)
{
    for (int i = 0; i < gdn_profile_count; i++) {
        gdn_profile p = gdn_profile_builtin(i);
        if (same(p.name, profile))
            return p.summary;
    }
    return "defined in the experiment file, or read from a file of results";
}

static void section_profiles(const report *r)
{
    put(r, "## Profiles\n\n| profile | what it stores and computes |\n|:--|:--|\n");
    for (size_t i = 0; i < r->profiles.n; i++)
        put(r, "| %s | %s |\n", name(r->profiles.name[i]).s, summary_of(r->profiles.name[i]));
    put(r, "\n");
}

/* The total as numbers of its own: bias, ulps, bits; n. */
static void put_total(const report *r, const row *x)
{
    if (!x || !measured(x)) {
        put(r, " – | – | – | %s |\n", x ? count(x->n).s : "–");
        return;
    }
    put(r, " %s | %.3g | ", span(x->bias, x->bias_lo, x->bias_hi).s, x->max_ulp);
    if (x->median > 0)
        put(r, "%.1f", -log2(x->median));
    else
        put(r, "–");
    put(r, " | %s", count(x->n).s);
    if (x->n_nonfinite > 0)
        put(r, " (%s not finite)", count(x->n_nonfinite).s);
    if (x->n_below > 0)
        put(r, " (%s below reference)", count(x->n_below).s);
    put(r, " |\n");
}

/* All profiles of a population in one quantity. */
static void table_whole(const report *r, const char *population, const char *quantity)
{
    const row *shared = any_whole(r, population, quantity);
    if (!shared)
        return;
    put(r, "Errors of %s, positions 1 to %s:\n\n", quantity_words(quantity), count(shared->to).s);
    put(r, "| profile | storage | arithmetic | total | bias of total | max ulp | bits | n |\n"
           "|:--|--:|--:|--:|--:|--:|--:|--:|\n");
    for (size_t i = 0; i < r->profiles.n; i++) {
        const char *profile = r->profiles.name[i];
        const row *s = whole(r, population, profile, quantity, "storage"),
                  *a = whole(r, population, profile, quantity, "arith"),
                  *t = whole(r, population, profile, quantity, "total");
        if (!s && !a && !t)
            continue;
        put(r, "| %s | %s | %s | %s |", name(profile).s, entry(s).s, entry(a).s, entry(t).s);
        put_total(r, t ? t : s);
    }
    put(r, "\n");
}

static void section_results(const report *r)
{
    static const char *const quantities[] = {"y", "o", "state", "g"};
    put(r, "## Errors at the largest length\n\n"
           "Relative L2 error, median [95 %% interval]. “Exactly 0” is a difference of zero, not a rounded "
           "one; “below "
           "reference” is an error that the reference cannot tell from zero. All positions are pooled, so "
           "that where the signal fades (needle keys) the early ones decide; the figures against position "
           "show the late ones. bits = −log2 of the total.\n\n");
    for (size_t p = 0; p < r->populations.n; p++) {
        const char *population = r->populations.name[p];
        const row *x = NULL;
        for (int q = 0; q < 4 && !x; q++)
            x = any_whole(r, population, quantities[q]);
        if (!x)
            continue;
        put(r, "### %s\n\n", name(population).s);
        put(r, "Keys: %s; d_k = %.0f, d_v = %.0f; memory of the median head ",
            *x->keys ? x->keys : "not named", x->dk, x->dv);
        if (x->gamma_eff > 0)
            put(r, "%.3g tokens.\n\n", 1 / x->gamma_eff);
        else
            put(r, "not known.\n\n");
        bool any = any_whole(r, population, "y") || any_whole(r, population, "o");
        for (int q = 0; q < 4; q++)
            if (q < 2 || !any)
                table_whole(r, population, quantities[q]);
    }
}

static void section_theory(const report *r)
{
    size_t at = 0, n = 0;
    put(r, "## Measured against predicted\n\n"
           "The prediction was computed from the parameters before the run. Ratio: median of measured over "
           "predicted, head by head. Verdict: “within 10 %%” when the whole interval is, “median within 10 "
           "%%” when only the median "
           "is. Profiles that repeat a measurement are left out.\n\n");
    for (const row *x; (x = next_predicted(r, &at)) != NULL; n++) {
        if (n == 0)
            put(r, "| population | profile | error | measured | predicted | ratio | n | verdict |\n"
                   "|:--|:--|:--|--:|--:|--:|--:|:--|\n");
        put(r, "| %s | %s | %s, %s | %s | %s | %s | %s | ", name(x->population).s, name(x->profile).s,
            kind_words(x->kind), x->quantity, entry(x).s, amount(x->predicted).s,
            plain(x->ratio, x->ratio_lo, x->ratio_hi).s, count(x->n).s);
        if (near_one(x->ratio_lo) && near_one(x->ratio_hi))
            put(r, "within 10 %% |\n");
        else if (near_one(x->ratio))
            put(r, "median within 10 %% |\n");
        else
            put(r, "%s%s |\n", factor(x->ratio).s,
                holds(x->ratio_lo, x->ratio_hi, 1) ? "; the interval holds 1" : "");
    }
    put(r, n ? "\n" : "No measured error has a prediction.\n\n");
}

/* One line of the growth table, if there is something to say. */
static bool put_growth(const report *r, const row *g, bool head)
{
    if (!g || (isnan(g->slope) && isnan(g->plateau)))
        return false;
    if (head)
        put(r, "| population | keys | error | profile | slope | plateau | n | growth "
               "|\n|:--|:--|:--|:--|--:|--:|--:|:--|\n");
    put(r, "| %s | %s | %s, %s | %s | %s | %s | %s | %s |\n", name(g->population).s, g->keys,
        kind_words(g->kind), g->quantity, name(g->profile).s, plain(g->slope, g->slope_lo, g->slope_hi).s,
        span(g->plateau, g->plateau_lo, g->plateau_hi).s, count(g->n).s, read_slope(g).brief);
    return true;
}

/* Whether an earlier profile has the same recipe, whose arithmetic serves for both. */
static bool recipe_seen(const report *r, const char *population, size_t profile, const char *quantity)
{
    const row *x = grown(r, population, r->profiles.name[profile], quantity, "arith");
    for (size_t i = 0; i < profile && x; i++) {
        const row *y = grown(r, population, r->profiles.name[i], quantity, "arith");
        if (y && *x->recipe && same(x->recipe, y->recipe))
            return true;
    }
    return false;
}

static void section_growth(const report *r)
{
    static const char *const kinds[] = {"storage", "arith"}, *const quantities[] = {"o", "y"};
    size_t n = 0;
    put(r, "## Growth with length\n\n"
           "Slope: of log error against log position over windows that end within the memory. Plateau: error "
           "in windows beyond three "
           "memories. A dash: too few windows. Growth is called proportional, square root or flat when the "
           "interval of the slope holds "
           "1, 1/2 or 0, in this order, and uncertain when that interval is wider than 1/2. Arithmetic is "
           "listed once a recipe.\n\n");
    for (size_t p = 0; p < r->populations.n; p++)
        for (int k = 0; k < 4; k++)
            for (size_t i = 0; i < r->profiles.n; i++) {
                const char *population = r->populations.name[p], *kind = kinds[k / 2],
                           *quantity = quantities[k % 2];
                if (k / 2 == 0 || !recipe_seen(r, population, i, quantity))
                    n += put_growth(r, grown(r, population, r->profiles.name[i], quantity, kind), n == 0);
            }
    put(r, n ? "\n" : "No error was measured over enough windows for a slope or a plateau.\n\n");
}

static bool figure_path(const report *r, const gdn_figure *figure, const char *type, char *path, size_t size)
{
    int n = snprintf(path, size, "%s/figures/%s.%s", r->dir, figure->name, type);
    return n > 0 && (size_t)n < size && access(path, R_OK) == 0;
}

static void section_figures(const report *r)
{
    char path[PATH_MAX];
    int n = 0;
    put(r, "## Figures\n\n");
    for (int i = 0; i < gdn_figure_count; i++) {
        const gdn_figure *figure = &gdn_figures[i];
        if (!figure_path(r, figure, "svg", path, sizeof path))
            continue;
        put(r, "![Figure %d: %s](figures/%s.svg)\n\n", ++n, figure->caption, figure->name);
        put(r,
            "**Figure %d.** %s. Medians with 95 %% bootstrap intervals, drawn from %s by `plots/%s.gp`; for "
            "print: `figures/%s.pdf`. %s.\n\n",
            n, figure->caption, figure->csv, figure->script, figure->name, r->provenance);
    }
    if (n == 0)
        put(r, "None are drawn yet: `gdnprec plot` draws them, then make the report again.\n\n");
}

/* How many rows each rung of the reference served, and its largest uncertainty. */
static void section_reference(const report *r)
{
    static const char *const rungs[] = {"mpfr", "dd", "fp64"};
    put(r, "## Reference\n\n| rung | rows of summary.csv | largest uncertainty (relative L2) "
           "|\n|:--|--:|--:|\n");
    for (int k = 0; k < 3; k++) {
        double n = 0, most = 0;
        for (size_t i = 0; i < r->summary.n; i++) {
            const row *x = &r->summary.row[i];
            if (!same(x->reference, rungs[k]))
                continue;
            n++;
            most = fmax(most, x->uncertainty);
        }
        if (n > 0)
            put(r, "| %s | %s | %.2e |\n", rungs[k], count(n).s, most);
    }
    put(r, "\nA number is given only where it is 1,000 times its reference's uncertainty. ");
    finding_quality(r, r->md);
    put(r, "\n\n");
}

static void put_fact(const report *r, const char *section, const char *key, const json_t *x)
{
    char *value = shown(x);
    put(r, "| %s%s%s | %s |\n", section, *section ? ", " : "", name(key).s, value ? name(value).s : "?");
    free(value);
}

static void section_provenance(const report *r)
{
    const char *key, *inner;
    json_t *value, *x;
    put(r, "## Provenance\n\n| what | value |\n|:--|:--|\n");
    json_object_foreach(r->manifest, key, value)
    {
        if (same(key, "files"))
            continue;
        if (!json_is_object(value))
            put_fact(r, "", key, value);
        else
            json_object_foreach(value, inner, x) if (!same(inner, "text") && !same(inner, "question"))
                put_fact(r, key, inner, x);
    }
    put(r, "\n");
}

/* Is the file still what the manifest says? */
static const char *checked(const report *r, const char *file, const char *sum)
{
    char path[PATH_MAX], now[65];
    gdn_error ignored;
    if (snprintf(path, sizeof path, "%s/%s", r->dir, file) >= (int)sizeof path ||
        gdn_file_sha256(path, now, &ignored) != GDN_OK)
        return "missing";
    return same(now, sum) ? "as listed" : "CHANGED since";
}

static void section_files(const report *r)
{
    const char *file;
    json_t *sum;
    put(r, "## Files\n\n| file | sha256 in the manifest | on disk |\n|:--|:--|:--|\n");
    json_object_foreach(json_object_get(r->manifest, "files"), file, sum)
    {
        const char *hex = json_is_string(sum) ? json_string_value(sum) : "";
        put(r, "| %s | `%.64s` | %s |\n", name(file).s, hex, checked(r, file, hex));
    }
    put(r, "\n");
}

/* Text as an indented block, which no mark inside can end. */
static void put_block(const report *r, const char *s)
{
    while (*s) {
        size_t n = strcspn(s, "\n");
        put(r, "    %.*s\n", (int)n, s);
        s += n + (s[n] == '\n');
    }
    put(r, "\n");
}

static void section_reproduce(const report *r)
{
    const char *experiment = manifest_text(r, "experiment", "name"),
               *content = manifest_text(r, "experiment", "text"),
               *commit = manifest_text(r, "program", "commit"), *command = manifest_text(r, NULL, "command");
    json_t *dirty = json_object_get(json_object_get(r->manifest, "program"), "dirty");
    put(r, "## How to reproduce\n\n");
    put_block(r, "make");
    put(r, "at commit `%.40s`%s, then\n\n", *commit ? commit : "unknown",
        json_is_true(dirty) || json_integer_value(dirty)
            ? " (the tree had uncommitted changes, which the commit does not hold)"
            : "");
    put(r, "    %s\n    gdnprec plot %s\n    gdnprec report %s\n\n",
        *command ? command : "gdnprec run EXPERIMENT", experiment, experiment);
    put(r, "with the same `--results` where one was given. Rows whose mode is `portable` come out the same "
           "bit for bit on every "
           "CPU, compiler and thread count.\n\n");
    if (*content) {
        put(r, "The experiment file:\n\n");
        put_block(r, content);
    }
    put(r, "---\n\n%s\n", r->provenance);
}

static void compose(const report *r)
{
    section_head(r);
    section_figures(r);
    section_results(r);
    section_growth(r);
    section_theory(r);
    section_reference(r);
    section_terms(r);
    section_profiles(r);
    section_provenance(r);
    section_files(r);
    section_reproduce(r);
}

/* ---- HTML ---- */

static const char html_style[] =
    ":root{color-scheme:light dark;--ink:#1a1a1a;--paper:#fff;--rule:#d0d0d0;--soft:#f5f5f3;--grey:#5c5c5c}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6e6e6;--paper:#161616;--rule:#444;--soft:#222;--grey:#"
    "a8a8a8}}\n"
    "html{background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\n"
    "body{max-width:82rem;margin:0 auto;padding:1.5rem}\n"
    "p,li{max-width:52rem}\n"
    "h1{line-height:1.2;margin:.5rem 0 1rem}\n"
    "h2{margin:2.5rem 0 .8rem;border-bottom:1px solid var(--rule);padding-bottom:.2rem}\n"
    "table{display:block;overflow-x:auto;border-collapse:collapse;font-size:.8rem;margin:.8rem 0 1.4rem;"
    "font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.25rem .5rem;border-bottom:1px solid var(--rule);text-align:left;vertical-align:top}\n"
    "td[align=right],th[align=right]{text-align:right;white-space:nowrap}\n"
    "th{border-bottom:2px solid var(--ink)}\n"
    "td code{white-space:nowrap}\n"
    "code,pre{font-family:ui-monospace,monospace;font-size:.92em}\n"
    "pre{background:var(--soft);padding:.8rem;overflow-x:auto}\n"
    "figure{margin:1.2rem 0 .4rem;background:#fff;border:1px solid var(--rule);overflow-x:auto}\n"
    "figure svg{display:block;max-width:100%;height:auto;margin:0 auto}\n"
    "hr{border:0;border-top:1px solid var(--rule)}\n"
    "@media print{html{font-size:10pt;background:#fff;color:#000}body{max-width:none;padding:0}"
    "table{display:table}figure{border:0;break-inside:avoid}figure "
    "svg{max-height:23cm;width:auto}h2,h3{break-after:avoid}tr{break-inside:avoid}}"
    "\n";

static void put_escaped(FILE *f, const char *s)
{
    for (; *s; s++) {
        const char *mark = strchr("&<>\"", *s);
        static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;"};
        if (mark)
            fputs(entities[mark - "&<>\""], f);
        else
            fputc(*s, f);
    }
}

/* The whole file as a string; NULL when it cannot be had. */
static char *file_text(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *s = NULL, chunk[65536];
    size_t room = 0;
    FILE *to = f ? open_memstream(&s, &room) : NULL;
    size_t n;
    while (to && (n = fread(chunk, 1, sizeof chunk, f)) > 0)
        fwrite(chunk, 1, n, to);
    if (to)
        fclose(to);
    if (f)
        fclose(f);
    return s;
}

/*
 * Copy an SVG for use inside HTML: from <svg on, without namespace declarations (HTML knows them), and with
 * `prefix` before every id, since several figures share one page.
 */
static void put_svg(FILE *f, const char *svg, const char *prefix)
{
    static const char *const before_id[] = {" id='", " id=\"", "href='#", "href=\"#",
                                            "url(#", "url('#", "url(\"#"};
    const char *p = strstr(svg, "<svg");
    while (p && *p) {
        size_t skipped = 0;
        if (strncmp(p, "xmlns", 5) == 0) {
            const char *open = strpbrk(p, "'\""), *close = open ? strchr(open + 1, *open) : NULL;
            skipped = close ? (size_t)(close + 1 - p) : 0;
        }
        p += skipped;
        for (size_t i = 0; i < sizeof before_id / sizeof before_id[0] && !skipped; i++) {
            size_t n = strlen(before_id[i]);
            if (strncmp(p, before_id[i], n) == 0) {
                fprintf(f, "%s%s-", before_id[i], prefix);
                p += n;
                skipped = n;
            }
        }
        if (!skipped)
            fputc(*p++, f);
    }
}

/* Replace the paragraph around an image by the figure itself. */
static gdn_status put_figure(const report *r, cmark_node *image, gdn_error *err)
{
    char path[PATH_MAX], *html = NULL, prefix[24];
    size_t size = 0;
    static unsigned serial;
    const char *url = cmark_node_get_url(image);
    cmark_node *paragraph = cmark_node_parent(image), *label = cmark_node_first_child(image);
    if (snprintf(path, sizeof path, "%s/%s", r->dir, url) >= (int)sizeof path)
        return GDN_OK;
    char *svg = file_text(path);
    FILE *f = svg ? open_memstream(&html, &size) : NULL;
    if (!f) {
        free(svg);
        return gdn_fail(err, GDN_BAD_INPUT, "%.400s: cannot be read; `gdnprec plot` draws it", path);
    }
    snprintf(prefix, sizeof prefix, "f%u", ++serial);
    fprintf(f, "<figure role=\"img\" aria-label=\"");
    put_escaped(f, label && cmark_node_get_literal(label) ? cmark_node_get_literal(label) : "figure");
    fprintf(f, "\">\n");
    put_svg(f, svg, prefix);
    fprintf(f, "</figure>\n");
    fclose(f);
    free(svg);
    cmark_node *block = cmark_node_new(CMARK_NODE_CUSTOM_BLOCK);
    cmark_node_set_on_enter(block, html);
    cmark_node_replace(paragraph, block);
    cmark_node_free(paragraph);
    free(html);
    return GDN_OK;
}

/* The first image of the document, or NULL. */
static cmark_node *first_image(cmark_node *root)
{
    cmark_iter *at = cmark_iter_new(root);
    cmark_node *found = NULL;
    while (!found && cmark_iter_next(at) != CMARK_EVENT_DONE)
        if (cmark_node_get_type(cmark_iter_get_node(at)) == CMARK_NODE_IMAGE)
            found = cmark_iter_get_node(at);
    cmark_iter_free(at);
    return found;
}

/* Markdown to the body of a page; to be freed. */
static gdn_status render(const report *r, const char *md, char **body, gdn_error *err)
{
    cmark_gfm_core_extensions_ensure_registered();
    cmark_parser *parser = cmark_parser_new(CMARK_OPT_DEFAULT);
    cmark_parser_attach_syntax_extension(parser, cmark_find_syntax_extension("table"));
    cmark_parser_feed(parser, md, strlen(md));
    cmark_node *root = cmark_parser_finish(parser);
    gdn_status status = GDN_OK;
    for (cmark_node *image; !status && (image = first_image(root)) != NULL;)
        status = put_figure(r, image, err);
    *body = status ? NULL
                   : cmark_render_html(root, CMARK_OPT_DEFAULT, cmark_parser_get_syntax_extensions(parser));
    cmark_node_free(root);
    cmark_parser_free(parser);
    return status;
}

static gdn_status write_text(const char *dir, const char *file, const char *content, gdn_error *err)
{
    char path[PATH_MAX];
    gdn_outfile o;
    if (snprintf(path, sizeof path, "%s/%s", dir, file) >= (int)sizeof path)
        return gdn_fail(err, GDN_BAD_INPUT, "%.80s...: the path is too long", dir);
    gdn_status status = gdn_outfile_open(&o, path, err);
    if (!status) {
        fputs(content, o.f);
        status = gdn_outfile_close(&o, GDN_OK, err);
    }
    return status;
}

static gdn_status write_html(const report *r, const char *md, gdn_error *err)
{
    char *body = NULL, *page = NULL;
    size_t size = 0;
    gdn_status status = render(r, md, &body, err);
    FILE *f = status ? NULL : open_memstream(&page, &size);
    if (f) {
        fprintf(f,
                "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>gdnprec: ");
        put_escaped(f, manifest_text(r, "experiment", "name"));
        fprintf(f, "</title>\n<style>\n%s</style>\n</head>\n<body>\n%s</body>\n</html>\n", html_style, body);
        status = fclose(f) ? gdn_no_memory(err, "report.html") : write_text(r->dir, "report.html", page, err);
    } else if (!status) {
        status = gdn_no_memory(err, "report.html");
    }
    free(body);
    free(page);
    return status;
}

/* ---- The plain summary ---- */

/* Markdown of a finding without its code marks and escapes. */
static void put_plain(FILE *f, const char *s)
{
    for (; *s; s++)
        if (*s != '`' && !(*s == '\\' && ispunct((unsigned char)s[1])))
            fputc(*s, f);
}

static gdn_status write_summary(const report *r, FILE *f, gdn_error *err)
{
    fprintf(f, "%s: %s\n", manifest_text(r, "experiment", "name"),
            manifest_text(r, "experiment", "question"));
    for (int i = 0; i < FINDINGS; i++) {
        char *s = NULL;
        size_t size = 0;
        FILE *to = applies(r, i) ? open_memstream(&s, &size) : NULL;
        if (!to)
            continue;
        put_finding(r, i, to);
        if (fclose(to))
            return gdn_no_memory(err, "a summary");
        fprintf(f, "- ");
        put_plain(f, s);
        fprintf(f, "\n");
        free(s);
    }
    fprintf(f, "Report: %s/report.html (and .md); figures: %s/figures; numbers: %s/summary.csv\n", r->dir,
            r->dir, r->dir);
    return GDN_OK;
}

/* ---- Public ---- */

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static gdn_status load(report *r, gdn_error *err)
{
    gdn_status status =
        read_rows(r->dir, "summary.csv", summary_fields, COUNT(summary_fields), &r->summary, err);
    if (!status)
        status = read_rows(r->dir, "growth.csv", growth_fields, COUNT(growth_fields), &r->growth, err);
    if (!status)
        status = read_manifest(r, err);
    if (!status)
        status = gdn_provenance_line(r->dir, &r->provenance, err);
    if (!status)
        status = collect_names(r, err);
    return status ? status : collect_whole(r, err);
}

static gdn_status write_report(report *r, FILE *summary, gdn_error *err)
{
    char *md = NULL;
    size_t size = 0;
    r->md = open_memstream(&md, &size);
    if (!r->md)
        return gdn_no_memory(err, "report.md");
    compose(r);
    gdn_status status =
        fclose(r->md) ? gdn_no_memory(err, "report.md") : write_text(r->dir, "report.md", md, err);
    if (!status)
        status = write_html(r, md, err);
    if (!status && summary)
        status = write_summary(r, summary, err);
    free(md);
    return status;
}

gdn_status gdn_report(const char *results_dir, FILE *summary, gdn_error *err)
{
    report r = {.dir = results_dir};
    gdn_status status = load(&r, err);
    if (!status)
        status = write_report(&r, summary, err);
    free_rows(&r.summary);
    free_rows(&r.growth);
    free(r.profiles.name);
    free(r.populations.name);
    free(r.quantities.name);
    free(r.longest);
    free(r.whole);
    json_decref(r.manifest);
    free(r.provenance);
    return status;
}
