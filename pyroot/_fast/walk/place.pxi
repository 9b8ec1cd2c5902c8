# A place in the view: the canonical guest path and the host path of one spot, kept in step, and the moves between places.

cdef enum:
    # what happens to the last component
    M_FOLLOW = 1             # look it up, follow a link
    M_NOFOLLOW = 2           # look it up, a link itself (a trailing slash still follows)
    M_CREATE = 3             # make, remove or rename the name: never followed
    M_OCREAT = 4             # open with O_CREAT: follows, also a dangling link; not with a trailing slash
    M_OCREAT_NOFOLLOW = 6    # the same with O_NOFOLLOW: a binding is entered, a link is not
    M_MISSING = 5            # as M_FOLLOW, and any number of trailing components may be missing (for the front end)
    REST = 200000            # 41 texts of at most 4096 bytes
    LONG_STEP = 3000         # hold a directory when the host text grows by this much
    MAGIC_NONE = 0
    MAGIC_CWD = 1
    MAGIC_ROOT = 2
    MAGIC_EXE = 3
    MAGIC_FILE = 4           # fd/N, map_files, ns: the kernel jumps to the file
    LAST_NORM = 0
    LAST_ROOT = 1
    LAST_DOT = 2
    LAST_DOTDOT = 3

cdef struct Walk:
    View *v
    int pid, tid             # what /proc/self and /proc/thread-self mean
    Fs *fs                   # whose root absolute paths start at
    char *g                  # canonical guest path without trailing slash
    int glen
    uint64_t gh
    char *h                  # host path of the same place
    int hlen
    int bi                   # binding of the place, -1 outside the view
    int gone_bi              # binding of the removed directory that the walk went through, -1 if none
    int pbi                  # binding of the parent of the last component
    int dfd, doff            # held directory: h[doff + 1:] is relative to it
    char *todo
    int tpos                 # the rest is todo[tpos:REST - 1]
    int links
    int mode
    uint64_t resolve         # RESOLVE_* of openat2
    char *rootg              # start of a RESOLVE_IN_ROOT or RESOLVE_BENEATH walk
    int rootlen
    int rootfd               # of an anchored walk: that start, -1 if not needed
    int64_t root_mount       # the mount it lies in (for RESOLVE_NO_XDEV)
    bint want_text           # h is looked at after the walk, also where the kernel is given the guest's own relative path
    bint want_file           # keep the descriptor of the proof in `file`
    bint want_directory      # the same of a directory
    bint trusts              # the call itself will meet no link unnoticed: no proof is needed (opening.pxi)
    bint unproven            # none was made
    int file                 # O_PATH descriptor of the place, -1 if none was kept
    # result
    bint jumped              # a link of /proc took part: the path depends on who walks
    bint root_known          # an absolute path or ".." has been met (for RESOLVE_NO_XDEV)
    bint pair                # one of two names of a call
    bint takes               # a last name that no layer of an overlay has is to be made: no error
    bint upper, merged       # the place is UPPER's (over.pxi); ... a directory of several layers
    bint over_gone           # ``h`` leads to a directory that is none of an overlay's tree any more
    bint removes             # the name is to be removed, or moved elsewhere
    bint anchored            # go by descriptors: the absolute host texts lead through a directory that is closed to us
    bint magic               # the name is a magic link to a file; magic_bi is the file's binding or -1
    int magic_bi
    int magic_glen           # how long its guest path is
    bint valid               # the walk ran to its end
    bint held                # h leads through one of our descriptors: it says nothing of the place
    bint linked              # (held) it ends at a link of /proc to a bound file (bound.pxi)
    bint directory           # the proof has found a directory at the end, not a link
    int missing              # trailing components that do not exist (only where the walk noticed)
    bint isbind              # the name is the top of a binding
    int last
    bint slash               # trailing slash
    char *given              # the path as the guest has it, which nobody changes any more
    int givenlen             # -1: none
    int base_hlen            # length of the host text of the start; -1 for an absolute path
    char *base               # its text
    int placelen             # length of h without what walk_finish appended
    int namelen              # length of the last component, 0 if it is not a name

