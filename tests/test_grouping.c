/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of harness/grouping: the same groups however little fits into memory; temporary files that cannot be
 * made, are full or cut short end in a sentence. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "harness/grouping.h"
#include "tests/task_test.h"

enum { MOST = 16, ROWS = 100 }; /* in memory, and in all */

static gdn_error err;

/* The texts that do not matter. */
#define ROW(...)                                                                                             \
    {                                                                                                        \
        .recipe = "r", .mode = "m", .keys = "k", .quantity = "o", .kind = "total", .reference = "dd",        \
        .flag = "ok", .from = 1, .length = 1, __VA_ARGS__                                                    \
    }

static gdn_status add_all(gdn_grouping *g)
{
    gdn_status status = GDN_OK;
    for (int i = 0; i < ROWS && !status; i++) {
        gdn_row r = ROW(.population = "p", .profile = "x", .to = 1 + i % 7, .seed = i);
        status = gdn_grouping_add(g, &r, &err);
    }
    return status;
}

/* The sentence has these words, and says how to go on. */
static void says(gdn_status status, const char *words)
{
    GDN_CHECK(status == GDN_MACHINE && strstr(err.text, words) && strstr(err.text, "SQLITE_TMPDIR") &&
                  strstr(err.text, "run again"),
              "status %d, not '%s': '%s'", status, words, err.text);
}

static gdn_grouping *new_grouping(void)
{
    gdn_grouping *g;
    setenv("SQLITE_TMPDIR", scratch, 1);
    GDN_CHECK(gdn_grouping_open(&g, MOST, &err) == GDN_OK, "%s", err.text);
    return g;
}

/* The first write that does not fit is a short one; the next one says why. */
START_TEST(full)
{
    struct rlimit before, few;
    gdn_grouping *g = new_grouping();
    getrlimit(RLIMIT_FSIZE, &before);
    few = (struct rlimit){MOST * sizeof(gdn_member) / 2, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &few);
    gdn_status status = add_all(g);
    setrlimit(RLIMIT_FSIZE, &before);
    says(status, "temporary files: File too large");
    gdn_grouping_close(g);
}
END_TEST

START_TEST(no_file)
{
    struct rlimit before, none;
    gdn_grouping *g = new_grouping();
    getrlimit(RLIMIT_NOFILE, &before);
    none = (struct rlimit){3, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    gdn_status status = add_all(g);
    setrlimit(RLIMIT_NOFILE, &before);
    says(status, "temporary files: Too many open files");
    gdn_grouping_close(g);
}
END_TEST

/* A line that cuts off the temporary files: the next part is no longer there. */
static gdn_status cutting_line(const gdn_grouping *g, const gdn_group *k, const gdn_member *m, size_t n,
                               char *line, size_t size, gdn_error *e)
{
    (void)g, (void)m, (void)e;
    int cut = 0;
    for (int fd = 3; fd < 64; fd++) {
        char link[64], name[256];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, name, sizeof name - 1);
        name[length > 0 ? length : 0] = 0;
        if (strncmp(name, scratch, strlen(scratch)) == 0 && strstr(name, "/gdnprec_"))
            cut += ftruncate(fd, 0) == 0;
    }
    GDN_CHECK(cut == 2, "%d temporary files in %s", cut, scratch);
    snprintf(line, size, "%lld %zu", (long long)k->to, n);
    return GDN_OK;
}

START_TEST(cut_short)
{
    static char text[4096];
    gdn_grouping *g = new_grouping();
    FILE *f = fmemopen(text, sizeof text, "w");
    GDN_CHECK(f && add_all(g) == GDN_OK, "%s", err.text);
    errno = ENOENT; /* of something else */
    says(gdn_grouping_write(g, cutting_line, f, &err), "temporary files: cut short");
    gdn_grouping_close(g);
    fclose(f);
}
END_TEST

static gdn_status count_line(const gdn_grouping *g, const gdn_group *k, const gdn_member *m, size_t n,
                             char *line, size_t size, gdn_error *failure)
{
    double sum = 0;
    (void)g, (void)failure;
    for (size_t i = 0; i < n; i++) {
        sum += (double)(i + 1) * m[i].rel_l2;
        GDN_CHECK(i == 0 || m[i].seed > m[i - 1].seed ||
                      (m[i].seed == m[i - 1].seed && m[i].head > m[i - 1].head),
                  "seeds and heads are out of order");
    }
    snprintf(line, size, "%s %s %lld %zu %a", k->population, k->profile, (long long)k->to, n, sum);
    return GDN_OK;
}

static void group_all(size_t most, char *out, size_t size)
{
    static const char *const populations[] = {"b", "a", "c"}, *const profiles[] = {"y", "x"};
    gdn_grouping *g;
    GDN_CHECK(gdn_grouping_open(&g, most, &err) == GDN_OK, "%s", err.text);
    for (int i = 0; i < 3 * 2 * 5 * 40; i++) {
        int j = (int)((int64_t)i * 7919 % 1200); /* any order */
        gdn_row r = ROW(.population = populations[j % 3], .profile = profiles[j / 3 % 2], .to = 1 + j / 6 % 5,
                        .seed = j / 30 / 8, .head = j / 30 % 8, .rel_l2 = 1.0 / (1 + j));
        GDN_CHECK(gdn_grouping_add(g, &r, &err) == GDN_OK, "%s", err.text);
    }
    FILE *f = fmemopen(out, size, "w");
    GDN_CHECK(f && gdn_grouping_write(g, count_line, f, &err) == GDN_OK && fclose(f) == 0, "%s", err.text);
    gdn_grouping_close(g);
}

START_TEST(groups_through_files)
{
    static char whole[1 << 14], parts[1 << 14];
    group_all(0, whole, sizeof whole);
    ck_assert(strncmp(whole, "a x 1 40 ", 9) == 0);
    /* 100 rows: 2 groups a part; 50: one; 30: less than a group */
    static const size_t most[] = {1200, 1199, 100, 50, 30};
    for (size_t i = 0; i < sizeof most / sizeof most[0]; i++) {
        group_all(most[i], parts, sizeof parts);
        GDN_CHECK(is(whole, parts), "%zu rows in memory:\n%s\nnot\n%s", most[i], parts, whole);
    }
}
END_TEST

GDN_TASK_TEST_MAIN("grouping", groups_through_files, full, no_file, cut_short)
