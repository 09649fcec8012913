/* SPDX-License-Identifier: Apache-2.0 */
/* origin -- which program made the rows of a store: several, where a run was resumed after an update, or
 * merged. */
#ifndef GDN_HARNESS_ORIGIN_H
#define GDN_HARNESS_ORIGIN_H

#include <jansson.h>

#include "harness/store.h"

/* This program; backend, device and shard are "". */
gdn_origin gdn_origin_here(void);

/* Certainly the same program: one file of it, or one commit without changes. */
bool gdn_origin_same(const gdn_origin *x, const gdn_origin *y);

/* "commit 1a2b3c4, with changes". */
const char *gdn_origin_text(const gdn_origin *o, char *out, size_t size);

/* [{commit, dirty, build, backend, device, tasks}, ..] of these tasks, as far as they are there. */
gdn_status gdn_origins_json(gdn_store *s, const char *const *ids, int n, json_t **out, gdn_error *err);

#endif
