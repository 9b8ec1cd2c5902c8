# The translator: path_resolution(7) over a view.  Nobody else decides where a guest path lies.
#
# A walk keeps two texts in step: the canonical guest path and the host path of the same place.  Most paths hold no link; for them
# one openat2(RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH) proves it (walk_fast).  Otherwise the walk goes component by component as the
# kernel does, and tries the proof again behind each link.

cdef enum:
    # what happens to the last component
    M_FOLLOW = 1             # look it up, follow a link
    M_NOFOLLOW = 2           # look it up, a link itself (a trailing slash still follows)
    M_CREATE = 3             # make, remove or rename the name: never followed
    M_OCREAT = 4             # open with O_CREAT: follows, also a dangling link; not with a trailing slash
    M_OCREAT_NOFOLLOW = 6    # the same with O_NOFOLLOW: a binding is entered, a link is not
    M_MISSING = 5            # as M_FOLLOW, and any number of trailing components may be missing (for the front end)
    TODO = 200000            # 41 texts of at most 4096 bytes
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
    Fs *fs
    char *g                  # canonical guest path without trailing slash
    int glen
    uint64_t gh
    char *h                  # host path of the same place
    int hlen
    int bi                   # binding of the place, -1 outside the view
    int pbi                  # binding of the parent of the last component
    int dfd, doff            # held directory: h[doff + 1:] is relative to it
    char *todo
    int tpos                 # the rest is todo[tpos:TODO - 1]
    int links
    int mode
    uint64_t resolve         # RESOLVE_* of openat2
    char *rootg              # start of a RESOLVE_IN_ROOT or RESOLVE_BENEATH walk
    int rootlen
    # result
    bint anchored            # go by descriptors: the absolute host texts lead through a directory that is closed to us
    bint magic               # the name is a magic link to a file; magic_bi is the file's binding or -1
    int magic_bi
    bint valid               # the walk ran to its end
    int missing              # trailing components that do not exist (only where the walk noticed)
    bint isbind              # the name is the top of a binding
    int last
    bint slash               # trailing slash
    int base_hlen            # length of the host text of the start; -1 for an absolute path
    char *base               # its text
    int placelen             # length of h without what walk_finish appended
    int namelen              # length of the last component, 0 if it is no name

cdef bint have_openat2 = True

cdef int walk_alloc(Walk *w) noexcept nogil:
    memset(w, 0, sizeof(Walk))
    w.g = <char *>malloc(BUF + 8)
    w.h = <char *>malloc(BUF + PATHMAX * 2)
    w.todo = <char *>malloc(TODO)
    w.rootg = <char *>malloc(BUF + 8)
    w.base = <char *>malloc(BUF + 8)
    w.dfd = AT_FDCWD
    return -ENOMEM if w.g == NULL or w.h == NULL or w.todo == NULL or w.rootg == NULL or w.base == NULL else 0

cdef void walk_release(Walk *w) noexcept nogil:
    free(w.g)
    free(w.h)
    free(w.todo)
    free(w.rootg)
    free(w.base)

cdef void walk_drop_fd(Walk *w) noexcept nogil:
    if w.dfd >= 0:
        c_close(w.dfd)
    w.dfd = AT_FDCWD
    w.doff = 0

cdef inline const char *walk_rel(Walk *w) noexcept nogil:
    """Return the text that names h from dfd."""
    if w.dfd < 0:
        return w.h
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

cdef void walk_to_root(Walk *w) noexcept nogil:
    walk_to_guest(w, b"", 0)

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
        w.dfd = c_fcntl(b.fd, F_DUPFD_CLOEXEC, 3)
        if w.dfd < 0:
            w.dfd = AT_FDCWD
            return -errno
        w.doff = b.hostlen
    return 0

