/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_table -- any bytes as a CSV file: a table or a sentence, and so for each reader of results' CSV files.
 * The first byte says who reads:
 *
 *     0  the table itself           4  a report: growth.csv     8   budget.csv   by claims
 *     1  summary.csv  by claims     5  budget.csv               9   tasks.csv    by verify
 *     2  growth.csv                 6  last.csv                 10  summary.csv and growth.csv by a report
 *     3  probes.csv                 7  a report: summary.csv
 *
 * The file is one of memory, which links in a folder lead to.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/claims_data.h"
#include "harness/report_parts.h"
#include "harness/table.h"
#include "harness/verify_parts.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/sqlite_arena.h"

size_t fuzz_accepted; /* by a reader */

static const char summary[] = "profile,recipe,mode,population,keys,dk,dv,length,quantity,kind,from,to,n,"
                              "median,lo,hi,bias,bias_lo,bias_hi,"
                              "max_ulp,predicted,ratio,ratio_lo,ratio_hi,gamma,gamma_eff,uncertainty,"
                              "reference,n_below,n_zero,n_nonfinite\n"
                              "bf16-io,fla-recurrent,portable,p.layer-1,isotropic,64,64,256,y,storage,1,256,"
                              "8,0.25,0.125,0.5,0,0,0,2,0.25,1,1,1,"
                              "0.5,0.5,1e-9,dd,0,0,0\n";
static const char growth[] =
    "profile,recipe,mode,population,keys,quantity,kind,n,slope,slope_lo,slope_hi,plateau,"
    "plateau_lo,plateau_hi,n_plateau\n"
    "bf16-io,fla-recurrent,portable,p.layer-1,isotropic,y,storage,8,0.5,0.25,0.75,,,,0\n";
static const char manifest[] = "{\"experiment\": {\"name\": \"x\"}}\n";

/* ---- the folder ---- */

static const char *const names[] = {"summary.csv", "growth.csv", "probes.csv",
                                    "budget.csv",  "last.csv",   "tasks.csv"};
enum { NAMES = sizeof names / sizeof names[0] };
enum reader {
    TABLE,
    CLAIMS_SUMMARY,
    CLAIMS_GROWTH,
    CLAIMS_PROBES,
    REPORT_GROWTH,
    REPORT_BUDGET,
    REPORT_LAST,
    REPORT_SUMMARY,
    CLAIMS_BUDGET,
    VERIFY_TASKS,
    REPORT_BOTH,
    READERS
};
/* Which of the names the input takes. */
static const unsigned taken[READERS] = {
    [CLAIMS_SUMMARY] = 1, [CLAIMS_GROWTH] = 2,  [CLAIMS_PROBES] = 4, [REPORT_GROWTH] = 2, [REPORT_BUDGET] = 8,
    [REPORT_LAST] = 16,   [REPORT_SUMMARY] = 1, [CLAIMS_BUDGET] = 8, [VERIFY_TASKS] = 32, [REPORT_BOTH] = 3};

static char folder[200];   /* holds a folder for each reader, "3" of CLAIMS_PROBES */
static int in_memory = -1; /* the file */

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    FUZZ_CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void remove_folder(void)
{
    for (int r = 0; r < READERS; r++) {
        char path[300];
        snprintf(path, sizeof path, "%s/%d", folder, r);
        gdn_verify_remove(path);
    }
    rmdir(folder);
}

static void make_folder(void)
{
    const char *place = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.150s/gdnprec_fuzz_XXXXXX", place && *place ? place : "/tmp");
    FUZZ_CHECK(mkdtemp(folder));
    in_memory = memfd_create("fuzz", MFD_CLOEXEC);
    FUZZ_CHECK(in_memory >= 0);
    for (int r = 0; r < READERS; r++) {
        char path[300], link[64];
        snprintf(path, sizeof path, "%s/%d", folder, r);
        FUZZ_CHECK(mkdir(path, 0700) == 0);
        snprintf(link, sizeof link, "/proc/self/fd/%d", in_memory);
        for (int i = 0; i < NAMES; i++) {
            snprintf(path, sizeof path, "%s/%d/%s", folder, r, names[i]);
            if (taken[r] >> i & 1)
                FUZZ_CHECK(symlink(link, path) == 0);
            else if (i < 2)
                write_file(path, i ? growth : summary);
        }
        snprintf(path, sizeof path, "%s/%d/manifest.json", folder, r);
        write_file(path, manifest);
    }
    fuzz_sqlite_arena();
    atexit(remove_folder);
}

/* ---- readers ---- */

