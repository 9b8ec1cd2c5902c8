# Which mount of the machine a place lies in: RESOLVE_NO_XDEV of openat2(2) stops at these as at bindings, which the walk knows itself.

cdef enum:
    AT_EMPTY_PATH_ = 0x1000
    AT_NO_AUTOMOUNT_ = 0x800

cdef inline int walk_barred(Walk *w) noexcept nogil:
    """Return the error of a step that a RESOLVE_* flag forbids; with RESOLVE_CACHED the kernel only says that it has to look again."""
    return -EAGAIN if w.resolve & RESOLVE_CACHED else -EXDEV

cdef int64_t mount_id(int dfd, const char *text, int flags) noexcept nogil:
    """Return the number of the mount that a file lies in, or -errno."""
    cdef char told[256]
    memset(told, 0, sizeof(told))
    if c_syscall(NR_statx, dfd, text, flags | AT_NO_AUTOMOUNT_, STATX_MNT_ID_, told) < 0:
        return -errno
    return (<int64_t *>(told + STATX_NUMBER_AT))[0]

cdef int64_t walk_mount(Walk *w) noexcept nogil:
    """The same of the place of a walk."""
    if w.dfd >= 0 and w.hlen <= w.doff:
        return mount_id(w.dfd, b"", AT_EMPTY_PATH_)
    return mount_id(w.dfd, walk_rel(w), 0)

cdef bint leads_off(Walk *w, const char *comp, int n, int flags) noexcept nogil:
    """Say whether a name in the place leads to another mount."""
    cdef int64_t below
    cdef int keep = w.hlen
    if w.hlen + n + 2 >= BUF + PATHMAX:
        return False
    w.h[keep] = c'/'
    memcpy(w.h + keep + 1, comp, n)
    w.h[keep + 1 + n] = 0
    w.hlen = keep + 1 + n
    below = mount_id(w.dfd, walk_rel(w), flags)
    w.hlen = keep
    w.h[keep] = 0
    return below >= 0 and below != walk_mount(w)

cdef bint on_root_mount(Walk *w) noexcept nogil:
    """Say whether the place lies in the mount of the walk's root."""
    if w.bi != root_binding(w):
        return False
    if w.resolve & RESOLVE_IN_ROOT:
        return walk_mount(w) == w.root_mount
    return walk_mount(w) == mount_id(w.v.b[0].fd if w.fs == NULL or w.fs.root == NULL else w.fs.root.fd, b"", AT_EMPTY_PATH_)

cdef enum:
    STATX_MNT_ID_ = 0x1000
    STATX_MNT_ID_UNIQUE_ = 0x4000
    STATX_ATTR_MOUNT_ROOT_ = 0x2000
    STATX_ATTRIBUTES_AT = 8
    STATX_LINKS_AT = 16
    STATX_NUMBER_AT = 144
    STATX_READ = 152
    AT_HANDLE_UNIQUE_ = 1
