/* SPDX-License-Identifier: Apache-2.0 */
/* convert_file -- one file of a conversion, written piece by piece. */
#ifndef GDN_HARNESS_CONVERT_FILE_H
#define GDN_HARNESS_CONVERT_FILE_H

#include <stdint.h>

#include "harness/convert.h"

/* A file being written. */
typedef struct gdn_convert_file {
    int fd;
    const char *path; /* for sentences */
    const volatile sig_atomic_t *stop;
    gdn_error *err;
} gdn_convert_file;

/* What the user can mend is bad input; the rest is the machine. errno says which. */
gdn_status gdn_convert_failed(const char *path, const char *what, gdn_error *err);

/* These append at the end of the file. bytes: [n]. */
gdn_status gdn_convert_put(const gdn_convert_file *to, const void *bytes, size_t n);

/* Bytes begin .. begin + n - 1 of the file open as `from`; holes stay holes. path: what it is called. */
gdn_status gdn_convert_copy(const gdn_convert_file *to, int from, const char *path, uint64_t begin,
                            uint64_t n);

/* A whole file, which is no shard or needs no change. */
gdn_status gdn_convert_copy_file(const gdn_convert_file *to, const char *path);

/* A shard as planned. */
gdn_status gdn_convert_put_shard(const gdn_convert_file *to, const gdn_convert_shard *s);

/* The index with the keys and the size of the result, in the source's layout. path: of the source's. */
gdn_status gdn_convert_put_index(const gdn_convert_file *to, const gdn_conversion *p, const char *path);

#endif
