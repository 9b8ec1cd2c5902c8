# Links between the supervisors of two sessions of one root: what ptrace(2) across sessions travels by (relay.pxi).
#
# Supervisors find each other as for `trace -p` (tap.pxi): the one that asks listens at an abstract socket and sends SIGCONT with a value
# that names it; the other connects, and each looks who the other is.  Only the loop ends a link, when nobody can hold what goes with it.
#
# Decides: who may be at the other end, what a message looks like, and how the loop learns of one.

cdef extern from * nogil:
    """
    #include <fcntl.h>
    #include <poll.h>
    #include <stddef.h>
    #include <stdio.h>
    #include <string.h>
    #include <sys/socket.h>
    #include <sys/un.h>
    #include <unistd.h>
    static int pyroot_relay_address(struct sockaddr_un *at, unsigned int name) {
        memset(at, 0, sizeof(*at));
        at->sun_family = AF_UNIX;
        return (int)offsetof(struct sockaddr_un, sun_path) + 1 + snprintf(at->sun_path + 1, 32, "pyroot-session-%08x", name);
    }
    static int pyroot_relay_socket(unsigned int name, int listens) {
        struct sockaddr_un at;
        int size = pyroot_relay_address(&at, name);
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0) return -1;
        if (listens ? bind(fd, (struct sockaddr *)&at, size) == 0 && listen(fd, 1) == 0
                    : connect(fd, (struct sockaddr *)&at, size) == 0) return fd;
        close(fd);
        return -1;
    }
    static int pyroot_relay_accept(int fd) { return accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK); }
    /* Which process of our user is at the other end; 0: nobody's. */
    static int pyroot_relay_peer(int fd) {
        struct ucred who;
        socklen_t size = sizeof(who);
        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0 || who.uid != geteuid() ? 0 : who.pid;
    }
    static void pyroot_relay_async(int fd) {
        fcntl(fd, F_SETOWN, getpid());
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC);
    }
    static int pyroot_relay_wait(int fd, int milliseconds) {
        struct pollfd what = {fd, POLLIN, 0};
        return poll(&what, 1, milliseconds) > 0;
    }
    static long pyroot_relay_send(int fd, const void *what, size_t size) { return send(fd, what, size, MSG_NOSIGNAL | MSG_DONTWAIT); }
    static long pyroot_relay_receive(int fd, void *to, size_t size) { return recv(fd, to, size, MSG_DONTWAIT); }
    """
    int pyroot_relay_socket(unsigned int, int)
    int pyroot_relay_accept(int)
    int pyroot_relay_peer(int)
    void pyroot_relay_async(int)
    int pyroot_relay_wait(int, int)
    long pyroot_relay_send(int, const void *, size_t)
    long pyroot_relay_receive(int, void *, size_t)

cdef enum:
    RELAY_MAGIC = 0x70727379    # upper half of the value that comes with SIGCONT
    RELAY_FORM = 1           # of messages: another version's are not understood
    RELAY_ASK = 1            # a ptrace request, to the tracee's session; the rest goes the other way
    RELAY_ANSWER = 2
    RELAY_STOP = 3           # the tracee is in a stop that its tracer is to see
    RELAY_DEAD = 4
    RELAY_BORN = 5           # a tracee's child that is traced, too
    RELAY_FORGET = 6         # it is no longer traced
    RELAY_LEAVE = 7          # to the tracee's session: the tracer is dead
    RELAY_LINKS = 16
    RELAY_MOST = 98304       # bytes of a message
    RELAY_PATIENCE = 10000   # ms
    RELAY_SLICE = 20

cdef struct Link:            # to the supervisor of another session
    int pid                  # 0: free
    int fd
    bint broken              # to be ended, by the loop

cdef struct RelayHead:
    int form, what, sequence
    int id                   # of the Ptrace, as the tracee's session numbers it
    int pid, tgid            # of the tracee
    int tracer, tracer_tgid
    int uid, pgid
    int code, why, status
    int seized, waitable, parts
    uint64_t args[6]         # of the request
    int64_t result
    uint64_t used[RUSAGE_WORDS]

cdef struct RelayPart:       # a piece of the tracer's memory, before its bytes
    uint64_t address
    uint64_t size

cdef struct RelayMessage:
    RelayHead head
    char data[RELAY_MOST]
    size_t n                 # bytes of data

cdef struct Await:           # a request under way
    Await *outer             # in which it has begun
    Link *link
    int sequence
    RelayMessage *answer     # owned, NULL: not there yet

cdef struct Relay:
    bint waiting             # there is something for relay_look
    bint listens             # a SIGIO from the kernel means a link
    volatile uint32_t called  # the socket of somebody who asks
    int sequence, last_id
    Await *awaits            # the innermost
    Link links[RELAY_LINKS]

cdef Relay relay
cdef RelayMessage relay_in
cdef RelayMessage relay_out
cdef Tracee relay_tracer     # who asks for what is being done

cdef bint relay_signal(int sig, siginfo_t *info) noexcept nogil:
    """Take the signal of another session's supervisor, in a handler."""
    cdef uint64_t value = <uint64_t>info.si_ptr
    if sig != SIGCONT or info.si_code != SI_QUEUE_ or value >> 32 != RELAY_MAGIC or session.bare:
        return False
    relay.called = <uint32_t>value
    relay.waiting = True
    loop_wake()
    return True

