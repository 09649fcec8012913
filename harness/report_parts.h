/* SPDX-License-Identifier: Apache-2.0 */
/* report_parts -- what a report is put together from. Private to harness/report*.c. */
#ifndef GDN_HARNESS_REPORT_PARTS_H
#define GDN_HARNESS_REPORT_PARTS_H

#include <stdio.h>

#include "harness/report_data.h"

/* ---- Numbers and names as text (report_text.c) ---- */

typedef struct gdn_text {
    char s[256];
} gdn_text;

/* x with three digits, and where it needs an exponent, without printf's padding of it: "2.50e-7". */
gdn_text gdn_text_number(double x);

/* A number of the size of an error: in per cent where that reads well. */
gdn_text gdn_text_amount(double x);

/* "0.132 % [0.080, 0.170]": a number and its 95 % interval in one unit; an interval without width is left
 * out. Of a row: its median. */
gdn_text gdn_text_span(double x, double lo, double hi);
gdn_text gdn_text_median(const gdn_result *x);

/* "1.01 [0.96, 1.06]": a plain number with its interval. */
gdn_text gdn_text_ratio(double x, double lo, double hi);

/* 16384 as "16,384"; "1 row", "2 rows". */
gdn_text gdn_text_count(double x);
gdn_text gdn_text_counted(double n, const char *one, const char *many);

/* A name from the data as Markdown: code where it is plain, else with every mark escaped that could mean
 * something. */
gdn_text gdn_text_name(const char *s);

/* What a whole row says, for a table: the number, or why there is none. */
gdn_text gdn_text_entry(const gdn_result *x);

/* A sentence from the data as Markdown. */
void gdn_put_sentence(FILE *f, const char *s);

const char *gdn_quantity_words(const char *quantity);
const char *gdn_kind_words(const char *kind);

/* ---- Findings: paragraphs without an end of line ---- */

enum { GDN_LISTED = 6 }; /* of a list inside a sentence */

void gdn_finding_growth(const gdn_results *r, FILE *f);  /* report_growth.c */
void gdn_finding_theory(const gdn_results *r, FILE *f);  /* report_theory.c */
void gdn_finding_quality(const gdn_results *r, FILE *f); /* report_findings.c */

/* How an error grows with position, by its slope and interval: "proportional". */
const char *gdn_slope_words(const gdn_result *g);

/* The errors at the largest lengths that theory predicts, each measurement once. */
typedef struct gdn_theory {
    size_t n, good, sure;    /* all; those within 10 % by the median ratio; by its whole interval */
    const gdn_result *worst; /* farthest off; NULL when n is 0 */
} gdn_theory;
gdn_theory gdn_theory_tally(const gdn_results *r);

/* The profile fp32 rounds nothing it stores: its storage error must be zero. */
typedef struct gdn_control {
    size_t rows, broken; /* of summary.csv; those above zero */
    double cells;
} gdn_control;
gdn_control gdn_control_tally(const gdn_results *r);

/* ---- Sections of the Markdown ---- */

void gdn_section_head(const gdn_results *r, FILE *f);    /* report_findings.c */
void gdn_section_growth(const gdn_results *r, FILE *f);  /* report_growth.c */
void gdn_section_theory(const gdn_results *r, FILE *f);  /* report_theory.c */
void gdn_section_figures(const gdn_results *r, FILE *f); /* report_tables.c, as all that follow */
void gdn_section_results(const gdn_results *r, FILE *f);
void gdn_section_reference(const gdn_results *r, FILE *f);
void gdn_section_terms(FILE *f);
void gdn_section_profiles(const gdn_results *r, FILE *f);
void gdn_section_provenance(const gdn_results *r, FILE *f);
void gdn_section_files(const gdn_results *r, FILE *f);
void gdn_section_reproduce(const gdn_results *r, FILE *f);

/* What rests on these results of the ledger; nothing where there is none (report_claims.c). */
gdn_status gdn_section_claims(const gdn_results *r, FILE *f, gdn_error *err);

/* What each stored tensor costs; nothing where there is no budget.csv (report_budget.c). */
gdn_status gdn_section_budget(const gdn_results *r, FILE *f, gdn_error *err);

/* ---- Other forms ---- */

/* The Markdown as a page of HTML, to be freed; figures are read from the directory (report_page.c). */
gdn_status gdn_report_page(const gdn_results *r, const char *md, char **page, gdn_error *err);

/* At most ten lines of plain text (report_summary.c). */
void gdn_report_summary(const gdn_results *r, FILE *f);

#endif
