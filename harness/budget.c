/* SPDX-License-Identifier: Apache-2.0 */
/* budget -- members, their subsets as profiles, the Shapley value; see budget.h. */
#include "harness/budget.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/experiment_parts.h"

/* ---- members ---- */

/* A member is a chain of the profile, or a format of its recipe. */
typedef enum where { CHAIN, FORMAT } where;

static const struct {
    const char *name;
    where kind;
    size_t offset; /* in gdn_profile */
    const char *words;
} members[] = {
    {"a_log", CHAIN, offsetof(gdn_profile, a_log), "A_log"},
    {"dt_bias", CHAIN, offsetof(gdn_profile, dt_bias), "dt_bias"},
    {"norm_weight", CHAIN, offsetof(gdn_profile, norm_weight), "the out_norm weight"},
    {"beta", FORMAT, offsetof(gdn_profile, recipe.beta), "beta"},
    {"qk", FORMAT, offsetof(gdn_profile, recipe.qk), "q and k after their L2 norm"},
    {"state", FORMAT, offsetof(gdn_profile, recipe.state), "the state between tokens"},
    {"output", FORMAT, offsetof(gdn_profile, recipe.output), "the outputs o and y"},
    {"input", FORMAT, offsetof(gdn_profile, recipe.input), "the inputs q, k, v and z"},
};
enum { MEMBERS = sizeof members / sizeof members[0] };

static int member(const char *name)
{
    for (int i = 0; i < MEMBERS; i++)
        if (strcmp(members[i].name, name) == 0)
            return i;
    return -1;
}

const char *gdn_budget_words(const char *name)
{
    int i = member(name);
    return i < 0 ? name : members[i].words;
}

/* Let the member rest in the format. */
static void apply(gdn_profile *p, int which, int format)
{
    char *field = (char *)p + members[which].offset;
    if (members[which].kind == CHAIN)
        *(gdn_chain *)(void *)field = (gdn_chain){1, {format}};
    else
        *(gdn_format_id *)(void *)field = (gdn_format_id)format;
}

/* ---- names ---- */

const char *gdn_budget_base(const gdn_budget_spec *b)
{
    return b->base ? b->base : "fp32";
}

const char *gdn_budget_format(const gdn_budget_spec *b)
{
    return b->format ? b->format : "bf16";
}

void gdn_budget_name(const gdn_budget_spec *b, unsigned subset, char *out, size_t size)
{
    unsigned all = (1U << b->members_count) - 1, single = (subset & (subset - 1)) == 0;
    if (!subset) {
        snprintf(out, size, "%s", gdn_budget_base(b));
        return;
    }
    int n = snprintf(out, size, "%s:%s", gdn_budget_format(b), subset == all && !single ? "all" : "");
    for (unsigned i = 0, first = 1; i < b->members_count && (subset != all || single); i++)
        if (subset >> i & 1 && (size_t)n < size) {
            n += snprintf(out + n, size - (size_t)n, "%s%s", first ? "" : "+", b->members[i]);
            first = 0;
        }
}

bool gdn_budget_inner(const char *profile)
{
    const char *colon = strchr(profile, ':'); /* which no name in an experiment file may hold */
    return colon && strchr(colon, '+');
}

/* ---- validation ---- */

/* A format that a tensor of the fp32 arithmetic may rest in. */
static gdn_status find_format(gdn_checker *c, const char *word, int *out)
{
    char all[160] = "";
    for (int i = GDN_FP32; i < GDN_FORMATS; i++) {
        if (strcmp(word, gdn_formats[i].name) == 0) {
            *out = i;
            return GDN_OK;
        }
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, " %s", gdn_formats[i].name);
    }
    return gdn_bad(c, "budget/format", "'%.100s' is not a format; allowed:%s", word, all);
}

/* which: [members_count] rows of the table. */
static gdn_status find_members(gdn_checker *c, int *which)
{
    const gdn_budget_spec *b = c->e->file->budget;
    const char *names[MEMBERS];
    char all[160] = "";
    if (b->members_count > GDN_BUDGET_MEMBERS)
        return gdn_bad(c, "budget/members", "%u members have 2^%u subsets; at most %d members are allowed",
                       b->members_count, b->members_count, GDN_BUDGET_MEMBERS);
    for (int i = 0; i < MEMBERS; i++) {
        size_t used = strlen(all);
        names[i] = members[i].name;
        snprintf(all + used, sizeof all - used, " %s", names[i]);
    }
    for (unsigned i = 0; i < b->members_count; i++) {
        const char *name = b->members[i];
        const char *path = gdn_at(c, "budget/members/%u", i);
        which[i] = member(name);
        if (which[i] < 0) {
            const char *near = gdn_nearest(name, names, MEMBERS);
            return gdn_bad(c, path, "'%.100s' cannot be a member%s%s%s; allowed:%s", name,
                           near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "", all);
        }
        for (unsigned j = 0; j < i; j++)
            if (which[j] == which[i])
                return gdn_bad(c, path, "the member '%s' is named twice", name);
    }
    return GDN_OK;
}

