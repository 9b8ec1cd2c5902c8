# What is made: whose it is, and what stands on the disk for a device.
#
# What the first user makes has the default owner, and needs nothing.  Otherwise (another user; a directory with the set-group-ID bit,
# which gives its group, and to directories its bit, or with a default access control list) the record is made at the end of the call.
# Set-id bits never reach the disk.
#
# A device is a char 0:0 on the disk, which everybody may make, with mode 000, so that every open of it comes to the supervisor.  It is made
# where nobody sees it, recorded, and only then gets its name.
#
# Decides: the owner of what is new.

cdef extern from "<unistd.h>" nogil:
    int c_mknodat "mknodat"(int, const char *, unsigned int, unsigned long)
    int c_unlinkat "unlinkat"(int, const char *, int)
    int c_linkat "linkat"(int, const char *, int, const char *, int)

cdef struct Maker:           # of what is about to be made
    uint32_t uid, gid, bits  # bits: of the mode, which the disk does not get
    uint32_t mode            # as the call has it, before the umask: a default list counts in its place
    bint inherits            # a directory gets the set-group-ID bit
    bint writes              # the maker has it open for writing, and may not keep set-id bits then
    char *list               # the directory's default list, owned; NULL: none
    int list_size

cdef struct MakeEnd:
    uint64_t since           # ns: what is older is not what was made
    Maker maker
    int dir                  # O_PATH descriptor of the directory, -1: the result is a descriptor of what was made
    char *name               # owned

cdef extern from * nogil:
    """
    #include <time.h>
    static unsigned long long pyroot_birth_clock(void)
    {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME_COARSE, &t);
        return (unsigned long long)t.tv_sec * 1000000000u + (unsigned long long)t.tv_nsec;
    }
    """
    uint64_t pyroot_birth_clock()   # the clock that births are of: what is made from now on is not older (ns)

cdef bint maker_of(Tracee *t, const Truth *parent, uint32_t mode, bint directory, Maker *m) noexcept nogil:
    """Find out whose something new in a directory is; say whether that has to be recorded."""
    m.uid, m.gid, m.bits, m.mode, m.inherits = who_uid(t), who_gid(t), mode & SETID_BITS, mode, False
    m.writes = False
    m.list_size = list_of_new(parent, &m.list)
    if parent.mode & SETGID_BIT:
        m.gid = parent.gid
        m.inherits = directory
        if m.bits & SETGID_BIT and mode & GROUP_EXEC and not who_in_group(t, m.gid) and not who_may(t, CAP_FSETID_):
            m.bits &= ~<uint32_t>SETGID_BIT
    if m.uid != owners.uid or m.gid != owners.gid or m.bits != 0 or m.list_size > 0:
        return True
    return m.inherits and not parent.disk.mode & SETGID_BIT

cdef inline bint making_is_plain(Tracee *t, uint32_t mode) noexcept nogil:
    """Say whether the owner of something new can be but the default."""
    return who_is_plain(t) and mode & SETID_BITS == 0 and records_have(STORE_HAS_SETGID | STORE_HAS_DEFAULTS) == 0

cdef int made_here(Tracee *t, const Spot *at, const Maker *m, uint64_t since) noexcept nogil:
    """Record the owner of what has just been made, unless somebody has done so already; 0 or -errno."""
    cdef Truth f
    cdef int error = truth_of(&f, at.fd, b"", 0, 0)
    if error < 0 or f.found or not ours(&f) or (f.disk.btime != 0 and f.disk.btime < since):
        return 0
    f.uid, f.gid = m.uid, m.gid
    f.mode |= m.bits | (SETGID_BIT if m.inherits and S_ISDIR(f.mode) else 0)
    if m.list_size > 0 and not S_ISLNK(f.mode):
        return list_inherit(at, &f, m.list, m.list_size, m.mode, t if m.writes else NULL)
    if m.writes:
        f.mode = mode_without_setid(t, &f)
    return truth_write(at, &f, f.disk.mode)

