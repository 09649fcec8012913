/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inputs -- synthetic tensors as pure functions of (seed, stream, index).
 *
 * Philox 4x32-10 (Random123) with key = seed and counter = (index / 8, head, stream); one call gives eight
 * 16-bit halves. A half picks an entry of the 65,536-entry quantile table RN_bf16(Phi^-1((i + 1/2) / 65536)),
 * so a normal value is a bf16 value, the same on every machine, and can be made anywhere in any order.
 */
#ifndef GDN_BASE_INPUTS_H
#define GDN_BASE_INPUTS_H

#include <stdint.h>

#include "base/engine.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Streams: what a random number is for. Values are part of the definition of the inputs. */
typedef enum gdn_stream {
    GDN_STREAM_Q = 1,
    GDN_STREAM_K,
    GDN_STREAM_V,
    GDN_STREAM_Z,
    GDN_STREAM_A,
    GDN_STREAM_B,
    GDN_STREAM_A_LOG,
    GDN_STREAM_DT_BIAS,
    GDN_STREAM_NORM_WEIGHT,
    GDN_STREAM_KEY_CHOICE,
    GDN_STREAM_QUERY_CHOICE,
    GDN_STREAM_STATE_ROUNDING,
    GDN_STREAM_INITIAL_STATE
} gdn_stream;

/* Where keys lie: spec section 8. */
typedef enum gdn_keys {
    GDN_KEYS_ISOTROPIC, /* every component normal */
    GDN_KEYS_LOW_RANK,  /* the first `rank` components normal, the rest zero; queries too */
    GDN_KEYS_REPEATED,  /* one normal key for ever; queries normal */
    GDN_KEYS_NEEDLE, /* t = 1: the first axis; later keys normal with first component zero; queries the first
                        axis */
    GDN_KEYS_ZIPF,   /* axis r with probability ~ r^-exponent; queries a uniformly drawn axis */
    GDN_KEYS_SPREAD, /* low-rank in the span of `rank` Walsh functions, so that every component is
                        used; not bf16 numbers, for recipes that take fp32 inputs */
    GDN_KEYS_KINDS
} gdn_keys;

typedef enum gdn_values { GDN_VALUES_RANDOM, GDN_VALUES_COHERENT, GDN_VALUES_KINDS } gdn_values;

extern const char *const gdn_keys_names[GDN_KEYS_KINDS];
extern const char *const gdn_values_names[GDN_VALUES_KINDS];

typedef struct gdn_input_spec {
    gdn_keys keys;
    int rank;            /* low-rank: 1..dk */
    int zipf_half_steps; /* zipf: twice the exponent, so that powers need only multiplication and square roots
                          */
    gdn_values values;   /* random: new values each token; coherent: the same value vector at every token */
    double a_mean, a_scale; /* a = RN_bf16(a_mean + a_scale N) */
    double b_mean, b_scale; /* b = RN_bf16(b_mean + b_scale N) */
    int group;              /* value head h takes the q and k of key head floor(h / group); 0: as 1 */
} gdn_input_spec;

/* XXH3-64 of the quantile table's 65,536 little-endian bf16 words. */
#define GDN_QUANTILE_CHECKSUM 0xbb7f5f5b89e3a3dbULL

/* Make the quantile table once; GDN_MACHINE when it is not bit for bit the pinned one. Call before any thread
 * starts. */
gdn_status gdn_inputs_init(gdn_error *err);

/* The table after gdn_inputs_init: 65,536 bf16 words. */
const uint16_t *gdn_quantile_table(void);

/* Four random words. */
void gdn_random(uint64_t seed, gdn_stream stream, uint32_t head, uint64_t index, uint32_t out[4]);

/* A uniform double in (0, 1): 52 random bits, centred in their cell. */
double gdn_uniform(uint64_t seed, gdn_stream stream, uint32_t head, uint64_t index);

/* n standard normal bf16 values of a stream, from `index` on. x: [n]. */
void gdn_normals(uint64_t seed, gdn_stream stream, uint32_t head, uint64_t index, int n, float *x);

/*
 * Fill q, k: [H][tokens][dk], v, z: [H][tokens][dv], a, b: [H][tokens] for heads head0 .. head0 + shape.heads
 * - 1 and tokens first .. first + tokens - 1; a NULL one is skipped.
 */
void gdn_inputs_fill(const gdn_input_spec *spec, const gdn_shape *shape, uint64_t seed, uint32_t head0,
                     int64_t first, int tokens, float *q, float *k, float *v, float *z, float *a, float *b);

/* RN_bf16(scale N) for the initial state of heads head0 .. head0 + heads - 1. state: [heads][dk][dv] */
void gdn_initial_state(double scale, const gdn_shape *shape, uint64_t seed, uint32_t head0, double *state);

#ifdef GDN_CUDA
/* gdn_inputs_fill() into device memory, on this thread's stream. */
gdn_status gdn_inputs_cuda_fill(const gdn_input_spec *spec, const gdn_shape *shape, uint64_t seed,
                                int64_t first, int tokens, float *q, float *k, float *v, float *z, float *a,
                                float *b, gdn_error *err);
#endif

#ifdef __cplusplus
}
#endif

#endif
