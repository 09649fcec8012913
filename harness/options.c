/* SPDX-License-Identifier: Apache-2.0 */
/* options -- what the commands share in reading their words; see commands.h. */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/commands.h"

/* argp prints its own sentence for an unknown option; it must not exit for us. */
gdn_status gdn_parse(const struct argp *argp, int argc, char **argv, void *input, int *done, gdn_error *err)
{
    *done = 0;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        bool usage = strcmp(argv[i], "--usage") == 0;
        if (!usage && strcmp(argv[i], "--help") != 0 && strcmp(argv[i], "-?") != 0)
            continue;
        argp_help(argp, stdout, usage ? ARGP_HELP_USAGE : ARGP_HELP_STD_HELP & ~(unsigned)ARGP_HELP_EXIT_OK,
                  argv[0]);
        *done = 1;
        return GDN_OK;
    }
    err->text[0] = 0;
    error_t code = argp_parse(argp, argc, argv, ARGP_NO_EXIT | ARGP_NO_HELP, NULL, input);
    if (code == 0)
        return GDN_OK;
    if (!err->text[0] && code != EINVAL)
        return gdn_fail(err, GDN_BAD_INPUT, "%s: %s", argv[0], strerror(code));
    return GDN_BAD_INPUT;
}

gdn_status gdn_option_number(const char *what, const char *text, double lo, double hi, double *x,
                             gdn_error *err)
{
    char *end;
    *x = strtod(text, &end);
    if (end == text || *end || !(*x >= lo && *x <= hi))
        return gdn_fail(err, GDN_BAD_INPUT, "%s: '%s' is not allowed; a number from %g to %g is", what, text,
                        lo, hi);
    return GDN_OK;
}

gdn_status gdn_option_whole(const char *what, const char *text, long lo, long hi, long *x, gdn_error *err)
{
    char *end;
    errno = 0;
    *x = strtol(text, &end, 10);
    if (end == text || *end || errno || *x < lo || *x > hi)
        return gdn_fail(err, GDN_BAD_INPUT, "%s: '%s' is not allowed; a whole number from %ld to %ld is",
                        what, text, lo, hi);
    return GDN_OK;
}

#ifndef GDN_SHARE
#define GDN_SHARE "/usr/local/share/gdnprec"
#endif

const char *gdn_share(char *out, size_t size)
{
    char exe[4096], plots[4200];
    const char *env = getenv("GDNPREC_SHARE");
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    snprintf(out, size, "%s", env ? env : GDN_SHARE);
    if (env || n < 0)
        return out;
    exe[n] = 0;
    for (int up = 0; up < 2 && strrchr(exe, '/'); up++)
        *strrchr(exe, '/') = 0;
    snprintf(plots, sizeof plots, "%s/plots/style.gp", exe);
    if (access(plots, R_OK) == 0)
        snprintf(out, size, "%s", exe);
    return out;
}