cdef int walk_to_host(Walk *w, const char *host, int n, int prefer) noexcept nogil:
    """Go to a host directory given by its canonical text; outside every binding the walk has no guest path."""
    if n == 1 and host[0] == c'/':
        n = 0
    if n >= BUF:
        return -ENAMETOOLONG
    walk_drop_fd(w)
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
    cdef int n
    if w.bi >= 0 and w.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT) and w.glen == w.rootlen:
        return -EXDEV if w.resolve & RESOLVE_BENEATH else 0
    if w.bi < 0 or w.glen == 0:
        return 0
    if w.resolve & RESOLVE_NO_XDEV and w.glen == w.v.b[w.bi].guestlen:
        return -EXDEV
    n = w.glen - 1
    while n > 0 and w.g[n] != c'/':
        n -= 1
    if w.dfd >= 0 and w.glen > w.v.b[w.bi].guestlen:
        return walk_up_held(w, w.glen - n)
    return walk_to_guest(w, w.g, n)

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
    return 0

cdef int walk_stat(Walk *w, const char *comp, int n, c_stat *st) noexcept nogil:
    """lstat h/comp without moving."""
    cdef int result, keep = w.hlen
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

cdef int walk_readlink(Walk *w, const char *comp, int n, char *to) noexcept nogil:
    """readlink h/comp; ``to`` has PATHMAX bytes."""
    cdef ssize_t got
    cdef int keep = w.hlen
    w.h[keep] = c'/'
    memcpy(w.h + keep + 1, comp, n)
    w.h[keep + 1 + n] = 0
    w.hlen = keep + 1 + n
    got = c_readlinkat(w.dfd, walk_rel(w), to, PATHMAX - 1)
    if got < 0:
        got = -errno
    w.hlen = keep
    w.h[keep] = 0
    if got >= 0:
        to[got] = 0
    return <int>got

# -- /proc ----------------------------------------------------------------------------------------------------------------

cdef int parse_pid(const char *s, int *pid) noexcept nogil:
    """Parse the decimal pid that s starts with; return how many bytes it has."""
    cdef int i = 0
    pid[0] = 0
    while c'0' <= s[i] <= c'9' and i < 9:
        pid[0] = pid[0] * 10 + s[i] - c'0'
        i += 1
    return i

cdef bint is_proc(const char *h, int n) noexcept nogil:
    return n >= 5 and memcmp(h, b"/proc", 5) == 0 and (n == 5 or h[5] == c'/')

cdef int proc_magic(Walk *w, const char *comp, int n, int *pid) noexcept nogil:
    """Say what kind of magic link comp is in the directory h, and whose."""
    cdef const char *p = w.h + 6
    cdef int used, sub
    if w.hlen < 7:
        return MAGIC_NONE
    used = parse_pid(p, pid)
    if used == 0:
        return MAGIC_NONE
    p += used
    if memcmp(p, b"/task/", 6) == 0:
        used = parse_pid(p + 6, &sub)
        if used > 0:
            pid[0] = sub
            p += 6 + used
    if p[0] == 0:
        if n == 3 and memcmp(comp, b"cwd", 3) == 0:
            return MAGIC_CWD
        if n == 4 and memcmp(comp, b"root", 4) == 0:
            return MAGIC_ROOT
        if n == 3 and memcmp(comp, b"exe", 3) == 0:
            return MAGIC_EXE
        return MAGIC_NONE
    if strcmp(p, b"/fd") == 0 or strcmp(p, b"/map_files") == 0 or strcmp(p, b"/ns") == 0:
        return MAGIC_FILE
    return MAGIC_NONE

cdef int proc_self(Walk *w, const char *comp, int n, char *to) noexcept nogil:
    """Give /proc/self and /proc/thread-self the guest's meaning; return the text's length or 0."""
    if w.hlen != 5 or w.pid == 0:
        return 0
    if n == 4 and memcmp(comp, b"self", 4) == 0:
        return snprintf(to, PATHMAX, b"%d", w.pid)
    if n == 11 and memcmp(comp, b"thread-self", 11) == 0:
        return snprintf(to, PATHMAX, b"%d/task/%d", w.pid, w.tid)
    return 0

