/* Tails: what a record has beside its slot, a list of named values.  The names are those of extended attributes; an empty name is the path
 * that the file had when the record was made.
 *
 * Decides: the layout of a tail, and what is a valid access control list.
 */
#ifndef PYROOT_STORE_TAILS_H
#define PYROOT_STORE_TAILS_H

#include <errno.h>
#include <stdint.h>
#include <string.h>

typedef struct { /* the name and the value follow */
    uint32_t size;
    uint16_t name, zero;
} tail_entry;

/* Find a name in a tail; where its entry begins, or -1. */
static int tail_find(const char *tail, int size, const char *name)
{
    int at = 0, n = (int)strlen(name);
    tail_entry e;
    while (at + (int)sizeof e <= size) {
        memcpy(&e, tail + at, sizeof e);
        if (e.size > (uint32_t)size || at + (int)sizeof e + e.name + (int)e.size > size) return -1;
        if (e.name == n && memcmp(tail + at + sizeof e, name, (size_t)n) == 0) return at;
        at += (int)sizeof e + e.name + (int)e.size;
    }
    return -1;
}

/* Return where the next entry begins, and copy the name of this one (256 bytes); -1 at the end. */
static int tail_next(const char *tail, int size, int at, char *name, const char **value, int *length)
{
    tail_entry e;
    if (at + (int)sizeof e > size) return -1;
    memcpy(&e, tail + at, sizeof e);
    if (e.size > (uint32_t)size || at + (int)sizeof e + e.name + (int)e.size > size || e.name > 255) return -1;
    memcpy(name, tail + at + sizeof e, e.name);
    name[e.name] = 0;
    *value = tail + at + sizeof e + e.name;
    *length = (int)e.size;
    return at + (int)sizeof e + e.name + (int)e.size;
}

static int tail_value(const char *tail, int size, const char *name, const char **value)
{
    int at = tail_find(tail, size, name), length = 0;
    char found[256];
    if (at < 0 || tail_next(tail, size, at, found, value, &length) < 0) return -1;
    return length;
}

/* Take a name out; the new size. */
static int tail_without(char *tail, int size, const char *name)
{
    int at = tail_find(tail, size, name);
    tail_entry e;
    if (at < 0) return size;
    memcpy(&e, tail + at, sizeof e);
    int whole = (int)sizeof e + e.name + (int)e.size;
    memmove(tail + at, tail + at + whole, (size_t)(size - at - whole));
    return size - whole;
}

/* Give a name a value; the new size, or -ENOSPC. */
static int tail_with(char *tail, int size, int room, const char *name, const void *value, int length)
{
    tail_entry e = {(uint32_t)length, (uint16_t)strlen(name), 0};
    size = tail_without(tail, size, name);
    if (size + (int)sizeof e + e.name + length > room) return -ENOSPC;
    memcpy(tail + size, &e, sizeof e);
    memcpy(tail + size + sizeof e, name, e.name);
    memcpy(tail + size + sizeof e + e.name, value, (size_t)length);
    return size + (int)sizeof e + e.name + length;
}

/* -- access control lists (acl(5), posix_acl_xattr.h) ---------------------------------------------------------------------------- */

enum { ACL_USER_OBJ_ = 1, ACL_USER_ = 2, ACL_GROUP_OBJ_ = 4, ACL_GROUP_ = 8, ACL_MASK_ = 16, ACL_OTHER_ = 32 };

typedef struct {
    uint16_t tag, perm;
    uint32_t id;
} acl_entry;

