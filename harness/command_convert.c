/* SPDX-License-Identifier: Apache-2.0 */
/* command_convert -- gdnprec convert: a checkpoint under another precision contract, and what that changed.
 */
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/commands.h"
#include "harness/convert.h"
#include "harness/shown.h"

enum { PATH = 4096, NOTES = 8 };

typedef struct arguments {
    const char *path, *out, *contract;
    bool dry, json;
    gdn_convert_request request;
    gdn_error *err;
    gdn_status status;
} arguments;

static const struct argp_option options[] = {
    {"contract", 'c', "NAME", 0, "what keys and dtypes become", 0},
    {"store", 's', "PARAM=FORMAT[,FORMAT...]", 0,
     "first pass the values of A_log, dt_bias, norm.weight or conv1d.weight through formats; the last one is "
     "the new dtype (repeatable)",
     0},
    {"output", 'o', "DIR", 0, "where to: a folder that is empty or not there yet", 0},
    {"dry-run", 'n', 0, 0, "say what would change and write nothing", 0},
    {"json", 'J', 0, 0, "as JSON", 0},
    {0},
};

static error_t option(int key, char *text, struct argp_state *state)
{
    arguments *x = state->input;
    switch (key) {
    case 'c':
        x->contract = text;
        return 0;
    case 's':
        x->status = gdn_convert_store(&x->request, text, x->err);
        return x->status ? EINVAL : 0;
    case 'o':
        x->out = text;
        return 0;
    case 'n':
        x->dry = true;
        return 0;
    case 'J':
        x->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (x->path)
            return E2BIG;
        x->path = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* The contracts under --help. */
static char *help_filter(int key, const char *text, void *input)
{
    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC)
        return (char *)(uintptr_t)text;
    char *all = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&all, &size);
    if (!f)
        return (char *)(uintptr_t)text;
    fprintf(f, "Contracts:\n");
    for (int i = 0; i < gdn_contract_count; i++)
        fprintf(f, "  %-16s %s\n", gdn_contracts[i].name, gdn_contracts[i].summary);
    fprintf(f, "\n%s", text);
    if (fclose(f)) {
        free(all);
        return (char *)(uintptr_t)text;
    }
    return all;
}

/* ---- what changed ---- */

/* Sentences that a reader should not miss. */
typedef struct notes {
    char text[NOTES][768];
    int n;
} notes;

__attribute__((format(printf, 2, 3))) static void note(notes *list, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (list->n < NOTES)
        vsnprintf(list->text[list->n++], sizeof list->text[0], format, args);
    va_end(args);
}

/* A sum over tensors that fare alike. */
typedef struct line {
    gdn_param param;
    gdn_dtype from, to;
    int64_t tensors;
    gdn_cast_counts counts;
} line;

enum { LINES = 64 };

static void add_counts(gdn_cast_counts *sum, const gdn_cast_counts *x)
{
    sum->elements += x->elements;
    sum->changed += x->changed;
    sum->overflow += x->overflow;
    sum->nan += x->nan;
    sum->infinite += x->infinite;
}

/* lines: [LINES]; their number. */
static int sum_up(const gdn_conversion *p, line *lines)
{
    int n = 0;
    for (int i = 0; i < p->shards; i++)
        for (size_t j = 0; j < p->shard[i].tensors; j++) {
            const gdn_convert_tensor *t = &p->shard[i].tensor[j];
            int l = 0;
            if (!t->cast)
                continue;
            while (l < n && !(lines[l].param == t->param && lines[l].from == t->from->dtype &&
                              lines[l].to == t->to.dtype))
                l++;
            if (l == LINES)
                continue;
            if (l == n)
                lines[n++] = (line){t->param, t->from->dtype, t->to.dtype, 0, {0}};
            lines[l].tensors++;
            add_counts(&lines[l].counts, &t->counts);
        }
    return n;
}

