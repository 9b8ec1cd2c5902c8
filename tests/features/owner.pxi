# A feature of the tests: every file looks owned by user 4242, to stat(2) and its kin of both ABIs.

cdef enum:
    TOY_OWNER = 4242

cdef struct OwnerEnd:
    uint64_t at              # where the user is in the guest's buffer
    int size                 # of the number

cdef int owner_call(Tracee *t, const pyroot_row *row, int outcome) noexcept nogil:
    """Look at the result of each call that tells of a file: the buffer comes after the path, or after the descriptor."""
    cdef OwnerEnd *e = <OwnerEnd *>after(t, end_owner, 0)
    cdef bint statx = strcmp(row.name, b"statx") == 0
    e.at = t.call.args[4 if statx else row.path + 1 if row.path >= 0 else 1]
    e.size = 4
    if statx:
        e.at += 20
    elif not t.call.compat:
        e.at += 28
    elif find_text(row.name, b"64") != NULL:
        e.at += 24
    else:
        e.at += 8 if starts(row.name, b"old") else 12
        e.size = 2
    return R_EXIT

cdef int end_owner(Tracee *t, After *a, int64_t result) noexcept nogil:
    cdef OwnerEnd *e = <OwnerEnd *>a.data
    cdef uint32_t owner = TOY_OWNER
    if result == 0:
        mem_write(t.tid, e.at, &owner, e.size)
    return R_CONT

cdef void feature_owner(Feature *f) noexcept nogil:
    f.call = owner_call
