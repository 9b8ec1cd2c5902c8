# ptrace(2) among guests: the stops.
#
# A task has one tracer, and for guests that is the supervisor.  A guest that asks to trace another one gets the supervisor's
# own stops handed on: while its tracee is stopped for it, that tracee is stopped for us, so registers and memory are real.
# What is ours is taken out first: rewritten arguments and the return stub (stub.pxi), the loader (ptrace_exec.pxi).
#
# This file decides which stops a tracer sees and what happens when it lets its tracee go; ptrace_calls.pxi has the requests,
# ptrace_wait.pxi how the tracer learns of the stops.  Facts: kernel/ptrace.c, kernel/signal.c, kernel/entry; ptrace(2).

# -- who traces whom -----------------------------------------------------------------------------------------------------

cdef Ptrace *ptrace_link(Tracee *t, Tracee *tracer, bint seized, uint64_t options) noexcept nogil:
    cdef Ptrace *trace = <Ptrace *>calloc(1, sizeof(Ptrace))
    if trace == NULL:
        return NULL
    trace.t = t
    trace.tracer = tracer.tid
    trace.tracer_tgid = tracer.tgid
    trace.seized = seized
    trace.fresh = True
    trace.options = options
    trace.uid = status_field(t.tid, b"Uid:\t")
    trace.pgid = c_getpgid(t.tid)
    ptrace_append(trace)
    t.ptrace = trace
    t.ptraces = True
    gate_quit(t)
    return trace

cdef void ptrace_append(Ptrace *trace) noexcept nogil:
    trace.next = NULL
    trace.prev = traces.last
    if traces.last != NULL:
        traces.last.next = trace
    else:
        traces.first = trace
    traces.last = trace

cdef void ptrace_take(Ptrace *trace) noexcept nogil:
    if trace.prev != NULL:
        trace.prev.next = trace.next
    else:
        traces.first = trace.next
    if trace.next != NULL:
        trace.next.prev = trace.prev
    else:
        traces.last = trace.prev

cdef void ptrace_unlink(Tracee *t) noexcept nogil:
    if t.ptrace != NULL:
        if t.ptrace.far != NULL:
            relay_tell(RELAY_FORGET, t.ptrace)
        ptrace_take(t.ptrace)
        free(t.ptrace)
        t.ptrace = NULL

cdef void ptrace_forget(Tracee *t) noexcept nogil:
    if t.ptraces:
        ptrace_unlink(t)
        waiter_remove(t)

cdef void tracer_renamed(Tracee *t, int old) noexcept nogil:
    """A tracer's thread has its leader's tid since its execve."""
    cdef Ptrace *trace = traces.first if old != t.tid else NULL
    while trace != NULL:
        if trace.tracer == old:
            trace.tracer = t.tid
        trace = trace.next

cdef void feature_ptrace(Feature *f) noexcept nogil:
    f.birth = ptrace_inherit
    f.exec = tracer_renamed
    f.end = ptrace_forget

cdef void ptrace_end(Tracee *t, int sig) noexcept nogil:
    """The tracee is free: it goes on from the stop that it is in."""
    cdef int kind = t.ptrace.kind, stopped = t.ptrace.stopped
    cdef uint64_t options = t.ptrace.options
    ptrace_unlink(t)
    if stopped == STOPPED:
        if options & (PTRACE_O_TRACEEXIT | PTRACE_O_TRACEVFORKDONE):
            c_ptrace(PTRACE_SETOPTIONS, t.tid, NULL, <void *><size_t>options_of(t))
        stop_leave(t, kind, sig)
    elif stopped == LISTENS:
        t.listening = True

# -- a stop for the tracer ---------------------------------------------------------------------------------------------------

cdef void present(Tracee *t, int kind, int code, unsigned long message, int why) noexcept nogil:
    """Show the tracer a stop; ``code`` is the exit code of the stop, ``why`` a CLD_ code."""
    cdef Ptrace *trace = t.ptrace
    # any stop is what PTRACE_INTERRUPT asked for
    trace.interrupt = trace.fresh = False
    trace.stopped = STOPPED
    trace.kind = kind
    trace.code = code
    trace.message = message
    trace.waitable = True
    trace.pgid = c_getpgid(t.tid)
    memcpy(trace.used, traces.used, sizeof(trace.used))
    memset(&trace.info, 0, sizeof(Info))
    trace.info.signo = code & 0x7f
    trace.info.code = code
    trace.info.pid = t.tid
    trace.info.uid = trace.uid
    if trace.far != NULL:
        relay_stop(trace, why, code & 0x7f)
    else:
        tracer_notify(trace.tracer, t.tid, trace.uid, why, code & 0x7f)

