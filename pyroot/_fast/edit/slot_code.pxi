# Calls by the numbers of i386: registers, and the code by which a rewritten one returns.
#
# int 0x80 and the entries of the 32-bit vdso give back every register but eax, so there is no register to return through and no
# shared stub: each slot begins with code of its own instead of a frame of data.  It is the call's instruction (a call that a signal
# interrupted is restarted there), a mov of a constant into each register that was changed, and a jump back.  The kernel has put the
# instruction pointer of a vdso call on its landing place, behind an int 0x80 of its own, so both entries look alike here.
#
# 32-bit guests have this arena only, a 64-bit guest gets it with its first such call (lowmap.pxi).  Whatever has no other arena uses
# it, also `syscall` from 64-bit code in a 32-bit program.

cdef enum:
    USER32_CS = 0x23
    CODE_MOST = 80           # six registers of 64 bits and a far jump

cdef inline bint has_arena(Tracee *t) noexcept nogil:
    return t.mm.arena or t.mm.low != 0

cdef inline bint uses_code(Tracee *t) noexcept nogil:
    """Say whether the call at hand returns through code in its slot, not through a stub."""
    return t.compat or not t.mm.arena

cdef inline uint64_t arena_base(Tracee *t) noexcept nogil:
    return t.mm.low if uses_code(t) else <uint64_t>LOADER_ARENA

cdef inline bint ip_in_code(Tracee *t, uint64_t ip) noexcept nogil:
    return t.mm.low != 0 and ip - t.mm.low < ARENA_SIZE

cdef inline uint64_t call_again(Tracee *t) noexcept nogil:
    """Return the address of the instruction that makes the rewritten call once more (its pointer argument is the second)."""
    return edit_address(t, 0) - SLOT_FRAME if uses_code(t) else <uint64_t>LOADER_STUBS + LOADER_STUB_SIZE

cdef inline uint64_t call_number(Tracee *t, uint64_t here, uint64_t i386) noexcept nogil:
    return i386 if t.compat else here

cdef int code_mov(uint8_t *to, int register, uint64_t value, bint wide) noexcept nogil:
    """Encode mov $value, %register; return how many bytes it takes.  A 32-bit mov clears the upper half."""
    cdef int n = 0
    cdef uint32_t low = <uint32_t>value
    cdef bint long_form = wide and value >> 32 != 0
    if long_form or register > 7:
        to[0] = 0x40 | (8 if long_form else 0) | (1 if register > 7 else 0)
        n = 1
    to[n] = 0xb8 | (register & 7)
    n += 1
    if long_form:
        memcpy(to + n, &value, 8)
        return n + 8
    memcpy(to + n, &low, 4)
    return n + 4

cdef int code_jump(uint8_t *to, uint64_t at, uint64_t target, bint wide) noexcept nogil:
    """Encode a jump from address ``at``."""
    cdef int64_t distance = <int64_t>(target - (at + 5))
    cdef int32_t near = <int32_t>distance
    if not wide or distance == near:
        to[0] = 0xe9
        memcpy(to + 1, &near, 4)
        return 5
    # jmp *0(%rip)
    to[0] = 0xff
    to[1] = 0x25
    memset(to + 2, 0, 4)
    memcpy(to + 6, &target, 8)
    return 14

cdef bint code_changes(Tracee *t, int which) noexcept nogil:
    """Say whether the edit puts something else into the register of an argument."""
    cdef int i
    for i in range(edit.n):
        if edit.arg[i] == which:
            return True
    return t.compat and t.direct != 0

cdef int code_restore(Tracee *t, uint8_t *code, uint64_t address, bint wide) noexcept nogil:
    """Write the code behind the call: the changed registers, and the way back.  Returns its length, at most CODE_MOST."""
    cdef int i, n = 0
    for i in range(6):
        if code_changes(t, i):
            n += code_mov(code + n, pyroot_reg_code_i386[i] if t.compat else pyroot_reg_code[i], t.full[i], wide)
    return n + code_jump(code + n, address + n, t.ip, wide)

