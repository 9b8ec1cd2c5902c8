/* The memory of owners (store.c writes it): what a file consists of that says, for some inodes of a root, which owner, mode, device and
 * extended attributes they have for guests.  Everything here is for reading, without a C library and without locks, so that code in
 * guests can do it as well.
 *
 * A page with the header, a hash of 32-bit numbers of slots, and the slots, of 64 bytes each.  A slot is written once; a change is a new
 * slot, and then one store of 32 bits in the hash: whoever reads meanwhile, or finds the file after a kill, sees the old or the new one.
 *
 * Decides: the layout, and what a look-up finds.
 */
#ifndef PYROOT_STORE_H
#define PYROOT_STORE_H

#include <stdint.h>

#define STORE_MAGIC 0x4e574f544f4f5250ull /* "PROOTOWN" */
#define STORE_VERSION 1u
#define STORE_PAGE 4096u
#define STORE_FIRST 1024u    /* slots of a new store */
#define STORE_MOST (1u << 26) /* slots of any */
#define STORE_DEVICES 24u
#define STORE_DEVICE_PATH 136u

enum {
    /* flags of a slot */
    STORE_DEAD = 1,      /* there is no record any more */
    STORE_XATTRS = 2,    /* its tail has extended attributes */
    STORE_NODE = 4,      /* a device: what is on the disk stands for it */
    STORE_DEFAULTS = 8,  /* a directory whose tail has a default access control list */
    /* of the header: some record has ... */
    STORE_HAS_SETGID = 1, /* ... a directory with the set-group-ID bit */
    STORE_HAS_XATTRS = 2,
    STORE_HAS_NODES = 4,
    STORE_HAS_DEFAULTS = 8, /* ... a default ACL */
    STORE_HAS_OTHERS = 16   /* ... an owner that is not 0 */
};

typedef struct {
    uint64_t ino;
    uint64_t gen;    /* hash of its file handle, which has the inode's generation; 0: the file system gives none */
    uint64_t btime;  /* ns, 0: the file system has none */
    uint64_t made;   /* ns, when the record was made */
    uint32_t uid, gid;
    uint32_t rdev;   /* major << 20 | minor */
    uint16_t mode;   /* with the type; all twelve bits */
    uint16_t left;   /* the mode that the disk was left with: if it has another one, somebody else has changed it */
    uint16_t device; /* number in the header's table; 0: that of the root */
    uint16_t flags;
    uint32_t tail;   /* where the rest is, in units of 8 bytes; 0: nowhere */
    uint32_t was;    /* mode and (high half) left of the record before, while the disk is being changed to this one; else 0; not in sum */
    uint32_t sum;
} store_slot;

typedef struct {
    char path[STORE_DEVICE_PATH]; /* of its mount point below the root; of a store in memory: empty */
    uint64_t number;              /* st_dev, as far as this boot knows */
} store_device;

typedef struct {
    uint64_t magic;
    uint32_t version, page;
    uint64_t root_ino, root_gen; /* of the root directory */
    uint32_t slots, hash;        /* how many there is room for; the hash is a power of two */
    uint32_t next;               /* slots in use */
    uint32_t has;
    uint32_t moved;              /* this file has been replaced, or is just being */
    uint32_t dirty;              /* changed since it was last written to the disk */
    uint64_t boot;               /* hash of the boot in which it was changed */
    uint32_t tail_number;        /* in the name of the file of tails */
    uint32_t devices;
    store_device device[STORE_DEVICES];
} store_header;

_Static_assert(sizeof(store_slot) == 64, "a slot lies within a line of the cache");
_Static_assert(sizeof(store_device) == 144 && sizeof(store_header) <= STORE_PAGE, "the header is one page");
_Static_assert(STORE_PAGE % sizeof(store_slot) == 0, "no slot lies across two pages");

/* Where the parts of a store of so many slots are. */
static inline uint64_t store_hash_size(uint32_t slots) { return (uint64_t)slots * 2; }
static inline uint64_t store_slots_at(uint32_t slots) { return STORE_PAGE + store_hash_size(slots) * 4; }
static inline uint64_t store_size(uint32_t slots) { return store_slots_at(slots) + (uint64_t)slots * sizeof(store_slot); }

static inline uint64_t store_mix(uint64_t ino, uint32_t device)
{
    uint64_t h = (ino ^ (uint64_t)device << 48) * 0x9e3779b97f4a7c15ull;
    return h ^ h >> 29;
}

static inline uint32_t store_sum(const store_slot *slot)
{
    const uint32_t *word = (const uint32_t *)slot;
    uint64_t h = 0xcbf29ce484222325ull;
    for (unsigned i = 0; i < sizeof(store_slot) / 4 - 2; i++) h = (h ^ word[i]) * 0x100000001b3ull;
    return (uint32_t)(h ^ h >> 32) | 1;
}

/* Find the slot of an inode in a mapped store, or NULL.  Whether it is the same file still has to be compared: `gen`, or `btime`.
 * `at` gets the place in the hash where it is, or would be. */
static inline const store_slot *store_find(const char *map, uint64_t ino, uint32_t device, uint32_t *at)
{
    const store_header *header = (const store_header *)map;
    const uint32_t *hash = (const uint32_t *)(map + STORE_PAGE);
    const store_slot *slots = (const store_slot *)(map + store_slots_at(header->slots));
    uint32_t mask = header->hash - 1, i = (uint32_t)store_mix(ino, device) & mask, tries;
    for (tries = 0; tries <= mask; tries++, i = (i + 1) & mask) {
        uint32_t number = __atomic_load_n(&hash[i], __ATOMIC_ACQUIRE);
        if (number == 0) break;
        if (number > header->slots) continue; /* (damaged) */
        if (slots[number - 1].ino == ino && slots[number - 1].device == device) {
            if (at) *at = i;
            return &slots[number - 1];
        }
    }
    if (at) *at = i;
    return 0;
}

#endif