cdef int walk_magic_file(Walk *w, Tracee *t, const char *comp, int n, const char *text, int textlen, bint more) noexcept nogil:
    """Follow fd/N and its like: the kernel jumps; only what lies behind a directory needs a place."""
    cdef c_stat a, b
    cdef int result
    cdef char link[PATHMAX]
    if not more:
        w.magic = True
        w.magic_bi = -1
        if text[0] == c'/':
            parse_pid(comp, &result)
            w.magic_bi = view_from_host(w.v, text, textlen, fd_binding(w.v, t, result, text, textlen), w.base, &w.base_hlen)
        w.base_hlen = -1
        return walk_push(w, comp, n)
    if w.hlen + n + 2 >= PATHMAX:
        return -ENAMETOOLONG
    result = snprintf(link, PATHMAX, b"%s/%.*s", w.h, n, comp)
    if fstatat(AT_FDCWD, link, &a, 0) < 0:
        return -errno
    if not S_ISDIR(a.st_mode):
        return -ENOTDIR
    if text[0] == c'/' and fstatat(AT_FDCWD, text, &b, AT_SYMLINK_NOFOLLOW) == 0 and a.st_dev == b.st_dev and a.st_ino == b.st_ino:
        parse_pid(comp, &result)
        return walk_to_host(w, text, textlen, fd_binding(w.v, t, result, text, textlen))
    w.bi = -1
    memcpy(w.h, link, result + 1)
    w.hlen = result
    return 0

cdef int walk_magic(Walk *w, int kind, int pid, const char *comp, int n, const char *text, int textlen, bint more) noexcept nogil:
    cdef Tracee *t = tracee_get(pid)
    if w.resolve & (RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS):
        return -ELOOP
    if w.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT):
        return -EXDEV
    if t == NULL:
        # a process outside: its links lead anywhere
        return -EACCES
    if kind == MAGIC_FILE:
        return walk_magic_file(w, t, comp, n, text, textlen, more)
    w.last = LAST_DOT
    if kind == MAGIC_ROOT:
        walk_to_root(w)
        return 0
    if kind == MAGIC_CWD:
        return walk_to_cwd(w, t)
    w.last = LAST_NORM
    if t.mm == NULL or t.mm.exe_guest == NULL:
        return -ENOENT
    textlen = walk_to_guest(w, t.mm.exe_guest, <int>strlen(t.mm.exe_guest))
    w.namelen = 0
    while w.namelen < w.hlen and w.h[w.hlen - w.namelen - 1] != c'/':
        w.namelen += 1
    return textlen

# -- which binding a directory was opened through (only where a view shows one directory twice) --------------------------------

cdef enum:
    FDS = 8192

cdef struct FdNote:
    int tgid, fd
    uint64_t host            # hash of the host text: a note for another file is stale
    int bind

cdef FdNote fd_notes[FDS]

cdef void fd_remember(int tgid, int fd, uint64_t host, int bind) noexcept nogil:
    cdef FdNote *e = &fd_notes[(<unsigned int>tgid * 131 + <unsigned int>fd) & (FDS - 1)]
    e.tgid = tgid
    e.fd = fd
    e.host = host
    e.bind = bind

cdef int fd_binding(View *v, Tracee *t, int fd, const char *text, int n) noexcept nogil:
    """Return the binding that this directory descriptor came through, -1 if nobody knows; a duplicate is like its original."""
    cdef uint64_t host
    cdef FdNote *e
    cdef int i, found = -1
    if not v.ambiguous or t == NULL:
        return -1
    host = hash_more(FNV, text, n)
    e = &fd_notes[(<unsigned int>t.tgid * 131 + <unsigned int>fd) & (FDS - 1)]
    if e.tgid == t.tgid and e.fd == fd and e.host == host:
        return e.bind
    for i in range(FDS):
        if fd_notes[i].tgid == t.tgid and fd_notes[i].host == host:
            found = fd_notes[i].bind
    return found

cdef void fd_inherit(View *v, int parent, int child) noexcept nogil:
    cdef int i
    if not v.ambiguous or parent == child:
        return
    for i in range(FDS):
        if fd_notes[i].tgid == parent:
            fd_remember(child, fd_notes[i].fd, fd_notes[i].host, fd_notes[i].bind)

