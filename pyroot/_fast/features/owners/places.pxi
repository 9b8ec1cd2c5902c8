# Where the file lies that a call names: one of our own descriptors of it, which nobody can put another file behind.
#
# Whatever is closed to us on the disk but not to the first user's root (a directory of mode 0555 or 000) is opened on the way: what it was
# is recorded, and its owner on the disk gets the rights ("adopted").  Only in the root, never below a binding of the host.
#
# Decides: whether the feature answers a call itself.

cdef enum:
    SPOT_NONE = -4000        # not for us: the kernel, or another feature, has the file
    SPOT_TRIES = 40

cdef void spot_drop(Spot *at) noexcept nogil:
    if at.fd >= 0:
        c_close(at.fd)
        at.fd = -1

cdef inline const char *host_named(const char *text) noexcept nogil:
    """Return a host path text as calls take it: that of / is empty."""
    if text[0] != 0:
        return text
    return b"/"

cdef void spot_mount(Spot *at, const char *host, int n) noexcept nogil:
    """Find the mount point of a file on another device than the root's, from the host path of the file or of its directory."""
    cdef char text[PATHMAX]
    cdef c_stat st, above
    cdef int cut, top = views.base.b[0].hostlen
    at.mounted = False
    at.place[0] = 0
    if n >= PATHMAX or at.bind != 0:
        return
    memcpy(at.place, host, n)
    at.place[n] = 0
    if c_fstat(at.fd, &st) < 0 or st.st_dev == owners.root.root_dev:
        return
    memcpy(text, host, n)
    text[n] = 0
    while n > top:
        cut = n
        while cut > top and text[cut - 1] != c'/':
            cut -= 1
        cut -= 1
        if cut < top:
            return
        text[cut] = 0
        if fstatat(AT_FDCWD, host_named(text), &above, AT_SYMLINK_NOFOLLOW) < 0:
            return
        text[cut] = c'/'
        if above.st_dev != st.st_dev:
            if n - top < <int>sizeof(at.mount):
                memcpy(at.mount, text + top, n - top)
                at.mount[n - top] = 0
                at.mounted = True
            return
        n = cut
        text[n] = 0

cdef void spot_lies(Tracee *t, Spot *at, const char *host, int n, int prefer) noexcept nogil:
    """Find the binding that shows a host path to the first view, and its device's mount point."""
    cdef int glen = 0
    at.bind = view_from_host(views.base, host, 0 if n == 1 else n, prefer, owner_text, &glen)
    spot_mount(at, host, n)

cdef char owner_text[BUF + 16]

cdef int spot_of_fd(Tracee *t, int fd, Spot *at) noexcept nogil:
    """Open what a descriptor of the guest is of; 0 or -errno."""
    cdef char link[48]
    cdef char text[PATHMAX]
    cdef int n
    if fd == AT_FDCWD:
        snprintf(link, sizeof(link), b"/proc/%d/cwd", t.tid)
    elif fd < 0:
        return -EBADF
    else:
        snprintf(link, sizeof(link), b"/proc/%d/fd/%d", t.tid, fd)
    at.bind = -1
    at.mounted = False
    at.place[0] = 0
    at.fd = c_open(link, O_PATH | O_CLOEXEC)
    if at.fd < 0:
        return -EBADF if errno == ENOENT and fd != AT_FDCWD else -errno
    n = <int>c_readlink(link, text, PATHMAX - 1)
    if n > 10 and memcmp(text + n - 10, b" (deleted)", 10) == 0:
        n -= 10
    if n > 0 and text[0] == c'/':
        text[n] = 0
        if copies_made and copied_path(text, n, text) > 0:
            spot_drop(at)
            return SPOT_NONE
        spot_lies(t, at, text, n, fd_binding(views.base, t, fd) if views.base.ambiguous and fd >= 0 else -1)
    return 0

cdef bint fd_is_path(Tracee *t, int fd) noexcept nogil:
    """Say whether a descriptor only names its file (O_PATH): then it cannot be used to change it."""
    cdef char link[48]
    cdef c_stat st
    snprintf(link, sizeof(link), b"/proc/%d/fd/%d", t.tid, fd)
    return fstatat(AT_FDCWD, link, &st, AT_SYMLINK_NOFOLLOW) == 0 and st.st_mode & 0o777 == 0

