/* Each call that pyroot's gate answers, made from a place that is led through it, with known contents everywhere: prints the results and
 * complains (BAD) about a register, flag or byte of the stack that has changed.
 *
 *   gate_probe [few]     the current directory is the root (tests/test_gate.py has the tree); few: not with all flags
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "gate_sites.h"

#define PAGE 4096
#define STACK 16384
#define RED 128

/* What the assembly below loads and keeps: rdi rsi rdx rcx r8 r9 rbx rbp r12-r15, flags, rax, xmm0-15, the red zone. */
struct state {
    uint64_t r[12], flags, rax;
    unsigned char xmm[256] __attribute__((aligned(16)));
    unsigned char red[RED];
};

struct state state_in __attribute__((visibility("hidden"))), state_out __attribute__((visibility("hidden")));
uint64_t own_stack __attribute__((visibility("hidden"))), probe_stack __attribute__((visibility("hidden")));
site_type *probe_site __attribute__((visibility("hidden")));
void probe_go(void);

__asm__(
    ".text; probe_go: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; mov %rsp, own_stack(%rip)\n"
    "mov probe_stack(%rip), %rsp; lea state_in(%rip), %rax\n"
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15; movdqa 112 + 16 * \\n(%rax), %xmm\\n; .endr\n"
    "mov (%rax), %rdi; mov 8(%rax), %rsi; mov 16(%rax), %rdx; mov 24(%rax), %rcx; mov 32(%rax), %r8; mov 40(%rax), %r9\n"
    "mov 48(%rax), %rbx; mov 56(%rax), %rbp; mov 64(%rax), %r12; mov 72(%rax), %r13; mov 80(%rax), %r14; mov 88(%rax), %r15\n"
    "push 96(%rax); popfq; call *probe_site(%rip)\n"
    "movq %rax, state_out + 104(%rip); lea state_out(%rip), %rax\n"
    "mov %rdi, (%rax); mov %rsi, 8(%rax); mov %rdx, 16(%rax); mov %r10, 24(%rax); mov %r8, 32(%rax); mov %r9, 40(%rax)\n"
    "mov %rbx, 48(%rax); mov %rbp, 56(%rax); mov %r12, 64(%rax); mov %r13, 72(%rax); mov %r14, 80(%rax); mov %r15, 88(%rax)\n"
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15; movdqa %xmm\\n, 112 + 16 * \\n(%rax); .endr\n"
    /* the flags go to where the return address was: nothing of the red zone below is touched */
    "pushfq; pop %rbx; mov %rbx, 96(%rax); cld; mov %rsp, %rbp; mov own_stack(%rip), %rsp\n"
    "lea -136(%rbp), %rsi; lea 368(%rax), %rdi; mov $128, %ecx; rep movsb\n"
    "mov %rbp, probe_stack(%rip); pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n");

static unsigned char *stack, *page, *edge;
static int bad, quiet = 1, few;
static const char *label = "";

static void complain(const char *what, uint64_t is, uint64_t was)
{
    bad++;
    printf("BAD %s: %s is %#lx, was %#lx\n", label, what, is, was);
}

#define FLAGS_SEEN 0xcd5u       /* CF PF AF ZF SF DF OF */

static void check_state(const struct site *site, uint64_t top)
{
    static const char *names[] = {"rdi", "rsi", "rdx", "r10", "r8", "r9", "rbx", "rbp", "r12", "r13", "r14", "r15"};

    for (int i = 0; i < 12; i++) {
        uint64_t was = state_in.r[i];

        if (site->call == site_open64 && i < 2)
            was = i ? state_in.r[0] : 0xffffff9cu;
        if (state_out.r[i] != was)
            complain(names[i], state_out.r[i], was);
    }
    if ((state_out.flags ^ state_in.flags) & FLAGS_SEEN)
        complain("flags", state_out.flags, state_in.flags);
    if (probe_stack != top)
        complain("rsp", probe_stack, top);
    if (memcmp(state_in.xmm, state_out.xmm, sizeof state_in.xmm))
        complain("xmm", 0, 0);
    for (int i = 0; i < RED; i++)
        if (state_out.red[i] != 0xa5)
            complain("red zone", i, 0), i = RED;
    for (uint64_t i = top - (uint64_t)stack; i < STACK; i++)
        if (stack[i] != 0xa5)
            complain("stack above rsp", i, 0), i = STACK;
}

