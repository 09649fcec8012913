/* SPDX-License-Identifier: Apache-2.0 */
/* shown -- untrusted text in sentences; see shown.h. */
#include "harness/shown.h"

#include <stdio.h>
#include <string.h>

enum { ESCAPED = 4, DOTS = 3 }; /* characters of \xNN and of ... */

static size_t width(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x7f ? 1 : ESCAPED;
}

static char *put(char *out, unsigned char byte)
{
    if (width(byte) == 1)
        *out = (char)byte;
    else
        sprintf(out, "\\x%02x", byte);
    return out + width(byte);
}

const char *gdn_shown_bytes(const void *untrusted, size_t n, char *out, size_t size)
{
    const unsigned char *s = untrusted;
    size_t room = size - 1, all = 0;
    for (size_t i = 0; i < n && all <= room; i++)
        all += width(s[i]);
    char *at = out, *end = out + room - (all > room ? DOTS : 0);
    for (size_t i = 0; i < n && width(s[i]) <= (size_t)(end - at); i++)
        at = put(at, s[i]);
    memcpy(at, "...", all > room ? DOTS : 0);
    at[all > room ? DOTS : 0] = 0;
    return out;
}

const char *gdn_shown(const char *untrusted, char *out, size_t size)
{
    return gdn_shown_bytes(untrusted, strlen(untrusted), out, size);
}

const char *gdn_quoted_bytes(const void *untrusted, size_t n, char *out, size_t size)
{
    out[0] = '"';
    gdn_shown_bytes(untrusted, n, out + 1, size - 2);
    memcpy(out + strlen(out), "\"", 2);
    return out;
}

const char *gdn_quoted(const char *untrusted, char *out, size_t size)
{
    return gdn_quoted_bytes(untrusted, strlen(untrusted), out, size);
}

const char *gdn_shown_path(const char *path, char *out, size_t size)
{
    size_t from = strlen(path), room = size - 1, all = 0;
    for (; from > 0 && all + width((unsigned char)path[from - 1]) <= room; from--)
        all += width((unsigned char)path[from - 1]);
    if (from == 0)
        return gdn_shown(path, out, size);
    for (; all > room - DOTS; from++)
        all -= width((unsigned char)path[from]);
    memcpy(out, "...", DOTS);
    gdn_shown(path + from, out + DOTS, size - DOTS);
    return out;
}
