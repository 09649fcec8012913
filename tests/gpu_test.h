/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gpu_test -- an engine of the GPU on a test's host memory: inputs go over, outputs come back.
 *
 *     gdn_gpu_engine = &gdn_..._cuda_engine;    then &gdn_over runs it wherever a gdn_engine is wanted
 *
 * For engines whose outputs are single doubles of all columns.
 */
#ifndef GDN_TESTS_GPU_TEST_H
#define GDN_TESTS_GPU_TEST_H

#include "base/cuda.h"
#include "tests/gdn_test.h"

static const gdn_engine *gdn_gpu_engine;

typedef struct gdn_over_state {
    void *self;
    gdn_shape shape;
} gdn_over_state;

/* A copy of n x size host bytes on the device; NULL stays NULL. */
static inline void *gdn_there(const void *x, size_t n, size_t size)
{
    gdn_error err = {""};
    void *p = NULL;
    if (x)
        GDN_CHECK(gdn_cuda_copy_of(&p, x, n, size, "a test", &err) == GDN_OK, "%s", err.text);
    return p;
}

/* n x size bytes back, and the device memory freed. */
static inline void gdn_back(void *to, void *from, size_t n, size_t size)
{
    gdn_error err = {""};
    if (from && to)
        GDN_CHECK(gdn_cuda_to_host(to, from, n * size, &err) == GDN_OK, "%s", err.text);
    gdn_cuda_free(from);
}

static inline gdn_status gdn_over_open(void **self, const gdn_setup *setup, gdn_error *err)
{
    gdn_over_state *o = gdn_test_alloc(1, sizeof *o);
    o->shape = setup->shape;
    *self = o;
    gdn_status status = gdn_gpu_engine->open(&o->self, setup, err);
    if (status) {
        free(o);
        *self = NULL;
    }
    return status;
}

/* Outputs are poisoned on the device first: what comes back was written. */
static inline gdn_status gdn_over_advance(void *self, const gdn_block *in, const gdn_outputs *out,
                                          gdn_error *err)
{
    const gdn_over_state *o = self;
    size_t n = (size_t)o->shape.heads * (size_t)in->tokens, dk = (size_t)o->shape.dk,
           dv = (size_t)o->shape.dv;
    const float *host[] = {in->q, in->k, in->v, in->z, in->a, in->g, in->b, in->beta};
    const size_t lengths[] = {n * dk, n * dk, n * dv, n * dv, n, n, n, n};
    double *results[] = {out->g, out->alpha, out->o, out->y};
    void *x[8], *y[4];
    for (int i = 0; i < 8; i++)
        x[i] = gdn_there(host[i], lengths[i], sizeof(float));
    for (int i = 0; i < 4; i++) {
        size_t count = i < 2 ? n : n * dv;
        for (size_t j = 0; results[i] && j < count; j++)
            results[i][j] = -1e300;
        y[i] = gdn_there(results[i], count, sizeof(double));
    }
    gdn_block block = {in->first, in->tokens, x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]};
    gdn_outputs outputs = {.g = y[0], .alpha = y[1], .o = y[2], .y = y[3]};
    gdn_status status = gdn_gpu_engine->advance(o->self, &block, &outputs, err);
    for (int i = 0; i < 4; i++)
        gdn_back(results[i], y[i], i < 2 ? n : n * dv, sizeof(double));
    for (int i = 0; i < 8; i++)
        gdn_cuda_free(x[i]);
    return status;
}

static inline gdn_status gdn_over_read_state(void *self, double *hi, double *lo, gdn_error *err)
{
    const gdn_over_state *o = self;
    size_t n = (size_t)o->shape.heads * (size_t)o->shape.dk * (size_t)o->shape.dv;
    void *x = gdn_there(hi, n, sizeof *hi);
    (void)lo;
    gdn_status status = gdn_gpu_engine->read_state(o->self, x, NULL, err);
    gdn_back(hi, x, n, sizeof *hi);
    return status;
}

static inline void gdn_over_close(void *self)
{
    gdn_over_state *o = self;
    if (o)
        gdn_gpu_engine->close(o->self);
    free(o);
}

static const gdn_engine gdn_over __attribute__((unused)) = {
    "an engine of the GPU", "", false, gdn_over_open, gdn_over_advance, gdn_over_read_state, gdn_over_close};

/* Device 0, or the end of the program with a sentence. */
static inline void gdn_gpu_begin(void)
{
    gdn_error err = {""};
    gdn_cuda_info info;
    if (gdn_cuda_open(0, &info, &err) != GDN_OK) {
        fprintf(stderr, "%s\n", err.text);
        exit(3);
    }
}

#endif
