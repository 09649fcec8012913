/* SPDX-License-Identifier: Apache-2.0 */
/* test_table -- what the CSV reader takes, what it refuses, and the sentences it answers with. */
#include "harness/table.h"

#include <unistd.h>

#include "tests/gdn_test.h"

static gdn_error err;

/* Write n bytes to a new file; the name is the caller's to unlink and free. */
static char *write_file(const char *bytes, size_t n)
{
    char *path = strdup("/tmp/gdn_test_table_XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
    close(fd);
    return path;
}

static gdn_status read_bytes(const char *bytes, size_t n, gdn_table **t)
{
    char *path = write_file(bytes, n);
    err.text[0] = '\0';
    gdn_status status = gdn_table_read(path, t, &err);
    unlink(path);
    free(path);
    return status;
}

static gdn_table *good(const char *text)
{
    gdn_table *t;
    GDN_CHECK(read_bytes(text, strlen(text), &t) == GDN_OK, "%s", err.text);
    return t;
}

static double number(const gdn_table *t, size_t row, const char *name)
{
    size_t column;
    double x;
    ck_assert_int_eq(gdn_table_find(t, name, &column, &err), GDN_OK);
    ck_assert_int_eq(gdn_table_number(t, row, column, &x, &err), GDN_OK);
    return x;
}

START_TEST(text_and_numbers)
{
    gdn_table *t = good("name,x,y\nfirst,1.5,\nsecond,-2e-3,7\n");
    ck_assert_uint_eq(gdn_table_rows(t), 2);
    ck_assert_uint_eq(gdn_table_columns(t), 3);
    ck_assert_str_eq(gdn_table_name(t, 2), "y");
    ck_assert_str_eq(gdn_table_text(t, 1, 0), "second");
    ck_assert(number(t, 0, "x") == 1.5);
    ck_assert(number(t, 1, "x") == -2e-3);
    ck_assert(isnan(number(t, 0, "y")));
    ck_assert_str_eq(gdn_table_text(t, 0, 2), "");
    gdn_table_free(t);
}
END_TEST

START_TEST(quotes)
{
    gdn_table *t = good("\"a\",\"b,c\"\r\n\"two\nlines\",\"say \"\"so\"\"\"\r\n\"\",plain\r\n");
    ck_assert_str_eq(gdn_table_name(t, 1), "b,c");
    ck_assert_str_eq(gdn_table_text(t, 0, 0), "two\nlines");
    ck_assert_str_eq(gdn_table_text(t, 0, 1), "say \"so\"");
    ck_assert_str_eq(gdn_table_text(t, 1, 0), "");
    ck_assert_str_eq(gdn_table_text(t, 1, 1), "plain");
    gdn_table_free(t);
}
END_TEST

START_TEST(byte_order_mark_and_no_last_newline)
{
    gdn_table *t = good("\xef\xbb\xbf"
                        "a,b\n1,2");
    ck_assert_str_eq(gdn_table_name(t, 0), "a");
    ck_assert_uint_eq(gdn_table_rows(t), 1);
    ck_assert(number(t, 0, "b") == 2);
    gdn_table_free(t);
    t = good("a,b\n1,");
    ck_assert(isnan(number(t, 0, "b")));
    gdn_table_free(t);
    t = good("only\n");
    ck_assert_uint_eq(gdn_table_rows(t), 0);
    gdn_table_free(t);
}
END_TEST

START_TEST(next_meets_all_conditions)
{
    gdn_table *t = good("p,q,x\na,u,1\nb,u,2\na,v,3\na,u,4\n");
    gdn_where where[] = {{0, "a"}, {1, "u"}};
    ck_assert_uint_eq(gdn_table_next(t, 0, where, 2), 0);
    ck_assert_uint_eq(gdn_table_next(t, 1, where, 2), 3);
    ck_assert_uint_eq(gdn_table_next(t, 4, where, 2), 4);
    ck_assert_uint_eq(gdn_table_next(t, 1, where, 1), 2);
    ck_assert_uint_eq(gdn_table_next(t, 1, NULL, 0), 1);
    gdn_table_free(t);
}
END_TEST

static const struct {
    const char *text, *sentence;
} bad[] = {
    {"", "line 1: is empty"},
    {"a,b\n1,2\n3\n", "line 3: has 1 fields; the header has 2"},
    {"a,b\n1,2,3\n", "line 2: has 3 fields; the header has 2"},
    {"a,b\n1,2\n\n", "line 3: has 1 fields"},
    {"a,b\n1,\"2\n3,4\n", "line 2: a quoted field is never closed"},
    {"a,b\n\"x\ny\",2\n1,\"2", "line 4: a quoted field is never closed"},
    {"a,b\n\"1\"x,2\n", "line 2: text follows a closing quote"},
    {"a,b\nx\"1\",2\n", "line 2: a quote stands inside a field"},
    {"a,b\n1\r,2\n", "line 2: a carriage return without a line feed"},
    {"a,,b\n", "line 1: column 2 has no name"},
    {"a,b,a\n", "line 1: the column \"a\" stands there twice"},
};

START_TEST(malformed)
{
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        gdn_table *t;
        ck_assert_int_eq(read_bytes(bad[i].text, strlen(bad[i].text), &t), GDN_BAD_INPUT);
        ck_assert_ptr_null(t);
        GDN_CHECK(strstr(err.text, bad[i].sentence), "expected \"%s\" in \"%s\"", bad[i].sentence, err.text);
        ck_assert_ptr_nonnull(strstr(err.text, "gdn_test_table_"));
    }
}
END_TEST

