# Registers of an x86_64 tracee: the only room that knows their names.  Those of a call by a number of i386 are of the same set.

cdef extern from "<sys/user.h>" nogil:
    struct user_regs_struct:
        unsigned long r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax, rip, cs, eflags, rsp

cdef extern from "<sys/ptrace.h>" nogil:
    enum:
        PTRACE_POKEUSER, PTRACE_PEEKUSER, PTRACE_GETREGS, PTRACE_SETREGS

cdef extern from * nogil:
    """
    #include <stddef.h>
    static const unsigned short pyroot_reg_arg[2][6] = {
        {offsetof(struct user_regs_struct, rdi), offsetof(struct user_regs_struct, rsi), offsetof(struct user_regs_struct, rdx),
         offsetof(struct user_regs_struct, r10), offsetof(struct user_regs_struct, r8), offsetof(struct user_regs_struct, r9)},
        {offsetof(struct user_regs_struct, rbx), offsetof(struct user_regs_struct, rcx), offsetof(struct user_regs_struct, rdx),
         offsetof(struct user_regs_struct, rsi), offsetof(struct user_regs_struct, rdi), offsetof(struct user_regs_struct, rbp)}};
    enum { PYROOT_REG_IP = offsetof(struct user_regs_struct, rip), PYROOT_REG_NR = offsetof(struct user_regs_struct, orig_rax),
           PYROOT_REG_RESULT = offsetof(struct user_regs_struct, rax), PYROOT_REG_CS = offsetof(struct user_regs_struct, cs)};
    """
    const unsigned short pyroot_reg_arg[2][6]
    enum:
        PYROOT_REG_IP, PYROOT_REG_NR, PYROOT_REG_RESULT, PYROOT_REG_CS

cdef struct Registers:
    user_regs_struct cpu

cdef enum:
    USER32_CS = 0x23
    USER64_CS = 0x33
    FLAGS_AT_START = 0x200   # interrupts, which cannot be off

# -- one by one -------------------------------------------------------------------------------------------------------------------

cdef inline int reg_poke(Tracee *t, int offset, uint64_t value) noexcept nogil:
    return -errno if c_ptrace(PTRACE_POKEUSER, t.tid, <void *><size_t>offset, <void *>value) < 0 else 0

cdef inline int reg_peek(Tracee *t, int offset, uint64_t *value) noexcept nogil:
    return -ESRCH if c_ptrace(PTRACE_PEEKUSER, t.tid, <void *><size_t>offset, value) < 0 else 0

cdef inline int reg_ip(Tracee *t, uint64_t *ip) noexcept nogil:
    return reg_peek(t, PYROOT_REG_IP, ip)

cdef inline int reg_result(Tracee *t, int64_t *value) noexcept nogil:
    return reg_peek(t, PYROOT_REG_RESULT, <uint64_t *>value)

cdef inline int reg_set_ip(Tracee *t, uint64_t ip) noexcept nogil:
    return reg_poke(t, PYROOT_REG_IP, ip)

cdef inline int reg_set_nr(Tracee *t, uint64_t nr) noexcept nogil:
    return reg_poke(t, PYROOT_REG_NR, nr)

cdef inline int reg_set_result(Tracee *t, uint64_t value) noexcept nogil:
    return reg_poke(t, PYROOT_REG_RESULT, value)

cdef inline int reg_set_arg(Tracee *t, int i, uint64_t value) noexcept nogil:
    return reg_poke(t, pyroot_reg_arg[t.call.compat][i], value)

cdef int reg_change(Tracee *t, const uint64_t *args, unsigned int which, uint64_t ip) noexcept nogil:
    """Change those arguments of the call at hand whose bits are in ``which``, and where it returns to, unless that is 0."""
    cdef int i
    for i in range(6):
        if which >> i & 1 and reg_set_arg(t, i, args[i]) < 0:
            return -ESRCH
    return reg_set_ip(t, ip) if ip != 0 else 0

cdef int runs_wide(Tracee *t) noexcept nogil:
    """Say whether the tracee runs 64-bit code, which may make calls of i386 as well; or return -ESRCH."""
    cdef uint64_t cs = 0
    return -ESRCH if reg_peek(t, PYROOT_REG_CS, &cs) < 0 else cs != USER32_CS

# -- as a set -----------------------------------------------------------------------------------------------------------------------

