# Which binding a descriptor came through: only where a view shows one directory twice.
#
# There the host text of a descriptor does not tell which guest path it has.  So it is noted, by process and number, at the exit of what
# makes descriptors: open (opening.pxi), copies (dup, fcntl), those that come from other processes.  A note counts as long as the same
# file is open under its number; whatever puts that file there makes a new note, so close(2) and execve(2) need not be seen.  The filter
# stops copies only in sessions (and handed views) that show a directory twice.
#
# Decides: what is noted, and what a descriptor without a note is taken for.

cdef enum:
    FDS = 8192
    KCMP_FILE_ = 0
    KCMP_FILES_ = 2          # the tables of two processes
    SENT = 64                # descriptors on their way in messages that are remembered
    CONTROL_MOST = 2048      # of what comes with a message; 253 descriptors (SCM_MAX_FD) take 1,028 bytes
    SOL_SOCKET_ = 1
    SCM_RIGHTS_ = 1

cdef struct FdNote:
    int tgid, fd
    uint64_t file            # device and inode: a note for another file is stale
    int bind

cdef struct SentNote:
    int view                 # View.id
    int bind
    uint64_t file

cdef struct Rights:          # the descriptors in the control messages of a msghdr
    char data[CONTROL_MOST]
    int size, next, at, left

cdef FdNote fd_notes[FDS]
cdef SentNote fd_sent[SENT]
cdef unsigned int fds_sent = 0

cdef uint64_t stat_file(const c_stat *st) noexcept nogil:
    return hash_more(hash_more(FNV, <char *>&st.st_dev, sizeof(st.st_dev)), <char *>&st.st_ino, sizeof(st.st_ino))

cdef inline uint64_t fd_file(int tid, int fd) noexcept nogil:
    """Hash the identity of the file open as fd; 0 if there is none."""
    cdef c_stat st
    return fd_stat(tid, fd, &st)

cdef uint64_t fd_stat(int tid, int fd, c_stat *st) noexcept nogil:
    cdef char link[48]
    snprintf(link, sizeof(link), b"/proc/%d/fd/%d", tid, fd)
    return 0 if fstatat(AT_FDCWD, link, st, 0) < 0 else stat_file(st)

cdef inline FdNote *fd_slot(int tgid, int fd) noexcept nogil:
    return &fd_notes[(<unsigned int>tgid * 131 + <unsigned int>fd) & (FDS - 1)]

cdef inline FdNote *fd_note(int tgid, int fd, uint64_t file) noexcept nogil:
    """Return the note of a descriptor, NULL if there is none."""
    cdef FdNote *e = fd_slot(tgid, fd)
    return e if e.tgid == tgid and e.fd == fd and e.file == file else NULL

cdef void fd_remember(int tgid, int fd, uint64_t file, int bind) noexcept nogil:
    """Note a binding; -1: nothing is known of the descriptor, and what was noted of another one with its number is stale."""
    cdef FdNote *e = fd_slot(tgid, fd)
    if bind < 0:
        if e.tgid == tgid and e.fd == fd:
            e.tgid = 0
        return
    e.tgid = tgid
    e.fd = fd
    e.file = file
    e.bind = bind

cdef uint64_t fd_flags(Tracee *t, int fd) noexcept nogil:
    """Return the O_* flags of a guest's descriptor, as fdinfo tells them; 0 if it is none."""
    cdef char name[64]
    cdef char text[256]
    cdef char *p
    cdef int file
    cdef ssize_t n
    snprintf(name, sizeof(name), b"/proc/%d/fdinfo/%d", t.tid, fd)
    file = c_open(name, O_RDONLY | O_CLOEXEC)
    if file < 0:
        return 0
    n = c_read(file, text, sizeof(text) - 1)
    c_close(file)
    if n <= 0:
        return 0
    text[n] = 0
    p = find_text(text, b"flags:")
    return octal(p + 6) if p != NULL else 0

cdef uint64_t octal(const char *p) noexcept nogil:
    cdef uint64_t value = 0
    while p[0] == c' ' or p[0] == c'\t':
        p += 1
    while c'0' <= p[0] <= c'7':
        value = value * 8 + <uint64_t>(p[0] - c'0')
        p += 1
    return value

