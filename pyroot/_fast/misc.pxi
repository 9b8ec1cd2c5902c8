# Calls about processes: the few that could leave the translated view; the ends of calls; the filter in software.

cdef uint64_t CLONE_VM_ = 0x100, CLONE_FS_ = 0x200, CLONE_THREAD_ = 0x10000, CLONE_NEWNS_ = 0x20000, CLONE_UNTRACED_ = 0x800000
cdef uint64_t CLONE_FILES_ = 0x400, CLONE_PARENT_ = 0x8000, CLONE_PTRACE_ = 0x2000
cdef uint64_t CLONE_NEWUSER_ = 0x10000000, CLONE_VFORK_ = 0x4000, CLONE_SIGHAND_ = 0x800, CLONE_NEWPID_ = 0x20000000
cdef uint64_t UNSHARE_KNOWN = 0x7e070f80     # what unshare(2) knows

cdef int clone_refused(uint64_t flags) noexcept nogil:
    """Return what a namespace of mounts or users gives: flags that contradict each other come first (copy_process in kernel/fork.c)."""
    if flags & CLONE_FS_:
        return -EINVAL
    if flags & CLONE_THREAD_ and (not flags & CLONE_SIGHAND_ or flags & (CLONE_NEWUSER_ | CLONE_NEWPID_)):
        return -EINVAL
    if flags & CLONE_SIGHAND_ and not flags & CLONE_VM_:
        return -EINVAL
    return -EPERM

cdef int on_clone(Tracee *t, const pyroot_row *row) noexcept nogil:
    """The filter stops only what asks for a namespace of its own or for a child without a tracer."""
    if t.args[0] & (CLONE_NEWNS_ | CLONE_NEWUSER_):
        return answer(t, clone_refused(t.args[0]))
    memcpy(t.saved, t.full, sizeof(t.full))
    t.exit_action = X_CLONE
    return R_EXIT if reg_set_arg(t, 0, t.args[0] & ~CLONE_UNTRACED_) == 0 else R_DEAD

