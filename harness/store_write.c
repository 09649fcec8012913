/* SPDX-License-Identifier: Apache-2.0 */
/* store_write -- a task into the store: from rows, or from another store; see store.h. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "harness/store_parts.h"
#include "harness/store_seal.h"

static void bind(sqlite3_stmt *q, int index, const gdn_column *column, const gdn_row *row)
{
    const void *field = (const char *)row + column->offset;
    switch (column->type) {
    case GDN_COLUMN_ID:
    case GDN_COLUMN_INT:
        sqlite3_bind_int64(q, index, *(const int64_t *)field);
        break;
    case GDN_COLUMN_TEXT:
        sqlite3_bind_text(q, index, *(const char *const *)field, -1, SQLITE_STATIC);
        break;
    case GDN_COLUMN_REAL:
        if (isnan(*(const double *)field))
            sqlite3_bind_null(q, index);
        else
            sqlite3_bind_double(q, index, *(const double *)field);
        break;
    }
}

/* What one of the further checksums covers: 1 and 2 of gdn_cover. */
static gdn_status insert_sum(gdn_store *s, const char *task, int cover, const gdn_checksum *sum,
                             gdn_error *err)
{
    sqlite3_stmt *q = NULL;
    gdn_status status = gdn_store_prepare(s, "INSERT INTO sums VALUES (?,?,?,?)", &q, err);
    if (status)
        return status;
    sqlite3_bind_text(q, 1, task, -1, SQLITE_STATIC);
    sqlite3_bind_int(q, 2, cover);
    sqlite3_bind_int64(q, 3, sum->rows);
    sqlite3_bind_text(q, 4, sum->sum, -1, SQLITE_STATIC);
    if (sqlite3_step(q) != SQLITE_DONE)
        status = gdn_store_failed(s, "write to the store", err);
    sqlite3_finalize(q);
    return status;
}

static gdn_status insert_origin(gdn_store *s, const char *task, const gdn_origin *o, gdn_error *err)
{
    const char *const texts[] = {o->build, o->backend, o->device, o->shard};
    sqlite3_stmt *q = NULL;
    gdn_status status = gdn_store_prepare(s, "INSERT INTO origin VALUES (?,?,?,?,?,?,?)", &q, err);
    if (status)
        return status;
    sqlite3_bind_text(q, 1, task, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 2, o->commit, -1, SQLITE_STATIC);
    sqlite3_bind_int(q, 3, o->dirty);
    for (int i = 0; i < 4; i++)
        sqlite3_bind_text(q, 4 + i, texts[i] ? texts[i] : "", -1, SQLITE_STATIC);
    if (sqlite3_step(q) != SQLITE_DONE)
        status = gdn_store_failed(s, "write to the store", err);
    sqlite3_finalize(q);
    return status;
}

static gdn_status insert_row(gdn_store *s, const char *task, const gdn_row *row, gdn_error *err)
{
    gdn_status status = GDN_OK;
    sqlite3_bind_text(s->insert, 1, task, -1, SQLITE_STATIC);
    for (int c = 0; c < gdn_column_count; c++)
        bind(s->insert, c + 2, &gdn_columns[c], row);
    if (sqlite3_step(s->insert) != SQLITE_DONE)
        status = gdn_store_failed(s, "write to the store", err);
    sqlite3_reset(s->insert);
    return status;
}

/* What is kept of a task beside its rows. */
static gdn_status insert_record(gdn_store *s, const gdn_task_record *record, const gdn_checksum *sum,
                                gdn_error *err)
{
    sqlite3_stmt *q = NULL;
    gdn_status status = gdn_store_prepare(s, "INSERT INTO tasks VALUES (?,?,?,?,?,?)", &q, err);
    if (status)
        return status;
    sqlite3_bind_text(q, 1, record->task, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 2, record->population, -1, SQLITE_STATIC);
    sqlite3_bind_int64(q, 3, record->seed);
    sqlite3_bind_int64(q, 4, sum[GDN_COVER_ALL].rows);
    sqlite3_bind_text(q, 5, sum[GDN_COVER_ALL].sum, -1, SQLITE_STATIC);
    sqlite3_bind_double(q, 6, record->seconds);
    if (sqlite3_step(q) != SQLITE_DONE)
        status = gdn_store_failed(s, "write to the store", err);
    sqlite3_finalize(q);
    for (int c = GDN_COVER_ALL + 1; c < GDN_COVERS && !status; c++)
        status = insert_sum(s, record->task, c, &sum[c], err);
    if (!status && record->origin.commit)
        status = insert_origin(s, record->task, &record->origin, err);
    if (!status && gdn_store_put_seal(s->db, record->task) != SQLITE_OK)
        status = gdn_store_failed(s, "write to the store", err);
    return status;
}

