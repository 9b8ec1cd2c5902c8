# What a directory lists: mount points whose name the host directory does not hold.
#
# The names come after the host's own.  Their positions are numbers that no file system gives out, and the open file itself keeps
# them as its offset: so duplicates, children, lseek(2), telldir(3) and buffers of any size need no record here.  The supervisor
# reads such a directory through a duplicate of the guest's descriptor, which shares that offset.  File systems give 32-bit calls
# other positions, so those read the host's names themselves, and we add to the result; so does everybody where pidfd_getfd(2) is
# refused (as by Docker): then we note at which end of a listing we have added the names, and their position is that end.

cdef enum:
    LIST_BUFFER = 65536
    LIST_MOST = 65000        # positions after our first one
    LIST_STRIDE = 65536
    DT_DIR_ = 4
    DT_LNK_ = 10

#: The first position after the host's names: below what ext4 allows in a directory without an index (2**44).
cdef int64_t LIST_TAIL = 0x1e770720000
#: The same for 32-bit calls, whose positions have 31 bits; the last one is the end for many file systems.
cdef int64_t LIST_TAIL_COMPAT = 0x7fff0000

cdef struct Listing:
    int d                    # our duplicate of the descriptor; W1 is the directory
    bint wide                # struct linux_dirent64, else linux_dirent, or compat_linux_dirent
    bint compat
    int size_at, name_at     # offsets of d_reclen and d_name
    int64_t tail             # our first position
    bint shared              # d shares the offset; else it is an O_PATH descriptor
    int64_t end              # not shared: the offset after the host's names

cdef struct ListNote:        # not shared: the names have been given
    int tgid, fd
    uint64_t file
    int64_t end

cdef ListNote list_notes[256]

cdef char list_buffer[LIST_BUFFER]

cdef bint bind_in(View *v, int i, const char *guest, int n) noexcept nogil:
    """Say whether a binding's mount point lies directly in a guest directory."""
    return v.b[i].guestlen > n + 1 and bind_name(v, i) == n + 1 and memcmp(v.b[i].guest, guest, n) == 0

cdef void listing_set(Listing *l, uint64_t nr, bint compat) noexcept nogil:
    l.wide = nr == NR_getdents64
    l.compat = compat
    l.size_at = 8 if compat and not l.wide else 16
    l.name_at = l.size_at + (3 if l.wide else 2)
    # (those of a pyroot around us are others)
    l.tail = LIST_TAIL_COMPAT - nesting * LIST_STRIDE if compat else LIST_TAIL + nesting * LIST_STRIDE

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

cdef bint list_holds(int d, const char *name) noexcept nogil:
    """Say whether the host directory has a name; one that may be read but not searched is read."""
    cdef char link[48]
    cdef c_stat st
    if fstatat(d, name, &st, AT_SYMLINK_NOFOLLOW) == 0:
        return True
    if errno != EACCES:
        return errno != ENOENT
    # (through /proc, since "." of the descriptor is a search, too)
    snprintf(link, sizeof(link), b"/proc/self/fd/%d", d)
    return lists_name(link, name) != 0

cdef int list_tail(const Listing *l, int64_t at, int room) noexcept nogil:
    """Fill list_buffer with the names after the host's own, from position ``at`` on; return the bytes or -errno."""
    cdef View *v = W1.v
    cdef c_stat st
    cdef int i, k = 0, used = 0, size, start
    cdef int64_t next = at
    if l.shared and lseek(l.d, l.tail + LIST_MOST, SEEK_SET) < 0:
        # a file system that has no such positions: its own names must do
        return 0
    for i in range(1, v.n):
        if v.b[i].flags & BIND_MASK or not bind_in(v, i, W1.g, W1.glen):
            continue
        k += 1
        if l.tail + k <= at or k >= LIST_MOST:
            continue
        start = bind_name(v, i)
        if list_holds(l.d, v.b[i].guest + start) or c_fstat(v.b[i].fd, &st) < 0:
            continue
        size = record_put(l, list_buffer + used, room - used, v.b[i].guest + start, v.b[i].guestlen - start, st.st_ino,
                          l.tail + k if l.shared else l.end, st.st_mode >> 12 & 15)
        if size == 0:
            if used == 0:
                used = -EINVAL
            break
        used += size
        next = l.tail + k
    else:
        next = l.tail + k
    if l.shared:
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
        if v.b[i].flags & BIND_MASK or not bind_in(v, i, W1.g, W1.glen):
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

