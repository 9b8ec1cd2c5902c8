# Files of /proc whose text names mounts: made from the supervisor's own files and the bindings.
#
# The table is the one that "mount --rbind" of the root on itself, and of each binding in turn, would give: a binding stands with the mounts
# of the host below it.  Numbers ascend in this order, as findmnt(8) shows them.

cdef const char *MOUNT_ESCAPES = b" \t\n\\#"

cdef enum:
    ROOT_NUMBER = 1000       # the guest's root

cdef struct Mount:           # one mount of the host
    const char *text         # its record in the file asked for, NULL if the files disagree
    int len
    const char *point        # its mount point in that record, as written
    int pointlen
    const char *device       # major:minor, from mountinfo
    int devicelen
    const char *root         # which part of the file system
    int rootlen
    char *path               # the mount point, unescaped (owned)
    int n
    int number, parent

cdef struct Listed:          # one mount of the guest
    char *path               # owned
    int n
    int number

cdef struct Mounts:
    Mount *m
    int n
    Listed *out
    int nout, room
    int last                 # the number given last
    Text info, text          # mountinfo, and the file asked for
    int kind
    const Bind *bind         # looked for: in this binding
    int wanted               # ... the guest's number of this mount of the host
    int found
    bint readonly            # what is being listed is shown by a read-only binding
    NestedRoot *root         # the nested root of the process that the table is of, NULL: pyroot's
    Text *to

cdef int field(const char *text, int len, int which, const char **at) noexcept nogil:
    """Find blank-separated field ``which`` (from 0); return its length."""
    cdef int i = 0, start
    while True:
        start = i
        while i < len and text[i] != c' ':
            i += 1
        if which == 0 or i == len:
            at[0] = text + start
            return i - start
        which -= 1
        i += 1

cdef int record_length(const char *p, int kind) noexcept nogil:
    """Return the length of a record: a line; in mountstats with the lines of statistics that follow it."""
    cdef int n = line_length(p)
    cdef const char *next = line_next(p, n)
    while kind == K_MOUNTSTATS and next[0] != 0 and not starts(next, b"device ") and not starts(next, b"no device"):
        n = <int>(next - p) + line_length(next)
        next = line_next(p, n)
    return n

cdef void record_point(Mount *m, int kind) noexcept nogil:
    """Find the mount point in a record."""
    cdef const char *p = find_in(m.text, m.len, b" mounted on ") if kind == K_MOUNTSTATS else m.text
    if p == NULL:
        m.text = NULL
    elif kind == K_MOUNTSTATS:
        m.pointlen = field(p + 12, m.len - <int>(p + 12 - m.text), 0, &m.point)
    else:
        m.pointlen = field(m.text, m.len, 4 if kind == K_MOUNTINFO else 1, &m.point)

cdef int mount_read(Mount *m, const char *text, int len) noexcept nogil:
    """Fill a record from its line of mountinfo."""
    cdef const char *p
    m.text = text
    m.len = len
    record_point(m, K_MOUNTINFO)
    parse_pid(text, &m.number)
    field(text, len, 1, &p)
    parse_pid(p, &m.parent)
    m.devicelen = field(text, len, 2, &m.device)
    m.rootlen = field(text, len, 3, &m.root)
    m.path = <char *>malloc(m.pointlen + 1)
    if m.path == NULL:
        return -ENOMEM
    m.n = unescape(m.point, m.pointlen, m.path, m.pointlen + 1)
    if m.n == 1 and m.path[0] == c'/':
        m.n = 0
    return 0

cdef int mounts_read(Mounts *x, int kind) noexcept nogil:
    """Read the host's mounts: all three files list them in one order."""
    cdef const char *p
    cdef int i, n, lines = 0, error = text_file(&x.info, b"/proc/self/mountinfo")
    x.kind = kind
    if error == 0 and kind != K_MOUNTINFO:
        error = text_file(&x.text, b"/proc/self/mounts" if kind == K_MOUNTS else b"/proc/self/mountstats")
    if error < 0 or x.info.p == NULL:
        return error
    for i in range(<int>x.info.n):
        lines += x.info.p[i] == c'\n'
    x.m = <Mount *>calloc(lines + 1, sizeof(Mount))
    if x.m == NULL:
        return -ENOMEM
    p = x.info.p
    while p[0] != 0 and x.n < lines:
        n = line_length(p)
        if mount_read(&x.m[x.n], p, n) < 0:
            return -ENOMEM
        x.n += 1
        p = line_next(p, n)
    if kind == K_MOUNTINFO:
        return 0
    p = x.text.p
    for i in range(x.n):
        n = record_length(p, kind) if p != NULL else 0
        x.m[i].text = p if n > 0 else NULL
        x.m[i].len = n
        if n > 0:
            record_point(&x.m[i], kind)
            p = line_next(p, n)
    return 0

