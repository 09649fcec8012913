/* SPDX-License-Identifier: Apache-2.0 */
/* experiment_parts -- what reads and checks an experiment file. Private to harness/experiment*.c,
 * profile_define.c, population_check.c and budget.c. */
#ifndef GDN_HARNESS_EXPERIMENT_PARTS_H
#define GDN_HARNESS_EXPERIMENT_PARTS_H

#include <cyaml/cyaml.h>

#include "harness/experiment.h"

/* ---- the schema (experiment_schema.c) ---- */

extern const cyaml_schema_value_t gdn_experiment_schema;

/* ---- checks (experiment_check.c) ---- */

typedef struct gdn_checker {
    const gdn_experiment *e;
    gdn_error *err;
    gdn_yaml_tree *tree; /* of the text; what asks for defaults wants it */
    char path[160];      /* of the field under inspection */
} gdn_checker;

/* Fail at the field `path` (as gdn_yaml_line wants it) with a printf-style sentence. */
gdn_status gdn_bad(gdn_checker *c, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A path, printf-style, kept in c->path. */
const char *gdn_at(gdn_checker *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* x is a whole number of lo..hi. */
gdn_status gdn_check_whole(gdn_checker *c, const char *path, double x, double lo, double hi);

/* Every one of x[0..n) is of size at most `limit`. */
gdn_status gdn_check_bounded(gdn_checker *c, const char *path, const double *x, unsigned n, double limit);

gdn_status gdn_check_name(gdn_checker *c, const char *path, const char *name);

/* `name` is a profile. */
gdn_status gdn_check_profile(gdn_checker *c, const char *path, const char *name);

/* The list `profiles` under `where` ("" or "populations/2/") names profiles that exist, each once. */
gdn_status gdn_check_profiles(gdn_checker *c, const char *where, char **names, unsigned n);

/* The list `key` under `where` holds increasing numbers of tokens. */
gdn_status gdn_check_lengths(gdn_checker *c, const char *where, const char *key, const double *x, unsigned n);

/* What a number is that the file does not give. */
void gdn_check_default(const gdn_checker *c, const char *path, double *x, double value);

/* ---- sections ---- */

/* Entry i of the section `define` as a profile (profile_define.c). */
gdn_status gdn_profile_define(gdn_checker *c, unsigned i, gdn_profile *p);

/* Population i (population_check.c). */
gdn_status gdn_check_population(gdn_checker *c, unsigned i);

/* Put the layers of checkpoints into the list of populations, and take them out again
 * (experiment_checkpoint.c). */
gdn_status gdn_checkpoints_expand(gdn_experiment *e, gdn_error *err);
void gdn_checkpoints_close(gdn_experiment *e);

#endif
