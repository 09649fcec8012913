/* SPDX-License-Identifier: Apache-2.0 */
/* test_cost -- what `gdnprec run --dry-run` foretells: rows exactly, the fit of the rates, the schedule, its
 * JSON. */
#include <glob.h>
#include <jansson.h>

#include "harness/cost.h"
#include "harness/dry_run.h"
#include "tests/task_test.h"

static const char *const small = "experiment: small\nquestion: q\nseeds: 2\ndk: 16\ndv: 16\nlengths: [1, 48, "
                                 "64]\nprofiles: [fp32, bf16-state, vllm]\n"
                                 "populations:\n"
                                 "  - {name: all, heads: 3, a_log: {uniform: [-8, 2.8]}, dt_bias: {init: "
                                 "fla}, norm_weight: {uniform: [0.5, 2]}}\n"
                                 "  - {name: gate, heads: 5, quantities: [g, decay], lengths: [7], profiles: "
                                 "[a_log-bf16], a_log: {uniform: [-8, 2.8]},\n"
                                 "     dt_bias: {init: fla}}\n"
                                 "  - {name: packed, heads: 1, sequences: [10, 40], quantities: [state, o], "
                                 "a_log: {uniform: [-8, 2.8]}, dt_bias: {init: fla}}\n";

static void same_count(const gdn_task *t, const char *what)
{
    gdn_task_size size;
    gdn_rows rows;
    gdn_error err = {""};
    GDN_CHECK(gdn_task_measure(t, &size, &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(gdn_task_run(t, NULL, NULL, &rows, &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(size.rows == rows.count, "%s: %lld rows foretold, %lld made", what, (long long)size.rows,
              (long long)rows.count);
    gdn_rows_free(&rows);
}

START_TEST(rows_are_foretold)
{
    gdn_experiment *e = experiment("%s", small);
    int n;
    gdn_task *tasks = tasks_of(e, &n);
    ck_assert_int_eq(n, 6);
    for (int i = 0; i < n; i++)
        same_count(&tasks[i], e->file->populations[tasks[i].population].name);
    free(tasks);
    gdn_experiment_free(e);
}
END_TEST

/* The smallest task of every experiment here, at lengths that are over soon. */
START_TEST(rows_of_every_experiment)
{
    glob_t files;
    ck_assert_int_eq(glob("experiments/*.yaml", 0, NULL, &files), 0);
    int seen = 0;
    for (size_t i = 0; i < files.gl_pathc; i++) {
        gdn_experiment *e = NULL;
        gdn_error err = {""};
        gdn_task *tasks;
        int n, least = 0;
        GDN_CHECK(gdn_inputs_init(&err) == GDN_OK, "%s", err.text);
        if (gdn_experiment_load(files.gl_pathv[i], &e, &err) != GDN_OK)
            continue; /* its files are elsewhere */
        for (unsigned p = 0; p < e->file->populations_count; p++) {
            gdn_population *q = &e->file->populations[p];
            if (!q->file && !q->checkpoint)
                q->heads = q->group > 1 ? q->group : 1;
            if (q->lengths)
                q->lengths[0] = 2, q->lengths_count = 1;
            q->sequences_count = 0;
        }
        if (e->file->lengths_count)
            e->file->lengths[0] = 2, e->file->lengths_count = 1;
        e->file->seeds = 1;
        if (gdn_tasks_make(e, &gdn_backend_cpu, &tasks, &n, &err) != GDN_OK)
            n = 0; /* for a GPU alone */
        for (int t = 1; t < n; t++)
            least = tasks[t].cost < tasks[least].cost ? t : least;
        if (n > 0 && !e->file->populations[tasks[least].population].file) {
            same_count(&tasks[least], files.gl_pathv[i]);
            seen++;
        }
        free(tasks);
        gdn_experiment_free(e);
    }
    globfree(&files);
    GDN_CHECK(seen >= 10, "%d experiments", seen);
}
END_TEST

START_TEST(rates_fit_their_laps)
{
    const gdn_rates true_rates = {.early = 3e-4, .late = 1e-4, .stop = 7e-3};
    gdn_lap laps[40], work = {.early = 2048, .late = 100000, .stops = 60};
    for (int i = 0; i < 40; i++) {
        int n = 1 << (i / 4 < 8 ? i / 4 : 8);
        laps[i] = (gdn_lap){.early = i < 35 ? n : 0, .late = i < 35 ? 0 : n, .stops = i < 35 || i % 2};
        laps[i].seconds = gdn_rates_seconds(&true_rates, &laps[i]);
    }
    gdn_rates fit = {.open = 0};
    gdn_rates_fit(laps, 40, &fit);
    double want = gdn_rates_seconds(&true_rates, &work), got = gdn_rates_seconds(&fit, &work);
    GDN_CHECK(fabs(got - want) < 1e-6 * want, "%g s, not %g s", got, want);
    /* before the prefill has ended, late tokens cost what early ones do */
    gdn_rates_fit(laps, 35, &fit);
    GDN_CHECK(fabs(fit.late - 3e-4) < 1e-9, "late %g", fit.late);
    /* nothing is negative, whatever the clock says */
    for (int i = 0; i < 40; i++)
        laps[i].seconds = i == 39 ? 1 : 1e-6;
    gdn_rates_fit(laps, 40, &fit);
    GDN_CHECK(fit.early >= 0 && fit.late >= 0 && fit.stop >= 0, "%g %g %g", fit.early, fit.late, fit.stop);
    /* one lap cannot tell tokens from stops */
    gdn_rates_fit(laps, 1, &fit);
    GDN_CHECK(fit.early > 0 && fit.stop >= 0, "%g %g", fit.early, fit.stop);
}
END_TEST

START_TEST(work_is_the_plan)
{
    gdn_experiment *e = experiment("%s", small);
    int n;
    gdn_task *tasks = tasks_of(e, &n);
    gdn_lap work;
    gdn_error err = {""};
    GDN_CHECK(gdn_task_work(&tasks[0], &work, &err) == GDN_OK, "%s", err.text);
    ck_assert(work.early == 64 && work.late == 0); /* vllm's prefill has not ended */
    /* quarters of [1, 1] .. [32, 63]: 1, 2, 3, 4 .. 7, then four a window; 48 and 64 */
    ck_assert(work.stops == 1 + 2 + 4 + 4 + 4 + 4 + 2);
    free(tasks);
    gdn_experiment_free(e);
}
END_TEST

START_TEST(schedule_is_the_pools)
{
    const double seconds[] = {5, 4, 3, 3, 1};
    ck_assert(gdn_cost_schedule(seconds, 5, 1) == 16);
    ck_assert(gdn_cost_schedule(seconds, 5, 2) == 8); /* 5 + 3, 4 + 3 + 1 */
    ck_assert(gdn_cost_schedule(seconds, 5, 3) == 6); /* 5, 4 + 1, 3 + 3 */
    ck_assert(gdn_cost_schedule(seconds, 5, 50) == 5);
    ck_assert(gdn_cost_schedule(seconds, 0, 2) == 0);
}
END_TEST

static json_t *forecast(long max_length)
{
    char path[128], results[128], text[4096] = "";
    gdn_dry_run d;
    gdn_error err = {""};
    snprintf(path, sizeof path, "%s/x.yaml", scratch);
    snprintf(results, sizeof results, "%s/results", scratch);
    const gdn_run_options o = {
        .results = results, .backend = "cpu", .device = -1, .jobs = 2, .max_length = max_length};
    GDN_CHECK(gdn_run_dry(path, &o, &d, &err) == GDN_OK, "%s", err.text);
    FILE *f = fmemopen(text, sizeof text, "w");
    GDN_CHECK(f && gdn_dry_run_print(&d, true, f, &err) == GDN_OK && fclose(f) == 0, "%s", err.text);
    json_t *o2 = json_loads(text, 0, NULL);
    GDN_CHECK(o2, "no JSON: %s", text);
    return o2;
}

static double number(const json_t *o, const char *key)
{
    const json_t *x = json_object_get(o, key);
    GDN_CHECK(json_is_number(x), "no %s", key);
    return json_number_value(x);
}

START_TEST(the_forecast_and_the_run)
{
    gdn_experiment_free(experiment("%s", small));
    json_t *before = forecast(0), *shorter = forecast(48);
    char directory[128];
    snprintf(directory, sizeof directory, "%s/results", scratch);
    ck_assert_int_ne(access(directory, F_OK), 0); /* nothing was written */
    ck_assert(number(before, "tasks") == 6 && number(before, "tasks_done") == 0);
    ck_assert(number(shorter, "rows") < number(before, "rows"));
    ck_assert(number(before, "seconds") > 0 && number(before, "host_bytes") > 1e6);
    char path[128];
    snprintf(path, sizeof path, "%s/x.yaml", scratch);
    const gdn_run_options o = {
        .results = directory, .command = "", .backend = "cpu", .device = -1, .jobs = 2, .quiet = true};
    gdn_run_result r;
    gdn_error err = {""};
    GDN_CHECK(gdn_run(path, &o, &r, &err) == GDN_OK, "%s", err.text);
    json_t *after = forecast(0);
    ck_assert(number(after, "tasks_done") == 6 && number(after, "task_seconds") == 0);
    ck_assert(number(after, "rows") == number(before, "rows"));
    char cells[4200], line[4096];
    long rows = -1, size = 0;
    snprintf(cells, sizeof cells, "%s/cells.csv", r.directory);
    FILE *f = fopen(cells, "r");
    GDN_CHECK(f, "no %s", cells);
    while (fgets(line, sizeof line, f))
        rows++;
    fclose(f);
    ck_assert(number(before, "rows") == (double)rows);
    static const char *const files[] = {"cells.csv",  "last.csv", "summary.csv",
                                        "growth.csv", "heat.csv", "tasks.csv"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(cells, sizeof cells, "%s/%s", r.directory, files[i]);
        f = fopen(cells, "r");
        GDN_CHECK(f && fseek(f, 0, SEEK_END) == 0, "no %s", cells);
        size += ftell(f);
        fclose(f);
    }
    double ratio = number(before, "csv_bytes") / (double)size;
    GDN_CHECK(ratio > 1 / 1.3 && ratio < 1.3, "CSV files: %g bytes foretold, %ld there",
              number(before, "csv_bytes"), size);
    snprintf(cells, sizeof cells, "%s/store.db", r.directory);
    f = fopen(cells, "r");
    GDN_CHECK(f && fseek(f, 0, SEEK_END) == 0, "no %s", cells);
    ratio = number(before, "store_bytes") / (double)ftell(f);
    GDN_CHECK(ratio > 1 / 1.3 && ratio < 1.3, "store.db: %g bytes foretold, %ld there",
              number(before, "store_bytes"), ftell(f));
    fclose(f);
    json_decref(before);
    json_decref(shorter);
    json_decref(after);
}
END_TEST

GDN_TASK_TEST_MAIN("cost", rows_are_foretold, rows_of_every_experiment, rates_fit_their_laps,
                   work_is_the_plan, schedule_is_the_pools, the_forecast_and_the_run)
