# Signals that pyroot gets mean the command, and each reaches it exactly once.
#
# Anyone who signals pyroot's pid (a shell, systemd, somebody with kill) means the command, whose pid it would be with chroot(1).  But
# the command is a member of pyroot's process group: what the terminal or kill(2) sends to the whole group reaches it directly.  No
# siginfo tells whether a kill was for one process or for a group, so what the command has got, or is about to get, is compared.  The
# kernel walks a group from its youngest member to its oldest, so the command has its own signal before we have ours.
#
# Before the command exists, a signal ends the start: signals wait (scripts/pyroot.c, saved_mask_block), and one that is pending
# when the command is about to be born ends it.
#
# Decides: which signals are passed on, and as what.  Not decided here: what they mean once the command has ended.

cdef extern from * nogil:
    """
    #include <signal.h>
    #include <ucontext.h>
    /* All but the clock's, which has to end a wait that begins now. */
    static void pyroot_block_others(void *context, int clock) {
        sigfillset(&((ucontext_t *)context)->uc_sigmask);
        sigdelset(&((ucontext_t *)context)->uc_sigmask, clock);
    }
    static void pyroot_block(void *context, int sig) { sigaddset(&((ucontext_t *)context)->uc_sigmask, sig); }
    /* Blocks all others in the handler of a signal, also the two that the C library keeps for itself, which get the handler of `like`. */
    static void pyroot_take_whole(int sig, int like) {
        struct { void *handler; unsigned long flags; void *restorer; unsigned long mask; } act; /* the kernel's own struct */
        if (syscall(SYS_rt_sigaction, like, NULL, &act, 8L) < 0) return;
        act.mask = ~0ul;
        syscall(SYS_rt_sigaction, sig, &act, NULL, 8L);
    }
    static int pyroot_take_pending(const sigset_t *set, siginfo_t *info) {
        struct timespec none = {0, 0};
        return sigtimedwait(set, info, &none);
    }
    """
    void pyroot_block_others(void *, int)
    void pyroot_block(void *, int)
    void pyroot_take_whole(int, int)
    int pyroot_take_pending(const sigset_t *, siginfo_t *)
    int sigpending(sigset_t *)
    int sigismember(const sigset_t *, int)
    int sigemptyset(sigset_t *)
    int sigdelset(sigset_t *, int)

cdef enum:
    ARRIVED_MOST = 64
    ARRIVED_FEW = 2          # at a time: then it is a stop's turn
    SIGNALS_MOST = 65
    REAL_TIME = 32           # from here on signals queue, and none is the same as another
    SIGTICK = 64             # our own clock's: it may wait beside one that somebody sends (placement.pxi)
    SIGILL_ = 4
    SIGFPE_ = 8
    SIGSYS_ = 31
    SIGURG_ = 23
    SIGXCPU_ = 24
    SI_TIMER_ = -2
    WAIT_FOR = 10000000      # ns
    WAIT_TICK = 15000        # µs
    SEEN_FOR = 100000000     # ns: so long a signal of the command may be the same as one of ours that is still to come ...
    SEEN_NESTED = 1000000000  # ... inside another pyroot
    SEEN_MOST = 8            # signals of each number that are remembered

cdef struct Seen:            # a signal that the command has received directly, not matched with one of ours yet
    uint64_t when            # 0: none
    int pid, uid, code

cdef struct Command:         # what a pyroot, this one or one inside whose view is here, runs
    int tgid
    int pyroot               # the process that stands for it
    int sent[SIGNALS_MOST]   # real-time signals that we have sent and it has not got
    Seen seen[SIGNALS_MOST][SEEN_MOST]
    int ahead[SIGNALS_MOST]  # signals of ours that have been compared with one that it is about to get
    uint64_t ahead_at[SIGNALS_MOST]   # the last of them