cdef int list_without(const Listing *l, int at, int used) noexcept nogil:
    """Take a record out of a listing; its new length."""
    cdef uint16_t size
    memcpy(&size, list_buffer + at + l.size_at, 2)
    if size == used:
        # (an end, it would seem) everybody passes over this one
        memcpy(list_buffer + l.name_at, b".", 2)
        return used
    memmove(list_buffer + at, list_buffer + at + size, used - at - size)
    return used - size

cdef int list_shown(const Listing *l, const char *host, int n, int used) noexcept nogil:
    """Take out of a listing what guests do not see (ways.pxi); its new length."""
    cdef int at = 0
    cdef uint16_t size
    while at < used:
        memcpy(&size, list_buffer + at + l.size_at, 2)
        if is_hidden_in(host, n, list_buffer + at + l.name_at):
            return list_without(l, at, used)
        at += size
    return used

cdef int list_unmasked(const Listing *l, int used) noexcept nogil:
    """Take masked names out of a listing of the place of W1; its new length."""
    cdef View *v = W1.v
    cdef int i, at
    cdef uint16_t size
    for i in range(1, v.n):
        at = 0
        while at < used and v.b[i].flags & BIND_MASK and bind_in(v, i, W1.g, W1.glen):
            memcpy(&size, list_buffer + at + l.size_at, 2)
            if strcmp(list_buffer + at + l.name_at, v.b[i].guest + bind_name(v, i)) == 0:
                used = list_without(l, at, used)
                break
            at += size
    return used

cdef int list_here(Tracee *t, const Listing *l, int64_t at, int64_t room) noexcept nogil:
    """Do the guest's call on our duplicate of its descriptor; return its result or -ESRCH."""
    cdef int used = 0, error
    if not in_tail(l, at):
        used = <int>c_syscall(NR_getdents64 if l.wide else NR_getdents, l.d, list_buffer, <int>room)
        if used < 0:
            return -errno
        if hidden_len > 0 and used > 0:
            used = list_shown(l, W1.h, W1.hlen, used)
        used = list_unmasked(l, used)
        list_types(l, used)
    if used == 0:
        used = list_tail(l, at if in_tail(l, at) else l.tail, <int>room)
    error = <int>mem_write(t.tid, t.call.args[1], list_buffer, used) if used > 0 else 0
    if error < 0:
        lseek(l.d, at, SEEK_SET)
    return error if error < 0 else used

cdef int list_whole(Tracee *t, const Listing *l, int64_t at) noexcept nogil:
    """Give the guest what fits; if its buffer runs into a hole, what fits before the hole, as the kernel does."""
    cdef int64_t room = <unsigned int>t.call.args[2]
    cdef int result
    if room > 0x7fffffff:
        # negative for the kernel: nothing fits
        return -EINVAL
    if room > LIST_BUFFER:
        room = LIST_BUFFER
    result = list_here(t, l, at, room)
    while result == -EFAULT:
        room = <int64_t>((t.call.args[1] + <uint64_t>room - 1) & ~<uint64_t>4095) - <int64_t>t.call.args[1]
        if room <= 0:
            break
        result = list_here(t, l, at, room)
        if result == -EINVAL:
            result = -EFAULT
            break
    return result

cdef bint list_open(Tracee *t, int fd, Listing *l) noexcept nogil:
    """If a descriptor is a directory with mount points directly in it, put W1 there and open l.d; else say False."""
    cdef Entry *e
    cdef char link[48]
    W1.anchored = False
    if fd < 0 or walk_to_fd(&W1, t, fd) < 0:
        return False
    walk_drop_fd(&W1)
    e = view_find(W1.v, hash_more(FNV, W1.g, W1.glen), W1.g, W1.glen) if W1.bi >= 0 else NULL
    if e == NULL or e.below == 0:
        return False
    l.d = guest_socket(t, fd)
    l.shared = l.d >= 0
    if not l.shared:
        snprintf(link, sizeof(link), b"/proc/%d/fd/%d", t.tid, fd)
        l.d = c_open(link, O_PATH | O_DIRECTORY | O_CLOEXEC)
    return l.d >= 0

