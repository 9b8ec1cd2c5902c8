# The end of a tracee: what was known of it is given back.

cdef void tracee_free(Tracee *t) noexcept nogil:
    features_end(t)
    call_release(t)
    free(t.injected)
    mm_drop(t.mm)
    fs_drop(t.fs)
    if t.view != views.base:
        view_left(t.view)
    if t.state == T_ORPHAN:
        tracees.orphans -= 1
    tracees.leaf[t.tid // TID_LEAF][t.tid % TID_LEAF] = NULL
    tracees.count -= 1
    free(t)

cdef void tracees_clear() noexcept nogil:
    cdef int i, k
    for i in range(TID_TOP):
        if tracees.leaf[i] != NULL:
            for k in range(TID_LEAF):
                if tracees.leaf[i][k] != NULL:
                    tracee_free(tracees.leaf[i][k])
            free(tracees.leaf[i])
            tracees.leaf[i] = NULL
    tracees.count = tracees.orphans = 0

cdef object loss_text():
    """Say what was lost, for CoreError."""
    why = _os.strerror(pyroot_loss.error)
    if pyroot_loss.what != NULL:
        return f"{pyroot_loss.what.decode()}: {why}"
    return f"ptrace request {pyroot_loss.request:#x}: {why}"
