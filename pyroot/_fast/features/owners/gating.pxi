# What the gate is told of owners, so that it answers looks at files that have no record, and opens, to those to whom nothing is closed.
#
# Files with a record are known by the index of the store (pyroot/store/index.h), which guests have mapped for reading; those with one for
# this session only by a small one in what is published.
#
# Decides: whether looks are led through the gate at all.

cdef void gating_begin() noexcept nogil:
    """Publish what the gate needs, before the first guest."""
    global gate_serves, gate_index
    cdef gate_who who
    cdef int i
    if gate == NULL or store_index_open(&owners.root) < 0 or not gating_hides():
        return
    store_index_fill(&owners.root)
    store_mark_in(&owners.session, <uint64_t *>&gate.own[0], GATE_OWN_WORDS, <uint32_t *>&gate.own_have)
    gate_index = owners.root.index_fd
    gate.us, gate.uid, gate.gid = owners.us, owners.uid, owners.gid
    if not creds.on:
        memset(&who, 0, sizeof(who))
        for i in range(3):
            who.uid[i], who.gid[i] = owners.uid, owners.gid
        who.passes = who.changes = owners.uid == 0
        gate_who_new(&who)
    gate.owners = 1
    gate_serves |= FEATURE_OWNERS

cdef bint gating_hides() noexcept nogil:
    """Tell the name that guests do not see, and where it is; says whether that can be told."""
    cdef char text[PATHMAX]
    cdef c_stat st
    cdef int cut = hidden_cut()
    cdef unsigned int i
    gate.hidden = 0
    if hidden_len == 0:
        return True
    memcpy(text, hidden_host, cut)
    text[cut] = 0
    if is_hidden(gate.prefix, gate.prefix_len) or fstatat(AT_FDCWD, host_named(text), &st, 0) < 0:
        return False
    for i in range(gate.bindings):
        if is_hidden(gate.binding[i].host, gate.binding[i].host_len):
            # (what crosses its mount point stops)
            gate.binding[i].hash = 0
    gate.hidden = hash_more(FNV, hidden_host + cut + 1, hidden_len - cut - 1)
    gate.hidden_in.dev = st.st_dev
    gate.hidden_in.ino = st.st_ino
    return True