gdn_status gdn_store_commit(gdn_store *s, const gdn_task_record *record, const gdn_row *rows, int64_t n,
                            gdn_error *err)
{
    gdn_checksum own[GDN_COVERS];
    const bool summed = record->sum[GDN_COVER_ALL].sum[0] != 0;
    const gdn_checksum *sum = summed ? record->sum : own;
    gdn_status status = summed ? GDN_OK : gdn_rows_checksum(rows, n, own, err);
    if (!status)
        status = gdn_store_execute(s, "BEGIN IMMEDIATE", "write to the store", err);
    if (status)
        return status;
    bool found = false;
    status = gdn_store_has(s, record->task, &found, err);
    if (!status && found)
        status = gdn_fail(err, GDN_BAD_INPUT,
                          "%s: another gdnprec has written task %s in the meantime; run again to go on",
                          s->path, record->task);
    for (int64_t i = 0; i < n && !status; i++)
        status = insert_row(s, record->task, &rows[i], err);
    if (!status)
        status = insert_record(s, record, sum, err);
    if (!status)
        status = gdn_store_execute(s, "COMMIT", "commit to the store", err);
    if (status)
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

/* ---- from store to store ---- */

/* Rows on their way: summed, and written to `to` where there is one. */
typedef struct passage {
    gdn_store *to;
    const char *task;
    gdn_summing *sum;
} passage;

static gdn_status pass(void *context, const gdn_row *row, gdn_error *err)
{
    passage *p = context;
    gdn_summing_add(p->sum, row);
    return p->to ? insert_row(p->to, p->task, row, err) : GDN_OK;
}

/* All rows of a task through the passage; GDN_DIFFERS where they do not give the checksums of the record.
 * sum: what they give. */
static gdn_status pass_all(passage *p, gdn_store *from, const gdn_task_record *record, gdn_checksum *sum,
                           gdn_error *err)
{
    gdn_status status = gdn_summing_open(&p->sum, err);
    if (status)
        return status;
    status = gdn_store_rows(from, &p->task, 1, GDN_STORE_BY_CELL, pass, p, err);
    gdn_summing_close(p->sum, sum);
    for (int c = 0; c < GDN_COVERS && !status; c++)
        if ((c == GDN_COVER_ALL || record->sum[c].sum[0]) &&
            (record->sum[c].rows != sum[c].rows || strcmp(record->sum[c].sum, sum[c].sum) != 0))
            status =
                gdn_fail(err, GDN_DIFFERS,
                         "%.300s: %s, seed %" PRId64 " (task %s): its rows do not give the checksum that was "
                         "kept of them: the store is damaged",
                         from->path, record->population, record->seed, p->task);
    return status;
}

/* The record of a task that must be there. */
static gdn_status wanted_record(gdn_store *s, const char *task, gdn_task_record *record, gdn_error *err)
{
    bool found;
    gdn_status status = gdn_store_task(s, task, record, &found, err);
    return status || found ? status : gdn_fail(err, GDN_BAD_INPUT, "%s: there is no task %s", s->path, task);
}

gdn_status gdn_store_check(gdn_store *s, const char *task, gdn_error *err)
{
    gdn_task_record record;
    gdn_checksum sum[GDN_COVERS];
    passage p = {.task = task};
    gdn_status status = wanted_record(s, task, &record, err);
    return status ? status : pass_all(&p, s, &record, sum, err);
}

gdn_status gdn_store_take(gdn_store *s, gdn_store *from, const char *task, gdn_error *err)
{
    gdn_task_record record;
    gdn_checksum sum[GDN_COVERS];
    passage p = {.to = s, .task = task};
    gdn_status status = wanted_record(from, task, &record, err);
    if (!status)
        status = gdn_store_execute(s, "BEGIN IMMEDIATE", "write to the store", err);
    if (status)
        return status;
    status = pass_all(&p, from, &record, sum, err);
    if (!status)
        status = insert_record(s, &record, sum, err);
    if (!status)
        status = gdn_store_execute(s, "COMMIT", "commit to the store", err);
    if (status)
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return status == GDN_DIFFERS ? GDN_BAD_INPUT : status;
}
