/* SPDX-License-Identifier: Apache-2.0 */
/* results_markdown -- the parts of the index as Markdown; see results_index.h. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/provenance.h"
#include "harness/report_parts.h"
#include "harness/results_index.h"

enum { SQL_WIDTH = 110, ENGINES = 64 };

static const char *const tier_words[GDN_TIERS] = {"minutes of a laptop", "hours of a laptop", "a GPU"};

/* A sentence as Markdown that reads well as it stands: brackets mean nothing where no link follows. */
static void put_plain(FILE *f, const char *s)
{
    for (; *s; s++) {
        if (strchr("\\`*<>|", *s) || (*s == '[' && strchr(s, ']') && strchr(s, ']')[1] == '('))
            fputc('\\', f);
        fputc(*s == '\n' ? ' ' : *s, f);
    }
}

/* "holds" is what a reader takes for granted; anything else is said. */
static void put_doubt(const gdn_judgement *j, FILE *f)
{
    if (j->verdict != GDN_CONFIRMED)
        fprintf(f, " **(%s)**", gdn_result_verdict(j));
}

static void put_link(const gdn_claim *r, const char *beside, FILE *f)
{
    char id[16];
    fprintf(f, "[%s](%s#r-%s)", gdn_result_id(r, id), *beside ? "results/README.md" : "", r->id + 1);
}

/* ---- headlines ---- */

static gdn_status put_headlines(const gdn_index *x, const char *beside, FILE *f, gdn_error *err)
{
    int n = 0;
    (void)err;
    for (size_t i = 0; i < x->n_results; i++) {
        const gdn_judgement *j = &x->result[i];
        if (!j->claim->headline)
            continue;
        fprintf(f, "%d. ", ++n);
        put_plain(f, j->finding);
        put_doubt(j, f);
        fprintf(f, " ");
        put_link(j->claim, beside, f);
        fprintf(f, "\n");
    }
    return GDN_OK;
}

/* ---- tables of numbers with labels ---- */

static bool has_numbers(const gdn_judgement *j)
{
    for (unsigned v = 0; j->number && v < j->claim->values_count; v++)
        if (j->claim->values[v].label)
            return true;
    return false;
}

void gdn_put_numbers(const gdn_judgement *j, const char *head, const char *each, FILE *f)
{
    for (unsigned v = 0; j->number && v < j->claim->values_count; v++) {
        const gdn_claim_number *a = &j->number[v];
        if (!j->claim->values[v].label)
            continue;
        fprintf(f, "%s%s", head, each);
        put_plain(f, j->claim->values[v].label);
        fprintf(f, " | %s |\n",
                a->lo < a->hi ? gdn_text_span(a->value, a->lo, a->hi).s : gdn_text_amount(a->value).s);
        head = "";
    }
}

/* Those of the headlines as one table. */
static gdn_status put_costs(const gdn_index *x, const char *beside, FILE *f, gdn_error *err)
{
    (void)err;
    fprintf(f, "| result | | error |\n|:--|:--|--:|\n");
    for (size_t i = 0; i < x->n_results; i++) {
        const gdn_judgement *j = &x->result[i];
        if (!j->claim->headline || !has_numbers(j))
            continue;
        fprintf(f, "| ");
        put_link(j->claim, beside, f);
        fprintf(f, " | **");
        put_plain(f, j->claim->proposition);
        fprintf(f, "** | |\n");
        gdn_put_numbers(j, "", "| | ", f);
    }
    return GDN_OK;
}

/* ---- runs ---- */

static gdn_status put_runs(const gdn_index *x, const char *beside, FILE *f, gdn_error *err)
{
    (void)err;
    fprintf(f, "| folder | question | size | command | time of the run | device | "
               "date, commit |\n|:--|:--|:--|:--|--:|:--|:--|\n");
    for (size_t i = 0; i < x->n_made; i++) {
        const gdn_made *m = &x->made[i];
        char device[160], time[32], commit[64], date[16], command[1200];
        gdn_made_command(m, true, command, sizeof command);
        gdn_made_date(m, date, sizeof date);
        gdn_made_device(m, device, sizeof device);
        gdn_made_time(m, time, sizeof time);
        gdn_made_commit(m, commit, sizeof commit);
        fprintf(f, "| [%s](%s%s) | ", m->name, beside, m->name);
        put_plain(f,
                  json_string_value(json_object_get(json_object_get(m->manifest, "experiment"), "question")));
        fprintf(f, " | ");
        if (isnan(m->heads))
            fprintf(f, "–");
        else
            fprintf(f, "%.0f %s, %.0f x %s heads, T = %s", m->profiles,
                    m->profiles == 1 ? "profile" : "profiles", m->populations, gdn_text_count(m->heads).s,
                    gdn_text_count(m->length).s);
        fprintf(f, " | `%s` | %s | ", command, time);
        put_plain(f, device);
        fprintf(f, " | %s, %s |\n", date, commit);
    }
    return GDN_OK;
}

