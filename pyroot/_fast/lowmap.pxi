# A second mapping of the arena below 4 GiB, for 64-bit programs that make calls by int 0x80.
#
# Such a call takes 32 bits of each argument, so it cannot point into the arena where 64-bit programs have it.  At the first one that
# stops the tracee is made to call mremap(2), which shows a shared mapping a second time when the old size is 0, and mprotect(2), by
# the `syscall` of a return stub; then the call is made once more.  A signal in between puts everything back first.

cdef enum:
    USER64_CS = 0x33
    INJECTED_NR_MMAP = 9
    INJECTED_NR_MPROTECT = 10
    INJECTED_NR_MREMAP = 25
    # stages
    LOW_BEGUN = 0            # the guest's call is being skipped
    LOW_SKIPPED = 1          # it is over, ours comes next
    LOW_INSIDE = 2           # in ours

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

cdef int inject_call(Tracee *t, int call) noexcept nogil:
    """Make the tracee run one of the calls next, in 64-bit mode, whatever it stopped in."""
    cdef user_regs_struct regs
    regs = t.injected.saved
    regs.orig_rax = <unsigned long>-1
    regs.cs = USER64_CS
    regs.rip = <uint64_t>LOADER_STUBS
    regs.rax = call
    if call == INJECTED_NR_MREMAP:
        # MREMAP_MAYMOVE | MREMAP_FIXED
        regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8 = <uint64_t>LOADER_ARENA, 0, ARENA_SIZE, 3, t.injected.address
    elif call == INJECTED_NR_MPROTECT:
        regs.rdi, regs.rsi, regs.rdx = t.injected.address, ARENA_SIZE, 1 | 4
    else:
        # MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE
        regs.rdi, regs.rsi, regs.rdx = t.injected.address, ARENA_SIZE, 1 | 2 | 4
        regs.r10, regs.r8, regs.r9 = 0x104022, <unsigned long>-1, 0
    t.injected.call = call
    return -ESRCH if c_ptrace(PTRACE_SETREGS, t.tid, NULL, &regs) < 0 else 0

cdef int call_later(Tracee *t) noexcept nogil:
    """Let the tracee make its call again and again until it can be handled, which is not long."""
    if reg_poke(t, PYROOT_REG_NR, <uint64_t><int64_t>-1) < 0 or reg_poke(t, PYROOT_REG_RESULT, t.number) < 0:
        return R_DEAD
    return R_CONT if reg_set_ip(t, t.ip - 2) == 0 else R_DEAD

cdef int low_begin(Tracee *t) noexcept nogil:
    """The first call by a number of i386 in this address space: get it an arena that such calls reach."""
    cdef uint64_t address
    cdef Tracee *other = tracee_get(t.mm.low_tid)
    if not t.mm.arena:
        return answer(t, -EFAULT)
    if other != NULL and other.mm == t.mm and other.injected != NULL:
        # another thread is at it
        return call_later(t)
    address = low_room(t.tid)
    if address == 0:
        return answer(t, -ENOMEM)
    t.injected = <Injection *>calloc(1, sizeof(Injection))
    if t.injected == NULL:
        return answer(t, -ENOMEM)
    t.injected.address = address
    t.mm.low_tid = t.tid
    if c_ptrace(PTRACE_GETREGS, t.tid, NULL, &t.injected.saved) < 0:
        return R_DEAD
    return R_EXIT if inject_call(t, INJECTED_NR_MREMAP if arena.shared else INJECTED_NR_MMAP) == 0 else R_DEAD

cdef int low_end(Tracee *t, int64_t result) noexcept nogil:
    """Put the registers back: the call is made once more, or has failed."""
    cdef user_regs_struct regs
    cdef bint again = result >= 0
    regs = t.injected.saved
    regs.rax = regs.orig_rax if again else <unsigned long>result
    regs.rip -= 2 if again else 0
    regs.orig_rax = <unsigned long>-1
    free(t.injected)
    t.injected = NULL
    return R_DEAD if c_ptrace(PTRACE_SETREGS, t.tid, NULL, &regs) < 0 else R_CONT

cdef int low_next(Tracee *t) noexcept nogil:
    """An injected call is over: go on with the next one, or with the guest's."""
    cdef int64_t result = 0
    if reg_result(t, &result) < 0:
        return R_DEAD
    if result < 0 and result >= -4095:
        return low_end(t, -ENOMEM)
    if t.injected.call == INJECTED_NR_MREMAP:
        t.injected.stage = LOW_SKIPPED
        return R_EXIT if inject_call(t, INJECTED_NR_MPROTECT) == 0 else R_DEAD
    t.mm.low = t.injected.address
    return low_end(t, 0)

cdef int low_step(Tracee *t, uint8_t op) noexcept nogil:
    """A stop while injected calls are under way: the end of the guest's skipped one, then begin and end of each of ours."""
    if t.injected.stage == LOW_INSIDE and op == INFO_EXIT:
        return low_next(t)
    if t.injected.stage == LOW_BEGUN:
        t.injected.stage = LOW_SKIPPED
    elif t.injected.stage == LOW_SKIPPED and op == INFO_ENTRY:
        t.injected.stage = LOW_INSIDE
    return R_EXIT
