/* SPDX-License-Identifier: Apache-2.0 */
/* decode -- prefill, then decode, on a GPU; see decode.h. */
#include "kernels/decode.h"

#include <cuda_runtime.h>

#include "base/cuda.h"
#include "kernels/chunked.h"
#include "kernels/recurrent.h"

static gdn_status copy(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t bytes,
                       size_t rows, gdn_error *err)
{
    return gdn_cuda_status(cudaMemcpy2DAsync(to, to_pitch, from, from_pitch, bytes, rows,
                                             cudaMemcpyDeviceToDevice, cudaStreamPerThread),
                           "cudaMemcpy2DAsync of half a block", err);
}

static gdn_status engine_open(void **self, const gdn_setup *setup, gdn_error *err)
{
    static const gdn_decode_place gpu = {
        &gdn_chunked_cuda_engine, &gdn_recurrent_cuda_engine, gdn_cuda_calloc, gdn_cuda_free, copy,
        gdn_cuda_to_host};
    return gdn_decode_open(self, setup, &gpu, err);
}

extern "C" const gdn_engine gdn_decode_cuda_engine = {
    .name = "prefill-decode-cuda",
    .summary = "the chunked form, then the recurrent form from the state cache, on a GPU",
    .pairs = false,
    .open = engine_open,
    .advance = gdn_decode_advance,
    .read_state = gdn_decode_read_state,
    .close = gdn_decode_close,
};
