/* A tracer and its tracees: prints what a tracer sees, so that runs in a guest and in a real chroot can be compared.
 * Scenarios about stops are here, those about registers and signals in ptrace_state.c, about waits in ptrace_waits.c.  SPDX-License-Identifier: GPL-2.0-or-later */
#include "ptrace_probe.h"

static pid_t seen[64];
static int seen_count;

const char *name_of(pid_t pid)
{
    static char names[4][16];
    static int turn;
    int i;

    if (pid == getpid())
        return "self";
    if (pid <= 0)
        return "0";
    for (i = 0; i < seen_count && seen[i] != pid; i++)
        ;
    if (i == seen_count && seen_count < 64)
        seen[seen_count++] = pid;
    turn = (turn + 1) % 4;
    snprintf(names[turn], sizeof names[turn], "p%d", i + 1);
    return names[turn];
}

void request(const char *what, long result)
{
    if (result < 0)
        say("%s: %s", what, strerrorname_np(errno));
    else if (result > 0)
        say("%s: %ld", what, result);
}

const char *text_of(int status)
{
    static char text[80];

    if (WIFEXITED(status))
        snprintf(text, sizeof text, "exited %d", WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        snprintf(text, sizeof text, "killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
    else if (WIFCONTINUED(status))
        snprintf(text, sizeof text, "continued");
    else if (WSTOPSIG(status) == (SIGTRAP | 0x80))
        snprintf(text, sizeof text, "call");
    else
        snprintf(text, sizeof text, "stopped SIG%s event %d", sigabbrev_np(WSTOPSIG(status) & 0x7f), status >> 16);
    return text;
}

int wait_for(pid_t pid, int options)
{
    int status = 0;
    pid_t got = waitpid(pid, &status, options);

    if (got < 0) {
        say("wait: %s", strerrorname_np(errno));
        return -1;
    }
    if (got == 0) {
        say("wait: nothing");
        return -1;
    }
    say("%s %s", name_of(got), text_of(status));
    return status;
}

pid_t child_of(void (*run)(void))
{
    pid_t pid = fork();

    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
            _exit(99);
        raise(SIGSTOP);
        run();
        _exit(7);
    }
    name_of(pid);
    wait_for(pid, 0);
    return pid;
}

long peek(pid_t pid, size_t offset)
{
    return ptrace(PTRACE_PEEKUSER, pid, offset, 0);
}

void show_info(pid_t pid)
{
    siginfo_t info;

    memset(&info, 0, sizeof info);
    if (ptrace(PTRACE_GETSIGINFO, pid, 0, &info) < 0)
        say("  info: %s", strerrorname_np(errno));
    else
        say("  info: signo %d errno %d code %#x pid %s uid %d", info.si_signo, info.si_errno, info.si_code, name_of(info.si_pid),
            info.si_pid > 0 ? (int)(info.si_uid == getuid()) : (int)info.si_uid);
}

void show_message(pid_t pid)
{
    unsigned long message = ~0ul;

    REQUEST(PTRACE_GETEVENTMSG, pid, 0, &message);
    if (message == (unsigned long)pid)
        say("  message: %s", name_of(pid));
    else
        say("  message: %ld", (long)message);
}

void finish(pid_t pid)
{
    int status, sig = 0;

    while (ptrace(PTRACE_CONT, pid, 0, sig) == 0 && (status = wait_for(pid, __WALL)) >= 0 && WIFSTOPPED(status))
        sig = status >> 16 || WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
}

/* ------------------------------------------------------------------------------------------------ calls */

static void some_calls(void)
{
    struct stat st;
    char text[200];
    int fd = open("/marker", O_RDONLY);

    syscall(SYS_getppid);
    if (read(fd, text, 7) != 7)
        _exit(1);
    close(fd);
    syscall(SYS_newfstatat, AT_FDCWD, "nowhere/at/all", &st, 0);
    if (chdir("/place") < 0 || getcwd(text, sizeof text) == NULL)
        _exit(2);
    syscall(SYS_readlink, "/proc/self/exe", text, sizeof text);
    syscall(SYS_rename, "/nowhere", "/tmp/nothing");
    syscall(-1L);
    syscall(SYS_io_setup, 0, 0);
}

static const char *string_at(pid_t pid, unsigned long address)
{
    static char text[32];
    long word;
    unsigned i;

    for (i = 0; i < sizeof text; i += 8) {
        errno = 0;
        word = ptrace(PTRACE_PEEKDATA, pid, address + i, 0);
        if (errno)
            return "-";
        memcpy(text + i, &word, 8);
    }
    text[31] = 0;
    for (i = 0; text[i]; i++)
        if (text[i] < 32 || text[i] > 126)
            return "-";
    return text;
}

static void show_call(pid_t pid, const struct user_regs_struct *regs, int entry)
{
    struct ptrace_syscall_info info;
    long size = syscall(SYS_ptrace, PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);

    say("  op %d size %ld sp %d ip %d", info.op, size, info.stack_pointer == regs->rsp, info.instruction_pointer == regs->rip);
    if (entry)
        say("  nr %lld %s %s ax %lld", (long long)regs->orig_rax, string_at(pid, regs->rdi), string_at(pid, regs->rsi),
            (long long)regs->rax);
    else
        say("  nr %lld result %lld %d", (long long)regs->orig_rax,
            regs->orig_rax == SYS_getppid ? (long long)regs->rax == getpid() : (long long)regs->rax, info.exit.is_error);
}

static void run_calls(void)
{
    pid_t pid = child_of(some_calls);
    struct user_regs_struct before, after;
    int status, entry = 1;

    REQUEST(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD);
    memset(&before, 0, sizeof before);
    while (ptrace(PTRACE_SYSCALL, pid, 0, 0) == 0 && (status = wait_for(pid, 0)) >= 0 && WIFSTOPPED(status)) {
        show_info(pid);
        show_message(pid);
        REQUEST(PTRACE_GETREGS, pid, 0, &after);
        show_call(pid, &after, entry);
        if (!entry) {
            after.rax = before.rax;
            say("  registers kept: %d", memcmp(&before, &after, sizeof after) == 0);
        }
        before = after;
        entry = !entry;
    }
}

/* A tracer that skips a call, changes its arguments, and its result. */
static void changed_calls(void)
{
    char text[8] = "";
    int fd = open("/nowhere", O_RDONLY);

    if (fd < 0 || read(fd, text, 6) != 6 || strcmp(text, "marker"))
        _exit(fd < 0 ? 20 : 21);
    if (mkdir("/tmp/never", 0700) != 0 || access("/tmp/never", F_OK) == 0)
        _exit(22);
    if (syscall(SYS_getppid) != 4711)
        _exit(23);
}

static void run_changes(void)
{
    static char name[] = "/marker";
    pid_t pid = child_of(changed_calls);
    unsigned long sp;
    long word;
    int entry = 1, status;

    REQUEST(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD);
    while (ptrace(PTRACE_SYSCALL, pid, 0, 0) == 0 && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
        long nr = REG(pid, orig_rax);

        if (entry && (nr == SYS_openat || nr == SYS_open)) {
            sp = REG(pid, rsp) - 1024;
            memcpy(&word, name, 8);
            REQUEST(PTRACE_POKEDATA, pid, sp, word);
            if (nr == SYS_openat)
                REQUEST(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rsi), sp);
            else
                REQUEST(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rdi), sp);
        } else if (entry && nr == SYS_mkdir) {
            REQUEST(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, orig_rax), -1l);
        } else if (!entry && nr == -1) {
            REQUEST(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rax), 0);
        } else if (!entry && nr == SYS_getppid) {
            REQUEST(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rax), 4711);
        }
        entry = !entry;
    }
    say("%s", text_of(status));
}

