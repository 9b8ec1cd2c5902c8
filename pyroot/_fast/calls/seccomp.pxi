# Filters that the guest installs for itself: seccomp(2), prctl(PR_SET_SECCOMP).
#
# A filter can only take rights away, so none of them can switch translation off; but it must judge the guest's calls and nothing
# else.  So the kernel gets an edited copy.  Where the guest's program would not allow a call, it now first looks at the instruction
# pointer: calls of the loader (after the guest's execve) and of the return stubs (a call that the guest made and we rewrote, or that
# is restarted) cause one of our stops instead, and are let through by what the supervisor knows, not by their address alone.  Paths of the
# program that allow stay as they are, so that the kernel can still remember calls that are always allowed.
#
# RET_TRACE of the guest, which has no tracer, means ENOSYS; its data word tells the stop from ours.  Strict mode is a filter too: the
# kernel does not change the mode of a task that has one.  A listener is refused: it outranks RET_TRACE, and its "continue" would run
# a call with untranslated paths.

cdef enum:
    SECCOMP_STRICT_ = 0      # operations of seccomp(2)
    SECCOMP_FILTER_ = 1
    FLAG_TSYNC_ = 1
    FLAG_LISTENER_ = 8
    FLAG_TSYNC_ESRCH_ = 16
    FLAGS_KNOWN_ = 63
    BPF_RET_K = 0x06
    BPF_RET_A = 0x16
    BPF_JA = 0x05
    FILTER_MAX = 4096        # BPF_MAXINSNS
    GO_ON = 3                # not a stop of the guest's filter: handle the call as always
    # beside SECCOMP_RET_TRACE, as filter_mark, and like it different for a pyroot in a pyroot
    MARK_EXEMPT = 0x1000     # (added to filter_mark) the loader's and the return stubs' calls
    MARK_STRICT = 0x2000     # what strict mode does not allow
    MARK_GUEST = 0xc000      # in the place of a guest's mark that is one of these

cdef uint32_t RET_ALLOW_ = 0x7fff0000, RET_TRACE_ = 0x7ff00000, RET_ACTION_ = 0xffff0000

cdef struct FilterCode:      # struct sock_filter
    uint16_t code
    uint8_t jt, jf
    uint32_t k

cdef struct FilterProgram:   # struct sock_fprog
    uint64_t len             # (16 bits of it)
    uint64_t filter

cdef struct FilterProgram32:
    uint32_t len
    uint32_t filter

cdef FilterCode guest_filter[FILTER_MAX]
cdef int guest_filter_len

cdef inline void filter_set(int at, int code, int jt, int jf, uint32_t k) noexcept nogil:
    guest_filter[at].code = code
    guest_filter[at].jt = jt
    guest_filter[at].jf = jf
    guest_filter[at].k = k

cdef bint filter_sound(int n) noexcept nogil:
    """Check what a longer program would hide from the kernel: jumps beyond the end, and the end itself."""
    cdef int i
    cdef FilterCode *f
    for i in range(n):
        f = &guest_filter[i]
        if f.code == BPF_JA and f.k >= <uint32_t>(n - i - 1):
            return False
        if f.code & 7 == 5 and f.code != BPF_JA and (i + f.jt + 1 >= n or i + f.jf + 1 >= n):
            return False
    return guest_filter[n - 1].code == BPF_RET_K or guest_filter[n - 1].code == BPF_RET_A

cdef inline bint mark_is_ours(uint32_t mark) noexcept nogil:
    """Say whether a stop is due to our own filter or to what we added to a guest's."""
    return mark == filter_mark or mark == filter_mark + MARK_EXEMPT or mark == filter_mark + MARK_STRICT

cdef void filter_mark_traces(int n) noexcept nogil:
    """Keep the guest's RET_TRACE apart from ours."""
    cdef int i
    for i in range(n):
        if guest_filter[i].code == BPF_RET_K and guest_filter[i].k & RET_ACTION_ == RET_TRACE_:
            if mark_is_ours(guest_filter[i].k & 0xffff):
                guest_filter[i].k = RET_TRACE_ | MARK_GUEST

