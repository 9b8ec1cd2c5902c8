# ptrace(2) among guests: how a tracer learns of stops and deaths.
#
# Its waits run in the kernel, which knows its real children.  When a tracee of a guest has something to report, the wait is
# interrupted, and at its end the report becomes its result.  Where the kernel has no child to wait for (ECHILD) a futex that
# nobody wakes stands in for the wait: it ends and is restarted by signals as wait4(2) is.
#
# To see these waits, a process that traces gets a filter of its own for them: every thread installs it at its next call.
# So nobody pays for it but tracers and what they start.

cdef enum:
    # values of Tracee.stepping
    INJECT = 1               # its next call is put off for the installation of the filter
    STEP_ALL = 2             # the filter was refused: every call stops
    WAIT_ALL = 0
    WAIT_PID = 1
    WAIT_PGID = 2
    WAIT_NOHANG = 1
    WAIT_EXITED = 4
    WAIT_NOWAIT = 0x01000000
    WAIT_NOTHREAD = 0x20000000
    SA_NOCLDSTOP_ = 1
    SA_DISPOSITION = 1       # the largest value of sa_handler that is not a function (SIG_IGN)
    OUR_CODE = -20000        # si_code of a signal from us: OUR_CODE minus the one that it is to have
    FILTER_INSNS = 10

cdef struct Wait:
    int kind, id
    uint64_t options
    bint waitid

cdef struct Report:          # what a wait returns
    int tid, uid
    int status               # as wait4 writes it
    int code, value          # si_code and si_status
    uint64_t used[RUSAGE_WORDS]

cdef struct Zombie:          # a dead tracee that its tracer has not waited for; the kernel's own has gone
    Zombie *next
    int tracer, tracer_tgid
    int tgid, pgid
    Report report

cdef struct Waiters:
    int *tids
    int count, room
    Zombie *zombies

cdef Waiters waiters

# -- signals ------------------------------------------------------------------------------------------------------------------

cdef void signal_queue(int tgid, int tid, int sig, int code, int pid, int uid, int status) noexcept nogil:
    """Send a signal that looks as if the kernel had sent it (signal_mend gives it the last touch).  tid 0: to the process."""
    cdef Info info
    memset(&info, 0, sizeof(info))
    info.signo = sig
    info.error = c_getpid()
    info.code = OUR_CODE - code
    info.pid = pid
    info.uid = uid
    info.status = status
    if tid:
        c_syscall(SYS_rt_tgsigqueueinfo, tgid, tid, sig, &info)
    else:
        c_syscall(SYS_rt_sigqueueinfo, tgid, sig, &info)

cdef inline bint signal_is_ours(Info *info) noexcept nogil:
    return info.error == c_getpid() and OUR_CODE - 256 < info.code < OUR_CODE + 256

cdef int signal_mend(Tracee *t, int sig) noexcept nogil:
    """Give a signal of ours its final form; drop (0) what the kernel tells a tracer about its child as if it were its parent."""
    cdef Info info
    cdef Tracee *child
    if c_ptrace(PTRACE_GETSIGINFO, t.tid, NULL, &info) < 0:
        return sig
    if signal_is_ours(&info):
        info.code = OUR_CODE - info.code
        info.error = 0
        c_ptrace(PTRACE_SETSIGINFO, t.tid, NULL, &info)
    elif sig == SIGCHLD and CLD_TRAPPED_ <= info.code <= CLD_CONTINUED_:
        child = tracee_get(info.pid)
        if child != NULL and child.ptrace != NULL and child.ptrace.tracer_tgid == t.tgid:
            return 0
    return sig

cdef void tracer_notify(int tid, int child, int uid, int why, int status) noexcept nogil:
    """Tell a tracer: SIGCHLD if it cares, and an end for its waits."""
    cdef Tracee *t = tracee_get(tid)
    cdef Tracee *leader
    cdef int i
    if t == NULL:
        return
    leader = tracee_get(t.tgid)
    if leader == NULL:
        leader = t
    if leader.chld_blocked or (leader.chld_caught and not (leader.chld_nostop and why > CLD_DUMPED_)):
        signal_queue(t.tgid, 0, SIGCHLD, why, child, uid, status)
    for i in range(waiters.count):
        t = tracee_get(waiters.tids[i])
        if t != NULL and t.tgid == leader.tgid:
            kick(t)

