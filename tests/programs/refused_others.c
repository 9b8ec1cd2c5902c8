/* Processes, texts of /proc, memory, signals, other processes, filters, tracers, calls by the numbers of i386. Part of refused_probe.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "refused_probe.h"
#if defined(__x86_64__)
#include "gate_sites.h"
#endif

/* ------------------------------------------------------------------------------------------------------------------- processes */

static void *in_thread(void *given)
{
    struct stat st;

    *(int *)given = stat(at_top("/d/f"), &st) ? -errno : 0;
    return given;
}

/* Start a program by one of the ways there are. */
static void executes(const char *what, const char *path, long fd, long flags)
{
    char *argv[] = {(char *)"name", NULL}, *envp[] = {(char *)"A=b", NULL};
    long result, ends[1] = {0};
    int status = 0, pipes[2];
    pid_t pid;

    fflush(stdout);
    if (pipe2(pipes, O_CLOEXEC))
        return say(what, "pipe2", -errno);
    pid = fork();
    if (pid == 0) {
        if (fd == AT_FDCWD && flags == 0)
            result = make(SYS_execve, (long)path, (long)argv, (long)envp, 0, 0);
        else
            result = make(SYS_execveat, fd, (long)path, (long)argv, (long)envp, flags);
        _exit(write(pipes[1], &result, sizeof result) < 0);
    }
    close(pipes[1]);
    if (read(pipes[0], ends, sizeof ends) <= 0)
        ends[0] = 0;
    close(pipes[0]);
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return say(what, "fork", -errno);
    printf("%s: %s, status %#x\n", what, error_name(ends[0]), status);
}

void programs(void)
{
    int file = open(at_top("/rows"), O_RDONLY | O_CLOEXEC), directory = open(at_top("/"), O_PATH);

    executes("execve", at_top("/rows"), AT_FDCWD, 0);
    executes("execveat of a descriptor", "", file, AT_EMPTY_PATH);
    executes("execve outside", at_top("/outdir/rows"), AT_FDCWD, 0);
#if defined(__x86_64__)
    executes("execve of a name", "./rows", AT_FDCWD, 0);
    executes("execve of a link", at_top("/lrows"), AT_FDCWD, 0);
    executes("execve of a script", at_top("/script"), AT_FDCWD, 0);
    executes("execve of none", at_top("/none"), AT_FDCWD, 0);
    executes("execve of a directory", at_top("/d"), AT_FDCWD, 0);
    executes("execve of a text", at_top("/text"), AT_FDCWD, 0);
    executes("execve in a binding", at_top("/b/rows"), AT_FDCWD, 0);
    executes("execveat", "rows", directory, 0);
#endif
    close(file);
    close(directory);
}

void births(void)
{
    struct { unsigned long long flags, pidfd, child_tid, parent_tid, exit_signal, rest[6]; } how = {.exit_signal = SIGCHLD};
    struct stat st;
    long number = 0;
    pthread_t thread;
    int status = 0, result;

    fflush(stdout);
    number = make(SYS_clone3, (long)&how, sizeof how, 0, 0, 0);
    if (number == 0)
        _exit(stat(at_top("/d/f"), &st) ? errno : 0);
    if (number > 0)
        waitpid((pid_t)number, &status, 0);
    printf("clone3: %s, status %#x\n", error_name(number), status);
    say("unshare", "files", make(SYS_unshare, CLONE_FS, 0, 0, 0, 0));
    status = 0;
    number = vfork();
    if (number == 0)
        _exit(7);
    if (number > 0)
        waitpid((pid_t)number, &status, 0);
    printf("vfork: %s, status %#x\n", number < 0 ? "fails" : "works", status);
    if (pthread_create(&thread, NULL, in_thread, &result) == 0) {
        pthread_join(thread, NULL);
        say("thread", "stat", result);
    } else {
        printf("thread: none\n");
    }
}

/* ------------------------------------------------------------------------------------------------------------------ /proc */

