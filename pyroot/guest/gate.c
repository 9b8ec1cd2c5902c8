/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The gate: answers calls inside the guest that would otherwise stop it. A site that makes such calls (`mov $NUMBER, %eax`,
 * `syscall`) is turned into a jump to a detour, which leads here; the filter lets through what is called from these pages.
 *
 * What is decided here is what the supervisor would decide (walk_fast, step_passes, way_passes and way_opens in the core), by
 * the same proofs made by the kernel, and only where nothing else is to be done: no link on the way, no "..", no mount point,
 * no text of /proc. Everything else is declined, and then the site's own `syscall` stops as ever. Nothing is kept between two
 * calls, nothing is written but the frame on the guest's stack. A pointer that leads nowhere ends in a fault, which the
 * supervisor takes for "declined".
 *
 * Freestanding, position-dependent, no data of its own; addresses are those of loader.h.
 */
#include "parts.h"
#include "gate.h"

#define PATH_LOW            0x10000         /* no pointer below it leads anywhere */
#define ELOOP               40
#define EISDIR              21
#define ENOTDIR             20
#define ENOENT              2

/* flags of calls, asm/fcntl.h and linux/fcntl.h */
#define O_WRONLY            01
#define O_ACCMODE           03
#define O_DIRECTORY         0200000
#define O_NOFOLLOW          0400000
#define O_PATH              010000000
#define OPEN_READS          03604000        /* O_NONBLOCK, O_DIRECTORY, O_NOFOLLOW, O_CLOEXEC, O_NOATIME */
#define OPEN_IGNORED        0100400         /* O_NOCTTY, O_LARGEFILE */
#define OPEN_PATH           012600000       /* O_PATH and what it leaves of the others */
#define AT_SYMLINK_NOFOLLOW 0x100
#define AT_EMPTY_PATH       0x1000
#define AT_HARMLESS         0x6b00          /* AT_SYMLINK_NOFOLLOW, AT_EACCESS, AT_NO_AUTOMOUNT, AT_STATX_SYNC_TYPE */
#define STATX_MOUNTS        0x5000          /* STATX_MNT_ID, STATX_MNT_ID_UNIQUE */
#define RESOLVE_NO_SYMLINKS 4
#define SYS_newfstatat      262
#define SYS_readlink        89
#define SYS_readlinkat      267
#define SYS_statx           332
#define SYS_openat2         437

#define FNV_BASE            14695981039346656037ull
#define FNV_PRIME           1099511628211ull

enum { F_FOLLOW, F_NOFOLLOW, F_CREATE, F_FLAG, F_OPEN };

/* One row of the table. */
struct gate_call {
    int path, dirfd, final, flags, follows;
    u32 bit;
};

/* What a path looks like. */
struct gate_text {
    int length;                             /* in the frame */
    int names;
    int special;                            /* "." among them */
    int text_name;                          /* the last one may be that of a text in /proc */
};

static inline const struct gate_view *the_view(void)
{
    return (const struct gate_view *)(ARCH_FIXED(LOADER_ARENA) + 0x1000000 - GATE_VIEW_SIZE);
}

static inline int find_call(struct gate_call *call, u64 number)
{
    switch (number) {
#define GATE_CALL(number, path_, dirfd_, final_, flags_, default_, bit_) \
    case number: \
        *call = (struct gate_call){path_, dirfd_, final_, flags_, (default_) == F_FOLLOW, bit_}; \
        return 1;
#include "calls.h"
#undef GATE_CALL
    }
    return 0;
}

/* The hash of the core (view.pxi). */
static inline u64 fnv(u64 hash, u8 byte)
{
    return (hash ^ byte) * FNV_PRIME;
}

static inline int marked(const unsigned long long *bits, u64 words, u64 hash)
{
    return bits[hash >> 6 & (words - 1)] >> (hash & 63) & 1;
}

/* Copy an absolute path behind the root's own and look at it; 0: not for us. */
static int take_absolute(struct gate_frame *frame, const struct gate_view *view, const char *path, struct gate_text *text)
{
    char *to = frame->path, *end = frame->path + GATE_PATH - 1;
    u64 hash = FNV_BASE, name = 0;
    u32 prefix = view->prefix_len;

    if (prefix >= GATE_PREFIX)
        return 0;
    for (u32 i = 0; i < prefix; i++)
        *to++ = view->prefix[i];
    text->names = 0;
    while (*path) {
        char first = path[1];
        int size = 0;

        if (*path != '/' || first == 0 || first == '/')
            return 0;
        if (first == '.' && (path[2] == 0 || path[2] == '/' || (path[2] == '.' && (path[3] == 0 || path[3] == '/'))))
            return 0;
        name = FNV_BASE;
        hash = fnv(hash, '/');
        *to++ = *path++;
        for (; *path && *path != '/'; path++, size++) {
            if (to >= end || size == 255)
                return 0;
            hash = fnv(hash, (u8)*path);
            name = fnv(name, (u8)*path);
            *to++ = *path;
        }
        if (view->bound && marked(view->tops, GATE_TOPS, hash))
            return 0;
        text->names++;
    }
    *to = 0;
    text->length = (int)(to - frame->path);
    text->text_name = marked(view->texts, GATE_NAMES, name);
    text->special = 0;
    return 1;
}

