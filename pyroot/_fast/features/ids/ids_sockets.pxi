# Who is at the other end of a socket: SO_PEERCRED, SO_PEERGROUPS and SCM_CREDENTIALS (unix(7)), in the session's ids.
#
# The kernel tells the process, and the ids that all guests really have.  A socket keeps the ids of the moment of connect(2), listen(2) or
# socketpair(2): these are noted by process, for both kinds of ends.  A message has the sender's ids of the moment, or those it gives,
# which the kernel is not shown.
#
# Decides: which ids a guest is told.

cdef enum:
    SO_SNDBUF_ = 7
    SO_RCVBUF_ = 8
    SO_PASSCRED_ = 16
    SO_PEERCRED_ = 17
    SO_PEERGROUPS_ = 59
    SO_SNDBUFFORCE_ = 32
    SO_RCVBUFFORCE_ = 33
    SCM_CREDENTIALS_ = 2
    CAP_NET_ADMIN_ = 12
    NOTES = 4096
    # what is noted of a process
    NOTE_LISTENS = 0
    NOTE_CONNECTS = 1
    NOTE_SENDS = 2           # ids that it has given for a message of its own
    NOTE_ENDS = 3            # who it was at last
    NOTE_KINDS = 4

cdef struct SocketNote:
    int pid
    uint32_t uid, gid
    Groups *groups           # NULL: none, or they are not known

cdef SocketNote[NOTE_KINDS][NOTES] socket_notes
cdef bint sockets_pass = False     # a guest has asked for the ids of senders

cdef extern from * nogil:
    """
    #include <sys/socket.h>
    static int pyroot_socket_option(int fd, int level, int name, void *value, unsigned *size)
    { return getsockopt(fd, level, name, value, size); }
    """
    int pyroot_socket_option(int, int, int, void *, unsigned int *)

cdef struct PeerId:          # struct ucred
    int pid
    uint32_t uid, gid

cdef void note_ids(int pid, int kind, uint32_t uid, uint32_t gid) noexcept nogil:
    cdef SocketNote *note = &socket_notes[kind][pid & (NOTES - 1)]
    note.pid = pid
    note.uid = uid
    note.gid = gid
    groups_drop(note.groups)
    note.groups = NULL

cdef void notes_forget() noexcept nogil:
    cdef int i, k
    for i in range(NOTE_KINDS):
        for k in range(NOTES):
            groups_drop(socket_notes[i][k].groups)
    memset(socket_notes, 0, sizeof(socket_notes))

cdef SocketNote *noted(int pid, int kind) noexcept nogil:
    cdef SocketNote *note = &socket_notes[kind][pid & (NOTES - 1)]
    return note if note.pid == pid and pid > 0 else NULL

cdef void note_end(Tracee *t, int kind) noexcept nogil:
    cdef Cred *c = cred_of(t)
    note_ids(t.tgid, kind, c.uid[ID_EFFECTIVE], c.gid[ID_EFFECTIVE])
    if c.groups != NULL:
        c.groups.refs += 1
        socket_notes[kind][t.tgid & (NOTES - 1)].groups = c.groups

cdef void ids_of_stranger(PeerId *peer) noexcept nogil:
    """A process outside: what is ours belongs to the first user, as our files do."""
    if peer.uid == c_geteuid():
        peer.uid = creds.owner_uid
    if peer.gid == pyroot_real_gid():
        peer.gid = creds.owner_gid

cdef bint is_bound(Tracee *t, int fd) noexcept nogil:
    """Say whether the other end of a socket has a name: then it listens, or did."""
    cdef SockAddr sa
    cdef unsigned int size = 0
    return real_address(t, fd, True, &sa, &size) == 0 and size > 2

cdef SocketNote *peer_note(Tracee *t, int fd, int pid) noexcept nogil:
    """Find what is noted of the process at the other end of a socket."""
    cdef SocketNote *note = noted(pid, NOTE_LISTENS if is_bound(t, fd) else NOTE_CONNECTS)
    if note == NULL:
        note = noted(pid, NOTE_CONNECTS)
    return note if note != NULL else noted(pid, NOTE_LISTENS)

