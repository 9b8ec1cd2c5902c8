/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The paths of calls in the gate: what they look like, the kernel's proof that they hold no link, the links that are followed. Part of
 * gate.c.
 */
#ifndef PYROOT_GUEST_GATE_PATHS_H
#define PYROOT_GUEST_GATE_PATHS_H

#include "parts.h"
#include "gate.h"

#define EISDIR              21
#define ENOTDIR             20
#define ENOENT              2

/* flags of calls, asm/fcntl.h and linux/fcntl.h */
#define O_WRONLY            01
#define W_OK                2
#define O_DIRECTORY         0200000
#define O_NOFOLLOW          0400000
#define O_PATH              010000000
#define AT_SYMLINK_NOFOLLOW 0x100
#define AT_EMPTY_PATH       0x1000
#define RESOLVE_NO_SYMLINKS 4

#define LINKS               4               /* that are followed here, at most */
#define LINK_TEXT           128             /* bytes of the text of one that is, at most */

#define PATH_MOST           1024            /* bytes of a path that becomes shorter by "..", at most */

#define FNV_BASE            14695981039346656037ull
#define FNV_PRIME           1099511628211ull

/* The buffers of these are on the guest's stack only as long as they are needed. */
#define OUT_OF_LINE         __attribute__((noinline))

/* What a path looks like. */
struct gate_text {
    int names;
    int special;                            /* "." among them */
    int slash;                              /* a slash, or "/.", after them: the last one is followed, and has to be a directory */
    int text_name;                          /* the last one may be that of a text in /proc */
    int top;                                /* the last one is a mount point */
    const struct gate_link *link;           /* take_absolute has come to what was a link in the root */
};

/* struct stat, as far as it is read */
struct gate_stat {
    u64 dev, ino, nlink;
    u32 mode, uid, gid, pad;
    u64 rest[13];
};

_Static_assert(sizeof(struct gate_stat) == 144, "struct stat of asm/stat.h");