cdef int open_found(Tracee *t, Walk *w, bint follow) noexcept nogil:
    """Open what a walk has found, with O_PATH and through no link; a descriptor or -errno."""
    cdef char link[48]
    cdef open_how how
    cdef int n, fd, k
    memset(&how, 0, sizeof(how))
    how.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW
    if w.linked or (w.magic and follow):
        fd = c_open(w.h, O_PATH | O_CLOEXEC)
        return fd if fd >= 0 else -errno
    if w.held:
        for k in range(2):
            n = snprintf(link, sizeof(link), b"/proc/%d/fd/%d/", links_pid(), t.call.hold[k])
            if t.call.hold[k] >= 0 and w.hlen > n and memcmp(w.h, link, n) == 0:
                if have_openat2:
                    how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH
                    fd = <int>c_syscall(NR_openat2, t.call.hold[k], w.h + n, &how, sizeof(how))
                    return fd if fd >= 0 else -errno
    elif have_openat2 and w.bi != -2 and w.bi > -3 and not w.anchored:
        how.resolve = RESOLVE_NO_SYMLINKS
        fd = <int>c_syscall(NR_openat2, AT_FDCWD, w.h, &how, sizeof(how))
        return fd if fd >= 0 else -errno
    fd = c_open(w.h, O_PATH | O_CLOEXEC | O_NOFOLLOW)
    return fd if fd >= 0 else -errno

cdef void spot_from_walk(Tracee *t, Walk *w, Spot *at) noexcept nogil:
    """Note where a walk's place lies, whose descriptor ``at`` has."""
    cdef char link[40]
    cdef char text[PATHMAX]
    cdef int n
    at.bind, at.mounted = -1, False
    at.place[0] = 0
    if not (w.magic or w.held or w.v != views.base or w.bi < 0):
        at.bind = w.bi
        spot_mount(at, w.h, w.placelen)
        return
    snprintf(link, sizeof(link), b"/proc/self/fd/%d", at.fd)
    n = <int>c_readlink(link, text, PATHMAX - 1)
    if n > 0 and text[0] == c'/':
        spot_lies(t, at, text, n, w.magic_bi if w.magic else w.bi if w.v == views.base and w.bi >= 0 else -1)

cdef int place_walk(Tracee *t, int dirfd, uint64_t pointer, int mode, int *outcome) noexcept nogil:
    """Walk with W1; the descriptor of the place, if the proof has found the very one that the kernel would, else -1."""
    walk_drop_file(&W1)
    W1.resolve = 0
    W1.want_text = W1.want_file = True
    outcome[0] = call_walk(&W1, t, dirfd, pointer, mode)
    W1.want_text = W1.want_file = False
    if (outcome[0] < 0 or not W1.valid or W1.slash or W1.last != LAST_NORM or W1.held or W1.magic or W1.linked or W1.anchored
            or W1.givenlen == 0 or over_of(&W1) != NULL):
        walk_drop_file(&W1)
    return walk_take_file(&W1)

cdef inline bint is_elsewhere(Walk *w, int mode) noexcept nogil:
    """Say whether a walk has led into /proc, or to a text that the session has made in its place: nothing is remembered of them."""
    if is_proc(w.h, w.hlen) and not w.held and not (w.magic and (mode == M_FOLLOW or w.slash)):
        return True
    return copies_made and w.magic and copy_at(w.h, owner_text) > 0

cdef int spot_of_path(Tracee *t, int dirfd, uint64_t pointer, int mode, bint empty, Spot *at) noexcept nogil:
    """Open what a path argument names; 0, -errno of the path, -ESRCH, or SPOT_NONE.  ``empty``: an empty path is the descriptor."""
    cdef int outcome, found, tries
    at.fd = -1
    if pointer == 0 and empty:
        return spot_of_fd(t, dirfd, at)
    for tries in range(SPOT_TRIES):
        found = place_walk(t, dirfd, pointer, mode, &outcome)
        if outcome == -ESRCH:
            return outcome
        if W1.givenlen == 0 and empty:
            return spot_of_fd(t, dirfd, at)
        if outcome < 0:
            return outcome
        if not W1.valid or is_elsewhere(&W1, mode):
            if found >= 0:
                c_close(found)
            return SPOT_NONE
        at.fd = found if found >= 0 else open_found(t, &W1, mode == M_FOLLOW or W1.slash)
        if at.fd >= 0:
            spot_from_walk(t, &W1, at)
            return 0
        if at.fd != -ELOOP:
            break
        hold_drop(t)
    # (an error of an open that does not open is one of the path)
    outcome = at.fd
    at.fd = -1
    return SPOT_NONE if outcome == -ELOOP or outcome == -EMFILE or outcome == -ENFILE else outcome

