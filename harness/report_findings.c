/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report_findings -- question and answer: what the numbers say, in sentences; see report_parts.h.
 *
 * A finding is one paragraph of Markdown, a template that branches on the numbers.
 */
#include <math.h>

#include "harness/report_parts.h"
#include "harness/source_checkpoint.h"

/* What storage costs in a quantity: per profile, where it costs most. Profiles that store the same are told
 * once. */
static void finding_cost(const gdn_results *r, const char *quantity, FILE *f)
{
    const gdn_result *told[GDN_LISTED];
    size_t left, n = gdn_costs(r, quantity, told, GDN_LISTED, &left);
    if (n == 0) {
        fprintf(f, "No profile here has a storage error of %s above zero.", gdn_quantity_words(quantity));
        return;
    }
    fprintf(f, "Rounding what is stored changes %s, where it costs most, by ", gdn_quantity_words(quantity));
    for (size_t k = 0; k < n; k++)
        fprintf(f, "%s%s under %s (%s, T = %s, n = %s)", k ? "; " : "", gdn_text_median(told[k]).s,
                gdn_text_name(told[k]->profile).s, gdn_text_name(told[k]->population).s,
                gdn_text_count(told[k]->to).s, gdn_text_count(told[k]->n).s);
    if (left > 0)
        fprintf(f, "; %s more in the tables", gdn_text_counted((double)left, "profile", "profiles").s);
    fprintf(f, ". (Relative L2 error, median over heads and seeds [95 %% interval].)");
}

/* How often storage stands above, below or level with the arithmetic error set against it. */
typedef struct contest {
    size_t above, below, level;
    double most; /* largest ratio storage / arithmetic, and where, or NULL */
    const gdn_result *at;
} contest;