/* ---- the index ---- */

static const char *settled_as(const gdn_index *x, const char *id)
{
    for (size_t i = 0; i < x->n_claims; i++)
        if (strcmp(x->claim[i].claim->id, id) == 0)
            return gdn_verdict_names[x->claim[i].verdict];
    return gdn_verdict_names[GDN_NO_DATA];
}

/* SQL in lines, broken at spaces outside of quotes. */
static void put_sql(const char *sql, FILE *f)
{
    char quote = 0;
    int column = 0;
    for (const char *s = sql; *s; s++) {
        quote = quote == *s ? 0 : !quote && (*s == '\'' || *s == '"') ? *s : quote;
        bool blank = !quote && isspace((unsigned char)*s);
        int word = 1;
        while (blank && s[word] && !isspace((unsigned char)s[word]))
            word++;
        bool end = blank && column + word > SQL_WIDTH;
        fputc(end ? '\n' : blank ? ' ' : *s, f);
        column = end ? 0 : column + 1;
    }
    fputc('\n', f);
}

/* A count with all its digits, other numbers with three. */
static gdn_text as_it_is(double x)
{
    gdn_text t = gdn_text_number(x);
    if (x == floor(x) && fabs(x) < 1e9)
        snprintf(t.s, sizeof t.s, "%.0f", x);
    return t;
}

static void put_value(const gdn_claim_value *v, const gdn_claim_number *a, FILE *f)
{
    fprintf(f, "-- %s", v->name);
    if (v->of)
        fprintf(f, " = %s", v->of);
    if (a && a->text)
        fprintf(f, ": %s", a->text);
    else if (a && !isnan(a->value)) {
        fprintf(f, ": %s", as_it_is(a->value).s);
        if (a->lo < a->hi)
            fprintf(f, " [%s, %s]", as_it_is(a->lo).s, as_it_is(a->hi).s);
    }
    fprintf(f, "\n");
    if (v->sql)
        put_sql(v->sql, f);
}

void gdn_put_rows(const gdn_judgement *j, FILE *f)
{
    fprintf(f, "```sql\n");
    for (unsigned v = 0; v < j->claim->values_count; v++)
        put_value(&j->claim->values[v], j->number ? &j->number[v] : NULL, f);
    fprintf(f, "```\n");
}

static void put_made(const gdn_index *x, const gdn_claim *r, FILE *f)
{
    fprintf(f, "- again (%s): ", tier_words[r->tier]);
    for (unsigned e = 0; e < r->experiments_count; e++) {
        const gdn_made *m = gdn_index_made(x, r->experiments[e]);
        char command[1200] = "gdnprec run";
        if (m)
            gdn_made_command(m, r->tier == GDN_TIER_GPU, command, sizeof command);
        fprintf(f, "%s`%s`", e ? ", " : "", command);
    }
    fprintf(f, "\n- made: ");
    for (unsigned e = 0; e < r->experiments_count; e++) {
        const gdn_made *m = gdn_index_made(x, r->experiments[e]);
        char device[160] = "?", commit[64] = "?";
        if (m) {
            gdn_made_device(m, device, sizeof device);
            gdn_made_commit(m, commit, sizeof commit);
        }
        fprintf(f, "%s%s by commit %s on ", e ? "; " : "", r->experiments[e], commit);
        put_plain(f, device);
    }
    fprintf(f, "\n");
}

static void put_result(const gdn_index *x, const gdn_judgement *j, const char *beside, FILE *f)
{
    const gdn_claim *r = j->claim;
    char id[16];
    fprintf(f, "\n### %s\n\n**", gdn_result_id(r, id));
    put_plain(f, r->proposition);
    fprintf(f, ".** ");
    put_plain(f, j->finding);
    put_doubt(j, f);
    fprintf(f, "\n");
    gdn_put_numbers(j, "\n| | error |\n|:--|--:|\n", "| ", f);
    fprintf(f, "\n- holds if: `%s`\n", r->confirmed ? r->confirmed : r->limits);
    if (r->settles_count) {
        fprintf(f, "- settles: ");
        for (unsigned k = 0; k < r->settles_count; k++)
            fprintf(f, "%s%s %s", k ? ", " : "", r->settles[k], settled_as(x, r->settles[k]));
        fprintf(f, "\n");
    }
    if (r->figure)
        fprintf(f, "- figure: [%s](%s%s)\n", r->figure, beside, r->figure);
    put_made(x, r, f);
    fprintf(f, "- rows:\n\n");
    gdn_put_rows(j, f);
}

