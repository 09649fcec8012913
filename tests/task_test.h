/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task_test -- what the tests of tasks share: experiments from text, their rows, tensors written to a file,
 * and a directory for both.
 */
#ifndef GDN_TESTS_TASK_TEST_H
#define GDN_TESTS_TASK_TEST_H

#include <stdarg.h>
#include <unistd.h>

#include "base/inputs.h"
#include "harness/backend.h"
#include "harness/experiment.h"
#include "harness/row.h"
#include "harness/task.h"
#include "tests/gdn_test.h"

static char scratch[64]; /* a directory of this run's own */

/* ---- experiments from text ---- */

/* The text printf-style, loaded. */
__attribute__((format(printf, 1, 2))) static inline gdn_experiment *experiment(const char *format, ...)
{
    static char text[1 << 16];
    char path[128];
    gdn_experiment *e = NULL;
    gdn_error err = {""};
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(path, sizeof path, "%s/x.yaml", scratch);
    FILE *f = fopen(path, "w");
    GDN_CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0, "cannot write %s", path);
    GDN_CHECK(gdn_inputs_init(&err) == GDN_OK, "%s", err.text);
    GDN_CHECK(gdn_experiment_load(path, &e, &err) == GDN_OK, "%s\nin\n%s", err.text, text);
    return e;
}

static inline gdn_task *tasks_of(const gdn_experiment *e, int *count)
{
    gdn_task *tasks = NULL;
    gdn_error err = {""};
    GDN_CHECK(gdn_tasks_make(e, &gdn_backend_cpu, &tasks, count, &err) == GDN_OK, "%s", err.text);
    return tasks;
}

/* Rows of task `index`; every run of a test may keep its own. */
static inline gdn_rows rows_of(const gdn_experiment *e, int index)
{
    gdn_rows rows;
    gdn_error err = {""};
    int count;
    gdn_task *tasks = tasks_of(e, &count);
    GDN_CHECK(index < count, "%d tasks", count);
    GDN_CHECK(gdn_task_run(&tasks[index], NULL, NULL, &rows, &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(rows.count > 0, "no rows");
    free(tasks);
    return rows;
}

/* The one row that these words and numbers single out. */
static inline const gdn_row *row_of(const gdn_rows *rows, const char *profile, const char *quantity,
                                    const char *kind, int64_t from, int64_t to, int64_t head)
{
    const gdn_row *found = NULL;
    for (int64_t i = 0; i < rows->count; i++) {
        const gdn_row *r = &rows->row[i];
        if (strcmp(r->profile, profile) || strcmp(r->quantity, quantity) || strcmp(r->kind, kind) ||
            r->from != from || r->to != to || r->head != head)
            continue;
        GDN_CHECK(!found, "two rows of %s, %s, %s, [%lld, %lld]", profile, quantity, kind, (long long)from,
                  (long long)to);
        found = r;
    }
    GDN_CHECK(found, "no row of %s, %s, %s, [%lld, %lld], head %lld", profile, quantity, kind,
              (long long)from, (long long)to, (long long)head);
    return found;
}

/* A row in words, for messages. */
static inline const char *name_of(const gdn_row *r)
{
    static char text[512];
    snprintf(text, sizeof text,
             "%s, %s of %s, [%lld, %lld], head %lld, %s: rel_l2 %a, bias %a, uncertainty %a, %s", r->profile,
             r->kind, r->quantity, (long long)r->from, (long long)r->to, (long long)r->head, r->reference,
             r->rel_l2, r->bias, r->uncertainty, r->flag);
    return text;
}

static inline bool is(const char *word, const char *other)
{
    return strcmp(word, other) == 0;
}

/* Columns that depend on what ran beside this row: how the fp64 ladder was witnessed. */
static inline bool witnessed_column(const gdn_column *c)
{
    return is(c->name, "uncertainty") || is(c->name, "certified");
}

/* Fails unless two rows agree in every column, bit for bit. */
static inline void same_row(const gdn_row *x, const gdn_row *y, bool all)
{
    for (int i = 0; i < gdn_column_count; i++) {
        const gdn_column *c = &gdn_columns[i];
        const char *a = (const char *)x + c->offset, *b = (const char *)y + c->offset;
        const char *s, *t;
        double u, v;
        if (!all && witnessed_column(c))
            continue;
        switch (c->type) {
        case GDN_COLUMN_TEXT:
            memcpy(&s, a, sizeof s);
            memcpy(&t, b, sizeof t);
            GDN_CHECK(is(s, t), "%s: '%s', not '%s' in %s", c->name, s, t, name_of(x));
            break;
        case GDN_COLUMN_REAL:
            memcpy(&u, a, sizeof u);
            memcpy(&v, b, sizeof v);
            GDN_CHECK(gdn_same(u, v), "%s: %a, not %a in %s", c->name, u, v, name_of(x));
            break;
        default:
            GDN_CHECK(memcmp(a, b, sizeof(int64_t)) == 0, "%s differs in %s", c->name, name_of(x));
        }
    }
}

/* ---- files ---- */

/* A tensor of a safetensors file in the making. */
typedef struct tensor {
    const char *name;
    int rank, dim[4];
    const float *x;
} tensor;

/* Write fp32 tensors as scratch/name. */
static inline void write_tensors(const char *name, const tensor *t, int n)
{
    char header[4096], path[128];
    size_t used = (size_t)sprintf(header, "{"), at = 0, sizes[16];
    for (int i = 0; i < n; i++) {
        sizes[i] = 1;
        used += (size_t)sprintf(header + used, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[", i ? "," : "",
                                t[i].name);
        for (int d = 0; d < t[i].rank; d++) {
            used += (size_t)sprintf(header + used, "%s%d", d ? "," : "", t[i].dim[d]);
            sizes[i] *= (size_t)t[i].dim[d];
        }
        used += (size_t)sprintf(header + used, "],\"data_offsets\":[%zu,%zu]}", at, at + 4 * sizes[i]);
        at += 4 * sizes[i];
    }
    used += (size_t)sprintf(header + used, "}");
    uint64_t length = used; /* tests run on little-endian machines */
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    FILE *f = fopen(path, "wb");
    GDN_CHECK(f && fwrite(&length, 8, 1, f) == 1 && fwrite(header, 1, used, f) == used, "cannot write %s",
              path);
    for (int i = 0; i < n; i++)
        GDN_CHECK(fwrite(t[i].x, 4, sizes[i], f) == sizes[i], "cannot write %s", path);
    GDN_CHECK(fclose(f) == 0, "cannot write %s", path);
}

/* ---- the program ---- */

/* Run tests in a scratch directory of their own. */
static inline int gdn_task_test_run(const char *name, const TTest *const *tests, size_t n)
{
    if (!gdn_test_scratch(scratch, sizeof scratch, name))
        return EXIT_FAILURE;
    int status = gdn_test_run(name, tests, n);
    gdn_test_remove(scratch);
    return status;
}

#define GDN_TASK_TEST_MAIN(name, ...)                                                                        \
    int main(void)                                                                                           \
    {                                                                                                        \
        const TTest *const tests[] = {__VA_ARGS__};                                                          \
        return gdn_task_test_run(name, tests, sizeof tests / sizeof tests[0]);                               \
    }

#endif
