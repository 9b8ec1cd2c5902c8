# What a filter around pyroot, or an old kernel, refuses to the supervisor itself, and what cannot go on without it.
#
# Most calls have an alternative, where they are made.  Requests of ptrace(2) have none: a tracee that cannot be resumed, or
# looked at, would stand still for ever.  So one that is refused whatever the tracee (EPERM, ENOSYS) is noted here, and the loop ends the
# session: no guest runs on untranslated, and the user is told what is missing.
#
# Decides: which errors are such, and how a session ends by them.

cdef extern from * nogil:
    """
    /* What cannot go on: errno, 0 for nothing, the number of a request of ptrace(2) or -1, and then what it is. */
    static struct { int error; long request; const char *what; } pyroot_loss;
    static void pyroot_lose(int error, long request, const char *what) {
        if (pyroot_loss.error) return;
        pyroot_loss.error = error;
        pyroot_loss.request = request;
        pyroot_loss.what = what;
    }
    /* Say whether an error of a request means that nobody may make it. Of those left out the kernel says the same of some tracees (or
     * values), or there is another way. EIO: Linux before 5.3 has no such request. */
    static int pyroot_request_lost(long request, int error) {
        if (request == PTRACE_SEIZE || request == PTRACE_ATTACH || request == PTRACE_TRACEME
            || request == PTRACE_POKETEXT || request == 0x4212 /* SET_SYSCALL_INFO */)
            return 0;
        return error == EPERM || error == ENOSYS || (error == EIO && request == 0x420e /* GET_SYSCALL_INFO */);
    }
    /* ptrace(2) as the kernel has it: what is read goes to `data`. */
    static long pyroot_ptrace(long request, long tid, void *addr, void *data) {
        long result = syscall(SYS_ptrace, request, tid, addr, data);
        if (result < 0 && pyroot_request_lost(request, errno)) pyroot_lose(errno, request, NULL);
        return result;
    }
    /* kill(2) of one process has alternatives. */
    static int pyroot_kill(pid_t pid, int sig) {
        int error;
        if (kill(pid, sig) == 0) return 0;
        error = errno;
        if ((error == EPERM || error == ENOSYS) && pid > 0 && syscall(SYS_tgkill, pid, pid, sig) == 0) return 0;
        errno = error;
        return -1;
    }
    static pid_t pyroot_getsid(pid_t pid) { return getsid(pid); }
    /* getpgid(2), or what /proc says of it. */
    static pid_t pyroot_getpgid(pid_t pid) {
        char name[40], text[512], *at;
        pid_t group = getpgid(pid);
        ssize_t n;
        int fd, error = errno;
        if (group >= 0 || (error != EPERM && error != ENOSYS)) return group;
        snprintf(name, sizeof name, "/proc/%d/stat", pid ? pid : getpid());
        fd = open(name, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        if (fd >= 0) close(fd);
        text[n > 0 ? n : 0] = 0;
        at = strrchr(text, ')'); /* state and parent come before it */
        errno = ESRCH;
        return at && sscanf(at + 1, " %*c %*d %d", &group) == 1 ? group : -1;
    }
    """
    struct pyroot_loss_type "pyroot_loss":
        int error
        long request
        const char *what
    pyroot_loss_type pyroot_loss
    void pyroot_lose(int, long, const char *)
    long c_ptrace "pyroot_ptrace"(long, long, ...)
    int c_kill "pyroot_kill"(pid_t, int)
    pid_t c_getpgid "pyroot_getpgid"(pid_t)
    pid_t c_getsid "pyroot_getsid"(pid_t)

cdef inline bint is_refusal(int error) noexcept nogil:
    """Say whether an errno means that a call itself is not allowed, or missing, whatever it is given."""
    return error == EPERM or error == ENOSYS or error == EACCES

cdef int fd_again(int fd) noexcept nogil:
    """Duplicate one of our O_PATH descriptors."""
    cdef char link[40]
    cdef int copy = c_fcntl(fd, F_DUPFD_CLOEXEC, 3)
    if copy < 0 and is_refusal(errno):
        snprintf(link, sizeof(link), b"/proc/self/fd/%d", fd)
        copy = c_open(link, O_PATH | O_CLOEXEC)
    return copy
