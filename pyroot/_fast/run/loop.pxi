# The event loop: one thread owns ptrace(2) and waitpid(2) for its whole life (EXITKILL belongs to that thread).
#
# States follow reliability rules of ptrace(2): a child's first stop may come before its parent's event; any request may say ESRCH
# because SIGKILL needs no stop; signals are injected once with their siginfo untouched; a group-stop is left with PTRACE_LISTEN.

cdef int dispatch(Tracee *t) noexcept nogil:
    cdef const pyroot_row *row
    cdef int result
    t.call.number = t.call.nr
    if stats.on:
        stats_call(t)
    if t.call.nr > <uint64_t>PYROOT_LAST_CALL or (t.call.compat and t.call.nr > <uint64_t>COMPAT_LAST_CALL):
        return answer(t, -ENOSYS)
    if t.call.compat:
        if t.mm.low == 0:
            return low_begin(t)
        row = &compat_rows[t.call.nr]
        t.call.nr = row.like
    else:
        row = &pyroot_rows[t.call.nr]
    if row.handler == H_NONE or handlers[row.handler] == NULL:
        # stopped without a row: never pass it on
        return answer(t, -ENOSYS)
    if gate != NULL and not t.call.compat and row.gate and gate_has(row):
        gate_hit(t, row)
    if row.features & features.takes:
        result = features_take(t, row)
        if result != TAKE_NOT:
            return gone_or_answer(t, result)
    result = gone_or_answer(t, handlers[row.handler](t, row))
    return features_call(t, row, result) if row.features & features.calls and result != R_DEAD else result

cdef inline int gone_or_answer(Tracee *t, int result) noexcept nogil:
    """Tell ESRCH of a dying process's /proc, which the guest is to see, from a guest that died: that one cannot be answered.

    A call that is answered, or goes on as it is, has no end that we see: what a handler has prepared for one must not run at another's.
    """
    if result == R_EXIT:
        return result
    after_drop(t)
    return answer(t, -ESRCH) if result == R_DEAD else result

cdef int on_call(Tracee *t, int arch) noexcept nogil:
    """A call is about to run: release what the last one held, then translate."""
    cdef int result
    if arch < 0:
        return R_DEAD if arch == -ESRCH else answer(t, arch)
    if t.first_exec:
        return trace_first(t) if session.tracing else as_is(b"our own child, before its first exec")
    if t.call.compat or t.mm.low != 0:
        result = code_call(t)
        if result >= 0:
            return result
    set_opening_again(False)
    if ip_in_stub(t.call.ip) and slot_is_mine(t):
        result = stub_again(t)
        if result >= 0:
            return result
    if ip_in_text(t.call.ip):
        # (it still needs what its exec holds)
        return as_is(b"the loader's")
    call_release(t)
    return trace_call(t) if session.judging else dispatch(t)

cdef void on_call_stop(Tracee *t) noexcept nogil:
    cdef uint8_t op = 0
    cdef int arch = reg_load_call(t, &op)
    cdef int result
    cdef bint edited
    if arch == -ESRCH:
        return
    placement_stop(t)
    if t.injected != NULL:
        result = low_step(t, op)
    elif op == INFO_EXIT:
        stats.exits += 1
        edited = t.call.afters > 0
        result = after_run(t) if edited else R_CONT
        if t.record != NULL and result == R_CONT:
            trace_end_of(t, edited)
    elif op == INFO_ENTRY and session.seccomp:
        result = tap_entry(t)
    elif op == INFO_SECCOMP and t.call.mark != filter_mark:
        result = on_filter_stop(t)
        if result == GO_ON:
            result = on_call(t, arch)
    else:
        result = on_call(t, arch)
    if result != R_DEAD:
        resume(t, 0, result == R_EXIT)

cdef void on_signal(Tracee *t, int sig) noexcept nogil:
    if sig == SIGSEGV:
        loader_refused(t)
    if gate_fault(t, sig):
        sig = 0
    if session.tracing and sig != 0:
        trace_signal(t, sig, "signal")
    stub_leave(t)
    if t.injected != NULL and low_end(t, 0) == R_DEAD:
        return
    resume(t, sig, t.record != NULL or after_waits(t))

