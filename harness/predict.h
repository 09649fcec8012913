/* SPDX-License-Identifier: Apache-2.0 */
/* predict -- the relative L2 errors that theory gives before the run (spec section 7, research/anchors.md
 * section 5). */
#ifndef GDN_HARNESS_PREDICT_H
#define GDN_HARNESS_PREDICT_H

#include <stdint.h>

#include "base/inputs.h"
#include "harness/profile.h"
#include "harness/row.h"

typedef struct gdn_regime {
    gdn_keys keys;
    double gamma, gamma_eff; /* per token; NaN where unknown */
    double eps;              /* relative error of the log gate through storage; 0: none */
    double eps_a_log; /* the part that is exact for every token: A stored / A - 1; NaN if dt_bias is stored
                         too */
    double norm;      /* rms relative error of the stored out_norm weight */
    const gdn_profile *profile;
    int64_t from, to;
} gdn_regime;

/* Predicted rel_l2, or NaN where theory says nothing. */
double gdn_predict(const gdn_regime *r, gdn_quantity quantity, gdn_kind kind);

/*
 * gamma_eff = gamma + (2 E beta - E beta^2) / (2 r): r is d_k for isotropic keys, the rank for low-rank, 1
 * for repeated, d_k - 1 beside a needle; NaN where the geometry is not known.
 */
double gdn_gamma_eff(gdn_keys keys, int dk, int rank, double gamma, double beta, double beta2);

/* A stored / A - 1, A = exp(a_log): what rests is A itself, or log A. */
double gdn_rate_error(bool stored_is_a, double stored, double a_log);

#endif
