# What differs for a 32-bit call: socketcall(2), msghdr, 32-bit ELF files, and the loader for them.

cdef enum:
    COMPAT_HEADER = 28       # bytes of compat_msghdr; of a mmsghdr: 4 more

cdef extern from * nogil:
    """
    static const unsigned char pyroot_leave32[] = {LOADER32_LEAVE};
    enum { PYROOT_LEAVE32 = sizeof pyroot_leave32 };
    """
    const unsigned char *pyroot_leave32
    enum:
        PYROOT_LEAVE32

# -- socketcall ---------------------------------------------------------------------------------------------------------

cdef int on_socketcall(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Treat a sub-call as the separate call that it stands for.  If it has to be rewritten, it is made as that call."""
    cdef uint32_t arguments[6]
    cdef int i, direct, count
    cdef int nr = compat_socketcall(t.call.args[0], &direct, &count)
    if nr < 0:
        return as_is(b"a sub-call without an address, or EINVAL")
    if mem_read(t.tid, t.call.args[1], arguments, count * 4) < 0:
        return fault_argument(t, 1)
    for i in range(6):
        t.call.args[i] = arguments[i] if i < count else 0
    t.call.nr = nr
    t.call.direct = direct
    row = &pyroot_rows[nr]
    if nr == NR_sendto and t.call.args[4] == 0:
        return sock_as_is(t, row)
    return handlers[row.handler](t, row)

# -- struct msghdr ------------------------------------------------------------------------------------------------------

cdef inline int header_size(Tracee *t) noexcept nogil:
    return COMPAT_HEADER if t.call.compat else <int>sizeof(c_msghdr)

cdef inline uint64_t message_at(Tracee *t, uint64_t vector, uint64_t i) noexcept nogil:
    """Return the address of a mmsghdr of a vector; its length lies right after its header."""
    return vector + i * (32 if t.call.compat else 64)

cdef int header_read(Tracee *t, uint64_t pointer, c_msghdr *header) noexcept nogil:
    cdef uint32_t words[7]
    if not t.call.compat:
        return <int>mem_read(t.tid, pointer, header, sizeof(c_msghdr))
    if mem_read(t.tid, pointer, words, COMPAT_HEADER) < 0:
        return -EFAULT
    header.msg_name = <void *><uint64_t>words[0]
    header.msg_namelen = words[1]
    header.msg_iov = <void *><uint64_t>words[2]
    header.msg_iovlen = words[3]
    header.msg_control = <void *><uint64_t>words[4]
    header.msg_controllen = words[5]
    header.msg_flags = <int>words[6]
    return 0

cdef void header_pack(Tracee *t, const c_msghdr *header, char *to) noexcept nogil:
    """Write a header as the tracee's call wants it."""
    cdef uint32_t words[7]
    if not t.call.compat:
        memcpy(to, header, sizeof(c_msghdr))
        return
    words[0] = <uint32_t><uint64_t>header.msg_name
    words[1] = header.msg_namelen
    words[2] = <uint32_t><uint64_t>header.msg_iov
    words[3] = <uint32_t>header.msg_iovlen
    words[4] = <uint32_t><uint64_t>header.msg_control
    words[5] = <uint32_t>header.msg_controllen
    words[6] = <uint32_t>header.msg_flags
    memcpy(to, words, COMPAT_HEADER)

# -- programs -----------------------------------------------------------------------------------------------------------

cdef int elf32_read(Program *p, int fd) noexcept nogil:
    """elf_read for a 32-bit program."""
    cdef uint8_t ph[32 * 64]
    cdef const uint8_t *head = <const uint8_t *>p.head
    cdef uint32_t offset
    cdef int count, i, j, batch
    cdef uint16_t etype, size
    if p.have < 52 or not loader32_ready():
        return -ENOEXEC
    memcpy(&etype, head + 16, 2)
    memcpy(&offset, head + 28, 4)
    memcpy(&size, head + 42, 2)
    count = head[44] | head[45] << 8
    if (etype != 2 and etype != 3) or size != 32 or count < 1 or count > 65536 // 32:
        return -ENOEXEC
    if count > 64 and c_pread(fd, ph, 1, <uint64_t>offset + count * 32 - 1) != 1:
        # the kernel reads all of them before it looks at one
        return -ENOEXEC
    for i in range(0, count, 64):
        batch = count - i if count - i < 64 else 64
        if c_pread(fd, ph, batch * 32, <uint64_t>offset + i * 32) != batch * 32:
            return -ENOEXEC
        for j in range(batch):
            if (<uint32_t *>(ph + j * 32))[0] == PT_INTERP_:
                return elf_read_interp(p, fd, (<uint32_t *>(ph + j * 32 + 4))[0], (<uint32_t *>(ph + j * 32 + 16))[0])
    return 0

cdef char loader32_source[PATHMAX]
cdef char loader32_path[PATHMAX]
cdef int loader32_fd = -1
cdef void set_loader32_fd(int fd) noexcept nogil:
    global loader32_fd
    loader32_fd = fd

cdef bint loader32_ready() noexcept nogil:
    """Make the 32-bit loader executable when first needed, as _loader_install does with the other; False if there is none."""
    cdef char part[16384]
    cdef ssize_t got
    cdef int source, fd
    if loader32_path[0] != 0:
        return True
    source = c_open(loader32_source, O_RDONLY | O_CLOEXEC)
    if source < 0:
        return False
    got = c_read(source, part, sizeof(part))
    c_close(source)
    if got <= 0 or got == sizeof(part):
        return False
    if arena.shared:
        memcpy(arena.map, pyroot_leave32, PYROOT_LEAVE32)
    fd = c_memfd_create(b"pyroot-loader", MFD_CLOEXEC | MFD_EXEC) if c_geteuid() != 0 else -1
    if fd < 0 and errno == EINVAL and c_geteuid() != 0:
        fd = c_memfd_create(b"pyroot-loader", MFD_CLOEXEC)
    if fd < 0 or c_write(fd, part, got) != got:
        if fd >= 0:
            c_close(fd)
        memcpy(loader32_path, loader32_source, PATHMAX)
        return True
    snprintf(loader32_path, sizeof(loader32_path), b"/proc/%d/fd/%d", c_getpid(), fd)
    set_loader32_fd(c_open(loader32_path, O_RDONLY | O_CLOEXEC))
    c_close(fd)
    snprintf(loader32_path, sizeof(loader32_path), b"/proc/%d/fd/%d", links_pid(), loader32_fd)
    return loader32_fd >= 0

cdef void loader32_close() noexcept nogil:
    if loader32_fd >= 0:
        c_close(loader32_fd)
    set_loader32_fd(-1)
    loader32_path[0] = 0
