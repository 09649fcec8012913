/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert_cast -- stored elements from one dtype into another.
 *
 * A number passes through the storage chain (profile.h), then into the dtype of the result, to nearest, ties
 * to even. NaN stays NaN: sign and as many of its leading payload bits as fit, so that what was widened comes
 * back bit by bit.
 */
#ifndef GDN_HARNESS_CONVERT_CAST_H
#define GDN_HARNESS_CONVERT_CAST_H

#include <stdbool.h>

#include "harness/profile.h"
#include "harness/safetensors.h"

typedef struct gdn_cast_counts {
    int64_t elements;
    int64_t changed;       /* another value than before, or another sign of zero */
    int64_t overflow;      /* of those: finite before, infinite or NaN now */
    int64_t nan, infinite; /* before */
} gdn_cast_counts;

/* The dtype in which the last link of a chain rests; GDN_DTYPES: none of its own (tf32, a pair). */
gdn_dtype gdn_cast_dtype(int link);

/* Are the dtype's elements numbers that can be cast? F64, F32, F16, BF16, F8_E4M3 and F8_E5M2 are. */
bool gdn_cast_knows(gdn_dtype dtype);

/* Does every value of `from` have its own in `to`? */
bool gdn_cast_widens(gdn_dtype from, gdn_dtype to);

/*
 * n elements through chain (NULL: none). Both dtypes are of those that gdn_cast_knows. in: [n] of `from`,
 * out: [n] of `to`, or NULL where only the counts are wanted; both at any alignment. The counts are added to.
 */
void gdn_cast(gdn_dtype from, gdn_dtype to, const gdn_chain *chain, const void *in, int64_t n, void *out,
              gdn_cast_counts *counts);

#endif
