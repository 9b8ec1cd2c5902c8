# `pyroot trace -p` of guests: somebody comes while the session runs, sees the calls of some guests, and leaves again.
#
# The filter of the session is in place and stops the calls that name paths; the others stop because tracees that are looked at are
# resumed with PTRACE_SYSCALL.  The kernel's syscall-enter-stop comes before the filter's, so there the arguments are the guest's own
# and the record is made (trace.pxi); what the filter stops is handled as always.  A session that nobody looks at pays nothing: the one
# flag tested when a tracee goes on (``session.entries``) is the one that tells sessions without a filter.
#
# Decides: who is looked at, and how the loop learns of those who ask.  Not decided here: who may ask, and where records go
# (pyroot/trace/tap.py).

cdef enum:
    TAP_MAGIC = 0x70726f74   # upper half of the value that comes with SIGCONT; the lower one names the socket of the one who asks
    SI_QUEUE_ = -1
    SIGIO_ = 29

cdef struct Tap:
    bint on
    int left                 # tracees that have PTRACE_O_TRACEEXIT because of it
    bint listens             # a SIGIO from the kernel means a socket
    bint waiting             # there is something for tap_look
    bint failed              # the sink raised

cdef volatile uint32_t tap_asked = 0
cdef Tap tap
cdef object tap_door = None
cdef object running = None   # the Core whose session runs

cdef void tap_wake() noexcept nogil:
    tap.waiting = True
    loop_wake()

cdef void loop_woken() noexcept nogil:
    if not placement.settled:
        # the tick was ours; what comes from here on has its own
        pyroot_tick(0)

cdef bint tap_signal(int sig, siginfo_t *info) noexcept nogil:
    """Take the signal of somebody who asks; it is not for the guests."""
    global tap_asked
    cdef uint64_t value = <uint64_t>info.si_ptr
    if sig != SIGCONT or info.si_code != SI_QUEUE_ or value >> 32 != TAP_MAGIC or session.bare:
        return False
    tap_asked = <uint32_t>value
    tap_wake()
    return True

cdef void tap_look() noexcept with gil:
    """Somebody asks, or the socket has something to say, or the sink has failed."""
    global tap_door, tap_asked, trace_error
    cdef uint32_t asked = tap_asked
    tap_asked = 0
    tap.waiting = False
    loop_woken()
    try:
        if tap_door is None:
            from pyroot.trace.tap import Door
            tap_door = Door(running)
        if tap.on and tracing.failed:
            error, trace_error = trace_error, None
            tap_door.failed(error)
        if asked:
            tap_door.asked(asked)
        tap_door.ready()
    except BaseException as error:
        # nothing of this is the guests' business: they go on
        tap_broken(error)
        tap_close()

cdef void tap_close() noexcept:
    """End it, whatever happens."""
    global tap_door
    door, tap_door = tap_door, None
    tap.listens = False
    tap_stop()
    try:
        if door is not None:
            door.close()
    except BaseException as error:
        tap_broken(error)

cdef void tap_broken(object error) noexcept:
    """Say that a trace for somebody who looks on has ended with an error."""
    if isinstance(error, ConnectionError):
        # the reader has gone, which is how a look may end at any moment
        return
    try:
        _os.write(2, f"pyroot: the trace of a guest for another process has ended: {error!r}\n".encode(errors="backslashreplace"))
    except BaseException:
        # nobody reads it, or there is no memory for it: the guests still go on
        return

# -- who is looked at -----------------------------------------------------------------------------------------------------------

cdef inline bint tap_sees(Tracee *t) noexcept nogil:
    return tap.on and not t.silent

cdef bint stops_at_entries(Tracee *t) noexcept nogil:
    """Say whether a tracee's calls stop where they begin; asked only where ``session.entries``, at each stop."""
    cdef bint wanted = tap_sees(t)
    if t.exits != wanted:
        t.exits = wanted
        tap.left += 1 if wanted else -1
        c_ptrace(PTRACE_SETOPTIONS, t.tid, NULL, <void *><size_t>options_of(t))
        tap_settle()
    return wanted or not session.seccomp

cdef inline uint64_t options_of(Tracee *t) noexcept nogil:
    """Give the ptrace options that a tracee has."""
    cdef uint64_t options = <uint64_t>TRACE_OPTIONS
    if t.exits:
        options |= PTRACE_O_TRACEEXIT
    if t.ptrace != NULL:
        options |= t.ptrace.options & (PTRACE_O_TRACEEXIT | PTRACE_O_TRACEVFORKDONE)
    return options

cdef void tap_settle() noexcept nogil:
    session.entries = not session.seccomp or tap.on or tap.left > 0

