/* Parts of seccomp.c that need more around them: signals, threads, execve, long programs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "seccomp.h"
#include <stdarg.h>

__asm__(".globl call, call_text, call_text_end\n"
        "call_text:\n"
        "call: mov %rdi, %rax; mov %rsi, %rdi; mov %rdx, %rsi; mov %rcx, %rdx; xor %r10d, %r10d; xor %r8d, %r8d; syscall; ret\n"
        "call_text_end: nop\n");

void say(const char *format, ...)
{
    char line[400];
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    line[n] = '\n';
    call(SYS_write, 1, (long)line, n + 1);
}

long install(struct sock_filter *program, int length, unsigned flags)
{
    struct sock_fprog description = {(unsigned short)length, program};

    return call(SYS_seccomp, 1, (long)flags, (long)&description);
}

/* Run a part in a child and return its status; of a core dump only the signal. */
int in_child(void (*run)(void))
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        run();
        call(SYS_exit_group, 0, 0, 0);
    }
    waitpid(pid, &status, 0);
    return status & ~0x80;
}

void get_mode(void)
{
    call(SYS_exit_group, call(SYS_prctl, PR_GET_SECCOMP, 0, 0), 0, 0);
}

long open_file(const char *path)
{
    return call(SYS_open, (long)path, O_RDONLY, 0);
}

static int go[2], handled[2];

static void on_usr1(int number)
{
    (void)number;
    call(SYS_write, handled[1], (long)"x", 1);
}

/* Wait until a process sleeps. */
static void wait_asleep(pid_t pid)
{
    char name[64], text[200] = "";

    snprintf(name, sizeof name, "/proc/%d/stat", pid);
    do {
        int fd = open(name, O_RDONLY);

        if (read(fd, text, sizeof text - 1) < 1)
            _exit(9);
        close(fd);
    } while (!strstr(text, ") S "));
}

/* Start who interrupts the next interrupted_open(): before any filter, since it needs calls of its own. */
void prepare_interruption(void)
{
    struct sigaction action = {0};
    pid_t parent = getpid();
    char byte;

    action.sa_handler = on_usr1;
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, NULL);
    if (pipe(go) || pipe(handled))
        _exit(9);
    if (fork() == 0) {
        if (read(go[0], &byte, 1) != 1)
            _exit(9);
        for (int i = 0; i < 3; i++) {
            wait_asleep(parent);
            kill(parent, SIGUSR1);
            if (read(handled[0], &byte, 1) != 1)
                _exit(9);
        }
        wait_asleep(parent);
        _exit(open("/data/fifo", O_WRONLY) < 0);
    }
}

/* Open a FIFO; signals interrupt that before somebody opens its other end. */
long interrupted_open(void)
{
    call(SYS_write, go[1], (long)"x", 1);
    return call(SYS_open, (long)"/data/fifo", O_RDONLY, 0) > 0;
}

/* --- signals */

static volatile long trap_text[6];

static void on_sigsys(int number, siginfo_t *info, void *context)
{
    ucontext_t *machine = context;

    trap_text[0] = number;
    trap_text[1] = info->si_code;
    trap_text[2] = info->si_syscall;
    trap_text[3] = info->si_errno;
    trap_text[4] = (const char *)info->si_call_addr > call_text && (const char *)info->si_call_addr < call_text_end;
    trap_text[5] = machine->uc_mcontext.gregs[REG_RDI] == (long)known_path &&
                   (void *)machine->uc_mcontext.gregs[REG_RIP] == info->si_call_addr && info->si_arch == 0xc000003e;
    machine->uc_mcontext.gregs[REG_RAX] = 1234;
}

void trapped(void)
{
    struct sock_filter program[] = {{LD, 0, 0, 0}, {JEQ, 0, 1, SYS_open}, {RET, 0, 0, TRAP(5)}, {RET, 0, 0, ALLOW}};
    struct sigaction action = {0};
    long result;

    action.sa_sigaction = on_sigsys;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSYS, &action, NULL);
    INSTALL(program);
    result = call(SYS_open, (long)known_path, 0, 0);
    say("result %ld signal %ld code %ld call %ld errno %ld address %ld registers %ld", result, trap_text[0], trap_text[1],
        trap_text[2], trap_text[3], trap_text[4], trap_text[5]);
}

/* --- threads */

static int steps[2], answers[2];
static long found;

static void wait_for(int *pipe_ends)
{
    char byte;

    while (read(pipe_ends[0], &byte, 1) < 0)
        ;
}

static void tell(int *pipe_ends)
{
    if (write(pipe_ends[1], "x", 1) != 1)
        _exit(9);
}

static void *look(void *what)
{
    wait_for(steps);
    if (what)
        install(what, 4, 0);
    found = call(SYS_getppid, 0, 0, 0);
    tell(answers);
    wait_for(steps);
    found = call(SYS_getppid, 0, 0, 0);
    say("thread: getppid %ld, get %ld", found < 0 ? found : 1, call(SYS_prctl, PR_GET_SECCOMP, 0, 0));
    tell(answers);
    return NULL;
}

