# AF_UNIX addresses: translated on the way in; on the way out the guest gets back the text that it bound.
#
# The kernel keeps the host text of a bound socket.  What the guest wrote (perhaps relative, perhaps through links) cannot be
# rebuilt from it, so it is remembered under the host text in a table of fixed size.

cdef enum:
    SUN_MAX = 108
    NAMES = 16384
    NAME_WAYS = 16

cdef struct SockName:
    uint64_t key
    unsigned char hostlen, guestlen
    uint16_t view            # whose guests know it by that name
    char host[SUN_MAX]
    char guest[SUN_MAX]

cdef struct SockAddr:
    uint16_t family
    char path[SUN_MAX + 20]

cdef SockName *names = NULL

cdef SockName *name_slot(const char *host, int n, bint make) noexcept nogil:
    """Find the entry of a host text; ``make``: else a free one of its set, else the set's first, which is the oldest."""
    cdef uint64_t key = hash_more(FNV, host, n)
    cdef SockName *set = &names[key & (NAMES - NAME_WAYS)]
    cdef int i
    for i in range(NAME_WAYS):
        if set[i].key == key and set[i].hostlen == n and memcmp(set[i].host, host, n) == 0:
            return &set[i]
    if not make:
        return NULL
    for i in range(NAME_WAYS):
        if set[i].hostlen == 0:
            return &set[i]
    memmove(set, set + 1, (NAME_WAYS - 1) * sizeof(SockName))
    return &set[NAME_WAYS - 1]

cdef void name_remember(const char *host, int hostlen, const char *guest, int guestlen) noexcept nogil:
    cdef uint64_t key = hash_more(FNV, host, hostlen)
    cdef SockName *e
    if names == NULL:
        return
    e = name_slot(host, hostlen, True)
    e.key = key
    e.hostlen = hostlen
    e.guestlen = guestlen
    e.view = <uint16_t>W1.v.id
    memcpy(e.host, host, hostlen)
    memcpy(e.guest, guest, guestlen)

cdef int name_guest(const char *host, int n, int length, char *to) noexcept nogil:
    """Give the guest's text for a socket's host text of ``length`` bytes, of which ``n`` are at hand; return its length or 0."""
    cdef bint whole = n == length
    cdef SockName *e = NULL
    cdef int i, k
    if names != NULL and whole:
        e = name_slot(host, n, False)
    if e != NULL and e.view == <uint16_t>W1.v.id:
        memcpy(to, e.guest, e.guestlen)
        return e.guestlen
    if not whole and names != NULL:
        for i in range(NAMES):
            if names[i].hostlen == length and names[i].view == <uint16_t>W1.v.id and memcmp(names[i].host, host, n) == 0:
                memcpy(to, names[i].guest, names[i].guestlen)
                return names[i].guestlen
    if host[0] != c'/' or not whole:
        return 0
    k = guest_text(host, n, -1, link_text)
    if k == 0 or k > SUN_MAX:
        return 0
    memcpy(to, link_text, k)
    return k

cdef int alias_path(Tracee *t, Walk *w, bint binding, char *to) noexcept nogil:
    """Shorten a host path that does not fit a sockaddr: through a descriptor of ours that lives until the call is over."""
    cdef int fd, n, k = 0 if t.hold[0] < 0 else 1
    cdef c_stat st
    if t.hold[k] >= 0:
        return -ENAMETOOLONG
    if binding and w.last != LAST_NORM:
        return -EADDRINUSE if fstatat(AT_FDCWD, w.h, &st, AT_SYMLINK_NOFOLLOW) == 0 else -errno
    if binding:
        n = w.placelen - w.namelen
        w.h[n - 1] = 0
        fd = c_open(w.h, O_PATH | O_DIRECTORY | O_CLOEXEC)
        w.h[n - 1] = c'/'
    else:
        fd = c_open(w.h, O_PATH | O_CLOEXEC)
    if fd < 0:
        return -errno
    t.hold[k] = fd
    if binding and w.placelen - n > 80:
        # not even the name fits behind the descriptor: bind a short name, give it the long one at the exit
        free(t.note)
        t.note = dup_bytes(w.h + n, w.placelen - n)
        if t.note == NULL:
            return -ENOMEM
        if fstatat(fd, t.note, &st, AT_SYMLINK_NOFOLLOW) == 0:
            return -EADDRINUSE
        t.saved[0] = fd
        t.exit_action = X_BIND
        n = snprintf(to, SUN_MAX, b"/proc/%d/fd/%d/.pyroot-%d", links_pid(), fd, t.tid)
    elif binding:
        n = snprintf(to, SUN_MAX, b"/proc/%d/fd/%d/%s", links_pid(), fd, w.h + n)
    else:
        n = snprintf(to, SUN_MAX, b"/proc/%d/fd/%d", links_pid(), fd)
    return -ENAMETOOLONG if n >= SUN_MAX else n