/* The dtype that config.json asks loaders for, or NULL. */
static const char *wanted_dtype(const gdn_checkpoint *c)
{
    const json_t *text = json_object_get(c->config, "text_config");
    const json_t *places[] = {c->config, text};
    for (int i = 0; i < 2; i++)
        for (int old = 0; old < 2; old++) {
            const char *dtype = json_string_value(json_object_get(places[i], old ? "torch_dtype" : "dtype"));
            if (dtype)
                return dtype;
        }
    return NULL;
}

/* Tensors with a mark, and the first of them. */
typedef struct marked {
    size_t n;
    const gdn_convert_tensor *first;
} marked;

static void mark(marked *m, bool is, const gdn_convert_tensor *t)
{
    if (is && m->n++ == 0)
        m->first = t;
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

/* One keeps, several keep. */
static const char *third_person(size_t n)
{
    return n == 1 ? "s" : "";
}

static void take_notes(const gdn_conversion *p, const gdn_convert_files *files, notes *list)
{
    marked unfit = {0}, unwidened = {0}, narrowed = {0};
    char name[GDN_SHOWN], word[GDN_SHOWN];
    const char *wanted = wanted_dtype(p->source);
    const gdn_contract *contract = p->request.contract;
    for (int i = 0; i < p->shards; i++)
        for (size_t j = 0; j < p->shard[i].tensors; j++) {
            const gdn_convert_tensor *t = &p->shard[i].tensor[j];
            mark(&unfit, t->unfit, t);
            mark(&unwidened, t->unwidened, t);
            mark(&narrowed, t->cast && t->to.dtype == GDN_DTYPE_F32, t);
        }
    if (p->parameters == 0)
        note(list, "no key names a parameter of a GDN layer");
    if (contract->keys == GDN_KEYS_ROUTED && p->renamed)
        note(list, "transformers does not know the holder's keys and would draw those parameters anew; "
                   "-c hf is the way back");
    if (contract->keys == GDN_KEYS_ROUTED && p->source->architecture &&
        !gdn_contract_covers(p->source->architecture))
        note(list, "config.json says %s, which is not among the architectures of Automodel's contract",
             gdn_shown(p->source->architecture, word, sizeof word));
    if (unfit.n)
        note(list,
             "%zu tensor%s keep%s %s dtype: values have changed and no longer fit the one from before (%s)",
             unfit.n, plural(unfit.n), third_person(unfit.n), unfit.n == 1 ? "its" : "their",
             gdn_shown(unfit.first->from->name, name, sizeof name));
    if (unwidened.n)
        note(list, "%zu tensor%s do%s not widen to F32 and stay%s (%s: %s)", unwidened.n, plural(unwidened.n),
             unwidened.n == 1 ? "es" : "", third_person(unwidened.n),
             gdn_shown(unwidened.first->from->name, name, sizeof name),
             gdn_dtype_name(unwidened.first->to.dtype));
    if (narrowed.n && wanted && strcmp(wanted, "float32") != 0 && contract->keys != GDN_KEYS_ROUTED)
        note(list,
             "config.json says dtype %s: transformers casts the F32 tensors to it on load unless it is given "
             "dtype=torch.float32",
             gdn_shown(wanted, word, sizeof word));
    if (files->skipped)
        note(list,
             files->skipped == 1 ? "%d entry of the folder is no file and is not copied (%s)"
                                 : "%d entries of the folder are no files and are not copied (%s)",
             files->skipped, gdn_shown(files->first, name, sizeof name));
}

/* ---- as text ---- */

static void show_first_key(const gdn_conversion *p)
{
    char from[PATH], to[PATH];
    for (int i = 0; i < p->shards; i++)
        for (size_t j = 0; j < p->shard[i].tensors; j++) {
            const gdn_convert_tensor *t = &p->shard[i].tensor[j];
            if (!t->renamed)
                continue;
            printf("keys: %s -> %s%s\n", gdn_shown(t->from->name, from, sizeof from),
                   gdn_shown(t->to.name, to, sizeof to), p->renamed > 1 ? " and so on" : "");
            return;
        }
}

/* Tensors whose key and bytes stay. */
static size_t untouched(const gdn_conversion *p)
{
    size_t n = 0;
    for (int i = 0; i < p->shards; i++)
        for (size_t j = 0; j < p->shard[i].tensors; j++)
            n += !p->shard[i].tensor[j].renamed && !p->shard[i].tensor[j].cast;
    return n;
}

static void show_text(const arguments *x, const gdn_conversion *p, const gdn_convert_files *files,
                      const notes *list)
{
    char from[PATH], to[PATH];
    line lines[LINES];
    int n = sum_up(p, lines);
    printf("%s -> %s%s, contract %s: %s\n", gdn_shown_path(x->path, from, sizeof from),
           x->out ? gdn_shown_path(x->out, to, sizeof to) : "nowhere", x->dry ? " (dry run)" : "",
           p->request.contract->name, p->request.contract->summary);
    printf("%d file%s of weights, %zu tensor%s: %zu with a new key, %zu cast, %zu copied byte for byte",
           p->shards, plural((size_t)p->shards), p->tensors, plural(p->tensors), p->renamed, p->cast,
           untouched(p));
    if (files->copied)
        printf("; %d other file%s copied", files->copied, plural((size_t)files->copied));
    printf("\n");
    show_first_key(p);
    if (n)
        printf("\n%-14s %-8s %-8s %8s %10s %10s %10s %8s %8s\n", "parameter", "from", "to", "tensors",
               "values", "changed", "overflow", "NaN", "infinite");
    for (int i = 0; i < n; i++) {
        const line *l = &lines[i];
        printf("%-14s %-8s %-8s %8lld %10lld %10lld %10lld %8lld %8lld\n", gdn_param_names[l->param],
               gdn_dtype_name(l->from), gdn_dtype_name(l->to), (long long)l->tensors,
               (long long)l->counts.elements, (long long)l->counts.changed, (long long)l->counts.overflow,
               (long long)l->counts.nan, (long long)l->counts.infinite);
    }
    for (int i = 0; i < list->n; i++)
        printf("%snote: %s\n", i ? "" : "\n", list->text[i]);
}

/* ---- as JSON ---- */

static json_t *tensor_as_json(const gdn_convert_tensor *t)
{
    json_t *o = json_pack("{s:s*, s:s, s:s, s:s, s:s, s:I}", "name",
                          t->param == GDN_PARAMS ? NULL : gdn_param_names[t->param], "from", t->from->name,
                          "to", t->to.name, "dtype_from", gdn_dtype_name(t->from->dtype), "dtype_to",
                          gdn_dtype_name(t->to.dtype), "count", (json_int_t)gdn_tensor_elements(t->from));
    const struct {
        const char *name;
        int64_t n;
    } counts[] = {{"changed", t->counts.changed},
                  {"overflow", t->counts.overflow},
                  {"nan", t->counts.nan},
                  {"infinite", t->counts.infinite}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        json_object_set_new(o, counts[i].name, json_integer(t->cast ? counts[i].n : 0));
    return o;
}

/* As it is, or escaped where it is not UTF-8; NULL for none. */
static json_t *path_as_json(const char *path)
{
    char shown[PATH];
    json_t *given = path ? json_string(path) : json_null();
    return given ? given : json_string(gdn_shown_path(path, shown, sizeof shown));
}

static gdn_status show_json(const arguments *x, const gdn_conversion *p, const gdn_convert_files *files,
                            const notes *list)
{
    json_t *tensors = json_array(), *said = json_array();
    for (int i = 0; i < p->shards; i++)
        for (size_t j = 0; j < p->shard[i].tensors; j++)
            if (p->shard[i].tensor[j].renamed || p->shard[i].tensor[j].cast)
                json_array_append_new(tensors, tensor_as_json(&p->shard[i].tensor[j]));
    for (int i = 0; i < list->n; i++)
        json_array_append_new(said, json_string(list->text[i]));
    json_t *o = json_pack("{s:o, s:s, s:o, s:b, s:o, s:I, s:i, s:i, s:o}", "source", path_as_json(x->path),
                          "contract", p->request.contract->name, "output", path_as_json(x->out), "dry_run",
                          x->dry, "tensors", tensors, "copied", (json_int_t)untouched(p), "files_copied",
                          files->copied, "files_skipped", files->skipped, "notes", said);
    if (!o)
        return gdn_no_memory(x->err, "JSON");
    json_dumpf(o, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(o);
    return GDN_OK;
}

/* ---- the command ---- */

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
    interrupted = sig;
}

/*
 * First SIGINT or SIGTERM: take back what was written and leave; the second one ends the process as usual.
 * One that whoever started the program has it ignore (nohup, a shell's &) stays ignored.
 */
static void watch_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND}, before;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
}

