/* SPDX-License-Identifier: Apache-2.0 */
/* lockstep_sequence -- where one packed sequence ends and the next begins; see lockstep.h. */
#include "harness/lockstep.h"

static gdn_status restart_level(const gdn_lockstep *l, gdn_level *level, gdn_error *err)
{
    if (!level->engine)
        return GDN_OK;
    gdn_status status = gdn_team_restart(&level->team, err);
    return status ? status : gdn_lockstep_ones(l->backend, level->trace.product, (size_t)level->heads, err);
}

gdn_status gdn_lockstep_next_sequence(gdn_lockstep *l, int64_t done, gdn_error *err)
{
    const gdn_source *s = l->source;
    gdn_status status = GDN_OK;
    if (l->sequence >= s->sequence_count || done != s->sequences[l->sequence])
        return GDN_OK;
    l->sequence++;
    l->begin = done;
    for (int i = 0; i < l->sets && !status; i++)
        for (int x = 0; x < GDN_LEVELS && !status; x++)
            status = restart_level(l, &l->set[i].level[x], err);
    for (int p = 0; p < l->subjects && !status; p++)
        if (!l->subject[p].recorded) /* recorded outputs go on where they are */
            status = gdn_team_restart(&l->subject[p].team, err);
    if (!status)
        status =
            gdn_lockstep_ones(l->backend, l->products, (size_t)l->subjects * (size_t)s->shape.heads, err);
    return status;
}
