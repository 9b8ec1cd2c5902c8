# The filter, run in software where the kernel does not run it, and what is put into it when the session begins.

cdef int on_featured(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef int error = judge_descriptor(t, row, <int>t.call.args[0], False) if row.effect != E_LOOK else 0
    if error < 0:
        return answer(t, error)
    return as_is(b"only a feature wants to see it (features.pxi)")

cdef uint32_t filter_verdict(Tracee *t) noexcept nogil:
    """Run the seccomp programs over the call at hand: one place decides, with and without seccomp."""
    cdef View *v = t.view
    cdef uint32_t verdict = filter_run(t, filter_program)
    while v != views.base and verdict == RET_ALLOW_:
        filter_patch(view_program, pyroot_view_filter, PYROOT_VIEW_FILTER_LENGTH, v.owner, v.features)
        verdict = filter_run(t, view_program)
        v = v.parent
    if copies_made and verdict == RET_ALLOW_ and (t.copies or not session.seccomp):
        verdict = filter_run(t, copy_filter)
    return verdict

cdef uint32_t filter_run(Tracee *t, const sock_filter *program) noexcept nogil:
    cdef uint8_t data[64]
    cdef uint32_t a = 0, arch = ARCH_COMPAT if t.call.compat else ARCH_NATIVE, nr = <uint32_t>t.call.nr
    cdef int pc = 0
    cdef const sock_filter *f
    memcpy(data, &nr, 4)
    memcpy(data + 4, &arch, 4)
    memcpy(data + 8, &t.call.ip, 8)
    memcpy(data + 16, t.call.args, 48)
    while True:
        f = &program[pc]
        pc += 1
        if f.code == 0x20:
            memcpy(&a, data + f.k, 4)
        elif f.code == 0x05:
            pc += f.k
        elif f.code == 0x15:
            pc += f.jt if a == f.k else f.jf
        elif f.code == 0x35:
            pc += f.jt if a >= f.k else f.jf
        elif f.code == 0x45:
            pc += f.jt if a & f.k else f.jf
        else:
            return f.k

# What our filter returns beside SECCOMP_RET_TRACE: tells its stops from those of a guest's own filter, and of another pyroot's.
cdef uint32_t filter_mark = 0x8000

cdef enum:
    FILTER_TRACE = 0x7ff00000

cdef sock_filter filter_program[PYROOT_FILTER_LENGTH]

cdef sock_filter view_program[PYROOT_VIEW_FILTER_LENGTH]

cdef void filter_prepare() noexcept nogil:
    filter_patch(filter_program, pyroot_filter, PYROOT_FILTER_LENGTH, c_getpid(), views.base.features)
    filter_patch(copy_filter, pyroot_copy_filter, PYROOT_COPY_FILTER_LENGTH, 0, 0)

cdef void filter_patch(sock_filter *f, const sock_filter *source, int n, int supervisor, uint32_t on) noexcept nogil:
    """Copy a program and put in what is known only now."""
    cdef int i
    for i in range(n):
        f[i] = source[i]
        filter_mark_set(&f[i], supervisor, on)

cdef void filter_mark_set(sock_filter *f, int supervisor, uint32_t on) noexcept nogil:
    """Put this session's values where the program has marks: the process that guests must not kill, and which features are on."""
    cdef bint has
    if f.code == 0x15 and f.k == PYROOT_SUPERVISOR_MARK:
        f.k = supervisor
    elif f.code == 0x15 and f.k == PYROOT_HOLDER_MARK:
        f.k = net.holder if net.holder > 0 and supervisor == c_getpid() else supervisor
    elif f.code == 0x06 and f.k & ~<uint32_t>0xff == PYROOT_STOP_MARK:
        # stop, or go on with what follows
        has = on >> (f.k & 0xff) & 1
        f.code = 0x06 if has else 0x05
        f.k = FILTER_TRACE | filter_mark if has else 0
    elif f.code == 0x06 and f.k & ~<uint32_t>0xff == PYROOT_PASS_MARK:
        # go on with what follows, or let it pass
        has = on >> (f.k & 0xff) & 1
        f.code = 0x05 if has else 0x06
        f.k = 0 if has else 0x7fff0000
    elif f.code == 0x06 and f.k == PYROOT_SEALING_MARK:
        f.code = 0x06 if kernel_seals else 0x05
        f.k = 0x7fff0000 if kernel_seals else 0
    elif f.code == 0x15 and <uint32_t>(LOADER_TEXT - pyroot_shift >> 32) - f.k <= 1:
        # (the addresses of what stays begin like that, and those below)
        f.k += <uint32_t>(pyroot_shift >> 32)
    elif f.code == 0x06 and f.k == FILTER_TRACE:
        f.k |= filter_mark