cdef void mounts_free(Mounts *x) noexcept nogil:
    cdef int i
    for i in range(x.n):
        free(x.m[i].path)
    for i in range(x.nout):
        free(x.out[i].path)
    free(x.m)
    free(x.out)
    free(x.info.p)
    free(x.text.p)

cdef Mount *mount_numbered(Mounts *x, int number) noexcept nogil:
    cdef int i
    for i in range(x.n):
        if x.m[i].number == number:
            return &x.m[i]
    return NULL

cdef Mount *mount_of(Mounts *x, Bind *b) noexcept nogil:
    """Find the host mount that a binding's host side lies in: its descriptor knows."""
    cdef Text info
    cdef char name[48]
    cdef char *p
    cdef int number = -1
    memset(&info, 0, sizeof(info))
    snprintf(name, sizeof(name), b"/proc/self/fdinfo/%d", b.fd)
    if text_file(&info, name) == 0 and info.p != NULL:
        p = find_text(info.p, b"mnt_id:\t")
        if p != NULL:
            parse_pid(p + 8, &number)
    free(info.p)
    return mount_above(x, b) if nesting else mount_numbered(x, number) if number >= 0 else NULL

cdef Mount *mount_above(Mounts *x, Bind *b) noexcept nogil:
    """Find the mount by its place: inside a pyroot the numbers of the table are not those of descriptors."""
    cdef Mount *m = NULL
    cdef int i
    for i in range(x.n):
        if x.m[i].n <= b.hostlen and memcmp(x.m[i].path, b.host, x.m[i].n) == 0 and (m == NULL or x.m[i].n >= m.n):
            if x.m[i].n == b.hostlen or b.host[x.m[i].n] == c'/':
                m = &x.m[i]
    return m

cdef int guest_parent(Mounts *x, const char *guest, int n) noexcept nogil:
    """Return the number of the guest's mount that a mount point lies in: the nearest above it, the last of those at one place."""
    cdef int i, best = -1, number = ROOT_NUMBER
    for i in range(x.nout):
        if x.out[i].n >= best and x.out[i].n <= n and memcmp(x.out[i].path, guest, x.out[i].n) == 0:
            if x.out[i].n == n or guest[x.out[i].n] == c'/':
                best = x.out[i].n
                number = x.out[i].number
    return number

cdef int listed(Mounts *x, const char *guest, int n) noexcept nogil:
    """Note a mount of the guest; return its number."""
    cdef void *grown
    cdef char *path
    if x.nout == x.room:
        grown = realloc(x.out, (x.room * 2 + 32) * sizeof(Listed))
        if grown == NULL:
            return ROOT_NUMBER
        x.out = <Listed *>grown
        x.room = x.room * 2 + 32
    path = dup_bytes(guest, n)
    if path == NULL:
        return ROOT_NUMBER
    x.out[x.nout].path = path
    x.out[x.nout].n = n
    x.last += n > 0
    x.out[x.nout].number = x.last
    x.nout += 1
    return x.last

cdef void mount_write(
    Mounts *x, Mount *m, const char *guest, int n, const char *below, int belowlen, int number, int parent
) noexcept nogil:
    """Write a mount of the host as the guest sees it: at ``guest``, and of it what is ``below`` its root.

    A mount that does not lie below the nested root is left out, as in the kernel's own tables.
    """
    cdef char ids[40]
    cdef const char *rest
    cdef const char *options
    if m.text == NULL:
        return
    if x.root != NULL:
        if n < x.root.len or memcmp(guest, x.root.text, x.root.len) != 0 or (n > x.root.len and guest[x.root.len] != c'/'):
            return
        guest += x.root.len
        n -= x.root.len
    if x.kind == K_MOUNTINFO:
        text_add(x.to, ids, snprintf(ids, sizeof(ids), b"%d %d ", number, parent))
        text_add(x.to, m.device, m.devicelen)
        text_add(x.to, b" ", 1)
        if not (belowlen > 0 and m.rootlen == 1 and m.root[0] == c'/'):
            text_add(x.to, m.root, m.rootlen)
        text_escaped(x.to, below, belowlen, MOUNT_ESCAPES)
        text_add(x.to, b" ", 1)
    else:
        text_add(x.to, m.text, m.point - m.text)
    if n == 0:
        text_add(x.to, b"/", 1)
    text_escaped(x.to, guest, n, MOUNT_ESCAPES)
    rest = m.point + m.pointlen
    n = field(m.text, m.len, 5 if x.kind == K_MOUNTINFO else 3, &options) if x.readonly and x.kind != K_MOUNTSTATS else 0
    if n >= 2 and memcmp(options, b"rw", 2) == 0:
        text_add(x.to, rest, options - rest)
        text_add(x.to, b"ro", 2)
        rest = options + 2
    text_add(x.to, rest, m.text + m.len - rest)
    text_add(x.to, b"\n", 1)

