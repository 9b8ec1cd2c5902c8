# The first tracee: from fork to its execve under the filter.

cdef extern from * nogil:
    """
    static int pyroot_install_filter(struct sock_filter *program, int length) {
        struct sock_fprog prog = {(unsigned short)length, program};
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &prog) == 0) return 0;
        return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0 ? 0 : -errno;
    }
    static void pyroot_reset_signals(void) {
        struct sigaction act; int i;
        for (i = 1; i < 65; i++)
            if (sigaction(i, NULL, &act) == 0 && act.sa_handler != SIG_DFL && act.sa_handler != SIG_IGN) {
                memset(&act, 0, sizeof act); act.sa_handler = SIG_DFL; sigaction(i, &act, NULL);
            }
        /* the interpreter ignores these for itself */
        memset(&act, 0, sizeof act); act.sa_handler = SIG_DFL;
        sigaction(SIGPIPE, &act, NULL); sigaction(SIGXFSZ, &act, NULL);
    }
    """
    int pyroot_install_filter(sock_filter *, int)
    void pyroot_reset_signals()

cdef struct ChildReport:
    int stage                # 1: chdir, 2: no_new_privs, 3: seccomp, 4: execve
    int error

cdef void child_main(int go, int report, const char *cwd, char **argv, char **envp, bint seccomp) noexcept nogil:
    """Wait until the supervisor has seized us, then become the guest.  Never returns."""
    cdef ChildReport r
    r.error = 0
    pyroot_reset_signals()
    limits_give_back()
    sigprocmask(SIG_SETMASK, &saved_mask, NULL)
    # which loader it is depends on the program
    if c_read(go, loader_path, PATHMAX) <= 0:
        c_exit(125)
    r.stage = 1
    if c_chdir(cwd) == 0:
        r.stage = 2
        if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
            r.stage = 3
            if seccomp:
                if session.tracing:
                    r.error = -pyroot_install_filter(tracing.program, tracing.length + PYROOT_FILTER_LENGTH)
                else:
                    r.error = -pyroot_install_filter(filter_program, PYROOT_FILTER_LENGTH)
            if r.error == 0:
                r.stage = 4
                c_execve(loader_path, argv, envp)
    if r.error == 0:
        r.error = errno
    c_write(report, &r, sizeof(r))
    c_exit(127)

cdef struct SavedSignals:
    c_sigaction old[65]
    bint changed[65]

cdef SavedSignals saved_signals

cdef void take_signal(int sig, bint forward) noexcept nogil:
    cdef c_sigaction act
    memset(&act, 0, sizeof(act))
    if forward:
        act.sa_sigaction = note_signal_handed if handed_id else note_signal
        act.sa_flags = SA_SIGINFO
    else:
        act.sa_handler = SIG_IGN
    saved_signals.changed[sig] = sigaction(sig, &act, &saved_signals.old[sig]) == 0

cdef void take_tick() noexcept nogil:
    cdef c_sigaction act
    memset(&act, 0, sizeof(act))
    act.sa_sigaction = note_tick
    act.sa_flags = SA_SIGINFO
    saved_signals.changed[SIGALRM] = sigaction(SIGALRM, &act, &saved_signals.old[SIGALRM]) == 0

cdef void take_signals() noexcept nogil:
    """Live through the terminal's signals (the guest gets its own) and pass on those that are sent to us alone."""
    take_signal(SIGINT, True)
    take_signal(SIGQUIT, True)
    take_signal(SIGTERM, True)
    take_signal(SIGHUP, True)
    take_signal(SIGUSR1, True)
    take_signal(SIGUSR2, True)
    take_signal(SIGCONT, True)
    take_tick()
    take_signal(SIGTSTP, False)
    take_signal(SIGTTIN, False)
    take_signal(SIGTTOU, False)
    take_signal(SIGPIPE, False)

cdef void give_signals_back() noexcept nogil:
    cdef int sig
    for sig in range(65):
        if saved_signals.changed[sig]:
            sigaction(sig, &saved_signals.old[sig], NULL)
            saved_signals.changed[sig] = False
