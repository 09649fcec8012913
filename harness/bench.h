/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench -- what a state element and token costs in each engine, beside the machine's limits measured in the
 * same run.
 *
 * On the CPU one head at d_k = d_v = 128 on one core, median and minimum of repeated runs; on a GPU batches
 * of heads (bench_cuda.cu).
 */
#ifndef GDN_HARNESS_BENCH_H
#define GDN_HARNESS_BENCH_H

#include <stdbool.h>
#include <stdio.h>

#include "base/status.h"

typedef struct gdn_bench_options {
    const char *backend; /* cpu or cuda */
    int device;          /* which GPU */
    bool json;
    int repeats;
    double seconds;     /* for each repeat, about */
    const char *filter; /* only engines whose name contains it; NULL: all */
} gdn_bench_options;

gdn_status gdn_bench(const gdn_bench_options *options, FILE *out, gdn_error *err);

#endif