cdef void mounts_below(Mounts *x, Bind *b, int host_parent, int parent, int depth) noexcept nogil:
    """List the mounts that stand on a mount of the host below a binding's host side, each followed by those that stand on it."""
    cdef char guest[PATHMAX * 2]
    cdef Mount *m
    cdef int i, n, number, over
    for i in range(x.n):
        m = &x.m[i]
        if m.parent != host_parent or m.number == host_parent or depth > 200:
            continue
        n = b.guestlen + m.n - b.hostlen
        if m.n <= b.hostlen or memcmp(m.path, b.host, b.hostlen) != 0 or m.path[b.hostlen] != c'/' or n >= <int>sizeof(guest):
            continue
        memcpy(guest, b.guest, b.guestlen)
        memcpy(guest + b.guestlen, m.path + b.hostlen, m.n - b.hostlen)
        over = view_covering(W1.v, guest, n)
        if W1.v.b[over].flags & BIND_STANDS_IN and W1.v.b[over].guestlen == n:
            continue
        number = listed(x, guest, n)
        mount_found(x, b, m, number)
        mount_write(x, m, guest, n, b"", 0, number, parent)
        mounts_below(x, b, m.number, number, depth + 1)

cdef inline void mount_found(Mounts *x, const Bind *b, const Mount *m, int number) noexcept nogil:
    if b == x.bind and m.number == x.wanted:
        x.found = number

cdef uint64_t mount_number(View *v, int bind, uint64_t wanted) noexcept nogil:
    """Return the number in the guest's mountinfo of a host mount that a binding shows; for an unlisted one the host's number."""
    cdef Text text
    cdef Mounts x
    memset(&text, 0, sizeof(text))
    memset(&x, 0, sizeof(x))
    x.to = &text
    x.bind = &v.b[bind]
    x.wanted = <int>wanted
    mounts_list(v, K_MOUNTINFO, &x)
    free(text.p)
    return <uint64_t>x.found if x.found > 0 else wanted

cdef int mounts_text(View *v, int kind, NestedRoot *root, Text *out) noexcept nogil:
    cdef Mounts x
    memset(&x, 0, sizeof(x))
    x.to = out
    x.root = root
    return mounts_list(v, kind, &x)

cdef int mounts_list(View *v, int kind, Mounts *x) noexcept nogil:
    cdef Mount *m
    cdef Bind *bind
    cdef int b, number, error = mounts_read(x, kind)
    x.last = ROOT_NUMBER
    for b in range(v.n if error == 0 else 0):
        bind = &v.b[b]
        if is_lost(bind):
            continue
        m = mount_of(x, bind) if not bind.flags & (BIND_GLUE | BIND_SELF | BIND_MASK | BIND_LINK) else NULL
        if m == NULL or m.n > bind.hostlen or memcmp(m.path, bind.host, m.n) != 0:
            continue
        number = guest_parent(x, bind.guest, bind.guestlen) if b > 0 else ROOT_NUMBER - 1
        listed(x, bind.guest, bind.guestlen)
        x.readonly = bind.flags & BIND_READONLY != 0
        mount_write(x, m, bind.guest, bind.guestlen, bind.host + m.n, bind.hostlen - m.n, x.last, number)
        number = x.last
        mount_found(x, bind, m, number)
        mounts_below(x, bind, m.number, number, 0)
    mounts_free(x)
    return error

cdef enum:
    PROC_HIDDEN = 0          # a procfs that does not show this process: its numbers mean nothing here
    PROC_OURS = 1
    PROC_STRANGE = 2         # it shows this process, by another number

