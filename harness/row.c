/* SPDX-License-Identifier: Apache-2.0 */
/* row -- one measurement and its columns; see row.h. */
#include "harness/row.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *const gdn_quantity_names[GDN_QUANTITIES] = {"g", "decay", "state", "o", "y"};
const char *const gdn_kind_names[GDN_KINDS] = {"total", "storage", "arith"};
const char *const gdn_flag_names[GDN_FLAGS] = {"ok", "below_reference", "nonfinite", "zero_reference"};

#define ID(f, m)                                                                                             \
    {                                                                                                        \
#f, GDN_COLUMN_ID, offsetof(gdn_row, f), "", m                                                       \
    }
#define TEXT(f, m)                                                                                           \
    {                                                                                                        \
#f, GDN_COLUMN_TEXT, offsetof(gdn_row, f), "", m                                                     \
    }
#define INT(f, u, m)                                                                                         \
    {                                                                                                        \
#f, GDN_COLUMN_INT, offsetof(gdn_row, f), u, m                                                       \
    }
#define REAL(f, u, m)                                                                                        \
    {                                                                                                        \
#f, GDN_COLUMN_REAL, offsetof(gdn_row, f), u, m                                                      \
    }

const gdn_column gdn_columns[] = {
    ID(cell, "hash of all that identifies the measurement; the same wherever a portable cell runs"),
    TEXT(profile, "storage policy and recipe under test"),
    TEXT(recipe, "compute recipe of the profile"),
    TEXT(mode, "portable, native-cpu, native-cuda, or recorded (outputs read from a file)"),
    TEXT(population, "where parameters and inputs come from"),
    TEXT(keys, "geometry of the keys"),
    INT(dk, "", "key head dimension"),
    INT(dv, "", "value head dimension"),
    INT(length, "tokens", "tokens seen when the measurement ends; equals `to`"),
    INT(seed, "", "seed of parameters, inputs and stochastic rounding"),
    INT(head, "", "value head within the population"),
    REAL(a_log, "", "true A_log of the head"),
    REAL(dt_bias, "", "true dt_bias of the head"),
    REAL(gamma, "1/token", "mean of |g| over [1, to]"),
    REAL(gamma_eff, "1/token", "gamma + (2 E beta - E beta^2) / (2 r), r the rank of the keys that erase"),
    TEXT(quantity, "g (log decay), decay (product of alpha), state, o, or y (o after out_norm)"),
    TEXT(kind, "total = storage + arith; see spec section 5"),
    INT(from, "token", "first position of the window, 1-based"),
    INT(to, "token", "last position of the window"),
    REAL(rel_l2, "", "sqrt(sum d^2 / sum ref^2), ref = REF(true parameters) for every kind"),
    REAL(nmse, "", "rel_l2 squared"),
    REAL(max_ulp, "ulp", "largest |d| in ulps of the quantity's output format at ref"),
    REAL(bias, "", "signed: sum d ref / sum ref^2"),
    REAL(bits, "bits", "-log2 rel_l2"),
    REAL(cosine, "", "cosine between ref + d and ref"),
    REAL(predicted, "", "rel_l2 by the theory of spec section 7; empty where it has none"),
    REAL(uncertainty, "",
         "of the reference, on the scale of rel_l2; rel_l2 is reported when 1,000 times larger"),
    TEXT(reference, "rung that served: mpfr, dd or fp64"),
    INT(certified, "columns",
        "value columns of this head that were checked one rung down; 0: another head of the task was"),
    TEXT(flag, "ok, below_reference, nonfinite or zero_reference; numbers are empty unless ok"),
};

const int gdn_column_count = sizeof gdn_columns / sizeof gdn_columns[0];

/* Append to out[0..size) at *n, snprintf-wise. */
__attribute__((format(printf, 4, 5))) static void put(char *out, size_t size, int *n, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t at = (size_t)*n < size ? (size_t)*n : size;
    int wrote = vsnprintf(out + at, size - at, format, args);
    va_end(args);
    *n += wrote > 0 ? wrote : 0;
}

/* A text field, quoted where RFC 4180 asks for it. */
static void put_text(char *out, size_t size, int *n, const char *text)
{
    if (!text)
        return;
    if (!strpbrk(text, ",\"\r\n")) {
        put(out, size, n, "%s", text);
        return;
    }
    put(out, size, n, "\"");
    for (; *text; text++)
        put(out, size, n, *text == '"' ? "\"\"" : "%c", *text);
    put(out, size, n, "\"");
}

int gdn_row_csv(const gdn_row *row, char *out, size_t size)
{
    int n = 0;
    for (int i = 0; i < gdn_column_count; i++) {
        const char *field = (const char *)row + gdn_columns[i].offset;
        if (i)
            put(out, size, &n, ",");
        switch (gdn_columns[i].type) {
        case GDN_COLUMN_ID:
            put(out, size, &n, "%016" PRIx64, *(const uint64_t *)(const void *)field);
            break;
        case GDN_COLUMN_TEXT:
            put_text(out, size, &n, *(const char *const *)(const void *)field);
            break;
        case GDN_COLUMN_INT:
            put(out, size, &n, "%" PRId64, *(const int64_t *)(const void *)field);
            break;
        case GDN_COLUMN_REAL: {
            double x = *(const double *)(const void *)field;
            if (!isnan(x))
                put(out, size, &n, "%.17g", x + 0.0); /* -0 is 0, as SQLite keeps it */
            break;
        }
        }
    }
    return n;
}

int gdn_row_csv_header(char *out, size_t size)
{
    int n = 0;
    for (int i = 0; i < gdn_column_count; i++)
        put(out, size, &n, "%s%s", i ? "," : "", gdn_columns[i].name);
    return n;
}
