/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profile -- a storage policy and a recipe under a name that reviewers know (spec section 4), as rows of
 * data.
 *
 * A parameter passes through a chain of formats before use: fp32 -> bf16 -> fp32 keeps the bf16 value. The
 * true value is the fp32 master. A profile may rest A = exp(A_log) instead of A_log, w - 1 instead of w, a
 * bf16 pair hi + lo, or the decay alpha itself.
 */
#ifndef GDN_HARNESS_PROFILE_H
#define GDN_HARNESS_PROFILE_H

#include <stdbool.h>

#include "base/engine.h"
#include "kernels/recipe.h"

enum { GDN_CHAIN_MAX = 6 };

/* Links of a chain: a format's id, or the pair bf16(x) + bf16(x - bf16(x)). */
enum { GDN_LINK_BF16_PAIR = GDN_FORMATS, GDN_LINKS };
extern const char *const gdn_link_names[GDN_LINKS];

typedef struct gdn_chain {
    int n;
    int link[GDN_CHAIN_MAX]; /* [n] */
} gdn_chain;

typedef struct gdn_profile {
    const char *name;
    const char *summary;
    bool store_a;    /* A rests, not A_log */
    gdn_chain a_log; /* of A_log, or of A */
    gdn_chain dt_bias;
    gdn_chain norm_weight;
    bool zero_centred; /* w - 1 rests, not w */
    gdn_format_id alpha;
    gdn_recipe recipe;
} gdn_profile;

extern const int gdn_profile_count;

/* Built-in profile i, its recipe filled in. */
gdn_profile gdn_profile_builtin(int i);

/* x after the chain. */
double gdn_chain_apply(const gdn_chain *chain, double x);

/* What rests of the head's true A_log / dt_bias and of one channel's true weight. */
double gdn_profile_decay(const gdn_profile *p, double a_log);
double gdn_profile_dt_bias(const gdn_profile *p, double dt_bias);
double gdn_profile_norm_weight(const gdn_profile *p, double w);

/* The profile as canonical text: everything that changes a result, nothing that does not. Part of cell ids.
 */
int gdn_profile_text(const gdn_profile *p, char *out, size_t size);

#endif
