/* SPDX-License-Identifier: Apache-2.0 */
/* verify_files -- sums, columns and figures of a folder of results; see verify.h. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/commands.h"
#include "harness/outfile.h"
#include "harness/plot.h"
#include "harness/verify_parts.h"

/* ---- sums ---- */

/* Rows, which tasks.csv has the checksums of, are too many to be committed; so is heat.csv where nothing is
 * drawn from it. */
static bool kept_elsewhere(const char *name)
{
    return strncmp(name, "cells", strlen("cells")) == 0 || strcmp(name, "last.csv") == 0 ||
           strcmp(name, "heat.csv") == 0;
}

static gdn_status check_sums(gdn_verifier *v, const gdn_folder *f, gdn_error *err)
{
    const char *name;
    json_t *listed, *files = json_object_get(f->manifest, "files");
    if (json_object_size(files) == 0)
        gdn_verify_differs(v, f, "manifest.json: files: it names none");
    json_object_foreach(files, name, listed)
    {
        char path[PATH_MAX], sum[65];
        const char *want = json_string_value(listed);
        if (strchr(name, '/') || snprintf(path, sizeof path, "%s/%s", f->path, name) >= (int)sizeof path)
            return gdn_fail(err, GDN_BAD_INPUT,
                            "%.400s/manifest.json: files: '%.80s' is no file of the folder", f->path, name);
        if (access(path, F_OK) != 0) {
            if (kept_elsewhere(name))
                v->counts->files_kept_elsewhere++;
            else
                gdn_verify_differs(v, f, "%s: manifest.json names it, but it is not here", name);
            continue;
        }
        gdn_status status = gdn_file_sha256(path, sum, err);
        if (status)
            return status;
        v->counts->files++;
        if (!want || strcmp(want, sum) != 0)
            gdn_verify_differs(v, f, "%s: sha256 %.12s..., in manifest.json %.12s...", name, sum,
                               want ? want : "none");
    }
    return GDN_OK;
}

/* ---- columns ---- */

/* The first line of a CSV file of rows is what this program writes. */
static void check_header(gdn_verifier *v, const gdn_folder *f, const char *name)
{
    char path[4200], want[2048], have[2048] = "";
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    FILE *file = fopen(path, "r");
    if (!file)
        return;
    if (!fgets(have, sizeof have, file))
        have[0] = 0;
    fclose(file);
    have[strcspn(have, "\r\n")] = 0;
    gdn_row_csv_header(want, sizeof want);
    if (strcmp(have, want) != 0)
        gdn_verify_differs(v, f, "%s: its columns are not those of this program (`gdnprec list columns`)",
                           name);
}

static void check_schema(gdn_verifier *v, const gdn_folder *f)
{
    json_int_t schema = json_integer_value(json_object_get(f->manifest, "schema"));
    if (schema != GDN_SCHEMA)
        gdn_verify_differs(v, f, "schema version %" JSON_INTEGER_FORMAT "; this program's is %d", schema,
                           GDN_SCHEMA);
    check_header(v, f, "cells.csv");
    check_header(v, f, "last.csv");
}

/* ---- figures ---- */

static bool same_bytes(const char *a, const char *b)
{
    FILE *x = fopen(a, "rb"), *y = fopen(b, "rb");
    bool same = x && y;
    while (same) {
        int c = getc(x), d = getc(y);
        same = c == d;
        if (c == EOF || d == EOF)
            break;
    }
    if (x)
        fclose(x);
    if (y)
        fclose(y);
    return same;
}

/* Is all here that the figure NAME.svg is drawn from? A figure that nobody knows is drawn from nothing. */
static bool can_be_drawn(const gdn_folder *f, const char *name)
{
    static const char *const files[] = {"summary.csv", "growth.csv", "heat.csv",
                                        "budget.csv",  "last.csv",   "cells.csv"};
    const char *csv = "";
    for (int i = 0; i < gdn_figure_count; i++)
        if (strncmp(name, gdn_figures[i].name, strlen(gdn_figures[i].name)) == 0 &&
            strcmp(name + strlen(gdn_figures[i].name), ".svg") == 0)
            csv = gdn_figures[i].csv;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[PATH_MAX];
        if (strstr(csv, files[i]) &&
            snprintf(path, sizeof path, "%s/%s", f->path, files[i]) < (int)sizeof path &&
            access(path, R_OK) != 0)
            return false;
    }
    return true;
}

static void compare_figure(gdn_verifier *v, const gdn_folder *f, const char *drawn, const char *name)
{
    char here[PATH_MAX], there[PATH_MAX];
    if (snprintf(there, sizeof there, "%s/figures/%s", f->path, name) >= (int)sizeof there ||
        snprintf(here, sizeof here, "%s/%s", drawn, name) >= (int)sizeof here)
        return;
    if (access(here, F_OK) != 0) {
        if (can_be_drawn(f, name))
            gdn_verify_differs(v, f, "figures/%s: what it is drawn from is here, but plots/ draws none such",
                               name);
        else
            v->counts->figures_left++;
        return;
    }
    v->counts->figures++;
    if (!same_bytes(here, there))
        gdn_verify_differs(v, f, "figures/%s: drawn from the CSV files it is another", name);
}

gdn_status gdn_verify_scratch(char *path, size_t size, gdn_error *err)
{
    const char *place = getenv("TMPDIR");
    place = place && *place ? place : "/tmp";
    if (snprintf(path, size, "%s/gdnprec_verify_XXXXXX", place) >= (int)size)
        return gdn_fail(err, GDN_BAD_INPUT, "TMPDIR: %.80s...: the path is too long", place);
    return mkdtemp(path) ? GDN_OK
                         : gdn_fail(err, GDN_MACHINE, "%.400s: cannot be made: %s", path, strerror(errno));
}

void gdn_verify_remove(const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        char file[PATH_MAX];
        if (e->d_name[0] != '.' && snprintf(file, sizeof file, "%s/%s", path, e->d_name) < (int)sizeof file)
            unlink(file);
    }
    if (d)
        closedir(d);
    rmdir(path);
}

/* Every committed SVG against the one that comes out now. */
static gdn_status check_figures(gdn_verifier *v, const gdn_folder *f, gdn_error *err)
{
    char figures[4200], share[4096], plots[4200], drawn[PATH_MAX];
    snprintf(figures, sizeof figures, "%s/figures", f->path);
    DIR *d = opendir(figures);
    if (!d)
        return GDN_OK;
    gdn_status status = gdn_verify_scratch(drawn, sizeof drawn, err);
    if (status) {
        closedir(d);
        return status;
    }
    snprintf(plots, sizeof plots, "%s/plots", gdn_share(share, sizeof share));
    status = gdn_plot_into(f->path, plots, drawn, err);
    for (struct dirent *e; !status && (e = readdir(d));) {
        const char *dot = strrchr(e->d_name, '.');
        if (dot && strcmp(dot, ".svg") == 0)
            compare_figure(v, f, drawn, e->d_name);
    }
    closedir(d);
    gdn_verify_remove(drawn);
    return status;
}

gdn_status gdn_verify_files(gdn_verifier *v, const gdn_folder *f, gdn_error *err)
{
    check_schema(v, f);
    gdn_status status = check_sums(v, f, err);
    if (!status && v->o->figures)
        status = check_figures(v, f, err);
    return status;
}
