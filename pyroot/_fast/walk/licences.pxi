# Licences: which short cuts the call at hand may take.
#
# A short cut leaves to the kernel what the walk would have found out.  Each is right only where nothing else has a say: the table below
# is the one place that knows what takes which away.  What a short cut asks of the path itself stands with it.
#
# Decides: who lowers which bit.

cdef enum:
    MAY_STEP = 1             # one plain name is looked up by the kernel (relative.pxi)
    MAY_PASS = 2             # so are several, from the working directory, where a proof shows no link
    MAY_OPEN = 4             # an open needs no proof: the kernel meets no link, or comes back (opening.pxi)
    MAY_PIN = 8              # a place may be named by one of our descriptors (moving.pxi)
    MAY_LEAD = 16            # the call may be led through the gate (gate.pxi)
    MAY_ALL = 31

cdef uint32_t licences(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Return the MAY_* bits of a call of this row; of the tracee alone if that is NULL."""
    cdef uint32_t may = MAY_ALL
    if not openat2_works:
        may &= ~<uint32_t>(MAY_PASS | MAY_OPEN | MAY_PIN | MAY_LEAD)
    if t.view.ambiguous:
        # a text alone does not tell where it leads
        may &= ~<uint32_t>(MAY_STEP | MAY_PASS)
    if overlays.blind:
        # UPPER may have what the kernel would not find there
        may &= ~<uint32_t>(MAY_STEP | MAY_PASS | MAY_OPEN | MAY_LEAD)
    if t.view != views.base:
        may &= ~<uint32_t>MAY_LEAD
    if t.fs != NULL and t.fs.root != NULL:
        # names begin elsewhere
        may &= ~<uint32_t>(MAY_STEP | MAY_OPEN | MAY_LEAD)
    if t.ptraces or t.filtered:
        # somebody would see the first try
        may &= ~<uint32_t>(MAY_OPEN | MAY_LEAD)
    if session.judging or not session.seccomp:
        may &= ~<uint32_t>MAY_OPEN
    if uses_code(t):
        may &= ~<uint32_t>MAY_OPEN
    if t.exits:
        # somebody looks on
        may &= ~<uint32_t>MAY_LEAD
    if t.landlocked or loses_rights() or not arena_shared(t):
        may &= ~<uint32_t>MAY_PIN
    if row != NULL and (row.features & features.judges or (row.asked & features.judges and asks_writing(t, row))):
        # a feature wants to see the place
        may &= ~<uint32_t>(MAY_STEP | MAY_PASS | MAY_OPEN)
    if row != NULL and row.features & views.base.features & ~gate_knows():
        may &= ~<uint32_t>MAY_LEAD
    return may

cdef uint32_t gate_knows() noexcept nogil:
    """Return the features whose calls the gate answers: what owners are is not known to it where directories are merged."""
    return FEATURE_MERGED if views.base.features & FEATURE_MERGED else gate_serves

cdef bint asks_writing(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Say whether an open, or access(2), is for more than reading."""
    if row.effect != E_OPEN:
        return t.call.args[row.path + 1] & W_OK != 0
    # (of creat, and of openat2, whose flags nobody has read yet, always)
    return row.flags < 0 or t.call.args[row.flags] & <uint64_t>(O_ACCMODE | O_CREAT | O_TRUNC | O_TMPFILE_) != 0

cdef bint loses_rights() noexcept nogil:
    """Say whether access(2) sets capabilities of guests aside: without them our own descriptors are closed to it, as we have them too."""
    global own_rights
    if own_rights < 0:
        own_rights = c_geteuid() != 0 and effective_caps(c_getpid()) != 0
    return own_rights

cdef int own_rights = -1     # whether this process, not root's, has capabilities: not known yet
