# link(2) and rename(2) in an overlay.
#
# Decides: what may be moved: a directory only if it is UPPER's alone, everything else is copied up first (EXDEV, as overlayfs has it).

cdef char over_first[BUF + 8]    # the guest path of the first name, while the second one is walked

cdef int over_two(Tracee *t, const pyroot_row *row, int mode, OverSpot *one, OverSpot *two) noexcept nogil:
    """Walk both paths; 1: both end in one overlay; 0: not for us; -ESRCH; or another -errno, to answer."""
    cdef c_stat st
    cdef int first, second
    W1.pair = W1.removes = mode == M_CREATE
    first = over_walk(t, &W1, dir_argument(t, row.dirfd), t.call.args[row.path], mode)
    W1.pair = W1.removes = False
    if first < 0 or not W1.valid or W1.magic:
        return first if first < 0 else 0
    W2.pair = mode == M_CREATE
    second = over_walk(t, &W2, dir_argument(t, row.dirfd2), t.call.args[row.path2], M_CREATE)
    W2.pair = False
    if second < 0 or not W2.valid or (first == 0 and second == 0):
        return second if second < 0 else 0
    if W1.last != LAST_NORM or W2.last != LAST_NORM:
        return 0
    if first:
        over_at(one, &W1)
    if first and row.handler == H_LINK and (one.error < 0 or (W1.slash and not S_ISDIR(one.st.st_mode))):
        # (the file is looked up before anything is asked of its new name)
        return one.error if one.error < 0 else -ENOTDIR
    if not first and row.handler == H_LINK and fstatat(AT_FDCWD, W1.h, &st, AT_SYMLINK_NOFOLLOW) < 0:
        return -errno
    if second:
        over_at(two, &W2)
    if W1.isbind or W2.isbind:
        # (the rules about mounts refuse it; they have to find the second name where it would be made)
        overlays.lenient = True
        return 0
    if first and row.handler == H_RENAME and over_directory(one) < 0:
        return over_directory(one)
    if second and row.handler == H_RENAME and over_directory(two) < 0:
        return over_directory(two)
    if first and one.error == -ENOENT and one.f.around == 0:
        return -ENOENT
    if second and two.error == -ENOENT and two.f.around == 0:
        return -ENOENT
    if not first or not second or one.o != two.o or W1.pbi != W2.pbi:
        return over_apart(row, one if first else NULL, two if second else NULL)
    return 1

cdef int over_directory(const OverSpot *s) noexcept nogil:
    """Say whether the directory of a place is one: 0 or -errno."""
    cdef OverSpot above
    over_spot(&above, s.o, s.rel, over_above(s.rel, s.n))
    return above.error if above.error < 0 else 0 if S_ISDIR(above.st.st_mode) else -ENOTDIR

cdef int over_apart(const pyroot_row *row, const OverSpot *one, const OverSpot *two) noexcept nogil:
    """The two names lie in different mounts: the -errno that this gives; 0: the rules for mounts find it out."""
    cdef c_stat st
    cdef int old = one.error if one != NULL else -errno if fstatat(AT_FDCWD, W1.h, &st, AT_SYMLINK_NOFOLLOW) < 0 else 0
    cdef int new = two.error if two != NULL else -errno if fstatat(AT_FDCWD, W2.h, &st, AT_SYMLINK_NOFOLLOW) < 0 else 0
    if row.handler == H_RENAME:
        old = parent_stat(&W1, &st)
        old = parent_stat(&W2, &st) if old == 0 else old
        return old if old < 0 else -EXDEV
    if old < 0 or new == 0:
        return old if old < 0 else -EEXIST
    if new == -ENOENT and two == NULL:
        new = parent_stat(&W2, &st)
        return new if new < 0 else -ENOENT if W2.slash else -EXDEV
    if new == -ENOENT and W2.slash:
        return new
    return new if new != -ENOENT else -EXDEV

