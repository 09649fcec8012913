/* SPDX-License-Identifier: Apache-2.0 */
/* budget_export -- budget.csv from the rows of the store; see budget.h. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/budget.h"
#include "harness/outfile.h"
#include "harness/stats.h"

enum { SUBSETS = 1 << GDN_BUDGET_MEMBERS, THIRDS = 3, FEWEST = 9 /* heads that are split into thirds */ };

/* What is told of a head, by member and of it as a whole. */
enum { SINGLE, SHAPLEY, RELIEF, PER_MEMBER };
enum { NONE, RSS, ALL, PER_HEAD };

typedef struct head {
    int64_t seed;
    double gamma;
    double member[PER_MEMBER][GDN_BUDGET_MEMBERS];
    double whole[PER_HEAD];
} head;

typedef struct named {
    char name[128];
    unsigned subset;
} named;

typedef struct budget {
    FILE *f;
    const gdn_budget_spec *spec;
    int n;
    unsigned subsets;
    named *by_name; /* [subsets] sorted */
    /* the measurement at work */
    char population[96], keys[32], quantity[16];
    int64_t length;
    head *heads; /* [count] */
    size_t count, room, left_out;
    gdn_drawn *x; /* [room] */
    /* the head at work */
    int64_t seed, head;
    double gamma, v[SUBSETS];
    bool unusable;
    unsigned seen;
} budget;

/* ---- one head ---- */

/* v: [2^n]. See budget.h for the formulas. */
static void measure(const double *v, int n, head *h)
{
    unsigned all = (1U << n) - 1;
    double phi[GDN_BUDGET_MEMBERS], gained = v[all] - v[0], apart = v[0];
    gdn_budget_shapley(v, n, phi);
    for (int i = 0; i < n; i++) {
        h->member[SINGLE][i] = sqrt(v[1U << i]);
        h->member[SHAPLEY][i] = gained > 0 ? phi[i] / gained : (double)NAN;
        h->member[RELIEF][i] = v[all] > 0 ? 1 - sqrt(v[all & ~(1U << i)] / v[all]) : (double)NAN;
        apart += v[1U << i] - v[0];
    }
    h->whole[NONE] = sqrt(v[0]);
    h->whole[RSS] = sqrt(fmax(apart, 0));
    h->whole[ALL] = sqrt(v[all]);
}

/* The head at work has come to its end: keep it, if every subset has a number. */
static gdn_status end_head(budget *b, gdn_error *err)
{
    bool whole = b->seen == b->subsets;
    b->seen = 0;
    if (!whole || b->unusable) {
        b->left_out += whole;
        return GDN_OK;
    }
    if (b->count == b->room) {
        size_t room = b->room ? 2 * b->room : 64;
        head *heads = realloc(b->heads, room * sizeof *heads);
        if (!heads)
            return gdn_no_memory(err, "an error budget");
        b->heads = heads;
        gdn_drawn *x = realloc(b->x, room * sizeof *x);
        if (!x)
            return gdn_no_memory(err, "an error budget");
        b->x = x;
        b->room = room;
    }
    b->heads[b->count].seed = b->seed;
    b->heads[b->count].gamma = b->gamma;
    measure(b->v, b->n, &b->heads[b->count++]);
    return GDN_OK;
}

/* ---- groups of heads ---- */

/* Without a number last. */
static int slower(const void *a, const void *b)
{
    double x = ((const head *)a)->gamma, y = ((const head *)b)->gamma;
    if (isnan(x) || isnan(y))
        return !!isnan(x) - !!isnan(y);
    return (x > y) - (x < y);
}

/* The doubles at this offset of n heads, as far as they are numbers, into b->x; returns how many. */
static size_t gather(const budget *b, const head *heads, size_t n, size_t offset)
{
    size_t have = 0;
    for (size_t i = 0; i < n; i++) {
        double x = *(const double *)(const void *)((const char *)&heads[i] + offset);
        if (!isnan(x))
            b->x[have++] = (gdn_drawn){x, heads[i].seed};
    }
    return have;
}

