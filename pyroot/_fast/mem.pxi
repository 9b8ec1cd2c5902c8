# Guest memory: reads never run over a hole, writes never reach further than asked.

cdef ssize_t mem_read(int tid, uint64_t addr, void *to, size_t n) noexcept nogil:
    """Read exactly n bytes; return 0, or -EFAULT, or -ESRCH when the tracee died."""
    cdef iovec here, there
    cdef ssize_t got
    here.iov_base = to
    here.iov_len = n
    there.iov_base = <void *>addr
    there.iov_len = n
    got = process_vm_readv(tid, &here, 1, &there, 1, 0)
    if got == <ssize_t>n:
        return 0
    return -ESRCH if got < 0 and errno == ESRCH else -EFAULT

cdef ssize_t mem_write(int tid, uint64_t addr, const void *source, size_t n) noexcept nogil:
    """Write n bytes as copy_to_user would; return 0, -EFAULT or -ESRCH."""
    cdef iovec here, there
    cdef ssize_t got
    if n == 0:
        return 0
    here.iov_base = <void *>source
    here.iov_len = n
    there.iov_base = <void *>addr
    there.iov_len = n
    got = process_vm_writev(tid, &here, 1, &there, 1, 0)
    if got == <ssize_t>n:
        return 0
    return -ESRCH if got < 0 and errno == ESRCH else -EFAULT

cdef enum:
    SHORT_STRING = 256

cdef int mem_string(int tid, uint64_t addr, char *to, int limit) noexcept nogil:
    """Read a string of at most limit - 1 bytes; return its length, -EFAULT, -ENAMETOOLONG or -ESRCH.

    Page by page, because a string may end right before a hole; first a short piece, which holds nearly every path (a whole page
    costs as much as one system call more).  ``to`` has room for ``limit`` bytes.
    """
    cdef int have = 0, want
    cdef iovec here, there
    cdef ssize_t got
    cdef void *end
    while have < limit:
        want = 4096 - <int>((addr + have) & 4095)
        if have == 0 and want > SHORT_STRING:
            want = SHORT_STRING
        if want > limit - have:
            want = limit - have
        here.iov_base = to + have
        here.iov_len = want
        there.iov_base = <void *>(addr + have)
        there.iov_len = want
        got = process_vm_readv(tid, &here, 1, &there, 1, 0)
        if got <= 0:
            return -ESRCH if errno == ESRCH else -EFAULT
        end = memchr(to + have, 0, got)
        if end != NULL:
            return <int>(<char *>end - to)
        have += <int>got
    return -ENAMETOOLONG