cdef int end_make(Tracee *t, After *a, int64_t result) noexcept nogil:
    cdef MakeEnd *e = <MakeEnd *>a.data
    cdef Spot at
    cdef char link[40]
    cdef char text[PATHMAX]
    cdef int n, error
    if result < 0:
        return R_CONT
    if e.dir < 0:
        if spot_of_fd(t, <int>result, &at) < 0:
            return R_CONT
    else:
        at.fd = c_openat(e.dir, e.name, O_PATH | O_NOFOLLOW | O_CLOEXEC)
        if at.fd < 0:
            return R_CONT
        at.bind, at.mounted = -1, False
        at.place[0] = 0
        snprintf(link, sizeof(link), b"/proc/self/fd/%d", at.fd)
        n = <int>c_readlink(link, text, PATHMAX - 1)
        if n > 0 and text[0] == c'/':
            spot_lies(t, &at, text, n, -1)
    error = made_here(t, &at, &e.maker, e.since)
    spot_drop(&at)
    if error < 0:
        # (it is there, but not as it was asked for)
        if e.dir >= 0 and c_unlinkat(e.dir, e.name, 0) < 0:
            c_unlinkat(e.dir, e.name, AT_REMOVEDIR_)
        return R_CONT if reg_set_result(t, <uint64_t><int64_t>error) == 0 else R_DEAD
    return R_CONT

cdef void drop_make(After *a) noexcept nogil:
    cdef MakeEnd *e = <MakeEnd *>a.data
    if e.dir >= 0:
        c_close(e.dir)
    free(e.name)
    free(e.maker.list)

cdef void make_expect(Tracee *t, const Maker *m, int dir, const char *name, int n) noexcept nogil:
    """Record the owner at the end of the call; takes the descriptor over."""
    cdef MakeEnd *e = <MakeEnd *>after(t, end_make, 0)
    after_last(t).drop = drop_make
    e.since, e.maker, e.dir = pyroot_birth_clock(), m[0], dir
    e.name = dup_bytes(name, n) if name != NULL else NULL

# -- the directory ------------------------------------------------------------------------------------------------------------------

cdef int open_parent(Walk *w) noexcept nogil:
    """Open the directory that a walk's last name lies in; an O_PATH descriptor or -errno."""
    cdef open_how how
    cdef int fd, cut = w.placelen - w.namelen
    cdef char saved[2]
    memset(&how, 0, sizeof(how))
    how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC
    how.resolve = 0 if w.held or w.anchored or w.bi < 0 else RESOLVE_NO_SYMLINKS
    saved[0], saved[1] = w.h[cut], w.h[cut + 1]
    w.h[cut], w.h[cut + 1] = c'.', 0
    if have_openat2:
        fd = <int>c_syscall(NR_openat2, AT_FDCWD, w.h, &how, sizeof(how))
    else:
        fd = c_open(w.h, O_PATH | O_DIRECTORY | O_CLOEXEC)
    fd = fd if fd >= 0 else -errno
    w.h[cut], w.h[cut + 1] = saved[0], saved[1]
    return fd

cdef int dir_judge(Tracee *t, int fd, int wanted, Truth *parent, bint look) noexcept nogil:
    """See to it that a directory may be changed by whoever may by the records; 0 or -errno.  ``look``: ``parent`` is wanted."""
    cdef Spot at
    cdef char link[40]
    cdef char text[PATHMAX]
    cdef int n, error, rights
    snprintf(link, sizeof(link), b"/proc/self/fd/%d", fd)
    error = 0 if accessible(AT_FDCWD, link, wanted) == 0 else -errno
    if error == 0 and not look and who_may(t, CAP_DAC_OVERRIDE_):
        return 0
    if error < 0 and error != -EACCES:
        return error
    rights = truth_of(parent, fd, b"", 0, 0)
    if rights < 0 or not (ours(parent) or parent.found):
        return error
    rights = who_rights(t, parent, wanted)
    if error == 0 or rights < 0:
        return rights
    n = <int>c_readlink(link, text, PATHMAX - 1)
    if n <= 0 or text[0] != c'/':
        return error
    at.fd = fd
    spot_lies(t, &at, text, n, -1)
    return 0 if adopt_file(&at, parent) else error

