/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report -- what an experiment found, in words, tables and figures: report.md, and the same as one
 * self-contained report.html.
 *
 * Every number is read from summary.csv, growth.csv and manifest.json; sentences are templates that branch on
 * these numbers. Figures are those that gdn_plot drew before; the report says so where there are none.
 */
#ifndef GDN_HARNESS_REPORT_H
#define GDN_HARNESS_REPORT_H

#include <stdio.h>

#include "base/status.h"

/*
 * Write results_dir/report.md and results_dir/report.html, each whole or not at all. summary: about ten lines
 * of plain text go there; may be NULL. GDN_BAD_INPUT when a file of the results is missing or malformed.
 */
gdn_status gdn_report(const char *results_dir, FILE *summary, gdn_error *err);

/*
 * Write one report over all experiments below `results`, as report.md and report.html there: the answer,
 * decisions, error budget, claims, predictions, profiles, experiments, threats, provenance, and the rows
 * behind the numbers. ledgers: the directory of results.yaml, decisions.yaml and claims.yaml.
 */
gdn_status gdn_report_whole(const char *results, const char *ledgers, FILE *summary, gdn_error *err);

#endif
