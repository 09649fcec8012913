/* SPDX-License-Identifier: Apache-2.0 */
/* claims_data -- result files as tables of SQL; see claims_data.h. */
#include "harness/claims_data.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/shown.h"
#include "harness/stats.h"
#include "harness/table.h"

/* What queries can name, also where no file has been read; further columns of a file are added. */
static const struct {
    const char *name, *columns;
} tables[] = {
    {"summary", "profile,recipe,mode,population,keys,dk,dv,length,quantity,kind,from,to,n,median,lo,hi,bias,"
                "bias_lo,bias_hi,max_ulp,predicted,ratio,ratio_lo,ratio_hi,gamma,gamma_eff,uncertainty,"
                "reference,n_below,n_zero,n_nonfinite,whole"},
    {"growth", "profile,recipe,mode,population,keys,quantity,kind,n,slope,slope_lo,slope_hi,plateau,"
               "plateau_lo,plateau_hi,n_plateau"},
    {"probes", "probe,case_name,measure,value,unit"},
    {"budget", "population,keys,length,quantity,group,gamma,base,format,member,single,single_lo,single_hi,"
               "shapley,shapley_lo,shapley_hi,relief,relief_lo,relief_hi,none,none_lo,none_hi,rss,rss_lo,"
               "rss_hi,all,all_lo,all_hi,n,n_shapley,left_out,best,sure"},
};

enum {
    TABLES = sizeof tables / sizeof tables[0],
    SHOWN = 64,       /* experiments at a time */
    COLUMN_NAME = 64, /* longest that is read */
    PATIENCE = 400    /* millions of SQLite's steps that a query may take: some ten seconds */
};

static const char text_columns[] =
    ",profile,recipe,mode,population,keys,quantity,kind,reference,probe,case_name,measure,unit,group,base,"
    "format,member,";

/* An experiment that was looked for. */
typedef struct folder {
    char *name, *path; /* path: NULL where there is none */
    bool has[TABLES];
} folder;

struct gdn_evidence {
    sqlite3 *db;
    const char *const *roots;
    size_t n_roots;
    folder *folder; /* [n] */
    size_t n;
    size_t shown[SHOWN]; /* [n_shown] places in folder */
    size_t n_shown;
    bool ours;         /* our own SQL is at work, which may write */
    bool read[TABLES]; /* by queries since the last show */
    int patience;
};

/* ---- functions and limits ---- */

typedef struct numbers {
    double *x;
    size_t n, room;
    bool failed;
} numbers;

static void median_step(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    numbers *l = sqlite3_aggregate_context(context, sizeof *l);
    (void)argc;
    if (!l || l->failed || sqlite3_value_type(argv[0]) == SQLITE_NULL)
        return;
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 16;
        double *x = realloc(l->x, room * sizeof *x);
        l->failed = !x;
        if (!x)
            return;
        l->x = x;
        l->room = room;
    }
    l->x[l->n++] = sqlite3_value_double(argv[0]);
}

static void median_final(sqlite3_context *context)
{
    numbers *l = sqlite3_aggregate_context(context, 0);
    if (!l || l->n == 0)
        sqlite3_result_null(context);
    else if (l->failed)
        sqlite3_result_error_nomem(context);
    else
        sqlite3_result_double(context, gdn_median(l->x, l->n));
    if (l)
        free(l->x);
}

/* The table of that name, or -1. */
static int table_at(const char *name)
{
    for (int t = 0; t < TABLES && name; t++)
        if (strcmp(name, tables[t].name) == 0)
            return t;
    return -1;
}

/* A query may call functions, and read our views; what a view itself reads comes with its name in `view`. */
static int allowed(void *context, int action, const char *table, const char *column, const char *database,
                   const char *view)
{
    gdn_evidence *e = context;
    (void)column, (void)database;
    if (e->ours)
        return SQLITE_OK;
    int at = table_at(table), inside = table_at(view);
    if (action == SQLITE_READ && at >= 0)
        e->read[at] = true;
    return action == SQLITE_SELECT || action == SQLITE_FUNCTION ||
                   (action == SQLITE_READ && (at >= 0 || inside >= 0))
               ? SQLITE_OK
               : SQLITE_DENY;
}

static int impatient(void *context)
{
    return --((gdn_evidence *)context)->patience < 0;
}

/* ---- our own SQL ---- */

static gdn_status broken(gdn_evidence *e, const char *what, gdn_error *err)
{
    return gdn_fail(err, GDN_MACHINE, "claims: cannot %s: %s", what,
                    e->db ? sqlite3_errmsg(e->db) : "out of memory");
}

