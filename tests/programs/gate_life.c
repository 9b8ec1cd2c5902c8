/* A program with calls in pyroot's gate does what programs do to their address space and to themselves.
 *
 *   gate_life MODE       "children", "masks", "code", "filter", "strict", "dispatch", "maps", "texts", "swap", "root", "loop"
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate_sites.h"

#define PAGE 4096

static int bad;

static void expect(const char *what, long is, long was)
{
    if (is != was) {
        bad++;
        printf("BAD %s: %ld, not %ld\n", what, is, was);
        fflush(stdout);
    }
}

static long path_calls(int times)
{
    struct stat st;
    long fd = -1, sum = 0;

    for (int i = 0; i < times; i++) {
        fd = site_open((long)"/d/f", O_RDONLY, 0, 0, 0);
        sum += fd < 0 ? fd : 0;
        if (fd >= 0)
            syscall(SYS_close, fd);
        sum += site_stat((long)"/d/f", (long)&st, 0, 0, 0);
        sum += site_openat(AT_FDCWD, (long)"missing", O_RDONLY, 0, 0) + ENOENT;
        sum += site_access((long)"f", R_OK, 0, 0, 0);
        fd = site_open64((long)"d/f", 0, O_RDONLY, 0, 0);
        sum += fd < 0 ? fd : 0;
        if (fd >= 0)
            syscall(SYS_close, fd);
    }
    return sum;
}

static void end_of(pid_t child, const char *what)
{
    int status = -1;

    expect(what, waitpid(child, &status, 0), child);
    expect(what, status, 0);
}

static char child_stack[65536] __attribute__((aligned(16)));

static int cloned(void *path)
{
    struct stat st;

    (void)path;
    return path_calls(5) != 0 || site_lstat((long)"/d", (long)&st, 0, 0, 0) != 0;
}

static void children(void)
{
    static char *const words[] = {"gate_life", "once", NULL};
    char *none[] = {NULL};
    pid_t child;

    for (volatile int i = 0; i < 10; i++) {
        child = fork();
        if (child == 0)
            _exit(path_calls(3) != 0);
        end_of(child, "fork");
        child = vfork();
        if (child == 0) {
            if (path_calls(3) == 0)
                execve("/gate_life", words, none);
            _exit(1);
        }
        end_of(child, "vfork");
        expect("posix_spawn", posix_spawn(&child, "/gate_life", NULL, NULL, words, none), 0);
        end_of(child, "spawned");
        child = clone(cloned, child_stack + sizeof child_stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
        end_of(child, "clone with the memory");
        child = clone(cloned, child_stack + sizeof child_stack, CLONE_FS | CLONE_FILES | SIGCHLD, NULL);
        end_of(child, "clone with the descriptors");
        expect("calls", path_calls(3), 0);
    }
    /* a child with the same memory and a directory of its own */
    child = clone(cloned, child_stack + sizeof child_stack, CLONE_VM | SIGCHLD, NULL);
    expect("calls beside it", path_calls(200), 0);
    end_of(child, "clone beside it");
}

static volatile int faults;

static void on_fault(int number)
{
    (void)number;
    faults++;
}

/* Bad pointers, with SIGSEGV caught; blocked or ignored the kernel resets it at any fault: that differs, and the calls do not. */
static void masks(void)
{
    struct sigaction action = {.sa_handler = on_fault}, now;
    sigset_t set, was;

    sigaction(SIGSEGV, &action, NULL);
    for (int i = 0; i < 50; i++)
        expect("bad pointer", site_open(0x100000 + i, O_RDONLY, 0, 0, 0), -EFAULT);
    expect("faults", faults, 0);
    sigaction(SIGSEGV, NULL, &now);
    expect("handler", now.sa_handler == on_fault, 1);
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    sigprocmask(SIG_BLOCK, &set, &was);
    expect("bad pointer, blocked", site_open(0x100000, O_RDONLY, 0, 0, 0), -EFAULT);
    sigprocmask(SIG_SETMASK, &was, NULL);
    signal(SIGSEGV, SIG_IGN);
    expect("bad pointer, ignored", site_open(0x100000, O_RDONLY, 0, 0, 0), -EFAULT);
    expect("calls", path_calls(5), 0);
}

