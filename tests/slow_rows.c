/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_rows -- a store of 10^7 rows: how long it takes to open and to export, and in how much memory.
 *
 * slow_rows DIR [ROWS [FILE]]; FILE: that alone; all: all of them side by side alone. DIR/store.db is made of
 * rows that look like measured ones, unless it is there. Every step runs in a process of its own, whose
 * highest memory is told. Exit status 1 where a bar is missed: open in 1 s, summary.csv in 60 s, 500 MB in
 * any step.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/export.h"
#include "harness/progress.h"

enum {
    PROFILES = 10,
    HEADS = 16,
    SEEDS = 30,
    WINDOWS = 16,
    OF_A_TASK = PROFILES * GDN_QUANTITIES * GDN_KINDS * WINDOWS * HEADS
};

typedef struct problem {
    const char *directory;
    char path[4096];
    int tasks;
    char (*id)[17];
    const char **ids;
} problem;

/* ---- rows ---- */

static uint64_t random_bits(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static double uniform(uint64_t *state)
{
    return (double)(random_bits(state) >> 11) * 0x1p-53;
}

/* Windows [2^i, 2^(i+1)) for i < 14, and lengths 1,024 and 16,384. */
static void window(int w, int64_t *from, int64_t *to)
{
    *from = w < 14 ? (int64_t)1 << w : 1;
    *to = w < 14 ? 2 * *from - 1 : w == 14 ? 1024 : 16384;
}

static gdn_row row_of(const char *population, int64_t seed, int i, uint64_t *random)
{
    static const char *const profiles[PROFILES] = {
        "fp32",    "a_log-bf16", "dt_bias-bf16",  "norm-bf16",  "all-bf16",
        "bf16-io", "bf16-state", "bf16-state-sr", "chunk-bf16", "bf16"};
    int head = i % HEADS, w = i / HEADS % WINDOWS, k = i / HEADS / WINDOWS % GDN_KINDS,
        q = i / HEADS / WINDOWS / GDN_KINDS % GDN_QUANTITIES,
        p = i / HEADS / WINDOWS / GDN_KINDS / GDN_QUANTITIES;
    double error = exp(-16 + 10 * uniform(random));
    gdn_row r = {.cell = random_bits(random),
                 .profile = profiles[p],
                 .recipe = p < 6 ? "fp32" : profiles[p],
                 .mode = "portable",
                 .population = population,
                 .keys = "isotropic",
                 .dk = 128,
                 .dv = 128,
                 .seed = seed,
                 .head = head,
                 .a_log = -8 + 10.8 * uniform(random),
                 .dt_bias = -6 + 5 * uniform(random),
                 .gamma = exp(-10 * uniform(random)),
                 .gamma_eff = exp(-5 * uniform(random)),
                 .quantity = gdn_quantity_names[q],
                 .kind = gdn_kind_names[k],
                 .rel_l2 = error,
                 .nmse = error * error,
                 .max_ulp = 1 / uniform(random),
                 .bias = error * (uniform(random) - 0.5),
                 .bits = -log2(error),
                 .cosine = 1 - error * error / 2,
                 .predicted = k == GDN_STORAGE ? error * (0.5 + uniform(random)) : NAN,
                 .uncertainty = error * 1e-5,
                 .reference = "fp64",
                 .certified = 4,
                 .flag = gdn_flag_names[GDN_FLAG_OK]};
    window(w, &r.from, &r.to);
    r.length = r.to;
    return r;
}

/* ---- steps, each in a process of its own ---- */

static gdn_status make(const problem *p, const char *name, gdn_error *err)
{
    gdn_store *store = NULL;
    gdn_row *rows = calloc(OF_A_TASK, sizeof *rows);
    gdn_status status = rows ? gdn_store_open(p->path, &store, err) : gdn_no_memory(err, name);
    for (int t = 0; t < p->tasks && !status; t++) {
        char population[32];
        uint64_t random = (uint64_t)t;
        snprintf(population, sizeof population, "population-%02d", t / SEEDS);
        for (int i = 0; i < OF_A_TASK; i++)
            rows[i] = row_of(population, 1 + t % SEEDS, i, &random);
        gdn_task_record record = {
            .task = p->ids[t],
            .population = population,
            .seed = 1 + t % SEEDS,
            .seconds = 1,
            .origin = {.commit = "none", .build = "none", .backend = "cpu", .device = "", .shard = ""}};
        status = gdn_store_commit(store, &record, rows, OF_A_TASK, err);
    }
    free(rows);
    gdn_error second;
    gdn_status closed = gdn_store_close(store, &second);
    return status ? status : closed;
}

static gdn_status open_it(const problem *p, const char *name, gdn_error *err)
{
    gdn_store *store = NULL;
    (void)name;
    gdn_status status = gdn_store_open(p->path, &store, err);
    bool found = true;
    for (int t = 0; t < p->tasks && !status && found; t++)
        status = gdn_store_has(store, p->ids[t], &found, err);
    if (!status && !found)
        status = gdn_fail(err, GDN_BAD_INPUT, "%s: a store of other rows; remove it", p->path);
    gdn_error second;
    gdn_status closed = gdn_store_close(store, &second);
    return status ? status : closed;
}

static gdn_status export_it(const problem *p, const char *name, gdn_error *err)
{
    gdn_store *store = NULL;
    gdn_status status = gdn_store_open(p->path, &store, err);
    if (!status)
        status = *name ? gdn_export_file(store, p->directory, name, p->ids, p->tasks, err)
                       : gdn_export(store, p->directory, p->ids, p->tasks, err);
    gdn_error second;
    gdn_status closed = gdn_store_close(store, &second);
    return status ? status : closed;
}

static double seconds_of(struct timeval t)
{
    return (double)t.tv_sec + 1e-6 * (double)t.tv_usec;
}

/* Returns whether the step kept within its seconds and 500 MB. */
static bool step(const problem *p, const char *what, const char *name, double bar,
                 gdn_status (*run)(const problem *, const char *, gdn_error *))
{
    struct timespec start;
    struct rusage used;
    int end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        gdn_error err = {""};
        gdn_status status = run(p, name, &err);
        if (status)
            fprintf(stderr, "%s\n", err.text);
        _exit((int)status);
    }
    if (child < 0 || wait4(child, &end, 0, &used) != child || end != 0)
        return false;
    double seconds = gdn_seconds_since(&start), megabytes = (double)used.ru_maxrss / 1000;
    bool good = (bar == 0 || seconds < bar) && megabytes < 500;
    printf("%-24s %8.2f s, %8.2f s of CPU, %6.0f MB%s\n", what, seconds,
           seconds_of(used.ru_utime) + seconds_of(used.ru_stime), megabytes, good ? "" : "  MISSED");
    return good;
}

