/* SPDX-License-Identifier: Apache-2.0 */
/* report_whole_tables -- budget, claims, predictions and profiles over all results; see report_whole.h. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness/profile.h"
#include "harness/report_whole.h"

/* ---- error budget ---- */

gdn_status gdn_whole_budget(gdn_overview *w, FILE *f, gdn_error *err)
{
    gdn_status status = GDN_OK;
    size_t n = 0;
    for (size_t i = 0; i < w->n && !status; i++) {
        const gdn_results *r = &w->experiment[i];
        char url[PATH_MAX];
        if (!gdn_has_file(r, "budget.csv"))
            continue;
        if (n++ == 0)
            fprintf(f, "## Error budget\n\n"
                       "If everything rests in bf16 but one tensor, which should it be? By how much the "
                       "error shrinks when that one alone stays in fp32, from every subset of the "
                       "tensors; in bold what is worth most.\n\n");
        status = gdn_say_budget(r, f, err);
        fprintf(f,
                "Rows: [%s/budget.csv](%s/budget.csv), columns `all` and `relief` of `group` = all at the "
                "largest `length`.\n\n",
                w->folder[i], w->folder[i]);
        snprintf(url, sizeof url, "%s/figures/budget_y.svg", w->folder[i]);
        if (!status)
            status = gdn_put_drawn(w, url, "Error budget of y by tensor", f, err);
    }
    return status;
}

/* ---- claims ---- */

void gdn_whole_claims(const gdn_overview *w, FILE *f)
{
    size_t count[GDN_VERDICTS] = {0}, said = 0;
    for (size_t i = 0; i < w->claim.n; i++)
        count[w->claim.j[i].verdict] += !gdn_is_prediction(w->claim.j[i].claim);
    fprintf(f, "## Claims\n\n"
               "What pull requests, code and reports say about GDN’s precision, and what the results say "
               "to it: ");
    for (int v = 0; v < GDN_VERDICTS; v++)
        if (count[v])
            fprintf(f, "%s%zu %s", said++ ? ", " : "", count[v], gdn_verdict_names[v]);
    fprintf(f, ".\n\n");
    gdn_put_claims(w->claim.j, w->claim.n, false, true, f);
}

/* ---- predictions ---- */

void gdn_whole_predictions(const gdn_overview *w, FILE *f)
{
    size_t n = 0;
    fprintf(f, "## Predictions\n\n"
               "Formulas from the parameters alone, stated before the runs, against what was measured at "
               "the largest lengths. Ratio: median of measured over predicted, head by head.\n\n");
    for (size_t i = 0; i < w->n; i++) {
        const gdn_results *r = &w->experiment[i];
        gdn_theory t = gdn_theory_tally(r);
        if (t.n == 0)
            continue;
        if (n++ == 0)
            fprintf(f, "| experiment | errors predicted | median within 10 %% | whole interval within 10 "
                       "%% | farthest ratio | of |\n"
                       "|:--|--:|--:|--:|--:|:--|\n");
        fprintf(f, "| [%s](#%s) | %zu | %zu | %zu | %s | %s error of %s, %s on %s |\n", w->folder[i],
                w->folder[i], t.n, t.good, t.sure, gdn_text_theory(t.worst).s, gdn_kind_words(t.worst->kind),
                t.worst->quantity, gdn_text_name(t.worst->profile).s, gdn_text_name(t.worst->population).s);
    }
    fprintf(f, n ? "\nRows: columns `predicted` and `ratio` of each experiment’s summary.csv.\n\n"
                 : "Theory predicts none of the errors measured here.\n\n");
    gdn_put_claims(w->claim.j, w->claim.n, true, true, f);
}

/* ---- profiles side by side ---- */

/* What is left of a value after the chain: its narrowest format; "cast" where it does not rest in it. */
static gdn_text chain_text(const gdn_chain *c)
{
    gdn_text t;
    int narrowest = c->link[0];
    for (int i = 1; i < c->n; i++)
        narrowest = c->link[i] > narrowest ? c->link[i] : narrowest;
    snprintf(t.s, sizeof t.s, "%s%s", gdn_link_names[narrowest], c->n > 1 ? " cast" : "");
    return t;
}

static bool find_profile(const char *name, gdn_profile *p)
{
    for (int i = 0; i < gdn_profile_count; i++) {
        *p = gdn_profile_builtin(i);
        if (gdn_same(p->name, name))
            return true;
    }
    return false;
}

