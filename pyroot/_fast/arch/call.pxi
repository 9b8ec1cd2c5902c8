# The call that a tracee is stopped in, on any machine: what it is, and how it is changed or skipped.

cdef enum:
    ALL_ARGUMENTS = 0x3f     # of reg_change

cdef inline uint64_t call_number(Tracee *t, uint64_t native, uint64_t compat) noexcept nogil:
    """Choose the number by which the ABI of the call at hand has a call."""
    return compat if t.call.compat else native

cdef int reg_answer(Tracee *t, long result) noexcept nogil:
    """Skip the call and let it return ``result``."""
    t.call.answered = True
    stats.answered += 1
    t.call.answer = result
    return reg_skip(t, <uint64_t>result)

cdef int filters_around = 0        # seccomp filters that were there before ours

cdef inline uint64_t idle_number(Tracee *t) noexcept nogil:
    """Return the number of a call that does nothing: getpid(2), which no filter around us refuses (scripts/pyroot.c)."""
    return compat_idle() if t.call.compat else native_idle()

cdef inline bint skips_late(Tracee *t) noexcept nogil:
    """Say whether a filter around us has still to see the call at hand: most refuse number -1, and with it the result."""
    return filters_around > 0 and call_info.op == INFO_ENTRY

cdef int reg_skip(Tracee *t, uint64_t result) noexcept nogil:
    """Skip the call with this in its result register: number -1 and the register preset, one stop in all."""
    if skips_late(t):
        t.call.late = True
        t.call.late_result = result
        return reg_set_nr(t, idle_number(t))
    if reg_set_nr(t, <uint64_t><int64_t>-1) < 0:
        return -ESRCH
    return reg_set_result(t, result)

cdef bint set_call_works = True    # PTRACE_SET_SYSCALL_INFO, since Linux 6.16

cdef void set_call_missing() noexcept nogil:
    global set_call_works
    set_call_works = False

cdef int reg_set_call(Tracee *t, uint64_t nr, const uint64_t *args, uint64_t ip) noexcept nogil:
    """Change number and arguments of the call that reg_load_call has read, and where it returns to.  Number and arguments take one request
    where the kernel knows it."""
    cdef unsigned int i, which = 0
    if set_call_works:
        call_info.nr = nr
        memcpy(call_info.args, args, sizeof(call_info.args))
        if c_ptrace(PTRACE_SET_SYSCALL_INFO, t.tid, <void *>sizeof(call_info), &call_info) == 0:
            return reg_set_ip(t, ip)
        if errno == ESRCH:
            return -ESRCH
        set_call_missing()
    if reg_set_nr(t, nr) < 0:
        return -ESRCH
    for i in range(6):
        if args[i] != t.call.args[i]:
            which |= 1 << i
    return reg_change(t, args, which, ip)

cdef int reg_load_call(Tracee *t, uint8_t *op) noexcept nogil:
    """Read the call that the tracee is stopped in; return its arch check: 0, or -ENOSYS for another ABI, or -ESRCH."""
    cdef pyroot_syscall_info *info = &call_info
    cdef int i
    if c_ptrace(PTRACE_GET_SYSCALL_INFO, t.tid, <void *>sizeof(call_info), info) < 0:
        return -ESRCH
    op[0] = info.op
    if t.call.late and info.op == INFO_EXIT:
        t.call.late = False
        if reg_set_result(t, t.call.late_result) < 0:
            return -ESRCH
    t.call.nr = info.nr
    t.call.ip = info.ip
    t.call.sp = info.sp
    t.call.mark = info.ret_data
    memcpy(t.call.args, info.args, sizeof(info.args))
    t.call.compat = info.arch == ARCH_COMPAT
    memcpy(t.call.full, info.args, sizeof(info.args))
    if t.call.compat:
        for i in range(6):
            t.call.args[i] = <uint32_t>t.call.args[i]
    return 0 if info.arch == ARCH_NATIVE or t.call.compat else -ENOSYS

cdef inline bint ip_in_text(uint64_t ip) noexcept nogil:
    """Say whether a call is the loader's; once that has left, nothing there makes calls."""
    return <uint64_t>LOADER_TEXT <= ip < <uint64_t>LOADER_TEXT + LOADER_TEXT_SIZE

cdef int call_that_follows(Tracee *t) noexcept nogil:
    """Return the number of the call that does the same and follows links, 0 if there is none."""
    return compat_follows(<int>t.call.number) if t.call.compat else native_follows(<int>t.call.number)

cdef int stat_links(Tracee *t, int *size) noexcept nogil:
    """Return where the structure that the call at hand writes has the number of links, and how large that is."""
    return compat_links(<int>t.call.number, size) if t.call.compat else native_links(size)

cdef inline int statfs_flags(Tracee *t) noexcept nogil:
    """Return where a struct statfs that the call at hand writes has the flags of the mount, -1 if it writes none."""
    return compat_statfs(<int>t.call.number) if t.call.compat else native_statfs(<int>t.call.number)
