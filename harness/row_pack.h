/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row_pack -- a task's rows as bytes, from one rank to another.
 *
 * - head: magic, which differs with byte order, schema and columns; length of all; how many rows, texts and
 *   bytes of texts; task; seconds, and those of certifying; the rows' checksums
 * - texts: each once, a zero byte after each
 * - rows: 8 bytes a column, numbers as they are, of a text its index
 * - tail: XXH3-64 of what stands before
 *
 * What has lost, gained or changed a byte on the way is refused.
 */
#ifndef GDN_HARNESS_ROW_PACK_H
#define GDN_HARNESS_ROW_PACK_H

#include "harness/checksum.h"
#include "harness/task.h"

/* What a rank hands over when a task is done. */
typedef struct gdn_harvest {
    int64_t task; /* which of those that are to be run */
    double seconds;
    gdn_rows rows;                /* without those over all heads together, which no run asks for */
    gdn_checksum sum[GDN_COVERS]; /* of the rows, by who made them */
} gdn_harvest;

/* *out: [*size], to be freed with free(). */
gdn_status gdn_harvest_pack(const gdn_harvest *h, unsigned char **out, size_t *size, gdn_error *err);

/* GDN_MACHINE where bytes[0..size) are not what gdn_harvest_pack() made; nothing is to be freed then. */
gdn_status gdn_harvest_unpack(const unsigned char *bytes, size_t size, gdn_harvest *h, gdn_error *err);

#endif