cdef inline bint is_others(View *v, int bi) noexcept nogil:
    """Say whether the disk below a binding is not to be changed: it is read-only, or an overlay's."""
    return bi >= 0 and (v.b[bi].flags & BIND_READONLY != 0 or v.b[bi].over != NULL)

cdef bint spot_is_others(const Spot *at) noexcept nogil:
    """Say whether changes of a file are for others: refused where it is read-only, and what is lower in an overlay is copied up first."""
    cdef char link[40]
    cdef char text[PATHMAX]
    cdef layers *o
    cdef int n
    if not is_others(views.base, at.bind):
        return False
    o = views.base.b[at.bind].over
    if o == NULL or views.base.b[at.bind].flags & BIND_READONLY:
        return True
    snprintf(link, sizeof(link), b"/proc/self/fd/%d", at.fd)
    n = <int>c_readlink(link, text, PATHMAX - 1)
    return n <= 0 or layers_of(o, text, n) != 0

# -- adopting ------------------------------------------------------------------------------------------------------------------------

cdef int disk_chmod(int fd, uint32_t mode) noexcept nogil:
    """Change the mode on the disk of what an O_PATH descriptor is of; 0 or -errno."""
    cdef char link[40]
    if c_syscall(NR_fchmodat2, fd, b"", mode & 0o7777, AT_EMPTY_PATH) == 0:
        return 0
    if errno != ENOSYS and errno != EPERM and errno != EINVAL:
        return -errno
    snprintf(link, sizeof(link), b"/proc/self/fd/%d", fd)
    return 0 if c_chmod(link, mode & 0o7777) == 0 else -errno

cdef int mode_write(const Spot *at, Truth *f, uint32_t left) noexcept nogil:
    """Record f, and give the disk this mode: first the record, which says what was before until the disk has changed.  0 or -errno."""
    cdef Truth before = f[0]
    cdef int error = truth_write(at, f, left)
    if error < 0:
        return error
    error = disk_chmod(at.fd, left)
    if error < 0:
        if f.found or before.found:
            truth_back(at, f, &before)
        return error
    if f.found and f.slot.was != 0:
        store_done(f.where, f.disk.dev, f.disk.ino)
    f.disk.mode = left
    return 0

cdef bint adopt_file(const Spot *at, Truth *f) noexcept nogil:
    """Give ourselves the rights on the disk that root has: the mode that guests see is recorded.  Says whether anything has changed."""
    cdef uint32_t left = f.disk.mode & KIND_BITS | safe_mode(at, f.mode, False) | f.disk.mode & 0o777
    if not is_kept(at) or not ours(f) or (f.found and f.slot.flags & STORE_NODE) or S_ISLNK(f.mode) or left == f.disk.mode:
        return False
    return mode_write(at, f, left) == 0

cdef bint adopt_text(Tracee *t, const char *host, int n) noexcept nogil:
    """Adopt a directory that a walk could not go through."""
    cdef Spot at
    cdef Truth f
    cdef bint done = False
    at.fd = c_open(host_named(host), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    if at.fd < 0:
        return False
    spot_lies(t, &at, host, n, -1)
    if truth_of(&f, at.fd, b"", 0, 0) == 0 and who_rights(t, &f, X_OK) == 0:
        done = adopt_file(&at, &f)
    spot_drop(&at)
    return done

cdef bint owners_way(Tracee *t, Walk *w) noexcept nogil:
    """A walk has met a directory that may not be searched: say whether it can be by now."""
    if w.bi < 0 or w.dfd >= 0 or w.hlen >= PATHMAX:
        return False
    w.h[w.hlen] = 0
    return adopt_text(t, w.h, w.hlen)

cdef bint adopt_for(Tracee *t, const char *host, int follow, int wanted) noexcept nogil:
    """See to it that whoever may by the records has these rights on the disk, too."""
    cdef Spot at
    cdef Truth f
    cdef char link[40]
    cdef char text[PATHMAX]
    cdef int n
    cdef bint done = False
    at.fd = c_open(host, O_PATH | O_CLOEXEC | (0 if follow else O_NOFOLLOW))
    if at.fd < 0:
        return False
    snprintf(link, sizeof(link), b"/proc/self/fd/%d", at.fd)
    n = <int>c_readlink(link, text, PATHMAX - 1)
    if n > 0 and text[0] == c'/':
        spot_lies(t, &at, text, n, -1)
        if truth_of(&f, at.fd, b"", 0, 0) == 0 and who_rights(t, &f, wanted) == 0:
            done = adopt_file(&at, &f)
    spot_drop(&at)
    return done
