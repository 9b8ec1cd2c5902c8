/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sessions that remember owners, and have ids of their own: what guests see of files that have no record, and who they are. Part of
 * gate.c.
 *
 * Which files have none says the index (pyroot/store/index.h). It is read after the file: a record is noted there before anything
 * changes. A file that may have a record is declined, and so is whatever the kernel refuses but the lack of a name: it may be closed on
 * the disk alone. Names are looked up here only for those to whom no directory is closed.
 */
#ifndef PYROOT_GUEST_GATE_OWNERS_H
#define PYROOT_GUEST_GATE_OWNERS_H

#include "gate-paths.h"
#include "../store/index.h"

#define EBADF               9
#define NO_ID               0xffffffffu
#define KIND_FILE           0100000
#define KIND_DIRECTORY      0040000
#define X_OK                1
#define RIGHTS              7               /* R_OK, W_OK, X_OK */
#define STATX_BASIC         0x7ff
#define STATX_MOUNTS        0x5000          /* STATX_MNT_ID, STATX_MNT_ID_UNIQUE */
#define STATX_RESERVED      0x80000000u
#define XATTR_NAME          256             /* XATTR_NAME_MAX, and a NUL */
#define HAVE_XATTRS         2               /* STORE_HAS_XATTRS of pyroot/store/store.h */

/* struct statx, as far as it is read */
struct gate_statx {
    u32 mask, blksize;
    u64 attributes;
    u32 nlink, uid, gid;
    u16 mode, spare;
    u64 ino, size, blocks, attributes_mask;
    u64 times[8];
    u32 rdev_major, rdev_minor, dev_major, dev_minor;
    u64 rest[14];
};

_Static_assert(sizeof(struct gate_statx) == 256 && __builtin_offsetof(struct gate_statx, dev_major) == 136, "struct statx of linux/stat.h");
_Static_assert(sizeof(store_index) == GATE_INDEX_SIZE, "the index is mapped whole");

static long look(long dirfd, const char *path, struct gate_stat *st);

static inline const store_index *the_index(void)
{
    return (const store_index *)ARCH_FIXED(LOADER_INDEX);
}

/* The supervisor writes this word when one of those who share it becomes somebody else. */
static inline u32 who_word(const struct gate_frame *frame)
{
    u64 hook = frame->detour + 21 + (u64)(long)*(const int *)(frame->detour + 17);

    return *(const volatile u32 *)(hook - DETOUR_HOOK + DETOUR_WHO);
}

static inline const struct gate_who *the_who(const struct gate_frame *frame, const struct gate_view *view)
{
    u32 number = who_word(frame) & WHO_NUMBER;

    return number && number <= GATE_WHOS && number <= view->whose ? &view->who[number - 1] : 0;
}

static inline int passes(const struct gate_frame *frame, const struct gate_view *view)
{
    const struct gate_who *who = the_who(frame, view);

    return who && who->passes;
}

static int may_have_record(const struct gate_view *view, u64 ino)
{
    return store_index_has((const uint64_t *)the_index()->bits, STORE_INDEX_WORDS, ino) ||
           store_index_has((const uint64_t *)view->own, GATE_OWN_WORDS, ino);
}

static inline int is_copy(const struct gate_view *view, const struct gate_stat *st)
{
    return st->dev == view->copy_dev && st->mode == view->copy_mode;
}

/* The answer, if names have not moved since the proof. */
static int settle(struct gate_frame *frame, const struct gate_view *view, long result)
{
    if (result < 0 && result != -ENOENT && result != -ENOTDIR && result != -EBADF)
        return GATE_DECLINE;
    if (frame->check && __atomic_load_n(&view->moves, __ATOMIC_ACQUIRE) != (u32)frame->check)
        return GATE_DECLINE;
    frame->call = (u64)result;
    return GATE_ANSWER;
}

static void give(u64 to, const void *from, u32 words)
{
    typedef u64 __attribute__((aligned(1))) unaligned;
    const u64 *word = from;

    for (u32 i = 0; i < words; i++)
        ((volatile unaligned *)to)[i] = word[i];
}

