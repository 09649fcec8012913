/* SPDX-License-Identifier: Apache-2.0 */
/*
 * results_index -- the results that can be cited: the ledger results.yaml judged by a folder of results,
 * beside the claims that they settle and the runs that made them.
 *
 * Documents show parts of it between two marks, a line each:
 *
 *     <!-- gdnprec results: headlines -->
 *     ...
 *     <!-- gdnprec results end -->
 *
 * What lies between them is written by gdn_index_write, and compared by gdn_index_check; the rest is not
 * touched.
 */
#ifndef GDN_HARNESS_RESULTS_INDEX_H
#define GDN_HARNESS_RESULTS_INDEX_H

#include <jansson.h>
#include <stdio.h>

#include "harness/claims.h"

/* A folder of results with a manifest. */
typedef struct gdn_made {
    char *name;
    json_t *manifest;
    char *command;                               /* behind `gdnprec run` */
    double heads, length, profiles, populations; /* at most, of summary.csv; NaN where it has no rows */
} gdn_made;

typedef struct gdn_index {
    gdn_ledger claims, results;
    gdn_judgement *claim, *result; /* [n_claims] those that are settled, [n_results] */
    size_t n_claims, n_results;
    gdn_made *made; /* [n_made] by name */
    size_t n_made;
    char *root;
} gdn_index;

/* Judge both ledgers by the results below `root`. *x is to be closed even after a failure. */
gdn_status gdn_index_open(gdn_index *x, const char *results, const char *claims, const char *root,
                          gdn_error *err);
void gdn_index_close(gdn_index *x);

/* Its command; with_backend: on a GPU if it ran on one, whatever there is. */
void gdn_made_command(const gdn_made *m, bool with_backend, char *out, size_t size);

/* The folder called `name`, or NULL. */
const gdn_made *gdn_index_made(const gdn_index *x, const char *name);

/* Every figure that the ledger names is a file below the root. */
gdn_status gdn_index_figures(const gdn_index *x, gdn_error *err);

/* "R-7" of R7. */
const char *gdn_result_id(const gdn_claim *r, char out[16]);

/* Whether its sentence is so: "holds", "holds within limits", "does not hold"; else the verdict's own name.
 */
const char *gdn_result_verdict(const gdn_judgement *j);

/* What the manifest tells: "2026-11-22", the device, the time of the run, the commit. */
void gdn_made_date(const gdn_made *m, char *out, size_t size);
void gdn_made_device(const gdn_made *m, char *out, size_t size);
void gdn_made_time(const gdn_made *m, char *out, size_t size);
void gdn_made_commit(const gdn_made *m, char *out, size_t size);

/* ---- parts, as Markdown (results_markdown.c) ---- */

typedef struct gdn_index_part {
    const char *name, *summary;
    /* beside: what leads from the document's folder to the results: "" or "results/" */
    gdn_status (*put)(const gdn_index *x, const char *beside, FILE *f, gdn_error *err);
} gdn_index_part;

extern const gdn_index_part gdn_index_parts[];
extern const int gdn_index_part_count;

const gdn_index_part *gdn_index_part_find(const char *name); /* or NULL */

/* Its numbers that have labels, a line of a table each; `head` is put before the first, `each` before every
 * one. */
void gdn_put_numbers(const gdn_judgement *j, const char *head, const char *each, FILE *f);

/* The queries of its values, with the numbers they gave, as a block of SQL. */
void gdn_put_rows(const gdn_judgement *j, FILE *f);

/* ---- documents (results_document.c) ---- */

/* The marked parts of the document anew. GDN_BAD_INPUT where it has none, or marks that do not do. */
gdn_status gdn_index_write(const gdn_index *x, const char *path, gdn_error *err);

/* GDN_DIFFERS, with the first line that is another, where they are not what the results say. */
gdn_status gdn_index_check(const gdn_index *x, const char *path, gdn_error *err);

#endif
