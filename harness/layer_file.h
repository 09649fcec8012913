/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer_file -- a layer in a safetensors file: its weights, hidden states, and what somebody else's code
 * recorded.
 *
 * Weights are under "linear_attn.", with the names of Qwen3.5 (in_proj_qkv, in_proj_z, in_proj_b, in_proj_a)
 * or those of Qwen3-Next, whose rows are interleaved by key head: in_proj_qkvz has q, k, then v and z of the
 * r value heads; in_proj_ba has b, then a of the r value heads. Key heads are as wide as chunk.query says, or
 * else as wide as value heads.
 */
#ifndef GDN_HARNESS_LAYER_FILE_H
#define GDN_HARNESS_LAYER_FILE_H

#include "base/layer.h"

typedef struct gdn_layer_file {
    gdn_layer_shape shape;
    gdn_layer_weights weights; /* exactly as stored */
    int tokens;
    const float *hidden;         /* [tokens][D] */
    gdn_format_id hidden_format; /* fp32 or bf16 */
    /* Stages that the file records, [tokens][width], and the format each rests in; NULL: it does not. */
    double *recorded[GDN_LAYER_STAGES];
    gdn_format_id recorded_format[GDN_LAYER_STAGES];
    void *owned; /* what the pointers above point to */
} gdn_layer_file;

/* Read and check the file; *out is to be freed with gdn_layer_file_free, and is NULL on failure. */
gdn_status gdn_layer_file_read(const char *path, gdn_layer_file **out, gdn_error *err);
void gdn_layer_file_free(gdn_layer_file *f); /* NULL is fine */

#endif
