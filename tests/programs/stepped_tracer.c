/* A tracer that is stepped by a tracer of its own: does its wait find what it waits for in time, and who sees SIGCHLD?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Trace a child, which stops after 300 ms, and wait for it. */
static void traced_tracer(volatile int *found)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        usleep(300000);
        raise(SIGUSR1);
        _exit(0);
    }
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    usleep(50000);
    raise(SIGSTOP);
    *found = syscall(SYS_wait4, child, &status, __WALL, NULL) == child && WIFSTOPPED(status);
    kill(child, SIGKILL);
    _exit(0);
}

int main(void)
{
    volatile int *found = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    long began = now();
    int status, children = 0;
    pid_t tracer = fork();

    if (tracer == 0)
        traced_tracer(found);
    waitpid(tracer, &status, 0);
    while (!*found && ptrace(PTRACE_SINGLESTEP, tracer, 0, 0) == 0 && waitpid(tracer, &status, 0) == tracer && WIFSTOPPED(status))
        children += WSTOPSIG(status) == SIGCHLD;
    printf("found %d, late %d, SIGCHLD %d\n", *found, now() - began > 2000, children);
    kill(tracer, SIGKILL);
    return 0;
}