static OUT_OF_LINE int see_stat(struct gate_frame *frame, const struct gate_view *view, int dirfd, const char *path, int flags, u64 buffer)
{
    struct gate_stat st;
    long result = sys6(SYS_newfstatat, dirfd, (long)path, (long)&st, flags, 0, 0);

    if (result == 0 && (st.dev == view->proc_dev || is_copy(view, &st) || may_have_record(view, st.ino)))
        return GATE_DECLINE;
    if (settle(frame, view, result) == GATE_DECLINE)
        return GATE_DECLINE;
    if (result == 0) {
        if (st.uid == view->us) {
            st.uid = view->uid;
            st.gid = view->gid;
        }
        give(buffer, &st, sizeof(st) / 8);
    }
    return GATE_ANSWER;
}

/* The arguments of statx(2) are the guest's own but for the file. */
static OUT_OF_LINE int see_statx(struct gate_frame *frame, const struct gate_view *view, int dirfd, const char *path)
{
    struct gate_statx x;
    u32 mask = (u32)frame->regs[3];
    long result;

    if (mask & (STATX_MOUNTS | STATX_RESERVED))
        return GATE_DECLINE;
    result = sys6(SYS_statx, dirfd, (long)path, (long)frame->regs[2], mask | STATX_BASIC, (long)&x, 0);
    if (result == 0 && (((x.dev_minor & 0xff) | x.dev_major << 8 | (u64)(x.dev_minor & ~0xffu) << 12) == view->proc_dev ||
                        may_have_record(view, x.ino)))
        return GATE_DECLINE;
    if (settle(frame, view, result) == GATE_DECLINE)
        return GATE_DECLINE;
    if (result == 0) {
        if (x.uid == view->us) {
            x.uid = view->uid;
            x.gid = view->gid;
        }
        give(frame->regs[4], &x, sizeof(x) / 8);
    }
    return GATE_ANSWER;
}

/* access(2) and its kin, for one who is root by real ids, too: the kernel knows us as the owner. */
static OUT_OF_LINE int see_access(struct gate_frame *frame, const struct gate_view *view, int rights, int flags)
{
    const struct gate_who *who = the_who(frame, view);
    struct gate_stat st;
    long result;

    if (!who || who->uid[0] || who->uid[1] || rights & ~RIGHTS)
        return GATE_DECLINE;
    result = sys6(flags ? SYS_faccessat2 : SYS_faccessat, frame->dirfd, (long)frame->path, rights, flags, 0, 0);
    if (result == 0 && rights & X_OK &&
        (sys6(SYS_newfstatat, frame->dirfd, (long)frame->path, (long)&st, flags & AT_SYMLINK_NOFOLLOW, 0, 0) < 0 ||
         may_have_record(view, st.ino)))
        return GATE_DECLINE;
    return settle(frame, view, result);
}

/* Whether a name is one that others keep owners under, which guests do not see. */
static int is_foreign(const char *name)
{
    static const char start[] = {'u', 's', 'e', 'r', '.'};

    for (u32 i = 0; i < sizeof(start); i++)
        if (name[i] != start[i])
            return 0;
    return name[5] == 'r' || name[5] == 'c';
}

/* Whether what has attributes may have a record. */
static int may_have_attributes(struct gate_frame *frame, const struct gate_view *view, int follows)
{
    struct gate_stat st;
    u32 have = __atomic_load_n(&the_index()->has, __ATOMIC_ACQUIRE) | view->own_have;

    return have & HAVE_XATTRS && (sys6(SYS_newfstatat, frame->dirfd, (long)frame->path, (long)&st, follows ? 0 : AT_SYMLINK_NOFOLLOW, 0, 0) < 0 ||
                                  may_have_record(view, st.ino));
}

