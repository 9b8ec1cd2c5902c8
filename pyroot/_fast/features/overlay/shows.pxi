# What stat(2) and its kin tell: the inode number of before the copy-up, one link for a directory of several layers (as overlayfs has it),
# and of a descriptor of the lower file what UPPER's says.  Attributes of overlayfs' own are not there for guests.
#
# Decides: what is corrected, and where a structure has it.

cdef struct OverEnd:
    uint64_t buffer, ino
    int layout
    bint single              # the number of links is 1

cdef enum:
    OVER_NATIVE = 0          # layouts of struct stat
    OVER_STATX = 1
    OVER_STAT64 = 2
    OVER_STAT32 = 3
    OVER_OLD = 4

cdef extern from "<sys/xattr.h>" nogil:
    ssize_t c_llistxattr "llistxattr"(const char *, char *, size_t)

cdef bint over_is_look(uint64_t nr) noexcept nogil:
    return nr == NR_stat or nr == NR_lstat or nr == NR_fstat or nr == NR_newfstatat or nr == NR_statx

cdef int over_layout(Tracee *t, const pyroot_row *row) noexcept nogil:
    if t.call.nr == NR_statx:
        return OVER_STATX
    if not t.call.compat:
        return OVER_NATIVE
    if find_text(row.name, b"64") != NULL:
        return OVER_STAT64
    return OVER_OLD if starts(row.name, b"old") else OVER_STAT32

cdef bint over_expect(Tracee *t, const pyroot_row *row, const OverSpot *s) noexcept nogil:
    """Correct what the call tells of a place at its end; says whether anything is to be corrected."""
    cdef OverEnd *e
    cdef uint64_t ino
    cdef bint single = S_ISDIR(s.st.st_mode) and s.f.merged & (s.f.merged - 1) != 0
    if s.error < 0 or s.f.attr > 0 and not single:
        return False
    ino = layers_shown(s.o, s.rel, s.n, &s.f, &s.st)
    if ino == s.st.st_ino and not single:
        return False
    e = <OverEnd *>after(t, end_over, 0)
    e.buffer = t.call.args[4 if t.call.nr == NR_statx else row.path + 1 if row.path >= 0 else 1]
    e.ino, e.single, e.layout = ino, single, over_layout(t, row)
    return True

cdef int end_over(Tracee *t, After *a, int64_t result) noexcept nogil:
    cdef OverEnd *e = <OverEnd *>a.data
    cdef uint64_t one = 1
    if result != 0:
        return R_CONT
    if e.layout == OVER_NATIVE or e.layout == OVER_STATX:
        mem_write(t.tid, e.buffer + (8 if e.layout == OVER_NATIVE else 32), &e.ino, 8)
        if e.single:
            mem_write(t.tid, e.buffer + 16, &one, 8 if e.layout == OVER_NATIVE else 4)
        return R_CONT
    if e.layout == OVER_STAT64:
        mem_write(t.tid, e.buffer + 12, &e.ino, 4)
        mem_write(t.tid, e.buffer + 88, &e.ino, 8)
    else:
        mem_write(t.tid, e.buffer + (4 if e.layout == OVER_STAT32 else 2), &e.ino, 4 if e.layout == OVER_STAT32 else 2)
    if e.single:
        mem_write(t.tid, e.buffer + (20 if e.layout == OVER_STAT64 else 10 if e.layout == OVER_STAT32 else 6), &one,
                  4 if e.layout == OVER_STAT64 else 2)
    return R_CONT

cdef int over_shown(Tracee *t, const pyroot_row *row, int outcome) noexcept nogil:
    """The place that a look names is known: see to what it tells."""
    cdef OverSpot s
    if outcome == R_DEAD or not W1.valid or W1.bi < 0 or W1.magic or W1.isbind and over_of(&W1) == NULL or not W1.upper and not W1.merged:
        return outcome
    over_at(&s, &W1)
    return R_EXIT if over_expect(t, row, &s) else outcome

