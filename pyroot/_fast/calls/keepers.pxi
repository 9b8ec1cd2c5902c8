# A guest must not harm its keepers: the supervisor, and pyroots around the guest that have handed their views over.
#
# The filter refuses calls that name one process by number.  Handled here are those that name several, or one by a descriptor: the
# number of a descriptor may mean another process by the time the kernel looks (dup2(2) in another thread).  So a signal that cannot be
# caught is sent by the supervisor itself, to the process that it has found; all other signals do it no harm (signals.pxi).
#
# pidfd_getfd(2) cannot be made on behalf of another.  If another task shares the table of descriptors, the supervisor is undumpable
# until that call is over: then the kernel itself gives nobody one of its descriptors.  (A guest that opens something through the
# supervisor's /proc links just then gets EACCES: the call is rare, and lasts microseconds.)
#
# Decides: which calls on keepers are refused, and what becomes of a group that one is in.

cdef extern from * nogil:
    """
    #include <dirent.h>
    #include <sys/prctl.h>
    #include <sys/stat.h>
    #include <sys/statfs.h>
    #include <sys/wait.h>
    #include <sched.h>
    enum { PYROOT_PIDS = 4194304 };
    /* Lists the numbers in a directory of /proc that are not among those seen yet, at most so many. */
    static int pyroot_newcomers(const char *where, unsigned char *seen, int *pids, int most) {
        DIR *listing = opendir(where);
        struct dirent *entry;
        int n = 0;
        while (listing && n < most && (entry = readdir(listing))) {
            int pid = atoi(entry->d_name);
            if (pid <= 0 || pid >= PYROOT_PIDS || seen[pid / 8] >> pid % 8 & 1) continue;
            seen[pid / 8] |= 1 << pid % 8;
            pids[n++] = pid;
        }
        if (listing) closedir(listing);
        return n;
    }
    /* Says whether a process has our numbers. */
    static int pyroot_counts_alike(int tid) {
        struct stat a, b;
        char name[40];
        snprintf(name, sizeof(name), "/proc/%d/ns/pid", tid);
        return stat(name, &a) == 0 && stat("/proc/self/ns/pid", &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    }
    static int pyroot_is_of_proc(const char *name) {
        struct statfs st;
        return statfs(name, &st) == 0 && st.f_type == 0x9fa0;
    }
    static int pyroot_dumpable(void) { return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0); }
    static int pyroot_dumpable_set(int yes) { return prctl(PR_SET_DUMPABLE, yes, 0, 0, 0); }
    /* Says whether a tracee stops, or has ended, within so many ms; what it has to tell is left to be told. -1: waitid(2) is refused. */
    static int pyroot_comes(int tid, int ms) {
        int i;
        for (i = 0; i <= ms * 10; i++) {
            siginfo_t info = {0};
            if (waitid(P_PID, (id_t)tid, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL) < 0)
                return errno == EPERM || errno == ENOSYS ? -1 : 1;
            if (info.si_pid) return 1;
            if (i < 50) sched_yield();
            else usleep(100);
        }
        return 0;
    }
    """
    int pyroot_newcomers(const char *, unsigned char *, int *, int)
    bint pyroot_counts_alike(int)
    bint pyroot_is_of_proc(const char *)
    int pyroot_dumpable()
    int pyroot_dumpable_set(int)
    int pyroot_comes(int, int)
    enum:
        PYROOT_PIDS

cdef enum:
    AT_ONCE = 1024           # processes that are looked at in one go
    CAP_KILL_ = 5
    CAP_SYS_NICE_ = 23
    PIDFD_SIGNAL_GROUP_ = 4
    PIDFD_SIGNAL_KNOWN = 7
    IOPRIO_AHEAD = 1         # ioprio_set(2) counts what it is about from 1, setpriority(2) from 0
    ABOUT_GROUP = 1
    ABOUT_USER = 2
    COMES_WITHIN = 5000      # ms

cdef struct Everybody:       # those that a call means, one after the other
    unsigned char *seen
    int pids[AT_ONCE]
    int n, next

