# Extended attributes that only root has (trusted.*, security.*) and access control lists: they are in the record, never on the disk.
#
# A list on the disk would open a file to users of the host.  The smallest list says no more than a mode, and is one.  Attributes in which
# other programs keep owners (user.rootlesscontainers, user.containers.*) are theirs: guests do not see them.
#
# Decides: which attributes are in the record, and who may see and set them (xattr(7), fs/xattr.c, fs/posix_acl.c).

cdef extern from "<sys/xattr.h>" nogil:
    ssize_t c_listxattr "listxattr"(const char *, char *, size_t)

cdef enum:
    ATTR_KERNEL = 0          # whose an attribute is
    ATTR_TRUSTED = 1
    ATTR_CAPS = 2
    ATTR_SECURITY = 3
    ATTR_ACL = 4
    ATTR_DEFAULT = 5
    ATTR_FOREIGN = 6
    ATTR_MOST = 65536        # XATTR_SIZE_MAX, XATTR_LIST_MAX
    XATTR_CREATE_ = 1
    XATTR_REPLACE_ = 2

cdef char attr_name[256]
cdef char attr_value[ATTR_MOST]

cdef int attr_kind(const char *name) noexcept nogil:
    if starts(name, b"trusted."):
        return ATTR_TRUSTED
    if strcmp(name, CAPABILITIES) == 0:
        return ATTR_CAPS
    if starts(name, b"security."):
        return ATTR_SECURITY
    if strcmp(name, ACCESS_LIST) == 0:
        return ATTR_ACL
    if strcmp(name, DEFAULT_LIST) == 0:
        return ATTR_DEFAULT
    if strcmp(name, b"user.rootlesscontainers") == 0 or starts(name, b"user.containers."):
        return ATTR_FOREIGN
    if overlays.n > 0 and starts(name, b"user.overlay."):
        return ATTR_FOREIGN
    return ATTR_KERNEL

cdef int tail_save(const Spot *at, Truth *f, uint32_t left) noexcept nogil:
    """Record f with the tail in tail_bytes; 0 or -errno."""
    global tail_size
    cdef uint32_t flags = f.slot.flags & ~<uint32_t>(STORE_DEAD | STORE_XATTRS | STORE_DEFAULTS) if f.found else 0
    cdef int64_t tail = 0
    cdef char name[256]
    cdef const char *value = NULL
    cdef int length = 0, i = 0
    while i >= 0:
        i = tail_next(tail_bytes, tail_size, i, name, &value, &length)
        if i >= 0 and name[0] != 0:
            flags |= STORE_XATTRS
            if strcmp(name, DEFAULT_LIST) == 0:
                flags |= STORE_DEFAULTS
    if tail_size > 0 and not f.found:
        tail_size = place_add(store_for(at, f), at, tail_bytes, tail_size, sizeof(tail_bytes))
    if tail_size > 0:
        tail = store_tail_put(store_for(at, f), tail_bytes, tail_size)
        if tail < 0:
            return <int>tail
    if flags == 0:
        if f.found:
            f.slot.flags = 0
        if is_default(f, left):
            return truth_put(at, f, left, STORE_DEAD, 0) if f.found else 0
    return truth_put(at, f, left, flags, <uint32_t>tail)

cdef int caps_forget(const Spot *at, Truth *f) noexcept nogil:
    """A write or a change of owner takes a file's capabilities away; 0 or -errno."""
    global tail_size
    if not f.found or not f.slot.flags & STORE_XATTRS:
        return 0
    tail_load(f)
    if tail_find(tail_bytes, tail_size, CAPABILITIES) < 0:
        return 0
    tail_size = tail_without(tail_bytes, tail_size, CAPABILITIES)
    return tail_save(at, f, f.disk.mode)

# -- the calls -----------------------------------------------------------------------------------------------------------------------

cdef struct AttrCall:        # what a call says
    int what                 # ATTR_SET, ...
    uint64_t name, value, size, flags
    bint at                  # one of the *at family

