# Read-only bindings: what would change a thing that lies below one is EROFS, in the order of errors that the kernel has there.
#
# The mount alone decides, so nothing of this asks what the file system itself allows, but where the kernel asks that first.  A
# descriptor is judged by the binding that it came through; it cannot be one for writing, since none can be opened here.  Devices, fifos
# and sockets are not the mount's: they may be written to.
#
# Facts: fs/namei.c, fs/open.c, fs/xattr.c, fs/utimes.c of Linux 6.18 (where mnt_want_write is asked for), and measurements.
#
# Decides: which calls change something, and what each of them says before EROFS.

cdef enum:
    TIME_NOW = (1 << 30) - 1     # UTIME_NOW
    TIME_OMIT = (1 << 30) - 2    # UTIME_OMIT
    XATTR_NAME = 255
    XATTR_VALUE = 65536
    ST_RDONLY_ = 1

cdef inline bint is_readonly(View *v, int bi) noexcept nogil:
    return bi >= 0 and v.b[bi].flags & BIND_READONLY != 0

cdef int readonly_stat(Walk *w, c_stat *st) noexcept nogil:
    """stat what the walk has come to; a magic link stands for its file."""
    return fstatat(AT_FDCWD, w.h, st, 0 if w.magic or w.linked else AT_SYMLINK_NOFOLLOW)

cdef int readonly_open(Walk *w) noexcept nogil:
    """An open: of what is there only a file for writing matters; what is not there cannot be made."""
    cdef c_stat st
    cdef uint64_t flags = judged.flags, way = flags & O_ACCMODE
    if flags & O_PATH:
        return 0
    if flags & (O_CREAT | O_DIRECTORY) == (O_CREAT | O_DIRECTORY):
        # (kernels before 6.4 make a file)
        return -EINVAL
    if flags & <uint64_t>O_TMPFILE_:
        if way == O_RDONLY or not flags & O_DIRECTORY:
            return 0
        return -EROFS if readonly_stat(w, &st) == 0 and S_ISDIR(st.st_mode) else 0
    if readonly_stat(w, &st) < 0:
        # (a trailing slash is EISDIR, whoever may write)
        if errno != ENOENT or not flags & O_CREAT or w.slash or w.last != LAST_NORM:
            return 0
        return -EROFS if parent_stat(w, &st) == 0 else 0
    if not S_ISREG(st.st_mode) or flags & O_DIRECTORY or flags & (O_CREAT | O_EXCL) == (O_CREAT | O_EXCL):
        return 0
    if flags & O_TRUNC:
        return -EROFS
    if way != O_WRONLY and way != O_RDWR:
        return 0
    return -EROFS if accessible(AT_FDCWD, w.h, W_OK | (R_OK if way == O_RDWR else 0)) == 0 else 0

cdef int readonly_make(Tracee *t, const pyroot_row *row, Walk *w) noexcept nogil:
    """A new name: one that is there says so first (filename_create)."""
    cdef c_stat st
    if w.last != LAST_NORM or symlink_text_bad(t) or node_type_bad(t) or parent_stat(w, &st) < 0:
        return 0
    if w.isbind or name_stat(w, &st) == 0:
        # EEXIST
        return 0
    if errno != ENOENT or (w.slash and t.call.nr != NR_mkdir and t.call.nr != NR_mkdirat):
        return 0
    return -EROFS

cdef int readonly_name(Tracee *t, const pyroot_row *row, Walk *w) noexcept nogil:
    """A name that is made, removed or changed: the rights of its directory come later."""
    cdef c_stat st
    cdef uint64_t flags = t.call.args[row.flags] if row.flags >= 0 else 0
    if row.handler == H_LINK:
        if w == &W1 or (row.flags >= 0 and flags & ~<uint64_t>(AT_SYMLINK_FOLLOW_ | AT_EMPTY_PATH)) or not W1.valid:
            return 0
        return readonly_make(t, row, w) if W1.magic or fstatat(AT_FDCWD, W1.h, &st, AT_SYMLINK_NOFOLLOW) == 0 else 0
    if row.handler == H_RENAME:
        if not rename_flags(flags) or not W1.valid or not W2.valid or W1.last != LAST_NORM or W2.last != LAST_NORM:
            return 0
        return -EROFS if parent_stat(&W1, &st) == 0 and parent_stat(&W2, &st) == 0 else 0
    if row.remove == 0:
        return readonly_make(t, row, w)
    if w.last != LAST_NORM or (row.remove == REMOVE_FLAG and flags & ~<uint64_t>AT_REMOVEDIR_):
        return 0
    return -EROFS if parent_stat(w, &st) == 0 else 0

