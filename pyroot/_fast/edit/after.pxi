# After-actions: what is to be done when the call at hand ends.
#
# A handler that needs the result of its call adds an action: a function that runs at the exit stop, with data of its own.  A
# call may have several; the last one added runs first.  An answered call has no end, nor has one whose tracee dies or executes a program,
# so these drop the actions; so does the next call.  A call that the kernel will restart has not ended: what it has prepared is
# dropped as well, since it is handled anew then, unless the action says otherwise.
#
# Decides: when an action runs, and what becomes of its data.  What it does stands beside the handler that adds it.

cdef enum:
    AFTER_ANY = 1            # runs whatever comes of the call, even if it will be restarted
    AFTER_STAYS = 2          # a call that is restarted in its stub keeps it: it is the same call

cdef void *after(Tracee *t, AfterEnd end, int flags) noexcept nogil:
    """Add an action to the call at hand; return its data, AFTER_WORDS * 8 bytes of zeros, which are copied where the action goes."""
    cdef After *a = &t.call.after[t.call.afters]
    if t.call.afters == AFTERS:
        pyroot_lose(E2BIG, -1, b"actions after a call")
        t.call.afters -= 1
        a -= 1
    t.call.afters += 1
    memset(a, 0, sizeof(After))
    a.end = end
    a.flags = flags
    return a.data

cdef inline After *after_last(Tracee *t) noexcept nogil:
    """Return the action that has just been added."""
    return &t.call.after[t.call.afters - 1]

cdef After *after_find(Tracee *t, int flag) noexcept nogil:
    """Return the action of the call at hand that has a flag, or NULL."""
    cdef int i
    for i in range(t.call.afters):
        if t.call.after[i].flags & flag:
            return &t.call.after[i]
    return NULL

cdef inline bint after_waits(Tracee *t) noexcept nogil:
    """Say whether the end of the call at hand is waited for.  What a child has got from its parent's clone runs at its beginning."""
    return t.call.afters > 0 and t.call.after[0].birth == NULL

cdef inline bint after_clones(const Tracee *t) noexcept nogil:
    """Say whether the call at hand is a clone(2) with an action that its child gets, too."""
    return t.call.afters > 0 and t.call.after[0].birth != NULL

cdef inline void after_drop(Tracee *t) noexcept nogil:
    """The call at hand has no end."""
    if t.call.afters > 0:
        after_drop_all(t)

cdef void after_drop_all(Tracee *t) noexcept nogil:
    while t.call.afters > 0:
        t.call.afters -= 1
        if t.call.after[t.call.afters].drop != NULL:
            t.call.after[t.call.afters].drop(&t.call.after[t.call.afters])

cdef int after_run(Tracee *t) noexcept nogil:
    """The call has ended: run its actions; return R_CONT, R_EXIT (one of them goes on with another call) or R_DEAD."""
    cdef After todo[AFTERS]
    cdef After *a
    cdef int64_t result = 0
    cdef int i, n = t.call.afters, how, outcome = R_CONT
    cdef bint again
    if reg_result(t, &result) < 0:
        after_drop(t)
        return R_DEAD
    # (-ERESTARTSYS to -ERESTART_RESTARTBLOCK)
    again = -516 <= result <= -512
    memcpy(todo, t.call.after, n * sizeof(After))
    t.call.afters = 0
    for i in range(n):
        a = &todo[n - 1 - i]
        if again and a.flags & AFTER_STAYS:
            t.call.after[t.call.afters] = a[0]
            t.call.afters += 1
            continue
        if outcome != R_DEAD and (not again or a.flags & AFTER_ANY):
            how = a.end(t, a, result)
            outcome = how if how != R_CONT else outcome
        if a.drop != NULL:
            a.drop(a)
    return outcome

cdef void after_inherit(Tracee *child, Tracee *parent) noexcept nogil:
    """Give a child what its parent's call has for it."""
    cdef int i
    for i in range(parent.call.afters):
        if parent.call.after[i].birth != NULL:
            child.call.after[child.call.afters] = parent.call.after[i]
            child.call.after[child.call.afters].drop = NULL
            child.call.afters += 1

cdef void after_birth(Tracee *t) noexcept nogil:
    """A child begins."""
    cdef int i
    for i in range(t.call.afters):
        if t.call.after[i].birth != NULL:
            t.call.after[i].birth(t, &t.call.after[i])
    t.call.afters = 0

cdef void restore_arguments(Tracee *t, const uint64_t *full, int n) noexcept nogil:
    """Put the guest's own first arguments back into their registers."""
    reg_change(t, full, (1 << n) - 1, 0)

cdef int end_fault(Tracee *t, After *a, int64_t result) noexcept nogil:
    restore_arguments(t, a.data, 6)
    return R_CONT
