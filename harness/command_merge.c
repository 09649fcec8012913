/* SPDX-License-Identifier: Apache-2.0 */
/* command_merge -- gdnprec merge STORE... */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/commands.h"
#include "harness/json_file.h"
#include "harness/merge.h"

typedef struct arguments {
    gdn_merge_options merge;
    const char **store; /* [as many as there are words] */
    bool json;
} arguments;

static const struct argp_option options[] = {
    {"results", 'r', "DIR", 0, "where results go, one directory an experiment (default: results)", 0},
    {"partial", 'p', 0, 0, "merge what there is, though tasks are missing; manifest.json counts them", 0},
    {"any-commit", 'c', 0, 0, "take rows that another gdnprec made; manifest.json names the commits", 0},
    {"json", 'J', 0, 0, "print what was done as JSON", 0},
    {"quiet", 'q', 0, 0, "no progress on standard error", 0},
    {0},
};

static error_t option(int key, char *text, struct argp_state *state)
{
    arguments *a = state->input;
    switch (key) {
    case 'r':
        a->merge.results = text;
        return 0;
    case 'p':
        a->merge.partial = true;
        return 0;
    case 'c':
        a->merge.any_commit = true;
        return 0;
    case 'J':
        a->json = true;
        return 0;
    case 'q':
        a->merge.quiet = true;
        return 0;
    case ARGP_KEY_ARG:
        a->store[a->merge.n++] = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static gdn_status print_json(const gdn_merge_result *r, gdn_error *err)
{
    json_t *o = json_pack("{s:s, s:o, s:i, s:i, s:I, s:i, s:i, s:i, s:i, s:f}", "experiment", r->name,
                          "directory", gdn_json_text(r->directory), "stores", r->stores, "tasks", r->tasks,
                          "rows", (json_int_t)r->rows, "overlaps", r->overlaps, "conflicts", r->conflicts,
                          "missing", r->missing, "left_out", r->left_out, "seconds", r->seconds);
    bool whole = o && (json_dumpf(o, stdout, JSON_COMPACT) == 0 || ferror(stdout)); /* main looks at that */
    printf("\n");
    json_decref(o);
    return whole ? GDN_OK : gdn_no_memory(err, "the counts as JSON");
}

static void print_text(const gdn_merge_result *r)
{
    printf("%s: %d task%s, %" PRId64 " rows of %d store%s in %.1f s; rows in %s/cells.csv\n", r->name,
           r->tasks, r->tasks == 1 ? "" : "s", r->rows, r->stores, r->stores == 1 ? "" : "s", r->seconds,
           r->directory);
    if (r->overlaps)
        printf("%d times a task was in one more store, with equal rows\n", r->overlaps);
    if (r->left_out)
        printf("%d task%s not the experiment's, and left out\n", r->left_out,
               r->left_out == 1 ? " was" : "s were");
    if (r->missing)
        printf("%d task%s missing, as said above\n", r->missing, r->missing == 1 ? " is" : "s are");
}

gdn_status gdn_command_merge(int argc, char **argv, gdn_error *err)
{
    static const struct argp argp = {
        options,
        option,
        "STORE...",
        "Join the stores of shards into the results that one run would have written."
        "\vA STORE is a directory with a store.db, as `gdnprec run --shard` makes it; store.db itself; or a "
        "directory "
        "whose shard-I-of-N are all meant, beside its own store.db, such as results/quick. Every task's rows "
        "must give their checksum "
        "again. "
        "Exit status 1 when stores have other rows of one task, or tasks of the experiment are in none; 2 "
        "for a store "
        "that is damaged, of another experiment or schema version, or made by another commit of gdnprec; "
        "nothing is "
        "written then.",
        NULL,
        NULL,
        NULL};
    arguments a = {.merge = {.results = "results", .command = gdn_command_line()},
                   .store = calloc((size_t)argc + 1, sizeof *a.store)};
    gdn_merge_result r = {.tasks = 0};
    int done;
    if (!a.store)
        return gdn_no_memory(err, "a list of stores");
    gdn_status status = gdn_parse(&argp, argc, argv, &a, &done, err);
    a.merge.store = a.store;
    if (!status && !done && a.merge.n == 0)
        status =
            gdn_fail(err, GDN_BAD_INPUT, "merge: name the stores of shards, such as results/quick/shard-*");
    if (!status && !done && !*a.merge.results)
        status = gdn_fail(err, GDN_BAD_INPUT, "merge: --results: the name of a directory is wanted");
    if (!status && !done) {
        status = gdn_merge(&a.merge, &r, a.json ? stderr : stdout, err);
        if (!status && a.json)
            status = print_json(&r, err);
        else if (!status)
            print_text(&r);
        else if (status == GDN_DIFFERS && a.json) {
            gdn_error ignored;
            print_json(&r, &ignored);
        }
    }
    free(a.store);
    return status;
}
