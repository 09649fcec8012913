/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_layer -- gdnprec layer: a whole layer from a safetensors file, stage by stage: what the layer
 * recipes err against the truth (MPFR), what the file's recorded tensors err, and how far the two lie apart.
 */
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "harness/json_file.h"
#include "harness/commands.h"
#include "harness/layer_measure.h"
#include "reference/gdn_mpfr.h"

typedef struct arguments {
    const char *path, *recipe;
    long tokens;
    bool json;
    gdn_error *err;
    gdn_status status;
} arguments;

static const struct argp_option options[] = {
    {"recipe", 'r', "NAME", 0, "one layer recipe (default: all of them)", 0},
    {"tokens", 'T', "N", 0, "the first N tokens (default: all; MPFR takes its time)", 0},
    {"json", 'J', 0, 0, "as JSON", 0},
    {0},
};

static error_t option(int key, char *text, struct argp_state *state)
{
    arguments *x = state->input;
    switch (key) {
    case 'r':
        x->recipe = text;
        return 0;
    case 'T':
        x->status = gdn_option_whole("--tokens", text, 1, GDN_MAX_LENGTH, &x->tokens, x->err);
        return x->status ? EINVAL : 0;
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

static gdn_status no_recipe(const char *name, gdn_error *err)
{
    char names[256] = "";
    for (int i = 0; i < gdn_layer_recipe_count; i++) {
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, "%s%s", i ? ", " : "", gdn_layer_recipes[i].name);
    }
    return gdn_fail(err, GDN_BAD_INPUT, "layer: --recipe: '%s' is no layer recipe; allowed: %s", name, names);
}

/* One stage of one recipe as a line, or as an entry of the array. */
static void show_stage(const gdn_layer_file *f, const gdn_layer_recipe *recipe, gdn_layer_stage stage,
                       const gdn_layer_outputs *truth, const gdn_layer_outputs *run, json_t *rows)
{
    size_t n = (size_t)f->tokens * (size_t)gdn_layer_width(&f->shape, stage, f->shape.value_heads);
    const double *hi = truth->hi[stage], *lo = truth->lo[stage], *ours = run->hi[stage];
    const double *theirs = f->recorded[stage];
    gdn_format_id format = gdn_layer_stage_format(recipe, stage);
    gdn_layer_error mine = gdn_layer_error_of(ours, hi, lo, n, format), recorded = {NAN, NAN};
    gdn_layer_steps steps = {0};
    if (theirs) {
        recorded = gdn_layer_error_of(theirs, hi, lo, n, f->recorded_format[stage]);
        steps = gdn_layer_steps_of(ours, theirs, n, f->recorded_format[stage]);
    }
    if (!rows) {
        printf("%-9s %-7s %-6s %9.3e %9.3g", stage ? "" : recipe->name, gdn_layer_stage_names[stage],
               gdn_formats[format].name, mine.rel_l2, mine.max_ulp);
        if (theirs)
            printf("  %9.3e %9.3g %8lld %8lld %8lld", recorded.rel_l2, recorded.max_ulp,
                   (long long)steps.same, (long long)steps.one, (long long)steps.more);
        printf("\n");
        return;
    }
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:I}", "recipe", recipe->name, "stage", gdn_layer_stage_names[stage],
                  "format", gdn_formats[format].name, "elements", (json_int_t)n);
    json_object_set_new(o, "rel_l2", gdn_json_number(mine.rel_l2));
    json_object_set_new(o, "max_ulp", gdn_json_number(mine.max_ulp));
    if (theirs) {
        json_t *r = json_pack("{s:s, s:I, s:I, s:I}", "format", gdn_formats[f->recorded_format[stage]].name,
                              "same", (json_int_t)steps.same, "one_ulp", (json_int_t)steps.one, "more",
                              (json_int_t)steps.more);
        json_object_set_new(r, "rel_l2", gdn_json_number(recorded.rel_l2));
        json_object_set_new(r, "max_ulp", gdn_json_number(recorded.max_ulp));
        json_object_set_new(o, "recorded", r);
    }
    json_array_append_new(rows, o);
}

