cdef int proc_file(Tracee *t, Walk *w) noexcept nogil:
    return 0