cdef struct Arrived:
    Info ring[ARRIVED_MOST]
    volatile unsigned int first, last   # the loop takes at the one end, the handler puts at the other
    volatile bint blocked    # the handler has blocked signals, until the loop has looked
    volatile bint interrupted   # the terminal has sent SIGINT
    int tid, status          # the event at hand

cdef Arrived arrived
cdef Command command         # our own
cdef sigset_t handled_mask   # of this process while it supervises

cdef inline bint is_fault(int sig) noexcept nogil:
    return sig == SIGSEGV or sig == SIGBUS or sig == SIGILL_ or sig == SIGFPE_ or sig == SIGTRAP or sig == SIGSYS_

cdef inline bint is_of_terminal(int sig) noexcept nogil:
    """Say whether a signal is one that the kernel sends to a process group of its own accord."""
    return (sig == SIGINT or sig == SIGQUIT or sig == SIGTSTP or sig == SIGTTIN or sig == SIGTTOU or sig == SIGWINCH or sig == SIGHUP
            or sig == SIGCONT)

# -- in the handler -----------------------------------------------------------------------------------------------------------

cdef bint means_command(int sig, siginfo_t *info) noexcept nogil:
    """Say whether a signal is to be compared or passed on at all."""
    if info.si_code == SI_TIMER_ or (info.si_code <= 0 and info.si_pid == c_getpid()):
        # our clocks; SIGPIPE of our own write
        return False
    if info.si_code > 0 and is_of_terminal(sig):
        if sig == SIGINT:
            arrived.interrupted = True
        # a session leader is told of its terminal's end alone
        return (sig == SIGHUP or sig == SIGCONT) and c_getsid(0) == c_getpid()
    # what the kernel reports about this process itself does not concern the command
    return info.si_code <= 0 or not (is_fault(sig) or sig == SIGPIPE or sig == SIGXFSZ or sig == SIGXCPU_)

cdef void note_signal(int sig, siginfo_t *info, void *context) noexcept nogil:
    """Remember a signal for the command.  All others are blocked meanwhile."""
    global errno, signals_waiting, tick_waiting
    cdef int kept = errno
    cdef unsigned int last = arrived.last
    if info.si_code == SI_TIMER_ or (sig == SIGALRM and info.si_code > 0 and pyroot_tick_alarms()):
        tick_waiting = 1
    elif is_fault(sig) and info.si_code > 0:
        # ours: it happens again
        sigaction(sig, &saved_signals.old[sig], NULL)
    elif tap_signal(sig, info) or relay_signal(sig, info) or leaving_signal(sig, info):
        pass
    elif sig == SIGIO_ and info.si_code > 0 and (tap.listens or relay.listens):
        relay.waiting = relay.listens
        if tap.listens:
            tap_wake()
        else:
            loop_wake()
    elif sig == SIGTTOU and info.si_code > 0:
        # for what we have written ourselves: where it is blocked the terminal takes it
        arrived.blocked = True
        pyroot_block(context, sig)
        signals_waiting = 1
    elif (session.bare or means_command(sig, info)) and last - arrived.first < ARRIVED_MOST:
        memcpy(&arrived.ring[last % ARRIVED_MOST], info, sizeof(Info))
        arrived.ring[last % ARRIVED_MOST].rest[11] = pyroot_now()
        arrived.last = last + 1
        # the next one when the loop has looked at this: a sender without end would keep us from everything else
        arrived.blocked = True
        pyroot_block_others(context, SIGALRM if pyroot_tick_alarms() else SIGTICK)
        signals_waiting = 1
        # it may have come just before the wait
        pyroot_tick(NEAR_TICK)
    errno = kept

cdef inline bint is_same(const Info *info, int pid, int uid, int code) noexcept nogil:
    return info.pid == pid and info.uid == uid and info.code == code

# -- in the loop --------------------------------------------------------------------------------------------------------------

