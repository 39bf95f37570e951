// Lets reads and writes of chosen files fail or take long, for tests of what a program makes of a device that does. Loaded before a
// program's own libraries (LD_PRELOAD); which files, how often and how long is in a table that its test writes while it runs: see
// faulty-files.ts, which has the same layout.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct entry {
    // Read without a lock: it is set last and cleared first.
    volatile uint32_t is_on;
    uint32_t errors_per_million;
    uint32_t delay_ms;
    uint32_t flips_per_million;
    char folder[240];
};
enum { entries = 16 };

static const struct entry *table;
// Only what a copier writes is read back, and only it may flip: what a tenant writes nobody would miss.
static int is_copier;

__attribute__((constructor)) static void open_table(void) {
    const char *path = getenv("FERRY_FAULTY_FILES");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *mapped = mmap(NULL, entries * sizeof *table, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED) table = mapped;
    char line[4096];
    int own = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t length = own < 0 ? 0 : read(own, line, sizeof line);
    if (own >= 0) close(own);
    is_copier = length > 0 && memmem(line, length, "/copier-process.", strlen("/copier-process.")) != NULL;
}

/** Evenly spread in 0..999999. One sequence for the process: those of short-lived threads would all begin alike. */
static uint32_t chance(void) {
    static uint64_t steps, seed;
    if (!__atomic_load_n(&seed, __ATOMIC_RELAXED)) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        __atomic_store_n(&seed, ((uint64_t)now.tv_nsec << 32 ^ (uint64_t)getpid()) | 1, __ATOMIC_RELAXED);
    }
    // SplitMix64: every step is mixed as well as the thousandth.
    uint64_t mixed = __atomic_load_n(&seed, __ATOMIC_RELAXED) + __atomic_add_fetch(&steps, 1, __ATOMIC_RELAXED) * 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)((mixed ^ mixed >> 31) >> 32) % 1000000;
}

/** Whether this access fails; waits as long as it takes. Of a write: whether it flips a bit. */
static int fails(int fd, int *flips) {
    *flips = 0;
    if (!table) return 0;
    char path[PATH_MAX], link[32];
    ssize_t length = -1;
    for (const struct entry *e = table; e < table + entries; e++) {
        if (!e->is_on) continue;
        if (length < 0) {
            snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
            length = readlink(link, path, sizeof path);
            if (length < 0) return 0;
        }
        size_t prefix = strnlen(e->folder, sizeof e->folder);
        if ((size_t)length < prefix || memcmp(path, e->folder, prefix)) continue;
        if ((size_t)length > prefix && path[prefix] != '/') continue;
        if (e->delay_ms) {
            struct timespec wait = {e->delay_ms / 1000, e->delay_ms % 1000 * 1000000L};
            nanosleep(&wait, NULL);
        }
        if (chance() < e->errors_per_million) {
            errno = EIO;
            return 1;
        }
        if (is_copier && chance() < e->flips_per_million) *flips = 1;
    }
    return 0;
}

/** A copy of the bytes with one bit the other way, as aligned as a device may ask for. Null: no room. */
static void *flipped(const void *bytes, size_t n) {
    void *copy = NULL;
    if (n == 0 || posix_memalign(&copy, 4096, n)) return NULL;
    memcpy(copy, bytes, n);
    ((unsigned char *)copy)[(size_t)chance() * n / 1000000] ^= 1;
    return copy;
}

#define GUARD(type, name, parameters, arguments)                        \
    type name parameters {                                              \
        static type(*real) parameters;                                  \
        if (!real) real = (type(*) parameters)dlsym(RTLD_NEXT, #name);  \
        int flips;                                                      \
        if (fails(fd, &flips)) return -1;                               \
        return real arguments;                                          \
    }

#define WRITE(name, parameters, arguments)                                 \
    ssize_t name parameters {                                              \
        static ssize_t(*real) parameters;                                  \
        if (!real) real = (ssize_t(*) parameters)dlsym(RTLD_NEXT, #name);  \
        int flips;                                                         \
        if (fails(fd, &flips)) return -1;                                  \
        void *other = flips ? flipped(b, n) : NULL;                        \
        if (other) b = other;                                              \
        ssize_t written = real arguments;                                  \
        free(other);                                                       \
        return written;                                                    \
    }

GUARD(ssize_t, read, (int fd, void *b, size_t n), (fd, b, n))
WRITE(write, (int fd, const void *b, size_t n), (fd, b, n))
GUARD(ssize_t, pread, (int fd, void *b, size_t n, off_t at), (fd, b, n, at))
GUARD(ssize_t, pread64, (int fd, void *b, size_t n, off_t at), (fd, b, n, at))
WRITE(pwrite, (int fd, const void *b, size_t n, off_t at), (fd, b, n, at))
WRITE(pwrite64, (int fd, const void *b, size_t n, off_t at), (fd, b, n, at))
GUARD(ssize_t, preadv, (int fd, const struct iovec *v, int n, off_t at), (fd, v, n, at))
GUARD(ssize_t, preadv64, (int fd, const struct iovec *v, int n, off_t at), (fd, v, n, at))
GUARD(ssize_t, pwritev, (int fd, const struct iovec *v, int n, off_t at), (fd, v, n, at))
GUARD(ssize_t, pwritev64, (int fd, const struct iovec *v, int n, off_t at), (fd, v, n, at))
GUARD(ssize_t, preadv2, (int fd, const struct iovec *v, int n, off_t at, int f), (fd, v, n, at, f))
GUARD(ssize_t, preadv64v2, (int fd, const struct iovec *v, int n, off_t at, int f), (fd, v, n, at, f))
GUARD(ssize_t, pwritev2, (int fd, const struct iovec *v, int n, off_t at, int f), (fd, v, n, at, f))
GUARD(ssize_t, pwritev64v2, (int fd, const struct iovec *v, int n, off_t at, int f), (fd, v, n, at, f))
GUARD(ssize_t, copy_file_range, (int fd, off_t *i, int to, off_t *o, size_t n, unsigned f), (fd, i, to, o, n, f))
GUARD(int, fallocate, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n))
GUARD(int, fallocate64, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n))
GUARD(int, fsync, (int fd), (fd))
GUARD(int, fdatasync, (int fd), (fd))

// What goes through the kernel's rings passes by all of the above: as on a kernel that refuses them.
int io_uring_queue_init(unsigned size, void *ring, unsigned flags) {
    (void)size, (void)ring, (void)flags;
    return -ENOSYS;
}
