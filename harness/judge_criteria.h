/* SPDX-License-Identifier: Apache-2.0 */
/* judge_criteria -- when the test suites of FLA, FlashQLA and llama.cpp call an output right, as rows of
 * data. */
#ifndef GDN_HARNESS_JUDGE_CRITERIA_H
#define GDN_HARNESS_JUDGE_CRITERIA_H

#include <stdbool.h>

#include "base/status.h"
#include "harness/metrics.h"
#include "harness/row.h"

typedef enum gdn_criterion_metric {
    GDN_CRITERION_RATIO, /* FLA: sqrt(mean d^2) / (sqrt(mean ref^2) + 1e-8) */
    GDN_CRITERION_REL_L2,
    GDN_CRITERION_NMSE,
    GDN_CRITERION_METRICS
} gdn_criterion_metric;

extern const char
    *const gdn_criterion_metric_names[GDN_CRITERION_METRICS]; /* "rmse ratio", "rel_l2", "nmse" */

typedef struct gdn_criterion {
    const char *name;   /* whose */
    const char *kernel; /* a word that the kernel's name holds; NULL: any other */
    gdn_quantity quantity;
    gdn_criterion_metric metric;
    double limit;
    double outright; /* passes where no |d| is above it; 0: no such rule */
    const char *source;
} gdn_criterion;

/* The row for an output of this kernel, or NULL where the suite does not test the quantity. */
const gdn_criterion *gdn_criterion_find(const char *name, const char *kernel, gdn_quantity q);

/* GDN_BAD_INPUT for a name that no row has. */
gdn_status gdn_criterion_check(const char *name, gdn_error *err);

/* What the criterion looks at. */
double gdn_criterion_value(gdn_criterion_metric metric, const gdn_sums *s);

#endif
