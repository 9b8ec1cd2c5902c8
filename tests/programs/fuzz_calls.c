/* Makes random system calls with random arguments, each batch in a child, and tells at the end that it is still there.
 *
 *   fuzz_calls SEED BATCHES PATH...     PATHs are used as strings beside those made up here
 *
 * Left out are calls whose arguments could hit processes of the same user outside, make objects that outlive us, or block the
 * machine: the list is in harmless().
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
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
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "call.h"

enum { CALLS = 24, LAST = 480 };
static uint64_t state;
static char *pages;             /* two pages below 2 GiB, then a hole */
static char **given;
static int givens, sockets[2], directory, gone[3];

static uint32_t chance(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 20) % n;
}

static int harmless(long number)
{
    static const short left_out[] = {
        SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_pidfd_send_signal, SYS_reboot, SYS_sync,
        SYS_syncfs, SYS_shmget, SYS_semget, SYS_msgget, SYS_mq_open, SYS_setpriority, SYS_ioprio_set, SYS_sched_setscheduler,
        SYS_sched_setparam, SYS_sched_setattr, SYS_prlimit64, SYS_migrate_pages, SYS_move_pages, SYS_fcntl, SYS_process_madvise,
        SYS_process_mrelease, SYS_keyctl, SYS_add_key, SYS_request_key, SYS_msgctl, SYS_semctl, SYS_shmctl, SYS_msgsnd, SYS_msgrcv,
        SYS_semop, SYS_semtimedop, SYS_shmat, SYS_setpgid, SYS_setsid, SYS_mq_unlink, SYS_vhangup, SYS_io_setup, SYS_fallocate,
    };

    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (number == left_out[i])
            return 0;
    return 1;
}

/* The same for the numbers of int 0x80 (asm/unistd_32.h). */
static int harmless80(long number)
{
    static const short left_out[] = {
        1, 2, 29, 36, 37, 55, 57, 66, 97, 110, 111, 117, 120, 154, 156, 178, 190, 221, 238, 245, 252, 270, 277, 278, 279, 280, 281, 282,
        286, 287, 288, 289, 294, 317, 324, 335, 340, 344, 351, 393, 394, 395, 396, 397, 398, 399, 400, 401, 402, 420, 424, 435, 440, 448,
    };

    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (number == left_out[i])
            return 0;
    return 1;
}

static long call80(long number, const long *a)
{
    long result;

    __asm__ volatile("push %%rbx; mov %2, %%ebx; int $0x80; pop %%rbx" : "=a"(result)
                     : "a"(number), "r"((int)a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4]) : "r8", "r9", "r10", "r11", "memory");
    return result;
}

/* A path, put where it ends right before the hole, at a page boundary, or anywhere. */
static long path(void)
{
    static const char *parts[] = {"/", ".", "..", "/marker", "place", "/proc/self/fd", "/proc/self/root", "l", "", "//", "/tmp/",
                                  "/proc/self/exe", "/proc/thread-self/cwd", "tmp/f", "/abs", "/dev/../", "/proc/self/fd/0", "x"};
    char text[9000];
    size_t n = 0;

    if (chance(4) == 0) {
        static const char *short_ones[] = {"..", ".", "/", "", "../", "./..", "../..", "//", "/..", "../x", "./", "/.", "x/..", "../../", "/../"};
        n = strlen(strcpy(text, short_ones[chance(sizeof short_ones / sizeof *short_ones)]));
    } else if (givens && chance(3) == 0) {
        n = strlen(strcpy(text, given[chance((uint32_t)givens)]));
    } else {
        for (uint32_t i = chance(7) + 1; i; i--)
            n += strlen(strcpy(text + n, parts[chance(sizeof parts / sizeof *parts)]));
        if (chance(20) == 0)
            for (; n < 4090 + chance(20); n++)
                text[n] = "/ab."[chance(4)];
        if (chance(20) == 0)
            for (uint32_t i = chance(300); i; i--)
                text[n++] = 'n';
    }
    text[n] = 0;
    switch (chance(4)) {
    case 0: return (long)memcpy(pages + 8192 - n - 1, text, n + 1);
    case 1: return (long)memcpy(pages + 8192 - n, text, n);               /* without its end */
    case 2: return n + 8 < 4096 + 8 ? (long)memcpy(pages + 4092, text, n + 1 < 4100 ? n + 1 : 4100) : (long)pages;
    default: return (long)strcpy(pages + chance(64), text);
    }
}

/* Directories that are no longer there, as working directory and as descriptors: one whose parent is there, one whose parent is gone,
 * and one that has been moved. */
