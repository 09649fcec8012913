/* SPDX-License-Identifier: Apache-2.0 */
/* provenance -- manifest.json; see provenance.h. GDN_* macros come from the Makefile. */
#include "harness/provenance.h"

#include <gnu/libc-version.h>
#include <gsl/gsl_version.h>
#include <jansson.h>
#include <mpfr.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/simd.h"
#include "harness/json_file.h"
#include "harness/outfile.h"
#include "harness/row.h"
#include "harness/source_checkpoint.h"

#ifndef GDN_COMMIT
#define GDN_COMMIT "unknown"
#define GDN_DIRTY 0
#define GDN_FLAGS_TEXT ""
#endif

#define VERSION "0.1.0"

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

const char *gdn_version(void)
{
    return VERSION;
}

const char *gdn_version_long(void)
{
    return VERSION " (" GDN_COMMIT ")";
}

const char *gdn_commit(void)
{
    return GDN_COMMIT;
}

bool gdn_dirty(void)
{
    return GDN_DIRTY;
}

/* The CPU's name as the kernel gives it. */
static void cpu_name(char *out, size_t size)
{
    char line[256];
    snprintf(out, size, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon) {
            colon[strcspn(colon, "\n")] = 0;
            snprintf(out, size, "%s", colon + 2);
            break;
        }
    }
    if (f)
        fclose(f);
}

static json_t *machine(void)
{
    char cpu[200];
    struct utsname u = {.sysname = "unknown"};
    uname(&u);
    cpu_name(cpu, sizeof cpu);
    char os[sizeof u.sysname + sizeof u.release + 2];
    snprintf(os, sizeof os, "%s %s", u.sysname, u.release);
    return json_pack("{s:s, s:s, s:s, s:s}", "cpu", cpu, "arch", u.machine, "os", os, "isa",
                     gdn_isa_names[gdn_isa_best()]);
}

json_t *gdn_bench_context(void)
{
    json_t *o = machine();
    json_object_set_new(o, "program", json_string("gdnprec " VERSION));
    json_object_set_new(o, "commit", json_string(GDN_COMMIT));
    json_object_set_new(o, "dirty", json_boolean(GDN_DIRTY));
    json_object_set_new(o, "compiler", json_string(COMPILER));
    json_object_set_new(o, "flags", json_string(GDN_FLAGS_TEXT));
    char when[32];
    time_t now = time(NULL);
    struct tm tm;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    json_object_set_new(o, "date", json_string(when));
    return o;
}

/* {name: sha256} of the result files that are there. */
static json_t *files(const char *directory)
{
    static const char *const names[] = {"cells.csv", "last.csv",  "summary.csv", "growth.csv",
                                        "heat.csv",  "tasks.csv", "budget.csv",  "probes.csv"};
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[4096], sum[65];
        gdn_error ignored;
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        if (gdn_file_sha256(path, sum, &ignored) == GDN_OK)
            json_object_set_new(o, names[i], json_string(sum));
    }
    return o;
}

gdn_status gdn_manifest_write(const gdn_experiment *e, const char *directory, const gdn_run_facts *facts,
                              gdn_error *err)
{
    const gdn_ladder *ladder = &gdn_ladders[e->ladder];
    char when[32], path[4096];
    time_t now = time(NULL);
    struct tm tm;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    json_t *seeds = json_array();
    for (int i = 1; i <= (int)e->file->seeds; i++)
        json_array_append_new(seeds, json_integer(e->seeds_before + i));
    json_t *root = json_pack(
        "{s:i, s:{s:s, s:s, s:o, s:s}, s:{s:s, s:s, s:s, s:b}, s:o, s:s, s:s, s:o, s:i, s:o, s:{s:s, s:s}, "
        "s:{s:s, s:s, s:s, s:s}, s:o, s:{s:s, s:s, s:i, s:i, s:i}, s:i, s:i, s:f, s:f, s:f, s:i, s:o}",
        "schema", GDN_SCHEMA, "experiment", "name", e->file->experiment, "question", e->file->question,
        "file", gdn_json_text(e->path), "text", e->text, "program", "name", "gdnprec", "version", VERSION,
        "commit", GDN_COMMIT, "dirty", GDN_DIRTY, "command", gdn_json_text(facts->command), "date", when,
        "backend", facts->backend, "device", gdn_json_text(facts->device), "jobs", facts->jobs, "machine",
        machine(), "compiler", "name", COMPILER, "flags", GDN_FLAGS_TEXT, "libraries", "mpfr",
        mpfr_get_version(), "gsl", gsl_version, "sqlite", sqlite3_libversion(), "libc",
        gnu_get_libc_version(), "seeds", seeds, "reference", "ladder", ladder->name, "meaning",
        ladder->summary, "precision", e->precision, "check_precision", e->check_precision, "check_columns",
        e->check_columns, "tasks", facts->tasks, "tasks_run", facts->tasks_run, "seconds", facts->seconds,
        "task_seconds", facts->task_seconds, "certify_share", facts->certify_share, "rows_below_reference",
        (int)facts->below, "files", files(directory));
    if (root && facts->export_seconds > 0)
        json_object_set_new(root, "export_seconds", json_real(facts->export_seconds));
    if (root && facts->max_length)
        json_object_set_new(root, "max_length", json_integer(facts->max_length));
    if (root && facts->ranks > 1)
        json_object_set_new(root, "ranks", json_integer(facts->ranks));
    if (root && facts->shard.count)
        json_object_set_new(root, "shard", json_sprintf("%d/%d", facts->shard.index, facts->shard.count));
    if (root && facts->origins)
        json_object_set(root, "origins", facts->origins);
    if (root && facts->merged)
        json_object_set(root, "merged", facts->merged);
    if (!root)
        return gdn_no_memory(err, "the manifest");
    json_t *checkpoints = gdn_checkpoints_json(e);
    if (checkpoints)
        json_object_set_new(root, "checkpoints", checkpoints);
    gdn_outfile o;
    snprintf(path, sizeof path, "%s/manifest.json", directory);
    gdn_status status = gdn_outfile_open(&o, path, err);
    if (!status) {
        if (json_dumpf(root, o.f, JSON_INDENT(2)) || fputc('\n', o.f) == EOF)
            status = gdn_fail(err, GDN_MACHINE, "%s: cannot write", path);
        status = gdn_outfile_close(&o, status, err);
    }
    json_decref(root);
    return status;
}