cdef bint is_keeper(Tracee *t, int pid) noexcept nogil:
    """Say whether a process supervises this guest, or stands for the supervisor."""
    cdef View *v = t.view
    cdef Tracee *other
    if pid <= 0:
        return False
    if pid == c_getpid() or pid == net.holder or (pid == session.front and not session.main_done):
        return True
    other = tracee_get(pid) if v.parent != NULL else NULL
    while v.parent != NULL:
        if v.owner == pid or (other != NULL and v.owner == other.tgid):
            return True
        v = v.parent
    return False

cdef bint keeper_in_group(Tracee *t, int group) noexcept nogil:
    cdef View *v = t.view
    if c_getpgid(0) == group or (session.front and not session.main_done and c_getpgid(session.front) == group):
        return True
    while v.parent != NULL:
        if v.owner > 0 and c_getpgid(v.owner) == group:
            return True
        v = v.parent
    return False

cdef bint could_harm(Tracee *t, int capability) noexcept nogil:
    """Say whether the kernel would let this guest act on the supervisor, and the supervisor may act for it: they are the same user's."""
    cdef int ids[8]
    if not pyroot_counts_alike(t.tid):
        # only root's guests can count in another way, and then the supervisor is not among those whom they name
        return False
    if c_geteuid() != 0:
        return True
    return not status_ids(t.tid, ids) or ids[0] == 0 or ids[1] == 0 or (status_bits(t.tid, b"CapEff:\t") >> capability & 1) != 0

# -- all of a group, or of a user -----------------------------------------------------------------------------------------------

cdef int everybody(Everybody *e, const char *where) noexcept nogil:
    """Return the next of all processes, or of all threads of one, 0 at the end: everybody has been seen."""
    if e.next == e.n:
        e.next = 0
        e.n = pyroot_newcomers(where, e.seen, e.pids, AT_ONCE)
    if e.n <= 0:
        return 0
    e.next += 1
    return e.pids[e.next - 1]

