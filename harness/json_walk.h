/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_walk -- JSON text, walked value by value: where each one stands is known, and none takes memory.
 *
 * jansson builds a tree, which forgets the places and takes many times the text's size; here the caller says
 * what must come next. Strings that are not plain ASCII are decoded by jansson.
 */
#ifndef GDN_HARNESS_JSON_WALK_H
#define GDN_HARNESS_JSON_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `at` only grows. On a problem it is the offset of the byte that is wrong, and `problem` says what. */
typedef struct gdn_json_walk {
    const char *text; /* [n] */
    size_t n, at;
    char problem[192]; /* "found ..., allowed is ..."; empty: none so far */
    bool no_memory;
} gdn_json_walk;

/* The first character of the value that is next, blanks skipped: '{', '[', '"', a digit or '-', ...; 0: the
 * end. */
char gdn_json_peek(gdn_json_walk *w);

/*
 * Go through an object ("{}") or an array ("[]"), whose opening bracket is next at first:
 *
 *     for (int i = 0; gdn_json_next(&w, "{}", i); i++) ...
 *
 * leaves each member's key, or each element, next; the body takes it. False behind the closing bracket, and
 * on a problem.
 */
bool gdn_json_next(gdn_json_walk *w, const char *brackets, int i);

/* Take a string into out: [n + 2 of the walk will do], ended by NUL; no string holds one. False on a problem.
 */
bool gdn_json_string(gdn_json_walk *w, char *out);

/* Take a member's key as a string, and the colon behind it. */
bool gdn_json_key(gdn_json_walk *w, char *out);

/* Take an integer of 0 .. 2^63 - 1. False, with the value still next and no problem, when it is none. */
bool gdn_json_count(gdn_json_walk *w, int64_t *out);

/* Nothing but blanks may follow. */
bool gdn_json_end(gdn_json_walk *w);

/* What the value that is next is, for "found ...": its text, if it is a scalar. Returns out. */
const char *gdn_json_found(gdn_json_walk *w, char *out, size_t size);

#endif
