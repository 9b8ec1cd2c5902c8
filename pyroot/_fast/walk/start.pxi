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
    w.over_gone = False
    if n > 10 and memcmp(text + n - 10, b" (deleted)", 10) == 0:
        if fstatat(AT_FDCWD, link, &a, 0) == 0 and not (fstatat(AT_FDCWD, text, &b, AT_SYMLINK_NOFOLLOW) == 0 and a.st_dev == b.st_dev
                                                       and a.st_ino == b.st_ino):
            view_follow(w.v)
            k = view_gone(w.v, &a, prefer)
            if k >= 0:
                return walk_to_guest(w, w.v.b[k].guest, w.v.b[k].guestlen)
            walk_drop_fd(w)
            w.bi = walk_to_removed(w, link, text, n - 10, prefer)
            w.gone_bi = w.bi
            w.bi = -2 if w.bi < 0 else -3 - w.bi
            k = <int>strlen(link)
            memcpy(w.h, link, k + 1)
            w.hlen = k
            return 0
    k = walk_to_host(w, text, n, prefer)
    if k == 0 and over_of(w) != NULL and over_stale(w):
        w.gone_bi = w.bi
        w.bi = -3 - w.bi
        w.over_gone = True
        w.hlen = snprintf(w.h, PATHMAX, b"%s", link)
    return k

cdef int walk_to_removed(Walk *w, const char *link, const char *text, int n, int prefer) noexcept nogil:
    """Find the guest path of a removed directory and return its binding, -1 where it is not known to lie in one.

    Its old name may be another's by now, or that of a binding that has been moved.  So it is climbed from its descriptor, to the first
    directory that has a name or is the top of a binding.
    """
    cdef c_stat st
    cdef char above[PATHMAX]
    cdef char name[48]
    cdef int up, m, k = -1, cut = n, fd = c_open(link, O_PATH | O_DIRECTORY | O_CLOEXEC)
    w.glen = 0
    while fd >= 0 and cut > 0:
        up = c_openat(fd, b"..", O_PATH | O_DIRECTORY | O_CLOEXEC)
        c_close(fd)
        fd = up
        cut -= 1
        while cut > 0 and text[cut] != c'/':
            cut -= 1
        if fd < 0 or c_fstat(fd, &st) < 0:
            break
        k = view_gone(w.v, &st, prefer)
        if k >= 0:
            memcpy(w.g, w.v.b[k].guest, w.v.b[k].guestlen)
            w.glen = w.v.b[k].guestlen
            break
        snprintf(name, sizeof(name), b"/proc/self/fd/%d", fd)
        m = <int>c_readlink(name, above, PATHMAX - 1)
        if m <= 0 or not fd_removed(fd, above, m):
            k = view_from_host(w.v, above, 0 if m == 1 else m, prefer, w.g, &w.glen) if m > 0 else -1
            break
    if fd >= 0:
        c_close(fd)
    if k >= 0 and w.glen + n - cut < BUF:
        memcpy(w.g + w.glen, text + cut, n - cut)
        w.glen += n - cut
    w.g[w.glen] = 0
    w.gh = hash_more(FNV, w.g, w.glen)
    return k

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
