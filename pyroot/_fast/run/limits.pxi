# Resource limits: those of the guest must not bind the supervisor (setrlimit(2)).
#
# The supervisor takes all that it may have: bindings and long paths hold descriptors, the arena is a file of 1 MiB, its time is
# the sum of all its guests'.  The first guest gets back what we were started with.

cdef enum:
    LIMITS = 5

cdef int limit_kinds[LIMITS]
cdef c_rlimit limits_before[LIMITS]
cdef bint limits_raised = False

cdef void limits_raise() noexcept nogil:
    global limits_raised, fd_reserve
    cdef c_rlimit r
    cdef int i
    limit_kinds[0] = RLIMIT_NOFILE
    limit_kinds[1] = RLIMIT_FSIZE
    limit_kinds[2] = RLIMIT_CPU
    limit_kinds[3] = RLIMIT_AS
    limit_kinds[4] = RLIMIT_DATA
    for i in range(LIMITS):
        if getrlimit(limit_kinds[i], &limits_before[i]) < 0:
            # nothing to give back
            limit_kinds[i] = -1
            continue
        r = limits_before[i]
        if r.rlim_cur != r.rlim_max:
            r.rlim_cur = r.rlim_max
            setrlimit(limit_kinds[i], &r)
        if limit_kinds[i] == RLIMIT_NOFILE and getrlimit(RLIMIT_NOFILE, &r) == 0:
            fd_reserve = <int>(r.rlim_cur // 2 if r.rlim_cur < 1 << 20 else 1 << 19)
    limits_raised = True

cdef void limits_give_back() noexcept nogil:
    """Set what limits_raise found: in the child that becomes the guest, and where a run has failed."""
    global limits_raised
    cdef int i
    if not limits_raised:
        return
    for i in range(LIMITS):
        if limit_kinds[i] >= 0 and limits_before[i].rlim_cur != limits_before[i].rlim_max:
            setrlimit(limit_kinds[i], &limits_before[i])
    limits_raised = False
