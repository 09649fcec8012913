/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report_ranking -- which layers and heads of a checkpoint lose most, from last.csv; see report_parts.h.
 *
 * Layers are the populations called NAME.layer-N. A head's error is the median over seeds.
 */
#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness/report_parts.h"
#include "harness/stats.h"

enum { LAYERS_SHOWN = 16, HEADS_SHOWN = 20, QUANTITIES = 2 };
enum { STORAGE, TOTAL, KINDS };
static const char *const kinds[KINDS] = {"storage", "total"};

/* ---- Cells of heads ---- */

/* One row of last.csv; then, of all seeds, their median. */
typedef struct cell {
    int population, profile, head, quantity, kind; /* places in lists */
    double a_log, dt_bias, gamma, rel_l2, predicted;
} cell;

/* A head under a profile: its errors by quantity and kind, NaN where there is none. */
typedef struct head {
    int population, profile, head;
    double a_log, dt_bias, gamma;
    double error[QUANTITIES][KINDS], predicted; /* the latter of storage, in the first quantity */
} head;

typedef struct ranking {
    const gdn_results *r;
    const char *quantity[QUANTITIES];
    int quantities;
    cell *cell; /* [cells] */
    size_t cells;
    head *head; /* [heads] by population, profile and head */
    size_t heads;
} ranking;

/* Characters of NAME where a population is called NAME.layer-N or NAME.layer; 0: it is not of a checkpoint.
 */
static size_t checkpoint_name(const char *population)
{
    static const char mark[] = ".layer";
    const char *at = NULL;
    for (const char *p = strstr(population, mark); p; p = strstr(p + 1, mark))
        at = p;
    if (!at)
        return 0;
    const char *end = at + strlen(mark);
    if (*end == '-' && isdigit((unsigned char)end[1]))
        end += 1 + strspn(end + 1, "0123456789");
    return *end ? 0 : (size_t)(at - population);
}

static int place(const gdn_names *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (gdn_same(list->name[i], name))
            return (int)i;
    return -1;
}

static int index_of(const char *const *list, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (gdn_same(list[i], name))
            return i;
    return -1;
}

/* The quantities to rank by: y and o, else the state, else g. */
static void choose_quantities(ranking *k)
{
    static const char *const all[] = {"y", "o", "state", "g"};
    for (int i = 0; i < 4 && (i < 2 || !k->quantities); i++)
        if (gdn_has_quantity(k->r, all[i]))
            k->quantity[k->quantities++] = all[i];
}

static const struct {
    const char *name;
    size_t offset;
} numbers[] = {{"a_log", offsetof(cell, a_log)},
               {"dt_bias", offsetof(cell, dt_bias)},
               {"gamma", offsetof(cell, gamma)},
               {"rel_l2", offsetof(cell, rel_l2)},
               {"predicted", offsetof(cell, predicted)}};
enum { NUMBERS = sizeof numbers / sizeof numbers[0], HEAD = NUMBERS, COLUMNS };

/* The cells of layers in the quantities and kinds that are ranked. */
static gdn_status read_cells(ranking *k, const gdn_table *t, gdn_error *err)
{
    static const char *const texts[] = {"population", "profile", "quantity", "kind"};
    size_t text[4], column[COLUMNS];
    gdn_status status = GDN_OK;
    for (int i = 0; i < 4 && !status; i++)
        status = gdn_table_find(t, texts[i], &text[i], err);
    for (int i = 0; i < NUMBERS && !status; i++)
        status = gdn_table_find(t, numbers[i].name, &column[i], err);
    if (!status)
        status = gdn_table_find(t, "head", &column[HEAD], err);
    if (!status && !(k->cell = calloc(gdn_table_rows(t) + 1, sizeof *k->cell)))
        status = gdn_no_memory(err, "the heads of a report");
    for (size_t i = 0; !status && i < gdn_table_rows(t); i++) {
        cell *c = &k->cell[k->cells];
        const char *population = gdn_table_text(t, i, text[0]);
        double number = 0;
        c->population = place(&k->r->populations, population);
        c->profile = place(&k->r->profiles, gdn_table_text(t, i, text[1]));
        c->quantity = index_of(k->quantity, k->quantities, gdn_table_text(t, i, text[2]));
        c->kind = index_of(kinds, KINDS, gdn_table_text(t, i, text[3]));
        if (c->population < 0 || c->profile < 0 || c->quantity < 0 || c->kind < 0 ||
            !checkpoint_name(population))
            continue;
        for (int n = 0; n < COLUMNS && !status; n++)
            status = gdn_table_number(t, i, column[n],
                                      n == HEAD ? &number : (double *)(void *)((char *)c + numbers[n].offset),
                                      err);
        c->head = number >= 0 && number < 0x1p31 ? (int)number : -1; /* NaN too */
        k->cells++;
    }
    return status;
}

