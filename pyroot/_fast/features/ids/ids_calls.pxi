# Calls that tell and set ids: what they are given, and what they give back.  The rules: ids_rules.pxi.
#
# On i386 those whose names lack "32" have ids of 16 bits (kernel/uid16.c).

cdef enum:
    NGROUPS_MOST = 65536
    OVERFLOW_ID = 65534      # what 16 bits tell of an id that they do not hold

cdef inline bint ids_narrow(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Say whether the ids of the call at hand have 16 bits."""
    return t.call.compat and strchr(row.name, c'3') == NULL

cdef inline uint32_t id_given(uint64_t argument, bint narrow) noexcept nogil:
    if narrow:
        argument &= 0xffff
        return <uint32_t>NOBODY if argument == 0xffff else <uint32_t>argument
    return <uint32_t>argument

cdef inline uint32_t id_told(uint32_t id, bint narrow) noexcept nogil:
    return <uint32_t>OVERFLOW_ID if narrow and id > 0xffff else id

cdef int cred_take(Tracee *t, const Cred *new) noexcept nogil:
    """The task is another from now on; 0 or -ENOMEM.  Its memory is closed to others if it had been more (commit_creds)."""
    cdef const Cred *old = cred_of(t)
    cdef Cred *c
    cdef bint other
    other = (old.uid[ID_EFFECTIVE] != new.uid[ID_EFFECTIVE] or old.gid[ID_EFFECTIVE] != new.gid[ID_EFFECTIVE]
             or old.uid[ID_FS] != new.uid[ID_FS] or old.gid[ID_FS] != new.gid[ID_FS]
             or new.caps[CAPS_PERMITTED] & ~old.caps[CAPS_PERMITTED] != 0)
    c = cred_new(new)
    if c == NULL:
        return -ENOMEM
    cred_drop(t.cred)
    t.cred = c
    gate_who_changed(t)
    if other:
        t.mm.undumpable = dumpable_kept(creds.suid_dumpable)
    return 0

cdef inline uint8_t dumpable_kept(int value) noexcept nogil:
    """Return how a value of PR_GET_DUMPABLE is kept."""
    return 0 if value == 1 else 1 if value == 0 else 2

cdef long user_ids(Tracee *t, bint narrow) noexcept nogil:
    """setuid(2), setreuid(2), setresuid(2)."""
    cdef Cred new = cred_of(t)[0]
    cdef bint may = cred_has(&new, CAP_SETUID_)
    cdef long result = ids_change(t, new.uid, narrow, may, NR_setuid, NR_setreuid)
    if result != 0:
        return result if result < 0 else 0
    caps_follow(&new, cred_of(t))
    return cred_take(t, &new)

cdef long group_ids(Tracee *t, bint narrow) noexcept nogil:
    cdef Cred new = cred_of(t)[0]
    cdef long result = ids_change(t, new.gid, narrow, cred_has(&new, CAP_SETGID_), NR_setgid, NR_setregid)
    if result != 0:
        return result if result < 0 else 0
    return cred_take(t, &new)

cdef long ids_change(Tracee *t, uint32_t *ids, bint narrow, bint may, uint64_t one, uint64_t two) noexcept nogil:
    cdef uint32_t wanted[3]
    cdef int i
    for i in range(3):
        wanted[i] = id_given(t.call.args[i], narrow)
    if t.call.nr == one:
        return ids_one(ids, wanted[0], may)
    return ids_two(ids, wanted[0], wanted[1], may) if t.call.nr == two else ids_three(ids, wanted, may)

cdef long file_ids(Tracee *t, bint narrow) noexcept nogil:
    """setfsuid(2), setfsgid(2): the result is the id that was."""
    cdef bint user = t.call.nr == NR_setfsuid
    cdef Cred new = cred_of(t)[0]
    cdef uint32_t was = new.uid[ID_FS] if user else new.gid[ID_FS]
    cdef uint32_t wanted = id_given(t.call.args[0], narrow)
    if user and ids_fs(new.uid, wanted, cred_has(&new, CAP_SETUID_)):
        caps_follow_fs(&new, cred_of(t))
        cred_take(t, &new)
    elif not user and ids_fs(new.gid, wanted, cred_has(&new, CAP_SETGID_)):
        cred_take(t, &new)
    return <long>was if not t.call.compat else <int32_t>was

cdef long ids_tell(Tracee *t, const uint32_t *ids, bint narrow) noexcept nogil:
    """getresuid(2), getresgid(2)."""
    cdef uint32_t id
    cdef int i
    for i in range(3):
        id = id_told(ids[i], narrow)
        if mem_write(t.tid, t.call.args[i], &id, 2 if narrow else 4) < 0:
            return -EFAULT
    return 0

cdef long groups_tell(Tracee *t, bint narrow) noexcept nogil:
    """getgroups(2)."""
    cdef Groups *g = cred_of(t).groups
    cdef int i, n = 0 if g == NULL else g.n, size = 2 if narrow else 4, room = <int>t.call.args[0]
    cdef uint16_t *short_ids
    cdef const void *ids
    cdef long result = n
    if room < 0:
        return -EINVAL
    if room == 0 or n == 0:
        return n
    if n > room:
        return -EINVAL
    ids = group_list(g)
    short_ids = NULL
    if narrow:
        short_ids = <uint16_t *>malloc(n * 2)
        if short_ids == NULL:
            return -ENOMEM
        for i in range(n):
            short_ids[i] = <uint16_t>id_told(group_list(g)[i], True)
        ids = short_ids
    if mem_write(t.tid, t.call.args[1], ids, n * size) < 0:
        result = -EFAULT
    free(short_ids)
    return result

cdef void groups_sort(uint32_t *ids, int n) noexcept nogil:
    """Ascending: by halves, in place (heap sort)."""
    cdef int start = n // 2, end = n, root, child
    cdef uint32_t id
    while end > 1:
        if start > 0:
            start -= 1
        else:
            end -= 1
            ids[end], ids[0] = ids[0], ids[end]
        id = ids[start]
        root = start
        while root * 2 + 1 < end:
            child = root * 2 + 1
            if child + 1 < end and ids[child] < ids[child + 1]:
                child += 1
            if ids[child] <= id:
                break
            ids[root] = ids[child]
            root = child
        ids[root] = id

cdef long groups_set(Tracee *t, bint narrow) noexcept nogil:
    """setgroups(2)."""
    cdef uint32_t n = <uint32_t>t.call.args[0]
    cdef int i
    cdef Cred new = cred_of(t)[0]
    cdef Groups *g
    cdef long result
    if not cred_has(&new, CAP_SETGID_):
        return -EPERM
    if n > NGROUPS_MOST:
        return -EINVAL
    g = groups_new(<int>n)
    if g == NULL:
        return -ENOMEM
    result = -EFAULT if n > 0 and mem_read(t.tid, t.call.args[1], group_list(g), n * (2 if narrow else 4)) < 0 else 0
    if result == 0 and narrow:
        for i in range(<int>n - 1, -1, -1):
            # (from the last to the first, in place)
            group_list(g)[i] = id_given((<uint16_t *>group_list(g))[i], True)
    for i in range(<int>n):
        if result == 0 and group_list(g)[i] == NOBODY:
            result = -EINVAL
    if result == 0:
        groups_sort(group_list(g), <int>n)
        new.groups = g
        result = cred_take(t, &new)
    # (the record has its own)
    groups_drop(g)
    return result