cdef int over_looked(Tracee *t, const pyroot_row *row) noexcept nogil:
    """A look at a descriptor."""
    cdef OverSpot s
    cdef c_stat st
    cdef char link[48]
    cdef char one
    cdef int fd = <int>t.call.args[0]
    cdef bint lower
    W1.valid = False
    if t.call.nr != NR_fstat:
        if row.final != F_FLAG or not t.call.args[row.flags] & AT_EMPTY_PATH:
            return TAKE_NOT
        if t.call.args[row.path] != 0 and (mem_read(t.tid, t.call.args[row.path], &one, 1) < 0 or one != 0):
            return TAKE_NOT
    snprintf(link, sizeof(link), b"/proc/%d/fd/%d", t.tid, fd)
    if fd == AT_FDCWD and t.call.nr != NR_fstat:
        snprintf(link, sizeof(link), b"/proc/%d/cwd", t.tid)
    elif fd < 0:
        return TAKE_NOT
    if fstatat(AT_FDCWD, link, &st, 0) < 0 or not layers_knows_number(st.st_ino):
        return TAKE_NOT
    memset(&s, 0, sizeof(s))
    s.o = NULL
    lower = over_by_text(t, link, &s)
    if s.o == NULL or s.error < 0 or (s.st.st_mode ^ st.st_mode) & 0o170000:
        return TAKE_NOT
    if not lower and s.st.st_ino != st.st_ino:
        return TAKE_NOT
    if lower and s.f.attr > 0:
        return (R_EXIT if over_expect(t, row, &s) else TAKE_NOT) if t.call.nr == NR_fstat else TAKE_NOT
    if not lower:
        if not over_expect(t, row, &s):
            return TAKE_NOT
        return R_EXIT
    over_expect(t, row, &s)
    return over_look_upper(t, row, &s)

cdef int over_look_upper(Tracee *t, const pyroot_row *row, OverSpot *s) noexcept nogil:
    """Look at UPPER's file in the place of the lower one that the descriptor is of."""
    cdef int outcome
    cdef uint32_t named = NR_newfstatat if S_ISLNK(s.st.st_mode) else row.named
    if row.path >= 0:
        return over_put_path(t, row, s, True)
    if named != row.named and t.call.compat:
        return TAKE_NOT
    edit_start()
    edit_bytes(0 if named == row.named else 1, over_host(s, 0), <int>strlen(over_host(s, 0)) + 1)
    if named != row.named:
        # (a path would lead through the link)
        edit_value(0, <uint64_t><int64_t>AT_FDCWD)
        edit_value(2, t.call.args[1])
        edit_value(3, AT_SYMLINK_NOFOLLOW)
    t.call.direct = named
    outcome = finish_edit(t)
    if outcome == R_DEAD or t.call.answered or t.call.compat:
        return outcome
    return outcome if reg_set_nr(t, named) == 0 else R_DEAD

cdef int over_statfs(Tracee *t, const pyroot_row *row, int outcome) noexcept nogil:
    """statfs and fstatfs: the file system is an overlay."""
    cdef bint top = False
    cdef int bi
    if row.path < 0:
        W1.valid = False
    bi = mount_place(t, <int>t.call.args[0], &top) if outcome != R_DEAD else -1
    if bi < 0 or W1.v.b[bi].over == NULL:
        return outcome
    (<uint64_t *>after(t, end_over_statfs, 0))[0] = t.call.args[2 if t.call.compat and find_text(row.name, b"64") != NULL else 1]
    return R_EXIT

cdef int end_over_statfs(Tracee *t, After *a, int64_t result) noexcept nogil:
    cdef uint64_t kind = 0x794c7630
    if result == 0:
        mem_write(t.tid, a.data[0], &kind, 4 if t.call.compat else 8)
    return R_CONT

cdef int over_entered(Tracee *t, const pyroot_row *row) noexcept nogil:
    """chdir, fchdir: the directory is the lower one's to the kernel, which does not know that UPPER's is closed."""
    cdef OverSpot s
    cdef char link[48]
    cdef int found
    s.o = NULL
    if row.path >= 0:
        found = over_walk(t, &W1, AT_FDCWD, t.call.args[row.path], M_FOLLOW)
        if found < 0:
            return R_DEAD
        if found > 0:
            over_at(&s, &W1)
    else:
        snprintf(link, sizeof(link), b"/proc/%d/fd/%d", t.tid, <int>t.call.args[0])
        over_by_text(t, link, &s)
    if s.o == NULL or s.error < 0 or s.f.attr != 0 or not S_ISDIR(s.st.st_mode) or accessible(AT_FDCWD, over_host(&s, 0), X_OK) == 0:
        return TAKE_NOT
    return answer(t, -errno)

