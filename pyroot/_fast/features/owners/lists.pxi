# What a directory lists: not the folder of the store, which guests do not see.
#
# Decides: what is taken out of a listing.

cdef struct HiddenEnd:
    uint64_t buffer
    uint64_t nr
    int fd

cdef int list_call(Tracee *t, int outcome) noexcept nogil:
    """If the directory that is read holds what guests do not see, look at what the call tells."""
    cdef char link[48]
    cdef c_stat st
    cdef HiddenEnd *e
    if hidden_len == 0:
        return outcome
    snprintf(link, sizeof(link), b"/proc/%d/fd/%d", t.tid, <int>t.call.args[0])
    if fstatat(AT_FDCWD, link, &st, 0) < 0 or st.st_dev != hidden_dev or st.st_ino != hidden_ino:
        return outcome
    e = <HiddenEnd *>after(t, end_hidden, 0)
    e.buffer = t.call.args[1]
    e.nr = t.call.nr
    e.fd = <int>t.call.args[0]
    return R_EXIT

cdef int end_hidden(Tracee *t, After *a, int64_t result) noexcept nogil:
    cdef HiddenEnd *e = <HiddenEnd *>a.data
    cdef Listing l
    cdef char link[48]
    cdef int n
    # (a buffer that is larger holds no more names of a root)
    if result <= 0 or result > LIST_BUFFER or mem_read(t.tid, e.buffer, list_buffer, result) < 0:
        return R_CONT
    listing_set(&l, e.nr, t.call.compat)
    snprintf(link, sizeof(link), b"/proc/%d/fd/%d", t.tid, e.fd)
    n = list_shown(&l, link, <int>strlen(link), <int>result)
    mem_write(t.tid, e.buffer, list_buffer, n)
    return R_CONT if n == result or reg_set_result(t, n) == 0 else R_DEAD
