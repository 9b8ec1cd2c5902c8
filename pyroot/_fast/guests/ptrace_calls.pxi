# ptrace(2) among guests: the requests, with the kernel's checks in the kernel's order (kernel/ptrace.c).
#
# Requests about registers and memory are made again by the supervisor, with buffers of its own; what comes back is copied to
# the tracer.

cdef struct PeekArguments:
    uint64_t off
    uint32_t flags
    int nr

cdef char ptrace_buffer[REGSET_MOST]

cdef inline long ptrace_real(long request, Tracee *t, uint64_t addr, void *data) noexcept nogil:
    """Make a request ourselves; -errno on failure."""
    cdef long result = c_syscall(SYS_ptrace, request, t.tid, addr, data)
    return -errno if result < 0 else result

cdef int ptrace_request(Tracee *t) noexcept nogil:
    cdef long result
    cdef uint64_t request = t.call.args[0]
    cdef int pid = <int>t.call.args[1]
    if request == PTRACE_NESTING:
        result = nesting + 1
    elif t.call.compat and request != PTRACE_TRACEME:
        # a tracer that is a 32-bit program: its structures are others
        result = -EPERM
    elif request == PTRACE_TRACEME:
        result = ptrace_me(t)
    else:
        note_blocked(t)
        result = ptrace_perform(t, guest_of(t.view, pid), request, pid)
    return answer(t, result)

cdef long ptrace_me(Tracee *t) noexcept nogil:
    cdef Tracee *parent = guest_of(t.view, t.parent)
    cdef Tracee *leader
    if t.ptrace != NULL:
        return -EPERM
    if parent == NULL or parent.tgid != t.parent_tgid:
        parent = guest_of(t.view, t.parent_tgid)
    if parent == NULL or not parent.mm.arena or not may_trace(parent, t) or ptrace_link(t, parent, False, 0) == NULL:
        return -EPERM
    become_tracer(parent, NULL)
    leader = tracee_get(parent.tgid)
    if leader != NULL and status_bits(parent.tid, b"SigBlk:\t") >> (SIGCHLD - 1) & 1:
        leader.chld_blocked = True
    return 0

cdef long ptrace_perform(Tracee *t, Tracee *target, uint64_t request, int pid) noexcept nogil:
    cdef Ptrace *trace
    cdef long result
    if target == NULL:
        result = relay_request(t, request, pid)
        if result != RELAY_NONE:
            return result
        # a process that is not a guest exists, but nothing can be done to it
        if pid <= 0 or (c_kill(pid, 0) < 0 and errno == ESRCH):
            return -ESRCH
        return -EPERM if request == PTRACE_ATTACH or request == PTRACE_SEIZE else -ESRCH
    if request == PTRACE_ATTACH or request == PTRACE_SEIZE:
        return ptrace_attach(t, target, request == PTRACE_SEIZE, t.call.args[2], t.call.args[3])
    trace = target.ptrace
    if trace == NULL or trace.tracer != t.tid or trace.far != NULL:
        return -ESRCH
    return ptrace_ask(t, target, request)

cdef long ptrace_ask(Tracee *t, Tracee *target, uint64_t request) noexcept nogil:
    """A request of the tracer."""
    cdef Ptrace *trace = target.ptrace
    if request == PTRACE_KILL:
        c_kill(target.tid, SIGKILL)
        return 0
    if request == PTRACE_INTERRUPT:
        if not trace.seized:
            return -EIO
        trace.interrupt = True
        if trace.stopped == LISTENS:
            target.listening = False
        if not target.kicked:
            c_ptrace(PTRACE_INTERRUPT, target.tid, NULL, NULL)
        return 0
    if trace.stopped != STOPPED:
        return -ESRCH
    return ptrace_data(t, target, request)

# -- the beginning ------------------------------------------------------------------------------------------------------------

cdef bint may_trace(Tracee *t, Tracee *target) noexcept nogil:
    """PTRACE_MODE_ATTACH_REALCREDS: the same user and group in all forms, or the capability."""
    cdef int mine[8]
    cdef int other[8]
    cdef int i
    if target.mm != NULL and target.mm.undumpable and not may_trace_all(t):
        return False
    if creds.on:
        return cred_may_access(t, target, False)
    if c_geteuid() != 0:
        # guests of an ordinary user have no way to become somebody else
        return True
    if not status_ids(t.tid, mine) or not status_ids(target.tid, other):
        return False
    for i in range(3):
        if other[i] != mine[0] or other[4 + i] != mine[4]:
            return may_trace_all(t)
    return True

