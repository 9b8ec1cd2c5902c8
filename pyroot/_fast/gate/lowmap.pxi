# A second mapping of the arena below 4 GiB, for 64-bit programs that make calls by int 0x80.
#
# Such a call takes 32 bits of each argument, so it cannot point into the arena where 64-bit programs have it.  At the first one that
# stops the tracee is made to open the arena's file, to map it and to close it, by the `syscall` of a return stub; then the call is made
# once more.  (mremap(2) would show the mapping a second time, but not one that is sealed.)  Signals wait meanwhile; one that cannot puts
# everything back first.

cdef enum:
    # stages
    LOW_BEGUN = 0            # the guest's call is being skipped
    LOW_SKIPPED = 1          # it is over, ours comes next
    LOW_INSIDE = 2           # in ours

cdef struct Injection:       # calls that a tracee is made to run
    Registers saved          # the guest's, at its call
    uint64_t address         # where the mapping goes
    int call                 # number of the injected call
    int fd                   # of the tracee: the arena's file, -1 while it is not open
    uint64_t blocked         # the guest's signal mask
    int stage

cdef uint64_t LOW_LIMIT = <uint64_t>0xfff << 20

cdef uint64_t low_room(int tid) noexcept nogil:
    """Find the highest free room for the arena below 4 GiB; 0 if there is none."""
    cdef Text maps
    cdef char name[40]
    cdef char *p
    cdef char *end
    cdef uint64_t start, stop, free_from = 0x10000, top, found = 0, limit = LOW_LIMIT
    memset(&maps, 0, sizeof(maps))
    snprintf(name, sizeof(name), b"/proc/%d/maps", tid)
    if text_file(&maps, name) == 0 and maps.p != NULL:
        p = maps.p
        while free_from < limit:
            start = strtoul(p, &end, 16)
            stop = strtoul(end + 1, &end, 16) if end != p and end[0] == c'-' else 0
            top = start if stop != 0 and start < limit else limit
            if top >= free_from + ARENA_SIZE:
                found = top - ARENA_SIZE
            p = strchr(p, c'\n')
            if p == NULL or stop == 0:
                break
            p += 1
            free_from = stop
    free(maps.p)
    return found

cdef int low_inject(Tracee *t, int call) noexcept nogil:
    """Make the tracee run one of the calls next."""
    cdef uint64_t args[6]
    memset(args, 0, sizeof(args))
    if call == NR_openat:
        args[0], args[1], args[2] = <uint64_t>AT_FDCWD, LOADER_ARENA + slot_offset(t.call.slot) + SLOT_FRAME, O_RDONLY | O_CLOEXEC
    elif call == NR_close:
        args[0] = t.injected.fd
    elif call == NR_mseal:
        args[0], args[1] = t.injected.address, ARENA_SIZE
    elif arena_shared(t):
        # MAP_SHARED, where there was room: MAP_FIXED_NOREPLACE may be refused
        args[0], args[1], args[2], args[3], args[4] = t.injected.address, ARENA_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, t.injected.fd
    else:
        args[0], args[1], args[2] = t.injected.address, ARENA_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC
        args[3], args[4] = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, <uint64_t>-1
    t.injected.call = call
    return call_inject(t, &t.injected.saved, call, args)

cdef int low_begin(Tracee *t) noexcept nogil:
    """The first 32-bit call in this address space: get it an arena that such calls reach."""
    cdef uint64_t address, every = ~<uint64_t>0
    cdef Tracee *other = tracee_get(t.mm.low_tid)
    if not t.mm.arena:
        return answer(t, -EFAULT)
    if other != NULL and other.mm == t.mm and other.injected != NULL:
        # another thread is at it
        return call_later(t)
    address = low_room(t.tid)
    if arena_shared(t) and t.call.slot < 0:
        t.call.slot = slot_take(sizeof(arena.path))
    if address == 0 or (arena_shared(t) and t.call.slot < 0):
        return answer(t, -ENOMEM)
    t.injected = <Injection *>calloc(1, sizeof(Injection))
    if t.injected == NULL:
        return answer(t, -ENOMEM)
    t.injected.address = address
    t.injected.fd = -1
    t.mm.low_tid = t.tid
    if regs_get(t, &t.injected.saved) < 0:
        return R_DEAD
    c_ptrace(PTRACE_GETSIGMASK_, t.tid, <void *>8, &t.injected.blocked)
    c_ptrace(PTRACE_SETSIGMASK_, t.tid, <void *>8, &every)
    if arena_shared(t):
        memcpy(arena.map + slot_offset(t.call.slot) + SLOT_FRAME, arena.path, sizeof(arena.path))
    return R_EXIT if low_inject(t, NR_openat if arena_shared(t) else NR_mmap) == 0 else R_DEAD

cdef int low_end(Tracee *t, int64_t result) noexcept nogil:
    """Put the registers back: the call is made once more, or has failed."""
    cdef Registers regs
    regs = t.injected.saved
    if result >= 0:
        regs_repeat(&regs, regs_number(&regs))
        regs_no_call(&regs)
    else:
        regs_return(&regs, <uint64_t>result)
    c_ptrace(PTRACE_SETSIGMASK_, t.tid, <void *>8, &t.injected.blocked)
    free(t.injected)
    t.injected = NULL
    return R_DEAD if regs_set(t, &regs) < 0 else R_CONT

cdef int low_next(Tracee *t) noexcept nogil:
    """An injected call is over: go on with the next one, or with the guest's."""
    cdef int64_t result = 0
    cdef int next = NR_mseal
    if reg_result(t, &result) < 0:
        return R_DEAD
    if t.injected.call == NR_mseal:
        # (before Linux 6.10 there is none)
        return low_end(t, 0 if t.mm.low != 0 else -ENOMEM)
    if t.injected.call == NR_openat:
        if result < 0:
            return low_end(t, -ENOMEM)
        t.injected.fd = <int>result
        next = NR_mmap
    elif t.injected.call == NR_mmap:
        if result == <int64_t>t.injected.address:
            t.mm.low = t.injected.address
        elif result == -EPERM or result == -ENOSYS:
            pyroot_lose(<int>-result, -1, b"mmap in a guest")
        if t.injected.fd >= 0:
            next = NR_close
    t.injected.stage = LOW_SKIPPED
    return R_EXIT if low_inject(t, next) == 0 else R_DEAD

cdef int low_step(Tracee *t, uint8_t op) noexcept nogil:
    """A stop while injected calls are under way: the end of the guest's skipped one, then begin and end of each of ours."""
    if t.injected.stage == LOW_INSIDE and op == INFO_EXIT:
        return low_next(t)
    if t.injected.stage == LOW_BEGUN:
        t.injected.stage = LOW_SKIPPED
    elif t.injected.stage == LOW_SKIPPED and op == INFO_ENTRY:
        t.injected.stage = LOW_INSIDE
    return R_EXIT
