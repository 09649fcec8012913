/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recurrent_cuda -- what the engine (recurrent.cu) asks of its two kernels.
 *
 * recurrent_columns.cu: d_k = 128, formats that have fast rounding; state in registers.
 * recurrent_any.cu: every shape and every recipe; state in shared memory.
 */
#ifndef GDN_KERNELS_RECURRENT_CUDA_H
#define GDN_KERNELS_RECURRENT_CUDA_H

#include "base/engine.h"
#include "kernels/recipe.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Types of q, k, v and of o in memory. The engine's own are fp32 and fp64. */
typedef enum gdn_recurrent_storage {
    GDN_STORAGE_ENGINE, /* float in, double out */
    GDN_STORAGE_FP32,   /* float in, float out */
    GDN_STORAGE_BF16    /* bf16 in, bf16 out */
} gdn_recurrent_storage;

/* n tokens of every head. Device memory; heads lie `stride` tokens apart in q, k, v, o. */
typedef struct gdn_recurrent_run {
    gdn_recipe recipe;
    int heads, dk, dv, n;
    int64_t stride;
    const void *q, *k;         /* [H][stride][dk], from the first of the n tokens on */
    const void *v;             /* [H][stride][dv] */
    const float *alpha, *beta; /* [H][n] */
    void *o;                   /* [H][stride][dv], NULL: not wanted */
    float *state;              /* [H][dk rounded up to 16][dv] */
    uint64_t seed;             /* stochastic rounding: seed, and position of the first token */
    int64_t first;
} gdn_recurrent_run;

/* What a kernel is fitted to. */
typedef struct gdn_recurrent_device {
    int multiprocessors;
    size_t shared_bytes; /* of shared memory that a block may have */
} gdn_recurrent_device;

/* Of the device that this thread uses. */
gdn_status gdn_recurrent_device_open(gdn_recurrent_device *device, gdn_error *err);

/* Whether the fast kernel takes it. */
bool gdn_recurrent_columns_fit(const gdn_recurrent_run *r, gdn_recurrent_storage storage,
                               const gdn_recurrent_device *device);

/*
 * The fast kernel. A lane holds `columns` (4, 2, 1) columns of a quarter of the rows, a block 32 times as
 * many: fewer columns a lane spread a head over more blocks. 0: chosen for the device.
 */
gdn_status gdn_recurrent_columns(const gdn_recurrent_run *r, gdn_recurrent_storage storage,
                                 const gdn_recurrent_device *device, int columns, gdn_error *err);

/* The other. */
gdn_status gdn_recurrent_any(const gdn_recurrent_run *r, gdn_error *err);

#ifdef __cplusplus
}
#endif

#endif