static OUT_OF_LINE int see_attribute(struct gate_frame *frame, const struct gate_view *view)
{
    char name[XATTR_NAME];
    const volatile char *from = (const volatile char *)frame->regs[1];
    long result;
    int i = 0;

    do {
        if (i == XATTR_NAME)
            return GATE_DECLINE;
        name[i] = from[i];
    } while (name[i++]);
    if (is_foreign(name))
        return GATE_DECLINE;
    result = sys6((long)frame->call, (long)frame->path, (long)name, (long)frame->regs[2], (long)frame->regs[3], 0, 0);
    if (result == -EPERM || result == -EACCES || may_have_attributes(frame, view, frame->call == SYS_getxattr))
        return GATE_DECLINE;
    if (frame->check && __atomic_load_n(&view->moves, __ATOMIC_ACQUIRE) != (u32)frame->check)
        return GATE_DECLINE;
    frame->call = (u64)result;
    return GATE_ANSWER;
}

/* A list of names: answered if there are none. */
static OUT_OF_LINE int see_attributes(struct gate_frame *frame, const struct gate_view *view)
{
    long result = sys6((long)frame->call, (long)frame->path, 0, 0, 0, 0, 0);

    if (result != 0 || may_have_attributes(frame, view, frame->call == SYS_listxattr))
        return GATE_DECLINE;
    return settle(frame, view, 0);
}

/* Look at the frame's path, which is proved: nothing is made but calls that may be made once more. */
static int see(struct gate_frame *frame, const struct gate_view *view)
{
    const u64 *regs = frame->regs;

    switch (frame->call) {
    case SYS_stat:
        return see_stat(frame, view, AT_FDCWD, frame->path, 0, regs[1]);
    case SYS_lstat:
        return see_stat(frame, view, AT_FDCWD, frame->path, AT_SYMLINK_NOFOLLOW, regs[1]);
    case SYS_newfstatat:
        return see_stat(frame, view, (int)frame->dirfd, frame->path, (int)regs[3], regs[2]);
    case SYS_statx:
        return see_statx(frame, view, (int)frame->dirfd, frame->path);
    case SYS_access:
        return see_access(frame, view, (int)regs[1], 0);
    case SYS_faccessat:
        return see_access(frame, view, (int)regs[2], 0);
    case SYS_faccessat2:
        return see_access(frame, view, (int)regs[2], (int)regs[3]);
    case SYS_getxattr:
    case SYS_lgetxattr:
        return see_attribute(frame, view);
    case SYS_listxattr:
    case SYS_llistxattr:
        return see_attributes(frame, view);
    case SYS_readlink:
    case SYS_readlinkat:
        return GATE_MAKE;
    }
    return GATE_DECLINE;
}

/* Whether a file is ours, has no record, and is what is changed (an overlay copies first). */
static int is_ours(const struct gate_view *view, const struct gate_stat *st)
{
    return !view->overs && st->uid == view->us && st->dev != view->proc_dev && !is_copy(view, st) && !may_have_record(view, st->ino);
}

/* A change of owner to the one that files have without a record: the kernel sets ctime, and does what else comes with it. A name is one
 * from a directory, and no link is followed; if it is another file's by the end, the supervisor looks again. */
static OUT_OF_LINE int keep_owner(struct gate_frame *frame, const struct gate_view *view, const char *path, u32 uid, u32 gid)
{
    const struct gate_who *who = the_who(frame, view);
    struct gate_stat st, then;
    int flags = *path ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH;

    if (!who || !who->changes || view->readonly || (uid != NO_ID && uid != view->uid) || (gid != NO_ID && gid != view->gid))
        return GATE_DECLINE;
    if (look(frame->dirfd, path, &st) < 0 || !is_ours(view, &st))
        return GATE_DECLINE;
    if (*path ? sys6(SYS_fchownat, frame->dirfd, (long)path, -1, -1, flags, 0) : sys3(SYS_fchown, frame->dirfd, -1, -1))
        return GATE_DECLINE;
    if (*path && (look(frame->dirfd, path, &then) < 0 || then.ino != st.ino || then.dev != st.dev))
        return GATE_DECLINE;
    return settle(frame, view, 0);
}