static ssize_t contents(const char *path, char *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -errno : read(fd, text, TEXT_ROOM - 1);
    struct stat st;

    if (fd >= 0 && n < 0)
        n = -errno;
    if (fd >= 0) {
        say("fstat", strrchr(path, '/'), fstat(fd, &st) ? -errno : S_ISREG(st.st_mode) && st.st_size == 0 ? 0 : -EINVAL);
        say("lseek", strrchr(path, '/'), lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0);
        close(fd);
    }
    text[n > 0 ? n : 0] = 0;
    return n;
}

static void link_of(const char *path)
{
    char text[4096];
    ssize_t n = readlink(path, text, sizeof text - 1);

    text[n > 0 ? n : 0] = 0;
    printf("readlink %s: %s\n", path, n < 0 ? error_name(-errno) : below(text));
}

void texts(void)
{
    static char text[TEXT_ROOM];
    static const char *strings[] = {"cmdline", "comm"}, *links[] = {"exe", "cwd"};
    char path[64], *at;
    ssize_t n;
    int fd = open(at_top("/d/f"), O_RDONLY), directory;

    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "/proc/self/%s", strings[i]);
        n = contents(path, text);
        printf("%s: %s", path, n < 0 ? error_name(n) : "");
        for (ssize_t k = 0; k < n; k += (ssize_t)strlen(text + k) + 1)
            if (strcmp(text + k, top))
                printf(" [%s]", below(text + k));
        printf("\n");
    }
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "/proc/self/%s", links[i]);
        link_of(path);
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    say("readlink", "of a descriptor", readlink(path, text, sizeof text) == (ssize_t)strlen(at_top("/d/f")) ? 0 : -errno);
    say("open", "of a descriptor", open(path, O_RDONLY | O_CLOEXEC) < 0 ? -errno : 0);
    directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
    snprintf(path, sizeof path, "%d", fd);
    say("openat", "in /proc/self/fd", openat(directory, path, O_RDONLY | O_CLOEXEC) < 0 ? -errno : 0);
    n = contents("/proc/self/maps", text);
    printf("maps: %s", n < 0 ? error_name(n) : "");
    if (n > 0 && (at = strchr(text, '/'))) {
        at[strcspn(at, "\n")] = 0;
        printf("%s", below(at));
    }
    printf("\n");
    n = contents("/proc/self/status", text);
    printf("status: %s", n < 0 ? error_name(n) : "");
    for (size_t i = 0; i < 3 && n > 0; i++) {
        static const char *fields[] = {"\nTracerPid:", "\nSeccomp:", "\nSeccomp_filters:"};

        at = strstr(text, fields[i]);
        printf(" %.*s", at ? (int)strcspn(at + 1, "\n") : 0, at ? at + 1 : "");
    }
    printf(" %ld\n", make(SYS_prctl, PR_GET_SECCOMP, 0, 0, 0, 0));
    contents("/proc/self/mountinfo", text);
    n = contents("/proc/self/auxv", text);
    for (ssize_t k = 0; k + 2 * (ssize_t)sizeof(long) <= n; k += 2 * (ssize_t)sizeof(long)) {
        unsigned long pair[2];

        memcpy(pair, text + k, sizeof pair);
        if (pair[0] == AT_ENTRY || pair[0] == AT_PHDR || pair[0] == AT_BASE)
            say("auxv", "", pair[1] == getauxval(pair[0]) ? 0 : -EINVAL);
    }
    contents("/proc/self/stat", text);
    for (int i = 3; i < 20; i++)
        close(i);
}

#if defined(__x86_64__)
/* The calls by these numbers, whatever the C library makes of their names. */
void raw_texts(void)
{
    char buffer[256];
    int fd = open("/proc/self/maps", O_RDONLY);
    long result = make(SYS_fstat, fd, (long)buffer, 0, 0, 0);

    printf("raw fstat: %s %#o\n", error_name(result), result < 0 ? 0 : ((struct stat *)buffer)->st_mode);
    result = make(SYS_fstatfs, fd, (long)buffer, 0, 0, 0);
    printf("raw fstatfs: %s %#lx\n", error_name(result), result < 0 ? 0 : *(unsigned long *)buffer);
    close(fd);
}
#endif

#if defined(__x86_64__)
/* ------------------------------------------------------------------------------------------------- memory, signals, other processes */

