/* SPDX-License-Identifier: Apache-2.0 */
/* results_index -- two ledgers and the manifests of results; see results_index.h. */
#include "harness/results_index.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/claims_data.h"
#include "harness/json_file.h"

enum { COMMAND = 1024 };

/* ---- runs ---- */

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* How many of an option's words are left out, because they choose where and how fast, not what: 0, 1 or 2. */
static int aside(const char *word)
{
    static const struct {
        const char *name;
        int words;
    } options[] = {{"--quiet", 1},   {"-q", 1}, {"--json", 1},    {"-J", 1}, {"--jobs", 2},   {"-j", 2},
                   {"--results", 2}, {"-r", 2}, {"--backend", 2}, {"-b", 2}, {"--device", 2}, {"-d", 2},
                   {"--isa", 2},     {"-I", 2}, {"--block", 2},   {"-B", 2}};
    size_t n = strcspn(word, "=");
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (strlen(options[i].name) == n && strncmp(word, options[i].name, n) == 0)
            return word[n] == '=' ? 1 : options[i].words;
    return 0;
}

/* The words of a manifest's command behind `gdnprec run`: what changes rows (seeds, lengths), and the file.
 */
static char *command_of(const json_t *manifest)
{
    char words[COMMAND], out[COMMAND], *save = NULL;
    int skip = 0, place = 0;
    size_t n = 0;
    snprintf(words, sizeof words, "%s", text_of(manifest, "command"));
    for (char *w = strtok_r(words, " ", &save); w && n < sizeof out; w = strtok_r(NULL, " ", &save)) {
        size_t length = strlen(w);
        bool file = length > 5 && strcmp(w + length - 5, ".yaml") == 0;
        if (skip > 0)
            skip--;
        else if (place++ < 2 || file) /* gdnprec run */
            continue;
        else if (aside(w))
            skip = aside(w) - 1;
        else
            n += (size_t)snprintf(out + n, sizeof out - n, " %s", w);
    }
    if (n < sizeof out)
        snprintf(out + n, sizeof out - n, " %s", text_of(json_object_get(manifest, "experiment"), "file"));
    return strdup(out);
}

/* Sizes of an experiment, from its rows. */
static gdn_status measure(gdn_evidence *e, gdn_made *m, gdn_error *err)
{
    static const char query[] = "SELECT max(n), max(length), count(DISTINCT profile), "
                                "count(DISTINCT population) FROM summary WHERE whole";
    double *const to[] = {&m->heads, &m->length, &m->profiles, &m->populations};
    char *const name[] = {m->name};
    const char *missing, *why;
    sqlite3_stmt *q = NULL;
    gdn_status status = gdn_evidence_show(e, name, 1, &missing, err);
    if (status || missing)
        return status;
    if (gdn_evidence_query(e, query, &q, &why) || gdn_evidence_step(e, q, &why) != SQLITE_ROW)
        status = gdn_fail(err, GDN_MACHINE, "%s: %s", m->name, why);
    for (int c = 0; c < 4 && !status; c++)
        *to[c] = sqlite3_column_double(q, c) > 0 ? sqlite3_column_double(q, c) : NAN;
    sqlite3_finalize(q);
    return status;
}

static gdn_status add(gdn_index *x, gdn_evidence *e, const char *name, gdn_error *err)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s/manifest.json", x->root, name) >= (int)sizeof path ||
        access(path, F_OK) != 0)
        return GDN_OK;
    gdn_made *more = realloc(x->made, (x->n_made + 1) * sizeof *more);
    if (!more)
        return gdn_no_memory(err, "an index");
    x->made = more;
    gdn_made *m = &x->made[x->n_made++];
    *m = (gdn_made){.heads = NAN, .length = NAN, .profiles = NAN, .populations = NAN};
    if (!(m->name = strdup(name)))
        return gdn_no_memory(err, "an index");
    gdn_status status = gdn_json_read(path, &m->manifest, err);
    if (!status && !(m->command = command_of(m->manifest)))
        status = gdn_no_memory(err, "an index");
    return status ? status : measure(e, m, err);
}

static gdn_status find_made(gdn_index *x, gdn_evidence *e, gdn_error *err)
{
    struct dirent **entry;
    int n = scandir(x->root, &entry, NULL, alphasort);
    if (n < 0)
        return gdn_fail(err, GDN_BAD_INPUT, "results: %.400s: %s", x->root, strerror(errno));
    gdn_status status = GDN_OK;
    for (int i = 0; i < n; i++) {
        if (!status && entry[i]->d_name[0] != '.')
            status = add(x, e, entry[i]->d_name, err);
        free(entry[i]);
    }
    free(entry);
    return status;
}

const gdn_made *gdn_index_made(const gdn_index *x, const char *name)
{
    for (size_t i = 0; i < x->n_made; i++)
        if (strcmp(x->made[i].name, name) == 0)
            return &x->made[i];
    return NULL;
}