static void with_thread(struct sock_filter *own, unsigned flags)
{
    struct sock_filter program[] = {{LD, 0, 0, 0}, {JEQ, 0, 1, SYS_getppid}, {RET, 0, 0, ERRNO(42)}, {RET, 0, 0, ALLOW}};
    pthread_t thread;
    long result;

    if (pipe(steps) || pipe(answers) || pthread_create(&thread, NULL, look, own))
        _exit(9);
    tell(steps);
    wait_for(answers);
    result = install(program, 4, flags);
    say("install %ld", result > 0 ? 1 : result);
    tell(steps);
    wait_for(answers);
    pthread_join(thread, NULL);
    result = call(SYS_getppid, 0, 0, 0);
    say("getppid %ld, get %ld", result < 0 ? result : 1, call(SYS_prctl, PR_GET_SECCOMP, 0, 0));
}

void synchronised(void)
{
    with_thread(NULL, 1);
}

void not_synchronised(void)
{
    struct sock_filter other[] = {{LD, 0, 0, 0}, {JEQ, 0, 1, SYS_getppid}, {RET, 0, 0, ERRNO(43)}, {RET, 0, 0, ALLOW}};

    with_thread(other, 1);
    if (fork() == 0) {
        with_thread(other, 1 | 16);
        call(SYS_exit_group, 0, 0, 0);
    }
    wait(NULL);
    with_thread(NULL, 0);
}

static void *die_by_filter(void *path)
{
    struct sock_filter program[] = {{LD, 0, 0, 0}, {JEQ, 0, 1, SYS_open}, {RET, 0, 0, KILL_THREAD}, {RET, 0, 0, ALLOW}};

    INSTALL(program);
    call(SYS_open, (long)path, 0, 0);
    say("not reached");
    return NULL;
}

static void *die_strictly(void *path)
{
    call(SYS_seccomp, 0, 0, 0);
    call(SYS_open, (long)path, 0, 0);
    say("not reached");
    return NULL;
}

static void outlive(void *(*dies)(void *))
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, dies, (void *)known_path))
        _exit(9);
    pthread_join(thread, NULL);
    say("the process lives: open %d", open_file(known_path) > 0);
}

void killed_thread(void)
{
    outlive(die_by_filter);
}

void strict_thread(void)
{
    outlive(die_strictly);
}

/* --- long programs */

static struct sock_filter many[4096];

/* Fill a program with tests of numbers that no call has; getppid gives `error`. */
static void fill(int length, int error)
{
    many[0] = (struct sock_filter){LD, 0, 0, 0};
    many[1] = (struct sock_filter){JEQ, 0, 1, SYS_getppid};
    many[2] = (struct sock_filter){RET, 0, 0, ERRNO(error)};
    for (int i = 3; i < length - 1; i++)
        many[i] = (struct sock_filter){JEQ, 0, 0, (unsigned)(100000 + i)};
    many[length - 1] = (struct sock_filter){RET, 0, 0, ALLOW};
}

void long_programs(void)
{
    static const int lengths[] = {300, 1000, 2030, 2040, 3000, 4000, 4096};

    for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        fill(lengths[i], 50 + (int)i);
        say("%d: install %ld", lengths[i], install(many, lengths[i], 0));
        say("getppid %ld, open %d", call(SYS_getppid, 0, 0, 0), open_file(known_path) > 0);
    }
    /* a verdict of its own for each call number */
    many[0] = (struct sock_filter){LD, 0, 0, 0};
    for (int i = 0; i < 500; i++) {
        many[1 + 2 * i] = (struct sock_filter){JEQ, 0, 1, (unsigned)(i == 7 ? SYS_getpgrp : 200000 + i)};
        many[2 + 2 * i] = (struct sock_filter){RET, 0, 0, ERRNO((unsigned)i + 60)};
    }
    many[1001] = (struct sock_filter){RET, 0, 0, ALLOW};
    say("verdicts: install %ld", install(many, 1002, 0));
    say("getpgrp %ld", call(SYS_getpgrp, 0, 0, 0));
}

/* --- execve */

int again(char what)
{
    long result = call(SYS_getppid, 0, 0, 0);

    say("again %c: getppid %ld, open %ld, access %ld", what, result < 0 ? result : 1, open_file(known_path),
        call(SYS_access, (long)known_path, 4, 0));
    return 5;
}

static void run_again(const char *what)
{
    const char *argv[] = {"/seccomp", "again", what, NULL};

    say("execve %ld", call(SYS_execve, (long)argv[0], (long)argv, (long)(argv + 3)));
}

