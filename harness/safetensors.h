/* SPDX-License-Identifier: Apache-2.0 */
/*
 * safetensors -- reading the file format in which checkpoints and other people's outputs come.
 *
 * A file is
 *
 *     8 bytes     n, little endian: the length of the header
 *     n bytes     JSON, from '{' on, padded with blanks: {"name": {"dtype", "shape", "data_offsets"}, ...}
 *     the rest    the tensors, row-major and little endian; data_offsets = [begin, end) count from here
 *
 * where the JSON may also hold "__metadata__", strings by name, and the tensors cover the rest without gap or
 * overlap. (https://github.com/huggingface/safetensors,
 * "Format"; what its Rust reader refuses is refused here too, and besides: fields of an entry other than the
 * three, more than GDN_MAX_RANK dimensions, and more than 100,000 strings of metadata.) All of it is checked
 * on opening; afterwards no tensor can point outside the file. What is wrong is named with its byte offset in
 * the file. Memory taken is a few times the header's, whatever stands in it.
 */
#ifndef GDN_HARNESS_SAFETENSORS_H
#define GDN_HARNESS_SAFETENSORS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Element types: all of safetensors 0.8. */
typedef enum gdn_dtype {
    GDN_DTYPE_BOOL,
    GDN_DTYPE_F4,
    GDN_DTYPE_F6_E2M3,
    GDN_DTYPE_F6_E3M2,
    GDN_DTYPE_U8,
    GDN_DTYPE_I8,
    GDN_DTYPE_F8_E5M2,
    GDN_DTYPE_F8_E4M3, /* OCP: finite, one NaN per sign */
    GDN_DTYPE_F8_E8M0,
    GDN_DTYPE_F8_E4M3FNUZ,
    GDN_DTYPE_F8_E5M2FNUZ,
    GDN_DTYPE_I16,
    GDN_DTYPE_U16,
    GDN_DTYPE_F16,
    GDN_DTYPE_BF16,
    GDN_DTYPE_I32,
    GDN_DTYPE_U32,
    GDN_DTYPE_F32,
    GDN_DTYPE_C64,
    GDN_DTYPE_F64,
    GDN_DTYPE_I64,
    GDN_DTYPE_U64,
    GDN_DTYPES
} gdn_dtype;

enum { GDN_MAX_RANK = 8 };

typedef struct gdn_tensor {
    const char *name;
    gdn_dtype dtype;
    int rank;                  /* 0 (a scalar) .. GDN_MAX_RANK */
    int64_t dim[GDN_MAX_RANK]; /* [rank], outermost first; each >= 0 */
    const void *data;          /* [bytes], at any alignment */
    uint64_t bytes;
    uint64_t begin; /* byte offset of the data in the file */
} gdn_tensor;

/* An open file. It owns the names, the tensors and their data. */
typedef struct gdn_safetensors gdn_safetensors;

/*
 * Open and check the file at `path`; *out is to be closed with gdn_safetensors_close, and is NULL on failure.
 * GDN_BAD_INPUT when there is no such file or it is not a well-formed safetensors file, GDN_MACHINE when
 * memory or the disk fails. The data are mapped, not read: whoever cuts the file short while it is open ends
 * this process (SIGBUS).
 */
gdn_status gdn_safetensors_open(const char *path, gdn_safetensors **out, gdn_error *err);

/* The same of a file that is in memory, bytes: [n], which must outlive it; `name` stands for the path in
 * sentences. */
gdn_status gdn_safetensors_open_memory(const void *bytes, size_t n, const char *name, gdn_safetensors **out,
                                       gdn_error *err);

void gdn_safetensors_close(gdn_safetensors *f); /* NULL is fine */

/* The tensors, in the order of their data in the file (empty ones at the same place: by name). 0 <= i <
 * count. */
size_t gdn_safetensors_count(const gdn_safetensors *f);
const gdn_tensor *gdn_safetensors_at(const gdn_safetensors *f, size_t i);

/* The tensor called `name`, or NULL. */
const gdn_tensor *gdn_safetensors_find(const gdn_safetensors *f, const char *name);

/* The string stored under `key` in __metadata__, or NULL. It lives as long as the file is open. */
const char *gdn_safetensors_metadata(const gdn_safetensors *f, const char *key);

/* All of __metadata__, an object of strings; NULL where the header has none. */
const json_t *gdn_safetensors_metadata_object(const gdn_safetensors *f);

/* The dtype called `name`, which is as in the format: "BF16"; false: none is. */
bool gdn_dtype_named(const char *name, gdn_dtype *out);

/* "BF16" and so on; and the bits an element takes (4 and 6 are packed). */
const char *gdn_dtype_name(gdn_dtype dtype);
unsigned gdn_dtype_bits(gdn_dtype dtype);

/* Number of elements: the product of the dimensions, 1 for a scalar. */
int64_t gdn_tensor_elements(const gdn_tensor *t);

/*
 * The elements as floats or doubles, exactly; NaN stays NaN. out: [gdn_tensor_elements(t)].
 * GDN_BAD_INPUT for any dtype but F64, F32, F16, BF16, F8_E4M3 and F8_E5M2, and, as floats, for fp64 elements
 * that fp32 does not hold.
 */
gdn_status gdn_tensor_floats(const gdn_tensor *t, float *out, gdn_error *err);
gdn_status gdn_tensor_doubles(const gdn_tensor *t, double *out, gdn_error *err);

#endif
