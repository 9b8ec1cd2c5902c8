# When the command has ended and others are left: they are waited for, and a signal then means that they are to end.
#
# There is nobody left to pass a signal on to, so the first one asks all of them to end (SIGTERM), kills them when the grace is over, and
# the second one kills them at once.  The loop sits in a wait meanwhile; a timer interrupts it when something is due.  Here, too, is how the
# front end learns that it waits, so that it can say so or let the caller go (pyroot/leaving.py).
#
# Decides: when something is said, and how those that are left end.  Where the pyroot around us serves the view, it ends them (handed.pxi).

cdef extern from * nogil:
    """
    #include <signal.h>
    #include <sys/wait.h>
    #include <time.h>
    static timer_t pyroot_alarm_timer;
    static int pyroot_alarm_made;
    static void pyroot_alarm_make(void) {
        struct sigevent how = {0};
        how.sigev_notify = SIGEV_SIGNAL;
        how.sigev_signo = SIGALRM;
        if (!pyroot_alarm_made) pyroot_alarm_made = timer_create(CLOCK_MONOTONIC, &how, &pyroot_alarm_timer) == 0;
    }
    /* Interrupts the wait after so many ns, and again each 50 ms, since the first may come just before the wait; 0: never. Where there are
     * no such timers it shares the one of every process with the clock (placement.pxi). */
    static void pyroot_alarm(unsigned long long ns) {
        struct itimerspec when = {{0, ns ? 50000000 : 0}, {ns / 1000000000, ns % 1000000000}};
        struct itimerval alarm = {{0, ns ? 50000 : 0}, {ns / 1000000000, ns % 1000000000 / 1000}};
        if (pyroot_alarm_made) timer_settime(pyroot_alarm_timer, 0, &when, NULL);
        else if (pyroot_clock_made < 0) {
            if (ns && !alarm.it_value.tv_sec && !alarm.it_value.tv_usec) alarm.it_value.tv_usec = 1;
            pyroot_alarm_shared = ns != 0;
            pyroot_clockless |= setitimer(ITIMER_REAL, &alarm, NULL) < 0;
        }
    }
    /* Says whether a child is dead already, though nobody has waited for it: signals to it are lost. */
    static int pyroot_is_dead(int pid) {
        siginfo_t info = {0};
        /* (of a tracee that is stopped this tells, too, whatever is asked for) */
        return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 && info.si_pid == pid
            && (info.si_code == CLD_EXITED || info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED);
    }
    """
    bint pyroot_is_dead(int)
    void pyroot_alarm_make()
    void pyroot_alarm(unsigned long long)

cdef enum:
    TELL_AFTER = 3           # s

cdef struct Leaving:
    volatile int asked       # signals that have come
    int served               # what has been done about them: 1 asked to end, 2 killed
    uint64_t told            # when the front end is to say that we wait, 0: it has, or need not
    uint64_t killed          # when those that were asked are killed, 0: nobody was asked, or they have been
    uint64_t grace           # ns from the one to the other

cdef Leaving leaving

cdef void leaving_prepare(double grace) noexcept nogil:
    memset(&leaving, 0, sizeof(leaving))
    leaving.grace = <uint64_t>(grace * 1e9)

cdef bint leaving_signal(int sig, siginfo_t *info) noexcept nogil:
    """Take a signal that comes after the command's end, in a handler; False: it has not ended."""
    global errno, signals_waiting
    cdef int kept = errno
    if not session.main_done or session.bare:
        return False
    if not leaving_means_us(sig, info):
        return True
    leaving_late(sig)
    signals_waiting = 1
    pyroot_alarm(1)
    errno = kept
    return True

cdef bint leaving_means_us(int sig, siginfo_t *info) noexcept nogil:
    """Say whether a signal is for us.  For nohup(1), and the shell's "&", it was not when we were started; a guest kills a group."""
    return saved_signals.old[sig].sa_handler != SIG_IGN and not (info.si_code <= 0 and leaving_is_guest(info.si_pid))

