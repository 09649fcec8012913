/* SPDX-License-Identifier: Apache-2.0 */
/* report_whole_experiments -- a page an experiment, then threats and provenance of all; see report_whole.h.
 */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness/plot.h"
#include "harness/report_whole.h"

enum { MOST_FIGURES = 2 }; /* of an experiment */

static bool rests_on(const gdn_claim *c, const char *experiment)
{
    for (unsigned e = 0; e < c->experiments_count; e++)
        if (gdn_same(c->experiments[e], experiment))
            return true;
    return false;
}

/* Entries that rest on the experiment. */
static size_t put_resting(const gdn_judgement *j, size_t n, const char *experiment, size_t said, FILE *f)
{
    for (size_t i = 0; i < n; i++)
        if (rests_on(j[i].claim, experiment) && gdn_has_entry(&j[i])) {
            fprintf(f, "%s", said++ ? ", " : "");
            gdn_put_mark(j[i].claim, f);
        }
    return said;
}

/* The results of the ledger that rest on it first of all; returns how many. */
static size_t put_answers(const gdn_overview *w, const char *experiment, FILE *f)
{
    size_t n = 0;
    for (size_t i = 0; i < w->index.n_results; i++) {
        const gdn_judgement *j = &w->index.result[i];
        if (!gdn_has_data(j) || !gdn_same(j->claim->experiments[0], experiment))
            continue;
        n++;
        fprintf(f, "- ");
        gdn_put_finding(j, f);
        gdn_put_doubt(j, f);
        fprintf(f, " ");
        gdn_put_mark(j->claim, f);
        fprintf(f, "\n");
    }
    fprintf(f, n ? "\n" : "");
    return n;
}

/* What its rows say without being asked, folded where the ledger has an answer. */
static void put_findings(const gdn_results *r, bool folded, FILE *f)
{
    if (r->n_whole == 0)
        return;
    if (folded)
        fprintf(f, "<details><summary>what else its rows say</summary>\n\n");
    gdn_say_findings(r, f);
    fprintf(f, folded ? "\n</details>\n\n" : "\n");
}

/* Figures that the ledger names, or the first that is drawn. */
static gdn_status put_figures(gdn_overview *w, size_t at, FILE *f, gdn_error *err)
{
    char url[PATH_MAX];
    size_t before = w->n_shown;
    gdn_status status = GDN_OK;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < gdn_figure_count && !status && w->n_shown < before + MOST_FIGURES; i++) {
            const gdn_figure *figure = &gdn_figures[i];
            bool named = false;
            snprintf(url, sizeof url, "%s/figures/%s.svg", w->folder[at], figure->name);
            for (size_t k = 0; k < w->index.results.n; k++)
                named = named ||
                        (w->index.results.claim[k].figure && gdn_same(w->index.results.claim[k].figure, url));
            if (named || (pass == 1 && w->n_shown == before))
                status = gdn_put_drawn(w, url, figure->caption, f, err);
        }
    return status;
}

/* The table of the first population; those of the others folded. */
static void put_tables(const gdn_results *r, const char *name, FILE *f)
{
    char folder[PATH_MAX];
    const char *quantity = gdn_main_quantity(r);
    size_t n = 0;
    snprintf(folder, sizeof folder, "%s/", name);
    for (size_t p = 0; p < r->populations.n && quantity; p++) {
        const char *population = r->populations.name[p];
        if (!gdn_any_whole(r, population, quantity))
            continue;
        if (++n == 2)
            fprintf(f, "<details><summary>the other populations</summary>\n\n");
        fprintf(f, "Population %s. ", gdn_text_name(population).s);
        gdn_table_whole(r, folder, population, quantity, f);
    }
    if (n > 1)
        fprintf(f, "</details>\n\n");
}

bool gdn_has_file(const gdn_results *r, const char *file)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", r->dir, file);
    return n > 0 && (size_t)n < sizeof path && access(path, R_OK) == 0;
}

static void put_sources(const gdn_overview *w, size_t at, FILE *f)
{
    const gdn_results *r = &w->experiment[at];
    const char *folder = w->folder[at], *rows = gdn_has_file(r, "probes.csv") ? "probes.csv" : "summary.csv";
    char command[1200];
    gdn_made_command(gdn_index_made(&w->index, folder), true, command, sizeof command);
    fprintf(f, "**Provenance.** ");
    gdn_put_sentence(f, r->provenance);
    fprintf(f, ". Again: `%s`. Rows: [%s/%s](%s/%s)", command, folder, rows, folder, rows);
    if (gdn_has_file(r, "report.html"))
        fprintf(f, "; every table and figure: [%s/report.html](%s/report.html)", folder, folder);
    fprintf(f, ".\n\n");
}

