/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_layer -- claims D2, D3 and D4: a recorded layer, stage by stage, beside ours and beside the truth;
 * and the same layer with its value heads spread over ranks.
 */
#include <string.h>

#include "base/round.h"
#include "harness/layer_measure.h"
#include "harness/probe.h"

/* "hf_layer_fp32" of ".../hf_layer_fp32.safetensors" */
static void stem(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    snprintf(out, size, "%.*s", (int)(dot ? (size_t)(dot - name) : strlen(name)), name);
}

static size_t elements(const gdn_layer_file *f, gdn_layer_stage stage)
{
    return (size_t)f->tokens * (size_t)gdn_layer_width(&f->shape, stage, f->shape.value_heads);
}

/*
 * transformers' layer in the format of the hidden states. Errors of the recipe and of what was recorded are
 * against MPFR; the difference is between the two, and the share of elements that it leaves equal, off by
 * one, by more.
 */
static gdn_status measure_layer(const gdn_probe_sink *to, const char *name, const gdn_layer_file *f,
                                gdn_error *err)
{
    gdn_layer_outputs truth = {0}, ours = {0};
    const gdn_layer_recipe *recipe =
        gdn_layer_recipe_by_name(f->hidden_format == GDN_BF16 ? "hf-bf16" : "hf-fp32");
    gdn_status status = gdn_layer_file_truth(f, &truth, err);
    if (!status)
        status = gdn_layer_file_run(f, recipe, &ours, err);
    for (gdn_layer_stage i = 0; i < GDN_LAYER_STAGES && !status; i++) {
        size_t n = elements(f, i);
        const char *stage = gdn_layer_stage_names[i];
        gdn_format_id format = f->recorded_format[i];
        gdn_layer_error e =
            gdn_layer_error_of(ours.hi[i], truth.hi[i], truth.lo[i], n, gdn_layer_stage_format(recipe, i));
        gdn_probe_put(to, "recipe_rel_l2", e.rel_l2, "1", "%s %s %s", name, recipe->name, stage);
        if (!f->recorded[i])
            continue;
        e = gdn_layer_error_of(f->recorded[i], truth.hi[i], truth.lo[i], n, format);
        gdn_probe_put(to, "recorded_rel_l2", e.rel_l2, "1", "%s %s %s", name, recipe->name, stage);
        e = gdn_layer_error_of(ours.hi[i], f->recorded[i], NULL, n, format);
        gdn_probe_put(to, "difference_rel_l2", e.rel_l2, "1", "%s %s %s", name, recipe->name, stage);
        gdn_layer_steps s = gdn_layer_steps_of(ours.hi[i], f->recorded[i], n, format);
        gdn_probe_put(to, "share_off_by_one", (double)s.one / (double)s.n, "1", "%s %s %s", name,
                      recipe->name, stage);
        gdn_probe_put(to, "share_off_by_more", (double)s.more / (double)s.n, "1", "%s %s %s", name,
                      recipe->name, stage);
    }
    gdn_layer_outputs_free(&truth);
    gdn_layer_outputs_free(&ours);
    return status;
}

/* Elements whose bits differ. */
static double differing(const double *x, const double *y, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += gdn_bits64(x[i]) != gdn_bits64(y[i]);
    return (double)count;
}

/* One rank against several: o and y are each head's own, only the sum over heads in the out projection is
 * split. */
static gdn_status measure_ranks(const gdn_probe_sink *to, const char *name, const gdn_layer_file *f,
                                const gdn_layer_recipe *recipe, gdn_error *err)
{
    gdn_layer_outputs one = {0}, split = {0};
    const size_t n = elements(f, GDN_LAYER_OUTPUT);
    gdn_status status = gdn_layer_file_run(f, recipe, &one, err);
    for (int ranks = 2; ranks <= 4 && !status; ranks *= 2) {
        if (f->shape.value_heads % ranks ||
            (status = gdn_layer_file_run_split(f, recipe, ranks, &split, err)))
            continue;
        static const gdn_layer_stage stages[] = {GDN_LAYER_O, GDN_LAYER_Y, GDN_LAYER_OUTPUT};
        static const char *const measures[] = {"o_elements_differing", "y_elements_differing",
                                               "output_elements_differing"};
        for (int i = 0; i < 3; i++)
            gdn_probe_put(to, measures[i],
                          differing(one.hi[stages[i]], split.hi[stages[i]], elements(f, stages[i])),
                          "elements", "%s %s %d ranks", name, recipe->name, ranks);
        gdn_layer_error e =
            gdn_layer_error_of(split.hi[GDN_LAYER_OUTPUT], one.hi[GDN_LAYER_OUTPUT], NULL, n, recipe->output);
        gdn_probe_put(to, "output_rel_l2", e.rel_l2, "1", "%s %s %d ranks", name, recipe->name, ranks);
        gdn_probe_put(to, "output_max_ulp", e.max_ulp, "ulp", "%s %s %d ranks", name, recipe->name, ranks);
        gdn_layer_outputs_free(&split);
    }
    gdn_layer_outputs_free(&one);
    return status;
}

gdn_status gdn_probe_layer(const gdn_probe_sink *to, const char *file, gdn_error *err)
{
    char name[256];
    stem(file, name, sizeof name);
    gdn_layer_file *f = NULL;
    gdn_status status = gdn_layer_file_read(file, &f, err);
    if (!status)
        status = measure_layer(to, name, f, err);
    gdn_layer_file_free(f);
    return status;
}

gdn_status gdn_probe_tensor_parallel(const gdn_probe_sink *to, const char *file, gdn_error *err)
{
    char name[256];
    stem(file, name, sizeof name);
    gdn_layer_file *f = NULL;
    gdn_status status = gdn_layer_file_read(file, &f, err);
    for (int i = 0; i < gdn_layer_recipe_count && !status; i++)
        if (gdn_layer_recipes[i].input == f->hidden_format)
            status = measure_ranks(to, name, f, &gdn_layer_recipes[i], err);
    gdn_layer_file_free(f);
    return status;
}
