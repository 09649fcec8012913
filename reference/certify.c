/* SPDX-License-Identifier: Apache-2.0 */
/* certify -- the ladder of references; see certify.h. */
#include "reference/certify.h"

#include "reference/gdn_dd.h"
#include "reference/gdn_fp64.h"
#include "reference/gdn_mpfr.h"
#include "reference/gdn_mpfr_fast.h"

const gdn_ladder gdn_ladders[GDN_LADDERS] = {
    [GDN_LADDER_FP64] =
        {"fp64",
         "fp64 on every column, double-double on a sample of every head, MPFR on a column of a head",
         {&gdn_fp64_engine, &gdn_dd_engine, &gdn_mpfr_fast_engine},
         true},
    [GDN_LADDER_MPFR] = {"mpfr",
                         "literal MPFR on every column, MPFR at a higher precision on a sample of every head",
                         {&gdn_mpfr_engine, &gdn_mpfr_engine, NULL},
                         false},
};

void gdn_certify_columns(int dv, int n, int *columns)
{
    for (int j = 0; j < n; j++)
        columns[j] = (int)((2 * (int64_t)j + 1) * dv / (2 * n));
}
