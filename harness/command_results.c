/* SPDX-License-Identifier: Apache-2.0 */
/* command_results -- gdnprec results: the results that can be cited, from the result files. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "harness/json_file.h"
#include "harness/commands.h"
#include "harness/results_index.h"

enum { MAX_DOCUMENTS = 16, MAX_IDS = 256 };

typedef struct arguments {
    const char *root, *ledger, *claims;
    const char *write[MAX_DOCUMENTS], *check[MAX_DOCUMENTS];
    const char *id[MAX_IDS];
    int writes, checks, ids;
    bool json, text, headlines;
} arguments;

enum { TEXT_FORM = 256, CLAIMS, WRITE, CHECK };

static const struct argp_option options[] = {
    {"results", 'r', "DIR", 0, "the results to judge by (default: results)", 0},
    {"headlines", 'H', 0, 0, "the headline results only; exit status 1 where one does not hold", 0},
    {"text", TEXT_FORM, 0, 0, "a line a result, instead of Markdown", 0},
    {"json", 'J', 0, 0, "as JSON, with every value, its interval and its query", 0},
    {"write", WRITE, "FILE", 0, "renew the marked parts of a document; may be given again", 0},
    {"check", CHECK, "FILE", 0, "are they what the results say? exit status 1 if not; may be given again", 0},
    {"ledger", 'l', "FILE", 0, "the ledger (default: results.yaml, which came with the program)", 0},
    {"claims", CLAIMS, "FILE", 0, "the ledger of claims (default: claims.yaml, which came with the program)",
     0},
    {0},
};

static error_t option(int key, char *text, struct argp_state *state)
{
    arguments *a = state->input;
    switch (key) {
    case 'r':
        a->root = text;
        return 0;
    case 'l':
        a->ledger = text;
        return 0;
    case CLAIMS:
        a->claims = text;
        return 0;
    case 'H':
        a->headlines = true;
        return 0;
    case TEXT_FORM:
        a->text = true;
        return 0;
    case 'J':
        a->json = true;
        return 0;
    case WRITE:
        if (a->writes == MAX_DOCUMENTS)
            return E2BIG;
        a->write[a->writes++] = text;
        return 0;
    case CHECK:
        if (a->checks == MAX_DOCUMENTS)
            return E2BIG;
        a->check[a->checks++] = text;
        return 0;
    case ARGP_KEY_ARG:
        if (a->ids == MAX_IDS)
            return E2BIG;
        a->id[a->ids++] = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* "R-7" or "R7". */
static bool named(const gdn_claim *r, const char *id)
{
    char shown[16];
    return strcmp(id, r->id) == 0 || strcmp(id, gdn_result_id(r, shown)) == 0;
}

static bool wanted(const arguments *a, const gdn_claim *r)
{
    bool is = a->ids == 0;
    for (int i = 0; i < a->ids; i++)
        is = is || named(r, a->id[i]);
    return is && (r->headline || !a->headlines);
}

static gdn_status ids_known(const gdn_index *x, const arguments *a, gdn_error *err)
{
    for (int i = 0; i < a->ids; i++) {
        size_t k = 0;
        while (k < x->results.n && !named(&x->results.claim[k], a->id[i]))
            k++;
        if (k == x->results.n)
            return gdn_fail(err, GDN_BAD_INPUT, "results: %s has no result '%.80s'; R-1 to R-%s",
                            x->results.yaml.path, a->id[i], x->results.claim[x->results.n - 1].id + 1);
    }
    return GDN_OK;
}

/* ---- forms ---- */

static void print_text(const gdn_index *x, const arguments *a)
{
    char id[16];
    for (size_t i = 0; i < x->n_results; i++)
        if (wanted(a, x->result[i].claim))
            printf("%-5s %s: %s\n", gdn_result_id(x->result[i].claim, id), gdn_result_verdict(&x->result[i]),
                   x->result[i].finding);
}

static json_t *values_json(const gdn_judgement *j)
{
    json_t *all = json_array();
    for (unsigned v = 0; j->number && v < j->claim->values_count; v++) {
        const gdn_claim_value *c = &j->claim->values[v];
        const gdn_claim_number *x = &j->number[v];
        json_array_append_new(all, json_pack("{s:s, s:s, s:o, s:o, s:o}", "name", c->name,
                                             c->sql ? "sql" : "of", c->sql ? c->sql : c->of, "value",
                                             x->text ? json_string(x->text) : gdn_json_number(x->value), "lo",
                                             gdn_json_number(x->lo), "hi", gdn_json_number(x->hi)));
    }
    return all;
}

static json_t *texts_json(char *const *text, size_t n)
{
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(all, json_string(text[i]));
    return all;
}

