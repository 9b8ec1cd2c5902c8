# chroot(2) inside: a separate root for each fs_struct, below pyroot's.
#
# The kernel's chroot is never called: the kernel gets host texts, which must keep their meaning.  A nested root is one of our
# descriptors, so that it follows renames and outlives a removal as the kernel's does; its guest path is looked up anew for each call of a
# process that has one.  Guest paths stay those of pyroot's root everywhere else; only where a text goes back to the guest is the
# part above the nested root taken off.  A process without a nested root pays one comparison per walk.

cdef struct CapHeader:
    uint32_t version
    int pid

cdef enum:
    CAP_DAC_READ_SEARCH_ = 2
    CAP_SYS_CHROOT_ = 18
    CAP_SYS_PACCT_ = 20
    CAP_SYS_ADMIN_ = 21

cdef uint64_t effective_caps(int tid) noexcept nogil:
    """Return the effective capabilities of a task (0: ours), as capget(2) tells them, or /proc where that is refused."""
    cdef CapHeader header
    cdef uint32_t data[6]
    header.version = 0x20080522
    header.pid = tid
    if c_syscall(SYS_capget, &header, data) < 0:
        return status_bits(tid if tid != 0 else c_getpid(), b"CapEff:\t") if is_refusal(errno) else 0
    return <uint64_t>data[3] << 32 | data[0]

cdef bint may_chroot(Tracee *t) noexcept nogil:
    """Say whether chroot(2) is permitted to the guest: the one place that decides it."""
    return cred_capable(t, CAP_SYS_CHROOT_) if creds.on else (effective_caps(t.tid) >> CAP_SYS_CHROOT_) & 1

cdef int nested_look(Walk *w, NestedRoot *r) noexcept nogil:
    """Go to where a nested root lies now, and note its guest path."""
    cdef char link[48]
    cdef char text[PATHMAX]
    cdef char *kept
    cdef int result
    cdef ssize_t n
    snprintf(link, sizeof(link), b"/proc/%d/fd/%d", links_pid(), r.fd)
    n = c_readlink(link, text, PATHMAX - 1)
    if n < 0:
        result = walk_to_long(w, link, r.bind) if errno == ENAMETOOLONG else -errno
    else:
        text[n] = 0
        result = walk_to_text(w, link, text, <int>n, r.bind)
    if result < 0:
        return result
    r.gone = w.bi <= -2
    r.plain = w.bi >= 0 and w.dfd < 0
    if w.glen != r.len or (w.glen > 0 and memcmp(w.g, r.text, w.glen) != 0):
        kept = dup_bytes(w.g, w.glen)
        if kept == NULL:
            return -ENOMEM
        free(r.text)
        r.text = kept
        r.len = w.glen
    return 0

cdef int nested_refresh(NestedRoot *r) noexcept nogil:
    """Learn the guest path of a nested root: it may have been renamed since the last call."""
    cdef int result
    W3.anchored = False
    result = nested_look(&W3, r)
    walk_drop_fd(&W3)
    return result

cdef int walk_to_nested(Walk *w, NestedRoot *r) noexcept nogil:
    """Go to a nested root for an absolute path or link."""
    cdef c_stat st
    cdef int result
    result = walk_to_guest(w, r.text, r.len) if r.plain else nested_look(w, r)
    if result == 0 and r.plain and not w.anchored and fstatat(AT_FDCWD, walk_text(w), &st, AT_SYMLINK_NOFOLLOW) < 0:
        # the path down to it may be closed: walk from the descriptor then
        return -errno
    if result == 0 and w.anchored and (w.dfd < 0 or r.plain) and w.bi >= 0:
        walk_drop_fd(w)
        w.dfd = fd_again(r.fd)
        if w.dfd < 0:
            w.dfd = AT_FDCWD
            return -errno
        w.doff = w.hlen
    return result

cdef int walk_to_root_of(Walk *w, Fs *fs) noexcept nogil:
    """Go to the root of a process; the walk's own was looked at when the walk began."""
    cdef int result
    if fs == NULL or fs.root == NULL:
        return walk_to_guest(w, b"", 0)
    if fs != w.fs:
        result = nested_refresh(fs.root)
        if result < 0:
            return result
    return walk_to_nested(w, fs.root)

cdef bint at_nested_root(Walk *w) noexcept nogil:
    """Say whether the walk stands at its own nested root, where ".." stays."""
    cdef NestedRoot *r = w.fs.root
    cdef c_stat here, there
    if not r.gone:
        return w.bi >= 0 and w.glen == r.len and memcmp(w.g, r.text, r.len) == 0
    return w.bi <= -2 and fstatat(AT_FDCWD, w.h, &here, 0) == 0 and c_fstat(r.fd, &there) == 0 and same_file(&here, &there)

cdef int root_binding(Walk *w) noexcept nogil:
    """Return the binding that the walk's root lies in: the root's mount, for RESOLVE_NO_XDEV."""
    if w.resolve & RESOLVE_IN_ROOT:
        return view_covering(w.v, w.rootg, w.rootlen)
    if w.fs == NULL or w.fs.root == NULL:
        return 0
    return view_covering(w.v, w.fs.root.text, w.fs.root.len)

# -- texts that go back to the guest

cdef int nested_text(Tracee *asking, char *text, int n) noexcept nogil:
    """Take the part above the asking process's root off a guest path (perhaps with " (deleted)"); return its length.

    A path outside of that root stays as it is and comes back negative: d_path(9) then counts from the topmost root.
    """
    cdef NestedRoot *r
    if asking.fs == NULL or asking.fs.root == NULL or n == 0 or text[0] != c'/':
        return n
    r = asking.fs.root
    if nested_refresh(r) < 0:
        return -n
    if n < r.len or memcmp(text, r.text, r.len) != 0:
        return -n
    if n > r.len and text[r.len] != c'/' and r.len > 0 and not (r.gone and memcmp(text + r.len, b" (deleted)", 10) == 0):
        return -n
    if r.len > 0:
        if n == r.len or text[r.len] != c'/':
            text[0] = c'/'
            memmove(text + 1, text + r.len, n - r.len)
            return n - r.len + 1
        memmove(text, text + r.len, n - r.len)
    return n - r.len

# -- the call

cdef int chroot_open(Tracee *t, bint as_written) noexcept nogil:
    """Open the place of W1; ``as_written``: from the cwd, since the path down from above may be closed to us."""
    cdef char link[48]
    cdef int fd, base = AT_FDCWD
    cdef const char *text = W1.h
    if as_written:
        text = path_buffer
        snprintf(link, sizeof(link), b"/proc/%d/cwd", t.tid)
        base = c_open(link, O_PATH | O_DIRECTORY | O_CLOEXEC)
        if base < 0:
            return -errno
    fd = c_openat(base, text, O_PATH | O_DIRECTORY | O_CLOEXEC)
    if fd < 0:
        fd = -errno
    if base >= 0:
        c_close(base)
    return fd
