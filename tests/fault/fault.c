/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault -- a disk that fails on command: preload it (LD_PRELOAD) and the n-th call that writes below a
 * directory fails, or ends the process as kill -9 does. Calls that write: open of a file that may be made,
 * write, pwrite, ftruncate, fallocate, fsync, fdatasync, rename, mkdir, and mmap shared for writing; those
 * behind stdio too.
 *
 *     FAULT_DIR    absolute path: files below it count
 *     FAULT_AT     n, from 1; none: count and list
 *     FAULT_HOW    once: that call alone; on: all that follow too, a full disk; kill: SIGKILL in its place
 *     FAULT_ERRNO  ENOSPC, EIO or EROFS (default: ENOSPC)
 *     FAULT_SHORT  1: a write struck writes the first half, and the one after it fails
 *     FAULT_LOG    a file outside the directory: the calls struck (of a list: all), and how many there were
 *     FAULT_CLOCK  seconds: the clock of the day jumps by so much forth and back, call by call
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { ONCE, ON, KILL };

static const char *directory;
static long at, how, number = ENOSPC, clock_jump;
static bool half;
static int log_fd = -1;
static atomic_long calls, clock_calls;

/* The function that this library stands before. */
#define NEXT(type, name)                                                                                     \
    static type *next;                                                                                       \
    if (!next)                                                                                               \
    *(void **)&next = dlsym(RTLD_NEXT, name)

static long number_of(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text && *text ? atol(text) : otherwise;
}

