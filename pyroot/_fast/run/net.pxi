# The net under the translator: guests run under a layer of Landlock (landlock(7)) that allows what their view shows.
#
# Nothing in the translator relies on it.  If the translator is wrong, the kernel still lets guests open, make, remove and rename nothing
# outside of the root and the bindings, and signal nobody but each other.  (Landlock does not cover stat, chdir, chmod, names of sockets and
# the like.)  It makes an open more expensive, so it is optional (--net).
#
# The kernel shows a process under Landlock nothing of processes outside of its layer.  So the supervisor's /proc/PID/fd, by which
# guests are given what has no path, is closed to them, and a *holder* stands in: a process inside the layer that shares the
# supervisor's table of descriptors, has a copy of its memory and does nothing.  The first guest makes it, in its first moments, as
# another child of the supervisor: so its layer is the guests' own.
#
# Decides: what the layer allows, and whose links guests are given.

cdef extern from * nogil:
    """
    #include <linux/futex.h>
    #include <sys/prctl.h>
    #include <sys/wait.h>
    #include <time.h>
    struct pyroot_landlock { unsigned long long files, network, scoped; };
    static int pyroot_net_abi(void) { return (int)syscall(NR_landlock_create_ruleset, NULL, 0, 1 /* version */); }
    static int pyroot_net_ruleset(unsigned long long files, int abi) {
        struct pyroot_landlock rules = {files, 0, abi >= 6 ? 2 /* LANDLOCK_SCOPE_SIGNAL */ : 0};
        return (int)syscall(NR_landlock_create_ruleset, &rules, abi >= 6 ? sizeof rules : sizeof rules.files, 0);
    }
    /* Goes under the layer and makes the holder; returns its pid or -errno. For a process that shares our memory: no C library. */
    __attribute__((no_sanitize("address", "undefined")))
    static int pyroot_net_enter(int ruleset, int parent) {
        int never = 0;
        int result = (int)pyroot_raw(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0);
        if (result == 0) result = (int)pyroot_raw(NR_landlock_restrict_self, ruleset, 0, 0, 0);
        if (result < 0) return result;
        result = (int)pyroot_raw(SYS_clone, CLONE_FILES | CLONE_PARENT | SIGCHLD, 0, 0, 0);
        if (result == 0) {
            /* (all signals are blocked) */
            pyroot_raw(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0);
            long above = pyroot_raw(SYS_getppid, 0, 0, 0, 0); /* (a container may refuse it) */
            if (above >= 0 && above != parent) pyroot_raw(SYS_exit_group, 0, 0, 0, 0);
            pyroot_raw(SYS_setpgid, 0, 0, 0, 0);
            pyroot_raw(SYS_chdir, (long)"/", 0, 0, 0);
            /* (pause(2) may be refused, and would be made again and again) */
            for (;;) pyroot_raw(SYS_futex, (long)&never, FUTEX_WAIT, 0, 0);
        }
        if (result > 0) {
            /* a table of descriptors of its own from here on; some containers refuse unshare(2) */
            int alone = (int)pyroot_raw(SYS_unshare, CLONE_FILES, 0, 0, 0);
            if (alone < 0) alone = (int)pyroot_raw(NR_close_range, -1, -1, 2 /* CLOSE_RANGE_UNSHARE */, 0);
            if (alone < 0) {
                pyroot_raw(SYS_kill, result, SIGKILL, 0, 0);
                result = alone;
            }
        }
        return result;
    }
    static void pyroot_net_tell(int *where, int what) {
        __atomic_store_n(where, what, __ATOMIC_RELEASE);
        pyroot_raw(SYS_futex, (long)where, FUTEX_WAKE, 1, 0);
    }
    /* Waits for what the first guest tells, which it may die before; -ESRCH. */
    static int pyroot_net_told(int *where, int pid) {
        struct timespec moment = {0, 100000000};
        siginfo_t info;
        int value;
        while ((value = __atomic_load_n(where, __ATOMIC_ACQUIRE)) == 0) {
            syscall(SYS_futex, where, FUTEX_WAIT, 0, &moment);
            info.si_pid = 0;
            if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 || info.si_pid)
                return (value = __atomic_load_n(where, __ATOMIC_ACQUIRE)) ? value : -ESRCH;
        }
        return value;
    }
    """
    int pyroot_net_abi()
    int pyroot_net_ruleset(unsigned long long, int)
    int pyroot_net_enter(int, int)
    int pyroot_net_told(int *, int)

