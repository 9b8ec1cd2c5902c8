# What becomes of a task's ids and capabilities, as the kernel has it (kernel/sys.c, kernel/groups.c, security/commoncap.c).
#
# Decides: the rules.  A function here is given a copy of the record and changes it, or says why it may not; nothing else is known of
# the task.  What the calls are given and give back: ids_calls.pxi and ids_caps.pxi.

cdef enum:
    NOBODY = 0xffffffff      # no id: "as it is"
    CAP_SETGID_ = 6
    CAP_SETUID_ = 7
    CAP_SETPCAP_ = 8
    # securebits
    SECURE_NOROOT = 1
    SECURE_NO_SETUID_FIXUP = 4
    SECURE_KEEP_CAPS = 0x10
    SECURE_KEEP_CAPS_LOCKED = 0x20
    SECURE_NO_CAP_AMBIENT_RAISE = 0x40
    SECURE_LOCKS = 0xaa
    SECURE_BITS = 0x55
    # ... of Linux 6.14, which everybody may set
    SECURE_FREE_BITS = 0x500

# What setfsuid(2) takes and gives: CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, LINUX_IMMUTABLE, MKNOD, MAC_OVERRIDE.
cdef uint64_t CAPS_OF_FILES = 0x10800021f

cdef inline bint is_any(const uint32_t *ids, uint32_t id, int n) noexcept nogil:
    """Say whether an id is among the first of those of a task."""
    cdef int i
    for i in range(n):
        if ids[i] == id:
            return True
    return False

cdef void caps_follow(Cred *new, const Cred *old) noexcept nogil:
    """The user ids have changed: the capabilities follow (cap_emulate_setxuid)."""
    if old.bits & SECURE_NO_SETUID_FIXUP:
        return
    if is_any(old.uid, 0, 3) and not is_any(new.uid, 0, 3):
        if not old.bits & SECURE_KEEP_CAPS:
            new.caps[CAPS_PERMITTED] = new.caps[CAPS_EFFECTIVE] = 0
        new.caps[CAPS_AMBIENT] = 0
    if old.uid[ID_EFFECTIVE] == 0 and new.uid[ID_EFFECTIVE] != 0:
        new.caps[CAPS_EFFECTIVE] = 0
    if old.uid[ID_EFFECTIVE] != 0 and new.uid[ID_EFFECTIVE] == 0:
        new.caps[CAPS_EFFECTIVE] = new.caps[CAPS_PERMITTED]

cdef long ids_one(uint32_t *ids, uint32_t id, bint may) noexcept nogil:
    """setuid(2), setgid(2)."""
    if id == NOBODY:
        return -EINVAL
    if may:
        ids[ID_REAL] = ids[ID_SAVED] = id
    elif id != ids[ID_REAL] and id != ids[ID_SAVED]:
        return -EPERM
    ids[ID_EFFECTIVE] = ids[ID_FS] = id
    return 0

cdef long ids_two(uint32_t *ids, uint32_t real, uint32_t effective, bint may) noexcept nogil:
    """setreuid(2), setregid(2)."""
    cdef uint32_t was = ids[ID_REAL]
    if real != NOBODY and not may and not is_any(ids, real, 2):
        return -EPERM
    if effective != NOBODY and not may and not is_any(ids, effective, 3):
        return -EPERM
    if real != NOBODY:
        ids[ID_REAL] = real
    if effective != NOBODY:
        ids[ID_EFFECTIVE] = effective
    if real != NOBODY or (effective != NOBODY and effective != was):
        ids[ID_SAVED] = ids[ID_EFFECTIVE]
    ids[ID_FS] = ids[ID_EFFECTIVE]
    return 0

cdef long ids_three(uint32_t *ids, const uint32_t *wanted, bint may) noexcept nogil:
    """setresuid(2), setresgid(2); 1: nothing is to be done."""
    cdef int i
    cdef bint same = wanted[ID_EFFECTIVE] == NOBODY or ids[ID_FS] == wanted[ID_EFFECTIVE]
    for i in range(3):
        same = same and (wanted[i] == NOBODY or wanted[i] == ids[i])
    if same:
        return 1
    for i in range(3):
        if wanted[i] != NOBODY and not may and not is_any(ids, wanted[i], 3):
            return -EPERM
    for i in range(3):
        if wanted[i] != NOBODY:
            ids[i] = wanted[i]
    ids[ID_FS] = ids[ID_EFFECTIVE]
    return 0

