/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The x86_64 half of the loader: raw system calls and the address space's fixed points. A new architecture is one more
 * file like this one plus its stub file. Sources: asm/elf.h, asm/processor.h of Linux.
 */
#ifndef PYROOT_GUEST_X86_64_H
#define PYROOT_GUEST_X86_64_H

#include "numbers.h"

#define ARCH_ELF_MACHINE(m) ((m) == 62)     /* EM_X86_64 */
#define ARCH_TASK_SIZE      0x7ffffffff000ull
#define ARCH_STACK_TOP      0x7ffffffff000ull   /* end of the stack without randomisation */
#define ARCH_PIE_BASE       0x555555554000ull   /* ELF_ET_DYN_BASE */
#define ARCH_BRK_BASE       0x555555555000ull   /* heap of a program among the mmaps: ELF_ET_DYN_BASE, rounded up */
#define ARCH_PIE_RANDOM     28              /* bits of pages; default of vm.mmap_rnd_bits */
#define ARCH_OPEN_FLAGS     0
#define ARCH_ARENA_PROT     0
#define ARCH_OLD_PROGRAMS   0
#define ARCH_MMAP           SYS_mmap

/* Keep the compiler from making a constant out of smaller ones. */
#define ARCH_FIXED(address) ({ unsigned long long fixed_; __asm__("movabs %1, %0" : "=r"(fixed_) : "i"(address)); fixed_; })

static inline long sys6(long number, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static inline long arch_pread(int fd, void *to, unsigned long size, unsigned long offset)
{
    return sys6(SYS_pread64, fd, (long)to, (long)size, (long)offset, 0, 0);
}

static inline long arch_mmap_offset(unsigned long offset)
{
    return (long)offset;
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