cdef int proc_shows_us(const char *path) noexcept nogil:
    """Say what a procfs that is mounted at ``path``, whole, shows of this process."""
    cdef char link[PATHMAX + 8]
    cdef char text[24]
    cdef int k, pid = 0
    snprintf(link, sizeof(link), b"%s/self", path)
    k = <int>c_readlink(link, text, sizeof(text) - 1)
    if k <= 0:
        return PROC_HIDDEN
    text[k] = 0
    parse_pid(text, &pid)
    return PROC_OURS if pid == c_getpid() else PROC_STRANGE

cdef int proc_bind(View *v, int b, const char *path, int n, const char *rest) noexcept nogil:
    """Bind what is ``rest`` below the host's /proc where binding ``b`` shows the place ``path`` of another mount of it; 1 if it does."""
    cdef char guest[PATHMAX * 2]
    cdef char host[PATHMAX + 8]
    cdef c_stat st
    cdef Bind *bind = &v.b[b]
    cdef int glen = bind.guestlen, hostlen, fd
    if bind.flags & BIND_STANDS_IN:
        return 0
    hostlen = snprintf(host, sizeof(host), b"/proc%s", rest)
    if n > bind.hostlen and path[bind.hostlen] == c'/' and memcmp(path, bind.host, bind.hostlen) == 0:
        # below what it shows
        glen += n - bind.hostlen
        if glen >= <int>sizeof(guest):
            return -ENAMETOOLONG
        memcpy(guest + bind.guestlen, path + bind.hostlen, n - bind.hostlen)
    elif n <= bind.hostlen and memcmp(path, bind.host, n) == 0 and (n == bind.hostlen or bind.host[n] == c'/'):
        # it shows that mount, or part of it
        hostlen += snprintf(host + hostlen, sizeof(host) - hostlen, b"%.*s", bind.hostlen - n, bind.host + n)
    else:
        return 0
    memcpy(guest, bind.guest, bind.guestlen)
    if hostlen >= PATHMAX or view_covering(v, guest, glen) != b:
        return 0
    fd = c_open(host, O_PATH | O_CLOEXEC)
    if fd < 0 or c_fstat(fd, &st) < 0 or view_bind(v, host, hostlen, guest, glen, BIND_STANDS_IN, fd, S_ISDIR(st.st_mode)) < 0:
        if fd >= 0:
            c_close(fd)
        return -EPERM
    return 1

cdef int proc_stands_in(View *v, const char *path, int n, const char *root) noexcept nogil:
    """Bind the host's /proc over another mount of it, or of its directory ``root``, wherever the view shows that.

    So it does with a procfs that has another number for this process: what its numbers say would be told wrongly of the guests', and
    right of the supervisor.  Returns how many times, or -EPERM where the view would show a part of that one.
    """
    cdef int b, result, done = 0, shows = proc_shows_us(path) if root[0] == 0 else PROC_OURS
    cdef bint part
    for b in range(v.n if shows != PROC_HIDDEN else 0):
        part = v.b[b].hostlen > n
        result = proc_bind(v, b, path, n, root)
        if result > 0 and shows == PROC_STRANGE and part:
            result = -EPERM
        if result < 0:
            return result
        done += result
    return done

cdef char strange_proc[PATHMAX]      # the mount that view_bind_procs has refused

cdef int view_bind_procs(View *v) noexcept nogil:
    """What shows another mount of the host's procfs must be known as /proc, whose links and texts are not as they look.

    Returns -EPERM, with ``strange_proc``, where it cannot be.
    """
    cdef Text info
    cdef const char *p
    cdef const char *field_at
    cdef char path[PATHMAX]
    cdef char root[PATHMAX]
    cdef int n, k, done = 0, error
    memset(&info, 0, sizeof(info))
    error = text_file(&info, b"/proc/self/mountinfo")
    p = info.p
    while error == 0 and p != NULL and p[0] != 0:
        n = line_length(p)
        if find_in(p, n, b" - proc ") != NULL:
            k = field(p, n, 3, &field_at)
            k = unescape(field_at, k, root, sizeof(root))
            if k == 1:
                root[0] = 0
            k = field(p, n, 4, &field_at)
            k = unescape(field_at, k, path, sizeof(path))
            if k > 1 and not is_proc(path, k):
                error = proc_stands_in(v, path, k, root)
                done += error > 0
                error = error if error < 0 else 0
                memcpy(strange_proc, path, k + 1)
        p = line_next(p, n)
    free(info.p)
    return error if error < 0 else view_rebuild(v) if done > 0 else 0