cdef int everybody_begin(Everybody *e) noexcept nogil:
    e.n = e.next = 0
    e.seen = <unsigned char *>calloc(1, PYROOT_PIDS // 8)
    return -EAGAIN if e.seen == NULL else 0

cdef long signal_all(Tracee *t, int group, int sig) noexcept nogil:
    """Send a signal to a process group, or (0) to everybody, except keepers; return what kill(2) does (kill_something_info).

    Those born meanwhile are found by another look: the kernel lets nobody slip away either.
    """
    cdef Everybody e
    cdef int pid, error
    cdef bint reached = False
    cdef long result = -ESRCH
    if everybody_begin(&e) < 0:
        return -EAGAIN
    pid = everybody(&e, b"/proc")
    while pid > 0:
        if not is_keeper(t, pid) and (c_getpgid(pid) == group if group else pid != 1 and pid != t.tgid):
            error = -EPERM if not cred_may_signal(t, tracee_get(pid), sig) else -errno if c_kill(pid, sig) < 0 else 0
            if group or error != -EPERM or result == -ESRCH:
                result = 0 if not group and error == -EPERM else error
            reached |= error == 0
        pid = everybody(&e, b"/proc")
    free(e.seen)
    return 0 if reached and group else result

cdef int on_kill(Tracee *t, const pyroot_row *row) noexcept nogil:
    """kill(2) of a group, or of everybody, with a signal that nobody can catch."""
    cdef int target = <int>t.call.args[0], group = -target
    if target == -2147483648 or not could_harm(t, CAP_KILL_):
        return as_is(b"no group, or the kernel keeps the guest from signalling the supervisor")
    if target == -1:
        return answer(t, signal_all(t, 0, <int>t.call.args[1]))
    if target == 0:
        # (putting it into our group now comes too late)
        group = c_getpgid(t.tid)
    elif not keeper_in_group(t, group):
        return as_is(b"a group in which the supervisor is not")
    return answer(t, signal_all(t, group, <int>t.call.args[1]) if group > 0 else -ESRCH)

cdef bint is_meant(int pid, int about, int who) noexcept nogil:
    if about == ABOUT_GROUP:
        return c_getpgid(pid) == who
    return status_field(pid, b"Uid:\t") == who

cdef long set_all(Tracee *t, int about, int who) noexcept nogil:
    """Make the call at hand for each thread of a group, or of a user, except keepers."""
    cdef Everybody e
    cdef Everybody threads
    cdef char where[40]
    cdef int pid, tid, base = IOPRIO_AHEAD if t.call.nr == NR_ioprio_set else 0
    cdef long result = -ESRCH, error
    if everybody_begin(&e) < 0 or everybody_begin(&threads) < 0:
        free(e.seen)
        return -EAGAIN
    pid = everybody(&e, b"/proc")
    while pid > 0 and not (base and result < 0 and result != -ESRCH):
        if not is_keeper(t, pid) and is_meant(pid, about, who):
            snprintf(where, sizeof(where), b"/proc/%d/task", pid)
            threads.n = threads.next = 0
            tid = everybody(&threads, where)
            while tid > 0:
                error = -errno if c_syscall(t.call.nr, base, tid, <int>t.call.args[2]) < 0 else 0
                if error < 0 or result == -ESRCH:
                    result = error
                tid = everybody(&threads, where)
        pid = everybody(&e, b"/proc")
    free(e.seen)
    free(threads.seen)
    return result

cdef int on_who(Tracee *t, const pyroot_row *row) noexcept nogil:
    """setpriority(2), ioprio_set(2): nobody could give the supervisor its priority back."""
    cdef int about = <int>t.call.args[0] - (IOPRIO_AHEAD if t.call.nr == NR_ioprio_set else 0), who = <int>t.call.args[1]
    if not ABOUT_GROUP <= about <= ABOUT_USER or not could_harm(t, CAP_SYS_NICE_):
        return as_is(b"one process by its number, which the filter knows, or none that is beyond the guest's rights")
    if about == ABOUT_USER:
        if who == 0:
            who = status_field(t.tid, b"Uid:\t")
        if who != status_field(c_getpid(), b"Uid:\t"):
            return as_is(b"the processes of another user than the supervisor's")
    elif who == 0:
        who = c_getpgid(t.tid)
    elif not keeper_in_group(t, who):
        return as_is(b"a group in which the supervisor is not")
    return answer(t, set_all(t, about, who))

# -- descriptors of processes -----------------------------------------------------------------------------------------------------

cdef bint shares_table(Tracee *t) noexcept nogil:
    """Say whether another task may change what a descriptor of this one means."""
    return t.shares or t.mm.refs > 1

cdef int process_of(Tracee *t, int fd, bint by_proc) noexcept nogil:
    """Return the process that a descriptor means, 0 if that is gone, or -errno; ``by_proc``: one of its directory in /proc will do.

    What we cannot look at is refused: the kernel could.
    """
    cdef char name[64]
    cdef char text[512]
    cdef char *p
    cdef int file, pid = 0
    cdef ssize_t n
    snprintf(name, sizeof(name), b"/proc/%d/fdinfo/%d", t.tid, fd)
    file = c_open(name, O_RDONLY | O_CLOEXEC)
    if file < 0:
        return -EBADF if errno == ENOENT else -EPERM
    n = c_read(file, text, sizeof(text) - 1)
    c_close(file)
    if n <= 0:
        return -EBADF if n < 0 and errno == ENOENT else -EPERM
    text[n] = 0
    p = find_text(text, b"Pid:\t")
    if p != NULL:
        # (-1: it has been waited for)
        parse_pid(p + 5, &pid)
        return pid
    snprintf(name, sizeof(name), b"/proc/%d/fd/%d", t.tid, fd)
    if not by_proc or not pyroot_is_of_proc(name):
        return -EBADF
    n = c_readlink(name, text, sizeof(text) - 1)
    text[n if n > 0 else 0] = 0
    p = strrchr(text, c'/')
    return pid if p != NULL and parse_pid(p + 1, &pid) > 0 else -EBADF

cdef int signal_found(Tracee *t, int pid) noexcept nogil:
    """Send what cannot be caught to the process that a descriptor meant when we looked (the kernel's order of errors)."""
    cdef Info info
    cdef int error, sig = <int>t.call.args[1], fd = <int>c_syscall(SYS_pidfd_open, pid, 0)
    if t.call.args[2] != 0:
        error = mem_read(t.tid, t.call.args[2], &info, sizeof(info))
        if error == 0 and info.signo != sig:
            error = -EINVAL
        elif error == 0 and pid != t.tgid and (info.code >= 0 or info.code == SI_TKILL):
            error = -EPERM
    else:
        error = 0
    if error == 0 and (c_syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0) if fd >= 0 else c_kill(pid, sig)) < 0:
        error = -errno
    if fd >= 0:
        c_close(fd)
    return answer(t, error)

