/* SPDX-License-Identifier: Apache-2.0 */
/* task_memory -- what a task takes of a machine, and whether this one has it; see task.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/lockstep.h"

static bool same_chain(const gdn_chain *a, const gdn_chain *b)
{
    return a->n == b->n && memcmp(a->link, b->link, (size_t)a->n * sizeof *a->link) == 0;
}

/* Do two profiles store any parameters alike? */
static bool same_storage(const gdn_profile *a, const gdn_profile *b)
{
    return a->store_a == b->store_a && a->zero_centred == b->zero_centred && a->alpha == b->alpha &&
           same_chain(&a->a_log, &b->a_log) && same_chain(&a->dt_bias, &b->dt_bias) &&
           same_chain(&a->norm_weight, &b->norm_weight);
}

/* In how many ways the profiles store parameters; n, which is never too few, where memory is out. */
static double ways_of_storing(const gdn_experiment *e, char **names, unsigned n)
{
    const gdn_profile **way = gdn_calloc(n, sizeof *way);
    unsigned ways = 0;
    for (unsigned i = 0; i < n && way; i++) {
        const gdn_profile *p = &e->profiles[gdn_experiment_profile(e, names[i])];
        unsigned j = 0;
        while (j < ways && !same_storage(way[j], p))
            j++;
        if (j == ways)
            way[ways++] = p;
    }
    double count = way ? ways : n;
    free(way);
    return count;
}

/*
 * For each set of stored parameters a trace of all columns and one of the checked ones in pairs, for each
 * profile its state, for each engine the rows of a block once more as scratch.
 */
double gdn_task_bytes(const gdn_task *task)
{
    const gdn_experiment *e = task->experiment;
    const gdn_population *p = &e->file->populations[task->population];
    char **names = p->profiles ? p->profiles : e->file->profiles;
    double profiles = p->profiles ? p->profiles_count : e->file->profiles_count,
           sets = 1 + ways_of_storing(e, names, (unsigned)profiles);
    double heads = task->shape.heads, dk = task->shape.dk, dv = task->shape.dv,
           checked = task->tokens <= GDN_CERTIFY_ALL ? dv : e->check_columns,
           block = task->block < task->tokens ? task->block : (double)task->tokens;
    double row = 8 * (2 * dv + 8), check_row = 16 * (2 * checked + 8), input = 4 * (2 * dk + 2 * dv + 4);
    double states = 8 * dk * (sets * (2 * dv + 4 * checked) + profiles * dv);
    if (p->initial_scale > 0 || (p->file && p->file->initial_state))
        states += 8 * dk * dv;
    double scratch = (2 * sets + profiles) * 8 * (dk + dv);
    double sums = (sets + profiles) * 4 * GDN_QUANTITIES * (double)sizeof(gdn_accumulator);
    bool chunked = false; /* kernels/chunked.cu takes 512 MB for the chunks in flight, at most */
    for (unsigned i = 0; i < (unsigned)profiles; i++) {
        chunked |= e->profiles[gdn_experiment_profile(e, names[i])].recipe.algorithm != GDN_RECURRENT;
    }
    return heads * (states + sums + block * (input + sets * (row + check_row) + row + scratch)) +
           (chunked ? 512 << 20 : 0);
}

/* As its inputs have it; before they were looked at, as the experiment does. */
static gdn_shape shape_of(const gdn_task *task)
{
    const gdn_experiment_file *f = task->experiment->file;
    return task->tokens ? task->shape
                        : (gdn_shape){(int)f->populations[task->population].heads, (int)f->dk, (int)f->dv};
}

/* Bytes of each head's states at the least: of one reference, its trace, and of every profile; none where
 * only gates are wanted. wanted: how many quantities. */
static double head_states(const gdn_task *task, unsigned profiles, unsigned *wanted)
{
    const gdn_experiment *e = task->experiment;
    const gdn_population *p = &e->file->populations[task->population];
    const gdn_quantity *q = p->quantities ? p->quantities : e->file->quantities;
    unsigned n = p->quantities ? p->quantities_count : e->file->quantities_count;
    bool recurrence = n == 0;
    for (unsigned i = 0; i < n; i++)
        recurrence |= q[i] != GDN_Q_G && q[i] != GDN_Q_DECAY;
    *wanted = n ? n : GDN_QUANTITIES;
    const gdn_shape shape = shape_of(task);
    return recurrence ? 8.0 * shape.dk * shape.dv * (2 + 0.5 * profiles + (p->initial_scale > 0)) : 0;
}

static gdn_status too_much(const gdn_task *task, double bytes, double room, gdn_error *err)
{
    const gdn_shape shape = shape_of(task);
    const gdn_experiment *e = task->experiment;
    const gdn_population *p = &e->file->populations[task->population];
    char path[64], over[64] = "";
    snprintf(path, sizeof path, "populations/%u/%s", p->entry,
             p->file         ? "file"
             : p->checkpoint ? "checkpoint"
                             : "heads");
    if (task->tokens)
        snprintf(over, sizeof over, " over %" PRId64 " tokens", task->tokens);
    return gdn_fail(
        err, GDN_BAD_INPUT,
        "%s:%d: %s: %d heads of %d x %d%s with %u profiles take more than %.0f GB; this machine has "
        "%.0f GB",
        e->path, gdn_yaml_line(e->text, path), path, shape.heads, shape.dk, shape.dv, over,
        p->profiles ? p->profiles_count : e->file->profiles_count, bytes / 1e9, room / 1e9);
}

static double machine_memory(void)
{
    return (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
}

gdn_status gdn_task_runnable(const gdn_task *task, gdn_error *err)
{
    const gdn_experiment *e = task->experiment;
    const gdn_population *p = &e->file->populations[task->population];
    char **names = p->profiles ? p->profiles : e->file->profiles;
    unsigned n = p->profiles ? p->profiles_count : e->file->profiles_count, wanted;
    for (unsigned i = 0; i < n; i++)
        if (!task->backend->mode(&e->profiles[gdn_experiment_profile(e, names[i])].recipe))
            return gdn_fail(err, GDN_BAD_INPUT,
                            "%s: profile '%s' computes with CUDA's own functions and needs --backend cuda",
                            e->path, names[i]);
    double bytes = p->file ? 0 : p->heads * head_states(task, n, &wanted), room = machine_memory();
    return bytes > room ? too_much(task, bytes, room, err) : GDN_OK;
}

gdn_status gdn_task_fits(const gdn_task *task, gdn_error *err)
{
    const gdn_experiment *e = task->experiment;
    const gdn_population *p = &e->file->populations[task->population];
    unsigned n = p->profiles ? p->profiles_count : e->file->profiles_count, wanted;
    double states = head_states(task, n, &wanted),
           series = GDN_SERIES_PER_SET + GDN_SERIES_PER_SUBJECT * (double)(n + p->recorded_count),
           sums = series * wanted * task->stops * (double)sizeof(gdn_sums),
           bytes = task->shape.heads * (states + sums), room = machine_memory();
    return bytes > room ? too_much(task, bytes, room, err) : GDN_OK;
}
