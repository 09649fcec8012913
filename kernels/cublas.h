/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cublas -- batches of matrix products by cuBLAS, whose library is loaded when the first handle is opened.
 *
 *     C = A B, row-major, one of each a head
 *
 * The program starts and works without the library; opening a handle then says in a sentence what is missing.
 */
#ifndef GDN_KERNELS_CUBLAS_H
#define GDN_KERNELS_CUBLAS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/format.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gdn_cublas gdn_cublas;

/* A handle on this thread's stream. */
gdn_status gdn_cublas_open(gdn_cublas **out, gdn_error *err);
void gdn_cublas_close(gdn_cublas *c); /* NULL is allowed */

/* The library's version, 10000 major + 100 minor + patch; 0 where there is none. For the manifest. */
int gdn_cublas_version(void);

/* A matrix of each head: rows `ld` elements apart, heads `stride` elements apart. */
typedef struct gdn_matrix {
    void *x;
    int ld;
    int64_t stride;
    bool transposed; /* factors: the product takes its transpose */
} gdn_matrix;

/*
 * heads products C [m][n] = A [m][k] B [k][n]. Factors are of format `factors`: fp32 (multiplied and added in
 * fp32 throughout), tf32 (fp32 in memory) or bf16; C is of format `result`: fp32, or bf16 for bf16 factors.
 */
gdn_status gdn_cublas_product(gdn_cublas *c, gdn_format_id factors, gdn_format_id result, int heads, int m,
                              int n, int k, gdn_matrix a, gdn_matrix b, gdn_matrix to, gdn_error *err);

#ifdef __cplusplus
}
#endif

#endif
