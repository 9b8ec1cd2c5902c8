# Requests of ptrace(2) that x86_64 has and other machines lack, or have under other numbers; what a guest that traces may ask for.

cdef enum:
    PTRACE_GETREGS_ = 12
    PTRACE_SETREGS_ = 13
    PTRACE_GETFPREGS_ = 14
    PTRACE_SETFPREGS_ = 15
    PTRACE_GET_THREAD_AREA_ = 25
    PTRACE_SET_THREAD_AREA_ = 26
    PTRACE_ARCH_PRCTL_ = 30
    PTRACE_SYSEMU_ = 31
    PTRACE_SINGLEBLOCK_ = 33
    ARCH_GET_FS_ = 0x1003
    ARCH_GET_GS_ = 0x1004
    FPREGS_SIZE = 512
    THREAD_AREA_SIZE = 16
    # what machine_word says
    WORD_NONE = 0            # no such request
    WORD_GIVEN = 1           # ``addr`` is a value
    WORD_ASKED = 2           # ``addr`` is where a word goes

cdef int machine_request(uint64_t request, bint *takes) noexcept nogil:
    """Return how many bytes a request moves from ``data`` (``takes``) or to it; 0: no such request."""
    takes[0] = request == PTRACE_SETREGS_ or request == PTRACE_SETFPREGS_ or request == PTRACE_SET_THREAD_AREA_
    if request == PTRACE_GETREGS_ or request == PTRACE_SETREGS_:
        return sizeof(user_regs_struct)
    if request == PTRACE_GETFPREGS_ or request == PTRACE_SETFPREGS_:
        return FPREGS_SIZE
    return THREAD_AREA_SIZE if request == PTRACE_GET_THREAD_AREA_ or request == PTRACE_SET_THREAD_AREA_ else 0

cdef int machine_word(uint64_t request, uint64_t data) noexcept nogil:
    """Say what arch_prctl(2) in another task does with its address."""
    if request != PTRACE_ARCH_PRCTL_:
        return WORD_NONE
    return WORD_ASKED if data == ARCH_GET_FS_ or data == ARCH_GET_GS_ else WORD_GIVEN