static void emulated_calls(void)
{
    if (syscall(SYS_mkdir, "/tmp/never", 0700) != 5 || syscall(SYS_getppid) != 5)
        _exit(1);
}

static void run_sysemu(void)
{
    pid_t pid = child_of(emulated_calls);
    int status, i;

    for (i = 0; i < 2; i++) {
        REQUEST(PTRACE_SYSEMU, pid, 0, 0);
        wait_for(pid, 0);
        say("  nr %ld", REG(pid, orig_rax));
        REQUEST(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rax), 5);
    }
    finish(pid);
    status = access("/tmp/never", F_OK);
    say("made: %d", status == 0);
}

/* ------------------------------------------------------------------------------------------------ exec */

static void exec_self(void)
{
    char *words[] = {"/ptrace", "nothing", NULL};
    char *none[] = {NULL};

    execve("/nowhere", words, none);
    execve("/ptrace", words, none);
}

static void exec_script(void)
{
    char *words[] = {"/s2", NULL};

    execve("/s2", words, words + 1);
}

static void show_image(pid_t pid)
{
    struct user_regs_struct regs;
    char file[64];
    unsigned long pair[2], entry = 0;
    int fd;

    snprintf(file, sizeof file, "/proc/%d/auxv", pid);
    fd = open(file, O_RDONLY);
    while (fd >= 0 && read(fd, pair, 16) == 16 && pair[0])
        if (pair[0] == AT_ENTRY)
            entry = pair[1];
    close(fd);
    REQUEST(PTRACE_GETREGS, pid, 0, &regs);
    say("  at entry %d argc %ld ax %lld nr %lld flags %#llx zero %d fs %d", regs.rip == entry,
        ptrace(PTRACE_PEEKDATA, pid, regs.rsp, 0), (long long)regs.rax, (long long)regs.orig_rax, (long long)regs.eflags,
        !(regs.rbx | regs.rcx | regs.rdx | regs.rsi | regs.rdi | regs.rbp | regs.r8 | regs.r9 | regs.r10 | regs.r11 | regs.r12 |
          regs.r13 | regs.r14 | regs.r15), regs.fs_base != 0);
    say("  first argument %s", string_at(pid, ptrace(PTRACE_PEEKDATA, pid, regs.rsp + 8, 0)));
}