cdef void forward_signals(int tid, int status) noexcept nogil:
    """Pass on what has come, and some of what comes meanwhile; an event of ``tid`` is at hand."""
    global signals_waiting
    cdef int i
    cdef bint go_on
    signals_waiting = 0
    arrived.tid = tid
    arrived.status = status
    if not placement.settled:
        pyroot_tick(0)
    for i in range(ARRIVED_FEW):
        go_on = forward_arrived()
        if arrived.blocked:
            arrived.blocked = False
            sigprocmask(SIG_SETMASK, &handled_mask, NULL)
        if not go_on or arrived.first == arrived.last:
            break
    if relay.waiting:
        relay_look()
    if tap.waiting:
        tap_look()
    leaving_look()

cdef bint forward_arrived() noexcept nogil:
    """Pass on what is there now; return False if one has to wait first."""
    global signals_waiting
    cdef Info info
    cdef unsigned int last = arrived.last
    while arrived.first != last:
        info = arrived.ring[arrived.first % ARRIVED_MOST]
        if nesting and not has_waited(&info):
            signals_waiting = 1
            pyroot_tick(WAIT_TICK)
            return False
        arrived.first += 1
        command.tgid = session.main_tid
        if session.main_done or pyroot_is_dead(session.main_tid) or signal_pass(&command, &info, tracee_get(info.pid) != NULL) < 0:
            leaving_late(info.signo)
    return True

cdef bint has_waited(Info *info) noexcept nogil:
    """Say whether a signal that may have been for the group has waited a while.

    Inside another pyroot the command's own is that one's first, and is shown to us, at last, as a stop that nothing has announced.
    """
    return info.code < 0 or c_getpgid(session.main_tid) != c_getpgid(0) or pyroot_now() - info.rest[11] > WAIT_FOR

cdef int signal_pass(Command *c, Info *info, bint of_guest) noexcept nogil:
    """Pass a signal on, with its siginfo, unless the command gets it directly.  Returns 0 or -errno.

    The kernel lets nobody else say that a signal comes from kill(2) or from itself: that is mended when it is delivered.
    """
    cdef int sig = info.signo
    cdef uint64_t when = info.rest[11]
    info.rest[11] = 0
    # a guest cannot kill its pyroot: it has killed a group
    if (of_guest and info.code <= 0) or command_has(c, info, when) or command_ignores(c, sig):
        return 0
    if info.code >= 0 or info.code == SI_TKILL:
        info.code = OUR_CODE - info.code
        info.error = c_getpid()
    if sig >= REAL_TIME:
        c.sent[sig] += 1
    if c_syscall(SYS_rt_sigqueueinfo, c.tgid, sig, info) == 0 or c_kill(c.tgid, sig) == 0:
        return 0
    if is_refusal(errno):
        # who asks the command to end must not wait for ever
        pyroot_lose(errno, -1, b"kill")
    return -errno

cdef bint command_has(Command *c, Info *info, uint64_t when) noexcept nogil:
    """Say whether the command has got, or is about to get, this signal directly; it came to us at ``when``."""
    cdef Seen *seen
    cdef int i
    if info.code < 0 or c_getpgid(c.tgid) != c_getpgid(c.pyroot):
        # sigqueue(3) and tgkill(2) are for one process
        return False
    for i in range(SEEN_MOST):
        seen = &c.seen[info.signo][i]
        # (ours may have come before the command's was looked at)
        if seen.when != 0 and (when < seen.when or when - seen.when < seen_for()) and is_same(info, seen.pid, seen.uid, seen.code):
            seen.when = 0
            return True
    if c.ahead[info.signo] > 0 and info.signo < REAL_TIME and pyroot_now() - c.ahead_at[info.signo] < seen_for():
        # the one that it is about to get has been compared: if that is still pending the kernel merges the two
        return False
    if command_stopped_by(c, info) or command_awaits(c, info.signo) or command_stopped_by(c, info):
        c.ahead[info.signo] += 1
        c.ahead_at[info.signo] = pyroot_now()
        return True
    return False

cdef inline uint64_t seen_for() noexcept nogil:
    return SEEN_NESTED if nesting else SEEN_FOR