# -- where a relative path starts -----------------------------------------------------------------------------------------

cdef int walk_to_cwd(Walk *w, Tracee *t) noexcept nogil:
    """Go to the tracee's working directory."""
    cdef char link[40]
    cdef char text[PATHMAX]
    cdef ssize_t n
    cdef int prefer = -1
    snprintf(link, sizeof(link), b"/proc/%d/cwd", t.tid)
    n = c_readlink(link, text, PATHMAX - 1)
    if n < 0:
        return -errno
    text[n] = 0
    if w.v.ambiguous and t.fs != NULL:
        prefer = t.fs.bind
        if t.fs.pending_host != NULL and same_place(t.fs.pending_host, text):
            t.fs.bind = prefer = t.fs.pending
            free(t.fs.pending_host)
            t.fs.pending_host = NULL
    return walk_to_text(w, link, text, <int>n, prefer)

cdef bint same_place(const char *host, const char *text) noexcept nogil:
    cdef int n = <int>strlen(host)
    return strncmp(host, text, n) == 0 and (text[n] == 0 or strcmp(text + n, b" (deleted)") == 0)

cdef int walk_to_text(Walk *w, const char *link, char *text, int n, int prefer) noexcept nogil:
    """Go to the directory that a /proc link names; a removed one is reached through the link itself."""
    cdef c_stat a, b
    cdef int k
    if n > 10 and memcmp(text + n - 10, b" (deleted)", 10) == 0:
        if fstatat(AT_FDCWD, link, &a, 0) == 0 and not (fstatat(AT_FDCWD, text, &b, AT_SYMLINK_NOFOLLOW) == 0 and a.st_dev == b.st_dev
                                                       and a.st_ino == b.st_ino):
            k = walk_to_host(w, text, n - 10, prefer)
            if k < 0:
                return k
            k = <int>strlen(link)
            w.bi = -2 if w.bi < 0 else -3 - w.bi
            memcpy(w.h, link, k + 1)
            w.hlen = k
            return 0
    return walk_to_host(w, text, n, prefer)

cdef int walk_to_fd(Walk *w, Tracee *t, int fd) noexcept nogil:
    """Go to the directory open as fd in the tracee; -EBADF and -ENOTDIR mean that the kernel will say so itself."""
    cdef char link[48]
    cdef char text[PATHMAX]
    cdef c_stat st
    cdef ssize_t n
    if fd == AT_FDCWD:
        return walk_to_cwd(w, t)
    snprintf(link, sizeof(link), b"/proc/%d/fd/%d", t.tid, fd)
    n = c_readlink(link, text, PATHMAX - 1)
    if n < 0:
        return -EBADF if errno == ENOENT or fd < 0 else -errno
    text[n] = 0
    if text[0] != c'/':
        return -ENOTDIR
    if fstatat(AT_FDCWD, text, &st, AT_SYMLINK_NOFOLLOW) < 0 and fstatat(AT_FDCWD, link, &st, 0) < 0:
        return -errno
    if not S_ISDIR(st.st_mode):
        return -ENOTDIR
    return walk_to_text(w, link, text, <int>n, fd_binding(w.v, t, fd, text, <int>n))

# -- the proof ------------------------------------------------------------------------------------------------------------

cdef bint has_dotdot(const char *p) noexcept nogil:
    while True:
        while p[0] == c'/':
            p += 1
        if p[0] == 0:
            return False
        if p[0] == c'.' and p[1] == c'.' and (p[2] == c'/' or p[2] == 0):
            return True
        while p[0] != 0 and p[0] != c'/':
            p += 1

cdef int prove(int fd, const char *rel, bint directory) noexcept nogil:
    """Return 0 if no component of rel below fd is a link, else -errno of the first component that stops the walk."""
    cdef open_how how
    cdef int got
    memset(&how, 0, sizeof(how))
    how.flags = O_PATH | O_CLOEXEC | (O_DIRECTORY if directory else 0)
    how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH
    got = <int>c_syscall(NR_openat2, fd, rel, &how, sizeof(how))
    if got < 0:
        return -errno
    c_close(got)
    return 0