cdef int over_linked(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef OverSpot one, two
    cdef uint64_t flags = t.call.args[row.flags] if row.flags >= 0 else 0
    cdef int error
    if flags & ~<uint64_t>(AT_SYMLINK_FOLLOW_ | AT_EMPTY_PATH):
        return TAKE_NOT
    error = over_two(t, row, M_NOFOLLOW if row.final == F_CREATE else path_mode(row, t), &one, &two)
    if error == 0 and (W1.magic or (W1.givenlen == 0 and flags & AT_EMPTY_PATH)):
        return over_link_open(t, row)
    if error <= 0:
        return R_DEAD if error == -ESRCH else TAKE_NOT if error == 0 else answer(t, error)
    if two.error == 0:
        return answer(t, -EEXIST)
    if W2.slash:
        return answer(t, -ENOENT)
    error = two.error if two.error != -ENOENT else over_may_name(&two, NULL)
    if error == 0 and S_ISDIR(one.st.st_mode):
        error = -EPERM
    if error == 0 and one.st.st_uid != c_geteuid() and c_geteuid() != 0:
        # (proc(5): protected_hardlinks)
        error = -EPERM if not S_ISREG(one.st.st_mode) or accessible(AT_FDCWD, over_host(&one, one.f.attr), R_OK | W_OK) < 0 else 0
    if error == 0:
        error = owners_may_link(t, over_host(&one, one.f.attr), False)
    if error == 0:
        error = layers_raise(one.o, one.rel, one.n)
    if error == 0:
        error = layers_raise(two.o, two.rel, over_above(two.rel, two.n))
    if error == 0:
        error = change_link(two.o, over_host(&one, 0), False, two.rel, two.n, two.f.white)
    note_change()
    return answer(t, error)

cdef bint over_elsewhere(const char *link) noexcept nogil:
    """Say whether a descriptor's file lies in another binding than the name of W2 that it is to get."""
    cdef char text[PATHMAX]
    cdef int i, glen = 0, n = <int>c_readlink(link, text, PATHMAX - 1)
    if n <= 1 or text[0] != c'/':
        return False
    text[n] = 0
    i = view_from_host(W2.v, text, n, -1, over_text, &glen)
    return i >= 0 and i != W2.pbi

cdef int over_link_open(Tracee *t, const pyroot_row *row) noexcept nogil:
    """The file of a descriptor, perhaps without any name (O_TMPFILE), gets one in an overlay."""
    cdef OverSpot one, two
    cdef char link[64]
    cdef int fd = <int>t.call.args[row.dirfd], error
    cdef bint lower
    if W1.magic:
        # (the text of the walk is the link)
        if W1.hlen >= <int>sizeof(link):
            return TAKE_NOT
        memcpy(link, W1.h, W1.placelen)
        link[W1.placelen] = 0
    else:
        snprintf(link, sizeof(link), b"/proc/%d/fd/%d", t.tid, fd)
    if accessible(AT_FDCWD, link, F_OK) < 0 and fd != AT_FDCWD:
        # EBADF
        return TAKE_NOT
    error = over_walk(t, &W2, dir_argument(t, row.dirfd2), t.call.args[row.path2], M_CREATE)
    if error <= 0:
        return R_DEAD if error < 0 else TAKE_NOT
    if over_elsewhere(link):
        return answer(t, -EXDEV)
    lower = over_by_text(t, link, &one)
    over_at(&two, &W2)
    if two.error != -ENOENT or two.f.around == 0 or W2.slash or W2.isbind or W2.last != LAST_NORM:
        return answer(t, -EEXIST if two.error == 0 else two.error)
    error = over_may_name(&two, NULL)
    if error == 0 and lower and one.error == 0 and S_ISDIR(one.st.st_mode):
        error = -EPERM
    if error == 0:
        error = owners_may_link(t, link, True)
    if error == 0 and lower:
        error = one.error if one.error < 0 else layers_raise(one.o, one.rel, one.n)
    if error == 0:
        error = layers_raise(two.o, two.rel, over_above(two.rel, two.n))
    if error == 0:
        error = change_link(two.o, over_host(&one, 0) if lower else <const char *>link, not lower, two.rel, two.n, two.f.white)
    return answer(t, error)

cdef int over_renamed(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef OverSpot one, two
    cdef uint64_t flags = t.call.args[row.flags] if row.flags >= 0 else 0
    cdef int error
    if not rename_flags(flags):
        return TAKE_NOT
    error = over_two(t, row, M_CREATE, &one, &two)
    if error <= 0:
        return R_DEAD if error == -ESRCH else TAKE_NOT if error == 0 else answer(t, error)
    error = rename_checked(&one, &two, flags & 1 != 0, flags & 2 != 0)
    # (overlayfs has no RENAME_WHITEOUT for others)
    error = rename_layers(&one, &two, flags & 2 != 0) if error == 0 and not flags & 4 else -EINVAL if error == 0 else error
    if error != 0:
        return answer(t, error if error < 0 else 0)
    error = rename_done(t, &one, &two, flags & 2 != 0)
    note_change()
    return answer(t, error)

cdef int rename_checked(OverSpot *one, OverSpot *two, bint noreplace, bint exchange) noexcept nogil:
    """What the kernel looks at before anything is moved: 0, 1: both are one file, or -errno."""
    cdef bint olddir, newdir = two.error == 0 and S_ISDIR(two.st.st_mode)
    cdef int error
    if one.error < 0:
        return one.error
    olddir = S_ISDIR(one.st.st_mode)
    if two.error < 0 and (two.error != -ENOENT or exchange):
        return two.error
    if two.error == 0 and noreplace:
        return -EEXIST
    if W1.isbind or W2.isbind:
        return -EBUSY
    if exchange and not newdir and W2.slash:
        return -ENOTDIR
    if not olddir and (W1.slash or (W2.slash and not exchange)):
        return -ENOTDIR
    if two.n > one.n and memcmp(one.rel, two.rel, one.n) == 0 and two.rel[one.n] == c'/':
        return -EINVAL
    if one.n > two.n and memcmp(one.rel, two.rel, two.n) == 0 and one.rel[two.n] == c'/':
        return -EINVAL if exchange else -ENOTEMPTY
    if one.n == two.n and memcmp(one.rel, two.rel, one.n) == 0:
        return 1
    if two.error == 0 and one.st.st_ino == two.st.st_ino and one.st.st_dev == two.st.st_dev and one.f.attr == 0 and two.f.attr == 0:
        return 1
    error = over_may_name(one, &one.st)
    if error == 0:
        error = over_may_name(two, &two.st if two.error == 0 else NULL)
    if error == 0 and two.error == 0 and not exchange and olddir != newdir:
        error = -ENOTDIR if olddir else -EISDIR
    if error == 0 and over_above(one.rel, one.n) != over_above(two.rel, two.n) and olddir and accessible(AT_FDCWD, W1.h, W_OK) < 0:
        error = -errno
    return error

cdef int rename_layers(OverSpot *one, OverSpot *two, bint exchange) noexcept nogil:
    """What overlayfs looks at after that."""
    cdef bint newdir = two.error == 0 and S_ISDIR(two.st.st_mode)
    if S_ISDIR(one.st.st_mode) and one.f.merged != 1:
        return -EXDEV
    if exchange and newdir and two.f.merged != 1:
        return -EXDEV
    if not newdir or exchange:
        return 0
    return -ENOTEMPTY if leads_to_binding(&W2) else merge_empty(two.o, two.rel, two.n, two.f.merged)

cdef int rename_done(Tracee *t, OverSpot *one, OverSpot *two, bint exchange) noexcept nogil:
    cdef change_name a, b
    cdef bint below1 = layers_below(one.o, one.rel, one.n, one.f.around)
    cdef bint below2 = layers_below(two.o, two.rel, two.n, two.f.around)
    cdef int error = layers_raise(one.o, one.rel, one.n)
    if error == 0:
        error = layers_raise(two.o, two.rel, two.n if exchange else over_above(two.rel, two.n))
    if error < 0:
        return error
    if not exchange and two.error == 0 and two.f.dir > 0 and not overlays.blind and over_held(over_host(two, two.f.dir)):
        over_blind()
    a.rel, a.n, a.f, a.below = one.rel, one.n, one.f, below1
    b.rel, b.n, b.f, b.below = two.rel, two.n, two.f, below2
    error = change_rename(one.o, &a, &b, 2 if exchange else 0)
    if error == 0:
        over_moved(one, two, exchange)
    return error

cdef void over_moved(OverSpot *one, OverSpot *two, bint exchange) noexcept nogil:
    """What has been moved may hold mount points, and names lead through it."""
    cdef int n1, n2
    if gate != NULL:
        gate.moves += 1
    if W1.v.n <= 1 and views.first == NULL:
        return
    layers_path(one.o, 0, one.rel, one.n, over_path)
    n1 = <int>strlen(over_path)
    memcpy(over_first, over_path, n1 + 1)
    layers_path(two.o, 0, two.rel, two.n, over_path)
    n2 = <int>strlen(over_path)
    view_moved(W1.v, W1.g, W1.glen, W2.g, W2.glen, over_first, n1, over_path, n2, exchange)
    views_renamed(over_first, n1, over_path, n2, exchange)
