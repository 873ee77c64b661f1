/* Loaded into a program with LD_PRELOAD: ends it by SIGKILL before its KILL_AT-th call that changes
 * something on the disk. What it does is told by the C library alone, so nothing in the program
 * knows of it. What goes to sockets, pipes and terminals does not count. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long steps;

static void step(void) {
    const char *at = getenv("KILL_AT");
    if (at && atomic_fetch_add(&steps, 1) + 1 == atol(at)) {
        kill(getpid(), SIGKILL);
    }
}

static void step_in_file(int descriptor) {
    struct stat found;
    if (fstat(descriptor, &found) == 0 && (S_ISREG(found.st_mode) || S_ISDIR(found.st_mode))) {
        step();
    }
}

static int opened(const char *name, const char *path, int flags, mode_t mode) {
    if (flags & (O_CREAT | O_TRUNC)) {
        step();
    }
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name);
    return real(path, flags, mode);
}

#define OPEN(name)                                     \
    int name(const char *path, int flags, ...) {       \
        va_list rest;                                  \
        va_start(rest, flags);                         \
        mode_t mode = (mode_t)va_arg(rest, int);       \
        va_end(rest);                                  \
        return opened(#name, path, flags, mode);       \
    }
OPEN(open)
OPEN(open64)

#define IN_FILE(type, name, parameters, types, arguments)      \
    type name parameters {                                     \
        step_in_file(descriptor);                              \
        return ((type(*) types)dlsym(RTLD_NEXT, #name)) arguments; \
    }
IN_FILE(ssize_t, write, (int descriptor, const void *bytes, size_t length),
        (int, const void *, size_t), (descriptor, bytes, length))
IN_FILE(ssize_t, writev, (int descriptor, const struct iovec *parts, int count),
        (int, const struct iovec *, int), (descriptor, parts, count))
IN_FILE(ssize_t, pwrite64, (int descriptor, const void *bytes, size_t length, off64_t at),
        (int, const void *, size_t, off64_t), (descriptor, bytes, length, at))
IN_FILE(int, ftruncate64, (int descriptor, off64_t length), (int, off64_t), (descriptor, length))
IN_FILE(int, fsync, (int descriptor), (int), (descriptor))
IN_FILE(int, fchmod, (int descriptor, mode_t mode), (int, mode_t), (descriptor, mode))

#define ON_PATH(name, parameters, types, arguments)            \
    int name parameters {                                      \
        step();                                                \
        return ((int(*) types)dlsym(RTLD_NEXT, #name)) arguments; \
    }
ON_PATH(rename, (const char *old, const char *new), (const char *, const char *), (old, new))
ON_PATH(unlink, (const char *path), (const char *), (path))
ON_PATH(rmdir, (const char *path), (const char *), (path))
ON_PATH(mkdir, (const char *path, mode_t mode), (const char *, mode_t), (path, mode))
ON_PATH(chmod, (const char *path, mode_t mode), (const char *, mode_t), (path, mode))
