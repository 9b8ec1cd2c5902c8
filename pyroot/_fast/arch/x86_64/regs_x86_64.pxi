# Registers of an x86_64 tracee: the only room that knows their names.  Offsets are those of struct user_regs_struct.

cdef extern from * nogil:
    """
    #include <stddef.h>
    static const unsigned short pyroot_reg_arg[6] = {
        offsetof(struct user_regs_struct, rdi), offsetof(struct user_regs_struct, rsi), offsetof(struct user_regs_struct, rdx),
        offsetof(struct user_regs_struct, r10), offsetof(struct user_regs_struct, r8), offsetof(struct user_regs_struct, r9)};
    enum { PYROOT_REG_IP = offsetof(struct user_regs_struct, rip), PYROOT_REG_NR = offsetof(struct user_regs_struct, orig_rax),
           PYROOT_REG_RESULT = offsetof(struct user_regs_struct, rax), PYROOT_REG_SP = offsetof(struct user_regs_struct, rsp)};
    struct pyroot_syscall_info { unsigned char op; unsigned char pad[3]; unsigned arch; unsigned long long ip, sp;
        unsigned long long nr, args[6]; unsigned ret_data; unsigned pad2; };
    /* A call of our own without the C library: the result or -errno. */
    static inline long pyroot_raw(long nr, long a, long b, long c, long d) {
        register long r10 __asm__("r10") = d, r8 __asm__("r8") = 0;
        __asm__ volatile("syscall" : "+a"(nr) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
        return nr;
    }
    """
    const unsigned short *pyroot_reg_arg
    enum:
        PYROOT_REG_IP, PYROOT_REG_NR, PYROOT_REG_RESULT, PYROOT_REG_SP
    struct pyroot_syscall_info:
        uint8_t op
        uint32_t arch
        uint64_t ip, sp
        uint64_t nr
        uint64_t args[6]
        unsigned int ret_data

cdef enum:
    INFO_NONE = 0
    INFO_ENTRY = 1
    INFO_EXIT = 2
    INFO_SECCOMP = 3

cdef enum:
    PTRACE_SET_SYSCALL_INFO = 0x4212

cdef pyroot_syscall_info call_info     # of the stop at hand
cdef uint32_t ARCH_X86_64 = 0xC000003E

cdef inline int reg_poke(Tracee *t, int offset, uint64_t value) noexcept nogil:
    return -errno if c_ptrace(PTRACE_POKEUSER, t.tid, <void *><size_t>offset, <void *>value) < 0 else 0

cdef inline int reg_peek(Tracee *t, int offset, uint64_t *value) noexcept nogil:
    return -ESRCH if c_ptrace(PTRACE_PEEKUSER, t.tid, <void *><size_t>offset, value) < 0 else 0

cdef inline int reg_set_arg(Tracee *t, int i, uint64_t value) noexcept nogil:
    return reg_poke(t, pyroot_reg_arg_i386[i] if t.compat else pyroot_reg_arg[i], value)

cdef inline int reg_ip(Tracee *t, uint64_t *ip) noexcept nogil:
    return reg_peek(t, PYROOT_REG_IP, ip)

cdef inline int reg_set_ip(Tracee *t, uint64_t ip) noexcept nogil:
    return reg_poke(t, PYROOT_REG_IP, ip)

cdef inline int reg_set_nr(Tracee *t, uint64_t nr) noexcept nogil:
    return reg_poke(t, PYROOT_REG_NR, nr)

cdef inline int reg_set_result(Tracee *t, uint64_t value) noexcept nogil:
    return reg_poke(t, PYROOT_REG_RESULT, value)

cdef int reg_answer(Tracee *t, long result) noexcept nogil:
    """Skip the call and let it return ``result``."""
    t.answered = True
    stats.answered += 1
    t.answer = result
    return reg_skip(t, <uint64_t>result)

cdef int filters_around = 0        # seccomp filters that were there before ours

cdef inline uint64_t idle_number(Tracee *t) noexcept nogil:
    """Return the number of a call that does nothing: getpid(2), which no filter around us refuses (scripts/pyroot.c)."""
    return 20 if t.compat else 39

cdef inline bint skips_late(Tracee *t) noexcept nogil:
    """Say whether a filter around us has still to see the call at hand: most refuse number -1, and with it the result."""
    return filters_around > 0 and call_info.op == INFO_ENTRY