cdef enum:
    ATTR_SET = 1
    ATTR_GET = 2
    ATTR_LIST = 3
    ATTR_REMOVE = 4

cdef int attr_call(Tracee *t, const pyroot_row *row, AttrCall *c) noexcept nogil:
    """Sort the arguments; 0, or a negative number if the kernel has to say what is wrong with them."""
    cdef uint64_t given[2]
    cdef int k = 1
    memset(c, 0, sizeof(AttrCall))
    c.at = row.dirfd >= 0
    if find_text(row.name, b"set") != NULL:
        c.what = ATTR_SET
    elif find_text(row.name, b"list") != NULL:
        c.what = ATTR_LIST
    else:
        c.what = ATTR_REMOVE if find_text(row.name, b"remove") != NULL else ATTR_GET
    if c.at:
        if t.call.args[2] & ~<uint64_t>(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
            return -1
        k = 3
    if c.what == ATTR_LIST:
        c.value = t.call.args[k]
        c.size = t.call.args[k + 1]
        return 0
    c.name = t.call.args[k]
    if c.what == ATTR_REMOVE:
        return 0
    if not c.at:
        c.value = t.call.args[k + 1]
        c.size = t.call.args[k + 2]
        if c.what == ATTR_SET:
            c.flags = <uint32_t>t.call.args[k + 3]
        return 0
    if t.call.args[5] != 16 or mem_read(t.tid, t.call.args[4], given, 16) < 0:
        return -1
    c.value = given[0]
    c.size = <uint32_t>given[1]
    c.flags = given[1] >> 32
    return -1 if c.what == ATTR_GET and c.flags != 0 else 0

cdef int attr_take(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Answer a call about an attribute that is in the record, and lists of names."""
    cdef AttrCall c
    cdef Spot at
    cdef Truth f
    cdef int kind = ATTR_KERNEL, error, n
    if attr_call(t, row, &c) < 0:
        return TAKE_NOT
    if c.what != ATTR_LIST:
        n = mem_string(t.tid, c.name, attr_name, 256)
        if n <= 0:
            return TAKE_NOT
        kind = attr_kind(attr_name)
        if kind == ATTR_KERNEL and c.what == ATTR_GET and not starts(attr_name, b"user."):
            return TAKE_NOT
        if kind != ATTR_FOREIGN and kind != ATTR_KERNEL and c.what == ATTR_GET and records_have(STORE_HAS_XATTRS) == 0:
            return TAKE_NOT
    if c.what == ATTR_SET and (c.flags & ~<uint64_t>3 or c.size > ATTR_MOST):
        return TAKE_NOT
    if c.what == ATTR_SET and kind != ATTR_KERNEL and mem_read(t.tid, c.value, attr_value, c.size) < 0:
        return TAKE_NOT
    error = attr_spot(t, row, &c, &at)
    if error == SPOT_NONE:
        return TAKE_NOT
    if error < 0:
        return R_DEAD if error == -ESRCH else answer(t, error)
    if c.what != ATTR_GET and c.what != ATTR_LIST and spot_is_others(&at):
        spot_drop(&at)
        return TAKE_NOT
    error = truth_of(&f, at.fd, b"", 0, 0)
    n = TAKE_NOT
    if error < 0:
        n = error
    elif c.what == ATTR_LIST:
        n = attr_list(t, &c, &at, &f)
    elif kind == ATTR_KERNEL:
        n = attr_rights(t, &c, &at, &f)
    elif c.what == ATTR_GET:
        n = attr_get(t, &c, kind, &f)
    else:
        n = attr_change(t, &c, kind, &at, &f)
    spot_drop(&at)
    if n == TAKE_NOT:
        return n
    return answer(t, n)

cdef int attr_rights(Tracee *t, const AttrCall *c, const Spot *at, Truth *f) noexcept nogil:
    """Judge a look at an attribute of the kernel's, or its change: TAKE_NOT or -EACCES.  What is closed on the disk alone is opened."""
    cdef int wanted = R_OK if c.what == ATTR_GET else W_OK
    if not (ours(f) or f.found) or not (S_ISREG(f.mode) or S_ISDIR(f.mode)):
        return TAKE_NOT
    if S_ISDIR(f.mode) and f.mode & S_ISVTX and wanted == W_OK and starts(attr_name, b"user.") and not who_owns(t, f):
        return -EPERM
    if who_rights(t, f, wanted) < 0:
        return -EACCES
    if disk_rights(f) & wanted != wanted:
        adopt_file(at, f)
    return TAKE_NOT

cdef int attr_spot(Tracee *t, const pyroot_row *row, const AttrCall *c, Spot *at) noexcept nogil:
    cdef int mode, error
    at.fd = -1
    if row.path >= 0:
        mode = path_mode(row, t)
        return spot_of_path(t, dir_argument(t, row.dirfd), t.call.args[row.path], mode, c.at and t.call.args[2] & AT_EMPTY_PATH != 0, at)
    error = spot_of_fd(t, <int>t.call.args[0], at) if <int>t.call.args[0] >= 0 else -EBADF
    if error == 0 and fd_is_path(t, <int>t.call.args[0]):
        spot_drop(at)
        error = -EBADF
    return error

cdef int attr_give(Tracee *t, const AttrCall *c, const char *bytes, int n) noexcept nogil:
    """Give the guest a value or a list; its length or -errno."""
    if c.size == 0:
        return n
    if c.size < <uint64_t>n:
        return -ERANGE
    return n if mem_write(t.tid, c.value, bytes, n) == 0 else -EFAULT

cdef int attr_get(Tracee *t, const AttrCall *c, int kind, const Truth *f) noexcept nogil:
    cdef const char *value = NULL
    cdef int n
    if kind == ATTR_FOREIGN:
        return -ENODATA
    if (kind == ATTR_ACL or kind == ATTR_DEFAULT) and S_ISLNK(f.mode):
        return -EOPNOTSUPP
    if kind == ATTR_TRUSTED and not who_may(t, CAP_SYS_ADMIN_OWN):
        return -ENODATA
    tail_load(f)
    n = tail_value(tail_bytes, tail_size, attr_name, &value)
    if n < 0:
        # (what somebody else has put on the disk is there)
        return TAKE_NOT
    memcpy(attr_value, value, n)
    if kind == ATTR_ACL:
        acl_of_mode(attr_value, n, f.mode)
    return attr_give(t, c, attr_value, n)

cdef int attr_list(Tracee *t, const AttrCall *c, const Spot *at, const Truth *f) noexcept nogil:
    """The kernel's names, without those of others that keep owners there, and the record's."""
    cdef char link[40]
    cdef char name[256]
    cdef const char *value = NULL
    cdef int length = 0, i = 0, n = 0, k
    cdef ssize_t got = 0
    snprintf(link, sizeof(link), b"/proc/self/fd/%d", at.fd)
    if not S_ISLNK(f.disk.mode):
        got = c_listxattr(link, attr_value, ATTR_MOST)
        if got < 0:
            return TAKE_NOT
    while i < got:
        k = <int>strlen(attr_value + i) + 1
        if attr_kind(attr_value + i) != ATTR_FOREIGN:
            memmove(attr_value + n, attr_value + i, k)
            n += k
        i += k
    if f.found and f.slot.flags & STORE_XATTRS:
        tail_load(f)
        i = tail_next(tail_bytes, tail_size, 0, name, &value, &length)
        while i >= 0:
            if name[0] != 0 and n + 256 < ATTR_MOST and (not starts(name, b"trusted.") or who_may(t, CAP_SYS_ADMIN_OWN)):
                k = <int>strlen(name) + 1
                memcpy(attr_value + n, name, k)
                n += k
            i = tail_next(tail_bytes, tail_size, i, name, &value, &length)
    return attr_give(t, c, attr_value, n)

cdef int attr_may(Tracee *t, int kind, const Truth *f) noexcept nogil:
    """Say who may set such an attribute; 0 or -errno."""
    if kind == ATTR_FOREIGN:
        return -EPERM
    if kind == ATTR_CAPS:
        return 0 if who_may(t, CAP_SETFCAP_) else -EPERM
    if kind == ATTR_TRUSTED or kind == ATTR_SECURITY:
        if strlen(attr_name) == (8 if kind == ATTR_TRUSTED else 9):
            return -EINVAL
        return 0 if who_may(t, CAP_SYS_ADMIN_OWN) else -EPERM
    if S_ISLNK(f.mode):
        return -EOPNOTSUPP
    return 0 if who_owns(t, f) else -EPERM

cdef int caps_check(AttrCall *c) noexcept nogil:
    """Check the value of security.capability (cap_convert_nscap); one of the whole machine's root is of the second version."""
    cdef uint32_t *words = <uint32_t *>attr_value
    if c.size == 20 and words[0] >> 24 == 2:
        return 0
    if c.size != 24 or words[0] >> 24 != 3:
        return -EINVAL
    if words[5] == 0:
        words[0] = words[0] & 0xffffff | 2 << 24
        c.size = 20
    return 0

cdef int attr_change(Tracee *t, AttrCall *c, int kind, const Spot *at, Truth *f) noexcept nogil:
    """Set or remove an attribute of the record; 0 or -errno."""
    global tail_size
    cdef int error, there
    cdef bint sets = c.what == ATTR_SET
    if kind == ATTR_CAPS and sets:
        error = caps_check(c)
        if error < 0:
            return error
    if kind == ATTR_ACL or kind == ATTR_DEFAULT:
        return acl_change(t, c, kind, at, f)
    error = attr_may(t, kind, f)
    if error == 0 and ours(f):
        error = disk_touch(at.fd)
    if error < 0:
        return error
    tail_load(f)
    there = tail_find(tail_bytes, tail_size, attr_name)
    if sets and ((there >= 0 and c.flags & XATTR_CREATE_) or (there < 0 and c.flags & XATTR_REPLACE_)):
        return -EEXIST if there >= 0 else -ENODATA
    if not sets:
        if there < 0:
            return -ENODATA
        tail_size = tail_without(tail_bytes, tail_size, attr_name)
    else:
        error = tail_with(tail_bytes, tail_size, sizeof(tail_bytes), attr_name, attr_value, <int>c.size)
        if error < 0:
            return error
        tail_size = error
    return tail_save(at, f, f.disk.mode)

cdef int acl_change(Tracee *t, const AttrCall *c, int kind, const Spot *at, Truth *f) noexcept nogil:
    """Set or remove an access control list: one that says what a mode says is a mode."""
    global tail_size
    cdef int plain = 1, error = 0
    cdef uint32_t mode = 0, left = f.disk.mode
    cdef bint sets = c.what == ATTR_SET and c.size > 0
    if sets:
        error = acl_check(attr_value, <int>c.size, &plain, &mode)
        if error < 0:
            return error
        sets = c.size > 4
    if kind == ATTR_DEFAULT and not S_ISDIR(f.mode) and not S_ISLNK(f.mode):
        return -EACCES if sets else 0
    error = attr_may(t, kind, f)
    if error == 0 and ours(f):
        error = disk_touch(at.fd)
    if error < 0:
        return error
    tail_load(f)
    if kind == ATTR_ACL and sets:
        mode |= f.mode & 0o7000
        if mode & SETGID_BIT and not who_in_group(t, f.gid) and not who_may(t, CAP_FSETID_):
            mode &= ~<uint32_t>SETGID_BIT
        error = chmod_of(t, at, f, mode)
        if error < 0:
            return error
        tail_load(f)
        left = f.disk.mode
    if not sets or (plain and kind == ATTR_ACL):
        if tail_find(tail_bytes, tail_size, attr_name) < 0:
            return 0
        tail_size = tail_without(tail_bytes, tail_size, attr_name)
    else:
        error = tail_with(tail_bytes, tail_size, sizeof(tail_bytes), attr_name, attr_value, <int>c.size)
        if error < 0:
            return error
        tail_size = error
    return tail_save(at, f, left)
