/* SPDX-License-Identifier: Apache-2.0 */
/* export -- CSV files from the store; see export.h. */
#include "harness/export.h"

#include <inttypes.h>
#include <math.h>
#include <omp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "harness/budget.h"
#include "harness/grouping.h"
#include "harness/outfile.h"
#include "harness/stats.h"

/* ---- cells.csv ---- */

static gdn_status cell_line(void *context, const gdn_row *row, gdn_error *err)
{
    char line[4096];
    (void)err;
    gdn_row_csv(row, line, sizeof line);
    fprintf(context, "%s\n", line);
    return GDN_OK;
}

static void put_header(FILE *f)
{
    char header[2048];
    gdn_row_csv_header(header, sizeof header);
    fprintf(f, "%s\n", header);
}

/* Rows that a part of cells.csv has, about: parts are sorted and printed side by side, and written in order.
 * A part takes some 25 MB while it lasts. */
enum { PART_ROWS = 1 << 14, PARTS_AT_ONCE = 8 };

/* Part `part` of 2^bits: the ids whose first bits it is. *text: to be freed. */
static gdn_status cells_part(const char *store_path, const char *const *ids, int n, uint64_t part, int bits,
                             char **text, size_t *size, gdn_error *err)
{
    char where[128];
    uint64_t first = bits ? part << (64 - bits) : 0, last = first + (UINT64_MAX >> bits);
    /* ids are kept as signed numbers: a half of them, or less, is a range */
    snprintf(where, sizeof where, "cell BETWEEN %" PRId64 " AND %" PRId64, (int64_t)first, (int64_t)last);
    gdn_store *store = NULL;
    gdn_status status = gdn_store_read(store_path, &store, err);
    if (status)
        return status;
    FILE *f = open_memstream(text, size);
    if (!f)
        status = gdn_no_memory(err, "cells.csv");
    if (!status)
        status = gdn_store_select(store, ids, n, (gdn_store_part){NULL, bits ? where : NULL},
                                  GDN_STORE_BY_CELL, cell_line, f, err);
    if (f && fclose(f) && !status)
        status = gdn_no_memory(err, "cells.csv");
    gdn_error second;
    gdn_status closed = gdn_store_close(store, &second);
    if (!status && closed)
        *err = second;
    return status ? status : closed;
}

static int parts_at_once(void)
{
    int threads = omp_get_max_threads();
    return threads < PARTS_AT_ONCE ? threads : PARTS_AT_ONCE;
}

static gdn_status cells(gdn_store *store, FILE *f, const char *const *ids, int n, gdn_error *err)
{
    int64_t rows = 0;
    gdn_status result = GDN_OK;
    for (int i = 0; i < n && !result; i++) {
        gdn_task_record r;
        bool found;
        result = gdn_store_task(store, ids[i], &r, &found, err);
        rows += !result && found ? r.sum[GDN_COVER_ALL].rows : 0;
    }
    int bits = 0;
    while (rows >> bits > PART_ROWS)
        bits++;
    put_header(f);
#pragma omp parallel for ordered schedule(dynamic, 1) num_threads(parts_at_once()) if (bits)
    for (int64_t part = 0; part < (int64_t)1 << bits; part++) {
        char *text = NULL;
        size_t size = 0;
        gdn_error own = {""};
        gdn_status status, before;
#pragma omp atomic read
        before = result;
        if (before) /* a part has failed: no other is sorted in vain */
            continue;
        status = cells_part(gdn_store_path(store), ids, n, (uint64_t)part, bits, &text, &size, &own);
#pragma omp ordered
        {
            if (!status && !result)
                fwrite(text, 1, size, f); /* the file's errors are seen when it is closed */
            if (status && !result) {
#pragma omp atomic write
                result = status;
                *err = own;
            }
        }
        free(text);
    }
    return result;
}

/* ---- last.csv ---- */

/* Rows of the longest length of each population, which come first in its order. */
typedef struct last {
    FILE *f;
    char population[128];
    int64_t length;
} last;

static gdn_status last_line(void *context, const gdn_row *row, gdn_error *err)
{
    last *l = context;
    if (gdn_budget_inner(row->profile))
        return GDN_OK;
    if (strcmp(l->population, row->population) != 0) {
        snprintf(l->population, sizeof l->population, "%s", row->population);
        l->length = row->length;
    }
    bool state = strcmp(row->quantity, gdn_quantity_names[GDN_Q_STATE]) == 0;
    bool whole = state ? row->from == row->to : row->from == 1;
    return whole && row->length == l->length ? cell_line(l->f, row, err) : GDN_OK;
}