static gdn_status convert(const arguments *x)
{
    gdn_checkpoint *c;
    gdn_conversion *p = NULL;
    gdn_convert_files files = {0};
    notes list = {.n = 0};
    gdn_status status = gdn_checkpoint_open(x->path, &c, x->err);
    if (!status)
        status = gdn_convert_plan(c, &x->request, &p, x->err);
    watch_signals();
    if (!status && x->out)
        status = gdn_convert_write(p, x->out, x->dry, &interrupted, &files, x->err);
    if (!status) {
        take_notes(p, &files, &list);
        if (x->json)
            status = show_json(x, p, &files, &list);
        else
            show_text(x, p, &files, &list);
    }
    gdn_conversion_free(p);
    gdn_checkpoint_close(c);
    return status;
}

static bool stores(const gdn_convert_request *r)
{
    int links = 0;
    for (gdn_param i = 0; i < GDN_PARAMS; i++)
        links += r->store[i].n;
    return links > 0;
}

gdn_status gdn_command_convert(int argc, char **argv, gdn_error *err)
{
    static const struct argp argp = {options,
                                     option,
                                     "CHECKPOINT",
                                     "A checkpoint with the keys and dtypes of its GDN parameters as a "
                                     "precision contract has them, or with "
                                     "their values passed through storage formats. All else is copied byte "
                                     "for byte: the other tensors, the "
                                     "division into shards, and every other file of the folder."
                                     "\vCHECKPOINT is a .safetensors file, an index, or a folder. Widening "
                                     "to F32 notes the dtype from before "
                                     "in the file's __metadata__ (gdnprec.dtypes); `hf` puts it back where "
                                     "every value still fits it, so that "
                                     "there and back is byte-identical and nothing is ever rounded unasked. "
                                     "Files without the note keep their "
                                     "dtypes: narrow them with --store. A parameter that is given a chain "
                                     "passes it first; then the contract "
                                     "holds, so that `-c fp32 -s a_log=bf16` makes an upcast bf16 A_log."
                                     "\n\nExamples:\n"
                                     "  gdnprec convert Qwen3.5-0.8B -c automodel -o held\n"
                                     "  gdnprec convert held -c hf -o back\n"
                                     "  gdnprec convert Qwen3.5-0.8B -s a_log=fp32,bf16,fp32 -o rounded",
                                     NULL,
                                     help_filter,
                                     NULL};
    arguments x = {.err = err};
    int done;
    gdn_status status = gdn_parse(&argp, argc, argv, &x, &done, err);
    if (status || done)
        return status;
    if (!x.path)
        return gdn_fail(err, GDN_BAD_INPUT, "convert: a checkpoint is wanted");
    if (!x.out && !x.dry)
        return gdn_fail(err, GDN_BAD_INPUT, "convert: -o DIR is wanted, or --dry-run");
    if (!x.contract && !stores(&x.request))
        return gdn_fail(err, GDN_BAD_INPUT,
                        "convert: --contract or --store is wanted, else it is only a copy");
    status = gdn_contract_by_name(x.contract ? x.contract : "none", &x.request.contract, err);
    return status ? status : convert(&x);
}
