# What has to be known and made before the first guest starts: the kernel's settings, the pyroot around this one, the loaders.

cdef void nesting_prepare() noexcept nogil:
    """Ask the pyroot around this one, if there is one, how deep we are: its pages are at other addresses, its marks differ."""
    global nesting, filter_mark, pyroot_shift, loader32_shift
    cdef long depth = c_syscall(SYS_ptrace, <long>PTRACE_NESTING, 0, 0, 0)
    nesting = <int>depth if depth > 0 else 0
    filter_mark = 0x8000 + nesting
    pyroot_shift = shift_of(nesting)
    loader32_shift = compat_shift_of(nesting)

cdef int settings_read() except -1:
    """Read the kernel's settings that change path resolution, and whether the kernel would refuse us privileged calls."""
    global protected_symlinks, privileged, comm_from_file, proc_dev, filters_around
    cdef char text[8]
    cdef int fd = c_open(b"/proc/sys/fs/protected_symlinks", O_RDONLY | O_CLOEXEC)
    if fd >= 0:
        protected_symlinks = c_read(fd, text, 8) > 0 and text[0] == c'1'
        c_close(fd)
    cdef c_stat st
    proc_dev = st.st_dev if fstatat(AT_FDCWD, b"/proc", &st, 0) == 0 else 0
    seals_prepare()
    filters_around = 0
    if prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 0:
        filters_around = max(1, status_field(c_getpid(), b"Seccomp_filters:\t"))
    privileged = effective_caps(0) & (1 << CAP_DAC_READ_SEARCH_ | 1 << CAP_SYS_PACCT_ | 1 << CAP_SYS_ADMIN_) != 0
    release = _os.uname().release.split(".")
    comm_from_file = [int(part) for part in release[:2] if part.isdigit()] >= [6, 14]
    return 0

cdef int _loader_install() except -2:
    """Make the loader executable for guests: a memfd (root: the installed file, for guests that change their uid)."""
    # (beside this module: importing the package would cost more than reading the loader)
    source = _os.path.join(_os.path.dirname(__file__), "guest", "loader-" + MACHINE.decode())
    encoded = _os.fsencode(source)
    encoded32 = encoded.removesuffix(MACHINE) + COMPAT_MACHINE + (b"-nested" if loader32_shift else b"")
    if len(encoded32) >= PATHMAX:
        raise CoreError("the installation path is too long")
    memcpy(loader32_source, <const char *>encoded32, len(encoded32) + 1)
    with open(source, "rb") as file:
        image = file.read()
    loader_installed[0] = 0
    if pyroot_shift:
        return _nested_loader(image)
    memcpy(loader_installed, <const char *>encoded, len(encoded) + 1)
    _code_keep(image)
    if c_geteuid() == 0:
        memcpy(loader_path, <const char *>encoded, len(encoded) + 1)
        return -1
    return _loader_memfd(image, encoded)

cdef int _code_keep(bytes image) except -1:
    """Put the code that stays in guests after the arena: the stubs, the gate if there is one, and nothing of the rest of the loader.

    Guests map it shared, from a file that they may only read, so that they cannot change what is exempt from the filter.
    """
    cdef ssize_t first = int.from_bytes(image[32:40], "little")
    cdef ssize_t start = int.from_bytes(image[first + 8:first + 16], "little")
    cdef int n = LOADER_STUBS_SIZE + (LOADER_GATE_SIZE if gate != NULL else 0)
    if arena.map == NULL:
        return 0
    # (traps, as between the stubs)
    code = image[start:start + n].ljust(LOADER_KEPT, bytes([CODE_FILL]))
    memcpy(arena.map + ARENA_SIZE, <const char *>code, LOADER_KEPT)
    arena.code = True
    return 0

cdef int _nested_loader(bytes image) except -2:
    """Make a loader whose pages lie beside those of the pyroot around us."""
    image = loader_moved(image)
    _code_keep(image)
    return _loader_memfd(image, b"")

cdef int loader_fd = -1      # of the memfd, where there is one

cdef int _loader_memfd(bytes image, bytes encoded) except -2:
    global loader_fd
    cdef int fd
    fd = c_memfd_create(b"pyroot-loader", MFD_CLOEXEC | MFD_EXEC)
    if fd < 0 and errno == EINVAL:
        fd = c_memfd_create(b"pyroot-loader", MFD_CLOEXEC)
    if fd < 0 and not encoded:
        raise CoreError("a loader for a pyroot inside a pyroot could not be made")
    if fd < 0:
        memcpy(loader_path, <const char *>encoded, len(encoded) + 1)
        return -1
    if c_write(fd, <const char *>image, len(image)) != len(image):
        # a limit on the size of files
        c_close(fd)
        memcpy(loader_path, <const char *>encoded, len(encoded) + 1)
        return -1
    # a descriptor that is open for writing would make every exec fail with ETXTBSY
    snprintf(loader_path, sizeof(loader_path), b"/proc/%d/fd/%d", c_getpid(), fd)
    loader_fd = c_open(loader_path, O_RDONLY | O_CLOEXEC)
    c_close(fd)
    loader_name()
    return loader_fd

cdef void loader_name() noexcept nogil:
    if loader_fd >= 0:
        snprintf(loader_path, sizeof(loader_path), b"/proc/%d/fd/%d", links_pid(), loader_fd)

cdef void loader_close() noexcept:
    global loader_fd
    if loader_fd >= 0:
        c_close(loader_fd)
    loader_fd = -1


def self_check():
    """Say whether this kernel lets us work: {"seccomp": bool, "openat2": bool, "landlock": its version, 0 for none}."""
    cdef open_how how
    cdef int fd
    memset(&how, 0, sizeof(how))
    how.flags = O_PATH | O_CLOEXEC
    fd = <int>c_syscall(NR_openat2, AT_FDCWD, b"/", &how, sizeof(how))
    if fd >= 0:
        c_close(fd)
    # SECCOMP_GET_ACTION_AVAIL (2) of SECCOMP_RET_TRACE
    cdef uint32_t action = 0x7ff00000
    cdef bint filters = c_syscall(SYS_seccomp, 2, 0, &action) == 0
    if not filters and is_refusal(errno):
        # the other way to install one: no filter at NULL
        filters = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL) < 0 and errno == EFAULT
    return {"seccomp": filters, "openat2": fd >= 0, "landlock": max(0, pyroot_net_abi())}
