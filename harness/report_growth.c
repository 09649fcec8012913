/* SPDX-License-Identifier: Apache-2.0 */
/* report_growth -- does an error grow with length? growth.csv in words and as a table; see report_parts.h. */
#include <math.h>

#include "harness/report_parts.h"

static bool holds(double lo, double hi, double x)
{
    return lo <= x && x <= hi;
}

/* What a slope with its interval says: for sentences ("grows ...") and for tables. */
typedef struct reading {
    const char *words, *brief;
} reading;

static reading read_slope(const gdn_result *g)
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

const char *gdn_slope_words(const gdn_result *g)
{
    return read_slope(g).brief;
}

/* Whether the summary knows gamma_eff where this growth was measured. */
static bool memory_known(const gdn_results *r, const gdn_result *g)
{
    const gdn_result *x = gdn_whole(r, g->population, g->profile, g->quantity, g->kind);
    return x && x->gamma_eff > 0;
}

/* One clause: does the error of this row compound? */
static void say_growth(const gdn_results *r, const gdn_result *g, FILE *f)
{
    bool slope = !isnan(g->slope), plateau = !isnan(g->plateau);
    bool rises = slope && g->slope > 0.05 && g->slope_lo > 0;
    if (slope)
        fprintf(f, "the error under %s grows %s (slope %s, n = %s)", gdn_text_name(g->profile).s,
                read_slope(g).words, gdn_text_ratio(g->slope, g->slope_lo, g->slope_hi).s,
                gdn_text_count(g->n).s);
    else
        fprintf(f, "the error under %s has too few positions within the memory for a slope",
                gdn_text_name(g->profile).s);
    if (plateau)
        fprintf(f, " and %s at %s (n = %s) beyond three memory lengths", rises ? "then stays" : "lies",
                gdn_text_span(g->plateau, g->plateau_lo, g->plateau_hi).s, gdn_text_count(g->n_plateau).s);
    else if (rises)
        fprintf(f, "%s",
                memory_known(r, g) ? ", and no plateau was reached in the lengths measured"
                                   : "; the memory is not known, so that no plateau can be told");
    const gdn_result *x = plateau ? NULL : gdn_last_window(r, g);
    if (x)
        fprintf(f, "; at positions %s to %s it is %s, n = %s", gdn_text_count(x->from).s,
                gdn_text_count(x->to).s, gdn_text_median(x).s, gdn_text_count(x->n).s);
}

/* The storage profile that tells the growth of a population: the first with a slope and plateau, else with
 * either. */
static const gdn_result *telling(const gdn_results *r, const char *population, const char *quantity)
{
    const gdn_result *best = NULL;
    int most = 0;
    for (size_t i = 0; i < r->profiles.n; i++) {
        const gdn_result *g = gdn_grown(r, population, r->profiles.name[i], quantity, "storage");
        int score = g ? !isnan(g->slope) + !isnan(g->plateau) : 0;
        if (score > most) {
            most = score;
            best = g;
        }
    }
    return best;
}

/* Does storage error compound with length? By o, which shows the recurrence; else by what there is. */
void gdn_finding_growth(const gdn_results *r, FILE *f)
{
    static const char *const by[] = {"o", "state", "y"};
    for (int q = 0; q < 3; q++) {
        size_t said = 0;
        for (size_t p = 0; p < r->populations.n && said < GDN_LISTED; p++) {
            const gdn_result *g = telling(r, r->populations.name[p], by[q]);
            if (!g)
                continue;
            if (said++ == 0)
                fprintf(f, "With length, the storage error of %s behaves so: ", gdn_quantity_words(by[q]));
            else
                fprintf(f, "; ");
            fprintf(f, "on %s (%s keys) ", gdn_text_name(g->population).s, *g->keys ? g->keys : "unnamed");
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

/* One line of the growth table, if there is something to say. */
static bool put_growth(const gdn_result *g, bool head, FILE *f)
{
    if (!g || (isnan(g->slope) && isnan(g->plateau)))
        return false;
    if (head)
        fprintf(f, "| population | keys | error | profile | slope | n | plateau | n | growth |\n"
                   "|:--|:--|:--|:--|--:|--:|--:|--:|:--|\n");
    fprintf(f, "| %s | %s | %s, %s | %s | %s | %s | %s | %s | %s |\n", gdn_text_name(g->population).s,
            g->keys, gdn_kind_words(g->kind), g->quantity, gdn_text_name(g->profile).s,
            gdn_text_ratio(g->slope, g->slope_lo, g->slope_hi).s, gdn_text_count(g->n).s,
            gdn_text_span(g->plateau, g->plateau_lo, g->plateau_hi).s, gdn_text_count(g->n_plateau).s,
            read_slope(g).brief);
    return true;
}

/* Whether an earlier profile has the same recipe, whose arithmetic serves for both. */
static bool recipe_seen(const gdn_results *r, const char *population, size_t profile, const char *quantity)
{
    const gdn_result *x = gdn_grown(r, population, r->profiles.name[profile], quantity, "arith");
    for (size_t i = 0; i < profile && x; i++) {
        const gdn_result *y = gdn_grown(r, population, r->profiles.name[i], quantity, "arith");
        if (y && *x->recipe && gdn_same(x->recipe, y->recipe))
            return true;
    }
    return false;
}

void gdn_section_growth(const gdn_results *r, FILE *f)
{
    static const char *const kinds[] = {"storage", "arith"}, *const quantities[] = {"o", "y"};
    size_t n = 0;
    fprintf(f,
            "## Growth with length\n\n"
            "Slope: of log error against log position over windows that end within the memory. Plateau: "
            "error in windows beyond three memories. A dash: too few windows. Growth is called proportional, "
            "square root or flat when the interval of the slope holds 1, 1/2 or 0, in this order, and "
            "uncertain when that interval is wider than 1/2. Arithmetic is listed once a recipe.\n\n");
    for (size_t p = 0; p < r->populations.n; p++)
        for (int k = 0; k < 4; k++)
            for (size_t i = 0; i < r->profiles.n; i++) {
                const char *population = r->populations.name[p], *kind = kinds[k / 2],
                           *quantity = quantities[k % 2];
                if (k / 2 == 0 || !recipe_seen(r, population, i, quantity))
                    n += put_growth(gdn_grown(r, population, r->profiles.name[i], quantity, kind), n == 0, f);
            }
    fprintf(f, "%s", n ? "\n" : "No error was measured over enough windows for a slope or a plateau.\n\n");
}
