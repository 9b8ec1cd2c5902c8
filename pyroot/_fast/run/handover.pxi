# A pyroot inside a pyroot: its view goes to the supervisor around it, which then serves its guests (handed.pxi is the other side).
#
# What stays here is what a user sees of a pyroot: the command is our child, signals are passed on to it, its stop stops us, its status is
# ours, and we wait until its last descendant is gone.  When we die the supervisor around us kills them all.

cdef extern from * nogil:
    """
    /* Waits until a child has died (0) or is stopped (1, taken notice of); -errno.  A dead one stays a zombie. */
    static int pyroot_child_event(int pid) {
        siginfo_t info = {0};
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WSTOPPED | WNOWAIT) < 0) return -errno;
        if (info.si_code == CLD_EXITED || info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED) return 0;
        waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG);
        return 1;
    }
    """
    int pyroot_child_event(int)

cdef int handed_id = 0       # number of our view, 0: we trace ourselves

cdef long view_request(int what, uint64_t a, uint64_t b) noexcept nogil:
    cdef long result = c_syscall(SYS_ptrace, <long>PTRACE_VIEW, what, a, b)
    return -errno if result < 0 else result

cdef bytes view_text(View *v, bint seccomp):
    """Write the view down as handed.pxi reads it."""
    cdef int i
    parts = [number_text(VIEW_FORM), number_text(0 if seccomp else VIEW_UNFILTERED), number_text(v.n)]
    for i in range(v.n):
        parts += [number_text(v.b[i].flags), number_text(v.b[i].guestlen), number_text(v.b[i].hostlen)]
        parts += [v.b[i].guest[: v.b[i].guestlen], v.b[i].host[: v.b[i].hostlen]]
    return b"".join(parts)

cdef bytes number_text(uint32_t number):
    return (<char *>&number)[:4]

cdef void note_signal_handed(int sig, siginfo_t *info, void *context) noexcept nogil:
    """Pass a signal on at once (a wait that has just begun would not notice it); the pyroot around us knows what the command has got."""
    global errno
    cdef int kept = errno
    if info.si_code == SI_TIMER_:
        # (leaving_look is due)
        return
    if leaving_signal(sig, info):
        return
    if is_fault(sig) and info.si_code > 0:
        sigaction(sig, &saved_signals.old[sig], NULL)
    elif sig == SIGTTOU and info.si_code > 0:
        pyroot_block(context, sig)
    elif not session.main_done and means_command(sig, info):
        if view_request(VIEW_PASS, handed_id, <uint64_t>info) == -ESRCH and leaving_means_us(sig, info):
            leaving_late(sig)
    errno = kept

cdef void child_enter(int report, const char *exe, const char *cwd, char **argv, char **envp) noexcept nogil:
    """Become the command.  Never returns."""
    cdef ChildReport r
    r.stage = 0
    r.error = 0
    pyroot_reset_signals()
    sigprocmask(SIG_SETMASK, &saved_mask, NULL)
    if view_request(VIEW_ENTER, handed_id, 0) >= 0:
        r.stage = 1
        if c_chdir(cwd) == 0:
            r.stage = 4
            c_execve(exe, argv, envp)
        r.error = errno
    c_write(report, &r, sizeof(r))
    c_exit(127)

cdef int wait_handed(int pid, int life) noexcept nogil:
    """Wait for the command, then for the last guest; return 0 or -errno.  The status goes to session.main_status."""
    cdef int status = 0, what
    cdef char byte
    while True:
        what = pyroot_child_event(pid)
        if what == 0:
            break
        if what > 0 and c_getpgid(pid) == c_getpgid(0):
            stop_with(pid)
        elif what < 0 and what != -EINTR:
            return what
    # from here on its pid may become somebody else's
    session.main_done = True
    if c_waitpid(pid, &status, 0) < 0:
        return -errno
    session.main_status = status
    view_request(VIEW_KILL if session.kill_on_exit else VIEW_OVER, handed_id, 0)
    leaving_begin()
    while c_read(life, &byte, 1) < 0 and errno == EINTR:
        leaving_look()
    return 0

cdef bint run_handed(View *v, bytes exe, bytes cwd, char **argv, char **envp, bint kill_on_exit, bint seccomp) except -1:
    """Hand the view over and run a command in it; False: the supervisor around us does not take it.  The status is the session's.

    Raises OSError when the command cannot be started, CoreError when it cannot be waited for.
    """
    global handed_id
    cdef int life[2]
    cdef int report[2]
    cdef int pid, result = 0
    cdef ssize_t got = -1
    cdef ChildReport r
    cdef bytes text = view_text(v, seccomp)
    cdef bint ended = False
    cdef const char *c_exe = exe
    cdef const char *c_cwd = cwd
    if c_pipe2(life, O_CLOEXEC) < 0:
        return False
    handed_id = <int>view_request(VIEW_HAND, <uint64_t><const char *>text, <uint64_t>len(text) << 32 | <uint32_t>life[1])
    c_close(life[1])
    if handed_id <= 0 or c_pipe2(report, O_CLOEXEC) < 0:
        c_close(life[0])
        handed_id = 0
        return False
    session.kill_on_exit = kill_on_exit
    session.main_done = False
    saved_mask_block()
    session.main_status = signal_before()
    if session.main_status != 0:
        c_close(life[0])
        c_close(report[0])
        c_close(report[1])
        saved_mask_restore()
        return True
    pid = c_fork()
    if pid == 0:
        child_enter(report[1], c_exe, c_cwd, argv, envp)
    try:
        if pid < 0:
            raise CoreError(f"fork: {_os.strerror(errno)}")
        c_close(report[1])
        session.main_tid = pid
        signal_between(pid)
        take_signals()
        saved_mask_open()
        if running.starter is not None:
            with nogil:
                while got < 0:
                    got = c_read(report[0], &r, sizeof(r))
                    if errno != EINTR:
                        break
            if got == 0:
                session_begins()
        with nogil:
            result = wait_handed(pid, life[0])
            if got < 0:
                got = c_read(report[0], &r, sizeof(r))
        if result < 0:
            raise CoreError(f"waitid: {_os.strerror(-result)}")
        if got == sizeof(r) and r.stage > 0:
            _fail(r.error, cwd if r.stage == 1 else exe)
        # it could not enter: all is as it was
        ended = got != sizeof(r)
        return ended
    finally:
        pyroot_alarm(0)
        if not ended:
            give_signals_back()
        saved_mask_restore()
        handed_id = 0 if not ended else handed_id
        c_close(report[0])
        c_close(life[0])
