/* SPDX-License-Identifier: Apache-2.0 */
/* source_recorded -- outputs recorded elsewhere, as an engine; see source.h. */
#include <stdlib.h>

#include "harness/source.h"

typedef struct replay {
    const gdn_recorded *r;
    gdn_shape shape;
    int64_t done; /* tokens so far, of all sequences: a block counts those of its own */
} replay;

static gdn_status replay_open(void **self, const gdn_setup *setup, gdn_error *err)
{
    replay *e = *self = gdn_calloc(1, sizeof *e);
    if (!e)
        return gdn_no_memory(err, "recorded outputs");
    e->r = setup->recipe;
    e->shape = setup->shape;
    return GDN_OK;
}

gdn_format_id gdn_recorded_format(const gdn_recorded *r, gdn_quantity q)
{
    static const gdn_format_id formats[GDN_DTYPES] = {
        [GDN_DTYPE_F64] = GDN_FP64,  [GDN_DTYPE_F32] = GDN_FP32,     [GDN_DTYPE_F16] = GDN_FP16,
        [GDN_DTYPE_BF16] = GDN_BF16, [GDN_DTYPE_F8_E4M3] = GDN_E4M3, [GDN_DTYPE_F8_E5M2] = GDN_E5M2};
    const gdn_view *const views[GDN_QUANTITIES] = {[GDN_Q_G] = r->g, [GDN_Q_O] = r->o, [GDN_Q_Y] = r->y};
    const gdn_tensor *t = views[q] ? views[q]->tensor : r->state;
    if (r->spec->output)
        return (gdn_format_id)r->spec->output;
    return t ? formats[t->dtype] : GDN_FP32;
}

/* What was not recorded is left alone. */
static gdn_status replay_advance(void *self, const gdn_block *in, const gdn_outputs *out, gdn_error *err)
{
    replay *e = self;
    const gdn_cut cut = {e->done, in->tokens, 0, e->shape.heads};
    const struct {
        const gdn_view *from;
        double *to;
    } all[] = {{e->r->g, out->g}, {e->r->o, out->o}, {e->r->y, out->y}};
    gdn_status status = GDN_OK;
    for (size_t i = 0; i < sizeof all / sizeof all[0] && !status; i++)
        if (all[i].from && all[i].to)
            status = gdn_view_doubles(all[i].from, &cut, all[i].to, err);
    e->done += in->tokens;
    return status;
}

static gdn_status replay_read_state(void *self, double *hi, double *lo, gdn_error *err)
{
    const replay *e = self;
    (void)lo;
    return gdn_view_states(e->r->state, e->r->state_layout, e->shape, hi, err);
}

const gdn_engine gdn_recorded_engine = {
    .name = "recorded",
    .summary = "outputs read from a file, somebody else's kernel",
    .pairs = false,
    .open = replay_open,
    .advance = replay_advance,
    .read_state = replay_read_state,
    .close = free,
};
