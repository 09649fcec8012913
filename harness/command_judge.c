/* SPDX-License-Identifier: Apache-2.0 */
/* command_judge -- gdnprec judge: outputs of any framework, in a safetensors dump with their inputs, beside
 * the truth. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/commands.h"
#include "harness/judge.h"
#include "harness/lockstep.h"

typedef struct arguments {
    gdn_judge_options o;
    const char *csv;
    bool json;
    gdn_error *err;
    gdn_status status;
} arguments;

enum {
    KEY_STATE_LAYOUT = 256,
    KEY_NO_L2NORM,
    KEY_SCALE,
    KEY_GATE,
    KEY_BETA_FACTOR,
    KEY_MAX_REL_L2,
    KEY_CSV,
    KEY_NO_LIKENESS
};

static const struct argp_option options[] = {
    {"map", 'm', "ROLE=TENSOR", 0,
     "which tensor plays a role, or is an output; more pairs may follow, and the option may come again", 0},
    {"layout", 'l', "NAME", 0, "bthd ([B, T, H, d], the default) or bhtd", 0},
    {"state-layout", KEY_STATE_LAYOUT, "NAME", 0, "kv ([B, H, d_k, d_v], the default) or vk", 0},
    {"no-l2norm", KEY_NO_L2NORM, 0, 0, "q and k are used as they come", 0},
    {"scale", KEY_SCALE, "X", 0, "of q, of either sign (default: d_k^(-1/2))", 0},
    {"beta-factor", KEY_BETA_FACTOR, "N", 0, "beta is 2 sigmoid(b), or twice the beta given: 2 (default: 1)",
     0},
    {"gate", KEY_GATE, "NAME", 0,
     "given (the file's g, where it has one; g itself is judged against its parameters) or params (the gate "
     "computed from them)",
     0},
    {"profile", 'p', "NAME", 0,
     "the storage policy that the kernel ran under: splits each error into storage and arithmetic", 0},
    {"max-rel-l2", KEY_MAX_REL_L2, "X", 0, "outputs with a larger relative L2 error fail", 0},
    {"criterion", 'c', "NAME", 0, "fla, flashqla or llamacpp: outputs fail as in their test suites", 0},
    {"no-likeness", KEY_NO_LIKENESS, 0, 0, "do not look for the recipe whose errors these are; saves time",
     0},
    {"head", 'H', "N", 0, "windows of this value head, from 0 (default: of all together)", 0},
    {"csv", KEY_CSV, "FILE", 0,
     "write the rows of every head there, not the pooled ones, in the format of cells.csv", 0},
    {"jobs", 'j', "N", 0, "threads (default: one a core)", 0},
    {"json", 'J', 0, 0, "as JSON", 0},
    {"quiet", 'q', 0, 0, "no progress on standard error", 0},
    {0},
};

/* text is names[i]: i; else the sentence. */
static gdn_status choose(const char *what, const char *text, const char *const *names, int n, int *i,
                         gdn_error *err)
{
    for (*i = 0; *i < n; ++*i)
        if (strcmp(text, names[*i]) == 0)
            return GDN_OK;
    return gdn_fail(err, GDN_BAD_INPUT, "%s: '%.40s' is not allowed; %s and %s are", what, text, names[0],
                    names[1]);
}

static gdn_status pair(arguments *x, const char *text)
{
    const char **grown = realloc(x->o.pair, (size_t)(x->o.pairs + 1) * sizeof *grown);
    if (!grown)
        return gdn_no_memory(x->err, "options");
    x->o.pair = grown;
    grown[x->o.pairs++] = text;
    return GDN_OK;
}

static gdn_status word(arguments *x, const char *text)
{
    if (strchr(text, '=') && (x->o.path || (gdn_judge_is_pair(text) && access(text, F_OK) != 0)))
        return pair(x, text);
    if (x->o.path)
        return gdn_fail(x->err, GDN_BAD_INPUT, "judge: one file at a time; '%.100s' is another word", text);
    x->o.path = text;
    return GDN_OK;
}

