/* The memory of owners, written.  store.h has the layout and the look-up.
 *
 * Several pyroots have the file mapped.  Whoever changes it holds flock(2) on it for some microseconds; nobody needs it to look.  What a
 * change does to the file, in this order: the slot, its sum, `next`, the hash.  A process that is killed between any two leaves the old
 * record or the new one.  After a crash of the machine, where pages have reached the disk in any order, the hash is made anew of the
 * slots whose sums are right.
 *
 * A store that is full is replaced: its live slots go to a new file, which is renamed over it, while `moved` tells those who have the old
 * one mapped.  Room on the disk is taken beforehand: what is mapped and cannot be written would be SIGBUS.
 *
 * What is longer than a slot lies in a second file, which is only appended to.  With no path a store lies in memory (memfd_create(2)).
 *
 * Decides: when a change is made, and what is left of it whatever happens.
 */
#include "marks.h"

/* -- devices ------------------------------------------------------------------------------------------------------------------- */

/* Look up the numbers that devices have now. */
static void store_devices(store *s)
{
    const store_header *header = store_head(s);
    char name[8400];
    struct stat st;
    uint32_t i, n = __atomic_load_n(&header->devices, __ATOMIC_ACQUIRE);
    s->device[0] = s->root_dev;
    for (i = s->known > 1 ? s->known : 1; i < n && i < STORE_DEVICES; i++) {
        s->device[i] = header->device[i].number;
        if (s->path[0]) {
            snprintf(name, sizeof name, "%s/%.*s", s->root, (int)STORE_DEVICE_PATH, header->device[i].path);
            s->device[i] = lstat(name, &st) == 0 ? st.st_dev : 0;
        }
    }
    s->known = n;
}

/* Return the number of a device, -1 if no record has it. */
static int store_device_of(store *s, uint64_t dev)
{
    uint32_t i;
    if (dev == s->root_dev) return 0;
    if (s->known != store_head(s)->devices) store_devices(s);
    for (i = 1; i < s->known; i++)
        if (s->device[i] == dev) return (int)i;
    return -1;
}

/* The same for a record that is to be made; `mount` is its mount point below the root.  -errno if the table is full.  Under the lock. */
static int store_device_new(store *s, uint64_t dev, const char *mount)
{
    store_header *header = store_head(s);
    int found = store_device_of(s, dev);
    store_device *to;
    if (found >= 0) return found;
    if (header->devices >= STORE_DEVICES || (s->path[0] && (!mount || strlen(mount) >= STORE_DEVICE_PATH))) return -ENOSPC;
    to = &header->device[header->devices];
    memset(to, 0, sizeof *to);
    to->number = dev;
    if (s->path[0]) memcpy(to->path, mount, strlen(mount) + 1);
    __atomic_store_n(&header->devices, header->devices + 1, __ATOMIC_RELEASE);
    store_devices(s);
    return store_device_of(s, dev);
}

/* -- changes ------------------------------------------------------------------------------------------------------------------- */

static int store_lock(store *s)
{
    int tries;
    if (s->readonly) return -s->readonly;
    if (!s->path[0]) return 0;
    for (tries = 0; tries < 1000; tries++) {
        while (flock(s->fd, LOCK_EX) < 0)
            if (errno != EINTR) return -errno;
        if (!store_head(s)->moved) return 0;
        {
            int before = s->fd;
            struct stat mine, there;
            if (fstat(s->fd, &mine) == 0 && stat(s->path, &there) == 0 && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev) {
                /* somebody was killed who was about to replace it */
                store_head(s)->moved = 0;
                return 0;
            }
            flock(before, LOCK_UN);
        }
        store_follow(s);
    }
    return -EAGAIN;
}

static void store_unlock(store *s)
{
    if (s->path[0] && s->fd >= 0) flock(s->fd, LOCK_UN);
}

static int64_t store_tail_get(store *s, uint32_t tail, void *to, uint32_t room);
static int store_tail_open(store *s, int make);
static int64_t store_tail_append(store *s, const void *bytes, uint32_t size);
static void store_tail_name(const store *s, char *name, size_t size, const char *what);

/* Give a slot's tail a place in another file; 0 or -errno. */
static int store_tail_move(store *s, store *to, store_slot *slot)
{
    static char bytes[STORE_TAIL_MOST];
    int64_t at = slot->tail ? store_tail_get(s, slot->tail, bytes, sizeof bytes) : 0;
    if (at > 0) at = store_tail_append(to, bytes, (uint32_t)at);
    if (at < 0 && at != -EIO) return (int)at;
    slot->tail = at > 0 ? (uint32_t)at : 0; /* (what cannot be read is lost) */
    slot->sum = store_sum(slot);
    return 0;
}

