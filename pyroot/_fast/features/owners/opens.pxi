# Opening files: who may, by the records; devices, whose placeholders lead to the host's nodes; what a write takes away.
#
# Whatever the disk has closed to us and the records have not is adopted (owners/places.pxi).  What the kernel opens is the file itself, so
# the gate of ordinary calls stays what it is: these are looked at where the walk has found the place.
#
# Decides: what becomes of an open that the kernel alone would judge by what is on the disk.

cdef struct OpenNode:        # a device that guests may have: the host's
    uint32_t rdev
    const char *path

cdef OpenNode[7] open_nodes
open_nodes[0].rdev, open_nodes[0].path = 1 << 20 | 3, b"/dev/null"
open_nodes[1].rdev, open_nodes[1].path = 1 << 20 | 5, b"/dev/zero"
open_nodes[2].rdev, open_nodes[2].path = 1 << 20 | 7, b"/dev/full"
open_nodes[3].rdev, open_nodes[3].path = 1 << 20 | 8, b"/dev/random"
open_nodes[4].rdev, open_nodes[4].path = 1 << 20 | 9, b"/dev/urandom"
open_nodes[5].rdev, open_nodes[5].path = 5 << 20 | 0, b"/dev/tty"
open_nodes[6].rdev, open_nodes[6].path = 5 << 20 | 2, b"/dev/ptmx"

cdef int open_judge(Tracee *t, Walk *w) noexcept nogil:
    """Judge an open whose place is known: 0, -errno, or PLACE_TEXT: the kernel is to be given another text."""
    cdef uint64_t flags = judged.flags
    cdef int wanted = R_OK, error
    cdef c_stat st
    if flags & O_PATH or (is_proc(w.h, w.hlen) and not w.held and not w.magic):
        return 0
    if flags & O_ACCMODE:
        wanted = W_OK if flags & O_ACCMODE == O_WRONLY else R_OK | W_OK
    if flags & O_TRUNC:
        wanted |= W_OK
    if flags & <uint64_t>O_TMPFILE_:
        return tmpfile_judge(t, w)
    if w.mode != M_FOLLOW and w.mode != M_OCREAT:
        if fstatat(AT_FDCWD, w.h, &st, AT_SYMLINK_NOFOLLOW) < 0:
            return new_judge(t, w) if flags & O_CREAT and errno == ENOENT and not w.magic else 0
        if S_ISLNK(st.st_mode):
            return 0
    if flags & O_CREAT and flags & O_EXCL and fstatat(AT_FDCWD, w.h, &st, AT_SYMLINK_NOFOLLOW) == 0:
        return 0
    error = 0 if accessible(AT_FDCWD, w.h, wanted) == 0 else -errno
    if error == -ENOENT and flags & O_CREAT and not w.magic:
        return new_judge(t, w)
    if error == 0 and who_may(t, CAP_DAC_OVERRIDE_) and not (wanted & W_OK and records_have(STORE_HAS_XATTRS)):
        return 0
    return there_judge(t, w, wanted, error) if error == 0 or error == -EACCES else 0

cdef int there_judge(Tracee *t, Walk *w, int wanted, int error) noexcept nogil:
    """Judge the open of a file that is there and that the kernel would open, or (-EACCES) would not."""
    cdef Spot at
    cdef Truth f
    cdef int result
    at.fd = open_found(t, w, True)
    if at.fd < 0:
        return 0
    spot_from_walk(t, w, &at)
    result = truth_of(&f, at.fd, b"", 0, 0)
    if result == 0 and (wanted & W_OK or judged.flags & O_CREAT if S_ISDIR(f.mode) else judged.flags & O_DIRECTORY):
        # (the kernel has an error that comes before)
        pass
    elif result == 0 and at.bind < 0 and w.magic and f.mode & KIND_BITS == KIND_FIFO:
        # (a pipe belongs to who made it, which is not recorded: whoever has it open may open it)
        pass
    elif result == 0 and (ours(&f) or f.found) and not S_ISLNK(f.disk.mode):
        result = who_rights(t, &f, wanted)
        if result == 0 and f.found and f.slot.flags & STORE_NODE and not judged.flags & O_EXCL:
            result = node_judge(w, &f)
        elif result == 0 and error < 0:
            adopt_file(&at, &f)
        if result == 0 and judged.flags & O_NOATIME and not who_owns(t, &f):
            result = -EPERM
        if result == 0 and wanted & W_OK and S_ISREG(f.mode):
            result = written_judge(t, &at, &f)
    elif result != -EIO:
        result = 0
    spot_drop(&at)
    return result