cdef bint command_ignores(Command *c, int sig) noexcept nogil:
    """Say whether nothing but an interrupted call would tell the command of a signal: the kernel drops it where nobody traces."""
    cdef char text[4096]
    cdef char *state
    cdef Tracee *t = tracee_get(c.tgid)
    if not (sig == SIGURG_ or sig == SIGWINCH or sig == SIGCONT) or session.tracing or t == NULL or t.ptrace != NULL:
        return False
    if status_read(c.tgid, text, sizeof(text)) < 0 or has_signal(text, b"SigBlk:\t", sig) or has_signal(text, b"SigCgt:\t", sig):
        return False
    if sig != SIGCONT:
        return True
    # one that is stopped, or about to be, goes on
    return not t.listening and not has_stop(text, b"SigPnd:\t") and not has_stop(text, b"ShdPnd:\t") and not will_listen(c.tgid, text)

cdef bint will_listen(int tid, char *text) noexcept nogil:
    """Say whether a tracee is in a group-stop that nobody has looked at; ``text`` is its /proc/PID/status."""
    cdef char *state = find_text(text, b"State:\t")
    cdef int status
    if state != NULL and state[7] != c'T' and state[7] != c't':
        return False
    status = arrived.status if tid == arrived.tid else turn_of(tid)
    if status == 0:
        status = pyroot_pending_stop(tid) << 8
    return status >> 16 == PTRACE_EVENT_STOP and WSTOPSIG(status) != SIGTRAP

cdef bint has_stop(char *status, const char *field) noexcept nogil:
    return (has_signal(status, field, SIGSTOP) or has_signal(status, field, SIGTSTP) or has_signal(status, field, SIGTTIN)
            or has_signal(status, field, SIGTTOU))

cdef bint command_awaits(Command *c, int sig) noexcept nogil:
    """Say whether a signal is pending in the command; of real-time ones, that it is not one of those that we have sent."""
    cdef char text[4096]
    if (sig >= REAL_TIME and c.sent[sig] > 0) or status_read(c.tgid, text, sizeof(text)) < 0:
        return False
    return has_signal(text, b"SigPnd:\t", sig) or has_signal(text, b"ShdPnd:\t", sig)

cdef bint command_stopped_by(Command *c, Info *info) noexcept nogil:
    """Say whether a thread of the command is stopped by this very signal, which nobody has looked at yet."""
    cdef int i, k
    cdef Tracee *t = tracee_get(c.tgid)
    if t != NULL and t.mm != NULL and t.mm.refs == 1:
        return is_stopped_by(t, info)
    for i in range(TID_TOP):
        for k in range(TID_LEAF if tracees.leaf[i] != NULL else 0):
            t = tracees.leaf[i][k]
            if t != NULL and t.tgid == c.tgid and is_stopped_by(t, info):
                return True
    return False

cdef bint is_stopped_by(Tracee *t, Info *info) noexcept nogil:
    cdef Info other
    return (c_ptrace(PTRACE_GETSIGINFO, t.tid, NULL, &other) == 0 and other.signo == info.signo
            and is_same(&other, info.pid, info.uid, info.code))

cdef inline void note_delivery(Tracee *t, int sig) noexcept nogil:
    """A tracee is stopped by a signal: of commands it is remembered."""
    if t.tgid == session.main_tid:
        command_gets(&command, t, sig)
    elif t.view.command != NULL and (<Command *>t.view.command).tgid == t.tgid:
        command_gets(<Command *>t.view.command, t, sig)