/* A jump reaches from here to the program. */
#define NEAR(n) (void *)(0x20000000ul + (n) * 0x100000)

typedef long code_type(long, long, long);

static code_type *place(unsigned char *at, const void *code, size_t size)
{
    memcpy(at, code, size);
    return (code_type *)(uintptr_t)at;
}

/* Sites in memory of every kind: whatever is made of them, the calls are right and no byte of others' code has changed. */
static void code(void)
{
    static const unsigned char open_site[] = {0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
                                              0xb8, 2, 0, 0, 0, 0x0f, 0x05, 0xc3};
    /* mov $2, %eax; mov $2, %r8d; syscall; mov %r8, %rax; ret */
    static const unsigned char r8_site[] = {0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xb8, 2, 0, 0, 0, 0x41, 0xb8, 2, 0, 0, 0,
                                            0x0f, 0x05, 0x4c, 0x89, 0xc0, 0xc3};
    int fd = memfd_create("code", 0);
    unsigned char *shared, *other, *pages, *mixed;
    code_type *call;

    ftruncate(fd, 2 * PAGE);
    shared = mmap(NEAR(0), 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, fd, 0);
    other = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    call = place(shared + 64, open_site, sizeof open_site);
    for (int i = 0; i < 6; i++)
        expect("shared code", call((long)"/missing", O_RDONLY, 0), -ENOENT);
    expect("bytes of shared code", memcmp(other + 64, open_site, sizeof open_site), 0);
    mprotect(shared, 2 * PAGE, PROT_READ | PROT_EXEC);
    for (int i = 0; i < 6; i++)
        expect("shared code, read only", call((long)"/missing", O_RDONLY, 0), -ENOENT);
    expect("bytes of shared code", memcmp(other + 64, open_site, sizeof open_site), 0);

    pages = mmap(NEAR(1), 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    call = place(pages + 64, r8_site, sizeof r8_site);
    mprotect(pages, PAGE, PROT_READ | PROT_EXEC);
    for (int i = 0; i < 6; i++)
        expect("another register", call((long)"/missing", O_RDONLY, 0), 2);
    /* across the end of a page, at every distance; then with another kind of page behind */
    for (int from = 1; from < 20; from++) {
        mprotect(pages, 3 * PAGE, PROT_READ | PROT_WRITE);
        call = place(pages + 2 * PAGE - from, open_site, sizeof open_site);
        mprotect(pages, 3 * PAGE, PROT_READ | PROT_EXEC);
        for (int i = 0; i < 6; i++)
            expect("site on two pages", call((long)"/missing", O_RDONLY, 0), -ENOENT);
    }
    mixed = mmap(NEAR(2), 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mmap(mixed + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, PAGE);
    call = place(mixed + PAGE - 15, open_site, sizeof open_site);
    mprotect(mixed, PAGE, PROT_READ | PROT_EXEC);
    mprotect(mixed + PAGE, PAGE, PROT_READ | PROT_EXEC);
    for (int i = 0; i < 6; i++)
        expect("site on two kinds of pages", call((long)"/missing", O_RDONLY, 0), -ENOENT);
    /* at the start of a mapping, and at its end */
    munmap(pages, PAGE);
    mprotect(pages + PAGE, 2 * PAGE, PROT_READ | PROT_WRITE);
    call = place(pages + PAGE, open_site + 12, sizeof open_site - 12);
    mprotect(pages + PAGE, 2 * PAGE, PROT_READ | PROT_EXEC);
    for (int i = 0; i < 6; i++)
        expect("site at the start", call((long)"/missing", O_RDONLY, 0), -ENOENT);
    mprotect(pages + PAGE, 2 * PAGE, PROT_READ | PROT_WRITE);
    call = place(pages + 3 * PAGE - sizeof open_site, open_site, sizeof open_site);
    mprotect(pages + PAGE, 2 * PAGE, PROT_READ | PROT_EXEC);
    for (int i = 0; i < 6; i++)
        expect("site at the end", call((long)"/missing", O_RDONLY, 0), -ENOENT);
}

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))

