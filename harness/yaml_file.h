/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_file -- a YAML file read against a schema of libcyaml. Whatever is wrong with it is one sentence with
 * file, line and field, what was found and what is allowed.
 */
#ifndef GDN_HARNESS_YAML_FILE_H
#define GDN_HARNESS_YAML_FILE_H

#include <cyaml/cyaml.h>

#include "base/status.h"

typedef struct gdn_yaml {
    char *path, *text;
    const cyaml_schema_value_t *schema;
    cyaml_data_t *data; /* what the schema makes of the text */
    unsigned count;     /* entries, where the schema is a list */
} gdn_yaml;

/* What sentences about the file say. */
typedef struct gdn_yaml_words {
    const char *name;  /* "cannot open <name>" */
    const char *unfit; /* of what is no regular file of at most 1 MiB */
    const char *empty; /* of a file without a value */
} gdn_yaml_words;

/*
 * Read the file at `path`. *y is all zero before, and to be closed even after a failure. Where y->text is set
 * (to be freed with free()) it is taken for what the file holds.
 */
gdn_status gdn_yaml_open(gdn_yaml *y, const char *path, const gdn_yaml_words *words,
                         const cyaml_schema_value_t *schema, gdn_error *err);
void gdn_yaml_close(gdn_yaml *y);

/* Fail at a field ("0/values/2/sql", as gdn_yaml_line of harness/experiment.h wants it) with a sentence. */
gdn_status gdn_yaml_bad(const gdn_yaml *y, const char *field, gdn_error *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
