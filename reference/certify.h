/* SPDX-License-Identifier: Apache-2.0 */
/*
 * certify -- the ladder of references, as rows of data (spec section 10).
 *
 * A ladder has a base that runs every value column of every head, a check one rung down that runs a sample of
 * columns of every head, and perhaps a witness one rung further that runs a column of a head. Columns are
 * independent of each other, so a sample is exact, not approximate. An error is measured against the base
 * where the base is certified to a thousandth of it, else on the sampled columns against the check.
 */
#ifndef GDN_REFERENCE_CERTIFY_H
#define GDN_REFERENCE_CERTIFY_H

#include "base/engine.h"

typedef enum gdn_ladder_id { GDN_LADDER_FP64, GDN_LADDER_MPFR, GDN_LADDERS } gdn_ladder_id;

enum { GDN_BASE, GDN_CHECK, GDN_WITNESS, GDN_LEVELS };

typedef struct gdn_ladder {
    const char *name;
    const char *summary;
    const gdn_engine *engine[GDN_LEVELS]; /* NULL: the ladder ends */
    bool scalars_from_check; /* g and decay are taken from the check: it runs every head anyway */
} gdn_ladder;

extern const gdn_ladder gdn_ladders[GDN_LADDERS];

/* Up to this many tokens every column of every head is checked and witnessed. */
enum { GDN_CERTIFY_ALL = 256 };

/* Value columns checked by default: 1 in 16 at d_v = 128. */
enum { GDN_CHECK_COLUMNS = 8 };

/* `n` columns spread evenly over dv: a choice that depends on nothing else. columns: [n] */
void gdn_certify_columns(int dv, int n, int *columns);

#endif
