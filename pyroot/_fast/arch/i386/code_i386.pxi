# Code in a slot, for programs of 32 bits: by int $0x80, or by `syscall` from 64-bit code in one of them.

cdef extern from * nogil:
    """
    /* what the registers of the arguments are called in instructions */
    static const unsigned char pyroot_reg_code[2][6] = {{7, 6, 2, 10, 8, 9}, {3, 1, 2, 6, 7, 5}};
    """
    const unsigned char pyroot_reg_code[2][6]

cdef enum:
    CODE_MOST = 80           # six registers of 64 bits and a far jump

cdef inline void code_enter(uint8_t *to, bint compat) noexcept nogil:
    """Encode the call itself, SYSCALL_SIZE bytes."""
    to[0] = 0xcd if compat else 0x0f
    to[1] = 0x80 if compat else 0x05

cdef int code_mov(uint8_t *to, int arg, bint compat, uint64_t value, bint wide) noexcept nogil:
    """Encode mov $value to the register of an argument; return how many bytes it takes.  A 32-bit mov clears the upper half."""
    cdef int n = 0, register = pyroot_reg_code[compat][arg]
    cdef uint32_t low = <uint32_t>value
    cdef bint long_form = wide and value >> 32 != 0
    if long_form or register > 7:
        to[0] = 0x40 | (8 if long_form else 0) | (1 if register > 7 else 0)
        n = 1
    to[n] = 0xb8 | (register & 7)
    n += 1
    if long_form:
        memcpy(to + n, &value, 8)
        return n + 8
    memcpy(to + n, &low, 4)
    return n + 4

cdef int code_jump(uint8_t *to, uint64_t at, uint64_t target, bint wide) noexcept nogil:
    """Encode a jump from address ``at``."""
    cdef int64_t distance = <int64_t>(target - (at + 5))
    cdef int32_t near = <int32_t>distance
    if not wide or distance == near:
        to[0] = 0xe9
        memcpy(to + 1, &near, 4)
        return 5
    # jmp *0(%rip)
    to[0] = 0xff
    to[1] = 0x25
    memset(to + 2, 0, 4)
    memcpy(to + 6, &target, 8)
    return 14
