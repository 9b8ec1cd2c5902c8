# The arena: where rewritten arguments lie.
#
# A memfd that every guest maps read-only (so no thread of the guest can change a path after it was checked) and that the
# supervisor writes with plain stores.  It counts against the guests' RLIMIT_AS, so it is small: slots come in sizes, and a slot stays
# its tracee's until the tracee's next stop, or until no slot is left.  A supervisor that runs as root, or that may not make a file of
# that size, uses private memory in the guest instead (a guest that changed its uid could not open the memfd) and writes it with
# process_vm_writev(2).

cdef extern from "layout.h" nogil:
    enum:
        ARENA_SIZE           # after the slots: what the gate reads

cdef enum:
    SIZES = 3
    NTINY = 2048             # of 256 bytes: paths as they mostly are
    NSMALL = 160             # of 1024
    NBIG = 14
    BIG = 16384
    HUGE = 49152             # for a seccomp filter of any length
    NHUGE = 2
    SLOTS = NTINY + NSMALL + NBIG
    SLOTS_SIZE = 1015808     # all of them

cdef int[SIZES] slot_sizes = [256, 1024, BIG]
cdef int[SIZES] slot_counts = [NTINY, NSMALL, NBIG]

cdef struct Arena:
    bint shared
    int fd
    char *map                # NULL if not shared
    int *stack[SIZES]        # free slots, counted through all sizes; the huge ones come last
    int left[SIZES]
    bint huge[NHUGE]         # taken
    bint code                # after everything else the file has the code that stays in guests (prepare.pxi)
    char path[64]            # how the loader opens it
    const char *failed       # the call without which there is none

cdef Arena arena

cdef inline bint arena_shared(Tracee *t) noexcept nogil:
    """Say whether the arena of a tracee is ours, too, and not private memory of its own."""
    return arena.shared and not t.mm.alone

cdef int slots_prepare() noexcept nogil:
    cdef int i, k, first = 0
    for k in range(SIZES):
        arena.stack[k] = <int *>malloc(slot_counts[k] * sizeof(int))
        if arena.stack[k] == NULL:
            return -ENOMEM
        for i in range(slot_counts[k]):
            arena.stack[k][i] = first + slot_counts[k] - 1 - i
        arena.left[k] = slot_counts[k]
        first += slot_counts[k]
    # the first slot, which is the last of its stack, holds the code by which the 32-bit loader leaves
    arena.left[0] -= 1
    memset(arena.huge, 0, sizeof(arena.huge))
    return 0