cdef void filter_range(int at, uint32_t start, uint32_t end, int exempt) noexcept nogil:
    """Write a test whether the accumulator lies in a range: then jump to ``exempt``."""
    filter_set(at, 0x35, 0, 1, start)
    filter_set(at + 1, 0x35, 0, exempt - at - 2, end)

cdef int filter_common(Tracee *t, int at) noexcept nogil:
    """Write the end that all verdicts share (verdict in the accumulator); return where it ends, or 0 if there is no room."""
    cdef uint32_t low = <uint32_t>t.mm.low if t.mm.low != 0 else <uint32_t>LOADER32_ARENA
    cdef int exempt = at + 26, out = at + 27, narrow = at + 16
    if at + 29 > FILTER_MAX:
        return 0
    # a computed RET_TRACE must not have one of our marks
    filter_set(at, 0x07, 0, 0, 0)                                             # X = verdict
    filter_set(at + 1, 0x15, 2, 0, RET_TRACE_ | filter_mark)
    filter_set(at + 2, 0x15, 1, 0, RET_TRACE_ | (filter_mark + MARK_EXEMPT))
    filter_set(at + 3, 0x15, 0, 2, RET_TRACE_ | (filter_mark + MARK_STRICT))
    filter_set(at + 4, 0x00, 0, 0, RET_TRACE_ | MARK_GUEST)
    filter_set(at + 5, 0x07, 0, 0, 0)
    filter_set(at + 6, 0x20, 0, 0, 4)                                         # architecture
    filter_set(at + 7, 0x15, narrow - at - 8, 0, ARCH_COMPAT)
    filter_set(at + 8, 0x20, 0, 0, 12)                                        # instruction pointer, high half
    filter_set(at + 9, 0x15, 0, out - at - 10, <uint32_t>(<uint64_t>LOADER_STUBS >> 32))
    filter_set(at + 10, 0x20, 0, 0, 8)
    filter_range(at + 11, <uint32_t><uint64_t>LOADER_STUBS, <uint32_t>(<uint64_t>LOADER_STUBS + LOADER_STUBS_SIZE), exempt)
    filter_range(at + 13, <uint32_t><uint64_t>LOADER_TEXT, <uint32_t>(<uint64_t>LOADER_TEXT + LOADER_TEXT_SIZE), exempt)
    filter_set(at + 15, BPF_JA, 0, 0, out - at - 16)
    filter_set(narrow, 0x20, 0, 0, 8)
    filter_range(narrow + 1, LOADER32_TEXT, LOADER32_INFO, exempt)
    filter_range(narrow + 3, LOADER32_ARENA, LOADER32_ARENA + ARENA_SIZE, exempt)
    filter_range(narrow + 5, LOADER32_ARENA_ASIDE, LOADER32_ARENA_ASIDE + ARENA_SIZE, exempt)
    filter_range(narrow + 7, low, low + ARENA_SIZE, exempt)
    filter_set(narrow + 9, BPF_JA, 0, 0, out - narrow - 10)
    filter_set(exempt, BPF_RET_K, 0, 0, RET_TRACE_ | (filter_mark + MARK_EXEMPT))
    filter_set(out, 0x87, 0, 0, 0)                                            # verdict = X
    filter_set(out + 1, BPF_RET_A, 0, 0, 0)
    return out + 2

cdef int filter_edit(Tracee *t, int n) noexcept nogil:
    """Edit the program of n instructions in guest_filter; return its new length.

    A program that leaves no room for the additions stays as it is: then an execve after it succeeds only if it allows the
    loader's calls.
    """
    cdef int i, k, end = n
    cdef FilterCode *f
    filter_mark_traces(n)
    # one load for each different verdict that is not "allow", then the common end; the room is checked before anything changes
    for i in range(n):
        f = &guest_filter[i]
        if f.code != BPF_RET_K or f.k & RET_ACTION_ == RET_ALLOW_:
            continue
        for k in range(n, end, 2):
            if guest_filter[k].k == f.k:
                break
        else:
            if end + 2 > FILTER_MAX:
                return n
            filter_set(end, 0x00, 0, 0, f.k)
            end += 2
    k = filter_common(t, end)
    if k == 0:
        return n
    for i in range(n, end, 2):
        filter_set(i + 1, BPF_JA, 0, 0, end - i - 2)
    for i in range(n):
        f = &guest_filter[i]
        if f.code == BPF_RET_A:
            filter_set(i, BPF_JA, 0, 0, end - i - 1)
        elif f.code == BPF_RET_K and f.k & RET_ACTION_ != RET_ALLOW_:
            filter_set(i, BPF_JA, 0, 0, filter_verdict_at(n, end, f.k) - i - 1)
    return k

