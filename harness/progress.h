/* SPDX-License-Identifier: Apache-2.0 */
/* progress -- how far a run is, on stderr: a bar with rate and time left on a terminal, plain lines
 * elsewhere. */
#ifndef GDN_HARNESS_PROGRESS_H
#define GDN_HARNESS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

typedef struct gdn_progress {
    bool quiet, terminal, colour;
    const char *what;   /* shown before the bar */
    double total, done; /* units of work */
    const char *unit;   /* of work, for the rate */
    struct timespec start, shown;
} gdn_progress;

/* Seconds of the monotonic clock since t. */
double gdn_seconds_since(const struct timespec *t);

/* 3725 s as "1 h 02 min", 4.2 s with a tenth; returns out. */
const char *gdn_duration(double s, char *out, size_t size);

void gdn_progress_start(gdn_progress *p, const char *what, double total, const char *unit, bool quiet);
void gdn_progress_add(gdn_progress *p, double work); /* callers serialise */
void gdn_progress_end(gdn_progress *p);

#endif