cdef int sticky_judge(Tracee *t, int dir, const char *name, const Truth *parent) noexcept nogil:
    """In a sticky directory only the owner of a name or of the directory may remove it (__check_sticky)."""
    cdef Truth f
    if not parent.mode & S_ISVTX or who_uid(t) == parent.uid or who_may(t, CAP_FOWNER_):
        return 0
    if truth_of(&f, dir, name, AT_SYMLINK_NOFOLLOW, 0) < 0 or who_uid(t) == f.uid:
        return 0
    return -EPERM

cdef int name_judge(Tracee *t, const pyroot_row *row, Walk *w) noexcept nogil:
    """Judge a name that is to be made, removed or moved: by its directory."""
    cdef Truth parent
    cdef Maker m
    cdef char name[256]
    cdef int dir, error
    cdef bint makes = is_making(t.call.nr), whole = who_may(t, CAP_DAC_OVERRIDE_)
    if w.last != LAST_NORM or w.namelen <= 0 or w.namelen > 255 or (is_proc(w.h, w.hlen) and not w.held):
        return 0
    if (t.call.nr == NR_link or t.call.nr == NR_linkat) and w == &W1:
        return 0
    dir = open_parent(w)
    if dir < 0:
        return 0
    memcpy(name, w.h + w.placelen - w.namelen, w.namelen)
    name[w.namelen] = 0
    if row.handler == H_RENAME and accessible(AT_FDCWD, w.h, W_OK) < 0 and errno == EACCES:
        # (a directory that changes its parent is written to)
        adopt_for(t, w.h, False, W_OK)
    if row.handler == H_RENAME and w == &W2:
        move_note(t)
    makes = makes and not making_is_plain(t, 0)
    if row.remove or (row.handler == H_RENAME and w == &W2):
        birthless_end(dir, name)
    if not whole and row.handler == H_RENAME:
        error = dir_judge(t, dir, X_OK, &parent, False)
        if error < 0 or rename_is_odd():
            c_close(dir)
            return error if error == -EACCES else 0
    if (not whole and row.handler != H_RENAME and w != &W2
            and facts_look(dir, name, AT_SYMLINK_NOFOLLOW, 0, &parent.disk) == (0 if is_making(t.call.nr) else -ENOENT)):
        # (the kernel sees that first)
        c_close(dir)
        return 0
    if w == &W2 and row.handler == H_LINK and not who_may(t, CAP_FOWNER_):
        error = link_judge(t, dir, name)
        if error != 0:
            c_close(dir)
            return error if error < 0 else 0
    error = dir_judge(t, dir, W_OK | X_OK, &parent, makes)
    if error == 0 and not makes and not whole and parent_is_ours(&parent):
        error = sticky_judge(t, dir, name, &parent)
    if error == 0 and not whole and row.handler == H_RENAME and w == &W2:
        error = turn_judge(t, W1.h)
        if error == 0 and t.call.nr == NR_renameat2 and t.call.args[4] & 2:
            error = turn_judge(t, W2.h)
    if error == 0 and makes:
        if maker_of(t, &parent, making_mode(t, row), t.call.nr == NR_mkdir or t.call.nr == NR_mkdirat, &m):
            make_expect(t, &m, dir, name, w.namelen)
            return 0
        free(m.list)
    c_close(dir)
    # (the kernel finds what comes before)
    return error if error == -EPERM or (error == -EACCES and not whole) else 0

cdef int who_connects(Tracee *t, Walk *w) noexcept nogil:
    """Who connects to a socket must be allowed to write to it; 0 or -EACCES."""
    cdef Truth f
    if truth_of(&f, AT_FDCWD, w.h, 0, 0) < 0 or not (ours(&f) or f.found) or f.mode & KIND_BITS != KIND_SOCKET:
        return 0
    if who_rights(t, &f, W_OK) < 0:
        return -EACCES
    if not disk_rights(&f) & W_OK:
        adopt_for(t, w.h, True, W_OK)
    return 0

