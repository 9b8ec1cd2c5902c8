# Guests of other sessions that have our root: in a chroot two shells see each other's processes, so they do here.
#
# The kernel tells who traces a process, and a supervisor's record (record.pxi) tells its view.  With that a process of another session is
# described as our own guest would be (`peer_of` gives a tracee that is in no table), and the code that shows guests to each other
# shows it, too: its links and texts in /proc by its own session's view.  Nothing is taken on trust: the record is a file that the tracer
# holds open itself, locked; program, directory and descriptors come from /proc.
#
# Decides: whom we take for a guest of another session, and that only sessions of one root and user see each other.  A process that is
# neither our guest nor one of such a session is outside: as another user's process looks to an ordinary user.

cdef enum:
    PEERS_MOST = 64

cdef struct Peer:
    int pid                  # the supervisor, 0: free
    int fd                   # its record
    long size, changed       # of the record, when it was read
    View view

cdef struct PeerGuest:       # the one that was asked for last
    Tracee t
    Mm mm
    Fs fs

cdef Peer peers[PEERS_MOST]
cdef int peers_next = 0
cdef PeerGuest peer_guest

cdef extern from * nogil:
    """
    static long pyroot_changed(int fd, long *size) {
        struct stat st;
        if (fstat(fd, &st) < 0) return -1;
        *size = st.st_size;
        return st.st_mtim.tv_sec * 1000000000L + st.st_mtim.tv_nsec;
    }
    """
    long pyroot_changed(int, long *)

cdef inline bint is_peer(const Tracee *t) noexcept nogil:
    return t == &peer_guest.t

cdef Tracee *peer_of(View *v, int tid, bint program) noexcept nogil:
    """Describe a guest of another session of the root of ``v``, until the next is asked for; NULL: it is not one."""
    cdef char text[4096]
    cdef Peer *p
    cdef Tracee *t = &peer_guest.t
    cdef int tracer
    if nesting or tid <= 0 or tracee_get(tid) != NULL or status_read(tid, text, sizeof(text)) < 0:
        return NULL
    tracer = number_after(text, b"TracerPid:\t")
    if tracer <= 0 or tracer == c_getpid():
        return NULL
    p = peer_find(tracer)
    if p == NULL or not same_root(v, &p.view):
        return NULL
    peer_forget_program()
    memset(&peer_guest, 0, sizeof(peer_guest))
    t.tid = tid
    t.tgid = number_after(text, b"Tgid:\t")
    t.view = &p.view
    t.state = T_LIVE
    t.call.slot = t.call.hold[0] = t.call.hold[1] = -1
    t.fs = &peer_guest.fs
    t.fs.refs = 1
    t.fs.cwd = t.fs.bind = -1
    t.mm = &peer_guest.mm
    t.mm.refs = 1
    t.mm.arena = True
    # where one of our guests traces it
    t.ptrace = standin_of(tid)
    if program:
        t.mm.exe = peer_program(t)
    return t

cdef inline Tracee *fellow_of(View *v, int tid, bint program) noexcept nogil:
    """Return the guest with this tid that guests of a view see: one of ours, or of another session of their root."""
    cdef Tracee *t = guest_of(v, tid)
    return t if t != NULL else peer_of(v, tid, program)

cdef int number_after(char *text, const char *name) noexcept nogil:
    cdef const char *p = find_text(text, name)
    cdef int value = 0
    if p != NULL:
        parse_pid(p + strlen(name), &value)
    return value

cdef bint same_root(const View *v, const View *other) noexcept nogil:
    cdef c_stat a, b
    return c_fstat(v.b[0].fd, &a) == 0 and c_fstat(other.b[0].fd, &b) == 0 and a.st_dev == b.st_dev and a.st_ino == b.st_ino

# -- records of others -----------------------------------------------------------------------------------------------------

