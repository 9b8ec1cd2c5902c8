# The way back out of a return stub (or of the code in a slot), when something happens before the stub itself has taken it.
#
# A rewritten call runs with our arguments and returns into a stub, which reloads the guest's own.  At a signal the registers are
# therefore put back at once, as if the call had been made at the guest's own instruction: then the kernel restarts it there (or
# lets it fail with EINTR there), the handler sees the guest's own registers, and nothing of the call has to be kept for later.  A
# tracer in the guest sees the same registers, at every stop.

cdef enum:
    STUB_NONE = 0            # the tracee is somewhere else
    STUB_BEFORE = 1          # at the stub's own instruction: the call is about to be made (again)
    STUB_BEHIND = 2          # the call is over, or under way

cdef inline void stub_note(Tracee *t) noexcept nogil:
    """Remember the call that is about to be rewritten."""
    memcpy(t.call.frame, t.call.full, sizeof(t.call.full))
    t.call.frame[6] = t.call.number
    t.call.frame[7] = t.call.ip

cdef int stub_place(Tracee *t, uint64_t ip) noexcept nogil:
    if t.call.slot < 0:
        return STUB_NONE
    if ip_in_stub(ip):
        return STUB_BEFORE if stub_is_before(ip) else STUB_BEHIND
    if ip_in_code(t, ip) and slot_of(ip - t.mm.low) == t.call.slot:
        return STUB_BEFORE if ip == t.mm.low + slot_offset(t.call.slot) else STUB_BEHIND
    return STUB_NONE

cdef bint slot_is_mine(Tracee *t) noexcept nogil:
    """Say whether the call at hand was issued by a stub, or by code, for the slot of the last rewritten call."""
    cdef int arg
    if t.call.slot < 0:
        return False
    if ip_in_code(t, t.call.ip):
        return slot_of(t.call.ip - t.mm.low) == t.call.slot
    arg = stub_pointer(t.call.ip)
    return arg >= 0 and slot_at(t.call.args[arg]) == t.call.slot

cdef int stub_again(Tracee *t) noexcept nogil:
    """A rewritten call is restarted where it was made, without a signal: make it the guest's own again and return -1, so that it
    is translated anew; or return what to do."""
    cdef unsigned int i, which = 0
    set_opening_again(ip_in_stub(t.call.ip) and stub_opens(t.call.ip))
    if after_find(t, AFTER_STAYS) != NULL and t.call.nr == call_number(t, NR_sendmsg, COMPAT_NR_sendmsg):
        return R_EXIT
    for i in range(6):
        if t.call.full[i] != t.call.frame[i]:
            which |= 1 << i
        t.call.full[i] = t.call.frame[i]
        t.call.args[i] = <uint32_t>t.call.frame[i] if t.call.compat else t.call.frame[i]
    if t.call.nr != t.call.frame[6] and reg_set_nr(t, t.call.frame[6]) < 0:
        return R_DEAD
    t.call.nr = t.call.frame[6]
    t.call.ip = t.call.frame[7]
    return R_DEAD if reg_change(t, t.call.frame, which, t.call.ip) < 0 else -1
