/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claims -- the ledgers of what is said about GDN's precision and of what was found, and what the result
 * files answer.
 *
 * An entry (claims.yaml; docs/claims.md) names a proposition, the results it rests on, values as SQL over
 * their CSV files, and conditions over these values. The verdict is the first condition that holds, in the
 * order confirmed, limits, refuted: no entry states its own verdict. A result (results.yaml) is an entry of
 * the same kind; its conditions say when its sentence holds, so that other results can be asked for the same
 * sentence. So is an advice (decisions.yaml): where one tensor has to stay in fp32, or where bf16 will do.
 */
#ifndef GDN_HARNESS_CLAIMS_H
#define GDN_HARNESS_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/yaml_file.h"

/* ---- the ledger ---- */

/* A number, or a text, by name; exactly one of sql and of is there. */
typedef struct gdn_claim_value {
    char *name;
    char *sql;   /* a query of one row: value, or value, lo, hi */
    char *of;    /* an SQL expression over the values before it, or three: value, lo, hi */
    char *label; /* of a result, or NULL: the row of its table that shows the number, as an error */
} gdn_claim_value;

/* What it takes to make a result again: minutes or hours of a laptop, or a GPU. */
typedef enum gdn_tier { GDN_TIER_MINUTES, GDN_TIER_HOURS, GDN_TIER_GPU, GDN_TIERS } gdn_tier;
extern const char *const gdn_tier_names[GDN_TIERS];

/* What an advice says of a tensor: stay in fp32 where ..., bf16 is fine where ... */
typedef enum gdn_advice { GDN_KEEP, GDN_FINE, GDN_ADVICES } gdn_advice;

typedef struct gdn_claim {
    char *id; /* group and number: "A1" */
    char *proposition, *source;
    char **experiments; /* folders of results */
    unsigned experiments_count;
    gdn_claim_value *values;
    unsigned values_count;
    char *confirmed, *limits, *refuted; /* SQL conditions over the values */
    char *finding;                      /* a sentence with {name} */
    char *untestable; /* why; then there is nothing of the above but proposition and source */
    /* of results only, which have neither source nor untestable */
    char **settles; /* ids of claims */
    unsigned settles_count;
    char *figure; /* below the folder of results, or NULL */
    gdn_tier tier;
    bool headline;
    /* of decisions only */
    char *tensor;
    gdn_advice advice;
} gdn_claim;

typedef struct gdn_ledger {
    gdn_yaml yaml;
    const gdn_claim *claim; /* [n] */
    size_t n;
} gdn_ledger;

/* *l is to be freed even after a failure. */
gdn_status gdn_ledger_load(const char *path, gdn_ledger *l, gdn_error *err);

/* The ledger of results; `settles` has to name entries of `claims`. */
gdn_status gdn_ledger_load_results(const char *path, const gdn_ledger *claims, gdn_ledger *l, gdn_error *err);

/* The ledger of decisions; advice on one tensor stands together. */
gdn_status gdn_ledger_load_decisions(const char *path, gdn_ledger *l, gdn_error *err);

const gdn_claim *gdn_ledger_find(const gdn_ledger *l, const char *id); /* or NULL */
void gdn_ledger_free(gdn_ledger *l);

/* ---- the answers ---- */

typedef enum gdn_verdict {
    GDN_CONFIRMED,
    GDN_WITHIN_LIMITS,
    GDN_REFUTED,
    GDN_UNDECIDED, /* no condition holds, or a value is missing */
    GDN_NO_DATA,   /* results are missing, or hold no row for a value */
    GDN_NOT_TESTABLE,
    GDN_VERDICTS
} gdn_verdict;

extern const char *const gdn_verdict_names[GDN_VERDICTS];

typedef struct gdn_claim_number {
    double value, lo, hi; /* NaN where there is none */
    char *text;           /* instead of value, or NULL */
} gdn_claim_number;

typedef struct gdn_judgement {
    const gdn_claim *claim;
    gdn_verdict verdict;
    char *finding;            /* the sentence with its numbers; without a verdict, why there is none */
    gdn_claim_number *number; /* [claim->values_count]; NULL without data */
    char **files;             /* [n_files] read for it, as paths */
    size_t n_files;
} gdn_judgement;

/* Which claims are wanted. */
typedef bool gdn_claim_wanted(const gdn_claim *c, const void *context);

/*
 * Judge the wanted claims (NULL: all) by the folders of results below roots[0..n_roots), the first that has
 * one. *out: [*n] in the order of the ledger, to be freed with gdn_judgements_free, NULL on failure.
 * GDN_BAD_INPUT for SQL that does not do and for malformed CSV files.
 */
gdn_status gdn_claims_judge(const gdn_ledger *l, gdn_claim_wanted *wanted, const void *context,
                            const char *const *roots, size_t n_roots, gdn_judgement **out, size_t *n,
                            gdn_error *err);
/* The same of results that are open already (harness/claims_data.h). */
struct gdn_evidence;
gdn_status gdn_claims_judge_by(struct gdn_evidence *e, const gdn_ledger *l, gdn_claim_wanted *wanted,
                               const void *context, gdn_judgement **out, size_t *n, gdn_error *err);
void gdn_judgements_free(gdn_judgement *j, size_t n);

/* The value of a judgement called `name`, or NULL. */
const gdn_claim_number *gdn_judgement_number(const gdn_judgement *j, const char *name);

/* ---- sentences ---- */

/* A piece of a finding: text as the template has it (value NULL), or what a placeholder became. */
typedef void gdn_claim_piece(const char *text, size_t n, const gdn_claim_value *value, void *context);

/*
 * The finding of a claim with its numbers, piece by piece; with number NULL only whether it can be made, and
 * `piece` is not called. GDN_BAD_INPUT for a placeholder that names no value, *bad then shows it.
 */
gdn_status gdn_claim_pieces(const gdn_claim *c, const gdn_claim_number *number, gdn_claim_piece *piece,
                            void *context, char bad[64]);

/* ---- private to harness/claims*.c ---- */

/* The sentence of a claim with its numbers, to be freed; with number NULL only whether it can be made:
 * GDN_BAD_INPUT for a placeholder that names no value, *bad then shows it. */
gdn_status gdn_claim_sentence(const gdn_claim *c, const gdn_claim_number *number, char **out, char bad[64],
                              gdn_error *err);

#endif
