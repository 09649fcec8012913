/* SPDX-License-Identifier: Apache-2.0 */
/* report_query -- finding rows of the results by what they measure; see report_data.h. */
#include "harness/report_data.h"

const char *const gdn_report_outputs[GDN_OUTPUTS] = {"y", "o", "state"};

bool gdn_measured(const gdn_result *x)
{
    return x && x->n > 0;
}

bool gdn_nonzero(const gdn_result *x)
{
    return gdn_measured(x) && x->median > 0;
}

/* Whether the row is that of a population, profile, quantity and kind. */
static bool is_of(const gdn_result *x, const char *population, const char *profile, const char *quantity,
                  const char *kind)
{
    return gdn_same(x->population, population) && gdn_same(x->profile, profile) &&
           gdn_same(x->quantity, quantity) && gdn_same(x->kind, kind);
}

const gdn_result *gdn_whole(const gdn_results *r, const char *population, const char *profile,
                            const char *quantity, const char *kind)
{
    for (size_t i = 0; i < r->n_whole; i++)
        if (is_of(r->whole[i], population, profile, quantity, kind))
            return r->whole[i];
    return NULL;
}

const gdn_result *gdn_any_whole(const gdn_results *r, const char *population, const char *quantity)
{
    static const char *const kinds[] = {"storage", "arith", "total"};
    for (size_t i = 0; i < r->profiles.n; i++)
        for (int k = 0; k < 3; k++) {
            const gdn_result *x = gdn_whole(r, population, r->profiles.name[i], quantity, kinds[k]);
            if (x)
                return x;
        }
    return NULL;
}

const gdn_result *gdn_grown(const gdn_results *r, const char *population, const char *profile,
                            const char *quantity, const char *kind)
{
    for (size_t i = 0; i < r->growth.n; i++)
        if (is_of(&r->growth.row[i], population, profile, quantity, kind))
            return &r->growth.row[i];
    return NULL;
}

const gdn_result *gdn_last_window(const gdn_results *r, const gdn_result *g)
{
    const gdn_result *last = NULL;
    for (size_t i = 0; i < r->summary.n; i++) {
        const gdn_result *x = &r->summary.row[i];
        if (gdn_measured(x) && x->from > 1 && x->from < x->to && (!last || x->to > last->to) &&
            is_of(x, g->population, g->profile, g->quantity, g->kind))
            last = x;
    }
    return last;
}

bool gdn_has_quantity(const gdn_results *r, const char *quantity)
{
    for (size_t p = 0; p < r->populations.n; p++)
        if (gdn_results_longest(r, r->populations.name[p], quantity) > 0)
            return true;
    return false;
}

const char *gdn_main_quantity(const gdn_results *r)
{
    for (int i = 0; i < GDN_OUTPUTS; i++)
        if (gdn_has_quantity(r, gdn_report_outputs[i]))
            return gdn_report_outputs[i];
    return NULL;
}

const char *gdn_yardstick(const gdn_results *r)
{
    return gdn_names_have(&r->profiles, "bf16-io") ? "bf16-io" : NULL;
}

/* Of two rows, either NULL, the one with the larger error above zero; the first of equals. */
static const gdn_result *larger(const gdn_result *a, const gdn_result *b)
{
    if (!gdn_nonzero(b))
        return a;
    return a && a->median >= b->median ? a : b;
}

const gdn_result *gdn_largest(const gdn_results *r, const char *population, const char *quantity,
                              const char *kind)
{
    const gdn_result *most = NULL;
    for (size_t i = 0; i < r->profiles.n; i++)
        most = larger(most, gdn_whole(r, population, r->profiles.name[i], quantity, kind));
    return most;
}

/* The row of the population in which a profile's storage error is largest; NULL when it is zero everywhere.
 */
static const gdn_result *worst_storage(const gdn_results *r, const char *profile, const char *quantity)
{
    const gdn_result *worst = NULL;
    for (size_t p = 0; p < r->populations.n; p++)
        worst = larger(worst, gdn_whole(r, r->populations.name[p], profile, quantity, "storage"));
    return worst;
}

/* Whether two profiles have the same storage error in every population. */
static bool stores_alike(const gdn_results *r, const char *a, const char *b, const char *quantity)
{
    for (size_t p = 0; p < r->populations.n; p++) {
        const gdn_result *x = gdn_whole(r, r->populations.name[p], a, quantity, "storage"),
                         *y = gdn_whole(r, r->populations.name[p], b, quantity, "storage");
        if (gdn_measured(x) != gdn_measured(y) || (gdn_measured(x) && x->median != y->median))
            return false;
    }
    return true;
}

size_t gdn_costs(const gdn_results *r, const char *quantity, const gdn_result *told[], size_t room,
                 size_t *left)
{
    size_t n = 0;
    *left = 0;
    for (size_t i = 0; i < r->profiles.n; i++) {
        const gdn_result *x = worst_storage(r, r->profiles.name[i], quantity);
        bool again = !x;
        for (size_t k = 0; k < n && x; k++)
            again = again || stores_alike(r, told[k]->profile, x->profile, quantity);
        *left += !again && n == room;
        if (!again && n < room)
            told[n++] = x;
    }
    return n;
}

bool gdn_is_recorded(const gdn_result *x)
{
    return gdn_measured(x) && gdn_same(x->mode, "recorded");
}

size_t gdn_recorded_in(const gdn_results *r, const char *population, const char *quantity)
{
    size_t n = 0;
    for (size_t i = 0; i < r->profiles.n; i++)
        n += gdn_is_recorded(gdn_whole(r, population, r->profiles.name[i], quantity, "total"));
    return n;
}

const char *gdn_recorded_quantity(const gdn_results *r)
{
    const char *best = NULL;
    size_t most = 0;
    for (int q = 0; q < GDN_OUTPUTS; q++) {
        size_t n = 0;
        for (size_t p = 0; p < r->populations.n; p++)
            n += gdn_recorded_in(r, r->populations.name[p], gdn_report_outputs[q]);
        if (n > most) {
            most = n;
            best = gdn_report_outputs[q];
        }
    }
    return best;
}
