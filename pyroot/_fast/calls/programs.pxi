# What execve(2) has to know of a file: may it be executed, is it a script, which ELF interpreter does it ask for.
#
# A shell executes the same few programs again and again, so the answers are kept, but only as long as they cannot be wrong: by
# the file's identity with its ctime, never for a file that changed within the last moments (a timestamp has a grain), and never
# for longer than KEEP_SPAN, since a mount can become noexec without a trace on the file.

cdef extern from * nogil:
    """
    #include <time.h>
    struct pyroot_identity { unsigned long long dev, ino, mnt, size; long long ctime; unsigned uid, mode; };
    /* Where statx(2) is refused (old containers) nobody knows the mount: no two identities are the same then. */
    static int pyroot_identify_by_stat(int fd, struct pyroot_identity *to) {
        static unsigned long long times;
        struct stat s;
        if (fstat(fd, &s) < 0) return -errno;
        to->dev = s.st_dev; to->ino = s.st_ino; to->size = s.st_size; to->uid = s.st_uid; to->mode = s.st_mode;
        to->ctime = s.st_ctim.tv_sec * 1000000000LL + s.st_ctim.tv_nsec;
        to->mnt = ++times;
        return 0;
    }
    static int pyroot_identify(int fd, struct pyroot_identity *to) {
        struct statx x;
        memset(to, 0, sizeof *to);
        if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | 0x1000 /* STATX_MNT_ID */, &x) < 0)
            return errno == EPERM || errno == ENOSYS || errno == EACCES ? pyroot_identify_by_stat(fd, to) : -errno;
        to->dev = (unsigned long long)x.stx_dev_major << 32 | x.stx_dev_minor;
        to->ino = x.stx_ino; to->size = x.stx_size; to->uid = x.stx_uid; to->mode = x.stx_mode;
        to->ctime = x.stx_ctime.tv_sec * 1000000000LL + x.stx_ctime.tv_nsec;
        memcpy(&to->mnt, (char *)&x + 0x90, sizeof to->mnt); /* stx_mnt_id, which older headers do not name */
        return 0;
    }
    static long long pyroot_wall(void) { struct timespec t; clock_gettime(CLOCK_REALTIME, &t); return t.tv_sec * 1000000000LL + t.tv_nsec; }
    """
    struct pyroot_identity:
        unsigned long long dev, ino, mnt, size
        long long ctime
        unsigned int uid, mode
    int pyroot_identify(int, pyroot_identity *)
    long long pyroot_wall()

cdef enum:
    HEAD = 256               # BINPRM_BUF_SIZE
    PROGRAMS = 64
    INTERPRETERS = 8
    KEEP_SPAN = 100000000    # ns
    YOUNG = 50000000         # ns: a file that changed so recently may change again under the same ctime
    PT_INTERP_ = 3

cdef struct Program:
    pyroot_identity id
    uint64_t checked         # when, in ns; 0: empty
    uint64_t writes          # `writes` when nobody had the file open for writing
    bint same                # that was read from the file with this identity
    int have                 # bytes in head
    char head[HEAD]
    bint compat              # a 32-bit program
    int elf                  # 0, or the -errno that the kernel's checks of an ELF program end with
    char interp[PATHMAX]     # its PT_INTERP, empty if it has none

cdef struct Interpreter:     # where the text of a PT_INTERP led to
    uint64_t checked, changes
    bint compat              # for 32-bit programs
    int view                 # where the text was looked up
    char text[64]
    char host[PATHMAX]

cdef int fd_reserve = 256    # descriptors from here on are for the calls at hand
cdef Program programs[PROGRAMS]
cdef Program program_young   # the last one that is not kept
cdef Interpreter interpreters[INTERPRETERS]
cdef int program_file = -1   # what program_find has opened: the loader takes it over, so that the file is opened once
cdef uint64_t writes = 0     # files opened for writing by guests
cdef uint64_t changes = 0    # names moved or removed by guests, rights changed

cdef inline void note_writing(uint64_t flags) noexcept nogil:
    global writes
    if flags & (O_ACCMODE | O_TRUNC):
        writes += 1

