/* SPDX-License-Identifier: Apache-2.0 */
/* lock -- one writer at a time; see lock.h. */
#include "harness/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Is the file behind fd still the one of this name? Whoever releases a lock removes its file. */
static bool still_there(int fd, const char *path)
{
    struct stat ours, theirs;
    return fstat(fd, &ours) == 0 && stat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino &&
           ours.st_dev == theirs.st_dev;
}

/* "process 123 on host", as the holder left it. */
static void read_holder(int fd, char *out, size_t size)
{
    ssize_t n = pread(fd, out, size - 1, 0);
    out[n > 0 ? n : 0] = 0;
    out[strcspn(out, "\n")] = 0;
}

static void write_holder(int fd)
{
    char host[256] = "?", text[300];
    gethostname(host, sizeof host - 1);
    int n = snprintf(text, sizeof text, "process %ld on %s\n", (long)getpid(), host);
    /* the lock holds without its text */
    if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)n, 0) != n && ftruncate(fd, 0) != 0)
        return;
}

gdn_status gdn_lock_take(gdn_lock *lock, const char *path, gdn_error *err)
{
    lock->fd = -1;
    if (snprintf(lock->path, sizeof lock->path, "%s-lock", path) >= (int)sizeof lock->path)
        return gdn_fail(err, GDN_BAD_INPUT, "%.80s...: the path is too long", path);
    for (;;) {
        int fd = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0) {
            bool disk = errno == ENOSPC || errno == EIO || errno == EDQUOT || errno == EMFILE;
            return gdn_fail(err, disk ? GDN_MACHINE : GDN_BAD_INPUT, "%s: cannot make the file: %s%s",
                            lock->path, strerror(errno), disk ? " (run again to resume)" : "");
        }
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            if (still_there(fd, lock->path)) {
                write_holder(fd);
                lock->fd = fd;
                return GDN_OK;
            }
        } else if (errno == EWOULDBLOCK) {
            char holder[300];
            read_holder(fd, holder, sizeof holder);
            close(fd);
            return gdn_fail(err, GDN_BAD_INPUT,
                            "%s: another gdnprec%s%s%s is writing to it; wait for its end, or choose another "
                            "--results directory",
                            path, *holder ? " (" : "", holder, *holder ? ")" : "");
        } else if (errno != EINTR) { /* the file stays: it may be another's */
            fprintf(stderr, "%s: no lock on it (%s): let no other gdnprec write there\n", path,
                    strerror(errno));
            close(fd);
            return GDN_OK;
        }
        close(fd);
    }
}

void gdn_lock_release(gdn_lock *lock)
{
    if (lock->fd < 0)
        return;
    unlink(lock->path); /* while it is ours */
    close(lock->fd);
    lock->fd = -1;
}
