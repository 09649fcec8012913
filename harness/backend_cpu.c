/* SPDX-License-Identifier: Apache-2.0 */
/* backend_cpu -- tasks in this process's memory; see backend.h. */
#include <stdlib.h>
#include <string.h>

#include "harness/backend.h"
#include "harness/metrics_step.h"
#include "harness/row.h"
#include "harness/task.h"
#include "kernels/portable.h"

static const gdn_engine *twin(const gdn_engine *engine)
{
    return engine;
}

static const char *mode(const gdn_recipe *recipe)
{
    return recipe->math == GDN_MATH_PORTABLE ? "portable" : NULL;
}

static gdn_status enter(gdn_error *err)
{
    (void)err;
    return GDN_OK;
}

static gdn_status alloc(void **p, size_t count, size_t size, const char *what, gdn_error *err)
{
    *p = gdn_calloc(count, size);
    return *p ? GDN_OK : gdn_no_memory(err, what);
}

static gdn_status copy(void *to, const void *from, size_t bytes, gdn_error *err)
{
    (void)err;
    memcpy(to, from, bytes);
    return GDN_OK;
}

static gdn_status cumulate(const gdn_decays *d, gdn_error *err)
{
    (void)err;
#pragma omp parallel for schedule(static) if (d->heads > 1)
    for (size_t h = 0; h < (size_t)d->heads; h++)
        for (size_t t = 0; t < (size_t)d->n; t++) {
            size_t at = h * (size_t)d->n + t;
            gdn_product_multiply(&d->product[h], d->alpha[at], d->alpha_lo ? d->alpha_lo[at] : 0);
            gdn_product_value(&d->product[h], d->scale[h], &d->decay[at], &d->decay_lo[at]);
        }
    return GDN_OK;
}

static gdn_status rescale(const gdn_decays *d, int64_t *scale, gdn_error *err)
{
    (void)err;
    for (size_t h = 0; h < (size_t)d->heads; h++) {
        gdn_product p = d->product[h];
        size_t at = h * (size_t)d->n;
        gdn_product_multiply(&p, d->alpha[at], d->alpha_lo ? d->alpha_lo[at] : 0);
        scale[h] = p.e;
    }
    return GDN_OK;
}

static gdn_status average(const gdn_averages *a, gdn_error *err)
{
    size_t H = (size_t)a->heads;
    (void)err;
    for (size_t h = 0; h < H; h++)
        for (size_t t = 0; t < (size_t)a->n; t++) {
            size_t i = h * (size_t)a->n + t;
            double beta = a->beta ? a->beta[i] : gdn_sigmoid(a->b[i]);
            a->sums[h] += __builtin_fabs(a->g[i]);
            a->sums[H + h] += beta;
            a->sums[2 * H + h] += beta * beta;
        }
    return GDN_OK;
}

/* m columns of one row of an operand; gathered into room[2][m] where they do not stand side by side. */
static gdn_pair row_of(const gdn_operand *x, size_t head, size_t rows, size_t row, int m,
                       double room[2][GDN_MAX_DIM])
{
    size_t at = ((head - (size_t)x->head) * rows + row) * (size_t)x->width;
    const double *hi = x->hi + at, *lo = x->lo ? x->lo + at : NULL;
    if (!x->index)
        return (gdn_pair){hi, lo};
    for (int j = 0; j < m; j++) {
        room[0][j] = hi[x->index[j]];
        room[1][j] = lo ? lo[x->index[j]] : 0;
    }
    return (gdn_pair){room[0], lo ? room[1] : NULL};
}

static void difference(const gdn_difference *d)
{
#pragma omp parallel for schedule(static) if (d->heads > 1)
    for (size_t h = (size_t)d->head; h < (size_t)d->head + (size_t)d->heads; h++) {
        double room[3][2][GDN_MAX_DIM];
        gdn_accumulator *a = d->to + h * GDN_QUANTITIES;
        a->scale = d->scale ? gdn_scale_kept(d->scale[h]) : 0;
        for (size_t row = 0; row < (size_t)d->rows; row++)
            gdn_accumulate(a, row_of(&d->x, h, (size_t)d->rows, row, d->columns, room[0]),
                           row_of(&d->y, h, (size_t)d->rows, row, d->columns, room[1]),
                           row_of(&d->r, h, (size_t)d->rows, row, d->columns, room[2]), d->columns);
    }
}

static gdn_status differ(const gdn_difference *d, int n, gdn_error *err)
{
    (void)err;
    for (int i = 0; i < n; i++)
        difference(&d[i]);
    return GDN_OK;
}

static gdn_status sums(gdn_accumulator *a, size_t rows, bool anew, gdn_sums *out, gdn_error *err)
{
    (void)err;
    for (size_t i = 0; i < rows; i++) {
        gdn_accumulator *at = &a[i * GDN_QUANTITIES];
        out[i] = gdn_accumulator_sums(at);
        if (anew)
            memset(at, 0, sizeof *at);
    }
    return GDN_OK;
}

const gdn_backend gdn_backend_cpu = {
    .name = "cpu",
    .twin = twin,
    .mode = mode,
    .enter = enter,
    .block = GDN_BLOCK,
    .alloc = alloc,
    .release = free,
    .put = copy,
    .get = copy,
    .cumulate = cumulate,
    .rescale = rescale,
    .average = average,
    .differ = differ,
    .sums = sums,
};