/* Put the live slots into a new file of `slots` and replace this one; under the lock, which the new file has then, too.
 * `keep`: NULL, or says which are still worth it; then the tails are written anew as well. */
static int store_replace(store *s, uint32_t slots, int (*keep)(const store_slot *, void *), void *data)
{
    char name[4200], old[4240];
    store made;
    store_header *header;
    uint32_t i, at;
    int error;
    store_temporary(s, name, sizeof name, ".new");
    error = store_make(s, &made, s->path[0] ? name : NULL, slots);
    if (error < 0) return error;
    header = store_head(&made);
    header->devices = store_head(s)->devices;
    header->tail_number = store_head(s)->tail_number;
    header->dirty = 1;
    header->has = store_head(s)->has;
    header->root_ino = store_head(s)->root_ino;
    header->root_gen = store_head(s)->root_gen;
    memcpy(header->device, store_head(s)->device, sizeof header->device);
    made.tail = -1;
    made.piece = NULL, made.pieces = 0;
    if (keep) {
        header->tail_number++;
        store_tail_name(&made, old, sizeof old, "tail");
        unlink(old);
        error = store_tail_open(&made, 1);
    }
    for (i = 0; error == 0 && i < store_head(s)->hash; i++) {
        uint32_t number = store_hash(s)[i];
        const store_slot *slot = number && number <= store_head(s)->slots ? &store_slots(s)[number - 1] : NULL;
        if (!slot || slot->flags & STORE_DEAD || slot->sum != store_sum(slot) || (keep && !keep(slot, data))) continue;
        if (header->next >= header->slots) break; /* (never: there is room for all) */
        store_slots(&made)[header->next] = *slot;
        if (keep && (error = store_tail_move(s, &made, &store_slots(&made)[header->next])) < 0) break;
        store_find(made.map, slot->ino, slot->device, &at);
        store_hash(&made)[at] = ++header->next;
    }
    if (error == 0 && s->path[0]) {
        flock(made.fd, LOCK_EX);
        if (keep && made.tail >= 0) fdatasync(made.tail);
        __atomic_store_n(&store_head(s)->moved, 1, __ATOMIC_SEQ_CST);
        error = rename(name, s->path) < 0 ? -errno : 0;
        if (error < 0) store_head(s)->moved = 0;
    }
    store_piece_leave(&made);
    if (error < 0) {
        if (made.tail >= 0) close(made.tail);
        munmap(made.map, made.size);
        close(made.fd);
        if (s->path[0]) unlink(name);
        return error;
    }
    if (keep) {
        store_tail_name(s, old, sizeof old, "tail");
        unlink(old);
        store_tail_name(s, old, sizeof old, "names");
        unlink(old);
        store_piece_leave(s);
        if (s->tail >= 0) close(s->tail);
        s->tail = made.tail;
    }
    munmap(s->map, s->size);
    close(s->fd);
    s->map = made.map, s->fd = made.fd, s->size = made.size, s->known = 0;
    return 0;
}

static uint32_t store_live(const store *s)
{
    uint32_t i, live = 0;
    for (i = 0; s->map && i < store_head(s)->hash; i++) {
        uint32_t number = store_hash(s)[i];
        live += number && number <= store_head(s)->slots && !(store_slots(s)[number - 1].flags & STORE_DEAD);
    }
    return live;
}

