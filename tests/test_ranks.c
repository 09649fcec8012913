/* SPDX-License-Identifier: Apache-2.0 */
/* test_ranks -- rows on their way between ranks: they come back as they were, or are refused. And what shards
 * make of an experiment's tasks: every task in one of them, the work in equal parts. */
#include "harness/row_pack.h"
#include "harness/shard.h"
#include "tests/task_test.h"

/* ---- rows as bytes ---- */

static gdn_harvest some_harvest(void)
{
    gdn_experiment *e =
        experiment("experiment: some\nquestion: q\nseeds: 1\ndk: 4\ndv: 4\nlengths: [5]\n"
                   "profiles: [fp32, all-bf16]\npopulations:\n"
                   "  - {name: all, heads: 2, a_log: {uniform: [-8, 2]}, dt_bias: {init: fla}}\n");
    gdn_harvest h = {.task = 7, .seconds = 1.5, .rows = rows_of(e, 0)};
    h.rows.row[0].rel_l2 = -0.0;
    h.rows.row[0].bias = NAN;
    h.rows.row[0].bits = -INFINITY;
    h.rows.row[0].max_ulp = 0x1p-1074;
    h.rows.row[0].keys = NULL;
    h.rows.row[1].population = "";
    h.rows.row[1].seed = INT64_MIN;
    gdn_experiment_free(e);
    return h;
}

static unsigned char *packed(const gdn_harvest *h, size_t *size)
{
    unsigned char *bytes = NULL;
    gdn_error err = {""};
    GDN_CHECK(gdn_harvest_pack(h, &bytes, size, &err) == GDN_OK, "%s", err.text);
    return bytes;
}

static bool taken(const unsigned char *bytes, size_t size, gdn_harvest *h)
{
    unsigned char *exact = malloc(size + 1); /* of just this size: a sanitizer sees what is read beyond it */
    gdn_error err = {""};
    memcpy(exact, bytes, size);
    gdn_status status = gdn_harvest_unpack(exact, size, h, &err);
    GDN_CHECK(status == GDN_OK || (status == GDN_MACHINE && strstr(err.text, "came broken")), "%d: %s",
              status, err.text);
    free(exact);
    return status == GDN_OK;
}

START_TEST(rows_come_back)
{
    gdn_harvest h = some_harvest(), back;
    size_t size;
    h.rows.certify_seconds = 0.25;
    unsigned char *bytes = packed(&h, &size);
    GDN_CHECK(taken(bytes, size, &back), "refused");
    ck_assert_int_eq(back.task, 7);
    ck_assert_int_eq(back.rows.count, h.rows.count);
    GDN_CHECK(back.seconds == 1.5 && back.rows.certify_seconds == 0.25, "seconds");
    for (int64_t i = 0; i < h.rows.count; i++) {
        gdn_row *x = &h.rows.row[i], *y = &back.rows.row[i];
        for (int c = 0; c < gdn_column_count; c++) {
            const char *const *s = (const char *const *)((char *)x + gdn_columns[c].offset),
                              *const *t = (const char *const *)((char *)y + gdn_columns[c].offset);
            if (gdn_columns[c].type == GDN_COLUMN_TEXT)
                GDN_CHECK(*s ? *t && *s != *t && strcmp(*s, *t) == 0 : !*t, "row %lld, %s", (long long)i,
                          gdn_columns[c].name);
            else
                GDN_CHECK(memcmp(s, t, 8) == 0, "row %lld, %s", (long long)i, gdn_columns[c].name);
        }
    }
    free(bytes);
    gdn_rows_free(&h.rows);
    gdn_rows_free(&back.rows);
}
END_TEST

START_TEST(no_rows)
{
    gdn_harvest h = {.task = -3}, back;
    size_t size;
    unsigned char *bytes = packed(&h, &size);
    GDN_CHECK(taken(bytes, size, &back), "refused");
    GDN_CHECK(back.rows.count == 0 && back.task == -3, "something else");
    gdn_rows_free(&back.rows);
    free(bytes);
}
END_TEST

/* Every length that is not the right one, and every byte changed, is refused. */
START_TEST(broken_bytes)
{
    gdn_harvest h = some_harvest(), back;
    h.rows.count = 3;
    size_t size;
    unsigned char *bytes = packed(&h, &size), *longer = calloc(size + 64, 1);
    memcpy(longer, bytes, size);
    for (size_t n = 0; n < size; n++)
        GDN_CHECK(!taken(bytes, n, &back), "%zu of %zu bytes are taken", n, size);
    for (size_t n = size + 1; n <= size + 64; n++)
        GDN_CHECK(!taken(longer, n, &back), "%zu bytes for %zu are taken", n, size);
    for (size_t n = 0; n < size; n++) {
        bytes[n] ^= (unsigned char)(1 << n % 8);
        GDN_CHECK(!taken(bytes, size, &back), "byte %zu of %zu changed is taken", n, size);
        bytes[n] ^= (unsigned char)(1 << n % 8);
    }
    GDN_CHECK(taken(bytes, size, &back), "whole again and refused");
    gdn_rows_free(&back.rows);
    gdn_rows_free(&h.rows);
    free(bytes);
    free(longer);
}
END_TEST

