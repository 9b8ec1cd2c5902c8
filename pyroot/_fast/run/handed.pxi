# A view that a pyroot among the guests hands over: its own supervisor would cost ten of our stops for each of its own.
#
# The inner pyroot names its root and its bindings by paths of its own view.  Each is walked here as that guest's own paths are, so
# that it can only name what the guest could open; what it then gets is what "mount --rbind" of these would give.  Its command itself enters
# the view, between fork and execve, and from then on is a guest like any other, with another view.  The inner pyroot waits for it
# as for any child, and for the others by a descriptor that is closed when the last of them is gone.  What is not possible is refused,
# and then the inner pyroot traces (handover.pxi has its side).
#
# The request is ptrace(PTRACE_VIEW, what, a, b), which no kernel knows.

cdef enum:
    # what
    VIEW_HAND = 1            # a: the text of the view, b: its length << 32 | descriptor; returns the number of the view
    VIEW_ENTER = 2           # a: that number; by a child of its pyroot
    VIEW_KILL = 3            # a: that number: kill its guests
    VIEW_OVER = 4            # a: that number: the command is dead, or never entered
    VIEW_HAS = 5             # a: that number, b: a pid: is that a guest of it
    VIEW_ASK = 6             # a: that number: ask its guests to end (SIGTERM)
    VIEW_PASS = 7            # a: that number, b: the siginfo of a signal that its pyroot has got: for its command
    # The text: VIEW_FORM, options, the number of bindings, and for each flags, lengths of guest and host path, guest path, host path.
    # Numbers have 32 bits.  The first binding is the root.  Another form, or another meaning, is another VIEW_FORM.
    VIEW_FORM = 0x70790001
    VIEW_UNFILTERED = 1      # an option: every call is to stop
    VIEW_BINDS_MOST = 4096
    VIEW_PAIRS_MOST = 1000000   # of a binding with one of the view around

cdef struct Handed:          # the text, as far as it has been read
    char *at
    char *end

cdef int on_ptrace(Tracee *t, const pyroot_row *row) noexcept nogil:
    return on_view_request(t) if t.call.args[0] == PTRACE_VIEW else ptrace_request(t)

cdef int on_view_request(Tracee *t) noexcept nogil:
    cdef uint64_t what = t.call.args[1]
    cdef View *v
    cdef Tracee *other
    if what == VIEW_HAND:
        return answer(t, view_hand(t))
    if what == VIEW_ENTER:
        return view_enter_request(t)
    v = view_handed(<int>t.call.args[2], t.tgid)
    if v == NULL:
        return answer(t, -ESRCH)
    if what == VIEW_HAS:
        other = tracee_get(<int>t.call.args[3])
        return answer(t, other != NULL and view_within(other.view, v))
    if what == VIEW_ASK:
        ask_to_end(v)
        return answer(t, 0)
    if what == VIEW_PASS:
        return answer(t, view_pass(t, v))
    if what == VIEW_KILL:
        view_end(v)
    elif what != VIEW_OVER:
        return answer(t, -EIO)
    if v.users == 0:
        view_drop(v)
    return answer(t, 0)

# -- reading ----------------------------------------------------------------------------------------------------------------

cdef int handed_number(Handed *x, uint32_t *to) noexcept nogil:
    if x.end - x.at < 4:
        return -EINVAL
    memcpy(to, x.at, 4)
    x.at += 4
    return 0

cdef bint path_canonical(const char *p, int n) noexcept nogil:
    """Say whether a text is a path in our form: "" for the root, else components, each after a slash, none of them empty or dots."""
    cdef int i = 0, start
    while i < n:
        if p[i] != c'/':
            return False
        start = i + 1
        i = start
        while i < n and p[i] != c'/':
            if p[i] == 0:
                return False
            i += 1
        if i == start or i - start > 255:
            return False
        if p[start] == c'.' and (i - start == 1 or (i - start == 2 and p[start + 1] == c'.')):
            return False
    return n < PATHMAX