/* The same for a relative path, which stays as it is. */
static int take_relative(struct gate_frame *frame, const struct gate_view *view, const char *path, struct gate_text *text)
{
    char *to = frame->path, *end = frame->path + GATE_PATH - 1;
    u64 name = FNV_BASE;

    text->names = text->special = 0;
    while (*path) {
        const char *start = path;

        name = FNV_BASE;
        for (; *path && *path != '/'; path++) {
            if (to >= end || path - start == 255)
                return 0;
            name = fnv(name, (u8)*path);
            *to++ = *path;
        }
        if (path == start)
            return 0;                       /* "//", or a slash at the end */
        if (start[0] == '.' && path - start == 1) {
            text->special = 1;
        } else {
            if (start[0] == '.' && start[1] == '.' && path - start == 2)
                return 0;
            if (marked(view->names, GATE_NAMES, name))
                return 0;
            text->names++;
        }
        if (*path) {
            if (path[1] == 0)
                return 0;
            if (to >= end)
                return 0;
            *to++ = *path++;
        }
    }
    *to = 0;
    text->length = (int)(to - frame->path);
    text->text_name = marked(view->texts, GATE_NAMES, name);
    return text->names > 0;
}

/* Ask the kernel for a link on the way, without opening anything: EISDIR or ENOTDIR is the end of a way that has none. */
static long prove(struct gate_frame *frame, long dirfd, int follows)
{
    frame->how.flags = O_WRONLY | O_DIRECTORY | O_CLOEXEC | (follows ? 0 : O_NOFOLLOW);
    frame->how.mode = 0;
    frame->how.resolve = RESOLVE_NO_SYMLINKS;
    return sys6(SYS_openat2, dirfd, (long)frame->path, (long)&frame->how, sizeof(frame->how), 0, 0);
}

/* An open becomes an openat2 that meets no link: proof and call in one. */
static int plan_open(struct gate_frame *frame, const struct gate_view *view, const struct gate_text *text, long dirfd, u64 flags)
{
    (void)view;
    if (flags & O_PATH)
        flags &= OPEN_PATH;
    else if (flags & ~(u64)(OPEN_READS | OPEN_IGNORED) || text->text_name)
        return GATE_DECLINE;                /* for writing: what execve knows of a file may be wrong then */
    frame->how.flags = flags;
    frame->how.mode = 0;
    frame->how.resolve = RESOLVE_NO_SYMLINKS;
    frame->call = SYS_openat2;
    frame->args[0] = (u64)dirfd;
    frame->args[1] = (u64)frame->path;
    frame->args[2] = (u64)&frame->how;
    frame->args[3] = sizeof(frame->how);
    frame->retry = 1;
    return GATE_MAKE;
}

/* A call with an empty path, which means the descriptor. statx tells of the top of a mount. */
static int plan_empty(const struct gate_frame *frame, const struct gate_view *view, u64 flags)
{
    int plain = frame->call == SYS_newfstatat || (frame->call == SYS_statx && !view->bound && !(frame->regs[3] & STATX_MOUNTS));

    return plain && flags & AT_EMPTY_PATH ? GATE_MAKE : GATE_DECLINE;
}

/* Decide what becomes of the call whose registers are in the frame. */
__attribute__((used)) int gate_plan(struct gate_frame *frame)
{
    const struct gate_view *view = the_view();
    const u8 *detour = (const u8 *)frame->detour;
    struct gate_call call;
    struct gate_text text;
    const char *path;
    long dirfd = AT_FDCWD, result;
    u64 flags = 0;
    int follows, relative;

    frame->call = *(const u32 *)(detour + DETOUR_NUMBER);
    frame->retry = 0;
    if (!view->on || !find_call(&call, frame->call))
        return GATE_DECLINE;
    for (int i = 0; i < 6; i++)
        frame->args[i] = frame->regs[i];
    path = (const char *)frame->regs[call.path];
    if ((u64)path < PATH_LOW)
        return GATE_DECLINE;
    if (call.flags >= 0)
        flags = (u32)frame->regs[call.flags];
    if (*path == 0)
        return plan_empty(frame, view, flags);
    if (call.final == F_FLAG && flags & ~(u64)AT_HARMLESS)
        return GATE_DECLINE;
    if (frame->call == SYS_statx && frame->regs[3] & STATX_MOUNTS)
        return GATE_DECLINE;
    relative = *path != '/';
    if (relative ? !take_relative(frame, view, path, &text) : !take_absolute(frame, view, path, &text))
        return GATE_DECLINE;
    if (relative && call.dirfd >= 0)
        dirfd = (int)frame->regs[call.dirfd];
    if (call.final == F_OPEN)
        return plan_open(frame, view, &text, dirfd, flags);
    follows = call.final == F_FLAG ? call.follows != !!(flags & call.bit) : call.final == F_FOLLOW;
    if (relative && (frame->call == SYS_readlink || frame->call == SYS_readlinkat))
        return GATE_DECLINE;                /* perhaps one of /proc */
    if (!follows && text.names == 1 && !text.special && relative)
        return GATE_MAKE;                   /* the kernel finds the name where the guest means it */
    if (view->moving)
        return GATE_DECLINE;
    result = prove(frame, dirfd, follows);
    if (result >= 0) {
        sys3(SYS_close, result, 0, 0);      /* never: a directory is not written to */
        return GATE_DECLINE;
    }
    if (result != -EISDIR && result != -ENOTDIR && result != -ENOENT)
        return GATE_DECLINE;
    if (result == -EISDIR && (frame->call == SYS_readlink || frame->call == SYS_readlinkat)) {
        frame->call = (u64)-EINVAL;
        return GATE_ANSWER;
    }
    frame->args[call.path] = (u64)frame->path;
    if (!relative && call.dirfd >= 0)
        frame->args[call.dirfd] = (u64)AT_FDCWD;
    return GATE_MAKE;
}
