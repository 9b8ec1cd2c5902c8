# Rules about the place that a call names: those of features, then those of mount points.
#
# Decides: who is asked, in which order, and what stands for a place where a call has a descriptor and no path.  Each rule stands with its
# feature, or with the handler whose mount points it is about.

cdef int judge(Tracee *t, const pyroot_row *row, Walk *w, int mode) noexcept nogil:
    """Ask the rules of a place, one after the other: those of features, then those of mount points; 0, or the -errno of the first."""
    cdef int error = features_judge(t, row, w) if features.judges != 0 else 0
    return error if error < 0 or mode != M_CREATE else name_busy(w, t, row)

cdef int judge_empty(Tracee *t, const pyroot_row *row, int dirfd) noexcept nogil:
    """The same where there is no path: the call is about the descriptor (AT_EMPTY_PATH), or takes a NULL for that."""
    cdef bint none = t.call.args[row.path] == 0
    cdef bint null = none and (row.like == NR_utimensat or row.like == NR_futimesat)
    if not row.features & features.judges or not (null or ((none or W1.givenlen == 0) and row.final == F_FLAG)):
        return 0
    if not null and not t.call.args[row.flags] & AT_EMPTY_PATH:
        return 0
    return judge_descriptor(t, row, dirfd, not null)

cdef ssize_t readlink_in(const char *directory, const char *name, char *to) noexcept nogil:
    cdef char link[48]
    snprintf(link, sizeof(link), b"%s/%s", directory, name)
    return c_readlink(link, to, PATHMAX - 1)

cdef int judge_descriptor(Tracee *t, const pyroot_row *row, int fd, bint any_kind) noexcept nogil:
    """Ask the features of what a descriptor is of; ``any_kind``: it may be one of O_PATH, and AT_FDCWD."""
    cdef char text[PATHMAX]
    cdef char name[16]
    cdef ssize_t n
    cdef int error, k
    if not row.features & features.judges or (not any_kind and fd_flags(t, fd) & O_PATH):
        return 0
    if fd == AT_FDCWD and any_kind:
        W2.hlen = snprintf(W2.h, PATHMAX, b"/proc/%d", t.tid)
        k = snprintf(name, sizeof(name), b"cwd")
    else:
        W2.hlen = snprintf(W2.h, PATHMAX, b"/proc/%d/fd", t.tid)
        k = snprintf(name, sizeof(name), b"%d", fd)
    n = readlink_in(W2.h, name, text)
    if n <= 0:
        return 0
    W2.v = t.view
    W2.bi = -1
    W2.valid = True
    W2.last = LAST_NORM
    walk_magic_end(&W2, name, k, text, <int>n, fd_binding(W2.v, t, fd))
    W2.placelen = W2.hlen
    error = features_judge(t, row, &W2)
    W2.magic = W2.valid = False
    return error