cdef void note_blocked(Tracee *t) noexcept nogil:
    """Note whether a tracer, which is stopped, has SIGCHLD blocked: it may be about to take it by sigwaitinfo(2)."""
    cdef uint64_t mask = 0
    cdef Tracee *leader = tracee_get(t.tgid)
    if leader != NULL and c_ptrace(PTRACE_GETSIGMASK_, t.tid, <void *>8, &mask) == 0:
        leader.chld_blocked = mask >> (SIGCHLD - 1) & 1

cdef int on_sigaction(Tracee *t, const pyroot_row *row) noexcept nogil:
    """A tracer says what it does with SIGCHLD."""
    cdef uint64_t action[2]
    cdef Tracee *leader = tracee_get(t.tgid)
    cdef bint tells = t.tracer and t.call.args[0] == SIGCHLD and t.call.args[1] != 0
    if leader != NULL and tells and mem_read(t.tid, t.call.args[1], action, 16) == 0:
        leader.chld_caught = action[0] > SA_DISPOSITION
        leader.chld_nostop = action[1] & SA_NOCLDSTOP_ != 0
    return as_is(b"no path: it has been noted")

# -- becoming a tracer ----------------------------------------------------------------------------------------------------------

cdef void become_tracer(Tracee *t, Tracee *here) noexcept nogil:
    """From now on the waits of the process are ours; ``here`` is the thread that is in a stop right now."""
    cdef int i, k, tgid = t.tgid
    cdef Tracee *other
    cdef Tracee *leader = tracee_get(tgid)
    if t.tracer:
        return
    if leader != NULL:
        leader.chld_caught = status_bits(tgid, b"SigCgt:\t") >> (SIGCHLD - 1) & 1
    for i in range(TID_TOP):
        if tracees.leaf[i] == NULL:
            continue
        for k in range(TID_LEAF):
            other = tracees.leaf[i][k]
            if other == NULL or other.tgid != tgid:
                continue
            other.tracer = other.ptraces = True
            other.stepping = INJECT
            if other != here:
                kick(other)

cdef bint inject(Tracee *t) noexcept nogil:
    """At the entry of a call: install the filter instead; the call is made again.  False: it cannot be, all calls will stop."""
    cdef sock_filter *f = <sock_filter *>(edit.data + 16)
    cdef uint64_t at
    t.stepping = STEP_ALL
    if not session.seccomp:
        t.stepping = 0
        return False
    if not t.mm.arena or status_field(t.tid, b"Seccomp_filters:\t") > filters_around + 1 + t.own_filters:
        # a filter of its own may forbid what we are about to do
        return False
    call_release(t)
    edit_start()
    edit.len = 16 + FILTER_INSNS * sizeof(sock_filter)
    if edit_reserve(t) < 0:
        return False
    at = edit_address(t, 0)
    # struct sock_fprog, then the instructions
    memset(edit.data, 0, 16)
    (<uint16_t *>edit.data)[0] = FILTER_INSNS
    (<uint64_t *>(edit.data + 8))[0] = at + 16
    insn(&f[0], 0x20, 0, 0, 4)                                     # the ABI
    insn(&f[1], 0x15, 0, 7, ARCH_NATIVE)
    insn(&f[2], 0x20, 0, 0, 0)                                     # the number
    insn(&f[3], 0x15, 4, 0, NR_wait4)
    insn(&f[4], 0x15, 3, 0, NR_waitid)
    insn(&f[5], 0x15, 0, 3, NR_rt_sigaction)
    insn(&f[6], 0x20, 0, 0, 16)                                    # its first argument
    insn(&f[7], 0x15, 0, 1, SIGCHLD)
    insn(&f[8], 0x06, 0, 0, FILTER_TRACE | filter_mark)
    insn(&f[9], 0x06, 0, 0, 0x7fff0000)
    if arena_shared(t):
        memcpy(arena.map + slot_offset(t.call.slot) + SLOT_FRAME, edit.data, edit.len)
    elif mem_write(t.tid, at, edit.data, edit.len) < 0:
        return False
    memcpy(t.wait_args, t.call.args, sizeof(t.wait_args))
    t.wait_nr = t.call.nr
    t.injecting = True
    reg_set_nr(t, NR_seccomp)
    reg_set_arg(t, 0, SECCOMP_SET_MODE_FILTER)
    reg_set_arg(t, 1, SECCOMP_FILTER_FLAG_SPEC_ALLOW)
    reg_set_arg(t, 2, at)
    c_ptrace(PTRACE_SYSCALL, t.tid, NULL, NULL)
    return True

