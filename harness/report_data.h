/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report_data -- the results of an experiment as a report reads them. Private to harness/report*.c.
 *
 * A "whole" row is over positions [1, T] at the largest T of its population (the state: at T); all findings
 * and tables but growth rest on these. Strings and rows that are handed out live as long as the gdn_results.
 */
#ifndef GDN_HARNESS_REPORT_DATA_H
#define GDN_HARNESS_REPORT_DATA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/status.h"
#include "harness/table.h"

/* A line of summary.csv or of growth.csv; what the file has no column for is 0 or NULL, and nobody asks. */
typedef struct gdn_result {
    const char *profile, *recipe, *mode, *population, *keys, *quantity, *kind, *reference;
    double dk, dv, from, to, n;
    double median, lo, hi;
    double bias, bias_lo, bias_hi;
    double max_ulp, predicted, ratio, ratio_lo, ratio_hi;
    double gamma_eff, uncertainty, n_below, n_zero, n_nonfinite;
    double slope, slope_lo, slope_hi, plateau, plateau_lo, plateau_hi, n_plateau;
} gdn_result;

typedef struct gdn_result_rows {
    gdn_table *table; /* owns the texts */
    gdn_result *row;  /* [n] */
    size_t n;
} gdn_result_rows;

typedef struct gdn_names {
    const char **name; /* [n] */
    size_t n;
} gdn_names;

typedef struct gdn_results {
    const char *dir;
    gdn_result_rows summary, growth;
    gdn_names profiles, populations, quantities;
    double *longest;          /* [populations][quantities] the largest T, 0 where not measured */
    const gdn_result **whole; /* [n_whole] the whole rows, in the order of the file */
    size_t n_whole;
    json_t *manifest;
    char *provenance;
} gdn_results;

/* ---- Reading ---- */

/* Read the directory into *r, all zero before; to be freed even after a failure. GDN_BAD_INPUT when a file is
 * missing or malformed. */
gdn_status gdn_results_load(gdn_results *r, const char *dir, gdn_error *err);
void gdn_results_free(gdn_results *r);

/* The largest T of a quantity in a population; 0 when it was not measured there. */
double gdn_results_longest(const gdn_results *r, const char *population, const char *quantity);

/* A text of the manifest, in a section or (NULL) at its top; "" where there is none. */
const char *gdn_manifest_text(const gdn_results *r, const char *section, const char *key);

bool gdn_names_have(const gdn_names *list, const char *name);

static inline bool gdn_same(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* ---- Rows by what they measure; NULL where there is none ---- */

/* Whether a row (or NULL) has a number; whether this is above zero. */
bool gdn_measured(const gdn_result *x);
bool gdn_nonzero(const gdn_result *x);

/* The whole row; the row of growth.csv. */
const gdn_result *gdn_whole(const gdn_results *r, const char *population, const char *profile,
                            const char *quantity, const char *kind);
const gdn_result *gdn_grown(const gdn_results *r, const char *population, const char *profile,
                            const char *quantity, const char *kind);

/* The first whole row of a population and quantity, for what all of them share. */
const gdn_result *gdn_any_whole(const gdn_results *r, const char *population, const char *quantity);

/* The last window of positions in which the error of this row of growth.csv was measured. */
const gdn_result *gdn_last_window(const gdn_results *r, const gdn_result *g);

/* The largest nonzero error of a kind among the profiles of a population. */
const gdn_result *gdn_largest(const gdn_results *r, const char *population, const char *quantity,
                              const char *kind);

/* Per profile the storage error where it is largest, in told[room]; profiles that store the same are told
 * once. Returns how many; *left is how many more there are. */
size_t gdn_costs(const gdn_results *r, const char *quantity, const gdn_result *told[], size_t room,
                 size_t *left);

/* ---- What to tell findings by ---- */

/* Quantities that show the effect on outputs, the best first. */
enum { GDN_OUTPUTS = 3 };
extern const char *const gdn_report_outputs[GDN_OUTPUTS];

bool gdn_has_quantity(const gdn_results *r, const char *quantity);

/* The quantity that findings are told by: y, else o, else the state; NULL when none was measured. */
const char *gdn_main_quantity(const gdn_results *r);

/* The profile whose arithmetic error serves as a yardstick, or NULL. */
const char *gdn_yardstick(const gdn_results *r);

/* Outputs of others, read from files: whether a row is of one; how many profiles of a population are; the
 * quantity in which most was recorded, or NULL. */
bool gdn_is_recorded(const gdn_result *x);
size_t gdn_recorded_in(const gdn_results *r, const char *population, const char *quantity);
const char *gdn_recorded_quantity(const gdn_results *r);

#endif
