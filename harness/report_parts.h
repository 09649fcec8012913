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

/* Its ratio of measured to predicted; one that is far from 1 keeps its digits. */
gdn_text gdn_text_theory(const gdn_result *x);

/* The profile fp32 rounds nothing it stores: its storage error must be zero. */
typedef struct gdn_control {
    size_t rows, broken; /* of summary.csv; those above zero */
    double cells;
} gdn_control;
gdn_control gdn_control_tally(const gdn_results *r);

/* How an experiment was done, as a paragraph; what could be wrong with it, as a list (report_method.c). */
void gdn_say_method(const gdn_results *r, FILE *f);
void gdn_say_threats(const gdn_results *r, FILE *f);

/* The findings in order, as a list (report_findings.c). */
void gdn_say_findings(const gdn_results *r, FILE *f);

/* gdn_text_entry() as a link to its line of summary.csv; folder: where that is from the report, "" or with a
 * slash at its end (report_tables.c). */
void gdn_put_entry(const gdn_results *r, const char *folder, const gdn_result *x, FILE *f);

/* All profiles of a population in one quantity, as a table; nothing where it was not measured
 * (report_tables.c). */
void gdn_table_whole(const gdn_results *r, const char *folder, const char *population, const char *quantity,
                     FILE *f);

/* What each tensor is worth to keep, in one table; nothing where there is no budget.csv (report_budget.c). */
gdn_status gdn_say_budget(const gdn_results *r, FILE *f, gdn_error *err);

/* Whether there is an SVG of the figure (report_tables.c). */
bool gdn_is_drawn(const gdn_results *r, const char *figure);

/* ---- Sections of the Markdown ---- */

void gdn_section_head(const gdn_results *r, FILE *f);   /* report_findings.c */
void gdn_section_method(const gdn_results *r, FILE *f); /* report_method.c */
void gdn_section_threats(const gdn_results *r, FILE *f);
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

/* Which layers and heads lose most; nothing where no population is a layer of a checkpoint
 * (report_ranking.c). */
gdn_status gdn_section_ranking(const gdn_results *r, FILE *f, gdn_error *err);

/* ---- Other forms ---- */

/*
 * The Markdown as a page of HTML, to be freed; figures are read from `dir`. kind: a class of the page,
 * "whole" where sections begin a page of paper (report_page.c).
 */
gdn_status gdn_report_page(const char *dir, const char *title, const char *kind, const char *md, char **page,
                           gdn_error *err);
/* The same as dir/report.html, and itself as dir/report.md (report.c). */
gdn_status gdn_report_write(const char *dir, const char *title, const char *kind, const char *md,
                            gdn_error *err);
extern const char gdn_page_style[]; /* report_style.c */

/* report_svg.c */
enum { GDN_SLUG = 96 };
void gdn_put_escaped(FILE *f, const char *s);
/* What an id makes of words, as GitHub does it: letters and digits in lower case, blanks as '-'. */
void gdn_slug(const char *text, char out[GDN_SLUG]);
void gdn_figure_slug(const char *url, char out[GDN_SLUG]);
/* dir/url as a figure of HTML, the serial-th of its page. */
gdn_status gdn_put_figure(const char *dir, const char *url, const char *label, unsigned serial, FILE *f,
                          gdn_error *err);

/* At most ten lines of plain text (report_summary.c). */
void gdn_report_summary(const gdn_results *r, FILE *f);

#endif
