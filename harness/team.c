/* SPDX-License-Identifier: Apache-2.0 */
/* team -- an engine's heads over threads; see team.h. */
#include "harness/team.h"

#include <stdlib.h>

/* x + n, or NULL. */
#define SKIP(x, n) ((x) ? (x) + (n) : NULL)

gdn_block gdn_block_from(const gdn_block *in, gdn_shape shape, int skip)
{
    size_t n = (size_t)skip * (size_t)in->tokens, dk = (size_t)shape.dk, dv = (size_t)shape.dv;
    return (gdn_block){.first = in->first,
                       .tokens = in->tokens,
                       .q = SKIP(in->q, n * dk),
                       .k = SKIP(in->k, n * dk),
                       .v = SKIP(in->v, n * dv),
                       .z = SKIP(in->z, n * dv),
                       .a = SKIP(in->a, n),
                       .g = SKIP(in->g, n),
                       .b = SKIP(in->b, n),
                       .beta = SKIP(in->beta, n)};
}

static gdn_outputs outputs_from(const gdn_outputs *out, size_t rows, size_t columns)
{
    size_t n = rows * columns;
    return (gdn_outputs){.g = SKIP(out->g, rows),
                         .g_lo = SKIP(out->g_lo, rows),
                         .alpha = SKIP(out->alpha, rows),
                         .alpha_lo = SKIP(out->alpha_lo, rows),
                         .o = SKIP(out->o, n),
                         .o_lo = SKIP(out->o_lo, n),
                         .y = SKIP(out->y, n),
                         .y_lo = SKIP(out->y_lo, n),
                         .ms = SKIP(out->ms, rows),
                         .ms_lo = SKIP(out->ms_lo, rows)};
}

/* The first head of a part. */
static int first_head(const gdn_team *t, int part)
{
    return (int)((int64_t)t->setup.shape.heads * part / t->parts);
}

/* Open every part on its heads of the setup. */
static gdn_status open_parts(gdn_team *t, gdn_error *err)
{
    const gdn_setup *setup = &t->setup;
    gdn_status status = GDN_OK;
    for (int i = 0; i < t->parts && !status; i++) {
        int head = first_head(t, i);
        gdn_setup part = *setup;
        part.shape.heads = first_head(t, i + 1) - head;
        part.head0 += head;
        part.params.decay = SKIP(setup->params.decay, head);
        part.params.dt_bias = SKIP(setup->params.dt_bias, head);
        part.state0 = SKIP(setup->state0, (size_t)head * (size_t)setup->shape.dk * (size_t)setup->shape.dv);
        status = t->engine->open(&t->self[i], &part, err);
    }
    return status;
}

gdn_status gdn_team_open(gdn_team *t, const gdn_engine *engine, const gdn_setup *setup, int parts,
                         gdn_error *err)
{
    int heads = setup->shape.heads;
    parts = parts < GDN_TEAM_MAX ? parts : GDN_TEAM_MAX;
    *t = (gdn_team){.engine = engine,
                    .parts = parts < heads ? parts : heads,
                    .setup = *setup,
                    .columns = setup->columns ? setup->ncolumns : setup->shape.dv};
    if (!(t->self = gdn_calloc((size_t)t->parts, sizeof *t->self)))
        return gdn_no_memory(err, "engines");
    return open_parts(t, err);
}

gdn_status gdn_team_restart(gdn_team *t, gdn_error *err)
{
    for (int i = 0; i < t->parts; i++) {
        t->engine->close(t->self[i]);
        t->self[i] = NULL;
    }
    return open_parts(t, err);
}

/* The first failure of several. */
static gdn_status first_of(const gdn_status *status, const gdn_error *own, int n, gdn_error *err)
{
    for (int i = 0; i < n; i++)
        if (status[i]) {
            *err = own[i];
            return status[i];
        }
    return GDN_OK;
}

gdn_status gdn_team_advance(const gdn_team *t, const gdn_block *in, const gdn_outputs *out, gdn_error *err)
{
    if (t->parts == 1)
        return t->engine->advance(t->self[0], in, out, err);
    gdn_status status[GDN_TEAM_MAX] = {GDN_OK};
    gdn_error own[GDN_TEAM_MAX];
#pragma omp parallel for num_threads(t->parts) schedule(static, 1)
    for (int i = 0; i < t->parts; i++) {
        int head = first_head(t, i);
        gdn_block block = gdn_block_from(in, t->setup.shape, head);
        gdn_outputs to = outputs_from(out, (size_t)head * (size_t)in->tokens, (size_t)t->columns);
        status[i] = t->engine->advance(t->self[i], &block, &to, &own[i]);
    }
    return first_of(status, own, t->parts, err);
}

gdn_status gdn_team_read_state(const gdn_team *t, double *hi, double *lo, gdn_error *err)
{
    gdn_status status = GDN_OK;
    for (int i = 0; i < t->parts && !status; i++) {
        size_t skip = (size_t)first_head(t, i) * (size_t)t->setup.shape.dk * (size_t)t->columns;
        status = t->engine->read_state(t->self[i], hi + skip, SKIP(lo, skip), err);
    }
    return status;
}

void gdn_team_close(gdn_team *t)
{
    for (int i = 0; t->self && i < t->parts; i++)
        t->engine->close(t->self[i]);
    free(t->self);
    *t = (gdn_team){.engine = NULL};
}
