/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grouping -- rows that differ in seed and head only, group by group, in little memory.
 *
 * Sorting 10^7 rows by their texts takes SQLite minutes. Here each row finds its group by a hash and keeps
 * what a summary needs of it, 80 bytes. What is more than GDN_GROUPING_ROWS rows goes through a temporary
 * file twice: as it comes, then divided into parts of consecutive groups that are small enough to be sorted
 * in memory.
 */
#ifndef GDN_HARNESS_GROUPING_H
#define GDN_HARNESS_GROUPING_H

#include <stddef.h>
#include <stdio.h>

#include "base/status.h"
#include "harness/row.h"

enum { GDN_GROUPING_ROWS = 1 << 18 }; /* 21 MB */

/* What all rows of a group share: texts and whole numbers of gdn_row but seed, head and cell. */
typedef struct gdn_group {
    const char *profile, *recipe, *mode, *population, *keys, *quantity, *kind;
    int64_t dk, dv, length, from, to;
    int64_t count;
} gdn_group;

/* What a row has of its own. */
typedef struct gdn_member {
    uint32_t group; /* its place in the order of groups */
    uint16_t flag;
    uint16_t reference; /* gdn_grouping_text() has the word */
    int64_t seed, head;
    double rel_l2, bias, max_ulp, predicted, gamma, gamma_eff, uncertainty;
} gdn_member;

typedef struct gdn_grouping gdn_grouping;

/* most: rows kept in memory; 0: GDN_GROUPING_ROWS. */
gdn_status gdn_grouping_open(gdn_grouping **out, size_t most, gdn_error *err);
void gdn_grouping_close(gdn_grouping *g); /* NULL is allowed */

gdn_status gdn_grouping_add(gdn_grouping *g, const gdn_row *row, gdn_error *err);

/* The word of a gdn_member. */
const char *gdn_grouping_text(const gdn_grouping *g, unsigned index);

/*
 * A line of text a group, without its end; called by several threads at once. member: [n] by seed, then head.
 */
typedef gdn_status (*gdn_grouping_line)(const gdn_grouping *g, const gdn_group *group,
                                        const gdn_member *member, size_t n, char *line, size_t size,
                                        gdn_error *err);

/* Write the lines, by population, profile, recipe, mode, quantity, kind, to, from, dk, dv and keys. No row
 * can be added afterwards. */
enum { GDN_GROUPING_LINE = 4096 };
gdn_status gdn_grouping_write(gdn_grouping *g, gdn_grouping_line line, FILE *f, gdn_error *err);

#endif
