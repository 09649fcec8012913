/* SPDX-License-Identifier: Apache-2.0 */
/* experiment_check -- checks that the parts of an experiment file share; see experiment_parts.h. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "harness/experiment_parts.h"
#include "harness/plan.h"
#include "harness/shown.h"

gdn_status gdn_bad(gdn_checker *c, const char *path, const char *format, ...)
{
    char sentence[512], said[512], where[160];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return gdn_fail(c->err, GDN_BAD_INPUT, "%s:%d: %s%s%s", c->e->path, gdn_yaml_line(c->e->text, path),
                    gdn_shown(path, where, sizeof where), *path ? ": " : "",
                    gdn_shown(sentence, said, sizeof said));
}

const char *gdn_at(gdn_checker *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->path, sizeof c->path, format, args);
    va_end(args);
    return c->path;
}

gdn_status gdn_check_whole(gdn_checker *c, const char *path, double x, double lo, double hi)
{
    if (!(x >= lo && x <= hi && x == floor(x)))
        return gdn_bad(c, path, "%.15g is not allowed; a whole number from %.0f to %.0f is", x, lo, hi);
    return GDN_OK;
}

gdn_status gdn_check_bounded(gdn_checker *c, const char *path, const double *x, unsigned n, double limit)
{
    for (unsigned i = 0; i < n; i++)
        if (!(fabs(x[i]) <= limit))
            return gdn_bad(c, path, "%g is not allowed; a finite number of size at most %g is", x[i], limit);
    return GDN_OK;
}

void gdn_check_default(const gdn_checker *c, const char *path, double *x, double value)
{
    if (*x == 0 && !gdn_yaml_has(c->tree, path))
        *x = value;
}

gdn_status gdn_check_name(gdn_checker *c, const char *path, const char *name)
{
    if (strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.+-") != strlen(name) ||
        strlen(name) > 80 || name[0] == '.' || name[0] == '-')
        return gdn_bad(c, path, "'%.100s' is no name; up to 80 letters, digits, '_', '.', '+' and '-' are",
                       name);
    return GDN_OK;
}

gdn_status gdn_check_profile(gdn_checker *c, const char *path, const char *name)
{
    const char *all[512];
    int n = c->e->profile_count < 512 ? c->e->profile_count : 512;
    if (gdn_experiment_profile(c->e, name) >= 0)
        return GDN_OK;
    for (int i = 0; i < n; i++)
        all[i] = c->e->profiles[i].name;
    const char *near = gdn_nearest(name, all, n);
    return gdn_bad(c, path, "'%s' is not a profile%s%s%s; `gdnprec list profiles` shows them", name,
                   near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

gdn_status gdn_check_profiles(gdn_checker *c, const char *where, char **names, unsigned n)
{
    gdn_status status = GDN_OK;
    for (unsigned i = 0; i < n && !status; i++) {
        char path[160];
        snprintf(path, sizeof path, "%sprofiles/%u", where, i);
        status = gdn_check_profile(c, path, names[i]);
        for (unsigned j = 0; j < i && !status; j++)
            if (strcmp(names[i], names[j]) == 0)
                status = gdn_bad(c, path, "the profile '%s' is named twice", names[i]);
    }
    return status;
}

gdn_status gdn_check_lengths(gdn_checker *c, const char *where, const char *key, const double *x, unsigned n)
{
    char path[160];
    gdn_status status = GDN_OK;
    snprintf(path, sizeof path, "%s%s", where, key);
    if (n > GDN_PLAN_LENGTHS)
        return gdn_bad(c, path, "%u %s; at most %d are allowed", n, key, GDN_PLAN_LENGTHS);
    for (unsigned i = 0; i < n && !status; i++) {
        snprintf(path, sizeof path, "%s%s/%u", where, key, i);
        status = gdn_check_whole(c, path, x[i], 1, GDN_MAX_LENGTH);
        if (!status && i && x[i] <= x[i - 1])
            status = gdn_bad(c, path, "%.0f after %.0f; %s must increase", x[i], x[i - 1], key);
    }
    return status;
}