cdef void command_gets(Command *c, Tracee *t, int sig) noexcept nogil:
    """The command is about to get a signal: remember it, for ours may be still to come, or mend it, if we have sent it."""
    cdef Info info
    cdef Seen *seen = &c.seen[sig][0]
    cdef uint64_t now
    cdef int i
    if sig == SIGCHLD or c_ptrace(PTRACE_GETSIGINFO, t.tid, NULL, &info) < 0 or (info.code > 0 and is_fault(sig)):
        return
    if sig >= REAL_TIME and c.sent[sig] > 0:
        c.sent[sig] -= 1
    if signal_is_ours(&info):
        if sig < REAL_TIME:
            # (what has been compared with this one has become one with it)
            c.ahead[sig] = 0
        signal_mend(t, sig)
        return
    now = pyroot_now()
    if c.ahead[sig] > 0 and now - c.ahead_at[sig] < seen_for():
        c.ahead[sig] -= 1
        return
    c.ahead[sig] = 0
    # (in the place of the oldest)
    for i in range(1, SEEN_MOST):
        if c.seen[sig][i].when < seen.when:
            seen = &c.seen[sig][i]
    seen.when = now
    seen.pid = info.pid
    seen.uid = info.uid
    seen.code = info.code

cdef int view_pass(Tracee *t, View *v) noexcept nogil:
    """A pyroot among the guests, whose view is here, has got a signal: t.call.args[3] is its siginfo."""
    cdef Info info
    cdef Tracee *sender
    cdef int result = mem_read(t.tid, t.call.args[3], &info, sizeof(info))
    if result < 0:
        return result
    if v.command == NULL or not 0 < info.signo < SIGNALS_MOST:
        return -EINVAL
    # (the kernel would take it: the one that has died is a zombie until its parent, that pyroot, has waited for it)
    if tracee_get((<Command *>v.command).tgid) == NULL or pyroot_is_dead((<Command *>v.command).tgid):
        return -ESRCH
    info.rest[11] = pyroot_now()
    sender = tracee_get(info.pid)
    return signal_pass(<Command *>v.command, &info, sender != NULL and view_within(sender.view, v))

# -- before the command is there ------------------------------------------------------------------------------------------------

cdef int signal_before() noexcept nogil:
    """All signals are blocked: return the one that has come and ends us, 0 if none has; stop where one asks for that."""
    cdef sigset_t pending
    cdef siginfo_t info
    cdef int sig
    if sigpending(&pending) < 0:
        return 0
    for sig in range(1, SIGNALS_MOST):
        if not sigismember(&pending, sig) or sigismember(&saved_mask, sig):
            continue
        if sig == SIGCHLD or sig == SIGURG_ or sig == SIGWINCH or sig == SIGCONT:
            continue
        sigemptyset(&pending)
        sigaddset(&pending, sig)
        if pyroot_take_pending(&pending, &info) != sig:
            continue
        if sig == SIGTSTP or sig == SIGTTIN or sig == SIGTTOU:
            c_kill(c_getpid(), SIGSTOP)
            return signal_before()
        if sig == SIGINT and info.si_code > 0:
            arrived.interrupted = True
        return sig
    return 0

cdef void signal_between(int pid) noexcept nogil:
    """The first tracee is born, and everything is still blocked: give it what the terminal has sent before there was anybody but us."""
    cdef sigset_t pending
    cdef char text[4096]
    cdef int sig
    if sigpending(&pending) < 0 or status_read(pid, text, sizeof(text)) < 0:
        return
    for sig in range(1, SIGNALS_MOST):
        if is_of_terminal(sig) and sigismember(&pending, sig) and not has_signal(text, b"ShdPnd:\t", sig):
            c_kill(pid, sig)

# -- taking and giving back -----------------------------------------------------------------------------------------------------

cdef struct SavedSignals:
    c_sigaction old[65]
    bint changed[65]

cdef SavedSignals saved_signals

cdef void take_signal(int sig, bint ignore) noexcept nogil:
    cdef c_sigaction act
    memset(&act, 0, sizeof(act))
    if ignore:
        act.sa_handler = SIG_IGN
    else:
        act.sa_sigaction = note_signal_handed if handed_id else note_signal
        act.sa_flags = SA_SIGINFO
    if not saved_signals.changed[sig]:
        saved_signals.changed[sig] = sigaction(sig, &act, &saved_signals.old[sig]) == 0
    if saved_signals.changed[sig] and not ignore:
        pyroot_take_whole(sig, sig)

