/* SPDX-License-Identifier: Apache-2.0 */
/* command_claims -- gdnprec claims: the verdict on every claim of the ledger, from the result files. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "harness/json_file.h"
#include "harness/claims.h"
#include "harness/commands.h"

enum { MAX_ROOTS = 16, MAX_IDS = 256, NARROWEST = 60, WIDEST = 120 };

typedef struct arguments {
    const char *root[MAX_ROOTS];
    size_t roots;
    const char *ledger;
    const char *id[MAX_IDS];
    size_t ids;
    bool json;
} arguments;

static const struct argp_option options[] = {
    {"results", 'r', "DIR", 0, "where results are; may be given again (default: results)", 0},
    {"ledger", 'l', "FILE", 0, "the ledger (default: claims.yaml, which came with the program)", 0},
    {"json", 'J', 0, 0, "as JSON, with every value, its interval and the files behind it", 0},
    {0},
};

static error_t option(int key, char *text, struct argp_state *state)
{
    arguments *a = state->input;
    switch (key) {
    case 'r':
        if (a->roots == MAX_ROOTS)
            return E2BIG;
        a->root[a->roots++] = text;
        return 0;
    case 'l':
        a->ledger = text;
        return 0;
    case 'J':
        a->json = true;
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

/* "A1" names a claim, "A" its group. */
static bool named(const gdn_claim *c, const char *id)
{
    return strcmp(c->id, id) == 0 || (id[0] == c->id[0] && id[1] == 0);
}

static bool wanted(const gdn_claim *c, const void *context)
{
    const arguments *a = context;
    bool is = a->ids == 0;
    for (size_t i = 0; i < a->ids; i++)
        is = is || named(c, a->id[i]);
    return is;
}

static gdn_status ids_known(const gdn_ledger *l, const arguments *a, gdn_error *err)
{
    for (size_t i = 0; i < a->ids; i++) {
        size_t k = 0;
        while (k < l->n && !named(&l->claim[k], a->id[i]))
            k++;
        if (k == l->n)
            return gdn_fail(err, GDN_BAD_INPUT,
                            "claims: %s has no claim '%.80s'; a group such as A, or %s to %s", l->yaml.path,
                            a->id[i], l->claim[0].id, l->claim[l->n - 1].id);
    }
    return GDN_OK;
}

/* A folder that is named must be there; one of its experiments need not be. */
static gdn_status roots_there(const arguments *a, gdn_error *err)
{
    for (size_t i = 0; i < a->roots; i++)
        if (access(a->root[i], R_OK | X_OK))
            return gdn_fail(err, GDN_BAD_INPUT, "claims: --results: %.400s: %s", a->root[i], strerror(errno));
    return GDN_OK;
}

/* ---- as a table ---- */

static int terminal_width(void)
{
    struct winsize size;
    int width = WIDEST;
    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
        width = size.ws_col;
    return width < NARROWEST ? NARROWEST : width > WIDEST ? WIDEST : width;
}

/* Characters of UTF-8 in n bytes; a control character of the data is shown as '?'. */
static int put_word(const char *s, size_t n)
{
    int shown = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        putchar(c < 0x20 || c == 0x7f ? '?' : c);
        shown += (c & 0xc0) != 0x80;
    }
    return shown;
}

static int characters(const char *s, size_t n)
{
    int count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)s[i] & 0xc0) != 0x80;
    return count;
}

/* The text in lines up to `width`, from column `at` on; further lines are indented as far. */
static void put_wrapped(const char *s, int at, int width)
{
    int column = at;
    for (s += strspn(s, " \n"); *s; s += strspn(s, " \n")) {
        size_t n = strcspn(s, " \n");
        if (column > at && column + 1 + characters(s, n) > width) {
            printf("\n%*s", at, "");
            column = at;
        } else if (column > at) {
            putchar(' ');
            column++;
        }
        column += put_word(s, n);
        s += n;
    }
    putchar('\n');
}

