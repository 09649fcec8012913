/* SPDX-License-Identifier: Apache-2.0 */
/* json_file -- reading untrusted JSON; see json_file.h. */
#include "harness/json_file.h"

#include <errno.h>
#include <math.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/shown.h"

enum { SHOWN_PATH = 256 };

/* A value that is not the first of the whole follows '{', '[' or ','. At which byte there are too many, or n.
 */
static size_t values_end(const char *bytes, size_t n)
{
    size_t values = 1;
    bool string = false;
    for (size_t i = 0; i < n; i++) {
        char c = bytes[i];
        if (string && c == '\\')
            i++;
        else if (c == '"')
            string = !string;
        else if (!string && (c == '{' || c == '[' || c == ',') && ++values > GDN_JSON_VALUES)
            return i;
    }
    return n;
}

/* jansson stops before a byte that is not UTF-8 or is a control character, else behind the one that it
 * refuses. */
size_t gdn_json_error_at(const json_error_t *why)
{
    static const char *const before[] = {"unable to decode", "control character", "unexpected newline"};
    size_t at = why->position > 0 ? (size_t)why->position : 0;
    for (size_t i = 0; i < sizeof before / sizeof *before; i++)
        if (strncmp(why->text, before[i], strlen(before[i])) == 0)
            return at;
    return at ? at - 1 : 0;
}

gdn_status gdn_json_parse(const char *bytes, size_t n, const char *path, json_t **out, gdn_error *err)
{
    char shown[SHOWN_PATH], text[GDN_SHOWN];
    gdn_shown_path(path, shown, sizeof shown);
    *out = NULL;
    if (n > GDN_JSON_BYTES)
        return gdn_fail(err, GDN_BAD_INPUT, "%s: found %zu bytes, allowed are at most %d", shown, n,
                        GDN_JSON_BYTES);
    size_t end = values_end(bytes, n);
    if (end < n)
        return gdn_fail(err, GDN_BAD_INPUT,
                        "%s: byte offset %zu: found the end of value number %d, allowed are no more", shown,
                        end, GDN_JSON_VALUES);
    json_error_t why;
    errno = 0;
    *out = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, &why);
    if (json_is_object(*out))
        return GDN_OK;
    if (*out) {
        json_decref(*out);
        *out = NULL;
        return gdn_fail(err, GDN_BAD_INPUT, "%s: byte offset 0: found an array, allowed is an object", shown);
    }
    /* Where jansson finds no memory it may blame the token at hand, but malloc has left its mark. */
    if (errno == ENOMEM || json_error_code(&why) == json_error_out_of_memory)
        return gdn_no_memory(err, "a JSON file");
    return gdn_fail(err, GDN_BAD_INPUT,
                    "%s:%d: is not JSON: byte offset %zu: allowed is an object with unique keys, found: %s",
                    shown, why.line, gdn_json_error_at(&why), gdn_shown(why.text, text, sizeof text));
}

/* bytes: [n]. */
static gdn_status read_all(int fd, char *bytes, size_t n, const char *shown, gdn_error *err)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = read(fd, bytes + done, n - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return gdn_fail(err, GDN_MACHINE, "%s: cannot be read at byte offset %zu: %s", shown, done,
                            strerror(errno));
        if (got == 0)
            return gdn_fail(err, GDN_BAD_INPUT, "%s: was cut short to %zu bytes while it was read", shown,
                            done);
        done += (size_t)got;
    }
    return GDN_OK;
}

/* O_NONBLOCK, for opening a FIFO would wait for its writer. */
gdn_status gdn_json_read(const char *path, json_t **out, gdn_error *err)
{
    char shown[SHOWN_PATH], *bytes = NULL;
    struct stat s;
    gdn_status status;
    gdn_shown_path(path, shown, sizeof shown);
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &s) != 0) {
        bool machine = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == EIO;
        status = gdn_fail(err, machine ? GDN_MACHINE : GDN_BAD_INPUT, "%s: cannot be opened: %s", shown,
                          strerror(errno));
        goto done;
    }
    if (!S_ISREG(s.st_mode) || s.st_size > GDN_JSON_BYTES) {
        status = gdn_fail(err, GDN_BAD_INPUT, "%s: found %s, allowed is a regular file of at most %d bytes",
                          shown, S_ISREG(s.st_mode) ? "a longer file" : "no regular file", GDN_JSON_BYTES);
        goto done;
    }
    bytes = malloc((size_t)s.st_size + 1);
    if (!bytes) {
        status = gdn_no_memory(err, "a JSON file");
        goto done;
    }
    status = read_all(fd, bytes, (size_t)s.st_size, shown, err);
    if (!status)
        status = gdn_json_parse(bytes, (size_t)s.st_size, path, out, err);
done:
    free(bytes);
    if (fd >= 0)
        close(fd); /* a file that was only read has nothing to lose here */
    return status;
}

json_t *gdn_json_text(const char *text)
{
    json_t *given = json_string(text);
    if (given)
        return given;
    size_t size = 4 * strlen(text) + 8; /* bytes as \xNN */
    char *shown = malloc(size);
    given = shown ? json_string(gdn_shown(text, shown, size)) : NULL;
    free(shown);
    return given;
}

json_t *gdn_json_number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}