cdef void listing_begin(View *v, const char *text) noexcept nogil:
    if view_needs_listing(v):
        v.features |= FEATURE_LISTING

cdef void feature_listing(Feature *f) noexcept nogil:
    """Listings of directories to which we add names."""
    f.begin = listing_begin

cdef int on_getdents(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Only views with such names stop here, and only their parents are read by us."""
    cdef Listing l
    cdef int64_t at
    cdef int result
    if not list_open(t, <int>t.call.args[0], &l):
        return as_is(b"not a directory to which names of ours are added")
    listing_set(&l, t.call.nr, t.call.compat)
    at = lseek(l.d, 0, SEEK_CUR) if l.shared else 0
    if at < 0:
        c_close(l.d)
        return as_is(b"a descriptor that cannot be read")
    if not l.shared or (t.call.compat and not in_tail(&l, at)):
        c_close(l.d)
        return list_at_end(t)
    result = list_whole(t, &l, at)
    c_close(l.d)
    return R_DEAD if result == -ESRCH else answer(t, result)

cdef struct ListEnd:
    int fd, room             # arguments of the call
    uint64_t buffer
    uint64_t nr
    bint compat

cdef int list_at_end(Tracee *t) noexcept nogil:
    """Let the guest read the host's names itself first."""
    cdef ListEnd *e = <ListEnd *>after(t, end_list, 0)
    e.fd, e.buffer, e.room, e.nr, e.compat = <int>t.call.args[0], t.call.args[1], <int>t.call.args[2], t.call.nr, t.call.compat
    return R_EXIT

cdef int64_t fd_position(Tracee *t, int fd) noexcept nogil:
    cdef Text info
    cdef char name[48]
    cdef int64_t position = -1
    memset(&info, 0, sizeof(info))
    snprintf(name, sizeof(name), b"/proc/%d/fdinfo/%d", t.tid, fd)
    if text_file(&info, name) == 0 and info.p != NULL and starts(info.p, b"pos:\t"):
        position = <int64_t>strtoul(info.p + 5, NULL, 10)
    free(info.p)
    return position

cdef inline ListNote *list_note(Tracee *t, int fd) noexcept nogil:
    return &list_notes[(<unsigned int>t.tgid * 131 + <unsigned int>fd) & 255]

cdef int list_behind(Tracee *t, Listing *l, int fd, int room) noexcept nogil:
    """The host's names are exhausted: give those after them, once if only a note tells that they have been given."""
    cdef ListNote *note = list_note(t, fd)
    cdef uint64_t file = 0
    cdef int used
    if not l.shared:
        l.end = fd_position(t, fd)
        file = fd_file(t.tid, fd)
        if note.tgid == t.tgid and note.fd == fd and note.file == file and note.end == l.end:
            note.tgid = 0
            return 0
    used = list_tail(l, l.tail, room if 0 <= room < LIST_BUFFER else LIST_BUFFER)
    if not l.shared and used > 0:
        note.tgid = t.tgid
        note.fd = fd
        note.file = file
        note.end = l.end
    return used

cdef int end_list(Tracee *t, After *a, int64_t result) noexcept nogil:
    """The guest has read the host's names itself: correct their types, or begin with those after them."""
    cdef Listing l
    cdef ListEnd *e = <ListEnd *>a.data
    cdef int used = <int>result
    if result < 0 or result > LIST_BUFFER or not list_open(t, e.fd, &l):
        return R_CONT
    listing_set(&l, e.nr, e.compat)
    if used > 0:
        list_note(t, e.fd).tgid = 0
        if mem_read(t.tid, e.buffer, list_buffer, used) == 0:
            used = list_unmasked(&l, used)
            if list_types(&l, used) or used != result:
                mem_write(t.tid, e.buffer, list_buffer, used)
                reg_set_result(t, used)
    else:
        used = list_behind(t, &l, e.fd, e.room)
        if used > 0 and mem_write(t.tid, e.buffer, list_buffer, used) < 0:
            used = -EFAULT
        if used != 0:
            reg_set_result(t, <uint64_t><int64_t>used)
    c_close(l.d)
    return R_CONT
