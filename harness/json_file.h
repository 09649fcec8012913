/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_file -- numbers as JSON; and the JSON files of a checkpoint, which are untrusted: one object with
 * unique keys, of at most GDN_JSON_BYTES bytes and GDN_JSON_VALUES values, so that no file takes more than a
 * few hundred MB to read.
 */
#ifndef GDN_HARNESS_JSON_FILE_H
#define GDN_HARNESS_JSON_FILE_H

#include <jansson.h>

#include "base/status.h"

enum { GDN_JSON_BYTES = 100000000, GDN_JSON_VALUES = 1000000 };

/*
 * The object in the file at `path`; *out is to be released with json_decref, and is NULL on failure.
 * GDN_BAD_INPUT, with path, line and byte offset, when there is no such file or it holds something else;
 * GDN_MACHINE when memory or the disk fails.
 */
gdn_status gdn_json_read(const char *path, json_t **out, gdn_error *err);

/* The same of bytes: [n] in memory; path: what they are called. */
gdn_status gdn_json_parse(const char *bytes, size_t n, const char *path, json_t **out, gdn_error *err);

/* Text from outside; JSON is UTF-8, and what is not is escaped (harness/shown.h). NULL: no memory. */
json_t *gdn_json_text(const char *text);

/* A number for a file of ours: JSON has no NaN or infinity, they are null. */
json_t *gdn_json_number(double x);

/* The byte offset of what jansson refused. */
size_t gdn_json_error_at(const json_error_t *why);

#endif