static gdn_status execute(gdn_evidence *e, const char *sql, gdn_error *err)
{
    e->ours = true;
    e->patience = INT_MAX;
    int code = sqlite3_exec(e->db, sql, NULL, NULL, NULL);
    e->ours = false;
    return code == SQLITE_OK ? GDN_OK : broken(e, "keep the rows", err);
}

/* Is the column one of text? */
static bool is_text(const char *column)
{
    char key[COLUMN_NAME + 3];
    snprintf(key, sizeof key, ",%s,", column);
    return strstr(text_columns, key) != NULL;
}

/* One table, its index by experiment, and the view that queries see. */
static gdn_status create(gdn_evidence *e, int t, gdn_error *err)
{
    char columns[1024], sql[4096], *save = NULL;
    snprintf(columns, sizeof columns, "%s", tables[t].columns);
    int n = snprintf(sql, sizeof sql, "CREATE TABLE all_%s (experiment TEXT", tables[t].name);
    for (char *c = strtok_r(columns, ",", &save); c; c = strtok_r(NULL, ",", &save))
        n += snprintf(sql + n, sizeof sql - (size_t)n, ", \"%s\" %s", c, is_text(c) ? "TEXT" : "REAL");
    snprintf(sql + n, sizeof sql - (size_t)n,
             "); CREATE INDEX by_%s ON all_%s (experiment); CREATE VIEW %s AS SELECT * FROM all_%s WHERE "
             "experiment IN (SELECT experiment FROM shown)",
             tables[t].name, tables[t].name, tables[t].name, tables[t].name);
    return execute(e, sql, err);
}