cdef void leaving_late(int sig) noexcept nogil:
    """A signal has found no command."""
    if sig == SIGTERM or sig == SIGINT or sig == SIGHUP or sig == SIGQUIT:
        leaving.asked += 1

cdef bint leaving_is_guest(int pid) noexcept nogil:
    return view_request(VIEW_HAS, handed_id, pid) > 0 if handed_id else tracee_get(pid) != NULL

cdef void leaving_begin() noexcept nogil:
    """The command has ended, and we go on for others."""
    if session.kill_on_exit:
        return
    pyroot_alarm_make()
    if not leaving_tell(True):
        leaving.told = pyroot_now() + TELL_AFTER * <uint64_t>1000000000
    leaving_look()

cdef void leaving_look() noexcept nogil:
    """The wait was interrupted: do what is due."""
    cdef uint64_t now, next
    if not session.main_done or session.bare:
        return
    now = pyroot_now()
    if leaving.asked > leaving.served and leaving.served < 2:
        leaving_end(leaving.asked > 1 or leaving.grace == 0, now)
    if leaving.killed != 0 and now >= leaving.killed:
        leaving_end(True, now)
    if leaving.told != 0 and now >= leaving.told:
        leaving.told = 0
        leaving_tell(False)
    next = leaving.killed if leaving.killed != 0 else leaving.told
    pyroot_alarm(0 if next == 0 else next - now if next > now else 1)

cdef void leaving_end(bint at_once, uint64_t now) noexcept nogil:
    """Ask all that are left to end, or kill them."""
    leaving.served = 2 if at_once else 1
    leaving.told = 0
    leaving.killed = 0 if at_once else now + leaving.grace
    if handed_id:
        view_request(VIEW_KILL if at_once else VIEW_ASK, handed_id, 0)
    elif at_once:
        kill_all()
    else:
        ask_to_end(NULL)

cdef void ask_to_end(View *v) noexcept nogil:
    """Send SIGTERM to the guests of a view and of those inside it (NULL: to all); those that are stopped have to go on to act on it."""
    cdef int i, k
    cdef Tracee *t
    for i in range(TID_TOP):
        for k in range(TID_LEAF if tracees.leaf[i] != NULL else 0):
            t = tracees.leaf[i][k]
            if t != NULL and t.tid == t.tgid and (v == NULL or view_within(t.view, v)):
                c_kill(t.tid, SIGTERM)
                c_kill(t.tid, SIGCONT)

cdef bint leaving_tell(bint first) noexcept with gil:
    """Tell the front end who is left; True: nothing else needs to be said."""
    try:
        if running.leaver is None:
            return True
        left = leaving_list()
        return bool(left and running.leaver(first, session.main_status, left))
    except BaseException as error:
        _os.write(2, f"pyroot: {error!r}\n".encode(errors="backslashreplace"))
        return True

cdef list leaving_list():
    """List the processes that are left."""
    cdef list found = []
    cdef int i, k
    if handed_id:
        return [int(name) for name in _os.listdir("/proc") if name.isdigit() and view_request(VIEW_HAS, handed_id, int(name)) > 0]
    for i in range(TID_TOP):
        for k in range(TID_LEAF if tracees.leaf[i] != NULL else 0):
            if tracees.leaf[i][k] != NULL and tracees.leaf[i][k].tid == tracees.leaf[i][k].tgid:
                found.append(tracees.leaf[i][k].tid)
    return found


def be_called(bytes name):
    """Give this process the name that ps shows; of more than 15 bytes the kernel keeps the first ones."""
    prctl(PR_SET_NAME, <const char *>name, 0, 0, 0)


def die_with(int pid):
    """End as soon as that process, which is our parent, does; 0: no longer.  Raises OSError."""
    if prctl(PR_SET_PDEATHSIG, SIGKILL if pid else 0, 0, 0, 0) < 0:
        raise OSError(errno, _os.strerror(errno))
    cdef int parent = c_getppid()
    # (-1: it is refused)
    if pid and parent != pid and parent >= 0:
        c_kill(c_getpid(), SIGKILL)