static inline int gives_away(u64 call)
{
    return call == SYS_lchown || call == SYS_fchownat;
}

/* The same by name. */
static int keep_named(struct gate_frame *frame, const struct gate_view *view, const struct gate_text *text, u64 flags)
{
    const u64 *ids = &frame->regs[frame->call == SYS_lchown ? 1 : 2];

    if (!view->owners || !frame->relative || text->names != 1 || text->special || text->slash)
        return GATE_DECLINE;
    if (frame->call == SYS_fchownat && flags != AT_SYMLINK_NOFOLLOW)
        return GATE_DECLINE;
    return keep_owner(frame, view, frame->path, (u32)ids[0], (u32)ids[1]);
}

/* A change to a mode that needs no record, since the disk may have it wherever the file lies. */
static OUT_OF_LINE int keep_mode(struct gate_frame *frame, const struct gate_view *view, u32 mode)
{
    const struct gate_who *who = the_who(frame, view);
    struct gate_stat st;
    u32 least;

    mode &= 07777;
    if (!who || !who->changes || view->readonly || mode & 06000 || look(frame->dirfd, "", &st) < 0 || !is_ours(view, &st))
        return GATE_DECLINE;
    least = (st.mode & 0170000) == KIND_DIRECTORY ? 0700 : mode & 0111 ? 0700 : 0600;
    if (((st.mode & 0170000) != KIND_DIRECTORY && (st.mode & 0170000) != KIND_FILE) || (mode & least) != least)
        return GATE_DECLINE;
    if (sys3(SYS_fchmod, frame->dirfd, mode, 0))
        return GATE_DECLINE;
    return settle(frame, view, 0);
}

/* A listing: the directory that holds what guests do not see is not for us. */
static OUT_OF_LINE int list(struct gate_frame *frame, const struct gate_view *view)
{
    struct gate_stat st;

    if (view->hidden && (look((int)frame->regs[0], "", &st) < 0 || (view->hidden_in.dev == st.dev && view->hidden_in.ino == st.ino)))
        return GATE_DECLINE;
    return GATE_MAKE;
}

static void give_ids(const u64 *to, const u32 *ids)
{
    typedef u32 __attribute__((aligned(1))) unaligned;

    for (int i = 0; i < 3; i++)
        *(volatile unaligned *)to[i] = ids[i];
}

static int tells_ids(u64 call)
{
    return call == SYS_getuid || call == SYS_geteuid || call == SYS_getgid || call == SYS_getegid || call == SYS_getresuid ||
           call == SYS_getresgid || call == SYS_getgroups;
}

/* Who the guest is. */
static int tell_ids(struct gate_frame *frame, const struct gate_view *view)
{
    typedef u32 __attribute__((aligned(1))) unaligned;
    const struct gate_who *who = the_who(frame, view);
    u64 result = 0;
    int room = (int)frame->regs[0];

    if (!who)
        return GATE_DECLINE;
    switch (frame->call) {
    case SYS_getuid:
        result = who->uid[0];
        break;
    case SYS_geteuid:
        result = who->uid[1];
        break;
    case SYS_getgid:
        result = who->gid[0];
        break;
    case SYS_getegid:
        result = who->gid[1];
        break;
    case SYS_getresuid:
        give_ids(frame->regs, who->uid);
        break;
    case SYS_getresgid:
        give_ids(frame->regs, who->gid);
        break;
    case SYS_getgroups:
        if (who->groups > GATE_GROUPS || room < 0 || (room && (u32)room < who->groups))
            return GATE_DECLINE;
        result = who->groups;
        for (u32 i = 0; room && i < who->groups; i++)
            ((volatile unaligned *)frame->regs[1])[i] = who->group[i];
        break;
    default:
        return GATE_DECLINE;
    }
    frame->call = result;
    return GATE_ANSWER;
}

#endif
