/* SPDX-License-Identifier: Apache-2.0 */
/* verify_parts -- private to harness/verify*.c. */
#ifndef GDN_HARNESS_VERIFY_PARTS_H
#define GDN_HARNESS_VERIFY_PARTS_H

#include <jansson.h>

#include "harness/checksum.h"
#include "harness/verify.h"

/* A line of tasks.csv. */
typedef struct gdn_committed {
    char population[128];
    int64_t seed;
    gdn_checksum sum[GDN_COVERS]; /* "": the file is from before there were any but the first */
    bool chosen;
} gdn_committed;

/* A folder of results. */
typedef struct gdn_folder {
    char name[128], path[4096];
    json_t *manifest;
    gdn_committed *task; /* [tasks] */
    int64_t tasks;
} gdn_folder;

typedef struct gdn_verifier {
    const gdn_verify_options *o;
    gdn_verify_counts *counts;
    FILE *out;
    gdn_folder *folder; /* [folders] */
    int folders;
} gdn_verifier;

/* A line on v->out that begins with the folder's name; the first counts as a difference. */
void gdn_verify_differs(gdn_verifier *v, const gdn_folder *f, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void gdn_verify_says(gdn_verifier *v, const gdn_folder *f, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Sums, columns and figures of a folder (verify_files.c). */
gdn_status gdn_verify_files(gdn_verifier *v, const gdn_folder *f, gdn_error *err);

/* The tasks chosen in a folder, run again (verify_tasks.c). */
gdn_status gdn_verify_tasks(gdn_verifier *v, gdn_folder *f, gdn_error *err);

#endif