# Whether the process that a walk is made for may search the directory that it has come to, if others than the kernel have a say.
# (walk, asks): 0 or -errno; ``asks``: only whether that has to be asked at every step, which a proof would leave out.
ctypedef int (*WayJudge)(Walk *, bint) noexcept nogil
cdef WayJudge way_judge = NULL

cdef void set_way_judge(WayJudge judge) noexcept nogil:
    global way_judge
    way_judge = judge

cdef inline int way_judged(Walk *w) noexcept nogil:
    """Ask whether a component may be looked up where the walk is: 0 or -errno."""
    return way_judge(w, False) if way_judge != NULL else 0

cdef bint have_openat2 = True
cdef int effective = -1      # AT_EACCESS, or 0 where faccessat2(2) is refused (old containers); -1 not known yet

cdef int accessible(int dirfd, const char *path, int rights) noexcept nogil:
    """faccessat(2) with our effective ids; those are the real ones, too, so the old call says the same where the new one is refused."""
    global effective
    if effective < 0:
        effective = AT_EACCESS if c_faccessat(AT_FDCWD, b"/", F_OK, AT_EACCESS) == 0 else 0
    if effective == 0:
        # (the C library's own way out is for ENOSYS only)
        return <int>c_syscall(SYS_faccessat, dirfd, path, rights)
    return c_faccessat(dirfd, path, rights, effective)

cdef int walk_alloc(Walk *w) noexcept nogil:
    memset(w, 0, sizeof(Walk))
    w.g = <char *>malloc(BUF + 8)
    w.h = <char *>malloc(BUF + PATHMAX * 2)
    w.todo = <char *>malloc(REST)
    w.rootg = <char *>malloc(BUF + 8)
    w.base = <char *>malloc(BUF + 8)
    w.given = path_buffer
    if w != &W1:
        w.given = <char *>malloc(PATHMAX + 8)
    w.givenlen = -1
    w.dfd = AT_FDCWD
    w.rootfd = w.file = -1
    return -ENOMEM if w.g == NULL or w.h == NULL or w.todo == NULL or w.rootg == NULL or w.base == NULL or w.given == NULL else 0

cdef void walk_release(Walk *w) noexcept nogil:
    free(w.g)
    free(w.h)
    free(w.todo)
    free(w.rootg)
    free(w.base)
    if w != &W1:
        free(w.given)

cdef void walk_drop_fd(Walk *w) noexcept nogil:
    if w.dfd >= 0:
        c_close(w.dfd)
    w.dfd = AT_FDCWD
    w.doff = 0

cdef inline int walk_binding(Walk *w) noexcept nogil:
    """Return the binding of the place, also of a removed directory; -1 if nobody knows."""
    return w.bi if w.bi >= -1 else -3 - w.bi

cdef inline int walk_take_file(Walk *w) noexcept nogil:
    """Hand the kept descriptor of the place over, -1 if there is none."""
    cdef int fd = w.file
    w.file = -1
    return fd

cdef inline void walk_drop_file(Walk *w) noexcept nogil:
    if w.file >= 0:
        c_close(walk_take_file(w))

cdef inline const char *walk_text(Walk *w) noexcept nogil:
    """Return the host path of the place; in h that of the host's own root is empty."""
    if w.hlen > 0:
        return w.h
    return b"/"

cdef inline const char *walk_rel(Walk *w) noexcept nogil:
    """Return the text that names h from dfd."""
    if w.dfd < 0:
        return walk_text(w)
    if w.hlen > w.doff:
        return w.h + w.doff + 1
    return b"."

