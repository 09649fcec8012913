/* SPDX-License-Identifier: Apache-2.0 */
/* report_data -- reading summary.csv, growth.csv and manifest.json; see report_data.h. */
#include "harness/report_data.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>

#include "harness/json_file.h"
#include "harness/plot.h"
#include "harness/profile.h"

/* ---- Rows ---- */

typedef struct field {
    const char *name;
    size_t offset;
    bool text;
} field;

#define TEXT(f)                                                                                              \
    {                                                                                                        \
#f, offsetof(gdn_result, f), true                                                                    \
    }
#define REAL(f)                                                                                              \
    {                                                                                                        \
#f, offsetof(gdn_result, f), false                                                                   \
    }

static const field summary_fields[] = {
    TEXT(profile),   TEXT(recipe),      TEXT(mode),      TEXT(population), TEXT(keys),        TEXT(quantity),
    TEXT(kind),      TEXT(reference),   REAL(dk),        REAL(dv),         REAL(from),        REAL(to),
    REAL(n),         REAL(median),      REAL(lo),        REAL(hi),         REAL(bias),        REAL(bias_lo),
    REAL(bias_hi),   REAL(max_ulp),     REAL(predicted), REAL(ratio),      REAL(ratio_lo),    REAL(ratio_hi),
    REAL(gamma_eff), REAL(uncertainty), REAL(n_below),   REAL(n_zero),     REAL(n_nonfinite),
};
static const field growth_fields[] = {
    TEXT(profile),  TEXT(recipe),  TEXT(mode),       TEXT(population), TEXT(keys),
    TEXT(quantity), TEXT(kind),    REAL(n),          REAL(slope),      REAL(slope_lo),
    REAL(slope_hi), REAL(plateau), REAL(plateau_lo), REAL(plateau_hi), REAL(n_plateau),
};

/* What a report has room for. */
enum { MOST_ROWS = 1000000, MOST_NAMES = 4096 };

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static gdn_status read_rows(const char *dir, const char *name, const field *fields, size_t n_fields,
                            gdn_result_rows *out, gdn_error *err)
{
    char path[PATH_MAX];
    size_t column[64];
    gdn_status status = gdn_results_file(dir, name, err);
    if (status)
        return status;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    status = gdn_table_read(path, &out->table, err);
    for (size_t f = 0; f < n_fields && !status; f++)
        status = gdn_table_find(out->table, fields[f].name, &column[f], err);
    if (status)
        return status;
    out->n = gdn_table_rows(out->table);
    if (out->n > MOST_ROWS)
        return gdn_fail(err, GDN_BAD_INPUT, "%.400s: has %zu rows; a report reads at most %d", path, out->n,
                        MOST_ROWS);
    out->row = calloc(out->n + 1, sizeof *out->row);
    if (!out->row)
        return gdn_no_memory(err, "the rows of a report");
    for (size_t i = 0; i < out->n; i++) {
        for (size_t f = 0; f < n_fields && !status; f++) {
            void *to = (char *)&out->row[i] + fields[f].offset;
            if (fields[f].text)
                *(const char **)to = gdn_table_text(out->table, i, column[f]);
            else
                status = gdn_table_number(out->table, i, column[f], to, err);
        }
    }
    return status;
}

static void free_rows(gdn_result_rows *r)
{
    gdn_table_free(r->table);
    free(r->row);
}

bool gdn_names_have(const gdn_names *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (gdn_same(list->name[i], name))
            return true;
    return false;
}

/* False where there are too many: a report pairs names with names. */
static bool add(gdn_names *list, const char *name)
{
    if (gdn_names_have(list, name))
        return true;
    if (list->n < MOST_NAMES)
        list->name[list->n++] = name;
    return list->n < MOST_NAMES;
}

static bool mentions(const gdn_result_rows *r, const char *profile)
{
    for (size_t i = 0; i < r->n; i++)
        if (gdn_same(r->row[i].profile, profile))
            return true;
    return false;
}

/* Profiles in the order of harness/profile.c, then as they come; populations as they come, those of the gate
 * alone last. */
