# Job control: when the command is stopped, a shell that waits for us has to see us stop too.
#
# A stopped supervisor cannot do anything, not even continue the command when somebody sends it SIGCONT.  So we stop only where a
# shell with job control is our parent, and leave a child behind that looks after the command until we run again.

cdef extern from * nogil:
    """
    static void pyroot_pause(long nanoseconds) { struct timespec t = {0, nanoseconds}; nanosleep(&t, NULL); }
    """
    void pyroot_pause(long)
    pid_t c_getppid "getppid"()
    pid_t c_getsid "getsid"(pid_t)
    pid_t c_setsid "setsid"()

cdef bint shell_waits() noexcept nogil:
    """Say whether our parent is one that would put us into a job: same session and terminal, another process group."""
    cdef pid_t parent = c_getppid()
    cdef int fd
    if parent <= 0 or c_getsid(parent) != c_getsid(0) or c_getpgid(parent) == c_getpgid(0):
        return False
    fd = c_open(b"/dev/tty", O_RDWR | O_CLOEXEC)
    if fd < 0:
        return False
    c_close(fd)
    return True

cdef bint has_signal(char *status, const char *field, int sig) noexcept nogil:
    """Look a signal up in a line of /proc/PID/status: a mask of 16 hexadecimal digits."""
    cdef char *p = find_text(status, field)
    cdef int digit
    if p == NULL:
        return False
    p += strlen(field) + 15 - (sig - 1) // 4
    digit = p[0] - c'0' if p[0] <= c'9' else p[0] - c'a' + 10
    return digit >> ((sig - 1) % 4) & 1 != 0

cdef bint must_wake(int pid) noexcept nogil:
    """Say whether the stopped command has been continued or killed."""
    cdef char text[4096]
    cdef char *state
    if status_read(pid, text, sizeof(text)) < 0:
        return True
    state = find_text(text, b"State:\t")
    if state == NULL or state[7] == c'Z' or state[7] == c'X':
        return True
    return has_signal(text, b"SigPnd:\t", SIGCONT) or has_signal(text, b"ShdPnd:\t", SIGCONT)

cdef void look_after(int supervisor, int command) noexcept nogil:
    """Wake the supervisor when the command goes on without it.  Runs in a child until the supervisor is no longer stopped."""
    cdef char text[4096]
    cdef char *state
    cdef int looks = 0
    cdef long pause = 1000000
    # no member of the job: what is sent to the group is not for us
    c_setsid()
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    while c_getppid() == supervisor:
        if must_wake(command):
            c_kill(supervisor, SIGCONT)
            return
        if status_read(supervisor, text, sizeof(text)) < 0:
            return
        state = find_text(text, b"State:\t")
        looks += 1
        if (state == NULL or state[7] != c'T') and looks > 3:
            return
        pyroot_pause(pause)
        if pause < 50000000:
            pause *= 2

cdef void stop_with(int command) noexcept nogil:
    """Stop as the command has been stopped, if that is what the parent waits for.  SIGCONT to the group wakes both."""
    cdef int supervisor = c_getpid()
    cdef pid_t child
    if session.front:
        session.front_stopped = c_kill(session.front, SIGSTOP) == 0
        return
    if not shell_waits():
        return
    child = c_fork()
    if child == 0:
        look_after(supervisor, command)
        c_exit(0)
    if child > 0:
        c_kill(supervisor, SIGSTOP)

cdef void front_continue() noexcept nogil:
    """The command goes on, and so does the process that was stopped in our place."""
    session.front_stopped = False
    c_kill(session.front, SIGCONT)
