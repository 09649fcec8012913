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
    size_t n = strlen(err->text), printable = 0;
    while (err->text[printable] >= 0x20 && err->text[printable] < 0x7f)
        printable++;
    if (status != GDN_BAD_INPUT || n == 0 || n >= sizeof err->text - 1 || printable < n)
        fprintf(stderr, "status %d: %s\n", (int)status, err->text);
    FUZZ_CHECK(status == GDN_BAD_INPUT && n > 0 && n < sizeof err->text - 1 && printable == n);
}

/* Inputs so far that were what the target reads; test_fuzz.c looks whether its seeds are. */
extern size_t fuzz_accepted;

int LLVMFuzzerTestOneInput(const unsigned char *input, size_t n);

#endif
