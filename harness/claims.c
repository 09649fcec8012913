/* SPDX-License-Identifier: Apache-2.0 */
/* claims -- from values to verdicts; see claims.h. */
#include "harness/claims.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/claims_data.h"

const char *const gdn_verdict_names[GDN_VERDICTS] = {
    "confirmed", "confirmed within limits", "refuted", "undecided", "no data", "not testable here"};

/* The claim at work. */
typedef struct judge {
    gdn_evidence *e;
    const gdn_ledger *l;
    size_t place; /* in the ledger */
    const gdn_claim *claim;
    gdn_judgement *j;
    gdn_error *err;
} judge;

/* A complaint about field `key` of the claim. */
static gdn_status bad(const judge *g, const char *key, const char *why)
{
    char path[64];
    snprintf(path, sizeof path, "%zu/%s", g->place, key);
    return gdn_yaml_bad(&g->l->yaml, path, g->err, "%s: %s", g->claim->id, why);
}

/* Why there is no verdict, as the finding. */
static gdn_status say(judge *g, gdn_verdict verdict, const char *format, const char *what)
{
    g->j->verdict = verdict;
    free(g->j->finding);
    if (asprintf(&g->j->finding, format, what) < 0) {
        g->j->finding = NULL;
        return gdn_no_memory(g->err, "a finding");
    }
    return GDN_OK;
}

/* ---- expressions over values ---- */

/*
 * The expression, or up to three, over the first n values: each is a table of its own name with one row, so
 * that x, x.lo and x.hi are columns. To be freed.
 */
static char *over_values(const gdn_claim *c, unsigned n, const char *expression)
{
    char *sql = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&sql, &size);
    if (!f)
        return NULL;
    fprintf(f, "SELECT %s\n FROM ", expression);
    for (unsigned v = 0; v < n; v++)
        fprintf(f, "%s(SELECT ?%u AS \"%s\", ?%u AS value, ?%u AS lo, ?%u AS hi) AS \"%s\"", v ? ", " : "",
                3 * v + 1, c->values[v].name, 3 * v + 1, 3 * v + 2, 3 * v + 3, c->values[v].name);
    if (fclose(f)) {
        free(sql);
        return NULL;
    }
    return sql;
}

static int bind(sqlite3_stmt *q, int at, double x)
{
    return isnan(x) ? sqlite3_bind_null(q, at) : sqlite3_bind_double(q, at, x);
}

/* Prepare the expression with the values bound; without numbers, all NULL. */
static gdn_status prepare(judge *g, const char *key, unsigned n, const char *expression, sqlite3_stmt **q)
{
    char *sql = over_values(g->claim, n, expression);
    const char *why = NULL;
    if (!sql)
        return gdn_no_memory(g->err, "a claim");
    gdn_status status = gdn_evidence_query(g->e, sql, q, &why);
    free(sql);
    if (status)
        return bad(g, key, why);
    int code = SQLITE_OK;
    for (unsigned v = 0; v < n && g->j->number; v++) {
        const gdn_claim_number *x = &g->j->number[v];
        int at = (int)(3 * v) + 1;
        code |= x->text ? sqlite3_bind_text(*q, at, x->text, -1, SQLITE_STATIC) : bind(*q, at, x->value);
        code |= bind(*q, at + 1, x->lo) | bind(*q, at + 2, x->hi);
    }
    return code == SQLITE_OK ? GDN_OK : gdn_no_memory(g->err, "a claim");
}

/* ---- values ---- */

/* The row at which q stands. */
static gdn_status take(judge *g, sqlite3_stmt *q, gdn_claim_number *x)
{
    double *const to[] = {&x->value, &x->lo, &x->hi};
    for (int c = 0; c < sqlite3_column_count(q) && c < 3; c++)
        if (sqlite3_column_type(q, c) != SQLITE_NULL)
            *to[c] = sqlite3_column_double(q, c);
    if (sqlite3_column_type(q, 0) != SQLITE_TEXT)
        return GDN_OK;
    x->value = NAN;
    x->text = strdup((const char *)sqlite3_column_text(q, 0));
    return x->text ? GDN_OK : gdn_no_memory(g->err, "a claim");
}