static inline const struct gate_view *the_view(void)
{
    return (const struct gate_view *)(ARCH_FIXED(LOADER_ARENA) + ARENA_SIZE - GATE_VIEW_SIZE);
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

static u32 host_part(const struct gate_frame *frame, const struct gate_view *view);
static long prove(struct gate_frame *frame, int follows);

/* ".." after the path so far, followed by nothing but more names: go to the parent. Returns where that ends, 0: not for us. `known`:
 * the directory has been searched before, so it is one, without a link in its path. */
static OUT_OF_LINE char *climb(struct gate_frame *frame, const struct gate_view *view, char *to, int known)
{
    char *floor = frame->path + host_part(frame, view);

    if (!known) {
        to[0] = '/';
        to[1] = '.';
        to[2] = 0;
        if (prove(frame, 1) != -EISDIR)
            return 0;
    }
    if (to == floor)
        return 0;                           /* of the root, or out of a binding */
    while (*--to != '/')
        ;
    return to;
}

static u64 hash_again(const struct gate_frame *frame, const struct gate_view *view, const char *to)
{
    u64 hash = frame->binding >= 0 ? view->binding[frame->binding].hash : FNV_BASE;

    for (const char *at = frame->path + host_part(frame, view); at < to; at++)
        hash = fnv(hash, (u8)*at);
    return hash;
}

/* Whether nothing but slashes and "." follows. */
static int is_end(const char *path)
{
    while (*path == '/' || (*path == '.' && path[-1] == '/' && (path[1] == '/' || path[1] == 0)))
        path++;
    return *path == 0;
}

/* Copy an absolute path after the root's own, or a binding's, and look at it. Returns how much of it has been taken: all, or up to what
 * was a link in the root; -1: not for us. */
static int take_absolute(struct gate_frame *frame, const struct gate_view *view, const char *path, struct gate_text *text, int links)
{
    char *to = frame->path, *end = frame->path + GATE_PATH - 3;
    const char *start = path;
    u64 hash = FNV_BASE, name = 0;
    u32 prefix = view->prefix_len;
    int searched = 0;

    if (prefix >= GATE_PREFIX)
        return -1;
    for (u32 i = 0; i < prefix; i++)
        *to++ = view->prefix[i];
    text->names = text->special = text->top = text->slash = 0;
    text->link = 0;
    frame->binding = -1;
    while (*path && !text->link) {
        char first = path[1], *last = to + 1;
        int size = 0;

        if (*path != '/' || path - start > PATH_MOST || to >= end)
            return -1;
        if (first == '/') {
            path++;
            continue;
        }
        if (first == '.' && path[2] == '/' && !is_end(path + 2)) {
            path += 2;                      /* of a directory that is searched next */
            continue;
        }
        if (first == 0 || (first == '.' && is_end(path + 2))) {
            text->slash = 1;
            while (*path) {
                if (to >= end)
                    return -1;
                *to++ = *path++;
            }
            break;
        }
        if (first == '.' && path[2] == '.' && (path[3] == 0 || path[3] == '/')) {
            if (path[3] == 0 || !(to = climb(frame, view, to, searched)))
                return -1;
            hash = hash_again(frame, view, to);
            text->top = view->bound && marked(view->tops, GATE_TOPS, hash);
            text->names--;
            searched = 1;
            path += 3;
            continue;
        }
        searched = 0;
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
        if (name == view->hidden || (view->overs && marked(view->over, GATE_OVER, name)))
            return -1;
        text->names++;
        text->top = view->bound && marked(view->tops, GATE_TOPS, hash);
        if (text->top && !(to = cross(frame, view, hash, last)))
            return -1;
        if (links && text->names == 1 && *path && !text->top)
            text->link = find_link(view, name);
    }
    *to = 0;
    text->text_name = marked(view->texts, GATE_TEXTS, name);
    return (int)(path - start);
}

/* The same for a relative path, which stays as it is; 0: not for us. */
static int take_relative(struct gate_frame *frame, const struct gate_view *view, const char *path, struct gate_text *text)
{
    char *to = frame->path, *end = frame->path + GATE_PATH - 1;
    u64 name = FNV_BASE;
    char first = 0;                         /* of the last name: descriptors in /proc have numbers */

    text->names = text->special = text->top = text->slash = 0;
    text->link = 0;
    frame->binding = -1;
    while (*path) {
        const char *start = path;
        u64 hash = FNV_BASE;

        for (; *path && *path != '/'; path++) {
            if (to >= end || path - start == 255)
                return 0;
            hash = fnv(hash, (u8)*path);
            *to++ = *path;
        }
        if (path == start)
            return 0;                       /* "//", or a slash at the end */
        if (start[0] == '.' && path - start == 1) {
            text->special = 1;
        } else {
            if (start[0] == '.' && start[1] == '.' && path - start == 2)
                return 0;
            if (marked(view->names, GATE_NAMES, hash) || (view->overs && marked(view->over, GATE_OVER, hash)))
                return 0;
            text->names++;
            name = hash;
            first = *start;
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
    text->text_name = marked(view->texts, GATE_TEXTS, name) || (first >= '0' && first <= '9');
    return text->names > 0;
}

/* Ask the kernel for a link in the path, without opening anything: EISDIR or ENOTDIR is the end of a path that has none. */
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

/* The first name was a link in the root: if it says the same now, the path goes on after its text; 0: not for us. */
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

/* Replace the frame's path by another one; 0: not for us. `links`: what was a link in the root is looked at. */
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

/* How much of the frame's path is the root's host path, or a binding's. */
static u32 host_part(const struct gate_frame *frame, const struct gate_view *view)
{
    return frame->relative ? 0 : frame->binding >= 0 ? view->binding[frame->binding].host_len : view->prefix_len;
}

/* Find the link in the frame's path: the name it has there, and its text; 0 if it is not the kind that is followed here.
 * Whatever comes before it is not a link. */
static OUT_OF_LINE long find_on_way(struct gate_frame *frame, const struct gate_view *view, char **name, char *found)
{
    char *at = frame->path + host_part(frame, view), first;
    int last = prove(frame, 0) == -ENOTDIR;
    long size = 0;

    if (!frame->relative && *at++ != '/')
        return 0;                           /* a mount root */
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

/* The frame's path has a link, which is followed: go on at what it says; 0: not for us. */
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
        /* the directory is not a link, and it was searched: its parent is the name before */
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

#endif
