/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store -- rows at rest while an experiment runs: one SQLite database, one transaction a task.
 *
 * A task is in the store with all its rows or not at all, so a run that dies at any moment goes on where it
 * was. The table of rows has the columns of gdn_columns; tasks carries a checksum of each task's rows.
 */
#ifndef GDN_HARNESS_STORE_H
#define GDN_HARNESS_STORE_H

#include <stdbool.h>

#include "base/status.h"
#include "harness/checksum.h"
#include "harness/row.h"

typedef struct gdn_store gdn_store;

/* Which program made a task's rows, and where (harness/origin.h). */
typedef struct gdn_origin {
    const char *commit; /* NULL to be committed, "unknown" when read: nobody has said */
    bool dirty;         /* the source had changes that the commit has not */
    const char *build;  /* checksum of the program's file */
    const char *backend, *device, *shard;
} gdn_origin;

/* What tasks holds. */
typedef struct gdn_task_record {
    const char *task, *population;
    int64_t seed;
    double seconds;
    gdn_origin origin;
    gdn_checksum sum[GDN_COVERS]; /* "" is worked out on committing; in stores from before there were any but
                                     the first, the others */
} gdn_task_record;

/* The file it was opened on. */
const char *gdn_store_path(const gdn_store *s);

/* Open or create. GDN_BAD_INPUT: not writable, not a store, another schema version; GDN_MACHINE: the disk. */
gdn_status gdn_store_open(const char *path, gdn_store **out, gdn_error *err);
gdn_status gdn_store_close(gdn_store *s, gdn_error *err);

/* All of its -wal file into the store's own. Closing it does so too, but does not tell where it cannot. */
gdn_status gdn_store_checkpoint(gdn_store *s, gdn_error *err);

/* Open what is there, to read it as it is now: it is left as it is, whoever writes to it meanwhile. */
gdn_status gdn_store_read(const char *path, gdn_store **out, gdn_error *err);

/* Is this task committed? */
gdn_status gdn_store_has(gdn_store *s, const char *task, bool *found, gdn_error *err);

/* Commit a task with its rows. rows: [n], any order. */
gdn_status gdn_store_commit(gdn_store *s, const gdn_task_record *record, const gdn_row *rows, int64_t n,
                            gdn_error *err);

/*
 * Take a task over from another store, row by row. GDN_BAD_INPUT, and nothing of it is taken, where its rows
 * do not give the checksums that were kept of them.
 */
gdn_status gdn_store_take(gdn_store *s, gdn_store *from, const char *task, gdn_error *err);

/* Do a task's rows give its checksums? GDN_DIFFERS where they do not. */
gdn_status gdn_store_check(gdn_store *s, const char *task, gdn_error *err);

/*
 * Visit the rows of the tasks named in tasks[0..n), ordered by the columns of `order` (SQL, trusted; NULL: in
 * any order). The row's texts live until visit returns; visit's failure ends the walk.
 */
#define GDN_STORE_BY_CELL "cell < 0, cell" /* as numbers without sign */
typedef gdn_status (*gdn_store_visit)(void *context, const gdn_row *row, gdn_error *err);
gdn_status gdn_store_rows(gdn_store *s, const char *const *tasks, int n, const char *order,
                          gdn_store_visit visit, void *context, gdn_error *err);

/*
 * The same for a part of it: rows for which `where` holds, and of these only the columns in `columns`
 * (",a,b,": commas all around), the others zero. Sorting millions of rows costs by their width.
 */
typedef struct gdn_store_part {
    const char *columns, *where; /* NULL: all */
} gdn_store_part;
gdn_status gdn_store_select(gdn_store *s, const char *const *tasks, int n, gdn_store_part part,
                            const char *order, gdn_store_visit visit, void *context, gdn_error *err);

/* How many rows of the tasks have this flag. */
gdn_status gdn_store_count(gdn_store *s, const char *const *tasks, int n, const char *flag, int64_t *count,
                           gdn_error *err);

/* How many tasks there are. */
gdn_status gdn_store_tasks(gdn_store *s, int64_t *count, gdn_error *err);

/* The lowest and the highest seed of a population's tasks; 0 where there is none. GDN_BAD_INPUT: they are no
 * seeds. */
enum { GDN_LAST_SEED = 1000100000 }; /* 100000 of them from 10^9 on */
gdn_status gdn_store_seeds(gdn_store *s, const char *population, int *first, int *last, gdn_error *err);

/* The record of a task; its texts live until the next call. found = false when it is not there. */
gdn_status gdn_store_task(gdn_store *s, const char *task, gdn_task_record *record, bool *found,
                          gdn_error *err);

#endif
