/* SPDX-License-Identifier: Apache-2.0 */
/* status -- how a function says that it failed; see status.h. */
#include "base/status.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef gdn_fail
#undef gdn_no_memory

gdn_status gdn_fail(gdn_error *err, gdn_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return status;
}

gdn_status gdn_no_memory(gdn_error *err, const char *what)
{
    return gdn_fail(err, GDN_MACHINE, "out of memory for %s", what);
}

void *gdn_calloc(unsigned long count, unsigned long size)
{
    if (size != 0 && count > (SIZE_MAX - 63) / size)
        return NULL;
    size_t bytes = (count * size + 63) / 64 * 64;
    void *p = aligned_alloc(64, bytes ? bytes : 64);
    if (p)
        memset(p, 0, bytes ? bytes : 64);
    return p;
}
