# Whose a file is, and what mode, device and attributes it has for guests: the truth, which a record has where it differs from the default.
#
# By default what is ours looks as if it belonged to the session's first user (0:0), and everything else is as it is on the disk.  A record
# belongs to an inode: its device and number find it, its file handle, or where there is none its birth, says that it is the same one.
# There are two stores, one for what lies in the root, and one in memory for what bindings show of the host.
#
# Decides: which record a file has, and whether it needs one.

cdef extern from "facts.h" nogil:
    ctypedef struct file_facts:
        uint64_t dev, ino, btime
        uint32_t uid, gid, mode, rdev, nlink
        char x[256]
    ctypedef struct store_slot:
        uint64_t ino, gen, btime, made
        uint32_t uid, gid, rdev
        uint16_t mode, left, device, flags
        uint32_t tail, was
    ctypedef struct store_header:
        uint64_t root_ino, root_gen
        uint32_t slots, next, has, devices, tail_number
    ctypedef struct store:
        char path[4096]
        char root[4096]
        char *map
        uint64_t root_dev, root_ino, root_gen, damaged
        int index_fd
    enum:
        STORE_DEAD, STORE_XATTRS, STORE_NODE, STORE_DEFAULTS
        STORE_HAS_SETGID, STORE_HAS_XATTRS, STORE_HAS_NODES, STORE_HAS_DEFAULTS, STORE_HAS_OTHERS
        STORE_DAMAGED, STORE_OTHER_VERSION, STORE_OTHER_USER, STORE_OTHER_ROOT, STORE_TAIL_MOST
    uint64_t store_now()
    int store_open(store *, const char *, const char *, uint64_t, uint64_t, uint64_t)
    void store_close(store *)
    void store_refuse(store *, int)
    int store_index_open(store *)
    void store_index_fill(store *)
    void store_mark_in(store *, uint64_t *, uint32_t, uint32_t *)
    int store_repair(const char *, const char *, uint64_t, uint64_t, uint64_t)
    const store_slot *store_get(store *, uint64_t, uint64_t)
    int store_put(store *, uint64_t, const char *, store_slot *, const void *, uint32_t)
    void store_done(store *, uint64_t, uint64_t)
    int64_t store_tail_put(store *, const void *, uint32_t)
    int64_t store_tail_get(store *, uint32_t, void *, uint32_t)
    store_header *store_head(const store *)
    const store_slot *store_entry(const store *, uint32_t)
    void store_renamed(store *, const char *, const char *)
    uint64_t store_key(const store_slot *)
    int store_collect(store *, const uint64_t *, size_t, uint64_t)
    int facts_look(int, const char *, int, uint32_t, file_facts *)
    uint64_t facts_handle(int, bint)
    bint facts_in_overlay(int, uint64_t)
    void facts_stat(const file_facts *, c_stat *)
    void facts_statx(file_facts *, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t)

cdef extern from "<fcntl.h>" nogil:
    enum:
        AT_NO_AUTOMOUNT

cdef extern from "<errno.h>" nogil:
    enum:
        ENOSPC, ENODATA, EDQUOT

cdef enum:
    KIND_BITS = 0o170000
    KIND_CHAR = 0o020000
    KIND_BLOCK = 0o060000
    KIND_FILE = 0o100000
    KIND_FIFO = 0o010000
    KIND_DIRECTORY = 0o040000
    KIND_SOCKET = 0o140000
    SETUID_BIT = 0o4000
    SETGID_BIT = 0o2000
    SETID_BITS = 0o6000
    GROUP_EXEC = 0o010
    STATX_CTIME_ = 0x80

cdef struct Remembering:
    bint on
    uint32_t us              # the user whose files look like the first user's
    uint32_t uid, gid        # that one
    bint links_guarded       # only who may read and write a file gives it another name (/proc/sys/fs/protected_hardlinks)
    bint keeps               # the root is not the host's own: what the disk has may differ from what guests see
    store root, session

cdef Remembering owners

cdef struct Truth:           # of one file
    file_facts disk
    uint32_t uid, gid, mode, rdev
    bint found               # it has a record:
    store_slot slot
    store *where             # the store that has it, or would have it
    uint64_t gen             # of the file, if it has been asked for
    bint asked