cdef int on_clone3(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef uint64_t flags
    cdef char copy[4096]
    cdef int size = <int>t.args[1] if t.args[1] <= 4096 else 0
    t.clone_flags = 0
    if size < 64:
        return as_is(b"EINVAL or E2BIG, whatever it holds")
    if mem_read(t.tid, t.args[0], copy, size) < 0:
        return fault_argument(t, 0)
    memcpy(&flags, copy, 8)
    if flags & (CLONE_NEWNS_ | CLONE_NEWUSER_):
        return answer(t, clone_refused(flags))
    if not has_arena(t):
        return answer(t, -ENOMEM)
    t.clone_flags = flags
    flags &= ~CLONE_UNTRACED_
    memcpy(copy, &flags, 8)
    edit_start()
    edit_bytes(0, copy, size)
    return finish_edit(t, R_CONT)

cdef bint clone_rewritten(Tracee *t) noexcept nogil:
    """Say whether the birth that the tracee reports is of a clone3 whose arguments lie in its slot."""
    cdef user_regs_struct regs
    return (t.slot >= 0 and has_arena(t) and c_ptrace(PTRACE_GETREGS, t.tid, NULL, &regs) == 0 and regs.orig_rax == NR_clone3
            and (regs.rbx if t.compat else regs.rdi) == edit_address(t, 0))

cdef void clone_begin(Tracee *t) noexcept nogil:
    """The child of such a call begins where its parent made it: the slot is the parent's."""
    reg_set_arg(t, 0, t.saved[0])
    reg_set_ip(t, t.saved[1])

cdef int on_unshare(Tracee *t, const pyroot_row *row) noexcept nogil:
    if t.args[0] & (CLONE_NEWNS_ | CLONE_NEWUSER_):
        return answer(t, -EINVAL if t.args[0] & ~UNSHARE_KNOWN else -EPERM)
    t.exit_action = X_UNSHARE
    return R_EXIT

cdef uint64_t namespace_flag(const char *text) noexcept nogil:
    """Return the CLONE_ flag of a namespace from the text of its link in /proc, 0 if it is none."""
    if strncmp(text, b"mnt:[", 5) == 0:
        return CLONE_NEWNS_
    if strncmp(text, b"user:[", 6) == 0:
        return CLONE_NEWUSER_
    if strncmp(text, b"uts:[", 5) == 0:
        return 0x4000000
    if strncmp(text, b"ipc:[", 5) == 0:
        return 0x8000000
    if strncmp(text, b"net:[", 5) == 0:
        return 0x40000000
    if strncmp(text, b"pid:[", 5) == 0:
        return 0x20000000
    if strncmp(text, b"cgroup:[", 8) == 0:
        return 0x2000000
    return 0x80 if strncmp(text, b"time:[", 6) == 0 else 0

cdef int on_setns(Tracee *t, const pyroot_row *row) noexcept nogil:
    """setns: it would leave the translated view, so it is never made; a descriptor that the kernel would refuse gets its errno."""
    cdef char link[48]
    cdef char text[PATHMAX]
    cdef uint64_t flag, wanted = <uint32_t>t.args[1]
    cdef ssize_t n
    snprintf(link, sizeof(link), b"/proc/%d/fd/%d", t.tid, <int>t.args[0])
    n = c_readlink(link, text, PATHMAX - 1)
    if n < 0 and errno == ENOENT:
        return answer(t, -EBADF)
    text[n if n > 0 else 0] = 0
    flag = namespace_flag(text)
    if strcmp(text, b"anon_inode:[pidfd]") == 0:
        flag = wanted & (UNSHARE_KNOWN & ~<uint64_t>0x50f00)
    return answer(t, -EPERM if flag != 0 and (wanted == 0 or wanted == flag) else -EINVAL)

cdef enum:
    PR_SET_SYSCALL_USER_DISPATCH_ = 59

cdef int on_prctl(Tracee *t, const pyroot_row *row) noexcept nogil:
    """PR_SET_DUMPABLE 0 would take the guest's memory from us: remember it, do not do it."""
    if t.args[0] == PR_SET_SYSCALL_USER_DISPATCH_:
        # it judges calls by the place that they come from
        gate_quit(t)
        return as_is(b"no path, and it does not keep calls from our filter")
    if t.args[0] == PR_GET_SECCOMP or t.args[0] == PR_SET_SECCOMP:
        return on_prctl_seccomp(t)
    if t.args[0] == PR_GET_DUMPABLE:
        return answer(t, 0 if t.mm.undumpable else 1)
    if t.args[1] > 1:
        return answer(t, -EINVAL)
    t.mm.undumpable = t.args[1] == 0
    return answer(t, 0)

cdef int on_guestpid(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Memory of processes outside is not for guests."""
    cdef int pid = <int>t.args[0]
    if fellow_of(t.view, pid, False) != NULL or pid <= 0 or (c_kill(pid, 0) < 0 and errno == ESRCH):
        return as_is(b"of a guest, or of nobody")
    return answer(t, -EPERM)

cdef int on_exit_stop(Tracee *t) noexcept nogil:
    """Finish a call whose result needs us.  A call that will be restarted comes again: nothing to do then."""
    cdef int64_t result = 0
    cdef int action = t.exit_action, i
    cdef Fs *fs
    t.exit_action = X_NONE
    if reg_result(t, &result) < 0:
        return R_DEAD
    if action == X_CLONE:
        for i in range(3):
            reg_set_arg(t, i, t.saved[i])
        return R_CONT
    if action == X_FAULT:
        for i in range(6):
            reg_set_arg(t, i, t.saved[i])
        return R_CONT
    if action == X_WAIT:
        return exit_wait(t, result)
    if action == X_COPIES:
        return copies_end(t, result)
    if action == X_JUDGE:
        return R_CONT if reg_set_ip(t, t.saved[0]) == 0 else R_DEAD
    if -516 <= result <= -512:
        if action == X_SENDMMSG:
            # restarted at the stub: the same message again
            t.exit_action = X_SENDMMSG
        return R_CONT
    if action == X_SOCKNAME:
        exit_sockname(t, result)
    elif action == X_SENDMMSG:
        return exit_sendmmsg(t, result)
    elif action == X_RECVMSG and result >= 0:
        header_back(t, 0, t.saved[0], <unsigned int>t.saved[1])
    elif action == X_RECVMMSG and result > 0:
        exit_recvmmsg(t, result)
    elif action == X_LIST and result >= 0:
        return exit_list(t, result)
    elif action == X_RENAME and result == 0:
        exit_rename(t)
    elif action == X_REMOVED and result == 0:
        views_removed(t.saved[0])
    elif action == X_BIND:
        exit_bind(t, result)
    elif action == X_CHDIR and result == 0:
        t.fs.bind = <int>t.saved[0]
    elif action == X_OPEN and result >= 0:
        exit_open(t, <int>result)
    elif action == X_STATX and result == 0:
        exit_statx(t)
    elif action == X_LINKS and result == 0:
        exit_links(t)
    elif action == X_HANDLE and (result == 0 or result == -EOVERFLOW):
        exit_handle(t)
    elif action == X_SECCOMP and result == 0:
        exit_seccomp(t)
    elif action == X_UNSHARE and result == 0:
        fs = fs_copy(t.fs)
        if fs != NULL:
            fs_drop(t.fs)
            t.fs = fs
    return R_CONT

# -- the filter in software, for kernels that refuse it ---------------------------------------------------------------------

cdef uint32_t filter_verdict(Tracee *t) noexcept nogil:
    """Run the seccomp programs over the call at hand: one place decides, with and without seccomp."""
    cdef View *v = t.view
    cdef uint32_t verdict = filter_run(t, filter_program)
    while v != views.base and verdict == RET_ALLOW_:
        filter_patch(view_program, pyroot_view_filter, PYROOT_VIEW_FILTER_LENGTH, v.owner, v.listing, v.noting)
        verdict = filter_run(t, view_program)
        v = v.parent
    if copies_made and verdict == RET_ALLOW_ and (t.copies or not session.seccomp):
        verdict = filter_run(t, copy_filter)
    return verdict

cdef uint32_t filter_run(Tracee *t, const sock_filter *program) noexcept nogil:
    cdef uint8_t data[64]
    cdef uint32_t a = 0, arch = ARCH_I386 if t.compat else ARCH_X86_64, nr = <uint32_t>t.nr
    cdef int pc = 0
    cdef const sock_filter *f
    memcpy(data, &nr, 4)
    memcpy(data + 4, &arch, 4)
    memcpy(data + 8, &t.ip, 8)
    memcpy(data + 16, t.args, 48)
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

cdef enum:
    FILTER_TRACE = 0x7ff00000

# What our filter returns beside SECCOMP_RET_TRACE: tells its stops from those of a guest's own filter, and of another pyroot's.
cdef uint32_t filter_mark = 0x8000
cdef int nesting = 0         # how many pyroots are around this one

cdef sock_filter filter_program[PYROOT_FILTER_LENGTH]
cdef sock_filter view_program[PYROOT_VIEW_FILTER_LENGTH]

cdef void filter_prepare() noexcept nogil:
    filter_patch(filter_program, pyroot_filter, PYROOT_FILTER_LENGTH, c_getpid(), listing_needed, noting_needed)
    filter_patch(copy_filter, pyroot_copy_filter, PYROOT_COPY_FILTER_LENGTH, 0, False, False)

cdef void filter_patch(sock_filter *f, const sock_filter *source, int n, int supervisor, bint listing, bint noting) noexcept nogil:
    """Copy a program and put in what is known only now."""
    cdef int i
    for i in range(n):
        f[i] = source[i]
        filter_mark_set(&f[i], supervisor, listing, noting)

cdef void filter_mark_set(sock_filter *f, int supervisor, bint listing, bint noting) noexcept nogil:
    """Put this session's values where the program has marks; ``supervisor`` is the process that guests must not kill."""
    if f.code == 0x15 and f.k == PYROOT_SUPERVISOR_MARK:
        f.k = supervisor
    elif f.code == 0x15 and f.k == PYROOT_HOLDER_MARK:
        f.k = net.holder if net.holder > 0 and supervisor == c_getpid() else supervisor
    elif f.code == 0x06 and f.k == PYROOT_LISTING_MARK:
        f.k = FILTER_TRACE | filter_mark if listing else 0x7fff0000
    elif f.code == 0x06 and f.k == PYROOT_NOTING_MARK:
        # go on with what follows, or return
        f.code = 0x05 if noting else 0x06
        f.k = 0 if noting else 0x7fff0000
    elif f.code == 0x06 and f.k == PYROOT_SEALING_MARK:
        f.code = 0x06 if kernel_seals else 0x05
        f.k = 0x7fff0000 if kernel_seals else 0
    elif f.code == 0x15 and <uint32_t>(LOADER_TEXT - pyroot_shift >> 32) - f.k <= 1:
        # (the addresses of what stays begin like that, and those below)
        f.k += <uint32_t>(pyroot_shift >> 32)
    elif f.code == 0x06 and f.k == FILTER_TRACE:
        f.k |= filter_mark