cdef int reg_skip(Tracee *t, uint64_t result) noexcept nogil:
    """Skip the call with this in its result register: number -1 and the register preset, one stop in all."""
    if skips_late(t):
        t.late = True
        t.late_result = result
        return reg_set_nr(t, idle_number(t))
    if reg_set_nr(t, <uint64_t><int64_t>-1) < 0:
        return -ESRCH
    return reg_set_result(t, result)

cdef int reg_result(Tracee *t, int64_t *value) noexcept nogil:
    return reg_peek(t, PYROOT_REG_RESULT, <uint64_t *>value)

cdef bint set_call_works = True    # PTRACE_SET_SYSCALL_INFO, since Linux 6.16

cdef void set_call_missing() noexcept nogil:
    global set_call_works
    set_call_works = False

cdef int reg_set_call(Tracee *t, uint64_t nr, const uint64_t *args) noexcept nogil:
    """Change number and arguments of the call that reg_load_call has read; one request where the kernel knows it."""
    cdef int i
    if set_call_works:
        call_info.nr = nr
        memcpy(call_info.args, args, sizeof(call_info.args))
        if c_ptrace(PTRACE_SET_SYSCALL_INFO, t.tid, <void *>sizeof(call_info), &call_info) == 0:
            return 0
        if errno == ESRCH:
            return -ESRCH
        set_call_missing()
    if reg_set_nr(t, nr) < 0:
        return -ESRCH
    for i in range(6):
        if args[i] != t.args[i] and reg_set_arg(t, i, args[i]) < 0:
            return -ESRCH
    return 0

cdef inline bint ip_in_stub(uint64_t ip) noexcept nogil:
    return <uint64_t>LOADER_STUBS <= ip < <uint64_t>LOADER_STUBS + LOADER_STUBS_SIZE

cdef inline bint ip_in_text(uint64_t ip) noexcept nogil:
    """Say whether a call is the loader's; when that has left nothing there makes calls."""
    return <uint64_t>LOADER_TEXT <= ip < <uint64_t>LOADER_TEXT + LOADER_TEXT_SIZE

cdef int reg_load_call(Tracee *t, uint8_t *op) noexcept nogil:
    """Read the call that the tracee is stopped in; return its arch check: 0, or -ENOSYS for another ABI, or -ESRCH."""
    cdef pyroot_syscall_info *info = &call_info
    cdef int i
    if c_ptrace(PTRACE_GET_SYSCALL_INFO, t.tid, <void *>sizeof(call_info), info) < 0:
        return -ESRCH
    op[0] = info.op
    if t.late and info.op == INFO_EXIT:
        t.late = False
        if reg_set_result(t, t.late_result) < 0:
            return -ESRCH
    t.nr = info.nr
    t.ip = info.ip
    t.sp = info.sp
    t.mark = info.ret_data
    memcpy(t.args, info.args, sizeof(info.args))
    t.compat = info.arch == ARCH_I386
    memcpy(t.full, info.args, sizeof(info.args))
    if t.compat:
        for i in range(6):
            t.args[i] = <uint32_t>t.args[i]
    return 0 if info.arch == ARCH_X86_64 or t.compat else -ENOSYS

cdef extern from * nogil:
    """
    static const unsigned short pyroot_reg_arg_i386[6] = {
        offsetof(struct user_regs_struct, rbx), offsetof(struct user_regs_struct, rcx), offsetof(struct user_regs_struct, rdx),
        offsetof(struct user_regs_struct, rsi), offsetof(struct user_regs_struct, rdi), offsetof(struct user_regs_struct, rbp)};
    /* what the registers of the arguments are called in instructions */
    static const unsigned char pyroot_reg_code_i386[6] = {3, 1, 2, 6, 7, 5};
    static const unsigned char pyroot_reg_code[6] = {7, 6, 2, 10, 8, 9};
    enum { PYROOT_REG_CS = offsetof(struct user_regs_struct, cs) };
    """
    const unsigned short *pyroot_reg_arg_i386
    const unsigned char *pyroot_reg_code_i386
    const unsigned char *pyroot_reg_code
    enum:
        PYROOT_REG_CS

cdef uint32_t ARCH_I386 = 0x40000003
