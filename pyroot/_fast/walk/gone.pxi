# Host sides that are removed or moved, by guests or by somebody outside, while the session runs.
#
# A bind mount, and a chroot, keep their directory whatever becomes of its name.  A binding is a text, so it has to follow: to where its
# descriptor says that the directory is now, or, of one that was removed, through that descriptor.  Moves by guests are seen when they are
# made (views.pxi).  Those by others are noticed where a guest stands at a place that no binding seems to show, or in a removed directory:
# before ".." is looked up from there it is decided by descriptors, not by texts, whether the place is the top of a binding.

cdef bint bind_follow(View *v, int i) noexcept nogil:
    """Take the host path of a binding from its descriptor; say whether it is another one now."""
    cdef Bind *b = &v.b[i]
    cdef char link[48]
    cdef char text[PATHMAX]
    cdef char *kept
    cdef int n
    snprintf(link, sizeof(link), b"/proc/%d/fd/%d", links_pid(), b.fd)
    n = <int>c_readlink(link, text, PATHMAX - 1)
    if n == 1:
        n = 0
    if n == b.hostlen and memcmp(text, b.host, n) == 0:
        return False
    if n < 0 or fd_removed(b.fd, text, n):
        return bind_by_fd(b, link, n >= 0)
    kept = dup_bytes(text, n)
    if kept == NULL:
        return False
    free(b.host)
    b.host = kept
    b.hostlen = n
    return True

cdef bint bind_by_fd(Bind *b, const char *link, bint gone) noexcept nogil:
    """Let a binding's host path lead through its descriptor; say whether that is new."""
    cdef int n = <int>strlen(link)
    cdef char *kept
    if n == b.hostlen and memcmp(link, b.host, n) == 0:
        return False
    kept = dup_bytes(link, n)
    if kept == NULL:
        return False
    free(b.was)
    b.was = b.host
    b.host = kept
    b.hostlen = n
    b.gone = gone
    return True

cdef bint view_was(View *v, const char *host, int n, char *guest, int *guestlen) noexcept nogil:
    """Map the text of something removed back by the paths that bindings had before they were: a text for the guest, not to go by."""
    cdef int i, k
    for i in range(v.n):
        k = <int>strlen(v.b[i].was) if v.b[i].was != NULL else n + 1
        if k <= n and memcmp(host, v.b[i].was, k) == 0 and (k == n or host[k] == c'/'):
            memcpy(guest, v.b[i].guest, v.b[i].guestlen)
            memcpy(guest + v.b[i].guestlen, host + k, n - k)
            guestlen[0] = v.b[i].guestlen + n - k
            return True
    return False

cdef bint fd_removed(int fd, char *text, int n) noexcept nogil:
    """Say whether what is open as ``fd`` has no name any more, by the kernel's text of it: a name may end like that, too."""
    cdef c_stat a, b
    if n <= 10 or memcmp(text + n - 10, b" (deleted)", 10) != 0:
        return False
    text[n] = 0
    return not (c_fstat(fd, &a) == 0 and fstatat(AT_FDCWD, text, &b, AT_SYMLINK_NOFOLLOW) == 0 and same_file(&a, &b))

cdef bint view_follow(View *v) noexcept nogil:
    """Find the directories that somebody outside has moved or removed; say whether there are any.

    Files are left alone: what replaces one on the host is meant to be seen.  So are places in /proc, whose texts are not their own.
    """
    cdef int i
    cdef bint changed = False
    for i in range(v.n):
        if v.b[i].isdir and not v.b[i].gone and not is_proc(v.b[i].host, v.b[i].hostlen):
            changed |= bind_follow(v, i)
    if changed:
        view_rebuild(v)
    return changed

cdef bint view_lost(View *v) noexcept nogil:
    """Say whether the root was not where its path says, and is known again."""
    cdef c_stat a, b
    if v.b[0].hostlen == 0 or v.b[0].gone or c_fstat(v.b[0].fd, &a) < 0:
        return False
    return not (fstatat(AT_FDCWD, v.b[0].host, &b, AT_SYMLINK_NOFOLLOW) == 0 and same_file(&a, &b)) and view_follow(v)

cdef void view_removed(View *v, uint64_t host) noexcept nogil:
    """A host path is gone: bindings of it go on through their descriptors, as a bind mount keeps its directory entry."""
    cdef int i
    cdef char link[48]
    cdef bint changed = False
    for i in range(v.n):
        if hash_more(FNV, v.b[i].host, v.b[i].hostlen) == host:
            snprintf(link, sizeof(link), b"/proc/%d/fd/%d", links_pid(), v.b[i].fd)
            changed |= bind_by_fd(&v.b[i], link, True)
    if changed:
        view_rebuild(v)

cdef bint binding_removed(const Bind *b) noexcept nogil:
    """Say whether a binding's own host side was removed, and has no other name."""
    cdef c_stat st
    return b.gone and c_fstat(b.fd, &st) == 0 and (b.isdir or st.st_nlink == 0)

cdef bint is_gone_top(Walk *w) noexcept nogil:
    """Say whether a walk stands at the top of a binding whose host side was removed."""
    return w.bi >= 0 and w.hlen == w.v.b[w.bi].hostlen and binding_removed(&w.v.b[w.bi])

cdef int view_gone(View *v, const c_stat *st, int prefer) noexcept nogil:
    """Return the binding whose own host side was removed and is this directory; -1 if there is none."""
    cdef c_stat own
    cdef int i, found = -1
    for i in range(v.n):
        if v.b[i].gone and c_fstat(v.b[i].fd, &own) == 0 and same_file(&own, st) and (found < 0 or i == prefer):
            found = i
    return found
