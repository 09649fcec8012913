/* SPDX-License-Identifier: Apache-2.0 */
/* report_method -- how an experiment was done, and what could be wrong with it; see report_parts.h. */
#include <math.h>

#include "harness/report_parts.h"

/* What of a column stands in the rows, the first few by name. */
static void put_names(const gdn_names *all, FILE *f)
{
    for (size_t i = 0; i < all->n && i < GDN_LISTED; i++)
        fprintf(f, "%s%s", i ? ", " : "", gdn_text_name(all->name[i]).s);
    if (all->n > GDN_LISTED)
        fprintf(f, " and %zu more", all->n - GDN_LISTED);
}

static double longest(const gdn_results *r)
{
    double most = 0;
    for (size_t i = 0; i < r->n_whole; i++)
        most = fmax(most, r->whole[i]->to);
    return most;
}

/* The smallest and the largest sample of whole rows. */
static void samples(const gdn_results *r, double *least, double *most)
{
    *least = INFINITY;
    *most = 0;
    for (size_t i = 0; i < r->n_whole; i++)
        if (gdn_measured(r->whole[i])) {
            *least = fmin(*least, r->whole[i]->n);
            *most = fmax(*most, r->whole[i]->n);
        }
}

static bool has_mode(const gdn_results *r, const char *beginning)
{
    for (size_t i = 0; i < r->n_whole; i++)
        if (strncmp(r->whole[i]->mode, beginning, strlen(beginning)) == 0)
            return true;
    return false;
}

void gdn_say_method(const gdn_results *r, FILE *f)
{
    double least, most;
    const json_t *reference = json_object_get(r->manifest, "reference");
    const char *meaning = json_string_value(json_object_get(reference, "meaning"));
    size_t seeds = json_array_size(json_object_get(r->manifest, "seeds"));
    if (r->n_whole == 0) {
        fprintf(
            f,
            "No layer is run: functions, bits and counts are computed directly, and stand in `probes.csv`.");
        return;
    }
    samples(r, &least, &most);
    fprintf(f, "%s (", gdn_text_counted((double)r->profiles.n, "profile", "profiles").s);
    put_names(&r->profiles, f);
    fprintf(f, ") on %s (", gdn_text_counted((double)r->populations.n, "population", "populations").s);
    put_names(&r->populations, f);
    fprintf(f, "), d\\_k = %.0f, d\\_v = %.0f, to %s tokens, %s: up to %s heads x seeds a number. ",
            r->whole[0]->dk, r->whole[0]->dv, gdn_text_count(longest(r)).s,
            gdn_text_counted((double)seeds, "seed", "seeds").s, gdn_text_count(most).s);
    fprintf(f, "Each profile computes in its own formats, and exact arithmetic beside it on the true and on "
               "the stored parameters, which splits the error in storage and arithmetic");
    if (meaning) {
        fprintf(f, " (reference: ");
        gdn_put_sentence(f, meaning);
        fprintf(f, ")");
    }
    fprintf(f, ". Numbers are medians with 95 %% bootstrap intervals of the relative L2 error.");
}

/* Populations whose inputs or outputs come from a file. */
static size_t from_files(const gdn_results *r)
{
    size_t n = 0;
    for (size_t p = 0; p < r->populations.n; p++) {
        const char *name = r->populations.name[p];
        bool is = json_object_get(json_object_get(r->manifest, "checkpoints"), name) != NULL;
        for (int q = 0; q < GDN_OUTPUTS && !is; q++)
            is = gdn_recorded_in(r, name, gdn_report_outputs[q]) > 0;
        n += is;
    }
    return n;
}

static void threat_inputs(const gdn_results *r, FILE *f)
{
    size_t files = from_files(r), n = r->populations.n;
    if (files == n)
        fprintf(f,
                "- Inputs come from files, one layer at a time: what these layers and texts do not hold is "
                "not measured.\n");
    else
        fprintf(f,
                "- The inputs of %zu of %s are drawn, not recorded: keys, gates and weights of a trained "
                "model may lie elsewhere, most of all in how often later keys erase earlier ones.\n",
                n - files, gdn_text_counted((double)n, "population", "populations").s);
}

static void threat_native(const gdn_results *r, FILE *f)
{
    if (has_mode(r, "native"))
        fprintf(f, "- Rows of mode `native-cuda` are sums in the order of one GPU: another device repeats "
                   "them within their intervals, not bit for bit.\n");
}

static void threat_theory(const gdn_results *r, FILE *f)
{
    gdn_theory t = gdn_theory_tally(r);
    if (t.n > t.good)
        fprintf(
            f,
            "- Of %s predicted, %zu are farther than 10 %% off by the median; the farthest has a ratio of "
            "%s (%s on %s).\n",
            gdn_text_counted((double)t.n, "error", "errors").s, t.n - t.good, gdn_text_theory(t.worst).s,
            gdn_text_name(t.worst->profile).s, gdn_text_name(t.worst->population).s);
}

static void threat_control(const gdn_results *r, FILE *f)
{
    gdn_control c = gdn_control_tally(r);
    if (c.broken > 0)
        fprintf(
            f,
            "- THE CONTROL FAILS: `fp32`, which rounds nothing it stores, has a storage error in %zu rows.\n",
            c.broken);
    else if (c.rows == 0)
        fprintf(f, "- There is no profile `fp32` here to show that nothing else than storage moves.\n");
}

static void threat_run(const gdn_results *r, FILE *f)
{
    json_t *dirty = json_object_get(json_object_get(r->manifest, "program"), "dirty");
    if (json_is_true(dirty) || json_integer_value(dirty))
        fprintf(f, "- The program had changes that its commit does not hold.\n");
    double least, most;
    samples(r, &least, &most);
    if (least < 20)
        fprintf(f, "- The smallest sample is n = %s: intervals there are rough.\n", gdn_text_count(least).s);
}

void gdn_say_threats(const gdn_results *r, FILE *f)
{
    if (r->n_whole == 0) {
        fprintf(f,
                "- Functions and bits are looked at one by one: what an error of theirs does to a layer is "
                "for the experiments that run one.\n");
        return;
    }
    threat_inputs(r, f);
    fprintf(f, "- Errors are those of one layer on given inputs; what the layers after it make of them, "
               "and what they do to a model's loss, is not measured.\n"
               "- Intervals are over heads and seeds of the populations named, taken as independent; they "
               "do not speak of other populations.\n");
    threat_native(r, f);
    threat_theory(r, f);
    threat_control(r, f);
    threat_run(r, f);
    fprintf(f, "- ");
    gdn_finding_quality(r, f);
    fprintf(f, "\n");
}

void gdn_section_method(const gdn_results *r, FILE *f)
{
    fprintf(f, "## Method\n\n");
    gdn_say_method(r, f);
    fprintf(f, "\n\n");
}

void gdn_section_threats(const gdn_results *r, FILE *f)
{
    fprintf(f, "## Threats to validity\n\n");
    gdn_say_threats(r, f);
    fprintf(f, "\n");
}
