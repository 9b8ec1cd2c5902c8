/* The index of a store, written: opened with it, filled with what is there, told of each record before that is shown.
 *
 * Decides: that no record is made where others could not know of it.
 */
#ifndef PYROOT_STORE_MARKS_H
#define PYROOT_STORE_MARKS_H

#include "files.h"

/* Note in the index that there is such a record from now on. */
static void store_mark(store *s, const store_slot *slot, uint32_t has)
{
    if (!s->bits) return;
    if (has & ~*s->bits_have) __atomic_fetch_or(s->bits_have, has, __ATOMIC_SEQ_CST);
    store_index_set(s->bits, s->bits_words, slot->ino);
}

static uint32_t store_slot_has(const store_slot *slot)
{
    uint32_t has = 0;
    if (slot->mode & S_ISGID && S_ISDIR(slot->mode)) has |= STORE_HAS_SETGID;
    if (slot->flags & STORE_XATTRS) has |= STORE_HAS_XATTRS;
    if (slot->flags & STORE_NODE) has |= STORE_HAS_NODES;
    if (slot->flags & STORE_DEFAULTS) has |= STORE_HAS_DEFAULTS;
    if (slot->uid) has |= STORE_HAS_OTHERS;
    return has;
}

/* Let a store's bits be these of somebody else, who is the only one to ask. */
static void store_mark_in(store *s, uint64_t *bits, uint32_t words, uint32_t *have)
{
    s->bits = bits, s->bits_words = words, s->bits_have = have;
}

/* Make sure that the index has room on the disk: 1 if it had not, 0, -errno or -STORE_*. */
static int store_index_room(int fd)
{
    struct stat st;
    int error = 0;
    while (flock(fd, LOCK_EX) < 0)
        if (errno != EINTR) return -errno;
    if (fstat(fd, &st) < 0) error = -errno;
    else if (!S_ISREG(st.st_mode)) error = -STORE_DAMAGED;
    else if (st.st_uid != geteuid()) error = -STORE_OTHER_USER;
    else if (st.st_size < (off_t)sizeof(store_index)) error = store_room(fd, sizeof(store_index));
    if (error == 0 && st.st_size < (off_t)sizeof(store_index)) error = 1;
    flock(fd, LOCK_UN);
    return error;
}

/* Open the index, which is made if there is none; 0, -errno or -STORE_*. */
static int store_index_open(store *s)
{
    char name[4200], *slash;
    int error;
    if (s->index) return 0;
    if (!s->path[0]) {
        s->index_fd = (int)syscall(SYS_memfd_create, "pyroot-owners-index", 1u /* MFD_CLOEXEC */);
    } else {
        snprintf(name, sizeof name, "%s.index", s->path);
        s->index_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (s->index_fd < 0 && errno == ENOENT && (slash = strrchr(name, '/'))) {
            *slash = 0;
            if (mkdir(name, 0700) < 0 && errno != EEXIST) return -errno;
            *slash = '/';
            s->index_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        }
    }
    if (s->index_fd < 0) return -errno;
    error = store_index_room(s->index_fd);
    if (error >= 0) {
        s->index = mmap(NULL, sizeof(store_index), PROT_READ | PROT_WRITE, MAP_SHARED, s->index_fd, 0);
        if ((void *)s->index == MAP_FAILED) {
            s->index = NULL;
            error = -errno;
        }
    }
    if (error > 0) s->index->boot = 0; /* (somebody has cut it off) */
    if (error < 0) {
        close(s->index_fd);
        s->index_fd = -1;
        return error;
    }
    store_mark_in(s, s->index->bits, STORE_INDEX_WORDS, &s->index->has);
    return 0;
}

/* Set the bits of the records that were there before: those of this boot have theirs, since whoever made them has set them. */
static void store_index_fill(store *s)
{
    struct stat st;
    uint32_t i, n, from = 0;
    if (!s->index || !s->map || fstat(s->fd, &st) < 0) return;
    n = __atomic_load_n(&store_head(s)->next, __ATOMIC_ACQUIRE);
    if (n > store_head(s)->slots) n = store_head(s)->slots;
    if (s->index->ino == st.st_ino && s->index->boot == store_boot() && s->index->filled <= n) from = s->index->filled;
    for (i = from; i < n; i++) store_mark(s, &store_slots(s)[i], store_slot_has(&store_slots(s)[i]));
    s->index->filled = 0;
    __atomic_store_n(&s->index->ino, st.st_ino, __ATOMIC_SEQ_CST);
    __atomic_store_n(&s->index->boot, store_boot(), __ATOMIC_SEQ_CST);
    __atomic_store_n(&s->index->filled, n, __ATOMIC_SEQ_CST);
}

static void store_index_close(store *s)
{
    if (s->index) munmap(s->index, sizeof(store_index));
    if (s->index_fd >= 0) close(s->index_fd);
    s->index = NULL;
    s->bits = NULL;
    s->index_fd = -1;
}

#endif