cdef int sock_translate(Tracee *t, uint64_t pointer, uint64_t size, bint binding, SockAddr *sa) noexcept nogil:
    """Translate or copy an address of the guest; return its length, 0 if it is none that can be a path, or -errno to answer."""
    cdef int n, outcome
    cdef c_stat st
    if size < 3 or size > 110:
        return 0
    outcome = <int>mem_read(t.tid, pointer, sa, size)
    if outcome < 0:
        return outcome
    if sa.family != AF_UNIX or sa.path[0] == 0:
        return <int>size
    sa.path[size - 2] = 0
    n = <int>strlen(sa.path)
    memcpy(path_buffer, sa.path, n + 1)
    W1.resolve = 0
    W1.valid = False
    outcome = text_walk(&W1, t, AT_FDCWD, path_buffer, n, M_CREATE if binding else M_FOLLOW)
    if outcome < 0:
        return outcome
    if not W1.valid:
        return -ENOENT
    if binding and W1.isbind and W1.last == LAST_NORM:
        outcome = parent_stat(&W1, &st)
        return outcome if outcome < 0 else -EADDRINUSE
    if outcome == TR_PASS and path_buffer[0] != c'/':
        return <int>size
    if W1.hlen < SUN_MAX:
        memcpy(sa.path, W1.h, W1.hlen + 1)
        outcome = W1.hlen
    else:
        outcome = alias_path(t, &W1, binding, sa.path)
        if outcome < 0:
            return outcome
    if binding:
        outcome = name_unique(sa.path, outcome, path_buffer, n)
        name_remember(sa.path, outcome, path_buffer, n)
    return 2 + outcome + 1

cdef int name_unique(char *host, int hostlen, const char *guest, int guestlen) noexcept nogil:
    """Double slashes until no other socket's guest text is remembered under this host text; return the length.

    The kernel keeps the text as it is given, so each socket gets its own text back, also where a name was bound again.
    """
    cdef SockName *e
    cdef int cut
    while hostlen < SUN_MAX - 1 and names != NULL:
        e = name_slot(host, hostlen, False)
        if e == NULL:
            break
        if e.guestlen == guestlen and e.view == <uint16_t>W1.v.id and memcmp(e.guest, guest, guestlen) == 0:
            break
        cut = hostlen
        while cut > 0 and host[cut - 1] != c'/':
            cut -= 1
        memmove(host + cut + 1, host + cut, hostlen - cut + 1)
        host[cut] = c'/'
        hostlen += 1
    return hostlen

cdef void exit_bind(Tracee *t, int64_t result) noexcept nogil:
    """Rename the short-named socket of alias_path to what the guest asked for."""
    cdef char name[32]
    snprintf(name, sizeof(name), b".pyroot-%d", t.tid)
    if result == 0 and name_socket(<int>t.saved[0], name, t.note) < 0:
        reg_poke(t, PYROOT_REG_RESULT, <uint64_t><int64_t>(-EADDRINUSE if errno == EEXIST else -errno))
        c_syscall(NR_unlinkat, <int>t.saved[0], name, 0)

cdef int name_socket(int dirfd, const char *name, const char *to) noexcept nogil:
    """Rename, but in the place of nothing; where that is refused, or the file system cannot, in two steps."""
    # RENAME_NOREPLACE
    if c_syscall(NR_renameat2, dirfd, name, dirfd, to, 1) == 0:
        return 0
    if not is_refusal(errno) and errno != EINVAL:
        return -1
    if c_syscall(NR_linkat, dirfd, name, dirfd, to, 0) < 0:
        return -1
    return <int>c_syscall(NR_unlinkat, dirfd, name, 0)

cdef int sock_error(Tracee *t, int error) noexcept nogil:
    """Return what a call gets whose address leads nowhere: the descriptor comes first."""
    cdef char link[48]
    cdef char text[16]
    snprintf(link, sizeof(link), b"/proc/%d/fd/%d", t.tid, <int>t.args[0])
    if c_readlink(link, text, sizeof(text)) < 0:
        return -EBADF if errno == ENOENT else error
    return error if memcmp(text, b"socket:[", 8) == 0 else -ENOTSOCK

cdef int sock_fault(Tracee *t, int arg) noexcept nogil:
    """The structure that an argument points to cannot be read: nor is the kernel to read it."""
    if t.compat and t.number == NR_i386_socketcall:
        return answer(t, sock_error(t, -EFAULT))
    return fault_argument(t, arg)

