/* What is done to a whole store, by the front end: records of files that are gone are forgotten, a damaged file is made usable again.
 *
 * Decides: what of a store is worth keeping.
 */
#ifndef PYROOT_STORE_MEND_H
#define PYROOT_STORE_MEND_H

#include "store.c"

static uint64_t store_key(const store_slot *slot) { return store_mix(slot->ino, slot->device) ^ slot->gen ^ slot->btime; }

typedef struct {
    const uint64_t *keys; /* ascending */
    size_t n;
    uint64_t since;
} store_alive;

static int store_is_alive(const store_slot *slot, void *data)
{
    const store_alive *alive = data;
    uint64_t key = store_key(slot);
    size_t low = 0, high = alive->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (alive->keys[middle] < key) low = middle + 1;
        else high = middle;
    }
    return slot->made >= alive->since || (low < alive->n && alive->keys[low] == key);
}

/* Forget all records but those with these keys and those made since then; 0 or -errno. */
static int store_collect(store *s, const uint64_t *keys, size_t n, uint64_t since)
{
    store_alive alive = {keys, n, since};
    uint32_t slots = STORE_FIRST;
    int error = s->map ? store_lock(s) : 0;
    if (!s->map || error < 0) return error;
    while (slots / 2 < store_live(s)) slots *= 2;
    error = store_replace(s, slots, store_is_alive, &alive);
    store_unlock(s);
    return error;
}

/* Read a tail into `to`; its size or -errno. */
static int64_t store_tail_get(store *s, uint32_t tail, void *to, uint32_t room)
{
    store_tail head;
    int error = store_tail_open(s, 0);
    if (error < 0) return error;
    if (pread(s->tail, &head, sizeof head, (off_t)tail * 8) != sizeof head || head.size > room) return -EIO;
    if (pread(s->tail, to, head.size, (off_t)tail * 8 + (off_t)sizeof head) != (ssize_t)head.size) return -EIO;
    return (uint32_t)store_bytes_hash(to, head.size) == head.sum ? (int64_t)head.size : -EIO;
}

/* Make a damaged file a store again, of the slots whose sums are right; 1 if it was damaged, 0 if not, or -errno. */
static int store_repair(const char *path, const char *root, uint64_t root_dev, uint64_t root_ino, uint64_t root_gen)
{
    store s;
    store_header *header;
    struct stat st;
    uint64_t slots;
    int error = store_open(&s, path, root, root_dev, root_ino, root_gen);
    store_close(&s);
    if (error != -STORE_DAMAGED) return error == -STORE_OTHER_ROOT || error >= 0 ? 0 : error > -1000 ? error : -EINVAL;
    s.fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (s.fd < 0 || fstat(s.fd, &st) < 0) return -errno;
    slots = (uint64_t)st.st_size < STORE_PAGE ? 0 : ((uint64_t)st.st_size - STORE_PAGE) / (8 + sizeof(store_slot));
    for (s.size = STORE_FIRST; s.size * 2 <= slots; s.size *= 2) {}
    slots = s.size;
    s.size = store_size((uint32_t)slots);
    if (!S_ISREG(st.st_mode) || ftruncate(s.fd, (off_t)s.size) < 0 || store_room(s.fd, s.size) < 0) return -EINVAL;
    s.map = mmap(NULL, s.size, PROT_READ | PROT_WRITE, MAP_SHARED, s.fd, 0);
    if (s.map == MAP_FAILED) return -errno;
    header = store_head(&s);
    header->magic = STORE_MAGIC, header->version = STORE_VERSION, header->page = STORE_PAGE;
    header->slots = (uint32_t)slots, header->hash = (uint32_t)store_hash_size((uint32_t)slots);
    header->root_ino = root_ino, header->root_gen = root_gen;
    header->has = ~0u;
    if (header->devices < 1 || header->devices > STORE_DEVICES) header->devices = 1;
    if (header->tail_number > 1000000) header->tail_number = 0;
    store_rebuild(&s);
    store_unmap(&s);
    return 1;
}

#endif