static void lose_directories(void)
{
    char outer[64], inner[80], lost[80], moved[64];

    snprintf(outer, sizeof outer, "/tmp/outer-%d", getpid());
    snprintf(inner, sizeof inner, "%s/inner", outer);
    snprintf(lost, sizeof lost, "%s/lost", outer);
    snprintf(moved, sizeof moved, "/tmp/moved-%d", getpid());
    mkdir(outer, 0755);
    mkdir(inner, 0755);
    mkdir(lost, 0755);
    gone[0] = open(lost, O_RDONLY | O_DIRECTORY);
    gone[1] = open(inner, O_PATH | O_DIRECTORY);
    gone[2] = open(outer, O_RDONLY | O_DIRECTORY);
    rmdir(lost);
    switch (chance(6)) {
    case 0: fchdir(gone[0]); break;
    case 1: fchdir(gone[1]); break;
    case 2: fchdir(gone[2]); break;
    case 3: chdir("/place"); break;
    }
    if (chance(2)) {
        rmdir(inner);
        if (chance(2))
            rmdir(outer);
    } else {
        rename(outer, moved);
    }
}

/* Calls that take paths, and what their arguments are: d a directory, p a path, m a mode or flags, s a structure or buffer, n a number. */
static const struct { short number; const char *arguments; } shaped[] = {
    {SYS_open, "pmm"}, {SYS_openat, "dpmm"}, {SYS_openat, "dpmm"}, {SYS_openat2, "dpsn"}, {SYS_creat, "pm"}, {SYS_stat, "ps"},
    {SYS_lstat, "ps"}, {SYS_newfstatat, "dpsm"}, {SYS_statx, "dpmns"}, {SYS_access, "pm"}, {SYS_faccessat2, "dpmm"}, {SYS_readlink, "psn"},
    {SYS_readlinkat, "dpsn"}, {SYS_chmod, "pm"}, {SYS_fchmodat, "dpm"}, {SYS_truncate, "pn"}, {SYS_statfs, "ps"}, {SYS_mkdir, "pm"},
    {SYS_mkdirat, "dpm"}, {SYS_mknodat, "dpmn"}, {SYS_rmdir, "p"}, {SYS_unlink, "p"}, {SYS_unlinkat, "dpm"}, {SYS_symlink, "pp"},
    {SYS_symlinkat, "pdp"}, {SYS_link, "pp"}, {SYS_linkat, "dpdpm"}, {SYS_rename, "pp"}, {SYS_renameat, "dpdp"}, {SYS_renameat2, "dpdpm"},
    {SYS_utimensat, "dpsm"}, {SYS_getxattr, "ppsn"}, {SYS_lgetxattr, "ppsn"}, {SYS_listxattr, "psn"}, {SYS_inotify_add_watch, "npm"},
    {SYS_name_to_handle_at, "dpssm"}, {SYS_chdir, "p"}, {SYS_fchdir, "d"}, {SYS_getcwd, "sn"}, {SYS_chroot, "p"}, {SYS_execve, "pss"},
    {SYS_execveat, "dpssm"}, {SYS_bind, "nsn"}, {SYS_connect, "nsn"}, {SYS_getdents64, "dsn"}, {SYS_open_tree, "dpm"}, {SYS_uselib, "p"},
    {SYS_fchownat, "dpnnm"}, {SYS_lchown, "pnn"}, {SYS_umount2, "pm"}, {SYS_mount, "pppms"}, {SYS_swapon, "pm"}, {SYS_acct, "p"},
};

/* The same by the numbers of int 0x80 (asm/unistd_32.h). */
static const struct { short number; const char *arguments; } shaped80[] = {
    {5, "pmm"}, {295, "dpmm"}, {437, "dpsn"}, {8, "pm"}, {9, "pp"}, {10, "p"}, {11, "pss"}, {12, "p"}, {14, "pmn"}, {15, "pm"}, {33, "pm"},
    {38, "pp"}, {39, "pm"}, {40, "p"}, {61, "p"}, {83, "pp"}, {85, "psn"}, {99, "ps"}, {102, "ns"}, {106, "ps"}, {133, "d"}, {141, "dsn"},
    {183, "sn"}, {193, "pnn"}, {195, "ps"}, {196, "ps"}, {220, "dsn"}, {268, "pns"}, {292, "npm"}, {296, "dpm"}, {297, "dpmn"},
    {298, "dpnnm"}, {300, "dpsm"}, {301, "dpm"}, {302, "dpdp"}, {303, "dpdpm"}, {304, "pdp"}, {305, "dpsn"}, {306, "dpm"}, {307, "dpm"},
    {353, "dpdpm"}, {358, "dpssm"}, {361, "nsn"}, {362, "nsn"}, {367, "nsn"}, {369, "nsnmsn"}, {370, "nsm"}, {372, "nsm"}, {383, "dpmns"},
};

