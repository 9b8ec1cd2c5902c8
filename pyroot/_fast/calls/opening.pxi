# Opening files.  What the guest opens lies in its view when the call is looked at; it must still do so when the kernel looks.
#
# Between the two, another thread may put a link where a directory was, and the kernel would follow its text from the host's root.  The
# text that the kernel is given holds no link, so open(2) and openat(2) are made as openat2(2) with RESOLVE_NO_SYMLINKS.  If it still
# finds a link (ELOOP), the stub makes the call once more: it stops, and is translated anew.

cdef enum:
    OPEN_TRIES = 64          # then a link is really in the way

cdef bint may_meet_link(Tracee *t, Walk *w) noexcept nogil:
    """Say whether a link that appears now could lead the call out of the view, and openat2 can prevent it."""
    if not openat2_works or uses_code(t) or not w.valid or w.held or w.anchored or w.magic or w.bi < 0 or w.hlen >= PATHMAX:
        return False
    # where a binding shows the whole host there is no outside
    return w.v.b[w.bi].hostlen > 0 and not is_proc(w.h, w.hlen)

cdef int link_in_the_way(Tracee *t, Walk *w, uint64_t flags) noexcept nogil:
    """Return -ELOOP if trying again is of no use: the name is a link that is not followed (O_PATH opens it), or too many tries."""
    cdef c_stat st
    if not opening_again:
        return 0
    t.call.tries += 1
    if not flags & O_PATH and (w.mode == M_NOFOLLOW or w.mode == M_OCREAT_NOFOLLOW):
        if fstatat(AT_FDCWD, w.h, &st, AT_SYMLINK_NOFOLLOW) == 0 and S_ISLNK(st.st_mode):
            return -ELOOP
    return -ELOOP if t.call.tries > OPEN_TRIES and prove(AT_FDCWD, w.v.b[w.bi].host, True, False, NULL) == 0 else 0

cdef void how_of_open(open_how *how, uint64_t flags, uint64_t mode) noexcept nogil:
    """Make of the arguments of open(2) what the kernel makes of them (build_open_how in fs/open.c)."""
    how.flags = flags & <uint64_t>OPEN_FLAGS
    if flags & O_PATH:
        how.flags &= <uint64_t>OPEN_PATH_FLAGS
    how.mode = mode & 0o7777 if how.flags & <uint64_t>(O_CREAT | O_TMPFILE_) else 0
    how.resolve = 0

cdef int put_open(Tracee *t, Walk *w, open_how *how) noexcept nogil:
    """Make the call an openat2 of the walk's text that meets no link."""
    cdef int error = link_in_the_way(t, w, how.flags)
    if error < 0:
        return error
    if edit_bytes(1, w.h, w.hlen + 1) < 0:
        return -ENAMETOOLONG
    how.resolve = RESOLVE_NO_SYMLINKS | how.resolve & RESOLVE_CACHED
    edit_bytes(2, how, sizeof(open_how))
    edit_value(3, sizeof(open_how))
    edit.opens = True
    return 0

cdef int open_way(Tracee *t, int dirfd, const open_how *given) noexcept nogil:
    """Make the call an openat2 of the guest's own relative path (path_buffer) that meets no link."""
    cdef open_how how = given[0]
    edit_bytes(1, path_buffer, <int>strlen(path_buffer) + 1)
    how.resolve = RESOLVE_NO_SYMLINKS
    edit_bytes(2, &how, sizeof(open_how))
    edit_value(3, sizeof(open_how))
    edit_value(0, <uint64_t><int64_t>dirfd)
    edit.opens = True
    return finish_edit(t)