cdef int walk_fast(Walk *w) noexcept nogil:
    """Resolve the whole rest with one proof; return 1 when done, 0 when the walk must go by components.

    Only for a place inside the view, a rest without "..", and no RESOLVE_* flag.
    """
    cdef const char *p = w.todo + w.tpos
    cdef const char *comp
    cdef int n, glen = w.glen, hlen = w.hlen, bi = w.bi, pbi = w.bi, top, error, keep, last = w.last
    cdef uint64_t gh = w.gh
    cdef Entry *e
    cdef bint follow, ok = True
    if not have_openat2 or w.bi < 0 or w.resolve or has_dotdot(p):
        return 0
    if w.dfd >= 0:
        return 0
    w.isbind = False
    while True:
        while p[0] == c'/':
            p += 1
        if p[0] == 0:
            break
        comp = p
        while p[0] != 0 and p[0] != c'/':
            p += 1
        n = <int>(p - comp)
        if n == 1 and comp[0] == c'.':
            last = LAST_DOT
            pbi = w.bi
            if w.isbind and not w.v.b[w.bi].isdir:
                ok = False
                break
            continue
        last = LAST_NORM
        if (w.isbind and not w.v.b[w.bi].isdir) or walk_push(w, comp, n) < 0:
            ok = False
            break
        pbi = w.bi
        w.namelen = n
        w.isbind = False
        if w.v.n > 1:
            e = view_find(w.v, w.gh, w.g, w.glen)
            if e != NULL and e.bind >= 0:
                w.isbind = True
                if w.mode == M_CREATE and p[strspn_slash(p)] == 0:
                    p += strspn_slash(p)
                    break
                if binding_reachable(w, n) < 0 or binding_closed(w.v, e.bind):
                    ok = False
                    break
                w.bi = e.bind
                w.hlen = w.v.b[w.bi].hostlen
                memcpy(w.h, w.v.b[w.bi].host, w.hlen + 1)
    if not ok:
        return walk_fast_undo(w, glen, gh, hlen, bi)
    w.slash = p > w.todo + w.tpos and (p - 1)[0] == c'/'
    w.pbi = pbi
    w.last = last
    top = w.v.b[w.bi].hostlen
    if w.hlen - top > LONG_STEP:
        return walk_fast_undo(w, glen, gh, hlen, bi)
    error = 0
    if w.hlen > top + 1:
        follow = (last == LAST_DOT or w.mode == M_FOLLOW or w.mode == M_MISSING or (w.mode == M_NOFOLLOW and w.slash)
                  or (w.mode == M_OCREAT and not w.slash))
        if follow:
            error = prove(w.v.b[w.bi].fd, w.h + top + 1, False)
        else:
            keep = w.hlen - w.namelen - 1
            if keep > top:
                w.h[keep] = 0
                error = prove(w.v.b[w.bi].fd, w.h + top + 1, True)
                w.h[keep] = c'/'
    if error == 0 or (w.mode != M_MISSING and error != -EACCES and (error == -ENOENT or error == -ENOTDIR or error == -ENAMETOOLONG)):
        w.missing = error == -ENOENT
        return 1
    return walk_fast_undo(w, glen, gh, hlen, bi)

cdef inline int strspn_slash(const char *p) noexcept nogil:
    cdef int n = 0
    while p[n] == c'/':
        n += 1
    return n

cdef int walk_fast_undo(Walk *w, int glen, uint64_t gh, int hlen, int bi) noexcept nogil:
    """Take the lexical step back; h is rebuilt because crossing a binding replaced it."""
    w.g[glen] = 0
    w.glen = glen
    w.gh = gh
    w.bi = bi
    w.isbind = False
    walk_to_guest(w, w.g, glen)
    return 0

cdef int binding_reachable(Walk *w, int n) noexcept nogil:
    """Check that the directory that holds the mount point may be searched (h still ends in the covered name)."""
    cdef c_stat st
    cdef int result, keep = w.hlen - n
    w.h[keep] = c'.'
    w.h[keep + 1] = 0
    result = -errno if fstatat(AT_FDCWD, w.h, &st, 0) < 0 else 0
    return result

