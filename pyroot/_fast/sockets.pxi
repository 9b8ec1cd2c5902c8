# AF_UNIX addresses: translated on the way in; on the way out the guest gets back the text that it bound.
#
# The kernel keeps the host text of a bound socket.  What the guest wrote (perhaps relative, perhaps through links) cannot be
# rebuilt from it, so it is remembered under the host text in a table of fixed size.

cdef enum:
    SUN_MAX = 108
    NAMES = 16384

cdef struct SockName:
    uint64_t key
    unsigned char hostlen, guestlen
    char host[SUN_MAX]
    char guest[SUN_MAX]

cdef struct SockAddr:
    uint16_t family
    char path[SUN_MAX + 20]

cdef SockName *names = NULL

cdef void name_remember(const char *host, int hostlen, const char *guest, int guestlen) noexcept nogil:
    cdef uint64_t key = hash_more(FNV, host, hostlen)
    cdef SockName *e
    if names == NULL:
        return
    e = &names[key & (NAMES - 1)]
    e.key = key
    e.hostlen = hostlen
    e.guestlen = guestlen
    memcpy(e.host, host, hostlen)
    memcpy(e.guest, guest, guestlen)

cdef int name_guest(const char *host, int n, bint whole, char *to) noexcept nogil:
    """Give the guest's text for a socket's host text (or for the part of it that fitted); return its length, 0 if unknown."""
    cdef uint64_t key = hash_more(FNV, host, n)
    cdef SockName *e = &names[key & (NAMES - 1)] if names != NULL else NULL
    cdef int i, k
    if e != NULL and e.key == key and e.hostlen == n and memcmp(e.host, host, n) == 0:
        memcpy(to, e.guest, e.guestlen)
        return e.guestlen
    if not whole and names != NULL and n > 0:
        for i in range(NAMES):
            if names[i].hostlen > n and memcmp(names[i].host, host, n) == 0:
                memcpy(to, names[i].guest, names[i].guestlen)
                return names[i].guestlen
    if host[0] != c'/' or not whole:
        return 0
    k = guest_text(host, n, link_text)
    if k == 0 or k > SUN_MAX:
        return 0
    memcpy(to, link_text, k)
    return k

cdef int alias_path(Tracee *t, Walk *w, bint binding, char *to) noexcept nogil:
    """Shorten a host path that does not fit a sockaddr: through a descriptor of ours that lives until the call is over."""
    cdef int fd, n, k = 0 if t.hold[0] < 0 else 1
    if t.hold[k] >= 0:
        return -ENAMETOOLONG
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
    if binding:
        n = snprintf(to, SUN_MAX, b"/proc/%d/fd/%d/%s", c_getpid(), fd, w.h + n)
    else:
        n = snprintf(to, SUN_MAX, b"/proc/%d/fd/%d", c_getpid(), fd)
    return -ENAMETOOLONG if n >= SUN_MAX else n

cdef int sock_translate(Tracee *t, uint64_t pointer, uint64_t size, bint binding, SockAddr *sa) noexcept nogil:
    """Translate an address of the guest; return the new length, 0 if it has to stay as it is, or -errno to answer."""
    cdef int n, outcome
    if size < 3 or size > 110 or mem_read(t.tid, pointer, sa, size) < 0:
        return 0
    if sa.family != AF_UNIX or sa.path[0] == 0:
        return 0
    sa.path[size - 2] = 0
    n = <int>strlen(sa.path)
    memcpy(path_buffer, sa.path, n + 1)
    W1.resolve = 0
    W1.valid = False
    outcome = text_walk(&W1, t, AT_FDCWD, path_buffer, n, M_CREATE if binding else M_FOLLOW)
    if outcome < 0:
        return outcome
    if not W1.valid:
        return 0
    if binding and W1.isbind:
        return -EADDRINUSE
    if outcome == TR_PASS and path_buffer[0] != c'/':
        return 0
    if W1.hlen < SUN_MAX:
        memcpy(sa.path, W1.h, W1.hlen + 1)
        outcome = W1.hlen
    else:
        outcome = alias_path(t, &W1, binding, sa.path)
        if outcome < 0:
            return outcome
    if binding:
        name_remember(sa.path, outcome, path_buffer, n)
    return 2 + outcome + 1