static gdn_status lasts(gdn_store *store, FILE *f, const char *const *ids, int n, gdn_error *err)
{
    last l = {.f = f};
    put_header(f);
    /* whole lengths only: the state at one position, other quantities from 1 on */
    return gdn_store_select(store, ids, n, (gdn_store_part){NULL, "(\"from\" = 1 OR \"from\" = \"to\")"},
                            "population, length DESC, " GDN_STORE_BY_CELL, last_line, &l, err);
}

/* ---- tasks.csv ---- */

static gdn_status tasks(gdn_store *store, FILE *f, const char *const *ids, int n, gdn_error *err)
{
    fprintf(f,
            "task,population,seed,rows,checksum,portable_rows,portable_checksum,short_rows,short_checksum\n");
    gdn_status status = GDN_OK;
    for (int i = 0; i < n && !status; i++) {
        gdn_task_record r;
        bool found;
        status = gdn_store_task(store, ids[i], &r, &found, err);
        if (status || !found)
            continue;
        fprintf(f, "%s,%s,%" PRId64, r.task, r.population, r.seed);
        for (int c = 0; c < GDN_COVERS; c++)
            fprintf(f, ",%" PRId64 ",%s", r.sum[c].rows, r.sum[c].sum);
        fprintf(f, "\n");
    }
    return status;
}

/* ---- groups: rows that differ in seed and head only ---- */

/* A growing list of numbers and their seeds. */
typedef struct list {
    gdn_drawn *x;
    size_t n, room;
} list;

static gdn_status push(list *l, double x, int64_t seed, gdn_error *err)
{
    if (isnan(x))
        return GDN_OK;
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 64;
        gdn_drawn *grown = realloc(l->x, room * sizeof *grown);
        if (!grown)
            return gdn_no_memory(err, "a summary");
        l->x = grown;
        l->room = room;
    }
    l->x[l->n++] = (gdn_drawn){x, seed};
    return GDN_OK;
}

static void put_real(FILE *f, double x)
{
    if (isnan(x))
        fprintf(f, ",");
    else
        fprintf(f, ",%.17g", x);
}

static gdn_status put_interval(FILE *f, list *l, gdn_error *err)
{
    gdn_interval i;
    gdn_status status = gdn_median_interval(l->x, l->n, &i, err);
    put_real(f, i.median);
    put_real(f, i.lo);
    put_real(f, i.hi);
    return status;
}

/* What a line of growth.csv is told apart by: its first fields. */
static void group_key(const gdn_row *r, char *out, size_t size)
{
    snprintf(out, size, "%s,%s,%s,%s,%s,%s,%s", r->profile, r->recipe, r->mode, r->population, r->keys,
             r->quantity, r->kind);
}

/* ---- summary.csv ---- */

/* A line in the making. */
typedef struct text {
    char *out;
    size_t size, n;
} text;

__attribute__((format(printf, 2, 3))) static void put(text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int wrote = vsnprintf(t->out + t->n, t->size - t->n, format, args);
    va_end(args);
    t->n += wrote > 0 ? (size_t)wrote : 0;
    t->n = t->n < t->size ? t->n : t->size - 1;
}

static void text_real(text *t, double x)
{
    if (isnan(x))
        put(t, ",");
    else
        put(t, ",%.17g", x);
}

static void text_interval(text *t, gdn_drawn *x, size_t n, gdn_status *status, gdn_error *err)
{
    gdn_interval i = {NAN, NAN, NAN};
    if (!*status)
        *status = gdn_median_interval(x, n, &i, err);
    text_real(t, i.median);
    text_real(t, i.lo);
    text_real(t, i.hi);
}

/* What of a member a column of the summary is the median of. */
typedef enum measure { REL, BIAS, RATIO, PREDICTED, GAMMA, GAMMA_EFF } measure;