cdef void insn(sock_filter *f, int code, int jt, int jf, uint32_t k) noexcept nogil:
    f.code = code
    f.jt = jt
    f.jf = jf
    f.k = k

cdef void inject_done(Tracee *t) noexcept nogil:
    cdef int64_t result = -1
    cdef int i
    t.injecting = False
    reg_result(t, &result)
    if result == 0:
        t.stepping = 0
        t.own_filters += 1
    restore_arguments(t, t.wait_args, 3)
    make_again(t)
    # the call is made as if for the first time: its tracer sees it
    t.again = False
    resume(t, 0, False)

cdef int make_again(Tracee *t) noexcept nogil:
    """At a syscall-exit-stop: have the call ``wait_nr`` made once more."""
    t.again = t.stepping == STEP_ALL or (t.ptrace != NULL and t.ptrace.go == GO_SYSCALL)
    if reg_set_result(t, t.wait_nr) < 0 or reg_set_nr(t, t.wait_nr) < 0:
        return R_DEAD
    return R_CONT if reg_set_ip(t, t.call.ip - SYSCALL_SIZE) == 0 else R_DEAD

# -- waits ------------------------------------------------------------------------------------------------------------------------

cdef bint wait_parse(Tracee *t, uint64_t nr, const uint64_t *args, Wait *w) noexcept nogil:
    """Read the arguments of a wait; False: the kernel will refuse it."""
    cdef int id = <int>args[1]
    cdef int pid = <int>args[0]
    w.waitid = nr == NR_waitid
    if w.waitid:
        w.kind = pid
        w.id = id
        w.options = <uint32_t>args[3]
        if w.kind == 3:
            w.kind = WAIT_PID
            w.id = pidfd_pid(t, id)
        if w.options & ~<uint64_t>0xe100000f or not w.options & 0xe or not 0 <= w.kind <= 2:
            return False
        if w.kind == WAIT_PGID and id == 0:
            w.id = c_getpgid(t.tid)
        return True
    w.options = <uint32_t>args[2]
    if w.options & ~<uint64_t>0xe000000b:
        return False
    w.options |= WAIT_EXITED
    w.kind = WAIT_ALL if pid == -1 else WAIT_PID if pid > 0 else WAIT_PGID
    w.id = pid if pid > 0 else -pid if pid < 0 else c_getpgid(t.tid)
    return True

cdef int pidfd_pid(Tracee *t, int fd) noexcept nogil:
    cdef char name[64]
    cdef char text[512]
    cdef char *p
    cdef int file, pid = 0
    cdef ssize_t n
    snprintf(name, sizeof(name), b"/proc/%d/fdinfo/%d", t.tid, fd)
    file = c_open(name, O_RDONLY | O_CLOEXEC)
    if file < 0:
        return 0
    n = c_read(file, text, sizeof(text) - 1)
    c_close(file)
    text[n if n > 0 else 0] = 0
    p = find_text(text, b"Pid:\t")
    if p != NULL:
        parse_pid(p + 5, &pid)
    return pid

cdef inline bint wait_wants(Tracee *t, const Wait *w, int tracer, int tracer_tgid, int tid, int pgid) noexcept nogil:
    if tracer_tgid != t.tgid or (w.options & WAIT_NOTHREAD and tracer != t.tid):
        return False
    return w.kind == WAIT_ALL or w.id == (tid if w.kind == WAIT_PID else pgid)

