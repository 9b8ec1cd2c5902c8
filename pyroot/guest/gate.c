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

#define LINKS               4               /* that are followed here, at most */
#define LINK_TEXT           128             /* bytes of the text of one that is, at most */

#define FNV_BASE            14695981039346656037ull
#define FNV_PRIME           1099511628211ull

enum { F_FOLLOW, F_NOFOLLOW, F_CREATE, F_FLAG, F_OPEN };

/* The buffers of these are on the guest's stack for as long as they are needed only. */
#define OUT_OF_LINE         __attribute__((noinline))

/* One row of the table. */
struct gate_call {
    int path, dirfd, final, flags, follows;
    u32 bit;
};

/* What a path looks like. */
struct gate_text {
    int names;
    int special;                            /* "." among them */
    int text_name;                          /* the last one may be that of a text in /proc */
    int top;                                /* the last one is a mount point */
    const struct gate_link *link;           /* take_absolute has come to what was a link in the root */
};

/* struct stat, as far as it is read */
struct gate_stat {
    u64 dev, ino, nlink;
    u32 mode, uid;
    u64 rest[14];
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

static const struct gate_link *find_link(const struct gate_view *view, u64 name)
{
    for (u32 i = 0; i < view->links && i < GATE_LINKS; i++)
        if (view->link[i].name == name)
            return &view->link[i];
    return 0;
}

/* The path so far is that of a mount point: go on at the binding's host path. Returns where that ends, 0: not for us. Whether the
 * directory that holds the mount point may be searched is for the kernel to say: nothing else would ask. */
static OUT_OF_LINE char *cross(struct gate_frame *frame, const struct gate_view *view, u64 hash, char *name)
{
    const struct gate_bound *bound = 0;
    struct gate_stat st;

    for (u32 i = 0; i < view->bindings && i < GATE_BOUND && !bound; i++)
        if (view->binding[i].hash == hash)
            bound = &view->binding[frame->binding = (int)i];
    if (!bound || bound->host_len >= GATE_HOST)
        return 0;
    name[0] = '.';
    name[1] = 0;
    if (sys6(SYS_newfstatat, AT_FDCWD, (long)frame->path, (long)&st, 0, 0, 0) < 0)
        return 0;
    for (u32 i = 0; i < bound->host_len; i++)
        frame->path[i] = bound->host[i];
    return frame->path + bound->host_len;
}

/* Copy an absolute path behind the root's own, or a binding's, and look at it. Returns how much of it has been taken: all, or up to what
 * was a link in the root; -1: not for us. */
static int take_absolute(struct gate_frame *frame, const struct gate_view *view, const char *path, struct gate_text *text, int links)
{
    char *to = frame->path, *end = frame->path + GATE_PATH - 3;
    const char *start = path;
    u64 hash = FNV_BASE, name = 0;
    u32 prefix = view->prefix_len;

    if (prefix >= GATE_PREFIX)
        return -1;
    for (u32 i = 0; i < prefix; i++)
        *to++ = view->prefix[i];
    text->names = text->special = text->top = 0;
    text->link = 0;
    frame->binding = -1;
    while (*path && !text->link) {
        char first = path[1], *last = to + 1;
        int size = 0;

        if (*path != '/' || first == 0 || first == '/')
            return -1;
        if (first == '.' && (path[2] == 0 || path[2] == '/' || (path[2] == '.' && (path[3] == 0 || path[3] == '/'))))
            return -1;
        name = FNV_BASE;
        hash = fnv(hash, '/');
        *to++ = *path++;
        for (; *path && *path != '/'; path++, size++) {
            if (to >= end || size == 255)
                return -1;
            hash = fnv(hash, (u8)*path);
            name = fnv(name, (u8)*path);
            *to++ = *path;
        }
        text->names++;
        text->top = view->bound && marked(view->tops, GATE_TOPS, hash);
        if (text->top && !(to = cross(frame, view, hash, last)))
            return -1;
        if (links && text->names == 1 && *path && !text->top)
            text->link = find_link(view, name);
    }
    *to = 0;
    text->text_name = marked(view->texts, GATE_NAMES, name);
    return (int)(path - start);
}

/* The same for a relative path, which stays as it is; 0: not for us. */
static int take_relative(struct gate_frame *frame, const struct gate_view *view, const char *path, struct gate_text *text)
{
    char *to = frame->path, *end = frame->path + GATE_PATH - 1;
    u64 name = FNV_BASE;

    text->names = text->special = text->top = 0;
    text->link = 0;
    frame->binding = -1;
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
    text->text_name = marked(view->texts, GATE_NAMES, name);
    return text->names > 0;
}

/* Ask the kernel for a link on the way, without opening anything: EISDIR or ENOTDIR is the end of a way that has none. */
static long prove(struct gate_frame *frame, int follows)
{
    long result;

    frame->how.flags = O_WRONLY | O_DIRECTORY | O_CLOEXEC | (follows ? 0 : O_NOFOLLOW);
    frame->how.mode = 0;
    frame->how.resolve = RESOLVE_NO_SYMLINKS;
    result = sys6(SYS_openat2, frame->dirfd, (long)frame->path, (long)&frame->how, sizeof(frame->how), 0, 0);
    if (result >= 0) {
        sys3(SYS_close, result, 0, 0);      /* never: a directory is not written to */
        return -EINVAL;
    }
    return result;
}

static long link_text(const struct gate_frame *frame, char *text, long size)
{
    return sys6(SYS_readlinkat, frame->dirfd, (long)frame->path, (long)text, size, 0, 0);
}

static long look(long dirfd, const char *path, struct gate_stat *st)
{
    return sys6(SYS_newfstatat, dirfd, (long)path, (long)st, *path ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH, 0, 0);
}

/* Whether a relative path starts in /proc, where names and links are not what they seem. */
static OUT_OF_LINE int starts_in_proc(const struct gate_frame *frame, const struct gate_view *view)
{
    struct gate_stat st;

    return frame->relative && (look(frame->dirfd, "", &st) < 0 || st.dev == view->proc_dev);
}

/* The first name was a link in the root: if it says the same now, the path goes on behind its text; 0: not for us. */
static OUT_OF_LINE int take_behind(struct gate_frame *frame, const struct gate_view *view, const char *rest, struct gate_text *text)
{
    char whole[GATE_PATH], *found = whole + 1;
    const struct gate_link *link = text->link;
    u32 size = link->size;

    if (size >= GATE_LINK - 1 || link_text(frame, found, GATE_LINK) != (long)size)
        return 0;
    for (u32 i = 0; i < size; i++)
        if (found[i] != link->text[i])
            return 0;
    whole[0] = '/';
    for (found += size; *rest; rest++) {
        if (found == whole + GATE_PATH - 1)
            return 0;
        *found++ = *rest;
    }
    *found = 0;
    frame->links++;
    return take_absolute(frame, view, whole[1] == '/' ? whole + 1 : whole, text, 0) >= 0;
}

/* Put a path in the place of the one in the frame; 0: not for us. `links`: what was a link in the root is looked at. */
static int take(struct gate_frame *frame, const struct gate_view *view, const char *path, struct gate_text *text, int links)
{
    int used;

    frame->relative = *path != '/';
    if (frame->relative)
        return take_relative(frame, view, path, text);
    frame->dirfd = AT_FDCWD;
    used = take_absolute(frame, view, path, text, links);
    return used >= 0 && text->link ? take_behind(frame, view, path + used, text) : used >= 0;
}

/* Whether the kernel might keep somebody from following a link in this directory, the one of the path's last name. */
static OUT_OF_LINE int is_protected(struct gate_frame *frame, const struct gate_view *view, char *name)
{
    struct gate_stat st;
    long result;
    char first = *name;

    if (!view->protects)
        return 0;
    *name = 0;
    result = look(frame->dirfd, frame->path, &st);
    *name = first;
    return result < 0 || (st.mode & 01002) == 01002;
}

/* How much of the path in the frame is the root's host path, or a binding's. */
static u32 host_part(const struct gate_frame *frame, const struct gate_view *view)
{
    return frame->relative ? 0 : frame->binding >= 0 ? view->binding[frame->binding].host_len : view->prefix_len;
}

/* Find the link on the way of the path in the frame: the name it has there, and its text; 0 if it is not the kind that is followed here.
 * Whatever is in front of it is no link. */
static OUT_OF_LINE long find_on_way(struct gate_frame *frame, const struct gate_view *view, char **name, char *found)
{
    char *at = frame->path + host_part(frame, view), first;
    int last = prove(frame, 0) == -ENOTDIR;
    long size = 0;

    if (!frame->relative && *at++ != '/')
        return 0;                           /* the top of a mount */
    for (*name = at;; *name = ++at) {
        while (*at && *at != '/')
            at++;
        if (last && *at)
            continue;
        first = *at;
        *at = 0;
        size = link_text(frame, found, LINK_TEXT);
        *at = first;
        if (size != -EINVAL || !first)
            break;
    }
    return size > 0 && size < LINK_TEXT && !is_protected(frame, view, *name) ? size : 0;
}

/* A link is on the way of the path in the frame, and followed: go on at what it says; 0: not for us. */
static OUT_OF_LINE int follow(struct gate_frame *frame, const struct gate_view *view, struct gate_text *text)
{
    char whole[GATE_PATH], *end = whole + GATE_PATH - LINK_TEXT, *found = end, *name, *to = whole;
    const char *from = frame->path + host_part(frame, view);
    long size;

    if (++frame->links > LINKS || starts_in_proc(frame, view))
        return 0;
    size = find_on_way(frame, view, &name, found);
    if (!size)
        return 0;
    found[size] = 0;
    if (*found != '/') {
        if (frame->binding >= 0)
            for (u32 i = 0; i < view->binding[frame->binding].guest_len; i++)
                *to++ = view->binding[frame->binding].guest[i];
        while (from < name && to < end)
            *to++ = *from++;
    }
    while (found[0] == '.' && found[1] == '.' && found[2] == '/') {
        /* the directory is no link, and it was searched: its parent is the name before */
        if (to - whole < 2 || (to[-2] == '.' && (to - whole == 2 || to[-3] == '/')))
            return 0;                       /* (of "." it is not) */
        for (to--; to > whole && to[-1] != '/'; to--)
            ;
        found += 3;
    }
    while (*found && to < end)
        *to++ = *found++;
    for (; *name && *name != '/'; name++)
        ;
    while (*name && to < end)
        *to++ = *name++;
    if (to >= end)
        return 0;
    *to = 0;
    return take(frame, view, whole, text, 0);
}

/* An open becomes an openat2 that meets no link: proof and call in one. */
static int make_open(struct gate_frame *frame, u64 flags)
{
    frame->how.flags = flags;
    frame->how.mode = 0;
    frame->how.resolve = RESOLVE_NO_SYMLINKS;
    frame->call = SYS_openat2;
    frame->args[0] = (u64)frame->dirfd;
    frame->args[1] = (u64)frame->path;
    frame->args[2] = (u64)&frame->how;
    frame->args[3] = sizeof(frame->how);
    frame->args[4] = flags;                 /* of no meaning to the kernel, but to gate_again */
    frame->retry = 1;
    return GATE_MAKE;
}

static int plan_open(struct gate_frame *frame, const struct gate_view *view, const struct gate_text *text, u64 flags)
{
    if (flags & O_PATH)
        flags &= OPEN_PATH;
    else if (flags & ~(u64)(OPEN_READS | OPEN_IGNORED))
        return GATE_DECLINE;                /* for writing: what execve knows of a file may be wrong then */
    else if (text->text_name && frame->relative && starts_in_proc(frame, view))
        return GATE_DECLINE;
    if (frame->relative && flags & O_NOFOLLOW && text->names == 1 && !text->special)
        return GATE_MAKE;                   /* the kernel finds the name where the guest means it */
    return make_open(frame, flags);
}

/* The openat2 has met a link. */
__attribute__((used)) int gate_again(struct gate_frame *frame)
{
    const struct gate_view *view = the_view();
    u64 flags = frame->args[4];
    struct gate_text text;

    if (flags & O_NOFOLLOW || view->moving || !follow(frame, view, &text))
        return GATE_DECLINE;
    if (text.text_name && !(flags & O_PATH) && starts_in_proc(frame, view))
        return GATE_DECLINE;
    return make_open(frame, flags);
}

/* Whether a descriptor is that of no top of a mount, of which statx tells. */
static OUT_OF_LINE int is_no_top(struct gate_frame *frame, const struct gate_view *view)
{
    struct gate_stat st;

    if (!view->bound)
        return 1;
    if (!view->tops_told || look((int)frame->regs[0], "", &st) < 0)
        return 0;
    for (u32 i = 0; i < view->tops_told && i < GATE_BOUND; i++)
        if (view->top[i].dev == st.dev && view->top[i].ino == st.ino)
            return 0;
    return 1;
}

/* A call with an empty path, which means the descriptor. */
static int plan_empty(struct gate_frame *frame, const struct gate_view *view, u64 flags)
{
    if (!(flags & AT_EMPTY_PATH))
        return GATE_DECLINE;
    if (frame->call == SYS_newfstatat)
        return GATE_MAKE;
    return frame->call == SYS_statx && !(frame->regs[3] & STATX_MOUNTS) && is_no_top(frame, view) ? GATE_MAKE : GATE_DECLINE;
}

/* A call that looks at a name without opening it. */
static int plan_look(struct gate_frame *frame, const struct gate_view *view, struct gate_text *text, const struct gate_call *call, int follows)
{
    int reads_link = frame->call == SYS_readlink || frame->call == SYS_readlinkat;
    long result;

    if (reads_link && starts_in_proc(frame, view))
        return GATE_DECLINE;
    if (!follows && text->names == 1 && !text->special && frame->relative)
        return GATE_MAKE;                   /* the kernel finds the name where the guest means it */
    frame->check = view->moves | 1ull << 32;
    __asm__ volatile("" ::: "memory");      /* what is moved from here on is noticed behind the call */
    if (view->moving)
        return GATE_DECLINE;
    result = prove(frame, follows);
    while (result == -ELOOP && follows) {
        if (!follow(frame, view, text))
            return GATE_DECLINE;
        result = prove(frame, 1);
    }
    if ((result != -EISDIR && result != -ENOTDIR && result != -ENOENT) || (text->top && frame->call == SYS_statx))
        return GATE_DECLINE;
    if (result == -EISDIR && reads_link) {
        frame->call = (u64)-EINVAL;
        return GATE_ANSWER;
    }
    frame->args[call->path] = (u64)frame->path;
    if (call->dirfd >= 0)
        frame->args[call->dirfd] = (u64)frame->dirfd;
    return GATE_MAKE;
}

/* Decide what becomes of the call whose registers are in the frame. */
__attribute__((used)) int gate_plan(struct gate_frame *frame)
{
    const struct gate_view *view = the_view();
    struct gate_call call;
    struct gate_text text;
    const char *path;
    u64 flags = 0;

    frame->call = *(const u32 *)(frame->detour + DETOUR_NUMBER);
    frame->retry = frame->check = 0;
    frame->links = 0;
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
    frame->dirfd = call.dirfd >= 0 ? (int)frame->regs[call.dirfd] : AT_FDCWD;
    if (view->ambiguous && (*path != '/' || call.final == F_OPEN))
        return GATE_DECLINE;
    if (!take(frame, view, path, &text, 1))
        return GATE_DECLINE;
    if (call.final == F_OPEN)
        return plan_open(frame, view, &text, flags);
    return plan_look(frame, view, &text, &call, call.final == F_FLAG ? call.follows != !!(flags & call.bit) : call.final == F_FOLLOW);
}