static double measure_of(const gdn_member *m, measure which)
{
    switch (which) {
    case REL:
        return m->rel_l2;
    case BIAS:
        return m->bias;
    case RATIO:
        return m->predicted > 0 ? m->rel_l2 / m->predicted : (double)NAN;
    case PREDICTED:
        return m->predicted;
    case GAMMA:
        return m->gamma;
    case GAMMA_EFF:
        return m->gamma_eff;
    }
    return NAN;
}

/* Those of n members that are numbers into x: [n]; returns how many. A head whose error is no number enters
 * nothing, its gamma and prediction neither. */
static size_t gather(const gdn_member *m, size_t n, measure which, gdn_drawn *x)
{
    size_t have = 0;
    for (size_t i = 0; i < n; i++) {
        double value = measure_of(&m[i], which);
        if (!isnan(value) && m[i].flag != GDN_NONFINITE)
            x[have++] = (gdn_drawn){value, m[i].seed};
    }
    return have;
}

static gdn_status summary_line(const gdn_grouping *groups, const gdn_group *k, const gdn_member *m, size_t n,
                               char *line, size_t size, gdn_error *err)
{
    gdn_drawn *x = gdn_calloc(n, sizeof *x);
    if (!x)
        return gdn_no_memory(err, "a summary");
    double max_ulp = NAN, uncertainty = 0;
    int64_t seeds = 0, flags[GDN_FLAGS + 1] = {0};
    const char *reference = gdn_grouping_text(groups, m[0].reference);
    for (size_t i = 0; i < n; i++) {
        seeds += i == 0 || m[i].seed != m[i - 1].seed;
        flags[m[i].flag]++;
        max_ulp = fmax(max_ulp, m[i].max_ulp);
        uncertainty = fmax(uncertainty, m[i].uncertainty);
        if (strcmp(gdn_grouping_text(groups, m[i].reference), "fp64") == 0)
            reference = "fp64"; /* of several rungs, the least precise one is named */
    }
    text t = {line, size, 0};
    gdn_status status = GDN_OK;
    size_t rel = gather(m, n, REL, x);
    put(&t, "%s,%s,%s,%s,%s,%" PRId64 ",%" PRId64 ",%" PRId64 ",%s,%s,%" PRId64 ",%" PRId64 ",%zu,%" PRId64,
        k->profile, k->recipe, k->mode, k->population, k->keys, k->dk, k->dv, k->length, k->quantity, k->kind,
        k->from, k->to, rel, seeds);
    text_interval(&t, x, rel, &status, err);
    text_interval(&t, x, gather(m, n, BIAS, x), &status, err);
    text_real(&t, max_ulp);
    text_real(&t, gdn_drawn_median(x, gather(m, n, PREDICTED, x)));
    text_interval(&t, x, gather(m, n, RATIO, x), &status, err);
    text_real(&t, gdn_drawn_median(x, gather(m, n, GAMMA, x)));
    text_real(&t, gdn_drawn_median(x, gather(m, n, GAMMA_EFF, x)));
    text_real(&t, uncertainty);
    put(&t, ",%s,%" PRId64 ",%" PRId64 ",%" PRId64, reference, flags[GDN_BELOW_REFERENCE],
        flags[GDN_ZERO_REFERENCE], flags[GDN_NONFINITE]);
    free(x);
    return status;
}

static gdn_status summary_row(void *groups, const gdn_row *r, gdn_error *err)
{
    return gdn_budget_inner(r->profile) ? GDN_OK : gdn_grouping_add(groups, r, err);
}

static gdn_status summarise(gdn_store *store, FILE *f, const char *const *ids, int n, gdn_error *err)
{
    gdn_grouping *groups;
    fprintf(f,
            "profile,recipe,mode,population,keys,dk,dv,length,quantity,kind,from,to,n,seeds,median,lo,hi,"
            "bias,bias_lo,"
            "bias_hi,max_ulp,predicted,ratio,ratio_lo,ratio_hi,gamma,gamma_eff,uncertainty,reference,n_below,"
            "n_zero,n_nonfinite\n");
    static const gdn_store_part part = {",profile,recipe,mode,population,keys,dk,dv,length,quantity,kind,"
                                        "from,to,seed,head,rel_l2,bias,max_ulp,"
                                        "predicted,gamma,gamma_eff,uncertainty,reference,flag,",
                                        NULL};
    gdn_status status = gdn_grouping_open(&groups, 0, err);
    if (!status)
        status = gdn_store_select(store, ids, n, part, NULL, summary_row, groups, err);
    if (!status)
        status = gdn_grouping_write(groups, summary_line, f, err);
    gdn_grouping_close(groups);
    return status;
}

