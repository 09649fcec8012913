/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuda -- the device: choosing it, its memory, and what its errors say.
 *
 * Compiled only where nvcc is (GDN_CUDA). Every thread of the program has a stream of its own (the build says
 * --default-stream per-thread), so that tasks in different threads overlap. The CUDA runtime is linked
 * statically and loads the driver itself: without a driver or a GPU the program starts and gdn_cuda_open()
 * says why the device cannot be used. An error of the device is GDN_MACHINE and names the call.
 */
#ifndef GDN_BASE_CUDA_H
#define GDN_BASE_CUDA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/engine.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the manifest and the bench say of a device. */
typedef struct gdn_cuda_info {
    char name[256];
    int major, minor; /* compute capability */
    int multiprocessors;
    int driver, runtime; /* versions, 1000 major + 10 minor */
    double clock_ghz;    /* highest SM clock */
    size_t memory;       /* bytes */
} gdn_cuda_info;

/* Use device `index` in this process from now on; GDN_MACHINE with a sentence where there is none. */
gdn_status gdn_cuda_open(int index, gdn_cuda_info *info, gdn_error *err);

/* How many devices there are; 0 where none can be used. */
int gdn_cuda_count(void);

/* The chosen device's address on the bus: the same for every process that sees it. "" where it cannot be
 * asked. */
void gdn_cuda_bus(char *out, int size);

/* This thread's calls go to the chosen device. Every thread calls it once before it uses the device. */
gdn_status gdn_cuda_enter(gdn_error *err);

/* Free device memory in bytes; 0 where that cannot be asked. */
size_t gdn_cuda_free_memory(void);

/* Zeroed device memory; free with gdn_cuda_free (NULL is allowed). `what` names it in the sentence. */
gdn_status gdn_cuda_calloc(void **p, size_t count, size_t size, const char *what, gdn_error *err);
void gdn_cuda_free(void *p);

/* Copies on this thread's stream; to_host returns when the bytes are there. */
gdn_status gdn_cuda_to_device(void *to, const void *from, size_t bytes, gdn_error *err);
gdn_status gdn_cuda_to_host(void *to, const void *from, size_t bytes, gdn_error *err);

/* Device memory holding a copy of count x size host bytes. */
gdn_status gdn_cuda_copy_of(void **p, const void *from, size_t count, size_t size, const char *what,
                            gdn_error *err);

/* The status of a cudaError_t; call: "cudaMemcpy of a block of inputs", say. */
gdn_status gdn_cuda_status(int error, const char *call, gdn_error *err);

/* After a kernel launch: did it start? */
gdn_status gdn_cuda_launched(const char *kernel, gdn_error *err);

/* Refuses, in a sentence, parameters that no engine on a GPU takes: the L2 norm off, or a scale of q. */
gdn_status gdn_cuda_takes(const gdn_params *params, gdn_error *err);

/* Wait for this thread's stream. */
gdn_status gdn_cuda_finish(gdn_error *err);

#ifdef __cplusplus
}
#endif

#endif
