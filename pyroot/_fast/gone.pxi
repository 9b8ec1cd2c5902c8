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
    snprintf(link, sizeof(link), b"/proc/%d/fd/%d", c_getpid(), b.fd)
    n = <int>c_readlink(link, text, PATHMAX - 1)
    if n == 1:
        n = 0
    if n == b.hostlen and memcmp(text, b.host, n) == 0:
        return False
    if n < 0 or fd_removed(b.fd, text, n):
        b.gone = n >= 0
        n = <int>strlen(link)
        if n == b.hostlen and memcmp(link, b.host, n) == 0:
            return False
        memcpy(text, link, n)
    kept = dup_bytes(text, n)
    if kept == NULL:
        return False
    free(b.host)
    b.host = kept
    b.hostlen = n
    return True

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
    cdef int i, n
    cdef char link[48]
    cdef bint changed = False
    for i in range(v.n):
        if hash_more(FNV, v.b[i].host, v.b[i].hostlen) == host:
            n = snprintf(link, sizeof(link), b"/proc/%d/fd/%d", c_getpid(), v.b[i].fd)
            free(v.b[i].host)
            v.b[i].host = dup_bytes(link, n)
            v.b[i].hostlen = n
            v.b[i].gone = changed = True
    if changed:
        view_rebuild(v)

cdef bint binding_removed(const Bind *b) noexcept nogil:
    """Say whether a binding's own host side was removed, and has no other name."""
    cdef c_stat st
    return b.gone and c_fstat(b.fd, &st) == 0 and (b.isdir or st.st_nlink == 0)

cdef int view_gone(View *v, const c_stat *st, int prefer) noexcept nogil:
    """Return the binding whose own host side was removed and is this directory; -1 if there is none."""
    cdef c_stat own
    cdef int i, found = -1
    for i in range(v.n):
        if v.b[i].gone and c_fstat(v.b[i].fd, &own) == 0 and same_file(&own, st) and (found < 0 or i == prefer):
            found = i
    return found