void gdn_made_device(const gdn_made *m, char *out, size_t size)
{
    const char *device = text_of(m->manifest, "device"),
               *cpu = text_of(json_object_get(m->manifest, "machine"), "cpu");
    int jobs = (int)json_integer_value(json_object_get(m->manifest, "jobs")),
        ranks = (int)json_integer_value(json_object_get(m->manifest, "ranks"));
    size_t n =
        (size_t)(*device ? snprintf(out, size, "%.*s", (int)strcspn(device, ","), device)
                         : snprintf(out, size, "%s, %d %s", cpu, jobs, jobs == 1 ? "thread" : "threads"));
    if (ranks > 1 && n < size)
        snprintf(out + n, size - n, ", %d ranks", ranks);
}

void gdn_made_command(const gdn_made *m, bool with_backend, char *out, size_t size)
{
    bool cuda = with_backend && strcmp(text_of(m->manifest, "backend"), "cuda") == 0;
    snprintf(out, size, "gdnprec run%s%s", cuda ? " --backend cuda" : "", m->command);
}

void gdn_made_date(const gdn_made *m, char *out, size_t size)
{
    snprintf(out, size, "%.10s", text_of(m->manifest, "date"));
}

/* A run that went on where another had stopped knows no time of the whole. */
void gdn_made_time(const gdn_made *m, char *out, size_t size)
{
    double s = json_number_value(json_object_get(m->manifest, "seconds"));
    json_int_t all = json_integer_value(json_object_get(m->manifest, "tasks")),
               ran = json_integer_value(json_object_get(m->manifest, "tasks_run"));
    if (ran < all)
        snprintf(out, size, "resumed");
    else if (s < 9.5)
        snprintf(out, size, "%.1g s", s);
    else if (s < 7200)
        snprintf(out, size, "%.0f s", s);
    else
        snprintf(out, size, "%.1f h", s / 3600);
}

void gdn_made_commit(const gdn_made *m, char *out, size_t size)
{
    const json_t *program = json_object_get(m->manifest, "program");
    snprintf(out, size, "%s%s", text_of(program, "commit"),
             json_is_true(json_object_get(program, "dirty")) ? " with changes" : "");
}

/* ---- results ---- */

const char *gdn_result_id(const gdn_claim *r, char out[16])
{
    snprintf(out, 16, "%c-%.8s", r->id[0], r->id + 1);
    return out;
}

const char *gdn_result_verdict(const gdn_judgement *j)
{
    static const char *const words[GDN_VERDICTS] = {[GDN_CONFIRMED] = "holds",
                                                    [GDN_WITHIN_LIMITS] = "holds within limits",
                                                    [GDN_REFUTED] = "does not hold"};
    return words[j->verdict] ? words[j->verdict] : gdn_verdict_names[j->verdict];
}

gdn_status gdn_index_figures(const gdn_index *x, gdn_error *err)
{
    for (size_t i = 0; i < x->results.n; i++) {
        char path[PATH_MAX], field[64];
        const char *figure = x->results.claim[i].figure;
        snprintf(field, sizeof field, "%zu/figure", i);
        if (figure && (snprintf(path, sizeof path, "%s/%s", x->root, figure) >= (int)sizeof path ||
                       access(path, R_OK) != 0))
            return gdn_yaml_bad(&x->results.yaml, field, err, "%s: there is no %s/%s", x->results.claim[i].id,
                                x->root, figure);
    }
    return GDN_OK;
}

/* Is the claim one that a result settles? */
static bool is_settled(const gdn_claim *c, const void *context)
{
    const gdn_index *x = context;
    for (size_t i = 0; i < x->results.n; i++)
        for (unsigned k = 0; k < x->results.claim[i].settles_count; k++)
            if (strcmp(x->results.claim[i].settles[k], c->id) == 0)
                return true;
    return false;
}

gdn_status gdn_index_open(gdn_index *x, const char *results, const char *claims, const char *root,
                          gdn_error *err)
{
    gdn_evidence *e = NULL;
    *x = (gdn_index){.root = strdup(root)};
    gdn_status status = x->root ? gdn_ledger_load(claims, &x->claims, err) : gdn_no_memory(err, "an index");
    if (!status)
        status = gdn_ledger_load_results(results, &x->claims, &x->results, err);
    if (!status)
        status = gdn_evidence_open(&e, (const char *const *)&x->root, 1, err);
    if (!status)
        status = gdn_claims_judge_by(e, &x->results, NULL, NULL, &x->result, &x->n_results, err);
    if (!status)
        status = gdn_claims_judge_by(e, &x->claims, is_settled, x, &x->claim, &x->n_claims, err);
    if (!status)
        status = find_made(x, e, err);
    gdn_evidence_close(e);
    return status;
}

void gdn_index_close(gdn_index *x)
{
    for (size_t i = 0; i < x->n_made; i++) {
        free(x->made[i].name);
        free(x->made[i].command);
        json_decref(x->made[i].manifest);
    }
    free(x->made);
    gdn_judgements_free(x->claim, x->n_claims);
    gdn_judgements_free(x->result, x->n_results);
    gdn_ledger_free(&x->results);
    gdn_ledger_free(&x->claims);
    free(x->root);
    *x = (gdn_index){.root = NULL};
}
