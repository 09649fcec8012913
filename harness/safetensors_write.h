/* SPDX-License-Identifier: Apache-2.0 */
/*
 * safetensors_write -- writing the file format that safetensors.h reads.
 *
 * The header is written as the reference implementation does: compact JSON, __metadata__ first, the tensors
 * in the order of their data, blanks up to a multiple of 8. Data have no holes, so an element lies at a
 * multiple of its own size only if the order of the tensors brings it there; the reference order (wide
 * elements first) always does.
 */
#ifndef GDN_HARNESS_SAFETENSORS_WRITE_H
#define GDN_HARNESS_SAFETENSORS_WRITE_H

#include <jansson.h>
#include <stdbool.h>

#include "harness/safetensors.h"

/* < 0, 0, > 0: the reference implementation's order of tensors: by dtype, the last of gdn_dtype first, then
 * by name. */
int gdn_safetensors_compare(const gdn_tensor *s, const gdn_tensor *t);

/* Bytes that the data of t take: of its dtype and dimensions, which are those of a tensor in memory. */
uint64_t gdn_tensor_bytes(const gdn_tensor *t);

/*
 * All that stands before the data of n tensors in this order: the length, the JSON and the blanks. Of a
 * tensor the name, dtype, rank and dim are read. metadata: an object of strings, or NULL. *out: [*size], to
 * be freed; NULL on failure. GDN_BAD_INPUT for names that are used twice or are not UTF-8, sub-byte elements
 * that do not fill their last byte, and headers over the format's limit of 100 MB.
 */
gdn_status gdn_safetensors_header(const gdn_tensor *t, size_t n, const json_t *metadata, unsigned char **out,
                                  size_t *size, gdn_error *err);

/* A whole file, data ([gdn_tensor_bytes], any alignment) from memory; it appears whole or not at all
 * (outfile.h). */
gdn_status gdn_safetensors_write(const char *path, const gdn_tensor *t, size_t n, const json_t *metadata,
                                 gdn_error *err);

#endif