cdef int on_sockin(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef SockAddr sa
    cdef int n = sock_translate(t, t.args[row.path], <uint32_t>t.args[row.flags], row.final == F_CREATE, &sa)
    if n == 0:
        return R_CONT
    if n < 0:
        return R_DEAD if n == -ESRCH else answer(t, n)
    edit_start()
    edit_bytes(row.path, &sa, n)
    edit_value(row.flags, n)
    return finish_edit(t, R_CONT)

cdef int on_sendmsg(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef c_msghdr header
    cdef SockAddr sa
    cdef int n, at
    if mem_read(t.tid, t.args[1], &header, sizeof(header)) < 0 or header.msg_name == NULL:
        return R_CONT
    n = sock_translate(t, <uint64_t>header.msg_name, header.msg_namelen, False, &sa)
    if n == 0:
        return R_CONT
    if n < 0:
        return R_DEAD if n == -ESRCH else answer(t, n)
    edit_start()
    edit_bytes(1, &header, sizeof(header))
    at = edit_bytes(-1, &sa, n)
    if edit_reserve(t) < 0:
        return answer(t, -ENOMEM)
    header.msg_name = <void *>edit_address(t, at)
    header.msg_namelen = n
    memcpy(edit.data, &header, sizeof(header))
    return finish_edit(t, R_CONT)

cdef int on_sendmmsg(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Only messages with a path need us: the call is cut before the first such message, or turned into one sendmsg for it.

    sendmmsg(2) may always send fewer messages than it was given.
    """
    cdef c_msghdr header
    cdef SockAddr sa
    cdef uint64_t i, count = t.args[2]
    cdef int n = 0
    if count > 1024:
        count = 1024
    for i in range(count):
        if mem_read(t.tid, t.args[1] + i * 64, &header, sizeof(header)) < 0:
            return R_CONT
        n = 0
        if header.msg_name != NULL:
            n = sock_translate(t, <uint64_t>header.msg_name, header.msg_namelen, False, &sa)
        if n != 0:
            break
    if n == 0:
        return R_CONT
    memcpy(t.saved, t.args, sizeof(t.args))
    if i > 0:
        t.exit_action = X_CLONE
        return R_EXIT if reg_set_arg(t, 2, i) == 0 else R_DEAD
    if n < 0:
        return R_DEAD if n == -ESRCH else answer(t, n)
    edit_start()
    edit_bytes(1, &header, sizeof(header))
    n = edit_bytes(-1, &sa, n)
    if edit_reserve(t) < 0:
        return answer(t, -ENOMEM)
    header.msg_name = <void *>edit_address(t, n)
    header.msg_namelen = edit.len - n
    memcpy(edit.data, &header, sizeof(header))
    edit_value(2, t.args[3])
    n = finish_edit(t, R_EXIT)
    if n == R_EXIT:
        t.exit_action = X_SENDMMSG
        if reg_poke(t, PYROOT_REG_NR, NR_sendmsg) < 0:
            return R_DEAD
    return n

cdef void exit_sendmmsg(Tracee *t, int64_t result) noexcept nogil:
    """One message went out by sendmsg: report it as sendmmsg does."""
    cdef uint32_t sent = <uint32_t>result
    if result < 0:
        return
    mem_write(t.tid, t.saved[1] + 56, &sent, 4)
    reg_poke(t, PYROOT_REG_RESULT, 1)

# -- what comes back ------------------------------------------------------------------------------------------------------

cdef int on_sockout(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef int size
    t.saved[0] = t.args[row.path]
    t.saved[1] = t.args[row.flags]
    t.saved[3] = t.args[0]
    t.saved[4] = t.nr
    if t.saved[0] == 0 or mem_read(t.tid, t.saved[1], &size, 4) < 0 or size < 0:
        return R_CONT
    t.saved[2] = size
    t.exit_action = X_SOCKNAME
    return R_EXIT

cdef int real_address(Tracee *t, int fd, bint peer, SockAddr *sa, unsigned int *size) noexcept nogil:
    """Ask the guest's socket itself: the copy in guest memory may be cut short."""
    cdef int process, mine, result
    process = <int>c_syscall(SYS_pidfd_open, t.tgid, 0)
    if process < 0:
        return -errno
    mine = <int>c_syscall(SYS_pidfd_getfd, process, fd, 0)
    c_close(process)
    if mine < 0:
        return -errno
    size[0] = sizeof(SockAddr)
    result = pyroot_socket_name(mine, peer, sa, size)
    c_close(mine)
    return result

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
    if got < 2 or got < <int>now:
        # cut short: the whole text is needed to translate it
        if t.saved[4] == NR_recvfrom or real_address(t, <int>result if t.saved[4] == NR_accept or t.saved[4] == NR_accept4
                                                     else <int>t.saved[3], t.saved[4] != NR_getsockname, &sa, &size) < 0:
            if got <= 2:
                return
        else:
            got = <int>now
    now = address_back(&sa, got, now)
    if now == 0:
        return
    got = <int>t.saved[2] if t.saved[2] < now else <int>now
    mem_write(t.tid, t.saved[0], &sa, got)
    mem_write(t.tid, t.saved[1], &now, 4)

cdef unsigned int address_back(SockAddr *sa, int have, unsigned int size) noexcept nogil:
    """Turn a socket address into guest terms in place; return its true length, 0 to leave it alone."""
    cdef char guest[SUN_MAX + 4]
    cdef int n, k
    if sa.family != AF_UNIX or have <= 2 or sa.path[0] == 0:
        return 0
    n = <int>size - 3 if have == <int>size else have - 2
    if have == <int>size and sa.path[n] != 0:
        n += 1
    k = name_guest(sa.path, n, have == <int>size, guest)
    if k == 0:
        return 0
    memcpy(sa.path, guest, k)
    sa.path[k] = 0
    return 2 + k + 1

cdef int on_recvmsg(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef c_msghdr header
    if mem_read(t.tid, t.args[1], &header, sizeof(header)) < 0 or header.msg_name == NULL:
        return R_CONT
    t.saved[0] = t.args[1]
    t.saved[1] = header.msg_namelen
    t.exit_action = X_RECVMSG
    return R_EXIT

cdef void header_back(Tracee *t, uint64_t pointer, unsigned int room) noexcept nogil:
    """Translate the sender's name in a msghdr that the kernel has filled in."""
    cdef c_msghdr header
    cdef SockAddr sa
    cdef unsigned int now
    cdef int got
    if mem_read(t.tid, pointer, &header, sizeof(header)) < 0 or header.msg_name == NULL or header.msg_namelen < 3:
        return
    memset(&sa, 0, sizeof(sa))
    got = <int>(room if room < header.msg_namelen else header.msg_namelen)
    if got > <int>sizeof(sa) or mem_read(t.tid, <uint64_t>header.msg_name, &sa, got) < 0:
        return
    now = address_back(&sa, got, header.msg_namelen)
    if now == 0:
        return
    mem_write(t.tid, <uint64_t>header.msg_name, &sa, room if room < now else now)
    mem_write(t.tid, pointer + 8, &now, 4)

cdef int on_recvmmsg(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Keep the room of each name: the kernel overwrites msg_namelen."""
    cdef c_msghdr header
    cdef uint64_t i, count = t.args[2]
    cdef bint wanted = False
    if count > 1024:
        count = 1024
    free(t.note)
    t.note = <char *>calloc(count + 1, 4)
    if t.note == NULL:
        return R_CONT
    for i in range(count):
        if mem_read(t.tid, t.args[1] + i * 64, &header, sizeof(header)) < 0:
            return R_CONT
        (<unsigned int *>t.note)[i] = header.msg_namelen
        wanted |= header.msg_name != NULL
    if not wanted:
        return R_CONT
    t.saved[0] = t.args[1]
    t.saved[1] = count
    t.exit_action = X_RECVMMSG
    return R_EXIT

cdef void exit_recvmmsg(Tracee *t, int64_t result) noexcept nogil:
    cdef int64_t i
    for i in range(result if result < <int64_t>t.saved[1] else <int64_t>t.saved[1]):
        header_back(t, t.saved[0] + i * 64, (<unsigned int *>t.note)[i])
