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

cdef struct BindEnd:
    char *name               # that the socket is to have (owned)
    int fd                   # of its directory: one of t.call.hold

cdef int alias_path(Tracee *t, Walk *w, bint binding, char *to) noexcept nogil:
    """Shorten a host path that does not fit a sockaddr: through one of our descriptors, which lives until the call is over."""
    cdef int fd, n, k = 0 if t.call.hold[0] < 0 else 1
    cdef c_stat st
    cdef BindEnd *e
    if t.call.hold[k] >= 0:
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
    t.call.hold[k] = fd
    if binding and w.placelen - n > 80:
        # not even the name fits after the descriptor: bind a short name, give it the long one at the exit
        e = <BindEnd *>after(t, end_bind, 0)
        after_last(t).drop = drop_bind
        e.fd = fd
        e.name = dup_bytes(w.h + n, w.placelen - n)
        if e.name == NULL:
            return -ENOMEM
        if fstatat(fd, e.name, &st, AT_SYMLINK_NOFOLLOW) == 0:
            return -EADDRINUSE
        n = snprintf(to, SUN_MAX, b"/proc/%d/fd/%d/.pyroot-%d", links_pid(), fd, t.tid)
    elif binding:
        n = snprintf(to, SUN_MAX, b"/proc/%d/fd/%d/%s", links_pid(), fd, w.h + n)
    else:
        n = snprintf(to, SUN_MAX, b"/proc/%d/fd/%d", links_pid(), fd)
    return -ENAMETOOLONG if n >= SUN_MAX else n

# Whether an address may be used, if others than the kernel have a say: (tracee, address, size): 0 or -errno.
ctypedef int (*AddressJudge)(Tracee *, uint64_t, uint64_t) noexcept nogil
cdef AddressJudge address_judge = NULL

cdef void set_address_judge(AddressJudge judge) noexcept nogil:
    global address_judge
    address_judge = judge

# Whether one may send to the socket of a place, if others than the kernel have a say: 0 or -errno.
ctypedef int (*SocketJudge)(Tracee *, Walk *) noexcept nogil
cdef SocketJudge socket_judge = NULL

cdef void set_socket_judge(SocketJudge judge) noexcept nogil:
    global socket_judge
    socket_judge = judge

cdef int sock_translate(Tracee *t, const pyroot_row *row, uint64_t pointer, uint64_t size, bint binding, SockAddr *sa) noexcept nogil:
    """Translate or copy an address of the guest; return its length, 0 if it cannot be a path, or -errno to answer."""
    cdef int n, outcome
    cdef c_stat st
    outcome = address_judge(t, pointer, size) if address_judge != NULL else 0
    if outcome < 0:
        return outcome
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
    W1.takes = binding
    outcome = text_walk(&W1, t, AT_FDCWD, path_buffer, n, M_CREATE if binding else M_FOLLOW)
    W1.takes = False
    if outcome < 0:
        return outcome
    if not W1.valid:
        return -ENOENT
    n = features_judge(t, row, &W1)
    if n == 0 and not binding and socket_judge != NULL:
        n = socket_judge(t, &W1)
    if n < 0:
        return n
    outcome = TR_TEXT if n == PLACE_TEXT else outcome
    n = <int>strlen(path_buffer)
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

cdef void drop_bind(After *a) noexcept nogil:
    free((<BindEnd *>a.data).name)

cdef int end_bind(Tracee *t, After *a, int64_t result) noexcept nogil:
    """Rename the short-named socket of alias_path to what the guest asked for."""
    cdef char name[32]
    cdef BindEnd *e = <BindEnd *>a.data
    snprintf(name, sizeof(name), b".pyroot-%d", t.tid)
    if result == 0 and name_socket(e.fd, name, e.name) < 0:
        reg_set_result(t, <uint64_t><int64_t>(-EADDRINUSE if errno == EEXIST else -errno))
        c_syscall(NR_unlinkat, e.fd, name, 0)
    return R_CONT

cdef int name_socket(int dirfd, const char *name, const char *to) noexcept nogil:
    """Rename without replacing anything; if that is refused, or the file system cannot, in two steps."""
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
    snprintf(link, sizeof(link), b"/proc/%d/fd/%d", t.tid, <int>t.call.args[0])
    if c_readlink(link, text, sizeof(text)) < 0:
        return -EBADF if errno == ENOENT else error
    return error if memcmp(text, b"socket:[", 8) == 0 else -ENOTSOCK

cdef int sock_fault(Tracee *t, int arg) noexcept nogil:
    """The structure that an argument points to cannot be read: the kernel must not read it either."""
    if t.call.compat and t.call.number == COMPAT_NR_socketcall:
        return answer(t, sock_error(t, -EFAULT))
    return fault_argument(t, arg)

