/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors_parts -- what safetensors.c and safetensors_header.c share. */
#ifndef GDN_HARNESS_SAFETENSORS_PARTS_H
#define GDN_HARNESS_SAFETENSORS_PARTS_H

#include <jansson.h>

#include "harness/safetensors.h"

struct gdn_safetensors {
    uint64_t size;               /* of the file */
    uint64_t data;               /* byte offset at which the tensors begin */
    char *names;                 /* of the tensors, one behind the other */
    json_t *metadata;            /* __metadata__, or NULL */
    size_t count;                /* of tensors */
    gdn_tensor *tensor;          /* [count], by offset */
    const gdn_tensor **by_name;  /* [count], by name */
    const unsigned char *mapped; /* [size] */
    bool in_memory;              /* mapped is the caller's */
};

/* What every step of opening needs. */
typedef struct gdn_safetensors_reading {
    gdn_safetensors *f;
    const char *path;
    const unsigned char *bytes; /* [size] of a file in memory; else NULL */
    int fd;                     /* else */
    gdn_error *err;
} gdn_safetensors_reading;

enum { GDN_SAFETENSORS_LENGTH = 8 }; /* bytes of the header's length, at byte offset 0 */

/* The sentence, behind the path. */
gdn_status gdn_safetensors_refuse(const gdn_safetensors_reading *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * header: [length], the JSON. Fills names, metadata, count, tensor and by_name, all but the data; f->size and
 * f->data are set. Every refusal names the byte offset in the file.
 */
gdn_status gdn_safetensors_entries(const gdn_safetensors_reading *r, const char *header, uint64_t length);

#endif
