# Calls about processes: the few that could leave the translated view.

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
    if t.call.args[0] & (CLONE_NEWNS_ | CLONE_NEWUSER_):
        return answer(t, clone_refused(t.call.args[0]))
    memcpy(after(t, end_clone, AFTER_ANY), t.call.full, sizeof(t.call.full))
    after_last(t).birth = clone_begins
    return R_EXIT if reg_set_arg(t, 0, t.call.args[0] & ~CLONE_UNTRACED_) == 0 else R_DEAD

cdef int end_clone(Tracee *t, After *a, int64_t result) noexcept nogil:
    restore_arguments(t, a.data, 3)
    return R_CONT

cdef void clone_begins(Tracee *t, After *a) noexcept nogil:
    """The child has the registers that its parent's call had."""
    restore_arguments(t, a.data, 3)

cdef int on_clone3(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef uint64_t flags
    cdef char copy[4096]
    cdef int size = <int>t.call.args[1] if t.call.args[1] <= 4096 else 0
    if size < 64:
        return as_is(b"EINVAL or E2BIG, whatever it holds")
    if mem_read(t.tid, t.call.args[0], copy, size) < 0:
        return fault_argument(t, 0)
    memcpy(&flags, copy, 8)
    if flags & (CLONE_NEWNS_ | CLONE_NEWUSER_):
        return answer(t, clone_refused(flags))
    if not has_arena(t):
        return answer(t, -ENOMEM)
    t.call.clone_flags = flags
    flags &= ~CLONE_UNTRACED_
    memcpy(copy, &flags, 8)
    edit_start()
    edit_bytes(0, copy, size)
    return finish_edit(t)

cdef bint clone_rewritten(Tracee *t) noexcept nogil:
    """Say whether the birth that the tracee reports is of a clone3 whose arguments lie in its slot."""
    cdef Registers regs
    return (t.call.slot >= 0 and has_arena(t) and regs_get(t, &regs) == 0 and regs_number(&regs) == NR_clone3
            and regs_first(&regs, t.call.compat) == edit_address(t, 0))

cdef void clone3_inherit(Tracee *child, Tracee *parent) noexcept nogil:
    """The child of such a call begins where its parent made it: the slot is the parent's."""
    cdef uint64_t *data = <uint64_t *>after(child, NULL, 0)
    after_last(child).birth = clone3_begins
    data[0] = parent.call.frame[0]
    data[1] = parent.call.frame[7]

cdef void clone3_begins(Tracee *t, After *a) noexcept nogil:
    reg_set_arg(t, 0, a.data[0])
    reg_set_ip(t, a.data[1])

cdef int on_unshare(Tracee *t, const pyroot_row *row) noexcept nogil:
    if t.call.args[0] & (CLONE_NEWNS_ | CLONE_NEWUSER_):
        return answer(t, -EINVAL if t.call.args[0] & ~UNSHARE_KNOWN else -EPERM)
    after(t, end_unshare, 0)
    return R_EXIT

cdef int end_unshare(Tracee *t, After *a, int64_t result) noexcept nogil:
    cdef Fs *fs = fs_copy(t.fs) if result == 0 else NULL
    if fs != NULL:
        fs_drop(t.fs)
        t.fs = fs
    return R_CONT

cdef uint64_t namespace_flag(const char *text) noexcept nogil:
    """Return the CLONE_ flag of a namespace from the text of its link in /proc, 0 if it is not one."""
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
    cdef uint64_t flag, wanted = <uint32_t>t.call.args[1]
    cdef ssize_t n
    snprintf(link, sizeof(link), b"/proc/%d/fd/%d", t.tid, <int>t.call.args[0])
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
    if t.call.args[0] == PR_SET_SYSCALL_USER_DISPATCH_:
        # it judges calls by the place that they come from
        gate_quit(t)
        return as_is(b"no path, and it does not keep calls from our filter")
    if t.call.args[0] == PR_GET_SECCOMP or t.call.args[0] == PR_SET_SECCOMP:
        return on_prctl_seccomp(t)
    if t.call.args[0] == PR_GET_DUMPABLE:
        return answer(t, 1 if t.mm.undumpable == 0 else t.mm.undumpable & 2)
    if t.call.args[0] != PR_SET_DUMPABLE:
        return as_is(b"neither memory nor filters; what else there is belongs to a feature")
    if t.call.args[1] > 1:
        return answer(t, -EINVAL)
    t.mm.undumpable = t.call.args[1] == 0
    return answer(t, 0)

cdef int on_guestpid(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Memory of processes outside is not for guests."""
    cdef int pid = <int>t.call.args[0]
    if not cred_may_access(t, guest_of(t.view, pid), False):
        return answer(t, -EPERM)
    if fellow_of(t.view, pid, False) != NULL or pid <= 0 or (c_kill(pid, 0) < 0 and errno == ESRCH):
        return as_is(b"of a guest, or of nobody")
    return answer(t, -EPERM)
