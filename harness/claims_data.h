/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claims_data -- result files as tables of SQL: summary, growth, probes and budget, read into SQLite in
 * memory.
 *
 * Queries come from ledgers that others may have written: they can read these tables and do nothing else.
 * They see the rows of the experiments that were set last, and of those all columns of the CSV file, the
 * name of the experiment, and in summary `whole`: 1 where the row is over positions [1, T] at the largest T
 * of its population and quantity (the state: at T). Besides SQLite's functions there is median().
 */
#ifndef GDN_HARNESS_CLAIMS_DATA_H
#define GDN_HARNESS_CLAIMS_DATA_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef struct gdn_evidence gdn_evidence;

/* roots: [n], directories with a folder an experiment; the first that has one serves. */
gdn_status gdn_evidence_open(gdn_evidence **out, const char *const *roots, size_t n, gdn_error *err);
void gdn_evidence_close(gdn_evidence *e);

/*
 * From now on queries see these experiments, which are read if they have not been. *missing: the first whose
 * folder is not there or has none of the files, else NULL.
 */
gdn_status gdn_evidence_show(gdn_evidence *e, char *const *experiments, size_t n, const char **missing,
                             gdn_error *err);

/*
 * A query of one statement that only reads. On failure *why is SQLite's reason (until the next call) and the
 * status GDN_BAD_INPUT.
 */
gdn_status gdn_evidence_query(gdn_evidence *e, const char *sql, sqlite3_stmt **out, const char **why);

/* sqlite3_step, ended where a query runs beyond all measure; SQLITE_ROW, SQLITE_DONE, or a failure with its
 * reason. */
int gdn_evidence_step(gdn_evidence *e, sqlite3_stmt *q, const char **why);

/* The files that queries have read since gdn_evidence_show: [*n] paths, to be freed one by one. */
gdn_status gdn_evidence_files(const gdn_evidence *e, char ***out, size_t *n, gdn_error *err);

#endif
