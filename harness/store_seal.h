/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_seal -- one checksum over all that a store keeps of a task: XXH3-128 of the values as SQLite has
 * them, record, checksums, origin and rows. Several times as fast to look at as the checksums of CSV lines,
 * and the numbers that are in no row are under it too.
 */
#ifndef GDN_HARNESS_STORE_SEAL_H
#define GDN_HARNESS_STORE_SEAL_H

#include <sqlite3.h>

/* Where the table of sums keeps it, behind the covers of harness/checksum.h. */
enum { GDN_SEAL_COVER = 3 };

/* Work it out. sum: [33], hex digits. SQLite's code. */
int gdn_store_seal(sqlite3 *db, const char *task, char *sum);

/* Keep it: the last act of the transaction that writes the task. SQLite's code. */
int gdn_store_put_seal(sqlite3 *db, const char *task);

/* The one that is kept; "" in stores from before there were any. SQLite's code. */
int gdn_store_get_seal(sqlite3 *db, const char *task, char *sum);

#endif
