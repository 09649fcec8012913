/* SPDX-License-Identifier: Apache-2.0 */
/* layer_measure -- a layer file through a layer recipe, beside the truth; see layer_measure.h. */
#include "harness/layer_measure.h"

#include <math.h>
#include <stdlib.h>

#include "harness/metrics.h"
#include "reference/gdn_mpfr.h"
#include "reference/layer.h"

gdn_format_id gdn_layer_stage_format(const gdn_layer_recipe *recipe, gdn_layer_stage stage)
{
    const gdn_recipe *core = gdn_recipe_by_name(recipe->core);
    const gdn_format_id format[GDN_LAYER_STAGES] = {
        [GDN_LAYER_Q] = recipe->conv,   [GDN_LAYER_K] = recipe->conv, [GDN_LAYER_V] = recipe->conv,
        [GDN_LAYER_Z] = recipe->linear, [GDN_LAYER_G] = core->op,     [GDN_LAYER_BETA] = core->beta,
        [GDN_LAYER_O] = core->output,   [GDN_LAYER_Y] = core->output, [GDN_LAYER_OUTPUT] = recipe->output};
    return format[stage];
}

gdn_status gdn_layer_file_truth(const gdn_layer_file *f, gdn_layer_outputs *out, gdn_error *err)
{
    gdn_status status = gdn_layer_outputs_new(out, &f->shape, f->shape.value_heads, f->tokens, true, err);
    if (status)
        return status;
    status = gdn_layer_mpfr(&(gdn_layer_mpfr_call){.shape = f->shape,
                                                   .weights = f->weights,
                                                   .precision = GDN_MPFR_PRECISION,
                                                   .tokens = f->tokens,
                                                   .hidden = f->hidden,
                                                   .out = *out},
                            err);
    if (status)
        gdn_layer_outputs_free(out);
    return status;
}

/* Value heads first .. first + heads - 1 into their own outputs. */
static gdn_status run_share(const gdn_layer_file *f, const gdn_layer_recipe *recipe, int first, int heads,
                            gdn_layer_outputs *out, gdn_error *err)
{
    gdn_layer *l = NULL;
    gdn_status status = gdn_layer_outputs_new(out, &f->shape, heads, f->tokens, false, err);
    if (!status)
        status = gdn_layer_open(
            &l,
            &(gdn_layer_setup){
                .shape = f->shape, .weights = f->weights, .recipe = recipe, .first = first, .heads = heads},
            err);
    if (!status)
        status = gdn_layer_advance(l, f->tokens, f->hidden, out, err);
    gdn_layer_close(l);
    if (status)
        gdn_layer_outputs_free(out);
    return status;
}

gdn_status gdn_layer_file_run(const gdn_layer_file *f, const gdn_layer_recipe *recipe, gdn_layer_outputs *out,
                              gdn_error *err)
{
    return run_share(f, recipe, 0, f->shape.value_heads, out, err);
}

gdn_status gdn_layer_file_run_split(const gdn_layer_file *f, const gdn_layer_recipe *recipe, int ranks,
                                    gdn_layer_outputs *out, gdn_error *err)
{
    const gdn_layer_shape *s = &f->shape;
    *out = (gdn_layer_outputs){0};
    if (ranks < 1 || s->value_heads % ranks)
        return gdn_fail(err, GDN_BAD_INPUT, "%d value heads over %d ranks: each must have the same number",
                        s->value_heads, ranks);
    int heads = s->value_heads / ranks;
    size_t T = (size_t)f->tokens;
    gdn_layer_outputs *part = gdn_calloc((size_t)ranks, sizeof *part);
    const double **parts = gdn_calloc((size_t)ranks, sizeof *parts);
    gdn_status status = GDN_MACHINE;
    if (part && parts)
        status = gdn_layer_outputs_new(out, s, s->value_heads, f->tokens, false, err);
    else
        gdn_no_memory(err, "ranks");
    for (int rank = 0; rank < ranks && !status; rank++) {
        status = run_share(f, recipe, rank * heads, heads, &part[rank], err);
        for (gdn_layer_stage i = 0; i < GDN_LAYER_OUTPUT && !status; i++) {
            size_t mine = (size_t)gdn_layer_width(s, i, heads), all = mine * (size_t)ranks;
            for (size_t t = 0; t < T; t++)
                memcpy(out->hi[i] + t * all + (size_t)rank * mine, part[rank].hi[i] + t * mine,
                       mine * sizeof **out->hi);
        }
        parts[rank] = part[rank].hi[GDN_LAYER_OUTPUT];
    }
    if (!status)
        gdn_layer_join(recipe, ranks, parts, T * (size_t)s->hidden, out->hi[GDN_LAYER_OUTPUT]);
    else
        gdn_layer_outputs_free(out);
    for (int rank = 0; part && rank < ranks; rank++)
        gdn_layer_outputs_free(&part[rank]);
    free(part);
    free(parts);
    return status;
}

gdn_layer_error gdn_layer_error_of(const double *x, const double *hi, const double *lo, size_t n,
                                   gdn_format_id format)
{
    gdn_accumulator a = {{0}};
    const gdn_pair truth = {hi, lo};
    gdn_accumulate(&a, (gdn_pair){x, NULL}, truth, truth, (int)n);
    gdn_sums sums = gdn_accumulator_sums(&a);
    gdn_measures m = gdn_sums_measures(&sums, gdn_formats[format].p);
    if (sums.nonfinite || !gdn_sums_finite(&sums) || gdn_sums_zero_reference(&sums))
        return (gdn_layer_error){NAN, NAN};
    return (gdn_layer_error){m.rel_l2, m.max_ulp};
}

/* The place of a number among those of its format: neighbours differ by 1, either sign. */
static int64_t place(double x, const gdn_format *f)
{
    uint32_t bits = gdn_float_bits((float)gdn_round(f, x));
    int64_t size = (int64_t)((bits & 0x7fffffffu) >> (24 - f->p));
    return bits >> 31 ? -size : size;
}

gdn_layer_steps gdn_layer_steps_of(const double *x, const double *y, size_t n, gdn_format_id format)
{
    gdn_layer_steps s = {.n = (int64_t)n};
    for (size_t i = 0; i < n; i++) {
        int64_t steps = place(x[i], &gdn_formats[format]) - place(y[i], &gdn_formats[format]);
        if (steps == 0)
            s.same++;
        else if (steps == 1 || steps == -1)
            s.one++;
        else
            s.more++;
    }
    return s;
}
