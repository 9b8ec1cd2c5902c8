/* The calls that the interpreter knows, by name: numbers of x86_64 Linux up to 6.18.
 *
 * The i386 build finds its own numbers by these (ops_i386.c). Numbers are written out because the C library's headers of an older distribution do not know the newest ones.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "ops.h"

const struct call calls[] = {
    {"read", 0}, {"write", 1}, {"open", 2}, {"close", 3}, {"stat", 4}, {"fstat", 5}, {"lstat", 6}, {"lseek", 8},
    {"access", 21}, {"dup", 32}, {"dup2", 33}, {"dup3", 292}, {"socket", 41}, {"connect", 42}, {"accept", 43}, {"sendto", 44}, {"recvfrom", 45},
    {"sendmsg", 46}, {"recvmsg", 47}, {"bind", 49}, {"listen", 50}, {"getsockname", 51}, {"getpeername", 52},
    {"socketpair", 53}, {"execve", 59}, {"kill", 62}, {"fcntl", 72}, {"truncate", 76}, {"ftruncate", 77},
    {"getdents64", 217}, {"getcwd", 79}, {"chdir", 80}, {"fchdir", 81}, {"rename", 82}, {"mkdir", 83}, {"rmdir", 84},
    {"creat", 85}, {"link", 86}, {"unlink", 87}, {"symlink", 88}, {"readlink", 89}, {"chmod", 90}, {"fchmod", 91},
    {"chown", 92}, {"fchown", 93}, {"lchown", 94}, {"umask", 95}, {"utime", 132}, {"mknod", 133}, {"uselib", 134},
    {"statfs", 137}, {"fstatfs", 138}, {"pivot_root", 155}, {"chroot", 161}, {"acct", 163}, {"mount", 165},
    {"umount2", 166}, {"swapon", 167}, {"swapoff", 168}, {"quotactl", 179}, {"setxattr", 188}, {"lsetxattr", 189},
    {"fsetxattr", 190}, {"getxattr", 191}, {"lgetxattr", 192}, {"fgetxattr", 193}, {"listxattr", 194},
    {"llistxattr", 195}, {"flistxattr", 196}, {"removexattr", 197}, {"lremovexattr", 198}, {"fremovexattr", 199},
    {"utimes", 235}, {"inotify_add_watch", 254}, {"openat", 257}, {"mkdirat", 258}, {"mknodat", 259},
    {"fchownat", 260}, {"futimesat", 261}, {"unshare", 272}, {"prctl", 157}, {"newfstatat", 262}, {"unlinkat", 263}, {"renameat", 264}, {"linkat", 265},
    {"symlinkat", 266}, {"readlinkat", 267}, {"fchmodat", 268}, {"faccessat", 269}, {"utimensat", 280},
    {"accept4", 288}, {"inotify_init1", 294}, {"recvmmsg", 299}, {"fanotify_init", 300}, {"fanotify_mark", 301},
    {"name_to_handle_at", 303}, {"open_by_handle_at", 304}, {"sendmmsg", 307}, {"renameat2", 316},
    {"memfd_create", 319}, {"execveat", 322}, {"statx", 332}, {"open_tree", 428}, {"move_mount", 429},
    {"fsopen", 430}, {"fspick", 433}, {"openat2", 437}, {"faccessat2", 439}, {"mount_setattr", 442},
    {"fchmodat2", 452}, {"setxattrat", 463}, {"getxattrat", 464}, {"listxattrat", 465}, {"removexattrat", 466},
    {"open_tree_attr", 467}, {"file_getattr", 468}, {"file_setattr", 469}, {NULL, -1},
};

int call_number(const char *name)
{
    for (const struct call *row = calls; row->name; row++)
        if (!strcmp(row->name, name))
            return row->number;
    return -1;
}

int registers_changed;

#if defined(__x86_64__)
/* One instruction for all calls, and for those that pyroot may answer inside the guest one each, as C libraries have them. */
#define CALL(text, ...) \
    __asm__ volatile(text "syscall" \
                     : "=a"(result), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r10), "+r"(r8), "+r"(r9) \
                     : __VA_ARGS__ \
                     : "rcx", "r11", "memory")
#define GATE_CALL(number_, ...) \
    case number_: \
        CALL("mov %[nr], %%eax\n\t", [nr] "i"(number_)); \
        break;

long raw(long number, const long *a)
{
    long result, rdi = a[0], rsi = a[1], rdx = a[2];
    register long r10 __asm__("r10") = a[3];
    register long r8 __asm__("r8") = a[4];
    register long r9 __asm__("r9") = a[5];

    if (number == 257 && rdi == -100) {
        /* as open64 of the GNU C library has it: path, flags and mode are in their places, the descriptor comes last */
        rdi = rsi;
        CALL("mov $257, %%eax\n\tmov %%rdi, %%rsi\n\tmov $0xffffff9c, %%edi\n\t", );
        rdi = rdi == 0xffffff9c ? -100 : 0;
    } else switch (number) {
#include "../../pyroot/guest/calls.h"
    default:
        CALL("", "a"(number));
    }
    if (rdi != a[0] || rsi != a[1] || rdx != a[2] || r10 != a[3] || r8 != a[4] || r9 != a[5])
        registers_changed = 1;
    return result;
}
#undef GATE_CALL

/* Make each of these calls as often as pyroot wants to see one before it changes its site. */
void use_sites(void)
{
    static const short numbers[] = {
#define GATE_CALL(number_, ...) number_,
#include "../../pyroot/guest/calls.h"
    };
    const long nothing[6] = {0};

    for (size_t i = 0; i < 2 * sizeof numbers / sizeof *numbers; i++)
        raw(numbers[i / 2], nothing);
}
#else
void use_sites(void)
{
}
#endif

long raw_call(long number, long a, long b, long c, long d, long e, long f)
{
    const long values[6] = {a, b, c, d, e, f};

    return raw(number, values);
}
