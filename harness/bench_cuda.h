/* SPDX-License-Identifier: Apache-2.0 */
/* bench_cuda -- the engines on a GPU, timed beside its limits (bench_cuda.cu). */
#ifndef GDN_HARNESS_BENCH_CUDA_H
#define GDN_HARNESS_BENCH_CUDA_H

#include <jansson.h>

#include "harness/bench.h"
#include "kernels/chunked.h"
#include "kernels/recurrent.h"
#include "reference/gdn_dd.h"
#include "reference/gdn_fp64.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Append to results and limits; text: also as a table, or NULL. */
gdn_status gdn_bench_cuda(const gdn_bench_options *options, int device, json_t *results, json_t *limits,
                          FILE *text, gdn_error *err);

#ifdef __cplusplus
}
#endif

#endif
