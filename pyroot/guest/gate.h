/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the supervisor and the gate share (gate.c says what the gate is): addresses, what the supervisor publishes, what lies
 * on the guest's stack while a call is in the gate. Includable from C, Cython and assembly.
 */
#ifndef PYROOT_GUEST_GATE_H
#define PYROOT_GUEST_GATE_H

#include "loader.h"

/* A detour: a site's `mov $NUMBER, %eax`, five bytes before its `syscall`, becomes a jump to one of these. It begins with
 * what may lie between the two, DETOUR_BETWEEN bytes: that of open64 in the GNU C library, or nothing. */
#define DETOUR_SIZE         48
#define DETOUR_BETWEEN      8
#define DETOUR_FIRST        32              /* the first one, from the start of the page; before it are HOOK and MAGIC */
#define DETOUR_HOOK         0               /* address that detours jump to: GATE_ENTER or GATE_PASS */
#define DETOUR_MAGIC        8
#define DETOUR_WHO          16              /* who the tasks of this address space are: WHO_ */
#define DETOURS_MAGIC       0x5079523144657431
#define DETOUR_PLAIN        24              /* where the call is made as the guest has it */
#define DETOUR_NUMBER       25              /* operand of the detour's own mov */
#define DETOUR_BACK         30              /* operand of its jump to the site's `syscall` */

/* DETOUR_WHO. The loader writes it, and the supervisor when one of the tasks becomes somebody else. */
#define WHO_NUMBER          0xff            /* of gate_view.who, from 1; 0: nobody that is told there, or not all are the same */
#define WHO_INDEX           0x100           /* the index of owners is mapped */
#define WHO_TOLD            0x200           /* there is such a thing in this session */

/* Places in the gate, from LOADER_GATE. */
#define GATE_ENTER          0x000           /* rcx: the detour */
#define GATE_MOVED          0x008           /* rsp points at the frame */
#define GATE_PUSHED         0x050           /* rsp is eight bytes lower */
#define GATE_SAVED          0x080           /* the frame is complete */
#define GATE_CALLED         0x0d0           /* after the one call that the guest asked for: it is never made twice */
#define GATE_TAIL           0x100           /* rax and the frame's target stand */
#define GATE_CLEARED        0x148           /* all registers are the guest's but rsp, and rcx: the target */
#define GATE_LAST           0x150           /* rsp, too */
#define GATE_PASS           0x160           /* every call is made as the guest has it */
#define GATE_TEXT           0x180

/* The frame of a call in the gate (layout.py) lies below the red zone of the guest's stack. */
#define RED_ZONE            128
#define GATE_FRAME_MAGIC    0x5079523147617465
#define GATE_SCAN_WORDS     256             /* so many words above rsp the frame lies at most (fewer than a page) */

#define GATE_DECLINE        0
#define GATE_MAKE           1
#define GATE_ANSWER         2

/* asm-generic/errno-base.h */
#define EPERM               1
#define ENXIO               6
#define EACCES              13

/* gate_frame.retry */
#define GATE_LINKS_MET      1
#define GATE_CLOSED        2

/* What the supervisor publishes, in the last pages of the arena (read-only for guests). */
#define GATE_MOVES          (LOADER_ARENA + ARENA_SIZE - GATE_VIEW_SIZE)
#define GATE_NAMES          64
#define GATE_TEXTS          128
#define GATE_TOPS           1024
#define GATE_PREFIX         256
#define GATE_OVER           1024            /* as LAYERS_WORDS and LAYERS_NUMBERS of layers/layers.h */
#define GATE_NUMBERS        512
#define GATE_LINKS          8
#define GATE_LINK           48              /* bytes of a link's text, at most */
#define GATE_BOUND          56
#define GATE_HOLDERS        16              /* with more of them no directory's links are told here */
#define GATE_HOST           124             /* bytes of a binding's host path, and of its guest path, at most */
#define GATE_GUEST          64
#define GATE_WHOS           8
#define GATE_GROUPS         10
#define GATE_OWN_WORDS      32

#if !defined(__ASSEMBLER__) && !defined(PYROOT_LINKER_SCRIPT)
struct gate_link {
    unsigned long long name;                /* hash of its name in the root */
    unsigned int size;                      /* of its text */
    char text[GATE_LINK];
    unsigned int reserved;
};

struct gate_bound {
    unsigned long long hash;                /* of the mount point's path */
    unsigned short host_len, guest_len;
    unsigned int alone;                     /* no other binding shows anything of its host directory */
    char host[GATE_HOST], guest[GATE_GUEST];
};

struct gate_top {
    unsigned long long dev, ino;
};

struct gate_who {
    unsigned int uid[3], gid[3];            /* real, effective, saved */
    unsigned int passes;                    /* CAP_DAC_OVERRIDE: no file and no directory is closed to it */
    unsigned int changes;                   /* CAP_CHOWN and CAP_FOWNER: it may give files away, and change their modes */
    unsigned int groups;                    /* more than GATE_GROUPS: they are not told */
    unsigned int group[GATE_GROUPS];
};

