# chown(2), chmod(2) and their kin: the record says what guests see, the disk keeps what is safe (owners/truth.pxi).
#
# The rules are those of fs/attr.c, as root meets them in a real chroot: a change of owner clears the set-id bits of files, even one of
# root to the same owner; who is not in a file's group loses its set-group-ID bit.
#
# Decides: what may be changed, and in which order disk and record change.

cdef enum:
    NO_ID = 0xffffffff

cdef inline uint32_t id_argument(Tracee *t, const pyroot_row *row, int which) noexcept nogil:
    """Return an id of a call; the old calls of i386 have 16 bits for one."""
    cdef uint32_t id = <uint32_t>t.call.args[which]
    if t.call.compat and (strcmp(row.name, b"chown") == 0 or strcmp(row.name, b"lchown") == 0 or strcmp(row.name, b"fchown") == 0):
        return NO_ID if id & 0xffff == 0xffff else id & 0xffff
    return id

cdef int rights_spot(Tracee *t, const pyroot_row *row, uint64_t known, Spot *at) noexcept nogil:
    """Find the file that a call is to change, by path or by descriptor; ``known``: flags that it has."""
    cdef uint64_t flags = t.call.args[row.flags] if row.flags >= 0 else 0
    cdef int fd = <int>t.call.args[0], error
    at.fd = -1
    if row.path >= 0:
        if flags & ~known:
            return -EINVAL
        return spot_of_path(t, dir_argument(t, row.dirfd), t.call.args[row.path], path_mode(row, t), flags & AT_EMPTY_PATH != 0, at)
    error = spot_of_fd(t, fd, at) if fd >= 0 else -EBADF
    if error == 0 and fd_is_path(t, fd):
        spot_drop(at)
        error = -EBADF
    return error

cdef int chown_take(Tracee *t, const pyroot_row *row) noexcept nogil:
    """chown, lchown, fchown, fchownat."""
    cdef int first = row.path + 1 if row.path >= 0 else 1, error
    cdef uint32_t uid = id_argument(t, row, first), gid = id_argument(t, row, first + 1)
    cdef Spot at
    cdef Truth f
    error = rights_spot(t, row, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, &at)
    if error == SPOT_NONE:
        return TAKE_NOT
    if error < 0:
        return R_DEAD if error == -ESRCH else answer(t, error)
    if spot_is_others(&at):
        spot_drop(&at)
        return TAKE_NOT
    error = truth_of(&f, at.fd, b"", 0, 0)
    if error == 0:
        error = chown_of(t, &at, &f, uid, gid)
    spot_drop(&at)
    note_change()
    return answer(t, error)

cdef uint32_t mode_without_setid(Tracee *t, const Truth *f) noexcept nogil:
    """Return the mode of a file after a change of owner, or a write of one who may not keep the bits (setattr_should_drop_suidgid)."""
    cdef uint32_t mode = f.mode & ~<uint32_t>SETUID_BIT
    if f.mode & SETGID_BIT and (f.mode & GROUP_EXEC or not (who_in_group(t, f.gid) or who_may(t, CAP_FSETID_))):
        mode &= ~<uint32_t>SETGID_BIT
    return mode

cdef int chown_of(Tracee *t, const Spot *at, Truth *f, uint32_t uid, uint32_t gid) noexcept nogil:
    """Change the owner, as chown_common() does; 0 or -errno."""
    cdef uint32_t left = f.disk.mode
    cdef int error
    if not who_may(t, CAP_CHOWN_):
        if uid != NO_ID and not (who_uid(t) == f.uid and uid == f.uid):
            return -EPERM
        if gid != NO_ID and not (who_uid(t) == f.uid and (gid == f.gid or who_in_group(t, gid))):
            return -EPERM
    if not S_ISDIR(f.mode) and mode_without_setid(t, f) != f.mode and not who_owns(t, f):
        # (that is a change of the mode)
        return -EPERM
    if ours(f):
        error = disk_touch(at.fd)
        if error < 0:
            return error
    if not S_ISDIR(f.mode):
        f.mode = mode_without_setid(t, f)
        if f.disk.mode & SETID_BITS:
            # (the kernel clears those of the disk)
            if facts_look(at.fd, b"", 0, 0, &f.disk) == 0:
                left = f.disk.mode
        error = caps_forget(at, f)
        if error < 0:
            return error
    f.uid = uid if uid != NO_ID else f.uid
    f.gid = gid if gid != NO_ID else f.gid
    return truth_write(at, f, left)

