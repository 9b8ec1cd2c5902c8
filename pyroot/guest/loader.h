/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the supervisor and the guest loader share: what lies inside the loader's pages, the block the supervisor writes
 * before the loader runs, and the slot frame the return stubs read; where the pages lie says layout.py. Includable from
 * ordinary C (and so from Cython), from assembly and from the linker script; nothing here depends on a libc.
 */
#ifndef PYROOT_GUEST_LOADER_H
#define PYROOT_GUEST_LOADER_H

#include "layout.h"
#include "places-i386.h"

/* Return stubs: LOADER_STUBS + LOADER_STUB_<register>. The register points at the data of a slot; the stub is entered
 * at its `syscall` (offset 0: a restarted call) or after it (offset LOADER_STUB_RESUME: a call already in the kernel)
 * and then restores from the frame below the data. No flag, no stack and no other register but rcx is touched. */
#define LOADER_STUB_SIZE    64
#define LOADER_STUB_RESUME  2
#define LOADER_STUB_RDI     0x000
#define LOADER_STUB_RSI     0x040
#define LOADER_STUB_RDX     0x080
#define LOADER_STUB_R10     0x0c0
#define LOADER_STUB_R8      0x100
#define LOADER_STUB_R9      0x140
#define ELOOP               40              /* asm-generic/errno.h: what stub and gate look at */
#define LOADER_STUB_OPEN    0x180           /* as LOADER_STUB_RSI, for an openat2: made again where it failed with ELOOP */
#define LOADER_STUB_OPEN_SEEN 6             /* this far after its start only rcx has changed since the call */
#define LOADER_STUB_OPEN_AGAIN 0x1b4        /* here it is about to be made again */
#define LOADER_TRAMPOLINE   0x1c0
#define LOADER_LAST         0x280           /* after the loader's last call */

/* Slot frame, as offsets from the slot's data; SLOT_FRAME bytes before the data. */
#define SLOT_FRAME          64
#define SLOT_RDI            (-64)
#define SLOT_RSI            (-56)
#define SLOT_RDX            (-48)
#define SLOT_R10            (-40)
#define SLOT_R8             (-32)
#define SLOT_R9             (-24)
#define SLOT_NEXT           (-8)            /* address of the instruction after the guest's own `syscall` */

#define LI_OFF_CODE         76              /* offset of loader_info.off_code */

#define LOADER_MAGIC        0x31527950      /* "PyR1" */

/* loader_info.flags */
#define LI_SHARED_ARENA     1               /* map off_arena's file, shared and read-only; else private memory */
#define LI_IDS              4               /* AT_UID and the like are those of `ids` */
#define LI_DETOURS          2               /* map a page of detours, from off_arena's file at off_detours, before ELF
                                             * interpreter or program */

/* Why the loader gave up, with a negative errno: after LOADER_FAIL_ARENA the file is to blame, and it ends as the kernel ends it. */
#define LOADER_FAIL_INFO    1
#define LOADER_FAIL_ARENA   2
#define LOADER_FAIL_OPEN    3
#define LOADER_FAIL_HEADER  4
#define LOADER_FAIL_PLACE   5
#define LOADER_FAIL_MAP     6
#define LOADER_FAIL_CODE    7               /* the code that stays: ours, as the arena is */

#if !defined(__ASSEMBLER__) && !defined(PYROOT_LINKER_SCRIPT)

/* Every off_ field is a byte offset from the start of the structure to a NUL-terminated string (0: absent). */
struct loader_info {
    unsigned int magic;                     /*  0: LOADER_MAGIC */
    unsigned int flags;                     /*  4: LI_ */
    unsigned long long arena_addr;          /*  8 */
    unsigned long long arena_size;          /* 16: 0 for no arena */
    unsigned int off_arena;                 /* 24: host path of the arena's file */
    unsigned int off_prog;                  /* 28: host path of the program */
    unsigned int off_interp;                /* 32: host path of its ELF interpreter; present exactly if it has one */
    unsigned int off_execfn;                /* 36: AT_EXECFN, the path as the guest wrote it */
    unsigned int nprefix;                   /* 40: how many strings replace argv[0] (0: argv stays as it is) */
    unsigned int off_prefix;                /* 44: these strings, one after the other */
    unsigned int off_comm;                  /* 48: task name; absent: last component of off_execfn */
    unsigned int off_detours;               /* 52: a place in off_arena's file */
    unsigned int off_sites;                 /* 56: u32 offsets of sites to lead through the gate, from the base that the detours lie
                                             * before; hints: what is not a site stays as it is */
    unsigned int nsites;                    /* 60 */
    unsigned int supervisor;                /* 64: process id */
    unsigned int prog_file;                 /* 68: its descriptor of the program, open already; 0: none */
    unsigned int interp_file;               /* 72: the same of the ELF interpreter */
    unsigned int off_code;                  /* 76: a place in off_arena's file that has the LOADER_KEPT bytes of code that stay; 0: none */
    unsigned int ids[4];                    /* 80: AT_UID, AT_EUID, AT_GID, AT_EGID */
    unsigned int secure;                    /* 96: AT_SECURE */
    unsigned int who;                       /* 100: what DETOUR_WHO is to be but for WHO_INDEX; 0: nothing */
    unsigned int off_index;                 /* 104: host path of the index of owners */
    char data[];                            /* 108 */
};

/* (loaders of 64 and of 32 bits read what one supervisor writes) */
_Static_assert(__builtin_offsetof(struct loader_info, arena_addr) == 8, "loader_info");
_Static_assert(__builtin_offsetof(struct loader_info, off_code) == LI_OFF_CODE, "loader_info");
_Static_assert(__builtin_offsetof(struct loader_info, data) == 108, "loader_info");

#endif
#endif