static long structure(void)
{
    uint64_t *words = (uint64_t *)(pages + (chance(3) ? 8 * chance(400) : 8192 - 8 * (1 + chance(16))));

    for (int i = 0; i < 16 && (char *)(words + i + 1) <= pages + 8192; i++)
        switch (chance(6)) {
        case 0: words[i] = (uint64_t)path(); break;
        case 1: words[i] = (uint64_t)-1; break;
        case 2: words[i] = chance(200); break;
        case 3: words[i] = (uint64_t)(pages + chance(8192)); break;
        case 4: words[i] = state; break;
        default: words[i] = 0;
        }
    if (chance(3) == 0)
        *(uint16_t *)words = AF_UNIX;
    return (long)words;
}

static long word(void)
{
    switch (chance(15)) {
    case 14: return gone[chance(3)];
    case 0: return AT_FDCWD;
    case 1: return directory;
    case 2: return sockets[chance(2)];
    case 3: return (long)chance(16);
    case 4: return 1L << chance(64);
    case 5: return -(long)chance(5);
    case 6: return (long)(pages + 8192 - chance(9));
    case 7: return (long)(0x7ffffffff000UL - chance(2) * 4096);
    case 8: return (long)chance(0x2000);
    case 9: return structure();
    case 10: return 0;
    case 11: return (long)(0x100000000UL | (uint32_t)AT_FDCWD);
    default: return path();
    }
}

/* Fill in what the call takes, mostly; return its number. */
static long shape(long *a, int by80)
{
    uint32_t which = chance(by80 ? sizeof shaped80 / sizeof *shaped80 : sizeof shaped / sizeof *shaped);
    const char *letter = by80 ? shaped80[which].arguments : shaped[which].arguments;

    for (int i = 0; *letter; i++, letter++)
        switch (*letter) {
        case 'd': a[i] = chance(3) ? gone[chance(3)] : chance(2) ? AT_FDCWD : directory; break;
        case 'p': a[i] = path(); break;
        case 'm': a[i] = chance(2) ? (long)chance(0x400) : (long)(1u << chance(23) | 1u << chance(23)); break;
        case 's': a[i] = structure(); break;
        default: a[i] = chance(2) ? (long)chance(64) : sockets[chance(2)];
        }
    return by80 ? shaped80[which].number : shaped[which].number;
}

static void ignore(int number)
{
    (void)number;
}

static void batch(int turn)
{
    /* what blocks is interrupted, and signals come at any moment */
    struct sigaction interrupt = {.sa_handler = ignore};
    struct itimerval often = {{0, 3000}, {0, 3000}};
    struct rlimit file = {1 << 20, 1 << 20}, memory = {1 << 29, 1 << 29}, files = {64, 64}, none = {0, 0}, time = {2, 2};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_FSIZE, &file);
    setrlimit(RLIMIT_AS, &memory);
    setrlimit(RLIMIT_NOFILE, &files);
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_CPU, &time);
    lose_directories();
    sigaction(SIGALRM, &interrupt, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < CALLS; i++) {
        long a[6], number = chance(LAST), result;
        int kind = (int)chance(12), by80 = kind == 1 || kind == 3;
        for (int k = 0; k < 6; k++)
            a[k] = word();
        if (chance(2))
            number = shape(a, by80);
        if (!(by80 ? harmless80(number) : harmless(number)) || (number == SYS_exit || number == SYS_exit_group || number == SYS_pause))
            continue;
        if (number == SYS_clone)
            a[0] &= ~(long)(CLONE_VM | CLONE_PARENT);   /* a child of ours with a memory of its own */
        if (kind == 0)
            result = call(number | 0x40000000L, a);
        else if (by80)
            result = call80(number, a);
        else if (kind == 2)
            result = call((long)state, a);
        else
            result = call(number, a);
        if (result == 0 && kind > 1 && (number == SYS_clone || number == SYS_clone3 || number == SYS_fork || number == SYS_vfork))
            _exit(0);
    }
    _exit(turn & 0x7f);
}

int main(int argc, char **argv)
{
    int killed = 0, ended = 0, late = 0;
    uint64_t seed;

    if (argc < 3)
        return 0;
    seed = strtoull(argv[1], NULL, 0);
    given = argv + 3;
    givens = argc - 3;
    pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    munmap(pages + 8192, 4096);
    directory = open("/", O_PATH | O_DIRECTORY);
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, sockets))
        return 1;
    for (int i = 0; i < atoi(argv[2]); i++) {
        struct timespec moment = {0, 2000000};
        int status, waited = 0;
        pid_t pid, got = 0;
        state = (seed + (uint64_t)i) * 0x9E3779B97F4A7C15u | 1;
        pid = fork();
        if (pid == 0)
            batch(i);
        while ((got = waitpid(pid, &status, WNOHANG)) == 0 && waited++ < 100)
            nanosleep(&moment, NULL);
        if (got == 0) {
            late++;
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
        } else if (WIFEXITED(status)) {
            ended++;
        } else {
            killed++;
        }
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
    }
    printf("batches %d ended %d killed %d late %d alive %d\n", atoi(argv[2]), ended, killed, late, access("/keep/marker", F_OK) == 0);
    return 0;
}
