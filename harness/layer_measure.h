/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer_measure -- a layer file through a layer recipe, beside the truth in MPFR and beside what the file
 * records.
 */
#ifndef GDN_HARNESS_LAYER_MEASURE_H
#define GDN_HARNESS_LAYER_MEASURE_H

#include "harness/layer_file.h"
#include "kernels/layer.h"

/* Errors of one stage. Ulps are of the format that the stage rests in, at the truth. */
typedef struct gdn_layer_error {
    double rel_l2, max_ulp;
} gdn_layer_error;

/* How far two results in one format lie apart, element by element, in steps of that format. */
typedef struct gdn_layer_steps {
    int64_t n, same, one, more;
} gdn_layer_steps;

/* The format that a stage rests in. */
gdn_format_id gdn_layer_stage_format(const gdn_layer_recipe *recipe, gdn_layer_stage stage);

/* Every stage of the file's layer in MPFR at 113 bits, and of a recipe; both to be freed. */
gdn_status gdn_layer_file_truth(const gdn_layer_file *f, gdn_layer_outputs *out, gdn_error *err);
gdn_status gdn_layer_file_run(const gdn_layer_file *f, const gdn_layer_recipe *recipe, gdn_layer_outputs *out,
                              gdn_error *err);

/* x against the truth; x, hi, lo: [n] */
gdn_layer_error gdn_layer_error_of(const double *x, const double *hi, const double *lo, size_t n,
                                   gdn_format_id format);

/* x against y, both of them fp32 or bf16 numbers after rounding to the format. x, y: [n] */
gdn_layer_steps gdn_layer_steps_of(const double *x, const double *y, size_t n, gdn_format_id format);

/* The recipe on `ranks` ranks that share the value heads: every stage put together, the output's parts added.
 */
gdn_status gdn_layer_file_run_split(const gdn_layer_file *f, const gdn_layer_recipe *recipe, int ranks,
                                    gdn_layer_outputs *out, gdn_error *err);

#endif
