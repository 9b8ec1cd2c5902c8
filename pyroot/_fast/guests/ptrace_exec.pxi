# ptrace(2) among guests: the loader, which no tracer sees.
#
# A real exec ends at the program's first instruction; ours ends at the loader's.  So a tracee's exec event is kept back, the
# loader runs with all its calls stopping and all signals blocked, and at the end of its last call (the munmap of the
# trampoline) the registers are set as the kernel would have: that is where the tracer's stops are shown.

cdef inline bint ip_in_loader(uint64_t ip) noexcept nogil:
    return <uint64_t>LOADER_STUBS + LOADER_TRAMPOLINE <= ip < <uint64_t>LOADER_END and not in_gate(ip)

cdef void ptrace_exec(Tracee *t, int old) noexcept nogil:
    """The kernel's exec is over and the loader knows what to do."""
    cdef Tracee *leader = t
    leader.chld_caught = leader.chld_nostop = False
    t.again = False
    if t.ptrace == NULL:
        resume(t, 0, False)
        return
    t.ptrace.message = old
    loader_hide(t, <int>t.ptrace.nr)

cdef void loader_hide(Tracee *t, int nr) noexcept nogil:
    """Run the loader to its end before anything is shown."""
    cdef uint64_t every = <uint64_t><int64_t>-1
    t.loading = nr
    c_ptrace(PTRACE_GETSIGMASK_, t.tid, <void *>8, &t.blocked)
    c_ptrace(PTRACE_SETSIGMASK_, t.tid, <void *>8, &every)
    c_ptrace(PTRACE_SYSCALL, t.tid, NULL, NULL)

cdef void loader_caught(Tracee *t, int sig) noexcept nogil:
    """A signal for a guest that has become a tracee while its loader ran: it is delivered when that is over."""
    cdef Info info
    memset(&info, 0, sizeof(info))
    if c_ptrace(PTRACE_GETSIGINFO, t.tid, NULL, &info) < 0:
        return
    if sig == SIGSTOP:
        t.late_stop = True
    else:
        signal_queue(t.tgid, t.tid, sig, info.code, info.pid, info.uid, info.status)
    loader_hide(t, <int>NR_execve)
    t.ptrace.message = 0
    t.again = True

cdef void loader_stop(Tracee *t, int sig, int event) noexcept nogil:
    """A stop of the loader: nobody's business, unless it is the last one."""
    cdef pyroot_syscall_info info
    cdef uint8_t op = 0
    if event == 0 and sig == (SIGTRAP | 0x80):
        if c_ptrace(PTRACE_GET_SYSCALL_INFO, t.tid, <void *>sizeof(info), &info) < 0:
            return
        if info.op == INFO_EXIT and info.ip == <uint64_t>LOADER_STUBS + LOADER_LAST:
            loader_end(t, info.sp, 8)
            return
        if info.op == INFO_EXIT and t.mm.low != 0 and info.ip == t.mm.low + SYSCALL_SIZE:
            # the code at the start of a 32-bit guest's arena
            loader_end(t, info.sp, 4)
            return
        if info.op == INFO_ENTRY and t.mm.loading and not session.seccomp:
            if reg_load_call(t, &op) == -ESRCH or loader_call(t) == R_DEAD:
                return
        sig = 0
    elif event == PTRACE_EVENT_SECCOMP and t.mm.loading:
        # the 32-bit loader, which has something to say
        if reg_load_call(t, &op) == -ESRCH or loader_call(t) == R_DEAD:
            return
        sig = 0
    elif event != 0:
        sig = 0
    elif sig == SIGSTOP:
        # the one signal that cannot be blocked and yet waits
        t.late_stop = True
        sig = 0
    c_ptrace(PTRACE_SYSCALL, t.tid, NULL, <void *><size_t>sig)

cdef void loader_end(Tracee *t, uint64_t sp, int word) noexcept nogil:
    """The program's image is complete: its registers are those that execve(2) gives; ``word`` is the size of an address."""
    cdef Registers regs
    cdef uint64_t entry = 0
    cdef bint caught = t.again
    cdef int nr = t.loading
    t.loading = 0
    t.unjudged = t.again = False
    if mem_read(t.tid, sp - word, &entry, word) < 0 or regs_get(t, &regs) < 0:
        c_kill(t.tid, SIGKILL)
        return
    regs_program(&regs, nr, entry, sp)
    regs_set(t, &regs)
    c_ptrace(PTRACE_SETSIGMASK_, t.tid, <void *>8, &t.blocked)
    if t.late_stop:
        t.late_stop = False
        signal_queue(t.tgid, t.tid, SIGSTOP, SI_KERNEL_, 0, 0, 0)
    if t.ptrace != NULL and t.ptrace.interrupt:
        c_ptrace(PTRACE_INTERRUPT, t.tid, NULL, NULL)
    if caught or t.ptrace == NULL:
        reg_set_result(t, 0)
        resume(t, 0, False)
    elif not ptrace_event(t, PTRACE_EVENT_EXEC, t.ptrace.message):
        loader_left(t)
    else:
        t.ptrace.kind = STOP_EXEC

cdef void loader_left(Tracee *t) noexcept nogil:
    """After the exec event: the exec's own syscall-exit-stop."""
    reg_set_result(t, 0)
    if t.ptrace != NULL and t.ptrace.go == GO_SYSCALL:
        present_call(t, STOP_LEFT)
    else:
        loader_done(t, 0)

cdef void loader_done(Tracee *t, int sig) noexcept nogil:
    """Let the new program run; a tracer without PTRACE_O_TRACEEXEC gets the old-fashioned SIGTRAP."""
    if t.ptrace != NULL and not t.ptrace.seized and not t.ptrace.options & PTRACE_O_TRACEEXEC:
        signal_queue(t.tgid, t.tid, SIGTRAP, SI_USER, t.tgid, t.ptrace.uid, 0)
    resume(t, sig, False)