cdef int fd_binding(View *v, Tracee *t, int fd) noexcept nogil:
    """Return the binding that this descriptor came through, -1 if nobody knows; a duplicate is like its original."""
    cdef uint64_t file
    cdef FdNote *e
    cdef Opened *first
    cdef int i, same, found = -1
    if not v.ambiguous or t == NULL or t.view != v:
        return -1
    file = fd_file(t.tid, fd)
    e = fd_note(t.tgid, fd, file)
    if e != NULL:
        return e.bind
    first = view_opened(v, file)
    for i in range(FDS):
        if fd_notes[i].file != file or fd_notes[i].tgid == 0:
            continue
        if fd_notes[i].tgid != t.tgid:
            if fd_notes[i].fd == fd and c_syscall(NR_kcmp, t.tid, fd_notes[i].tgid, KCMP_FILES_, 0, 0) == 0:
                # opened by another process with the same table
                return fd_notes[i].bind
            continue
        same = <int>c_syscall(NR_kcmp, t.tid, t.tid, KCMP_FILE_, fd, fd_notes[i].fd)
        if same == 0:
            found = fd_notes[i].bind
            fd_remember(t.tgid, fd, file, found)
            return found
        if found < 0 or same < 0 or fd_file(t.tid, fd_notes[i].fd) != file:
            # another open file is not the original; one that has been closed may have been
            found = fd_notes[i].bind
    return first.bind if first != NULL and first.file == file else found

cdef bint fd_matters(View *v, uint64_t file, const c_stat *st) noexcept nogil:
    """Say whether descriptors of a file differ: of one that has always been opened through the same binding they do not."""
    cdef Opened *first = view_opened(v, file)
    return S_ISDIR(st.st_mode) or (first != NULL and first.file == file and first.mixed)

# -- processes

cdef void fd_forget(int tgid) noexcept nogil:
    cdef int i
    for i in range(FDS):
        if fd_notes[i].tgid == tgid:
            fd_notes[i].tgid = 0

cdef void fd_inherit(View *v, int parent, int child) noexcept nogil:
    cdef int i
    if not v.ambiguous or parent == child:
        return
    # (of an earlier process with its number)
    fd_forget(child)
    for i in range(FDS):
        if fd_notes[i].tgid == parent:
            fd_remember(child, fd_notes[i].fd, fd_notes[i].file, fd_notes[i].bind)

# -- copies

cdef int fd_will_be(Tracee *t, int bind) noexcept nogil:
    """Note at the exit of the call which binding the new descriptor came through."""
    (<int *>after(t, end_fd, 0))[0] = bind
    return R_EXIT

cdef int end_fd(Tracee *t, After *a, int64_t result) noexcept nogil:
    cdef c_stat st
    cdef uint64_t file
    cdef int fd = <int>result, bind = (<int *>a.data)[0]
    if result < 0:
        return R_CONT
    file = fd_stat(t.tid, fd, &st)
    fd_remember(t.tgid, fd, file, bind)
    if bind >= 0 and file != 0 and not S_ISDIR(st.st_mode):
        # from now on each descriptor of it is noted, if others came through another binding
        view_expects(t.view, file, bind)
    return R_CONT

cdef int copy_of(Tracee *t, Tracee *owner, int fd) noexcept nogil:
    """The call at hand makes a copy of a descriptor of ``owner``."""
    cdef c_stat st
    cdef uint64_t file
    cdef FdNote *e
    if not t.view.ambiguous or owner.view != t.view:
        return as_is(b"a descriptor, of a view that shows no directory twice")
    file = fd_stat(owner.tid, fd, &st)
    if file == 0:
        return as_is(b"EBADF")
    e = fd_note(owner.tgid, fd, file)
    if e != NULL:
        return fd_will_be(t, e.bind)
    if fd_matters(t.view, file, &st):
        return fd_will_be(t, fd_binding(t.view, owner, fd))
    return as_is(b"a descriptor of what the view shows once")

cdef int on_dup(Tracee *t, const pyroot_row *row) noexcept nogil:
    """dup, dup2, dup3, and the commands of fcntl that the filter stops."""
    return copy_of(t, t, <int>t.call.args[0])

# -- descriptors in messages