static void print_table(const gdn_judgement *j, size_t n)
{
    enum { ID = 4, VERDICT = 25 };
    int width = terminal_width();
    size_t count[GDN_VERDICTS] = {0};
    for (size_t i = 0; i < n; i++) {
        const gdn_claim *c = j[i].claim;
        if (i == 0 || c->id[0] != j[i - 1].claim->id[0])
            printf("%s%c\n", i ? "\n" : "", c->id[0]);
        printf("%-*s %-*s", ID, c->id, VERDICT, gdn_verdict_names[j[i].verdict]);
        put_wrapped(c->proposition, ID + 1 + VERDICT, width);
        printf("%*s", ID + 3 + VERDICT, "");
        put_wrapped(j[i].finding, ID + 3 + VERDICT, width);
        count[j[i].verdict]++;
    }
    printf("\n%zu %s", n, n == 1 ? "claim" : "claims");
    for (int v = 0, said = 0; v < GDN_VERDICTS; v++)
        if (count[v])
            printf("%s%zu %s", said++ ? ", " : ": ", count[v], gdn_verdict_names[v]);
    printf("\n");
}

/* ---- as JSON ---- */

static json_t *values_json(const gdn_judgement *j)
{
    json_t *all = json_array();
    for (unsigned v = 0; j->number && v < j->claim->values_count; v++) {
        const gdn_claim_number *x = &j->number[v];
        json_t *o = json_pack("{s:s}", "name", j->claim->values[v].name);
        if (x->text)
            json_object_set_new(o, "value", json_string(x->text));
        else
            json_object_set_new(o, "value", gdn_json_number(x->value));
        json_object_set_new(o, "lo", gdn_json_number(x->lo));
        json_object_set_new(o, "hi", gdn_json_number(x->hi));
        json_array_append_new(all, o);
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

static gdn_status print_json(const gdn_judgement *j, size_t n, gdn_error *err)
{
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++) {
        const gdn_claim *c = j[i].claim;
        json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "id", c->id,
                                             "verdict", gdn_verdict_names[j[i].verdict], "proposition",
                                             c->proposition, "source", c->source, "finding", j[i].finding,
                                             "values", values_json(&j[i]), "experiments",
                                             texts_json(c->experiments, c->experiments_count), "files",
                                             texts_json(j[i].files, j[i].n_files)));
    }
    bool whole = json_array_size(all) == n && json_dumpf(all, stdout, JSON_INDENT(2)) == 0;
    printf("\n");
    json_decref(all);
    return whole ? GDN_OK : gdn_no_memory(err, "the claims as JSON");
}

gdn_status gdn_command_claims(int argc, char **argv, gdn_error *err)
{
    static const struct argp argp = {
        options,
        option,
        "[ID...]",
        "Judge claims about GDN's precision by the results: each one's verdict, and the numbers it follows "
        "from."
        "\vAn ID is a claim such as A2, or a group such as A; without one, all are judged. Verdicts are "
        "computed from the CSV files of results, by the conditions that the ledger states.",
        NULL,
        NULL,
        NULL};
    arguments a = {.roots = 0};
    char share[4096], path[4200];
    gdn_ledger l = {.n = 0};
    gdn_judgement *j = NULL;
    size_t n = 0;
    int done;
    gdn_status status = gdn_parse(&argp, argc, argv, &a, &done, err);
    if (status || done)
        return status;
    if ((status = roots_there(&a, err)))
        return status;
    if (a.roots == 0)
        a.root[a.roots++] = "results";
    snprintf(path, sizeof path, "%s/claims.yaml", gdn_share(share, sizeof share));
    status = gdn_ledger_load(a.ledger ? a.ledger : path, &l, err);
    if (!status)
        status = ids_known(&l, &a, err);
    if (!status)
        status = gdn_claims_judge(&l, wanted, &a, a.root, a.roots, &j, &n, err);
    if (!status && a.json)
        status = print_json(j, n, err);
    else if (!status)
        print_table(j, n);
    gdn_judgements_free(j, n);
    gdn_ledger_free(&l);
    return status;
}
