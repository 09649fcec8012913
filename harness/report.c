/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report -- the order of the sections, and the files written; see report.h.
 */
#include "harness/report.h"

#include <limits.h>
#include <stdlib.h>

#include "harness/outfile.h"
#include "harness/report_parts.h"

static gdn_status write_text(const char *dir, const char *file, const char *content, gdn_error *err)
{
    char path[PATH_MAX];
    gdn_outfile o;
    if (snprintf(path, sizeof path, "%s/%s", dir, file) >= (int)sizeof path)
        return gdn_fail(err, GDN_BAD_INPUT, "%.80s...: the path is too long", dir);
    gdn_status status = gdn_outfile_open(&o, path, err);
    if (!status) {
        fputs(content, o.f);
        status = gdn_outfile_close(&o, GDN_OK, err);
    }
    return status;
}

static gdn_status compose(const gdn_results *r, FILE *f, gdn_error *err)
{
    gdn_section_head(r, f);
    gdn_section_method(r, f);
    gdn_status status = gdn_section_claims(r, f, err);
    if (!status)
        status = gdn_section_budget(r, f, err);
    if (!status)
        status = gdn_section_ranking(r, f, err);
    gdn_section_figures(r, f);
    gdn_section_results(r, f);
    gdn_section_growth(r, f);
    gdn_section_theory(r, f);
    gdn_section_reference(r, f);
    gdn_section_threats(r, f);
    gdn_section_terms(f);
    gdn_section_profiles(r, f);
    gdn_section_provenance(r, f);
    gdn_section_files(r, f);
    gdn_section_reproduce(r, f);
    return status;
}

gdn_status gdn_report_write(const char *dir, const char *title, const char *kind, const char *md,
                            gdn_error *err)
{
    char *page = NULL;
    gdn_status status = write_text(dir, "report.md", md, err);
    if (!status)
        status = gdn_report_page(dir, title, kind, md, &page, err);
    if (!status)
        status = write_text(dir, "report.html", page, err);
    free(page);
    return status;
}

static gdn_status write_report(const gdn_results *r, FILE *summary, gdn_error *err)
{
    char *md = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&md, &size);
    if (!f)
        return gdn_no_memory(err, "report.md");
    gdn_status status = compose(r, f, err);
    if (fclose(f) && !status)
        status = gdn_no_memory(err, "report.md");
    if (!status)
        status = gdn_report_write(r->dir, gdn_manifest_text(r, "experiment", "name"), "one", md, err);
    if (!status && summary)
        gdn_report_summary(r, summary);
    free(md);
    return status;
}

gdn_status gdn_report(const char *results_dir, FILE *summary, gdn_error *err)
{
    gdn_results r = {0};
    gdn_status status = gdn_results_load(&r, results_dir, err);
    if (!status)
        status = write_report(&r, summary, err);
    gdn_results_free(&r);
    return status;
}
