/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export -- what is committed and cited, from the store: cells.csv (every row), last.csv (those of each
 * population's longest length, which the figures of single heads are drawn from), summary.csv (medians over
 * heads and seeds), growth.csv (how errors grow with length), heat.csv (errors over A_log and position),
 * tasks.csv (a checksum a task).
 */
#ifndef GDN_HARNESS_EXPORT_H
#define GDN_HARNESS_EXPORT_H

#include "harness/store.h"

/* One of them, by its name. GDN_BAD_INPUT for another name. */
gdn_status gdn_export_file(gdn_store *store, const char *directory, const char *name, const char *const *ids,
                           int n, gdn_error *err);

/* Write the files into `directory` for the tasks ids[0..n). */
gdn_status gdn_export(gdn_store *store, const char *directory, const char *const *ids, int n, gdn_error *err);

#endif