cdef uint32_t making_mode(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Return the mode of a call that makes a name, without what the kernel does not take from it."""
    if t.call.nr == NR_symlink or t.call.nr == NR_symlinkat:
        return 0
    if t.call.nr == NR_bind:
        return 0o777
    return <uint32_t>t.call.args[row.path + 1] & 0o1777

cdef void move_note(Tracee *t) noexcept nogil:
    """Note a rename within the root."""
    cdef int top = views.base.b[0].hostlen
    cdef char one, two
    if owners.root.map == NULL or W1.bi != 0 or W2.bi != 0 or W1.held or W2.held or W1.v != views.base:
        return
    one, two = W1.h[W1.placelen], W2.h[W2.placelen]
    W1.h[W1.placelen] = W2.h[W2.placelen] = 0
    store_renamed(&owners.root, W1.h + top, W2.h + top)
    if t.call.nr == NR_renameat2 and t.call.args[4] & 2:
        store_renamed(&owners.root, W2.h + top, W1.h + top)
    W1.h[W1.placelen], W2.h[W2.placelen] = one, two

cdef int name_look(Walk *w, file_facts *f) noexcept nogil:
    """Look at what has the name that a walk has found, whatever stands after it; 0 or -errno."""
    cdef char end = w.h[w.placelen]
    cdef int result
    w.h[w.placelen] = 0
    result = facts_look(AT_FDCWD, w.h, AT_SYMLINK_NOFOLLOW, 0, f)
    w.h[w.placelen] = end
    return result

cdef bint rename_is_odd() noexcept nogil:
    """Say whether the kernel has an answer to a rename that comes before the question who may (do_renameat2, vfs_rename)."""
    cdef file_facts old, new
    cdef int n1 = W1.placelen, n2 = W2.placelen, there
    if name_look(&W1, &old) < 0:
        return True
    if not S_ISDIR(old.mode) and (W1.slash or W2.slash):
        return True
    if n1 < n2 and memcmp(W1.h, W2.h, n1) == 0 and W2.h[n1] == c'/':
        return True
    if n2 < n1 and memcmp(W1.h, W2.h, n2) == 0 and W1.h[n2] == c'/':
        return True
    there = name_look(&W2, &new)
    return (there < 0 and there != -ENOENT) or (there == 0 and old.dev == new.dev and old.ino == new.ino)

cdef int turn_judge(Tracee *t, const char *host) noexcept nogil:
    """A directory that gets another parent is written to: its .. changes; 0 or -EACCES."""
    cdef Truth f
    cdef file_facts over
    cdef int n = W1.placelen - W1.namelen
    if n == W2.placelen - W2.namelen and memcmp(W1.h, W2.h, n) == 0:
        return 0
    if truth_of(&f, AT_FDCWD, host, AT_SYMLINK_NOFOLLOW, 0) < 0 or not (ours(&f) or f.found) or not S_ISDIR(f.mode):
        return 0
    if name_look(&W2, &over) == 0 and not S_ISDIR(over.mode):
        # (no directory takes its place)
        return 0
    return who_rights(t, &f, W_OK)

cdef int link_judge(Tracee *t, int dir, const char *name) noexcept nogil:
    """Who does not own a file gives it another name only if that is safe (may_linkat): 0, -EPERM, or 1: the kernel says more."""
    cdef Truth f
    if not owners.links_guarded or W2.slash or facts_look(dir, name, AT_SYMLINK_NOFOLLOW, 0, &f.disk) == 0:
        return 1 if owners.links_guarded else 0
    if truth_of(&f, AT_FDCWD, W1.h, AT_SYMLINK_NOFOLLOW, 0) < 0:
        return 1
    return link_is_safe(t, &f)

cdef int link_is_safe(Tracee *t, const Truth *f) noexcept nogil:
    """0 or -EPERM (safe_hardlink_source)"""
    if not (ours(f) or f.found) or who_uid(t) == f.uid:
        return 0
    if not S_ISREG(f.mode) or f.mode & SETUID_BIT or f.mode & (SETGID_BIT | GROUP_EXEC) == SETGID_BIT | GROUP_EXEC:
        return -EPERM
    return -EPERM if who_rights(t, f, R_OK | W_OK) < 0 else 0

cdef inline bint parent_is_ours(const Truth *parent) noexcept nogil:
    return ours(parent) or parent.found

cdef void birthless_end(int dir, const char *name) noexcept nogil:
    """A name is about to go.  Where the file system knows no births nothing tells the next file with its number from it: forget it."""
    cdef Spot at
    cdef Truth f
    if owners.root.map == NULL and owners.session.map == NULL and owners.root.path[0] == 0:
        return
    if truth_of(&f, dir, name, AT_SYMLINK_NOFOLLOW, 0) < 0 or not f.found or f.disk.btime != 0:
        return
    if not S_ISDIR(f.mode) and f.disk.nlink > 1:
        return
    at.fd = c_openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC)
    if at.fd < 0:
        return
    at.bind, at.mounted = 0 if f.where == &owners.root else -1, False
    at.place[0] = 0
    truth_put(&at, &f, f.disk.mode, STORE_DEAD, 0)
    spot_drop(&at)

cdef inline bint is_making(uint64_t nr) noexcept nogil:
    """Say whether a call makes a file (link only gives one another name)."""
    return (nr == NR_mkdir or nr == NR_mkdirat or nr == NR_mknod or nr == NR_mknodat or nr == NR_symlink or nr == NR_symlinkat
            or nr == NR_bind)

# -- devices -------------------------------------------------------------------------------------------------------------------------

cdef int mknod_take(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Make a device, or a file with set-id bits; others are the kernel's."""
    cdef uint32_t mode = <uint32_t>t.call.args[row.path + 1] & 0xffff, dev = <uint32_t>t.call.args[row.path + 2]
    cdef uint32_t kind = mode & KIND_BITS
    cdef bint node = kind == KIND_BLOCK or (kind == KIND_CHAR and dev != 0)
    cdef Truth parent
    cdef char name[256]
    cdef int outcome, dir, error
    if kind == 0:
        mode |= KIND_FILE
    if not (node or mode & SETID_BITS) or node_type_bad(t) or (node and not who_may(t, CAP_MKNOD_)):
        return TAKE_NOT
    W1.resolve = 0
    W1.want_text = True
    outcome = call_walk(&W1, t, dir_argument(t, row.dirfd), t.call.args[row.path], M_CREATE)
    W1.want_text = False
    if outcome == -ESRCH:
        return R_DEAD
    if outcome < 0 or not W1.valid:
        return answer(t, outcome) if outcome < 0 else TAKE_NOT
    if W1.isbind or W1.slash or W1.last != LAST_NORM or W1.namelen > 255 or (is_proc(W1.h, W1.hlen) and not W1.held):
        return TAKE_NOT
    if is_others(W1.v, W1.pbi):
        return TAKE_NOT
    memcpy(name, W1.h + W1.placelen - W1.namelen, W1.namelen)
    name[W1.namelen] = 0
    dir = open_parent(&W1)
    if dir < 0:
        return answer(t, dir)
    error = -EEXIST if facts_look(dir, name, AT_SYMLINK_NOFOLLOW, 0, &parent.disk) == 0 else 0
    if error == 0:
        error = dir_judge(t, dir, W_OK | X_OK, &parent, True)
    if error == 0:
        dev = (dev & 0xfff00) << 12 | (dev & 0xff) | (dev >> 12 & 0xfff00) if node else 0
        error = make_node(t, dir, name, mode, dev, &parent)
    c_close(dir)
    return answer(t, error)

cdef int node_on_disk(int dir, const char *name, uint32_t mode, bint node) noexcept nogil:
    """Make what stands for it on the disk."""
    if not node:
        return 0 if c_mknodat(dir, name, mode & ~<uint32_t>SETID_BITS, 0) == 0 else -errno
    if c_mknodat(dir, name, KIND_CHAR, 0) == 0:
        return 0
    if errno != EPERM:
        return -errno
    # (overlayfs has a use of its own for them)
    return 0 if c_mknodat(dir, name, KIND_FILE, 0) == 0 else -errno

cdef int make_node(Tracee *t, int dir, const char *name, uint32_t mode, uint32_t rdev, const Truth *parent) noexcept nogil:
    """Make a device or a file with set-id bits in a directory: 0 or -errno."""
    cdef Spot at
    cdef Truth f
    cdef Maker m
    cdef char link[40]
    cdef char text[PATHMAX]
    cdef char aside[PATHMAX]
    cdef bint node = S_ISCHR_(mode)
    cdef int n, error, folder = store_folder(parent)
    maker_of(t, parent, mode, False, &m)
    if m.list_size == 0:
        mode &= ~umask_of(t.tid)
    snprintf(link, sizeof(link), b"/proc/self/fd/%d", dir)
    n = <int>c_readlink(link, text, PATHMAX - 1)
    snprintf(aside, sizeof(aside), b"made.%d", c_getpid()) if folder >= 0 else snprintf(aside, sizeof(aside), b"%s", name)
    error = node_on_disk(folder if folder >= 0 else dir, aside, mode, node)
    if error < 0:
        free(m.list)
        if folder >= 0:
            c_unlinkat(folder, aside, 0)
            c_close(folder)
        return error
    at.fd = c_openat(folder if folder >= 0 else dir, aside, O_PATH | O_NOFOLLOW | O_CLOEXEC)
    error = -errno if at.fd < 0 else 0
    if error == 0:
        if n > 0 and n + 256 < PATHMAX and text[0] == c'/':
            snprintf(text + n, PATHMAX - n, b"/%s", name)
            at.place[0] = 0
            spot_lies(t, &at, text, <int>strlen(text), -1)
        error = truth_of(&f, at.fd, b"", 0, 0)
        f.uid, f.gid, f.rdev = m.uid, m.gid, rdev
        f.mode = mode & ~<uint32_t>SETID_BITS | m.bits
        if error == 0:
            error = truth_put(&at, &f, f.disk.mode, STORE_NODE, 0) if node else truth_write(&at, &f, f.disk.mode)
        if error == 0 and m.list_size > 0:
            error = list_inherit(&at, &f, m.list, m.list_size, m.mode, NULL)
        spot_drop(&at)
    if error == 0 and folder >= 0:
        error = move_made(folder, aside, dir, name)
    if error < 0:
        c_unlinkat(folder if folder >= 0 else dir, aside, 0)
    if folder >= 0:
        c_close(folder)
    free(m.list)
    return error

cdef inline bint S_ISCHR_(uint32_t mode) noexcept nogil:
    return mode & KIND_BITS == KIND_CHAR or mode & KIND_BITS == KIND_BLOCK

cdef int move_made(int folder, const char *aside, int dir, const char *name) noexcept nogil:
    """Give it its name, which nothing must have; 0 or -errno."""
    if c_syscall(NR_renameat2, folder, aside, dir, name, 1) == 0:
        return 0
    if errno != EINVAL and errno != ENOSYS:
        return -errno
    if c_linkat(folder, aside, dir, name, 0) < 0:
        return -errno
    c_unlinkat(folder, aside, 0)
    return 0

cdef int store_folder(const Truth *parent) noexcept nogil:
    """Open the folder of the store, in which nobody sees what is made, if it is on the same file system; else -1."""
    cdef char text[PATHMAX]
    cdef c_stat st
    cdef char *slash
    cdef int fd
    snprintf(text, sizeof(text), b"%s", owners.root.path)
    slash = strrchr(text, c'/')
    if slash == NULL or parent.disk.dev != owners.root.root_dev:
        return -1
    slash[0] = 0
    if not is_hidden(text, <int>strlen(text)):
        return -1
    fd = c_open(text, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    if fd < 0:
        c_mkdir(text, 0o700)
        fd = c_open(text, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    if fd >= 0 and (c_fstat(fd, &st) < 0 or st.st_dev != parent.disk.dev):
        c_close(fd)
        fd = -1
    return fd