/* Make one call with `room` bytes of stack below it. */
static long make(const struct site *site, const long *args, unsigned room)
{
    static unsigned turn;
    uint64_t top;

    memset(stack, 0xa5, STACK);
    top = (uint64_t)stack + (room ? room : STACK - 2048 - turn % 2 * 8);
    for (int i = 0; i < 12; i++)
        state_in.r[i] = i < 5 ? (uint64_t)args[i] : 0x1111111111111111u * (unsigned)i + turn;
    for (int i = 0; i < 256; i++)
        state_in.xmm[i] = (unsigned char)(i * 7 + turn);
    state_in.flags = 0x202 | (turn++ & 1 ? FLAGS_SEEN : 0);
    probe_stack = top;
    probe_site = site->call;
    probe_go();
    check_state(site, top);
    return (long)state_out.rax;
}

/* A directory that pyroot makes up is another one in each run, and so is a file without a name. */
static long inode(unsigned long number)
{
    return strncmp(label, "\"g\"", 3) == 0 || strncmp(label, "\"/g\"", 4) == 0 || strstr(label, " 0x410002,") ? 0 : (long)number;
}

static void show(const struct site *site, const long *args, long result, const unsigned char *buffer)
{
    const struct stat *st = (const struct stat *)buffer;
    const struct statx *stx = (const struct statx *)buffer;
    struct stat opened;

    printf("%s %s: ", site->name, label);
    if (result < 0) {
        printf("%s\n", strerrorname_np((int)-result));
        return;
    }
    if (strncmp(site->name, "open", 4) == 0) {
        fstat((int)result, &opened);
        printf("fd %#o %ld flags %#o %#x\n", opened.st_mode, inode(opened.st_ino), fcntl((int)result, F_GETFL), fcntl((int)result, F_GETFD));
        close((int)result);
    } else if (strstr(site->name, "readlink")) {
        printf("%ld %.*s\n", result, (int)result, buffer);
    } else if (strcmp(site->name, "statx") == 0) {
        printf("%#o %ld %ld mount %d\n", stx->stx_mode, inode(stx->stx_ino), (long)stx->stx_size,
               !!(stx->stx_attributes & stx->stx_attributes_mask & STATX_ATTR_MOUNT_ROOT));
    } else if (strstr(site->name, "stat")) {
        printf("%#o %ld %lu\n", st->st_mode, inode(st->st_ino), st->st_size);
    } else {
        printf("%ld\n", result);
    }
    (void)args;
}

/* Make a call with a path and whatever else it takes. */
static void one(const struct site *site, long dirfd, const void *path, long flags, int bad_buffer, unsigned room)
{
    static unsigned char buffer[4096];
    long args[5] = {0}, out = bad_buffer ? 0x10 : (long)buffer, result;

    args[0] = dirfd;
    args[site->path] = (long)path;
    if (site->out >= 0)
        args[site->out] = out;
    if (strstr(site->name, "xattr")) {
        if (site->out == 2)
            args[1] = (long)"user.gate";
        args[site->out + 1] = 256;
    } else if (strstr(site->name, "readlink")) {
        args[site->out + 1] = 64;
    } else if (strcmp(site->name, "statx") == 0) {
        args[2] = flags;
        args[3] = STATX_BASIC_STATS;
    } else if (strncmp(site->name, "open", 4) == 0) {
        args[site->call == site_open64 ? 2 : site->path + 1] = flags;
    } else if (strstr(site->name, "access")) {
        args[site->path + 1] = R_OK;
        args[site->path + 2] = flags;
    } else {
        args[3] = flags;
    }
    memset(buffer, 0, sizeof buffer);
    result = make(site, args, room);
    if (!quiet)
        show(site, args, result, buffer);
}

