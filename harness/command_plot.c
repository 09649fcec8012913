/* SPDX-License-Identifier: Apache-2.0 */
/* command_plot -- gdnprec plot and gdnprec report: from CSV to figures, and from both to a report. */
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/commands.h"
#include "harness/plot.h"
#include "harness/report.h"

enum { MAX_EXPERIMENTS = 256 };

typedef struct arguments {
    const char *results;
    const char *experiment[MAX_EXPERIMENTS];
    int n;
    bool quiet, whole;
} arguments;

static const struct argp_option options[] = {
    {"results", 'r', "DIR", 0, "where results are (default: results)", 0},
    {"quiet", 'q', 0, 0, "print nothing but complaints", 0},
    {0},
};

static const struct argp_option report_options[] = {
    {"results", 'r', "DIR", 0, "where results are (default: results)", 0},
    {"whole", 'w', 0, 0, "only the report over all results", 0},
    {"quiet", 'q', 0, 0, "print nothing but complaints", 0},
    {0},
};

static error_t option(int key, char *text, struct argp_state *state)
{
    arguments *a = state->input;
    switch (key) {
    case 'r':
        a->results = text;
        return 0;
    case 'q':
        a->quiet = true;
        return 0;
    case 'w':
        a->whole = true;
        return 0;
    case ARGP_KEY_ARG:
        if (a->n == MAX_EXPERIMENTS)
            return E2BIG;
        a->experiment[a->n++] = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Do `work` on the directory of each experiment named, or of every one that has a manifest. */
static gdn_status each(const char *command, arguments *a,
                       gdn_status (*work)(const char *, const arguments *, gdn_error *), gdn_error *err)
{
    char path[4096];
    glob_t g = {0};
    gdn_status status = GDN_OK;
    if (a->n == 0) {
        snprintf(path, sizeof path, "%s/*/manifest.json", a->results);
        if (glob(path, 0, NULL, &g) != 0)
            status = gdn_fail(err, GDN_BAD_INPUT, "%s: no results below %s; `gdnprec run` makes them",
                              command, a->results);
        for (size_t i = 0; !status && i < g.gl_pathc; i++) {
            *strrchr(g.gl_pathv[i], '/') = 0;
            status = work(g.gl_pathv[i], a, err);
        }
        globfree(&g);
        return status;
    }
    for (int i = 0; i < a->n && !status; i++) {
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", a->results, a->experiment[i]);
        if (stat(path, &st) || !S_ISDIR(st.st_mode))
            status = gdn_fail(err, GDN_BAD_INPUT,
                              "%s: there is no directory %s; `gdnprec run` makes it from the experiment's "
                              "file, and an experiment is named here by its name, not by its file",
                              command, path);
        if (!status)
            status = work(path, a, err);
    }
    return status;
}

static gdn_status plot_one(const char *directory, const arguments *a, gdn_error *err)
{
    char share[4096], plots[4200];
    snprintf(plots, sizeof plots, "%s/plots", gdn_share(share, sizeof share));
    gdn_status status = gdn_plot(directory, plots, err);
    if (!status && !a->quiet)
        printf("figures in %s/figures\n", directory);
    return status;
}

static gdn_status report_one(const char *directory, const arguments *a, gdn_error *err)
{
    return gdn_report(directory, a->quiet ? NULL : stdout, err);
}

static gdn_status report_whole(const arguments *a, gdn_error *err)
{
    char share[4096];
    return gdn_report_whole(a->results, gdn_share(share, sizeof share), a->quiet ? NULL : stdout, err);
}

gdn_status gdn_command_plot(int argc, char **argv, gdn_error *err)
{
    static const struct argp argp = {
        options,
        option,
        "[EXPERIMENT...]",
        "Draw the figures of experiments that were run, from their CSV files alone, as SVG and PDF."
        "\vFigures go to DIR/<experiment>/figures. Without a name, every experiment below DIR is drawn.",
        NULL,
        NULL,
        NULL};
    arguments a = {.results = "results"};
    int done;
    gdn_status status = gdn_parse(&argp, argc, argv, &a, &done, err);
    return status || done ? status : each("plot", &a, plot_one, err);
}

gdn_status gdn_command_report(int argc, char **argv, gdn_error *err)
{
    static const struct argp argp = {
        report_options,
        option,
        "[EXPERIMENT...]",
        "Write report.md and report.html (one self-contained file) of experiments that were run, and print a "
        "summary."
        "\vEvery number comes from the CSV files. Without a name, every experiment below DIR is reported, "
        "and "
        "all of them together in DIR/report.html: the answer, decisions, error budget, claims, predictions, "
        "profiles side by side, experiments, and the rows behind each number.",
        NULL,
        NULL,
        NULL};
    arguments a = {.results = "results"};
    int done;
    gdn_status status = gdn_parse(&argp, argc, argv, &a, &done, err);
    if (status || done)
        return status;
    if (a.whole && a.n > 0)
        return gdn_fail(err, GDN_BAD_INPUT,
                        "report: --whole is over all results; leave out '%.80s', or --whole",
                        a.experiment[0]);
    if (!a.whole)
        status = each("report", &a, report_one, err);
    return status || a.n > 0 ? status : report_whole(&a, err);
}