gdn_status gdn_evidence_open(gdn_evidence **out, const char *const *roots, size_t n, gdn_error *err)
{
    gdn_evidence *e = *out = calloc(1, sizeof *e);
    if (!e)
        return gdn_no_memory(err, "the rows of claims");
    e->roots = roots;
    e->n_roots = n;
    if (sqlite3_open_v2(":memory:", &e->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK)
        return broken(e, "open SQLite in memory", err);
    sqlite3_limit(e->db, SQLITE_LIMIT_LENGTH, 1 << 20);
    sqlite3_progress_handler(e->db, 1000000, impatient, e);
    if (sqlite3_set_authorizer(e->db, allowed, e) != SQLITE_OK ||
        sqlite3_create_function_v2(e->db, "median", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, NULL,
                                   median_step, median_final, NULL) != SQLITE_OK)
        return broken(e, "set up SQLite", err);
    gdn_status status = execute(e, "CREATE TABLE shown (experiment TEXT)", err);
    for (int t = 0; t < TABLES && !status; t++)
        status = create(e, t, err);
    return status;
}

void gdn_evidence_close(gdn_evidence *e)
{
    if (!e)
        return;
    sqlite3_close(e->db);
    for (size_t i = 0; i < e->n; i++) {
        free(e->folder[i].name);
        free(e->folder[i].path);
    }
    free(e->folder);
    free(e);
}

/* ---- reading an experiment ---- */

/* Does the table of SQL have the column? */
static bool has_column(gdn_evidence *e, int t, const char *column)
{
    char table[32];
    snprintf(table, sizeof table, "all_%s", tables[t].name);
    return sqlite3_table_column_metadata(e->db, NULL, table, column, NULL, NULL, NULL, NULL, NULL) ==
           SQLITE_OK;
}

/* Add the columns of a file that the table does not have; GDN_BAD_INPUT for a name that cannot be one. */
static gdn_status add_columns(gdn_evidence *e, int t, const gdn_table *csv, const char *path, gdn_error *err)
{
    gdn_status status = GDN_OK;
    for (size_t c = 0; c < gdn_table_columns(csv) && !status; c++) {
        const char *name = gdn_table_name(csv, c);
        char sql[256], shown[GDN_SHOWN];
        if (strlen(name) > COLUMN_NAME || strchr(name, '"') || strcmp(name, "experiment") == 0)
            return gdn_fail(err, GDN_BAD_INPUT,
                            "%.400s: line 1: '%s' cannot be the name of a column; up to %d characters, no "
                            "quotes and not 'experiment' can",
                            path, gdn_shown(name, shown, sizeof shown), COLUMN_NAME);
        if (has_column(e, t, name))
            continue;
        snprintf(sql, sizeof sql, "ALTER TABLE all_%s ADD COLUMN \"%s\" %s", tables[t].name, name,
                 is_text(name) ? "TEXT" : "");
        status = execute(e, sql, err);
    }
    return status;
}

/* Whether a column holds numbers: one of ours by its name, another by what is in it. */
static bool is_numeric(const char *name, int t, const gdn_table *csv, size_t column)
{
    char key[COLUMN_NAME + 3], ours[1024];
    gdn_error ignored;
    double x;
    snprintf(key, sizeof key, ",%s,", name);
    snprintf(ours, sizeof ours, ",%s,", tables[t].columns);
    if (is_text(name) || strstr(ours, key))
        return !is_text(name);
    for (size_t r = 0; r < gdn_table_rows(csv); r++)
        if (gdn_table_number(csv, r, column, &x, &ignored))
            return false;
    return true;
}

static gdn_status insert_rows(gdn_evidence *e, const char *experiment, const gdn_table *csv, sqlite3_stmt *q,
                              const bool *numeric, gdn_error *err)
{
    for (size_t r = 0; r < gdn_table_rows(csv); r++) {
        int bad = sqlite3_bind_text(q, 1, experiment, -1, SQLITE_STATIC);
        for (size_t c = 0; c < gdn_table_columns(csv); c++) {
            const char *text = gdn_table_text(csv, r, c);
            double x = NAN;
            gdn_status status = numeric[c] ? gdn_table_number(csv, r, c, &x, err) : GDN_OK;
            if (status)
                return status;
            bad |= !*text       ? sqlite3_bind_null(q, (int)c + 2)
                   : numeric[c] ? sqlite3_bind_double(q, (int)c + 2, x)
                                : sqlite3_bind_text(q, (int)c + 2, text, -1, SQLITE_STATIC);
        }
        if (bad || sqlite3_step(q) != SQLITE_DONE || sqlite3_reset(q) != SQLITE_OK)
            return broken(e, "keep the rows", err);
    }
    return GDN_OK;
}

/* The file's rows into the table, with the name of the experiment. */
static gdn_status insert(gdn_evidence *e, int t, const char *experiment, const gdn_table *csv, gdn_error *err)
{
    bool numeric[GDN_TABLE_MAX_COLUMNS] = {false};
    char *sql = NULL;
    size_t size = 0, columns = gdn_table_columns(csv);
    FILE *f = open_memstream(&sql, &size);
    if (!f)
        return gdn_no_memory(err, "a table of claims");
    fprintf(f, "INSERT INTO all_%s (experiment", tables[t].name);
    for (size_t c = 0; c < columns; c++) {
        numeric[c] = is_numeric(gdn_table_name(csv, c), t, csv, c);
        fprintf(f, ", \"%s\"", gdn_table_name(csv, c));
    }
    fprintf(f, ") VALUES (?");
    for (size_t c = 0; c < columns; c++)
        fprintf(f, ", ?");
    fprintf(f, ")");
    gdn_status status = fclose(f) ? gdn_no_memory(err, "a table of claims") : GDN_OK;
    sqlite3_stmt *q = NULL;
    e->ours = true;
    e->patience = INT_MAX;
    if (!status && sqlite3_prepare_v2(e->db, sql, -1, &q, NULL) != SQLITE_OK)
        status = broken(e, "keep the rows", err);
    if (!status)
        status = insert_rows(e, experiment, csv, q, numeric, err);
    sqlite3_finalize(q);
    e->ours = false;
    free(sql);
    return status;
}

static gdn_status read_file(gdn_evidence *e, folder *f, int t, gdn_error *err)
{
    char path[PATH_MAX];
    gdn_table *csv = NULL;
    if (snprintf(path, sizeof path, "%s/%s.csv", f->path, tables[t].name) >= (int)sizeof path ||
        access(path, F_OK) != 0)
        return GDN_OK;
    gdn_status status = gdn_table_read(path, &csv, err);
    if (!status)
        status = add_columns(e, t, csv, path, err);
    if (!status)
        status = execute(e, "BEGIN", err);
    if (!status)
        status = insert(e, t, f->name, csv, err);
    if (!status)
        status = execute(e, "COMMIT", err);
    f->has[t] = !status;
    gdn_table_free(csv);
    return status;
}

/* Mark the rows over [1, T] at the largest T of each population and quantity. */
static gdn_status mark_whole(gdn_evidence *e, const char *experiment, gdn_error *err)
{
#define SPANS "(CASE quantity WHEN 'state' THEN \"from\" = \"to\" ELSE \"from\" = 1 END)"
    char *sql = sqlite3_mprintf(
        "UPDATE all_summary SET whole = (" SPANS " AND \"to\" = m.last) FROM (SELECT population AS p, "
        "quantity AS q, max(\"to\") AS last FROM all_summary WHERE experiment = %Q AND " SPANS
        " GROUP BY 1, 2) AS m WHERE experiment = %Q AND population = m.p AND quantity = m.q",
        experiment, experiment);
    gdn_status status = sql ? execute(e, sql, err) : gdn_no_memory(err, "the rows of claims");
    sqlite3_free(sql);
    return status;
}

/* Look for the experiment below the roots and read its files; *at is its place. */
static gdn_status read_experiment(gdn_evidence *e, const char *name, size_t *at, gdn_error *err)
{
    for (*at = 0; *at < e->n; ++*at)
        if (strcmp(e->folder[*at].name, name) == 0)
            return GDN_OK;
    folder *more = realloc(e->folder, (e->n + 1) * sizeof *more), *f;
    if (!more)
        return gdn_no_memory(err, "the rows of claims");
    e->folder = more;
    f = &e->folder[e->n];
    *f = (folder){.name = strdup(name)};
    if (!f->name)
        return gdn_no_memory(err, "the rows of claims");
    e->n++;
    gdn_status status = GDN_OK;
    for (size_t r = 0; r < e->n_roots && !f->path && !status; r++) {
        char path[PATH_MAX];
        if (snprintf(path, sizeof path, "%s/%s", e->roots[r], name) < (int)sizeof path &&
            access(path, F_OK) == 0 && !(f->path = strdup(path)))
            status = gdn_no_memory(err, "the rows of claims");
    }
    for (int t = 0; t < TABLES && f->path && !status; t++)
        status = read_file(e, f, t, err);
    return !status && f->has[0] ? mark_whole(e, name, err) : status;
}

gdn_status gdn_evidence_show(gdn_evidence *e, char *const *experiments, size_t n, const char **missing,
                             gdn_error *err)
{
    *missing = NULL;
    memset(e->read, 0, sizeof e->read);
    e->n_shown = 0;
    gdn_status status = execute(e, "DELETE FROM shown", err);
    for (size_t i = 0; i < n && i < SHOWN && !status; i++) {
        size_t at;
        bool any = false;
        status = read_experiment(e, experiments[i], &at, err);
        if (status)
            break;
        for (int t = 0; t < TABLES; t++)
            any = any || e->folder[at].has[t];
        if (!any && !*missing)
            *missing = experiments[i];
        e->shown[e->n_shown++] = at;
        char *sql = sqlite3_mprintf("INSERT INTO shown VALUES (%Q)", experiments[i]);
        status = sql ? execute(e, sql, err) : gdn_no_memory(err, "the rows of claims");
        sqlite3_free(sql);
    }
    return status;
}

/* ---- queries ---- */

gdn_status gdn_evidence_query(gdn_evidence *e, const char *sql, sqlite3_stmt **out, const char **why)
{
    const char *rest = NULL;
    e->patience = PATIENCE;
    *out = NULL;
    int code = sqlite3_prepare_v2(e->db, sql, -1, out, &rest);
    *why = code == SQLITE_AUTH ? "only reading the tables summary, growth, probes and budget is allowed"
           : code != SQLITE_OK ? sqlite3_errmsg(e->db)
           : !*out             ? "there is no query in it"
           : rest[strspn(rest, " \t\r\n;")] ? "more than one statement; one is allowed"
           : !sqlite3_stmt_readonly(*out)   ? "only reading is allowed"
                                            : NULL;
    if (!*why)
        return GDN_OK;
    sqlite3_finalize(*out);
    *out = NULL;
    return GDN_BAD_INPUT;
}

int gdn_evidence_step(gdn_evidence *e, sqlite3_stmt *q, const char **why)
{
    int code = sqlite3_step(q);
    *why = code == SQLITE_ROW || code == SQLITE_DONE ? NULL
           : code == SQLITE_INTERRUPT                ? "the query takes too long"
                                                     : sqlite3_errmsg(e->db);
    return code;
}

gdn_status gdn_evidence_files(const gdn_evidence *e, char ***out, size_t *n, gdn_error *err)
{
    *n = 0;
    *out = calloc(e->n_shown * TABLES + 1, sizeof **out);
    if (!*out)
        return gdn_no_memory(err, "the files of a claim");
    for (size_t i = 0; i < e->n_shown; i++)
        for (int t = 0; t < TABLES; t++) {
            const folder *f = &e->folder[e->shown[i]];
            if (!e->read[t] || !f->has[t])
                continue;
            if (asprintf(&(*out)[*n], "%s/%s.csv", f->path, tables[t].name) < 0)
                return gdn_no_memory(err, "the files of a claim");
            ++*n;
        }
    return GDN_OK;
}
