/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify -- committed results made again here.
 *
 * Of each experiment: files against the sums in manifest.json, columns against this program's, figures
 * against what plots/ draw from the CSV files. Then a sample of its tasks is run on this CPU:
 *
 *     portable rows    by checksum, bit for bit (harness/checksum.h): whole where the task is small,
 *                      else on its first GDN_SHORT tokens
 *     native rows      those of a GPU's own arithmetic, against the medians in summary.csv: intervals
 *                      must lie within a factor of 2 of each other; those that do not overlap are counted.
 *                      This CPU adds in another order and rounds where tensor cores cut off: at most
 *                      twice the error (verify_tasks.c). On 3,762 medians of an H100 the largest factor
 *                      was 1.10.
 *     CSV files        of a CPU's results all of whose tasks have run whole: exported again, byte for byte
 *
 * What cannot be checked here is said and counted; in a sample another task takes its place.
 */
#ifndef GDN_HARNESS_VERIFY_H
#define GDN_HARNESS_VERIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

/* How much of a task is run again. */
typedef enum gdn_extent {
    GDN_EXTENT_FITTING, /* small tasks whole, of others the first GDN_SHORT tokens */
    GDN_EXTENT_WHOLE,
    GDN_EXTENT_SHORT
} gdn_extent;

typedef struct gdn_verify_options {
    const char *results;           /* directory with a folder an experiment */
    const char *const *experiment; /* [n] names, of which each counts once; n = 0: all that lie there */
    int n;
    int tasks; /* how many to run again, of all experiments together; 0: all of them */
    gdn_extent extent;
    uint64_t draw; /* which tasks: the same number, the same sample */
    int jobs;
    bool figures; /* draw them again */
    bool quiet;   /* no progress on stderr */
} gdn_verify_options;

typedef struct gdn_verify_counts {
    int64_t files, files_kept_elsewhere; /* present and compared; named by a manifest, not committed */
    int64_t figures, figures_left;       /* drawn again; not, for want of what they are drawn from */
    int64_t probes;                      /* experiments whose probes were measured again */
    int64_t summaries;                   /* experiments whose CSV files were made again */
    int64_t tasks, whole, rows;          /* run again; over their whole length; portable rows compared */
    int64_t medians, apart; /* of native rows compared; of these, intervals that do not overlap */
    int64_t left;           /* tasks drawn that need a GPU, or have no sums to compare with */
    int64_t differ;         /* of all these, what differs */
} gdn_verify_counts;

/*
 * A line a difference, and a line for what was left, on `out`. GDN_DIFFERS when anything differs;
 * GDN_BAD_INPUT when there are no results, they are not readable, or none of their tasks can be compared.
 */
gdn_status gdn_verify(const gdn_verify_options *o, gdn_verify_counts *counts, FILE *out, gdn_error *err);

#endif