cdef int on_open(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef uint64_t flags = <uint64_t>(O_CREAT | O_WRONLY | O_TRUNC) if t.call.nr == NR_creat else t.call.args[row.flags]
    cdef int dirfd = dir_argument(t, row.dirfd), outcome
    W1.resolve = 0
    edit_start()
    if uses_code(t):
        # openat2 knows no small files for 32-bit programs
        outcome = pinned_walk(&W1, t, dirfd, t.call.args[row.path], open_mode(flags), False)
    else:
        outcome = open_walk(t, row, dirfd, t.call.args[row.path], flags)
    return open_common(t, row, flags, outcome)

cdef int open_common(Tracee *t, const pyroot_row *row, uint64_t flags, int outcome) noexcept nogil:
    cdef int error
    cdef open_how opened
    if outcome == -ESRCH:
        return R_DEAD
    note_writing(flags)
    how_of_open(&opened, flags, t.call.args[row.flags + 1] if row.flags >= 0 else t.call.args[1])
    if outcome == TR_WAY:
        return open_way(t, dir_argument(t, row.dirfd), &opened)
    if W1.valid:
        if made_on_mount(&W1):
            return answer(t, made_errno(&W1, flags))
        error = place_judge(t, row, &opened)
        if error < 0:
            return answer(t, error)
        if error == PLACE_TEXT:
            outcome = TR_TEXT
        if W1.v.ambiguous:
            open_ambiguous(t)
        if is_proc(W1.h, W1.hlen) and not W1.held and not flags & O_PATH:
            error = proc_text(t, &W1, flags)
            if error < 0:
                return answer(t, error)
            if error >= TEXT_LATER:
                return error - TEXT_LATER
            if error > 0:
                outcome = TR_TEXT
                if flags & O_NOFOLLOW:
                    edit_value(row.flags, flags & ~<uint64_t>O_NOFOLLOW)
    if W1.valid and W1.linked and flags & O_NOFOLLOW and row.flags >= 0:
        edit_value(row.flags, flags & ~<uint64_t>O_NOFOLLOW)
    if edit.n == 0 and outcome >= 0 and may_meet_link(t, &W1):
        error = put_open(t, &W1, &opened)
    elif W1.valid and W1.unproven:
        # (never: what lets the proof go lets the kernel make it)
        error = -ELOOP
    else:
        error = put_path(&W1, outcome, row.path)
        if W1.valid and judged.clears:
            edit_value(row.flags + 1 if row.flags >= 0 else 1, opened.mode)
    return answer(t, error) if error < 0 else finish_edit(t)

cdef int place_judge(Tracee *t, const pyroot_row *row, open_how *how) noexcept nogil:
    """Ask features of a place that is opened: as features_judge, and what the kernel is not to be given is taken out of the mode."""
    cdef int error
    judged.flags, judged.mode, judged.clears = how.flags, how.mode, 0
    error = features_judge(t, row, &W1)
    how.mode &= ~judged.clears
    return error

cdef bint made_on_mount(Walk *w) noexcept nogil:
    """Say whether an open with O_CREAT and O_EXCL names a mount point, which the host may not have."""
    return w.isbind and w.mode == M_CREATE and w.last == LAST_NORM

cdef int made_errno(Walk *w, uint64_t flags) noexcept nogil:
    """Return what such an open gets: the flags are checked first, then the path, then the slash."""
    cdef c_stat st
    cdef int error = -EINVAL if flags & O_TMPFILE else parent_stat(w, &st)
    return error if error < 0 else -EISDIR if w.slash else -EEXIST

cdef bint needs_note(Walk *w) noexcept nogil:
    """Say whether only a note tells which binding the descriptor came through: for a directory, a new file, one known by another."""
    cdef c_stat st
    if w.magic or w.held:
        return True
    if fstatat(AT_FDCWD, w.h, &st, AT_SYMLINK_NOFOLLOW) < 0:
        return errno != ENOENT or is_creating(w.mode)
    return S_ISDIR(st.st_mode) or not view_expects(w.v, stat_file(&st), w.bi)

cdef void open_ambiguous(Tracee *t) noexcept nogil:
    """The view shows some directory twice: note at the exit which binding the new descriptor came through.

    A file that is always opened through the same binding needs no note, and no stop, for each of its descriptors.
    """
    cdef int bind = walk_binding(&W1)
    if bind < 0 or (W1.bi >= 0 and not needs_note(&W1)):
        return
    if W1.bi >= 0:
        view_remember(W1.v, W1.h, W1.placelen, W1.bi)
    fd_will_be(t, W1.magic_bi if W1.magic else bind)

cdef bint how_is_valid(const open_how *how) noexcept nogil:
    """Check an open_how as build_open_flags does (fs/open.c)."""
    cdef uint64_t flags = how.flags
    cdef bint creates = flags & <uint64_t>(O_CREAT | O_TMPFILE_) != 0
    if flags & ~<uint64_t>OPENAT2_FLAGS or how.resolve > 0x3f:
        return False
    if how.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT) == (RESOLVE_BENEATH | RESOLVE_IN_ROOT):
        return False
    if how.mode & ~<uint64_t>(0o7777 if creates else 0):
        return False
    if flags & (O_DIRECTORY | O_CREAT) == (O_DIRECTORY | O_CREAT):
        return False
    if flags & <uint64_t>O_TMPFILE_ and (not flags & O_DIRECTORY or flags & O_ACCMODE == O_RDONLY):
        return False
    return not (flags & O_PATH and flags & ~<uint64_t>(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))

