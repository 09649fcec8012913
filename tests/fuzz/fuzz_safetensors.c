/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_safetensors -- any bytes as a safetensors file: refused in a sentence, or readable to the last byte.
 *
 * The first byte says how the rest becomes a file, since random bytes seldom have the right length in front:
 *
 *     bit 0 clear    a whole file
 *     bit 0 set      JSON to the last '}', data behind it; the length is put in front
 *     bit 1 set      and the data are as many zeros as the high six bits say
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "harness/safetensors.h"
#include "tests/fuzz/fuzz.h"

enum { MOST_VALUES = 4096 };

size_t fuzz_accepted;

/* Every tensor lies in the file, behind the one before it, and can be read and found. */
static void read_all(const gdn_safetensors *f, const unsigned char *bytes, size_t n)
{
    static float x[MOST_VALUES];
    static double y[MOST_VALUES];
    uint64_t end = 0;
    gdn_error err;
    for (size_t i = 0; i < gdn_safetensors_count(f); i++) {
        const gdn_tensor *t = gdn_safetensors_at(f, i);
        FUZZ_CHECK(i == 0 || t->begin == end);
        end = t->begin + t->bytes;
        FUZZ_CHECK(end <= n && (const unsigned char *)t->data == bytes + t->begin);
        FUZZ_CHECK(gdn_safetensors_find(f, t->name) == t);
        int64_t elements = gdn_tensor_elements(t);
        FUZZ_CHECK(elements >= 0 && (uint64_t)elements * gdn_dtype_bits(t->dtype) == 8 * t->bytes);
        if (elements > MOST_VALUES)
            continue;
        gdn_status status = gdn_tensor_doubles(t, y, &err);
        if (status != GDN_OK)
            fuzz_check_sentence(status, &err);
        if (gdn_tensor_floats(t, x, &err) != GDN_OK)
            continue;
        FUZZ_CHECK(status == GDN_OK);
        for (int64_t k = 0; k < elements; k++)
            FUZZ_CHECK((double)x[k] == y[k] || (x[k] != x[k] && y[k] != y[k]));
    }
    FUZZ_CHECK(gdn_safetensors_count(f) == 0 || end == n);
    (void)gdn_safetensors_metadata(f, "format");
    (void)gdn_safetensors_metadata_object(f);
}

static void open_one(const unsigned char *bytes, size_t n)
{
    gdn_safetensors *f;
    gdn_error err = {""};
    gdn_status status = gdn_safetensors_open_memory(bytes, n, "fuzz", &f, &err);
    FUZZ_CHECK((status == GDN_OK) == (f != NULL));
    if (status == GDN_OK) {
        read_all(f, bytes, n);
        fuzz_accepted++;
    } else {
        fuzz_check_sentence(status, &err);
        FUZZ_CHECK(strstr(err.text, "byte offset "));
    }
    gdn_safetensors_close(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    if (n == 0)
        return 0;
    unsigned mode = input[0];
    const uint8_t *json = input + 1;
    size_t rest = n - 1, length = rest;
    while (length > 0 && json[length - 1] != '}')
        length--;
    if (!(mode & 1))
        length = 0;
    size_t head = mode & 1 ? 8 : 0, zeros = mode & 2 ? mode >> 2 : 0, kept = mode & 2 ? length : rest;
    unsigned char *bytes = malloc(head + kept + zeros + 1); /* at its own address, where overruns are seen */
    FUZZ_CHECK(bytes);
    for (size_t i = 0; i < head; i++)
        bytes[i] = (unsigned char)((uint64_t)length >> 8 * i);
    memcpy(bytes + head, json, kept);
    memset(bytes + head + kept, 0, zeros);
    unsigned char *fit = realloc(bytes, head + kept + zeros ? head + kept + zeros : 1);
    FUZZ_CHECK(fit);
    open_one(fit, head + kept + zeros);
    free(fit);
    return 0;
}