static gdn_status collect_names(gdn_results *r, gdn_error *err)
{
    const size_t size = sizeof *r->profiles.name, n = r->summary.n + 1;
    r->profiles = (gdn_names){calloc(n + (size_t)gdn_profile_count, size), 0};
    r->populations = (gdn_names){calloc(n, size), 0};
    r->quantities = (gdn_names){calloc(n, size), 0};
    if (!r->profiles.name || !r->populations.name || !r->quantities.name)
        return gdn_no_memory(err, "the names in a report");
    for (int i = 0; i < gdn_profile_count; i++)
        if (mentions(&r->summary, gdn_profile_builtin(i).name))
            add(&r->profiles, gdn_profile_builtin(i).name);
    bool fits = true;
    for (size_t i = 0; i < r->summary.n && fits; i++)
        fits =
            add(&r->profiles, r->summary.row[i].profile) && add(&r->quantities, r->summary.row[i].quantity);
    for (int gate = 0; gate < 2 && fits; gate++)
        for (size_t i = 0; i < r->summary.n && fits; i++)
            if (gate || !gdn_same(r->summary.row[i].quantity, "g"))
                fits = add(&r->populations, r->summary.row[i].population);
    return fits ? GDN_OK
                : gdn_fail(
                      err, GDN_BAD_INPUT,
                      "%.400s/summary.csv: names %d profiles, quantities or populations; a report has room "
                      "for fewer",
                      r->dir, MOST_NAMES);
}

/* Whether the row ends a whole [1, T]; of the state, whether it is at one position. */
static bool spans_from_start(const gdn_result *x)
{
    return gdn_same(x->quantity, "state") ? x->from == x->to : x->from == 1;
}

static size_t place(const gdn_names *list, const char *name)
{
    size_t i = 0;
    while (i < list->n && !gdn_same(list->name[i], name))
        i++;
    return i;
}

/* The largest T of a quantity in a population; 0 when it was not measured there. */
double gdn_results_longest(const gdn_results *r, const char *population, const char *quantity)
{
    size_t p = place(&r->populations, population), q = place(&r->quantities, quantity);
    return q < r->quantities.n ? r->longest[p * r->quantities.n + q] : 0;
}

/* Find the largest lengths, then the whole rows. */
static gdn_status collect_whole(gdn_results *r, gdn_error *err)
{
    size_t n = r->summary.n, quantities = r->quantities.n;
    r->longest = calloc(r->populations.n * quantities + 1, sizeof *r->longest);
    r->whole = calloc(n + 1, sizeof *r->whole);
    if (!r->longest || !r->whole)
        return gdn_no_memory(err, "the rows of a report");
    for (size_t i = 0; i < n; i++) {
        const gdn_result *x = &r->summary.row[i];
        double *T = &r->longest[place(&r->populations, x->population) * quantities +
                                place(&r->quantities, x->quantity)];
        if (spans_from_start(x) && x->to > *T)
            *T = x->to;
    }
    for (size_t i = 0; i < n; i++) {
        const gdn_result *x = &r->summary.row[i];
        if (spans_from_start(x) && x->to == gdn_results_longest(r, x->population, x->quantity))
            r->whole[r->n_whole++] = x;
    }
    return GDN_OK;
}

static gdn_status read_manifest(gdn_results *r, gdn_error *err)
{
    char path[PATH_MAX];
    gdn_status status = gdn_results_file(r->dir, "manifest.json", err);
    if (status)
        return status;
    snprintf(path, sizeof path, "%s/manifest.json", r->dir);
    if ((status = gdn_json_read(path, &r->manifest, err)))
        return status;
    const char *shard = json_string_value(json_object_get(r->manifest, "shard"));
    if (shard)
        return gdn_fail(err, GDN_BAD_INPUT, "%.400s: this is shard %.20s, not whole results", path, shard);
    return GDN_OK;
}

const char *gdn_manifest_text(const gdn_results *r, const char *section, const char *key)
{
    const json_t *x = section ? json_object_get(r->manifest, section) : r->manifest;
    const char *s = json_string_value(json_object_get(x, key));
    return s ? s : "";
}

gdn_status gdn_results_load(gdn_results *r, const char *dir, gdn_error *err)
{
    r->dir = dir;
    gdn_status status = read_manifest(r, err);
    if (!status)
        status = read_rows(r->dir, "summary.csv", summary_fields, COUNT(summary_fields), &r->summary, err);
    if (!status)
        status = read_rows(r->dir, "growth.csv", growth_fields, COUNT(growth_fields), &r->growth, err);
    if (!status)
        status = gdn_provenance_line(r->dir, &r->provenance, err);
    if (!status)
        status = collect_names(r, err);
    return status ? status : collect_whole(r, err);
}

void gdn_results_free(gdn_results *r)
{
    free_rows(&r->summary);
    free_rows(&r->growth);
    free(r->profiles.name);
    free(r->populations.name);
    free(r->quantities.name);
    free(r->longest);
    free(r->whole);
    json_decref(r->manifest);
    free(r->provenance);
}
