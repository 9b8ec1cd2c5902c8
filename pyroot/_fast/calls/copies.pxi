# Descriptors of texts in /proc (proctext.pxi): memfds that tell of themselves what the kernel tells of its own file.
#
# cp(1), tail(1) and others compare stat of a name with fstat of what they have opened.  So fstat and similar calls on a copy are made as
# the same call on the file's name.  That needs no table of who holds what: the descriptor's link says what it is a copy of, however its
# holder came by it.  But nobody else's fstat may stop.  The gate looks at those made by newfstatat and statx, and knows a copy by its
# device and mode; for the others a process that is about to open its first text installs a filter, which its children inherit, as do
# processes that receive descriptors.

cdef enum:
    # values of Tracee.copies
    COPIES_UNSEEN = 0        # such calls do not stop
    COPIES_ALONE = 1         # the threads of its process have different filters: it has to install its own
    COPIES_SEEN = 2          # they stop, or nothing can be done about it

cdef sock_filter copy_filter[PYROOT_COPY_FILTER_LENGTH]
cdef bint copies_made = False    # in this session

cdef int copy_behind(Tracee *t, int fd, char *to) noexcept nogil:
    """If a descriptor of the guest is a copy, write the path that it stands for; return its length, 0 also where that is gone."""
    cdef char link[48]
    snprintf(link, sizeof(link), b"/proc/%d/fd/%d", t.tid, fd)
    return copy_at(link, to)

cdef int copy_at(const char *link, char *to) noexcept nogil:
    cdef c_stat st
    cdef ssize_t n = c_readlink(link, to, PATHMAX - 1)
    if n <= 0:
        return 0
    n = copied_path(to, <int>n, to)
    return <int>n if n > 0 and fstatat(AT_FDCWD, to, &st, AT_SYMLINK_NOFOLLOW) == 0 else 0

cdef int on_copy(Tracee *t, const pyroot_row *row) noexcept nogil:
    """fstat, fstatfs, lseek from the end, fchmod: only in processes that may have a copy."""
    cdef char path[PATHMAX]
    cdef int error, n = copy_behind(t, <int>t.call.args[0], path)
    if n == 0:
        error = judge_descriptor(t, row, <int>t.call.args[0], False) if row.effect != E_LOOK else 0
        if error < 0:
            return answer(t, error)
        return as_is(b"not of a copy")
    if t.call.nr == NR_lseek:
        return answer(t, -EINVAL)
    if t.call.nr == NR_fchmod:
        return answer(t, -EPERM)
    edit_start()
    edit_bytes(0, path, n + 1)
    t.call.direct = row.named
    error = edit_commit(t)
    if error == 0 and not t.call.compat:
        error = reg_set_nr(t, row.named)
    if error == -ESRCH:
        return R_DEAD
    return answer(t, error) if error < 0 else R_CONT

cdef bint copy_named(Tracee *t, const pyroot_row *row, int mode) noexcept nogil:
    """If the call at hand means a copy, by a link of /proc or as a descriptor without a path, put W1 at the file itself."""
    cdef char path[PATHMAX]
    cdef int n = 0
    if W1.valid and W1.magic and (mode == M_FOLLOW or W1.slash):
        n = copy_at(W1.h, path)
    elif not W1.valid and row.final == F_FLAG and row.dirfd >= 0 and t.call.args[row.flags] & AT_EMPTY_PATH:
        if t.call.args[row.path] == 0 or W1.givenlen == 0:
            n = copy_behind(t, <int>t.call.args[row.dirfd], path)
    if n == 0:
        return False
    memcpy(W1.h, path, n + 1)
    W1.hlen = W1.placelen = n
    W1.bi = view_from_host(W1.v, path, n, -1, W1.g, &W1.glen)
    W1.magic = W1.slash = False
    W1.valid = True
    return True

# -- the filter ----------------------------------------------------------------------------------------------------------------

cdef void copies_known() noexcept nogil:
    global copies_made
    copies_made = True

cdef int copies_begin(Tracee *t) noexcept nogil:
    """The process may be about to get its first copy: have it install the filter instead of the call at hand, which is made again
    afterwards; -1: there is nothing to do."""
    cdef int i, result
    if t.copies == COPIES_SEEN or (t.ptrace != NULL and t.ptrace.go >= GO_STEP):
        return -1
    if not session.seccomp or not has_arena(t):
        t.copies = COPIES_SEEN
        return -1
    if t.record != NULL:
        trace_drop(t)
    # (what it has prepared is prepared again when it is made)
    after_drop(t)
    memcpy(guest_filter, copy_filter, sizeof(copy_filter))
    t.call.direct = COMPAT_NR_seccomp
    edit_start()
    edit_value(0, SECCOMP_FILTER_)
    edit_value(1, SECCOMP_FILTER_FLAG_SPEC_ALLOW | (FLAG_TSYNC_ if t.copies == COPIES_UNSEEN else 0))
    result = filter_give(t, PYROOT_COPY_FILTER_LENGTH, t.copies == COPIES_UNSEEN, end_copies, AFTER_ANY)
    if result != R_EXIT:
        t.copies = COPIES_SEEN
        return result
    return R_EXIT if t.call.compat or reg_set_nr(t, NR_seccomp) == 0 else R_DEAD

cdef void copies_seen(Tracee *t, bint all) noexcept nogil:
    """The filter is in place: in this thread, or in all of its process."""
    cdef int i, k
    cdef Tracee *other
    for i in range(TID_TOP if all else 0):
        for k in range(TID_LEAF if tracees.leaf[i] != NULL else 0):
            other = tracees.leaf[i][k]
            if other != NULL and other.tgid == t.tgid:
                copies_seen(other, False)
    if not all:
        t.copies = COPIES_SEEN
        t.own_filters += 1

cdef int copies_taken(Tracee *t, const c_msghdr *header) noexcept nogil:
    """A message may bring descriptors: see to it that copies among them are known, as copies_begin."""
    if not copies_made or t.copies == COPIES_SEEN or header.msg_control == NULL or header.msg_controllen == 0:
        return -1
    return copies_begin(t)

cdef int end_copies(Tracee *t, After *a, int64_t result) noexcept nogil:
    """The filter is installed, or was refused: let the guest make its own call again."""
    cdef Registers regs
    cdef bint all = (<int *>a.data)[0] != 0
    if result == 0:
        copies_seen(t, all)
    elif t.copies != COPIES_SEEN:
        t.copies = COPIES_ALONE if all else COPIES_SEEN
    if regs_get(t, &regs) < 0:
        return R_DEAD
    regs_restore(&regs, t.call.frame, t.call.compat, False)
    regs_repeat(&regs, t.call.frame[6])
    regs_no_call(&regs)
    if regs_set(t, &regs) < 0:
        return R_DEAD
    if not t.ptraces:
        return R_CONT
    # (its tracer has seen the beginning of the call)
    t.again = t.ptrace != NULL and t.ptrace.go == GO_SYSCALL
    return R_EXIT
