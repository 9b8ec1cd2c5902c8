/* Scenarios about attaching, waiting, group-stops and deaths.  SPDX-License-Identifier: GPL-2.0-or-later */
#include "ptrace_probe.h"

static pid_t sleeper(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    name_of(pid);
    return pid;
}

/* ------------------------------------------------------------------------------------------------ attach, seize */

static void run_attach(void)
{
    pid_t pid = sleeper();

    REQUEST(PTRACE_ATTACH, pid, 0, 0);
    wait_for(pid, 0);
    show_info(pid);
    REQUEST(PTRACE_ATTACH, pid, 0, 0);
    REQUEST(PTRACE_INTERRUPT, pid, 0, 0);
    REQUEST(PTRACE_LISTEN, pid, 0, 0);
    REQUEST(PTRACE_DETACH, pid, 0, 0);
    REQUEST(PTRACE_CONT, pid, 0, 0);
    REQUEST(PTRACE_ATTACH, pid, 0, 0);
    wait_for(pid, 0);
    REQUEST(PTRACE_CONT, pid, 0, SIGSTOP);
    wait_for(pid, 0);
    show_info(pid);
    REQUEST(PTRACE_CONT, pid, 0, 0);
    kill(pid, SIGTERM);
    wait_for(pid, 0);
    REQUEST(PTRACE_DETACH, pid, 0, SIGTERM);
    wait_for(pid, 0);
}

static void run_seize(void)
{
    pid_t pid = sleeper();

    REQUEST(PTRACE_SEIZE, pid, 1, 0);
    REQUEST(PTRACE_SEIZE, pid, 0, 0x8000);
    REQUEST(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEEXIT);
    REQUEST(PTRACE_CONT, pid, 0, 0);
    REQUEST(PTRACE_INTERRUPT, pid, 0, 0);
    wait_for(pid, 0);
    show_info(pid);
    show_message(pid);
    REQUEST(PTRACE_CONT, pid, 0, 0);
    kill(pid, SIGSTOP);
    wait_for(pid, 0);
    REQUEST(PTRACE_CONT, pid, 0, SIGSTOP);
    wait_for(pid, 0);
    show_info(pid);
    REQUEST(PTRACE_LISTEN, pid, 0, 0);
    REQUEST(PTRACE_CONT, pid, 0, 0);
    wait_for(pid, WNOHANG);
    kill(pid, SIGCONT);
    wait_for(pid, 0);
    show_info(pid);
    REQUEST(PTRACE_CONT, pid, 0, 0);
    wait_for(pid, 0);
    REQUEST(PTRACE_CONT, pid, 0, SIGCONT);
    REQUEST(PTRACE_INTERRUPT, pid, 0, 0);
    wait_for(pid, 0);
    REQUEST(PTRACE_SETOPTIONS, pid, 0, 1 << 30);
    REQUEST(PTRACE_KILL, pid, 0, 0);
    wait_for(pid, 0);
    show_message(pid);
    REQUEST(PTRACE_CONT, pid, 0, 0);
    wait_for(pid, 0);
}

/* Attached while it is stopped. */
static void run_attach_stopped(void)
{
    pid_t pid = sleeper();

    kill(pid, SIGSTOP);
    wait_for(pid, WUNTRACED);
    REQUEST(PTRACE_SEIZE, pid, 0, 0);
    wait_for(pid, 0);
    REQUEST(PTRACE_DETACH, pid, 0, 0);
    kill(pid, SIGCONT);
    wait_for(pid, WCONTINUED);
    kill(pid, SIGTERM);
    wait_for(pid, 0);
}

/* Who is stopped is the tracer's at once, without a wait in between: seen by its parent as stopped, or stopped for a while already. */
static void run_attach_at_once(void)
{
    struct user_regs_struct regs;
    int failed = 0;

    for (int i = 0; i < 200; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            raise(SIGSTOP);
            _exit(0);
        }
        waitpid(pid, NULL, WUNTRACED);
        if (i % 4 >= 2)
            waitpid(pid, NULL, WNOHANG | WUNTRACED | WCONTINUED);
        if (syscall(SYS_ptrace, i % 2 ? PTRACE_SEIZE : PTRACE_ATTACH, pid, 0, 0) < 0 || syscall(SYS_ptrace, PTRACE_GETREGS, pid, 0, &regs) < 0)
            failed++;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, __WALL);
    }
    say("failed %d", failed);
}