/* ---- growth.csv ---- */

/*
 * The windows [2^i, 2^(i+1)) of one head and seed, then of a group: slope of log error against log position
 * where the window ends before the memory 1 / gamma_eff, median error where it begins after 3 / gamma_eff.
 * Windows before position 8 hold too few positions to say anything. A needle is never erased: its memory is
 * the whole run.
 */
typedef struct growth {
    FILE *f;
    char key[1024];
    int64_t seed, head;
    double x[64], y[64], late[64];
    size_t n, late_n;
    list slope, plateau;
} growth;

enum { FIRST_WINDOW = 8 };

static gdn_status growth_head(growth *g, gdn_error *err)
{
    gdn_status status = push(&g->slope, gdn_log_slope(g->x, g->y, g->n), g->seed, err);
    if (!status)
        status = push(&g->plateau, gdn_median(g->late, g->late_n), g->seed, err);
    g->n = g->late_n = 0;
    return status;
}

static gdn_status growth_flush(growth *g, gdn_error *err)
{
    gdn_status status = growth_head(g, err);
    if (!status && (g->slope.n || g->plateau.n)) {
        fprintf(g->f, "%s,%zu", g->key, g->slope.n);
        status = put_interval(g->f, &g->slope, err);
        if (!status)
            status = put_interval(g->f, &g->plateau, err);
        fprintf(g->f, ",%zu\n", g->plateau.n);
    }
    g->slope.n = g->plateau.n = 0;
    return status;
}

static gdn_status growth_row(void *context, const gdn_row *r, gdn_error *err)
{
    growth *g = context;
    char key[1024];
    gdn_status status = GDN_OK;
    if (gdn_budget_inner(r->profile))
        return GDN_OK;
    group_key(r, key, sizeof key);
    if (strcmp(key, g->key) != 0) {
        status = growth_flush(g, err);
        memcpy(g->key, key, sizeof key);
    } else if (r->seed != g->seed || r->head != g->head) {
        status = growth_head(g, err);
    }
    g->seed = r->seed;
    g->head = r->head;
    bool window = r->from >= FIRST_WINDOW && r->to == 2 * r->from - 1,
         needle = strcmp(r->keys, "needle") == 0;
    if (!status && window && r->rel_l2 > 0 && g->n < 64 && g->late_n < 64) {
        double middle = sqrt((double)r->from * (double)r->to), rate = needle ? 0 : r->gamma_eff;
        if ((double)r->to * rate <= 1) { /* false where the memory is not known */
            g->x[g->n] = middle;
            g->y[g->n++] = r->rel_l2;
        }
        if ((double)r->from * rate >= 3)
            g->late[g->late_n++] = r->rel_l2;
    }
    return status;
}

static gdn_status grow(gdn_store *store, FILE *f, const char *const *ids, int n, gdn_error *err)
{
    growth g = {.f = f};
    fprintf(f,
            "profile,recipe,mode,population,keys,quantity,kind,n,slope,slope_lo,slope_hi,plateau,plateau_lo,"
            "plateau_hi,n_plateau\n");
    static const gdn_store_part part = {
        ",profile,recipe,mode,population,keys,quantity,kind,seed,head,from,to,rel_l2,gamma_eff,",
        "\"from\" >= 8 AND \"to\" = 2 * \"from\" - 1"};
    gdn_status status = gdn_store_select(
        store, ids, n, part,
        "population, profile, recipe, mode, keys, quantity, kind, seed, head, \"from\", \"to\"", growth_row,
        &g, err);
    if (!status)
        status = growth_flush(&g, err);
    free(g.slope.x);
    free(g.plateau.x);
    return status;
}

/* ---- heat.csv ---- */

/*
 * Errors over (A_log, T): the heads and seeds of a window whose A_log begin with the same whole number make a
 * bin. Four digits are enough for a colour, and keep the file small.
 */
typedef struct heat {
    FILE *f;
    char key[512];
    double bin; /* floor(A_log) */
    list rel, gamma_eff;
} heat;

