# The gate on x86_64: the form of a site, and the registers of a guest that is taken out of it (pyroot/guest/gate-x86_64.S, gate.h).

cdef enum:
    GATE_MOV = 5             # bytes of mov $NUMBER, %eax
    SITE_SIZE = GATE_MOV + SYSCALL_SIZE
    SITE_ROOM = 32           # more than gate_form looks at
    PLAIN_BEFORE = 6         # what is_plain_site reads before a `syscall` ...
    PLAIN_SIZE = 16          # ... and in all
    SYSCALL_FIRST = 0x0f     # the first byte of a `syscall`

cdef inline uint32_t number_at(const uint8_t *code) noexcept nogil:
    """Read an operand, which may lie anywhere."""
    cdef uint32_t value
    memcpy(&value, code, sizeof(value))
    return value

cdef int site_form(Tracee *t, uint8_t *code) noexcept nogil:
    """Read the site of the call at hand; return what gate_form says of it, or -1 if its number is another one."""
    cdef uint8_t found[SITE_ROOM]
    cdef int between, start
    if mem_read(t.tid, t.call.ip - 16, found, 16) < 0 or found[14] != 0x0f or found[15] != 0x05:
        return -1
    between = 0 if gate_form(found + 1 + DETOUR_BETWEEN) == 0 else gate_form(found + 1)
    start = 1 + DETOUR_BETWEEN - between
    # (after a prefix it is a mov to %r8d)
    if between < 0 or number_at(found + start + 1) != t.call.number or found[start - 1] & 0xf9 == 0x41:
        return -1
    memcpy(code, found + start, 16 - start)
    return between

cdef bint is_plain_site(const uint8_t *code, uint64_t size, uint64_t at) noexcept nogil:
    """Say whether a `syscall` has a mov of its number before it and, after it, a comparison of its result with the errors."""
    cdef const uint8_t *after = code + at + SYSCALL_SIZE
    if at < PLAIN_BEFORE or size < at + PLAIN_SIZE - PLAIN_BEFORE:
        return False
    # (after a prefix it is a mov to %r8d)
    if code[at] != 0x0f or code[at + 1] != 0x05 or code[at - GATE_MOV] != 0xb8 or code[at - GATE_MOV - 1] & 0xf9 == 0x41:
        return False
    # cmp $-4096 or $-4095, of %rax or %eax
    if after[0] == 0x48:
        after += 1
    return after[0] == 0x3d and after[1] <= 1 and after[2] == 0xf0 and after[3] == 0xff and after[4] == 0xff

# -- the way out -----------------------------------------------------------------------------------------------------------------

cdef uint64_t gate_back(Tracee *t, uint64_t detour, uint64_t *number) noexcept nogil:
    """Return the address of the `syscall` that a detour belongs to, and the number of its call; 0 if there is none."""
    cdef uint8_t code[DETOUR_SIZE]
    if mem_read(t.tid, detour, code, sizeof(code)) < 0:
        return 0
    number[0] = number_at(code + DETOUR_NUMBER)
    return detour + DETOUR_BACK + 4 + <int64_t><int32_t>number_at(code + DETOUR_BACK)

cdef int gate_out(Tracee *t, Registers *regs, int place) noexcept nogil:
    """Take a stopped tracee out of the gate; 1, 0 if it is not in the gate, or -ESRCH."""
    cdef user_regs_struct *cpu = &regs.cpu
    cdef gate_frame frame
    cdef uint64_t back, number = 0
    if place < GATE_SAVED or GATE_PASS <= place < GATE_TEXT:
        # nothing has changed yet but rsp
        if GATE_ENTER < place < GATE_SAVED:
            cpu.rsp += RED_ZONE + GATE_FRAME + (8 if place == GATE_PUSHED else 0)
        return gate_before(t, regs, cpu.rcx if place <= GATE_PASS else cpu.rcx - DETOUR_PLAIN)
    if place == GATE_CLEARED or place == GATE_LAST:
        if place == GATE_CLEARED:
            cpu.rsp += RED_ZONE + GATE_FRAME
        cpu.rip = cpu.rcx
        return gate_set(t, regs)
    if gate_frame_find(t, cpu.rsp, &frame) < 0:
        # (never: a frame is there from GATE_SAVED to GATE_CLEARED)
        return 0
    gate_registers(cpu, &frame)
    back = gate_back(t, frame.detour, &number)
    if place < GATE_CALLED or place >= GATE_TEXT or (place < GATE_TAIL and (frame.check or gate_repeats(&frame, <int64_t>cpu.rax))):
        # (a call that only looks may be made again)
        return gate_before(t, regs, frame.detour)
    cpu.rip = back + SYSCALL_SIZE if place < GATE_TAIL else frame.target
    cpu.rcx = cpu.rip
    cpu.r11 = frame.flags
    if place < GATE_TAIL:
        # the kernel restarts the call by this number, at the site's own instruction
        regs_renumber(regs, number)
    return gate_set(t, regs)

