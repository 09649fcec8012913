/* SPDX-License-Identifier: Apache-2.0 */
/*
 * golden_test -- a fixture of tests/golden as a problem, and the outputs that somebody's chunked kernel gave.
 *
 * $GDN_GOLDEN names the folder; tests/golden otherwise.
 */
#ifndef GDN_TESTS_GOLDEN_TEST_H
#define GDN_TESTS_GOLDEN_TEST_H

#include <unistd.h>

#include "harness/safetensors.h"
#include "tests/gdn_test.h"

typedef struct gdn_fixture {
    gdn_problem p;
    float *o;     /* [H][T][dv] chunk.out */
    float *state; /* [H][dk][dv] chunk.state */
} gdn_fixture;

/* Tensor `name`, [1][T][H][width] turned into [H][T][width]; a state (by_token false) is left as it is. */
static inline float *gdn_golden_tensor(const gdn_safetensors *f, const char *name, const gdn_problem *p,
                                       bool by_token, int width)
{
    gdn_error err = {""};
    const gdn_tensor *t = gdn_safetensors_find(f, name);
    GDN_CHECK(t != NULL, "no tensor %s", name);
    size_t n = (size_t)gdn_tensor_elements(t), H = (size_t)p->shape.heads, w = (size_t)width;
    float *x = gdn_test_alloc(n, sizeof *x), *y = gdn_test_alloc(n, sizeof *y);
    GDN_CHECK(gdn_tensor_floats(t, x, &err) == GDN_OK, "%s", err.text);
    for (size_t i = 0; i < n / w; i++) {
        size_t to = by_token ? i % H * (size_t)p->tokens + i / H : i;
        memcpy(y + to * w, x + i * w, w * sizeof *y);
    }
    free(x);
    return y;
}

static inline bool gdn_fixture_there(const char *file)
{
    char path[4096];
    const char *folder = getenv("GDN_GOLDEN");
    snprintf(path, sizeof path, "%s/%s.safetensors", folder ? folder : "tests/golden", file);
    return access(path, F_OK) == 0;
}

/* g and beta are given; files of transformers ("hf_...") name their tensors otherwise than FLA's. */
static inline gdn_fixture gdn_fixture_load(const char *file)
{
    char path[4096];
    const char *folder = getenv("GDN_GOLDEN");
    snprintf(path, sizeof path, "%s/%s.safetensors", folder ? folder : "tests/golden", file);
    gdn_safetensors *f = NULL;
    gdn_error err = {""};
    GDN_CHECK(gdn_safetensors_open(path, &f, &err) == GDN_OK, "%s", err.text);
    bool hf = strncmp(file, "hf", 2) == 0;
    const gdn_tensor *v = gdn_safetensors_find(f, hf ? "chunk.value" : "v");
    GDN_CHECK(v != NULL && v->rank == 4, "no value tensor of rank 4");
    int d = (int)v->dim[3];
    gdn_fixture x = {.p = gdn_problem_new((gdn_shape){(int)v->dim[2], d, d}, (int)v->dim[1], 80)};
    gdn_problem *p = &x.p;
    float **drawn[] = {&p->q, &p->k, &p->v};
    const char *names[] = {hf ? "chunk.query" : "q", hf ? "chunk.key" : "k", hf ? "chunk.value" : "v"};
    for (int i = 0; i < 3; i++) {
        free(*drawn[i]);
        *drawn[i] = gdn_golden_tensor(f, names[i], p, true, d);
    }
    p->beta = gdn_golden_tensor(f, hf ? "chunk.beta" : "beta", p, true, 1);
    p->g = gdn_golden_tensor(f, hf ? "chunk.g" : "g", p, true, 1);
    x.o = gdn_golden_tensor(f, "chunk.out", p, true, d);
    x.state = gdn_golden_tensor(f, "chunk.state", p, false, d);
    gdn_safetensors_close(f);
    return x;
}

static inline void gdn_fixture_free(gdn_fixture *x)
{
    gdn_problem_free(&x->p);
    free(x->o);
    free(x->state);
}

/* |x - y| / |y| over n numbers. */
static inline double gdn_relative(const double *x, const double *y, size_t n)
{
    double off = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        off += (x[i] - y[i]) * (x[i] - y[i]);
        size += y[i] * y[i];
    }
    return sqrt(off / size);
}

#endif
