/* SPDX-License-Identifier: Apache-2.0 */
/* report_theory -- measured against predicted, in words and as a table; see report_parts.h. */
#include <math.h>

#include "harness/report_parts.h"

static bool near_one(double ratio)
{
    return ratio >= 0.9 && ratio <= 1.1;
}

/* Whether an earlier row is the same measurement under another profile's name, as two profiles that store the
 * same. */
static bool repeated(const gdn_results *r, const gdn_result *x)
{
    for (size_t i = 0; i < r->profiles.n && !gdn_same(r->profiles.name[i], x->profile); i++) {
        const gdn_result *y = gdn_whole(r, x->population, r->profiles.name[i], x->quantity, x->kind);
        if (gdn_measured(y) && y->median == x->median && y->predicted == x->predicted)
            return true;
    }
    return false;
}

/* Rows at the largest T that have a prediction. */
static const gdn_result *next_predicted(const gdn_results *r, size_t *at)
{
    while (*at < r->n_whole) {
        const gdn_result *x = r->whole[(*at)++];
        if (gdn_measured(x) && !isnan(x->ratio) && !repeated(r, x))
            return x;
    }
    return NULL;
}

gdn_text gdn_text_theory(const gdn_result *x)
{
    gdn_text t;
    if (x->ratio >= 0.05 && x->ratio < 100)
        return gdn_text_ratio(x->ratio, x->ratio_lo, x->ratio_hi);
    snprintf(t.s, sizeof t.s, "%.60s [%.60s, %.60s]", gdn_text_number(x->ratio).s,
             gdn_text_number(x->ratio_lo).s, gdn_text_number(x->ratio_hi).s);
    return t;
}

static gdn_text factor(double ratio)
{
    gdn_text t;
    snprintf(t.s, sizeof t.s, ratio >= 1 ? "%.30s times the prediction" : "the prediction divided by %.30s",
             gdn_text_number(ratio >= 1 ? ratio : 1 / ratio).s);
    return t;
}

gdn_theory gdn_theory_tally(const gdn_results *r)
{
    gdn_theory t = {0, 0, 0, NULL};
    size_t at = 0;
    for (const gdn_result *x; (x = next_predicted(r, &at)) != NULL; t.n++) {
        t.good += near_one(x->ratio);
        t.sure += near_one(x->ratio_lo) && near_one(x->ratio_hi);
        if (!t.worst || fabs(log(x->ratio)) > fabs(log(t.worst->ratio)))
            t.worst = x;
    }
    return t;
}

void gdn_finding_theory(const gdn_results *r, FILE *f)
{
    gdn_theory t = gdn_theory_tally(r);
    const gdn_result *worst = t.worst;
    if (t.n == 0) {
        fprintf(f, "Theory predicts none of the errors measured here.");
        return;
    }
    fprintf(f,
            "Of %s that theory predicts at the largest lengths, %zu lie within 10 %% of it by the median "
            "ratio of measured to predicted, %zu by its whole interval",
            gdn_text_counted((double)t.n, "error", "errors").s, t.good, t.sure);
    if (!near_one(worst->ratio))
        fprintf(f, "; the farthest off is the %s error of %s under %s on %s, with a ratio of %s",
                gdn_kind_words(worst->kind), gdn_quantity_words(worst->quantity),
                gdn_text_name(worst->profile).s, gdn_text_name(worst->population).s,
                gdn_text_theory(worst).s);
    fprintf(f, ".");
}

void gdn_section_theory(const gdn_results *r, FILE *f)
{
    size_t at = 0, n = 0;
    fprintf(f, "## Measured against predicted\n\n"
               "The prediction was computed from the parameters before the run. Ratio: median of measured "
               "over predicted, head by head. Verdict: “within 10 %%” when the whole interval is, “median "
               "within 10 %%” when only the median is. Profiles that repeat a measurement are left out.\n\n");
    for (const gdn_result *x; (x = next_predicted(r, &at)) != NULL; n++) {
        if (n == 0)
            fprintf(f, "| population | profile | error | measured | predicted | ratio | n | verdict |\n"
                       "|:--|:--|:--|--:|--:|--:|--:|:--|\n");
        fprintf(f, "| %s | %s | %s, %s | ", gdn_text_name(x->population).s, gdn_text_name(x->profile).s,
                gdn_kind_words(x->kind), x->quantity);
        gdn_put_entry(r, "", x, f);
        fprintf(f, " | %s | %s | %s | ", gdn_text_amount(x->predicted).s, gdn_text_theory(x).s,
                gdn_text_count(x->n).s);
        if (near_one(x->ratio_lo) && near_one(x->ratio_hi))
            fprintf(f, "within 10 %% |\n");
        else if (near_one(x->ratio))
            fprintf(f, "median within 10 %% |\n");
        else
            fprintf(f, "%s%s |\n", factor(x->ratio).s,
                    x->ratio_lo <= 1 && x->ratio_hi >= 1 ? "; the interval holds 1" : "");
    }
    fprintf(f, "%s", n ? "\n" : "No measured error has a prediction.\n\n");
}
