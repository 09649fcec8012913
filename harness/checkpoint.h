/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint -- a model's weights as they lie on disk: one safetensors file, or a folder with
 * model.safetensors or with shards and their index, and config.json where there is one.
 *
 * Only headers are read on opening; a tensor's data are read when they are asked for, so that a checkpoint of
 * any size opens in the time that its headers take. Everything in it is untrusted: names may hold anything,
 * an index may name shards of its own folder only, and every tensor that it lists must be where it says.
 */
#ifndef GDN_HARNESS_CHECKPOINT_H
#define GDN_HARNESS_CHECKPOINT_H

#include <jansson.h>

#include "harness/safetensors.h"

typedef struct gdn_shard {
    const char *name; /* within the folder; of a lone file its last component */
    const char *path;
    const gdn_safetensors *file;
} gdn_shard;

/* One tensor and the shard that holds it. */
typedef struct gdn_checkpoint_tensor {
    const gdn_tensor *tensor;
    int shard;
} gdn_checkpoint_tensor;

typedef struct gdn_checkpoint {
    const char *path;         /* as given */
    const char *architecture; /* architectures[0] of config.json, or NULL */
    json_t *config;           /* config.json, or NULL */
    json_t *index;            /* the index, or NULL */
    const char *index_name;   /* its file name, or NULL */
    gdn_shard *shard;         /* [shards] by name */
    int shards;
    gdn_checkpoint_tensor *tensor; /* [tensors] by name, natural order: layer 2 comes before layer 10 */
    size_t tensors;
} gdn_checkpoint;

/*
 * Open the checkpoint at `path`: a .safetensors file (a config.json beside it is read too), an index
 * (*.safetensors.index.json), or a folder. *out is to be closed, and is NULL on failure. GDN_BAD_INPUT, with
 * file and byte offset or field, for whatever is not well formed; GDN_MACHINE where memory or the disk fails.
 */
gdn_status gdn_checkpoint_open(const char *path, gdn_checkpoint **out, gdn_error *err);
void gdn_checkpoint_close(gdn_checkpoint *c); /* NULL is fine */

/* The tensor called `name`, or NULL. */
const gdn_checkpoint_tensor *gdn_checkpoint_find(const gdn_checkpoint *c, const char *name);

#endif
