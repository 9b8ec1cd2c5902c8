/* The files of the memory of owners: made, mapped, replaced.
 *
 * Decides: that what is mapped is a store, and has room on the disk for all that may be written there.
 */
#ifndef PYROOT_STORE_FILES_H
#define PYROOT_STORE_FILES_H

#include "store.h"
#include "index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    STORE_DAMAGED = 1001, /* errors besides those of errno.h */
    STORE_OTHER_VERSION = 1002,
    STORE_OTHER_USER = 1003,
    STORE_OTHER_ROOT = 1004,
    STORE_TAIL_MOST = 1 << 20,
    STORE_PIECE = 1 << 16, /* bytes of the file of tails that a session takes at once */
};

typedef struct {
    char path[4096];    /* empty: in memory */
    char root[4096];    /* directory that the devices' paths count from */
    int fd, tail;       /* -1: there is none yet */
    int readonly;       /* the errno of a change, 0 if it may be changed */
    char *map;          /* NULL: there is no file yet, and no record */
    uint64_t size;
    uint64_t root_dev, root_ino, root_gen;
    uint32_t known;     /* devices whose numbers have been looked up */
    uint64_t device[STORE_DEVICES];
    uint64_t kicked;    /* ns, when the kernel was last told to write */
    uint64_t damaged;   /* the inode whose record was last asked for, if it has one that cannot be read */
    char *piece;        /* mapped: the end of the file of tails that is ours; NULL: there is none */
    uint64_t piece_at;  /* where it begins in the file */
    uint32_t piece_used;
    int pieces;         /* this session has made a tail: the next ones get a piece */
    int index_fd;       /* -1: it is not open */
    store_index *index;
    struct timespec root_was, root_became; /* times of the root before and after our folder was made in it */
    uint64_t *bits;     /* where records are noted (index.h), NULL: nowhere */
    uint32_t bits_words, *bits_have;
} store;

typedef struct { /* what a tail begins with */
    uint32_t size, sum;
} store_tail;

static uint64_t store_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t store_bytes_hash(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint64_t h = 0xcbf29ce484222325ull;
    while (n--) h = (h ^ *p++) * 0x100000001b3ull;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93ull;
    return h ^ h >> 32;
}

static uint64_t store_boot(void)
{
    static uint64_t known;
    char text[64];
    int fd, n = 0;
    if (known) return known;
    fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = (int)read(fd, text, sizeof text);
        close(fd);
    }
    return known = store_bytes_hash(text, n > 0 ? (size_t)n : 0) | 1;
}

static inline store_header *store_head(const store *s) { return (store_header *)s->map; }
static inline uint32_t *store_hash(const store *s) { return (uint32_t *)(s->map + STORE_PAGE); }
static inline store_slot *store_slots(const store *s) { return (store_slot *)(s->map + store_slots_at(store_head(s)->slots)); }

/* Give back what is left of our piece of the file of tails. */
static void store_piece_leave(store *s)
{
    if (!s->piece) return;
    munmap(s->piece, STORE_PIECE);
    s->piece = NULL;
}

static void store_unmap(store *s)
{
    store_piece_leave(s);
    if (s->map) munmap(s->map, s->size);
    if (s->fd >= 0) close(s->fd);
    if (s->tail >= 0 && s->path[0]) close(s->tail);
    if (s->path[0]) s->tail = -1;
    s->map = NULL;
    s->fd = -1;
    s->known = 0;
}

/* Is what is mapped a store whose parts lie where they should? */
static int store_check(const store *s)
{
    const store_header *header = store_head(s);
    if (s->size < STORE_PAGE || header->magic != STORE_MAGIC) return -STORE_DAMAGED;
    if (header->version != STORE_VERSION || header->page != STORE_PAGE) return -STORE_OTHER_VERSION;
    if (header->slots < 1 || header->slots > STORE_MOST || header->hash != store_hash_size(header->slots) || header->hash & (header->hash - 1)
        || store_size(header->slots) != s->size || header->next > header->slots || header->devices > STORE_DEVICES || header->devices < 1)
        return -STORE_DAMAGED;
    return 0;
}

/* Make the hash anew of the slots whose sums are right: the later one of a pair wins. */
static void store_rebuild(store *s)
{
    store_header *header = store_head(s);
    store_slot *slots = store_slots(s);
    uint32_t i, at = 0, last = 0;
    memset(store_hash(s), 0, header->hash * 4ul);
    for (i = 0; i < header->slots; i++) {
        if (slots[i].sum == 0 || slots[i].sum != store_sum(&slots[i])) continue;
        store_find(s->map, slots[i].ino, slots[i].device, &at);
        store_hash(s)[at] = i + 1;
        last = i + 1;
    }
    header->next = last;
    header->moved = 0;
}

