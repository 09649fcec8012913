/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status -- how a function says that it failed.
 *
 * Every function that can fail returns a gdn_status and leaves one sentence in the gdn_error that the caller
 * gave it: what was found, where, and what is allowed. Only main() exits; the enumerators are its exit codes.
 */
#ifndef GDN_BASE_STATUS_H
#define GDN_BASE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum gdn_status {
    GDN_OK = 0,
    GDN_DIFFERS = 1,   /* a comparison failed */
    GDN_BAD_INPUT = 2, /* wrong use or bad input */
    GDN_MACHINE = 3    /* the machine failed: memory, disk, device */
} gdn_status;

typedef struct gdn_error {
    char text[768]; /* the sentence; empty while nothing failed */
} gdn_error;

/* Write the sentence and return `status`, so that callers can `return gdn_fail(...)`. */
gdn_status gdn_fail(gdn_error *err, gdn_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The sentence for memory that could not be had; `what` names what it was for. */
gdn_status gdn_no_memory(gdn_error *err, const char *what);

#ifdef __clang_analyzer__ /* which sees no other file: these return what they are given */
#define gdn_fail(err, status, ...) ((gdn_fail)(err, status, __VA_ARGS__), (status))
#define gdn_no_memory(err, what) ((gdn_no_memory)(err, what), GDN_MACHINE)
#endif

/* Zeroed memory aligned to 64 bytes (a vector register, a cache line); free() it. NULL when there is none. */
void *gdn_calloc(unsigned long count, unsigned long size);

#ifdef __cplusplus
}
#endif

#endif