static gdn_status put_experiment(gdn_overview *w, size_t at, FILE *f, gdn_error *err)
{
    const gdn_results *r = &w->experiment[at];
    fprintf(f, "### %s\n\n**Question.** ", w->folder[at]);
    gdn_put_sentence(f, gdn_manifest_text(r, "experiment", "question"));
    fprintf(f, "\n\n**Method.** ");
    gdn_say_method(r, f);
    fprintf(f, "\n\n");
    fprintf(f, "**Answer.**\n\n");
    put_findings(r, put_answers(w, w->folder[at], f) > 0, f);
    fprintf(f, "**Rests on it.** ");
    size_t n = put_resting(w->index.result, w->index.n_results, w->folder[at], 0, f);
    n = put_resting(w->decision.j, w->decision.n, w->folder[at], n, f);
    n = put_resting(w->claim.j, w->claim.n, w->folder[at], n, f);
    fprintf(f, "%s\n\n", n ? "" : "No entry of the ledgers.");
    gdn_status status = put_figures(w, at, f, err);
    put_tables(r, w->folder[at], f);
    fprintf(f, "**Threats to validity.**\n\n");
    gdn_say_threats(r, f);
    fprintf(f, "\n");
    put_sources(w, at, f);
    return status;
}

gdn_status gdn_whole_experiments(gdn_overview *w, FILE *f, gdn_error *err)
{
    gdn_status status = GDN_OK;
    fprintf(f, "## Experiments\n\n");
    for (size_t i = 0; i < w->n && !status; i++)
        status = put_experiment(w, i, f, err);
    return status;
}

/* ---- threats ---- */

/* Measurements by what became of them, and runs by what made them. */
typedef struct tally {
    double n, below, nonfinite;
    size_t native, dirty, recorded, commits, broken, controls;
} tally;

static const char *commit_of(const gdn_results *r)
{
    return gdn_manifest_text(r, "program", "commit");
}

static tally count(const gdn_overview *w)
{
    tally t = {0};
    for (size_t i = 0; i < w->n; i++) {
        const gdn_results *r = &w->experiment[i];
        bool native = false, recorded = false, again = false;
        for (size_t k = 0; k < r->summary.n; k++) {
            const gdn_result *x = &r->summary.row[k];
            t.n += x->n + x->n_below + x->n_zero + x->n_nonfinite;
            t.below += x->n_below;
            t.nonfinite += x->n_nonfinite;
            native = native || strncmp(x->mode, "native", 6) == 0;
            recorded = recorded || gdn_is_recorded(x);
        }
        gdn_control c = gdn_control_tally(r);
        for (size_t k = 0; k < i; k++)
            again = again || gdn_same(commit_of(&w->experiment[k]), commit_of(r));
        json_t *dirty = json_object_get(json_object_get(r->manifest, "program"), "dirty");
        t.native += native;
        t.recorded += recorded;
        t.commits += !again;
        t.dirty += json_is_true(dirty) || json_integer_value(dirty);
        t.broken += c.broken;
        t.controls += c.rows;
    }
    return t;
}

void gdn_whole_threats(const gdn_overview *w, FILE *f)
{
    tally t = count(w);
    fprintf(f,
            "## Threats to validity\n\n"
            "- **One layer, not a model.** Errors are of one layer on given inputs. What later layers "
            "make of them, and what they do to a loss or an answer, is not measured; nor is training, "
            "where gradients round too.\n"
            "- **Drawn inputs.** Outputs that others recorded are in %zu of %s; in the rest keys, gates "
            "and weights are drawn, from the published initialisations and time constants where there are "
            "any. Whether later keys erase earlier ones decides most answers, and a trained model’s keys "
            "may do it more or less than these.\n"
            "- **Not measured.** The convolution’s weights and the projections are taken as exact; "
            "`gdnprec layer` looks at them for a recorded layer.\n"
            "- **Medians.** Numbers are of the median head. The worst heads lose more; figures of bias "
            "against magnitude show single heads.\n"
            "- **Predictions** hold in their regimes only; where a head is beyond one, none is stated.\n",
            t.recorded, gdn_text_counted((double)w->n, "experiment", "experiments").s);
    if (t.native)
        fprintf(f,
                "- **Native arithmetic.** %s rows of a GPU’s own sums and functions, which another device "
                "repeats within intervals only; portable rows come out the same bit for bit everywhere.\n",
                gdn_text_counted((double)t.native, "experiment has", "experiments have").s);
    fprintf(f,
            "- **Reference.** Of %s measurements %s lie below what the reference can tell from zero, and "
            "%s were not finite; these carry no number. ",
            gdn_text_count(t.n).s, gdn_text_count(t.below).s, gdn_text_count(t.nonfinite).s);
    fprintf(f, "The control, a storage error of exactly zero under `fp32`, %s in %s.\n",
            t.broken ? "FAILS" : "holds",
            t.broken ? gdn_text_counted((double)t.broken, "row", "rows").s
                     : gdn_text_counted((double)t.controls, "row", "rows").s);
    fprintf(f, "- **Runs.** %s made the results", gdn_text_counted((double)t.commits, "commit", "commits").s);
    if (t.dirty)
        fprintf(f, "; %zu of %zu runs had changes that their commit does not hold", t.dirty, w->n);
    fprintf(f, ".\n\n");
}

/* ---- provenance ---- */

gdn_status gdn_whole_provenance(const gdn_overview *w, FILE *f, gdn_error *err)
{
    const gdn_index_part *runs = gdn_index_part_find("runs");
    fprintf(f, "## Provenance\n\n"
               "`gdnprec verify` runs tasks of these folders again and compares them; `gdnprec report` "
               "makes this page again from their CSV files.\n\n");
    gdn_status status = runs->put(&w->index, "", f, err);
    fprintf(f, "\n");
    return status;
}
