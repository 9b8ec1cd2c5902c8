# stat(2) and its kin, access(2): answered by the supervisor, by one look at a descriptor of its own.
#
# What other features add to the same results (links of directories that bindings bring, mount roots), and other layouts than those of
# x86_64, are left to the call itself; then the owner, the mode and the device are corrected at its end.
#
# Decides: what a look at a file tells of its owner.

cdef struct Told:            # what the call at hand tells of a file
    bint known
    int task                 # whose folder of /proc it is in, where it is not known; 0: nobody's
    uint32_t uid, gid, mode, rdev

cdef Told told

cdef struct ToldEnd:
    uint64_t buffer
    uint32_t uid, gid, mode, rdev
    bint known
    int task                 # whose folder of /proc it is in; 0: nobody's

cdef enum:
    LOOK_NATIVE = 0          # layouts
    LOOK_STATX = 1
    LOOK_STAT64 = 2
    LOOK_STAT32 = 3
    LOOK_OLD = 4
    AT_SYNC = 3 << 13        # AT_STATX_SYNC_TYPE

cdef int look_layout(Tracee *t, const pyroot_row *row) noexcept nogil:
    if t.call.nr == NR_statx:
        return LOOK_STATX
    if not t.call.compat:
        return LOOK_NATIVE
    if find_text(row.name, b"64") != NULL:
        return LOOK_STAT64
    return LOOK_OLD if starts(row.name, b"old") else LOOK_STAT32

cdef inline uint64_t look_buffer(Tracee *t, const pyroot_row *row) noexcept nogil:
    return t.call.args[4 if t.call.nr == NR_statx else row.path + 1 if row.path >= 0 else 1]

cdef bint is_look(uint64_t nr) noexcept nogil:
    return nr == NR_stat or nr == NR_lstat or nr == NR_fstat or nr == NR_newfstatat or nr == NR_statx

