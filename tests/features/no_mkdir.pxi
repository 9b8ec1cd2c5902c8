# A feature of the tests: no directory can be made below a given one (EPERM), by whatever name it is reached.

cdef char no_mkdir_below[PATHMAX]

cdef void no_mkdir_begin(View *v, const char *text) noexcept nogil:
    """Remember the guest path that the feature was switched on with."""
    if text != NULL:
        snprintf(no_mkdir_below, sizeof(no_mkdir_below), b"%s", text)

cdef int no_mkdir_judge(Tracee *t, const pyroot_row *row, Walk *w) noexcept nogil:
    cdef int n = <int>strlen(no_mkdir_below)
    cdef c_stat st
    if t.call.nr != NR_mkdir and t.call.nr != NR_mkdirat:
        # (the other calls with such an effect)
        return 0
    if parent_stat(w, &st) < 0:
        # that comes first, and the kernel says so
        return 0
    return -EPERM if w.glen > n and memcmp(w.g, no_mkdir_below, n) == 0 and w.g[n] == c'/' else 0

cdef void feature_no_mkdir(Feature *f) noexcept nogil:
    f.begin = no_mkdir_begin
    f.judge = no_mkdir_judge