static const char *const texts[] = {
    "f", "d", "d/f", "./d/f", "d/./f", "d//f", "d/f/", "d/", "f/", "missing", "missing/x", "f/x", "link", "dlink", "dlink/f", "dlink/", "dangling",
    "loop", "..", "../f", "d/../f", ".", "./", "", "closed/f", "b", "b/f", "b/d/f", "m/n", "m/n/f", "m", "mf", "g", "g/n", "g/n/f", "d/b", "fifo/x", "...", "..d", "d/...", ".d/f",
    "up", "./up", "d/up", "d/./up", "./d/up", "d/far", "d/self/f", "d/self/up", "d/parent/f", "d/parent", "d/into", "d/abs", "d/slash", "chain", "dup/up",
    "dup/../f", "d/e/two", "./d/e/two", "d/./e/two", "d/e/./two", "d/e/dots", "via", "tolink", "d/name", "d/name/", "d/name/x", "many", "empty",
    "b/back", "b/in", "b/d/up", "b/d/far", "b/out", "d/b/back", "d/b/d/far", "m/n/back", "dlink/up", "dlink/./up", "dlink/e/two",
    "/up", "/d/up", "/d/far", "/d/self/f", "/d/self/up", "/d/parent/f", "/d/parent", "/d/into", "/d/abs", "/d/slash", "/chain", "/dup/up", "/d/e/two",
    "/d/e/dots", "/via", "/tolink", "/d/name", "/d/name/", "/d/name/x", "/many", "/empty", "/b/back", "/b/in", "/b/d/up", "/b/d/far", "/m/n/back", "/dlink/up",
    "/dlink/e/two", "/dlink/missing", "/dlink/missing/x", "dlink/missing", "dlink/f/x", "/dlink", "/adlink", "/adlink/", "adlink/up", "/link/x",
    "/f", "/d/f", "/d//f", "//d/f", "/d/", "/f/", "/d/./f", "/d/../f", "/missing", "/missing/x", "/f/x", "/link", "/alink", "/dlink/f", "/adlink/f", "/dlink",
    "/dangling", "/loop", "/", "//", "/..", "/../f", "/closed/f", "/b", "/b/", "/b/f", "/b/d/f", "/b/missing", "/b/out", "/m", "/m/n", "/m/n/f", "/mf", "/g", "/g/n", "/g/n/f", "/g/x",
    "/d/b", "/...", "/d/...", "/..d", "/.", "/d/.", "/d/..",
};

static void all_paths(const struct site *site, long dirfd, long flags, const char *with)
{
    char name[128];

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        snprintf(name, sizeof name, "\"%s\" %s", texts[i], with);
        label = name;
        one(site, dirfd, texts[i], flags, 0, 0);
    }
}

static char long_text[6000];

static const char *long_path(int size, int part, int absolute)
{
    char *to = long_text;

    for (int i = 0; i < size; i++)
        *to++ = i % part == 0 && (i || absolute) ? '/' : 'n';
    *to = 0;
    return long_text;
}

static void odd_pointers(const struct site *site)
{
    static char name[64];
    const void *const odd[] = {NULL, (void *)0x10, (void *)0xffff, page + 2 * PAGE, page + 3 * PAGE, (void *)0xffff800000000000, (void *)0x7ffffffff000,
                               (void *)0x8000000000000000, (void *)-1, page + PAGE - 3, page + PAGE, edge, edge + PAGE, edge + PAGE - 2};
    const int sizes[][2] = {{255, 999}, {256, 999}, {254, 100}, {399, 100}, {400, 100}, {414, 60}, {415, 60}, {416, 60}, {600, 200}, {4095, 200}, {4096, 200},
                            {5000, 200}};

    label = name;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        snprintf(name, sizeof name, "pointer %zu", i);
        one(site, AT_FDCWD, odd[i], 0, 0, 0);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int absolute = 0; absolute < 2; absolute++) {
            snprintf(name, sizeof name, "%d bytes, absolute %d", sizes[i][0], absolute);
            one(site, AT_FDCWD, long_path(sizes[i][0], sizes[i][1], absolute), 0, 0, 0);
        }
    if (site->out >= 0) {
        snprintf(name, sizeof name, "bad buffer");
        one(site, AT_FDCWD, "f", 0, 1, 0);
        one(site, AT_FDCWD, "/d/f", 0, 1, 0);
        one(site, AT_FDCWD, "/missing", 0, 1, 0);
    }
    for (unsigned room = 160; room < 2048; room += room < 400 ? 8 : 40) {
        snprintf(name, sizeof name, "%u bytes of stack", room);
        one(site, AT_FDCWD, "/d/f", 0, 0, room);
    }
}