cdef int how_read(Tracee *t, uint64_t pointer, uint64_t size, open_how *how) noexcept nogil:
    """Read an open_how as copy_struct_from_user and build_open_flags do; 0 or the -errno that the kernel would begin with."""
    cdef char tail[PATHMAX]
    cdef int i, error
    if size < sizeof(open_how):
        return -EINVAL
    if size > PATHMAX:
        return -E2BIG
    if size > sizeof(open_how):
        error = <int>mem_read(t.tid, pointer + sizeof(open_how), tail, size - sizeof(open_how))
        if error < 0:
            return error
        for i in range(<int>(size - sizeof(open_how))):
            if tail[i] != 0:
                return -E2BIG
    error = <int>mem_read(t.tid, pointer, how, sizeof(open_how))
    return error if error < 0 else 0 if how_is_valid(how) else -EINVAL

cdef int on_openat2(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef open_how how
    cdef int outcome, i = how_read(t, t.call.args[2], t.call.args[3], &how)
    if i == -EFAULT:
        return fault_argument(t, 2)
    if i < 0:
        return R_DEAD if i == -ESRCH else answer(t, i)
    if how.resolve & RESOLVE_CACHED and how.flags & <uint64_t>(O_TRUNC | O_CREAT | O_TMPFILE_):
        return answer(t, -EAGAIN)
    note_writing(how.flags)
    edit_start()
    W1.resolve = how.resolve
    outcome = call_walk(&W1, t, <int>t.call.args[0], t.call.args[1], open_mode(how.flags))
    if outcome == -ESRCH:
        return R_DEAD
    if how.resolve & RESOLVE_CACHED and (outcome == -ENOTDIR or outcome == -EACCES or outcome == -ENAMETOOLONG):
        # a walk that may not wait does not find out for certain; that the whole path is too long is seen before
        return answer(t, -ENAMETOOLONG if W1.givenlen < 0 else -EAGAIN)
    if W1.valid and made_on_mount(&W1):
        return answer(t, made_errno(&W1, how.flags))
    i = place_judge(t, row, &how) if W1.valid else 0
    if i < 0:
        return answer(t, i)
    if i == PLACE_TEXT:
        outcome = TR_TEXT
    if W1.valid and is_proc(W1.h, W1.hlen) and not how.flags & O_PATH:
        i = proc_text(t, &W1, how.flags)
        if i < 0:
            return answer(t, i)
        if i >= TEXT_LATER:
            return i - TEXT_LATER
        if i > 0:
            outcome = TR_TEXT
            how.flags &= ~<uint64_t>O_NOFOLLOW
            how.resolve = 0
    if W1.valid and W1.linked:
        how.flags &= ~<uint64_t>O_NOFOLLOW
    if outcome >= 0 and may_meet_link(t, &W1):
        i = put_open(t, &W1, &how)
    else:
        i = put_openat2(outcome, &how)
    if i < 0:
        return answer(t, i)
    if W1.valid and W1.v.ambiguous:
        open_ambiguous(t)
    return finish_edit(t)

cdef int put_openat2(int outcome, open_how *how) noexcept nogil:
    """Enter what our own walk has left of an openat2: of the RESOLVE_* flags only the one about the kernel's caches."""
    # the path first: its register tells the stub where the slot is
    cdef int error
    if (outcome == TR_BADF or outcome == TR_NOTDIR) and how.resolve & RESOLVE_BENEATH and W1.given[0] == c'/':
        # (before the descriptor is looked at)
        return -EXDEV
    error = put_path(&W1, outcome, 1)
    if outcome != TR_BADF and outcome != TR_NOTDIR:
        how.resolve = how.resolve & RESOLVE_CACHED if outcome >= 0 and not W1.held else 0
    edit_bytes(2, how, sizeof(open_how))
    edit_value(3, sizeof(open_how))
    return error
