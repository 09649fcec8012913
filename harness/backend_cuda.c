/* SPDX-License-Identifier: Apache-2.0 */
/* backend_cuda -- tasks on a GPU; see backend.h. */
#ifdef GDN_CUDA

#include "base/cuda.h"
#include "harness/backend.h"
#include "harness/metrics_cuda.h"
#include "kernels/chunked.h"
#include "kernels/decode.h"
#include "kernels/recurrent.h"
#include "reference/gdn_dd.h"
#include "reference/gdn_fp64.h"

static const gdn_engine *twin(const gdn_engine *engine)
{
    static const struct {
        const gdn_engine *cpu, *cuda;
    } twins[] = {{&gdn_recurrent_engine, &gdn_recurrent_cuda_engine},
                 {&gdn_chunked_engine, &gdn_chunked_cuda_engine},
                 {&gdn_decode_engine, &gdn_decode_cuda_engine},
                 {&gdn_fp64_engine, &gdn_fp64_cuda_engine},
                 {&gdn_dd_engine, &gdn_dd_cuda_engine}};
    for (size_t i = 0; i < sizeof twins / sizeof twins[0]; i++)
        if (twins[i].cpu == engine)
            return twins[i].cuda;
    return NULL;
}

const gdn_backend gdn_backend_cuda = {
    .name = "cuda",
    .twin = twin,
    .mode = gdn_cuda_mode,
    .enter = gdn_cuda_enter,
    .memory = gdn_cuda_free_memory,
    .block = 1024, /* launches of 3 us are then a hundredth of the time of 64 heads */
    .alloc = gdn_cuda_calloc,
    .release = gdn_cuda_free,
    .put = gdn_cuda_to_device,
    .get = gdn_cuda_to_host,
    .inputs = gdn_inputs_cuda_fill,
    .cumulate = gdn_metrics_cuda_cumulate,
    .rescale = gdn_metrics_cuda_rescale,
    .average = gdn_metrics_cuda_average,
    .differ = gdn_metrics_cuda_differ,
    .sums = gdn_metrics_cuda_sums,
};

#endif
