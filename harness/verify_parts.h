/* SPDX-License-Identifier: Apache-2.0 */
/* verify_parts -- private to harness/verify*.c. */
#ifndef GDN_HARNESS_VERIFY_PARTS_H
#define GDN_HARNESS_VERIFY_PARTS_H

#include <jansson.h>
#include <limits.h>
#include <sys/types.h>

#include "harness/checksum.h"
#include "harness/stats.h"
#include "harness/store.h"
#include "harness/task.h"
#include "harness/verify.h"

/* A line of tasks.csv. */
typedef struct gdn_committed {
    char population[128];
    int64_t seed;
    gdn_checksum sum[GDN_COVERS]; /* "": the file is from before there were any but the first */
    bool chosen, left;            /* to be run again; drawn, but it cannot be compared */
} gdn_committed;

/* A folder of results. */
typedef struct gdn_folder {
    char name[128], path[4096];
    dev_t device; /* what tells the directory apart */
    ino_t inode;
    json_t *manifest;
    gdn_committed *task; /* [tasks] */
    int64_t tasks;
    struct gdn_work *work; /* its experiment and tasks; NULL where they cannot be made here */
    gdn_error why;         /* then: why not */
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

/* The lines of a folder's tasks.csv; an experiment of probes alone has none (verify.c). */
gdn_status gdn_verify_take_tasks(gdn_folder *f, gdn_error *err);

/* Sums, columns and figures of a folder (verify_files.c). */
gdn_status gdn_verify_files(gdn_verifier *v, const gdn_folder *f, gdn_error *err);

/* The experiment of a folder; can its task i be compared here? Whoever asks, tells why not (verify_tasks.c).
 */
gdn_status gdn_verify_open(gdn_verifier *v, gdn_folder *f, gdn_error *err);
bool gdn_verify_can(gdn_folder *f, int64_t i, const char **why);
void gdn_verify_close(gdn_folder *f);

/* The tasks chosen in a folder, run again. */
gdn_status gdn_verify_tasks(gdn_verifier *v, gdn_folder *f, gdn_error *err);

/* Rows of a whole experiment, and the files they make (verify_summary.c). */
typedef struct gdn_again {
    char directory[4096];
    gdn_store *store;
} gdn_again;
gdn_status gdn_again_open(gdn_again *a, gdn_error *err);
gdn_status gdn_again_take(gdn_again *a, const gdn_task *task, const gdn_rows *rows, gdn_error *err);
gdn_status gdn_again_compare(gdn_again *a, gdn_verifier *v, const gdn_folder *f, const gdn_task *tasks, int n,
                             gdn_error *err);
void gdn_again_close(gdn_again *a); /* and remove; one that is not open is fine */

/* Do medians of two arithmetics, of a GPU and of this CPU, agree? */
bool gdn_verify_near(gdn_interval x, gdn_interval y);

/* A directory of one's own in $TMPDIR, or /tmp; and its end, with the files in it. */
gdn_status gdn_verify_scratch(char *path, size_t size, gdn_error *err);
void gdn_verify_remove(const char *path);

#endif
