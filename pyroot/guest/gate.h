/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the supervisor and the gate share (gate.c says what the gate is): addresses, what the supervisor publishes, what lies
 * on the guest's stack while a call is in the gate. Includable from C, Cython and assembly.
 */
#ifndef PYROOT_GUEST_GATE_H
#define PYROOT_GUEST_GATE_H

#include "loader.h"

/* A detour: a site's `mov $NUMBER, %eax`, five bytes in front of its `syscall`, becomes a jump to one of these. It begins with
 * what may lie between the two, DETOUR_BETWEEN bytes: that of open64 in the GNU C library, or nothing. */
#define DETOUR_SIZE         48
#define DETOUR_BETWEEN      8
#define DETOUR_FIRST        32              /* the first one, from the start of the page; in front of it are HOOK and MAGIC */
#define DETOUR_HOOK         0               /* address that detours jump to: GATE_ENTER or GATE_PASS */
#define DETOUR_MAGIC        8
#define DETOURS_MAGIC       0x5079523144657431
#define DETOUR_PLAIN        24              /* where the call is made as the guest has it */
#define DETOUR_NUMBER       25              /* operand of the detour's own mov */
#define DETOUR_BACK         30              /* operand of its jump to the site's `syscall` */

/* Places in the gate, from LOADER_GATE. */
#define GATE_ENTER          0x000           /* rcx: the detour */
#define GATE_MOVED          0x008           /* rsp points at the frame */
#define GATE_PUSHED         0x050           /* rsp is eight bytes lower */
#define GATE_SAVED          0x080           /* the frame is complete */
#define GATE_CALLED         0x0d0           /* behind the one call that the guest asked for: it is never made twice */
#define GATE_TAIL           0x100           /* rax and the frame's target stand */
#define GATE_CLEARED        0x148           /* all registers are the guest's but rsp, and rcx: the target */
#define GATE_LAST           0x150           /* rsp, too */
#define GATE_PASS           0x160           /* every call is made as the guest has it */
#define GATE_TEXT           0x180

/* Frame of a call in the gate, below the red zone of the guest's stack. */
#define RED_ZONE            128
#define GF_MAGIC            0
#define GF_SELF             8
#define GF_DETOUR           16
#define GF_FLAGS            24
#define GF_TARGET           32
#define GF_REGS             40              /* rdi rsi rdx r10 r8 r9 */
#define GF_KEPT             88              /* rbx rbp r12 r13 r14 r15 */
#define GF_CALL             136             /* number and arguments of the call that is made */
#define GF_RETRY            192             /* its ELOOP means that it is made as the guest has it */
#define GF_HOW              200
#define GF_PATH             224
#define GATE_PATH           416
#define GATE_FRAME          (GF_PATH + GATE_PATH)
#define GATE_FRAME_MAGIC    0x5079523147617465
#define GATE_SCAN_WORDS     128             /* so many words above rsp the frame lies at most */

#define GATE_DECLINE        0
#define GATE_MAKE           1
#define GATE_ANSWER         2

/* What the supervisor publishes, in the last pages of the arena (read-only for guests). */
#define GATE_VIEW_SIZE      0x8000
#define GATE_DETOURS        0x6000          /* from the view's start: what a page of detours begins as */
#define GATE_NAMES          64
#define GATE_TOPS           1024
#define GATE_PREFIX         320

#if !defined(__ASSEMBLER__) && !defined(PYROOT_LINKER_SCRIPT)
struct gate_view {
    unsigned int on;                        /* 0: every call is made as the guest has it */
    unsigned int moving;                    /* directories or links are being renamed: only opens are safe (moving.pxi) */
    unsigned int prefix_len;
    unsigned int bound;                     /* there are mount points */
    char prefix[GATE_PREFIX];               /* host path of the root, "" for / */
    unsigned long long names[GATE_NAMES];   /* a bit for each name in the path of a mount point */
    unsigned long long texts[GATE_NAMES];   /* a bit for each name that a text of /proc has */
    unsigned long long tops[GATE_TOPS];     /* a bit for each mount point's path */
};

struct gate_how {
    unsigned long long flags, mode, resolve;
};

struct gate_frame {
    unsigned long long magic, self, detour, flags, target, regs[6], kept[6], call, args[6], retry;
    struct gate_how how;
    char path[GATE_PATH];
};
#endif
#endif
