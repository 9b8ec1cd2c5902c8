/* Install a seccomp filter that refuses calls, and execute a program under it: a container's profile, or a kernel without those calls.
 *
 *   refuse RULE... -- PROGRAM [ARGUMENT...]
 *
 * A rule is CALL[,ARGUMENT[&MASK]=VALUE]...:ERRNO, and the first one that fits a call decides; one that none fits is made. CALL is a number of
 * x86_64, behind an `i` one of i386, or * for every call of both; ARGUMENT counts from 0; 0 for ERRNO lets the call be made.
 *
 *   refuse 310:1 101,0=0x420e:5 56,0&0x10000000=0:0 56:1 i347:38 -- PROGRAM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { CONDITIONS = 6, FAILED = 99 };

static struct sock_filter program[BPF_MAXINSNS];
static int count;

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "refuse: %s: %s\n", what, why);
    exit(FAILED);
}

static void add(unsigned code, unsigned k, unsigned jt, unsigned jf)
{
    if (count == BPF_MAXINSNS)
        fail("rules", "too many");
    program[count++] = (struct sock_filter){(unsigned short)code, (unsigned char)jt, (unsigned char)jf, k};
}

static void load(size_t offset)
{
    add(BPF_LD | BPF_W | BPF_ABS, (unsigned)offset, 0, 0);
}

/* Both halves of an argument; a jump to the end of the rule is put in later. */
static void compare(int argument, unsigned long long mask, unsigned long long value)
{
    for (int half = 0; half < 2; half++) {
        unsigned part = (unsigned)(mask >> 32 * half);

        if (part == 0)
            continue;
        load(offsetof(struct seccomp_data, args[argument]) + 4 * (size_t)half);
        add(BPF_ALU | BPF_AND | BPF_K, part, 0, 0);
        add(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(value >> 32 * half) & part, 0, 1);
    }
}

static void rule(const char *text)
{
    const char *at = text;
    char *end;
    int first = count;

    if (*at == '*') {
        at++;
    } else {
        int wide = *at != 'i';

        load(offsetof(struct seccomp_data, arch));
        add(BPF_JMP | BPF_JEQ | BPF_K, wide ? AUDIT_ARCH_X86_64 : AUDIT_ARCH_I386, 0, 1);
        load(offsetof(struct seccomp_data, nr));
        add(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)strtoul(at + !wide, &end, 0), 0, 1);
        at = end;
    }
    while (*at == ',') {
        unsigned long argument = strtoul(at + 1, &end, 0);
        unsigned long long mask = ~0ull;

        if (*end == '&')
            mask = strtoull(end + 1, &end, 0);
        if (*end != '=' || argument >= CONDITIONS)
            fail(text, "not a rule");
        compare((int)argument, mask, strtoull(end + 1, &end, 0));
        at = end;
    }
    if (*at != ':' || at[1] == 0)
        fail(text, "not a rule");
    unsigned error = (unsigned)strtoul(at + 1, &end, 0);
    if (*end)
        fail(text, "not a rule");
    add(BPF_RET | BPF_K, error ? SECCOMP_RET_ERRNO | error : SECCOMP_RET_ALLOW, 0, 0);
    for (int i = first; i < count; i++)
        if (BPF_CLASS(program[i].code) == BPF_JMP)
            program[i].jf = (unsigned char)(count - i - 1);
}

int main(int argc, char **argv)
{
    struct sock_fprog filter = {0, program};
    int i = 1;

    for (; i < argc && strcmp(argv[i], "--"); i++)
        rule(argv[i]);
    if (i + 1 >= argc)
        fail("usage", "refuse RULE... -- PROGRAM [ARGUMENT...]");
    add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    filter.len = (unsigned short)count;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
        fail("seccomp", strerror(errno));
    execvp(argv[i + 1], argv + i + 1);
    fail(argv[i + 1], strerror(errno));
}