cdef int look_take(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Answer a call of the stat family, or note what its end has to tell."""
    cdef Spot at
    cdef Truth f
    cdef uint64_t flags = t.call.args[row.flags] if row.flags >= 0 else 0
    cdef uint32_t mask = <uint32_t>t.call.args[3] if t.call.nr == NR_statx else 0
    cdef int error
    if t.call.nr == NR_fstat:
        error = spot_of_fd(t, <int>t.call.args[0], &at) if <int>t.call.args[0] >= 0 else -EBADF
    elif flags & ~<uint64_t>(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_SYNC) or mask >> 31 or flags & AT_SYNC == AT_SYNC:
        return TAKE_NOT
    else:
        error = spot_of_path(t, dir_argument(t, row.dirfd), t.call.args[row.path], path_mode(row, t), flags & AT_EMPTY_PATH != 0, &at)
    if error == SPOT_NONE:
        told.task = task_of_proc(W1.h, W1.hlen) if t.call.nr != NR_fstat and W1.valid else 0
        return TAKE_NOT
    if error < 0:
        return R_DEAD if error == -ESRCH else answer(t, error)
    error = truth_of(&f, at.fd, b"", <int>(flags & AT_SYNC), mask)
    if error < 0:
        spot_drop(&at)
        return answer(t, error)
    told.known = True
    told.uid, told.gid, told.mode, told.rdev = f.uid, f.gid, f.mode, f.rdev
    if f.disk.dev == proc_dev:
        told.known, told.task = False, task_of_spot(&at)
        spot_drop(&at)
        return TAKE_NOT
    spot_drop(&at)
    if look_is_shared(t, mask, &f):
        return TAKE_NOT
    told.known = False
    return look_answer(t, row, &f)

cdef bint look_is_shared(Tracee *t, uint32_t mask, const Truth *f) noexcept nogil:
    """Say whether others have something to add to the result."""
    if t.call.compat and t.call.nr != NR_statx:
        return True
    if S_ISDIR(f.mode) and W1.v.links:
        return True
    if W1.valid and (W1.upper or W1.merged):
        # (an overlay shows the number of before the copy-up)
        return True
    if t.call.nr == NR_statx:
        return mask & (STATX_MNT_ID_ | STATX_MNT_ID_UNIQUE_) != 0 or S_ISDIR(f.mode) or W1.v.n > 1
    return False

cdef int look_answer(Tracee *t, const pyroot_row *row, Truth *f) noexcept nogil:
    cdef c_stat st
    cdef ssize_t result
    if t.call.nr == NR_statx:
        facts_statx(&f.disk, <uint32_t>t.call.args[3], f.uid, f.gid, f.mode, f.rdev)
        result = mem_write(t.tid, t.call.args[4], <const void *>&f.disk.x, sizeof(f.disk.x))
    else:
        f.disk.uid, f.disk.gid, f.disk.mode, f.disk.rdev = f.uid, f.gid, f.mode, f.rdev
        facts_stat(&f.disk, &st)
        result = mem_write(t.tid, look_buffer(t, row), &st, sizeof(st))
    return R_DEAD if result == -ESRCH else answer(t, <long>result)

cdef int look_call(Tracee *t, const pyroot_row *row, int outcome) noexcept nogil:
    """The call itself looks: correct what it tells at its end."""
    cdef ToldEnd *e = <ToldEnd *>after(t, end_look, 0)
    e.buffer = look_buffer(t, row)
    e.known, e.task = told.known, told.task
    told.known, told.task = False, 0
    e.uid, e.gid, e.mode, e.rdev = told.uid, told.gid, told.mode, told.rdev
    # (the layout is the row's)
    after_last(t).data[AFTER_WORDS - 1] = look_layout(t, row)
    return R_EXIT

cdef struct LookAt:          # where a layout has things, and how large they are
    int uid, gid, mode, rdev, ids, modes, rdevs

cdef LookAt look_at(int layout) noexcept nogil:
    cdef LookAt at
    at.ids = at.modes = 4
    at.uid, at.gid, at.mode, at.rdev, at.rdevs = 28, 32, 24, 40, 8
    if layout == LOOK_STATX:
        at.uid, at.gid, at.mode, at.modes, at.rdev = 20, 24, 28, 2, 128
    elif layout == LOOK_STAT64:
        at.uid, at.gid, at.mode, at.rdev = 24, 28, 16, 32
    elif layout == LOOK_STAT32:
        at.uid, at.gid, at.mode, at.rdev, at.ids, at.modes, at.rdevs = 12, 14, 8, 16, 2, 2, 4
    elif layout == LOOK_OLD:
        at.uid, at.gid, at.mode, at.rdev, at.ids, at.modes, at.rdevs = 8, 10, 4, 12, 2, 2, 2
    return at

cdef inline uint32_t id_of(uint32_t id, int size) noexcept nogil:
    """Return an id as a field of 16 bits has it: what does not fit is nobody's (high2lowuid)."""
    return 65534 if size == 2 and id > 65535 else id

cdef int task_of_proc(const char *host, int n) noexcept nogil:
    """Return the task whose folder of /proc a host path leads into, 0 if there is none."""
    cdef int pid = 0, tid = 0, k
    if n < 7 or memcmp(host, b"/proc/", 6) != 0:
        return 0
    k = parse_pid(host + 6, &pid)
    if k <= 0:
        return 0
    if starts(host + 6 + k, b"/task/") and parse_pid(host + 12 + k, &tid) > 0:
        return tid
    return pid

cdef int task_of_spot(const Spot *at) noexcept nogil:
    cdef char link[40]
    cdef char text[PATHMAX]
    cdef int n
    snprintf(link, sizeof(link), b"/proc/self/fd/%d", at.fd)
    n = <int>c_readlink(link, text, PATHMAX - 1)
    text[n if n > 0 else 0] = 0
    return task_of_proc(text, n)

cdef void proc_owner(Tracee *t, ToldEnd *e, int mode_at, int size) noexcept nogil:
    """Whose a file is that the kernel says is ours: in a guest's folder of /proc that guest's (task_dump_owner in fs/proc/base.c)."""
    cdef Tracee *task = guest_of(t.view, e.task) if e.task > 0 else NULL
    cdef uint32_t mode = 0
    e.uid, e.gid = owners.uid, owners.gid
    if task == NULL or not creds.on:
        return
    mem_read(t.tid, e.buffer + mode_at, &mode, size)
    if mode & 0xffff != (KIND_DIRECTORY | 0o555) and task.mm != NULL and task.mm.undumpable != 0:
        e.uid = e.gid = 0
        return
    e.uid, e.gid = cred_of(task).uid[ID_EFFECTIVE], cred_of(task).gid[ID_EFFECTIVE]

cdef int end_look(Tracee *t, After *a, int64_t result) noexcept nogil:
    cdef ToldEnd *e = <ToldEnd *>a.data
    cdef int layout = <int>a.data[AFTER_WORDS - 1]
    cdef LookAt at = look_at(layout)
    cdef uint32_t uid = 0, gid = 0, us
    cdef uint64_t rdev
    if result != 0:
        return R_CONT
    if not e.known:
        # a file of the kernel's own
        if mem_read(t.tid, e.buffer + at.uid, &uid, at.ids) == 0 and uid == id_of(owners.us, at.ids):
            proc_owner(t, e, at.mode, at.modes)
            us = id_of(e.uid, at.ids)
            gid = id_of(e.gid, at.ids)
            mem_write(t.tid, e.buffer + at.uid, &us, at.ids)
            mem_write(t.tid, e.buffer + at.gid, &gid, at.ids)
        return R_CONT
    uid, gid = id_of(e.uid, at.ids), id_of(e.gid, at.ids)
    mem_write(t.tid, e.buffer + at.uid, &uid, at.ids)
    mem_write(t.tid, e.buffer + at.gid, &gid, at.ids)
    mem_write(t.tid, e.buffer + at.mode, &e.mode, at.modes)
    if layout == LOOK_STATX:
        rdev = e.rdev >> 20 | <uint64_t>(e.rdev & 0xfffff) << 32
    elif at.rdevs == 8:
        rdev = (e.rdev & 0xff) | (e.rdev >> 20) << 8 | (e.rdev & 0xfff00) << 12
    else:
        rdev = (e.rdev & 0xff) | (e.rdev >> 20 & 0xff) << 8
    mem_write(t.tid, e.buffer + at.rdev, &rdev, at.rdevs)
    return R_CONT

# -- access --------------------------------------------------------------------------------------------------------------------------

cdef int access_take(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Answer access(2), faccessat(2) and faccessat2(2) by the records, where the kernel does not know better."""
    cdef uint64_t flags = t.call.args[3] if t.call.nr == NR_faccessat2 else 0
    cdef int wanted = <int>t.call.args[row.path + 1], result
    cdef Cred *own = t.cred
    cdef Cred real
    if wanted & ~7 or flags & ~<uint64_t>(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        return TAKE_NOT
    if creds.on and not flags & AT_EACCESS:
        real = cred_of(t)[0]
        cred_for_access(&real)
        t.cred = &real
    result = access_by_path(t, row, flags, wanted)
    t.cred = own
    if result == SPOT_NONE:
        return TAKE_NOT
    return R_DEAD if result == -ESRCH else answer(t, result)

cdef void cred_for_access(Cred *c) noexcept nogil:
    """Ask as the real user and group (access_override_creds in fs/open.c)."""
    c.uid[ID_FS] = c.uid[ID_REAL]
    c.gid[ID_FS] = c.gid[ID_REAL]
    if not c.bits & SECURE_NO_SETUID_FIXUP:
        c.caps[CAPS_EFFECTIVE] = c.caps[CAPS_PERMITTED] if c.uid[ID_REAL] == 0 else 0

cdef int access_by_path(Tracee *t, const pyroot_row *row, uint64_t flags, int wanted) noexcept nogil:
    cdef Spot at
    cdef Truth f
    cdef int error
    error = spot_of_path(t, dir_argument(t, row.dirfd), t.call.args[row.path], path_mode(row, t), flags & AT_EMPTY_PATH != 0, &at)
    if error < 0:
        return error
    error = truth_of(&f, at.fd, b"", 0, 0)
    if error == 0:
        error = access_of(t, &at, &f, wanted)
    spot_drop(&at)
    return error

cdef int access_of(Tracee *t, const Spot *at, const Truth *f, int wanted) noexcept nogil:
    """Ask the kernel first, who knows of read-only file systems and of noexec, then the record."""
    cdef char link[40]
    cdef int error
    snprintf(link, sizeof(link), b"/proc/self/fd/%d", at.fd)
    error = 0 if S_ISLNK(f.disk.mode) or accessible(AT_FDCWD, link, wanted) == 0 else -errno
    if error < 0 and error != -EACCES:
        return error
    if f.found and f.slot.flags & STORE_NODE:
        return who_rights(t, f, wanted)
    if not ours(f) and not f.found:
        return error
    if error < 0 and not is_kept(at):
        return error
    if error < 0 and wanted & X_OK and not S_ISDIR(f.mode) and f.disk.mode & 0o100 and accessible(AT_FDCWD, link, X_OK) < 0:
        # (the file system has no programs)
        return error
    return who_rights(t, f, wanted)
