/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_mend -- a store that may have lain on a failing disk, before a run goes on with it. SQLite sees a
 * broken page, but not a flipped bit of a number: that shows in the checksums that were committed with the
 * rows.
 */
#ifndef GDN_HARNESS_STORE_MEND_H
#define GDN_HARNESS_STORE_MEND_H

#include "harness/store.h"

/*
 * Check every task of the store, on all threads, and take those out whose rows are not what was committed, so
 * that they are run again. taken: how many. GDN_BAD_INPUT: a store that cannot be mended so.
 */
gdn_status gdn_store_mend(gdn_store *s, int *taken, gdn_error *err);

#endif