void memory(void)
{
    char *page = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sockaddr_un *name;
    struct stat st;
    socklen_t size = sizeof *name;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (page == MAP_FAILED)
        return say("mmap", "pages", -errno);
    munmap(page + 4096, 4096);
    strcpy(page + 4092, "d/f");
    say("stat", "before a hole", stat(page + 4092, &st) ? -errno : 0);
    memcpy(page + 4092, "d/fx", 4);
    say("stat", "into a hole", make(SYS_stat, (long)page + 4092, (long)&st, 0, 0, 0));
    say("open", "of nothing", make(SYS_open, 8, O_RDONLY, 0, 0, 0));
    say("mkdir", "of nothing", make(SYS_mkdir, (long)page + 4096, 0700, 0, 0, 0));
    say("rename", "to nothing", make(SYS_rename, (long)at_top("/f"), 8, 0, 0, 0));
    say("clone3", "of nothing", make(SYS_clone3, 8, 88, 0, 0, 0));
    say("openat2", "of nothing", make(SYS_openat2, AT_FDCWD, (long)"f", 8, 24, 0));
    say("stat", "to nothing", make(SYS_stat, (long)at_top("/f"), 8, 0, 0, 0));
    name = (void *)(page + 8192);
    mprotect(name, 4096, PROT_READ);
    say("getsockname", "to what is read only", make(SYS_getsockname, fd, (long)name, (long)&size, 0, 0));
    say("readlink", "to what is read only", make(SYS_readlink, (long)at_top("/abs"), (long)name, 99, 0, 0));
    say("getcwd", "to what is read only", make(SYS_getcwd, (long)name, 99, 0, 0, 0));
    close(fd);
    munmap(page, 4096);
    munmap(name, 4096);
}

static void nothing(int sig)
{
    (void)sig;
}

void signals(void)
{
    struct sigaction act = {.sa_handler = nothing};
    struct itimerval soon = {{0, 0}, {0, 3000}}, often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
    struct stat st;
    long args[5] = {(long)at_top("/d/f"), (long)&st, 0, 0, 0};
    int wrong = 0;

    sigaction(SIGALRM, &act, NULL);
    if (setitimer(ITIMER_REAL, &soon, NULL))
        return say("setitimer", "", -errno);
    say("open", "of a fifo", make(SYS_openat, AT_FDCWD, (long)at_top("/fifo"), O_RDONLY, 0, 0));
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 300; i++)
        wrong += site_stat(args[0], args[1], 0, 0, 0) != 0;
    setitimer(ITIMER_REAL, &never, NULL);
    printf("stat while signals come: %s\n", wrong == 0 ? "works" : wrong == 300 ? "fails" : "fails at times");
}

void others(void)
{
    struct iovec here, there;
    static int value = 42;
    int got = 0, status = 0, fd, ends[2];
    siginfo_t info = {0};
    pid_t pid;
    void *head;
    size_t size;

    fflush(stdout);
    if (pipe(ends))
        return say("pipe", "", -errno);
    pid = fork();
    if (pid == 0) {
        char byte;

        close(ends[1]);
        _exit(read(ends[0], &byte, 1) < 0);
    }
    close(ends[0]);
    here = (struct iovec){&got, sizeof got};
    there = (struct iovec){&value, sizeof value};
    say("process_vm_readv", "", make(SYS_process_vm_readv, pid, (long)&here, 1, (long)&there, 1) == sizeof got ? 0 : -errno);
    say("process_vm_writev", "", process_vm_writev(pid, &here, 1, &there, 1, 0) == sizeof got ? 0 : -errno);
    say("pidfd_open", "", fd = (int)make(SYS_pidfd_open, pid, 0, 0, 0, 0));
    if (fd >= 0) {
        say("pidfd_getfd", "", make(SYS_pidfd_getfd, fd, 0, 0, 0, 0));
        say("pidfd_send_signal", "0", make(SYS_pidfd_send_signal, fd, 0, 0, 0, 0));
        close(fd);
    }
    say("get_robust_list", "", make(SYS_get_robust_list, pid, (long)&head, (long)&size, 0, 0));
    say("kcmp", "", make(SYS_kcmp, getpid(), pid, 0, 0, 0));
    say("sched_getaffinity", "", make(SYS_sched_getaffinity, 0, sizeof here, (long)&here, 0, 0));
    say("kill", "0", kill(pid, 0) ? -errno : 0);
    say("tgkill", "0", make(SYS_tgkill, pid, pid, 0, 0, 0));
    close(ends[1]);
    say("waitid", "", waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) ? -errno : info.si_code == CLD_EXITED ? 0 : -EINVAL);
    say("wait4", "", waitpid(pid, &status, 0) < 0 ? -errno : -status);
}