cdef Peer *peer_find(int pid) noexcept nogil:
    """Return the session of a supervisor, NULL where nothing is to be known of it."""
    global peers_next
    cdef Peer *p = NULL
    cdef int i, fd
    cdef long size = 0
    for i in range(PEERS_MOST):
        if peers[i].pid == pid:
            p = &peers[i]
    if p != NULL and pyroot_is_alive(p.fd):
        if pyroot_changed(p.fd, &size) == p.changed and size == p.size:
            return p
        # a guest of that session has moved a binding
        fd = p.fd
        p.fd = -1
    else:
        fd = peer_open(pid)
    if p == NULL:
        p = &peers[peers_next]
        peers_next = (peers_next + 1) % PEERS_MOST
    peer_drop(p)
    if fd < 0 or not pyroot_is_alive(fd) or peer_read(p, pid, fd) < 0:
        if fd >= 0:
            c_close(fd)
        view_free(&p.view)
        memset(p, 0, sizeof(Peer))
        return NULL
    p.pid = pid
    p.fd = fd
    return p

cdef void peer_drop(Peer *p) noexcept nogil:
    if p.pid != 0:
        if p.fd >= 0:
            c_close(p.fd)
        view_free(&p.view)
    memset(p, 0, sizeof(Peer))

cdef void peers_clear() noexcept nogil:
    cdef int i
    peer_forget_program()
    for i in range(PEERS_MOST):
        peer_drop(&peers[i])

cdef int peer_open(int pid) noexcept nogil:
    """Open the record of a supervisor by its name, wherever it may lie."""
    cdef char place[PATHMAX]
    cdef char name[64]
    cdef int which = 0, n = 0, dir, fd
    if status_field(pid, b"TracerPid:\t") != 0:
        # a guest, which may be able to write into that directory and hold what it likes
        return -1
    pyroot_record_name(name, pid)
    while n >= 0:
        n = pyroot_place(which, place, sizeof(place))
        which += 1
        dir = pyroot_place_open(place, False) if n > 0 else -1
        fd = pyroot_record_open(dir, name) if dir >= 0 else -1
        if dir >= 0:
            c_close(dir)
        if fd >= 0:
            return fd
    return -1

cdef int peer_read(Peer *p, int pid, int fd) noexcept nogil:
    """Read a record into a view."""
    cdef char *text
    cdef ssize_t got = -1
    cdef int error = -EINVAL
    p.changed = pyroot_changed(fd, &p.size)
    if p.changed < 0 or not 0 < p.size <= VIEW_TEXT_MOST:
        return -EINVAL
    text = <char *>malloc(p.size + 1)
    if text == NULL:
        return -ENOMEM
    got = c_pread(fd, text, p.size, 0)
    if got == p.size:
        text[got] = 0
        error = peer_fill(p, pid, fd, text, text + got)
    free(text)
    return error

cdef int peer_fill(Peer *p, int pid, int fd, char *at, char *end) noexcept nogil:
    cdef char *words[3]
    cdef int i, number = 0
    if strcmp(at, b"pyroot session 2") != 0:
        # another version's
        return -EINVAL
    at += strlen(at) + 1
    if at >= end:
        return -EINVAL
    parse_pid(at, &number)
    if not holds(pid, number, fd):
        return -EPERM
    at += strlen(at) + 1
    while at < end:
        for i in range(3):
            if at >= end:
                return -EINVAL
            words[i] = at
            at += strlen(at) + 1
        if peer_bind(p, words[0], words[1], words[2]) < 0 and p.view.n == 0:
            # without its root nothing can be told; without a binding that has been removed the rest can
            return -ENOENT
    return view_rebuild(&p.view) if p.view.n > 0 else -EINVAL

cdef bint holds(int pid, int number, int fd) noexcept nogil:
    """Say whether a process has a file open under a number that we have open, too."""
    cdef char link[48]
    cdef c_stat a, b
    snprintf(link, sizeof(link), b"/proc/%d/fd/%d", pid, number)
    return fstatat(AT_FDCWD, link, &a, 0) == 0 and c_fstat(fd, &b) == 0 and a.st_dev == b.st_dev and a.st_ino == b.st_ino

