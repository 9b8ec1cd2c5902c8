# Code in a slot, by which a rewritten call returns if it has no stub to return through: a 32-bit call, or one from a 32-bit program.
#
# int 0x80 and the entries of the 32-bit vdso give back every register but eax, so there is no register to return through and no
# shared stub: each slot begins with its own code instead of a frame of data.  It is the call's instruction (a call that a signal
# interrupted is restarted there), a mov of a constant into each register that was changed, and a jump back.  The kernel has put the
# instruction pointer of a vdso call on its landing place, after its own int 0x80, so both entries look alike here.
#
# 32-bit guests have this arena only, a 64-bit guest gets it with its first such call (lowmap.pxi).  Whatever has no other arena uses
# it, also `syscall` from 64-bit code in a 32-bit program.

cdef inline bint has_arena(Tracee *t) noexcept nogil:
    return t.mm.arena or t.mm.low != 0

cdef inline bint uses_code(Tracee *t) noexcept nogil:
    """Say whether the call at hand returns through code in its slot, not through a stub."""
    return t.call.compat or not t.mm.arena

cdef inline uint64_t arena_base(Tracee *t) noexcept nogil:
    return t.mm.low if uses_code(t) else <uint64_t>LOADER_ARENA

cdef inline bint ip_in_code(Tracee *t, uint64_t ip) noexcept nogil:
    return t.mm.low != 0 and ip - t.mm.low < ARENA_SIZE

cdef inline uint64_t call_again(Tracee *t) noexcept nogil:
    """Return the address of the instruction that makes the rewritten call once more (its pointer argument is the second)."""
    return edit_address(t, 0) - SLOT_FRAME if uses_code(t) else stub_start(t, 1)

cdef bint code_changes(Tracee *t, int which) noexcept nogil:
    """Say whether the edit puts something else into the register of an argument."""
    cdef int i
    for i in range(edit.n):
        if edit.arg[i] == which:
            return True
    return t.call.compat and t.call.direct != 0

cdef int code_restore(Tracee *t, uint8_t *code, uint64_t address, bint wide) noexcept nogil:
    """Write the code after the call: the changed registers, and the way back.  Returns its length, at most CODE_MOST."""
    cdef int i, n = 0
    for i in range(6):
        if code_changes(t, i):
            n += code_mov(code + n, i, t.call.compat, t.call.full[i], wide)
    return n + code_jump(code + n, address + n, t.call.ip, wide)

cdef int code_make(Tracee *t, uint64_t data, bint wide) noexcept nogil:
    """Write the code of the edited call into the frame; what has no room there lies after the data."""
    cdef uint8_t text[CODE_MOST]
    cdef uint8_t *frame = <uint8_t *>edit.frame
    cdef int n, at
    memset(frame, CODE_FILL, SLOT_FRAME)
    code_enter(frame, t.call.compat)
    n = code_restore(t, text, data - SLOT_FRAME + SYSCALL_SIZE, wide)
    if n <= SLOT_FRAME - SYSCALL_SIZE:
        memcpy(frame + SYSCALL_SIZE, text, n)
        return 0
    at = (edit.len + 15) & ~15
    if at + n > slot_room(t.call.slot):
        return -ENOMEM
    code_jump(frame + SYSCALL_SIZE, data - SLOT_FRAME + SYSCALL_SIZE, data + at, wide)
    n = code_restore(t, text, data + at, wide)
    memcpy(edit.data + at, text, n)
    edit.len = at + n
    return 0

cdef int commit_code(Tracee *t) noexcept nogil:
    """edit_commit for a call that returns through its slot."""
    cdef uint64_t args[6]
    cdef uint64_t data
    cdef unsigned int which = 0
    cdef int n, wide = runs_wide(t) if t.mm.low != 0 else -1
    if wide < 0:
        return -EFAULT
    if edit_reserve(t) < 0:
        return -ENOMEM
    data = edit_address(t, 0)
    stub_note(t)
    n = code_make(t, data, wide)
    if n < 0:
        return n
    if arena_shared(t):
        memcpy(arena.map + slot_offset(t.call.slot), edit.frame, SLOT_FRAME + edit.len)
    elif mem_write(t.tid, data - SLOT_FRAME, edit.frame, SLOT_FRAME + edit.len) < 0:
        return -EFAULT
    memcpy(args, t.call.args, sizeof(args))
    if t.call.compat and t.call.direct != 0:
        # the arguments of a socketcall lay in memory: make the separate call that has them in registers
        if reg_set_nr(t, t.call.direct) < 0:
            return -ESRCH
        which = ALL_ARGUMENTS
    which |= edit_arguments(args, data)
    return reg_change(t, args, which, data - SLOT_FRAME + SYSCALL_SIZE)

cdef int code_call(Tracee *t) noexcept nogil:
    """A call of the loader, or from a slot; returns what to do, or -1: it is a call like any other."""
    if t.mm.loading:
        return loader_call(t)
    if not ip_in_code(t, t.call.ip):
        return -1
    if t.call.nr == COMPAT_NR_munmap and t.call.ip == t.mm.low + SYSCALL_SIZE:
        return as_is(b"the loader's last call, munmap, from the code at the start of the arena")
    if not slot_is_mine(t):
        # nothing that we wrote for this tracee: its path would go to the host as it is
        return answer(t, -EINTR)
    return stub_again(t)

cdef inline bint ip_in_loader32(uint64_t ip) noexcept nogil:
    return LOADER32_TEXT <= ip - loader32_shift < LOADER32_INFO

cdef int loader_call(Tracee *t) noexcept nogil:
    """The 32-bit loader is at work, nothing of the guest runs; its last call tells where the kernel put the arena."""
    if not ip_in_loader32(t.call.ip):
        # it has left without that: a filter must have refused it
        pyroot_lose(ENOSYS, -1, b"the report of the 32-bit loader")
        return answer(t, -EPERM)
    if t.call.nr != LOADER32_REPORT or t.call.args[1] != 0:
        return as_is(b"the loader's")
    t.mm.low = t.call.args[0]
    t.mm.loading = False
    call_release(t)
    return answer(t, 0)

cdef uint64_t loader32_shift = 0     # of its addresses
