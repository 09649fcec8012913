/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz -- what the fuzz targets share. */
#ifndef GDN_TESTS_FUZZ_FUZZ_H
#define GDN_TESTS_FUZZ_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

#define FUZZ_CHECK(what)                                                                                     \
    do {                                                                                                     \
        if (!(what)) {                                                                                       \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);                               \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* Bad input is answered in one whole line that cannot command a terminal. */
static inline void fuzz_check_sentence(gdn_status status, const gdn_error *err)
{
    size_t n = strlen(err->text);
    FUZZ_CHECK(status == GDN_BAD_INPUT && n > 0 && n < sizeof err->text - 1);
    for (size_t i = 0; i < n; i++)
        FUZZ_CHECK(err->text[i] >= 0x20 && err->text[i] < 0x7f);
}

int LLVMFuzzerTestOneInput(const unsigned char *input, size_t n);

#endif