cdef struct Spot:            # where a file lies that a call names
    int fd                   # O_PATH, ours
    int bind                 # of the view; -1: none
    char mount[256]          # mount point of its device below the root, where that is not the root's
    bint mounted
    char place[PATHMAX]      # its host path, "" if there is none

cdef inline bint ours(const Truth *f) noexcept nogil:
    return f.disk.uid == owners.us

cdef uint64_t handle_of(Truth *f, int fd, bint before) noexcept nogil:
    """Return the hash of the file's handle, which is asked for once."""
    if not f.asked or before:
        f.gen = facts_handle(fd, before)
        f.asked = True
    return f.gen

cdef bint slot_is_of(const store_slot *slot, Truth *f, int fd) noexcept nogil:
    """Say whether a record is this file's, and not that of one that had its number before."""
    if slot.gen != 0 and handle_of(f, fd, False) != 0:
        # (a file system without births, such as FUSE, has no generations either: its records go with the last name)
        return slot.gen == f.gen and (f.disk.btime != 0 or (slot.mode ^ f.disk.mode) & KIND_BITS == 0 or slot.flags & STORE_NODE)
    return slot.btime == f.disk.btime

cdef void truth_default(Truth *f) noexcept nogil:
    f.uid, f.gid, f.mode, f.rdev = f.disk.uid, f.disk.gid, f.disk.mode, f.disk.rdev
    if ours(f):
        f.uid, f.gid = owners.uid, owners.gid

cdef bint truth_in(store *s, Truth *f, int fd) noexcept nogil:
    """Look the file up in one store."""
    cdef const store_slot *slot = store_get(s, f.disk.dev, f.disk.ino)
    if slot == NULL or not slot_is_of(slot, f, fd):
        return False
    f.slot = slot[0]
    f.found = True
    f.where = s
    f.uid, f.gid, f.rdev = slot.uid, slot.gid, slot.rdev
    f.mode = slot.mode
    if f.disk.mode == slot.left:
        return True
    if slot.was != 0 and slot.was >> 16 == f.disk.mode:
        # the disk has not been changed yet
        f.mode = slot.was & 0xffff
    elif slot.flags & STORE_NODE:
        f.mode = slot.mode & KIND_BITS | f.disk.mode & 0o7777
    else:
        # somebody outside has changed it
        f.mode = f.disk.mode
    return True

cdef int truth_of(Truth *f, int fd, const char *path, int flags, uint32_t mask) noexcept nogil:
    """Find out what guests see of a file: ``fd`` and ``path`` name it as for statx(2).  0 or -errno."""
    cdef int result = facts_look(fd, path, flags, mask, &f.disk), own = fd
    f.found = f.asked = False
    f.where = NULL
    if result < 0:
        return result
    truth_default(f)
    if owners.root.map == NULL and owners.root.path[0] == 0 and owners.session.map == NULL:
        return 0
    if path[0] != 0:
        if (store_get(&owners.root, f.disk.dev, f.disk.ino) == NULL and owners.root.damaged == 0
                and store_get(&owners.session, f.disk.dev, f.disk.ino) == NULL):
            return 0
        own = c_openat(fd, path, O_PATH | O_CLOEXEC | (O_NOFOLLOW if flags & AT_SYMLINK_NOFOLLOW else 0))
        if own < 0:
            return -errno
        # (it may be another one by now)
        result = truth_of(f, own, b"", 0, mask)
        c_close(own)
        return result
    if truth_in(&owners.root, f, fd):
        return 0
    if owners.root.damaged != 0:
        # (better no answer than a wrong one)
        return -EIO
    truth_in(&owners.session, f, fd)
    return 0

cdef inline uint32_t records_have(uint32_t what) noexcept nogil:
    """Say whether some record has such a thing (STORE_HAS_*)."""
    return ((store_head(&owners.root).has if owners.root.map != NULL else 0)
            | (store_head(&owners.session).has if owners.session.map != NULL else 0)) & what

cdef inline bint is_kept(const Spot *at) noexcept nogil:
    """Say whether a place lies in the root, and what the disk has of it is pyroot's."""
    return at.bind == 0 and owners.keeps

cdef uint32_t safe_mode(const Spot *at, uint32_t mode, bint node) noexcept nogil:
    """Return the mode that the disk gets for one that guests see: what its owner on the host may not lack, and nobody there may have."""
    cdef uint32_t safe = mode & 0o1777
    if node:
        return 0
    if is_kept(at):
        safe |= 0o600
        if S_ISDIR(mode):
            safe |= 0o100
        elif mode & 0o111:
            safe |= 0o100
    return safe

