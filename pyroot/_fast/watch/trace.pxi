# Records of calls, signals and exits for `pyroot trace` (the package pyroot.trace decides which calls and what is said of them).
#
# A session that traces has a filter with a part in front that stops the traced numbers; each stop is then judged in software by the
# filter that every session has.  A traced call gets a record at its entry, before anything of it is rewritten, and its exit stop.
# Only here does the supervisor enter Python while guests run: once for a call whose arguments can be read by the plan that the
# sink gave (``READ_``), at its entry as well where they cannot, where another tracee comes in between, or where it lasts.

from cpython.ref cimport Py_INCREF, Py_DECREF

cdef object trace_sink = None
cdef object trace_error = None

cdef class TracedCall:
    """One system call of a guest, as the guest made it."""
    cdef readonly int tid
    cdef readonly int nr
    cdef readonly bint compat
    cdef readonly bint over
    cdef readonly tuple args
    cdef readonly tuple ins
    cdef readonly tuple outs
    cdef readonly int64_t result
    cdef readonly uint64_t ip
    cdef readonly uint64_t sp
    cdef readonly int64_t begin     # ns since 1970
    cdef readonly int64_t end
    cdef readonly int64_t used      # ns of system time
    cdef public object text         # the sink's own

cdef inline int64_t trace_now() noexcept nogil:
    return <int64_t>pyroot_now() + tracing.epoch

cdef inline int64_t used_now() noexcept nogil:
    """System time of the tracee that reported last, in ns (struct rusage: the second timeval)."""
    return <int64_t>(traces.used[2] * 1000000000 + traces.used[3] * 1000)

cdef void trace_fail(object error):
    """The sink failed: the guest goes on unseen, and the run raises the error at its end."""
    global trace_error, signals_waiting
    if tap.on:
        # at the next turn of the loop
        tap.waiting = True
        signals_waiting = 1
    if trace_error is None:
        trace_error = error
    tracing.failed = True

# -- what the calls point at ---------------------------------------------------------------------------------------------------

cdef object trace_string(int tid, uint64_t address, uint32_t limit):
    """Read a string; as many bytes as the limit when it is longer or as long; None when there is none."""
    cdef char text[TRACE_WORDS]
    cdef int n
    if limit > TRACE_WORDS:
        limit = TRACE_WORDS
    if address == 0:
        return None
    n = mem_string(tid, address, text, limit)
    if n == -ENAMETOOLONG:
        n = limit
    return text[:n] if n >= 0 else None

cdef object trace_bytes(int tid, uint64_t address, uint64_t n):
    """Read exactly n bytes; None when they are not there."""
    cdef char small[TRACE_WORDS]
    cdef bytes large
    if address == 0:
        return None
    if n <= TRACE_WORDS:
        return small[:n] if mem_read(tid, address, small, n) == 0 else None
    large = bytes(n)
    return large if mem_read(tid, address, <char *>large, n) == 0 else None

cdef object trace_read(TraceRead *r, TracedCall call):
    cdef uint64_t address = call.args[r.arg], n = r.size
    if r.kind == READ_STRING:
        return trace_string(call.tid, address, r.size)
    if r.kind == READ_COUNTED:
        n = <uint64_t>call.args[r.by] * r.scale
    elif r.kind == READ_RESULT:
        n = <uint64_t>call.result * r.scale
    return trace_bytes(call.tid, address, n if n < r.size else r.size)

# -- records ------------------------------------------------------------------------------------------------------------------

cdef void trace_open_shown() noexcept with gil:
    """Show the entry of the call whose end is still to come."""
    cdef Tracee *t = tracing.open
    tracing.open = NULL
    if t == NULL or t.record == NULL or tracing.failed:
        return
    try:
        trace_sink.begin(<TracedCall>t.record)
    except BaseException as error:
        trace_fail(error)

cdef inline void trace_turn(Tracee *t) noexcept nogil:
    """Something else is about to be recorded."""
    if tracing.open != NULL and tracing.open != t:
        trace_open_shown()

cdef bint trace_entry(Tracee *t) noexcept nogil:
    """Make the record of the call at hand, if it is to be traced."""
    cdef uint64_t nr = t.call.nr
    if t.call.compat and nr == COMPAT_NR_socketcall and 0 < t.call.args[0] <= 20:
        nr = SOCKETCALLS + t.call.args[0]
    if t.silent or tracing.failed or nr >= TRACE_NUMBERS or not tracing.plans[t.call.compat][nr].selected:
        return False
    if <uint64_t>LOADER_STUBS <= t.call.ip < <uint64_t>LOADER_END:
        # the loader's last call
        return False
    if t.record != NULL and opening_again:
        # its stub makes it once more
        return True
    trace_turn(t)
    trace_make(t, <int>nr)
    return t.record != NULL