cdef int walk_shorten(Walk *w) noexcept nogil:
    """Hold the current directory when its text gets too long for one system call."""
    cdef int fd
    if w.hlen - w.doff < LONG_STEP:
        return 0
    w.h[w.hlen] = 0
    fd = c_openat(w.dfd, walk_rel(w), O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
    if fd < 0:
        return -errno
    walk_drop_fd(w)
    w.dfd = fd
    w.doff = w.hlen
    return 0

cdef int walk_to_root(Walk *w) noexcept nogil:
    """Go to the root of the process that the walk is made for."""
    if w.fs == NULL or w.fs.root == NULL:
        return walk_to_guest(w, b"", 0)
    return walk_to_nested(w, w.fs.root)

cdef int walk_to_guest(Walk *w, const char *guest, int n) noexcept nogil:
    """Go to a canonical guest path (no proof)."""
    cdef Bind *b
    if n >= BUF:
        return -ENAMETOOLONG
    walk_drop_fd(w)
    if guest != w.g:
        memcpy(w.g, guest, n)
    w.g[n] = 0
    w.glen = n
    w.gh = hash_more(FNV, w.g, n)
    w.bi = view_covering(w.v, w.g, n)
    b = &w.v.b[w.bi]
    if b.hostlen + n - b.guestlen >= BUF:
        return -ENAMETOOLONG
    memcpy(w.h, b.host, b.hostlen)
    memcpy(w.h + b.hostlen, w.g + b.guestlen, n - b.guestlen + 1)
    w.hlen = b.hostlen + n - b.guestlen
    if w.anchored:
        w.dfd = fd_again(b.fd)
        if w.dfd < 0:
            w.dfd = AT_FDCWD
            return -errno
        w.doff = b.hostlen
    if b.over != NULL and n > b.guestlen:
        return over_settle(w)
    return 0

cdef int walk_to_host(Walk *w, const char *host, int n, int prefer) noexcept nogil:
    """Go to a host directory given by its canonical text; outside every binding the walk has no guest path."""
    if n == 1 and host[0] == c'/':
        n = 0
    if n >= BUF:
        return -ENAMETOOLONG
    walk_drop_fd(w)
    w.bi = view_from_host(w.v, host, n, prefer, w.g, &w.glen)
    if w.bi < 0 and view_follow(w.v):
        # somebody outside has moved what it lies in
        w.bi = view_from_host(w.v, host, n, prefer, w.g, &w.glen)
    memmove(w.h, host, n)
    w.h[n] = 0
    w.hlen = n
    if w.bi >= 0:
        w.gh = hash_more(FNV, w.g, w.glen)
    else:
        w.glen = 0
        w.g[0] = 0
        w.gh = FNV
    return 0

cdef int walk_push(Walk *w, const char *comp, int n) noexcept nogil:
    if w.hlen + n + 2 >= BUF or w.glen + n + 2 >= BUF:
        return -ENAMETOOLONG
    w.h[w.hlen] = c'/'
    memcpy(w.h + w.hlen + 1, comp, n)
    w.hlen += n + 1
    w.h[w.hlen] = 0
    if w.bi >= 0:
        w.g[w.glen] = c'/'
        memcpy(w.g + w.glen + 1, comp, n)
        w.glen += n + 1
        w.g[w.glen] = 0
        w.gh = hash_step(w.gh, comp, n)
    return 0

cdef int walk_up(Walk *w) noexcept nogil:
    """Go to the guest parent; the root's parent is the root; outside the view ".." stays where it is."""
    cdef int n, fd, result
    if w.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT):
        if w.bi >= 0 and w.glen == w.rootlen:
            return walk_barred(w) if w.resolve & RESOLVE_BENEATH else 0
    elif w.fs != NULL and w.fs.root != NULL and at_nested_root(w):
        return 0
    if w.bi < 0 or w.glen == 0:
        return 0
    if w.resolve & RESOLVE_NO_XDEV and w.glen == w.v.b[w.bi].guestlen:
        return walk_barred(w)
    n = w.glen - 1
    while n > 0 and w.g[n] != c'/':
        n -= 1
    if n == 1:
        # the top of a binding that no path leads to
        return -ENOENT
    if w.dfd >= 0 and w.glen > w.v.b[w.bi].guestlen:
        return walk_up_held(w, w.glen - n)
    fd = w.v.b[w.bi].above if w.anchored else -1
    result = walk_to_guest(w, w.g, n)
    if result == 0 and fd >= 0:
        walk_drop_fd(w)
        w.dfd = fd_again(fd)
        w.doff = w.hlen
        if w.dfd < 0:
            w.dfd = AT_FDCWD
            result = -errno
    return result