cdef inline int regs_get(Tracee *t, Registers *regs) noexcept nogil:
    return -ESRCH if c_ptrace(PTRACE_GETREGS, t.tid, NULL, &regs.cpu) < 0 else 0

cdef inline int regs_set(Tracee *t, Registers *regs) noexcept nogil:
    return -ESRCH if c_ptrace(PTRACE_SETREGS, t.tid, NULL, &regs.cpu) < 0 else 0

cdef inline uint64_t regs_number(const Registers *regs) noexcept nogil:
    return regs.cpu.orig_rax

cdef inline uint64_t regs_first(const Registers *regs, bint compat) noexcept nogil:
    return regs.cpu.rbx if compat else regs.cpu.rdi

cdef inline int64_t regs_result(const Registers *regs) noexcept nogil:
    return <int64_t>regs.cpu.rax

cdef void regs_restore(Registers *regs, const uint64_t *f, bint compat, bint over) noexcept nogil:
    """Put the guest's own arguments back, and where it goes on, from the frame of its slot; ``over``: the call has been made."""
    cdef user_regs_struct *cpu = &regs.cpu
    if compat:
        cpu.rbx, cpu.rcx, cpu.rdx, cpu.rsi, cpu.rdi, cpu.rbp = f[0], f[1], f[2], f[3], f[4], f[5]
    else:
        cpu.rdi, cpu.rsi, cpu.rdx, cpu.r10, cpu.r8, cpu.r9 = f[0], f[1], f[2], f[3], f[4], f[5]
        if over:
            # where the kernel leaves the address to go on at
            cpu.rcx = f[7]
    cpu.rip = f[7]

cdef inline void regs_repeat(Registers *regs, uint64_t number) noexcept nogil:
    regs.cpu.rax = number
    regs.cpu.rip -= SYSCALL_SIZE

cdef inline void regs_renumber(Registers *regs, uint64_t number) noexcept nogil:
    if <int64_t>regs.cpu.orig_rax >= 0:
        regs.cpu.orig_rax = number

cdef inline void regs_no_call(Registers *regs) noexcept nogil:
    regs.cpu.orig_rax = <unsigned long>-1

cdef inline void regs_return(Registers *regs, uint64_t result) noexcept nogil:
    regs.cpu.rax = result
    regs_no_call(regs)

cdef void regs_program(Registers *regs, int nr, uint64_t entry, uint64_t sp) noexcept nogil:
    """What a program begins with, at the end of the call that executed it."""
    cdef user_regs_struct *cpu = &regs.cpu
    cpu.r15 = cpu.r14 = cpu.r13 = cpu.r12 = cpu.rbp = cpu.rbx = cpu.r11 = cpu.r10 = cpu.r9 = cpu.r8 = 0
    cpu.rcx = cpu.rdx = cpu.rsi = cpu.rdi = 0
    cpu.rax = <unsigned long><long>-ENOSYS
    cpu.orig_rax = nr
    cpu.rip = entry
    cpu.rsp = sp
    cpu.eflags = FLAGS_AT_START

cdef bint regs_failed(const Registers *regs, int *error) noexcept nogil:
    """Say whether the loader has given up because a call is refused to it (fail in pyroot/guest/parts.h), and with which errno."""
    error[0] = -<int32_t>regs.cpu.rdx
    return regs.cpu.rax == LOADER_FAIL_ARENA or regs.cpu.rax == LOADER_FAIL_CODE

cdef int call_inject(Tracee *t, const Registers *saved, uint64_t nr, const uint64_t *args) noexcept nogil:
    """Make the tracee run a call next, in 64-bit mode and from a return stub, whatever it stopped in."""
    cdef Registers regs = saved[0]
    cdef user_regs_struct *cpu = &regs.cpu
    cpu.orig_rax = <unsigned long>-1
    if skips_late(t):
        cpu.orig_rax = idle_number(t)
        t.call.late = True
        t.call.late_result = nr
    cpu.cs = USER64_CS
    cpu.rip = <uint64_t>LOADER_STUBS
    cpu.rax = nr
    cpu.rdi, cpu.rsi, cpu.rdx, cpu.r10, cpu.r8, cpu.r9 = args[0], args[1], args[2], args[3], args[4], args[5]
    return regs_set(t, &regs)
