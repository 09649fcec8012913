/* SPDX-License-Identifier: Apache-2.0 */
/*
 * merge -- stores of shards into the results that one run would have written.
 *
 * Which tasks there should be says the experiment, whose text is in the manifests beside the stores; seeds
 * are all from the lowest to the highest that a manifest names or that a store has a task of. All stores are
 * looked through before anything is written:
 *
 *     overlap     a task in several stores: equal checksums are counted, others are a conflict
 *     gap         a task in none
 *     refused     another schema version, experiment or --max-length; rows that another gdnprec made, unless
 * any_commit
 *
 * Then tasks are taken over row by row, one transaction each, and their rows must give their checksums again.
 * The new store has another name until the CSV files are written.
 */
#ifndef GDN_HARNESS_MERGE_H
#define GDN_HARNESS_MERGE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

typedef struct gdn_merge_options {
    const char *results; /* directory; the experiment's name is appended */
    const char *command; /* as typed, for the manifest */
    const char *const
        *store; /* [n] a store, a directory that holds it, or whose shard-I-of-N hold them, or both */
    int n;
    bool partial;    /* gaps are fine */
    bool any_commit; /* so are rows that another program made */
    bool quiet;
} gdn_merge_options;

typedef struct gdn_merge_result {
    char directory[4096];
    char name[128];
    int stores, tasks; /* read; in the new one */
    int overlaps;      /* times that a task is in one more store, with equal rows */
    int conflicts;     /* tasks of which stores have other rows */
    int missing;       /* tasks of the experiment in no store */
    int left_out;      /* tasks that are not the experiment's */
    int64_t rows;
    double seconds;
} gdn_merge_result;

/*
 * A line a conflict, and a line a population with gaps, on `out`. GDN_DIFFERS for either; GDN_BAD_INPUT for
 * stores that are refused or damaged, and where the results have a store already.
 */
gdn_status gdn_merge(const gdn_merge_options *o, gdn_merge_result *r, FILE *out, gdn_error *err);

#endif