static size_t member_offset(int which, int i)
{
    return offsetof(head, member) + sizeof(double) * (size_t)(which * GDN_BUDGET_MEMBERS + i);
}

static void put_real(FILE *f, double x)
{
    if (isnan(x))
        fprintf(f, ",");
    else
        fprintf(f, ",%.17g", x);
}

static void put_interval(FILE *f, gdn_interval x)
{
    put_real(f, x.median);
    put_real(f, x.lo);
    put_real(f, x.hi);
}

/* The member whose relief is largest, and whether its interval lies above all others; -1 for none above zero.
 */
static int find_best(const gdn_interval *relief, int n, bool *sure)
{
    int best = -1;
    for (int i = 0; i < n; i++)
        if (relief[i].median > (best < 0 ? 0 : relief[best].median))
            best = i;
    *sure = best >= 0 && relief[best].lo > 0;
    for (int i = 0; i < n; i++)
        *sure = *sure && (i == best || !(relief[i].hi >= relief[best].lo));
    return best;
}

/* The lines of one group of heads. */
static gdn_status put_group(const budget *b, const char *group, const head *heads, size_t n, size_t left_out,
                            gdn_error *err)
{
    gdn_interval member[PER_MEMBER][GDN_BUDGET_MEMBERS], whole[PER_HEAD];
    size_t have, split = 0;
    bool sure;
    gdn_status status = GDN_OK;
    for (int w = 0; w < PER_HEAD && !status; w++) {
        have = gather(b, heads, n, offsetof(head, whole) + sizeof(double) * (size_t)w);
        status = gdn_median_interval(b->x, have, &whole[w], err);
    }
    for (int w = 0; w < PER_MEMBER; w++)
        for (int i = 0; i < b->n && !status; i++) {
            have = gather(b, heads, n, member_offset(w, i));
            split = w == SHAPLEY ? have : split;
            status = gdn_median_interval(b->x, have, &member[w][i], err);
        }
    if (status)
        return status;
    have = gather(b, heads, n, offsetof(head, gamma));
    double gamma = gdn_drawn_median(b->x, have);
    int best = find_best(member[RELIEF], b->n, &sure);
    for (int i = 0; i < b->n; i++) {
        fprintf(b->f, "%s,%s,%" PRId64 ",%s,%s", b->population, b->keys, b->length, b->quantity, group);
        put_real(b->f, gamma);
        fprintf(b->f, ",%s,%s,%s", gdn_budget_base(b->spec), gdn_budget_format(b->spec), b->spec->members[i]);
        for (int w = 0; w < PER_MEMBER; w++)
            put_interval(b->f, member[w][i]);
        for (int w = 0; w < PER_HEAD; w++)
            put_interval(b->f, whole[w]);
        fprintf(b->f, ",%zu,%zu,%zu,%d,%d\n", n, split, left_out, i == best, i == best && sure);
    }
    return GDN_OK;
}

/* The measurement at work has come to its end. */
static gdn_status end_measurement(budget *b, gdn_error *err)
{
    static const char *const thirds[THIRDS] = {"long", "middle", "short"};
    gdn_status status = end_head(b, err);
    if (!status && (b->count || b->left_out)) {
        qsort(b->heads, b->count, sizeof *b->heads, slower);
        status = put_group(b, "all", b->heads, b->count, b->left_out, err);
        for (size_t t = 0; t < THIRDS && b->count >= FEWEST && !status; t++) {
            size_t from = t * b->count / THIRDS, to = (t + 1) * b->count / THIRDS;
            status = put_group(b, thirds[t], b->heads + from, to - from, 0, err);
        }
    }
    b->count = b->left_out = 0;
    return status;
}