# -- the walk -------------------------------------------------------------------------------------------------------------

cdef int walk_prepend(Walk *w, const char *text, int n) noexcept nogil:
    """Put a link's text in front of the rest; a rest that is not empty starts with a slash."""
    if n > w.tpos:
        return -ENAMETOOLONG
    w.tpos -= n
    memcpy(w.todo + w.tpos, text, n)
    return 0

cdef int walk_follow(Walk *w, const char *comp, int n, c_stat *parent, c_stat *st, char *text) noexcept nogil:
    """Follow the link comp in h: set the place or put its text in front of the rest."""
    cdef int got, kind = MAGIC_NONE, pid = 0, result
    if w.resolve & RESOLVE_NO_SYMLINKS:
        return -ELOOP
    if w.links >= 40:
        return -ELOOP
    w.links += 1
    got = walk_readlink(w, comp, n, text)
    if got < 0:
        return got
    if is_proc(w.h, w.hlen):
        result = proc_self(w, comp, n, text)
        if result > 0:
            got = result
        else:
            kind = proc_magic(w, comp, n, &pid)
    if kind != MAGIC_NONE:
        return walk_magic(w, kind, pid, comp, n, text, got, w.todo[w.tpos] != 0)
    if got == 0:
        return -ENOENT
    if protected_symlinks and st.st_uid != c_geteuid():
        if parent.st_mode & (S_ISVTX | S_IWOTH) == (S_ISVTX | S_IWOTH) and parent.st_uid != st.st_uid:
            return -EACCES
    if text[0] == c'/':
        if w.resolve & RESOLVE_BENEATH:
            return -EXDEV
        if w.resolve & RESOLVE_NO_XDEV and w.bi != 0:
            return -EXDEV
        result = walk_prepend(w, text, got)
        walk_start_absolute(w)
        return result
    return walk_prepend(w, text, got)

cdef bint protected_symlinks = False

cdef void walk_start_absolute(Walk *w) noexcept nogil:
    w.last = LAST_ROOT
    w.namelen = 0
    w.isbind = False
    if w.resolve & RESOLVE_IN_ROOT:
        walk_to_guest(w, w.rootg, w.rootlen)
    else:
        walk_to_root(w)

cdef int walk_cross(Walk *w, const char *comp, int n, bint final) noexcept nogil:
    """If comp is the top of a binding go there; return 1 if so, 0 if not, or -errno.  A final M_CREATE name is not crossed."""
    cdef Entry *e
    cdef c_stat st
    cdef int result
    if w.bi < 0 or w.v.n == 1:
        return 0
    if w.glen + n + 2 >= BUF:
        return -ENAMETOOLONG
    w.g[w.glen] = c'/'
    memcpy(w.g + w.glen + 1, comp, n)
    e = view_find(w.v, hash_step(w.gh, comp, n), w.g, w.glen + 1 + n)
    w.g[w.glen] = 0
    if e == NULL or e.bind < 0:
        return 0
    result = walk_stat(w, b".", 1, &st)
    if result < 0:
        return result
    if w.resolve & RESOLVE_NO_XDEV:
        return -EXDEV
    w.isbind = True
    if final and w.mode == M_CREATE:
        return walk_push(w, comp, n)
    if not w.anchored and binding_closed(w.v, e.bind):
        return -EACCES
    return walk_to_guest(w, e.text, e.len) or 1

cdef bint binding_closed(View *v, int bi) noexcept nogil:
    """Say whether the guest has closed the way to a binding's host side through another binding."""
    cdef c_stat st
    return v.ambiguous and fstatat(AT_FDCWD, v.b[bi].host, &st, AT_SYMLINK_NOFOLLOW) < 0 and errno == EACCES

