/* SPDX-License-Identifier: Apache-2.0 */
/* command_run -- gdnprec run EXPERIMENT... */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/inputs.h"
#include "base/simd.h"
#include "harness/commands.h"
#include "harness/dry_run.h"
#include "harness/experiment.h"
#include "harness/json_file.h"
#include "harness/ranks.h"
#include "harness/run.h"
#include "harness/task.h"

enum { MAX_EXPERIMENTS = 64 };

typedef struct arguments {
    gdn_run_options run;
    const char *experiment[MAX_EXPERIMENTS];
    int n;
    bool json, dry;
    gdn_error *err;
    gdn_status status;
} arguments;

static const struct argp_option options[] = {
    {"results", 'r', "DIR", 0, "where results go, one directory an experiment (default: results)", 0},
    {"backend", 'b', "NAME", 0, "auto, cpu or cuda (default: auto, a GPU if there is one)", 0},
    {"device", 'd', "N", 0, "which GPU (default: 0; ranks of MPI take turns)", 0},
    {"jobs", 'j', "N", 0, "threads (default: one a core; of a rank of MPI, its part of the cores)", 0},
    {"seeds", 's', "N", 0, "run N seeds instead of the file's number", 0},
    {"first-seed", 'f', "N", 0, "seeds from N on (default: 1)", 0},
    {"max-length", 'T', "N", 0, "drop lengths above N tokens", 0},
    {"shard", 'S', "I/N", 0,
     "run the I-th of N parts of the tasks, into a store of its own in DIR/<experiment>/shard-<I>-of-<N>", 0},
    {"isa", 'I', "NAME", 0,
     "instruction set: scalar, avx2 or avx512 (default: the widest); changes no result", 0},
    {"block", 'B', "N", 0, "tokens advanced at a time (default: 256, on a GPU 1024); changes no result", 0},
    {"dry-run", 'n', 0, 0,
     "run nothing; print how many tasks and rows there are and the time, memory and disk that they will take",
     0},
    {"json", 'J', 0, 0, "print what was done, or would be, as JSON", 0},
    {"quiet", 'q', 0, 0, "no progress on standard error", 0},
    {0},
};

static gdn_status choose_isa(const char *name, gdn_error *err)
{
    for (gdn_isa isa = 0; isa < GDN_ISAS; isa++)
        if (strcmp(name, gdn_isa_names[isa]) == 0) {
            if (!gdn_isa_available(isa))
                return gdn_fail(err, GDN_BAD_INPUT, "--isa: this CPU has no %s", name);
            gdn_isa_force(isa);
            return GDN_OK;
        }
    return gdn_fail(err, GDN_BAD_INPUT, "--isa: '%s' is not allowed; scalar, avx2 and avx512 are", name);
}

