# Bound files whose host side a guest has made unreachable.
#
# Their own descriptor still leads there, but its name is a link in /proc.  A call that does not follow links is given the directory that
# holds the file (Bind.above) and the file's name there, or, if that directory itself is closed, becomes the call that follows them.
#
# Decides: how such a file is named, and what becomes of calls that must not be given a link.

cdef bint name_bound_file(Walk *w, const Bind *b) noexcept nogil:
    """Name a bound file by the directory that its host side lies in; say whether it is still there."""
    cdef char text[320]
    cdef c_stat own, st
    cdef const char *name = strrchr(b.host, c'/')
    cdef int n
    if b.isdir or b.above < 0 or name == NULL:
        return False
    if c_fstat(b.fd, &own) < 0 or fstatat(b.above, name + 1, &st, AT_SYMLINK_NOFOLLOW) < 0 or stat_file(&own) != stat_file(&st):
        return False
    n = snprintf(text, sizeof(text), b"/proc/%d/fd/%d%s", links_pid(), b.above, name)
    if n >= <int>sizeof(text) or w.hlen - w.doff + n >= PATHMAX:
        return False
    memmove(w.h + n, w.h + w.doff, w.hlen - w.doff + 1)
    memcpy(w.h, text, n)
    w.hlen += n - w.doff
    w.placelen += n - w.doff
    walk_drop_fd(w)
    w.doff = 0
    w.held = True
    return True

cdef int follow_instead(Tracee *t, const pyroot_row *row, bint follows) noexcept nogil:
    """The path of W1, in the edit already, ends at our link: let the call follow it; ``follows``: it does."""
    cdef int number
    cdef uint64_t flags
    if follows:
        return 0
    if row.final == F_FLAG:
        flags = t.call.args[row.flags]
        edit_value(row.flags, flags & ~<uint64_t>row.bit if row.dflt == F_FOLLOW else flags | <uint64_t>row.bit)
        return 0
    number = call_that_follows(t)
    if number == 0 or t.filtered:
        return 0
    t.call.direct = number
    return 0 if t.call.compat else reg_set_nr(t, number)
