# Guests that put themselves under Landlock (landlock(7)), as sandboxes do.
#
# Their rules name files by descriptors, so they hold for the host's files and need no translation.  But what such a guest may open by
# path is up to its rules from then on, and the kernel shows it nothing of processes outside of its domain: neither the loader nor what the
# supervisor offers by its own /proc/PID/fd.  So before the guest restricts itself the loader's file is added to its rules;
# programs get an arena of private memory and no gate; directories are not pinned; and texts of /proc are the kernel's own.

cdef extern from * nogil:
    """
    static int pyroot_landlock_allow(int ruleset, unsigned long long access, int fd) {
        struct { unsigned long long access; int fd; } __attribute__((packed)) rule = {access, fd};
        return (int)syscall(NR_landlock_add_rule, ruleset, 1 /* LANDLOCK_RULE_PATH_BENEATH */, &rule, 0);
    }
    """
    int pyroot_landlock_allow(int, unsigned long long, int)

cdef enum:
    LANDLOCK_EXECUTE = 1
    LANDLOCK_READ_FILE = 4
    LANDLOCK_TSYNC = 8       # a flag of landlock_restrict_self: all threads of the process

cdef char loader_installed[PATHMAX]     # "" inside another pyroot, whose file that is not

cdef void landlock_allow(int ruleset, const char *path) noexcept nogil:
    """Add a file that may be executed to a guest's rules: an access that they do not handle is free anyway."""
    cdef int fd = c_open(path, O_PATH | O_CLOEXEC)
    if fd < 0:
        return
    if pyroot_landlock_allow(ruleset, LANDLOCK_EXECUTE | LANDLOCK_READ_FILE, fd) < 0 and errno == EINVAL:
        if pyroot_landlock_allow(ruleset, LANDLOCK_EXECUTE, fd) < 0 and errno == EINVAL:
            pyroot_landlock_allow(ruleset, LANDLOCK_READ_FILE, fd)
    c_close(fd)

cdef int on_landlock(Tracee *t, const pyroot_row *row) noexcept nogil:
    """landlock_restrict_self(2)."""
    cdef int i, k, ruleset = guest_socket(t, <int>t.call.args[0])
    cdef Tracee *other
    if ruleset >= 0 and loader_installed[0] != 0:
        landlock_allow(ruleset, loader_installed)
        landlock_allow(ruleset, loader32_source)
    if ruleset >= 0:
        c_close(ruleset)
    t.landlocked = True
    gate_quit(t)
    for i in range(TID_TOP if t.call.args[1] & LANDLOCK_TSYNC else 0):
        for k in range(TID_LEAF if tracees.leaf[i] != NULL else 0):
            other = tracees.leaf[i][k]
            if other != NULL and other.tgid == t.tgid:
                other.landlocked = True
    return as_is(b"no path: it only takes rights away")

cdef int landlock_program(Tracee *t, const char *host, char *to, int size) noexcept nogil:
    """Name a program that a descriptor leads to for a loader to which our descriptors are closed: as the guest did, where that lasts.

    The descriptor must not be one of the guest's that the exec closes: -EACCES.
    """
    cdef int pid = 0, fd = -1
    cdef int n = 6 + parse_pid(host + 6, &pid)
    cdef Tracee *owner = tracee_get(pid)
    if owner == NULL or owner.tgid != t.tgid:
        snprintf(to, size, b"%s", host)
        return 0
    if strncmp(host + n, b"/fd/", 4) != 0 or parse_pid(host + n + 4, &fd) == 0 or fd_closes_on_exec(t, fd):
        return -EACCES
    snprintf(to, size, b"/proc/self/fd/%d", fd)
    return 0
