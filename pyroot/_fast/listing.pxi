# What a directory lists: mount points whose name the host directory does not hold.
#
# The names come behind the host's own.  Their positions are numbers that no file system gives out, and the open file itself keeps
# them as its offset: so duplicates, children, lseek(2), telldir(3) and buffers of any size need no record here.  The supervisor
# reads such a directory through a duplicate of the guest's descriptor, which shares that offset.

cdef enum:
    LIST_BUFFER = 65536
    LIST_MOST = 65536        # positions behind LIST_TAIL
    DT_DIR_ = 4
    DT_LNK_ = 10

#: The first position behind the host's names: below what ext4 allows in a directory without an index (2**44).
cdef int64_t LIST_TAIL = 0x1e770720000

cdef char list_buffer[LIST_BUFFER]
cdef bint listing_needed = False

cdef int bind_name(View *v, int i) noexcept nogil:
    """Return where the last component of a binding's guest path begins."""
    cdef int n = v.b[i].guestlen
    while n > 0 and v.b[i].guest[n - 1] != c'/':
        n -= 1
    return n

cdef bint bind_in(View *v, int i, const char *guest, int n) noexcept nogil:
    """Say whether a binding's mount point lies directly in a guest directory."""
    return v.b[i].guestlen > n + 1 and bind_name(v, i) == n + 1 and memcmp(v.b[i].guest, guest, n) == 0

cdef bint type_differs(const c_stat *st, const Bind *b) noexcept nogil:
    """Say whether the host's name is of a kind that no mount can lie on: the kernel itself lists what is below."""
    return S_ISLNK(st.st_mode) or S_ISDIR(st.st_mode) != b.isdir

cdef bint view_needs_listing(View *v) noexcept nogil:
    """Say whether a host directory lacks the name of a mount point, or has something of another kind there."""
    cdef c_stat st
    cdef int i, n, over
    cdef char text[PATHMAX]
    for i in range(1, v.n):
        n = bind_name(v, i)
        over = view_covering(v, v.b[i].guest, n - 1)
        n = snprintf(text, sizeof(text), b"%s%s", v.b[over].host, v.b[i].guest + v.b[over].guestlen)
        if n >= <int>sizeof(text) or fstatat(AT_FDCWD, text, &st, AT_SYMLINK_NOFOLLOW) < 0 or type_differs(&st, &v.b[i]):
            return True
    return False

cdef int record_put(char *to, int room, bint wide, const char *name, int n, uint64_t ino, int64_t next, int kind) noexcept nogil:
    """Write a linux_dirent64 (``wide``) or a linux_dirent; return its length or 0 if there is no room."""
    cdef int start = 19 if wide else 18
    cdef uint16_t size = (start + n + (1 if wide else 2) + 7) & ~7
    if size > room:
        return 0
    memset(to, 0, size)
    memcpy(to, &ino, 8)
    memcpy(to + 8, &next, 8)
    memcpy(to + 16, &size, 2)
    memcpy(to + start, name, n)
    to[18 if wide else size - 1] = <char>kind
    return size

cdef int list_tail(View *v, int d, const char *guest, int glen, int64_t at, int room, bint wide) noexcept nogil:
    """Fill list_buffer with the names behind the host's own, from position ``at`` on; return the bytes or -errno."""
    cdef c_stat st
    cdef int i, k = 0, used = 0, size, start
    cdef int64_t next = at
    if lseek(d, LIST_TAIL + LIST_MOST, SEEK_SET) < 0:
        # a file system that has no such positions: its own names must do
        return 0
    for i in range(1, v.n):
        if not bind_in(v, i, guest, glen):
            continue
        k += 1
        if LIST_TAIL + k <= at or k >= LIST_MOST:
            continue
        start = bind_name(v, i)
        if fstatat(d, v.b[i].guest + start, &st, AT_SYMLINK_NOFOLLOW) == 0 or errno != ENOENT or c_fstat(v.b[i].fd, &st) < 0:
            continue
        size = record_put(list_buffer + used, room - used, wide, v.b[i].guest + start, v.b[i].guestlen - start, st.st_ino,
                          LIST_TAIL + k, st.st_mode >> 12 & 15)
        if size == 0:
            if used == 0:
                used = -EINVAL
            break
        used += size
        next = LIST_TAIL + k
    else:
        next = LIST_TAIL + k
    lseek(d, next, SEEK_SET)
    return used