cdef int trace_socket_words(int call) noexcept nogil:
    """Return how many arguments a sub-call of socketcall(2) has (net/socket.c, nargs)."""
    cdef int[21] counts = [0, 3, 3, 3, 2, 3, 3, 3, 4, 4, 4, 6, 6, 2, 5, 5, 3, 3, 4, 5, 4]
    return counts[call]

cdef void trace_make(Tracee *t, int nr) noexcept with gil:
    cdef TracePlan *plan = &tracing.plans[t.call.compat][nr]
    cdef TracedCall call
    cdef uint32_t words[6]
    trace_drop(t)
    try:
        call = TracedCall.__new__(TracedCall)
        call.tid, call.nr, call.compat, call.ip, call.sp = t.tid, nr, t.call.compat, t.call.ip, t.call.sp
        call.args = (t.call.args[0], t.call.args[1], t.call.args[2], t.call.args[3], t.call.args[4], t.call.args[5])
        if nr > SOCKETCALLS:
            # its arguments lie in memory
            memset(words, 0, sizeof(words))
            mem_read(t.tid, t.call.args[1], words, 4 * trace_socket_words(nr - SOCKETCALLS))
            call.args = (words[0], words[1], words[2], words[3], words[4], words[5])
        call.begin = trace_now()
        call.used = used_now() if tracing.times else 0
        call.ins = () if plan.n_in == 0 else tuple([trace_read(&plan.reads_in[i], call) for i in range(plan.n_in)])
        Py_INCREF(call)
        t.record = <void *>call
        tracing.open = t
        if plan.early:
            trace_sink.read(call)
        if tracing.watched and not t.near:
            # no tick will come while it lasts
            trace_open_shown()
    except BaseException as error:
        trace_fail(error)

cdef void trace_exit(Tracee *t, int64_t result) noexcept nogil:
    trace_turn(t)
    trace_over(t, result)

cdef void trace_over(Tracee *t, int64_t result) noexcept with gil:
    cdef TracedCall call = <TracedCall>t.record
    cdef TracePlan *plan = &tracing.plans[call.compat][call.nr]
    if not tracing.failed:
        try:
            call.tid = t.tid
            call.end = trace_now()
            call.result = result
            call.over = True
            if tracing.times:
                call.used = used_now() - call.used
            if plan.n_out > 0 and not -4096 < result < 0:
                call.outs = tuple([trace_read(&plan.reads_out[i], call) for i in range(plan.n_out)])
            trace_sink.end(call)
        except BaseException as error:
            trace_fail(error)
    trace_drop(t)

cdef void trace_event(str name, int tid, int number, object more) noexcept with gil:
    """Record what is not a call; ``number`` and ``more`` depend on the event (pyroot.trace.session.Sink)."""
    if tracing.failed:
        return
    try:
        trace_sink.event(name, tid, number, more, trace_now())
    except BaseException as error:
        trace_fail(error)

cdef int trace_call(Tracee *t) noexcept nogil:
    """A call in a session that judges in software (no filter, or one that stops more): record it, decide, handle it."""
    cdef bint recorded = session.tracing and trace_entry(t)
    cdef uint32_t verdict
    cdef int result
    if session.bare:
        return as_is(b"no session: only looked at (trace -p)")
    if t.call.nr == <uint64_t><int64_t>-1:
        result = as_is(b"no call any more")
    else:
        verdict = filter_verdict(t)
        if verdict >> 16 == 5:
            result = answer(t, -<int><uint16_t>verdict)
        elif verdict >> 16 == 0x7fff and not (t.tracer and call_of_tracer(t)):
            result = as_is(b"the filter lets it pass, and would have done so in the kernel")
        else:
            result = dispatch(t)
    if not recorded or result == R_DEAD:
        return result
    if t.call.answered and not t.ptraces:
        trace_exit(t, t.call.answer)
        return result
    return R_EXIT

cdef int trace_first(Tracee *t) noexcept nogil:
    """The call by which the first tracee becomes the guest."""
    if t.call.nr == NR_execve and not t.call.compat and trace_entry(t):
        return R_EXIT
    return as_is(b"our own child, before its first exec")

cdef void trace_end_of(Tracee *t, bint edited) noexcept nogil:
    """The exit stop of a traced call; ``edited``: its result may differ from what the kernel has told."""
    cdef int64_t result = <int64_t>t.call.nr      # at an exit stop PTRACE_GET_SYSCALL_INFO has the result in this place
    if edited and reg_result(t, &result) < 0:
        return
    if not stub_will_repeat(t, t.call.ip, result):
        trace_exit(t, result)

cdef void trace_signal(Tracee *t, int sig, str name) noexcept nogil:
    cdef char info[128]
    if t.silent:
        return
    trace_turn(NULL)
    memset(info, 0, sizeof(info))
    if c_ptrace(PTRACE_GETSIGINFO, t.tid, NULL, info) < 0:
        memset(info, 0, sizeof(info))
    with gil:
        trace_event(name, t.tid, sig, info[:128])

