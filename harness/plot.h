/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plot -- the figures of an experiment, drawn by gnuplot from its CSV files alone.
 *
 * A figure is a script of plots/ and perhaps a setting; which of them apply to an experiment is decided from
 * summary.csv. Each is written as DIR/figures/<name>.svg and .pdf, whole or not at all; the same CSV gives
 * the same bytes.
 */
#ifndef GDN_HARNESS_PLOT_H
#define GDN_HARNESS_PLOT_H

#include "base/status.h"

typedef struct gdn_figure {
    const char *name;     /* of the files */
    const char *script;   /* plots/<script>.gp */
    const char *settings; /* gnuplot commands given besides, or NULL */
    const char *caption;  /* what it shows, for the report */
    const char *csv;      /* what it is drawn from */
} gdn_figure;

extern const gdn_figure gdn_figures[];
extern const int gdn_figure_count;

/*
 * Draw all figures that apply to the results in `results_dir` with the scripts in `plots_dir`. A figure
 * without data is skipped with a line on stderr, and its files of an earlier run are removed. GDN_BAD_INPUT
 * when a file of the results is missing or malformed, GDN_MACHINE when gnuplot is missing or fails.
 */
gdn_status gdn_plot(const char *results_dir, const char *plots_dir, gdn_error *err);

/* The same as SVG only, into the directory `figures`, and without the lines on stderr. */
gdn_status gdn_plot_into(const char *results_dir, const char *plots_dir, const char *figures, gdn_error *err);

/*
 * One line that says where a figure comes from, after manifest.json and summary.csv: program, commit,
 * experiment, processor, n, rungs of the reference. To be freed.
 */
gdn_status gdn_provenance_line(const char *results_dir, char **out, gdn_error *err);

/* Whether there is a file `name` in the directory; when not, a sentence that says which command makes it. */
gdn_status gdn_results_file(const char *results_dir, const char *name, gdn_error *err);

#endif