cdef void list_types(View *v, int d, const char *guest, int glen, int used, bint wide) noexcept nogil:
    """Give names of the host that a mount of another kind covers the type of what is bound."""
    cdef c_stat st
    cdef int i, at, start
    cdef uint16_t size
    for i in range(1, v.n):
        if not bind_in(v, i, guest, glen):
            continue
        start = bind_name(v, i)
        if fstatat(d, v.b[i].guest + start, &st, AT_SYMLINK_NOFOLLOW) < 0 or not type_differs(&st, &v.b[i]):
            continue
        at = 0
        while at < used:
            memcpy(&size, list_buffer + at + 16, 2)
            if strcmp(list_buffer + at + (19 if wide else 18), v.b[i].guest + start) == 0 and c_fstat(v.b[i].fd, &st) == 0:
                list_buffer[at + (18 if wide else size - 1)] = <char>(st.st_mode >> 12 & 15)
            at += size

cdef int list_here(Tracee *t, int d, int64_t at, int64_t room) noexcept nogil:
    """Do the guest's call on a duplicate of its descriptor; W1 is the directory.  Return the call's result or -ESRCH."""
    cdef bint wide = t.nr == NR_getdents64, tail = LIST_TAIL <= at <= LIST_TAIL + LIST_MOST
    cdef int used = 0, error
    if not tail:
        used = <int>c_syscall(NR_getdents64 if wide else NR_getdents, d, list_buffer, <int>room)
        if used < 0:
            return -errno
        list_types(W1.v, d, W1.g, W1.glen, used, wide)
    if used == 0:
        used = list_tail(W1.v, d, W1.g, W1.glen, at if tail else LIST_TAIL, <int>room, wide)
    error = <int>mem_write(t.tid, t.args[1], list_buffer, used) if used > 0 else 0
    if error < 0:
        lseek(d, at, SEEK_SET)
    return error if error < 0 else used

cdef int list_whole(Tracee *t, int d) noexcept nogil:
    """Give the guest what fits; where its buffer runs into a hole, as the kernel, what fits before the hole."""
    cdef int64_t at = lseek(d, 0, SEEK_CUR), room = <unsigned int>t.args[2]
    cdef int result
    if at < 0:
        return <int>-errno
    if room > 0x7fffffff:
        # negative for the kernel: nothing fits
        return -EINVAL
    if room > LIST_BUFFER:
        room = LIST_BUFFER
    result = list_here(t, d, at, room)
    while result == -EFAULT:
        room = <int64_t>((t.args[1] + <uint64_t>room - 1) & ~<uint64_t>4095) - <int64_t>t.args[1]
        if room <= 0:
            break
        result = list_here(t, d, at, room)
        if result == -EINVAL:
            result = -EFAULT
            break
    return result

cdef int on_getdents(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Only views with such names stop here, and only their parents are read by us."""
    cdef int result, d, fd = <int>t.args[0]
    cdef Entry *e
    if t.compat and t.nr == NR_getdents:
        # its records have no room for the positions; every C library of the last twenty years uses the other
        return R_CONT
    W1.anchored = False
    if fd < 0 or walk_to_fd(&W1, t, fd) < 0:
        return R_CONT
    walk_drop_fd(&W1)
    e = view_find(W1.v, hash_more(FNV, W1.g, W1.glen), W1.g, W1.glen) if W1.bi >= 0 else NULL
    if e == NULL or e.below == 0:
        return R_CONT
    d = guest_socket(t, fd)
    if d < 0:
        return R_CONT
    result = list_whole(t, d)
    c_close(d)
    return R_DEAD if result == -ESRCH else answer(t, result)
