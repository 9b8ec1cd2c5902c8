/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the parts of the loader share: types, the Linux and ELF constants common to all architectures supported here,
 * the two descriptions handed around (an ELF file, the initial stack) and the smallest helpers. Sources: linux/mman.h,
 * linux/elf.h, linux/auxvec.h, linux/prctl.h.
 */
#ifndef PYROOT_GUEST_PARTS_H
#define PYROOT_GUEST_PARTS_H

#include "loader.h"

#pragma GCC visibility push(hidden)

#if defined(__x86_64__)
#include "x86_64.h"
#elif defined(__i386__)
#include "i386.h"
#else
#error "no loader for this architecture"
#endif

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned long word;                 /* what a register holds: an address, a size, an entry of the stack's table */

/* mmap, open, prctl: values common to all architectures supported here */
#define PROT_NONE           0
#define PROT_READ           1
#define PROT_WRITE          2
#define PROT_EXEC           4
#define PROT_GROWSDOWN      0x01000000
#define MAP_SHARED          0x01
#define MAP_PRIVATE         0x02
#define MAP_FIXED           0x10
#define MAP_ANONYMOUS       0x20
#define MAP_NORESERVE       0x4000
#define MAP_FIXED_NOREPLACE 0x100000
#define MADV_DONTDUMP       16
#define AT_FDCWD            (-100)
#define O_WRONLY            01
#define O_CLOEXEC           02000000
#define EPERM               1
#define EMFILE              24
#define ENOSYS              38
#define ENOEXEC             8
#define EFAULT              14
#define EINVAL              22
#define EEXIST              17
#define SIGKILL             9
#define PR_SET_NAME         15
#define PR_SET_MM           35
#define PR_SET_MM_MAP       14
#define RLIMIT_STACK        3
#define RLIMIT_CORE         4
#define RLIMIT_NOFILE       7
#define GRND_NONBLOCK       1
#define ADDR_NO_RANDOMIZE   0x0040000
#define READ_IMPLIES_EXEC   0x0400000

/* ELF */
#define ET_EXEC 2
#define ET_DYN 3
#define PT_LOAD 1
#define PT_INTERP 3
#define PT_GNU_STACK 0x6474e551
#define PF_X 1
#define PF_W 2
#define PF_R 4
#define AT_NULL 0
#define AT_PHDR 3
#define AT_PHENT 4
#define AT_PHNUM 5
#define AT_PAGESZ 6
#define AT_BASE 7
#define AT_ENTRY 9
#define AT_UID 11       /* and after it AT_EUID, AT_GID, AT_EGID */
#define AT_PLATFORM 15
#define AT_SECURE 23
#define AT_BASE_PLATFORM 24
#define AT_RANDOM 25
#define AT_EXECFN 31

struct elf_header {
    u8 ident[16];
    u16 type, machine;
    u32 version;
    word entry, phoff, shoff;
    u32 flags;
    u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct segment {
    u32 type;
#if defined(__x86_64__)
    u32 flags;
#endif
    word offset, vaddr, paddr, filesz, memsz;
#if !defined(__x86_64__)
    u32 flags;
#endif
    word align;
};

/* An ELF file: first as read (addresses as linked), after map_image() as mapped. */
struct image {
    int fd;
    const struct elf_header *header;
    const struct segment *segments;
    u16 type, phnum;
    u8 has_interp, exec_stack, says_stack;   /* the last: there is a PT_GNU_STACK */
    word low, high, align;                   /* page-aligned span of all PT_LOAD, greatest alignment */
    word bias, entry, phdr;
    word start_code, end_code, start_data, end_data, end;
};

/* The initial stack: argc, argv, envp, auxv from `sp` up to `end`, and the strings above. */
struct stack {
    word *sp, *argv, *envp, *auxv, *end;
    word argc;
    word arg_start, arg_end, env_end;        /* arg_end is also the start of the environment strings */
    char *execfn;                           /* where the kernel put it: directly after the environment */
    word top;                                /* end of the whole stack mapping */
};

/* image.c */
long map_free(word address, word size, int prot, int flags, int fd, word offset);
int open_file(const char *path, int why);
void map_image(struct image *image, const char *path, int is_program, const struct stack *stack);

/* stack.c */
word get_aux(const struct stack *stack, word type);
void set_aux(const struct stack *stack, word type, word value);
void read_first_stack(struct stack *stack, word *sp);
void rebuild_stack(struct stack *stack);

/* stub-MACHINE.S: unmap the loader and start the program, never to return */
void loader_leave(word *sp, word entry, word arena) __attribute__((noreturn));

/* An address of loader.h, whole in one instruction: a pyroot inside a pyroot finds it there and moves it (core.pxi). */
#ifndef ARCH_FIXED
#define ARCH_FIXED(address) (address)
#endif
#define INFO ((const struct loader_info *)ARCH_FIXED(LOADER_INFO))
#define sys3(n, a, b, c) sys6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)

/* There is no longer an errno to give back. What is wrong with the file ends as in the kernel (bprm_execve): by a SIGSEGV from the
 * kernel that cannot be blocked, caught or ignored, which is what a privileged instruction gives; what is wrong with us ends by a
 * SIGKILL, but for a call that is refused: that, too, is a SIGSEGV, at which the supervisor says so (loader_refused in the core). There is
 * no core, as in the kernel, which does not know yet who would write it. The two numbers are for the supervisor, and for a debugger. */
static inline __attribute__((noreturn)) void fail(int why, long error)
{
    if (why > LOADER_FAIL_ARENA || error == -EPERM || error == -ENOSYS) {
        u64 one[2] = {1, 1};                /* core(5): less than any core, and a program that takes them is not started either */

        sys6(SYS_prlimit64, 0, RLIMIT_CORE, (long)one, 0, 0, 0);
        __asm__ volatile("hlt" : : "a"(why), "d"(error));
    }
    for (;;)
        sys6(SYS_kill, sys3(SYS_getpid, 0, 0, 0), SIGKILL, why, error, 0, 0);
}

static inline long map(word address, word size, int prot, int flags, int fd, word offset)
{
    if (offset % 4096)
        return -EINVAL;                     /* mmap2(2) of i386 counts pages and would not see it */
    return sys6(ARCH_MMAP, (long)address, (long)size, prot, flags, fd, arch_mmap_offset(offset));
}

static inline int is_error(long result)
{
    return (unsigned long)result > -4096ul;
}

static inline const char *info_text(u32 offset)
{
    return (const char *)INFO + offset;
}

static inline word size_with_nul(const char *text)
{
    word size = 0;

    while (text[size++])
        ;
    return size;
}

#pragma GCC visibility pop

#endif