static void all_calls(const struct site *site)
{
    static const int open_flags[] = {O_RDONLY, O_PATH, O_PATH | O_NOFOLLOW, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, O_DIRECTORY, O_RDWR, O_TMPFILE | O_RDWR,
                                     O_NONBLOCK | O_NOATIME | O_NOCTTY, 0x40000000, O_PATH | O_WRONLY | O_APPEND, O_CREAT | O_DIRECTORY};
    static const int at_flags[] = {0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, AT_EACCESS, 0x10000, 0x6000, -1};
    int opens = strncmp(site->name, "open", 4) == 0, flagged = site->call == site_fstatat || site->call == site_statx || site->call == site_faccessat2;
    int count = opens ? sizeof open_flags / sizeof *open_flags : flagged ? sizeof at_flags / sizeof *at_flags : 1;
    int fds[] = {AT_FDCWD, open("d", O_RDONLY), open("/", O_PATH), open("f", O_RDONLY), 99, -1, open("b", O_PATH | O_DIRECTORY), open("d", O_PATH)};
    char with[64];

    for (int i = 0; i < (few && count > 3 ? 3 : count); i++)
        for (int k = 0; k < (site->dirfd && !few ? (int)(sizeof fds / sizeof *fds) : 1); k++) {
            snprintf(with, sizeof with, "flags %#x, directory %d", opens ? open_flags[i] : at_flags[i], k);
            all_paths(site, fds[k], opens ? open_flags[i] : at_flags[i], with);
        }
    odd_pointers(site);
    for (size_t k = 1; k < sizeof fds / sizeof *fds; k++)
        if (fds[k] > 2 && fds[k] != 99)
            close(fds[k]);
}

static void on_fault(int number)
{
    printf("BAD %s: signal %d reached the program\n", label, number);
    fflush(stdout);
    _exit(2);
}

static void prepare(void)
{
    int fd = open("f", O_RDONLY);

    stack = (unsigned char *)mmap(NULL, STACK + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + PAGE;
    mprotect(stack - PAGE, PAGE, PROT_NONE);
    page = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(page, 'f', PAGE);
    munmap(page + PAGE, PAGE);
    mprotect(page + 2 * PAGE, PAGE, PROT_NONE);
    munmap(page + 3 * PAGE, PAGE);
    /* a file's mapping that goes on behind its end */
    edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    memcpy(edge + PAGE - 2, "f", 2);
    close(fd);
}

int main(int argc, char **argv)
{
    struct sigaction faults = {.sa_handler = on_fault}, now;

    few = argc > 1 && strcmp(argv[1], "few") == 0;
    prepare();
    sigaction(SIGSEGV, &faults, NULL);
    sigaction(SIGBUS, &faults, NULL);
    for (quiet = 1; quiet >= 0; quiet--)
        for (int i = 0; i < SITES; i++)
            for (int again = quiet ? 3 : 1; again > 0; again--)
                if (quiet)
                    one(&sites[i], AT_FDCWD, "f", 0, 0, 0);
                else
                    all_calls(&sites[i]);
    sigaction(SIGSEGV, NULL, &now);
    if (now.sa_handler != on_fault)
        printf("BAD the handler of SIGSEGV is gone\n");
    printf("done %d\n", bad);
    return 0;
}
