/* What a program that was just executed can see of its own start.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

#include "ops.h"

extern char end[];

static void emit_proc_link(const char *name)
{
    unsigned char text[4096];
    long n = raw_call(89, (long)name, (long)text, sizeof text, 0, 0, 0);

    if (n < 0)
        emit("%ld", n);
    else
        emit_text(text, (size_t)n);
}

static void emit_proc_text(const char *name)
{
    unsigned char text[8192];
    long fd = raw_call(2, (long)name, O_RDONLY, 0, 0, 0, 0), n;

    if (fd < 0) {
        emit("%ld", fd);
        return;
    }
    n = raw_call(0, fd, (long)text, sizeof text, 0, 0, 0);
    raw_call(3, fd, 0, 0, 0, 0, 0);
    if (n > 0)
        emit_text(text, (size_t)n);
}

static int heap_works(void)
{
    unsigned long now = (unsigned long)raw_call(12, 0, 0, 0, 0, 0, 0);
    unsigned long more = (unsigned long)raw_call(12, (long)(now + 3 * PAGE), 0, 0, 0, 0, 0);

    if (more != now + 3 * PAGE || now < (unsigned long)end)
        return 0;
    memset((void *)now, 1, 3 * PAGE);
    return (unsigned long)raw_call(12, (long)now, 0, 0, 0, 0, 0) == now;
}

int report(int argc, char **argv, char **envp)
{
    unsigned char cwd[4096];
    const char *execfn = (const char *)getauxval(AT_EXECFN);
    char comm[17] = "";
    int environment = 0, descriptors = 0;
    long n = raw_call(79, (long)cwd, sizeof cwd, 0, 0, 0, 0);

    emit("  exec argv=");
    for (int i = 0; i < argc; i++)
        emit_text((unsigned char *)argv[i], strlen(argv[i]));
    while (envp[environment])
        environment++;
    for (int fd = 0; fd < 256; fd++)
        descriptors += raw_call(72, fd, F_GETFD, 0, 0, 0, 0) >= 0;
    prctl(PR_GET_NAME, comm, 0, 0, 0);
    emit(" execfn=");
    emit_text((const unsigned char *)execfn, strlen(execfn));
    emit(" comm=%s envc=%d fds=%d cwd=", comm, environment, descriptors);
    if (n > 0)
        emit_text(cwd, (size_t)n - 1);
    else
        emit("%ld", n);
    emit(" secure=%lu phnum=%lu base=%d heap=%d exe=", getauxval(AT_SECURE), getauxval(AT_PHNUM),
         getauxval(AT_BASE) != 0, heap_works());
    emit_proc_link("/proc/self/exe");
    emit(" cmdline=");
    emit_proc_text("/proc/self/cmdline");
    emit("\n");
    emit_flush();
    return EXIT_REPORT;
}