static void heat_flush(heat *h)
{
    double median = gdn_drawn_median(h->rel.x, h->rel.n),
           rate = gdn_drawn_median(h->gamma_eff.x, h->gamma_eff.n);
    if (median > 0) {
        fprintf(h->f, "%s,%.0f,%zu,%.4g,", h->key, h->bin, h->rel.n, median);
        fprintf(h->f, isnan(rate) ? "\n" : "%.4g\n", rate);
    }
    h->rel.n = h->gamma_eff.n = 0;
}

static gdn_status heat_row(void *context, const gdn_row *r, gdn_error *err)
{
    heat *h = context;
    char key[512];
    if (gdn_budget_inner(r->profile))
        return GDN_OK;
    snprintf(key, sizeof key, "%s,%s,%s,%s,%s,%s,%" PRId64, r->profile, r->mode, r->population, r->keys,
             r->quantity, r->kind, r->from);
    double bin = floor(r->a_log) + 0.0; /* no minus zero */
    if (strcmp(key, h->key) != 0 || bin != h->bin) {
        heat_flush(h);
        memcpy(h->key, key, sizeof key);
        h->bin = bin;
    }
    gdn_status status = push(&h->rel, r->rel_l2, r->seed, err);
    return status ? status : push(&h->gamma_eff, r->gamma_eff, r->seed, err);
}

static gdn_status heats(gdn_store *store, FILE *f, const char *const *ids, int n, gdn_error *err)
{
    heat h = {.f = f};
    fprintf(f, "profile,mode,population,keys,quantity,kind,from,a_log,n,median,gamma_eff\n");
    static const gdn_store_part part = {
        ",profile,mode,population,keys,quantity,kind,from,a_log,rel_l2,gamma_eff,",
        "quantity IN ('o', 'y') AND kind <> 'total' AND \"from\" >= 8 AND \"to\" = 2 * \"from\" - 1 "
        "AND rel_l2 IS NOT NULL AND a_log IS NOT NULL"};
    gdn_status status = gdn_store_select(store, ids, n, part,
                                         "population, profile, mode, keys, quantity, kind, \"from\", a_log",
                                         heat_row, &h, err);
    if (!status)
        heat_flush(&h);
    free(h.rel.x);
    free(h.gamma_eff.x);
    return status;
}

typedef gdn_status writer(gdn_store *, FILE *, const char *const *, int, gdn_error *);

static const struct file {
    const char *name;
    writer *write;
} files[] = {{"cells.csv", cells}, {"last.csv", lasts}, {"summary.csv", summarise},
             {"growth.csv", grow}, {"heat.csv", heats}, {"tasks.csv", tasks}};
enum { FILES = sizeof files / sizeof files[0] };

static gdn_status export_one(gdn_store *store, const char *directory, const struct file *file,
                             const char *const *ids, int n, gdn_error *err)
{
    char path[4096];
    gdn_store *own = NULL;
    gdn_outfile o;
    snprintf(path, sizeof path, "%s/%s", directory, file->name);
    gdn_status status = gdn_store_read(gdn_store_path(store), &own, err);
    if (status)
        return status;
    status = gdn_outfile_open(&o, path, err);
    if (!status)
        status = gdn_outfile_close(&o, file->write(own, o.f, ids, n, err), err);
    gdn_error second;
    gdn_status closed = gdn_store_close(own, &second);
    if (!status && closed)
        *err = second;
    return status ? status : closed;
}

gdn_status gdn_export_file(gdn_store *store, const char *directory, const char *name, const char *const *ids,
                           int n, gdn_error *err)
{
    for (int i = 0; i < FILES; i++)
        if (strcmp(files[i].name, name) == 0)
            return export_one(store, directory, &files[i], ids, n, err);
    return gdn_fail(err, GDN_BAD_INPUT, "results have no file '%s'", name);
}

gdn_status gdn_export(gdn_store *store, const char *directory, const char *const *ids, int n, gdn_error *err)
{
    gdn_status status[FILES];
    gdn_error own[FILES];
    /* each file sorts the rows in its own way: they are written side by side, each from a connection of its
     * own, and cells.csv in parts */
#pragma omp parallel for schedule(dynamic, 1)
    for (int i = 0; i < FILES; i++)
        status[i] = export_one(store, directory, &files[i], ids, n, &own[i]);
    for (int i = 0; i < FILES; i++)
        if (status[i]) {
            *err = own[i];
            return status[i];
        }
    return GDN_OK;
}