cdef int walk_removed(Walk *w) noexcept nogil:
    """Walk from a removed directory: its own "." and ".." still work, nothing else is there."""
    cdef const char *p = w.todo + w.tpos
    cdef c_stat st
    cdef char link[48]
    cdef char text[PATHMAX]
    cdef int fd, n
    while p[0] == c'.' and p[1] == c'/':
        p += 1 + strspn_slash(p + 1)
    if p[0] == c'.' and p[1] == c'.' and (p[2] == 0 or p[2] == c'/'):
        fd = c_open(w.h, O_PATH | O_DIRECTORY | O_CLOEXEC)
        if fd >= 0:
            n = c_openat(fd, b"..", O_PATH | O_DIRECTORY | O_CLOEXEC)
            c_close(fd)
            fd = n
        if fd >= 0:
            snprintf(link, sizeof(link), b"/proc/self/fd/%d", fd)
            n = <int>c_readlink(link, text, PATHMAX - 1)
            text[n if n > 0 else 0] = 0
            w.tpos = <int>(p + 2 - w.todo)
            if n > 0 and fstatat(AT_FDCWD, text, &st, AT_SYMLINK_NOFOLLOW) == 0 and S_ISDIR(st.st_mode):
                c_close(fd)
                return walk_to_host(w, text, n, -1 if w.bi == -2 else -3 - w.bi)
            # the parent is gone as well
            w.bi = -1
            w.dfd = fd
            w.doff = w.hlen
            w.anchored = True
            return 0
    w.bi = -1
    return 0

cdef int walk_run(Walk *w) noexcept nogil:
    """Walk the rest from the current place; on 0 h is what the kernel is to be given (see walk_finish)."""
    cdef const char *comp
    cdef const char *p
    cdef int n, result
    cdef bint final, followed = True
    cdef c_stat st, parent
    cdef char text[PATHMAX]
    memset(&parent, 0, sizeof(parent))
    w.missing = 0
    w.isbind = w.magic = False
    w.last = LAST_ROOT
    w.namelen = 0
    w.slash = False
    w.pbi = w.bi
    while True:
        p = w.todo + w.tpos
        if p[0] == 0:
            return 0
        if followed:
            followed = False
            if walk_fast(w):
                return 0
        p += strspn_slash(p)
        if p[0] == 0:
            w.tpos = <int>(p - w.todo)
            w.slash = True
            return 0
        comp = p
        while p[0] != 0 and p[0] != c'/':
            p += 1
        n = <int>(p - comp)
        w.tpos = <int>(p - w.todo)
        final = p[strspn_slash(p)] == 0
        result = walk_component(w, comp, n, final, &parent, &st, text)
        if result < 0:
            return result
        if result == 2:
            return 0
        followed = result == 1

cdef int walk_dots(Walk *w, int n, bint final) noexcept nogil:
    """Handle "." and "..": both need search permission of the directory they are looked up in."""
    cdef c_stat st
    cdef int result = walk_stat(w, b".", 1, &st)
    if result < 0:
        return result
    w.isbind = False
    w.namelen = 0
    w.pbi = w.bi
    w.last = LAST_DOT if n == 1 else LAST_DOTDOT
    if n == 2:
        if final and w.mode == M_CREATE:
            return 0
        result = walk_up(w)
    w.pbi = w.bi
    return result

cdef int walk_component(Walk *w, const char *comp, int n, bint final, c_stat *parent, c_stat *st, char *text) noexcept nogil:
    """Take one component.  Return 0 to go on, 1 after a link was followed, 2 when the walk ends here, or -errno."""
    cdef int result
    cdef bint slash = final and (comp + n)[0] == c'/'
    cdef bint look
    if n <= 2 and comp[0] == c'.' and (n == 1 or comp[1] == c'.'):
        return walk_dots(w, n, final)
    result = walk_shorten(w)
    if result < 0:
        return result
    w.last = LAST_NORM
    w.isbind = False
    w.pbi = w.bi
    w.namelen = n
    result = walk_cross(w, comp, n, final)
    if result < 0:
        return result
    if w.isbind:
        return 0
    look = not final or w.mode == M_FOLLOW or w.mode == M_MISSING or (w.mode == M_NOFOLLOW and slash) or (w.mode == M_OCREAT and not slash)
    if not look:
        # the kernel looks the name up itself; only the directory must be searchable by us
        return walk_push(w, comp, n)
    result = walk_stat(w, comp, n, st)
    if result == -ENOENT and (final or w.mode == M_MISSING):
        return walk_missing(w, comp, n)
    if result == -EACCES and w.mode == M_MISSING:
        # a mount point that we may not look at: take it at its word
        result = walk_missing(w, comp, n)
        w.missing = 0
        return result
    if result < 0:
        return result
    if S_ISLNK(st.st_mode):
        if protected_symlinks:
            walk_stat(w, b".", 1, parent)
        result = walk_follow(w, comp, n, parent, st, text)
        return 1 if result == 0 else result
    return walk_push(w, comp, n)

