/* SPDX-License-Identifier: Apache-2.0 */
/* likeness_parts -- the candidates of a comparison, and what they share with theirs. Private to
 * harness/likeness*.c. */
#ifndef GDN_HARNESS_LIKENESS_PARTS_H
#define GDN_HARNESS_LIKENESS_PARTS_H

#include "harness/likeness.h"

/* What a candidate is made of. */
typedef enum gdn_candidate_kind {
    GDN_CANDIDATE_ROUND,  /* the truth, rounded once to the grid of theirs */
    GDN_CANDIDATE_CUT,    /* the same, towards zero */
    GDN_CANDIDATE_RECIPE, /* a recipe in fp32 storage, then rounded to the grid of theirs */
    GDN_CANDIDATE_EIGHTH, /* an eighth of a recipe's error, as 11 bits instead of 8 would make it: size only
                           */
    GDN_CANDIDATE_DRIFT,  /* the truth with a decay that is off by the same factor at every token, as much as
                             fits */
    GDN_CANDIDATE_FACTOR, /* the truth times a factor, as much as fits */
    GDN_CANDIDATE_KINDS
} gdn_candidate_kind;

/* When a candidate says something that the others do not; flags of a set. */
enum {
    GDN_WHEN_Y = 1,       /* where y is compared, and for y alone */
    GDN_WHEN_GATE = 2,    /* where g is computed, not given */
    GDN_WHEN_DECODES = 4, /* where a sequence is longer than the recipe's prefill */
    GDN_WHEN_NARROW = 8   /* where theirs lie on a grid narrower than fp32 */
};

typedef struct gdn_candidate {
    const char *name;
    const char *phrase;
    gdn_candidate_kind kind;
    const char *recipe;    /* of kernels/recipe.c */
    gdn_format_id inverse; /* instead of the recipe's; GDN_FP64: the recipe's */
    int when;
    bool noise; /* errs by fp32's own rounding alone, which depends on the order of sums */
} gdn_candidate;

/* From the simplest on: of two that explain as much, the first is named. */
extern const gdn_candidate gdn_candidates[];
extern const int gdn_candidate_count;

/* Names and phrases of GDN_CANDIDATE_ROUND and GDN_CANDIDATE_CUT, by the grid of theirs; [format][state][cut]
 */
typedef struct gdn_grid_words {
    const char *name, *phrase;
} gdn_grid_words;
extern const gdn_grid_words gdn_grid_candidates[GDN_FORMATS][2][2];

/*
 * The drift is measured with g lower by this and taken as linear: the second order is this times the memory
 * in tokens. A float g is off by a 250th of it.
 */
#define GDN_LIKENESS_DRIFT 0x1p-17f

/* Sums over elements: e_x = x - r, e_c = c - r, d = x - c. */
typedef struct gdn_likeness_sums {
    double xx, rr;       /* of theirs */
    double cc, xc, dd;   /* of a candidate */
    int64_t n, left_out; /* elements; those where theirs or the truth is not finite */
} gdn_likeness_sums;

/* A candidate beside one quantity, all heads. */
typedef struct gdn_likeness_shared {
    const gdn_candidate *candidate;
    gdn_likeness_sums s;
} gdn_likeness_shared;

static inline bool gdn_likeness_finite(double x)
{
    return x - x == 0;
}

/*
 * Rows, verdict and text from what n candidates share. tokens: of the file; *out has the grid and the tokens
 * compared.
 */
void gdn_likeness_conclude(const gdn_likeness_shared *all, int n, gdn_quantity q, int64_t tokens,
                           gdn_likeness *out);

#endif