cdef long ptrace_attach(Tracee *t, Tracee *target, bint seize, uint64_t addr, uint64_t options) noexcept nogil:
    cdef Ptrace *trace
    if seize:
        if addr != 0 or options & ~<uint64_t>GUEST_OPTIONS:
            return -EIO
        if options & O_SUSPEND_SECCOMP_:
            return -EPERM
    if target.tgid == t.tgid or not may_trace(t, target) or target.ptrace != NULL or target.first_exec:
        return -EPERM
    trace = ptrace_link(target, t, seize, options if seize else 0)
    if trace == NULL:
        return -ENOMEM
    if t != &relay_tracer:
        become_tracer(t, t)
    trace.options_late = options & (PTRACE_O_TRACEEXIT | PTRACE_O_TRACEVFORKDONE) != 0
    if not seize:
        signal_queue(target.tgid, target.tid, SIGSTOP, SI_KERNEL_, 0, 0, 0)
    if target.listening or trace.options_late:
        kick(target)
    attach_stopped(t, target)
    return 0

cdef void attach_stopped(Tracee *t, Tracee *target) noexcept nogil:
    """A task stopped by a signal is stopped for its tracer when PTRACE_ATTACH is over (JOBCTL_TRAPPING in the kernel)."""
    cdef int got, status, tid = target.tid
    if not is_stopped(target):
        return
    status = turn_take(tid)
    got = tid if status != 0 else -1
    # (a stop that nobody has waited for is there; one that has been is made anew by the kick)
    while got < 0:
        got = <int>c_syscall(SYS_wait4, tid, &status, __WALL, traces.used)
        if got < 0 and errno != EINTR:
            return
    if WIFSTOPPED(status):
        on_stop(tid, status)
    else:
        on_gone(tid, status)
    if t.view != W1.v:
        view_use(t.view)

# -- requests about a stopped tracee ---------------------------------------------------------------------------------------------

cdef long ptrace_data(Tracee *t, Tracee *target, uint64_t request) noexcept nogil:
    """Answer a request that moves data; everything else is ptrace_control's."""
    cdef uint64_t addr = t.call.args[2], data = t.call.args[3], word = 0
    cdef bint takes = False
    cdef int size = machine_request(request, &takes), word_kind = machine_word(request, data)
    cdef long result
    if request == PTRACE_PEEKTEXT_ or request == PTRACE_PEEKDATA_ or request == PTRACE_PEEKUSER_:
        result = ptrace_real(request, target, addr, &word)
        return result if result < 0 else give(t, data, &word, 8)
    if request == PTRACE_POKETEXT_ or request == PTRACE_POKEDATA_ or request == PTRACE_POKEUSER_:
        return ptrace_real(request, target, addr, <void *>data)
    if size > 0:
        if takes and tracer_read(t, data, ptrace_buffer, size) < 0:
            return -EFAULT
        result = ptrace_real(request, target, addr, ptrace_buffer)
        return result if result < 0 or takes else give(t, data, ptrace_buffer, size)
    if request == PTRACE_GETREGSET_ or request == PTRACE_SETREGSET_:
        return ptrace_regset(t, target, request)
    if word_kind == WORD_GIVEN:
        return ptrace_real(request, target, addr, <void *>data)
    if word_kind == WORD_ASKED:
        result = ptrace_real(request, target, <uint64_t>&word, <void *>data)
        return result if result < 0 else give(t, addr, &word, 8)
    return ptrace_signals(t, target, request)

cdef long give(Tracee *t, uint64_t to, const void *what, size_t n) noexcept nogil:
    return -EFAULT if tracer_write(t, to, what, n) < 0 else 0

cdef long ptrace_regset(Tracee *t, Tracee *target, uint64_t request) noexcept nogil:
    cdef iovec theirs, ours
    cdef long result
    if tracer_read(t, t.call.args[3], &theirs, sizeof(theirs)) < 0:
        return -EFAULT
    ours.iov_base = ptrace_buffer
    ours.iov_len = theirs.iov_len if theirs.iov_len < REGSET_MOST else REGSET_MOST
    if request == PTRACE_SETREGSET_ and tracer_read(t, <uint64_t>theirs.iov_base, ptrace_buffer, ours.iov_len) < 0:
        return -EFAULT
    result = ptrace_real(request, target, t.call.args[2], &ours)
    if result < 0:
        return result
    if request == PTRACE_GETREGSET_ and tracer_write(t, <uint64_t>theirs.iov_base, ptrace_buffer, ours.iov_len) < 0:
        return -EFAULT
    # iov_len is the second word
    return give(t, t.call.args[3] + 8, &ours.iov_len, 8)