cdef void rights_read(Tracee *t, const c_msghdr *header, Rights *r) noexcept nogil:
    """Read the control messages of a msghdr, for rights_next."""
    r.size = r.next = r.left = 0
    if header.msg_control == NULL:
        return
    r.size = <int>header.msg_controllen if header.msg_controllen < CONTROL_MOST else CONTROL_MOST
    if mem_read(t.tid, <uint64_t>header.msg_control, r.data, r.size) < 0:
        r.size = 0

cdef int rights_next(Tracee *t, Rights *r) noexcept nogil:
    """Return the next descriptor, -1 after the last one."""
    cdef int kind[2]
    cdef int fd, head = 12 if t.call.compat else 16, unit = 4 if t.call.compat else 8
    cdef uint64_t size
    while r.left == 0:
        if r.size - r.next < head:
            return -1
        size = 0
        memcpy(&size, r.data + r.next, unit)
        memcpy(kind, r.data + r.next + head - 8, 8)
        if size < <uint64_t>head or size > <uint64_t>(r.size - r.next):
            return -1
        r.at = r.next + head
        r.left = <int>(size - head) // 4 if kind[0] == SOL_SOCKET_ and kind[1] == SCM_RIGHTS_ else 0
        r.next += <int>(size + unit - 1) & ~(unit - 1)
    memcpy(&fd, r.data + r.at, 4)
    r.at += 4
    r.left -= 1
    return fd

cdef void rights_sent(Tracee *t, const c_msghdr *header) noexcept nogil:
    """A message goes out: keep where its descriptors came through, since the sender may close them."""
    cdef Rights r
    cdef c_stat st
    cdef uint64_t file
    cdef SentNote *s
    cdef int fd
    if not t.view.ambiguous:
        return
    rights_read(t, header, &r)
    fd = rights_next(t, &r)
    while fd >= 0:
        file = fd_stat(t.tid, fd, &st)
        if file != 0 and fd_matters(t.view, file, &st):
            s = &fd_sent[fds_sent_next()]
            s.view = t.view.id
            s.file = file
            s.bind = fd_binding(t.view, t, fd)
        fd = rights_next(t, &r)

cdef unsigned int fds_sent_next() noexcept nogil:
    global fds_sent
    fds_sent += 1
    return fds_sent & (SENT - 1)

cdef inline bint takes_rights(Tracee *t, const c_msghdr *header) noexcept nogil:
    return t.view.ambiguous and header.msg_control != NULL and header.msg_controllen > 0

cdef void rights_taken(Tracee *t, const c_msghdr *header) noexcept nogil:
    """A message has come in: note its descriptors."""
    cdef Rights r
    cdef c_stat st
    cdef uint64_t file
    cdef int fd
    if not t.view.ambiguous:
        return
    rights_read(t, header, &r)
    fd = rights_next(t, &r)
    while fd >= 0:
        file = fd_stat(t.tid, fd, &st)
        if file != 0:
            fd_remember(t.tgid, fd, file, sender_binding(t, fd, file) if fd_matters(t.view, file, &st) else -1)
        fd = rights_next(t, &r)

cdef int sender_binding(Tracee *t, int fd, uint64_t file) noexcept nogil:
    """Return the binding of a descriptor that was received: its original's if that is still open, else that of the last one sent."""
    cdef FdNote *e
    cdef SentNote *s
    cdef Tracee *owner
    cdef int i
    for i in range(FDS):
        e = &fd_notes[i]
        if e.tgid == 0 or e.file != file or (e.tgid == t.tgid and e.fd == fd):
            continue
        owner = tracee_get(e.tgid)
        if owner != NULL and owner.view == t.view and c_syscall(NR_kcmp, t.tid, e.tgid, KCMP_FILE_, fd, e.fd) == 0:
            return e.bind
    for i in range(SENT):
        s = &fd_sent[(fds_sent - <unsigned int>i) & (SENT - 1)]
        if s.file == file and s.view == t.view.id:
            return s.bind
    return -1

# -- the feature

cdef void noting_begin(View *v, const char *text) noexcept nogil:
    if v.ambiguous:
        v.features |= FEATURE_NOTING

cdef void feature_noting(Feature *f) noexcept nogil:
    """Copies of descriptors, where a view shows one directory twice."""
    f.begin = noting_begin
