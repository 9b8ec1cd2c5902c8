/* The index of a store: a bit for each inode number that some record may be of, so that code in guests can tell which files have none.
 *
 * It lies in a file of its own beside the store (or in memory, with a store in memory), which is made once, never replaced, and mapped by
 * all who have the store open and, for reading, by their guests.  Whoever makes a record sets the bit first; no bit is ever taken away.
 * So whoever has looked at a file and then finds no bit knows that the file had no record when it was looked at.
 *
 * Decides: which bit stands for a file.
 */
#ifndef PYROOT_STORE_INDEX_H
#define PYROOT_STORE_INDEX_H

#include <stdint.h>

#define STORE_INDEX_WORDS 16384u /* 1 Mi bits: with 100,000 records one file in ten has another one's bit */

typedef struct {
    uint32_t has;       /* STORE_HAS_*, of all records there have been */
    uint32_t filled;    /* so many slots of the store had their bits when a session last began ... */
    uint64_t ino, boot; /* ... of the file with this number, in this boot */
    uint8_t rest[4072];
    uint64_t bits[STORE_INDEX_WORDS];
} store_index;

_Static_assert(sizeof(store_index) == 4096 + 8 * STORE_INDEX_WORDS, "whole pages");

static inline uint64_t store_index_hash(uint64_t ino)
{
    uint64_t h = ino * 0x9e3779b97f4a7c15ull;
    return h ^ h >> 32;
}

/* Say whether a number has its bit among so many words (a power of two). */
static inline int store_index_has(const uint64_t *bits, uint32_t words, uint64_t ino)
{
    uint64_t h = store_index_hash(ino);
    return (int)(__atomic_load_n(&bits[h >> 6 & (words - 1)], __ATOMIC_ACQUIRE) >> (h & 63) & 1);
}

static inline void store_index_set(uint64_t *bits, uint32_t words, uint64_t ino)
{
    uint64_t h = store_index_hash(ino);
    __atomic_fetch_or(&bits[h >> 6 & (words - 1)], 1ull << (h & 63), __ATOMIC_SEQ_CST);
}

#endif