static void *thread_of_self(void *argument)
{
    *(pid_t *)argument = gettid();
    for (;;)
        pause();
    return NULL;
}

static void run_errors(void)
{
    pthread_t thread;
    volatile pid_t tid = 0;
    pid_t pid = sleeper();

    REQUEST(PTRACE_ATTACH, 0, 0, 0);
    REQUEST(PTRACE_ATTACH, -1, 0, 0);
    REQUEST(PTRACE_ATTACH, 4194303, 0, 0);
    REQUEST(PTRACE_ATTACH, getpid(), 0, 0);
    REQUEST(PTRACE_SEIZE, 1, 0, 0);
    REQUEST(PTRACE_CONT, 1, 0, 0);
    REQUEST(PTRACE_CONT, pid, 0, 0);
    REQUEST(PTRACE_KILL, pid, 0, 0);
    REQUEST(PTRACE_GETEVENTMSG, pid, 0, 0);
    REQUEST(4711, pid, 0, 0);
    pthread_create(&thread, NULL, thread_of_self, (void *)&tid);
    while (!tid)
        sched_yield();
    REQUEST(PTRACE_ATTACH, tid, 0, 0);
    prctl(PR_SET_DUMPABLE, 0);
    REQUEST(PTRACE_ATTACH, pid, 0, 0);
    wait_for(pid, 0);
    REQUEST(4711, pid, 0, 0);
    REQUEST(PTRACE_DETACH, pid, 0, 77);
    REQUEST(PTRACE_GETEVENTMSG, pid, 0, 8);
    kill(pid, SIGKILL);
    wait_for(pid, 0);
    REQUEST(PTRACE_CONT, pid, 0, 0);
}

/* ------------------------------------------------------------------------------------------------ waits */

static void show_waitid(idtype_t type, id_t id, int options)
{
    siginfo_t info;
    struct rusage used;

    memset(&info, 0x55, sizeof info);
    memset(&used, 0x55, sizeof used);
    if (syscall(SYS_waitid, type, id, &info, options, &used) < 0) {
        say("waitid: %s", strerrorname_np(errno));
        return;
    }
    say("waitid: signo %d code %d pid %s status %#x used %d", info.si_signo, info.si_code, info.si_signo ? name_of(info.si_pid) : "",
        info.si_signo ? info.si_status : 0, used.ru_maxrss != 0x5555555555555555);
}

static void stop_again(void)
{
    raise(SIGUSR1);
    raise(SIGUSR2);
}

static void run_waitid(void)
{
    pid_t pid = child_of(stop_again);
    int fd;

    setpgid(pid, pid);
    show_waitid(P_ALL, 0, WEXITED | WNOHANG);
    REQUEST(PTRACE_CONT, pid, 0, 0);
    show_waitid(P_PID, pid, WEXITED | WNOWAIT);
    show_waitid(P_PID, pid, WSTOPPED | WNOWAIT);
    show_waitid(P_PGID, getpgrp(), WEXITED | WNOHANG);
    show_waitid(P_PGID, pid, WEXITED);
    show_waitid(P_PGID, pid, WEXITED | WNOHANG);
    REQUEST(PTRACE_CONT, pid, 0, 0);
    fd = syscall(SYS_pidfd_open, pid, 0);
    show_waitid(P_PIDFD, fd, WEXITED);
    show_waitid(P_PIDFD, 77, WEXITED);
    show_waitid(P_PID, 1, WEXITED);
    show_waitid(P_ALL, 0, 0);
    show_waitid(P_ALL, 0, WEXITED | 0x100);
    REQUEST(PTRACE_CONT, pid, 0, 0);
    show_waitid(P_ALL, 0, WEXITED);
    show_waitid(P_ALL, 0, WEXITED | WSTOPPED);
}

static pid_t attached, attacher;

static void *attach_in_thread(void *argument)
{
    attacher = gettid();
    if (ptrace(PTRACE_ATTACH, attached, 0, 0) < 0)
        say("attach: %s", strerrorname_np(errno));
    say("the thread %s", waitpid(attached, NULL, __WNOTHREAD) == attached ? "has waited" : "has nothing");
    ptrace(PTRACE_CONT, attached, 0, 0);
    kill(attached, SIGUSR1);
    return argument;
}