/* What rests where, as four cells. */
static void put_rest(const char *name, FILE *f)
{
    gdn_profile p;
    if (!find_profile(name, &p)) {
        fprintf(f, " – | – | – | – |");
        return;
    }
    if (p.alpha != GDN_FP64)
        fprintf(f, " alpha in %s |", gdn_link_names[p.alpha]);
    else
        fprintf(f, " %s%s |", p.store_a ? "A in " : "", chain_text(&p.a_log).s);
    fprintf(f, " %s |", chain_text(&p.dt_bias).s);
    fprintf(f, " %s%s |", p.zero_centred ? "w − 1 in " : "", chain_text(&p.norm_weight).s);
    fprintf(f, " %s%s |", gdn_link_names[p.recipe.state],
            p.recipe.state_rounding == GDN_STOCHASTIC ? ", stochastic" : "");
}

/* Where most profiles have a total error of y: an experiment and population. */
static size_t widest(const gdn_overview *w, size_t *experiment, const char **population)
{
    size_t most = 0;
    for (size_t i = 0; i < w->n; i++) {
        const gdn_results *r = &w->experiment[i];
        for (size_t p = 0; p < r->populations.n; p++) {
            size_t n = 0;
            for (size_t k = 0; k < r->profiles.n; k++)
                n += gdn_measured(gdn_whole(r, r->populations.name[p], r->profiles.name[k], "y", "total"));
            if (n > most) {
                most = n;
                *experiment = i;
                *population = r->populations.name[p];
            }
        }
    }
    return most;
}

/* By error, the smallest first. */
static int compare(const void *a, const void *b)
{
    const gdn_result *const *x = a, *const *y = b;
    return ((*x)->median > (*y)->median) - ((*x)->median < (*y)->median);
}

static void put_profiles(const gdn_results *r, const char *folder, const char *population,
                         const gdn_result **row, size_t n, FILE *f)
{
    static const struct {
        const char *quantity, *kind;
    } cells[] = {{"y", "storage"}, {"y", "total"}, {"state", "storage"}, {"state", "total"}};
    fprintf(f, "| profile | A\\_log | dt\\_bias | out\\_norm weight | state | storage error of y | total "
               "error of y | storage error of state | total error of state |\n"
               "|:--|:--|:--|:--|:--|--:|--:|--:|--:|\n");
    for (size_t i = 0; i < n; i++) {
        fprintf(f, "| %s |", gdn_text_name(row[i]->profile).s);
        put_rest(row[i]->profile, f);
        for (size_t c = 0; c < sizeof cells / sizeof cells[0]; c++) {
            fprintf(f, " ");
            gdn_put_entry(r, folder,
                          gdn_whole(r, population, row[i]->profile, cells[c].quantity, cells[c].kind), f);
            fprintf(f, " |");
        }
        fprintf(f, "\n");
    }
}

void gdn_whole_profiles(const gdn_overview *w, FILE *f)
{
    char folder[PATH_MAX];
    size_t e = 0, n = 0, most;
    const char *population = NULL;
    if ((most = widest(w, &e, &population)) == 0)
        return;
    const gdn_results *r = &w->experiment[e];
    const gdn_result **row = calloc(most, sizeof *row), *x;
    for (size_t k = 0; row && k < r->profiles.n; k++)
        if (gdn_measured(x = gdn_whole(r, population, r->profiles.name[k], "y", "total")))
            row[n++] = x;
    if (n > 0) {
        qsort(row, n, sizeof(const gdn_result *), compare);
        fprintf(f,
                "## Profiles side by side\n\n"
                "What rests in which format, and what it costs, the smallest total error of y first: "
                "experiment [%s](#%s), population %s, T = %s, n = %s. “Cast”: an fp32 parameter that "
                "passes through the format on its way to use.\n\n",
                w->folder[e], w->folder[e], gdn_text_name(population).s, gdn_text_count(row[0]->to).s,
                gdn_text_count(row[0]->n).s);
        snprintf(folder, sizeof folder, "%s/", w->folder[e]);
        put_profiles(r, folder, population, row, n, f);
        fprintf(f,
                "\n"
                "Rows: [%s/summary.csv](%s/summary.csv), columns `median`, `lo`, `hi` of the lines from 1 "
                "to the largest T (state: at T).\n\n",
                w->folder[e], w->folder[e]);
    }
    free(row);
}
