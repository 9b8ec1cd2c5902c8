# The arena: where rewritten arguments lie.
#
# A memfd that every guest maps read-only (so no thread of the guest can change a path after it was checked) and that the
# supervisor writes with plain stores.  Slots come in two sizes.  A supervisor that runs as root, or that may not make a file of that
# size, uses private memory in the guest instead (a guest that changed its uid could not open the memfd) and writes it with
# process_vm_writev(2).

cdef enum:
    SMALL = 1024
    BIG = 16384
    NSMALL = 6144
    NBIG = 632
    HUGE = 49152             # for a seccomp filter of any length
    NHUGE = 2
    SLOTS_SIZE = 16744448    # NSMALL * SMALL + NBIG * BIG + NHUGE * HUGE
    ARENA_SIZE = 16777216    # behind the slots: what the gate reads (gate.h)

cdef struct Arena:
    bint shared
    int fd
    char *map                # NULL if not shared
    int *small               # stacks of free slots; a big slot is NSMALL + index, a huge one NSMALL + NBIG + index
    int nsmall
    int *big
    int nbig
    bint huge[NHUGE]         # taken
    char path[64]            # how the loader opens it

cdef Arena arena

cdef int arena_open(bint shared) noexcept nogil:
    cdef int i
    arena.shared = shared
    arena.fd = -1
    arena.map = NULL
    arena.small = <int *>malloc(NSMALL * sizeof(int))
    arena.big = <int *>malloc(NBIG * sizeof(int))
    if arena.small == NULL or arena.big == NULL:
        return -ENOMEM
    for i in range(NSMALL):
        arena.small[i] = NSMALL - 1 - i
    for i in range(NBIG):
        arena.big[i] = NSMALL + NBIG - 1 - i
    # the first slot, which is the last of the stack, holds the code by which the 32-bit loader leaves
    arena.nsmall = NSMALL - 1
    arena.nbig = NBIG
    memset(arena.huge, 0, sizeof(arena.huge))
    arena.fd = c_memfd_create(b"pyroot-arena", MFD_CLOEXEC)
    if arena.fd < 0:
        return -errno if shared else 0
    if ftruncate(arena.fd, ARENA_SIZE) < 0:
        # a limit on the size of files: private memory does as well
        c_close(arena.fd)
        arena.fd = -1
        arena.shared = False
        return 0
    # (of a private arena only the end is used, by the gate)
    arena.map = <char *>mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, arena.fd, 0)
    if arena.map == <char *>MAP_FAILED:
        arena.map = NULL
        return -errno
    snprintf(arena.path, sizeof(arena.path), b"/proc/%d/fd/%d", c_getpid(), arena.fd)
    return 0

cdef void arena_close() noexcept nogil:
    if arena.map != NULL:
        munmap(arena.map, ARENA_SIZE)
    if arena.fd >= 0:
        c_close(arena.fd)
    free(arena.small)
    free(arena.big)
    arena.map = NULL
    arena.small = arena.big = NULL
    arena.fd = -1

cdef int slot_take(int data) noexcept nogil:
    """Return a slot with room for ``data`` bytes behind its frame, or -1."""
    cdef int i
    if data + SLOT_FRAME <= SMALL and arena.nsmall > 0:
        arena.nsmall -= 1
        return arena.small[arena.nsmall]
    if data + SLOT_FRAME <= BIG and arena.nbig > 0:
        arena.nbig -= 1
        return arena.big[arena.nbig]
    for i in range(NHUGE):
        if data + SLOT_FRAME > BIG and not arena.huge[i]:
            arena.huge[i] = True
            return NSMALL + NBIG + i
    return -1

cdef void slot_free(int slot) noexcept nogil:
    if slot < NSMALL:
        arena.small[arena.nsmall] = slot
        arena.nsmall += 1
    elif slot >= NSMALL + NBIG:
        arena.huge[slot - NSMALL - NBIG] = False
    else:
        arena.big[arena.nbig] = slot
        arena.nbig += 1

cdef inline uint64_t slot_offset(int slot) noexcept nogil:
    if slot < NSMALL:
        return <uint64_t>slot * SMALL
    if slot < NSMALL + NBIG:
        return <uint64_t>NSMALL * SMALL + <uint64_t>(slot - NSMALL) * BIG
    return <uint64_t>NSMALL * SMALL + <uint64_t>NBIG * BIG + <uint64_t>(slot - NSMALL - NBIG) * HUGE

cdef inline int slot_room(int slot) noexcept nogil:
    return (SMALL if slot < NSMALL else BIG if slot < NSMALL + NBIG else HUGE) - SLOT_FRAME

cdef int slot_at(uint64_t data) noexcept nogil:
    """Return the slot that a data address in the arena belongs to, -1 if none."""
    return slot_of(data - SLOT_FRAME - <uint64_t>LOADER_ARENA)