cdef bint times_change(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Say whether the times that a call is given are valid, and any is to be set."""
    cdef int64_t words[4]
    cdef int32_t short_words[4]
    cdef int i, at = row.path + 1
    cdef bint precise = row.like == NR_utimensat, wide = not t.call.compat or strcmp(row.name, b"utimensat_time64") == 0
    if t.call.args[at] == 0:
        return True
    if row.like == NR_utime:
        return mem_read(t.tid, t.call.args[at], words, 8) == 0
    if wide:
        if mem_read(t.tid, t.call.args[at], words, sizeof(words)) < 0:
            return False
    elif mem_read(t.tid, t.call.args[at], short_words, sizeof(short_words)) < 0:
        return False
    for i in range(0 if wide else 4):
        words[i] = short_words[i]
    if precise and words[1] == TIME_OMIT and words[3] == TIME_OMIT:
        return False
    for i in range(1, 4, 2):
        if not 0 <= words[i] < (1000000000 if precise else 1000000) and not (precise and TIME_OMIT <= words[i] <= TIME_NOW):
            return False
    return True

cdef bint xattr_changes(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Say whether name, size and flags of an attribute are valid: that is looked at before the path."""
    cdef char name[XATTR_NAME + 1]
    cdef uint64_t given[2]
    cdef uint64_t value = 0, size = 0, flags = 0
    cdef bint sets = find_text(row.name, b"set") != NULL, at = row.dirfd >= 0
    cdef int i = 3 if at else 1
    cdef int n = mem_string(t.tid, t.call.args[i], name, sizeof(name))
    if n <= 0 or n > XATTR_NAME:
        return False
    if sets and at:
        if t.call.args[5] < 16 or mem_read(t.tid, t.call.args[4], given, 16) < 0:
            return False
        value, size, flags = given[0], <uint32_t>given[1], given[1] >> 32
    elif sets:
        value, size, flags = t.call.args[2], t.call.args[3], <uint32_t>t.call.args[4]
    if size > XATTR_VALUE or flags > 3:
        return False
    return size == 0 or mem_there(t.tid, value, size)

cdef bint rights_change(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Say whether the other arguments of a call that changes attributes are such that the path is looked at."""
    if row.final == F_FLAG and t.call.args[row.flags] & ~<uint64_t>(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        return False
    if row.like == NR_utime or row.like == NR_utimes or row.like == NR_futimesat or row.like == NR_utimensat:
        return times_change(t, row)
    if row.like == NR_ioctl:
        return mem_there(t.tid, t.call.args[2], 4)
    if find_text(row.name, b"xattr") != NULL:
        return xattr_changes(t, row)
    return True if row.like != NR_file_setattr else t.call.args[3] >= 24

cdef int readonly_access(Tracee *t, const pyroot_row *row, Walk *w) noexcept nogil:
    """access(2) for writing: the file's own rights come first."""
    cdef c_stat st
    cdef uint64_t mode = <uint32_t>t.call.args[row.path + 1]
    cdef uint64_t known = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_EACCESS
    if not mode & W_OK or mode > 7 or (row.final == F_FLAG and t.call.args[row.flags] & ~known):
        return 0
    if readonly_stat(w, &st) < 0 or not (S_ISREG(st.st_mode) or S_ISDIR(st.st_mode) or S_ISLNK(st.st_mode)):
        return 0
    return -EROFS if S_ISLNK(st.st_mode) or accessible(AT_FDCWD, w.h, <int>mode) == 0 else 0

cdef bint length_is_negative(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Say whether truncate(2) is to be EINVAL, which comes before all else; its 64-bit form has the upper half last."""
    if not t.call.compat:
        return <int64_t>t.call.args[1] < 0
    return <int32_t>t.call.args[2 if find_text(row.name, b"64") != NULL else 1] < 0

cdef int readonly_judge(Tracee *t, const pyroot_row *row, Walk *w) noexcept nogil:
    cdef c_stat st
    cdef int bi = w.magic_bi if w.magic else w.pbi if row.effect == E_NAME else walk_binding(w)
    if row.effect == E_OPEN and bi < 0 and not w.magic:
        bi = w.pbi
    if not is_readonly(w.v, bi):
        return 0
    if row.effect == E_OPEN:
        return 0 if row.handler == H_OPEN_TREE else readonly_open(w)
    if row.effect == E_NAME:
        return readonly_name(t, row, w)
    if row.effect == E_LOOK:
        return readonly_access(t, row, w)
    if row.effect == E_WRITE:
        if length_is_negative(t, row):
            return 0
        if readonly_stat(w, &st) < 0 or not S_ISREG(st.st_mode):
            return 0
        return -EROFS if accessible(AT_FDCWD, w.h, W_OK) == 0 else 0
    if row.effect == E_RIGHTS and rights_change(t, row):
        return -EROFS if readonly_stat(w, &st) == 0 else 0
    return 0

cdef void readonly_begin(View *v, const char *text) noexcept nogil:
    """It is on where a binding of the view is read-only."""
    cdef int i
    for i in range(v.n):
        if v.b[i].flags & BIND_READONLY:
            v.features |= FEATURE_READONLY

# -- statfs(2) tells of it ------------------------------------------------------------------------------------------------------

cdef int readonly_call(Tracee *t, const pyroot_row *row, int outcome) noexcept nogil:
    """statfs and fstatfs: the flags of the mount are the binding's."""
    cdef bint top = False
    cdef int at = statfs_flags(t)
    if at < 0:
        return outcome
    if row.path < 0:
        W1.valid = False
    if not is_readonly(W1.v, mount_place(t, <int>t.call.args[0], &top)):
        return outcome
    # (i386's 64-bit forms have the size between)
    (<uint64_t *>after(t, end_statfs, 0))[0] = t.call.args[2 if t.call.compat and find_text(row.name, b"64") != NULL else 1] + at
    return R_EXIT

cdef int end_statfs(Tracee *t, After *a, int64_t result) noexcept nogil:
    cdef uint32_t flags
    if result == 0 and mem_read(t.tid, a.data[0], &flags, 4) == 0:
        flags |= ST_RDONLY_
        mem_write(t.tid, a.data[0], &flags, 4)
    return R_CONT

cdef void feature_readonly(Feature *f) noexcept nogil:
    f.begin = readonly_begin
    f.judge = readonly_judge
    f.call = readonly_call
