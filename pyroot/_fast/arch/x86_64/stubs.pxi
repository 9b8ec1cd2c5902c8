# Return stubs of x86_64: one for each register of an argument, shared by all calls (pyroot/guest/stub-x86_64.S, loader.h).
#
# After a call the kernel leaves two registers that nobody relies on, so a stub has one to go back through, and may lie anywhere.

cdef inline bint ip_in_stub(uint64_t ip) noexcept nogil:
    return <uint64_t>LOADER_STUBS <= ip < <uint64_t>LOADER_STUBS + LOADER_STUBS_SIZE

cdef inline uint64_t stub_for(Tracee *t, int arg) noexcept nogil:
    return <uint64_t>LOADER_STUBS + <uint64_t>arg * LOADER_STUB_SIZE + LOADER_STUB_RESUME

cdef inline uint64_t stub_for_open(Tracee *t) noexcept nogil:
    return <uint64_t>LOADER_STUBS + LOADER_STUB_OPEN + LOADER_STUB_RESUME

cdef inline uint64_t stub_start(Tracee *t, int arg) noexcept nogil:
    return <uint64_t>LOADER_STUBS + <uint64_t>arg * LOADER_STUB_SIZE

cdef inline bint stub_opens(uint64_t ip) noexcept nogil:
    return ip >= <uint64_t>LOADER_STUBS + LOADER_STUB_OPEN

cdef inline int stub_pointer(uint64_t ip) noexcept nogil:
    if ip >= <uint64_t>LOADER_STUBS + LOADER_TRAMPOLINE:
        return -1
    return 1 if stub_opens(ip) else <int>((ip - <uint64_t>LOADER_STUBS) // LOADER_STUB_SIZE)

cdef inline bint stub_is_before(uint64_t ip) noexcept nogil:
    return (ip - <uint64_t>LOADER_STUBS) % LOADER_STUB_SIZE == 0 or ip >= <uint64_t>LOADER_STUBS + LOADER_STUB_OPEN_AGAIN

cdef inline bint stub_open_fresh(uint64_t ip) noexcept nogil:
    return ip - <uint64_t>LOADER_STUBS - LOADER_STUB_OPEN <= LOADER_STUB_OPEN_SEEN