cdef int over_handle(Tracee *t, const pyroot_row *row) noexcept nogil:
    """name_to_handle_at: an overlay has no handles but those that only tell files apart."""
    cdef OverSpot s
    cdef char link[48]
    cdef uint64_t flags = t.call.args[row.flags]
    cdef int found, fd = dir_argument(t, row.dirfd)
    if flags & ~<uint64_t>(AT_SYMLINK_FOLLOW_ | AT_EMPTY_PATH | AT_HANDLE_UNIQUE_):
        return TAKE_NOT
    s.o = NULL
    found = over_walk(t, &W1, fd, t.call.args[row.path], path_mode(row, t))
    if found < 0:
        return R_DEAD
    if found > 0:
        over_at(&s, &W1)
    elif W1.givenlen == 0 and flags & AT_EMPTY_PATH and fd >= 0:
        snprintf(link, sizeof(link), b"/proc/%d/fd/%d", t.tid, fd)
        over_by_text(t, link, &s)
    if s.o == NULL or s.error < 0 or (found > 0 and W1.slash and not S_ISDIR(s.st.st_mode)):
        return TAKE_NOT
    return answer(t, -EOPNOTSUPP)

# -- attributes ----------------------------------------------------------------------------------------------------------------------

cdef int over_attribute(Tracee *t, const pyroot_row *row) noexcept nogil:
    """getxattr and listxattr: what is overlayfs' own is not told."""
    cdef char name[256]
    cdef bint lists = find_text(row.name, b"list") != NULL
    cdef int at = 3 if row.dirfd >= 0 else 1
    if lists:
        return TAKE_NOT if owners_on() else over_listed_attributes(t, row)
    if mem_string(t.tid, t.call.args[at], name, sizeof(name)) <= 0 or not starts(name, b"user.overlay."):
        return TAKE_NOT
    return answer(t, -ENODATA)

cdef int over_listed_attributes(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Correct the list of a file of UPPER: those who do not look at one leave it alone."""
    cdef OverSpot s
    cdef char link[48]
    cdef ssize_t n
    cdef int found
    cdef uint64_t buffer = t.call.args[3 if row.dirfd >= 0 else 1], room = t.call.args[4 if row.dirfd >= 0 else 2]
    s.o = NULL
    if row.dirfd >= 0 and t.call.args[row.flags] & ~<uint64_t>(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        return TAKE_NOT
    if row.path >= 0:
        found = over_walk(t, &W1, dir_argument(t, row.dirfd), t.call.args[row.path], path_mode(row, t))
        if found <= 0:
            return R_DEAD if found < 0 else TAKE_NOT
        over_at(&s, &W1)
        if W1.slash and s.error == 0 and not S_ISDIR(s.st.st_mode):
            return TAKE_NOT
    else:
        snprintf(link, sizeof(link), b"/proc/%d/fd/%d", t.tid, <int>t.call.args[0])
        over_by_text(t, link, &s)
    if s.o == NULL or s.error < 0 or s.f.attr > 0:
        return TAKE_NOT
    n = c_llistxattr(over_host(&s, 0), over_value, sizeof(over_value))
    if n < 0:
        return answer(t, -errno)
    n = over_without_own(over_value, n)
    if room == 0:
        return answer(t, n)
    if <uint64_t>n > room:
        return answer(t, -ERANGE)
    return answer(t, -EFAULT if n > 0 and mem_write(t.tid, buffer, over_value, n) < 0 else n)

cdef ssize_t over_without_own(char *names, ssize_t n) noexcept nogil:
    """Take the names of overlayfs' own attributes out of a list; its new length."""
    cdef ssize_t at = 0, size
    while at < n:
        size = <ssize_t>strlen(names + at) + 1
        if starts(names + at, b"user.overlay."):
            memmove(names + at, names + at + size, n - at - size)
            n -= size
        else:
            at += size
    return n
