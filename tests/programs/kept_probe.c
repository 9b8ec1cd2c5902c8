/* A guest that tries to get memory of its own where calls are exempt from pyroot's filter, or where rewritten arguments lie.
 *
 *   kept_probe STUBS KEPT ARENA SIZE OUTSIDE     addresses and sizes in hexadecimal, a file that the root does not show
 *
 * Prints a line for each attempt that is not refused, and one at the end that says whether calls are still translated.
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
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#define LOADER_TEXT (2 * PAGE)          /* LOADER_TEXT_SIZE of pyroot/guest/layout.py, the last pages of what stays */
#define ALL (PROT_READ | PROT_WRITE | PROT_EXEC)

static char *stubs, *arena;
static size_t kept, size;
static const char *outside, *who = "first";
static int got;

static void tried(const char *what, const char *where, long result)
{
    if (result == -1)
        return;
    printf("%s: %s of %s is not refused\n", who, what, where);
    got++;
}

static long as_result(void *address)
{
    return address == MAP_FAILED ? -1 : 0;
}

/* What would move, replace or change a range. */
static void try_range(const char *where, char *from, size_t n)
{
    char *far = (char *)0x100000000000, *own = mmap(0, n, ALL, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int id = shmget(IPC_PRIVATE, n, 0600);
    struct iovec part = {from, n};

    tried("munmap", where, munmap(from, n));
    tried("munmap from below", where, munmap(from - 16 * PAGE, n + 16 * PAGE));
    tried("munmap of much", where, munmap((char *)0x560000000000, 0x10000000000));
    tried("mmap", where, as_result(mmap(from, n, ALL, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)));
    tried("mmap from below", where, as_result(mmap(from - PAGE, 2 * PAGE, ALL, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)));
    tried("mmap without replacing", where,
          as_result(mmap(from, PAGE, ALL, MAP_PRIVATE | MAP_ANONYMOUS | 0x100000, -1, 0)));
    tried("mprotect", where, mprotect(from, PAGE, ALL));
    tried("pkey_mprotect", where, syscall(SYS_pkey_mprotect, from, PAGE, ALL, -1));
    tried("mremap", where, as_result(mremap(from, n, n, MREMAP_MAYMOVE | MREMAP_FIXED, far)));
    tried("mremap to smaller", where, as_result(mremap(from, n, PAGE, 0)));
    tried("mremap onto", where, as_result(mremap(own, n, n, MREMAP_MAYMOVE | MREMAP_FIXED, from)));
    tried("remap_file_pages", where, syscall(SYS_remap_file_pages, from, PAGE, 0, 1, 0));
    if (id >= 0) {
        tried("shmat", where, as_result(shmat(id, from, SHM_REMAP)));
        shmctl(id, IPC_RMID, 0);
    }
    tried("madvise", where, madvise(from, n, MADV_DONTFORK));
    tried("process_madvise", where, syscall(SYS_process_madvise, -10000, &part, 1, MADV_DONTFORK, 0));
    munmap(own, n);
}

/* Writes that do not ask for the rights of the page. */
static void try_writes(const char *where, char *at)
{
    char byte = 0x5a, before = *at;
    struct iovec from = {&byte, 1}, to = {at, 1};
    int file = open("/proc/self/mem", O_RDWR), child, status;

    if (file >= 0) {
        tried("pwrite to /proc/self/mem", where, pwrite(file, &byte, 1, (off_t)(uintptr_t)at));
        close(file);
    }
    tried("process_vm_writev", where, process_vm_writev(getpid(), &from, 1, &to, 1, 0));
    fflush(stdout);
    child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        _exit(*at != before);
    }
    waitpid(child, &status, 0);
    if (WIFSTOPPED(status)) {
        tried("PTRACE_POKETEXT", where, ptrace(PTRACE_POKETEXT, child, at, 0x5a5a5a5a5a5a5a5a));
        ptrace(PTRACE_CONT, child, 0, 0);
        waitpid(child, &status, 0);
    }
    if (*at != before || status != 0)
        tried("a write", where, 0);
}

static void try_all(void)
{
    int n = 0;

    try_range("code", stubs, kept);
    try_range("a page of code", stubs + PAGE, PAGE);
    try_range("the last page of code", stubs + kept - PAGE, PAGE);
    try_range("the arena", arena, size);
    try_range("a page of the arena", arena + size - PAGE, PAGE);
    try_writes("code", stubs + PAGE + 0x800);
    try_writes("code", stubs + kept - 8);
    try_writes("the arena", arena + PAGE);
    /* nothing in the place of the loader makes a call */
    for (size_t i = kept - LOADER_TEXT; i + 1 < kept; i++)
        n += stubs[i] == 0x0f && stubs[i + 1] == 0x05;
    tried("a call", "the loader's text", n ? 0 : -1);
}

/* Calls from own code right beside what stays, and everywhere else there. */
static void try_beside(void)
{
    static const unsigned char code[] = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x48, 0x89, 0xca, 0x0f, 0x05, 0xc3};
    char *places[] = {stubs - PAGE, stubs + kept, stubs + 0x10000, stubs - 0x100000, stubs - 0xff000, stubs - 0xf0000, stubs - 0xe0000,
                      arena - PAGE, arena + size};

    for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
        char *at = mmap(places[i], PAGE, ALL, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), *end = at + PAGE - 3;

        if (at == MAP_FAILED)
            continue;
        memcpy(at, code, sizeof code);
        memcpy(end - 12, code, sizeof code);            /* the call is the last instruction but one */
        tried("open by own code", "a place beside", ((long (*)(long, ...))(void *)at)(SYS_open, outside, O_RDONLY, 0) >= 0 ? 0 : -1);
        tried("open by own code", "the end beside", ((long (*)(long, ...))(void *)(end - 12))(SYS_open, outside, O_RDONLY, 0) >= 0 ? 0 : -1);
        munmap(at, PAGE);
    }
}

static void whole(const char *name)
{
    struct stat st;

    who = name;
    try_all();
    try_beside();
    for (int i = 0; i < 3; i++) {
        tried("open", "what is outside", open(outside, O_RDONLY));
        if (stat("/", &st) < 0)
            tried("a lost root", "stat", 0);
    }
    fflush(stdout);
}

static int in_child(void *name)
{
    whole(name);
    return got != 0;
}

int main(int argc, char **argv)
{
    static char stack[1 << 16];
    int status, child;

    if (argc < 6)
        return 2;
    stubs = (char *)strtoul(argv[1], 0, 16);
    kept = strtoul(argv[2], 0, 16);
    arena = (char *)strtoul(argv[3], 0, 16);
    size = strtoul(argv[4], 0, 16);
    outside = argv[5];
    whole(argc > 6 ? "executed" : "first");
    child = fork();
    if (child == 0)
        exit(in_child("child"));
    waitpid(child, &status, 0);
    got += status != 0;
    child = clone(in_child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, "shared");
    waitpid(child, &status, 0);
    got += status != 0;
    if (argc == 6) {
        argv[0] = "/proc/self/exe";
        execl("/kept", "kept", argv[1], argv[2], argv[3], argv[4], argv[5], "again", (char *)0);
    }
    printf("kept %d\n", got);
    return got != 0;
}
