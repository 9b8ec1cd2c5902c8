# What a directory lists: mount points whose name the host directory does not hold.
#
# The names come behind the host's own.  Their positions are numbers that no file system gives out, and the open file itself keeps
# them as its offset: so duplicates, children, lseek(2), telldir(3) and buffers of any size need no record here.  The supervisor
# reads such a directory through a duplicate of the guest's descriptor, which shares that offset.  File systems give 32-bit calls
# other positions, so those read the host's names themselves, and we add to the result.

cdef enum:
    LIST_BUFFER = 65536
    LIST_MOST = 65000        # positions behind the first of ours
    DT_DIR_ = 4
    DT_LNK_ = 10

#: The first position behind the host's names: below what ext4 allows in a directory without an index (2**44).
cdef int64_t LIST_TAIL = 0x1e770720000
#: The same for 32-bit calls, whose positions have 31 bits; the last one is the end for many file systems.
cdef int64_t LIST_TAIL_COMPAT = 0x7fff0000

cdef struct Listing:
    int d                    # our duplicate of the descriptor; W1 is the directory
    bint wide                # struct linux_dirent64, else linux_dirent, or compat_linux_dirent
    bint compat
    int size_at, name_at     # offsets of d_reclen and d_name
    int64_t tail             # the first position of ours

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

cdef void listing_set(Listing *l, uint64_t nr, bint compat) noexcept nogil:
    l.wide = nr == NR_getdents64
    l.compat = compat
    l.size_at = 8 if compat and not l.wide else 16
    l.name_at = l.size_at + (3 if l.wide else 2)
    l.tail = LIST_TAIL_COMPAT if compat else LIST_TAIL

cdef inline bint in_tail(const Listing *l, int64_t at) noexcept nogil:
    return l.tail <= at <= l.tail + LIST_MOST

cdef int record_put(const Listing *l, char *to, int room, const char *name, int n, uint64_t ino, int64_t next, int kind) noexcept nogil:
    """Write a record; return its length or 0 if there is no room."""
    cdef int word = l.size_at // 2, align = 3 if word == 4 else 7
    cdef uint16_t size = (l.name_at + n + (1 if l.wide else 2) + align) & ~align
    if size > room:
        return 0
    memset(to, 0, size)
    memcpy(to, &ino, word)
    memcpy(to + word, &next, word)
    memcpy(to + l.size_at, &size, 2)
    memcpy(to + l.name_at, name, n)
    to[18 if l.wide else size - 1] = <char>kind
    return size

cdef int list_tail(const Listing *l, int64_t at, int room) noexcept nogil:
    """Fill list_buffer with the names behind the host's own, from position ``at`` on; return the bytes or -errno."""
    cdef View *v = W1.v
    cdef c_stat st
    cdef int i, k = 0, used = 0, size, start
    cdef int64_t next = at
    if lseek(l.d, l.tail + LIST_MOST, SEEK_SET) < 0:
        # a file system that has no such positions: its own names must do
        return 0
    for i in range(1, v.n):
        if not bind_in(v, i, W1.g, W1.glen):
            continue
        k += 1
        if l.tail + k <= at or k >= LIST_MOST:
            continue
        start = bind_name(v, i)
        if fstatat(l.d, v.b[i].guest + start, &st, AT_SYMLINK_NOFOLLOW) == 0 or errno != ENOENT or c_fstat(v.b[i].fd, &st) < 0:
            continue
        size = record_put(l, list_buffer + used, room - used, v.b[i].guest + start, v.b[i].guestlen - start, st.st_ino,
                          l.tail + k, st.st_mode >> 12 & 15)
        if size == 0:
            if used == 0:
                used = -EINVAL
            break
        used += size
        next = l.tail + k
    else:
        next = l.tail + k
    lseek(l.d, next, SEEK_SET)
    return used

cdef bint list_types(const Listing *l, int used) noexcept nogil:
    """Give names of the host that a mount of another kind covers the type of what is bound; say whether there are any."""
    cdef View *v = W1.v
    cdef c_stat st
    cdef int i, at, start
    cdef uint16_t size
    cdef bint changed = False
    for i in range(1, v.n):
        if not bind_in(v, i, W1.g, W1.glen):
            continue
        start = bind_name(v, i)
        if fstatat(l.d, v.b[i].guest + start, &st, AT_SYMLINK_NOFOLLOW) < 0 or not type_differs(&st, &v.b[i]):
            continue
        at = 0
        while at < used:
            memcpy(&size, list_buffer + at + l.size_at, 2)
            if strcmp(list_buffer + at + l.name_at, v.b[i].guest + start) == 0 and c_fstat(v.b[i].fd, &st) == 0:
                list_buffer[at + (18 if l.wide else size - 1)] = <char>(st.st_mode >> 12 & 15)
                changed = True
            at += size
    return changed

