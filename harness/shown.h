/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shown -- text that came from a file, made fit for a sentence: whatever could command a terminal (anything
 * but printable ASCII) becomes \xNN, and what is long is cut.
 */
#ifndef GDN_HARNESS_SHOWN_H
#define GDN_HARNESS_SHOWN_H

#include <stddef.h>

enum { GDN_SHOWN = 112 }; /* room for a name in a sentence */

/* All return `out`, ended by NUL whatever the text; size >= 8. A text that does not fit ends in "...". */
const char *gdn_shown(const char *untrusted, char *out, size_t size);
const char *gdn_shown_bytes(const void *untrusted, size_t n, char *out, size_t size);

/* The same in double quotes. */
const char *gdn_quoted(const char *untrusted, char *out, size_t size);
const char *gdn_quoted_bytes(const void *untrusted, size_t n, char *out, size_t size);

/* The same of a path, of which the end is worth more: a long one begins with "...". */
const char *gdn_shown_path(const char *path, char *out, size_t size);

#endif
