/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report_whole -- what a report over all results is put together from. Private to harness/report_whole*.c.
 *
 * Sentences are findings of the three ledgers (claims.h); each number in them is a link to the entry of its
 * ledger at the end of the report, where its query stands.
 */
#ifndef GDN_HARNESS_REPORT_WHOLE_H
#define GDN_HARNESS_REPORT_WHOLE_H

#include "harness/report_parts.h"
#include "harness/results_index.h"

/* Judgements of a ledger. */
typedef struct gdn_judged {
    gdn_judgement *j; /* [n] */
    size_t n;
} gdn_judged;

typedef struct gdn_overview {
    const char *root;
    gdn_index index; /* the results, and the runs */
    gdn_ledger decisions;
    gdn_judged claim, decision;
    gdn_results *experiment; /* [n] those with a manifest, by name */
    char **folder;           /* [n] below the root */
    char **dir;              /* [n] with the root */
    size_t n;
    char **shown; /* [n_shown] figures that stand in the report already */
    size_t n_shown;
} gdn_overview;

/* ---- sentences (report_whole_sentence.c) ---- */

/* "R-7", "A2": what names an entry; the anchor "r-7" that leads to it. */
typedef struct gdn_mark {
    char id[16], anchor[16];
} gdn_mark;
gdn_mark gdn_mark_of(const gdn_claim *c);

/* "[R-7](#r-7)" */
void gdn_put_mark(const gdn_claim *c, FILE *f);

/* The finding, its numbers linked to their rows; a verdict other than that it holds. */
void gdn_put_finding(const gdn_judgement *j, FILE *f);
void gdn_put_doubt(const gdn_judgement *j, FILE *f);
bool gdn_has_data(const gdn_judgement *j);

/* Whether it stands among the rows: what has neither data nor a reason to have none is left out. */
bool gdn_has_entry(const gdn_judgement *j);

/* The figure below the root, once: where it stands already, or is not drawn, nothing. */
gdn_status gdn_put_drawn(gdn_overview *w, const char *url, const char *caption, FILE *f, gdn_error *err);

/* The predictions, or the other claims, as a table; linked: to their entries and rows (report_claims.c). */
void gdn_put_claims(const gdn_judgement *j, size_t n, bool predictions, bool linked, FILE *f);
bool gdn_is_prediction(const gdn_claim *c);

/* Whether the folder of results holds it (report_whole_experiments.c). */
bool gdn_has_file(const gdn_results *r, const char *file);

/* ---- sections ---- */

gdn_status gdn_whole_answer(gdn_overview *w, FILE *f, gdn_error *err); /* report_whole_answer.c */
void gdn_whole_decisions(const gdn_overview *w, FILE *f);
gdn_status gdn_whole_budget(gdn_overview *w, FILE *f, gdn_error *err); /* report_whole_tables.c */
void gdn_whole_claims(const gdn_overview *w, FILE *f);
void gdn_whole_predictions(const gdn_overview *w, FILE *f);
void gdn_whole_profiles(const gdn_overview *w, FILE *f);
gdn_status gdn_whole_experiments(gdn_overview *w, FILE *f, gdn_error *err); /* report_whole_experiments.c */
void gdn_whole_threats(const gdn_overview *w, FILE *f);
gdn_status gdn_whole_provenance(const gdn_overview *w, FILE *f, gdn_error *err);
void gdn_whole_rows(const gdn_overview *w, FILE *f); /* report_whole_rows.c */

#endif
