# Where a relative path starts: the working directory or a directory descriptor of the tracee.

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
            view_follow(w.v)
            k = view_gone(w.v, &a, prefer)
            if k >= 0:
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
