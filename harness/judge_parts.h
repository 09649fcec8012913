/* SPDX-License-Identifier: Apache-2.0 */
/* judge_parts -- the inside of judge: the experiment that a dump becomes. Private to harness/judge*.c. */
#ifndef GDN_HARNESS_JUDGE_PARTS_H
#define GDN_HARNESS_JUDGE_PARTS_H

#include "harness/judge.h"

/* Significand bits of MPFR, the witness. */
enum { GDN_JUDGE_PRECISION = 113 };

/* Populations: the outputs; g and stored parameters where the outputs take the given gate; a second look. */
enum { GDN_JUDGE_OUTPUTS, GDN_JUDGE_GATE, GDN_JUDGE_TURNED, GDN_JUDGE_POPULATIONS };

typedef struct gdn_judge_plan {
    gdn_experiment e;
    gdn_experiment_file file;
    gdn_population population[GDN_JUDGE_POPULATIONS];
    gdn_file_spec spec[GDN_JUDGE_POPULATIONS];
    gdn_recorded_spec *recorded[GDN_JUDGE_POPULATIONS];
    gdn_quantity quantities[GDN_JUDGE_POPULATIONS][GDN_QUANTITIES];
    int populations; /* to be run: 1 or 2 */
    bool l2norm;
    double scale;
} gdn_judge_plan;

/* The experiment of the file's roles, and the list of outputs to be judged. */
gdn_status gdn_judge_plan_make(gdn_judge *j, gdn_error *err);
void gdn_judge_plan_free(gdn_judge_plan *p);

/* Population GDN_JUDGE_TURNED: one recorded state of another population, the other way round. */
gdn_status gdn_judge_plan_turn(gdn_judge_plan *p, int population, int recorded, gdn_error *err);

/* Which of its population's recordings an output is. */
int gdn_judge_recorded(const gdn_judge *j, const gdn_judged *x);

/* What the output's errors look like; s: the population of the outputs, open. */
gdn_status gdn_judge_likeness(gdn_judge *j, gdn_source *s, gdn_judged *x, gdn_error *err);

/* Pass or fail, and why, as the options ask; x->total is there. */
gdn_status gdn_judge_pass_or_fail(const gdn_judge *j, gdn_judged *x, gdn_error *err);

/*
 * Which elements of the tensor are not finite. That is the kernel's fault only if the inputs have none, and
 * the truth has none either; else the sentence.
 */
gdn_status gdn_judge_explain_nonfinite(const gdn_judge *j, gdn_judged *x, gdn_error *err);

void gdn_judge_note(gdn_judge *j, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