static contest compare(const gdn_results *r, const char *quantity, const char *against)
{
    contest c = {0, 0, 0, 0, NULL};
    for (size_t p = 0; p < r->populations.n; p++)
        for (size_t i = 0; i < r->profiles.n; i++) {
            const char *population = r->populations.name[p], *profile = r->profiles.name[i];
            const gdn_result *s = gdn_whole(r, population, profile, quantity, "storage");
            const gdn_result *a = gdn_whole(r, population, against ? against : profile, quantity, "arith");
            if (!gdn_nonzero(s) || !gdn_nonzero(a))
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
static void finding_contest(const gdn_results *r, const char *quantity, FILE *f)
{
    const char *against = gdn_yardstick(r);
    contest c = compare(r, quantity, against);
    size_t n = c.above + c.below + c.level;
    if (n == 0) {
        fprintf(f, "There is no pair of a storage and an arithmetic error of %s to compare.",
                gdn_quantity_words(quantity));
        return;
    }
    fprintf(f, "Beside the arithmetic error of ");
    if (against)
        fprintf(f, "%s", gdn_text_name(against).s);
    else
        fprintf(f, "the same profile");
    fprintf(
        f,
        ", the storage error of %s is larger in %zu, smaller in %zu and not told apart (intervals overlap) "
        "in %zu of %s",
        gdn_quantity_words(quantity), c.above, c.below, c.level,
        gdn_text_counted((double)n, "pair of population and profile", "pairs of population and profile").s);
    if (c.at)
        fprintf(f, "; at most it is %s times as large (%s on %s)", gdn_text_number(c.most).s,
                gdn_text_name(c.at->profile).s, gdn_text_name(c.at->population).s);
    fprintf(f, ".");
}

/* The largest total error of each population. */
static void finding_worst(const gdn_results *r, const char *quantity, FILE *f)
{
    size_t said = 0;
    for (size_t p = 0; p < r->populations.n && said < GDN_LISTED; p++) {
        const gdn_result *x = gdn_largest(r, r->populations.name[p], quantity, "total");
        if (!x)
            continue;
        if (said++ == 0)
            fprintf(f, "The largest total error of %s is", gdn_quantity_words(quantity));
        fprintf(f, "%s %s under %s on %s (n = %s)", said > 1 ? ";" : "", gdn_text_median(x).s,
                gdn_text_name(x->profile).s, gdn_text_name(x->population).s, gdn_text_count(x->n).s);
    }
    if (said > 0)
        fprintf(f, ".");
    else
        fprintf(f, "There is no total error of %s to rank.", gdn_quantity_words(quantity));
}

/* Of a checkpoint that holds w - 1, the profile does round what it stores: w. */
static bool rounds_weight(const gdn_results *r, const gdn_result *x)
{
    const json_t *layer = json_object_get(json_object_get(r->manifest, "checkpoints"), x->population);
    const char *weight = json_string_value(json_object_get(layer, "weight"));
    return weight && gdn_same(weight, GDN_RESTS_LESS_ONE) && gdn_same(x->quantity, "y");
}

gdn_control gdn_control_tally(const gdn_results *r)
{
    gdn_control c = {0, 0, 0};
    for (size_t i = 0; i < r->summary.n; i++) {
        const gdn_result *x = &r->summary.row[i];
        if (!gdn_same(x->profile, "fp32") || !gdn_same(x->kind, "storage") || !gdn_measured(x) ||
            rounds_weight(r, x))
            continue;
        c.rows++;
        c.cells += x->n;
        c.broken += x->median != 0 || x->lo != 0 || x->hi != 0;
    }
    return c;
}

/* The profile that rounds nothing it stores must have no storage error at all. */
static void finding_control(const gdn_results *r, FILE *f)
{
    gdn_control c = gdn_control_tally(r);
    if (c.rows == 0)
        fprintf(f, "There is no profile `fp32` here, which would be the control.");
    else if (c.broken == 0)
        fprintf(f,
                "The control holds: the storage error of `fp32`, which rounds nothing it stores, is exactly "
                "zero in all %s (%s measurements).",
                gdn_text_counted((double)c.rows, "row", "rows").s, gdn_text_count(c.cells).s);
    else
        fprintf(f,
                "THE CONTROL FAILS: the storage error of `fp32`, which rounds nothing it stores, is above "
                "zero in %zu of %s.",
                c.broken, gdn_text_counted((double)c.rows, "row", "rows").s);
}

/* What could not be given as a number; small samples. */
void gdn_finding_quality(const gdn_results *r, FILE *f)
{
    double n = 0, below = 0, zero = 0, infinite = 0, least = INFINITY;
    for (size_t i = 0; i < r->summary.n; i++) {
        const gdn_result *x = &r->summary.row[i];
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
            gdn_text_count(n + below + zero + infinite).s, gdn_text_count(below).s, gdn_text_count(zero).s,
            gdn_text_count(infinite).s);
    if (least < 20)
        fprintf(f, "; the smallest sample is n = %s, so that intervals there are rough",
                gdn_text_count(least).s);
    fprintf(f, ".");
}

/* "`a` 0.1 % [..], `b` 0.2 % [..]": totals of the profiles whose outputs were recorded, or of the others. */
static size_t say_totals(const gdn_results *r, const char *population, const char *quantity, bool recorded,
                         FILE *f)
{
    size_t n = 0;
    for (size_t i = 0; i < r->profiles.n; i++) {
        const gdn_result *x = gdn_whole(r, population, r->profiles.name[i], quantity, "total");
        if (!gdn_measured(x) || gdn_is_recorded(x) != recorded)
            continue;
        fprintf(f, "%s%s %s", n++ ? ", " : "", gdn_text_name(x->profile).s, gdn_text_entry(x).s);
    }
    return n;
}

static void finding_recorded(const gdn_results *r, const char *quantity, FILE *f)
{
    size_t said = 0;
    fprintf(f, "Recorded outputs differ from the truth in %s by", gdn_quantity_words(quantity));
    for (size_t p = 0; p < r->populations.n && said < GDN_LISTED; p++) {
        const char *population = r->populations.name[p];
        if (gdn_recorded_in(r, population, quantity) == 0)
            continue;
        fprintf(f, "%s ", said++ ? ";" : "");
        say_totals(r, population, quantity, true, f);
        fprintf(f, " on %s (the profiles computed here: ", gdn_text_name(population).s);
        fprintf(f, "%sn = %s)", say_totals(r, population, quantity, false, f) ? ", " : "none, ",
                gdn_text_count(gdn_any_whole(r, population, quantity)->n).s);
    }
    fprintf(f, ".");
}

/* "o" where findings are told by another quantity. */
static const char *besides(const gdn_results *r)
{
    return gdn_has_quantity(r, "o") && !gdn_same(gdn_main_quantity(r), "o") ? "o" : NULL;
}

/* The findings in order. `about` is the quantity that one is told by, NULL where it does not apply. */
static const struct {
    const char *(*about)(const gdn_results *r);
    void (*of)(const gdn_results *r, const char *quantity, FILE *f);
    void (*say)(const gdn_results *r, FILE *f); /* where no quantity is asked for */
} findings[] = {
    {gdn_recorded_quantity, finding_recorded, NULL},
    {gdn_main_quantity, finding_cost, NULL},
    {besides, finding_cost, NULL},
    {gdn_main_quantity, finding_contest, NULL},
    {NULL, NULL, gdn_finding_growth},
    {gdn_main_quantity, finding_worst, NULL},
    {NULL, NULL, gdn_finding_theory},
    {NULL, NULL, finding_control},
    {NULL, NULL, gdn_finding_quality},
};

void gdn_say_findings(const gdn_results *r, FILE *f)
{
    for (size_t i = 0; i < sizeof findings / sizeof findings[0]; i++) {
        const char *quantity = findings[i].about ? findings[i].about(r) : NULL;
        if (findings[i].about && !quantity)
            continue;
        fprintf(f, "- ");
        if (quantity)
            findings[i].of(r, quantity, f);
        else
            findings[i].say(r, f);
        fprintf(f, "\n");
    }
}

void gdn_section_head(const gdn_results *r, FILE *f)
{
    const char *question = gdn_manifest_text(r, "experiment", "question");
    fprintf(f, "# %s\n\n**Question.** ", gdn_text_name(gdn_manifest_text(r, "experiment", "name")).s);
    gdn_put_sentence(f, *question ? question : "The experiment file states none.");
    fprintf(f, "\n\n## Answer\n\n");
    gdn_say_findings(r, f);
    fprintf(f, "\n");
}
