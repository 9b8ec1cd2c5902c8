/* The index of a store, written: opened with it, filled with what is there, told of each record before that is shown.
 *
 * Decides: that no record is made where others could not know of it.
 */
#ifndef PYROOT_STORE_MARKS_H
#define PYROOT_STORE_MARKS_H

#include "guard.h"

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

/* Hold the index, so that nobody removes it, and make sure that it has room on the disk: 1 if it had not, 0, -errno or -STORE_*.
 *
 * Everybody who has it open holds it with others (LOCK_SH); whoever makes it has it alone for that time. */
static int store_index_hold(int fd)
{
    struct stat st;
    int error = 0, alone = flock(fd, LOCK_EX | LOCK_NB) == 0;
    while (!alone && flock(fd, LOCK_SH) < 0)
        if (errno != EINTR) return -errno;
    if (fstat(fd, &st) < 0) error = -errno;
    else if (!S_ISREG(st.st_mode)) error = -STORE_DAMAGED;
    else if (st.st_uid != geteuid()) error = -STORE_OTHER_USER;
    else if (st.st_size >= (off_t)sizeof(store_index)) error = 0;
    else if (alone) error = store_room(fd, sizeof(store_index));
    else error = -STORE_DAMAGED; /* (somebody has cut it off while others use it) */
    if (error == 0 && st.st_size < (off_t)sizeof(store_index)) error = 1;
    while (alone && flock(fd, LOCK_SH) < 0)
        if (errno != EINTR) return -errno;
    return error;
}

/* Open the file of the index, and make it and its folder if they are not there; its descriptor or -errno. */
static int store_index_file(store *s, const char *name)
{
    char folder[4200], *slash;
    struct stat before, after;
    int fd = open(name, O_RDWR | (s->readonly ? 0 : O_CREAT) | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 || errno != ENOENT || s->readonly) return fd >= 0 ? fd : -errno;
    snprintf(folder, sizeof folder, "%s", name);
    slash = strrchr(folder, '/');
    if (!slash) return -ENOENT;
    *slash = 0;
    if (lstat(s->root[0] ? s->root : "/", &before) < 0) memset(&before, 0, sizeof before);
    if (mkdir(folder, 0700) < 0) return errno == EEXIST ? -ENOENT : -errno;
    if (before.st_ino && lstat(s->root[0] ? s->root : "/", &after) == 0) s->root_was = before.st_mtim, s->root_became = after.st_mtim;
    fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd >= 0 ? fd : -errno;
}

/* Open the index, which is made if there is none; 0, -errno or -STORE_*. */
static int store_index_open(store *s)
{
    char name[4200];
    struct stat mine, there;
    int error = -ENOENT, tries;
    if (s->index) return 0;
    snprintf(name, sizeof name, "%s.index", s->path);
    for (tries = 0; tries < 100 && error == -ENOENT; tries++) {
        s->index_fd = s->path[0] ? store_index_file(s, name) : (int)syscall(SYS_memfd_create, "pyroot-owners-index", 1u /* MFD_CLOEXEC */);
        if (s->index_fd < 0) {
            error = s->path[0] ? s->index_fd : -errno;
            s->index_fd = -1;
            continue;
        }
        error = store_index_hold(s->index_fd);
        if (error >= 0 && s->path[0] && (fstat(s->index_fd, &mine) < 0 || lstat(name, &there) < 0 || mine.st_ino != there.st_ino)) {
            /* the last one who had it has just removed it */
            close(s->index_fd);
            s->index_fd = -1;
            error = -ENOENT;
        }
    }
    if (s->index_fd < 0) return error;
    if (error >= 0) {
        s->index = mmap(NULL, sizeof(store_index), PROT_READ | PROT_WRITE, MAP_SHARED, s->index_fd, 0);
        if ((void *)s->index == MAP_FAILED) {
            s->index = NULL;
            error = -errno;
        }
    }
    if (error < 0) {
        close(s->index_fd);
        s->index_fd = -1;
        return error;
    }
    if (error > 0) s->index->boot = 0; /* (somebody has cut it off) */
    store_mark_in(s, s->index->bits, STORE_INDEX_WORDS, &s->index->has);
    return 0;
}

/* Nothing has been recorded: leave the root as it was, if nobody else has the index. */
static void store_index_remove(store *s)
{
    char name[4200], *slash;
    struct stat now;
    struct timespec times[2] = {{0, UTIME_OMIT}, s->root_was};
    if (!s->index || !s->path[0] || access(s->path, F_OK) == 0 || errno != ENOENT || flock(s->index_fd, LOCK_EX | LOCK_NB) < 0) return;
    if (access(s->path, F_OK) == 0 || errno != ENOENT) return;
    snprintf(name, sizeof name, "%s.index", s->path);
    unlink(name);
    slash = strrchr(name, '/');
    if (!slash) return;
    *slash = 0;
    slash = strrchr(name, '/');
    if (!slash || strcmp(slash, "/.pyroot") || lstat(s->root[0] ? s->root : "/", &now) < 0 || rmdir(name) < 0) return;
    if (s->root_became.tv_sec && now.st_mtim.tv_sec == s->root_became.tv_sec && now.st_mtim.tv_nsec == s->root_became.tv_nsec)
        utimensat(AT_FDCWD, s->root[0] ? s->root : "/", times, 0);
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
