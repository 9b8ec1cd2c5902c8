/* Places that make one path call each, in the forms that pyroot leads through its gate: `mov $NUMBER, %eax; syscall`, and that of
 * open64 in the GNU C library. They are functions: arguments as a C function's (the fourth goes to r10), the result is the kernel's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef GATE_SITES_H
#define GATE_SITES_H

enum { S_OPEN, S_STAT, S_LSTAT, S_ACCESS, S_READLINK, S_GETXATTR, S_LGETXATTR, S_LISTXATTR, S_LLISTXATTR, S_OPENAT, S_FSTATAT, S_READLINKAT,
       S_FACCESSAT, S_STATX, S_FACCESSAT2, S_OPEN64, SITES };

typedef long site_type(long, long, long, long, long);

#define SITE(name, number) \
    extern site_type site_##name; \
    __asm__(".text; .p2align 5; .skip 8, 0x90; site_" #name ": mov %rcx, %r10; mov $" #number ", %eax; syscall; ret");

SITE(open, 2)
SITE(stat, 4)
SITE(lstat, 6)
SITE(access, 21)
SITE(readlink, 89)
SITE(getxattr, 191)
SITE(lgetxattr, 192)
SITE(listxattr, 194)
SITE(llistxattr, 195)
SITE(openat, 257)
SITE(fstatat, 262)
SITE(readlinkat, 267)
SITE(faccessat, 269)
SITE(statx, 332)
SITE(faccessat2, 439)

extern site_type site_open64;   /* path, (nothing), flags, mode */
__asm__(".text; .p2align 5; .skip 8, 0x90; site_open64: mov %rcx, %r10; mov $257, %eax; mov %rdi, %rsi; mov $0xffffff9c, %edi; syscall; ret");

/* path: the argument that is one; dirfd: there is one in front of it; out: the argument that is written to, or -1 */
static const struct site { const char *name; site_type *call; int path, dirfd, out; } sites[SITES] __attribute__((unused)) = {
    [S_OPEN] = {"open", site_open, 0, 0, -1},
    [S_STAT] = {"stat", site_stat, 0, 0, 1},
    [S_LSTAT] = {"lstat", site_lstat, 0, 0, 1},
    [S_ACCESS] = {"access", site_access, 0, 0, -1},
    [S_READLINK] = {"readlink", site_readlink, 0, 0, 1},
    [S_GETXATTR] = {"getxattr", site_getxattr, 0, 0, 2},
    [S_LGETXATTR] = {"lgetxattr", site_lgetxattr, 0, 0, 2},
    [S_LISTXATTR] = {"listxattr", site_listxattr, 0, 0, 1},
    [S_LLISTXATTR] = {"llistxattr", site_llistxattr, 0, 0, 1},
    [S_OPENAT] = {"openat", site_openat, 1, 1, -1},
    [S_FSTATAT] = {"newfstatat", site_fstatat, 1, 1, 2},
    [S_READLINKAT] = {"readlinkat", site_readlinkat, 1, 1, 2},
    [S_FACCESSAT] = {"faccessat", site_faccessat, 1, 1, -1},
    [S_STATX] = {"statx", site_statx, 1, 1, 4},
    [S_FACCESSAT2] = {"faccessat2", site_faccessat2, 1, 1, -1},
    [S_OPEN64] = {"open64", site_open64, 0, 0, -1},
};
#endif
