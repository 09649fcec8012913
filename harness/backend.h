/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend -- where a task's arrays live and its arithmetic runs: this process's memory and cores, or a GPU.
 *
 * The lock-step (harness/lockstep.c) is written once against this table. Pointers in gdn_block, gdn_outputs,
 * gdn_trace and gdn_difference are addresses of the backend. In portable mode both give the same bits.
 */
#ifndef GDN_HARNESS_BACKEND_H
#define GDN_HARNESS_BACKEND_H

#include "base/engine.h"
#include "base/inputs.h"
#include "harness/metrics.h"
#include "kernels/recipe.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Some columns of some heads of an array of rows: element j of row t of head h of the batch is
 * hi[((h - head) rows + t) width + index[j]]. */
typedef struct gdn_operand {
    const double *hi, *lo; /* lo: NULL where values are single doubles */
    const int *index;      /* [columns]; NULL: all, in order */
    int width;             /* elements of a row */
    int head;              /* of the batch that the array's first head is */
} gdn_operand;

/* x - y against r over rows of heads head .. head + heads - 1, into the accumulators of these heads. */
typedef struct gdn_difference {
    gdn_operand x, y, r;
    gdn_accumulator *to;  /* of the batch's head 0; the next head's is GDN_QUANTITIES further */
    const int64_t *scale; /* [H] exponents that the values are relative to, or NULL */
    int head, heads, rows, columns;
} gdn_difference;

/* Differences handed over at a time. */
enum { GDN_DIFFERENCES = 4 * 5 }; /* four series of each quantity */

/* Running products of alpha over n tokens, relative to 2^scale: decay and decay_lo. Arrays are [heads][n],
 * product is [heads], scale the batch's, from the trace's first head on. */
typedef struct gdn_decays {
    const double *alpha, *alpha_lo; /* alpha_lo may be NULL */
    double *decay, *decay_lo;
    gdn_product *product;
    const int64_t *scale;
    int heads, n;
} gdn_decays;

/* Sums over tokens of |g|, beta and beta^2, [3][H], to which a block adds. One of b, beta is NULL. */
typedef struct gdn_averages {
    const double *g;       /* [H][n] */
    const float *b, *beta; /* [H][n] */
    double *sums;          /* [3][H] */
    int heads, n;
} gdn_averages;

typedef struct gdn_backend {
    const char *name;
    /* The engine that computes what this CPU engine does here; NULL: it runs on the CPU, and its outputs are
     * brought over. */
    const gdn_engine *(*twin)(const gdn_engine *engine);
    /* The value of the column `mode` of what a recipe computes here, or NULL where it cannot run here. */
    const char *(*mode)(const gdn_recipe *recipe);
    gdn_status (*enter)(gdn_error *err); /* once in every thread */
    size_t (*memory)(void);              /* free bytes; NULL where it is not to be planned */
    int block;                           /* tokens advanced at a time unless the user says otherwise */
    gdn_status (*alloc)(void **p, size_t count, size_t size, const char *what, gdn_error *err); /* zeroed */
    void (*release)(void *p);
    gdn_status (*put)(void *to, const void *from, size_t bytes, gdn_error *err); /* from this process */
    gdn_status (*get)(void *to, const void *from, size_t bytes, gdn_error *err); /* to this process */
    /* gdn_inputs_fill(); NULL where inputs are made in this process's memory anyway */
    gdn_status (*inputs)(const gdn_input_spec *spec, const gdn_shape *shape, uint64_t seed, int64_t first,
                         int tokens, float *q, float *k, float *v, float *z, float *a, float *b,
                         gdn_error *err);
    gdn_status (*cumulate)(const gdn_decays *d, gdn_error *err);
    /* scale[h] <- exponent of product[h] alpha[h][0]; arrays as in gdn_decays */
    gdn_status (*rescale)(const gdn_decays *d, int64_t *scale, gdn_error *err);
    gdn_status (*average)(const gdn_averages *a, gdn_error *err);
    gdn_status (*differ)(const gdn_difference *d, int n, gdn_error *err); /* n <= GDN_DIFFERENCES */
    /* sums[i] <- accumulator i GDN_QUANTITIES of `rows`, zeroed afterwards if `anew`. sums: in this process
     */
    gdn_status (*sums)(gdn_accumulator *a, size_t rows, bool anew, gdn_sums *sums, gdn_error *err);
} gdn_backend;

/* .mode of a GPU, which takes none to be told. */
const char *gdn_cuda_mode(const gdn_recipe *recipe);

extern const gdn_backend gdn_backend_cpu;
#ifdef GDN_CUDA
extern const gdn_backend gdn_backend_cuda;
#endif

/*
 * The backend called "cpu", "cuda" or "auto": a GPU where one can be used. device: index of the GPU. about:
 * what the manifest says of it, "" for the CPU. GDN_BAD_INPUT for another name, GDN_MACHINE where cuda was
 * asked for and cannot be had.
 */
gdn_status gdn_backend_choose(const char *name, int device, const gdn_backend **out, char *about, size_t size,
                              gdn_error *err);

/* "cpu" or "cuda" as tasks are named by it, here or elsewhere: one that may be no good for running them. NULL
 * for another name. */
const gdn_backend *gdn_backend_named(const char *name);

/* How many GPUs there are; 0 where none can be used. */
int gdn_backend_devices(void);

/* A number that backends share when they share memory of a GPU; 0 for the CPU. */
uint64_t gdn_backend_place(const gdn_backend *backend);

#ifdef __cplusplus
}
#endif

#endif
