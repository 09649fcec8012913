/* SPDX-License-Identifier: Apache-2.0 */
/*
 * judge -- somebody else's outputs beside the truth of their own inputs.
 *
 * The dump is a population read from a file, its outputs are recorded ones, and a task gives the rows. Where
 * it holds the log decay g, outputs are judged with that and g itself against its parameters; with `params`
 * the gate is computed from them. The parameters also say what storing them in bf16 would cost on this very
 * input.
 */
#ifndef GDN_HARNESS_JUDGE_H
#define GDN_HARNESS_JUDGE_H

#include <jansson.h>

#include "harness/experiment.h"
#include "harness/judge_criteria.h"
#include "harness/judge_file.h"
#include "harness/likeness.h"
#include "harness/task.h"

typedef struct gdn_judge_options {
    const char *path;
    const char **pair; /* [pairs] role=tensor */
    int pairs;
    gdn_layout layout;
    gdn_state_layout state_layout;
    bool no_l2norm;
    double scale;        /* 0: d_k^(-1/2); see gdn_scale_ok */
    bool given, params;  /* which gate is asked for; neither: given where there is one */
    const char *profile; /* whose stored parameters the kernel ran on, or NULL */
    long beta_factor;
    double max_rel_l2;     /* 0: no such limit */
    const char *criterion; /* NULL: none */
    int jobs;
    long head; /* whose windows are shown; GDN_ALL_HEADS */
    bool no_likeness;
    bool quiet;
} gdn_judge_options;

/* Storage policies whose price is named beside every output. */
enum { GDN_JUDGE_STORED = 2 };
extern const char *const gdn_judge_stored[GDN_JUDGE_STORED];

typedef enum gdn_pass { GDN_PASS_UNASKED, GDN_PASS_YES, GDN_PASS_NO } gdn_pass;

/* One output, judged. Rows are borrowed; NULL where there is none. */
typedef struct gdn_judged {
    const gdn_judge_output *output;
    int run;                                    /* whose rows they are */
    const gdn_pooled *total, *storage, *arith;  /* over the whole length; the latter two with a profile */
    const gdn_row *worst;                       /* of the heads' */
    const gdn_pooled *stored[GDN_JUDGE_STORED]; /* storage error of this quantity under each policy */
    gdn_likeness likeness;
    int64_t nonfinite; /* elements of the tensor */
    char first[64];    /* where the first of them is: "[0, 3, 1, 7]" */
    gdn_pass pass;
    char verdict[320]; /* why, where something was asked for */
} gdn_judged;

enum { GDN_JUDGE_NOTES = 16 };

typedef struct gdn_judge {
    gdn_judge_options options;
    gdn_judge_file file;
    struct gdn_judge_plan *plan;
    gdn_shape shape; /* heads: of the whole batch */
    int64_t tokens, batch, key_heads;
    bool given;         /* the outputs are judged with the g of the file */
    gdn_rows run[2];    /* of the outputs; of g and of stored parameters where that takes another */
    gdn_judged *judged; /* [count] */
    int count;
    char note[GDN_JUDGE_NOTES][512];
    int notes;
} gdn_judge;

/* Judge a file; *j is to be closed also on failure. GDN_OK also where outputs fail: gdn_judge_failed tells.
 */
gdn_status gdn_judge_run(gdn_judge *j, const gdn_judge_options *options, gdn_error *err);
void gdn_judge_close(gdn_judge *j);

/* GDN_DIFFERS with a sentence where a judged output fails. */
gdn_status gdn_judge_failed(const gdn_judge *j, gdn_error *err);

/* The first o, or else the first output: whose reference stands for all where one is named. */
const gdn_judged *gdn_judge_first(const gdn_judge *j);

/* Was its error too small for fp64, and the double-double recurrence its truth? */
bool gdn_judge_by_check(const gdn_judge *j);

/* The uncertainty of the reference, the largest of all judged outputs. */
double gdn_judge_uncertainty(const gdn_judge *j);

/* Rows of an output over windows [2^i, 2^(i+1)), pooled or of the head asked for: the next one after *at. */
const gdn_row *gdn_judge_window(const gdn_judge *j, const gdn_judged *x, int64_t *at);

/* Rows of the heads of an output over the whole length, total: the next one after *at. */
const gdn_row *gdn_judge_head(const gdn_judge *j, const gdn_judged *x, int64_t *at);

/* Largest |recorded - truth| of an output of population `index` (judge_abs.c). */
gdn_status gdn_judge_largest(const gdn_experiment *e, int index, int recorded, gdn_quantity q, int threads,
                             double *largest, gdn_error *err);

/* ---- saying it ---- */

void gdn_judge_print(const gdn_judge *j);
json_t *gdn_judge_to_json(const gdn_judge *j);

/* The rows of every head in the format of cells.csv. */
gdn_status gdn_judge_csv(const gdn_judge *j, const char *path, gdn_error *err);

#endif
