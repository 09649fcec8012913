/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source -- the true parameters and the inputs of one task: a population at one seed, drawn or read from a
 * file.
 *
 * True parameters are fp32 values (the norm weight of a checkpoint where w - 1 rests: 1 + an fp32 value).
 * Inputs come block by block in the layout of base/engine.h.
 */
#ifndef GDN_HARNESS_SOURCE_H
#define GDN_HARNESS_SOURCE_H

#include "base/engine.h"
#include "harness/experiment.h"
#include "harness/view.h"

/* Outputs in the file; NULL where no tensor is named. */
typedef struct gdn_recorded {
    const gdn_recorded_spec *spec;
    int64_t tokens;
    const gdn_view *g, *o, *y;
    const gdn_tensor *state; /* after the last token */
    gdn_state_layout state_layout;
    gdn_view views[3]; /* what g, o and y point to */
} gdn_recorded;

/* The format in which a quantity was recorded: the spec's `output`, else that of its tensor. */
gdn_format_id gdn_recorded_format(const gdn_recorded *r, gdn_quantity q);

typedef struct gdn_source {
    const gdn_population *population;
    gdn_input_spec spec;
    gdn_shape shape;
    uint64_t seed;
    bool has_parameters; /* false: g is given, A_log and dt_bias do not exist */
    bool has_z;
    double *a_log, *dt_bias; /* [H] */
    double *norm_weight;     /* [dv] */
    int64_t *lengths;        /* [length_count] ascending */
    int length_count;
    int64_t *sequences; /* [sequence_count] packed: after these tokens the state starts anew */
    int sequence_count;
    int beta_shift;  /* as in gdn_params */
    bool l2norm_off; /* as in gdn_params */
    double scale;    /* as in gdn_params */
    bool has_state0; /* the state starts from something other than zero */
    char *text;      /* canonical description: all that determines parameters and inputs but the seed */
    gdn_recorded *recorded; /* [recorded_count] */
    int recorded_count;
    gdn_safetensors *file; /* open as long as the source is: */
    gdn_view q, k, v, z, a, g, b, beta;
    const gdn_tensor *state0;
    float *projected; /* [B][T][H] a where it was projected, and as a tensor: */
    gdn_tensor projection;
    float *block; /* room for one block */
    int room;     /* tokens it holds */
} gdn_source;

/* Open population `index` of the experiment at `seed`, for blocks of at most `room` tokens. */
gdn_status gdn_source_open(const gdn_experiment *e, int index, uint64_t seed, int room, gdn_source **out,
                           gdn_error *err);
void gdn_source_close(gdn_source *s);

/*
 * Tokens first .. first + n - 1 (n <= room) of heads head .. head + heads - 1; the block's arrays live until
 * the next call.
 */
void gdn_source_block(gdn_source *s, int64_t first, int n, int head, int heads, gdn_block *block);

/* The state that every sequence starts from, where there is one. state0: [H][dk][dv] */
void gdn_source_initial_state(const gdn_source *s, double *state0);

/* Recorded outputs as an engine: setup->recipe is a const gdn_recorded *. */
extern const gdn_engine gdn_recorded_engine;

#endif
