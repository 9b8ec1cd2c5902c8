# Out of the gate: what becomes of a guest that a signal or a tracer finds in there.
#
# It is put in front of its call, or behind it once that is made; the place in the gate says which (pyroot/guest/gate.h).

cdef inline bint in_gate(uint64_t ip) noexcept nogil:
    return LOADER_GATE <= ip < LOADER_GATE + LOADER_GATE_SIZE

cdef inline bint in_detours(Tracee *t, uint64_t ip) noexcept nogil:
    return t.mm != NULL and t.mm.gate != NULL and ip - t.mm.gate.page < DETOURS_SIZE and t.mm.gate.page != 0

cdef uint64_t gate_back(Tracee *t, uint64_t detour, uint64_t *number) noexcept nogil:
    """Return the address of the `syscall` that a detour belongs to, and the number of its call; 0 if there is none."""
    cdef uint8_t code[DETOUR_SIZE]
    if mem_read(t.tid, detour, code, sizeof(code)) < 0:
        return 0
    number[0] = number_at(code + DETOUR_NUMBER)
    return detour + DETOUR_BACK + 4 + <int64_t><int32_t>number_at(code + DETOUR_BACK)

cdef int gate_leave(Tracee *t) noexcept nogil:
    """Take a stopped tracee out of the gate; 1 if it was in there, in front of its call or behind it, 0 if not, -ESRCH."""
    cdef user_regs_struct regs
    cdef gate_frame frame
    cdef uint64_t ip = 0, detour, back, number = 0
    cdef int place
    if t.mm == NULL or t.mm.gate == NULL or t.mm.gate.count == 0:
        return 0
    if t.mm.gate.page == 0:
        t.mm.gate.page = gate_page(t)
    if reg_ip(t, &ip) < 0:
        return -ESRCH
    if not in_gate(ip) and not in_detours(t, ip):
        return 0
    if c_ptrace(PTRACE_GETREGS, t.tid, NULL, &regs) < 0:
        return -ESRCH
    if in_detours(t, ip):
        detour = ip - (ip - t.mm.gate.page - DETOUR_FIRST) % DETOUR_SIZE
        return gate_resume(t, &regs, detour, <int>(ip - detour))
    place = <int>(ip - LOADER_GATE)
    if place < GATE_SAVED or GATE_PASS <= place < GATE_TEXT:
        # nothing has changed yet but rsp
        if GATE_ENTER < place < GATE_SAVED:
            regs.rsp += RED_ZONE + GATE_FRAME + (8 if place == GATE_PUSHED else 0)
        return gate_before(t, &regs, regs.rcx if place <= GATE_PASS else regs.rcx - DETOUR_PLAIN)
    if place == GATE_CLEARED or place == GATE_LAST:
        if place == GATE_CLEARED:
            regs.rsp += RED_ZONE + GATE_FRAME
        regs.rip = regs.rcx
        return gate_set(t, &regs)
    if gate_frame_find(t, regs.rsp, &frame) < 0:
        # (never: a frame is there from GATE_SAVED to GATE_CLEARED)
        return 0
    gate_registers(&regs, &frame)
    back = gate_back(t, frame.detour, &number)
    if place < GATE_CALLED or place >= GATE_TEXT or (place < GATE_TAIL and (frame.check or (<int64_t>regs.rax == -ELOOP and frame.retry))):
        # (a call that only looks may be made again)
        return gate_before(t, &regs, frame.detour)
    regs.rip = back + 2 if place < GATE_TAIL else frame.target
    regs.rcx = regs.rip
    regs.r11 = frame.flags
    if place < GATE_TAIL and <int64_t>regs.orig_rax >= 0:
        # the kernel restarts the call by this number, at the site's own instruction
        regs.orig_rax = number
    return gate_set(t, &regs)

cdef void gate_registers(user_regs_struct *regs, const gate_frame *frame) noexcept nogil:
    regs.rsp = frame.self + GATE_FRAME + RED_ZONE
    regs.rdi, regs.rsi, regs.rdx = frame.regs[0], frame.regs[1], frame.regs[2]
    regs.r10, regs.r8, regs.r9 = frame.regs[3], frame.regs[4], frame.regs[5]
    regs.rbx, regs.rbp, regs.r12 = frame.kept[0], frame.kept[1], frame.kept[2]
    regs.r13, regs.r14, regs.r15 = frame.kept[3], frame.kept[4], frame.kept[5]
    regs.eflags = frame.flags

