/* SPDX-License-Identifier: Apache-2.0 */
/* outfile -- a file that appears whole or not at all: temporary name, fsync, rename. */
#ifndef GDN_HARNESS_OUTFILE_H
#define GDN_HARNESS_OUTFILE_H

#include <stdbool.h>
#include <stdio.h>

#include "base/status.h"

typedef struct gdn_outfile {
    FILE *f;
    char path[4096], temporary[4112];
} gdn_outfile;

gdn_status gdn_outfile_open(gdn_outfile *o, const char *path, gdn_error *err);

/* Flush, check and rename when status is GDN_OK; otherwise remove the temporary file. Returns the first
 * failure. */
gdn_status gdn_outfile_close(gdn_outfile *o, gdn_status status, gdn_error *err);

/* The directory that a path lies in, into out: "." where it names none. Returns out. */
char *gdn_directory_of(const char *path, char *out, size_t size);

/*
 * Put the directory of a new name on the disk, so that the name survives a loss of power; the file's own
 * bytes are there already. false, and errno, where that fails.
 */
bool gdn_keep_name(const char *path);

/* Create a directory and its parents, for good; a sentence when it cannot be, or cannot be written. */
gdn_status gdn_make_directory(const char *path, gdn_error *err);

/* SHA-256 of a file as 64 hex digits. */
gdn_status gdn_file_sha256(const char *path, char out[65], gdn_error *err);

#endif