static json_t *made_json(const gdn_index *x, const gdn_claim *r)
{
    json_t *all = json_array();
    for (unsigned e = 0; e < r->experiments_count; e++) {
        const gdn_made *m = gdn_index_made(x, r->experiments[e]);
        char device[160], commit[64], command[1200];
        if (!m)
            continue;
        gdn_made_command(m, r->tier == GDN_TIER_GPU, command, sizeof command);
        gdn_made_device(m, device, sizeof device);
        gdn_made_commit(m, commit, sizeof commit);
        json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:s}", "experiment", m->name, "command",
                                             command, "device", device, "commit", commit));
    }
    return all;
}

static gdn_status print_json(const gdn_index *x, const arguments *a, gdn_error *err)
{
    json_t *all = json_array();
    size_t n = 0;
    char id[16];
    for (size_t i = 0; i < x->n_results; i++) {
        const gdn_judgement *j = &x->result[i];
        const gdn_claim *r = j->claim;
        if (!wanted(a, r))
            continue;
        n++;
        json_array_append_new(all,
                              json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:s*, s:o, s:o, s:o, s:o}", "id",
                                        gdn_result_id(r, id), "proposition", r->proposition, "verdict",
                                        gdn_result_verdict(j), "finding", j->finding, "headline", r->headline,
                                        "tier", gdn_tier_names[r->tier], "figure", r->figure, "settles",
                                        texts_json(r->settles, r->settles_count), "made", made_json(x, r),
                                        "files", texts_json(j->files, j->n_files), "values", values_json(j)));
    }
    bool whole = json_array_size(all) == n && json_dumpf(all, stdout, JSON_INDENT(2)) == 0;
    printf("\n");
    json_decref(all);
    return whole ? GDN_OK : gdn_no_memory(err, "the results as JSON");
}

/* All parts, each under a heading of its name. */
static gdn_status print_markdown(const gdn_index *x, gdn_error *err)
{
    gdn_status status = GDN_OK;
    for (int i = 0; i < gdn_index_part_count && !status; i++) {
        printf("%s<!-- %s: %s -->\n\n", i ? "\n" : "", gdn_index_parts[i].name, gdn_index_parts[i].summary);
        status = gdn_index_parts[i].put(x, "", stdout, err);
    }
    return status;
}

static gdn_status documents(const gdn_index *x, const arguments *a, gdn_error *err)
{
    gdn_status status = GDN_OK;
    for (int i = 0; i < a->writes && !status; i++)
        status = gdn_index_write(x, a->write[i], err);
    for (int i = 0; i < a->checks && !status; i++)
        status = gdn_index_check(x, a->check[i], err);
    return status;
}

static gdn_status all_hold(const gdn_index *x, const arguments *a, gdn_error *err)
{
    for (size_t i = 0; i < x->n_results; i++) {
        const gdn_judgement *j = &x->result[i];
        char id[16];
        if (wanted(a, j->claim) && j->verdict != GDN_CONFIRMED)
            return gdn_fail(err, GDN_DIFFERS, "%s %s: %s", gdn_result_id(j->claim, id), gdn_result_verdict(j),
                            j->finding);
    }
    return GDN_OK;
}

gdn_status gdn_command_results(int argc, char **argv, gdn_error *err)
{
    static const struct argp argp = {
        options,
        option,
        "[ID...]",
        "The results that can be cited: each one's sentence with its numbers, the claims it settles, its "
        "figure, "
        "its rows as a query, and the command that makes them again."
        "\vAn ID is R-7; with IDs, or --headlines, the form is a line a result unless --json is given. "
        "Sentences, and whether "
        "they hold, are computed from the CSV files of results: with --results OTHER the same sentences are "
        "asked of other "
        "runs, say of another set of seeds. A document has marked parts where it has lines such as "
        "`<!-- gdnprec results: index -->' and `<!-- gdnprec results end -->'.",
        NULL,
        NULL,
        NULL};
    arguments a = {.root = "results"};
    char share[4096], results[4200], claims[4200];
    gdn_index x;
    int done;
    gdn_status status = gdn_parse(&argp, argc, argv, &a, &done, err);
    if (status || done)
        return status;
    snprintf(results, sizeof results, "%s/results.yaml", gdn_share(share, sizeof share));
    snprintf(claims, sizeof claims, "%s/claims.yaml", share);
    status = gdn_index_open(&x, a.ledger ? a.ledger : results, a.claims ? a.claims : claims, a.root, err);
    if (!status)
        status = ids_known(&x, &a, err);
    if (!status && a.writes + a.checks > 0)
        status = documents(&x, &a, err);
    else if (!status && a.json)
        status = print_json(&x, &a, err);
    else if (!status && (a.text || a.headlines || a.ids > 0))
        print_text(&x, &a);
    else if (!status)
        status = print_markdown(&x, err);
    if (!status && a.headlines)
        status = all_hold(&x, &a, err);
    gdn_index_close(&x);
    return status;
}
