/* SPDX-License-Identifier: Apache-2.0 */
/* source_file -- a population read from a safetensors file: somebody's real activations and parameters. */
#ifndef GDN_HARNESS_SOURCE_FILE_H
#define GDN_HARNESS_SOURCE_FILE_H

#include "harness/source.h"

/*
 * Fill the source from population->file: shape, lengths (the one length of the file), parameters, inputs and
 * recorded outputs. *digest receives XXH3-64 of the file, so that cells depend on what it holds and not on
 * where it lies.
 */
gdn_status gdn_source_open_file(const gdn_experiment *e, gdn_source *s, uint64_t *digest, gdn_error *err);

/* XXH3-64 of a file's bytes (source_identity.c). */
gdn_status gdn_source_file_digest(const char *path, uint64_t *digest, gdn_error *err);

/* What besides the population's text determines the inputs: the digest and the tensors by role. */
void gdn_source_file_text(const gdn_source *s, uint64_t digest, char *out, size_t size);

#endif
