/* SPDX-License-Identifier: Apache-2.0 */
/* row -- one measurement and its columns; see row.h. */
#include "harness/row.h"

#include <math.h>
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

/* Append bytes to out[0..size) at *n, which counts on where there is no room. */
static void put(char *out, size_t size, int *n, const char *bytes, size_t length)
{
    size_t at = (size_t)*n < size ? (size_t)*n : size;
    memcpy(out + at, bytes, length < size - at ? length : size - at);
    *n += (int)length;
}

/* A zero byte after n of them; n, as snprintf returns it. */
static int ended(char *out, size_t size, int n)
{
    if (size)
        out[(size_t)n < size ? (size_t)n : size - 1] = 0;
    return n;
}

static void put_integer(char *out, size_t size, int *n, int64_t x)
{
    char digits[20];
    int at = sizeof digits;
    uint64_t rest = x < 0 ? -(uint64_t)x : (uint64_t)x;
    do
        digits[--at] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (x < 0)
        digits[--at] = '-';
    put(out, size, n, digits + at, sizeof digits - (size_t)at);
}

static void put_id(char *out, size_t size, int *n, uint64_t x)
{
    char digits[16];
    for (int i = 0; i < 16; i++)
        digits[i] = "0123456789abcdef"[x >> (60 - 4 * i) & 15];
    put(out, size, n, digits, sizeof digits);
}

/* Nothing for NaN; -0 is 0, as SQLite keeps it. */
static void put_real(char *out, size_t size, int *n, double x)
{
    char digits[32];
    if (!isnan(x))
        put(out, size, n, digits, (size_t)snprintf(digits, sizeof digits, "%.17g", x + 0.0));
}

/* A text field, quoted where RFC 4180 asks for it. */
static void put_text(char *out, size_t size, int *n, const char *text)
{
    if (!text)
        return;
    if (!strpbrk(text, ",\"\r\n")) {
        put(out, size, n, text, strlen(text));
        return;
    }
    put(out, size, n, "\"", 1);
    for (; *text; text++)
        put(out, size, n, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1);
    put(out, size, n, "\"", 1);
}

/* printf is kept for what needs it: a store of 10^7 rows is as many lines, for its checksums and for its
 * files. */
int gdn_row_csv(const gdn_row *row, char *out, size_t size)
{
    int n = 0;
    for (int i = 0; i < gdn_column_count; i++) {
        const void *field = (const char *)row + gdn_columns[i].offset;
        put(out, size, &n, ",", i > 0);
        switch (gdn_columns[i].type) {
        case GDN_COLUMN_ID:
            put_id(out, size, &n, *(const uint64_t *)field);
            break;
        case GDN_COLUMN_TEXT:
            put_text(out, size, &n, *(const char *const *)field);
            break;
        case GDN_COLUMN_INT:
            put_integer(out, size, &n, *(const int64_t *)field);
            break;
        case GDN_COLUMN_REAL:
            put_real(out, size, &n, *(const double *)field);
            break;
        }
    }
    return ended(out, size, n);
}

int gdn_row_csv_header(char *out, size_t size)
{
    int n = 0;
    for (int i = 0; i < gdn_column_count; i++) {
        put(out, size, &n, ",", i > 0);
        put(out, size, &n, gdn_columns[i].name, strlen(gdn_columns[i].name));
    }
    return ended(out, size, n);
}
