/* SPDX-License-Identifier: Apache-2.0 */
/* cublas -- batches of matrix products by cuBLAS; see cublas.h. */
#include "kernels/cublas.h"

#include <cublas_api.h>
#include <cuda_runtime.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

struct gdn_cublas {
    cublasHandle_t handle;
};

/* What is used of the library; create is NULL where it could not be loaded, and `problem` says why. */
typedef struct library {
    decltype(&cublasCreate_v2) create;
    decltype(&cublasDestroy_v2) destroy;
    decltype(&cublasSetStream_v2) set_stream;
    decltype(&cublasGetProperty) property;
    cublasStatus_t (*product)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int,
                              const void *, const void *, cudaDataType, int, long long, const void *,
                              cudaDataType, int, long long, const void *, void *, cudaDataType, int,
                              long long, int, cublasComputeType_t, cublasGemmAlgo_t);
    decltype(&cublasGetStatusString) text;
    char problem[256];
} library;

/* The function called `name` into *to; the first that is missing is the problem. */
template <typename Function>
static bool find(void *from, const char *name, Function *to, char *problem, size_t size)
{
    *to = (Function)dlsym(from, name);
    if (!*to)
        snprintf(problem, size, "it has no %s", name);
    return *to;
}

static library load(void)
{
    library l = {};
    char name[32];
    snprintf(name, sizeof name, "libcublas.so.%d", CUDART_VERSION / 1000);
    void *from = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!from)
        snprintf(l.problem, sizeof l.problem, "%s", dlerror());
    bool all = from && find(from, "cublasDestroy_v2", &l.destroy, l.problem, sizeof l.problem) &&
               find(from, "cublasSetStream_v2", &l.set_stream, l.problem, sizeof l.problem) &&
               find(from, "cublasGetProperty", &l.property, l.problem, sizeof l.problem) &&
               find(from, "cublasGemmStridedBatchedEx", &l.product, l.problem, sizeof l.problem) &&
               find(from, "cublasGetStatusString", &l.text, l.problem, sizeof l.problem) &&
               find(from, "cublasCreate_v2", &l.create, l.problem, sizeof l.problem);
    if (!all)
        l.create = NULL;
    return l;
}

/* Loaded once, by whoever comes first; it stays. */
static const library *the_library(void)
{
    static const library l = load();
    return &l;
}

static gdn_status checked(cublasStatus_t s, const char *call, gdn_error *err)
{
    return s == CUBLAS_STATUS_SUCCESS ? GDN_OK
                                      : gdn_fail(err, GDN_MACHINE, "%s: %s", call, the_library()->text(s));
}

extern "C" gdn_status gdn_cublas_open(gdn_cublas **out, gdn_error *err)
{
    *out = NULL;
    const library *l = the_library();
    if (!l->create)
        return gdn_fail(err, GDN_MACHINE, "cuBLAS, which the chunked form needs on a GPU, cannot be used: %s",
                        l->problem);
    gdn_cublas *c = (gdn_cublas *)gdn_calloc(1, sizeof *c);
    if (!c)
        return gdn_no_memory(err, "a cuBLAS handle");
    gdn_status status = checked(l->create(&c->handle), "cublasCreate", err);
    if (!status)
        status = checked(l->set_stream(c->handle, cudaStreamPerThread), "cublasSetStream", err);
    if (status)
        gdn_cublas_close(c);
    else
        *out = c;
    return status;
}

extern "C" void gdn_cublas_close(gdn_cublas *c)
{
    if (c && c->handle)
        the_library()->destroy(c->handle);
    free(c);
}

extern "C" int gdn_cublas_version(void)
{
    const library *l = the_library();
    int major = 0, minor = 0, patch = 0;
    if (l->create) {
        l->property(MAJOR_VERSION, &major);
        l->property(MINOR_VERSION, &minor);
        l->property(PATCH_LEVEL, &patch);
    }
    return 10000 * major + 100 * minor + patch;
}

extern "C" gdn_status gdn_cublas_product(gdn_cublas *c, gdn_format_id factors, gdn_format_id result,
                                         int heads, int m, int n, int k, gdn_matrix a, gdn_matrix b,
                                         gdn_matrix to, gdn_error *err)
{
    const float one = 1, zero = 0;
    cudaDataType in = factors == GDN_BF16 ? CUDA_R_16BF : CUDA_R_32F;
    cudaDataType out = result == GDN_BF16 ? CUDA_R_16BF : CUDA_R_32F;
    cublasComputeType_t compute = factors == GDN_FP32   ? CUBLAS_COMPUTE_32F_PEDANTIC
                                  : factors == GDN_TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                                        : CUBLAS_COMPUTE_32F;
    /* row-major C = A B is column-major C^T = B^T A^T */
    cublasStatus_t s = the_library()->product(c->handle, b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
                                              a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N, n, m, k, &one, b.x,
                                              in, b.ld, b.stride, a.x, in, a.ld, a.stride, &zero, to.x, out,
                                              to.ld, to.stride, heads, compute, CUBLAS_GEMM_DEFAULT);
    return checked(s, "cublasGemmStridedBatchedEx", err);
}