cdef int peer_bind(Peer *p, const char *host, const char *guest, const char *flags) noexcept nogil:
    cdef c_stat st
    cdef int hostlen = <int>strlen(host), guestlen = <int>strlen(guest), flag = 0, fd
    if hostlen >= PATHMAX or guestlen >= PATHMAX or host[0] != c'/' or guest[0] != c'/':
        return -EINVAL
    fd = c_open(host, O_PATH | O_CLOEXEC | O_NOFOLLOW)
    if fd < 0:
        return -errno
    parse_pid(flags, &flag)
    if c_fstat(fd, &st) < 0 or view_bind(&p.view, host, hostlen if hostlen > 1 else 0, guest, guestlen if guestlen > 1 else 0, flag, fd,
                                         S_ISDIR(st.st_mode)) < 0:
        c_close(fd)
        return -ENOMEM
    return 0

# -- programs ------------------------------------------------------------------------------------------------------------------

cdef void peer_forget_program() noexcept nogil:
    exe_drop(peer_guest.mm.exe)
    peer_guest.mm.exe = NULL

cdef Exe *peer_program(Tracee *t) noexcept nogil:
    """Find the program of a guest of another session: what is mapped where its code begins (its /proc/PID/exe is the loader)."""
    cdef Text maps
    cdef char name[40]
    cdef char host[PATHMAX]
    cdef const char *p
    cdef uint64_t code = start_code(t.tid), low, high
    cdef int n, at, k, g = 0
    cdef Exe *exe = NULL
    memset(&maps, 0, sizeof(maps))
    snprintf(name, sizeof(name), b"/proc/%d/maps", t.tid)
    p = NULL if code <= 1 or text_file(&maps, name) < 0 else maps.p
    while p != NULL and p[0] != 0:
        n = line_length(p)
        k = hex_address(p, &low)
        hex_address(p + k + 1, &high)
        if low <= code < high:
            at = map_path(p, n, K_MAPS)
            k = unescape(p + at, n - at, host, sizeof(host)) if at < n else 0
            if k > 10 and memcmp(host + k - 10, b" (deleted)", 10) == 0:
                k -= 10
            host[k] = 0
            if k > 0 and not starts(host, b"/memfd:") and view_from_host(t.view, host, k, -1, link_text, &g) >= 0:
                link_text[g] = 0
                exe = exe_new(host, link_text, -1, -1)
            break
        p = line_next(p, n)
    free(maps.p)
    return exe

cdef uint64_t start_code(int tid) noexcept nogil:
    """Read where a program's code begins, from /proc/TID/stat."""
    cdef Text stat
    cdef char name[40]
    cdef const char *p = NULL
    cdef uint64_t value = 0
    cdef int blanks = 0
    memset(&stat, 0, sizeof(stat))
    snprintf(name, sizeof(name), b"/proc/%d/stat", tid)
    if text_file(&stat, name) == 0 and stat.p != NULL:
        p = strrchr(stat.p, c')')
    while p != NULL and p[0] != 0 and blanks < 24:
        blanks += p[0] == c' '
        p += 1
    while p != NULL and c'0' <= p[0] <= c'9':
        value = value * 10 + <uint64_t>(p[0] - c'0')
        p += 1
    free(stat.p)
    return value

cdef int map_path(const char *p, int n, int kind) noexcept nogil:
    """Return where the path of a line begins, n if it has none."""
    cdef int at = 0, fields
    cdef const char *file
    if kind == K_NUMA_MAPS:
        file = find_in(p, n, b" file=/")
        return n if file == NULL else <int>(file - p) + 6
    for fields in range(5):
        while at < n and p[at] != c' ':
            at += 1
        while at < n and p[at] == c' ':
            at += 1
    return at if at < n and p[at] == c'/' else n
