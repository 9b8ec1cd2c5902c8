# Who the tasks of an address space are, as the gate tells it: a number in the page of detours, of an entry of what is published.
#
# The page is private memory of the address space: fork(2) copies it with the rest, and execve(2) makes a new one, which the loader gives
# its word.  While several tasks share it the word counts for all of them, so it is taken away as soon as one becomes somebody else.
#
# Decides: whose ids and rights the gate knows.

cdef int gate_index = -1     # descriptor of the index of owners, which guests map; -1: there is none

cdef uint32_t gate_who_number(const Cred *c) noexcept nogil:
    """Return the number of the entry that equals this record; 0 if the table is full."""
    cdef gate_who who
    cdef uint32_t i
    if gate == NULL:
        return 0
    if not creds.on:
        # (features/owners.pxi has told who everybody is)
        return 1 if gate.whose > 0 else 0
    memset(&who, 0, sizeof(who))
    for i in range(3):
        who.uid[i] = c.uid[i]
        who.gid[i] = c.gid[i]
    who.passes = cred_has(c, CAP_PASSES)
    who.changes = cred_has(c, CAP_GIVES) and cred_has(c, CAP_OWNS)
    who.groups = c.groups.n if c.groups != NULL else 0
    for i in range(who.groups if who.groups <= GATE_GROUPS else 0):
        who.group[i] = group_list(c.groups)[i]
    if who.groups > GATE_GROUPS:
        who.groups = GATE_GROUPS + 1
    return gate_who_new(&who)

cdef uint32_t gate_who_new(const gate_who *who) noexcept nogil:
    cdef uint32_t i
    for i in range(gate.whose):
        if memcmp(&gate.who[i], who, sizeof(gate_who)) == 0:
            return i + 1
    if gate.whose >= GATE_WHOS:
        return 0
    gate.who[gate.whose] = who[0]
    gate.whose += 1
    return gate.whose

cdef enum:
    CAP_GIVES = 0            # CAP_CHOWN
    CAP_PASSES = 1           # CAP_DAC_OVERRIDE
    CAP_OWNS = 3             # CAP_FOWNER

cdef void gate_who_changed(Tracee *t) noexcept nogil:
    """A stopped task is somebody else from now on."""
    cdef uint64_t page, word = 0
    if gate == NULL or gate_serves == 0 or t.mm == NULL or t.mm.gate_off:
        return
    page = t.mm.gate.page if t.mm.gate != NULL and t.mm.gate.page != 0 else gate_page(t)
    if page == 0:
        return
    if mem_read(t.tid, page + DETOUR_WHO, &word, sizeof(word)) < 0:
        gate_end()
        return
    word &= ~<uint64_t>WHO_NUMBER
    if t.mm.refs == 1:
        word |= gate_who_number(cred_of(t))
    if code_poke(t.tid, page + DETOUR_WHO, word) < 0:
        gate_end()