cdef int handed_binding(Handed *x, uint32_t *flags, const char **guest, int *guestlen, const char **host, int *hostlen) noexcept nogil:
    cdef uint32_t g, h
    if handed_number(x, flags) < 0 or handed_number(x, &g) < 0 or handed_number(x, &h) < 0:
        return -EINVAL
    if g >= PATHMAX or h >= PATHMAX or x.end - x.at < <int64_t>g + h:
        return -EINVAL
    guest[0] = x.at
    host[0] = x.at + g
    guestlen[0] = <int>g
    hostlen[0] = <int>h
    x.at += g + h
    if flags[0] & ~<uint32_t>(BIND_GLUE | BIND_STANDS_IN | BIND_READONLY | BIND_MASK):
        return -EINVAL
    if not path_canonical(guest[0], g) or not path_canonical(host[0], h):
        return -EINVAL
    return 0

# -- composing --------------------------------------------------------------------------------------------------------------

cdef int handed_place(Tracee *t, const char *host, int n) noexcept nogil:
    """Walk a path of the guest that hands over; return our own O_PATH descriptor of the place of W1, or -errno."""
    cdef char path[PATHMAX + 8]
    cdef char link[48]
    cdef char text[PATHMAX]
    cdef ssize_t got
    cdef int outcome, fd
    memcpy(path, host, n)
    if n == 0:
        path[0] = c'/'
    path[n if n > 0 else 1] = 0
    W1.resolve = 0
    outcome = text_walk(&W1, t, AT_FDCWD, path, n if n > 0 else 1, M_NOFOLLOW)
    if outcome < 0:
        return outcome
    if not W1.valid or W1.held or W1.anchored or W1.magic or W1.bi < 0:
        return -EOPNOTSUPP
    fd = c_open(W1.h, O_PATH | O_CLOEXEC | O_NOFOLLOW)
    if fd < 0:
        return -errno
    # somebody may have put a link into the path meanwhile
    W1.h[W1.placelen] = 0
    snprintf(link, sizeof(link), b"/proc/self/fd/%d", fd)
    got = c_readlink(link, text, PATHMAX - 1)
    if got == 1:
        got = 0
    if got != W1.placelen or memcmp(text, W1.h, W1.placelen) != 0:
        c_close(fd)
        return -EAGAIN
    return fd

cdef int handed_bind(View *v, Tracee *t, uint32_t flags, const char *guest, int guestlen, int fd) noexcept nogil:
    """Bind the place of W1, with the bindings of the view around that lie below it; takes over the descriptor."""
    cdef c_stat st
    cdef char text[PATHMAX]
    cdef View *around = t.view
    cdef Bind *b
    cdef int i, n, again
    if c_fstat(fd, &st) == 0 and S_ISLNK(st.st_mode):
        # the kernel would follow it: a link of /proc leads anywhere
        c_close(fd)
        return -EOPNOTSUPP
    if around.b[W1.bi].over != NULL or over_below(around, W1.g, W1.glen):
        # (layers are the business of who serves them)
        c_close(fd)
        return -EOPNOTSUPP
    # (what may not be written to in the view around may not be in this one)
    flags |= around.b[W1.bi].flags & BIND_READONLY
    if c_fstat(fd, &st) < 0 or view_bind(v, W1.h, W1.placelen, guest, guestlen, flags, fd, S_ISDIR(st.st_mode)) < 0:
        c_close(fd)
        return -ENOMEM
    for i in range(1, around.n):
        b = &around.b[i]
        n = guestlen + b.guestlen - W1.glen
        if not is_below(b, W1.g, W1.glen) or n >= PATHMAX:
            continue
        memcpy(text, guest, guestlen)
        memcpy(text + guestlen, b.guest + W1.glen, b.guestlen - W1.glen)
        if handed_covered(v, text, n, guestlen):
            continue
        again = fd_again(b.fd)
        if again < 0:
            return -errno
        if view_bind(v, b.host, b.hostlen, text, n, b.flags | BIND_BELOW, again, b.isdir) < 0:
            c_close(again)
            return -ENOMEM
    return 0