cdef bint wait_candidates(Tracee *t, const Wait *w) noexcept nogil:
    """Say whether a tracee of a guest could ever be what the wait waits for."""
    cdef Ptrace *trace = traces.first
    while trace != NULL:
        if wait_wants(t, w, trace.tracer, trace.tracer_tgid, trace.t.tid, trace.pgid):
            return True
        trace = trace.next
    return False

cdef bint wait_find(Tracee *t, const Wait *w, Report *r) noexcept nogil:
    """Find what the wait returns now, and take it unless WNOWAIT."""
    cdef Ptrace *trace = traces.first
    cdef Zombie *zombie = waiters.zombies
    cdef Zombie *before = NULL
    while trace != NULL:
        if trace.waitable and wait_wants(t, w, trace.tracer, trace.tracer_tgid, trace.t.tid, trace.pgid):
            r.tid = trace.t.tid
            r.uid = trace.uid
            r.status = trace.code << 8 | 0x7f
            r.code = CLD_TRAPPED_
            r.value = trace.code
            memcpy(r.used, trace.used, sizeof(r.used))
            if not w.options & WAIT_NOWAIT:
                trace.waitable = False
                # the next wait begins with the others
                ptrace_take(trace)
                ptrace_append(trace)
            return True
        trace = trace.next
    while zombie != NULL and w.options & WAIT_EXITED:
        if wait_wants(t, w, zombie.tracer, zombie.tracer_tgid, zombie.report.tid, zombie.pgid):
            memcpy(r, &zombie.report, sizeof(Report))
            if not w.options & WAIT_NOWAIT:
                if before != NULL:
                    before.next = zombie.next
                else:
                    waiters.zombies = zombie.next
                free(zombie)
            return True
        before = zombie
        zombie = zombie.next
    return False

cdef int wait_write(Tracee *t, const uint64_t *args, const Wait *w, const Report *r) noexcept nogil:
    """Give the tracer what its wait found; return the call's result."""
    cdef int first[3]
    cdef int second[3]
    cdef uint64_t used = args[4] if w.waitid else args[3]
    if used != 0 and r.tid != 0 and mem_write(t.tid, used, r.used, sizeof(r.used)) < 0:
        return -EFAULT
    if not w.waitid:
        if args[1] != 0 and mem_write(t.tid, args[1], &r.status, 4) < 0:
            return -EFAULT
        return r.tid
    if args[2] == 0:
        return 0
    first[0], first[1], first[2] = SIGCHLD if r.tid else 0, 0, r.code
    second[0], second[1], second[2] = r.tid, r.uid, r.value
    if mem_write(t.tid, args[2], first, 12) < 0 or mem_write(t.tid, args[2] + 16, second, 12) < 0:
        return -EFAULT
    return 0

cdef int on_wait(Tracee *t, const pyroot_row *row) noexcept nogil:
    """wait4 and waitid in a process that traces (or in a descendant of one, which is none of our business)."""
    cdef Wait w
    cdef Report r
    if not t.tracer or not wait_parse(t, t.call.nr, t.call.args, &w):
        return as_is(b"of a guest that traces nobody, or EINVAL")
    if wait_find(t, &w, &r):
        t.standin = False
        return answer(t, wait_write(t, t.call.args, &w, &r))
    if (t.standin or w.options & WAIT_NOHANG) and not wait_candidates(t, &w):
        t.standin = False
        return as_is(b"none of its tracees has anything to tell")
    note_blocked(t)
    if waiter_add(t) < 0:
        return answer(t, -ENOMEM)
    memcpy(after(t, end_wait, AFTER_ANY), t.call.args, sizeof(t.call.args))
    t.wait_nr = t.call.nr
    if t.standin and wait_standin(t) < 0:
        return R_DEAD
    return R_EXIT

cdef int wait_standin(Tracee *t) noexcept nogil:
    """Wait without a child: FUTEX_WAIT on a constant in the text of the stubs."""
    cdef int32_t word = 0
    if mem_read(t.tid, LOADER_STUBS, &word, 4) < 0:
        return -ESRCH
    reg_set_arg(t, 0, LOADER_STUBS)
    reg_set_arg(t, 1, 128)
    reg_set_arg(t, 2, <uint64_t>word)
    reg_set_arg(t, 3, 0)
    return reg_set_nr(t, NR_futex)

