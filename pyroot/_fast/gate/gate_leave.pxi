# Out of the gate: what becomes of a guest that a signal or a tracer finds in there.
#
# It is put before its call, or after it once that is made; the place in the gate says which (pyroot/guest/gate.h).

cdef inline bint in_gate(uint64_t ip) noexcept nogil:
    return LOADER_GATE <= ip < LOADER_GATE + LOADER_GATE_SIZE

cdef inline bint in_detours(Tracee *t, uint64_t ip) noexcept nogil:
    return t.mm != NULL and t.mm.gate != NULL and ip - t.mm.gate.page < DETOURS_SIZE and t.mm.gate.page != 0

cdef int gate_leave(Tracee *t) noexcept nogil:
    """Take a stopped tracee out of the gate; 1 if it was in there, before its call or after it, 0 if not, -ESRCH."""
    cdef Registers regs
    cdef uint64_t ip = 0, detour
    if t.mm == NULL or t.mm.gate == NULL or t.mm.gate.count == 0:
        return 0
    if t.mm.gate.page == 0:
        t.mm.gate.page = gate_page(t)
    if reg_ip(t, &ip) < 0:
        return -ESRCH
    if not in_gate(ip) and not in_detours(t, ip):
        return 0
    if regs_get(t, &regs) < 0:
        return -ESRCH
    if in_detours(t, ip):
        detour = ip - (ip - t.mm.gate.page - DETOUR_FIRST) % DETOUR_SIZE
        return gate_resume(t, &regs, detour, <int>(ip - detour))
    return gate_out(t, &regs, <int>(ip - LOADER_GATE))

cdef bint gate_fault(Tracee *t, int sig) noexcept nogil:
    """Say whether a signal is the gate's own fault, at one of the guest's pointers or the end of its stack."""
    cdef uint64_t ip = 0
    cdef Info info
    if (sig != SIGSEGV and sig != SIGBUS) or t.mm == NULL or t.mm.gate == NULL or t.mm.gate.count == 0:
        return False
    if reg_ip(t, &ip) < 0 or not in_gate(ip) or c_ptrace(PTRACE_GETSIGINFO, t.tid, NULL, &info) < 0:
        return False
    return info.code > 0 and gate_leave(t) == 1

cdef bint stub_will_repeat(Tracee *t, uint64_t ip, int64_t result) noexcept nogil:
    """Say whether the stub is about to make an open again, because it has met a link.  A tracer is shown the call as it ended."""
    return result == -ELOOP and not t.ptraces and stub_open_fresh(ip)

cdef int stub_leave(Tracee *t) noexcept nogil:
    """The tracee stops in a stub for a signal, or for a tracer: put the guest's own registers back; 0 or -ESRCH."""
    cdef Registers regs
    cdef uint64_t ip = 0
    cdef After *stays
    cdef int place = gate_leave(t)
    if place != 0:
        return 0 if place > 0 else place
    if t.call.slot < 0:
        return 0
    if reg_ip(t, &ip) < 0:
        return -ESRCH
    place = stub_place(t, ip)
    if place == STUB_NONE:
        return 0
    if regs_get(t, &regs) < 0:
        return -ESRCH
    if place == STUB_BEHIND and stub_will_repeat(t, ip, regs_result(&regs)):
        place = STUB_BEFORE
    regs_restore(&regs, t.call.frame, t.call.compat, place == STUB_BEHIND)
    stays = after_find(t, AFTER_STAYS)
    if stays != NULL and stays.data[0] > 0:
        # some of it is done (messages that are out): that much it is
        regs_return(&regs, stays.data[0])
    elif place == STUB_BEFORE:
        regs_repeat(&regs, t.call.frame[6])
    else:
        # the kernel restarts the call by this number, and a tracer takes it for the call's
        regs_renumber(&regs, t.call.frame[6])
    if stays != NULL:
        after_drop(t)
    return regs_set(t, &regs)
