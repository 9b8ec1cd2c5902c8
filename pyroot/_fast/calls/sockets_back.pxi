# AF_UNIX addresses on the way out: the guest gets back the text that it bound (sockets.pxi remembers it).

cdef enum:
    KEEP = 128               # bytes of a guest buffer that the kernel may fill with a host text

cdef struct Sender:          # of the next message, as peeked
    unsigned int size
    char address[120]

cdef struct NameEnd:         # of a call that gives a name, or several
    uint64_t at              # the guest's buffer, or its msghdr or array of these
    uint64_t size_at         # where its size is (not of messages)
    int fd, size             # size: of the buffer, or how many messages
    char *kept               # what the buffers hold, KEEP bytes of each (owned)
    Sender *sender           # NULL: nobody has looked (owned)
    unsigned int *rooms      # of each message's buffer (owned)
    int nr

cdef void drop_name(After *a) noexcept nogil:
    name_free(<NameEnd *>a.data)

cdef void name_free(NameEnd *e) noexcept nogil:
    free(e.kept)
    free(e.sender)
    free(e.rooms)

cdef int name_at_end(Tracee *t, AfterEnd end, const NameEnd *e) noexcept nogil:
    (<NameEnd *>after(t, end, 0))[0] = e[0]
    after_last(t).drop = drop_name
    return R_EXIT

