/* SPDX-License-Identifier: Apache-2.0 */
/* profile_define -- the section `define`: profiles of the user's own; see experiment_parts.h. */
#include <stdio.h>
#include <string.h>

#include "harness/experiment_parts.h"

/* One of the links first .. end - 1. */
static gdn_status format_id(gdn_checker *c, const char *path, const char *word, int first, int end, int *out)
{
    char all[160] = "";
    for (int i = first; i < end; i++) {
        if (strcmp(word, gdn_link_names[i]) == 0) {
            *out = i;
            return GDN_OK;
        }
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, " %s", gdn_link_names[i]);
    }
    return gdn_bad(c, path, "'%s' is not a format; allowed:%s", word, all);
}

static gdn_status chain(gdn_checker *c, const char *path, char **words, unsigned n, gdn_chain *out)
{
    if (n > GDN_CHAIN_MAX)
        return gdn_bad(c, path, "a chain of %u formats; at most %d are allowed", n, GDN_CHAIN_MAX);
    gdn_status status = GDN_OK;
    for (unsigned i = 0; i < n && !status; i++)
        status = format_id(c, path, words[i], GDN_FP64, GDN_LINKS, &out->link[i]);
    if (n)
        out->n = (int)n;
    return status;
}

/* What the chunked form cannot do. */
static gdn_status chunked_ok(gdn_checker *c, unsigned i, const gdn_recipe *r)
{
    if (r->state_rounding != GDN_NEAREST && r->algorithm == GDN_CHUNKED)
        return gdn_bad(c, gdn_at(c, "define/%u/state_rounding", i),
                       "the chunked form rounds its state to nearest");
    if (r->product != GDN_FP32 && r->product != GDN_TF32 && r->product != GDN_BF16)
        return gdn_bad(c, gdn_at(c, "define/%u/product", i), "fp32, tf32 and bf16 products exist, not %s",
                       gdn_formats[r->product].name);
    if (r->inverse == GDN_E4M3 || r->inverse == GDN_E5M2)
        return gdn_bad(c, gdn_at(c, "define/%u/inverse", i),
                       "fp32, tf32, fp16 and bf16 inverses exist, not %s", gdn_formats[r->inverse].name);
    return GDN_OK;
}

gdn_status gdn_profile_define(gdn_checker *c, unsigned i, gdn_profile *p)
{
    const gdn_define *d = &c->e->file->define[i];
    gdn_status status = gdn_check_name(c, gdn_at(c, "define/%u/name", i), d->name);
    if (status)
        return status;
    if (gdn_experiment_profile(c->e, d->name) >= 0)
        return gdn_bad(c, gdn_at(c, "define/%u/name", i), "the profile '%s' exists already", d->name);
    int base = gdn_experiment_profile(c->e, d->base ? d->base : "fp32");
    if (base < 0)
        return gdn_bad(c, gdn_at(c, "define/%u/base", i),
                       "'%s' is not a profile; `gdnprec list profiles` shows them", d->base);
    *p = c->e->profiles[base];
    p->name = d->name;
    p->summary = d->summary ? d->summary : "defined in the experiment file";
    p->store_a = d->store_a ? *d->store_a : p->store_a;
    p->zero_centred = d->zero_centred ? *d->zero_centred : p->zero_centred;
    if (d->recipe) {
        const gdn_recipe *r = gdn_recipe_by_name(d->recipe);
        if (!r)
            return gdn_bad(c, gdn_at(c, "define/%u/recipe", i),
                           "'%s' is not a recipe; `gdnprec list recipes` shows them", d->recipe);
        p->recipe = *r;
    }
    if ((status = chain(c, gdn_at(c, "define/%u/a_log", i), d->a_log, d->a_log_count, &p->a_log)) ||
        (status = chain(c, gdn_at(c, "define/%u/dt_bias", i), d->dt_bias, d->dt_bias_count, &p->dt_bias)) ||
        (status = chain(c, gdn_at(c, "define/%u/norm_weight", i), d->norm_weight, d->norm_weight_count,
                        &p->norm_weight)))
        return status;
    const struct {
        const char *key, *word;
        gdn_format_id *out;
    } formats[] = {{"alpha", d->alpha, &p->alpha},
                   {"exp_a", d->exp_a, &p->recipe.exp_a},
                   {"beta", d->beta, &p->recipe.beta},
                   {"qk", d->qk, &p->recipe.qk},
                   {"state", d->state, &p->recipe.state},
                   {"output", d->output, &p->recipe.output},
                   {"input", d->input, &p->recipe.input},
                   {"product", d->product, &p->recipe.product},
                   {"norm_in", d->norm_in, &p->recipe.norm_in},
                   {"norm_hat", d->norm_hat, &p->recipe.norm_hat},
                   {"norm_out", d->norm_out, &p->recipe.norm_out},
                   {"inverse", d->inverse, &p->recipe.inverse}};
    for (size_t f = 0; f < sizeof formats / sizeof formats[0]; f++) {
        bool alpha = formats[f].out == &p->alpha;
        int id = 0;
        if (!formats[f].word)
            continue;
        gdn_at(c, "define/%u/%s", i, formats[f].key);
        if (!alpha && strcmp(formats[f].word, "fp64") == 0)
            return gdn_bad(c, c->path,
                           "fp64 is wider than the fp32 arithmetic under test; a narrower format is allowed");
        status = format_id(c, c->path, formats[f].word, alpha ? GDN_FP64 : GDN_FP32, GDN_FORMATS, &id);
        if (status)
            return status;
        *formats[f].out = (gdn_format_id)id;
    }
    if (d->softplus)
        p->recipe.softplus = *d->softplus;
    if (d->state_rounding)
        p->recipe.state_rounding = *d->state_rounding;
    if (d->math)
        p->recipe.math = *d->math;
    if (d->l2norm)
        p->recipe.l2norm = *d->l2norm;
    if (d->carrier)
        p->recipe.carrier = *d->carrier;
    if (d->prefill) {
        if ((status = gdn_check_whole(c, gdn_at(c, "define/%u/prefill", i), *d->prefill, 1, GDN_MAX_LENGTH)))
            return status;
        if (p->recipe.algorithm == GDN_RECURRENT)
            return gdn_bad(c, gdn_at(c, "define/%u/prefill", i),
                           "%s is recurrent from the first token; a chunked recipe "
                           "can be followed by decoding",
                           p->recipe.name);
        p->recipe.algorithm = GDN_PREFILL_DECODE;
        p->recipe.prefill = (int64_t)*d->prefill;
    }
    if (p->recipe.algorithm != GDN_RECURRENT)
        return chunked_ok(c, i, &p->recipe);
    return d->product || d->inverse
               ? gdn_bad(c, gdn_at(c, "define/%u/%s", i, d->product ? "product" : "inverse"),
                         "only chunked recipes have matrix products and an inverse; %s is recurrent",
                         p->recipe.name)
               : GDN_OK;
}