cdef int filter_verdict_at(int start, int end, uint32_t verdict) noexcept nogil:
    """Find the load of a verdict."""
    cdef int i
    for i in range(start, end, 2):
        if guest_filter[i].k == verdict:
            return i
    return start

cdef int filter_give(Tracee *t, int n, int how, AfterEnd end, int flags) noexcept nogil:
    """Let the call run with the program in guest_filter, and stop at its end."""
    cdef FilterProgram program
    cdef FilterProgram32 program32
    cdef int at
    program.len = program32.len = n
    edit_bytes(2, &program, sizeof(program))
    at = edit_bytes(-1, guest_filter, n * <int>sizeof(FilterCode))
    if at < 0 or not has_arena(t) or edit_reserve(t) < 0:
        return answer(t, -ENOMEM)
    program.filter = edit_address(t, at)
    program32.filter = <uint32_t>program.filter
    if t.call.compat:
        memcpy(edit.data, &program32, sizeof(program32))
    else:
        memcpy(edit.data, &program, sizeof(program))
    (<int *>after(t, end, flags))[0] = how
    return finish_edit(t)

cdef int filter_strict(Tracee *t, int argument, uint64_t filter_mode) noexcept nogil:
    """Strict mode, as a filter: the call becomes one that installs it."""
    cdef int i
    cdef int[8] allowed = [NR_read, NR_write, NR_exit, NR_rt_sigreturn,
                               COMPAT_NR_read, COMPAT_NR_write, COMPAT_NR_exit, COMPAT_NR_sigreturn]
    gate_quit(t)
    if t.filtered:
        return answer(t, -EINVAL)
    filter_set(0, 0x20, 0, 0, 4)
    filter_set(1, 0x15, 6, 0, ARCH_COMPAT)
    for i in range(2):
        filter_set(2 + 6 * i, 0x20, 0, 0, 0)
        filter_set(7 + 6 * i, BPF_RET_K, 0, 0, RET_TRACE_ | (filter_mark + MARK_STRICT))
    for i in range(4):
        filter_set(3 + i, 0x15, 10 - i, 0, allowed[i])
        filter_set(9 + i, 0x15, 4 - i, 0, allowed[4 + i])
    filter_set(14, BPF_RET_K, 0, 0, RET_ALLOW_)
    edit_start()
    edit_value(argument, filter_mode)
    return filter_give(t, 15, 0, end_seccomp, 0)

cdef int filter_install(Tracee *t, uint64_t flags) noexcept nogil:
    """Read the guest's program once, and let the kernel have the edited copy."""
    cdef FilterProgram program
    cdef FilterProgram32 program32
    cdef int n
    gate_quit(t)
    if t.call.compat:
        if mem_read(t.tid, t.call.args[2], &program32, sizeof(program32)) < 0:
            return answer(t, -EFAULT)
        program.len = program32.len
        program.filter = program32.filter
    elif mem_read(t.tid, t.call.args[2], &program, sizeof(program)) < 0:
        return answer(t, -EFAULT)
    n = <int>(program.len & 0xffff)
    if n == 0 or n > FILTER_MAX:
        return answer(t, -EINVAL)
    if mem_read(t.tid, program.filter, guest_filter, n * sizeof(FilterCode)) < 0:
        return answer(t, -EFAULT)
    if not filter_sound(n):
        return answer(t, -EINVAL)
    edit_start()
    return filter_give(t, filter_edit(t, n), flags & FLAG_TSYNC_, end_seccomp, 0)