/* A thread traces: its stops are every thread's to wait for, its requests are its own; its end lets go. */
static void run_threads(void)
{
    pthread_t thread;

    attached = sleeper();
    pthread_create(&thread, NULL, attach_in_thread, NULL);
    pthread_join(thread, NULL);
    while (syscall(SYS_tgkill, getpid(), attacher, 0) == 0)
        sched_yield();
    wait_for(attached, 0);
    REQUEST(PTRACE_CONT, attached, 0, 0);
}

/* The tracer is not the parent, and has no child of its own. */
static void run_stranger(void)
{
    int pipes[2], back[2], status;
    pid_t pid = sleeper(), tracer;
    char byte;

    if (pipe(pipes) < 0 || pipe(back) < 0)
        return;
    tracer = fork();
    if (tracer == 0) {
        show_waitid(P_ALL, 0, WEXITED);
        REQUEST(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEEXIT);
        show_waitid(P_ALL, 0, WEXITED | WNOHANG);
            if (write(pipes[1], "x", 1) != 1)
            _exit(1);
        show_waitid(P_ALL, 0, WEXITED);
        show_waitid(P_ALL, 0, WEXITED | WNOHANG);
        REQUEST(PTRACE_CONT, pid, 0, SIGTERM);
        show_waitid(P_ALL, 0, WEXITED);
        REQUEST(PTRACE_CONT, pid, 0, 0);
        show_waitid(P_ALL, 0, WEXITED | WNOWAIT);
        show_waitid(P_ALL, 0, WSTOPPED | WNOHANG);
        show_waitid(P_PID, pid, WEXITED);
        show_waitid(P_ALL, 0, WEXITED);
            _exit(0);
    }
    if (read(pipes[0], &byte, 1) == 1)
        kill(pid, SIGTERM);
    waitpid(tracer, &status, 0);
    waitpid(pid, &status, 0);
    say("%s", text_of(status));
}

static volatile sig_atomic_t children, child_code, child_status, alarms;

static void on_child(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    children++;
    child_code = info->si_code;
    child_status = info->si_status;
}

static void on_alarm(int sig)
{
    (void)sig;
    alarms++;
}

static void handle(int sig, void (*handler)(int), void (*action)(int, siginfo_t *, void *), int flags)
{
    struct sigaction act = {.sa_flags = flags};

    if (action)
        act.sa_sigaction = action;
    else
        act.sa_handler = handler;
    sigaction(sig, &act, NULL);
}

static void run_sigchld(void)
{
    pid_t pid;
    sigset_t set, old;
    int status;

    handle(SIGCHLD, NULL, on_child, SA_SIGINFO | SA_RESTART);
    pid = child_of(stop_again);
    say("SIGCHLD %d code %d status %d", children, child_code, child_status);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, &old);
    children = 0;
    REQUEST(PTRACE_CONT, pid, 0, 0);
    while (!children)
        sigsuspend(&old);
    sigprocmask(SIG_SETMASK, &old, NULL);
    say("SIGCHLD %d code %d status %d", children, child_code, child_status);
    wait_for(pid, WNOHANG);
    handle(SIGCHLD, NULL, on_child, SA_SIGINFO | SA_NOCLDSTOP | SA_RESTART);
    children = 0;
    REQUEST(PTRACE_CONT, pid, 0, 0);
    wait_for(pid, 0);
    say("SIGCHLD %d", children);
    handle(SIGCHLD, SIG_DFL, NULL, 0);
    REQUEST(PTRACE_CONT, pid, 0, 0);
    wait_for(pid, 0);
    pid = child_of(stop_again);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    say("%s", text_of(status));
}

static void run_interrupted(void)
{
    struct itimerval soon = {{0, 0}, {0, 30000}}, often = {{0, 20000}, {0, 20000}};
    int fd[2];
    pid_t pid = sleeper(), helper;
    char byte;

    handle(SIGALRM, on_alarm, NULL, 0);
    REQUEST(PTRACE_SEIZE, pid, 0, 0);
    setitimer(ITIMER_REAL, &soon, NULL);
    wait_for(pid, 0);
    say("alarms %d", alarms > 0);
    handle(SIGALRM, on_alarm, NULL, SA_RESTART);
    if (pipe(fd) < 0)
        return;
    helper = fork();
    if (helper == 0) {
        close(fd[1]);
        if (read(fd[0], &byte, 1) == 0)
            kill(pid, SIGUSR1);
        _exit(0);
    }
    alarms = 0;
    setitimer(ITIMER_REAL, &often, NULL);
    while (alarms < 3)
        pause();
    close(fd[1]);
    close(fd[0]);
    wait_for(pid, 0);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
    waitpid(helper, NULL, 0);
    REQUEST(PTRACE_CONT, pid, 0, SIGUSR1);
    wait_for(pid, 0);
}

