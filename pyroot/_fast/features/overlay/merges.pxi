# Listings of directories that several layers have, or UPPER alone: read by the supervisor.
#
# A list is made when a directory is read from its beginning, and kept for as long as others do not push it out.  The position of the open
# file says which list it reads, and where: so duplicates, children and lseek(2) need no record.  A list that has been pushed out is made
# anew, in the same order as long as nothing changes.
#
# Decides: positions, and how many lists are kept.

cdef enum:
    MERGES = 64              # lists kept
    MERGE_NAMES = 22         # bits of a position that say which name, and which list
    MERGE_LISTS = 18
    MERGE_NAMES_COMPAT = 21
    MERGE_LISTS_COMPAT = 9

#: The first position of a list: no file system gives such out, and all take them (as in listing.pxi); for 32-bit calls it has 31 bits.
cdef int64_t MERGE_FIRST = <int64_t>1 << 41
cdef int64_t MERGE_FIRST_COMPAT = <int64_t>1 << 30

cdef struct Merge:
    uint64_t number          # 0: free
    merge_list list

cdef Merge merges[MERGES]
cdef uint64_t merge_last = 0

cdef void merges_forget() noexcept nogil:
    cdef int i
    for i in range(MERGES):
        if merges[i].number != 0:
            merge_free(&merges[i].list)
        merges[i].number = 0

cdef Merge *merge_kept(uint64_t number, int bits) noexcept nogil:
    cdef int i
    for i in range(MERGES):
        if merges[i].number != 0 and merges[i].number & ((<uint64_t>1 << bits) - 1) == number:
            return &merges[i]
    return NULL

cdef void merge_hidden(const OverSpot *s, merge_list *names) noexcept nogil:
    """Take out what guests do not see."""
    cdef const char *name = hidden_name()
    cdef int k
    for k in range(s.o.n if hidden_len > 0 else 0):
        if s.f.merged >> k & 1 and is_hidden_in(over_host(s, k), <int>strlen(over_host(s, k)), name):
            merge_hide(names, name, strlen(name))

cdef Merge *merge_new(View *v, OverSpot *s) noexcept nogil:
    """Make the list of a directory: what the layers have, and the mount points in it."""
    global merge_last
    cdef Merge *m
    cdef OverSpot above
    cdef c_stat st
    cdef int i, start, glen
    merge_last += 1
    if merge_last & ((1 << MERGE_LISTS_COMPAT) - 1) == 0:
        merge_last += 1
    m = &merges[merge_last % MERGES]
    if m.number != 0:
        merge_free(&m.list)
    m.number = 0
    memset(&above, 0, sizeof(above))
    over_spot(&above, s.o, s.rel, over_above(s.rel, s.n))
    st = s.st
    i = merge_all(s.o, s.rel, s.n, s.f.merged, &m.list)
    if i < 0:
        return NULL
    merge_hidden(s, &m.list)
    glen = W1.glen
    for i in range(1, v.n):
        if not bind_in(v, i, W1.g, glen):
            continue
        start = bind_name(v, i)
        if v.b[i].flags & BIND_MASK:
            merge_hide(&m.list, v.b[i].guest + start, v.b[i].guestlen - start)
        elif c_fstat(v.b[i].fd, &st) == 0:
            merge_add(&m.list, v.b[i].guest + start, v.b[i].guestlen - start, st.st_ino, st.st_mode >> 12 & 15, False)
    merge_add(&m.list, b".", 1, layers_shown(s.o, s.rel, s.n, &s.f, &s.st), DT_DIR_, False)
    merge_add(&m.list, b"..", 2, layers_shown(s.o, above.rel, above.n, &above.f, &above.st) if above.error == 0 else 0, DT_DIR_, False)
    m.number = merge_last
    return m

cdef int over_listed(Tracee *t) noexcept nogil:
    """getdents, getdents64."""
    cdef Listing l
    cdef OverSpot s
    cdef int fd = <int>t.call.args[0], result
    cdef int64_t at
    W1.anchored = False
    if fd < 0 or walk_to_fd(&W1, t, fd) < 0:
        return TAKE_NOT
    walk_drop_fd(&W1)
    if fd_flags(t, fd) & O_PATH:
        # EBADF
        return TAKE_NOT
    if W1.over_gone:
        return answer(t, -ENOENT)
    if over_of(&W1) == NULL:
        return TAKE_NOT
    over_at(&s, &W1)
    if s.error < 0 or not S_ISDIR(s.st.st_mode) or (s.f.attr > 0 and s.f.merged & (s.f.merged - 1) == 0):
        # (what is one lower directory's alone the kernel lists)
        return TAKE_NOT
    l.d = guest_socket(t, fd)
    l.shared = True
    if l.d < 0:
        return answer(t, -EPERM)
    at = lseek(l.d, 0, SEEK_CUR)
    if at < 0:
        c_close(l.d)
        return TAKE_NOT
    listing_set(&l, t.call.nr, t.call.compat)
    result = over_list(t, &l, &s, at)
    c_close(l.d)
    return R_DEAD if result == -ESRCH else answer(t, result)

cdef int over_list(Tracee *t, const Listing *l, OverSpot *s, int64_t at) noexcept nogil:
    """Give the guest what fits; its bytes, or -errno."""
    cdef int bits = MERGE_NAMES_COMPAT if l.compat else MERGE_NAMES, lists = MERGE_LISTS_COMPAT if l.compat else MERGE_LISTS
    cdef int64_t first = MERGE_FIRST_COMPAT if l.compat else MERGE_FIRST, place
    cdef int64_t room = <unsigned int>t.call.args[2]
    cdef Merge *m = NULL
    cdef const merge_name *name
    cdef uint32_t i = 0
    cdef int used = 0, size
    if room > 0x7fffffff:
        return -EINVAL
    room = LIST_BUFFER if room > LIST_BUFFER else room
    if first <= at < first + (<int64_t>1 << (bits + lists)):
        i = <uint32_t>((at - first) & ((<int64_t>1 << bits) - 1))
        m = merge_kept((at - first) >> bits, lists)
    m = merge_new(t.view, s) if m == NULL else m
    if m == NULL:
        return -EIO if accessible(AT_FDCWD, over_host(s, s.f.attr), R_OK) == 0 else -EACCES
    place = first + <int64_t>((m.number & ((<uint64_t>1 << lists) - 1)) << bits)
    while i < m.list.names:
        name = &m.list.name[i]
        if not name.hidden:
            size = record_put(l, list_buffer + used, <int>room - used, m.list.text + name.at, name.length, name.ino, place + i + 1,
                              name.kind)
            if size == 0:
                break
            used += size
        i += 1
    if used == 0 and i < m.list.names:
        return -EINVAL
    if lseek(l.d, place + i, SEEK_SET) < 0:
        return -errno
    size = <int>mem_write(t.tid, t.call.args[1], list_buffer, used) if used > 0 else 0
    if size < 0:
        lseek(l.d, at, SEEK_SET)
    return size if size < 0 else used
