# Calls that tell and set capabilities: capget(2), capset(2), and what prctl(2) has of them.

cdef enum:
    PR_GET_KEEPCAPS_ = 7
    PR_SET_KEEPCAPS_ = 8
    PR_CAPBSET_READ_ = 23
    PR_CAPBSET_DROP_ = 24
    PR_GET_SECUREBITS_ = 27
    PR_SET_SECUREBITS_ = 28
    PR_SET_NO_NEW_PRIVS_ = 38
    PR_GET_NO_NEW_PRIVS_ = 39
    PR_CAP_AMBIENT_ = 47

cdef long NOT_MINE = <long>1 << 40      # no result: the call is not one of these

cdef long caps_begin(Tracee *t, CapHeader *header, int *sets) noexcept nogil:
    """Read the header, and say by its version how many parts a set has; an unknown version is told the newest."""
    cdef uint32_t newest = 0x20080522
    if mem_read(t.tid, t.call.args[0], &header.version, 4) < 0:
        return -EFAULT
    sets[0] = 1
    if header.version == 0x19980330:
        return 0
    sets[0] = 2
    if header.version == 0x20071026 or header.version == newest:
        return 0
    return -EFAULT if mem_write(t.tid, t.call.args[0], &newest, 4) < 0 else -EINVAL

cdef long caps_tell(Tracee *t) noexcept nogil:
    cdef CapHeader header
    cdef uint32_t data[6]
    cdef Cred *c
    cdef Tracee *other
    cdef int i, sets = 0
    cdef long result = caps_begin(t, &header, &sets)
    if result != 0 or t.call.args[1] == 0:
        return 0 if t.call.args[1] == 0 and result == -EINVAL else result
    if mem_read(t.tid, t.call.args[0] + 4, &header.pid, 4) < 0:
        return -EFAULT
    if header.pid < 0:
        return -EINVAL
    other = t if header.pid == 0 else guest_of(t.view, header.pid)
    if other == NULL:
        return NOT_MINE
    c = cred_of(other)
    for i in range(2):
        data[3 * i] = <uint32_t>(c.caps[CAPS_EFFECTIVE] >> 32 * i)
        data[3 * i + 1] = <uint32_t>(c.caps[CAPS_PERMITTED] >> 32 * i)
        data[3 * i + 2] = <uint32_t>(c.caps[CAPS_INHERITABLE] >> 32 * i)
    return -EFAULT if mem_write(t.tid, t.call.args[1], data, sets * 12) < 0 else 0

cdef long caps_take(Tracee *t) noexcept nogil:
    cdef CapHeader header
    cdef uint32_t data[6]
    cdef Cred new = cred_of(t)[0]
    cdef uint64_t given[3]
    cdef int i, sets = 0
    cdef long result = caps_begin(t, &header, &sets)
    if result < 0:
        return result
    if mem_read(t.tid, t.call.args[0] + 4, &header.pid, 4) < 0:
        return -EFAULT
    if header.pid != 0 and header.pid != t.tid:
        return -EPERM
    memset(data, 0, sizeof(data))
    if mem_read(t.tid, t.call.args[1], data, sets * 12) < 0:
        return -EFAULT
    for i in range(3):
        given[i] = (<uint64_t>data[3 + i] << 32 | data[i]) & creds.known
    result = caps_set(&new, given[0], given[1], given[2])
    return result if result < 0 else cred_take(t, &new)

cdef long caps_option(Tracee *t) noexcept nogil:
    """prctl(2); NOT_MINE: it is none of these."""
    cdef const uint64_t *args = t.call.args
    cdef Cred new = cred_of(t)[0]
    cdef uint64_t option = args[0]
    cdef long result
    if option == PR_CAPBSET_READ_:
        return -EINVAL if not is_cap(args[1]) else <long>(new.caps[CAPS_BOUNDING] >> args[1] & 1)
    if option == PR_GET_SECUREBITS_:
        return new.bits
    if option == PR_GET_KEEPCAPS_:
        return new.bits & SECURE_KEEP_CAPS != 0
    if option == PR_GET_NO_NEW_PRIVS_:
        return -EINVAL if args[1] | args[2] | args[3] | args[4] else new.no_new_privs
    if option == PR_SET_NO_NEW_PRIVS_:
        result = -EINVAL if args[1] != 1 or args[2] | args[3] | args[4] else 0
        new.no_new_privs = True
    elif option == PR_CAPBSET_DROP_:
        result = bounding_drop(&new, args[1])
    elif option == PR_SET_SECUREBITS_:
        result = bits_set(&new, args[1])
    elif option == PR_SET_KEEPCAPS_:
        result = bits_keep(&new, args[1])
    elif option == PR_CAP_AMBIENT_:
        result = ambient_change(&new, args + 1)
    else:
        return NOT_MINE
    if result == 0 and (option != PR_CAP_AMBIENT_ or args[1] != 1):
        return cred_take(t, &new)
    return result
