/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source_checkpoint -- the GDN layers of a checkpoint: A_log, dt_bias and the norm weight of each, as true
 * parameters.
 *
 * They are the stored values, bit for bit. Where w - 1 rests (Megatron), the weight is 1 + the stored value,
 * in double.
 */
#ifndef GDN_HARNESS_SOURCE_CHECKPOINT_H
#define GDN_HARNESS_SOURCE_CHECKPOINT_H

#include "harness/checkpoint.h"
#include "harness/contract.h"
#include "harness/experiment.h"

/* Where the parameters of one layer lie. */
typedef struct gdn_layer_place {
    int layer;          /* N of `layers.N.`; -1: its keys name none */
    const char *module; /* the first `module_length` characters of its keys */
    size_t module_length;
    const gdn_tensor *of[GDN_PARAMS]; /* NULL: it has none; the short conv is not looked for */
    bool zero_centred;                /* w - 1 rests */
} gdn_layer_place;

/* The parameters of one layer. */
typedef struct gdn_checkpoint_layer {
    int layer;
    bool zero_centred;
    int heads, dv;
    char *module;            /* "model.layers.0.linear_attn." */
    double *a_log, *dt_bias; /* [heads] */
    double *norm_weight;     /* [dv] */
} gdn_checkpoint_layer;

/*
 * The GDN layers of the checkpoint, modules that hold A_log or dt_bias, by number. *out: [*count], to be
 * freed with free(); it borrows from the checkpoint. GDN_BAD_INPUT where there is none, or two have one
 * number.
 */
gdn_status gdn_checkpoint_places(const gdn_checkpoint *c, gdn_layer_place **out, int *count, gdn_error *err);

/*
 * Read one. GDN_BAD_INPUT where a parameter is missing, they do not fit each other, or a value is not finite;
 * A_log may be -inf, a head that never decays.
 */
gdn_status gdn_checkpoint_layer_read(const gdn_layer_place *place, gdn_checkpoint_layer **out,
                                     gdn_error *err);
void gdn_checkpoint_layer_free(gdn_checkpoint_layer *l); /* NULL is fine */

/*
 * For the manifest, {population: {path, module, weight, values}} of an experiment's layers; NULL where it has
 * none. weight: which of the two rests; values: a digest.
 */
#define GDN_RESTS_LESS_ONE "w - 1"
json_t *gdn_checkpoints_json(const gdn_experiment *e);

#endif