cdef enum:
    NET_OLDEST = 2           # the ABI that allows to move files between directories
    NET_FILE = 1 | 2 | 4 | 1 << 14       # of a file: execute, write, read, truncate
    NET_DIRECTORY = (1 << 15) - 1        # what is said of files and directories, but ioctl on devices: that is no way out

cdef int net_allow(int fd, uint64_t handled) noexcept nogil:
    """Add what a descriptor names, all below it if it is a directory, to the layer."""
    cdef c_stat st
    if c_fstat(fd, &st) < 0:
        return -errno
    return -errno if pyroot_landlock_allow(net.ruleset, handled if S_ISDIR(st.st_mode) else handled & NET_FILE, fd) < 0 else 0

cdef int net_prepare(View *v) except -1:
    """Make the layer: root, bindings, the loaders, and the files that the command gets open.  Raises CoreError."""
    cdef int i, fd, result, abi = pyroot_net_abi()
    cdef uint64_t handled = NET_DIRECTORY if abi > NET_OLDEST else NET_DIRECTORY >> 1
    if nesting > 1:
        raise CoreError("net: not inside a pyroot inside a pyroot: the layer would close the loader of the one in between to guests")
    if abi < NET_OLDEST:
        raise CoreError("net: this kernel has no Landlock, or one that cannot allow renames (Linux 5.19)")
    net.ruleset = pyroot_net_ruleset(handled, abi)
    if net.ruleset < 0:
        raise CoreError(f"net: {_os.strerror(errno)}")
    for i in range(v.n):
        result = net_allow(v.b[i].fd, handled) if not v.b[i].flags & BIND_MASK else 0
        if result < 0:
            raise CoreError(f"net: {_os.fsdecode(v.b[i].host[:v.b[i].hostlen])}: {_os.strerror(-result)}")
    if loader_installed[0] != 0:
        landlock_allow(net.ruleset, loader_installed)
        landlock_allow(net.ruleset, loader32_source)
    for name in _os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and not _os.get_inheritable(int(name)):
                continue
            fd = _os.open(f"/proc/self/fd/{name}", _os.O_PATH | _os.O_CLOEXEC)
        except OSError:
            # what listed them
            continue
        if not _os.path.isdir(f"/proc/self/fd/{fd}"):
            # (a pipe or a socket needs no rule)
            net_allow(fd, handled)
        _os.close(fd)
    return 0

cdef int net_begin(int pid) except -1:
    """The first guest is there: take the holder that it has made.  Raises CoreError."""
    cdef int status = 0
    if net.ruleset < 0:
        return 0
    c_close(net.ruleset)
    net.ruleset = -1
    if birth.holder < 0:
        c_waitpid(pid, &status, __WALL)
        raise CoreError(f"net: {_os.strerror(-birth.holder)}")
    net.holder = birth.holder
    arena_name()
    loader_name()
    filter_prepare()
    if session.tracing:
        trace_filter()
    return 0

cdef void net_gone(int pid) noexcept nogil:
    """Somebody has ended: the holder, without whom guests cannot be served, or the last guest, after whom it has to."""
    if pid == net.holder:
        net.holder = 0
        if tracees.count > 0:
            net.lost = True
            kill_all()
    elif tracees.count == 0:
        # (the first to die is not always the first that we hear of)
        net.lost |= pyroot_is_dead(net.holder)
        c_kill(net.holder, SIGKILL)

cdef void net_end() noexcept nogil:
    cdef int status = 0
    if net.ruleset >= 0:
        c_close(net.ruleset)
    if net.holder > 0:
        c_kill(net.holder, SIGKILL)
        c_waitpid(net.holder, &status, __WALL)
    net.ruleset = -1
    net.holder = 0
    net.lost = False
