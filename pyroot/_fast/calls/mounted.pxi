# What statx(2) and name_to_handle_at(2) tell of mounts: that a place is the top of one, and its number in mountinfo.
#
# The kernel knows the host's mounts only.  So the results are corrected at the exit: of statx where the place is the top of a binding, or
# where the caller asks for the number.

#: Where the kernel's unique numbers begin, so that nobody takes one sort for the other.
cdef uint64_t UNIQUE_FROM = <uint64_t>1 << 31

cdef int on_statx(Tracee *t, const pyroot_row *row) noexcept nogil:
    return one_path(t, row, PATH_MOUNT if t.args[3] & (STATX_MNT_ID_ | STATX_MNT_ID_UNIQUE_) else PATH_STATX)

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
    # (a guest's root is the top of a mount, wherever it lies)
    top[0] = bi >= 0 and (W1.magic_glen if W1.magic else W1.glen) == W1.v.b[bi].guestlen and not W1.v.b[bi].flags & BIND_GLUE
    return bi

cdef void mount_asks(int arg, uint64_t without) noexcept nogil:
    """Take the wish for a unique number out of an argument: the plain one tells which mount it is."""
    # (behind the path: its register tells the stub where the slot is)
    if edit.n > 0:
        edit_value(arg, without)

cdef void statx_expect(Tracee *t, int dirfd, int outcome, bint asks) noexcept nogil:
    cdef bint top = False
    cdef bint by_fd = outcome == TR_PASS and t.args[2] & AT_EMPTY_PATH and W1.givenlen <= 0
    cdef int bi = mount_place(t, dirfd, &top) if W1.valid or by_fd else -1
    cdef int links = links_brought(t, dirfd, by_fd) if W1.v.links else 0
    if bi < 0 or not (top or asks or links > 0):
        return
    t.saved[0] = t.args[4]
    t.saved[1] = t.args[3]
    t.saved[2] = bi
    t.saved[3] = top
    t.saved[4] = links
    t.exit_action = X_STATX
    if t.args[3] & STATX_MNT_ID_UNIQUE_:
        mount_asks(3, t.args[3] & ~<uint64_t>STATX_MNT_ID_UNIQUE_ | STATX_MNT_ID_)

cdef void exit_statx(Tracee *t) noexcept nogil:
    cdef char told[STATX_READ]
    cdef uint64_t *attributes = <uint64_t *>(told + STATX_ATTRIBUTES_AT)
    cdef uint64_t *number = <uint64_t *>(told + STATX_NUMBER_AT)
    cdef uint32_t *mask = <uint32_t *>told
    if mem_read(t.tid, t.saved[0], told, STATX_READ) < 0:
        return
    (<uint32_t *>(told + STATX_LINKS_AT))[0] += <uint32_t>t.saved[4]
    if t.saved[3]:
        attributes[0] |= STATX_ATTR_MOUNT_ROOT_
    if t.saved[1] & (STATX_MNT_ID_ | STATX_MNT_ID_UNIQUE_) and mask[0] & STATX_MNT_ID_:
        number[0] = mount_number(t.view, <int>t.saved[2], number[0])
        if t.saved[1] & STATX_MNT_ID_UNIQUE_:
            number[0] += UNIQUE_FROM
            mask[0] = mask[0] & ~<uint32_t>STATX_MNT_ID_ | STATX_MNT_ID_UNIQUE_
    mem_write(t.tid, t.saved[0], told, STATX_READ)

cdef int on_handle(Tracee *t, const pyroot_row *row) noexcept nogil:
    return one_path(t, row, PATH_HANDLE)

cdef void handle_expect(Tracee *t, int dirfd, int outcome) noexcept nogil:
    cdef bint top = False
    cdef int bi = mount_place(t, dirfd, &top) if W1.valid or outcome == TR_PASS else -1
    if bi < 0:
        return
    t.saved[0] = t.args[3]
    t.saved[1] = t.args[4] & AT_HANDLE_UNIQUE_
    t.saved[2] = bi
    t.exit_action = X_HANDLE
    if t.saved[1]:
        mount_asks(4, t.args[4] & ~<uint64_t>AT_HANDLE_UNIQUE_)

cdef void exit_handle(Tracee *t) noexcept nogil:
    """The number is given with a handle, and with the answer that the room for it is too small."""
    cdef int number = 0
    cdef uint64_t wide
    if mem_read(t.tid, t.saved[0], &number, sizeof(number)) < 0:
        return
    number = <int>mount_number(t.view, <int>t.saved[2], number)
    wide = <uint64_t>number + UNIQUE_FROM
    if t.saved[1]:
        mem_write(t.tid, t.saved[0], &wide, sizeof(wide))
    else:
        mem_write(t.tid, t.saved[0], &number, sizeof(number))
