/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock -- one writer at a time on a file: an advisory lock on PATH-lock, which ends with the process however
 * that ends. Readers do not look at it.
 */
#ifndef GDN_HARNESS_LOCK_H
#define GDN_HARNESS_LOCK_H

#include "base/status.h"

typedef struct gdn_lock {
    int fd; /* -1: not taken */
    char path[4224];
} gdn_lock;

/*
 * Take the lock for writing to `path`. GDN_BAD_INPUT when another process has it; the sentence names that
 * one. A file system that knows no locks is no reason to fail: a line on stderr says so, the lock is not
 * taken.
 */
gdn_status gdn_lock_take(gdn_lock *lock, const char *path, gdn_error *err);
void gdn_lock_release(gdn_lock *lock);

#endif
