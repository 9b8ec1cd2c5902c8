/* Calls that no ordinary program makes: every number in three ways, bad pointers everywhere, ways around the supervisor.
 *
 *   abi_probe numbers 64|x32|int80    every call number with zero arguments, each in a child
 *   abi_probe pointers                every path call with every kind of bad pointer
 *   abi_probe refused                 calls that would go around the supervisor
 *   abi_probe flags                   openat2 and friends with invalid structures
 *   abi_probe opens                   open, openat and creat with every pair of flags
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAST 600
#define X32 0x40000000L

static long call(long number, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;

    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static long call80(long number)
{
    long result;

    __asm__ volatile("push %%rbx; xor %%ebx, %%ebx; int $0x80; pop %%rbx" : "=a"(result)
                     : "a"(number), "c"(0), "d"(0), "S"(0), "D"(0) : "r8", "r9", "r10", "r11", "memory");
    return (int)result;
}

static int marker_is_there(void)
{
    return access("/marker", R_OK) == 0;
}

/* What a number does in a child: its result, or how the child ended. */
static int in_child(const char *way, int number)
{
    struct itimerval timer = {{0, 0}, {0, 50000}};
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        long result;
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        setpgid(0, 0);
        setitimer(ITIMER_REAL, &timer, NULL);
        result = *way == '6' ? call(number, 0, 0, 0, 0, 0, 0)
               : *way == 'x' ? call(X32 | number, 0, 0, 0, 0, 0, 0) : call80(number);
        _exit(result == -ENOSYS ? 38 : 0);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static int numbers(const char *way)
{
    int missing = 0, killed = 0, other = 0;

    for (int number = 0; number <= LAST; number++) {
        int status = in_child(way, number);
        if (WIFSIGNALED(status))
            killed++;
        else if (WEXITSTATUS(status) == 38)
            missing++;
        else
            other++;
    }
    printf("%s: %d numbers, all ENOSYS %d, marker %d\n", way, LAST + 1, missing + killed == LAST + 1 && other == 0,
           marker_is_there());
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    return 0;
}

static const struct { const char *name; int number, path, second, length; } paths[] = {
    {"open", 2, 0, -1, 0}, {"stat", 4, 0, -1, 0}, {"lstat", 6, 0, -1, 0}, {"access", 21, 0, -1, 0},
    {"execve", 59, 0, -1, 0}, {"truncate", 76, 0, -1, 0}, {"chdir", 80, 0, -1, 0}, {"rename", 82, 0, 1, 0},
    {"mkdir", 83, 0, -1, 0}, {"rmdir", 84, 0, -1, 0}, {"creat", 85, 0, -1, 0}, {"link", 86, 0, 1, 0},
    {"unlink", 87, 0, -1, 0}, {"symlink", 88, 0, 1, 0}, {"readlink", 89, 0, -1, 2}, {"chmod", 90, 0, -1, 0},
    {"chown", 92, 0, -1, 0}, {"lchown", 94, 0, -1, 0}, {"utime", 132, 0, -1, 0}, {"mknod", 133, 0, -1, 0},
    {"statfs", 137, 0, -1, 0}, {"pivot_root", 155, 0, 1, 0}, {"chroot", 161, 0, -1, 0}, {"acct", 163, 0, -1, 0},
    {"mount", 165, 0, 1, 0}, {"umount2", 166, 0, -1, 0}, {"swapon", 167, 0, -1, 0}, {"swapoff", 168, 0, -1, 0},
    {"quotactl", 179, 1, -1, 0}, {"setxattr", 188, 0, -1, 0}, {"lsetxattr", 189, 0, -1, 0}, {"getxattr", 191, 0, -1, 0},
    {"lgetxattr", 192, 0, -1, 0}, {"listxattr", 194, 0, -1, 0}, {"llistxattr", 195, 0, -1, 0},
    {"removexattr", 197, 0, -1, 0}, {"lremovexattr", 198, 0, -1, 0}, {"utimes", 235, 0, -1, 0},
    {"inotify_add_watch", 254, 1, -1, 0}, {"openat", 257, 1, -1, 0}, {"mkdirat", 258, 1, -1, 0},
    {"mknodat", 259, 1, -1, 0}, {"fchownat", 260, 1, -1, 0}, {"futimesat", 261, 1, -1, 0}, {"newfstatat", 262, 1, -1, 0},
    {"unlinkat", 263, 1, -1, 0}, {"renameat", 264, 1, 3, 0}, {"linkat", 265, 1, 3, 0}, {"symlinkat", 266, 0, 2, 0},
    {"readlinkat", 267, 1, -1, 3}, {"fchmodat", 268, 1, -1, 0}, {"faccessat", 269, 1, -1, 0}, {"utimensat", 280, 1, -1, 0},
    {"fanotify_mark", 301, 4, -1, 0}, {"name_to_handle_at", 303, 1, -1, 0}, {"renameat2", 316, 1, 3, 0},
    {"execveat", 322, 1, -1, 0}, {"statx", 332, 1, -1, 0}, {"open_tree", 428, 1, -1, 0}, {"openat2", 437, 1, 2, 0},
    {"faccessat2", 439, 1, -1, 0}, {"fchmodat2", 452, 1, -1, 0}, {"setxattrat", 463, 1, -1, 0},
    {"getxattrat", 464, 1, -1, 0}, {"listxattrat", 465, 1, -1, 0}, {"removexattrat", 466, 1, -1, 0},
    {"file_getattr", 468, 1, -1, 0}, {"file_setattr", 469, 1, -1, 0}, {"bind", 49, 1, -1, 0}, {"connect", 42, 1, -1, 0},
    {"sendto", 44, 4, -1, 0}, {"sendmsg", 46, 1, -1, 0}, {"recvmsg", 47, 1, -1, 0}, {"sendmmsg", 307, 1, -1, 0},
    {"recvmmsg", 299, 1, -1, 0}, {"accept", 43, 1, 2, 0}, {"getsockname", 51, 1, 2, 0}, {"getpeername", 52, 1, 2, 0},
    {"recvfrom", 45, 4, 5, 0},
};

static int pointers(void)
{
    char *pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    long kinds[10] = {0, 1, -1, (long)0xffff800000000000UL, (long)0x7ffffffff000UL, 0x5555, (long)(pages + 8192),
                      (long)(pages + 8190), (long)0x8000000000000000UL, (long)-4095};
    int sockets[2];

    memset(pages, '/', 8192);
    munmap(pages + 8192, 4096);
    if (socketpair(1, 1 | 04000, 0, sockets))
        return 1;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        printf("%s", paths[i].name);
        for (int kind = 0; kind < 10; kind++) {
            long a[6] = {-100, (long)"/marker", 0, 0, 0, 0};
            int socket_call = paths[i].number >= 42 && paths[i].number <= 52;
            if (paths[i].path == 0) {
                a[0] = (long)"/marker";
                a[1] = 0;
            }
            if (socket_call || paths[i].number == 299 || paths[i].number == 307)
                a[0] = sockets[0];
            a[2] = paths[i].length == 2 || socket_call ? 100 : 0;
            a[3] = paths[i].length == 3 ? 100 : 0;
            if (paths[i].number == 44 || paths[i].number == 45) {
                a[1] = (long)pages;
                a[2] = 1;
                a[3] = 0;
                a[5] = 100;
            }
            a[paths[i].path] = kinds[kind];
            printf(" %ld", call(paths[i].number, a[0], a[1], a[2], a[3], a[4], a[5]));
            if (paths[i].second < 0)
                continue;
            a[paths[i].path] = paths[i].path == 1 || paths[i].path == 0 ? (long)"/nowhere/at all" : 0;
            a[paths[i].second] = kinds[kind];
            printf("/%ld", call(paths[i].number, a[0], a[1], a[2], a[3], a[4], a[5]));
        }
        printf("\n");
    }
    printf("marker %d\n", marker_is_there());
    return 0;
}

