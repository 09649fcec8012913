/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shape -- the sizes that every room agrees on.
 *
 * A batch is H value heads of one shape that advance together. Arrays are row-major, the head slowest:
 * q, k are [H][n][dk], v, z, o, y are [H][n][dv], per-token scalars are [H][n] and a state is [H][dk][dv].
 */
#ifndef GDN_BASE_SHAPE_H
#define GDN_BASE_SHAPE_H

#include <stdint.h>

typedef struct gdn_shape {
    int heads; /* H: value heads in the batch */
    int dk;    /* key head dimension: rows of the state */
    int dv;    /* value head dimension: columns of the state */
} gdn_shape;

/* Limits that input files are held to before anything is allocated. */
enum { GDN_MAX_HEADS = 1 << 20, GDN_MAX_DIM = 1024, GDN_MAX_LENGTH = 1 << 26 };

/* eps of the L2 norm (added to the sum of squares) and of out_norm (added to the mean): spec section 1. */
#define GDN_NORM_EPS 1e-6

#endif
