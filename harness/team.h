/* SPDX-License-Identifier: Apache-2.0 */
/*
 * team -- one engine whose heads are shared out over threads: heads are independent, so the parts are engines
 * of their own and the results are those of one engine.
 */
#ifndef GDN_HARNESS_TEAM_H
#define GDN_HARNESS_TEAM_H

#include "base/engine.h"

/* Threads that share the heads of a task at most. */
enum { GDN_TEAM_MAX = 64 };

typedef struct gdn_team {
    const gdn_engine *engine; /* NULL: not opened */
    void **self;              /* [parts] */
    int parts;
    gdn_setup setup; /* of all parts together */
    int columns;     /* value columns that it runs */
} gdn_team;

/* Open `engine` on the setup in at most `parts` parts of about as many heads each. */
gdn_status gdn_team_open(gdn_team *team, const gdn_engine *engine, const gdn_setup *setup, int parts,
                         gdn_error *err);

/* Start anew: close the parts and open them again on the same setup. */
gdn_status gdn_team_restart(gdn_team *team, gdn_error *err);

/* As the engine's own; parts run side by side. */
gdn_status gdn_team_advance(const gdn_team *team, const gdn_block *in, const gdn_outputs *out,
                            gdn_error *err);
gdn_status gdn_team_read_state(const gdn_team *team, double *hi, double *lo, gdn_error *err);
void gdn_team_close(gdn_team *team);

/* Heads from `skip` on of a block. */
gdn_block gdn_block_from(const gdn_block *in, gdn_shape shape, int skip);

#endif