__attribute__((constructor)) static void begin(void)
{
    const char *error = getenv("FAULT_ERRNO"), *when = getenv("FAULT_HOW"), *log = getenv("FAULT_LOG");
    directory = getenv("FAULT_DIR");
    at = number_of("FAULT_AT", 0);
    half = number_of("FAULT_SHORT", 0) != 0;
    clock_jump = number_of("FAULT_CLOCK", 0);
    number = !error ? ENOSPC : strcmp(error, "EIO") == 0 ? EIO : strcmp(error, "EROFS") == 0 ? EROFS : ENOSPC;
    how = when && strcmp(when, "on") == 0 ? ON : when && strcmp(when, "kill") == 0 ? KILL : ONCE;
    if (log)
        log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

__attribute__((destructor)) static void end(void)
{
    if (log_fd >= 0)
        dprintf(log_fd, "calls %ld\n", atomic_load(&calls));
}

/* Is the path below the directory? */
static bool below(const char *path)
{
    char whole[PATH_MAX];
    if (!directory || !path)
        return false;
    if (*path != '/' && getcwd(whole, sizeof whole / 2)) {
        size_t n = strlen(whole);
        snprintf(whole + n, sizeof whole - n, "/%s", path);
        path = whole;
    }
    size_t n = strlen(directory);
    return strncmp(path, directory, n) == 0 && path[n] == '/';
}

/* The path behind a descriptor. */
static const char *path_of(int fd, char path[PATH_MAX])
{
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(name, path, PATH_MAX - 1);
    path[n > 0 ? n : 0] = 0;
    return path;
}

typedef enum verdict { PASS, FAIL, SHORT } verdict;

static void end_here(void)
{
    kill(getpid(), SIGKILL);
    pause();
}

/* Count a call on a path of the directory; what becomes of it. errno is set where it fails. */
static verdict strike(const char *call, const char *path, bool is_write)
{
    long n = atomic_fetch_add(&calls, 1) + 1;
    bool first = n == at, second = half && n == at + 1;
    if (log_fd >= 0 && (!at || first || second))
        dprintf(log_fd, "call %ld: %s %s\n", n, call, path);
    if (!at || n < at || (how != ON && !first && !second))
        return PASS;
    if (first && half && is_write)
        return SHORT;
    if (how == KILL)
        end_here();
    errno = (int)number;
    return FAIL;
}

static verdict strike_fd(const char *call, int fd, bool is_write)
{
    char path[PATH_MAX];
    int before = errno;
    if (!directory || !below(path_of(fd, path))) {
        errno = before;
        return PASS;
    }
    errno = before;
    return strike(call, path, is_write);
}

/* ---- open ---- */

typedef int open_function(const char *, int, ...);

static int open_next(const char *path, int flags, mode_t mode)
{
    NEXT(open_function, "open");
    return next(path, flags, mode);
}

static int open_or_fail(const char *path, int flags, mode_t mode)
{
    if ((flags & O_CREAT) && below(path) && strike("open", path, false) != PASS)
        return -1;
    return open_next(path, flags, mode);
}

/* The third argument of open, where there is one. */
#define MODE_AFTER(flags, mode)                                                                              \
    mode_t mode = 0;                                                                                         \
    if ((flags)&O_CREAT) {                                                                                   \
        va_list args;                                                                                        \
        va_start(args, flags);                                                                               \
        mode = (mode_t)va_arg(args, int);                                                                    \
        va_end(args);                                                                                        \
    }

int open(const char *path, int flags, ...)
{
    MODE_AFTER(flags, mode)
    return open_or_fail(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE_AFTER(flags, mode)
    return open_or_fail(path, flags, mode);
}

/* ---- writing ---- */

typedef ssize_t write_function(int, const void *, size_t);
typedef ssize_t pwrite_function(int, const void *, size_t, off_t);

ssize_t write(int fd, const void *bytes, size_t n)
{
    NEXT(write_function, "write");
    verdict v = strike_fd("write", fd, true);
    if (v == PASS)
        return next(fd, bytes, n);
    ssize_t wrote = v == SHORT ? next(fd, bytes, n / 2) : -1;
    if (v == SHORT && how == KILL)
        end_here();
    return wrote;
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t offset)
{
    NEXT(pwrite_function, "pwrite64");
    verdict v = strike_fd("pwrite", fd, true);
    if (v == PASS)
        return next(fd, bytes, n, offset);
    ssize_t wrote = v == SHORT ? next(fd, bytes, n / 2, offset) : -1;
    if (v == SHORT && how == KILL)
        end_here();
    return wrote;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
    return pwrite64(fd, bytes, n, offset);
}

/* ---- the rest that a full or broken disk refuses ---- */

typedef int length_function(int, off_t);
typedef int range_function(int, off_t, off_t);
typedef int sync_function(int);
typedef int rename_function(const char *, const char *);
typedef int renameat2_function(int, const char *, int, const char *, unsigned);
typedef int mkdir_function(const char *, mode_t);
typedef void *mmap_function(void *, size_t, int, int, int, off_t);

int ftruncate64(int fd, off_t length)
{
    NEXT(length_function, "ftruncate64");
    return strike_fd("ftruncate", fd, false) == PASS ? next(fd, length) : -1;
}

int ftruncate(int fd, off_t length)
{
    return ftruncate64(fd, length);
}

int posix_fallocate(int fd, off_t offset, off_t length)
{
    NEXT(range_function, "posix_fallocate");
    return strike_fd("fallocate", fd, false) == PASS ? next(fd, offset, length) : (int)number;
}

int fsync(int fd)
{
    NEXT(sync_function, "fsync");
    return strike_fd("fsync", fd, false) == PASS ? next(fd) : -1;
}

int fdatasync(int fd)
{
    NEXT(sync_function, "fdatasync");
    return strike_fd("fdatasync", fd, false) == PASS ? next(fd) : -1;
}

int rename(const char *from, const char *to)
{
    NEXT(rename_function, "rename");
    return !below(to) || strike("rename", to, false) == PASS ? next(from, to) : -1;
}

int renameat2(int at_from, const char *from, int at_to, const char *to, unsigned flags)
{
    NEXT(renameat2_function, "renameat2");
    return !below(to) || strike("rename", to, false) == PASS ? next(at_from, from, at_to, to, flags) : -1;
}

int mkdir(const char *path, mode_t mode)
{
    NEXT(mkdir_function, "mkdir");
    return !below(path) || strike("mkdir", path, false) == PASS ? next(path, mode) : -1;
}

void *mmap64(void *where, size_t n, int protection, int flags, int fd, off_t offset)
{
    NEXT(mmap_function, "mmap64");
    bool writes = fd >= 0 && (flags & MAP_SHARED) && (protection & PROT_WRITE);
    return !writes || strike_fd("mmap", fd, false) == PASS ? next(where, n, protection, flags, fd, offset)
                                                           : MAP_FAILED;
}

/* ---- stdio: the C library's own write() passes us by, so that files below are streams over ours ---- */

enum { STREAMS = 64 };
static struct stream {
    FILE *f;
    int fd;
} streams[STREAMS];
static pthread_mutex_t streams_lock = PTHREAD_MUTEX_INITIALIZER;

static ssize_t stream_read(void *cookie, char *bytes, size_t n)
{
    return read(((struct stream *)cookie)->fd, bytes, n);
}

/* A stream takes 0, not -1, for a failed write, and a short one for a failure unless all is written in the
 * end. */
static ssize_t stream_write(void *cookie, const char *bytes, size_t n)
{
    size_t done = 0;
    while (done < n) {
        ssize_t wrote = write(((struct stream *)cookie)->fd, bytes + done, n - done);
        if (wrote < 0)
            break;
        done += (size_t)wrote;
    }
    return done == n ? (ssize_t)n : 0;
}

static int stream_seek(void *cookie, off64_t *offset, int whence)
{
    *offset = lseek(((struct stream *)cookie)->fd, *offset, whence);
    return *offset < 0 ? -1 : 0;
}

static int stream_close(void *cookie)
{
    struct stream *s = cookie;
    int code = close(s->fd);
    pthread_mutex_lock(&streams_lock);
    s->f = NULL;
    pthread_mutex_unlock(&streams_lock);
    return code;
}

typedef FILE *fopen_function(const char *, const char *);

static FILE *fopen_or_fail(const char *path, const char *mode, fopen_function *next)
{
    static const cookie_io_functions_t functions = {stream_read, stream_write, stream_seek, stream_close};
    if (mode[0] != 'w' || !below(path))
        return next(path, mode);
    int fd = open_or_fail(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return NULL;
    FILE *f = NULL;
    pthread_mutex_lock(&streams_lock);
    for (int i = 0; i < STREAMS && !f; i++)
        if (!streams[i].f && (f = fopencookie(&streams[i], mode, functions)))
            streams[i] = (struct stream){f, fd};
    pthread_mutex_unlock(&streams_lock);
    if (!f)
        close(fd);
    return f;
}

FILE *fopen(const char *path, const char *mode)
{
    NEXT(fopen_function, "fopen");
    return fopen_or_fail(path, mode, next);
}

FILE *fopen64(const char *path, const char *mode)
{
    NEXT(fopen_function, "fopen64");
    return fopen_or_fail(path, mode, next);
}

int fileno(FILE *f)
{
    typedef int fileno_function(FILE *);
    NEXT(fileno_function, "fileno");
    int fd = -1;
    pthread_mutex_lock(&streams_lock);
    for (int i = 0; i < STREAMS && fd < 0; i++)
        if (streams[i].f == f)
            fd = streams[i].fd;
    pthread_mutex_unlock(&streams_lock);
    return fd >= 0 ? fd : next(f);
}

/* ---- the clock of the day ---- */

/* Seconds to add: none, then so many, as many less, and so on. */
static long jump(void)
{
    long n = atomic_fetch_add(&clock_calls, 1);
    return n == 0 ? 0 : n % 2 ? clock_jump : -clock_jump;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    typedef int clock_function(clockid_t, struct timespec *);
    NEXT(clock_function, "clock_gettime");
    int code = next(id, t);
    if (!code && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        t->tv_sec += jump();
    return code;
}

time_t time(time_t *out)
{
    struct timespec t = {0};
    clock_gettime(CLOCK_REALTIME, &t);
    if (out)
        *out = t.tv_sec;
    return t.tv_sec;
}

int gettimeofday(struct timeval *t, void *zone)
{
    struct timespec now = {0};
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *t = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}
