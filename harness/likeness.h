/* SPDX-License-Identifier: Apache-2.0 */
/*
 * likeness -- which recipe of ours errs as somebody else's output does.
 *
 * Theirs is x, ours c, the truth r (fp64); e_x = x - r and e_c = c - r over all elements:
 *
 *     correlation  <e_x, e_c> / (|e_x| |e_c|)
 *     size         |e_c| / |e_x|
 *     explained    1 - |x - c|^2 / |e_x|^2
 *
 * Roundings at the same places of the same numbers are the same errors, whatever the order of sums: explained
 * is near 1. An error that is merely as large is uncorrelated. likeness_verdict.c derives the limits.
 */
#ifndef GDN_HARNESS_LIKENESS_H
#define GDN_HARNESS_LIKENESS_H

#include "harness/source.h"

/* Candidates at most. */
enum { GDN_LIKENESS_ROWS = 24 };

typedef enum gdn_likeness_verdict {
    GDN_LIKENESS_EXACT, /* theirs is the truth, as far as fp64 tells */
    GDN_LIKENESS_SAME,  /* it rounds where the candidate does */
    GDN_LIKENESS_SIZE,  /* an error as large as the candidate's, but not the same one */
    GDN_LIKENESS_NONE,  /* larger or smaller than that of every candidate, and none of them in it */
    GDN_LIKENESS_VERDICTS
} gdn_likeness_verdict;

extern const char
    *const gdn_likeness_verdict_names[GDN_LIKENESS_VERDICTS]; /* "exact", "same", "size", "none" */

/* One candidate beside one output. */
typedef struct gdn_likeness_row {
    const char *name;                    /* "chunk-tf32", "round-bf16" */
    const char *phrase;                  /* "products in TF32, chunked" */
    double correlation, size, explained; /* fp32-drift and factor are fitted: size is then |correlation| */
} gdn_likeness_row;

/* What one output looks like. */
typedef struct gdn_likeness {
    bool present; /* recorded and compared; else nothing below is set */
    gdn_likeness_verdict verdict;
    int best; /* the row the verdict names, or the nearest in size; -1: no row to name */
    gdn_likeness_row row[GDN_LIKENESS_ROWS];
    int rows;
    int64_t tokens;     /* the first so many were compared */
    gdn_format_id grid; /* the narrowest of bf16, fp16, tf32, fp32, fp64 that holds every value of theirs */
    double rel_l2;      /* |e_x| / |r| */
    char text[320]; /* the verdict as a phrase, no full stop: "products in TF32 (chunk-tf32): explains 97 % of
                       the error, on the first 2,048 tokens" */
} gdn_likeness;

/*
 * Compare what one recording of an open source (of a file) holds with every candidate; out[GDN_Q_O],
 * [GDN_Q_STATE] and [GDN_Q_Y] are filled where recorded, the others are left absent. params: what the kernel
 * ran on; NULL: the source's own, with the file's l2norm and scale. Uses the source's block. Heads are shared
 * by `threads`; the same figures whatever their number.
 */
gdn_status gdn_likeness_find(gdn_source *source, const gdn_recorded *recorded, const gdn_params *params,
                             int threads, gdn_likeness out[GDN_QUANTITIES], gdn_error *err);

#endif
