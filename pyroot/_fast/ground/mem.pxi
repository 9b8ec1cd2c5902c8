# Guest memory: reads never run over a hole, writes never reach further than asked, and never over a protection.
#
# process_vm_readv(2) and process_vm_writev(2) do it in one call.  Containers may refuse them, and kernels may lack them; then /proc/PID/mem
# serves, and where that cannot be opened PTRACE_PEEKDATA and PTRACE_POKEDATA, since anyone who may trace may use these.

cdef int mem_open(int tid, int flags) noexcept nogil:
    cdef char name[40]
    snprintf(name, sizeof(name), b"/proc/%d/mem", tid)
    return c_open(name, flags | O_CLOEXEC)

cdef ssize_t peek_read(int tid, uint64_t addr, char *to, size_t n) noexcept nogil:
    """Read at most n bytes word by word; return how many, or -1 with errno."""
    cdef uint64_t word = 0, at = addr & ~<uint64_t>7
    cdef size_t have = 0, skip = addr & 7, part
    while have < n:
        if c_ptrace(PTRACE_PEEKDATA, tid, <void *>at, &word) < 0:
            return <ssize_t>have if have > 0 else -1
        part = 8 - skip if 8 - skip < n - have else n - have
        memcpy(to + have, <char *>&word + skip, part)
        have += part
        at += 8
        skip = 0
    return <ssize_t>have

cdef ssize_t poke_write(int tid, uint64_t addr, const char *source, size_t n) noexcept nogil:
    cdef uint64_t word = 0, at = addr & ~<uint64_t>7
    cdef size_t done = 0, skip = addr & 7, part
    while done < n:
        part = 8 - skip if 8 - skip < n - done else n - done
        if part < 8 and c_ptrace(PTRACE_PEEKDATA, tid, <void *>at, &word) < 0:
            return -1
        memcpy(<char *>&word + skip, source + done, part)
        if c_ptrace(PTRACE_POKEDATA, tid, <void *>at, <void *>word) < 0:
            return -1
        done += part
        at += 8
        skip = 0
    return <ssize_t>n

cdef ssize_t mem_read_part(int tid, uint64_t addr, void *to, size_t n) noexcept nogil:
    """Read up to n bytes; return how many (at least one), or -1 with errno."""
    cdef iovec here, there
    cdef ssize_t got
    cdef int fd
    here.iov_base = to
    here.iov_len = n
    there.iov_base = <void *>addr
    there.iov_len = n
    got = process_vm_readv(tid, &here, 1, &there, 1, 0)
    if got >= 0 or not is_refusal(errno):
        return got
    fd = mem_open(tid, O_RDONLY)
    if fd < 0:
        return peek_read(tid, addr, <char *>to, n)
    got = c_pread(fd, to, n, <off_t>addr)
    c_close(fd)
    # (nothing: its memory is gone)
    return got if got != 0 else peek_read(tid, addr, <char *>to, n)

cdef ssize_t mem_write_part(int tid, uint64_t addr, const void *source, size_t n) noexcept nogil:
    """Write n bytes where the tracee itself could; return how many, or -1 with errno."""
    cdef iovec here, there
    cdef ssize_t got
    cdef int fd
    here.iov_base = <void *>source
    here.iov_len = n
    there.iov_base = <void *>addr
    there.iov_len = n
    got = process_vm_writev(tid, &here, 1, &there, 1, 0)
    if got >= 0 or not is_refusal(errno):
        return got
    # what follows writes over a protection, too
    if not maps_writable(tid, addr, n):
        return 0
    fd = mem_open(tid, O_RDWR)
    if fd < 0:
        return poke_write(tid, addr, <const char *>source, n)
    got = c_pwrite(fd, source, n, <off_t>addr)
    c_close(fd)
    return got

cdef inline ssize_t mem_read(int tid, uint64_t addr, void *to, size_t n) noexcept nogil:
    """Read exactly n bytes; return 0, or -EFAULT, or -ESRCH when the tracee died."""
    cdef ssize_t got = mem_read_part(tid, addr, to, n)
    if got == <ssize_t>n:
        return 0
    return -ESRCH if got < 0 and errno == ESRCH else -EFAULT

cdef ssize_t mem_write(int tid, uint64_t addr, const void *source, size_t n) noexcept nogil:
    """Write n bytes as copy_to_user would; return 0, -EFAULT or -ESRCH."""
    cdef ssize_t got
    if n == 0:
        return 0
    got = mem_write_part(tid, addr, source, n)
    if got == <ssize_t>n:
        return 0
    return -ESRCH if got < 0 and errno == ESRCH else -EFAULT

cdef enum:
    SHORT_STRING = 256

cdef bint mem_there(int tid, uint64_t addr, size_t n) noexcept nogil:
    """Say whether so many bytes can be read: one of each page is."""
    cdef uint8_t byte
    cdef size_t at = 0
    while at < n:
        if mem_read(tid, addr + at, &byte, 1) < 0:
            return False
        at += 4096 - ((addr + at) & 4095)
    return True

cdef int mem_string(int tid, uint64_t addr, char *to, int limit) noexcept nogil:
    """Read a string of at most limit - 1 bytes; return its length, -EFAULT, -ENAMETOOLONG or -ESRCH.

    Page by page, because a string may end right before a hole; first a short piece, which holds nearly every path (a whole page
    costs as much as one system call more).  ``to`` has room for ``limit`` bytes.
    """
    cdef int have = 0, want
    cdef ssize_t got
    cdef void *end
    while have < limit:
        want = 4096 - <int>((addr + have) & 4095)
        if have == 0 and want > SHORT_STRING:
            want = SHORT_STRING
        if want > limit - have:
            want = limit - have
        got = mem_read_part(tid, addr + have, to + have, want)
        if got <= 0:
            return -ESRCH if errno == ESRCH else -EFAULT
        end = memchr(to + have, 0, got)
        if end != NULL:
            return <int>(<char *>end - to)
        have += <int>got
    return -ENAMETOOLONG

cdef enum:
    MAPS_BUFFER = 20000      # a line has a path of PATHMAX bytes at most, each perhaps escaped

cdef char maps_buffer[MAPS_BUFFER]

cdef bint maps_writable(int tid, uint64_t addr, size_t n) noexcept nogil:
    """Say whether the tracee's mappings allow it to write all of these bytes (/proc/PID/maps)."""
    cdef char name[40]
    cdef char *text = maps_buffer
    cdef char *line
    cdef char *end
    cdef uint64_t first, last, at = addr
    cdef ssize_t got
    cdef size_t have = 0
    cdef bint writable = False
    snprintf(name, sizeof(name), b"/proc/%d/maps", tid)
    cdef int fd = c_open(name, O_RDONLY | O_CLOEXEC)
    if fd < 0:
        return False
    while at < addr + n:
        got = c_read(fd, text + have, MAPS_BUFFER - 1 - have)
        if got <= 0:
            break
        have += got
        text[have] = 0
        line = text
        while True:
            end = strchr(line, c'\n')
            if end == NULL:
                break
            first = strtoul(line, &line, 16)
            last = strtoul(line + 1, &line, 16)
            if first <= at < last:
                writable = line[2] == c'w'
                if not writable:
                    break
                at = last
            line = end + 1
        if at >= addr + n or (end != NULL and not writable):
            break
        have = strlen(line)
        memmove(text, line, have)
    c_close(fd)
    return at >= addr + n