cdef int on_sockin(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef SockAddr sa
    cdef int size = <int>t.call.args[row.flags]
    cdef int n = sock_translate(t, row, t.call.args[row.path], <uint32_t>size, row.final == F_CREATE, &sa)
    if n < 0:
        return R_DEAD if n == -ESRCH else answer(t, sock_error(t, n))
    if n == 0:
        return sock_as_is(t, row)
    edit_start()
    if n <= size and t.call.direct == 0:
        # a path ends at its first NUL: the guest's own length will do, and one register fewer is to be written
        memset(<char *>&sa + n, 0, size - n)
        edit_bytes(row.path, &sa, size)
    else:
        edit_bytes(row.path, &sa, n)
        edit_value(row.flags, n)
    return finish_edit(t)

cdef int sock_as_is(Tracee *t, const pyroot_row *row) noexcept nogil:
    """The length says that the address names nothing; that of a socketcall lies in memory, and goes into a register."""
    if t.call.direct == 0:
        return as_is(b"the length, which lies in a register, says that there is no path")
    edit_start()
    edit_value(row.flags, t.call.args[row.flags])
    return finish_edit(t)

cdef int on_sendmsg(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef c_msghdr header
    cdef SockAddr sa
    cdef int n, at
    n = header_read(t, t.call.args[1], &header)
    if n < 0:
        return R_DEAD if n == -ESRCH else answer(t, sock_error(t, n))
    rights_sent(t, &header)
    n = 0
    if header.msg_name != NULL:
        n = sock_translate(t, row, <uint64_t>header.msg_name, header.msg_namelen, False, &sa)
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
    return finish_edit(t)

cdef struct SendEnd:
    uint64_t done            # messages that are out (stub_leave reads it)
    uint64_t vector, count, flags    # of the guest's call

cdef int on_sendmmsg(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Send the messages one by one with sendmsg: the kernel writes to their array, so a copy that nobody else can change will not do."""
    cdef c_msghdr header
    cdef uint64_t i, count = t.call.args[2]
    cdef SendEnd *e
    if count > 1024:
        count = 1024
    if count == 0:
        return as_is(b"no messages")
    if not has_arena(t):
        return answer(t, -ENOMEM)
    for i in range(count):
        if header_read(t, message_at(t, t.call.args[1], i), &header) < 0:
            # (the messages before it go out)
            break
        rights_sent(t, &header)
    e = <SendEnd *>after(t, end_sendmmsg, AFTER_STAYS)
    e.vector, e.count, e.flags = t.call.args[1], count, t.call.args[3]
    i = send_next(t, e)
    if <int64_t>i < 0:
        return R_DEAD if <int64_t>i == -ESRCH else answer(t, sock_error(t, <int>i))
    i = finish_edit(t)
    if i == R_EXIT and t.call.slot >= 0:
        if reg_set_nr(t, call_number(t, NR_sendmsg, COMPAT_NR_sendmsg)) < 0:
            return R_DEAD
    return <int>i

cdef int send_next(Tracee *t, const SendEnd *e) noexcept nogil:
    """Put the next message into the edit as a sendmsg; 0 or -errno."""
    cdef c_msghdr header
    cdef SockAddr sa
    cdef int n, at
    if header_read(t, message_at(t, e.vector, e.done), &header) < 0:
        return -EFAULT
    n = 0
    if header.msg_name != NULL:
        n = sock_translate(t, &pyroot_rows[NR_sendmmsg], <uint64_t>header.msg_name, header.msg_namelen, False, &sa)
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
    edit_value(2, e.flags)
    return 0

cdef int end_sendmmsg(Tracee *t, After *a, int64_t result) noexcept nogil:
    """One message went out, or not: note its length and start the next one at the stub's own syscall instruction."""
    cdef uint32_t sent = <uint32_t>result
    cdef uint64_t slot
    cdef SendEnd *e = <SendEnd *>a.data
    if result >= 0:
        mem_write(t.tid, message_at(t, e.vector, e.done) + header_size(t), &sent, 4)
        e.done += 1
        if e.done < e.count:
            result = send_next(t, e)
            if result == 0:
                slot = edit_address(t, 0)
                if arena_shared(t):
                    memcpy(arena.map + slot_offset(t.call.slot) + SLOT_FRAME, edit.data, edit.len)
                elif mem_write(t.tid, slot, edit.data, edit.len) < 0:
                    return R_DEAD
                (<SendEnd *>after(t, end_sendmmsg, AFTER_STAYS))[0] = e[0]
                reg_set_result(t, call_number(t, NR_sendmsg, COMPAT_NR_sendmsg))
                # no call is in progress for the kernel to restart
                reg_set_nr(t, <uint64_t><int64_t>-1)
                return R_CONT if reg_set_ip(t, call_again(t)) == 0 else R_DEAD
    if e.done > 0:
        result = <int64_t>e.done
    reg_set_result(t, <uint64_t>result)
    return R_CONT