/* ---- shards ---- */

enum { TASKS = 200 };

/* Tasks of costs over three decades, many of them equal. The seed is the place. */
static int make_tasks(gdn_task *tasks, int n)
{
    uint64_t seed = 5;
    memset(tasks, 0, (size_t)n * sizeof *tasks);
    for (int i = 0; i < n; i++) {
        tasks[i].seed = (uint64_t)i;
        tasks[i].cost = floor(pow(10, gdn_test_uniform(&seed, 0, 3)));
    }
    return n;
}

START_TEST(every_task_once)
{
    static gdn_task tasks[TASKS], mine[TASKS];
    for (int count = 1; count <= 2 * TASKS; count += count < 20 ? 1 : 37) {
        int seen[TASKS] = {0};
        double least = INFINITY, most = 0, largest = 0;
        for (int index = 1; index <= count; index++) {
            int n = make_tasks(mine, TASKS);
            double work = 0;
            gdn_error err = {""};
            gdn_task_shard shard = {index, count};
            GDN_CHECK(gdn_shard_keep(&shard, mine, &n, &err) == GDN_OK, "%s", err.text);
            GDN_CHECK(n >= TASKS / count && n <= TASKS / count + 1, "%d tasks of %d in one of %d", n, TASKS,
                      count);
            for (int i = 0; i < n; i++) {
                seen[mine[i].seed]++;
                work += mine[i].cost;
                GDN_CHECK(i == 0 || mine[i - 1].seed < mine[i].seed, "another order");
            }
            least = fmin(least, work);
            most = fmax(most, work);
        }
        make_tasks(tasks, TASKS);
        for (int i = 0; i < TASKS; i++) {
            largest = fmax(largest, tasks[i].cost);
            GDN_CHECK(seen[i] == 1, "task %d is in %d of %d shards", i, seen[i], count);
        }
        GDN_CHECK(most - least <= largest, "%d shards: from %g to %g, the largest task %g", count, least,
                  most, largest);
    }
}
END_TEST

/* What is in a shard follows from the costs; equal tasks are dealt out in their order, there and back. */
START_TEST(dealt_there_and_back)
{
    static const int want[3][3] = {{0, 5, 6}, {1, 4, 7}, {2, 3, 8}};
    for (int index = 1; index <= 3; index++) {
        gdn_task tasks[9] = {0};
        int n = 9;
        gdn_error err = {""};
        for (int i = 0; i < n; i++) {
            tasks[i].seed = (uint64_t)i;
            tasks[i].cost = 2;
        }
        GDN_CHECK(gdn_shard_keep(&(gdn_task_shard){index, 3}, tasks, &n, &err) == GDN_OK, "%s", err.text);
        ck_assert_int_eq(n, 3);
        for (int i = 0; i < n; i++)
            ck_assert_int_eq((int)tasks[i].seed, want[index - 1][i]);
    }
    gdn_task all[4];
    int n = make_tasks(all, 4);
    gdn_error err = {""};
    GDN_CHECK(gdn_shard_keep(&(gdn_task_shard){0, 0}, all, &n, &err) == GDN_OK && n == 4,
              "%s: no shard, all tasks", err.text);
}
END_TEST

START_TEST(shard_words)
{
    static const char *const bad[] = {"",
                                      "a",
                                      "1",
                                      "1/",
                                      "/2",
                                      "0/4",
                                      "5/4",
                                      "1/0",
                                      "-1/2",
                                      " 1/2",
                                      "1/ 2",
                                      "1/2 ",
                                      "1/2/3",
                                      "1.0/2",
                                      "+1/2",
                                      "1/99999999999999999999",
                                      "18446744073709551617/2"};
    gdn_task_shard s = {9, 9};
    gdn_error err = {""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_int_eq(gdn_shard_read("--shard", bad[i], &s, &err), GDN_BAD_INPUT);
        GDN_CHECK(strncmp(err.text, "--shard: '", 10) == 0 && strstr(err.text, "I/N with I from 1 to N is"),
                  "%s", err.text);
        GDN_CHECK(s.index == 9 && s.count == 9, "'%s' was kept", bad[i]);
    }
    GDN_CHECK(gdn_shard_read("--shard", "2/8", &s, &err) == GDN_OK && s.index == 2 && s.count == 8, "%s",
              err.text);
    GDN_CHECK(gdn_shard_read("--shard", "1/1", &s, &err) == GDN_OK && s.index == 1 && s.count == 1, "%s",
              err.text);
}
END_TEST

GDN_TASK_TEST_MAIN("ranks", rows_come_back, no_rows, broken_bytes, every_task_once, dealt_there_and_back,
                   shard_words)