cdef int list_here(Tracee *t, const Listing *l, int64_t at, int64_t room) noexcept nogil:
    """Do the guest's call on our duplicate of its descriptor; return its result or -ESRCH."""
    cdef int used = 0, error
    if not in_tail(l, at):
        used = <int>c_syscall(NR_getdents64 if l.wide else NR_getdents, l.d, list_buffer, <int>room)
        if used < 0:
            return -errno
        list_types(l, used)
    if used == 0:
        used = list_tail(l, at if in_tail(l, at) else l.tail, <int>room)
    error = <int>mem_write(t.tid, t.args[1], list_buffer, used) if used > 0 else 0
    if error < 0:
        lseek(l.d, at, SEEK_SET)
    return error if error < 0 else used

cdef int list_whole(Tracee *t, const Listing *l, int64_t at) noexcept nogil:
    """Give the guest what fits; where its buffer runs into a hole, as the kernel, what fits before the hole."""
    cdef int64_t room = <unsigned int>t.args[2]
    cdef int result
    if room > 0x7fffffff:
        # negative for the kernel: nothing fits
        return -EINVAL
    if room > LIST_BUFFER:
        room = LIST_BUFFER
    result = list_here(t, l, at, room)
    while result == -EFAULT:
        room = <int64_t>((t.args[1] + <uint64_t>room - 1) & ~<uint64_t>4095) - <int64_t>t.args[1]
        if room <= 0:
            break
        result = list_here(t, l, at, room)
        if result == -EINVAL:
            result = -EFAULT
            break
    return result

cdef int list_open(Tracee *t, int fd) noexcept nogil:
    """If a descriptor is a directory with mount points directly in it, put W1 there and return a duplicate of it, else -1."""
    cdef Entry *e
    W1.anchored = False
    if fd < 0 or walk_to_fd(&W1, t, fd) < 0:
        return -1
    walk_drop_fd(&W1)
    e = view_find(W1.v, hash_more(FNV, W1.g, W1.glen), W1.g, W1.glen) if W1.bi >= 0 else NULL
    return guest_socket(t, fd) if e != NULL and e.below > 0 else -1

cdef int on_getdents(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Only views with such names stop here, and only their parents are read by us."""
    cdef Listing l
    cdef int64_t at
    cdef int result
    l.d = list_open(t, <int>t.args[0])
    if l.d < 0:
        return R_CONT
    listing_set(&l, t.nr, t.compat)
    at = lseek(l.d, 0, SEEK_CUR)
    if at < 0 or (t.compat and not in_tail(&l, at)):
        c_close(l.d)
        memcpy(t.saved, t.args, 3 * sizeof(uint64_t))
        t.saved[3] = t.nr
        t.exit_action = X_LIST if t.compat else X_NONE
        return R_EXIT if t.compat else R_CONT
    result = list_whole(t, &l, at)
    c_close(l.d)
    return R_DEAD if result == -ESRCH else answer(t, result)

cdef int exit_list(Tracee *t, int64_t result) noexcept nogil:
    """A 32-bit call has read the host's names: correct their types, or begin with those behind them."""
    cdef Listing l
    cdef int used = <int>result
    if result > LIST_BUFFER:
        return R_CONT
    l.d = list_open(t, <int>t.saved[0])
    if l.d < 0:
        return R_CONT
    listing_set(&l, t.saved[3], True)
    if used > 0:
        if mem_read(t.tid, t.saved[1], list_buffer, used) == 0 and list_types(&l, used):
            mem_write(t.tid, t.saved[1], list_buffer, used)
    else:
        used = list_tail(&l, l.tail, <int>t.saved[2] if t.saved[2] < LIST_BUFFER else LIST_BUFFER)
        if used > 0 and mem_write(t.tid, t.saved[1], list_buffer, used) < 0:
            used = -EFAULT
        if used != 0:
            reg_poke(t, PYROOT_REG_RESULT, <uint64_t><int64_t>used)
    c_close(l.d)
    return R_CONT