/* Check a list as posix_acl_from_xattr() and posix_acl_valid(); 0 or -errno.  `plain`: it says no more than a mode, which goes to `mode`. */
static int acl_check(const char *acl, int size, int *plain, uint32_t *mode)
{
    static const uint16_t order[] = {ACL_USER_OBJ_, ACL_USER_, ACL_GROUP_OBJ_, ACL_GROUP_, ACL_MASK_, ACL_OTHER_};
    uint32_t version, bits = 0;
    int i, step = 0, named = 0, mask = 0, seen = 0, n = (size - 4) / 8;
    acl_entry e;
    if (size < 4) return -EINVAL;
    memcpy(&version, acl, 4);
    if (version != 2) return -EOPNOTSUPP;
    if ((size - 4) % 8) return -EINVAL;
    for (i = 0; i < n; i++) {
        memcpy(&e, acl + 4 + 8 * i, 8);
        while (step < 6 && order[step] != e.tag) step++;
        if (step == 6 || e.perm & ~7) return -EINVAL;
        if ((e.tag == ACL_USER_ || e.tag == ACL_GROUP_) ? e.id == (uint32_t)-1 : seen & e.tag) return -EINVAL;
        seen |= e.tag;
        named |= e.tag == ACL_USER_ || e.tag == ACL_GROUP_;
        if (e.tag == ACL_USER_OBJ_) bits |= (uint32_t)e.perm << 6;
        if (e.tag == ACL_OTHER_) bits |= e.perm;
        if (e.tag == ACL_GROUP_OBJ_ && !mask) bits = (bits & ~070u) | (uint32_t)e.perm << 3;
        if (e.tag == ACL_MASK_) mask = 1, bits = (bits & ~070u) | (uint32_t)e.perm << 3;
    }
    if (n && ((seen & 37) != 37 || (named && !mask))) return -EINVAL;
    *plain = !named && !mask;
    *mode = bits;
    return 0;
}

/* Make the list of something new of its directory's default list, as posix_acl_create_masq(): `mode` is that of the call, and of the file
 * afterwards.  1 if the list says more than that mode. */
static int acl_create(char *acl, int size, uint32_t *mode)
{
    int i, n = (size - 4) / 8, more = 0, group = -1, mask = -1;
    uint32_t bits = *mode;
    acl_entry e;
    for (i = 0; i < n; i++) {
        memcpy(&e, acl + 4 + 8 * i, 8);
        if (e.tag == ACL_USER_OBJ_) {
            e.perm = (uint16_t)(e.perm & bits >> 6);
            bits &= (uint32_t)e.perm << 6 | ~0700u;
        } else if (e.tag == ACL_OTHER_) {
            e.perm = (uint16_t)(e.perm & bits);
            bits &= e.perm | ~7u;
        } else if (e.tag == ACL_GROUP_OBJ_) group = i;
        else if (e.tag == ACL_MASK_) mask = i;
        more |= e.tag == ACL_USER_ || e.tag == ACL_GROUP_ || e.tag == ACL_MASK_;
        memcpy(acl + 4 + 8 * i, &e, 8);
    }
    i = mask >= 0 ? mask : group;
    if (i >= 0) {
        memcpy(&e, acl + 4 + 8 * i, 8);
        e.perm = (uint16_t)(e.perm & bits >> 3);
        bits &= (uint32_t)e.perm << 3 | ~070u;
        memcpy(acl + 4 + 8 * i, &e, 8);
    }
    *mode = (*mode & ~0777u) | (bits & 0777);
    return more;
}

/* Put the bits of a mode into a list. */
static void acl_of_mode(char *acl, int size, uint32_t mode)
{
    int i, n = (size - 4) / 8, mask = 0;
    acl_entry e;
    for (i = 0; i < n; i++) {
        memcpy(&e, acl + 4 + 8 * i, 8);
        mask |= e.tag == ACL_MASK_;
    }
    for (i = 0; i < n; i++) {
        memcpy(&e, acl + 4 + 8 * i, 8);
        if (e.tag == ACL_USER_OBJ_) e.perm = mode >> 6 & 7;
        else if (e.tag == ACL_OTHER_) e.perm = mode & 7;
        else if (e.tag == (mask ? ACL_MASK_ : ACL_GROUP_OBJ_)) e.perm = mode >> 3 & 7;
        memcpy(acl + 4 + 8 * i, &e, 8);
    }
}

#endif
