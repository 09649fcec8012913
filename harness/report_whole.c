/* SPDX-License-Identifier: Apache-2.0 */
/* report_whole -- one report over all results: its sections in order, and the files; see report_whole.h. */
#include "harness/report_whole.h"

#include <stdlib.h>

#include "harness/claims_data.h"
#include "harness/report.h"

/* Judge a ledger; the judgements are of those at *out. */
static gdn_status judge(gdn_evidence *e, const gdn_ledger *l, gdn_judged *out, gdn_error *err)
{
    return gdn_claims_judge_by(e, l, NULL, NULL, &out->j, &out->n, err);
}

/* Read the folders that the index found. */
static gdn_status load_experiments(gdn_overview *w, gdn_error *err)
{
    size_t n = w->index.n_made;
    w->experiment = calloc(n + 1, sizeof *w->experiment);
    w->folder = calloc(n + 1, sizeof *w->folder);
    w->dir = calloc(n + 1, sizeof *w->dir);
    if (!w->experiment || !w->folder || !w->dir)
        return gdn_no_memory(err, "report.md");
    gdn_status status = n ? GDN_OK
                          : gdn_fail(err, GDN_BAD_INPUT,
                                     "report: no results below %.400s; `gdnprec run` makes them", w->root);
    for (; w->n < n && !status; w->n++) {
        w->folder[w->n] = w->index.made[w->n].name;
        if (asprintf(&w->dir[w->n], "%s/%s", w->root, w->folder[w->n]) < 0)
            return gdn_no_memory(err, "report.md");
        status = gdn_results_load(&w->experiment[w->n], w->dir[w->n], err);
    }
    return status;
}

static gdn_status open_overview(gdn_overview *w, const char *root, const char *ledgers, gdn_error *err)
{
    char results[4200], claims[4200], decisions[4200];
    gdn_evidence *e = NULL;
    *w = (gdn_overview){.root = root};
    snprintf(results, sizeof results, "%.4000s/results.yaml", ledgers);
    snprintf(claims, sizeof claims, "%.4000s/claims.yaml", ledgers);
    snprintf(decisions, sizeof decisions, "%.4000s/decisions.yaml", ledgers);
    gdn_status status = gdn_index_open(&w->index, results, claims, root, err);
    if (!status)
        status = gdn_ledger_load_decisions(decisions, &w->decisions, err);
    if (!status)
        status = gdn_evidence_open(&e, &root, 1, err);
    if (!status)
        status = judge(e, &w->index.claims, &w->claim, err);
    if (!status)
        status = judge(e, &w->decisions, &w->decision, err);
    gdn_evidence_close(e);
    return status ? status : load_experiments(w, err);
}

static void close_overview(gdn_overview *w)
{
    for (size_t i = 0; i < w->n; i++) {
        gdn_results_free(&w->experiment[i]);
        free(w->dir[i]);
    }
    for (size_t i = 0; i < w->n_shown; i++)
        free(w->shown[i]);
    free(w->shown);
    free(w->experiment);
    free(w->folder);
    free(w->dir);
    gdn_judgements_free(w->decision.j, w->decision.n);
    gdn_judgements_free(w->claim.j, w->claim.n);
    gdn_ledger_free(&w->decisions);
    gdn_index_close(&w->index);
}

static gdn_status compose(gdn_overview *w, FILE *f, gdn_error *err)
{
    gdn_status status = gdn_whole_answer(w, f, err);
    gdn_whole_decisions(w, f);
    if (!status)
        status = gdn_whole_budget(w, f, err);
    gdn_whole_claims(w, f);
    gdn_whole_predictions(w, f);
    gdn_whole_profiles(w, f);
    if (!status)
        status = gdn_whole_experiments(w, f, err);
    gdn_whole_threats(w, f);
    gdn_section_terms(f);
    if (!status)
        status = gdn_whole_provenance(w, f, err);
    gdn_whole_rows(w, f);
    return status;
}

/* The headlines as plain sentences, and where the report is. */
static void say_summary(const gdn_overview *w, FILE *f)
{
    for (size_t i = 0; i < w->index.n_results; i++) {
        const gdn_judgement *j = &w->index.result[i];
        if (j->claim->headline && gdn_has_data(j))
            fprintf(f, "%s: %s\n", gdn_mark_of(j->claim).id, j->finding);
    }
    fprintf(f, "All results: %s/report.html\n", w->root);
}

gdn_status gdn_report_whole(const char *results, const char *ledgers, FILE *summary, gdn_error *err)
{
    gdn_overview w;
    char *md = NULL;
    size_t size = 0;
    gdn_status status = open_overview(&w, results, ledgers, err);
    FILE *f = status ? NULL : open_memstream(&md, &size);
    if (f)
        status = compose(&w, f, err);
    if (!status && (!f || fclose(f)))
        status = gdn_no_memory(err, "report.md");
    else if (status && f)
        fclose(f);
    if (!status)
        status = gdn_report_write(results, "all results", "whole", md, err);
    if (!status && summary)
        say_summary(&w, summary);
    free(md);
    close_overview(&w);
    return status;
}