cdef long ptrace_signals(Tracee *t, Tracee *target, uint64_t request) noexcept nogil:
    """Requests about signals and about the stop."""
    cdef uint64_t addr = t.call.args[2], data = t.call.args[3], mask = 0
    cdef Ptrace *trace = target.ptrace
    cdef Info info
    cdef long result
    if request == PTRACE_GETSIGINFO or request == PTRACE_SETSIGINFO:
        if trace.kind == STOP_GROUP and not trace.seized:
            return -EINVAL
        if request == PTRACE_SETSIGINFO:
            if tracer_read(t, data, &info, sizeof(info)) < 0:
                return -EFAULT
            if trace.kind == STOP_SIGNAL:
                return ptrace_real(request, target, 0, &info)
            memcpy(&trace.info, &info, sizeof(info))
            return 0
        memcpy(&info, &trace.info, sizeof(info))
        if trace.kind == STOP_SIGNAL:
            result = ptrace_real(request, target, 0, &info)
            if result < 0:
                return result
        return give(t, data, &info, sizeof(info))
    if request == PTRACE_PEEKSIGINFO_:
        return ptrace_pending(t, target)
    if request == PTRACE_GETSIGMASK_ or request == PTRACE_SETSIGMASK_:
        if addr != 8:
            return -EINVAL
        if request == PTRACE_SETSIGMASK_ and tracer_read(t, data, &mask, 8) < 0:
            return -EFAULT
        result = ptrace_real(request, target, 8, &mask)
        return result if result < 0 or request == PTRACE_SETSIGMASK_ else give(t, data, &mask, 8)
    if request == PTRACE_GETEVENTMSG:
        return give(t, data, &trace.message, 8)
    if request == PTRACE_GET_SYSCALL_INFO:
        return ptrace_call_info(t, target)
    if request == PTRACE_GET_RSEQ_CONFIGURATION_:
        result = ptrace_real(request, target, addr if addr < 4096 else 4096, ptrace_buffer)
        if result > 0 and tracer_write(t, data, ptrace_buffer, <size_t>result if <uint64_t>result < addr else addr) < 0:
            return -EFAULT
        return result
    if request == PTRACE_SECCOMP_GET_FILTER_ or request == PTRACE_SECCOMP_GET_METADATA_:
        return -EACCES
    return ptrace_control(t, target, request)

cdef long ptrace_pending(Tracee *t, Tracee *target) noexcept nogil:
    """PTRACE_PEEKSIGINFO: pending signals."""
    cdef PeekArguments how
    cdef int total = 0, want
    cdef long got
    if tracer_read(t, t.call.args[2], &how, sizeof(how)) < 0:
        return -EFAULT
    if how.flags & ~<uint32_t>1 or how.nr < 0:
        return -EINVAL
    want = how.nr
    while total < want:
        how.nr = want - total if want - total < REGSET_MOST // 128 else REGSET_MOST // 128
        got = ptrace_real(PTRACE_PEEKSIGINFO_, target, <uint64_t>&how, ptrace_buffer)
        if got <= 0:
            return got if total == 0 else total
        if tracer_write(t, t.call.args[3] + <uint64_t>total * 128, ptrace_buffer, got * 128) < 0:
            return -EFAULT if total == 0 else total
        total += <int>got
        how.off += got
    return total

cdef long ptrace_call_info(Tracee *t, Tracee *target) noexcept nogil:
    """PTRACE_GET_SYSCALL_INFO: ours is in the same stop, except where the loader or a step stands in."""
    cdef pyroot_syscall_info info
    cdef uint64_t size = t.call.args[2]
    cdef int kind = target.ptrace.kind
    cdef long result
    memset(&info, 0, sizeof(info))
    result = ptrace_real(PTRACE_GET_SYSCALL_INFO, target, sizeof(info), &info)
    if result < 0:
        return result
    if kind == STOP_EXEC or kind == STOP_STEP:
        info.op = INFO_NONE
        result = 24
    if tracer_write(t, t.call.args[3], &info, <size_t>result if <uint64_t>result < size else size) < 0:
        return -EFAULT
    return result

# -- requests that let it go -------------------------------------------------------------------------------------------------------

cdef long ptrace_control(Tracee *t, Tracee *target, uint64_t request) noexcept nogil:
    cdef uint64_t data = t.call.args[3]
    cdef Ptrace *trace = target.ptrace
    cdef int go = -1
    if request == PTRACE_SETOPTIONS:
        if data & ~<uint64_t>GUEST_OPTIONS:
            return -EINVAL
        if data & O_SUSPEND_SECCOMP_:
            return -EPERM
        trace.options = data
        options_set(target)
        return 0
    if request == PTRACE_LISTEN:
        if not trace.seized or trace.info.code >> 8 != PTRACE_EVENT_STOP or trace.kind == STOP_SIGNAL:
            return -EIO
        trace.stopped = LISTENS
        return ptrace_real(PTRACE_LISTEN, target, 0, NULL)
    if request == PTRACE_CONT:
        go = GO_CONT
    elif request == PTRACE_SYSCALL:
        go = GO_SYSCALL
    elif request == PTRACE_SINGLESTEP:
        go = GO_STEP
    elif request == PTRACE_SINGLEBLOCK_:
        go = GO_BLOCK
    elif request == PTRACE_SYSEMU_:
        go = GO_SYSEMU
    elif request != PTRACE_DETACH:
        return -EIO
    if data > 64:
        return -EIO
    if request == PTRACE_DETACH:
        ptrace_end(target, <int>data)
        return 0
    trace.go = go
    trace.over = False
    trace.stopped = RUNS
    trace.waitable = False
    stop_leave(target, trace.kind, <int>data)
    return 0