cdef void program_file_keep(int fd) noexcept nogil:
    """Keep a descriptor in the place of the last one; -1: none."""
    global program_file
    if program_file >= 0:
        c_close(program_file)
    program_file = fd

cdef int program_file_take() noexcept nogil:
    """Hand the kept descriptor over, -1 if there is none."""
    global program_file
    cdef int fd = program_file
    program_file = -1
    return fd

cdef inline bint files_are_handed() noexcept nogil:
    """Say whether the loader may take our descriptors: not if it may run as another user, nor where our process id may be another's."""
    return c_geteuid() != 0 and not privileged and nesting == 0

cdef inline void note_change() noexcept nogil:
    global changes
    changes += 1

cdef int open_elsewhere(int fd) noexcept nogil:
    """Say -ETXTBSY if somebody has the file open for writing: that is when a read lease is refused."""
    if c_fcntl(fd, F_SETLEASE, F_RDLCK) == 0:
        c_fcntl(fd, F_SETLEASE, F_UNLCK)
        return 0
    return -ETXTBSY if errno == EAGAIN else 0

cdef int program_find(const char *host, int place, Program **found, int *keep) noexcept nogil:
    """Check a file as execve would and tell what it is; 0 or -errno.

    ``place`` is an O_PATH descriptor of it or -1; it goes to ``keep``, or is closed if that is NULL or descriptors are scarce.
    The entry is valid until the next call.
    """
    cdef pyroot_identity id
    cdef Program *p
    cdef int result, fd
    cdef uint64_t now = pyroot_now()
    program_file_keep(-1)
    if place < 0:
        place = c_open(host, O_PATH | O_CLOEXEC)
        if place < 0:
            return -errno
    result = pyroot_identify(place, &id)
    if result == 0 and not S_ISREG(id.mode):
        # a descriptor of a link itself is the one way to come upon a link here
        result = -ELOOP if S_ISLNK(id.mode) else -EACCES
    if result == 0 and exec_may != NULL:
        result = exec_may(place)
    if result < 0:
        c_close(place)
        return result
    stats.programs += 1
    p = &programs[(id.ino ^ id.dev) & (PROGRAMS - 1)]
    if p.checked == 0 or now - p.checked > KEEP_SPAN or memcmp(&p.id, &id, sizeof(id)) != 0:
        if pyroot_wall() - id.ctime < YOUNG:
            p = &program_young
        p.checked = 0
        p.id = id
        result = program_read(host, place, p)
        if result == 0 and p.elf == 0 and p.same:
            p.checked = now
            p.writes = writes
    else:
        stats.programs_kept += 1
        chain.opened = True
        if p.writes != writes and id.uid == c_geteuid():
            fd = c_open(host, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
            result = -errno if fd < 0 else open_elsewhere(fd)
            if fd >= 0:
                c_close(fd)
            if result == 0:
                p.writes = writes
    if keep != NULL and result == 0 and place < fd_reserve:
        keep[0] = place
    else:
        c_close(place)
    found[0] = p
    return result

cdef int program_read(const char *host, int place, Program *p) noexcept nogil:
    """Find out all about the file behind the descriptor, in the order of the kernel's checks."""
    cdef c_statvfs vfs
    cdef c_stat st
    cdef int fd, result = 0
    if c_fstatvfs(place, &vfs) == 0 and vfs.f_flag & ST_NOEXEC:
        return -EACCES
    if accessible(AT_FDCWD, host, X_OK) < 0:
        return -errno
    chain.opened = True
    fd = c_open(host, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    if fd < 0:
        return -errno
    # a file that was put into its place meanwhile is as good, but not what the identity tells
    p.same = c_fstat(fd, &st) == 0 and st.st_ino == p.id.ino
    if st.st_uid == c_geteuid():
        result = open_elsewhere(fd)
    if result == 0:
        memset(p.head, 0, HEAD)
        p.have = <int>c_pread(fd, p.head, HEAD, 0)
        if p.have < 0:
            result = -EIO
        else:
            p.interp[0] = 0
            p.elf = elf_read(p, fd) if memcmp(p.head, b"\177ELF", 4) == 0 else 0
    if result == 0 and p.elf == 0 and fd < fd_reserve and files_are_handed():
        program_file_keep(fd)
    else:
        c_close(fd)
    return result

cdef int elf_read(Program *p, int fd) noexcept nogil:
    """Check an ELF program and note its PT_INTERP; 0 or -errno."""
    cdef uint8_t ph[56 * 64]
    cdef const uint8_t *head = <const uint8_t *>p.head
    cdef uint64_t offset
    cdef int count, i, j, batch
    cdef uint16_t etype, machine, size
    memcpy(&etype, head + 16, 2)
    memcpy(&machine, head + 18, 2)
    p.compat = compat_elf(machine)
    if p.compat:
        return elf32_read(p, fd)
    if p.have < 64:
        return -ENOEXEC
    memcpy(&offset, head + 32, 8)
    memcpy(&size, head + 54, 2)
    count = head[56] | head[57] << 8
    if not native_elf(machine) or (etype != 2 and etype != 3) or size != 56 or count < 1 or count > 65536 // 56:
        return -ENOEXEC
    if count > 64 and c_pread(fd, ph, 1, offset + count * 56 - 1) != 1:
        # the kernel reads all of them before it looks at one
        return -ENOEXEC
    for i in range(0, count, 64):
        batch = count - i if count - i < 64 else 64
        if c_pread(fd, ph, batch * 56, offset + i * 56) != batch * 56:
            return -ENOEXEC
        for j in range(batch):
            if (<uint32_t *>(ph + j * 56))[0] == PT_INTERP_:
                return elf_read_interp(p, fd, (<uint64_t *>(ph + j * 56 + 8))[0], (<uint64_t *>(ph + j * 56 + 32))[0])
    return 0

cdef int elf_read_interp(Program *p, int fd, uint64_t offset, uint64_t size) noexcept nogil:
    cdef ssize_t got
    if size < 2 or size > PATHMAX:
        return -ENOEXEC
    got = c_pread(fd, p.interp, size, offset)
    if got != <ssize_t>size:
        return -errno if got < 0 else -EIO
    if p.interp[size - 1] != 0:
        return -ENOEXEC
    # without a name it is the working directory, and that is not a program
    return 0 if p.interp[0] != 0 else -EACCES

cdef int interpreter_find(Tracee *t, const char *path, bint compat) noexcept nogil:
    """Resolve a PT_INTERP into chain.interp and check the file; 0 or -errno."""
    cdef char text[PATHMAX]      # the path lies in an entry that may be used anew
    memcpy(text, path, strlen(path) + 1)
    cdef Interpreter *e = &interpreters[hash_more(FNV, text, <int>strlen(text)) & (INTERPRETERS - 1)]
    cdef Program *p
    cdef uint64_t now = pyroot_now(), seen = changes
    cdef uint16_t machine
    cdef int result
    cdef bint keep = t.fs == NULL or t.fs.root == NULL       # the text means another file below a nested root
    stats.interpreters += 1
    if not keep or e.compat != compat or e.view != t.view.id or strcmp(e.text, text) != 0:
        pass
    elif e.checked != 0 and e.changes == changes and now - e.checked <= KEEP_SPAN:
        stats.interpreters_kept += 1
        memcpy(chain.interp, e.host, strlen(e.host) + 1)
        return 0
    result = exec_resolve(t, text)
    if result < 0:
        return result
    if W1.hlen >= PATHMAX:
        return -ENAMETOOLONG
    memcpy(chain.interp, W1.h, W1.hlen + 1)
    result = program_find(chain.interp, walk_take_file(&W1), &p, NULL)
    if result < 0:
        return result
    if p.have < 64:
        return -EIO
    machine = (<uint16_t *>(p.head + 18))[0]
    if memcmp(p.head, b"\177ELF", 4) != 0 or not (compat_elf(machine) if compat else native_elf(machine)):
        return -ELIBBAD
    if keep and text[0] == c'/' and not W1.jumped and strlen(text) < sizeof(e.text):
        e.checked = now
        e.changes = seen
        e.compat = compat
        e.view = t.view.id
        memcpy(e.text, text, strlen(text) + 1)
        memcpy(e.host, chain.interp, W1.hlen + 1)
    return 0