cdef store *store_for(const Spot *at, Truth *f) noexcept nogil:
    """Return the store that is to have the file's record."""
    if f.found:
        return f.where
    if at.bind != 0 or views.base.b[0].over != NULL or (f.disk.dev != owners.root.root_dev and owners.root.path[0] != 0 and not at.mounted):
        return &owners.session
    return &owners.root

cdef int place_add(store *s, const Spot *at, char *tail, int size, int room) noexcept nogil:
    """Add the path of a file that gets a record to its tail: in a copy of the root it is found by it.  Returns the tail's size."""
    cdef int top = <int>strlen(s.root), more
    if s.path[0] == 0 or at.place[0] == 0 or memcmp(at.place, s.root, top) != 0 or at.place[top] != c'/':
        return size
    more = tail_with(tail, size, room, b"", at.place + top, <int>strlen(at.place + top))
    return more if more > 0 else size

cdef int truth_key(const Spot *at, Truth *f) noexcept nogil:
    """Find out what identifies a file that gets its first record; 0 or -errno."""
    cdef bint copied = facts_in_overlay(at.fd, f.disk.dev)
    if handle_of(f, at.fd, copied) != 0 and not copied:
        return 0
    # (with ctime, so that a file that gets the number later has another birth: Linux 6.13)
    return facts_look(at.fd, b"", 0, STATX_CTIME_, &f.disk)

cdef int truth_put(const Spot *at, Truth *f, uint32_t left, uint32_t flags, uint32_t tail) noexcept nogil:
    """Record f.uid, f.gid, f.mode and f.rdev of a file whose mode on the disk is to become ``left``; 0 or -errno."""
    cdef store_slot slot
    cdef store *s = store_for(at, f)
    cdef char hint[PATHMAX + 16]
    cdef int error, hinted = 0
    memset(&slot, 0, sizeof(slot))
    if not f.found:
        error = truth_key(at, f)
        if error < 0:
            return error
        if tail == 0 and not flags & STORE_DEAD:
            hinted = place_add(s, at, hint, 0, sizeof(hint))
    slot.ino, slot.gen, slot.btime, slot.made = f.disk.ino, handle_of(f, at.fd, False), f.disk.btime, store_now()
    slot.uid, slot.gid, slot.mode, slot.rdev, slot.left = f.uid, f.gid, f.mode, f.rdev, left
    slot.flags, slot.tail = flags, tail
    if left != f.disk.mode:
        slot.was = (f.slot.mode if f.found and f.disk.mode == f.slot.left else f.disk.mode) | f.disk.mode << 16
    error = store_put(s, f.disk.dev, at.mount if at.mounted else NULL, &slot, hint if hinted > 0 else NULL, hinted)
    if error < 0:
        return error
    f.slot, f.found, f.where = slot, not flags & STORE_DEAD, s
    return 0

cdef int truth_back(const Spot *at, Truth *f, const Truth *before) noexcept nogil:
    """The disk could not be changed: put the record back as it was."""
    if before.found:
        f.uid, f.gid, f.mode, f.rdev = before.slot.uid, before.slot.gid, before.slot.mode, before.slot.rdev
        return truth_put(at, f, before.slot.left, before.slot.flags, before.slot.tail)
    return truth_put(at, f, f.disk.mode, STORE_DEAD, 0)

cdef bint is_default(const Truth *f, uint32_t left) noexcept nogil:
    """Say whether the file needs no record: what it is to be is what it looks like without."""
    if f.mode != left or (f.found and f.slot.flags & (STORE_NODE | STORE_XATTRS)):
        return False
    if ours(f):
        return f.uid == owners.uid and f.gid == owners.gid
    return f.uid == f.disk.uid and f.gid == f.disk.gid

cdef int truth_write(const Spot *at, Truth *f, uint32_t left) noexcept nogil:
    """Record what f says, or forget the record if it says what is so without; 0 or -errno."""
    if is_default(f, left):
        return truth_put(at, f, left, STORE_DEAD, 0) if f.found else 0
    return truth_put(at, f, left, f.slot.flags & ~<uint32_t>STORE_DEAD if f.found else 0, f.slot.tail if f.found else 0)