struct gate_view {
    unsigned int moves;                     /* how often somebody has begun to rename a directory or a link: first here (GATE_MOVES) */
    unsigned int padding;
    unsigned int on;                        /* 0: every call is made as the guest has it */
    unsigned int moving;                    /* directories or links are being renamed: only opens are safe (moving.pxi) */
    unsigned int prefix_len;
    unsigned int bound;                     /* there are mount points */
    unsigned int protects;                  /* links in sticky directories are not followed by everybody (proc(5): protected_symlinks) */
    unsigned int links;                     /* so many of the following are valid */
    unsigned int readonly;                  /* some binding may not be written to: who asks for that is told elsewhere */
    unsigned int overs;                     /* some binding is an overlay: what UPPER has is told elsewhere */
    unsigned int ambiguous;                 /* some directory is shown twice: opens are noted, the start of a relative path is unclear */
    unsigned int bindings;                  /* so many are told in full; of the others only the bits are known */
    unsigned long long proc_dev;            /* device of /proc */
    unsigned long long copy_dev;            /* ... and of what is opened in the place of its texts */
    struct gate_link link[GATE_LINKS];      /* links in the root, such as /lib of a merged /usr, where they were met: not to be believed */
    char prefix[GATE_PREFIX];               /* host path of the root, "" for / */
    unsigned long long names[GATE_NAMES];   /* a bit for each name in the path of a mount point */
    unsigned long long texts[GATE_TEXTS];   /* a bit for each name that a text of /proc has */
    unsigned long long tops[GATE_TOPS];     /* a bit for each mount point's path */
    struct gate_bound binding[GATE_BOUND];
    unsigned int root_alone;                /* as `alone` of a binding */
    unsigned int tops_told;                 /* so many tops of mounts are all there are; 0: too many */
    struct gate_top top[GATE_BOUND];
    unsigned int holders;                   /* so many directories have links that the host does not count */
    unsigned int copy_mode;                 /* of what is opened in the place of texts of /proc */
    struct gate_top holder[GATE_HOLDERS];
    unsigned int owners;                    /* files may have records (features/owners): */
    unsigned int us, uid, gid;              /* what is ours and has none belongs to this one */
    unsigned long long hidden;              /* hash of a name that guests do not see, wherever it is; 0: there is none */
    struct gate_top hidden_in;              /* the directory that it is in */
    unsigned int own_have;                  /* STORE_HAS_* of what has a record for this session only */
    unsigned int whose;                      /* so many of the following are valid: they do not change */
    struct gate_who who[GATE_WHOS];
    unsigned long long own[GATE_OWN_WORDS]; /* index of what has a record for this session only */
    unsigned long long over[GATE_OVER];     /* a bit for each name that UPPER of an overlay has */
    unsigned long long number[GATE_NUMBERS];    /* ... and for inode numbers of which another, or other links, are shown */
};

_Static_assert(__builtin_offsetof(struct gate_view, moves) == 0, "GATE_MOVES");
_Static_assert(sizeof(struct gate_view) <= GATE_DETOURS, "the view runs into the detours");
_Static_assert(GATE_DETOURS + DETOURS_SIZE <= GATE_VIEW_SIZE, "the detours leave the arena");
_Static_assert(!(GATE_NAMES & (GATE_NAMES - 1)) && !(GATE_TEXTS & (GATE_TEXTS - 1)) && !(GATE_TOPS & (GATE_TOPS - 1)), "masks");

/* What lies between mov and `syscall` of a site that begins here: 0 or DETOUR_BETWEEN bytes; -1: this is not one. */
static inline int gate_form(const unsigned char *code)
{
    static const unsigned char between[DETOUR_BETWEEN] = {0x48, 0x89, 0xfe, 0xbf, 0x9c, 0xff, 0xff, 0xff};

    if (code[0] != 0xb8)
        return -1;
    if (code[5] == 0x0f && code[6] == 0x05)
        return 0;
    for (int i = 0; i < DETOUR_BETWEEN; i++)        /* mov %rdi, %rsi; mov $AT_FDCWD, %edi */
        if (code[5 + i] != between[i])
            return -1;
    return code[5 + DETOUR_BETWEEN] == 0x0f && code[6 + DETOUR_BETWEEN] == 0x05 ? DETOUR_BETWEEN : -1;
}

static inline void gate_put(unsigned char *to, unsigned long long value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (unsigned char)(value >> 8 * i);
}

/* Write the jump to a detour over the first five bytes of a site. */
static inline void gate_jump(unsigned char *code, unsigned long long site, unsigned long long at)
{
    code[0] = 0xe9;
    gate_put(code + 1, at - (site + 5));
}

/* Write the detour of a site, whose code this is. */
static inline void gate_lead(unsigned char *detour, unsigned long long at, unsigned long long page, const unsigned char *code,
                             unsigned long long site)
{
    int between = gate_form(code);

    for (int i = 0; i < DETOUR_SIZE; i++)
        detour[i] = i < DETOUR_BETWEEN ? 0x90 : 0xcc;
    for (int i = 0; i < between; i++)
        detour[i] = code[5 + i];
    detour[8] = 0x48, detour[9] = 0x8d, detour[10] = 0x0d;          /* lea detour(%rip), %rcx */
    gate_put(detour + 11, -15ull);
    detour[15] = 0xff, detour[16] = 0x25;                           /* jmp *HOOK(%rip) */
    gate_put(detour + 17, page + DETOUR_HOOK - (at + 21));
    for (int i = 0; i < 5; i++)
        detour[DETOUR_PLAIN + i] = code[i];
    detour[DETOUR_BACK - 1] = 0xe9;
    gate_put(detour + DETOUR_BACK, site + 5 + (unsigned long long)between - (at + DETOUR_BACK + 4));
}
#endif
#endif
