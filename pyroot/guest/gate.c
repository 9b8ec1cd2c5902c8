/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The gate: answers calls inside the guest that would otherwise stop it. A site that makes such calls (`mov $NUMBER, %eax`,
 * `syscall`) is turned into a jump to a detour, which leads here; the filter lets through what is called from these pages.
 *
 * What is decided here is what the supervisor would decide (walk_fast, step_passes, way_passes and way_opens in the core), by
 * the same proofs made by the kernel, and only where nothing else is to be done: no "..", no text of /proc, nothing to be
 * written or noted. Everything else is declined, and then the site's own `syscall` stops as usual. Nothing is kept between two
 * calls, nothing is written but the frame on the guest's stack. A pointer that leads nowhere ends in a fault, which the
 * supervisor takes for "declined".
 *
 * Freestanding, position-dependent, no data of its own; addresses are those of loader.h.
 */
#include "gate-paths.h"
#include "gate-owners.h"
#include "calls.h"

#define PATH_LOW            0x10000         /* no pointer below it leads anywhere */

/* flags of calls, asm/fcntl.h and linux/fcntl.h */
#define OPEN_READS          03604000        /* O_NONBLOCK, O_DIRECTORY, O_NOFOLLOW, O_CLOEXEC, O_NOATIME */
#define OPEN_IGNORED        0100400         /* O_NOCTTY, O_LARGEFILE */
#define OPEN_PATH           012600000       /* O_PATH and what it leaves of the others */
#define AT_HARMLESS         0x6b00          /* AT_SYMLINK_NOFOLLOW, AT_EACCESS, AT_NO_AUTOMOUNT, AT_STATX_SYNC_TYPE */

/* One row of the table. */
struct gate_call {
    int path, dirfd, final, flags, follows;
    u32 bit;
};

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

/* An open becomes an openat2 that meets no link: proof and call in one. */
static int make_open(struct gate_frame *frame, const struct gate_view *view, u64 flags)
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
    frame->retry = GATE_LINKS_MET | (view->owners ? GATE_CLOSED : 0);
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
    if (frame->relative && flags & O_NOFOLLOW && text->names == 1 && !text->special) {
        frame->retry = view->owners ? GATE_CLOSED : 0;
        return GATE_MAKE;                   /* the kernel finds the name where the guest means it */
    }
    return make_open(frame, view, flags);
}

/* Whether somebody has to remember through which binding this is opened: its text does not tell. */
static int needs_note(const struct gate_frame *frame, const struct gate_view *view)
{
    return view->ambiguous && !(frame->binding < 0 ? view->root_alone : view->binding[frame->binding].alone);
}

/* The openat2 has met a link. */
__attribute__((used)) int gate_again(struct gate_frame *frame)
{
    const struct gate_view *view = the_view();
    u64 flags = frame->args[4];
    struct gate_text text;

    if (flags & O_NOFOLLOW || view->moving || !follow(frame, view, &text) || needs_note(frame, view))
        return GATE_DECLINE;
    if (text.text_name && !(flags & O_PATH) && starts_in_proc(frame, view))
        return GATE_DECLINE;
    return make_open(frame, view, flags);
}

/* Whether an overlay shows something else of a file than the file itself tells. */
static inline int is_over(const struct gate_view *view, const struct gate_stat *st)
{
    u64 bit = st->ino * 0x9e3779b97f4a7c15ull >> 49;

    return view->overs && view->number[bit >> 6] >> (bit & 63) & 1;
}

/* A call that looks at a descriptor: made here, since it changes nothing if it is made once more. */
static int tell_open(struct gate_frame *frame, const struct gate_view *view, long result, u64 buffer)
{
    if (result == 0 && (is_copy(view, (const struct gate_stat *)buffer) || is_over(view, (const struct gate_stat *)buffer)))
        return GATE_DECLINE;
    frame->call = (u64)result;
    return GATE_ANSWER;
}

