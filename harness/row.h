/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row -- one measurement, and the one table that names its columns.
 *
 * The SQLite table, the header of cells.csv, `gdnprec list columns` and docs/formats.md all come from
 * gdn_columns. Rows are tidy: one (profile, head, window, quantity, kind) each.
 */
#ifndef GDN_HARNESS_ROW_H
#define GDN_HARNESS_ROW_H

#include <stddef.h>
#include <stdint.h>

/* What is measured, and which difference (spec section 5). */
typedef enum gdn_quantity {
    GDN_Q_G,
    GDN_Q_DECAY,
    GDN_Q_STATE,
    GDN_Q_O,
    GDN_Q_Y,
    GDN_QUANTITIES
} gdn_quantity;
typedef enum gdn_kind { GDN_TOTAL, GDN_STORAGE, GDN_ARITH, GDN_KINDS } gdn_kind;
typedef enum gdn_flag {
    GDN_FLAG_OK,
    GDN_BELOW_REFERENCE,
    GDN_NONFINITE,
    GDN_ZERO_REFERENCE,
    GDN_FLAGS
} gdn_flag;

extern const char *const gdn_quantity_names[GDN_QUANTITIES];
extern const char *const gdn_kind_names[GDN_KINDS];
extern const char *const gdn_flag_names[GDN_FLAGS];

/* Texts are borrowed; a number that does not apply is NaN and an empty field. */
typedef struct gdn_row {
    uint64_t cell;
    const char *profile, *recipe, *mode, *population, *keys;
    int64_t dk, dv, length, seed, head;
    double a_log, dt_bias, gamma, gamma_eff;
    const char *quantity, *kind;
    int64_t from, to;
    double rel_l2, nmse, max_ulp, bias, bits, cosine, predicted, uncertainty;
    const char *reference;
    int64_t certified;
    const char *flag;
} gdn_row;

typedef enum gdn_column_type {
    GDN_COLUMN_ID,
    GDN_COLUMN_TEXT,
    GDN_COLUMN_INT,
    GDN_COLUMN_REAL
} gdn_column_type;

typedef struct gdn_column {
    const char *name;
    gdn_column_type type;
    size_t offset; /* in gdn_row */
    const char *unit;
    const char *meaning;
} gdn_column;

extern const gdn_column gdn_columns[];
extern const int gdn_column_count;

/* Part of every store and manifest; raised when columns or their meaning change. */
#define GDN_SCHEMA 1

/* One CSV line of a row, without the newline, into out; returns its length (as snprintf). */
int gdn_row_csv(const gdn_row *row, char *out, size_t size);

/* The header line, without the newline. */
int gdn_row_csv_header(char *out, size_t size);

#endif