cdef int walk_up_held(Walk *w, int n) noexcept nogil:
    """Go to the parent without leaving the held directory's own way: the path down to it may be closed."""
    cdef int fd
    w.glen -= n
    w.g[w.glen] = 0
    w.gh = hash_more(FNV, w.g, w.glen)
    w.hlen -= n
    w.h[w.hlen] = 0
    if w.hlen >= w.doff:
        return 0
    fd = c_openat(w.dfd, b"..", O_PATH | O_DIRECTORY | O_CLOEXEC)
    if fd < 0:
        return -errno
    walk_drop_fd(w)
    w.dfd = fd
    w.doff = w.hlen
    return 0 if is_held_at(w) else -ENOENT

cdef bint is_held_at(Walk *w) noexcept nogil:
    """Say whether the held directory still has the host path of the place: if somebody has moved it, its ".." may lie anywhere.

    Not for a path that is too long to be told, nor below a descriptor.
    """
    cdef char link[48]
    cdef char text[PATHMAX]
    cdef int n
    if w.bi < 0 or is_proc(w.v.b[w.bi].host, w.v.b[w.bi].hostlen):
        return True
    snprintf(link, sizeof(link), b"/proc/self/fd/%d", w.dfd)
    n = <int>c_readlink(link, text, PATHMAX - 1)
    if n < 0:
        return errno == ENAMETOOLONG
    return n == w.hlen and memcmp(text, w.h, n) == 0 if w.hlen > 0 else n == 1

cdef int walk_stat(Walk *w, const char *comp, int n, c_stat *st) noexcept nogil:
    """lstat h/comp without moving."""
    cdef int result, keep = w.hlen
    stats.looks += 1
    if w.hlen + n + 2 >= BUF + PATHMAX:
        return -ENAMETOOLONG
    w.h[keep] = c'/'
    memcpy(w.h + keep + 1, comp, n)
    w.h[keep + 1 + n] = 0
    w.hlen = keep + 1 + n
    result = -errno if fstatat(w.dfd, walk_rel(w), st, AT_SYMLINK_NOFOLLOW) < 0 else 0
    w.hlen = keep
    w.h[keep] = 0
    return result

cdef ssize_t readlink_below(int dfd, const char *rel, char *to) noexcept nogil:
    """readlinkat(2) where that is refused."""
    cdef char text[PATHMAX + 48]
    if dfd < 0:
        return c_readlink(rel, to, PATHMAX - 1)
    snprintf(text, sizeof(text), b"/proc/self/fd/%d/%s", dfd, rel)
    return c_readlink(text, to, PATHMAX - 1)

cdef int walk_readlink(Walk *w, const char *comp, int n, char *to) noexcept nogil:
    """readlink h/comp; ``to`` has PATHMAX bytes."""
    cdef ssize_t got
    cdef int keep = w.hlen
    w.h[keep] = c'/'
    memcpy(w.h + keep + 1, comp, n)
    w.h[keep + 1 + n] = 0
    w.hlen = keep + 1 + n
    got = c_readlinkat(w.dfd, walk_rel(w), to, PATHMAX - 1)
    if got < 0 and is_refusal(errno) and errno != EACCES:
        got = readlink_below(w.dfd, walk_rel(w), to)
    if got < 0:
        got = -errno
    w.hlen = keep
    w.h[keep] = 0
    if got >= 0:
        to[got] = 0
    return <int>got

cdef Walk W1, W2
cdef char path_buffer[PATHMAX + 8]

cdef Walk W3                 # where a nested root lies (allocated by the first chroot)

cdef char link_text[BUF + 16]