cdef void relay_look() noexcept nogil:
    """Somebody asks, or has answered."""
    cdef int i
    relay.waiting = False
    relay_come()
    for i in range(RELAY_LINKS):
        while relay.links[i].pid != 0 and relay_receive(&relay.links[i]):
            relay_handle(&relay.links[i])
        # nobody may hold a Ptrace that goes with it
        if relay.links[i].broken and relay.awaits == NULL:
            relay_lost(&relay.links[i])

cdef void relay_clear() noexcept nogil:
    """The session is over, and no guest is left."""
    cdef int i
    for i in range(RELAY_LINKS):
        if relay.links[i].pid != 0:
            relay_lost(&relay.links[i])

# -- links -----------------------------------------------------------------------------------------------------------------

cdef Link *relay_add(int fd, int pid) noexcept nogil:
    cdef int i
    for i in range(RELAY_LINKS):
        if relay.links[i].pid == 0 and pid > 0:
            relay.links[i].pid = pid
            relay.links[i].fd = fd
            relay.links[i].broken = False
            relay_take_signal()
            pyroot_relay_async(fd)
            return &relay.links[i]
    c_close(fd)
    return NULL

cdef void relay_take_signal() noexcept nogil:
    relay.listens = True
    take_signal(SIGIO_, False)

cdef void relay_come() noexcept nogil:
    """Go to the socket of another session that has our root."""
    cdef Peer *p
    cdef int fd, pid
    if relay.called == 0:
        return
    fd = pyroot_relay_socket(relay.called, False)
    relay.called = 0
    if fd < 0:
        return
    pid = pyroot_relay_peer(fd)
    p = peer_find(pid) if pid > 0 else NULL
    if p == NULL or not same_root(views.base, &p.view):
        c_close(fd)
    else:
        relay_add(fd, pid)

cdef Link *relay_to(int pid) noexcept nogil:
    """Return the link to a supervisor; make one where there is none."""
    cdef int i, fd = -1, door, turns = 0
    cdef uint32_t name
    for i in range(RELAY_LINKS):
        if relay.links[i].pid == pid:
            return NULL if relay.links[i].broken else &relay.links[i]
    if supervisor_is_stopped(pid):
        # the signal would continue it
        return NULL
    name = <uint32_t>(pyroot_now() ^ <uint64_t>c_getpid() << 16) | 1
    door = pyroot_relay_socket(name, True)
    while door >= 0 and fd < 0 and turns * RELAY_SLICE < RELAY_PATIENCE:
        if turns % 16 == 0 and relay_call(pid, name) < 0:
            break
        turns += 1
        if pyroot_relay_wait(door, RELAY_SLICE):
            fd = pyroot_relay_accept(door)
        if fd >= 0 and pyroot_relay_peer(fd) != pid:
            c_close(fd)
            fd = -1
        # (it may be waiting for us in the same way)
        relay_look()
    if door >= 0:
        c_close(door)
    return relay_add(fd, pid) if fd >= 0 else NULL

cdef bint supervisor_is_stopped(int pid) noexcept nogil:
    cdef char text[4096]
    cdef char *state = find_text(text, b"State:\t") if status_read(pid, text, sizeof(text)) > 0 else NULL
    return state == NULL or state[7] == c'T' or state[7] == c't'

cdef int relay_call(int pid, uint32_t name) noexcept nogil:
    cdef int result, fd = <int>c_syscall(SYS_pidfd_open, pid, 0)
    if fd < 0:
        return -1
    # (what the number means now is what was looked at)
    result = <int>signal_named(fd, RELAY_MAGIC, name) if peer_find(pid) != NULL else -1
    c_close(fd)
    return result

cdef bint relay_receive(Link *link) noexcept nogil:
    """Read a message into ``relay_in``; False: there is none."""
    cdef long got = 0 if link.broken else pyroot_relay_receive(link.fd, &relay_in, sizeof(RelayHead) + RELAY_MOST)
    if got < 0 and (errno == EAGAIN or errno == EINTR):
        return False
    if got < <long>sizeof(RelayHead) or relay_in.head.form != RELAY_FORM:
        relay_broken(link)
        return False
    relay_in.n = got - sizeof(RelayHead)
    return True

cdef bint relay_send(Link *link, RelayMessage *message) noexcept nogil:
    message.head.form = RELAY_FORM
    if not link.broken and pyroot_relay_send(link.fd, message, sizeof(RelayHead) + message.n) >= 0:
        return True
    # it does not read, or no longer exists
    relay_broken(link)
    return False

cdef void relay_broken(Link *link) noexcept nogil:
    if not link.broken:
        link.broken = relay.waiting = True
        loop_wake()

cdef void relay_lost(Link *link) noexcept nogil:
    """The other session is over: its tracers are dead, or its tracees are."""
    cdef Ptrace *trace = traces.first
    cdef Ptrace *next
    c_close(link.fd)
    link.pid = 0
    link.broken = False
    while trace != NULL:
        next = trace.next
        if trace.far == link and trace.standin:
            zombie_make(trace.t, SIGKILL)
            standin_free(trace)
        elif trace.far == link:
            trace.far = NULL
            ptrace_let_go(trace, trace.waitable)
        trace = next
