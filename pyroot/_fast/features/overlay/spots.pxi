# A place of an overlay's tree, as those who change it need it: what is there, in which layer, and who may.
#
# Decides: whether the one who asks may change a directory, or a file.

cdef struct OverSpot:
    layers *o
    const char *rel          # the place below the overlay, within the text that it was made from
    int n
    layers_found f
    c_stat st
    int error                # 0: it is there; -ENOENT: it is not (f.around == 0: nor is its directory); else another one

cdef char over_path[PATHMAX]
cdef char over_text[BUF + 8]

cdef void over_spot(OverSpot *s, layers *o, const char *rel, int n) noexcept nogil:
    s.o, s.rel, s.n = o, rel, n
    s.error = layers_look(o, rel, n, &s.f, &s.st)

cdef inline int over_above(const char *rel, int n) noexcept nogil:
    """Return the length of a place's directory."""
    while n > 0 and rel[n - 1] != c'/':
        n -= 1
    return n - 1 if n > 0 else 0

cdef const char *over_host(const OverSpot *s, int k) noexcept nogil:
    """Return the host path of a place in a layer, until the next one is asked for; an empty one if it is too long."""
    if layers_path(s.o, k, s.rel, s.n, over_path) < 0:
        over_path[0] = 0
    return over_path

cdef bint over_may_change(const char *path, const c_stat *st) noexcept nogil:
    """Say whether the kernel would let us change the file at a path in some way."""
    return st.st_uid == c_geteuid() or c_geteuid() == 0 or accessible(AT_FDCWD, path, W_OK) == 0

cdef extern from "<unistd.h>" nogil:
    int c_getgroups "getgroups"(int, unsigned int *)
    unsigned int c_getegid "getegid"()

cdef unsigned int over_groups[65536]

cdef bint over_has_group(uint32_t gid, const c_stat *st) noexcept nogil:
    """Say whether we may give a file of ours to a group."""
    cdef int i, n
    if c_geteuid() == 0 or gid == <uint32_t>-1 or gid == st.st_gid or gid == c_getegid():
        return True
    n = c_getgroups(65536, over_groups)
    for i in range(n):
        if over_groups[i] == gid:
            return True
    return False

cdef extern from "<sys/xattr.h>" nogil:
    ssize_t c_lgetxattr "lgetxattr"(const char *, const char *, void *, size_t)

cdef bint over_lacks(Tracee *t, const pyroot_row *row, const char *path) noexcept nogil:
    """Say whether the call is to remove an attribute that is not there."""
    cdef char name[256]
    if find_text(row.name, b"removexattr") == NULL:
        return False
    if mem_string(t.tid, t.call.args[3 if row.dirfd >= 0 else 1], name, sizeof(name)) <= 0:
        return False
    return c_lgetxattr(path, name, NULL, 0) < 0 and errno == ENODATA

cdef bint over_would_change(Tracee *t, const pyroot_row *row, const char *path, const c_stat *st) noexcept nogil:
    """The same of the call at hand: a file can be given away by root alone."""
    cdef int at = row.path + 1 if row.path >= 0 else 1
    cdef uint32_t uid
    if not over_may_change(path, st) or over_lacks(t, row, path):
        return False
    if owners_on():
        # (the records say who may, of UPPER's file)
        return True
    if find_text(row.name, b"xattr") != NULL and not S_ISREG(st.st_mode) and not S_ISDIR(st.st_mode):
        # (others have no attributes of users)
        return False
    if t.call.nr == NR_chown or t.call.nr == NR_lchown or t.call.nr == NR_fchown or t.call.nr == NR_fchownat:
        uid = over_id(t, row, at)
        if c_geteuid() != 0 and uid != <uint32_t>-1 and uid != st.st_uid:
            return False
        return over_has_group(over_id(t, row, at + 1), st)
    return True

cdef inline uint32_t over_id(Tracee *t, const pyroot_row *row, int which) noexcept nogil:
    """Return an id of a call; the old calls of i386 have 16 bits for one."""
    cdef uint32_t id = <uint32_t>t.call.args[which]
    if t.call.compat and (strcmp(row.name, b"chown") == 0 or strcmp(row.name, b"lchown") == 0 or strcmp(row.name, b"fchown") == 0):
        return <uint32_t>-1 if id & 0xffff == 0xffff else id & 0xffff
    return id