cdef int handed_mask(View *v, uint32_t flags, const char *guest, int guestlen) noexcept nogil:
    """Bind nothing at a guest path."""
    cdef int fd = c_open(b"/", O_PATH | O_CLOEXEC)
    if fd < 0:
        return -errno
    handed_cover(v, guest, guestlen)
    if view_bind(v, b"", 0, guest, guestlen, flags, fd, False) < 0:
        c_close(fd)
        return -ENOMEM
    return 0

cdef bint over_below(View *v, const char *guest, int n) noexcept nogil:
    """Say whether an overlay is mounted below a guest path."""
    cdef int i
    for i in range(v.n if v.overs > 0 else 0):
        if v.b[i].over != NULL and is_below(&v.b[i], guest, n):
            return True
    return False

cdef inline bint is_below(const Bind *b, const char *guest, int n) noexcept nogil:
    return b.guestlen > n and memcmp(b.guest, guest, n) == 0 and b.guest[n] == c'/'

cdef bint handed_covered(View *v, const char *guest, int n, int above) noexcept nogil:
    """Say whether a binding of the view itself, deeper than the one of length ``above``, is at a guest path or above it."""
    cdef int i, k
    for i in range(v.n):
        k = v.b[i].guestlen
        if k > above and k <= n and not v.b[i].flags & BIND_BELOW and memcmp(v.b[i].guest, guest, k) == 0 and (k == n or guest[k] == c'/'):
            return True
    return False

cdef void handed_cover(View *v, const char *guest, int n) noexcept nogil:
    """Take away what came with another binding and lies below a place that is about to be bound itself."""
    cdef int i = 1
    while i < v.n:
        if not v.b[i].flags & BIND_BELOW or not is_below(&v.b[i], guest, n):
            i += 1
            continue
        free(v.b[i].host)
        free(v.b[i].was)
        free(v.b[i].guest)
        c_close(v.b[i].fd)
        v.n -= 1
        memmove(&v.b[i], &v.b[i + 1], (v.n - i) * sizeof(Bind))

cdef int handed_way(View *v, int i) noexcept nogil:
    """Refuse a mount point whose path leads through a link."""
    cdef char rel[PATHMAX]
    cdef int over, n = bind_name(v, i) - 1, error
    if n <= 0:
        return 0
    over = view_covering(v, v.b[i].guest, n)
    n -= v.b[over].guestlen
    if n <= 1:
        return 0
    memcpy(rel, v.b[i].guest + v.b[over].guestlen + 1, n - 1)
    rel[n - 1] = 0
    error = prove(v.b[over].fd, rel, True, False, NULL)
    return -EOPNOTSUPP if error == -ELOOP else 0

cdef int handed_read(View *v, Tracee *t, Handed *x) noexcept nogil:
    cdef const char *guest
    cdef const char *host
    cdef int guestlen, hostlen, i, fd, error
    cdef uint32_t form, options, count, flags
    if handed_number(x, &form) < 0 or handed_number(x, &options) < 0 or handed_number(x, &count) < 0:
        return -EINVAL
    if form != VIEW_FORM or not 1 <= count <= VIEW_BINDS_MOST:
        return -EINVAL
    if options != (0 if session.seccomp else VIEW_UNFILTERED) or <int64_t>count * t.view.n > VIEW_PAIRS_MOST:
        return -EOPNOTSUPP
    for i in range(<int>count):
        error = handed_binding(x, &flags, &guest, &guestlen, &host, &hostlen)
        if error < 0 or (i == 0) != (guestlen == 0):
            return -EINVAL
        if flags & BIND_MASK:
            error = handed_mask(v, flags, guest, guestlen)
            if error < 0:
                return error
            continue
        fd = handed_place(t, host, hostlen)
        if fd < 0:
            return fd
        handed_cover(v, guest, guestlen)
        error = handed_bind(v, t, flags, guest, guestlen, fd)
        if error < 0:
            return error
    if not v.b[0].isdir:
        return -ENOTDIR
    if view_rebuild(v) < 0:
        return -ENOMEM
    error = view_bind_procs(v)
    if error < 0 or view_rebuild(v) < 0:
        return -EPERM if error == -EPERM else -ENOMEM
    for i in range(1, v.n):
        error = handed_way(v, i)
        if error < 0:
            return error
    view_find_links(v)
    v.features = FEATURE_NOTING if v.ambiguous else 0
    if not (views.base.features | t.stops_for) & FEATURE_LISTING and view_needs_listing(v):
        v.features |= FEATURE_LISTING
    readonly_begin(v, NULL)
    features_serve(v)
    return 0