cdef void present_call(Tracee *t, int kind) noexcept nogil:
    present(t, kind, SIGTRAP | 0x80 if t.ptrace.options & PTRACE_O_TRACESYSGOOD else SIGTRAP,
            EVENT_MESSAGE_ENTRY if kind == STOP_ENTRY else EVENT_MESSAGE_EXIT, CLD_TRAPPED_)

cdef bint shows_event(Ptrace *trace, int event) noexcept nogil:
    """Say whether a tracer wants to see an event.  It sees births if it was there when the call was made (kernel_clone asks first)."""
    if trace.fresh and (event == PTRACE_EVENT_FORK or event == PTRACE_EVENT_VFORK or event == PTRACE_EVENT_CLONE):
        return False
    return trace.options & (1 << event) != 0

cdef bint ptrace_event(Tracee *t, int event, unsigned long message) noexcept nogil:
    """Show an event to the tracer that wants it; False: nobody does."""
    if t.ptrace == NULL or not shows_event(t.ptrace, event):
        return False
    present(t, STOP_EVENT, SIGTRAP | event << 8, message, CLD_TRAPPED_)
    return True

cdef void ptrace_stop(Tracee *t, int sig, int event) noexcept nogil:
    """Any stop of a guest that traces or is traced."""
    cdef unsigned long message = 0
    cdef bint kicked = t.kicked
    t.kicked = False
    if t.ptrace != NULL:
        t.ptrace.stopped = RUNS
        if t.ptrace.options_late:
            options_set(t)
    if t.loading:
        loader_stop(t, sig, event)
    elif event == PTRACE_EVENT_SECCOMP or (event == 0 and sig == (SIGTRAP | 0x80)):
        ptrace_call(t)
    elif event == PTRACE_EVENT_FORK or event == PTRACE_EVENT_VFORK or event == PTRACE_EVENT_CLONE:
        on_birth(t, event)
    elif event == PTRACE_EVENT_STOP:
        ptrace_event_stop(t, sig, kicked)
    elif event == 0:
        ptrace_signal(t, sig)
    else:
        c_ptrace(PTRACE_GETEVENTMSG, t.tid, NULL, &message)
        if event == PTRACE_EVENT_EXIT and session.tracing:
            trace_leaving(t)
        if t.ptrace != NULL:
            stub_leave(t)
        if not ptrace_event(t, event, message):
            resume(t, 0, t.call.afters > 0)

cdef void ptrace_inherit(Tracee *child, Tracee *parent, int event, uint64_t flags) noexcept nogil:
    """A guest that traces or is traced has a child."""
    cdef Ptrace *trace = parent.ptrace
    cdef Ptrace *inherited
    cdef Tracee *tracer
    if not parent.ptraces:
        return
    if parent.tracer and flags & CLONE_THREAD_:
        child.ptraces = child.tracer = True
        child.stepping = parent.stepping
    if trace == NULL or after_clones(parent) or flags & CLONE_UNTRACED_:
        return
    if trace.far != NULL and (shows_event(trace, event) or flags & CLONE_PTRACE_):
        relay_inherit(child, trace)
        return
    tracer = tracee_get(trace.tracer)
    if tracer != NULL and (shows_event(trace, event) or flags & CLONE_PTRACE_):
        inherited = ptrace_link(child, tracer, trace.seized, trace.options)
        if inherited != NULL:
            inherited.inherited = True

cdef void first_stop(Tracee *t) noexcept nogil:
    """The child of a tracee starts stopped, as its parent's tracer expects it."""
    if t.ptrace.interrupt or (t.ptrace.inherited and t.ptrace.seized):
        present(t, STOP_EVENT, SIGTRAP | PTRACE_EVENT_STOP << 8, 0, CLD_STOPPED_)
    else:
        if t.ptrace.inherited:
            signal_queue(t.tgid, t.tid, SIGSTOP, SI_USER, 0, 0, 0)
        resume(t, 0, False)

cdef void ptrace_event_stop(Tracee *t, int sig, bint kicked) noexcept nogil:
    cdef Ptrace *trace = t.ptrace
    if trace == NULL or t.state == T_NEW:
        on_stop_event(t, sig)
        return
    t.listening = False
    stub_leave(t)
    if sig == SIGSTOP or sig == SIGTSTP or sig == SIGTTIN or sig == SIGTTOU:
        present(t, STOP_GROUP, sig | PTRACE_EVENT_STOP << 8 if trace.seized else sig, 0, CLD_STOPPED_)
    elif trace.seized and (trace.interrupt or not kicked):
        present(t, STOP_EVENT, SIGTRAP | PTRACE_EVENT_STOP << 8, 0, CLD_STOPPED_)
    else:
        resume(t, 0, after_waits(t))

