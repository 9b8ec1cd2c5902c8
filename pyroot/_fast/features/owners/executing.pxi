# What executing a file gives, by what is remembered of it: its owner, its set-id bits and its capabilities (features/ids.pxi asks).

cdef int owners_exec(Tracee *t, int fd, ExecRights *r) noexcept nogil:
    """Complete what the disk says of a program; 0 or -errno."""
    cdef Truth f
    cdef const char *value = NULL
    cdef uint32_t data[5]
    cdef int error = rights_on_disk(fd, r)
    if error < 0:
        return error
    error = truth_of(&f, fd, b"", 0, 0)
    if error < 0:
        return error
    r.uid, r.gid, r.mode = f.uid, f.gid, f.mode
    if not f.found or not f.slot.flags & STORE_XATTRS:
        return 0
    tail_load(&f)
    if tail_value(tail_bytes, tail_size, CAPABILITIES, &value) >= <int>sizeof(data):
        memcpy(data, value, sizeof(data))
        r.capable = True
        r.effective = data[0] & 1 != 0
        r.permitted = (<uint64_t>data[3] << 32 | data[1]) & creds.known
        r.inheritable = (<uint64_t>data[4] << 32 | data[2]) & creds.known
    return 0

cdef int exec_tid = 0        # whose execve is at hand

cdef int owners_may_exec(int fd) noexcept nogil:
    """Judge a file of an execve, the program or an interpreter, by the records; 0 or -EACCES."""
    cdef Truth f
    cdef Tracee *t = tracee_get(exec_tid)
    if t == NULL or who_may(t, CAP_DAC_OVERRIDE_) or truth_of(&f, fd, b"", 0, 0) < 0 or not (ours(&f) or f.found):
        return 0
    return who_rights(t, &f, X_OK)

cdef void executing_begin(bint on) noexcept nogil:
    global exec_rights, exec_may, exec_tid
    exec_rights = NULL
    exec_may = NULL
    exec_tid = 0
    if on:
        exec_rights = owners_exec
        exec_may = owners_may_exec
