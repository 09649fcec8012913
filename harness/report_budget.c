/* SPDX-License-Identifier: Apache-2.0 */
/* report_budget -- which stored tensor costs how much, from budget.csv; see report_parts.h. */
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness/budget.h"
#include "harness/report_parts.h"

/* Where the error of all differs by more from the root-sum-square of the singles, they are said to interact.
 */
static const double ADDS_UP = 0.1;

/* A line of budget.csv. */
typedef struct line {
    const char *population, *quantity, *group, *base, *format, *member;
    double length;
    double single, single_lo, single_hi, shapley, shapley_lo, shapley_hi, relief, relief_lo, relief_hi;
    double rss, rss_lo, rss_hi, all, all_lo, all_hi;
    double n, left_out, best, sure;
} line;

typedef struct budget {
    gdn_table *table; /* owns the texts */
    line *line;       /* [n] */
    size_t n;
} budget;

/* The lines of one group of heads stand together, in the order of the members. */
typedef struct group {
    const line *line; /* [n]; NULL when there is none */
    size_t n;
} group;

#define TEXT(f)                                                                                              \
    {                                                                                                        \
#f, offsetof(line, f), true                                                                          \
    }
#define REAL(f)                                                                                              \
    {                                                                                                        \
#f, offsetof(line, f), false                                                                         \
    }