cdef int slot_of(uint64_t offset) noexcept nogil:
    if offset >= SLOTS_SIZE:
        return -1
    if offset < <uint64_t>NSMALL * SMALL:
        return <int>(offset // SMALL)
    offset -= <uint64_t>NSMALL * SMALL
    if offset < <uint64_t>NBIG * BIG:
        return NSMALL + <int>(offset // BIG)
    return NSMALL + NBIG + <int>((offset - <uint64_t>NBIG * BIG) // HUGE)

# -- editing a call ------------------------------------------------------------------------------------------------------

cdef struct Edit:
    int n
    int arg[6]
    uint64_t value[6]        # new register value, or offset into data
    bint pointer[6]
    int len
    bint opens               # the call becomes openat2, which is made again where it meets a link (opening.pxi)
    bint faults              # an argument points nowhere
    uint64_t frame[8]        # directly in front of data: written to the slot in one piece
    char data[HUGE]

cdef Edit edit

cdef uint64_t NOWHERE = 0xfffffffffffff000      # the last page, of 32 bits as of 64

cdef inline void edit_start() noexcept nogil:
    edit.n = 0
    edit.len = 0
    edit.opens = edit.faults = False

cdef int edit_bytes(int arg, const void *bytes, int n) noexcept nogil:
    """Give an argument a copy of n bytes; return their offset in the slot, or -ENAMETOOLONG."""
    cdef int at = (edit.len + 15) & ~15
    if at + n > (HUGE if arg < 0 else BIG) - SLOT_FRAME:
        return -ENAMETOOLONG
    memcpy(edit.data + at, bytes, n)
    edit.len = at + n
    if arg >= 0:
        edit.arg[edit.n] = arg
        edit.value[edit.n] = at
        edit.pointer[edit.n] = True
        edit.n += 1
    return at

cdef void edit_value(int arg, uint64_t value) noexcept nogil:
    edit.arg[edit.n] = arg
    edit.value[edit.n] = value
    edit.pointer[edit.n] = False
    edit.n += 1

cdef void edit_fault(int arg) noexcept nogil:
    """Point an argument where nobody can map anything: what we cannot read, the kernel is not to read either.

    The guest's own pointer would be read by the kernel after all where only we may not (memfd_secret(2)), or once another thread has
    changed what lies there.  Answering EFAULT at once would come before the errors that the kernel finds first.
    """
    edit_value(arg, NOWHERE)
    edit.faults = True

cdef int edit_reserve(Tracee *t) noexcept nogil:
    """Take the slot for the edit; return 0 or -ENOMEM.  edit_address() is valid afterwards."""
    if t.slot < 0:
        t.slot = slot_take(edit.len)
        if t.slot < 0:
            return -ENOMEM
    return 0

cdef inline uint64_t edit_address(Tracee *t, int offset) noexcept nogil:
    return arena_base(t) + slot_offset(t.slot) + SLOT_FRAME + offset

cdef int edit_commit(Tracee *t) noexcept nogil:
    """Write the slot and point the registers at it, so that the call runs with the new arguments and returns through the stub.

    The first pointer argument decides which stub restores the registers; its bytes are the first in the slot.
    """
    cdef int i, k = -1
    cdef uint64_t data, value
    if edit.n == 0:
        return 0
    stats.rewritten += 1
    if uses_code(t):
        return commit_code(t)
    if edit_reserve(t) < 0:
        return -ENOMEM
    for i in range(6):
        edit.frame[i] = t.args[i]
    edit.frame[6] = 0
    edit.frame[7] = t.ip
    stub_note(t)
    data = edit_address(t, 0)
    if arena.shared:
        memcpy(arena.map + slot_offset(t.slot), edit.frame, SLOT_FRAME + edit.len)
    elif mem_write(t.tid, data - SLOT_FRAME, edit.frame, SLOT_FRAME + edit.len) < 0:
        return -EFAULT
    if edit.opens:
        return commit_open(t, data)
    for i in range(edit.n):
        value = edit.value[i]
        if edit.pointer[i]:
            if k < 0:
                k = edit.arg[i]
            value += data
        if reg_set_arg(t, edit.arg[i], value) < 0:
            return -ESRCH
    return reg_set_ip(t, <uint64_t>LOADER_STUBS + <uint64_t>k * LOADER_STUB_SIZE + LOADER_STUB_RESUME)

cdef int commit_fault(Tracee *t) noexcept nogil:
    """Let the call run with an argument that points nowhere, and no slot to come back through; return what to do."""
    cdef uint64_t cs = 0
    cdef int i
    if t.compat and (reg_peek(t, PYROOT_REG_CS, &cs) < 0 or cs != USER32_CS):
        # (a program of 64 bits may have mapped the last page of 32)
        return answer(t, -EFAULT)
    memcpy(t.saved, t.full, sizeof(t.full))
    t.exit_action = X_FAULT
    for i in range(edit.n):
        if reg_set_arg(t, edit.arg[i], edit.value[i]) < 0:
            return R_DEAD
    return R_EXIT

cdef int commit_open(Tracee *t, uint64_t data) noexcept nogil:
    """Point the registers at an openat2 of the slot's path and open_how."""
    cdef uint64_t args[6]
    cdef int i
    memcpy(args, t.args, sizeof(args))
    for i in range(edit.n):
        args[edit.arg[i]] = edit.value[i] + (data if edit.pointer[i] else 0)
    if reg_set_call(t, NR_openat2, args) < 0:
        return -ESRCH
    return reg_set_ip(t, <uint64_t>LOADER_STUBS + LOADER_STUB_OPEN + LOADER_STUB_RESUME)
