# Names that are made and removed in an overlay: by the supervisor, since UPPER may need several steps for one of the guest's.
#
# Decides: the order of errors, which is that of fs/namei.c.

cdef int over_named(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef OverSpot s
    cdef int found
    if row.handler == H_RENAME:
        return over_renamed(t, row)
    if row.handler == H_LINK:
        return over_linked(t, row)
    if row.handler != H_PATH or symlink_text_bad(t) or node_type_bad(t):
        return TAKE_NOT
    if row.remove == REMOVE_FLAG and t.call.args[row.flags] & ~<uint64_t>AT_REMOVEDIR_:
        return TAKE_NOT
    W1.removes = row.remove != 0
    found = over_walk(t, &W1, dir_argument(t, row.dirfd), t.call.args[row.path], M_CREATE)
    W1.removes = False
    if found <= 0 or W1.last != LAST_NORM or W1.isbind:
        return R_DEAD if found < 0 else TAKE_NOT
    over_at(&s, &W1)
    if s.error < 0 and (s.error != -ENOENT or s.f.around == 0):
        return answer(t, s.error)
    return over_removed(t, row, &s) if row.remove else over_made(t, row, &s)

cdef int over_made(Tracee *t, const pyroot_row *row, OverSpot *s) noexcept nogil:
    """mkdir, mknod, symlink."""
    cdef change_new new
    cdef uint64_t mode = t.call.args[row.path + 1]
    cdef uint32_t dev, given
    cdef uint64_t since = pyroot_birth_clock()
    cdef int error
    if s.error == 0:
        return answer(t, -EEXIST)
    memset(&new, 0, sizeof(new))
    new.umask = umask_of(t.tid)
    if t.call.nr == NR_mkdir or t.call.nr == NR_mkdirat:
        new.mode = <unsigned int>(mode & 0o7777) | 0o040000
    elif t.call.nr == NR_symlink or t.call.nr == NR_symlinkat:
        new.mode = 0o120777
        new.target = link_text
    else:
        dev = <uint32_t>t.call.args[row.path + 2]
        new.mode = <unsigned int>(mode & 0o7777) | (<unsigned int>(mode & 0o170000) if mode & 0o170000 else 0o100000)
        new.dev = dev
    if W1.slash and not S_ISDIR(new.mode):
        return answer(t, -ENOENT)
    error = over_may_name(s, NULL)
    if error == 0 and (new.mode & 0o170000 == 0o020000 or new.mode & 0o170000 == 0o060000):
        # (a device 0:0 would be a whiteout)
        error = -EPERM if c_geteuid() != 0 or new.dev == 0 else 0
    if error == 0:
        error = layers_raise(s.o, s.rel, over_above(s.rel, s.n))
    given = new.mode
    new.mode = upper_mode(given)
    if error == 0:
        error = change_make(s.o, s.rel, s.n, s.f.white, &new)
    if error == 0:
        owners_made_upper(t, over_host(s, 0), given, since)
    note_change()
    return answer(t, error)

cdef int over_removed(Tracee *t, const pyroot_row *row, OverSpot *s) noexcept nogil:
    """unlink, rmdir."""
    cdef bint rmdir = row.remove == REMOVE_DIR or (row.remove == REMOVE_FLAG and t.call.args[row.flags] & AT_REMOVEDIR_)
    cdef bint below
    cdef int error
    if s.error < 0:
        return answer(t, s.error)
    if leads_to_binding(&W1) or is_covered(&W1) or is_host_side(&W1):
        error = over_may_name(s, &s.st)
        return answer(t, error if error < 0 else -ENOTEMPTY if rmdir else -EISDIR if S_ISDIR(s.st.st_mode) else -EBUSY)
    if W1.slash and not S_ISDIR(s.st.st_mode):
        return answer(t, -ENOTDIR)
    if W1.slash and not rmdir:
        return answer(t, -EISDIR)
    error = over_may_name(s, &s.st)
    if error == 0 and S_ISDIR(s.st.st_mode) != rmdir:
        error = -ENOTDIR if rmdir else -EISDIR
    if error == 0 and rmdir:
        error = merge_empty(s.o, s.rel, s.n, s.f.merged)
    if error == 0:
        error = layers_raise(s.o, s.rel, over_above(s.rel, s.n))
    if error < 0:
        return answer(t, error)
    below = layers_below(s.o, s.rel, s.n, s.f.around)
    if below and rmdir and not overlays.blind and s.f.dir > 0 and over_held(over_host(s, s.f.dir)):
        over_blind()
    error = change_remove(s.o, s.rel, s.n, &s.f, below)
    note_change()
    return answer(t, error)

cdef int over_bound(Walk *w) noexcept nogil:
    """A socket is to be made: let its directory be UPPER's, without a whiteout of its name; PLACE_TEXT, or -errno."""
    cdef OverSpot s
    cdef int error, n
    over_at(&s, w)
    if s.error == 0:
        return -EADDRINUSE
    if s.error != -ENOENT or s.f.around == 0:
        return s.error
    if w.slash:
        return -ENOENT
    error = over_may_name(&s, NULL)
    if error == 0:
        error = layers_raise(s.o, s.rel, over_above(s.rel, s.n))
    if error < 0:
        return error
    n = over_above(s.rel, s.n) + 1
    layers_mark(s.rel + n, s.n - n)
    n = <int>strlen(over_host(&s, 0))
    memcpy(w.h, over_path, n + 1)
    w.hlen = w.placelen = n
    if s.f.white:
        c_unlink(over_path)
    return PLACE_TEXT
