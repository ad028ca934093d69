/* Count what programs change under one folder, and break the n-th change.

   Loaded with LD_PRELOAD, it stands before the C library's file operations. Processes that inherit
   it share one counter through the file that USL_FAULTS names (struct plan, written by faults.py).
   At the operation number `at` it kills the process, kills it after half of a write, or lets the
   operation fail with `error`; once, or from then on. Reads, and paths outside `root`, pass. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT, KILL, KILL_HALFWAY, FAIL_ONCE, FAIL_FROM };
enum { PASS, HALF, FAIL };
#define MOST 65536
#define TEXT 512

struct plan {
    int armed, mode, error, at;
    int count, fired;
    char root[TEXT], what[TEXT]; /* what: the operation that was broken */
    char kinds[MOST];            /* a letter for each operation that was counted */
    int said;                    /* bytes of `log`, a line for each operation */
    char log[1 << 22];
};
static struct plan *plan;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("USL_FAULTS");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *found = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (found != MAP_FAILED) plan = found;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static void place(char *into, int folder, const char *path) {
    if (path && path[0] == '/') {
        snprintf(into, TEXT, "%s", path);
        return;
    }
    char link[64];
    if (folder == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, into, TEXT - 1);
    into[length > 0 ? length : 0] = 0;
    if (path) {
        size_t used = strlen(into);
        snprintf(into + used, TEXT - used, "/%s", path);
    }
}

static void say(const char *name, const char *where) {
    char line[2 * TEXT];
    int written = snprintf(line, sizeof line, "%s %s\n", name, where);
    int start = __atomic_fetch_add(&plan->said, written, __ATOMIC_SEQ_CST);
    if (start + written < (int)sizeof plan->log) memcpy(plan->log + start, line, written);
}

/* Room needs a free block; freeing and renaming do without. */
static int applies(char kind, int error) {
    return error != ENOSPC || strchr("owmls", kind) != NULL;
}

/* Count one operation; what is to become of it. Letters: o open or create, w write, t truncate,
   s sync, r rename, u unlink, m mkdir, d rmdir, l link. */
