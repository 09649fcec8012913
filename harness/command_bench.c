/* SPDX-License-Identifier: Apache-2.0 */
/* command_bench -- gdnprec bench. */
#include <errno.h>
#include <stdio.h>

#include "harness/bench.h"
#include "harness/commands.h"

typedef struct arguments {
    gdn_bench_options options;
    gdn_error *err;
    gdn_status status;
} arguments;

static const struct argp_option options[] = {
    {"backend", 'b', "NAME", 0, "cpu or cuda (default: cpu)", 0},
    {"device", 'd', "N", 0, "which GPU (default: 0)", 0},
    {"repeats", 'n', "N", 0, "repeats of each figure (default: 7)", 0},
    {"seconds", 's', "X", 0, "length of a repeat, about (default: 0.05)", 0},
    {"filter", 'f', "TEXT", 0, "only engines whose name contains TEXT", 0},
    {"json", 'J', 0, 0, "as JSON, with a context block", 0},
    {0},
};

static error_t option(int key, char *text, struct argp_state *state)
{
    arguments *a = state->input;
    long n = 0;
    switch (key) {
    case 'b':
        a->options.backend = text;
        return 0;
    case 'd':
        a->status = gdn_option_whole("--device", text, 0, 1023, &n, a->err);
        a->options.device = (int)n;
        return a->status ? EINVAL : 0;
    case 'n':
        a->status = gdn_option_whole("--repeats", text, 1, 99, &n, a->err);
        a->options.repeats = (int)n;
        return a->status ? EINVAL : 0;
    case 's':
        a->status = gdn_option_number("--seconds", text, 1e-3, 60, &a->options.seconds, a->err);
        return a->status ? EINVAL : 0;
    case 'f':
        a->options.filter = text;
        return 0;
    case 'J':
        a->options.json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

gdn_status gdn_command_bench(int argc, char **argv, gdn_error *err)
{
    static const struct argp argp = {
        options,
        option,
        "",
        "Time every engine beside this machine's own limits, in one run."
        "\vOn the CPU: a state element and token is one of the d_k d_v numbers of a head's state, once; the "
        "last "
        "column is how many times faster than the literal MPFR form an engine is. On a GPU: head-tokens a "
        "second, and the share of what its multiply-adds or its memory allow.",
        NULL,
        NULL,
        NULL};
    arguments a = {.options = {.backend = "cpu", .repeats = 7, .seconds = 0.05}, .err = err};
    int done;
    gdn_status status = gdn_parse(&argp, argc, argv, &a, &done, err);
    return status || done ? status : gdn_bench(&a.options, stdout, err);
}
