/* Scenarios about registers, steps, signals and filters.  SPDX-License-Identifier: GPL-2.0-or-later */
#include "ptrace_probe.h"

/* ------------------------------------------------------------------------------------------------ steps, registers */

static void steps(void)
{
    __asm__ volatile("int3\n\tnop\n\tmov $39, %%eax\n\tsyscall\n\tnop\n\tmov $2, %%eax\n\tlea name(%%rip), %%rdi\n\txor %%esi, %%esi\n\t"
                     "xor %%edx, %%edx\n\tsyscall\n\tnop\n\tint3\n\tjmp 1f\nname: .asciz \"/marker\"\n1:\n" : : : "rax", "rcx", "rdx", "rdi",
                     "rsi", "r11", "memory");
}

static void run_steps(void)
{
    pid_t pid = child_of(steps);
    unsigned long base;
    int i, status;

    REQUEST(PTRACE_CONT, pid, 0, 0);
    wait_for(pid, 0);
    show_info(pid);
    base = REG(pid, rip);
    for (i = 0; i < 12; i++) {
        siginfo_t info;

        REQUEST(PTRACE_SINGLESTEP, pid, 0, 0);
        if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
            break;
        ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
        say("step to %ld: %s code %d ax %d path %d", REG(pid, rip) - base, text_of(status), info.si_code, REG(pid, rax) == pid ? 1 :
            (int)REG(pid, rax), REG(pid, rdi) == (long)base + 10);
    }
    finish(pid);
}

static volatile long watched;
static long many[64];

static void touch(void)
{
    many[1] = 3;
    watched = 1;
    open("/marker", O_RDONLY);
    watched = 2;
    raise(SIGUSR1);
}

static void run_registers(void)
{
    pid_t pid = child_of(touch);
    struct user_regs_struct regs;
    struct user_fpregs_struct fp;
    struct iovec part = {&regs, sizeof regs};
    unsigned long mask = 0;
    siginfo_t pending[4];
    struct { uint64_t off; uint32_t flags; int32_t nr; } how = {0, 1, 4};
    int i;

    REQUEST(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[0]), &watched);
    REQUEST(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[7]), 0x90001L);
    for (i = 0; i < 2; i++) {
        REQUEST(PTRACE_CONT, pid, 0, 0);
        wait_for(pid, 0);
        say("  watched %ld dr6 %ld", ptrace(PTRACE_PEEKDATA, pid, &watched, 0), peek(pid, offsetof(struct user, u_debugreg[6])) & 15);
    }
    REQUEST(PTRACE_GETREGSET, pid, 1, &part);
    say("  regset %zu", part.iov_len);
    part.iov_len = 16;
    REQUEST(PTRACE_GETREGSET, pid, 1, &part);
    say("  part %zu", part.iov_len);
    REQUEST(PTRACE_GETREGSET, pid, 0x7777, &part);
    REQUEST(PTRACE_GETFPREGS, pid, 0, &fp);
    say("  mxcsr %#x", fp.mxcsr);
    fp.mxcsr = 0x1f80;
    REQUEST(PTRACE_SETFPREGS, pid, 0, &fp);
    REQUEST(PTRACE_GETSIGMASK, pid, 8, &mask);
    say("  mask %#lx", mask);
    mask = 1ul << (SIGUSR1 - 1);
    REQUEST(PTRACE_SETSIGMASK, pid, 8, &mask);
    REQUEST(PTRACE_GETSIGMASK, pid, 4, &mask);
    kill(pid, SIGUSR1);
    say("  pending %ld", syscall(SYS_ptrace, PTRACE_PEEKSIGINFO, pid, &how, pending));
    say("  signal %d code %d from %s", pending[0].si_signo, pending[0].si_code, name_of(pending[0].si_pid));
    REQUEST(PTRACE_PEEKDATA, pid, 8, &mask);
    REQUEST(PTRACE_PEEKDATA, pid, many, (void *)8);
    REQUEST(PTRACE_PEEKUSER, pid, 3, &mask);
    REQUEST(PTRACE_POKEUSER, pid, 100000, 0);
    REQUEST(PTRACE_GETREGS, pid, 0, (void *)8);
    REQUEST(PTRACE_SECCOMP_GET_FILTER, pid, 0, 0);
    finish(pid);
}

/* ------------------------------------------------------------------------------------------------ signals, seccomp */

static volatile sig_atomic_t handled, handled_value;

static void on_usr(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    handled++;
    handled_value = info->si_value.sival_int;
}

static void catch_usr(void)
{
    struct sigaction action = {.sa_sigaction = on_usr, .sa_flags = SA_SIGINFO};

    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    raise(SIGUSR2);
    raise(SIGTERM);
    _exit(handled * 10 + handled_value);
}

static void run_signals(void)
{
    pid_t pid = child_of(catch_usr);
    siginfo_t info;

    REQUEST(PTRACE_CONT, pid, 0, 0);
    wait_for(pid, 0);
    show_info(pid);
    REQUEST(PTRACE_GETSIGINFO, pid, 0, &info);
    info.si_value.sival_int = 3;
    REQUEST(PTRACE_SETSIGINFO, pid, 0, &info);
    REQUEST(PTRACE_CONT, pid, 0, SIGUSR1);
    wait_for(pid, 0);
    REQUEST(PTRACE_CONT, pid, 0, 0);
    wait_for(pid, 0);
    REQUEST(PTRACE_CONT, pid, 0, 0);
    wait_for(pid, 0);
    pid = child_of(catch_usr);
    REQUEST(PTRACE_CONT, pid, 0, SIGKILL + 60);
    REQUEST(PTRACE_CONT, pid, 0, SIGTERM);
    wait_for(pid, 0);
}

static void filtered(void)
{
    struct sock_filter code[] = {
        {0x20, 0, 0, 0}, {0x15, 2, 0, SYS_getppid}, {0x15, 1, 0, SYS_openat}, {0x06, 0, 0, 0x7fff0000}, {0x06, 0, 0, 0x7ff00000 | 77},
    };
    struct sock_fprog program = {5, code};
    int fd;

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
    say("  getppid %d", (int)syscall(SYS_getppid) > 0 ? 1 : errno);
    fd = syscall(SYS_openat, AT_FDCWD, "/marker", O_RDONLY);
    say("  openat %d", fd >= 0 ? 1 : errno);
    _exit(0);
}

static void run_seccomp(void)
{
    pid_t pid;
    int status;

    pid = child_of(filtered);
    REQUEST(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESECCOMP);
    while (ptrace(PTRACE_CONT, pid, 0, 0) == 0 && (status = wait_for(pid, 0)) >= 0 && WIFSTOPPED(status)) {
        struct ptrace_syscall_info info;

        show_message(pid);
        show_info(pid);
        REQUEST(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
        say("  op %d nr %lld data %d", info.op, (long long)info.seccomp.nr, info.seccomp.ret_data);
    }
    pid = child_of(filtered);
    finish(pid);
}

const struct scenario states[] = {
    {"steps", run_steps}, {"registers", run_registers}, {"signals", run_signals}, {"seccomp", run_seccomp}, {NULL, NULL},
};
