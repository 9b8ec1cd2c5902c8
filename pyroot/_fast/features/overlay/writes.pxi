# Opens for writing, and calls that change what a file says or is: after the copy-up they are UPPER's own.
#
# Decides: when a file is copied up (as overlayfs does: an open for writing is enough), and what becomes of descriptors of the lower file.

cdef struct OverMade:        # of an open that makes a file where UPPER has a whiteout
    char *path               # owned
    uint64_t mode

cdef bint opens_to_write(uint64_t flags) noexcept nogil:
    if flags & O_PATH:
        return False
    return flags & <uint64_t>(O_CREAT | O_TRUNC) != 0 or flags & O_ACCMODE != O_RDONLY

cdef bint opens_in_vain(uint64_t flags) noexcept nogil:
    """Say whether flags contradict each other: EINVAL, before the path is looked at."""
    if flags & (O_CREAT | O_DIRECTORY) == (O_CREAT | O_DIRECTORY):
        return True
    return flags & O_TMPFILE_ & ~<uint64_t>O_DIRECTORY != 0 and (not flags & O_DIRECTORY or flags & O_ACCMODE == O_RDONLY)

cdef int over_opened(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef open_how how
    cdef OverSpot s
    cdef int found, mode
    if row.handler == H_OPEN_TREE:
        return TAKE_NOT
    if row.handler == H_OPENAT2:
        if how_read(t, t.call.args[2], t.call.args[3], &how) < 0 or how.resolve & RESOLVE_CACHED:
            return TAKE_NOT
    else:
        how_of_open(&how, <uint64_t>(O_CREAT | O_WRONLY | O_TRUNC) if t.call.nr == NR_creat else t.call.args[row.flags],
                    t.call.args[row.flags + 1] if row.flags >= 0 else t.call.args[1])
    if not opens_to_write(how.flags) or opens_in_vain(how.flags):
        return TAKE_NOT
    mode = open_mode(how.flags)
    W1.resolve = how.resolve
    W1.takes = True
    found = call_walk(&W1, t, dir_argument(t, row.dirfd), t.call.args[row.path], mode)
    W1.takes = False
    hold_drop(t)
    if found == -ESRCH:
        return R_DEAD
    if found < 0 or not W1.valid:
        return TAKE_NOT
    if W1.magic and (mode == M_FOLLOW or mode == M_OCREAT):
        return over_reopened(t, &how)
    if W1.magic or W1.isbind or W1.bi < 0 or over_of(&W1) == NULL or is_readonly(W1.v, W1.bi):
        return TAKE_NOT
    over_at(&s, &W1)
    if s.error == -ENOENT and how.flags & O_CREAT and s.f.around != 0 and W1.last == LAST_NORM:
        return over_created(t, &s, &how)
    if s.error < 0:
        return TAKE_NOT
    return over_written(t, &s, &how)

cdef int over_written(Tracee *t, OverSpot *s, const open_how *how) noexcept nogil:
    """Something is there: copy it up if it is about to be written to."""
    cdef int error
    if S_ISDIR(s.st.st_mode):
        if how.flags & O_TMPFILE_ & ~<uint64_t>O_DIRECTORY == 0 or accessible(AT_FDCWD, over_host(s, s.f.attr), W_OK | X_OK) < 0:
            return TAKE_NOT
        overlays.raised = True
    elif not S_ISREG(s.st.st_mode) or s.f.attr == 0 or how.flags & O_DIRECTORY:
        return TAKE_NOT
    elif how.flags & (O_CREAT | O_EXCL) == (O_CREAT | O_EXCL):
        return TAKE_NOT
    elif accessible(AT_FDCWD, over_host(s, s.f.attr), W_OK | (R_OK if how.flags & O_ACCMODE == O_RDWR else 0)) < 0:
        return TAKE_NOT
    error = layers_raise(s.o, s.rel, s.n)
    return answer(t, error) if error < 0 else TAKE_NOT

cdef int over_created(Tracee *t, OverSpot *s, open_how *how) noexcept nogil:
    """A new file: its directory becomes UPPER's; a whiteout in its place is replaced by the file, which the call then opens."""
    cdef change_new new
    cdef OverMade *made
    cdef int error
    cdef uint64_t since
    cdef uint32_t given
    cdef uint64_t needs = 0o400 if how.flags & O_ACCMODE == O_RDONLY else 0o200 if how.flags & O_ACCMODE == O_WRONLY else 0o600
    if W1.slash:
        return answer(t, -EISDIR)
    error = over_may_name(s, NULL)
    if error == 0:
        error = layers_raise(s.o, s.rel, over_above(s.rel, s.n))
    if error < 0:
        return answer(t, error)
    note_change()
    layers_mark(s.rel + over_above(s.rel, s.n) + 1, s.n - over_above(s.rel, s.n) - 1)
    if not s.f.white:
        return TAKE_NOT
    memset(&new, 0, sizeof(new))
    new.umask = umask_of(t.tid)
    since = pyroot_birth_clock()
    new.mode = <unsigned int>(how.mode & 0o7777 & ~<uint64_t>new.umask | needs) | 0o100000
    needs = upper_mode(<uint32_t>how.mode & 0o7777 & ~<uint32_t>new.umask)
    given, new.mode = new.mode, upper_mode(new.mode)
    new.umask = 0
    error = change_make(s.o, s.rel, s.n, True, &new)
    if error < 0:
        return answer(t, error)
    owners_made_upper(t, over_host(s, 0), given, since)
    if new.mode & 0o7777 != needs:
        made = <OverMade *>after(t, end_made, 0)
        after_last(t).drop = drop_made
        made.path, made.mode = dup_bytes(over_host(s, 0), <int>strlen(over_host(s, 0))), needs
    how.flags &= ~<uint64_t>O_EXCL
    return over_opens(t, s, how)

cdef int end_made(Tracee *t, After *a, int64_t result) noexcept nogil:
    """The file has been opened: it gets the mode that would have kept its maker from that."""
    cdef OverMade *made = <OverMade *>a.data
    if made.path != NULL:
        c_chmod(made.path, <unsigned int>made.mode)
    return R_CONT

cdef void drop_made(After *a) noexcept nogil:
    free((<OverMade *>a.data).path)

cdef int over_opens(Tracee *t, OverSpot *s, open_how *how) noexcept nogil:
    """Make the call an open of UPPER's file."""
    cdef int error, n
    edit_start()
    n = <int>strlen(over_host(s, 0))
    memcpy(W1.h, over_path, n + 1)
    W1.hlen = W1.placelen = n
    W1.magic = W1.held = W1.anchored = False
    if uses_code(t) and t.call.nr != NR_openat2:
        error = put_path(&W1, TR_TEXT, 0 if t.call.nr == NR_open or t.call.nr == NR_creat else 1)
        if error == 0 and t.call.nr != NR_creat:
            edit_value(1 if t.call.nr == NR_open else 2, how.flags)
    elif t.call.nr == NR_openat2:
        how.resolve = 0
        error = put_openat2(TR_TEXT, how)
    else:
        error = put_open(t, &W1, how)
    return answer(t, error) if error < 0 else finish_edit(t)

cdef int over_reopened(Tracee *t, open_how *how) noexcept nogil:
    """An open through a link of /proc to a descriptor: of a lower file it gets UPPER's."""
    cdef OverSpot s
    cdef char link[PATHMAX]
    cdef int error
    memcpy(link, W1.h, W1.placelen)
    link[W1.placelen] = 0
    if not over_by_text(t, link, &s) or s.error < 0 or not S_ISREG(s.st.st_mode) or W1.slash:
        return TAKE_NOT
    if accessible(AT_FDCWD, over_host(&s, s.f.attr), W_OK) < 0:
        return TAKE_NOT
    if owners_may_open(t, over_host(&s, s.f.attr), W_OK | (R_OK if how.flags & O_ACCMODE == O_RDWR else 0)) < 0:
        return answer(t, -EACCES)
    error = layers_raise(s.o, s.rel, s.n)
    return answer(t, error) if error < 0 else over_opens(t, &s, how)

# -- rights, times, attributes, size -------------------------------------------------------------------------------------------

cdef int over_changed(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef OverSpot s
    cdef int outcome, mode, error
    cdef char link[PATHMAX]
    cdef bint null
    if row.effect == E_RIGHTS and not rights_change(t, row):
        return TAKE_NOT
    if row.path < 0:
        return over_changed_open(t, row, <int>t.call.args[0], False)
    if row.effect == E_WRITE and length_is_negative(t, row):
        return TAKE_NOT
    null = t.call.args[row.path] == 0 and (row.like == NR_utimensat or row.like == NR_futimesat) and dir_argument(t, row.dirfd) != AT_FDCWD
    mode = path_mode(row, t)
    W1.resolve = 0
    W1.takes = True
    outcome = call_walk(&W1, t, dir_argument(t, row.dirfd), t.call.args[row.path], mode)
    W1.takes = False
    hold_drop(t)
    if outcome == -ESRCH:
        return R_DEAD
    if null or ((W1.givenlen == 0 or t.call.args[row.path] == 0) and row.final == F_FLAG and t.call.args[row.flags] & AT_EMPTY_PATH):
        return over_changed_open(t, row, dir_argument(t, row.dirfd), not null)
    if outcome < 0 or not W1.valid:
        return TAKE_NOT
    if W1.magic and mode == M_FOLLOW:
        memcpy(link, W1.h, W1.placelen)
        link[W1.placelen] = 0
        if not over_by_text(t, link, &s) or (W1.slash and s.error == 0 and not S_ISDIR(s.st.st_mode)):
            return TAKE_NOT
        error = over_raised(t, row, &s)
        return TAKE_NOT if error > 0 else answer(t, error) if error < 0 else over_upper(t, row, &s, False)
    if W1.magic or W1.bi < 0 or over_of(&W1) == NULL or is_readonly(W1.v, W1.bi):
        return TAKE_NOT
    over_at(&s, &W1)
    if row.effect == E_WRITE and s.error == 0 and not S_ISREG(s.st.st_mode):
        return TAKE_NOT
    error = over_raised(t, row, &s)
    return answer(t, error) if error < 0 else TAKE_NOT

cdef int over_raised(Tracee *t, const pyroot_row *row, OverSpot *s) noexcept nogil:
    """Copy up what is about to be changed; 1: that is not for the one who asks, the kernel says so itself."""
    if s.error < 0 or (s.f.attr > 0 and not over_would_change(t, row, over_host(s, s.f.attr), &s.st)):
        return 1
    if S_ISDIR(s.st.st_mode):
        # (it may be closed now; what lies in the root is not looked for in UPPER otherwise)
        s.o.strict = s.o.strict or s.n == 0
        if not overlays.blind:
            over_blind()
    return layers_raise(s.o, s.rel, s.n)

cdef int over_put_path(Tracee *t, const pyroot_row *row, OverSpot *s, bint empty) noexcept nogil:
    """Make the call one about UPPER's path; ``empty``: it was about a descriptor, without a path."""
    edit_start()
    edit_bytes(row.path, over_host(s, 0), <int>strlen(over_host(s, 0)) + 1)
    if row.dirfd >= 0:
        edit_value(row.dirfd, <uint64_t><int64_t>AT_FDCWD)
    if empty and row.flags >= 0:
        # (the descriptor may be one of a symbolic link)
        edit_value(row.flags, t.call.args[row.flags] & ~<uint64_t>AT_EMPTY_PATH | (row.bit if row.bit == AT_SYMLINK_NOFOLLOW else 0))
    return finish_edit(t)

cdef int over_upper(Tracee *t, const pyroot_row *row, OverSpot *s, bint empty) noexcept nogil:
    """The same, but for what is remembered and not changed."""
    cdef int error = owners_changed_upper(t, row, over_host(s, 0)) if owners_on() else TAKE_NOT
    return over_put_path(t, row, s, empty) if error == TAKE_NOT else answer(t, error)

cdef int over_changed_open(Tracee *t, const pyroot_row *row, int fd, bint any_kind) noexcept nogil:
    """A call about a descriptor: of a lower file it is one about UPPER's."""
    cdef OverSpot s
    cdef int error
    if not over_by_fd(t, fd, &s) or (not any_kind and fd >= 0 and fd_flags(t, fd) & O_PATH):
        return TAKE_NOT
    if s.error < 0:
        # none of the tree any more: it stays what it is
        return answer(t, -EROFS)
    error = over_raised(t, row, &s)
    if error != 0:
        return TAKE_NOT if error > 0 else answer(t, error)
    if row.path >= 0:
        return over_upper(t, row, &s, any_kind)
    return over_change_upper(t, row, &s)

cdef extern from "<sys/xattr.h>" nogil:
    int c_setxattr "setxattr"(const char *, const char *, const void *, size_t, int)
    int c_removexattr "removexattr"(const char *, const char *)

cdef extern from "<unistd.h>" nogil:
    int c_lchown "lchown"(const char *, uid_t, uid_t)

cdef extern from "<sys/ioctl.h>" nogil:
    int c_ioctl "ioctl"(int, unsigned long, ...)

cdef char over_value[65536]

cdef int over_change_upper(Tracee *t, const pyroot_row *row, OverSpot *s) noexcept nogil:
    """fchmod, fchown, fsetxattr, fremovexattr and ioctl on UPPER's file, by the supervisor."""
    cdef const char *path = over_host(s, 0)
    cdef char name[256]
    cdef uint32_t word = 0
    cdef size_t size
    cdef int result = -1, fd
    if owners_on():
        result = owners_changed_upper(t, row, path)
        if result != TAKE_NOT:
            return answer(t, result)
        result = -1
    if t.call.nr == NR_fchmod:
        result = c_chmod(path, <unsigned int>t.call.args[1] & 0o7777)
    elif t.call.nr == NR_fchown:
        result = c_lchown(path, over_id(t, row, 1), over_id(t, row, 2))
    elif t.call.nr == NR_fsetxattr or t.call.nr == NR_fremovexattr:
        if mem_string(t.tid, t.call.args[1], name, sizeof(name)) <= 0:
            return TAKE_NOT
        if t.call.nr == NR_fremovexattr:
            result = c_removexattr(path, name)
        else:
            size = t.call.args[3]
            if size > sizeof(over_value) or (size > 0 and mem_read(t.tid, t.call.args[2], over_value, size) < 0):
                return answer(t, -EFAULT)
            result = c_setxattr(path, name, over_value, size, <int>t.call.args[4])
    else:
        if mem_read(t.tid, t.call.args[2], &word, sizeof(word)) < 0:
            return answer(t, -EFAULT)
        fd = c_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        result = c_ioctl(fd, t.call.args[1], &word) if fd >= 0 else -1
        word = errno
        if fd >= 0:
            c_close(fd)
        return answer(t, result if result >= 0 else -<int>word)
    return answer(t, 0 if result == 0 else -errno)
