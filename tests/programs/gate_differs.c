/* Show what the gate (pyroot/guest/gate.c) does that the kernel does not: docs/DIFFERENCES.md has a line for each.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gate_sites.h"

enum { RED = 128, DEPTH = 2048 };

/* Say whether a call writes below the red zone. (Nothing is called in between that would.) */
__attribute__((noinline)) static int writes_below(void)
{
    volatile unsigned char *top = (unsigned char *)__builtin_frame_address(0) - 1024;
    int changed = 0;

    for (int i = 1; i < DEPTH; i++)
        top[-i] = 0x5a;
    site_access((long)"/nothing", 0, 0, 0, 0);
    for (int i = 1; i < DEPTH; i++)
        changed += top[-i] != 0x5a;
    return changed > 0;
}

int main(void)
{
    unsigned char before[32];
    struct sigaction now;
    sigset_t set;
    long result;

    memcpy(before, (const void *)(uintptr_t)site_access, sizeof before);
    for (int i = 0; i < 5; i++)
        site_access((long)"/nothing", 0, 0, 0, 0);
    printf("code %s\n", memcmp(before, (const void *)(uintptr_t)site_access, sizeof before) ? "differs" : "same");
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    sigprocmask(SIG_BLOCK, &set, NULL);
    result = site_access(0x100000, 0, 0, 0, 0);
    sigprocmask(SIG_BLOCK, NULL, &set);
    printf("blocked %ld %d\n", result, sigismember(&set, SIGSEGV));
    signal(SIGSEGV, SIG_IGN);
    sigemptyset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    result = site_access(0x100000, 0, 0, 0, 0);
    sigaction(SIGSEGV, NULL, &now);
    printf("ignored %ld %d\n", result, now.sa_handler == SIG_IGN);
    printf("below %s\n", writes_below() ? "written" : "same");
    return 0;
}
