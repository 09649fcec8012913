/* SPDX-License-Identifier: Apache-2.0 */
/* progress -- how far a run is; see progress.h. */
#include "harness/progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 30 };

double gdn_seconds_since(const struct timespec *t)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - t->tv_sec) + 1e-9 * (double)(now.tv_nsec - t->tv_nsec);
}

void gdn_progress_start(gdn_progress *p, const char *what, double total, const char *unit, bool quiet)
{
    *p = (gdn_progress){.quiet = quiet, .what = what, .total = total, .unit = unit};
    const char *term = getenv("TERM");
    p->terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    p->colour = p->terminal && !getenv("NO_COLOR");
    clock_gettime(CLOCK_MONOTONIC, &p->start);
    p->shown = p->start;
}

const char *gdn_duration(double s, char *out, size_t size)
{
    if (s < 60)
        snprintf(out, size, s < 10 ? "%.1f s" : "%.0f s", s);
    else if (s < 3600)
        snprintf(out, size, "%d min %02d s", (int)s / 60, (int)s % 60);
    else
        snprintf(out, size, "%.0f h %02d min", floor(s / 3600), (int)fmod(s, 3600) / 60);
    return out;
}

static void show(const gdn_progress *p)
{
    double share = p->total > 0 ? p->done / p->total : 1, spent = gdn_seconds_since(&p->start);
    char left[32] = "?", bar[3 * WIDTH + 1] = "";
    share = share > 1 ? 1 : share;
    if (share > 0.005)
        gdn_duration(spent * (1 - share) / share, left, sizeof left);
    if (!p->terminal) {
        fprintf(stderr, "%s: %3.0f %%, %.3g %s/s, %s left\n", p->what, 100 * share, p->done / spent, p->unit,
                left);
        return;
    }
    for (int i = 0; i < WIDTH; i++)
        strcat(bar, i < share * WIDTH ? "█" : "·"); /* NOLINT(*insecureAPI.strcpy): at most 3 bytes each */
    fprintf(stderr, "\r%s %s%s%s %3.0f %%  %.3g %s/s  %s left\033[K", p->what, p->colour ? "\033[36m" : "",
            bar, p->colour ? "\033[0m" : "", 100 * share, p->done / spent, p->unit, left);
}

void gdn_progress_add(gdn_progress *p, double work)
{
    p->done += work;
    if (p->quiet || gdn_seconds_since(&p->shown) < (p->terminal ? 0.2 : 15))
        return;
    clock_gettime(CLOCK_MONOTONIC, &p->shown);
    show(p);
}

void gdn_progress_end(gdn_progress *p)
{
    if (p->terminal && !p->quiet)
        fprintf(stderr, "\r\033[K");
}
