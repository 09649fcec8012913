/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report_summary -- a report in at most ten lines of plain text; see report_parts.h.
 *
 * A line tells the worst case of what the report tells in full; every number keeps its interval and n.
 */
#include <ctype.h>
#include <math.h>
#include <stdarg.h>

#include "harness/report_parts.h"

enum { LINE_LENGTH = 150, COSTS = 3 };

/* One line: control characters become spaces, and what is too long ends in "...". */
__attribute__((format(printf, 2, 3))) static void put_line(FILE *f, const char *format, ...)
{
    char s[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(s, sizeof s, format, args);
    va_end(args);
    if (strlen(s) > LINE_LENGTH) {
        size_t n = LINE_LENGTH - 3;
        while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80) /* not inside a character of UTF-8 */
            n--;
        memcpy(s + n, "...", 4);
    }
    for (char *p = s; *p; p++)
        if (iscntrl((unsigned char)*p))
            *p = ' ';
    fprintf(f, "%s\n", s);
}

/* What storage costs where it costs most, beside the arithmetic error there. */
static void say_costs(const gdn_results *r, const char *quantity, size_t room, FILE *f)
{
    const gdn_result *told[COSTS];
    const char *against = gdn_yardstick(r);
    size_t left, n = gdn_costs(r, quantity, told, room, &left);
    if (n == 0) {
        put_line(f, "No profile here has a storage error of %s above zero.", gdn_quantity_words(quantity));
        return;
    }
    put_line(f,
             "Storage changes %s, on the worst population, by (relative L2: median [95 %% interval], n heads "
             "x seeds):",
             gdn_quantity_words(quantity));
    for (size_t i = 0; i < n; i++) {
        const gdn_result *x = told[i],
                         *a = gdn_whole(r, x->population, against ? against : x->profile, quantity, "arith");
        gdn_text beside = {""};
        if (gdn_measured(a))
            snprintf(beside.s, sizeof beside.s, "; %.40s arithmetic: %.60s, n = %.20s",
                     against ? against : "its own", gdn_text_median(a).s, gdn_text_count(a->n).s);
        put_line(f, "  %s: %s, n = %s (%s, T = %s)%s", x->profile, gdn_text_median(x).s,
                 gdn_text_count(x->n).s, x->population, gdn_text_count(x->to).s, beside.s);
    }
}

/* The largest plateau, and of the errors without one that which is largest in its last window. */
static void say_growth(const gdn_results *r, FILE *f)
{
    static const char *const by[] = {"o", "state", "y"};
    const gdn_result *flat = NULL, *steep = NULL, *late = NULL;
    for (int q = 0; q < 3 && !flat && !steep; q++)
        for (size_t i = 0; i < r->growth.n; i++) {
            const gdn_result *g = &r->growth.row[i];
            if (!gdn_same(g->kind, "storage") || !gdn_same(g->quantity, by[q]))
                continue;
            if (!isnan(g->plateau) && (!flat || g->plateau > flat->plateau))
                flat = g;
            const gdn_result *x = isnan(g->plateau) && !isnan(g->slope) ? gdn_last_window(r, g) : NULL;
            if (x && (!late || x->median > late->median)) {
                steep = g;
                late = x;
            }
        }
    if (flat)
        put_line(f, "Growth, %s keys: ends in a plateau, at worst %s of %s, n = %s (%s, %s)", flat->keys,
                 gdn_text_span(flat->plateau, flat->plateau_lo, flat->plateau_hi).s, flat->quantity,
                 gdn_text_count(flat->n_plateau).s, flat->profile, flat->population);
    if (steep)
        put_line(f, "Growth, %s keys: %s, slope %s, n = %s; at the end %s of %s, n = %s (%s, %s)",
                 steep->keys, gdn_slope_words(steep),
                 gdn_text_ratio(steep->slope, steep->slope_lo, steep->slope_hi).s, gdn_text_count(steep->n).s,
                 gdn_text_median(late).s, steep->quantity, gdn_text_count(late->n).s, steep->profile,
                 steep->population);
    if (!flat && !steep)
        put_line(f, "Growth: cannot be said; too few windows of positions have an error above zero.");
}

/* The largest total error over all populations, of recorded outputs alone or of all. */
static void say_worst(const gdn_results *r, const char *what, const char *quantity, bool recorded, FILE *f)
{
    const gdn_result *worst = NULL;
    for (size_t i = 0; i < r->n_whole; i++) {
        const gdn_result *x = r->whole[i];
        if (gdn_nonzero(x) && gdn_same(x->quantity, quantity) && gdn_same(x->kind, "total") &&
            (!recorded || gdn_is_recorded(x)) && (!worst || x->median > worst->median))
            worst = x;
    }
    if (worst)
        put_line(f, "%s: %s, total error of %s %s, n = %s (%s, T = %s)", what, worst->profile, quantity,
                 gdn_text_median(worst).s, gdn_text_count(worst->n).s, worst->population,
                 gdn_text_count(worst->to).s);
}

static void say_checks(const gdn_results *r, FILE *f)
{
    gdn_theory t = gdn_theory_tally(r);
    gdn_control c = gdn_control_tally(r);
    gdn_text theory = {"predicts no error here"}, control = {"there is no profile fp32"};
    if (t.n > 0)
        snprintf(theory.s, sizeof theory.s,
                 "%zu of %zu predicted errors within 10 %% (worst ratio %.60s, n = %.20s)", t.good, t.n,
                 gdn_text_theory(t.worst).s, gdn_text_count(t.worst->n).s);
    if (c.rows > 0 && c.broken == 0)
        snprintf(control.s, sizeof control.s, "fp32 storage error exactly 0 in all %zu rows", c.rows);
    else if (c.rows > 0)
        snprintf(control.s, sizeof control.s, "FAILS, fp32 storage error above 0 in %zu of %zu rows",
                 c.broken, c.rows);
    put_line(f, "Theory: %s. Control: %s.", theory.s, control.s);
}

void gdn_report_summary(const gdn_results *r, FILE *f)
{
    const char *quantity = gdn_main_quantity(r), *recorded = gdn_recorded_quantity(r);
    put_line(f, "%s: %s", gdn_manifest_text(r, "experiment", "name"),
             gdn_manifest_text(r, "experiment", "question"));
    if (quantity)
        say_costs(r, quantity, recorded ? COSTS - 1 : COSTS, f);
    say_growth(r, f);
    if (quantity)
        say_worst(r, "Worst profile", quantity, false, f);
    if (recorded)
        say_worst(r, "Worst recorded", recorded, true, f);
    say_checks(r, f);
    fprintf(f, "All of it: %s/report.html (or .md); beside it figures/ and summary.csv\n", r->dir);
}