static int by_place(const void *a, const void *b)
{
    const cell *x = a, *y = b;
    const int differ[] = {x->population - y->population, x->profile - y->profile, x->head - y->head,
                          x->quantity - y->quantity, x->kind - y->kind};
    for (size_t i = 0; i < sizeof differ / sizeof differ[0]; i++)
        if (differ[i])
            return differ[i];
    return 0;
}

/* The median of a number over cells [0..n) that have one; room: [n]. */
static double median_of(const cell *c, size_t n, size_t offset, double *room)
{
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        double x;
        memcpy(&x, (const char *)&c[i] + offset, sizeof x);
        if (!isnan(x))
            room[m++] = x;
    }
    return gdn_median(room, m);
}

/* Seeds of a cell become their median, and cells of a head one entry. */
static gdn_status gather(ranking *k, gdn_error *err)
{
    double *room = calloc(k->cells + 1, sizeof *room);
    k->head = calloc(k->cells + 1, sizeof *k->head);
    if (!room || !k->head) {
        free(room);
        return gdn_no_memory(err, "the heads of a report");
    }
    qsort(k->cell, k->cells, sizeof *k->cell, by_place);
    head *h = NULL;
    for (size_t i = 0, n; i < k->cells; i += n) {
        const cell *c = &k->cell[i];
        for (n = 1; i + n < k->cells && by_place(c, c + n) == 0;)
            n++;
        if (!h || h->population != c->population || h->profile != c->profile || h->head != c->head) {
            h = &k->head[k->heads++];
            *h = (head){.population = c->population,
                        .profile = c->profile,
                        .head = c->head,
                        .error = {{NAN, NAN}, {NAN, NAN}},
                        .predicted = NAN};
            h->a_log = c->a_log; /* of the checkpoint: the same for every seed */
            h->dt_bias = c->dt_bias;
            h->gamma = median_of(c, n, offsetof(cell, gamma), room);
        }
        h->error[c->quantity][c->kind] = median_of(c, n, offsetof(cell, rel_l2), room);
        if (c->quantity == 0 && c->kind == STORAGE)
            h->predicted = median_of(c, n, offsetof(cell, predicted), room);
    }
    free(room);
    return GDN_OK;
}

/* ---- Worse and worst ---- */

/* Does a lose more than b (either NULL): by storage; where neither loses anything by that, in all? */
static bool worse(const head *a, const head *b)
{
    if (!a || !b)
        return a != NULL;
    double x = fmax(a->error[0][STORAGE], 0), y = fmax(b->error[0][STORAGE], 0); /* NaN is 0 */
    return x != y ? x > y : x == 0 && fmax(a->error[0][TOTAL], 0) > fmax(b->error[0][TOTAL], 0);
}

/* The worst first; equals keep their order. */
static void sort_heads(const head **list, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t j = i; j > 0 && worse(list[j], list[j - 1]); j--) {
            const head *h = list[j];
            list[j] = list[j - 1];
            list[j - 1] = h;
        }
}

/* The head of a layer under a profile whose error of one quantity and kind is largest; NULL when none has a
 * number. */
static const head *worst_in(const ranking *k, int population, int profile, int quantity, int kind)
{
    const head *worst = NULL;
    for (size_t i = 0; i < k->heads; i++) {
        const head *h = &k->head[i];
        if (h->population == population && h->profile == profile && !isnan(h->error[quantity][kind]) &&
            (!worst || h->error[quantity][kind] > worst->error[quantity][kind]))
            worst = h;
    }
    return worst;
}

static const char *population_name(const ranking *k, const head *h)
{
    return k->r->populations.name[h->population];
}

static const char *profile_name(const ranking *k, const head *h)
{
    return k->r->profiles.name[h->profile];
}

/* 1 / gamma in tokens. */
static gdn_text memory(const head *h)
{
    gdn_text t;
    if (h->gamma > 0)
        snprintf(t.s, sizeof t.s, "%.3g", 1 / h->gamma);
    else
        snprintf(t.s, sizeof t.s, "%s", h->gamma == 0 ? "∞" : "–");
    return t;
}

/* ---- The section ---- */

/* "layer 2, head 1" */
static gdn_text place_words(const ranking *k, const head *h)
{
    gdn_text t;
    const char *name = population_name(k, h), *layer = name + checkpoint_name(name) + strlen(".layer");
    if (*layer)
        snprintf(t.s, sizeof t.s, "layer %s, head %d", layer + 1, h->head);
    else
        snprintf(t.s, sizeof t.s, "head %d", h->head);
    return t;
}

