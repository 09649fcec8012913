/* SPDX-License-Identifier: Apache-2.0 */
/* report_tables -- the sections of a report that are tables or lists; see report_parts.h. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness/outfile.h"
#include "harness/plot.h"
#include "harness/profile.h"
#include "harness/report_parts.h"

/* The total as numbers of its own: bias, ulps, bits; n. */
static void put_total(const gdn_result *x, FILE *f)
{
    if (!x || !gdn_measured(x)) {
        fprintf(f, " – | – | – | %s |\n", x ? gdn_text_count(x->n).s : "–");
        return;
    }
    fprintf(f, " %s | %.3g | ", gdn_text_span(x->bias, x->bias_lo, x->bias_hi).s, x->max_ulp);
    if (x->median > 0)
        fprintf(f, "%.1f", -log2(x->median));
    else
        fprintf(f, "–");
    fprintf(f, " | %s", gdn_text_count(x->n).s);
    if (x->n_nonfinite > 0)
        fprintf(f, " (%s not finite)", gdn_text_count(x->n_nonfinite).s);
    if (x->n_below > 0)
        fprintf(f, " (%s below reference)", gdn_text_count(x->n_below).s);
    fprintf(f, " |\n");
}

void gdn_put_entry(const gdn_results *r, const char *folder, const gdn_result *x, FILE *f)
{
    const ptrdiff_t line = x ? x - r->summary.row + 2 : 0; /* the first one is the header */
    if (x && x->n > 0)
        fprintf(f, "[%s](%ssummary.csv#L%td \"rows: %ssummary.csv, line %td\")", gdn_text_entry(x).s, folder,
                line, folder, line);
    else
        fprintf(f, "%s", gdn_text_entry(x).s);
}

void gdn_table_whole(const gdn_results *r, const char *folder, const char *population, const char *quantity,
                     FILE *f)
{
    const gdn_result *shared = gdn_any_whole(r, population, quantity);
    if (!shared)
        return;
    fprintf(f, "Errors of %s, positions 1 to %s:\n\n", gdn_quantity_words(quantity),
            gdn_text_count(shared->to).s);
    fprintf(f, "| profile | storage | arithmetic | total | bias of total | max ulp | bits | n |\n"
               "|:--|--:|--:|--:|--:|--:|--:|--:|\n");
    for (size_t i = 0; i < r->profiles.n; i++) {
        const char *profile = r->profiles.name[i];
        const gdn_result *s = gdn_whole(r, population, profile, quantity, "storage"),
                         *a = gdn_whole(r, population, profile, quantity, "arith"),
                         *t = gdn_whole(r, population, profile, quantity, "total");
        if (!s && !a && !t)
            continue;
        const gdn_result *const kinds[] = {s, a, t};
        fprintf(f, "| %s |", gdn_text_name(profile).s);
        for (int k = 0; k < 3; k++) {
            fprintf(f, " ");
            gdn_put_entry(r, folder, kinds[k], f);
            fprintf(f, " |");
        }
        put_total(t ? t : s, f);
    }
    fprintf(f, "\n");
}

void gdn_section_results(const gdn_results *r, FILE *f)
{
    static const char *const quantities[] = {"y", "o", "state", "g"};
    fprintf(f, "## Errors at the largest length\n\n"
               "Relative L2 error, median [95 %% interval]. “Exactly 0” is a difference of zero, not a "
               "rounded one; “below reference” is an error that the reference cannot tell from zero. All "
               "positions are pooled, so that where the signal fades (needle keys) the early ones decide; "
               "the figures against position show the late ones. bits = −log2 of the total.\n\n");
    for (size_t p = 0; p < r->populations.n; p++) {
        const char *population = r->populations.name[p];
        const gdn_result *x = NULL;
        for (int q = 0; q < 4 && !x; q++)
            x = gdn_any_whole(r, population, quantities[q]);
        if (!x)
            continue;
        fprintf(f, "### %s\n\n", gdn_text_name(population).s);
        fprintf(f, "Keys: %s; d_k = %.0f, d_v = %.0f; memory of the median head ",
                *x->keys ? x->keys : "not named", x->dk, x->dv);
        if (x->gamma_eff > 0)
            fprintf(f, "%.3g tokens.\n\n", 1 / x->gamma_eff);
        else
            fprintf(f, "not known.\n\n");
        bool any = gdn_any_whole(r, population, "y") || gdn_any_whole(r, population, "o");
        for (int q = 0; q < 4; q++)
            if (q < 2 || !any)
                gdn_table_whole(r, "", population, quantities[q], f);
    }
}

