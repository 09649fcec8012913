/* SPDX-License-Identifier: Apache-2.0 */
/*
 * budget -- the error budget: which stored tensor costs how much, alone and together with the others.
 *
 * `budget:` of an experiment names a base profile, a format and n members, the tensors that may rest in that
 * format. Every one of the 2^n subsets S is a profile: the base with the members of S in the format, called
 * "bf16:a_log+beta", the whole one "bf16:all"; the empty one is the base. With v(S) = NMSE of the total error
 * of S, for each head:
 *
 *     single_i  = sqrt v({i}),   all = sqrt v(N),   rss = sqrt(v(0) + sum_i (v({i}) - v(0)))
 *     shapley_i = phi_i / (v(N) - v(0)),   phi_i = sum_{S not containing i} |S|! (n-|S|-1)! / n! (v(S+i) -
 *                 v(S))    (Shapley 1953)
 *     relief_i  = 1 - sqrt(v(N-i) / v(N)),  how much smaller the error gets where i alone stays in the base's
 *                 format
 */
#ifndef GDN_HARNESS_BUDGET_H
#define GDN_HARNESS_BUDGET_H

#include <stdbool.h>

#include "harness/experiment.h"
#include "harness/store.h"

/* Most members: 256 profiles. */
enum { GDN_BUDGET_MEMBERS = 8 };

/*
 * Add the subsets to the profiles of e, which may move, and to the experiment's own list of profiles: a
 * population that names none runs them all. Does nothing where the file has no budget. Call it when the
 * defined profiles are in e->profiles. GDN_BAD_INPUT: a sentence with file, line and field.
 */
gdn_status gdn_budget_define(gdn_experiment *e, gdn_error *err);

/* What the YAML says, or the default: fp32, bf16. */
const char *gdn_budget_base(const gdn_budget_spec *b);
const char *gdn_budget_format(const gdn_budget_spec *b);

/* Name of the profile of a subset; bit i says that member i is in. */
void gdn_budget_name(const gdn_budget_spec *b, unsigned subset, char *out, size_t size);

/* Is this the profile of a subset of two members or more, but not all? Such profiles stand in cells.csv and
 * budget.csv alone. */
bool gdn_budget_inner(const char *profile);

/* What a member is, for a sentence: "A_log", "the state"; the name itself where it is none. */
const char *gdn_budget_words(const char *member);

/* phi[n] of the game v, whose entry S is worth v[S], bit i of S saying that player i is in; v: [2^n]. */
void gdn_budget_shapley(const double *v, int n, double *phi);

/*
 * Write directory/budget.csv from the rows of the tasks ids[0..n) (budget_export.c). Writes nothing, and
 * removes what an earlier run left, where the experiment has no budget.
 */
gdn_status gdn_budget_export(const gdn_experiment *e, gdn_store *store, const char *directory,
                             const char *const *ids, int n, gdn_error *err);

#endif