cdef int disk_touch(int fd) noexcept nogil:
    """Let the kernel do what a change of owner does besides: it sets ctime, and tells whether the file may be changed at all."""
    return 0 if c_syscall(NR_fchownat, fd, b"", -1, -1, AT_EMPTY_PATH) == 0 else -errno

cdef int chmod_take(Tracee *t, const pyroot_row *row) noexcept nogil:
    """chmod, fchmod, fchmodat, fchmodat2."""
    cdef uint32_t mode = <uint32_t>t.call.args[row.path + 1 if row.path >= 0 else 1] & 0o7777
    cdef Spot at
    cdef Truth f
    cdef int error = rights_spot(t, row, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, &at)
    if error == SPOT_NONE:
        return TAKE_NOT
    if error < 0:
        return R_DEAD if error == -ESRCH else answer(t, error)
    if spot_is_others(&at):
        spot_drop(&at)
        return TAKE_NOT
    error = truth_of(&f, at.fd, b"", 0, 0)
    if error == 0:
        error = chmod_of(t, &at, &f, mode)
    spot_drop(&at)
    note_change()
    return answer(t, error)

cdef int chmod_of(Tracee *t, const Spot *at, Truth *f, uint32_t mode) noexcept nogil:
    """Change the mode, as chmod_common() does; 0 or -errno."""
    cdef uint32_t left
    cdef bint node = f.found and f.slot.flags & STORE_NODE
    if S_ISLNK(f.mode):
        return -EOPNOTSUPP
    if not who_owns(t, f):
        return -EPERM
    if mode & SETGID_BIT and not who_in_group(t, f.gid) and not who_may(t, CAP_FSETID_):
        mode &= ~<uint32_t>SETGID_BIT
    f.mode = f.mode & KIND_BITS | mode
    left = f.disk.mode & KIND_BITS | safe_mode(at, f.mode, node)
    if ours(f):
        return mode_write(at, f, left)
    # what is not ours cannot be changed on the disk
    return truth_write(at, f, f.disk.mode)

cdef int times_take(Tracee *t, const pyroot_row *row) noexcept nogil:
    """utimensat and its kin: the kernel knows us as the owner of everything, so only others than the owner are refused here."""
    cdef Spot at
    cdef Truth f
    cdef int error
    cdef bint sets
    if who_may(t, CAP_FOWNER_) and who_may(t, CAP_DAC_OVERRIDE_):
        return TAKE_NOT
    sets = times_are_set(t, row)
    error = spot_of_path(t, dir_argument(t, row.dirfd), t.call.args[row.path], path_mode(row, t), True, &at)
    if error != 0:
        return R_DEAD if error == -ESRCH else TAKE_NOT
    error = truth_of(&f, at.fd, b"", 0, 0)
    spot_drop(&at)
    if error < 0 or not (ours(&f) or f.found) or who_owns(t, &f):
        return TAKE_NOT
    if sets:
        return answer(t, -EPERM)
    return answer(t, -EACCES) if who_rights(t, &f, W_OK) < 0 else TAKE_NOT

cdef bint times_are_set(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Say whether times are given, and not both the present one."""
    cdef uint64_t at = t.call.args[row.path + 1]
    cdef int64_t given[4]
    if at == 0:
        return False
    if t.call.nr != NR_utimensat:
        return True
    if t.call.compat and find_text(row.name, b"64") == NULL:
        return mem_read(t.tid, at, given, 16) == 0 and not ((<int32_t *>given)[1] == 0x3fffffff and (<int32_t *>given)[3] == 0x3fffffff)
    return mem_read(t.tid, at, given, 32) == 0 and not (given[1] == 0x3fffffff and given[3] == 0x3fffffff)