/* Whether a descriptor is not a mount root, which statx would report. */
static OUT_OF_LINE int is_no_top(struct gate_frame *frame, const struct gate_view *view)
{
    struct gate_stat st;

    if (!view->tops_told || look((int)frame->regs[0], "", &st) < 0 || is_copy(view, &st) || is_over(view, &st))
        return 0;
    for (u32 i = 0; i < view->tops_told && i < GATE_BOUND; i++)
        if (view->top[i].dev == st.dev && view->top[i].ino == st.ino)
            return 0;
    return 1;
}

static int tells_links(u64 call)
{
    return call == SYS_stat || call == SYS_lstat || call == SYS_newfstatat || call == SYS_statx;
}

/* Whether a directory has links that the host does not count. */
static OUT_OF_LINE int is_holder(long dirfd, const char *path, const struct gate_view *view)
{
    struct gate_stat st;

    if (view->holders > GATE_HOLDERS || look(dirfd, path, &st) < 0)
        return 1;
    for (u32 i = 0; i < view->holders; i++)
        if (view->holder[i].dev == st.dev && view->holder[i].ino == st.ino)
            return 1;
    return 0;
}

/* A call with an empty path, which means the descriptor. */
static int plan_empty(struct gate_frame *frame, const struct gate_view *view, u64 flags)
{
    if (!(flags & AT_EMPTY_PATH))
        return GATE_DECLINE;
    frame->path[0] = 0;
    if (view->holders && is_holder((int)frame->regs[0], "", view))
        return GATE_DECLINE;
    if (view->owners)
        return frame->call == SYS_newfstatat ? see_stat(frame, view, (int)frame->regs[0], "", (int)flags, frame->regs[2])
               : frame->call == SYS_statx && is_no_top(frame, view) ? see_statx(frame, view, (int)frame->regs[0], "") : GATE_DECLINE;
    if (frame->call == SYS_newfstatat)
        return tell_open(frame, view, sys6(SYS_newfstatat, (long)frame->regs[0], (long)frame->path, (long)frame->regs[2], (long)flags, 0, 0),
                         frame->regs[2]);
    frame->args[1] = (u64)frame->path;
    return frame->call == SYS_statx && !(frame->regs[3] & STATX_MOUNTS) && is_no_top(frame, view) ? GATE_MAKE : GATE_DECLINE;
}

/* A call without a path. */
static int plan_bare(struct gate_frame *frame, const struct gate_view *view)
{
    if (tells_ids(frame->call))
        return tell_ids(frame, view);
    frame->dirfd = (int)frame->regs[0];
    if (frame->dirfd < 0)
        return GATE_DECLINE;                /* (AT_FDCWD among them) */
    if (!view->owners)                      /* (fstat(2) itself stops where directories are merged) */
        return frame->call == SYS_fstat ? tell_open(frame, view, look(frame->dirfd, "", (struct gate_stat *)frame->regs[1]), frame->regs[1])
                                        : GATE_DECLINE;
    if (frame->call == SYS_getdents64)
        return list(frame, view);
    if (frame->call == SYS_fstat)
        return see_stat(frame, view, (int)frame->dirfd, "", AT_EMPTY_PATH, frame->regs[1]);
    if (frame->call == SYS_fchmod)
        return keep_mode(frame, view, (u32)frame->regs[1]);
    return frame->call == SYS_fchown ? keep_owner(frame, view, "", (u32)frame->regs[1], (u32)frame->regs[2]) : GATE_DECLINE;
}