/* ---- rows ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const named *)a)->name, ((const named *)b)->name);
}

/* Total errors over [1, T] of what leaves the layer, and of the state at T; T = 1 is a window as well. */
static bool counts(const gdn_row *r)
{
    bool state = strcmp(r->quantity, gdn_quantity_names[GDN_Q_STATE]) == 0,
         output = strcmp(r->quantity, gdn_quantity_names[GDN_Q_O]) == 0 ||
                  strcmp(r->quantity, gdn_quantity_names[GDN_Q_Y]) == 0;
    return strcmp(r->kind, gdn_kind_names[GDN_TOTAL]) == 0 && r->to > 1 &&
           ((state && r->from == r->to) || (output && r->from == 1));
}

static gdn_status take(void *context, const gdn_row *r, gdn_error *err)
{
    budget *b = context;
    named key;
    if (!counts(r))
        return GDN_OK;
    snprintf(key.name, sizeof key.name, "%s", r->profile);
    const named *at = bsearch(&key, b->by_name, b->subsets, sizeof key, by_name);
    if (!at)
        return GDN_OK;
    gdn_status status = GDN_OK;
    if (strcmp(b->population, r->population) != 0 || strcmp(b->quantity, r->quantity) != 0 ||
        b->length != r->to)
        status = end_measurement(b, err);
    else if (b->seed != r->seed || b->head != r->head)
        status = end_head(b, err);
    if (!b->seen) {
        snprintf(b->population, sizeof b->population, "%s", r->population);
        snprintf(b->keys, sizeof b->keys, "%s", r->keys);
        snprintf(b->quantity, sizeof b->quantity, "%s", r->quantity);
        b->length = r->to;
        b->seed = r->seed;
        b->head = r->head;
        b->gamma = r->gamma;
        b->unusable = false;
    }
    b->seen++;
    b->v[at->subset] = r->nmse;
    b->unusable |= strcmp(r->flag, gdn_flag_names[GDN_FLAG_OK]) != 0;
    return status;
}

static gdn_status write_all(budget *b, gdn_store *store, const char *const *ids, int n, gdn_error *err)
{
    fprintf(b->f, "population,keys,length,quantity,group,gamma,base,format,member,single,single_lo,single_hi,"
                  "shapley,shapley_lo,shapley_hi,relief,relief_lo,relief_hi,none,none_lo,none_hi,rss,rss_lo,"
                  "rss_hi,all,all_lo,all_hi,n,n_shapley,left_out,best,sure\n");
    gdn_status status =
        gdn_store_rows(store, ids, n, "population, quantity, \"to\", seed, head", take, b, err);
    return status ? status : end_measurement(b, err);
}

gdn_status gdn_budget_export(const gdn_experiment *e, gdn_store *store, const char *directory,
                             const char *const *ids, int n, gdn_error *err)
{
    char path[4096];
    gdn_outfile o;
    snprintf(path, sizeof path, "%s/budget.csv", directory);
    if (!e->file->budget) {
        if (unlink(path) && errno != ENOENT)
            return gdn_fail(err, GDN_MACHINE, "%.400s: cannot remove what an earlier experiment left: %s",
                            path, strerror(errno));
        return GDN_OK;
    }
    budget b = {.spec = e->file->budget, .n = (int)e->file->budget->members_count};
    b.subsets = 1U << b.n;
    b.by_name = calloc(b.subsets, sizeof *b.by_name);
    if (!b.by_name)
        return gdn_no_memory(err, "an error budget");
    for (unsigned s = 0; s < b.subsets; s++) {
        gdn_budget_name(b.spec, s, b.by_name[s].name, sizeof b.by_name[s].name);
        b.by_name[s].subset = s;
    }
    qsort(b.by_name, b.subsets, sizeof *b.by_name, by_name);
    gdn_status status = gdn_outfile_open(&o, path, err);
    if (!status) {
        b.f = o.f;
        status = gdn_outfile_close(&o, write_all(&b, store, ids, n, err), err);
    }
    free(b.by_name);
    free(b.heads);
    free(b.x);
    return status;
}
