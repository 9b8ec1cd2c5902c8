/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Run a program through the guest loader, doing for one execve what the supervisor does: exec the loader, write struct
 * loader_info at the exec event, let go. Used by test_loader.py.
 *
 *   loader_tracer [-n] [-p PROGRAM] [-i INTERPRETER] [-e EXECFN] [-c COMM] [-x PREFIX]... [-a FILE] [-A ADDRESS]
 *                 [-s ARENA_SIZE] [-R] [-B] [-F] LOADER ARG0 ARGS...
 *
 * -n: execute PROGRAM itself, for comparison; -a: shared arena; -R: no address randomisation; -B: refuse PR_SET_MM;
 * -F: use up all file descriptors of the soft limit first; -M: write a wrong magic number.
 * Exits with the program's status, 128+N for a signal, 125 for its own failure.
 */
#define _GNU_SOURCE
#include "loader.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static union {
    struct loader_info info;
    char bytes[LOADER_INFO_SIZE];
} block;
static unsigned int used = sizeof(struct loader_info);

static void die(const char *what)
{
    perror(what);
    exit(125);
}

static unsigned int add(const char *text)
{
    unsigned int at = used;

    if (used + strlen(text) + 1 > sizeof(block)) {
        errno = ENOSPC;
        die("loader_info");
    }
    strcpy(block.bytes + used, text);
    used += strlen(text) + 1;
    return at;
}

static void refuse_set_mm(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_MM, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(*code), code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        die("seccomp");
}

static void use_up_descriptors(void)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 64;
    setrlimit(RLIMIT_NOFILE, &limit);
    while (dup(0) >= 0)
        ;
}

static int trace(pid_t child, const char *loader)
{
    struct iovec from = {block.bytes, used}, to = {(void *)LOADER_INFO, used};
    int status;

    if (waitpid(child, &status, 0) != child)
        die("waitpid");
    if (WIFSTOPPED(status) && loader) {
        if (ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL) ||
            ptrace(PTRACE_CONT, child, 0, 0) || waitpid(child, &status, 0) != child)
            die("ptrace");
        if (WIFSTOPPED(status)) {
            if (status >> 8 != (SIGTRAP | PTRACE_EVENT_EXEC << 8))
                die("not the exec event");
            if (process_vm_writev(child, &from, 1, &to, 1, 0) != (ssize_t)used)
                die("process_vm_writev");
        }
    }
    if (WIFSTOPPED(status)) {
        if (ptrace(PTRACE_DETACH, child, 0, 0))
            die("detach");
        if (waitpid(child, &status, 0) != child)
            die("waitpid");
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
    int option, native = 0, no_random = 0, refuse = 0, fill = 0;
    const char *program = 0, *execfn = 0;
    struct loader_info *info = &block.info;
    pid_t child;

    info->magic = LOADER_MAGIC;
    info->arena_addr = LOADER_ARENA;
    while ((option = getopt(argc, argv, "+np:i:e:c:x:a:A:s:RBFM")) != -1) {
        switch (option) {
        case 'n': native = 1; break;
        case 'p': program = optarg; info->off_prog = add(optarg); break;
        case 'i': info->off_interp = add(optarg); break;
        case 'e': execfn = optarg; break;
        case 'c': info->off_comm = add(optarg); break;
        case 'a': info->flags |= LI_SHARED_ARENA; info->off_arena = add(optarg); break;
        case 'A': info->arena_addr = strtoull(optarg, 0, 0); break;
        case 's': info->arena_size = strtoull(optarg, 0, 0); break;
        case 'R': no_random = 1; break;
        case 'B': refuse = 1; break;
        case 'F': fill = 1; break;
        case 'M': info->magic++; break;
        case 'x': {
            unsigned int at = add(optarg);

            if (!info->nprefix++)
                info->off_prefix = at;
            break;
        }
        default: return 125;
        }
    }
    info->off_execfn = add(execfn ? execfn : program);
    child = fork();
    if (child == 0) {
        const char *file = native ? program : argv[optind];

        if (no_random)
            personality(ADDR_NO_RANDOMIZE);
        if (refuse)
            refuse_set_mm();
        if (ptrace(PTRACE_TRACEME, 0, 0, 0))
            die("PTRACE_TRACEME");
        raise(SIGSTOP);
        if (fill)
            use_up_descriptors();
        execv(file, argv + optind + 1);
        die(file);
    }
    return trace(child, native ? 0 : argv[optind]);
}
