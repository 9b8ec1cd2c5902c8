/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How the loader leaves the address space of an i386 guest, and which of its addresses (layout.py) it is built for.
 *
 * None of it stays. The arena lies where the kernel puts it; the loader reports the address with its last system call.
 * Its slots hold the return code themselves (see _fast/edit/slot_code.pxi), its first slot the code by which the loader leaves.
 */
#ifndef PYROOT_GUEST_PLACES_I386_H
#define PYROOT_GUEST_PLACES_I386_H

#include "layout.h"

/* The code at the start of the arena. In: eax 91 (munmap), ebx and ecx what to unmap, esp the guest's stack pointer, the
 * entry address in the word below. Out: all registers zero (mov leaves the flags alone). */
#define LOADER32_LEAVE \
    0xcd, 0x80,                             /* int $0x80 */ \
    0xb8, 0, 0, 0, 0, 0xbb, 0, 0, 0, 0,     /* mov $0, %eax; %ebx */ \
    0xb9, 0, 0, 0, 0, 0xba, 0, 0, 0, 0,     /* %ecx; %edx */ \
    0xbe, 0, 0, 0, 0, 0xbf, 0, 0, 0, 0,     /* %esi; %edi */ \
    0xbd, 0, 0, 0, 0,                       /* %ebp */ \
    0xff, 0x64, 0x24, 0xfc                  /* jmp *-4(%esp) */

#if defined(__i386__)
#if defined(PYROOT_NESTED)
#define LOADER32_SHIFT      LOADER32_STRIDE
#else
#define LOADER32_SHIFT      0
#endif
#define LOADER_TEXT         (LOADER32_TEXT + LOADER32_SHIFT)
#define LOADER_INFO         (LOADER32_INFO + LOADER32_SHIFT)
#define LOADER_STACK_TOP    (LOADER32_STACK_TOP + LOADER32_SHIFT)
#define LOADER_HEADERS      (LOADER32_HEADERS + LOADER32_SHIFT)
#define LOADER_END          (LOADER32_END + LOADER32_SHIFT)
#define LOADER_BRK          LOADER32_BRK
#define LOADER_ARENA_MAX    0x10000000      /* most bytes after LOADER_BRK at which its heap may start */
#endif

#endif