cdef bint ids_fs(uint32_t *ids, uint32_t id, bint may) noexcept nogil:
    """setfsuid(2), setfsgid(2): say whether the id has become another."""
    if id == NOBODY or id == ids[ID_FS] or not (may or is_any(ids, id, 4)):
        return False
    ids[ID_FS] = id
    return True

cdef void caps_follow_fs(Cred *new, const Cred *old) noexcept nogil:
    """The user id of the file system has changed."""
    if old.bits & SECURE_NO_SETUID_FIXUP:
        return
    if old.uid[ID_FS] == 0 and new.uid[ID_FS] != 0:
        new.caps[CAPS_EFFECTIVE] &= ~CAPS_OF_FILES
    if old.uid[ID_FS] != 0 and new.uid[ID_FS] == 0:
        new.caps[CAPS_EFFECTIVE] |= CAPS_OF_FILES & new.caps[CAPS_PERMITTED]

cdef long caps_set(Cred *c, uint64_t effective, uint64_t permitted, uint64_t inheritable) noexcept nogil:
    """capset(2) (cap_capset)."""
    cdef uint64_t *caps = c.caps
    if not cred_has(c, CAP_SETPCAP_) and inheritable & ~(caps[CAPS_INHERITABLE] | caps[CAPS_PERMITTED]):
        return -EPERM
    if inheritable & ~(caps[CAPS_INHERITABLE] | caps[CAPS_BOUNDING]):
        return -EPERM
    if permitted & ~caps[CAPS_PERMITTED] or effective & ~permitted:
        return -EPERM
    caps[CAPS_EFFECTIVE] = effective
    caps[CAPS_PERMITTED] = permitted
    caps[CAPS_INHERITABLE] = inheritable
    caps[CAPS_AMBIENT] &= permitted & inheritable
    return 0

cdef long bits_set(Cred *c, uint64_t bits) noexcept nogil:
    """PR_SET_SECUREBITS (cap_task_prctl)."""
    cdef uint64_t free = SECURE_FREE_BITS if creds.kernel >= 6014 else 0, known = SECURE_BITS | free, locks = known << 1
    cdef uint64_t changed = c.bits ^ bits
    if (c.bits & locks) >> 1 & changed or c.bits & locks & ~bits or bits & ~(known | locks):
        return -EPERM
    if not cred_has(c, CAP_SETPCAP_) and (changed == 0 or changed & ~(free | free << 1)):
        return -EPERM
    c.bits = <uint32_t>bits
    return 0

cdef long bits_keep(Cred *c, uint64_t keep) noexcept nogil:
    """PR_SET_KEEPCAPS."""
    if keep > 1:
        return -EINVAL
    if c.bits & SECURE_KEEP_CAPS_LOCKED:
        return -EPERM
    c.bits = c.bits | SECURE_KEEP_CAPS if keep else c.bits & ~<uint32_t>SECURE_KEEP_CAPS
    return 0

cdef inline bint is_cap(uint64_t cap) noexcept nogil:
    return cap < 64 and creds.known >> cap & 1

cdef long bounding_drop(Cred *c, uint64_t cap) noexcept nogil:
    """PR_CAPBSET_DROP."""
    if not cred_has(c, CAP_SETPCAP_):
        return -EPERM
    if not is_cap(cap):
        return -EINVAL
    c.caps[CAPS_BOUNDING] &= ~(<uint64_t>1 << cap)
    return 0

cdef long ambient_change(Cred *c, const uint64_t *args) noexcept nogil:
    """PR_CAP_AMBIENT, with the arguments after that: is set (1), raise (2), lower (3), clear all (4)."""
    cdef uint64_t bit
    if args[0] == 4:
        if args[1] | args[2] | args[3]:
            return -EINVAL
        c.caps[CAPS_AMBIENT] = 0
        return 0
    if not is_cap(args[1]) or args[2] | args[3]:
        return -EINVAL
    bit = <uint64_t>1 << args[1]
    if args[0] == 1:
        return c.caps[CAPS_AMBIENT] & bit != 0
    if args[0] != 2 and args[0] != 3:
        return -EINVAL
    if args[0] == 3:
        c.caps[CAPS_AMBIENT] &= ~bit
        return 0
    if not c.caps[CAPS_PERMITTED] & c.caps[CAPS_INHERITABLE] & bit or c.bits & SECURE_NO_CAP_AMBIENT_RAISE:
        return -EPERM
    c.caps[CAPS_AMBIENT] |= bit
    return 0