cdef int on_seccomp(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef uint32_t flags = <uint32_t>t.call.args[1], operation = <uint32_t>t.call.args[0]
    if not session.seccomp:
        return answer(t, -ENOSYS)
    t.unjudged = False
    if operation == SECCOMP_STRICT_:
        if flags != 0 or t.call.args[2] != 0:
            return answer(t, -EINVAL)
        return filter_strict(t, 0, SECCOMP_FILTER_)
    if operation != SECCOMP_FILTER_:
        return as_is(b"asks what there is, or EINVAL")
    if flags & FLAG_LISTENER_ and flags <= FLAGS_KNOWN_:
        if flags & FLAG_TSYNC_ and not flags & FLAG_TSYNC_ESRCH_:
            return answer(t, -EINVAL)
        return answer(t, -EBUSY)
    return filter_install(t, flags)

cdef int on_prctl_seccomp(Tracee *t) noexcept nogil:
    """PR_GET_SECCOMP tells of the guest's own filters, and of those around us; PR_SET_SECCOMP is the old form of seccomp(2)."""
    if t.call.args[0] == PR_GET_SECCOMP:
        return answer(t, 2 if t.filtered or filters_around > 0 else 0)
    t.unjudged = False
    if not session.seccomp or (t.call.args[1] != 1 and t.call.args[1] != 2):
        return answer(t, -EINVAL)
    return filter_strict(t, 1, 2) if t.call.args[1] == 1 else filter_install(t, 0)

cdef int end_seccomp(Tracee *t, After *a, int64_t result) noexcept nogil:
    """The filter is in place, with TSYNC in every thread of the process."""
    cdef int i, k
    if result != 0:
        return R_CONT
    t.filtered = True
    if not (<int *>a.data)[0]:
        return R_CONT
    for i in range(TID_TOP):
        if tracees.leaf[i] == NULL:
            continue
        for k in range(TID_LEAF):
            if tracees.leaf[i][k] != NULL and tracees.leaf[i][k].tgid == t.tgid:
                tracees.leaf[i][k].filtered = True
    return R_CONT

cdef int on_filter_stop(Tracee *t) noexcept nogil:
    """A stop that a guest's filter made; GO_ON: our own filter's business."""
    cdef bint stays = ip_in_stub(t.call.ip) or ip_in_code(t, t.call.ip)
    if t.call.mark == filter_mark + MARK_EXEMPT:
        if t.mm.loading:
            # the 32-bit loader: code_call knows it
            return GO_ON
        if t.unjudged:
            # the loader, up to the munmap by which it leaves
            t.unjudged = not stays or LOADER_TRAMPOLINE <= t.call.ip - <uint64_t>LOADER_STUBS < LOADER_LAST
            return as_is(b"the loader's")
        return GO_ON if stays and slot_is_mine(t) else judge_again(t)
    call_release(t)
    if t.call.mark == filter_mark + MARK_STRICT:
        return strict_kill(t)
    # RET_TRACE without a tracer
    return answer(t, -ENOSYS)

cdef int judge_again(Tracee *t) noexcept nogil:
    """The guest's own code calls from a place that was ours in another program: let its filter judge, as from elsewhere."""
    cdef uint64_t ip = t.call.ip
    cdef bint ours
    t.call.ip = 0
    ours = call_is_ours(t)
    t.call.ip = ip
    if ours:
        # it would run untranslated if it were allowed
        return answer(t, -ENOSYS)
    (<uint64_t *>after(t, end_judge, AFTER_ANY))[0] = ip
    return R_EXIT if reg_set_ip(t, 0) == 0 else R_DEAD

cdef int end_judge(Tracee *t, After *a, int64_t result) noexcept nogil:
    return R_CONT if reg_set_ip(t, a.data[0]) == 0 else R_DEAD

cdef int strict_kill(Tracee *t) noexcept nogil:
    """Strict mode ends the thread as by SIGKILL."""
    if status_field(t.tid, b"Threads:\t") > 1:
        # only this thread: let it end itself
        if reg_set_nr(t, call_number(t, NR_exit, COMPAT_NR_exit)) < 0:
            return R_DEAD
        return R_CONT
    c_kill(t.tgid, SIGKILL)
    return R_DEAD

cdef bint call_is_ours(Tracee *t) noexcept nogil:
    """Say whether our filters would have stopped the call at hand."""
    if not session.seccomp or filter_verdict(t) >> 16 == 0x7ff0:
        return True
    return t.tracer and call_of_tracer(t)
