/* SPDX-License-Identifier: Apache-2.0 */
/* linear_tile -- the sums of a projection (linear.h); compiled per instruction set. */
#include "kernels/linear.h"

#include <stddef.h>

#include "base/simd.h"

enum { PARTS = GDN_LINEAR_LANES / GDN_VF };

static gdn_vf load(const float *p)
{
    gdn_vf x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* x . w over [n], n a multiple of 16. */
static float dot(const float *x, const float *w, int n)
{
    gdn_vf part[PARTS] = {{0}};
    for (int j = 0; j < n; j += GDN_LINEAR_LANES)
        for (int p = 0; p < PARTS; p++)
            part[p] = gdn_vf_fma(load(x + j + p * GDN_VF), load(w + j + p * GDN_VF), part[p]);
    float lane[GDN_LINEAR_LANES];
    memcpy(lane, part, sizeof lane);
    for (int m = GDN_LINEAR_LANES / 2; m; m /= 2)
        for (int l = 0; l < m; l++)
            lane[l] += lane[l + m];
    return lane[0];
}

void GDN_ISA_NAME(gdn_linear_sums)(const gdn_linear_call *c)
{
    for (int i = 0; i < c->rows; i++)
        for (int t = 0; t < c->n; t++)
            c->y[(size_t)t * (size_t)c->rows + (size_t)i] =
                dot(c->x + (size_t)t * (size_t)c->width, c->w + (size_t)i * (size_t)c->width, c->width);
}