static int refused(void)
{
    static char zero[256];
    struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {1, allow};
    struct iovec local = {zero, 8}, remote = {(void *)(uintptr_t)call, 8};
    struct { unsigned bytes; int type; char text[8]; } handle = {8, 1, ""};
    pid_t parent = getppid();

    printf("io_uring_setup %ld\n", call(425, 8, (long)zero, 0, 0, 0, 0));
    printf("io_uring_enter %ld\n", call(426, 0, 0, 0, 0, 0, 0));
    printf("io_uring_register %ld\n", call(427, 0, 0, 0, 0, 0, 0));
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    printf("listener %d\n", call(317, 1, 8, (long)&program, 0, 0, 0) >= 0);
    printf("filter %ld\n", call(317, 1, 0, (long)&program, 0, 0, 0));
    printf("open_by_handle_at %ld\n", call(304, -100, (long)&handle, 0, 0, 0, 0));
    printf("unshare mount %d user %d\n", call(272, 0x20000, 0, 0, 0, 0, 0) == 0, call(272, 0x10020000, 0, 0, 0, 0, 0) == 0);
    printf("open_tree clone %ld\n", call(428, -100, (long)"/", 1, 0, 0, 0));
    printf("fsopen %ld\n", call(430, (long)"tmpfs", 0, 0, 0, 0, 0));
    printf("statmount %ld listmount %ld\n", call(457, (long)zero, (long)zero, 8, 0, 0, 0),
           call(458, (long)zero, (long)zero, 8, 0, 0, 0));
    printf("bpf %ld\n", call(321, 7, (long)zero, 64, 0, 0, 0));
    printf("unknown %ld %ld %ld\n", call(600, 0, 0, 0, 0, 0, 0), call(1000, 0, 0, 0, 0, 0, 0), call(100000, 0, 0, 0, 0, 0, 0));
    printf("x32 open %ld\n", call(X32 | 2, (long)"/marker", 0, 0, 0, 0, 0));
    printf("kill supervisor %d\n", kill(parent, SIGKILL) == 0);
    printf("ptrace supervisor %d\n", call(101, 16, parent, 0, 0, 0, 0) == 0);
    printf("read supervisor %d\n", process_vm_readv(parent, &local, 1, &remote, 1, 0) > 0);
    printf("supervisor root %d cwd %d\n", access("/proc/self/../1/root/etc", F_OK) == 0, chdir("/proc/1/cwd") == 0);
    snprintf(zero, sizeof zero, "/proc/%d/root/etc/passwd", parent);
    printf("parent root %d\n", open(zero, O_RDONLY) >= 0);
    snprintf(zero, sizeof zero, "/proc/%d/mem", parent);
    printf("parent mem %d\n", open(zero, O_RDWR) >= 0);
    printf("inherited directory %d %d\n", openat(9, "etc/passwd", O_RDONLY) >= 0, openat(9, "..", O_RDONLY) >= 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    printf("marker %d\n", marker_is_there());
    fflush(stdout);
    if (vfork() == 0) {
        execl("/probe", "probe", "marker", NULL);
        _exit(1);
    }
    while (wait(NULL) > 0)
        ;
    return 0;
}

/* Pass openat2 structures of every size, with every bit, and nonsense in the rest. */
static int flags(void)
{
    uint64_t how[600];
    long sum = 0;

    close(open("/tmp/how", O_WRONLY | O_CREAT, 0644));
    for (int size = 0; size < 4200; size += size < 40 ? 1 : 97) {
        memset(how, 0, sizeof how);
        printf("%ld ", call(437, -100, (long)"/tmp/how", (long)how, size, 0, 0));
    }
    for (int bit = 0; bit < 192; bit++) {
        if (bit == 2 * 64 + 5) /* RESOLVE_CACHED: EAGAIN is always a legal answer */
            continue;
        memset(how, 0, sizeof how);
        how[bit / 64] = 1UL << (bit % 64); /* flags, mode, resolve */
        long result = call(437, -100, (long)"/tmp/how", (long)how, 24, 0, 0);
        printf("%ld ", result >= 0 ? 0 : result);
        if (result >= 0)
            close((int)result);
        sum += result;
    }
    printf("\nmarker %d\n", marker_is_there());
    return sum == 0;
}

/* open, openat and creat with every pair of flags, on what there is and what there is not. */
static void open_with(int call_by, const char *path, int bits, unsigned mode)
{
    struct stat state = {0};
    long fd = call_by == SYS_open ? call(SYS_open, (long)path, bits, mode, 0, 0, 0)
        : call_by == SYS_creat    ? call(SYS_creat, (long)path, mode, 0, 0, 0, 0)
                                  : call(SYS_openat, AT_FDCWD, (long)path, bits, mode, 0, 0);

    if (fd < 0) {
        printf("%ld ", fd);
        return;
    }
    fstat((int)fd, &state);
    printf("%o:%x ", state.st_mode, (unsigned)fcntl((int)fd, F_GETFL));
    close((int)fd);
}

static int opens(void)
{
    static const char *const paths[] = {"/tmp/opens/f", "/tmp/opens/d", "/tmp/opens/l", "ld", "new", "/tmp/opens/dangling", "f/x", "ld/../l",
                                        "d/", "."};

    umask(022);
    mkdir("/tmp/opens", 0755);
    if (chdir("/tmp/opens"))
        return 1;
    mkdir("d", 0755);
    close(open("f", O_WRONLY | O_CREAT, 0644));
    symlink("f", "l");
    symlink("/tmp/opens/d", "ld");
    symlink("nowhere", "dangling");
    for (unsigned p = 0; p < sizeof paths / sizeof *paths; p++) {
        printf("\n%s ", paths[p]);
        for (int first = 0; first < 32; first++)
            for (int second = first; second < 32; second++) {
                open_with(first % 2 ? SYS_open : SYS_openat, paths[p], 1u << first | 1u << second, second % 3 ? 0104644 : 07777);
                unlink("new");
                unlink("nowhere");
            }
        open_with(SYS_open, paths[p], 3, 0);
        open_with(SYS_creat, paths[p], 0, 0151);
        unlink("new");
        unlink("nowhere");
    }
    unlink("f");
    unlink("l");
    unlink("ld");
    unlink("dangling");
    rmdir("d");
    printf("\nmarker %d\n", marker_is_there());
    return 0;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 2 && !strcmp(argv[1], "numbers")) return numbers(argv[2]);
    if (argc > 1 && !strcmp(argv[1], "pointers")) return pointers();
    if (argc > 1 && !strcmp(argv[1], "refused")) return refused();
    if (argc > 1 && !strcmp(argv[1], "flags")) return flags();
    if (argc > 1 && !strcmp(argv[1], "opens")) return opens();
    return 2;
}