/* Its one row as value v. */
static gdn_status only_row(judge *g, const char *key, sqlite3_stmt *q, unsigned v)
{
    const char *why;
    if (gdn_evidence_step(g->e, q, &why) == SQLITE_DONE)
        return say(g, GDN_NO_DATA, "the results hold no row for '%s'", g->claim->values[v].name);
    gdn_status status = why ? bad(g, key, why) : take(g, q, &g->j->number[v]);
    if (status)
        return status;
    bool more = gdn_evidence_step(g->e, q, &why) == SQLITE_ROW;
    return why    ? bad(g, key, why)
           : more ? bad(g, key, "the query gives more than one row; one is wanted")
                  : GDN_OK;
}

/* Value v of the claim; its verdict becomes "no data" where the query finds no row. Without numbers the SQL
 * is only looked over. */
static gdn_status evaluate(judge *g, unsigned v)
{
    const gdn_claim_value *value = &g->claim->values[v];
    char key[32];
    const char *why = NULL;
    sqlite3_stmt *q = NULL;
    snprintf(key, sizeof key, "values/%u", v);
    gdn_status status;
    if (value->of)
        status = prepare(g, key, v, value->of, &q);
    else if ((status = gdn_evidence_query(g->e, value->sql, &q, &why)))
        status = bad(g, key, why);
    if (!status && sqlite3_column_count(q) > 3)
        status = bad(g, key, "the query has more than three columns; value, or value, lo, hi are wanted");
    if (!status && g->j->number)
        status = only_row(g, key, q, v);
    sqlite3_finalize(q);
    return status;
}

/* ---- the verdict ---- */

/* Whether a condition holds: 1, 0, or -1 for NULL. */
static gdn_status holds(judge *g, const char *key, const char *condition, int *truth)
{
    sqlite3_stmt *q = NULL;
    const char *why = NULL;
    gdn_status status = prepare(g, key, g->claim->values_count, condition, &q);
    if (!status && sqlite3_column_count(q) != 1)
        status = bad(g, key, "more than one expression; one condition is wanted");
    *truth = -1;
    if (!status && g->j->number) {
        if (gdn_evidence_step(g->e, q, &why) != SQLITE_ROW)
            status = bad(g, key, why ? why : "the condition gives no row");
        else if (sqlite3_column_type(q, 0) != SQLITE_NULL)
            *truth = sqlite3_column_double(q, 0) != 0;
    }
    sqlite3_finalize(q);
    return status;
}

/* The first condition that holds decides; one that is NULL leaves it open. Without numbers all are looked
 * over. */
static gdn_status decide(judge *g)
{
    const struct {
        const char *key, *condition;
        gdn_verdict verdict;
    } order[] = {{"confirmed", g->claim->confirmed, GDN_CONFIRMED},
                 {"limits", g->claim->limits, GDN_WITHIN_LIMITS},
                 {"refuted", g->claim->refuted, GDN_REFUTED}};
    gdn_status status = GDN_OK;
    bool open = true;
    for (size_t k = 0; k < 3 && !status; k++) {
        int truth = 0;
        if (order[k].condition)
            status = holds(g, order[k].key, order[k].condition, &truth);
        if (open && truth == 1)
            g->j->verdict = order[k].verdict;
        open = open && truth == 0;
    }
    return status;
}

/* To the finding of an undecided claim: which values are NULL. */
static gdn_status name_empty(judge *g)
{
    char *finding = NULL;
    size_t size = 0, n = 0;
    FILE *f = open_memstream(&finding, &size);
    if (!f)
        return gdn_no_memory(g->err, "a finding");
    fputs(g->j->finding, f);
    for (unsigned v = 0; v < g->claim->values_count; v++)
        if (isnan(g->j->number[v].value) && !g->j->number[v].text)
            fprintf(f, "%s%s", n++ ? ", " : " (No value: ", g->claim->values[v].name);
    fputs(n ? ".)" : "", f);
    if (fclose(f)) {
        free(finding);
        return gdn_no_memory(g->err, "a finding");
    }
    free(g->j->finding);
    g->j->finding = finding;
    return GDN_OK;
}

