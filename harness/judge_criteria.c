/* SPDX-License-Identifier: Apache-2.0 */
/* judge_criteria -- other people's limits; see judge_criteria.h. */
#include "harness/judge_criteria.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "harness/experiment.h"

const char *const gdn_criterion_metric_names[GDN_CRITERION_METRICS] = {"rmse ratio", "rel_l2", "nmse"};

#define FLA "flash-linear-attention: tests/ops/test_gdn.py, fla/utils/_testing.py (assert_close)"
#define FLA_GATE "flash-linear-attention: tests/ops/test_gdn_kernels.py"
#define QLA "FlashQLA: tests, relative L2 against fp64"
#define GGML "llama.cpp: tests/test-backend-ops.cpp, GATED_DELTA_NET (max_nmse_err)"

static const gdn_criterion table[] = {
    {"fla", "recurrent", GDN_Q_O, GDN_CRITERION_RATIO, 0.002, 1e-6, FLA},
    {"fla", "recurrent", GDN_Q_STATE, GDN_CRITERION_RATIO, 0.002, 1e-6, FLA},
    {"fla", NULL, GDN_Q_O, GDN_CRITERION_RATIO, 0.005, 1e-6, FLA},
    {"fla", NULL, GDN_Q_STATE, GDN_CRITERION_RATIO, 0.005, 1e-6, FLA},
    {"fla", NULL, GDN_Q_G, GDN_CRITERION_RATIO, 0.005, 1e-6, FLA_GATE},
    {"flashqla", NULL, GDN_Q_O, GDN_CRITERION_REL_L2, 0.02, 0, QLA},
    {"flashqla", NULL, GDN_Q_STATE, GDN_CRITERION_REL_L2, 0.02, 0, QLA},
    {"llamacpp", NULL, GDN_Q_O, GDN_CRITERION_NMSE, 1e-7, 0, GGML},
    {"llamacpp", NULL, GDN_Q_STATE, GDN_CRITERION_NMSE, 1e-7, 0, GGML},
};

enum { ROWS = sizeof table / sizeof table[0] };

const gdn_criterion *gdn_criterion_find(const char *name, const char *kernel, gdn_quantity q)
{
    for (int i = 0; i < ROWS; i++)
        if (strcmp(table[i].name, name) == 0 && table[i].quantity == q &&
            (!table[i].kernel || strstr(kernel, table[i].kernel)))
            return &table[i];
    return NULL;
}

gdn_status gdn_criterion_check(const char *name, gdn_error *err)
{
    const char *all[ROWS];
    for (int i = 0; i < ROWS; i++) {
        all[i] = table[i].name;
        if (strcmp(name, all[i]) == 0)
            return GDN_OK;
    }
    const char *near = gdn_nearest(name, all, ROWS);
    return gdn_fail(err, GDN_BAD_INPUT,
                    "--criterion: '%.40s' is not known%s%s%s; fla, flashqla and llamacpp are", name,
                    near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

double gdn_criterion_value(gdn_criterion_metric metric, const gdn_sums *s)
{
    double n = (double)s->n, nmse = s->dd / s->rr;
    switch (metric) {
    case GDN_CRITERION_RATIO:
        return sqrt(s->dd / n) / (sqrt(s->rr / n) + 1e-8);
    case GDN_CRITERION_NMSE:
        return nmse;
    default:
        return sqrt(nmse);
    }
}