/* ------------------------------------------------------------------------------------------------ deaths */

static void tracer_dies(long options, int with_signal)
{
    pid_t pid = sleeper(), tracer;
    int status;

    tracer = fork();
    if (tracer == 0) {
        ptrace(PTRACE_SEIZE, pid, 0, options);
        ptrace(PTRACE_INTERRUPT, pid, 0, 0);
        waitpid(pid, &status, 0);
        if (with_signal)
            kill(getpid(), SIGKILL);
        _exit(0);
    }
    waitpid(tracer, &status, 0);
    say("tracer %s", text_of(status));
    if (!(options & PTRACE_O_EXITKILL))
        kill(pid, SIGUSR2);
    waitpid(pid, &status, 0);
    say("tracee %s", text_of(status));
}

static void run_tracer_dies(void)
{
    tracer_dies(0, 0);
    tracer_dies(0, 1);
    tracer_dies(PTRACE_O_EXITKILL, 0);
    tracer_dies(PTRACE_O_EXITKILL, 1);
}

static void *wait_forever(void *argument)
{
    for (;;)
        pause();
    return argument;
}

static void many_threads(void)
{
    pthread_t thread;
    int i;

    for (i = 0; i < 3; i++)
        pthread_create(&thread, NULL, wait_forever, NULL);
    raise(SIGUSR1);
    _exit(5);
}

static void run_threads_die(void)
{
    pid_t pid = child_of(many_threads), got;
    int status, count = 0, last = 0;

    REQUEST(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACECLONE);
    REQUEST(PTRACE_CONT, pid, 0, 0);
    while ((got = waitpid(-1, &status, __WALL)) > 0) {
        if (WIFSTOPPED(status)) {
            /* whether a thread gets as far as its first stop is a race with its leader's death */
            ptrace(PTRACE_CONT, got, 0, 0);
        } else {
            count++;
            last = got == pid;
        }
    }
    say("ends %d, the leader's last %d", count, last);
}

/* A tracee that its own parent waits for too. */
static void run_two_parents(void)
{
    int status, pipes[2];
    pid_t parent, pid = 0;

    if (pipe(pipes) < 0)
        return;
    parent = fork();
    if (parent == 0) {
        pid = sleeper();
        if (write(pipes[1], &pid, sizeof pid) != sizeof pid)
            _exit(1);
        waitpid(pid, &status, WUNTRACED);
        if (!WIFSTOPPED(status) || write(pipes[1], &pid, sizeof pid) != sizeof pid)
            _exit(2);
        waitpid(pid, &status, 0);
        _exit(WIFSIGNALED(status) ? WTERMSIG(status) : 3);
    }
    name_of(parent);
    if (read(pipes[0], &pid, sizeof pid) != sizeof pid)
        return;
    REQUEST(PTRACE_SEIZE, pid, 0, 0);
    kill(pid, SIGSTOP);
    wait_for(pid, 0);
    REQUEST(PTRACE_CONT, pid, 0, SIGSTOP);
    wait_for(pid, 0);
    REQUEST(PTRACE_LISTEN, pid, 0, 0);
    if (read(pipes[0], &pid, sizeof pid) != sizeof pid)
        return;
    kill(pid, SIGKILL);
    wait_for(pid, __WALL);
    wait_for(parent, 0);
}

const struct scenario waits[] = {
    {"attach", run_attach}, {"seize", run_seize}, {"attach_stopped", run_attach_stopped}, {"attach_at_once", run_attach_at_once}, {"errors", run_errors},
    {"waitid", run_waitid}, {"threads", run_threads}, {"stranger", run_stranger}, {"sigchld", run_sigchld},
    {"interrupted", run_interrupted}, {"tracer_dies", run_tracer_dies}, {"threads_die", run_threads_die},
    {"two_parents", run_two_parents}, {NULL, NULL},
};
