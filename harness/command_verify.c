/* SPDX-License-Identifier: Apache-2.0 */
/* command_verify -- gdnprec verify [EXPERIMENT...] */
#include <inttypes.h>
#include <jansson.h>
#include <omp.h>
#include <stdio.h>

#include "harness/commands.h"
#include "harness/verify.h"

enum { MAX_EXPERIMENTS = 64, SAMPLE = 20 };

typedef struct arguments {
    gdn_verify_options verify;
    const char *experiment[MAX_EXPERIMENTS];
    bool json;
    gdn_error *err;
    gdn_status status;
} arguments;

static const struct argp_option options[] = {
    {"results", 'r', "DIR", 0, "where results are (default: results)", 0},
    {"tasks", 'n', "N", 0, "run N tasks again, of all experiments named together (default: 20)", 0},
    {"all", 'a', 0, 0, "run every task again", 0},
    {"whole", 'w', 0, 0, "each over its whole length, however long that takes (default: small tasks only)",
     0},
    {"short", 's', 0, 0, "each on its first 1,023 tokens only", 0},
    {"draw", 'd', "N", 0, "which sample: the same number draws the same tasks (default: 1)", 0},
    {"no-figures", 'F', 0, 0, "do not draw the figures again", 0},
    {"jobs", 'j', "N", 0, "threads (default: one a core)", 0},
    {"json", 'J', 0, 0, "print the counts as JSON", 0},
    {"quiet", 'q', 0, 0, "no progress on standard error", 0},
    {0},
};

static error_t option(int key, char *text, struct argp_state *state)
{
    arguments *a = state->input;
    long n = 0;
    switch (key) {
    case 'r':
        a->verify.results = text;
        return 0;
    case 'n':
        a->status = gdn_option_whole("--tasks", text, 1, 1000000, &n, a->err);
        a->verify.tasks = (int)n;
        return a->status ? EINVAL : 0;
    case 'a':
        a->verify.tasks = 0;
        return 0;
    case 'w':
        a->verify.extent = GDN_EXTENT_WHOLE;
        return 0;
    case 's':
        a->verify.extent = GDN_EXTENT_SHORT;
        return 0;
    case 'd':
        a->status = gdn_option_whole("--draw", text, 0, 1L << 30, &n, a->err);
        a->verify.draw = (uint64_t)n;
        return a->status ? EINVAL : 0;
    case 'F':
        a->verify.figures = false;
        return 0;
    case 'j':
        a->status = gdn_option_whole("--jobs", text, 1, 1024, &n, a->err);
        a->verify.jobs = (int)n;
        return a->status ? EINVAL : 0;
    case 'J':
        a->json = true;
        return 0;
    case 'q':
        a->verify.quiet = true;
        return 0;
    case ARGP_KEY_ARG:
        if (a->verify.n == MAX_EXPERIMENTS)
            return E2BIG;
        a->experiment[a->verify.n++] = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_text(const gdn_verify_counts *c)
{
    printf("%" PRId64 " files as their manifests say (%" PRId64 " more are not kept here)\n", c->files,
           c->files_kept_elsewhere);
    if (c->figures || c->figures_left)
        printf("%" PRId64 " figures drawn again (%" PRId64 " not, without the rows they need)\n", c->figures,
               c->figures_left);
    if (c->probes)
        printf("probes measured again: %" PRId64 "\n", c->probes);
    if (c->summaries)
        printf("summaries made again: %" PRId64 "\n", c->summaries);
    printf("%" PRId64 " tasks run again, %" PRId64
           " over their whole length and the others on their first 1,023 tokens:\n"
           "  %" PRId64 " portable rows by checksum, %" PRId64
           " medians of a GPU's own rows within a factor of 2\n"
           "  (of which %" PRId64 " have intervals that do not overlap)\n",
           c->tasks, c->whole, c->rows, c->medians, c->apart);
    if (c->left)
        printf("%" PRId64 " drawn and left, as said above\n", c->left);
    printf("%s\n", c->differ ? "THEY DIFFER, as said above"
                   : c->left ? "what could be compared is as committed"
                             : "all as committed");
}

static gdn_status print_json(const gdn_verify_counts *c, gdn_error *err)
{
    json_t *o = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "files", (json_int_t)c->files,
        "files_not_kept", (json_int_t)c->files_kept_elsewhere, "figures", (json_int_t)c->figures,
        "figures_left", (json_int_t)c->figures_left, "probes", (json_int_t)c->probes, "summaries",
        (json_int_t)c->summaries, "tasks", (json_int_t)c->tasks, "tasks_whole", (json_int_t)c->whole,
        "portable_rows", (json_int_t)c->rows, "native_medians_apart", (json_int_t)c->apart, "native_medians",
        (json_int_t)c->medians, "tasks_left", (json_int_t)c->left, "differ", (json_int_t)c->differ);
    bool whole = o && (json_dumpf(o, stdout, JSON_INDENT(2)) == 0 || ferror(stdout)); /* main looks at that */
    printf("\n");
    json_decref(o);
    return whole ? GDN_OK : gdn_no_memory(err, "the counts as JSON");
}

gdn_status gdn_command_verify(int argc, char **argv, gdn_error *err)
{
    static const struct argp argp = {
        options,
        option,
        "[EXPERIMENT...]",
        "Make committed results again: files against their sums, figures against what the CSV files draw, "
        "and a "
        "sample of tasks against rows that this CPU computes."
        "\vPortable rows must be equal to the bit, whichever machine or GPU made them. Rows of a GPU's own "
        "arithmetic "
        "must agree within a factor of 2. Of a CPU's results all of whose tasks ran whole, "
        "the CSV files are made again. Exit status 1 when anything differs, 2 when no task can be compared.",
        NULL,
        NULL,
        NULL};
    arguments a = {.verify = {.results = "results",
                              .tasks = SAMPLE,
                              .draw = 1,
                              .figures = true,
                              .jobs = omp_get_max_threads()},
                   .err = err};
    gdn_verify_counts counts;
    int done;
    gdn_status status = gdn_parse(&argp, argc, argv, &a, &done, err);
    if (status || done)
        return status;
    a.verify.experiment = a.experiment;
    status = gdn_verify(&a.verify, &counts, a.json ? stderr : stdout, err);
    if (status && status != GDN_DIFFERS)
        return status;
    gdn_status told = GDN_OK;
    gdn_error second;
    if (a.json)
        told = print_json(&counts, &second);
    else
        print_text(&counts);
    if (!status && told)
        *err = second;
    return status ? status : told;
}
