# Where a relative path starts: the working directory or a directory descriptor of the tracee.

# -- which binding a directory was opened through (only where a view shows one directory twice) --------------------------------

cdef enum:
    FDS = 8192
    KCMP_FILE_ = 0

cdef struct FdNote:
    int tgid, fd
    uint64_t file            # device and inode: a note for another file is stale
    int bind

cdef FdNote fd_notes[FDS]

cdef uint64_t fd_file(int tid, int fd) noexcept nogil:
    """Hash the identity of the file open as fd."""
    cdef char link[48]
    cdef c_stat st
    snprintf(link, sizeof(link), b"/proc/%d/fd/%d", tid, fd)
    return 0 if fstatat(AT_FDCWD, link, &st, 0) < 0 else stat_file(&st)

cdef uint64_t stat_file(const c_stat *st) noexcept nogil:
    return hash_more(hash_more(FNV, <char *>&st.st_dev, sizeof(st.st_dev)), <char *>&st.st_ino, sizeof(st.st_ino))

cdef void fd_remember(int tgid, int fd, uint64_t file, int bind) noexcept nogil:
    cdef FdNote *e = &fd_notes[(<unsigned int>tgid * 131 + <unsigned int>fd) & (FDS - 1)]
    e.tgid = tgid
    e.fd = fd
    e.file = file
    e.bind = bind

cdef int fd_binding(View *v, Tracee *t, int fd) noexcept nogil:
    """Return the binding that this descriptor came through, -1 if nobody knows; a duplicate is like its original."""
    cdef uint64_t file
    cdef FdNote *e
    cdef Opened *first
    cdef int i, same, found = -1
    if not v.ambiguous or t == NULL:
        return -1
    file = fd_file(t.tid, fd)
    e = &fd_notes[(<unsigned int>t.tgid * 131 + <unsigned int>fd) & (FDS - 1)]
    if e.tgid == t.tgid and e.fd == fd and e.file == file:
        return e.bind
    first = view_opened(v, file)
    for i in range(FDS):
        if fd_notes[i].tgid != t.tgid or fd_notes[i].file != file:
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

cdef void fd_inherit(View *v, int parent, int child) noexcept nogil:
    cdef int i
    if not v.ambiguous or parent == child:
        return
    for i in range(FDS):
        if fd_notes[i].tgid == parent:
            fd_remember(child, fd_notes[i].fd, fd_notes[i].file, fd_notes[i].bind)

# -- the start

cdef int walk_to_cwd(Walk *w, Tracee *t) noexcept nogil:
    """Go to the tracee's working directory."""
    cdef char link[40]
    cdef char text[PATHMAX]
    cdef ssize_t n
    cdef int prefer = -1
    snprintf(link, sizeof(link), b"/proc/%d/cwd", t.tid)
    if w.v.ambiguous and t.fs != NULL:
        prefer = t.fs.bind
    n = c_readlink(link, text, PATHMAX - 1)
    if n < 0:
        return walk_to_long(w, link, prefer) if errno == ENAMETOOLONG else -errno
    text[n] = 0
    return walk_to_text(w, link, text, <int>n, prefer)

cdef int walk_to_text(Walk *w, const char *link, char *text, int n, int prefer) noexcept nogil:
    """Go to the directory that a /proc link names; a removed one is reached through the link itself."""
    cdef c_stat a, b
    cdef int k
    if n > 10 and memcmp(text + n - 10, b" (deleted)", 10) == 0:
        if fstatat(AT_FDCWD, link, &a, 0) == 0 and not (fstatat(AT_FDCWD, text, &b, AT_SYMLINK_NOFOLLOW) == 0 and a.st_dev == b.st_dev
                                                       and a.st_ino == b.st_ino):
            k = view_gone(w.v, &a, prefer)
            if k > 0:
                return walk_to_guest(w, w.v.b[k].guest, w.v.b[k].guestlen)
            k = walk_to_host(w, text, n - 10, prefer)
            if k < 0:
                return k
            k = <int>strlen(link)
            w.gone_bi = w.bi
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
    if n < 0 and errno == ENAMETOOLONG:
        return walk_to_long(w, link, fd_binding(w.v, t, fd))
    if n < 0:
        return -EBADF if errno == ENOENT or fd < 0 else -errno
    text[n] = 0
    if text[0] != c'/':
        return -ENOTDIR
    if fstatat(AT_FDCWD, text, &st, AT_SYMLINK_NOFOLLOW) < 0 and fstatat(AT_FDCWD, link, &st, 0) < 0:
        return -errno
    if not S_ISDIR(st.st_mode):
        return -ENOTDIR
    return walk_to_text(w, link, text, <int>n, fd_binding(w.v, t, fd))