static gdn_status judge_one(judge *g)
{
    const gdn_claim *c = g->claim;
    const char *missing;
    char ignored[64];
    g->j->claim = c;
    if (c->untestable)
        return say(g, GDN_NOT_TESTABLE, "%s", c->untestable);
    gdn_status status = gdn_evidence_show(g->e, c->experiments, c->experiments_count, &missing, g->err);
    /* the SQL is looked over whether there are data or not */
    for (unsigned v = 0; v < c->values_count && !status; v++)
        status = evaluate(g, v);
    if (!status)
        status = decide(g);
    if (!status && missing)
        status = say(g, GDN_NO_DATA, "there are no results of %s", missing);
    if (status || missing)
        return status;
    g->j->number = calloc((size_t)c->values_count + 1, sizeof *g->j->number);
    if (!g->j->number)
        return gdn_no_memory(g->err, "a claim");
    g->j->verdict = GDN_UNDECIDED;
    for (unsigned v = 0; v < c->values_count; v++)
        g->j->number[v] = (gdn_claim_number){NAN, NAN, NAN, NULL};
    for (unsigned v = 0; v < c->values_count && !status && g->j->verdict == GDN_UNDECIDED; v++)
        status = evaluate(g, v);
    if (!status)
        status = gdn_evidence_files(g->e, &g->j->files, &g->j->n_files, g->err);
    if (!status && g->j->verdict == GDN_UNDECIDED)
        status = decide(g);
    if (!status && !g->j->finding)
        status = gdn_claim_sentence(c, g->j->number, &g->j->finding, ignored, g->err);
    if (!status && g->j->verdict == GDN_UNDECIDED)
        status = name_empty(g);
    return status;
}

gdn_status gdn_claims_judge_by(gdn_evidence *e, const gdn_ledger *l, gdn_claim_wanted *wanted,
                               const void *context, gdn_judgement **out, size_t *n, gdn_error *err)
{
    gdn_judgement *j = calloc(l->n + 1, sizeof *j);
    gdn_status status = j ? GDN_OK : gdn_no_memory(err, "claims");
    *n = 0;
    for (size_t i = 0; i < l->n && !status; i++) {
        judge g = {e, l, i, &l->claim[i], &j[*n], err};
        if (wanted && !wanted(g.claim, context))
            continue;
        ++*n;
        status = judge_one(&g);
    }
    if (status) {
        gdn_judgements_free(j, *n);
        j = NULL;
        *n = 0;
    }
    *out = j;
    return status;
}

gdn_status gdn_claims_judge(const gdn_ledger *l, gdn_claim_wanted *wanted, const void *context,
                            const char *const *roots, size_t n_roots, gdn_judgement **out, size_t *n,
                            gdn_error *err)
{
    gdn_evidence *e = NULL;
    *out = NULL;
    *n = 0;
    gdn_status status = gdn_evidence_open(&e, roots, n_roots, err);
    if (!status)
        status = gdn_claims_judge_by(e, l, wanted, context, out, n, err);
    gdn_evidence_close(e);
    return status;
}

void gdn_judgements_free(gdn_judgement *j, size_t n)
{
    for (size_t i = 0; j && i < n; i++) {
        for (unsigned v = 0; j[i].number && v < j[i].claim->values_count; v++)
            free(j[i].number[v].text);
        for (size_t k = 0; k < j[i].n_files; k++)
            free(j[i].files[k]);
        free(j[i].files);
        free(j[i].number);
        free(j[i].finding);
    }
    free(j);
}

const gdn_claim_number *gdn_judgement_number(const gdn_judgement *j, const char *name)
{
    for (unsigned v = 0; j->number && v < j->claim->values_count; v++)
        if (strcmp(j->claim->values[v].name, name) == 0)
            return &j->number[v];
    return NULL;
}