bool gdn_is_drawn(const gdn_results *r, const char *figure)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/figures/%s.svg", r->dir, figure);
    return n > 0 && (size_t)n < sizeof path && access(path, R_OK) == 0;
}

void gdn_section_figures(const gdn_results *r, FILE *f)
{
    int n = 0;
    fprintf(f, "## Figures\n\n");
    for (int i = 0; i < gdn_figure_count; i++) {
        const gdn_figure *figure = &gdn_figures[i];
        if (!gdn_is_drawn(r, figure->name))
            continue;
        fprintf(f, "![Figure %d: %s](figures/%s.svg)\n\n", ++n, figure->caption, figure->name);
        fprintf(f,
                "**Figure %d.** %s. Medians with 95 %% bootstrap intervals, drawn from %s by `plots/%s.gp`; "
                "for print: `figures/%s.pdf`. %s.\n\n",
                n, figure->caption, figure->csv, figure->script, figure->name, r->provenance);
    }
    if (n == 0)
        fprintf(f, "None are drawn yet: `gdnprec plot` draws them, then make the report again.\n\n");
}

/* How many rows each rung of the reference served, and its largest uncertainty. */
void gdn_section_reference(const gdn_results *r, FILE *f)
{
    static const char *const rungs[] = {"mpfr", "dd", "fp64"};
    fprintf(f, "## Reference\n\n| rung | rows of summary.csv | largest uncertainty (relative L2) "
               "|\n|:--|--:|--:|\n");
    for (int k = 0; k < 3; k++) {
        double n = 0, most = 0;
        for (size_t i = 0; i < r->summary.n; i++) {
            const gdn_result *x = &r->summary.row[i];
            if (!gdn_same(x->reference, rungs[k]))
                continue;
            n++;
            most = fmax(most, x->uncertainty);
        }
        if (n > 0)
            fprintf(f, "| %s | %s | %.2e |\n", rungs[k], gdn_text_count(n).s, most);
    }
    fprintf(f, "\nA number is given only where it is 1,000 times its reference's uncertainty. ");
    gdn_finding_quality(r, f);
    fprintf(f, "\n\n");
}

void gdn_section_terms(FILE *f)
{
    fprintf(f, "## How to read it\n\n"
               "| term | meaning |\n|:--|:--|\n"
               "| storage | error of exact arithmetic on the parameters as stored, against exact arithmetic "
               "on the true ones |\n"
               "| arithmetic | error of the computation as it is done, against exact arithmetic on the same "
               "stored parameters |\n"
               "| total | storage and arithmetic together, exactly their sum |\n"
               "| relative L2 | norm of the error over norm of the truth, over the positions and channels of "
               "one head |\n"
               "| bias | the part of the error that follows the truth, with its sign; below zero the result "
               "is too small |\n"
               "| n, interval | heads x seeds; every number is their median, in brackets its 95 %% bootstrap "
               "interval |\n"
               "| o, y, state, g | output of the recurrence, of the layer after out_norm, the recurrent "
               "state, the log decay of one step |\n"
               "| memory | 1 / gamma_eff tokens: how long the recurrence remembers, by decay and by the "
               "delta rule |\n\n");
}

static const char *summary_of(const char *profile)
{
    for (int i = 0; i < gdn_profile_count; i++) {
        gdn_profile p = gdn_profile_builtin(i);
        if (gdn_same(p.name, profile))
            return p.summary;
    }
    return "defined in the experiment file, or read from a file of results";
}