cdef int over_may_name(const OverSpot *s, const c_stat *victim) noexcept nogil:
    """Say whether names of the directory of a place may be changed (``victim``: what is to be removed, or NULL); 0 or -errno."""
    cdef OverSpot parent
    cdef const char *path
    cdef int error
    over_spot(&parent, s.o, s.rel, over_above(s.rel, s.n))
    if parent.error < 0:
        return parent.error
    path = over_host(&parent, parent.f.attr)
    if accessible(AT_FDCWD, path, W_OK | X_OK) < 0:
        return -errno
    if overlays.asker != NULL:
        error = over_by_records(s, path, victim)
        if error < 0:
            return error
    if victim != NULL and parent.st.st_mode & S_ISVTX and c_geteuid() != 0:
        if victim.st_uid != c_geteuid() and parent.st.st_uid != c_geteuid():
            return -EPERM
    return 0

cdef int over_by_records(const OverSpot *s, const char *parent, const c_stat *victim) noexcept nogil:
    """The same where owners are remembered; 0 or -errno."""
    cdef char above[PATHMAX]
    if snprintf(above, sizeof(above), b"%s", parent) >= PATHMAX:
        return -ENAMETOOLONG
    return owners_may_name(overlays.asker, above, over_host(s, s.f.attr) if victim != NULL else NULL)

cdef int over_walk(Tracee *t, Walk *w, int dirfd, uint64_t pointer, int mode) noexcept nogil:
    """Walk a path of the call ahead of its handler; 1 if it ends in an overlay, 0 if not (or nowhere), -ESRCH."""
    cdef int outcome
    w.resolve = 0
    w.takes = w.want_text = True
    outcome = call_walk(w, t, dirfd, pointer, mode)
    w.takes = w.want_text = False
    hold_drop(t)
    if outcome == -ESRCH:
        return outcome
    return outcome >= 0 and w.valid and not w.magic and w.bi >= 0 and over_of(w) != NULL and not is_readonly(w.v, w.bi)

cdef inline void over_at(OverSpot *s, const Walk *w) noexcept nogil:
    over_spot(s, w.v.b[w.bi].over, w.g + w.v.b[w.bi].guestlen, w.glen - w.v.b[w.bi].guestlen)

cdef bint over_by_text(Tracee *t, const char *link, OverSpot *s) noexcept nogil:
    """Find what a link of /proc is of, by its text; says whether it lies in a lower layer of an overlay, or has a twin in UPPER."""
    cdef View *v = t.view
    cdef char text[PATHMAX]
    cdef int i, k, glen = 0, n = <int>c_readlink(link, text, PATHMAX - 1)
    if n <= 0 or text[0] != c'/':
        return False
    text[n] = 0
    i = view_from_host(v, text, 0 if n == 1 else n, -1, over_text, &glen)
    if i < 0 or v.b[i].over == NULL or is_readonly(v, i):
        return False
    k = layers_of(v.b[i].over, text, n)
    if k < 0:
        return False
    over_spot(s, v.b[i].over, over_text + v.b[i].guestlen, glen - v.b[i].guestlen)
    return k > 0

cdef bint over_by_fd(Tracee *t, int fd, OverSpot *s) noexcept nogil:
    cdef char link[48]
    if fd == AT_FDCWD:
        snprintf(link, sizeof(link), b"/proc/%d/cwd", t.tid)
    else:
        snprintf(link, sizeof(link), b"/proc/%d/fd/%d", t.tid, fd)
    return (fd >= 0 or fd == AT_FDCWD) and over_by_text(t, link, s)

cdef bint over_held(const char *host) noexcept nogil:
    """Say whether a guest stands in a host directory, or has it open."""
    cdef char link[64]
    cdef char text[PATHMAX]
    cdef DIR *dir
    cdef c_dirent *e
    cdef int i, k, fd
    cdef size_t n = strlen(host)
    cdef bint found = False
    for i in range(TID_TOP):
        for k in range(TID_LEAF if tracees.leaf[i] != NULL and not found else 0):
            if tracees.leaf[i][k] == NULL or found:
                continue
            snprintf(link, sizeof(link), b"/proc/%d/cwd", tracees.leaf[i][k].tid)
            found = over_leads(link, host, n)
            snprintf(link, sizeof(link), b"/proc/%d/fd", tracees.leaf[i][k].tid)
            fd = c_open(link, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            dir = fdopendir(fd) if fd >= 0 else NULL
            while dir != NULL and not found:
                e = readdir(dir)
                if e == NULL:
                    break
                snprintf(link, sizeof(link), b"/proc/%d/fd/%.16s", tracees.leaf[i][k].tid, e.d_name)
                found = over_leads(link, host, n)
            if dir != NULL:
                closedir(dir)
    return found

cdef inline bint over_leads(const char *link, const char *host, size_t n) noexcept nogil:
    cdef char text[PATHMAX]
    cdef ssize_t got = c_readlink(link, text, PATHMAX - 1)
    return got >= <ssize_t>n and memcmp(text, host, n) == 0 and (got == <ssize_t>n or text[n] == c'/')