cdef long view_hand(Tracee *t) noexcept nogil:
    """Make a view of the guest's text; return its number or -errno."""
    cdef Handed x
    cdef View *v
    cdef uint32_t size = <uint32_t>(t.call.args[3] >> 32)
    cdef char *text
    cdef long result
    if t.call.compat or t.fs.root != NULL or not t.mm.arena or t.filtered or views.count >= VIEWS_MOST:
        # (its own filter may forbid that we install one)
        return -EOPNOTSUPP
    if size > VIEW_TEXT_MOST:
        return -E2BIG
    text = <char *>malloc(size + 1)
    v = <View *>calloc(1, sizeof(View))
    if text == NULL or v == NULL:
        free(text)
        free(v)
        return -ENOMEM
    x.at = text
    x.end = text + size
    v.parent = t.view
    v.life = -1
    result = mem_read(t.tid, t.call.args[2], text, size)
    if result == 0:
        result = handed_read(v, t, &x)
    free(text)
    if result == 0:
        v.life = guest_socket(t, <int><uint32_t>t.call.args[3])
        result = -EBADF if v.life < 0 else 0
    if result < 0:
        view_free(v)
        free(v)
        return result
    views.last_id += 1
    v.id = views.last_id
    v.owner = t.tgid
    v.next = views.first
    views.first = v
    views.count += 1
    if v.parent != views.base:
        v.parent.users += 1
    return v.id

# -- entering ----------------------------------------------------------------------------------------------------------------

cdef int view_enter_request(Tracee *t) noexcept nogil:
    """The child that is to become the command: it has the view from now on, for its own calls too."""
    cdef View *v = view_handed(<int>t.call.args[2], t.parent_tgid)
    cdef View *before = t.view
    if v == NULL or v.ended or v.parent != t.view or t.tid != t.tgid or t.mm.refs > 1 or t.fs.refs > 1 or t.fs.root != NULL:
        return answer(t, -EPERM)
    if v.command == NULL:
        v.command = calloc(1, sizeof(Command))
        if v.command == NULL:
            return answer(t, -ENOMEM)
        (<Command *>v.command).tgid = t.tgid
        (<Command *>v.command).pyroot = v.owner
    gate_quit(t)
    view_join(t, v)
    v.entered = True
    if before != views.base:
        view_left(before)
    t.fs.bind = -1
    fd_forget(t.tgid)
    t.stops_for |= v.features & (FEATURE_LISTING | FEATURE_READONLY)
    return view_filter(t, v) if session.seccomp else answer(t, 0)

cdef int view_filter(Tracee *t, View *v) noexcept nogil:
    """Turn the request into the call that installs the filter of the view."""
    cdef uint64_t program[2]
    cdef int at
    filter_patch(view_program, pyroot_view_filter, PYROOT_VIEW_FILTER_LENGTH, v.owner, v.features)
    program[0] = PYROOT_VIEW_FILTER_LENGTH
    edit_start()
    edit_bytes(2, program, sizeof(program))
    at = edit_bytes(-1, view_program, sizeof(view_program))
    edit_value(0, SECCOMP_SET_MODE_FILTER)
    edit_value(1, SECCOMP_FILTER_FLAG_SPEC_ALLOW)
    if edit_reserve(t) < 0:
        return answer(t, -ENOMEM)
    (<uint64_t *>edit.data)[1] = edit_address(t, at)
    if reg_set_nr(t, NR_seccomp) < 0:
        return R_DEAD
    t.own_filters += 1
    return finish_edit(t)
