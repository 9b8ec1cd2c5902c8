# What a directory lists: mount points whose name the host directory does not hold.
#
# The names come behind the host's own.  Their positions are numbers that no file system gives out, and the open file itself keeps
# them as its offset: so duplicates, children, lseek(2), telldir(3) and buffers of any size need no record here.  The supervisor
# reads such a directory through a duplicate of the guest's descriptor, which shares that offset.

cdef enum:
    LIST_BUFFER = 65536
    LIST_MOST = 65536        # positions behind LIST_TAIL
    LIST_AT_EXIT = -100000   # no errno: list_here is to be done when the call is over
    DT_DIR_ = 4
    DT_LNK_ = 10
    # forms of a record
    L_OLD = 0                # linux_dirent: the type stands at the end
    L_64 = 1                 # linux_dirent64
    L_COMPAT = 2             # linux_dirent of i386

#: The first position behind the host's names: below what ext4 allows in a directory without an index (2**44).
cdef int64_t LIST_TAIL = 0x1e770720000
#: The same for 32-bit programs, whose C libraries refuse larger positions.  ext4 may give one of these few to one name in a billion.
cdef int64_t LIST_TAIL_I386 = 0x7e770720

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

cdef inline int name_start(int form) noexcept nogil:
    return 19 if form == L_64 else 18 if form == L_OLD else 10

cdef int record_put(char *to, int room, int form, const char *name, int n, uint64_t ino, int64_t next, int kind) noexcept nogil:
    """Write a directory entry; return its length or 0 if there is no room."""
    cdef int start = name_start(form), word = 4 if form == L_COMPAT else 8
    cdef uint16_t size = (start + n + (1 if form == L_64 else 2) + word - 1) & ~(word - 1)
    if size > room:
        return 0
    memset(to, 0, size)
    memcpy(to, &ino, word)
    memcpy(to + word, &next, word)
    memcpy(to + 2 * word, &size, 2)
    memcpy(to + start, name, n)
    to[18 if form == L_64 else size - 1] = <char>kind
    return size

cdef int64_t tail_base(View *v, int64_t at) noexcept nogil:
    """Return the base of the positions behind the host's names that ``at`` is one of, 0 if it is none."""
    if LIST_TAIL <= at <= LIST_TAIL + LIST_MOST:
        return LIST_TAIL
    return LIST_TAIL_I386 if LIST_TAIL_I386 <= at <= LIST_TAIL_I386 + v.n else 0

cdef int list_tail(View *v, int d, const char *guest, int glen, int64_t base, int64_t at, int room, int form) noexcept nogil:
    """Fill list_buffer with the names behind the host's own, from position ``at`` on; return the bytes or -errno."""
    cdef c_stat st
    cdef int i, k = 0, used = 0, size, start
    cdef int64_t next = at
    if lseek(d, base + LIST_MOST, SEEK_SET) < 0:
        # a file system that has no such positions: its own names must do
        return 0
    for i in range(1, v.n):
        if not bind_in(v, i, guest, glen):
            continue
        k += 1
        if base + k <= at or k >= LIST_MOST:
            continue
        start = bind_name(v, i)
        if fstatat(d, v.b[i].guest + start, &st, AT_SYMLINK_NOFOLLOW) == 0 or errno != ENOENT or c_fstat(v.b[i].fd, &st) < 0:
            continue
        size = record_put(list_buffer + used, room - used, form, v.b[i].guest + start, v.b[i].guestlen - start, st.st_ino,
                          base + k, st.st_mode >> 12 & 15)
        if size == 0:
            if used == 0:
                used = -EINVAL
            break
        used += size
        next = base + k
    else:
        next = base + k
    lseek(d, next, SEEK_SET)
    return used

cdef void list_types(View *v, int d, const char *guest, int glen, int used, int form) noexcept nogil:
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
            memcpy(&size, list_buffer + at + (8 if form == L_COMPAT else 16), 2)
            if strcmp(list_buffer + at + name_start(form), v.b[i].guest + start) == 0 and c_fstat(v.b[i].fd, &st) == 0:
                list_buffer[at + (18 if form == L_64 else size - 1)] = <char>(st.st_mode >> 12 & 15)
            at += size

cdef int list_here(Tracee *t, int d) noexcept nogil:
    """Do the guest's call on a duplicate of its descriptor; W1 is the directory.  Return the call's result or -ESRCH."""
    cdef int form = L_64 if t.nr == NR_getdents64 else L_COMPAT if t.compat else L_OLD
    cdef unsigned int room = <unsigned int>t.args[2]
    cdef int64_t at = lseek(d, 0, SEEK_CUR), base = tail_base(W1.v, at)
    cdef int used, error
    if room > LIST_BUFFER:
        room = LIST_BUFFER
    if at < 0:
        return <int>-errno
    used = 0
    if base == 0 and t.compat:
        # positions that the kernel gives to us are too large for it: let it read by itself, and see to its end
        return LIST_AT_EXIT
    if base == 0:
        used = <int>c_syscall(NR_getdents64 if form == L_64 else NR_getdents, d, list_buffer, room)
        if used < 0:
            return -errno
        list_types(W1.v, d, W1.g, W1.glen, used, form)
        base = at = LIST_TAIL
    if used == 0:
        used = list_tail(W1.v, d, W1.g, W1.glen, base, at, <int>room, form)
    if used > 0:
        error = <int>mem_write(t.tid, t.args[1], list_buffer, used)
        if error < 0:
            lseek(d, at, SEEK_SET)
            return error
    return used

cdef void exit_listing(Tracee *t, int64_t result) noexcept nogil:
    """A 32-bit program has read names of the host: the others come behind the last one."""
    cdef int form = <int>t.saved[3], d, fd = <int>t.saved[0], used = <int>result
    W1.anchored = False
    if used < 0 or used > LIST_BUFFER or walk_to_fd(&W1, t, fd) < 0:
        return
    walk_drop_fd(&W1)
    d = guest_socket(t, fd) if W1.bi >= 0 else -1
    if d < 0:
        return
    if used > 0 and mem_read(t.tid, t.saved[1], list_buffer, used) == 0:
        list_types(W1.v, d, W1.g, W1.glen, used, form)
        mem_write(t.tid, t.saved[1], list_buffer, used)
    elif used == 0:
        used = list_tail(W1.v, d, W1.g, W1.glen, LIST_TAIL_I386, LIST_TAIL_I386, <int>t.saved[2], form)
        if used > 0 and mem_write(t.tid, t.saved[1], list_buffer, used) < 0:
            used = -EFAULT
        reg_poke(t, PYROOT_REG_RESULT, <uint64_t><int64_t>used)
    c_close(d)

cdef int on_getdents(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Only views with such names stop here, and only their parents are read by us."""
    cdef int result, d, fd = <int>t.args[0]
    cdef Entry *e
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
    result = list_here(t, d)
    c_close(d)
    if result == LIST_AT_EXIT:
        memcpy(t.saved, t.args, sizeof(t.args))
        t.saved[2] = LIST_BUFFER if t.args[2] > LIST_BUFFER else t.args[2]
        t.saved[3] = L_64 if t.nr == NR_getdents64 else L_COMPAT
        t.exit_action = X_LISTING
        return R_EXIT
    return R_DEAD if result == -ESRCH else answer(t, result)