cdef int code_make(Tracee *t, uint64_t data, bint wide) noexcept nogil:
    """Write the code of the edited call into the frame; what has no room there lies behind the data."""
    cdef uint8_t text[CODE_MOST]
    cdef uint8_t *frame = <uint8_t *>edit.frame
    cdef int n, at
    memset(frame, 0xcc, SLOT_FRAME)
    frame[0] = 0xcd if t.compat else 0x0f
    frame[1] = 0x80 if t.compat else 0x05
    n = code_restore(t, text, data - SLOT_FRAME + 2, wide)
    if n <= SLOT_FRAME - 2:
        memcpy(frame + 2, text, n)
        return 0
    at = (edit.len + 15) & ~15
    if at + n > slot_room(t.slot):
        return -ENOMEM
    code_jump(frame + 2, data - SLOT_FRAME + 2, data + at, wide)
    n = code_restore(t, text, data + at, wide)
    memcpy(edit.data + at, text, n)
    edit.len = at + n
    return 0

cdef int commit_code(Tracee *t) noexcept nogil:
    """edit_commit for a call that returns through its slot."""
    cdef uint64_t cs = 0, data, value
    cdef int i, n
    if t.mm.low == 0 or reg_peek(t, PYROOT_REG_CS, &cs) < 0:
        return -EFAULT
    if edit_reserve(t) < 0:
        return -ENOMEM
    data = edit_address(t, 0)
    stub_note(t)
    n = code_make(t, data, cs != USER32_CS)
    if n < 0:
        return n
    if arena_shared(t):
        memcpy(arena.map + slot_offset(t.slot), edit.frame, SLOT_FRAME + edit.len)
    elif mem_write(t.tid, data - SLOT_FRAME, edit.frame, SLOT_FRAME + edit.len) < 0:
        return -EFAULT
    if t.compat and t.direct != 0:
        # the arguments of a socketcall lay in memory: make the call of its own that has them in registers
        if reg_set_nr(t, t.direct) < 0:
            return -ESRCH
        for i in range(6):
            if reg_set_arg(t, i, t.args[i]) < 0:
                return -ESRCH
    for i in range(edit.n):
        value = edit.value[i] + (data if edit.pointer[i] else 0)
        if reg_set_arg(t, edit.arg[i], value) < 0:
            return -ESRCH
    return reg_set_ip(t, data - SLOT_FRAME + 2)

cdef int code_call(Tracee *t) noexcept nogil:
    """A call of the loader, or from a slot; returns what to do, or -1: it is a call like any other."""
    if t.mm.loading:
        return loader_call(t)
    if not ip_in_code(t, t.ip):
        return -1
    if t.nr == 91 and t.ip == t.mm.low + 2:
        return as_is(b"the loader's last call, munmap, from the code at the start of the arena")
    if not slot_is_mine(t):
        # nothing that we wrote for this tracee: its path would go to the host as it is
        return answer(t, -EINTR)
    return stub_again(t)

cdef inline bint ip_in_loader32(uint64_t ip) noexcept nogil:
    return LOADER32_TEXT <= ip - loader32_shift < LOADER32_INFO

cdef int loader_call(Tracee *t) noexcept nogil:
    """The 32-bit loader is at work, nothing of the guest runs; its last call tells where the kernel put the arena."""
    if not ip_in_loader32(t.ip):
        # it has left without that: a filter must have refused it
        pyroot_lose(ENOSYS, -1, b"the report of the 32-bit loader")
        return answer(t, -EPERM)
    if t.nr != LOADER32_REPORT or t.args[1] != 0:
        return as_is(b"the loader's")
    t.mm.low = t.args[0]
    t.mm.loading = False
    tracee_release_call(t)
    return answer(t, 0)

cdef uint64_t loader32_shift = 0     # of its addresses: nothing of it stays, so two places do for any nesting
