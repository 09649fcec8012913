/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_cuda -- the accumulation of harness/backend.h on the device (metrics.cu). */
#ifndef GDN_HARNESS_METRICS_CUDA_H
#define GDN_HARNESS_METRICS_CUDA_H

#include "harness/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

gdn_status gdn_metrics_cuda_differ(const gdn_difference *d, int n, gdn_error *err);
gdn_status gdn_metrics_cuda_sums(gdn_accumulator *a, size_t rows, bool anew, gdn_sums *out, gdn_error *err);
gdn_status gdn_metrics_cuda_cumulate(const gdn_decays *d, gdn_error *err);
gdn_status gdn_metrics_cuda_rescale(const gdn_decays *d, int64_t *scale, gdn_error *err);
gdn_status gdn_metrics_cuda_average(const gdn_averages *a, gdn_error *err);

#ifdef __cplusplus
}
#endif

#endif
