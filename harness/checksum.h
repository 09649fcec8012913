/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checksum -- of a task's rows: what is kept of millions of rows that anyone can make again.
 *
 * XXH3-128 of the rows' CSV lines, a newline after each, in order of cell. A checksum covers
 *
 *     all        every row; the same wherever the same backend runs the task
 *     portable   rows whose bits are the same on every CPU and GPU: mode portable or recorded,
 *                of recipes without chunks, which a GPU runs on tensor cores
 *     short      portable rows of positions up to GDN_SHORT: what a run of so few tokens
 *                gives again, whatever the length of the task
 */
#ifndef GDN_HARNESS_CHECKSUM_H
#define GDN_HARNESS_CHECKSUM_H

#include "base/status.h"
#include "harness/row.h"

typedef enum gdn_cover { GDN_COVER_ALL, GDN_COVER_PORTABLE, GDN_COVER_SHORT, GDN_COVERS } gdn_cover;

/* The end of a window, [512, 1023]: rows of windows up to here do not depend on what follows. */
enum { GDN_SHORT = 1023 };

typedef struct gdn_checksum {
    int64_t rows;
    char sum[33]; /* 32 hex digits; "" of no rows at all that were summed */
} gdn_checksum;

/* Is a row covered? */
int gdn_covered(gdn_cover cover, const gdn_row *row);

/* Row by row, for those who have them in order of cell, and need not hold them all. */
typedef struct gdn_summing gdn_summing;
gdn_status gdn_summing_open(gdn_summing **out, gdn_error *err);
void gdn_summing_add(gdn_summing *s, const gdn_row *row);
void gdn_summing_close(gdn_summing *s,
                       gdn_checksum out[GDN_COVERS]); /* out: NULL, or the sums of all added */

/* The checksums of rows[0..n), in any order. */
gdn_status gdn_rows_checksum(const gdn_row *rows, int64_t n, gdn_checksum out[GDN_COVERS], gdn_error *err);

#endif