static const struct {
    const char *name;
    size_t offset;
    bool text;
} fields[] = {
    TEXT(population), TEXT(quantity), TEXT(group),     TEXT(base),      TEXT(format),  TEXT(member),
    REAL(length),     REAL(single),   REAL(single_lo), REAL(single_hi), REAL(shapley), REAL(shapley_lo),
    REAL(shapley_hi), REAL(relief),   REAL(relief_lo), REAL(relief_hi), REAL(rss),     REAL(rss_lo),
    REAL(rss_hi),     REAL(all),      REAL(all_lo),    REAL(all_hi),    REAL(n),       REAL(left_out),
    REAL(best),       REAL(sure),
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

static gdn_status load(budget *b, const char *path, gdn_error *err)
{
    size_t column[FIELDS];
    gdn_status status = gdn_table_read(path, &b->table, err);
    for (size_t f = 0; f < FIELDS && !status; f++)
        status = gdn_table_find(b->table, fields[f].name, &column[f], err);
    if (status)
        return status;
    b->n = gdn_table_rows(b->table);
    b->line = calloc(b->n + 1, sizeof *b->line);
    if (!b->line)
        return gdn_no_memory(err, "the error budget of a report");
    for (size_t i = 0; i < b->n; i++)
        for (size_t f = 0; f < FIELDS && !status; f++) {
            void *to = (char *)&b->line[i] + fields[f].offset;
            if (fields[f].text)
                *(const char **)to = gdn_table_text(b->table, i, column[f]);
            else
                status = gdn_table_number(b->table, i, column[f], to, err);
        }
    return status;
}

/* ---- lines by what they measure ---- */

/* The group at the largest length of a quantity in a population. */
static group find(const budget *b, const char *population, const char *quantity, const char *name)
{
    group g = {NULL, 0};
    for (size_t i = 0; i < b->n; i++) {
        const line *x = &b->line[i];
        if (!gdn_same(x->population, population) || !gdn_same(x->quantity, quantity) ||
            !gdn_same(x->group, name))
            continue;
        if (!g.line || x->length > g.line->length)
            g = (group){x, 0};
        g.n += x->length == g.line->length;
    }
    return g;
}

/* The member that is worth keeping most, or NULL; the one after it. */
static const line *best_of(group g)
{
    for (size_t i = 0; i < g.n; i++)
        if (g.line[i].best > 0)
            return &g.line[i];
    return NULL;
}

static const line *second_of(group g)
{
    const line *second = NULL;
    for (size_t i = 0; i < g.n; i++)
        if (g.line[i].best == 0 && (!second || g.line[i].relief > second->relief))
            second = &g.line[i];
    return second;
}

/* ---- sentences ---- */

/* A share and its interval in per cent, all with one decimal. */
static gdn_text share(double x, double lo, double hi)
{
    gdn_text t = {"–"};
    const double all[] = {x, lo, hi};
    double tenths[3];
    for (int i = 0; i < 3; i++)
        tenths[i] = round(1000 * all[i]) / 10 + 0.0; /* no minus before a zero */
    if (!isnan(x))
        snprintf(t.s, sizeof t.s, "%.1f %% [%.1f, %.1f]", tenths[0], tenths[1], tenths[2]);
    return t;
}

static gdn_text span_of_relief(const line *x)
{
    return share(x->relief, x->relief_lo, x->relief_hi);
}

static void say_best(group g, FILE *f)
{
    const line *best = best_of(g), *second = second_of(g), *x = g.line;
    if (x->n == 0) {
        fprintf(f, "Of %s nothing can be said: no head has a number for every subset.",
                gdn_quantity_words(x->quantity));
        return;
    }
    if (!best) {
        fprintf(f, "To keep one of them alone in the base’s format does not make the error of %s smaller.",
                gdn_quantity_words(x->quantity));
        return;
    }
    fprintf(
        f, "For %s: **%s %s**. The error of all at once, %s, is then smaller by %s (n = %s heads x seeds)",
        gdn_quantity_words(x->quantity), best->sure > 0 ? "keep" : "perhaps", gdn_budget_words(best->member),
        gdn_text_span(x->all, x->all_lo, x->all_hi).s, span_of_relief(best).s, gdn_text_count(x->n).s);
    if (second)
        fprintf(f, "; the next, %s, is worth %s", gdn_budget_words(second->member), span_of_relief(second).s);
    fprintf(f, "%s", best->sure > 0 ? "." : ". The intervals do not set the first apart from the rest.");
}

static void say_sum(const line *x, FILE *f)
{
    if (x->n == 0)
        return;
    bool adds_up = fabs(x->all / x->rss - 1) <= ADDS_UP;
    fprintf(f, " %s: their root-sum-square is %s, all at once measure %s.",
            adds_up ? "The single errors add up as independent ones do" : "The single errors interact",
            gdn_text_span(x->rss, x->rss_lo, x->rss_hi).s, gdn_text_span(x->all, x->all_lo, x->all_hi).s);
}

static void say_thirds(const budget *b, group all, FILE *f)
{
    static const char *const names[][2] = {
        {"long", "longest memory"}, {"middle", "middle memory"}, {"short", "shortest memory"}};
    const line *best = best_of(all);
    for (size_t i = 0; i < sizeof names / sizeof names[0] && best; i++) {
        const line *own = best_of(find(b, all.line->population, all.line->quantity, names[i][0]));
        if (own && own->sure > 0 && !gdn_same(own->member, best->member))
            fprintf(f, " In the third of the heads with the %s it is %s instead, worth %s.", names[i][1],
                    gdn_budget_words(own->member), span_of_relief(own).s);
    }
}

static void say_left_out(const line *x, FILE *f)
{
    if (x->left_out > 0)
        fprintf(f, " %s left out: an error of theirs carries no number.",
                gdn_text_counted(x->left_out, "head is", "heads are").s);
}

/* ---- tables ---- */

/* Relief of a member in a third of the heads. */
static gdn_text third(const budget *b, const line *x, const char *name)
{
    group g = find(b, x->population, x->quantity, name);
    gdn_text none = {"–"};
    for (size_t i = 0; i < g.n; i++)
        if (gdn_same(g.line[i].member, x->member))
            return span_of_relief(&g.line[i]);
    return none;
}

static void put_table(const budget *b, group g, FILE *f)
{
    const line *x = g.line;
    fprintf(f,
            "Relative L2 error of %s, positions 1 to %s:\n\n"
            "| in %s | error | share of the squared error | kept: error of all shrinks by | long memory | "
            "middle | short memory |\n|:--|--:|--:|--:|--:|--:|--:|\n",
            gdn_quantity_words(x->quantity), gdn_text_count(x->length).s, x->format);
    for (size_t i = 0; i < g.n; i++) {
        x = &g.line[i];
        fprintf(f, "| %s alone | %s | %s | %s%s%s | %s | %s | %s |\n", gdn_text_name(x->member).s,
                gdn_text_span(x->single, x->single_lo, x->single_hi).s,
                share(x->shapley, x->shapley_lo, x->shapley_hi).s, x->best > 0 ? "**" : "",
                span_of_relief(x).s, x->best > 0 ? "**" : "", third(b, x, "long").s, third(b, x, "middle").s,
                third(b, x, "short").s);
    }
    fprintf(f, "| root-sum-square | %s | | | | | |\n| all at once | %s | | | | | |\n\n",
            gdn_text_span(x->rss, x->rss_lo, x->rss_hi).s, gdn_text_span(x->all, x->all_lo, x->all_hi).s);
}

static void put_population(const budget *b, const char *population, FILE *f)
{
    bool table = false;
    fprintf(f, "### %s: the budget\n\n", gdn_text_name(population).s);
    for (int q = 0; q < GDN_OUTPUTS; q++) {
        group g = find(b, population, gdn_report_outputs[q], "all");
        if (!g.line)
            continue;
        say_best(g, f);
        if (!table)
            say_sum(g.line, f);
        say_thirds(b, g, f);
        say_left_out(g.line, f);
        fprintf(f, "\n\n");
        if (!table)
            put_table(b, g, f);
        table = true;
    }
}

static bool has_member(const budget *b, const char *name)
{
    for (size_t i = 0; i < b->n; i++)
        if (gdn_same(b->line[i].member, name))
            return true;
    return false;
}

static void put_section(const budget *b, FILE *f)
{
    fprintf(
        f,
        "## Error budget\n\nIf one thing could stay as it is in %s while the rest goes to %s, which? Every "
        "subset of the tensors below was run. Share: the Shapley value, which divides the squared error of "
        "all, interactions included; below zero a tensor cancels part of the others’ error. Shares and "
        "thirds are medians over heads and need not add up to 100 %%. Thirds are by decay rate.%s\n\n",
        gdn_text_name(b->line[0].base).s, b->line[0].format,
        has_member(b, "qk") ? " q and k cost next to nothing where zipf keys or a needle lie along axes, "
                              "which bf16 holds once they are normalised."
                            : "");
    for (size_t i = 0; i < b->n; i++)
        if (i == 0 || !gdn_same(b->line[i].population, b->line[i - 1].population))
            put_population(b, b->line[i].population, f);
}

/* A row a population, a column a tensor: what it is worth to keep it alone. */
static void put_brief(const budget *b, FILE *f)
{
    size_t rows = 0;
    for (size_t i = 0; i < b->n; i++) {
        const line *x = &b->line[i];
        if (i > 0 && gdn_same(x->population, x[-1].population))
            continue;
        group g = {NULL, 0};
        for (int q = 0; q < GDN_OUTPUTS && !g.line; q++)
            g = find(b, x->population, gdn_report_outputs[q], "all");
        if (!g.line)
            continue;
        if (rows++ == 0) {
            fprintf(f, "| population | error of %s, all in %s |", g.line->quantity, g.line->format);
            for (size_t k = 0; k < g.n; k++)
                fprintf(f, " keep %s |", gdn_text_name(g.line[k].member).s);
            fprintf(f, "\n|:--|--:|");
            for (size_t k = 0; k < g.n; k++)
                fprintf(f, "--:|");
            fprintf(f, "\n");
        }
        fprintf(f, "| %s | %s |", gdn_text_name(x->population).s,
                gdn_text_span(g.line->all, g.line->all_lo, g.line->all_hi).s);
        for (size_t k = 0; k < g.n; k++) {
            const char *mark = g.line[k].best > 0 ? "**" : "";
            fprintf(f, " %s%s%s |", mark, span_of_relief(&g.line[k]).s, mark);
        }
        fprintf(f, "\n");
    }
    fprintf(f, "\n");
}

static gdn_status with_budget(const gdn_results *r, void (*put)(const budget *, FILE *), FILE *f,
                              gdn_error *err)
{
    char path[PATH_MAX];
    budget b = {0};
    if (snprintf(path, sizeof path, "%s/budget.csv", r->dir) >= (int)sizeof path || access(path, F_OK))
        return GDN_OK;
    gdn_status status = load(&b, path, err);
    if (!status && b.n > 0)
        put(&b, f);
    gdn_table_free(b.table);
    free(b.line);
    return status;
}

gdn_status gdn_section_budget(const gdn_results *r, FILE *f, gdn_error *err)
{
    return with_budget(r, put_section, f, err);
}

gdn_status gdn_say_budget(const gdn_results *r, FILE *f, gdn_error *err)
{
    return with_budget(r, put_brief, f, err);
}
