/* SPDX-License-Identifier: Apache-2.0 */
/*
 * judge_file -- what the tensors of somebody's dump are: inputs by role, and outputs by quantity.
 *
 * A role is found under its usual names, or is told by a pair `role=tensor`. Outputs are o (out), state
 * (final_state, ht) and y, alone or as KERNEL.out and so on, or told by `o=tensor` or `o:KERNEL=tensor`.
 */
#ifndef GDN_HARNESS_JUDGE_FILE_H
#define GDN_HARNESS_JUDGE_FILE_H

#include <stdbool.h>

#include "base/format.h"
#include "harness/row.h"
#include "harness/safetensors.h"

typedef enum gdn_role {
    GDN_ROLE_Q,
    GDN_ROLE_K,
    GDN_ROLE_V,
    GDN_ROLE_BETA,
    GDN_ROLE_B,
    GDN_ROLE_G,
    GDN_ROLE_A,
    GDN_ROLE_A_LOG,
    GDN_ROLE_DT_BIAS,
    GDN_ROLE_INITIAL_STATE,
    GDN_ROLE_Z,
    GDN_ROLE_NORM_WEIGHT,
    GDN_ROLES
} gdn_role;

extern const char *const gdn_role_names[GDN_ROLES];

typedef struct gdn_judge_output {
    char *tensor;
    char *kernel; /* whose it is: the tensor's name without its last word, or the file's */
    gdn_quantity quantity;
    gdn_dtype dtype;
    gdn_format_id format; /* of the ulps */
} gdn_judge_output;

typedef struct gdn_judge_file {
    char path[4096];
    gdn_safetensors *st;
    char *role[GDN_ROLES];    /* tensor; NULL: not there */
    gdn_judge_output *output; /* [outputs], by kernel, then quantity */
    int outputs;
    const char **unused; /* [unuseds] names of the rest */
    int unuseds;
} gdn_judge_file;

/* pairs: [n] of role=tensor. *f is to be closed also on failure. */
gdn_status gdn_judge_file_open(gdn_judge_file *f, const char *path, const char *const *pairs, int n,
                               gdn_error *err);
void gdn_judge_file_close(gdn_judge_file *f);

/* Is what stands before '=' a role, or an output's quantity with or without `:KERNEL`? */
bool gdn_judge_is_pair(const char *word);

/* Where a usual name of the role went by --map: " ('k' is q by --map)", or "". */
const char *gdn_judge_file_taken(const gdn_judge_file *f, gdn_role role, char *out, size_t size);

/* The g of the file is an output too: it is judged against its parameters. */
gdn_status gdn_judge_file_judge_g(gdn_judge_file *f, gdn_error *err);

/* The tensor plays its role no longer: it is listed with the unused. */
gdn_status gdn_judge_file_drop(gdn_judge_file *f, gdn_role role, gdn_error *err);

#endif