static error_t option(int key, char *text, struct argp_state *state)
{
    arguments *a = state->input;
    long n = 0;
    switch (key) {
    case 'r':
        a->run.results = text;
        return 0;
    case 'b':
        a->run.backend = text;
        return 0;
    case 'd':
        a->status = gdn_option_whole("--device", text, 0, 1023, &n, a->err);
        a->run.device = (int)n;
        return a->status ? EINVAL : 0;
    case 'j':
        a->status = gdn_option_whole("--jobs", text, 1, 1024, &n, a->err);
        a->run.jobs = (int)n;
        return a->status ? EINVAL : 0;
    case 's':
        a->status = gdn_option_whole("--seeds", text, 1, 100000, &n, a->err);
        a->run.seeds = (int)n;
        return a->status ? EINVAL : 0;
    case 'f':
        a->status = gdn_option_whole("--first-seed", text, 1, 1000000000, &n, a->err);
        a->run.first_seed = (int)n;
        return a->status ? EINVAL : 0;
    case 'T':
        a->status = gdn_option_whole("--max-length", text, 1, 1L << 26, &a->run.max_length, a->err);
        return a->status ? EINVAL : 0;
    case 'B':
        a->status = gdn_option_whole("--block", text, 1, GDN_BLOCK_MAX, &n, a->err);
        a->run.block = (int)n;
        return a->status ? EINVAL : 0;
    case 'S':
        a->status = gdn_shard_read("--shard", text, &a->run.shard, a->err);
        return a->status ? EINVAL : 0;
    case 'I':
        a->status = choose_isa(text, a->err);
        return a->status ? EINVAL : 0;
    case 'n':
        a->dry = true;
        return 0;
    case 'J':
        a->json = true;
        return 0;
    case 'q':
        a->run.quiet = true;
        return 0;
    case ARGP_KEY_ARG:
        if (a->n == MAX_EXPERIMENTS)
            return E2BIG;
        a->experiment[a->n++] = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What was done, on standard output. */
static void tell(const arguments *a, const gdn_run_result *r)
{
    if (a->json) {
        json_t *o =
            json_pack("{s:s, s:o, s:s, s:i, s:i, s:f, s:f, s:f, s:I}", "experiment", r->name, "directory",
                      gdn_json_text(r->directory), "backend", r->backend, "tasks", r->tasks, "tasks_run",
                      r->tasks_run, "seconds", r->seconds, "export_seconds", r->export_seconds,
                      "certify_share", r->certify_share, "rows_below_reference", (json_int_t)r->below);
        json_dumpf(o, stdout, JSON_COMPACT);
        printf("\n");
        json_decref(o);
    } else {
        if (a->run.shard.count)
            printf("%s: shard %d of %d: %d tasks (%d run now) in %.1f s; rows in %s/store.db\n", r->name,
                   a->run.shard.index, a->run.shard.count, r->tasks, r->tasks_run, r->seconds, r->directory);
        else if (r->tasks)
            printf("%s: %d tasks (%d run now) in %.1f s, files in %.1f s; rows in %s/cells.csv\n", r->name,
                   r->tasks, r->tasks_run, r->seconds, r->export_seconds, r->directory);
        else
            printf("%s: probes alone; their numbers are in %s/probes.csv\n", r->name, r->directory);
        if (r->tasks_run)
            printf("certifying the reference took %.0f %% of the tasks' time\n", 100 * r->certify_share);
        if (r->below)
            printf("%" PRId64 " rows are below what the reference can tell from zero and carry no number\n",
                   r->below);
    }
}

/* What it would take, on standard output of rank 0. */
static gdn_status foretell(const arguments *a, const char *experiment, gdn_error *err)
{
    gdn_dry_run d;
    gdn_status status = gdn_ranks_agree(gdn_run_dry(experiment, &a->run, &d, err), true, err);
    return status || gdn_ranks_here()->rank ? status : gdn_dry_run_print(&d, a->json, stdout, err);
}

/* Of several experiments none begins while one is no experiment. */
static gdn_status look_at_all(const arguments *a, gdn_error *err)
{
    gdn_status status = gdn_inputs_init(err);
    for (int i = 0; i < a->n && !status; i++) {
        gdn_experiment *e = NULL;
        status = gdn_experiment_load(a->experiment[i], &e, err);
        if (!status)
            status = gdn_experiment_limit(e, a->run.first_seed, a->run.seeds, a->run.max_length, err);
        gdn_experiment_free(e);
    }
    return status;
}

gdn_status gdn_command_run(int argc, char **argv, gdn_error *err)
{
    static const struct argp argp = {
        options,
        option,
        "EXPERIMENT.yaml...",
        "Run experiments, or resume them: a task that is in the store already is not run again."
        "\vWrites DIR/<experiment>/cells.csv (every measurement), last.csv (those at the longest length), "
        "summary.csv (medians with 95 % intervals), "
        "growth.csv, heat.csv, "
        "tasks.csv and manifest.json; a shard has its store and a manifest alone. Interrupt it at any time; "
        "the same command goes on.",
        NULL,
        NULL,
        NULL};
    arguments a = {
        .run = {.results = "results", .command = gdn_command_line(), .backend = "auto", .device = -1},
        .err = err};
    int done = 0;
    gdn_status status = gdn_ranks_start(err);
    if (!gdn_ranks_speaks() && !freopen("/dev/null", "w", stdout)) /* one --help for all ranks */
        status = gdn_fail(err, GDN_MACHINE, "/dev/null: cannot be opened");
    if (!status)
        status = gdn_parse(&argp, argc, argv, &a, &done, err);
    if (done)
        return status;
    if (!status && a.n == 0)
        status = gdn_fail(err, GDN_BAD_INPUT, "run: name an experiment file, such as experiments/quick.yaml");
    if (!status && !*a.run.results)
        status = gdn_fail(err, GDN_BAD_INPUT, "run: --results: the name of a directory is wanted");
    if (!status && a.n > 1)
        status = look_at_all(&a, err);
    status = gdn_ranks_agree(status, a.run.shard.count > 0, err);
    if (a.run.jobs == 0)
        a.run.jobs = gdn_ranks_here()->cores;
    for (int i = 0; i < a.n && !status; i++) {
        gdn_run_result r = {.tasks = 0};
        status = a.dry ? foretell(&a, a.experiment[i], err) : gdn_run(a.experiment[i], &a.run, &r, err);
        if (status)
            break;
        if (gdn_ranks_here()->rank == 0 && !a.dry)
            tell(&a, &r);
    }
    const gdn_ranks *here = gdn_ranks_here();
    gdn_error said = *err;
    if (!gdn_ranks_speaks())
        return GDN_OK;
    if (status && here->rank > 0)
        gdn_fail(err, status, "rank %d on %s: %s", here->rank, here->host, said.text);
    return status;
}