static void run_exec_with(long options, int how, void (*run)(void))
{
    pid_t pid = child_of(run);
    int status, i;

    REQUEST(PTRACE_SETOPTIONS, pid, 0, options);
    for (i = 0; i < 12 && ptrace(how, pid, 0, 0) == 0 && (status = wait_for(pid, 0)) >= 0 && WIFSTOPPED(status); i++) {
        show_info(pid);
        show_message(pid);
        if (status >> 16 || WSTOPSIG(status) == SIGTRAP || REG(pid, rax) == 0)
            show_image(pid);
    }
    kill(pid, SIGKILL);
    if (i == 12)
        wait_for(pid, 0);
}

static void run_exec(void)
{
    run_exec_with(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC, PTRACE_SYSCALL, exec_self);
    run_exec_with(PTRACE_O_TRACESYSGOOD, PTRACE_SYSCALL, exec_self);
    run_exec_with(PTRACE_O_TRACEEXEC, PTRACE_CONT, exec_self);
    run_exec_with(0, PTRACE_CONT, exec_self);
    run_exec_with(0, PTRACE_CONT, exec_script);
}

static void *exec_in_thread(void *argument)
{
    exec_self();
    return argument;
}

static void threaded_exec(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, exec_in_thread, NULL);
    for (;;)
        pause();
}