static void print_head(const char *path, const gdn_layer_file *f)
{
    const gdn_layer_shape *s = &f->shape;
    printf("%s: D = %d, H_k = %d, H_v = %d, d_k = %d, d_v = %d, T = %d, hidden states in %s\n", path,
           s->hidden, s->key_heads, s->value_heads, s->dk, s->dv, f->tokens,
           gdn_formats[f->hidden_format].name);
    printf("truth: MPFR at %d bits on the weights and hidden states as stored\n\n", GDN_MPFR_PRECISION);
    printf("%-9s %-7s %-6s %19s  %s\n", "", "", "", "recipe against truth",
           "recorded against truth; elements off the recipe");
    printf("%-9s %-7s %-6s %9s %9s  %9s %9s %8s %8s %8s\n", "recipe", "stage", "format", "rel L2", "max ulp",
           "rel L2", "max ulp", "by 0 ulp", "by 1", "by more");
}

static gdn_status show(const arguments *x, const gdn_layer_file *f, json_t *rows, gdn_error *err)
{
    gdn_layer_outputs truth = {0};
    gdn_status status = gdn_layer_file_truth(f, &truth, err);
    if (!status && !rows)
        print_head(x->path, f);
    for (int i = 0; i < gdn_layer_recipe_count && !status; i++) {
        const gdn_layer_recipe *recipe = &gdn_layer_recipes[i];
        if (x->recipe && strcmp(x->recipe, recipe->name) != 0)
            continue;
        gdn_layer_outputs run = {0};
        status = gdn_layer_file_run(f, recipe, &run, err);
        for (gdn_layer_stage stage = 0; stage < GDN_LAYER_STAGES && !status; stage++)
            show_stage(f, recipe, stage, &truth, &run, rows);
        gdn_layer_outputs_free(&run);
    }
    gdn_layer_outputs_free(&truth);
    return status;
}

gdn_status gdn_command_layer(int argc, char **argv, gdn_error *err)
{
    static const struct argp argp = {
        options,
        option,
        "FILE",
        "A whole layer from a safetensors file, from hidden_states to output, through each layer recipe, "
        "beside the "
        "truth."
        "\vFILE holds hidden_states and the weights under linear_attn., named as in Qwen3.5 or Qwen3-Next. "
        "Where it "
        "also holds what an implementation computed (chunk.query, chunk.key, chunk.value, norm.gate, "
        "chunk.g, "
        "chunk.beta, chunk.out, norm.out, output), that is compared with the truth and with each recipe.",
        NULL,
        NULL,
        NULL};
    arguments x = {.err = err};
    int done;
    gdn_status status = gdn_parse(&argp, argc, argv, &x, &done, err);
    if (status || done)
        return status;
    if (!x.path)
        return gdn_fail(err, GDN_BAD_INPUT, "layer: a safetensors file is wanted");
    if (x.recipe && !gdn_layer_recipe_by_name(x.recipe))
        return no_recipe(x.recipe, err);
    gdn_layer_file *f = NULL;
    if ((status = gdn_layer_file_read(x.path, &f, err)))
        return status;
    if (x.tokens > f->tokens) {
        gdn_fail(err, GDN_BAD_INPUT, "layer: %s has %d tokens; --tokens: %ld are wanted", x.path, f->tokens,
                 x.tokens);
        gdn_layer_file_free(f);
        return GDN_BAD_INPUT;
    }
    if (x.tokens)
        f->tokens = (int)x.tokens;
    json_t *rows = x.json ? json_array() : NULL;
    status = show(&x, f, rows, err);
    if (rows && !status) {
        const gdn_layer_shape *s = &f->shape;
        json_t *o = json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:O}", "file", x.path, "hidden", s->hidden,
                              "key_heads", s->key_heads, "value_heads", s->value_heads, "dk", s->dk, "dv",
                              s->dv, "tokens", f->tokens, "rows", rows);
        json_dumpf(o, stdout, JSON_INDENT(2));
        printf("\n");
        json_decref(o);
    }
    json_decref(rows);
    gdn_layer_file_free(f);
    return status;
}