void filtered(void)
{
    struct sock_filter program[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getuid, 0, 1),
                                    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog filter = {4, program};
    struct stat st;

    say("filter", "PR_SET_NO_NEW_PRIVS", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0);
    say("filter", "seccomp", make(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&filter, 0, 0));
    say("filter", "getuid", make(SYS_getuid, 0, 0, 0, 0, 0));
    say("filter", "stat", stat(at_top("/d/f"), &st) ? -errno : 0);
    say("filter", "open", open(at_top("/abs"), O_RDONLY | O_CLOEXEC) < 0 ? -errno : 0);
    say("filter", "mkdir", mkdir(at_top("/w/filtered"), 0700) ? -errno : 0);
    say("filter", "rmdir", rmdir(at_top("/w/filtered")) ? -errno : 0);
    executes("filter: execve", at_top("/rows"), AT_FDCWD, 0);
}

void restricted(void)
{
    unsigned long long handled = 1ull << 13;        /* LANDLOCK_ACCESS_FS_REFER: the rest stays allowed */
    long fd = make(NR_landlock_create_ruleset, (long)&handled, sizeof handled, 0, 0, 0);
    struct stat st;

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    say("landlock", "create", fd);
    if (fd >= 0)
        say("landlock", "restrict", make(NR_landlock_restrict_self, fd, 0, 0, 0, 0));
    say("landlock", "stat", stat(at_top("/d/f"), &st) ? -errno : 0);
    executes("landlock: execve", at_top("/rows"), AT_FDCWD, 0);
}

void traced(void)
{
    static long value = 42;
    struct user_regs_struct regs;
    int status = 0;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        struct stat st;

        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
            _exit(3);
        raise(SIGSTOP);
        _exit(stat(at_top("/d/f"), &st) ? 1 : 9);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return say("trace", "wait", -errno);
    printf("trace: %#x\n", status);
    if (!WIFSTOPPED(status))
        return;
    errno = 0;
    say("trace", "peek", ptrace(PTRACE_PEEKDATA, pid, &value, NULL) == 42 ? 0 : -(errno ? errno : EINVAL));
    say("trace", "registers", ptrace(PTRACE_GETREGS, pid, NULL, &regs) ? -errno : 0);
    say("trace", "poke", ptrace(PTRACE_POKEDATA, pid, &value, (void *)43) ? -errno : 0);
    if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == 0) {
        waitpid(pid, &status, 0);
        printf("trace of a call: %#x\n", status);
    }
    ptrace(PTRACE_CONT, pid, NULL, NULL);
    if (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status))
        kill(pid, SIGKILL), waitpid(pid, &status, 0);
    printf("trace ends: %#x\n", status);
}

static long old_call(long number, long a, long b, long c)
{
    long result;

    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
    return (int)result;
}

/* By the numbers of i386. */
void old(void)
{
    char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

    if (low == MAP_FAILED)
        return say("mmap", "MAP_32BIT", -errno);
    strcpy(low, at_top("/d/f"));
    say("int80", "access", old_call(33, (long)low, R_OK, 0));
    strcpy(low, at_top("/w/old"));
    say("int80", "mkdir", old_call(39, (long)low, 0700, 0));
    say("int80", "rmdir", old_call(40, (long)low, 0, 0));
    strcpy(low, at_top("/outdir/secret"));
    say("int80", "open", old_call(5, (long)low, O_RDONLY, 0));
    munmap(low, 4096);
}

/* The same program, for i386. */
void small(void)
{
    execl(at_top("/probe32"), "/probe32", top, NULL);
    say("execve", "of an i386 program", -errno);
}
#endif