cdef void tap_inherit(Tracee *child, Tracee *parent, int event, uint64_t flags) noexcept nogil:
    """A child has the options of its parent."""
    if parent.exits:
        child.exits = True
        tap.left += 1

cdef void tap_forget(Tracee *t) noexcept nogil:
    if t.exits:
        tap.left -= 1
        tap_settle()

cdef void feature_tap(Feature *f) noexcept nogil:
    f.birth = tap_inherit
    f.end = tap_forget

cdef int tap_entry(Tracee *t) noexcept nogil:
    """The syscall-enter-stop of a tracee in a session with a filter, which decides later: at its own stop."""
    if not tap_sees(t) or t.first_exec or t.mm.loading or ip_in_code(t, t.call.ip) or ip_in_text(t.call.ip):
        # not looked at any more; the loader; a call that is made once more
        return as_is(b"the filter has not been asked yet")
    trace_entry(t)
    return as_is(b"the filter has not been asked yet")

cdef void tap_start(Tracee *t) noexcept nogil:
    """Look at a tracee: it has to stop once, to go on in the other way."""
    t.silent = False
    if t.state != T_LIVE or (t.ptrace != NULL and t.ptrace.stopped != RUNS):
        # it is stopped, and goes on in the other way
        return
    if t.ptraces:
        kick(t)
    else:
        c_ptrace(PTRACE_INTERRUPT, t.tid, NULL, NULL)

cdef void tap_stop() noexcept nogil:
    """Look at nobody any more.  Each tracee goes on in its usual way from its next stop."""
    cdef int i, k
    cdef Tracee *t
    if not tap.on:
        return
    tap.on = session.tracing = False
    for i in range(TID_TOP):
        for k in range(TID_LEAF if tracees.leaf[i] != NULL else 0):
            t = tracees.leaf[i][k]
            if t != NULL and t.record != NULL:
                trace_drop(t)
    tap_settle()
    trace_forget()

cdef int tap_threads(int tgid, bint every, list into) except -1:
    """Start with a process, or with one thread alone, and list what that is."""
    cdef int i, k
    cdef Tracee *t
    for i in range(TID_TOP):
        for k in range(TID_LEAF if tracees.leaf[i] != NULL else 0):
            t = tracees.leaf[i][k]
            if t != NULL and t.state != T_ORPHAN and not t.first_exec and (t.tgid == tgid if every else t.tid == tgid):
                into.append(t.tid)
                tap_start(t)
    return 0

cdef void tap_silence() noexcept nogil:
    cdef int i, k
    for i in range(TID_TOP):
        for k in range(TID_LEAF if tracees.leaf[i] != NULL else 0):
            if tracees.leaf[i][k] != NULL:
                tracees.leaf[i][k].silent = True

# -- what pyroot.trace.tap asks for ------------------------------------------------------------------------------------------------


def tap_listen():
    """Let SIGIO wake the loop."""
    tap.listens = True
    take_signal(SIGIO_, False)


def tap_traces():
    """Say whether the session writes a trace of its own, or has somebody who looks on."""
    return bool(session.tracing)


def tap_guest(int pid):
    """Return the process among the guests that traces this one, 0 if none does, None if it is not a guest of the session."""
    cdef Tracee *t = tracee_get(pid)
    if t == NULL or t.first_exec or t.state == T_ORPHAN:
        return None
    return 0 if t.ptrace == NULL else t.ptrace.tracer_tgid


def tap_begin(object sink, list pids):
    """Look at processes, with their children if the sink follows; return the threads of each."""
    cdef list found = [[] for pid in pids]
    if session.tracing:
        raise CoreError("it is traced already")
    sink_take(sink)
    tap_silence()
    gate_end()
    tap.on = session.tracing = session.entries = True
    for pid, threads in zip(pids, found):
        tap_threads(pid, tracing.follow, threads)
    return found


def tap_end():
    """Look at nobody any more; what has begun is told to the sink."""
    if tap.on:
        trace_turn(NULL)
    tap_stop()


def ask_supervisor(int pidfd, uint32_t name):
    """Send a supervisor the signal that says who asks; see the type stub."""
    if signal_named(pidfd, TAP_MAGIC, name) < 0:
        raise OSError(errno, _os.strerror(errno))


cdef long signal_named(int pidfd, uint32_t magic, uint32_t name) noexcept nogil:
    """Send a supervisor the signal that names a socket."""
    cdef uint64_t info[16]
    memset(info, 0, sizeof(info))
    (<int *>info)[0] = SIGCONT
    (<int *>info)[2] = SI_QUEUE_
    (<int *>info)[4] = c_getpid()
    (<int *>info)[5] = <int>c_geteuid()
    info[3] = <uint64_t>magic << 32 | name
    return c_syscall(SYS_pidfd_send_signal, pidfd, SIGCONT, info, 0)