static bool same_checkpoint(const ranking *k, const head *a, const head *b)
{
    const char *x = population_name(k, a), *y = population_name(k, b);
    size_t n = checkpoint_name(x);
    return n == checkpoint_name(y) && strncmp(x, y, n) == 0;
}

/* Is the storage error of all heads of h's checkpoint zero, and none without a number? */
static bool nothing_lost(const ranking *k, const head *h)
{
    bool none = true;
    for (size_t i = 0; i < k->heads; i++)
        none &= !same_checkpoint(k, h, &k->head[i]) || k->head[i].error[0][STORAGE] == 0;
    return none;
}

/* Sentences on a checkpoint: the head that loses most. */
static void put_worst(const ranking *k, const head *h, FILE *f)
{
    const char *population = population_name(k, h), *words = gdn_quantity_words(k->quantity[0]);
    const bool lost = h->error[0][STORAGE] > 0;
    const double error = h->error[0][lost ? STORAGE : TOTAL];
    char name[128];
    snprintf(name, sizeof name, "%.*s", (int)checkpoint_name(population), population);
    fprintf(f, "- %s: ", gdn_text_name(name).s);
    if (nothing_lost(k, h))
        fprintf(f, "storage costs nothing in any head, exactly: under every profile its parameters are "
                   "values of the "
                   "formats they rest in. ");
    else if (!lost)
        fprintf(f, "no storage error is large enough to be told from zero. ");
    if (error > 0)
        fprintf(f, "%s %s most: it changes %s by %s under %s (T = %s; memory by decay alone %s tokens).",
                lost ? "Storage costs" : "Arithmetic costs", place_words(k, h).s, words,
                gdn_text_amount(error).s, gdn_text_name(profile_name(k, h)).s,
                gdn_text_count(gdn_results_longest(k->r, population, k->quantity[0])).s, memory(h).s);
    fprintf(f, "\n");
}

static void put_amount(double x, const head *whose, FILE *f)
{
    if (whose && x > 0)
        fprintf(f, " %s (%d) |", gdn_text_amount(x).s, whose->head);
    else
        fprintf(f, " %s |", gdn_text_amount(x).s);
}

static const gdn_result *whole(const ranking *k, int population, int profile, int quantity, int kind)
{
    return gdn_whole(k->r, k->r->populations.name[population], k->r->profiles.name[profile],
                     k->quantity[quantity], kinds[kind]);
}

/* A layer under a profile: of each quantity and kind the median, and the worst head with its number. */
static void put_layer(const ranking *k, const head *of, FILE *f)
{
    fprintf(f, "| %s | %s |", gdn_text_name(profile_name(k, of)).s, gdn_text_name(population_name(k, of)).s);
    for (int q = 0; q < k->quantities; q++)
        for (int kind = 0; kind < KINDS; kind++) {
            const gdn_result *all = whole(k, of->population, of->profile, q, kind);
            const head *worst = worst_in(k, of->population, of->profile, q, kind);
            put_amount(gdn_measured(all) ? all->median : (double)NAN, NULL, f);
            put_amount(worst ? worst->error[q][kind] : (double)NAN, worst, f);
        }
    fprintf(f, "\n");
}

/* Does an earlier profile measure the same in this layer, as one that stores and computes alike does? */
static bool repeated(const ranking *k, int population, int profile)
{
    for (int earlier = 0; earlier < profile; earlier++) {
        bool same = true;
        for (int q = 0; q < k->quantities; q++)
            for (int kind = 0; kind < KINDS; kind++) {
                const gdn_result *x = whole(k, population, profile, q, kind),
                                 *y = whole(k, population, earlier, q, kind);
                same = same && gdn_measured(x) && gdn_measured(y) && x->median == y->median && x->hi == y->hi;
            }
        if (same)
            return true;
    }
    return false;
}

static void put_layers(const ranking *k, const head **list, FILE *f)
{
    size_t most = 0;
    fprintf(
        f,
        "### Layers\n\nUnder each profile the layer with the worst head first: medians over heads and seeds, "
        "and the worst head (in brackets, which). Profiles that repeat a measurement are left out.\n\n| "
        "profile | layer |");
    for (int q = 0; q < k->quantities; q++)
        for (int kind = 0; kind < KINDS; kind++)
            fprintf(f, " %s of %s, median | worst head |", kinds[kind], k->quantity[q]);
    fprintf(f, "\n|:--|:--|");
    for (int i = 0; i < 2 * KINDS * k->quantities; i++)
        fprintf(f, "--:|");
    fprintf(f, "\n");
    for (int profile = 0; profile < (int)k->r->profiles.n; profile++) {
        size_t n = 0;
        for (int population = 0; population < (int)k->r->populations.n; population++) {
            const head *worst = NULL;
            for (size_t i = 0; i < k->heads; i++) {
                const head *h = &k->head[i];
                if (h->population == population && h->profile == profile && worse(h, worst))
                    worst = h;
            }
            if (worst && !repeated(k, population, profile))
                list[n++] = worst;
        }
        sort_heads(list, n);
        for (size_t i = 0; i < n && i < LAYERS_SHOWN; i++)
            put_layer(k, list[i], f);
        most = n > most ? n : most;
    }
    if (most > LAYERS_SHOWN)
        fprintf(f, "\nThe %d worst of %zu layers are shown.\n", LAYERS_SHOWN, most);
    fprintf(f, "\n");
}

