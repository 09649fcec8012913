/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert -- a checkpoint under another precision contract: keys, dtypes and values of the GDN parameters
 * change, all else is copied byte for byte, shard by shard.
 *
 * Per tensor: first the storage chain that was asked for (--store), then what the contract does to key and
 * dtype. A contract that widens to F32 notes the dtype from before in the file's __metadata__ under
 * gdn_convert_note, by plain key; the contract `hf` puts it back where every value still fits, so that there
 * and back is byte-identical and no value is ever lost. A file of somebody else's has no such note: its
 * dtypes stay.
 */
#ifndef GDN_HARNESS_CONVERT_H
#define GDN_HARNESS_CONVERT_H

#include <signal.h>
#include <stdbool.h>

#include "harness/checkpoint.h"
#include "harness/contract.h"
#include "harness/convert_cast.h"

typedef enum gdn_contract_keys { GDN_KEYS_KEPT, GDN_KEYS_ROUTED, GDN_KEYS_STRIPPED } gdn_contract_keys;

/* What a contract does: rows of data. */
typedef struct gdn_contract {
    const char *name, *summary;
    gdn_contract_keys keys;
    bool widened[GDN_PARAMS]; /* to F32; wider ones stay */
    bool restored;            /* the noted dtypes come back */
} gdn_contract;

extern const gdn_contract gdn_contracts[];
extern const int gdn_contract_count;

/* The contract called `name`; a sentence with the nearest otherwise. */
gdn_status gdn_contract_by_name(const char *name, const gdn_contract **out, gdn_error *err);

/* What a key is called under the contract. False when `out` is too small: 32 more than the key takes are
 * enough. */
bool gdn_convert_key(const gdn_contract *contract, const char *key, char *out, size_t size);

/* The key of __metadata__: {"plain key": "dtype", ...} as text. */
extern const char gdn_convert_note[];

/* What is asked for. */
typedef struct gdn_convert_request {
    const gdn_contract *contract;
    gdn_chain store[GDN_PARAMS]; /* n = 0: none */
} gdn_convert_request;

/* "PARAM=FORMAT[,FORMAT...]" into the request; a sentence for what is no parameter, no format, or rests in no
 * dtype. */
gdn_status gdn_convert_store(gdn_convert_request *r, const char *text, gdn_error *err);

/* One tensor of the source, and what becomes of it. */
typedef struct gdn_convert_tensor {
    const gdn_tensor *from;
    gdn_tensor to;          /* name, dtype, dimensions; no data */
    gdn_param param;        /* GDN_PARAMS: none of a GDN layer's */
    const gdn_chain *chain; /* that its values pass, or NULL */
    bool renamed, cast;     /* neither: its bytes are copied */
    bool unfit;             /* a noted dtype that some value does not fit: the dtype stays */
    bool unwidened; /* a dtype that the contract wants in F32 and that does not widen to it: it stays */
    gdn_cast_counts counts; /* of a cast */
} gdn_convert_tensor;

/* One shard. */
typedef struct gdn_convert_shard {
    const gdn_shard *from;
    gdn_convert_tensor *tensor; /* [tensors] in the order of the result's data */
    size_t tensors;
    json_t *metadata; /* the result's __metadata__, or NULL */
    bool changed;     /* false: the file is copied whole */
} gdn_convert_shard;

typedef struct gdn_conversion {
    const gdn_checkpoint *source;
    gdn_convert_request request;
    gdn_convert_shard *shard; /* [shards] */
    int shards;
    size_t tensors, parameters, renamed,
        cast; /* of all shards: how many, of GDN layers, with a new key, with cast values */
} gdn_conversion;

/*
 * What the request comes to; nothing is written. c stays open as long as *out lives; *out is to be freed,
 * NULL on failure. GDN_BAD_INPUT where two tensors would get one key, or a chain is asked of a dtype that is
 * no number.
 */
gdn_status gdn_convert_plan(const gdn_checkpoint *c, const gdn_convert_request *r, gdn_conversion **out,
                            gdn_error *err);
void gdn_conversion_free(gdn_conversion *p); /* NULL is fine */

/* Files beside the shards. */
typedef struct gdn_convert_files {
    int copied;      /* regular files that are no shard and not the index, copied byte for byte */
    int skipped;     /* folders and other things that are not copied */
    char first[256]; /* of the skipped: a name */
} gdn_convert_files;

/*
 * Write the result into the folder `out`, which must be empty or not there yet, and outside the source's. The
 * files are made in a folder of their own within it and renamed when all of them are on disk; on failure, or
 * once *stop is not 0 (NULL: never), what was written is removed again. With dry only the answers are given
 * and nothing is written.
 */
gdn_status gdn_convert_write(const gdn_conversion *p, const char *out, bool dry,
                             const volatile sig_atomic_t *stop, gdn_convert_files *files, gdn_error *err);

#endif