cdef int on_sockout(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef int size
    cdef NameEnd e
    memset(&e, 0, sizeof(e))
    e.at = t.call.args[row.path]
    e.size_at = t.call.args[row.flags]
    e.fd = <int>t.call.args[0]
    e.nr = <int>t.call.nr
    if e.at == 0:
        return as_is(b"nobody wants the name")
    if mem_read(t.tid, e.size_at, &size, 4) < 0:
        return sock_fault(t, row.flags)
    if size < 0:
        return as_is(b"EINVAL")
    e.size = size
    e.kept = <char *>calloc(1, KEEP)
    keep_bytes(t, &e, 0, e.at, size)
    if t.call.nr == NR_recvfrom:
        peek_sender(t, &e, size)
    return name_at_end(t, end_name, &e)

cdef void keep_bytes(Tracee *t, NameEnd *e, int which, uint64_t pointer, unsigned int size) noexcept nogil:
    """Remember what a guest's address buffer holds: a host text longer than the guest's must leave no trace after it."""
    if size > KEEP:
        size = KEEP
    if e.kept != NULL and size > 0 and mem_read(t.tid, pointer, e.kept + which * KEEP, size) < 0:
        memset(e.kept + which * KEEP, 0, KEEP)

cdef void put_address(
    Tracee *t, const NameEnd *e, int which, uint64_t pointer, unsigned int room, SockAddr *sa, unsigned int now, unsigned int dirty
) noexcept nogil:
    """Write a translated address and give back the bytes after it that the kernel overwrote."""
    cdef unsigned int n = room if room < now else now
    if dirty > room:
        dirty = room
    if e.kept != NULL and dirty > n and dirty <= KEEP:
        mem_write(t.tid, pointer + n, e.kept + which * KEEP + n, dirty - n)
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
    """Return our own descriptor for a socket (or directory) of the guest, or -1."""
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

cdef void peek_sender(Tracee *t, NameEnd *e, uint64_t room) noexcept nogil:
    """Look at the next sender's whole address before a receive whose buffer would cut it short."""
    cdef SockAddr sa
    cdef unsigned int size = sizeof(SockAddr)
    cdef int mine
    if room >= 2 + SUN_MAX:
        return
    mine = guest_socket(t, e.fd)
    if mine >= 0:
        if pyroot_peek_sender(mine, &sa, &size) == 0 and size <= sizeof(e.sender.address):
            e.sender = <Sender *>calloc(1, sizeof(Sender))
        if e.sender != NULL:
            e.sender.size = size
            memcpy(e.sender.address, &sa, size)
        c_close(mine)

cdef int sender_back(const NameEnd *e, SockAddr *sa, int have, unsigned int size) noexcept nogil:
    """If the address was peeked, complete the cut one; return how much of it is known now."""
    if have < <int>size and e.sender != NULL and e.sender.size == size and memcmp(e.sender.address, sa, have) == 0:
        memcpy(sa, e.sender.address, size)
        return <int>size
    return have

cdef int end_name(Tracee *t, After *a, int64_t result) noexcept nogil:
    name_back(t, <NameEnd *>a.data, result)
    return R_CONT

cdef void name_back(Tracee *t, const NameEnd *e, int64_t result) noexcept nogil:
    cdef SockAddr sa
    cdef unsigned int now, size
    cdef int got
    if result < 0 or mem_read(t.tid, e.size_at, &now, 4) < 0 or now < 3:
        return
    memset(&sa, 0, sizeof(sa))
    got = e.size if <unsigned int>e.size < now else <int>now
    if got > <int>sizeof(sa) or (got > 0 and mem_read(t.tid, e.at, &sa, got) < 0):
        return
    if e.nr == NR_recvfrom:
        got = sender_back(e, &sa, got, now)
    if got < 2 and e.nr == NR_recvfrom:
        # not even the family is there: it is the receiving socket's
        if real_address(t, e.fd, False, &sa, &size) < 0:
            return
        got = 2
    if got < 2 or got < <int>now:
        # cut short: the whole text is needed to translate it
        if e.nr == NR_recvfrom or real_address(t, <int>result if e.nr == NR_accept or e.nr == NR_accept4 else e.fd,
                                               e.nr != NR_getsockname, &sa, &size) < 0:
            if got < 2:
                return
        else:
            got = <int>now
    size = now
    now = address_back(&sa, got, now)
    if now == 0:
        return
    put_address(t, e, 0, e.at, <unsigned int>e.size, &sa, now, size)
    mem_write(t.tid, e.size_at, &now, 4)

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
    cdef NameEnd e
    cdef int begun
    if header_read(t, t.call.args[1], &header) < 0:
        return sock_fault(t, 1)
    begun = copies_taken(t, &header)
    if begun >= 0:
        return begun
    if header.msg_name == NULL and not takes_rights(t, &header):
        return as_is(b"neither a name nor descriptors can come back")
    memset(&e, 0, sizeof(e))
    e.at = t.call.args[1]
    e.fd = <int>t.call.args[0]
    e.size = <int>header.msg_namelen
    if header.msg_name != NULL:
        e.kept = <char *>calloc(1, KEEP)
        keep_bytes(t, &e, 0, <uint64_t>header.msg_name, header.msg_namelen)
        peek_sender(t, &e, header.msg_namelen)
    return name_at_end(t, end_recvmsg, &e)

cdef int end_recvmsg(Tracee *t, After *a, int64_t result) noexcept nogil:
    cdef NameEnd *e = <NameEnd *>a.data
    if result >= 0:
        header_back(t, e, 0, e.at, <unsigned int>e.size)
    return R_CONT

cdef void header_back(Tracee *t, const NameEnd *e, int which, uint64_t pointer, unsigned int room) noexcept nogil:
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
    if which == 0:
        got = sender_back(e, &sa, got, header.msg_namelen)
    now = address_back(&sa, got, header.msg_namelen)
    if now == 0:
        return
    put_address(t, e, which, <uint64_t>header.msg_name, room, &sa, now, header.msg_namelen)
    mem_write(t.tid, pointer + (4 if t.call.compat else 8), &now, 4)

cdef int on_recvmmsg(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef NameEnd e
    cdef int outcome
    memset(&e, 0, sizeof(e))
    e.at = t.call.args[1]
    e.fd = <int>t.call.args[0]
    e.size = 1024 if t.call.args[2] > 1024 else <int>t.call.args[2]
    e.rooms = <unsigned int *>calloc(e.size + 1, sizeof(unsigned int))
    if e.rooms == NULL:
        return answer(t, -ENOMEM)
    e.kept = <char *>calloc(e.size + 1, KEEP)
    outcome = messages_keep(t, &e)
    if outcome >= 0:
        name_free(&e)
        return outcome
    return name_at_end(t, end_recvmmsg, &e)

cdef int messages_keep(Tracee *t, NameEnd *e) noexcept nogil:
    """Keep the room of each name, which the kernel overwrites, and what its buffer holds; -1, or what is to be done with the call."""
    cdef c_msghdr header
    cdef int i, begun
    cdef bint wanted = False
    if e.size == 0:
        return as_is(b"no messages")
    for i in range(e.size):
        if header_read(t, message_at(t, e.at, i), &header) < 0:
            return sock_fault(t, 1)
        begun = copies_taken(t, &header)
        if begun >= 0:
            return begun
        e.rooms[i] = header.msg_namelen
        wanted |= takes_rights(t, &header)
        if header.msg_name != NULL:
            wanted = True
            keep_bytes(t, e, i, <uint64_t>header.msg_name, header.msg_namelen)
    return -1 if wanted else as_is(b"neither names nor descriptors can come back")

cdef int end_recvmmsg(Tracee *t, After *a, int64_t result) noexcept nogil:
    cdef NameEnd *e = <NameEnd *>a.data
    cdef int i
    for i in range(<int>result if result < e.size else e.size):
        header_back(t, e, i, message_at(t, e.at, i), e.rooms[i])
    return R_CONT