cdef void ptrace_signal(Tracee *t, int sig) noexcept nogil:
    cdef uint64_t ip = 0
    sig = signal_mend(t, sig)
    if t.ptrace == NULL or sig == 0:
        on_signal(t, sig)
        return
    if reg_ip(t, &ip) == 0 and ip_in_loader(ip):
        loader_caught(t, sig)
        return
    if gate_fault(t, sig):
        # it was in the gate when its tracer came
        on_signal(t, sig)
        return
    if sig == SIGTRAP and after_waits(t) and t.ptrace.go >= GO_STEP:
        # the step ends at the end of the call
        after_run(t)
    stub_leave(t)
    present(t, STOP_SIGNAL, sig, 0, CLD_TRAPPED_)

# -- calls -----------------------------------------------------------------------------------------------------------------

cdef void ptrace_call(Tracee *t) noexcept nogil:
    cdef uint8_t op = 0
    cdef int result, arch = reg_load_call(t, &op)
    if arch == -ESRCH:
        return
    placement_stop(t)
    if op == INFO_ENTRY and session.seccomp and not t.injecting and not t.again and t.injected == NULL:
        tap_entry(t)
    if t.injected != NULL:
        result = low_step(t, op)
        if result != R_DEAD:
            resume(t, 0, result == R_EXIT)
    elif op == INFO_EXIT:
        ptrace_exit(t)
    elif op == INFO_SECCOMP and t.injecting:
        # our own call, which our own filter stops
        c_ptrace(PTRACE_SYSCALL, t.tid, NULL, NULL)
    elif op == INFO_SECCOMP and t.call.mark == filter_mark:
        call_go(t, arch, 0)
    elif op == INFO_SECCOMP and mark_is_ours(t.call.mark):
        result = on_filter_stop(t)
        if result == GO_ON:
            call_go(t, arch, 0)
        elif result != R_DEAD:
            resume(t, 0, result == R_EXIT)
    elif op == INFO_SECCOMP:
        if t.ptrace != NULL and t.ptrace.options & PTRACE_O_TRACESECCOMP:
            stub_leave(t)
            present(t, STOP_SECCOMP, SIGTRAP | PTRACE_EVENT_SECCOMP << 8, t.call.mark, CLD_TRAPPED_)
        else:
            answer(t, -ENOSYS)
            resume(t, 0, False)
    elif t.again:
        t.again = False
        entry_go(t, 0)
    elif t.stepping == INJECT and not t.call.compat and not t.loading and inject(t):
        pass
    elif t.ptrace != NULL and (t.ptrace.go == GO_SYSCALL or t.ptrace.go == GO_SYSEMU):
        stub_leave(t)
        t.ptrace.skip = t.ptrace.go == GO_SYSEMU
        present_call(t, STOP_ENTRY)
    else:
        entry_go(t, 0)

cdef void call_go(Tracee *t, int arch, int sig) noexcept nogil:
    """Handle a call and let it run."""
    cdef int result
    if t.ptrace != NULL:
        t.ptrace.nr = t.call.nr
        t.ptrace.ip = t.call.ip
        memcpy(t.ptrace.args, t.call.full, sizeof(t.call.full))
    result = on_call(t, arch)
    if result != R_DEAD:
        resume(t, sig, result == R_EXIT)

cdef void call_go_again(Tracee *t, int sig) noexcept nogil:
    """Handle a call that a tracer may have changed meanwhile."""
    cdef uint8_t op = 0
    cdef int arch = reg_load_call(t, &op)
    if arch == -ESRCH:
        return
    if <int>t.call.nr == -1 or not call_is_ours(t):
        resume(t, sig, False)
    else:
        call_go(t, arch, sig)

cdef void entry_go(Tracee *t, int sig) noexcept nogil:
    """Leave the syscall-enter-stop.  The filter decides anew; without one, we do."""
    cdef int64_t result = 0
    if t.ptrace != NULL and t.ptrace.skip:
        t.ptrace.skip = t.call.answered = False
        if reg_result(t, &result) < 0 or reg_skip(t, <uint64_t>result) < 0:
            return
        resume(t, sig, False)
    elif not session.seccomp or (t.stepping == STEP_ALL and call_of_tracer(t)):
        call_go_again(t, sig)
    else:
        resume(t, sig, False)

