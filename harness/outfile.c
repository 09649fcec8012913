/* SPDX-License-Identifier: Apache-2.0 */
/* outfile -- a file that appears whole or not at all; see outfile.h. */
#include "harness/outfile.h"

#include <errno.h>
#include <fcntl.h>
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
    bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG || errno == 0;
    return gdn_fail(err, status, "%s: cannot %s: %s%s", path, what,
                    errno ? strerror(errno) : "not all of it arrived",
                    full           ? " (make room and run the same command again)"
                    : errno == EIO ? " (when the disk answers, run the same command again)"
                                   : "");
}

char *gdn_directory_of(const char *path, char *out, size_t size)
{
    snprintf(out, size, "%s", path);
    char *slash = strrchr(out, '/');
    if (!slash)
        snprintf(out, size, ".");
    else
        slash[slash == out] = 0;
    return out;
}

bool gdn_keep_name(const char *path)
{
    char directory[4200];
    int fd = open(gdn_directory_of(path, directory, sizeof directory), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES; /* a directory may be written to and not read */
    bool kept = fsync(fd) == 0 || errno == EINVAL || errno == EROFS; /* some file systems cannot */
    int number = errno;
    close(fd);
    errno = number;
    return kept;
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
    errno = 0; /* an earlier write may have failed, for a reason that nobody has kept */
    if (!status && (fflush(o->f) || ferror(o->f) || fsync(fileno(o->f))))
        status = failed(o->path, "write", err);
    if (fclose(o->f) && !status)
        status = failed(o->path, "write", err);
    if (!status && rename(o->temporary, o->path))
        status = failed(o->path, "rename the new file to it", err);
    else if (!status && !gdn_keep_name(o->path))
        status = failed(o->path, "write its directory", err);
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
        bool made = mkdir(part, 0777) == 0;
        if ((!made && errno != EEXIST) || (made && !gdn_keep_name(part)))
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
