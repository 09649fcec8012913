/* SPDX-License-Identifier: Apache-2.0 */
/* cuda -- the device: choosing it, its memory, its errors; see cuda.h. */
#include "base/cuda.h"

#include <cuda_runtime.h>
#include <stdio.h>

static int chosen = 0;

/* Stands for all kernels: does this build hold code for the device? */
__global__ static void any_kernel(void)
{
}

extern "C" gdn_status gdn_cuda_status(int error, const char *call, gdn_error *err)
{
    if (error == cudaSuccess)
        return GDN_OK;
    return gdn_fail(err, GDN_MACHINE, "%s: %s", call, cudaGetErrorString((cudaError_t)error));
}

extern "C" gdn_status gdn_cuda_open(int index, gdn_cuda_info *info, gdn_error *err)
{
    int count = 0;
    cudaError_t e = cudaGetDeviceCount(&count);
    if (e != cudaSuccess)
        return gdn_fail(err, GDN_MACHINE, "no CUDA device can be used: %s", cudaGetErrorString(e));
    if (index < 0 || index >= count)
        return gdn_fail(err, GDN_BAD_INPUT, "device %d: there are devices 0 to %d", index, count - 1);
    chosen = index;
    gdn_status entered = gdn_cuda_enter(err);
    if (entered)
        return entered;
    cudaFuncAttributes kernel;
    e = cudaFuncGetAttributes(&kernel, any_kernel);
    if (e != cudaSuccess)
        return gdn_fail(err, GDN_MACHINE, "device %d cannot run this build (make CUDA_ARCHS=... CUDA=1): %s",
                        index, cudaGetErrorString(e));
    cudaDeviceProp p;
    gdn_status status = gdn_cuda_status(cudaGetDeviceProperties(&p, index), "cudaGetDeviceProperties", err);
    int khz = 0;
    if (!status)
        status = gdn_cuda_status(cudaDeviceGetAttribute(&khz, cudaDevAttrClockRate, index),
                                 "cudaDeviceGetAttribute", err);
    if (status)
        return status;
    snprintf(info->name, sizeof info->name, "%s", p.name);
    info->major = p.major;
    info->minor = p.minor;
    info->multiprocessors = p.multiProcessorCount;
    info->memory = p.totalGlobalMem;
    info->clock_ghz = khz * 1e-6;
    cudaDriverGetVersion(&info->driver);
    cudaRuntimeGetVersion(&info->runtime);
    return GDN_OK;
}

extern "C" int gdn_cuda_count(void)
{
    int count = 0;
    return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

extern "C" void gdn_cuda_bus(char *out, int size)
{
    if (cudaDeviceGetPCIBusId(out, size, chosen) != cudaSuccess)
        out[0] = 0;
}

extern "C" gdn_status gdn_cuda_enter(gdn_error *err)
{
    return gdn_cuda_status(cudaSetDevice(chosen), "cudaSetDevice", err);
}

extern "C" size_t gdn_cuda_free_memory(void)
{
    size_t free_bytes = 0, total = 0;
    return cudaMemGetInfo(&free_bytes, &total) == cudaSuccess ? free_bytes : 0;
}

extern "C" gdn_status gdn_cuda_calloc(void **p, size_t count, size_t size, const char *what, gdn_error *err)
{
    size_t bytes = (count ? count : 1) * size;
    *p = NULL;
    cudaError_t e = cudaMallocAsync(p, bytes, cudaStreamPerThread);
    if (e != cudaSuccess) {
        cudaGetLastError(); /* an allocation that failed leaves the device usable */
        return gdn_fail(err, GDN_MACHINE, "cudaMalloc of %zu bytes for %s: %s", bytes, what,
                        cudaGetErrorString(e));
    }
    return gdn_cuda_status(cudaMemsetAsync(*p, 0, bytes, cudaStreamPerThread), "cudaMemset", err);
}

extern "C" void gdn_cuda_free(void *p)
{
    if (p)
        cudaFreeAsync(p, cudaStreamPerThread);
}

extern "C" gdn_status gdn_cuda_to_device(void *to, const void *from, size_t bytes, gdn_error *err)
{
    return gdn_cuda_status(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, cudaStreamPerThread),
                           "cudaMemcpy to the device", err);
}

extern "C" gdn_status gdn_cuda_to_host(void *to, const void *from, size_t bytes, gdn_error *err)
{
    gdn_status status =
        gdn_cuda_status(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, cudaStreamPerThread),
                        "cudaMemcpy to the host", err);
    return status ? status : gdn_cuda_finish(err);
}

extern "C" gdn_status gdn_cuda_copy_of(void **p, const void *from, size_t count, size_t size,
                                       const char *what, gdn_error *err)
{
    gdn_status status = gdn_cuda_calloc(p, count, size, what, err);
    return status ? status : gdn_cuda_to_device(*p, from, count * size, err);
}

extern "C" gdn_status gdn_cuda_launched(const char *kernel, gdn_error *err)
{
    return gdn_cuda_status(cudaGetLastError(), kernel, err);
}

extern "C" gdn_status gdn_cuda_takes(const gdn_params *params, gdn_error *err)
{
    if (!params->l2norm_off && params->scale == 0)
        return GDN_OK;
    return gdn_fail(err, GDN_BAD_INPUT,
                    "the CUDA engines normalise q and k and scale q by d_k^(-1/2); %s runs with --backend cpu",
                    params->l2norm_off ? "l2norm: false" : "another scale");
}

extern "C" gdn_status gdn_cuda_finish(gdn_error *err)
{
    return gdn_cuda_status(cudaStreamSynchronize(cudaStreamPerThread), "waiting for the device", err);
}