cdef void ptrace_exit(Tracee *t) noexcept nogil:
    cdef Ptrace *trace = t.ptrace
    cdef int result = R_CONT
    if t.injecting:
        inject_done(t)
        return
    if t.call.afters > 0:
        result = after_run(t)
    if result == R_DEAD:
        return
    if t.record != NULL and result == R_CONT and not t.again:
        trace_end_of(t, True)
    if trace == NULL or result == R_EXIT or t.again:
        resume(t, 0, result == R_EXIT)
        return
    stub_leave(t)
    if t.call.answered:
        reg_set_nr(t, trace.nr)
    t.call.answered = False
    if trace.over:
        trace.over = False
        present(t, STOP_STEP, SIGTRAP, 0, CLD_TRAPPED_)
        trace.info.code = TRAP_BRKPT_
        trace.info.pid = <int>t.call.ip
        trace.info.uid = <int>(t.call.ip >> 32)
    elif trace.go == GO_SYSCALL:
        present_call(t, STOP_EXIT)
    else:
        resume(t, 0, False)

# -- going on -------------------------------------------------------------------------------------------------------------------

cdef bint next_is_call(Tracee *t) noexcept nogil:
    """Say whether the next instruction enters the kernel."""
    cdef uint64_t ip = 0
    cdef uint8_t code[SYSCALL_SIZE]
    if reg_ip(t, &ip) < 0 or mem_read(t.tid, ip, code, SYSCALL_SIZE) < 0:
        return False
    return is_call_code(code)

cdef void ptrace_resume(Tracee *t, int sig, bint to_exit) noexcept nogil:
    """Let a guest go that traces or is traced, in the way that its tracer wants it to and that we need."""
    cdef bint entries = session.entries and stops_at_entries(t)
    cdef bint calls = to_exit or t.stepping or t.loading or entries
    cdef int how = PTRACE_SYSCALL if calls else PTRACE_CONT
    cdef Ptrace *trace = t.ptrace
    if trace != NULL and trace.interrupt and not t.loading:
        # the stop that we take for ourselves has consumed it
        c_ptrace(PTRACE_INTERRUPT, t.tid, NULL, NULL)
    if trace != NULL and not t.loading:
        if trace.go == GO_SYSCALL or trace.go == GO_SYSEMU:
            how = PTRACE_SYSCALL
        elif trace.go != GO_CONT and not trace.over:
            # a stepped call has no syscall stops: where we need them it runs to its end, and the trap is ours
            if (t.stepping or entries) and not to_exit and next_is_call(t):
                trace.over = True
            else:
                how = PTRACE_SINGLEBLOCK_ if trace.go == GO_BLOCK else PTRACE_SINGLESTEP
    if t.call.late:
        how = PTRACE_SYSCALL
    c_ptrace(how, t.tid, NULL, <void *><size_t>sig)

cdef void stop_leave(Tracee *t, int kind, int sig) noexcept nogil:
    """Leave the stop that the tracer was shown."""
    if kind == STOP_ENTRY:
        entry_go(t, sig)
    elif kind == STOP_SECCOMP:
        call_go_again(t, 0)
    elif kind == STOP_EXEC:
        loader_left(t)
    elif kind == STOP_LEFT:
        loader_done(t, sig)
    elif kind == STOP_GROUP and t.ptrace == NULL:
        # the rest of its process is stopped, and so is it again
        c_ptrace(PTRACE_LISTEN, t.tid, NULL, NULL)
        t.listening = True
    else:
        if kind == STOP_STEP and sig != 0:
            signal_queue(t.tgid, t.tid, sig, SI_USER, t.tgid, 0, 0)
            sig = 0
        if kind == STOP_SIGNAL and sig != 0 and session.tracing:
            trace_signal(t, sig, "signal")
        resume(t, sig, after_waits(t))

cdef void options_set(Tracee *t) noexcept nogil:
    """Take those options for ourselves that the tracer needs and we do not."""
    t.ptrace.options_late = c_ptrace(PTRACE_SETOPTIONS, t.tid, NULL, <void *><size_t>options_of(t)) < 0

cdef inline void resume(Tracee *t, int sig, bint to_exit) noexcept nogil:
    if t.ptraces:
        ptrace_resume(t, sig, to_exit)
        return
    if session.entries and stops_at_entries(t):
        to_exit = True
    c_ptrace(PTRACE_SYSCALL if to_exit or t.injected != NULL or t.call.late else PTRACE_CONT, t.tid, NULL, <void *><size_t>sig)
