# ptrace(2) among guests: deaths of tracees and of tracers.
#
# The death of a real child comes to its tracer from the kernel.  Others are kept here, as zombies, until the tracer waits for them
# (ptrace_wait.pxi) or is dead itself.

cdef bint zombie_swap(Tracee *t, const Wait *w, Report *r) noexcept nogil:
    """A thread group's leader is waited for last: put its death after those of its threads, and give one of these."""
    cdef Zombie **link = &waiters.zombies
    cdef Zombie *zombie
    cdef Report leader
    while link[0] != NULL:
        zombie = link[0]
        if zombie.tgid == r.tid and wait_wants(t, w, zombie.tracer, zombie.tracer_tgid, zombie.report.tid, zombie.pgid):
            memcpy(&leader, r, sizeof(leader))
            memcpy(r, &zombie.report, sizeof(leader))
            link[0] = zombie.next
            memcpy(&zombie.report, &leader, sizeof(leader))
            zombie_append(zombie)
            return True
        link = &zombie.next
    return False

cdef void zombie_append(Zombie *zombie) noexcept nogil:
    cdef Zombie **link = &waiters.zombies
    while link[0] != NULL:
        link = &link[0].next
    zombie.next = NULL
    link[0] = zombie

cdef void ptrace_gone(Tracee *t, int status) noexcept nogil:
    """A guest that traced or was traced is dead."""
    cdef Ptrace *trace = t.ptrace
    waiter_remove(t)
    if trace != NULL:
        # the death of a child comes to its parent from the kernel
        if trace.far != NULL:
            relay_dead(trace, status)
        elif t.tid != t.tgid or t.parent_tgid != trace.tracer_tgid:
            zombie_make(t, status)
        else:
            waiters_ask_again(trace.tracer_tgid)
        ptrace_unlink(t)
    if t.tracer:
        tracer_gone(t.tid)

cdef void waiters_ask_again(int tgid) noexcept nogil:
    """End the stand-ins of a process: what they wait for may be gone.  Its parent may have seen the death before we did."""
    cdef Tracee *t
    cdef int i
    for i in range(waiters.count):
        t = tracee_get(waiters.tids[i])
        if t != NULL and t.tgid == tgid and t.standin:
            kick(t)

cdef void zombie_make(Tracee *t, int status) noexcept nogil:
    cdef Ptrace *trace = t.ptrace
    cdef Zombie *zombie
    if tracee_get(trace.tracer) == NULL:
        return
    zombie = <Zombie *>calloc(1, sizeof(Zombie))
    if zombie == NULL:
        return
    zombie.tracer = trace.tracer
    zombie.tracer_tgid = trace.tracer_tgid
    zombie.tgid = t.tgid
    zombie.pgid = trace.pgid
    zombie.report.tid = t.tid
    zombie.report.uid = trace.uid
    zombie.report.status = status
    if WIFEXITED(status):
        zombie.report.code = CLD_EXITED_
        zombie.report.value = status >> 8 & 0xff
    else:
        zombie.report.code = CLD_DUMPED_ if status & 0x80 else CLD_KILLED_
        zombie.report.value = status & 0x7f
    memcpy(zombie.report.used, traces.used, sizeof(traces.used))
    zombie_append(zombie)
    tracer_notify(trace.tracer, t.tid, trace.uid, zombie.report.code, zombie.report.value)

cdef void ptrace_let_go(Ptrace *trace, bint waitable) noexcept nogil:
    """The tracer is dead; ``waitable``: it has not heard of the stop that the tracee is in."""
    if trace.options & PTRACE_O_EXITKILL:
        c_kill(trace.t.tid, SIGKILL)
    ptrace_end(trace.t, trace.code if trace.kind == STOP_SIGNAL and waitable else 0)

cdef void tracer_gone(int tid) noexcept nogil:
    """Let go, or kill, what a dead thread traced."""
    cdef Ptrace *trace = traces.first
    cdef Ptrace *next
    cdef Zombie *zombie
    cdef Zombie **link = &waiters.zombies
    while trace != NULL:
        next = trace.next
        if trace.tracer == tid and trace.standin:
            standin_leave(trace)
        elif trace.tracer == tid:
            ptrace_let_go(trace, trace.waitable)
        trace = next
    while link[0] != NULL:
        zombie = link[0]
        if zombie.tracer == tid:
            link[0] = zombie.next
            free(zombie)
        else:
            link = &zombie.next