cdef int arena_open(bint shared) noexcept nogil:
    arena.shared = shared
    arena.fd = -1
    arena.map = NULL
    arena.code = False
    arena.failed = b"malloc"
    if slots_prepare() < 0:
        return -ENOMEM
    arena.fd = c_memfd_create(b"pyroot-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING)
    if arena.fd < 0:
        arena.failed = b"memfd_create"
        return -errno if shared else 0
    if ftruncate(arena.fd, ARENA_SIZE + LOADER_KEPT) < 0:
        # a limit on the size of files: private memory does as well
        c_close(arena.fd)
        arena.fd = -1
        arena.shared = False
        return 0
    # (of a private arena only the end is used, by the gate)
    arena.map = <char *>mmap(NULL, ARENA_SIZE + LOADER_KEPT, PROT_READ | PROT_WRITE, MAP_SHARED, arena.fd, 0)
    if arena.map == <char *>MAP_FAILED:
        arena.map = NULL
        arena.failed = b"mmap of shared memory"
        return -errno
    # nobody but us ever writes to it, even with a descriptor of it (a kernel before 5.1 does not know that)
    c_fcntl(arena.fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE)
    arena_name()
    return 0

cdef void arena_name() noexcept nogil:
    snprintf(arena.path, sizeof(arena.path), b"/proc/%d/fd/%d", links_pid(), arena.fd)

cdef void arena_close() noexcept nogil:
    cdef int i
    if arena.map != NULL:
        munmap(arena.map, ARENA_SIZE + LOADER_KEPT)
    if arena.fd >= 0:
        c_close(arena.fd)
    arena.map = NULL
    for i in range(SIZES):
        free(arena.stack[i])
        arena.stack[i] = NULL
    arena.fd = -1

cdef int slot_find(int data) noexcept nogil:
    cdef int i
    for i in range(SIZES):
        if data + SLOT_FRAME <= slot_sizes[i] and arena.left[i] > 0:
            arena.left[i] -= 1
            return arena.stack[i][arena.left[i]]
    for i in range(NHUGE):
        if data + SLOT_FRAME > BIG and not arena.huge[i]:
            arena.huge[i] = True
            return SLOTS + i
    return -1

cdef int slot_take(int data) noexcept nogil:
    """Return a slot with room for ``data`` bytes after its frame, or -1."""
    cdef int slot = slot_find(data)
    if slot < 0:
        slots_reclaim()
        slot = slot_find(data)
    return slot

cdef void slots_reclaim() noexcept nogil:
    """No slot is left: take them from tracees that wait in another call, after the one that was rewritten."""
    cdef int i, k
    cdef uint64_t ip = 0
    cdef Tracee *t
    for i in range(TID_TOP):
        for k in range(TID_LEAF if tracees.leaf[i] != NULL else 0):
            t = tracees.leaf[i][k]
            if t != NULL and t.call.slot >= 0 and t.call.afters == 0 and waits_at(t.tid, &ip) and stub_place(t, ip) == STUB_NONE:
                slot_free(t.call.slot)
                t.call.slot = -1

cdef bint waits_at(int tid, uint64_t *ip) noexcept nogil:
    """Find out where a task waits in a call; False: it runs, or nobody knows."""
    cdef char name[40]
    cdef char text[256]
    cdef const char *p
    cdef ssize_t n
    cdef int fd
    snprintf(name, sizeof(name), b"/proc/%d/syscall", tid)
    fd = c_open(name, O_RDONLY | O_CLOEXEC)
    if fd < 0:
        return False
    n = c_read(fd, text, sizeof(text) - 1)
    c_close(fd)
    text[n if n > 0 else 0] = 0
    p = strrchr(text, c' ')
    if p == NULL or text[0] == c'r':
        return False
    ip[0] = strtoul(p + 1, NULL, 16)
    return True

cdef void slot_free(int slot) noexcept nogil:
    cdef int i, first = 0
    if slot >= SLOTS:
        arena.huge[slot - SLOTS] = False
        return
    for i in range(SIZES):
        if slot < first + slot_counts[i]:
            arena.stack[i][arena.left[i]] = slot
            arena.left[i] += 1
            return
        first += slot_counts[i]

cdef inline uint64_t slot_offset(int slot) noexcept nogil:
    cdef int i
    cdef uint64_t at = 0
    for i in range(SIZES):
        if slot < slot_counts[i]:
            return at + <uint64_t>slot * slot_sizes[i]
        slot -= slot_counts[i]
        at += <uint64_t>slot_counts[i] * slot_sizes[i]
    return at + <uint64_t>slot * HUGE

cdef inline int slot_room(int slot) noexcept nogil:
    cdef int i
    for i in range(SIZES):
        if slot < slot_counts[i]:
            return slot_sizes[i] - SLOT_FRAME
        slot -= slot_counts[i]
    return HUGE - SLOT_FRAME

cdef int slot_at(uint64_t data) noexcept nogil:
    """Return the slot that a data address in the arena belongs to, -1 if none."""
    return slot_of(data - SLOT_FRAME - <uint64_t>LOADER_ARENA)

cdef int slot_of(uint64_t offset) noexcept nogil:
    cdef int i, first = 0
    if offset >= SLOTS_SIZE:
        return -1
    for i in range(SIZES):
        if offset < <uint64_t>slot_counts[i] * slot_sizes[i]:
            return first + <int>(offset // slot_sizes[i])
        offset -= <uint64_t>slot_counts[i] * slot_sizes[i]
        first += slot_counts[i]
    return first + <int>(offset // HUGE)

# -- editing a call ------------------------------------------------------------------------------------------------------

cdef struct Edit:
    int n
    int arg[6]
    uint64_t value[6]        # new register value, or offset into data
    bint pointer[6]
    int len
    bint opens               # the call becomes openat2, which is made again where it meets a link (opening.pxi)
    bint faults              # an argument points nowhere
    uint64_t frame[8]        # directly before data: written to the slot in one piece
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
    """Point an argument where nobody can map anything: what we cannot read, the kernel must not read either.

    The guest's own pointer would be read by the kernel after all where only we may not (memfd_secret(2)), or once another thread has
    changed what lies there.  Answering EFAULT at once would come before the errors that the kernel finds first.
    """
    edit_value(arg, NOWHERE)
    edit.faults = True

cdef int edit_reserve(Tracee *t) noexcept nogil:
    """Take the slot for the edit; return 0 or -ENOMEM.  edit_address() is valid afterwards."""
    if t.call.slot < 0:
        t.call.slot = slot_take(edit.len + (CODE_MOST + 16 if uses_code(t) else 0))
        if t.call.slot < 0:
            return -ENOMEM
    return 0

cdef inline uint64_t edit_address(Tracee *t, int offset) noexcept nogil:
    return arena_base(t) + slot_offset(t.call.slot) + SLOT_FRAME + offset

cdef int edit_commit(Tracee *t) noexcept nogil:
    """Write the slot and point the registers at it, so that the call runs with the new arguments and returns through the stub.

    The first pointer argument decides which stub restores the registers; its bytes are the first in the slot.
    """
    cdef uint64_t args[6]
    cdef uint64_t data
    cdef int i, k = -1
    if edit.n == 0:
        return 0
    stats.rewritten += 1
    if uses_code(t):
        return commit_code(t)
    if edit_reserve(t) < 0:
        return -ENOMEM
    for i in range(6):
        edit.frame[i] = t.call.args[i]
    edit.frame[6] = 0
    edit.frame[7] = t.call.ip
    stub_note(t)
    data = edit_address(t, 0)
    if arena_shared(t):
        memcpy(arena.map + slot_offset(t.call.slot), edit.frame, SLOT_FRAME + edit.len)
    elif mem_write(t.tid, data - SLOT_FRAME, edit.frame, SLOT_FRAME + edit.len) < 0:
        return -EFAULT
    if edit.opens:
        return commit_open(t, data)
    for i in range(edit.n):
        if edit.pointer[i]:
            k = edit.arg[i]
            break
    memcpy(args, t.call.args, sizeof(args))
    return reg_change(t, args, edit_arguments(args, data), stub_for(t, k))

cdef unsigned int edit_arguments(uint64_t *args, uint64_t data) noexcept nogil:
    """Put the edited arguments among the guest's own; return a bit for each of them."""
    cdef unsigned int which = 0
    cdef int i
    for i in range(edit.n):
        args[edit.arg[i]] = edit.value[i] + (data if edit.pointer[i] else 0)
        which |= 1 << edit.arg[i]
    return which

cdef int commit_fault(Tracee *t) noexcept nogil:
    """Let the call run with an argument that points nowhere, and no slot to come back through; return what to do."""
    cdef uint64_t args[6]
    if t.call.compat and runs_wide(t) != 0:
        # (a program of 64 bits may have mapped the last page of 32)
        return answer(t, -EFAULT)
    memcpy(after(t, end_fault, AFTER_ANY), t.call.full, sizeof(t.call.full))
    memcpy(args, t.call.args, sizeof(args))
    return R_EXIT if reg_change(t, args, edit_arguments(args, 0), 0) == 0 else R_DEAD

cdef int commit_open(Tracee *t, uint64_t data) noexcept nogil:
    """Point the registers at an openat2 of the slot's path and open_how."""
    cdef uint64_t args[6]
    memcpy(args, t.call.args, sizeof(args))
    edit_arguments(args, data)
    return reg_set_call(t, NR_openat2, args, stub_for_open(t))

cdef void call_release(Tracee *t) noexcept nogil:
    """Give back what the last call of the tracee held: it is over, or never will be.  The next one begins with nothing of it."""
    hold_drop(t)
    after_drop(t)
    if t.call.moves:
        t.call.moves = False
        movers_change(-1)
    if t.call.slot >= 0:
        slot_free(t.call.slot)
        t.call.slot = -1
    if t.call.plan != NULL:
        plan_free(t.call.plan)
        t.call.plan = NULL
    t.call.direct = t.call.tries = 0
    t.call.clone_flags = 0
    t.call.answered = False