static gdn_status put_index(const gdn_index *x, const char *beside, FILE *f, gdn_error *err)
{
    gdn_status status = gdn_index_figures(x, err);
    if (status)
        return status;
    fprintf(f, "| id | result | settles | to make it again |\n|:--|:--|:--|:--|\n");
    for (size_t i = 0; i < x->n_results; i++) {
        const gdn_judgement *j = &x->result[i];
        fprintf(f, "| ");
        put_link(j->claim, beside, f);
        fprintf(f, " | ");
        put_plain(f, j->claim->proposition);
        put_doubt(j, f);
        fprintf(f, " | ");
        for (unsigned k = 0; k < j->claim->settles_count; k++)
            fprintf(f, "%s%s", k ? ", " : "", j->claim->settles[k]);
        fprintf(f, " | %s |\n", tier_words[j->claim->tier]);
    }
    for (size_t i = 0; i < x->n_results; i++)
        put_result(x, &x->result[i], beside, f);
    return GDN_OK;
}

/* ---- how to cite ---- */

static gdn_status put_cite(const gdn_index *x, const char *beside, FILE *f, gdn_error *err)
{
    const gdn_claim *r = x->results.claim;
    const gdn_made *m = gdn_index_made(x, r->experiments[0]);
    char id[16], commit[64] = "";
    (void)beside, (void)err;
    if (m)
        gdn_made_commit(m, commit, sizeof commit);
    fprintf(f,
            "> gdnprec %s, result %s (%s, commit %s)\n\n"
            "names one sentence, its rows and the command that makes them again.\n",
            gdn_version(), gdn_result_id(r, id), r->experiments[0], commit);
    return GDN_OK;
}

/* ---- speed ---- */

typedef struct speed {
    char engine[80];
    double heads, length, rate;
} speed;

/* "recurrent fp32    2048    2048    12.562    333.9    72 %"; false for other lines. */
static bool speed_of(const char *line, speed *s)
{
    const char *gap = strstr(line, "  ");
    size_t n = gap ? (size_t)(gap - line) : 0;
    double milliseconds;
    if (n == 0 || n >= sizeof s->engine ||
        sscanf(gap, "%lf %lf %lf %lf", &s->heads, &s->length, &milliseconds, &s->rate) != 4)
        return false;
    snprintf(s->engine, sizeof s->engine, "%.*s", (int)n, line);
    return true;
}

/* The fastest shape of each engine in bench-h100.txt, as `gdnprec bench` wrote it. */
static gdn_status put_speed(const gdn_index *x, const char *beside, FILE *f, gdn_error *err)
{
    char path[PATH_MAX], line[512], device[160] = "";
    speed best[ENGINES], s;
    size_t n = 0;
    snprintf(path, sizeof path, "%.4000s/bench-h100.txt", x->root);
    FILE *in = fopen(path, "r");
    if (!in)
        return gdn_fail(err, GDN_BAD_INPUT, "%.400s: %s", path, strerror(errno));
    for (int number = 1; fgets(line, sizeof line, in); number++) {
        size_t k = 0;
        if (number == 2)
            snprintf(device, sizeof device, "%.*s", (int)strcspn(line, ",\n"), line);
        if (!speed_of(line, &s))
            continue;
        while (k < n && strcmp(best[k].engine, s.engine) != 0)
            k++;
        if (k == n && n < ENGINES)
            best[n++] = s;
        else if (k < n && s.rate > best[k].rate)
            best[k] = s;
    }
    fclose(in);
    if (n == 0)
        return gdn_fail(err, GDN_BAD_INPUT, "%.400s: no line of an engine, as `gdnprec bench` writes it",
                        path);
    fprintf(f,
            "| engine on one %s ([bench](%sbench-h100.txt)), d_k = d_v = 128 | heads, T | M head-tokens/s |\n"
            "|:--|:--|--:|\n",
            device, beside);
    for (size_t k = 0; k < n; k++)
        fprintf(f, "| %s | %s, %s | %s |\n", best[k].engine, gdn_text_count(best[k].heads).s,
                gdn_text_count(best[k].length).s, gdn_text_number(best[k].rate).s);
    return GDN_OK;
}

const gdn_index_part gdn_index_parts[] = {
    {"headlines", "the answer, in the sentences of the headline results", put_headlines},
    {"costs", "the errors that headline results list", put_costs},
    {"index", "every result: sentence, claims, figure, command, rows", put_index},
    {"cite", "how to cite a result", put_cite},
    {"runs", "folders of results: question, size, command, time, device, commit", put_runs},
    {"speed", "the engines on a GPU", put_speed},
};
const int gdn_index_part_count = sizeof gdn_index_parts / sizeof gdn_index_parts[0];

const gdn_index_part *gdn_index_part_find(const char *name)
{
    for (int i = 0; i < gdn_index_part_count; i++)
        if (strcmp(gdn_index_parts[i].name, name) == 0)
            return &gdn_index_parts[i];
    return NULL;
}
