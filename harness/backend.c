/* SPDX-License-Identifier: Apache-2.0 */
/* backend -- which backend a name means here; see backend.h. */
#include "harness/backend.h"

#include <stdio.h>
#include <string.h>

#ifdef GDN_CUDA
#include <xxhash.h>

#include "base/cuda.h"

static gdn_status open_cuda(int device, char *about, size_t size, gdn_error *err)
{
    gdn_cuda_info i;
    gdn_status status = gdn_cuda_open(device, &i, err);
    if (!status)
        snprintf(about, size, "%s, sm_%d%d, driver for CUDA %d.%d, runtime %d.%d", i.name, i.major, i.minor,
                 i.driver / 1000, i.driver % 1000 / 10, i.runtime / 1000, i.runtime % 1000 / 10);
    return status;
}

int gdn_backend_devices(void)
{
    return gdn_cuda_count();
}

uint64_t gdn_backend_place(const gdn_backend *backend)
{
    char bus[32] = "";
    if (backend == &gdn_backend_cuda)
        gdn_cuda_bus(bus, sizeof bus);
    return *bus ? XXH3_64bits(bus, strlen(bus)) : 0;
}
#else
int gdn_backend_devices(void)
{
    return 0;
}

uint64_t gdn_backend_place(const gdn_backend *backend)
{
    (void)backend;
    return 0;
}

static gdn_status open_cuda(int device, char *about, size_t size, gdn_error *err)
{
    (void)device;
    (void)about;
    (void)size;
    return gdn_fail(err, GDN_MACHINE, "this gdnprec was built without CUDA: nvcc was not found");
}
#endif

/* The chunked form goes through cuBLAS, whose sums have an order of their own. */
const char *gdn_cuda_mode(const gdn_recipe *recipe)
{
    bool portable = recipe->math == GDN_MATH_PORTABLE && recipe->algorithm == GDN_RECURRENT;
    return portable ? "portable" : "native-cuda";
}

const gdn_backend *gdn_backend_named(const char *name)
{
    static const gdn_backend cuda = {.name = "cuda", .mode = gdn_cuda_mode};
    return strcmp(name, "cpu") == 0 ? &gdn_backend_cpu : strcmp(name, cuda.name) == 0 ? &cuda : NULL;
}

gdn_status gdn_backend_choose(const char *name, int device, const gdn_backend **out, char *about, size_t size,
                              gdn_error *err)
{
    gdn_error ignored;
    bool any = strcmp(name, "auto") == 0;
    *out = &gdn_backend_cpu;
    about[0] = 0;
    if (strcmp(name, "cpu") == 0)
        return GDN_OK;
    if (!any && strcmp(name, "cuda") != 0)
        return gdn_fail(err, GDN_BAD_INPUT, "--backend: '%s' is not allowed; auto, cpu and cuda are", name);
    gdn_status status = open_cuda(device, about, size, any ? &ignored : err);
    if (any && status == GDN_BAD_INPUT) { /* there are GPUs, but not this one */
        *err = ignored;
        return status;
    }
#ifdef GDN_CUDA
    if (!status)
        *out = &gdn_backend_cuda;
#endif
    if (status)
        about[0] = 0;
    return any ? GDN_OK : status;
}