cdef void adopt(Tracee *child, Tracee *parent, uint64_t flags) noexcept nogil:
    """Give a new tracee its records as clone(2) shares or copies them."""
    if flags & CLONE_THREAD_:
        child.tgid = parent.tgid
    else:
        fd_inherit(parent.view, parent.tgid, child.tgid)
    if flags & CLONE_FILES_:
        child.shares = parent.shares = True
    child.own_filters = parent.own_filters
    child.landlocked = parent.landlocked
    child.copies = parent.copies
    child.parent = parent.tid
    child.parent_tgid = parent.tgid
    if flags & (CLONE_PARENT_ | CLONE_THREAD_):
        child.parent = parent.parent
        child.parent_tgid = parent.parent_tgid
    if flags & CLONE_VM_:
        child.mm = parent.mm
        child.mm.refs += 1
    else:
        child.mm = mm_copy(parent.mm)
    if flags & CLONE_FS_:
        child.fs = parent.fs
        child.fs.refs += 1
    else:
        child.fs = fs_copy(parent.fs)
    child.filtered = parent.filtered
    child.stops_for = parent.stops_for
    view_join(child, parent.view)

cdef uint64_t clone_flags_of(Tracee *t) noexcept nogil:
    """Read the flags of the clone, clone3, fork or vfork that the tracee is in."""
    cdef uint64_t nr
    cdef Registers regs
    if regs_get(t, &regs) < 0:
        return 0
    nr = regs_number(&regs)
    if nr == NR_clone3:
        # one number for both ABIs; the others have no number in common
        return t.call.clone_flags
    if nr == NR_vfork or nr == COMPAT_NR_vfork:
        return CLONE_VM_ | CLONE_VFORK_
    if nr == NR_clone:
        return regs_first(&regs, False)
    return <uint32_t>regs_first(&regs, True) if nr == COMPAT_NR_clone else 0

cdef void on_birth(Tracee *parent, int event) noexcept nogil:
    cdef unsigned long tid = 0
    cdef uint64_t flags
    cdef Tracee *child
    cdef bint waiting
    if c_ptrace(PTRACE_GETEVENTMSG, parent.tid, NULL, &tid) < 0:
        return
    child = tracee_get(<int>tid)
    waiting = child != NULL and child.state == T_ORPHAN
    if child != NULL and not waiting:
        tracee_free(child)
        child = NULL
    if child == NULL:
        child = tracee_new(<int>tid)
        if child == NULL:
            c_kill(<int>tid, SIGKILL)
            resume(parent, 0, False)
            return
    flags = clone_flags_of(parent)
    adopt(child, parent, flags)
    features_birth(child, parent, event, flags)
    if parent.call.afters > 0:
        after_inherit(child, parent)
    elif parent.call.slot >= 0 and clone_rewritten(parent):
        clone3_inherit(child, parent)
    if child.call.afters > 0:
        child.call.compat = parent.call.compat
    if waiting:
        tracees.orphans -= 1
        start_child(child)
    else:
        child.state = T_NEW
    failed_drop(parent)
    if parent.ptrace != NULL:
        # (a pyroot inside finds by them whether it has rewritten the call)
        stub_leave(parent)
    if not (parent.ptraces and ptrace_event(parent, event, tid)):
        resume(parent, 0, parent.record != NULL or parent.call.afters > 0)

cdef void start_child(Tracee *t) noexcept nogil:
    t.state = T_LIVE
    if t.call.afters > 0:
        after_birth(t)
    if t.ptrace != NULL:
        first_stop(t)
    else:
        resume(t, 0, False)