static void run_thread_exec(void)
{
    pid_t pid = child_of(threaded_exec), got, other = 0;
    int status, last = -1;

    REQUEST(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC);
    REQUEST(PTRACE_CONT, pid, 0, 0);
    while ((got = waitpid(-1, &status, __WALL)) > 0) {
        if (WIFSTOPPED(status) && status >> 16 == PTRACE_EVENT_CLONE)
            ptrace(PTRACE_GETEVENTMSG, got, 0, &other);
        if (WIFSTOPPED(status) && status >> 16 == PTRACE_EVENT_EXEC) {
            unsigned long message = 0;

            ptrace(PTRACE_GETEVENTMSG, got, 0, &message);
            say("exec in %s, before: the thread %d", name_of(got), message == (unsigned long)other);
        }
        if (got == pid)
            last = status;
        if (WIFSTOPPED(status))
            ptrace(PTRACE_CONT, got, 0, 0);
    }
    say("end: %s", text_of(last));
}

/* ------------------------------------------------------------------------------------------------ births */

static int thread_main(void *argument)
{
    syscall(SYS_exit, 0);
    return *(int *)argument;
}

/* What a tracer sees of it is where it lies: the program's own structure. */
static uint64_t clone_arguments[11] = {[4] = SIGCHLD};

static void births(void)
{
    static char stack[65536];
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(3);
    waitpid(pid, &status, 0);
    pid = vfork();
    if (pid == 0)
        _exit(4);
    waitpid(pid, &status, 0);
    pid = syscall(SYS_clone3, clone_arguments, sizeof clone_arguments);
    if (pid == 0)
        _exit(5);
    waitpid(pid, &status, 0);
    pid = clone(thread_main, stack + sizeof stack, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
                NULL);
    while (syscall(SYS_tgkill, getpid(), pid, 0) == 0)
        sched_yield();
}

static void run_births_with(long options)
{
    pid_t pid = child_of(births), got;
    char lines[8][800];
    int status, i, sig;

    memset(lines, 0, sizeof lines);
    REQUEST(PTRACE_SETOPTIONS, pid, 0, options);
    REQUEST(PTRACE_CONT, pid, 0, 0);
    /* each tracee's own story: how they interleave is the scheduler's */
    while ((got = waitpid(-1, &status, __WALL)) > 0) {
        unsigned long message = 0;
        const char *name = name_of(got);
        char *line = lines[atoi(name + 1) % 8];

        int event = WIFSTOPPED(status) ? status >> 16 : 0;

        if (event)
            ptrace(PTRACE_GETEVENTMSG, got, 0, &message);
        if (event && event != PTRACE_EVENT_EXIT) {
            struct user_regs_struct regs;
            REQUEST(PTRACE_GETREGS, got, 0, &regs);
            snprintf(line + strlen(line), sizeof lines[0] - strlen(line), "; %s %s: %lld(%#llx) at %#llx", text_of(status), name_of(message),
                     (long long)regs.orig_rax, regs.orig_rax == SYS_clone3 ? regs.rdi : 0, regs.rip);
        }
        else
            snprintf(line + strlen(line), sizeof lines[0] - strlen(line), "; %s %#lx", text_of(status), message);
        sig = WIFSTOPPED(status) && status >> 16 == 0 && WSTOPSIG(status) != SIGSTOP ? WSTOPSIG(status) : 0;
        ptrace(PTRACE_CONT, got, 0, sig);
    }
    for (i = 1; i < 8; i++)
        if (*lines[i])
            say("p%d%s", i, lines[i]);
    seen_count = 0;
}

static void run_births(void)
{
    run_births_with(PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEVFORKDONE | PTRACE_O_TRACEEXIT);
    run_births_with(PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXIT);
    run_births_with(0);
}

const struct scenario stops[] = {
    {"calls", run_calls}, {"changes", run_changes}, {"sysemu", run_sysemu}, {"exec", run_exec}, {"thread_exec", run_thread_exec},
    {"births", run_births}, {NULL, NULL},
};

int main(int argc, char **argv)
{
    const struct scenario *all[] = {stops, states, waits};
    unsigned i;

    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc < 2 || !strcmp(argv[1], "nothing"))
        return 7;
    for (i = 0; i < 3; i++)
        for (const struct scenario *one = all[i]; one->name; one++)
            if (!strcmp(argv[1], one->name)) {
                one->run();
                return 0;
            }
    return 99;
}
