/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_parts -- what checkpoint.c does to JSON that is in memory already, for it and for fuzzing. */
#ifndef GDN_HARNESS_CHECKPOINT_PARTS_H
#define GDN_HARNESS_CHECKPOINT_PARTS_H

#include "harness/checkpoint.h"

/* Is the index well formed: a weight_map of names to plain file names? path: what it is called. */
gdn_status gdn_checkpoint_check_index(const json_t *index, const char *path, gdn_error *err);

/* architectures[0] of the config, which lives as long as that does; *out is NULL where it names none. */
gdn_status gdn_checkpoint_architecture(const json_t *config, const char *path, const char **out,
                                       gdn_error *err);

/* strcmp, but runs of digits count by their value: "layers.2." < "layers.10.". */
int gdn_natural_order(const char *a, const char *b);

#endif