cdef int walk_missing(Walk *w, const char *comp, int n) noexcept nogil:
    """End the walk at a name that does not exist; for the front end the rest is appended as it is."""
    cdef const char *p
    cdef int result = walk_push(w, comp, n)
    w.missing = 1
    while result == 0:
        p = w.todo + w.tpos
        p += strspn_slash(p)
        if p[0] == 0:
            w.slash = (p - 1)[0] == c'/' and p > w.todo + w.tpos
            return 2
        comp = p
        while p[0] != 0 and p[0] != c'/':
            p += 1
        n = <int>(p - comp)
        w.tpos = <int>(p - w.todo)
        if n == 1 and comp[0] == c'.':
            continue
        if n == 2 and comp[0] == c'.' and comp[1] == c'.':
            return -ENOENT
        result = walk_cross(w, comp, n, False)
        if result == 0:
            result = walk_push(w, comp, n)
        elif result > 0:
            result = 0
        w.missing += 1
    return result

cdef void walk_append(Walk *w, const char *text, int n) noexcept nogil:
    memcpy(w.h + w.hlen, text, n)
    w.hlen += n
    w.h[w.hlen] = 0

cdef void walk_finish(Walk *w) noexcept nogil:
    """Append what the guest wrote behind the last name: it decides the kernel's errors for "x/", "." and ".."."""
    w.placelen = w.hlen
    if w.last == LAST_DOT:
        walk_append(w, b"/.", 2)
    elif w.last == LAST_DOTDOT:
        # a looked-up ".." needs no search permission of where it leads
        if w.mode == M_CREATE:
            walk_append(w, b"/..", 3)
    elif w.last == LAST_ROOT and w.mode == M_CREATE:
        w.hlen = 0
        walk_append(w, b"/", 1)
    if w.hlen == 0 or (w.slash and w.last != LAST_ROOT):
        walk_append(w, b"/", 1)

cdef bint has_name(const char *p) noexcept nogil:
    """Say whether a path has a component other than "." and ".."."""
    while p[0] == c'/' or (p[0] == c'.' and (p[1] == c'/' or p[1] == 0 or (p[1] == c'.' and (p[2] == c'/' or p[2] == 0)))):
        p += 1
    return p[0] != 0

cdef int walk_path(Walk *w, const char *path, int n, int mode) noexcept nogil:
    """Walk a path from the current place (absolute: from the root)."""
    w.links = 0
    w.mode = mode
    w.todo[TODO - 1] = 0
    w.tpos = TODO - 1 - n
    memcpy(w.todo + w.tpos, path, n)
    w.base_hlen = -1
    if w.bi < 0 and w.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT) and w.bi != -1:
        # a removed directory is empty; as a root it has only itself
        return -EXDEV if w.resolve & RESOLVE_BENEATH and path[0] == c'/' else -ENOENT if has_name(path) else 0
    if w.bi >= 0 and w.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT):
        memcpy(w.rootg, w.g, w.glen + 1)
        w.rootlen = w.glen
    if path[0] == c'/':
        if w.resolve & RESOLVE_BENEATH:
            return -EXDEV
        walk_start_absolute(w)
    else:
        if w.bi <= -2:
            walk_removed(w)
        else:
            w.base_hlen = w.hlen
            memcpy(w.base, w.h, w.hlen)
    return walk_run(w)
