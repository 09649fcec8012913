/* SPDX-License-Identifier: Apache-2.0 */
/* report_claims -- what the results say to the claims of the ledger that rest on them; see report_parts.h. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness/claims.h"
#include "harness/commands.h"
#include "harness/report_whole.h"

/* The claims that rest on an experiment. */
static bool rests_on(const gdn_claim *c, const void *experiment)
{
    for (unsigned e = 0; e < c->experiments_count; e++)
        if (gdn_same(c->experiments[e], experiment))
            return true;
    return false;
}

/* A claim with these values is a prediction, and its numbers have columns of their own. */
enum { PREDICTED, MEASURED, RATIO, COLUMNS };
static const char *const columns[COLUMNS] = {"predicted", "measured", "ratio"};

bool gdn_is_prediction(const gdn_claim *claim)
{
    int n = 0;
    for (unsigned v = 0; v < claim->values_count; v++)
        for (int c = 0; c < COLUMNS; c++)
            n += gdn_same(claim->values[v].name, columns[c]);
    return n == COLUMNS;
}

/* Errors in per cent, slopes and factors as they are; with its interval, where there is one. */
static void put_number(const gdn_judgement *j, const char *name, FILE *f)
{
    const gdn_claim_number *x = gdn_judgement_number(j, name),
                           *predicted = gdn_judgement_number(j, columns[PREDICTED]);
    bool interval = x && x->lo <= x->hi,
         error = x && fabs(predicted->value) < 0.1 && !gdn_same(name, columns[RATIO]);
    if (!x || isnan(x->value))
        fprintf(f, "–");
    else if (error)
        fprintf(f, "%s", interval ? gdn_text_span(x->value, x->lo, x->hi).s : gdn_text_amount(x->value).s);
    else
        fprintf(f, "%s", interval ? gdn_text_ratio(x->value, x->lo, x->hi).s : gdn_text_number(x->value).s);
}

static void put_row(const gdn_judgement *j, bool linked, FILE *f)
{
    fprintf(f, "| ");
    if (linked)
        gdn_put_mark(j->claim, f);
    else
        fprintf(f, "%s", j->claim->id);
    fprintf(f, " | ");
    gdn_put_sentence(f, j->claim->proposition);
    fprintf(f, " | **%s** | ", gdn_verdict_names[j->verdict]);
    for (int c = 0; c < COLUMNS && gdn_is_prediction(j->claim); c++) {
        put_number(j, columns[c], f);
        fprintf(f, " | ");
    }
    if (linked)
        gdn_put_finding(j, f);
    else
        gdn_put_sentence(f, j->finding);
    fprintf(f, " |\n");
}

void gdn_put_claims(const gdn_judgement *j, size_t n, bool predictions, bool linked, FILE *f)
{
    size_t said = 0;
    for (size_t i = 0; i < n; i++) {
        if (gdn_is_prediction(j[i].claim) != predictions || (linked && !gdn_has_entry(&j[i])))
            continue;
        if (said++ == 0)
            fprintf(f, "%s",
                    predictions ? "| id | prediction | verdict | predicted | measured | ratio | finding |\n"
                                  "|:--|:--|:--|--:|--:|--:|:--|\n"
                                : "| id | proposition | verdict | finding |\n|:--|:--|:--|:--|\n");
        put_row(&j[i], linked, f);
    }
    if (said)
        fprintf(f, "\n");
}

/* Split "results/standard" into where it lies and its name; a trailing slash is dropped. */
static void split(const char *dir, char *parent, char *name, size_t size)
{
    char whole[PATH_MAX];
    if (!realpath(dir, whole))
        snprintf(whole, sizeof whole, "./%.4000s", dir);
    char *slash = strrchr(whole, '/');
    snprintf(name, size, "%s", slash + 1);
    *slash = 0;
    snprintf(parent, size, "%s", *whole ? whole : "/");
}

gdn_status gdn_section_claims(const gdn_results *r, FILE *f, gdn_error *err)
{
    char share[4096], path[4200], parent[PATH_MAX], name[PATH_MAX];
    const char *const roots[] = {parent};
    gdn_ledger l = {.n = 0};
    gdn_judgement *j = NULL;
    size_t n = 0;
    snprintf(path, sizeof path, "%s/claims.yaml", gdn_share(share, sizeof share));
    if (access(path, F_OK) != 0) /* installed without a ledger */
        return GDN_OK;
    split(r->dir, parent, name, sizeof name);
    gdn_status status = gdn_ledger_load(path, &l, err);
    if (!status)
        status = gdn_claims_judge(&l, rests_on, name, roots, 1, &j, &n, err);
    if (!status && n > 0) {
        fprintf(f,
                "## Claims\n\n"
                "What is said about GDN's precision and rests on these results. A verdict is the first "
                "condition of `claims.yaml` that the numbers meet; `gdnprec claims` judges all claims.\n\n");
        gdn_put_claims(j, n, false, false, f);
        gdn_put_claims(j, n, true, false, f);
    }
    gdn_judgements_free(j, n);
    gdn_ledger_free(&l);
    return status;
}
