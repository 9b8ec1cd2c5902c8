# What calls by numbers of i386 are: int $0x80 and the entries of 32-bit programs, on a kernel of x86_64.

cdef enum:
    EM_386_ = 3
    EM_486_ = 6

cdef const char *COMPAT_MACHINE = b"i386"
cdef uint32_t ARCH_COMPAT = 0x40000003

cdef inline uint64_t compat_shift_of(int depth) noexcept nogil:
    """Nothing of this loader stays, so two places do for any nesting."""
    return depth % 2 * LOADER32_STRIDE

cdef inline uint64_t compat_idle() noexcept nogil:
    return COMPAT_NR_getpid

cdef int compat_follows(int n) noexcept nogil:
    if n == COMPAT_NR_lsetxattr:
        return COMPAT_NR_setxattr
    if n == COMPAT_NR_lgetxattr:
        return COMPAT_NR_getxattr
    if n == COMPAT_NR_llistxattr:
        return COMPAT_NR_listxattr
    if n == COMPAT_NR_lremovexattr:
        return COMPAT_NR_removexattr
    if n == COMPAT_NR_lstat:
        return COMPAT_NR_stat
    if n == COMPAT_NR_lstat64:
        return COMPAT_NR_stat64
    if n == COMPAT_NR_oldlstat:
        return COMPAT_NR_oldstat
    return COMPAT_NR_chown if n == COMPAT_NR_lchown else COMPAT_NR_chown32 if n == COMPAT_NR_lchown32 else 0

cdef inline int compat_statfs(int n) noexcept nogil:
    if n == COMPAT_NR_statfs64 or n == COMPAT_NR_fstatfs64:
        return 64
    return 44 if n == COMPAT_NR_statfs or n == COMPAT_NR_fstatfs else -1

cdef int compat_links(int n, int *size) noexcept nogil:
    """struct stat64, or one of its older forms."""
    size[0] = 2
    if n == COMPAT_NR_oldstat or n == COMPAT_NR_oldlstat:
        return 6
    if n == COMPAT_NR_stat or n == COMPAT_NR_lstat:
        return 10
    size[0] = 4
    return 20

cdef inline bint compat_elf(int machine) noexcept nogil:
    return machine == EM_386_ or machine == EM_486_

cdef int compat_socketcall(uint64_t call, int *direct, int *count) noexcept nogil:
    """Return the native number of a sub-call, how many arguments it has and the number here that takes them in registers."""
    direct[0] = 0
    count[0] = 3
    if call == 2:
        direct[0] = COMPAT_NR_bind
        return NR_bind
    if call == 3:
        direct[0] = COMPAT_NR_connect
        return NR_connect
    if call == 5:
        return NR_accept
    if call == 6:
        return NR_getsockname
    if call == 7:
        return NR_getpeername
    if call == 16:
        direct[0] = COMPAT_NR_sendmsg
        return NR_sendmsg
    if call == 17:
        return NR_recvmsg
    count[0] = 4
    if call == 18:
        return NR_accept4
    if call == 20:
        direct[0] = COMPAT_NR_sendmmsg
        return NR_sendmmsg
    count[0] = 6
    if call == 11:
        direct[0] = COMPAT_NR_sendto
        return NR_sendto
    if call == 12:
        return NR_recvfrom
    count[0] = 5
    return NR_recvmmsg if call == 19 else -1
