# How many links a directory has, to stat(2): each directory in it is one, also those that bindings bring and the host lacks.
#
# Only for views that have such a name.  fstat(2) does not stop, so it counts only the host's own; what C libraries call instead,
# newfstatat(2) with an empty path, is right.

cdef int on_stat(Tracee *t, const pyroot_row *row) noexcept nogil:
    return one_path(t, row, PATH_STAT)

cdef void view_find_links(View *v) noexcept nogil:
    """Find out whether a view has such directories."""
    cdef char text[PATHMAX]
    cdef int i, n
    v.links = False
    for i in range(1, v.n):
        n = host_above(v, i, text)
        if n < PATHMAX and is_brought(v, i, text, n):
            v.links = v.b[i].brought = True

cdef bint links_behind() noexcept nogil:
    """Put W1 where the magic link leads that it ends at; the call has its text already, or is given it as it is."""
    cdef char text[PATHMAX]
    cdef int n, prefer = W1.magic_bi
    W1.h[W1.placelen] = 0
    n = <int>c_readlink(W1.h, text, PATHMAX - 1)
    if n <= 0 or text[0] != c'/':
        return False
    # (the text of the call is in the edit)
    return walk_to_host(&W1, text, n, prefer) == 0

cdef int links_brought(Tracee *t, int dirfd, bint by_fd) noexcept nogil:
    """Count those in the place of W1, or in the directory open as ``dirfd``."""
    cdef View *v = W1.v
    cdef Entry *e
    cdef int i, found = 0, n = W1.placelen
    if by_fd:
        W1.anchored = False
        i = walk_to_fd(&W1, t, dirfd)
        walk_drop_fd(&W1)
        n = W1.hlen
        if i < 0:
            return 0
    elif not W1.valid:
        return 0
    elif W1.magic and not links_behind():
        return 0
    elif W1.magic:
        n = W1.hlen
    e = view_find(v, hash_more(FNV, W1.g, W1.glen), W1.g, W1.glen) if W1.bi >= 0 else NULL
    if e == NULL or e.below == 0 or over_merges(&W1):
        # (a directory of several layers always has one link)
        return 0
    for i in range(1, v.n):
        found += bind_in(v, i, W1.g, W1.glen) and is_brought(v, i, W1.h, n)
    return found

cdef struct LinksEnd:
    uint64_t buffer          # struct stat of the guest
    int links                # that bindings bring

cdef void links_expect(Tracee *t, const pyroot_row *row, int dirfd, int outcome) noexcept nogil:
    cdef bint by_fd = outcome == TR_PASS and row.flags >= 0 and t.call.args[row.flags] & AT_EMPTY_PATH and W1.givenlen <= 0
    cdef int found = links_brought(t, dirfd, by_fd)
    cdef LinksEnd *e
    if found > 0:
        e = <LinksEnd *>after(t, end_links, 0)
        e.buffer, e.links = t.call.args[row.path + 1], found

cdef int end_links(Tracee *t, After *a, int64_t result) noexcept nogil:
    """Add them where the layout that the call wrote has the number (struct stat, or one of its older forms)."""
    cdef uint64_t links = 0
    cdef int at, size = 0
    cdef LinksEnd *e = <LinksEnd *>a.data
    if result != 0:
        return R_CONT
    at = stat_links(t, &size)
    if mem_read(t.tid, e.buffer + at, &links, size) == 0:
        links += e.links
        mem_write(t.tid, e.buffer + at, &links, size)
    return R_CONT