cdef int gate_before(Tracee *t, user_regs_struct *regs, uint64_t detour) noexcept nogil:
    """Put the tracee in front of its site's `syscall`: the call has not been made."""
    cdef uint64_t number = 0
    cdef uint64_t back = gate_back(t, detour, &number)
    regs.rip = back
    regs.rax = number
    regs.orig_rax = <unsigned long>-1
    return gate_set(t, regs) if back != 0 else 0

cdef int gate_resume(Tracee *t, user_regs_struct *regs, uint64_t detour, int place) noexcept nogil:
    """Put a tracee that is in a detour in front of its site's `syscall`, or of what lies between the mov and that."""
    cdef uint8_t between[DETOUR_BETWEEN]
    if place >= DETOUR_BETWEEN or mem_read(t.tid, detour, between, sizeof(between)) < 0 or between[0] == 0x90:
        return gate_before(t, regs, detour)
    if gate_before(t, regs, detour) != 1:
        return 0
    # (the first of them may be done twice, as long as the second is not done)
    regs.rip -= DETOUR_BETWEEN
    return gate_set(t, regs)

cdef int gate_set(Tracee *t, user_regs_struct *regs) noexcept nogil:
    return -ESRCH if c_ptrace(PTRACE_SETREGS, t.tid, NULL, regs) < 0 else 1

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

cdef bint gate_fault(Tracee *t, int sig) noexcept nogil:
    """Say whether a signal is the gate's own fault, at a pointer of the guest's or the end of its stack."""
    cdef uint64_t ip = 0
    cdef Info info
    if (sig != SIGSEGV and sig != SIGBUS) or t.mm == NULL or t.mm.gate == NULL or t.mm.gate.count == 0:
        return False
    if reg_ip(t, &ip) < 0 or not in_gate(ip) or c_ptrace(PTRACE_GETSIGINFO, t.tid, NULL, &info) < 0:
        return False
    return info.code > 0 and gate_leave(t) == 1

cdef bint stub_will_repeat(Tracee *t, uint64_t ip, int64_t result) noexcept nogil:
    """Say whether the stub is about to make an open again, because it has met a link.  A tracer is shown the call as it ended."""
    return result == -ELOOP and not t.special and ip - <uint64_t>LOADER_STUBS - LOADER_STUB_OPEN <= LOADER_STUB_OPEN_SEEN

cdef int stub_leave(Tracee *t) noexcept nogil:
    """The tracee stops in a stub for a signal, or for a tracer: put the guest's own registers back; 0 or -ESRCH."""
    cdef user_regs_struct regs
    cdef uint64_t *f = t.frame
    cdef uint64_t ip = 0
    cdef After *stays
    cdef int place = gate_leave(t)
    if place != 0:
        return 0 if place > 0 else place
    if t.slot < 0:
        return 0
    if reg_ip(t, &ip) < 0:
        return -ESRCH
    place = stub_place(t, ip)
    if place == STUB_NONE:
        return 0
    if c_ptrace(PTRACE_GETREGS, t.tid, NULL, &regs) < 0:
        return -ESRCH
    if place == STUB_BEHIND and stub_will_repeat(t, ip, <int64_t>regs.rax):
        place = STUB_BEFORE
    regs.rip = f[7]
    if t.compat:
        regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi, regs.rbp = f[0], f[1], f[2], f[3], f[4], f[5]
    else:
        regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9 = f[0], f[1], f[2], f[3], f[4], f[5]
        if place == STUB_BEHIND:
            # where the kernel leaves the address to go on at
            regs.rcx = f[7]
    stays = after_find(t, AFTER_STAYS)
    if stays != NULL and stays.data[0] > 0:
        # some of it is done (messages that are out): that much it is
        regs.rax = stays.data[0]
        regs.orig_rax = <unsigned long>-1
    elif place == STUB_BEFORE:
        regs.rax = f[6]
        regs.rip -= SYSCALL_SIZE
    elif <int64_t>regs.orig_rax >= 0:
        # the kernel restarts the call by this number, and a tracer takes it for the call's
        regs.orig_rax = f[6]
    if stays != NULL:
        after_drop(t)
    return -ESRCH if c_ptrace(PTRACE_SETREGS, t.tid, NULL, &regs) < 0 else 0