cdef int node_judge(Walk *w, const Truth *f) noexcept nogil:
    """Lead the open of a device to the host's, if guests may have that one."""
    cdef int i
    if judged.flags & O_DIRECTORY:
        return -ENOTDIR
    for i in range(<int>(sizeof(open_nodes) // sizeof(open_nodes[0]))):
        if f.mode & KIND_BITS == KIND_CHAR and open_nodes[i].rdev == f.rdev:
            w.hlen = w.placelen = <int>strlen(open_nodes[i].path)
            memcpy(w.h, open_nodes[i].path, w.hlen + 1)
            w.held = w.magic = False
            return PLACE_TEXT
    return -ENXIO

cdef int written_judge(Tracee *t, const Spot *at, Truth *f) noexcept nogil:
    """What is about to be written to loses its capabilities, and its set-id bits unless the writer may keep them (file_remove_privs)."""
    cdef int error
    if not f.found:
        return 0
    error = caps_forget(at, f)
    if error == 0 and f.mode & SETID_BITS and not who_may(t, CAP_FSETID_) and mode_without_setid(t, f) != f.mode:
        f.mode = mode_without_setid(t, f)
        error = truth_write(at, f, f.disk.mode)
    return error

cdef int new_judge(Tracee *t, Walk *w) noexcept nogil:
    """Judge an open that makes a file: its directory must be open to the maker, and its owner may have to be recorded."""
    cdef Truth parent
    cdef uint32_t mode = <uint32_t>judged.mode
    cdef int error, dir
    cdef bint look = not making_is_plain(t, mode)
    judged.clears = mode & SETID_BITS
    if w.last != LAST_NORM or w.namelen <= 0:
        return 0
    dir = open_parent(w)
    if dir < 0:
        return 0
    error = dir_judge(t, dir, W_OK | X_OK, &parent, look)
    c_close(dir)
    if error == 0 and look:
        new_expect(t, &parent, mode)
    return error if error == -EACCES and not who_may(t, CAP_DAC_OVERRIDE_) else 0

cdef void new_expect(Tracee *t, const Truth *parent, uint32_t mode) noexcept nogil:
    """The file that the open makes gets its record at the end, if it needs one."""
    cdef Maker m
    if maker_of(t, parent, mode, False, &m):
        m.writes = judged.flags & O_ACCMODE and not who_may(t, CAP_FSETID_)
        make_expect(t, &m, -1, NULL, 0)
    else:
        free(m.list)

cdef int tmpfile_judge(Tracee *t, Walk *w) noexcept nogil:
    """The same for a file without a name."""
    cdef Truth parent
    cdef uint32_t mode = <uint32_t>judged.mode
    cdef bint look = not making_is_plain(t, mode)
    cdef int error, dir = open_found(t, w, True)
    judged.clears = mode & SETID_BITS
    if dir < 0:
        return 0
    error = dir_judge(t, dir, W_OK | X_OK, &parent, look)
    c_close(dir)
    if error == 0 and look:
        new_expect(t, &parent, mode)
    return error if error == -EACCES and not who_may(t, CAP_DAC_OVERRIDE_) else 0

cdef int enter_take(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Calls that go into a file in another way, by path: see to it that it is open to who may (chdir, truncate, execve)."""
    global exec_tid
    cdef Spot at
    cdef Truth f
    cdef int error, wanted = W_OK if t.call.nr == NR_truncate else X_OK
    cdef uint64_t flags = t.call.args[row.flags] if row.flags >= 0 else 0
    if t.call.nr == NR_execve or t.call.nr == NR_execveat:
        wanted |= R_OK
        exec_tid = t.tid
    error = spot_of_path(t, dir_argument(t, row.dirfd), t.call.args[row.path], path_mode(row, t), flags & AT_EMPTY_PATH != 0, &at)
    hold_drop(t)
    if error != 0:
        return R_DEAD if error == -ESRCH else TAKE_NOT
    error = truth_of(&f, at.fd, b"", 0, 0)
    if t.call.nr == NR_truncate and not S_ISREG(f.mode):
        # (the kernel has an error that comes before)
        pass
    elif error == 0 and (ours(&f) or f.found):
        # (a program need not be readable)
        error = who_rights(t, &f, wanted & ~R_OK)
        if error == 0:
            if disk_rights(&f) & wanted != wanted:
                adopt_file(&at, &f)
            if wanted & W_OK and S_ISREG(f.mode):
                error = written_judge(t, &at, &f)
    spot_drop(&at)
    return answer(t, error) if error < 0 and wanted & R_OK == 0 else TAKE_NOT

cdef inline int disk_rights(const Truth *f) noexcept nogil:
    return f.disk.mode >> 6 & 7