/* A call that looks at a name without opening it. */
static int plan_look(struct gate_frame *frame, const struct gate_view *view, struct gate_text *text, const struct gate_call *call, int follows)
{
    int reads_link = frame->call == SYS_readlink || frame->call == SYS_readlinkat;
    long result;

    if (reads_link && starts_in_proc(frame, view))
        return GATE_DECLINE;
    follows |= text->slash;
    if (!follows && text->names == 1 && !text->special && frame->relative)
        return view->owners ? see(frame, view) : GATE_MAKE; /* the kernel finds the name where the guest means it */
    frame->check = view->moves | 1ull << 32;
    __asm__ volatile("" ::: "memory");      /* what is moved from here on is noticed after the call */
    if (view->moving)
        return GATE_DECLINE;
    result = prove(frame, follows);
    while (result == -ELOOP && follows) {
        if (!follow(frame, view, text))
            return GATE_DECLINE;
        result = prove(frame, 1);
    }
    if ((result != -EISDIR && result != -ENOTDIR && result != -ENOENT)
        || ((text->top || !text->names) && (view->overs || frame->call == SYS_statx)))
        return GATE_DECLINE;                /* (statx reports that the root, too, is a mount root) */
    if (result == -EISDIR && view->holders && tells_links(frame->call) && is_holder(frame->dirfd, frame->path, view))
        return GATE_DECLINE;
    if (result == -EISDIR && reads_link) {
        frame->call = (u64)-EINVAL;
        return GATE_ANSWER;
    }
    frame->args[call->path] = (u64)frame->path;
    if (call->dirfd >= 0)
        frame->args[call->dirfd] = (u64)frame->dirfd;
    return view->owners ? see(frame, view) : GATE_MAKE;
}

static inline int asks_access(u64 number)
{
    return number == SYS_access || number == SYS_faccessat || number == SYS_faccessat2;
}

/* Take a path out of the guest's memory, where another thread may change it; 0: not for us. */
static inline int copy_path(char *to, u64 pointer)
{
    const volatile char *from = (const volatile char *)pointer;

    if (pointer < PATH_LOW)
        return 0;
    for (int i = 0; i < GATE_PATH; i++)
        if (!(to[i] = from[i]))
            return 1;
    return 0;
}

/* Decide what becomes of the call whose registers are in the frame. */
__attribute__((used)) int gate_plan(struct gate_frame *frame)
{
    const struct gate_view *view = the_view();
    struct gate_call call;
    struct gate_text text;
    char path[GATE_PATH];
    u64 flags = 0;

    frame->call = *(const u32 *)(frame->detour + DETOUR_NUMBER);
    frame->retry = frame->check = 0;
    frame->links = 0;
    if (!view->on || !find_call(&call, frame->call))
        return GATE_DECLINE;
    for (int i = 0; i < 6; i++)
        frame->args[i] = frame->regs[i];
    if (view->owners && !(who_word(frame) & WHO_INDEX))
        return tells_ids(frame->call) ? tell_ids(frame, view) : GATE_DECLINE;
    if (call.path < 0)
        return plan_bare(frame, view);
    if (!copy_path(path, frame->regs[call.path]))
        return GATE_DECLINE;
    if (call.flags >= 0)
        flags = (u32)frame->regs[call.flags];
    if (*path == 0)
        return plan_empty(frame, view, flags);
    if (view->owners && !passes(frame, view))
        return GATE_DECLINE;                /* every directory on the way is judged */
    if (call.final == F_FLAG && flags & ~(u64)AT_HARMLESS)
        return GATE_DECLINE;
    if (frame->call == SYS_statx && frame->regs[3] & STATX_MOUNTS)
        return GATE_DECLINE;
    if (view->readonly && asks_access(frame->call) && frame->regs[call.path + 1] & W_OK)
        return GATE_DECLINE;
    frame->dirfd = call.dirfd >= 0 ? (int)frame->regs[call.dirfd] : AT_FDCWD;
    if (view->ambiguous && *path != '/')
        return GATE_DECLINE;
    if (!take(frame, view, path, &text, 1))
        return GATE_DECLINE;
    if (frame->relative)
        frame->args[call.path] = (u64)frame->path;  /* what was looked at, whatever the guest's own text says by now */
    if (gives_away(frame->call))
        return keep_named(frame, view, &text, flags);
    if (call.final == F_OPEN)
        return needs_note(frame, view) ? GATE_DECLINE : plan_open(frame, view, &text, flags);
    return plan_look(frame, view, &text, &call, call.final == F_FLAG ? call.follows != !!(flags & call.bit) : call.final == F_FOLLOW);
}