cdef void trace_plain(int tid, str name, int number) noexcept nogil:
    trace_turn(NULL)
    with gil:
        trace_event(name, tid, number, None)

cdef void trace_birth(Tracee *child, Tracee *parent, int event, uint64_t flags) noexcept nogil:
    if not session.tracing:
        return
    child.silent = parent.silent or not tracing.follow
    if not child.silent:
        with gil:
            trace_event("birth", child.tid, parent.tid, flags)

cdef void trace_leaving(Tracee *t) noexcept nogil:
    """PTRACE_EVENT_EXIT: the call at hand, if there is one, has no end."""
    if not t.silent and not t.first_exec:
        trace_turn(t)
        with gil:
            trace_event("leaving", t.tid, 0, <TracedCall>t.record if t.record != NULL else None)
    trace_drop(t)

cdef void trace_gone(Tracee *t, int status) noexcept nogil:
    if not t.silent and not t.first_exec and t.state != T_ORPHAN:
        trace_plain(t.tid, "gone", status)

cdef int tracing_attach(int tid) except -1:
    """Become the tracer of a thread that runs; it is not told, and goes on when we end."""
    cdef Tracee *t
    if c_ptrace(PTRACE_SEIZE, tid, NULL, <void *><size_t>(TRACE_OPTIONS & ~PTRACE_O_EXITKILL)) < 0:
        raise CoreError(f"-p {tid}: {_os.strerror(errno)}")
    t = tracee_new(tid)
    if t == NULL:
        raise MemoryError
    t.mm = mm_new()
    t.fs = fs_copy(NULL)
    t.state = T_LIVE
    t.tgid = status_field(tid, b"Tgid:\t")
    c_ptrace(PTRACE_INTERRUPT, tid, NULL, NULL)
    return 0

# -- setting up -----------------------------------------------------------------------------------------------------------------

cdef int trace_plan(TracePlan *plan, bint early, list ins, list outs) except -1:
    cdef TraceRead *r
    cdef int i
    memset(plan, 0, sizeof(TracePlan))
    if len(ins) > TRACE_READS or len(outs) > TRACE_READS:
        raise ValueError("too many pieces to read")
    plan.selected = True
    plan.early = early
    plan.n_in, plan.n_out = len(ins), len(outs)
    for i in range(plan.n_in + plan.n_out):
        r = &plan.reads_in[i] if i < plan.n_in else &plan.reads_out[i - plan.n_in]
        r.kind, r.arg, r.by, r.scale, r.size = ins[i] if i < plan.n_in else outs[i - plan.n_in]
    return 0

cdef int sink_take(object sink) except -1:
    """Take the sink's selection and plans."""
    global trace_sink, trace_error
    import time
    memset(&tracing, 0, sizeof(tracing))
    trace_sink, trace_error = sink, None
    tracing.follow, tracing.times, tracing.watched = sink.follow, sink.times, sink.watched
    tracing.epoch = time.time_ns() - <int64_t>pyroot_now()
    for (compat, nr), (early, ins, outs) in sink.plans().items():
        if not 0 <= nr < TRACE_NUMBERS:
            raise ValueError("no such number")
        trace_plan(&tracing.plans[1 if compat else 0][nr], early, ins, outs)
    return 0

cdef int trace_begin(object sink) except -1:
    """Take the sink, and its filter."""
    global TRACE_OPTIONS
    cdef int i
    sink_take(sink)
    program = sink.program()
    if len(program) + PYROOT_FILTER_LENGTH > TRACE_PROGRAM:
        raise ValueError("too many instructions")
    for i, (code, jt, jf, k) in enumerate(program):
        tracing.program[i].code, tracing.program[i].jt, tracing.program[i].jf, tracing.program[i].k = code, jt, jf, k
    tracing.length = len(program)
    TRACE_OPTIONS |= PTRACE_O_TRACEEXIT
    return 0

cdef void trace_filter() noexcept nogil:
    """Complete the filter: the session's own part after ours."""
    cdef int i
    for i in range(tracing.length):
        filter_mark_set(&tracing.program[i], c_getpid(), views.base.features)
    memcpy(&tracing.program[tracing.length], filter_program, sizeof(filter_program))

cdef void trace_forget() noexcept with gil:
    """Let the sink go, whatever it has raised."""
    global trace_sink, trace_error
    tracing.open = NULL
    tracing.times = False
    trace_sink = trace_error = None

cdef int trace_finish() except -1:
    """The last guest is gone; raise what the sink raised."""
    global trace_sink, trace_error, TRACE_OPTIONS
    error, trace_error, trace_sink = trace_error, None, None
    tracing.times = False
    TRACE_OPTIONS &= ~PTRACE_O_TRACEEXIT
    if error is not None:
        raise error
    return 0

cdef void trace_end_tracee(Tracee *t) noexcept nogil:
    if t.record != NULL:
        trace_drop(t)

cdef void feature_trace(Feature *f) noexcept nogil:
    f.birth = trace_birth
    f.end = trace_end_tracee
