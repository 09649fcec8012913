/* SPDX-License-Identifier: Apache-2.0 */
/* outfile -- a file that appears whole or not at all; see outfile.h. */
#include "harness/outfile.h"

#include <errno.h>
#include <sha256.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the user can mend is bad input; the rest is the machine. */
static gdn_status failed(const char *path, const char *what, gdn_error *err)
{
    gdn_status status = errno == EACCES || errno == ENOENT || errno == ENOTDIR || errno == EISDIR ||
                                errno == EROFS || errno == EPERM || errno == EEXIST
                            ? GDN_BAD_INPUT
                            : GDN_MACHINE;
    return gdn_fail(err, status, "%s: cannot %s: %s", path, what, strerror(errno));
}

gdn_status gdn_outfile_open(gdn_outfile *o, const char *path, gdn_error *err)
{
    if (snprintf(o->path, sizeof o->path, "%s", path) >= (int)sizeof o->path)
        return gdn_fail(err, GDN_BAD_INPUT, "%.80s...: the path is too long", path);
    snprintf(o->temporary, sizeof o->temporary, "%s.new", o->path);
    o->f = fopen(o->temporary, "wb");
    return o->f ? GDN_OK : failed(path, "write", err);
}

gdn_status gdn_outfile_close(gdn_outfile *o, gdn_status status, gdn_error *err)
{
    if (!o->f)
        return status;
    if (!status && (fflush(o->f) || ferror(o->f) || fsync(fileno(o->f))))
        status = failed(o->path, "write", err);
    if (fclose(o->f) && !status)
        status = failed(o->path, "write", err);
    if (!status && rename(o->temporary, o->path))
        status = failed(o->path, "rename the new file to it", err);
    if (status)
        unlink(o->temporary);
    o->f = NULL;
    return status;
}

gdn_status gdn_make_directory(const char *path, gdn_error *err)
{
    char part[4096];
    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
        return gdn_fail(err, GDN_BAD_INPUT, "%.80s...: the path is too long", path);
    for (char *slash = part + 1;; slash++) {
        char old = *slash;
        if (old != '/' && old != 0)
            continue;
        *slash = 0;
        if (mkdir(part, 0777) && errno != EEXIST)
            return failed(path, "make the directory", err);
        *slash = old;
        if (old == 0)
            break;
    }
    struct stat st;
    if (stat(path, &st))
        return failed(path, "look at the directory", err);
    if (!S_ISDIR(st.st_mode))
        return gdn_fail(err, GDN_BAD_INPUT, "%s: is not a directory", path);
    if (access(path, W_OK))
        return failed(path, "write to the directory", err);
    return GDN_OK;
}

gdn_status gdn_file_sha256(const char *path, char out[65], gdn_error *err)
{
    return SHA256File(path, out) ? GDN_OK : failed(path, "read", err);
}
