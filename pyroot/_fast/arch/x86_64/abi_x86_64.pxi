# What calls, flags and instructions are on x86_64, and where the loader lies.

cdef extern from * nogil:
    """
    /* A call of our own without the C library: the result or -errno. */
    static inline long pyroot_raw(long nr, long a, long b, long c, long d) {
        register long r10 __asm__("r10") = d, r8 __asm__("r8") = 0;
        __asm__ volatile("syscall" : "+a"(nr) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
        return nr;
    }
    """

cdef const char *MACHINE = b"x86_64"
cdef uint32_t ARCH_NATIVE = 0xC000003E
cdef uint64_t SHIFT = 0x1000000000       # of the pages of one pyroot from those of the one around it

cdef enum:
    SYSCALL_SIZE = 2         # bytes of `syscall`, of `sysenter` and of int $0x80
    CODE_FILL = 0xcc         # int3
    HAS_GATE = 1
    EM_X86_64_ = 62
    OPEN_FLAGS = 0x7fffc3
    OPEN_PATH_FLAGS = 0x2b0000    # O_PATH, O_DIRECTORY, O_NOFOLLOW, O_CLOEXEC
    OPENAT2_FLAGS = 0x7ffffc3
    O_TMPFILE_ = 0x400000

cdef inline uint64_t native_idle() noexcept nogil:
    return NR_getpid

cdef int native_follows(int n) noexcept nogil:
    if n == NR_lsetxattr:
        return NR_setxattr
    if n == NR_lgetxattr:
        return NR_getxattr
    if n == NR_llistxattr:
        return NR_listxattr
    if n == NR_lremovexattr:
        return NR_removexattr
    return NR_stat if n == NR_lstat else NR_chown if n == NR_lchown else 0

cdef inline int native_links(int *size) noexcept nogil:
    size[0] = 8
    return 16

cdef inline int native_statfs(int n) noexcept nogil:
    return 80 if n == NR_statfs or n == NR_fstatfs else -1

cdef inline bint native_elf(int machine) noexcept nogil:
    return machine == EM_X86_64_

cdef inline bint is_call_code(const uint8_t *code) noexcept nogil:
    """Say whether this is syscall, sysenter or int: the two bytes of one."""
    return (code[0] == 0x0f and (code[1] == 0x05 or code[1] == 0x34)) or code[0] == 0xcd

cdef inline uint64_t shift_of(int depth) noexcept nogil:
    """Return how far the loader's pages lie from where loader.h says, in a pyroot that so many others are around."""
    return <uint64_t>depth * SHIFT

cdef bytes loader_moved(bytes image):
    """Return the loader's file for pages that are shifted."""
    # the upper halves of its addresses: those of LOADER_TEXT and LOADER_BRK (parts.h keeps them in one piece)
    for half in range((LOADER_TEXT - pyroot_shift) >> 32, ((LOADER_TEXT - pyroot_shift) >> 32) + 2):
        image = image.replace(int(half).to_bytes(4, "little"), int(half + (pyroot_shift >> 32)).to_bytes(4, "little"))
    return image