static void filter(void)
{
    struct sock_filter rules[] = {
        LOAD(nr),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 2, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof rules / sizeof *rules, rules};
    struct stat st;

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    expect("filter", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    for (int i = 0; i < 5; i++) {
        expect("openat", site_openat(AT_FDCWD, (long)"/d/f", O_RDONLY, 0, 0), -EDOM);
        expect("open64", site_open64((long)"/d/f", 0, O_RDONLY, 0, 0), -EDOM);
        expect("stat", site_stat((long)"/d/f", (long)&st, 0, 0, 0), 0);
    }
}

static void strict(void)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0);
        site_open((long)"/d/f", O_RDONLY, 0, 0, 0);
        syscall(SYS_exit, 3);
    }
    expect("wait", waitpid(child, &status, 0), child);
    expect("killed", WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, 1);
}

static char selector = SYSCALL_DISPATCH_FILTER_ALLOW;
static volatile int dispatched;

static void on_dispatch(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    selector = SYSCALL_DISPATCH_FILTER_ALLOW;
    dispatched = info->si_syscall;
}

static void dispatch(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    struct stat st;
    long result;

    action.sa_sigaction = on_dispatch;
    sigaction(SIGSYS, &action, NULL);
    result = prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector);
    if (result < 0) {
        printf("no user dispatch\n");
        return;
    }
    for (int i = 0; i < 5; i++) {
        dispatched = -1;
        selector = SYSCALL_DISPATCH_FILTER_BLOCK;
        site_stat((long)"/d/f", (long)&st, 0, 0, 0);
        selector = SYSCALL_DISPATCH_FILTER_ALLOW;
        expect("dispatched", dispatched, SYS_stat);
        expect("stat", site_stat((long)"/d/f", (long)&st, 0, 0, 0), 0);
    }
}

static void show_file(const char *name, int fd)
{
    char buffer[65536];
    ssize_t n;

    printf("== %s\n", name);
    expect(name, fd >= 0, 1);
    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        fwrite(buffer, 1, n, stdout);
    close(fd);
}

static void maps(void)
{
    static const char *const names[] = {"maps", "smaps", "numa_maps", "mounts", "mountinfo", "status", "stat"};
    char path[64];
    int self;

    for (size_t i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "/proc/self/%s", names[i]);
        show_file(path, (int)site_open((long)path, O_RDONLY, 0, 0, 0));
    }
    /* by relative names, from a descriptor and from the working directory, through sites that are led */
    self = open("/proc/self", O_RDONLY | O_DIRECTORY);
    for (size_t i = 0; i < 5; i++) {
        show_file(names[i], (int)site_openat(self, (long)names[i], O_RDONLY, 0, 0));
        snprintf(path, sizeof path, "task/%d/%s", getpid(), names[i]);
        show_file(path, (int)site_openat(self, (long)path, O_RDONLY | O_NOFOLLOW, 0, 0));
    }
    expect("chdir", chdir("/proc/self"), 0);
    for (size_t i = 0; i < 7; i++) {
        show_file(names[i], (int)site_open((long)names[i], O_RDONLY, 0, 0, 0));
        show_file(names[i], (int)site_open64((long)names[i], 0, O_RDONLY | O_NOFOLLOW, 0, 0));
    }
    for (const char *const *link = (const char *const[]){"exe", "cwd", "root", "fd/0", NULL}; *link; link++) {
        char text[256] = "";
        long n = site_readlink((long)*link, (long)text, sizeof text - 1, 0, 0), m;

        printf("link %s: %ld %s\n", *link, n, text);
        memset(text, 0, sizeof text);
        m = site_readlinkat(self, (long)*link, (long)text, sizeof text - 1, 0);
        printf("link %s: %ld %s\n", *link, m, text);
    }
}

