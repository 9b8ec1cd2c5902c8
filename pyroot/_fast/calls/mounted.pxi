# What statx(2) and name_to_handle_at(2) tell of mounts: that a place is a mount root, and its number in mountinfo.
#
# The kernel knows the host's mounts only.  So the results are corrected at the exit: of statx where the place is the top of a binding, or
# where the caller asks for the number.

#: Where the kernel's unique numbers begin, so that nobody takes one sort for the other.
cdef uint64_t UNIQUE_FROM = <uint64_t>1 << 31

cdef int on_statx(Tracee *t, const pyroot_row *row) noexcept nogil:
    return one_path(t, row, PATH_MOUNT if t.call.args[3] & (STATX_MNT_ID_ | STATX_MNT_ID_UNIQUE_) else PATH_STATX)

cdef int mount_place(Tracee *t, int dirfd, bint *top) noexcept nogil:
    """Return the binding that the place of the walk (of an empty path: the descriptor) lies in, -1 if none; is it the binding's top?"""
    cdef char link[48]
    cdef char text[PATHMAX]
    cdef ssize_t n
    cdef int bi = W1.magic_bi if W1.magic else W1.bi
    if not W1.valid:
        W1.magic = False
        if dirfd == AT_FDCWD:
            snprintf(link, sizeof(link), b"/proc/%d/cwd", t.tid)
        else:
            snprintf(link, sizeof(link), b"/proc/%d/fd/%d", t.tid, dirfd)
        n = c_readlink(link, text, PATHMAX - 1)
        bi = view_from_host(W1.v, text, <int>n, fd_binding(W1.v, t, dirfd), W1.g, &W1.glen) if n > 0 and text[0] == c'/' else -1
    # (a guest's root is a mount root, wherever it lies)
    top[0] = bi >= 0 and (W1.magic_glen if W1.magic else W1.glen) == W1.v.b[bi].guestlen and not W1.v.b[bi].flags & (BIND_GLUE | BIND_LINK)
    return bi

cdef void mount_asks(int arg, uint64_t without) noexcept nogil:
    """Clear the request for a unique mount ID in an argument: the plain one tells which mount it is."""
    # (after the path: its register tells the stub where the slot is)
    if edit.n > 0:
        edit_value(arg, without)

cdef struct StatxEnd:
    uint64_t buffer, mask    # arguments of the call
    int bind                 # binding that the place lies in
    bint top                 # ... at its top
    uint32_t links           # that bindings bring

cdef void statx_expect(Tracee *t, int dirfd, int outcome, bint asks) noexcept nogil:
    cdef bint top = False
    cdef bint by_fd = outcome == TR_PASS and t.call.args[2] & AT_EMPTY_PATH and W1.givenlen <= 0
    cdef int bi = mount_place(t, dirfd, &top) if W1.valid or by_fd else -1
    cdef int links = links_brought(t, dirfd, by_fd) if W1.v.links else 0
    cdef StatxEnd *e
    if bi < 0 or not (top or asks or links > 0):
        return
    e = <StatxEnd *>after(t, end_statx, 0)
    e.buffer, e.mask, e.bind, e.top, e.links = t.call.args[4], t.call.args[3], bi, top, <uint32_t>links
    if t.call.args[3] & STATX_MNT_ID_UNIQUE_:
        mount_asks(3, t.call.args[3] & ~<uint64_t>STATX_MNT_ID_UNIQUE_ | STATX_MNT_ID_)

cdef int end_statx(Tracee *t, After *a, int64_t result) noexcept nogil:
    cdef StatxEnd *e = <StatxEnd *>a.data
    cdef char told[STATX_READ]
    cdef uint64_t *attributes = <uint64_t *>(told + STATX_ATTRIBUTES_AT)
    cdef uint64_t *number = <uint64_t *>(told + STATX_NUMBER_AT)
    cdef uint32_t *mask = <uint32_t *>told
    if result != 0 or mem_read(t.tid, e.buffer, told, STATX_READ) < 0:
        return R_CONT
    (<uint32_t *>(told + STATX_LINKS_AT))[0] += e.links
    if e.top:
        attributes[0] |= STATX_ATTR_MOUNT_ROOT_
    if e.mask & (STATX_MNT_ID_ | STATX_MNT_ID_UNIQUE_) and mask[0] & STATX_MNT_ID_:
        number[0] = mount_number(t.view, e.bind, number[0])
        if e.mask & STATX_MNT_ID_UNIQUE_:
            number[0] += UNIQUE_FROM
            mask[0] = mask[0] & ~<uint32_t>STATX_MNT_ID_ | STATX_MNT_ID_UNIQUE_
    mem_write(t.tid, e.buffer, told, STATX_READ)
    return R_CONT

cdef int on_handle(Tracee *t, const pyroot_row *row) noexcept nogil:
    return one_path(t, row, PATH_HANDLE)

cdef struct HandleEnd:
    uint64_t buffer          # where the number goes
    bint unique              # one of 64 bits
    int bind                 # binding that the place lies in

cdef void handle_expect(Tracee *t, int dirfd, int outcome) noexcept nogil:
    cdef bint top = False
    cdef int bi = mount_place(t, dirfd, &top) if W1.valid or outcome == TR_PASS else -1
    cdef HandleEnd *e
    if bi < 0:
        return
    e = <HandleEnd *>after(t, end_handle, 0)
    e.buffer, e.unique, e.bind = t.call.args[3], t.call.args[4] & AT_HANDLE_UNIQUE_ != 0, bi
    if e.unique:
        mount_asks(4, t.call.args[4] & ~<uint64_t>AT_HANDLE_UNIQUE_)

cdef int end_handle(Tracee *t, After *a, int64_t result) noexcept nogil:
    """The number is given with a handle, and with the error that there is too little room for one."""
    cdef int number = 0
    cdef uint64_t wide
    cdef HandleEnd *e = <HandleEnd *>a.data
    if (result != 0 and result != -EOVERFLOW) or mem_read(t.tid, e.buffer, &number, sizeof(number)) < 0:
        return R_CONT
    number = <int>mount_number(t.view, e.bind, number)
    wide = <uint64_t>number + UNIQUE_FROM
    if e.unique:
        mem_write(t.tid, e.buffer, &wide, sizeof(wide))
    else:
        mem_write(t.tid, e.buffer, &number, sizeof(number))
    return R_CONT