static void read_table(const uint8_t *csv, size_t n)
{
    gdn_error err = {""};
    gdn_table *t;
    size_t at;
    gdn_status status = gdn_table_read_memory(csv, n, "fuzz", &t, &err);
    FUZZ_CHECK((status == GDN_OK) == (t != NULL));
    if (status != GDN_OK) {
        fuzz_check_sentence(status, &err);
        FUZZ_CHECK(strstr(err.text, "line "));
        return;
    }
    FUZZ_CHECK(gdn_table_columns(t) >= 1 && gdn_table_columns(t) <= GDN_TABLE_MAX_COLUMNS);
    for (size_t c = 0; c < gdn_table_columns(t); c++) {
        FUZZ_CHECK(gdn_table_find(t, gdn_table_name(t, c), &at, &err) == GDN_OK && at == c);
        for (size_t r = 0; r < gdn_table_rows(t); r++) {
            double x;
            const gdn_where where = {c, gdn_table_text(t, r, c)};
            FUZZ_CHECK(gdn_table_next(t, r, &where, 1) == r);
            status = gdn_table_number(t, r, c, &x, &err);
            if (status != GDN_OK)
                fuzz_check_sentence(status, &err);
        }
    }
    if (gdn_table_find(t, "no such column", &at, &err) != GDN_OK)
        fuzz_check_sentence(GDN_BAD_INPUT, &err);
    gdn_table_free(t);
}

static gdn_status claims(const char *path, gdn_error *err)
{
    gdn_evidence *e;
    char *experiments[] = {(char[]){"00"}};
    const char *roots[] = {folder}, *missing, *why;
    snprintf(experiments[0], 3, "%s", strrchr(path, '/') + 1);
    gdn_status status = gdn_evidence_open(&e, roots, 1, err);
    FUZZ_CHECK(status == GDN_OK);
    status = gdn_evidence_show(e, experiments, 1, &missing, err);
    if (status == GDN_OK) {
        static const char *const queries[] = {"SELECT median(n), max(whole) FROM summary WHERE \"to\" > 1",
                                              "SELECT count(*) FROM growth, probes, budget"};
        sqlite3_stmt *q;
        for (int i = 0; i < 2; i++) {
            FUZZ_CHECK(gdn_evidence_query(e, queries[i], &q, &why) == GDN_OK);
            FUZZ_CHECK(gdn_evidence_step(e, q, &why) == SQLITE_ROW);
            sqlite3_finalize(q);
        }
    }
    gdn_evidence_close(e);
    return status;
}

static gdn_status report(const char *path, gdn_error *err)
{
    gdn_results r = {0};
    gdn_status status = gdn_results_load(&r, path, err);
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    FUZZ_CHECK(f);
    if (status == GDN_OK)
        status = gdn_section_budget(&r, f, err);
    if (status == GDN_OK)
        status = gdn_section_ranking(&r, f, err);
    if (status == GDN_OK) {
        gdn_section_head(&r, f);
        gdn_section_method(&r, f);
        gdn_section_results(&r, f);
        gdn_section_growth(&r, f);
        gdn_section_theory(&r, f);
        gdn_section_reference(&r, f);
        gdn_section_threats(&r, f);
        gdn_section_profiles(&r, f);
    }
    FUZZ_CHECK(fclose(f) == 0);
    free(text);
    gdn_results_free(&r);
    return status;
}

static gdn_status verify(const char *path, gdn_error *err)
{
    static gdn_folder f;
    memset(&f, 0, sizeof f);
    snprintf(f.path, sizeof f.path, "%s", path);
    gdn_status status = gdn_verify_take_tasks(&f, err);
    for (int64_t i = 0; status == GDN_OK && i < f.tasks; i++)
        FUZZ_CHECK(f.task[i].seed >= 0 && f.task[i].sum[0].rows >= -1);
    free(f.task);
    return status;
}

static void put_in_memory(const uint8_t *csv, size_t n)
{
    FUZZ_CHECK(ftruncate(in_memory, (off_t)n) == 0 && pwrite(in_memory, csv, n, 0) == (ssize_t)n);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    gdn_error err = {""};
    char path[300];
    if (n == 0)
        return 0;
    enum reader who = input[0] % READERS;
    if (in_memory < 0)
        make_folder();
    read_table(input + 1, n - 1);
    if (who == TABLE)
        return 0;
    put_in_memory(input + 1, n - 1);
    snprintf(path, sizeof path, "%s/%d", folder, (int)who);
    gdn_status status = who == VERIFY_TASKS                                              ? verify(path, &err)
                        : taken[who] == 4 || who < REPORT_GROWTH || who == CLAIMS_BUDGET ? claims(path, &err)
                                                                                         : report(path, &err);
    if (status != GDN_OK)
        fuzz_check_sentence(status, &err);
    else
        fuzz_accepted++;
    return 0;
}
