/* SPDX-License-Identifier: Apache-2.0 */
/* cost_rows -- what rows cost on this machine, on their way into the store and in the files; see cost.h. */
#include <math.h>
#include <time.h>

#include "harness/cost.h"

/*
 * Seconds of one thread a row, measured by tests/slow_rows (docs/scale.md) where a line of CSV took LINE:
 * made of sums, committed, and in all files together; the median of K seeds has an interval that takes K
 * times BOOTSTRAP a row.
 */
static const double LINE = 5.1e-6, ROW = 15e-6, COMMIT = 7e-6, EXPORT_ROW = 45e-6, BOOTSTRAP = 0.2e-6;
enum { SEEDS_OF_EXPORT_ROW = 30 };

/* Processor seconds of a line of CSV here, the least of some. */
static double line_seconds(void)
{
    enum { LINES = 500, TRIALS = 9 };
    char line[4096];
    double least = INFINITY;
    for (int trial = 0; trial < TRIALS; trial++) {
        struct timespec start, end;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
        for (int i = 0; i < LINES; i++) {
            double x = 1 / (3.0 + i);
            gdn_row row = {.profile = "a_log-bf16",
                           .recipe = "fp32",
                           .mode = "portable",
                           .population = "isotropic-fla",
                           .keys = "isotropic",
                           .dk = 128,
                           .dv = 128,
                           .length = 1024 + i,
                           .a_log = x,
                           .dt_bias = -x,
                           .gamma = x / 3,
                           .gamma_eff = x / 5,
                           .quantity = "state",
                           .kind = "storage",
                           .rel_l2 = x * 1e-3,
                           .nmse = x * 1e-6,
                           .max_ulp = 7 * x,
                           .bias = x * -1e-5,
                           .bits = 9 * x,
                           .cosine = 1 - x * 1e-4,
                           .predicted = x * 2e-3,
                           .uncertainty = x * 1e-9,
                           .reference = "fp64",
                           .flag = "ok"};
            gdn_row_csv(&row, line, sizeof line);
        }
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
        double seconds = (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
        least = fmin(least, seconds / LINES);
    }
    return least;
}

gdn_row_cost gdn_cost_rows(void)
{
    double slower = line_seconds() / LINE;
    return (gdn_row_cost){.made = ROW * slower,
                          .committed = COMMIT * slower,
                          .exported = EXPORT_ROW * slower,
                          .bootstrap = BOOTSTRAP * slower};
}

gdn_export_cost gdn_cost_export(const gdn_task_size *all, double groups, double seeds, int threads,
                                const gdn_row_cost *row)
{
    double rows = (double)all->rows, line = rows > 0 ? all->written / rows : 0,
           seconds = row->exported + row->bootstrap * fmax(seeds - SEEDS_OF_EXPORT_ROW, 0);
    gdn_export_cost c = {.seconds = rows * seconds / fmin(threads, 8),
                         .files = all->written + line * (double)all->last + 380 * groups,
                         .spill = rows * 250};
    /* sorts hold 8 MiB a thread, the summary two halves of a part, each part of cells.csv its text */
    c.host = fmin(rows * 60, 75e6 + 10e6 * fmin(threads, 8));
    return c;
}