cdef int peer_groups(Tracee *t, const uint64_t *args) noexcept nogil:
    """getsockopt(SO_PEERGROUPS): answered, if the other end is a guest's (sk_getsockopt in net/core/sock.c)."""
    cdef PeerId peer
    cdef SocketNote *note = NULL
    cdef unsigned int size = sizeof(peer)
    cdef int room, need, mine = guest_socket(t, <int>args[0])
    if mine >= 0:
        if pyroot_socket_option(mine, SOL_SOCKET_, SO_PEERCRED_, &peer, &size) == 0 and peer.pid > 0:
            note = peer_note(t, <int>args[0], peer.pid)
        c_close(mine)
    if note == NULL or mem_read(t.tid, args[4], &room, 4) < 0 or room < 0:
        return TAKE_NOT
    need = 4 * note.groups.n if note.groups != NULL else 0
    if need > 0 and room >= need and mem_write(t.tid, args[3], group_list(note.groups), need) < 0:
        return answered(t, args, -EFAULT)
    if mem_write(t.tid, args[4], &need, 4) < 0:
        return answered(t, args, -EFAULT)
    return answered(t, args, 0 if room >= need else -ERANGE)

cdef int answered(Tracee *t, const uint64_t *args, long result) noexcept nogil:
    # (of a socketcall the descriptor is not the first argument)
    t.call.args[0] = args[0]
    return answer(t, result)

cdef struct PeerEnd:
    uint64_t at              # the guest's buffer
    int fd, room

cdef int end_peer(Tracee *t, After *a, int64_t result) noexcept nogil:
    """SO_PEERCRED has been told."""
    cdef PeerEnd *e = <PeerEnd *>a.data
    cdef PeerId peer
    cdef SocketNote *note
    if result < 0 or e.room < 8 or mem_read(t.tid, e.at, &peer, e.room) < 0:
        return R_CONT
    note = peer_note(t, e.fd, peer.pid)
    if note != NULL:
        peer.uid = note.uid
        peer.gid = note.gid
    elif peer.pid != 0:
        ids_of_stranger(&peer)
    mem_write(t.tid, e.at, &peer, e.room)
    return R_CONT

cdef int peer_asked(Tracee *t, const uint64_t *args, int outcome) noexcept nogil:
    """getsockopt(2): SO_PEERCRED is told at the call's end."""
    cdef PeerEnd *e
    cdef int room
    if args[1] != SOL_SOCKET_ or args[2] != SO_PEERCRED_ or mem_read(t.tid, args[4], &room, 4) < 0 or room < 0:
        return outcome
    e = <PeerEnd *>after(t, end_peer, 0)
    e.at = args[3]
    e.fd = <int>args[0]
    e.room = room if room < 12 else 12
    return R_EXIT

cdef int end_option(Tracee *t, After *a, int64_t result) noexcept nogil:
    restore_arguments(t, a.data, 3)
    return R_CONT

cdef int option_set(Tracee *t, const uint64_t *args, bint in_registers, int outcome) noexcept nogil:
    """setsockopt(2): what only root may is what everybody may, as far as that goes; who wants the ids of senders is noted."""
    global sockets_pass
    if args[1] != SOL_SOCKET_:
        return outcome
    if args[2] == SO_PASSCRED_:
        sockets_pass = True
    if (args[2] != SO_SNDBUFFORCE_ and args[2] != SO_RCVBUFFORCE_) or not in_registers or not cred_capable(t, CAP_NET_ADMIN_):
        return outcome
    memcpy(after(t, end_option, AFTER_ANY), t.call.full, sizeof(t.call.full))
    return R_EXIT if reg_set_arg(t, 2, SO_SNDBUF_ if args[2] == SO_SNDBUFFORCE_ else SO_RCVBUF_) == 0 else R_DEAD

# -- messages ----------------------------------------------------------------------------------------------------------------------