/* Only what this static program itself needs: nothing with which it could be loaded. */
void execute(void)
{
    static const int allowed[] = {
        SYS_execve, SYS_write, SYS_exit_group, SYS_brk, SYS_arch_prctl, SYS_set_tid_address, SYS_set_robust_list, SYS_rseq,
        SYS_readlinkat, SYS_readlink, SYS_mprotect, SYS_newfstatat, SYS_fstat, SYS_uname, SYS_access, SYS_ioctl, SYS_writev,
        SYS_prlimit64, SYS_getrandom,
    };
    struct sock_filter program[64] = {{LD, 0, 0, 0}};
    int n = 1;

    for (unsigned i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        program[n++] = (struct sock_filter){JEQ, 0, 1, (unsigned)allowed[i]};
        program[n++] = (struct sock_filter){RET, 0, 0, ALLOW};
    }
    program[n++] = (struct sock_filter){JEQ, 0, 1, SYS_getppid};
    program[n++] = (struct sock_filter){RET, 0, 0, ERRNO(44)};
    program[n++] = (struct sock_filter){JEQ, 0, 1, SYS_open};
    program[n++] = (struct sock_filter){RET, 0, 0, TRACE};
    program[n++] = (struct sock_filter){RET, 0, 0, KILL_PROCESS};
    say("install %ld", install(program, n, 0));
    run_again("1");
}

void execute_long(void)
{
    fill(3000, 45);
    many[3] = (struct sock_filter){JEQ, 0, 1, SYS_prctl};
    many[4] = (struct sock_filter){RET, 0, 0, KILL_PROCESS};
    many[5] = (struct sock_filter){JEQ, 0, 1, SYS_pread64};
    many[6] = (struct sock_filter){RET, 0, 0, KILL_PROCESS};
    say("install %ld", install(many, 3000, 0));
    run_again("2");
}

void execute_refused(void)
{
    struct sock_filter program[] = {{LD, 0, 0, 0}, {JEQ, 0, 1, SYS_execve}, {RET, 0, 0, ERRNO(13)}, {RET, 0, 0, ALLOW}};

    INSTALL(program);
    run_again("3");
}

/* --- calls that a supervisor may make in another way */

void messages(void)
{
    struct sock_filter program[] = {
        {LD, 0, 0, 0}, {JEQ, 1, 0, SYS_sendmsg}, {JEQ, 0, 1, SYS_sendto}, {RET, 0, 0, KILL_PROCESS}, {RET, 0, 0, ALLOW},
    };
    struct sockaddr_un name = {AF_UNIX, "/data/socket"};
    struct iovec part = {"hi", 2};
    struct mmsghdr both[2] = {0};
    int server = socket(AF_UNIX, SOCK_DGRAM, 0), client = socket(AF_UNIX, SOCK_DGRAM, 0);

    unlink(name.sun_path);
    say("bind %d", bind(server, (struct sockaddr *)&name, sizeof name));
    for (int i = 0; i < 2; i++) {
        both[i].msg_hdr.msg_name = &name;
        both[i].msg_hdr.msg_namelen = sizeof name;
        both[i].msg_hdr.msg_iov = &part;
        both[i].msg_hdr.msg_iovlen = 1;
    }
    INSTALL(program);
    say("sendmmsg %ld", syscall(SYS_sendmmsg, client, both, 2, 0));
    unlink(name.sun_path);
    if (fork() == 0) {
        call(SYS_sendto, client, (long)"x", 1);
        say("not reached");
    }
    wait(NULL);
}

/* As sandboxes of servers do it: a list of what is allowed, the rest kills. */
void allow_list(void)
{
    static const int allowed[] = {
        SYS_read, SYS_write, SYS_close, SYS_fstat, SYS_newfstatat, SYS_exit_group, SYS_rt_sigreturn, SYS_getpid, SYS_brk,
        SYS_clock_gettime, SYS_mmap, SYS_munmap, SYS_openat, SYS_getcwd,
    };
    struct sock_filter program[64] = {
        {LD, 0, 0, 4}, {JEQ, 1, 0, 0xc000003e}, {RET, 0, 0, KILL_PROCESS}, {LD, 0, 0, 0}, {JEQ, 0, 1, SYS_open},
        {RET, 0, 0, ERRNO(13)},
    };
    char text[64];
    int n = 6, fd;

    for (unsigned i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        program[n++] = (struct sock_filter){JEQ, 0, 1, (unsigned)allowed[i]};
        program[n++] = (struct sock_filter){RET, 0, 0, ALLOW};
    }
    program[n++] = (struct sock_filter){RET, 0, 0, KILL_PROCESS};
    say("install %ld", install(program, n, 0));
    fd = (int)call(SYS_openat, AT_FDCWD, (long)known_path, 0);
    say("open %ld, read %ld, getcwd %ld", open_file(known_path), call(SYS_read, fd, (long)text, 4),
        call(SYS_getcwd, (long)text, sizeof text, 0));
    call(SYS_socket, 1, 1, 0);
    say("not reached");
}