static void put_head(const ranking *k, const head *h, size_t rank, FILE *f)
{
    fprintf(f, "| %zu | %s | %d | %s | %.6g | %.6g | %s | %s |", rank, gdn_text_name(population_name(k, h)).s,
            h->head, gdn_text_name(profile_name(k, h)).s, h->a_log, h->dt_bias, gdn_text_number(h->gamma).s,
            memory(h).s);
    put_amount(h->error[0][STORAGE], NULL, f);
    put_amount(h->predicted, NULL, f);
    put_amount(h->error[0][TOTAL], NULL, f);
    fprintf(f, "\n");
}

/* Each head under the profile in which it loses most; list: [heads]. Returns how many. */
static size_t worst_heads(const ranking *k, const head **list)
{
    size_t n = 0;
    for (size_t i = 0; i < k->heads; i++) {
        const head *h = &k->head[i];
        size_t at = 0;
        while (at < n && (list[at]->population != h->population || list[at]->head != h->head))
            at++;
        if (at == n)
            list[n++] = h;
        else if (worse(h, list[at]))
            list[at] = h;
    }
    sort_heads(list, n);
    return n;
}

static void put_heads(const ranking *k, const head **list, size_t n, FILE *f)
{
    const char *q = k->quantity[0];
    size_t losing = 0;
    while (losing < n && list[losing]->error[0][STORAGE] > 0)
        losing++;
    n = losing ? losing : n;
    fprintf(f,
            "### Heads\n\nEach head once, under the profile in which it loses most; A_log and dt_bias as the "
            "checkpoint has them, memory = 1 / gamma. The prediction is of the storage error; a dash: theory "
            "gives none.");
    if (losing)
        fprintf(f, " Heads that lose nothing by storage are left out.");
    if (n > HEADS_SHOWN)
        fprintf(f, " The worst %d of %zu are shown.", HEADS_SHOWN, n);
    fprintf(
        f,
        "\n\n| rank | layer | head | profile | A_log | dt_bias | gamma | memory, tokens | storage of %s | "
        "predicted | total of %s |\n|--:|:--|--:|:--|--:|--:|--:|--:|--:|--:|--:|\n",
        q, q);
    for (size_t i = 0; i < n && i < HEADS_SHOWN; i++)
        put_head(k, list[i], i + 1, f);
    fprintf(f, "\n");
}

static gdn_status put_section(const ranking *k, FILE *f, gdn_error *err)
{
    const head **list = calloc(k->heads + k->r->populations.n + 1, sizeof *list);
    if (!list)
        return gdn_no_memory(err, "the heads of a report");
    fprintf(f, "## Layers and heads\n\n");
    size_t n = worst_heads(k, list);
    for (size_t i = 0, j; i < n; i++) { /* sorted: the first of a checkpoint is its worst */
        for (j = 0; j < i && !same_checkpoint(k, list[i], list[j]);)
            j++;
        if (j == i)
            put_worst(k, list[i], f);
    }
    fprintf(f, "\n");
    put_heads(k, list, n, f);
    put_layers(k, list, f);
    free(list);
    return GDN_OK;
}

gdn_status gdn_section_ranking(const gdn_results *r, FILE *f, gdn_error *err)
{
    ranking k = {.r = r};
    gdn_table *t = NULL;
    char path[PATH_MAX];
    bool any = false;
    for (size_t i = 0; i < r->populations.n; i++)
        any |= checkpoint_name(r->populations.name[i]) > 0;
    int length = snprintf(path, sizeof path, "%s/last.csv", r->dir);
    if (!any || length >= (int)sizeof path || access(path, R_OK) != 0)
        return GDN_OK;
    choose_quantities(&k);
    gdn_status status = gdn_table_read(path, &t, err);
    if (!status)
        status = read_cells(&k, t, err);
    if (!status)
        status = gather(&k, err);
    if (!status && k.heads)
        status = put_section(&k, f, err);
    free(k.head);
    free(k.cell);
    gdn_table_free(t);
    return status;
}