cdef uint64_t credentials_at(Tracee *t, const c_msghdr *header, PeerId *given) noexcept nogil:
    """Return where the control data of a message has ids, and read these; 0: it has none."""
    cdef uint64_t at = <uint64_t>header.msg_control, end = at + header.msg_controllen, length
    cdef int wide = 4 if t.call.compat else 8
    cdef uint32_t head[4]
    while at != 0 and at + wide + 8 <= end:
        if mem_read(t.tid, at, head, wide + 8) < 0:
            return 0
        length = head[0] if t.call.compat else <uint64_t>head[1] << 32 | head[0]
        if length < <uint64_t>(wide + 8) or length > end - at:
            return 0
        if head[wide // 4] == SOL_SOCKET_ and head[wide // 4 + 1] == SCM_CREDENTIALS_ and length >= <uint64_t>(wide + 8 + 12):
            return at + wide + 8 if mem_read(t.tid, at + wide + 8, given, sizeof(PeerId)) == 0 else 0
        at += (length + wide - 1) & ~<uint64_t>(wide - 1)
    return 0

cdef struct SentIds:         # the ids in a guest's own buffer, which are others while its call lasts
    uint64_t at
    int tid
    PeerId given

cdef void sent_back(After *a) noexcept nogil:
    cdef SentIds *s = <SentIds *>a.data
    mem_write(s.tid, s.at, &s.given, sizeof(PeerId))

cdef int end_sent(Tracee *t, After *a, int64_t result) noexcept nogil:
    # (the drop puts them back)
    return R_CONT

cdef int sent_refused(Tracee *t, int fd, int error) noexcept nogil:
    # (of a socketcall it is not the first argument)
    t.call.args[0] = <uint32_t>fd
    return answer(t, sock_error(t, error))

cdef int ids_sent(Tracee *t, int fd, uint64_t pointer) noexcept nogil:
    """sendmsg(2) with SCM_CREDENTIALS: judge the ids by the session's (scm_check_creds), and show the kernel those that are real."""
    cdef c_msghdr header
    cdef PeerId given, real
    cdef SentIds *s
    cdef Cred *c = cred_of(t)
    cdef uint64_t at
    if header_read(t, pointer, &header) < 0:
        return TAKE_NOT
    at = credentials_at(t, &header, &given)
    if at == 0 or given.pid != t.tgid:
        return TAKE_NOT
    if given.uid == NOBODY or given.gid == NOBODY:
        return sent_refused(t, fd, -EINVAL)
    if not (is_any(c.uid, given.uid, 3) or cred_has(c, CAP_SETUID_)) or not (is_any(c.gid, given.gid, 3) or cred_has(c, CAP_SETGID_)):
        return sent_refused(t, fd, -EPERM)
    note_ids(t.tgid, NOTE_SENDS, given.uid, given.gid)
    real.pid = given.pid
    real.uid = c_geteuid()
    real.gid = pyroot_real_gid()
    if mem_write(t.tid, at, &real, sizeof(real)) < 0:
        return TAKE_NOT
    s = <SentIds *>after(t, end_sent, AFTER_ANY | AFTER_STAYS)
    after_last(t).drop = sent_back
    s.at = at
    s.tid = t.tid
    s.given = given
    return TAKE_NOT

cdef void ids_received(Tracee *t, uint64_t pointer) noexcept nogil:
    """A message has come: its sender's ids are the session's."""
    cdef c_msghdr header
    cdef PeerId peer
    cdef Tracee *sender
    cdef SocketNote *note
    cdef uint64_t at = 0
    if header_read(t, pointer, &header) == 0:
        at = credentials_at(t, &header, &peer)
    if at == 0:
        return
    note = noted(peer.pid, NOTE_SENDS)
    sender = tracee_get(peer.pid)
    if note == NULL and sender == NULL:
        note = noted(peer.pid, NOTE_ENDS)
    if note != NULL:
        peer.uid = note.uid
        peer.gid = note.gid
    elif sender != NULL:
        peer.uid = cred_of(sender).uid[ID_REAL]
        peer.gid = cred_of(sender).gid[ID_REAL]
    elif peer.pid != 0:
        ids_of_stranger(&peer)
    mem_write(t.tid, at, &peer, sizeof(peer))

cdef struct ReceivedEnd:
    uint64_t at              # of the header, or of the first of an array
    bint many

cdef int end_received(Tracee *t, After *a, int64_t result) noexcept nogil:
    cdef ReceivedEnd *e = <ReceivedEnd *>a.data
    cdef int64_t i
    for i in range(result if e.many else 1 if result >= 0 else 0):
        ids_received(t, message_at(t, e.at, i) if e.many else e.at)
    return R_CONT

cdef int ids_awaited(Tracee *t, uint64_t pointer, bint many, int outcome) noexcept nogil:
    cdef ReceivedEnd *e
    if not sockets_pass:
        return outcome
    e = <ReceivedEnd *>after(t, end_received, 0)
    e.at = pointer
    e.many = many
    return R_EXIT
