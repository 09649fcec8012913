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
#include "harness/provenance.h"

static char command_line[4096];

const char *gdn_command_line(void)
{
    return command_line;
}

void gdn_command_line_keep(int argc, char **argv)
{
    size_t n = 0;
    for (int i = 0; i < argc && n < sizeof command_line; i++) {
        const char *word = i ? argv[i] : "gdnprec";
        n += (size_t)snprintf(command_line + n, sizeof command_line - n, "%s%s", i ? " " : "", word);
    }
    if (n >= sizeof command_line) { /* it is cut, between two characters of UTF-8 */
        size_t end = sizeof command_line - sizeof "...";
        while (end > 0 && ((unsigned char)command_line[end] & 0xc0) == 0x80)
            end--;
        memcpy(command_line + end, "...", sizeof "...");
    }
}

/* The first line that argp or getopt wrote, without the program's name. */
static gdn_status refused(const char *name, char *said, gdn_error *err)
{
    size_t n = strlen(name);
    said[strcspn(said, "\n")] = 0;
    if (strncmp(said, name, n) == 0 && strncmp(said + n, ": ", 2) == 0)
        said += n + 2;
    return gdn_fail(err, GDN_BAD_INPUT, "%s: %s; `%s --help` lists what is allowed", strrchr(name, ' ') + 1,
                    said, name);
}

/* argp and getopt write to stderr what is one sentence of ours; glibc lets a stream stand in for it. */
gdn_status gdn_parse(const struct argp *argp, int argc, char **argv, void *input, int *done, gdn_error *err)
{
    *done = 0;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        bool usage = strcmp(argv[i], "--usage") == 0, version = strcmp(argv[i], "--version") == 0;
        if (!usage && !version && strcmp(argv[i], "--help") != 0 && strcmp(argv[i], "-?") != 0)
            continue;
        if (version)
            printf("gdnprec %s\n", gdn_version_long());
        else
            argp_help(argp, stdout,
                      usage ? ARGP_HELP_USAGE : ARGP_HELP_STD_HELP & ~(unsigned)ARGP_HELP_EXIT_OK, argv[0]);
        *done = 1;
        return GDN_OK;
    }
    char *said = NULL;
    size_t size = 0;
    FILE *real = stderr, *standin = open_memstream(&said, &size);
    if (!standin)
        return gdn_no_memory(err, "options");
    err->text[0] = 0;
    stderr = standin;
    error_t code = argp_parse(argp, argc, argv, ARGP_NO_EXIT | ARGP_NO_HELP, NULL, input);
    stderr = real;
    gdn_status status = GDN_OK;
    if (fclose(standin))
        status = gdn_no_memory(err, "options");
    else if (code != 0 && !err->text[0])
        status = *said ? refused(argv[0], said, err)
                       : gdn_fail(err, GDN_BAD_INPUT, "%s: %s", argv[0], strerror(code));
    else if (code != 0)
        status = GDN_BAD_INPUT;
    free(said);
    return status;
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
    static const char *const beside[] = {"",
                                         "/share/gdnprec"}; /* build/gdnprec; bin/gdnprec, wherever moved */
    char exe[4096], style[4200];
    const char *env = getenv("GDNPREC_SHARE");
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    snprintf(out, size, "%s", env ? env : GDN_SHARE);
    if (env || n < 0)
        return out;
    exe[n] = 0;
    for (int up = 0; up < 2 && strrchr(exe, '/'); up++)
        *strrchr(exe, '/') = 0;
    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
        snprintf(style, sizeof style, "%s%s/plots/style.gp", exe, beside[i]);
        if (access(style, R_OK) == 0) {
            snprintf(out, size, "%s%s", exe, beside[i]);
            break;
        }
    }
    return out;
}
