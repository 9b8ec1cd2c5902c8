/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where the loader lies in the address space of an i386 guest, and the code by which it leaves. The counterpart of the
 * addresses in loader.h, with names of their own because the supervisor, which is never a 32-bit program, needs both.
 *
 * Nothing of the loader stays: 4 GiB are too few to keep fixed addresses from the guest. The arena lies where the kernel
 * puts it; the loader reports the address with its last system call. Its slots hold the return code themselves (see
 * _fast/edit/slot_code.pxi), its first slot the code by which the loader leaves. The loader lies below the addresses that
 * linkers give to programs (0x200000 and up) and above vm.mmap_min_addr.
 */
#ifndef PYROOT_GUEST_PLACES_I386_H
#define PYROOT_GUEST_PLACES_I386_H

#define LOADER32_TEXT       0x100000        /* code and constants; everything from here to LOADER32_END disappears */
#define LOADER32_INFO       0x110000        /* struct loader_info */
#define LOADER32_STACK_TOP  0x130000
#define LOADER32_HEADERS    0x130000        /* buffer for ELF header and program headers */
#define LOADER32_END        0x150000
#define LOADER32_STRIDE     0x60000         /* where the loader of a pyroot inside a pyroot lies, behind that one's */
#define LOADER32_BRK        0x3a000000      /* heap of last resort, where PR_SET_MM_MAP is refused */
#define LOADER32_ARENA      0xf8000000      /* where programs get their arena, if it is free: just above the mmaps */
#define LOADER32_ARENA_ASIDE 0xd0000000     /* ... and where the stack may grow by more than 64 MiB */
#define LOADER32_REPORT     295             /* number (openat) of the call that tells the arena's address: the last one, with no path. The
                                             * loader has made others of it, so no filter refuses it */

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
#define LOADER_ARENA_MAX    0x10000000      /* most bytes behind LOADER_BRK at which its heap may start */
#endif

#endif