cdef int on_sockin(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef SockAddr sa
    cdef int size = <int>t.args[row.flags], n = sock_translate(t, t.args[row.path], <uint32_t>size, row.final == F_CREATE, &sa)
    if n < 0:
        t.exit_action = X_NONE
        return R_DEAD if n == -ESRCH else answer(t, sock_error(t, n))
    if n == 0:
        return sock_as_is(t, row)
    edit_start()
    if n <= size and t.direct == 0:
        # a path ends at its first NUL: the guest's own length does, and a register less is to be written
        memset(<char *>&sa + n, 0, size - n)
        edit_bytes(row.path, &sa, size)
    else:
        edit_bytes(row.path, &sa, n)
        edit_value(row.flags, n)
    return finish_edit(t, R_EXIT if t.exit_action == X_BIND else R_CONT)

cdef int sock_as_is(Tracee *t, const pyroot_row *row) noexcept nogil:
    """The length says that the address names nothing; that of a socketcall lies in memory, and goes into a register."""
    if t.direct == 0:
        return as_is(b"the length, which lies in a register, says that there is no path")
    edit_start()
    edit_value(row.flags, t.args[row.flags])
    return finish_edit(t, R_CONT)

cdef int on_sendmsg(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef c_msghdr header
    cdef SockAddr sa
    cdef int n, at
    n = header_read(t, t.args[1], &header)
    if n < 0:
        return R_DEAD if n == -ESRCH else answer(t, sock_error(t, n))
    rights_sent(t, &header)
    n = 0
    if header.msg_name != NULL:
        n = sock_translate(t, <uint64_t>header.msg_name, header.msg_namelen, False, &sa)
        if n < 0:
            return R_DEAD if n == -ESRCH else answer(t, sock_error(t, n))
    edit_start()
    edit_bytes(1, &header, header_size(t))
    if n > 0:
        at = edit_bytes(-1, &sa, n)
        if edit_reserve(t) < 0:
            return answer(t, -ENOMEM)
        header.msg_name = <void *>edit_address(t, at)
        header.msg_namelen = n
    header_pack(t, &header, edit.data)
    return finish_edit(t, R_CONT)

cdef int on_sendmmsg(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Send the messages one by one with sendmsg: the kernel writes to their array, so no copy that nobody else can change will do."""
    cdef c_msghdr header
    cdef uint64_t i, count = t.args[2]
    if count > 1024:
        count = 1024
    if count == 0:
        return as_is(b"no messages")
    if not has_arena(t):
        return answer(t, -ENOMEM)
    for i in range(count):
        if header_read(t, message_at(t, t.args[1], i), &header) < 0:
            # (the messages before it go out)
            break
        rights_sent(t, &header)
    memcpy(t.saved, t.args, sizeof(t.args))
    t.saved[2] = count
    t.saved[4] = 0
    i = send_next(t)
    if <int64_t>i < 0:
        return R_DEAD if <int64_t>i == -ESRCH else answer(t, sock_error(t, <int>i))
    i = finish_edit(t, R_EXIT)
    if i == R_EXIT and t.slot >= 0:
        t.exit_action = X_SENDMMSG
        if reg_poke(t, PYROOT_REG_NR, call_number(t, NR_sendmsg, NR_i386_sendmsg)) < 0:
            return R_DEAD
    return <int>i

cdef int send_next(Tracee *t) noexcept nogil:
    """Put message saved[4] into the edit as a sendmsg; 0 or -errno."""
    cdef c_msghdr header
    cdef SockAddr sa
    cdef int n, at
    if header_read(t, message_at(t, t.saved[1], t.saved[4]), &header) < 0:
        return -EFAULT
    n = 0
    if header.msg_name != NULL:
        n = sock_translate(t, <uint64_t>header.msg_name, header.msg_namelen, False, &sa)
        if n < 0:
            return n
    edit_start()
    # room for the largest address: the slot serves every message of the call
    edit_bytes(1, &header, header_size(t))
    at = edit_bytes(-1, &sa, sizeof(sa))
    if edit_reserve(t) < 0:
        return -ENOMEM
    if n > 0:
        header.msg_name = <void *>edit_address(t, at)
        header.msg_namelen = n
    header_pack(t, &header, edit.data)
    edit_value(2, t.saved[3])
    return 0

cdef int exit_sendmmsg(Tracee *t, int64_t result) noexcept nogil:
    """One message went out, or not: note its length and start the next one at the stub's own syscall instruction."""
    cdef uint32_t sent = <uint32_t>result
    cdef uint64_t slot
    if result >= 0:
        mem_write(t.tid, message_at(t, t.saved[1], t.saved[4]) + header_size(t), &sent, 4)
        t.saved[4] += 1
        if t.saved[4] < t.saved[2]:
            result = send_next(t)
            if result == 0:
                slot = edit_address(t, 0)
                if arena_shared(t):
                    memcpy(arena.map + slot_offset(t.slot) + SLOT_FRAME, edit.data, edit.len)
                elif mem_write(t.tid, slot, edit.data, edit.len) < 0:
                    return R_DEAD
                t.exit_action = X_SENDMMSG
                reg_poke(t, PYROOT_REG_RESULT, call_number(t, NR_sendmsg, NR_i386_sendmsg))
                # no call is in progress for the kernel to restart
                reg_poke(t, PYROOT_REG_NR, <uint64_t><int64_t>-1)
                return R_CONT if reg_set_ip(t, call_again(t)) == 0 else R_DEAD
    if t.saved[4] > 0:
        result = <int64_t>t.saved[4]
    reg_poke(t, PYROOT_REG_RESULT, <uint64_t>result)
    return R_CONT

# -- what comes back ------------------------------------------------------------------------------------------------------

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
