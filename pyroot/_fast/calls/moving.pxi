# What happens while guests move names: the kernel looks up a text after the supervisor has.
#
# Between the two another guest may put a link where a directory was; the kernel would follow its text from the host's root.  Opens are
# safe from it at any time (opening.pxi).  Other calls are made through a descriptor of the directory (pinned) while a directory or
# a link has been moved lately, which costs more than a text.

cdef enum:
    MOVE_TAKES = 100000000   # ns in which somebody who moves such things does it again ...
    MOVE_WAITS = 2000000000  # ... who has done so before; and so long a rename may wait for a CPU, whose guest has not been seen since

cdef uint64_t moved_at = 0       # when a guest last began to move a directory or a link, 0 never, or not lately
cdef uint64_t moved_before = 0   # the same, however long ago
cdef bint moved_again = False    # not the first time lately
cdef uint64_t removed_at = 0     # when a guest last began to remove a name, 0 never

cdef inline bint names_move() noexcept nogil:
    global moved_at
    if moved_at == 0:
        return False
    if pyroot_now() - moved_at < <uint64_t>(MOVE_TAKES if movers == 0 and not moved_again else MOVE_WAITS):
        return True
    moved_at = 0
    gate_moving(False)
    return False

cdef bint moves_ways(Walk *w) noexcept nogil:
    """Say whether other names lead through the one that is moved."""
    cdef c_stat st
    return w.valid and fstatat(AT_FDCWD, w.h, &st, AT_SYMLINK_NOFOLLOW) == 0 and (S_ISDIR(st.st_mode) or S_ISLNK(st.st_mode))

cdef void note_move(Tracee *t, uint64_t flags) noexcept nogil:
    """Remember that a rename is about to be made, from W1 to W2."""
    if moves_ways(&W1) or (flags & 2 and moves_ways(&W2)):
        move_begins(t)

cdef inline void note_removal() noexcept nogil:
    """Remember that a guest is about to remove a name: a link in its place would be a move."""
    global removed_at
    if tracees.count > 1:
        removed_at = pyroot_now()

cdef void note_link(Tracee *t) noexcept nogil:
    """A link is about to be made: where something was removed just now it may take its place, and other names lead through it."""
    if removed_at != 0 and tracees.count > 1 and pyroot_now() - removed_at < MOVE_WAITS:
        move_begins(t)

cdef void move_begins(Tracee *t) noexcept nogil:
    global moved_at, moved_before, moved_again
    moved_at = pyroot_now()
    moved_again = moved_before != 0 and moved_at - moved_before < MOVE_WAITS
    moved_before = moved_at
    gate_moving(True)
    if not t.call.moves:
        t.call.moves = True
        movers_change(1)

cdef inline int walk_tries() noexcept nogil:
    """Return one more than how many walks at most may miss a name that is always there.

    A walk by components goes by texts, so it may fail while a directory changes places with a link.  Those who may do that now are the
    guests in a rename; each must stop here before its next one, and meanwhile nobody looks at stops.
    """
    return 1 if movers == 0 else 1 + (movers if movers < 7 else 7)

cdef bint may_pin(Tracee *t, Walk *w) noexcept nogil:
    """Say whether there is an outside, and guests may go through our descriptors."""
    if not licences(t, NULL) & MAY_PIN or not w.valid or w.held or w.anchored or w.magic or w.isbind or w.bi < 0:
        return False
    return 0 < w.v.b[w.bi].hostlen < w.placelen and w.hlen < PATHMAX and not is_proc(w.h, w.hlen)

cdef int pinned_walk(Walk *w, Tracee *t, int dirfd, uint64_t pointer, int mode, bint always) noexcept nogil:
    """call_walk for the only path of a call; what it finds is pinned if ``always``, or if names move."""
    cdef int tries, pinned = 0, outcome
    for tries in range(walk_tries() + 1):
        walk_drop_file(w)
        w.want_directory = always
        outcome = call_walk(w, t, dirfd, pointer, mode)
        w.want_directory = False
        if outcome < 0 or not (always or (names_move() and not w.v.ambiguous and w.last == LAST_NORM)) or not may_pin(t, w):
            walk_drop_file(w)
            return outcome
        pinned = pin(t, w, always)
        walk_drop_file(w)
        if pinned == 0:
            return TR_TEXT
        if pinned != -ELOOP and pinned != -ENOENT and pinned != -ENOTDIR:
            break
    return pinned

cdef inline bint pins_names(const pyroot_row *row) noexcept nogil:
    """Say whether what a call's only path leads to is to be named by one of our descriptors: while names move.

    Calls that do more than look are made this way whenever anybody could move one: the first move is not known beforehand.
    """
    return names_move() or (not row.gate and tracees.count > 1)

cdef int pin_name(Tracee *t, Walk *w, int outcome) noexcept nogil:
    """Name the place that a walk has found by one of our descriptors, if possible; return the path's outcome then."""
    cdef int result
    if outcome != TR_TEXT or w.v.ambiguous or w.last != LAST_NORM or not may_pin(t, w):
        return outcome
    result = pin(t, w, False)
    return TR_TEXT if result == 0 else result

cdef inline bint has_moved(int outcome) noexcept nogil:
    """Say whether a walk that could not be pinned may be worth while: what it led through is gone, or is a link now."""
    return outcome == -ELOOP or outcome == -ENOENT or outcome == -ENOTDIR

cdef int open_directory(char *host, int n) noexcept nogil:
    """Return an O_PATH descriptor of the directory that the first bytes of a host text name without a link, or -errno."""
    cdef open_how how
    cdef char kept = host[n]
    cdef int fd, error
    memset(&how, 0, sizeof(how))
    how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC
    how.resolve = RESOLVE_NO_SYMLINKS
    host[n] = 0
    fd = <int>c_syscall(NR_openat2, AT_FDCWD, host, &how, sizeof(how))
    error = errno
    host[n] = kept
    return fd if fd >= 0 else -error

cdef int pin(Tracee *t, Walk *w, bint itself) noexcept nogil:
    """Hold what the walk has found (``itself``), or the directory that it lies in, and name the place by our descriptor."""
    cdef char link[48]
    cdef int fd, n, cut = w.hlen if itself else w.placelen - w.namelen - 1, k = 0 if t.call.hold[0] < 0 else 1
    if t.call.hold[k] >= 0:
        return -ENOMEM
    if itself and w.file >= 0 and w.last == LAST_NORM:
        # the proof has found it already
        fd = walk_take_file(w)
    else:
        fd = open_directory(w.h, cut)
    if fd == -EMFILE or fd == -ENFILE:
        # none to spare: by its text it could lead elsewhere in the meantime
        return -ENOMEM
    if fd < 0:
        return fd
    n = snprintf(link, sizeof(link), b"/proc/%d/fd/%d", links_pid(), fd)
    if w.hlen - cut + n >= PATHMAX:
        c_close(fd)
        return -ENAMETOOLONG
    memmove(w.h + n, w.h + cut, w.hlen - cut + 1)
    memcpy(w.h, link, n)
    w.hlen += n - cut
    w.placelen += n - cut
    t.call.hold[k] = fd
    w.held = True
    return 0