/* Somebody swaps a directory with a link to the host's side; whoever looks through it must see the one or the other of the root's. */
static long rounds = 3000;
static int starved;     /* the mover has what nobody else wants of the CPU */

static void swap(void)
{
    struct stat inside, other, st;
    pid_t mover;
    long seen[2] = {0}, fd;

    expect("in", stat("/swap/a/f", &inside), 0);
    expect("other", stat("/swap/l/f", &other), 0);
    mover = fork();
    if (mover == 0)
        for (;;) {
            syscall(SYS_renameat2, AT_FDCWD, "/swap/a", AT_FDCWD, "/swap/l", 2);
            if (starved)
                sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0});
        }
    /* the first move after a pause, at the moment of a look, is no promise: docs/DIFFERENCES.md */
    while (stat("/swap/a/f", &st) != 0 || st.st_ino == inside.st_ino)
        continue;
    for (long i = 0; i < rounds; i++) {
        int opens = i & 1;

        fd = opens ? site_open((long)"/swap/a/f", O_RDONLY, 0, 0, 0) : site_stat((long)"/swap/a/f", (long)&st, 0, 0, 0);
        if (opens && fd >= 0) {
            fstat((int)fd, &st);
            close((int)fd);
        }
        if (fd < 0)
            expect("swapped", fd, -ENOENT);
        else if (st.st_ino == inside.st_ino || st.st_ino == other.st_ino)
            seen[st.st_ino == other.st_ino]++;
        else
            expect("a file from elsewhere", st.st_ino, inside.st_ino);
    }
    kill(mover, SIGKILL);
    waitpid(mover, NULL, 0);
    printf("seen %ld and %ld\n", seen[0], seen[1]);
}

static volatile int moved;

static int neighbour(void *expected)
{
    struct stat st;

    while (!moved)
        path_calls(1);
    expect("neighbour", site_stat((long)"/f", (long)&st, 0, 0, 0), 0);
    expect("neighbour's file", st.st_ino == *(ino_t *)expected, 1);
    return bad != 0;
}

/* A new root, which one that shares it (and the memory) has, too. */
static void new_root(void)
{
    struct stat st;
    ino_t below;
    pid_t child;

    stat("/d/f", &st);
    below = st.st_ino;
    child = clone(neighbour, child_stack + sizeof child_stack, CLONE_VM | CLONE_FS | SIGCHLD, &below);
    expect("chroot", chroot("/d"), 0);
    expect("chdir", chdir("/"), 0);
    moved = 1;
    for (int i = 0; i < 5; i++) {
        expect("stat", site_stat((long)"/f", (long)&st, 0, 0, 0), 0);
        expect("file", st.st_ino == below, 1);
        expect("outside", site_open((long)"/d/f", O_RDONLY, 0, 0, 0), -ENOENT);
        expect("above", site_stat((long)"/../f", (long)&st, 0, 0, 0), 0);
        expect("file", st.st_ino == below, 1);
    }
    end_of(child, "neighbour");
}

/* Path calls until the other end of standard input is closed; says when they are in the gate. */
static void loop(void)
{
    char byte;

    printf("ready %d\n", getpid());
    fflush(stdout);
    fcntl(0, F_SETFL, O_NONBLOCK);
    while (read(0, &byte, 1) < 0) {
        expect("calls", path_calls(1), 0);
        usleep(2000);
    }
}

int main(int argc, char **argv)
{
    static const struct { const char *name; void (*run)(void); } modes[] = {
        {"children", children}, {"masks", masks}, {"code", code}, {"filter", filter}, {"strict", strict}, {"dispatch", dispatch},
        {"maps", maps}, {"swap", swap}, {"root", new_root}, {"loop", loop},
    };

    rounds = argc > 2 ? atol(argv[2]) : rounds;
    starved = argc > 3;
    expect("first calls", path_calls(4), 0);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (argc > 1 && strcmp(argv[1], modes[i].name) == 0)
            modes[i].run();
    if (argc > 1 && strcmp(argv[1], "once") == 0)
        return bad;
    printf("done %d\n", bad);
    return 0;
}
