/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors_write -- headers and whole files; see safetensors_write.h. */
#include "harness/safetensors_write.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "harness/outfile.h"

enum { LENGTH_BYTES = 8, ALIGNMENT = 8, MAX_HEADER = 100000000 };

int gdn_safetensors_compare(const gdn_tensor *s, const gdn_tensor *t)
{
    if (s->dtype != t->dtype)
        return s->dtype > t->dtype ? -1 : 1;
    return strcmp(s->name, t->name);
}

uint64_t gdn_tensor_bytes(const gdn_tensor *t)
{
    return (uint64_t)gdn_tensor_elements(t) * gdn_dtype_bits(t->dtype) / 8;
}

/* {"dtype", "shape", "data_offsets"} of a tensor whose data begin at `begin`; NULL where memory fails. */
static json_t *entry_of(const gdn_tensor *t, uint64_t begin)
{
    json_t *shape = json_array();
    for (int i = 0; i < t->rank; i++)
        if (json_array_append_new(shape, json_integer(t->dim[i]))) {
            json_decref(shape);
            return NULL;
        }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", gdn_dtype_name(t->dtype), "shape", shape,
                     "data_offsets", (json_int_t)begin, (json_int_t)begin + (json_int_t)gdn_tensor_bytes(t));
}

/* root gets one entry a tensor. */
static gdn_status put_entries(json_t *root, const gdn_tensor *t, size_t n, gdn_error *err)
{
    uint64_t begin = 0;
    for (size_t i = 0; i < n; i++) {
        if (json_object_get(root, t[i].name) || strcmp(t[i].name, "__metadata__") == 0)
            return gdn_fail(err, GDN_BAD_INPUT, "a safetensors file: the name %.200s is used twice",
                            t[i].name);
        if ((uint64_t)gdn_tensor_elements(&t[i]) * gdn_dtype_bits(t[i].dtype) % 8 != 0)
            return gdn_fail(err, GDN_BAD_INPUT,
                            "a safetensors file: the elements of %.200s end within a byte", t[i].name);
        json_t *entry = entry_of(&t[i], begin), *name = json_string(t[i].name);
        if (entry && !name) {
            json_decref(entry);
            return gdn_fail(err, GDN_BAD_INPUT, "a safetensors file: the name of tensor %zu is not UTF-8", i);
        }
        json_decref(name);
        if (!entry || json_object_set_new(root, t[i].name, entry))
            return gdn_no_memory(err, "the header of a safetensors file");
        begin += gdn_tensor_bytes(&t[i]);
    }
    return GDN_OK;
}

/* text: [length], of which the last are blanks. */
static gdn_status frame(const char *text, unsigned char **out, size_t *size, gdn_error *err)
{
    size_t n = strlen(text), length = (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (length > MAX_HEADER)
        return gdn_fail(err, GDN_BAD_INPUT,
                        "a safetensors file: its header would take %zu bytes, allowed are %d", length,
                        MAX_HEADER);
    unsigned char *bytes = malloc(LENGTH_BYTES + length);
    if (!bytes)
        return gdn_no_memory(err, "the header of a safetensors file");
    uint64_t little = htole64(length);
    memcpy(bytes, &little, LENGTH_BYTES);
    memcpy(bytes + LENGTH_BYTES, text, n); /* NOLINT(bugprone-not-null-terminated-result): blanks end it */
    memset(bytes + LENGTH_BYTES + n, ' ', length - n);
    *out = bytes;
    *size = LENGTH_BYTES + length;
    return GDN_OK;
}

gdn_status gdn_safetensors_header(const gdn_tensor *t, size_t n, const json_t *metadata, unsigned char **out,
                                  size_t *size, gdn_error *err)
{
    json_t *root = json_object(), *copy = metadata ? json_deep_copy(metadata) : NULL;
    char *text = NULL;
    gdn_status status = GDN_OK;
    *out = NULL;
    if (!root || (metadata && json_object_set_new(root, "__metadata__", copy)))
        status = gdn_no_memory(err, "the header of a safetensors file");
    if (!status)
        status = put_entries(root, t, n, err);
    if (!status && !(text = json_dumps(root, JSON_COMPACT)))
        status = gdn_no_memory(err, "the header of a safetensors file");
    if (!status)
        status = frame(text, out, size, err);
    free(text);
    json_decref(root);
    return status;
}

gdn_status gdn_safetensors_write(const char *path, const gdn_tensor *t, size_t n, const json_t *metadata,
                                 gdn_error *err)
{
    unsigned char *header;
    size_t size;
    gdn_outfile o;
    gdn_status status = gdn_safetensors_header(t, n, metadata, &header, &size, err);
    if (status || (status = gdn_outfile_open(&o, path, err)))
        goto done;
    fwrite(header, 1, size, o.f); /* closing looks at the stream's error */
    for (size_t i = 0; i < n; i++)
        fwrite(t[i].data, 1, gdn_tensor_bytes(&t[i]), o.f);
    status = gdn_outfile_close(&o, status, err);
done:
    free(header);
    return status;
}
