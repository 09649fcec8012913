/* SPDX-License-Identifier: Apache-2.0 */
/* report_whole_rows -- every entry of the ledgers: what it says, when that holds, its files and queries. */
#include <limits.h>
#include <unistd.h>

#include "harness/report_whole.h"

/* A link where it is drawn. */
static void put_figure(const gdn_overview *w, const gdn_claim *c, FILE *f)
{
    char path[PATH_MAX];
    if (!c->figure)
        return;
    int n = snprintf(path, sizeof path, "%s/%s", w->root, c->figure);
    if (n > 0 && (size_t)n < sizeof path && access(path, R_OK) == 0)
        fprintf(f, "- figure: [%s](%s)\n", c->figure, c->figure);
    else
        fprintf(f, "- figure: `%s`, not drawn here\n", c->figure);
}

/* The claims that it settles, with links to those that have an entry. */
static void put_settled(const gdn_overview *w, const gdn_claim *c, FILE *f)
{
    for (unsigned k = 0; k < c->settles_count; k++) {
        const gdn_judgement *settled = NULL;
        for (size_t i = 0; i < w->claim.n; i++)
            if (gdn_same(w->claim.j[i].claim->id, c->settles[k]) && gdn_has_entry(&w->claim.j[i]))
                settled = &w->claim.j[i];
        fprintf(f, "%s", k ? ", " : "- settles: ");
        if (settled)
            gdn_put_mark(settled->claim, f);
        else
            fprintf(f, "%s", c->settles[k]);
    }
    if (c->settles_count)
        fprintf(f, "\n");
}

static void put_again(const gdn_overview *w, const gdn_claim *c, FILE *f)
{
    for (unsigned e = 0; e < c->experiments_count; e++) {
        const gdn_made *m = gdn_index_made(&w->index, c->experiments[e]);
        char command[1200];
        if (m)
            gdn_made_command(m, true, command, sizeof command);
        fprintf(f, "%s`%s`", e ? ", " : "- again: ", m ? command : c->experiments[e]);
    }
    if (c->experiments_count)
        fprintf(f, "\n");
}

/* Files below the root are links. */
static void put_files(const gdn_overview *w, const gdn_judgement *j, FILE *f)
{
    size_t n = strlen(w->root);
    for (size_t i = 0; i < j->n_files; i++) {
        const char *path = j->files[i];
        bool inside = strncmp(path, w->root, n) == 0 && path[n] == '/';
        fprintf(f, "%s", i ? ", " : "- files: ");
        if (inside)
            fprintf(f, "[%s](%s)", path + n + 1, path + n + 1);
        else
            gdn_put_sentence(f, path);
    }
    if (j->n_files)
        fprintf(f, "\n");
}

static void put_condition(const char *key, const char *sql, FILE *f)
{
    if (sql)
        fprintf(f, "- %s if `%s`\n", key, sql);
}

static void put_entry(const gdn_overview *w, const gdn_judgement *j, bool claim, FILE *f)
{
    const gdn_claim *c = j->claim;
    if (!gdn_has_entry(j))
        return;
    fprintf(f, "### %s\n\n**", gdn_mark_of(c).id);
    gdn_put_sentence(f, c->proposition);
    fprintf(f, "** (%s%s%s). ", c->source ? c->source : "", c->source ? "; " : "",
            claim ? gdn_verdict_names[j->verdict] : gdn_result_verdict(j));
    gdn_put_sentence(f, j->finding);
    fprintf(f, "\n");
    gdn_put_numbers(j, "\n| | error |\n|:--|--:|\n", "| ", f);
    fprintf(f, "\n");
    if (c->untestable)
        return;
    put_condition(claim ? "confirmed" : "holds", c->confirmed, f);
    put_condition(claim ? "confirmed within limits" : "holds within limits", c->limits, f);
    put_condition(claim ? "refuted" : "does not hold", c->refuted, f);
    put_settled(w, c, f);
    put_figure(w, c, f);
    put_again(w, c, f);
    put_files(w, j, f);
    fprintf(f, "\n");
    gdn_put_rows(j, f);
    fprintf(f, "\n");
}

void gdn_whole_rows(const gdn_overview *w, FILE *f)
{
    fprintf(f, "## Rows behind the numbers\n\n"
               "Every entry of `results.yaml` (R), `decisions.yaml` (T) and `claims.yaml`: its sentence, "
               "the condition of its verdict, the files that were read, and each value’s query with what "
               "it gave. Tables of the queries are the CSV files of these names; “whole” rows are over "
               "all positions at the largest T.\n\n");
    for (size_t i = 0; i < w->index.n_results; i++)
        put_entry(w, &w->index.result[i], false, f);
    for (size_t i = 0; i < w->decision.n; i++)
        put_entry(w, &w->decision.j[i], false, f);
    for (size_t i = 0; i < w->claim.n; i++)
        put_entry(w, &w->claim.j[i], true, f);
}