cdef int on_pidfd(Tracee *t, const pyroot_row *row) noexcept nogil:
    """pidfd_send_signal(2), process_madvise(2).  (process_mrelease(2) is for processes that are dying.)"""
    cdef bint signals = t.call.nr == NR_pidfd_send_signal
    cdef uint32_t flags = <uint32_t>t.call.args[3] if signals else 0
    cdef int sig = <int>t.call.args[1], pid
    if not signals and <int>t.call.args[3] == MADV_DONTFORK_:
        return on_advice(t, row)
    if <int>t.call.args[0] < 0 or flags & ~PIDFD_SIGNAL_KNOWN or flags & (flags - 1):
        return as_is(b"no descriptor but the guest itself (PIDFD_SELF), or EINVAL")
    pid = process_of(t, <int>t.call.args[0], signals)
    if flags & PIDFD_SIGNAL_GROUP_:
        if pid <= 0 or (sig != SIGKILL and sig != SIGSTOP) or not could_harm(t, CAP_KILL_):
            return as_is(b"a signal that the supervisor survives, or cannot get") if pid >= 0 else answer(t, pid)
        if shares_table(t) or keeper_in_group(t, pid):
            return answer(t, signal_all(t, pid, sig))
        return as_is(b"a group in which the supervisor is not, by a descriptor that nobody else can exchange")
    if is_keeper(t, pid):
        return answer(t, -EPERM if signals else -EACCES)
    if pid < 0:
        return answer(t, pid)
    if not signals or not shares_table(t) or (sig != SIGKILL and sig != SIGSTOP) or not could_harm(t, CAP_KILL_):
        return as_is(b"not the supervisor, or nothing that it does not survive")
    return signal_found(t, pid) if pid > 0 else answer(t, -ESRCH)

cdef int on_pidfd_getfd(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef Tracee *owner
    cdef int result, pid
    if <uint32_t>t.call.args[2] != 0:
        return as_is(b"EINVAL, whatever the descriptors are")
    pid = process_of(t, <int>t.call.args[0], False)
    if pid <= 0:
        return answer(t, pid if pid < 0 else -ESRCH)
    owner = guest_of(t.view, pid)
    if owner != NULL and owner.mm != NULL and owner.mm.undumpable and owner.tgid != t.tgid and not may_trace_all(t):
        return answer(t, -EPERM)
    if not cred_may_access(t, owner, False):
        return answer(t, -EPERM)
    if owner == NULL and peer_of(t.view, pid, False) == NULL:
        return answer(t, -EPERM)
    if shares_table(t) and (nesting or t.view.parent != NULL or net.holder > 0):
        # neither a pyroot that is a guest itself nor the holder can be made undumpable
        return answer(t, -EPERM)
    result = copies_begin(t) if copies_made and owner != NULL else -1
    if result >= 0:
        return result
    result = copy_of(t, owner, <int>t.call.args[1]) if owner != NULL else as_is(b"of a guest of another session")
    if result == R_DEAD or not shares_table(t):
        return result
    return R_EXIT if hide_begin(t) else answer(t, -EPERM)

# -- the supervisor out of reach ----------------------------------------------------------------------------------------------------

cdef int hiding = 0          # the guest during whose call it is

cdef bint hide_begin(Tracee *t) noexcept nogil:
    """Keep those who may trace us only as the same user from looking at us until the call about to be made is over; False: impossible."""
    global hiding
    cdef int now = pyroot_dumpable()
    if now == 1 and pyroot_comes(t.tid, 0) < 0:
        # nobody could see when it is over
        return False
    if now == 1:
        now = pyroot_dumpable_set(0)
        hiding = t.tid if now == 0 else 0
    # (0, 2: nobody but root may, as it is)
    return now >= 0

cdef void hide_end() noexcept nogil:
    """The guest has been let go: wait until its call is over.  It waits for nobody but an execve(2) of the other process."""
    global hiding
    if not pyroot_comes(hiding, COMES_WITHIN):
        c_kill(hiding, SIGKILL)
        pyroot_comes(hiding, COMES_WITHIN)
    hiding = 0
    pyroot_dumpable_set(1)