/* Map the file at the path; 0, -ENOENT if there is none, or what is wrong with it. */
static int store_map(store *s)
{
    struct stat st;
    int error, mode = O_RDWR;
    s->fd = open(s->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (s->fd < 0 && (errno == EROFS || errno == EACCES)) {
        s->readonly = errno == EROFS ? EROFS : EACCES;
        mode = O_RDONLY;
        s->fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    }
    if (s->fd < 0) return errno == ELOOP ? -STORE_DAMAGED : -errno;
    if (fstat(s->fd, &st) < 0) error = -errno;
    else if (!S_ISREG(st.st_mode) || st.st_size < (off_t)STORE_PAGE) error = -STORE_DAMAGED;
    else if (st.st_uid != geteuid()) error = -STORE_OTHER_USER;
    else error = 0;
    if (error == 0) {
        s->size = (uint64_t)st.st_size;
        s->map = mmap(NULL, s->size, mode == O_RDWR ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, s->fd, 0);
        if (s->map == MAP_FAILED) {
            s->map = NULL;
            error = -errno;
        }
    }
    if (error == 0) error = store_check(s);
    if (error == 0 && mode == O_RDWR && store_head(s)->dirty && store_head(s)->boot != store_boot()) {
        /* the machine has crashed while it was in use */
        while (flock(s->fd, LOCK_EX) < 0 && errno == EINTR) {}
        if (store_head(s)->dirty && store_head(s)->boot != store_boot()) {
            store_rebuild(s);
            store_head(s)->boot = store_boot();
        }
        flock(s->fd, LOCK_UN);
    }
    if (error < 0) store_unmap(s);
    return error;
}

/* Take room on the disk, so that writing to the mapping cannot fail. */
static int store_room(int fd, uint64_t size)
{
    static const char zeros[65536];
    uint64_t done;
    int error = fallocate(fd, 0, 0, (off_t)size) == 0 ? 0 : errno;
    if (error == EFBIG) error = ENOSPC;
    if (error != EOPNOTSUPP && error != ENOSYS && error != EPERM) return -error;
    for (done = 0; done < size;) {
        ssize_t n = pwrite(fd, zeros, size - done < sizeof zeros ? size - done : sizeof zeros, (off_t)done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return n < 0 && errno != EFBIG ? -errno : -ENOSPC;
        done += (uint64_t)n;
    }
    return 0;
}

/* Make a file, or memory, for so many slots, and map it into `to`, which has no name yet that others know; 0 or -errno. */
static int store_make(const store *s, store *to, const char *name, uint32_t slots)
{
    int error;
    store_header *header;
    *to = *s;
    to->map = NULL;
    to->size = store_size(slots);
    if (name) to->fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    else to->fd = (int)syscall(SYS_memfd_create, "pyroot-owners", 1u /* MFD_CLOEXEC */);
    if (to->fd < 0) return -errno;
    error = store_room(to->fd, to->size);
    if (error == 0) {
        to->map = mmap(NULL, to->size, PROT_READ | PROT_WRITE, MAP_SHARED, to->fd, 0);
        if (to->map == MAP_FAILED) error = -errno;
    }
    if (error < 0) {
        close(to->fd);
        if (name) unlink(name);
        return error;
    }
    header = store_head(to);
    header->magic = STORE_MAGIC;
    header->version = STORE_VERSION;
    header->page = STORE_PAGE;
    header->slots = slots;
    header->hash = (uint32_t)store_hash_size(slots);
    header->devices = 1;
    header->root_ino = s->root_ino;
    header->root_gen = s->root_gen;
    header->boot = store_boot();
    return 0;
}

static void store_temporary(const store *s, char *name, size_t size, const char *suffix) { snprintf(name, size, "%s%s", s->path, suffix); }

/* Make the store if there is none; 0 or -errno. */
static int store_begin(store *s)
{
    char name[4200], folder[4096];
    char *slash;
    store made;
    int error, tries;
    if (s->readonly) return -s->readonly;
    if (!s->path[0]) {
        error = store_make(s, &made, NULL, STORE_FIRST);
        if (error < 0) return error;
        s->fd = made.fd, s->map = made.map, s->size = made.size;
        return 0;
    }
    for (tries = 0; tries < 100; tries++) {
        error = store_map(s);
        if (error != -ENOENT) return error;
        snprintf(name, sizeof name, "%s.%d", s->path, (int)getpid());
        error = store_make(s, &made, name, STORE_FIRST);
        if (error == -ENOENT && tries == 0) {
            snprintf(folder, sizeof folder, "%s", s->path);
            slash = strrchr(folder, '/');
            if (slash) *slash = 0;
            if (mkdir(folder, 0700) < 0 && errno != EEXIST) return -errno;
            continue;
        }
        if (error < 0) return error;
        /* (not over that of another pyroot, which begins as well) */
        error = link(name, s->path) < 0 ? -errno : 0;
        unlink(name);
        munmap(made.map, made.size);
        close(made.fd);
        if (error < 0 && error != -EEXIST) return error;
    }
    return -EAGAIN;
}

/* Somebody has replaced the file: map the new one. */
static void store_follow(store *s)
{
    store now = *s;
    struct stat mine, there;
    if (!s->path[0] || fstat(s->fd, &mine) < 0 || stat(s->path, &there) < 0) return;
    if (mine.st_ino == there.st_ino && mine.st_dev == there.st_dev) return;
    now.map = NULL;
    now.fd = now.tail = -1;
    now.piece = NULL, now.pieces = 0;
    now.known = 0;
    if (store_map(&now) < 0) return;
    store_unmap(s);
    *s = now;
}

#endif