cdef void on_exec_stop(int tid) noexcept nogil:
    """The exec is done; a thread that called it now has its leader's tid."""
    cdef unsigned long old = 0
    cdef Tracee *t = tracee_get(tid)
    cdef Tracee *caller
    if c_ptrace(PTRACE_GETEVENTMSG, tid, NULL, &old) < 0:
        return
    if <int>old != tid:
        caller = tracee_get(<int>old)
        if session.tracing and caller != NULL and not caller.silent:
            trace_plain(tid, "superseded", <int>old)
        if caller != NULL:
            if t != NULL:
                tracee_free(t)
            tracees.leaf[caller.tid // TID_LEAF][caller.tid % TID_LEAF] = NULL
            caller.tid = tid
            tracees.leaf[tid // TID_LEAF][tid % TID_LEAF] = caller
            t = caller
    if t == NULL:
        c_kill(tid, SIGKILL)
        return
    t.tgid = tid
    t.state = T_LIVE
    after_drop(t)
    features_exec(t, <int>old)
    if t.record != NULL:
        trace_exit(t, 0)
    if not session.bare and on_exec_event(t) < 0:
        c_kill(tid, SIGKILL)
    if t.ptraces:
        ptrace_exec(t, <int>old)
    else:
        resume(t, 0, False)

cdef void on_stop_event(Tracee *t, int sig) noexcept nogil:
    """PTRACE_EVENT_STOP: a new child's first stop, a group-stop, or the end of one."""
    t.listening = False
    if t.state == T_NEW:
        start_child(t)
        return
    if sig == SIGSTOP or sig == SIGTSTP or sig == SIGTTIN or sig == SIGTTOU:
        if session.tracing and not t.silent:
            trace_plain(t.tid, "stopped", sig)
        c_ptrace(PTRACE_LISTEN, t.tid, NULL, NULL)
        t.listening = True
        if is_command(t.tid) and c_getpgid(t.tid) == c_getpgid(0):
            stop_with(t.tid)
        return
    if session.front_stopped and t.tid == session.main_tid:
        front_continue()
    if tap_sees(t):
        # a rewritten call is made again by the guest's own instruction, with its own arguments
        stub_leave(t)
    resume(t, 0, t.record != NULL or after_waits(t))

cdef void on_stop(int tid, int status) noexcept nogil:
    cdef int sig = WSTOPSIG(status), event = status >> 16
    cdef Tracee *t = tracee_get(tid)
    if t != NULL:
        t.switches += 1
    if event == PTRACE_EVENT_EXEC:
        on_exec_stop(tid)
        return
    if t == NULL:
        # its parent's event has not come yet: keep it stopped until its records are known
        t = tracee_new(tid)
        if t == NULL:
            c_kill(tid, SIGKILL)
            return
        t.switches = 1
        t.state = T_ORPHAN
        tracees.orphans += 1
        return
    if turns.given and turn_is_over(t, status):
        return
    if event == 0 and sig != (SIGTRAP | 0x80):
        note_delivery(t, sig)
    if t.view != W1.v:
        view_use(t.view)
    if t.ptraces:
        ptrace_stop(t, sig, event)
    elif event == PTRACE_EVENT_SECCOMP or (event == 0 and sig == (SIGTRAP | 0x80)):
        on_call_stop(t)
    elif event == PTRACE_EVENT_FORK or event == PTRACE_EVENT_VFORK or event == PTRACE_EVENT_CLONE:
        on_birth(t, event)
    elif event == PTRACE_EVENT_STOP:
        on_stop_event(t, sig)
    elif event == 0:
        on_signal(t, sig)
    else:
        if event == PTRACE_EVENT_EXIT and session.tracing:
            trace_leaving(t)
        resume(t, 0, False)
    if hiding:
        hide_end()

cdef bint kill_all() noexcept nogil:
    """Kill all guests; say whether that is allowed."""
    cdef int i, k
    cdef bint allowed = True
    session.killing = True
    for i in range(TID_TOP):
        if tracees.leaf[i] == NULL:
            continue
        for k in range(TID_LEAF):
            if tracees.leaf[i][k] != NULL and c_kill(tracees.leaf[i][k].tid, SIGKILL) < 0 and is_refusal(errno):
                pyroot_lose(errno, -1, b"kill")
                allowed = False
    return allowed

cdef void adopt_orphans() noexcept nogil:
    """A parent died before it could report a child: take what /proc says, so that the child is not stopped for ever."""
    cdef int i, k
    cdef Tracee *t
    cdef Tracee *leader
    for i in range(TID_TOP):
        if tracees.leaf[i] == NULL:
            continue
        for k in range(TID_LEAF):
            t = tracees.leaf[i][k]
            if t == NULL or t.state != T_ORPHAN:
                continue
            leader = tracee_get(status_field(t.tid, b"Tgid:\t"))
            if leader == NULL or leader == t:
                leader = tracee_get(status_field(t.tid, b"PPid:\t"))
            if leader != NULL and leader != t and leader.mm != NULL and leader.fs != NULL:
                continue
            # nobody is left who could tell
            c_kill(t.tid, SIGKILL)

cdef void on_gone(int tid, int status) noexcept nogil:
    cdef Tracee *t = tracee_get(tid)
    cdef bint is_main = tid == session.main_tid and not session.main_done
    if is_main:
        session.main_done = True
        session.main_status = status
        # a later guest may get the same pid
        session.main_tid = 0
    if t != NULL:
        if session.tracing:
            trace_gone(t, status)
        if t.ptraces:
            ptrace_gone(t, status)
        if explaining and t.view == views.base:
            failed_tell(t, status, is_main)
        tracee_free(t)
    if views.first != NULL:
        views_owner_gone(tid)
    if net.holder > 0:
        net_gone(tid)
    turns.deaths = True
    if is_main and session.kill_on_exit:
        kill_all()
    elif is_main and tracees.count > 0:
        leaving_begin()

cdef int run_loop() noexcept nogil:
    """Supervise until the last tracee is gone; return 0 or -errno of waitpid (ECANCELED: see refused.pxi)."""
    cdef int status = 0, tid
    while True:
        if pyroot_loss.error != 0:
            return session_lost()
        if stats.on:
            stats_wait()
        tid = turn_next(&status)
        if stats.on:
            stats_woken(tid, status)
        if signals_waiting and not session.bare:
            forward_signals(tid, status)
        if tick_waiting:
            placement_tick()
            leaving_look()
            if signals_waiting:
                # the tick that it has stopped may have been a signal's (tap_wake)
                pyroot_tick(NEAR_TICK)
            if session.tracing and tracing.watched:
                trace_turn(NULL)
        if tid == -EINTR:
            if session.bare and signals_waiting:
                return 0
            continue
        if tid < 0:
            return 0 if tid == -ECHILD else tid
        if WIFSTOPPED(status):
            on_stop(tid, status)
        else:
            on_gone(tid, status)
        if turns.deaths and turns_served():
            # (a parent's event may have been among those that waited for their turns)
            turns.deaths = False
            if tracees.orphans > 0:
                adopt_orphans()
        if session.bare and signals_waiting and turns_served():
            return 0

cdef void loader_refused(Tracee *t) noexcept nogil:
    """If the loader has given up because a call is refused to it nothing can be started any more."""
    cdef Registers regs
    cdef uint64_t ip = 0
    cdef int error = 0
    if t.mm == NULL or reg_ip(t, &ip) < 0 or not (ip_in_text(ip) or (t.mm.loading and ip_in_loader32(ip))):
        return
    if regs_get(t, &regs) == 0 and regs_failed(&regs, &error):
        pyroot_lose(error, -1, b"a call of the loader in a guest")

cdef int session_lost() noexcept nogil:
    """End all guests, and wait for them as far as possible; PTRACE_O_EXITKILL does the rest."""
    cdef int status = 0, tid
    if session.bare:
        # not ours to end: the kernel detaches them as this process ends
        return -ECANCELED
    if net.holder > 0:
        c_kill(net.holder, SIGKILL)
    if not kill_all():
        return -ECANCELED
    while True:
        tid = c_waitpid(-1, &status, __WALL)
        if tid < 0 and errno != EINTR:
            return -ECANCELED
        if tid > 0 and WIFSTOPPED(status) and c_ptrace(PTRACE_CONT, tid, NULL, NULL) < 0 and errno != ESRCH:
            return -ECANCELED