/* Let the kernel begin to write now and then: what is not on the disk after some seconds is lost with the machine, as all metadata is. */
static void store_kick(store *s)
{
    uint64_t now;
    store_header *header = store_head(s);
    if (!s->path[0]) return;
    if (header->boot != store_boot()) header->boot = store_boot();
    if (!header->dirty) header->dirty = 1;
    now = store_now();
    if (now - s->kicked < 5000000000u) return;
    s->kicked = now;
    sync_file_range(s->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

/* Add a slot and show it, under the lock; 0 or -errno.  `slot` has its device. */
static int store_add(store *s, store_slot *slot)
{
    store_header *header = store_head(s);
    store_slot *to;
    uint32_t at = 0, has = store_slot_has(slot);
    int error;
    if (header->next >= header->slots) {
        uint32_t live = store_live(s);
        if (live >= STORE_MOST / 2) return -ENOSPC;
        error = store_replace(s, live * 2 > header->slots ? header->slots * 2 : header->slots, NULL, NULL);
        if (error < 0) return error;
        header = store_head(s);
    }
    to = &store_slots(s)[header->next];
    slot->sum = store_sum(slot);
    to->sum = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    memcpy(to, slot, sizeof *slot - sizeof slot->sum);
    __atomic_store_n(&to->sum, slot->sum, __ATOMIC_RELEASE);
    if (has & ~header->has) header->has |= has;
    store_mark(s, slot, has);
    __atomic_store_n(&header->next, header->next + 1, __ATOMIC_RELEASE);
    store_find(s->map, slot->ino, slot->device, &at);
    __atomic_store_n(&store_hash(s)[at], header->next, __ATOMIC_RELEASE);
    store_kick(s);
    return 0;
}

/* -- what the core calls ------------------------------------------------------------------------------------------------------- */

/* Open the store at a path ("" for one in memory) of a root directory; it need not be there.  0, or -errno or -STORE_*. */
static int store_open(store *s, const char *path, const char *root, uint64_t root_dev, uint64_t root_ino, uint64_t root_gen)
{
    int error;
    memset(s, 0, sizeof *s);
    s->fd = s->tail = s->index_fd = -1;
    s->root_dev = root_dev, s->root_ino = root_ino, s->root_gen = root_gen;
    if (strlen(path) + 16 >= sizeof s->path || strlen(root) >= sizeof s->root) return -ENAMETOOLONG;
    memcpy(s->path, path, strlen(path) + 1);
    memcpy(s->root, root, strlen(root) + 1);
    if (!path[0]) return 0;
    store_guard(s, 1);
    error = store_map(s);
    if (error == -ENOENT || error == -ENOTDIR) return 0;
    if (error == 0 && (store_head(s)->root_ino != root_ino || (store_head(s)->root_gen != root_gen && root_gen))) return -STORE_OTHER_ROOT;
    return error;
}

/* Let every change of the store fail from now on. */
static void store_refuse(store *s, int error) { s->readonly = error; }

static void store_close(store *s)
{
    struct stat st;
    store_guard(s, 0);
    if (s->piece && s->path[0] && flock(s->fd, LOCK_EX) == 0) {
        /* what is left of the piece is nobody's, if it is the last one */
        if (fstat(s->tail, &st) == 0 && (uint64_t)st.st_size == s->piece_at + STORE_PIECE)
            (void)!ftruncate(s->tail, (off_t)(s->piece_at + s->piece_used));
        flock(s->fd, LOCK_UN);
    }
    if (s->map && s->path[0] && !s->readonly && store_head(s)->dirty) {
        fdatasync(s->fd);
        if (s->tail >= 0) fdatasync(s->tail);
        store_head(s)->dirty = 0;
    }
    if (!s->path[0] && s->tail >= 0) close(s->tail);
    store_unmap(s);
    store_index_remove(s);
    store_index_close(s);
    s->tail = -1;
}

/* Return the slot of an inode, whose generation or birth still has to be compared; NULL if there is none, or (`damaged`) one that cannot be
 * read.  Valid until the next call. */
static const store_slot *store_get(store *s, uint64_t dev, uint64_t ino)
{
    const store_slot *slot;
    int device;
    s->damaged = 0;
    if (!s->map) {
        /* another pyroot may have made it meanwhile */
        if (!s->path[0] || access(s->path, F_OK) < 0 || store_map(s) < 0) return NULL;
    }
    if (__atomic_load_n(&store_head(s)->moved, __ATOMIC_ACQUIRE)) store_follow(s);
    device = store_device_of(s, dev);
    if (device < 0) return NULL;
    slot = store_find(s->map, ino, (uint32_t)device, NULL);
    if (slot && slot->sum != store_sum(slot)) s->damaged = ino;
    return slot && !(slot->flags & STORE_DEAD) && slot->sum == store_sum(slot) ? slot : NULL;
}

/* Record what `slot` says of an inode (its `device` and sums are filled in); 0 or -errno, and then nothing has changed.  `hint`: NULL, or
 * a tail that the record can do without. */
static int store_put(store *s, uint64_t dev, const char *mount, store_slot *slot, const void *hint, uint32_t size)
{
    int64_t tail;
    int error = s->map ? 0 : store_begin(s);
    /* (the gates of other sessions rely on it) */
    if (error == 0 && s->path[0]) error = store_index_open(s);
    if (error == 0) error = store_lock(s);
    if (error < 0) return error > -1000 ? error : -EIO;
    error = store_device_new(s, dev, mount);
    if (error >= 0) {
        slot->device = (uint16_t)error;
        tail = hint && store_tail_open(s, 1) == 0 ? store_tail_append(s, hint, size) : 0;
        if (tail > 0) slot->tail = (uint32_t)tail;
        error = store_add(s, slot);
    }
    store_unlock(s);
    return error;
}

/* Return the live slot of a place in the hash, NULL if there is none. */
static const store_slot *store_entry(const store *s, uint32_t at)
{
    uint32_t number = store_hash(s)[at];
    const store_slot *slot = number && number <= store_head(s)->slots ? &store_slots(s)[number - 1] : NULL;
    return slot && !(slot->flags & STORE_DEAD) && slot->sum == store_sum(slot) ? slot : NULL;
}

/* The disk has been changed as the record of an inode says. */
static void store_done(store *s, uint64_t dev, uint64_t ino)
{
    store_slot *slot = (store_slot *)store_get(s, dev, ino);
    if (slot && slot->was && !s->readonly) __atomic_store_n(&slot->was, 0, __ATOMIC_RELEASE);
}

/* -- tails --------------------------------------------------------------------------------------------------------------------- */

static void store_tail_name(const store *s, char *name, size_t size, const char *what)
{
    snprintf(name, size, "%s.%u.%s", s->path, store_head(s)->tail_number, what);
}

static int store_tail_open(store *s, int make)
{
    char name[4240];
    if (s->tail >= 0) return 0;
    if (!s->path[0]) s->tail = (int)syscall(SYS_memfd_create, "pyroot-owners-tail", 1u);
    else {
        store_tail_name(s, name, sizeof name, "tail");
        s->tail = open(name, make ? O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW : O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (s->tail >= 0 && !make && !s->readonly) {
            close(s->tail);
            s->tail = open(name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        }
    }
    return s->tail < 0 ? -errno : 0;
}

/* Take a piece of the end of the file of tails for ourselves, mapped, so that most tails need no call; 0 or -errno.  Under the lock. */
static int store_piece_take(store *s)
{
    off_t end = lseek(s->tail, 0, SEEK_END);
    char *map;
    store_piece_leave(s);
    if (end < 0) return -errno;
    end = (end + STORE_PAGE - 1) & -(off_t)STORE_PAGE;
    if (fallocate(s->tail, 0, end, STORE_PIECE) < 0) return -errno;
    map = mmap(NULL, STORE_PIECE, PROT_READ | PROT_WRITE, MAP_SHARED, s->tail, end);
    if (map == MAP_FAILED) return -errno;
    s->piece = map, s->piece_at = (uint64_t)end, s->piece_used = end ? 0 : 64;
    return 0;
}

/* Append a tail; return its place or -errno.  Under the lock. */
static int64_t store_tail_append(store *s, const void *bytes, uint32_t size)
{
    store_tail head = {size, (uint32_t)store_bytes_hash(bytes, size)};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)bytes, size}};
    uint32_t whole = ((uint32_t)sizeof head + size + 7) & ~7u;
    uint64_t end;
    off_t at;
    ssize_t done;
    if (whole <= STORE_PIECE / 8 && (s->piece || s->pieces) && ((s->piece && s->piece_used + whole <= STORE_PIECE) || store_piece_take(s) == 0)) {
        end = s->piece_at + s->piece_used;
        memcpy(s->piece + s->piece_used, &head, sizeof head);
        memcpy(s->piece + s->piece_used + sizeof head, bytes, size);
        s->piece_used += whole;
        return (int64_t)(end / 8);
    }
    at = lseek(s->tail, 0, SEEK_END);
    if (at < 0) return -errno;
    end = at < 64 ? 64 : ((uint64_t)at + 7) & ~7ull;
    errno = 0;
    done = pwritev(s->tail, parts, 2, (off_t)end);
    if (done != (ssize_t)(sizeof head + size)) return errno == EFBIG || errno == 0 ? -ENOSPC : -errno;
    s->pieces = 1;
    return (int64_t)(end / 8);
}

/* The same to the store's; a slot's `tail` or -errno. */
static int64_t store_tail_put(store *s, const void *bytes, uint32_t size)
{
    int64_t result;
    int error = s->map ? 0 : store_begin(s);
    if (error == 0) error = store_lock(s);
    if (error < 0) return error > -1000 ? error : -EIO;
    result = size > STORE_TAIL_MOST ? -ENOSPC : store_tail_open(s, 1);
    if (result == 0) result = store_tail_append(s, bytes, size);
    store_unlock(s);
    return result;
}

/* Note that what has the first path (below the root) is about to get the second: where records are looked for in a copy of the root. */
static void store_renamed(store *s, const char *from, const char *to)
{
    char name[4240];
    struct iovec parts[2] = {{(void *)from, strlen(from) + 1}, {(void *)to, strlen(to) + 1}};
    int fd;
    if (!s->map || !s->path[0] || s->readonly || store_head(s)->next == 0) return;
    store_tail_name(s, name, sizeof name, "names");
    fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return;
    if (writev(fd, parts, 2) < 0) ftruncate(fd, 0);
    close(fd);
}