static gdn_status check_run(gdn_checker *c)
{
    const gdn_experiment *e = c->e;
    bool runs = e->file->populations_count == 0;
    for (unsigned i = 0; i < e->file->populations_count; i++)
        runs |= e->file->populations[i].profiles == NULL;
    return runs
               ? GDN_OK
               : gdn_bad(c, "budget",
                         "every population names profiles of its own, so that none would run the budget; one "
                         "without profiles is wanted");
}

/* ---- profiles ---- */

/* The same name, kept with the experiment's own list of profiles, whose memory libcyaml frees with free(). */
static gdn_status list(gdn_experiment *e, const char *name, const char **kept, gdn_error *err)
{
    gdn_experiment_file *f = e->file;
    for (unsigned i = 0; i < f->profiles_count; i++)
        if (strcmp(f->profiles[i], name) == 0) {
            *kept = f->profiles[i];
            return GDN_OK;
        }
    char **grown = realloc(f->profiles, (f->profiles_count + 1) * sizeof *grown);
    if (!grown)
        return gdn_no_memory(err, "the profiles of a budget");
    f->profiles = grown;
    if (!(grown[f->profiles_count] = strdup(name)))
        return gdn_no_memory(err, "the profiles of a budget");
    *kept = grown[f->profiles_count++];
    return GDN_OK;
}

static gdn_status add(gdn_experiment *e, const gdn_profile *base, const int *which, int format,
                      unsigned subset, gdn_error *err)
{
    const gdn_budget_spec *b = e->file->budget;
    gdn_profile p = *base;
    char name[128];
    gdn_budget_name(b, subset, name, sizeof name);
    gdn_status status = list(e, name, &p.name, err);
    if (status || !subset)
        return status;
    p.summary = "a subset of the error budget: the base profile with what the name lists in that format";
    for (unsigned i = 0; i < b->members_count; i++)
        if (subset >> i & 1)
            apply(&p, which[i], format);
    e->profiles[e->profile_count++] = p;
    return GDN_OK;
}

gdn_status gdn_budget_define(gdn_experiment *e, gdn_error *err)
{
    const gdn_budget_spec *b = e->file->budget;
    gdn_checker c = {.e = e, .err = err};
    int which[GDN_BUDGET_MEMBERS] = {0}, format = 0;
    if (!b)
        return GDN_OK;
    int base = gdn_experiment_profile(e, gdn_budget_base(b));
    if (base < 0)
        return gdn_bad(&c, "budget/base", "'%.100s' is not a profile; `gdnprec list profiles` shows them",
                       b->base);
    gdn_status status;
    if ((status = find_format(&c, gdn_budget_format(b), &format)) || (status = find_members(&c, which)) ||
        (status = check_run(&c)))
        return status;
    unsigned subsets = 1U << b->members_count;
    gdn_profile *grown = realloc(e->profiles, ((size_t)e->profile_count + subsets) * sizeof *grown);
    if (!grown)
        return gdn_no_memory(err, "the profiles of a budget");
    e->profiles = grown;
    const gdn_profile start = e->profiles[base];
    for (unsigned subset = 0; subset < subsets && !status; subset++)
        status = add(e, &start, which, format, subset, err);
    return status;
}

/* ---- the Shapley value ---- */

/* |S|! (n - |S| - 1)! / n! for s = |S|: 1 / (n C(n-1, s)) */
static double weight(int n, int s)
{
    double choose = 1;
    for (int i = 1; i <= s; i++)
        choose = choose * (n - i) / i;
    return 1 / (n * choose);
}

void gdn_budget_shapley(const double *v, int n, double *phi)
{
    for (int i = 0; i < n; i++) {
        phi[i] = 0;
        for (unsigned S = 0; S < 1U << n; S++)
            if (!(S >> i & 1))
                phi[i] += weight(n, __builtin_popcount(S)) * (v[S | 1U << i] - v[S]);
    }
}
