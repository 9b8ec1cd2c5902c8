# AF_UNIX addresses on the way out: the guest gets back the text that it bound (sockets.pxi remembers it).

cdef int on_sockout(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef int size
    t.saved[0] = t.args[row.path]
    t.saved[1] = t.args[row.flags]
    t.saved[3] = t.args[0]
    t.saved[4] = t.nr
    if t.saved[0] == 0:
        return as_is(b"nobody wants the name")
    if mem_read(t.tid, t.saved[1], &size, 4) < 0:
        return sock_fault(t, row.flags)
    if size < 0:
        return as_is(b"EINVAL")
    t.saved[2] = size
    keep_bytes(t, 0, 1, t.saved[0], size)
    if t.nr == NR_recvfrom:
        peek_sender(t, <int>t.args[0], size)
    t.exit_action = X_SOCKNAME
    return R_EXIT

cdef enum:
    KEEP = 128               # bytes of a guest buffer that the kernel may fill with a host text

cdef char *keep_bytes(Tracee *t, int which, int count, uint64_t pointer, int size) noexcept nogil:
    """Remember what a guest's address buffer holds: a host text longer than the guest's must leave no trace behind it."""
    cdef char *to
    if which == 0:
        free(t.note)
        t.note = <char *>calloc(count, KEEP)
    if t.note == NULL:
        return NULL
    to = t.note + which * KEEP
    if size > KEEP:
        size = KEEP
    if size > 0 and mem_read(t.tid, pointer, to, size) < 0:
        memset(to, 0, KEEP)
    return to

cdef void put_address(
    Tracee *t, int which, uint64_t pointer, unsigned int room, SockAddr *sa, unsigned int now, unsigned int dirty
) noexcept nogil:
    """Write a translated address and give back the bytes behind it that the kernel overwrote."""
    cdef unsigned int n = room if room < now else now
    if dirty > room:
        dirty = room
    if t.note != NULL and dirty > n and dirty <= KEEP:
        mem_write(t.tid, pointer + n, t.note + which * KEEP + n, dirty - n)
    mem_write(t.tid, pointer, sa, n)

cdef int real_address(Tracee *t, int fd, bint peer, SockAddr *sa, unsigned int *size) noexcept nogil:
    """Ask the guest's socket itself: the copy in guest memory may be cut short."""
    cdef int result, mine = guest_socket(t, fd)
    if mine < 0:
        return -1
    size[0] = sizeof(SockAddr)
    result = pyroot_socket_name(mine, peer, sa, size)
    c_close(mine)
    return result

cdef int guest_socket(Tracee *t, int fd) noexcept nogil:
    """Return a descriptor of ours for a socket (or directory) of the guest, or -1."""
    cdef int process = -1, mine
    if t.tid != t.tgid:
        # PIDFD_THREAD (Linux 6.9): a thread may have a table of its own
        process = <int>c_syscall(SYS_pidfd_open, t.tid, O_EXCL)
    if process < 0:
        process = <int>c_syscall(SYS_pidfd_open, t.tgid, 0)
    if process < 0:
        return -1
    mine = <int>c_syscall(SYS_pidfd_getfd, process, fd, 0)
    c_close(process)
    return mine

cdef void peek_sender(Tracee *t, int fd, uint64_t room) noexcept nogil:
    """Look at the next sender's whole address before a receive whose buffer would cut it short."""
    cdef SockAddr sa
    cdef unsigned int size = sizeof(SockAddr)
    cdef int mine
    t.sender_len = 0
    if room >= 2 + SUN_MAX:
        return
    mine = guest_socket(t, fd)
    if mine >= 0:
        if pyroot_peek_sender(mine, &sa, &size) == 0 and size <= sizeof(t.sender):
            t.sender_len = size
            memcpy(t.sender, &sa, size)
        c_close(mine)

cdef int sender_back(Tracee *t, SockAddr *sa, int have, unsigned int size) noexcept nogil:
    """If the address was peeked, complete the cut one; return how much of it is known now."""
    if have < <int>size and t.sender_len == size and memcmp(t.sender, sa, have) == 0:
        memcpy(sa, t.sender, size)
        return <int>size
    return have

cdef void exit_sockname(Tracee *t, int64_t result) noexcept nogil:
    cdef SockAddr sa
    cdef unsigned int now, size
    cdef int got
    if result < 0 or mem_read(t.tid, t.saved[1], &now, 4) < 0 or now < 3:
        return
    memset(&sa, 0, sizeof(sa))
    got = <int>t.saved[2] if t.saved[2] < now else <int>now
    if got > <int>sizeof(sa) or (got > 0 and mem_read(t.tid, t.saved[0], &sa, got) < 0):
        return
    if t.saved[4] == NR_recvfrom:
        got = sender_back(t, &sa, got, now)
    if got < 2 and t.saved[4] == NR_recvfrom:
        # not even the family is there: it is the receiving socket's
        if real_address(t, <int>t.saved[3], False, &sa, &size) < 0:
            return
        got = 2
    if got < 2 or got < <int>now:
        # cut short: the whole text is needed to translate it
        if t.saved[4] == NR_recvfrom or real_address(t, <int>result if t.saved[4] == NR_accept or t.saved[4] == NR_accept4
                                                     else <int>t.saved[3], t.saved[4] != NR_getsockname, &sa, &size) < 0:
            if got < 2:
                return
        else:
            got = <int>now
    size = now
    now = address_back(&sa, got, now)
    if now == 0:
        return
    put_address(t, 0, t.saved[0], <unsigned int>t.saved[2], &sa, now, size)
    mem_write(t.tid, t.saved[1], &now, 4)

cdef unsigned int address_back(SockAddr *sa, int have, unsigned int size) noexcept nogil:
    """Turn a socket address into guest terms in place; return its true length, 0 to leave it alone."""
    cdef char guest[SUN_MAX + 4]
    cdef int n, k, length = <int>size - 3
    if sa.family != AF_UNIX or have < 2 or length < 1 or (have > 2 and sa.path[0] == 0):
        return 0
    n = have - 2 if have - 2 < length else length
    if have == <int>size and sa.path[length] != 0:
        n = length = length + 1
    k = name_guest(sa.path, n, length, guest)
    if k == 0:
        return 0
    memcpy(sa.path, guest, k)
    sa.path[k] = 0
    return 2 + k + 1

cdef int on_recvmsg(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef c_msghdr header
    cdef int begun
    if header_read(t, t.args[1], &header) < 0:
        return sock_fault(t, 1)
    begun = copies_taken(t, &header)
    if begun >= 0:
        return begun
    if header.msg_name == NULL and not takes_rights(t, &header):
        return as_is(b"neither a name nor descriptors can come back")
    t.saved[0] = t.args[1]
    t.saved[1] = header.msg_namelen
    if header.msg_name != NULL:
        keep_bytes(t, 0, 1, <uint64_t>header.msg_name, header.msg_namelen)
        peek_sender(t, <int>t.args[0], header.msg_namelen)
    t.exit_action = X_RECVMSG
    return R_EXIT

cdef void header_back(Tracee *t, int which, uint64_t pointer, unsigned int room) noexcept nogil:
    """Translate the sender's name in a msghdr that the kernel has filled in."""
    cdef c_msghdr header
    cdef SockAddr sa
    cdef unsigned int now
    cdef int got
    if header_read(t, pointer, &header) < 0:
        return
    rights_taken(t, &header)
    if header.msg_name == NULL or header.msg_namelen < 3:
        return
    memset(&sa, 0, sizeof(sa))
    got = <int>(room if room < header.msg_namelen else header.msg_namelen)
    if got > <int>sizeof(sa) or mem_read(t.tid, <uint64_t>header.msg_name, &sa, got) < 0:
        return
    if t.exit_action == X_NONE and which == 0:
        got = sender_back(t, &sa, got, header.msg_namelen)
    now = address_back(&sa, got, header.msg_namelen)
    if now == 0:
        return
    put_address(t, which, <uint64_t>header.msg_name, room, &sa, now, header.msg_namelen)
    mem_write(t.tid, pointer + (4 if t.compat else 8), &now, 4)

cdef int on_recvmmsg(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Keep the room of each name, which the kernel overwrites, and what its buffer holds."""
    cdef c_msghdr header
    cdef uint64_t i, count = t.args[2]
    cdef int begun
    cdef bint wanted = False
    if count > 1024:
        count = 1024
    free(t.rooms)
    t.rooms = <unsigned int *>calloc(count + 1, sizeof(unsigned int))
    if t.rooms == NULL:
        return answer(t, -ENOMEM)
    if count == 0:
        return as_is(b"no messages")
    keep_bytes(t, 0, <int>count, 0, 0)
    for i in range(count):
        if header_read(t, message_at(t, t.args[1], i), &header) < 0:
            return sock_fault(t, 1)
        begun = copies_taken(t, &header)
        if begun >= 0:
            return begun
        t.rooms[i] = header.msg_namelen
        wanted |= takes_rights(t, &header)
        if header.msg_name != NULL:
            wanted = True
            if i > 0 or t.note != NULL:
                recv_keep(t, i, <uint64_t>header.msg_name, header.msg_namelen)
    if not wanted:
        return as_is(b"neither names nor descriptors can come back")
    t.saved[0] = t.args[1]
    t.saved[1] = count
    t.sender_len = 0
    t.exit_action = X_RECVMMSG
    return R_EXIT

cdef void recv_keep(Tracee *t, uint64_t i, uint64_t pointer, unsigned int size) noexcept nogil:
    if size > KEEP:
        size = KEEP
    if t.note != NULL and size > 0:
        mem_read(t.tid, pointer, t.note + i * KEEP, size)

cdef void exit_recvmmsg(Tracee *t, int64_t result) noexcept nogil:
    cdef int64_t i
    for i in range(result if result < <int64_t>t.saved[1] else <int64_t>t.saved[1]):
        header_back(t, <int>i, message_at(t, t.saved[0], i), t.rooms[i])