cdef bint ends_bare(int sig) noexcept nogil:
    """Say whether a signal ends the tracing of processes that are not guests."""
    return (sig == SIGINT or sig == SIGQUIT or sig == SIGTERM or sig == SIGHUP or sig == SIGUSR1 or sig == SIGUSR2 or sig == SIGCONT
            or sig == SIGTICK)

cdef void take_signals() noexcept nogil:
    """Take all signals that can be taken, except the one that each death of a guest sends.

    A pyroot that traces processes which are not guests takes what ends that, and does not stop: they would wait for it.
    """
    cdef int sig
    memset(&arrived, 0, sizeof(arrived))
    memset(&command, 0, sizeof(command))
    command.pyroot = c_getpid()
    for sig in range(1, SIGNALS_MOST):
        if sig == SIGKILL or sig == SIGSTOP or sig == SIGCHLD:
            continue
        if not session.bare or ends_bare(sig):
            take_signal(sig, False)
        elif sig == SIGTSTP or sig == SIGTTIN or sig == SIGTTOU:
            take_signal(sig, True)
    if not session.bare:
        pyroot_take_whole(REAL_TIME, SIGUSR1)
        pyroot_take_whole(REAL_TIME + 1, SIGUSR1)
    pyroot_tick_make()

cdef void give_signals_back() noexcept nogil:
    cdef int sig
    for sig in range(65):
        if saved_signals.changed[sig]:
            sigaction(sig, &saved_signals.old[sig], NULL)
            saved_signals.changed[sig] = False

cdef extern from * nogil:
    """
    static unsigned long pyroot_kept; /* signals that the interpreter ignores, and that were ignored before it */
    """
    unsigned long pyroot_kept

cdef sigset_t saved_mask      # what the command gets
cdef sigset_t entry_mask      # what was blocked when the run began
cdef bint mask_saved = False

cdef void saved_mask_block() noexcept nogil:
    """Keep signals away between fork and the moment both sides have their dispositions: until then the child runs our handlers."""
    global mask_saved, saved_mask
    cdef sigset_t all_signals
    cdef const char *state = getenv(b"PYROOT_LAUNCH")
    cdef uint64_t before
    cdef int sig
    sigfillset(&all_signals)
    sigprocmask(SIG_BLOCK, &all_signals, &entry_mask)
    saved_mask = entry_mask
    if state != NULL:
        before = hexadecimal(state)
        for sig in range(1, SIGNALS_MOST):
            if before >> (sig - 1) & 1:
                sigaddset(&saved_mask, sig)
            else:
                sigdelset(&saved_mask, sig)
        set_kept(hexadecimal(state + 17) if strlen(state) > 17 else 0)
    mask_saved = True

cdef void set_kept(uint64_t mask) noexcept nogil:
    global pyroot_kept
    pyroot_kept = mask

cdef uint64_t hexadecimal(const char *p) noexcept nogil:
    cdef uint64_t value = 0
    while c'0' <= p[0] <= c'9' or c'a' <= p[0] <= c'f':
        value = value << 4 | <uint64_t>(p[0] - (c'0' if p[0] <= c'9' else c'a' - 10))
        p += 1
    return value

cdef void saved_mask_open() noexcept nogil:
    """The handlers are there: from now on signals may come, whatever was blocked."""
    sigemptyset(&handled_mask)
    sigprocmask(SIG_SETMASK, &handled_mask, NULL)

cdef void saved_mask_restore() noexcept nogil:
    global mask_saved
    if mask_saved:
        sigprocmask(SIG_SETMASK, &entry_mask, NULL)
        mask_saved = False


def interrupted():
    """Say whether the terminal's ^C has reached this process since the last run began, or before it."""
    return bool(arrived.interrupted)