static gdn_status take(int key, char *text, arguments *x)
{
    static const char *const gates[] = {"given", "params"};
    gdn_judge_options *o = &x->o;
    long n = 0;
    int i = 0;
    gdn_status status = GDN_OK;
    switch (key) {
    case 'm':
        return pair(x, text);
    case 'l':
        status = choose("--layout", text, gdn_layout_names, GDN_LAYOUTS, &i, x->err);
        o->layout = (gdn_layout)i;
        return status;
    case KEY_STATE_LAYOUT:
        status = choose("--state-layout", text, gdn_state_layout_names, GDN_STATE_LAYOUTS, &i, x->err);
        o->state_layout = (gdn_state_layout)i;
        return status;
    case KEY_NO_L2NORM:
        o->no_l2norm = true;
        return GDN_OK;
    case KEY_SCALE:
        status = gdn_option_number("--scale", text, -GDN_MOST_SCALE, GDN_MOST_SCALE, &o->scale, x->err);
        return status || gdn_scale_ok(o->scale)
                   ? status
                   : gdn_fail(
                         x->err, GDN_BAD_INPUT,
                         "--scale: '%s' is not allowed; a finite number other than 0, of size %g to %g, is",
                         text, GDN_LEAST_SCALE, GDN_MOST_SCALE);
    case KEY_BETA_FACTOR:
        return gdn_option_whole("--beta-factor", text, 1, 2, &o->beta_factor, x->err);
    case KEY_GATE:
        status = choose("--gate", text, gates, 2, &i, x->err);
        o->given = !i;
        o->params = i;
        return status;
    case KEY_NO_LIKENESS:
        o->no_likeness = true;
        return GDN_OK;
    case 'p':
        o->profile = text;
        return GDN_OK;
    case KEY_MAX_REL_L2:
        return gdn_option_number("--max-rel-l2", text, 1e-30, 1e30, &o->max_rel_l2, x->err);
    case 'c':
        o->criterion = text;
        return GDN_OK;
    case 'H':
        return gdn_option_whole("--head", text, 0, GDN_MAX_HEADS - 1, &o->head, x->err);
    case KEY_CSV:
        x->csv = text;
        return GDN_OK;
    case 'j':
        status = gdn_option_whole("--jobs", text, 1, 1024, &n, x->err);
        o->jobs = (int)n;
        return status;
    case 'J':
        x->json = true;
        return GDN_OK;
    case 'q':
        o->quiet = true;
        return GDN_OK;
    default:
        return word(x, text);
    }
}

static error_t option(int key, char *text, struct argp_state *state)
{
    arguments *x = state->input;
    bool ours = key == ARGP_KEY_ARG;
    for (size_t i = 0; options[i].name; i++)
        ours |= options[i].key == key;
    if (!ours)
        return ARGP_ERR_UNKNOWN;
    x->status = take(key, text, x);
    return x->status ? EINVAL : 0;
}

static gdn_status show(const arguments *x, const gdn_judge *j, gdn_error *err)
{
    gdn_status status = x->csv ? gdn_judge_csv(j, x->csv, err) : GDN_OK;
    if (!status && x->json) {
        json_t *o = gdn_judge_to_json(j);
        json_dumpf(o, stdout, JSON_INDENT(2));
        printf("\n");
        json_decref(o);
    } else if (!status) {
        gdn_judge_print(j);
    }
    return status ? status : gdn_judge_failed(j, err);
}

gdn_status gdn_command_judge(int argc, char **argv, gdn_error *err)
{
    static const struct argp argp = {
        options,
        option,
        "FILE [ROLE=TENSOR...]",
        "Outputs of somebody's kernel beside the truth, recomputed from the inputs in the same safetensors "
        "file."
        "\vInputs: q, k, v; beta or b; g or a, A_log, dt_bias; optional initial_state, z, norm_weight. "
        "Outputs: o "
        "(out), state, y, g, alone or as KERNEL.out and so on; o:KERNEL=TENSOR maps another. Tensors are "
        "found "
        "by these and other usual names. fp16 and fp8 outputs have no max_ulp: their subnormals start above "
        "2^-126. Exit status 1: an output fails the limit or criterion asked for; 2: bad input.",
        NULL,
        NULL,
        NULL};
    arguments x = {.o = {.beta_factor = 1, .head = GDN_ALL_HEADS, .jobs = (int)sysconf(_SC_NPROCESSORS_ONLN)},
                   .err = err};
    int done;
    gdn_judge j = {.count = 0};
    gdn_status status = gdn_parse(&argp, argc, argv, &x, &done, err);
    if (!status && !done && !x.o.path)
        status = gdn_fail(err, GDN_BAD_INPUT, "judge: a safetensors file is wanted");
    if (!status && !done) {
        status = gdn_judge_run(&j, &x.o, err);
        if (!status)
            status = show(&x, &j, err);
        gdn_judge_close(&j);
    }
    free(x.o.pair);
    return status;
}