cdef int end_wait(Tracee *t, After *a, int64_t result) noexcept nogil:
    """The kernel's wait is over; by a child of its own, by a signal, or by our kick."""
    cdef Wait w
    cdef Report r
    cdef int pid = <int>result
    cdef Tracee *child
    cdef bint standin = t.standin
    waiter_remove(t)
    t.standin = False
    if standin:
        restore_arguments(t, a.data, 4)
        reg_set_nr(t, t.wait_nr)
    wait_parse(t, t.wait_nr, a.data, &w)
    if result == -512 or result == -ECHILD or standin:
        if wait_find(t, &w, &r):
            reg_set_result(t, <uint64_t><int64_t>wait_write(t, a.data, &w, &r))
            return R_CONT
        if result == -512:
            return R_CONT
        if standin:
            return make_again(t)
    if result == -ECHILD and wait_candidates(t, &w):
        if w.options & WAIT_NOHANG:
            memset(&r, 0, sizeof(r))
            if w.waitid:
                wait_write(t, a.data, &w, &r)
            reg_set_result(t, 0)
            return R_CONT
        t.standin = True
        return make_again(t)
    if result < 0 or w.options & WAIT_NOWAIT:
        return R_CONT
    wait_read(t, a.data, &w, pid, &r)
    child = tracee_get(r.tid)
    if r.code >= CLD_TRAPPED_ and child != NULL and child.ptrace != NULL and child.ptrace.tracer_tgid == t.tgid:
        # the stop of a tracee is not seen a second time, as that of a child
        return make_again(t)
    if r.tid > 0 and r.code < CLD_TRAPPED_ and zombie_swap(t, &w, &r):
        reg_set_result(t, <uint64_t><int64_t>wait_write(t, a.data, &w, &r))
    return R_CONT

cdef void wait_read(Tracee *t, const uint64_t *args, const Wait *w, int result, Report *r) noexcept nogil:
    """Read what the kernel's wait has written for the guest."""
    cdef int words[3]
    memset(r, 0, sizeof(Report))
    if w.waitid:
        if args[2] != 0 and mem_read(t.tid, args[2] + 8, &r.code, 4) == 0 and mem_read(t.tid, args[2] + 16, words, 12) == 0:
            r.tid, r.uid, r.value = words[0], words[1], words[2]
        r.status = r.value << 8 if r.code == CLD_EXITED_ else r.value | (0x80 if r.code == CLD_DUMPED_ else 0)
        return
    r.tid = result
    if args[1] != 0 and mem_read(t.tid, args[1], &r.status, 4) < 0:
        r.tid = 0
    r.code = (CLD_STOPPED_ if WIFSTOPPED(r.status) else CLD_CONTINUED_ if r.status == 0xffff else CLD_EXITED_ if WIFEXITED(r.status)
              else CLD_DUMPED_ if r.status & 0x80 else CLD_KILLED_)
    r.value = r.status >> 8 & 0xff if r.code == CLD_EXITED_ else r.status & 0x7f
    if args[3] != 0:
        mem_read(t.tid, args[3], r.used, sizeof(r.used))

cdef int waiter_add(Tracee *t) noexcept nogil:
    cdef int *grown
    if t.waiting:
        return 0
    if waiters.count == waiters.room:
        grown = <int *>realloc(waiters.tids, (waiters.room * 2 + 16) * sizeof(int))
        if grown == NULL:
            return -ENOMEM
        waiters.tids = grown
        waiters.room = waiters.room * 2 + 16
    waiters.tids[waiters.count] = t.tid
    waiters.count += 1
    t.waiting = True
    return 0

cdef void waiter_remove(Tracee *t) noexcept nogil:
    cdef int i
    if not t.waiting:
        return
    t.waiting = False
    for i in range(waiters.count):
        if waiters.tids[i] == t.tid:
            waiters.count -= 1
            waiters.tids[i] = waiters.tids[waiters.count]
            return