cdef bint gate_repeats(const gate_frame *frame, int64_t result) noexcept nogil:
    """Say whether a call that ends like this is about to be made again."""
    if result == -ELOOP:
        return frame.retry & GATE_LINKS_MET != 0
    return frame.retry & GATE_CLOSED != 0 and (result == -EACCES or result == -EPERM or result == -ENXIO)

cdef void gate_registers(user_regs_struct *cpu, const gate_frame *frame) noexcept nogil:
    cpu.rsp = frame.self + GATE_FRAME + RED_ZONE
    cpu.rdi, cpu.rsi, cpu.rdx = frame.regs[0], frame.regs[1], frame.regs[2]
    cpu.r10, cpu.r8, cpu.r9 = frame.regs[3], frame.regs[4], frame.regs[5]
    cpu.rbx, cpu.rbp, cpu.r12 = frame.kept[0], frame.kept[1], frame.kept[2]
    cpu.r13, cpu.r14, cpu.r15 = frame.kept[3], frame.kept[4], frame.kept[5]
    cpu.eflags = frame.flags

cdef int gate_before(Tracee *t, Registers *regs, uint64_t detour) noexcept nogil:
    """Put the tracee before its site's `syscall`: the call has not been made."""
    cdef uint64_t number = 0
    cdef uint64_t back = gate_back(t, detour, &number)
    regs.cpu.rip = back
    regs_return(regs, number)
    return gate_set(t, regs) if back != 0 else 0

cdef int gate_resume(Tracee *t, Registers *regs, uint64_t detour, int place) noexcept nogil:
    """Put a tracee that is in a detour before its site's `syscall`, or before what lies between the mov and that."""
    cdef uint8_t between[DETOUR_BETWEEN]
    if place >= DETOUR_BETWEEN or mem_read(t.tid, detour, between, sizeof(between)) < 0 or between[0] == 0x90:
        return gate_before(t, regs, detour)
    if gate_before(t, regs, detour) != 1:
        return 0
    # (both have the same instructions there: those that are done are not done again)
    regs.cpu.rip -= DETOUR_BETWEEN - place
    return gate_set(t, regs)

cdef inline int gate_set(Tracee *t, Registers *regs) noexcept nogil:
    return -ESRCH if regs_set(t, regs) < 0 else 1

cdef int gate_frame_find(Tracee *t, uint64_t sp, gate_frame *frame) noexcept nogil:
    """Find the frame of the call in the gate, above its stack pointer, and take its mark away."""
    cdef uint64_t words[GATE_SCAN_WORDS]
    cdef uint64_t none = 0
    cdef uint64_t size = sizeof(words), first = (sp | 0xfff) + 1 - sp
    cdef int i
    # the stack may begin or end within them: the gate has met its guard page, or there is nothing above
    memset(words, 0, sizeof(words))
    mem_read(t.tid, sp, words, first if first < size else size)
    if first < size:
        mem_read(t.tid, sp + first, <char *>words + first, size - first)
    for i in range(GATE_SCAN_WORDS - 1):
        if words[i] == GATE_FRAME_MAGIC and words[i + 1] == sp + 8 * <uint64_t>i:
            if mem_read(t.tid, sp + 8 * <uint64_t>i, frame, sizeof(gate_frame)) < 0:
                return -1
            return <int>mem_write(t.tid, sp + 8 * <uint64_t>i, &none, 8)
    return -1