static int happens(char kind, const char *name, int folder, const char *path) {
    if (!plan || !plan->armed) return PASS;
    int before = errno;
    char where[TEXT];
    place(where, folder, path);
    errno = before;
    size_t length = strlen(plan->root);
    if (strncmp(where, plan->root, length) || (where[length] && where[length] != '/')) return PASS;
    struct stat found;
    if (kind == 'm' && stat(where, &found) == 0) return PASS; /* says EEXIST, whatever the disk */
    errno = before;
    int number = __atomic_add_fetch(&plan->count, 1, __ATOMIC_SEQ_CST);
    if (number < MOST) plan->kinds[number - 1] = kind;
    if (plan->mode == COUNT) {
        say(name, where + length);
        return PASS;
    }
    int now = plan->mode == FAIL_FROM ? number >= plan->at : number == plan->at;
    if (!now || (plan->mode >= FAIL_ONCE && !applies(kind, plan->error))) return PASS;
    if (!__atomic_exchange_n(&plan->fired, 1, __ATOMIC_SEQ_CST))
        snprintf(plan->what, TEXT, "%s %s", name, where + length);
    if (plan->mode == KILL) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    if (plan->mode == KILL_HALFWAY) return kind == 'w' ? HALF : PASS;
    errno = plan->error;
    return FAIL;
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

#define WRITES(flags) \
    (((flags) & O_ACCMODE) != O_RDONLY || ((flags) & (O_CREAT | O_TRUNC)))

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        if (WRITES(flags) && happens('o', #name, AT_FDCWD, path) == FAIL) return -1; \
        return real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        REAL(name); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        if (WRITES(flags) && happens('o', #name, folder, path) == FAIL) return -1; \
        return real(folder, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name) \
    FILE *name(const char *path, const char *mode) { \
        REAL(name); \
        if (strpbrk(mode, "wa+") && happens('o', #name, AT_FDCWD, path) == FAIL) return NULL; \
        return real(path, mode); \
    }
FOPEN(fopen)
FOPEN(fopen64)

ssize_t write(int file, const void *bytes, size_t size) {
    REAL(write);
    int what = happens('w', "write", file, NULL);
    if (what == FAIL) return -1;
    if (what == HALF) {
        if (size > 1) real(file, bytes, size / 2);
        die();
    }
    return real(file, bytes, size);
}

#define PWRITE(name, off) \
    ssize_t name(int file, const void *bytes, size_t size, off place) { \
        REAL(name); \
        int what = happens('w', #name, file, NULL); \
        if (what == FAIL) return -1; \
        if (what == HALF) { \
            if (size > 1) real(file, bytes, size / 2, place); \
            die(); \
        } \
        return real(file, bytes, size, place); \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int file, const struct iovec *parts, int count) {
    REAL(writev);
    int what = happens('w', "writev", file, NULL);
    if (what == FAIL) return -1;
    if (what == HALF) {
        if (count > 1) real(file, parts, count / 2);
        die();
    }
    return real(file, parts, count);
}

size_t fwrite(const void *bytes, size_t size, size_t count, FILE *stream) {
    REAL(fwrite);
    int what = plan && plan->armed ? happens('w', "fwrite", fileno(stream), NULL) : PASS;
    if (what == FAIL) return 0;
    if (what == HALF) {
        if (count > 1) real(bytes, size, count / 2, stream);
        fflush(stream);
        die();
    }
    return real(bytes, size, count, stream);
}

#define SENDFILE(name, off) \
    ssize_t name(int to, int from, off *place, size_t size) { \
        REAL(name); \
        int what = happens('w', #name, to, NULL); \
        if (what == FAIL) return -1; \
        if (what == HALF) { \
            struct stat found; \
            if (fstat(from, &found) == 0 && (off64_t)size > found.st_size) size = found.st_size; \
            if (size > 1) real(to, from, place, size / 2); \
            die(); \
        } \
        return real(to, from, place, size); \
    }
SENDFILE(sendfile, off_t)
SENDFILE(sendfile64, off64_t)

ssize_t copy_file_range(int from, off64_t *in, int to, off64_t *out, size_t size,
                        unsigned int flags) {
    REAL(copy_file_range);
    int what = happens('w', "copy_file_range", to, NULL);
    if (what == FAIL) return -1;
    if (what == HALF) {
        if (size > 1) real(from, in, to, out, size / 2, flags);
        die();
    }
    return real(from, in, to, out, size, flags);
}

/* The rest either happens or fails. */
#define PLAIN(kind, name, folder, path, declared, given) \
    int name declared { \
        REAL(name); \
        if (happens(kind, #name, folder, path) == FAIL) return -1; \
        return real given; \
    }
PLAIN('t', ftruncate, file, NULL, (int file, off_t size), (file, size))
PLAIN('t', ftruncate64, file, NULL, (int file, off64_t size), (file, size))
PLAIN('t', truncate, AT_FDCWD, path, (const char *path, off_t size), (path, size))
PLAIN('t', truncate64, AT_FDCWD, path, (const char *path, off64_t size), (path, size))
PLAIN('s', fsync, file, NULL, (int file), (file))
PLAIN('s', fdatasync, file, NULL, (int file), (file))
PLAIN('u', unlink, AT_FDCWD, path, (const char *path), (path))
PLAIN('u', unlinkat, folder, path, (int folder, const char *path, int flags),
      (folder, path, flags))
PLAIN('d', rmdir, AT_FDCWD, path, (const char *path), (path))
PLAIN('m', mkdir, AT_FDCWD, path, (const char *path, mode_t mode), (path, mode))
PLAIN('m', mkdirat, folder, path, (int folder, const char *path, mode_t mode),
      (folder, path, mode))
PLAIN('l', link, AT_FDCWD, to, (const char *from, const char *to), (from, to))
PLAIN('l', linkat, other, to, (int folder, const char *from, int other, const char *to, int flags),
      (folder, from, other, to, flags))
PLAIN('l', symlink, AT_FDCWD, to, (const char *from, const char *to), (from, to))

/* A rename counts where its target lies under the folder; the log tells from where it came. */
static int renames(const char *name, int folder, const char *from, int other, const char *to) {
    if (plan && plan->armed && plan->mode == COUNT) {
        char where[TEXT];
        place(where, folder, from);
        size_t length = strlen(plan->root);
        if (!strncmp(where, plan->root, length)) say("from", where + length);
    }
    return happens('r', name, other, to);
}

#define RENAME(name, folder, other, declared, given) \
    int name declared { \
        REAL(name); \
        if (renames(#name, folder, from, other, to) == FAIL) return -1; \
        return real given; \
    }
RENAME(rename, AT_FDCWD, AT_FDCWD, (const char *from, const char *to), (from, to))
RENAME(renameat, folder, other, (int folder, const char *from, int other, const char *to),
       (folder, from, other, to))
RENAME(renameat2, folder, other,
       (int folder, const char *from, int other, const char *to, unsigned int flags),
       (folder, from, other, to, flags))