void gdn_section_profiles(const gdn_results *r, FILE *f)
{
    fprintf(f, "## Profiles\n\n| profile | what it stores and computes |\n|:--|:--|\n");
    for (size_t i = 0; i < r->profiles.n; i++)
        fprintf(f, "| %s | %s |\n", gdn_text_name(r->profiles.name[i]).s, summary_of(r->profiles.name[i]));
    fprintf(f, "\n");
}

/* A JSON value on one line; to be freed. */
static char *shown(const json_t *x)
{
    if (json_is_string(x))
        return strdup(json_string_value(x));
    return json_dumps(x, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6) | JSON_COMPACT);
}

static void put_fact(const char *section, const char *key, const json_t *x, FILE *f)
{
    char *value = shown(x);
    fprintf(f, "| %s%s%s | %s |\n", section, *section ? ", " : "", gdn_text_name(key).s,
            value ? gdn_text_name(value).s : "?");
    free(value);
}

void gdn_section_provenance(const gdn_results *r, FILE *f)
{
    const char *key, *inner;
    json_t *value, *x;
    fprintf(f, "## Provenance\n\n| what | value |\n|:--|:--|\n");
    json_object_foreach(r->manifest, key, value)
    {
        if (gdn_same(key, "files"))
            continue;
        if (!json_is_object(value))
            put_fact("", key, value, f);
        else
            json_object_foreach(value, inner, x) if (!gdn_same(inner, "text") && !gdn_same(inner, "question"))
                put_fact(key, inner, x, f);
    }
    fprintf(f, "\n");
}

/* Is the file still what the manifest says? */
static const char *checked(const gdn_results *r, const char *file, const char *sum)
{
    char path[PATH_MAX], now[65];
    gdn_error ignored;
    if (snprintf(path, sizeof path, "%s/%s", r->dir, file) >= (int)sizeof path ||
        gdn_file_sha256(path, now, &ignored) != GDN_OK)
        return "missing";
    return gdn_same(now, sum) ? "as listed" : "CHANGED since";
}

void gdn_section_files(const gdn_results *r, FILE *f)
{
    const char *file;
    json_t *sum;
    fprintf(f, "## Files\n\n| file | sha256 in the manifest | on disk |\n|:--|:--|:--|\n");
    json_object_foreach(json_object_get(r->manifest, "files"), file, sum)
    {
        const char *hex = json_is_string(sum) ? json_string_value(sum) : "";
        fprintf(f, "| %s | `%.64s` | %s |\n", gdn_text_name(file).s, hex, checked(r, file, hex));
    }
    fprintf(f, "\n");
}

/* Text as an indented block, which no mark inside can end. */
static void put_block(const char *s, FILE *f)
{
    while (*s) {
        size_t n = strcspn(s, "\n");
        fprintf(f, "    %.*s\n", (int)n, s);
        s += n + (s[n] == '\n');
    }
    fprintf(f, "\n");
}

void gdn_section_reproduce(const gdn_results *r, FILE *f)
{
    const char *experiment = gdn_manifest_text(r, "experiment", "name"),
               *content = gdn_manifest_text(r, "experiment", "text"),
               *commit = gdn_manifest_text(r, "program", "commit"),
               *command = gdn_manifest_text(r, NULL, "command");
    json_t *dirty = json_object_get(json_object_get(r->manifest, "program"), "dirty");
    fprintf(f, "## How to reproduce\n\n");
    put_block("make", f);
    fprintf(f, "at commit `%.40s`%s, then\n\n", *commit ? commit : "unknown",
            json_is_true(dirty) || json_integer_value(dirty)
                ? " (the tree had uncommitted changes, which the commit does not hold)"
                : "");
    fprintf(f, "    %s\n    gdnprec plot %s\n    gdnprec report %s\n\n",
            *command ? command : "gdnprec run EXPERIMENT", experiment, experiment);
    fprintf(f, "with the same `--results` where one was given. Rows whose mode is `portable` come out the "
               "same bit for bit on every CPU, compiler and thread count.\n\n");
    if (*content) {
        fprintf(f, "The experiment file:\n\n");
        put_block(content, f);
    }
    fprintf(f, "---\n\n%s\n", r->provenance);
}