int main(int argc, char **argv)
{
    static const char *const files[] = {"cells.csv",  "last.csv", "summary.csv",
                                        "growth.csv", "heat.csv", "tasks.csv"};
    if (argc < 2) {
        fprintf(stderr, "slow_rows DIR [ROWS [FILE]]\n");
        return 2;
    }
    double rows = argc > 2 ? atof(argv[2]) : 1e7;
    problem p = {.directory = argv[1], .tasks = (int)ceil(rows / OF_A_TASK)};
    snprintf(p.path, sizeof p.path, "%s/store.db", argv[1]);
    mkdir(argv[1], 0777);
    p.id = calloc((size_t)p.tasks, sizeof *p.id);
    p.ids = calloc((size_t)p.tasks, sizeof *p.ids);
    if (!p.id || !p.ids)
        return 2;
    for (int t = 0; t < p.tasks; t++) {
        snprintf(p.id[t], sizeof p.id[t], "%016x", (unsigned)t);
        p.ids[t] = p.id[t];
    }
    struct stat st;
    bool good = stat(p.path, &st) == 0 || step(&p, "made", "", 0, make);
    if (good && stat(p.path, &st) == 0)
        printf("%d rows in %d tasks, %.2f GB: %.0f bytes a row\n", p.tasks * OF_A_TASK, p.tasks,
               (double)st.st_size / 1e9, (double)st.st_size / p.tasks / OF_A_TASK);
    good = good && step(&p, "open", "", 1, open_it);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (argc < 4 || strcmp(argv[3], files[i]) == 0)
            good &= step(&p, files[i], files[i], strcmp(files[i], "summary.csv") == 0 ? 60 : 0, export_it);
    good =
        ((argc > 3 && strcmp(argv[3], "all") != 0) || step(&p, "all side by side", "", 0, export_it)) && good;
    free(p.id);
    free(p.ids);
    return !good;
}