START_TEST(nul_byte)
{
    gdn_table *t;
    ck_assert_int_eq(read_bytes("a\n1\n\0\n", 6, &t), GDN_BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "line 3: holds a NUL byte"));
}
END_TEST

START_TEST(too_many_columns)
{
    char text[2 * GDN_TABLE_MAX_COLUMNS + 8] = "a";
    for (int i = 0; i < GDN_TABLE_MAX_COLUMNS; i++)
        strcat(text, ",a");
    gdn_table *t;
    ck_assert_int_eq(read_bytes(text, strlen(text), &t), GDN_BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "more than 256 fields"));
}
END_TEST

START_TEST(not_a_number)
{
    static const char *const words[] = {"abc", "1.5x", " 1", "--1"};
    char text[64];
    double x;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        snprintf(text, sizeof text, "name,\"x\"\n\"two\nlines\",1\nb,%s\n", words[i]);
        gdn_table *t = good(text);
        ck_assert_int_eq(gdn_table_number(t, 1, 1, &x, &err), GDN_BAD_INPUT);
        char sentence[96];
        snprintf(sentence, sizeof sentence, "line 4: the field \"x\" is \"%s\"", words[i]);
        GDN_CHECK(strstr(err.text, sentence), "%s", err.text);
        gdn_table_free(t);
    }
}
END_TEST

START_TEST(missing_column_and_missing_file)
{
    size_t column;
    gdn_table *t = good("a,b\n1,2\n");
    ck_assert_int_eq(gdn_table_find(t, "c", &column, &err), GDN_BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "there is no column \"c\"; the columns are a, b"));
    gdn_table_free(t);
    ck_assert_int_eq(gdn_table_read("/nonexistent/x.csv", &t, &err), GDN_BAD_INPUT);
    ck_assert_ptr_null(t);
    ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/x.csv: cannot be read"));
    gdn_table_free(NULL);
}
END_TEST

/* Larger than the first chunk and the first room for fields. */
START_TEST(many_rows)
{
    enum { ROWS = 50000 };
    char *text = malloc(16 * ROWS + 16), *p = text;
    p += sprintf(p, "i,x\n");
    for (int i = 0; i < ROWS; i++)
        p += sprintf(p, "%d,%d.5\n", i, i);
    gdn_table *t = good(text);
    ck_assert_uint_eq(gdn_table_rows(t), ROWS);
    for (size_t i = 0; i < ROWS; i += 777)
        ck_assert(number(t, i, "x") == (double)i + 0.5);
    gdn_table_free(t);
    free(text);
}
END_TEST

GDN_TEST_MAIN("table", text_and_numbers, quotes, byte_order_mark_and_no_last_newline,
              next_meets_all_conditions, malformed, nul_byte, too_many_columns, not_a_number,
              missing_column_and_missing_file, many_rows)
