# chroot(2) inside: the call.  What a nested root means for paths: walk/nested.pxi.

cdef int on_chroot(Tracee *t, const pyroot_row *row) noexcept nogil:
    """chroot: without the right the kernel refuses it, in its own order; with it the nested root is noted here."""
    cdef int n, outcome
    if not may_chroot(t):
        return on_path(t, row)
    n = mem_string(t.tid, t.call.args[0], path_buffer, PATHMAX)
    if n <= 0:
        return R_DEAD if n == -ESRCH else answer(t, n if n < 0 else -ENOENT)
    W1.resolve = 0
    outcome = text_walk(&W1, t, AT_FDCWD, path_buffer, n, M_FOLLOW)
    if outcome >= 0 and not W1.valid:
        outcome = -ENOTDIR
    if outcome >= 0:
        outcome = chroot_open(t, outcome == TR_PASS and path_buffer[0] != c'/')
    if outcome >= 0:
        outcome = chroot_to(t, outcome)
    return answer(t, outcome if outcome < 0 else 0)

cdef int chroot_to(Tracee *t, int fd) noexcept nogil:
    """Make a directory, the place of W1, the root of the tracee; takes over its descriptor."""
    cdef NestedRoot *r
    cdef int result
    if accessible(fd, b".", X_OK) < 0:
        result = -errno
        c_close(fd)
        return result
    r = <NestedRoot *>calloc(1, sizeof(NestedRoot))
    if r == NULL or (W3.g == NULL and walk_alloc(&W3) < 0):
        free(r)
        c_close(fd)
        return -ENOMEM
    W3.v = W1.v
    r.refs = 1
    r.fd = fd
    r.bind = W1.magic_bi if W1.magic else W1.bi
    result = nested_refresh(r)
    if result < 0:
        nested_drop(r)
        return result
    gate_quit_fs(t.fs)
    nested_drop(t.fs.root)
    t.fs.root = r
    if W3.bi == 0 and W3.glen == 0:
        # pyroot's own root
        nested_drop(r)
        t.fs.root = NULL
    return 0
