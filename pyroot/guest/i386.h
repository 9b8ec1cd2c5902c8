/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The i386 half of the loader, for 32-bit guests of an x86_64 kernel: the address space's fixed points.
 * Sources: asm/elf.h, asm/page_64_types.h, fs/compat_binfmt_elf.c of Linux.
 */
#ifndef PYROOT_GUEST_I386_H
#define PYROOT_GUEST_I386_H

#include "numbers.h"

#define ARCH_ELF_MACHINE(m) ((m) == 3 || (m) == 6)  /* EM_386, EM_486 */
#define ARCH_TASK_SIZE      0xffffe000ul
#define ARCH_STACK_TOP      0xffffe000ul    /* end of the stack without randomisation */
#define ARCH_PIE_BASE       0x56555000ul    /* ELF_ET_DYN_BASE */
#define ARCH_BRK_BASE       0x56555000ul
#define ARCH_PIE_RANDOM     8               /* bits of pages; default of vm.mmap_rnd_compat_bits */
#define ARCH_OPEN_FLAGS     0100000         /* O_LARGEFILE: programs may be larger than 2 GiB here too */
#define ARCH_OLD_PROGRAMS   1               /* there are programs without PT_GNU_STACK that rely on it */
#define ARCH_ARENA_LOW      0x80000000ul    /* below it the kernel uses the old layout */
#define ARCH_ARENA_STACK    0x4000000ul     /* greatest limit of the stack with which it leaves the arena room */
#define ARCH_MMAP           SYS_mmap2       /* the offset counts in pages of 4096 bytes */
#define ARCH_ARENA_PROT     PROT_EXEC               /* the return code lies in the slots */

/* In stub-i386.S: the sixth argument goes into ebp, which a compiler does not lend. */
long sys6(long number, long a, long b, long c, long d, long e, long f);

static inline long arch_pread(int fd, void *to, unsigned long size, unsigned long offset)
{
    return sys6(SYS_pread64, fd, (long)to, (long)size, (long)offset, 0, 0);
}

static inline long arch_mmap_offset(unsigned long offset)
{
    return (long)(offset >> 12);
}

/* Copy upwards; the ranges may overlap when the destination is the lower one. */
static inline void arch_copy(void *to, const void *from, unsigned long size)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

static inline void arch_zero(void *to, unsigned long size)
{
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(0) : "memory");
}

#endif
